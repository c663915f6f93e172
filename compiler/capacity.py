"""More cores than a chip has: what takes them, for those who must do with fewer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from neurocore.architecture import Architecture
from neurocore.compiler.check import IntegerNetwork
from neurocore.compiler.partition import Partition
from neurocore.compiler.routing import Routing
from neurocore.errors import FitError
from neurocore.wording import counted

Array = npt.NDArray[Any]

LIMITS = ("axon", "neuron", "fan-out")
"""What a core is full of: axons, the network's own neurons, or copies and relays of these."""
MOST_NAMED = 3
MOST_COUNTED = 1_000_000
"""Neurons and synapses up to which cores are counted exactly, relays too, when it is clear already that there are too many."""
FULL = 0.95
"""From this fill on what limits a core counts as full."""
WAYS_OUT = "Use fewer neurons, smaller receptive fields or a larger chip"


@dataclass(frozen=True)
class Share:
    """What a population takes: cores, what most of them are full of, and the part (0..1) of their neurons that is not used."""

    name: str
    cores: int
    limit: str
    unused: float

    def __str__(self) -> str:
        return f"{self.name!r}, {counted(self.cores, 'core')} ({self.limit}-limited, {100 * self.unused:.0f} % of neurons unused)"


def largest(shares: Sequence[Share]) -> str:
    """The shares of the most cores, as part of a sentence."""
    order = sorted(shares, key=lambda share: -share.cores)
    left = len(order) - MOST_NAMED
    rest = [counted(left, "more population")] if left > 0 else []
    return "; ".join([*map(str, order[:MOST_NAMED]), *rest])


def excess(network: IntegerNetwork, routing: Routing, arch: Architecture, n_sites: int, which: str = "") -> str:
    """The E-CAP sentence about a network for which the chip has only so many sites, ``which`` are said to be such."""
    relays = routing.n_cores - len(routing.cores)
    alone = f"; relays alone, {relays:,}" if relays else ""
    core, size = _cores([item.members for item in routing.cores], network)
    named = largest(_shares(network, core, *_fill(routing, core, size, arch), arch))
    return (
        f"E-CAP network {network.name!r} needs {routing.n_cores:,} cores; {arch.name!r} has {n_sites:,}{which}"
        f" ({routing.n_cores - n_sites:,} over). Largest: {named}{alone}. {WAYS_OUT}"
    )


def check_neurons(network: IntegerNetwork, arch: Architecture) -> None:
    """Raise FitError E-CAP if a large network's neurons alone are too many."""
    room = arch.core.neurons
    n_cores = -(-network.n_neurons // room)
    if n_cores > arch.n_cores and _is_large(network):
        shares = []
        for group in network.populations:
            cores = -(-group.size // room)
            shares.append(Share(group.name, cores, "neuron", 1 - group.size / (cores * room)))
        raise FitError(_at_least(network, arch, n_cores, f"for {network.n_neurons:,} neurons", shares))


def check_partition(network: IntegerNetwork, parts: Partition, arch: Architecture) -> None:
    """Raise FitError E-CAP if a large network takes too many cores before relays are counted."""
    if parts.n_cores > arch.n_cores and _is_large(network):
        core, size = _cores(parts.members, network)
        limit = np.where(size >= FULL * arch.core.neurons, LIMITS.index("neuron"), LIMITS.index("axon"))
        shares = _shares(network, core, limit, size, arch)
        raise FitError(_at_least(network, arch, parts.n_cores, "beside those of relays", shares))


def _is_large(network: IntegerNetwork) -> bool:
    return network.n_neurons + network.n_synapses > MOST_COUNTED


def _at_least(network: IntegerNetwork, arch: Architecture, n_cores: int, what: str, shares: Sequence[Share]) -> str:
    return (
        f"E-CAP network {network.name!r} needs at least {n_cores:,} cores {what}; {arch.name!r} has {arch.n_cores:,}"
        f" ({n_cores - arch.n_cores:,} over). Largest: {largest(shares)}. {WAYS_OUT}"
    )


def _cores(members: Sequence[Array], network: IntegerNetwork) -> tuple[Array, Array]:
    """Core [N] of every neuron, and how many neurons each has."""
    size = np.array([len(core) for core in members], np.int64)
    of_neuron = np.zeros(network.n_neurons, np.int64)
    of_neuron[np.concatenate(members)] = np.repeat(np.arange(len(size)), size)
    return of_neuron, size


def _shares(network: IntegerNetwork, of_neuron: Array, limit: Array, used: Array, arch: Architecture) -> list[Share]:
    """What every population takes; cores that several share count for each of them."""
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
