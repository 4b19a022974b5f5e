/*
 * reduce_sorted: a worker that sums the counts of each word, whose pairs follow each other. It
 * fails if the words are not in ascending order.
 */
#include "number.h"

#include <disco.h>

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static void write_sum(const p_entry *word, uint64_t sum)
{
    char text[24];
    write_num_prefix(1);
    disco_write_kv(word->data, word->len, text,
                   (size_t)snprintf(text, sizeof text, "%" PRIu64, sum));
}

static int compare(const p_entry *one, const p_entry *other)
{
    const int order = memcmp(one->data, other->data, one->len < other->len ? one->len : other->len);
    return order ? order : (one->len > other->len) - (one->len < other->len);
}

int main(void)
{
    p_entry *word = NULL, *count = NULL, *last = NULL;
    uint64_t sum = 0;
    disco_params_free(disco_params_read());
    while (read_kv(&word, &count)) {
        const int order = last ? compare(last, word) : 0;
        if (order > 0)
            die("'%s' comes after '%s'", word->data, last->data);
        if (order < 0) {
            write_sum(last, sum);
            sum = 0;
        }
        if (order || !last)
            copy_entry(&last, word);
        sum += number(count->data, count->len);
    }
    if (last)
        write_sum(last, sum);
    return 0;
}
