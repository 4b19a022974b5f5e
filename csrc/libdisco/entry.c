/*
 * The classic layer's memory: entries that grow and are used again. No allocation is made by the
 * peer's word; every failure is die().
 */
#include "internal.h"

#include <stddef.h>
#include <string.h>

void *disco_realloc(void *block, size_t n_bytes, const char *purpose)
{
    void *grown = realloc(block, n_bytes);
    if (grown == NULL)
        die("out of memory: %zu bytes for %s", n_bytes, purpose);
    return grown;
}

DISCO_API void *dxmalloc(unsigned int size)
{
    void *block = malloc(size > 0 ? size : 1);
    if (block == NULL)
        die("out of memory: dxmalloc of %u bytes", size);
    return block;
}

void disco_grow_entry(p_entry **entry, unsigned int sze, unsigned int n_kept)
{
    const size_t around = offsetof(p_entry, data) + 1;
    if (sze > SIZE_MAX - around)
        die("out of memory: an item of %u bytes does not fit this machine's addresses", sze);
    if (n_kept == 0) { /* nothing to copy: let the allocator have the old block first */
        free(*entry);
        *entry = NULL;
    }
    *entry = disco_realloc(*entry, around + sze, "an item");
    (*entry)->sze = sze;
}

unsigned int disco_read_item(p_entry **entry, unsigned int size)
{
    unsigned int n_had = 0;
    if (*entry == NULL)
        disco_grow_entry(entry, size < DISCO_STEP ? size : DISCO_STEP, 0);
    for (;;) {
        unsigned int room = (*entry)->sze < size ? (*entry)->sze : size;
        unsigned int n_read = (unsigned int)disco_read((*entry)->data + n_had, room - n_had);
        int at_end = n_read < room - n_had;
        n_had += n_read;
        if (at_end || n_had == size)
            break;
        unsigned int next = room < DISCO_STEP ? DISCO_STEP : room;
        disco_grow_entry(entry, size - room < next ? size : room + next, n_had);
    }
    (*entry)->len = n_had;
    (*entry)->data[n_had] = '\0';
    return n_had;
}

DISCO_API void copy_entry(p_entry **dst, const p_entry *src)
{
    if (*dst == src)
        return;
    if (*dst == NULL || (*dst)->sze < src->len)
        disco_grow_entry(dst, src->len, 0);
    memcpy((*dst)->data, src->data, src->len);
    (*dst)->len = src->len;
    (*dst)->data[src->len] = '\0';
}
