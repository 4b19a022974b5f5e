/*
 * Invariant: when the nth allocation fails, or that and all later ones, a worker either exits with
 * 0 and writes the same output as without the fault, or exits with 1 and reports it in an ERR line.
 */
#include "script.h"

static int says_out_of_memory(void)
{
    return memmem(env.errors.data, env.errors.n_bytes, "out of memory", 13) != NULL;
}

static void check_fault(unsigned long at, int on, int want_status, const uint8_t *want,
                        size_t n_want)
{
    env.fail_at = at;
    env.fail_on = on;
    int status = play_script();
    HOLDS(status == 0 || status == 1);
    HOLDS(status == 0 || says_out_of_memory() || want_status == 1);
    HOLDS((count_errors() > 0) == status);
    if (status == 0)
        HOLDS(want_status == 0 && env.output.n_bytes == n_want &&
              (n_want == 0 || memcmp(env.output.data, want, n_want) == 0));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n_bytes)
{
    enum { MOST = 24 };
    if (!decode_script(data, n_bytes))
        return 0;
    int status = play_script();
    unsigned long n_allocations = env.n_allocations;
    size_t n_want = env.output.n_bytes;
    uint8_t *want = exact_copy(env.output.data, n_want);
    for (unsigned long at = 1; at <= n_allocations && at <= MOST; at++)
        for (int on = 0; on < 2; on++)
            check_fault(at, on, status, want, n_want);
    free(want);
    return 0;
}
