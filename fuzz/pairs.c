/*
 * Invariant: disco_decode_pair() returns slices of the data that encode to the bytes consumed. It
 * returns DISCO_MORE only when bytes are missing, and DISCO_TOO_LARGE only for a size over the
 * limit. A walker over the same bytes counts the same pairs and stops at the same fault.
 */
#include "fuzz.h"

/* The pair encodes to the same bytes, into a buffer of exactly its size and no smaller one. */
static void check_round_trip(const uint8_t *data, size_t consumed, const disco_slice *key,
                             const disco_slice *value)
{
    unsigned char size[4];
    size_t n_bytes = 0;
    uint8_t *encoded = exact_copy(data, consumed);
    memset(encoded, 0xA5, consumed);
    HOLDS(disco_encode_pair(key->data, key->n_bytes, value->data, value->n_bytes, UINT32_MAX,
                            encoded, consumed - 1, &n_bytes) == DISCO_NO_ROOM);
    HOLDS(n_bytes == consumed);
    HOLDS(disco_encode_pair(key->data, key->n_bytes, value->data, value->n_bytes, UINT32_MAX,
                            encoded, consumed, &n_bytes) == DISCO_OK);
    HOLDS(n_bytes == consumed && memcmp(encoded, data, consumed) == 0);
    free(encoded);
    HOLDS(key->data == data + 4 && value->data == key->data + key->n_bytes + 4);
    HOLDS(consumed == 8 + key->n_bytes + value->n_bytes);
    disco_put_u32(size, (uint32_t)key->n_bytes);
    HOLDS(memcmp(size, data, 4) == 0);
    disco_put_u32(size, (uint32_t)value->n_bytes);
    HOLDS(memcmp(size, value->data - 4, 4) == 0);
}

static void check_walk(const uint8_t *data, size_t n_bytes, uint32_t limit, uint64_t n_pairs,
                       uint64_t at, uint64_t fault, disco_status status)
{
    disco_walker walker;
    disco_walk_start(&walker, 0, limit);
    disco_status walked = disco_walk(&walker, data, n_bytes, NULL, NULL);
    HOLDS(walked == (at == n_bytes ? DISCO_OK : status));
    HOLDS(walker.n_pairs == n_pairs);
    HOLDS(walker.offset == (status == DISCO_TOO_LARGE ? fault + 4 : n_bytes));
    if (status == DISCO_TOO_LARGE)
        HOLDS(walker.field_offset == fault && walker.wanted == number_at(data + fault));
    else
        HOLDS(walker.field_offset >= at);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n_bytes)
{
    if (n_bytes == 0)
        return 0;
    uint32_t limit = limit_of(*data++);
    uint64_t n_pairs = 0;
    size_t at = 0;
    n_bytes--;
    for (;;) {
        disco_slice key, value;
        size_t consumed = 0;
        uint64_t wanted = 0;
        disco_status status =
            disco_decode_pair(data + at, n_bytes - at, limit, &key, &value, &consumed);
        disco_status want = expected_item(data + at, n_bytes - at, limit, &wanted);
        if (want == DISCO_OK)
            want = expected_item(data + at, n_bytes - at, limit, &wanted);
        HOLDS(status == want);
        if (status == DISCO_OK || status == DISCO_TOO_LARGE)
            HOLDS(consumed == wanted);
        if (status != DISCO_OK) {
            check_walk(data, n_bytes, limit, n_pairs, at, at + consumed, status);
            return 0;
        }
        check_round_trip(data + at, consumed, &key, &value);
        at += consumed;
        n_pairs++;
    }
}
