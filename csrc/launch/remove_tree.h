/* Remove a directory with all that is in it. */
#ifndef KVPROTO_REMOVE_TREE_H
#define KVPROTO_REMOVE_TREE_H

/*
 * Remove `path`, a directory or anything else, and whatever is below it. Symbolic links are
 * removed, never followed; what is mounted below is neither entered nor touched. Directories that
 * their owner may not write to are made writable, and any depth will do. Goes on where something
 * cannot be removed. Returns 0 when nothing is left, or was there; else the errno of the first
 * thing that could not be removed.
 */
int kvproto_remove_tree(const char *path);

#endif
