/*
 * The core codec: sizes, pairs, and streams of pairs or result lists in pieces. It takes buffers
 * and returns a status; it has no I/O, no allocation, no state. FRAME, LIST and LIMITS-1 of
 * PROTOCOL.md.
 */
#include "disco.h"
#include "inline.h"

#include <string.h>

const char *disco_version(void) { return DISCO_VERSION; }

uint32_t disco_get_u32(const void *data) { return get_u32(data); }

void disco_put_u32(void *data, uint32_t number) { put_u32(data, number); }

disco_status disco_decode_pair(const void *data, size_t n_bytes, uint32_t max_item,
                               disco_slice *key, disco_slice *value, size_t *consumed)
{
    return decode_pair(data, n_bytes, max_item, key, value, consumed);
}

static unsigned char *put_item(unsigned char *out, const void *data, size_t n_bytes)
{
    put_u32(out, (uint32_t)n_bytes);
    if (n_bytes > 0)
        memcpy(out + 4, data, n_bytes);
    return out + 4 + n_bytes;
}

disco_status disco_encode_pair(const void *key, size_t key_size, const void *value,
                               size_t value_size, uint32_t max_item, void *out, size_t room,
                               size_t *n_bytes)
{
    *n_bytes = 0;
    if (key_size > max_item || key_size > SIZE_MAX - 8)
        return DISCO_TOO_LARGE;
    *n_bytes = 4 + key_size;
    if (value_size > max_item || value_size > SIZE_MAX - 8 - key_size)
        return DISCO_TOO_LARGE;
    *n_bytes += 4 + value_size;
    if (room < *n_bytes)
        return DISCO_NO_ROOM;
    put_item(put_item(out, key, key_size), value, value_size);
    return DISCO_OK;
}

disco_status disco_encode_list_head(uint32_t num_pairs, void *out, size_t room, size_t *n_bytes)
{
    *n_bytes = 4;
    if (room < 4)
        return DISCO_NO_ROOM;
    put_u32(out, num_pairs);
    return DISCO_OK;
}

disco_status disco_decode_list_head(const void *data, size_t n_bytes, uint32_t *num_pairs,
                                    size_t *consumed)
{
    *consumed = 0;
    if (n_bytes < 4)
        return DISCO_MORE;
    *num_pairs = get_u32(data);
    *consumed = 4;
    return DISCO_OK;
}

void disco_walk_start(disco_walker *walker, int with_lists, uint32_t max_item)
{
    memset(walker, 0, sizeof *walker);
    walker->with_lists = with_lists != 0;
    walker->field = with_lists ? DISCO_NUM_PAIRS : DISCO_KEY_SIZE;
    walker->wanted = 4;
    walker->max_item = max_item;
}

static void begin_field(disco_walker *walker, disco_field field, uint32_t wanted)
{
    walker->field = (uint8_t)field;
    walker->field_offset = walker->offset;
    if (field == DISCO_KEY_SIZE || field == DISCO_NUM_PAIRS)
        walker->pair_offset = walker->offset;
    walker->wanted = wanted;
    walker->had = 0;
}

static void end_list(disco_walker *walker)
{
    walker->n_lists++;
    walker->in_list = 0;
    begin_field(walker, DISCO_NUM_PAIRS, 4);
}

static void end_pair(disco_walker *walker)
{
    walker->n_pairs++;
    if (walker->with_lists && --walker->pairs_left == 0)
        end_list(walker);
    else
        begin_field(walker, DISCO_KEY_SIZE, 4);
}

/* The current field is complete: choose the next one. */
static disco_status end_field(disco_walker *walker)
{
    uint32_t number = get_u32(walker->size);
    switch ((disco_field)walker->field) {
    case DISCO_NUM_PAIRS:
        walker->num_pairs = walker->pairs_left = number;
        walker->list_offset = walker->field_offset;
        walker->in_list = 1;
        if (number == 0)
            end_list(walker);
        else
            begin_field(walker, DISCO_KEY_SIZE, 4);
        return DISCO_OK;
    case DISCO_KEY_SIZE:
    case DISCO_VALUE_SIZE:
        if (number > walker->max_item) {
            walker->wanted = number;
            return DISCO_TOO_LARGE;
        }
        begin_field(walker, walker->field == DISCO_KEY_SIZE ? DISCO_KEY : DISCO_VALUE, number);
        return DISCO_OK;
    case DISCO_KEY:
        begin_field(walker, DISCO_VALUE_SIZE, 4);
        return DISCO_OK;
    case DISCO_VALUE:
        end_pair(walker);
        return DISCO_OK;
    }
    return DISCO_OK;
}

/*
 * The fast path: whole pairs in data, from one boundary between pairs to another. Returns the
 * number of bytes that it took; the rest, whatever it is, goes through the fields one by one.
 */
static size_t walk_whole_pairs(disco_walker *walker, const unsigned char *data, size_t n_bytes)
{
    uint64_t most = walker->with_lists ? walker->pairs_left : UINT64_MAX, n_pairs = 0;
    size_t at = 0;
    while (n_pairs < most && n_bytes - at >= 8) {
        size_t room = n_bytes - at - 8;
        uint32_t key_size = get_u32(data + at);
        if (key_size > walker->max_item || key_size > room)
            break;
        uint32_t value_size = get_u32(data + at + 4 + key_size);
        if (value_size > walker->max_item || value_size > room - key_size)
            break;
        at += 8 + (size_t)key_size + value_size;
        n_pairs++;
    }
    if (n_pairs == 0)
        return 0;
    walker->offset += at;
    walker->n_pairs += n_pairs;
    if (walker->with_lists)
        walker->pairs_left -= (uint32_t)n_pairs;
    if (walker->with_lists && walker->pairs_left == 0)
        end_list(walker);
    else
        begin_field(walker, DISCO_KEY_SIZE, 4);
    return at;
}

/* Take the bytes of the current field that data has; returns how many. */
static size_t take_part(disco_walker *walker, const unsigned char *data, size_t n_bytes)
{
    uint32_t missing = walker->wanted - walker->had;
    size_t n_taken = n_bytes < missing ? n_bytes : missing;
    if (walker->field == DISCO_NUM_PAIRS || walker->field == DISCO_KEY_SIZE ||
        walker->field == DISCO_VALUE_SIZE)
        memcpy(walker->size + walker->had, data, n_taken);
    walker->had += (uint32_t)n_taken;
    walker->offset += n_taken;
    return n_taken;
}

static int on_boundary(const disco_walker *walker)
{
    return walker->had == 0 &&
           walker->field == (walker->with_lists ? DISCO_NUM_PAIRS : DISCO_KEY_SIZE);
}

disco_status disco_walk(disco_walker *walker, const void *data, size_t n_bytes, void *pairs,
                        size_t *n_pair_bytes)
{
    const unsigned char *source = data;
    unsigned char *kept = pairs;
    size_t at = 0, n_kept = 0;
    disco_status status = DISCO_OK;
    while (at < n_bytes && status == DISCO_OK) {
        int is_count = walker->field == DISCO_NUM_PAIRS;
        size_t n_taken = 0;
        if (walker->field == DISCO_KEY_SIZE && walker->had == 0)
            n_taken = walk_whole_pairs(walker, source + at, n_bytes - at);
        if (n_taken == 0) {
            n_taken = take_part(walker, source + at, n_bytes - at);
            /* an empty field is complete as soon as it begins */
            while (status == DISCO_OK && walker->had == walker->wanted)
                status = end_field(walker);
        }
        if (kept != NULL && !is_count) {
            memmove(kept + n_kept, source + at, n_taken);
            n_kept += n_taken;
        }
        at += n_taken;
    }
    if (n_pair_bytes != NULL)
        *n_pair_bytes = n_kept;
    if (status != DISCO_OK)
        return status;
    return on_boundary(walker) ? DISCO_OK : DISCO_MORE;
}
