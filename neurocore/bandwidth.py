"""How much memory a tick of the emulator touches, and how much the machine can copy: what bounds the speed of a large chip."""

from __future__ import annotations

import itertools
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from neurocore.architecture import Architecture

COPY_BYTES = 256 * 2**20
"""Size of the array that is copied; several times the largest cache."""
COPY_ROUNDS = 5

CACHE_LINE = 64
"""Bytes that a scattered access moves."""
MEMBRANE_BITS = 32
"""Bits of state per neuron in the compiled engine's layout."""
MEMBRANE_ACCESSES = 2
"""Membranes are read and written in every tick."""
SCHEDULER_ACCESSES = 2
"""A core's scheduler row is read and cleared in every tick."""
SPIKE_LINES = 5
"""Cache lines of a spike: its destination read; its counter and its scheduler word each read and written."""
AXON_LINES = 2
"""Cache lines of an active axon's counter, read and written."""


def bytes_per_tick(arch: Architecture, busy_cores: int, active_axons: float, spikes: float) -> float:
    """Bytes that the compiled engine touches in a tick, cached or not.

    ``busy_cores`` are those that are not idle; ``active_axons`` and ``spikes`` are means per tick over the chip. The sum is
    of membranes (read and written), scheduler rows (read and cleared), words of who fired (written), one crossbar row and one
    counter per active axon, and destination, counter and scheduler word per spike. Parameters that cores share stay in the
    cache and are not counted.
    """
    neuron_words = -(-arch.core.neurons // 64)
    row, axon_row = 8 * neuron_words, 8 * -(-arch.core.axons // 64)
    membranes = MEMBRANE_ACCESSES * 8 * neuron_words * MEMBRANE_BITS
    per_core = membranes + SCHEDULER_ACCESSES * axon_row + row
    per_axon = row + AXON_LINES * CACHE_LINE
    return busy_cores * per_core + active_axons * per_axon + spikes * SPIKE_LINES * CACHE_LINE


def copy_bandwidth(threads: int = 1) -> float:
    """Bytes per second of a plain large NumPy copy, bytes read and bytes written both counted: best of five."""
    source = np.ones(COPY_BYTES // 8)
    target = np.zeros_like(source)
    parts = np.linspace(0, len(source), threads + 1).astype(int)
    slices = [slice(first, last) for first, last in itertools.pairwise(parts)]

    def copy(part: slice) -> None:
        np.copyto(target[part], source[part])

    best = 0.0
    with ThreadPoolExecutor(threads) as pool:
        for _ in range(COPY_ROUNDS):
            begun = time.perf_counter()
            list(pool.map(copy, slices))
            best = max(best, 2 * source.nbytes / (time.perf_counter() - begun))
    return best
