"""What a finished chip is known to be: the proof over all its stages, and the certificate that it carries."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from neurocore.compiler.check import IntegerNetwork
from neurocore.compiler.dilate import Dilated, dilate
from neurocore.compiler.prove import Decoded, prove
from neurocore.compiler.prove_dilation import Claim, prove_dilation
from neurocore.compiler.quantise import QuantisationReport
from neurocore.config import ChipConfig
from neurocore.errors import MismatchError


def certificate(
    network: IntegerNetwork, latency: int, dilation: int, losses: QuantisationReport | None, declared: Sequence[str]
) -> tuple[tuple[str, str], ...]:
    """Notes for the chip: equal to what, and what lies between that and the network as given."""
    what = "network" if losses is None else "the quantised network"
    parts = [f"exact: equal to {what} {network.digest()[:16]}, spike for spike, {latency} ticks late"]
    parts += [f"{dilation} ticks of the chip to one of the network"] if dilation != 1 else []
    parts += [] if losses is None else [losses.sentence()]
    parts += [f"approximation declared: {text}" for text in declared]
    notes = [("certificate", "; ".join(parts))]
    return (*notes, *([] if losses is None else [("quantise", str(losses.method))]))


def in_frames(chip: ChipConfig, network: IntegerNetwork, dilated: Dilated) -> ChipConfig:
    """The chip of a dilated network as a chip of the network itself, with its ticks, start shifts and digest."""
    return replace(
        chip,
        dilation=dilated.factor,
        latency=chip.latency + dilated.latency,
        timing=chip.timing + dilated.shift,
        network_digest=network.digest(),
    )


def prove_chip(network: IntegerNetwork, chip: ChipConfig, dilated: Dilated | None = None) -> Decoded:
    """Check that a chip, dilated or not, does what a network says. Raises MismatchError that lists what differs.

    A dilated chip is checked against a dilated network, and that against the network. The dilated network, made anew if none is
    given, is no more than a witness between the two: were it wrong, one of the checks would refuse it.
    """
    if chip.dilation == 1:
        return prove(network, chip)
    if dilated is None:
        dilated = dilate(network, chip.architecture, chip.dilation)
    if dilated is None or dilated.factor != chip.dilation:
        need = "needs no dilation" if dilated is None else f"needs {dilated.factor}"
        raise MismatchError([f"{chip.dilation} ticks of the chip make one of the network, which {need}"])
    prove_dilation(network, Claim(dilated.network, chip.dilation, dilated.phase, dilated.latency), chip.architecture)
    if len(chip.timing) != len(dilated.shift):
        raise MismatchError(["the chip does not say when each neuron starts"])
    own = replace(chip, timing=chip.timing - dilated.shift, latency=chip.latency - dilated.latency)
    return prove(dilated.network, own)
