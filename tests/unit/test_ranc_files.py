"""RANC's files: a network by hand, what is noticed, long and odd files."""

from __future__ import annotations

import gzip
import json
import time
from pathlib import Path

import pytest
from ranc_networks import CONFIG, GOOD, INPUT, changed, network, packet

from neurocore.config import NOWHERE, OUTPUT
from neurocore.emulator import Emulator
from neurocore.errors import InputError
from neurocore.formats.ranc import export_ranc, output_text, read_ranc
from neurocore.formats.ranc_read import parse_bits


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
        "1 input packet has delay field 15, the last, which RANC loses: left out",
        "3 input packets go straight to the output bus, to appear in the output 'packets_to_output_bus' in the tick of the"
        " index",
        "1 input packet reaches an axon in the same tick as another: merged",
        "the core at (1, 0) is replaced by the output bus, as in RANC",
        "1 neuron sends with delay field 15, the last, which RANC loses: their spikes go nowhere",
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


def test_a_small_packed_file_of_nothing(folder: Path) -> None:
    with pytest.raises(InputError, match=r"more than 67,108,864 bytes of white space in a row; no such file has"):
        network(gzip.compress(b" " * 100_000_000, 1) + gzip.compress(GOOD))


def test_strings_may_hold_brackets_and_escapes(folder: Path) -> None:
    notes = ["]}[{", "\\", '\\"]', "a\\\\", "\u00e9" * 3000]
    data = changed(lambda d: d["cores"][0].update(notes=notes))
    assert network({"first": notes, **data})[0].digest() == network()[0].digest()
    spaced = json.dumps(data, indent=3, ensure_ascii=False).encode()
    assert network(b"\xef\xbb\xbf" + spaced)[0].digest() == network()[0].digest()


def test_compressed_files(folder: Path) -> None:
    assert network(gzip.compress(GOOD))[0].digest() == network()[0].digest()
