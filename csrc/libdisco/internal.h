/*
 * What the files of libdisco share; programs must not use it. The names begin with disco_ because a
 * static library shares its symbols with the program.
 */
#ifndef DISCO_INTERNAL_H
#define DISCO_INTERNAL_H

#include "disco.h"

/* entry.c: the memory of entries. */

/*
 * Make room for `sze` bytes in *entry, which may be NULL. The first `n_kept` bytes are preserved.
 * Sets sze, not len. Returns 0, or -1 when memory runs out: then *entry is NULL or unchanged.
 */
int disco_grow_entry(p_entry **entry, unsigned int sze, unsigned int n_kept);

/* A new entry with a copy of the bytes, or NULL when memory runs out. */
p_entry *disco_entry_of(const disco_slice *bytes);

/* report.c */

/*
 * Has die() been called? If so, nothing that happens during the exit may be reported or change its
 * status.
 */
extern int disco_is_dying;

/* Write all of it, across signals and short writes. Returns 0, or -1 with errno. */
int disco_write_all(int descriptor, const void *data, size_t n_bytes);

#endif
