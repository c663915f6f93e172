"""What all proofs of networks to which neurons were added ask first: the rest of the network is as it was."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from neurocore.compiler.check import IntegerNetwork


def frame_faults(network: IntegerNetwork, longer: IntegerNetwork) -> Iterator[str]:
    """What differs in inputs, outputs, populations and unions, but for populations added behind those that there were."""
    n = len(network.populations)
    same = (network.inputs, network.outputs, network.populations) == (
        longer.inputs,
        longer.outputs,
        longer.populations[:n],
    )
    if not same or not np.array_equal(network.output_neuron, longer.output_neuron):
        yield "its inputs, outputs or populations are not those of the network"
    unions = all(
        np.array_equal(getattr(network.unions, name), getattr(longer.unions, name)) for name in ("start", "member")
    )
    if not unions or longer.unions.first != longer.n_inputs + longer.n_neurons:
        yield "its unions are not those of the network"
