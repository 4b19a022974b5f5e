/* What the cffi module binds in addition to the marked region of disco.h. */
#ifndef KVPROTO_NATIVE_H
#define KVPROTO_NATIVE_H

#include "disco.h"

#include <stddef.h>
#include <stdint.h>

/* cffi: begin */

/*
 * Put the compiled primitives into the dict whose id() is `dict`. Returns 0, or another value with
 * an exception set.
 */
int kvproto_export(uintptr_t dict);

/* See remove_tree.h. */
int kvproto_remove_tree(const char *path);

/* See fork.h. */
int kvproto_fork_sibling(void);
int kvproto_settle(int parent, const char *name, const char *mark);

/*
 * The CRC-32 of data that follows data with the CRC `crc`, 0 at first. Is it faster here than
 * zlib's?
 */
uint32_t kvproto_crc(uint32_t crc, const void *data, size_t n_bytes);
int kvproto_crc_is_fast(void);

/*
 * A stream of pairs or of result lists. The pairs go to the buffers of their partitions,
 * crc32(key) % n_partitions, without the num-pairs fields. The caller owns all memory.
 */
typedef struct kvproto_dealer {
    disco_walker *walker;  /* begun by disco_walk_start(); says where the stream is */
    uint32_t n_partitions; /* at least 1 */
    uint32_t owner;        /* the partition of the current pair, or the one that is full */
    size_t capacity;       /* bytes of each buffer, at least 1 */
    unsigned char *room;   /* the buffers, one after the other */
    size_t *n_bytes;       /* of each buffer: the bytes in it */
    uint64_t *n_pairs;     /* of each buffer: the pairs that end in it */
    unsigned char *key;    /* a key item that is not complete, or has not been moved to a buffer */
    size_t key_room;       /* bytes that `key` has room for */
    size_t n_key;          /* bytes of it, its size included */
    size_t n_key_moved;    /* bytes of it that are in the buffer of its partition */
} kvproto_dealer;

typedef enum kvproto_dealt {
    KVPROTO_DEALT = 0,          /* all bytes are taken */
    KVPROTO_DEAL_TOO_LARGE = 1, /* a size is over the limit, see disco_walk(); do not go on */
    KVPROTO_DEAL_FULL = 2,      /* the buffer of `owner`: empty it and go on */
    KVPROTO_DEAL_KEY_FULL = 3   /* `key` has no room for key_room + 1 bytes: enlarge it and go on */
} kvproto_dealt;

/* Take the next n_bytes of the stream; *n_taken says how many of them. */
kvproto_dealt kvproto_deal(kvproto_dealer *dealer, const void *data, size_t n_bytes,
                           size_t *n_taken);

/* Sorts frames by their keys, in memory: first add() all, then sort(), then take() them. */
typedef struct kvproto_sorter kvproto_sorter;

/* A sorter that uses about max_bytes of memory. Returns NULL without memory. */
kvproto_sorter *kvproto_sorter_new(size_t max_bytes, uint32_t max_item);

void kvproto_sorter_free(kvproto_sorter *sorter);

/*
 * Add frames, cut anywhere. Returns how many bytes were taken: fewer than n_bytes when the sorter
 * is full; -1 without memory; -2 when a size is over max_item. However small max_bytes is, one pair
 * is always taken.
 */
int64_t kvproto_sorter_add(kvproto_sorter *sorter, const void *data, size_t n_bytes);

/* How many complete pairs it has; the bytes of an incomplete one. */
size_t kvproto_sorter_n_pairs(const kvproto_sorter *sorter);
size_t kvproto_sorter_n_left(const kvproto_sorter *sorter);

/* Sort the pairs that were added; equal keys keep their order. Returns 0, or -1 without memory. */
int kvproto_sorter_sort(kvproto_sorter *sorter);

/*
 * Write the next sorted frames to out, as many as the room has place for. Returns their bytes. When
 * that is 0, *wanted is the size of the next frame, or 0 at the end.
 */
size_t kvproto_sorter_take(kvproto_sorter *sorter, void *out, size_t room, size_t *wanted);

/* Forget all pairs, to begin again with the bytes of the incomplete one. */
void kvproto_sorter_reset(kvproto_sorter *sorter);

/*
 * Encode frames as records for the program `sort`: KEY 02 VALUE 00, where 01 03, 01 04 and 01 05
 * stand for the bytes 00, 01 and 02 of keys and values, so that the order of keys stays the same.
 * out needs room for 2 * n_bytes. Returns the bytes written.
 */
size_t kvproto_frames_to_records(const void *frames, size_t n_bytes, void *out);

/*
 * Decode whole records. out needs room for n_bytes and 6 bytes more for each record. Returns the
 * bytes written, or -1 if these are not records.
 */
int64_t kvproto_records_to_frames(const void *records, size_t n_bytes, void *out);

/* Adds up the values of each key: first add() frames, then take() the sums. */
typedef struct kvproto_summer kvproto_summer;

/* Why kvproto_summer_add() has stopped. */
enum {
    KVPROTO_GO_ON,
    KVPROTO_MORE, /* no whole frame is left */
    KVPROTO_FULL, /* take the sums first */
    KVPROTO_ODD,  /* the next value is not written as here, or its sum has more than 64 bits */
    KVPROTO_OVER_LIMIT, /* a size is over max_item */
    KVPROTO_NO_MEMORY
};

/*
 * A summer that uses about max_bytes of memory, of decimal numbers, or with is_typed of the ints of
 * typed frames. Returns NULL without memory.
 */
kvproto_summer *kvproto_summer_new(size_t max_bytes, uint32_t max_item, int is_typed);

void kvproto_summer_free(kvproto_summer *summer);

/*
 * Add frames whose values are decimal numbers: a minus or none, and 1 to 18 digits without zeros
 * before them; in typed frames, i and 8 bytes. Returns the bytes of the frames that were added;
 * *stop says what comes after them.
 */
size_t kvproto_summer_add(kvproto_summer *summer, const void *data, size_t n_bytes, int *stop);

/*
 * Write the next sums to out as frames, in the order in which the keys first came, as many as the
 * room has place for. Returns their bytes. When that is 0, *wanted is the size of the next frame,
 * or 0 at the end.
 */
size_t kvproto_summer_take(kvproto_summer *summer, void *out, size_t room, size_t *wanted);

/* Forget all sums. */
void kvproto_summer_reset(kvproto_summer *summer);

/* cffi: end */

#endif
