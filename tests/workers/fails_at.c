/* Good without arguments. HOW KEY: fails in that way at the pair with that key. */
#include <disco.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int is_at(const p_entry *key, const char *wanted)
{
    return key->len == strlen(wanted) && memcmp(key->data, wanted, key->len) == 0;
}

static void fail(const char *how)
{
    volatile char *nothing = NULL;
    if (strcmp(how, "text") == 0) {
        fflush(stdout);
        if (write(1, "done with it\n", 13) != 13)
            _exit(9);
    } else if (strcmp(how, "error") == 0) {
        fputs("**<ERR> no such word\n", stderr);
        _exit(1);
    } else if (strcmp(how, "crash") == 0) {
        *nothing = 1;
    } else if (strcmp(how, "exit0") == 0) {
        _exit(0);
    } else if (strcmp(how, "exit1") == 0) {
        _exit(1);
    } else if (strcmp(how, "hang") == 0) {
        pause();
    }
}

int main(int argc, char **argv)
{
    p_entry *key = NULL, *value = NULL;
    disco_params_free(disco_params_read());
    fputs("**<MSG> a new run\n", stderr);
    while (read_kv(&key, &value)) {
        if (argc > 3 && is_at(key, argv[2]))
            fail(argv[1]);
        write_num_prefix(1);
        write_kv(key, value);
    }
    return 0;
}
