/*
 * The parameter set of a stream: read before the first pair, then looked up by name or index.
 * PARAMS and LIMITS-4 of PROTOCOL.md. The error texts are those of the Python codec.
 */
#include "stream.h"

struct parameter {
    p_entry *name, *value;
};

struct disco_params {
    size_t count, capacity;
    struct parameter *parameters;
};

/* How an error shows a byte: 'x' or '\x00'. */
static const char *shown(unsigned char byte, char text[8])
{
    static const char digits[] = "0123456789abcdef";
    const char printable[] = {'\'', (char)byte, '\'', '\0'};
    const char escaped[] = {'\'', '\\', 'x', digits[byte >> 4], digits[byte & 15], '\'', '\0'};
    return byte >= ' ' && byte < 127 ? memcpy(text, printable, sizeof printable)
                                     : memcpy(text, escaped, sizeof escaped);
}

/* Read the head byte by byte, so that no byte after it is consumed. *n_head is its length. */
static disco_status read_head(disco_stream *stream, uint32_t *total, size_t *n_head)
{
    unsigned char head[16];
    char fault[8];
    size_t n_bytes = 0, at = 0, had;
    disco_status status = DISCO_MORE;
    while (status == DISCO_MORE) {
        disco_status taken = disco_stream_take(stream, head + n_bytes, 1, &had);
        if (taken == DISCO_MORE)
            return disco_stream_truncated(stream, "total", 0, n_bytes + 1, n_bytes, "PARAMS-1");
        if (taken != DISCO_OK)
            return taken;
        status = disco_params_head(head, ++n_bytes, total, &at);
    }
    *n_head = n_bytes;
    if (status == DISCO_TOO_LARGE)
        return disco_stream_fail(
            stream, status,
            "the total at byte 0 announces %.10s bytes, but the limit is %d [LIMITS-4]",
            (const char *)head, 1 << 30);
    if (status != DISCO_OK)
        return disco_stream_fail(stream, status,
                                 "the total at byte 0 must be 1 to 10 digits and '\\n', but byte "
                                 "%zu is %s [PARAMS-3]",
                                 at, shown(head[at], fault));
    return DISCO_OK;
}

/*
 * Report a malformed entry. `at` is the offset of the fault in the entries; name->data is NULL
 * before a name.
 */
static disco_status fail_malformed(disco_stream *stream, disco_status status,
                                   const unsigned char *entries, size_t at, size_t n_head,
                                   const disco_slice *name)
{
    char fault[8];
    int in_value = name->data != NULL && at > (size_t)(name->data - entries) + name->n_bytes;
    const char *field = in_value ? "parameter value" : "parameter name";
    if (status == DISCO_BAD_NUMBER)
        return disco_stream_fail(stream, status,
                                 "the length of a %s must be 1 to 10 digits and ' ', but byte %zu "
                                 "is %s [PARAMS-3]",
                                 field, n_head + at, shown(entries[at], fault));
    if (status == DISCO_BAD_CLOSING)
        return disco_stream_fail(
            stream, status,
            "the %s that ends at byte %zu must be followed by %s, not %s [PARAMS-2]", field,
            n_head + at, in_value ? "'\\n'" : "' '", shown(entries[at], fault));
    return disco_stream_fail(
        stream, status,
        "the parameter set ends inside the %s, or its length, at byte %zu [PARAMS-5]", field,
        n_head + at);
}

/* Returns 0, or -1 when memory runs out. */
static int add(disco_params *params, const disco_slice *name, const disco_slice *value)
{
    if (params->count == params->capacity) {
        size_t capacity = params->capacity ? 2 * params->capacity : 16;
        struct parameter *grown = realloc(params->parameters, capacity * sizeof *grown);
        if (grown == NULL)
            return -1;
        params->parameters = grown;
        params->capacity = capacity;
    }
    struct parameter *next = &params->parameters[params->count++];
    next->name = disco_entry_of(name);
    next->value = next->name == NULL ? NULL : disco_entry_of(value);
    return next->value == NULL ? -1 : 0;
}

static disco_status fail_memory(disco_stream *stream)
{
    return disco_stream_fail(stream, DISCO_NO_MEMORY, "out of memory for the parameters");
}

static disco_status add_entries(disco_stream *stream, const unsigned char *entries, uint32_t total,
                                size_t n_head, disco_params *params)
{
    size_t at = 0;
    while (at < total) {
        disco_slice name = {NULL, 0}, value = {NULL, 0};
        disco_status status = disco_params_entry(entries, total, &at, &name, &value);
        if (status != DISCO_OK)
            return fail_malformed(stream, status, entries, at, n_head, &name);
        if (add(params, &name, &value) != 0)
            return fail_memory(stream);
    }
    return DISCO_OK;
}

/* Read all `total` bytes of entries before parsing the first. */
static disco_status read_entries(disco_stream *stream, uint32_t total, size_t n_head,
                                 disco_params *params)
{
    size_t had;
    p_entry *body = NULL;
    disco_status status = disco_stream_take_item(stream, &body, total, &had);
    if (status == DISCO_MORE)
        status = disco_stream_truncated(stream, "parameter set", n_head, total, had, "PARAMS-5");
    else if (status == DISCO_OK)
        status = add_entries(stream, (const unsigned char *)body->data, total, n_head, params);
    free(body);
    return status;
}

disco_status disco_stream_read_params(disco_stream *stream, disco_params **params)
{
    size_t n_head = 0;
    uint32_t total = 0;
    *params = NULL;
    if (stream->status != DISCO_OK || read_head(stream, &total, &n_head) != DISCO_OK)
        return stream->status;
    disco_params *made = malloc(sizeof *made);
    if (made == NULL)
        return fail_memory(stream);
    *made = (disco_params){0};
    disco_status status = read_entries(stream, total, n_head, made);
    if (status != DISCO_OK) {
        disco_params_free(made);
        return status;
    }
    *params = made;
    return DISCO_OK;
}

const p_entry *disco_params_get(const disco_params *params, const char *name)
{
    size_t length = strlen(name), index = params->count;
    while (index-- > 0) {
        const struct parameter *parameter = &params->parameters[index];
        if (parameter->name->len == length && memcmp(parameter->name->data, name, length) == 0)
            return parameter->value;
    }
    return NULL;
}

size_t disco_params_count(const disco_params *params) { return params->count; }

const p_entry *disco_params_name(const disco_params *params, size_t index)
{
    return index < params->count ? params->parameters[index].name : NULL;
}

const p_entry *disco_params_value(const disco_params *params, size_t index)
{
    return index < params->count ? params->parameters[index].value : NULL;
}

void disco_params_free(disco_params *params)
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
