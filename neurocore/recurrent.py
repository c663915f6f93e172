"""The published benchmark: recurrent networks that load every part of the chip (Merolla et al., Science 2014, supplement S7).

Every axon is driven by one neuron somewhere on the chip, drawn at random, over a uniformly random delay; every axon reaches
exactly K random neurons of its core. Every excitatory axon has an inhibitory twin beside it, with another driver, that
reaches the same neurons with the opposite weight: each neuron is balanced, whatever K. (Rows drawn apart leave each neuron a
surplus of either kind, by which some fall silent and the mean rates of two networks differ by several percent.) A leak drives
the neurons; :mod:`neurocore.calibration` finds the leak and the threshold that give the rate.

Three variants, which combine: *deterministic* (a fixed leak instead of one that draws 8 bits a tick), *heterogeneous* (every
neuron its own weights, leak and threshold; else all neurons are alike) and *stochastic threshold* (a draw more each tick).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from neurocore.architecture import Architecture, load_architecture
from neurocore.config import ChipConfig, Cores, blank_arrays
from neurocore.errors import UsageError

Array = np.ndarray[Any, Any]

ACTIVE_AGAINST_IDLE = 0.999999
"""A share of active cores above this is the whole chip."""
LARGEST_WEIGHT = 3
"""Heterogeneous neurons draw the size of each pair of weights from 1..3."""
SPREAD = 0.25
"""Heterogeneous leaks and thresholds lie within 25 % of the common ones."""


@dataclass(frozen=True)
class Workload:
    """What is asked of the network: ``rate_hz`` spikes per 1,000 ticks and neuron, ``synapses`` per axon.

    ``active_share`` of the cores form the network, spread over the chip; the rest are configured and wired among themselves,
    but nothing ever happens in them.
    """

    cores: int
    rate_hz: float
    synapses: int
    stochastic: bool = True
    heterogeneous: bool = False
    stochastic_threshold: bool = False
    active_share: float = 1.0
    seed: int = 1

    def check(self, arch: Architecture) -> Workload:
        """Raise UsageError for what the architecture cannot do. Returns self."""
        limits, rules = arch.core, arch.rules
        if not 1 <= self.cores <= arch.n_cores:
            raise UsageError(f"{self.cores} cores were asked for; {arch.name!r} has {arch.n_cores}")
        if not 0 <= self.synapses <= limits.neurons:
            raise UsageError(
                f"{self.synapses} synapses per axon were asked for; a core of {arch.name!r} has {limits.neurons} neurons"
            )
        if not 0 <= self.rate_hz <= 1000:
            raise UsageError(
                f"a rate of {self.rate_hz:g} Hz was asked for; a neuron fires in 0 to 1,000 of 1,000 ticks"
            )
        if not 0 < self.active_share <= 1:
            raise UsageError(f"the active share is {self.active_share:g}; it lies above 0 and at most at 1")
        if limits.axon_types < 2:
            raise UsageError(f"{arch.name!r} has one axon type; balanced weights need two")
        if self.stochastic and not rules.stochastic_leak:
            raise UsageError(f"{arch.name!r} has no stochastic leak; ask for the deterministic variant")
        if self.stochastic_threshold and not (rules.stochastic_threshold and arch.neuron.threshold_mask_bits):
            raise UsageError(f"{arch.name!r} has no stochastic threshold; leave that variant out")
        return self

    @property
    def variant(self) -> str:
        """The variant in words, as reports name it."""
        parts = ["stochastic leak" if self.stochastic else "deterministic leak"]
        if self.stochastic_threshold:
            parts.append("stochastic threshold")
        parts.append("heterogeneous" if self.heterogeneous else "alike")
        return ", ".join(parts)

    def active_rows(self) -> Array:
        """Rows of the cores that form the network, ascending."""
        if self.active_share > ACTIVE_AGAINST_IDLE:
            return np.arange(self.cores)
        n_active = max(1, round(self.active_share * self.cores))
        return np.linspace(0, self.cores, n_active, endpoint=False).astype(np.int64)


@dataclass(frozen=True)
class Drive:
    """What sets the rate: the common threshold (heterogeneous neurons scale it) and the leak's magnitude.

    ``mask_bits`` are the random bits of a stochastic threshold. ``start`` are membranes over thresholds of a network at work,
    from which V(0) is drawn; without any, V(0) is uniform below the threshold.
    """

    threshold: float
    leak: int
    mask_bits: int = 0
    start: Array | None = field(default=None, compare=False)


def recurrent_chip(
    chip: str | Architecture, n_cores: int, rate_hz: float, synapses: int, *, stochastic: bool = True, seed: int = 1
) -> ChipConfig:
    """A recurrent benchmark chip whose neurons fire ``rate_hz`` times per 1,000 ticks; see :func:`build_chip`."""
    return build_chip(chip, Workload(n_cores, rate_hz, synapses, stochastic=stochastic, seed=seed))


def build_chip(chip: str | Architecture, workload: Workload) -> ChipConfig:
    """The benchmark's chip, its rate calibrated on a small network of the same kind. The same seed gives the same chip.

    Raises UsageError if the architecture has too few cores or neurons, or not the variant that is asked for.
    """
    from neurocore.calibration import find_drive

    arch = load_architecture(chip)
    workload.check(arch)
    wired = wire(arch, workload)
    drive = find_drive(arch, workload, wired)
    return ChipConfig(arch, drive_cores(wired, arch, workload, drive), name="recurrent", seed=workload.seed).validate()


def wire(arch: Architecture, workload: Workload) -> Cores:
    """Crossbars, axon types, destinations and delays; the neurons are inert until :func:`drive_cores`."""
    rng = np.random.default_rng([workload.seed, 0])
    arrays = blank_arrays(arch, workload.cores)
    arrays["core"][:] = np.arange(workload.cores)
    arrays["stream"][:] = np.arange(workload.cores)
    n_pairs = arch.core.axon_types // 2
    arrays["axon_type"][:] = np.arange(arch.core.axons) % (2 * n_pairs)
    arrays["weight"][:, : 2 * n_pairs] = _in_pairs(1 + np.arange(n_pairs) % 2)[None, :, None]
    arrays["configured"][:] = True
    twins = -(-arch.core.axons // 2)
    rows = _random_rows(rng, workload.cores * twins, arch.core.neurons, workload.synapses)
    arrays["crossbar"][:] = np.repeat(rows.reshape(workload.cores, twins, -1), 2, axis=1)[:, : arch.core.axons]
    active = workload.active_rows()
    idle = np.setdiff1d(np.arange(workload.cores), active)
    for rows in (active, idle):
        _connect(arrays, rng, arch, rows)
    return Cores(**arrays)


def _connect(arrays: dict[str, Array], rng: np.random.Generator, arch: Architecture, rows: Array) -> None:
    """Give every neuron of some cores an axon of its own among them, drawn at random, and a delay.

    Where a core has more neurons than axons, those for whom no axon is left send nowhere.
    """
    n_neurons, n_axons = len(rows) * arch.core.neurons, len(rows) * arch.core.axons
    axon = np.full(n_neurons, -1)
    n_pairs = min(n_neurons, n_axons)
    who = np.arange(n_neurons) if n_pairs == n_neurons else rng.permutation(n_neurons)[:n_pairs]
    axon[who] = rng.permutation(n_axons)[:n_pairs]
    possible = np.setdiff1d(
        np.arange(arch.routing.delay.min, arch.routing.delay.max + 1), [arch.routing.lost_delay or 0]
    )
    delay = rng.choice(possible, n_neurons)
    shape = (len(rows), arch.core.neurons)
    sends = (axon >= 0).reshape(shape)
    targets = {
        "target_core": arrays["core"][rows[axon // arch.core.axons]],
        "target_axon": axon % arch.core.axons,
        "delay": delay,
    }
    for name, values in targets.items():
        arrays[name][rows] = np.where(sends, values.reshape(shape), arrays[name][rows])


def _random_rows(rng: np.random.Generator, n_rows: int, n_neurons: int, synapses: int) -> Array:
    """Rows [n_rows, words] of 64-bit words, each a uniformly random set of exactly ``synapses`` of ``n_neurons`` bits."""
    if 2 * synapses > n_neurons:
        rows = _random_rows(rng, n_rows, n_neurons, n_neurons - synapses)
        return rows ^ _full_row(n_neurons)
    # Independent bits, given their number, are a uniformly random set of that size; and so they stay when uniformly random
    # members come or go until the number is right.
    rows = _random_bits(rng, (n_rows, -(-n_neurons // 64)), synapses / n_neurons) & _full_row(n_neurons)
    missing = synapses - np.bitwise_count(rows).sum(axis=1, dtype=np.int64)
    pending = np.flatnonzero(missing)
    while len(pending):
        position = rng.integers(0, n_neurons, len(pending))
        word, bit = position // 64, np.uint64(1) << (position % 64).astype(np.uint64)
        wanted = missing[pending] > 0
        right = ((rows[pending, word] & bit) == 0) == wanted
        changed = pending[right]
        rows[changed, word[right]] ^= bit[right]
        missing[changed] -= np.where(wanted[right], 1, -1)
        pending = pending[missing[pending] != 0]
    return rows


def _full_row(n_neurons: int) -> Array:
    """One row with all its bits set."""
    bits = np.zeros(-(-n_neurons // 64) * 64, bool)
    bits[:n_neurons] = True
    return np.packbits(bits, bitorder="little").view("<u8").astype(np.uint64)


def _random_bits(rng: np.random.Generator, shape: tuple[int, ...], share: float) -> Array:
    """Words whose bits are set with a probability near ``share``: an 8-bit fraction, from its lowest bit to its highest."""
    words = np.zeros(shape, np.uint64)
    if share < 1 / 8:  # Few bits are added to an empty row faster than surplus ones are found in a full one.
        return words
    for place in range(8):
        drawn = rng.integers(0, 2**64, shape, np.uint64)
        words = words | drawn if round(256 * share) >> place & 1 else words & drawn
    return words


def _in_pairs(magnitudes: Array) -> Array:
    """Weights by axon type [2 n, ...] from magnitudes [n, ...]: a, -a, b, -b, ..."""
    return np.stack([magnitudes, -magnitudes], axis=1).reshape(-1, *magnitudes.shape[1:])


def drive_cores(wired: Cores, arch: Architecture, workload: Workload, drive: Drive) -> Cores:
    """The wired cores with neurons that fire; only those of the active share. Arrays that do not change are shared.

    A stochastic leak steps by one at most, so strong input outweighs it: the neuron returns to zero when it fires and does not
    fall below, which keeps the network stable. A fixed leak can be as large as need be; there what exceeds the threshold is
    kept, so that the rate is leak over threshold.
    """
    rng = np.random.default_rng([workload.seed, 1])
    rows = workload.active_rows()
    shape = (len(rows), arch.core.neurons)
    names = ("leak", "leak_stochastic", "threshold", "threshold_mask_bits", "floor", "reset_mode", "initial")
    arrays = {name: getattr(wired, name).copy() for name in names}
    leak, threshold = np.full(shape, drive.leak), np.full(shape, round(drive.threshold))
    if workload.heterogeneous:
        leak = np.clip(np.rint(drive.leak * _spread(rng, shape)), 1, largest_leak(arch, workload)).astype(np.int64)
        threshold = np.rint(drive.threshold * _spread(rng, shape)).astype(np.int64)
        arrays["weight"] = wired.weight.copy()
        n_pairs = arch.core.axon_types // 2
        own = rng.integers(1, LARGEST_WEIGHT, (n_pairs, *shape), endpoint=True)
        arrays["weight"][rows, : 2 * n_pairs] = _in_pairs(own).transpose(1, 0, 2)
    threshold = np.clip(threshold, 1, arch.neuron.threshold.max)
    linear = not workload.stochastic and "linear" in arch.neuron.reset_modes
    values: dict[str, Array | int] = {
        "leak": leak,
        "leak_stochastic": int(workload.stochastic),
        "threshold": threshold,
        "threshold_mask_bits": drive.mask_bits,
        "floor": arch.neuron.floor.min if drive.leak > 0 else arch.neuron.floor.max,
        "reset_mode": int(linear),
        "initial": _start_values(rng, threshold, drive),
    }
    for name, value in values.items():
        arrays[name][rows] = value
    return replace(wired, **arrays)


def _start_values(rng: np.random.Generator, threshold: Array, drive: Drive) -> Array:
    """Membranes before tick 0, spread so that the neurons do not fire in step."""
    if drive.start is None:
        return rng.integers(0, threshold)
    share = rng.choice(drive.start, threshold.shape)
    values: Array = np.minimum(np.rint(share * threshold), threshold - 1).astype(np.int64)
    return values


def _spread(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    return rng.uniform(1 - SPREAD, 1 + SPREAD, shape)


def largest_leak(arch: Architecture, workload: Workload) -> int:
    """The largest leak that may be used; a stochastic one must leave a chance of not acting."""
    if not workload.stochastic:
        return int(arch.neuron.leak.max)
    return int(min(arch.neuron.leak.max, 2**arch.neuron.random_bits - 2))
