"""Finds the leak and the threshold with which the recurrent benchmark fires at the rate that is asked for.

Recurrent input is noise to the neurons and makes them fire earlier, so the rate is not simply leak over threshold. A small
network of the same kind is run a few times: first the threshold is searched, which is a whole number and therefore coarse
where rates are high; then the leak, whose steps are fine. Where input matters, two or three short runs of the network itself
follow, because no two random networks are quite alike.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np

from neurocore.architecture import Architecture
from neurocore.config import ChipConfig, Cores
from neurocore.emulator import Emulator
from neurocore.recurrent import Drive, Workload, drive_cores, largest_leak, wire
from neurocore.result import RunResult

SMALL_CORES = 64
TOLERANCE, OWN_TOLERANCE = 0.004, 0.006
"""Relative error of the rate at which a search ends: on the small network, and on the network itself."""
SEARCH_STEPS, OWN_STEPS = 8, 3
TICKS, PERIODS = 600, 4
"""A measurement of a small network takes at least so many ticks, and so many mean intervals between spikes."""
OWN_TICKS, OWN_WARM_UP = 96, 64
"""Of the network itself, likewise at least."""
MOST_LONGER, OWN_LONGER = 4, 64
"""A measurement goes on, up to so many times its least length, until its standard error is half the tolerance: where rows are
full, the neurons of a core receive the same input and fluctuate as a whole, so there are as many samples as cores."""
SLOPE_BASE = 0.03
"""Values that differ by a smaller share say more of the noise than of the slope between them."""
LEAK_EXPONENT = 0.3
PARTS = 8
"""A measurement is made in so many parts, whose spread tells its error; membranes after them are taken as start values."""
INPUT_MATTERS = 0.05
"""Relative change of the threshold, against that of neurons without input, from which on the network itself is run too."""
FINE_THRESHOLD = 400
"""A deterministic leak is chosen for a threshold of about this, whose steps of one are then fine enough."""


@dataclass
class _Trial:
    """A network that is measured with one drive after another; keeps the best."""

    arch: Architecture
    workload: Workload
    wired: Cores
    warm_up: int
    ticks: int
    tolerance: float
    most_longer: int = MOST_LONGER
    threads: int | None = 1
    best: Drive = field(default_factory=lambda: Drive(0.0, 0))
    error: float = math.inf

    @property
    def found(self) -> bool:
        """Whether the best rate is close enough."""
        return self.error <= self.tolerance

    def rate(self, drive: Drive) -> float:
        """Measured rate in Hz of the cores that take part."""
        cores = drive_cores(self.wired, self.arch, self.workload, drive)
        chip = ChipConfig(self.arch, cores, name="calibration", seed=self.workload.seed)
        emulator = Emulator(chip, threads=self.threads)
        emulator.run(None, self.warm_up)
        active = self.workload.active_rows()
        ticks = math.ceil(self.ticks / PARTS)
        runs = [emulator.run(None, ticks) for _ in range(PARTS)]
        while len(runs) < PARTS * self.most_longer and _standard_error(runs) > self.tolerance / 2:
            runs += [emulator.run(None, ticks) for _ in runs]
        rate = 1000 * sum(run.n_spikes for run in runs) / (len(runs) * ticks * len(active) * self.arch.core.neurons)
        error = abs(rate / self.workload.rate_hz - 1)
        if error < self.error:
            start = drive.start
            if start is None:
                start = np.concatenate([(run.membranes / cores.threshold)[active].ravel() for run in runs[-PARTS:]])
            self.best, self.error = replace(drive, start=start), error
        return rate


def find_drive(arch: Architecture, workload: Workload, wired: Cores) -> Drive:
    """The drive that gives the workload's rate, with start values from a network at work. The same seed gives the same drive.

    A rate of 0 is given by a leak that pulls down for as long as the membrane is wide: every neuron works and none fires.
    """
    if workload.rate_hz == 0:
        return Drive(float(arch.neuron.threshold.max), -middle_leak(arch, workload))
    first = first_guess(arch, workload)
    small = _small_trial(arch, workload)
    _search_threshold(small, first, SEARCH_STEPS)
    exponent = LEAK_EXPONENT
    if not small.found and not workload.heterogeneous:
        exponent = _search_leak(small, small.best, SEARCH_STEPS, exponent)
    if abs(small.best.threshold / first.threshold - 1) <= INPUT_MATTERS:
        return small.best
    own = _Trial(arch, workload, wired, OWN_WARM_UP, OWN_TICKS, OWN_TOLERANCE, OWN_LONGER, threads=None)
    if workload.heterogeneous:
        _search_threshold(own, small.best, OWN_STEPS)
    else:
        _search_leak(own, small.best, OWN_STEPS, exponent)
        if not own.found and own.best.leak == largest_leak(arch, workload) and own.best.threshold > 1:
            _search_leak(own, replace(own.best, threshold=own.best.threshold - 1), OWN_STEPS, exponent)
    return own.best


def _standard_error(runs: list[RunResult]) -> float:
    """Relative standard error of the mean rate of runs of equal length, from the spread of PARTS stretches of them.

    Stretches grow with the number of runs (batch means), so that what lasts over several runs does not hide the error.
    """
    stretches = np.reshape([run.n_spikes for run in runs], (PARTS, -1)).sum(axis=1)
    return float(stretches.std(ddof=1) / math.sqrt(PARTS) / max(stretches.mean(), 1e-9))


def _small_trial(arch: Architecture, workload: Workload) -> _Trial:
    """The workload on few cores."""
    cores = min(len(workload.active_rows()), SMALL_CORES)
    small = replace(workload, cores=cores, active_share=1.0)
    period = 1000 / workload.rate_hz
    ticks = math.ceil(max(TICKS, PERIODS * period))
    return _Trial(arch, small, wire(arch, small), math.ceil(max(TICKS / 4, period)), ticks, TOLERANCE)


def middle_leak(arch: Architecture, workload: Workload) -> int:
    """A stochastic leak in the upper middle of its range, which leaves room to both sides; a fixed one of 1."""
    return max(1, 3 * largest_leak(arch, workload) // 4) if workload.stochastic else 1


def first_guess(arch: Architecture, workload: Workload) -> Drive:
    """Leak and threshold of neurons without recurrent input."""
    per_tick = workload.rate_hz / 1000
    largest, highest = largest_leak(arch, workload), arch.neuron.threshold.max
    if workload.stochastic:
        draws = 2**arch.neuron.random_bits
        threshold = min(max(1, round((middle_leak(arch, workload) + 1) / draws / per_tick)), highest)
        leak = min(max(round(draws * per_tick * threshold) - 1, 1), largest)
    else:
        leak = min(math.ceil(min(FINE_THRESHOLD, highest // 2) * per_tick), largest)
        threshold = min(max(1, round(leak / per_tick)), highest)
    bits = (
        min(max(1, threshold.bit_length() - 3), arch.neuron.threshold_mask_bits) if workload.stochastic_threshold else 0
    )
    return Drive(float(threshold), leak, bits)


def _search_threshold(trial: _Trial, first: Drive, steps: int) -> None:
    """Search the threshold: a whole number, or any scale where every neuron has its own. The rate falls as it rises."""
    places = 3 if trial.workload.heterogeneous else None
    highest = float(trial.arch.neuron.threshold.max)

    def possible(value: float) -> float:
        return float(round(min(max(value, 1.0), highest), places))

    _search(trial, first.threshold, lambda value: replace(first, threshold=value), -1.0, possible, steps)


def _search_leak(trial: _Trial, first: Drive, steps: int, exponent: float) -> float:
    """Search the leak, with which the rate rises; about how, is known and returned."""
    largest = float(largest_leak(trial.arch, trial.workload))

    def possible(value: float) -> float:
        return float(round(min(max(value, 1.0), largest)))

    return _search(trial, float(first.leak), lambda value: replace(first, leak=int(value)), exponent, possible, steps)


def _search(
    trial: _Trial,
    value: float,
    drive: Callable[[float], Drive],
    exponent: float,
    possible: Callable[[float], float],
    steps: int,
) -> float:
    """Secant steps on one value, on logarithmic scales; the rate goes with about value ** exponent, which is returned."""
    seen: dict[float, float] = {}
    for _ in range(steps):
        seen[value] = math.log(max(trial.rate(drive(value)), 1e-3) / trial.workload.rate_hz)
        exponent = _exponent(seen, value, exponent)
        following = possible(value * math.exp(min(max(-seen[value] / exponent, -1.0), 1.0)))
        if trial.found or following in seen:
            break
        value = following
    return exponent


def _exponent(seen: dict[float, float], value: float, exponent: float) -> float:
    """Slope through the latest value and the nearest other one; the sign is known and the size kept within reason."""
    others = [other for other in seen if abs(other / value - 1) > SLOPE_BASE]
    if not others:
        return exponent
    other = min(others, key=lambda item: abs(item - value))
    slope = (seen[value] - seen[other]) / math.log(value / other)
    return math.copysign(min(max(abs(slope), 0.1), 4.0), exponent)
