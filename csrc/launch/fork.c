#define _GNU_SOURCE
#include "fork.h"

#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { CLONE3 = 435 };              /* the same on all machines; headers may lack it */
#define PARENT_OF_CALLER 0x00008000 /* CLONE_PARENT of linux/sched.h */

/* The first version of struct clone_args in linux/sched.h. */
struct clone_arguments {
    uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls;
};

int kvproto_fork_sibling(void)
{
    /* The exit signal stays 0: it is that of the caller. */
    struct clone_arguments arguments = {.flags = PARENT_OF_CALLER};
    long pid = syscall(CLONE3, &arguments, sizeof arguments);
    return pid < 0 ? -errno : (int)pid;
}

int kvproto_settle(int parent, const char *name, const char *mark)
{
    char *place = getenv(name);
    if (place != NULL && strlen(place) == strlen(mark))
        memcpy(place, mark, strlen(mark));
    if (setpgid(0, 0) != 0 || prctl(PR_SET_PDEATHSIG, SIGKILL) != 0)
        return errno;
    return getppid() == parent ? 0 : ESRCH;
}
