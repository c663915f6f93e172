"""First stage: a network becomes flat integer arrays, or one collected report of everything that is wrong with it.

The :class:`IntegerNetwork` is the reference that the compiled chip must equal, spike for spike.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from neurocore.compiler.network import NEURON_DEFAULTS, Conv2d, Input, Network, Population, Projection

from neurocore.architecture import FLOOR_MODES, RESET_MODES, Architecture, Range
from neurocore.config import Group
from neurocore.errors import FitError, InputError, NeurocoreError

Array = npt.NDArray[Any]

MAX_DELAY = 65_535
"""Longest delay of a projection, in ticks."""
DEFAULT_RATE = 0.05
"""Expected spikes per tick of lines and neurons that the network gives no rate for."""

NEURON_ARRAYS = tuple(NEURON_DEFAULTS)


@dataclass(frozen=True)
class IntegerNetwork:
    """A network as arrays: N neurons, populations one after the other; I input lines; E synapses; O output lines.

    Sources are numbered 0..I-1 (input lines), then I..I+N-1 (neurons). Synapses are sorted by (target, source, delay) and
    unique in it. ``neuron`` maps each parameter to [N]; modes are numbers as in chip.md.
    """

    name: str
    inputs: tuple[Group, ...]
    populations: tuple[Group, ...]
    outputs: tuple[Group, ...]
    neuron: dict[str, Array]
    source: Array
    target: Array
    weight: Array
    delay: Array
    stochastic: Array
    output_neuron: Array
    rate: Array

    @property
    def n_inputs(self) -> int:
        """Input lines."""
        return sum(group.size for group in self.inputs)

    @property
    def n_neurons(self) -> int:
        """Neurons."""
        return sum(group.size for group in self.populations)

    @property
    def n_synapses(self) -> int:
        """Synapses, duplicates summed and zeros dropped."""
        return len(self.source)

    def population_of(self) -> Array:
        """Population number [N] of every neuron."""
        return np.repeat(np.arange(len(self.populations)), [group.size for group in self.populations])

    def offsets(self) -> Array:
        """First neuron [populations + 1] of every population."""
        return np.concatenate([[0], np.cumsum([group.size for group in self.populations])]).astype(np.int64)

    def label(self, neuron: int) -> str:
        """How messages name a neuron: ``hidden[3]``."""
        offsets = self.offsets()
        number = int(np.searchsorted(offsets, neuron, side="right")) - 1
        return f"{self.populations[number].name}[{neuron - int(offsets[number])}]"

    def source_label(self, source: int) -> str:
        """How messages name an input line or a neuron."""
        if source >= self.n_inputs:
            return self.label(source - self.n_inputs)
        for group in self.inputs:
            if source < group.start + group.size:
                return f"{group.name}[{source - group.start}]"
        raise AssertionError("source is in range")

    def digest(self) -> str:
        """SHA-256 of everything that determines the network's spikes."""
        state = hashlib.sha256(repr((self.inputs, self.populations, self.outputs)).encode())
        for array in (self.source, self.target, self.weight, self.delay, self.stochastic, self.output_neuron):
            state.update(np.ascontiguousarray(array).data)
        for name in NEURON_ARRAYS:
            state.update(np.ascontiguousarray(self.neuron[name]).data)
        return state.hexdigest()

    def __str__(self) -> str:
        lines = [f"network {self.name}: {self.n_neurons} neurons, {self.n_synapses} synapses"]
        lines += [f"  input {group.name} {list(group.shape)}" for group in self.inputs]
        offsets = self.offsets()
        for number, group in enumerate(self.populations):
            part = slice(offsets[number], offsets[number + 1])
            shown = ", ".join(f"{name} {_span(self.neuron[name][part])}" for name in NEURON_ARRAYS)
            incoming = int(((self.target >= part.start) & (self.target < part.stop)).sum())
            lines.append(f"  population {group.name} {list(group.shape)}: {incoming} synapses; {shown}")
        lines += [f"  output {group.name} {list(group.shape)}" for group in self.outputs]
        return "\n".join(lines)


def _span(values: Array) -> str:
    low, high = int(values.min()), int(values.max())
    return str(low) if low == high else f"{low}..{high}"


class _Faults:
    """Collects what is wrong; faults of the input and faults of fitting lead to different exit codes."""

    def __init__(self) -> None:
        self.bad: list[str] = []
        self.misfit: list[str] = []

    def raise_if_any(self) -> None:
        if self.bad:
            raise InputError(self.bad + self.misfit)
        if self.misfit:
            raise FitError(self.misfit)


def check(network: Network, arch: Architecture) -> IntegerNetwork:
    """Check a network against a chip and flatten it.

    Raises InputError (what is wrong in itself) or FitError (what the chip cannot represent), each listing all faults found.
    """
    faults = _Faults()
    if not network.populations:
        faults.bad.append(f"network {network.name!r} has no populations")
    inputs, populations = _groups(network.inputs.values()), _groups(network.populations.values(), running=False)
    everything: list[Input | Population] = [*network.inputs.values(), *network.populations.values()]
    sizes = {item.name: item.size for item in everything}
    neuron = _neurons(network, arch, faults)
    edges = [_Edges(*part) for part in _all_edges(network, sizes, faults)]
    outputs = _outputs(network, faults)
    rate = _rates(network, faults)
    faults.raise_if_any()
    source, target, weight, delay, stochastic = _merge(network, edges, faults)
    if stochastic.any() and not arch.rules.stochastic_weights:
        faults.misfit.append(f"E-RANDOM {arch.name!r} does not have stochastic weights")
    if stochastic.any():
        _check_stochastic(network, arch, weight[stochastic], faults)
    faults.raise_if_any()
    starts = _neuron_starts(network)
    output_neuron = [np.arange(sizes[item.source]) + starts[item.source] for item in network.outputs.values()]
    return IntegerNetwork(
        network.name,
        inputs,
        populations,
        outputs,
        neuron,
        source,
        target,
        weight,
        delay,
        stochastic,
        np.concatenate([np.zeros(0, np.int64), *output_neuron]),
        rate,
    )


def _groups(items: Any, running: bool = True) -> tuple[Group, ...]:
    groups, start = [], 0
    for item in items:
        groups.append(Group(item.name, item.shape, start if running else 0))
        start += item.size
    return tuple(groups)


def _outputs(network: Network, faults: _Faults) -> tuple[Group, ...]:
    groups, start = [], 0
    for item in network.outputs.values():
        source = network.populations.get(item.source)
        if source is None:
            faults.bad.append(f"output {item.name!r}: its source {item.source!r} is not a population")
            continue
        groups.append(Group(item.name, source.shape, start))
        start += source.size
    return tuple(groups)


def _rates(network: Network, faults: _Faults) -> Array:
    known: dict[str, Input | Population] = {**network.inputs, **network.populations}
    for name, value in network.spike_rates.items():
        if name not in known:
            faults.bad.append(f"spike_rates: {name!r} is neither an input nor a population")
        elif not isinstance(value, int | float) or not 0 <= value <= 1:
            faults.bad.append(f"spike_rates: {name!r} is {value!r}; spikes per tick lie in 0..1")
    if faults.bad:
        return np.zeros(0)
    return np.concatenate(
        [np.zeros(0)]
        + [np.full(item.size, float(network.spike_rates.get(name, DEFAULT_RATE))) for name, item in known.items()]
    )


# ---------------------------------------------------------------- neurons


def _neurons(network: Network, arch: Architecture, faults: _Faults) -> dict[str, Array]:
    columns: dict[str, list[Array]] = {name: [np.zeros(0, np.int64)] for name in NEURON_ARRAYS}
    for population in network.populations.values():
        for name in NEURON_ARRAYS:
            columns[name].append(_parameter(population, name, arch, faults))
    return {name: np.concatenate(parts) for name, parts in columns.items()}


def _parameter(population: Population, name: str, arch: Architecture, faults: _Faults) -> Array:
    """One parameter [size] of a population as integers, checked."""
    subject = f"population {population.name!r}: {name}"
    given = population.neuron.get(name, NEURON_DEFAULTS[name])
    if given is None:
        given = arch.neuron.floor.max
    try:
        if name in ("reset_mode", "floor_mode"):
            values = _modes(given, RESET_MODES if name == "reset_mode" else FLOOR_MODES)
        else:
            values = whole_numbers(given)
    except ValueError as error:
        faults.bad.append(f"{subject} {error}")
        return np.zeros(population.size, np.int64)
    if values.ndim and values.size != population.size:
        faults.bad.append(f"{subject} has {values.size} values; the population has {population.size} neurons")
        return np.zeros(population.size, np.int64)
    values = np.broadcast_to(values.reshape(-1) if values.ndim else values, population.size)
    _check_parameter(subject, name, values, arch, faults)
    return values.astype(np.int64)


def _check_parameter(subject: str, name: str, values: Array, arch: Architecture, faults: _Faults) -> None:
    limits, rules = arch.neuron, arch.rules
    flags = Range(min=0, max=1)
    ranges = {
        "threshold": limits.threshold,
        "threshold_mask_bits": Range(min=0, max=limits.threshold_mask_bits),
        "reset": limits.reset,
        "floor": limits.floor,
        "leak": limits.leak,
        "initial": limits.membrane,
        "leak_reversal": flags,
        "leak_stochastic": flags,
    }
    if name in ranges:
        allowed = ranges[name]
        wrong = (values < allowed.min) | (values > allowed.max)
        if wrong.any():
            first = int(np.argmax(wrong))
            more = f" ({int(wrong.sum()) - 1} more neurons likewise)" if wrong.sum() > 1 else ""
            faults.misfit.append(
                f"E-RANGE {subject}[{first}] is {int(values[first])}; {arch.name!r} has {allowed}{more}"
            )
    else:
        names, allowed_names = (
            (RESET_MODES, limits.reset_modes) if name == "reset_mode" else (FLOOR_MODES, limits.floor_modes)
        )
        missing = sorted({names[mode] for mode in np.unique(values)} - set(allowed_names))
        if missing:
            faults.misfit.append(f"E-RANGE {subject} is {missing[0]!r}; {arch.name!r} has {', '.join(allowed_names)}")
    features = {
        "leak_stochastic": (rules.stochastic_leak, "a stochastic leak"),
        "leak_reversal": (rules.leak_reversal, "leak reversal"),
        "threshold_mask_bits": (rules.stochastic_threshold, "a random threshold"),
    }
    if name in features and not features[name][0] and values.any():
        faults.misfit.append(f"E-RANDOM {subject}: {arch.name!r} does not have {features[name][1]}")


def _modes(given: Any, names: tuple[str, ...]) -> Array:
    values = np.asarray(given)
    if values.dtype.kind not in "US" or not np.isin(values, names).all():
        shown = values.reshape(-1)[0] if values.size else given
        raise ValueError(f"is {shown!r}; it must be one of {', '.join(names)}")
    return _index(values, names)


def _index(values: Array, names: tuple[str, ...]) -> Array:
    result = np.zeros(values.shape, np.int64)
    for number, name in enumerate(names):
        result[values == name] = number
    return result


def whole_numbers(given: Any) -> Array:
    """Numbers or booleans as int64 of the same shape. Raises ValueError that completes 'NAME ...' for anything else."""
    try:
        values = np.asarray(given)
    except ValueError as error:
        raise ValueError("is ragged; rows must be equally long") from error
    if values.dtype == bool or values.dtype.kind == "i":
        return values.astype(np.int64)
    if values.dtype.kind == "u":
        if values.size and values.max() > np.iinfo(np.int64).max:
            raise ValueError(f"holds {values.max()}, which is too large")
        return values.astype(np.int64)
    if values.dtype.kind == "f":
        if not np.isfinite(values).all():
            raise ValueError("holds values that are not finite (NaN or infinity)")
        if (values != np.round(values)).any() or (np.abs(values) > 2**53).any():
            first = values.reshape(-1)[np.argmax(values.reshape(-1) != np.round(values.reshape(-1)))]
            raise ValueError(f"holds {first:g}, which is not a whole number; round or scale it to integers first")
        return values.astype(np.int64)
    if values.size == 0:
        return values.astype(np.int64)
    raise ValueError(
        f"is {given!r}; numbers were expected" if values.ndim == 0 else "holds something other than numbers"
    )


# ---------------------------------------------------------------- synapses


@dataclass(frozen=True)
class _Edges:
    """Synapses of one projection, numbered within source and target."""

    projection: Projection
    source: Array
    target: Array
    weight: Array
    delay: Array


def _all_edges(
    network: Network, sizes: dict[str, int], faults: _Faults
) -> Iterator[tuple[Projection, Array, Array, Array, Array]]:
    for projection in network.projections:
        unknown = [name for name in (projection.source, projection.target) if name not in sizes]
        for name in unknown:
            faults.bad.append(f"projection {projection.label}: {name!r} is neither an input nor a population")
        if projection.target in network.inputs:
            faults.bad.append(f"projection {projection.label}: the target must be a population, not an input")
        elif not unknown:
            try:
                yield (projection, *_expand(network, projection, sizes))
            except ValueError as error:
                text = str(error) if not isinstance(error, NeurocoreError) else "; ".join(error.problems)
                faults.bad.append(f"projection {projection.label}: {text}")


def _expand(network: Network, projection: Projection, sizes: dict[str, int]) -> tuple[Array, Array, Array, Array]:
    """Source, target, weight and delay of a projection's synapses. Raises ValueError that says what is wrong with it."""
    n_source, n_target = sizes[projection.source], sizes[projection.target]
    delay = whole_numbers_named("delay", projection.delay)
    if delay.ndim:
        raise ValueError(f"delay has shape {delay.shape}; one number was expected (edges may carry one each)")
    if projection.edges is not None:
        return _from_edges(projection, n_source, n_target, int(delay))
    if projection.conv2d is not None:
        shapes: dict[str, Input | Population] = {**network.inputs, **network.populations}
        source, target, weight = _from_conv(
            projection.conv2d, shapes[projection.source].shape, shapes[projection.target].shape
        )
    else:
        source, target, weight = _from_matrix(projection, n_source, n_target)
    _check_delays(np.array([delay]))
    return source, target, weight, np.full(len(source), int(delay), np.int64)


def whole_numbers_named(name: str, given: Any) -> Array:
    """:func:`whole_numbers` with the name in front of the complaint."""
    try:
        return whole_numbers(given)
    except ValueError as error:
        raise ValueError(f"{name} {error}") from error


def _check_delays(delay: Array) -> None:
    wrong = (delay < 1) | (delay > MAX_DELAY)
    if wrong.any():
        raise ValueError(f"delay is {int(delay[wrong][0])}; delays lie in 1..{MAX_DELAY} ticks")


def _from_matrix(projection: Projection, n_source: int, n_target: int) -> tuple[Array, Array, Array]:
    if projection.weights is not None:
        weights = whole_numbers_named("weights", projection.weights)
        if weights.shape != (n_source, n_target):
            raise ValueError(f"weights have shape {weights.shape}; [n_source, n_target] is ({n_source}, {n_target})")
        source, target = np.nonzero(weights)
        return source, target, weights[source, target]
    one = projection.one_to_one is not None
    form, given = ("one_to_one", projection.one_to_one) if one else ("all_to_all", projection.all_to_all)
    weight = whole_numbers_named(form, given)
    if weight.ndim:
        raise ValueError(f"{form} has shape {weight.shape}; one weight was expected")
    if one:
        if n_source != n_target:
            raise ValueError(f"one_to_one needs equally many neurons; the source has {n_source}, the target {n_target}")
        source = target = np.arange(n_source)
    else:
        source, target = (index.reshape(-1) for index in np.indices((n_source, n_target)))
    if int(weight) == 0:
        source = target = np.zeros(0, np.int64)
    return source, target, np.full(len(source), int(weight), np.int64)


def _from_edges(projection: Projection, n_source: int, n_target: int, delay: int) -> tuple[Array, Array, Array, Array]:
    edges = projection.edges or {}
    unknown = sorted(set(edges) - {"source", "target", "weight", "delay"})
    missing = sorted({"source", "target", "weight"} - set(edges))
    if unknown or missing:
        raise ValueError(
            f"edges need the arrays source, target, weight and may have delay; {(unknown + missing)[0]!r} is "
            + ("not known" if unknown else "missing")
        )
    columns = {name: whole_numbers_named(f"edges: {name}", values) for name, values in edges.items()}
    lengths = {name: len(np.atleast_1d(values)) for name, values in columns.items()}
    if any(values.ndim != 1 for values in columns.values()) or len(set(lengths.values())) > 1:
        raise ValueError(f"edges: the arrays differ in length: {', '.join(f'{n} {k}' for n, k in lengths.items())}")
    for name, upper in (("source", n_source), ("target", n_target)):
        wrong = (columns[name] < 0) | (columns[name] >= upper)
        if wrong.any():
            raise ValueError(f"edges: {name} {int(columns[name][wrong][0])} is outside 0..{upper - 1}")
    delays = columns.get("delay", np.full(lengths["source"], delay, np.int64))
    _check_delays(delays)
    keep = columns["weight"] != 0
    return columns["source"][keep], columns["target"][keep], columns["weight"][keep], delays[keep]


def _pair(name: str, given: Any, least: int) -> tuple[int, int]:
    values = whole_numbers_named(f"conv2d: {name}", given)
    if values.size not in (1, 2) or values.min() < least:
        raise ValueError(f"conv2d: {name} is {given!r}; one or two whole numbers of at least {least} were expected")
    pair = np.broadcast_to(values.reshape(-1), 2)
    return int(pair[0]), int(pair[1])


def _from_conv(conv: Conv2d, source: tuple[int, ...], target: tuple[int, ...]) -> tuple[Array, Array, Array]:
    """Synapses of a cross-correlation, unrolled without a loop over synapses."""
    kernel = whole_numbers_named("conv2d: kernel", conv.kernel)
    if kernel.ndim != 4 or len(source) != 3 or len(target) != 3:
        raise ValueError(
            f"conv2d: kernel has shape {kernel.shape}, source {list(source)}, target {list(target)};"
            " [out, in/groups, row, column] and [channel, row, column] were expected"
        )
    stride, padding = _pair("stride", conv.stride, 1), _pair("padding", conv.padding, 0)
    groups = int(whole_numbers_named("conv2d: groups", conv.groups))
    n_out, per_group, k_rows, k_columns = kernel.shape
    if groups < 1 or n_out % groups or per_group * groups != source[0]:
        raise ValueError(
            f"conv2d: {groups} groups of {per_group} input channels and {n_out} output channels do not match"
            f" {source[0]} source channels"
        )
    rows = (source[1] + 2 * padding[0] - k_rows) // stride[0] + 1
    columns = (source[2] + 2 * padding[1] - k_columns) // stride[1] + 1
    if target != (n_out, rows, columns):
        raise ValueError(
            f"conv2d: the target has shape {list(target)}; this convolution gives [{n_out}, {rows}, {columns}]"
        )
    out, inner, kr, kc = np.nonzero(kernel)
    y, x = (index.reshape(-1) for index in np.indices((rows, columns)))
    row = y[None] * stride[0] + kr[:, None] - padding[0]
    column = x[None] * stride[1] + kc[:, None] - padding[1]
    channel = inner + out // (n_out // groups) * per_group
    inside = (row >= 0) & (row < source[1]) & (column >= 0) & (column < source[2])
    from_ = (channel[:, None] * source[1] + row) * source[2] + column
    to = (out[:, None] * rows + y[None]) * columns + x[None]
    weight = np.broadcast_to(kernel[out, inner, kr, kc][:, None], inside.shape)
    return from_[inside], to[inside], weight[inside]


def _neuron_starts(network: Network) -> dict[str, int]:
    starts, start = {}, 0
    for item in network.populations.values():
        starts[item.name] = start
        start += item.size
    return starts


def _merge(network: Network, parts: list[_Edges], faults: _Faults) -> tuple[Array, Array, Array, Array, Array]:
    """All synapses, sorted by (target, source, delay); those given more than once are added up, zero sums dropped."""
    line_start, n_inputs = {}, 0
    for item in network.inputs.values():
        line_start[item.name] = n_inputs
        n_inputs += item.size
    starts = _neuron_starts(network)
    first = {**line_start, **{name: n_inputs + start for name, start in starts.items()}}
    none = [np.zeros(0, np.int64)]
    source = np.concatenate(none + [part.source + first[part.projection.source] for part in parts])
    target = np.concatenate(none + [part.target + starts[part.projection.target] for part in parts])
    weight = np.concatenate(none + [part.weight for part in parts])
    delay = np.concatenate(none + [part.delay for part in parts])
    chance = np.concatenate(none + [np.full(len(part.source), part.projection.stochastic) for part in parts]).astype(
        bool
    )
    order = np.lexsort((delay, source, target))
    source, target, weight, delay, chance = (array[order] for array in (source, target, weight, delay, chance))
    if not len(source):
        return source, target, weight, delay, chance
    new = np.ones(len(source), bool)
    new[1:] = (np.diff(target) != 0) | (np.diff(source) != 0) | (np.diff(delay) != 0)
    start = np.flatnonzero(new)
    count = np.diff(np.append(start, len(source)))
    mixed = (np.add.reduceat(chance.astype(np.int64), start) > 0) & (count > 1)
    if mixed.any():
        place = int(start[np.argmax(mixed)])
        faults.bad.append(
            f"{_neuron_label(network, int(target[place]))} gets a stochastic weight and another one from the same"
            f" source at delay {int(delay[place])}; such weights do not add up to one"
        )
    total = np.add.reduceat(weight, start)
    keep = total != 0
    start = start[keep]
    return source[start], target[start], total[keep], delay[start], chance[start]


def _neuron_label(network: Network, neuron: int) -> str:
    for item in network.populations.values():
        if neuron < item.size:
            return f"{item.name}[{neuron}]"
        neuron -= item.size
    raise AssertionError("the neuron belongs to a population")


def _check_stochastic(network: Network, arch: Architecture, weight: Array, faults: _Faults) -> None:
    allowed = arch.neuron.weight
    wrong = (weight < allowed.min) | (weight > allowed.max)
    if wrong.any():
        faults.misfit.append(
            f"E-WEIGHT network {network.name!r}: a stochastic weight is {int(weight[wrong][0])}; {arch.name!r} has {allowed},"
            " and stochastic weights cannot be split"
        )
