/*
 * The core's parameter sets: `<total>\n`, then entries `<klen> <key> <vlen> <value>\n` in a buffer.
 * No I/O, no allocation. PARAMS and LIMITS-4 of PROTOCOL.md.
 */
#include "disco.h"

enum { MAX_DIGITS = 10 };
#define MAX_PARAMS ((uint64_t)1 << 30)

/*
 * 1 to 10 digits and the closing byte at data[*at]. DISCO_OK moves *at behind them; else *at is the
 * fault's.
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

DISCO_API disco_status disco_params_head(const void *data, size_t n_bytes, uint32_t *total,
                                         size_t *consumed)
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
                                    : status; /* the total is there: no more will come */
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

DISCO_API disco_status disco_params_entry(const void *entries, uint32_t total, size_t *offset,
                                          disco_slice *key, disco_slice *value)
{
    disco_status status = read_item(entries, total, ' ', key, offset);
    if (status != DISCO_OK)
        return status;
    return read_item(entries, total, '\n', value, offset);
}
