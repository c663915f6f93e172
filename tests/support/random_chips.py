"""Generated chips and spikes for the property tests: small, dense in corner cases, reproducible from one number."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from neurocore.architecture import FLOOR_MODES, RESET_MODES, Architecture
from neurocore.config import NOWHERE, OUTPUT, ChipConfig, Cores, Group, InputMap, blank_arrays, pack_crossbar

ALL_FEATURES = frozenset({"random_weight", "random_leak", "random_threshold", "reversal", "extremes"})


def edges(rng: np.random.Generator, low: int, high: int, shape: Any, near: int, extreme: float) -> np.ndarray:
    """Values of a range: mostly near 0, a share of them anywhere in it, its ends included."""
    values = rng.integers(max(low, -near), min(high, near), shape, endpoint=True)
    anywhere = rng.choice(np.array([low, high, max(low, 0)]), shape)
    return np.where(rng.random(shape) < extreme, anywhere, values)


def random_chip(
    arch: Architecture,
    seed: int,
    n_cores: int = 3,
    features: frozenset[str] = ALL_FEATURES,
    n_outputs: int = 4,
) -> ChipConfig:
    """A valid chip of n_cores random cores with the given features, wired to itself and to n_outputs output lines."""
    rng = np.random.default_rng(seed)
    n_cores = min(n_cores, arch.n_cores)
    arrays = blank_arrays(arch, n_cores)
    arrays["core"][:] = np.sort(rng.choice(arch.n_cores, n_cores, replace=False))
    arrays["stream"][:] = rng.integers(0, 2**63, n_cores)
    shape = (n_cores, arch.core.neurons)
    used = rng.random(shape) < 0.9
    arrays["configured"][:] = used
    density = rng.choice([0.05, 0.4, 0.9])
    bits = rng.random((n_cores, arch.core.axons, arch.core.neurons)) < density
    arrays["crossbar"][:] = pack_crossbar(bits & used[:, None, :])
    arrays["axon_type"][:] = rng.integers(0, arch.core.axon_types, arrays["axon_type"].shape)
    _parameters(arch, rng, arrays, used, features)
    _routes(arch, rng, arrays, used, n_outputs)
    chip = ChipConfig(arch, Cores(**arrays), outputs=(Group("out", (n_outputs,)),), seed=int(rng.integers(0, 2**63)))
    return chip.validate()


def with_lines(chip: ChipConfig, seed: int, n_lines: int = 5) -> ChipConfig:
    """The chip with input lines, each to some axons at delays of its own, and with its neurons in populations ``a`` and ``b``."""
    rng = np.random.default_rng(seed)
    n = 3 * n_lines
    entries = InputMap(
        rng.integers(0, n_lines, n),
        rng.choice(chip.cores.core, n).astype(np.int64),
        rng.integers(0, chip.architecture.core.axons, n),
        rng.integers(0, 20, n),
    )
    configured = chip.cores.configured
    population = np.where(configured, rng.integers(-1, 2, configured.shape), -1).astype(np.int32)
    index = np.full(configured.shape, -1, np.int32)
    sizes = [int((population == number).sum()) for number in range(2)]
    for number, size in enumerate(sizes):
        index[population == number] = rng.permutation(size)
    populations = Group("a", (sizes[0],)), Group("b", (sizes[1],), sizes[0])
    cores = replace(chip.cores, population=population, index=index)
    lines = (Group("in", (n_lines,)),)
    return replace(chip, cores=cores, inputs=lines, populations=populations, input_map=entries).validate()


def _parameters(
    arch: Architecture, rng: np.random.Generator, arrays: dict[str, Any], used: np.ndarray, features: frozenset[str]
) -> None:
    limits, rules = arch.neuron, arch.rules
    extreme = 0.05 if "extremes" in features else 0.0
    shape = used.shape

    def put(name: str, values: np.ndarray) -> None:
        array = arrays[name]
        array[:] = np.where(used if array.ndim == 2 else used[:, None, :], values, array)

    put("weight", edges(rng, limits.weight.min, limits.weight.max, arrays["weight"].shape, 6, extreme))
    put("leak", edges(rng, limits.leak.min, limits.leak.max, shape, 3, extreme))
    put("threshold", edges(rng, max(limits.threshold.min, 0), limits.threshold.max, shape, 30, extreme))
    put("floor", edges(rng, limits.floor.min, limits.floor.max, shape, 20, extreme))
    put("reset", edges(rng, limits.reset.min, limits.reset.max, shape, 10, extreme))
    put("initial", edges(rng, limits.membrane.min, limits.membrane.max, shape, 15, extreme))
    for name, names, allowed in (
        ("reset_mode", RESET_MODES, limits.reset_modes),
        ("floor_mode", FLOOR_MODES, limits.floor_modes),
    ):
        modes = np.array([number for number, mode in enumerate(names) if mode in allowed])
        put(name, modes[rng.integers(0, len(modes), shape)])
    if "random_weight" in features and rules.stochastic_weights:
        put("weight_stochastic", rng.random(arrays["weight"].shape) < 0.3)
    if "random_leak" in features and rules.stochastic_leak:
        put("leak_stochastic", rng.random(shape) < 0.5)
    if "reversal" in features and rules.leak_reversal:
        put("leak_reversal", rng.random(shape) < 0.4)
    if "random_threshold" in features and rules.stochastic_threshold:
        bits = rng.integers(0, limits.threshold_mask_bits, shape, endpoint=True)
        put("threshold_mask_bits", np.where(rng.random(shape) < 0.4, bits, 0))


def _routes(
    arch: Architecture, rng: np.random.Generator, arrays: dict[str, Any], used: np.ndarray, n_outputs: int
) -> None:
    shape = used.shape
    target = rng.choice(arrays["core"], shape)
    kind = rng.random(shape)
    target = np.where(kind < 0.1, NOWHERE, np.where(kind < 0.25, OUTPUT, target))
    stray = int(rng.integers(0, arch.n_cores))
    x, y = arrays["core"] % arch.columns, arrays["core"] // arch.columns
    reach = arch.routing.reach
    near = (np.abs(stray % arch.columns - x) <= reach.dx.max) & (np.abs(stray // arch.columns - y) <= reach.dy.max)
    target = np.where((kind > 0.97) & near[:, None], stray, target)
    axon = np.where(target == OUTPUT, rng.integers(0, n_outputs, shape), rng.integers(0, arch.core.axons, shape))
    delay = rng.integers(arch.routing.delay.min, arch.routing.delay.max, shape, endpoint=True)
    arrays["target_core"][:] = np.where(used, target, NOWHERE)
    arrays["target_axon"][:] = np.where(used, axon, 0)
    arrays["delay"][:] = np.where(used & (target >= 0), delay, 0)


def random_events(chip: ChipConfig, seed: int, ticks: int, rate: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """External spikes (tick, row, axon) of a chip, some of them repeated, ticks ascending."""
    rng = np.random.default_rng(seed)
    n = int(rate * ticks * len(chip.cores))
    tick = np.sort(rng.integers(0, max(ticks, 1), n))
    return tick, rng.integers(0, len(chip.cores), n), rng.integers(0, chip.architecture.core.axons, n)
