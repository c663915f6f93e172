"""IBM's model files that are refused, and large ones."""

from __future__ import annotations

import json
import time
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ibm_models import ALL, NO_SYNAPSES, core, crossbar_rows, load, model_text, neuron_type, refusal

from neurocore.architecture import load_architecture
from neurocore.errors import InputError
from neurocore.formats.ibm import read_model, write_model


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
def test_bad_neurons(ibm_file: Path, neurons: dict[str, Any], reason: str) -> None:
    problems = refusal(ibm_file, model_text([core(12, neurons={**ALL, **neurons})]))
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
def test_bad_cores(ibm_file: Path, parts: dict[str, Any], reason: str) -> None:
    assert refusal(ibm_file, model_text([core(**parts)]))[0].startswith(f"FILE:4:9: {reason}")


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
def test_bad_rows(ibm_file: Path, row: Any, reason: str) -> None:
    found = refusal(ibm_file, model_text([], crossbars=[{"name": "p1", "crossbar": {"rows": crossbar_rows({7: row})}}]))
    assert found[0].startswith(f"FILE:2:19: crossbar type p1: {reason}")


def test_rows_whose_lengths_make_up_for_each_other(ibm_file: Path) -> None:
    rows = crossbar_rows(
        {3: {"type": "S0", "synapses": NO_SYNAPSES + " 00"}, 4: {"type": "S0", "synapses": NO_SYNAPSES[3:]}}
    )
    assert "row 3 has the synapses" in refusal(ibm_file, model_text([core(crossbar={"rows": rows})]))[0]


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
def test_bad_neuron_types(ibm_file: Path, kind: dict[str, Any], reason: str) -> None:
    text = model_text([core()], [neuron_type(**kind)]).replace("Infinity", "1e400")
    assert refusal(ibm_file, text)[0] == f"FILE:3:17: neuron type N00000001: {reason}"


def test_faults_are_collected(ibm_file: Path) -> None:
    types = [neuron_type(alpha=-1, beta=-1), neuron_type("N2"), neuron_type("N2"), neuron_type("N02"), {"name": 5}]
    found = refusal(ibm_file, model_text([core(3), core(3), core(9, crossbar=None)], types))
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
    assert refusal(ibm_file, model_text([core(3), core(3)])) == [
        "FILE:5:9: core 3: this id is given twice; ids must differ"
    ]


def test_many_faults_end_the_reading(ibm_file: Path) -> None:
    found = refusal(ibm_file, model_text([core(-1) for _ in range(100)]))
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
def test_text_that_is_no_model(ibm_file: Path, text: str, reason: str) -> None:
    assert refusal(ibm_file, text)[0].startswith(reason)


def test_long_files_that_hold_nothing(ibm_file: Path) -> None:
    """Millions of comments, of unknown sections: quickly passed over, or refused."""
    started = time.process_time()
    text = model_text([core()])
    commented = "//\n" * 1_000_000 + text[:1] + "/**/ // x\n" * 500_000 + text[1:]
    assert load(ibm_file, commented).digest() == load(ibm_file, text).digest()
    ibm_file.write_text("{" + ",".join(f'"k{n}": 1' for n in range(200_000)) + "}")
    with pytest.raises(InputError, match="more than 10,000 sections are not known; no model has so many"):
        read_model(ibm_file)
    assert time.process_time() - started < 5


@pytest.mark.parametrize("count", ["-1", "1e308", "4294967296", "9" * 400])
def test_numbers_of_cores_that_cannot_be(ibm_file: Path, count: str) -> None:
    assert "a whole number below 2^32 was expected" in refusal(ibm_file, f'{{"model": {{"coreCount": {count}}}}}')[0]


def test_sections_in_another_order(ibm_file: Path) -> None:
    found = refusal(ibm_file, f'{{"core": {json.dumps(core())}}}')
    assert found == [
        "FILE:1:10: core 0: neuron type 1 (N00000001) is not in neuronTypes; the section neuronTypes must stand before the cores"
    ]


def test_every_truncation_is_an_error(ibm_file: Path) -> None:
    text = model_text([core()])
    for end in [*range(0, len(text) - 1, 997), len(text) - 2, len(text) - 1]:
        assert refusal(ibm_file, text[:end])


def test_bytes_that_are_no_text(ibm_file: Path) -> None:
    ibm_file.write_bytes(b'{"model": "\xff\xfe"}')
    with pytest.raises(InputError, match="is not UTF-8 text"):
        read_model(ibm_file)


def test_values_without_end(ibm_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hostile files are refused with an amount of memory that does not grow with them; here with an eighth of the limit."""
    monkeypatch.setattr("neurocore.formats.ibm_json.MAX_VALUE", 2**18)
    monkeypatch.setattr("neurocore.formats.ibm_json.CHUNK", 2**16)
    hostile = ['{"a": "', '{"a": /*', '{"a": {"b": [', '{"crossbarTypes": [[']
    for start, filling in zip(hostile, ["x" * 1000, "x" * 1000, "[]," * 400, "0," * 500], strict=True):
        with ibm_file.open("w") as stream:
            stream.write(start)
            for _ in range(5_000):
                stream.write(filling)
        tracemalloc.start()
        begun = time.perf_counter()
        with pytest.raises(InputError, match="takes more than 262,144 characters"):
            read_model(ibm_file)
        assert time.perf_counter() - begun < 10
        assert tracemalloc.get_traced_memory()[1] < 30e6
        tracemalloc.stop()


# Size


def write_large(ibm_file: Path, n_cores: int, *, inline: bool) -> None:
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

    with ibm_file.open("w", encoding="utf-8") as stream:
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
def test_memory_is_bounded(ibm_file: Path, inline: bool) -> None:
    """22 KB per core, 14 KB more while reading and 8 KB per crossbar type, as the module says, and little for the text."""
    write_large(ibm_file, 300, inline=inline)
    tracemalloc.start()
    chip, report = read_model(ibm_file)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (len(chip.cores), report.announced) == (300, 300)
    assert peak < 300 * 44_000 + 20e6


@pytest.mark.slow
@pytest.mark.parametrize("inline", [False, True])
def test_four_thousand_cores(ibm_file: Path, inline: bool) -> None:
    write_large(ibm_file, 4000, inline=inline)
    begun = time.perf_counter()
    chip, _ = read_model(ibm_file)
    assert time.perf_counter() - begun < 60
    assert len(chip.cores) == 4000
    write_model(chip, ibm_file)
    assert read_model(ibm_file)[0].digest() == chip.digest()


def test_more_crossbars_than_cores_are_refused(ibm_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small = load_architecture("truenorth")
    small = small.model_copy(update={"mesh": small.mesh.model_copy(update={"columns": 1, "rows": 2})})
    library = [{"name": f"p{k}", "crossbar": {"rows": crossbar_rows()}} for k in range(3)]
    ibm_file.write_text(model_text([core()], crossbars=library), encoding="utf-8")
    with pytest.raises(InputError, match="there are more than 2 crossbar types; 'truenorth' has no more cores"):
        read_model(ibm_file, small)
