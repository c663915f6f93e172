"""Spike files of IBM's tools: text ``.sfti`` and ``.sfto``, binary ``.sfri`` and ``.sfro``; and what output lines mean.

- Text holds a JSON object per line: headers, of which ``defaultDestinationDelay`` matters, then
  ``{"spike":{"srcTime":t,"destCore":c,"destAxon":a}}``, with srcCore, srcNeuron and destDelay where a tool records all spikes.
- Binary is a header in JSON ended by the byte 0xFF, then big-endian 32-bit words: ``RAWI3`` (input) has three per spike, the
  values above; ``RAWO6`` (output) has six, of which words 0, 3 and 4 are these values. Words 1, 2 and 5 are written as 0, 0
  and the default delay.

``srcTime`` is the tick in which a spike was sent. A spike for a core is active one delay later, which is the tick that neurocore
uses: tick = srcTime + defaultDestinationDelay, or destDelay where a spike has its own. An output spike (destCore -32 or below)
has tick = srcTime, the tick in which its neuron fired.

Sources: spike files published with NeMo, and pytruenorth, which reads and writes them for the simulator and the board.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import IO, Any, Protocol

import numpy as np
import numpy.typing as npt

from neurocore.architecture import Architecture
from neurocore.config import ChipConfig, Group
from neurocore.container import StrPath, atomic_path, looks_like, open_input
from neurocore.errors import InputError, UsageError
from neurocore.formats.ibm_ranges import compress, expand, whole
from neurocore.spikes import MAX_SPIKES, Spikes

Array = npt.NDArray[np.int64]

FIRST_CONNECTOR = -32
"""Destination cores from here downwards are output connectors."""
MAX_DELAY = 15
"""Delays of spike files lie in 1..MAX_DELAY: a packet has four bits for them."""
MAX_TIME = 2**32 - 1
"""Source times lie in 0..MAX_TIME, the 32 bits of the binary files."""

_BLOCK = 2**20
_LISTED = 5
_MARK = b"\xff"
_WORDS = {"RAWI3": (3, (0, 1, 2)), "RAWO6": (6, (0, 3, 4))}
_FIELDS = ("srcTime", "destCore", "destAxon")
_EXTRA = frozenset({"srcCore", "srcNeuron", "destDelay"})
_LINE = rb'{"spike":{"srcTime":#,"destCore":-?+#,"destAxon":#}}'
_LINE = re.sub(rb"([{}:,])", rb"[ \\t]*+[\1][ \\t]*+", _LINE).replace(b"#", b"[0-9]{1,10}+") + b"\n"
_LINES = re.compile(b"(?:" + _LINE + b")++")
_NO_NUMBER = bytes(code if chr(code) in "0123456789-" else 32 for code in range(256))
_GROUP = re.compile(r"connector (-[0-9]{1,10})(?: axons ([0-9:x,-]+))?")


# What output lines mean


class _HasOutputs(Protocol):
    """A chip, or the facts of a chip that a run carries."""

    @property
    def architecture(self) -> Architecture: ...
    @property
    def outputs(self) -> tuple[Group, ...]: ...


@dataclass(frozen=True)
class OutputMap:
    """Destination of each output line: ``core`` (-32 or below) and ``axon``, both [n] int64."""

    core: Array
    axon: Array

    def lines(self, core: Array, axon: Array) -> Array:
        """The lines [n] of destinations. Raises InputError for destinations that the chip does not have."""
        own = (-self.core << 32) | self.axon
        order = np.argsort(own)
        wanted = (-core << 32) | axon
        at = np.minimum(np.searchsorted(own, wanted, sorter=order), max(len(own) - 1, 0))
        found = own[order[at]] == wanted if len(own) else np.zeros(len(wanted), bool)
        if not found.all():
            place = int(np.argmin(found))
            raise InputError(
                f"{int((~found).sum())} spikes leave where the chip has no output, such as destCore {int(core[place])},"
                f" destAxon {int(axon[place])}: check that the spikes were made with this chip"
            )
        return order[at].astype(np.int64)


def connector_groups(core: Array, axon: Array) -> tuple[Group, ...]:
    """Groups of output lines, one per connector, for destinations sorted by (-core, axon).

    The name says which axons the lines are, so that :func:`output_map` needs nothing else.
    """
    groups: list[Group] = []
    for connector in np.unique(-core).tolist():
        members = np.flatnonzero(core == -connector)
        axons = axon[members]
        plain = bool((axons == np.arange(len(axons))).all())
        name = f"connector {-connector}"
        if not plain:
            name += f" axons {','.join(map(str, compress(axons.tolist())))}"
        groups.append(Group(name, (len(axons),), int(members[0])))
    return tuple(groups)


def output_map(chip: _HasOutputs) -> OutputMap:
    """Where the output lines of a chip lead, from the names of its outputs.

    A chip that was not read from a model file gets connectors -32, -33, ... of as many axons as a core has, in line order.
    """
    cores: list[int] = []
    axons: list[int] = []
    for group in chip.outputs:
        match = _GROUP.fullmatch(group.name)
        if not match or int(match[1]) > FIRST_CONNECTOR:
            break
        pins = expand("axons", match[2].split(","), group.size) if match[2] else list(range(group.size))
        if len(pins) != group.size:
            break
        cores += [int(match[1])] * group.size
        axons += pins
    total = sum(group.size for group in chip.outputs)
    if len(cores) != total:
        line = np.arange(total)
        return OutputMap(FIRST_CONNECTOR - line // chip.architecture.core.axons, line % chip.architecture.core.axons)
    return OutputMap(np.array(cores, np.int64), np.array(axons, np.int64))


def axon_spikes(chip: ChipConfig, spikes: Spikes) -> Spikes:
    """Spikes on the input lines of a chip as spikes on its axons, which is all that IBM's files know.

    Raises InputError for lines that the chip does not have.
    """
    spikes.check(n_lines=chip.n_inputs)
    entry = chip.input_map
    order = np.argsort(entry.line, kind="stable")
    start = np.searchsorted(entry.line[order], np.arange(chip.n_inputs + 1))
    count = (start[1:] - start[:-1])[spikes.line]
    first = np.repeat(start[spikes.line] - (np.cumsum(count) - count), count)
    which = order[first + np.arange(len(first))]
    return Spikes.from_axons(
        np.repeat(spikes.tick * chip.dilation, count) + entry.delay[which], entry.core[which], entry.axon[which]
    )


# Reading


@dataclass(frozen=True)
class _Records:
    """Spikes as in a file: source time, destination core and axon, delay, each [n] int64."""

    time: Array
    core: Array
    axon: Array
    delay: Array


def read_spikes(path: StrPath) -> Spikes:
    """Read spikes for cores, by their ticks, from any of the four kinds of file; its contents decide which it is.

    Raises InputError that says what is wrong, for text with ``file:line:column``; so do spikes that leave the chip.
    """
    name = os.fspath(path)
    found = _read(path)
    leaving = found.core < 0
    if leaving.any():
        raise InputError(
            f"{name}: {int(leaving.sum())} of {len(leaving)} spikes leave the chip, such as one for destCore"
            f" {int(found.core[leaving][0])}: these are output spikes, which belong to the output lines of a chip; name it"
            " (convert --chip-file)"
        )
    return Spikes.from_axons(found.time + found.delay, found.core, found.axon)


def read_output_spikes(path: StrPath, outputs: OutputMap) -> Spikes:
    """Read the spikes that leave a chip, by tick and output line; spikes between cores in the same file are passed over."""
    found = _read(path)
    leaving = found.core <= FIRST_CONNECTOR
    try:
        lines = outputs.lines(found.core[leaving], found.axon[leaving])
    except InputError as error:
        raise InputError(f"{os.fspath(path)}: {problem}" for problem in error.problems) from None
    return Spikes.from_lines(found.time[leaving], lines)


def _read(path: StrPath) -> _Records:
    name = os.fspath(path)
    with open_input(path) as file:
        start = file.read(4096)
        file.seek(0)
        if not start.lstrip().startswith(b"{"):
            found = looks_like(start) if start else "an empty file"
            raise InputError(f"{name} looks like {found}; an .sfti, .sfto, .sfri or .sfro file was expected")
        if _MARK in start:
            return _read_raw(file, name, start)
        return _read_text(file, name)


def _delay(name: str, header: dict[str, Any]) -> int:
    delay = whole(header.get("defaultDestinationDelay", 1))
    if delay is None or not 1 <= delay <= MAX_DELAY:
        value = header["defaultDestinationDelay"]
        raise InputError(
            f"{name}: defaultDestinationDelay is {value!r:.40}; a delay of 1..{MAX_DELAY} ticks was expected"
        )
    return delay


def _read_raw(file: IO[bytes], name: str, start: bytes) -> _Records:
    size = os.fstat(file.fileno()).st_size - start.index(_MARK) - 1
    try:
        header = json.loads(start[: start.index(_MARK)])
    except (ValueError, RecursionError):
        header = None
    encoding = header.get("encoding") if isinstance(header, dict) else None
    if not isinstance(header, dict) or not isinstance(encoding, str) or encoding not in _WORDS:
        raise InputError(f"{name} has a header of encoding {encoding!r:.40}; {' or '.join(_WORDS)} was expected")
    width, columns = _WORDS[encoding]
    if size % (4 * width):
        raise InputError(f"{name} is cut short: {size} bytes of spikes are no multiple of {4 * width}; copy it again")
    if size // (4 * width) > MAX_SPIKES:
        raise InputError(f"{name} holds {size // (4 * width)} spikes; at most {MAX_SPIKES} are read: split the file")
    file.seek(start.index(_MARK) + 1)
    words = np.frombuffer(file.read(size), ">u4").reshape(-1, width)
    time, core, axon = (words[:, column] for column in columns)
    delay = np.broadcast_to(np.int64(_delay(name, header)), len(words))
    return _Records(time.astype(np.int64), core.astype(np.int32).astype(np.int64), axon.astype(np.int64), delay)


def _read_text(file: IO[bytes], name: str) -> _Records:
    parts: list[Array] = []
    header: dict[str, Any] = {}
    total = 0
    for number, block in _blocks(file, name):
        if _LINES.fullmatch(block):
            rows = np.fromstring(block.translate(_NO_NUMBER).decode(), np.int64, sep=" ").reshape(-1, 3)
            rows = np.concatenate([rows, np.zeros((len(rows), 1), np.int64)], axis=1)
        else:
            rows = _read_lines(block, name, number, header)
        total += len(rows)
        if total > MAX_SPIKES:
            raise InputError(f"{name} holds more than {MAX_SPIKES} spikes; split the file")
        parts.append(rows)
    if not header:
        raise InputError(f"{name}:1:1: no header was found; a spike file of IBM's tools was expected")
    rows = np.concatenate(parts)
    wrong = (rows[:, 0] > MAX_TIME) | (rows[:, 2] > MAX_TIME) | (np.abs(rows[:, 1]) > MAX_TIME // 2)
    if wrong.any():
        raise InputError(
            f"{name}: the spike {rows[wrong][0, :3].tolist()} (srcTime, destCore, destAxon) exceeds 32 bits"
        )
    delay = np.where(rows[:, 3] > 0, rows[:, 3], _delay(name, header))
    return _Records(rows[:, 0], rows[:, 1], rows[:, 2], delay)


def _blocks(file: IO[bytes], name: str) -> Iterator[tuple[int, bytes]]:
    """Whole lines, about _BLOCK bytes at a time, each with the number of its first line; the headers come by themselves."""
    number, rest = 1, b""
    while chunk := file.read(_BLOCK if number > 1 or rest else 4096):
        rest += chunk.replace(b"\r", b"")
        end = rest.rfind(b"\n") + 1
        if end:
            yield number, rest[:end]
            number += rest.count(b"\n", 0, end)
            rest = rest[end:]
        elif len(rest) > _BLOCK:
            raise InputError(f"{name}:{number}:1: this line has more than {_BLOCK} bytes; a spike takes 50")
    if rest:
        yield number, rest + b"\n"


def _read_lines(block: bytes, name: str, number: int, header: dict[str, Any]) -> Array:
    """Rows (srcTime, destCore, destAxon, destDelay or 0) of lines in any spelling; headers are added to ``header``."""
    rows: list[list[int]] = []
    problems: list[str] = []
    for line, text in enumerate(block.split(b"\n"), number):
        if not text.strip():
            continue
        try:
            data = json.loads(text)
            if isinstance(data, dict) and "spike" in data:
                rows.append(_spike(data["spike"]))
            elif isinstance(data, dict) and not rows:
                header.update(data)
            else:
                raise InputError(f"found {text[:40].decode(errors='replace')!r}; a spike was expected")
        except json.JSONDecodeError as error:
            problems.append(f"{name}:{line}:{error.colno}: this is not JSON: {error.msg[:1].lower()}{error.msg[1:]}")
        except InputError as error:
            problems += [f"{name}:{line}:1: {problem}" for problem in error.problems]
        except (ValueError, RecursionError):
            problems.append(f"{name}:{line}:1: found {text[:40].decode(errors='replace')!r}; a spike was expected")
        if len(problems) >= _LISTED:
            problems.append(f"{name}: the lines after {line} were not checked")
            break
    if problems:
        raise InputError(problems)
    return np.array(rows, np.int64).reshape(-1, 4)


def _spike(data: Any) -> list[int]:
    if not isinstance(data, dict):
        raise InputError(f"spike is {data!r:.40}; an object {{...}} was expected")
    problems = [f"the key {key!r:.40} of a spike is not known" for key in data.keys() - {*_FIELDS, *_EXTRA}]
    row = []
    for key in _FIELDS:
        value = whole(data.get(key))
        low = -(2**31) if key == "destCore" else 0
        if value is None or not low <= value <= MAX_TIME:
            problems.append(f"{key} is {data.get(key)!r:.40}; a whole number {low}..{MAX_TIME} was expected")
        row.append(value or 0)
    delay = whole(data.get("destDelay", 0))
    if delay is None or not (0 if "destDelay" not in data else 1) <= delay <= MAX_DELAY:
        problems.append(f"destDelay is {data['destDelay']!r:.40}; a delay of 1..{MAX_DELAY} ticks was expected")
    if problems:
        raise InputError(problems)
    return [*row, delay or 0]


# Writing


def write_spikes(path: StrPath, spikes: Spikes, *, default_delay: int = 1) -> None:
    """Write spikes for cores, as ``.sfti`` (text) or ``.sfri`` (binary) by the ending of ``path``; source time = tick - delay.

    Raises InputError for spikes on lines (see :func:`axon_spikes`) and for spikes too early to have been sent, UsageError for
    another ending or delay, OutputError if the file cannot be written.
    """
    if not 1 <= default_delay <= MAX_DELAY:
        raise UsageError(f"default_delay is {default_delay}; delays lie in 1..{MAX_DELAY} ticks")
    if len(spikes) and int(spikes.tick[0]) < default_delay:
        raise InputError(
            f"a spike is active at tick {int(spikes.tick[0])}; in IBM's files it is sent {default_delay} ticks before, and the"
            f" first tick is 0: shift the spikes, so that the first is at tick {default_delay} or later"
        )
    _write(path, (".sfti", ".sfri"), (spikes.tick - default_delay, spikes.core, spikes.axon), default_delay)


def write_output_spikes(path: StrPath, spikes: Spikes, outputs: OutputMap) -> None:
    """Write the output spikes of a run, as ``.sfto`` (text) or ``.sfro`` (binary) by the ending of ``path``.

    Raises InputError for lines that ``outputs`` does not have, UsageError for another ending, OutputError if the file cannot
    be written.
    """
    spikes.check(n_lines=len(outputs.core))
    _write(path, (".sfto", ".sfro"), (spikes.tick, outputs.core[spikes.line], outputs.axon[spikes.line]), 1)


def _write(path: StrPath, endings: tuple[str, str], columns: tuple[Array, Array, Array], delay: int) -> None:
    """Write source times, cores and axons."""
    ending = os.path.splitext(path)[1].lower()
    if ending not in endings:
        raise UsageError(f"{path!s} has the ending {ending!r}; these spikes are written as {' or '.join(endings)}")
    for name, values in zip(_FIELDS, columns, strict=True):
        if len(values) and int(values.max()) > MAX_TIME:
            raise InputError(f"a spike has {name} {int(values.max())}; IBM's files hold 32 bits, up to {MAX_TIME}")
    writer: Callable[..., None] = _write_text if ending.startswith(".sft") else _write_raw
    with atomic_path(path) as temporary, open(temporary, "wb") as file:
        writer(file, ending, columns, delay)


def _write_text(file: IO[bytes], ending: str, columns: tuple[Array, Array, Array], delay: int) -> None:
    file.write(b'{"class":"SpikeWriter","encoding":"TEXT","nscsVersion":"1.4.0"}\n')
    file.write(f'{{"version":"{ending[1:]}1.0","defaultDestinationDelay":{delay}}}\n'.encode())
    template = '{"spike":{"srcTime":%d,"destCore":%d,"destAxon":%d}}\n'
    step = 2**16
    for start in range(0, len(columns[0]), step):
        rows = zip(*(values[start : start + step].tolist() for values in columns), strict=True)
        file.write("".join(map(template.__mod__, rows)).encode())


def _write_raw(file: IO[bytes], ending: str, columns: tuple[Array, Array, Array], delay: int) -> None:
    encoding = "RAWI3" if ending == ".sfri" else "RAWO6"
    width, places = _WORDS[encoding]
    header = {"class": "SpikeWriter", "nscsVersion": "1.4.0", "encoding": encoding, "defaultDestinationDelay": delay}
    file.write(json.dumps(header, separators=(",", ":")).encode() + _MARK)
    words = np.zeros((len(columns[0]), width), ">u4")
    words[:, -1] = delay
    for place, values in zip(places, columns, strict=True):
        words[:, place] = values & MAX_TIME
    file.write(words.tobytes())
