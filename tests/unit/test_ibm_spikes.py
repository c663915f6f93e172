"""IBM's spike files: what is read, written and refused."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ibm_models import core, load, model_text

from neurocore.architecture import Architecture
from neurocore.cli.formats import convert_command
from neurocore.config import Group, InputMap
from neurocore.errors import InputError, UsageError
from neurocore.formats.ibm_spikes import (
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


def test_output_files_hold_the_tick_of_firing(ibm_file: Path, tmp_path: Path) -> None:
    known = output_map(load(ibm_file, model_text([core()])))
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


def test_lines_of_a_chip_on_the_command_line(ibm_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the chip, output spikes of IBM's files are spikes on its lines, and the other way round."""
    monkeypatch.chdir(tmp_path)
    chip = load(ibm_file, model_text([core()]))
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
