"""The emulator: feeds an engine with input spikes, lets it run, and collects what it did."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from neurocore.compiled import CompiledEngine
from neurocore.config import ChipConfig
from neurocore.engine import Engine, Events, Probes, Record
from neurocore.errors import InputError, UsageError
from neurocore.oracle import Oracle
from neurocore.result import (
    ChipFacts,
    PopulationFan,
    ProbeRecord,
    RunResult,
    count_cores,
)
from neurocore.spikes import Spikes

Array = npt.NDArray[Any]
SpikeInput = Spikes | npt.ArrayLike | None

ENGINES = ("compiled", "oracle")
CORES_PER_THREAD = 32
"""Below this many cores per thread, waiting for each other costs more than the threads bring."""
CHUNK_SECONDS = 0.2
"""The engine comes back to Python about this often, to show progress and to notice an interrupt."""


def available_threads() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Emulator:
    """A chip and its state.

    Input spikes carry the tick of the network, counted from the last reset: a spike on input line l at tick t reaches its
    axon ``delay`` ticks later, as the chip's input map says. Output spikes carry the chip tick in which they were fired.

    ``probes`` names populations to watch: ``"hidden"`` records spikes, ``"hidden:membrane"`` also every membrane. ``engine``
    is ``compiled`` or ``oracle``. Results do not depend on ``threads``, on probes, or on how ticks are divided into runs. An
    emulator belongs to one Python thread at a time; several emulators may run side by side.
    """

    def __init__(
        self,
        chip: ChipConfig,
        *,
        threads: int | None = None,
        seed: int | None = None,
        engine: str = "compiled",
        probes: str | Sequence[str] = (),
    ) -> None:
        if threads is not None and threads < 1:
            raise UsageError(f"threads is {threads}; at least 1 is needed")
        if engine not in ENGINES:
            raise UsageError(f"engine is {engine!r}; there are {', '.join(ENGINES)}")
        if not isinstance(chip, ChipConfig):
            raise UsageError(
                f"an emulator takes a compiled chip, not {type(chip).__name__}: neurocore.compile(network) makes one,"
                " neurocore.load(path) reads one"
            )
        self.chip = chip.validate()
        self._asked_threads = threads
        self.threads = threads or max(1, min(available_threads(), len(chip.cores) // CORES_PER_THREAD))
        self.seed = chip.seed if seed is None else _checked_seed(seed)
        names = (probes,) if isinstance(probes, str) else probes
        self._watched = [_Watched(chip, text) for text in names]
        self._engine = self._make_engine(engine)
        self._rows = chip.row_of()
        self._fan = _InputFan(chip, self._rows)
        self._facts: ChipFacts | None = None
        self._fan_by_population: PopulationFan | None = None
        self.reset()

    def _make_engine(self, engine: str) -> Engine:
        probes = _join_probes(self.chip, self._watched)
        if engine == "oracle":
            return Oracle(self.chip, seed=self.seed, probes=probes)
        return CompiledEngine(self.chip, seed=self.seed, threads=self.threads, probes=probes)

    @property
    def tick(self) -> int:
        """The tick that comes next."""
        return self._engine.tick

    @property
    def probes(self) -> tuple[str, ...]:
        """What is watched, as given."""
        return tuple(item.text for item in self._watched)

    def reset(self) -> None:
        """Return to the state before tick 0; spikes that are still under way are gone."""
        self._engine.reset()
        self._waiting = Events(*(np.zeros(0, np.int64) for _ in range(3)))
        self._seen: list[Record] = []

    def run(
        self, spikes: SpikeInput = None, ticks: int | None = None, *, progress: Callable[[int, int], None] | None = None
    ) -> RunResult:
        """Run ``ticks`` ticks from where the emulator stands, and report on these ticks.

        ``spikes`` is a :class:`Spikes` or rows of (tick, line), whose ticks count from the last reset; or a raster, which must be
        of booleans [ticks, lines] (or [ticks, *shape] of the input) and whose first row is the tick at hand. Only with a
        raster may ``ticks`` be left out. Spikes due after this run wait for the next one. ``progress(done, ticks)`` is called
        between parts of the run. Raises InputError for spikes that are out of range or belong to the past.
        """
        if ticks is None:
            if not is_raster(spikes):
                raise UsageError("ticks is missing: say how many ticks to run")
            ticks = len(np.asarray(spikes))
        if ticks < 0:
            raise UsageError(f"ticks is {ticks}; a run has 0 ticks or more")
        first = self.tick
        events = self._due(self._events(spikes), ticks)
        self._engine.clear_counters()
        started = time.perf_counter()
        self._advance(events, ticks, progress)
        seconds = time.perf_counter() - started
        return self._result(first, ticks, events, self._engine.take(), seconds)

    def _advance(self, events: Events, ticks: int, progress: Callable[[int, int], None] | None) -> None:
        stop, chunk = self.tick + ticks, 64
        first = self.tick
        while self.tick < stop:
            begun = time.perf_counter()
            size = min(chunk, stop - self.tick)
            self._engine.advance(events.window(self.tick, self.tick + size), size)
            taken = max(time.perf_counter() - begun, 1e-6)
            chunk = int(min(max(1, size * CHUNK_SECONDS / taken), 4 * chunk))
            if progress is not None:
                progress(self.tick - first, ticks)

    def step(self, lines: Iterable[int] = ()) -> Array:
        """Run one tick with the input lines that spike in it; returns the output lines that fired in it, ascending.

        ``lines`` are line numbers, or booleans, one per input line. What probes see is kept for :meth:`take_probes`.
        Raises InputError for lines the chip does not have.
        """
        line = self._lines(lines)
        events = self._due(self._fan.events(np.full(len(line), self.tick, np.int64), line), 1)
        return self._stepped(events)

    def _stepped(self, events: Events) -> Array:
        self._engine.advance(events, 1)
        record = self._engine.take()
        if self._watched:
            self._seen.append(record)
        return np.unique(record.output_line)

    def take_probes(self) -> dict[str, ProbeRecord]:
        """What the probes saw in all steps since the last call or reset; a run reports its own ticks by itself."""
        seen, self._seen = self._seen or [Record.empty(self._n_membranes())], []
        record = Record.joined(seen)
        return {item.text: item.pick(record) for item in self._watched}

    def _n_membranes(self) -> int:
        return sum(item.size for item in self._watched if item.with_membranes)

    def _lines(self, lines: Iterable[int]) -> Array:
        given = np.atleast_1d(np.asarray(lines if isinstance(lines, np.ndarray | int) else list(lines)))
        if given.dtype == bool and given.size:
            if given.size != self.chip.n_inputs:
                raise InputError(f"{given.size} booleans were given; the chip has {self.chip.n_inputs} input lines")
            return np.flatnonzero(given)
        if given.size and given.dtype.kind not in "iu":
            raise InputError(f"input lines must be whole numbers or booleans, not {given.dtype}")
        return np.unique(given.astype(np.int64))

    def run_batch(
        self, samples: Iterable[SpikeInput], ticks: int, *, seeds: Sequence[int] | None = None
    ) -> list[RunResult]:
        """Run every sample by itself from the initial state for ``ticks`` ticks, spread over threads; results in order.

        Ticks of a sample count from 0. The state of this emulator is not touched. All samples draw the same random numbers
        unless ``seeds`` gives each one a seed of its own.
        """
        if ticks < 0:
            raise UsageError(f"ticks is {ticks}; a run has 0 ticks or more")
        jobs = list(samples)
        if seeds is not None and len(seeds) != len(jobs):
            raise UsageError(f"{len(seeds)} seeds were given for {len(jobs)} samples")
        if seeds is not None:
            return [self._twin(seed).run(sample, ticks) for sample, seed in zip(jobs, seeds, strict=True)]
        workers = max(1, min(self._asked_threads or available_threads(), len(jobs)))
        local = threading.local()

        def one(sample: SpikeInput) -> RunResult:
            if not hasattr(local, "emulator"):
                local.emulator = self._twin()
            local.emulator.reset()
            return cast(RunResult, local.emulator.run(sample, ticks))

        self._chip_facts()
        self._population_fan()
        with ThreadPoolExecutor(workers) as pool:
            return list(pool.map(one, jobs))

    def _twin(self, seed: int | None = None) -> Emulator:
        twin = object.__new__(Emulator)
        twin.__dict__.update(self.__dict__)
        twin.threads = 1
        if seed is None:
            twin._engine = self._engine.clone()
        else:
            twin.seed = _checked_seed(seed)
            twin._engine = twin._make_engine("oracle" if isinstance(self._engine, Oracle) else "compiled")
        twin.reset()
        return twin

    def save_state(self) -> dict[str, Array]:
        """The whole state as arrays, spikes under way included; see :meth:`load_state`."""
        waiting = self._waiting
        return {
            **self._engine.save_state(),
            "waiting": np.stack([waiting.tick, waiting.row, waiting.axon]),
            "seed": np.array([self.seed], np.uint64),
            "chip": np.frombuffer(bytes.fromhex(self._chip_facts().digest), np.uint8),
        }

    def load_state(self, state: dict[str, Array]) -> None:
        """Continue from a state that :meth:`save_state` gave for the same chip and seed; the results are the same."""
        expected = self.save_state()
        for name, array in expected.items():
            found = np.asarray(state.get(name))
            fits = found.shape == array.shape or (name == "waiting" and found.ndim == 2 and len(found) == 3)
            if found.dtype != array.dtype or not fits:
                raise InputError(
                    f"the saved state does not fit the chip: {name!r} should be {array.dtype} {array.shape}"
                )
        if (state["chip"] != expected["chip"]).any():
            raise InputError(f"the state was saved from another chip than {self.chip.name!r}")
        if int(state["seed"][0]) != self.seed:
            raise InputError(f"the state was saved with seed {int(state['seed'][0])}; this emulator has {self.seed}")
        self._check_values(state)
        self._engine.load_state(state)
        self._waiting = Events(*state["waiting"])
        self._seen = []

    def _check_values(self, state: dict[str, Array]) -> None:
        """Raise InputError if a state holds numbers that no run could have left."""
        arch, tick = self.chip.architecture, int(state["tick"][0])
        rows, axons = len(self.chip.cores), arch.core.axons
        when, row, axon = state["waiting"]
        clamp = arch.neuron.membrane
        membrane = state["membrane"]
        outside = arch.rules.clamp and ((membrane < clamp.min) | (membrane > clamp.max)).any()
        wrong = {
            "tick": tick < 0,
            "membrane": bool(outside),
            "pending": bool((state["pending"] < state["scheduler"].sum(axis=2)).any()),
            "waiting": bool(
                (when < tick).any()
                or (np.diff(when) < 0).any()
                or ((row < 0) | (row >= rows) | (axon < 0) | (axon >= axons)).any()
            ),
        }
        for name, bad in wrong.items():
            if bad:
                raise InputError(f"the saved state is damaged: {name!r} holds values that no run leaves behind")

    def _events(self, spikes: SpikeInput) -> Events:
        given = as_spikes(spikes, self.tick)
        late = given.tick[given.tick < self.tick]
        if len(late):
            raise InputError(
                f"an input spike at tick {int(late[0])} is in the past; the emulator stands at tick {self.tick}:"
                " reset() it or shift the spikes"
            )
        if given.is_network:
            given.check(n_lines=self.chip.n_inputs)
            return self._fan.events(given.tick, given.line)
        given.check(n_cores=self.chip.architecture.n_cores, n_axons=self.chip.architecture.core.axons)
        row = self._rows[given.core]
        if (row < 0).any():
            core = int(given.core[row < 0][0])
            raise InputError(f"an input spike goes to core {core}, which is not configured on {self.chip.name!r}")
        return Events(given.tick, row, given.axon)

    def _due(self, events: Events, ticks: int) -> Events:
        """Of the new and the waiting events those of the next ticks; the rest wait."""
        if len(self._waiting):
            events = Events(
                np.concatenate([self._waiting.tick, events.tick]),
                np.concatenate([self._waiting.row, events.row]),
                np.concatenate([self._waiting.axon, events.axon]),
            )
        order = np.argsort(events.tick, kind="stable")
        events = Events(events.tick[order], events.row[order], events.axon[order])
        stop = self.tick + ticks
        cut = int(np.searchsorted(events.tick, stop))
        self._waiting = Events(events.tick[cut:], events.row[cut:], events.axon[cut:])
        return Events(events.tick[:cut], events.row[:cut], events.axon[:cut])

    def _population_fan(self) -> PopulationFan:
        if self._fan_by_population is None:
            self._fan_by_population = PopulationFan(self.chip)
        return self._fan_by_population

    def _chip_facts(self) -> ChipFacts:
        if self._facts is None:
            self._facts = ChipFacts.of(self.chip)
        return self._facts

    def _result(self, first: int, ticks: int, events: Events, record: Record, seconds: float) -> RunResult:
        counters = self._engine.counters()
        spikes = Spikes.from_lines(record.output_tick, record.output_line)
        return RunResult(
            chip=self._chip_facts(),
            ticks=ticks,
            first_tick=first,
            seed=self.seed,
            spikes=spikes,
            output_merges=len(record.output_tick) - len(spikes),
            cores=count_cores(self.chip, counters, np.bincount(events.row, minlength=len(self.chip.cores))),
            neuron_spikes=counters.neuron_spikes,
            population_events=self._population_fan().count(counters),
            membranes=self._engine.membranes(),
            probes={item.text: item.pick(record) for item in self._watched},
            seconds=seconds,
            threads=self.threads,
        )

    def step_axons(self, axons: Iterable[tuple[int, int]]) -> Array:
        """:meth:`step` for a chip without input lines: ``axons`` are the pairs (core, axon) that get a spike from outside."""
        spikes = Spikes.from_rows([(self.tick, core, axon) for core, axon in axons])
        return self._stepped(self._due(self._events(spikes), 1))

    def stream(self, lines_by_tick: Iterable[Iterable[int]]) -> Iterator[Array]:
        """Run one tick for each item, the input lines that spike in it; yields the output lines that fired, as :meth:`step`.

        Items are taken when their tick comes, so that a generator may answer what it has seen.
        """
        for lines in lines_by_tick:
            yield self.step(lines)


def _checked_seed(seed: int) -> int:
    if not 0 <= seed < 2**64:
        raise UsageError(f"seed is {seed}; a seed lies in 0..2^64-1")
    return int(seed)


def is_raster(spikes: SpikeInput) -> bool:
    """Whether spikes are given as booleans [ticks, lines] or [ticks, *shape]."""
    return isinstance(spikes, np.ndarray) and spikes.dtype == bool and spikes.ndim >= 2


class _InputFan:
    """Turns spikes on input lines into events on axons; entries of the input map sorted by line."""

    def __init__(self, chip: ChipConfig, rows: Array) -> None:
        entry = chip.input_map
        order = np.argsort(entry.line, kind="stable")
        self.row = rows[entry.core[order]]
        self.axon = entry.axon[order].astype(np.int64)
        self.delay = entry.delay[order].astype(np.int64)
        self.n_lines = chip.n_inputs
        self.start = np.searchsorted(entry.line[order], np.arange(chip.n_inputs + 1))

    def events(self, tick: Array, line: Array) -> Events:
        """Events of the given spikes, ticks not sorted. Raises InputError for lines the chip does not have."""
        if len(line) and (line.min() < 0 or line.max() >= self.n_lines):
            wrong = int(line[(line < 0) | (line >= self.n_lines)][0])
            raise InputError(f"input line {wrong} does not exist; the chip has {self.n_lines} input lines")
        count = self.start[line + 1] - self.start[line]
        ends = np.cumsum(count)
        entry = np.arange(int(ends[-1]) if len(ends) else 0) - np.repeat(ends - count - self.start[line], count)
        return Events(np.repeat(tick, count) + self.delay[entry], self.row[entry], self.axon[entry])


def as_spikes(spikes: SpikeInput, first_tick: int = 0) -> Spikes:
    """Spikes given as such, as rows of (tick, line), as a raster of booleans from ``first_tick`` on, or None."""
    if spikes is None:
        return Spikes.empty()
    if isinstance(spikes, Spikes):
        return spikes
    array = np.asarray(spikes)
    if array.dtype == bool and array.ndim >= 2:
        tick, line = np.nonzero(array.reshape(len(array), -1))
        return Spikes.from_lines(tick + first_tick, line)
    if array.size == 0:
        return Spikes.empty()
    if array.ndim != 2 or array.shape[1] != 2:
        raise InputError(
            f"input spikes have shape {array.shape}; rows of (tick, line) or booleans [ticks, lines] were expected"
            " (make a raster of numbers boolean with .astype(bool))"
        )
    return Spikes.from_lines(array[:, 0], array[:, 1])


class _Watched:
    """A probe: the neurons [size] of a population, by core row and neuron; copies made by the compiler are left out."""

    def __init__(self, chip: ChipConfig, text: str) -> None:
        self.text = text
        name, _, what = text.partition(":")
        names = [group.name for group in chip.populations]
        if name not in names or what not in ("", "spikes", "membrane"):
            raise UsageError(
                f"probe {text!r} is not known; give POPULATION, or POPULATION:membrane, where the populations are"
                f" {', '.join(names) or 'none'}"
            )
        self.with_membranes = what == "membrane"
        row, neuron = np.nonzero(chip.cores.population == names.index(name))
        index, first = np.unique(chip.cores.index[row, neuron], return_index=True)
        self.size = len(index)
        self.row, self.neuron, self.index = row[first], neuron[first], index
        number = np.full(chip.cores.population.shape, -1, np.int64)
        number[self.row, self.neuron] = index
        self.number = number
        self.inverse: Array = np.zeros(0, np.int64)
        start = sum(group.size for group in chip.populations[: names.index(name)])
        self.shift = chip.timing[start + index] if len(chip.timing) else np.zeros(len(index), np.int64)

    def pick(self, record: Record) -> ProbeRecord:
        """The part of what the engine recorded that the probe asked for."""
        number = self.number[record.spike_row, record.spike_neuron]
        mine = number >= 0
        spikes = Spikes.from_lines(record.spike_tick[mine], number[mine])
        return ProbeRecord(spikes, record.membranes[:, self.inverse], self.shift)


def _join_probes(chip: ChipConfig, watched: list[_Watched]) -> Probes:
    """One set of probes for the engine, in which each probe knows its columns."""
    if not watched:
        return Probes()
    mask = np.zeros(chip.cores.population.shape, bool)
    rows, neurons, owners = [], [], []
    for number, item in enumerate(watched):
        mask[item.row, item.neuron] = True
        if item.with_membranes:
            rows.append(item.row)
            neurons.append(item.neuron)
            owners.append(np.full(item.size, number))
    if not rows:
        return Probes(mask)
    row, neuron, owner = np.concatenate(rows), np.concatenate(neurons), np.concatenate(owners)
    order = np.argsort(row, kind="stable")
    place = np.empty(len(order), np.int64)
    place[order] = np.arange(len(order))
    for number, item in enumerate(watched):
        item.inverse = place[owner == number]
    return Probes(mask, row[order], neuron[order])
