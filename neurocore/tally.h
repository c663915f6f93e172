/* Counters of 256 lanes in planes; included by kernel.h. */

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
