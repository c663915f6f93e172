/* How many of a pool's threads are at work; included by pool.h.

   Threads wait for each other at every tick. Where other programs have the processors, a thread that stands in line for one makes all
   others wait for milliseconds at a time, and fewer threads are quicker, down to one. A run is therefore divided into segments in which
   waits at the barrier are timed. If the threads spent much of a segment on them, and of a short one after it, as few as could have
   done the work are kept, and all are tried again after a while. How many work changes no result. */

/* Looks at the barrier after which the clock is read, less than a microsecond, and after which others may have the processor. */
enum { NC_SOON_OVER = 16, NC_SPINS = 2000 };

#define NC_SEGMENT 0.01                  /* seconds of a segment, */
#define NC_TRIAL 0.002                   /* in which all threads are tried, */
#define NC_PATIENCE 0.1                  /* until all threads are tried again, at first, */
#define NC_MOST_PATIENCE 2.0             /* and at last */

static double nc_now(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* The threads that could have done in the same time what n did, of whom one waited so much of it; times in seconds. All n if a quarter
   of them or less could be spared: some waiting is usual. One for a tenth of a thread's work is not worth its processor. */
static int nc_needed_threads(int n, double elapsed, double waited) {
    const double work = n * (elapsed - waited) / elapsed - 0.1;
    const int needed = work <= 1 ? 1 : (int)work + (work > (int)work);
    return 4 * needed <= 3 * n ? needed : n;
}

static void nc_forget_waits(nc_pool *pool) {
    double none = pool->elapsed = 0;
    for (int k = 0; k < pool->capacity; k++) __atomic_store(&pool->workers[k].waited, &none, __ATOMIC_RELAXED);
}

/* The longest that any thread waited. */
static double nc_longest_wait(const nc_pool *pool) {
    double longest = 0;
    for (int k = 0; k < pool->n_threads; k++) {
        double waited;
        __atomic_load(&pool->workers[k].waited, &waited, __ATOMIC_RELAXED);
        if (waited > longest) longest = waited;
    }
    return longest;
}

/* Divides the cores among n threads, in whole shares; the others rest. Only between segments. */
static void nc_employ(nc_pool *pool, int n) {
    const int64_t n_cores = pool->program->n_cores;
    const int64_t n_shares = (n_cores + pool->share - 1) / pool->share;
    for (int k = 0; k < n; k++) {
        nc_worker *w = &pool->workers[k];
        w->begin = n_shares * k / n * pool->share;
        w->end = n_shares * (k + 1) / n * pool->share;
        if (w->end > n_cores) w->end = n_cores;
    }
    pool->waking = n > pool->n_threads;
    pool->n_threads = n;
    nc_forget_waits(pool);
}

/* Ticks of the next segment, of those that are left. */
static int64_t nc_segment(const nc_pool *pool, int64_t left) {
    if (pool->available == 1) return left;
    if (pool->waking) return 1;
    const int tried = pool->n_threads == pool->available && !pool->trusted;
    const double ticks = (tried ? NC_TRIAL : NC_SEGMENT) / pool->tick_seconds;
    return ticks < 1 ? 1 : ticks < (double)left ? (int64_t)ticks : left;
}

static void nc_rest(nc_pool *pool, int needed, double now) {
    nc_employ(pool, needed);
    pool->try_again = now + pool->patience;
    pool->patience = pool->patience < NC_MOST_PATIENCE / 2 ? pool->patience * 2 : NC_MOST_PATIENCE;
}

/* After a segment that ended now: keeps the threads that are worth it, or tries all again when it is time. */
static void nc_judge(nc_pool *pool, double now) {
    if (pool->n_threads < pool->available) {
        if (now >= pool->try_again) nc_employ(pool, pool->available);
        return;
    }
    if (pool->waking) {
        pool->waking = 0;
        nc_forget_waits(pool);
    }
    if (pool->elapsed < NC_TRIAL) return;
    const int needed = nc_needed_threads(pool->n_threads, pool->elapsed, nc_longest_wait(pool));
    const int worth = needed == pool->n_threads;
    if (worth) pool->patience = NC_PATIENCE;
    if (worth || pool->trusted) nc_forget_waits(pool);
    else nc_rest(pool, needed, now);
    pool->trusted = worth;
}
