/*
 * The classic layer's parameter set: read from stdin before the first pair, then looked up by name
 * or index. PARAMS and LIMITS-4 of PROTOCOL.md; faults are die() in the words of the Python codec.
 */
#include "internal.h"

#include <string.h>

struct parameter {
    p_entry *name, *value;
};

struct disco_params {
    size_t count, capacity;
    struct parameter *parameters;
};

/* What the faulty byte is, as an error shows it: 'x' or '\x00'. */
static const char *shown(unsigned char byte, char text[8])
{
    static const char digits[] = "0123456789abcdef";
    const char printable[] = {'\'', (char)byte, '\'', '\0'};
    const char escaped[] = {'\'', '\\', 'x', digits[byte >> 4], digits[byte & 15], '\'', '\0'};
    return byte >= ' ' && byte < 127 ? memcpy(text, printable, sizeof printable)
                                     : memcpy(text, escaped, sizeof escaped);
}

/*
 * Read the head byte by byte, so that nothing behind it is taken. Returns the total; *n_head is its
 * length.
 */
static uint32_t read_head(size_t *n_head)
{
    unsigned char head[16];
    char fault[8];
    uint32_t total = 0;
    size_t n_bytes = 0, at = 0;
    disco_status status = DISCO_MORE;
    while (status == DISCO_MORE) {
        if (disco_read(head + n_bytes, 1) == 0)
            disco_die_truncated("total", 0, n_bytes + 1, n_bytes, "PARAMS-1");
        status = disco_params_head(head, ++n_bytes, &total, &at);
    }
    if (status == DISCO_TOO_LARGE)
        die("the total at byte 0 announces %.10s bytes, the limit is %d [LIMITS-4]",
            (const char *)head, 1 << 30);
    if (status != DISCO_OK)
        die("the total at byte 0 must be 1 to 10 digits and '\\n', but byte %zu is %s [PARAMS-3]",
            at, shown(head[at], fault));
    *n_head = n_bytes;
    return total;
}

/*
 * die(): the entry is not of the form. `at` is the offset of the fault in the entries, name->data
 * NULL before a name.
 */
static DISCO_NORETURN void die_malformed(disco_status status, const unsigned char *entries,
                                         size_t at, size_t n_head, const disco_slice *name)
{
    char fault[8];
    int in_value = name->data != NULL && at > (size_t)(name->data - entries) + name->n_bytes;
    const char *field = in_value ? "parameter value" : "parameter name";
    if (status == DISCO_BAD_NUMBER)
        die("the length of a %s must be 1 to 10 digits and ' ', but byte %zu is %s [PARAMS-3]",
            field, n_head + at, shown(entries[at], fault));
    if (status == DISCO_BAD_CLOSING)
        die("the %s that ends at byte %zu must be followed by %s, not %s [PARAMS-2]", field,
            n_head + at, in_value ? "'\\n'" : "' '", shown(entries[at], fault));
    die("the parameter set ends inside the %s, or its length, at byte %zu [PARAMS-5]", field,
        n_head + at);
}

static p_entry *entry_of(const disco_slice *bytes)
{
    p_entry *entry = NULL;
    disco_grow_entry(&entry, (unsigned int)bytes->n_bytes, 0);
    memcpy(entry->data, bytes->data, bytes->n_bytes);
    entry->data[bytes->n_bytes] = '\0';
    entry->len = (unsigned int)bytes->n_bytes;
    return entry;
}

static void add(disco_params *params, const disco_slice *name, const disco_slice *value)
{
    if (params->count == params->capacity) {
        params->capacity = params->capacity ? 2 * params->capacity : 16;
        params->parameters = disco_realloc(
            params->parameters, params->capacity * sizeof *params->parameters, "the parameters");
    }
    params->parameters[params->count].name = entry_of(name);
    params->parameters[params->count].value = entry_of(value);
    params->count++;
}

DISCO_API disco_params *disco_params_read(void)
{
    size_t n_head, at = 0;
    uint32_t total = read_head(&n_head);
    p_entry *body = NULL;
    uint32_t had = disco_read_item(&body, total);
    if (had < total)
        disco_die_truncated("parameter set", n_head, total, had, "PARAMS-5");
    disco_params *params = disco_realloc(NULL, sizeof *params, "the parameters");
    *params = (disco_params){0};
    while (at < total) {
        const unsigned char *entries = (const unsigned char *)body->data;
        disco_slice name = {NULL, 0}, value = {NULL, 0};
        disco_status status = disco_params_entry(entries, total, &at, &name, &value);
        if (status != DISCO_OK)
            die_malformed(status, entries, at, n_head, &name);
        add(params, &name, &value);
    }
    free(body);
    return params;
}

DISCO_API const p_entry *disco_params_get(const disco_params *params, const char *name)
{
    size_t length = strlen(name), index = params->count;
    while (index-- > 0) {
        const struct parameter *parameter = &params->parameters[index];
        if (parameter->name->len == length && memcmp(parameter->name->data, name, length) == 0)
            return parameter->value;
    }
    return NULL;
}

DISCO_API size_t disco_params_count(const disco_params *params) { return params->count; }

DISCO_API const p_entry *disco_params_name(const disco_params *params, size_t index)
{
    return index < params->count ? params->parameters[index].name : NULL;
}

DISCO_API const p_entry *disco_params_value(const disco_params *params, size_t index)
{
    return index < params->count ? params->parameters[index].value : NULL;
}

DISCO_API void disco_params_free(disco_params *params)
{
    size_t index;
    if (params == NULL)
        return;
    for (index = 0; index < params->count; index++) {
        free(params->parameters[index].name);
        free(params->parameters[index].value);
    }
    free(params->parameters);
    free(params);
}
