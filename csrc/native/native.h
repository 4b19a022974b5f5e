/* What the cffi module binds in addition to the marked region of disco.h. */
#ifndef KVPROTO_NATIVE_H
#define KVPROTO_NATIVE_H

#include <stdint.h>

/* cffi: begin */

/*
 * Put the compiled primitives into the dict whose id() is `dict`. Returns 0, or another value with
 * an exception set.
 */
int kvproto_export(uintptr_t dict);

/* See remove_tree.h. */
int kvproto_remove_tree(const char *path);

/* cffi: end */

#endif
