/*
 * wordcount: count words, as map and as reduce of one job, started with the argument "map" or
 * "reduce".
 *
 * map     the words of each value, each once with how often it is there
 * reduce  the sum of each word's counts, after all input; words in the order of their first
 * appearance
 *
 * A word is a run of ASCII letters, digits, underscores and bytes above 127, so that UTF-8 words
 * stay whole. Counts are decimal text. When the work for each byte is more than Python should do,
 * this is the shape to start from.
 */
#include <disco.h>

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

typedef struct word {
    size_t start; /* its bytes: text[start], size of them */
    size_t size;
    size_t slot; /* where the table points to it */
    uint32_t hash;
    uint64_t count;
} word;

static word *words; /* in the order of appearance */
static size_t n_words, room_for_words;

static char *text; /* the bytes of all words */
static size_t n_text, room_for_text;

static size_t
    *slots; /* open addressing: 0, or 1 + an index into words; at most half of them in use */
static size_t n_slots;

/* Make room for `wanted` elements: at least double what is there, so that growing costs little. */
static void *grown(void *array, size_t *room, size_t wanted, size_t size)
{
    size_t larger = *room ? *room : 1024;
    while (larger < wanted)
        larger *= 2;
    if (larger > *room) {
        if (larger > SIZE_MAX / size || !(array = realloc(array, larger * size)))
            die("out of memory for %zu words", n_words);
        *room = larger;
    }
    return array;
}

static size_t free_slot(uint32_t hash)
{
    size_t slot = hash & (n_slots - 1);
    while (slots[slot])
        slot = (slot + 1) & (n_slots - 1);
    return slot;
}

static void rehash(size_t wanted)
{
    size_t index;
    free(slots);
    n_slots = wanted;
    if (!(slots = calloc(n_slots, sizeof *slots)))
        die("out of memory for %zu words", n_words);
    for (index = 0; index < n_words; index++) {
        words[index].slot = free_slot(words[index].hash);
        slots[words[index].slot] = index + 1;
    }
}

static void add(const char *data, size_t size, uint32_t hash, uint64_t count)
{
    size_t slot = hash & (n_slots - 1);
    word *new;
    for (; slots[slot]; slot = (slot + 1) & (n_slots - 1)) {
        word *seen = &words[slots[slot] - 1];
        if (seen->hash == hash && seen->size == size && !memcmp(text + seen->start, data, size)) {
            seen->count += count;
            return;
        }
    }
    words = grown(words, &room_for_words, n_words + 1, sizeof *words);
    text = grown(text, &room_for_text, n_text + size, 1);
    new = &words[n_words++];
    *new = (word){.start = n_text, .size = size, .slot = slot, .hash = hash, .count = count};
    memcpy(text + n_text, data, size);
    n_text += size;
    slots[slot] = n_words;
    if (n_words > n_slots / 2)
        rehash(2 * n_slots);
}

static void forget_all(void)
{
    size_t index;
    for (index = 0; index < n_words; index++)
        slots[words[index].slot] = 0;
    n_words = n_text = 0;
}

/* Write all words as one result list. */
static void write_all(void)
{
    char count[24];
    size_t index;
    if (n_words > INT_MAX)
        die("%zu different words do not fit into one result list", n_words);
    write_num_prefix((int)n_words);
    for (index = 0; index < n_words; index++) {
        const int n_digits = snprintf(count, sizeof count, "%" PRIu64, words[index].count);
        disco_write_kv(text + words[index].start, words[index].size, count, (size_t)n_digits);
    }
}

static int is_of_word(unsigned char byte)
{
    return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') ||
           (byte >= '0' && byte <= '9') || byte == '_' || byte > 127;
}

/* FNV-1a. */
static const uint32_t hash_of_nothing = 2166136261u;

static uint32_t hash_with(uint32_t hash, unsigned char byte) { return (hash ^ byte) * 16777619u; }

static void count_words(const p_entry *line)
{
    const char *at = line->data, *const end = at + line->len;
    while (at < end) {
        const char *const start = at;
        uint32_t hash = hash_of_nothing;
        for (; at < end && is_of_word((unsigned char)*at); at++)
            hash = hash_with(hash, (unsigned char)*at);
        if (at > start)
            add(start, (size_t)(at - start), hash, 1);
        else
            at++;
    }
}

static void add_count(const p_entry *key, const p_entry *val)
{
    uint32_t hash = hash_of_nothing;
    uint64_t count = 0;
    unsigned int at;
    for (at = 0; at < key->len; at++)
        hash = hash_with(hash, (unsigned char)key->data[at]);
    for (at = 0; at < val->len; at++) {
        if (val->data[at] < '0' || val->data[at] > '9')
            die("the count of <%s> is no decimal number: <%s>", key->data, val->data);
        count = 10 * count + (uint64_t)(val->data[at] - '0');
    }
    add(key->data, key->len, hash, count);
}

int main(int argc, char **argv)
{
    p_entry *key = NULL, *val = NULL;
    const int is_map = argc == 2 && !strcmp(argv[1], "map");
    if (!is_map && (argc != 2 || strcmp(argv[1], "reduce") != 0))
        die("start it with one argument, map or reduce");
    disco_params_free(disco_params_read()); /* there are none of interest, but they come first */
    rehash(4096);
    while (read_kv(&key, &val)) {
        if (is_map) {
            count_words(val);
            write_all();
            forget_all();
        } else {
            add_count(key, val);
        }
    }
    if (!is_map)
        write_all();
    return 0;
}
