/*
 * bad_worker FAULT [map]: echo the input as a filter of lines, or as a map worker, and misbehave at
 * line 2000. FAULT is early, crash, garbage or hang, or fail, which exits with 1 at the end.
 */
#include <disco.h>

#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { FAULTY_LINE = 2000 };

static void misbehave(const char *fault)
{
    volatile char *nothing = NULL;
    if (strcmp(fault, "early") == 0)
        exit(0);
    if (strcmp(fault, "crash") == 0)
        *nothing = 1;
    if (strcmp(fault, "garbage") == 0)
        puts("debug: half way there");
    if (strcmp(fault, "hang") == 0)
        for (;;)
            pause();
}

static void map(const char *fault)
{
    p_entry *key = NULL, *value = NULL;
    disco_params_free(disco_params_read());
    for (int n_lines = 1; read_kv(&key, &value); n_lines++) {
        write_num_prefix(1);
        write_kv(key, value);
        if (n_lines == FAULTY_LINE)
            misbehave(fault);
    }
}

static void filter(const char *fault)
{
    char *line = NULL;
    size_t room = 0;
    for (int n_lines = 1; getline(&line, &room, stdin) >= 0; n_lines++) {
        fputs(line, stdout);
        if (n_lines == FAULTY_LINE)
            misbehave(fault);
    }
}

int main(int argc, char **argv)
{
    if (argc == 1)
        return 2;
    if (argc == 3)
        map(argv[1]);
    else
        filter(argv[1]);
    return strcmp(argv[1], "fail") == 0;
}
