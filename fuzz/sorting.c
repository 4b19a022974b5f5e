/*
 * Invariant: any pairs, added in any pieces to a sorter of any memory, come out as runs. Each run
 * is ascending, equal keys keep their order, and each pair comes out once. As records of the
 * program `sort` they are the same again. Without memory, adding or sorting fails and leaves
 * nothing. Any bytes can be taken for frames, or for records.
 */
#define _GNU_SOURCE
#include "faulty.h"

#define KVPROTO_SORT_FEW 3
#include "records.c"
#include "sort.c"
#include "sort_order.c"

enum { MOST_PAIRS = 2000, MOST_KEY = 40 };

typedef struct sorting {
    const uint8_t *keys[MOST_PAIRS];
    size_t sizes[MOST_PAIRS];
    unsigned char seen[MOST_PAIRS];
    uint32_t n_pairs;
} sorting;

static int compare_keys(const disco_slice *one, const disco_slice *other)
{
    size_t n = one->n_bytes < other->n_bytes ? one->n_bytes : other->n_bytes;
    int order = n == 0 ? 0 : memcmp(one->data, other->data, n);
    return order != 0 ? order : (one->n_bytes > other->n_bytes) - (one->n_bytes < other->n_bytes);
}

/* Records of the frames are the frames again. */
static void check_records(const uint8_t *frames, size_t n_bytes)
{
    uint8_t *records = (malloc)(2 * n_bytes + 1), *again = (malloc)(n_bytes + 1);
    size_t n_records = kvproto_frames_to_records(frames, n_bytes, records);
    HOLDS(n_records <= 2 * n_bytes);
    HOLDS(kvproto_records_to_frames(records, n_records, again) == (int64_t)n_bytes);
    HOLDS(n_bytes == 0 || memcmp(frames, again, n_bytes) == 0);
    free(records);
    free(again);
}

/* The next run is whole frames in order; it is taken in blocks of `room` bytes, or of one frame. */
static void check_run(kvproto_sorter *sorter, sorting *all, size_t room)
{
    disco_slice key, value, last = {0};
    uint64_t last_number = 0;
    size_t wanted = room, n_bytes, consumed;
    unsigned char last_key[MOST_KEY];
    do {
        uint8_t *block = (malloc)(wanted > room ? wanted : room);
        n_bytes = kvproto_sorter_take(sorter, block, wanted > room ? wanted : room, &wanted);
        check_records(block, n_bytes);
        for (size_t at = 0; at < n_bytes; at += consumed) {
            HOLDS(disco_decode_pair(block + at, n_bytes - at, UINT32_MAX, &key, &value,
                                    &consumed) == DISCO_OK);
            uint64_t number = number_at(value.data);
            HOLDS(value.n_bytes == 4 && number < all->n_pairs && !all->seen[number]);
            all->seen[number] = 1;
            HOLDS(key.n_bytes == all->sizes[number] &&
                  (key.n_bytes == 0 || memcmp(key.data, all->keys[number], key.n_bytes) == 0));
            if (last.data != NULL) {
                int order = compare_keys(&last, &key);
                HOLDS(order < 0 || (order == 0 && last_number < number));
            }
            if (key.n_bytes > 0)
                memcpy(last_key, key.data, key.n_bytes);
            last = (disco_slice){.data = last_key, .n_bytes = key.n_bytes};
            last_number = number;
        }
        free(block);
    } while (n_bytes > 0 || wanted > 0);
}

/* Returns 0 if an allocation failed. */
static int sort_all(sorting *all, const uint8_t *frames, size_t n_bytes, size_t max_bytes,
                    size_t n_piece)
{
    kvproto_sorter *sorter = kvproto_sorter_new(max_bytes, DISCO_MAX_ITEM);
    int is_fine = sorter != NULL;
    memset(all->seen, 0, sizeof all->seen);
    for (size_t at = 0; is_fine && at < n_bytes;) {
        size_t n = n_bytes - at < n_piece ? n_bytes - at : n_piece;
        uint8_t *piece = exact_copy(frames + at, n);
        int64_t n_taken = kvproto_sorter_add(sorter, piece, n);
        free(piece);
        HOLDS(n_taken == NO_MEMORY || (n_taken >= 0 && (size_t)n_taken <= n));
        is_fine = n_taken >= 0;
        at += is_fine ? (size_t)n_taken : 0;
        if (!is_fine || (size_t)n_taken == n)
            continue;
        HOLDS(kvproto_sorter_n_pairs(sorter) > 0);
        is_fine = kvproto_sorter_sort(sorter) == 0;
        if (is_fine)
            check_run(sorter, all, n_piece);
        if (is_fine)
            kvproto_sorter_reset(sorter);
    }
    HOLDS(!is_fine || kvproto_sorter_n_left(sorter) == 0);
    is_fine = is_fine && kvproto_sorter_sort(sorter) == 0;
    if (is_fine) {
        check_run(sorter, all, n_piece);
        for (uint32_t number = 0; number < all->n_pairs; number++)
            HOLDS(all->seen[number]);
    }
    kvproto_sorter_free(sorter);
    return is_fine;
}

/* Any bytes, as frames and as records. */
static void check_any(const uint8_t *data, size_t n_bytes)
{
    uint8_t *room = (malloc)(8 * n_bytes + 8), *again = (malloc)(16 * n_bytes + 16);
    kvproto_sorter *sorter = kvproto_sorter_new(1 << 20, 1000);
    if (kvproto_sorter_add(sorter, data, n_bytes) >= 0)
        HOLDS(kvproto_sorter_n_left(sorter) <= n_bytes && kvproto_sorter_sort(sorter) == 0);
    kvproto_sorter_free(sorter);
    int64_t n_frames = kvproto_records_to_frames(data, n_bytes, room);
    if (n_frames >= 0) {
        HOLDS(kvproto_frames_to_records(room, (size_t)n_frames, again) == n_bytes);
        HOLDS(n_bytes == 0 || memcmp(data, again, n_bytes) == 0);
    }
    free(room);
    free(again);
}

/* Input: the memory, the size of a piece, the allocation that fails; then keys, each after its
 * size. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n_bytes)
{
    static const size_t memories[] = {1 << 20, 0, 300, 5000};
    static sorting all;
    if (n_bytes < 3)
        return 0;
    size_t max_bytes = memories[data[0] % 4], n_piece = (size_t)data[1] + 1, n_frames = 0;
    unsigned long failing = data[2];
    data += 3, n_bytes -= 3;
    check_any(data, n_bytes);
    uint8_t *frames = (malloc)(MOST_PAIRS * (MOST_KEY + 12));
    all.n_pairs = 0;
    for (size_t at = 0; at < n_bytes && all.n_pairs < MOST_PAIRS; all.n_pairs++) {
        size_t size = data[at] % (MOST_KEY + 1);
        at++;
        size = size < n_bytes - at ? size : n_bytes - at;
        all.keys[all.n_pairs] = data + at;
        all.sizes[all.n_pairs] = size;
        disco_put_u32(frames + n_frames, (uint32_t)size);
        memcpy(frames + n_frames + 4, data + at, size);
        disco_put_u32(frames + n_frames + 4 + size, 4);
        disco_put_u32(frames + n_frames + 8 + size, all.n_pairs);
        n_frames += 12 + size;
        at += size;
    }
    fail_at = 0;
    HOLDS(sort_all(&all, frames, n_frames, max_bytes, n_piece));
    n_allocations = 0;
    fail_at = failing;
    sort_all(&all, frames, n_frames, max_bytes, n_piece);
    fail_at = 0;
    free(frames);
    return 0;
}
