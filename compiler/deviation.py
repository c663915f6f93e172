"""How far a network whose sums are carried over is from the one that it came from: both on the same random input."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from neurocore import draws
from neurocore.architecture import Architecture
from neurocore.compiler.check import IntegerNetwork
from neurocore.compiler.reference import Places, Reference

Array = npt.NDArray[Any]

TICKS = 300
"""Ticks of the input on which the difference is measured."""
SEED = 0
"""Seed of that input."""
DRAWING = 256
"""Neurons that draw their random numbers from one stream, where there is no chip yet that says so."""


@dataclass(frozen=True)
class Deviation:
    """What two networks do differently in ``ticks`` ticks.

    ``differing`` is the share of ticks in which only one of two neurons fires, over the neurons that are told sums;
    ``count_error`` the sum over them of the difference of spike counts, over the ``spikes`` of the network itself. ``output_``
    is the same over all output lines.
    """

    ticks: int
    spikes: int
    differing: float
    count_error: float
    output_differing: float
    output_count_error: float

    def as_dict(self) -> dict[str, Any]:
        """For ``compile --json``."""
        return {name: round(value, 6) if isinstance(value, float) else value for name, value in vars(self).items()}

    def __str__(self) -> str:
        return (
            f"in {self.ticks} ticks of random input at the network's rates (seed {SEED}) {self.differing:.2%} of their ticks"
            f" differ and their spike counts by {self.count_error:.2%} of {self.spikes:,} spikes; at the outputs"
            f" {self.output_differing:.2%} and {self.output_count_error:.2%}"
        )


def deviation(network: IntegerNetwork, carried: IntegerNetwork, arch: Architecture) -> Deviation:
    """Run both networks on input lines that spike at their expected rates; random neurons draw the same in both."""
    both = [recorded(item, arch, TICKS, SEED, network.n_inputs + network.n_neurons) for item in (network, carried)]
    fired = np.stack(both)[:, :, network.n_inputs :]
    reader = carried.target[carried.source >= carried.n_inputs + network.n_neurons]
    told = np.unique(reader[reader < network.n_neurons])
    outputs = _compared(fired[:, :, network.output_neuron])
    return Deviation(TICKS, int(fired[0][:, told].sum()), *_compared(fired[:, :, told]), *outputs)


def recorded(
    network: IntegerNetwork, arch: Architecture, ticks: int, seed: int, n_sources: int | None = None
) -> npt.NDArray[np.bool_]:
    """Which sources [ticks, sources] spike when input lines do so at their expected rates, at random; all, or the first ones."""
    rng, rate = np.random.default_rng(seed), network.rate[: network.n_inputs]
    simulator = Reference(network, arch, _places(network, arch, seed))
    n_sources = network.unions.first + len(network.unions) if n_sources is None else n_sources
    result = np.zeros((ticks, n_sources), bool)
    for now in range(ticks):
        lines = np.flatnonzero(rng.random(network.n_inputs) < rate)
        single = np.concatenate([lines, network.n_inputs + np.flatnonzero(simulator.tick(lines))])
        spiking = np.concatenate([single, network.unions.first + network.unions.active(single)])
        result[now, spiking[spiking < n_sources]] = True
    return result


def _compared(fired: npt.NDArray[np.bool_]) -> tuple[float, float]:
    """Share of differing ticks, and error of counts, of spikes [2, ticks, n]."""
    counts = fired.sum(axis=1).astype(np.int64)
    differing = float((fired[0] != fired[1]).mean()) if fired.size else 0.0
    return differing, float(np.abs(counts[0] - counts[1]).sum() / max(1, counts[0].sum()))


def _places(network: IntegerNetwork, arch: Architecture, seed: int) -> Places:
    """Where neurons draw random numbers: the same for networks that differ in lines, which draw none and come last."""
    neuron, n_random = np.arange(network.n_neurons), int(network.stochastic.sum())
    keys = draws.core_keys(seed, np.arange(len(neuron) // DRAWING + 1))
    axon = np.full(network.n_synapses, -1, np.int64)
    axon[network.stochastic] = np.arange(n_random) % arch.core.axons
    return Places(keys[neuron // DRAWING], neuron % DRAWING, np.zeros(len(neuron), np.int64), axon)
