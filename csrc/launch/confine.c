/*
 * confine - run one program so that it reaches no file that is not its own.
 *
 *     confine [READABLE ...] -- PROGRAM [ARGUMENT ...]
 *     confine --probe
 *
 * Under a Landlock ruleset, which it and all that it starts can never leave, PROGRAM may read, list
 * and execute what is below the working directory and below each READABLE, a file or a directory;
 * one that is missing is left out. It may write to /dev/null, /dev/zero, /dev/full and /dev/tty,
 * and to what is already open. What else the kernel can deny is denied with EACCES: to write,
 * truncate, make, remove, link and rename. What Landlock does not know is not denied: to ask
 * whether a file exists, and to change the mode, the owner, the times or the attributes of one.
 *
 * No privileges are needed. Exit status: PROGRAM's own; 64 when called wrongly; 69 where the kernel
 * has no Landlock; 71 when a rule cannot be made; 126 or 127, as a shell's, when PROGRAM cannot be
 * started. --probe: 0 where the kernel has Landlock, else 69.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { USAGE = 64, NO_LANDLOCK = 69, OS_ERROR = 71, NOT_EXECUTABLE = 126, NOT_FOUND = 127 };

/*
 * From the kernel's interface, the same on all machines: linux/landlock.h may be missing or older
 * than the kernel.
 */
enum {
    CREATE_RULESET = 444,
    ADD_RULE = 445,
    RESTRICT_SELF = 446,
    GIVE_VERSION = 1,
    PATH_BENEATH = 1
};

#define RIGHT(number) (UINT64_C(1) << (number))
#define EXECUTE RIGHT(0)
#define WRITE_FILE RIGHT(1)
#define READ_FILE RIGHT(2)
#define READ_DIRECTORY RIGHT(3)
#define TRUNCATE RIGHT(14)
#define IOCTL_DEVICE RIGHT(15)
#define READS (EXECUTE | READ_FILE | READ_DIRECTORY)
#define OF_A_FILE (EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE | IOCTL_DEVICE)

struct ruleset_attributes {
    uint64_t handled_access;
};

struct path_beneath {
    uint64_t allowed_access;
    int32_t parent_fd;
} __attribute__((packed));

static const char *const writable_devices[] = {"/dev/null", "/dev/zero", "/dev/full", "/dev/tty"};

/* The number of rights that each version of the interface has. Later versions have no fewer. */
static int count_rights(long version)
{
    static const int n_rights[] = {0, 13, 14, 15, 15, 16};
    const long n_known = sizeof n_rights / sizeof n_rights[0];
    return n_rights[version < n_known ? version : n_known - 1];
}

static int fail(int status, const char *what)
{
    fprintf(stderr, "confine: %s: %s\n", what, strerror(errno));
    return status;
}

/*
 * Allow what is below a path: the rights that the kernel knows and that apply to the file. Returns
 * 0, or -1.
 */
static int allow(int ruleset_fd, const char *path, uint64_t rights)
{
    struct stat info;
    int fd = open(path, O_PATH | O_CLOEXEC);
    if (fd < 0) /* a path that cannot be reached now cannot be reached later */
        return errno == ENOENT || errno == ENOTDIR || errno == EACCES || errno == ELOOP ? 0 : -1;
    if (fstat(fd, &info) != 0 || !S_ISDIR(info.st_mode))
        rights &= OF_A_FILE;
    struct path_beneath rule = {.allowed_access = rights, .parent_fd = fd};
    long result = syscall(ADD_RULE, ruleset_fd, PATH_BENEATH, &rule, 0);
    close(fd);
    return (int)result;
}

/* Confine this process; readable ends with NULL. Returns 0, or an exit status. */
static int confine(char **readable)
{
    long version = syscall(CREATE_RULESET, NULL, 0, GIVE_VERSION);
    if (version < 1)
        return fail(NO_LANDLOCK, "this kernel has no Landlock");
    struct ruleset_attributes all = {.handled_access = RIGHT(count_rights(version)) - 1};
    int ruleset_fd = (int)syscall(CREATE_RULESET, &all, sizeof all, 0);
    if (ruleset_fd < 0)
        return fail(OS_ERROR, "no ruleset");
    if (allow(ruleset_fd, ".", READS) != 0)
        return fail(OS_ERROR, ".");
    for (; *readable != NULL; readable++)
        if (allow(ruleset_fd, *readable, READS) != 0)
            return fail(OS_ERROR, *readable);
    for (size_t i = 0; i < sizeof writable_devices / sizeof writable_devices[0]; i++) {
        uint64_t rights = (READ_FILE | WRITE_FILE | TRUNCATE | IOCTL_DEVICE) & all.handled_access;
        if (allow(ruleset_fd, writable_devices[i], rights) != 0)
            return fail(OS_ERROR, writable_devices[i]);
    }
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || syscall(RESTRICT_SELF, ruleset_fd, 0) != 0)
        return fail(OS_ERROR, "the kernel refuses the rules");
    close(ruleset_fd);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "--probe") == 0)
        return syscall(CREATE_RULESET, NULL, 0, GIVE_VERSION) < 1 ? NO_LANDLOCK : 0;
    int at = 1;
    while (at < argc && strcmp(argv[at], "--") != 0)
        at++;
    if (at + 1 >= argc) {
        fputs("usage: confine [READABLE ...] -- PROGRAM [ARGUMENT ...] | confine --probe\n",
              stderr);
        return USAGE;
    }
    argv[at] = NULL;
    int status = confine(argv + 1);
    if (status != 0)
        return status;
    char **program = argv + at + 1;
    execv(program[0], program);
    return fail(errno == ENOENT ? NOT_FOUND : NOT_EXECUTABLE, program[0]);
}
