"""Recording to disk: bounded memory, what a killed run leaves behind, and damaged part files."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import neurocore as nc
from neurocore.compare import first_difference
from neurocore.errors import InputError
from neurocore.recorder import recover

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
    assert peaks[1] < peaks[0] + 60
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


@pytest.mark.parametrize("byte", [40, 200, -1])
def test_part_file_with_a_flipped_byte(folder: Path, byte: int) -> None:
    """Damage is found, or lies in what the newest whole flush does not need."""
    kill_a_run()
    recover("r.h5.part", "good.h5")
    data = bytearray(Path("r.h5.part").read_bytes())
    data[byte] ^= 0x55
    Path("bad.part").write_bytes(data)
    try:
        recover("bad.part", "bad.h5")
    except InputError:
        return
    good, bad = nc.load_run("good.h5"), nc.load_run("bad.h5")
    assert bad.ticks <= good.ticks
    ticks = bad.ticks
    np.testing.assert_array_equal(
        bad.probes["cells:membrane"].membranes, good.probes["cells:membrane"].membranes[:ticks]
    )


def test_full_disk(folder: Path) -> None:
    resource = pytest.importorskip("resource")
    done = subprocess.run(
        COMMAND + arguments(3_000_000, "r.h5"),
        capture_output=True,
        text=True,
        preexec_fn=lambda: (
            resource.setrlimit(resource.RLIMIT_FSIZE, (4_000_000, 4_000_000)),
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN),
        ),
    )
    assert done.returncode == 6
    assert "Traceback" not in done.stderr
    assert not os.path.exists("r.h5")
