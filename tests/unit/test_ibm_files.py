"""IBM's model and spike files: every spelling that is read, what is written, and what is refused."""

from __future__ import annotations

import json
import time
import tracemalloc
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from neurocore.architecture import Architecture, load_architecture
from neurocore.cli.formats import convert_command
from neurocore.config import NOWHERE, OUTPUT, ChipConfig, Group, InputMap
from neurocore.emulator import Emulator
from neurocore.errors import InputError, OutputError, UsageError
from neurocore.formats.ibm import read_model, write_model
from neurocore.formats.ibm_ranges import compress, expand
from neurocore.formats.ibm_spikes import (
    axon_spikes,
    output_map,
    read_output_spikes,
    read_spikes,
    write_output_spikes,
    write_spikes,
)
from neurocore.spikes import Spikes
from neurocore.spikes import read as read_own
from neurocore.spikes import write as write_own
from random_chips import random_chip

NEURON: dict[str, Any] = {
    "class": "NeuronGeneral",
    **{f"sigma{g}": 1 for g in range(4)},
    **{f"s{g}": g for g in range(4)},
    **{f"b{g}": False for g in range(4)},
    "sigma_lambda": -1,
    "lambda": 0,
    "c_lambda": False,
    "epsilon": False,
    "alpha": 1,
    "beta": 0,
    "TM": 0,
    "gamma": 0,
    "kappa": False,
    "sigma_VR": 1,
    "VR": 0,
    "V": 0,
}
ALL = {
    "dendrites": ["0:255"],
    "types": ["1x256"],
    "destCores": ["-32x256"],
    "destAxons": ["0:255"],
    "destDelays": ["1x256"],
}
NO_SYNAPSES = " ".join(["00"] * 32)


def crossbar_rows(changed: dict[int, Any] | None = None) -> list[Any]:
    rows: list[Any] = [{"type": "S0", "synapses": NO_SYNAPSES} for _ in range(256)]
    for axon, row in (changed or {}).items():
        rows[axon] = row
    return rows


def core(number: Any = 0, **parts: Any) -> dict[str, Any]:
    found = {"id": number, "timeScaleExponent": 0, "rngSeed": 7, "neurons": ALL, "crossbar": {"name": "p1"}, **parts}
    return {key: value for key, value in found.items() if value is not None}


def neuron_type(name: str = "N00000001", **parts: Any) -> dict[str, Any]:
    return {"name": name, **NEURON, **parts}


def model_text(
    cores: list[Any],
    types: list[Any] | None = None,
    head: Any = None,
    crossbars: list[Any] | None = None,
    before: str = "",
) -> str:
    library = [{"name": "p1", "crossbar": {"rows": crossbar_rows()}}] if crossbars is None else crossbars
    sections = [
        ("model", {"coreCount": len(cores), "crossbarSize": 256} if head is None else head),
        ("crossbarTypes", library),
        ("neuronTypes", [neuron_type()] if types is None else types),
        *(("core", item) for item in cores),
    ]
    members = ",\n".join(f"{json.dumps(key)}: {json.dumps(value)}" for key, value in sections)
    return f"{{{before}{members}\n}}"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "model.json"


def load(file: Path, text: str) -> ChipConfig:
    file.write_text(text, encoding="utf-8")
    return read_model(file)[0]


def refusal(file: Path, text: str) -> list[str]:
    """The sentences that refuse a model, without the path of the file."""
    file.write_text(text, encoding="utf-8")
    with pytest.raises(InputError) as error:
        read_model(file)
    return [problem.replace(f"{file}", "FILE") for problem in error.value.problems]


# Ranges


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ([], []),
        ([3, "5"], [3, 5]),
        (["0:3"], [0, 1, 2, 3]),
        (["1:2:6"], [1, 3, 5]),
        (["231:4:243", "-1x2"], [231, 235, 239, 243, -1, -1]),
        (["27:-4:19", 7], [27, 23, 19, 7]),
        (["22:-1:20"], [22, 21, 20]),
        (["4x0", "7:7"], [7]),
        ("2x3", [2, 2, 2]),
        ("-3:-2", [-3, -2]),
    ],
)
def test_ranges(given: Any, expected: list[int]) -> None:
    assert expand("types", given, 256) == expected


def test_names_of_types_in_a_list() -> None:
    assert expand("types", ["N0000001Fx2", "N0000000A"], 256, types=True) == [31, 31, 10]


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ("0:9999999999", "types holds more than 256 numbers (at '0:9999999999'); a core has 256 neurons"),
        ("1x9999999999", "types holds more than 256 numbers (at '1x9999999999'); a core has 256 neurons"),
        ([0] * 257, "types holds 257 numbers; a core has 256 neurons"),
        ("0:0:5", "types holds the range '0:0:5', which leads nowhere; its step must lead from 0 to 5"),
        ("5:1", "types holds the range '5:1', which leads nowhere; its step must lead from 5 to 1"),
        ("1:2:3:4", 'types holds \'1:2:3:4\'; a number, "a:b", "a:step:b" or "VxN" was expected'),
        ("1x-2", 'types holds \'1x-2\'; a number, "a:b", "a:step:b" or "VxN" was expected'),
        ([None], 'types holds None; numbers, "a:b", "a:step:b" and "VxN" were expected'),
        ([True], 'types holds True; numbers, "a:b", "a:step:b" and "VxN" were expected'),
        ([1.5], 'types holds 1.5; numbers, "a:b", "a:step:b" and "VxN" were expected'),
    ],
)
def test_ranges_that_are_refused(given: Any, reason: str) -> None:
    with pytest.raises(InputError) as error:
        expand("types", given, 256)
    assert str(error.value) == reason


def test_compressed_numbers_expand_to_themselves() -> None:
    rng = np.random.default_rng(3)
    for _ in range(200):
        values = np.repeat(rng.integers(-3, 4, 20), rng.integers(1, 5, 20)).cumsum().tolist()
        assert expand("x", compress(values), len(values)) == values
    assert compress([0] * 3 + [1, 2, 3, 9, 7, 5, 8]) == ["0x3", "1:3", "9:-2:5", 8]
    assert compress([]) == []


# Models


def test_comments_and_repeated_keys(file: Path) -> None:
    text = model_text([core(0), core(5)], before='/* a "quoted\n comment */ // and { one\n')
    chip = load(file, text.replace('"id"', '/* c */"id"'))
    assert chip.cores.core.tolist() == [0, 5]
    assert chip.cores.stream.tolist() == [7, (5 << 32) + 7]
    assert chip.name == "model"


def test_slashes_within_texts_are_no_comments(file: Path) -> None:
    head = {"coreCount": 1, "buildKey64": 'a//b /* c " \\'}
    chip = load(file, model_text([core()], head=head))
    assert dict(chip.notes)["build key"] == 'a//b /* c " \\'


def test_small_pieces_of_the_file(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = model_text([core(3, crossbar={"rows": crossbar_rows()})], before="/* one\ntwo */ //three\n")
    whole = load(file, text)
    for size in (1, 7, 1000):
        monkeypatch.setattr("neurocore.formats.ibm_json.CHUNK", size)
        assert load(file, text).digest() == whole.digest()
        assert refusal(file, '{\n"model": {},\n /* x\n */ 5') == ['FILE:4:5: found 5; a key in "quotes" was expected']


def test_the_most_significant_bit_is_neuron_0(file: Path) -> None:
    rows = crossbar_rows(
        {
            0: {"type": "S0", "synapses": "80" + NO_SYNAPSES[2:]},
            1: {"type": "S3", "synapses": NO_SYNAPSES[:-2] + "01"},
            2: {"type": "S2", "synapses": "0f" + "00" * 31},
        }
    )
    prototype = load(file, model_text([core()], crossbars=[{"name": "p1", "crossbar": {"rows": rows}}]))
    inline = load(file, model_text([core(crossbar={"rows": rows})]))
    assert prototype.digest() == inline.digest()
    axon, neuron = np.nonzero(inline.crossbar_bits(0))
    assert list(zip(axon.tolist(), neuron.tolist(), strict=True)) == [(0, 0), (1, 255), (2, 4), (2, 5), (2, 6), (2, 7)]
    assert inline.cores.axon_type[0, :4].tolist() == [0, 3, 2, 0]


def test_numbers_in_types_are_hexadecimal_suffixes(file: Path) -> None:
    types = [neuron_type("N0000001F", alpha=31), neuron_type("N00000010", alpha=16), neuron_type("N00000001", alpha=1)]
    neurons = {**ALL, "types": [31, "16x2", 1, "0x252"]}
    chip = load(file, model_text([core(neurons=neurons)], types))
    assert chip.cores.threshold[0, :4].tolist() == [31, 16, 16, 1]
    assert np.flatnonzero(chip.cores.configured[0]).tolist() == [0, 1, 2, 3]
    assert chip.n_outputs == 4


def test_dendrites_are_the_numbers_of_neurons(file: Path) -> None:
    neurons = {
        "dendrites": [9, "3:-1:2", 0],
        "types": ["1x3", 2],
        "destCores": [0, -1, -2, -33],
        "destAxons": [255, -1, 0, 8],
        "destDelays": [15, 1, 1, 1],
    }
    chip = load(file, model_text([core(neurons=neurons)], [neuron_type(), neuron_type("N00000002", V=-5)]))
    assert np.flatnonzero(chip.cores.configured[0]).tolist() == [0, 2, 3, 9]
    cores = chip.cores
    assert (cores.target_core[0, 9], cores.target_axon[0, 9], cores.delay[0, 9]) == (0, 255, 15)
    assert cores.target_core[0, [0, 2, 3]].tolist() == [OUTPUT, NOWHERE, NOWHERE]
    assert cores.initial[0, 0] == -5


def test_every_parameter_is_taken(file: Path) -> None:
    kind = neuron_type(
        sigma0=-1,
        s0=255,
        sigma1=1,
        s1=4,
        sigma2=-1,
        s2=0,
        s3=9,
        b0=True,
        b3=1,
        **{"sigma_lambda": -1, "lambda": 200, "c_lambda": True, "epsilon": True, "alpha": 262143, "beta": 17, "TM": 18},
        gamma=2,
        kappa=True,
        sigma_VR=-1,
        VR=18,
        V=-393216,
    )
    cores = load(file, model_text([core()], [kind])).cores
    assert cores.weight[0, :, 7].tolist() == [-255, 4, 0, 9]
    assert cores.weight_stochastic[0, :, 7].tolist() == [True, False, False, True]
    names = ("leak", "leak_stochastic", "leak_reversal", "threshold", "floor", "threshold_mask_bits")
    assert [int(getattr(cores, name)[0, 7]) for name in names] == [-200, 1, 1, 262143, 17, 18]
    names = ("reset_mode", "floor_mode", "reset", "initial")
    assert [int(getattr(cores, name)[0, 7]) for name in names] == [2, 1, -262143, -393216]


def test_output_lines_ascend_by_connector_and_axon(file: Path) -> None:
    neurons = {
        "dendrites": ["0:6"],
        "types": ["1x7"],
        "destCores": [-34, -32, -32, -33, -33, -33, -32],
        "destAxons": [7, 1, 0, 9, 1, 5, 1],
        "destDelays": ["1x7"],
    }
    chip = load(file, model_text([core(neurons=neurons)]))
    assert chip.cores.target_axon[0, :7].tolist() == [5, 1, 0, 4, 2, 3, 1]
    assert [(group.name, group.start, group.size) for group in chip.outputs] == [
        ("connector -32", 0, 2),
        ("connector -33 axons 1:4:9", 2, 3),
        ("connector -34 axons 7", 5, 1),
    ]
    known = output_map(chip)
    assert known.core.tolist() == [-32, -32, -33, -33, -33, -34]
    assert known.axon.tolist() == [0, 1, 1, 5, 9, 7]


def pytn_text() -> str:
    """The tonic spiking example of pytruenorth, in the long form that it writes: types by name, no prototypes."""
    off = {**NEURON, "s1": 0, "s2": 0, "s3": 0, "alpha": 0}
    kinds = {
        "-7": off,
        "a": {**off, "alpha": 10, "sigma_lambda": 1, "lambda": 1},
        "b": {**off, "alpha": 10, "sigma_lambda": 1, "lambda": 1, "V": 1},
        "c": {**off, "alpha": 11, "sigma_lambda": 1, "lambda": 2},
        "d": {**off, "alpha": 10, "sigma_lambda": -1, "lambda": 1, "s0": 3},
    }
    used = {(0, 0): ("a", 0), (0, 1): ("b", 1), (0, 2): ("c", 2), (1, 7): ("d", 123)}
    cores = []
    for number in range(2):
        neurons = []
        for dendrite in range(256):
            kind, axon = used.get((number, dendrite), ("-7", -1))
            place = -32 if axon >= 0 else -1
            neurons.append({"type": kind, "dendrite": dendrite, "destCore": place, "destAxon": axon, "delay": 1})
        synapses = {3: {"type": "S0", "synapses": "01" + " 00" * 31}} if number else {}
        rows = {"rows": crossbar_rows(synapses)}
        cores.append({"id": number, "rngSeed": 1, "timeScaleExponent": 0, "neurons": neurons, "crossbar": rows})
    types = [{**kind, "name": name} for name, kind in kinds.items()]
    for kind in types:
        del kind["class"]
    members = [
        ("model", {"coreCount": 2, "neuronClass": "NeuronGeneral", "networking": "INTRA"}),
        ("neuronTypes", types),
    ]
    members += [("core", item) for item in cores]
    return "{\n" + ",\n".join(json.dumps({key: value}, indent=4)[1:-1] for key, value in members) + "\n}"


def test_long_form_gives_what_the_silicon_gave(file: Path, tmp_path: Path) -> None:
    chip = load(file, pytn_text())
    sent = [(t, 1, axon) for t in range(100) for axon in (3, 4)]
    header = '{"class":"SpikeWriter","nscsVersion":"1.4.0","encoding":"RAWI3","defaultDestinationDelay":1}'
    (tmp_path / "in.sfri").write_bytes(header.encode() + b"\xff" + np.array(sent, ">u4").tobytes())
    for engine in ("compiled", "oracle"):
        run = Emulator(chip, engine=engine).run(read_spikes(tmp_path / "in.sfri"), ticks=100)
        write_output_spikes(tmp_path / "out.sfro", run.spikes, output_map(chip))
        raw = (tmp_path / "out.sfro").read_bytes()
        words = np.frombuffer(raw[raw.index(b"\xff") + 1 :], ">u4").reshape(-1, 6)[:, [0, 3, 4]].astype(np.int32)
        assert (words[:, 1] == -32).all()
        ticks = {axon: words[words[:, 2] == axon, 0].tolist() for axon in (0, 1, 2, 123)}
        assert ticks[0] == list(range(9, 100, 10))
        assert ticks[1] == list(range(8, 100, 10))
        assert ticks[2] == list(range(5, 100, 6))
        assert ticks[123] == list(range(5, 100, 5))


def test_what_the_report_says(file: Path) -> None:
    idle = {**ALL, "types": ["1x255", 0], "destCores": ["-32x254", 9, 9], "destDelays": [2, "1x255"]}
    rows = crossbar_rows({4: {"type": "S1", "synapses": " ".join(["FF"] * 32), "note": 1}})
    text = model_text(
        [core(neurons=idle, crossbar={"rows": rows}, rngSeed=None, colour="red")],
        head={"coreCount": 4042, "colour": 1},
        types=[neuron_type(colour=1)],
        before='"strange": [{"a": 1}, [2]],',
    )
    file.write_text(text, encoding="utf-8")
    chip, report = read_model(file)
    assert chip.n_synapses == 255
    assert (report.announced, report.n_cores) == (4042, 1)
    assert report.sentences() == (
        "the file announces 4042 cores and holds 1",
        "1 neurons send spikes to cores that the file does not hold; these spikes are lost",
        "1 outputs have a delay other than 1; an output spike carries the tick in which its neuron fires",
        "1 unused neurons (type 0) have a destination, which has no effect",
        "1 crossbar bits of unused neurons (type 0) were left out; they have no effect",
        "1 cores have no rngSeed; 4294967295 was taken",
        "the key 'core.colour' is not known and was not used (1 time)",
        "the key 'crossbar row.note' is not known and was not used (1 time)",
        "the key 'model.colour' is not known and was not used (1 time)",
        "the key 'neuronTypes.colour' is not known and was not used (1 time)",
        "the key 'strange' is not known and was not used (1 time)",
    )


def test_an_excerpt_may_lack_crossbars(file: Path) -> None:
    lost = core(crossbar={"name": "p9"})
    file.write_text(model_text([lost], head={"coreCount": 2}), encoding="utf-8")
    assert "1 cores have no synapses, because the file lacks their crossbars" in read_model(file)[1].remarks
    place = "FILE:4:9: core 0: crossbar 'p9' is not in crossbarTypes"
    assert refusal(file, model_text([lost])) == [place]


# Round trips


def expressible(truenorth: Architecture, seed: int) -> ChipConfig:
    chip = random_chip(truenorth, seed, n_outputs=300)
    size = np.abs(chip.cores.reset)
    reset = np.where(size & (size + 1), 0, chip.cores.reset).astype(chip.cores.reset.dtype)
    stream = (chip.cores.core.astype(np.uint64) << np.uint64(32)) | np.uint64(seed)
    return replace(chip, cores=replace(chip.cores, reset=reset, stream=stream), seed=0)


@pytest.mark.parametrize("seed", range(6))
def test_import_export_import_is_the_identity(truenorth: Architecture, seed: int, tmp_path: Path) -> None:
    chip = expressible(truenorth, seed)
    write_model(chip, tmp_path / "a.json")
    first, report = read_model(tmp_path / "a.json")
    assert report.unknown == ()
    assert write_model(first, tmp_path / "b.json") == ()
    second, _ = read_model(tmp_path / "b.json")
    assert second.digest() == first.digest()
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()


def test_an_exported_chip_fires_the_same_spikes(truenorth: Architecture, tmp_path: Path) -> None:
    chip = expressible(truenorth, 11)
    write_model(chip, tmp_path / "a.json")
    again, _ = read_model(tmp_path / "a.json")
    rng = np.random.default_rng(5)
    spikes = Spikes.from_axons(rng.integers(0, 30, 900), rng.choice(chip.cores.core, 900), rng.integers(0, 256, 900))
    runs = [Emulator(item).run(spikes, ticks=40) for item in (chip, again)]
    assert np.array_equal(runs[0].membranes, runs[1].membranes)
    assert np.array_equal(runs[0].neuron_spikes, runs[1].neuron_spikes)
    before, after = (output_map(item) for item in (chip, again))
    lines = after.lines(before.core[runs[0].spikes.line], before.axon[runs[0].spikes.line])
    assert Spikes.from_lines(runs[0].spikes.tick, lines) == runs[1].spikes


def test_chips_that_the_format_cannot_express(truenorth: Architecture, tiny: Architecture, tmp_path: Path) -> None:
    with pytest.raises(InputError) as error:
        write_model(random_chip(tiny, 1), tmp_path / "a.json")
    assert error.value.problems[0] == (
        f"'chip' is for 'tiny': its core.axons is {tiny.core.axons}; IBM's model files describe cores of 'truenorth',"
        " which have 256"
    )
    chip = expressible(truenorth, 1)
    reset = chip.cores.reset.copy()
    mode = chip.cores.reset_mode.copy()
    row, neuron = (int(index[0]) for index in np.nonzero(chip.cores.configured))
    reset[row, neuron], mode[row, neuron] = -6, 0
    x, y = truenorth.core_xy(int(chip.cores.core[row]))
    with pytest.raises(InputError) as error:
        write_model(replace(chip, cores=replace(chip.cores, reset=reset, reset_mode=mode)), tmp_path / "a.json")
    assert str(error.value) == (
        f"core ({x}, {y}): neuron {neuron} is reset to R = -6; IBM's model files hold R = sigma_VR (2^VR - 1), such as 0, 1,"
        " 3, 7 or -7: change the reset value"
    )
    assert not list(tmp_path.iterdir())


def test_what_an_export_leaves_out(truenorth: Architecture, tmp_path: Path) -> None:
    chip = random_chip(truenorth, 1)
    one = np.zeros(1, np.int64)
    entry = InputMap(one, chip.cores.core[:1].astype(np.int64), one + 9, one + 2)
    reset = np.where(chip.cores.reset_mode == 0, 0, chip.cores.reset).astype(chip.cores.reset.dtype)
    chip = replace(
        chip, cores=replace(chip.cores, reset=reset), inputs=(Group("in", (1,)),), input_map=entry, latency=3
    )
    said = write_model(chip, tmp_path)
    assert said[0].startswith("the format has no input lines; the 1 of 'chip' are left out")
    assert "the format does not say that output spikes come 3 ticks late" in said
    assert "the random streams are numbered anew; stochastic neurons will draw other numbers" in said
    assert said[-1].endswith("reset values that their reset modes never use are written as 0")
    assert read_model(tmp_path / "model.json")[0].n_neurons == chip.n_neurons
    assert axon_spikes(chip, Spikes.from_lines([4, 7], [0, 0])) == Spikes.from_axons(
        [6, 9], [chip.cores.core[0]] * 2, [9, 9]
    )
    with pytest.raises(OutputError):
        write_model(chip, tmp_path / "model.json" / "folder")


# Bad input


@pytest.mark.parametrize(
    ("neurons", "reason"),
    [
        (
            {"destCores": ["4096x256"]},
            "neuron 0: destination core is 4096; cores 0..4095, outputs -32 and below, -1 or -2",
        ),
        ({"destCores": ["-32x255", -3]}, "neuron 255: destination core is -3; cores 0..4095, outputs -32 and below"),
        (
            {"destCores": ["0x256"], "destAxons": ["0:254", 256]},
            "neuron 255: destination axon is 256; a core has axons 0..255",
        ),
        ({"destAxons": ["0:254", -1]}, "neuron 255: output axon is -1; 0 or more was expected"),
        ({"destDelays": ["1x200", "0x56"]}, "neuron 200: delay is 0; delays lie in 1..15 ticks (55 more like it)"),
        ({"destDelays": ["16x256"]}, "neuron 0: delay is 16; delays lie in 1..15 ticks (255 more like it)"),
        ({"types": ["17x256"]}, "neuron type 17 (N00000011) is not in neuronTypes"),
        ({"types": ["1x99999999"]}, "types holds more than 256 numbers"),
        ({"types": ["1x255"]}, "the lists of neurons differ in length (types 255, destCores 256, destAxons 256,"),
        ({"dendrites": ["0:254", 0]}, "dendrite 0 is given twice; every neuron has its own"),
        ({"dendrites": ["1:256"]}, "dendrite 256 is outside 0..255"),
        ({"destCores": [10**30, "0x255"]}, "neurons holds a number beyond 64 bits"),
    ],
)
def test_bad_neurons(file: Path, neurons: dict[str, Any], reason: str) -> None:
    problems = refusal(file, model_text([core(12, neurons={**ALL, **neurons})]))
    assert problems[0].startswith(f"FILE:4:9: core 12: {reason}")


@pytest.mark.parametrize(
    ("parts", "reason"),
    [
        ({"number": 4096}, "core has the id 4096; 'truenorth' has cores 0..4095"),
        ({"number": -1}, "core has the id -1; 'truenorth' has cores 0..4095"),
        ({"number": "x"}, "core has the id 'x'; 'truenorth' has cores 0..4095"),
        ({"rngSeed": 2**32}, "core 0: rngSeed is 4294967296; a whole number 0..4294967295 was expected"),
        ({"timeScaleExponent": 1}, "core 0: timeScaleExponent is 1; a whole number 0..0 was expected"),
        ({"neurons": None}, "core 0: neurons is None; an object {...} was expected"),
        (
            {"neurons": {"types": []}},
            "core 0: neurons has no destCores, destAxons, destDelays, dendrites; it needs types,",
        ),
        ({"neurons": [{"type": 1}]}, "core 0: neurons[0]: destCore is None; a whole number was expected"),
        ({"neurons": [0] * 257}, "core 0: neurons has 257 entries; a core has 256 neurons"),
        ({"crossbar": None}, "core 0: crossbar is None; an object {...} was expected"),
        ({"crossbar": {"rows": []}}, "core 0: crossbar has 0 rows; 256 rows, one per axon, were expected"),
    ],
)
def test_bad_cores(file: Path, parts: dict[str, Any], reason: str) -> None:
    assert refusal(file, model_text([core(**parts)]))[0].startswith(f"FILE:4:9: {reason}")


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"type": "S4", "synapses": NO_SYNAPSES}, "row 7 has the type 'S4'; one of S0, S1, S2, S3 was expected"),
        (
            {"type": "S0", "synapses": "00 00 0"},
            "row 7 has the synapses '00 00 0', 0 bytes; 32 in hex were expected",
        ),
        (
            {"type": "S0", "synapses": "00 00"},
            "row 7 has the synapses '00 00', 2 bytes; 32 in hex were expected",
        ),
        ({"type": "S0", "synapses": NO_SYNAPSES[:-2] + "XY"}, "row 7 has the synapses"),
        ({"type": "S0"}, "row 7 has the synapses None, 0 bytes; 32 in hex were expected"),
        (5, "row 7 has the type 5; one of S0, S1, S2, S3 was expected"),
    ],
)
def test_bad_rows(file: Path, row: Any, reason: str) -> None:
    found = refusal(file, model_text([], crossbars=[{"name": "p1", "crossbar": {"rows": crossbar_rows({7: row})}}]))
    assert found[0].startswith(f"FILE:2:19: crossbar type p1: {reason}")


def test_rows_whose_lengths_make_up_for_each_other(file: Path) -> None:
    rows = crossbar_rows(
        {3: {"type": "S0", "synapses": NO_SYNAPSES + " 00"}, 4: {"type": "S0", "synapses": NO_SYNAPSES[3:]}}
    )
    assert "row 3 has the synapses" in refusal(file, model_text([core(crossbar={"rows": rows})]))[0]


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ({"alpha": 262144}, "alpha is 262144; a whole number 0..262143 was expected"),
        ({"s2": -1}, "s2 is -1; a whole number 0..255 was expected"),
        ({"s2": "1"}, "s2 is '1'; a whole number 0..255 was expected"),
        ({"sigma1": 0}, "sigma1 is 0; -1 or 1 was expected"),
        ({"TM": 19}, "TM is 19; a whole number 0..18 was expected"),
        ({"VR": 19}, "VR is 19; a whole number 0..18 was expected"),
        ({"gamma": 3}, "gamma is 3; a whole number 0..2 was expected"),
        ({"kappa": 2}, "kappa is 2; a whole number 0..1 was expected"),
        ({"V": 393217}, "V is 393217; a whole number -393216..393216 was expected"),
        ({"lambda": 1e400}, "lambda is inf; a whole number 0..255 was expected"),
        ({"class": "Other"}, "class is 'Other'; only 'NeuronGeneral' is known"),
    ],
)
def test_bad_neuron_types(file: Path, kind: dict[str, Any], reason: str) -> None:
    text = model_text([core()], [neuron_type(**kind)]).replace("Infinity", "1e400")
    assert refusal(file, text)[0] == f"FILE:3:17: neuron type N00000001: {reason}"


def test_faults_are_collected(file: Path) -> None:
    types = [neuron_type(alpha=-1, beta=-1), neuron_type("N2"), neuron_type("N2"), neuron_type("N02"), {"name": 5}]
    found = refusal(file, model_text([core(3), core(3), core(9, crossbar=None)], types))
    assert [problem.split(": ", 1)[1] for problem in found] == [
        "neuron type N00000001: alpha is -1; a whole number 0..262143 was expected",
        "neuron type N00000001: beta is -1; a whole number 0..262143 was expected",
        "neuron type N2 is given twice; names must differ",
        "neuron type N02 has the same number 2 as another one; numbers must differ",
        'a neuron type has the name 5; a short text such as "N0000001F" was expected',
        "core 3: neuron type 1 (N00000001) is not in neuronTypes",
        "core 3: neuron type 1 (N00000001) is not in neuronTypes",
        "core 9: neuron type 1 (N00000001) is not in neuronTypes",
    ]
    assert refusal(file, model_text([core(3), core(3)])) == [
        "FILE:5:9: core 3: this id is given twice; ids must differ"
    ]


def test_many_faults_end_the_reading(file: Path) -> None:
    found = refusal(file, model_text([core(-1) for _ in range(100)]))
    assert len(found) == 21
    assert found[-1].endswith("what follows was not checked")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "FILE:1:1: the file ends here; a JSON object {...} was expected"),
        ("[]", "FILE:1:1: found '['; a JSON object {...} was expected"),
        ("{}", "FILE holds no cores; a model with the sections model, crossbarTypes, neuronTypes, core was expected"),
        ('{"a": 1} x', 'FILE:1:10: there is more text after the closing "}"; one model per file was expected'),
        ('{"a": 1, "b"', "FILE:1:13: the file ends here; \":\" was expected after the key 'b'"),
        ('{"a" 1}', "FILE:1:6: found '1'; \":\" was expected after the key 'a'"),
        ('{"a": 1 "b": 2}', 'FILE:1:9: found \'"\'; "," or the closing "}" was expected'),
        (
            '{"a": {"b": 1',
            "FILE:1:14: the file ends in the middle of the value that starts at FILE:1:7: it is cut short,",
        ),
        (
            '{"a": "b',
            "FILE:1:7: the file ends in the middle of the value that starts at FILE:1:7: it is cut short, copy it",
        ),
        ('{"a": /* open', "FILE:1:7: this comment is not closed; it needs */"),
        ('{"a": {"b": 1, "b": 2}}', "FILE:1:7: the key 'b' stands twice in one object"),
        ('{"a":\n  NaN}', "FILE:2:3: NaN is no number of JSON"),
        ('{"a":\n {"b": tru}}', "FILE:2:8: this is not JSON: expecting value"),
        ('{"a": ' + "[" * 100_000, "FILE:1:8: values are nested too deeply; a model has 6 levels"),
        ('{"a": ' + '{"b":' * 100_000, "FILE:1:7: values are nested too deeply; a model has 6 levels"),
        ('{"a": ' + "9" * 5000 + "}", "FILE:1:7: a number has thousands of digits"),
        ('{"model": 5}', 'FILE:1:11: the section "model" is given twice or is no object {...}; one was expected'),
        ('{"model": {"crossbarSize": 100}}', "FILE:1:11: crossbarSize is 100; 'truenorth' has 256"),
        ('{"core": {"id": 0}}', "FILE:1:10: core 0: neurons is None; an object {...} was expected"),
    ],
)
def test_text_that_is_no_model(file: Path, text: str, reason: str) -> None:
    assert refusal(file, text)[0].startswith(reason)


def test_long_files_that_hold_nothing(file: Path) -> None:
    """Millions of comments, of unknown sections: quickly passed over, or refused."""
    started = time.process_time()
    text = model_text([core()])
    commented = "//\n" * 1_000_000 + text[:1] + "/**/ // x\n" * 500_000 + text[1:]
    assert load(file, commented).digest() == load(file, text).digest()
    file.write_text("{" + ",".join(f'"k{n}": 1' for n in range(200_000)) + "}")
    with pytest.raises(InputError, match="more than 10,000 sections are not known; no model has so many"):
        read_model(file)
    assert time.process_time() - started < 5


@pytest.mark.parametrize("count", ["-1", "1e308", "4294967296", "9" * 400])
def test_numbers_of_cores_that_cannot_be(file: Path, count: str) -> None:
    assert "a whole number below 2^32 was expected" in refusal(file, f'{{"model": {{"coreCount": {count}}}}}')[0]


def test_sections_in_another_order(file: Path) -> None:
    found = refusal(file, f'{{"core": {json.dumps(core())}}}')
    assert found == [
        "FILE:1:10: core 0: neuron type 1 (N00000001) is not in neuronTypes; the section neuronTypes must stand before the cores"
    ]


def test_every_truncation_is_an_error(file: Path) -> None:
    text = model_text([core()])
    for end in [*range(0, len(text) - 1, 997), len(text) - 2, len(text) - 1]:
        assert refusal(file, text[:end])


def test_bytes_that_are_no_text(file: Path) -> None:
    file.write_bytes(b'{"model": "\xff\xfe"}')
    with pytest.raises(InputError, match="is not UTF-8 text"):
        read_model(file)


def test_values_without_end(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hostile files are refused with an amount of memory that does not grow with them; here with an eighth of the limit."""
    monkeypatch.setattr("neurocore.formats.ibm_json.MAX_VALUE", 2**18)
    monkeypatch.setattr("neurocore.formats.ibm_json.CHUNK", 2**16)
    hostile = ['{"a": "', '{"a": /*', '{"a": {"b": [', '{"crossbarTypes": [[']
    for start, filling in zip(hostile, ["x" * 1000, "x" * 1000, "[]," * 400, "0," * 500], strict=True):
        with file.open("w") as stream:
            stream.write(start)
            for _ in range(5_000):
                stream.write(filling)
        tracemalloc.start()
        begun = time.perf_counter()
        with pytest.raises(InputError, match="takes more than 262,144 characters"):
            read_model(file)
        assert time.perf_counter() - begun < 10
        assert tracemalloc.get_traced_memory()[1] < 30e6
        tracemalloc.stop()


# Size


def write_large(file: Path, n_cores: int, *, inline: bool) -> None:
    """A model of many different cores with random crossbars, as verbose as IBM's own files."""
    rng = np.random.default_rng(1)

    def rows() -> str:
        bits = rng.integers(0, 256, (256, 32), dtype=np.uint8)
        return ",\n".join(
            f'\t\t\t\t {{"type":"S{axon % 4}","synapses":"{row.tobytes().hex(" ").upper()}"}}'
            for axon, row in enumerate(bits)
        )

    def cores() -> Iterator[str]:
        for number in range(n_cores):
            lists = {
                "dendrites": ["0:251", "252:255"],
                "types": [*rng.integers(1, 46, 252).tolist(), "0x4"],
                "destCores": [*rng.integers(0, n_cores, 252).tolist(), "-1x4"] if number else ["-32x252", "-1x4"],
                "destAxons": [*rng.permutation(256)[:252].tolist(), "0x4"],
                "destDelays": ["1x252", "1x4"],
            }
            crossbar = f'"rows":[\n/* Parameters */\n{rows()}]' if inline else f'"name":"coreProt{number + 1:07d}"'
            yield (
                f'/* Core parameters */\n"core":{{"id":{number},"timeScaleExponent":0,"rngSeed":4294967295,\n'
                f'"neurons":{json.dumps(lists)},\n"crossbar":{{{crossbar}}}}}'
            )

    with file.open("w", encoding="utf-8") as stream:
        stream.write(f'{{\n/* General model parameters */\n"model":{{"coreCount":{n_cores}}},\n')
        if not inline:
            stream.write('"crossbarTypes":[')
            for number in range(n_cores):
                stream.write(
                    (",\n" if number else "")
                    + f'{{"name":"coreProt{number + 1:07d}","crossbar":{{"rows":[\n{rows()}]}}}}'
                )
            stream.write("],\n")
        types = ",\n".join(json.dumps(neuron_type(f"N{number:08X}", alpha=number)) for number in range(1, 46))
        stream.write(f'"neuronTypes":[{types}]')
        for text in cores():
            stream.write(",\n" + text)
        stream.write("\n}\n")


@pytest.mark.parametrize("inline", [False, True])
def test_memory_is_bounded(file: Path, inline: bool) -> None:
    """22 KB per core, 14 KB more while reading and 8 KB per crossbar type, as the module says, and little for the text."""
    write_large(file, 300, inline=inline)
    tracemalloc.start()
    chip, report = read_model(file)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (len(chip.cores), report.announced) == (300, 300)
    assert peak < 300 * 44_000 + 20e6


@pytest.mark.slow
@pytest.mark.parametrize("inline", [False, True])
def test_four_thousand_cores(file: Path, inline: bool) -> None:
    write_large(file, 4000, inline=inline)
    begun = time.perf_counter()
    chip, _ = read_model(file)
    assert time.perf_counter() - begun < 60
    assert len(chip.cores) == 4000
    write_model(chip, file)
    assert read_model(file)[0].digest() == chip.digest()


def test_more_crossbars_than_cores_are_refused(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small = load_architecture("truenorth")
    small = small.model_copy(update={"mesh": small.mesh.model_copy(update={"columns": 1, "rows": 2})})
    library = [{"name": f"p{k}", "crossbar": {"rows": crossbar_rows()}} for k in range(3)]
    file.write_text(model_text([core()], crossbars=library), encoding="utf-8")
    with pytest.raises(InputError, match="there are more than 2 crossbar types; 'truenorth' has no more cores"):
        read_model(file, small)


# Spike files


def header(encoding: str = "TEXT", delay: int = 1) -> str:
    return f'{{"class":"SpikeWriter","encoding":"{encoding}"}}\n{{"version":"sfti1.0","defaultDestinationDelay":{delay}}}\n'


def spike(time: Any, core: Any, axon: Any, **more: Any) -> str:
    return json.dumps({"spike": {"srcTime": time, "destCore": core, "destAxon": axon, **more}}) + "\n"


def test_text_in_any_spelling(tmp_path: Path) -> None:
    path = tmp_path / "a.sfti"
    text = header(delay=3) + spike(5, 0, 1) + "\n  " + spike(2, 7, 255, destDelay=9, srcCore=1, srcNeuron=2)
    path.write_text(text.replace("\n", "\r\n") + '{"spike":{"srcTime":9,"destCore":1,"destAxon":2}}', encoding="utf-8")
    assert read_spikes(path) == Spikes.from_axons([8, 11, 12], [0, 7, 1], [1, 255, 2])


def test_lines_with_blanks_are_no_slower(tmp_path: Path) -> None:
    """Lines as most JSON writers space them take the quick way of IBM's own, which has none."""
    text = "".join(spike(n, n % 7, n % 256) for n in range(200_000))
    assert ": " in text
    (tmp_path / "a.sfti").write_text(header() + text.replace(" ", ""), encoding="utf-8")
    (tmp_path / "b.sfti").write_text(header() + text, encoding="utf-8")
    expected, started = read_spikes(tmp_path / "a.sfti"), time.process_time()
    assert read_spikes(tmp_path / "b.sfti") == expected
    assert time.process_time() - started < 0.8


@pytest.mark.parametrize("delay", [1, 4])
def test_spike_files_round_trip(tmp_path: Path, delay: int) -> None:
    rng = np.random.default_rng(2)
    spikes = Spikes.from_axons(
        rng.integers(4, 10**6, 50_000), rng.integers(0, 4096, 50_000), rng.integers(0, 256, 50_000)
    )
    for name in ("a.sfti", "a.sfri"):
        write_spikes(tmp_path / name, spikes, default_delay=delay)
        assert read_spikes(tmp_path / name) == spikes


def test_output_files_hold_the_tick_of_firing(file: Path, tmp_path: Path) -> None:
    known = output_map(load(file, model_text([core()])))
    fired = Spikes.from_lines([0, 9, 9], [3, 0, 255])
    for name in ("a.sfto", "a.sfro"):
        write_output_spikes(tmp_path / name, fired, known)
        assert read_output_spikes(tmp_path / name, known) == fired
        with pytest.raises(InputError, match="3 of 3 spikes leave the chip, such as one for destCore -32"):
            read_spikes(tmp_path / name)
    assert '{"spike":{"srcTime":9,"destCore":-32,"destAxon":255}}' in (tmp_path / "a.sfto").read_text(encoding="utf-8")
    (tmp_path / "all.sfci").write_text(header() + spike(0, 874, 222) + spike(4, -32, 9), encoding="utf-8")
    assert read_output_spikes(tmp_path / "all.sfci", known) == Spikes.from_lines([4], [9])
    (tmp_path / "all.sfci").write_text(header() + spike(4, -33, 9), encoding="utf-8")
    with pytest.raises(
        InputError, match="1 spikes leave where the chip has no output, such as destCore -33, destAxon 9"
    ):
        read_output_spikes(tmp_path / "all.sfci", known)


def test_lines_of_a_chip_on_the_command_line(file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the chip, output spikes of IBM's files are spikes on its lines, and the other way round."""
    monkeypatch.chdir(tmp_path)
    chip = load(file, model_text([core()]))
    lines, entry = np.arange(3), InputMap(np.arange(3), np.zeros(3, int), np.array([7, 9, 5]), np.array([1, 0, 2]))
    replace(chip, inputs=(Group("x", (3,)),), input_map=entry).save("c.h5")
    fired, given = Spikes.from_lines([0, 9, 9], [3, 0, 255]), Spikes.from_lines([4, 4, 8], lines)
    write_own(tmp_path / "o.csv", fired)
    write_own(tmp_path / "i.csv", given)

    def convert(*arguments: str) -> None:
        convert_command.main(list(arguments), standalone_mode=False)

    for ending in ("sfto", "sfro"):
        convert("o.csv", f"o.{ending}", "--chip-file", "c.h5")
        assert read_output_spikes(f"o.{ending}", output_map(chip)) == fired
        convert(f"o.{ending}", f"{ending}.npz", "--chip-file", "c.h5")
        assert read_own(f"{ending}.npz") == fired
        with pytest.raises(InputError, match=r"belong to the output lines of a chip; name it \(convert --chip-file\)"):
            convert(f"o.{ending}", "x.npz")
    convert("i.csv", "i.sfti", "--chip-file", "c.h5")
    assert read_spikes("i.sfti") == Spikes.from_axons([5, 4, 10], [0, 0, 0], [7, 9, 5])
    convert("i.sfti", "again.sfri", "--chip-file", "c.h5")
    assert read_spikes("again.sfri") == read_spikes("i.sfti")
    with pytest.raises(InputError, match=r"columns tick,line of a network; tick,core,axon of a bare chip was expected"):
        convert("i.csv", "x.sfti")


def test_outputs_of_other_chips_get_connectors(truenorth: Architecture) -> None:
    known = output_map(replace(random_chip(truenorth, 1), outputs=(Group("a", (200,)), Group("b", (100,), 200))))
    assert known.core[[0, 255, 256, 299]].tolist() == [-32, -32, -33, -33]
    assert known.axon[[0, 255, 256, 299]].tolist() == [0, 255, 0, 43]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b"", "looks like an empty file; an .sfti, .sfto, .sfri or .sfro file was expected"),
        (b"tick,core,axon\n", "looks like a table in CSV text; an .sfti, .sfto, .sfri or .sfro file was expected"),
        (spike(1, 2, 3).encode(), ":1:1: no header was found; a spike file of IBM's tools was expected"),
        (header(delay=0).encode(), ": defaultDestinationDelay is 0; a delay of 1..15 ticks was expected"),
        ((header() + spike(-1, 0, 0)).encode(), ":3:1: srcTime is -1; a whole number 0..4294967295 was expected"),
        ((header() + spike(1, 0, "x")).encode(), ":3:1: destAxon is 'x'; a whole number 0..4294967295 was expected"),
        (
            (header() + spike(1, 0, 0, destDelay=16)).encode(),
            ":3:1: destDelay is 16; a delay of 1..15 ticks was expected",
        ),
        ((header() + spike(1, 0, 0, colour=1)).encode(), ":3:1: the key 'colour' of a spike is not known"),
        ((header() + '{"spike":{"srcTi').encode(), ":3:11: this is not JSON: unterminated string starting at"),
        (
            (header() + "[" * 5000).encode(),
            ":3:1: found '[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[['; a spike was expected",
        ),
        (
            b'{"encoding":"RAWI3"}\xff' + b"\0" * 13,
            " is cut short: 13 bytes of spikes are no multiple of 12; copy it again",
        ),
        (b'{"encoding":"RAWX"}\xff', " has a header of encoding 'RAWX'; RAWI3 or RAWO6 was expected"),
        (b'{"encod\xff', " has a header of encoding None; RAWI3 or RAWO6 was expected"),
    ],
)
def test_bad_spike_files(tmp_path: Path, text: bytes, reason: str) -> None:
    path = tmp_path / "a.sfti"
    path.write_bytes(text)
    with pytest.raises(InputError) as error:
        read_spikes(path)
    assert error.value.problems[0].replace(str(path), "").strip() == reason.strip()


def test_numbers_beyond_32_bits_in_plain_lines(tmp_path: Path) -> None:
    path = tmp_path / "a.sfti"
    line = '{"spike":{"srcTime":9999999999,"destCore":0,"destAxon":0}}\n'
    path.write_text(header() + spike(1, 0, 0) * 100 + line * 200, encoding="utf-8")
    with pytest.raises(InputError, match="9999999999"):
        read_spikes(path)


def test_what_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="a spike is active at tick 0; in IBM's files it is sent 1 ticks before"):
        write_spikes(tmp_path / "a.sfti", Spikes.from_axons([0], [0], [0]))
    with pytest.raises(UsageError, match=r"has the ending '\.txt'; these spikes are written as \.sfti or \.sfri"):
        write_spikes(tmp_path / "a.txt", Spikes.from_axons([1], [0], [0]))
    with pytest.raises(InputError, match="a spike has srcTime 4294967296"):
        write_spikes(tmp_path / "a.sfri", Spikes.from_axons([2**32 + 1], [0], [0]))
    with pytest.raises(InputError, match=r"tick,core,axon of a bare chip was expected"):
        write_spikes(tmp_path / "a.sfri", Spikes.from_lines([1], [0]))
    with pytest.raises(UsageError, match="default_delay is 16"):
        write_spikes(tmp_path / "a.sfri", Spikes.from_axons([99], [0], [0]), default_delay=16)
    assert not list(tmp_path.iterdir())
