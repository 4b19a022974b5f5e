/*
 * reduce_text: what reduce_sorted.c does, for a shell pipe: the sum of the counts of each word, of
 * sorted lines `word TAB count`.
 */
#include "number.h"
#include "tokens.h"

#include <inttypes.h>

static char word[ROOM], last[ROOM]; /* C strings; no word is empty */
static uint64_t sum;

static void write_sum(void)
{
    if (*last)
        printf("%s\t%" PRIu64 "\n", last, sum);
    sum = 0;
}

static void take(const char *token, size_t size)
{
    static int is_count;
    if (!is_count) {
        memcpy(word, token, size);
        word[size] = 0;
    } else {
        const int order = strcmp(last, word);
        if (order > 0) {
            fprintf(stderr, "'%s' comes after '%s'\n", word, last);
            _exit(1);
        }
        if (order < 0) {
            write_sum();
            strcpy(last, word);
        }
        sum += number(token, size);
    }
    is_count = !is_count;
}

int main(void)
{
    if (!each_token(take))
        return 1;
    write_sum();
    return fflush(stdout) != 0;
}
