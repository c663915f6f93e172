"""Other groups for a population whose own order wastes cores: those of its wiring, in an order of ties or annealed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from neurocore._graph import distinct
from neurocore.compiler.cutter import SPAN, Cutter, Run
from neurocore.compiler.groups import (
    GLANCE_SHARED,
    MOST_COUNTS,
    MOST_SHARED,
    WORTHWHILE,
    by_ties,
    find_groups,
    polished,
)
from neurocore.compiler.nets import Cut, Nets, cut_with_room, cut_without_room, judge
from neurocore.compiler.tiles import tile_shapes

Array = npt.NDArray[Any]

WASTE = 1.1
"""Cores of a population, relative to the least that its neurons and signals need, beyond which other groups are sought."""
MOST_REGROUPED = 20_000_000
"""Synapses of a population up to which they are."""


def alternatives(
    cutter: Cutter,
    number: int,
    natural: Sequence[Run],
    most: int,
    cut: Callable[[Sequence[Array]], list[Run]],
    *,
    derived: bool,
) -> Iterator[tuple[list[Array], int]]:
    """Groups of a population's neurons that seem to need fewer cores than its runs ``natural``, the best first.

    Each with the cores that it must take fewer than; ``cut`` makes runs of groups that may not fit a core. The runs of a
    ``derived`` order cost more where they have no room for copies, those of the order that the network was given do not.
    """
    begin = int(cutter.network.offsets()[number])
    if not _may_waste(cutter, number, natural, most):
        return
    nets = _nets(cutter, number, natural, most)
    least = max(-(-nets.n // most), -(-len(nets.driver) // int(nets.limits[1])))
    order = cutter.orders.get(number)
    if len(natural) <= WASTE * least or (order is None and len(natural) * len(nets.driver) > MOST_COUNTS):
        return
    if order is None:
        order = cutter.orders[number] = by_ties(nets, GLANCE_SHARED if cutter.quick else MOST_SHARED)
    cost = judge(nets, _core_of(natural, begin, nets.n)).cost if derived else len(natural)
    enough = (WORTHWHILE if cutter.quick else 1) * cost
    tight = cut_without_room(nets, order)
    ordered = cut_with_room(nets, tight, order)
    coded = int(nets.limits[1]) < cutter.arch.core.axons
    if coded and tight.n_cores < enough:
        # What a core can hold is a guess: runs as long as their codes allow may be fewer.
        ways = [[begin + order]] if cutter.quick else [[begin + order], _groups(ordered.core, begin)]
        judged = [judge(nets, _core_of(cut(groups), begin, nets.n)) for groups in ways]
        ordered = min(judged, key=lambda way: way.cost)
    is_better = ordered.cost < enough
    settled = min(cost, ordered.cost) <= WASTE * least or (cutter.quick and not is_better)
    bound = ordered.cost if is_better else cost
    annealed = None if settled else find_groups(nets, bound, order, quick=cutter.quick)
    if annealed is not None:
        yield _groups(annealed, begin), bound
    if is_better:
        if annealed is None and tight.n_over and not coded:
            ordered = _polished(nets, tight, ordered)
        yield _groups(ordered.core, begin), cost


def _polished(nets: Nets, tight: Cut, ordered: Cut) -> Cut:
    """A cut with room by way of one without, or that which is known if it is better."""
    order = polished(nets, tight.core)
    if order is None:
        return ordered
    return min(cut_with_room(nets, cut_without_room(nets, order), order), ordered, key=lambda cut: cut.cost)


def _may_waste(cutter: Cutter, number: int, natural: Sequence[Run], most: int) -> bool:
    """Whether groups are worth looking for, as far as sizes and shapes tell."""
    network = cutter.network
    first, last = network.start[network.offsets()[number : number + 2]].tolist()
    # Room that was made for copies is worth more than groups; an estimate does not look whether both can be had.
    short = cutter.quick and most < cutter.arch.core.neurons
    if len(natural) < 3 or short or not 0 < last - first <= MOST_REGROUPED:
        return False
    return not tile_shapes(network.populations[number].shape, most)


def _nets(cutter: Cutter, number: int, natural: Sequence[Run], most: int) -> Nets:
    """The signals that the neurons of a population read; what a core can hold is judged by its runs ``natural``."""
    network, core = cutter.network, cutter.arch.core
    begin, end = (int(edge) for edge in network.offsets()[number : number + 2])
    first, last = int(network.start[begin]), int(network.start[end])
    signals, signal = distinct(cutter.signals_of(np.arange(first, last)))
    source = signals // SPAN - network.n_inputs
    exits = np.bincount(network.output_neuron, minlength=network.n_neurons)[begin:end]
    exits = exits + np.bincount(cutter.outer_reads(number) - begin, minlength=end - begin)
    # Codes that take several axons a signal leave room for fewer signals.
    taken = len(cutter.reads([run.members for run in natural])[0])
    per_signal = max(sum(run.n_axons for run in natural) / max(taken, 1), 1.0)
    copyable = not cutter.random[begin:end].any()
    limits = (most, max(int(core.axons / per_signal), 1), core.neurons if copyable else np.iinfo(np.int32).max)
    return Nets(
        np.asarray(network.start[begin : end + 1] - first),
        signal.astype(np.int32),
        np.where((source >= begin) & (source < end), source - begin, -1).astype(np.int32),
        exits.astype(np.int64),
        np.array(limits, np.int64),
    )


def _core_of(runs: Sequence[Run], begin: int, n: int) -> Array:
    """Run [n] of the neurons from ``begin`` on."""
    core = np.empty(n, np.int64)
    for number, run in enumerate(runs):
        core[run.members - begin] = number
    return core


def _groups(core: Array, begin: int) -> list[Array]:
    """The neurons of every core, from ``core`` [n] of the neurons from ``begin`` on."""
    order = np.argsort(core, kind="stable")
    return np.split(begin + order, np.flatnonzero(np.diff(core[order])) + 1)
