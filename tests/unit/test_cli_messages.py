"""What commands say to their users: advice in the spelling of the command line, what nothing was compared means, and the like."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from neurocore.chipfile import load_chip
from neurocore.compiler.network import Network
from neurocore.compiler.pipeline import compile_network
from neurocore.emulator import Emulator
from neurocore.errors import FitError
from neurocore.recorder import Recorder
from neurocore.spikes import Spikes
from neurocore.wording import as_options, as_yaml, setting
from nir_files import maps
from small_network import NETWORK

WIDE = NETWORK.replace("[4]", "[300]").replace("[3]", "[2]")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a small network and a wide one, whose neurons read more than a core has axons for."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "net.yaml").write_text(NETWORK)
    (tmp_path / "wide.yaml").write_text(WIDE)
    (tmp_path / "in.csv").write_text("tick,line\n0,0\n3,1\n9,2\n")
    return tmp_path


# ---------------------------------------------------------------- settings


def test_settings_are_spelt_for_their_reader() -> None:
    text = f"use {setting('fan_in', 'dilate')}, or {setting('merge', 'or')}, or {setting('quantise', 'weight_bits=B')}"
    assert text == 'use fan_in="dilate", or merge="or", or quantise="weight_bits=B"'
    assert as_yaml(text) == "use fan_in: dilate, or merge: or, or quantise: weight_bits=B"
    assert as_options(text) == "use --fan-in dilate, or merge: or, or --quantise weight_bits=B"
    assert as_options(setting("fan_in", "carry"), "compile ") == "compile --fan-in carry"
    assert as_options('a name like refan_in="x" stays') == 'a name like refan_in="x" stays'


def test_advice_is_spelt_as_options_on_the_command_line_and_as_keywords_in_python(folder: Path, command) -> None:
    said = command("compile", "wide.yaml", "-o", "c.h5", code=4).err
    for advice in ("--fan-in thermometer", "--fan-in dilate", "--fan-in carry", "merge: or"):
        assert f"or use {advice}" in said
    assert 'fan_in="' not in said
    in_json = command("compile", "wide.yaml", "-o", "c.h5", "--json", code=4).json["error"]["problems"]
    assert "or use --fan-in dilate: exact" in in_json[0]
    net = Network("net")
    net.connect(net.input("x", 300), net.population("p", 2), all_to_all=1)
    with pytest.raises(FitError, match='or use fan_in="dilate": exact'):
        compile_network(net)


def test_commands_without_these_options_spell_advice_as_the_file_does(folder: Path, command) -> None:
    command("compile", "net.yaml", "-o", "c.h5")
    (folder / "half.yaml").write_text(NETWORK.replace("all_to_all: 1", "all_to_all: 0.5"))
    assert "use quantise: fit" in command("verify", "half.yaml", "c.h5", "--ticks", "5", code=3).err
    assert "use --quantise fit" in command("compile", "half.yaml", "-o", "d.h5", code=3).err


# ---------------------------------------------------------------- files


def test_compile_says_what_else_a_file_is(folder: Path, command) -> None:
    command("compile", "net.yaml", "-o", "c.h5")
    command("run", "c.h5", "--ticks", "5", "-o", "r.h5")
    np.save("w.npy", np.ones(3))
    for name in ("c.h5", "r.h5"):
        assert command("compile", name, "-o", "d.h5", code=3).err == (
            f"neurocore: {name} is a neurocore chip or run file; a network in YAML or NIR was expected: what is compiled already"
            " can be run and inspected as it is\n"
        )
    said = command("compile", "w.npy", "-o", "d.h5", code=3).err
    assert said == "neurocore: w.npy is a NumPy .npy file; a network in YAML or NIR was expected\n"
    said = command("compile", "nope.yaml", "-o", "d.h5", code=3).err
    assert said == "neurocore: nope.yaml does not exist; check the path\n"
    said = command("chips", "./nope.yaml", code=3).err
    assert said == "neurocore: ./nope.yaml does not exist; check the path\n"


@pytest.mark.parametrize("name", ["a.txt", "b.yaml", "c.NPZ"])
def test_chip_and_run_files_are_not_written_under_names_of_other_kinds(folder: Path, command, name: str) -> None:
    (folder / name).write_text("of worth")
    command("compile", "net.yaml", "-o", "c.h5")
    ending = Path(name).suffix.lower()
    said = command("compile", "net.yaml", "-o", name, code=2).err
    assert f"'{name}': a chip file is written in HDF5; let its name end in .h5, not in {ending}." in said
    assert "a run file is written in HDF5" in command("run", "c.h5", "--ticks", "5", "-o", name, code=2).err
    assert "a run file is written in HDF5" in command("recover", "r.h5.part", "-o", name, code=2).err
    graph = maps(folder / "a.nir", "SumPool2d")
    assert "a chip file is written in HDF5" in command("import", "nir", graph, "-o", name, code=2).err
    few = ("bench", "recurrent", "--cores", "4", "--ticks", "1", "-o", name)
    assert "a run file is written in HDF5" in command(*few, code=2).err
    assert (folder / name).read_text() == "of worth"


def test_names_without_an_ending_or_with_one_of_their_own_are_fine(folder: Path, command) -> None:
    for name in ("chip", "c.hdf5", "c.chip"):
        command("compile", "net.yaml", "-o", name)
        assert (folder / name).exists()


# ---------------------------------------------------------------- inspect


def test_a_core_that_is_not_there_is_answered_with_those_that_are(folder: Path, command) -> None:
    place = command("compile", "net.yaml", "-o", "c.h5", "--json")
    assert place.code == 0
    x, y = command("inspect", "c.h5", "--json").json["core_list"][0]
    only = f"in use is {x},{y}"
    cases = {
        "5,5": f"core 5,5 is not in use; {only}",
        "70,5": f"core 70,5 is outside the mesh of 'truenorth', X in 0..63, Y in 0..63; {only}",
        "5": f"'5' is not of the form X,Y; {only}",
    }
    for given, answer in cases.items():
        assert f"Invalid value for '--core': {answer}\n" in command("inspect", "c.h5", "--core", given, code=2).err


def test_of_many_cores_the_nearest_is_named(folder: Path, command) -> None:
    (folder / "net.yaml").write_text("network: n\npopulations: {p: {shape: [99]}}\n")
    command("compile", "net.yaml", "-o", "c.h5", "--chip", "tiny")
    places = command("inspect", "c.h5", "--json").json["core_list"]
    free = next([x, y] for x in range(5) for y in range(3) if [x, y] not in places)
    said = command("inspect", "c.h5", "--core", "{},{}".format(*free), code=2).err
    distance = [abs(x - free[0]) + abs(y - free[1]) for x, y in places]
    nearest = "{},{}".format(*places[int(np.argmin(distance))])
    spans = [
        f"{name} in {min(values)}..{max(values)}" for name, values in zip("XY", zip(*places, strict=True), strict=True)
    ]
    assert f"is not in use; 9 cores are in use, {spans[0]} and {spans[1]}, the nearest is {nearest}\n" in said


# ---------------------------------------------------------------- names


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        (("compile", "net.yaml", "-o", "c.h5", "--fan-in", "dilat"), "'carry'; did you mean 'dilate'?"),
        (("compile", "net.yaml", "-o", "c.h5", "--chip", "truenort"), "or give a file; did you mean 'truenorth'?"),
        (("compile", "net.yaml", "-o", "c.h5", "--quantise", "weigthbits=3"), "levels; did you mean 'weight_bits'?"),
        (("import", "rank", "x", "-o", "c.h5"), "'nir'; did you mean 'ranc'?"),
        (
            ("run", "c.h5", "--ticks", "3", "-o", "r.h5", "--probe", "P:membrane"),
            "populations are p; did you mean 'p'?",
        ),
    ],
)
def test_wrong_names_are_answered_with_the_nearest(folder: Path, cli, words: tuple[str, ...], answer: str) -> None:
    cli("compile", "net.yaml", "-o", "c.h5")
    outcome = cli(*words)
    assert outcome.code in (2, 3)
    assert answer in outcome.err


# ---------------------------------------------------------------- what was done


def test_verify_says_that_nothing_was_compared(folder: Path, command) -> None:
    command("compile", "net.yaml", "-o", "c.h5")
    nothing = command("verify", "net.yaml", "c.h5", "--ticks", "10")
    assert nothing.out == "equal, but nothing fired: 0 output spikes in 10 ticks, latency 0\n"
    assert "nothing was compared, as no output neuron fired; give input spikes that make some fire" in nothing.err
    remarks = command("verify", "net.yaml", "c.h5", "--ticks", "10", "--json").json["remarks"]
    assert [text.split(",")[0] for text in remarks] == ["nothing was compared"]
    tested = command("verify", "net.yaml", "c.h5", "--ticks", "10", "--input", "in.csv")
    assert tested.out == "equal: 6 output spikes in 10 ticks, latency 0\n"
    assert tested.err == ""
    (folder / "mute.yaml").write_text(NETWORK.replace("outputs: {o: {source: p}}\n", ""))
    command("compile", "mute.yaml", "-o", "m.h5")
    said = command("verify", "mute.yaml", "m.h5", "--ticks", "10", "--input", "in.csv").err
    assert "nothing was compared, as the network has no outputs" in said


def test_losses_are_said_once(folder: Path, command) -> None:
    (folder / "net.yaml").write_text(NETWORK.replace("all_to_all: 1", "all_to_all: 0.3"))
    done = command("compile", "net.yaml", "-o", "c.h5", "--quantise", "weight_bits=1", "--report", "r.txt")
    assert "W-QUANTISED" not in done.err
    assert (done.out.count("p: weights "), done.err.count("p: weights ")) == (1, 0)
    assert (
        "quantisation: weight_bits=1 (weights become 0 or one number per neuron, so that those of its other sign"
        in done.out
    )
    assert (folder / "r.txt").read_text().count("p: weights ") == 1
    in_json = command("compile", "net.yaml", "-o", "c.h5", "--quantise", "levels=2", "--json")
    assert in_json.json["quantisation"]["meaning"] == "weights become 0 or one of 2 numbers per neuron"
    assert [text.split()[0] for text in in_json.json["warnings"]] == ["W-QUANTISED"]
    assert in_json.err == ""


def test_estimates_say_their_warnings(folder: Path, command) -> None:
    (folder / "net.yaml").write_text(NETWORK.replace("all_to_all: 1", "all_to_all: 0"))
    said = command("compile", "net.yaml", "--estimate").err
    assert [line.split()[1] for line in said.splitlines()] == ["W-UNUSED", "W-EMPTY"]


def test_counts_of_one_are_singular(folder: Path, command) -> None:
    text = command("compile", "net.yaml", "-o", "c.h5", "--report", "r.html").out
    assert "as many neurons as 1 core has, as many axons as 1\n" in text
    assert "as many neurons as 1 core has" in (folder / "r.html").read_text()
    for said in (text, (folder / "r.html").read_text()):
        assert "1 cores" not in said


def test_a_dilated_run_says_whose_ticks_are_meant(folder: Path, command) -> None:
    command("compile", "wide.yaml", "-o", "c.h5", "--fan-in", "dilate")
    k = command("inspect", "c.h5", "--json").json["dilation"]
    assert k > 1
    ran = command("run", "c.h5", "--input", "in.csv", "--ticks", str(5 * k), "-o", "r.h5")
    assert f"{5 * k} of the chip in " in ran.out
    assert "on output lines; those within a tick of the network included" in ran.out
    assert ran.err == (
        f"neurocore: 1 of 3 input spikes comes after the last tick of the network, 4, which takes {k} of the chip; it had no"
        f" effect (all enter with --ticks {10 * k})\n"
    )
    assert command("run", "c.h5", "--input", "in.csv", "--ticks", str(10 * k), "-o", "r.h5").err == ""
    text = command("power", "r.h5").out
    assert "\n  energy per chip tick " in text
    assert (
        f"\nTicks, spikes and synaptic events are the chip's: {k} of its ticks make one of the network, and what"
        in text
    )


def interrupted(chip: str, path: str) -> None:
    """A run that ends before its run file is written."""
    with Recorder(Emulator(load_chip(chip)), path) as recorder:
        recorder.run(Spikes.empty(), 20)
        raise KeyboardInterrupt


def test_recover_says_that_the_part_stays(folder: Path, command) -> None:
    command("compile", "net.yaml", "-o", "c.h5")
    with pytest.raises(KeyboardInterrupt):
        interrupted("c.h5", "r.h5")
    said = command("recover", "r.h5.part", "-o", "r.h5").err
    assert said == "neurocore: r.h5.part is kept; delete it when r.h5 is all that you need\n"
    assert (folder / "r.h5.part").exists()
