/*
 * Invariant: whatever a worker calls, whatever its stdin holds and however the system cuts it, each
 * call gives what stands in stdin. The exit is 0 when all clauses are kept, with exactly the lists
 * on stdout that were written, and 1 with one ERR line when one is broken. What was allocated is
 * freed, and no read blocks while an answer is held back.
 */
#include "script.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n_bytes)
{
    if (!decode_script(data, n_bytes))
        return 0;
    int status = play_script();
    HOLDS(status == model.must_die && count_errors() == (size_t)status);
    if (status != 0)
        return 0;
    HOLDS(world.output.n_bytes == model.output.n_bytes);
    HOLDS(model.output.n_bytes == 0 ||
          memcmp(world.output.data, model.output.data, model.output.n_bytes) == 0);
    disco_walker walker;
    disco_walk_start(&walker, 1, DISCO_MAX_ITEM);
    HOLDS(disco_walk(&walker, world.output.data, world.output.n_bytes, NULL, NULL) == DISCO_OK);
    return 0;
}
