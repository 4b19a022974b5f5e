/* Allocations that fail: include it before a source whose allocations are to fail. */
#ifndef FAULTY_H
#define FAULTY_H

#include "fuzz.h"

#include <stdlib.h>

static unsigned long n_allocations, fail_at; /* the number of the one that fails; 0: none does */

static inline int fails(void) { return ++n_allocations == fail_at; }

static inline void *faulty_malloc(size_t n_bytes) { return fails() ? NULL : malloc(n_bytes); }

static inline void *faulty_calloc(size_t n, size_t n_bytes)
{
    return fails() ? NULL : calloc(n, n_bytes);
}

static inline void *faulty_realloc(void *block, size_t n_bytes)
{
    return fails() ? NULL : realloc(block, n_bytes);
}

#define malloc(n_bytes) faulty_malloc(n_bytes)
#define calloc(n, n_bytes) faulty_calloc(n, n_bytes)
#define realloc(block, n_bytes) faulty_realloc(block, n_bytes)

#endif
