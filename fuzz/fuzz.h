/*
 * What the fuzz targets share. Each target is one file with one invariant, its first comment; an
 * input that breaks it aborts. Nothing is read after the data's end or written beyond the room
 * given, and no behaviour is undefined: that holds in all of them, and is the sanitizers' to see,
 * and the guard page's of replay.c.
 *
 *   pairs.c lists.c params.c lines.c chunking.c   the core
 *   messages.c sequences.c allocation.c         the classic layer, in the bottle of worker.h
 *   replay.c     a plain main: the inputs of seeds/, under any compiler
 * (tests/libdisco/test_fuzz_replay.py) run          `make fuzz SECONDS=60`: all of them under
 * libFuzzer; a crash is kept in build/fuzz/ seeds.py     makes seeds/ from the byte vectors and the
 * traffic of `kvproto check`; what broke something is crash-* or found-* differential.py   the
 * compiled codecs against the one in Python
 */
#ifndef FUZZ_H
#define FUZZ_H

#include <disco.h>

#include <stdio.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n_bytes);

/* The invariant holds here, or the program ends. */
#define HOLDS(condition)                                                            \
    do {                                                                            \
        if (!(condition)) {                                                         \
            fprintf(stderr, "%s:%d: broken: %s\n", __FILE__, __LINE__, #condition); \
            abort();                                                                \
        }                                                                           \
    } while (0)

/* An input's first byte says the limit of an item. */
static inline uint32_t limit_of(uint8_t byte)
{
    static const uint32_t limits[] = {DISCO_MAX_ITEM, 0, 1, 7, 255, 65536, UINT32_MAX, INT32_MAX};
    return limits[byte % (sizeof limits / sizeof *limits)];
}

/* A u32 of the stream, in other words than the core's. */
static inline uint64_t number_at(const uint8_t *data)
{
    uint64_t number = 0;
    for (int index = 3; index >= 0; index--)
        number = number * 256 + data[index];
    return number;
}

/* A copy of exactly n_bytes on the heap, the caller's to free(). */
static inline uint8_t *exact_copy(const uint8_t *data, size_t n_bytes)
{
    uint8_t *copy = malloc(n_bytes);
    HOLDS(copy != NULL || n_bytes == 0);
    if (n_bytes > 0)
        memcpy(copy, data, n_bytes);
    return copy;
}

/*
 * What is to come of the item at data[*at]. DISCO_OK moves *at after it; at DISCO_TOO_LARGE it is
 * the size's.
 */
static inline disco_status expected_item(const uint8_t *data, uint64_t n_bytes, uint64_t limit,
                                         uint64_t *at)
{
    if (n_bytes < *at + 4)
        return DISCO_MORE;
    uint64_t size = number_at(data + *at);
    if (size > limit)
        return DISCO_TOO_LARGE;
    if (n_bytes < *at + 4 + size)
        return DISCO_MORE;
    *at += 4 + size;
    return DISCO_OK;
}

#endif
