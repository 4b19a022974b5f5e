/* Frames as records of the program `sort`, and back: see native.h. */
#include "native.h"

#include "disco.h"
#include "inline.h"

#include <string.h>

/* KEY 02 VALUE 00, where 01 and the byte 3, 4 or 5 stand for the bytes 00, 01 and 02. */
enum { END = 0, ESCAPE = 1, BETWEEN = 2, ESCAPED = 3 };

static unsigned char *escape(unsigned char *out, const unsigned char *data, size_t n_bytes)
{
    for (size_t index = 0; index < n_bytes; index++) {
        if (data[index] < ESCAPED) {
            *out++ = ESCAPE;
            *out++ = (unsigned char)(data[index] + ESCAPED);
        } else {
            *out++ = data[index];
        }
    }
    return out;
}

size_t kvproto_frames_to_records(const void *frames, size_t n_bytes, void *out)
{
    unsigned char *end = out;
    disco_slice key, value;
    size_t at = 0, consumed;
    while (decode_pair((const unsigned char *)frames + at, n_bytes - at, UINT32_MAX, &key, &value,
                       &consumed) == DISCO_OK) {
        end = escape(end, key.data, key.n_bytes);
        *end++ = BETWEEN;
        end = escape(end, value.data, value.n_bytes);
        *end++ = END;
        at += consumed;
    }
    return (size_t)(end - (unsigned char *)out);
}

/* Undo escape(). Returns the end of the output, or NULL for bytes that escape() does not write. */
static unsigned char *unescape(unsigned char *out, const unsigned char *data, size_t n_bytes)
{
    const unsigned char *limit = data + n_bytes;
    while (data < limit) {
        unsigned char byte = *data++;
        if (byte >= ESCAPED)
            *out++ = byte;
        else if (byte == ESCAPE && data < limit && *data >= ESCAPED && *data < 2 * ESCAPED)
            *out++ = (unsigned char)(*data++ - ESCAPED);
        else
            return NULL;
    }
    return out;
}

int64_t kvproto_records_to_frames(const void *records, size_t n_bytes, void *out)
{
    const unsigned char *record = records, *limit = record + n_bytes, *item_end;
    unsigned char *end = out, *item;
    const unsigned char ends[] = {BETWEEN, END};
    while (record < limit) {
        for (int which = 0; which < 2; which++) {
            item = end;
            item_end = memchr(record, ends[which], (size_t)(limit - record));
            end = item_end == NULL ? NULL : unescape(item + 4, record, (size_t)(item_end - record));
            if (end == NULL)
                return -1;
            put_u32(item, (uint32_t)(end - item - 4));
            record = item_end + 1;
        }
    }
    return end - (unsigned char *)out;
}
