/*
 * Invariant: any bytes of stderr, in any pieces, parse as messages. Each line is a message without
 * its tag, the one space after the tag and the newline. It is cut at 64 KiB, and the bytes cut are
 * counted. A tagged message that is encoded and parsed again is the same.
 */
#include "fuzz.h"

static const char *const tags[] = {"", "**<MSG>", "**<ERR>"};

static void check_message(const disco_message *message, const uint8_t *line, size_t n_line)
{
    int kind = 0;
    for (int known = 1; known <= 2; known++)
        if (n_line >= 7 && memcmp(line, tags[known], 7) == 0)
            kind = known;
    size_t n_tag = kind == 0 ? 0 : n_line > 7 && line[7] == 0x20 ? 8 : 7;
    size_t n_text = n_line - n_tag < 65536 ? n_line - n_tag : 65536;
    HOLDS((int)message->kind == kind && message->text.n_bytes == n_text);
    HOLDS(n_text == 0 || memcmp(message->text.data, line + n_tag, n_text) == 0);
    HOLDS(message->n_cut == n_line - n_tag - n_text);
}

static void check_round_trip(const disco_message *message)
{
    size_t n_bytes = 0, consumed = 0, n_text = message->text.n_bytes;
    disco_message again;
    static disco_message_parser parser;
    HOLDS(disco_encode_message(message->kind, message->text.data, n_text, NULL, 0, &n_bytes) ==
          DISCO_NO_ROOM);
    HOLDS(n_bytes == 8 + n_text + 1);
    uint8_t *line = malloc(n_bytes);
    HOLDS(disco_encode_message(message->kind, message->text.data, n_text, line, n_bytes,
                               &n_bytes) == DISCO_OK);
    disco_messages_start(&parser);
    HOLDS(disco_decode_message(&parser, line, n_bytes, &again, &consumed) == DISCO_OK);
    HOLDS(consumed == n_bytes && again.kind == message->kind && again.n_cut == 0);
    HOLDS(again.text.n_bytes == n_text && memcmp(again.text.data, line + 8, n_text) == 0);
    HOLDS(memcmp(line + 8, message->text.data, n_text) == 0);
    free(line);
}

static size_t length_of_line(const uint8_t *data, size_t n_bytes)
{
    const uint8_t *newline = n_bytes == 0 ? NULL : memchr(data, 0x0A, n_bytes);
    return newline == NULL ? n_bytes : (size_t)(newline - data);
}

/* Feed the data in pieces of n_piece bytes. */
static void check_parser(const uint8_t *data, size_t n_bytes, size_t n_piece)
{
    static disco_message_parser parser;
    disco_message message;
    size_t line_at = 0, n_line = length_of_line(data, n_bytes);
    disco_messages_start(&parser);
    for (size_t at = 0; at < n_bytes;) {
        size_t consumed = 0, n_there = n_piece < n_bytes - at ? n_piece : n_bytes - at;
        uint8_t *piece = exact_copy(data + at, n_there);
        disco_status status = disco_decode_message(&parser, piece, n_there, &message, &consumed);
        HOLDS(status == (line_at + n_line < at + n_there ? DISCO_OK : DISCO_MORE));
        HOLDS(at + consumed == (status == DISCO_OK ? line_at + n_line + 1 : at + n_there));
        at += consumed;
        if (status == DISCO_OK) {
            check_message(&message, data + line_at, n_line);
            line_at = at;
            n_line = length_of_line(data + at, n_bytes - at);
            if (message.kind != DISCO_MESSAGE_UNTAGGED)
                check_round_trip(&message);
        }
        free(piece);
    }
    disco_status last = disco_decode_last_message(&parser, &message);
    HOLDS(last == (line_at < n_bytes ? DISCO_OK : DISCO_END));
    if (last == DISCO_OK)
        check_message(&message, data + line_at, n_bytes - line_at);
}

/* The input, in bytes: how often the stream is repeated, the length of the pieces, the stream. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n_bytes)
{
    if (n_bytes < 2)
        return 0;
    size_t n_times = data[0] + (size_t)1, n_piece = data[1] + (size_t)1, n_part = n_bytes - 2;
    uint8_t *stream = malloc(n_times * n_part + 1);
    for (size_t index = 0; index < n_times; index++)
        memcpy(stream + index * n_part, data + 2, n_part);
    check_parser(stream, n_times * n_part, n_piece);
    check_parser(stream, n_times * n_part, n_times * n_part);
    free(stream);
    return 0;
}
