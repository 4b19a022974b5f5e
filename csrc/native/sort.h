/*
 * What the sources of kvproto_sorter share: sort.c takes frames and finds groups of equal keys,
 * sort_order.c puts them in order.
 */
#ifndef KVPROTO_SORT_H
#define KVPROTO_SORT_H

#include "native.h"

#include "disco.h"
#include "inline.h"
#include "keys.h"

enum {
    LONGER = PREFIX_BYTES + 1, /* the `rest` of a key that goes on after the prefix */
    DIGIT_BITS = 11,
    DIGIT_VALUES = 1 << DIGIT_BITS,
    N_DIGITS = 6
};

typedef struct pair_group {
    uint32_t at; /* offset of its first frame */
    uint32_t n_pairs;
} pair_group;

typedef struct table_slot {
    uint64_t prefix;
    uint32_t key_size;
    uint32_t group; /* 1 + its number; 0: the slot is free */
} table_slot;

typedef struct group_ref {
    uint64_t prefix;
    uint32_t group;
    uint32_t rest; /* bytes of the key in the prefix, or LONGER */
} group_ref;

struct kvproto_sorter {
    size_t max_bytes;
    uint32_t max_item;
    unsigned char *data;
    size_t n_data, data_room;
    size_t n_indexed;   /* bytes of complete frames */
    uint32_t *group_of; /* the group of each pair */
    size_t n_pairs, pairs_room;
    pair_group *groups;
    size_t n_groups, groups_room;
    table_slot *table; /* NULL: each pair is a group */
    size_t n_slots;
    uint32_t *order;  /* offsets of the sorted frames; NULL before kvproto_sorter_sort() */
    size_t n_written; /* frames that kvproto_sorter_take() has written */
    uint32_t counts[N_DIGITS][DIGIT_VALUES];
};

static inline disco_slice key_at(const kvproto_sorter *sorter, size_t at)
{
    const unsigned char *frame = sorter->data + at;
    return (disco_slice){.data = frame + 4, .n_bytes = get_u32(frame)};
}

static inline size_t frame_size(const unsigned char *frame)
{
    size_t key_size = get_u32(frame);
    return 8 + key_size + get_u32(frame + 4 + key_size);
}

#endif
