/*
 * The CRC-32 of zlib's crc32(): of keys, and of long data where the processor multiplies
 * polynomials.
 */
#ifndef KVPROTO_CRC_H
#define KVPROTO_CRC_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if defined(__x86_64__)
#include <immintrin.h>
#define KVPROTO_FOLDING __attribute__((target("pclmul,sse4.1")))
#else
#define KVPROTO_FOLDING
#endif

/*
 * kvproto_crc_tables[n][byte] is the part that a byte has in the CRC of a message of which n more
 * bytes follow; kvproto_crc_of_zeros[n] is the CRC of n zero bytes. The CRC of a message is the
 * exclusive or of the parts of its bytes and the CRC of as many zeros.
 */
extern uint32_t kvproto_crc_tables[8][256], kvproto_crc_of_zeros[9];

/* Whether the processor multiplies polynomials: only then call what is KVPROTO_FOLDING. */
extern int kvproto_crc_folds;

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

/* As kvproto_crc_of_word(). */
KVPROTO_FOLDING static inline uint32_t kvproto_fold_word(uint64_t word)
{
#if defined(__x86_64__)
    /* A multiple of the polynomial cancels the word and leaves the remainder in bits 64 to 95. */
    const long long polynomial = 0x1DB710641, inverse = (long long)0xB4E5B025F7011641;
    const __m128i factors = _mm_set_epi64x(polynomial, inverse);
    __m128i quotient = _mm_clmulepi64_si128(_mm_cvtsi64_si128((long long)word), factors, 0x00);
    return (uint32_t)_mm_extract_epi32(_mm_clmulepi64_si128(quotient, factors, 0x10), 2);
#else
    return kvproto_crc_of_word(word);
#endif
}

#endif
