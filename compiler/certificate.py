"""What a finished chip is known to be: the proof over all its stages, and the certificate that it carries."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from neurocore.architecture import Architecture
from neurocore.compiler.check import IntegerNetwork
from neurocore.compiler.defects import Defects
from neurocore.compiler.dilate import Dilated, dilate
from neurocore.compiler.prove import Decoded, origin_problems, prove
from neurocore.compiler.prove_dilation import Claim, prove_dilation
from neurocore.compiler.quantise import QuantisationReport
from neurocore.config import ChipConfig
from neurocore.errors import MismatchError


def certificate(
    network: IntegerNetwork,
    latency: int,
    dilation: int,
    exact_ticks: int | None,
    losses: QuantisationReport | None,
    declared: Sequence[str],
) -> tuple[tuple[str, str], ...]:
    """Notes for the chip: equal to what and for how long, and what lies between that and the network as given."""
    what = "network" if losses is None else "the quantised network"
    parts = [f"exact: equal to {what} {network.digest()[:16]}, spike for spike, {latency} ticks late"]
    parts += [f"{dilation} ticks of the chip to one of the network"] if dilation != 1 else []
    parts += [horizon(exact_ticks)] if exact_ticks is not None else []
    parts += [] if losses is None else [losses.sentence()]
    parts += [f"approximation declared: {text}" for text in declared]
    notes = [("certificate", "; ".join(parts))]
    return (*notes, *([] if losses is None else [("quantise", str(losses.method))]))


def horizon(exact_ticks: int) -> str:
    """For how long a dilated network with membranes that may rise without end is known to be exact."""
    return (
        f"for {exact_ticks:,} ticks of the network whatever the input, then as long as no membrane has risen higher than it could"
        " until then"
    )


def in_frames(chip: ChipConfig, network: IntegerNetwork, dilated: Dilated) -> ChipConfig:
    """The chip of a dilated network as a chip of the network itself, with its ticks, start shifts and digest."""
    return replace(
        chip,
        dilation=dilated.factor,
        latency=chip.latency + dilated.latency,
        timing=chip.timing + dilated.shift,
        network_digest=network.digest(),
    )


def prove_dilated(network: IntegerNetwork, dilated: Dilated, arch: Architecture) -> int | None:
    """Check that a dilated network does what a network says; see :func:`prove_dilation`."""
    return prove_dilation(network, Claim(dilated.network, dilated.factor, dilated.phase, dilated.latency), arch)


def prove_chip(
    network: IntegerNetwork,
    chip: ChipConfig,
    dilated: Dilated | None = None,
    defects: Defects | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Decoded:
    """Check that a chip, dilated or not, does what a network says. Raises MismatchError that lists what differs.

    A dilated chip is checked against a dilated network, and that against the network. It is no more than a witness between the
    two: were it wrong, one of the checks would refuse it. One that is given has passed :func:`prove_dilated`. ``defects`` and
    ``progress`` are those of :func:`neurocore.compiler.prove.prove`.
    """
    if chip.dilation == 1:
        return prove(network, chip, defects, progress)
    witness = dilate(network, chip.architecture, chip.dilation) if dilated is None else dilated
    if witness is None or witness.factor != chip.dilation:
        need = "needs no dilation" if witness is None else f"needs {witness.factor}"
        raise MismatchError([f"{chip.dilation} ticks of the chip make one of the network, which {need}"])
    if dilated is None:
        prove_dilated(network, witness, chip.architecture)
    if len(chip.timing) != len(witness.shift):
        raise MismatchError(["the chip does not say when each neuron starts"])
    foreign = origin_problems(network, chip)
    if foreign:
        raise MismatchError(foreign)
    return prove(witness.network, _unframed(chip, witness), defects, progress)


def _unframed(chip: ChipConfig, dilated: Dilated) -> ChipConfig:
    """The chip as one of the dilated network, without a word on what network that came from; undoes :func:`in_frames`."""
    timing, latency = chip.timing - dilated.shift, chip.latency - dilated.latency
    return replace(chip, dilation=1, timing=timing, latency=latency, network_digest="")
