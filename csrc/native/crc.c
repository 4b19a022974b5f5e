/* The CRC-32 of zlib's crc32(): tables, and carry-less multiplication where the processor has it.
 */
#include "crc.h"

#include "native.h"

#define POLYNOMIAL 0xEDB88320u /* without x^32; the highest bit is the coefficient of x^0 */

uint32_t kvproto_crc_tables[8][256], kvproto_crc_of_zeros[9];
int kvproto_crc_folds;

enum { N_LANES = 4 }; /* independent registers, because a multiplication takes several cycles */

/* What moves a register of 16 bytes ahead by 16 bytes, and by 16 * N_LANES. */
static uint64_t to_next[2], to_next_lanes[2];

/* crc times x^n_bits, modulo the polynomial. */
static uint32_t times_x(uint32_t crc, int n_bits)
{
    while (n_bits-- > 0)
        crc = crc >> 1 ^ (crc & 1 ? POLYNOMIAL : 0);
    return crc;
}

static void fill_factors(uint64_t factors[2], int n_bytes)
{
    factors[0] = (uint64_t)times_x(0x80000000u, 8 * n_bytes + 63) << 32;
    factors[1] = (uint64_t)times_x(0x80000000u, 8 * n_bytes - 1) << 32;
}

void kvproto_fill_crc_tables(void)
{
#if defined(__x86_64__)
    kvproto_crc_folds = __builtin_cpu_supports("pclmul") && __builtin_cpu_supports("sse4.1");
#endif
    fill_factors(to_next, 16);
    fill_factors(to_next_lanes, 16 * N_LANES);
    for (int n_bytes = 0; n_bytes < 8; n_bytes++)
        for (uint32_t byte = 0; byte < 256; byte++)
            kvproto_crc_tables[n_bytes][byte] = times_x(byte, 8 * (n_bytes + 1));
    for (int n_bytes = 0; n_bytes < 9; n_bytes++)
        kvproto_crc_of_zeros[n_bytes] = ~times_x(0xFFFFFFFFu, 8 * n_bytes);
}

/* The CRC without its inversions at both ends: 0 stays 0 before data that is 0. */
static uint32_t update(uint32_t crc, const unsigned char *data, size_t n_bytes)
{
    for (; n_bytes >= 8; data += 8, n_bytes -= 8)
        crc = kvproto_crc_of_word(kvproto_get_u64(data) ^ crc);
    for (; n_bytes > 0; data++, n_bytes--)
        crc = crc >> 8 ^ kvproto_crc_tables[0][(crc ^ *data) & 0xFF];
    return crc;
}

#if defined(__x86_64__)
/*
 * A register of 16 bytes is a polynomial whose remainder is that of all data so far. To append 16
 * bytes, its two halves are multiplied by what x^(64 + 128) and x^128 leave, and the bytes are
 * added. A product of two such reversed halves comes out as x times the product: hence the - 1.
 */
KVPROTO_FOLDING static __m128i folded(__m128i lane, __m128i factors, __m128i more)
{
    __m128i low = _mm_clmulepi64_si128(lane, factors, 0x00);
    __m128i high = _mm_clmulepi64_si128(lane, factors, 0x11);
    return _mm_xor_si128(_mm_xor_si128(low, high), more);
}

KVPROTO_FOLDING static __m128i load(const unsigned char *data)
{
    return _mm_loadu_si128((const __m128i *)(const void *)data);
}

/* As update(), for at least 64 bytes. */
KVPROTO_FOLDING static uint32_t update_folding(uint32_t crc, const unsigned char *data,
                                               size_t n_bytes)
{
    const __m128i far = load((const unsigned char *)to_next_lanes);
    const __m128i near = load((const unsigned char *)to_next);
    const unsigned char *end = data + n_bytes;
    __m128i lanes[N_LANES];
    for (int lane = 0; lane < N_LANES; lane++)
        lanes[lane] = load(data + 16 * lane);
    lanes[0] = _mm_xor_si128(lanes[0], _mm_cvtsi32_si128((int)crc));
    for (data += 16 * N_LANES; end - data >= 16 * N_LANES; data += 16 * N_LANES)
        for (int lane = 0; lane < N_LANES; lane++)
            lanes[lane] = folded(lanes[lane], far, load(data + 16 * lane));
    __m128i all = lanes[0];
    for (int lane = 1; lane < N_LANES; lane++)
        all = folded(all, near, lanes[lane]);
    for (; end - data >= 16; data += 16)
        all = folded(all, near, load(data));
    unsigned char remainder[16];
    _mm_storeu_si128((__m128i *)(void *)remainder, all);
    return update(update(0, remainder, 16), data, (size_t)(end - data));
}
#else
static uint32_t update_folding(uint32_t crc, const unsigned char *data, size_t n_bytes)
{
    return update(crc, data, n_bytes);
}
#endif

int kvproto_crc_is_fast(void) { return kvproto_crc_folds; }

uint32_t kvproto_crc32_from(uint32_t crc, const unsigned char *data, size_t n_bytes)
{
    return ~(n_bytes >= 256 && kvproto_crc_folds ? update_folding(~crc, data, n_bytes)
                                                 : update(~crc, data, n_bytes));
}

uint32_t kvproto_crc(uint32_t crc, const void *data, size_t n_bytes)
{
    return kvproto_crc32_from(crc, data, n_bytes);
}
