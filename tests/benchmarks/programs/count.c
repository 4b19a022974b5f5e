/* count: the words of stdin and their counts, by one process with a hash table. The limit. */
#include "table.h"
#include "tokens.h"

#include <inttypes.h>

static void take(const char *word, size_t size)
{
    if (!add(word, size, 1))
        abort();
}

int main(void)
{
    if (!each_token(take))
        return 1;
    for (size_t at = 0; at < n_slots; at++)
        if (slots[at].word)
            printf("%.*s\t%" PRIu64 "\n", (int)slots[at].size, slots[at].word, slots[at].count);
    return fflush(stdout) != 0;
}
