/*
 * The reference contract (kvproto/conformance/CONTRACT.md) in C, with libdisco, which reads, writes
 * and flushes.
 */
#include <disco.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

static disco_params *params;
static p_entry *key, *val;

static const p_entry *needed(const char *name)
{
    const p_entry *value = disco_params_get(params, name);
    if (!value)
        die("the parameter %s is missing", name);
    return value;
}

static unsigned int number(const char *name)
{
    const p_entry *text = needed(name);
    unsigned long long n = 0;
    if (text->len >= 1 && text->len <= 10 && strspn(text->data, "0123456789") == text->len)
        n = strtoull(text->data, NULL, 10);
    else
        die("the parameter %s is no number of 1 to 10 digits", name);
    if (n > UINT32_MAX)
        die("the parameter %s is over 4294967295", name);
    return (unsigned int)n;
}

static void echo(void)
{
    write_num_prefix(1);
    write_kv(key, val);
}

static void fan(void)
{
    unsigned int n = number("n"), i;
    if (n > INT32_MAX)
        die("libdisco writes lists of at most 2147483647 pairs");
    while (read_kv(&key, &val)) {
        write_num_prefix((int)n);
        for (i = 0; i < n; i++)
            write_kv(key, val);
    }
}

/* By name, and of one name in the order in which they were sent. */
static int compare_params(const void *a, const void *b)
{
    size_t i = *(const size_t *)a, j = *(const size_t *)b;
    const p_entry *x = disco_params_name(params, i), *y = disco_params_name(params, j);
    int order = memcmp(x->data, y->data, x->len < y->len ? x->len : y->len);
    if (!order)
        order = (x->len > y->len) - (x->len < y->len);
    return order ? order : (i > j) - (i < j);
}

static int same_name(size_t i, size_t j)
{
    const p_entry *x = disco_params_name(params, i), *y = disco_params_name(params, j);
    return x->len == y->len && !memcmp(x->data, y->data, x->len);
}

static void write_params(const size_t *order, size_t count)
{
    size_t i;
    write_num_prefix((int)count);
    for (i = 0; i < count; i++)
        write_kv(disco_params_name(params, order[i]), disco_params_value(params, order[i]));
}

static void list_params(int is_map)
{
    size_t count = disco_params_count(params), kept = 0, i;
    size_t *order = calloc(count + 1, sizeof *order);
    if (!order)
        die("out of memory");
    for (i = 0; i < count; i++)
        order[i] = i;
    qsort(order, count, sizeof *order, compare_params);
    for (i = 0; i < count; i++)
        if (i + 1 == count || !same_name(order[i], order[i + 1]))
            order[kept++] = order[i];
    while (read_kv(&key, &val))
        if (is_map)
            write_params(order, kept);
    if (!is_map)
        write_params(order, kept);
    free(order);
}

static void fail(void)
{
    const p_entry *text = needed("text");
    unsigned int at = number("at"), i;
    for (i = 0; read_kv(&key, &val); i++) {
        if (i == at)
            die("%s", text->data);
        echo();
    }
}

static void say(void)
{
    const p_entry *text = needed("text");
    unsigned long i;
    for (i = 0; read_kv(&key, &val); i++) {
        msg("%s %lu", text->data, i);
        echo();
    }
}

static void file(void)
{
    const p_entry *name = needed("name");
    char *data = NULL, *grown;
    size_t size = 0, had;
    FILE *in;
    if (!name->len || strlen(name->data) != name->len || strchr(name->data, '/') ||
        !strcmp(name->data, ".") || !strcmp(name->data, ".."))
        die("not the plain name of a file: %s", name->data);
    if (!(in = fopen(name->data, "rb")))
        die("cannot open %s: %s", name->data, strerror(errno));
    do {
        if (!(grown = realloc(data, size + 65536)))
            die("out of memory for %s", name->data);
        data = grown;
        size += had = fread(data + size, 1, 65536, in);
    } while (had);
    if (ferror(in))
        die("cannot read %s: %s", name->data, strerror(errno));
    fclose(in);
    while (read_kv(&key, &val)) {
        write_num_prefix(1);
        disco_write_kv(name->data, name->len, data, size);
    }
    free(data);
}

static void hold(void)
{
    struct {
        p_entry *key, *val;
    } *held = NULL, *grown;
    size_t count = 0, room = 0, i;
    for (; read_kv(&key, &val); count++) {
        if (count == room) {
            room = room ? 2 * room : 1024;
            if (!(grown = realloc(held, room * sizeof *held)))
                die("out of memory for %zu pairs", room);
            held = grown;
        }
        held[count].key = held[count].val = NULL;
        copy_entry(&held[count].key, key);
        copy_entry(&held[count].val, val);
    }
    write_num_prefix((int)count);
    for (i = 0; i < count; i++) {
        write_kv(held[i].key, held[i].val);
        free(held[i].key);
        free(held[i].val);
    }
    free(held);
}

static int is(const p_entry *what, const char *word)
{
    return what ? what->len == strlen(word) && !memcmp(what->data, word, what->len)
                : !strcmp(word, "echo");
}

int main(int argc, char **argv)
{
    const char *mode = argc > 1 ? argv[argc - 1] : "";
    int is_map = !strcmp(mode, "map");
    const p_entry *what;
    if (!is_map && strcmp(mode, "reduce"))
        die("the last argument is map or reduce, not '%s'", mode);
    signal(SIGPIPE, SIG_IGN); /* a reader that has gone is an error of write, and is reported */
    params = disco_params_read();
    what = disco_params_get(params, "do");
    if (is(what, "fan"))
        fan();
    else if (is(what, "params"))
        list_params(is_map);
    else if (is(what, "say"))
        say();
    else if (is(what, "err"))
        fail();
    else if (is(what, "file"))
        file();
    else if (is(what, "hold") && !is_map)
        hold();
    else if (is(what, "sink"))
        while (read_kv(&key, &val)) {
            if (is_map)
                write_num_prefix(0);
        }
    else if (is(what, "echo") || is(what, "hold"))
        while (read_kv(&key, &val))
            echo();
    else
        die("do=%s: not a thing that the contract knows", what->data);
    free(key);
    free(val);
    disco_params_free(params);
    return 0;
}
