/* The few operations on bit slices that processors differ in; included once for each instruction set, see kernel.h.

   A vector holds one bit of 256 neurons: 4 words of 64. With NC_TERNARY every function of three bits is one instruction
   (AVX-512 VL); everything else is the vector extension of GCC and Clang, which becomes AVX2, NEON, SSE2 or plain words. */

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
#define NC_ANY(v) (((v)[0] | (v)[1] | (v)[2] | (v)[3]) != 0)
#endif
