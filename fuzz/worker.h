/*
 * The classic layer in a bottle, so that a worker runs, dies and exits a hundred thousand times a
 * second in one process: its sources are compiled in here with stdin, stdout, write(), poll(),
 * exit() and the allocator replaced. The bytes of `weather` say what the system does next: how much
 * a read or a write takes, whether it is interrupted, whether a read would block. What is allocated
 * is known: a leak is seen, and a dead worker's is freed.
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

/* What surrounds the worker. The upper half is the target's to set before world_run(). */
static struct world {
    const uint8_t *input, *weather;
    size_t n_input, n_weather;
    size_t stdin_buffer, stdout_buffer; /* bytes of them; 0: the library's own */
    unsigned long fail_at;              /* this allocation fails, 0: none; */
    int fail_on;                        /* and all later ones */

    size_t n_taken, turn;
    unsigned long n_allocations;
    int is_ready, n_handlers, status, is_exiting;
    void (*handlers[8])(void);
    struct bytes output, errors;
    void **blocks;
    size_t n_blocks, n_room;
    jmp_buf end;
} world;

static unsigned next_weather(void)
{
    return world.n_weather == 0 ? 0xFF : world.weather[world.turn++ % world.n_weather];
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
 * How many of n_bytes are moved; -1: an error that passes. Never two errors on end: the weather
 * gets better.
 */
static ssize_t moved(size_t n_bytes)
{
    static int was_bad;
    unsigned weather = next_weather();
    if (weather < 16 && !was_bad) {
        was_bad = 1;
        errno = weather < 8 ? EINTR : EAGAIN;
        return -1;
    }
    was_bad = 0;
    return (ssize_t)(weather >= 0xE0 || weather >= n_bytes ? n_bytes : weather ? weather : 1);
}

/* stdin would block, or does: then the driver must have its answer (MAP-4). */
static void nothing_is_held_back(void)
{
    size_t n_pending;
    output_pending(stdout, &n_pending);
    HOLDS(n_pending == 0);
}

static ssize_t take_input(void *unused, char *data, size_t n_bytes)
{
    (void)unused;
    if (!world.is_ready)
        nothing_is_held_back();
    ssize_t n_moved = moved(n_bytes);
    if (n_moved < 0 && errno == EINTR)
        return -1;
    world.is_ready = 0; /* another reader of the same stdin may have come before: EAGAIN */
    if (n_moved < 0)
        return -1;
    if ((size_t)n_moved > world.n_input - world.n_taken)
        n_moved = (ssize_t)(world.n_input - world.n_taken);
    if (n_moved > 0)
        memcpy(data, world.input + world.n_taken, (size_t)n_moved);
    world.n_taken += (size_t)n_moved;
    return n_moved;
}

static ssize_t world_write(int descriptor, const void *data, size_t n_bytes)
{
    ssize_t n_moved = moved(n_bytes);
    HOLDS(descriptor == STDOUT_FILENO || descriptor == STDERR_FILENO);
    if (n_moved > 0)
        add_bytes(descriptor == STDOUT_FILENO ? &world.output : &world.errors, data,
                  (size_t)n_moved);
    return n_moved;
}

/* stdio's own writing does not know of short writes by a stream of ours. */
static ssize_t take_output(void *unused, const char *data, size_t n_bytes)
{
    (void)unused;
    add_bytes(&world.output, data, n_bytes);
    return (ssize_t)n_bytes;
}

static int world_poll(struct pollfd *polled, nfds_t n_polled, int timeout)
{
    HOLDS(n_polled == 1);
    if (polled->fd == STDIN_FILENO && timeout < 0)
        nothing_is_held_back();
    if (polled->fd == STDIN_FILENO)
        world.is_ready = timeout < 0 || next_weather() % 2;
    return polled->fd != STDIN_FILENO || world.is_ready;
}

static int world_fileno(FILE *stream) { return stream == stdin ? STDIN_FILENO : STDOUT_FILENO; }

/* ---- the allocator ------------------------------------------------------------------------ */

static int allocation_fails(void)
{
    unsigned long number = ++world.n_allocations;
    if (world.fail_at == 0 || number < world.fail_at || (number > world.fail_at && !world.fail_on))
        return 0;
    errno = ENOMEM;
    return 1;
}

static void **slot_of(const void *block)
{
    for (size_t index = world.n_blocks; index-- > 0;)
        if (world.blocks[index] == block)
            return &world.blocks[index];
    return NULL;
}

static void *world_realloc(void *block, size_t n_bytes)
{
    if (allocation_fails())
        return NULL;
    void **slot = block == NULL ? NULL : slot_of(block);
    HOLDS(block == NULL || slot != NULL);
    if (slot == NULL && world.n_blocks == world.n_room) {
        world.n_room = 2 * world.n_room + 64;
        world.blocks = realloc(world.blocks, world.n_room * sizeof *world.blocks);
        HOLDS(world.blocks != NULL);
    }
    if (slot == NULL)
        slot = &world.blocks[world.n_blocks++];
    return *slot = realloc(block, n_bytes);
}

static void *world_malloc(size_t n_bytes) { return world_realloc(NULL, n_bytes); }

static void world_free(void *block)
{
    if (block == NULL)
        return;
    void **slot = slot_of(block);
    HOLDS(slot != NULL);
    *slot = world.blocks[--world.n_blocks];
    free(block);
}

/* ---- the exit ----------------------------------------------------------------------------- */

static int world_atexit(void (*handler)(void))
{
    if (allocation_fails())
        return -1;
    HOLDS(world.n_handlers < 8);
    world.handlers[world.n_handlers++] = handler;
    return 0;
}

static _Noreturn void world__exit(int status)
{
    world.status = status;
    __fpurge(stdout);
    longjmp(world.end, 1);
}

static _Noreturn void world_exit(int status)
{
    HOLDS(!world.is_exiting); /* exit() in a handler of exit() is undefined */
    world.is_exiting = 1;
    while (world.n_handlers > 0)
        world.handlers[--world.n_handlers]();
    world.status = status;
    longjmp(world.end, 1);
}

#define malloc(n_bytes) world_malloc(n_bytes)
#define realloc(block, n_bytes) world_realloc(block, n_bytes)
#define free(block) world_free(block)
#define write(descriptor, data, n_bytes) world_write(descriptor, data, n_bytes)
#define poll(polled, n_polled, timeout) world_poll(polled, n_polled, timeout)
#undef fileno
#define fileno(stream) world_fileno(stream)
#define atexit(handler) world_atexit(handler)
#define exit(status) world_exit(status)
#define _exit(status) world__exit(status)
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

static void forget_last_run(void)
{
    is_started = disco_is_dying = 0;
    standard = (disco_stream){.max_item = DISCO_MAX_ITEM, .names = &standard_names};
    world.n_taken = world.turn = 0;
    world.n_allocations = 0;
    world.is_ready = world.n_handlers = world.is_exiting = 0;
    world.output.n_bytes = world.errors.n_bytes = 0;
}

/*
 * Run a worker to its end, from nothing. Returns its exit status; world.output and world.errors are
 * what it wrote.
 */
static int world_run(void (*worker)(void))
{
    FILE *own_stdin = stdin, *own_stdout = stdout;
    char *buffers[2];
    forget_last_run();
    stdin = open_stream("r", world.stdin_buffer, &buffers[0]);
    stdout = open_stream("w", world.stdout_buffer, &buffers[1]);
    if (setjmp(world.end) == 0) {
        worker();
        world_exit(0);
    }
    fclose(stdout);
    fclose(stdin);
    stdin = own_stdin;
    stdout = own_stdout;
    free(buffers[0]);
    free(buffers[1]);
    HOLDS(world.n_blocks == 0 || world.status != 0 || disco_is_dying);
    return world.status;
}

#endif
