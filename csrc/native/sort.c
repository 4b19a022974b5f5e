/*
 * Sort frames by their keys in memory: kvproto_sorter of native.h. kvproto/engine/sort_memory.py
 * has its equivalent in Python.
 *
 * Data often has far fewer keys than pairs. So a table first assigns equal keys to one group, and
 * only the groups are sorted (sort_order.c). The table is dropped when it does not pay; from then
 * on each pair is a group.
 */
#include "sort.h"

#include <stdlib.h>
#include <string.h>

enum { NO_MEMORY = -1, OVER_LIMIT = -2 };

enum {
    SPARE = 8,             /* readable bytes after the data, so that any prefix can be loaded */
    MAX_DATA = 0x7fffffff, /* the offset of one more frame still has 32 bits */
    STEP = 1 << 17,        /* bytes that are taken before the memory is looked at */
    FIRST_SLOTS = 1 << 12,
    MAX_PROBES = 128,       /* a table that needs more is dropped */
    CHECKED_PAIRS = 1 << 16 /* after so many pairs it is asked whether the table pays */
};

/*
 * Make room for `wanted` elements, at least twice the room of before. Returns the array, which may
 * have moved, or NULL without memory: then it is as it was.
 */
static void *grown(void *array, size_t *room, size_t wanted, size_t element_size)
{
    if (wanted <= *room)
        return array;
    size_t n = wanted < 2 * *room ? 2 * *room : wanted;
    array = realloc(array, n * element_size);
    if (array != NULL)
        *room = n;
    return array;
}

static void drop_table(kvproto_sorter *sorter)
{
    free(sorter->table);
    sorter->table = NULL;
    sorter->n_slots = 0;
}

kvproto_sorter *kvproto_sorter_new(size_t max_bytes, uint32_t max_item)
{
    kvproto_sorter *sorter = calloc(1, sizeof *sorter);
    if (sorter != NULL) {
        sorter->max_bytes = max_bytes;
        sorter->max_item = max_item;
        kvproto_sorter_reset(sorter);
    }
    return sorter;
}

void kvproto_sorter_free(kvproto_sorter *sorter)
{
    free(sorter->data);
    free(sorter->group_of);
    free(sorter->groups);
    free(sorter->table);
    free(sorter->order);
    free(sorter);
}

void kvproto_sorter_reset(kvproto_sorter *sorter)
{
    size_t n_left = sorter->n_data - sorter->n_indexed;
    if (n_left > 0)
        memmove(sorter->data, sorter->data + sorter->n_indexed, n_left);
    sorter->n_data = n_left;
    sorter->n_indexed = sorter->n_pairs = sorter->n_groups = sorter->n_written = 0;
    free(sorter->order);
    sorter->order = NULL;
    drop_table(sorter);
    sorter->table = calloc(FIRST_SLOTS, sizeof *sorter->table); /* it can do without */
    sorter->n_slots = sorter->table == NULL ? 0 : FIRST_SLOTS;
}

/* Twice as many slots; without memory for them the table is dropped. */
static void grow_table(kvproto_sorter *sorter)
{
    size_t n_slots = 2 * sorter->n_slots;
    table_slot *table = calloc(n_slots, sizeof *table);
    for (size_t index = 0; table != NULL && index < sorter->n_slots; index++) {
        const table_slot *slot = &sorter->table[index];
        if (slot->group == 0)
            continue;
        disco_slice key = key_at(sorter, sorter->groups[slot->group - 1].at);
        size_t at = hash_key(&key, slot->prefix, 0) & (n_slots - 1);
        while (table[at].group != 0)
            at = (at + 1) & (n_slots - 1);
        table[at] = *slot;
    }
    drop_table(sorter);
    sorter->table = table;
    sorter->n_slots = table == NULL ? 0 : n_slots;
}

/* The slot of a key, or the free one that it gets; NULL: the table was dropped. */
static table_slot *slot_of(kvproto_sorter *sorter, const disco_slice *key)
{
    uint64_t prefix = load_prefix(key->data, key->n_bytes);
    size_t mask = sorter->n_slots - 1, at = hash_key(key, prefix, 0) & mask;
    for (int n_probes = 0; n_probes < MAX_PROBES; n_probes++, at = (at + 1) & mask) {
        table_slot *slot = &sorter->table[at];
        if (slot->group == 0) {
            slot->prefix = prefix;
            slot->key_size = (uint32_t)key->n_bytes;
            return slot;
        }
        if (slot->prefix != prefix || slot->key_size != key->n_bytes)
            continue;
        disco_slice other = key_at(sorter, sorter->groups[slot->group - 1].at);
        if (key->n_bytes <= PREFIX_BYTES || memcmp(key->data, other.data, key->n_bytes) == 0)
            return slot;
    }
    drop_table(sorter);
    return NULL;
}

/* Add the pair whose frame is at this offset. Returns 0, or -1 without memory. */
static int add_pair(kvproto_sorter *sorter, size_t at, const disco_slice *key)
{
    uint32_t *group_of =
        grown(sorter->group_of, &sorter->pairs_room, sorter->n_pairs + 1, sizeof *group_of);
    if (group_of == NULL)
        return -1;
    sorter->group_of = group_of;
    pair_group *groups =
        grown(sorter->groups, &sorter->groups_room, sorter->n_groups + 1, sizeof *groups);
    if (groups == NULL)
        return -1;
    sorter->groups = groups;
    table_slot *slot = sorter->table == NULL ? NULL : slot_of(sorter, key);
    size_t group = slot != NULL && slot->group != 0 ? slot->group - 1 : sorter->n_groups;
    if (group == sorter->n_groups) {
        sorter->groups[sorter->n_groups++] = (pair_group){.at = (uint32_t)at};
        if (slot != NULL)
            slot->group = (uint32_t)sorter->n_groups;
        if (slot != NULL && 2 * sorter->n_groups > sorter->n_slots)
            grow_table(sorter);
    }
    sorter->groups[group].n_pairs++;
    sorter->group_of[sorter->n_pairs++] = (uint32_t)group;
    if (sorter->n_pairs % CHECKED_PAIRS == 0 && 2 * sorter->n_groups > sorter->n_pairs)
        drop_table(sorter);
    return 0;
}

/* Add the pairs whose frames are complete. Returns 0, or what kvproto_sorter_add() returns. */
static int index_frames(kvproto_sorter *sorter)
{
    disco_slice key, value;
    size_t consumed;
    for (;;) {
        disco_status status =
            decode_pair(sorter->data + sorter->n_indexed, sorter->n_data - sorter->n_indexed,
                        sorter->max_item, &key, &value, &consumed);
        if (status != DISCO_OK)
            return status == DISCO_TOO_LARGE ? OVER_LIMIT : 0;
        if (add_pair(sorter, sorter->n_indexed, &key) != 0)
            return NO_MEMORY;
        sorter->n_indexed += consumed;
    }
}

/* Memory in use, and what sorting will add to it. */
static size_t n_bytes_used(const kvproto_sorter *sorter)
{
    return sorter->n_data + sorter->n_pairs * 2 * sizeof(uint32_t) +
           sorter->n_groups * (sizeof(pair_group) + sizeof(uint32_t) + 2 * sizeof(group_ref)) +
           sorter->n_slots * sizeof(table_slot);
}

int64_t kvproto_sorter_add(kvproto_sorter *sorter, const void *data, size_t n_bytes)
{
    size_t n_taken = 0;
    while (n_taken < n_bytes) {
        int is_full = n_bytes_used(sorter) > sorter->max_bytes || sorter->n_data > MAX_DATA;
        if (is_full && sorter->n_pairs > 0)
            break;
        size_t n = n_bytes - n_taken < STEP ? n_bytes - n_taken : STEP;
        unsigned char *all = grown(sorter->data, &sorter->data_room, sorter->n_data + n + SPARE, 1);
        if (all == NULL)
            return NO_MEMORY;
        sorter->data = all;
        memcpy(sorter->data + sorter->n_data, (const char *)data + n_taken, n);
        memset(sorter->data + sorter->n_data + n, 0, SPARE);
        sorter->n_data += n;
        n_taken += n;
        int error = index_frames(sorter);
        if (error != 0)
            return error;
    }
    return (int64_t)n_taken;
}
