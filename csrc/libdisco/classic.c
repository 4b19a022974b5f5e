/*
 * The classic layer: a stream over stdin and stdout, whose errors are die(), so that the program
 * cannot exit 0 with wrong output. FRAME, LIST, MAP-4 and LIMITS-1 of PROTOCOL.md.
 */
#define _POSIX_C_SOURCE 200809L
#include "stream.h"

#include <unistd.h>

static char input_buffer[DISCO_BUFFER_BYTES], output_buffer[DISCO_BUFFER_BYTES];
static const struct disco_stream_names standard_names = {"stdin", "stdout", "disco_set_max_item"};
static disco_stream standard = {.max_item = DISCO_MAX_ITEM, .names = &standard_names};
static int is_started; /* the process `owner` has registered at_exit() */
static pid_t owner;

static void check(disco_status status)
{
    if (status != DISCO_OK)
        die("%s", standard.error);
}

/*
 * Flush for the last time, and check the result and that the last list is complete. A forked child
 * inherits this handler but has nothing to do in it. Output from an exit handler that runs later
 * registers it again.
 */
static void at_exit(void)
{
    if (disco_is_dying || getpid() != owner)
        return;
    is_started = 0;
    disco_is_dying = 1; /* exit() has begun: die() must not call it again */
    check(disco_stream_finish(&standard));
    disco_is_dying = 0;
}

/* The first use: larger buffers, unless the program has already used the streams. */
static void start(void)
{
    is_started = 1;
    owner = getpid();
    standard.input = stdin;
    standard.output = stdout;
    if (atexit(at_exit) != 0)
        die("out of memory: atexit()");
    if (is_unused(stdin))
        setvbuf(stdin, input_buffer, _IOFBF, sizeof input_buffer);
    if (is_unused(stdout))
        setvbuf(stdout, output_buffer, _IOFBF, sizeof output_buffer);
}

static inline disco_stream *use(void)
{
    if (!is_started)
        start();
    return &standard;
}

int read_kv(p_entry **key, p_entry **val)
{
    disco_status status = stream_read_pair(use(), key, val);
    if (status == DISCO_END)
        return 0;
    check(status);
    return 1;
}

void disco_read_raw(void *data, size_t n_bytes)
{
    check(disco_stream_read_raw(use(), data, n_bytes));
}

disco_params *disco_params_read(void)
{
    disco_params *params;
    check(disco_stream_read_params(use(), &params));
    return params;
}

void disco_set_max_item(uint32_t max_item) { standard.max_item = max_item; }

void write_num_prefix(int num)
{
    if (num < 0)
        die("write_num_prefix(%d): a list cannot have fewer than 0 pairs [LIST-2]", num);
    check(disco_stream_begin_list(use(), (uint32_t)num));
}

void disco_write_kv(const void *key, size_t key_size, const void *val, size_t val_size)
{
    check(stream_write_pair(use(), key, key_size, val, val_size));
}

void write_kv(const p_entry *key, const p_entry *val)
{
    check(stream_write_pair(use(), key->data, key->len, val->data, val->len));
}

void write_entry(const p_entry *e) { check(disco_stream_write_half(use(), e->data, e->len)); }
