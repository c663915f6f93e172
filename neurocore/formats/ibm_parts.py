"""The parts of an IBM model file as plain values: neuron types, crossbars and cores.

Facts of the format, as the Corelet Programming Environment and other writers produce it:

- Lists of numbers contain ranges, see :mod:`neurocore.formats.ibm_ranges`.
- A crossbar has one row per axon: ``{"type": "S2", "synapses": "80 00 ..."}``, the most significant bit being neuron 0.
- A neuron's dendrite is its column of the crossbar, hence its number in the core.
- Numbers in ``types`` are the hexadecimal suffix of a type's name (``N0000001F`` is 31); 0 is an unused neuron.
- Destinations -32 and below are output connectors, -1 and -2 are nothing.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from neurocore.architecture import Architecture, Range
from neurocore.errors import InputError
from neurocore.formats.ibm_ranges import NAMED, expand, whole
from neurocore.formats.ibm_spikes import FIRST_CONNECTOR

Array = npt.NDArray[Any]
Unknown = Callable[[str, str], None]
"""Takes the place in the file's structure and the name of a key that is not known."""

NOTHING = (-1, -2)
"""Destination cores that lead nowhere."""

MAX_NAME = 256
"""Characters of the longest name of a neuron type or crossbar."""

NEURON_CLASS = "NeuronGeneral"
COLUMNS = (
    *("weight0", "weight1", "weight2", "weight3", "stochastic0", "stochastic1", "stochastic2", "stochastic3"),
    *("leak", "leak_stochastic", "leak_reversal", "threshold", "floor", "threshold_mask_bits", "reset_mode"),
    *("floor_mode", "reset", "initial"),
)
"""Meaning of the numbers that :func:`parse_type` makes of a neuron type; names as in :class:`neurocore.config.Cores`."""

_MAX_SEED = 2**32 - 1
_ROW_KEYS = frozenset({"type", "synapses"})
_CORE_KEYS = frozenset({"metadata", "id", "timeScaleExponent", "rngSeed", "neurons", "crossbar"})
_LISTS = {
    "types": "type",
    "destCores": "destCore",
    "destAxons": "destAxon",
    "destDelays": "delay",
    "dendrites": "dendrite",
}
_REVERSED = np.packbits(np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1), axis=1, bitorder="little")[:, 0]


def _number(subject: str, value: Any, low: int, high: int) -> int:
    found = whole(value)
    if found is None or not low <= found <= high:
        raise InputError(f"{subject} is {value!r:.40}; a whole number {low}..{high} was expected")
    return found


def _object(subject: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise InputError(f"{subject} is {value!r:.40}; an object {{...}} was expected")
    return value


def _strangers(where: str, found: Mapping[str, Any], known: Any, unknown: Unknown) -> None:
    for key in found.keys() - known:
        unknown(where, key)


# Neuron types


class Types:
    """The neuron types of a file, as rows of numbers.

    ``numbers`` and ``names`` lead from the number and the name of a type to its row of :meth:`table`, number 0 to -1.
    """

    def __init__(self, arch: Architecture) -> None:
        self.numbers: dict[int, int] = {0: -1}
        self.names: dict[str, int] = {}
        self._limit = arch.n_cores * arch.core.neurons
        self._ranges = _type_ranges(arch)
        self._values: array[int] = array("i")

    def __len__(self) -> int:
        return len(self.names)

    def add(self, data: Any, unknown: Unknown) -> None:
        """Take one entry of ``neuronTypes``. Raises InputError that lists what is wrong with it."""
        data = _object("a neuron type", data)
        name = data.get("name")
        if not isinstance(name, str) or len(name) > MAX_NAME:
            raise InputError(f'a neuron type has the name {name!r:.40}; a short text such as "N0000001F" was expected')
        if name in self.names:
            raise InputError(f"neuron type {name:.40} is given twice; names must differ")
        if len(self) >= self._limit:
            raise InputError(f"there are more than {self._limit:,} neuron types; a chip has no more neurons")
        numbered = NAMED.fullmatch(name)
        number = int(numbered[1], 16) if numbered and numbered[1] and not numbered[2] else None
        if number and number in self.numbers:
            raise InputError(f"neuron type {name} has the same number {number} as another one; numbers must differ")
        _strangers("neuronTypes", data, self._ranges.keys() | {"name", "class"}, unknown)
        self._values.extend(self._parse(f"neuron type {name:.40}", data))
        if number:
            self.numbers[number] = len(self.names)
        self.names[name] = len(self.names)

    def table(self) -> Array:
        """The types as int32 [n, len(COLUMNS)]."""
        return np.array(self._values, np.int32).reshape(-1, len(COLUMNS))

    def _parse(self, subject: str, data: dict[str, Any]) -> list[int]:
        problems = []
        if data.get("class", NEURON_CLASS) != NEURON_CLASS:
            problems.append(f"{subject}: class is {data['class']!r:.40}; only {NEURON_CLASS!r} is known")
        found: dict[str, int] = {}
        for key, allowed in self._ranges.items():
            value = data.get(key, 0 if key == "V" else None)
            flag = (allowed.min, allowed.max) == (0, 1) and isinstance(value, bool)
            number = int(bool(value)) if flag else whole(value)
            if number is None or number not in allowed or (key.startswith("sigma") and number == 0):
                listed = "-1 or 1" if key.startswith("sigma") else f"a whole number {allowed}"
                state = f"is {value!r:.40}" if key in data else "is missing"
                problems.append(f"{subject}: {key} {state}; {listed} was expected")
            else:
                found[key] = number
        if problems:
            raise InputError(problems)
        weights = [found[f"sigma{g}"] * found[f"s{g}"] for g in range(4)]
        leak = found["sigma_lambda"] * found["lambda"]
        reset = found["sigma_VR"] * (2 ** found["VR"] - 1)
        stochastic = [found[f"b{g}"] for g in range(4)]
        middle = [found[key] for key in ("c_lambda", "epsilon", "alpha", "beta", "TM", "gamma", "kappa")]
        return [*weights, *stochastic, leak, *middle, reset, found["V"]]


def _type_ranges(arch: Architecture) -> dict[str, Range]:
    """The parameters of a neuron type in the file's order, and the values that each may have."""
    limits, flag, sign = arch.neuron, Range(min=0, max=1), Range(min=-1, max=1)
    groups = range(arch.core.axon_types)
    return {
        **{f"sigma{g}": sign for g in groups},
        **{f"s{g}": Range(min=0, max=limits.weight.max) for g in groups},
        **{f"b{g}": flag for g in groups},
        "sigma_lambda": sign,
        "lambda": Range(min=0, max=limits.leak.max),
        "c_lambda": flag,
        "epsilon": flag,
        "alpha": limits.threshold,
        "beta": limits.floor,
        "TM": Range(min=0, max=limits.threshold_mask_bits),
        "gamma": Range(min=0, max=len(limits.reset_modes) - 1),
        "kappa": flag,
        "sigma_VR": sign,
        "VR": Range(min=0, max=(limits.reset.max + 1).bit_length() - 1),
        "V": limits.membrane,
    }


# Crossbars


@dataclass(frozen=True)
class Crossbar:
    """Words [A, W] uint64 as in :class:`neurocore.config.Cores`, and axon types [A] uint8."""

    words: Array
    axon_type: Array


def empty_crossbar(arch: Architecture) -> Crossbar:
    """A crossbar without synapses."""
    words = np.zeros((arch.core.axons, -(-arch.core.neurons // 64)), np.uint64)
    return Crossbar(words, np.zeros(arch.core.axons, np.uint8))


def parse_crossbar(subject: str, rows: Any, arch: Architecture, unknown: Unknown) -> Crossbar:
    """A crossbar from its rows. Raises InputError that names the first bad row."""
    axons = arch.core.axons
    if not isinstance(rows, list) or len(rows) != axons:
        found = f"{len(rows)} rows" if isinstance(rows, list) else f"{rows!r:.40} for rows"
        raise InputError(f"{subject} has {found}; {axons} rows, one per axon, were expected")
    names = {f"S{g}": g for g in range(arch.core.axon_types)}
    n_bytes = -(-arch.core.neurons // 8)
    quick = _quick_rows(rows, names, n_bytes)
    types, data = quick or _slow_rows(subject, rows, names, n_bytes, unknown)
    padded = np.zeros((axons, -(-arch.core.neurons // 64) * 8), np.uint8)
    padded[:, :n_bytes] = _REVERSED[np.frombuffer(data, np.uint8).reshape(axons, n_bytes)]
    return Crossbar(padded.view("<u8").astype(np.uint64), types)


def _quick_rows(rows: list[Any], names: dict[str, int], n_bytes: int) -> tuple[Array, bytes] | None:
    """Axon types and bits of rows in the usual spelling, ``XX XX ... XX``; None for any other."""
    try:
        types = np.array([names[row["type"]] for row in rows], np.uint8)
        texts = [row["synapses"] for row in rows]
        text = " ".join(texts) + " "
        data = bytes.fromhex(text)
    except (KeyError, TypeError, ValueError):
        return None
    if {len(part) for part in texts} != {3 * n_bytes - 1} or len(data) != n_bytes * len(rows):
        return None
    if any(len(row) != 2 for row in rows):
        return None
    blanks = np.frombuffer(text.encode(), np.uint8).reshape(-1, 3)[:, 2] == ord(" ")
    return (types, data) if blanks.all() else None


def _slow_rows(
    subject: str, rows: list[Any], names: dict[str, int], n_bytes: int, unknown: Unknown
) -> tuple[Array, bytes]:
    """The same for rows in any spelling. Raises InputError that names the first bad one."""
    types, data = np.zeros(len(rows), np.uint8), bytearray()
    for axon, row in enumerate(rows):
        kind = row.get("type") if isinstance(row, dict) else row
        if not isinstance(row, dict) or not isinstance(kind, str) or kind not in names:
            raise InputError(f"{subject}: row {axon} has the type {kind!r:.40}; one of {', '.join(names)} was expected")
        if row.keys() != _ROW_KEYS:
            _strangers("crossbar row", row, _ROW_KEYS, unknown)
        types[axon] = names[kind]
        synapses = row.get("synapses")
        try:
            bits = bytes.fromhex(synapses) if isinstance(synapses, str) else b""
        except ValueError:
            bits = b""
        if len(bits) != n_bytes:
            raise InputError(
                f"{subject}: row {axon} has the synapses {synapses!r:.40}, {len(bits)} bytes; {n_bytes} in hex were expected"
            )
        data += bits
    return types, bytes(data)


# Cores


@dataclass(frozen=True)
class CoreEntry:
    """One core of the file: number, seed, crossbar, and arrays [N] int32 by neuron.

    ``kind`` is the row of the type table, -1 for an unused neuron; ``target`` the destination core as in the file (outputs
    and nothing negative), ``axon`` its axon, ``delay`` in ticks.
    """

    core: int
    seed: int | None
    crossbar: Crossbar
    kind: Array
    target: Array
    axon: Array
    delay: Array


def parse_core(
    data: Any, types: Types, find: Callable[[int, str], Crossbar], arch: Architecture, unknown: Unknown
) -> CoreEntry:
    """One value of the key ``core``; ``find`` leads from a core and a name to a crossbar of the library.

    Raises InputError that lists what is wrong, each sentence naming the core.
    """
    data = _object("core", data)
    core = whole(data.get("id"))
    if core is None or not 0 <= core < arch.n_cores:
        raise InputError(f"core has the id {data.get('id')!r:.40}; {arch.name!r} has cores 0..{arch.n_cores - 1}")
    try:
        _strangers("core", data, _CORE_KEYS, unknown)
        _number("timeScaleExponent", data.get("timeScaleExponent", 0), 0, 0)
        seed = _number("rngSeed", data["rngSeed"], 0, _MAX_SEED) if "rngSeed" in data else None
        lists = _neuron_lists(data.get("neurons"), types, arch.core.neurons, unknown)
        kind, target, axon, delay = _scatter(lists, arch.core.neurons)
        _check_destinations(kind, target, axon, delay, arch)
        crossbar = _core_crossbar(core, data.get("crossbar"), find, arch, unknown)
    except InputError as error:
        raise InputError(f"core {core}: {problem}" for problem in error.problems) from None
    return CoreEntry(core, seed, crossbar, _narrow(kind), _narrow(target), _narrow(axon), _narrow(delay))


def _narrow(values: Array) -> Array:
    """Values as int32; only those of unused neurons can lie beyond, and they do not matter."""
    return np.clip(values, -(2**31), 2**31 - 1).astype(np.int32)


def _core_crossbar(
    core: int, given: Any, find: Callable[[int, str], Crossbar], arch: Architecture, unknown: Unknown
) -> Crossbar:
    data = _object("crossbar", given)
    _strangers("core.crossbar", data, {"name", "rows"}, unknown)
    if "rows" in data:
        return parse_crossbar("crossbar", data["rows"], arch, unknown)
    name = data.get("name")
    if not isinstance(name, str):
        raise InputError(f"crossbar has the name {name!r:.40}; a name of crossbarTypes, or rows, were expected")
    return find(core, name)


def _neuron_lists(given: Any, types: Types, n: int, unknown: Unknown) -> dict[str, list[int]]:
    """The five lists of a core by the long form's names; ``type`` holds rows of the type table, -1 for unused."""
    if isinstance(given, list):
        return _long_form(given, types, n, unknown)
    data = _object("neurons", given)
    _strangers("core.neurons", data, _LISTS.keys(), unknown)
    missing = [name for name in _LISTS if name not in data]
    if missing:
        raise InputError(f"neurons has no {', '.join(missing)}; it needs {', '.join(_LISTS)}")
    lists = {short: expand(name, data[name], n, types=name == "types") for name, short in _LISTS.items()}
    if len({len(values) for values in lists.values()}) > 1:
        lengths = ", ".join(f"{name} {len(lists[short])}" for name, short in _LISTS.items())
        raise InputError(f"the lists of neurons differ in length ({lengths}); each needs one value per neuron")
    known = types.numbers
    lists["type"] = [known[number] if number in known else _type_row(number, types) for number in lists["type"]]
    return lists


def _long_form(given: list[Any], types: Types, n: int, unknown: Unknown) -> dict[str, list[int]]:
    if len(given) > n:
        raise InputError(f"neurons has {len(given)} entries; a core has {n} neurons")
    lists: dict[str, list[int]] = {name: [] for name in _LISTS.values()}
    for place, item in enumerate(given):
        entry = _object(f"neurons[{place}]", item)
        _strangers("core.neurons[]", entry, lists.keys(), unknown)
        for name, values in lists.items():
            value = entry.get(name)
            if name == "type":
                values.append(_type_row(value, types))
                continue
            number = whole(value)
            if number is None:
                raise InputError(f"neurons[{place}]: {name} is {value!r:.40}; a whole number was expected")
            values.append(number)
    return lists


def _type_row(given: Any, types: Types) -> int:
    """Row of a type that is given by number or by name."""
    row = types.names.get(given) if isinstance(given, str) else types.numbers.get(given) if type(given) is int else None
    if row is None:
        hint = "" if types else "; the section neuronTypes must stand before the cores"
        name = f" (N{given:08X})" if type(given) is int and 0 < given < 2**32 else ""
        raise InputError(f"neuron type {given!r:.40}{name} is not in neuronTypes{hint}")
    return row


def _scatter(lists: dict[str, list[int]], n: int) -> tuple[Array, Array, Array, Array]:
    """Kind, target, axon and delay [n] by neuron, from lists in any order. Raises InputError for dendrites that repeat."""
    try:
        column = {name: np.array(values, np.int64) for name, values in lists.items()}
    except OverflowError:
        raise InputError("neurons holds a number beyond 64 bits; no part of a core is that large") from None
    dendrite = column["dendrite"]
    if len(dendrite) and not 0 <= int(dendrite.min()) <= int(dendrite.max()) < n:
        wrong = int(dendrite[(dendrite < 0) | (dendrite >= n)][0])
        raise InputError(f"dendrite {wrong} is outside 0..{n - 1}")
    if len(np.unique(dendrite)) < len(dendrite):
        twice = int(np.flatnonzero(np.bincount(dendrite) > 1)[0])
        raise InputError(f"dendrite {twice} is given twice; every neuron has its own")
    parts = []
    for name, idle in (("type", -1), ("destCore", NOTHING[0]), ("destAxon", 0), ("delay", 1)):
        values = np.full(n, idle, np.int64)
        values[dendrite] = column[name]
        parts.append(values)
    kind, target, axon, delay = parts
    return kind, target, axon, delay


def _check_destinations(kind: Array, target: Array, axon: Array, delay: Array, arch: Architecture) -> None:
    used, output, routed = kind >= 0, target <= FIRST_CONNECTOR, target >= 0
    leads = used & (output | routed)
    lost = (target >= arch.n_cores) | ((target < min(NOTHING)) & ~output) | (target < -(2**31))
    delays, last = arch.routing.delay, arch.core.axons - 1
    known = f"cores 0..{arch.n_cores - 1}, outputs -32 and below, -1 or -2 exist"
    cases = (
        ("destination core", target, used & lost, known),
        ("destination axon", axon, used & routed & ((axon < 0) | (axon > last)), f"a core has axons 0..{last}"),
        ("output axon", axon, used & output & ((axon < 0) | (axon >= 2**31)), "0 or more was expected"),
        ("delay", delay, leads & ((delay < delays.min) | (delay > delays.max)), f"delays lie in {delays} ticks"),
    )
    problems = []
    for name, values, wrong, reason in cases:
        if wrong.any():
            neuron = int(np.argmax(wrong))
            others = int(wrong.sum()) - 1
            more = f" ({others} more like it)" if others else ""
            problems.append(f"neuron {neuron}: {name} is {int(values[neuron])}; {reason}{more}")
    if problems:
        raise InputError(problems)
