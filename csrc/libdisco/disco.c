/*
 * The classic layer's stdin and stdout: pairs in, result lists out. FRAME, LIST, MAP-4 and LIMITS-1
 * of PROTOCOL.md.
 *
 * Promises: stdout is flushed when, and only when, the next read of stdin would block, and at exit.
 * What is not written whole, or breaks the framing, ends in die(): the program cannot exit 0 with
 * wrong output.
 */
#define _DEFAULT_SOURCE
#include "internal.h"

#include "buffers.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

enum { BUFFER_BYTES = 128 * 1024 };

static char input_buffer[BUFFER_BYTES], output_buffer[BUFFER_BYTES];

static int is_started; /* at_exit() is registered, by this process: */
static pid_t owner;
static uint32_t max_item = DISCO_MAX_ITEM;
static uint64_t offset;      /* bytes read of the stream of pairs */
static uint64_t pairs_left;  /* pairs that the list under way still owes */
static uint64_t n_announced; /* pairs that it announced */
static int is_key_written;   /* a key has been written, its value has not */

/* ---- stdout ------------------------------------------------------------------------------- */

static DISCO_NORETURN void die_unwritten(void)
{
    int error = errno;
    stdout_forget(); /* or exit() would write the part that did arrive once more */
    die("cannot write to stdout: %s; what was written is not to be used", strerror(error));
}

/* Write what stdout's buffer holds. stdio's own fflush() loses it when a signal comes between. */
static void flush(void)
{
    size_t n_bytes;
    const char *data = stdout_pending(&n_bytes);
    if (n_bytes > 0 && disco_write_all(fileno(stdout), data, n_bytes) != 0)
        die_unwritten();
    if (n_bytes > 0)
        stdout_forget();
    if (!KNOWS_STDOUT && fflush(stdout) != 0)
        die_unwritten();
    if (ferror(stdout))
        die("an earlier write to stdout failed; what was written is not to be used");
}

/* The output that does not fit in the buffer as it is. */
static void put_slowly(const void *data, size_t n_bytes)
{
    if (KNOWS_STDOUT)
        flush();
    if (stdout_holds(n_bytes)) {
        if (fwrite_unlocked(data, 1, n_bytes, stdout) != n_bytes)
            die_unwritten();
    } else if (disco_write_all(fileno(stdout), data, n_bytes) != 0) {
        die_unwritten();
    }
}

static inline void put(const void *data, size_t n_bytes)
{
    size_t room;
    char *space = stdout_space(&room);
    if (n_bytes == 0)
        return;
    if (n_bytes > room) {
        put_slowly(data, n_bytes);
        return;
    }
    memcpy(space, data, n_bytes);
    stdout_advance(n_bytes);
}

static void put_item(const void *data, size_t n_bytes)
{
    unsigned char size[4];
    uint32_t limit = max_item > DISCO_MAX_ITEM ? max_item : DISCO_MAX_ITEM;
    if (n_bytes > limit)
        die("an item of %zu bytes is not to be written, the limit is %lu; raise it by "
            "disco_set_max_item(), and the "
            "driver's, if that is meant [LIMITS-1]",
            n_bytes, (unsigned long)limit);
    disco_put_u32(size, (uint32_t)n_bytes);
    put(size, sizeof size);
    put(data, n_bytes);
}

/* ---- The exit ----------------------------------------------------------------------------- */

/*
 * The last flush, checked, and the last word on the list under way. A forked child inherits this
 * handler and none of the duties. Output by a handler that comes after this one registers it anew.
 */
static void at_exit(void)
{
    if (disco_is_dying || getpid() != owner)
        return;
    is_started = 0;
    disco_is_dying = 1; /* exit() is under way: a die() from here on must not call it again */
    flush();
    if (is_key_written)
        die("exit after a key without its value: write_entry() it, or use write_kv() [FRAME-3]");
    if (pairs_left > 0)
        die("exit with fewer pairs than announced: write_num_prefix(%llu), then %llu pairs "
            "[LIST-2]",
            (unsigned long long)n_announced, (unsigned long long)(n_announced - pairs_left));
    disco_is_dying = 0;
}

/*
 * The first use of the classic layer: larger buffers, unless the program has begun to use the
 * streams.
 */
static void start(void)
{
    is_started = 1;
    owner = getpid();
    if (atexit(at_exit) != 0)
        die("out of memory: atexit()");
    if (is_unused(stdin))
        setvbuf(stdin, input_buffer, _IOFBF, sizeof input_buffer);
    if (is_unused(stdout))
        setvbuf(stdout, output_buffer, _IOFBF, sizeof output_buffer);
}

static inline void use(void)
{
    if (!is_started)
        start();
}

/* ---- stdin -------------------------------------------------------------------------------- */

/*
 * The next read(2) is due: when it would block, the peer must first have what it waits for (MAP-4).
 */
static void flush_before_blocking(void)
{
    struct pollfd input = {.fd = fileno(stdin), .events = POLLIN, .revents = 0};
    size_t n_pending;
    stdout_pending(&n_pending);
    if (!KNOWS_STDOUT || (n_pending > 0 && poll(&input, 1, 0) <= 0))
        flush();
}

/*
 * Have stdin's empty buffer filled by one read(2), and take its first byte; EOF at the end of file.
 */
static int refill(void)
{
    flush_before_blocking();
    for (;;) {
        int byte = getc_unlocked(stdin);
        if (byte != EOF || !ferror(stdin))
            return byte;
        if (errno == EAGAIN || errno == EWOULDBLOCK) {
            struct pollfd input = {.fd = fileno(stdin), .events = POLLIN, .revents = 0};
            flush(); /* it was ready, but another reader of the same stdin came before */
            poll(&input, 1, -1);
        } else if (errno != EINTR) {
            die("cannot read stdin: %s", strerror(errno));
        }
        clearerr(stdin);
    }
}

size_t disco_read(void *data, size_t n_bytes)
{
    char *target = data;
    size_t n_had = 0;
    use();
    while (n_had < n_bytes) {
        size_t n_there;
        const char *source = stdin_buffered(&n_there);
        if (n_there > n_bytes - n_had)
            n_there = n_bytes - n_had;
        if (n_there > 0) {
            memcpy(target + n_had, source, n_there);
            stdin_skip(n_there);
            n_had += n_there;
        } else {
            int byte = refill();
            if (byte == EOF)
                break;
            target[n_had++] = (char)byte;
        }
    }
    return n_had;
}

DISCO_NORETURN void disco_die_truncated(const char *field, uint64_t at, uint64_t wanted,
                                        uint64_t had, const char *clause)
{
    die("the stream ends inside the %s at byte %llu: %llu bytes wanted, %llu there [%s]", field,
        (unsigned long long)at, (unsigned long long)wanted, (unsigned long long)had, clause);
}

/* ---- Pairs in ----------------------------------------------------------------------------- */

/* Set *entry to bytes that are there. */
static inline void set_entry(p_entry **entry, const disco_slice *item)
{
    unsigned int size = (unsigned int)item->n_bytes;
    if (*entry == NULL || (*entry)->sze < size)
        disco_grow_entry(entry, size < 64 ? 64 : 2 * size, 0);
    memcpy((*entry)->data, item->data, size);
    (*entry)->len = size;
    (*entry)->data[size] = '\0';
}

/* Read an item in pieces. 1, or 0 when `may_end` and the stream has ended before it. */
static int read_entry(p_entry **entry, const char *field, const char *size_field, int may_end)
{
    unsigned char size_bytes[4];
    size_t had = disco_read(size_bytes, sizeof size_bytes);
    if (had == 0 && may_end)
        return 0;
    if (had < sizeof size_bytes)
        disco_die_truncated(size_field, offset, sizeof size_bytes, had, "FRAME-4");
    uint32_t size = disco_get_u32(size_bytes);
    if (size > max_item)
        die("the %s at byte %llu announces %lu bytes, the limit is %lu; raise it by "
            "disco_set_max_item() if that is "
            "meant [LIMITS-1]",
            size_field, (unsigned long long)offset, (unsigned long)size, (unsigned long)max_item);
    offset += sizeof size_bytes;
    had = disco_read_item(entry, size);
    if (had < size)
        disco_die_truncated(field, offset, size, had, "FRAME-4");
    offset += size;
    return 1;
}

DISCO_API int read_kv(p_entry **key, p_entry **val)
{
    disco_slice key_bytes, val_bytes;
    size_t n_there, n_taken;
    use();
    const char *there = stdin_buffered(&n_there);
    /*
     * The quick way: the pair lies whole in the buffer. What it cannot do, an error included, the
     * other can.
     */
    if (disco_decode_pair(there, n_there, max_item, &key_bytes, &val_bytes, &n_taken) == DISCO_OK) {
        set_entry(key, &key_bytes);
        set_entry(val, &val_bytes);
        stdin_skip(n_taken);
        offset += n_taken;
        return 1;
    }
    if (!read_entry(key, "key", "key size", 1))
        return 0;
    return read_entry(val, "value", "value size", 0);
}

DISCO_API void disco_set_max_item(uint32_t limit) { max_item = limit; }

DISCO_API void disco_read_raw(void *data, size_t n_bytes)
{
    size_t had = disco_read(data, n_bytes);
    if (had < n_bytes)
        disco_die_truncated("raw parameters", 0, n_bytes, had, "PARAMS-6");
}

/* ---- Lists out ---------------------------------------------------------------------------- */

DISCO_API void write_num_prefix(int num)
{
    unsigned char count[4];
    use();
    if (num < 0)
        die("write_num_prefix(%d): a list cannot have fewer than 0 pairs [LIST-2]", num);
    if (is_key_written)
        die("write_num_prefix() after a key without its value [FRAME-3]");
    if (pairs_left > 0)
        die("write_num_prefix() with fewer pairs than announced: write_num_prefix(%llu), then %llu "
            "pairs [LIST-2]",
            (unsigned long long)n_announced, (unsigned long long)(n_announced - pairs_left));
    pairs_left = n_announced = (unsigned int)num;
    disco_put_u32(count, (uint32_t)num);
    put(count, sizeof count);
}

/* Is a pair due at all, and, when `is_key`, not the value of one? */
static inline void expect_pair(void)
{
    use();
    if (pairs_left == 0)
        die("more pairs than announced: write_num_prefix(%llu) and all of its pairs came before "
            "[LIST-2]",
            (unsigned long long)n_announced);
}

DISCO_API void disco_write_kv(const void *key, size_t key_size, const void *val, size_t val_size)
{
    expect_pair();
    if (is_key_written)
        die("a pair after a key without its value: write_entry() the value first [FRAME-3]");
    put_item(key, key_size);
    put_item(val, val_size);
    pairs_left--;
}

DISCO_API void write_kv(const p_entry *key, const p_entry *val)
{
    disco_write_kv(key->data, key->len, val->data, val->len);
}

DISCO_API void write_entry(const p_entry *e)
{
    expect_pair();
    put_item(e->data, e->len);
    if (is_key_written)
        pairs_left--;
    is_key_written = !is_key_written;
}
