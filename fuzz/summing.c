/*
 * Invariant: the sums of a summer, and what it refuses, are the values that were added, for any
 * frames in any pieces and any memory. It stops only at the end, when it is full, at a value that
 * is not a number of at most 18 digits, or not a typed int, or would overflow, or without memory.
 */
#define _GNU_SOURCE
#include "faulty.h"

#include "frame_sums.c"

enum { MOST_KEYS = 300 };

typedef struct checked_sum {
    disco_slice key;
    int64_t sum;
} checked_sum;

typedef struct checked {
    checked_sum sums[MOST_KEYS];
    size_t n_sums;
} checked;

static checked_sum *find(checked *all, const disco_slice *key)
{
    for (size_t index = 0; index < all->n_sums; index++) {
        checked_sum *sum = &all->sums[index];
        if (sum->key.n_bytes == key->n_bytes &&
            (key->n_bytes == 0 || memcmp(sum->key.data, key->data, key->n_bytes) == 0))
            return sum;
    }
    return NULL;
}

static int is_typed;

/*
 * Independently of the source: strtoll, and the number written again is the same; or the 8 bytes
 * shifted into a number.
 */
static int is_number(const disco_slice *value, int64_t *number)
{
    char text[24], again[24];
    const unsigned char *byte = value->data;
    if (is_typed) {
        uint64_t bits = 0;
        for (int index = 8; index > 0 && value->n_bytes == 9; index--)
            bits = bits << 8 | byte[index];
        *number = (int64_t)bits;
        return value->n_bytes == 9 && byte[0] == 'i';
    }
    if (value->n_bytes == 0 || value->n_bytes > 19)
        return 0;
    memcpy(text, value->data, value->n_bytes);
    text[value->n_bytes] = '\0';
    *number = strtoll(text, NULL, 10);
    snprintf(again, sizeof again, "%lld", (long long)*number);
    return strlen(text) == value->n_bytes && strcmp(text, again) == 0 &&
           *number < 1000000000000000000 && *number > -1000000000000000000;
}

/* Add the pairs of the frames that were taken to what is checked; they are all numbers. */
static void add_checked(checked *all, const uint8_t *frames, size_t n_taken)
{
    disco_slice key, value;
    size_t consumed;
    int64_t number = 0;
    for (size_t at = 0; at < n_taken; at += consumed) {
        HOLDS(disco_decode_pair(frames + at, n_taken - at, 1000, &key, &value, &consumed) ==
              DISCO_OK);
        HOLDS(is_number(&value, &number));
        checked_sum *sum = find(all, &key);
        if (sum == NULL) {
            HOLDS(all->n_sums < MOST_KEYS);
            sum = &all->sums[all->n_sums++];
            *sum = (checked_sum){.key = key};
        }
        HOLDS(!__builtin_add_overflow(sum->sum, number, &sum->sum));
    }
}

/* The sums come out in order, in blocks of `room` bytes or of one frame; then there are none. */
static void check_sums(kvproto_summer *summer, checked *all, size_t room)
{
    disco_slice key, value;
    size_t wanted = room, n_bytes, consumed, n_seen = 0;
    char text[24];
    int64_t number = 0;
    do {
        size_t size = wanted > room ? wanted : room;
        uint8_t *block = (malloc)(size);
        n_bytes = kvproto_summer_take(summer, block, size, &wanted);
        for (size_t at = 0; at < n_bytes; at += consumed, n_seen++) {
            HOLDS(disco_decode_pair(block + at, n_bytes - at, 1000, &key, &value, &consumed) ==
                  DISCO_OK);
            HOLDS(n_seen < all->n_sums && find(all, &key) == &all->sums[n_seen]);
            snprintf(text, sizeof text, "%lld", (long long)all->sums[n_seen].sum);
            HOLDS(is_typed ? is_number(&value, &number) && number == all->sums[n_seen].sum
                           : strlen(text) == value.n_bytes &&
                                 memcmp(text, value.data, value.n_bytes) == 0);
        }
        free(block);
    } while (n_bytes > 0 || wanted > 0);
    HOLDS(n_seen == all->n_sums);
    kvproto_summer_reset(summer);
    all->n_sums = 0;
}

/* Why it stopped is true of what comes next. */
static void check_stop(checked *all, const uint8_t *frames, size_t n_bytes, int stop)
{
    disco_slice key, value;
    size_t consumed;
    int64_t number = 0, total;
    disco_status status = disco_decode_pair(frames, n_bytes, 1000, &key, &value, &consumed);
    if (stop == KVPROTO_MORE)
        HOLDS(status == DISCO_MORE);
    if (stop == KVPROTO_OVER_LIMIT)
        HOLDS(status == DISCO_TOO_LARGE);
    if (stop != KVPROTO_ODD)
        return;
    HOLDS(status == DISCO_OK);
    checked_sum *sum = find(all, &key);
    HOLDS(!is_number(&value, &number) ||
          (sum != NULL && __builtin_add_overflow(sum->sum, number, &total)));
}

static void sum_all(const uint8_t *frames, size_t n_bytes, size_t max_bytes, size_t room)
{
    static checked all;
    disco_slice key, value;
    size_t at = 0, consumed;
    int stop = KVPROTO_GO_ON;
    all.n_sums = 0;
    kvproto_summer *summer = kvproto_summer_new(max_bytes, 1000, is_typed);
    while (summer != NULL) {
        size_t n_taken = kvproto_summer_add(summer, frames + at, n_bytes - at, &stop);
        HOLDS(n_taken <= n_bytes - at && stop != KVPROTO_GO_ON);
        if (stop == KVPROTO_NO_MEMORY)
            break;
        add_checked(&all, frames + at, n_taken);
        at += n_taken;
        check_stop(&all, frames + at, n_bytes - at, stop);
        if (stop == KVPROTO_ODD) {
            HOLDS(disco_decode_pair(frames + at, n_bytes - at, 1000, &key, &value, &consumed) ==
                  DISCO_OK);
            at += consumed;
        }
        check_sums(summer, &all, room);
        if (stop != KVPROTO_FULL && stop != KVPROTO_ODD)
            break;
    }
    HOLDS(fail_at > 0 || (summer != NULL && stop != KVPROTO_NO_MEMORY));
    kvproto_summer_free(summer);
}

/* Input: the memory and the type, the room for sums, the allocation that fails; then frames. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n_bytes)
{
    static const size_t memories[] = {1 << 20, 0, 300, 5000};
    if (n_bytes < 3 || n_bytes > 8 * MOST_KEYS)
        return 0;
    uint8_t *frames = exact_copy(data + 3, n_bytes - 3);
    fail_at = 0;
    is_typed = data[0] >= 0x80;
    sum_all(frames, n_bytes - 3, memories[data[0] % 4], (size_t)data[1] + 1);
    n_allocations = 0;
    fail_at = data[2];
    sum_all(frames, n_bytes - 3, memories[data[0] % 4], (size_t)data[1] + 1);
    fail_at = 0;
    free(frames);
    return 0;
}
