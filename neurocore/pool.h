/* The loop over ticks in a pool of threads that live as long as the engine; included by kernel.h.

   Each thread owns a range of cores: only it writes their scheduler rows. Spikes wait in boxes, one for each thread, tick in which they
   are due and group of destinations. When the tick comes, the owner of the group empties them into the scheduler, so that no delivery
   needs an atomic operation, the order of events cannot matter, and of the scheduler only the plane of the tick is touched. A thread
   that is done with its own cores takes over chunks of those of others. One barrier a tick. */

#include "pace.h"

static void nc_pause(int spins) {
#if defined(__x86_64__)
    _mm_pause();
#endif
    if (spins > NC_SPINS) sched_yield();
}

/* The barrier of n threads. */
static void nc_wait(nc_worker *w, int n) {
    nc_pool *pool = w->pool;
    int generation = __atomic_load_n(&pool->passed, __ATOMIC_ACQUIRE);
    if (__atomic_add_fetch(&pool->arrived, 1, __ATOMIC_ACQ_REL) == n) {
        __atomic_store_n(&pool->arrived, 0, __ATOMIC_RELAXED);
        __atomic_store_n(&pool->passed, generation + 1, __ATOMIC_RELEASE);
        return;
    }
    double since = 0;
    for (int spins = 0; __atomic_load_n(&pool->passed, __ATOMIC_ACQUIRE) == generation; spins += spins <= NC_SPINS) {
        if (spins == NC_SOON_OVER) since = nc_now();
        nc_pause(spins);
    }
    if (since == 0) return;
    double waited;
    __atomic_load(&w->waited, &waited, __ATOMIC_RELAXED);
    waited += nc_now() - since;
    __atomic_store(&w->waited, &waited, __ATOMIC_RELAXED);
}

/* The first group of destinations in the share of a core. */
static int64_t nc_group(const nc_pool *pool, int64_t core) {
    return (core / pool->share * pool->share * pool->program->axon_words * 64) >> pool->group_shift;
}

/* The boxes of a slot of the scheduler, by groups. */
static uint16_t **nc_box_ends(const nc_pool *pool, const nc_worker *w, int64_t slot) {
    return w->scratch.boxes.end + slot * pool->n_groups;
}

static uint16_t *nc_box_items(const nc_pool *pool, const nc_worker *w, int64_t slot, int64_t group) {
    return w->scratch.boxes.items + slot * pool->room[pool->n_groups] + pool->room[group];
}

/* Asks for all scheduler words of a group in a slot if many of them will be written. */
static void nc_expect_group(const nc_worker *w, int64_t slot, int64_t group) {
    const nc_pool *pool = w->pool;
    const nc_program *p = pool->program;
    const int64_t words = 1ll << (pool->group_shift - 6);
    int64_t due = 0;
    for (int k = 0; k < pool->capacity; k++)
        due += nc_box_ends(pool, &pool->workers[k], slot)[group] - nc_box_items(pool, &pool->workers[k], slot, group);
    if (due * 16 < words) return;
    const uint64_t *first = w->state.scheduler + slot * p->n_words + group * words;
    for (int64_t word = 0; word < words; word += 8) __builtin_prefetch(first + word, 1, 2);
}

/* Delivers what all threads sent to the thread's own cores for the tick of a slot. A group's words of one slot are few enough for the
   first cache. */
static void nc_receive(nc_worker *w, int64_t slot) {
    const nc_pool *pool = w->pool;
    const nc_program *p = pool->program;
    const int64_t first = nc_group(pool, w->begin), last = nc_group(pool, w->end + pool->share - 1);
    uint64_t *const plane = w->state.scheduler + slot * p->n_words;
    if (first < last) nc_expect_group(w, slot, first);
    for (int64_t group = first; group < last; group++) {
        if (group + 1 < last) nc_expect_group(w, slot, group + 1);
        uint64_t *const words = plane + (group << pool->group_shift >> 16 << 10);    /* the bits whose lowest 16 bits are 0 */
        for (int k = 0; k < pool->capacity; k++) {
            const nc_worker *from = &pool->workers[k];
            uint16_t **const box = nc_box_ends(pool, from, slot) + group, *const items = nc_box_items(pool, from, slot, group);
            const uint16_t *const end = *box;
            for (const uint16_t *at = items; at < end; at++) words[*at >> 6] |= 1ull << (*at & 63);
            *box = items;
        }
    }
}

/* External spikes of this tick for the thread's own cores. */
static void nc_inject(nc_worker *w, int64_t offset) {
    const nc_program *p = w->pool->program;
    const nc_state *s = &w->state;
    int64_t first = w->begin * p->axon_words, last = w->end * p->axon_words;
    uint64_t *plane = s->scheduler + (s->tick % p->n_slots) * p->n_words;
    for (int64_t i = s->event_start[offset]; i < s->event_start[offset + 1]; i++) {
        int64_t word = s->event_word[i];
        if (word >= first && word < last) plane[word] |= 1ull << s->event_bit[i];
    }
}

static void nc_sample(nc_worker *w, int64_t offset) {
    const nc_program *p = w->pool->program;
    const nc_state *s = &w->state;
    uint64_t row[NC_MAX_PLANES * NC_WORDS];
    for (int64_t i = 0; i < s->n_probes; i++) {
        if (s->probe_row[i] < w->begin || s->probe_row[i] >= w->end) continue;
        int64_t place = (int64_t)s->probe_row[i] * p->units + s->probe_lane[i] / NC_LANES;
        int width = s->width[place];
        const uint64_t *planes = nc_planes(p, s, place, width, width, row);
        s->trace[offset * s->n_probes + i] = nc_lane(planes, width, s->probe_lane[i] % NC_LANES);
    }
}

/* Ticks the cores of `owner` that nobody has taken yet. */
static void nc_take_chunks(nc_worker *w, nc_worker *owner, int keep) {
    nc_pool *pool = w->pool;
    for (;;) {
        int64_t begin = pool->n_threads > 1 ? __atomic_fetch_add(&owner->next, pool->chunk, __ATOMIC_RELAXED) : owner->next;
        if (pool->n_threads == 1) owner->next = owner->end;
        if (begin >= owner->end) return;
        int64_t end = pool->n_threads > 1 && begin + pool->chunk < owner->end ? begin + pool->chunk : owner->end;
        pool->run(pool->program, w, begin, end, keep);
    }
}

/* A thread's part in a segment. */
static void nc_work(nc_worker *w) {
    nc_pool *pool = w->pool;
    const nc_program *p = pool->program;
    const int n = pool->n_threads;       /* after the last barrier it can change */
    nc_state *s = &w->state;
    for (int64_t i = pool->begin; i < pool->end; i++) {
        w->slot = s->tick % p->n_slots;
        nc_receive(w, w->slot);
        nc_inject(w, i);
        for (int64_t d = 0, slot = w->slot; d < p->n_slots; d++, slot = slot + 1 < p->n_slots ? slot + 1 : 0)
            w->scratch.due[d] = nc_box_ends(pool, w, slot);
        w->next = w->begin;
        __atomic_store_n(&w->ready, s->tick, __ATOMIC_RELEASE);
        int keep = pool->n_ticks - i <= p->n_slots;
        nc_take_chunks(w, w, keep);
        for (int k = 1; k < n; k++) {
            nc_worker *other = &pool->workers[(w->index + k) % n];
            if (__atomic_load_n(&other->ready, __ATOMIC_ACQUIRE) == s->tick) nc_take_chunks(w, other, keep);
        }
        pool->run(p, w, 0, 0, keep);
        if (n > 1) nc_wait(w, n);
        if (s->n_probes) nc_sample(w, i);
        s->tick++;
    }
    if (pool->end == pool->n_ticks)
        for (int64_t slot = 0; slot < p->n_slots; slot++) nc_receive(w, slot);
    if (n > 1) nc_wait(w, n);
}

static void *nc_enter(void *argument) {
    nc_worker *w = (nc_worker *)argument;
    nc_pool *pool = w->pool;
    int64_t seen = 0;
    for (;;) {
        for (int spins = 0; spins < NC_SPINS && __atomic_load_n(&pool->generation, __ATOMIC_ACQUIRE) == seen; spins++) nc_pause(0);
        pthread_mutex_lock(&pool->lock);
        while (pool->generation == seen) pthread_cond_wait(&pool->wake, &pool->lock);
        seen = pool->generation;
        const int called = pool->called;
        pthread_mutex_unlock(&pool->lock);
        if (pool->quits) return NULL;
        if (w->index < called) nc_work(w);
    }
}

static void nc_announce(nc_pool *pool) {
    pthread_mutex_lock(&pool->lock);
    pool->called = pool->n_threads;
    __atomic_store_n(&pool->generation, pool->generation + 1, __ATOMIC_RELEASE);
    pthread_cond_broadcast(&pool->wake);
    pthread_mutex_unlock(&pool->lock);
}

static void nc_stop(nc_pool *pool) {
    if (pool->process == getpid() && pool->started) {
        pool->quits = 1;
        nc_announce(pool);
        for (int k = 0; k < pool->started; k++) pthread_join(pool->workers[k + 1].thread, NULL);
    }
    pool->started = 0;
}

/* Starts the threads if this process does not have them; those that cannot be had are done without. */
static void nc_start(nc_pool *pool) {
    if (pool->capacity == 1 || (pool->started && pool->process == getpid())) return;
    pthread_mutex_init(&pool->lock, NULL);
    pthread_cond_init(&pool->wake, NULL);
    pool->started = pool->arrived = pool->passed = 0;
    pool->generation = 0;
    pool->process = getpid();
    for (int k = 1; k < pool->capacity; k++, pool->started++)
        if (pthread_create(&pool->workers[k].thread, NULL, nc_enter, &pool->workers[k])) break;
    pool->available = pool->started + 1;
    if (pool->n_threads > pool->available) nc_employ(pool, pool->available);
}

static void nc_close_worker(nc_worker *w) {
    free(w->scratch.outputs.items);
    free(w->scratch.spikes.items);
    free(w->scratch.axons);
    free(w->scratch.active);
    free(w->scratch.fired);
    free(w->scratch.boxes.items);
    free(w->scratch.boxes.end);
}

static void nc_pool_close(nc_pool *pool) {
    if (!pool) return;
    nc_stop(pool);
    for (int k = 0; pool->workers && k < pool->capacity; k++) nc_close_worker(&pool->workers[k]);
    free(pool->workers);
    free(pool->room);
    free(pool);
}

/* Empty boxes. */
static int nc_open_boxes(nc_worker *w, const nc_pool *pool) {
    const int64_t n_slots = pool->program->n_slots;
    nc_boxes *boxes = &w->scratch.boxes;
    boxes->items = (uint16_t *)malloc(sizeof(uint16_t) * (size_t)(n_slots * pool->room[pool->n_groups] + 1));
    boxes->end = (uint16_t **)malloc(sizeof(uint16_t *) * (size_t)(n_slots * pool->n_groups + 1));
    if (!boxes->items || !boxes->end) return -1;
    for (int64_t slot = 0; slot < n_slots; slot++)
        for (int64_t group = 0; group < pool->n_groups; group++)
            nc_box_ends(pool, w, slot)[group] = nc_box_items(pool, w, slot, group);
    return 0;
}

static int nc_open_worker(nc_worker *w, const nc_pool *pool) {
    nc_scratch *s = &w->scratch;
    const nc_program *p = pool->program;
    size_t axons = (size_t)p->n_axons + NC_SLACK;
    s->axons = (uint16_t *)malloc(sizeof(uint16_t) * NC_AHEAD * axons);
    s->active = (uint64_t *)malloc(sizeof(uint64_t) * (size_t)p->axon_words);
    s->fired = (uint32_t *)malloc(sizeof(uint32_t) * (NC_SPIKES + 3 * NC_LANES + NC_SLACK));
    if (!s->axons || !s->active || !s->fired) return -1;
    if (nc_open_boxes(w, pool)) return -1;
    for (int k = 0; k < NC_AHEAD; k++) s->jobs[k].axons = s->axons + (size_t)k * axons;
    return 0;
}

enum { NC_PAGE = 2048, NC_LINE = 32 };   /* items */

/* Groups the destinations by powers of two of scheduler words, so that no group has cores of two shares, and gives each group room.
   Boxes fill at about the same pace: they begin at different lines of a page, or all their ends would meet in a few sets of the
   cache. */
static int nc_group_destinations(nc_pool *pool) {
    const nc_program *p = pool->program;
    const uint64_t below = (1ull << p->target_shift) - 1;
    pool->group_shift = 6 + __builtin_ctzll((uint64_t)pool->share * (uint64_t)p->axon_words);
    if (pool->group_shift > 16) pool->group_shift = 16;
    pool->n_groups = nc_group(pool, p->n_cores + pool->share - 1);
    pool->room = (int64_t *)calloc((size_t)pool->n_groups + 1, sizeof(int64_t));
    if (!pool->room) return -1;
    for (int64_t i = 0; i < p->n_cores * p->units * NC_LANES; i++) {
        const uint64_t target = p->wide ? ((const uint64_t *)p->target)[i] : ((const uint32_t *)p->target)[i];
        if (target >> p->target_shift) pool->room[((target & below) >> pool->group_shift) + 1]++;
    }
    for (int64_t group = 0; group < pool->n_groups; group++) {
        const int64_t pages = (pool->room[group + 1] + NC_PAGE - 1) / NC_PAGE;
        pool->room[group + 1] = pool->room[group] + pages * NC_PAGE + NC_PAGE / 2 + NC_LINE;
    }
    return 0;
}

/* The largest power of two of cores, up to `most`, of which every thread would have four. */
static int64_t nc_portion(int64_t n_cores, int n_threads, int64_t most) {
    int64_t portion = 1;
    while (portion < most && portion * 4 * n_threads < n_cores) portion *= 2;
    return portion;
}

/* A pool of n threads, the caller's being the first, that runs a program by a path; NULL if memory ran out. */
static nc_pool *nc_pool_open(const nc_program *program, int path, int n_threads) {
    nc_pool *pool = (nc_pool *)calloc(1, sizeof(nc_pool));
    if (!pool) return NULL;
    pool->program = program;
    pool->run = nc_paths[path].run;
    pool->available = pool->capacity = n_threads;
    pool->tick_seconds = NC_TRIAL;
    pool->patience = NC_PATIENCE;
    pool->chunk = nc_portion(program->n_cores, n_threads, 64);
    pool->share = nc_portion(program->n_cores, n_threads, 256);
    pool->workers = (nc_worker *)calloc((size_t)n_threads, sizeof(nc_worker));
    int failed = !pool->workers || nc_group_destinations(pool);
    for (int k = 0; !failed && k < n_threads; k++) {
        pool->workers[k].pool = pool;
        pool->workers[k].index = k;
        failed = nc_open_worker(&pool->workers[k], pool);
    }
    if (failed) {
        nc_pool_close(pool);
        return NULL;
    }
    nc_employ(pool, n_threads);
    return pool;
}

static void nc_run_segment(nc_pool *pool, nc_state *state) {
    for (int k = 0; k < pool->n_threads; k++) {
        pool->workers[k].state = *state;
        pool->workers[k].ready = -1;
    }
    if (pool->n_threads > 1) nc_announce(pool);
    nc_work(&pool->workers[0]);
    state->tick += pool->end - pool->begin;
}

/* Runs n_ticks ticks. Returns 0, or -1 if memory ran out. */
static int nc_pool_run(nc_pool *pool, nc_state *state, int64_t n_ticks) {
    int failed = 0;
    nc_start(pool);
    pool->n_ticks = n_ticks;
    for (pool->begin = 0; pool->begin < n_ticks; pool->begin = pool->end) {
        const double since = nc_now();
        pool->end = pool->begin + nc_segment(pool, n_ticks - pool->begin);
        nc_run_segment(pool, state);
        const double now = nc_now();
        pool->elapsed += now - since;
        pool->tick_seconds = (now - since) / (double)(pool->end - pool->begin);
        nc_judge(pool, now);
    }
    for (int k = 0; k < pool->capacity; k++) {
        failed |= pool->workers[k].scratch.failed;
        pool->workers[k].scratch.failed = 0;
    }
    return failed ? -1 : 0;
}
