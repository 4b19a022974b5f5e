/*
 * Invariant: however a stream is cut into pieces, the walker reaches the same state: the status,
 * the bytes consumed, the counts, the current or faulty field with its offset, and the bytes passed
 * on, into another buffer or in place.
 */
#include "fuzz.h"

struct answer {
    disco_status status;
    disco_walker walker;
    uint8_t *kept;
    size_t n_kept;
};

/* Walk the data in pieces whose lengths cycle through `lengths`. */
static struct answer walk(const uint8_t *data, size_t n_bytes, int with_lists, uint32_t limit,
                          const uint8_t *lengths, size_t n_lengths, int in_place)
{
    struct answer answer = {.status = DISCO_OK, .kept = malloc(n_bytes)};
    size_t at = 0;
    disco_walk_start(&answer.walker, with_lists, limit);
    for (size_t turn = 0; at < n_bytes && answer.status <= DISCO_MORE; turn++) {
        size_t n_piece = n_lengths ? lengths[turn % n_lengths] : n_bytes, n_passed = 0;
        if (n_piece == 0 && turn % 2) /* empty pieces, but never two in a row */
            n_piece = 1;
        if (n_piece > n_bytes - at)
            n_piece = n_bytes - at;
        uint8_t *piece = exact_copy(data + at, n_piece),
                *passed = in_place ? piece : malloc(n_piece);
        answer.status = disco_walk(&answer.walker, piece, n_piece, passed, &n_passed);
        HOLDS(n_passed <= n_piece);
        if (n_passed > 0)
            memcpy(answer.kept + answer.n_kept, passed, n_passed);
        answer.n_kept += n_passed;
        at += n_piece;
        if (!in_place)
            free(passed);
        free(piece);
    }
    return answer;
}

static void check_same(struct answer *one, const struct answer *other)
{
    const disco_walker *a = &one->walker, *b = &other->walker;
    HOLDS(one->status == other->status);
    HOLDS(a->offset == b->offset && a->field_offset == b->field_offset &&
          a->list_offset == b->list_offset && a->pair_offset == b->pair_offset);
    HOLDS(a->n_pairs == b->n_pairs && a->n_lists == b->n_lists && a->field == b->field &&
          a->in_list == b->in_list);
    HOLDS(a->num_pairs == b->num_pairs && a->pairs_left == b->pairs_left &&
          a->wanted == b->wanted && a->had == b->had);
    HOLDS(one->n_kept == other->n_kept && memcmp(one->kept, other->kept, one->n_kept) == 0);
    free(one->kept);
}

/* The input, in bytes: the limit, flags (1: lists, 2: in place), the number of lengths, the
 * lengths, the stream. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n_bytes)
{
    if (n_bytes < 3 || n_bytes < 3 + (size_t)data[2] % 16)
        return 0;
    const uint8_t *lengths = data + 3;
    size_t n_lengths = data[2] % 16;
    uint32_t limit = limit_of(data[0]);
    int with_lists = data[1] & 1, in_place = data[1] >> 1 & 1;
    data = lengths + n_lengths;
    n_bytes -= 3 + n_lengths;
    if (n_bytes == 0)
        return 0;
    struct answer whole = walk(data, n_bytes, with_lists, limit, NULL, 0, 0);
    struct answer cut = walk(data, n_bytes, with_lists, limit, lengths, n_lengths, in_place);
    check_same(&cut, &whole);
    struct answer bytes =
        walk(data, n_bytes, with_lists, limit, (const uint8_t[]){1}, 1, !in_place);
    check_same(&bytes, &whole);
    free(whole.kept);
    return 0;
}
