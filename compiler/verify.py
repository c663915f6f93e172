"""Dynamic check: run the network itself and the compiled chip on the same input, and compare every output spike."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from neurocore.compiler.certificate import prove_chip
from neurocore.compiler.check import IntegerNetwork, check, random_neurons
from neurocore.compiler.network import Network
from neurocore.compiler.reference import Places, Reference
from neurocore.config import ChipConfig
from neurocore.errors import InputError, MismatchError
from neurocore.spikes import Spikes

Array = npt.NDArray[Any]


class Runs(Protocol):
    """Something that runs a chip on input spikes for some ticks and returns its output spikes."""

    def __call__(self, chip: ChipConfig, spikes: Spikes, ticks: int) -> Spikes:
        """Output spikes of the chip's ticks 0..ticks-1."""


BUSIER = 1.25
"""How many times the expected spikes an input has before that is remarked on."""


@dataclass(frozen=True)
class Verdict:
    """The outcome of a comparison.

    ``cause`` is what the static check finds wrong with the chip; where spikes are equal nevertheless, this input did not show it.
    ``approximate`` chips carry sums over (:mod:`neurocore.compiler.carry`), by which ``spikes_differing`` may be late, missing
    or too many; ``as_declared`` says that a chip does what it should: all that the network does, or all but that, and that the
    static check finds nothing. ``remarks`` are on the input.
    """

    equal: bool
    latency: int
    dilation: int
    spikes_compared: int
    first_difference: dict[str, Any] | None
    cause: tuple[str, ...] = ()
    approximate: bool = False
    spikes_differing: int = 0
    as_declared: bool = True
    remarks: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """The fields of ``verify --json``."""
        return {
            "equal": self.equal,
            "latency_ticks": self.latency,
            "dilation": self.dilation,
            "spikes_compared": self.spikes_compared,
            "first_difference": self.first_difference,
            "cause": list(self.cause),
            "approximate": self.approximate,
            "spikes_differing": self.spikes_differing,
            "as_declared": self.as_declared,
            "remarks": list(self.remarks),
        }


def reference_spikes(
    network: IntegerNetwork, chip: ChipConfig, spikes: Spikes, ticks: int, places: Places | None
) -> Spikes:
    """Output spikes of the network's ticks 0..ticks-1."""
    spikes.check(n_lines=network.n_inputs)
    simulator = Reference(network, chip.architecture, places)
    bounds = np.searchsorted(spikes.tick, np.arange(ticks + 1))
    tick, line = [], []
    for now in range(ticks):
        fired = simulator.tick(spikes.line[bounds[now] : bounds[now + 1]])
        out = np.flatnonzero(fired[network.output_neuron])
        tick.append(np.full(len(out), now))
        line.append(out)
    none = [np.zeros(0, np.int64)]
    return Spikes.from_lines(np.concatenate(none + tick), np.concatenate(none + line))


def verify(
    network: Network, chip: ChipConfig, spikes: Spikes, ticks: int, run: Runs, seed: int | None = None
) -> Verdict:
    """Compare a network with a chip for ``ticks`` ticks of the network; ``run`` runs the chip.

    A network with random parts needs a chip that the static check accepts, because the draws are made where the chip makes them.
    """
    flat = check(network, chip.architecture)
    if (flat.inputs, flat.outputs) != (chip.inputs, chip.outputs):
        raise InputError(
            f"network {flat.name!r} and chip {chip.name!r} differ in inputs or outputs; were they made together?"
        )
    cause: tuple[str, ...] = ()
    places, carried = None, None
    try:
        decoded, proven = prove_chip(flat, chip)
        if chip.dilation == 1:
            places = Places.of(flat, chip, decoded, chip.seed if seed is None else seed)
        if proven is not None and not proven.exact:
            carried = proven.rewritten.network
    except MismatchError as error:
        cause = error.problems
        if random_neurons(flat).any():
            raise
    expected = reference_spikes(flat, chip, spikes, ticks, places)
    inside = spikes.window(0, ticks)
    found = run(chip, inside, ticks * chip.dilation + chip.latency)
    difference = _first_difference(flat, expected, found, chip)
    declared = difference is None
    if carried is not None and not declared:
        own = reference_spikes(carried, chip, inside, ticks, None if places is None else places.among(flat, carried))
        unexpected = _first_difference(flat, own, found, chip)
        declared, difference = unexpected is None, unexpected or difference
    return Verdict(
        equal=difference is None,
        latency=chip.latency,
        dilation=chip.dilation,
        spikes_compared=len(expected),
        first_difference=difference,
        cause=cause,
        approximate=carried is not None,
        spikes_differing=len(_differing(expected, found, chip)),
        as_declared=declared and not cause,
        remarks=(*_untested(flat, expected, found), *(() if carried is None else _busier_inputs(flat, inside, ticks))),
    )


def _untested(network: IntegerNetwork, expected: Spikes, found: Spikes) -> tuple[str, ...]:
    """A remark if no output spike was there to be compared."""
    if len(expected) or len(found):
        return ()
    if not len(network.output_neuron):
        return (
            "nothing was compared, as the network has no outputs; name the populations whose spikes matter as outputs",
        )
    return ("nothing was compared, as no output neuron fired; give input spikes that make some fire, or more ticks",)


def _busier_inputs(network: IntegerNetwork, spikes: Spikes, ticks: int) -> tuple[str, ...]:
    """The inputs with many more spikes than the rates say for which sums that are carried over were made."""
    count, first, found = np.bincount(spikes.line, minlength=network.n_inputs), 0, []
    for group in network.inputs:
        part = slice(first, first + group.size)
        asked, seen = float(network.rate[part].sum()), float(count[part].sum()) / ticks
        if seen > BUSIER * asked:
            found.append(
                f"input {group.name!r} has {seen / group.size:.3g} spikes a line and tick, and its lines were made for"
                f" {asked / group.size:.3g}: sums are carried over further than was measured; see spike_rates"
            )
        first += group.size
    return tuple(found)


def _differing(expected: Spikes, found: Spikes, chip: ChipConfig) -> set[tuple[int, int]]:
    """(chip tick without the latency, line) of every spike that only one side has."""
    have = set(zip((found.tick - chip.latency).tolist(), found.line.tolist(), strict=True))
    want = set(zip((expected.tick * chip.dilation).tolist(), expected.line.tolist(), strict=True))
    return have ^ want


def _first_difference(
    network: IntegerNetwork, expected: Spikes, found: Spikes, chip: ChipConfig
) -> dict[str, Any] | None:
    """The earliest spike that only one side has, in network ticks; a spike before the latency has passed is one of them.

    A spike between two ticks of the network, on a dilated chip, is one as well, of the tick before.
    """
    differing = _differing(expected, found, chip)
    if not differing:
        return None
    chip_tick, line = min(differing)
    tick = chip_tick // chip.dilation
    name = next((group.name for group in network.outputs if group.start <= line < group.start + group.size), "?")
    return {
        "tick": tick,
        "line": line,
        "output": name,
        "neuron": network.label(int(network.output_neuron[line])) if line < len(network.output_neuron) else None,
        "network": bool(((expected.tick * chip.dilation == chip_tick) & (expected.line == line)).any()),
        "chip": bool(((found.tick - chip.latency == chip_tick) & (found.line == line)).any()),
    }
