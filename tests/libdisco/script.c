/*
 * A worker that runs the operations in its arguments, `operation` or `operation:text`, in order.
 * They report by msg(), so that stdout has result lists only.
 */
#define _GNU_SOURCE
#include <disco.h>

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static p_entry *key, *val, *copy;
static disco_params *params;

static void show(const char *label, const p_entry *entry)
{
    if (entry == NULL)
        msg("%s none", label);
    else
        msg("%s %u %s", label, entry->len,
            entry->len == strlen(entry->data) ? entry->data : "(binary)");
}

static void read_one(const char *unused)
{
    (void)unused;
    if (!read_kv(&key, &val)) {
        msg("end");
        return;
    }
    show("key", key);
    show("value", val);
    if (key->len > key->sze || val->len > val->sze)
        die("len > sze");
}

static void echo(const char *unused)
{
    (void)unused;
    while (read_kv(&key, &val)) {
        write_num_prefix(1);
        write_kv(key, val);
    }
}

/* Repeat each value as often as its key has bytes; write the items one by one, from copies. */
static void repeat(const char *unused)
{
    (void)unused;
    while (read_kv(&key, &val)) {
        copy_entry(&copy, val);
        write_num_prefix((int)key->len);
        for (unsigned int n = 0; n < key->len; n++) {
            write_entry(key);
            write_entry(copy);
        }
    }
}

static void drop(const char *unused)
{
    (void)unused;
    while (read_kv(&key, &val))
        ;
}

static void read_parameter_set(const char *unused)
{
    (void)unused;
    params = disco_params_read();
    msg("count %zu", disco_params_count(params));
    for (size_t n = 0; n < disco_params_count(params); n++) {
        show("name", disco_params_name(params, n));
        show("value", disco_params_value(params, n));
    }
    show("behind", disco_params_name(params, disco_params_count(params)));
    show("behind", disco_params_value(params, disco_params_count(params)));
}

static void get(const char *name) { show(name, disco_params_get(params, name)); }

static void raw(const char *length)
{
    char data[100] = "";
    disco_read_raw(data, (size_t)atoi(length));
    msg("raw %s", data);
}

static void own_fread(const char *length)
{
    char data[100] = "";
    msg("fread %zu", fread(data, 1, (size_t)atoi(length), stdin));
    msg("fread %s", data);
}

static void own_printf(const char *text) { fputs(text, stdout); }
static void own_flush(const char *unused)
{
    (void)unused;
    fflush(stdout);
}
static void unbuffered(const char *unused)
{
    (void)unused;
    setvbuf(stdout, NULL, _IONBF, 0);
}

static void line_buffered(const char *unused)
{
    static char buffer[BUFSIZ];
    (void)unused;
    setvbuf(stdout, buffer, _IOLBF, sizeof buffer);
}

static void limit(const char *number) { disco_set_max_item((uint32_t)strtoul(number, NULL, 10)); }
static void prefix(const char *number) { write_num_prefix(atoi(number)); }

static void pair(const char *text)
{
    const char *equals = strchr(text, '=');
    disco_write_kv(text, (size_t)(equals - text), equals + 1, strlen(equals + 1));
}

static void half(const char *text)
{
    p_entry *entry = dxmalloc((unsigned int)(sizeof *entry + strlen(text) + 1));
    entry->len = entry->sze = (unsigned int)strlen(text);
    memcpy(entry->data, text, entry->len + 1);
    write_entry(entry);
    free(entry);
}

static void empty(const char *unused)
{
    (void)unused;
    disco_write_kv(NULL, 0, NULL, 0);
}

/* The size must be rejected before any byte is read. */
static void pair_of_size(const char *number)
{
    disco_write_kv("k", 1, "", (size_t)strtoull(number, NULL, 10));
}

static void allocate(const char *number)
{
    free(dxmalloc((unsigned int)strtoul(number, NULL, 10)));
    msg("allocated");
}

/* Copy to NULL, to an entry that is too small, to a large enough one, and to the source itself. */
static void copies(const char *text)
{
    p_entry *source = dxmalloc((unsigned int)(sizeof *source + strlen(text) + 1));
    source->len = source->sze = (unsigned int)strlen(text);
    memcpy(source->data, text, source->len + 1);
    for (unsigned int turn = 0; turn < 2; turn++) {
        source->len = turn ? (unsigned int)strlen(text) : 1;
        copy_entry(&copy, source);
        msg("copy %u %s %d", copy->len, copy->data, copy->len <= copy->sze);
    }
    source->len = 2;
    copy_entry(&copy, source);
    copy_entry(&copy, copy);
    msg("copy %u %s", copy->len, copy->data);
    free(source);
}

static void say(const char *text) { msg("%s", text); }
static void say_twice(const char *text) { msg("%s\n%s\n", text, text); }
static void say_long(const char *number) { msg("%0*d", atoi(number), 7); }
static void count_named(const char *name) { disco_count(name, INT64_MIN); }
static void count_sum(const char *number) { disco_count("a.b-c:d_1", atoi(number)); }
static void fail(const char *text) { die("%s", text); }
static void leave(const char *status) { exit(atoi(status)); }

/* vsnprintf() fails: the C locale does not have this character. */
static void say_impossible(const char *unused)
{
    (void)unused;
    msg("wide %ls", L"\x4E00");
}

/* Fork a child that calls exit(), as libraries do, while a list of the parent is incomplete. */
static void fork_child(const char *unused)
{
    int status = 0;
    (void)unused;
    pid_t child = fork();
    if (child == 0)
        exit(0);
    waitpid(child, &status, 0);
    msg("child %d", status);
}

static void write_late(void)
{
    write_num_prefix(1);
    disco_write_kv("late", 4, "", 0);
}

static void announce_late(void) { write_num_prefix(1); }
static void die_late(void) { die("late"); }
static void at_exit_write(const char *unused)
{
    (void)unused;
    atexit(write_late);
}
static void at_exit_announce(const char *unused)
{
    (void)unused;
    atexit(announce_late);
}
static void at_exit_die(const char *unused)
{
    (void)unused;
    atexit(die_late);
}

/* Limit the size of files, as a full disk does. */
static void file_size(const char *number)
{
    struct rlimit limits = {(rlim_t)atol(number), (rlim_t)atol(number)};
    signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &limits);
}

static void address_space(const char *number)
{
    struct rlimit limits = {(rlim_t)atol(number), (rlim_t)atol(number)};
    setrlimit(RLIMIT_AS, &limits);
}

static void on_alarm(int number) { (void)number; }

/* Let SIGALRM interrupt system calls, and report readiness. */
static void interruptible(const char *unused)
{
    struct sigaction action = {.sa_handler = on_alarm};
    (void)unused;
    sigaction(SIGALRM, &action, NULL);
    msg("ready");
}

static void nonblocking(const char *unused)
{
    (void)unused;
    fcntl(STDIN_FILENO, F_SETFL, fcntl(STDIN_FILENO, F_GETFL) | O_NONBLOCK);
    fcntl(STDOUT_FILENO, F_SETFL, fcntl(STDOUT_FILENO, F_GETFL) | O_NONBLOCK);
}

static const struct operation {
    const char *name;
    void (*run)(const char *text);
} operations[] = {
    {"read", read_one},
    {"echo", echo},
    {"repeat", repeat},
    {"drop", drop},
    {"params", read_parameter_set},
    {"get", get},
    {"raw", raw},
    {"fread", own_fread},
    {"print", own_printf},
    {"fflush", own_flush},
    {"unbuffered", unbuffered},
    {"line-buffered", line_buffered},
    {"max", limit},
    {"prefix", prefix},
    {"pair", pair},
    {"half", half},
    {"empty", empty},
    {"pair-of-size", pair_of_size},
    {"allocate", allocate},
    {"copies", copies},
    {"msg", say},
    {"msg-twice", say_twice},
    {"msg-long", say_long},
    {"msg-impossible", say_impossible},
    {"count", count_named},
    {"count-sum", count_sum},
    {"die", fail},
    {"exit", leave},
    {"fork", fork_child},
    {"at-exit-write", at_exit_write},
    {"at-exit-announce", at_exit_announce},
    {"at-exit-die", at_exit_die},
    {"file-size", file_size},
    {"address-space", address_space},
    {"interruptible", interruptible},
    {"nonblocking", nonblocking},
};

static void run(const char *argument)
{
    size_t length = strcspn(argument, ":");
    for (size_t n = 0; n < sizeof operations / sizeof *operations; n++)
        if (strlen(operations[n].name) == length &&
            memcmp(operations[n].name, argument, length) == 0) {
            operations[n].run(argument[length] ? argument + length + 1 : "");
            return;
        }
    die("no such operation: %s", argument);
}

int main(int argc, char **argv)
{
    for (int n = 1; n < argc; n++)
        run(argv[n]);
    disco_params_free(params);
    free(key);
    free(val);
    free(copy);
    return 0;
}
