/* The compiled engine: what a chip and its state look like in memory, and the loop over ticks in several threads.

   Model: chip.md; readable twin: oracle.py, which this must equal bit for bit.

   Neurons are *bit-sliced*: a plane holds one bit of 256 neurons, and a membrane potential is as many planes as its present
   values need. Adding, comparing and resetting 256 neurons is then a few logical operations per plane, and a crossbar row
   is an addend as it stands. 256 neurons of a core are a *unit*; a core has as many units as its neurons need, padded with
   lanes that never fire. Cores with equal parameters share their planes.

   A *program* is what does not change while a chip runs; a *state* is what does. tick.h holds one tick of a core and is
   compiled once for each instruction set. No function here checks its input: ChipConfig.validate() has. C11 with the vector
   extensions of GCC and Clang. */

#ifndef NEUROCORE_KERNEL_H
#define NEUROCORE_KERNEL_H

#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
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

enum { NC_LANES = 256, NC_WORDS = 4, NC_MAX_PLANES = 32, NC_NEAR = 12, NC_MAX_THREADS = 256 };

/* What a core's neurons use beyond the common case. */
enum { NC_RANDOM_WEIGHT = 1, NC_RANDOM_LEAK = 2, NC_RANDOM_THRESHOLD = 4, NC_REVERSAL = 8 };

/* Purposes of random draws, as in draws.py. */
enum { NC_DRAW_LEAK = 0, NC_DRAW_THRESHOLD = 1, NC_DRAW_SYNAPSE = 2 };

/* One profile of neuron parameters for one unit. Planes are two's complement, continued to `planes` planes by the sign. */
typedef struct {
    int32_t leak_from;                   /* stochastic leak: planes below this one are all ones, so draws need no compare */
    int32_t threshold_width, floor_width;/* planes that thresholds and floors need, sign included */
    int32_t least_width;                 /* planes that a membrane needs at least: reset values */
    int32_t floor_free_width;            /* a membrane of so many planes cannot pass its floor */
    int32_t reset_is_zero, floor_is_zero;
    int32_t floor_holds;                 /* all neurons stay at the floor */
    int32_t has_linear, has_value;
    int32_t mask_bits;                   /* random bits of the widest threshold mask */
} nc_profile;

/* What is read of a core in each of its ticks. Tables that are equal in several cores are stored once, as numbered rows. */
typedef struct {
    uint64_t key;                        /* of its random draws */
    uint32_t profile, wiring, weights;   /* rows: neuron parameters, axon types, weights of the axon types */
    uint32_t input_bound;                /* largest magnitude that one axon adds */
    uint32_t leak_bound;                 /* largest magnitude of the leak */
    uint32_t features;
} nc_header;

typedef struct {
    int64_t n_cores, n_words;            /* n_words: from one scheduler plane to the next */
    int32_t n_axons, n_types, n_slots, axon_words, units, planes;
    int32_t random_bits, weight_planes;
    int32_t clamps, clamp_min, clamp_max, clamp_fires, clamp_free_width;
    int32_t stops_at_zero, floor_inclusive;
    int32_t wide, target_shift;          /* destinations: 64 bits instead of 32; the delay stands above target_shift */
    const uint64_t *crossbar;            /* [core][axon][unit][word] */
    const nc_header *header;             /* [core] */
    const uint8_t *axon_type;            /* [wiring][axon] */
    const uint64_t *type_mask;           /* [wiring][type][axon word] */
    const uint64_t *full;                /* [core][axon word]: axons whose row is the core's pattern; NULL if few cores have them */
    const uint64_t *pattern;             /* [core][unit][word]: the neurons that any axon reaches */
    const uint32_t *weight_row;          /* [weights][type]: row of the table of weights */
    const uint32_t *weight_place;        /* [weights][type]: first word of that row */
    const uint32_t *weight_bits;         /* [weights][type]: magnitude planes that are not empty */
    const uint64_t *weight;              /* [row][unit][1 + weight_planes][word]: sign, magnitude; 0 where stochastic */
    const uint64_t *chance;              /* [row][unit][2 + random_bits][word]: sign, mask, magnitude; NULL if none */
    const uint8_t *chance_used;          /* [row] */
    const nc_profile *profiles;          /* [row][unit] */
    const uint64_t *leak;                /* [row][unit][plane][word], 0 where stochastic */
    const uint64_t *leak_chance;         /* [row][unit][2 + random_bits][word]: sign, mask, magnitude; or NULL */
    const uint64_t *not_threshold;       /* [row][unit][plane][word]: the complement of alpha */
    const uint64_t *not_bound;           /* [row][unit][plane][word]: the complement of -beta */
    const uint64_t *reset;               /* [row][unit][plane][word] */
    const uint64_t *modes;               /* [row][unit][4][word]: reset to value, linear; floor saturates; leak reversal */
    const uint64_t *threshold_mask;      /* [row][unit][mask_planes][word] or NULL */
    int32_t mask_planes;
    const void *target;                  /* [core][lane]: delay << target_shift | bit of the scheduler plane; delay 0 is an
                                            output line + 1, or nothing */
    const uint64_t *zero;                /* [plane][word]: a leak of nothing */
} nc_program;

typedef struct { int64_t tick; int32_t a, b; } nc_event;
typedef struct { nc_event *items; size_t length, capacity; } nc_events;

/* How often each of 256 lanes was set: counted in planes, which is a few operations a tick however many were. */
enum { NC_LOW = 4, NC_HIGH = 13, NC_LOW_FULL = 15, NC_HIGH_FULL = 546 };
typedef struct {
    uint64_t *low;                       /* [unit][NC_LOW][word] */
    uint64_t *high;                      /* [unit][NC_HIGH][word] */
    uint32_t *total;                     /* [unit][lane] */
    uint16_t *added, *folded;            /* [unit]: additions to low, and to high */
} nc_tally;

typedef struct {
    int64_t tick;
    uint64_t *near, *far;                /* membranes: [core][unit][NC_NEAR][word], and the planes above: [core][unit][..][word] */
    uint8_t *width;                      /* [core][unit]: planes in use, the last being the sign */
    uint64_t *scheduler;                 /* [slot][core][axon word], planes n_words apart */
    uint64_t *fired;                     /* [slot][core][unit][word]: who fired in the last n_slots ticks */
    uint8_t *settled;                    /* [core]: without input, nothing can change */
    nc_tally axons, neurons;             /* [core][axon word / 4], [core][unit] */
    const uint64_t *probe;               /* [core][unit][word] or NULL */
    const int32_t *probe_row, *probe_lane;      /* membranes to record, rows ascending */
    int64_t n_probes;
    int32_t *trace;                      /* [tick of this call][probe] */
    const int64_t *event_start;          /* [tick of this call + 1]: external spikes of a tick */
    const uint32_t *event_word;          /* scheduler word of an external spike */
    const uint8_t *event_bit;
} nc_state;

/* ---------------------------------------------------------------- random draws (see draws.py) */

#define NC_GOLDEN 0x9E3779B9u
#define NC_PLANE_STRIDE 2048u

NC_INLINE uint64_t nc_mix64(uint64_t x) {
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9ull;
    x = (x ^ (x >> 27)) * 0x94D049BB133111EBull;
    return x ^ (x >> 31);
}

NC_INLINE uint64_t nc_tick_key(uint64_t core_key, int64_t tick, uint64_t purpose) {
    uint64_t ticked = nc_mix64(core_key + (uint64_t)tick * 0x9E3779B97F4A7C15ull);
    return nc_mix64(ticked + purpose * 0xDA942042E4DD58B5ull);
}

/* Words of either type: plain, or eight at a time. */
#define NC_SCRAMBLE(x, high)                   \
    do {                                       \
        x = (x ^ (x >> 16)) * 0x21F0AAADu + high; \
        x = (x ^ (x >> 15)) * 0xD35A2D97u;     \
        x = x ^ (x >> 15);                     \
    } while (0)

NC_INLINE uint32_t nc_word(uint32_t low, uint32_t high, uint32_t index) {
    uint32_t x = index * NC_GOLDEN + low;
    NC_SCRAMBLE(x, high);
    return x;
}

/* ---------------------------------------------------------------- memory of a thread */

/* Deliveries of one thread in one tick, by groups of destination cores: bit numbers in the scheduler, 32 or 64 bits each. A group
   has room for a spike of every neuron that has a destination in it, so none can be too full. */
typedef struct {
    void *items;
    void **end;                          /* [group]: behind the last delivery */
} nc_box;

/* Cores that wait for their crossbar rows; cores after which a scheduler row is asked for; spikes that wait for their destinations,
   and firing cores after which they do not wait longer; deliveries asked for ahead; active axons up to which rows are added
   one by one. */
enum { NC_AHEAD = 4, NC_SOON = 16, NC_SPIKES = 2048, NC_WAITS = 32, NC_PREFETCH = 32, NC_FEW = 12 };
enum { NC_SLACK = 32 };                  /* places behind a list that may be written */

typedef struct {
    int64_t core;
    int32_t n, n_full;                   /* active axons to add row by row, and those whose rows need not be read */
    uint16_t *axons;                     /* the former: by type if they are more than NC_FEW */
    uint32_t of_type[256];               /* then so many of each type */
    uint32_t full[256];                  /* the latter by type, if there are any */
} nc_job;

typedef struct {
    nc_events outputs, spikes;
    nc_job jobs[NC_AHEAD];               /* first_job to last_job, in a ring, wait for their rows */
    unsigned first_job, last_job;
    uint16_t *axons;                     /* [NC_AHEAD][n_axons]: the jobs' lists */
    uint64_t *active;                    /* [axon word]: active axons of the core that is being collected */
    uint32_t *fired;                     /* neurons whose spikes wait for their destination to arrive in the cache */
    int32_t n_fired, waits;              /* how many they are, and how often any was added since the last were sent */
    uint64_t slot_start[256];            /* first bit of the scheduler plane that is so many ticks ahead */
    nc_box boxes[2];                     /* [parity of the tick] */
    int failed;
} nc_scratch;

static int nc_push(nc_events *events, int64_t tick, int32_t a, int32_t b) {
    if (events->length == events->capacity) {
        size_t capacity = events->capacity ? 2 * events->capacity : 1024;
        nc_event *items = (nc_event *)realloc(events->items, capacity * sizeof(nc_event));
        if (!items) return -1;
        events->items = items;
        events->capacity = capacity;
    }
    events->items[events->length].tick = tick;
    events->items[events->length].a = a;
    events->items[events->length++].b = b;
    return 0;
}

typedef struct nc_pool nc_pool;
typedef struct {
    nc_pool *pool;
    nc_state state;                      /* own copy: the tick advances in each thread alike */
    nc_scratch scratch;
    int64_t begin, end;                  /* the cores whose scheduler rows only this thread writes */
    int64_t next;                        /* first core of its own that nobody has taken yet in this tick */
    int64_t slot;                        /* the scheduler plane of this tick */
    int64_t ready;                       /* the tick for which its scheduler rows are complete */
    int index;
    pthread_t thread;
} nc_worker;

typedef void (*nc_cores_function)(const nc_program *, nc_worker *, int64_t, int64_t, int);

struct nc_pool {
    const nc_program *program;
    nc_cores_function run;
    nc_worker *workers;
    int64_t *room;                       /* [group + 1]: first byte of the box of a group; its room is for all its neurons */
    int64_t n_groups, n_ticks;
    int group_shift, n_threads, capacity, started;
    int64_t chunk;                       /* cores of a group, and those taken at a time */
    int arrived, passed;                 /* the barrier */
    int quits;
    int64_t generation;                  /* of calls, for the threads that wait for one */
    pid_t process;                       /* a forked child has none of its parent's threads */
    pthread_mutex_t lock;
    pthread_cond_t wake;
};

/* ---------------------------------------------------------------- counting */

NC_INLINE nc_vec nc_get(const uint64_t *at) { return (nc_vec) * (const nc_memory *)at; }
NC_INLINE void nc_put(uint64_t *at, nc_vec value) { *(nc_memory *)at = (nc_memory)value; }
NC_INLINE int nc_any(nc_vec v) { return (v[0] | v[1] | v[2] | v[3]) != 0; }

/* Adds what stands in the planes to the totals and clears them. */
NC_COLD void nc_spill(nc_tally *t, int64_t unit) {
    uint64_t *groups[2] = {t->low + unit * NC_LOW * NC_WORDS, t->high + unit * NC_HIGH * NC_WORDS};
    int planes[2] = {NC_LOW, NC_HIGH};
    uint32_t *total = t->total + unit * NC_LANES;
    for (int g = 0; g < 2; g++)
        for (int b = 0; b < planes[g]; b++)
            for (int w = 0; w < NC_WORDS; w++) {
                uint64_t *word = groups[g] + b * NC_WORDS + w;
                for (; *word; *word &= *word - 1) total[64 * w + __builtin_ctzll(*word)] += 1u << b;
            }
    t->added[unit] = t->folded[unit] = 0;
}

/* Asks for the low planes, and for the high ones if the low ones will be full after the next addition. For units that no other
   thread counts at the time. */
NC_INLINE void nc_expect_count(const nc_tally *t, int64_t unit) {
    const uint64_t *low = t->low + unit * NC_LOW * NC_WORDS;
    for (int b = 0; b < NC_LOW; b += 2) __builtin_prefetch(low + b * NC_WORDS, 1);
    if (t->added[unit] != NC_LOW_FULL - 1) return;
    const uint64_t *high = t->high + unit * NC_HIGH * NC_WORDS;
    for (int b = 0; b < NC_HIGH; b += 2) __builtin_prefetch(high + b * NC_WORDS, 1);
}

/* Moves the low planes into the high ones. */
static void nc_fold(nc_tally *t, int64_t unit) {
    uint64_t *low = t->low + unit * NC_LOW * NC_WORDS, *high = t->high + unit * NC_HIGH * NC_WORDS;
    nc_vec carry = {0};
    for (int b = 0; b < NC_LOW; b++) {
        nc_vec x = nc_get(high + b * NC_WORDS), y = nc_get(low + b * NC_WORDS);
        nc_put(high + b * NC_WORDS, x ^ y ^ carry);
        carry = (x & y) | (carry & (x | y));
        nc_put(low + b * NC_WORDS, (nc_vec){0});
    }
    for (int b = NC_LOW; b < NC_HIGH && nc_any(carry); b++) {
        nc_vec x = nc_get(high + b * NC_WORDS);
        nc_put(high + b * NC_WORDS, x ^ carry);
        carry &= x;
    }
    t->added[unit] = 0;
    if (++t->folded[unit] == NC_HIGH_FULL) nc_spill(t, unit);
}

NC_INLINE void nc_count(nc_tally *t, int64_t unit, nc_vec bits) {
    uint64_t *low = t->low + unit * NC_LOW * NC_WORDS;
    for (int b = 0; b < NC_LOW; b++) {
        nc_vec x = nc_get(low + b * NC_WORDS);
        nc_put(low + b * NC_WORDS, x ^ bits);
        bits &= x;
    }
    if (++t->added[unit] == NC_LOW_FULL) nc_fold(t, unit);
}

static void nc_total(nc_tally *t, int64_t n_units) {
    for (int64_t unit = 0; unit < n_units; unit++)
        if (t->added[unit] || t->folded[unit]) nc_spill(t, unit);
}

/* ---------------------------------------------------------------- planes and numbers */

/* The number of the lowest bit that is set; 64 if none is. */
NC_INLINE int64_t nc_lowest(uint64_t word) { return word ? __builtin_ctzll(word) : 64; }

/* Bits `from` and up of values [rows][n] to planes [rows][units][planes][word]; lanes beyond n are 0. */
static void nc_slice(const int32_t *values, int64_t rows, int32_t n, int32_t units, int32_t from, int32_t planes, uint64_t *out) {
    for (int64_t row = 0; row < rows; row++)
        for (int32_t lane = 0; lane < n; lane += 64) {
            int32_t count = n - lane < 64 ? n - lane : 64;
            uint64_t *at = out + ((row * units + lane / NC_LANES) * planes) * NC_WORDS + lane % NC_LANES / 64;
            const int32_t *first = values + row * n + lane;
            for (int32_t b = 0; b < planes; b++) {
                int32_t shift = from + b < 31 ? from + b : 31;
                uint64_t word = 0;
                for (int32_t k = 0; k < count; k++) word |= (uint64_t)(uint32_t)((first[k] >> shift) & 1) << k;
                at[b * NC_WORDS] = word;
            }
        }
}

/* The membrane of a lane, from `width` planes of its unit. */
NC_INLINE int32_t nc_lane(const uint64_t *planes, int width, int lane) {
    const uint64_t *word = planes + lane / 64;
    uint32_t value = 0;
    for (int b = 0; b < width; b++) value |= (uint32_t)((word[b * NC_WORDS] >> (lane % 64)) & 1u) << b;
    unsigned unused = 32u - (unsigned)width;
    return (int32_t)(value << unused) >> unused;
}

/* Planes that a number needs, sign included. */
NC_INLINE int nc_width(uint64_t magnitude) { return magnitude ? 65 - __builtin_clzll(magnitude) : 1; }

/* The weights of a unit for an axon type, a place [weights][type]: sign plane, then magnitude planes. */
NC_INLINE const uint64_t *nc_weights(const nc_program *p, int64_t place, int unit) {
    return p->weight + p->weight_place[place] + (int64_t)unit * (1 + p->weight_planes) * NC_WORDS;
}

/* The planes of a unit's membranes, `width` of them valid; copied to `row` if that or anything else needs `room` for more than
   the near ones. */
NC_INLINE uint64_t *nc_planes(const nc_program *p, const nc_state *s, int64_t place, int width, int room, uint64_t *row) {
    uint64_t *near = s->near + place * NC_NEAR * NC_WORDS;
    if (__builtin_expect(room <= NC_NEAR, 1)) return near;
    for (int b = 0; b < NC_NEAR; b++) nc_put(row + b * NC_WORDS, nc_get(near + b * NC_WORDS));
    const uint64_t *far = s->far + place * (p->planes - NC_NEAR) * NC_WORDS;
    for (int b = NC_NEAR; b < width; b++) nc_put(row + b * NC_WORDS, nc_get(far + (b - NC_NEAR) * NC_WORDS));
    return row;
}

/* Puts back what nc_planes copied. */
NC_INLINE void nc_store(const nc_program *p, nc_state *s, int64_t place, int width, const uint64_t *row) {
    uint64_t *near = s->near + place * NC_NEAR * NC_WORDS, *far = s->far + place * (p->planes - NC_NEAR) * NC_WORDS;
    for (int b = 0; b < NC_NEAR; b++) nc_put(near + b * NC_WORDS, nc_get(row + b * NC_WORDS));
    for (int b = NC_NEAR; b < width; b++) nc_put(far + (b - NC_NEAR) * NC_WORDS, nc_get(row + b * NC_WORDS));
}

/* The membranes [core][neurons] as numbers. */
static void nc_read_membranes(const nc_program *p, const nc_state *s, int32_t neurons, int32_t *out) {
    uint64_t row[NC_MAX_PLANES * NC_WORDS];
    for (int64_t core = 0; core < p->n_cores; core++)
        for (int32_t first = 0; first < neurons; first += NC_LANES) {
            int64_t place = core * p->units + first / NC_LANES;
            int width = s->width[place];
            const uint64_t *planes = nc_planes(p, s, place, width, width, row);
            for (int32_t lane = 0; lane < NC_LANES && first + lane < neurons; lane++)
                out[core * neurons + first + lane] = nc_lane(planes, width, lane);
        }
}

/* After all planes were written: how many each unit needs. */
static void nc_fit_widths(const nc_program *p, nc_state *s) {
    uint64_t row[NC_MAX_PLANES * NC_WORDS];
    for (int64_t place = 0; place < p->n_cores * p->units; place++) {
        int width = p->planes;
        const uint64_t *planes = nc_planes(p, s, place, width, width, row);
        int64_t profile = (int64_t)p->header[place / p->units].profile * p->units + place % p->units;
        while (width > p->profiles[profile].least_width
               && !memcmp(planes + (width - 1) * NC_WORDS, planes + (width - 2) * NC_WORDS, NC_WORDS * sizeof(uint64_t)))
            width--;
        s->width[place] = (uint8_t)width;
    }
}

/* Deliveries sent from tick `first` on (at most n_slots ago) that are not due before s->tick: [slot][core]. */
static void nc_pending(const nc_program *p, const nc_state *s, int64_t first, int64_t *pending) {
    int64_t words = p->n_cores * p->units * NC_WORDS;
    for (int64_t tick = first; tick < s->tick; tick++) {
        const uint64_t *fired = s->fired + tick % p->n_slots * words;
        for (int64_t i = 0; i < words; i++)
            for (uint64_t word = fired[i]; word; word &= word - 1) {
                int64_t at = 64 * i + __builtin_ctzll(word);
                uint64_t target = p->wide ? ((const uint64_t *)p->target)[at] : ((const uint32_t *)p->target)[at];
                int64_t delay = (int64_t)(target >> p->target_shift);
                int64_t core = (int64_t)((target & ((1ull << p->target_shift) - 1)) >> 6) / p->axon_words;
                if (delay && tick + delay >= s->tick) pending[(tick + delay) % p->n_slots * p->n_cores + core]++;
            }
    }
}

/* ---------------------------------------------------------------- deliveries */

/* Sets the bits whose numbers stand from `first` to `last`, and asks for the words of those so far ahead, or of none if 0. */
#define NC_SET_BITS(type, first, last, scheduler, ahead)                                          \
    do {                                                                                          \
        const type *at = (const type *)(first), *const end = (const type *)(last);                \
        const type *const sure = (ahead) && end - at > (ahead) ? end - (ahead) : at;              \
        for (; at < sure; at++) {                                                                 \
            __builtin_prefetch((scheduler) + (at[ahead] >> 6), 1);                                \
            (scheduler)[*at >> 6] |= 1ull << (*at & 63);                                          \
        }                                                                                         \
        for (; at < end; at++) (scheduler)[*at >> 6] |= 1ull << (*at & 63);                       \
    } while (0)

/* ---------------------------------------------------------------- one tick, for each instruction set */

#define NC_JOIN2(a, b) a##_##b
#define NC_JOIN(a, b) NC_JOIN2(a, b)
#define NC_NAME(name) NC_JOIN(name, NC_ISA)

#if defined(__aarch64__)
#define NC_ISA neon                      /* part of every 64-bit ARM: what the compiler takes anyway */
#else
#define NC_ISA portable
#endif
#include "slices.h"
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
#include "slices.h"
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
#include "slices.h"
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
