/*
 * zipf: write text whose words follow Zipf's law, the same text each time: `zipf N_BYTES`.
 *
 * A line has 1 to 20 words. There are 100,000 different words of 2 to 10 letters, about 7 bytes
 * each with the space after it.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define N_WORDS 100000u
#define N_PLACES (1u << 22) /* a word has a share of them that is in proportion to 1 / rank */

typedef struct word {
    unsigned char size;
    char letters[11];
} word;

static word words[N_WORDS];
static uint32_t ranks[N_PLACES];
static uint32_t slots[1u << 18]; /* of a hash table: 0, or 1 + an index into words */

/* SplitMix64. */
static uint64_t draw(void)
{
    static uint64_t state;
    uint64_t bits = state += 0x9e3779b97f4a7c15u;
    bits = (bits ^ bits >> 30) * 0xbf58476d1ce4e5b9u;
    bits = (bits ^ bits >> 27) * 0x94d049bb133111ebu;
    return bits ^ bits >> 31;
}

static void draw_word(word *drawn, unsigned size)
{
    *drawn = (word){.size = (unsigned char)(size + 1)};
    for (unsigned at = 0; at < size; at++)
        drawn->letters[at] = (char)('a' + draw() % 26);
    drawn->letters[size] = ' ';
}

/* Add words[index] to the table. Returns 0 if an equal word is there. */
static int is_new(uint32_t index)
{
    uint32_t hash = 2166136261u;
    for (unsigned at = 0; at < words[index].size; at++)
        hash = (hash ^ (unsigned char)words[index].letters[at]) * 16777619u;
    for (hash >>= 14; slots[hash]; hash = (hash + 1) % (1u << 18))
        if (!memcmp(&words[slots[hash] - 1], &words[index], sizeof(word)))
            return 0;
    slots[hash] = index + 1;
    return 1;
}

static void draw_words(void)
{
    for (uint32_t index = 0; index < N_WORDS; index++)
        /* The few words that every line has are of middle size. */
        do
            draw_word(&words[index], index < 8 ? 5 + index % 3 : 2 + (unsigned)(draw() % 9));
        while (!is_new(index));
}

static void deal_places(void)
{
    double total = 0, so_far = 0;
    uint32_t place = 0;
    for (uint32_t rank = 1; rank <= N_WORDS; rank++)
        total += 1.0 / rank;
    for (uint32_t rank = 1; rank <= N_WORDS; rank++) {
        so_far += 1.0 / rank;
        while (place < N_PLACES && place < so_far / total * N_PLACES)
            ranks[place++] = rank - 1;
    }
}

int main(int argc, char **argv)
{
    const uint64_t n_wanted = argc > 1 ? strtoull(argv[1], NULL, 10) : 0;
    draw_words();
    deal_places();
    for (uint64_t n_bytes = 0; n_bytes < n_wanted;) {
        char line[20 * sizeof(word)];
        size_t size = 0;
        for (uint64_t n_left = 1 + draw() % 20; n_left; n_left--) {
            const word *next = &words[ranks[draw() % N_PLACES]];
            memcpy(line + size, next->letters, next->size);
            size += next->size;
        }
        line[size - 1] = '\n';
        if (fwrite(line, 1, size, stdout) != size)
            return 1;
        n_bytes += size;
    }
    return fflush(stdout) != 0;
}
