/* The sum of a tick: the weights of the active crossbar rows and the leak, in planes; part of tick.h. */

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
#define NC_SUM_OF(digits)              \
    do {                               \
        if (bits <= 4) NC_SUM(4, digits);      \
        else if (bits <= 6) NC_SUM(6, digits); \
        else if (bits <= 8) NC_SUM(8, digits); \
        else NC_SUM(most, digits);             \
    } while (0)
    if (p->weight_planes > 2) NC_SUM_OF(4);
    else if (p->weight_planes == 2) NC_SUM_OF(2);
    else NC_SUM_OF(1);
#undef NC_SUM_OF
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
