/*
 * Invariant: msg() and die() of any text, of any length, over writes that are short or interrupted,
 * put on stderr one tagged line for each line of the text, its bytes unchanged, and nothing else.
 * When memory runs out the message is cut, and the next line says so.
 */
#include "worker.h"

static char *text;
static int is_last;

static void worker(void)
{
    if (is_last)
        die("%s", text);
    msg("%s", text);
}

/* What stderr must hold for n_text bytes of it. */
static struct bytes expected(size_t n_text)
{
    struct bytes due = {0};
    size_t at = 0;
    do {
        size_t n_line = 0;
        while (at + n_line < n_text && text[at + n_line] != '\n')
            n_line++;
        add_bytes(&due, is_last ? "**<ERR> " : "**<MSG> ", 8);
        add_bytes(&due, text + at, n_line);
        add_bytes(&due, "\n", 1);
        at += n_line + 1;
    } while (at < n_text);
    return due;
}

/*
 * The input: how often the text is there, how and with what memory, the number of turns of the
 * weather, they, it.
 */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n_bytes)
{
    if (n_bytes < 3 || n_bytes < 3 + (size_t)data[2] % 16)
        return 0;
    size_t n_weather = data[2] % 16, n_piece = n_bytes - 3 - n_weather,
           n_times = 1 + data[0] % 128u;
    is_last = data[1] & 1;
    text = malloc(n_times * n_piece + 1);
    for (size_t index = 0; index < n_times; index++)
        memcpy(text + index * n_piece, data + 3 + n_weather, n_piece);
    text[n_times * n_piece] = '\0';
    size_t n_text = strlen(text);
    world = (struct world){.weather = data + 3,
                           .n_weather = n_weather,
                           .fail_at = data[1] >> 1 & 1,
                           .output = world.output,
                           .errors = world.errors,
                           .blocks = world.blocks,
                           .n_room = world.n_room};
    int is_cut = world.fail_at && n_text >= 2048;
    HOLDS(world_run(worker) == is_last);
    struct bytes due = expected(is_cut ? 2047 : n_text);
    if (is_cut) {
        add_bytes(&due, is_last ? "**<ERR> " : "**<MSG> ", 8);
        add_bytes(&due, "[the rest of this message is cut: out of memory]\n", 49);
    }
    HOLDS(due.n_bytes == world.errors.n_bytes &&
          memcmp(due.data, world.errors.data, due.n_bytes) == 0);
    HOLDS(world.output.n_bytes == 0 && world.n_blocks == 0);
    free(due.data);
    free(text);
    return 0;
}
