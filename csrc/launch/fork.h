/* Processes that a prepared process forks: see kvproto/engine/prepared_main.py. */
#ifndef KVPROTO_FORK_H
#define KVPROTO_FORK_H

/*
 * Fork this process, which has one thread. The parent of the new process is the parent of this one:
 * that one waits for it, and gets its SIGCHLD. No handlers of the C library run, so that the new
 * process may only fork or execute a program. Returns 0 in it, and in this process its pid, or
 * -errno.
 */
int kvproto_fork_sibling(void);

/*
 * In a fork: lead a process group, and die with the parent, whose pid is `parent`. In the
 * environment that /proc shows of this process, `mark` replaces the value of `name`; this needs a
 * value of the same length, which the process was started with. Returns 0, or an errno: ESRCH if
 * the parent has died.
 */
int kvproto_settle(int parent, const char *name, const char *mark);

#endif
