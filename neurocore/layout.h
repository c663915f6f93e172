/* What a chip, its state and the memory of a thread look like; included by kernel.h. */

enum { NC_LANES = 256, NC_WORDS = 4, NC_MAX_PLANES = 32, NC_NEAR = 12, NC_MAX_THREADS = 256 };

/* What a core's neurons use beyond the common case. */
enum { NC_RANDOM_WEIGHT = 1, NC_RANDOM_LEAK = 2, NC_RANDOM_THRESHOLD = 4, NC_REVERSAL = 8 };

/* Purposes of random draws, as in draws.py. */
enum { NC_DRAW_LEAK = 0, NC_DRAW_THRESHOLD = 1, NC_DRAW_SYNAPSE = 2 };

/* One profile of neuron parameters for one unit. Planes are two's complement, continued to `planes` planes by the sign. */
typedef struct {
    int32_t leak_from;                   /* stochastic leak: planes below this one are all ones, so draws need no compare */
    int32_t threshold_width, floor_width;/* planes that thresholds and floors need, sign included */
    int32_t least_width;                 /* planes that a membrane needs at least: reset values */
    int32_t floor_free_width;            /* a membrane of so many planes cannot pass its floor */
    int32_t reset_is_zero, floor_is_zero;
    int32_t floor_holds;                 /* all neurons stay at the floor */
    int32_t has_linear, has_value;
    int32_t mask_bits;                   /* random bits of the widest threshold mask */
} nc_profile;

/* What is read of a core in each of its ticks. Tables that are equal in several cores are stored once, as numbered rows. */
typedef struct {
    uint64_t key;                        /* of its random draws */
    uint32_t profile, wiring, weights;   /* rows: neuron parameters, axon types, weights of the axon types */
    uint32_t input_bound;                /* largest magnitude that one axon adds */
    uint32_t leak_bound;                 /* largest magnitude of the leak */
    uint32_t features;
} nc_header;

typedef struct {
    int64_t n_cores, n_words;            /* n_words: from one scheduler plane to the next */
    int32_t n_axons, n_types, n_slots, axon_words, units, planes;
    int32_t random_bits, weight_planes;
    int32_t clamps, clamp_min, clamp_max, clamp_fires, clamp_free_width;
    int32_t stops_at_zero, floor_inclusive;
    int32_t wide, target_shift;          /* destinations: 64 bits instead of 32; the delay stands above target_shift */
    const uint64_t *crossbar;            /* [core][axon][unit][word] */
    const nc_header *header;             /* [core] */
    const uint8_t *axon_type;            /* [wiring][axon] */
    const uint64_t *type_mask;           /* [wiring][type][axon word] */
    const uint64_t *full;                /* [core][axon word]: axons whose row is the core's pattern; NULL if few cores have them */
    const uint64_t *pattern;             /* [core][unit][word]: the neurons that any axon reaches */
    const uint32_t *weight_row;          /* [weights][type]: row of the table of weights */
    const uint32_t *weight_place;        /* [weights][type]: first word of that row */
    const uint32_t *weight_bits;         /* [weights][type]: magnitude planes that are not empty */
    const uint64_t *weight;              /* [row][unit][1 + weight_planes][word]: sign, magnitude; 0 where stochastic */
    const uint64_t *chance;              /* [row][unit][2 + random_bits][word]: sign, mask, magnitude; NULL if none */
    const uint8_t *chance_used;          /* [row] */
    const nc_profile *profiles;          /* [row][unit] */
    const uint64_t *leak;                /* [row][unit][plane][word], 0 where stochastic */
    const uint64_t *leak_chance;         /* [row][unit][2 + random_bits][word]: sign, mask, magnitude; or NULL */
    const uint64_t *not_threshold;       /* [row][unit][plane][word]: the complement of alpha */
    const uint64_t *not_bound;           /* [row][unit][plane][word]: the complement of -beta */
    const uint64_t *reset;               /* [row][unit][plane][word] */
    const uint64_t *modes;               /* [row][unit][4][word]: reset to value, linear; floor saturates; leak reversal */
    const uint64_t *threshold_mask;      /* [row][unit][mask_planes][word] or NULL */
    int32_t mask_planes;
    const void *target;                  /* [core][lane]: delay << target_shift | bit of the scheduler plane; delay 0 is an
                                            output line + 1, or nothing */
    const uint64_t *zero;                /* [plane][word]: a leak of nothing */
} nc_program;

typedef struct { int64_t tick; int32_t a, b; } nc_event;
typedef struct { nc_event *items; size_t length, capacity; } nc_events;

/* How often each of 256 lanes was set: counted in planes, which is a few operations a tick however many were. */
enum { NC_LOW = 4, NC_HIGH = 13, NC_LOW_FULL = 15, NC_HIGH_FULL = 546 };
typedef struct {
    uint64_t *low;                       /* [unit][NC_LOW][word] */
    uint64_t *high;                      /* [unit][NC_HIGH][word] */
    uint32_t *total;                     /* [unit][lane] */
    uint16_t *added, *folded;            /* [unit]: additions to low, and to high */
} nc_tally;

typedef struct {
    int64_t tick;
    uint64_t *near, *far;                /* membranes: [core][unit][NC_NEAR][word], and the planes above: [core][unit][..][word] */
    uint8_t *width;                      /* [core][unit]: planes in use, the last being the sign */
    uint64_t *scheduler;                 /* [slot][core][axon word], planes n_words apart */
    uint64_t *fired;                     /* [slot][core][unit][word]: who fired in the last n_slots ticks */
    uint8_t *settled;                    /* [core]: without input, nothing can change */
    nc_tally axons, neurons;             /* [core][axon word / 4], [core][unit] */
    const uint64_t *probe;               /* [core][unit][word] or NULL */
    const int32_t *probe_row, *probe_lane;      /* membranes to record, rows ascending */
    int64_t n_probes;
    int32_t *trace;                      /* [tick of this call][probe] */
    const int64_t *event_start;          /* [tick of this call + 1]: external spikes of a tick */
    const uint32_t *event_word;          /* scheduler word of an external spike */
    const uint8_t *event_bit;
} nc_state;

/* ---------------------------------------------------------------- memory of a thread */

/* Deliveries of one thread that are not due yet, by the tick in which they are and by groups of destinations: the lowest 16 bits of
   their numbers in the scheduler plane of that tick. A box has room for a spike of every neuron that has a destination in the
   group, so none can be too full. */
typedef struct {
    uint16_t *items;
    uint16_t **end;                      /* [slot][group]: behind the last delivery */
} nc_boxes;

/* Cores that wait for their crossbar rows; cores after which a scheduler row is asked for; spikes that wait for their destinations,
   and firing cores after which they do not wait longer; active axons up to which rows are added one by one. */
enum { NC_AHEAD = 4, NC_SOON = 16, NC_SPIKES = 2048, NC_WAITS = 32, NC_FEW = 12 };
enum { NC_SLACK = 32 };                  /* places behind a list that may be written */

typedef struct {
    int64_t core;
    int32_t n, n_full;                   /* active axons to add row by row, and those whose rows need not be read */
    uint16_t *axons;                     /* the former: by type if they are more than NC_FEW */
    uint32_t of_type[256];               /* then so many of each type */
    uint32_t full[256];                  /* the latter by type, if there are any */
} nc_job;

typedef struct {
    nc_events outputs, spikes;
    nc_job jobs[NC_AHEAD];               /* first_job to last_job, in a ring, wait for their rows */
    unsigned first_job, last_job;
    uint16_t *axons;                     /* [NC_AHEAD][n_axons]: the jobs' lists */
    uint64_t *active;                    /* [axon word]: active axons of the core that is being collected */
    uint32_t *fired;                     /* neurons whose spikes wait for their destination to arrive in the cache */
    int32_t n_fired, waits;              /* how many they are, and how often any was added since the last were sent */
    uint16_t **due[256];                 /* the ends of the boxes that are due so many ticks ahead */
    nc_boxes boxes;
    int failed;
} nc_scratch;

static int nc_push(nc_events *events, int64_t tick, int32_t a, int32_t b) {
    if (events->length == events->capacity) {
        size_t capacity = events->capacity ? 2 * events->capacity : 1024;
        nc_event *items = (nc_event *)realloc(events->items, capacity * sizeof(nc_event));
        if (!items) return -1;
        events->items = items;
        events->capacity = capacity;
    }
    events->items[events->length].tick = tick;
    events->items[events->length].a = a;
    events->items[events->length++].b = b;
    return 0;
}

typedef struct nc_pool nc_pool;
typedef struct {
    nc_pool *pool;
    nc_state state;                      /* own copy: the tick advances in each thread alike */
    nc_scratch scratch;
    int64_t begin, end;                  /* the cores whose scheduler rows only this thread writes */
    int64_t next;                        /* first core of its own that nobody has taken yet in this tick */
    int64_t slot;                        /* the scheduler plane of this tick */
    int64_t ready;                       /* the tick for which its scheduler rows are complete */
    double waited;                       /* seconds for other threads, since that was last looked at */
    int index;
    pthread_t thread;
} nc_worker;

typedef void (*nc_cores_function)(const nc_program *, nc_worker *, int64_t, int64_t, int);

struct nc_pool {
    const nc_program *program;
    nc_cores_function run;
    nc_worker *workers;
    int64_t *room;                       /* [group + 1]: first item of the box of a group among those of a slot */
    int64_t n_groups;
    int group_shift, capacity;           /* capacity: workers, whether or not their threads could be had */
    int64_t chunk, share;                /* cores taken at a time, and those whose scheduler rows one thread writes */
    int64_t n_ticks, begin, end;         /* ticks of the run, and which of them are the present segment */
    int started, available, n_threads;   /* threads besides the caller's; all with it; those at work */
    int waking, trusted;                 /* some threads rested before this segment; all were worth having in the last one */
    double elapsed, tick_seconds;        /* since waits were last looked at; of a tick in the last segment */
    double try_again, patience;          /* when all threads are tried again, and how long that is put off next */
    int arrived, passed;                 /* the barrier */
    int quits, called;                   /* called: threads at work in this generation */
    int64_t generation;                  /* of segments, for the threads that wait for one */
    pid_t process;                       /* a forked child has none of its parent's threads */
    pthread_mutex_t lock;
    pthread_cond_t wake;
};
