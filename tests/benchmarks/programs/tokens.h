/* Tokens of stdin: runs of bytes above the space. For programs that read text, not pairs. */
#ifndef TOKENS_H
#define TOKENS_H

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define ROOM 262144 /* a token is shorter than that */

/* Pass each token to `take`, which is inlined. Returns 0 if stdin cannot be read to its end. */
static inline int each_token(void (*take)(const char *token, size_t size))
{
    static char buffer[ROOM];
    size_t n_kept = 0; /* of a token that the end of the block cut */
    ssize_t n_read;
    while ((n_read = read(STDIN_FILENO, buffer + n_kept, ROOM - n_kept)) > 0) {
        const char *token = buffer, *at = buffer + n_kept;
        const char *const end = at + n_read;
        for (; at < end; at++) {
            if ((unsigned char)*at > ' ')
                continue;
            if (at > token)
                take(token, (size_t)(at - token));
            token = at + 1;
        }
        n_kept = (size_t)(end - token);
        if (n_kept == ROOM)
            return 0;
        memmove(buffer, token, n_kept);
    }
    if (n_kept)
        take(buffer, n_kept);
    return n_read == 0;
}

#endif
