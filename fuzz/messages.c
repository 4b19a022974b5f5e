/*
 * Invariant: msg() and die() write one tagged line to stderr for each line of a text, with its
 * bytes unchanged, and nothing else. This holds for every text and for short and interrupted
 * writes. When memory runs out, the message is cut and the next line says so.
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

/* What stderr must contain for the first n_text bytes of the text. */
static struct bytes expected(size_t n_text)
{
    struct bytes want = {0};
    size_t at = 0;
    do {
        size_t n_line = 0;
        while (at + n_line < n_text && text[at + n_line] != '\n')
            n_line++;
        add_bytes(&want, is_last ? "**<ERR> " : "**<MSG> ", 8);
        add_bytes(&want, text + at, n_line);
        add_bytes(&want, "\n", 1);
        at += n_line + 1;
    } while (at < n_text);
    return want;
}

/*
 * The input, in bytes: how often the text is repeated, flags (1: die(), 2: no memory), the number
 * of outcomes, the outcomes (see worker.h), the text.
 */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n_bytes)
{
    if (n_bytes < 3 || n_bytes < 3 + (size_t)data[2] % 16)
        return 0;
    size_t n_outcomes = data[2] % 16, n_piece = n_bytes - 3 - n_outcomes,
           n_times = 1 + data[0] % 128u;
    is_last = data[1] & 1;
    text = malloc(n_times * n_piece + 1);
    for (size_t index = 0; index < n_times; index++)
        memcpy(text + index * n_piece, data + 3 + n_outcomes, n_piece);
    text[n_times * n_piece] = '\0';
    size_t n_text = strlen(text);
    env = (struct env){.outcomes = data + 3,
                       .n_outcomes = n_outcomes,
                       .fail_at = data[1] >> 1 & 1,
                       .output = env.output,
                       .errors = env.errors,
                       .blocks = env.blocks,
                       .n_room = env.n_room};
    int is_cut = env.fail_at && n_text >= 2048;
    HOLDS(run_worker(worker) == is_last);
    struct bytes want = expected(is_cut ? 2047 : n_text);
    if (is_cut) {
        add_bytes(&want, is_last ? "**<ERR> " : "**<MSG> ", 8);
        add_bytes(&want, "[the rest of this message is cut: out of memory]\n", 49);
    }
    HOLDS(want.n_bytes == env.errors.n_bytes &&
          memcmp(want.data, env.errors.data, want.n_bytes) == 0);
    HOLDS(env.output.n_bytes == 0 && env.n_blocks == 0);
    free(want.data);
    free(text);
    return 0;
}
