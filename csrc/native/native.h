/* What the cffi module binds besides the marked region of disco.h. */
#ifndef KVPROTO_NATIVE_H
#define KVPROTO_NATIVE_H

#include <stdint.h>

/* cffi: begin */

/*
 * Put the compiled primitives into the dict whose id() this is; 0, or not 0 with an exception set.
 */
int kvproto_export(uintptr_t dict);

/* As remove_tree.h says it. */
int kvproto_remove_tree(const char *path);

/* cffi: end */

#endif
