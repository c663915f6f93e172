"""Translation validation: a finished chip is the network it came from, spike for spike.

Everything is derived from the chip itself, without any code of the passes that made it. Every axon is walked back through relays
to the input line or neuron that drives it; from that the network's synapses are rebuilt and compared, and with them parameters,
start values and outputs. If all of it agrees, neuron v of the network fires at tick t exactly when its image on the chip
fires at t + tau(v), for all inputs and all t (by induction over ticks; the six conditions are those of the project's design).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from neurocore import neuron as arithmetic
from neurocore.compiler.check import NEURON_ARRAYS, IntegerNetwork
from neurocore.config import OUTPUT, ChipConfig
from neurocore.errors import MismatchError

Array = npt.NDArray[Any]

MAX_LISTED = 12


@dataclass(frozen=True)
class Decoded:
    """A chip's synapses in terms of the network, one entry per set crossbar bit of an image.

    ``source`` as in IntegerNetwork; ``delay`` in network ticks; ``target`` the network's neuron; ``row``, ``axon`` and ``slot``
    say where on the chip. ``image`` [N, 2] is the (row, slot) of each neuron's first image.
    """

    source: Array
    target: Array
    delay: Array
    weight: Array
    stochastic: Array
    row: Array
    axon: Array
    slot: Array
    image: Array


def prove(network: IntegerNetwork, chip: ChipConfig) -> Decoded:
    """Check that the chip does what the network says. Raises MismatchError that lists what differs."""
    return _Prover(network, chip).run()


class _Prover:
    def __init__(self, network: IntegerNetwork, chip: ChipConfig) -> None:
        self.network, self.chip, self.cores = network, chip, chip.cores
        self.rows = chip.row_of()
        self.shape = self.cores.configured.shape
        self.n_axons = chip.architecture.core.axons
        self.problems: list[str] = []

    def run(self) -> Decoded:
        chip, network = self.chip, self.network
        if (chip.inputs, chip.outputs, chip.populations) != (network.inputs, network.outputs, network.populations):
            self.fail("the chip's inputs, outputs or populations are not those of the network")
        if len(chip.timing) != network.n_neurons or (len(chip.timing) and chip.timing.min() < 0):
            self.fail("the chip does not say when each neuron starts")
        self.stop_if_failed()
        self.bits = (
            np.stack([chip.crossbar_bits(row) for row in range(len(self.cores))])
            if len(self.cores)
            else (np.zeros((0, self.n_axons, self.shape[1]), bool))
        )
        self.which = self.neurons()
        self.relay = self.cores.configured & (self.cores.population < 0)
        self.check_relays()
        self.stop_if_failed()
        self.axon_source, self.axon_delay = self.resolve_axons()
        self.stop_if_failed()
        decoded = self.decode()
        self.compare_synapses(decoded)
        self.compare_neurons()
        self.check_outputs()
        self.stop_if_failed()
        return decoded

    def fail(self, text: str) -> None:
        self.problems.append(text)

    def stop_if_failed(self) -> None:
        if self.problems:
            hidden = len(self.problems) - MAX_LISTED
            more = [f"and {hidden} more differences"] if hidden > 0 else []
            raise MismatchError(self.problems[:MAX_LISTED] + more)

    def spot(self, row: int, slot: int) -> str:
        x, y = self.chip.architecture.core_xy(int(self.cores.core[row]))
        return f"core ({x}, {y}) neuron {slot}"

    def neurons(self) -> Array:
        """The network's neuron [n, N] that each neuron of the chip stands for; -1 for relays and unused ones."""
        offsets = self.network.offsets()
        population, index = self.cores.population, self.cores.index
        known = self.cores.configured & (population >= 0)
        sizes = np.diff(offsets)
        if (known & (population >= len(sizes))).any():
            self.fail("a neuron of the chip belongs to a population that the network does not have")
            self.stop_if_failed()
        size = np.where(known, np.append(sizes, 0)[population], 0)
        bad = known & ((index < 0) | (index >= size))
        if bad.any():
            self.fail(f"{self.spot(*np.argwhere(bad)[0])} has index {int(index[bad][0])}, beyond its population")
            self.stop_if_failed()
        which = np.where(known, offsets[np.maximum(population, 0)] + index, -1)
        images = np.bincount(which[known], minlength=self.network.n_neurons)
        for missing in np.flatnonzero(images == 0)[:3]:
            self.fail(f"{self.network.label(int(missing))} is not on the chip")
        return which

    def check_relays(self) -> None:
        """A relay fires exactly when its one axon is active: weight 1, threshold 1, nothing else."""
        cores = self.cores
        fan_in = self.bits.sum(axis=1)
        axon = np.argmax(self.bits, axis=1)
        row, slot = np.nonzero(self.relay)
        kind = cores.axon_type[row, axon[row, slot]]
        wrong = (
            (fan_in[row, slot] != 1)
            | (cores.weight[row, kind, slot] != 1)
            | cores.weight_stochastic[row, kind, slot]
            | (cores.threshold[row, slot] != 1)
            | (cores.threshold_mask_bits[row, slot] != 0)
            | (cores.leak[row, slot] != 0)
            | (cores.initial[row, slot] != 0)
            | (cores.floor[row, slot] < 0)
            | ~(
                ((cores.reset_mode[row, slot] == 0) & (cores.reset[row, slot] == 0))
                | (cores.reset_mode[row, slot] == 1)
            )
        )
        inclusive = self.chip.architecture.rules.floor_inclusive and (cores.floor[row, slot] == 0).any()
        for place in np.flatnonzero(wrong | inclusive)[:3]:
            self.fail(f"{self.spot(row[place], slot[place])} is a relay but does not just repeat one axon")

    def resolve_axons(self) -> tuple[Array, Array]:
        """Source and delay [n, A] of every axon that reaches a neuron, relays followed back; -1 where nothing drives it."""
        cores, entry = self.cores, self.chip.input_map
        used = self.bits.any(axis=2)
        drivers = np.zeros(used.shape, np.int64)
        source = np.full(used.shape, -1, np.int64)
        delay = np.zeros(used.shape, np.int64)
        np.add.at(drivers, (self.rows[entry.core], entry.axon), 1)
        source[self.rows[entry.core], entry.axon] = entry.line
        delay[self.rows[entry.core], entry.axon] = entry.delay
        row, slot = np.nonzero(cores.configured & (cores.target_core >= 0))
        to_row, to_axon = self.rows[cores.target_core[row, slot]], cores.target_axon[row, slot]
        if (to_row < 0).any():
            self.fail(f"{self.spot(row[to_row < 0][0], slot[to_row < 0][0])} sends to a core that is not configured")
            self.stop_if_failed()
        np.add.at(drivers, (to_row, to_axon), 1)
        for place in np.argwhere((drivers > 1) & used)[:3]:
            self.fail(
                f"axon {place[1]} of core {int(cores.core[place[0]])} has {drivers[tuple(place)]} sources; one was expected"
            )
        direct = self.which[row, slot] >= 0
        source[to_row[direct], to_axon[direct]] = self.network.n_inputs + self.which[row, slot][direct]
        delay[to_row[direct], to_axon[direct]] = cores.delay[row, slot][direct]
        self.follow_relays(source, delay, row[~direct], slot[~direct], to_row[~direct], to_axon[~direct])
        return source, delay

    def follow_relays(
        self, source: Array, delay: Array, row: Array, slot: Array, to_row: Array, to_axon: Array
    ) -> None:
        """Fill in axons that relays drive, level by level."""
        axon = np.argmax(self.bits, axis=1)[row, slot]
        open_ = np.ones(len(row), bool)
        while open_.any():
            ready = open_ & (source[row, axon] >= 0)
            if not ready.any():
                return
            source[to_row[ready], to_axon[ready]] = source[row[ready], axon[ready]]
            delay[to_row[ready], to_axon[ready]] = (
                delay[row[ready], axon[ready]] + self.cores.delay[row[ready], slot[ready]]
            )
            open_ &= ~ready

    def begun(self, source: Array) -> Array:
        """Start shift of sources; inputs, and axons without a source, are on time."""
        inner = source - self.network.n_inputs
        return np.where(inner >= 0, np.append(self.chip.timing, 0)[np.maximum(inner, 0)], 0)

    def decode(self) -> Decoded:
        """The synapses of all images."""
        cores, network = self.cores, self.network
        row, axon, slot = np.nonzero(self.bits & (self.which >= 0)[:, None, :])
        source = self.axon_source[row, axon]
        silent = source < 0
        kind = cores.axon_type[row, axon]
        weight = cores.weight[row, kind, slot].astype(np.int64)
        # An axon that nothing drives is never active and adds nothing.
        keep = ~silent & (weight != 0)
        row, axon, slot, source, weight = (part[keep] for part in (row, axon, slot, source, weight))
        target = self.which[row, slot]
        shift = self.chip.timing
        delay = self.axon_delay[row, axon] - shift[target] + self.begun(source)
        stochastic = cores.weight_stochastic[row, kind[keep], slot]
        image = np.zeros((network.n_neurons, 2), np.int64)
        place = np.argwhere(self.which >= 0)[::-1]
        image[self.which[place[:, 0], place[:, 1]]] = place
        return Decoded(source, target, delay, weight, stochastic, row, axon, slot, image)

    def compare_synapses(self, found: Decoded) -> None:
        """The synapses of every image, summed over axons, are those of the network's neuron."""
        network = self.network
        images = np.argwhere(self.which >= 0)
        number = np.full(self.shape, -1, np.int64)
        number[images[:, 0], images[:, 1]] = np.arange(len(images))
        mine = number[found.row, found.slot]
        have = _summed(mine, found.source, found.delay, found.weight, found.stochastic)
        first = np.searchsorted(network.target, np.arange(network.n_neurons + 1))
        stands_for = self.which[images[:, 0], images[:, 1]]
        count = (first[1:] - first[:-1])[stands_for]
        ends = np.cumsum(count)
        entry = np.arange(int(count.sum())) - np.repeat(ends - count - first[stands_for], count)
        image = np.repeat(np.arange(len(images)), count)
        want = _summed(
            image, network.source[entry], network.delay[entry], network.weight[entry], network.stochastic[entry]
        )
        if have.shape == want.shape and (have == want).all():
            return
        rows = min(len(have), len(want))
        differs = (have[:rows] != want[:rows]).any(axis=1)
        place = int(np.argmax(differs)) if differs.any() else rows
        sides = [side[place] for side in (have, want) if place < len(side)]
        side = min(sides, key=lambda item: tuple(item[:3]))
        neuron = int(stands_for[side[0]])
        self.fail(
            f"{network.label(neuron)} <- {network.source_label(int(side[1]))}: the weight at delay {int(side[2])} is"
            f" {_weight_at(want, side)} in the network and {_weight_at(have, side)} on the chip"
            f" ({self.spot(*images[side[0]])})"
        )

    def compare_neurons(self) -> None:
        """Parameters are copied, idling leads each image to V(0) at its time 0, and random neurons have one image."""
        row, slot = np.nonzero(self.which >= 0)
        neuron = self.which[row, slot]
        for name in NEURON_ARRAYS:
            if name == "initial":
                continue
            have = getattr(self.cores, name)[row, slot].astype(np.int64)
            wrong = have != self.network.neuron[name][neuron]
            if wrong.any():
                place = int(np.argmax(wrong))
                self.fail(
                    f"{self.network.label(int(neuron[place]))}: {name} is {int(self.network.neuron[name][neuron[place]])} in the"
                    f" network and {int(have[place])} on the chip ({self.spot(row[place], slot[place])})"
                )
        self.check_starts(row, slot, neuron)
        values = self.network.neuron
        random = ((values["leak_stochastic"] != 0) & (values["leak"] != 0)) | (values["threshold_mask_bits"] != 0)
        random[self.network.target[self.network.stochastic]] = True
        images = np.bincount(neuron, minlength=self.network.n_neurons)
        for twice in np.flatnonzero(random & (images > 1))[:3]:
            self.fail(
                f"{self.network.label(int(twice))} draws random numbers and has {images[twice]} images that would differ"
            )

    def check_starts(self, row: Array, slot: Array, neuron: Array) -> None:
        """Idle every image for its start shift; it must not fire, and must end at V(0)."""
        arch, values = self.chip.architecture, {name: part[neuron] for name, part in self.network.neuron.items()}
        shift = self.chip.timing[neuron]
        membrane = self.cores.initial[row, slot].astype(np.int32)
        moves = (values["leak_stochastic"] != 0) & (values["leak"] != 0) & (shift > 0)
        bad = moves.copy()
        for tick in range(int(shift.max(initial=0))):
            idle = tick < shift
            leaked = arithmetic.leaked(
                membrane, values["leak"].astype(np.int32), values["leak_reversal"] != 0, arch.rules
            )
            after, fired = arithmetic.fired_and_reset(
                leaked,
                threshold=values["threshold"],
                floor=values["floor"],
                random=np.zeros(len(leaked), np.int32),
                reset=values["reset"],
                reset_mode=values["reset_mode"],
                floor_mode=values["floor_mode"],
                architecture=arch,
            )
            bad |= idle & (fired | ((values["threshold_mask_bits"] != 0) & (after != leaked)))
            still = not (idle & (after != membrane)).any()
            membrane = np.where(idle, after, membrane)
            if still:
                break
        bad |= membrane != values["initial"]
        for place in np.flatnonzero(bad)[:3]:
            self.fail(
                f"{self.network.label(int(neuron[place]))}: V(0) is {int(values['initial'][place])} in the network, but its image"
                f" on the chip starts at {int(self.cores.initial[row[place], slot[place]])} and idles {int(shift[place])} ticks"
            )

    def check_outputs(self) -> None:
        """Every output line is driven by the right neuron, T ticks late, and by nothing else."""
        cores, network = self.cores, self.network
        row, slot = np.nonzero(cores.configured & (cores.target_core == OUTPUT))
        line = cores.target_axon[row, slot]
        n_lines = len(network.output_neuron)
        count = np.bincount(line, minlength=n_lines)
        for wrong in np.flatnonzero(count != 1)[:3]:
            self.fail(f"output line {wrong} is driven by {count[wrong]} neurons; one was expected")
        if (count != 1).any():
            return
        direct = self.which[row, slot] >= 0
        axon = np.argmax(self.bits, axis=1)[row, slot]
        source = np.where(direct, network.n_inputs + self.which[row, slot], self.axon_source[row, axon])
        delay = np.where(direct, 0, self.axon_delay[row, axon])
        late = delay + self.begun(source)
        wanted = network.n_inputs + network.output_neuron[line]
        for place in np.flatnonzero((source != wanted) | (late != self.chip.latency))[:3]:
            self.fail(
                f"output line {int(line[place])} should show {network.source_label(int(wanted[place]))} {self.chip.latency} ticks"
                f" late; it shows {network.source_label(int(source[place])) if source[place] >= 0 else 'nothing'}"
                f" {int(late[place])} ticks late"
            )


def _summed(image: Array, source: Array, delay: Array, weight: Array, stochastic: Array) -> Array:
    """Rows (image, source, delay, weight, stochastic), sorted, equal keys added up; random weights are not added."""
    order = np.lexsort((stochastic, delay, source, image))
    table = np.stack([image, source, delay, weight, stochastic.astype(np.int64)], axis=1)[order]
    if not len(table):
        return table
    new = np.ones(len(table), bool)
    new[1:] = (table[1:, [0, 1, 2, 4]] != table[:-1, [0, 1, 2, 4]]).any(axis=1) | (table[1:, 4] == 1)
    start = np.flatnonzero(new)
    total = np.add.reduceat(table[:, 3], start)
    result = table[start]
    result[:, 3] = total
    return np.asarray(result[total != 0])


def _weight_at(table: Array, key: Array) -> str:
    """The weight of a row's (image, source, delay) in a table, as shown in messages."""
    same = (table[:, :3] == key[:3]).all(axis=1)
    shown = [f"{int(row[3])}{' (stochastic)' if row[4] else ''}" for row in table[same]]
    return " and ".join(shown) or "none"
