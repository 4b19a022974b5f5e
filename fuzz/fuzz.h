/*
 * Shared by the fuzz targets. The first comment of a target states its invariant; an input that
 * breaks it aborts. Out-of-bounds accesses and undefined behaviour are caught by the sanitizers, or
 * by the unreadable page of replay.c.
 *
 *   pairs.c lists.c params.c lines.c chunking.c   the core
 *   messages.c sequences.c allocation.c           the classic layer, over worker.h
 *   dealing.c sorting.c summing.c                    frames in memory (csrc/native), over faulty.h
 *   replay.c           runs seeds/ without libFuzzer (tests/libdisco/test_fuzz_replay.py)
 *   seeds.py           makes seeds/ from the byte vectors and the traffic of `kvproto check`
 *   differential.py    compares the compiled codecs with the one in Python
 *
 * `make fuzz SECONDS=60` runs all targets under libFuzzer and keeps inputs that crash in
 * build/fuzz/. Seeds that once broke an invariant are named crash-* or found-*.
 */
#ifndef FUZZ_H
#define FUZZ_H

#include <disco.h>

#include <stdio.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n_bytes);

#define HOLDS(condition)                                                            \
    do {                                                                            \
        if (!(condition)) {                                                         \
            fprintf(stderr, "%s:%d: broken: %s\n", __FILE__, __LINE__, #condition); \
            abort();                                                                \
        }                                                                           \
    } while (0)

/* The limit of an item that a byte of the input selects. */
static inline uint32_t limit_of(uint8_t byte)
{
    static const uint32_t limits[] = {DISCO_MAX_ITEM, 0, 1, 7, 255, 65536, UINT32_MAX, INT32_MAX};
    return limits[byte % (sizeof limits / sizeof *limits)];
}

/* Decode a u32, independently of the core. */
static inline uint64_t number_at(const uint8_t *data)
{
    uint64_t number = 0;
    for (int index = 3; index >= 0; index--)
        number = number * 256 + data[index];
    return number;
}

/* A heap copy of exactly n_bytes, so that the sanitizer sees a read past them. free() it. */
static inline uint8_t *exact_copy(const uint8_t *data, size_t n_bytes)
{
    uint8_t *copy = malloc(n_bytes);
    HOLDS(copy != NULL || n_bytes == 0);
    if (n_bytes > 0)
        memcpy(copy, data, n_bytes);
    return copy;
}

/*
 * The status of decoding the item at data[*at], independently of the core. For DISCO_OK, *at moves
 * past the item; otherwise it stays at the size.
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
