"""The compiler as one call: check, partition, route, place, assemble."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from neurocore.architecture import Architecture, load_architecture
from neurocore.compiler.agreement import agreement
from neurocore.compiler.assemble import assemble
from neurocore.compiler.capacity import WAYS_OUT, largest
from neurocore.compiler.carry import Carry
from neurocore.compiler.certificate import (
    Proven,
    Rewritten,
    certificate,
    horizon,
    of_network,
    prove_chip,
    prove_rewritten,
)
from neurocore.compiler.check import IntegerNetwork, check
from neurocore.compiler.compilereport import CompileReport
from neurocore.compiler.defects import Defects, load_defects
from neurocore.compiler.deviation import deviation
from neurocore.compiler.dilate import Dilated
from neurocore.compiler.estimate import count_synapses, estimate
from neurocore.compiler.fit import Progress, Routed, check_capacity, fit, fit_longer, unwatched
from neurocore.compiler.layout import Layout, Source, Task, Wishes, lay_out, read_source
from neurocore.compiler.network import FAN_INS, Network
from neurocore.compiler.quantise import quantise
from neurocore.compiler.report import chip_use
from neurocore.compiler.slack import NoTimeError
from neurocore.compiler.thermometer import Thermometer
from neurocore.config import ChipConfig
from neurocore.errors import FitError, InputError, MismatchError, NeurocoreError, UsageError
from neurocore.spikes import Spikes
from neurocore.wording import did_you_mean, is_whole, shown

Array = npt.NDArray[Any]

MOST_ROUTED = 300_000
"""Synapses up to which an estimate routes the network."""
SAMPLE_TAIL = 16
"""Ticks after the last spike of a sample during which its effect is still followed."""


def compile_network(
    network: Network | str | Path,
    chip: str | Path | Architecture = "truenorth",
    *,
    seed: int = 0,
    quantise: Any = None,
    fan_in: str | None = None,
    placement: Source | None = None,
    defects: Defects | str | Path | None = None,
) -> ChipConfig:
    """Compile a network (or the path of one in YAML or NIR) for a chip; ``seed`` steers placement only.

    ``quantise`` ("fit", "weight_bits=4", ...; see :class:`neurocore.compiler.quantisation.Quantise`) and ``fan_in`` ("refuse",
    "dilate", "thermometer", "carry") go before what the network asks for. With "dilate" a network with neurons that read more
    than a core has axons for takes several ticks of the chip to a tick: the chip's ``dilation``. With "thermometer" it takes
    more neurons, which tell those the sums of what they read; with "carry" they do so approximately. ``placement`` is a
    placement file, or an earlier chip (or its file), whose cores keep their places if they hold the same neurons. ``defects``
    (or a file of them) are cores, axons and links that must not be used.

    Raises InputError for a network that is wrong in itself and FitError for one that does not fit, listing all faults.
    """
    return compile_with_report(
        network, chip, seed=seed, quantise=quantise, fan_in=fan_in, placement=placement, defects=defects
    )[0]


def compile_with_report(
    network: Network | str | Path,
    chip: str | Path | Architecture = "truenorth",
    *,
    seed: int = 0,
    quantise: Any = None,
    fan_in: str | None = None,
    placement: Source | None = None,
    defects: Defects | str | Path | None = None,
    sample: Spikes | None = None,
    ticks: int | None = None,
    progress: Progress | None = None,
) -> tuple[ChipConfig, CompileReport]:
    """:func:`compile_network`, with a report. ``progress(stage, done, total)`` is called as the work goes on.

    On the input spikes ``sample``, if given, the effect of quantisation is measured for ``ticks`` ticks.
    """
    show = progress or unwatched
    arch = load_architecture(chip)
    broken = _defects(defects, arch)
    wishes = Wishes(_seed(seed), read_source(placement), broken)
    network = _loaded(network, chip, quantise, fan_in)
    flat, routed, report = _routed(network, arch, show=show)
    routed, layout = _laid_out(flat, routed, arch, wishes, report, show)
    if routed.dilated is not None:
        _warn_dilated(routed.dilated, report)
    became = routed.rewritten
    proven = None if became is None else _prove_rewritten(flat, became, arch, report, show)
    show("assemble", 0, 1)
    with report.timed("assemble"):
        result = _assembled(flat, routed, layout, arch, report)
    with report.timed("prove"), _own_faults():
        prove_chip(flat, result, proven, broken, partial(show, "prove"))
    if sample is not None:
        show("measure quantisation", 0, 1)
        with report.timed("sample"):
            last = int(sample.tick.max(initial=0)) + SAMPLE_TAIL
            report.effect = agreement(network, arch, sample, ticks if ticks is not None else last, flat)
    _fill_layout(report, layout, wishes)
    with report.timed("report"):
        report.use = chip_use(
            result, routed.network, layout.routing, layout.placement, layout.traffic, report.quantisation
        )
    return result, report


def _seed(seed: int) -> int:
    if not is_whole(seed) or seed < 0:
        raise UsageError(f"seed is {shown(seed)}; it must be a whole number of at least 0")
    return int(seed)


def _defects(given: Defects | str | Path | None, arch: Architecture) -> Defects:
    """Defects, read if they are in a file. Raises InputError unless they lie on the chip."""
    if isinstance(given, str | Path):
        return load_defects(given, arch)
    if not isinstance(given, Defects | None):
        raise UsageError(f"defects are {shown(given)}; a file of them, or Defects, was expected")
    defects = given or Defects()
    defects.check(arch)
    return defects


def _prove_rewritten(
    flat: IntegerNetwork, rewritten: Rewritten, arch: Architecture, report: CompileReport, show: Progress
) -> Proven:
    """Check what the network became, and warn if it is exact only for so long, or not."""
    with report.timed("prove"), _own_faults():
        proven = prove_rewritten(flat, rewritten, arch)
    report.exact_ticks, report.exact = proven.ticks, proven.exact
    if proven.ticks is not None:
        report.warnings.append(f"W-HORIZON exact {horizon(proven.ticks)}")
    if not proven.exact:
        show("measure", 0, 1)
        with report.timed("measure"):
            report.deviation = deviation(flat, rewritten.network, arch)
        report.warnings.append(f"W-CARRY {report.fan_in}: {report.deviation}")
    return proven


def _warn_dilated(dilated: Dilated, report: CompileReport) -> None:
    """Say how much time the network takes."""
    report.dilation, report.dilation_slack = dilated.factor, dilated.slack
    more = f", {dilated.slack} of them for relays on its cycles" if dilated.slack else ""
    report.warnings.append(f"W-DILATED a tick of the network takes {dilated.factor} ticks of the chip{more}")


def _laid_out(
    flat: IntegerNetwork, routed: Routed, arch: Architecture, wishes: Wishes, report: CompileReport, show: Progress
) -> tuple[Routed, Layout]:
    """The cores at their places; relays on the way may change how many there are, and the latency.

    The ticks of a dilated network are made longer if its cycles leave no time for such relays.
    """
    as_estimated = routed
    while True:
        show("place", 0, 1)
        try:
            with report.timed("place"):
                again, place = partial(routed.again, arch), partial(show, "place")
                layout = lay_out(Task(routed.network, arch, routed.routing, wishes, again, place))
            break
        except NoTimeError as error:
            if routed.dilated is None:
                raise
            routed = fit_longer(flat, routed.dilated, error, arch, quick=False, timed=report.timed, show=show)
    if routed is not as_estimated or layout.routing is not routed.routing:
        _fill(report, arch, replace(routed, routing=layout.routing))
    return routed, layout


def _assembled(
    flat: IntegerNetwork, routed: Routed, layout: Layout, arch: Architecture, report: CompileReport
) -> ChipConfig:
    """The chip with its certificate; that of a rewritten network as a chip of the network itself."""
    ticks = report.latency, report.dilation, report.exact_ticks
    notes = certificate(flat, *ticks, report.fan_in, report.approximations, report.quantisation, report.declared)
    result = assemble(routed.network, layout.routing, layout.virtual, layout.placement, arch, notes)
    return of_network(result, flat, routed.rewritten).validate()


def _fill_layout(report: CompileReport, layout: Layout, wishes: Wishes) -> None:
    placement = layout.placement
    report.mean_hops, report.weighted_hops = placement.mean_hops, placement.weighted_hops
    report.cores_kept, report.stations, report.placement = layout.kept, layout.n_stations, layout.given
    report.dumps["placement"] = lambda: str(placement)
    if wishes.defects:
        report.warnings.append(f"W-DEFECTS {wishes.defects}: avoided")


@contextmanager
def _own_faults() -> Iterator[None]:
    """No chip leaves the compiler that is not the network; should one ever differ, that is a fault of ours."""
    try:
        yield
    except MismatchError as error:
        head = "the compiler made a chip that is not the network, and withholds it; please report this fault:"
        raise NeurocoreError([head, *error.problems]) from error


def estimate_network(
    network: Network | str | Path,
    chip: str | Path | Architecture = "truenorth",
    *,
    quantise: Any = None,
    fan_in: str | None = None,
) -> CompileReport:
    """What a network needs of a chip, in a second or two: cores, axons, copies, relays, latency, packets.

    Small networks are routed, after a short search for groups, so that cores are an upper bound where neurons are numbered at
    random; larger ones are estimated from shapes and a few sampled neurons. A network to be quantised is, and then
    routed whatever its size, which takes longer: its codes are not known before. So is one with merged spikes, and one
    that may be rewritten for its fan-in. Raises as compile_network does for what it looks at.
    """
    network, arch = _loaded(network, chip, quantise, fan_in), load_architecture(chip)
    n_synapses = count_synapses(network)
    known = {*network.inputs, *network.populations}
    sound = network.populations and all(
        item.source in known and item.target in network.populations for item in network.projections
    )
    special = network.fan_in != "refuse" or any(item.merge == "or" for item in network.projections)
    if network.quantise is not None or n_synapses <= MOST_ROUTED or not sound or special:
        _, routed, report = _routed(network, arch, quick=True)
        if routed.dilated is not None:
            _warn_dilated(routed.dilated, report)
        return report
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
            f" ({report.cores - arch.n_cores:,} over). Largest: {largest(found.shares)}. {WAYS_OUT}"
        )
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
    if not isinstance(network.fan_in, str) or network.fan_in not in FAN_INS:
        raise InputError(
            f"network {network.name!r}: fan_in is {shown(network.fan_in)}; it must be one of {', '.join(FAN_INS)}"
            f"{did_you_mean(network.fan_in, FAN_INS)}"
        )
    return network


def _declare(report: CompileReport, network: Network) -> None:
    """Approximations of the network's reader go into the report and its warnings, and for whom it gives no rate."""
    known = [*network.inputs, *network.populations]
    report.unrated = [name for name in known if name not in network.spike_rates]
    report.rated = len(report.unrated) < len(known)
    report.declared = list(network.declared)
    report.warnings += [f"W-APPROXIMATE {text}" for text in network.declared]


def _routed(
    network: Network, arch: Architecture, *, quick: bool = False, show: Progress = unwatched
) -> tuple[IntegerNetwork, Routed, CompileReport]:
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
    routed = fit(flat, arch, fan_in=network.fan_in, quick=quick, timed=report.timed, show=show)
    check_capacity(routed, arch)
    _fill(report, arch, routed)
    _warn_unused(report, flat)
    if isinstance(routed.rewritten, Thermometer | Carry):
        report.fan_in, report.exact = str(routed.rewritten), isinstance(routed.rewritten, Thermometer)
    return flat, routed, report


def _fill(report: CompileReport, arch: Architecture, routed: Routed) -> None:
    """What a routed network takes; it is what the network became, if it was rewritten."""
    network, parts, routing = routed.network, routed.parts, routed.routing
    report.cores, report.latency = routing.n_cores, routed.latency
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
    """Which input lines and neurons any neuron reads, alone or with others on one axon."""
    read = np.zeros(network.n_inputs + network.n_neurons, bool)
    read[network.unions.expand(np.unique(network.source))[1]] = True
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
