/*
 * Invariant: when the nth allocation fails, or that and all later ones, a worker exits 0 with the
 * output that it has without the fault, or 1 with one ERR line that says so; for every n.
 */
#include "script.h"

static int says_out_of_memory(void)
{
    return memmem(world.errors.data, world.errors.n_bytes, "out of memory", 13) != NULL;
}

static void fails(unsigned long at, int on, int due_status, const uint8_t *due, size_t n_due)
{
    world.fail_at = at;
    world.fail_on = on;
    int status = play_script();
    HOLDS(status == 0 || status == 1);
    HOLDS(status == 0 || says_out_of_memory() || due_status == 1);
    HOLDS((count_errors() > 0) == status);
    if (status == 0)
        HOLDS(due_status == 0 && world.output.n_bytes == n_due &&
              (n_due == 0 || memcmp(world.output.data, due, n_due) == 0));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n_bytes)
{
    enum { MOST = 24 };
    if (!decode_script(data, n_bytes))
        return 0;
    int status = play_script();
    unsigned long n_allocations = world.n_allocations;
    size_t n_due = world.output.n_bytes;
    uint8_t *due = exact_copy(world.output.data, n_due);
    for (unsigned long at = 1; at <= n_allocations && at <= MOST; at++)
        for (int on = 0; on < 2; on++)
            fails(at, on, status, due, n_due);
    free(due);
    return 0;
}
