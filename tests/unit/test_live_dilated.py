"""Live runs of chips that take several ticks to one of their network: its ticks in, its ticks out."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from live_script import Script
from neurocore.architecture import load_architecture
from neurocore.cli import main
from neurocore.compare import first_difference
from neurocore.compiler.check import check
from neurocore.compiler.network import Network
from neurocore.compiler.pipeline import compile_network
from neurocore.compiler.reference import Reference
from neurocore.config import ChipConfig
from neurocore.emulator import Emulator
from neurocore.errors import InputError, UsageError
from neurocore.live import LiveRun
from neurocore.options import ENGINES
from neurocore.runfile import load_run
from neurocore.spikes import Spikes

TICKS = 12
"""Ticks of the network that are compared."""


def dense() -> Network:
    """A layer of signed weights from 400 lines, and one that it drives after two ticks."""
    rng = np.random.default_rng(1)
    net = Network("dense")
    lines, hidden = net.input("image", 400), net.population("hidden", 6, threshold=5, floor=20)
    last = net.population("last", 3, threshold=1)
    net.connect(lines, hidden, rng.choice([-1, 1], (400, 6)))
    net.connect(hidden, last, rng.integers(0, 2, (6, 3)), delay=2)
    net.output("out", last)
    net.output("hidden", hidden)
    return net


@pytest.fixture(scope="module")
def chip() -> ChipConfig:
    return compile_network(dense(), fan_in="dilate")


@pytest.fixture(scope="module")
def spikes() -> Spikes:
    return Spikes.from_lines(*np.nonzero(np.random.default_rng(2).random((TICKS, 400)) < 0.2))


def as_lines(spikes: Spikes) -> bytes:
    return "".join(f"{t},{n}\n" for t, n in zip(spikes.tick, spikes.line, strict=True)).encode()


def ticks_for(chip: ChipConfig) -> int:
    """Ticks of the network in which the answers to TICKS of them are out."""
    return TICKS + chip.latency // chip.dilation + 1


@pytest.mark.parametrize("engine", ENGINES)
def test_spikes_leave_in_ticks_of_the_network(chip: ChipConfig, spikes: Spikes, engine: str) -> None:
    """What the network itself does, whole ticks of latency later, and what any other run does, frame by frame."""
    script = Script(as_lines(spikes))
    report = LiveRun(Emulator(chip, engine=engine), script, ticks=ticks_for(chip)).run()
    net = check(dense(), load_architecture("truenorth"))
    simulator = Reference(net, chip.architecture)
    fired = [simulator.tick(spikes.line[spikes.tick == now])[net.output_neuron] for now in range(TICKS)]
    late = chip.latency // chip.dilation
    expected = [(now + late, line) for now in range(TICKS) for line in np.flatnonzero(fired[now]).tolist()]
    assert [row for row in script.rows if row[0] < TICKS + late] == expected
    assert len(expected) > 20
    run = Emulator(chip).run(spikes, ticks_for(chip) * chip.dilation)
    frames = zip((run.spikes.tick // chip.dilation).tolist(), run.spikes.line.tolist(), strict=True)
    assert script.rows == list(frames)
    assert (report.ticks, report.dilation, report.input_spikes) == (ticks_for(chip), chip.dilation, len(spikes))
    assert report.output_spikes == len(script.rows)
    assert str(report).startswith(f"{report.ticks} ticks of {chip.dilation} of the chip in ")


def test_a_tick_is_run_when_a_later_one_is_named(chip: ChipConfig) -> None:
    emulator = Emulator(chip)
    script = Script(b"0,1\n0,2\n", b"3\n")
    report = LiveRun(emulator, script).run()
    assert (report.ticks, emulator.tick, report.ended) == (3, 3 * chip.dilation, "input")
    with pytest.raises(InputError, match=r"^stdin:1: tick 2 is in the past, the chip stands at tick 3;"):
        LiveRun(emulator, Script(b"2,1\n")).run()


def test_paced_ticks_are_those_of_the_network(chip: ChipConfig) -> None:
    """Lines without ticks, in the first and the fourth period."""
    period = 0.01
    bright = "".join(f"{line}\n" for line in range(0, 400, 3))
    script = Script((0.0, b"line\n"), (0.004, bright.encode()), (0.034, bright.encode()))
    emulator = Emulator(chip)
    live = LiveRun(emulator, script, ticks=8, tick_hz=1 / period, clock=script.clock, sleep=script.sleep)
    report = live.run()
    tick = np.repeat([1, 4], len(range(0, 400, 3)))
    run = Emulator(chip).run(Spikes.from_lines(tick, np.tile(range(0, 400, 3), 2)), 8 * chip.dilation)
    assert script.rows == list(zip((run.spikes.tick // chip.dilation).tolist(), run.spikes.line.tolist(), strict=True))
    assert len(script.rows) > 3
    assert (report.ticks, report.late_ticks, emulator.tick) == (8, 0, 8 * chip.dilation)
    assert report.seconds == pytest.approx(7 * period)


def test_refusals(chip: ChipConfig) -> None:
    k = chip.dilation
    with pytest.raises(
        InputError,
        match=rf"^stdin:2: core 0, axon 5: 'dense' takes {k} ticks to one of its network, whose spikes enter on",
    ):
        LiveRun(Emulator(chip), Script(b"tick,core,axon\n0,0,5\n")).run()
    emulator = Emulator(chip)
    emulator.step([1])
    with pytest.raises(
        UsageError, match=f"stands at chip tick 1, within a tick of the network, which is {k} of 'dense'"
    ):
        LiveRun(emulator, Script())


def test_command_line(
    chip: ChipConfig,
    spikes: Spikes,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The run file is that of any other run, in ticks of the chip; the chip's own rate makes the network's."""
    monkeypatch.chdir(tmp_path)
    chip.save("c.h5")
    (tmp_path / "in.csv").write_bytes(b"tick,line\n" + as_lines(spikes))

    def call(*options: str) -> tuple[str, str]:
        with open("in.csv") as stdin, monkeypatch.context() as patch:
            patch.setattr(sys, "stdin", stdin)
            with pytest.raises(SystemExit) as stop:
                main(["run", "c.h5", *options])
        captured = capsys.readouterr()
        assert (stop.value.code or 0) == 0, captured.err
        return captured.out, captured.err

    ticks = ticks_for(chip)
    out, err = call("--live", "--ticks", str(ticks), "-o", "live.h5", "--json")
    assert (json.loads(err)["ticks"], json.loads(err)["dilation"]) == (ticks, chip.dilation)
    call("--input", "in.csv", "--ticks", str(ticks * chip.dilation), "-o", "run.h5")
    assert first_difference(load_run("live.h5"), load_run("run.h5")) is None
    assert out.count("\n") == len(load_run("run.h5").spikes) > 20
    err = call("--live", "--ticks", "2", "--pace", "real", "--json")[1]
    assert json.loads(err)["tick_hz"] == pytest.approx(1000 / chip.dilation)
