/*
 * Pairs to the buffers of partitions, in one pass: kvproto/protocol/dealing.py, in C. No
 * allocation, no objects.
 */
#include "native.h"

#include "crc.h"
#include "inline.h"

/* Bytes around a pair that may be read, and in a buffer overwritten, to avoid small loops. */
enum { MARGIN = 32 };

#define INLINE static inline __attribute__((always_inline)) /* once for each way to a CRC */

typedef uint32_t crc_of_word(uint64_t word);

/* The CRC of a key of which MARGIN bytes can be read. */
INLINE uint32_t crc_of_key(const unsigned char *key, size_t n_bytes, crc_of_word *of_word)
{
    if (n_bytes > 16)
        return kvproto_crc32(key, n_bytes);
    size_t n_head = n_bytes > 8 ? n_bytes - 8 : n_bytes;
    /* Zeros before a message do not change the remainder. */
    uint64_t head = n_head == 0 ? 0 : kvproto_get_u64(key) << (64 - 8 * n_head);
    uint32_t crc = of_word(head) ^ kvproto_crc_of_zeros[n_head];
    return n_bytes > 8 ? ~of_word(kvproto_get_u64(key + n_head) ^ (uint32_t)~crc) : crc;
}

/* A division takes longer than all the rest of a pair; most often there is a power of two. */
INLINE uint32_t remainder_of(uint32_t number, uint32_t n)
{
    return (n & (n - 1)) == 0 ? number & (n - 1) : number % n;
}

/* Append a pair, which MARGIN bytes follow, if its buffer has room for as many. */
INLINE int put_pair(kvproto_dealer *dealer, uint32_t owner, const unsigned char *pair, size_t size)
{
    size_t used = dealer->n_bytes[owner];
    if (size + MARGIN > dealer->capacity - used)
        return 0;
    unsigned char *out = dealer->room + owner * dealer->capacity + used;
    memcpy(out, pair, MARGIN);
    if (size > MARGIN)
        memcpy(out + MARGIN, pair + MARGIN, size - MARGIN);
    dealer->n_bytes[owner] = used + size;
    dealer->n_pairs[owner]++;
    return 1;
}

static int is_between(const disco_walker *walker)
{
    return walker->had == 0 &&
           (walker->field == DISCO_NUM_PAIRS || walker->field == DISCO_KEY_SIZE);
}

/*
 * The fast path: from one boundary between elements to another. Returns the number of bytes that it
 * took; the rest, whatever it is, goes through the fields one by one.
 */
INLINE size_t deal_whole(kvproto_dealer *dealer, const unsigned char *data, size_t n_bytes,
                         crc_of_word *of_word)
{
    disco_walker walker = *dealer->walker;
    size_t at = 0;
    while (n_bytes - at >= 8 + MARGIN) {
        if (walker.with_lists && !walker.in_list) {
            walker.list_offset = walker.offset + at;
            walker.num_pairs = walker.pairs_left = get_u32(data + at);
            walker.in_list = walker.pairs_left != 0;
            walker.n_lists += walker.pairs_left == 0;
            at += 4;
            continue;
        }
        size_t room = n_bytes - at - 8 - MARGIN;
        uint32_t key_size = get_u32(data + at);
        if (key_size > walker.max_item || key_size > room)
            break;
        const unsigned char *key = data + at + 4;
        uint32_t value_size = get_u32(key + key_size);
        if (value_size > walker.max_item || value_size > room - key_size)
            break;
        size_t size = 8 + (size_t)key_size + value_size;
        uint32_t owner = 0;
        if (dealer->n_partitions > 1)
            owner = remainder_of(crc_of_key(key, key_size, of_word), dealer->n_partitions);
        if (!put_pair(dealer, owner, data + at, size))
            break;
        at += size;
        walker.n_pairs++;
        if (walker.with_lists && --walker.pairs_left == 0) {
            walker.in_list = 0;
            walker.n_lists++;
        }
    }
    walker.offset += at;
    walker.field = walker.with_lists && !walker.in_list ? DISCO_NUM_PAIRS : DISCO_KEY_SIZE;
    walker.field_offset = walker.offset;
    walker.pair_offset = walker.offset;
    walker.wanted = 4;
    *dealer->walker = walker;
    return at;
}

static size_t deal_whole_by_tables(kvproto_dealer *dealer, const unsigned char *data,
                                   size_t n_bytes)
{
    return deal_whole(dealer, data, n_bytes, kvproto_crc_of_word);
}

KVPROTO_FOLDING static size_t deal_whole_folding(kvproto_dealer *dealer, const unsigned char *data,
                                                 size_t n_bytes)
{
    return deal_whole(dealer, data, n_bytes, kvproto_fold_word);
}

/* Append as many of these bytes as there is room for to the buffer of `owner`. */
static size_t put_bytes(kvproto_dealer *dealer, const unsigned char *data, size_t n_bytes)
{
    size_t used = dealer->n_bytes[dealer->owner], room = dealer->capacity - used;
    size_t n_put = n_bytes < room ? n_bytes : room;
    memcpy(dealer->room + dealer->owner * dealer->capacity + used, data, n_put);
    dealer->n_bytes[dealer->owner] += n_put;
    return n_put;
}

/* Choose the partition of the key, which is complete, and move the key to its buffer. */
static kvproto_dealt move_key(kvproto_dealer *dealer)
{
    if (dealer->n_key_moved == 0)
        dealer->owner =
            dealer->n_partitions == 1
                ? 0
                : kvproto_crc32(dealer->key + 4, dealer->n_key - 4) % dealer->n_partitions;
    dealer->n_key_moved +=
        put_bytes(dealer, dealer->key + dealer->n_key_moved, dealer->n_key - dealer->n_key_moved);
    if (dealer->n_key_moved < dealer->n_key)
        return KVPROTO_DEAL_FULL;
    dealer->n_key = dealer->n_key_moved = 0;
    return KVPROTO_DEALT;
}

/* Take bytes of the current field. */
static kvproto_dealt deal_part(kvproto_dealer *dealer, const unsigned char *data, size_t n_bytes,
                               size_t *n_taken)
{
    disco_walker *walker = dealer->walker;
    size_t missing = walker->wanted - walker->had, size = n_bytes < missing ? n_bytes : missing;
    if (walker->field == DISCO_KEY_SIZE || walker->field == DISCO_KEY) {
        if (size > dealer->key_room - dealer->n_key)
            size = dealer->key_room - dealer->n_key;
        if (size == 0)
            return KVPROTO_DEAL_KEY_FULL;
        memcpy(dealer->key + dealer->n_key, data, size);
        dealer->n_key += size;
    } else if (walker->field != DISCO_NUM_PAIRS) {
        size = put_bytes(dealer, data, size);
        if (size == 0)
            return KVPROTO_DEAL_FULL;
    }
    uint64_t n_before = walker->n_pairs;
    *n_taken = size;
    if (disco_walk(walker, data, size, NULL, NULL) == DISCO_TOO_LARGE)
        return KVPROTO_DEAL_TOO_LARGE;
    dealer->n_pairs[dealer->owner] += walker->n_pairs - n_before;
    return KVPROTO_DEALT;
}

kvproto_dealt kvproto_deal(kvproto_dealer *dealer, const void *data, size_t n_bytes,
                           size_t *n_taken)
{
    const unsigned char *source = data;
    const disco_walker *walker = dealer->walker;
    kvproto_dealt dealt = KVPROTO_DEALT;
    size_t at = 0;
    while (dealt == KVPROTO_DEALT) {
        size_t n_part = 0;
        if (is_between(walker))
            at += kvproto_crc_folds ? deal_whole_folding(dealer, source + at, n_bytes - at)
                                    : deal_whole_by_tables(dealer, source + at, n_bytes - at);
        if (dealer->n_key > 0 && walker->field == DISCO_VALUE_SIZE)
            dealt = move_key(dealer);
        else if (at < n_bytes)
            dealt = deal_part(dealer, source + at, n_bytes - at, &n_part);
        else
            break;
        at += n_part;
    }
    *n_taken = at;
    return dealt;
}
