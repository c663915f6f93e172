"""Spikes are sorted, unique and checked; their files come back as they were written, and bad ones are refused."""

from __future__ import annotations

import io
import os
import pickle
import random
import struct
import tempfile
import zipfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neurocore import container, spikefiles, spikes
from neurocore.errors import InputError, OutputError, UsageError
from neurocore.spikes import MAX_VALUE, Spikes, read, write

Rows = list[tuple[int, ...]]

numbers = st.integers(0, 9) | st.integers(0, 2**20) | st.integers(0, MAX_VALUE)


def rows_of(width: int) -> st.SearchStrategy[Rows]:
    return st.lists(st.tuples(*[numbers] * width), max_size=30)


any_rows = rows_of(2) | rows_of(3)


def rows(value: Spikes) -> Rows:
    return list(zip(*(column.tolist() for column in value.columns.values()), strict=True))


def problems(attempt: Any, *arguments: Any) -> tuple[str, ...]:
    with pytest.raises(InputError) as caught:
        attempt(*arguments)
    return caught.value.problems


# The value


@given(any_rows)
def test_rows_are_sorted_and_merged(given_rows: Rows) -> None:
    value = Spikes.from_rows(given_rows)
    assert rows(value) == sorted(set(given_rows))
    assert len(value) + value.n_merged == len(given_rows)


@given(any_rows, st.randoms(use_true_random=False))
def test_order_does_not_matter(given_rows: Rows, shuffler: random.Random) -> None:
    value = Spikes.from_rows(given_rows)
    shuffler.shuffle(given_rows)
    assert Spikes.from_rows(given_rows) == value


@given(rows_of(2), st.integers(-3, 12), st.integers(-3, 12))
def test_window(given_rows: Rows, start: int, stop: int) -> None:
    value = Spikes.from_rows(given_rows)
    assert rows(value.window(start, stop)) == [row for row in rows(value) if start <= row[0] < stop]


def test_columns_are_read_only_int64_and_apart_from_what_was_given() -> None:
    tick, core, axon = np.arange(3, dtype=np.uint8), np.arange(3), np.arange(3)
    value = Spikes.from_axons(tick, core, axon)
    core[0] = 77
    for column in value.columns.values():
        assert column.dtype == np.int64
        assert column.tolist() == [0, 1, 2]
        with pytest.raises(ValueError, match="read-only"):
            column[0] = 1


def test_kinds_are_told_apart() -> None:
    network, chip = Spikes.from_rows([(1, 2)]), Spikes.from_rows([(1, 2, 3)])
    assert network.is_network
    assert not chip.is_network
    assert (network.line.tolist(), chip.core.tolist(), chip.axon.tolist()) == ([2], [2], [3])
    assert problems(lambda: chip.line) == (
        "the spikes have columns tick,core,axon of a bare chip; tick,line of a network was expected",
    )
    assert problems(lambda: network.core) == problems(lambda: network.axon)
    assert problems(lambda: network.core) == (
        "the spikes have columns tick,line of a network; tick,core,axon of a bare chip was expected",
    )


def test_equality() -> None:
    assert Spikes.from_lines([1, 1], [2, 2]) == Spikes.from_lines([1], [2])
    assert Spikes.from_lines([1], [2]) != Spikes.from_lines([1], [3])
    assert Spikes.from_lines([1], [2]) != Spikes.from_axons([1], [2], [0])
    assert Spikes.empty() != Spikes.empty(network=False)
    assert Spikes.empty() != ()
    with pytest.raises(TypeError):
        hash(Spikes.empty())


def test_text_form() -> None:
    assert repr(Spikes.from_rows([(7, 1), (3, 2)])) == "<Spikes: 2 on lines, ticks 3..7>"
    assert repr(Spikes.empty(network=False)) == "<Spikes: 0 on axons>"


def test_shifted() -> None:
    value = Spikes.from_rows([(3, 1), (5, 2)])
    assert rows(value.shifted(-3)) == [(0, 1), (2, 2)]
    assert rows(value.shifted(0)) == rows(value)
    assert len(Spikes.empty().shifted(-9)) == 0
    limit = "ticks lie in 0..4611686018427387903; use a smaller shift"
    assert problems(value.shifted, -4) == (f"spikes of ticks 3..5 cannot be shifted by -4 ticks: {limit}",)
    assert problems(value.shifted, 2**63) == (f"spikes of ticks 3..5 cannot be shifted by {2**63} ticks: {limit}",)


@pytest.mark.parametrize("dtype", ["i1", "u1", ">i4", "u8", "f2", "f4", "f8", "g"])
def test_whole_numbers_of_any_type(dtype: str) -> None:
    assert rows(Spikes.from_lines(np.array([2, 1], dtype), np.array([0, 5], dtype))) == [(1, 5), (2, 0)]


WHOLE = "whole numbers 0..4611686018427387903 were expected"
FLOAT = "whole numbers 0..9007199254740992 were expected"


@pytest.mark.parametrize(
    ("tick", "expected"),
    [
        ([0, -1], f"tick[1] is -1; {WHOLE}"),
        ([0, -1, 2, -7, -8], f"tick[1] is -1 (and 2 more like it); {WHOLE}"),
        ([2**62], f"tick[0] is 4611686018427387904; {WHOLE}"),
        ([2**63], f"tick[0] is 9223372036854775808; {WHOLE}"),
        ([1, 1.5, 2], f"tick[1] is 1.5; {FLOAT}"),
        ([-1.0], f"tick[0] is -1.0; {FLOAT}"),
        ([np.nan], f"tick[0] is nan; {FLOAT}"),
        ([np.inf], f"tick[0] is inf; {FLOAT}"),
        ([-np.inf], f"tick[0] is -inf; {FLOAT}"),
        ([1e17], f"tick[0] is 1e+17; {FLOAT}"),
        ([2**70], "tick holds values of type object; whole numbers were expected"),
        ([None], "tick holds values of type object; whole numbers were expected"),
        (["1"], "tick holds values of type <U1; whole numbers were expected"),
        ([True], "tick holds values of type bool; whole numbers were expected"),
        ([1 + 0j], "tick holds values of type complex128; whole numbers were expected"),
        ([[1]], "tick has shape (1, 1); one value per spike, shape (n,), was expected"),
        (1, "tick has shape (); one value per spike, shape (n,), was expected"),
    ],
)
def test_what_is_no_tick_is_refused(tick: Any, expected: str) -> None:
    assert problems(Spikes.from_lines, tick, np.zeros(np.size(tick), int)) == (expected,)


def test_ragged_columns_are_refused() -> None:
    (problem,) = problems(Spikes.from_lines, [[1], [1, 2]], [0, 0])
    assert problem.startswith("tick is not an array of numbers: ")


def test_all_columns_are_checked() -> None:
    assert problems(Spikes.from_axons, [0.5], [-1], [0]) == (f"tick[0] is 0.5; {FLOAT}", f"core[0] is -1; {WHOLE}")


def test_columns_of_different_length_are_refused() -> None:
    assert problems(Spikes.from_axons, [1, 2], [1], [1]) == (
        "the columns differ in length (tick 2, core 1, axon 1); every spike needs one value in each",
    )


@pytest.mark.parametrize(
    ("given_rows", "expected"),
    [
        ([(1, 2), (1, 2, 3)], "row 1 has 3 values; (tick, line) was expected"),
        ([(1, 2, 3), (1, 2)], "row 1 has 2 values; (tick, core, axon) was expected"),
        ([(1,)], "row 0 has 1 values; (tick, line) or (tick, core, axon) was expected"),
        ([1, 2], "row 0 has 1 values; (tick, line) or (tick, core, axon) was expected"),
    ],
)
def test_rows_of_other_lengths_are_refused(given_rows: list[Sequence[Any]], expected: str) -> None:
    assert problems(Spikes.from_rows, given_rows) == (expected,)


def test_check() -> None:
    network = Spikes.from_lines(np.arange(10), np.arange(10))
    network.check(n_lines=10)
    assert problems(lambda: network.check(n_lines=9)) == (
        "1 of 10 spikes are on lines that do not exist (line 9 at tick 9); lines 0..8 exist:"
        " check that the spikes were made for this chip",
    )
    (problem,) = problems(lambda: network.check(n_lines=2))
    assert problem.startswith("8 of 10 spikes are on lines that do not exist (line 2 at tick 2, line 3 at tick 3, ")
    assert "line 6 at tick 6, ...); lines 0..1 exist:" in problem
    (problem,) = problems(lambda: network.check(n_lines=0))
    assert "there are no lines:" in problem
    Spikes.empty().check(n_lines=0)
    chip = Spikes.from_axons([0], [4], [256])
    chip.check(n_cores=5, n_axons=257)
    core, axon = problems(lambda: chip.check(n_cores=4, n_axons=256))
    assert "(core 4 at tick 0); cores 0..3 exist:" in core
    assert "(axon 256 at tick 0); axons 0..255 exist:" in axon
    assert "of a bare chip; tick,line" in problems(lambda: chip.check(n_lines=4))[0]


# Files


@settings(deadline=None)
@given(any_rows, st.sampled_from([".npz", ".csv", ".CSV"]))
def test_files_come_back(given_rows: Rows, ending: str) -> None:
    value = Spikes.from_rows(given_rows)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"spikes{ending}"
        write(path, value)
        first = path.read_bytes()
        found = read(str(path))
        write(path, found)
        assert path.read_bytes() == first
    assert found == value
    assert found.n_merged == 0


@pytest.mark.parametrize("ending", [".npz", ".csv"])
def test_equal_spikes_give_equal_bytes(tmp_path: Path, ending: str, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / f"a{ending}", Spikes.from_rows([(2, 1), (1, 1), (1, 1)]))
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1")
    write(tmp_path / f"b{ending}", Spikes.from_lines(np.array([1.0, 2.0]), np.array([1, 1], np.uint8)))
    assert (tmp_path / f"a{ending}").read_bytes() == (tmp_path / f"b{ending}").read_bytes()


def test_numpy_reads_what_was_written(tmp_path: Path) -> None:
    write(tmp_path / "a.npz", Spikes.from_axons([1, 2], [3, 4], [5, 6]))
    with np.load(tmp_path / "a.npz") as archive:
        assert {name: archive[name].tolist() for name in archive} == {"tick": [1, 2], "core": [3, 4], "axon": [5, 6]}


def test_csv_text(tmp_path: Path) -> None:
    write(tmp_path / "a.csv", Spikes.from_axons([2, 1], [3, 4], [5, 6]))
    assert (tmp_path / "a.csv").read_bytes() == b"tick,core,axon\n1,4,6\n2,3,5\n"


def test_contents_decide_how_a_file_is_read(tmp_path: Path) -> None:
    write(tmp_path / "a.csv", Spikes.from_rows([(1, 2)]))
    os.rename(tmp_path / "a.csv", tmp_path / "a.npz")
    assert rows(read(tmp_path / "a.npz")) == [(1, 2)]


def test_other_endings_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"has the ending '\.h5'; spikes are written as \.npz or \.csv"):
        write(tmp_path / "a.h5", Spikes.empty())


@pytest.mark.parametrize("ending", [".npz", ".csv"])
def test_a_failed_write_leaves_the_old_file(tmp_path: Path, ending: str, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / f"a{ending}"
    path.write_text("old")

    def fail(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OutputError, match="no space left on device; free some space"):
        write(path, Spikes.from_rows([(1, 2)]))
    assert os.listdir(tmp_path) == [path.name]
    assert path.read_text() == "old"


def test_what_cannot_be_read(tmp_path: Path) -> None:
    assert problems(read, tmp_path / "a.csv") == (f"{tmp_path}/a.csv does not exist; check the path",)
    assert problems(read, tmp_path) == (f"{tmp_path} is a folder; give the path of a file",)
    (tmp_path / "a.csv").write_bytes(b"\x89HDF\r\n\x1a\n\0\0")
    assert problems(read, tmp_path / "a.csv") == (
        f"{tmp_path}/a.csv looks like a plain HDF5 file of another program; spikes in .npz or .csv were expected",
    )
    (tmp_path / "a.csv").write_bytes("tick,line\n1,2\n".encode("utf-16"))
    assert "looks like binary data of an unknown make;" in problems(read, tmp_path / "a.csv")[0]
    container.write(tmp_path / "run.h5", "run", 1, lambda file: file.create_group("spikes"))
    assert "run.h5 looks like a neurocore chip or run file;" in problems(read, tmp_path / "run.h5")[0]


# NumPy archives


def archive(path: Path, **arrays: Any) -> Path:
    np.savez(path, **arrays)
    return path


def raw_archive(path: Path, tick: bytes, method: int = zipfile.ZIP_DEFLATED) -> Path:
    """An archive with any bytes for its tick array, and a sound line array."""
    line = io.BytesIO()
    np.save(line, np.zeros(1, int))
    with zipfile.ZipFile(path, "w", method) as file:
        file.writestr("tick.npy", tick)
        file.writestr("line.npy", line.getvalue())
    return path


def npy(shape: str, values: bytes = bytes(8), descr: str = "'<i8'") -> bytes:
    header = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}}}".encode()
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + values


def npz_problem(path: Path) -> str:
    (problem,) = problems(read, path)
    assert problem.startswith(str(path))
    return problem.removeprefix(str(path)).removeprefix(": ")


def test_archives_of_others(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    np.savez_compressed(path, line=np.array([2.0, 1.0, 2.0]), tick=np.array([5, 4, 5], ">i2"), note=np.array("hello"))
    value = read(path)
    assert rows(value) == [(4, 1), (5, 2)]
    assert value.n_merged == 1


def test_the_smallest_archive_made_by_hand_is_read(tmp_path: Path) -> None:
    assert rows(read(raw_archive(tmp_path / "a.npz", npy("(1,)")))) == [(0, 0)]


EXPECTED = "; tick,line or tick,core,axon were expected"


@pytest.mark.parametrize(
    ("arrays", "expected"),
    [
        ({}, f"its arrays are none{EXPECTED}"),
        ({"tick": [1]}, f"its arrays are tick{EXPECTED}"),
        ({"ticks": [1], "line": [1]}, f"its arrays are line, ticks{EXPECTED}"),
        (
            {"tick": [1], "line": [1], "core": [1], "axon": [1]},
            "its arrays (axon, core, line, tick) name both lines and axons; keep tick,line or tick,core,axon",
        ),
        ({"tick": [[1]], "line": [1]}, "tick has shape (1, 1); one value per spike, shape (n,), was expected"),
        ({"tick": 1, "line": [1]}, "tick has shape (); one value per spike, shape (n,), was expected"),
        ({"tick": ["1"], "line": [1]}, "tick holds values of type <U1; whole numbers were expected"),
        ({"tick": [True], "line": [1]}, "tick holds values of type bool; whole numbers were expected"),
        ({"tick": [0.5], "line": [1]}, f"tick[0] is 0.5; {FLOAT}"),
        ({"tick": [-1], "line": [1]}, f"tick[0] is -1; {WHOLE}"),
        (
            {"tick": [1, 2], "line": [1]},
            "the columns differ in length (tick 2, line 1); every spike needs one value in each",
        ),
    ],
)
def test_archives_with_other_arrays_are_refused(tmp_path: Path, arrays: dict[str, Any], expected: str) -> None:
    assert npz_problem(archive(tmp_path / "a.npz", **arrays)) == expected


class Bomb:
    def __reduce__(self) -> tuple[Any, ...]:
        return os._exit, (9,)


def test_pickles_are_never_loaded(tmp_path: Path) -> None:
    refused = "tick holds pickled objects, which are never loaded; store whole numbers"
    path = raw_archive(tmp_path / "a.npz", npy("(1,)", pickle.dumps(Bomb()), "'|O'"))
    assert npz_problem(path) == refused
    assert npz_problem(archive(path, tick=np.array([None]), line=np.zeros(1))) == refused


def test_bombs_are_refused_before_they_are_read(tmp_path: Path) -> None:
    refused = "tick announces 1000000000000 spikes; at most 100000000 are read: split the file"
    assert npz_problem(raw_archive(tmp_path / "a.npz", npy("(1000000000000,)"))) == refused


def test_more_data_than_announced_is_never_unpacked(tmp_path: Path) -> None:
    path = raw_archive(tmp_path / "a.npz", npy("(1,)", bytes(50_000_000)))
    assert path.stat().st_size < 100_000
    assert npz_problem(path) == "tick does not hold the 1 values that it announces; make the file again"


@pytest.mark.parametrize(
    ("tick", "expected"),
    [
        (npy("(2,)"), "tick does not hold the 2 values that it announces; make the file again"),
        (npy("(-1,)"), "tick has shape (-1,); one value per spike, shape (n,), was expected"),
        (npy("(1,)", descr="'<M8[s]'"), "tick holds values of type datetime64[s]; whole numbers were expected"),
        (b"", "tick has an unusable .npy header: "),
        (b"tick", "tick has an unusable .npy header: "),
        (npy("(1,")[:30], "tick has an unusable .npy header: "),
        (npy("((1,)"), "tick has an unusable .npy header: "),
        (npy("-" * 5000 + "1"), "tick has an unusable .npy header: "),
        (npy("(1,)", descr="'<i7'"), "tick has an unusable .npy header: "),
        (
            npy("(1,)").replace(b"Y\x01", b"Y\x03"),
            "tick has an unusable .npy header: version 3.0 instead of 1.0; make the file again",
        ),
    ],
)
def test_malformed_arrays_are_refused(tmp_path: Path, tick: bytes, expected: str) -> None:
    problem = npz_problem(raw_archive(tmp_path / "a.npz", tick))
    assert problem.startswith(expected)
    assert problem.endswith(("make the file again", "was expected", "were expected"))


def test_other_packing_is_refused(tmp_path: Path) -> None:
    path = raw_archive(tmp_path / "a.npz", npy("(1,)"), zipfile.ZIP_LZMA)
    assert npz_problem(path) == "tick is packed by method 14; use numpy.savez or savez_compressed"


@pytest.mark.parametrize("compressed", [False, True])
def test_damaged_archives_are_refused_or_unharmed(tmp_path: Path, compressed: bool) -> None:
    """Whatever is cut off or changed, the outcome is an InputError or the same spikes."""
    path = tmp_path / "a.npz"
    (np.savez_compressed if compressed else np.savez)(path, tick=np.arange(5), line=np.arange(5))
    data, value = path.read_bytes(), read(path)
    for place, byte in enumerate(data):
        for damaged in (data[:place], data[:place] + bytes([byte ^ 0x41]) + data[place + 1 :]):
            path.write_bytes(damaged)
            with suppress(InputError):
                assert read(path) == value, place


# CSV text


def csv(tmp_path: Path, text: str | bytes) -> Path:
    path = tmp_path / "a.csv"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


@pytest.mark.parametrize(
    "text",
    [
        "tick,line\n4,1\n5,2\n",
        "tick,line\n5,2\n4,1",
        "tick,line\r\n5,2\r\n4,1\r\n",
        "\ufefftick,line\n5,2\n4,1\n",
        "# made by hand\n\n tick , line  # header\n\n5,2\n\n\n# x\n  # y\n4,1  # last\n\n",
        "tick,line\n5, 2\n 4,1\n",
        "tick,line\n5\t,2 \n+4,1\n",
        "tick,line\n5.0,2.\n4e0,1.000E+00\n",
        "tick,line\n5.0,2 \n4e0,1.000E+00\n",
        "tick,line\n5,2\n4,1\n5,2\n",
    ],
)
def test_spellings(tmp_path: Path, text: str) -> None:
    value = read(csv(tmp_path, text))
    assert rows(value) == [(4, 1), (5, 2)]
    assert value.n_merged == text.count("\n5,2\n4,1\n5,2\n")


def test_files_of_savetxt_are_read(tmp_path: Path) -> None:
    table = np.array([[4, 1, 123456], [5, 2, 2]])
    np.savetxt(tmp_path / "a.csv", table, delimiter=",", header="tick,core,axon", comments="")
    assert rows(read(tmp_path / "a.csv")) == [(4, 1, 123456), (5, 2, 2)]


def test_no_rows(tmp_path: Path) -> None:
    assert read(csv(tmp_path, "tick,line")) == Spikes.empty()
    assert read(csv(tmp_path, "tick,core,axon\n\n# nothing\n")) == Spikes.empty(network=False)


@given(st.lists(st.tuples(numbers, numbers), min_size=1, max_size=20))
def test_both_parsers_agree(given_rows: Rows) -> None:
    body = "".join(f"{tick},{line}\n" for tick, line in given_rows)
    slow = spikefiles._parse_lines(body, spikes.NETWORK_COLUMNS, "a.csv", 1)
    assert np.transpose(slow).tolist() == [list(row) for row in given_rows]
    fast = spikefiles.parse_clean(body.encode(), 2)
    if fast is None:  # numbers of 19 digits are left to the other
        assert max(map(max, given_rows)) >= 10**18
    else:
        assert np.array_equal(fast, slow)


HEADER = "the header tick,line or tick,core,axon was expected"
NUMBER = "a whole number 0..4611686018427387903 was expected"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", [f"1:1: the file has no rows; {HEADER}"]),
        ("# only\n", [f"1:1: the file has no rows; {HEADER}"]),
        ("\n1,2\n", [f"2:1: found '1,2'; {HEADER}"]),
        ("line,tick\n", [f"1:1: found 'line,tick'; {HEADER}"]),
        ("x" * 50, [f"1:1: found '{'x' * 40}...'; {HEADER}"]),
        ("tick,line\n1,2\n\n3,1.5\n", [f"4:3: line is '1.5'; {NUMBER}"]),
        ("tick,line\n-1,2\n", [f"2:1: tick is '-1'; {NUMBER}"]),
        ("tick,line\n1,nan\n", [f"2:3: line is 'nan'; {NUMBER}"]),
        ("tick,line\n1,inf\n", [f"2:3: line is 'inf'; {NUMBER}"]),
        ("tick,line\n1,1e400\n", [f"2:3: line is '1e400'; {NUMBER}"]),
        ("tick,line\n1,1e17\n", [f"2:3: line is '1e17'; {NUMBER}"]),
        ("tick,line\n1,-1.0\n", [f"2:3: line is '-1.0'; {NUMBER}"]),
        ("tick,line\n1,1_0\n", [f"2:3: line is '1_0'; {NUMBER}"]),
        ("tick,line\n1,0x10\n", [f"2:3: line is '0x10'; {NUMBER}"]),
        ("tick,line\n1,  two\n", [f"2:5: line is 'two'; {NUMBER}"]),
        ("tick,line\n,2\n", [f"2:1: tick is ''; {NUMBER}"]),
        ("tick,line\n1,5000000000000000000\n", [f"2:3: line is '5000000000000000000'; {NUMBER}"]),
        ("tick,line\n1," + "9" * 50, [f"2:3: line is '{'9' * 40}...'; {NUMBER}"]),
        ("tick,line\n1,2,3\n", ["2:1: found 3 values; 2 were expected: tick,line"]),
        ("tick,core,axon\n1,2\n", ["2:1: found 2 values; 3 were expected: tick,core,axon"]),
        ("tick,line\n1\n2\n3\n4\n", [f"{n}:1: found 1 values; 2 were expected: tick,line" for n in (2, 3, 4, 5)]),
        ("tick,line\nx,y\n1\n", [f"2:1: tick is 'x'; {NUMBER}", f"2:3: line is 'y'; {NUMBER}",
                                 "3:1: found 1 values; 2 were expected: tick,line"]),
        (b"tick,line\n# \xe4\n1,\xe4\n", [f"3:3: line is '\ufffd'; {NUMBER}"]),
    ],
)  # fmt: skip
def test_bad_rows_are_named(tmp_path: Path, text: str | bytes, expected: list[str]) -> None:
    path = csv(tmp_path, text)
    if isinstance(text, bytes):  # beyond the part by which text is told from other data
        path.write_bytes(text.replace(b"# ", b"#" * 5000))
    assert problems(read, path) == tuple(f"{path}:{place}" for place in expected)


def test_only_the_first_bad_rows_are_listed(tmp_path: Path) -> None:
    path = csv(tmp_path, "tick,line\n" + "1,x\n" * 100)
    found = problems(read, path)
    assert len(found) == 6
    assert found[-1] == f"{path}: the lines after 6 were not checked"


def test_huge_text_is_refused(tmp_path: Path) -> None:
    path = csv(tmp_path, "tick,line\n")
    os.truncate(path, 2**32 + 1)  # takes no space
    with open(path, "r+b") as file:
        file.write(b"tick,line\n".ljust(8000))
    assert problems(read, path) == (
        f"{path} has 4294967297 bytes; at most 4294967296 of CSV are read: store it as .npz",
    )


def test_many_rows_come_back(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    value = Spikes.from_axons(*rng.integers(0, [1000, 4096, 256], (200_000, 3)).T)
    for ending in (".csv", ".npz"):
        write(tmp_path / f"a{ending}", value)
        assert read(tmp_path / f"a{ending}") == value
