/*
 * Invariant: the head and the entries of a parameter set are accepted in the form of PARAMS only:
 * digits, a closing byte, the announced bytes, a closing byte, and no gap between entries. A fault
 * has the offset of the wrong byte, or of the field that the end cuts off.
 */
#include "fuzz.h"

static int is_digit(uint8_t byte) { return byte >= 0x30 && byte <= 0x39; }

/* The status of decoding the number at data[*at]; `cut` is the status when the data ends in it. */
static disco_status expected_number(const uint8_t *data, size_t n_bytes, char closing,
                                    disco_status cut, uint64_t *number, size_t *at)
{
    char digits[11] = "";
    size_t n_digits = 0;
    for (; n_digits < 10 && *at + n_digits < n_bytes && is_digit(data[*at + n_digits]); n_digits++)
        digits[n_digits] = (char)data[*at + n_digits];
    if (*at + n_digits == n_bytes)
        return cut;
    *at += n_digits;
    if (n_digits == 0 || data[*at] != (uint8_t)closing)
        return DISCO_BAD_NUMBER;
    *number = strtoull(digits, NULL, 10);
    ++*at;
    return DISCO_OK;
}

static disco_status expected_entry_item(const uint8_t *data, size_t n_bytes, char closing,
                                        disco_slice *item, size_t *at)
{
    uint64_t size = 0;
    disco_status want = expected_number(data, n_bytes, ' ', DISCO_OVERRUN, &size, at);
    if (want != DISCO_OK)
        return want;
    if (n_bytes - *at <= size)
        return DISCO_OVERRUN;
    *item = (disco_slice){data + *at, (size_t)size};
    *at += (size_t)size;
    if (data[*at] != (uint8_t)closing)
        return DISCO_BAD_CLOSING;
    ++*at;
    return DISCO_OK;
}

static int is_same_slice(const disco_slice *one, const disco_slice *other)
{
    return one->data == other->data && one->n_bytes == other->n_bytes;
}

static void check_round_trip(const disco_slice *key, const disco_slice *value)
{
    uint8_t head[11];
    size_t n_bytes = 0, n_again = 0, at = 0;
    uint32_t total = 0;
    disco_slice key_again = {0}, value_again = {0};
    HOLDS(disco_encode_params_entry(key->data, key->n_bytes, value->data, value->n_bytes, NULL, 0,
                                    &n_bytes) == DISCO_NO_ROOM);
    uint8_t *entry = malloc(n_bytes);
    HOLDS(disco_encode_params_entry(key->data, key->n_bytes, value->data, value->n_bytes, entry,
                                    n_bytes, &n_again) == DISCO_OK);
    HOLDS(n_again == n_bytes);
    HOLDS(disco_params_entry(entry, (uint32_t)n_bytes, &at, &key_again, &value_again) == DISCO_OK);
    HOLDS(at == n_bytes && key_again.n_bytes == key->n_bytes);
    HOLDS(memcmp(key_again.data, key->data, key->n_bytes) == 0);
    HOLDS(value_again.n_bytes == value->n_bytes);
    HOLDS(memcmp(value_again.data, value->data, value->n_bytes) == 0);
    free(entry);
    HOLDS(disco_encode_params_head((uint32_t)n_bytes, head, sizeof head, &n_again) == DISCO_OK);
    HOLDS(disco_params_head(head, n_again, &total, &at) == DISCO_OK);
    HOLDS(total == n_bytes && at == n_again);
}

static void check_entries(const uint8_t *data, size_t n_bytes)
{
    uint8_t *entries = exact_copy(data, n_bytes);
    size_t at = 0, want_at = 0;
    disco_status status = DISCO_OK;
    while (status == DISCO_OK && at < n_bytes) {
        disco_slice key = {0}, value = {0}, want_key = {0}, want_value = {0};
        status = disco_params_entry(entries, (uint32_t)n_bytes, &at, &key, &value);
        disco_status want = expected_entry_item(entries, n_bytes, ' ', &want_key, &want_at);
        if (want == DISCO_OK) {
            HOLDS(is_same_slice(&key, &want_key));
            want = expected_entry_item(entries, n_bytes, '\n', &want_value, &want_at);
        }
        HOLDS(status == want && at == want_at);
        HOLDS(status != DISCO_OK || is_same_slice(&value, &want_value));
        if (status == DISCO_OK)
            check_round_trip(&key, &value);
    }
    free(entries);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n_bytes)
{
    uint32_t total = 0;
    uint64_t number = 0;
    size_t consumed = 0, at = 0;
    disco_status status = disco_params_head(data, n_bytes, &total, &consumed);
    disco_status want = expected_number(data, n_bytes, '\n', DISCO_MORE, &number, &at);
    if (want == DISCO_OK && number > (1u << 30)) {
        want = DISCO_TOO_LARGE;
        at = 0;
    }
    HOLDS(status == want && consumed == at);
    HOLDS(status != DISCO_OK || total == number);
    check_entries(data + consumed, n_bytes - consumed);
    return 0;
}
