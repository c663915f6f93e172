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

/* Random bits of one plane. */
NC_INLINE nc_vec NC_NAME(nc_random)(uint64_t key, int unit, int plane) {
    const nc_words8 index = {0, NC_GOLDEN, 2u * NC_GOLDEN, 3u * NC_GOLDEN, 4u * NC_GOLDEN, 5u * NC_GOLDEN, 6u * NC_GOLDEN,
                             7u * NC_GOLDEN};
    nc_words8 x = index + ((uint32_t)key + ((uint32_t)plane * NC_PLANE_STRIDE + 8u * (uint32_t)unit) * NC_GOLDEN);
    NC_SCRAMBLE(x, (uint32_t)(key >> 32));
    return (nc_vec)x;
}

/* Lanes whose random draw does not exceed their magnitude (planes from `magnitude` on). */
NC_INLINE nc_vec NC_NAME(nc_chance)(uint64_t key, int unit, const uint64_t *magnitude, int from, int bits) {
    nc_vec within = nc_ones;
    for (int b = from; b < bits; b++)
        within = NC_MAJORITY(~NC_NAME(nc_random)(key, unit, b), nc_get(magnitude + b * NC_WORDS), within);
    return within;
}

/* Lists the axons whose bits are set, or the neurons; `out` has room for NC_SLACK more than there are. */
#define NC_LIST(type, name, of_word)                                                           \
    NC_INLINE int64_t NC_NAME(name)(nc_vec bits, int64_t base, type *restrict out) {           \
        type *const first = out;                                                               \
        NC_UNROLL for (int k = 0; k < NC_WORDS; k++) {                                         \
            const int n = __builtin_popcountll(bits[k]);                                       \
            NC_NAME(of_word)(bits[k], n, (type)(base + 64 * k), out);                          \
            out += n;                                                                          \
        }                                                                                      \
        return out - first;                                                                    \
    }
NC_LIST(uint16_t, nc_list_axons, nc_list_16)
NC_LIST(uint32_t, nc_list_neurons, nc_list_32)
#undef NC_LIST

/* ---------------------------------------------------------------- integrate */

/* What a unit's membranes gain in a tick: the certain leak, random steps of the leak, and the weights of the active axons. */
typedef struct {
    const uint64_t *leak;                /* planes */
    nc_vec steps, minus;                 /* lanes that make a random step, and those whose step is down */
} NC_NAME(nc_drive);

/* Adds the random steps of the leak to a sum in registers, and puts it into memory. */
NC_INLINE void NC_NAME(nc_finish_sum)(const NC_NAME(nc_drive) *drive, nc_vec *s, nc_vec *restrict sum, const int bits,
                                      const int features) {
    if (features & NC_RANDOM_LEAK) {
        nc_vec addend = drive->steps;
        NC_UNROLL for (int b = 0; b < bits; b++) {
            nc_vec x = s[b];
            s[b] = x ^ addend;
            addend = NC_MASK_STEP(x, drive->minus, addend);
        }
    }
    NC_UNROLL for (int b = 0; b < bits; b++) sum[b] = s[b];
}

/* Row by row, best for few active axons: the sum of `bits` planes stays in registers. Weights have `digits` magnitude planes.
   Both are constants where this is used. */
NC_INLINE void NC_NAME(nc_sum_rows)(const nc_program *restrict p, int64_t core, int unit, const nc_job *job,
                                    const NC_NAME(nc_drive) *drive, nc_vec *restrict sum, const int bits, const int digits,
                                    const int features) {
    const int64_t pitch = (int64_t)p->units * NC_WORDS;
    const uint64_t *rows = p->crossbar + core * p->n_axons * pitch + unit * NC_WORDS;
    const uint8_t *type = p->axon_type + (int64_t)p->header[core].wiring * p->n_axons;
    const uint32_t *place = p->weight_place + (int64_t)p->header[core].weights * p->n_types;
    const uint64_t *weights = p->weight + (int64_t)unit * (1 + p->weight_planes) * NC_WORDS;
    const uint16_t *axon = job->axons, *last = axon + job->n;
    nc_vec s[NC_MAX_PLANES];
    NC_UNROLL for (int b = 0; b < bits; b++) s[b] = nc_get(drive->leak + b * NC_WORDS);
    for (; axon < last; axon++) {
        const uint64_t *number = weights + place[type[*axon]];
        nc_vec row = nc_get(rows + *axon * pitch), minus = nc_get(number), carry = {0};
        NC_UNROLL for (int b = 0; b < bits; b++) {
            nc_vec x = s[b];
            if (b < digits) {
                nc_vec addend = row & nc_get(number + (1 + b) * NC_WORDS);
                s[b] = b ? NC_XOR3(x, addend, carry) : x ^ addend;
                x ^= minus;
                carry = b ? NC_MAJORITY(x, addend, carry) : x & addend;
            } else {
                s[b] = x ^ carry;
                carry = NC_MASK_STEP(x, minus, carry);
            }
        }
    }
    NC_NAME(nc_finish_sum)(drive, s, sum, bits, features);
}

/* The same for any number of planes. */
NC_COLD void NC_NAME(nc_sum_wide_rows)(const nc_program *p, int64_t core, int unit, const nc_job *job, nc_vec *sum, int bits) {
    const int64_t pitch = (int64_t)p->units * NC_WORDS;
    const uint8_t *type_of = p->axon_type + (int64_t)p->header[core].wiring * p->n_axons;
    for (int i = 0; i < job->n; i++) {
        int64_t axon = job->axons[i];
        int64_t type = (int64_t)p->header[core].weights * p->n_types + type_of[axon];
        const uint64_t *number = nc_weights(p, type, unit);
        nc_vec row = nc_get(p->crossbar + (core * p->n_axons + axon) * pitch + unit * NC_WORDS), minus = nc_get(number);
        for (uint32_t used = p->weight_bits[type]; used; used &= used - 1) {
            int b = __builtin_ctz(used);
            NC_NAME(nc_add_bit)(sum, b, bits, row & nc_get(number + (1 + b) * NC_WORDS), minus);
        }
    }
}

/* Two bits of a lane in, their sum out, with the bit that was there; returns the carry. */
NC_INLINE nc_vec NC_NAME(nc_add_two)(nc_vec *count, nc_vec a, nc_vec b) {
    const nc_vec x = *count;
    *count = NC_XOR3(x, a, b);
    return NC_MAJORITY(x, a, b);
}

/* Adds eight rows to the counts of each lane, carry-save. */
NC_INLINE void NC_NAME(nc_count_eight)(nc_vec *count, const int levels, const nc_vec *row) {
    nc_vec two[4], four[2];
    NC_UNROLL for (int k = 0; k < 4; k++) two[k] = NC_NAME(nc_add_two)(&count[0], row[2 * k], row[2 * k + 1]);
    NC_UNROLL for (int k = 0; k < 2; k++) four[k] = NC_NAME(nc_add_two)(&count[1], two[2 * k], two[2 * k + 1]);
    nc_vec carry = NC_NAME(nc_add_two)(&count[2], four[0], four[1]);
    NC_UNROLL for (int level = 3; level < levels; level++) {
        const nc_vec x = count[level];
        count[level] = x ^ carry;
        carry &= x;
    }
}

/* Counts, per lane, in how many of the m listed rows it is set. */
NC_INLINE void NC_NAME(nc_count_rows)(const uint64_t *rows, int64_t pitch, const uint16_t *list, int m, nc_vec *out, const int levels) {
    static const uint64_t none[NC_WORDS] = {0};
    nc_vec count[NC_MAX_PLANES], row[8];
    int i = 0;
    NC_UNROLL for (int level = 0; level < levels; level++) count[level] = (nc_vec){0};
    for (; i + 8 <= m; i += 8) {
        NC_UNROLL for (int k = 0; k < 8; k++) row[k] = nc_get(rows + list[i + k] * pitch);
        NC_NAME(nc_count_eight)(count, levels, row);
    }
    if (i < m) {
        NC_UNROLL for (int k = 0; k < 8; k++) row[k] = nc_get(i + k < m ? rows + list[i + k] * pitch : none);
        NC_NAME(nc_count_eight)(count, levels, row);
    }
    NC_UNROLL for (int level = 0; level < levels; level++) out[level] = count[level];
}

/* By axon type: counts the active rows of a type, then multiplies by its weights, the sum being in registers. Best for many active
   axons. `bits`, `digits`, the magnitude planes of weights, and `levels`, the planes of a count, are constants where this is used. */
NC_INLINE void NC_NAME(nc_sum_small_counts)(const nc_program *restrict p, int64_t core, int unit, const nc_job *job,
                                          const NC_NAME(nc_drive) *drive, nc_vec *restrict sum, const int bits, const int digits,
                                          const int levels, const int features) {
    const int64_t pitch = (int64_t)p->units * NC_WORDS;
    const uint64_t *rows = p->crossbar + core * p->n_axons * pitch + unit * NC_WORDS;
    const int64_t place = (int64_t)p->header[core].weights * p->n_types;
    const uint16_t *list = job->axons;
    nc_vec s[NC_MAX_PLANES];
    NC_UNROLL for (int b = 0; b < bits; b++) s[b] = nc_get(drive->leak + b * NC_WORDS);
    for (int g = 0, m; g < p->n_types; g++, list += m) {
        m = (int)job->of_type[g];
        if (!m) continue;
        nc_vec count[NC_MAX_PLANES];
        NC_NAME(nc_count_rows)(rows, pitch, list, m, count, levels);
        const uint64_t *number = nc_weights(p, place + g, unit);
        const uint32_t used = p->weight_bits[place + g];
        const nc_vec minus = nc_get(number);
        NC_UNROLL for (int digit = 0; digit < digits; digit++) {
            if (!(used >> digit & 1)) continue;
            const nc_vec magnitude = nc_get(number + (1 + digit) * NC_WORDS);
            nc_vec carry = {0};
            NC_UNROLL for (int b = digit; b < bits; b++) {
                const nc_vec x = s[b];
                if (b < digit + levels) {
                    const nc_vec addend = count[b - digit] & magnitude;
                    s[b] = NC_XOR3(x, addend, carry);
                    carry = NC_MAJORITY(x ^ minus, addend, carry);
                } else {
                    s[b] = x ^ carry;
                    carry = NC_MASK_STEP(x, minus, carry);
                }
            }
        }
    }
    NC_NAME(nc_finish_sum)(drive, s, sum, bits, features);
}

/* Whether `levels` planes can count the active axons of each type. */
NC_INLINE int NC_NAME(nc_counts_fit)(const nc_program *restrict p, const nc_job *job, const int levels) {
    uint32_t any = 0;
    for (int g = 0; g < p->n_types; g++) any |= job->of_type[g];
    return !(any >> levels);
}

/* The same for any numbers. */
NC_INLINE void NC_NAME(nc_sum_counts)(const nc_program *restrict p, int64_t core, int unit, const nc_job *job,
                                      nc_vec *restrict sum, int bits) {
    const int64_t pitch = (int64_t)p->units * NC_WORDS;
    const uint64_t *rows = p->crossbar + core * p->n_axons * pitch + unit * NC_WORDS;
    const nc_header *header = &p->header[core];
    const uint16_t *list = job->axons;
    for (int g = 0, m; g < p->n_types; g++, list += m) {
        m = (int)job->of_type[g];
        if (!m) continue;
        int levels = 32 - __builtin_clz((unsigned)m);
        nc_vec count[NC_MAX_PLANES];
        if (levels <= 5) NC_NAME(nc_count_rows)(rows, pitch, list, m, count, 5);
        else if (levels <= 7) NC_NAME(nc_count_rows)(rows, pitch, list, m, count, 7);
        else NC_NAME(nc_count_rows)(rows, pitch, list, m, count, 17);
        const int64_t place = (int64_t)header->weights * p->n_types + g;
        const uint64_t *number = nc_weights(p, place, unit);
        nc_vec minus = nc_get(number);
        for (uint32_t used = p->weight_bits[place]; used; used &= used - 1) {
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

/* Axons with the core's common row: how many of a type are active, times its weights, in the neurons of the pattern. */
static __attribute__((noinline)) void NC_NAME(nc_sum_full)(const nc_program *p, int unit, const nc_job *job, nc_vec *sum, int bits) {
    const nc_vec pattern = nc_get(p->pattern + (job->core * p->units + unit) * NC_WORDS);
    for (int64_t g = 0; g < p->n_types; g++) {
        if (!job->full[g]) continue;
        const int64_t type = (int64_t)p->header[job->core].weights * p->n_types + g;
        const uint64_t *number = nc_weights(p, type, unit);
        const nc_vec minus = nc_get(number);
        for (uint32_t used = p->weight_bits[type]; used; used &= used - 1) {
            const int from = __builtin_ctz(used);
            const nc_vec addend = pattern & nc_get(number + (1 + from) * NC_WORDS);
            for (uint32_t count = job->full[g]; count; count &= count - 1)
                NC_NAME(nc_add_bit)(sum, from + __builtin_ctz(count), bits, addend, minus);
        }
    }
}

/* Sums of few planes with weights of few: their numbers become constants. Returns whether there is such code. */
NC_INLINE int NC_NAME(nc_sum_small)(const nc_program *restrict p, const nc_job *job, int unit, const NC_NAME(nc_drive) *drive,
                                    nc_vec *restrict sum, int bits, const int features) {
    enum { most = 10, levels = 5 };
    if (bits > most || p->planes < most || p->weight_planes > 4) return 0;
    const int64_t core = job->core;
    if (job->n > NC_FEW) {
        if (!NC_NAME(nc_counts_fit)(p, job, levels)) return 0;
        NC_NAME(nc_sum_small_counts)(p, core, unit, job, drive, sum, most, 4, levels, features);
        return 1;
    }
#define NC_SUM(n, digits) NC_NAME(nc_sum_rows)(p, core, unit, job, drive, sum, n, digits, features)
    if (bits > 8) NC_SUM(most, 4);
    else if (p->weight_planes > 2) NC_SUM(8, 4);
    else if (p->weight_planes == 2) {
        if (bits <= 4) NC_SUM(4, 2);
        else if (bits <= 6) NC_SUM(6, 2);
        else NC_SUM(8, 2);
    } else {
        if (bits <= 4) NC_SUM(4, 1);
        else if (bits <= 6) NC_SUM(6, 1);
        else NC_SUM(8, 1);
    }
#undef NC_SUM
    return 1;
}

/* The sum of a tick in `bits` planes or a few more. */
NC_INLINE void NC_NAME(nc_integrate)(const nc_program *restrict p, nc_worker *restrict w, const nc_job *job, int unit,
                                     const NC_NAME(nc_drive) *drive, nc_vec *restrict sum, int bits, const int features) {
    if (!NC_NAME(nc_sum_small)(p, job, unit, drive, sum, bits, features)) {
        for (int b = 0; b < bits; b++) sum[b] = nc_get(drive->leak + b * NC_WORDS);
        if (job->n > NC_FEW) NC_NAME(nc_sum_counts)(p, job->core, unit, job, sum, bits);
        else if (job->n) NC_NAME(nc_sum_wide_rows)(w->pool->program, job->core, unit, job, sum, bits);
        if (features & NC_RANDOM_LEAK) NC_NAME(nc_add_bit)(sum, 0, bits, drive->steps, drive->minus);
    }
    if (job->n_full) NC_NAME(nc_sum_full)(w->pool->program, unit, job, sum, bits);
}

/* Stochastic weights: every active axon draws afresh for each neuron that it reaches. */
NC_COLD void NC_NAME(nc_sum_chances)(const nc_program *p, int64_t core, int64_t tick, int unit, const nc_job *job, nc_vec *sum,
                                     int bits) {
    const int64_t stride = (int64_t)(2 + p->random_bits) * NC_WORDS;
    const nc_header *header = &p->header[core];
    const uint8_t *type = p->axon_type + (int64_t)header->wiring * p->n_axons;
    for (int i = 0; i < job->n; i++) {
        int64_t axon = job->axons[i];
        int64_t row = p->weight_row[(int64_t)header->weights * p->n_types + type[axon]];
        if (!p->chance_used[row]) continue;
        const uint64_t *number = p->chance + (row * p->units + unit) * stride;
        nc_vec reached = nc_get(p->crossbar + ((core * p->n_axons + axon) * p->units + unit) * NC_WORDS);
        uint64_t key = nc_tick_key(header->key, tick, NC_DRAW_SYNAPSE + (uint64_t)axon);
        nc_vec acts = NC_NAME(nc_chance)(key, unit, number + 2 * NC_WORDS, 0, p->random_bits);
        NC_NAME(nc_add_bit)(sum, 0, bits, acts & reached & nc_get(number + NC_WORDS), nc_get(number));
    }
}

/* ---------------------------------------------------------------- leak */

/* Lanes in which a stochastic leak makes a step in this tick. */
NC_INLINE nc_vec NC_NAME(nc_random_leak)(const nc_program *restrict p, int64_t row, uint64_t key, int unit) {
    const uint64_t *chance = p->leak_chance + row * (2 + p->random_bits) * NC_WORDS;
    return nc_get(chance + NC_WORDS)
           & NC_NAME(nc_chance)(key, unit, chance + 2 * NC_WORDS, p->profiles[row].leak_from, p->random_bits);
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

/* V += sum over `width` planes, and who is at or above the threshold, and (with_floor) who is not below the floor. The sum has
   `bits` planes, at most as many as `width`. */
NC_INLINE void NC_NAME(nc_advance)(uint64_t *restrict v, const nc_vec *restrict sum, int bits, int width,
                                   const uint64_t *not_threshold, int threshold_width, const uint64_t *not_bound, int bound_width,
                                   const int with_floor, nc_vec *fires, nc_vec *holds) {
    nc_vec carry = {0}, above = nc_ones, held = *holds, s = {0};
    const nc_vec y = sum[bits - 1];
    const int64_t last = width - 1, most = bits < last ? bits : last;
    int64_t b = 0;
    for (; b < most; b++) {
        nc_vec x = nc_get(v + b * NC_WORDS), z = sum[b];
        s = NC_XOR3(x, z, carry);
        carry = NC_MAJORITY(x, z, carry);
        nc_put(v + b * NC_WORDS, s);
        above = NC_MAJORITY(s, nc_get(not_threshold + b * NC_WORDS), above);
        if (with_floor) held = NC_MAJORITY(s, nc_get(not_bound + b * NC_WORDS), held);
    }
    for (; b < last; b++) {
        nc_vec x = nc_get(v + b * NC_WORDS);
        s = NC_XOR3(x, y, carry);
        carry = NC_MAJORITY(x, y, carry);
        nc_put(v + b * NC_WORDS, s);
        above = NC_MAJORITY(s, nc_get(not_threshold + b * NC_WORDS), above);
        if (with_floor) held = NC_MAJORITY(s, nc_get(not_bound + b * NC_WORDS), held);
    }
    nc_vec x = nc_get(v + last * NC_WORDS);
    s = NC_XOR3(x, y, carry);
    nc_put(v + last * NC_WORDS, s);
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

/* Holds those below the floor at it. */
NC_INLINE void NC_NAME(nc_hold)(const nc_profile *profile, uint64_t *v, int64_t width, const uint64_t *not_bound, nc_vec below) {
    if (profile->floor_is_zero) {
        for (int64_t b = 0; b < width; b++) nc_put(v + b * NC_WORDS, nc_get(v + b * NC_WORDS) & ~below);
    } else if (NC_ANY(below)) {
        for (int64_t b = 0; b < width; b++) {
            nc_vec x = nc_get(v + b * NC_WORDS);
            nc_put(v + b * NC_WORDS, NC_SELECT(below, ~nc_get(not_bound + b * NC_WORDS), x));
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
NC_COLD void NC_NAME(nc_reverse)(const nc_program *p, int64_t row, const NC_NAME(nc_drive) *drive, uint64_t *v, nc_vec *sum,
                                 int width) {
    nc_vec value[NC_MAX_PLANES], carry = {0};
    for (int b = 0; b < width; b++) {
        nc_vec x = nc_get(v + b * NC_WORDS);
        value[b] = NC_XOR3(x, sum[b], carry);
        carry = NC_MAJORITY(x, sum[b], carry);
        nc_put(v + b * NC_WORDS, value[b]);
        sum[b] = (nc_vec){0};
    }
    nc_vec reversed = nc_get(p->modes + (row * 4 + 3) * NC_WORDS), sign = value[width - 1];
    nc_vec positive = NC_NAME(nc_not_zero)(v, width) & ~sign, acts = ~reversed | sign | positive, turned = reversed & sign;
    const uint64_t *leak = p->leak + row * p->planes * NC_WORDS;
    carry = turned & acts;
    for (int b = 0; b < width; b++) {
        nc_vec x = value[b], addend = (nc_get(leak + b * NC_WORDS) ^ turned) & acts;
        value[b] = NC_XOR3(x, addend, carry);
        carry = NC_MAJORITY(x, addend, carry);
    }
    NC_NAME(nc_add_bit)(value, 0, width, drive->steps & acts, drive->minus ^ turned);
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

/* ---------------------------------------------------------------- spikes */

/* Asks for at + list[i] * size for up to 8 numbers, without a branch that depends on how many; n > 0. */
#define NC_ASK_FEW(list, n, at, size)                                                          \
    NC_UNROLL for (int64_t i = 0; i < 8; i++) __builtin_prefetch((at) + (list)[i < (n) ? i : 0] * (size))

/* Asks for at + list[i] * size for many numbers, and for up to seven that stand behind them, to come to the first cache (3) or the
   second (2). */
#define NC_ASK_MANY(list, n, at, size, cache)                                                  \
    for (int64_t i = 0; i < (n); i += 8)                                                       \
    NC_UNROLL for (int64_t k = i; k < i + 8; k++) __builtin_prefetch((at) + (list)[k] * (size), 0, cache)

/* Asks for the rows of a core's active axons. Many are brought to the second cache only: the first holds as few requests for what
   is farther away as a core of low activity makes, and stalls at more. */
NC_INLINE void NC_NAME(nc_ask_rows)(const nc_program *restrict p, const nc_job *job) {
    const int64_t pitch = (int64_t)p->units * NC_WORDS;
    const char *rows = (const char *)(p->crossbar + job->core * p->n_axons * pitch);
    if (job->n > 8) NC_ASK_MANY(job->axons, job->n, rows, 8 * pitch, 2);
    else if (job->n) NC_ASK_FEW(job->axons, job->n, rows, 8 * pitch);
}

/* Asks for those rows of the next core to come from the second cache to the first. */
NC_INLINE void NC_NAME(nc_ask_again)(const nc_program *restrict p, const nc_job *job) {
    const int64_t pitch = (int64_t)p->units * NC_WORDS;
    const char *rows = (const char *)(p->crossbar + job->core * p->n_axons * pitch);
    if (job->n > NC_FEW) NC_ASK_MANY(job->axons, job->n, rows, 8 * pitch, 3);
}

/* Routes n waiting neurons. */
#define NC_ROUTE(type)                                                                                         \
    do {                                                                                                       \
        const type *const targets = (const type *)p->target;                                                   \
        const uint32_t *const fired = scratch->fired;                                                          \
        type **const boxes = (type **)scratch->boxes[w->state.tick & 1].end;                                   \
        for (int64_t i = 0; i < n; i++) {                                                                      \
            const uint64_t target = targets[fired[i]], bit = target & below, delay = target >> shift;          \
            if (__builtin_expect(delay != 0, 1)) {                                                             \
                type **const box = &boxes[bit >> group_shift], *const at = (*box)++;                           \
                *at = (type)(slot_start[delay] + bit);                                                         \
                __builtin_prefetch(at + 32, 1);                                                                \
            } else if (bit) {                                                                                  \
                if (nc_push(&scratch->outputs, w->state.tick, (int32_t)(bit - 1), 0)) scratch->failed = 1;     \
            }                                                                                                  \
        }                                                                                                      \
    } while (0)

/* Sends the spikes of the first n waiting neurons: they go into boxes by groups of destination cores, whose scheduler words are few
   enough for the first cache, and are delivered group by group before the next tick. Many are sent at once, so that the ends of
   the boxes stay in that cache meanwhile. */
static __attribute__((noinline)) void NC_NAME(nc_route)(const nc_program *restrict p, nc_worker *restrict w, int64_t n) {
    nc_scratch *scratch = &w->scratch;
    const int shift = p->target_shift, group_shift = w->pool->group_shift;
    const uint64_t *const slot_start = scratch->slot_start, below = (1ull << shift) - 1;
    if (p->wide) NC_ROUTE(uint64_t);
    else NC_ROUTE(uint32_t);
}
#undef NC_ROUTE

static void NC_NAME(nc_note)(nc_worker *w, int64_t core, int unit, const nc_vec *fires) {
    const uint64_t *probe = w->state.probe + (core * w->pool->program->units + unit) * NC_WORDS;
    for (int k = 0; k < NC_WORDS; k++)
        for (uint64_t seen = (*fires)[k] & probe[k]; seen; seen &= seen - 1)
            if (nc_push(&w->scratch.spikes, w->state.tick, (int32_t)core, NC_LANES * unit + 64 * k + __builtin_ctzll(seen)))
                w->scratch.failed = 1;
}

/* Lets those who fired wait until their destinations have arrived in the cache, and routes those who have waited. */
NC_INLINE void NC_NAME(nc_send)(const nc_program *restrict p, nc_worker *restrict w, int64_t core, int unit, nc_vec fires) {
    nc_scratch *scratch = &w->scratch;
    int64_t place = core * p->units + unit, first = place * NC_LANES;
    nc_count(&w->state.neurons, place, fires);
    if (w->state.probe) NC_NAME(nc_note)(w, core, unit, &fires);
    uint32_t *fired = scratch->fired + scratch->n_fired;
    const int64_t n = NC_NAME(nc_list_neurons)(fires, first, fired), size = p->wide ? 8 : 4;
    if (n <= 8) NC_ASK_FEW(fired, n, (const char *)p->target, size);
    else
        for (int64_t at = first * size; at < (first + NC_LANES) * size; at += 64) __builtin_prefetch((const char *)p->target + at, 0, 2);
    scratch->n_fired += (int)n;
    if (scratch->n_fired >= NC_SPIKES || ++scratch->waits == NC_WAITS) {
        scratch->waits = 0;
        int old = scratch->n_fired - (int)n;
        NC_NAME(nc_route)(w->pool->program, w, old);
        memmove(scratch->fired, scratch->fired + old, sizeof(uint32_t) * (size_t)n);
        scratch->n_fired = (int)n;
    }
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

/* Counts the active axons with the core's common row by type, and returns the others. */
static __attribute__((noinline)) nc_vec NC_NAME(nc_split)(const nc_program *p, nc_job *job, int64_t place, const nc_vec *active) {
    const int64_t blocks = p->axon_words / NC_WORDS, wiring = p->header[place / blocks].wiring, block = place % blocks;
    const nc_vec full = *active & nc_get(p->full + place * NC_WORDS);
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
