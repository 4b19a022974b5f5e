#include <disco.h>

int main(int argc, char **argv)
{
    const Pvoid_t params = read_parameters();
    Word_t *ptr;
    JSLG(ptr, params, "some parameter");
    if (!ptr)
        die("parameter missing");

    p_entry *key = NULL;
    p_entry *val = NULL;

    int i = 0;
    while (read_kv(&key, &val)) {
        if (!(i++ % 10000))
            msg("Got key <%s> val <%s>", key->data, val->data);
        write_num_prefix(1);
        write_kv(key, val);
    }
    msg("%d key-value pairs read ok", i);
    return 0;
}
