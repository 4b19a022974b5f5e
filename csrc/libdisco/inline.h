/*
 * What is done once for each item, inline: exported functions are not inlined into others of a
 * shared object, since somebody may replace them there. FRAME-1 to FRAME-3, LIMITS-1.
 */
#ifndef DISCO_INLINE_H
#define DISCO_INLINE_H

#include "disco.h"

static inline uint32_t get_u32(const unsigned char *byte)
{
    return (uint32_t)byte[0] | (uint32_t)byte[1] << 8 | (uint32_t)byte[2] << 16 |
           (uint32_t)byte[3] << 24;
}

/*
 * The item at data[at]: its slice, and where the next thing begins in *at. On an error *at stays.
 */
static inline disco_status decode_item(const unsigned char *data, size_t n_bytes, uint32_t max_item,
                                       disco_slice *item, size_t *at)
{
    if (n_bytes - *at < 4)
        return DISCO_MORE;
    uint32_t size = get_u32(data + *at);
    if (size > max_item)
        return DISCO_TOO_LARGE;
    if (n_bytes - *at - 4 < size)
        return DISCO_MORE;
    item->data = data + *at + 4;
    item->n_bytes = size;
    *at += 4 + (size_t)size;
    return DISCO_OK;
}

static inline disco_status decode_pair(const unsigned char *data, size_t n_bytes, uint32_t max_item,
                                       disco_slice *key, disco_slice *value, size_t *consumed)
{
    *consumed = 0;
    disco_status status = decode_item(data, n_bytes, max_item, key, consumed);
    if (status != DISCO_OK)
        return status;
    /*
     * A value that is cut leaves *consumed behind the key: only DISCO_OK and DISCO_TOO_LARGE give
     * it a meaning.
     */
    return decode_item(data, n_bytes, max_item, value, consumed);
}

#endif
