"""The proof refuses every single change of a finished chip that alters a spike.

What alters a spike is decided without the proof: the network runs in the reference simulator and the chip in the oracle, and
every image of every neuron is compared in every tick. What the proof accepts must besides have a reason to be harmless, found
by looking at the place of the change (:mod:`harmless`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import pytest

from corruptions import CORE_FIELDS, FIELDS, INPUT_FIELDS, Corruption, corrupt
from harmless import why_harmless
from neurocore.architecture import Architecture, load_architecture
from neurocore.compiler.check import IntegerNetwork, check, random_neurons
from neurocore.compiler.network import Network
from neurocore.compiler.pipeline import compile_network
from neurocore.compiler.prove import prove
from neurocore.compiler.reference import Places
from neurocore.config import OUTPUT, ChipConfig
from neurocore.errors import FitError, InputError, MismatchError
from random_networks import KINDS, larger, network_of
from replay import Replay, rich_spikes

PART = 25
"""Ticks of each of the five parts of the input."""
NEVER_REFUSED = {"name", "notes", "seed"}
"""Fields that no proof depends on."""
REMARKS = {"name", "notes"}
"""Fields that no engine sees."""
LONGEST_REPLAY = 1000
"""Start shifts beyond this are not waited for."""


@dataclass(frozen=True)
class Subject:
    """A network, the chip that it was compiled to, and input for both."""

    flat: IntegerNetwork
    chip: ChipConfig
    replay: Replay

    @staticmethod
    def of(net: Network, arch: Architecture, seed: int) -> Subject:
        """Compile a network. Raises FitError if it does not fit."""
        chip = compile_network(net, arch)
        flat = check(net, arch)
        spikes = rich_spikes(flat.n_inputs, seed, PART)
        places = Places.of(flat, chip, prove(flat, chip), chip.seed)
        return Subject(flat, chip, Replay.of(flat, arch, spikes, 5 * PART, places))

    def replay_of(self, chip: ChipConfig) -> Replay:
        """What the network does if it draws its random numbers where an accepted chip draws them."""
        same = chip.seed == self.chip.seed and (chip.cores.stream == self.chip.cores.stream).all()
        if same or not random_neurons(self.flat).any():
            return self.replay
        places = Places.of(self.flat, chip, prove(self.flat, chip), chip.seed)
        return Replay.of(self.flat, chip.architecture, self.replay.spikes, 5 * PART, places)


@dataclass
class Tally:
    """What became of the corruptions: by field, and why those that were accepted are harmless."""

    refused: Counter[str] = field(default_factory=Counter)
    invalid: Counter[str] = field(default_factory=Counter)
    accepted: Counter[tuple[str, str]] = field(default_factory=Counter)
    replayed: int = 0
    noticed: int = 0
    traits: Counter[str] = field(default_factory=Counter)

    @property
    def tried(self) -> int:
        """Corruptions that are valid chips, so that only the proof stands in their way."""
        return self.refused.total() + self.accepted.total()

    def attack(self, subject: Subject, rng: np.random.Generator, per_field: int) -> None:
        """Corrupt every field of a chip some times."""
        assert subject.replay.difference(subject.flat, subject.chip) is None
        self.traits.update(traits_of(subject.chip))
        for name in FIELDS:
            for _ in range(per_field):
                change = corrupt(subject.chip, name, rng)
                if change is not None:
                    self.judge(subject, change)

    def judge(self, subject: Subject, change: Corruption) -> None:
        """Try one corruption; AssertionError if the proof accepts what it should not."""
        try:
            change.chip.validate()
        except InputError:
            self.invalid[change.field] += 1
            return
        try:
            prove(subject.flat, change.chip)
        except MismatchError:
            self.refused[change.field] += 1
            self.count_noticed(subject, change)
            return
        reason = why_harmless(subject.flat, subject.chip, change)
        assert reason is not None, f"accepted without a reason: {change}"
        self.accepted[change.field, reason] += 1
        if change.field not in REMARKS and change.chip.timing.max(initial=0) <= LONGEST_REPLAY:
            difference = subject.replay_of(change.chip).difference(subject.flat, change.chip)
            assert difference is None, f"accepted, but it shows at {difference}: {change}"

    def count_noticed(self, subject: Subject, change: Corruption) -> None:
        """Every fourth corruption that was refused is replayed as well, which shows that many of them do harm."""
        comparable = change.field in (*CORE_FIELDS, *INPUT_FIELDS)
        if comparable and self.refused.total() % 4 == 0 and change.chip.timing.max(initial=0) <= LONGEST_REPLAY:
            self.replayed += 1
            self.noticed += subject.replay.difference(subject.flat, change.chip) is not None


def traits_of(chip: ChipConfig) -> set[str]:
    """What the compiler did to make a chip, read off the chip."""
    cores, arch, rows = chip.cores, chip.architecture, chip.row_of()
    row, slot = np.nonzero(cores.configured & (cores.target_core >= 0))
    to_row, to_axon = rows[cores.target_core[row, slot]], cores.target_axon[row, slot]
    relay = cores.configured & (cores.population < 0)
    image = np.stack([cores.population, cores.index])[:, cores.configured & ~relay]
    drivers = np.zeros(cores.axon_type.shape, np.int64)
    np.add.at(drivers, (np.append(to_row, rows[chip.input_map.core]), np.append(to_axon, chip.input_map.axon)), 1)
    readers = np.bitwise_count(cores.crossbar).sum(axis=2)
    fed_by_relay = np.zeros(cores.axon_type.shape, bool)
    from_relay = relay[row, slot]
    fed_by_relay[to_row[from_relay], to_axon[from_relay]] = True
    relay_row, relay_slot = np.nonzero(relay)
    relay_axon = [int(chip.crossbar_bits(r)[:, s].argmax()) for r, s in zip(relay_row, relay_slot, strict=True)]
    chips = (arch.mesh.columns, arch.mesh.rows)
    x, y = cores.core % arch.columns // chips[0], cores.core // arch.columns // chips[1]
    entries = np.stack([rows[chip.input_map.core], chip.input_map.line, chip.input_map.delay])
    known = {
        "copies": np.unique(image, axis=1).shape[1] < image.shape[1],
        "relays": relay.any(),
        "relays of relays": fed_by_relay[relay_row, relay_axon].any(),
        "codes": np.unique(entries, axis=1).shape[1] < entries.shape[1],
        "shared axons": (readers > 1).any(),
        "unions": (drivers > 1).any(),
        "long delays": chip.input_map.delay.max(initial=0) > arch.routing.delay.max,
        "late starts": chip.timing.any(),
        "random weights": (cores.weight_stochastic & (cores.weight != 0)).any(),
        "random leaks": (cores.leak_stochastic & (cores.leak != 0)).any(),
        "random thresholds": cores.threshold_mask_bits.any(),
        "chip edges": ((x[row] != x[to_row]) | (y[row] != y[to_row])).any(),
        "several inputs": len(chip.inputs) > 1,
        "several outputs": len(chip.outputs) > 1,
        "no outputs": not chip.outputs,
        "relayed outputs": (relay & (cores.target_core == OUTPUT)).any(),
    }
    return {name for name, has in known.items() if has}


LEAST = dict.fromkeys(("codes", "random weights", "random leaks", "no outputs", "chip edges"), 0.03)
LEAST |= dict.fromkeys(
    ("unions", "long delays", "late starts", "several inputs", "relayed outputs", "random thresholds"), 0.1
)
LEAST |= {"copies": 0.2, "several outputs": 0.2, "relays": 0.4, "relays of relays": 0.1, "shared axons": 0.8}
"""What part of the chips must have each trait."""


def subjects(n: int, names: tuple[str, ...], first: int) -> Iterator[tuple[int, Subject]]:
    """``n`` chips of networks of all kinds, on the named targets in turn."""
    tiny = load_architecture("tiny")
    known = {
        "tiny": tiny,
        "wide": larger(tiny, 9, 7),
        "board": larger(tiny, 2, 2, (4, 4)),
        "truenorth": load_architecture("truenorth"),
    }
    seed, found, kinds = first, 0, [kind for kind in KINDS if kind != "wide"]
    while found < n:
        arch, seed = known[names[seed % len(names)]], seed + 1
        net = network_of(kinds[seed % len(kinds)], arch, seed, random_parts=seed % 2 == 0)
        try:
            subject = Subject.of(net, arch, seed)
        except FitError:
            continue
        found += 1
        yield seed, subject


def attack_all(n: int, names: tuple[str, ...], per_field: int, first: int = 0) -> Tally:
    tally = Tally()
    for seed, subject in subjects(n, names, first):
        tally.attack(subject, np.random.default_rng(seed), per_field)
    return tally


def test_every_field_of_some_chips() -> None:
    tally = attack_all(8, ("tiny", "board"), per_field=2)
    assert tally.tried > 330
    assert tally.refused.total() > 230
    assert tally.noticed > 15


@pytest.mark.slow
def test_thousands_of_corruptions() -> None:
    """At least 2,000 corruptions of at least 50 chips, of every field that a chip has."""
    n = 60
    tally = attack_all(n, ("tiny", "board", "wide", "tiny", "board", "truenorth"), per_field=2, first=100)
    assert tally.tried > 2500
    assert tally.refused.total() > 1800
    assert tally.noticed > 0.2 * tally.replayed > 40
    lacking = {name for name in FIELDS if not tally.refused[name]}
    assert lacking == NEVER_REFUSED
    few = {name: tally.traits[name] for name, share in LEAST.items() if tally.traits[name] < share * n}
    assert not few
