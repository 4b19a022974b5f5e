/* identity: a worker that answers each pair with itself, as map and as reduce. */
#include <disco.h>

int main(void)
{
    p_entry *key = NULL, *value = NULL;
    disco_params_free(disco_params_read());
    while (read_kv(&key, &value)) {
        write_num_prefix(1);
        write_kv(key, value);
    }
    return 0;
}
