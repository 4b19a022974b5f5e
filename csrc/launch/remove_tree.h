/* Remove a directory and all its contents. */
#ifndef KVPROTO_REMOVE_TREE_H
#define KVPROTO_REMOVE_TREE_H

/*
 * Remove `path`, a directory or anything else, and all that is below it. Symbolic links are
 * removed, never followed. What is mounted below is neither entered nor changed. Directories
 * without write permission for their owner are made writable. The depth is not limited. After a
 * failure the removal goes on with the rest. Returns 0 if nothing is left (or nothing was there),
 * otherwise the errno of the first failure.
 */
int kvproto_remove_tree(const char *path);

#endif
