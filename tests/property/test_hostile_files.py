"""Files that were damaged or made up to do harm: a reader takes them or refuses them in sentences, and nothing else happens."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from neurocore.errors import InputError
from neurocore.formats.ibm import read_model
from neurocore.formats.ibm_spikes import read_spikes
from neurocore.formats.ranc import read_ranc

TYPE = {
    **{f"{key}{g}": value for g in range(4) for key, value in (("sigma", 1), ("s", g), ("b", 0))},
    **dict.fromkeys(("lambda", "c_lambda", "epsilon", "beta", "TM", "gamma", "VR", "V"), 0),
    "name": "N00000001",
    "class": "NeuronGeneral",
    "sigma_lambda": -1,
    "alpha": 1,
    "kappa": 1,
    "sigma_VR": 1,
}
NEURONS = {
    "dendrites": ["0:255"],
    "types": ["1x200", "0x56"],
    "destCores": ["-32x200", "-1x56"],
    "destAxons": ["0:199", "0x56"],
    "destDelays": ["1x256"],
}
MODEL = {
    "model": {"coreCount": 1, "crossbarSize": 256},
    "crossbarTypes": [{"name": "a", "crossbar": {"rows": [{"type": "S0", "synapses": "00 " * 31 + "01"}] * 256}}],
    "neuronTypes": [TYPE],
    "core": {"id": 0, "rngSeed": 5, "neurons": NEURONS, "crossbar": {"name": "a"}},
}
NEURON = {
    **dict.fromkeys(("reset_potential", "leak", "destination_axon", "destination_tick", "current_potential"), 0),
    "weights": [2, 3],
    "positive_threshold": 3,
    "negative_threshold": -5,
    "destination_core_offset": [1, 0],
    "reset_mode": 1,
}
RANC = {
    "packets": [[{"destination_core": [0, 0], "destination_axon": 1, "destination_tick": 0}], []],
    "output_bus": {"coordinates": [1, 0], "num_outputs": 2},
    "cores": [{"coordinates": [0, 0], "axons": [0, 1], "connections": [[1, 1], [0, 1]], "neurons": [NEURON] * 2}],
}
CONFIG = {
    **dict.fromkeys(("num_neurons", "num_axons", "num_cores_x", "num_weights"), 2),
    "num_cores_y": 1,
    "max_tick_offset": 16,
    "neuron_reset_type": 0,
}
HEADER = '{"class":"SpikeWriter","encoding":"TEXT"}\n{"version":"sfti1.0","defaultDestinationDelay":1}\n'
SPIKES = HEADER + "".join(f'{{"spike":{{"srcTime":{t},"destCore":0,"destAxon":{t}}}}}\n' for t in range(9))
BINARY = b'{"encoding":"RAWI3","defaultDestinationDelay":1}\xff' + bytes(range(36))

_ODD = [
    "1e999",
    "-1",
    "NaN",
    "Infinity",
    "null",
    "true",
    "[]",
    "{}",
    "1.5",
    "-0",
    "4294967296",
    "2147483648",
    "9223372036854775808",
    "/*",
    "//",
    "[[[[1]]]]",
]
_ODD += [
    '""',
    '"0:1000000000"',
    '"1x1000000000"',
    '"0:9999999999"',
    '"5:-1:0"',
    '"\\ud800"',
    '{"a":1,"a":2}',
    "9" * 5000,
]
ODD = [item.encode() for item in _ODD] + [
    b"[" * 3000,
    b'{"a":' * 1500,
    b'"\xff"',
    b"\x00",
    b"1" * 60 + b".",
    b'"' + b"a" * 99_999,
]
VALUE = re.compile(rb'-?\d+(?:\.\d+)?|"(?:[^"\\]|\\.)*"|true|false|null|\[\]|\{\}')


def damaged(text: bytes, seed: int) -> bytes:
    """The text with up to three faults: bytes changed, cut or doubled, values replaced by odd ones."""
    rng, data = random.Random(seed), bytearray(text)
    for _ in range(rng.choice([1, 1, 2, 3])):
        at = rng.randrange(len(data) + 1)
        kind = rng.randrange(7)
        if kind == 0 and at < len(data):
            data[at] = rng.randrange(256)
        elif kind == 1:
            del data[at:]
        elif kind == 2:
            del data[at : at + rng.choice([1, 2, 40])]
        elif kind == 3:
            data[at:at] = rng.choice(ODD)
        elif kind == 4:
            data[at:at] = data[rng.randrange(len(data) + 1) :][: rng.choice([1, 30, 3000])]
        elif found := VALUE.search(bytes(data[at:])):
            data[at + found.start() : at + found.end()] = rng.choice(ODD)
    return bytes(data)


def _ranc(folder: Path, data: bytes) -> Any:
    (folder / "config.json").write_text(json.dumps(CONFIG))
    (folder / "file").write_bytes(data)
    return read_ranc(folder / "file", folder / "config.json")


def _config(folder: Path, data: bytes) -> Any:
    (folder / "input.json").write_text(json.dumps(RANC))
    (folder / "file").write_bytes(data)
    return read_ranc(folder / "input.json", folder / "file")


def _alone(reader: Callable[[Path], Any]) -> Callable[[Path, bytes], Any]:
    def read(folder: Path, data: bytes) -> Any:
        (folder / "file").write_bytes(data)
        return reader(folder / "file")

    return read


READERS: dict[str, tuple[bytes, Callable[[Path, bytes], Any]]] = {
    "ibm": (json.dumps(MODEL).encode(), _alone(read_model)),
    "ranc": (json.dumps(RANC).encode(), _ranc),
    "config": (json.dumps(CONFIG).encode(), _config),
    "text spikes": (SPIKES.encode(), _alone(read_spikes)),
    "binary spikes": (BINARY, _alone(read_spikes)),
}


@pytest.mark.parametrize("name", READERS)
def test_the_files_are_good_before(name: str, tmp_path: Path) -> None:
    text, read = READERS[name]
    assert read(tmp_path, text) is not None


@pytest.mark.parametrize("name", READERS)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], max_examples=200)
@given(seed=st.integers(0, 2**32 - 1))
def test_damaged_files_are_read_or_refused(name: str, seed: int, tmp_path: Path) -> None:
    """InputError is the only exception, and its sentences name the file or what stands in it, at no great length."""
    text, read = READERS[name]
    problems: tuple[str, ...] = ()
    try:
        read(tmp_path, damaged(text, seed))
    except InputError as error:
        problems = tuple(error.problems)
    assert len(problems) <= 22
    assert all(20 < len(problem) < 600 for problem in problems), problems


@pytest.mark.parametrize(
    ("name", "old", "new", "sentence"),
    [
        ("ibm", b'"S0"', b"{}", r"row 0 has the type \{\}; one of S0, S1, S2, S3 was expected"),
        ("ibm", b'"S0"', b"[]", r"row 0 has the type \[\]; one of S0, S1, S2, S3 was expected"),
        ("binary spikes", b'"RAWI3"', b"{}", r"has a header of encoding \{\}; RAWI3 or RAWO6 was expected"),
        ("config", b"max_tick_offset", b"a" * 5000 + b'":[}', r": a{80}\.\.\. is not valid JSON: "),
        ("config", b'max_tick_offset"', b"a" * 5000 + b'" 1', r"was expected in the value of 'a{40}'"),
    ],
)
def test_what_damage_found(name: str, old: bytes, new: bytes, sentence: str, tmp_path: Path) -> None:
    text, read = READERS[name]
    with pytest.raises(InputError, match=sentence):
        read(tmp_path, text.replace(old, new))
