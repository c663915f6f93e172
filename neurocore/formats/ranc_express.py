"""Whether RANC's simulator would run a chip spike for spike the same, and if not, why not.

RANC draws no random numbers, has no leak reversal, always resets, knows no saturating floor and does not clamp. A floor or a
clamp that a membrane cannot reach does not count; bounds on the membranes say when it could first be reached, so that a
chip can be exported for runs of a stated length.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from neurocore.config import ChipConfig

Array = npt.NDArray[Any]

NEVER = 2**62
"""Tick of what cannot happen."""

MAX_LISTED = 20

_LINEAR, _NONE = 1, 2
_SATURATE = 1


@dataclass(frozen=True)
class Bounds:
    """What bounds the membranes of n cores with N neurons each, int64 [n, N].

    A tick adds at least ``down`` (<= 0) and at most ``up`` (>= 0). At the end of tick t a membrane lies within
    ``low - (t + 1) * low_drift`` .. ``high + (t + 1) * high_drift``, as long as nothing clamps it or wraps.
    ``least`` is the lowest value from which a membrane can start to sink.
    """

    up: Array
    down: Array
    low: Array
    high: Array
    low_drift: Array
    high_drift: Array
    least: Array

    @staticmethod
    def of(chip: ChipConfig) -> Bounds:
        """The bounds of every neuron."""
        cores = chip.cores
        weight, leak = cores.weight.astype(np.int64), cores.leak.astype(np.int64)
        count = connection_counts(chip)
        up = (count * np.maximum(weight, 0)).sum(axis=1) + np.maximum(leak, 0)
        down = (count * np.minimum(weight, 0)).sum(axis=1) + np.minimum(leak, 0)
        start, reset = cores.initial.astype(np.int64), cores.reset.astype(np.int64)
        alpha, beta = cores.threshold.astype(np.int64), cores.floor.astype(np.int64)
        linear, holds = cores.reset_mode == _LINEAR, cores.floor_mode == _SATURATE
        after_spike = np.where(linear, 0, reset)
        bounced = np.where(holds | linear, -beta, -reset)
        least = np.minimum(start, after_spike)
        return Bounds(
            up,
            down,
            np.minimum(np.minimum(least, bounced), np.where(linear & ~holds, down, -beta)),
            np.maximum(np.maximum(start, after_spike), np.maximum(alpha - 1, bounced)),
            np.where(linear & ~holds, np.maximum(-down - beta, 0), 0),
            np.where(linear, np.maximum(up - alpha, 0), 0),
            least,
        )


def connection_counts(chip: ChipConfig) -> Array:
    """How many axons of each type reach each neuron, int64 [n, G, N]."""
    cores, core = chip.cores, chip.architecture.core
    counts = np.zeros((len(cores), core.axon_types, core.neurons), np.int64)
    for row in range(len(cores)):
        bits = chip.crossbar_bits(row)
        used = np.flatnonzero(bits.any(axis=1))
        for kind in np.unique(cores.axon_type[row, used]):
            counts[row, kind] = bits[used[cores.axon_type[row, used] == kind]].sum(axis=0)
    return counts


def find_reasons(chip: ChipConfig, ticks: int | None = None) -> list[str]:
    """Why RANC cannot run the chip the same, one sentence per kind of reason; empty if it can.

    With ``ticks``, for runs of so many ticks from tick 0.
    """
    cores, arch = chip.cores, chip.architecture
    used = cores.configured
    random_weight = (cores.weight_stochastic & (cores.weight != 0) & (connection_counts(chip) > 0)).any(axis=1)
    found = _Reasons(chip)
    found.add(random_weight & used, "has a stochastic weight, and RANC draws no random numbers")
    found.add(
        cores.leak_stochastic & (cores.leak != 0) & used, "has a stochastic leak, and RANC draws no random numbers"
    )
    found.add((cores.threshold_mask_bits != 0) & used, "has a random threshold, and RANC draws no random numbers")
    found.add(cores.leak_reversal & (cores.leak != 0) & used, "reverses its leak below zero; RANC's leak has one sign")
    found.add(
        (cores.reset_mode == _NONE) & used, "is not reset when it fires; RANC has the reset modes value and linear"
    )
    bounds = Bounds.of(chip)
    saturates = (cores.floor_mode == _SATURATE) & ~((cores.reset_mode == 0) & (cores.reset == cores.floor)) & used
    first = np.where(saturates, _first_below_floor(chip, bounds), NEVER)
    found.add_timed(first, ticks, "is held at its floor (floor mode saturate), where RANC would reset it")
    if arch.rules.clamp:
        found.add_timed(
            np.where(used, _first_clamped(chip, bounds), NEVER), ticks, "can be clamped; RANC's membranes have no clamp"
        )
    return found.sentences


def _first_below_floor(chip: ChipConfig, bounds: Bounds) -> Array:
    """First tick [n, N] in which the membrane can be below -beta before the floor acts."""
    room = bounds.least + chip.cores.floor.astype(np.int64)
    sinking = np.maximum(-bounds.down, 1)
    tick = np.where(bounds.down < 0, np.maximum(room, 0) // sinking, NEVER)
    return np.where(room < 0, 0, tick)


def _first_clamped(chip: ChipConfig, bounds: Bounds) -> Array:
    """First tick [n, N] in which the membrane can exceed the clamp at the end of the tick."""
    limits = chip.architecture.neuron.membrane
    above = _first_beyond(limits.max - bounds.high, bounds.high_drift)
    below = _first_beyond(bounds.low - limits.min, bounds.low_drift)
    return np.minimum(above, below)


def _first_beyond(room: Array, drift: Array) -> Array:
    tick = np.where(drift > 0, np.maximum(room, 0) // np.maximum(drift, 1), NEVER)
    return np.where(room < 0, 0, tick)


class _Reasons:
    """Sentences about the first neuron that a reason applies to, and how many more there are."""

    def __init__(self, chip: ChipConfig) -> None:
        self.chip = chip
        self.sentences: list[str] = []

    def add(self, wrong: Array, reason: str) -> None:
        """A reason that applies where ``wrong`` [n, N] is set."""
        if wrong.any():
            row, neuron = np.unravel_index(int(np.argmax(wrong)), wrong.shape)
            x, y = self.chip.architecture.core_xy(int(self.chip.cores.core[row]))
            more = int(wrong.sum()) - 1
            counted = f" ({more} more neurons like it)" if more else ""
            self.sentences.append(f"core ({x}, {y}), neuron {neuron} {reason}{counted}")

    def add_timed(self, first: Array, ticks: int | None, reason: str) -> None:
        """A reason that begins to matter in tick ``first`` [n, N]."""
        earliest = int(first.min(initial=NEVER))
        if earliest < (NEVER if ticks is None else ticks):
            way_out = f"export it with --ticks {earliest}, for runs no longer than that, or change the network"
            way_out = "change the network" if earliest == 0 else way_out
            self.add(first == earliest, f"{reason}; it could matter from tick {earliest} on: {way_out}")
