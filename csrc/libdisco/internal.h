/*
 * What the files of libdisco share. Nothing here is for a program. The names begin with disco_
 * because the symbols of a static library meet those of the program.
 */
#ifndef DISCO_INTERNAL_H
#define DISCO_INTERNAL_H

#include "disco.h"

/* entry.c: the memory of entries. */

/*
 * Make room for `sze` bytes in *entry, which may be NULL. The first `n_kept` bytes stay. Sets sze,
 * not len. Returns 0, or -1 when memory runs out: then *entry is NULL or as before.
 */
int disco_grow_entry(p_entry **entry, unsigned int sze, unsigned int n_kept);

/* An entry of its own for the bytes, or NULL when memory runs out. */
p_entry *disco_entry_of(const disco_slice *bytes);

/* report.c */

/*
 * Has die() been called? Then nothing that happens while the program exits may be reported, or
 * change its status.
 */
extern int disco_is_dying;

/* Write all of it, across signals and short writes. Returns 0, or -1 with errno. */
int disco_write_all(int descriptor, const void *data, size_t n_bytes);

#endif
