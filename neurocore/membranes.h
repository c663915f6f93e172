/* Membranes against threshold and floor, resets, and what few chips use; part of tick.h. */

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

/* The clamp at the end of a tick; adds those that it makes fire. A limit that `width` planes cannot hold is beyond their values. */
NC_COLD void NC_NAME(nc_clamp)(const nc_program *p, uint64_t *v, int width, nc_vec *fires) {
    const int64_t first_over = (int64_t)p->clamp_max + 1, first_held = p->clamp_min;
    nc_vec over = {0}, under = {0}, zero = {0};
    if (width >= nc_width((uint64_t)first_over)) over = NC_NAME(nc_at_least)(v, width, first_over);
    if (width >= nc_width((uint64_t)-first_held)) under = ~NC_NAME(nc_at_least)(v, width, first_held);
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
