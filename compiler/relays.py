"""Relays: trees of rows that bring a neuron's spikes to more axons than it has targets, and the cores that hold them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from neurocore._graph import house_rows
from neurocore.architecture import Architecture

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Delivery:
    """Something that a neuron must reach: an axon of a core ``after`` ticks, or an output line (core -1) likewise."""

    core: int
    axon: int
    after: int


@dataclass
class Row:
    """A relay row: an axon and, for each of its neurons, a target and a delay.

    A row with a core hangs on an axon that the core has anyway: its relays read it beside the neurons that it is for.
    """

    source: int
    home: int
    targets: list[tuple[Any, int]] = field(default_factory=list)
    core: int = -1
    axon: int = -1


OUTPUT_LINE = -1
"""As a leg's core: the leg ends on an output line."""
TO_ROW = -2
"""As a leg's core: the leg ends on the relay row that stands in place of the axon."""


@dataclass(frozen=True)
class Legs:
    """Targets of the chip's neurons, one each: a core, its axon and the delay; or an output line; or a relay row."""

    core: Array
    axon: Array
    delay: Array

    @staticmethod
    def join(parts: Sequence[Legs]) -> Legs:
        """Legs of all parts, one after the other."""
        return Legs(*(np.concatenate([getattr(part, name) for part in parts]) for name in ("core", "axon", "delay")))

    def take(self, place: Array) -> Legs:
        """Some of the legs."""
        return Legs(self.core[place], self.axon[place], self.delay[place])

    def __len__(self) -> int:
        return len(self.core)


@dataclass(frozen=True)
class RelayRows:
    """Relay rows with their homes: row k feeds the relays whose legs are ``start[k]`` to ``start[k + 1]``."""

    source: Array
    core: Array
    axon: Array
    start: Array
    legs: Legs

    def __len__(self) -> int:
        return len(self.source)

    def of_leg(self) -> Array:
        """Row of every leg."""
        return np.repeat(np.arange(len(self)), np.diff(self.start))

    def shown(self, leg: tuple[int, int, int]) -> str:
        """A leg (core, axon, delay) as dumps show it."""
        core, axon, delay = leg
        if core == TO_ROW:
            return f"relay {self.core[axon]}.{self.axon[axon]}+{delay}"
        return f"output {axon}" if core == OUTPUT_LINE else f"{core}.{axon}+{delay}"


@dataclass(frozen=True)
class Exits:
    """Legs of the network's neurons, sorted by neuron: the first is its own, the others are those of its copies."""

    neuron: Array
    legs: Legs

    @property
    def is_copy(self) -> npt.NDArray[np.bool_]:
        """Which legs are those of copies."""
        copy = np.zeros(len(self.neuron), bool)
        copy[1:] = self.neuron[1:] == self.neuron[:-1]
        return copy


@dataclass(frozen=True)
class Deliveries:
    """What neurons must reach, sorted by (neuron, after, core, axon)."""

    neuron: Array
    core: Array
    axon: Array
    after: Array

    def items(self, chosen: npt.NDArray[np.bool_]) -> Iterator[tuple[int, list[Delivery]]]:
        """The deliveries of every chosen [N] neuron, nearest first."""
        mine = np.flatnonzero(chosen[self.neuron])
        columns = (self.core[mine].tolist(), self.axon[mine].tolist(), self.after[mine].tolist())
        items = [Delivery(*row) for row in zip(*columns, strict=True)]
        neurons, first = np.unique(self.neuron[mine], return_index=True)
        bounds = [*first.tolist(), len(items)]
        for k, neuron in enumerate(neurons.tolist()):
            yield neuron, items[bounds[k] : bounds[k + 1]]


def tree_levels(count: Array, width: int) -> Array:
    """Relay levels [n] that a fan-out to ``count`` [n] targets takes, if a row has at most ``width`` neurons: at least 1."""
    levels, reach = np.ones(len(count), np.int64), width
    while (reach < count).any():
        levels += reach < count
        reach *= width
    return levels


def in_time(items: list[Delivery], spent: int, width: int) -> bool:
    """Whether a tree of relays reaches all items from a single neuron, ``spent`` ticks being used up."""
    if len(items) <= width:
        return True
    left = min(item.after - spent - (item.core >= 0) for item in items)
    return left >= int(tree_levels(np.array([len(items)]), width)[0])


class Planner:
    """Turns the deliveries of a neuron into direct targets and relay rows."""

    def __init__(self, arch: Architecture) -> None:
        self.longest, self.width = arch.routing.delay.max, arch.core.neurons
        self.rows: list[Row] = []

    def is_near(self, item: Delivery, spent: int = 0) -> bool:
        """Whether one leg reaches the target, ``spent`` ticks being used up."""
        return item.after == spent if item.core < 0 else item.after - spent <= self.longest

    def copies(self, source: int, home: int, items: list[Delivery]) -> list[tuple[Delivery | Row, int]]:
        """One exit per near target, and one for all far ones."""
        exits: list[tuple[Delivery | Row, int]] = [(item, item.after) for item in items if self.is_near(item)]
        far = [item for item in items if not self.is_near(item)]
        return exits + ([self.plan(source, home, far)] if far else [])

    def tap(self, source: int, lead: Delivery, items: list[Delivery]) -> tuple[Delivery | Row, int]:
        """The exit to ``lead``, whose axon also feeds relays to all the other items."""
        row = Row(source, lead.core, core=lead.core, axon=lead.axon)
        self.rows.append(row)
        others = [item for item in items if item != lead]
        row.targets = [self.plan(source, lead.core, [item], lead.after) for item in others]
        return lead, lead.after

    def plan(self, source: int, home: int, items: list[Delivery], spent: int = 0) -> tuple[Delivery | Row, int]:
        """The single exit from which all the items are reached, ``spent`` ticks being used up."""
        chain: list[tuple[Row, int]] = []
        end: tuple[Delivery | Row, int] | None = None
        while items:
            if len(items) == 1 and self.is_near(items[0], spent):
                end = items[0], items[0].after - spent
                break
            row = Row(source, home)
            self.rows.append(row)
            leg, groups, items = self.divide(items, spent)
            spent += leg
            row.targets = [self.plan(source, home, group, spent) for group in groups]
            chain.append((row, leg))
        for row, leg in reversed(chain):
            if end is not None:
                row.targets.append(end)
            end = row, leg
        assert end is not None, "something must be reached"
        return end

    def divide(self, items: list[Delivery], spent: int) -> tuple[int, list[list[Delivery]], list[Delivery]]:
        """The way to the next relay row, in ticks, the groups that its relays serve, and what hangs on one further relay."""
        leg = min(self.longest, *(item.after - spent - (item.core >= 0) for item in items))
        far = [item for item in items if not self.is_near(item, spent + leg)]
        if len(items) - len(far) + bool(far) > self.width or not in_time(far, spent + leg, self.width):
            leg, far = 1, []
            size = -(-len(items) // self.width)
            groups = [items[k : k + size] for k in range(0, len(items), size)]
        else:
            groups = [[item] for item in items if self.is_near(item, spent + leg)]
        assert leg >= 1, "the shifts leave time for the relays"
        return leg, groups, far


def plan_exits(
    reach: Deliveries, copied: npt.NDArray[np.bool_], leads: dict[int, Delivery], core_of: Array, arch: Architecture
) -> tuple[Exits, UnhousedRows]:
    """The exits of all neurons and the relay rows that they need; ``copied`` [N] and ``core_of`` [N] are per neuron.

    Neurons with targets in reach of one leg, and those whose relays fit one row, are planned all at once.
    """
    planner = Planner(arch)
    n = len(copied)
    count = np.bincount(reach.neuron, minlength=n)
    inner = reach.core != OUTPUT_LINE
    near = np.where(inner, reach.after <= planner.longest, reach.after == 0)
    all_near = np.bincount(reach.neuron[~near], minlength=n) == 0
    tapping = np.zeros(n, bool)
    tapping[list(leads)] = True
    direct = all_near & (copied | (count == 1)) & ~tapping
    leg = np.full(n, planner.longest)
    np.minimum.at(leg, reach.neuron, reach.after - inner)
    left = reach.after - leg[reach.neuron]
    late = np.where(inner, left > planner.longest, left != 0)
    flat = (np.bincount(reach.neuron[late], minlength=n) == 0) & (leg >= 1)
    flat &= ~copied & (count > 1) & (count <= planner.width) & ~tapping
    at_once, in_row = direct[reach.neuron], flat[reach.neuron]
    flat_neurons = np.flatnonzero(flat)
    rows = UnhousedRows(
        flat_neurons,
        core_of[flat_neurons],
        np.full(len(flat_neurons), -1),
        np.full(len(flat_neurons), -1),
        np.concatenate([[0], np.cumsum(count[flat_neurons])]).astype(np.int64),
        Legs(reach.core[in_row], reach.axon[in_row], left[in_row]),
    )
    singly = _singly(planner, reach, (count > 0) & ~direct & ~flat, copied, leads, core_of, len(rows.source))
    neuron = np.concatenate([reach.neuron[at_once], flat_neurons, singly[0]])
    legs = Legs.join(
        [
            Legs(reach.core[at_once], reach.axon[at_once], reach.after[at_once]),
            Legs(np.full(len(flat_neurons), TO_ROW), np.arange(len(flat_neurons)), leg[flat_neurons]),
            singly[1],
        ]
    )
    rows, number = UnhousedRows.join(rows, singly[2]).by_source()
    order = np.argsort(neuron, kind="stable")
    return Exits(neuron[order], _renumbered(legs.take(order), number)), rows


def _singly(
    planner: Planner,
    reach: Deliveries,
    chosen: npt.NDArray[np.bool_],
    copied: npt.NDArray[np.bool_],
    leads: dict[int, Delivery],
    core_of: Array,
    first_row: int,
) -> tuple[Array, Legs, UnhousedRows]:
    """Neurons with chains, trees or taps: neuron and leg of every exit, and the rows, numbered from ``first_row``."""
    neurons: list[int] = []
    exits: list[tuple[Delivery | Row, int]] = []
    for neuron, items in reach.items(chosen):
        home = int(core_of[neuron])
        if copied[neuron]:
            mine = planner.copies(neuron, home, items)
        elif neuron in leads:
            mine = [planner.tap(neuron, leads[neuron], items)]
        else:
            mine = [planner.plan(neuron, home, items)]
        exits += mine
        neurons += [neuron] * len(mine)
    number = {id(row): first_row + k for k, row in enumerate(planner.rows)}

    def legs(targets: list[tuple[Delivery | Row, int]]) -> Legs:
        table = [
            (TO_ROW, number[id(target)], delay) if isinstance(target, Row) else (target.core, target.axon, delay)
            for target, delay in targets
        ]
        return Legs(*np.array(table, np.int64).reshape(-1, 3).T)

    fields = np.array([(row.source, row.home, row.core, row.axon) for row in planner.rows], np.int64).reshape(-1, 4)
    start = np.concatenate([[0], np.cumsum([len(row.targets) for row in planner.rows])]).astype(np.int64)
    sources, homes, cores, axons = fields.T
    all_legs = legs([target for row in planner.rows for target in row.targets])
    rows = UnhousedRows(sources, homes, cores, axons, start, all_legs)
    return np.array(neurons, np.int64), legs(exits), rows


def _renumbered(legs: Legs, number: Array) -> Legs:
    """The legs with new numbers of the rows that some end on."""
    if not len(number):
        return legs
    to_row = legs.core == TO_ROW
    return Legs(legs.core, np.where(to_row, number[np.where(to_row, legs.axon, 0)], legs.axon), legs.delay)


@dataclass(frozen=True)
class UnhousedRows:
    """Relay rows whose core and axon are -1 unless they tap an axon that the core has anyway."""

    source: Array
    home: Array
    core: Array
    axon: Array
    start: Array
    legs: Legs

    @staticmethod
    def join(one: UnhousedRows, other: UnhousedRows) -> UnhousedRows:
        """The rows of both."""
        source, home, core, axon = (
            np.concatenate([getattr(one, name), getattr(other, name)]) for name in ("source", "home", "core", "axon")
        )
        start = np.concatenate([one.start, other.start[1:] + one.start[-1]])
        return UnhousedRows(source, home, core, axon, start, Legs.join([one.legs, other.legs]))

    def by_source(self) -> tuple[UnhousedRows, Array]:
        """The rows sorted by source, and the new number of each."""
        order = np.argsort(self.source, kind="stable")
        number = np.empty(len(order), np.int64)
        number[order] = np.arange(len(order))
        size = np.diff(self.start)[order]
        start = np.concatenate([[0], np.cumsum(size)]).astype(np.int64)
        place = np.arange(int(start[-1])) + np.repeat(self.start[:-1][order] - start[:-1], size)
        columns = (self.source[order], self.home[order], self.core[order], self.axon[order])
        return UnhousedRows(*columns, start, _renumbered(self.legs.take(place), number)), number

    def house(self, used: Array, axons: Array, arch: Architecture) -> tuple[RelayRows, int]:
        """Give every row a core: that of its source, that of a target, one with other relays, or a new one; largest first.

        ``used`` and ``axons`` are the neurons and axons taken per core. Returns the number of cores as well.
        """
        size = np.diff(self.start)
        tapped = self.core >= 0
        n_cores, free = len(used), np.zeros(int((~tapped).sum()), np.int64)
        used, axons = np.concatenate([used, free]), np.concatenate([axons, free])
        np.add.at(used, self.core[tapped], size[tapped])
        order = np.lexsort((-size, tapped))[: len(free)]
        core, axon = self.core.copy(), self.axon.copy()
        limits = (arch.core.neurons, arch.core.axons)
        n_cores = house_rows(self.start, self.legs.core, self.home, order, used, axons, n_cores, *limits, core, axon)
        return RelayRows(self.source, core, axon, self.start, self.legs), n_cores
