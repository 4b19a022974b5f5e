/* map: a worker that answers each line with (word, 1) for each of its words. */
#include <disco.h>

typedef struct word {
    const char *start;
    size_t size;
} word;

/* Find the words of a line; *words grows. Returns how many there are. */
static size_t split(const p_entry *line, word **words, size_t *room)
{
    size_t n_words = 0;
    const char *at = line->data, *const end = at + line->len;
    for (const char *start = at; at <= end; at++) {
        if (at < end && (unsigned char)*at > ' ')
            continue;
        if (at > start) {
            if (n_words == *room) {
                *room = *room ? 2 * *room : 64;
                if (!(*words = realloc(*words, *room * sizeof **words)))
                    die("out of memory for %zu words", *room);
            }
            (*words)[n_words++] = (word){start, (size_t)(at - start)};
        }
        start = at + 1;
    }
    return n_words;
}

int main(void)
{
    p_entry *key = NULL, *line = NULL;
    word *words = NULL;
    size_t room = 0;
    disco_params_free(disco_params_read());
    while (read_kv(&key, &line)) {
        const size_t n_words = split(line, &words, &room);
        write_num_prefix((int)n_words);
        for (size_t index = 0; index < n_words; index++)
            disco_write_kv(words[index].start, words[index].size, "1", 1);
    }
    return 0;
}
