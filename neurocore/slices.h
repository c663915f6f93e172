/* The few operations on bit slices that processors differ in; included once for each instruction set, see kernel.h.

   A vector holds one bit of 256 neurons: 4 words of 64. With NC_TERNARY every function of three bits is one instruction
   (AVX-512 VL), and so is listing the bits of a word (AVX-512 VBMI2); everything else is the vector extension of GCC and Clang,
   which becomes AVX2, NEON, SSE2 or plain words. */

#undef NC_XOR3
#undef NC_MAJORITY
#undef NC_SELECT
#undef NC_MASK_STEP
#undef NC_ANY

#ifdef NC_TERNARY
/* The constant is the truth table: bit 4a + 2b + c is the result for those bits. */
#undef NC_TERN
#ifdef NC_EMULATE_AVX512
#define NC_TERM(x, y, z, table, bit) ((table) >> (bit) & 1 ? (x) & (y) & (z) : (nc_vec){0})
#define NC_TERN(a, b, c, table)                                                                                        \
    (NC_TERM(~(a), ~(b), ~(c), table, 0) | NC_TERM(~(a), ~(b), (c), table, 1) | NC_TERM(~(a), (b), ~(c), table, 2)     \
     | NC_TERM(~(a), (b), (c), table, 3) | NC_TERM((a), ~(b), ~(c), table, 4) | NC_TERM((a), ~(b), (c), table, 5)      \
     | NC_TERM((a), (b), ~(c), table, 6) | NC_TERM((a), (b), (c), table, 7))
#else
#define NC_TERN(a, b, c, table) ((nc_vec)_mm256_ternarylogic_epi64((__m256i)(a), (__m256i)(b), (__m256i)(c), table))
#endif
#define NC_XOR3(a, b, c) NC_TERN(a, b, c, 0x96)
#define NC_MAJORITY(a, b, c) NC_TERN(a, b, c, 0xE8)
#define NC_SELECT(mask, a, b) NC_TERN(mask, a, b, 0xCA)      /* mask ? a : b */
#define NC_MASK_STEP(a, b, c) NC_TERN(a, b, c, 0x28)         /* (a ^ b) & c */
#else
#define NC_XOR3(a, b, c) ((a) ^ (b) ^ (c))
#define NC_MAJORITY(a, b, c) (((a) & (b)) | ((c) & ((a) | (b))))
#define NC_SELECT(mask, a, b) ((b) ^ ((mask) & ((a) ^ (b))))
#define NC_MASK_STEP(a, b, c) (((a) ^ (b)) & (c))
#endif

#ifdef NC_TESTZ
#define NC_ANY(v) (!_mm256_testz_si256((__m256i)(v), (__m256i)(v)))
#else
#define NC_ANY(v) nc_any(v)
#endif

/* Writes base + the number of each set bit of a word, ascending, to `out`; n says how many there are. Up to NC_SLACK places
   are written in any case, so that hardly a branch depends on the bits. */
#if defined(NC_TERNARY) && !defined(NC_EMULATE_AVX512)
static const uint8_t NC_NAME(nc_numbers)[64] = {0,  1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21,
                                                22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40, 41, 42, 43,
                                                44, 45, 46, 47, 48, 49, 50, 51, 52, 53, 54, 55, 56, 57, 58, 59, 60, 61, 62, 63};
#define NC_COMPRESSED(word) _mm512_maskz_compress_epi8(word, _mm512_loadu_si512(NC_NAME(nc_numbers)))

NC_INLINE void NC_NAME(nc_list_16)(uint64_t word, int n, uint16_t base, uint16_t *out) {
    const __m512i listed = NC_COMPRESSED(word), first = _mm512_set1_epi16((short)base);
    _mm512_storeu_si512(out, _mm512_add_epi16(_mm512_cvtepu8_epi16(_mm512_castsi512_si256(listed)), first));
    if (n > 32) {
        const __m256i rest = _mm512_extracti64x4_epi64(listed, 1);
        _mm512_storeu_si512(out + 32, _mm512_add_epi16(_mm512_cvtepu8_epi16(rest), first));
    }
}

NC_INLINE void NC_NAME(nc_list_32)(uint64_t word, int n, uint32_t base, uint32_t *out) {
    const __m512i listed = NC_COMPRESSED(word), first = _mm512_set1_epi32((int)base);
    _mm512_storeu_si512(out, _mm512_add_epi32(_mm512_cvtepu8_epi32(_mm512_castsi512_si128(listed)), first));
    if (n > 16) _mm512_storeu_si512(out + 16, _mm512_add_epi32(_mm512_cvtepu8_epi32(_mm512_extracti32x4_epi32(listed, 1)), first));
    if (n > 32) {
        _mm512_storeu_si512(out + 32, _mm512_add_epi32(_mm512_cvtepu8_epi32(_mm512_extracti32x4_epi32(listed, 2)), first));
        _mm512_storeu_si512(out + 48, _mm512_add_epi32(_mm512_cvtepu8_epi32(_mm512_extracti32x4_epi32(listed, 3)), first));
    }
}
#undef NC_COMPRESSED
#else
#define NC_LIST(type, name)                                                                    \
    NC_INLINE void NC_NAME(name)(uint64_t word, int n, type base, type *out) {                 \
        NC_UNROLL for (int i = 0; i < 3; i++, word &= word - 1)                                \
            out[i] = (type)(base + nc_lowest(word));                                           \
        if (n > 3) {                                                                           \
            NC_UNROLL for (int i = 3; i < 16; i++, word &= word - 1)                           \
                out[i] = (type)(base + nc_lowest(word));                                       \
            for (int i = 16; word; i++, word &= word - 1)                                      \
                out[i] = (type)(base + nc_lowest(word));                                       \
        }                                                                                      \
    }
NC_LIST(uint16_t, nc_list_16)
NC_LIST(uint32_t, nc_list_32)
#undef NC_LIST
#endif
