"""Model files of IBM's Corelet Programming Environment: read into a chip, and written back.

What stands in such a file is described in :mod:`neurocore.formats.ibm_parts`, its spike files in
:mod:`neurocore.formats.ibm_spikes`. What a chip makes of it:

- Core number (x + y * columns) is the core's ``id``.
- The number that selects a core's random stream is ``id * 2**32 + rngSeed`` (rngSeed 4294967295, IBM's default, where none is
  given). IBM's own generator is not public, so stochastic models do not replay its draws.
- Output lines are numbered by (-destCore, destAxon), ascending. There is one group of them per connector, named
  ``connector -32`` if its axons are 0, 1, 2, ..., else as in ``connector -59 axons 231:4:255``, with the file's ranges.
- All neurons are in one population ``neurons``, in which neuron j of core c has index c * 256 + j.
- A file that announces more cores than it holds is taken as an excerpt: crossbars that it lacks are empty, and the report
  says so. In any other file they are an error.
- Crossbar bits of unused neurons are left out, and counted in the report.

Memory: 22 KB for each core of the chip that is made, and while reading up to 14 KB more for each core, 8 KB for each entry of
``crossbarTypes``, 0.4 KB for each neuron type and 100 MB at most for the text, which only a hostile file needs. A file of
4,000 different cores, 145 MB, is read with 170 MB. There can be no more cores and crossbars than the chip has cores, and no
more neuron types than it has neurons.

Source of the format: model files published with NeMo and written by pytruenorth.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from neurocore.architecture import Architecture, load_architecture
from neurocore.config import NOWHERE, OUTPUT, ChipConfig, Cores, Group, blank_arrays
from neurocore.container import StrPath, open_input
from neurocore.errors import InputError
from neurocore.formats.ibm_export import family_problems, write_model
from neurocore.formats.ibm_json import JsonStream
from neurocore.formats.ibm_parts import (
    COLUMNS,
    MAX_NAME,
    CoreEntry,
    Crossbar,
    Types,
    empty_crossbar,
    parse_core,
    parse_crossbar,
)
from neurocore.formats.ibm_ranges import whole
from neurocore.formats.ibm_spikes import FIRST_CONNECTOR, connector_groups
from neurocore.wording import acting, counted

__all__ = ["ModelReport", "read_model", "write_model"]

Array = npt.NDArray[Any]

DEFAULT_SEED = 2**32 - 1
"""What IBM's files give as rngSeed if nothing else is asked for."""
MAX_LISTED = 20
"""Faults after which reading stops."""
_MAX_UNKNOWN = 100
_MAX_SECTIONS = 10_000
"""Sections that are not known, after which reading stops."""
_ORDER = "model, crossbarTypes, neuronTypes, core"
_MODEL_KEYS = {
    *("coreCount", "neuronclass", "neuronClass", "crossbarSize", "crossbarclass", "crossbarClass", "buildKey64"),
    *("networking", "useCrossbarPrototypes"),
}


@dataclass(frozen=True)
class ModelReport:
    """What a reader of the chip should know of its file.

    ``announced`` is the number of cores that the file says it holds, None if it does not say; ``unknown`` the keys that are
    not known and were not used, as ``section.key`` with the number of times; ``remarks`` are whole sentences.
    """

    announced: int | None
    n_cores: int
    unknown: tuple[tuple[str, int], ...]
    remarks: tuple[str, ...]

    def sentences(self) -> tuple[str, ...]:
        """All of it as whole sentences; none if there is nothing to say."""
        listed = tuple(
            f"the key {name!r} is not known and was not used ({counted(count, 'time')})" for name, count in self.unknown
        )
        return self.remarks + listed


def read_model(path: StrPath, chip: str | Path | Architecture = "truenorth") -> tuple[ChipConfig, ModelReport]:
    """Read a model file; ``chip`` names the chip definition, whose cores must be TrueNorth's.

    Raises InputError that lists up to MAX_LISTED faults, each with ``file:line:column`` and, within a core, its id.
    """
    arch = load_architecture(chip)
    if problems := family_problems(arch):
        raise InputError(f"IBM model files cannot be read for {arch.name!r}: {problem}" for problem in problems)
    with open_input(path) as file:
        reader = _Reader(arch, JsonStream(file, os.fspath(path)))
        reader.read()
    name = Path(path).name
    return reader.chip(name[: name.find(".")] or name), reader.report()


class _Reader:
    """Collects the sections of one file."""

    def __init__(self, arch: Architecture, stream: JsonStream) -> None:
        self.arch, self.stream = arch, stream
        self.head: dict[str, Any] = {}
        self.types = Types(arch)
        self.crossbars: dict[str, Crossbar] = {}
        self.empty = empty_crossbar(arch)
        self.cores: dict[int, CoreEntry] = {}
        self.problems: list[str] = []
        self.absent: list[str] = []
        self.unknown: Counter[str] = Counter()
        self.remarks: list[str] = []
        self.n_cores = 0

    def read(self) -> None:
        """Read all sections. Raises InputError that lists the faults."""
        sections: dict[str, Callable[[Any], None]] = {
            "model": self._take_head,
            "crossbarTypes": self._take_crossbar,
            "neuronTypes": lambda item: self.types.add(item, self._stranger),
            "core": self._take_core,
        }
        strange = 0
        try:
            for key in self.stream.members():
                take = sections.get(key)
                if take is None:
                    self._stranger("", key)
                    strange += 1
                    if strange > _MAX_SECTIONS:
                        raise InputError(
                            f"{self.stream.place}: more than {_MAX_SECTIONS:,} sections are not known; no model has so many"
                        )
                for item in self.stream.items():
                    if take is not None:
                        self._attempt(take, item)
        except InputError as error:
            raise InputError([*self.problems, *error.problems]) from None
        if not self._is_excerpt():
            self.problems += self.absent[:MAX_LISTED]
        if self.problems:
            raise InputError(self.problems)
        if not self.cores:
            raise InputError(f"{self.stream.name} holds no cores; a model with the sections {_ORDER} was expected")

    def _attempt(self, take: Callable[[Any], None], item: Any) -> None:
        try:
            take(item)
        except InputError as error:
            self.problems += [f"{self.stream.place}: {problem}" for problem in error.problems]
        if len(self.problems) >= MAX_LISTED:
            raise InputError(f"{self.stream.place}: what follows was not checked")

    def _stranger(self, where: str, key: str) -> None:
        name = f"{where}.{key:.60}" if where else f"{key:.60}"
        if name in self.unknown or len(self.unknown) < _MAX_UNKNOWN:
            self.unknown[name] += 1
        else:
            self.unknown["(others)"] += 1

    def _take_head(self, item: Any) -> None:
        if not isinstance(item, dict) or self.head:
            raise InputError('the section "model" is given twice or is no object {...}; one was expected')
        for key in item.keys() - _MODEL_KEYS:
            self._stranger("model", key)
        self.head = {key: value for key, value in item.items() if key in _MODEL_KEYS}
        size = item.get("crossbarSize", self.arch.core.axons)
        neuron_class = item.get("neuronclass", item.get("neuronClass", "NeuronGeneral"))
        crossbar_class = item.get("crossbarclass", item.get("crossbarClass", "CrossbarBinary"))
        problems = []
        if "coreCount" in item and not 0 <= (whole(item["coreCount"]) or 0) < 2**32:
            problems.append(f"coreCount is {item['coreCount']!r:.20}; a whole number below 2^32 was expected")
        if size not in (self.arch.core.axons, self.arch.core.neurons):
            problems.append(f"crossbarSize is {size!r:.40}; {self.arch.name!r} has {self.arch.core.axons}")
        if neuron_class != "NeuronGeneral":
            problems.append(f"neuronclass is {neuron_class!r:.40}; only 'NeuronGeneral' is known")
        if crossbar_class != "CrossbarBinary":
            problems.append(f"crossbarclass is {crossbar_class!r:.40}; only 'CrossbarBinary' is known")
        if problems:
            raise InputError(problems)

    def _take_crossbar(self, item: Any) -> None:
        name = item.get("name") if isinstance(item, dict) else None
        if not isinstance(name, str) or len(name) > MAX_NAME:
            raise InputError(f"a crossbar type has the name {name!r:.40}; a short text was expected")
        if name in self.crossbars:
            raise InputError(f"crossbar type {name:.40} is given twice; names must differ")
        if len(self.crossbars) >= self.arch.n_cores:
            raise InputError(
                f"there are more than {self.arch.n_cores} crossbar types; {self.arch.name!r} has no more cores"
            )
        for key in item.keys() - {"name", "crossbar"}:
            self._stranger("crossbarTypes", key)
        body = item.get("crossbar")
        rows = body.get("rows") if isinstance(body, dict) else None
        for key in body.keys() - {"rows"} if isinstance(body, dict) else ():
            self._stranger("crossbarTypes.crossbar", key)
        self.crossbars[name] = parse_crossbar(f"crossbar type {name:.40}", rows, self.arch, self._stranger)

    def _is_excerpt(self) -> bool:
        """Whether the file says that it holds more cores than it does."""
        return (whole(self.head.get("coreCount")) or 0) > len(self.cores)

    def _find_crossbar(self, core: int, name: str) -> Crossbar:
        """A crossbar of the library; an empty one, and a fault unless the file is an excerpt, where it is absent."""
        if name in self.crossbars:
            return self.crossbars[name]
        hint = "" if self.crossbars else "; the section crossbarTypes must stand before the cores"
        self.absent.append(f"{self.stream.place}: core {core}: crossbar {name!r:.40} is not in crossbarTypes{hint}")
        return self.empty

    def _take_core(self, item: Any) -> None:
        entry = parse_core(item, self.types, self._find_crossbar, self.arch, self._stranger)
        if entry.core in self.cores:
            raise InputError(f"core {entry.core}: this id is given twice; ids must differ")
        self.cores[entry.core] = entry

    def chip(self, name: str) -> ChipConfig:
        """The chip, valid."""
        entries = [self.cores.pop(core) for core in sorted(self.cores)]
        self.n_cores = n = len(entries)
        n_neurons = self.arch.core.neurons
        arrays = blank_arrays(self.arch, n)
        used = np.stack([entry.kind for entry in entries]) >= 0
        removed = _fill_crossbars(arrays, entries, used)
        arrays["core"][:] = [entry.core for entry in entries]
        seeds = [DEFAULT_SEED if entry.seed is None else entry.seed for entry in entries]
        arrays["stream"][:] = [entry.core << 32 | seed for entry, seed in zip(entries, seeds, strict=True)]
        _fill_parameters(arrays, self.types.table(), np.stack([entry.kind for entry in entries]))
        outputs = _fill_destinations(arrays, entries, used)
        arrays["configured"][:] = used
        arrays["population"][:] = np.where(used, 0, -1)
        arrays["index"][:] = np.where(used, arrays["core"][:, None] * n_neurons + np.arange(n_neurons), -1)
        self._remark(entries, arrays, used, removed)
        populations = (Group("neurons", (int(arrays["core"][-1]) + 1, n_neurons)),)
        notes = [("made from", "a model file of IBM's Corelet Programming Environment")]
        if isinstance(key := self.head.get("buildKey64"), str):
            notes.append(("build key", f"{key:.80}"))
        chip = ChipConfig(
            self.arch, Cores(**arrays), outputs=outputs, populations=populations, name=name, notes=tuple(notes)
        )
        return chip.validate()

    def _remark(self, entries: list[CoreEntry], arrays: dict[str, Array], used: Array, removed: int) -> None:
        announced, n = whole(self.head.get("coreCount")), len(entries)
        if announced is not None and announced != n:
            self.remarks.append(f"the file announces {counted(announced, 'core')} and holds {n}")
        if self.absent:
            self.remarks.append(
                f"{acting(len(self.absent), 'core', 'has', 'have')} no synapses, because the file lacks the crossbar"
            )
        target = arrays["target_core"]
        absent = used & (target >= 0) & ~np.isin(target, arrays["core"])
        late = idle = 0
        for entry in entries:
            late += int(((entry.kind >= 0) & (entry.target <= FIRST_CONNECTOR) & (entry.delay != 1)).sum())
            idle += int(((entry.kind < 0) & (entry.target >= 0)).sum())
        unseeded = sum(entry.seed is None for entry in entries)
        for count, noun, verbs, text in (
            (
                int(absent.sum()),
                "neuron",
                ("sends", "send"),
                "spikes to cores that the file does not hold; they are lost",
            ),
            (
                late,
                "output",
                ("has", "have"),
                "a delay other than 1; a spike carries the tick in which its neuron fires",
            ),
            (idle, "unused neuron", ("of type 0 has", "of type 0 have"), "a destination, which has no effect"),
            (removed, "crossbar bit", ("is", "are"), "of unused neurons (type 0) and left out, without effect"),
            (unseeded, "core", ("has", "have"), f"no rngSeed; {DEFAULT_SEED} was taken"),
        ):
            if count:
                self.remarks.append(f"{acting(count, noun, *verbs)} {text}")

    def report(self) -> ModelReport:
        """What the reader of the chip should know; to be called after :meth:`chip`."""
        announced = whole(self.head.get("coreCount"))
        return ModelReport(announced, self.n_cores, tuple(sorted(self.unknown.items())), tuple(self.remarks))


def _fill_crossbars(arrays: dict[str, Array], entries: list[CoreEntry], used: Array) -> int:
    """Set crossbars and axon types, bits of unused neurons left out; returns their number."""
    words, removed = arrays["crossbar"], 0
    padded = np.zeros((used.shape[1] + 63) // 64 * 64, bool)
    for row, entry in enumerate(entries):
        padded[: used.shape[1]] = used[row]
        mask = np.packbits(padded, bitorder="little").view("<u8")
        np.bitwise_and(entry.crossbar.words, mask, out=words[row])
        if not padded[: used.shape[1]].all():
            removed += int(np.bitwise_count(entry.crossbar.words & ~mask).sum())
        arrays["axon_type"][row] = entry.crossbar.axon_type
    return removed


def _fill_parameters(arrays: dict[str, Array], table: Array, kind: Array) -> None:
    """Set the parameters of the neurons whose ``kind`` [n, N] is a row of the type table."""
    row, neuron = np.nonzero(kind >= 0)
    which = kind[row, neuron]
    for column, name in enumerate(COLUMNS):
        values = table[which, column]
        if name.startswith("weight"):
            arrays["weight"][row, int(name[-1]), neuron] = values
        elif name.startswith("stochastic"):
            arrays["weight_stochastic"][row, int(name[-1]), neuron] = values
        else:
            arrays[name][row, neuron] = values


def _fill_destinations(arrays: dict[str, Array], entries: list[CoreEntry], used: Array) -> tuple[Group, ...]:
    """Set targets and delays; returns the groups of output lines."""
    target = np.stack([entry.target for entry in entries])
    axon = np.stack([entry.axon for entry in entries])
    delay = np.stack([entry.delay for entry in entries])
    output, routed = used & (target <= FIRST_CONNECTOR), used & (target >= 0)
    pairs, line = np.unique(np.stack([-target[output], axon[output]]), axis=1, return_inverse=True)
    arrays["target_core"][:] = np.where(routed, target, np.where(output, OUTPUT, NOWHERE))
    arrays["target_axon"][:] = np.where(routed, axon, 0)
    arrays["target_axon"][output] = line.reshape(-1)
    arrays["delay"][:] = np.where(routed, delay, 0)
    return connector_groups(-pairs[0], pairs[1])
