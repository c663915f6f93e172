"""From projections to synapses: matrices, edge lists and convolutions as flat arrays, merged and sorted."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from neurocore.architecture import Architecture
from neurocore.compiler.faults import Faults, whole_numbers_named
from neurocore.compiler.network import Conv2d, Input, Network, Population, Projection
from neurocore.errors import NeurocoreError

Array = npt.NDArray[Any]

MAX_WEIGHT = 2**31 - 1
"""Largest magnitude of a weight, also of weights that were added up."""
MAX_DELAY = 65_535
"""Longest delay of a projection, in ticks."""


@dataclass(frozen=True)
class Edges:
    """Synapses of one projection, numbered within source and target."""

    projection: Projection
    source: Array
    target: Array
    weight: Array
    delay: Array


def all_edges(
    network: Network, sizes: dict[str, int], faults: Faults
) -> Iterator[tuple[Projection, Array, Array, Array, Array]]:
    """Every projection with its synapses: source, target, weight, delay. What is wrong with one goes to ``faults``."""
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
    _check_weights(weight)
    _check_delays(np.array([delay]))
    return source, target, weight, np.full(len(source), int(delay), np.int64)


def _check_weights(weight: Array) -> None:
    wrong = (weight > MAX_WEIGHT) | (weight < -MAX_WEIGHT)
    if wrong.any():
        raise ValueError(f"a weight is {int(weight[wrong][0])}; weights lie in -{MAX_WEIGHT}..{MAX_WEIGHT}")


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
    _check_weights(columns["weight"])
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


def neuron_starts(network: Network) -> dict[str, int]:
    """Number of each population's first neuron."""
    starts, start = {}, 0
    for item in network.populations.values():
        starts[item.name] = start
        start += item.size
    return starts


def merge(network: Network, parts: list[Edges], faults: Faults) -> tuple[Array, Array, Array, Array, Array]:
    """All synapses, sorted by (target, source, delay); those given more than once are added up, zero sums dropped."""
    line_start, n_inputs = {}, 0
    for item in network.inputs.values():
        line_start[item.name] = n_inputs
        n_inputs += item.size
    starts = neuron_starts(network)
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
    large = np.abs(total) > MAX_WEIGHT
    if large.any():
        place = int(start[np.argmax(large)])
        faults.bad.append(
            f"{_neuron_label(network, int(target[place]))}: weights from one source at delay {int(delay[place])} add up to"
            f" {int(total[large][0])}; weights lie in -{MAX_WEIGHT}..{MAX_WEIGHT}"
        )
    keep = total != 0
    start = start[keep]
    return source[start], target[start], total[keep], delay[start], chance[start]


def _neuron_label(network: Network, neuron: int) -> str:
    for item in network.populations.values():
        if neuron < item.size:
            return f"{item.name}[{neuron}]"
        neuron -= item.size
    raise AssertionError("the neuron belongs to a population")


def check_stochastic(network: Network, arch: Architecture, weight: Array, faults: Faults) -> None:
    """Stochastic weights must be the chip's own: they cannot be split over axons."""
    allowed = arch.neuron.weight
    wrong = (weight < allowed.min) | (weight > allowed.max)
    if wrong.any():
        faults.misfit.append(
            f"E-WEIGHT network {network.name!r}: a stochastic weight is {int(weight[wrong][0])}; {arch.name!r} has {allowed},"
            " and stochastic weights cannot be split"
        )
