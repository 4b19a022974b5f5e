/*
 * Invariant: for any sequence of calls, any stdin and any outcome of the system calls, each call
 * returns what is in stdin. A worker that follows the protocol exits with 0, and stdout has exactly
 * the lists that it wrote. One that breaks a clause exits with 1 and one ERR line. All memory is
 * freed, and no read blocks while an answer is still in the buffer.
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
    HOLDS(env.output.n_bytes == model.output.n_bytes);
    HOLDS(model.output.n_bytes == 0 ||
          memcmp(env.output.data, model.output.data, model.output.n_bytes) == 0);
    disco_walker walker;
    disco_walk_start(&walker, 1, DISCO_MAX_ITEM);
    HOLDS(disco_walk(&walker, env.output.data, env.output.n_bytes, NULL, NULL) == DISCO_OK);
    return 0;
}
