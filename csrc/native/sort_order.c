/*
 * The groups of a sorter in the order of their keys, and its pairs in the order of their groups.
 *
 * Groups are sorted by radix over 8 bytes of the key at a time. Then a counting sort puts the pairs
 * in order; equal keys keep the order in which they came.
 */
#define _GNU_SOURCE
#include "sort.h"

#include <stdlib.h>
#include <string.h>

#ifndef KVPROTO_SORT_FEW /* a fuzz target wants fewer */
#define KVPROTO_SORT_FEW 256
#endif

enum {
    FEW = KVPROTO_SORT_FEW, /* so many groups are sorted by comparison */
    MAX_LEVELS = 64,
    AHEAD = 16 /* places from which a key or frame is fetched in advance */
};

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
