"""Placements that are given: in a file that is easy to edit by hand, or by an earlier chip whose cores keep their places.

A placement file (YAML or JSON) names the site of every core by the core's number; a chip file tells by what its cores hold which
of them a network still has.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from neurocore.architecture import Architecture
from neurocore.compiler.partition import runs_text
from neurocore.compiler.place import Placement
from neurocore.config import OUTPUT, ChipConfig
from neurocore.errors import InputError
from neurocore.wording import acting, counted
from neurocore.yamlfile import Document, read_yaml, stranger

Array = npt.NDArray[Any]

SUFFIXES = (".yaml", ".yml", ".json")
"""Names of placement files end so; all others are chip files."""
KEYS = ("placement", "chip", "rest", "cores")
CORE_KEYS = ("core", "at", "holds")
MOST_LISTED = 20
RELAYS = "relays "
"""What a core with relays alone holds begins so."""


@dataclass(frozen=True)
class Site:
    """A line of a placement file: core, column, row, what the core held (if said), and the entry's number in the file."""

    core: int
    x: int
    y: int
    holds: str | None
    entry: int


@dataclass(frozen=True)
class GivenPlacement:
    """The sites of a placement file; with ``partial`` the compiler places the cores that it does not name."""

    document: Document
    sites: tuple[Site, ...]
    partial: bool

    def for_contents(self, contents: Sequence[str]) -> GivenPlacement:
        """The same with cores that held relays alone under the numbers of those that hold the same now, or left out."""
        cores = defaultdict(list)
        for core in reversed(range(len(contents))):
            cores[contents[core]].append(core)
        sites = []
        for site in self.sites:
            if not (site.holds or "").startswith(RELAYS):
                sites.append(site)
            elif cores[str(site.holds)]:
                sites.append(replace(site, core=cores[str(site.holds)].pop()))
        return replace(self, sites=tuple(sites))

    def pins(self, n_cores: int) -> Array:
        """Site [n_cores, 2] of every core, -1 for those not named."""
        pins = np.full((n_cores, 2), -1)
        for site in self.sites:
            if site.core < n_cores:
                pins[site.core] = site.x, site.y
        return pins

    def site_problems(self, arch: Architecture, dead: npt.NDArray[np.bool_]) -> list[str]:
        """Cores and sites named twice, sites outside the mesh, dead [rows, columns] sites."""
        problems = []
        cores: dict[int, int] = {}
        taken: dict[tuple[int, int], int] = {}
        for site in self.sites:
            at = (site.x, site.y)
            if site.core in cores:
                problems.append(
                    self._complain(site, f"core {site.core} is named twice, first at {self._line(cores[site.core])}")
                )
            elif not (0 <= site.x < arch.columns and 0 <= site.y < arch.rows):
                size = f"{arch.columns} x {arch.rows} cores of {arch.name!r}"
                problems.append(self._complain(site, f"core {site.core} lies at {at}, outside the {size}"))
            elif dead[site.y, site.x]:
                problems.append(
                    self._complain(site, f"core {site.core} lies at {at}, which is dead; give it another place")
                )
            elif at in taken:
                problems.append(self._complain(site, f"core {site.core} lies at {at}, where core {taken[at]} is"))
            cores.setdefault(site.core, site.entry)
            taken.setdefault(at, site.core)
        return problems

    def core_problems(self, contents: Sequence[str], name: str, n_named: int) -> list[str]:
        """Cores that the network does not have, does not find here, or that hold something else than the file says.

        The first ``n_named`` cores must be here.
        """
        n = len(contents)
        problems = []
        for site in self.sites:
            if site.core >= n:
                problems.append(
                    self._complain(site, f"core {site.core} is one more than network {name!r} has: 0..{n - 1}")
                )
            elif site.holds not in (None, contents[site.core]):
                held = f"core {site.core} holds {contents[site.core]!r} now, not {site.holds!r}"
                problems.append(self._complain(site, f"{held}; check its place and correct or delete 'holds'"))
        missing = sorted(set(range(n_named)) - {site.core for site in self.sites})
        if missing and not self.partial:
            shown = ", ".join(map(str, missing[:MOST_LISTED])) + (" ..." if len(missing) > MOST_LISTED else "")
            without = f"{acting(len(missing), 'core', 'has', 'have')} no place here: {shown}"
            text = f"network {name!r} needs {counted(n, 'core')}; {without}"
            problems.append(self.document.complain(("cores",), f"{text}; name them, or say 'rest: place'"))
        return problems

    def _line(self, entry: int) -> str:
        return "line {}".format(self.document.place(("cores", entry))[0])

    def _complain(self, site: Site, reason: str) -> str:
        return self.document.complain(("cores", site.entry), reason)


def load_placement(path: str | Path) -> GivenPlacement:
    """Read a placement file. Raises InputError that lists every fault as ``file:line:column: entry: reason``."""
    document = read_yaml(path)
    data, problems = document.data, []
    problems += [document.complain((key,), stranger(key, KEYS)) for key in data if key not in KEYS]
    if data.get("rest") not in (None, "place"):
        problems.append(document.complain(("rest",), f"is {data['rest']!r}; 'place' is all that it can say"))
    entries = data.get("cores")
    if not isinstance(entries, list):
        problems.append(document.complain(("cores",), "must be a list of {core: number, at: [x, y]}"))
        entries = []
    sites = []
    for number, entry in enumerate(entries):
        fault = _fault(entry)
        if fault:
            problems.append(document.complain(("cores", number), fault))
        else:
            x, y = entry["at"]
            sites.append(Site(entry["core"], x, y, entry.get("holds"), number))
    if problems:
        raise InputError(problems)
    return GivenPlacement(document, tuple(sites), data.get("rest") == "place")


def _fault(entry: Any) -> str:
    """What is wrong with an entry of a placement file."""
    if not isinstance(entry, dict) or not {"core", "at"} <= set(entry):
        return f"is {entry!r}; {{core: number, at: [x, y]}} was expected"
    if extra := [key for key in entry if key not in CORE_KEYS]:
        return f"{extra[0]!r} {stranger(extra[0], CORE_KEYS)}"
    if type(entry["core"]) is not int or entry["core"] < 0:
        return f"core is {entry['core']!r}; a number from 0 on was expected"
    at = entry["at"]
    if not isinstance(at, list) or len(at) != 2 or any(type(value) is not int for value in at):
        return f"at is {at!r}; [x, y] was expected"
    return "" if isinstance(entry.get("holds"), str | None) else f"holds is {entry['holds']!r}; a text was expected"


def placement_text(placement: Placement, contents: Sequence[str], name: str, arch: Architecture, as_json: bool) -> str:
    """The content of a placement file: a core a line, in the order of their numbers."""
    entries = [
        {"core": core, "at": [int(placement.x[core]), int(placement.y[core])], "holds": text}
        for core, text in enumerate(contents)
    ]
    head = {"placement": name, "chip": arch.name}
    if as_json:
        lines = ",\n".join(f"    {json.dumps(entry)}" for entry in entries)
        return "{" + json.dumps(head)[1:-1] + ',\n  "cores": [\n' + lines + "\n  ]\n}\n"
    lines = "\n".join(
        f"  - {{core: {core}, at: [{placement.x[core]}, {placement.y[core]}], holds: {json.dumps(text)}}}"
        for core, text in enumerate(contents)
    )
    titles = "".join(f"{key}: {json.dumps(value)}\n" for key, value in head.items())
    return (
        "# Column and row of every core. 'holds' is checked and may be left out; 'rest: place' has the compiler place the"
        f" cores\n# that are not named.\n{titles}cores:\n{lines}\n"
    )


# ---------------------------------------------------------------- what cores hold


def chip_contents(chip: ChipConfig) -> list[str]:
    """What every core of a chip holds, in the order of its rows."""
    rows = chip.row_of()
    target = chip.cores.target_core
    return contents(vars(chip.cores), np.where(target >= 0, rows[np.maximum(target, 0)], target), chip.populations)


def contents(arrays: Mapping[str, Array], target: Array, populations: Sequence[Any]) -> list[str]:
    """What every core [n] holds: ``name[0..99]`` for each population, or a digest of where its relays send to.

    ``arrays`` are those of :class:`neurocore.config.Cores`; ``target`` [n, N] are target cores as rows of them.
    """
    names = [group.name for group in populations]
    held = [_held(arrays["population"][row], arrays["index"][row], names) for row in range(len(target))]
    return [text or _relayed(target[row, arrays["configured"][row]], held) for row, text in enumerate(held)]


def _held(population: Array, index: Array, names: Sequence[str]) -> str:
    """The slices of populations in a core; nothing if it has relays alone."""
    parts = [
        f"{names[number]}{runs_text(np.unique(index[population == number]))}"
        for number in np.unique(population[population >= 0])
    ]
    return " ".join(parts)


def _relayed(target: Array, known: Sequence[str]) -> str:
    """A core of relays, told apart by the cores that they send to."""
    count = Counter("output" if row == OUTPUT else known[row] for row in target[target != -1].tolist())
    digest = hashlib.sha256(json.dumps(sorted(count.items())).encode()).hexdigest()
    return f"{RELAYS}{digest[:12]}"


def kept_pins(prior: ChipConfig, now: Sequence[str], usable: Callable[[int, int, int], bool]) -> Array:
    """Sites [n, 2] of the cores that a chip had already, -1 for new ones and for those whose site is not ``usable`` any more.

    ``usable`` is asked with a core's number and its x and y. Of cores that hold the same the first gets the place of the first.
    """
    places = defaultdict(list)
    held = chip_contents(prior)
    for row in np.argsort(prior.cores.stream, kind="stable")[::-1].tolist():
        places[held[row]].append(row)
    pins = np.full((len(now), 2), -1)
    for core, text in enumerate(now):
        if places[text]:
            x, y = prior.architecture.core_xy(int(prior.cores.core[places[text].pop()]))
            if usable(core, x, y):
                pins[core] = x, y
    return pins
