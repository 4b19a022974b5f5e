/* WorkerCrashed: SIGSEGV after the first answer. */
#include <disco.h>

int main(void)
{
    p_entry *key = NULL, *value = NULL;
    volatile char *nothing = NULL;
    disco_params_free(disco_params_read());
    while (read_kv(&key, &value)) {
        write_num_prefix(1);
        write_kv(key, value);
        *nothing = 1;
    }
    return 0;
}
