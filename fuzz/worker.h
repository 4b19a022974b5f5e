/*
 * Runs workers of the classic layer inside the fuzzing process, some hundred thousand a second. The
 * sources of the layer are included below with stdin, stdout, write(), poll(), exit() and the
 * allocator replaced. Each byte of `outcomes` decides the result of a system call: how many bytes a
 * read or write transfers, whether it is interrupted, whether a read would block. All allocations
 * are recorded, to detect leaks and to free what a worker leaves when it exits.
 */
#ifndef FUZZ_WORKER_H
#define FUZZ_WORKER_H

#define _GNU_SOURCE
#include "fuzz.h"

#define DISCO_STDIO_GLIBC
#include "buffers.h"

#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <unistd.h>

struct bytes {
    uint8_t *data;
    size_t n_bytes, n_room;
};

/* The worker's environment. A target sets the first group of fields before run_worker(). */
static struct env {
    const uint8_t *input, *outcomes;
    size_t n_input, n_outcomes;
    size_t stdin_buffer, stdout_buffer; /* sizes in bytes; 0: the default */
    unsigned long fail_at;              /* number of the allocation that fails; 0: none */
    int fail_on;                        /* all later ones fail too */

    size_t n_taken, turn;
    unsigned long n_allocations;
    int is_ready, n_handlers, status, is_exiting;
    void (*handlers[8])(void);
    struct bytes output, errors;
    void **blocks;
    size_t n_blocks, n_room;
    jmp_buf end;
} env;

static unsigned next_outcome(void)
{
    return env.n_outcomes == 0 ? 0xFF : env.outcomes[env.turn++ % env.n_outcomes];
}

static void add_bytes(struct bytes *bytes, const void *data, size_t n_bytes)
{
    if (n_bytes > bytes->n_room - bytes->n_bytes) {
        bytes->n_room = 2 * (bytes->n_bytes + n_bytes);
        bytes->data = realloc(bytes->data, bytes->n_room);
        HOLDS(bytes->data != NULL);
    }
    if (n_bytes > 0)
        memcpy(bytes->data + bytes->n_bytes, data, n_bytes);
    bytes->n_bytes += n_bytes;
}

/* ---- the system calls --------------------------------------------------------------------- */

/*
 * The bytes that a call transfers, at most n_bytes, or -1 with EINTR or EAGAIN. Two errors never
 * follow each other, so that every worker ends.
 */
static ssize_t transfer(size_t n_bytes)
{
    static int has_failed;
    unsigned outcome = next_outcome();
    if (outcome < 16 && !has_failed) {
        has_failed = 1;
        errno = outcome < 8 ? EINTR : EAGAIN;
        return -1;
    }
    has_failed = 0;
    return (ssize_t)(outcome >= 0xE0 || outcome >= n_bytes ? n_bytes : outcome ? outcome : 1);
}

/* All answers must be written before a read that may block (MAP-4). */
static void check_flushed(void)
{
    size_t n_pending;
    output_pending(stdout, &n_pending);
    HOLDS(n_pending == 0);
}

static ssize_t take_input(void *unused, char *data, size_t n_bytes)
{
    (void)unused;
    if (!env.is_ready)
        check_flushed();
    ssize_t n_moved = transfer(n_bytes);
    if (n_moved < 0 && errno == EINTR)
        return -1;
    env.is_ready = 0; /* EAGAIN: another process may have read the input first */
    if (n_moved < 0)
        return -1;
    if ((size_t)n_moved > env.n_input - env.n_taken)
        n_moved = (ssize_t)(env.n_input - env.n_taken);
    if (n_moved > 0)
        memcpy(data, env.input + env.n_taken, (size_t)n_moved);
    env.n_taken += (size_t)n_moved;
    return n_moved;
}

static ssize_t fake_write(int descriptor, const void *data, size_t n_bytes)
{
    ssize_t n_moved = transfer(n_bytes);
    HOLDS(descriptor == STDOUT_FILENO || descriptor == STDERR_FILENO);
    if (n_moved > 0)
        add_bytes(descriptor == STDOUT_FILENO ? &env.output : &env.errors, data, (size_t)n_moved);
    return n_moved;
}

/* stdio does not support short writes by a custom stream. */
static ssize_t take_output(void *unused, const char *data, size_t n_bytes)
{
    (void)unused;
    add_bytes(&env.output, data, n_bytes);
    return (ssize_t)n_bytes;
}

static int fake_poll(struct pollfd *polled, nfds_t n_polled, int timeout)
{
    HOLDS(n_polled == 1);
    if (polled->fd == STDIN_FILENO && timeout < 0)
        check_flushed();
    if (polled->fd == STDIN_FILENO)
        env.is_ready = timeout < 0 || next_outcome() % 2;
    return polled->fd != STDIN_FILENO || env.is_ready;
}

static int fake_fileno(FILE *stream) { return stream == stdin ? STDIN_FILENO : STDOUT_FILENO; }

/* ---- the allocator ------------------------------------------------------------------------ */

static int allocation_fails(void)
{
    unsigned long number = ++env.n_allocations;
    if (env.fail_at == 0 || number < env.fail_at || (number > env.fail_at && !env.fail_on))
        return 0;
    errno = ENOMEM;
    return 1;
}

static void **slot_of(const void *block)
{
    for (size_t index = env.n_blocks; index-- > 0;)
        if (env.blocks[index] == block)
            return &env.blocks[index];
    return NULL;
}

static void *fake_realloc(void *block, size_t n_bytes)
{
    if (allocation_fails())
        return NULL;
    void **slot = block == NULL ? NULL : slot_of(block);
    HOLDS(block == NULL || slot != NULL);
    if (slot == NULL && env.n_blocks == env.n_room) {
        env.n_room = 2 * env.n_room + 64;
        env.blocks = realloc(env.blocks, env.n_room * sizeof *env.blocks);
        HOLDS(env.blocks != NULL);
    }
    if (slot == NULL)
        slot = &env.blocks[env.n_blocks++];
    return *slot = realloc(block, n_bytes);
}

static void *fake_malloc(size_t n_bytes) { return fake_realloc(NULL, n_bytes); }

static void fake_free(void *block)
{
    if (block == NULL)
        return;
    void **slot = slot_of(block);
    HOLDS(slot != NULL);
    *slot = env.blocks[--env.n_blocks];
    free(block);
}

/* ---- the exit ----------------------------------------------------------------------------- */

static int fake_atexit(void (*handler)(void))
{
    if (allocation_fails())
        return -1;
    HOLDS(env.n_handlers < 8);
    env.handlers[env.n_handlers++] = handler;
    return 0;
}

static _Noreturn void fake__exit(int status)
{
    env.status = status;
    __fpurge(stdout);
    longjmp(env.end, 1);
}

static _Noreturn void fake_exit(int status)
{
    HOLDS(!env.is_exiting); /* exit() inside an atexit() handler is undefined */
    env.is_exiting = 1;
    while (env.n_handlers > 0)
        env.handlers[--env.n_handlers]();
    env.status = status;
    longjmp(env.end, 1);
}

#define malloc(n_bytes) fake_malloc(n_bytes)
#define realloc(block, n_bytes) fake_realloc(block, n_bytes)
#define free(block) fake_free(block)
#define write(descriptor, data, n_bytes) fake_write(descriptor, data, n_bytes)
#define poll(polled, n_polled, timeout) fake_poll(polled, n_polled, timeout)
#undef fileno
#define fileno(stream) fake_fileno(stream)
#define atexit(handler) fake_atexit(handler)
#define exit(status) fake_exit(status)
#define _exit(status) fake__exit(status)
#undef _DEFAULT_SOURCE
#undef _POSIX_C_SOURCE

#include <report.c>

#include <entry.c>

#include <stream.c>

#include <stream_params.c>

#include <classic.c>

#undef malloc
#undef realloc
#undef free
#undef exit

/* ---- a run -------------------------------------------------------------------------------- */

static FILE *open_stream(const char *mode, size_t n_buffer, char **buffer)
{
    FILE *stream =
        fopencookie(NULL, mode, (cookie_io_functions_t){.read = take_input, .write = take_output});
    HOLDS(stream != NULL);
    *buffer = n_buffer == 0 ? NULL : malloc(n_buffer);
    if (*buffer != NULL)
        setvbuf(stream, *buffer, _IOFBF, n_buffer);
    return stream;
}

static void reset(void)
{
    is_started = disco_is_dying = 0;
    standard = (disco_stream){.max_item = DISCO_MAX_ITEM, .names = &standard_names};
    env.n_taken = env.turn = 0;
    env.n_allocations = 0;
    env.is_ready = env.n_handlers = env.is_exiting = 0;
    env.output.n_bytes = env.errors.n_bytes = 0;
}

/* Run a fresh worker to its end. Returns its exit status; its output is in env. */
static int run_worker(void (*worker)(void))
{
    FILE *own_stdin = stdin, *own_stdout = stdout;
    char *buffers[2];
    reset();
    stdin = open_stream("r", env.stdin_buffer, &buffers[0]);
    stdout = open_stream("w", env.stdout_buffer, &buffers[1]);
    if (setjmp(env.end) == 0) {
        worker();
        fake_exit(0);
    }
    fclose(stdout);
    fclose(stdin);
    stdin = own_stdin;
    stdout = own_stdout;
    free(buffers[0]);
    free(buffers[1]);
    HOLDS(env.n_blocks == 0 || env.status != 0 || disco_is_dying);
    return env.status;
}

#endif
