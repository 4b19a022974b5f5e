/*
 * The memory of entries, which grow and are used again.
 */
#include "internal.h"

#include <stddef.h>
#include <string.h>

int disco_grow_entry(p_entry **entry, unsigned int sze, unsigned int n_kept)
{
    const size_t around = offsetof(p_entry, data) + 1;
    if (n_kept == 0) { /* nothing to copy: the allocator gets the old block back first */
        free(*entry);
        *entry = NULL;
    }
    p_entry *grown = sze > SIZE_MAX - around ? NULL : realloc(*entry, around + sze);
    if (grown == NULL)
        return -1;
    grown->sze = sze;
    *entry = grown;
    return 0;
}

static void set_entry(p_entry *entry, const void *data, unsigned int n_bytes)
{
    memcpy(entry->data, data, n_bytes);
    entry->data[n_bytes] = '\0';
    entry->len = n_bytes;
}

p_entry *disco_entry_of(const disco_slice *bytes)
{
    p_entry *entry = NULL;
    if (disco_grow_entry(&entry, (unsigned int)bytes->n_bytes, 0) == 0)
        set_entry(entry, bytes->data, (unsigned int)bytes->n_bytes);
    return entry;
}

void copy_entry(p_entry **dst, const p_entry *src)
{
    if (*dst == src)
        return;
    if ((*dst == NULL || (*dst)->sze < src->len) && disco_grow_entry(dst, src->len, 0) != 0)
        die("out of memory: %u bytes for a copy", src->len);
    set_entry(*dst, src->data, src->len);
}

void *dxmalloc(unsigned int size)
{
    void *block = malloc(size > 0 ? size : 1);
    if (block == NULL)
        die("out of memory: dxmalloc of %u bytes", size);
    return block;
}
