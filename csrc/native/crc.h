/*
 * The CRC-32 of zlib's crc32(): of keys, and of long data where the processor multiplies
 * polynomials.
 */
#ifndef KVPROTO_CRC_H
#define KVPROTO_CRC_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/*
 * kvproto_crc_tables[n][byte] is the part that a byte has in the CRC of a message of which n more
 * bytes follow; kvproto_crc_of_zeros[n] is the CRC of n zero bytes. The CRC of a message is the
 * exclusive or of the parts of its bytes and the CRC of as many zeros.
 */
extern uint32_t kvproto_crc_tables[8][256], kvproto_crc_of_zeros[9];

/* Fill the tables. Call this once, before any other function of this file. */
void kvproto_fill_crc_tables(void);

/* The CRC of data that follows data with the CRC `crc`, 0 at first. */
uint32_t kvproto_crc32_from(uint32_t crc, const unsigned char *data, size_t n_bytes);

static inline uint32_t kvproto_crc32(const unsigned char *data, size_t n_bytes)
{
    return kvproto_crc32_from(0, data, n_bytes);
}

/* The parts of 8 bytes of which none follow; the first byte is the lowest of `word`. */
static inline uint32_t kvproto_crc_of_word(uint64_t word)
{
    uint32_t crc = 0;
    for (int at = 0; at < 8; at++)
        crc ^= kvproto_crc_tables[7 - at][word >> 8 * at & 0xFF];
    return crc;
}

static inline uint64_t kvproto_get_u64(const unsigned char *data)
{
    uint64_t word;
    memcpy(&word, data, sizeof word);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    word = __builtin_bswap64(word);
#endif
    return word;
}

/* The CRC of at most 8 bytes. 8 bytes at `data` must be readable, whatever n_bytes is. */
static inline uint32_t kvproto_crc32_short(const unsigned char *data, size_t n_bytes)
{
    /* Zeros before a message have no part. */
    uint64_t word = n_bytes == 0 ? 0 : kvproto_get_u64(data) << (64 - 8 * n_bytes);
    return kvproto_crc_of_word(word) ^ kvproto_crc_of_zeros[n_bytes];
}

#endif
