"""More cores than a chip has: what takes them, for those who must do with fewer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from neurocore.architecture import Architecture
from neurocore.compiler.check import IntegerNetwork
from neurocore.compiler.route import Routing

Array = npt.NDArray[Any]

LIMITS = ("axon", "neuron", "fan-out")
"""What a core is full of: axons, the network's own neurons, or copies and relays of these."""
MOST_NAMED = 3
WAYS_OUT = "Use fewer neurons, smaller receptive fields or a larger chip"


@dataclass(frozen=True)
class Share:
    """What a population takes: cores, what most of them are full of, and the part (0..1) of their neurons that is not used."""

    name: str
    cores: int
    limit: str
    unused: float

    def __str__(self) -> str:
        cores = f"{self.cores:,} core{'s' * (self.cores != 1)}"
        return f"{self.name!r}, {cores} ({self.limit}-limited, {100 * self.unused:.0f} % of neurons unused)"


def largest(shares: Sequence[Share]) -> str:
    """The shares of the most cores, as part of a sentence."""
    order = sorted(shares, key=lambda share: -share.cores)
    left = len(order) - MOST_NAMED
    rest = [f"{left:,} more population{'s' * (left > 1)}"] if left > 0 else []
    return "; ".join([*map(str, order[:MOST_NAMED]), *rest])


def excess(network: IntegerNetwork, routing: Routing, arch: Architecture, n_sites: int, which: str = "") -> str:
    """The E-CAP sentence about a network for which the chip has only so many sites, ``which`` are said to be such."""
    relays = routing.n_cores - len(routing.cores)
    alone = f"; relays alone, {relays:,}" if relays else ""
    return (
        f"E-CAP network {network.name!r} needs {routing.n_cores:,} cores; {arch.name!r} has {n_sites:,}{which}"
        f" ({routing.n_cores - n_sites:,} over). Largest: {largest(shares(network, routing, arch))}{alone}. {WAYS_OUT}"
    )


def shares(network: IntegerNetwork, routing: Routing, arch: Architecture) -> list[Share]:
    """What every population takes; cores that several share count for each of them."""
    size = np.array([len(core.members) for core in routing.cores], np.int64)
    of_neuron = np.zeros(network.n_neurons, np.int64)
    of_neuron[np.concatenate([core.members for core in routing.cores])] = np.repeat(np.arange(len(size)), size)
    limit, used = _fill(routing, of_neuron, size, arch)
    n = len(network.populations)
    core, population = np.divmod(np.unique(of_neuron * n + network.population_of()), n)
    cores, total = np.bincount(population, minlength=n), np.bincount(population, used[core], n)
    by_limit = np.bincount(population * len(LIMITS) + limit[core], minlength=n * len(LIMITS)).reshape(n, -1)
    unused = 1 - total / np.maximum(cores * arch.core.neurons, 1)
    columns = zip(network.populations, cores.tolist(), by_limit.argmax(axis=1).tolist(), unused.tolist(), strict=True)
    return [Share(group.name, count, LIMITS[number], part) for group, count, number, part in columns]


def _fill(routing: Routing, of_neuron: Array, size: Array, arch: Architecture) -> tuple[Array, Array]:
    """What each core [n] is fullest of, a number of LIMITS, and its neurons in use, copies and relays included."""
    exits, rows, n = routing.exits, routing.rows, len(size)
    copies = np.bincount(of_neuron[exits.neuron[exits.is_copy]], minlength=n)
    relays = np.bincount(rows.core[rows.of_leg()], minlength=n)[:n]
    axons = np.array([core.encoding.n_axons for core in routing.cores], np.int64)
    axons += np.bincount(rows.core, minlength=n)[:n]
    used = size + copies + relays
    by_axons = axons * arch.core.neurons > used * arch.core.axons
    return np.where(by_axons, 0, np.where(copies + relays > size, 2, 1)), used
