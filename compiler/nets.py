"""What neurons read, as nets: one for each signal. And cuts of an order of neurons into cores that have room for copies.

A core needs an axon for every net that any of its neurons reads, and the neuron that drives a net a target for every core that
reads it, which takes a copy beside it. How many copies a neuron needs is known only of a cut that is made, so that cuts are
made again with the needs of the one before.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse

from neurocore._graph import cut_order, distinct

Array = npt.NDArray[Any]

OVER_COST = 3
"""Cores that a core over its limits takes: when it is divided, what it reads needs more copies, for which others have no room."""
MAX_CUTS = 8
"""How often an order is cut again with the copies that the cut before asks for."""
INNER_PRICE, OUTER_PRICE = 4096, 16
"""What an axon costs that one of the neurons drives, and any other: the former takes a copy as well."""


@dataclass(frozen=True)
class Nets:
    """What n neurons read: nets ``net[start[v]:start[v + 1]]``, each one signal.

    ``driver`` [nets] is the one of the n neurons that drives a net, or -1; ``exits`` [n] the targets that a neuron needs beside
    the cores of these n. ``limits`` [3] bounds the neurons, the nets and the targets of a core.
    """

    start: npt.NDArray[np.int64]
    net: npt.NDArray[np.int32]
    driver: npt.NDArray[np.int32]
    exits: npt.NDArray[np.int64]
    limits: npt.NDArray[np.int64]

    @property
    def n(self) -> int:
        """Neurons."""
        return len(self.exits)

    @property
    def reads(self) -> Any:
        """The nets as a sparse matrix [neurons, nets] of ones."""
        return sparse.csr_array((np.ones(len(self.net), np.int32), self.net, self.start), (self.n, len(self.driver)))


@dataclass(frozen=True)
class Cut:
    """A core [n] for every neuron, and the targets [n] that each then needs, at least one."""

    core: npt.NDArray[np.int64]
    wanted: npt.NDArray[np.int64]
    n_cores: int
    n_over: int

    @property
    def cost(self) -> int:
        """Cores, and those that the ones without room for their neurons' copies will take."""
        return self.n_cores + OVER_COST * self.n_over


def judge(nets: Nets, core: Array) -> Cut:
    """A core [n] for every neuron as a :class:`Cut`. Cores with a single neuron are never over."""
    n_nets, n_cores = len(nets.driver), int(core.max(initial=-1)) + 1
    reader_core = np.repeat(core, np.diff(nets.start)).astype(np.int64)
    pair, _ = distinct(reader_core * n_nets + nets.net)
    driver = nets.driver[pair % n_nets]
    wanted = np.maximum(nets.exits + np.bincount(driver[driver >= 0], minlength=nets.n), 1)
    over = np.bincount(core, wanted, minlength=n_cores) > nets.limits[2]
    over &= np.bincount(core, minlength=n_cores) > 1
    return Cut(core.astype(np.int64), wanted, n_cores, int(over.sum()))


def cut_without_room(nets: Nets, *orders: Array) -> Cut:
    """The cheapest cut of orders of the neurons if copies took no room."""
    return judge(nets, _cut(nets, orders, np.ones(nets.n, np.int64)))


def cut_with_room(nets: Nets, first: Cut, *orders: Array) -> Cut:
    """The cheapest cut found of orders, ``first`` or after it; that its cores have room for all copies is likely, not sure."""
    cuts, wanted = [first], first.wanted
    while cuts[-1].n_over and len(cuts) < MAX_CUTS:
        cuts.append(judge(nets, _cut(nets, orders, wanted)))
        # Needs that only grow settle.
        wanted = np.maximum(wanted, cuts[-1].wanted)
    return min(cuts, key=lambda cut: cut.cost)


def _cut(nets: Nets, orders: Sequence[Array], wanted: Array) -> Array:
    """A core [n] for every neuron: runs of the orders, within the limits if their neurons have ``wanted`` [n] targets."""
    price = np.where(nets.driver >= 0, INNER_PRICE, OUTER_PRICE).astype(np.int64)
    # A core costs as much as all its axons.
    core_price = INNER_PRICE * int(nets.limits[1])
    core, n_cores = np.zeros(nets.n, np.int32), 0
    for order in orders:
        found = cut_order(nets.start, nets.net, order, wanted, price, nets.limits, core_price, core)
        core[order] += n_cores
        n_cores += found
    return core
