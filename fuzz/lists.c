/*
 * Invariant: disco_walk() over result lists counts the lists and the pairs that are complete,
 * passes on every byte of pairs and none of num-pairs, takes all there is unless a size is over the
 * limit, says DISCO_OK between lists alone, and names the field that is under way, or at fault, and
 * where that and its list began.
 */
#include "fuzz.h"

struct verdict {
    disco_status status;
    uint64_t at, field_offset, list_offset, n_pairs, n_lists, n_kept;
    disco_field field;
};

/* An item of the stream: 0 to go on; else the verdict is there. */
static int stops(struct verdict *due, const uint8_t *data, uint64_t n_bytes, uint64_t limit,
                 disco_field size_field)
{
    uint64_t after = due->at;
    due->field = size_field;
    due->field_offset = due->at;
    due->status = expected_item(data, n_bytes, limit, &after);
    if (due->status == DISCO_OK) {
        due->n_kept += after - due->at;
        due->at = after;
        return 0;
    }
    if (due->status == DISCO_MORE && n_bytes - due->at >= 4) {
        due->field = (disco_field)(size_field + 1);
        due->field_offset += 4;
    }
    uint64_t n_taken = due->status == DISCO_TOO_LARGE ? 4 : n_bytes - due->at;
    due->n_kept += n_taken;
    due->at += n_taken;
    return 1;
}

static struct verdict expected(const uint8_t *data, uint64_t n_bytes, uint64_t limit)
{
    struct verdict due = {0};
    for (;;) {
        due.field = DISCO_NUM_PAIRS;
        due.field_offset = due.at;
        if (n_bytes - due.at < 4) {
            due.status = n_bytes == due.at ? DISCO_OK : DISCO_MORE;
            due.at = n_bytes;
            return due;
        }
        uint8_t head[4];
        uint32_t num_pairs = 0;
        size_t n_head = 0;
        HOLDS(disco_decode_list_head(data + due.at, n_bytes - due.at, &num_pairs, &n_head) ==
              DISCO_OK);
        HOLDS(num_pairs == number_at(data + due.at) && n_head == 4);
        HOLDS(disco_encode_list_head(num_pairs, head, 4, &n_head) == DISCO_OK && n_head == 4);
        HOLDS(memcmp(head, data + due.at, 4) == 0);
        due.list_offset = due.at;
        uint64_t n_left = number_at(data + due.at);
        due.at += 4;
        for (; n_left > 0; n_left--) {
            if (stops(&due, data, n_bytes, limit, DISCO_KEY_SIZE) ||
                stops(&due, data, n_bytes, limit, DISCO_VALUE_SIZE))
                return due;
            due.n_pairs++;
        }
        due.n_lists++;
    }
}

/*
 * What is passed on is the data less four bytes for each list begun: pairs decode from it as many
 * as were counted.
 */
static void decodes(const uint8_t *kept, size_t n_kept, uint32_t limit, uint64_t n_pairs)
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
    struct verdict due = expected(data, --n_bytes, limit);
    uint8_t *kept = malloc(n_bytes); /* the room that is promised to suffice, and no more */
    size_t n_kept = 0;
    disco_walker walker;
    disco_walk_start(&walker, 1, limit);
    disco_status status = disco_walk(&walker, data, n_bytes, kept, &n_kept);
    HOLDS(status == due.status && walker.field == due.field);
    HOLDS(walker.offset == due.at && walker.field_offset == due.field_offset &&
          walker.list_offset == due.list_offset);
    HOLDS(walker.n_pairs == due.n_pairs && walker.n_lists == due.n_lists && n_kept == due.n_kept);
    decodes(kept, n_kept, limit, due.n_pairs);
    free(kept);
    return 0;
}
