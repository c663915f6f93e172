/* The tick loop of the compiled engine. Model: chip.md; readable twin: oracle.py, which this must equal bit for bit.

   A *program* is what does not change while a chip runs; a *state* is what does. Neurons are padded to a multiple of 64
   lanes; padding and unused neurons can never fire. Cores with equal neuron parameters share one *profile*, and equal rows
   of weights are stored once: what is shared stays in the cache. One pass over a core's lanes adds the leak and finds the few neurons
   that need attention (they fire, pass their floor or meet the clamp); only those go through the full rule in finish().

   No function here checks its input: ChipConfig.validate() has. Plain C11 with the vector extensions of GCC and Clang; on
   x86-64 Linux with GCC the loader picks an AVX2 or AVX-512 version of the loop at run time. */

#ifndef NEUROCORE_KERNEL_H
#define NEUROCORE_KERNEL_H

#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "the kernel reads bytes of 64-bit words in memory order and needs a little-endian machine"
#endif

#define NC_INLINE static inline __attribute__((always_inline))
#if defined(__x86_64__) && defined(__linux__) && defined(__GNUC__) && !defined(__clang__)
#define NC_CLONES __attribute__((target_clones("arch=x86-64-v4", "avx2", "default")))
#else
#define NC_CLONES
#endif

/* Vectors pass only between inlined functions, so the calling convention that GCC warns of is never used. */
#pragma GCC diagnostic ignored "-Wpsabi"

typedef int32_t nc_v8 __attribute__((vector_size(32)));
typedef uint8_t nc_b32 __attribute__((vector_size(32)));

/* What a core's neurons use; cores that use none of it take the shortest path. */
enum { NC_RANDOM_WEIGHT = 1, NC_RANDOM_LEAK = 2, NC_RANDOM_THRESHOLD = 4, NC_REVERSAL = 8 };

/* Purposes of random draws, as in draws.py. */
enum { NC_DRAW_LEAK = 0, NC_DRAW_THRESHOLD = 1, NC_DRAW_SYNAPSE = 2 };

/* Where a spike goes: 32 bits of scheduler word (or output line), 6 of bit, 8 of delay, 2 of kind. */
enum { NC_TO_NOTHING = 0, NC_TO_AXON = 1, NC_TO_OUTPUT = 2 };
#define NC_TARGET_WORD(t) ((uint32_t)(t))
#define NC_TARGET_BIT(t) ((unsigned)((t) >> 32) & 63u)
#define NC_TARGET_DELAY(t) ((unsigned)((t) >> 40) & 255u)
#define NC_TARGET_KIND(t) ((unsigned)((t) >> 48) & 3u)

typedef struct {
    int64_t n_cores;
    int32_t n_axons, n_types, n_slots, axon_words, lane_words, lanes;
    int32_t draw_mask;                   /* 2^random_bits - 1 */
    int32_t clamp_min, clamp_max;        /* INT32_MIN, INT32_MAX without a clamp */
    int32_t clamp_fires, stops_at_zero, floor_inclusive;
    const uint64_t *crossbar;            /* [core][axon][lane word] */
    const uint8_t *axon_type;            /* [core][axon] */
    const uint32_t *weight_row;          /* [core][type]: row of the two tables that follow */
    const int32_t *weight;               /* [row][lane], 0 where the weight is stochastic */
    const int32_t *weight_chance;        /* [row][lane], 0 where it is not; NULL if no core has any */
    const uint32_t *profile;             /* [core]: row of the tables that follow */
    const int32_t *leak;                 /* [row][lane], 0 where stochastic */
    const int32_t *leak_sign;            /* [row][lane] direction of a stochastic leak, 0 elsewhere; or NULL */
    const uint8_t *leak_magnitude;       /* [row][lane] its magnitude */
    const int32_t *reversal;             /* [row][lane] 0 or -1, or NULL */
    const int32_t *threshold, *floor, *reset;   /* [row][lane] */
    const int32_t *threshold_mask;       /* [row][lane] or NULL */
    const int32_t *high, *low, *saturate;       /* [row][lane]: attention at V >= high or V < low; else max(V, saturate) */
    const uint8_t *reset_mode, *floor_mode;     /* [row][lane] */
    const uint8_t *features;             /* [core] */
    const uint64_t *target;              /* [core][lane] */
    const uint64_t *key;                 /* [core] */
} nc_program;

typedef struct { int64_t tick; int32_t a, b; } nc_event;
typedef struct { nc_event *items; size_t length, capacity; } nc_events;

typedef struct {
    int64_t tick;
    int32_t *membrane;                   /* [core][lane] */
    uint64_t *scheduler;                 /* [slot][core][axon word] */
    uint64_t *fired;                     /* [slot][core][lane word]: who fired in the last n_slots ticks */
    uint8_t *settled;                    /* [core]: without input, nothing can change */
    uint32_t *axon_count, *neuron_count; /* [core][axon], [core][lane] */
    const uint64_t *probe;               /* [core][lane word] or NULL */
    const int32_t *probe_row, *probe_lane;      /* membranes to record, rows ascending */
    int64_t n_probes;
    int32_t *trace;                      /* [tick of this call][probe] */
    const int64_t *event_start;          /* [tick of this call + 1]: external spikes of a tick */
    const uint32_t *event_word;          /* scheduler word of an external spike */
    const uint8_t *event_bit;
} nc_state;

/* ---------------------------------------------------------------- random draws (see draws.py) */

NC_INLINE uint64_t nc_mix64(uint64_t x) {
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9ull;
    x = (x ^ (x >> 27)) * 0x94D049BB133111EBull;
    return x ^ (x >> 31);
}

NC_INLINE uint64_t nc_tick_key(uint64_t core_key, int64_t tick, uint64_t purpose) {
    uint64_t ticked = nc_mix64(core_key + (uint64_t)tick * 0x9E3779B97F4A7C15ull);
    return nc_mix64(ticked + purpose * 0xDA942042E4DD58B5ull);
}

NC_INLINE uint32_t nc_word(uint32_t low, uint32_t high, uint32_t index) {
    uint32_t x = index * 0x9E3779B9u + low;
    x = (x ^ (x >> 17)) * 0xED5AD4BBu + high;
    x = (x ^ (x >> 11)) * 0xAC4C1B51u;
    x = (x ^ (x >> 15)) * 0x31848BABu;
    return x ^ (x >> 14);
}

NC_INLINE void nc_words(uint64_t key, int32_t n, uint32_t *restrict out) {
    for (int32_t i = 0; i < n; i++) out[i] = nc_word((uint32_t)key, (uint32_t)(key >> 32), (uint32_t)i);
}

/* A step of one in the direction of `weight`, taken if the draw does not exceed its magnitude. */
NC_INLINE int32_t nc_chance(int32_t weight, int32_t draw) {
    int32_t magnitude = weight < 0 ? -weight : weight;
    int32_t sign = (weight > 0) - (weight < 0);
    return magnitude >= draw ? sign : 0;
}

/* ---------------------------------------------------------------- one core, one tick */

/* MASK[b] expands the bits of a byte to eight lanes of 0 or -1. */
static nc_v8 nc_mask[256];

static void nc_prepare(void) {
    for (int b = 0; b < 256; b++)
        for (int k = 0; k < 8; k++) nc_mask[b][k] = -((b >> k) & 1);
}

NC_INLINE void nc_integrate(const nc_program *p, nc_state *s, int64_t core, const int32_t *axons, int n) {
    int32_t *v = s->membrane + core * p->lanes;
    const uint64_t *rows = p->crossbar + core * (int64_t)p->n_axons * p->lane_words;
    const uint8_t *type = p->axon_type + core * p->n_axons;
    const uint32_t *row_of = p->weight_row + core * p->n_types;
    for (int32_t word = 0; word < p->lane_words; word++) {
        nc_v8 *block = (nc_v8 *)(v + 64 * word);
        nc_v8 a0 = block[0], a1 = block[1], a2 = block[2], a3 = block[3];
        nc_v8 a4 = block[4], a5 = block[5], a6 = block[6], a7 = block[7];
        for (int i = 0; i < n; i++) {
            const uint8_t *bits = (const uint8_t *)(rows + (int64_t)axons[i] * p->lane_words + word);
            const nc_v8 *w = (const nc_v8 *)(p->weight + (int64_t)row_of[type[axons[i]]] * p->lanes + 64 * word);
            a0 += w[0] & nc_mask[bits[0]];
            a1 += w[1] & nc_mask[bits[1]];
            a2 += w[2] & nc_mask[bits[2]];
            a3 += w[3] & nc_mask[bits[3]];
            a4 += w[4] & nc_mask[bits[4]];
            a5 += w[5] & nc_mask[bits[5]];
            a6 += w[6] & nc_mask[bits[6]];
            a7 += w[7] & nc_mask[bits[7]];
        }
        block[0] = a0; block[1] = a1; block[2] = a2; block[3] = a3;
        block[4] = a4; block[5] = a5; block[6] = a6; block[7] = a7;
    }
}

/* Stochastic weights: every active axon draws a fresh byte for each neuron it reaches. */
NC_INLINE void nc_integrate_random(const nc_program *p, nc_state *s, int64_t core, const int32_t *axons, int n,
                                   uint32_t *draw_words) {
    int32_t *v = s->membrane + core * p->lanes;
    const uint64_t *rows = p->crossbar + core * (int64_t)p->n_axons * p->lane_words;
    const uint32_t *row_of = p->weight_row + core * p->n_types;
    for (int i = 0; i < n; i++) {
        const int32_t *c = p->weight_chance + (int64_t)row_of[p->axon_type[core * p->n_axons + axons[i]]] * p->lanes;
        const uint8_t *draws = (const uint8_t *)draw_words;
        nc_words(nc_tick_key(p->key[core], s->tick, NC_DRAW_SYNAPSE + (uint64_t)axons[i]), p->lanes / 4, draw_words);
        for (int32_t word = 0; word < p->lane_words; word++) {
            uint64_t bits = rows[(int64_t)axons[i] * p->lane_words + word];
            for (; bits; bits &= bits - 1) {
                int32_t lane = 64 * word + __builtin_ctzll(bits);
                v[lane] += nc_chance(c[lane], draws[lane] & p->draw_mask);
            }
        }
    }
}

/* Steps 3 and 4 of the tick for the neuron at lane `at` of the profiles; `random` is eta. Returns whether it fires. Unsigned sums wrap where a chip
   has no clamp. */
NC_INLINE int nc_finish(const nc_program *p, int64_t at, int32_t *membrane, int32_t random) {
    int32_t v = *membrane, mode = p->reset_mode[at], saturates = p->floor_mode[at] == 1;
    int32_t alpha = (int32_t)((uint32_t)p->threshold[at] + (uint32_t)random);
    int32_t beta = (int32_t)((uint32_t)p->floor[at] + (saturates ? 0u : (uint32_t)random));
    int32_t bound = (int32_t)(0u - (uint32_t)beta);
    int fires = v >= alpha;
    if (fires) {
        if (mode == 0) v = p->reset[at];
        else if (mode == 1) v = (int32_t)((uint32_t)v - (uint32_t)alpha);
    } else if (v < bound || (p->floor_inclusive && v == bound)) {
        if (saturates) v = bound;
        else if (mode == 0) v = (int32_t)(0u - (uint32_t)p->reset[at]);
        else if (mode == 1) v = (int32_t)((uint32_t)v + (uint32_t)beta);
    }
    if (v > p->clamp_max) {
        v = p->clamp_max;
        fires |= p->clamp_fires;
    } else if (v < p->clamp_min) {
        v = p->clamp_min;
    }
    *membrane = v;
    return fires;
}

enum { NC_QUEUE = 64, NC_LAG = 40, NC_AHEAD = 3 };

/* Per-thread working space; draws hold one word per lane. The queues are rings between running counts. */
typedef struct {
    nc_events outputs, spikes;
    int64_t source[NC_QUEUE];
    uint64_t *word[NC_QUEUE], bit[NC_QUEUE];
    unsigned fired, resolved, routed, delivered;
    int32_t *active;
    uint32_t *draws, *random;
    int32_t *leak;
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

/* Spikes on their way out of a thread. Each stage asks for the memory that the next one touches, and waits NC_LAG spikes. */
NC_INLINE void nc_deliver(nc_scratch *scratch, int shared) {
    unsigned i = scratch->delivered++ % NC_QUEUE;
    if (shared) __atomic_fetch_or(scratch->word[i], scratch->bit[i], __ATOMIC_RELAXED);
    else *scratch->word[i] |= scratch->bit[i];
}

NC_INLINE void nc_resolve(const nc_program *p, nc_state *s, nc_scratch *scratch, int shared) {
    int64_t at = scratch->source[scratch->resolved++ % NC_QUEUE];
    uint64_t target = p->target[at];
    s->neuron_count[at]++;
    if (NC_TARGET_KIND(target) == NC_TO_AXON) {
        int64_t slot = s->tick % p->n_slots + NC_TARGET_DELAY(target);
        if (slot >= p->n_slots) slot -= p->n_slots;
        uint64_t *word = s->scheduler + slot * p->n_cores * p->axon_words + NC_TARGET_WORD(target);
        unsigned i = scratch->routed++ % NC_QUEUE;
        __builtin_prefetch(word, 1);
        scratch->word[i] = word;
        scratch->bit[i] = 1ull << NC_TARGET_BIT(target);
        if (scratch->routed - scratch->delivered > NC_LAG) nc_deliver(scratch, shared);
    } else if (NC_TARGET_KIND(target) == NC_TO_OUTPUT) {
        if (nc_push(&scratch->outputs, s->tick, (int32_t)NC_TARGET_WORD(target), 0)) scratch->failed = 1;
    }
}

NC_INLINE void nc_send(const nc_program *p, nc_state *s, nc_scratch *scratch, int64_t at, int shared) {
    __builtin_prefetch(p->target + at);
    __builtin_prefetch(s->neuron_count + at, 1);
    scratch->source[scratch->fired++ % NC_QUEUE] = at;
    if (scratch->fired - scratch->resolved > NC_LAG) nc_resolve(p, s, scratch, shared);
}

NC_INLINE void nc_flush(const nc_program *p, nc_state *s, nc_scratch *scratch, int shared) {
    while (scratch->resolved != scratch->fired) nc_resolve(p, s, scratch, shared);
    while (scratch->delivered != scratch->routed) nc_deliver(scratch, shared);
}

/* The leak of every lane in this tick, random steps included. */
NC_INLINE const int32_t *nc_leak(const nc_program *p, nc_state *s, nc_scratch *scratch, int64_t core, int features) {
    const int32_t *leak = p->leak + (int64_t)p->profile[core] * p->lanes;
    if (!(features & NC_RANDOM_LEAK)) return leak;
    const int32_t *sign = p->leak_sign + (int64_t)p->profile[core] * p->lanes;
    const uint8_t *magnitude = p->leak_magnitude + (int64_t)p->profile[core] * p->lanes;
    const uint8_t *draws = (const uint8_t *)scratch->draws;
    int32_t *out = scratch->leak;
    nc_b32 none = {0}, mask = none + (uint8_t)p->draw_mask;
    nc_words(nc_tick_key(p->key[core], s->tick, NC_DRAW_LEAK), p->lanes / 4, scratch->draws);
    for (int32_t j = 0; j < p->lanes; j += 32) {
        union { nc_b32 bytes; uint64_t parts[4]; } steps;
        steps.bytes = (nc_b32)((*(const nc_b32 *)(draws + j) & mask) <= *(const nc_b32 *)(magnitude + j));
        for (int32_t k = 0; k < 4; k++) {
            /* One bit of each of eight bytes, gathered into one byte. */
            uint64_t bits = ((steps.parts[k] & 0x0101010101010101ull) * 0x0102040810204080ull) >> 56;
            int32_t lane = j + 8 * k;
            *(nc_v8 *)(out + lane) = *(const nc_v8 *)(leak + lane) + (*(const nc_v8 *)(sign + lane) & nc_mask[bits]);
        }
    }
    return out;
}

/* Leak, threshold, reset, floor and clamp of one core, and its spikes. Returns whether any membrane moved or fired. */
NC_INLINE int nc_update(const nc_program *p, nc_state *s, nc_scratch *scratch, int64_t core, int features, int shared) {
    int64_t first = core * p->lanes, rule = (int64_t)p->profile[core] * p->lanes;
    int32_t *membrane = s->membrane + first;
    const int32_t *leak = nc_leak(p, s, scratch, core, features);
    const int32_t *random = (const int32_t *)scratch->random;
    uint64_t *fired = s->fired + ((s->tick % p->n_slots) * p->n_cores + core) * p->lane_words;
    nc_v8 zero = {0}, ceiling = zero + p->clamp_max, moved = zero;
    int attention = 0;
    if (features & NC_RANDOM_THRESHOLD)
        nc_words(nc_tick_key(p->key[core], s->tick, NC_DRAW_THRESHOLD), p->lanes, scratch->random);

    for (int32_t word = 0; word < p->lane_words; word++) {
        nc_v8 flagged = zero;
        for (int k = 0; k < 8; k++) {
            int32_t lane = 64 * word + 8 * k;
            nc_v8 before = *(nc_v8 *)(membrane + lane), step = *(const nc_v8 *)(leak + lane), v;
            if (features & NC_REVERSAL) {
                nc_v8 reversed = *(const nc_v8 *)(p->reversal + rule + lane);
                nc_v8 sign = (before < zero) - (before > zero);
                v = before + (reversed & (sign * step)) + (~reversed & step);
                nc_v8 after = (v < zero) - (v > zero);
                if (p->stops_at_zero) v &= ~(reversed & (after != sign));
            } else {
                v = before + step;
            }
            nc_v8 high = *(const nc_v8 *)(p->high + rule + lane);
            if (features & NC_RANDOM_THRESHOLD) {
                nc_v8 mask = *(const nc_v8 *)(p->threshold_mask + rule + lane);
                nc_v8 alpha = *(const nc_v8 *)(p->threshold + rule + lane) + (*(const nc_v8 *)(random + lane) & mask);
                nc_v8 above = alpha > ceiling;
                high = (above & (ceiling + 1)) | (~above & alpha);
            }
            nc_v8 special = (v >= high) | (v < *(const nc_v8 *)(p->low + rule + lane));
            nc_v8 least = *(const nc_v8 *)(p->saturate + rule + lane);
            nc_v8 raised = (v < least) & ~special;
            v = (raised & least) | (~raised & v);
            moved |= v ^ before;
            flagged |= special & (zero + (1 << k));
            *(nc_v8 *)(membrane + lane) = v;
        }
        uint64_t spikes = 0;
        for (int l = 0; l < 8; l++) {
            uint32_t marks = (uint32_t)flagged[l];
            attention |= (int)marks;
            for (; marks; marks &= marks - 1) {
                int32_t lane = 64 * word + 8 * __builtin_ctz(marks) + l;
                int32_t eta = 0;
                if (features & NC_RANDOM_THRESHOLD) eta = random[lane] & p->threshold_mask[rule + lane];
                if (nc_finish(p, rule + lane, membrane + lane, eta)) {
                    spikes |= 1ull << (lane & 63);
                    nc_send(p, s, scratch, first + lane, shared);
                }
            }
        }
        fired[word] = spikes;
        if (s->probe) {
            for (uint64_t seen = spikes & s->probe[core * p->lane_words + word]; seen; seen &= seen - 1)
                if (nc_push(&scratch->spikes, s->tick, (int32_t)core, 64 * word + __builtin_ctzll(seen)))
                    scratch->failed = 1;
        }
    }
    for (int l = 0; l < 8; l++) attention |= moved[l];
    return attention != 0;
}

/* Reads and clears the scheduler row; lists the active axons in ascending order. */
NC_INLINE int nc_collect(const nc_program *p, nc_state *s, int64_t core, int32_t *active) {
    uint64_t *row = s->scheduler + ((s->tick % p->n_slots) * p->n_cores + core) * p->axon_words;
    uint32_t *count = s->axon_count + core * p->n_axons;
    int n = 0;
    for (int32_t word = 0; word < p->axon_words; word++) {
        uint64_t bits = row[word];
        if (!bits) continue;
        row[word] = 0;
        for (; bits; bits &= bits - 1) {
            int32_t axon = 64 * word + __builtin_ctzll(bits);
            count[axon]++;
            active[n++] = axon;
        }
    }
    return n;
}

/* Asks for the crossbar rows and counters that a core will need in this tick. */
NC_INLINE void nc_prefetch(const nc_program *p, const nc_state *s, int64_t core) {
    const uint64_t *row = s->scheduler + ((s->tick % p->n_slots) * p->n_cores + core) * p->axon_words;
    for (int32_t word = 0; word < p->axon_words; word++) {
        for (uint64_t bits = row[word]; bits; bits &= bits - 1) {
            int64_t axon = core * p->n_axons + 64 * word + __builtin_ctzll(bits);
            const char *start = (const char *)(p->crossbar + axon * p->lane_words);
            for (int32_t at = 0; at < p->lane_words * 8; at += 64) __builtin_prefetch(start + at);
            __builtin_prefetch(s->axon_count + axon, 1);
        }
    }
}

NC_CLONES
static void nc_tick(const nc_program *p, nc_state *s, nc_scratch *scratch, int64_t begin, int64_t end, int shared) {
    for (int64_t core = begin; core < end; core++) {
        int features = p->features[core], moved;
        if (core + NC_AHEAD < end) nc_prefetch(p, s, core + NC_AHEAD);
        int n = nc_collect(p, s, core, scratch->active);
        if (!n && s->settled[core]) {
            memset(s->fired + ((s->tick % p->n_slots) * p->n_cores + core) * p->lane_words, 0,
                   (size_t)p->lane_words * sizeof(uint64_t));
            continue;
        }
        if (n) nc_integrate(p, s, core, scratch->active, n);
        if (n && (features & NC_RANDOM_WEIGHT)) nc_integrate_random(p, s, core, scratch->active, n, scratch->draws);
        switch (features & ~NC_RANDOM_WEIGHT) {
        case 0: moved = nc_update(p, s, scratch, core, 0, shared); break;
        case NC_RANDOM_LEAK: moved = nc_update(p, s, scratch, core, NC_RANDOM_LEAK, shared); break;
        default: moved = nc_update(p, s, scratch, core, features, shared); break;
        }
        /* Nothing came in, nothing moved, nothing is drawn: the next tick without input is this tick again. */
        s->settled[core] = !n && !moved && !(features & (NC_RANDOM_LEAK | NC_RANDOM_THRESHOLD));
    }
    nc_flush(p, s, scratch, shared);
}

/* ---------------------------------------------------------------- threads */

typedef struct {
    int n_threads, arrived, generation;
    int open;                            /* the gate that workers pass once the work is divided */
} nc_barrier;

static void nc_wait(nc_barrier *b) {
    int generation = __atomic_load_n(&b->generation, __ATOMIC_ACQUIRE);
    if (__atomic_add_fetch(&b->arrived, 1, __ATOMIC_ACQ_REL) == b->n_threads) {
        __atomic_store_n(&b->arrived, 0, __ATOMIC_RELAXED);
        __atomic_store_n(&b->generation, generation + 1, __ATOMIC_RELEASE);
        return;
    }
    for (int spins = 0; __atomic_load_n(&b->generation, __ATOMIC_ACQUIRE) == generation; spins++)
        if (spins > 4000) sched_yield();
}

typedef struct {
    const nc_program *program;
    nc_state state;                      /* own copy: the tick advances in each thread alike */
    nc_scratch scratch;
    nc_barrier *barrier;
    int64_t n_ticks, begin, end;
    int shared, leads;
} nc_worker;

static void nc_inject(const nc_program *p, nc_state *s, int64_t offset, int64_t tick) {
    uint64_t *plane = s->scheduler + (tick % p->n_slots) * p->n_cores * p->axon_words;
    for (int64_t i = s->event_start[offset]; i < s->event_start[offset + 1]; i++)
        __atomic_fetch_or(plane + s->event_word[i], 1ull << s->event_bit[i], __ATOMIC_RELAXED);
}

static void nc_sample(const nc_program *p, const nc_state *s, int64_t offset, int64_t begin, int64_t end) {
    for (int64_t i = 0; i < s->n_probes; i++)
        if (s->probe_row[i] >= begin && s->probe_row[i] < end)
            s->trace[offset * s->n_probes + i] = s->membrane[(int64_t)s->probe_row[i] * p->lanes + s->probe_lane[i]];
}

static void *nc_work(void *argument) {
    nc_worker *w = (nc_worker *)argument;
    nc_state *s = &w->state;
    for (int64_t i = 0; i < w->n_ticks; i++, s->tick++) {
        nc_tick(w->program, s, &w->scratch, w->begin, w->end, w->shared);
        if (s->n_probes) nc_sample(w->program, s, i, w->begin, w->end);
        /* External spikes of the next tick: its scheduler plane is not read before the barrier. */
        if (w->leads && i + 1 < w->n_ticks) nc_inject(w->program, s, i + 1, s->tick + 1);
        if (w->shared) nc_wait(w->barrier);
    }
    return NULL;
}

static void *nc_enter(void *argument) {
    nc_worker *w = (nc_worker *)argument;
    while (!__atomic_load_n(&w->barrier->open, __ATOMIC_ACQUIRE)) sched_yield();
    return nc_work(w);
}

static int nc_open(nc_worker *w) {
    const nc_program *p = w->program;
    size_t lanes = (size_t)p->lanes;
    w->scratch.active = (int32_t *)malloc(sizeof(int32_t) * (size_t)p->n_axons);
    w->scratch.draws = (uint32_t *)aligned_alloc(64, sizeof(uint32_t) * lanes);
    w->scratch.random = (uint32_t *)aligned_alloc(64, sizeof(uint32_t) * lanes);
    w->scratch.leak = (int32_t *)aligned_alloc(64, sizeof(int32_t) * lanes);
    return w->scratch.active && w->scratch.draws && w->scratch.random && w->scratch.leak ? 0 : -1;
}

static void nc_close(nc_worker *w) {
    free(w->scratch.active);
    free(w->scratch.draws);
    free(w->scratch.random);
    free(w->scratch.leak);
    free(w->scratch.outputs.items);
    free(w->scratch.spikes.items);
}

/* Runs n_ticks ticks with n workers, already opened. Returns 0, or -1 if memory ran out. */
static int nc_run(nc_worker *workers, int n, const nc_program *program, nc_state *state, int64_t n_ticks) {
    pthread_t threads[256];
    int started = 0, failed = 0;
    nc_barrier barrier = {n, 0, 0, 0};
    if (n_ticks > 0) nc_inject(program, state, 0, state->tick);
    for (int i = 0; i < n; i++) {
        workers[i].state = *state;
        workers[i].barrier = &barrier;
        workers[i].n_ticks = n_ticks;
        workers[i].leads = i == 0;
    }
    for (int i = 1; i < n; i++, started++)
        if (pthread_create(&threads[i], NULL, nc_enter, &workers[i])) break;
    /* Threads that could not be had are done without. */
    barrier.n_threads = started + 1;
    for (int i = 0; i <= started; i++) {
        workers[i].begin = program->n_cores * i / (started + 1);
        workers[i].end = program->n_cores * (i + 1) / (started + 1);
        workers[i].shared = started > 0;
    }
    __atomic_store_n(&barrier.open, 1, __ATOMIC_RELEASE);
    nc_work(&workers[0]);
    for (int i = 1; i <= started; i++) pthread_join(threads[i], NULL);
    for (int i = 0; i < n; i++) failed |= workers[i].scratch.failed;
    state->tick += n_ticks;
    return failed ? -1 : 0;
}

#endif
