/*
 * Invariant: however a stream is cut into pieces and however small the buffers are, each pair comes
 * out of the partition of its key, in order and complete, and nothing else does but the beginning
 * of one incomplete pair. The walker is where disco_walk() would be. Buffers never overflow.
 */
#include "fuzz.h"

#include "crc.c"
#include "dealer.c"

enum { MOST_PARTITIONS = 4 };

typedef struct partition {
    uint8_t *bytes;
    size_t n_bytes;
    uint64_t n_pairs;
} partition;

/* The CRC, bit by bit. */
static uint32_t crc_of(const uint8_t *data, size_t n_bytes)
{
    uint32_t crc = 0xFFFFFFFF;
    for (size_t at = 0; at < n_bytes; at++) {
        crc ^= data[at];
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? 0xEDB88320 : 0);
    }
    return ~crc;
}

static void append(partition *to, const uint8_t *data, size_t n_bytes, uint64_t n_pairs)
{
    if (n_bytes > 0)
        memcpy(to->bytes + to->n_bytes, data, n_bytes);
    to->n_bytes += n_bytes;
    to->n_pairs += n_pairs;
}

/* Distribute the complete pairs of `kept`. */
static void expected(partition *due, uint32_t n_partitions, const uint8_t *kept, size_t n_kept)
{
    disco_slice key, value;
    size_t consumed;
    for (size_t at = 0;
         disco_decode_pair(kept + at, n_kept - at, UINT32_MAX, &key, &value, &consumed) == DISCO_OK;
         at += consumed)
        append(&due[crc_of(key.data, key.n_bytes) % n_partitions], kept + at, consumed, 1);
}

static void empty(kvproto_dealer *dealer, uint32_t index, partition *out)
{
    HOLDS(dealer->n_bytes[index] <= dealer->capacity);
    append(&out[index], dealer->room + index * dealer->capacity, dealer->n_bytes[index],
           dealer->n_pairs[index]);
    dealer->n_bytes[index] = 0;
    dealer->n_pairs[index] = 0;
}

/* Deal one piece. Returns 0 if a size in it is too large. */
static int deal(kvproto_dealer *dealer, const uint8_t *piece, size_t n_piece, partition *out)
{
    for (size_t at = 0, n_taken;; at += n_taken) {
        kvproto_dealt dealt = kvproto_deal(dealer, piece + at, n_piece - at, &n_taken);
        HOLDS(n_taken <= n_piece - at);
        if (dealt == KVPROTO_DEALT) {
            HOLDS(n_taken == n_piece - at);
            return 1;
        }
        if (dealt == KVPROTO_DEAL_TOO_LARGE)
            return 0;
        if (dealt == KVPROTO_DEAL_FULL) {
            HOLDS(dealer->n_bytes[dealer->owner] > 0);
            empty(dealer, dealer->owner, out);
        } else {
            HOLDS(dealt == KVPROTO_DEAL_KEY_FULL && dealer->n_key == dealer->key_room);
            dealer->key = realloc(dealer->key, ++dealer->key_room);
        }
    }
}

static void check_same(const disco_walker *one, const disco_walker *other)
{
    HOLDS(one->offset == other->offset && one->field_offset == other->field_offset);
    HOLDS(one->n_pairs == other->n_pairs && one->n_lists == other->n_lists);
    HOLDS(one->field == other->field && one->in_list == other->in_list);
    HOLDS(one->wanted == other->wanted && one->had == other->had);
    HOLDS(!one->in_list ||
          (one->list_offset == other->list_offset && one->num_pairs == other->num_pairs &&
           one->pairs_left == other->pairs_left));
}

static void check_out(const partition *out, const partition *due, uint32_t n_partitions,
                      int is_whole)
{
    int n_with_more = 0;
    for (uint32_t index = 0; index < n_partitions; index++) {
        HOLDS(out[index].n_pairs == due[index].n_pairs);
        HOLDS(out[index].n_bytes >= due[index].n_bytes);
        HOLDS(due[index].n_bytes == 0 ||
              memcmp(out[index].bytes, due[index].bytes, due[index].n_bytes) == 0);
        n_with_more += out[index].n_bytes > due[index].n_bytes;
    }
    HOLDS(n_with_more <= !is_whole);
}

/* The input, in bytes: the limit, flags (1: lists, 2: by tables), the number of partitions, the
 * capacity of a buffer, the number of lengths of pieces, the lengths, the stream. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n_bytes)
{
    static int can_fold;
    if (n_bytes < 5 || n_bytes < 5 + (size_t)data[4] % 16)
        return 0;
    if (kvproto_crc_tables[0][1] == 0) {
        kvproto_fill_crc_tables();
        can_fold = kvproto_crc_folds;
    }
    kvproto_crc_folds = can_fold && !(data[1] & 2);
    uint32_t limit = limit_of(data[0]), n_partitions = 1 + data[2] % MOST_PARTITIONS;
    int with_lists = data[1] & 1;
    size_t capacity = 1 + (size_t)data[3], n_lengths = data[4] % 16, n_kept = 0;
    const uint8_t *lengths = data + 5;
    data = lengths + n_lengths, n_bytes -= 5 + n_lengths;

    partition out[MOST_PARTITIONS] = {0}, due[MOST_PARTITIONS] = {0};
    for (uint32_t index = 0; index < n_partitions; index++) {
        out[index].bytes = malloc(n_bytes + 1);
        due[index].bytes = malloc(n_bytes + 1);
    }
    uint8_t *kept = malloc(n_bytes + 1);
    disco_walker plain, walker;
    disco_walk_start(&plain, with_lists, limit);
    disco_walk_start(&walker, with_lists, limit);
    disco_status status = disco_walk(&plain, data, n_bytes, kept, &n_kept);
    expected(due, n_partitions, kept, n_kept);

    kvproto_dealer dealer = {.walker = &walker, .n_partitions = n_partitions, .capacity = capacity};
    dealer.room = malloc(n_partitions * capacity);
    dealer.n_bytes = calloc(n_partitions, sizeof *dealer.n_bytes);
    dealer.n_pairs = calloc(n_partitions, sizeof *dealer.n_pairs);
    int is_fine = 1;
    for (size_t at = 0, turn = 0; is_fine && at < n_bytes; turn++) {
        size_t n_piece = n_lengths ? lengths[turn % n_lengths] + (size_t)(turn % 2) : n_bytes;
        n_piece = n_piece < n_bytes - at ? n_piece : n_bytes - at;
        uint8_t *piece = exact_copy(data + at, n_piece);
        is_fine = deal(&dealer, piece, n_piece, out);
        free(piece);
        at += n_piece;
    }
    for (uint32_t index = 0; index < n_partitions; index++)
        empty(&dealer, index, out);
    HOLDS(is_fine == (status != DISCO_TOO_LARGE));
    check_same(&walker, &plain);
    check_out(out, due, n_partitions, status == DISCO_OK);
    HOLDS(kvproto_crc32(data, n_bytes) == crc_of(data, n_bytes));
    HOLDS(kvproto_crc(kvproto_crc32(data, n_bytes / 3), data + n_bytes / 3,
                      n_bytes - n_bytes / 3) == crc_of(data, n_bytes));

    for (uint32_t index = 0; index < n_partitions; index++) {
        free(out[index].bytes);
        free(due[index].bytes);
    }
    free(kept);
    free(dealer.room);
    free(dealer.n_bytes);
    free(dealer.n_pairs);
    free(dealer.key);
    return 0;
}
