/* The way of a spike from the neuron into the boxes of its destination, and what is asked for before it is needed; part of tick.h. */

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

/* Asks for at + list[i] * size for up to 8 numbers, without a branch that depends on how many; n > 0. */
#define NC_ASK_FEW(list, n, at, size)                                                          \
    NC_UNROLL for (int64_t i = 0; i < 8; i++) __builtin_prefetch((at) + (list)[i < (n) ? i : 0] * (size))

/* Asks for at + list[i] * size for many numbers, and for up to seven that stand behind them, to come to the first cache (3) or the
   second (2). */
#define NC_ASK_MANY(list, n, at, size, cache)                                                  \
    for (int64_t i = 0; i < (n); i += 8)                                                       \
    NC_UNROLL for (int64_t k = i; k < i + 8; k++) __builtin_prefetch((at) + (list)[k] * (size), 0, cache)

NC_INLINE const char *NC_NAME(nc_rows)(const nc_program *restrict p, const nc_job *job) {
    return (const char *)(p->crossbar + job->core * p->n_axons * p->units * NC_WORDS);
}

/* Asks for the rows of a core's active axons. Many are brought to the second cache only: the first holds as few requests for what
   is farther away as a core of low activity makes, and stalls at more. */
NC_INLINE void NC_NAME(nc_ask_rows)(const nc_program *restrict p, const nc_job *job) {
    const int64_t size = 8ll * p->units * NC_WORDS;
    if (job->n > 8) NC_ASK_MANY(job->axons, job->n, NC_NAME(nc_rows)(p, job), size, 2);
    else if (job->n) NC_ASK_FEW(job->axons, job->n, NC_NAME(nc_rows)(p, job), size);
}

/* Asks for those rows of the next core to come from the second cache to the first. */
NC_INLINE void NC_NAME(nc_ask_again)(const nc_program *restrict p, const nc_job *job) {
    if (job->n > NC_FEW) NC_ASK_MANY(job->axons, job->n, NC_NAME(nc_rows)(p, job), 8ll * p->units * NC_WORDS, 3);
}

/* Routes n waiting neurons. */
#define NC_ROUTE(type)                                                                                         \
    do {                                                                                                       \
        const type *const targets = (const type *)p->target;                                                   \
        const uint32_t *const fired = scratch->fired;                                                          \
        for (int64_t i = 0; i < n; i++) {                                                                      \
            const uint64_t target = targets[fired[i]], bit = target & below, delay = target >> shift;          \
            if (__builtin_expect(delay != 0, 1)) {                                                             \
                uint16_t **const box = scratch->due[delay] + (bit >> group_shift), *const at = (*box)++;       \
                *at = (uint16_t)bit;                                                                           \
                __builtin_prefetch(at + 8, 1);                                                                 \
            } else if (bit) {                                                                                  \
                if (nc_push(&scratch->outputs, w->state.tick, (int32_t)(bit - 1), 0)) scratch->failed = 1;     \
            }                                                                                                  \
        }                                                                                                      \
    } while (0)

/* Sends the spikes of the first n waiting neurons: they go into boxes by the tick in which they are due and by groups of destination
   cores. Many are sent at once, so that the ends of the boxes stay in the first cache meanwhile. */
static __attribute__((noinline)) void NC_NAME(nc_route)(const nc_program *restrict p, nc_worker *restrict w, int64_t n) {
    nc_scratch *scratch = &w->scratch;
    const int shift = p->target_shift, group_shift = w->pool->group_shift;
    const uint64_t below = (1ull << shift) - 1;
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
