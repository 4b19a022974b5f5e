/*
 * Invariant: disco_walk() counts the complete result lists and pairs. It passes on every byte of
 * the pairs and none of num-pairs, and consumes all the data unless a size is over the limit. It
 * returns DISCO_OK only between lists. It names the current or faulty field, with the offsets of
 * that field and of its list.
 */
#include "fuzz.h"

struct verdict {
    disco_status status;
    uint64_t at, field_offset, list_offset, n_pairs, n_lists, n_kept;
    disco_field field;
};

/* Walk over one item. Returns 1 when the walk stops in it; then the verdict is complete. */
static int stops(struct verdict *want, const uint8_t *data, uint64_t n_bytes, uint64_t limit,
                 disco_field size_field)
{
    uint64_t after = want->at;
    want->field = size_field;
    want->field_offset = want->at;
    want->status = expected_item(data, n_bytes, limit, &after);
    if (want->status == DISCO_OK) {
        want->n_kept += after - want->at;
        want->at = after;
        return 0;
    }
    if (want->status == DISCO_MORE && n_bytes - want->at >= 4) {
        want->field = (disco_field)(size_field + 1);
        want->field_offset += 4;
    }
    uint64_t n_taken = want->status == DISCO_TOO_LARGE ? 4 : n_bytes - want->at;
    want->n_kept += n_taken;
    want->at += n_taken;
    return 1;
}

static struct verdict expected(const uint8_t *data, uint64_t n_bytes, uint64_t limit)
{
    struct verdict want = {0};
    for (;;) {
        want.field = DISCO_NUM_PAIRS;
        want.field_offset = want.at;
        if (n_bytes - want.at < 4) {
            want.status = n_bytes == want.at ? DISCO_OK : DISCO_MORE;
            want.at = n_bytes;
            return want;
        }
        uint8_t head[4];
        uint32_t num_pairs = 0;
        size_t n_head = 0;
        HOLDS(disco_decode_list_head(data + want.at, n_bytes - want.at, &num_pairs, &n_head) ==
              DISCO_OK);
        HOLDS(num_pairs == number_at(data + want.at) && n_head == 4);
        HOLDS(disco_encode_list_head(num_pairs, head, 4, &n_head) == DISCO_OK && n_head == 4);
        HOLDS(memcmp(head, data + want.at, 4) == 0);
        want.list_offset = want.at;
        uint64_t n_left = number_at(data + want.at);
        want.at += 4;
        for (; n_left > 0; n_left--) {
            if (stops(&want, data, n_bytes, limit, DISCO_KEY_SIZE) ||
                stops(&want, data, n_bytes, limit, DISCO_VALUE_SIZE))
                return want;
            want.n_pairs++;
        }
        want.n_lists++;
    }
}

/* The bytes passed on are a stream of as many pairs as were counted. */
static void check_passed_on(const uint8_t *kept, size_t n_kept, uint32_t limit, uint64_t n_pairs)
{
    disco_walker walker;
    disco_walk_start(&walker, 0, limit);
    HOLDS(disco_walk(&walker, kept, n_kept, NULL, NULL) <= DISCO_TOO_LARGE);
    HOLDS(walker.n_pairs == n_pairs && walker.offset == n_kept);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n_bytes)
{
    if (n_bytes == 0)
        return 0;
    uint32_t limit = limit_of(*data++);
    struct verdict want = expected(data, --n_bytes, limit);
    uint8_t *kept = malloc(n_bytes); /* no more room than disco_walk() may use */
    size_t n_kept = 0;
    disco_walker walker;
    disco_walk_start(&walker, 1, limit);
    disco_status status = disco_walk(&walker, data, n_bytes, kept, &n_kept);
    HOLDS(status == want.status && walker.field == want.field);
    HOLDS(walker.offset == want.at && walker.field_offset == want.field_offset &&
          walker.list_offset == want.list_offset);
    HOLDS(walker.n_pairs == want.n_pairs && walker.n_lists == want.n_lists &&
          n_kept == want.n_kept);
    check_passed_on(kept, n_kept, limit, want.n_pairs);
    free(kept);
    return 0;
}
