"""RANC's files: a network by hand, bad input of every kind, what comes back from an export, and what is refused."""

from __future__ import annotations

import copy
import gzip
import json
import time
import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from neurocore.architecture import Architecture, load_architecture
from neurocore.chipfile import load_chip
from neurocore.cli.formats import convert_command, export_command, import_command
from neurocore.config import NOWHERE, OUTPUT, ChipConfig, Cores, Group, InputMap, blank_arrays
from neurocore.emulator import Emulator
from neurocore.errors import InputError, NeurocoreError, OutputError
from neurocore.formats.ranc import export_ranc, output_text, read_hardware, read_ranc
from neurocore.formats.ranc_read import parse_bits
from neurocore.spikes import Spikes, read

CONFIG = {
    "num_neurons": 2,
    "num_axons": 2,
    "num_cores_x": 2,
    "num_cores_y": 1,
    "num_weights": 4,
    "max_tick_offset": 16,
    "neuron_block_trace_verbosity": 0,
    "core_controller_trace_verbosity": 0,
    "scheduler_trace_verbosity": 0,
    "neuron_reset_type": 0,
}


def packet(x: int, y: int, axon: int, field: int) -> dict[str, Any]:
    return {"destination_core": [x, y], "destination_axon": axon, "destination_tick": field}


def neuron(**changes: Any) -> dict[str, Any]:
    usual = {
        "reset_potential": 0,
        "weights": [2, 3, 0, 0],
        "leak": 0,
        "positive_threshold": 3,
        "negative_threshold": -5,
        "destination_core_offset": [1, 0],
        "destination_axon": 0,
        "destination_tick": 0,
        "current_potential": 0,
        "reset_mode": 1,
    }
    return {**usual, **changes}


SECOND = neuron(
    weights=[1, 1], leak=1, positive_threshold=4, destination_core_offset=[0, 0], destination_tick=3, reset_mode=0
)
INPUT = {
    "packets": [[packet(0, 0, 1, 0), packet(1, 0, 1, 5)], [], [], [packet(1, 0, 0, 15), packet(1, 0, 0, 0)]],
    "output_bus": {"coordinates": [1, 0], "num_outputs": 2},
    "cores": [{"coordinates": [0, 0], "axons": [0, 1], "connections": [[1, 1], [0, 1]], "neurons": [neuron(), SECOND]}],
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def network(data: Any = INPUT, config: Any = CONFIG) -> tuple[ChipConfig, Spikes, Any]:
    """The network of an input, given as data or as text, and of a configuration."""
    text = data if isinstance(data, bytes) else json.dumps(data).encode()
    Path("input.json").write_bytes(text)
    Path("config.json").write_text(json.dumps(config))
    return read_ranc("input.json", "config.json")


def changed(change: Callable[[Any], Any]) -> Any:
    data = copy.deepcopy(INPUT)
    change(data)
    return data


def shown(text: str) -> list[str]:
    assert text[0] == "\ufeff"
    return text[1:].split("\n")[:-1]


# The network by hand


@pytest.mark.parametrize("engine", ["compiled", "oracle"])
def test_network_by_hand(folder: Path, engine: str) -> None:
    """Line L shows what fired in RANC's tick L; a packet straight to the bus stands on the line of its index."""
    chip, spikes, _ = network()
    run = Emulator(chip, engine=engine).run(spikes, 14)
    lines = ["0 0 "] * 14
    lines[0], lines[1], lines[3], lines[11] = "0 1 ", "1 0 ", "1 0 ", "1 0 "
    assert shown(output_text(run)) == lines
    for ticks in (0, 1, 2):
        assert shown(output_text(Emulator(chip, engine=engine).run(spikes, ticks))) == lines[:ticks]


def test_what_is_noticed(folder: Path) -> None:
    data = changed(lambda d: d["packets"][1].append(packet(0, 0, 0, 15)))
    data["cores"][0]["neurons"][1].update(destination_tick=15, colour="red")
    data["cores"].append({"coordinates": [1, 0], "axons": [], "connections": [[1]], "neurons": [], "name": "x"})
    chip, _, report = network({**data, "author": "me"}, {**CONFIG, "speed": 3})
    assert report.lines() == [
        "1 input packets have delay field 15, the last, which RANC loses: left out",
        "3 input packets go straight to the output bus: they appear in the output 'packets_to_output_bus', in the tick of"
        " their index",
        "1 input packets reach an axon in the same tick as another and merge",
        "the core at (1, 0) is replaced by the output bus, as in RANC",
        "1 neurons send with delay field 15, the last, which RANC loses: their spikes go nowhere",
        "1 rows of connections with a 1 have no neuron and are ignored",
        "unknown key author ignored (1 times)",
        "unknown key config: speed ignored (1 times)",
        "unknown key cores[].name ignored (1 times)",
        "unknown key cores[].neurons[].colour ignored (1 times)",
    ]
    assert chip.cores.target_core[0].tolist() == [OUTPUT, NOWHERE]


def test_sizes_become_those_of_the_chip(folder: Path) -> None:
    config = {**CONFIG, "num_axons": 5, "num_cores_y": 3, "max_tick_offset": 33, "neuron_reset_type": 1}
    chip = network(INPUT, config)[0]
    arch = chip.architecture
    assert (arch.columns, arch.rows, arch.core.axons, arch.core.neurons, arch.core.axon_types) == (2, 3, 5, 2, 4)
    assert (arch.core.scheduler_slots, arch.routing.delay.max, arch.routing.lost_delay) == (33, 32, 33)
    assert arch.rules.floor_inclusive
    assert not arch.rules.clamp


def test_short_rows_end_in_zeros(folder: Path) -> None:
    data = changed(lambda d: d["cores"][0].update(axons=[], connections=[[], [1]]))
    data["cores"][0]["neurons"][0]["weights"] = [7]
    chip = network(data)[0]
    assert chip.cores.axon_type[0].tolist() == [0, 0]
    assert chip.crossbar_bits(0).tolist() == [[False, True], [False, False]]
    assert chip.cores.weight[0, :, 0].tolist() == [7, 0, 0, 0]


def test_packets_to_unspecified_cores_do_nothing(folder: Path) -> None:
    data = changed(lambda d: d["packets"].append([packet(1, 1, 0, 0)]))
    chip, spikes, _ = network(data, {**CONFIG, "num_cores_y": 2})
    run = Emulator(chip).run(spikes, 14)
    assert [line[0] for line in shown(output_text(run))] == list("01010000000100")


def test_more_lines_than_neurons_for_packets_to_the_bus(folder: Path) -> None:
    """The cores that pass them on stand in rows beyond the grid."""
    data = changed(lambda d: d["output_bus"].update(num_outputs=9))
    data["packets"] = [[packet(1, 0, axon, 0) for axon in (0, 3, 4, 6, 8)], [packet(1, 0, 8, 0)]]
    config = {**CONFIG, "num_axons": 9}
    chip, spikes, _ = network(data, config)
    assert (chip.architecture.rows, len(chip.cores)) == (2, 4)
    lines = shown(output_text(Emulator(chip).run(spikes, 2)))
    assert lines == ["1 0 0 1 1 0 1 0 1 ", "0 0 0 0 0 0 0 0 1 "]
    export_ranc(chip, "out", spikes=spikes)
    again, spikes_again, _ = read_ranc("out/input.json", "out/config.json")
    assert again.digest() == chip.digest()
    assert spikes_again == spikes


def test_runs_that_begin_later_have_no_output_text(folder: Path) -> None:
    chip, _, _ = network()
    emulator = Emulator(chip)
    emulator.run(None, 3)
    with pytest.raises(InputError, match="begins at tick 3; RANC's output begins at tick 0"):
        output_text(emulator.run(None, 3))


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        (b"[]", []),
        (b"[[0,1],[1,1]]", [[0, 1], [1, 1]]),
        (b" [ [0, 1 ],\n[ 1 ] ]", [[0, 1], [1]]),
        (b"[[],[1]]", [[], [1]]),
        (b"[[]]", [[]]),
        (b"[[0 1]]", None),
        (b"[[0,,1]]", None),
        (b"[[0,1],]", None),
        (b"[[0,1]1]", None),
        (b"[[0,1][1,1]]", None),
        (b"[0,1]", None),
        (b"[[0,[1]]]", None),
        (b"[[01]]", None),
        (b"[[0,1,]]", None),
        (b"[[0,1],[1,1,]]", None),
    ],
)
def test_rows_of_bits(text: bytes, rows: list[list[int]] | None) -> None:
    found = parse_bits(text)
    assert (None if found is None else [row.astype(int).tolist() for row in found]) == rows


# Bad input


def first_neuron(**changes: Any) -> Any:
    return changed(lambda d: d["cores"][0]["neurons"][0].update(changes))


def first_core(**changes: Any) -> Any:
    return changed(lambda d: d["cores"][0].update(changes))


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


GOOD = json.dumps(INPUT).encode()

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


def test_millions_of_ticks_without_packets(folder: Path) -> None:
    """Empty ticks are counted, not read; those with packets keep their numbers."""
    started = time.process_time()
    empty = b"[], [ ],\n" * 1_000_000
    given = json.dumps(packet(0, 0, 1, 0)).encode()
    text = b'"packets": [' + empty + b"[" + given + b"]," + empty + b"[" + given + b", " + given + b"],[]]"
    whole = GOOD.replace(json.dumps({"packets": INPUT["packets"]}).encode()[1:-1], text)
    assert whole != GOOD
    _, spikes, report = network(whole)
    assert spikes.tick.tolist() == [2_000_000, 4_000_001]
    assert report.counts == {"merged_packets": 1}
    assert time.process_time() - started < 5


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


def test_a_small_packed_file_of_nothing(folder: Path) -> None:
    with pytest.raises(InputError, match=r"more than 67,108,864 bytes of white space in a row; no such file has"):
        network(gzip.compress(b" " * 100_000_000, 1) + gzip.compress(GOOD))


def test_more_keys_than_any_file_has(folder: Path) -> None:
    with pytest.raises(InputError, match=r"the top-level object has more than 10,000 keys; no such file has"):
        network(b"{" + b",".join(b'"k%d":1' % n for n in range(20_000)) + b"}")
    many = changed(lambda data: data["cores"][0].update({f"z{n}": 1 for n in range(5_000)}))
    report = network(many)[2]
    assert len(report.unknown_keys) == 1001
    assert report.unknown_keys["(others)"] == 4000


def test_strings_may_hold_brackets_and_escapes(folder: Path) -> None:
    notes = ["]}[{", "\\", '\\"]', "a\\\\", "\u00e9" * 3000]
    data = changed(lambda d: d["cores"][0].update(notes=notes))
    assert network({"first": notes, **data})[0].digest() == network()[0].digest()
    spaced = json.dumps(data, indent=3, ensure_ascii=False).encode()
    assert network(b"\xef\xbb\xbf" + spaced)[0].digest() == network()[0].digest()


def test_compressed_files(folder: Path) -> None:
    assert network(gzip.compress(GOOD))[0].digest() == network()[0].digest()


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


def small_chip(arch: Architecture | str = "truenorth", **changes: Any) -> ChipConfig:
    """One core with neurons 0 and 1: axon 0 drives neuron 0, that neuron 1, that output line 0."""
    arch = load_architecture(arch)
    arrays = blank_arrays(arch, 1)
    arrays["crossbar"][0, 0, 0], arrays["crossbar"][0, 1, 0] = 1, 2
    arrays["weight"][0, 0, :2] = 1
    for name, values in (
        ("configured", True),
        ("threshold", 1),
        ("floor", 0),
        ("floor_mode", 0),
        ("target_core", [0, OUTPUT]),
        ("target_axon", [1, 0]),
        ("delay", [3, 0]),
    ):
        arrays[name][0, :2] = values
    for name, values in changes.items():
        arrays[name][..., :2] = values
    entry = InputMap(*(np.array([value], np.int64) for value in (0, 0, 0, 2)))
    return ChipConfig(
        arch, Cores(**arrays), inputs=(Group("in", (1,)),), outputs=(Group("out", (1,)),), input_map=entry
    ).validate()


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
