"""IBM's model files: every spelling that is read, and what is written."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ibm_models import ALL, NEURON, NO_SYNAPSES, core, crossbar_rows, load, model_text, neuron_type, refusal

from neurocore.architecture import Architecture
from neurocore.config import NOWHERE, OUTPUT, ChipConfig, Group, InputMap
from neurocore.emulator import Emulator
from neurocore.errors import InputError, OutputError
from neurocore.formats.ibm import read_model, write_model
from neurocore.formats.ibm_ranges import compress, expand
from neurocore.formats.ibm_spikes import (
    axon_spikes,
    output_map,
    read_spikes,
    write_output_spikes,
)
from neurocore.spikes import Spikes
from random_chips import random_chip

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


def test_comments_and_repeated_keys(ibm_file: Path) -> None:
    text = model_text([core(0), core(5)], before='/* a "quoted\n comment */ // and { one\n')
    chip = load(ibm_file, text.replace('"id"', '/* c */"id"'))
    assert chip.cores.core.tolist() == [0, 5]
    assert chip.cores.stream.tolist() == [7, (5 << 32) + 7]
    assert chip.name == "model"


def test_slashes_within_texts_are_no_comments(ibm_file: Path) -> None:
    head = {"coreCount": 1, "buildKey64": 'a//b /* c " \\'}
    chip = load(ibm_file, model_text([core()], head=head))
    assert dict(chip.notes)["build key"] == 'a//b /* c " \\'


def test_small_pieces_of_the_file(ibm_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = model_text([core(3, crossbar={"rows": crossbar_rows()})], before="/* one\ntwo */ //three\n")
    whole = load(ibm_file, text)
    for size in (1, 7, 1000):
        monkeypatch.setattr("neurocore.formats.ibm_json.CHUNK", size)
        assert load(ibm_file, text).digest() == whole.digest()
        assert refusal(ibm_file, '{\n"model": {},\n /* x\n */ 5') == [
            'FILE:4:5: found 5; a key in "quotes" was expected'
        ]


def test_the_most_significant_bit_is_neuron_0(ibm_file: Path) -> None:
    rows = crossbar_rows(
        {
            0: {"type": "S0", "synapses": "80" + NO_SYNAPSES[2:]},
            1: {"type": "S3", "synapses": NO_SYNAPSES[:-2] + "01"},
            2: {"type": "S2", "synapses": "0f" + "00" * 31},
        }
    )
    prototype = load(ibm_file, model_text([core()], crossbars=[{"name": "p1", "crossbar": {"rows": rows}}]))
    inline = load(ibm_file, model_text([core(crossbar={"rows": rows})]))
    assert prototype.digest() == inline.digest()
    axon, neuron = np.nonzero(inline.crossbar_bits(0))
    assert list(zip(axon.tolist(), neuron.tolist(), strict=True)) == [(0, 0), (1, 255), (2, 4), (2, 5), (2, 6), (2, 7)]
    assert inline.cores.axon_type[0, :4].tolist() == [0, 3, 2, 0]


def test_numbers_in_types_are_hexadecimal_suffixes(ibm_file: Path) -> None:
    types = [neuron_type("N0000001F", alpha=31), neuron_type("N00000010", alpha=16), neuron_type("N00000001", alpha=1)]
    neurons = {**ALL, "types": [31, "16x2", 1, "0x252"]}
    chip = load(ibm_file, model_text([core(neurons=neurons)], types))
    assert chip.cores.threshold[0, :4].tolist() == [31, 16, 16, 1]
    assert np.flatnonzero(chip.cores.configured[0]).tolist() == [0, 1, 2, 3]
    assert chip.n_outputs == 4


def test_dendrites_are_the_numbers_of_neurons(ibm_file: Path) -> None:
    neurons = {
        "dendrites": [9, "3:-1:2", 0],
        "types": ["1x3", 2],
        "destCores": [0, -1, -2, -33],
        "destAxons": [255, -1, 0, 8],
        "destDelays": [15, 1, 1, 1],
    }
    chip = load(ibm_file, model_text([core(neurons=neurons)], [neuron_type(), neuron_type("N00000002", V=-5)]))
    assert np.flatnonzero(chip.cores.configured[0]).tolist() == [0, 2, 3, 9]
    cores = chip.cores
    assert (cores.target_core[0, 9], cores.target_axon[0, 9], cores.delay[0, 9]) == (0, 255, 15)
    assert cores.target_core[0, [0, 2, 3]].tolist() == [OUTPUT, NOWHERE, NOWHERE]
    assert cores.initial[0, 0] == -5


def test_every_parameter_is_taken(ibm_file: Path) -> None:
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
    cores = load(ibm_file, model_text([core()], [kind])).cores
    assert cores.weight[0, :, 7].tolist() == [-255, 4, 0, 9]
    assert cores.weight_stochastic[0, :, 7].tolist() == [True, False, False, True]
    names = ("leak", "leak_stochastic", "leak_reversal", "threshold", "floor", "threshold_mask_bits")
    assert [int(getattr(cores, name)[0, 7]) for name in names] == [-200, 1, 1, 262143, 17, 18]
    names = ("reset_mode", "floor_mode", "reset", "initial")
    assert [int(getattr(cores, name)[0, 7]) for name in names] == [2, 1, -262143, -393216]


def test_output_lines_ascend_by_connector_and_axon(ibm_file: Path) -> None:
    neurons = {
        "dendrites": ["0:6"],
        "types": ["1x7"],
        "destCores": [-34, -32, -32, -33, -33, -33, -32],
        "destAxons": [7, 1, 0, 9, 1, 5, 1],
        "destDelays": ["1x7"],
    }
    chip = load(ibm_file, model_text([core(neurons=neurons)]))
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


def test_long_form_gives_what_the_silicon_gave(ibm_file: Path, tmp_path: Path) -> None:
    chip = load(ibm_file, pytn_text())
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


def test_what_the_report_says(ibm_file: Path) -> None:
    idle = {**ALL, "types": ["1x255", 0], "destCores": ["-32x254", 9, 9], "destDelays": [2, "1x255"]}
    rows = crossbar_rows({4: {"type": "S1", "synapses": " ".join(["FF"] * 32), "note": 1}})
    text = model_text(
        [core(neurons=idle, crossbar={"rows": rows}, rngSeed=None, colour="red")],
        head={"coreCount": 4042, "colour": 1},
        types=[neuron_type(colour=1)],
        before='"strange": [{"a": 1}, [2]],',
    )
    ibm_file.write_text(text, encoding="utf-8")
    chip, report = read_model(ibm_file)
    assert chip.n_synapses == 255
    assert (report.announced, report.n_cores) == (4042, 1)
    assert report.sentences() == (
        "the file announces 4,042 cores and holds 1",
        "1 neuron sends spikes to cores that the file does not hold; they are lost",
        "1 output has a delay other than 1; a spike carries the tick in which its neuron fires",
        "1 unused neuron of type 0 has a destination, which has no effect",
        "1 crossbar bit is of unused neurons (type 0) and left out, without effect",
        "1 core has no rngSeed; 4294967295 was taken",
        "the key 'core.colour' is not known and was not used (1 time)",
        "the key 'crossbar row.note' is not known and was not used (1 time)",
        "the key 'model.colour' is not known and was not used (1 time)",
        "the key 'neuronTypes.colour' is not known and was not used (1 time)",
        "the key 'strange' is not known and was not used (1 time)",
    )


def test_an_excerpt_may_lack_crossbars(ibm_file: Path) -> None:
    lost = core(crossbar={"name": "p9"})
    ibm_file.write_text(model_text([lost], head={"coreCount": 2}), encoding="utf-8")
    assert "1 core has no synapses, because the file lacks the crossbar" in read_model(ibm_file)[1].remarks
    place = "FILE:4:9: core 0: crossbar 'p9' is not in crossbarTypes"
    assert refusal(ibm_file, model_text([lost])) == [place]


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
