/* reduce: a worker that sums the counts of each word, with a hash table, after all input. */
#include "number.h"
#include "table.h"

#include <disco.h>

#include <inttypes.h>
#include <stdio.h>

int main(void)
{
    p_entry *word = NULL, *count = NULL;
    disco_params_free(disco_params_read());
    while (read_kv(&word, &count))
        if (!add(word->data, word->len, number(count->data, count->len)))
            die("out of memory for %zu words", n_used);
    write_num_prefix((int)n_used);
    for (size_t at = 0; at < n_slots; at++) {
        char text[24];
        if (slots[at].word)
            disco_write_kv(slots[at].word, slots[at].size, text,
                           (size_t)snprintf(text, sizeof text, "%" PRIu64, slots[at].count));
    }
    return 0;
}
