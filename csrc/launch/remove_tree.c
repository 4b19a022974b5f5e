/*
 * A tree may be deeper than the process may have descriptors, and its paths longer than a path may
 * be. So what is deeper than MAX_DEPTH is moved up into the root, and another pass removes it from
 * there.
 */
#define _GNU_SOURCE
#include "remove_tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MAX_DEPTH = 32 };

struct removal {
    int root_fd;
    dev_t device;          /* of the root, for kernels that do not report mount points */
    unsigned long n_moved; /* for the names of directories that were moved up */
    unsigned long n_done;  /* removed or moved */
    int error; /* the first directory that was moved up in this pass over the root; 0: none */
};

static void note(struct removal *removal, int error)
{
    if (error != ENOENT && removal->error == 0)
        removal->error = error;
}

static int is_dots(const char *name) { return strcmp(name, ".") == 0 || strcmp(name, "..") == 0; }

/*
 * Whether something is mounted on the directory `fd`: another file system, or another part of this
 * one.
 */
static int is_mounted(const struct removal *removal, int fd)
{
    struct statx info;
    if (statx(fd, "", AT_EMPTY_PATH | AT_NO_AUTOMOUNT, STATX_TYPE, &info) == 0 &&
        (info.stx_attributes_mask & STATX_ATTR_MOUNT_ROOT))
        return (info.stx_attributes & STATX_ATTR_MOUNT_ROOT) != 0;
    struct stat status;
    return fstat(fd, &status) != 0 || status.st_dev != removal->device;
}

/*
 * Open a directory to read and empty it. Returns -1 with errno: ENOTDIR if it is no directory (a
 * link, for instance), EBUSY for a mount point, which stays as it is.
 */
static int open_directory(const struct removal *removal, int parent_fd, const char *name)
{
    char path[40];
    int place = openat(parent_fd, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (place < 0) {
        if (errno == ELOOP)
            errno = ENOTDIR;
        return -1;
    }
    if (is_mounted(removal, place)) {
        close(place);
        errno = EBUSY;
        return -1;
    }
    snprintf(path, sizeof path, "/proc/self/fd/%d", place);
    int fd = openat(place, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || faccessat(place, ".", W_OK | X_OK, AT_EACCESS) != 0) {
        chmod(path, S_IRWXU);
        if (fd < 0)
            fd = openat(place, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    }
    int error = errno;
    close(place);
    errno = error;
    return fd;
}

/* Remove anything but a directory. */
static void remove_file(struct removal *removal, int fd, const char *name)
{
    if (unlinkat(fd, name, 0) == 0)
        removal->n_done++;
    else
        note(removal, errno);
}

/* Move a directory up into the root, where the next pass finds it. */
static void move_up(struct removal *removal, int fd, const char *name)
{
    char moved[40];
    do {
        snprintf(moved, sizeof moved, ".moved-%lu", removal->n_moved++);
        if (renameat(fd, name, removal->root_fd, moved) == 0) {
            removal->n_done++;
            return;
        }
    } while (errno == ENOTEMPTY || errno == EEXIST || errno == ENOTDIR);
    note(removal, errno);
}

static int is_directory(int fd, const char *name)
{
    struct stat status;
    return fstatat(fd, name, &status, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(status.st_mode);
}

static void empty(struct removal *removal, int fd, int depth);

/* Remove a directory and its contents; if it is too deep, move it up instead. */
static void remove_directory(struct removal *removal, int parent_fd, const char *name, int depth)
{
    /* opening it makes it writable, and moving it to another parent needs that too */
    int fd = open_directory(removal, parent_fd, name);
    if (fd < 0 && !(errno == EMFILE && depth > 0)) {
        note(removal, errno);
        return;
    }
    if (fd < 0 || depth == MAX_DEPTH) {
        if (fd >= 0)
            close(fd);
        move_up(removal, parent_fd, name);
        return;
    }
    empty(removal, fd, depth + 1);
    if (unlinkat(parent_fd, name, AT_REMOVEDIR) == 0)
        removal->n_done++;
    else
        note(removal, errno);
}

/* Remove the contents of the directory `fd`, and close it. */
static void empty(struct removal *removal, int fd, int depth)
{
    DIR *entries = fdopendir(fd);
    if (entries == NULL) {
        note(removal, errno);
        close(fd);
        return;
    }
    for (struct dirent *entry; errno = 0, (entry = readdir(entries)) != NULL;) {
        if (is_dots(entry->d_name))
            continue;
        if (is_directory(fd, entry->d_name))
            remove_directory(removal, fd, entry->d_name, depth);
        else
            remove_file(removal, fd, entry->d_name);
    }
    if (errno != 0)
        note(removal, errno);
    closedir(entries);
}

int kvproto_remove_tree(const char *path)
{
    struct removal removal = {0};
    struct stat status;
    if (lstat(path, &status) == 0)
        removal.device = status.st_dev;
    removal.root_fd = open_directory(&removal, AT_FDCWD, path);
    if (removal.root_fd < 0) {
        if (errno == ENOENT || (errno == ENOTDIR && unlink(path) == 0))
            return 0;
        return errno == ENOENT ? 0 : errno;
    }
    do {
        removal.n_done = 0;
        removal.error = 0;
        int fd = openat(removal.root_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd >= 0)
            empty(&removal, fd, 0);
        else
            note(&removal, errno);
    } while (removal.n_done > 0);
    close(removal.root_fd);
    if (rmdir(path) == 0 || errno == ENOENT)
        return 0;
    return removal.error != 0 ? removal.error : errno;
}
