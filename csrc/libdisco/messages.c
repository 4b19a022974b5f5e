/*
 * The messages of the core: lines of stderr, tagged or not, to bytes and back. No I/O, no
 * allocation. STDERR and LIMITS-3 of PROTOCOL.md.
 */
#include "disco.h"

#include <string.h>

enum { TAG_BYTES = 7 };

static const char *tag_of(disco_message_kind kind)
{
    return kind == DISCO_MESSAGE_MSG ? "**<MSG> " : "**<ERR> ";
}

static disco_message_kind kind_of(const unsigned char *line, size_t n_bytes)
{
    if (n_bytes >= TAG_BYTES && memcmp(line, "**<MSG>", TAG_BYTES) == 0)
        return DISCO_MESSAGE_MSG;
    if (n_bytes >= TAG_BYTES && memcmp(line, "**<ERR>", TAG_BYTES) == 0)
        return DISCO_MESSAGE_ERR;
    return DISCO_MESSAGE_UNTAGGED;
}

/* The bytes of the line at text, without its newline. */
static size_t length_of_line(const char *text, size_t n_bytes)
{
    const char *newline = n_bytes > 0 ? memchr(text, '\n', n_bytes) : NULL;
    return newline != NULL ? (size_t)(newline - text) : n_bytes;
}

disco_status disco_encode_message(disco_message_kind kind, const void *text, size_t text_size,
                                  void *out, size_t room, size_t *n_bytes)
{
    const char *source = text_size > 0 ? text : "";
    char *target = out;
    size_t at = 0;
    *n_bytes = 0;
    if (kind != DISCO_MESSAGE_MSG && kind != DISCO_MESSAGE_ERR)
        return DISCO_MISUSE;
    do { /* a newline at the end closes the last line; it does not begin another */
        size_t n_line = length_of_line(source + at, text_size - at);
        size_t size = TAG_BYTES + 1 + n_line + 1;
        if (size > SIZE_MAX - *n_bytes)
            return DISCO_TOO_LARGE;
        if (*n_bytes + size <= room) {
            memcpy(target + *n_bytes, tag_of(kind), TAG_BYTES + 1);
            if (n_line > 0)
                memcpy(target + *n_bytes + TAG_BYTES + 1, source + at, n_line);
            target[*n_bytes + size - 1] = '\n';
        }
        *n_bytes += size;
        at += n_line + 1;
    } while (at < text_size);
    return *n_bytes <= room ? DISCO_OK : DISCO_NO_ROOM;
}

void disco_messages_start(disco_message_parser *parser)
{
    parser->n_line = 0;
    parser->n_cut = 0;
}

/* Keep a part of the line; bytes that do not fit are only counted. */
static void keep(disco_message_parser *parser, const unsigned char *data, size_t n_bytes)
{
    size_t room = sizeof parser->line - parser->n_line;
    size_t n_kept = n_bytes < room ? n_bytes : room;
    if (n_kept > 0)
        memcpy(parser->line + parser->n_line, data, n_kept);
    parser->n_line += (uint32_t)n_kept;
    parser->n_cut += n_bytes - n_kept;
}

/* Make a message of a line without its newline; `n_cut` bytes are missing at its end. */
static void set_message(disco_message *message, const unsigned char *line, size_t n_bytes,
                        uint64_t n_cut)
{
    message->kind = kind_of(line, n_bytes);
    size_t n_tag = message->kind == DISCO_MESSAGE_UNTAGGED ? 0 : TAG_BYTES;
    if (n_tag > 0 && n_bytes > n_tag && line[n_tag] == ' ')
        n_tag++;
    size_t n_text = n_bytes - n_tag;
    message->text.data = line + n_tag;
    message->text.n_bytes = n_text < DISCO_MAX_LINE ? n_text : DISCO_MAX_LINE;
    message->n_cut = n_cut + (n_text - message->text.n_bytes);
}

static void take_kept_line(disco_message_parser *parser, disco_message *message)
{
    set_message(message, parser->line, parser->n_line, parser->n_cut);
    disco_messages_start(parser);
}

disco_status disco_decode_message(disco_message_parser *parser, const void *data, size_t n_bytes,
                                  disco_message *message, size_t *consumed)
{
    size_t n_line = length_of_line(data, n_bytes);
    if (n_line == n_bytes) {
        keep(parser, data, n_bytes);
        *consumed = n_bytes;
        return DISCO_MORE;
    }
    *consumed = n_line + 1;
    if (parser->n_line == 0) { /* the whole line is here: no copy */
        set_message(message, data, n_line, 0);
        return DISCO_OK;
    }
    keep(parser, data, n_line);
    take_kept_line(parser, message);
    return DISCO_OK;
}

disco_status disco_decode_last_message(disco_message_parser *parser, disco_message *message)
{
    if (parser->n_line == 0)
        return DISCO_END;
    take_kept_line(parser, message);
    return DISCO_OK;
}
