"""Groups of neurons for populations whose numbering says nothing of their wiring: neurons that read the same sources together.

A core needs an axon for every signal that any of its neurons reads, and a neuron a target for every core that reads it. Both
are counted by (signal, core) pairs, the connectivity of a hypergraph with one net per signal. Neurons are first clustered
bottom up by heavy-edge matching (as in multilevel partitioning, Karypis and Kumar 1998) on the sources that they share, where
weak ties wait for strong ones; the order of the clusters, cut evenly, is then annealed with neurons moving between cores. Whole
numbers and stable sorts only: every machine finds the same groups.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse

from neurocore._graph import match, regroup
from neurocore.compiler.nets import OVER_COST, Nets

Array = npt.NDArray[Any]

MOST_SHARED = 10_000_000
"""Pairs of readers that are counted at most."""
MOVES_PER_NEURON = 1000
MOST_READS = 300_000_000
"""Nets that all moves together look at."""
MOST_COUNTS = 200_000_000
"""Entries (cores times nets) of the annealer's table."""
GLANCE, GLANCE_SHARED = 15_000_000, 1_000_000
"""Nets looked at, and pairs of readers counted, to see at a glance whether there is anything to be found."""
TIES_TRIED, LEAST_SHARED = 500, 2.0
"""Pairs of neurons that are tied by a source, and how many sources they must share for groups to be worth looking for."""
LOYALTY = 0.25
"""Tie, relative to a cluster's strongest, below which it rather waits a level than pairs: dense groups stay free of others."""
FIRST_LOOK = 1 / 8
"""Share of the moves that are spent on finding how many cores to try."""
WORTHWHILE = 0.95
"""Cores after the first look, relative to those of the natural order, beyond which there is nothing to be found."""
QUICK_ROOM = 1.08
"""Cores of a quick search, relative to those that could hold what is needed: few moves do not fill them all."""
HOPELESS = 0.03
"""Excess after a full trial, relative to the axons of all cores, beyond which no more are made."""
POLISH = 20
"""Moves per neuron that even out the cores of groups."""
FILL = 0.985
"""How full of axons annealed cores can be."""
HEAT = (2.0, 0.3)
"""First and last temperature, in pairs."""
STEPS = 40
PENALTIES = ((0.8, 1), (1.0, 4))
"""What it costs, in pairs, to be one over a limit, up to which part of the steps."""
MAX_TRIALS = 4
SEED = 1


def find_groups(nets: Nets, n_cores: int, order: Array, *, quick: bool = False) -> Array | None:
    """A core [n] for every neuron, in fewer than ``n_cores`` cores if they can be found; None if they cannot.

    ``order`` is that of :func:`by_ties`, with which to begin. Cores may be over their limits in the end, by little. ``quick``
    tries one number of cores with few moves, and none if a glance shows nothing to be found.
    """
    if n_cores * len(nets.driver) > MOST_COUNTS or not len(nets.net) or len(nets.net) > MOST_READS:
        return None
    moves = min(MOVES_PER_NEURON, MOST_READS // len(nets.net)) * nets.n
    least = max(-(-nets.n // int(nets.limits[0])), 1)
    trial = _Annealer(nets, _evenly(order, max(least, n_cores * 3 // 4)))
    first_look = int(moves * FIRST_LOOK)
    trial.run(min(first_look, GLANCE // len(nets.net) * nets.n) if quick else first_look)
    best, best_cost, failed = None, n_cores, least - 1
    n_groups = max(trial.least_cores(), least)
    # Random wiring leaves many cores over their limits.
    if n_groups > WORTHWHILE * n_cores or (quick and trial.cores_over() > trial.n_cores // 4):
        return None
    if quick:
        moves, n_groups = first_look, math.ceil(QUICK_ROOM * n_groups)
    for _ in range(1 if quick else MAX_TRIALS):
        if not failed < n_groups < best_cost:
            break
        trial = _Annealer(nets, _evenly(order, n_groups))
        trial.run(moves)
        cost = n_groups + OVER_COST * trial.cores_over()
        hopeless = trial.excess() > HOPELESS * n_groups * int(nets.limits[1])
        if cost < best_cost and not (quick and hopeless):
            best, best_cost = trial.core.astype(np.int64), cost
        if hopeless:
            break
        if cost > n_groups:
            failed = n_groups
            n_groups = min(n_groups + max(1, n_groups // 50), best_cost - 1)
        else:
            n_groups = max(trial.least_cores(), (failed + n_groups + 1) // 2)
    return best


def _evenly(order: Array, n_cores: int) -> Array:
    """A core [n] for every neuron: an order cut evenly."""
    core = np.empty(len(order), np.int64)
    core[order] = np.arange(len(order)) * n_cores // len(order)
    return core


def polished(nets: Nets, core: Array) -> Array | None:
    """The neurons by core, few of them moved from a ``core`` [n] without room for its copies to another; None if too many.

    Cores of one group even out: who cuts the order anew finds more room in as many of them.
    """
    if (int(core.max()) + 1) * len(nets.driver) > MOST_COUNTS:
        return None
    trial = _Annealer(nets, core)
    trial.run(min(POLISH, MOST_READS // len(nets.net)) * nets.n)
    return np.argsort(trial.core, kind="stable")


def by_ties(nets: Nets, most_shared: int = MOST_SHARED) -> Array:
    """The neurons in an order in which those that share sources stand together; limits do not matter for it.

    About ``most_shared`` pairs of readers are counted.
    """
    return cluster(similarity(nets, most_shared))


def by_chains(start: Array, net: Array) -> Array | None:
    """As :func:`by_ties`, for populations too large to count pairs of readers: every source ties its readers into a chain.

    Neuron v reads the nets ``net[start[v]:start[v + 1]]``. Chains of all that it reads tie it to others of its group many times.
    None if neurons that are tied share little else, as with random wiring.
    """
    n = len(start) - 1
    one, next_one = _chains(start, net, 1)
    some = slice(None, None, len(one) // TIES_TRIED + 1)
    tried = list(zip(one[some].tolist(), next_one[some].tolist(), strict=True))
    read = {v: net[start[v] : start[v + 1]] for pair in tried for v in pair}
    if sum(int(np.isin(read[v], read[w]).sum()) for v, w in tried) < LEAST_SHARED * len(tried):
        return None
    ties = sparse.csr_array((np.ones(len(one)), (one, next_one)), (n, n))
    return cluster((ties + ties.T).tocsr())


def _chains(start: Array, net: Array, reach: int) -> tuple[Array, Array]:
    """Pairs of readers of a net, each with the next ``reach`` ones; those of all nets that have them."""
    order = np.argsort(net, kind="stable")
    reader, along = np.repeat(np.arange(len(start) - 1, dtype=np.int32), np.diff(start))[order], net[order]
    places = [(np.flatnonzero(along[step:] == along[:-step]), step) for step in range(1, min(reach, len(net) - 1) + 1)]
    none = [np.zeros(0, np.int32)]
    one = np.concatenate(none + [reader[place] for place, _ in places])
    return one, np.concatenate(none + [reader[place + step] for place, step in places])


def similarity(nets: Nets, most_shared: int) -> Any:
    """How many sources two neurons share, plus one if one of them drives the other; sparse [n, n], no diagonal.

    Where they are more than ``most_shared`` in all, only some of the readers of each source are counted as sharing it.
    """
    reads = nets.reads
    readers = np.bincount(nets.net, minlength=len(nets.driver)).astype(np.int64)
    inner = np.flatnonzero(nets.driver >= 0)
    column = sparse.csr_array((np.ones(len(inner), np.int32), (inner, nets.driver[inner])), (len(nets.driver), nets.n))
    driven = reads @ column
    if (readers**2).sum() <= most_shared:
        shared = reads @ reads.T
    else:
        one, other = _chains(nets.start, nets.net, max(most_shared // (2 * len(nets.net)), 1))
        ties = sparse.csr_array((np.ones(len(one), np.int32), (one, other)), (nets.n, nets.n))
        shared = ties + ties.T
    shared = (shared + driven + driven.T).tocoo()
    off = shared.coords[0] != shared.coords[1]
    return sparse.csr_array(
        (shared.data[off].astype(np.float64), (shared.coords[0][off], shared.coords[1][off])), shared.shape
    )


def cluster(links: Any) -> Array:
    """An order of all nodes in which nodes that are tied together stand together: pairs, pairs of pairs, and so on."""
    n = links.shape[0]
    random = np.random.default_rng(SEED)
    size = np.ones(n, np.int64)
    levels = []
    while links.shape[0] > 1:
        m = links.shape[0]
        order, partner = random.permutation(m), np.empty(m, np.int64)
        order = order[np.argsort(size[order], kind="stable")]
        index = (links.indptr.astype(np.int64), links.indices.astype(np.int32))
        if not match(*index, links.data, size, order, n, LOYALTY, partner):
            break
        _, label = np.unique(np.minimum(partner, np.arange(m)), return_inverse=True)
        levels.append(label)
        member = sparse.csr_array((np.ones(m), (np.arange(m), label)))
        links = (member.T @ links @ member).tocsr()
        size = np.bincount(label, size).astype(np.int64)
    rank = np.arange(links.shape[0])
    for label in reversed(levels):
        rank = np.argsort(np.argsort(rank[label], kind="stable"), kind="stable")
    return np.argsort(rank, kind="stable")


class _Annealer:
    """Neurons that are moved about between cores; ``core`` [n] is that of each to begin with."""

    def __init__(self, nets: Nets, core: Array) -> None:
        n_cores = int(core.max()) + 1
        self.nets, self.n_cores, self.core = nets, n_cores, core.astype(np.int32)
        neuron = np.repeat(np.arange(nets.n), np.diff(nets.start))
        self.reader = neuron[np.argsort(nets.net, kind="stable")].astype(np.int32)
        readers = np.bincount(nets.net, minlength=len(nets.driver))
        self.reader_start = np.concatenate([[0], np.cumsum(readers)]).astype(np.int64)
        self.count = np.zeros((n_cores, len(nets.driver)), np.uint16)
        np.add.at(self.count, (self.core[neuron], nets.net), 1)
        self.exits = nets.exits.copy()
        inner = nets.driver >= 0
        np.add.at(self.exits, nets.driver[inner], (self.count > 0).sum(axis=0)[inner])
        wanted = np.maximum(self.exits, 1)
        columns = (
            np.bincount(self.core, minlength=n_cores),
            (self.count > 0).sum(axis=1),
            np.bincount(self.core, wanted, minlength=n_cores),
        )
        self.load = np.ascontiguousarray(np.stack(columns, axis=1), np.int64)

    def run(self, moves: int) -> None:
        """Anneal with so many tried moves."""
        nets, table = self.nets, np.rint(-np.log((np.arange(4096) + 0.5) / 4096) * 1024).astype(np.int64)
        state = np.array([SEED], np.uint64)
        for step, heat in enumerate(np.rint(np.geomspace(*HEAT, STEPS) * 1024).astype(int).tolist()):
            penalty = next(cost for part, cost in PENALTIES if step < part * STEPS)
            fixed = (nets.start, nets.net, self.reader_start, self.reader, nets.driver)
            changed = (self.exits, self.core, self.count, self.load)
            regroup(*fixed, *changed, nets.limits, table, state, moves // STEPS, heat, penalty)

    def excess(self) -> int:
        """By how much the cores are over their limits, all in all."""
        return int(np.maximum(self.load - self.nets.limits, 0).sum())

    def cores_over(self) -> int:
        """Cores that are over a limit, each of which takes another core."""
        return int((self.load > self.nets.limits).any(axis=1).sum())

    def least_cores(self) -> int:
        """Cores that could hold what is needed now, were it spread evenly."""
        return int(np.ceil((self.load.sum(axis=0) / (self.nets.limits * FILL)).max()))
