"""Where two runs differ first: in spikes, then counters, then membranes and probes."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import numpy as np
import numpy.typing as npt

from neurocore.result import CoreCounters, RunResult
from neurocore.spikes import Spikes

Array = npt.NDArray[Any]


def first_difference(first: RunResult, second: RunResult) -> str | None:
    """One clause that names the first difference of two runs, or None if they are equal."""
    for name in ("ticks", "first_tick", "seed", "output_merges"):
        if (difference := _unequal(name, getattr(first, name), getattr(second, name))) is not None:
            return difference
    if (difference := _spikes("output line", first.spikes, second.spikes)) is not None:
        return difference
    if not np.array_equal(first.chip.core, second.chip.core):
        return "the runs are of chips with different cores"
    for item in fields(CoreCounters):
        pair = getattr(first.cores, item.name), getattr(second.cores, item.name)
        if (difference := _arrays(item.name, first, *pair)) is not None:
            return difference
    for name in ("neuron_spikes", "membranes"):
        if (difference := _arrays(name, first, getattr(first, name), getattr(second, name))) is not None:
            return difference
    return _probes(first, second)


def _unequal(name: str, one: Any, other: Any) -> str | None:
    return None if one == other else f"{name} is {one} in the first run and {other} in the second"


def _spikes(what: str, one: Spikes, other: Spikes) -> str | None:
    if one == other:
        return None
    n = min(len(one), len(other))
    differs = np.flatnonzero((one.tick[:n] != other.tick[:n]) | (one.line[:n] != other.line[:n]))
    place = int(differs[0]) if len(differs) else n
    candidates = [
        (int(side.tick[place]), int(side.line[place]), which)
        for which, side in (("first", one), ("second", other))
        if place < len(side)
    ]
    tick, line, which = min(candidates)
    return f"tick {tick}: {what} {line} spikes in the {which} run only"


def _arrays(name: str, run: RunResult, one: Array, other: Array) -> str | None:
    if one.shape != other.shape:
        return f"{name} has shape {one.shape} in the first run and {other.shape} in the second"
    differs = one != other
    if not differs.any():
        return None
    place = tuple(int(part) for part in np.argwhere(differs)[0])
    x, y = run.chip.architecture.core_xy(int(run.chip.core[place[0]]))
    neuron = f" neuron {place[1]}" if len(place) > 1 else ""
    return f"{name} of core ({x}, {y}){neuron} is {one[place]} in the first run and {other[place]} in the second"


def _probes(first: RunResult, second: RunResult) -> str | None:
    """Compares the probes that both runs have; probes never change a run, so others do not matter."""
    for name in first.probes:
        if name not in second.probes:
            continue
        one, other = first.probes[name], second.probes[name]
        if (difference := _spikes(f"{name} neuron", one.spikes, other.spikes)) is not None:
            return difference
        if one.membranes.size and not np.array_equal(one.membranes, other.membranes):
            tick, neuron = (int(part) for part in np.argwhere(one.membranes != other.membranes)[0])
            return f"tick {first.first_tick + tick}: membrane of {name.partition(':')[0]}[{neuron}] differs"
    return None
