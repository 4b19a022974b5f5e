/*
 * Keys as numbers: the first 8 bytes for a comparison, and a hash. For tables of keys in C.
 */
#ifndef KVPROTO_KEYS_H
#define KVPROTO_KEYS_H

#include "disco.h"

#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum { PREFIX_BYTES = 8 };

/*
 * The first 8 of n_bytes as a big-endian number; zeros stand for those that are missing. 8 bytes at
 * data must be readable, however few n_bytes are.
 */
static inline uint64_t load_prefix(const void *data, size_t n_bytes)
{
    uint64_t prefix;
    memcpy(&prefix, data, sizeof prefix);
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    prefix = __builtin_bswap64(prefix);
#endif
    return n_bytes < PREFIX_BYTES ? prefix & ~(UINT64_MAX >> (8 * n_bytes)) : prefix;
}

static inline uint64_t mix(uint64_t hash, uint64_t number)
{
    hash = (hash ^ number) * 0x9e3779b97f4a7c15u;
    return hash ^ hash >> 32;
}

/* `prefix` is that of the key. The last 8 bytes of a longer key are taken whole, in part again. */
static inline size_t hash_key(const disco_slice *key, uint64_t prefix, uint64_t seed)
{
    const unsigned char *data = key->data;
    uint64_t hash = mix(key->n_bytes ^ seed, prefix);
    for (size_t at = PREFIX_BYTES; at + PREFIX_BYTES < key->n_bytes; at += PREFIX_BYTES)
        hash = mix(hash, load_prefix(data + at, PREFIX_BYTES));
    if (key->n_bytes > PREFIX_BYTES)
        hash = mix(hash, load_prefix(data + key->n_bytes - PREFIX_BYTES, PREFIX_BYTES));
    return (size_t)mix(hash, hash >> 29);
}

#endif
