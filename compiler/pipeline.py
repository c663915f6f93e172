"""The compiler as one call: check, partition, route, place, assemble."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from neurocore.architecture import Architecture, load_architecture
from neurocore.compiler.agreement import Agreement, agreement
from neurocore.compiler.assemble import assemble
from neurocore.compiler.check import IntegerNetwork, check, random_neurons
from neurocore.compiler.cutter import Cutter
from neurocore.compiler.defects import Defects, load_defects
from neurocore.compiler.estimate import count_synapses, estimate
from neurocore.compiler.layout import Layout, Source, Wishes, lay_out, read_source
from neurocore.compiler.network import Network
from neurocore.compiler.partition import Partition, partition
from neurocore.compiler.prove import prove
from neurocore.compiler.quantise import QuantisationReport, quantise
from neurocore.compiler.report import ChipUse, chip_use
from neurocore.compiler.route import CoreOverflowError, Routing, TightCycleError, find_blocks, route
from neurocore.config import ChipConfig
from neurocore.errors import FitError, MismatchError, NeurocoreError
from neurocore.spikes import Spikes

Array = npt.NDArray[Any]

Progress = Callable[[str, int, int], None]
"""Called with the name of a stage, the steps of it that are done, and all its steps."""
PlacementText = Callable[[bool], str]
"""The content of a placement file, in JSON or YAML."""

MAX_REPAIRS = 40
MOST_ROUTED = 300_000
"""Synapses up to which an estimate routes the network."""
SAMPLE_TAIL = 16
"""Ticks after the last spike of a sample during which its effect is still followed."""


def _silent(stage: str, done: int, total: int) -> None:
    """Progress that nobody watches."""


@dataclass
class CompileReport:
    """What a compilation did; ``seconds`` by stage.

    ``cores_lower_bound`` is what neurons, and sources at an axon each, need at least; ``cores_by_neurons`` and
    ``cores_by_axons`` would hold all that are used, were they spread evenly; ``packets_per_tick`` are the expected spikes between
    cores and from inputs; ``binds`` what most cores are full of: neurons, axons or fan-out.
    ``cores_kept`` is how many cores have the place that they were given, None if none was; ``stations`` are relays on ways that
    are too far for a packet or broken; ``placement`` gives the content of a placement file.
    ``basis`` says what an estimate looked at: the synapses, or shapes alone (then there is no ``network``).
    """

    network: IntegerNetwork | None
    cores: int = 0
    neurons: int = 0
    axons: int = 0
    copies: int = 0
    relays: int = 0
    latency: int = 0
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
    cores_kept: int | None = None
    stations: int = 0
    placement: PlacementText | None = None
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
            "stations": self.stations,
            "cores_kept": self.cores_kept,
            "least_cores": self.least_cores,
            "cores_lower_bound": self.cores_lower_bound,
            "cores_by_neurons": self.cores_by_neurons,
            "cores_by_axons": self.cores_by_axons,
            "packets_per_tick": round(self.packets_per_tick, 3),
            "binds": self.binds,
            "basis": self.basis,
            "latency_ticks": self.latency,
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

    @property
    def kept_text(self) -> str:
        """How many cores kept the place that they were given; nothing if none was given."""
        return "" if self.cores_kept is None else f"{self.cores_kept:,} of {self.cores:,} cores kept their place"

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
    placement: Source | None = None,
    defects: Defects | str | Path | None = None,
) -> ChipConfig:
    """Compile a network (or the path of one in YAML or NIR) for a chip; ``seed`` steers placement only.

    ``quantise`` ("fit", "weight_bits=4", ...; see :class:`neurocore.compiler.quantise.Quantise`) goes before what the network
    asks for. ``placement`` is a placement file, or an earlier chip (or its file), whose cores keep their places if they hold the
    same neurons. ``defects`` (or a file of them) are cores, axons and links that must not be used.

    Raises InputError for a network that is wrong in itself and FitError for one that does not fit, listing all faults.
    """
    return compile_with_report(network, chip, seed=seed, quantise=quantise, placement=placement, defects=defects)[0]


def compile_with_report(
    network: Network | str | Path,
    chip: str | Path | Architecture = "truenorth",
    *,
    seed: int = 0,
    quantise: Any = None,
    placement: Source | None = None,
    defects: Defects | str | Path | None = None,
    sample: Spikes | None = None,
    ticks: int | None = None,
    progress: Progress | None = None,
) -> tuple[ChipConfig, CompileReport]:
    """:func:`compile_network`, with a report. ``progress(stage, done, total)`` is called as the work goes on.

    On the input spikes ``sample``, if given, the effect of quantisation is measured for ``ticks`` ticks.
    """
    show = progress or _silent
    arch = load_architecture(chip)
    broken = load_defects(defects, arch) if isinstance(defects, str | Path) else defects or Defects()
    wishes = Wishes(seed, read_source(placement), broken)
    network = _loaded(network, chip, quantise)
    flat, routed, report = _routed(network, arch, show=show)
    show("place", 0, 1)
    with report.timed("place"):
        layout = lay_out(
            flat, arch, routed.routing, wishes, partial(_again, flat, arch, routed), partial(show, "place")
        )
    routing, virtual = layout.routing, layout.virtual
    if layout.n_stations or len(routing.rows) != len(routed.routing.rows):
        _fill(report, flat, arch, routed.parts, routing)
    show("assemble", 0, 1)
    with report.timed("assemble"):
        result = assemble(flat, routing, virtual, layout.placement, arch, _notes(flat, routing, report)).validate()
    with report.timed("prove"):
        _prove(flat, result, broken, partial(show, "prove"))
    if sample is not None:
        show("measure quantisation", 0, 1)
        with report.timed("sample"):
            last = int(sample.tick.max(initial=0)) + SAMPLE_TAIL
            report.effect = agreement(network, arch, sample, ticks if ticks is not None else last, flat)
    _fill_layout(report, layout, wishes)
    with report.timed("report"):
        report.use = chip_use(result, flat, routing, layout.placement, layout.traffic, report.quantisation)
    return result, report


def _again(network: IntegerNetwork, arch: Architecture, routed: _Routed, more: Array) -> Routing:
    """The same cores, routed with more time for some neurons."""
    return route(network, arch, routed.parts, routed.urgent, more)


def _fill_layout(report: CompileReport, layout: Layout, wishes: Wishes) -> None:
    placement = layout.placement
    report.mean_hops, report.weighted_hops = placement.mean_hops, placement.weighted_hops
    report.cores_kept, report.stations, report.placement = layout.kept, layout.n_stations, layout.given
    report.dumps["placement"] = lambda: str(placement)
    if wishes.defects:
        report.warnings.append(f"W-DEFECTS {wishes.defects}: avoided")


def _notes(flat: IntegerNetwork, routing: Routing, report: CompileReport) -> tuple[tuple[str, str], ...]:
    """The certificate: equal to what, and what lies between that and the network as given."""
    losses = report.quantisation
    what = "network" if losses is None else "the quantised network"
    parts = [f"exact: equal to {what} {flat.digest()[:16]}, spike for spike, {routing.latency} ticks late"]
    parts += [] if losses is None else [losses.sentence()]
    parts += [f"approximation declared: {text}" for text in report.declared]
    notes = [("certificate", "; ".join(parts))]
    return (*notes, *([] if losses is None else [("quantise", str(losses.method))]))


def estimate_network(
    network: Network | str | Path, chip: str | Path | Architecture = "truenorth", *, quantise: Any = None
) -> CompileReport:
    """What a network needs of a chip, in about a second: cores, axons, copies, relays, latency, packets.

    Small networks are routed, larger ones estimated from shapes and a few sampled neurons. A network to be quantised is, and then
    routed whatever its size, which takes longer: its codes are not known before. Raises as compile_network does for what it looks
    at.
    """
    network, arch = _loaded(network, chip, quantise), load_architecture(chip)
    n_synapses = count_synapses(network)
    known = {*network.inputs, *network.populations}
    sound = network.populations and all(
        item.source in known and item.target in network.populations for item in network.projections
    )
    if network.quantise is not None or n_synapses <= MOST_ROUTED or not sound:
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
        report.warnings.append(
            f"W-CAP network {network.name!r}: about {report.cores:,} cores are needed; {arch.name!r} has {arch.n_cores:,}"
            f" ({report.cores - arch.n_cores:,} over). Use fewer neurons, smaller receptive fields or a larger chip"
        )
    return report


def _loaded(network: Network | str | Path, chip: str | Path | Architecture, quantise: Any = None) -> Network:
    """The network, read if it is a path; ``quantise`` goes before what it asks for."""
    if not isinstance(network, Network):
        from neurocore.compiler.yamlnet import load_network

        network = load_network(network, chip)
    return network if quantise is None else replace(network, quantise=quantise)


def _declare(report: CompileReport, network: Network) -> None:
    """Approximations of the network's reader go into the report and its warnings."""
    report.declared = list(network.declared)
    report.warnings += [f"W-APPROXIMATE {text}" for text in network.declared]


@dataclass(frozen=True)
class _Routed:
    """A partition, its routing, and the populations whose neurons get copies first."""

    parts: Partition
    urgent: frozenset[int]
    routing: Routing


def _routed(
    network: Network, arch: Architecture, *, quick: bool = False, show: Progress = _silent
) -> tuple[IntegerNetwork, _Routed, CompileReport]:
    """The stages that decide what a network needs of a chip, and a report of them."""
    losses, seconds = None, {}
    begun = time.perf_counter()
    if network.quantise is not None:
        show("quantise", 0, 1)
        network, losses = quantise(network, arch, partial(show, "quantise"))
        seconds["quantise"] = time.perf_counter() - begun
    begun = time.perf_counter()
    show("check", 0, 1)
    flat = check(network, arch)
    seconds["check"] = time.perf_counter() - begun
    report = CompileReport(flat, seconds=seconds, quantisation=losses)
    _declare(report, network)
    if losses is not None and losses.populations:
        report.warnings.append(f"W-QUANTISED {losses.sentence()}")
    if arch.routing.delay.min != 1:
        raise FitError(
            f"E-DELAY {arch.name!r} has delays of at least {arch.routing.delay.min} ticks; the compiler needs a shortest delay"
            f" of 1 ({arch.routing.delay.min - 1} over). Use another chip"
        )
    routed = _fit(flat, Cutter(flat, arch, quick=quick), report, show)
    _check_capacity(flat, arch, routed.parts, routed.routing)
    _fill(report, flat, arch, routed.parts, routed.routing)
    _warn_unused(report, flat)
    return flat, routed, report


def _prove(network: IntegerNetwork, chip: ChipConfig, defects: Defects, progress: Callable[[int, int], None]) -> None:
    """No chip leaves the compiler that is not the network; should one ever differ, that is a fault of ours."""
    try:
        prove(network, chip, defects, progress)
    except MismatchError as error:
        head = "the compiler made a chip that is not the network, and withholds it; please report this fault:"
        raise NeurocoreError([head, *error.problems]) from error


def _fit(network: IntegerNetwork, cutter: Cutter, report: CompileReport, show: Progress) -> _Routed:
    """Partition and route until both agree: packed cores are opened and room is made for copies where routing asks for it."""
    arch = cutter.arch
    limits: dict[int, int] = {}
    urgent: set[int] = set()
    opened: set[frozenset[int]] = set()
    for _ in range(MAX_REPAIRS):
        with report.timed("partition"):
            parts = _open_cores(network, partition(network, arch, limits, cutter, partial(show, "partition")), opened)
        cycle: TightCycleError | None = None
        try:
            with report.timed("route"):
                routing = route(network, arch, parts, frozenset(urgent), progress=partial(show, "route"))
                return _Routed(parts, frozenset(urgent), routing)
        except CoreOverflowError as overflow:
            opened.add(frozenset(np.unique(network.population_of()[parts.members[overflow.core]]).tolist()))
        except TightCycleError as found:
            cycle = found
        if cycle is not None:
            _loosen(network, arch, parts, cycle, limits, urgent)
    raise FitError(
        f"E-CYCLE network {network.name!r}: its cycles leave no time for the relays that its fan-out needs, in none of"
        f" {MAX_REPAIRS} ways to divide it. Raise delays on its cycles, or give its neurons fewer targets"
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
        # Blocks of one population follow one another where they read the same axon; that is one step to who wrote the network.
        way = [number for number, _ in groupby([*on_cycle, on_cycle[0]])]
        names = " -> ".join(repr(network.populations[number].name) for number in (way if len(way) > 1 else way * 2))
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


def _fill(
    report: CompileReport, network: IntegerNetwork, arch: Architecture, parts: Partition, routing: Routing
) -> None:
    report.cores, report.latency = routing.n_cores, routing.latency
    report.copies, report.relays = routing.n_copies, routing.n_relays
    report.neurons = network.n_neurons + routing.n_copies + routing.n_relays
    report.axons = sum(core.encoding.n_axons for core in routing.cores) + len(routing.rows)
    report.least_cores = max(-(-network.n_neurons // arch.core.neurons), 1)
    read = _read(network)
    report.cores_lower_bound = max(report.least_cores, -(-int(read.sum()) // arch.core.axons))
    report.cores_by_neurons = -(-report.neurons // arch.core.neurons)
    report.cores_by_axons = -(-report.axons // arch.core.axons)
    report.packets_per_tick = routing.packets_per_tick(network)
    full = [len(core.members) * arch.core.axons >= core.encoding.n_axons * arch.core.neurons for core in routing.cores]
    kinds = {"neurons": sum(full), "axons": len(full) - sum(full), "fan-out": routing.n_cores - len(full)}
    report.binds = max(kinds, key=lambda name: kinds[name])
    report.dumps.update(
        {
            "network": lambda: str(network),
            "partition": lambda: parts.dump(network),
            "routing": lambda: routing.dump(network),
        }
    )


def _read(network: IntegerNetwork) -> npt.NDArray[np.bool_]:
    """Which input lines and neurons any neuron reads."""
    read = np.zeros(network.n_inputs + network.n_neurons, bool)
    read[network.source] = True
    return read


def _warn_unused(report: CompileReport, network: IntegerNetwork) -> None:
    unread = np.flatnonzero(~_read(network)[: network.n_inputs])
    if len(unread):
        first = network.source_label(int(unread[0]))
        report.warnings.append(
            f"W-UNUSED network {network.name!r}: {len(unread):,} of {network.n_inputs:,} input lines reach no neuron, the first"
            f" is {first}; spikes on them do nothing. Give them weights other than 0, or leave them out"
        )
    if not network.n_synapses:
        report.warnings.append(
            f"W-EMPTY network {network.name!r}: it has no synapse, because no projection has a weight other than 0; its neurons"
            " only do what they do by themselves"
        )
