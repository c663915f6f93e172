"""A network of real numbers, flat: what quantisation starts from, and what its outcome is measured against."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse

from neurocore.architecture import FLOOR_MODES, RESET_MODES
from neurocore.compiler.faults import Faults, as_array, mode_numbers, no_numbers
from neurocore.compiler.network import NEURON_DEFAULTS, Input, Network, Population, Projection
from neurocore.compiler.synapses import add_fault, all_edges
from neurocore.errors import InputError
from neurocore.spikes import Spikes
from neurocore.wording import counted

Array = npt.NDArray[Any]

REAL = ("threshold", "reset", "floor", "leak", "initial")
"""Parameters that scale with the weights of their neuron."""
RANDOM = ("threshold_mask_bits", "leak_stochastic")
"""Parameters whose effect does not scale: the chip's random numbers have a size of their own."""


@dataclass(frozen=True)
class FloatNetwork:
    """Synapses sorted by (target, source, delay), unique in it; sources and neurons numbered as in IntegerNetwork.

    ``neuron`` holds the parameters of REAL as [N] (floor: infinity if there is none); the modes and ``leak_reversal`` are
    numbers. ``tap`` is the number of a synapse's weight among those of its projection. ``stochastic`` [N] says which neurons
    have stochastic synapses.
    """

    n_inputs: int
    source: Array
    target: Array
    delay: Array
    weight: Array
    tap: Array
    neuron: dict[str, Array]
    stochastic: Array

    @property
    def n_neurons(self) -> int:
        """Neurons."""
        return len(self.stochastic)

    def starts(self) -> Array:
        """First synapse [N + 1] of every neuron."""
        return np.searchsorted(self.target, np.arange(self.n_neurons + 1))


def flatten(network: Network) -> FloatNetwork:
    """The flat form of a network whose numbers may have fractions.

    Raises InputError that lists every value that is not finite, with its population and index, and every fault of shape.
    """
    faults = Faults(network.document)
    everything: list[Input | Population] = [*network.inputs.values(), *network.populations.values()]
    sizes = {item.name: item.size for item in everything}
    number = dict(zip(sizes, np.concatenate([[0], np.cumsum(list(sizes.values()))]).tolist(), strict=False))
    neuron = _neurons(network, faults)
    indexed, values = [], {}
    for projection in network.projections:
        item = _indexed(projection, faults)
        if item is not None:
            indexed.append(item[0])
            values[id(item[0])] = item[1]
    parts = []
    for edges in all_edges(replace(network, projections=indexed), sizes, faults):
        projection = edges.projection
        for block in edges.blocks():
            index = block.weight.astype(np.int64)
            weight = values[id(projection)][index - 1]
            delay, chance = np.broadcast_to(block.delay, len(index)), np.full(len(index), projection.stochastic)
            source, target = number[projection.source], number[projection.target]
            parts.append((block.source + source, block.target + target, delay.astype(np.int64), weight, index, chance))
    faults.raise_if_any()
    n_inputs = sum(item.size for item in network.inputs.values())
    return _merged(parts, n_inputs, neuron)


def _merged(parts: Sequence[tuple[Array, ...]], n_inputs: int, neuron: dict[str, Array]) -> FloatNetwork:
    """All synapses in order; those between the same two at the same delay added up, sums of zero dropped."""
    whole = np.zeros(0, np.int64)
    none = (whole, whole, whole, np.zeros(0), whole, np.zeros(0, bool))
    source, target, delay, weight, tap, chance = (np.concatenate(column) for column in zip(none, *parts, strict=True))
    target = target - n_inputs
    order = np.lexsort((delay, source, target))
    source, target, delay, weight = source[order], target[order], delay[order], weight[order]
    new = np.ones(len(source), bool)
    new[1:] = (np.diff(target) != 0) | (np.diff(source) != 0) | (np.diff(delay) != 0)
    first = np.flatnonzero(new)
    total = np.add.reduceat(weight, first) if len(first) else weight
    stochastic = np.zeros(len(neuron["threshold"]), bool)
    stochastic[target[chance[order]]] = True
    keep = first[total != 0]
    ends = source[keep], target[keep]
    return FloatNetwork(n_inputs, *ends, delay[keep], total[total != 0], tap[order][keep], neuron, stochastic)


def _indexed(projection: Projection, faults: Faults) -> tuple[Projection, Array] | None:
    """The projection with every weight replaced by its number from 1 (0 for no synapse), and the weights by number."""
    form = next(name for name in ("weights", "one_to_one", "all_to_all", "edges", "conv2d") if _has(projection, name))
    given = getattr(projection, form)
    name = {"edges": "edges: weight", "conv2d": "conv2d: kernel"}.get(form, form)
    try:
        given = given["weight"] if form == "edges" else given.kernel if form == "conv2d" else given
        values = real_numbers(name, given)
    except KeyError:
        return projection, np.zeros(0)
    except ValueError as error:
        add_fault(projection, str(error), faults)
        return None
    index = np.where(values != 0, np.arange(1, values.size + 1).reshape(values.shape), 0)
    whole: Any = index
    if form == "edges":
        whole = {**(projection.edges or {}), "weight": index}
    elif projection.conv2d is not None:
        whole = replace(projection.conv2d, kernel=index)
    return replace(projection, **{form: whole}), values.reshape(-1)


def _has(projection: Projection, form: str) -> bool:
    return getattr(projection, form) is not None


def real_numbers(name: str, given: Any) -> Array:
    """Numbers as float64 of the same shape. Raises ValueError that names the first that is not finite by its index."""
    try:
        values = as_array(given)
    except ValueError as error:
        raise ValueError(f"{name} {error}") from error
    if values.dtype.kind not in "biuf" and values.size:
        raise ValueError(f"{name} {no_numbers(given, values)}")
    with np.errstate(over="ignore"):
        values = values.astype(np.float64)
    bad = np.argwhere(~np.isfinite(values))
    if len(bad):
        place = f"[{', '.join(map(str, bad[0]))}]" if values.ndim else ""
        raise ValueError(
            f"{name}{place} is {values[tuple(bad[0])]}; only finite numbers can be quantised"
            + (f" ({counted(len(bad) - 1, 'more value')} likewise)" if len(bad) > 1 else "")
        )
    return values


def _neurons(network: Network, faults: Faults) -> dict[str, Array]:
    names = (*REAL, *RANDOM, "leak_reversal", "reset_mode", "floor_mode")
    columns: dict[str, list[Array]] = {name: [np.zeros(0)] for name in names}
    for population in network.populations.values():
        for name in names:
            try:
                columns[name].append(_parameter(population, name))
            except ValueError as error:
                faults.add(f"population {population.name!r}: {error}", "populations", population.name, "neuron", name)
    return {name: np.concatenate(parts) for name, parts in columns.items()}


def _parameter(population: Population, name: str) -> Array:
    """One parameter [size] of a population as float64."""
    given = population.neuron.get(name, NEURON_DEFAULTS[name])
    if given is None and name == "floor":
        return np.full(population.size, np.inf)
    if name in ("reset_mode", "floor_mode"):
        names = RESET_MODES if name == "reset_mode" else FLOOR_MODES
        try:
            values = mode_numbers(given, names).astype(float)
        except ValueError as error:
            raise ValueError(f"{name} {error}") from error
    else:
        values = real_numbers(name, given)
    if values.ndim and values.size != population.size:
        raise ValueError(
            f"{name} has {counted(values.size, 'value')}; the population has {counted(population.size, 'neuron')}"
        )
    return np.array(np.broadcast_to(values.reshape(-1) if values.ndim else values, population.size))


class FloatReference:
    """Runs a network of real numbers tick by tick, by the rules of a chip's neuron but without its ranges and its clamp.

    Raises InputError for networks that draw random numbers.
    """

    def __init__(self, network: FloatNetwork) -> None:
        if network.stochastic.any() or any(network.neuron[name].any() for name in RANDOM):
            raise InputError(
                "a network that draws random numbers cannot be compared spike by spike with its quantised form"
            )
        self.network = network
        self.membrane = network.neuron["initial"].copy()
        shape = (network.n_neurons, network.n_inputs + network.n_neurons)
        self.matrices = {}
        for delay in np.unique(network.delay).tolist():
            mine = network.delay == delay
            entries = (network.weight[mine], (network.target[mine], network.source[mine]))
            self.matrices[delay] = sparse.csr_matrix(entries, shape)
        self.history: list[Array] = []

    def tick(self, lines: Array) -> Array:
        """Which neurons [N] fire in the next tick, the given input lines being active in it."""
        network, now = self.network, len(self.history)
        active = np.zeros(network.n_inputs + network.n_neurons)
        active[lines] = 1
        self.history.append(active)
        for delay, matrix in self.matrices.items():
            if delay <= now:
                self.membrane += matrix @ self.history[now - delay]
        fired = _advance(self.membrane, network.neuron)
        active[network.n_inputs :] = fired
        return fired


def _advance(membrane: Array, neuron: dict[str, Array]) -> Array:
    """Leak, threshold, reset and floor of chip.md for real numbers, in place; returns which neurons fired."""
    sign = np.sign(membrane)
    reverse = neuron["leak_reversal"] != 0
    membrane += np.where(reverse, sign, 1) * neuron["leak"]
    membrane[reverse & (np.sign(membrane) != sign)] = 0
    fired = membrane >= neuron["threshold"]
    low = ~fired & (membrane < -neuron["floor"])
    mode = neuron["reset_mode"]
    membrane[fired & (mode == 0)] = neuron["reset"][fired & (mode == 0)]
    linear = fired & (mode == 1)
    membrane[linear] -= neuron["threshold"][linear]
    saturating = low & (neuron["floor_mode"] == FLOOR_MODES.index("saturate"))
    membrane[saturating] = -neuron["floor"][saturating]
    resetting = low & ~saturating
    membrane[resetting & (mode == 0)] = -neuron["reset"][resetting & (mode == 0)]
    raised = resetting & (mode == 1)
    membrane[raised] += neuron["floor"][raised]
    return np.asarray(fired)


def spike_counts(network: FloatNetwork, spikes: Spikes, ticks: int) -> Array:
    """Spikes [N] of every neuron in ``ticks`` ticks."""
    reference, counts = FloatReference(network), np.zeros(network.n_neurons, np.int64)
    bounds = np.searchsorted(spikes.tick, np.arange(ticks + 1))
    for now in range(ticks):
        counts += reference.tick(spikes.line[bounds[now] : bounds[now + 1]])
    return counts
