"""RANC files that are refused: values out of range, malformed JSON, files far too large, and configurations."""

from __future__ import annotations

import gzip
import time
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from ranc_networks import CONFIG, GOOD, INPUT, changed, first_core, first_neuron, network, neuron, packet

from neurocore.errors import InputError

BAD = [
    (first_neuron(leak=1.5), "cores[0].neurons[0].leak: is 1.5; a whole number -2147483647..2147483647 was expected"),
    (first_neuron(leak=True), "cores[0].neurons[0].leak: is true; a whole number"),
    (first_neuron(leak=10**30), "cores[0].neurons[0].leak: is a number of more than 20 digits"),
    (first_neuron(reset_mode=2), "cores[0].neurons[0].reset_mode: is 2; 0..1 is allowed"),
    (first_neuron(weights=[1] * 5), "cores[0].neurons[0].weights: is an array of 5; an array of at most 4"),
    (first_neuron(weights=[1, "a"]), "cores[0].neurons[0].weights[1]: is 'a'; a whole number"),
    (first_neuron(destination_core_offset=[2, -1]), "leads to (2, -1), outside the grid of 2 x 1"),
    (first_neuron(destination_core_offset=[2]), "cores[0].neurons[0].destination_core_offset: is an array of 1"),
    (first_neuron(destination_axon=2), "cores[0].neurons[0].destination_axon: is 2; the output bus has lines 0..1"),
    (first_neuron(destination_tick=16), "cores[0].neurons[0].destination_tick: is 16; 0..15 is allowed"),
    (first_neuron(destination_tick=-1), "cores[0].neurons[0].destination_tick: is -1; 0..15 is allowed"),
    (changed(lambda d: d["cores"][0]["neurons"][1].pop("leak")), "cores[0].neurons[1].leak: is missing"),
    (changed(lambda d: d["cores"][0].pop("axons")), "cores[0]: has no axons"),
    (changed(lambda d: d["cores"].append(d["cores"][0])), "cores[1].coordinates: (0, 0) is already that of cores[0]"),
    (first_core(connections=[[1, 2], [0, 1]]), "cores[0].connections[0][1]: is 2; 0..1 is allowed"),
    (first_core(connections=[[1, 1, 1], [0, 1]]), "cores[0].connections[0]: has 3 entries; a core has 2 axons"),
    (first_core(connections=[[1, 1]]), "cores[0].connections: has 1 rows; every one of the 2 neurons needs one"),
    (first_core(connections=[1, 1]), "cores[0].connections[0]: is 1; an array of 0 and 1 was expected"),
    (first_core(connections=[[True], [0]]), "cores[0].connections[0][0]: is true; a whole number 0..1 was expected"),
    (first_core(connections={"": 0}), "cores[0].connections: is an object of 1; an array of rows was expected"),
    (first_core(axons=[4]), "cores[0].axons[0]: is 4; 0..3 is allowed"),
    (first_core(axons=[0, 0, 0]), "cores[0].axons: is an array of 3; an array of at most 2"),
    (first_core(coordinates=[2, 0]), "cores[0].coordinates[0]: is 2; 0..1 is allowed"),
    (first_core(neurons=[neuron()] * 3), "cores[0].neurons: is an array of 3; an array of at most 2"),
    (first_core(neurons=[1]), "cores[0].neurons[0]: is 1; an object was expected"),
    (changed(lambda d: d["cores"].append(5)), "cores[1]: is 5; an object was expected"),
    (changed(lambda d: d["packets"].append([packet(0, 0, -1, 0)])), "packets[4][0].destination_axon: is -1; 0..1"),
    (changed(lambda d: d["packets"].append([packet(0, 0, 0, -1)])), "packets[4][0].destination_tick: is -1; 0..15"),
    (changed(lambda d: d["packets"].append([packet(5, 0, 0, 0)])), "packets[4][0].destination_core[0]: is 5; 0..1"),
    (changed(lambda d: d["packets"].append([{}])), "packets[4][0]: has no destination_core"),
    (changed(lambda d: d["packets"].append([3])), "packets[4][0]: is 3; an object was expected"),
    (changed(lambda d: d["packets"].append(3)), "packets[4]: is 3; an array of packets was expected"),
    (changed(lambda d: d.update(packets={})), "packets is not an array"),
    (
        changed(lambda d: d["output_bus"].update(num_outputs=1)),
        "packets[0]: destination_axon: is 1; the output bus has",
    ),
    (changed(lambda d: d["output_bus"].update(num_outputs=10**12)), "output_bus.num_outputs: is 1000000000000; 0.."),
    (changed(lambda d: d["output_bus"].update(coordinates=[9, 0])), "output_bus.coordinates[0]: is 9; 0..1 is allowed"),
    (changed(lambda d: d.update(output_bus=[])), "output_bus: is an array of 0; an object with coordinates"),
    (changed(lambda d: d.pop("output_bus")), "output_bus: is missing"),
    (changed(lambda d: d.pop("packets")), "packets: is missing"),
]


@pytest.mark.parametrize(("data", "sentence"), BAD, ids=[sentence[:60] for _, sentence in BAD])
def test_bad_values(folder: Path, data: Any, sentence: str) -> None:
    with pytest.raises(InputError) as caught:
        network(data)
    assert sentence in str(caught.value)
    assert str(caught.value).startswith("input.json:")


MALFORMED = [
    (b"", "the top level is not a JSON object"),
    (b"[]", "the top level is not a JSON object"),
    (b"\xff\xfe{}", "the top level is not a JSON object"),
    (b"{", "a key in quotes was expected"),
    (b'{"a"', "the file ends in the value of 'a'; it is truncated"),
    (b'{"a":}', "a value was expected, '}' was found"),
    (b'{"a":1,}', "a key in quotes was expected"),
    (b'{"a":1 "b":2}', ", or } was expected in the top-level object"),
    (b'{"a":"' + b"x" * 100_000, "the file ends within a string; it is truncated"),
    (b'{"a":"' + b"\\" * 100_001 + b'"}', "the file ends within a string; it is truncated"),
    (GOOD[:-1], "the file ends in the top-level object; it is truncated"),
    (GOOD[:300], "the file ends within an array or object; it is truncated"),
    (GOOD + b"x", "there is more after the end of the top-level object"),
    (GOOD + GOOD, "there is more after the end of the top-level object"),
    (GOOD.replace(b'"leak": 0', b'"leak": NaN'), "NaN is not a JSON number"),
    (GOOD.replace(b'"leak": 0', b'"leak": 0, "leak": 1'), "the key 'leak' is given twice"),
    (GOOD.replace(b'"cores"', b'"packets"'), "the key 'packets' is given twice"),
    (GOOD.replace(b"[[1, 1], [0, 1]]", b"[[1 1], [0, 1]]"), "cores[0].connections is not valid JSON"),
    (GOOD.replace(b"[[1, 1], [0, 1]]", b"[[1, 1],, [0, 1]]"), "cores[0].connections is not valid JSON"),
    (GOOD.replace(b"[[1, 1], [0, 1]]", b"[[1, 1], [0, 1]"), "not valid JSON"),
    (GOOD.replace(b'"axons"', b"axons"), "cores[0] is not valid JSON"),
    (GOOD.replace(b'"leak": 0', b'"leak": ' + b"9" * 5000), "cores[0] is not valid JSON"),
    (GOOD.replace(b'"leak": 0', b'"leak": "\xff"'), "a byte is not UTF-8"),
    (b'{"packets":' + b"[" * 1_000_000, "nested more than 32 deep"),
    (b'{"cores":[' + b'{"a":' * 200_000, "nested more than 32 deep"),
    (b'{"x":' + b"[" * 40 + b"]" * 40 + b"}", "nested more than 32 deep"),
    (gzip.compress(GOOD)[:-20], "is not a sound gzip file"),
    (b"\x1f\x8b" + b"abc" * 10, "is not a sound gzip file"),
]


@pytest.mark.parametrize(("text", "sentence"), MALFORMED, ids=range(len(MALFORMED)))
def test_malformed_json(folder: Path, text: bytes, sentence: str) -> None:
    begun = time.perf_counter()
    with pytest.raises(InputError) as caught:
        network(text)
    assert sentence in str(caught.value)
    assert time.perf_counter() - begun < 5


def test_faults_are_listed_and_counted(folder: Path) -> None:
    with pytest.raises(InputError) as caught:
        network(changed(lambda d: d["packets"].append([5] * 30)))
    assert len(caught.value.problems) == 21
    assert caught.value.problems[-1] == "input.json: and 10 more faults"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (b"[[" + b"1," * 3_000_000 + b"1]]", "cores[0].connections: has 3,000,001 entries; a core has room for 4"),
        (b"[" + b"[0]," * 3_000_000 + b"[0]]", "cores[0].connections: has 3,000,001 entries; a core has room for 4"),
    ],
    ids=["row", "rows"],
)
def test_connections_far_beyond_a_core(folder: Path, text: bytes, sentence: str) -> None:
    tracemalloc.start()
    with pytest.raises(InputError) as caught:
        network(GOOD.replace(b"[[1, 1], [0, 1]]", text))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert sentence in str(caught.value)
    assert peak < 8 * len(text) + 5e6


def test_a_repeated_key_behind_many(folder: Path) -> None:
    started = time.process_time()
    names = [f"z{n}" for n in range(100_000)] + ["z99999"]
    text = b'"connections"', ",".join(f'"{name}":0' for name in names).encode() + b',"connections"'
    with pytest.raises(InputError, match="the key 'z99999' is given twice"):
        network(GOOD.replace(*text))
    assert time.process_time() - started < 3


def test_more_keys_than_any_file_has(folder: Path) -> None:
    with pytest.raises(InputError, match=r"the top-level object has more than 10,000 keys; no such file has"):
        network(b"{" + b",".join(b'"k%d":1' % n for n in range(20_000)) + b"}")
    many = changed(lambda data: data["cores"][0].update({f"z{n}": 1 for n in range(5_000)}))
    report = network(many)[2]
    assert len(report.unknown_keys) == 1001
    assert report.unknown_keys["(others)"] == 4000


def test_bad_configurations(folder: Path) -> None:
    config = {**CONFIG, "num_axons": 0, "num_weights": "4", "max_tick_offset": 1}
    del config["neuron_reset_type"]
    with pytest.raises(InputError) as caught:
        network(INPUT, config)
    assert caught.value.problems == (
        "config.json: num_axons: is 0; 1..65535 is allowed",
        "config.json: num_weights: is '4'; a whole number 1..256 was expected",
        "config.json: max_tick_offset: is 1; 2..256 is allowed",
        "config.json: neuron_reset_type: is missing; a whole number 0..1 was expected; add 0 for V <"
        " negative_threshold, 1 for V <= it",
    )


def test_memory_is_bounded(folder: Path) -> None:
    config = {**CONFIG, "num_neurons": 65_535, "num_axons": 65_535, "num_cores_x": 100}
    data = {
        **INPUT,
        "cores": [{"coordinates": [x, 0], "axons": [], "connections": [], "neurons": []} for x in range(2, 99)],
    }
    with pytest.raises(InputError, match=r"8 cores of 65,535 axons and 65,535 neurons take 4\.0 GiB; at most 4 GiB"):
        network(data, config)


# Export
