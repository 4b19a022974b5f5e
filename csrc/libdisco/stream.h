/*
 * A stream: pairs in, result lists out, through two FILEs. Here are the paths that every pair
 * takes, inline; all that is rare is in stream.c. FRAME, LIST, MAP-4 and LIMITS-1 of PROTOCOL.md.
 *
 * The first error of a stream stays: every later call returns its status and does nothing.
 */
#ifndef DISCO_STREAM_H
#define DISCO_STREAM_H

#include "buffers.h"
#include "inline.h"
#include "internal.h"

#include <string.h>

enum { DISCO_BUFFER_BYTES = 128 * 1024 };

/* What error texts call the ends of a stream, and the function that raises its limit. */
struct disco_stream_names {
    const char *input, *output, *set_max_item;
};

struct disco_stream {
    FILE *input, *output;
    uint64_t offset;      /* bytes read of the stream of pairs */
    uint64_t pairs_left;  /* pairs that are still missing in the current list */
    uint64_t n_announced; /* pairs that its head announced */
    uint32_t max_item;
    int is_key_written; /* a key has been written, its value has not */
    disco_status status;
    char error[320]; /* what failed; "" if nothing has */
    const struct disco_stream_names *names;
};

/* Record the error and return its status. */
disco_status disco_stream_fail(disco_stream *stream, disco_status status, const char *format, ...)
    DISCO_PRINTF(3, 4);

/* The stream ended inside a field. The text is that of Truncated in the Python codec. */
disco_status disco_stream_truncated(disco_stream *stream, const char *field, uint64_t at,
                                    uint64_t wanted, uint64_t had, const char *clause);

/*
 * Read n_bytes, and flush the output before a read that would block. DISCO_MORE: the input ended
 * after *n_had of them.
 */
disco_status disco_stream_take(disco_stream *stream, void *data, size_t n_bytes, size_t *n_had);

/*
 * Read an item of `size` bytes into *entry, which grows as the bytes come, never by the announced
 * size. Sets len and the zero byte. DISCO_MORE: the input ended after *n_had bytes.
 */
disco_status disco_stream_take_item(disco_stream *stream, p_entry **entry, unsigned int size,
                                    size_t *n_had);

/* Handle all that the inline paths below cannot, errors included. */
disco_status disco_stream_read_slowly(disco_stream *stream, p_entry **key, p_entry **value);
disco_status disco_stream_write_slowly(disco_stream *stream, const void *key, size_t key_size,
                                       const void *value, size_t value_size);

/* Write half a pair: a key, or the value of the key that was written before. */
disco_status disco_stream_write_half(disco_stream *stream, const void *data, size_t n_bytes);

/* Flush, and check that the output may end here. */
disco_status disco_stream_finish(disco_stream *stream);

static inline int stream_set_entry(p_entry **entry, const disco_slice *item)
{
    unsigned int size = (unsigned int)item->n_bytes;
    if ((*entry == NULL || (*entry)->sze < size) &&
        disco_grow_entry(entry, size < 64 ? 64 : 2 * size, 0) != 0)
        return -1;
    memcpy((*entry)->data, item->data, size);
    (*entry)->len = size;
    (*entry)->data[size] = '\0';
    return 0;
}

/* Returns DISCO_OK, or DISCO_END if the input ended between pairs. */
static inline disco_status stream_read_pair(disco_stream *stream, p_entry **key, p_entry **value)
{
    disco_slice key_bytes, value_bytes;
    size_t n_there, n_taken;
    const unsigned char *there = (const unsigned char *)input_buffered(stream->input, &n_there);
    /* The fast path: the whole pair is in the buffer. */
    if (stream->status != DISCO_OK || decode_pair(there, n_there, stream->max_item, &key_bytes,
                                                  &value_bytes, &n_taken) != DISCO_OK)
        return disco_stream_read_slowly(stream, key, value);
    if (stream_set_entry(key, &key_bytes) != 0 || stream_set_entry(value, &value_bytes) != 0)
        return disco_stream_fail(stream, DISCO_NO_MEMORY, "out of memory: %zu bytes for a pair",
                                 n_taken);
    input_skip(stream->input, n_taken);
    stream->offset += n_taken;
    return DISCO_OK;
}

static inline disco_status stream_write_pair(disco_stream *stream, const void *key, size_t key_size,
                                             const void *value, size_t value_size)
{
    size_t room;
    char *space = output_space(stream->output, &room);
    if (room > DISCO_MAX_ITEM)
        room = DISCO_MAX_ITEM; /* what fits into the buffer is within the limit */
    if (stream->status != DISCO_OK || stream->pairs_left == 0 || stream->is_key_written ||
        room < 8 || key_size > room - 8 || value_size > room - 8 - key_size)
        return disco_stream_write_slowly(stream, key, key_size, value, value_size);
    put_u32(space, (uint32_t)key_size);
    if (key_size > 0)
        memcpy(space + 4, key, key_size);
    put_u32(space + 4 + key_size, (uint32_t)value_size);
    if (value_size > 0)
        memcpy(space + 8 + key_size, value, value_size);
    output_advance(stream->output, 8 + key_size + value_size);
    stream->pairs_left--;
    return DISCO_OK;
}

#endif
