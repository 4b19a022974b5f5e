/*
 * supervise - run one program so that nothing of it outlives its driver.
 *
 *     supervise CONTROL STATUS DIRECTORY PROGRAM [ARGUMENT ...]
 *
 * It stands between the driver and the worker. The worker gets its own process group, this
 * process's stdin, stdout and stderr, and default signals. On the descriptor STATUS it says, in
 * lines, `start PID` or `error ERRNO`, and then `exit STATUS` as wait(2) gives it. As soon as
 * CONTROL, whose other end the driver holds, has a byte or is at end of file, because the driver
 * wants an end or because the driver is no more, it kills the worker and all that ever descended
 * from it, removes DIRECTORY, and exits. It touches no data.
 *
 * CONTROL and STATUS should be sockets: a worker of the same user can open a pipe of this process
 * through /proc/PID/fd, and write an exit status of its own choice to it. A socket cannot be opened
 * so.
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
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { USAGE = 64, OS_ERROR = 71, BUSY_WAIT_MS = 5000 };

static void say(int status_fd, const char *what, int number)
{
    char line[48];
    int size = snprintf(line, sizeof line, "%s %d\n", what, number);
    /* Whether the driver still listens is CONTROL's to tell. */
    if (write(status_fd, line, (size_t)size) < 0)
        return;
}

/*
 * exec says ETXTBSY while any process holds the file open for writing. The driver's own descriptor
 * is closed, but a process that another of its threads is forking just now may hold a copy until
 * its exec: a wait of microseconds.
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

/* What the driver's own program ignores is not the worker's to inherit. */
static void reset_signals(void)
{
    for (int number = 1; number < NSIG; number++)
        signal(number, SIG_DFL); /* those that cannot be set stay as they are */
}

static void be_worker(char **argv, int error_fd, pid_t supervisor)
{
    setpgid(0, 0);
    reset_signals();
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != supervisor)
        _exit(OS_ERROR);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    exec_program(argv);
    int error = errno;
    if (write(error_fd, &error, sizeof error) < 0)
        _exit(OS_ERROR);
    _exit(127);
}

/* Start the worker and say how that went. Returns its pid, -1 when it could not be started. */
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

/*
 * Of the descriptors that a program under supervision gets, close those that are not needed here.
 */
static void let_go_of_others(int control_fd, int status_fd, int signal_fd)
{
    DIR *open_fds = opendir("/proc/self/fd");
    if (open_fds == NULL)
        return;
    for (struct dirent *entry; (entry = readdir(open_fds)) != NULL;) {
        int fd = atoi(entry->d_name);
        if (fd > 2 && fd != control_fd && fd != status_fd && fd != signal_fd &&
            fd != dirfd(open_fds))
            close(fd);
    }
    closedir(open_fds);
}

/*
 * The worker's pipes are not this process's to hold: end of file must mean that nobody else has
 * them.
 */
static void let_go_of_stdio(void)
{
    int null_fd = open("/dev/null", O_RDWR);
    for (int fd = 0; fd <= 2; fd++)
        dup2(null_fd, fd);
    if (null_fd > 2)
        close(null_fd);
}

/*
 * Say when the worker has exited, but leave it a zombie: its pid, which is its group's id, cannot
 * be given to another process before the group has been killed. Orphans that came to us before that
 * are reaped.
 */
static int note_exit(pid_t worker, int status_fd)
{
    siginfo_t info;
    for (;;) {
        info.si_pid = 0;
        if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) != 0 || info.si_pid == 0)
            return 0;
        if (info.si_pid == worker)
            break;
        waitpid(info.si_pid, NULL, 0);
    }
    say(status_fd, "exit", info.si_code == CLD_EXITED ? info.si_status << 8 : info.si_status);
    return 1;
}

/*
 * Kill each child of this process; returns how many there were, -1 where the kernel does not list
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
 * As a subreaper this process inherits every descendant whose parent dies: kill and reap until
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

/* Wait until the driver lets go, and say meanwhile when the worker exits. */
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

int main(int argc, char **argv)
{
    if (argc < 5) {
        fputs("usage: supervise CONTROL STATUS DIRECTORY PROGRAM [ARGUMENT ...]\n", stderr);
        return USAGE;
    }
    int control_fd = atoi(argv[1]), status_fd = atoi(argv[2]);
    const char *directory = argv[3];
    fcntl(control_fd, F_SETFD, FD_CLOEXEC);
    fcntl(status_fd, F_SETFD, FD_CLOEXEC);
    sigset_t watched;
    sigemptyset(&watched);
    sigaddset(&watched, SIGCHLD);
    sigaddset(&watched, SIGTERM);
    sigaddset(&watched, SIGINT);
    sigaddset(&watched, SIGHUP);
    reset_signals(); /* with SIGCHLD ignored, nobody could tell how the worker ended */
    sigprocmask(SIG_SETMASK, &watched, NULL);
    /* A driver that is no more cannot be told anything, not even `start`. */
    signal(SIGPIPE, SIG_IGN);
    int signal_fd = signalfd(-1, &watched, SFD_CLOEXEC);
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    pid_t worker = start_worker(argv + 4, status_fd);
    let_go_of_stdio();
    let_go_of_others(control_fd, status_fd, signal_fd);
    if (worker > 0) {
        watch(worker, control_fd, status_fd, signal_fd);
        kill_all(worker);
    }
    for (int fd = 0; fd <= 2; fd++)
        close(fd); /* the removal needs some, and there may be no more */
    close(signal_fd);
    if (chdir("/") == 0)
        kvproto_remove_tree(directory); /* whoever needs to know what is left looks for it */
    return 0;
}
