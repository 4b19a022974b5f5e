/*
 * The parameter sets of the core: `<total>\n`, then entries `<klen> <key> <vlen> <value>\n` in a
 * buffer. No I/O, no allocation. PARAMS and LIMITS-4 of PROTOCOL.md.
 */
#include "disco.h"

#include <string.h>

enum { MAX_DIGITS = 10 };
#define MAX_PARAMS ((uint64_t)1 << 30)

/*
 * Parse 1 to 10 digits and the closing byte at data[*at]. With DISCO_OK, *at is after them;
 * otherwise it is at the fault.
 */
static disco_status read_number(const unsigned char *data, size_t n_bytes, unsigned char closing,
                                uint64_t *number, size_t *at)
{
    size_t start = *at, stop = start;
    uint64_t sum = 0;
    while (stop < n_bytes && stop - start < MAX_DIGITS && data[stop] >= '0' && data[stop] <= '9')
        sum = sum * 10 + (uint64_t)(data[stop++] - '0');
    if (stop == n_bytes)
        return DISCO_MORE;
    if (stop == start || data[stop] != closing) {
        *at = stop;
        return DISCO_BAD_NUMBER;
    }
    *number = sum;
    *at = stop + 1;
    return DISCO_OK;
}

disco_status disco_params_head(const void *data, size_t n_bytes, uint32_t *total, size_t *consumed)
{
    uint64_t number = 0;
    *consumed = 0;
    disco_status status = read_number(data, n_bytes, '\n', &number, consumed);
    if (status != DISCO_OK)
        return status;
    if (number > MAX_PARAMS) {
        *consumed = 0;
        return DISCO_TOO_LARGE;
    }
    *total = (uint32_t)number;
    return DISCO_OK;
}

static disco_status read_item(const unsigned char *data, size_t total, unsigned char closing,
                              disco_slice *item, size_t *at)
{
    uint64_t size = 0;
    disco_status status = read_number(data, total, ' ', &size, at);
    if (status != DISCO_OK)
        return status == DISCO_MORE ? DISCO_OVERRUN
                                    : status; /* the whole total is here: no more bytes will come */
    if (size >= total - *at)
        return DISCO_OVERRUN;
    item->data = data + *at;
    item->n_bytes = (size_t)size;
    *at += (size_t)size;
    if (data[*at] != closing)
        return DISCO_BAD_CLOSING;
    ++*at;
    return DISCO_OK;
}

disco_status disco_params_entry(const void *entries, uint32_t total, size_t *offset,
                                disco_slice *key, disco_slice *value)
{
    disco_status status = read_item(entries, total, ' ', key, offset);
    if (status != DISCO_OK)
        return status;
    return read_item(entries, total, '\n', value, offset);
}

/* Write a number and its closing byte to text; returns the number of bytes. */
static size_t write_number(uint64_t number, char closing, char text[MAX_DIGITS + 1])
{
    char digits[MAX_DIGITS];
    size_t n_digits = 0, n_bytes = 0;
    do {
        digits[n_digits++] = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    while (n_digits > 0)
        text[n_bytes++] = digits[--n_digits];
    text[n_bytes++] = closing;
    return n_bytes;
}

disco_status disco_encode_params_head(uint32_t total, void *out, size_t room, size_t *n_bytes)
{
    char head[MAX_DIGITS + 1];
    *n_bytes = 0;
    if (total > MAX_PARAMS)
        return DISCO_TOO_LARGE;
    *n_bytes = write_number(total, '\n', head);
    if (room < *n_bytes)
        return DISCO_NO_ROOM;
    memcpy(out, head, *n_bytes);
    return DISCO_OK;
}

/* Write `<length> <item><closing>`; returns where the next byte goes. */
static char *put_item(char *out, const char *length, size_t n_length, const void *item,
                      size_t n_bytes, char closing)
{
    memcpy(out, length, n_length);
    if (n_bytes > 0)
        memcpy(out + n_length, item, n_bytes);
    out[n_length + n_bytes] = closing;
    return out + n_length + n_bytes + 1;
}

disco_status disco_encode_params_entry(const void *key, size_t key_size, const void *value,
                                       size_t value_size, void *out, size_t room, size_t *n_bytes)
{
    char key_length[MAX_DIGITS + 1], value_length[MAX_DIGITS + 1];
    *n_bytes = 0;
    if (key_size > MAX_PARAMS || value_size > MAX_PARAMS)
        return DISCO_TOO_LARGE;
    size_t n_key_length = write_number(key_size, ' ', key_length);
    size_t n_value_length = write_number(value_size, ' ', value_length);
    uint64_t size = (uint64_t)n_key_length + key_size + 1 + n_value_length + value_size + 1;
    if (size > MAX_PARAMS)
        return DISCO_TOO_LARGE;
    *n_bytes = (size_t)size;
    if (room < *n_bytes)
        return DISCO_NO_ROOM;
    char *next = put_item(out, key_length, n_key_length, key, key_size, ' ');
    put_item(next, value_length, n_value_length, value, value_size, '\n');
    return DISCO_OK;
}
