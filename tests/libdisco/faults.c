/*
 * Faults on demand, linked into the test programs with -Wl,--wrap: the n-th allocation fails, the
 * n-th write to stdout fails or comes out short. Told by the environment:
 *
 *   FAIL_ALLOCATION=n        the n-th and every later allocation fails
 *   FAIL_ALLOCATION_ONCE=n   the n-th alone
 *   FAIL_WRITE=n FAIL_WITH=e the n-th write to stdout fails with errno e
 *   SHORT_WRITES=n           every write to stdout takes n bytes at the most
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

static int is_over; /* the program has ended; what allocates now is the --coverage build writing its
                       counts */

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
    size_t most = (size_t)number("SHORT_WRITES");
    if (descriptor != STDOUT_FILENO)
        return __real_write(descriptor, data, n_bytes);
    if (++n_writes == number("FAIL_WRITE")) {
        errno = (int)number("FAIL_WITH");
        return -1;
    }
    return __real_write(descriptor, data, most > 0 && most < n_bytes ? most : n_bytes);
}

/* _exit() skips what writes the counts of a --coverage build. */
void __wrap__exit(int status)
{
    is_over = 1;
    if (__gcov_dump)
        __gcov_dump();
    __real__exit(status);
}
