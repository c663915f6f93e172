"""The compiler as one call: check, partition, route, place, assemble."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from neurocore.architecture import Architecture, load_architecture
from neurocore.compiler.agreement import Agreement, agreement
from neurocore.compiler.assemble import assemble, build
from neurocore.compiler.certificate import certificate, horizon, in_frames, prove_chip, prove_dilated
from neurocore.compiler.check import IntegerNetwork, check, random_neurons
from neurocore.compiler.cutter import Cutter
from neurocore.compiler.dilate import Dilated, dilate
from neurocore.compiler.estimate import count_synapses, estimate
from neurocore.compiler.network import FAN_INS, Network
from neurocore.compiler.partition import Partition, partition
from neurocore.compiler.place import Placement, place
from neurocore.compiler.quantise import QuantisationReport, quantise
from neurocore.compiler.report import ChipUse, chip_use
from neurocore.compiler.route import CoreOverflowError, Routing, TightCycleError, find_blocks, route
from neurocore.config import ChipConfig
from neurocore.errors import FitError, InputError, MismatchError, NeurocoreError
from neurocore.spikes import Spikes

Array = npt.NDArray[Any]

MAX_REPAIRS = 40
SLACK = (0, 1, 2, 4, 8)
"""Ticks that a dilated tick is lengthened by, one after the other, where cycles leave no time for relays."""
MOST_DILATED = 5_000_000
"""Synapses up to which a refusal says what dilation would do."""
MOST_ROUTED = 300_000
"""Synapses up to which an estimate routes the network."""
SAMPLE_TAIL = 16
"""Ticks after the last spike of a sample during which its effect is still followed."""


@dataclass
class CompileReport:
    """What a compilation did; ``seconds`` by stage.

    ``cores_lower_bound`` is what neurons, and sources at an axon each, need at least; ``cores_by_neurons`` and
    ``cores_by_axons`` would hold all that are used, were they spread evenly; ``packets_per_tick`` are the expected spikes between
    cores and from inputs; ``binds`` what most cores are full of: neurons, axons or fan-out.
    ``basis`` says what an estimate looked at: the synapses, or shapes alone (then there is no ``network``). ``dilation`` is how
    many ticks of the chip make one of the network; packets and ``latency`` are by ticks of the chip. ``exact_ticks`` bounds
    exactness where membranes may rise without end; None if there is no bound.
    """

    network: IntegerNetwork | None
    cores: int = 0
    neurons: int = 0
    axons: int = 0
    copies: int = 0
    relays: int = 0
    latency: int = 0
    dilation: int = 1
    exact_ticks: int | None = None
    mean_hops: float = 0.0
    weighted_hops: float = 0.0
    least_cores: int = 0
    cores_lower_bound: int = 0
    cores_by_neurons: int = 0
    cores_by_axons: int = 0
    packets_per_tick: float = 0.0
    binds: str = ""
    basis: str = "synapses"
    seconds: dict[str, float] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    quantisation: QuantisationReport | None = None
    effect: Agreement | None = None
    use: ChipUse | None = None
    declared: list[str] = field(default_factory=list)
    dumps: dict[str, Callable[[], str]] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """The fields of ``compile --json``."""
        fields: dict[str, Any] = {
            "cores": self.cores,
            "neurons": self.neurons,
            "axons": self.axons,
            "splitter_neurons": self.copies + self.relays,
            "copies": self.copies,
            "relays": self.relays,
            "least_cores": self.least_cores,
            "cores_lower_bound": self.cores_lower_bound,
            "cores_by_neurons": self.cores_by_neurons,
            "cores_by_axons": self.cores_by_axons,
            "packets_per_tick": round(self.packets_per_tick, 3),
            "binds": self.binds,
            "basis": self.basis,
            "latency_ticks": self.latency,
            "dilation": self.dilation,
            "exact_ticks": self.exact_ticks,
            "mean_hops": self.mean_hops,
            "weighted_hops": self.weighted_hops,
            "seconds": {name: round(value, 4) for name, value in self.seconds.items()},
            "warnings": self.warnings,
        }
        if self.use is not None:
            known = self.use.as_dict()
            fields |= {name: known[name] for name in ("populations", "limits", "mesh")}
        if self.quantisation is not None:
            fields["quantisation"] = self.quantisation.as_dict()
        if self.effect is not None:
            fields["effect"] = self.effect.as_dict()
        fields["declared"] = self.declared
        return fields

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        """Adds the time of the block to a stage."""
        begun = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[stage] = self.seconds.get(stage, 0.0) + time.perf_counter() - begun


def compile_network(
    network: Network | str | Path,
    chip: str | Path | Architecture = "truenorth",
    *,
    seed: int = 0,
    quantise: Any = None,
    fan_in: str | None = None,
) -> ChipConfig:
    """Compile a network (or the path of one in YAML or NIR) for a chip; ``seed`` steers placement only.

    ``quantise`` ("fit", "weight_bits=4", ...; see :class:`neurocore.compiler.quantise.Quantise`) and ``fan_in`` ("refuse",
    "dilate") go before what the network asks for. With "dilate" a network with neurons that read more than a core has axons
    for takes several ticks of the chip to a tick: the chip's ``dilation``.

    Raises InputError for a network that is wrong in itself and FitError for one that does not fit, listing all faults.
    """
    return compile_with_report(network, chip, seed=seed, quantise=quantise, fan_in=fan_in)[0]


def compile_with_report(
    network: Network | str | Path,
    chip: str | Path | Architecture = "truenorth",
    *,
    seed: int = 0,
    quantise: Any = None,
    fan_in: str | None = None,
    sample: Spikes | None = None,
    ticks: int | None = None,
    progress: Callable[[str], None] | None = None,
) -> tuple[ChipConfig, CompileReport]:
    """:func:`compile_network`, with a report. ``progress`` is called with the name of each stage as it begins.

    On the input spikes ``sample``, if given, the effect of quantisation is measured for ``ticks`` ticks.
    """
    show = progress or (lambda _: None)
    show("check, partition and route")
    network, arch = _loaded(network, chip, quantise, fan_in), load_architecture(chip)
    flat, dilated, routing, report = _routed(network, arch)
    mapped = flat if dilated is None else dilated.network
    if dilated is not None:
        with report.timed("prove"), _own_faults():
            report.exact_ticks = prove_dilated(flat, dilated, arch)
        if report.exact_ticks is not None:
            report.warnings.append(f"W-HORIZON exact {horizon(report.exact_ticks)}")
    with report.timed("assemble"):
        virtual = build(mapped, routing, arch)
    show("place")
    with report.timed("place"):
        chip_size = (arch.mesh.columns, arch.mesh.rows)
        traffic = virtual.traffic(mapped)
        placement = place(traffic, (arch.columns, arch.rows), chip_size, seed=seed)
    _check_reach(virtual.arrays["target_core"], placement, arch)
    with report.timed("assemble"):
        notes = certificate(
            flat, report.latency, report.dilation, report.exact_ticks, report.quantisation, report.declared
        )
        result = assemble(mapped, routing, virtual, placement, arch, notes)
        result = (result if dilated is None else in_frames(result, flat, dilated)).validate()
    show("prove")
    with report.timed("prove"), _own_faults():
        prove_chip(flat, result, dilated)
    if sample is not None:
        show("measure quantisation")
        with report.timed("sample"):
            last = int(sample.tick.max(initial=0)) + SAMPLE_TAIL
            report.effect = agreement(network, arch, sample, ticks if ticks is not None else last, flat)
    report.mean_hops, report.weighted_hops = placement.mean_hops, placement.weighted_hops
    report.dumps["placement"] = lambda: str(placement)
    with report.timed("report"):
        report.use = chip_use(result, mapped, routing, placement, traffic, report.quantisation)
    return result, report


def estimate_network(
    network: Network | str | Path,
    chip: str | Path | Architecture = "truenorth",
    *,
    quantise: Any = None,
    fan_in: str | None = None,
) -> CompileReport:
    """What a network needs of a chip, in about a second: cores, axons, copies, relays, latency, packets.

    Small networks are routed, larger ones estimated from shapes and a few sampled neurons. A network to be quantised is, and then
    routed whatever its size, which takes longer: its codes are not known before. So is one with merged spikes, and one
    that may be dilated. Raises as compile_network does for what it looks at.
    """
    network, arch = _loaded(network, chip, quantise, fan_in), load_architecture(chip)
    n_synapses = count_synapses(network)
    known = {*network.inputs, *network.populations}
    sound = network.populations and all(
        item.source in known and item.target in network.populations for item in network.projections
    )
    special = network.fan_in == "dilate" or any(item.merge == "or" for item in network.projections)
    if network.quantise is not None or n_synapses <= MOST_ROUTED or not sound or special:
        return _routed(network, arch, quick=True)[-1]
    report = CompileReport(None, basis="shapes")
    _declare(report, network)
    with report.timed("estimate"):
        found = estimate(network, arch)
    for name in ("cores", "neurons", "axons", "copies", "relays", "latency", "packets_per_tick", "binds"):
        setattr(report, name, getattr(found, name))
    report.cores_lower_bound = found.cores_lower_bound
    n_neurons = sum(item.size for item in network.populations.values())
    report.least_cores = max(-(-n_neurons // arch.core.neurons), 1)
    report.cores_by_neurons = -(-report.neurons // arch.core.neurons)
    report.cores_by_axons = -(-report.axons // arch.core.axons)
    if report.cores > arch.n_cores:
        report.warnings.append(f"W-CAP about {report.cores:,} cores are needed; {arch.name!r} has {arch.n_cores:,}")
    return report


def _loaded(
    network: Network | str | Path, chip: str | Path | Architecture, quantise: Any, fan_in: str | None
) -> Network:
    """The network, read if it is a path; ``quantise`` and ``fan_in`` go before what it asks for."""
    if not isinstance(network, Network):
        from neurocore.compiler.yamlnet import load_network

        network = load_network(network, chip)
    network = network if quantise is None else replace(network, quantise=quantise)
    network = network if fan_in is None else replace(network, fan_in=fan_in)
    if network.fan_in not in FAN_INS:
        raise InputError(
            f"network {network.name!r}: fan_in is {network.fan_in!r}; it must be one of {', '.join(FAN_INS)}"
        )
    return network


def _declare(report: CompileReport, network: Network) -> None:
    """Approximations of the network's reader go into the report and its warnings."""
    report.declared = list(network.declared)
    report.warnings += [f"W-APPROXIMATE {text}" for text in network.declared]


def _routed(
    network: Network, arch: Architecture, *, quick: bool = False
) -> tuple[IntegerNetwork, Dilated | None, Routing, CompileReport]:
    """The stages that decide what a network needs of a chip, and a report of them; and the dilated network if it is one."""
    losses, seconds = None, {}
    begun = time.perf_counter()
    if network.quantise is not None:
        network, losses = quantise(network, arch)
        seconds["quantise"] = time.perf_counter() - begun
    begun = time.perf_counter()
    flat = check(network, arch)
    seconds["check"] = time.perf_counter() - begun
    report = CompileReport(flat, seconds=seconds, quantisation=losses)
    _declare(report, network)
    if losses is not None and losses.populations:
        report.warnings.append(f"W-QUANTISED {losses.sentence()}")
    if arch.routing.delay.min != 1:
        raise FitError(
            f"E-DELAY {arch.name!r} has delays of at least {arch.routing.delay.min} ticks; the compiler needs chips whose"
            " shortest delay is 1"
        )
    dilated = None
    if network.fan_in == "dilate":
        with report.timed("dilate"):
            dilated = dilate(flat, arch)
    if dilated is None:
        mapped, (parts, routing) = flat, _fit_plain(flat, arch, report, quick)
    else:
        dilated, parts, routing = _fit_dilated(flat, dilated, arch, report, quick)
        mapped = dilated.network
    _check_capacity(mapped, arch, parts, routing)
    _fill(report, mapped, arch, parts, routing)
    if dilated is not None:
        report.dilation, report.latency = dilated.factor, routing.latency + dilated.latency
        report.warnings.append(f"W-DILATED a tick of the network takes {dilated.factor} ticks of the chip")
    return flat, dilated, routing, report


def _fit_plain(
    flat: IntegerNetwork, arch: Architecture, report: CompileReport, quick: bool
) -> tuple[Partition, Routing]:
    """:func:`_fit`; where fan-in is what does not fit, the refusal says whether dilation would help."""
    try:
        return _fit(flat, Cutter(flat, arch, quick=quick), report)
    except FitError as error:
        if not any(problem.startswith("E-FANIN") for problem in error.problems) or flat.n_synapses > MOST_DILATED:
            raise
        advice = _dilation_advice(flat, arch)
        raise FitError([problem + advice * problem.startswith("E-FANIN") for problem in error.problems]) from error


def _dilation_advice(flat: IntegerNetwork, arch: Architecture) -> str:
    """What dilation would do for a network with neurons that fit no core, as the end of a sentence."""
    try:
        dilated = dilate(flat, arch)
    except FitError as error:
        return f'; fan_in="dilate" is no way out: {error.problems[0].removeprefix("E-DILATE ")}'
    if dilated is None:
        return ""
    until = ", until a membrane nears its clamp" if dilated.is_counting else ""
    return f'; or use fan_in="dilate": exact{until}, 1 tick becomes {dilated.factor}'


def _fit_dilated(
    flat: IntegerNetwork, dilated: Dilated, arch: Architecture, report: CompileReport, quick: bool
) -> tuple[Dilated, Partition, Routing]:
    """The dilated network and its cores; its ticks are made longer if cycles ask for it."""
    least = dilated.factor
    for slack in SLACK:
        again = dilated if not slack else dilate(flat, arch, least + slack)
        assert again is not None, "the network needs dilation"
        try:
            return again, *_fit(again.network, Cutter(again.network, arch, quick=quick), report)
        except FitError as error:
            if slack == SLACK[-1] or not error.problems[0].startswith("E-CYCLE"):
                raise
    raise AssertionError("the last attempt succeeds or raises")


@contextmanager
def _own_faults() -> Iterator[None]:
    """No chip leaves the compiler that is not the network; should one ever differ, that is a fault of ours."""
    try:
        yield
    except MismatchError as error:
        head = "the compiler made a chip that is not the network, and withholds it; please report this fault:"
        raise NeurocoreError([head, *error.problems]) from error


def _fit(network: IntegerNetwork, cutter: Cutter, report: CompileReport) -> tuple[Partition, Routing]:
    """Partition and route until both agree: packed cores are opened and room is made for copies where routing asks for it."""
    arch = cutter.arch
    limits: dict[int, int] = {}
    urgent: set[int] = set()
    opened: set[frozenset[int]] = set()
    for _ in range(MAX_REPAIRS):
        with report.timed("partition"):
            parts = _open_cores(network, partition(network, arch, limits, cutter), opened)
        cycle: TightCycleError | None = None
        try:
            with report.timed("route"):
                return parts, route(network, arch, parts, frozenset(urgent))
        except CoreOverflowError as overflow:
            opened.add(frozenset(np.unique(network.population_of()[parts.members[overflow.core]]).tolist()))
        except TightCycleError as found:
            cycle = found
        if cycle is not None:
            _loosen(network, arch, parts, cycle, limits, urgent)
    raise FitError(
        "E-CYCLE the network's cycles leave no time for the relays that its fan-out needs, however it is divided"
    )


def _open_cores(network: IntegerNetwork, parts: Partition, opened: set[frozenset[int]]) -> Partition:
    """Divide packed cores by population where their populations cannot share axons."""
    if not opened:
        return parts
    population = network.population_of()
    members: list[Array] = []
    codes: list[str] = []
    for core, code in zip(parts.members, parts.codes, strict=True):
        mine = np.unique(population[core])
        if frozenset(mine.tolist()) in opened:
            members.extend(core[population[core] == number] for number in mine)
            codes.extend([code] * len(mine))
        else:
            members.append(core)
            codes.append(code)
    return Partition(tuple(members), tuple(codes))


def _loosen(
    network: IntegerNetwork,
    arch: Architecture,
    parts: Partition,
    cycle: TightCycleError,
    limits: dict[int, int],
    urgent: set[int],
) -> None:
    """Ask for copies instead of relays on a cycle; then for cores of their own; then for emptier ones; then give up."""
    blocks = find_blocks(network, parts)
    on_cycle = [int(blocks.population[block]) for block in cycle.blocks]
    populations = set(on_cycle)
    if not populations <= urgent:
        urgent |= populations
        return
    for number in populations:
        limits[number] = limits[number] // 2 if number in limits else arch.core.neurons
    if min(limits[number] for number in populations) == 0:
        names = " -> ".join(repr(network.populations[number].name) for number in [*on_cycle, on_cycle[0]])
        drawing = {int(number) for number in network.population_of()[random_neurons(network)]} & populations
        random = "".join(
            f" {network.populations[number].name!r} draws random numbers, so it cannot be copied."
            for number in sorted(drawing)
        )
        raise FitError(
            f"E-CYCLE {names} has {cycle.missing} tick{'s' * (cycle.missing > 1)} less delay than its relays need: neurons on it"
            f" must reach more axons than their cores have room for copies.{random} Raise a delay on the cycle by"
            f" {cycle.missing}, or give its neurons fewer targets"
        )


def _check_capacity(network: IntegerNetwork, arch: Architecture, parts: Partition, routing: Routing) -> None:
    if routing.n_cores <= arch.n_cores:
        return
    population = network.population_of()
    count = np.zeros(len(network.populations), np.int64)
    for members in parts.members:
        count[np.unique(population[members])] += 1
    largest = int(np.argmax(count))
    relays = routing.n_cores - parts.n_cores
    raise FitError(
        f"E-CAP network {network.name!r} needs {routing.n_cores:,} cores; {arch.name!r} has {arch.n_cores:,}"
        f" ({routing.n_cores - arch.n_cores:,} over). Largest: population {network.populations[largest].name!r}"
        f" with {network.populations[largest].size:,} neurons on {int(count[largest]):,} cores; relays take {relays:,} cores."
        " Use fewer neurons, smaller receptive fields or a larger chip"
    )


def _check_reach(target: Array, placement: Placement, arch: Architecture) -> None:
    """Packets travel only so far; the placer does not know."""
    row, neuron = np.nonzero(target >= 0)
    other = target[row, neuron]
    for name, at, reach in (("x", placement.x, arch.routing.reach.dx), ("y", placement.y, arch.routing.reach.dy)):
        way = at[other] - at[row]
        wrong = (way < reach.min) | (way > reach.max)
        if wrong.any():
            raise FitError(
                f"E-REACH cores lie {int(np.abs(way[wrong]).max())} apart in {name}; a packet of {arch.name!r} travels"
                f" {reach} cores. Use fewer cores or a smaller mesh"
            )


def _fill(
    report: CompileReport, network: IntegerNetwork, arch: Architecture, parts: Partition, routing: Routing
) -> None:
    report.cores, report.latency = routing.n_cores, routing.latency
    report.copies, report.relays = routing.n_copies, routing.n_relays
    report.neurons = network.n_neurons + routing.n_copies + routing.n_relays
    report.axons = sum(core.encoding.n_axons for core in routing.cores) + len(routing.rows)
    report.least_cores = max(-(-network.n_neurons // arch.core.neurons), 1)
    read = np.zeros(network.unions.first + len(network.unions), bool)
    read[network.source] = True
    read[network.unions.member] = True
    read = read[: network.unions.first]
    report.cores_lower_bound = max(report.least_cores, -(-int(read.sum()) // arch.core.axons))
    report.cores_by_neurons = -(-report.neurons // arch.core.neurons)
    report.cores_by_axons = -(-report.axons // arch.core.axons)
    report.packets_per_tick = routing.packets_per_tick(network)
    full = [len(core.members) * arch.core.axons >= core.encoding.n_axons * arch.core.neurons for core in routing.cores]
    kinds = {"neurons": sum(full), "axons": len(full) - sum(full), "fan-out": routing.n_cores - len(full)}
    report.binds = max(kinds, key=lambda name: kinds[name])
    unread = np.flatnonzero(~read[: network.n_inputs])
    if len(unread):
        first = network.source_label(int(unread[0]))
        report.warnings.append(f"W-UNUSED {len(unread)} input lines reach no neuron, first {first}")
    report.dumps.update(
        {
            "network": lambda: str(network),
            "partition": lambda: parts.dump(network),
            "routing": lambda: routing.dump(network),
        }
    )
