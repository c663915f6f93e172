"""From projections to synapses: matrices, edge lists and convolutions, block by block into rows by target, sorted and merged."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from neurocore._graph import count_rows, fill_rows, sort_rows, sum_repeated
from neurocore.architecture import Architecture
from neurocore.compiler.faults import Faults, integers_named, whole_numbers_named
from neurocore.compiler.network import Conv2d, Input, Network, Population, Projection
from neurocore.errors import NeurocoreError
from neurocore.wording import did_you_mean, shown

Array = npt.NDArray[Any]
Triples = Callable[[], Iterator[tuple[Array, Array, Array]]]
"""Makes the blocks (source, target, weight) of a projection."""

MAX_WEIGHT = 2**31 - 1
"""Largest magnitude of a weight, also of weights that were added up."""
MAX_DELAY = 65_535
"""Longest delay of a projection, in ticks."""
BLOCK = 1 << 22
"""Synapses, or entries of a matrix, that are held unpacked at a time."""


@dataclass(frozen=True)
class Block:
    """Some synapses of a projection, numbered within source and target; ``delay`` [1] stands for all or is one for each."""

    source: Array
    target: Array
    weight: Array
    delay: Array


@dataclass(frozen=True)
class Edges:
    """The synapses of one projection, made block by block, as often as they are asked for.

    With ``of_unions`` the sources are numbers of unions (:mod:`neurocore.compiler.unions`) instead.
    """

    projection: Projection
    blocks: Callable[[], Iterator[Block]]
    of_unions: bool = False


def all_edges(network: Network, sizes: dict[str, int], faults: Faults) -> Iterator[Edges]:
    """Every projection with its synapses. What is wrong with one goes to ``faults``."""
    for projection in network.projections:
        ends = {"source": projection.source, "target": projection.target}
        unknown = {end: name for end, name in ends.items() if name not in sizes}
        for end, name in unknown.items():
            text = f"projection {projection.label}: {name!r} is neither an input nor a population{did_you_mean(name, sizes)}"
            faults.add(text, *projection.location, end)
        if projection.target in network.inputs:
            text = f"projection {projection.label}: the target must be a population, not an input"
            faults.add(text, *projection.location, "target")
        elif not unknown:
            try:
                yield Edges(projection, _blocks(network, projection, sizes))
            except ValueError as error:
                text = str(error) if not isinstance(error, NeurocoreError) else "; ".join(error.problems)
                add_fault(projection, text, faults)


def add_fault(projection: Projection, text: str, faults: Faults) -> None:
    """Something that is wrong with a projection; the first word of ``text`` is the key that it is about, if it is about one."""
    key = re.split(r"\W", text, maxsplit=1)[0]
    inside = ("weights", key) if key in ("one_to_one", "all_to_all") else (key,)
    faults.add(f"projection {projection.label}: {text}", *projection.location, *inside)


def _blocks(network: Network, projection: Projection, sizes: dict[str, int]) -> Callable[[], Iterator[Block]]:
    """The maker of a projection's synapses. Raises ValueError that says what is wrong with it."""
    n_source, n_target = sizes[projection.source], sizes[projection.target]
    delay = np.asarray(_one("delay", projection.delay, " (edges may carry one each)"))
    if projection.edges is not None:
        return _from_edges(projection, n_source, n_target, int(delay))
    if projection.conv2d is not None:
        shapes: dict[str, Input | Population] = {**network.inputs, **network.populations}
        make = _from_conv(projection.conv2d, shapes[projection.source].shape, shapes[projection.target].shape)
    elif projection.weights is not None:
        make = _from_matrix(projection.weights, n_source, n_target)
    else:
        make = _from_one_weight(projection, n_source, n_target)
    _check_delays(np.array([delay]))
    return lambda: (
        Block(_narrow(source), _narrow(target), _narrow(weight), delay.reshape(1).astype(np.uint16))
        for source, target, weight in make()
    )


def _narrow(values: Array) -> Array:
    return np.ascontiguousarray(values, np.int32)


def _check_weights(weight: Array) -> None:
    if not weight.size or (weight.max() <= MAX_WEIGHT and weight.min() >= -MAX_WEIGHT):
        return
    wrong = (weight > MAX_WEIGHT) | (weight < -MAX_WEIGHT)
    raise ValueError(f"a weight is {int(weight[wrong][0])}; weights lie in -{MAX_WEIGHT}..{MAX_WEIGHT}")


def _check_delays(delay: Array) -> None:
    if not delay.size or (delay.min() >= 1 and delay.max() <= MAX_DELAY):
        return
    wrong = (delay < 1) | (delay > MAX_DELAY)
    raise ValueError(f"delay is {int(delay[wrong][0])}; delays lie in 1..{MAX_DELAY} ticks")


def _steps(n: int, size: int) -> Iterator[slice]:
    """0..n-1 in slices of at most BLOCK // size, at least 1."""
    step = max(1, BLOCK // max(size, 1))
    return (slice(begin, min(begin + step, n)) for begin in range(0, n, step))


def _from_matrix(given: Any, n_source: int, n_target: int) -> Triples:
    weights = integers_named("weights", given)
    if weights.shape != (n_source, n_target):
        raise ValueError(f"weights have shape {weights.shape}; [n_source, n_target] is ({n_source}, {n_target})")
    _check_weights(weights)

    def make() -> Iterator[tuple[Array, Array, Array]]:
        for rows in _steps(n_source, n_target):
            part = weights[rows]
            present = part != 0
            source = np.repeat(np.arange(rows.start, rows.stop), np.count_nonzero(present, axis=1))
            yield source, np.flatnonzero(present) - (source - rows.start) * n_target, part[present]

    return make


def _from_one_weight(projection: Projection, n_source: int, n_target: int) -> Triples:
    one = projection.one_to_one is not None
    form, given = ("one_to_one", projection.one_to_one) if one else ("all_to_all", projection.all_to_all)
    weight = np.asarray(_one(form, given))
    if one and n_source != n_target:
        raise ValueError(f"one_to_one needs equally many neurons; the source has {n_source}, the target {n_target}")
    _check_weights(weight)
    per_source = 1 if one else n_target

    def make() -> Iterator[tuple[Array, Array, Array]]:
        for rows in _steps(n_source if int(weight) else 0, per_source):
            source = np.repeat(np.arange(rows.start, rows.stop), per_source)
            target = source if one else np.tile(np.arange(n_target), rows.stop - rows.start)
            yield source, target, np.full(len(source), int(weight))

    return make


def _from_edges(projection: Projection, n_source: int, n_target: int, delay: int) -> Callable[[], Iterator[Block]]:
    edges = projection.edges or {}
    unknown = sorted(set(edges) - {"source", "target", "weight", "delay"})
    missing = sorted({"source", "target", "weight"} - set(edges))
    if unknown or missing:
        raise ValueError(
            f"edges need the arrays source, target, weight and may have delay; {(unknown + missing)[0]!r} is "
            + ("not known" if unknown else "missing")
        )
    columns = {name: integers_named(f"edges: {name}", values) for name, values in edges.items()}
    for name, values in columns.items():
        if values.ndim != 1:
            raise ValueError(
                f"edges: {name} has shape {values.shape}; one value for each synapse, shape (n,), was expected"
            )
    lengths = {name: len(values) for name, values in columns.items()}
    if len(set(lengths.values())) > 1:
        raise ValueError(f"edges: the arrays differ in length: {', '.join(f'{n} {k}' for n, k in lengths.items())}")
    for name, upper in (("source", n_source), ("target", n_target)):
        values = columns[name]
        if values.size and (values.min() < 0 or values.max() >= upper):
            wrong = (values < 0) | (values >= upper)
            raise ValueError(f"edges: {name} {int(values[wrong][0])} is outside 0..{upper - 1}")
    delays = columns.get("delay", np.array([delay]))
    _check_delays(delays)
    _check_weights(columns["weight"])

    def make() -> Iterator[Block]:
        for part in _steps(lengths["source"], 1):
            weight = _narrow(columns["weight"][part])
            keep = slice(None) if weight.all() else weight != 0
            mine = delays[part][keep] if "delay" in columns else delays
            source, target = (_narrow(columns[name][part][keep]) for name in ("source", "target"))
            yield Block(source, target, _narrow(weight[keep]), np.ascontiguousarray(mine, np.uint16))

    return make


def _one(name: str, given: Any, more: str = "") -> int:
    """A single whole number."""
    value = whole_numbers_named(name, given)
    if value.ndim:
        raise ValueError(f"{name} has shape {value.shape}; one number was expected{more}")
    return int(value)


def _pair(name: str, given: Any, least: int) -> tuple[int, int]:
    values = whole_numbers_named(f"conv2d: {name}", given)
    if values.size not in (1, 2) or values.min() < least:
        raise ValueError(
            f"conv2d: {name} is {shown(given)}; one or two whole numbers of at least {least} were expected"
        )
    pair = np.broadcast_to(values.reshape(-1), 2)
    return int(pair[0]), int(pair[1])


def _from_conv(conv: Conv2d, source: tuple[int, ...], target: tuple[int, ...]) -> Triples:
    """Synapses of a cross-correlation, unrolled without a loop over synapses."""
    kernel = whole_numbers_named("conv2d: kernel", conv.kernel)
    if kernel.ndim != 4 or len(source) != 3 or len(target) != 3:
        raise ValueError(
            f"conv2d: kernel has shape {kernel.shape}, source {list(source)}, target {list(target)};"
            " [out, in/groups, row, column] and [channel, row, column] were expected"
        )
    stride, padding = _pair("stride", conv.stride, 1), _pair("padding", conv.padding, 0)
    groups = _one("conv2d: groups", conv.groups)
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
    _check_weights(kernel)
    taps = np.stack(np.nonzero(kernel), axis=1)
    y, x = (index.reshape(-1) for index in np.indices((rows, columns)))

    def make() -> Iterator[tuple[Array, Array, Array]]:
        for part in _steps(len(taps), rows * columns):
            out, inner, kr, kc = taps[part].T
            row = y[None] * stride[0] + kr[:, None] - padding[0]
            column = x[None] * stride[1] + kc[:, None] - padding[1]
            channel = inner + out // (n_out // groups) * per_group
            inside = (row >= 0) & (row < source[1]) & (column >= 0) & (column < source[2])
            from_ = (channel[:, None] * source[1] + row) * source[2] + column
            to = (out[:, None] * rows + y[None]) * columns + x[None]
            weight = np.broadcast_to(kernel[out, inner, kr, kc][:, None], inside.shape)
            yield from_[inside], to[inside], weight[inside]

    return make


def neuron_starts(network: Network) -> dict[str, int]:
    """Number of each population's first neuron."""
    starts, start = {}, 0
    for item in network.populations.values():
        starts[item.name] = start
        start += item.size
    return starts


@dataclass(frozen=True)
class Rows:
    """Synapses by target: those of neuron j are ``start[j]`` to ``start[j + 1]``, sorted by (source, delay), unique in it."""

    start: npt.NDArray[np.int64]
    source: npt.NDArray[np.int32]
    weight: npt.NDArray[np.int32]
    delay: npt.NDArray[np.uint16]
    stochastic: npt.NDArray[np.bool_]


def source_starts(network: Network) -> dict[str, int]:
    """Number of each input's first line, and of each population's first neuron, as a source."""
    starts, start = {}, 0
    everything: list[Input | Population] = [*network.inputs.values(), *network.populations.values()]
    for item in everything:
        starts[item.name] = start
        start += item.size
    return starts


def merge(network: Network, parts: list[Edges], faults: Faults) -> Rows:
    """All synapses by target; those given more than once are added up, zero sums dropped."""
    starts, known = neuron_starts(network), source_starts(network)
    n_neurons = sum(item.size for item in network.populations.values())
    n_sources = n_neurons + sum(item.size for item in network.inputs.values())

    def first(part: Edges) -> int:
        return n_sources if part.of_unions else known[part.projection.source]

    # In the order of sources most rows are sorted as they are filled.
    parts = sorted(parts, key=first)
    start = np.zeros(n_neurons + 1, np.int64)
    for part in parts:
        for block in part.blocks():
            count_rows(block.target, starts[part.projection.target] + 1, start)
    np.cumsum(start, out=start)
    n = int(start[-1])
    rows = Rows(start, np.empty(n, np.int32), np.empty(n, np.int32), np.empty(n, np.uint16), np.empty(n, bool))
    chance = rows.stochastic.view(np.uint8)
    free = start[:-1].copy()
    for part in parts:
        target, source = starts[part.projection.target], first(part)
        for block in part.blocks():
            columns = (block.target, block.source, block.weight, block.delay, int(part.projection.stochastic))
            fill_rows(*columns, target, source, free, rows.source, rows.weight, rows.delay, chance)
    if sort_rows(start, rows.source, rows.weight, rows.delay, chance):
        return _summed(network, rows, faults)
    return rows


def _summed(network: Network, rows: Rows, faults: Faults) -> Rows:
    """Sorted rows with repeated synapses added up; sums that cannot be represented go to ``faults``."""
    chance = rows.stochastic.view(np.uint8)
    mixed, large = sum_repeated(rows.start, rows.source, rows.weight, rows.delay, chance, MAX_WEIGHT)
    if mixed is not None:
        name, label = _neuron_label(network, mixed[0])
        faults.add(
            f"{label} gets a stochastic weight and another one from the same source at delay {mixed[1]}; such weights do not add"
            " up to one",
            "populations",
            name,
        )
    if large is not None:
        name, label = _neuron_label(network, large[0])
        faults.add(
            f"{label}: weights from one source at delay {large[1]} add up to {large[2]}; weights lie in"
            f" -{MAX_WEIGHT}..{MAX_WEIGHT}",
            "populations",
            name,
        )
    n = int(rows.start[-1])
    return Rows(rows.start, rows.source[:n], rows.weight[:n], rows.delay[:n], rows.stochastic[:n])


def _neuron_label(network: Network, neuron: int) -> tuple[str, str]:
    """The population of a neuron, and how messages name it."""
    for item in network.populations.values():
        if neuron < item.size:
            return item.name, f"{item.name}[{neuron}]"
        neuron -= item.size
    raise AssertionError("the neuron belongs to a population")


def check_stochastic(network: Network, arch: Architecture, weight: Array, faults: Faults) -> None:
    """Stochastic weights must be the chip's own: they cannot be split over axons."""
    allowed = arch.neuron.weight
    wrong = (weight < allowed.min) | (weight > allowed.max)
    if wrong.any():
        value = int(weight[wrong][0])
        beyond = value - allowed.max if value > allowed.max else allowed.min - value
        more = f"; {int(wrong.sum()) - 1:,} more likewise" if wrong.sum() > 1 else ""
        faults.misfit.append(
            f"E-WEIGHT network {network.name!r}: a stochastic weight is {value}; {arch.name!r} has {allowed} ({beyond:,}"
            f" over{more}) and a stochastic weight cannot be a sum of others. Use a smaller one, or several sources"
        )
