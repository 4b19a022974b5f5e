/* Fails on a long key whose value is shorter and not empty. */
#include <disco.h>

int main(void)
{
    p_entry *key = NULL, *value = NULL;
    disco_params_free(disco_params_read());
    while (read_kv(&key, &value)) {
        if (key->len > 100 && key->len > value->len && value->len)
            die("no room");
        write_num_prefix(1);
        write_kv(key, value);
    }
    return 0;
}
