"""Every range of a configured chip, checked against its architecture; all that is wrong is listed at once."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import numpy as np
import numpy.typing as npt

from neurocore.architecture import FLOOR_MODES, RESET_MODES, Range
from neurocore.config import NOWHERE, OUTPUT, ChipConfig, array_layout, array_shape
from neurocore.wording import counted

Array = npt.NDArray[Any]

MAX_INPUT_DELAY = 2**31 - 1
"""Longest delay of an input, latency of an output and start shift of a neuron, in ticks."""
MAX_LISTED = 20
"""Faults that one message lists; the rest are counted."""


class _Findings:
    """Collects faults of a chip, naming core and neuron of each."""

    def __init__(self, chip: ChipConfig) -> None:
        self.chip = chip
        self.problems: list[str] = []

    def where(self, name: str, wrong: Array, reason: str) -> None:
        """One line for the first wrong entry of an array [n, ...], with the number of others."""
        if not wrong.any():
            return
        place = np.unravel_index(int(np.argmax(wrong)), wrong.shape)
        x, y = self.chip.architecture.core_xy(int(self.chip.cores.core[place[0]]))
        value = getattr(self.chip.cores, name)[tuple(place)]
        inside = ", ".join(str(int(part)) for part in place[1:])
        subject = f"core ({x}, {y}): {name}[{inside}]" if inside else f"core ({x}, {y}): {name}"
        others = int(wrong.sum()) - 1
        more = f" ({others} more like it)" if others else ""
        self.problems.append(f"{subject} is {int(value)}; {reason}{more}")

    def within(self, name: str, allowed: Range, where: Array | None = None) -> None:
        """Every entry of an array lies in a range (where ``where`` holds)."""
        values = getattr(self.chip.cores, name)
        wrong = (values < allowed.min) | (values > allowed.max)
        self.where(name, wrong if where is None else wrong & where, f"the chip {self.limit(allowed)}")

    def limit(self, allowed: Range) -> str:
        return f"{self.chip.architecture.name!r} allows {allowed}"


def find_problems(chip: ChipConfig) -> list[str]:
    """What :meth:`ChipConfig.validate` would complain of, at most MAX_LISTED sentences and a count of the rest."""
    shape_problems = _shape_problems(chip)
    if shape_problems:
        return shape_problems
    found = _Findings(chip)
    _check_cores(chip, found)
    if not found.problems:
        _check_parameters(chip, found)
        _check_modes(chip, found)
        _check_unused(chip, found)
        _check_targets(chip, found)
        found.problems.extend(_input_problems(chip))
        found.problems.extend(_group_problems(chip))
        found.problems.extend(_timing_problems(chip))
    hidden = len(found.problems) - MAX_LISTED
    return found.problems[:MAX_LISTED] + ([f"and {hidden} more faults"] if hidden > 0 else [])


def _shape_problems(chip: ChipConfig) -> list[str]:
    arch, n = chip.architecture, len(np.atleast_1d(chip.cores.core))
    problems = []
    for name, (dimensions, dtype) in array_layout(arch).items():
        array = getattr(chip.cores, name)
        expected = array_shape(arch, dimensions, n)
        if array.shape != expected:
            problems.append(f"{name} has shape {array.shape}; {n} cores of {arch.name!r} need {expected}")
        elif array.dtype != dtype:
            problems.append(f"{name} holds {array.dtype}; {arch.name!r} needs {dtype}")
    return problems


def _check_cores(chip: ChipConfig, found: _Findings) -> None:
    arch, core = chip.architecture, chip.cores.core
    wrong = (core < 0) | (core >= arch.n_cores)
    if wrong.any():
        found.problems.append(
            f"core number {int(core[wrong][0])} is outside 0..{arch.n_cores - 1} of {arch.name!r} ({int(wrong.sum())} such)"
        )
    repeated = np.diff(core) <= 0
    if repeated.any():
        found.problems.append(f"core numbers must ascend without repeats; {int(core[1:][repeated][0])} does not")


def _check_parameters(chip: ChipConfig, found: _Findings) -> None:
    limits, rules, cores = chip.architecture.neuron, chip.architecture.rules, chip.cores
    for name in ("weight", "leak", "threshold", "floor", "reset"):
        found.within(name, getattr(limits, name))
    found.within("threshold_mask_bits", Range(min=0, max=limits.threshold_mask_bits))
    found.within("initial", limits.membrane)
    found.within("axon_type", Range(min=0, max=chip.architecture.core.axon_types - 1))
    name = chip.architecture.name
    for feature, array, flags in (
        ("stochastic weights", "weight_stochastic", rules.stochastic_weights),
        ("a stochastic leak", "leak_stochastic", rules.stochastic_leak),
        ("a random threshold", "threshold_mask_bits", rules.stochastic_threshold),
        ("leak reversal", "leak_reversal", rules.leak_reversal),
    ):
        if not flags:
            found.where(array, getattr(cores, array) != 0, f"{name!r} does not have {feature}")
    beyond = -chip.architecture.core.neurons % 64
    if beyond and (cores.crossbar[..., -1] >> np.uint64(64 - beyond)).any():
        found.problems.append(f"crossbar bits beyond neuron {chip.architecture.core.neurons - 1} are set")


def _check_modes(chip: ChipConfig, found: _Findings) -> None:
    limits = chip.architecture.neuron
    for array, names, allowed in (
        ("reset_mode", RESET_MODES, limits.reset_modes),
        ("floor_mode", FLOOR_MODES, limits.floor_modes),
    ):
        good = [index for index, name in enumerate(names) if name in allowed]
        listed = ", ".join(f"{index} ({names[index]})" for index in good)
        found.where(array, ~np.isin(getattr(chip.cores, array), good), f"{chip.architecture.name!r} has {listed}")


def _check_unused(chip: ChipConfig, found: _Findings) -> None:
    cores, arch = chip.cores, chip.architecture
    idle = ~cores.configured
    if not idle.any():
        return
    inert = "a neuron that is not configured must be inert"
    for name in ("leak", "initial", "delay", "threshold_mask_bits"):
        found.where(name, idle & (getattr(cores, name) != 0), inert)
    found.where("target_core", idle & (cores.target_core != NOWHERE), inert)
    found.where("threshold", idle & (cores.threshold <= 0), inert)
    met = cores.floor < 0
    if arch.rules.floor_inclusive:
        met = met | ((cores.floor == 0) & (cores.floor_mode == 0))
    found.where("floor", idle & met, inert)
    reached = np.bitwise_or.reduce(cores.crossbar, axis=1)
    bits = np.unpackbits(reached.astype("<u8").view(np.uint8), axis=1, bitorder="little")[:, : arch.core.neurons]
    found.where("configured", idle & (bits != 0), "axons reach the neuron, so it must be configured")


def _check_targets(chip: ChipConfig, found: _Findings) -> None:
    arch, cores = chip.architecture, chip.cores
    target, routed = cores.target_core, cores.target_core >= 0
    found.where(
        "target_core", (target < OUTPUT) | (target >= arch.n_cores), f"{arch.name!r} has cores 0..{arch.n_cores - 1}"
    )
    found.where(
        "target_axon",
        routed & ((cores.target_axon < 0) | (cores.target_axon >= arch.core.axons)),
        f"a core has axons 0..{arch.core.axons - 1}",
    )
    found.where(
        "target_axon",
        (target == OUTPUT) & ((cores.target_axon < 0) | (cores.target_axon >= chip.n_outputs)),
        f"the chip has {chip.n_outputs} output lines",
    )
    found.within("delay", arch.routing.delay, routed)
    dx = target % arch.columns - (cores.core % arch.columns)[:, None]
    dy = target // arch.columns - (cores.core // arch.columns)[:, None]
    reach = arch.routing.reach
    far = (dx < reach.dx.min) | (dx > reach.dx.max) | (dy < reach.dy.min) | (dy > reach.dy.max)
    found.where("target_core", routed & far, f"a packet of {arch.name!r} travels dx {reach.dx}, dy {reach.dy}")


def _input_problems(chip: ChipConfig) -> list[str]:
    arch, entry = chip.architecture, chip.input_map
    problems = []
    columns = [np.asarray(getattr(entry, item.name)) for item in fields(entry)]
    if any(column.ndim != 1 or column.dtype.kind not in "iu" for column in columns):
        return ["the columns of the input map must be one-dimensional arrays of whole numbers"]
    if len({len(column) for column in columns}) != 1:
        return ["the columns of the input map differ in length"]
    for name, upper in (("line", chip.n_inputs), ("core", arch.n_cores), ("axon", arch.core.axons)):
        column = getattr(entry, name)
        wrong = (column < 0) | (column >= upper)
        if wrong.any():
            problems.append(
                f"input map: {name} {int(column[wrong][0])} is outside 0..{upper - 1} ({int(wrong.sum())} such)"
            )
    wrong = (entry.delay < 0) | (entry.delay > MAX_INPUT_DELAY)
    if wrong.any():
        problems.append(f"input map: delay {int(entry.delay[wrong][0])} is outside 0..{MAX_INPUT_DELAY}")
    if not problems and not np.isin(entry.core, chip.cores.core).all():
        lost = int(entry.core[~np.isin(entry.core, chip.cores.core)][0])
        problems.append(f"input map: core {lost} is not configured")
    return problems


def _group_problems(chip: ChipConfig) -> list[str]:
    problems = []
    for kind in ("inputs", "outputs"):
        start = 0
        for group in getattr(chip, kind):
            if group.start != start:
                problems.append(f"{kind} {group.name!r} starts at line {group.start}; {start} was expected")
            start += group.size
    if not 1 <= chip.dilation <= MAX_INPUT_DELAY:
        problems.append(f"dilation {chip.dilation} is outside 1..{MAX_INPUT_DELAY}")
    if not 0 <= chip.seed < 2**64:
        problems.append(f"seed {chip.seed} is outside 0..2^64-1")
    population, n_populations = chip.cores.population, len(chip.populations)
    if ((population < -1) | (population >= n_populations)).any():
        problems.append(f"a neuron names a population outside 0..{n_populations - 1}")
        return problems
    sizes = np.array([*(group.size for group in chip.populations), 0])
    lost = (population >= 0) & ((chip.cores.index < 0) | (chip.cores.index >= sizes[population]))
    if lost.any():
        name, size = chip.populations[population[lost][0]].name, sizes[population[lost][0]]
        problems.append(
            f"a neuron has index {int(chip.cores.index[lost][0])} in population {name!r} of {counted(int(size), 'neuron')}"
        )
    return problems


def _timing_problems(chip: ChipConfig) -> list[str]:
    problems, timing = [], np.asarray(chip.timing)
    if not 0 <= chip.latency <= MAX_INPUT_DELAY:
        problems.append(f"latency {chip.latency} is outside 0..{MAX_INPUT_DELAY}")
    n_neurons = sum(group.size for group in chip.populations)
    if timing.ndim != 1 or timing.dtype.kind not in "iu" or len(timing) not in (0, n_neurons):
        problems.append(
            f"timing is {timing.dtype} of shape {timing.shape}; a whole number for each of the {n_neurons} neurons of the"
            " populations was expected, or none at all"
        )
    elif ((timing < 0) | (timing > MAX_INPUT_DELAY)).any():
        wrong = (timing < 0) | (timing > MAX_INPUT_DELAY)
        problems.append(f"timing: start shift {int(timing[wrong][0])} is outside 0..{MAX_INPUT_DELAY}")
    return problems
