"""The container: every damaged or foreign file is refused before libhdf5 sees it; no failed write leaves a trace."""

from __future__ import annotations

import errno
import io
import json
import os
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from neurocore import container
from neurocore.container import BLOCK_SIZE, atomic_path, check_writable, open_checked, write
from neurocore.errors import InputError, OutputError


def fill(file: h5py.File) -> None:
    file.create_dataset("numbers", data=np.arange(20))
    file.create_group("group").create_dataset("text", data=np.bytes_("tick"))


def save(path: Path, kind: str = "chip", version: int = 1) -> Path:
    write(path, kind, version, fill)
    return path


@pytest.fixture
def chip(tmp_path: Path) -> Path:
    return save(tmp_path / "a.h5")


@pytest.fixture
def no_hdf5(monkeypatch: pytest.MonkeyPatch) -> None:
    def only_write(file: Any, mode: str, **options: Any) -> Any:
        assert mode == "w", "libhdf5 was given an unchecked file"
        return opened(file, mode, **options)

    opened = h5py.File
    monkeypatch.setattr(h5py, "File", only_write)


def refusal(path: Path, kind: str = "chip", version: int = 1) -> str:
    """The one sentence, without the folder, with which a file is refused."""
    with pytest.raises(InputError) as caught, open_checked(path, kind, version):
        pass
    (problem,) = caught.value.problems
    return problem.replace(f"{path.parent}{os.sep}", "")


def seal(path: Path, payload: bytes, kind: str = "chip", version: int = 1) -> None:
    """Write a payload behind a sound header, as another version of neurocore would have done."""
    header = container._Header(kind, version, len(payload)).sealed(io.BytesIO(payload))  # type: ignore[arg-type]
    path.write_bytes(header.encode() + payload)


# Round trips


def test_what_was_written_is_read(chip: Path) -> None:
    with open_checked(chip, "chip", 1) as file:
        assert file.mode == "r"
        assert file["numbers"][...].tolist() == list(range(20))
        assert file["group/text"][()] == b"tick"


def test_the_header_is_text(chip: Path) -> None:
    data = chip.read_bytes()
    lines = data[:BLOCK_SIZE].decode("ascii").splitlines()
    assert lines[:4] == ["neurocore container 1", "kind: chip", "version: 1", f"bytes: {len(data) - BLOCK_SIZE}"]


def test_other_programs_can_read_the_payload(chip: Path) -> None:
    with h5py.File(chip, "r") as file:
        assert file.userblock_size == BLOCK_SIZE
        assert len(file["numbers"]) == 20


@settings(max_examples=30, deadline=None)
@given(
    values=hnp.arrays(
        st.sampled_from([np.uint8, np.int16, np.int64, np.float32]),
        hnp.array_shapes(min_dims=1, max_dims=3, min_side=0, max_side=9),
    )
)
def test_any_array_comes_back(values: np.ndarray[Any, Any]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "a.h5")
        write(path, "chip", 7, lambda file: file.create_dataset("values", data=values))
        with open_checked(path, "chip", 7) as file:
            found = file["values"][...]
    assert found.dtype == values.dtype
    np.testing.assert_array_equal(found, values)


def test_equal_contents_give_equal_bytes(chip: Path, tmp_path: Path) -> None:
    time.sleep(1.1)  # the time stamps of HDF5 count seconds
    assert save(tmp_path / "b.h5").read_bytes() == chip.read_bytes()


def test_a_file_replaced_while_it_is_read_does_not_matter(chip: Path) -> None:
    with open_checked(chip, "chip", 1) as file:
        write(chip, "chip", 1, lambda other: other.create_dataset("numbers", data=np.zeros(3)))
        assert file["numbers"][...].tolist() == list(range(20))


def test_errors_of_the_body_pass_unless_they_are_to_be_translated(chip: Path) -> None:
    with pytest.raises(KeyError), open_checked(chip, "chip", 1) as file:
        file["missing"]
    expected = r"a\.h5 is not laid out as a chip of version 1: .*missing"
    with pytest.raises(InputError, match=expected), open_checked(chip, "chip", 1, translate=True) as file:
        file["missing"]
    with pytest.raises(InputError, match=r"^mine$"), open_checked(chip, "chip", 1, translate=True):
        raise InputError("mine")
    with pytest.raises(ZeroDivisionError), open_checked(chip, "chip", 1, translate=True):
        raise ZeroDivisionError


# Damage


@pytest.mark.usefixtures("no_hdf5")
def test_every_truncation_is_refused(chip: Path) -> None:
    data = chip.read_bytes()
    for length in reversed(range(len(data))):
        os.truncate(chip, length)
        sentence = refusal(chip)
        if length >= BLOCK_SIZE:
            assert sentence == f"a.h5 is truncated: {length} bytes of {len(data)}; copy or make it again"
        elif length:
            assert sentence == f"a.h5 is truncated: {length} bytes of a header of 512; copy or make it again"
        else:
            assert sentence == "a.h5 is empty; make it again"


@pytest.mark.usefixtures("no_hdf5")
def test_every_flipped_bit_is_refused(chip: Path) -> None:
    data = chip.read_bytes()
    with open(chip, "r+b", buffering=0) as file:
        for place, byte in enumerate(data):
            for bit in range(8):
                os.pwrite(file.fileno(), bytes([byte ^ 1 << bit]), place)
                assert refusal(chip), (place, bit)
            os.pwrite(file.fileno(), bytes([byte]), place)
    assert chip.read_bytes() == data


@pytest.mark.usefixtures("no_hdf5")
def test_damage_is_named(chip: Path) -> None:
    data = chip.read_bytes()
    chip.write_bytes(data[:-1] + b"?")
    assert refusal(chip) == "a.h5 is damaged: its contents do not match its digest; copy or make it again"
    chip.write_bytes(data + b"?")
    assert refusal(chip) == f"a.h5 is damaged: {len(data) + 1} bytes instead of {len(data)}; copy or make it again"
    chip.write_bytes(data.replace(b"sha256", b"sha251"))
    assert refusal(chip) == "a.h5 is damaged: its header is not readable; copy or make it again"
    chip.write_bytes(data.replace(b"kind: chip", b"kind: ship"))
    assert refusal(chip) == "a.h5 is damaged: its contents do not match its digest; copy or make it again"


def test_a_sound_header_before_anything_but_hdf5_is_refused(chip: Path) -> None:
    seal(chip, b"no HDF5 at all" * 100)
    assert refusal(chip).startswith("a.h5 holds no HDF5 data behind its header: ")


# Files of other kinds, versions and makes


@pytest.mark.usefixtures("no_hdf5")
class TestOtherFiles:
    def test_missing(self, tmp_path: Path) -> None:
        assert refusal(tmp_path / "a.h5") == "a.h5 does not exist; check the path"

    def test_folder(self, tmp_path: Path) -> None:
        (tmp_path / "a").mkdir()
        assert refusal(tmp_path / "a") == "a is a folder; give the path of a file"

    def test_pipe(self, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "a")
        assert refusal(tmp_path / "a") == "a is a device or a pipe; give the path of a file"

    def test_below_a_file(self, tmp_path: Path) -> None:
        (tmp_path / "a").touch()
        assert refusal(tmp_path / "a" / "b") == "b cannot be read: not a directory; check the path"

    def test_impossible_name(self) -> None:
        assert refusal(Path("a\0b")).endswith("cannot be read: embedded null byte; check the path")

    @pytest.mark.parametrize(
        ("data", "what"),
        [
            (b"\x89HDF\r\n\x1a\n" + bytes(2000), "a plain HDF5 file of another program"),
            (
                b"MATLAB 7.3".ljust(512) + b"\x89HDF\r\n\x1a\n" + bytes(2000),
                "an HDF5 file with the user block of another program, or with a damaged one",
            ),
            (b"\x93NUMPY\x01\x00", "a NumPy .npy file"),
            (b"\x1f\x8b\x08", "a gzip file"),
            (b'{"network": 1}', "JSON text"),
            (b"  [1, 2]", "JSON text"),
            (b"# a net\nnetwork: example\ninputs:\n", "YAML or other text"),
            (b"tick,line\n1,2\n", "a table in CSV text"),
            ("für alle".encode(), "plain text"),
            (b"\xff\xd8\xff\xe0", "binary data of an unknown make"),
            (b"text\0", "binary data of an unknown make"),
        ],
    )
    def test_foreign(self, tmp_path: Path, data: bytes, what: str) -> None:
        path = tmp_path / "a.h5"
        path.write_bytes(data)
        assert refusal(path) == f"a.h5 is not a neurocore file: it looks like {what}; a chip file was expected"

    def test_archive(self, tmp_path: Path) -> None:
        with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
            archive.writestr("a", json.dumps(1))
        assert "looks like a zip archive such as .npz;" in refusal(tmp_path / "a.npz")

    def test_newer_layout(self, chip: Path) -> None:
        chip.write_bytes(chip.read_bytes().replace(b"container 1\n", b"container 12\n"))
        assert refusal(chip) == (
            "a.h5 is a neurocore container of version 12, this neurocore reads version 1;"
            " upgrade neurocore (or the file is damaged)"
        )

    def test_newer_version(self, chip: Path) -> None:
        seal(chip, chip.read_bytes()[BLOCK_SIZE:], version=3)
        assert refusal(chip) == (
            "a.h5 is a chip of format version 3, this neurocore reads version 1; upgrade neurocore"
        )

    def test_older_version(self, chip: Path) -> None:
        assert refusal(chip, version=2) == (
            "a.h5 is a chip of format version 1, this neurocore reads version 2; make it again"
        )

    def test_other_kind(self, chip: Path) -> None:
        assert refusal(chip, kind="run") == ("a.h5 holds a chip, a run was expected; give the path of a run file")


def test_plain_hdf5(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        fill(file)
    assert "looks like a plain HDF5 file of another program;" in refusal(tmp_path / "a.h5")


# Writing


def why_not(path: Path | str, attempt: Any = None) -> str:
    """The one sentence, without the folder, with which writing is refused; the folder is left as it was."""
    folder = Path(path).parent
    before = sorted(folder.iterdir()) if folder.is_dir() and folder != Path("/proc") else []
    with pytest.raises(OutputError) as caught:
        (attempt or check_writable)(path)
    assert not before or sorted(folder.iterdir()) == before
    (problem,) = caught.value.problems
    return problem.replace(f"{folder}{os.sep}", "")


def write_chip(path: Path | str) -> None:
    write(path, "chip", 1, fill)


@pytest.mark.parametrize("attempt", [check_writable, write_chip])
class TestUnwritable:
    def test_missing_folder(self, tmp_path: Path, attempt: Any) -> None:
        path = tmp_path / "no" / "a.h5"
        assert why_not(path, attempt) == (
            f"a.h5 cannot be written: its folder {tmp_path}/no does not exist; create it first"
        )

    def test_below_a_file(self, tmp_path: Path, attempt: Any) -> None:
        (tmp_path / "file").touch()
        path = tmp_path / "file" / "a.h5"
        assert why_not(path, attempt) == (
            f"a.h5 cannot be written: {tmp_path}/file is not a folder; choose another path"
        )

    def test_folder(self, tmp_path: Path, attempt: Any) -> None:
        (tmp_path / "a").mkdir()
        assert why_not(tmp_path / "a", attempt) == "a cannot be written: it is a folder; name a file in it"

    def test_pipe(self, tmp_path: Path, attempt: Any) -> None:
        os.mkfifo(tmp_path / "a")
        assert why_not(tmp_path / "a", attempt) == "a cannot be written: it is a device or a pipe; name a file"

    @pytest.mark.parametrize("path", ["", "folder/"])
    def test_no_name(self, path: str, attempt: Any) -> None:
        with pytest.raises(OutputError, match=rf"^'{path}' cannot be written: it names no file; add a file name$"):
            attempt(path)

    def test_impossible_names(self, tmp_path: Path, attempt: Any) -> None:
        assert why_not(f"{tmp_path}/a\0", attempt).endswith("embedded null byte; choose another path")
        (tmp_path / "loop").symlink_to("loop")
        assert why_not(tmp_path / "loop", attempt).endswith("levels of symbolic links; choose another path")

    @pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="needs a folder that takes no files, even from root")
    def test_folder_that_takes_no_files(self, attempt: Any) -> None:
        sentence = why_not("/proc/a.h5", attempt)
        assert sentence.startswith("a.h5 cannot be written: no file can be made in /proc (")
        assert sentence.endswith("); choose another folder")

    def test_write_protected(self, chip: Path, attempt: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(os, "access", lambda *_: False)  # root may write what is write-protected
        assert why_not(chip, attempt) == "a.h5 cannot be written: it is write-protected; choose another path"

    def test_no_permission(self, tmp_path: Path, attempt: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        def refuse(*_: Any, **__: Any) -> None:
            raise PermissionError(errno.EACCES, "Permission denied")

        monkeypatch.setattr(container, "_create", refuse)
        assert why_not(tmp_path / "a.h5", attempt) == (
            f"a.h5 cannot be written: no file can be made in {tmp_path} (permission denied); choose another folder"
        )


def test_check_writable_leaves_everything_as_it_was(chip: Path) -> None:
    data = chip.read_bytes()
    check_writable(chip)
    check_writable(chip.parent / "new.h5")
    assert os.listdir(chip.parent) == ["a.h5"]
    assert chip.read_bytes() == data


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(1), ZeroDivisionError(), RuntimeError("mine")])
def test_an_error_while_filling_leaves_the_old_file(chip: Path, error: BaseException) -> None:
    def fail(file: h5py.File) -> None:
        fill(file)
        raise error

    data = chip.read_bytes()
    with pytest.raises(type(error)) as caught:
        write(chip, "run", 1, fail)
    assert caught.value is error
    assert os.listdir(chip.parent) == ["a.h5"]
    assert chip.read_bytes() == data


@pytest.mark.parametrize("call", ["fsync", "replace"])
@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()])
def test_a_failure_at_the_end_leaves_the_old_file(
    chip: Path, monkeypatch: pytest.MonkeyPatch, call: str, error: BaseException
) -> None:
    def fail(*_: Any) -> None:
        raise error

    data = chip.read_bytes()
    monkeypatch.setattr(os, call, fail)
    with pytest.raises((OutputError, KeyboardInterrupt)) as caught:
        write(chip, "run", 1, fill)
    if isinstance(error, OSError):
        assert isinstance(caught.value, OutputError)
        assert str(caught.value) == (
            f"{chip} cannot be written: no space left on device; free some space or choose another disk"
        )
    assert os.listdir(chip.parent) == ["a.h5"]
    assert chip.read_bytes() == data


def big(file: h5py.File) -> None:
    for number in range(8):
        file.create_dataset(f"group{number}/values", data=np.arange(100_000))


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()])
@pytest.mark.parametrize("writes", [0, 1, 2, 5, 10])
def test_a_failure_below_libhdf5_leaves_the_old_file(
    chip: Path, monkeypatch: pytest.MonkeyPatch, writes: int, error: BaseException
) -> None:
    """Whatever fails while libhdf5 writes, be it the disk or an interrupt, comes out as itself."""

    class Failing(io.FileIO):
        left = writes

        def write(self, data: Any) -> int:
            if not self.left:
                raise error
            self.left -= 1
            return super().write(data)

    class Sink(container._Sink, Failing):
        pass

    data = chip.read_bytes()
    monkeypatch.setattr(container, "_Sink", Sink)
    with pytest.raises((OutputError, KeyboardInterrupt)) as caught:
        write(chip, "run", 1, big)
    assert caught.value is error or caught.value.__cause__ is error
    assert os.listdir(chip.parent) == ["a.h5"]
    assert chip.read_bytes() == data


FULL_DISK = """
import resource, sys, numpy as np
from neurocore import container, errors
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]),) * 2)
def fill(file):
    for number in range(8):
        file.create_dataset(f"group{number}/values", data=np.arange(100_000))
try:
    container.write(sys.argv[1], "chip", 1, fill)
except errors.OutputError as error:
    print(error)
"""


@pytest.mark.parametrize("limit", [400, 3_000_000])
def test_a_full_disk_is_an_error_and_no_crash(tmp_path: Path, limit: int) -> None:
    pytest.importorskip("resource")
    command = [sys.executable, "-W", "error", "-c", FULL_DISK, str(tmp_path / "a.h5"), str(limit)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == (
        f"{tmp_path}/a.h5 cannot be written: file too large; free some space or choose another disk\n"
    )
    assert os.listdir(tmp_path) == []


# Atomic paths


def test_atomic_path_replaces_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    path.write_text("old")
    with atomic_path(path) as temporary:
        assert os.path.dirname(temporary) == str(tmp_path)
        assert temporary.endswith(".npz")  # or numpy.savez would write to yet another file
        np.savez(temporary, a=np.arange(3))
        assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["a.npz"]
    with np.load(path) as archive:
        assert archive["a"].tolist() == [0, 1, 2]


def test_atomic_path_keeps_links_and_permissions(tmp_path: Path) -> None:
    real = tmp_path / "real.txt"
    real.write_text("old")
    real.chmod(0o640)
    link = tmp_path / "link.txt"
    link.symlink_to("real.txt")
    with atomic_path(link) as temporary:
        Path(temporary).write_text("new")
    assert link.is_symlink()
    assert real.read_text() == "new"
    assert real.stat().st_mode & 0o777 == 0o640


def test_atomic_path_takes_names_as_long_as_the_system_does(tmp_path: Path) -> None:
    path = tmp_path / ("a." + "b" * 253)
    with atomic_path(path) as temporary:
        Path(temporary).write_text("new")
    assert path.read_text() == "new"
    longer = tmp_path / ("a" * 256)
    with pytest.raises(OutputError, match="file name too long"), atomic_path(longer):
        pass


def test_atomic_path_names_the_cause(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    with pytest.raises(OutputError) as caught, atomic_path(path):
        raise OSError(errno.EIO, "Input/output error")
    assert str(caught.value) == f"{path} cannot be written: input/output error; choose another path"
    assert os.listdir(tmp_path) == []
