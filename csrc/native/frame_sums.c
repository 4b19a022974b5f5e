/*
 * Sums of frames whose values are decimal numbers: kvproto_summer of native.h.
 * kvproto/classic/frame_sums.py has its equivalent in Python.
 *
 * A table of keys with their sums as C numbers. The bytes of the keys lie one after the other, in
 * the order in which the keys first came.
 */
#define _GNU_SOURCE
#include "native.h"

#include "crc.h"
#include "disco.h"
#include "inline.h"
#include "keys.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    SPARE = PREFIX_BYTES, /* readable bytes after the keys */
    TYPED_BYTES = 9,
    FEWEST_SLOTS = 1 << 10,
    MOST_SUMS = 1 << 30,
    MOST_DIGITS = 18, /* any number with so many has 64 bits; a sum has one or two more */
    AHEAD = 16        /* pairs whose entries come from memory at the same time */
};

typedef struct key_sum {
    uint64_t prefix;
    int64_t sum;
    size_t at; /* of the key, among all keys */
    uint32_t key_size;
} key_sum;

struct kvproto_summer {
    size_t max_bytes;
    uint32_t max_item;
    int is_typed;
    uint64_t seed;
    key_sum *sums; /* room for half as many as there are slots */
    uint32_t *slots;
    size_t n_sums, n_slots;
    unsigned char *keys;
    size_t n_key_bytes, key_room;
    size_t n_written; /* sums that kvproto_summer_take() has written */
};

typedef struct pair_step {
    disco_slice key;
    uint64_t prefix;
    size_t hash;
    int64_t number;
    size_t end; /* offset of the byte after the pair */
} pair_step;

kvproto_summer *kvproto_summer_new(size_t max_bytes, uint32_t max_item, int is_typed)
{
    kvproto_summer *summer = calloc(1, sizeof *summer);
    if (summer == NULL)
        return NULL;
    summer->max_bytes = max_bytes;
    summer->max_item = max_item;
    summer->is_typed = is_typed;
    /* Without a seed, others could choose keys that collide. */
    if (getentropy(&summer->seed, sizeof summer->seed) != 0) {
        free(summer);
        return NULL;
    }
    return summer;
}

void kvproto_summer_free(kvproto_summer *summer)
{
    free(summer->sums);
    free(summer->slots);
    free(summer->keys);
    free(summer);
}

void kvproto_summer_reset(kvproto_summer *summer)
{
    if (summer->n_slots > 0)
        memset(summer->slots, 0, summer->n_slots * sizeof *summer->slots);
    summer->n_sums = summer->n_key_bytes = summer->n_written = 0;
}

static disco_slice key_of(const kvproto_summer *summer, const key_sum *sum)
{
    return (disco_slice){.data = summer->keys + sum->at, .n_bytes = sum->key_size};
}

static int grow_table(kvproto_summer *summer)
{
    size_t n_slots = summer->n_slots == 0 ? FEWEST_SLOTS : 4 * summer->n_slots;
    if (n_slots / 2 > MOST_SUMS)
        return -1;
    key_sum *sums = realloc(summer->sums, n_slots / 2 * sizeof *sums);
    if (sums == NULL)
        return -1;
    summer->sums = sums;
    uint32_t *slots = calloc(n_slots, sizeof *slots);
    if (slots == NULL)
        return -1;
    free(summer->slots);
    summer->slots = slots;
    summer->n_slots = n_slots;
    for (size_t index = 0; index < summer->n_sums; index++) {
        disco_slice key = key_of(summer, &sums[index]);
        size_t at = hash_key(&key, sums[index].prefix, summer->seed);
        while (slots[at & (n_slots - 1)] != 0)
            at++;
        slots[at & (n_slots - 1)] = (uint32_t)index + 1;
    }
    return 0;
}

static int has_key(const kvproto_summer *summer, const key_sum *sum, const pair_step *step)
{
    if (sum->prefix != step->prefix || sum->key_size != step->key.n_bytes)
        return 0;
    return sum->key_size <= PREFIX_BYTES ||
           memcmp(summer->keys + sum->at, step->key.data, sum->key_size) == 0;
}

/* Keep a new key, with the sum 0. Returns its place, or NULL without memory. */
static key_sum *add_key(kvproto_summer *summer, const pair_step *step)
{
    size_t n_bytes = step->key.n_bytes;
    size_t wanted = summer->n_key_bytes + n_bytes + SPARE;
    if (wanted > summer->key_room) {
        size_t room = wanted < 2 * summer->key_room ? 2 * summer->key_room : wanted;
        unsigned char *keys = realloc(summer->keys, room);
        if (keys == NULL)
            return NULL;
        summer->keys = keys;
        summer->key_room = room;
    }
    key_sum *sum = &summer->sums[summer->n_sums++];
    *sum =
        (key_sum){.prefix = step->prefix, .at = summer->n_key_bytes, .key_size = (uint32_t)n_bytes};
    memcpy(summer->keys + sum->at, step->key.data, n_bytes);
    memset(summer->keys + sum->at + n_bytes, 0, SPARE);
    summer->n_key_bytes += n_bytes;
    return sum;
}

/* Returns 1 if the pair was added, 0 if its sum would overflow, -1 without memory. */
static int add_step(kvproto_summer *summer, const pair_step *step)
{
    if (summer->n_sums == summer->n_slots / 2 && grow_table(summer) != 0)
        return -1;
    size_t mask = summer->n_slots - 1, at = step->hash & mask;
    while (summer->slots[at] != 0 && !has_key(summer, &summer->sums[summer->slots[at] - 1], step))
        at = (at + 1) & mask;
    key_sum *sum =
        summer->slots[at] == 0 ? add_key(summer, step) : &summer->sums[summer->slots[at] - 1];
    if (sum == NULL)
        return -1;
    summer->slots[at] = (uint32_t)(sum - summer->sums) + 1;
    int64_t total;
    if (__builtin_add_overflow(sum->sum, step->number, &total))
        return 0;
    sum->sum = total;
    return 1;
}

/* Read a number as it is written here: no plus, no zeros before it, at most 18 digits. */
static int read_number(const disco_slice *value, int64_t *number)
{
    const unsigned char *digit = value->data;
    size_t n_digits = value->n_bytes;
    int is_negative = n_digits > 1 && *digit == '-';
    digit += is_negative;
    n_digits -= (size_t)is_negative;
    if (n_digits == 0 || n_digits > MOST_DIGITS || (*digit == '0' && value->n_bytes > 1))
        return 0;
    int64_t sum = 0;
    for (size_t index = 0; index < n_digits; index++) {
        unsigned int one = (unsigned int)digit[index] - '0';
        if (one > 9)
            return 0;
        sum = 10 * sum + one;
    }
    *number = is_negative ? -sum : sum;
    return 1;
}

/* Read the int of a typed frame: its letter, and 8 bytes. */
static int read_typed(const disco_slice *value, int64_t *number)
{
    const unsigned char *data = value->data;
    if (value->n_bytes != TYPED_BYTES || data[0] != 'i')
        return 0;
    *number = (int64_t)kvproto_get_u64(data + 1);
    return 1;
}

/* The first bytes of a key in a buffer, of which n_left bytes are readable from the key on. */
static uint64_t prefix_in(const disco_slice *key, size_t n_left)
{
    unsigned char copy[PREFIX_BYTES] = {0};
    if (n_left >= PREFIX_BYTES)
        return load_prefix(key->data, key->n_bytes);
    memcpy(copy, key->data, key->n_bytes);
    return load_prefix(copy, key->n_bytes);
}

/*
 * Read the pairs from data[*at] on, at most AHEAD of them; *at moves to the first that is not read.
 * Returns their number; *stop says why there are no more.
 */
static int read_steps(const kvproto_summer *summer, const unsigned char *data, size_t n_bytes,
                      size_t *at, pair_step *steps, int *stop)
{
    int n_steps = 0;
    disco_slice value;
    size_t consumed;
    for (; n_steps < AHEAD; n_steps++) {
        pair_step *step = &steps[n_steps];
        disco_status status =
            decode_pair(data + *at, n_bytes - *at, summer->max_item, &step->key, &value, &consumed);
        if (status != DISCO_OK) {
            *stop = status == DISCO_TOO_LARGE ? KVPROTO_OVER_LIMIT : KVPROTO_MORE;
            break;
        }
        if (!(summer->is_typed ? read_typed : read_number)(&value, &step->number)) {
            *stop = KVPROTO_ODD;
            break;
        }
        step->prefix = prefix_in(&step->key, n_bytes - *at - 4);
        step->hash = hash_key(&step->key, step->prefix, summer->seed);
        if (summer->n_slots > 0)
            __builtin_prefetch(&summer->slots[step->hash & (summer->n_slots - 1)]);
        *at += consumed;
        step->end = *at;
    }
    return n_steps;
}

static void fetch_sums(const kvproto_summer *summer, const pair_step *steps, int n_steps)
{
    for (int index = 0; index < n_steps && summer->n_slots > 0; index++) {
        uint32_t number = summer->slots[steps[index].hash & (summer->n_slots - 1)];
        if (number != 0)
            __builtin_prefetch(&summer->sums[number - 1]);
    }
}

static size_t n_bytes_used(const kvproto_summer *summer)
{
    return summer->n_key_bytes + summer->n_sums * sizeof(key_sum) +
           summer->n_slots * sizeof(uint32_t);
}

size_t kvproto_summer_add(kvproto_summer *summer, const void *data, size_t n_bytes, int *stop)
{
    pair_step steps[AHEAD];
    size_t at = 0, n_taken = 0;
    for (*stop = KVPROTO_GO_ON; *stop == KVPROTO_GO_ON;) {
        if (n_bytes_used(summer) > summer->max_bytes && summer->n_sums > 0) {
            *stop = KVPROTO_FULL;
            break;
        }
        int n_steps = read_steps(summer, data, n_bytes, &at, steps, stop);
        fetch_sums(summer, steps, n_steps);
        for (int index = 0; index < n_steps; index++) {
            int is_added = add_step(summer, &steps[index]);
            if (is_added != 1) {
                *stop = is_added == 0 ? KVPROTO_ODD : KVPROTO_NO_MEMORY;
                break;
            }
            n_taken = steps[index].end;
        }
    }
    return n_taken;
}

/* Write a sum as a value. Returns its bytes. */
static size_t write_sum(const kvproto_summer *summer, int64_t sum, char *value, size_t room)
{
    if (!summer->is_typed)
        return (size_t)snprintf(value, room, "%lld", (long long)sum);
    value[0] = 'i';
    put_u32(value + 1, (uint32_t)sum);
    put_u32(value + 5, (uint32_t)((uint64_t)sum >> 32));
    return TYPED_BYTES;
}

size_t kvproto_summer_take(kvproto_summer *summer, void *out, size_t room, size_t *wanted)
{
    char *end = out, number[MOST_DIGITS + 4];
    for (*wanted = 0; summer->n_written < summer->n_sums; summer->n_written++) {
        const key_sum *sum = &summer->sums[summer->n_written];
        size_t n_digits = write_sum(summer, sum->sum, number, sizeof number);
        size_t size = 8 + sum->key_size + n_digits;
        if (size > room) {
            *wanted = size;
            break;
        }
        put_u32(end, sum->key_size);
        memcpy(end + 4, summer->keys + sum->at, sum->key_size);
        put_u32(end + 4 + sum->key_size, (uint32_t)n_digits);
        memcpy(end + 8 + sum->key_size, number, n_digits);
        end += size;
        room -= size;
    }
    return (size_t)(end - (char *)out);
}
