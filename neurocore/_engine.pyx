"""The compiled engine's loop: owns the state, calls ``kernel.h`` with the GIL released, and hands out what was recorded.

:mod:`neurocore.compiled` prepares the tables and speaks to the rest of the package.
"""

from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free

import numpy as np


cdef extern from "kernel.h" nogil:
    ctypedef struct nc_program:
        int64_t n_cores
        int32_t n_axons, n_types, n_slots, axon_words, lane_words, lanes
        int32_t draw_mask, clamp_min, clamp_max, clamp_fires, stops_at_zero, floor_inclusive
        const uint64_t *crossbar
        const uint8_t *axon_type
        const uint32_t *weight_row
        const int32_t *weight
        const int32_t *weight_chance
        const uint32_t *profile
        const int32_t *leak
        const int32_t *leak_sign
        const uint8_t *leak_magnitude
        const int32_t *reversal
        const int32_t *threshold
        const int32_t *floor
        const int32_t *reset
        const int32_t *threshold_mask
        const int32_t *high
        const int32_t *low
        const int32_t *saturate
        const uint8_t *reset_mode
        const uint8_t *floor_mode
        const uint8_t *features
        const uint64_t *target
        const uint64_t *key

    ctypedef struct nc_event:
        int64_t tick
        int32_t a, b

    ctypedef struct nc_events:
        nc_event *items
        size_t length

    ctypedef struct nc_state:
        int64_t tick
        int32_t *membrane
        uint64_t *scheduler
        uint64_t *fired
        uint8_t *settled
        uint32_t *axon_count
        uint32_t *neuron_count
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
        const nc_program *program
        nc_scratch scratch

    void nc_prepare()
    int nc_open(nc_worker *worker)
    void nc_close(nc_worker *worker)
    int nc_run(nc_worker *workers, int n, const nc_program *program, nc_state *state, int64_t n_ticks)
    uint64_t nc_tick_key(uint64_t core_key, int64_t tick, uint64_t purpose)
    uint32_t nc_word(uint32_t low, uint32_t high, uint32_t index)


nc_prepare()


def draw_word(uint64_t core_key, int64_t tick, uint64_t purpose, uint32_t index):
    """Word ``index`` of the random stream that the kernel draws for a core, tick and purpose (compare draws.py)."""
    cdef uint64_t key = nc_tick_key(core_key, tick, purpose)
    return nc_word(<uint32_t>key, <uint32_t>(key >> 32), index)


cdef class Program:
    """Tables of a chip in the kernel's layout; keeps the arrays alive that the C struct points into."""

    cdef nc_program c
    cdef readonly dict tables
    cdef readonly object sizes

    def __init__(self, dict tables, dict sizes):
        self.tables = tables
        self.sizes = sizes
        self.c.n_cores = sizes["n_cores"]
        self.c.n_axons = sizes["n_axons"]
        self.c.n_types = sizes["n_types"]
        self.c.n_slots = sizes["n_slots"]
        self.c.axon_words = sizes["axon_words"]
        self.c.lane_words = sizes["lane_words"]
        self.c.lanes = 64 * self.c.lane_words
        self.c.draw_mask = sizes["draw_mask"]
        self.c.clamp_min = sizes["clamp_min"]
        self.c.clamp_max = sizes["clamp_max"]
        self.c.clamp_fires = sizes["clamp_fires"]
        self.c.stops_at_zero = sizes["stops_at_zero"]
        self.c.floor_inclusive = sizes["floor_inclusive"]
        self.c.crossbar = <const uint64_t *>_address(tables, "crossbar", np.uint64)
        self.c.axon_type = <const uint8_t *>_address(tables, "axon_type", np.uint8)
        self.c.weight_row = <const uint32_t *>_address(tables, "weight_row", np.uint32)
        self.c.weight = <const int32_t *>_address(tables, "weight", np.int32)
        self.c.weight_chance = <const int32_t *>_address(tables, "weight_chance", np.int32)
        self.c.profile = <const uint32_t *>_address(tables, "profile", np.uint32)
        self.c.leak = <const int32_t *>_address(tables, "leak", np.int32)
        self.c.leak_sign = <const int32_t *>_address(tables, "leak_sign", np.int32)
        self.c.leak_magnitude = <const uint8_t *>_address(tables, "leak_magnitude", np.uint8)
        self.c.reversal = <const int32_t *>_address(tables, "reversal", np.int32)
        self.c.threshold = <const int32_t *>_address(tables, "threshold", np.int32)
        self.c.floor = <const int32_t *>_address(tables, "floor", np.int32)
        self.c.reset = <const int32_t *>_address(tables, "reset", np.int32)
        self.c.threshold_mask = <const int32_t *>_address(tables, "threshold_mask", np.int32)
        self.c.high = <const int32_t *>_address(tables, "high", np.int32)
        self.c.low = <const int32_t *>_address(tables, "low", np.int32)
        self.c.saturate = <const int32_t *>_address(tables, "saturate", np.int32)
        self.c.reset_mode = <const uint8_t *>_address(tables, "reset_mode", np.uint8)
        self.c.floor_mode = <const uint8_t *>_address(tables, "floor_mode", np.uint8)
        self.c.features = <const uint8_t *>_address(tables, "features", np.uint8)
        self.c.target = <const uint64_t *>_address(tables, "target", np.uint64)
        self.c.key = <const uint64_t *>_address(tables, "key", np.uint64)


cdef size_t _address(dict tables, str name, object dtype) except? 0:
    """Address of a table's first element; 0 for a table that the chip does not need (None) or that is empty."""
    array = tables[name]
    if array is None or array.size == 0:
        return 0
    if array.dtype != dtype or not array.flags.c_contiguous or array.ctypes.data % 32:
        raise TypeError(f"table {name!r} must be an aligned, contiguous array of {np.dtype(dtype)}")
    return array.ctypes.data


cdef class State:
    """What changes while a chip runs. Arrays are NumPy's, given by the caller, in the kernel's layout."""

    cdef nc_state c
    cdef readonly Program program
    cdef readonly dict arrays
    cdef readonly object probes
    cdef readonly list outputs, spikes, traces

    def __init__(self, Program program, dict arrays, object probes):
        self.program = program
        self.arrays = arrays
        self.probes = probes
        self.c.membrane = <int32_t *>_address(arrays, "membrane", np.int32)
        self.c.scheduler = <uint64_t *>_address(arrays, "scheduler", np.uint64)
        self.c.fired = <uint64_t *>_address(arrays, "fired", np.uint64)
        self.c.settled = <uint8_t *>_address(arrays, "settled", np.uint8)
        self.c.axon_count = <uint32_t *>_address(arrays, "axon_count", np.uint32)
        self.c.neuron_count = <uint32_t *>_address(arrays, "neuron_count", np.uint32)
        if probes is not None:
            self.c.probe = <const uint64_t *>_address(probes, "spikes", np.uint64)
            self.c.probe_row = <const int32_t *>_address(probes, "row", np.int32)
            self.c.probe_lane = <const int32_t *>_address(probes, "lane", np.int32)
            self.c.n_probes = 0 if probes["row"] is None else len(probes["row"])
        self.outputs, self.spikes, self.traces = [], [], []

    @property
    def tick(self):
        """The tick that comes next."""
        return self.c.tick

    @tick.setter
    def tick(self, int64_t value):
        self.c.tick = value

    def run(self, int64_t n_ticks, int n_threads, const int64_t[::1] event_start, const uint32_t[::1] event_word,
            const uint8_t[::1] event_bit):
        """Run n_ticks ticks on n_threads threads; ``event_*`` are the external spikes, in CSR form by tick."""
        trace = np.zeros((n_ticks, self.c.n_probes), np.int32)
        cdef int32_t[:, ::1] trace_view = trace
        cdef int32_t nothing = 0
        cdef int failed = 0, i, opened = 0
        if n_ticks == 0:
            return
        cdef nc_worker *workers = <nc_worker *>calloc(n_threads, sizeof(nc_worker))
        if workers is NULL:
            raise MemoryError("no memory for the worker threads")
        self.c.trace = &trace_view[0, 0] if self.c.n_probes else &nothing
        self.c.event_start = &event_start[0]
        self.c.event_word = &event_word[0] if event_word.shape[0] else NULL
        self.c.event_bit = &event_bit[0] if event_bit.shape[0] else NULL
        try:
            for i in range(n_threads):
                workers[i].program = &self.program.c
                opened = i + 1
                if nc_open(&workers[i]):
                    raise MemoryError("no memory for a worker thread")
            with nogil:
                failed = nc_run(workers, n_threads, &self.program.c, &self.c, n_ticks)
            if failed:
                raise MemoryError("no memory for the recorded spikes; record fewer or run in shorter parts")
            for i in range(n_threads):
                _keep(self.outputs, &workers[i].scratch.outputs)
                _keep(self.spikes, &workers[i].scratch.spikes)
            if self.c.n_probes:
                self.traces.append(trace)
        finally:
            for i in range(opened):
                nc_close(&workers[i])
            free(workers)

    def take(self):
        """The recorded (output events [k, 3], spike events [k, 3], membranes) since the last call."""
        empty = [np.zeros((0, 3), np.int64)]
        result = (np.concatenate(empty + self.outputs), np.concatenate(empty + self.spikes),
                  np.concatenate([np.zeros((0, self.c.n_probes), np.int32)] + self.traces))
        self.outputs, self.spikes, self.traces = [], [], []
        return result


cdef _keep(list kept, nc_events *events):
    """Append a copy of the events as an array [k, 3] of tick, a, b."""
    cdef size_t i
    if events.length == 0:
        return
    copied = np.empty((events.length, 3), np.int64)
    cdef int64_t[:, ::1] view = copied
    with nogil:
        for i in range(events.length):
            view[i, 0] = events.items[i].tick
            view[i, 1] = events.items[i].a
            view[i, 2] = events.items[i].b
    kept.append(copied)
