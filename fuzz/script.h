/*
 * A worker that runs a script, and a model of it. The model predicts what each call returns, what
 * is on stdout, and whether a call or the exit fails by die().
 *
 * The input, in bytes: the size of stdin's buffer, the size of stdout's buffer, the number of
 * calls, the number of outcomes (see worker.h), two bytes for each call (the function, its
 * argument), the outcomes. The rest is the worker's stdin.
 */
#ifndef FUZZ_SCRIPT_H
#define FUZZ_SCRIPT_H

#include "worker.h"

static struct script {
    const uint8_t *calls;
    size_t n_calls;
    p_entry *key, *val, *copy;
    disco_params *params;
} script;

static struct model {
    uint64_t at;         /* bytes of stdin that have been read */
    uint64_t pairs_left; /* of the current list */
    uint32_t limit;
    int is_key_written, must_die;
    struct bytes output;
} model;

/* If so, the next call must end in die() and not return. */
static void must_die_if(int condition) { model.must_die |= condition; }

/* ---- reading ------------------------------------------------------------------------------ */

static void check_item(const p_entry *entry, uint64_t at, uint64_t after)
{
    HOLDS(entry->len == after - at - 4 && entry->len <= entry->sze);
    HOLDS(memcmp(entry->data, env.input + at + 4, entry->len) == 0 &&
          entry->data[entry->len] == '\0');
}

static int read_pair(void)
{
    uint64_t value_at = model.at, after = model.at;
    int is_end = model.at == env.n_input;
    disco_status want = expected_item(env.input, env.n_input, model.limit, &value_at);
    after = value_at;
    if (want == DISCO_OK)
        want = expected_item(env.input, env.n_input, model.limit, &after);
    must_die_if(!is_end && want != DISCO_OK);
    int is_read = read_kv(&script.key, &script.val);
    HOLDS(is_read == !is_end && !model.must_die);
    if (is_read) {
        check_item(script.key, model.at, value_at);
        check_item(script.val, value_at, after);
        model.at = after;
    }
    return is_read;
}

/* The model uses the core's parser, which params.c checks. */
static void read_params(void)
{
    uint32_t total = 0;
    size_t n_head = 0, at = 0, n_entries = 0;
    const uint8_t *data = env.input + model.at;
    size_t n_bytes = (size_t)(env.n_input - model.at);
    disco_status want = disco_params_head(data, n_bytes, &total, &n_head);
    must_die_if(want != DISCO_OK || n_bytes - n_head < total);
    for (; !model.must_die && at < total; n_entries++) {
        disco_slice name, value;
        must_die_if(disco_params_entry(data + n_head, total, &at, &name, &value) != DISCO_OK);
    }
    disco_params_free(script.params);
    script.params = NULL; /* first, as the call may not return */
    script.params = disco_params_read();
    HOLDS(!model.must_die && disco_params_count(script.params) == n_entries);
    model.at += n_head + total;
}

/* A lookup returns the last entry of a name. */
static void look_up_params(void)
{
    for (size_t index = 0; script.params != NULL && index < disco_params_count(script.params);
         index++) {
        const p_entry *name = disco_params_name(script.params, index), *value, *last = NULL;
        if (strlen(name->data) != name->len)
            continue;
        value = disco_params_get(script.params, name->data);
        for (size_t other = index; other < disco_params_count(script.params); other++)
            if (strcmp(disco_params_name(script.params, other)->data, name->data) == 0 &&
                disco_params_name(script.params, other)->len == name->len)
                last = disco_params_value(script.params, other);
        HOLDS(value == last && disco_params_value(script.params, index) != NULL);
    }
    if (script.params != NULL)
        HOLDS(disco_params_name(script.params, disco_params_count(script.params)) == NULL);
}

static void read_raw(uint8_t n_bytes)
{
    uint8_t *raw = dxmalloc(n_bytes);
    must_die_if(n_bytes > env.n_input - model.at);
    disco_read_raw(raw, n_bytes);
    HOLDS(!model.must_die && memcmp(raw, env.input + model.at, n_bytes) == 0);
    model.at += n_bytes;
    fake_free(raw);
}

/* ---- writing ------------------------------------------------------------------------------ */

static void expect_u32(uint32_t number)
{
    uint8_t size[4];
    for (int index = 0; index < 4; index++)
        size[index] = (uint8_t)(number >> 8 * index);
    add_bytes(&model.output, size, 4);
}

static void expect_output(const void *data, size_t n_bytes)
{
    expect_u32((uint32_t)n_bytes);
    add_bytes(&model.output, data, n_bytes);
}

static void announce(int num)
{
    must_die_if(num < 0 || model.pairs_left > 0 || model.is_key_written);
    write_num_prefix(num);
    HOLDS(!model.must_die);
    expect_u32((uint32_t)num);
    model.pairs_left = (uint64_t)num;
}

static void write_pair(const p_entry *key, const p_entry *val)
{
    if (key == NULL || val == NULL)
        return;
    must_die_if(model.pairs_left == 0 || model.is_key_written);
    write_kv(key, val);
    HOLDS(!model.must_die);
    expect_output(key->data, key->len);
    expect_output(val->data, val->len);
    model.pairs_left--;
}

static void write_half(const p_entry *entry)
{
    if (entry == NULL)
        return;
    must_die_if(model.pairs_left == 0);
    write_entry(entry);
    HOLDS(!model.must_die);
    expect_output(entry->data, entry->len);
    model.pairs_left -= (uint64_t)model.is_key_written;
    model.is_key_written = !model.is_key_written;
}

/* The lengths include those of the buffers and their neighbours. */
static void write_bytes(uint8_t with)
{
    static const uint8_t zeros[300000];
    size_t n_bytes = with < 0xF8 ? with : (size_t)1 << (with - 0xF8 + 11);
    must_die_if(model.pairs_left == 0 || model.is_key_written);
    disco_write_kv(NULL, 0, zeros, n_bytes);
    HOLDS(!model.must_die);
    expect_output(NULL, 0);
    expect_output(zeros, n_bytes);
    model.pairs_left--;
}

static void copy_key(void)
{
    if (script.key == NULL)
        return;
    copy_entry(&script.copy, script.key);
    HOLDS(script.copy->len == script.key->len && script.copy->len <= script.copy->sze);
    HOLDS(memcmp(script.copy->data, script.key->data, script.key->len + 1) == 0);
}

static void say(uint8_t with)
{
    static char text[4096];
    memset(text, 'x', sizeof text - 1);
    msg("%.*s", with * 16, text);
}

/* ---- the worker ---------------------------------------------------------------------------- */

static void call(uint8_t which, uint8_t with)
{
    switch (which % 14) {
    case 0:
        read_pair();
        break;
    case 1:
        while (read_pair()) {
            announce(1);
            write_pair(script.key, script.val);
        }
        break;
    case 2:
        announce(with == 0xFF ? -1 : with % 4);
        break;
    case 3:
        write_pair(script.key, script.val);
        break;
    case 4:
        write_half(with % 2 ? script.val : script.key);
        break;
    case 5:
        write_bytes(with);
        break;
    case 6:
        copy_key();
        break;
    case 7:
        say(with);
        break;
    case 8:
        read_params();
        break;
    case 9:
        look_up_params();
        break;
    case 10:
        disco_set_max_item(model.limit = limit_of(with));
        break;
    case 11:
        read_raw(with);
        break;
    case 12:
        fake_free(dxmalloc(with));
        break;
    case 13:
        write_half(script.copy);
        break;
    }
}

static void run_script(void)
{
    for (size_t index = 0; index < script.n_calls; index++)
        call(script.calls[2 * index], script.calls[2 * index + 1]);
    disco_params_free(script.params);
    fake_free(script.key);
    fake_free(script.val);
    fake_free(script.copy);
    must_die_if(model.pairs_left > 0 || model.is_key_written);
}

/* Returns 0 for an input that is too short. */
static int decode_script(const uint8_t *data, size_t n_bytes)
{
    static const size_t sizes[] = {0, 1, 2, 3, 8, 64, 4096, 65536};
    size_t n_calls = n_bytes < 4 ? 0 : data[2] % 32, n_outcomes = n_bytes < 4 ? 0 : data[3] % 16;
    size_t n_head = 4 + 2 * n_calls + n_outcomes;
    if (n_bytes < n_head)
        return 0;
    env = (struct env){.input = data + n_head,
                       .n_input = n_bytes - n_head,
                       .outcomes = data + 4 + 2 * n_calls,
                       .n_outcomes = n_outcomes,
                       .stdin_buffer = sizes[data[0] % 8],
                       .stdout_buffer = sizes[data[1] % 8],
                       .output = env.output,
                       .errors = env.errors,
                       .blocks = env.blocks,
                       .n_room = env.n_room};
    script = (struct script){.calls = data + 4, .n_calls = n_calls};
    return 1;
}

/* What a process frees by exiting. */
static void free_all(void)
{
    while (env.n_blocks > 0)
        free(env.blocks[--env.n_blocks]);
}

/* Checks that each line of stderr has a tag and a newline. Returns the number of ERR lines. */
static size_t count_errors(void)
{
    size_t n_errors = 0, at = 0;
    while (at < env.errors.n_bytes) {
        const uint8_t *line = env.errors.data + at;
        const uint8_t *newline = memchr(line, '\n', env.errors.n_bytes - at);
        HOLDS(newline != NULL && newline - line >= 8);
        HOLDS(memcmp(line, "**<MSG> ", 8) == 0 || memcmp(line, "**<ERR> ", 8) == 0);
        n_errors += line[3] == 'E';
        at += (size_t)(newline - line) + 1;
    }
    return n_errors;
}

/* Run the script in a fresh worker. Returns its exit status and frees its memory. */
static int play_script(void)
{
    script = (struct script){.calls = script.calls, .n_calls = script.n_calls};
    struct bytes output = {.data = model.output.data, .n_room = model.output.n_room};
    model = (struct model){.limit = DISCO_MAX_ITEM, .output = output};
    int status = run_worker(run_script);
    free_all();
    return status;
}

#endif
