/*
 * The work done once per item, inline: a shared object does not inline its exported functions,
 * because a program may replace them. FRAME-1 to FRAME-3 and LIMITS-1 of PROTOCOL.md.
 */
#ifndef DISCO_INLINE_H
#define DISCO_INLINE_H

#include "disco.h"

static inline uint32_t get_u32(const unsigned char *byte)
{
    return (uint32_t)byte[0] | (uint32_t)byte[1] << 8 | (uint32_t)byte[2] << 16 |
           (uint32_t)byte[3] << 24;
}

static inline void put_u32(void *data, uint32_t number)
{
    unsigned char *byte = data;
    byte[0] = (unsigned char)(number & 0xFF);
    byte[1] = (unsigned char)(number >> 8 & 0xFF);
    byte[2] = (unsigned char)(number >> 16 & 0xFF);
    byte[3] = (unsigned char)(number >> 24 & 0xFF);
}

/*
 * Decode the item at data[*at]: set its slice and move *at to the byte after it. On an error *at
 * does not change.
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
     * If the value is cut off, *consumed is the end of the key. It is set only for DISCO_OK and
     * DISCO_TOO_LARGE.
     */
    return decode_item(data, n_bytes, max_item, value, consumed);
}

#endif
