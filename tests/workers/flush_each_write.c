/* Good, but slow: each write goes out by itself, as in the library that libdisco takes the place of. */
#include <disco.h>

#include <unistd.h>

static void put(const void *data, size_t n_bytes)
{
    if (n_bytes != 0 && write(1, data, n_bytes) != (ssize_t)n_bytes)
        _exit(1);
}

int main(void)
{
    const unsigned char one[4] = {1, 0, 0, 0};
    unsigned char size[4];
    p_entry *key = NULL, *value = NULL;
    disco_params_free(disco_params_read());
    while (read_kv(&key, &value)) {
        put(one, 4);
        disco_put_u32(size, key->len);
        put(size, 4);
        put(key->data, key->len);
        disco_put_u32(size, value->len);
        put(size, 4);
        put(value->data, value->len);
    }
    return 0;
}
