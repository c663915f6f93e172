"""From a routed network to cores at their sites: as given or found, around what does not work, with relays on far ways."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse
from scipy.sparse.csgraph import maximum_bipartite_matching

from neurocore.architecture import Architecture
from neurocore.chipfile import load_chip
from neurocore.compiler.assemble import VirtualChip, build
from neurocore.compiler.capacity import excess
from neurocore.compiler.check import IntegerNetwork
from neurocore.compiler.defects import Defects, clear_window
from neurocore.compiler.detour import Detour, NoWayError, Room, Ways, detour
from neurocore.compiler.partition import Partition
from neurocore.compiler.place import CoreTraffic, Placement, Progress, measured, place
from neurocore.compiler.placefile import (
    SUFFIXES,
    GivenPlacement,
    contents,
    kept_pins,
    load_placement,
    placement_text,
)
from neurocore.compiler.retiming import TightCycleError, find_blocks, named_cycle
from neurocore.compiler.route import CoreOverflowError
from neurocore.compiler.routing import Routing
from neurocore.compiler.slack import NoTimeError
from neurocore.config import OUTPUT, ChipConfig
from neurocore.errors import FitError, InputError, UsageError
from neurocore.wording import counted, setting, shown

Array = npt.NDArray[Any]

MAX_ROUNDS = 12
"""How often the network is routed anew because relays on the way need more time."""

SPARED = (8, 4, 2)
"""If relays on the way find no room or no time, one site in so many by so many is kept free for them, ever more of them."""

Source = str | Path | ChipConfig
"""What a placement may be taken from: a placement file, a chip file, or a chip."""


@dataclass(frozen=True)
class Wishes:
    """What the user says about places: the placer's seed, a placement to take over, and what does not work."""

    seed: int = 0
    given: GivenPlacement | ChipConfig | None = None
    defects: Defects = field(default_factory=Defects)


def read_source(source: Source | None) -> GivenPlacement | ChipConfig | None:
    """The placement file or the chip that a path leads to."""
    if source is None or isinstance(source, ChipConfig):
        return source
    if not isinstance(source, str | os.PathLike):
        raise UsageError(f"placement is {shown(source)}; a placement file, a chip, or the file of one was expected")
    return load_placement(source) if str(source).lower().endswith(SUFFIXES) else load_chip(str(source))


@dataclass(frozen=True)
class Layout:
    """Cores at their places.

    ``n_stations`` counts relays on the way; cores beyond those of ``contents`` hold nothing else. ``kept`` is how many cores
    have the place that they were given, None if none was given. ``given(as_json)`` is the content of a placement file.
    """

    routing: Routing
    virtual: VirtualChip
    placement: Placement
    traffic: CoreTraffic
    contents: tuple[str, ...]
    n_stations: int
    kept: int | None
    given: Callable[[bool], str]


@dataclass(frozen=True)
class Task:
    """A routed network that is to be laid out; ``reroute`` gives its routing with so many more ticks [N] for neurons' ways."""

    network: IntegerNetwork
    arch: Architecture
    routing: Routing
    wishes: Wishes
    reroute: Callable[[Array], Routing]
    progress: Progress


def lay_out(task: Task) -> Layout:
    """Place a routed network, and put relays where a packet would have to go too far or over a dead link.

    Raises InputError for a given placement that does not suit, FitError E-CAP, E-DEFECT or E-REACH if the cores cannot be laid
    out: a NoTimeError if all that is in the way is a cycle with too little time.
    """
    defects = task.wishes.defects
    ways = Ways(task.arch, defects)
    failed: list[FitError] = []
    for spared in _tries(task.arch, task.routing.n_cores, defects):
        try:
            return _attempt(task, ways, spared)
        except FitError as error:
            failed.append(error)
        if not ways.limited:
            break
    tight = [error for error in failed if isinstance(error, NoTimeError)]
    raise _advised(task, min(tight, key=lambda error: error.missing) if tight else failed[0])


def _advised(task: Task, error: FitError) -> FitError:
    """What is in the way, and whether it is the given placement alone."""
    if task.wishes.given is None:
        return error
    try:
        lay_out(replace(task, wishes=replace(task.wishes, given=None)))
    except FitError:
        return error
    problem = f"{error.problems[0]}; without the given placement all cores find their places"
    return NoTimeError(problem, error.missing) if isinstance(error, NoTimeError) else FitError(problem)


def _tries(arch: Architecture, n_cores: int, defects: Defects) -> Iterator[npt.NDArray[np.bool_]]:
    """Sites [rows, columns] that are spared, one try after the other, where enough are left.

    First all outside a window without dead links, where no packet needs a relay on its way; then none; then more and more of
    them, which are free for such relays.
    """
    working = arch.n_cores - len(np.unique(defects.cores, axis=0))
    window = clear_window(arch, defects, n_cores)
    if window is not None:
        yield window
    yield _lattice(arch, 0)
    for step in SPARED:
        spared = _lattice(arch, step)
        if n_cores <= working - int(spared.sum()):
            yield spared


def _lattice(arch: Architecture, step: int) -> npt.NDArray[np.bool_]:
    """One site [rows, columns] in every square of ``step`` by ``step``; none for 0."""
    chosen = np.zeros((arch.rows, arch.columns), bool)
    if step:
        chosen[step // 2 :: step, step // 2 :: step] = True
    return chosen


def _attempt(task: Task, ways: Ways, spared: npt.NDArray[np.bool_]) -> Layout:
    """Lay out cores, but not on the ``spared`` [rows, columns] sites, which are for relays on the way."""
    arch, routing = task.arch, task.routing
    more = np.zeros(task.network.n_neurons, np.int64)
    pins = np.full((0, 2), -1)
    for _ in range(MAX_ROUNDS):
        stage = _Stage(task.network, arch, routing, task.wishes)
        placement, kept = stage.place(pins, spared, ways, task.progress)
        found = _detoured(routing, placement, ways, stage.room(placement), arch) if ways.limited else None
        if found is None or not found.missing.any():
            return stage.finish(placement, kept, found)
        more += found.missing
        routing = _rerouted(task, ways, more, found.missing)
        # What holds neurons stays where it is, so that the next round has the same ways.
        pins = np.stack([placement.x, placement.y], axis=1)[: len(routing.cores)]
    raise FitError(
        f"E-REACH {_limits(arch, ways)}, and making time for relays on the way makes others necessary, {MAX_ROUNDS} times over."
        f" Give the cores places nearer to each other ({setting('placement', 'FILE')}), or use fewer cores"
    )


def _detoured(routing: Routing, placement: Placement, ways: Ways, room: Room, arch: Architecture) -> Detour:
    try:
        return detour(routing, placement.x, placement.y, ways, room, arch)
    except NoWayError as error:
        raise FitError(
            f"E-REACH core {error.source} cannot send to core {error.target}: {_limits(arch, ways)}, and no core with a neuron"
            " and an axon to spare lies so that it could relay. Use fewer cores, or give the two places nearer to each other"
            f" ({setting('placement', 'FILE')})"
        ) from error


def _rerouted(task: Task, ways: Ways, more: Array, missing: Array) -> Routing:
    """The network routed with more time, or why it cannot have it."""
    try:
        return task.reroute(more)
    except TightCycleError as error:
        blocks = find_blocks(task.network, Partition(tuple(core.members for core in task.routing.cores), ()))
        names, short = named_cycle(task.network, blocks, error)
        need = _need(task, ways, more * np.isin(blocks.of_neuron, error.blocks))
        raise NoTimeError(
            f"{need}; but they are on the cycle {names}, which leaves {short} too few. Raise a delay on it, or give its"
            f" cores places nearer to each other ({setting('placement', 'FILE')})",
            error.missing,
        ) from error
    except CoreOverflowError as error:
        raise FitError(
            f"{_need(task, ways, missing)}; but then core {error.core}, whose neurons read one signal at different times, needs"
            " more axons than it has. Raise the delay of that projection, or give the cores places nearer to each other"
            f" ({setting('placement', 'FILE')})"
        ) from error


def _need(task: Task, ways: Ways, more: Array) -> str:
    """The beginning of a refusal: which neuron needs most of ``more`` [N] ticks, and why."""
    neuron, ticks = task.network.label(int(np.argmax(more))), int(more.max())
    why = f"for relays on their way, as {_limits(task.arch, ways)}"
    return f"E-REACH the spikes of {neuron} need {counted(ticks, 'more tick')} {why}"


def _limits(arch: Architecture, ways: Ways) -> str:
    """How far packets go, as part of a sentence."""
    reach = arch.routing.reach
    dead = " and must not meet a dead link" if ways.broken else ""
    return f"a packet of {arch.name!r} travels {reach.dx} cores in x and {reach.dy} in y{dead}"


class _Stage:
    """One routing of a network, about to be placed: what its cores hold and need."""

    def __init__(self, network: IntegerNetwork, arch: Architecture, routing: Routing, wishes: Wishes) -> None:
        self.network, self.arch, self.routing, self.wishes = network, arch, routing, wishes
        self.defects = wishes.defects
        self.virtual = build(network, routing, arch)
        self.n = routing.n_cores
        arrays = self.virtual.arrays
        self.needs_io = (arrays["target_core"] == OUTPUT).any(axis=1)
        self.needs_io[self.virtual.input_map.core] = True
        self.n_axons = self.virtual.used_axons().sum(axis=1)
        self.dead, self.axons = self.defects.dead_cores(arch), self.defects.n_axons(arch)
        self.io = self.defects.reached_by_io(arch)
        self.contents = tuple(contents(arrays, arrays["target_core"], network.populations))

    def suits(self, core: int, x: int, y: int) -> bool:
        """Whether a core can be at a site."""
        if x >= self.arch.columns or y >= self.arch.rows or self.dead[y, x]:
            return False
        return bool(self.n_axons[core] <= self.axons[y, x] and (self.io[y, x] or not self.needs_io[core]))

    def place(
        self, pins: Array, spared: npt.NDArray[np.bool_], ways: Ways, progress: Progress
    ) -> tuple[Placement, int | None]:
        """The placement, and how many cores kept a given place.

        ``pins`` are sites of the first cores, from an earlier round; ``spared`` sites are given to none but pinned cores.
        """
        arch, wishes = self.arch, self.wishes
        given = self.given_pins(ways)
        kept = None if given is None else int((given[:, 0] >= 0).sum())
        held = np.full((self.n, 2), -1)
        for core, (x, y) in enumerate(pins.tolist()):
            # With more time a core may need more axons than before.
            if self.suits(core, x, y):
                held[core] = x, y
        if given is not None:
            held = _merged(held, given)
        held, blocked = self.avoid(held, spared)
        chip, traffic = (arch.mesh.columns, arch.mesh.rows), self.virtual.traffic(self.network)
        placement = place(
            traffic, (arch.columns, arch.rows), chip, blocked=blocked, seed=wishes.seed, progress=progress, pinned=held,
            span=ways.span(arch),
        )  # fmt: skip
        return placement, kept

    def given_pins(self, ways: Ways) -> Array | None:
        """Sites [n, 2] that the user's placement gives, -1 for others. Raises InputError for a file that does not suit.

        Where relays may be needed on the way, cores of relays alone come and go; they need not be as the file says.
        """
        given = self.wishes.given
        if given is None:
            return None
        if isinstance(given, ChipConfig):
            return kept_pins(given, self.contents, self.suits)
        problems = given.site_problems(self.arch, self.dead)
        named = len(self.routing.cores) if ways.limited else self.n
        given = given.for_contents(self.contents) if ways.limited else given
        pins = given.pins(self.n)
        if not problems:
            problems = [
                f"{given.document.path}: core {core} cannot lie at ({x}, {y}): {self.unsuited(core, x, y)}"
                for core, (x, y) in enumerate(pins.tolist())
                if x >= 0 and not self.suits(core, x, y)
            ]
        problems += given.core_problems(self.contents, self.network.name, named)
        if problems:
            raise InputError(problems)
        return pins

    def unsuited(self, core: int, x: int, y: int) -> str:
        """Why a core cannot be at a site that is not dead."""
        if self.n_axons[core] > self.axons[y, x]:
            return f"it needs {self.n_axons[core]} axons and {self.axons[y, x]} work there"
        return "it has inputs or outputs, and a dead link cuts the site off from the west edge"

    def avoid(self, pins: Array, spared: npt.NDArray[np.bool_]) -> tuple[Array, npt.NDArray[np.bool_]]:
        """Sites with defects are left empty unless they are needed: then cores that can live there are pinned to them.

        Returns the pins and the sites [rows, columns] that are blocked. Raises FitError E-CAP if there are fewer sites than
        cores, E-DEFECT if too few cores can live there.
        """
        free, open_ = ~self.dead & ~spared, pins[:, 0] < 0
        free[pins[~open_, 1], pins[~open_, 0]] = False
        cores = np.flatnonzero(open_)
        if len(cores) > int(free.sum()):
            which = " that work" + " and are not kept free for relays on the way" * bool(spared.any())
            n_sites = int(free.sum() + (~open_).sum())
            raise FitError(excess(self.network, self.routing, self.arch, n_sites, which))
        short = self.axons < self.n_axons[cores].max(initial=0)
        weak = free & (short | (~self.io & bool(self.needs_io[cores].any())))
        n_missing = len(cores) - int((free & ~weak).sum())
        pins = pins.copy()
        if n_missing > 0 and weak.any():
            y, x = np.nonzero(weak)
            fits = self.n_axons[cores][:, None] <= self.axons[y, x]
            fits &= self.io[y, x] | ~self.needs_io[cores][:, None]
            site = maximum_bipartite_matching(sparse.csr_array(fits), perm_type="column")
            matched = np.flatnonzero(site >= 0)[:n_missing]
            if len(matched) < n_missing <= int(weak.sum()):
                raise FitError(
                    f"E-DEFECT network {self.network.name!r} needs {self.n} cores; of the {int((~self.dead).sum())} that work,"
                    f" {int(weak.sum())} have dead axons or no way for inputs and outputs, and {n_missing - len(matched)} too"
                    f" many of the network's cores cannot do with that ({self.defects}). Use fewer or smaller cores"
                )
            pins[cores[matched]] = np.stack([x[site[matched]], y[site[matched]]], axis=1)
        blocked = self.dead | spared | weak
        blocked[pins[pins[:, 0] >= 0, 1], pins[pins[:, 0] >= 0, 0]] = False
        return pins, blocked

    def room(self, placement: Placement) -> Room:
        """Where relays may go beside the cores as they are placed."""
        free = ~self.dead
        free[placement.y, placement.x] = False
        return Room(free, self.axons, self.io)

    def finish(self, placement: Placement, kept: int | None, found: Detour | None) -> Layout:
        """The layout, with the stations of the detour."""
        routing, virtual, n_stations = self.routing, self.virtual, 0
        if found is not None and found.n_stations:
            routing, n_stations = found.routing, found.n_stations
            virtual = build(self.network, routing, self.arch)
            placement = measured(virtual.traffic(self.network), found.x, found.y, placement.seconds)
        virtual = virtual.around(placement, self.defects)
        # Meanings of cores are few bytes, unlike the arrays; the text is made when it is wanted.
        given = partial(placement_text, placement, self.contents, self.network.name, self.arch)
        return Layout(
            routing, virtual, placement, virtual.traffic(self.network), self.contents, n_stations, kept, given
        )


def _merged(pins: Array, given: Array) -> Array:
    """The given pins, and the others where they do not collide with them."""
    taken = set(map(tuple, given[given[:, 0] >= 0].tolist()))
    free = np.array([tuple(site) not in taken for site in pins.tolist()], bool)
    return np.where((given[:, :1] < 0) & free[:, None], pins, given)
