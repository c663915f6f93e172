"""The part of the proof that is about places: every packet of a finished chip arrives, and nothing that is dead is needed.

As the rest of the proof, this shares no code with the passes that made the chip.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from neurocore.compiler.defects import SIDES, Defects
from neurocore.config import OUTPUT, ChipConfig

Array = npt.NDArray[Any]

MOST_NAMED = 3


def arrival_problems(chip: ChipConfig, used: Array, defects: Defects) -> list[str]:
    """Packets that go too far or over a dead link, and what is dead but needed. ``used`` [n, A] are axons that reach a neuron."""
    return [*_far(chip), *_over_dead_links(chip, defects), *_dead(chip, used, defects)]


def _ways(chip: ChipConfig) -> tuple[Array, Array, Array, Array, Array, Array]:
    """Row and slot of every neuron that sends to a core, and the x and y of both ends."""
    cores, columns = chip.cores, chip.architecture.columns
    row, slot = np.nonzero(cores.configured & (cores.target_core >= 0))
    y0, x0 = np.divmod(cores.core[row].astype(np.int64), columns)
    y1, x1 = np.divmod(cores.target_core[row, slot].astype(np.int64), columns)
    return row, slot, x0, y0, x1, y1


def _far(chip: ChipConfig) -> Iterator[str]:
    """Neurons whose packets would have to travel farther than they can."""
    _, slot, x0, y0, x1, y1 = _ways(chip)
    arch = chip.architecture
    for name, way, reach in (("x", x1 - x0, arch.routing.reach.dx), ("y", y1 - y0, arch.routing.reach.dy)):
        for place in np.flatnonzero((way < reach.min) | (way > reach.max))[:MOST_NAMED].tolist():
            yield (
                f"core ({x0[place]}, {y0[place]}) neuron {slot[place]} sends {way[place]} cores far in {name}; a packet of"
                f" {arch.name!r} travels {reach}"
            )


def _over_dead_links(chip: ChipConfig, defects: Defects) -> Iterator[str]:
    """Neurons whose packets, which go along x first, cross a dead link, and cores whose inputs or outputs would."""
    cores = chip.cores
    _, slot, x0, y0, x1, y1 = _ways(chip)
    out = cores.core[(cores.configured & (cores.target_core == OUTPUT)).any(axis=1)]
    y_io, x_io = np.divmod(np.union1d(out, chip.input_map.core).astype(np.int64), chip.architecture.columns)
    for x, y, side in defects.links.tolist():
        link = f"the dead link of core ({x}, {y}) to the {SIDES[side]}"
        met = (
            (y0 == y) & (x0 <= x) & (x < x1),
            (y0 == y) & (x0 >= x) & (x > x1),
            (x1 == x) & (y0 <= y) & (y < y1),
            (x1 == x) & (y0 >= y) & (y > y1),
        )[side]
        for place in np.flatnonzero(met)[:1].tolist():
            yield f"core ({x0[place]}, {y0[place]}) neuron {slot[place]} sends over {link}"
        cut = (y_io == y) & ((x_io > x) if SIDES[side] == "east" else (x_io >= x))
        if SIDES[side] in ("east", "west") and cut.any():
            yield f"core ({x_io[cut][0]}, {y}) has inputs or outputs beyond {link}"


def _dead(chip: ChipConfig, used: Array, defects: Defects) -> Iterator[str]:
    """Dead cores that are configured, and dead axons that reach a neuron."""
    rows = chip.row_of()
    for x, y in defects.cores.tolist():
        if rows[chip.architecture.core_id(x, y)] >= 0:
            yield f"core ({x}, {y}) is dead, but configured"
    for x, y, axon in defects.axons.tolist():
        row = rows[chip.architecture.core_id(x, y)]
        if row >= 0 and used[row, axon]:
            yield f"axon {axon} of core ({x}, {y}) is dead, but reaches a neuron"
