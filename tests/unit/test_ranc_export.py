"""Chips to RANC and back: files, memory images, and the command line."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ranc_networks import CONFIG, INPUT, changed, first_neuron, network, small_chip

from neurocore.chipfile import load_chip
from neurocore.cli.formats import convert_command, export_command, import_command
from neurocore.config import OUTPUT
from neurocore.emulator import Emulator
from neurocore.errors import InputError, NeurocoreError, OutputError
from neurocore.formats.ranc import export_ranc, output_text, read_hardware, read_ranc
from neurocore.spikes import Spikes, read


def test_a_chip_of_another_kind_goes_to_ranc_and_back(folder: Path) -> None:
    chip = small_chip()
    spikes = Spikes.from_lines([0, 4], [0, 0])
    assert export_ranc(chip, "out", spikes=spikes).hardware_reasons == ()
    again, packets, _ = read_ranc("out/input.json", "out/config.json")
    assert (again.architecture.name, again.architecture.columns, again.architecture.rows) == ("ranc", 2, 1)
    expected = Emulator(chip).run(spikes, 12).spikes
    assert len(expected) == 2
    assert Emulator(again).run(packets, 12).spikes == expected
    images, packets, _ = read_hardware("out")
    assert Emulator(images).run(packets, 12).spikes == expected


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"weight_stochastic": True}, "neuron 0 has a stochastic weight, and RANC draws no random numbers (1 more"),
        ({"leak": 1, "leak_stochastic": True}, "neuron 0 has a stochastic leak"),
        ({"threshold_mask_bits": [0, 3]}, "core (0, 0), neuron 1 has a random threshold"),
        ({"leak": -1, "leak_reversal": True}, "neuron 0 reverses its leak below zero; RANC's leak has one sign"),
        ({"reset_mode": 2}, "is not reset when it fires; RANC has the reset modes value and linear"),
        (
            {"leak": -2, "floor": 9, "floor_mode": 1},
            "is held at its floor (floor mode saturate), where RANC would reset it; it could matter from tick 4 on: export"
            " it with --ticks 4",
        ),
        ({"initial": -5, "floor": 4, "floor_mode": 1}, "it could matter from tick 0 on: change the network"),
        (
            {"leak": 100, "reset_mode": 1, "threshold": 50},
            "can be clamped; RANC's membranes have no clamp; it could matter from tick",
        ),
    ],
)
def test_what_ranc_cannot_express(folder: Path, changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InputError) as caught:
        export_ranc(small_chip(**changes), "out")
    assert sentence in str(caught.value)
    assert not Path("out").exists()


def test_floors_that_do_not_matter(folder: Path) -> None:
    export_ranc(small_chip(floor=9, floor_mode=1), "never")  # nothing pulls the membrane down
    export_ranc(small_chip(leak=-2, reset=9, floor=9, floor_mode=1), "same")  # -R is the floor
    chip = small_chip(leak=-2, floor=9, floor_mode=1)
    with pytest.raises(InputError):
        export_ranc(chip, "long", ticks=5)
    export_ranc(chip, "short", ticks=4)
    exported = read_ranc("short/input.json", "short/config.json")[0]
    for ticks, equal in ((4, True), (5, False)):
        runs = [Emulator(item).run(None, ticks).membranes[0, :2].tolist() for item in (chip, exported)]
        assert (runs[0] == runs[1]) is equal


def test_what_the_fpga_design_cannot_hold(folder: Path) -> None:
    def reasons(name: str, data: Any = INPUT, **config: Any) -> tuple[str, ...]:
        return export_ranc(network(data, {**CONFIG, **config})[0], name).hardware_reasons

    assert reasons("a", neuron_reset_type=1)[0].startswith("the FPGA design tests V < negative threshold only")
    assert reasons("b", max_tick_offset=20)[0].startswith("the FPGA design's scheduler needs a power of two of slots")
    assert reasons("c", num_cores_y=600)[0].startswith("the FPGA design names at most 999 memory images")
    assert reasons("d", num_cores_x=300)[0].startswith("a packet's dx and dy have 9 bits")
    data = first_neuron(destination_axon=5)
    data["output_bus"]["num_outputs"] = 6
    assert reasons("e", data) == ("output line 5 does not fit the 1 bits of a packet's axon",)
    lost = changed(lambda d: d["cores"][0]["neurons"][1].update(destination_tick=15))
    assert reasons("f", lost)[0].startswith("a neuron sends nowhere, and no axon is without synapses")
    assert reasons("g", lost, num_axons=3) == ()


def test_images_of_another_export_are_not_left_behind(folder: Path) -> None:
    chip = network()[0]
    export_ranc(chip, "out")
    export_ranc(chip, "out")
    Path("out/csram_017.mem").write_text("")
    with pytest.raises(OutputError, match=r"out holds csram_017\.mem and 0 more files of another export"):
        export_ranc(chip, "out")


# Memory images


def test_memory_images_bit_by_bit(folder: Path) -> None:
    """Connections with the last axon first, then the fields in the order of Core.v, negative ones in two's complement."""
    first = "10" + f"{3:09b}{512 - 7:09b}" + f"{2:09b}{512 - 3:09b}" + "0" * 18
    first += f"{512 - 1:09b}{100:09b}{512 - 20:09b}" + "1" + f"{1:09b}{0:09b}" + "1" + f"{9:04b}"
    inert = "00" + "0" * (9 * 7) + f"{1:09b}" + "0" * 9 + "0" + "0" * 18 + "0" + "0000"
    Path("csram_000.mem").write_text(f"/* a\ncomment */\n{first} // neuron 0\n{inert}\n")
    Path("tc_000.mem").write_text("00\n01\n")
    Path("tb_input.txt").write_text(f"{0:09b}{0:09b}10010\n{0:09b}{0:09b}00000")
    Path("tb_num_inputs.txt").write_text("0\n2\n")
    Path("config.json").write_text(json.dumps(CONFIG))
    chip, spikes, report = read_hardware(".", "config.json")
    cores = chip.cores
    assert chip.crossbar_bits(0).tolist() == [[False, False], [True, False]]
    assert cores.axon_type[0].tolist() == [0, 1]
    assert cores.weight[0, :, 0].tolist() == [2, -3, 0, 0]
    names = ("initial", "reset", "leak", "threshold", "floor", "reset_mode", "target_core", "target_axon")
    assert [int(getattr(cores, name)[0, 0]) for name in names] == [3, -7, -1, 100, 20, 1, OUTPUT, 1]
    assert list(zip(spikes.tick.tolist(), spikes.core.tolist(), spikes.axon.tolist(), strict=True)) == [
        (1, 0, 0),
        (3, 0, 1),
    ]
    assert report.lines() == ["the output bus is taken to stand at (1, 0), with 2 lines"]


@pytest.mark.parametrize(
    ("name", "text", "sentence"),
    [
        ("csram_000.mem", "01x1", "word 0 is '01x1'; digits 0 and 1 were expected"),
        ("csram_000.mem", "0101", "neuron 0 has 4 bits; 153 or 152 were expected: check the sizes"),
        ("tc_000.mem", "1", "axon 0 has 1 bits; 2 were expected"),
        ("tc_000.mem", "11\n" * 3, "holds 3 axons; the configuration has 2"),
        ("tb_input.txt", "1", "packet 0 has 1 bits; 23 were expected"),
        ("tb_num_inputs.txt", "1\n1\n", "announces 2 packets; tb_input.txt has 3"),
        ("tb_num_inputs.txt", "many", "a number of packets per line was expected"),
        ("csram_002.mem", "", "csram_002.mem has no place on a grid of 2 x 1"),
        ("csram_0.mem", "", "csram_000.mem and csram_0.mem are the same core's"),
        ("hardware.json", "{}", "NUM_NEURONS: is null; a whole number 1..65535 was expected"),
        ("hardware.json", "", "the top level is not a JSON object"),
    ],
)
def test_bad_images(folder: Path, name: str, text: str, sentence: str) -> None:
    chip, spikes, _ = network()
    export_ranc(chip, "out", spikes=spikes)
    (Path("out") / name).write_text(text)
    with pytest.raises(InputError) as caught:
        read_hardware("out")
    assert sentence in str(caught.value)


def test_images_need_a_configuration(folder: Path) -> None:
    export_ranc(network()[0], "out")
    Path("out/hardware.json").unlink()
    with pytest.raises(InputError, match=r"give RANC's config\.json after the folder"):
        read_hardware("out")


# The command line


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]):
    commands = {command.name: command for command in (import_command, export_command, convert_command)}

    def run(name: str, *arguments: str) -> str:
        commands[name].main(list(arguments), standalone_mode=False)
        return capsys.readouterr().out

    return run


def test_commands(folder: Path, call: Callable[..., str]) -> None:
    chip, spikes, _ = network()
    told = json.loads(call("import", "ranc", "input.json", "config.json", "-o", "c.h5", "--spikes", "in.npz", "--json"))
    assert (told["cores"], told["neurons"], told["input_spikes"]) == (2, 4, 3)
    assert told["counts"] == {"bus_packets": 3, "merged_packets": 1}
    assert load_chip("c.h5").digest() == chip.digest()
    assert read("in.npz") == spikes
    run = Emulator(load_chip("c.h5")).run(read("in.npz"), 14)
    run.save("run.h5")
    call("convert", "run.h5", "out.txt", "--format", "ranc")
    assert Path("out.txt").read_bytes() == output_text(run).encode()
    call("convert", "in.npz", "in.csv")
    assert read("in.csv") == spikes
    call("convert", "run.h5", "out.csv")
    assert read("out.csv") == run.spikes
    files = json.loads(call("export", "ranc", "c.h5", "-o", "out", "--spikes", "in.csv", "--json"))["files"]
    assert sorted(Path(path).name for path in files) == sorted(path.name for path in Path("out").iterdir())
    call("import", "ranc", "out", "-o", "d.h5", "--spikes", "again.csv")
    assert read("again.csv") == spikes


def test_usage_of_commands(folder: Path, call: Callable[..., str]) -> None:
    network()
    for arguments in (
        ("import", "ranc", "input.json", "-o", "c.h5"),
        ("import", "ranc", "input.json", "config.json", "config.json", "-o", "c.h5"),
        ("convert", "input.json", "out.txt"),
    ):
        with pytest.raises(Exception, match=r"Give INPUT\.json|does not say the format"):
            call(*arguments)
    with pytest.raises(NeurocoreError, match=r"input\.json: num_neurons: is missing"):
        call("import", "ranc", "config.json", "input.json", "-o", "c.h5")
    assert not Path("c.h5").exists()


def test_notes_that_no_longer_fit_are_ignored(folder: Path) -> None:
    chip = small_chip()
    for notes in ((("RANC grid", "9 x 9"), ("RANC output bus", "1, 1")), (("RANC grid", "x"),)):
        export_ranc(replace(chip, notes=notes), "out")
        assert json.loads(Path("out/config.json").read_text())["num_cores_x"] == 2
