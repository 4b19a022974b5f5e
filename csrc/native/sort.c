/*
 * Sort frames by their keys in memory: kvproto_sorter of native.h. kvproto/engine/sort_memory.py
 * has its equivalent in Python.
 *
 * Data often has far fewer keys than pairs. So a table first assigns equal keys to one group, and
 * only the groups are sorted, by radix over 8 bytes of the key at a time. The table is dropped when
 * it does not pay; from then on each pair is a group. At the end a counting sort puts the pairs in
 * the order of their groups; equal keys keep the order in which they came.
 */
#define _GNU_SOURCE
#include "native.h"

#include "disco.h"
#include "inline.h"
#include "keys.h"

#include <stdlib.h>
#include <string.h>

#ifndef KVPROTO_SORT_FEW /* a fuzz target wants fewer */
#define KVPROTO_SORT_FEW 256
#endif

enum { NO_MEMORY = -1, OVER_LIMIT = -2 };

enum {
    SPARE = 8,             /* readable bytes after the data, so that any prefix can be loaded */
    MAX_DATA = 0x7fffffff, /* the offset of one more frame still has 32 bits */
    STEP = 1 << 17,        /* bytes that are taken before the memory is looked at */
    FIRST_SLOTS = 1 << 12,
    MAX_PROBES = 128,          /* a table that needs more is dropped */
    CHECKED_PAIRS = 1 << 16,   /* after so many pairs it is asked whether the table pays */
    LONGER = PREFIX_BYTES + 1, /* the `rest` of a key that goes on after the prefix */
    DIGIT_BITS = 11,
    DIGIT_VALUES = 1 << DIGIT_BITS,
    N_DIGITS = 6,
    FEW = KVPROTO_SORT_FEW, /* so many groups are sorted by comparison */
    MAX_LEVELS = 64,
    AHEAD = 16 /* places from which a key or frame is fetched in advance */
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
    if (sorter == NULL)
        return;
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

/* ---- frames to groups ----------------------------------------------------------------------- */

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

/* ---- groups in order ------------------------------------------------------------------------ */

typedef struct comparison {
    const kvproto_sorter *sorter;
    size_t depth; /* bytes in which the keys are known to be equal */
} comparison;

static int compare(const void *one, const void *other, void *context)
{
    const comparison *with = context;
    const group_ref *left = one, *right = other;
    disco_slice key = key_at(with->sorter, with->sorter->groups[left->group].at);
    disco_slice than = key_at(with->sorter, with->sorter->groups[right->group].at);
    size_t n = key.n_bytes < than.n_bytes ? key.n_bytes : than.n_bytes;
    int order = n > with->depth ? memcmp((const char *)key.data + with->depth,
                                         (const char *)than.data + with->depth, n - with->depth)
                                : 0;
    if (order != 0)
        return order;
    if (key.n_bytes != than.n_bytes)
        return key.n_bytes < than.n_bytes ? -1 : 1;
    return left->group < right->group ? -1 : 1; /* stable */
}

/* Load what the keys have from `depth` on. */
static void load_refs(const kvproto_sorter *sorter, group_ref *refs, size_t n_refs, size_t depth)
{
    for (size_t index = 0; index < n_refs; index++) {
        if (index + AHEAD < n_refs)
            __builtin_prefetch(sorter->data + sorter->groups[refs[index + AHEAD].group].at);
        disco_slice key = key_at(sorter, sorter->groups[refs[index].group].at);
        size_t n_left = key.n_bytes - depth; /* all of them are longer than that, or as long */
        refs[index].prefix = load_prefix((const char *)key.data + depth, n_left);
        refs[index].rest = n_left > PREFIX_BYTES ? LONGER : (uint32_t)n_left;
    }
}

/* Counts to the place of the first element of each value. */
static void add_up(uint32_t *counts, size_t n_counts)
{
    uint32_t sum = 0;
    for (size_t value = 0; value < n_counts; value++) {
        uint32_t count = counts[value];
        counts[value] = sum;
        sum += count;
    }
}

static inline uint32_t digit_of(const group_ref *ref, int digit)
{
    return (uint32_t)(ref->prefix >> (digit * DIGIT_BITS)) & (DIGIT_VALUES - 1);
}

/* Sort by (prefix, rest), stable: one pass for each digit, from the last one on. */
static void sort_by_digits(kvproto_sorter *sorter, group_ref *refs, group_ref *spare, size_t n_refs)
{
    uint32_t rests[LONGER + 1] = {0};
    group_ref *from = refs, *to = spare, *swapped;
    memset(sorter->counts, 0, sizeof sorter->counts);
    for (size_t index = 0; index < n_refs; index++) {
        rests[refs[index].rest]++;
        for (int digit = 0; digit < N_DIGITS; digit++)
            sorter->counts[digit][digit_of(&refs[index], digit)]++;
    }
    if (rests[refs[0].rest] != n_refs) {
        add_up(rests, LONGER + 1);
        for (size_t index = 0; index < n_refs; index++)
            to[rests[from[index].rest]++] = from[index];
        swapped = from, from = to, to = swapped;
    }
    for (int digit = 0; digit < N_DIGITS; digit++) {
        uint32_t *counts = sorter->counts[digit];
        if (counts[digit_of(&from[0], digit)] == n_refs)
            continue;
        add_up(counts, DIGIT_VALUES);
        for (size_t index = 0; index < n_refs; index++)
            to[counts[digit_of(&from[index], digit)]++] = from[index];
        swapped = from, from = to, to = swapped;
    }
    if (from != refs)
        memcpy(refs, from, n_refs * sizeof *refs);
}

/* The end of the run of refs that are equal to the first one. */
static size_t run_length(const group_ref *refs, size_t n_refs)
{
    size_t length = 1;
    while (length < n_refs && refs[length].prefix == refs[0].prefix &&
           refs[length].rest == refs[0].rest)
        length++;
    return length;
}

/* Sort refs whose keys are equal in their first `depth` bytes. */
static void sort_refs(kvproto_sorter *sorter, group_ref *refs, group_ref *spare, size_t n_refs,
                      size_t depth, int level)
{
    size_t length;
    for (;; depth += PREFIX_BYTES) {
        if (n_refs <= FEW || level == MAX_LEVELS) {
            comparison with = {.sorter = sorter, .depth = depth};
            qsort_r(refs, n_refs, sizeof *refs, compare, &with);
            return;
        }
        load_refs(sorter, refs, n_refs, depth);
        if (run_length(refs, n_refs) < n_refs)
            break;
        if (refs[0].rest != LONGER)
            return;
    }
    sort_by_digits(sorter, refs, spare, n_refs);
    for (size_t index = 0; index < n_refs; index += length) {
        length = run_length(refs + index, n_refs - index);
        if (length > 1 && refs[index].rest == LONGER)
            sort_refs(sorter, refs + index, spare, length, depth + PREFIX_BYTES, level + 1);
    }
}

size_t kvproto_sorter_n_pairs(const kvproto_sorter *sorter) { return sorter->n_pairs; }

size_t kvproto_sorter_n_left(const kvproto_sorter *sorter)
{
    return sorter->n_data - sorter->n_indexed;
}

int kvproto_sorter_sort(kvproto_sorter *sorter)
{
    size_t n_pairs = sorter->n_pairs, n_groups = sorter->n_groups;
    group_ref *refs = malloc((n_groups + 1) * sizeof *refs);
    group_ref *spare = malloc((n_groups + 1) * sizeof *spare);
    uint32_t *next = malloc((n_groups + 1) * sizeof *next);
    uint32_t *order = malloc((n_pairs + 1) * sizeof *order);
    int failed = refs == NULL || spare == NULL || next == NULL || order == NULL;
    if (!failed) {
        for (size_t group = 0; group < n_groups; group++)
            refs[group].group = (uint32_t)group;
        sort_refs(sorter, refs, spare, n_groups, 0, 0);
        uint32_t n_before = 0;
        for (size_t index = 0; index < n_groups; index++) {
            next[refs[index].group] = n_before;
            n_before += sorter->groups[refs[index].group].n_pairs;
        }
        size_t at = 0;
        for (size_t pair = 0; pair < n_pairs; pair++) {
            order[next[sorter->group_of[pair]]++] = (uint32_t)at;
            at += frame_size(sorter->data + at);
        }
        sorter->order = order;
        order = NULL;
    }
    free(refs);
    free(spare);
    free(next);
    free(order);
    return failed ? -1 : 0;
}

size_t kvproto_sorter_take(kvproto_sorter *sorter, void *out, size_t room, size_t *wanted)
{
    unsigned char *end = out;
    for (*wanted = 0; sorter->n_written < sorter->n_pairs; sorter->n_written++) {
        if (sorter->n_written + AHEAD < sorter->n_pairs)
            __builtin_prefetch(sorter->data + sorter->order[sorter->n_written + AHEAD]);
        const unsigned char *frame = sorter->data + sorter->order[sorter->n_written];
        size_t size = frame_size(frame);
        if (size > room) {
            *wanted = size;
            break;
        }
        memcpy(end, frame, size);
        end += size;
        room -= size;
    }
    return (size_t)(end - (unsigned char *)out);
}

/* ---- frames and the records of the program `sort` ------------------------------------------- */

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
