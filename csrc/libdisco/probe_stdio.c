/*
 * Does this C library work as buffers.h assumes? The exit status is 0 if it does. csrc/meson.build
 * compiles and runs this file once for each way that it may choose.
 */
#define _POSIX_C_SOURCE 200809L
#include "buffers.h"

#include <string.h>
#include <unistd.h>

static int input_works(FILE *input)
{
    size_t n_bytes;
    if (getc(input) != 'a')
        return 0;
    const char *data = input_buffered(input, &n_bytes);
    if (n_bytes != 5 || memcmp(data, "bcdef", 5) != 0)
        return 0;
    input_skip(input, 2);
    return getc(input) == 'd' && getc(input) == 'e' && getc(input) == 'f';
}

static int output_works(FILE *output)
{
    static char buffer[4096];
    size_t n_bytes, room;
    if (!is_unused(output) || setvbuf(output, buffer, _IOFBF, sizeof buffer) != 0 ||
        putc('x', output) == EOF || is_unused(output))
        return 0;
    char *space = output_space(output, &room);
    if (room != sizeof buffer - 1)
        return 0;
    *space = 'y';
    output_advance(output, 1);
    const char *data = output_pending(output, &n_bytes);
    if (n_bytes != 2 || memcmp(data, "xy", 2) != 0)
        return 0;
    output_forget(output);
    output_pending(output, &n_bytes);
    return n_bytes == 0 && output_holds(output, 100) && !output_holds(output, 2 * sizeof buffer);
}

int main(void)
{
    int ends[2];
    if (pipe(ends) != 0 || write(ends[1], "abcdef", 6) != 6)
        return 1;
    FILE *input = fdopen(ends[0], "rb"), *output = fdopen(ends[1], "wb");
    if (input == NULL || output == NULL)
        return 1;
    return input_works(input) && (!KNOWS_OUTPUT || output_works(output)) ? 0 : 1;
}
