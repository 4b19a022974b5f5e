/*
 * supervise - run one program so that nothing of it outlives its driver.
 *
 *     supervise CONTROL STATUS DIRECTORY PROGRAM [ARGUMENT ...]
 *     supervise --child PID CONTROL STATUS DIRECTORY
 *
 * The supervisor stands between the driver and the worker and touches no data. The worker gets its
 * own process group, default signals, and the supervisor's stdin, stdout and stderr. On the
 * descriptor STATUS the supervisor writes a line `start PID` or `error ERRNO`, and later
 * `exit STATUS CPU MEMORY`: the status in the form of wait(2), the CPU time in microseconds and the
 * peak of the memory in KiB, of the worker and the descendants that it has waited for. A worker
 * that it cannot supervise is an error, too.
 *
 * With --child the worker runs already: PID is a child that this process had before it executed
 * `supervise`. It leads its process group, and the kernel kills it when its parent dies.
 *
 * The driver holds the other end of CONTROL. When CONTROL has a byte or is at end of file, the
 * driver wants the end or has died. Then the supervisor kills the worker and all its descendants,
 * removes DIRECTORY, and exits.
 *
 * CONTROL and STATUS should be sockets. A worker of the same user can open a pipe of the supervisor
 * through /proc/PID/fd and write a false exit status to it; it cannot open a socket.
 */
#define _GNU_SOURCE
#include "remove_tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { USAGE = 64, OS_ERROR = 71, NOT_STARTED = 127, BUSY_WAIT_MS = 5000 };

enum { CLOSE_RANGE = 436 }; /* the same on all machines; headers may lack it */

static void write_line(int status_fd, const char *line, int size)
{
    /* A driver that no longer listens closes CONTROL, and watch() notices that. */
    if (write(status_fd, line, (size_t)size) < 0)
        return;
}

static void say(int status_fd, const char *what, int number)
{
    char line[48];
    write_line(status_fd, line, snprintf(line, sizeof line, "%s %d\n", what, number));
}

static void say_exit(int status_fd, const siginfo_t *info, const struct rusage *usage)
{
    char line[96];
    int status = info->si_code == CLD_EXITED ? info->si_status << 8 : info->si_status;
    long long cpu = 1000000LL * (usage->ru_utime.tv_sec + usage->ru_stime.tv_sec) +
                    usage->ru_utime.tv_usec + usage->ru_stime.tv_usec;
    write_line(status_fd, line,
               snprintf(line, sizeof line, "exit %d %lld %ld\n", status, cpu, usage->ru_maxrss));
}

/*
 * exec fails with ETXTBSY while any process has the file open for writing. The driver has closed
 * its own descriptor, but a process that another of its threads has just forked may hold a copy
 * until it execs: a wait of microseconds.
 */
static void exec_program(char **argv)
{
    const struct timespec one_ms = {.tv_nsec = 1000000};
    for (int waited_ms = 0; waited_ms < BUSY_WAIT_MS; waited_ms++) {
        execv(argv[0], argv);
        if (errno != ETXTBSY)
            return;
        nanosleep(&one_ms, NULL);
    }
}

/* The worker must not inherit which signals the driver's program ignores. */
static void reset_signals(void)
{
    for (int number = 1; number < NSIG; number++)
        signal(number, SIG_DFL); /* signals that cannot be set stay as they are */
}

/* Report errno to the supervisor and exit: the program does not start. */
static void give_up(int error_fd)
{
    int error = errno;
    _exit(write(error_fd, &error, sizeof error) < 0 ? OS_ERROR : NOT_STARTED);
}

static void be_worker(char **argv, int error_fd, pid_t supervisor)
{
    sigset_t none;
    sigemptyset(&none);
    reset_signals();
    if (setpgid(0, 0) != 0 || prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 ||
        sigprocmask(SIG_SETMASK, &none, NULL) != 0)
        give_up(error_fd);
    if (getppid() != supervisor)
        _exit(OS_ERROR);
    exec_program(argv);
    give_up(error_fd);
}

/* Start the worker and report the outcome. Returns its pid, or -1 if it could not be started. */
static pid_t start_worker(char **argv, int status_fd)
{
    int error_pipe[2], error = 0;
    pid_t supervisor = getpid();
    if (pipe2(error_pipe, O_CLOEXEC) != 0) {
        say(status_fd, "error", errno);
        return -1;
    }
    pid_t worker = fork();
    if (worker == 0)
        be_worker(argv, error_pipe[1], supervisor);
    if (worker < 0)
        error = errno;
    close(error_pipe[1]);
    if (worker > 0 && read(error_pipe[0], &error, sizeof error) == (ssize_t)sizeof error) {
        waitpid(worker, NULL, 0);
        worker = -1;
    }
    close(error_pipe[0]);
    say(status_fd, worker > 0 ? "start" : "error", worker > 0 ? (int)worker : error);
    return worker;
}

static int is_kept(int fd, const int kept[3])
{
    return fd == kept[0] || fd == kept[1] || fd == kept[2];
}

/* Close all descriptors except the three, on a kernel without close_range(). */
static void close_listed(const int kept[3])
{
    DIR *open_fds = opendir("/proc/self/fd");
    if (open_fds == NULL)
        return;
    for (struct dirent *entry; (entry = readdir(open_fds)) != NULL;) {
        int fd = atoi(entry->d_name);
        if (fd > 2 && !is_kept(fd, kept) && fd != dirfd(open_fds))
            close(fd);
    }
    closedir(open_fds);
}

static int ascending(const void *one, const void *other)
{
    return *(const int *)one - *(const int *)other;
}

/*
 * Close all descriptors except the three. The worker's pipes must not stay open here: end of file
 * has to mean that no process of the worker has them.
 */
static void keep_only(int kept[3])
{
    int next = 3, failed = 0;
    for (int fd = 0; fd < 3; fd++)
        close(fd);
    qsort(kept, 3, sizeof kept[0], ascending);
    for (int index = 0; index < 3; index++) {
        if (kept[index] > next)
            failed |= syscall(CLOSE_RANGE, next, kept[index] - 1, 0) != 0;
        next = kept[index] + 1;
    }
    if (failed || syscall(CLOSE_RANGE, next, ~0U, 0) != 0)
        close_listed(kept);
}

/*
 * Report the exit of the worker but leave it a zombie, so that its pid, which is also the id of its
 * group, cannot be reused before the group has been killed. Reap the orphans that came to this
 * process before.
 */
static int note_exit(pid_t worker, int status_fd)
{
    siginfo_t info;
    struct rusage usage;
    for (;;) {
        info.si_pid = 0;
        /* the system call, because waitid() of the library has no rusage */
        if (syscall(SYS_waitid, P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT, &usage) != 0 ||
            info.si_pid == 0)
            return 0;
        if (info.si_pid == worker)
            break;
        waitpid(info.si_pid, NULL, 0);
    }
    say_exit(status_fd, &info, &usage);
    return 1;
}

/*
 * Kill each child of this process. Returns how many there were, or -1 if the kernel does not list
 * them.
 */
static int kill_children(void)
{
    int n_children = 0, pid;
    FILE *children = fopen("/proc/thread-self/children", "re");
    if (children == NULL)
        return -1;
    while (fscanf(children, "%d", &pid) == 1) {
        kill(pid, SIGKILL);
        n_children++;
    }
    fclose(children);
    return n_children;
}

/*
 * As a subreaper, this process inherits every descendant whose parent dies. So kill and reap until
 * there is none.
 */
static void kill_all(pid_t worker)
{
    kill(-worker, SIGKILL);
    while (kill_children() > 0)
        while (waitpid(-1, NULL, 0) < 0 && errno == EINTR)
            ;
    while (waitpid(worker, NULL, 0) < 0 && errno == EINTR)
        ;
}

/* Wait until the driver wants the end; report the exit of the worker when it comes. */
static void watch(pid_t worker, int control_fd, int status_fd, int signal_fd)
{
    struct pollfd watched[2] = {{.fd = control_fd, .events = POLLIN},
                                {.fd = signal_fd, .events = POLLIN}};
    int has_exited = note_exit(worker, status_fd);
    for (;;) {
        if (poll(watched, 2, -1) < 0 && errno != EINTR)
            return;
        if (watched[0].revents)
            return;
        struct signalfd_siginfo caught;
        if (watched[1].revents &&
            read(signal_fd, &caught, sizeof caught) == (ssize_t)sizeof caught) {
            if (caught.ssi_signo != SIGCHLD)
                return;
            if (!has_exited)
                has_exited = note_exit(worker, status_fd);
        }
    }
}

/*
 * Direct signals, and orphaned descendants of the worker, to this process. Returns the descriptor
 * to read the signals from, or -1 with errno.
 */
static int prepare(void)
{
    sigset_t watched;
    sigemptyset(&watched);
    sigaddset(&watched, SIGCHLD);
    sigaddset(&watched, SIGTERM);
    sigaddset(&watched, SIGINT);
    sigaddset(&watched, SIGHUP);
    reset_signals(); /* while SIGCHLD is ignored, exit statuses are lost */
    /* if the driver has died, writing `start` to it is only an error of write() */
    signal(SIGPIPE, SIG_IGN);
    if (sigprocmask(SIG_SETMASK, &watched, NULL) != 0 || prctl(PR_SET_CHILD_SUBREAPER, 1) != 0)
        return -1;
    return signalfd(-1, &watched, SFD_CLOEXEC);
}

int main(int argc, char **argv)
{
    pid_t child = 0;
    int is_child = argc > 1 && strcmp(argv[1], "--child") == 0;
    if (is_child && argc == 6 && (child = atoi(argv[2])) > 0) {
        argv += 2;
    } else if (is_child || argc < 5) {
        fputs("usage: supervise CONTROL STATUS DIRECTORY PROGRAM [ARGUMENT ...]\n"
              "       supervise --child PID CONTROL STATUS DIRECTORY\n",
              stderr);
        return USAGE;
    }
    int control_fd = atoi(argv[1]), status_fd = atoi(argv[2]);
    const char *directory = argv[3];
    if (fcntl(control_fd, F_SETFD, FD_CLOEXEC) != 0 || fcntl(status_fd, F_SETFD, FD_CLOEXEC) != 0) {
        fprintf(stderr, "supervise: CONTROL or STATUS: %s\n", strerror(errno));
        return USAGE;
    }
    int signal_fd = prepare();
    pid_t worker = -1;
    if (signal_fd < 0)
        say(status_fd, "error", errno);
    else if (child > 0)
        say(status_fd, "start", worker = child);
    else
        worker = start_worker(argv + 4, status_fd);
    keep_only((int[]){control_fd, status_fd, signal_fd});
    if (worker > 0) {
        watch(worker, control_fd, status_fd, signal_fd);
        kill_all(worker);
    }
    kvproto_remove_tree(directory); /* the driver checks by itself what is left */
    return 0;
}
