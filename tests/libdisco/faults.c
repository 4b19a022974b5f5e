/*
 * Fault injection for the test programs, linked with -Wl,--wrap. The environment selects the
 * faults:
 *
 *   FAIL_ALLOCATION=n        the n-th and every later allocation fails
 *   FAIL_ALLOCATION_ONCE=n   only the n-th allocation fails
 *   FAIL_WRITE=n FAIL_WITH=e the n-th write to stdout fails with errno e
 *   SHORT_WRITES=n           each write to stdout takes at most n bytes
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

void *__real_malloc(size_t size);
void *__real_realloc(void *block, size_t size);
void *__real_calloc(size_t count, size_t size);
ssize_t __real_write(int descriptor, const void *data, size_t n_bytes);
void __real__exit(int status) __attribute__((noreturn));

void *__wrap_malloc(size_t size);
void *__wrap_realloc(void *block, size_t size);
void *__wrap_calloc(size_t count, size_t size);
ssize_t __wrap_write(int descriptor, const void *data, size_t n_bytes);
void __wrap__exit(int status) __attribute__((noreturn));

void __gcov_dump(void) __attribute__((weak));

static long number(const char *name)
{
    const char *text = getenv(name);
    return text ? atol(text) : 0;
}

/* After the end of the program, a --coverage build still allocates memory to write its counts. */
static int is_over;

static void __attribute__((destructor)) program_is_over(void) { is_over = 1; }

static int allocation_fails(void)
{
    static _Atomic long n_allocations = 0;
    long from = number("FAIL_ALLOCATION"), turn = ++n_allocations;
    if (is_over)
        return 0;
    if ((from == 0 || turn < from) && turn != number("FAIL_ALLOCATION_ONCE"))
        return 0;
    errno = ENOMEM;
    return 1;
}

void *__wrap_malloc(size_t size) { return allocation_fails() ? NULL : __real_malloc(size); }
void *__wrap_realloc(void *block, size_t size)
{
    return allocation_fails() ? NULL : __real_realloc(block, size);
}
void *__wrap_calloc(size_t count, size_t size)
{
    return allocation_fails() ? NULL : __real_calloc(count, size);
}

ssize_t __wrap_write(int descriptor, const void *data, size_t n_bytes)
{
    static _Atomic long n_writes = 0;
    size_t max_bytes = (size_t)number("SHORT_WRITES");
    if (descriptor != STDOUT_FILENO)
        return __real_write(descriptor, data, n_bytes);
    if (++n_writes == number("FAIL_WRITE")) {
        errno = (int)number("FAIL_WITH");
        return -1;
    }
    return __real_write(descriptor, data,
                        max_bytes > 0 && max_bytes < n_bytes ? max_bytes : n_bytes);
}

/* _exit() skips what writes the counts of a --coverage build. */
void __wrap__exit(int status)
{
    is_over = 1;
    if (__gcov_dump)
        __gcov_dump();
    __real__exit(status);
}
