// The header from C++11: the reference's echo, with the casts that C++ and Judy ask for.
#include <disco.h>

int main()
{
    Pvoid_t params = read_parameters();
    PPvoid_t slot = JudySLGet(params, reinterpret_cast<const uint8_t *>("some parameter"), PJE0);
    if (!slot)
        die("parameter missing");
    p_entry *key = nullptr, *val = nullptr;
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
