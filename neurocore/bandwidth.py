"""How much memory a tick of the emulator touches, and how much the machine can copy: what bounds the speed of a large chip."""

from __future__ import annotations

import contextlib
import itertools
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from neurocore.architecture import Architecture

COPY_BYTES = 256 * 2**20
"""Size of the array that is copied; several times the largest cache."""
COPY_ROUNDS = 5

CACHE_LINE = 64
"""Bytes that a scattered access moves."""
MEMBRANE_PLANES = 8
"""Bits of state per neuron: the compiled engine keeps as many planes as the values need; this is usual for small thresholds."""
COUNTER_PLANES = 4
"""Planes in which axons and neurons are counted in every tick."""
ACCESSES = 2
"""Membranes, counters and scheduler rows are read and written in every tick."""
DESTINATION_BYTES = 4
"""What a neuron's destination takes on a chip; where axons and delays need more than 32 bits it is 8."""
CACHES = "/sys/devices/system/cpu/cpu0/cache"
"""Where Linux says which caches the first processor has."""
CACHE_UNITS = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}
"""How Linux writes the sizes of caches."""
BOX_BYTES = 4
"""A delivery is two bytes, written to a box and read from it in the tick in which it is due."""


def bytes_per_tick(arch: Architecture, busy_cores: int, active_axons: float, spikes: float) -> float:
    """Bytes that the compiled engine touches in a tick, cached or not.

    ``busy_cores`` are those that are not idle; ``active_axons`` and ``spikes`` are means per tick over the chip. The sum is
    of the planes of membranes and counters and the scheduler rows (read and written), a cache line of crossbar per active
    axon, and per spike a cache line for its destination and a delivery (written and read). Parameters that cores share stay
    in the cache and are not counted; rows that are alike are counted although they need not be read.
    """
    row, axon_row = _rows(arch)
    planes = MEMBRANE_PLANES * row + COUNTER_PLANES * (row + axon_row) + axon_row
    per_axon = max(row, CACHE_LINE)
    return busy_cores * ACCESSES * planes + active_axons * per_axon + spikes * (CACHE_LINE + BOX_BYTES)


def _rows(arch: Architecture) -> tuple[int, int]:
    """Bytes of a plane of a core's neurons, and of its axons."""
    return 32 * -(-arch.core.neurons // 256), 32 * -(-arch.core.axons // 256)


def working_set(arch: Architecture, busy_cores: int) -> int:
    """Bytes that ticks come back to: crossbars, membranes, counters, scheduler rows and destinations of busy cores."""
    row, axon_row = _rows(arch)
    planes = (MEMBRANE_PLANES + COUNTER_PLANES) * row + COUNTER_PLANES * axon_row
    scheduler = (arch.routing.delay.max + 1) * axon_row
    return busy_cores * (arch.core.axons * row + planes + scheduler + DESTINATION_BYTES * arch.core.neurons)


def largest_cache(folder: str = CACHES) -> int | None:
    """Bytes of the largest cache of the first processor; None where the system does not say."""
    sizes = []
    for path in Path(folder).glob("index*/size"):
        with contextlib.suppress(OSError, ValueError):  # Some machines have the file and refuse to show it.
            text = path.read_text(encoding="ascii").strip()
            unit = CACHE_UNITS.get(text[-1:], 1)
            sizes.append(int(text.rstrip("KMG")) * unit)
    return max(sizes, default=None)


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
