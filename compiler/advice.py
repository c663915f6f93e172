"""Ways out for neurons that read more than a core has axons for: those that hold for the network at hand, with their numbers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from neurocore.architecture import Architecture
from neurocore.compiler.check import IntegerNetwork
from neurocore.compiler.encode import axons_per_signal
from neurocore.wording import setting

Array = npt.NDArray[Any]


def read_names(network: IntegerNetwork, neuron: int) -> str:
    """The inputs and populations that a neuron reads, as messages show them."""
    source = np.unique(network.unions.expand(network.source[network.start[neuron] : network.start[neuron + 1]])[1])
    groups = (*network.inputs, *network.populations)
    first = np.cumsum([0, *(group.size for group in groups)])
    read = np.unique(np.searchsorted(first, source, side="right") - 1)
    return ", ".join(repr(groups[number].name) for number in read.tolist())


def fan_in_advice(network: IntegerNetwork, arch: Architecture, neuron: int) -> str:
    """What could be done about a neuron that fits no core, as the end of a sentence that names it."""
    return "; or ".join(_ways(network, arch, neuron)) or "Limit receptive fields and use smaller weights"


def _ways(network: IntegerNetwork, arch: Architecture, neuron: int) -> Iterator[str]:
    part = slice(int(network.start[neuron]), int(network.start[neuron + 1]))
    weight, n, axons, types = network.weight[part], part.stop - part.start, arch.core.axons, arch.core.axon_types
    levels = len(np.unique(np.stack([weight, network.stochastic[part]]), axis=1).T)
    each = axons_per_signal(weight, arch)
    room = axons // each
    if 2 <= room < n:
        groups = -(-n // room)
        share = (
            f" (with weights such as its own, neurons that share a core need {each} axons a signal)" if each > 1 else ""
        )
        yield f"Limit receptive fields to {room} signals, for instance {groups} groups of {-(-n // groups)}{share}"
    if n <= axons and levels > types:
        yield f"use at most {types} different weights a neuron, of which one reads up to {axons}"
    if levels <= types and _any_spike_fires(network, neuron):
        same = "which gives the same spikes here, as each of its weights reaches the threshold by itself"
        yield f"use {setting('merge', 'or')}, {same}"


def _any_spike_fires(network: IntegerNetwork, neuron: int) -> bool:
    """Whether a neuron fires exactly when anything arrives, and keeps nothing from tick to tick."""
    part = slice(int(network.start[neuron]), int(network.start[neuron + 1]))
    values = {name: int(column[neuron]) for name, column in network.neuron.items()}
    at_rest = all(values[name] == 0 for name in ("leak", "reset", "reset_mode", "initial", "threshold_mask_bits"))
    sure = not network.stochastic[part].any() and 0 < values["threshold"] <= int(network.weight[part].min())
    return at_rest and sure
