"""What a finished chip is known to be: the proof over all its stages, and the certificate that it carries."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from neurocore.architecture import Architecture
from neurocore.compiler.carry import Carry, carry
from neurocore.compiler.check import IntegerNetwork
from neurocore.compiler.defects import Defects
from neurocore.compiler.dilate import Dilated, dilate
from neurocore.compiler.prove import Decoded, origin_problems, prove
from neurocore.compiler.prove_carry import prove_carry
from neurocore.compiler.prove_dilation import Claim, prove_dilation
from neurocore.compiler.prove_thermometer import prove_thermometer
from neurocore.compiler.quantisation import QuantisationReport
from neurocore.compiler.thermometer import Thermometer, thermometer
from neurocore.config import ChipConfig, Group
from neurocore.errors import FitError, MismatchError
from neurocore.wording import counted

Rewritten = Dilated | Thermometer | Carry
"""What a network may become because of its fan-in."""


@dataclass(frozen=True)
class Proven:
    """What a network became, checked: it does exactly what the network does or not, for so many ticks or (None) for ever."""

    rewritten: Rewritten
    exact: bool = True
    ticks: int | None = None


def certificate(
    network: IntegerNetwork,
    latency: int,
    dilation: int,
    exact_ticks: int | None,
    fan_in: str,
    approximations: Sequence[str],
    losses: QuantisationReport | None,
    declared: Sequence[str],
) -> tuple[tuple[str, str], ...]:
    """Notes for the chip: equal to what and for how long, and what lies between that and the network as given.

    ``fan_in`` says what was done for neurons that read more than a core has axons for, if anything beside dilation, and
    ``approximations`` what that changes.
    """
    what = f"{'network' if losses is None else 'the quantised network'} {network.digest()[:16]}"
    late = f"spike for spike, {counted(latency, 'tick')} late"
    parts = [f"exact: equal to {what}, {late}"]
    if approximations:
        parts = [f"approximate: equal to {what} with sums that are carried over, {late}"]
    parts += [f"{dilation} ticks of the chip to one of the network"] if dilation != 1 else []
    parts += [horizon(exact_ticks)] if exact_ticks is not None else []
    parts += [fan_in] if fan_in else []
    parts += approximations
    parts += [] if losses is None else [losses.sentence()]
    parts += [f"approximation declared: {text}" for text in declared]
    notes = [("certificate", "; ".join(parts))]
    return (*notes, *([] if losses is None else [("quantise", str(losses.method))]))


def horizon(exact_ticks: int) -> str:
    """For how long a dilated network with membranes that may rise without end is known to be exact."""
    return (
        f"for {counted(exact_ticks, 'tick')} of the network whatever the input, then as long as no membrane has risen higher"
        " than it could until then"
    )


def of_network(chip: ChipConfig, network: IntegerNetwork, rewritten: Rewritten | None) -> ChipConfig:
    """The chip of a rewritten network as a chip of the network itself, with its ticks, start shifts and digest."""
    if rewritten is None:
        return chip
    chip = replace(chip, network_digest=network.digest())
    if not isinstance(rewritten, Dilated):
        return chip
    timing, latency = chip.timing + rewritten.shift, chip.latency + rewritten.latency
    return replace(chip, dilation=rewritten.factor, latency=latency, timing=timing)


def prove_rewritten(network: IntegerNetwork, rewritten: Rewritten, arch: Architecture) -> Proven:
    """Check that a rewritten network does what a network does, if not always in time where sums are carried over.

    See :func:`prove_dilation`, :func:`prove_thermometer` and :func:`prove_carry`. Raises MismatchError.
    """
    if isinstance(rewritten, Dilated):
        claim = Claim(rewritten.network, rewritten.factor, rewritten.phase, rewritten.latency)
        return Proven(rewritten, ticks=prove_dilation(network, claim, arch))
    if isinstance(rewritten, Carry):
        prove_carry(network, rewritten.network)
        return Proven(rewritten, exact=False)
    for before, after in pairwise((network, *rewritten.steps)):
        prove_thermometer(before, after)
    return Proven(rewritten)


def prove_chip(
    network: IntegerNetwork,
    chip: ChipConfig,
    proven: Proven | None = None,
    defects: Defects | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[Decoded, Proven | None]:
    """Check that a chip does what a network says, or what that became because of its fan-in. Raises MismatchError.

    A chip of a rewritten network is checked against that, and it against the network, unless it is given as ``proven``. It is no
    more than a witness between the two: were it wrong, one of the checks would refuse it. ``defects`` and ``progress`` are those
    of :func:`neurocore.compiler.prove.prove`. Returns where the network is on the chip, and what it became.
    """
    witness = _witness(network, chip) if proven is None else proven.rewritten
    if witness is None:
        return prove(network, chip, defects, progress), None
    proven = prove_rewritten(network, witness, chip.architecture) if proven is None else proven
    foreign = origin_problems(network, chip)
    if foreign:
        raise MismatchError(foreign)
    decoded = prove(witness.network, _as_rewritten(chip, witness), defects, progress)
    return _decoded_for(network, witness.network, decoded), proven


def _witness(network: IntegerNetwork, chip: ChipConfig) -> Rewritten | None:
    """What the network must have become for this chip; None if the chip does not look as if it was rewritten."""
    if chip.dilation != 1:
        return _dilated_for(network, chip)
    return _lines_of(network, chip) if len(chip.populations) > len(network.populations) else None


def _dilated_for(network: IntegerNetwork, chip: ChipConfig) -> Dilated:
    """The network with as many ticks of the chip to one of its own as a chip takes."""
    head = f"{chip.dilation} ticks of the chip make one of the network"
    try:
        dilated = dilate(network, chip.architecture, chip.dilation)
    except FitError as error:
        raise MismatchError([f"{head}, which cannot be dilated: {error.problems[0]}"]) from error
    if dilated is None:
        raise MismatchError([f"{head}, which needs no dilation"])
    return dilated


def _lines_of(network: IntegerNetwork, chip: ChipConfig) -> Thermometer | Carry:
    """The network with the lines that a chip with more populations must have."""
    added = chip.populations[len(network.populations) :]
    makers: list[Callable[[IntegerNetwork, Architecture], Thermometer | Carry | None]] = [thermometer, carry]
    others = []
    for make in makers:
        try:
            lined = make(network, chip.architecture)
        except FitError as error:
            others.append(error.problems[0])
            continue
        if lined is None:
            raise MismatchError([f"the chip has populations that the network does not need: {_shown(added)}"])
        if lined.network.populations == chip.populations:
            return lined
        others.append(f"{_shown(lined.network.populations[len(network.populations) :])} would be such")
    head = f"the chip has populations that are no lines for the network with these spike_rates: {_shown(added)}"
    raise MismatchError(["; ".join([head, *others])])


def _shown(groups: Sequence[Group]) -> str:
    return ", ".join(f"{group.name!r} ({group.size:,})" for group in groups)


def _as_rewritten(chip: ChipConfig, rewritten: Rewritten) -> ChipConfig:
    """The chip as one of the rewritten network, without a word on what network that came from; undoes :func:`of_network`."""
    chip = replace(chip, network_digest="")
    if not isinstance(rewritten, Dilated):
        return chip
    if rewritten.factor != chip.dilation:
        raise MismatchError(
            [f"{chip.dilation} ticks of the chip make one of the network, which needs {rewritten.factor}"]
        )
    if len(chip.timing) != len(rewritten.shift):
        raise MismatchError(["the chip does not say when each neuron starts"])
    return replace(chip, dilation=1, timing=chip.timing - rewritten.shift, latency=chip.latency - rewritten.latency)


def _decoded_for(network: IntegerNetwork, rewritten: IntegerNetwork, decoded: Decoded) -> Decoded:
    """Places of the network's own neurons and random synapses; unions have other numbers where neurons were added."""
    source = np.where(
        decoded.source >= rewritten.unions.first,
        decoded.source - rewritten.unions.first + network.unions.first,
        decoded.source,
    )
    return replace(decoded, image=decoded.image[: network.n_neurons], source=source)
