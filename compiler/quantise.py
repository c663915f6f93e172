"""From real numbers to the chip's integers: the only pass that loses anything, and what it loses is reported.

A neuron's weights, threshold, leak, reset, floor and V(0) may be multiplied by one positive number without changing a spike.
Every neuron is therefore quantised at a scale of its own: first its weights are brought to a form that axon types can express,
then the scale is chosen at which that form and the neuron's parameters come closest to integers. Three forms:

* ``weight_bits=b``: whole multiples q in -2^(b-1)..2^(b-1)-1 of one number, the best such number per neuron;
* ``levels=n``: n freely chosen values per neuron besides zero, the best ones;
* ``fit``: sums of one value per neuron and axon type, fitted jointly for the neurons that will share a core to its axons and
  types; how many share one is chosen so that the loss is least while the network keeps within a budget of cores.

The first two minimise the squared error of every neuron's weights exactly; for ``fit`` see :mod:`neurocore.compiler.typefit`.
Populations whose numbers are all whole are left exactly as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from neurocore.architecture import Architecture
from neurocore.compiler.corefit import FittedPopulation, fit_populations
from neurocore.compiler.faults import Faults
from neurocore.compiler.floats import RANDOM, REAL, FloatNetwork, flatten
from neurocore.compiler.network import CoreCode, Input, Network, Population
from neurocore.compiler.quantisation import PopulationLoss, QuantisationReport, Quantise
from neurocore.compiler.scale import Form, best_scale, form_of
from neurocore.errors import FitError

Array = npt.NDArray[Any]

NO_FLOOR = -1
"""Stands for no floor; floors are not negative."""
CORES_KEPT_FREE = 0.12
"""Part of a chip that ``fit`` leaves to relays beyond its estimate unless it is told how many cores to use."""


@dataclass
class _Integers:
    """Integer weights [E] and parameters [N] in the making, and the scale [N] by which each neuron was multiplied."""

    weight: Array
    scale: Array
    neuron: dict[str, Array]
    values: Array
    problems: list[str] = field(default_factory=list)


def quantise(
    network: Network, arch: Architecture, progress: Callable[[int, int], None] | None = None
) -> tuple[Network, QuantisationReport]:
    """The integer network that stands for ``network``, by the method that its ``quantise`` asks for, and what was lost.

    ``progress(done, total)`` is called for every population that is scaled, after all are fitted if the method is "fit".
    Raises InputError for numbers that are not finite and FitError for neurons that the chip's ranges cannot express at any scale.
    """
    assert network.quantise is not None, "the network asks to be quantised"
    method = Quantise.of(network.quantise)
    flat = flatten(network)
    wanted = {name: part for name, part in _parts(network).items() if not _is_whole(flat, part)}
    _refuse_random(network, flat, wanted)
    _refuse_merging(network, wanted)
    fitted: dict[str, FittedPopulation] = {}
    if method.method == "fit":
        budget = method.number or int(arch.n_cores * (1 - CORES_KEPT_FREE))
        fitted = fit_populations(network, flat, wanted, arch, budget)
    shape = (flat.n_neurons, arch.core.axon_types)
    state = _Integers(np.zeros(len(flat.weight), np.int64), np.ones(flat.n_neurons), {}, np.zeros(shape, np.int64))
    state.neuron = {name: np.zeros(flat.n_neurons, np.int64) for name in REAL}
    quantiser = _Quantiser(flat, method, arch, state)
    for done, (name, part) in enumerate(wanted.items(), 1):
        quantiser.population(name, part, fitted.get(name))
        if progress is not None:
            progress(done, len(wanted))
    if state.problems:
        raise FitError(state.problems)
    losses = tuple(_loss(name, part, flat, state, fitted.get(name)) for name, part in wanted.items())
    return _rebuilt(network, flat, wanted, state, fitted), QuantisationReport(method, losses)


def _parts(network: Network) -> dict[str, range]:
    """The neurons of every population."""
    parts, start = {}, 0
    for name, item in network.populations.items():
        parts[name] = range(start, start + item.size)
        start += item.size
    return parts


def _is_whole(flat: FloatNetwork, part: range) -> bool:
    first = flat.starts()
    weight = flat.weight[first[part.start] : first[part.stop]]
    columns = [weight, *(flat.neuron[name][part.start : part.stop] for name in REAL)]
    return all(bool((values == np.round(values)).all()) for values in columns)


def _refuse_merging(network: Network, wanted: Mapping[str, range]) -> None:
    faults = Faults(network.document)
    for item in network.projections:
        if item.merge != "sum" and item.target in wanted:
            faults.add(
                f"projection {item.label}: sources with one weight are merged (merge: {item.merge}), and quantisation would"
                " change which they are; give the weights and parameters of the target as whole numbers",
                *item.location,
                "merge",
            )
    faults.raise_if_any()


def _refuse_random(network: Network, flat: FloatNetwork, wanted: Mapping[str, range]) -> None:
    faults = Faults(network.document)
    for name, part in wanted.items():
        random = flat.stochastic[part.start : part.stop].any()
        random |= any(flat.neuron[item][part.start : part.stop].any() for item in RANDOM)
        if random:
            faults.add(
                f"population {name!r} draws random numbers, whose size is the chip's own, so that it cannot be scaled; give"
                " its weights and parameters as whole numbers",
                "populations",
                name,
            )
    faults.raise_if_any()


class _Quantiser:
    """Brings one population after the other to integers, and keeps what it made for neurons that are alike."""

    def __init__(self, flat: FloatNetwork, method: Quantise, arch: Architecture, state: _Integers) -> None:
        self.flat, self.method, self.arch, self.state = flat, method, arch, state
        self.first = flat.starts()
        self.parameters = np.stack([flat.neuron[name] for name in REAL], axis=1)
        self.known: dict[tuple[bytes, bytes], tuple[Form, float, Array]] = {}

    def population(self, name: str, part: range, fitted: FittedPopulation | None) -> None:
        """Quantise all neurons of a population; thresholds that vanish are a problem."""
        for neuron in part:
            if fitted is None:
                self.by_itself(neuron)
            else:
                self.as_fitted(neuron, part, fitted)
        mine = slice(part.start, part.stop)
        vanished = (self.state.neuron["threshold"][mine] < 1) & (self.parameters[mine, 0] > 0)
        if vanished.any():
            self.state.problems.append(
                f"E-QUANT population {name!r}: {int(vanished.sum())} of {len(part)} neurons have a threshold so small against"
                f" their largest weight that it becomes 0 where the weight is {self.arch.neuron.weight.max}, the largest of"
                f" {self.arch.name!r}; raise the threshold or clip the weights"
            )

    def by_itself(self, neuron: int) -> None:
        """A neuron whose weights are quantised on their own."""
        own = self.synapses(neuron)
        weight = self.flat.weight[own]
        key = weight.tobytes(), self.parameters[neuron].tobytes()
        if key not in self.known:
            form = form_of(weight, self.method)
            self.known[key] = (form, *best_scale(form, weight, self.parameters[neuron], self.arch))
        form, scale, table = self.known[key]
        self.store(neuron, scale, form.parts @ table)

    def as_fitted(self, neuron: int, part: range, fitted: FittedPopulation) -> None:
        """A neuron whose weights were fitted with those of others; all neurons with the same values get the same integers."""
        own, begin = self.synapses(neuron), int(self.first[part.start])
        values = fitted.values[neuron - part.start]
        form = Form(values, fitted.connected[own.start - begin : own.stop - begin].astype(np.int64))
        key = values.tobytes(), self.parameters[neuron].tobytes()
        if key not in self.known:
            best = best_scale(form, self.flat.weight[own], self.parameters[neuron], self.arch)
            self.known[key] = (form, *best)
        _, scale, table = self.known[key]
        self.state.values[neuron] = table
        self.store(neuron, scale, form.parts @ table)

    def synapses(self, neuron: int) -> slice:
        return slice(int(self.first[neuron]), int(self.first[neuron + 1]))

    def store(self, neuron: int, scale: float, weight: Array) -> None:
        self.state.scale[neuron] = scale
        self.state.weight[self.synapses(neuron)] = weight
        for name, value in zip(REAL, (scale * self.parameters[neuron]).tolist(), strict=True):
            self.state.neuron[name][neuron] = NO_FLOOR if np.isinf(value) else round(value)


# ---------------------------------------------------------------- the outcome


def _loss(
    name: str, part: range, flat: FloatNetwork, state: _Integers, fitted: FittedPopulation | None
) -> PopulationLoss:
    first, (errors, lost) = flat.starts(), _parameter_errors(part, flat, state)
    own = slice(first[part.start], first[part.stop])
    target, wanted = flat.target[own], flat.weight[own]
    error = wanted - state.weight[own] / state.scale[target]
    threshold = np.maximum(np.abs(flat.neuron["threshold"][target]), np.finfo(float).tiny)
    energy = float(wanted @ wanted)
    kept = state.weight[own] != 0
    different = np.unique(np.stack([target[kept], state.weight[own][kept]]), axis=1)[0]
    return PopulationLoss(
        name,
        len(wanted),
        int(kept.sum()),
        float(np.sqrt(error @ error / energy)) if energy else 0.0,
        float((np.abs(error) / threshold).max(initial=0.0)),
        max(errors.values(), default=0.0),
        int(np.bincount(different).max(initial=0)),
        None if fitted is None else fitted.neurons_per_core,
        errors,
        lost,
    )


def _parameter_errors(part: range, flat: FloatNetwork, state: _Integers) -> tuple[dict[str, float], dict[str, int]]:
    """The largest relative error of every parameter that has one, and in how many neurons it became 0."""
    errors, lost = {}, {}
    for name in REAL:
        wanted, mine = flat.neuron[name][part.start : part.stop], state.neuron[name][part.start : part.stop]
        known = np.isfinite(wanted) & (wanted != 0)
        relative = np.abs(mine[known] / state.scale[part.start : part.stop][known] / wanted[known] - 1)
        errors[name], lost[name] = float(relative.max(initial=0.0)), int((mine[known] == 0).sum())
    return {name: error for name, error in errors.items() if error}, {name: n for name, n in lost.items() if n}


def _rebuilt(
    network: Network,
    flat: FloatNetwork,
    wanted: Mapping[str, range],
    state: _Integers,
    fitted: Mapping[str, FittedPopulation],
) -> Network:
    """The network with the quantised populations in place of the others; projections into them become lists of edges."""
    result = replace(network, populations=dict(network.populations), projections=[], quantise=None, codes={})
    for name, part in wanted.items():
        result.populations[name] = _integer_population(network.populations[name], part, state)
        if name in fitted:
            result.codes[name] = CoreCode(fitted[name].group, state.values[part.start : part.stop])
    result.projections.extend(item for item in network.projections if item.target not in wanted)
    sources: list[Input | Population] = [*network.inputs.values(), *network.populations.values()]
    offset = np.concatenate([[0], np.cumsum([item.size for item in sources])])
    first = flat.starts()
    for name, part in wanted.items():
        own = np.arange(first[part.start], first[part.stop])
        number = np.searchsorted(offset, flat.source[own], side="right") - 1
        for source in np.unique(number).tolist():
            mine = own[number == source]
            edges = {
                "source": flat.source[mine] - offset[source],
                "target": flat.target[mine] - part.start,
                "weight": state.weight[mine],
                "delay": flat.delay[mine],
            }
            result.connect(sources[source].name, name, edges=edges)
    return result


def _integer_population(population: Population, part: range, state: _Integers) -> Population:
    neuron = dict(population.neuron)
    for name in REAL:
        values = state.neuron[name][part.start : part.stop]
        if name == "floor" and (values < 0).any():
            continue
        neuron[name] = values
    return replace(population, neuron=neuron)
