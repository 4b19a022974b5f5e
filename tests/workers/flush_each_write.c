/*
 * Good, but slow: flushes stdout after each write, as programs did with the original library.
 */
#include <disco.h>

#include <stdio.h>

int main(void)
{
    p_entry *key = NULL, *value = NULL;
    disco_params_free(disco_params_read());
    while (read_kv(&key, &value)) {
        write_num_prefix(1);
        fflush(stdout);
        write_kv(key, value);
        fflush(stdout);
    }
    return 0;
}
