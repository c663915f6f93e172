"""Recording to disk: bounded memory, what a killed run leaves behind, and damaged part files."""

from __future__ import annotations

import errno
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

import neurocore as nc
from neurocore import container, emulator, partfile, recorder
from neurocore.cli import main
from neurocore.compare import first_difference
from neurocore.errors import InputError, OutputError
from neurocore.partfile import PartFile
from neurocore.recorder import Recorder, recover

COMMAND = [sys.executable, "-P", "-c", "from neurocore.cli import main; main()"]
MEMORY = """
import resource, sys
from neurocore.cli import main
try:
    main()
except SystemExit:
    pass
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, file=sys.stderr)
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    net = nc.Network("pacemaker")
    cells = net.population("cells", 20, threshold=3, leak=1, reset_mode="linear", initial=list(range(-10, 10)))
    net.output("spikes", cells)
    nc.compile(net, chip="truenorth").save(str(tmp_path / "c.h5"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def arguments(ticks: int, output: str) -> list[str]:
    return ["run", "c.h5", "--ticks", str(ticks), "-o", output, "--probe", "cells:membrane"]


def kill_a_run() -> None:
    """Start a long run and kill it as soon as something of it can be recovered."""
    process = subprocess.Popen(COMMAND + arguments(500_000_000, "r.h5"), stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        time.sleep(0.2)
        try:
            recover("r.h5.part", "try.h5")
            break
        except InputError:
            continue
    process.kill()
    process.wait(30)


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
def test_killed_run_is_recovered(folder: Path) -> None:
    kill_a_run()
    assert not os.path.exists("r.h5")
    assert subprocess.run([*COMMAND, "recover", "r.h5.part", "-o", "rescued.h5"], capture_output=True).returncode == 0
    rescued = nc.load_run("rescued.h5")
    assert rescued.ticks > 0
    subprocess.run(COMMAND + arguments(rescued.ticks, "whole.h5"), check=True, capture_output=True)
    assert first_difference(rescued, nc.load_run("whole.h5")) is None
    assert not os.path.exists("whole.h5.part")


def test_record_equals_run(folder: Path) -> None:
    emulator = nc.Emulator(nc.load("c.h5"), probes=["cells:membrane"])
    fields = emulator.record("r.h5", ticks=3000)
    emulator.reset()
    run = emulator.run(ticks=3000)
    assert first_difference(nc.load_run("r.h5"), run) is None
    assert fields["spikes"] == run.n_spikes
    assert not os.path.exists("r.h5.part")


@pytest.mark.slow
def test_memory_does_not_grow_with_ticks(folder: Path) -> None:
    peaks = []
    for ticks in (300_000, 1_500_000):
        done = subprocess.run(
            [sys.executable, "-P", "-c", MEMORY, *arguments(ticks, "r.h5")], capture_output=True, text=True, check=True
        )
        peaks.append(int(done.stderr.split()[-1]) / (1 if sys.platform == "darwin" else 1024))
    # 1,200,000 more ticks of 20 membranes are 96 MB, their 8 million spikes 128 MB twice over.
    assert peaks[1] < peaks[0] + 8
    assert nc.load_run("r.h5").probes["cells:membrane"].membranes.shape == (1_500_000, 20)


def test_damaged_part_files(folder: Path) -> None:
    foreign = folder / "foreign.part"
    foreign.write_bytes(b"PK\3\4" + bytes(500))
    with pytest.raises(InputError, match="not the part file of a run"):
        recover(str(foreign), "x.h5")
    foreign.write_bytes(b"neurocore recording 1\n")
    with pytest.raises(InputError, match=r"foreign\.part"):
        recover(str(foreign), "x.h5")
    assert not os.path.exists("x.h5")


@pytest.mark.parametrize("place", ["header", "head", "newest flush", "rows"])
def test_part_file_with_a_flipped_byte(folder: Path, monkeypatch: pytest.MonkeyPatch, place: str) -> None:
    """Damage is found, or lies in the newest flush, without which the one before it counts."""
    flush_after_every_part(monkeypatch)
    with full_disk("rename"), pytest.raises(OutputError):
        nc.Emulator(nc.load("c.h5"), probes=["cells:membrane"]).record("r.h5", ticks=2000)
    recover("r.h5.part", "good.h5")
    data = bytearray(Path("r.h5.part").read_bytes())
    slots = [match.start() for match in re.finditer(b"NCflush\n", data)]
    newest = max(slots, key=lambda start: int.from_bytes(data[start + 8 : start + 16], "little"))
    data[{"header": 40, "head": 200, "newest flush": newest + 20, "rows": -1}[place]] ^= 0x55
    Path("bad.part").write_bytes(data)
    if place != "newest flush":
        with pytest.raises(InputError, match=r"bad\.part"):
            recover("bad.part", "bad.h5")
        assert not os.path.exists("bad.h5")
        return
    ticks = recover("bad.part", "bad.h5").head.ticks
    good, bad = nc.load_run("good.h5"), nc.load_run("bad.h5")
    assert 0 < ticks < good.ticks == 2000
    np.testing.assert_array_equal(
        bad.probes["cells:membrane"].membranes, good.probes["cells:membrane"].membranes[:ticks]
    )


def flush_after_every_part(patch: pytest.MonkeyPatch) -> None:
    """Parts of at most 64 ticks or so, each flushed at once."""
    patch.setattr(recorder, "FIRST_FLUSH_SECONDS", 0.0)
    patch.setattr(recorder, "FLUSH_SECONDS", 0.0)
    patch.setattr(recorder, "FLUSH_SHARE", 1e9)
    patch.setattr(emulator, "CHUNK_BYTES", 2**16)


@contextmanager
def full_disk(stage: str) -> Iterator[None]:
    """The disk is full when a run comes to this stage, after some whole flushes if it is one of recording."""
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    usual = PartFile._write
    syncs = iter(range(100))

    def fail(*_: object) -> None:
        raise full

    def write(self: PartFile, place: int, data: bytes) -> None:
        where = "header" if place == 0 else "rows" if place >= self._data else "slot"
        if where == stage and (where == "header" or self._n_flushes >= 2):
            fail()
        usual(self, place, data)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(PartFile, "_write", write)
        if stage == "sync":
            patch.setattr(partfile, "_sync", lambda file: fail() if next(syncs) > 4 else os.fsync(file))
        if stage == "join":
            patch.setattr(container._Sink, "write", lambda self, data: setattr(self, "failure", full) or len(data))
        if stage == "last sync":
            patch.setattr(container, "_to_disk", fail)
        if stage == "rename":
            patch.setattr(os, "replace", fail)
        yield


@pytest.mark.parametrize("stage", ["header", "rows", "slot", "sync", "join", "last sync", "rename"])
def test_disk_fills_at(
    stage: str, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One sentence that names the file that the user asked for; what was flushed can be recovered when there is room again."""
    flush_after_every_part(monkeypatch)
    with full_disk(stage), pytest.raises(SystemExit) as stop:
        main(arguments(1000, "r.h5"))
    assert stop.value.code == 6
    (sentence,) = capsys.readouterr().err.splitlines()
    assert sentence.startswith("neurocore: r.h5 cannot be written: no space left on device; free some space")
    if stage == "header":
        assert os.listdir() == ["c.h5"]
        return
    assert sorted(os.listdir()) == ["c.h5", "r.h5.part"]
    assert sentence.endswith("in r.h5.part: neurocore recover r.h5.part -o r.h5 makes a run file of them")
    ticks = recover("r.h5.part", "r.h5").head.ticks
    told = int(sentence.split(" ticks are kept")[0].split()[-1].replace(",", ""))
    assert ticks >= told if stage == "sync" else ticks == told  # a flush may be whole though its last sync failed
    assert ticks == 1000 if stage in ("join", "last sync", "rename") else 0 < ticks < 1000
    whole = nc.Emulator(nc.load("c.h5"), probes=["cells:membrane"]).run(ticks=ticks)
    assert first_difference(nc.load_run("r.h5"), whole) is None


def test_short_run_is_kept_when_its_file_cannot_be_written(folder: Path) -> None:
    emulator = nc.Emulator(nc.load("c.h5"))
    with full_disk("rename"), pytest.raises(OutputError, match=r"r\.h5 cannot .* 10 ticks are kept"):
        emulator.record("r.h5", ticks=10)
    assert recover("r.h5.part", "r.h5").head.ticks == 10


def test_limit_on_file_size(folder: Path) -> None:
    resource = pytest.importorskip("resource")
    done = subprocess.run(
        COMMAND + arguments(3_000_000, "r.h5"),
        capture_output=True,
        text=True,
        preexec_fn=lambda: (
            resource.setrlimit(resource.RLIMIT_FSIZE, (12_000_000, 12_000_000)),
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN),
        ),
    )
    assert done.returncode == 6
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith("neurocore: r.h5 cannot be written: file too large; free some space")
    assert sorted(os.listdir()) == ["c.h5", "r.h5.part"]
    assert recover("r.h5.part", "r.h5").head.ticks > 0


def test_earlier_part_files_are_set_aside(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """However often a run is broken off, nothing that was recorded is lost."""
    for ticks in (100, 200, 300):
        with full_disk("rename"), pytest.raises(SystemExit):
            main(arguments(ticks, "r.h5"))
    shown = capsys.readouterr().err
    assert "neurocore: what an earlier run had left in r.h5.part is now in r.h5.part.2\n" in shown
    kept = {name: recover(name, "x.h5").head.ticks for name in ("r.h5.part.1", "r.h5.part.2", "r.h5.part")}
    assert kept == {"r.h5.part.1": 100, "r.h5.part.2": 200, "r.h5.part": 300}


def test_part_file_in_use_is_left_alone(folder: Path) -> None:
    chip = nc.load("c.h5")
    with Recorder(nc.Emulator(chip), "r.h5") as first:
        first.advance(5)
        first.flush()
        with Recorder(nc.Emulator(chip), "r.h5") as second:
            second.advance(7)
            with pytest.raises(
                OutputError, match=r"r\.h5\.part is being written by another run; give this one another"
            ):
                second.flush()
        assert first.finish()["ticks"] == 5
    assert not os.path.exists("r.h5.part")


def test_whatever_is_on_the_disk_can_be_recovered(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the disk holds when the machine crashes is at least what was there at the last sync, and may be all that followed."""
    states: list[bytes] = []
    monkeypatch.setattr(partfile, "_sync", lambda file: states.append(Path("r.h5.part").read_bytes()))
    flush_after_every_part(monkeypatch)
    nc.Emulator(nc.load("c.h5"), probes=["cells:membrane"]).record("r.h5", ticks=500)
    run = nc.load_run("r.h5")
    assert len(states) > 10
    ticks = []
    for before, after in pairwise(states[1:]):
        # All of the file as it became, and with only the first half of what was written since in place.
        half = (len(before) + len(after)) // 2
        for number, data in enumerate((after, after[:half].ljust(len(before), b"\0"))):
            Path("crash.part").write_bytes(data)
            ticks.append(recover("crash.part", "crash.h5").head.ticks)
            crashed = nc.load_run("crash.h5").probes["cells:membrane"].membranes
            np.testing.assert_array_equal(
                crashed, run.probes["cells:membrane"].membranes[: ticks[-1]], err_msg=str(number)
            )
    assert ticks[0] > 0
    assert ticks[-1] == 500
    assert ticks == sorted(ticks)
