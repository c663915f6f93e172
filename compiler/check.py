"""First stage: a network becomes flat integer arrays, or one collected report of everything that is wrong with it.

The :class:`IntegerNetwork` is the reference that the compiled chip must equal, spike for spike.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from neurocore.architecture import FLOOR_MODES, RESET_MODES, Architecture, Range
from neurocore.compiler.faults import Faults, mode_numbers, whole_numbers
from neurocore.compiler.network import NEURON_DEFAULTS, Input, Network, Population
from neurocore.compiler.quantise import quantise
from neurocore.compiler.synapses import Edges, all_edges, check_stochastic, merge, neuron_starts, source_starts
from neurocore.compiler.unions import UnionFinder, Unions
from neurocore.config import Group
from neurocore.wording import counted, did_you_mean, is_whole, shown
from neurocore.yamlfile import Location

Array = npt.NDArray[Any]

DEFAULT_RATE = 0.05
"""Expected spikes per tick of lines and neurons that the network gives no rate for."""

NEURON_ARRAYS = tuple(NEURON_DEFAULTS)

SCALE = (
    "Scale the neuron's weights, threshold, leak, reset, floor and initial together, or use a chip with a wider range"
)
"""The way out of most ranges."""
WAYS = {
    "threshold_mask_bits": "Use fewer random bits",
    "floor": "Leave it out for the lowest floor that the chip has",
    "leak_reversal": "Give true or false",
    "leak_stochastic": "Give true or false",
}
"""Ways out of the other ones."""


@dataclass(frozen=True)
class IntegerNetwork:
    """A network as arrays: N neurons, populations one after the other; I input lines; E synapses; O output lines.

    Sources are numbered 0..I-1 (input lines), then I..I+N-1 (neurons), then the ``unions``. Synapses are sorted by (target,
    source, delay) and unique in it; those of neuron j are ``start[j]`` to ``start[j + 1]`` of ``source`` (int32), ``weight``
    (int32), ``delay`` (uint16) and ``stochastic`` (bool): 11 bytes a synapse. ``neuron`` maps each parameter to [N]; modes are
    numbers as in chip.md.

    Quantisation may leave ``group`` [N], the neurons fitted to share a core (-1: none), and their ``values`` [N, types] of the
    axon types (0: none); they are advice to the later stages and no part of what the network means.
    """

    name: str
    inputs: tuple[Group, ...]
    populations: tuple[Group, ...]
    outputs: tuple[Group, ...]
    neuron: dict[str, Array]
    start: Array
    source: Array
    weight: Array
    delay: Array
    stochastic: Array
    output_neuron: Array
    rate: Array
    unions: Unions
    group: Array | None = None
    values: Array | None = None

    @cached_property
    def n_inputs(self) -> int:
        """Input lines."""
        return sum(group.size for group in self.inputs)

    @cached_property
    def n_neurons(self) -> int:
        """Neurons."""
        return sum(group.size for group in self.populations)

    @property
    def n_synapses(self) -> int:
        """Synapses, duplicates summed and zeros dropped."""
        return len(self.source)

    @property
    def target(self) -> Array:
        """Target [E] of every synapse, made anew."""
        return np.repeat(np.arange(self.n_neurons, dtype=np.int32), np.diff(self.start))

    def target_of(self, synapse: Array) -> Array:
        """Targets of some synapses."""
        return np.searchsorted(self.start, synapse, side="right") - 1

    def population_of(self) -> Array:
        """Population number [N] of every neuron."""
        return self._population_of

    def offsets(self) -> Array:
        """First neuron [populations + 1] of every population."""
        return self._offsets

    @cached_property
    def _population_of(self) -> Array:
        return np.repeat(np.arange(len(self.populations)), [group.size for group in self.populations])

    @cached_property
    def _offsets(self) -> Array:
        return np.concatenate([[0], np.cumsum([group.size for group in self.populations])]).astype(np.int64)

    def label(self, neuron: int) -> str:
        """How messages name a neuron: ``hidden[3]``."""
        offsets = self.offsets()
        number = int(np.searchsorted(offsets, neuron, side="right")) - 1
        return f"{self.populations[number].name}[{neuron - int(offsets[number])}]"

    def source_label(self, source: int) -> str:
        """How messages name an input line, a neuron or a union."""
        if source >= self.n_inputs + self.n_neurons:
            members = self.unions.members(source - self.n_inputs - self.n_neurons)
            shown = " or ".join(self.source_label(int(member)) for member in members[:2])
            return shown if len(members) == 2 else f"{shown} or {len(members) - 2} more"
        if source >= self.n_inputs:
            return self.label(source - self.n_inputs)
        for group in self.inputs:
            if source < group.start + group.size:
                return f"{group.name}[{source - group.start}]"
        raise AssertionError("source is in range")

    def digest(self) -> str:
        """SHA-256 of everything that determines the network's spikes."""
        return self._digest

    @cached_property
    def _digest(self) -> str:
        state = hashlib.sha256(repr((self.inputs, self.populations, self.outputs)).encode())
        for array in (self.start, self.source, self.weight, self.delay, self.stochastic, self.output_neuron):
            state.update(np.ascontiguousarray(array).data)
        for name in NEURON_ARRAYS:
            state.update(np.ascontiguousarray(self.neuron[name]).data)
        for array in (self.unions.start, self.unions.member) if len(self.unions) else ():
            state.update(np.ascontiguousarray(array).data)
        return state.hexdigest()

    def __str__(self) -> str:
        lines = [f"network {self.name}: {counted(self.n_neurons, 'neuron')}, {counted(self.n_synapses, 'synapse')}"]
        lines += [f"  input {group.name} {list(group.shape)}" for group in self.inputs]
        offsets = self.offsets()
        for number, group in enumerate(self.populations):
            part = slice(offsets[number], offsets[number + 1])
            shown = ", ".join(f"{name} {_span(self.neuron[name][part])}" for name in NEURON_ARRAYS)
            incoming = int(self.start[part.stop] - self.start[part.start])
            lines.append(f"  population {group.name} {list(group.shape)}: {counted(incoming, 'synapse')}; {shown}")
        lines += [f"  output {group.name} {list(group.shape)}" for group in self.outputs]
        if len(self.unions):
            lines.append(
                f"  {counted(len(self.unions), 'union')} of {counted(len(self.unions.member), 'source')}, each on"
                " shared axons"
            )
        return "\n".join(lines)


def random_neurons(network: IntegerNetwork) -> Array:
    """Neurons [N] that draw random numbers: copies of them would draw others."""
    neuron = network.neuron
    random: Array = (neuron["leak_stochastic"] != 0) & (neuron["leak"] != 0) | (neuron["threshold_mask_bits"] != 0)
    random[network.target_of(np.flatnonzero(network.stochastic))] = True
    return random


def _span(values: Array) -> str:
    low, high = int(values.min()), int(values.max())
    return str(low) if low == high else f"{low}..{high}"


def check(network: Network, arch: Architecture) -> IntegerNetwork:
    """Check a network against a chip and flatten it, quantised first if it asks for that.

    Raises InputError (what is wrong in itself) or FitError (what the chip cannot represent), each listing all faults found.
    """
    if network.quantise is not None:
        network = quantise(network, arch)[0]
    faults = Faults(network.document)
    if not network.populations:
        faults.add(f"network {network.name!r} has no populations; it needs at least one", "populations")
    inputs, populations = _groups(network.inputs.values()), _groups(network.populations.values(), running=False)
    everything: list[Input | Population] = [*network.inputs.values(), *network.populations.values()]
    sizes = {item.name: item.size for item in everything}
    neuron = _neurons(network, arch, faults)
    edges = list(all_edges(network, sizes, faults))
    outputs = _outputs(network, faults)
    rate = _rates(network, faults)
    faults.raise_if_any()
    edges, unions = _joined(network, edges, sum(sizes.values()))
    rows = merge(network, edges, faults)
    stochastic = rows.stochastic
    if stochastic.any() and not arch.rules.stochastic_weights:
        faults.misfit.append(
            f"E-RANDOM network {network.name!r}: {int(stochastic.sum()):,} of {len(stochastic):,} synapses have stochastic"
            f" weights; {arch.name!r} has none. Make them plain, or use a chip that has them"
        )
    if stochastic.any():
        check_stochastic(network, arch, rows.weight[stochastic], faults)
    faults.raise_if_any()
    starts = neuron_starts(network)
    output_neuron = [np.arange(sizes[item.source]) + starts[item.source] for item in network.outputs.values()]
    return IntegerNetwork(
        network.name,
        inputs,
        populations,
        outputs,
        neuron,
        rows.start,
        rows.source,
        rows.weight,
        rows.delay,
        rows.stochastic,
        np.concatenate([np.zeros(0, np.int64), *output_neuron]),
        rate,
        unions,
        *_codes(network, arch),
    )


def _joined(network: Network, edges: list[Edges], n_sources: int) -> tuple[list[Edges], Unions]:
    """The synapses with unions in place of the sources of merging projections, and the unions."""
    finder, starts, result = UnionFinder(n_sources), source_starts(network), list[Edges]()
    for part in edges:
        merging = part.projection.merge == "or"
        result += finder.joined(part, starts[part.projection.source]) if merging else [part]
    return result, finder.found()


def _codes(network: Network, arch: Architecture) -> tuple[Array | None, Array | None]:
    """Groups [N] and values [N, types] that quantisation left, if any."""
    if not network.codes:
        return None, None
    starts, n_neurons = neuron_starts(network), sum(item.size for item in network.populations.values())
    group, values = np.full(n_neurons, -1), np.zeros((n_neurons, arch.core.axon_types), np.int64)
    for name, code in network.codes.items():
        mine = slice(starts[name], starts[name] + network.populations[name].size)
        group[mine], values[mine] = code.group, code.values
    return group, values


def _groups(items: Any, running: bool = True) -> tuple[Group, ...]:
    groups, start = [], 0
    for item in items:
        groups.append(Group(item.name, item.shape, start if running else 0))
        start += item.size
    return tuple(groups)


def _outputs(network: Network, faults: Faults) -> tuple[Group, ...]:
    groups, start = [], 0
    for item in network.outputs.values():
        source = network.populations.get(item.source)
        if source is None:
            nearest = did_you_mean(item.source, network.populations)
            text = f"output {item.name!r}: its source {item.source!r} is not a population{nearest}"
            faults.add(text, "outputs", item.name, "source")
            continue
        groups.append(Group(item.name, source.shape, start))
        start += source.size
    return tuple(groups)


def _rates(network: Network, faults: Faults) -> Array:
    known: dict[str, Input | Population] = {**network.inputs, **network.populations}
    for name, value in network.spike_rates.items():
        if name not in known:
            text = f"spike_rates: {name!r} is neither an input nor a population{did_you_mean(name, known)}"
            faults.add(text, "spike_rates", name)
        elif not (is_whole(value) or isinstance(value, bool | float | np.floating)) or not 0 <= value <= 1:
            faults.add(f"spike_rates: {name!r} is {shown(value)}; spikes per tick lie in 0..1", "spike_rates", name)
    if faults.bad:
        return np.zeros(0)
    return np.concatenate(
        [np.zeros(0)]
        + [np.full(item.size, float(network.spike_rates.get(name, DEFAULT_RATE))) for name, item in known.items()]
    )


# ---------------------------------------------------------------- neurons


def _neurons(network: Network, arch: Architecture, faults: Faults) -> dict[str, Array]:
    columns: dict[str, list[Array]] = {name: [np.zeros(0, np.int64)] for name in NEURON_ARRAYS}
    for population in network.populations.values():
        for name in NEURON_ARRAYS:
            columns[name].append(_parameter(population, name, arch, faults))
    return {name: np.concatenate(parts) for name, parts in columns.items()}


def _parameter(population: Population, name: str, arch: Architecture, faults: Faults) -> Array:
    """One parameter [size] of a population as integers, checked."""
    subject = f"population {population.name!r}: {name}"
    location = ("populations", population.name, "neuron", name)
    given = population.neuron.get(name, NEURON_DEFAULTS[name])
    if given is None and name == "floor":
        given = arch.neuron.floor.max
    try:
        if name in ("reset_mode", "floor_mode"):
            values = mode_numbers(given, RESET_MODES if name == "reset_mode" else FLOOR_MODES)
        else:
            values = whole_numbers(given)
    except ValueError as error:
        faults.add(f"{subject} {error}", *location)
        return np.zeros(population.size, np.int64)
    if values.ndim and values.size != population.size:
        faults.add(
            f"{subject} has {counted(values.size, 'value')}; the population has {counted(population.size, 'neuron')}",
            *location,
        )
        return np.zeros(population.size, np.int64)
    values = np.broadcast_to(values.reshape(-1) if values.ndim else values, population.size)
    _check_parameter(subject, location, name, values, arch, faults)
    return values.astype(np.int64)


def _check_parameter(
    subject: str, location: Location, name: str, values: Array, arch: Architecture, faults: Faults
) -> None:
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
            value = int(values[first])
            beyond = f"{value - allowed.max:,} over" if value > allowed.max else f"{allowed.min - value:,} under"
            more = f"; {counted(int(wrong.sum()) - 1, 'more neuron')} likewise" if wrong.sum() > 1 else ""
            faults.add_misfit(
                f"E-RANGE {subject}[{first}] is {value}; {arch.name!r} has {allowed} ({beyond}{more}). {WAYS.get(name, SCALE)}",
                *location,
            )
    else:
        names, allowed_names = (
            (RESET_MODES, limits.reset_modes) if name == "reset_mode" else (FLOOR_MODES, limits.floor_modes)
        )
        missing = sorted({names[mode] for mode in np.unique(values)} - set(allowed_names))
        if missing:
            faults.add_misfit(
                f"E-RANGE {subject} is {missing[0]!r}; {arch.name!r} has {', '.join(allowed_names)}. Use one of these, or a chip"
                " that has it",
                *location,
            )
    features = {
        "leak_stochastic": (rules.stochastic_leak, "a stochastic leak"),
        "leak_reversal": (rules.leak_reversal, "leak reversal"),
        "threshold_mask_bits": (rules.stochastic_threshold, "a random threshold"),
    }
    if name in features and not features[name][0] and values.any():
        faults.add_misfit(
            f"E-RANDOM {subject} is set in {np.count_nonzero(values):,} of {len(values):,} neurons; {arch.name!r} does not have"
            f" {features[name][1]}. Leave it at 0, or use a chip that has it",
            *location,
        )
