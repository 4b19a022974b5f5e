/* Counts as decimal digits. */
#ifndef NUMBER_H
#define NUMBER_H

#include <stddef.h>
#include <stdint.h>

static inline uint64_t number(const char *digits, size_t size)
{
    uint64_t sum = 0;
    for (size_t at = 0; at < size; at++)
        sum = 10 * sum + (uint64_t)(digits[at] - '0');
    return sum;
}

#endif
