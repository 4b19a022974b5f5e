/*
 * What the files of the classic layer share. Nothing here is for a program; the names begin with
 * disco_ because a static library's symbols meet the program's.
 */
#ifndef DISCO_INTERNAL_H
#define DISCO_INTERNAL_H

#include "disco.h"

/* entry.c: the memory of entries. */

/* The step in which memory is given to bytes that have been announced and are not there yet. */
enum { DISCO_STEP = 64 * 1024 };

/*
 * realloc() that never returns NULL: die() instead, which says what the memory was for. n_bytes >
 * 0.
 */
void *disco_realloc(void *block, size_t n_bytes, const char *purpose);

/*
 * Make room for `sze` bytes in *entry, which may be NULL; the `n_kept` bytes that it holds stay.
 * Sets sze, not len.
 */
void disco_grow_entry(p_entry **entry, unsigned int sze, unsigned int n_kept);

/*
 * Read an item of `size` bytes from stdin into *entry, which grows as the bytes come, never by the
 * announced size. Returns the bytes had: fewer than size only at the end of file. Sets len to it
 * and the zero byte behind.
 */
unsigned int disco_read_item(p_entry **entry, unsigned int size);

/* disco.c: stdin and stdout. */

/*
 * Read n_bytes from stdin; flushes stdout before it blocks. Returns the bytes had: fewer only at
 * the end of file.
 */
size_t disco_read(void *data, size_t n_bytes);

/* die(): the stream ended in a field, in the words of the Python codec's Truncated. */
DISCO_NORETURN void disco_die_truncated(const char *field, uint64_t offset, uint64_t wanted,
                                        uint64_t had, const char *clause);

/* messages.c */

/*
 * Has die() been called? Then nothing that happens while the program exits is to be reported, or to
 * change its status.
 */
extern int disco_is_dying;

/* Write all of it, whatever signals and short writes come between. 0, or -1 with errno. */
int disco_write_all(int descriptor, const void *data, size_t n_bytes);

#endif
