"""However a run is made it is the same run: in parts, by ticks, recorded, live, killed and recovered, saved and restored."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property, reduce
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neurocore.architecture import load_architecture
from neurocore.checkpoint import run_with_checkpoints
from neurocore.compare import first_difference
from neurocore.config import ChipConfig
from neurocore.emulator import Emulator
from neurocore.live import LiveRun
from neurocore.partfile import SLOT, SLOT_MAGIC
from neurocore.recorder import Recorder, recover
from neurocore.result import RunResult, join_runs
from neurocore.runfile import load_run
from neurocore.spikes import Spikes
from random_chips import random_chip, with_lines

PROBES = ("a:membrane", "b")
TICKS = 40


@dataclass(frozen=True)
class Case:
    """A chip with input, and the ticks 0 = first < … < last = TICKS between which something happens to the run."""

    chip: ChipConfig
    spikes: Spikes
    bounds: tuple[int, ...]
    threads: int

    def emulator(self, probes: tuple[str, ...] = PROBES) -> Emulator:
        return Emulator(self.chip, threads=self.threads, probes=probes)

    @property
    def parts(self) -> Iterator[tuple[int, int, Spikes]]:
        return ((start, stop, self.spikes.window(start, stop)) for start, stop in pairwise(self.bounds))

    @cached_property
    def whole(self) -> RunResult:
        return self.up_to(TICKS)

    def up_to(self, ticks: int, engine: str = "compiled") -> RunResult:
        """The first ticks in one go."""
        return Emulator(self.chip, threads=1, engine=engine, probes=PROBES).run(self.spikes, ticks)

    def lines(self, tick: int) -> list[int]:
        return self.spikes.line[self.spikes.tick == tick].tolist()


@st.composite
def cases(draw: st.DrawFn, architecture: str = "tiny") -> Case:
    seed = draw(st.integers(0, 2**32 - 1))
    chip = with_lines(random_chip(load_architecture(architecture), seed, draw(st.integers(1, 5)), n_outputs=3), seed)
    rng = np.random.default_rng(seed)
    n = draw(st.sampled_from([0, TICKS // 2, 3 * TICKS]))
    spikes = Spikes.from_lines(rng.integers(0, TICKS, n), rng.integers(0, chip.n_inputs, n))
    cuts = draw(st.sets(st.integers(1, TICKS - 1), max_size=6))
    return Case(chip, spikes, (0, *sorted(cuts), TICKS), draw(st.integers(1, 3)))


FEWER = settings(max_examples=settings.default.max_examples // 3)


@pytest.fixture(autouse=True)
def small_buffers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows go to the disk at once, and a test alone says when they are flushed."""
    monkeypatch.setattr("neurocore.recorder.BUFFER_BYTES", 0)
    monkeypatch.setattr("neurocore.recorder.FIRST_FLUSH_SECONDS", 1e9)
    monkeypatch.setattr("neurocore.recorder.FLUSH_SECONDS", 1e9)
    monkeypatch.setattr("neurocore.emulator.CHUNK_BYTES", 2**12)
    for name in ("os.fsync", "neurocore.partfile._sync"):  # nothing here crashes the machine
        monkeypatch.setattr(name, lambda file: None)


@contextmanager
def run_path() -> Iterator[Path]:
    with TemporaryDirectory() as folder:
        yield Path(folder) / "r.h5"


def assert_same(found: RunResult, expected: RunResult) -> None:
    assert first_difference(found, expected) is None
    np.testing.assert_array_equal(found.population_events, expected.population_events)
    assert found.probes.keys() == expected.probes.keys()
    for name, probe in expected.probes.items():
        assert found.probes[name].membranes.shape == probe.membranes.shape
        np.testing.assert_array_equal(found.probes[name].shift, probe.shift)


@given(cases())
def test_in_one_go(case: Case) -> None:
    """As by the executable specification."""
    assert_same(case.emulator().run(case.spikes, TICKS), case.up_to(TICKS, "oracle"))


@settings(FEWER)
@given(st.sampled_from(["tiny", "truenorth"]).flatmap(cases))
def test_in_parts(case: Case) -> None:
    emulator, early = case.emulator(), case.emulator()
    assert_same(reduce(join_runs, [emulator.run(part, stop - start) for start, stop, part in case.parts]), case.whole)
    early.send(case.spikes)
    assert_same(reduce(join_runs, [early.run(None, stop - start) for start, stop, _ in case.parts]), case.whole)


@given(cases())
def test_without_probes(case: Case) -> None:
    run = case.emulator(()).run(case.spikes, TICKS)
    assert first_difference(run, case.whole) is None
    assert not run.probes


@given(cases())
def test_tick_by_tick(case: Case) -> None:
    emulator = case.emulator()
    fired = [emulator.step(case.lines(tick)).tolist() for tick in range(TICKS)]
    shown = case.whole.spikes
    assert fired == [shown.line[shown.tick == tick].tolist() for tick in range(TICKS)]
    np.testing.assert_array_equal(emulator.run(None, 0).membranes, case.whole.membranes)


@given(cases())
def test_probes_of_steps(case: Case) -> None:
    emulator = case.emulator()
    parts = []
    for start, stop, _ in case.parts:
        for tick in range(start, stop):
            emulator.step(case.lines(tick))
        parts.append(emulator.take_probes())
    for name, probe in case.whole.probes.items():
        joined = np.concatenate([part[name].membranes for part in parts])
        np.testing.assert_array_equal(joined.reshape(probe.membranes.shape), probe.membranes)
        ticks, lines = (
            np.concatenate([getattr(part[name].spikes, what) for part in parts]) for what in ("tick", "line")
        )
        assert Spikes.from_lines(ticks, lines) == probe.spikes


@given(cases())
def test_saved_and_restored(case: Case) -> None:
    """Every part runs on an emulator of its own, which gets nothing but the state; all input is under way from the start."""
    emulator = case.emulator()
    emulator.send(case.spikes)
    runs = []
    for start, stop, _ in case.parts:
        state = emulator.save_state()
        emulator = case.emulator()
        emulator.load_state(state)
        runs.append(emulator.run(None, stop - start))
    assert_same(reduce(join_runs, runs), case.whole)


@settings(FEWER)
@given(cases(), st.booleans())
def test_recorded(case: Case, flush: bool) -> None:
    with run_path() as path, Recorder(case.emulator(), str(path)) as recorder:
        for _, stop, part in case.parts:
            recorder.run(part, stop)
            if flush:
                recorder.flush()
        fields = recorder.finish()
        assert_same(load_run(str(path)), case.whole)
        assert fields["spikes"] == case.whole.n_spikes
        assert [item.name for item in path.parent.iterdir()] == ["r.h5"]


@settings(FEWER)
@given(cases())
def test_recorded_tick_by_tick(case: Case) -> None:
    with run_path() as path, Recorder(case.emulator(), str(path)) as recorder:
        for start, stop, _ in case.parts:
            for tick in range(start, stop):
                recorder.step(case.lines(tick))
            recorder.flush()
        recorder.finish()
        assert_same(load_run(str(path)), case.whole)


class Text:
    """An endpoint that gives a text at once and forgets what it gets."""

    name = "text"

    def __init__(self, text: str) -> None:
        self.pieces = [text.encode(), b""]

    def read(self, timeout: float | None) -> bytes:
        return self.pieces.pop(0)

    def write(self, data: bytes) -> None:
        pass


@settings(FEWER)
@given(cases())
def test_recorded_live(case: Case) -> None:
    rows = zip(case.spikes.tick.tolist(), case.spikes.line.tolist(), strict=True)
    text = Text("".join(f"{tick},{line}\n" for tick, line in rows))
    emulator = case.emulator()
    with run_path() as path, Recorder(emulator, str(path)) as recorder:
        LiveRun(emulator, text, ticks=TICKS, recorder=recorder).run()
        recorder.finish()
        assert_same(load_run(str(path)), case.whole)


@settings(FEWER)
@given(cases(), st.data())
def test_killed_and_recovered(case: Case, data: st.DataObject) -> None:
    """What was run since the last flush may be in the file or not; what was flushed is there whole."""
    flushed = data.draw(st.sampled_from(case.bounds[1:]))
    with run_path() as path, Recorder(case.emulator(), str(path)) as recorder:
        for _, stop, part in case.parts:
            recorder.run(part, stop)
            if stop <= flushed:
                recorder.flush()
        left = path.with_name("left.part")
        shutil.copy(f"{path}.part", left)
        recorder.finish()
        with left.open("r+b") as file:  # as much of the rest as the disk happened to get
            unflushed = file.seek(0, 2) - flushed_bytes(left)
            file.truncate(flushed_bytes(left) + data.draw(st.integers(0, unflushed)))
        recover(str(left), str(path))
        assert_same(load_run(str(path)), case.up_to(flushed))


def flushed_bytes(part: Path) -> int:
    """Where the rows of the newest flush end."""
    text = part.read_bytes()
    slots = [SLOT.unpack_from(text, match.start()) for match in re.finditer(SLOT_MAGIC, text)]
    return max(slots, key=lambda slot: slot[1])[3]


@settings(FEWER)
@given(cases(), st.integers(9, 25))
def test_resumed_from_a_checkpoint(case: Case, every: int) -> None:
    cut = case.bounds[1]
    with run_path() as path:
        checkpoint = str(path.with_name("c.h5"))
        for ticks, resume in ((cut, None), (TICKS, checkpoint)):
            with Recorder(case.emulator(), str(path)) as recorder:
                run_with_checkpoints(recorder, case.spikes, ticks, checkpoint, every, resume, lambda done, total: None)
                recorder.finish()
        assert_same(load_run(str(path)), case.whole)
