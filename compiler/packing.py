"""Runs that leave room in their cores, packed together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from neurocore._graph import distinct
from neurocore.compiler.cutter import Cutter, Run

Array = npt.NDArray[Any]

MAX_TRIES = 8
"""Cores that the packer tries for one run before it opens a new core."""
QUICK_TRIES = 2
"""The same for estimates."""


def pack(cutter: Cutter, runs: list[Run], limits: Mapping[int, int], wanted: list[int]) -> list[Run]:
    """Put runs that leave room together, those that share most signals first; the largest open a core."""
    population = cutter.network.population_of()
    packer = _Packer(cutter, runs, wanted)
    order = sorted(range(len(runs)), key=lambda number: (-runs[number].n_axons, -len(runs[number].members), number))
    for number in order:
        bounded = population[runs[number].members[0]] in limits
        place = None if bounded else packer.find_room(number)
        if place is None:
            packer.open(number, bounded)
        else:
            packer.join(number, place)
    return [packer.cores[place] for place in sorted(range(len(packer.cores)), key=lambda place: packer.opened[place])]


class _Packer:
    """Cores that are being packed: their runs, signals and room; ``room`` is for neurons and their copies."""

    def __init__(self, cutter: Cutter, runs: list[Run], demands: list[int]) -> None:
        self.cutter, self.runs, self.demands = cutter, runs, demands
        self.cores: list[Run] = []
        self.opened: list[int] = []
        self.room = np.zeros(len(runs), np.int64)
        self.n_signals = np.zeros(len(runs), np.int64)
        self.signal, self.first = self._signals()
        # The readings of each signal stand together; ``place`` is the core of a reading if none before it is of the same core.
        order = np.argsort(self.signal, kind="stable")
        self.reading = np.empty(len(order), np.int64)
        self.reading[order] = np.arange(len(order))
        self.read_from = np.concatenate([[0], np.cumsum(np.bincount(self.signal))]).astype(np.int64)
        self.place = np.full(len(order), -1)

    def _signals(self) -> tuple[Array, Array]:
        """Signals of all runs, numbered, and where those of each run begin."""
        signal, run = self.cutter.reads([run.members for run in self.runs])
        first = np.concatenate([[0], np.cumsum(np.bincount(run, minlength=len(self.runs)))]).astype(np.int64)
        return distinct(signal)[1], first

    def readings(self, number: int) -> tuple[Array, Array]:
        """All readings of a run's signals, one signal after the other, and how many each has."""
        mine = self.signal[self.first[number] : self.first[number + 1]]
        count = self.read_from[mine + 1] - self.read_from[mine]
        ends = np.cumsum(count)
        total = int(ends[-1]) if len(ends) else 0
        return np.arange(total) - np.repeat(ends - count - self.read_from[mine], count), count

    def find_room(self, number: int) -> int | None:
        """The core with most signals in common that can also take the run."""
        run, axons = self.runs[number], self.cutter.arch.core.axons
        n_mine = int(self.first[number + 1] - self.first[number])
        for place, shared in self.candidates(number)[: QUICK_TRIES if self.cutter.quick else MAX_TRIES]:
            if self.n_signals[place] + n_mine - shared > axons:
                continue
            # Without a signal in common, the axons simply add up.
            if not shared and self.cores[place].n_axons + run.n_axons > axons:
                continue
            if self.cutter.need(np.concatenate([self.cores[place].members, run.members]))[0] <= axons:
                return place
        return None

    def candidates(self, number: int) -> list[tuple[int, int]]:
        """The first MAX_TRIES cores with neurons to spare for a run, by the signals in common, and how many these are.

        Few cores share any; the others are not looked at one by one, as there may be very many.
        """
        roomy = self.room[: len(self.cores)] >= self.demands[number]
        if not roomy.any():
            return []
        shared = np.bincount(self.place[self.readings(number)[0]] + 1, minlength=len(roomy) + 1)[1:] * roomy
        known = np.flatnonzero(shared)
        # Most shared first, of these the core that was opened first.
        rank = known - shared[known] * len(roomy)
        few = np.argpartition(rank, MAX_TRIES)[:MAX_TRIES] if len(rank) > MAX_TRIES else np.arange(len(rank))
        best = known[few[np.argsort(rank[few])]]
        roomy[known] = False
        strangers = np.flatnonzero(roomy)[: MAX_TRIES - len(best)].tolist()
        return [*zip(best.tolist(), shared[best].tolist(), strict=True), *((place, 0) for place in strangers)]

    def open(self, number: int, bounded: bool) -> None:
        """A core for a run of its own."""
        place = len(self.cores)
        self.cores.append(self.runs[number])
        self.opened.append(number)
        self.room[place] = 0 if bounded else self.cutter.arch.core.neurons - self.demands[number]
        self.n_signals[place] = self.first[number + 1] - self.first[number]
        self.place[self.reading[self.first[number] : self.first[number + 1]]] = place

    def join(self, number: int, place: int) -> None:
        """Put a run into a core."""
        reading, count = self.readings(number)
        new = np.ones(len(count), bool)
        new[np.repeat(np.arange(len(count)), count)[self.place[reading] == place]] = False
        self.n_signals[place] += new.sum()
        self.place[self.reading[self.first[number] : self.first[number + 1]][new]] = place
        members = np.concatenate([self.cores[place].members, self.runs[number].members])
        self.cores[place] = Run(members, *self.cutter.need(members))
        self.room[place] -= self.demands[number]
        self.opened[place] = min(self.opened[place], number)
