/*
 * Answers each pair with (value, key), except for values that begin with BAD, on which it fails as
 * the next letter says.
 */
#include <disco.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void fail(char how, const p_entry *value, const p_entry *key)
{
    volatile char *nothing = NULL;
    char path[4096];
    switch (how) {
    case 'c':
        *nothing = 1;
        break;
    case 'e':
        die("this value is bad");
        break;
    case 'f': /* only if this file exists */
        snprintf(path, sizeof path, "%.*s", (int)value->len - 4, value->data + 4);
        if (access(path, F_OK) == 0)
            *nothing = 1;
        break;
    case 'h':
        for (;;)
            pause();
    case 'l':
        write_num_prefix(2);
        write_kv(value, key);
        fflush(stdout);
        _exit(0);
    case 'o':
        write_num_prefix(1);
        fwrite("\xff\xff\xff\xff", 4, 1, stdout);
        fflush(stdout);
        break;
    case 't':
        fwrite("text\n", 5, 1, stdout);
        fflush(stdout);
        break;
    case '2':
        write_num_prefix(0);
        break;
    default:
        exit(3);
    }
}

int main(void)
{
    p_entry *key = NULL, *value = NULL;
    disco_params_free(disco_params_read());
    while (read_kv(&key, &value)) {
        if (value->len >= 4 && memcmp(value->data, "BAD", 3) == 0)
            fail(value->data[3], value, key);
        disco_count("read", 1);
        write_num_prefix(1);
        write_kv(value, key);
    }
    return 0;
}
