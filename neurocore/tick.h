/* One tick of a range of cores; included by kernel.h once for each instruction set, with NC_ISA as the suffix of all names.

   A tick of a unit: sum the weights of its active crossbar rows in planes (`sum`, two's complement of `bits` planes), add the
   leak, add the sum to the membrane while comparing with threshold and floor, then reset those that fired. How many planes
   the sum and the membrane need is known before: the number of active axons bounds the sum, and a membrane keeps as many
   planes as its values use. So no value can leave its planes, whatever the network does, and small values cost little. */

#define nc_ones (~(nc_vec){0})

/* Adds `addend` << from, negative in the lanes of `minus`, to a number of `to` planes. The complement of a sum with one
   operand complemented is the difference, and complementing changes the carries only. */
NC_INLINE void NC_NAME(nc_add_bit)(nc_vec *sum, int from, int to, nc_vec addend, nc_vec minus) {
    for (int b = from; b < to; b++) {
        nc_vec x = sum[b];
        sum[b] = x ^ addend;
        addend = NC_MASK_STEP(x, minus, addend);
    }
}

/* Lanes whose random draw does not exceed their magnitude (planes from `magnitude` on). */
NC_INLINE nc_vec NC_NAME(nc_chance)(uint64_t key, int unit, const uint64_t *magnitude, int from, int bits) {
    nc_vec within = nc_ones;
    const nc_words8 index = {0, NC_GOLDEN, 2u * NC_GOLDEN, 3u * NC_GOLDEN, 4u * NC_GOLDEN, 5u * NC_GOLDEN, 6u * NC_GOLDEN,
                             7u * NC_GOLDEN};
    const uint32_t low = (uint32_t)key, high = (uint32_t)(key >> 32);
    for (int b = from; b < bits; b++) {
        nc_words8 x = index + (low + ((uint32_t)b * NC_PLANE_STRIDE + 8u * (uint32_t)unit) * NC_GOLDEN);
        NC_SCRAMBLE(x, high);
        within = NC_MAJORITY(~(nc_vec)x, nc_get(magnitude + b * NC_WORDS), within);
    }
    return within;
}

/* Random bits of one plane. */
NC_INLINE nc_vec NC_NAME(nc_random)(uint64_t key, int unit, int plane) {
    const nc_words8 index = {0, NC_GOLDEN, 2u * NC_GOLDEN, 3u * NC_GOLDEN, 4u * NC_GOLDEN, 5u * NC_GOLDEN, 6u * NC_GOLDEN,
                             7u * NC_GOLDEN};
    nc_words8 x = index + ((uint32_t)key + ((uint32_t)plane * NC_PLANE_STRIDE + 8u * (uint32_t)unit) * NC_GOLDEN);
    NC_SCRAMBLE(x, (uint32_t)(key >> 32));
    return (nc_vec)x;
}

/* ---------------------------------------------------------------- integrate */

/* Row by row: best for few active axons. */
NC_INLINE void NC_NAME(nc_sum_rows)(const nc_program *p, int64_t core, int unit, const nc_job *job, nc_vec *sum, int bits) {
    const uint64_t *rows = p->crossbar + (core * p->n_axons * p->units + unit) * NC_WORDS;
    const uint8_t *type = p->axon_type + core * p->n_axons;
    const uint32_t *row_of = p->weight_row + core * p->n_types;
    const int64_t stride = (int64_t)(1 + p->weight_planes) * NC_WORDS;
    for (int i = 0; i < job->n; i++) {
        int64_t axon = job->axons[i], weight = (int64_t)row_of[type[axon]] * p->units + unit;
        const uint64_t *number = p->weight + weight * stride;
        nc_vec row = nc_get(rows + axon * p->units * NC_WORDS), minus = nc_get(number);
        for (uint32_t used = p->weight_bits[weight]; used; used &= used - 1) {
            int b = __builtin_ctz(used);
            NC_NAME(nc_add_bit)(sum, b, bits, row & nc_get(number + (1 + b) * NC_WORDS), minus);
        }
    }
}

/* Counts, per lane, how many of m rows are set, four rows at a time (m a multiple of 4; carry-save addition). */
NC_INLINE void NC_NAME(nc_count_rows)(const uint64_t **rows, int m, nc_vec *count, int levels) {
    nc_vec ones = {0}, twos = {0};
    for (int level = 2; level < levels; level++) count[level] = (nc_vec){0};
    for (int i = 0; i < m; i += 4) {
        nc_vec a = nc_get(rows[i]), b = nc_get(rows[i + 1]), c = nc_get(rows[i + 2]), d = nc_get(rows[i + 3]);
        nc_vec first = NC_MAJORITY(ones, a, b);
        ones = NC_XOR3(ones, a, b);
        nc_vec second = NC_MAJORITY(ones, c, d);
        ones = NC_XOR3(ones, c, d);
        nc_vec carry = NC_MAJORITY(twos, first, second);
        twos = NC_XOR3(twos, first, second);
        for (int level = 2; level < levels; level++) {
            nc_vec x = count[level];
            count[level] = x ^ carry;
            carry &= x;
        }
    }
    count[0] = ones;
    count[1] = twos;
}

/* By axon type: counts the active rows of a type, then multiplies by its weights. Best for many active axons. */
NC_INLINE void NC_NAME(nc_sum_counts)(const nc_program *p, nc_scratch *scratch, int64_t core, int unit, const nc_job *job,
                                      nc_vec *sum, int bits) {
    static const uint64_t empty[NC_WORDS] = {0};
    const uint64_t *rows = p->crossbar + (core * p->n_axons * p->units + unit) * NC_WORDS;
    const uint8_t *type = p->axon_type + core * p->n_axons;
    const int64_t stride = (int64_t)(1 + p->weight_planes) * NC_WORDS;
    int32_t length[256], start[256], at = 0;
    for (int g = 0; g < p->n_types; g++) length[g] = 0;
    for (int i = 0; i < job->n; i++) length[type[job->axons[i]]]++;
    for (int g = 0; g < p->n_types; g++) {
        start[g] = at;
        at += (length[g] + 3) & ~3;
        for (int k = start[g] + length[g]; k < at; k++) scratch->rows[k] = empty;
    }
    for (int i = 0; i < job->n; i++) {
        int64_t axon = job->axons[i];
        scratch->rows[start[type[axon]]++] = rows + axon * p->units * NC_WORDS;
    }
    for (int g = 0; g < p->n_types; g++) {
        int m = length[g];
        if (!m) continue;
        int levels = 32 - __builtin_clz((unsigned)m);
        nc_vec count[NC_MAX_PLANES];
        NC_NAME(nc_count_rows)(scratch->rows + start[g] - m, (m + 3) & ~3, count, levels);
        int64_t weight = (int64_t)p->weight_row[core * p->n_types + g] * p->units + unit;
        const uint64_t *number = p->weight + weight * stride;
        nc_vec minus = nc_get(number);
        for (uint32_t used = p->weight_bits[weight]; used; used &= used - 1) {
            int from = __builtin_ctz(used), to = from + levels < bits ? from + levels : bits;
            nc_vec magnitude = nc_get(number + (1 + from) * NC_WORDS), carry = {0};
            for (int b = from; b < to; b++) {
                nc_vec x = sum[b], addend = count[b - from] & magnitude;
                sum[b] = NC_XOR3(x, addend, carry);
                x ^= minus;
                carry = NC_MAJORITY(x, addend, carry);
            }
            NC_NAME(nc_add_bit)(sum, to, bits, carry, minus);
        }
    }
}

/* Stochastic weights: every active axon draws afresh for each neuron that it reaches. */
NC_COLD void NC_NAME(nc_sum_chances)(const nc_program *p, int64_t core, int64_t tick, int unit, const nc_job *job, nc_vec *sum,
                                     int bits) {
    const int64_t stride = (int64_t)(2 + p->random_bits) * NC_WORDS;
    for (int i = 0; i < job->n; i++) {
        int64_t axon = job->axons[i];
        int64_t row = (int64_t)p->weight_row[core * p->n_types + p->axon_type[core * p->n_axons + axon]] * p->units + unit;
        if (!p->chance_used[row]) continue;
        const uint64_t *number = p->chance + row * stride;
        nc_vec reached = nc_get(p->crossbar + ((core * p->n_axons + axon) * p->units + unit) * NC_WORDS);
        uint64_t key = nc_tick_key(p->key[core], tick, NC_DRAW_SYNAPSE + (uint64_t)axon);
        nc_vec acts = NC_NAME(nc_chance)(key, unit, number + 2 * NC_WORDS, 0, p->random_bits);
        NC_NAME(nc_add_bit)(sum, 0, bits, acts & reached & nc_get(number + NC_WORDS), nc_get(number));
    }
}

/* ---------------------------------------------------------------- leak */

/* Adds the leak of this tick to a number of `bits` planes, in the lanes of `acts`, turned round in those of `turned`. */
NC_INLINE void NC_NAME(nc_add_leak)(const nc_program *p, const nc_profile *profile, int64_t row, int64_t core, int64_t tick,
                                    int unit, int features, nc_vec acts, nc_vec turned, nc_vec *sum, int bits) {
    const uint64_t *number = p->leak + row * (1 + p->leak_planes) * NC_WORDS;
    if (profile->leak_bits) {
        nc_vec minus = nc_get(number) ^ turned;
        for (uint32_t used = (uint32_t)profile->leak_bits; used; used &= used - 1) {
            int b = __builtin_ctz(used);
            NC_NAME(nc_add_bit)(sum, b, bits, acts & nc_get(number + (1 + b) * NC_WORDS), minus);
        }
    }
    if (features & NC_RANDOM_LEAK) {
        const uint64_t *chance = p->leak_chance + row * (2 + p->random_bits) * NC_WORDS;
        uint64_t key = nc_tick_key(p->key[core], tick, NC_DRAW_LEAK);
        nc_vec steps = NC_NAME(nc_chance)(key, unit, chance + 2 * NC_WORDS, profile->leak_from, p->random_bits);
        NC_NAME(nc_add_bit)(sum, 0, bits, steps & acts & nc_get(chance + NC_WORDS), nc_get(chance) ^ turned);
    }
}

/* ---------------------------------------------------------------- threshold and floor */

/* The rest of a signed comparison `value >= limit`: planes 0..width-2 of the value are already in `above`; not_limit holds
   the complement of a limit of limit_width planes, continued by its sign. */
NC_INLINE nc_vec NC_NAME(nc_compare_sign)(nc_vec above, nc_vec sign, int width, const uint64_t *not_limit, int limit_width) {
    int top = width > limit_width ? width : limit_width;
    for (int b = width - 1; b < top - 1; b++) above = NC_MAJORITY(sign, nc_get(not_limit + b * NC_WORDS), above);
    nc_vec last = nc_get(not_limit + (top - 1) * NC_WORDS);
    return NC_MAJORITY(~sign, ~last, above);
}

/* V += sum over `width` planes, and who is at or above the threshold, and (with_floor) who is not below the floor. */
NC_INLINE void NC_NAME(nc_advance)(uint64_t *v, const nc_vec *sum, int width, const uint64_t *not_threshold,
                                   int threshold_width, const uint64_t *not_bound, int bound_width, int with_floor,
                                   nc_vec *fires, nc_vec *holds) {
    nc_vec carry = {0}, above = nc_ones, held = *holds, s = {0};
    for (int b = 0; b < width - 1; b++) {
        nc_vec x = nc_get(v + b * NC_WORDS), y = sum[b];
        s = NC_XOR3(x, y, carry);
        carry = NC_MAJORITY(x, y, carry);
        nc_put(v + b * NC_WORDS, s);
        above = NC_MAJORITY(s, nc_get(not_threshold + b * NC_WORDS), above);
        if (with_floor) held = NC_MAJORITY(s, nc_get(not_bound + b * NC_WORDS), held);
    }
    nc_vec x = nc_get(v + (width - 1) * NC_WORDS), y = sum[width - 1];
    s = NC_XOR3(x, y, carry);
    nc_put(v + (width - 1) * NC_WORDS, s);
    *fires = NC_NAME(nc_compare_sign)(above, s, width, not_threshold, threshold_width);
    if (with_floor) *holds = NC_NAME(nc_compare_sign)(held, s, width, not_bound, bound_width);
}

/* Takes a number away from V in some lanes; not_number holds its complement. */
NC_INLINE void NC_NAME(nc_take)(uint64_t *v, int width, const uint64_t *not_number, nc_vec lanes) {
    nc_vec borrow = {0};
    for (int b = 0; b < width; b++) {
        nc_vec x = nc_get(v + b * NC_WORDS), y = ~nc_get(not_number + b * NC_WORDS) & lanes;
        nc_put(v + b * NC_WORDS, NC_XOR3(x, y, borrow));
        borrow = NC_MAJORITY(~x, y, borrow);
    }
}

NC_INLINE void NC_NAME(nc_after_spike)(const nc_profile *profile, uint64_t *v, int width, const uint64_t *not_threshold,
                                       const uint64_t *reset, const uint64_t *modes, nc_vec fires) {
    if (profile->has_linear) NC_NAME(nc_take)(v, width, not_threshold, fires & nc_get(modes + NC_WORDS));
    if (!profile->has_value) return;
    nc_vec lanes = fires & nc_get(modes);
    if (profile->reset_is_zero) {
        for (int b = 0; b < width; b++) nc_put(v + b * NC_WORDS, nc_get(v + b * NC_WORDS) & ~lanes);
    } else {
        for (int b = 0; b < width; b++) {
            nc_vec x = nc_get(v + b * NC_WORDS);
            nc_put(v + b * NC_WORDS, NC_SELECT(lanes, nc_get(reset + b * NC_WORDS), x));
        }
    }
}

/* Those below the floor: held at it, set to -R, or lifted by beta + eta. */
NC_COLD void NC_NAME(nc_after_floor)(uint64_t *v, int width, const uint64_t *not_bound, const uint64_t *reset,
                                     const uint64_t *modes, const nc_vec *below) {
    nc_vec saturates = nc_get(modes + 2 * NC_WORDS), held = *below & saturates, bounces = *below & ~saturates;
    nc_vec valued = bounces & nc_get(modes), carry = nc_ones;
    NC_NAME(nc_take)(v, width, not_bound, bounces & nc_get(modes + NC_WORDS));
    for (int b = 0; b < width; b++) {
        nc_vec x = nc_get(v + b * NC_WORDS), y = ~nc_get(reset + b * NC_WORDS), minus_reset = y ^ carry;
        carry &= y;
        x = NC_SELECT(held, ~nc_get(not_bound + b * NC_WORDS), x);
        nc_put(v + b * NC_WORDS, NC_SELECT(valued, minus_reset, x));
    }
}

/* Lanes with V >= limit, the limit being one number for all. */
NC_INLINE nc_vec NC_NAME(nc_at_least)(const uint64_t *v, int width, int64_t limit) {
    nc_vec above = nc_ones, zero = {0};
    for (int b = 0; b < width - 1; b++) above = NC_MAJORITY(nc_get(v + b * NC_WORDS), (limit >> b) & 1 ? zero : nc_ones, above);
    nc_vec last = nc_get(v + (width - 1) * NC_WORDS);
    return NC_MAJORITY(~last, limit < 0 ? nc_ones : zero, above);
}

/* The clamp at the end of a tick; adds those that it makes fire. The width holds the limits, or it would not be reached. */
NC_COLD void NC_NAME(nc_clamp)(const nc_program *p, uint64_t *v, int width, nc_vec *fires) {
    nc_vec over = NC_NAME(nc_at_least)(v, width, (int64_t)p->clamp_max + 1), under = ~NC_NAME(nc_at_least)(v, width, p->clamp_min);
    nc_vec zero = {0};
    for (int b = 0; b < width; b++) {
        nc_vec x = nc_get(v + b * NC_WORDS);
        x = NC_SELECT(over, (p->clamp_max >> b) & 1 ? nc_ones : zero, x);
        nc_put(v + b * NC_WORDS, NC_SELECT(under, (p->clamp_min >> b) & 1 ? nc_ones : zero, x));
    }
    if (p->clamp_fires) *fires |= over;
}

/* ---------------------------------------------------------------- what few chips use: leak reversal, random thresholds */

/* Where the sign is (bit set: negative) and where the value is not zero. */
NC_INLINE nc_vec NC_NAME(nc_not_zero)(const uint64_t *v, int width) {
    nc_vec any = {0};
    for (int b = 0; b < width; b++) any |= nc_get(v + b * NC_WORDS);
    return any;
}

/* V += sum, then a leak whose direction follows the sign of V in the lanes with reversal. */
NC_COLD void NC_NAME(nc_reverse)(const nc_program *p, const nc_profile *profile, int64_t row, int64_t core, int64_t tick,
                                 int unit, int features, uint64_t *v, nc_vec *sum, int width) {
    nc_vec value[NC_MAX_PLANES], carry = {0};
    for (int b = 0; b < width; b++) {
        nc_vec x = nc_get(v + b * NC_WORDS);
        value[b] = NC_XOR3(x, sum[b], carry);
        carry = NC_MAJORITY(x, sum[b], carry);
        nc_put(v + b * NC_WORDS, value[b]);
        sum[b] = (nc_vec){0};
    }
    nc_vec reversed = nc_get(p->modes + (row * 4 + 3) * NC_WORDS), sign = value[width - 1];
    nc_vec positive = NC_NAME(nc_not_zero)(v, width) & ~sign;
    NC_NAME(nc_add_leak)(p, profile, row, core, tick, unit, features, ~reversed | sign | positive, reversed & sign, value, width);
    for (int b = 0; b < width; b++) nc_put(v + b * NC_WORDS, value[b]);
    if (!p->stops_at_zero) return;
    nc_vec after = value[width - 1], rises = NC_NAME(nc_not_zero)(v, width) & ~after;
    nc_vec stops = reversed & ((sign ^ after) | (positive ^ rises));
    for (int b = 0; b < width; b++) nc_put(v + b * NC_WORDS, nc_get(v + b * NC_WORDS) & ~stops);
}

/* alpha + eta and -(beta + eta), complemented, of all planes. The floor's eta counts only where the floor does not hold. */
NC_COLD void NC_NAME(nc_randomise)(const nc_program *p, const nc_profile *profile, int64_t row, uint64_t key, int unit,
                                   nc_vec *not_threshold, nc_vec *not_bound) {
    const uint64_t *alpha = p->not_threshold + row * p->planes * NC_WORDS, *bound = p->not_bound + row * p->planes * NC_WORDS;
    const uint64_t *mask = p->threshold_mask + row * p->mask_planes * NC_WORDS;
    nc_vec bounces = ~nc_get(p->modes + (row * 4 + 2) * NC_WORDS), up = {0}, down = {0};
    for (int b = 0; b < p->planes; b++) {
        nc_vec eta = {0};
        if (b < profile->mask_bits) eta = NC_NAME(nc_random)(key, unit, b) & nc_get(mask + b * NC_WORDS);
        nc_vec x = ~nc_get(alpha + b * NC_WORDS);
        not_threshold[b] = ~NC_XOR3(x, eta, up);
        up = NC_MAJORITY(x, eta, up);
        /* The complement of -beta is beta - 1, so adding eta to it lowers the bound. */
        x = nc_get(bound + b * NC_WORDS);
        eta &= bounces;
        not_bound[b] = NC_XOR3(x, eta, down);
        down = NC_MAJORITY(x, eta, down);
    }
}

/* ---------------------------------------------------------------- a unit */

/* Steps 1 to 4 of a tick; returns who fired. `moved` becomes set if anything changed, and is only kept if it is asked for. */
NC_INLINE nc_vec NC_NAME(nc_unit)(const nc_program *p, nc_state *s, nc_scratch *scratch, int64_t core, int unit,
                                  const nc_job *job, int features, int *moved) {
    int64_t place = core * p->units + unit, row = (int64_t)p->profile[core] * p->units + unit;
    const nc_profile *profile = p->profiles + row;
    uint64_t *v = s->membrane + place * p->planes * NC_WORDS;
    int width = s->width[place];
    uint64_t largest = (uint64_t)job->n * p->input_bound[core] + p->leak_bound[core];
    int bits = nc_width(largest);
    if (bits > p->planes) bits = p->planes;
    nc_vec sum[NC_MAX_PLANES], before[NC_MAX_PLANES];
    for (int b = 0; b < bits; b++) sum[b] = (nc_vec){0};

    if (job->n) {
        if (job->n <= 8) NC_NAME(nc_sum_rows)(p, core, unit, job, sum, bits);
        else NC_NAME(nc_sum_counts)(p, scratch, core, unit, job, sum, bits);
        if (features & NC_RANDOM_WEIGHT) NC_NAME(nc_sum_chances)(p, core, s->tick, unit, job, sum, bits);
    }
    if (!(features & NC_REVERSAL))
        NC_NAME(nc_add_leak)(p, profile, row, core, s->tick, unit, features, nc_ones, (nc_vec){0}, sum, bits);

    /* One plane more than either has room for their sum; p->planes has room for everything. */
    int wide = (width > bits ? width : bits) + 1;
    if (wide > p->planes) wide = p->planes;
    nc_vec sign = nc_get(v + (width - 1) * NC_WORDS);
    for (int b = width; b < wide; b++) nc_put(v + b * NC_WORDS, sign);
    for (int b = bits; b < wide; b++) sum[b] = sum[bits - 1];
    if (moved)
        for (int b = 0; b < wide; b++) before[b] = nc_get(v + b * NC_WORDS);
    if (features & NC_REVERSAL) NC_NAME(nc_reverse)(p, profile, row, core, s->tick, unit, features, v, sum, wide);

    const uint64_t *not_threshold = p->not_threshold + row * p->planes * NC_WORDS;
    const uint64_t *not_bound = p->not_bound + row * p->planes * NC_WORDS;
    const uint64_t *reset = p->reset + row * p->planes * NC_WORDS, *modes = p->modes + row * 4 * NC_WORDS;
    int threshold_width = profile->threshold_width, floor_width = profile->floor_width;
    nc_vec drawn[2][NC_MAX_PLANES];
    if (features & NC_RANDOM_THRESHOLD) {
        NC_NAME(nc_randomise)(p, profile, row, nc_tick_key(p->key[core], s->tick, NC_DRAW_THRESHOLD), unit, drawn[0], drawn[1]);
        not_threshold = (const uint64_t *)drawn[0];
        not_bound = (const uint64_t *)drawn[1];
        threshold_width = floor_width = p->planes;
    }

    /* `holds` starts with the answer for equal values: V < -beta is below, or V <= -beta. */
    nc_vec fires, holds = p->floor_inclusive ? (nc_vec){0} : nc_ones;
    if (wide > profile->floor_free_width) {
        NC_NAME(nc_advance)(v, sum, wide, not_threshold, threshold_width, not_bound, floor_width, 1, &fires, &holds);
        nc_vec below = ~(holds | fires);
        if (NC_ANY(below)) NC_NAME(nc_after_floor)(v, wide, not_bound, reset, modes, &below);
    } else {
        NC_NAME(nc_advance)(v, sum, wide, not_threshold, threshold_width, not_bound, floor_width, 0, &fires, &holds);
    }
    if (NC_ANY(fires)) NC_NAME(nc_after_spike)(profile, v, wide, not_threshold, reset, modes, fires);
    if (p->clamps && wide > p->clamp_free_width) NC_NAME(nc_clamp)(p, v, wide, &fires);
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
    return fires;
}

/* ---------------------------------------------------------------- spikes */

/* Writes the numbers of the set bits of four words, each plus `base`, and returns how many. */
#define NC_LIST(words, base, out, n)                                                                    \
    do {                                                                                                \
        int c0 = __builtin_popcountll((words)[0]), c1 = c0 + __builtin_popcountll((words)[1]);          \
        int c2 = c1 + __builtin_popcountll((words)[2]);                                                 \
        n = c2 + __builtin_popcountll((words)[3]);                                                      \
        if (n <= 20) {                                                                                  \
            /* Few: no branch depends on where they are. */                                             \
            for (int i = 0; i < n; i++) {                                                               \
                int k = (i >= c0) + (i >= c1) + (i >= c2);                                              \
                uint64_t word = (words)[k];                                                             \
                (out)[i] = (base) + 64 * k + __builtin_ctzll(word);                                     \
                (words)[k] = word & (word - 1);                                                         \
            }                                                                                           \
        } else {                                                                                        \
            int i = 0;                                                                                  \
            for (int k = 0; k < NC_WORDS; k++)                                                          \
                for (uint64_t word = (words)[k]; word; word &= word - 1)                                \
                    (out)[i++] = (base) + 64 * k + __builtin_ctzll(word);                               \
        }                                                                                               \
    } while (0)

/* Sends the spikes of neurons [from, to) of the waiting list to the boxes of the threads that own their destinations. */
NC_INLINE void NC_NAME(nc_route)(const nc_program *p, nc_worker *w, int from, int to) {
    nc_scratch *scratch = &w->scratch;
    const int n_threads = w->pool->n_threads, shift = p->target_shift;
    const uint8_t *owner = w->pool->owner;
    const int owner_shift = w->pool->owner_shift;
    const int64_t now = w->state.tick % p->n_slots, plane = p->n_words * 64;
    nc_box *boxes = scratch->boxes[w->state.tick & 1];
    for (int k = 0; k < n_threads; k++)
        if (nc_reserve(&boxes[k], (size_t)(to - from), p->wide)) {
            scratch->failed = 1;
            return;
        }
    for (int i = from; i < to; i++) {
        int64_t at = scratch->fired[i];
        uint64_t target = p->wide ? ((const uint64_t *)p->target)[at] : ((const uint32_t *)p->target)[at];
        uint64_t bit = target & ((1ull << shift) - 1), delay = target >> shift;
        if (delay) {
            int64_t slot = now + (int64_t)delay;
            if (slot >= p->n_slots) slot -= p->n_slots;
            nc_box *box = &boxes[n_threads > 1 ? owner[bit >> owner_shift] : 0];
            if (p->wide) ((uint64_t *)box->items)[box->length++] = (uint64_t)(slot * plane) + bit;
            else ((uint32_t *)box->items)[box->length++] = (uint32_t)(slot * plane) + (uint32_t)bit;
        } else if (bit) {
            if (nc_push(&scratch->outputs, w->state.tick, (int32_t)(bit - 1), 0)) scratch->failed = 1;
        }
    }
}

/* Notes who fired, and routes those whose destinations were asked for a while ago. */
NC_INLINE void NC_NAME(nc_send)(const nc_program *p, nc_worker *w, int64_t core, int unit, nc_vec fires) {
    nc_scratch *scratch = &w->scratch;
    int64_t place = core * p->units + unit, first = place * NC_LANES;
    nc_count(&w->state.neurons, place, fires);
    uint64_t words[NC_WORDS];
    int64_t *out = scratch->fired + scratch->n_fired;
    int n;
    memcpy(words, &fires, sizeof words);
    NC_LIST(words, first, out, n);
    for (int i = 0; i < n; i++)
        __builtin_prefetch((const char *)p->target + (p->wide ? 8 : 4) * out[i]);
    if (w->state.probe) {
        const uint64_t *probe = w->state.probe + place * NC_WORDS;
        for (int k = 0; k < NC_WORDS; k++)
            for (uint64_t seen = fires[k] & probe[k]; seen; seen &= seen - 1)
                if (nc_push(&scratch->spikes, w->state.tick, (int32_t)core, NC_LANES * unit + 64 * k + __builtin_ctzll(seen)))
                    scratch->failed = 1;
    }
    scratch->n_fired += n;
    if (scratch->n_fired < NC_SPIKES) {
        scratch->n_old = scratch->n_fired;
        return;
    }
    NC_NAME(nc_route)(p, w, 0, scratch->n_old);
    int rest = scratch->n_fired - scratch->n_old;
    memmove(scratch->fired, scratch->fired + scratch->n_old, sizeof(int64_t) * (size_t)rest);
    scratch->n_fired = scratch->n_old = rest;
}

/* ---------------------------------------------------------------- cores */

/* Reads and clears the scheduler rows of cores [begin, end); lists those with work and asks for the crossbar rows. */
NC_INLINE int NC_NAME(nc_collect)(const nc_program *p, nc_state *s, nc_scratch *scratch, int which, int64_t begin, int64_t end,
                                  int keep) {
    int64_t slot = s->tick % p->n_slots;
    int n_jobs = 0, blocks = p->axon_words / NC_WORDS;
    for (int64_t core = begin; core < end; core++) {
        uint64_t *row = s->scheduler + (slot * p->n_cores + core) * p->axon_words;
        nc_job *job = &scratch->jobs[which][n_jobs];
        int total = 0;
        for (int block = 0; block < blocks; block++) {
            uint64_t words[NC_WORDS];
            nc_vec bits = nc_get(row + block * NC_WORDS);
            if (!NC_ANY(bits)) continue;
            memcpy(words, &bits, sizeof words);
            nc_put(row + block * NC_WORDS, (nc_vec){0});
            nc_count(&s->axons, core * blocks + block, bits);
            uint16_t *out = job->axons + total;
            int n;
            NC_LIST(words, (uint16_t)(block * NC_LANES), out, n);
            total += n;
        }
        if (!total && s->settled[core]) {
            if (keep)
                memset(s->fired + (slot * p->n_cores + core) * p->units * NC_WORDS, 0, sizeof(uint64_t) * NC_WORDS * (size_t)p->units);
            continue;
        }
        const char *rows = (const char *)(p->crossbar + core * p->n_axons * p->units * NC_WORDS);
        int64_t stride = 32 * (int64_t)p->units;
        for (int i = 0; i < total; i++) __builtin_prefetch(rows + job->axons[i] * stride);
        job->core = core;
        job->n = total;
        n_jobs++;
    }
    return n_jobs;
}

NC_INLINE void NC_NAME(nc_core)(const nc_program *p, nc_worker *w, const nc_job *job, int keep) {
    nc_state *s = &w->state;
    int64_t core = job->core;
    int features = p->features[core], moved = 0;
    int watched = !job->n && !(features & (NC_RANDOM_LEAK | NC_RANDOM_THRESHOLD));
    for (int unit = 0; unit < p->units; unit++) {
        nc_vec fires;
        if (watched) fires = NC_NAME(nc_unit)(p, s, &w->scratch, core, unit, job, features, &moved);
        else if (features == 0) fires = NC_NAME(nc_unit)(p, s, &w->scratch, core, unit, job, 0, NULL);
        else if (features == NC_RANDOM_LEAK) fires = NC_NAME(nc_unit)(p, s, &w->scratch, core, unit, job, NC_RANDOM_LEAK, NULL);
        else fires = NC_NAME(nc_unit)(p, s, &w->scratch, core, unit, job, features, NULL);
        if (keep) nc_put(s->fired + ((s->tick % p->n_slots * p->n_cores + core) * p->units + unit) * NC_WORDS, fires);
        if (NC_ANY(fires)) NC_NAME(nc_send)(p, w, core, unit, fires);
    }
    /* Nothing came in, nothing moved, nothing is drawn: the next tick without input is this tick again. */
    s->settled[core] = watched && !moved;
}

/* Ticks the cores [begin, end); `keep` says whether who fired will be asked for later. */
static void NC_NAME(nc_cores)(const nc_program *p, nc_worker *w, int64_t begin, int64_t end, int keep) {
    nc_scratch *scratch = &w->scratch;
    int which = 0;
    int64_t next = begin + NC_GROUP < end ? begin + NC_GROUP : end;
    int n_jobs = NC_NAME(nc_collect)(p, &w->state, scratch, which, begin, next, keep);
    for (;;) {
        int64_t after = next + NC_GROUP < end ? next + NC_GROUP : end;
        int n_next = NC_NAME(nc_collect)(p, &w->state, scratch, which ^ 1, next, after, keep);
        for (int i = 0; i < n_jobs; i++) NC_NAME(nc_core)(p, w, &scratch->jobs[which][i], keep);
        if (next == end) break;
        next = after;
        which ^= 1;
        n_jobs = n_next;
    }
    NC_NAME(nc_route)(p, w, 0, scratch->n_fired);
    scratch->n_fired = scratch->n_old = 0;
}
