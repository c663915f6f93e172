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
from neurocore.compiler.levels import best_levels, best_multiples
from neurocore.compiler.network import CoreCode, Input, Network, Population
from neurocore.errors import FitError, InputError
from neurocore.wording import counted, did_you_mean

Array = npt.NDArray[Any]

METHODS = ("fit", "weight_bits", "levels")
MAX_BITS = 9
MAX_LEVELS = 64
NO_FLOOR = -1
"""Stands for no floor; floors are not negative."""
CORES_KEPT_FREE = 0.12
"""Part of a chip that ``fit`` leaves to relays beyond its estimate unless it is told how many cores to use."""


@dataclass(frozen=True)
class Quantise:
    """How to quantise: a method and its number (bits, levels, or the budget of cores; None: most of the chip)."""

    method: str
    number: int | None = None

    @staticmethod
    def of(given: Quantise | str | Mapping[str, Any]) -> Quantise:
        """From ``"fit"``, ``"weight_bits=4"`` or ``{"levels": 3}``. Raises InputError for anything else."""
        if isinstance(given, Quantise):
            return given
        if isinstance(given, Mapping):
            if len(given) != 1:
                raise InputError(f"quantise: {dict(given)!r}; give exactly one of {', '.join(METHODS)}")
            method, number = next(iter(given.items()))
        else:
            method, _, text = str(given).partition("=")
            number = (int(text) if text.isdecimal() else text) if text else None
        return Quantise._checked(method, None if number is True else number)

    @staticmethod
    def _checked(method: Any, number: Any) -> Quantise:
        if method not in METHODS:
            raise InputError(
                f"quantise: {method!r} is not known; there are {', '.join(METHODS)}{did_you_mean(method, METHODS)}"
            )
        least, most = {"fit": (1, None), "weight_bits": (1, MAX_BITS), "levels": (1, MAX_LEVELS)}[method]
        if number is None and method == "fit":
            return Quantise(method)
        if isinstance(number, bool) or not isinstance(number, int) or number < least or number > (most or number):
            span = f"{least}..{most}" if most else f"at least {least}"
            raise InputError(
                f"quantise: {method} is {number!r}; a whole number of {span} was expected, as in {method}=4"
            )
        return Quantise(method, number)

    @property
    def meaning(self) -> str:
        """What becomes of weights, in words."""
        if self.method == "fit":
            return "weights become sums of one number per neuron and axon type"
        if self.method == "levels":
            return f"weights become 0 or one of {counted(self.number or 0, 'number')} per neuron"
        low, high = self.multiples
        if self.number == 1:
            return "weights become 0 or one number per neuron, so that those of its other sign are lost"
        return f"weights become {low}..{high} times one number per neuron"

    @property
    def multiples(self) -> tuple[int, int]:
        """With ``weight_bits``, the least and the largest multiple of a neuron's number that a weight becomes."""
        assert self.number is not None, "weight_bits carries its number"
        return (0, 1) if self.number == 1 else (-(2 ** (self.number - 1)), 2 ** (self.number - 1) - 1)

    def __str__(self) -> str:
        return self.method if self.number is None else f"{self.method}={self.number}"


SHOWN_ERROR = 0.00005
"""The least relative error that is not shown as 0.00 %."""


@dataclass(frozen=True)
class PopulationLoss:
    """What quantisation did to one population. Errors are those of the final integers, in the network's own units.

    ``weight_error`` is |w - w'| / |w| over all weights (Euclidean norms), ``max_error`` the largest |w - w'| as a fraction of the
    neuron's threshold, ``parameter_error`` the largest relative error of a threshold, leak, reset, floor or V(0).
    ``parameter_errors`` is the largest for each of them that is not exact, ``parameters_lost`` in how many neurons it became 0
    though it was not.
    """

    name: str
    synapses: int
    kept: int
    weight_error: float
    max_error: float
    parameter_error: float
    levels: int
    neurons_per_core: int | None
    parameter_errors: dict[str, float] = field(default_factory=dict)
    parameters_lost: dict[str, int] = field(default_factory=dict)

    def sentence(self) -> str:
        """As the certificate states it."""
        return (
            f"{self.name}: weights {self.weight_error:.2%}, largest {self.max_error:.2%} of a threshold, parameters"
            f" {self.parameter_error:.2%}{self._parameters()}"
        )

    def _parameters(self) -> str:
        """The parameters that are not exact, the worst first, those alone that the sentence's digits show."""
        shown = sorted(self.parameter_errors.items(), key=lambda item: -item[1])
        parts = []
        for name, error in shown:
            lost = self.parameters_lost.get(name, 0)
            becomes = f", becoming 0 in {counted(lost, 'neuron')}" * (lost > 0)
            parts += [f"{name} {error:.2%}{becomes}"] if error >= SHOWN_ERROR else []
        return f" ({'; '.join(parts)})" if parts else ""


@dataclass(frozen=True)
class QuantisationReport:
    """What quantisation lost, by population; populations that were whole are not listed."""

    method: Quantise
    populations: tuple[PopulationLoss, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """For ``compile --json``."""
        return {
            "method": str(self.method),
            "meaning": self.method.meaning,
            "populations": [vars(item) for item in self.populations],
        }

    def sentence(self) -> str:
        """As the certificate states it."""
        if not self.populations:
            return f"quantisation ({self.method}) declared: nothing was lost, all numbers are whole"
        losses = "; ".join(item.sentence() for item in self.populations)
        return f"quantisation ({self.method}) declared: {losses}"

    def __str__(self) -> str:
        lines = [f"quantisation: {self.method} ({self.method.meaning})"]
        for item in self.populations:
            share = "" if item.neurons_per_core is None else f", {counted(item.neurons_per_core, 'neuron')} a core"
            lines.append(
                f"  {item.sentence()}; {item.kept:,} of {counted(item.synapses, 'synapse')} kept, at most"
                f" {counted(item.levels, 'different weight')} a neuron{share}"
            )
        return "\n".join(lines)


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


# ---------------------------------------------------------------- one population


@dataclass(frozen=True)
class _Form:
    """A neuron's weights as a table of numbers and, for every synapse, its sum of them: the table is what becomes integer.

    With ``ratio`` the integers must keep the table's proportions, as a digit code asks.
    """

    table: Array
    parts: Array
    ratio: Array | None = None


class _Quantiser:
    """Brings one population after the other to integers, and keeps what it made for neurons that are alike."""

    def __init__(self, flat: FloatNetwork, method: Quantise, arch: Architecture, state: _Integers) -> None:
        self.flat, self.method, self.arch, self.state = flat, method, arch, state
        self.first = flat.starts()
        self.parameters = np.stack([flat.neuron[name] for name in REAL], axis=1)
        self.known: dict[tuple[bytes, bytes], tuple[_Form, float, Array]] = {}

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
            form = _form_of(weight, self.method)
            self.known[key] = (form, *_best_scale(form, weight, self.parameters[neuron], self.arch))
        form, scale, table = self.known[key]
        self.store(neuron, scale, form.parts @ table)

    def as_fitted(self, neuron: int, part: range, fitted: FittedPopulation) -> None:
        """A neuron whose weights were fitted with those of others; all neurons with the same values get the same integers."""
        own, begin = self.synapses(neuron), int(self.first[part.start])
        values = fitted.values[neuron - part.start]
        form = _Form(values, fitted.connected[own.start - begin : own.stop - begin].astype(np.int64))
        key = values.tobytes(), self.parameters[neuron].tobytes()
        if key not in self.known:
            best = _best_scale(form, self.flat.weight[own], self.parameters[neuron], self.arch)
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


def _form_of(weight: Array, method: Quantise) -> _Form:
    assert method.number is not None, "weight_bits and levels carry their number"
    if method.method == "weight_bits":
        low, high = method.multiples
        scale, q = best_multiples(weight, low, high)
        sign = -1 if scale < 0 else 1
        return _Form(np.array([abs(scale)]), sign * q[:, None], np.array([max(-low, high)]))
    _, rounded = best_levels(weight, method.number)
    table, index = np.unique(rounded, return_inverse=True)
    return _Form(table, np.eye(len(table), dtype=np.int64)[index])


def _best_scale(form: _Form, weight: Array, parameters: Array, arch: Architecture) -> tuple[float, Array]:
    """The factor by which a neuron is multiplied, and its table as integers.

    Tried are the factors that bring the table's largest entry to an integer in the upper half of the range of weights (all of it
    for a digit code), as far as the parameters stay within theirs; the one with the least relative error, weights and
    parameters together, is taken.
    """
    limit = min(arch.neuron.weight.max, -arch.neuron.weight.min)
    if form.ratio is not None:
        limit = max(1, limit // int(form.ratio[0]))
    largest = float(np.abs(form.table).max(initial=0.0))
    most = _largest_scale(parameters, arch)
    if largest > 0:
        least = 1 if form.ratio is not None else limit // 2 + 1
        candidates = np.arange(least, limit + 1) / largest
        candidates = candidates[candidates <= most]
    else:
        candidates = np.zeros(0)
    if not len(candidates):
        top = min(most, limit / largest if largest else most)
        candidates = np.linspace(top / 2, top, 64) if np.isfinite(top) else np.ones(1)
    table = np.round(candidates[:, None] * form.table[None])
    error = _table_errors(form, table / candidates[:, None], weight) + _rounding_errors(parameters, candidates)
    best = int(error.argmin())
    return float(candidates[best]), table[best].astype(np.int64)


def _largest_scale(parameters: Array, arch: Architecture) -> float:
    limits = arch.neuron
    ranges = (limits.threshold, limits.reset, limits.floor, limits.leak, limits.membrane)
    scales = [
        (span.max if value > 0 else -span.min) / abs(value)
        for value, span in zip(parameters.tolist(), ranges, strict=True)
        if value and np.isfinite(value)
    ]
    return float(min(scales, default=np.inf))


def _table_errors(form: _Form, table: Array, weight: Array) -> Array:
    """Relative squared error [candidates] of the weights if the table had these values [candidates, entries]."""
    energy = float(weight @ weight)
    if energy == 0:
        return np.zeros(len(table))
    # |w - P x|² = |w|² - 2 x Pᵀw + xᵀ PᵀP x needs no array of candidates by synapses.
    toward, gram = form.parts.T @ weight, form.parts.T.astype(float) @ form.parts
    error = energy - 2 * table @ toward + np.einsum("ki,ij,kj->k", table, gram, table)
    return np.asarray(error / energy)


def _rounding_errors(parameters: Array, scale: Array) -> Array:
    """Sum of the relative squared errors [candidates] of the parameters."""
    known = parameters[np.isfinite(parameters) & (parameters != 0)]
    scaled = scale[:, None] * known[None]
    return np.asarray((((np.round(scaled) - scaled) / scaled) ** 2).sum(axis=1))


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
