/* The compiled engine: what a chip and its state look like in memory (layout.h), one tick of a core, for each instruction set (tick.h),
   and the loop over ticks in several threads (pool.h, pace.h).

   Model: chip.md; readable twin: oracle.py, which this must equal bit for bit.

   Neurons are *bit-sliced*: a plane holds one bit of 256 neurons, and a membrane potential is as many planes as its present
   values need. Adding, comparing and resetting 256 neurons is then a few logical operations per plane, and a crossbar row
   is an addend as it stands. 256 neurons of a core are a *unit*; a core has as many units as its neurons need, padded with
   lanes that never fire. Cores with equal parameters share their planes.

   A *program* is what does not change while a chip runs; a *state* is what does. No function here checks its input: ChipConfig.validate() has. C11 with the vector
   extensions of GCC and Clang. */

#ifndef NEUROCORE_KERNEL_H
#define NEUROCORE_KERNEL_H

#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "the kernel reads 32-bit halves of 64-bit words in memory order and needs a little-endian machine"
#endif

#define NC_INLINE static inline __attribute__((always_inline))
#define NC_UNROLL _Pragma("GCC unroll 32")
#define NC_COLD static __attribute__((noinline, cold))

/* Vectors pass only between inlined functions, so the calling convention that GCC warns of is never used. */
#pragma GCC diagnostic ignored "-Wpsabi"

typedef uint64_t nc_vec __attribute__((vector_size(32)));
typedef uint64_t nc_memory __attribute__((vector_size(32), aligned(8), may_alias));
typedef uint32_t nc_words8 __attribute__((vector_size(32)));

NC_INLINE nc_vec nc_get(const uint64_t *at) { return (nc_vec) * (const nc_memory *)at; }
NC_INLINE void nc_put(uint64_t *at, nc_vec value) { *(nc_memory *)at = (nc_memory)value; }
NC_INLINE int nc_any(nc_vec v) { return (v[0] | v[1] | v[2] | v[3]) != 0; }

#include "layout.h"
#include "draws.h"
#include "tally.h"
#include "planes.h"

/* ---------------------------------------------------------------- one tick, for each instruction set */

#define NC_JOIN2(a, b) a##_##b
#define NC_JOIN(a, b) NC_JOIN2(a, b)
#define NC_NAME(name) NC_JOIN(name, NC_ISA)

#if defined(__aarch64__)
#define NC_ISA neon                      /* part of every 64-bit ARM: what the compiler takes anyway */
#else
#define NC_ISA portable
#endif
#include "tick.h"
#undef NC_ISA

#if defined(__x86_64__)
#define NC_TESTZ
#ifdef __clang__
#pragma clang attribute push(__attribute__((target("avx2,bmi,bmi2,lzcnt,popcnt"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2,bmi,bmi2,lzcnt,popcnt")
#endif
#define NC_ISA avx2
#include "tick.h"
#undef NC_ISA
#ifdef __clang__
#pragma clang attribute pop
#ifdef NC_EMULATE_AVX512
#pragma clang attribute push(__attribute__((target("avx2,bmi,bmi2,lzcnt,popcnt"))), apply_to = function)
#else
#pragma clang attribute push(__attribute__((target("avx512f,avx512vl,avx512dq,avx512bw,avx512vbmi2,avx2,bmi,bmi2,lzcnt,popcnt"))), apply_to = function)
#endif
#else
#pragma GCC pop_options
#pragma GCC push_options
#ifdef NC_EMULATE_AVX512
#pragma GCC target("avx2,bmi,bmi2,lzcnt,popcnt")
#else
#pragma GCC target("avx512f,avx512vl,avx512dq,avx512bw,avx512vbmi2,avx2,bmi,bmi2,lzcnt,popcnt")
#endif
#endif
/* A build for tests has this path on every processor with AVX2: the ternary instruction is worked out from its table. */
#define NC_ISA avx512
#define NC_TERNARY
#include "tick.h"
#undef NC_ISA
#undef NC_TERNARY
#ifdef __clang__
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif
#undef NC_TESTZ
#endif

typedef struct { const char *name; nc_cores_function run; int supported; } nc_path;

/* The paths of this build, best first; what the processor lacks is marked. */
static nc_path nc_paths[] = {
#if defined(__x86_64__)
    {"avx512", nc_cores_avx512, 0},
    {"avx2", nc_cores_avx2, 0},
#endif
#if defined(__aarch64__)
    {"neon", nc_cores_neon, 1},
#else
    {"portable", nc_cores_portable, 1},
#endif
};
enum { NC_PATHS = sizeof(nc_paths) / sizeof(nc_paths[0]) };

static void nc_prepare(void) {
#if defined(__x86_64__)
    __builtin_cpu_init();
    nc_paths[1].supported = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi2");
#ifdef NC_EMULATE_AVX512
    nc_paths[0].supported = nc_paths[1].supported;
#else
    nc_paths[0].supported = nc_paths[1].supported && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl")
                            && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw")
                            && __builtin_cpu_supports("avx512vbmi2");
#endif
#endif
}

#include "pool.h"

#endif
