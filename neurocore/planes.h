/* Planes and numbers; included by kernel.h. */

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
