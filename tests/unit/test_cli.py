"""The command line: the whole chain, exit codes, JSON, and bad input of every kind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from neurocore.compiler.check import SCALE

ROOT = Path(__file__).resolve().parents[2]

NETWORK = """\
network: chain
inputs:
  pixels: {shape: [2, 3]}
populations:
  hidden:
    shape: [4]
    neuron: {threshold: 2, reset_mode: linear}
  out: {shape: [2]}
projections:
  - {source: pixels, target: hidden, weights: w.npy}
  - {source: hidden, target: out, weights: {all_to_all: 1}, delay: 3}
outputs:
  class: {source: out}
spike_rates: {pixels: 0.1}
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a small network and its input, as the working directory."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "net.yaml").write_text(NETWORK)
    np.save(tmp_path / "w.npy", np.random.default_rng(1).integers(-1, 3, (6, 4)))
    (tmp_path / "in.csv").write_text("tick,line\n" + "".join(f"{t},{t % 6}\n" for t in range(40)))
    return tmp_path


def test_the_whole_chain(folder: Path, cli) -> None:
    compiled = cli("compile", "net.yaml", "-o", "c.h5", "--report", "stages.txt", "--json")
    assert compiled.code == 0, compiled.err
    assert {
        "schema_version",
        "cores",
        "neurons",
        "axons",
        "splitter_neurons",
        "latency_ticks",
        "mean_hops",
        "weighted_hops",
        "seconds",
        "warnings",
    } <= compiled.json.keys()
    assert "partition: 1 core" in (folder / "stages.txt").read_text()
    inspected = cli("inspect", "c.h5", "--json").json
    assert inspected["chip"] == "truenorth"
    assert {"cores", "neurons", "synapses", "inputs", "outputs"} <= inspected.keys()
    core = ",".join(map(str, inspected["core_list"][0]))
    assert "hidden[0]" in cli("inspect", "c.h5", "--core", core).out
    ran = cli("run", "c.h5", "--input", "in.csv", "--ticks", "50", "-o", "r.h5", "--probe", "hidden:membrane", "--json")
    assert ran.code == 0, ran.err
    assert {
        "ticks",
        "seconds",
        "ticks_per_second",
        "spikes",
        "synaptic_events",
        "output_spikes",
        "merges",
    } <= ran.json.keys()
    assert ran.json["spikes"] > 0
    power = cli("power", "r.h5", "--json").json
    assert {
        "total_mw",
        "leakage_mw",
        "neuron_mw",
        "synapse_mw",
        "routing_mw",
        "io_mw",
        "energy_per_spike_pj",
        "energy_per_synaptic_event_pj",
        "gsops",
        "gsops_per_watt",
        "voltage",
        "tick_hz",
        "powered_cores",
    } <= power.keys()
    parts = sum(power[name] for name in ("leakage_mw", "neuron_mw", "synapse_mw", "routing_mw", "io_mw"))
    assert parts == pytest.approx(power["total_mw"])
    assert cli("power", "r.h5", "--powered", "chip", "--json").json["powered_cores"] == 4096
    traffic = cli("traffic", "r.h5", "--json").json
    assert {"packets", "mean_hops", "max_link_packets_per_tick", "hottest_links"} <= traffic.keys()
    verified = cli("verify", "net.yaml", "c.h5", "--input", "in.csv", "--ticks", "50", "--json").json
    assert verified["equal"] is True
    assert verified["spikes_compared"] > 0
    assert verified["first_difference"] is None


def test_runs_are_reproducible_to_the_byte_but_for_provenance(folder: Path, cli) -> None:
    cli("compile", "net.yaml", "-o", "a.h5")
    cli("compile", "net.yaml", "-o", "b.h5")
    assert (folder / "a.h5").read_bytes() == (folder / "b.h5").read_bytes()
    for name, threads in (("r1.h5", "1"), ("r2.h5", "2")):
        assert cli("run", "a.h5", "--input", "in.csv", "--ticks", "50", "-o", name, "--threads", threads).code == 0
    same = cli("diff", "r1.h5", "r2.h5", "--json")
    assert same.code == 0
    assert same.json["equal"] is True


def test_diff_names_the_first_difference(folder: Path, cli) -> None:
    cli("compile", "net.yaml", "-o", "a.h5")
    cli("run", "a.h5", "--input", "in.csv", "--ticks", "50", "-o", "r1.h5")
    (folder / "less.csv").write_text("tick,line\n0,0\n")
    cli("run", "a.h5", "--input", "less.csv", "--ticks", "50", "-o", "r2.h5")
    outcome = cli("diff", "r1.h5", "r2.h5")
    assert outcome.code == 5
    assert "spikes in the first run only" in outcome.out


def test_verify_reports_a_mismatch(folder: Path, cli) -> None:
    cli("compile", "net.yaml", "-o", "a.h5")
    (folder / "other.yaml").write_text(NETWORK.replace("threshold: 2", "threshold: 3"))
    outcome = cli("verify", "other.yaml", "a.h5", "--input", "in.csv", "--ticks", "50", "--json")
    assert outcome.code == 5
    assert outcome.json["equal"] is False
    assert outcome.json["first_difference"]["output"] == "class"
    assert "threshold is 3 in the network and 2 on the chip" in outcome.err


def test_demo(cli, tmp_path: Path) -> None:
    outcome = cli("demo", "--json", "-o", str(tmp_path / "demo"))
    assert outcome.code == 0, outcome.err
    assert outcome.json["accuracy"] >= 0.96
    assert outcome.json["n_images"] >= 300
    assert {"ticks", "spikes", "power_mw", "energy_per_inference_uj", "mean_hops", "ticks_per_second", "report"} <= (
        outcome.json.keys()
    )
    assert {path.name for path in (tmp_path / "demo").iterdir()} == {"digits.h5", "digits_run.h5", "report.html"}
    assert outcome.json["report"] == str(tmp_path / "demo" / "report.html")


def test_chips(cli) -> None:
    listed = cli("chips")
    assert "truenorth" in listed.out
    assert "tiny" in listed.out
    assert "scheduler_slots: 16" in cli("chips", "truenorth").out
    unknown = cli("chips", "nosuch")
    assert unknown.code == 3
    assert unknown.err.startswith("neurocore: no chip definition is named 'nosuch'; there are ")


@pytest.mark.parametrize(
    ("change", "place", "reason"),
    [
        (
            ("threshold: 2", "treshold: 2"),
            "7:14",
            "populations.hidden.neuron.treshold: is not a known key; did you mean 'threshold'?",
        ),
        (("shape: [4]", "shape: [-4]"), "6:13", "populations.hidden.shape.0: is -4; at least 1 was expected"),
        (("shape: [4]", "shape: many"), "6:5", "populations.hidden.shape: is 'many'; a list was expected"),
        (("delay: 3", "delay: 1.5"), "11:", "projections.1.delay: is 1.5; a whole number was expected"),
        (("w.npy", "nosuch.npy"), "10:38", "projections.0.weights: nosuch.npy does not exist"),
        (("{source: out}", "{source: out"), "14:", "not valid YAML"),
        (("network: chain\n", ""), "1:1", "network: is missing"),
        (("out: {shape: [2]}", "hidden: {shape: [2]}"), "8:3", "'hidden' is given twice"),
    ],
)
def test_yaml_faults_name_file_line_and_column(folder: Path, cli, change, place: str, reason: str) -> None:
    (folder / "net.yaml").write_text(NETWORK.replace(*change))
    outcome = cli("compile", "net.yaml", "-o", "c.h5")
    assert outcome.code == 3
    assert outcome.err.startswith(f"neurocore: net.yaml:{place}"), outcome.err
    assert reason in outcome.err
    assert not (folder / "c.h5").exists()


def test_all_yaml_faults_are_listed_at_once(folder: Path, cli) -> None:
    text = NETWORK.replace("threshold: 2", "treshold: 2").replace("delay: 3", "delay: x").replace("[2, 3]", "[0, 3]")
    (folder / "net.yaml").write_text(text)
    outcome = cli("compile", "net.yaml", "-o", "c.h5", "--json")
    assert outcome.code == 3
    assert len(outcome.json["error"]["problems"]) == 3


def test_several_faults_of_a_network_are_listed_at_once(folder: Path, cli) -> None:
    np.save(folder / "w.npy", np.ones((5, 4), np.int64))
    (folder / "net.yaml").write_text(
        NETWORK.replace("source: out}", "source: nobody}").replace("pixels: 0.1", "pixels: 7")
    )
    outcome = cli("compile", "net.yaml", "-o", "c.h5", "--json")
    assert outcome.code == 3
    problems = outcome.json["error"]["problems"]
    assert problems == [
        "net.yaml:10:38: projection 'hidden' <- 'pixels': weights have shape (5, 4); [n_source, n_target] is (6, 4)",
        "net.yaml:13:11: output 'class': its source 'nobody' is not a population",
        "net.yaml:14:15: spike_rates: 'pixels' is 7; spikes per tick lie in 0..1",
    ]


def test_out_of_range_parameters(folder: Path, cli) -> None:
    (folder / "net.yaml").write_text(NETWORK.replace("threshold: 2", "threshold: 300000, leak: -256"))
    outcome = cli("compile", "net.yaml", "-o", "c.h5", "--json")
    assert outcome.code == 4
    assert outcome.json["error"]["problems"] == [
        "E-RANGE population 'hidden': threshold[0] is 300000; 'truenorth' has 0..262143"
        " (37,857 over; 3 more neurons likewise)."
        f" {SCALE} (net.yaml:7:14)",
        "E-RANGE population 'hidden': leak[0] is -256; 'truenorth' has -255..255 (1 under; 3 more neurons likewise)."
        f" {SCALE} (net.yaml:7:33)",
    ]


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (
            0.5,
            "weights holds 0.5 at [2, 1], which is not a whole number; make it one or, for weights and parameters of"
            " neurons, use --quantise fit",
        ),
        (np.nan, "weights holds nan at [2, 1]; only finite numbers are allowed"),
        (np.inf, "weights holds inf at [2, 1]; only finite numbers are allowed"),
        (1e300, "weights holds 1e+300 at [2, 1], which is too large; whole numbers with a decimal point end at 2^53"),
    ],
)
def test_weights_that_are_no_integers(folder: Path, cli, value: float, reason: str) -> None:
    weights = np.ones((6, 4))
    weights[2, 1] = value
    np.save(folder / "w.npy", weights)
    outcome = cli("compile", "net.yaml", "-o", "c.h5")
    assert outcome.code == 3
    assert outcome.err == f"neurocore: net.yaml:10:38: projection 'hidden' <- 'pixels': {reason}\n"


def test_one_neuron_too_big_for_tiny(folder: Path, cli) -> None:
    """Tiny has 15 cores of 11 neurons: 165 fit, 166 do not."""
    for size, code in ((165, 0), (166, 4)):
        (folder / "net.yaml").write_text(f"network: big\npopulations:\n  p: {{shape: [{size}]}}\n")
        outcome = cli("compile", "net.yaml", "-o", "c.h5", "--chip", "tiny")
        assert outcome.code == code, outcome.err
    assert outcome.err.startswith("neurocore: E-CAP network 'big' needs 16 cores; 'tiny' has 15 (1 over)")


def test_unwritable_output(folder: Path, cli) -> None:
    for output in ("nosuch/c.h5", "net.yaml/c.h5"):
        outcome = cli("compile", "net.yaml", "-o", output)
        assert outcome.code == 6
        assert "c.h5" in outcome.err
    before = sorted(path.name for path in folder.iterdir())
    cli("compile", "net.yaml", "-o", "c.h5")
    assert cli("run", "c.h5", "--ticks", "5", "-o", "nosuch/r.h5").code == 6
    assert sorted(path.name for path in folder.iterdir()) == sorted([*before, "c.h5"])


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        ("0,6\n", "line 6"),
        ("-1,0\n", "-1"),
        ("1.5,0\n", "1.5"),
        ("1,x\n", "in.csv:2:3"),
    ],
)
def test_bad_spikes(folder: Path, cli, rows: str, reason: str) -> None:
    cli("compile", "net.yaml", "-o", "c.h5")
    (folder / "in.csv").write_text("tick,line\n" + rows)
    outcome = cli("run", "c.h5", "--input", "in.csv", "--ticks", "5", "-o", "r.h5")
    assert outcome.code == 3
    assert reason in outcome.err
    assert not (folder / "r.h5").exists()


def test_damaged_and_foreign_chip_files(folder: Path, cli) -> None:
    cli("compile", "net.yaml", "-o", "c.h5")
    good = (folder / "c.h5").read_bytes()
    (folder / "cut.h5").write_bytes(good[:-100])
    flipped = bytearray(good)
    flipped[len(good) // 2] ^= 16
    (folder / "flip.h5").write_bytes(bytes(flipped))
    cli("run", "c.h5", "--ticks", "5", "-o", "r.h5")
    for name in ("cut.h5", "flip.h5", "r.h5", "net.yaml", "w.npy", "nosuch.h5"):
        outcome = cli("inspect", name)
        assert outcome.code == 3, name
        assert name in outcome.err
        assert "Traceback" not in outcome.err


def test_inputs_are_kept(folder: Path, cli) -> None:
    cli("compile", "net.yaml", "-o", "c.h5")
    before = (folder / "c.h5").read_bytes()
    assert cli("run", "c.h5", "--ticks", "5", "-o", "c.h5").code == 2
    assert cli("compile", "net.yaml", "-o", "net.yaml").code == 2
    assert (folder / "c.h5").read_bytes() == before
    assert (folder / "net.yaml").read_text() == NETWORK


def test_input_after_the_last_tick_is_mentioned(folder: Path, cli) -> None:
    cli("compile", "net.yaml", "-o", "c.h5")
    outcome = cli("run", "c.h5", "--input", "in.csv", "--ticks", "30", "-o", "r.h5", "--json")
    assert outcome.json["input_spikes_unused"] == 10
    assert "10 of 40 input spikes come after the last tick, 29; they had no effect" in outcome.err


def test_resume_on_the_command_line(folder: Path, cli) -> None:
    cli("compile", "net.yaml", "-o", "c.h5")
    run = ("run", "c.h5", "--input", "in.csv")
    assert cli(*run, "--ticks", "50", "-o", "whole.h5").code == 0
    assert cli(*run, "--ticks", "30", "-o", "part.h5", "--checkpoint", "check.h5", "--every", "15").code == 0
    assert cli(*run, "--ticks", "50", "-o", "resumed.h5", "--resume", "check.h5").code == 0
    assert cli("diff", "whole.h5", "resumed.h5").code == 0
    assert cli(*run, "--ticks", "50", "-o", "x.h5", "--every", "15").code == 2


def test_usage_errors(cli) -> None:
    for arguments in (["run"], ["nosuch"], ["compile", "x.yaml"], ["power", "r.h5", "--powered", "half"]):
        assert cli(*arguments).code == 2


def test_json_errors_are_one_object(folder: Path, cli) -> None:
    outcome = cli("inspect", "nosuch.h5", "--json")
    assert outcome.json["error"]["exit_code"] == 3


def test_debug_shows_a_traceback(folder: Path) -> None:
    command = [sys.executable, "-c", "from neurocore.cli import main; main()", "inspect", "nosuch.h5"]
    plain = subprocess.run(command, capture_output=True, text=True, check=False)
    debug = subprocess.run([*command, "--debug"], capture_output=True, text=True, check=False)
    assert "Traceback" not in plain.stderr
    assert plain.returncode == 3
    assert "Traceback" in debug.stderr


def test_help_imports_nothing_heavy() -> None:
    code = "import sys, neurocore.cli; print([m for m in ('numpy', 'scipy', 'h5py', 'pydantic', 'yaml') if m in sys.modules])"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"


@pytest.mark.parametrize("words", [("chips",), ("--help",), ("compile", "net.yaml", "--estimate", "--json")])
def test_a_reader_that_has_gone_is_no_error(folder: Path, words: tuple[str, ...]) -> None:
    """As in ``neurocore chips | head -1``."""
    command = [sys.executable, "-c", "from neurocore.cli import main; main()", *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 0


INTERRUPTED_WRITE = """
import os, signal, sys
from neurocore import container
from neurocore.cli import main
container._to_disk = lambda path: os.kill(os.getpid(), int(os.environ["NUMBER"]))
main()
"""
INTERRUPTED_EXIT = """
import atexit, os
from neurocore.cli import main
atexit.register(lambda: os.kill(os.getpid(), int(os.environ["NUMBER"])))
main()
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_a_file_is_written_leaves_the_old_one(folder: Path, number: int) -> None:
    (folder / "c.h5").write_text("what was there")
    command = [sys.executable, "-c", INTERRUPTED_WRITE, "compile", "net.yaml", "-o", "c.h5"]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "NUMBER": str(int(number))})
    assert (done.returncode, done.stderr.strip()) == (130, "neurocore: interrupted")
    assert (folder / "c.h5").read_text() == "what was there"
    assert sorted(path.name for path in folder.iterdir()) == ["c.h5", "in.csv", "net.yaml", "w.npy"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize(("network", "code"), [("net.yaml", 0), ("none.yaml", 3)])
def test_a_signal_after_all_is_done_changes_nothing(folder: Path, number: int, network: str, code: int) -> None:
    command = [sys.executable, "-c", INTERRUPTED_EXIT, "compile", network, "--estimate"]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "NUMBER": str(int(number))})
    assert done.returncode == code
    assert "Traceback" not in done.stderr


INTERRUPTED_START = """
import atexit, os, signal, sys
def once_more():
    os.kill(os.getpid(), signal.SIGINT)
    for _ in range(1000):
        pass
atexit.register(once_more)
class Signal:
    def find_spec(self, name, path=None, target=None):
        if name == os.environ["MODULE"]:
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Signal())
from neurocore.entry import main
sys.argv = ["neurocore", "chips"]
main()
"""


@pytest.mark.parametrize("module", ["neurocore.cli", "click", "neurocore.cli.bench", "numpy"])
def test_an_interrupt_while_modules_are_loaded_is_one_sentence(module: str) -> None:
    """All but the last are those of the command line, the last is one that a command needs; another signal changes nothing."""
    command = [sys.executable, "-c", INTERRUPTED_START]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "MODULE": module})
    assert (done.returncode, done.stderr.strip()) == (130, "neurocore: interrupted")


def test_interrupt_leaves_no_output(folder: Path, cli) -> None:
    cli("compile", "net.yaml", "-o", "c.h5")
    command = [
        sys.executable,
        "-c",
        "from neurocore.cli import main; main()",
        "run",
        "c.h5",
        "--ticks",
        "2000000000",
        "-o",
        "r.h5",
    ]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    time.sleep(2)
    process.send_signal(2)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "interrupted" in err
    assert "neurocore recover r.h5.part -o r.h5" in err
    assert sorted(path.name for path in folder.iterdir()) == ["c.h5", "in.csv", "net.yaml", "r.h5.part", "w.npy"]
    cli("recover", "r.h5.part", "-o", "r.h5")
