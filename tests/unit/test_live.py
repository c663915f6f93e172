"""Live runs: the same spikes as a batch run, pacing by a clock of our own, sockets, and input and readers that misbehave."""

from __future__ import annotations

import io
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from live_script import Script
from neurocore.architecture import Architecture
from neurocore.cli import main
from neurocore.compare import first_difference
from neurocore.compiler.network import Network
from neurocore.compiler.pipeline import compile_network
from neurocore.config import ChipConfig
from neurocore.emulator import Emulator
from neurocore.endpoint import client, parse_port
from neurocore.errors import InputError, OutputError, UsageError
from neurocore.live import MAX_LINE_BYTES, LiveRun
from neurocore.options import ENGINES
from neurocore.recorder import Recorder, recover
from neurocore.runfile import load_run
from neurocore.spikes import Spikes
from random_chips import random_chip, random_events

ROOT = Path(__file__).resolve().parents[2]
PERIOD = 0.01


@pytest.fixture(scope="module")
def chip() -> ChipConfig:
    """Eight lines, a delay of 3 ticks at the input, and thresholds that draw random numbers."""
    net = Network("live")
    pixels = net.input("pixels", 8)
    hidden = net.population("hidden", 12, threshold=2, threshold_mask_bits=2, reset_mode="linear")
    net.connect(pixels, hidden, np.random.default_rng(1).integers(-1, 3, (8, 12)), delay=3)
    net.output("class", hidden)
    return compile_network(net, "truenorth")


@pytest.fixture(scope="module")
def relay() -> ChipConfig:
    """Output line l fires one tick after input line l."""
    net = Network("relay")
    pixels = net.input("pixels", 8)
    copy = net.population("copy", 8, threshold=1)
    net.connect(pixels, copy, np.eye(8, dtype=int))
    net.output("copy", copy)
    return compile_network(net, "truenorth")


def live(chip: ChipConfig, *pieces: bytes | tuple[float, bytes], hz: float | None = None, ticks: int | None = None):
    script = Script(*pieces)
    run = LiveRun(Emulator(chip), script, ticks=ticks, tick_hz=hz, clock=script.clock, sleep=script.sleep)
    return run.run(), script


# The input is the clock.


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("piece", [1, 7, 100_000])
def test_live_equals_batch(chip: ChipConfig, engine: str, piece: int) -> None:
    tick, line = np.nonzero(np.random.default_rng(3).random((60, 8)) < 0.3)
    expected = Emulator(chip, engine="oracle").run(Spikes.from_lines(tick, line), 80).spikes
    text = "".join(f"{t},{n}\n" for t, n in zip(tick, line, strict=True)).encode()
    script = Script(*(text[start : start + piece] for start in range(0, len(text), piece)))
    report = LiveRun(Emulator(chip, engine=engine), script, ticks=80).run()
    assert len(expected) > 20
    assert script.rows == list(zip(expected.tick.tolist(), expected.line.tolist(), strict=True))
    assert (report.ticks, report.input_spikes, report.output_spikes) == (80, len(tick), len(expected))
    assert report.ended == "ticks"


@pytest.mark.parametrize("seed", range(3))
def test_live_equals_batch_on_axons(tiny: Architecture, seed: int) -> None:
    chip = random_chip(tiny, seed)
    tick, row, axon = random_events(chip, seed, 40, 0.2)
    core = chip.cores.core[row]
    spikes = Spikes.from_axons(tick, core, axon)
    expected = Emulator(chip).run(spikes, 45).spikes
    rows = zip(*(column.tolist() for column in spikes.columns.values()), strict=True)
    script = Script(*("tick,core,axon\n" + "".join(f"{t},{c},{a}\n" for t, c, a in rows)).encode().splitlines(True))
    LiveRun(Emulator(chip), script, ticks=45).run()
    assert script.rows == list(zip(expected.tick.tolist(), expected.line.tolist(), strict=True))


def test_spikes_leave_as_soon_as_their_tick_is_complete(relay: ChipConfig) -> None:
    latency = Emulator(relay).run([(0, 0)], 20).spikes.tick[0]
    last = f"{latency}\n{latency + 1}\n".encode()
    _, script = live(relay, b"0,3\n", last[:-2], last[-2:], b"9,1\n")
    # The third piece ends the heartbeat that completes the tick; the spike is out before the fourth is read.
    assert script.written[0] == (3, f"{latency},3\n".encode())


@pytest.mark.parametrize(
    ("text", "ticks"), [(b"7\n", 7), (b"7,\n", 7), (b"7,1\n", 8), (b"", 0), (b"# x\r\n\n 2 , 1 \r\n3", 3)]
)
def test_the_input_says_how_far_to_run(relay: ChipConfig, text: bytes, ticks: int) -> None:
    report, _ = live(relay, text)
    assert (report.ticks, report.ended) == (ticks, "input")


def test_ticks_end_a_run_whose_input_goes_on(relay: ChipConfig) -> None:
    report, script = live(relay, b"0,1\n4,2\n4,3\n9,1\n", b"never read", ticks=5)
    assert (report.ticks, report.input_spikes, report.ended) == (5, 3, "ticks")
    assert script.pieces


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("0,1\n0,8\n", "stdin:2: input line 8 does not exist; the chip has 8 input lines"),
        ("5,1\n4,1\n", "stdin:2: tick 4 is in the past, the chip stands at tick 5; ticks must not decrease"),
        ("5\n4\n", "stdin:2: tick 4 is in the past, the chip stands at tick 5; ticks must not decrease"),
        ("0,x\n", "stdin:1: line is 'x'; a whole number 0..4611686018427387903 was expected"),
        ("-1,2\n", "stdin:1: tick is '-1'; a whole number 0..4611686018427387903 was expected"),
        ("9999999999999999999,2\n", "stdin:1: tick is '9999999999999999999'; a whole number 0..4611686018427387903 was expected"),
        ("\n0,1,2\n", "stdin:2: found '0,1,2'; tick,line was expected, or a tick alone"),
        ("line\n3\n", "stdin:1: the header 'line' has no tick; without --pace every spike needs one: tick,line"),
        ("0" * 300 + "\n", f"stdin:1: the line is longer than {MAX_LINE_BYTES} bytes; tick,line was expected, or a tick alone"),
        ("0" * 300, f"stdin:1: the line is longer than {MAX_LINE_BYTES} bytes; tick,line was expected, or a tick alone"),
        ("tick,core,axon\n0,4000,1\n", "stdin:2: core 4000 is not configured on 'relay'; see neurocore inspect"),
        ("tick,core,axon\n0,0,256\n", "stdin:2: axon 256 does not exist; a core has 256 axons"),
        ("0,\xff\n", "stdin:1: line is 'ÿ'; a whole number 0..4611686018427387903 was expected"),
    ],
)  # fmt: skip
def test_bad_rows(relay: ChipConfig, text: str, sentence: str) -> None:
    if "0,0,256" in text:
        text = text.replace("0,0,", f"0,{relay.cores.core[0]},")
    with pytest.raises(InputError) as caught:
        live(relay, text.encode())
    assert str(caught.value) == sentence


# The computer's clock.


def test_paced_ticks_take_what_has_come_by_then(relay: ChipConfig) -> None:
    """Spikes without ticks, one in the first period and two in the fourth; the chip never waits for them."""
    latency = int(Emulator(relay).run([(0, 0)], 20).spikes.tick[0])
    pieces = [(0.0, b"line\n"), (0.004, b"1\n"), (0.034, b"2\n5\n")]
    report, script = live(relay, *pieces, hz=1 / PERIOD, ticks=10)
    assert script.rows == [(1 + latency, 1), (4 + latency, 2), (4 + latency, 5)]
    assert (report.ticks, report.late_ticks, report.late_spikes) == (10, 0, 0)
    assert report.seconds == pytest.approx(9 * PERIOD)  # the last tick begins nine periods after the first


def test_paced_spikes_wait_for_their_tick_or_are_late(relay: ChipConfig) -> None:
    latency = int(Emulator(relay).run([(0, 0)], 20).spikes.tick[0])
    report, script = live(relay, (0.0, b"3,1\n6,2\n4,5\n"), (0.5, b"50,3\n"), hz=1 / PERIOD, ticks=60)
    # Tick 4 stands behind tick 6, and is read when the chip has come there.
    assert script.rows == [(3 + latency, 1), (6 + latency, 2), (50 + latency, 3)]
    assert (report.input_spikes, report.late_spikes, report.late_ticks) == (3, 1, 0)


def test_pacing_reports_late_ticks_and_catches_up(relay: ChipConfig) -> None:
    script = Script((0.0, b"0,1\n"), (9.0, b""))
    emulator = Emulator(relay)
    step = emulator.step

    def slow(lines):  # tick 2 takes three and a half periods
        script.now += 3.5 * PERIOD if emulator.tick == 2 else 0
        return step(lines)

    emulator.step = slow  # type: ignore[method-assign]
    report = LiveRun(emulator, script, ticks=12, tick_hz=1 / PERIOD, clock=script.clock, sleep=script.sleep).run()
    # It ends at 5.5 periods: tick 3 is 2.5 late and tick 4 is 1.5 late, tick 5 only half a period.
    assert report.late_ticks == 2
    assert report.worst_late_s == pytest.approx(2.5 * PERIOD)
    assert report.seconds == pytest.approx(11 * PERIOD)
    assert "at 100 Hz 2 ticks began late, the worst by 25 ms, 0 spikes came too late" in str(report)


def test_paced_runs_end_with_their_input(relay: ChipConfig) -> None:
    report, _ = live(relay, (0.0, b"7,1\n"), (0.001, b""), hz=1 / PERIOD)
    assert (report.ticks, report.ended) == (8, "input")
    assert report.seconds == pytest.approx(7 * PERIOD)


def test_a_flood_does_not_hold_up_the_clock(relay: ChipConfig) -> None:
    flood = [(0.0, b"line\n"), *((0.0, b"1\n2\n") for _ in range(1000))]
    report, script = live(relay, *flood, hz=1 / PERIOD, ticks=5)
    assert report.ticks == 5
    assert script.rows


@pytest.mark.parametrize("hz", [0, -1, float("inf"), float("nan")])
def test_impossible_pace(relay: ChipConfig, hz: float) -> None:
    with pytest.raises(UsageError, match="it must be finite and above 0"):
        live(relay, hz=hz)


# Readers, sockets, interrupts, the command line.


def test_a_reader_that_goes_ends_the_run(relay: ChipConfig) -> None:
    script = Script(b"0,1\n", b"100,1\n")

    def gone(data: bytes) -> None:
        raise BrokenPipeError

    script.write = gone  # type: ignore[method-assign]
    report = LiveRun(Emulator(relay), script, ticks=100).run()
    assert report.ended == "reader gone"
    assert report.ticks < 100


def test_an_interrupt_is_reported_and_passed_on(relay: ChipConfig) -> None:
    script = Script(b"0,1\n3,1\n")
    read = script.read

    def interrupted(timeout: float | None) -> bytes | None:
        if not script.pieces:
            raise KeyboardInterrupt
        return read(timeout)

    script.read = interrupted  # type: ignore[method-assign]
    run = LiveRun(Emulator(relay), script)
    with pytest.raises(KeyboardInterrupt):
        run.run()
    assert (run.report.ended, run.report.ticks) == ("interrupted", 3)


def talk(connect, relay: ChipConfig, address: str) -> bytes:
    """A client in a thread: sends a spike, waits for the answer, hangs up; returns the answer."""
    answers: list[bytes] = []

    def converse(where: str) -> None:
        with connect(where) as peer:
            peer.sendall(b"0,6\n8\n")
            answers.append(peer.recv(100))  # before the input ends
            peer.shutdown(socket.SHUT_WR)

    threads: list[threading.Thread] = []

    def start(where: str) -> None:
        threads.append(threading.Thread(target=converse, args=(where,)))
        threads[0].start()

    with client(address, start) as endpoint:
        report = LiveRun(Emulator(relay), endpoint).run()
    threads[0].join()
    assert (report.ticks, report.ended) == (8, "input")
    return answers[0]


def test_socket_round_trip(relay: ChipConfig, tmp_path: Path) -> None:
    latency = int(Emulator(relay).run([(0, 0)], 20).spikes.tick[0])
    path = str(tmp_path / "s")
    with socket.socket(socket.AF_UNIX) as abandoned:
        abandoned.bind(path)

    def connect_path(where: str) -> socket.socket:
        assert os.stat(path).st_mode & 0o777 == 0o600
        peer = socket.socket(socket.AF_UNIX)
        peer.connect(where.removeprefix("unix:"))
        return peer

    assert talk(connect_path, relay, f"unix:{path}") == f"{latency},6\n".encode()
    assert not os.path.exists(path)

    def connect_port(where: str) -> socket.socket:
        host, port = where.split(":")
        return socket.create_connection((host, int(port)))

    assert talk(connect_port, relay, "0") == f"{latency},6\n".encode()


def test_addresses(tmp_path: Path) -> None:
    assert parse_port("127.0.0.1:5000") == parse_port("5000") == parse_port("localhost:5000") == 5000
    for address in ("0.0.0.0:5000", "example.org:80", "[::]:1"):
        with pytest.raises(UsageError, match="is not this machine"):
            parse_port(address)
    for address in ("x", "", "127.0.0.1:65536", "-1"):
        with pytest.raises(UsageError, match="is no port"):
            parse_port(address)
    (tmp_path / "file").write_text("kept")
    for path in (tmp_path / "file", tmp_path / "none" / "s", tmp_path / ("x" * 200)):
        with pytest.raises(OutputError, match="cannot be listened on"), client(f"unix:{path}", print):
            pass
    assert (tmp_path / "file").read_text() == "kept"


@pytest.fixture
def folder(relay: ChipConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    relay.save("c.h5")
    return tmp_path


@pytest.fixture
def cli(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """Runs `neurocore run c.h5` in this process with the given input; returns exit code, stdout and stderr."""

    def call(text: str, *options: str) -> tuple[int, str, str]:
        (folder / "stdin").write_text(text)
        with open(folder / "stdin") as stdin, monkeypatch.context() as patch:
            patch.setattr(sys, "stdin", stdin)
            with pytest.raises(SystemExit) as stop:
                main(["run", "c.h5", *options])
        captured = capsys.readouterr()
        return int(stop.value.code or 0), captured.out, captured.err

    return call


def test_command_line(cli, relay: ChipConfig) -> None:
    latency = int(Emulator(relay).run([(0, 0)], 20).spikes.tick[0])
    code, out, err = cli("0,1\n2,4\n", "--live", "--ticks", "9", "--json")
    assert (code, out) == (0, f"{latency},1\n{2 + latency},4\n")
    summary = json.loads(err)
    assert (summary["schema_version"], summary["ticks"], summary["ended"]) == (1, 9, "ticks")
    code, out, err = cli("0,1\n0,8\n", "--live", "--json")
    assert (code, out) == (3, "")
    assert err.splitlines()[0] == "neurocore: stdin:2: input line 8 does not exist; the chip has 8 input lines"
    assert json.loads(err.splitlines()[1])["error"]["exit_code"] == 3
    code, _, err = cli("", "--live", "--ticks", "2", "--pace", "real")
    assert code == 0
    assert "ended: ticks); at 1000 Hz" in err


def test_recorded_live_run_equals_a_run(cli, folder: Path, chip: ChipConfig, relay: ChipConfig) -> None:
    """The run file of a live run is that of a run with the same input, and what leaves the chip is the same as without."""
    chip.save("c.h5")
    tick, line = np.nonzero(np.random.default_rng(3).random((60, 8)) < 0.3)
    text = "".join(f"{t},{n}\n" for t, n in zip(tick, line, strict=True))
    options = ["--live", "--ticks", "80"]
    code, out, err = cli(text, *options, "-o", "live.h5", "--probe", "hidden:membrane")
    assert (code, err.count("\n")) == (0, 1)
    assert cli(text, *options)[1] == out
    (folder / "in.csv").write_text("tick,line\n" + text)
    assert cli("", "--ticks", "80", "--input", "in.csv", "-o", "run.h5", "--probe", "hidden:membrane")[0] == 0
    recorded, run = load_run("live.h5"), load_run("run.h5")
    assert first_difference(recorded, run) is None
    assert recorded.probes["hidden:membrane"].membranes.shape == (80, 12)
    assert len(run.spikes) == out.count("\n") > 20


def test_live_recording_of_axons(tiny: Architecture, tmp_path: Path) -> None:
    chip = random_chip(tiny, 2)
    tick, row, axon = random_events(chip, 2, 40, 0.2)
    spikes = Spikes.from_axons(tick, chip.cores.core[row], axon)
    rows = zip(*(column.tolist() for column in spikes.columns.values()), strict=True)
    script = Script(*("tick,core,axon\n" + "".join(f"{t},{c},{a}\n" for t, c, a in rows)).encode().splitlines(True))
    emulator = Emulator(chip)
    with Recorder(emulator, str(tmp_path / "r.h5")) as recorder:
        LiveRun(emulator, script, ticks=45, recorder=recorder).run()
        recorder.finish()
    assert first_difference(load_run(str(tmp_path / "r.h5")), Emulator(chip).run(spikes, 45)) is None


def test_broken_live_run_keeps_what_it_recorded(cli, folder: Path, relay: ChipConfig) -> None:
    code, _, err = cli("0,1\n6,2\n6,99\n", "--live", "-o", "r.h5", "--json")
    assert code == 3
    assert "6 ticks are kept in r.h5.part: neurocore recover r.h5.part -o r.h5 makes a run file of them" in err
    recover("r.h5.part", "r.h5")
    assert first_difference(load_run("r.h5"), Emulator(relay).run([(0, 1)], 6)) is None


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ("", "Missing option '--ticks'."),
        ("--ticks 3", "Missing option '--output'."),
        ("--ticks 3 -o r.h5 --pace 5", "--pace: only together with --live."),
        (
            "--live --input c.h5 --every 3",
            "--live does not take --input, --every: a live run begins at tick 0 and takes",
        ),
        (
            "--live --probe copy",
            "--probe: what a live run's probes see stands in its run file only; give --output too.",
        ),
        ("--live -o c.h5", "'c.h5' is read by this command; write the result to another file."),
        ("--live --pace fast", "'fast' is neither 'real' nor a rate of 0.001..1e+09 Hz."),
        ("--live --listen 0.0.0.0:1", "host '0.0.0.0' is not this machine"),
    ],
)
def test_usage(cli, options: str, sentence: str) -> None:
    code, out, err = cli("", *options.split())
    assert (code, out) == (2, "")
    assert sentence in err


def start(*options: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", "from neurocore.cli import main; main()", "run", "c.h5", "--live", *options]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def test_a_closed_pipe_is_an_end_like_others(folder: Path, relay: ChipConfig) -> None:
    with start("-o", "r.h5") as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdin.write(b"0,1\n9\n")
        process.stdin.flush()
        assert process.stdout.readline().endswith(b",1\n")  # while the input is open
        process.stdout.close()
        process.stdin.write(b"10,1\n20\n")
        process.stdin.flush()
        err = process.stderr.read()
    assert process.returncode == 0
    assert err.startswith(b"neurocore: ")
    assert err.endswith(b"(ended: reader gone)\n")
    run = load_run("r.h5")
    assert first_difference(run, Emulator(relay).run([(0, 1), (10, 1)], run.ticks)) is None


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_recording_is_kept(folder: Path, relay: ChipConfig, number: int) -> None:
    with start("--json", "-o", "r.h5") as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdin.write(b"0,1\n9\n")
        process.stdin.flush()
        process.stdout.readline()
        process.send_signal(number)
        summary, *rest = process.stderr.read().splitlines()
    assert process.returncode == 130
    assert json.loads(summary)["ended"] == "interrupted"
    ticks = recover("r.h5.part", "r.h5").head.ticks
    kept = (
        f"neurocore: {ticks} ticks are kept in r.h5.part: neurocore recover r.h5.part -o r.h5 makes a run file of them"
    )
    assert [line.decode() for line in rest if line] == [kept, "neurocore: interrupted"]
    assert 2 <= ticks <= 9
    assert first_difference(load_run("r.h5"), Emulator(relay).run([(0, 1)], ticks)) is None


def test_example_sensor(folder: Path, relay: ChipConfig) -> None:
    sensor = subprocess.run(
        [sys.executable, str(ROOT / "examples" / "live_sensor.py")], capture_output=True, check=True, timeout=60
    ).stdout
    report, script = live(relay, *io.BytesIO(sensor))
    assert (report.ticks, report.input_spikes) == (200, 200)
    assert len({line for _, line in script.rows}) == 8


def test_stream_in_python(chip: ChipConfig) -> None:
    raster = np.random.default_rng(5).random((50, 8)) < 0.4
    expected = Emulator(chip).run(raster).spikes
    fired = list(Emulator(chip).stream(np.flatnonzero(row).tolist() for row in raster))
    assert len(fired) == 50
    rows = [(tick, line) for tick, lines in enumerate(fired) for line in lines.tolist()]
    assert rows == list(zip(expected.tick.tolist(), expected.line.tolist(), strict=True))
