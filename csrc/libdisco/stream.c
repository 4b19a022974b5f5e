/*
 * A stream, except its fast paths, which are in stream.h. FRAME, LIST, MAP-4 and LIMITS-1 of
 * PROTOCOL.md.
 *
 * Promise: the output is flushed when the next read of the input would block, and only then, except
 * where buffers.h knows nothing.
 */
#define _POSIX_C_SOURCE 200809L
#include "stream.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <unistd.h>

/* Memory for announced bytes that have not arrived is allocated in steps of this size. */
enum { STEP = 64 * 1024 };

disco_status disco_stream_fail(disco_stream *stream, disco_status status, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(stream->error, sizeof stream->error, format, arguments);
    va_end(arguments);
    return stream->status = status;
}

disco_status disco_stream_truncated(disco_stream *stream, const char *field, uint64_t at,
                                    uint64_t wanted, uint64_t had, const char *clause)
{
    return disco_stream_fail(
        stream, DISCO_MORE,
        "the stream ends inside the %s at byte %llu: it needs %llu bytes, but has %llu [%s]", field,
        (unsigned long long)at, (unsigned long long)wanted, (unsigned long long)had, clause);
}

/* ---- output -------------------------------------------------------------------------------- */

static disco_status fail_write(disco_stream *stream)
{
    int error = errno;
    output_forget(
        stream->output); /* or the exit would write the part that did arrive a second time */
    return disco_stream_fail(stream, DISCO_IO,
                             "cannot write to %s: %s; do not use what was written",
                             stream->names->output, strerror(error));
}

/* Write what the output's buffer holds. fflush() of stdio loses it when a signal interrupts it. */
static disco_status flush(disco_stream *stream)
{
    size_t n_bytes;
    const char *data = output_pending(stream->output, &n_bytes);
    if (n_bytes > 0 && disco_write_all(fileno(stream->output), data, n_bytes) != 0)
        return fail_write(stream);
    if (n_bytes > 0)
        output_forget(stream->output);
    if (!KNOWS_OUTPUT && fflush(stream->output) != 0)
        return fail_write(stream);
    if (ferror(stream->output))
        return disco_stream_fail(stream, DISCO_IO,
                                 "an earlier write to %s failed; do not use what was written",
                                 stream->names->output);
    return DISCO_OK;
}

static disco_status put(disco_stream *stream, const void *data, size_t n_bytes)
{
    size_t room;
    char *space = output_space(stream->output, &room);
    if (n_bytes == 0)
        return DISCO_OK;
    if (n_bytes <= room) {
        memcpy(space, data, n_bytes);
        output_advance(stream->output, n_bytes);
        return DISCO_OK;
    }
    if (KNOWS_OUTPUT && flush(stream) != DISCO_OK)
        return stream->status;
    if (output_holds(stream->output, n_bytes)
            ? fwrite(data, 1, n_bytes, stream->output) != n_bytes
            : disco_write_all(fileno(stream->output), data, n_bytes) != 0)
        return fail_write(stream);
    return DISCO_OK;
}

static disco_status put_item(disco_stream *stream, const void *data, size_t n_bytes)
{
    unsigned char size[4];
    uint32_t limit = stream->max_item > DISCO_MAX_ITEM ? stream->max_item : DISCO_MAX_ITEM;
    if (n_bytes > limit)
        return disco_stream_fail(stream, DISCO_TOO_LARGE,
                                 "an item of %zu bytes is over the limit, which is %lu; raise it "
                                 "by %s(), and the driver's, if this is intended [LIMITS-1]",
                                 n_bytes, (unsigned long)limit, stream->names->set_max_item);
    put_u32(size, (uint32_t)n_bytes);
    if (put(stream, size, sizeof size) != DISCO_OK)
        return stream->status;
    return put(stream, data, n_bytes);
}

/* May the output end here, or a list begin? `what` says which, for an error. */
static disco_status end_list(disco_stream *stream, const char *what)
{
    if (stream->is_key_written)
        return disco_stream_fail(stream, DISCO_MISUSE,
                                 "%s after a key: write its value first [FRAME-3]", what);
    if (stream->pairs_left > 0)
        return disco_stream_fail(stream, DISCO_MISUSE,
                                 "%s after %llu of the %llu pairs that the list announced [LIST-2]",
                                 what,
                                 (unsigned long long)(stream->n_announced - stream->pairs_left),
                                 (unsigned long long)stream->n_announced);
    return DISCO_OK;
}

disco_status disco_stream_begin_list(disco_stream *stream, uint32_t num_pairs)
{
    unsigned char count[4];
    if (stream->status != DISCO_OK || end_list(stream, "a list begins") != DISCO_OK)
        return stream->status;
    stream->pairs_left = stream->n_announced = num_pairs;
    put_u32(count, num_pairs);
    return put(stream, count, sizeof count);
}

static disco_status expect_pair(disco_stream *stream)
{
    if (stream->status != DISCO_OK || stream->pairs_left > 0)
        return stream->status;
    return disco_stream_fail(stream, DISCO_MISUSE,
                             "a pair more than the %llu that the list announced [LIST-2]",
                             (unsigned long long)stream->n_announced);
}

disco_status disco_stream_write_slowly(disco_stream *stream, const void *key, size_t key_size,
                                       const void *value, size_t value_size)
{
    if (expect_pair(stream) != DISCO_OK)
        return stream->status;
    if (stream->is_key_written)
        return end_list(stream, "a pair begins");
    if (put_item(stream, key, key_size) != DISCO_OK ||
        put_item(stream, value, value_size) != DISCO_OK)
        return stream->status;
    stream->pairs_left--;
    return DISCO_OK;
}

disco_status disco_stream_write_half(disco_stream *stream, const void *data, size_t n_bytes)
{
    if (expect_pair(stream) != DISCO_OK || put_item(stream, data, n_bytes) != DISCO_OK)
        return stream->status;
    if (stream->is_key_written)
        stream->pairs_left--;
    stream->is_key_written = !stream->is_key_written;
    return DISCO_OK;
}

disco_status disco_stream_write_pair(disco_stream *stream, const void *key, size_t key_size,
                                     const void *value, size_t value_size)
{
    return stream_write_pair(stream, key, key_size, value, value_size);
}

disco_status disco_stream_flush(disco_stream *stream)
{
    return stream->status != DISCO_OK ? stream->status : flush(stream);
}

disco_status disco_stream_finish(disco_stream *stream)
{
    if (stream->status != DISCO_OK || flush(stream) != DISCO_OK)
        return stream->status;
    return end_list(stream, "the output ends");
}

/* ---- input --------------------------------------------------------------------------------- */

/* The next read(2) would block: first the peer must get what it waits for (MAP-4). */
static disco_status flush_before_blocking(disco_stream *stream)
{
    struct pollfd input = {.fd = fileno(stream->input), .events = POLLIN, .revents = 0};
    size_t n_pending;
    output_pending(stream->output, &n_pending);
    if (!KNOWS_OUTPUT || (n_pending > 0 && poll(&input, 1, 0) <= 0))
        return flush(stream);
    return DISCO_OK;
}

/* Try again after a temporary error of the input: returns DISCO_OK, otherwise the status. */
static disco_status wait_for_input(disco_stream *stream)
{
    if (errno == EAGAIN || errno == EWOULDBLOCK) {
        struct pollfd input = {.fd = fileno(stream->input), .events = POLLIN, .revents = 0};
        if (flush(stream) != DISCO_OK) /* it was ready, but another reader took the bytes first */
            return stream->status;
        poll(&input, 1, -1);
    } else if (errno != EINTR) {
        return disco_stream_fail(stream, DISCO_IO, "cannot read %s: %s", stream->names->input,
                                 strerror(errno));
    }
    clearerr(stream->input);
    return DISCO_OK;
}

/*
 * Read once: at least one byte of the n_bytes > 0 that are wanted, by getc(), which fills the
 * buffer, or by fread() where the buffer is unknown. *n_read is 0 only at the end of the input.
 */
static disco_status read_once(disco_stream *stream, char *data, size_t n_bytes, size_t *n_read)
{
    *n_read = 0;
    if (flush_before_blocking(stream) != DISCO_OK)
        return stream->status;
    while (*n_read == 0) {
        if (KNOWS_INPUT) {
            int byte = getc_unlocked(stream->input);
            if (byte != EOF) {
                *data = (char)byte;
                *n_read = 1;
            }
        } else {
            *n_read = fread(data, 1, n_bytes, stream->input);
        }
        if (*n_read > 0 || !ferror(stream->input))
            break;
        if (wait_for_input(stream) != DISCO_OK)
            return stream->status;
    }
    return DISCO_OK;
}

disco_status disco_stream_take(disco_stream *stream, void *data, size_t n_bytes, size_t *n_had)
{
    char *target = data;
    *n_had = 0;
    if (stream->status != DISCO_OK)
        return stream->status;
    while (*n_had < n_bytes) {
        size_t n_there;
        const char *source = input_buffered(stream->input, &n_there);
        if (n_there > n_bytes - *n_had)
            n_there = n_bytes - *n_had;
        if (n_there > 0) {
            memcpy(target + *n_had, source, n_there);
            input_skip(stream->input, n_there);
        } else if (read_once(stream, target + *n_had, n_bytes - *n_had, &n_there) != DISCO_OK) {
            return stream->status;
        } else if (n_there == 0) {
            return DISCO_MORE;
        }
        *n_had += n_there;
    }
    return DISCO_OK;
}

static disco_status grow(disco_stream *stream, p_entry **entry, unsigned int sze, size_t n_kept)
{
    if (disco_grow_entry(entry, sze, (unsigned int)n_kept) == 0)
        return DISCO_OK;
    return disco_stream_fail(stream, DISCO_NO_MEMORY, "out of memory: %u bytes for an item", sze);
}

disco_status disco_stream_take_item(disco_stream *stream, p_entry **entry, unsigned int size,
                                    size_t *n_had)
{
    *n_had = 0;
    if (*entry == NULL && grow(stream, entry, size < STEP ? size : STEP, 0) != DISCO_OK)
        return stream->status;
    for (;;) {
        unsigned int room = (*entry)->sze < size ? (*entry)->sze : size;
        size_t n_read;
        disco_status status =
            disco_stream_take(stream, (*entry)->data + *n_had, room - *n_had, &n_read);
        *n_had += n_read;
        (*entry)->len = (unsigned int)*n_had;
        (*entry)->data[*n_had] = '\0';
        if (status != DISCO_OK || *n_had == size)
            return status;
        unsigned int next = room < STEP ? STEP : room;
        if (grow(stream, entry, size - room < next ? size : room + next, *n_had) != DISCO_OK)
            return stream->status;
    }
}

/* Read an item in pieces. DISCO_END: `may_end` is set, and the input ended before the item. */
static disco_status read_item(disco_stream *stream, p_entry **entry, const char *field,
                              const char *size_field, int may_end)
{
    unsigned char size_bytes[4];
    size_t had;
    disco_status status = disco_stream_take(stream, size_bytes, sizeof size_bytes, &had);
    if (status == DISCO_MORE && had == 0 && may_end)
        return DISCO_END;
    if (status == DISCO_MORE)
        return disco_stream_truncated(stream, size_field, stream->offset, sizeof size_bytes, had,
                                      "FRAME-4");
    if (status != DISCO_OK)
        return status;
    uint32_t size = get_u32(size_bytes);
    if (size > stream->max_item)
        return disco_stream_fail(stream, DISCO_TOO_LARGE,
                                 "the %s at byte %llu announces %lu bytes, but the limit is %lu; "
                                 "raise it by %s() if this is intended [LIMITS-1]",
                                 size_field, (unsigned long long)stream->offset,
                                 (unsigned long)size, (unsigned long)stream->max_item,
                                 stream->names->set_max_item);
    stream->offset += sizeof size_bytes;
    status = disco_stream_take_item(stream, entry, size, &had);
    if (status == DISCO_MORE)
        return disco_stream_truncated(stream, field, stream->offset, size, had, "FRAME-4");
    stream->offset += had;
    return status;
}

disco_status disco_stream_read_slowly(disco_stream *stream, p_entry **key, p_entry **value)
{
    if (stream->status != DISCO_OK)
        return stream->status;
    disco_status status = read_item(stream, key, "key", "key size", 1);
    return status != DISCO_OK ? status : read_item(stream, value, "value", "value size", 0);
}

disco_status disco_stream_read_pair(disco_stream *stream, p_entry **key, p_entry **value)
{
    return stream_read_pair(stream, key, value);
}

disco_status disco_stream_read_raw(disco_stream *stream, void *data, size_t n_bytes)
{
    size_t had;
    disco_status status = disco_stream_take(stream, data, n_bytes, &had);
    if (status == DISCO_MORE)
        return disco_stream_truncated(stream, "raw parameters", 0, n_bytes, had, "PARAMS-6");
    return status;
}

/* ---- the handle --------------------------------------------------------------------------- */

static const struct disco_stream_names names = {"the input", "the output",
                                                "disco_stream_set_max_item"};

/* A FILE over the descriptor, with a buffer of our own. Closes the descriptor on failure. */
static FILE *open_file(int descriptor, const char *mode, char *buffer)
{
    FILE *file = fdopen(descriptor, mode);
    if (file == NULL) {
        int error = errno;
        close(descriptor);
        errno = error;
        return NULL;
    }
    setvbuf(file, buffer, _IOFBF, DISCO_BUFFER_BYTES);
    return file;
}

disco_stream *disco_stream_open(int input, int output)
{
    disco_stream *stream = malloc(sizeof *stream + 2 * DISCO_BUFFER_BYTES);
    if (stream == NULL) {
        close(input);
        close(output);
        errno = ENOMEM;
        return NULL;
    }
    char *buffers = (char *)(stream + 1);
    *stream = (disco_stream){.max_item = DISCO_MAX_ITEM, .names = &names};
    stream->input = open_file(input, "rb", buffers);
    stream->output = open_file(output, "wb", buffers + DISCO_BUFFER_BYTES);
    if (stream->input != NULL && stream->output != NULL)
        return stream;
    int error = errno;
    if (stream->input != NULL)
        fclose(stream->input);
    if (stream->output != NULL)
        fclose(stream->output);
    free(stream);
    errno = error;
    return NULL;
}

void disco_stream_set_max_item(disco_stream *stream, uint32_t max_item)
{
    stream->max_item = max_item;
}

const char *disco_stream_error(const disco_stream *stream) { return stream->error; }

disco_status disco_stream_close(disco_stream *stream)
{
    if (stream == NULL)
        return DISCO_OK;
    disco_status status = disco_stream_finish(stream);
    fclose(stream->input);
    if (fclose(stream->output) != 0 && status == DISCO_OK)
        status = DISCO_IO;
    free(stream);
    return status;
}
