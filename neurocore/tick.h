/* One tick of a range of cores; included by kernel.h once for each instruction set, with NC_ISA as the suffix of all names.

   A tick of a unit: sum the weights of its active crossbar rows in planes (`sum`, two's complement of `bits` planes), add the
   leak, add the sum to the membrane while comparing with threshold and floor, then reset those that fired. How many planes
   the sum and the membrane need is known before: the number of active axons bounds the sum, and a membrane keeps as many
   planes as its values use. So no value can leave its planes, whatever the network does, and small values cost little. */

#include "slices.h"
#include "sums.h"
#include "membranes.h"
#include "spikes.h"

/* ---------------------------------------------------------------- a unit */

/* Steps 1 to 4 of a tick; returns who fired. `moved`, if it is not NULL, becomes set if anything changed. */
NC_INLINE nc_vec NC_NAME(nc_unit)(const nc_program *restrict p, nc_worker *restrict w, const nc_job *job, int unit,
                                  const int features, int *moved) {
    const nc_program *const whole = w->pool->program;    /* *p may be a copy with some members constant: see nc_cores */
    nc_state *s = &w->state;
    const nc_header *header = &p->header[job->core];
    const int64_t core = job->core, place = core * p->units + unit, row = (int64_t)header->profile * p->units + unit;
    const int64_t planes = p->planes, offset = row * planes * NC_WORDS;
    const nc_profile *profile = p->profiles + row;
    int width = s->width[place];
    int bits = nc_width((uint64_t)(job->n + job->n_full) * header->input_bound + header->leak_bound);
    if (bits > planes) bits = (int)planes;
    /* One plane more than either has room for their sum; p->planes has room for everything. */
    int wide = (width > bits ? width : bits) + 1;
    if (wide > planes) wide = (int)planes;
    const int room = wide;
    uint64_t copy[NC_MAX_PLANES * NC_WORDS], *const v = nc_planes(p, s, place, width, room, copy);
    nc_vec sum[NC_MAX_PLANES], before[NC_MAX_PLANES];
    NC_NAME(nc_drive) drive = {p->leak + offset, {0}, {0}};
    if (features & NC_RANDOM_LEAK) {
        drive.steps = NC_NAME(nc_random_leak)(p, row, nc_tick_key(header->key, s->tick, NC_DRAW_LEAK), unit);
        drive.minus = nc_get(p->leak_chance + row * (2 + p->random_bits) * NC_WORDS);
    }
    if (features & NC_REVERSAL) {
        const NC_NAME(nc_drive) none = {p->zero, {0}, {0}};
        NC_NAME(nc_integrate)(p, w, job, unit, &none, sum, bits, 0);
    } else {
        NC_NAME(nc_integrate)(p, w, job, unit, &drive, sum, bits, features);
    }
    if (job->n && (features & NC_RANDOM_WEIGHT)) NC_NAME(nc_sum_chances)(whole, core, s->tick, unit, job, sum, bits);

    nc_vec sign = nc_get(v + (width - 1) * NC_WORDS);
    for (int64_t b = width; b < wide; b++) nc_put(v + b * NC_WORDS, sign);
    if (moved)
        for (int b = 0; b < wide; b++) before[b] = nc_get(v + b * NC_WORDS);
    if (features & NC_REVERSAL) {
        for (int b = bits; b < wide; b++) sum[b] = sum[bits - 1];
        NC_NAME(nc_reverse)(whole, row, &drive, v, sum, wide);
    }

    const uint64_t *not_threshold = p->not_threshold + offset, *not_bound = p->not_bound + offset;
    int threshold_width = profile->threshold_width, floor_width = profile->floor_width;
    nc_vec drawn[2][NC_MAX_PLANES];
    if (features & NC_RANDOM_THRESHOLD) {
        NC_NAME(nc_randomise)(whole, profile, row, nc_tick_key(header->key, s->tick, NC_DRAW_THRESHOLD), unit, drawn[0], drawn[1]);
        not_threshold = (const uint64_t *)drawn[0];
        not_bound = (const uint64_t *)drawn[1];
        threshold_width = floor_width = (int)planes;
    }

    /* `holds` starts with the answer for equal values: V < -beta is below, or V <= -beta. */
    nc_vec fires, holds = p->floor_inclusive ? (nc_vec){0} : nc_ones;
    if (wide > profile->floor_free_width) {
        NC_NAME(nc_advance)(v, sum, bits, wide, not_threshold, threshold_width, not_bound, floor_width, 1, &fires, &holds);
        nc_vec below = ~(holds | fires);
        if (profile->floor_holds) NC_NAME(nc_hold)(profile, v, wide, not_bound, below);
        else if (NC_ANY(below)) NC_NAME(nc_after_floor)(v, wide, not_bound, p->reset + offset, p->modes + row * 4 * NC_WORDS, &below);
    } else {
        NC_NAME(nc_advance)(v, sum, bits, wide, not_threshold, threshold_width, not_bound, floor_width, 0, &fires, &holds);
    }
    if (NC_ANY(fires))
        NC_NAME(nc_after_spike)(profile, v, wide, not_threshold, p->reset + offset, p->modes + row * 4 * NC_WORDS, fires);
    if (p->clamps && wide > p->clamp_free_width) NC_NAME(nc_clamp)(whole, v, wide, &fires);
    if (moved) {
        nc_vec changed = fires;
        for (int b = 0; b < wide; b++) changed |= before[b] ^ nc_get(v + b * NC_WORDS);
        *moved |= NC_ANY(changed);
    }

    while (wide > profile->least_width) {
        nc_vec spare = nc_get(v + (wide - 1) * NC_WORDS) ^ nc_get(v + (wide - 2) * NC_WORDS);
        if (NC_ANY(spare)) break;
        wide--;
    }
    s->width[place] = (uint8_t)wide;
    if (room > NC_NEAR) nc_store(p, s, place, wide, v);
    return fires;
}

/* The same for whatever a core's neurons use. */
static __attribute__((noinline)) void NC_NAME(nc_any_unit)(nc_worker *w, const nc_job *job, int unit, int features, int *moved,
                                                           nc_vec *fires) {
    *fires = NC_NAME(nc_unit)(w->pool->program, w, job, unit, features, moved);
}

/* ---------------------------------------------------------------- cores */

/* Asks for the membranes of a core that will soon be ticked. */
NC_INLINE void NC_NAME(nc_expect)(const nc_program *restrict p, const nc_state *s, int64_t core) {
    const int64_t bytes = NC_WORDS * sizeof(uint64_t);
    for (int64_t place = core * p->units; place < (core + 1) * p->units; place++) {
        nc_expect_count(&s->neurons, place);
        const char *near = (const char *)(s->near + place * NC_NEAR * NC_WORDS);
        for (int64_t at = 0; at < s->width[place] * bytes; at += 64) __builtin_prefetch(near + at, 1);
    }
}

/* Counts the active axons with the core's common row by type, if they add anything, and returns the others. */
static __attribute__((noinline)) nc_vec NC_NAME(nc_split)(const nc_program *p, nc_job *job, int64_t place, const nc_vec *active) {
    const int64_t blocks = p->axon_words / NC_WORDS, wiring = p->header[place / blocks].wiring, block = place % blocks;
    const nc_vec full = *active & nc_get(p->full + place * NC_WORDS);
    if (!p->header[place / blocks].input_bound) return *active & ~full;
    if (!job->n_full) memset(job->full, 0, sizeof(uint32_t) * (size_t)p->n_types);
    for (int64_t g = 0; g < p->n_types; g++) {
        nc_vec mine = full & nc_get(p->type_mask + ((wiring * p->n_types + g) * blocks + block) * NC_WORDS);
        int count = 0;
        for (int k = 0; k < NC_WORDS; k++) count += __builtin_popcountll(mine[k]);
        job->full[g] += (uint32_t)count;
        job->n_full += count;
    }
    return *active & ~full;
}

NC_INLINE nc_vec NC_NAME(nc_set_aside)(const nc_program *restrict p, nc_job *job, int64_t place, nc_vec active) {
    if (!NC_ANY(active & nc_get(p->full + place * NC_WORDS))) return active;
    return NC_NAME(nc_split)(p, job, place, &active);
}

/* Lists the active axons of a core: by type if they are many, as their rows will be counted by type. */
NC_INLINE void NC_NAME(nc_list_active)(const nc_program *restrict p, nc_job *job, const uint64_t *active) {
    const int64_t blocks = p->axon_words / NC_WORDS;
    uint16_t *axons = job->axons;
    if (job->n <= NC_FEW) {
        for (int64_t block = 0; block < blocks; block++)
            axons += NC_NAME(nc_list_axons)(nc_get(active + block * NC_WORDS), block * NC_LANES, axons);
        return;
    }
    const uint64_t *mask = p->type_mask + (int64_t)p->header[job->core].wiring * p->n_types * p->axon_words;
    for (int g = 0; g < p->n_types; g++) {
        const uint16_t *const first = axons;
        for (int64_t block = 0; block < blocks; block++, mask += NC_WORDS) {
            const nc_vec mine = nc_get(active + block * NC_WORDS) & nc_get(mask);
            if (NC_ANY(mine)) axons += NC_NAME(nc_list_axons)(mine, block * NC_LANES, axons);
        }
        job->of_type[g] = (uint32_t)(axons - first);
    }
}

/* Reads and clears the scheduler row of a core, lists its active axons and asks for their rows; returns whether there is work. */
NC_INLINE int NC_NAME(nc_collect)(const nc_program *restrict p, nc_worker *restrict w, nc_job *job, int64_t core, int64_t end,
                                  int keep) {
    nc_state *s = &w->state;
    const int64_t slot = w->slot, blocks = p->axon_words / NC_WORDS, pitch = (int64_t)p->units * NC_WORDS;
    uint64_t *row = s->scheduler + slot * p->n_words + core * p->axon_words;
    uint64_t *const active = w->scratch.active;
    int64_t total = 0;
    __builtin_prefetch(row + NC_SOON * p->axon_words, 1);
    nc_vec any = nc_get(row);
    for (int64_t block = 1; block < blocks; block++) any |= nc_get(row + block * NC_WORDS);
    if (s->settled[core] && !NC_ANY(any)) {
        if (keep) memset(s->fired + (slot * p->n_cores + core) * pitch, 0, sizeof(uint64_t) * (size_t)pitch);
        return 0;
    }
    if (core + NC_SOON < end)
        for (int64_t block = 0; block < blocks; block++) nc_expect_count(&s->axons, (core + NC_SOON) * blocks + block);
    job->core = core;
    job->n_full = 0;
    for (int64_t block = 0; block < blocks; block++) {
        nc_vec bits = nc_get(row + block * NC_WORDS);
        if (NC_ANY(bits)) {
            nc_put(row + block * NC_WORDS, (nc_vec){0});
            nc_count(&s->axons, core * blocks + block, bits);
            if (p->full) bits = NC_NAME(nc_set_aside)(p, job, core * blocks + block, bits);
        }
        nc_put(active + block * NC_WORDS, bits);
        NC_UNROLL for (int k = 0; k < NC_WORDS; k++) total += __builtin_popcountll(bits[k]);
    }
    job->n = (int32_t)total;
    NC_NAME(nc_list_active)(p, job, active);
    NC_NAME(nc_ask_rows)(p, job);
    NC_NAME(nc_expect)(p, s, core);
    return 1;
}

/* `common` says that the sizes are constants, for which the usual kinds of neurons have code of their own. */
NC_INLINE void NC_NAME(nc_core)(const nc_program *restrict p, nc_worker *restrict w, const nc_job *job, int keep, const int common) {
    nc_state *s = &w->state;
    const int64_t core = job->core;
    const int features = (int)p->header[core].features;
    const int watched = !job->n && !job->n_full && !(features & (NC_RANDOM_LEAK | NC_RANDOM_THRESHOLD));
    int moved = 0;
    for (int unit = 0; unit < p->units; unit++) {
        nc_vec fires;
        if (watched) NC_NAME(nc_any_unit)(w, job, unit, features, &moved, &fires);
        else if (common && features == NC_RANDOM_LEAK) fires = NC_NAME(nc_unit)(p, w, job, unit, NC_RANDOM_LEAK, NULL);
        else if (common && features == 0) fires = NC_NAME(nc_unit)(p, w, job, unit, 0, NULL);
        else NC_NAME(nc_any_unit)(w, job, unit, features, NULL, &fires);
        if (keep) nc_put(s->fired + ((w->slot * p->n_cores + core) * p->units + unit) * NC_WORDS, fires);
        if (NC_ANY(fires)) NC_NAME(nc_send)(p, w, core, unit, fires);
    }
    /* Nothing came in, nothing moved, nothing is drawn: the next tick without input is this tick again. */
    s->settled[core] = watched && !moved;
}

NC_INLINE void NC_NAME(nc_range)(const nc_program *restrict p, nc_worker *restrict w, int64_t begin, int64_t end, int keep,
                                 const int common) {
    nc_job *const jobs = w->scratch.jobs;
    unsigned first = w->scratch.first_job, last = w->scratch.last_job;
    for (int64_t core = begin; core < end; core++) {
        if (last - first == NC_AHEAD) {
            NC_NAME(nc_ask_again)(p, &jobs[(first + 1) % NC_AHEAD]);
            NC_NAME(nc_core)(p, w, &jobs[first++ % NC_AHEAD], keep, common);
        }
        last += (unsigned)NC_NAME(nc_collect)(p, w, &jobs[last % NC_AHEAD], core, end, keep);
    }
    if (begin == end)
        while (first != last) NC_NAME(nc_core)(p, w, &jobs[first++ % NC_AHEAD], keep, common);
    w->scratch.first_job = first;
    w->scratch.last_job = last;
    if (begin < end) return;
    NC_NAME(nc_route)(w->pool->program, w, w->scratch.n_fired);
    w->scratch.n_fired = 0;
}

/* Ticks the cores [begin, end), the last few of them with the next call; with none, ends the tick: ticks those that wait and sends
   the spikes that wait. `keep` says whether who fired will be asked for later. Cores of at most 256 axons and neurons are the
   common case, which is compiled with these numbers as constants: the copy is never stored to. */
static void NC_NAME(nc_cores)(const nc_program *whole, nc_worker *w, int64_t begin, int64_t end, int keep) {
    nc_program p = *whole;
    if (p.units == 1 && p.axon_words == NC_WORDS && !p.wide) {
        p.units = 1;
        p.axon_words = NC_WORDS;
        p.wide = 0;
        NC_NAME(nc_range)(&p, w, begin, end, keep, 1);
    } else {
        NC_NAME(nc_range)(whole, w, begin, end, keep, 0);
    }
}
