/* A hash table of words and their counts: open addressing, at most half of the slots in use. */
#ifndef TABLE_H
#define TABLE_H

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

typedef struct word_count {
    char *word; /* NULL: free */
    uint32_t size, hash;
    uint64_t count;
} word_count;

static word_count *slots;
static size_t n_slots, n_used;

static inline word_count *find_slot(const char *word, size_t size, uint32_t hash)
{
    size_t at = hash & (n_slots - 1);
    for (; slots[at].word; at = (at + 1) & (n_slots - 1))
        if (slots[at].hash == hash && slots[at].size == size && !memcmp(slots[at].word, word, size))
            break;
    return &slots[at];
}

/* Double the table. Returns 0 if there is no memory. */
static inline int grow(void)
{
    word_count *const old = slots;
    const size_t n_old = n_slots;
    n_slots = n_old ? 2 * n_old : 1024;
    if (!(slots = calloc(n_slots, sizeof *slots)))
        return 0;
    for (size_t at = 0; at < n_old; at++)
        if (old[at].word)
            *find_slot(old[at].word, old[at].size, old[at].hash) = old[at];
    free(old);
    return 1;
}

/* Add to the count of a word. Returns 0 if there is no memory. */
static inline int add(const char *word, size_t size, uint64_t count)
{
    uint32_t hash = 2166136261u;
    for (size_t at = 0; at < size; at++)
        hash = (hash ^ (unsigned char)word[at]) * 16777619u;
    if (2 * n_used >= n_slots && !grow())
        return 0;
    word_count *const found = find_slot(word, size, hash);
    if (!found->word) {
        char *const copy = malloc(size + 1);
        if (!copy)
            return 0;
        memcpy(copy, word, size);
        *found = (word_count){.word = copy, .size = (uint32_t)size, .hash = hash};
        n_used++;
    }
    found->count += count;
    return 1;
}

#endif
