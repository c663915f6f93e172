"""Relays on the way: where a packet cannot travel as far as its core lies, or would meet a dead link.

Such a leg is cut in two or more by relays in cores that lie well: a *station* is one axon and one neuron. Every cut takes a
tick of the leg's delay; where the delay is too short, the caller routes again with more time for that neuron.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from neurocore.architecture import Architecture
from neurocore.compiler.defects import SIDES, Defects
from neurocore.compiler.relays import OUTPUT_LINE, TO_ROW, Legs, RelayRows
from neurocore.compiler.routing import Routing

Array = npt.NDArray[Any]
Flags = npt.NDArray[np.bool_]

NEAR = 8
"""Free sites are looked at up to so far from the cores that are in use; all of them only if those are not enough."""
NEW_CORE_HOPS = 8
"""Hops that a station may cost more in a core that is in use anyway than in one of its own."""


class NoWayError(Exception):
    """A leg for which no core lies so that it could relay; the sites that it leads from and to."""

    def __init__(self, source: tuple[int, int], target: tuple[int, int]) -> None:
        super().__init__(source, target)
        self.source, self.target = source, target


class Ways:
    """Which sites a packet reaches from another: no farther than it travels, x first, over no dead link."""

    def __init__(self, arch: Architecture, defects: Defects) -> None:
        self.reach = arch.routing.reach
        columns, rows = arch.columns, arch.rows
        dead = np.zeros((4, rows, columns), np.int64)
        dead[defects.links[:, 2], defects.links[:, 1], defects.links[:, 0]] = 1
        padded = np.pad(dead, ((0, 0), (1, 0), (1, 0)))
        # Dead links before every column of a row, and before every row of a column.
        self.along_row, self.along_column = padded[:, 1:].cumsum(2), padded[:, :, 1:].cumsum(1)
        self.broken = bool(dead.any())
        x, y = self.reach.dx, self.reach.dy
        far = max(columns - 1 - min(x.max, -x.min), rows - 1 - min(y.max, -y.min))
        self.limited = self.broken or far > 0

    def span(self, arch: Architecture) -> tuple[int, int]:
        """Columns and rows within which every packet reaches every core, dead links apart."""
        x, y = self.reach.dx, self.reach.dy
        return min(arch.columns, min(x.max, -x.min) + 1), min(arch.rows, min(y.max, -y.min) + 1)

    def clear(self, x0: Array, y0: Array, x1: Array, y1: Array) -> Flags:
        """Whether packets from (x0, y0) arrive at (x1, y1); arrays that broadcast."""
        dx, dy = x1 - x0, y1 - y0
        found = (dx >= self.reach.dx.min) & (dx <= self.reach.dx.max)
        found &= (dy >= self.reach.dy.min) & (dy <= self.reach.dy.max)
        if self.broken:
            east, west = self.along_row[SIDES.index("east")], self.along_row[SIDES.index("west")]
            north, south = self.along_column[SIDES.index("north")], self.along_column[SIDES.index("south")]
            met = np.where(dx >= 0, east[y0, x1] - east[y0, x0], west[y0, x0 + 1] - west[y0, x1 + 1])
            met = met + np.where(dy >= 0, north[y1, x1] - north[y0, x1], south[y0 + 1, x1] - south[y1 + 1, x1])
            found &= met == 0
        return np.asarray(found, bool)


@dataclass(frozen=True)
class Room:
    """Where stations may go: free sites [rows, columns], axons that work there, and sites whose row lets outputs out."""

    free: Flags
    axons: Array
    io: Flags


@dataclass(frozen=True)
class Detour:
    """The routing with its stations and the sites of all cores; or, if ``missing`` [N] is not 0, ticks that neurons need more."""

    routing: Routing
    x: Array
    y: Array
    n_stations: int
    missing: Array


def detour(routing: Routing, x: Array, y: Array, ways: Ways, room: Room, arch: Architecture) -> Detour:
    """Put stations on all legs that need them. Raises NoWayError where no core can hold one."""
    try:
        return _Detours(routing, x, y, ways, replace(room, free=_near(room.free, x, y)), arch).run()
    except NoWayError:
        return _Detours(routing, x, y, ways, room, arch).run()


def _near(free: Flags, x: Array, y: Array) -> Flags:
    """The free sites [rows, columns] within and closely around the box of the cores in use."""
    near = np.zeros_like(free)
    if len(x):
        box = (slice(max(int(at.min()) - NEAR, 0), int(at.max()) + NEAR + 1) for at in (y, x))
        near[tuple(box)] = True
    return free & near


class _Detours:
    """Legs are those of the exits and then those of the relay rows."""

    def __init__(self, routing: Routing, x: Array, y: Array, ways: Ways, room: Room, arch: Architecture) -> None:
        self.routing, self.ways, self.longest = routing, ways, arch.routing.delay.max
        self.exits, self.rows = routing.exits, routing.rows
        self.core_of = np.zeros(len(routing.shift), np.int64)
        for core, item in enumerate(routing.cores):
            self.core_of[item.members] = core
        self.legs = Legs.join([self.exits.legs, self.rows.legs])
        self.n_exits, of_leg = len(self.exits.neuron), self.rows.of_leg()
        # The row that a leg starts from; -1 for exits.
        self.row = np.concatenate([np.full(self.n_exits, -1), of_leg])
        self.neuron = np.concatenate([self.exits.neuron, self.rows.source[of_leg]])
        self.to_row = self.legs.core == TO_ROW
        self.next = np.where(self.to_row, self.legs.axon, 0)
        self.sites = _Sites(routing, self.core_of, x, y, room, arch)

    def run(self) -> Detour:
        legs, rows = self.legs, self.rows
        begin = np.concatenate([self.core_of[self.exits.neuron], rows.core[self.row[self.n_exits :]]])
        end = np.where(self.to_row, np.append(rows.core, 0)[self.next], legs.core)
        x, y = self.sites.x, self.sites.y
        inner = np.flatnonzero(end >= 0)
        clear = self.ways.clear(x[begin[inner]], y[begin[inner]], x[end[inner]], y[end[inner]])
        paths = {leg: self.sites.path(int(begin[leg]), int(end[leg]), self.ways) for leg in inner[~clear].tolist()}
        stops = np.zeros(len(legs), np.int64)
        stops[list(paths)] = [len(path) for path in paths.values()]
        delay, missing = self.retime(stops)
        if missing.any():
            return Detour(self.routing, x, y, 0, missing)
        wanted = self.stations(delay, stops)
        for leg in np.flatnonzero(wanted > stops).tolist():
            path = paths.setdefault(leg, [])
            while len(path) < wanted[leg]:
                path.append(self.sites.pause(path[-1] if path else int(begin[leg]), int(end[leg]), self.ways))
        return Detour(self.cut(paths, delay), self.sites.x, self.sites.y, sum(map(len, paths.values())), missing)

    def stations(self, delay: Array, stops: Array) -> Array:
        """Stations of every leg: on the way, and for delays that one packet cannot have."""
        most = np.where(self.legs.core == OUTPUT_LINE, delay + self.longest, delay) - 1
        return np.asarray(np.maximum(stops, np.maximum(most, 0) // self.longest))

    def retime(self, stops: Array) -> tuple[Array, Array]:
        """Delay of every leg, with time for its stations, and ticks [N] that neurons miss for that.

        Relay rows fire as late as before, or earlier for stations after them, or later for stations before them. Where time is
        missing it is so on the last leg.
        """
        n_rows, start = len(self.rows), self.times()
        tapped = np.ones(n_rows, bool)
        tapped[self.next[self.to_row]] = False
        shortest = np.where(self.legs.core == OUTPUT_LINE, 0, 1 + stops)
        inside, to_row = self.row >= 0, self.to_row
        arrival = self.begun(start) + self.legs.delay

        def earlier(time: Array) -> Array:
            again = time.copy()
            np.minimum.at(again, self.row[inside], (self.ended(time, arrival) - shortest)[inside])
            return np.where(tapped, start, again)

        def later(time: Array) -> Array:
            again = time.copy()
            np.maximum.at(again, self.next[to_row], (self.begun(time) + shortest)[to_row])
            return again

        time = _settled(later, _settled(earlier, start))
        delay = self.ended(time, arrival) - self.begun(time)
        missing = np.zeros(len(self.core_of), np.int64)
        np.maximum.at(missing, self.neuron, shortest - delay)
        return delay, missing

    def begun(self, time: Array) -> Array:
        """When every leg begins, if rows fire at some ``time`` [rows]; a source does at 0."""
        return np.where(self.row >= 0, np.append(time, 0)[self.row], 0)

    def ended(self, time: Array, arrival: Array) -> Array:
        """When every leg ends: at ``arrival``, or as its row says."""
        return np.where(self.to_row, np.append(time, 0)[self.next], arrival)

    def times(self) -> Array:
        """Ticks [rows] from a source's spike to the activity of each of its rows."""
        n_rows = len(self.rows)
        time = np.full(n_rows, -1)
        axon = {(core, axon): delay for core, axon, delay in zip(*self.columns(slice(self.n_exits)), strict=True)}
        fed = np.zeros(n_rows, bool)
        fed[self.next[self.to_row]] = True
        for row in np.flatnonzero(~fed).tolist():
            time[row] = axon[int(self.rows.core[row]), int(self.rows.axon[row])]
        while (time < 0).any():
            begun = self.begun(time)
            known = self.to_row & (begun >= 0)
            time[self.next[known]] = (begun + self.legs.delay)[known]
        return time

    def columns(self, part: slice) -> list[list[int]]:
        """Core, axon and delay of some legs."""
        return [getattr(self.legs, name)[part].tolist() for name in ("core", "axon", "delay")]

    def cut(self, paths: dict[int, list[int]], delay: Array) -> Routing:
        """The routing with a relay row at every stop of every path."""
        legs, rows, n = Legs(self.legs.core.copy(), self.legs.axon.copy(), delay), self.rows, len(self.rows)
        added: list[tuple[int, int, int]] = []
        onward: list[tuple[int, int, int]] = []
        for leg, path in paths.items():
            if not path:
                continue
            after = _shares(int(delay[leg]), len(path), self.longest, ends=bool(legs.core[leg] == OUTPUT_LINE))
            last = int(legs.core[leg]), int(legs.axon[leg])
            for number, core in enumerate(path):
                to = last if number == len(path) - 1 else (TO_ROW, n + len(added) + 1)
                added.append((int(self.neuron[leg]), core, self.sites.take_axon(core)))
                onward.append((*to, after[number + 1]))
            legs.core[leg], legs.axon[leg], legs.delay[leg] = TO_ROW, n + len(added) - len(path), after[0]
        columns = np.array(added, np.int64).reshape(-1, 3).T
        fields = zip((rows.source, rows.core, rows.axon), columns, strict=True)
        sources, cores, axons = (np.concatenate([mine, new]) for mine, new in fields)
        start = np.concatenate([rows.start, rows.start[-1] + 1 + np.arange(len(added))])
        after_rows = Legs.join(
            [legs.take(np.arange(self.n_exits, len(legs))), Legs(*np.array(onward, np.int64).reshape(-1, 3).T)]
        )
        return replace(
            self.routing,
            exits=replace(self.exits, legs=legs.take(np.arange(self.n_exits))),
            rows=RelayRows(sources, cores, axons, start, after_rows),
            n_cores=len(self.sites.x),
        )


def _settled(step: Callable[[Array], Array], time: Array) -> Array:
    """Times when a step changes them no more."""
    while not ((again := step(time)) == time).all():
        time = again
    return time


def _shares(delay: int, n_stops: int, longest: int, *, ends: bool) -> list[int]:
    """Ticks of each part of a leg: at least one each, the longest first; the last is 0 if it is an output (``ends``)."""
    n_parts = n_stops if ends else n_stops + 1
    parts: list[int] = []
    for left in reversed(range(n_parts)):
        parts.append(min(longest, delay - sum(parts) - left))
    return parts + [0] * ends


class _Sites:
    """Cores and free sites that can hold stations, with the room that is left in them."""

    def __init__(self, routing: Routing, core_of: Array, x: Array, y: Array, room: Room, arch: Architecture) -> None:
        n = routing.n_cores
        self.x, self.y = np.array(x, np.int64), np.array(y, np.int64)
        neurons, self.axons = np.zeros(n, np.int64), np.zeros(n, np.int64)
        for core, item in enumerate(routing.cores):
            neurons[core], self.axons[core] = len(item.members), item.encoding.n_axons
        np.add.at(neurons, core_of[routing.exits.neuron[routing.exits.is_copy]], 1)
        np.add.at(neurons, routing.rows.core[routing.rows.of_leg()], 1)
        np.maximum.at(self.axons, routing.rows.core, routing.rows.axon + 1)
        free_y, free_x = (part.astype(np.int64) for part in np.nonzero(room.free))
        self.at_x, self.at_y = np.concatenate([self.x, free_x]), np.concatenate([self.y, free_y])
        self.core = np.concatenate([np.arange(n), np.full(len(free_x), -1)])
        left = np.minimum(arch.core.neurons - neurons, room.axons[self.y, self.x] - self.axons)
        self.left = np.concatenate([left, np.minimum(arch.core.neurons, room.axons[free_y, free_x])])
        self.io = room.io

    def path(self, begin: int, end: int, ways: Ways) -> list[int]:
        """Cores of the stations between two cores: one where it is cheapest, or several, each as near the end as can be."""
        start, goal = (self.x[begin], self.y[begin]), (self.x[end], self.y[end])
        into = (self.left > 0) & ways.clear(self.at_x, self.at_y, *goal)
        one = into & ways.clear(*start, self.at_x, self.at_y)
        if one.any():
            return [self.take(self.cheapest(one, start, goal))]
        return [self.take(place) for place in self.search(start, goal, into, ways)]

    def pause(self, begin: int, end: int, ways: Ways) -> int:
        """The core of a station on a leg that only needs more time, its end -1 for an output line."""
        start = goal = (self.x[begin], self.y[begin])
        fit = (self.left > 0) & ways.clear(*start, self.at_x, self.at_y)
        if end < 0:
            fit &= self.io[self.at_y, self.at_x]
        else:
            goal = (self.x[end], self.y[end])
            fit &= ways.clear(self.at_x, self.at_y, *goal)
        if not fit.any():
            raise NoWayError(_pair(start), _pair(goal))
        return self.take(self.cheapest(fit, start, goal))

    def cheapest(self, fit: Flags, start: tuple[Array, Array], goal: tuple[Array, Array]) -> int:
        place = np.flatnonzero(fit)
        hops = self.hops(place, start) + self.hops(place, goal) + NEW_CORE_HOPS * (self.core[place] < 0)
        return int(place[np.argmin(hops)])

    def hops(self, place: Array, site: tuple[Array, Array]) -> Array:
        """Hops between candidates and a site."""
        return np.asarray(np.abs(self.at_x[place] - site[0]) + np.abs(self.at_y[place] - site[1]))

    def search(self, start: tuple[Array, Array], goal: tuple[Array, Array], into: Flags, ways: Ways) -> list[int]:
        """Candidates that lead to one of those ``into`` the goal: best first by the hops that are left."""
        usable = self.left > 0
        via = np.full(len(usable), -2)
        heap: list[tuple[int, int]] = []

        def expand(site: tuple[Array, Array], previous: int) -> None:
            found = np.flatnonzero(usable & (via == -2) & ways.clear(*site, self.at_x, self.at_y))
            via[found] = previous
            for item in zip(self.hops(found, goal).tolist(), found.tolist(), strict=True):
                heapq.heappush(heap, item)

        expand(start, -1)
        while heap:
            place = heapq.heappop(heap)[1]
            if into[place]:
                path = [place]
                while via[path[0]] >= 0:
                    path.insert(0, int(via[path[0]]))
                return path
            expand((self.at_x[place], self.at_y[place]), place)
        raise NoWayError(_pair(start), _pair(goal))

    def take(self, place: int) -> int:
        """The core of a candidate, a new one if it was a free site; a neuron and an axon of it are spoken for."""
        self.left[place] -= 1
        if self.core[place] < 0:
            self.core[place] = len(self.x)
            self.x, self.y = np.append(self.x, self.at_x[place]), np.append(self.y, self.at_y[place])
            self.axons = np.append(self.axons, 0)
        return int(self.core[place])

    def take_axon(self, core: int) -> int:
        """The number of a core's next axon."""
        self.axons[core] += 1
        return int(self.axons[core]) - 1


def _pair(site: tuple[Array, Array]) -> tuple[int, int]:
    return int(site[0]), int(site[1])
