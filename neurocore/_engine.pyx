"""The compiled engine's loop: owns the state, calls ``kernel.h`` with the GIL released, and hands out what was recorded.

:mod:`neurocore.compiled` prepares the tables and speaks to the rest of the package.
"""

from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc, qsort
from libc.string cimport memcpy

import numpy as np


cdef extern from "kernel.h" nogil:
    ctypedef struct nc_profile:
        int32_t leak_from

    ctypedef struct nc_header:
        uint64_t key

    ctypedef struct nc_program:
        int64_t n_cores, n_words
        int32_t n_axons, n_types, n_slots, axon_words, units, planes
        int32_t random_bits, weight_planes
        int32_t clamps, clamp_min, clamp_max, clamp_fires, clamp_free_width
        int32_t stops_at_zero, floor_inclusive
        int32_t wide, target_shift
        const uint64_t *crossbar
        const nc_header *header
        const uint8_t *axon_type
        const uint64_t *full
        const uint64_t *pattern
        const uint64_t *type_mask
        const uint32_t *weight_row
        const uint32_t *weight_place
        const uint64_t *weight
        const uint32_t *weight_bits
        const uint64_t *chance
        const uint8_t *chance_used
        const nc_profile *profiles
        const uint64_t *leak
        const uint64_t *leak_chance
        const uint64_t *not_threshold
        const uint64_t *not_bound
        const uint64_t *reset
        const uint64_t *modes
        const uint64_t *threshold_mask
        int32_t mask_planes
        const void *target
        const uint64_t *zero

    ctypedef struct nc_event:
        int64_t tick
        int32_t a, b

    ctypedef struct nc_events:
        nc_event *items
        size_t length

    ctypedef struct nc_tally:
        uint64_t *low
        uint64_t *high
        uint32_t *total
        uint16_t *added
        uint16_t *folded

    ctypedef struct nc_state:
        int64_t tick
        uint64_t *near
        uint64_t *far
        uint8_t *width
        uint64_t *scheduler
        uint64_t *fired
        uint8_t *settled
        nc_tally axons, neurons
        const uint64_t *probe
        const int32_t *probe_row
        const int32_t *probe_lane
        int64_t n_probes
        int32_t *trace
        const int64_t *event_start
        const uint32_t *event_word
        const uint8_t *event_bit

    ctypedef struct nc_scratch:
        nc_events outputs
        nc_events spikes

    ctypedef struct nc_worker:
        nc_scratch scratch

    ctypedef struct nc_pool:
        nc_worker *workers
        int capacity, available, n_threads

    ctypedef struct nc_path:
        const char *name
        int supported

    enum: NC_PATHS
    enum: NC_LOW
    enum: NC_HIGH
    enum: NC_NEAR
    nc_path *nc_paths
    void nc_prepare()
    nc_pool *nc_pool_open(const nc_program *program, int path, int n_threads)
    void nc_pool_close(nc_pool *pool)
    int nc_pool_run(nc_pool *pool, nc_state *state, int64_t n_ticks)
    void nc_employ(nc_pool *pool, int n)
    int nc_needed_threads(int n, double elapsed, double waited)
    void nc_total(nc_tally *tally, int64_t n_units)
    void nc_slice(const int32_t *values, int64_t rows, int32_t n, int32_t units, int32_t begin, int32_t planes, uint64_t *out)
    void nc_read_membranes(const nc_program *program, const nc_state *state, int32_t neurons, int32_t *out)
    void nc_fit_widths(const nc_program *program, nc_state *state)
    void nc_pending(const nc_program *program, const nc_state *state, int64_t first, int64_t *pending)
    uint64_t nc_tick_key(uint64_t core_key, int64_t tick, uint64_t purpose)
    uint32_t nc_word(uint32_t low, uint32_t high, uint32_t index)


nc_prepare()

LOW_PLANES, HIGH_PLANES, NEAR_PLANES = NC_LOW, NC_HIGH, NC_NEAR


def paths():
    """The instruction sets that this build has code for, best first, and whether the processor has each."""
    return {nc_paths[i].name.decode(): bool(nc_paths[i].supported) for i in range(NC_PATHS)}


def draw_word(uint64_t core_key, int64_t tick, uint64_t purpose, uint32_t index):
    """Word ``index`` of the random stream that the kernel draws for a core, tick and purpose (compare draws.py)."""
    cdef uint64_t key = nc_tick_key(core_key, tick, purpose)
    return nc_word(<uint32_t>key, <uint32_t>(key >> 32), index)


def needed_threads(int n, double elapsed, double waited):
    """The threads worth keeping of n, one of which waited so many of the elapsed seconds for others."""
    return nc_needed_threads(n, elapsed, waited)


def slice_planes(const int32_t[:, ::1] values, uint64_t[:, :, ::1] out):
    """Write bit b of ``values`` [rows, lanes] to plane b of ``out`` [rows, planes, 4], two's complement; at most 256 lanes."""
    if out.shape[0] != values.shape[0] or out.shape[2] != 4 or values.shape[1] > 256:
        raise ValueError("planes and values differ in shape")
    if out.shape[0] and out.shape[1] and values.shape[1]:
        with nogil:
            nc_slice(&values[0, 0], values.shape[0], <int32_t>values.shape[1], 1, 0, <int32_t>out.shape[1],
                     &out[0, 0, 0])


cdef class Program:
    """Tables of a chip in the kernel's layout; keeps the arrays alive that the C struct points into."""

    cdef nc_program c
    cdef readonly dict tables
    cdef readonly object sizes

    def __init__(self, dict tables, dict sizes):
        self.tables = tables
        self.sizes = sizes
        self.c.n_cores = sizes["n_cores"]
        self.c.n_words = sizes["scheduler_words"]
        self.c.n_axons = sizes["n_axons"]
        self.c.n_types = sizes["n_types"]
        self.c.n_slots = sizes["n_slots"]
        self.c.axon_words = sizes["axon_words"]
        self.c.units = sizes["units"]
        self.c.planes = sizes["planes"]
        self.c.random_bits = sizes["random_bits"]
        self.c.weight_planes = sizes["weight_planes"]
        self.c.clamps = sizes["clamps"]
        self.c.clamp_min = sizes["clamp_min"]
        self.c.clamp_max = sizes["clamp_max"]
        self.c.clamp_fires = sizes["clamp_fires"]
        self.c.clamp_free_width = sizes["clamp_free_width"]
        self.c.stops_at_zero = sizes["stops_at_zero"]
        self.c.floor_inclusive = sizes["floor_inclusive"]
        self.c.wide = sizes["wide"]
        self.c.target_shift = sizes["target_shift"]
        self.c.mask_planes = sizes["mask_planes"]
        self.c.crossbar = <const uint64_t *>_address(tables, "crossbar", np.uint64)
        self.c.header = <const nc_header *>_address(tables, "header", np.uint8)
        self.c.axon_type = <const uint8_t *>_address(tables, "axon_type", np.uint8)
        self.c.full = <const uint64_t *>_address(tables, "full", np.uint64)
        self.c.pattern = <const uint64_t *>_address(tables, "pattern", np.uint64)
        self.c.type_mask = <const uint64_t *>_address(tables, "type_mask", np.uint64)
        self.c.weight_place = <const uint32_t *>_address(tables, "weight_place", np.uint32)
        self.c.weight_row = <const uint32_t *>_address(tables, "weight_row", np.uint32)
        self.c.weight = <const uint64_t *>_address(tables, "weight", np.uint64)
        self.c.weight_bits = <const uint32_t *>_address(tables, "weight_bits", np.uint32)
        self.c.chance = <const uint64_t *>_address(tables, "chance", np.uint64)
        self.c.chance_used = <const uint8_t *>_address(tables, "chance_used", np.uint8)
        self.c.profiles = <const nc_profile *>_address(tables, "profiles", np.int32)
        self.c.leak = <const uint64_t *>_address(tables, "leak", np.uint64)
        self.c.leak_chance = <const uint64_t *>_address(tables, "leak_chance", np.uint64)
        self.c.not_threshold = <const uint64_t *>_address(tables, "not_threshold", np.uint64)
        self.c.not_bound = <const uint64_t *>_address(tables, "not_bound", np.uint64)
        self.c.reset = <const uint64_t *>_address(tables, "reset", np.uint64)
        self.c.modes = <const uint64_t *>_address(tables, "modes", np.uint64)
        self.c.threshold_mask = <const uint64_t *>_address(tables, "threshold_mask", np.uint64)
        self.c.target = <const void *>_address(tables, "target", np.uint64 if sizes["wide"] else np.uint32)
        self.c.zero = <const uint64_t *>_address(tables, "zero", np.uint64)


cdef size_t _address(dict tables, str name, object dtype) except? 0:
    """Address of a table's first element; 0 for a table that the chip does not need (None) or that is empty."""
    array = tables[name]
    if array is None or array.size == 0:
        return 0
    if array.dtype != dtype or not array.flags.c_contiguous or array.ctypes.data % array.itemsize:
        raise TypeError(f"table {name!r} must be an aligned, contiguous array of {np.dtype(dtype)}")
    return array.ctypes.data


cdef void _set_tally(nc_tally *tally, dict arrays, str name) except *:
    tally.low = <uint64_t *>_address(arrays, name + "_low", np.uint64)
    tally.high = <uint64_t *>_address(arrays, name + "_high", np.uint64)
    tally.total = <uint32_t *>_address(arrays, name + "_total", np.uint32)
    tally.added = <uint16_t *>_address(arrays, name + "_added", np.uint16)
    tally.folded = <uint16_t *>_address(arrays, name + "_folded", np.uint16)


cdef class State:
    """What changes while a chip runs. Arrays are NumPy's, given by the caller, in the kernel's layout."""

    cdef nc_state c
    cdef nc_pool *pool
    cdef readonly Program program
    cdef readonly dict arrays
    cdef readonly object probes
    cdef int64_t[::1] external, event_start
    cdef uint32_t[::1] event_word
    cdef uint8_t[::1] event_bit
    cdef list traces

    def __init__(self, Program program, dict arrays, object probes, str path, int n_threads):
        cdef int number = list(paths()).index(path)
        self.program = program
        self.arrays = arrays
        self.probes = probes
        self.c.near = <uint64_t *>_address(arrays, "near", np.uint64)
        self.c.far = <uint64_t *>_address(arrays, "far", np.uint64)
        self.c.width = <uint8_t *>_address(arrays, "width", np.uint8)
        self.c.scheduler = <uint64_t *>_address(arrays, "scheduler", np.uint64)
        self.c.fired = <uint64_t *>_address(arrays, "fired", np.uint64)
        self.c.settled = <uint8_t *>_address(arrays, "settled", np.uint8)
        _set_tally(&self.c.axons, arrays, "axon")
        _set_tally(&self.c.neurons, arrays, "neuron")
        self.external = arrays["external"]
        self._make_room(1, 1)
        if probes is not None:
            self.c.probe = <const uint64_t *>_address(probes, "spikes", np.uint64)
            self.c.probe_row = <const int32_t *>_address(probes, "row", np.int32)
            self.c.probe_lane = <const int32_t *>_address(probes, "lane", np.int32)
            self.c.n_probes = 0 if probes["row"] is None else len(probes["row"])
        self.pool = nc_pool_open(&program.c, number, n_threads)
        if self.pool is NULL:
            raise MemoryError("no memory for the worker threads")
        self.traces = []

    def __dealloc__(self):
        nc_pool_close(self.pool)

    @property
    def tick(self):
        """The tick that comes next."""
        return self.c.tick

    @tick.setter
    def tick(self, int64_t value):
        self.c.tick = value

    @property
    def working(self):
        """How many of the threads are at work; busy processors change it, and it changes no result. May be set."""
        return self.pool.n_threads

    @working.setter
    def working(self, int value):
        if not 1 <= value <= self.pool.available:
            raise ValueError(f"{value} threads cannot work; there are {self.pool.available}")
        nc_employ(self.pool, value)

    def run(self, int64_t n_ticks, const int64_t[:] tick, const int64_t[:] row, const int64_t[:] axon):
        """Run n_ticks ticks; external spike k makes axon ``axon[k]`` of core ``row[k]`` active in ``tick[k]``, ticks ascending.

        The array ``external`` counts them. What the ticks record waits for :meth:`take`.
        """
        cdef int32_t[:, ::1] trace_view
        cdef int failed = 0
        if n_ticks == 0:
            return
        self._feed(n_ticks, tick, row, axon)
        if self.c.n_probes:
            trace = np.zeros((n_ticks, self.c.n_probes), np.int32)
            self.traces.append(trace)
            trace_view = trace
            self.c.trace = &trace_view[0, 0]
        with nogil:
            failed = nc_pool_run(self.pool, &self.c, n_ticks)
        if failed:
            raise MemoryError("no memory for the recorded spikes; record fewer or run in shorter parts")

    cdef _feed(self, int64_t n_ticks, const int64_t[:] tick, const int64_t[:] row, const int64_t[:] axon):
        """Put external spikes where the kernel reads them, in CSR form by tick."""
        cdef int64_t k, offset, next_start = 0, n = tick.shape[0], words = self.program.c.axon_words
        if n_ticks >= self.event_start.shape[0] or n > self.event_word.shape[0]:
            self._make_room(n_ticks, n)
        self.c.event_start = &self.event_start[0]
        self.c.event_word = &self.event_word[0]
        self.c.event_bit = &self.event_bit[0]
        for k in range(n):
            offset = tick[k] - self.c.tick
            if not (0 <= offset < n_ticks and 0 <= row[k] < self.program.c.n_cores and 0 <= axon[k] < self.program.c.n_axons):
                raise ValueError(f"no external spike can reach axon {axon[k]} of row {row[k]} at tick {tick[k]} in this run")
            while next_start <= offset:
                self.event_start[next_start] = k
                next_start += 1
            self.event_word[k] = <uint32_t>(row[k] * words + axon[k] // 64)
            self.event_bit[k] = <uint8_t>(axon[k] % 64)
            self.external[row[k]] += 1
        while next_start <= n_ticks:
            self.event_start[next_start] = n
            next_start += 1

    cdef _make_room(self, int64_t n_ticks, int64_t n_events):
        """Room for so many ticks and external spikes."""
        self.event_start = np.empty(n_ticks + 1, np.int64)
        self.event_word = np.empty(max(n_events, 1), np.uint32)
        self.event_bit = np.empty(max(n_events, 1), np.uint8)

    def take(self):
        """What was recorded since the last call, None if that is nothing: sorted columns and membranes [ticks, probed].

        The columns are tick and line of the output spikes, then tick, row and neuron of the probed ones.
        """
        outputs, spikes = _taken(self.pool, False), _taken(self.pool, True)
        if outputs is None and spikes is None and not self.traces:
            return None
        traces, self.traces = self.traces or [np.zeros((0, self.c.n_probes), np.int32)], []
        membranes = traces[0] if len(traces) == 1 else np.concatenate(traces)
        return *(_NO_COLUMNS[:2] if outputs is None else outputs), *(_NO_COLUMNS if spikes is None else spikes), membranes

    def total(self):
        """Bring the arrays ``axon_total`` and ``neuron_total`` up to date."""
        cdef int64_t axon_units = self.program.c.n_cores * (self.program.c.axon_words // 4)
        cdef int64_t neuron_units = self.program.c.n_cores * self.program.c.units
        with nogil:
            nc_total(&self.c.axons, axon_units)
            nc_total(&self.c.neurons, neuron_units)

    def membranes(self, int32_t neurons):
        """The membranes [n, neurons] as numbers, int32."""
        out = np.empty((self.program.c.n_cores, neurons), np.int32)
        cdef int32_t[:, ::1] view = out
        if out.size:
            with nogil:
                nc_read_membranes(&self.program.c, &self.c, neurons, &view[0, 0])
        return out

    def set_membranes(self, const int32_t[:, ::1] values):
        """Set the membranes [n, N] from numbers within the chip's range."""
        cdef int32_t n = <int32_t>values.shape[1], units = self.program.c.units
        if values.shape[0] and values.shape[1]:
            with nogil:
                nc_slice(&values[0, 0], values.shape[0], n, units, 0, NC_NEAR, self.c.near)
                nc_slice(&values[0, 0], values.shape[0], n, units, NC_NEAR, self.program.c.planes - NC_NEAR, self.c.far)
                nc_fit_widths(&self.program.c, &self.c)

    def pending(self, int64_t first, int64_t[:, ::1] counts):
        """Add to ``counts`` [slots, n] the deliveries that were sent from tick ``first`` on and are not yet due."""
        if counts.shape[1]:
            with nogil:
                nc_pending(&self.program.c, &self.c, first, &counts[0, 0])


_NO_COLUMNS = np.zeros((3, 0), np.int64)


cdef object _taken(nc_pool *pool, bint probed):
    """The output spikes or the probed ones that the workers hold, as columns, sorted, and then no longer held; None if none."""
    cdef int64_t[:, ::1] view
    cdef nc_event *items
    cdef size_t n = 0, i
    cdef int k
    for k in range(pool.capacity):
        n += _events(pool, k, probed).length
    if n == 0:
        return None
    columns = np.empty((3 if probed else 2, n), np.int64)
    view = columns
    items = <nc_event *>malloc(n * sizeof(nc_event))
    if items is NULL:
        raise MemoryError("no memory for the recorded spikes; record fewer or run in shorter parts")
    with nogil:
        _gather(pool, probed, items)
        if not _sorted(items, n):
            qsort(items, n, sizeof(nc_event), _compare)
        for i in range(n):
            view[0, i] = items[i].tick
            view[1, i] = items[i].a
            if probed:
                view[2, i] = items[i].b
        free(items)
    return columns


cdef nc_events *_events(nc_pool *pool, int worker, bint probed) noexcept nogil:
    return &pool.workers[worker].scratch.spikes if probed else &pool.workers[worker].scratch.outputs


cdef void _gather(nc_pool *pool, bint probed, nc_event *items) noexcept nogil:
    """Move the events of all workers to one place."""
    cdef nc_events *events
    cdef int k
    for k in range(pool.capacity):
        events = _events(pool, k, probed)
        if events.length:
            memcpy(items, events.items, events.length * sizeof(nc_event))
        items += events.length
        events.length = 0


cdef bint _sorted(const nc_event *items, size_t n) noexcept nogil:
    """Whether events are in order, as those of one thread mostly are."""
    cdef size_t i
    for i in range(1, n):
        if _compare(&items[i - 1], &items[i]) > 0:
            return False
    return True


cdef int _compare(const void *one, const void *other) noexcept nogil:
    """Order of events for qsort: by tick, then a, then b."""
    cdef const nc_event *x = <const nc_event *>one
    cdef const nc_event *y = <const nc_event *>other
    if x.tick != y.tick:
        return 1 if x.tick > y.tick else -1
    if x.a != y.a:
        return 1 if x.a > y.a else -1
    return (x.b > y.b) - (x.b < y.b)
