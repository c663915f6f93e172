"""The emulator: feeds an engine with input spikes, lets it run, and collects what it did."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from neurocore.compiled import CompiledEngine
from neurocore.config import OUTPUT, ChipConfig
from neurocore.engine import Engine, Events, Probes, Record
from neurocore.errors import InputError, UsageError
from neurocore.inputs import (
    InputFan,
    SpikeInput,
    Waiting,
    as_axons,
    as_lines,
    as_spikes,
    check_spikes,
    in_order,
    items,
    ticks_per,
)
from neurocore.options import (
    asked_ticks,
    check_chip,
    check_engine,
    check_progress,
    check_threads,
    check_ticks,
    checked_probes,
    checked_seed,
)
from neurocore.oracle import Oracle
from neurocore.probes import Watched, join_probes
from neurocore.result import ChipFacts, CoreCounts, PopulationFan, ProbeRecord, RunResult
from neurocore.savedstate import check_state
from neurocore.spikes import MAX_VALUE, Spikes

Array = npt.NDArray[Any]

CORES_PER_THREAD = 32
"""Below this many cores per thread, waiting for each other costs more than the threads bring."""
CHUNK_SECONDS = 0.2
"""The engine comes back to Python about this often, to show progress and to notice an interrupt."""
CHUNK_BYTES = 2**24
"""Memory for what is recorded before the engine comes back, about."""
SPIKE_BYTES, MEMBRANE_BYTES = 64, 8
"""What a recorded spike or membrane takes on its way from the engine, copies included."""
BURST = 8
"""By how much CHUNK_BYTES may be exceeded if a quiet chip suddenly fires all it has."""


def available_threads() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def usual_threads(n_cores: int) -> int:
    """Threads for a chip of so many cores if none are asked for."""
    return max(1, min(available_threads(), n_cores // CORES_PER_THREAD))


class Emulator:
    """A chip and its state.

    Input spikes carry the tick of the network, counted from the last reset: a spike on input line l at tick t reaches its
    axon ``delay`` ticks after tick t * ``chip.dilation``, as the chip's input map says. Output spikes carry the chip tick in
    which they were fired. ``ticks`` and :attr:`tick` are those of the chip.

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
        check_threads(threads)
        check_engine(engine)
        check_chip(chip)
        self.chip = chip.validate()
        self._asked_threads = threads
        self.threads = threads or usual_threads(len(chip.cores))
        self.seed = chip.seed if seed is None else checked_seed(seed)
        self._watched = [Watched(chip, text) for text in checked_probes(probes)]
        self._engine = self._make_engine(engine)
        self._rows = chip.row_of()
        self._fan = InputFan(chip, self._rows)
        self._facts: ChipFacts | None = None
        self._core_counts: CoreCounts | None = None
        self._fan_by_population: PopulationFan | None = None
        self.reset()

    def _make_engine(self, engine: str) -> Engine:
        probes = join_probes(self.chip, self._watched)
        self._tick_bytes = _tick_bytes(self.chip, probes)
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
        self._waiting = Waiting()
        self._forget()

    def _forget(self) -> None:
        """Begin to count and to record anew."""
        self._stepped: list[Record] = []
        self._recorded = 0.0
        self._packets = np.zeros(len(self.chip.cores), np.int64)
        self._first = self.tick

    def run(
        self, spikes: SpikeInput = None, ticks: int | None = None, *, progress: Callable[[int, int], None] | None = None
    ) -> RunResult:
        """Run ``ticks`` ticks from where the emulator stands, and report on these ticks.

        ``spikes`` is a :class:`Spikes` or rows of (tick, line), whose ticks count from the last reset; or a raster, which must be
        of booleans [ticks, lines] (or [ticks, *shape] of the input) and whose first row is the tick at hand (on a dilated chip,
        the next tick of the network to begin). Only with a raster may ``ticks`` be left out. Spikes due after this run wait for
        the next one. ``progress(done, ticks)`` is called between parts of the run. Raises InputError for spikes that are out of
        range or belong to the past.
        """
        ticks = asked_ticks(spikes, ticks, self.chip.dilation)
        check_progress(progress)
        self.send(spikes)
        self.begin()
        records = [self._engine.take()]
        started = time.perf_counter()
        for size in self.chunks(ticks):
            records.append(self.advance(size))
            if progress is not None:
                progress(self.tick - self._first, ticks)
        seconds = time.perf_counter() - started
        shown, merges, probes = self.observed(Record.joined(records))
        return replace(self.counted(seconds), spikes=shown, output_merges=merges, probes=probes)

    def record(
        self,
        path: str,
        spikes: SpikeInput = None,
        ticks: int | None = None,
        *,
        progress: Callable[[int, int], None] | None = None,
    ) -> dict[str, Any]:
        """Run as :meth:`run` does and write the run file ``path``, in memory that does not grow with the ticks.

        While it runs, ``path`` with ``.part`` added holds what was recorded up to the last flush, about a second ago;
        :func:`neurocore.recorder.recover` makes a run file of it. Returns the fields of ``run --json``. Raises OutputError
        if a file cannot be written.
        """
        from neurocore.recorder import Recorder

        ticks = asked_ticks(spikes, ticks, self.chip.dilation)
        check_progress(progress)
        with Recorder(self, path) as recorder:
            given, stop = self._as_spikes(spikes), self.tick + ticks
            self.check(given)
            recorder.run(self.due(given, self.tick, stop), stop, progress)
            self.send(self.due(given, stop, MAX_VALUE))
            return recorder.finish()

    def chunks(self, ticks: int) -> Iterator[int]:
        """Sizes of the parts in which to run ``ticks`` ticks, so that each takes about CHUNK_SECONDS and CHUNK_BYTES at most.

        To be run by :meth:`advance` one by one: each part is sized by what the one before took.
        """
        size, left = 64, ticks
        while left > 0:
            size = min(size, left, self._ticks_in_memory())
            begun = time.perf_counter()
            yield size
            left -= size
            taken = max(time.perf_counter() - begun, 1e-6)
            size = int(min(max(1, size * CHUNK_SECONDS / taken), 4 * size))

    def _ticks_in_memory(self) -> int:
        """Ticks whose records CHUNK_BYTES hold if they fire as the last part did; at most BURST times that whatever they do."""
        fixed, most = self._tick_bytes
        per_tick = fixed + max(SPIKE_BYTES * self._recorded, most / BURST)
        return max(1, int(CHUNK_BYTES / max(1, per_tick)))

    def send(self, spikes: SpikeInput) -> None:
        """Put spikes on their way, for ticks that are still to come; the forms are those of :meth:`run`.

        Raises InputError for spikes that are out of range or belong to the past; then none is sent.
        """
        self._waiting.add(self._events(spikes))

    def begin(self) -> None:
        """Begin a window of counting, for :meth:`counted`."""
        self._engine.clear_counters()
        self._packets = np.zeros(len(self.chip.cores), np.int64)
        self._first = self.tick

    def advance(self, ticks: int) -> Record:
        """Run ``ticks`` ticks with the spikes that were sent; returns what the engine recorded, see :meth:`observed`."""
        tick = self._engine.tick
        events = self._waiting.take_tick(tick) if ticks == 1 else self._waiting.take(tick + ticks)
        if len(events):
            self._packets += np.bincount(events.row, minlength=len(self._packets))
        self._engine.advance(events, ticks)
        record = self._engine.take()
        self._recorded = (len(record.output_tick) + len(record.spike_tick)) / max(1, ticks)
        return record

    def observed(self, record: Record) -> tuple[Spikes, int, dict[str, ProbeRecord]]:
        """Output spikes, how many of them merged, and probes by name, out of a record of successive ticks."""
        spikes = Spikes.from_lines(record.output_tick, record.output_line)
        probes = {item.text: item.pick(record) for item in self._watched}
        return spikes, len(record.output_tick) - len(spikes), probes

    def step(self, lines: Iterable[int] = ()) -> Array:
        """Run one tick with the input lines that spike in it; returns the output lines that fired in it, ascending.

        ``lines`` are line numbers, or booleans, one per input line. What probes see is kept for :meth:`take_probes`. Raises
        InputError for lines the chip does not have.
        """
        self.send_lines(lines)
        return self._stepped_once()

    def send_lines(self, lines: Iterable[int]) -> None:
        """Put spikes of the tick at hand on their way, on lines in the forms of :meth:`step`, which calls this.

        Raises InputError for lines the chip does not have, and between two ticks of the network on a dilated chip.
        """
        tick, dilation = self._engine.tick, self.chip.dilation
        if dilation != 1:
            lines = list(as_lines(lines, self.chip.n_inputs))
            if lines and tick % dilation:
                raise InputError(
                    f"an input spike in chip tick {tick}: a tick of the network is {dilation} ticks of this chip, and its input"
                    f" enters in the first of them; the next is {-(-tick // dilation) * dilation}"
                )
        for entries in [self._fan.entries(line) for line in as_lines(lines, self.chip.n_inputs)]:
            self._waiting.add_entries(tick, entries)

    def _stepped_once(self) -> Array:
        engine = self._engine
        engine.advance(self._waiting.take_tick(engine.tick), 1)
        record = engine.take()
        if self._watched:
            self._stepped.append(record)
        return record.fired()

    def take_probes(self) -> dict[str, ProbeRecord]:
        """What the probes saw in the steps since the last call or reset; membranes have one row per step.

        It is handed over and forgotten: whoever steps for long calls this now and then, and needs no memory for the rest.
        """
        records, self._stepped = self._stepped, []
        if not records:
            return {item.text: item.nothing() for item in self._watched}
        return self.observed(Record.joined(records))[2]

    def run_batch(
        self, samples: Iterable[SpikeInput], ticks: int, *, seeds: Sequence[int] | None = None
    ) -> list[RunResult]:
        """Run every sample by itself from the initial state for ``ticks`` ticks, spread over threads; results in order.

        Ticks of a sample count from 0. The state of this emulator is not touched. All samples draw the same random numbers
        unless ``seeds`` gives each one a seed of its own.
        """
        check_ticks(ticks)
        jobs = in_order("samples", samples, "input spikes, one for each run,")
        if seeds is not None:
            own = in_order("seeds", seeds, "numbers")
            if len(own) != len(jobs):
                raise UsageError(f"{len(own)} seeds were given for {len(jobs)} samples")
            return [self._twin(seed).run(sample, ticks) for sample, seed in zip(jobs, own, strict=True)]
        workers = max(1, min(self._asked_threads or available_threads(), len(jobs)))
        local = threading.local()

        def one(sample: SpikeInput) -> RunResult:
            if not hasattr(local, "emulator"):
                local.emulator = self._twin()
            local.emulator.reset()
            return cast(RunResult, local.emulator.run(sample, ticks))

        self._prepare()
        with ThreadPoolExecutor(workers) as pool:
            return list(pool.map(one, jobs))

    def _twin(self, seed: int | None = None) -> Emulator:
        twin = object.__new__(Emulator)
        twin.__dict__.update(self.__dict__)
        twin.threads = 1
        if seed is None:
            twin._engine = self._engine.clone()
        else:
            twin.seed = checked_seed(seed)
            twin._engine = twin._make_engine("oracle" if isinstance(self._engine, Oracle) else "compiled")
        twin.reset()
        return twin

    def save_state(self) -> dict[str, Array]:
        """The whole state as arrays, spikes under way included; see :meth:`load_state`."""
        waiting = self._waiting.all()
        return {
            **self._engine.save_state(),
            "waiting": np.stack([waiting.tick, waiting.row, waiting.axon]),
            "seed": np.array([self.seed], np.uint64),
            "chip": np.frombuffer(bytes.fromhex(self._chip_facts().digest), np.uint8),
        }

    def load_state(self, state: dict[str, Array]) -> None:
        """Continue from a state that :meth:`save_state` gave for the same chip and seed; the results are the same."""
        check_state(self.chip, self.seed, state, like=self.save_state())
        self._engine.load_state(state)
        self._waiting = Waiting()
        self._waiting.add(Events(*state["waiting"]))
        self._forget()

    def check(self, given: Spikes) -> None:
        """Raise InputError for spikes that are out of range or belong to the past."""
        check_spikes(given, self.chip, self._rows, self.tick)

    def _as_spikes(self, spikes: SpikeInput) -> Spikes:
        """Spikes in any form; a raster begins with the next tick of the network."""
        return as_spikes(spikes, -(-self.tick // self.chip.dilation))

    def due(self, given: Spikes, start: int, stop: int) -> Spikes:
        """The spikes that enter in the chip's ticks ``start`` .. ``stop - 1``."""
        ticks = ticks_per(given, self.chip)
        return given.window(-(-start // ticks), -(-stop // ticks))

    def _events(self, spikes: SpikeInput) -> Events:
        given = self._as_spikes(spikes)
        self.check(given)
        if given.is_network:
            return self._fan.events(given.tick, given.line)
        return Events(given.tick, self._rows[given.core], given.axon)

    def _chip_facts(self) -> ChipFacts:
        if self._facts is None:
            self._facts = ChipFacts.of(self.chip)
        return self._facts

    def _prepare(self) -> tuple[CoreCounts, PopulationFan]:
        """The tables with which :meth:`counted` turns counters into counts, made when they are first needed."""
        self._chip_facts()
        if self._core_counts is None:
            self._core_counts = CoreCounts(self.chip)
        if self._fan_by_population is None:
            self._fan_by_population = PopulationFan(self.chip)
        return self._core_counts, self._fan_by_population

    def counted(self, seconds: float = 0.0) -> RunResult:
        """What :meth:`advance` did since :meth:`begin`, but for output spikes and probes, which it returned."""
        cores, fan = self._prepare()
        counters = self._engine.counters()
        return RunResult(
            chip=self._chip_facts(),
            ticks=self.tick - self._first,
            first_tick=self._first,
            seed=self.seed,
            spikes=Spikes.empty(),
            output_merges=0,
            cores=cores.count(counters, self._packets.copy()),
            neuron_spikes=counters.neuron_spikes,
            population_events=fan.count(counters),
            membranes=self._engine.membranes(),
            probes={item.text: item.nothing() for item in self._watched},
            seconds=seconds,
            threads=self.threads,
        )

    def step_axons(self, axons: Iterable[tuple[int, int]]) -> Array:
        """:meth:`step` for a chip without input lines: ``axons`` are the pairs (core, axon) that get a spike from outside."""
        self.send_axons(axons)
        return self._stepped_once()

    def send_axons(self, axons: Iterable[tuple[int, int]]) -> None:
        """:meth:`send_lines` for a chip without input lines."""
        self.send(as_axons(axons, self.tick))

    def stream(self, lines_by_tick: Iterable[Iterable[int]]) -> Iterator[Array]:
        """Run one tick for each item, the input lines that spike in it; yields the output lines that fired, as :meth:`step`.

        Items are taken when their tick comes, so that a generator may answer what it has seen.
        """
        for lines in items("the lines of a stream", lines_by_tick, "input lines for every tick"):
            yield self.step(lines)


def _tick_bytes(chip: ChipConfig, probes: Probes) -> tuple[int, int]:
    """Bytes that a tick records: of membranes, and of spikes if everything that is recorded fires."""
    n_watched = int((chip.cores.target_core == OUTPUT).sum())
    if probes.spikes is not None:
        n_watched += int(probes.spikes.sum())
    return MEMBRANE_BYTES * probes.n_membranes, SPIKE_BYTES * n_watched
