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
    """Where a network is on a chip.

    ``image`` [N, 2] is the (row, slot) of each neuron's first image. The other arrays describe the synapses with random weights,
    one entry per set crossbar bit of any image: ``source`` as in IntegerNetwork, ``target``, ``delay`` in network ticks, and the
    ``row``, ``axon`` and ``slot`` on the chip.
    """

    image: Array
    source: Array
    target: Array
    delay: Array
    row: Array
    axon: Array
    slot: Array


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
        self.which = self.neurons()
        self.relay = self.cores.configured & (self.cores.population < 0)
        self.scan_crossbars()
        self.check_relays()
        self.stop_if_failed()
        self.axon_source, self.axon_delay = self.resolve_axons()
        self.stop_if_failed()
        decoded = self.compare_synapses()
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

    def scan_crossbars(self) -> None:
        """Which axons [n, A] reach a neuron; how many axons reach each neuron [n, N], and the first of them."""
        self.used = np.zeros((len(self.cores), self.n_axons), bool)
        self.fan_in, self.first_axon = np.zeros(self.shape, np.int64), np.zeros(self.shape, np.int64)
        for row in range(len(self.cores)):
            bits = self.chip.crossbar_bits(row)
            self.used[row] = bits.any(axis=1)
            self.fan_in[row], self.first_axon[row] = bits.sum(axis=0), bits.argmax(axis=0)

    def check_relays(self) -> None:
        """A relay fires exactly when its one axon is active: weight 1, threshold 1, nothing else."""
        cores, fan_in, axon = self.cores, self.fan_in, self.first_axon
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
        """Source and delay [n, A] of every axon that reaches a neuron, relays followed back; -1 where nothing drives it.

        An axon with several drivers stands for the union of their sources, if the network has it.
        """
        cores, entry = self.cores, self.chip.input_map
        used = self.used
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
        self.shared = (drivers > 1) & used
        direct = self.which[row, slot] >= 0
        source[to_row[direct], to_axon[direct]] = self.network.n_inputs + self.which[row, slot][direct]
        delay[to_row[direct], to_axon[direct]] = cores.delay[row, slot][direct]
        # No relay is believed to read a shared axon: what drives that is known only in the end.
        source[self.shared] = -1
        self.follow_relays(source, delay, row[~direct], slot[~direct], to_row[~direct], to_axon[~direct])
        if self.shared.any():
            self.resolve_unions(source, delay, row, slot, to_row, to_axon)
        return source, delay

    def resolve_unions(
        self, source: Array, delay: Array, row: Array, slot: Array, to_row: Array, to_axon: Array
    ) -> None:
        """Fill in shared axons: their drivers must be all members of a union of the network, each once and on time for it."""
        network, entry = self.network, self.chip.input_map
        axon, relay = self.first_axon[row, slot], self.which[row, slot] < 0
        driver = np.where(relay, source[row, axon], network.n_inputs + self.which[row, slot])
        late = self.cores.delay[row, slot] + np.where(relay, delay[row, axon] + self.begun(driver), self.begun(driver))
        n = self.used.shape[1]
        place = np.concatenate([self.rows[entry.core] * n + entry.axon, to_row * n + to_axon])
        driver, late = np.concatenate([entry.line, driver]), np.concatenate([entry.delay, late])
        order = np.argsort(place, kind="stable")
        order = order[self.shared.reshape(-1)[place[order]]]
        unions = {network.unions.members(number).tobytes(): number for number in range(len(network.unions))}
        for mine in np.split(order, np.flatnonzero(np.diff(place[order])) + 1):
            at = divmod(int(place[mine[0]]), n)
            union = unions.get(np.sort(driver[mine]).astype(np.int64).tobytes())
            if union is None or (late[mine] != late[mine[0]]).any():
                self.fail(
                    f"axon {at[1]} of core {int(self.cores.core[at[0]])} has {len(mine)} sources; one was expected"
                    + (" or those of a union, on time for it" if unions else "")
                )
            else:
                source[at], delay[at] = network.unions.first + union, late[mine[0]]

    def follow_relays(
        self, source: Array, delay: Array, row: Array, slot: Array, to_row: Array, to_axon: Array
    ) -> None:
        """Fill in axons that relays drive, level by level."""
        axon = self.first_axon[row, slot]
        open_ = np.ones(len(row), bool)
        while open_.any():
            ready = open_ & (source[row, axon] >= 0)
            if not ready.any():
                return
            alone = ready & ~self.shared[to_row, to_axon]
            source[to_row[alone], to_axon[alone]] = source[row[alone], axon[alone]]
            delay[to_row[alone], to_axon[alone]] = (
                delay[row[alone], axon[alone]] + self.cores.delay[row[alone], slot[alone]]
            )
            open_ &= ~ready

    def begun(self, source: Array) -> Array:
        """Start shift of sources; inputs, unions, and axons without a source, are on time."""
        inner = source - self.network.n_inputs
        known = (inner >= 0) & (inner < len(self.chip.timing))
        return np.where(known, np.append(self.chip.timing, 0)[np.where(known, inner, 0)], 0)

    def compare_synapses(self) -> Decoded:
        """The synapses of every image, summed over axons, are those of the network's neuron; core by core."""
        network, shift = self.network, self.chip.timing
        arrival = np.where(self.axon_source >= 0, self.axon_delay + self.begun(self.axon_source), 0)
        latest = int(network.delay.max(initial=0)) + int(shift.max(initial=0))
        self.span = max(latest, int(arrival.max(initial=0))) + 1
        signal = np.where(self.axon_source >= 0, self.axon_source * self.span + arrival, -1)
        random = [np.zeros((0, 6), np.int64)]
        for row in range(len(self.cores)):
            core = _CoreSynapses(self, row, signal[row])
            wrong = core.first_difference()
            if wrong is not None:
                self.fail(wrong)
                break
            random.append(core.random_synapses())
        image = np.zeros((network.n_neurons, 2), np.int64)
        place = np.argwhere(self.which >= 0)[::-1]
        image[self.which[place[:, 0], place[:, 1]]] = place
        return Decoded(image, *np.concatenate(random).T)

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
        axon = self.first_axon[row, slot]
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


class _CoreSynapses:
    """The synapses of one core's images, on the chip and in the network, as matrices [signals, images].

    A signal is a source and the chip's delay from the source's time 0 to its arrival, as source * span + delay. ``signal``
    [A] is that of every axon; an axon that nothing drives, -1, is never active and adds nothing.
    """

    def __init__(self, prover: _Prover, row: int, signal: Array) -> None:
        self.prover, self.row, cores = prover, row, prover.cores
        self.slots = np.flatnonzero(prover.which[row] >= 0)
        self.neurons = prover.which[row, self.slots]
        driven = np.flatnonzero(prover.used[row] & (signal >= 0))
        self.axons = driven[np.argsort(signal[driven], kind="stable")]
        bits = prover.chip.crossbar_bits(row)[np.ix_(self.axons, self.slots)]
        kind = cores.axon_type[row, self.axons]
        self.weight = np.where(bits, cores.weight[row][kind][:, self.slots], 0)
        self.random = cores.weight_stochastic[row][kind][:, self.slots] & (self.weight != 0)
        self.signals, self.first = np.unique(signal[self.axons], return_index=True)
        self.axon_signal = signal[self.axons]

    def read(self) -> tuple[Array, Array, Array, Array]:
        """What the network's neurons read: the signal, the image's place, the weight, whether it is random."""
        network, span = self.prover.network, self.prover.span
        count = network.start[self.neurons + 1] - network.start[self.neurons]
        ends = np.cumsum(count)
        total = int(ends[-1]) if len(ends) else 0
        entry = np.arange(total) - np.repeat(ends - count - network.start[self.neurons], count)
        place = np.repeat(np.arange(len(self.neurons)), count)
        arrival = network.delay[entry] + self.prover.chip.timing[self.neurons][place]
        signal = network.source[entry].astype(np.int64) * span + arrival
        return signal, place, network.weight[entry], network.stochastic[entry]

    def first_difference(self) -> str | None:
        """What is wrong with the first image, and its first source, that differs."""
        wanted_signal, place, weight, random = self.read()
        at = np.searchsorted(self.signals, wanted_signal)
        known = np.append(self.signals, -1)[at] == wanted_signal
        wrong = [np.stack([place[~known], wanted_signal[~known]], axis=1)]
        some_random = bool(random.any() or self.random.any())
        for chance in (False, True) if some_random else (False,):
            mine = known & (random == chance) if some_random else slice(None) if known.all() else known
            have = self.summed(np.where(self.random == chance, self.weight, 0) if some_random else self.weight)
            want = np.zeros(have.shape, np.int64)
            want[at[mine], place[mine]] = weight[mine]
            differs = have != want
            if chance:
                # Random weights do not add up: each must come through one axon.
                differs |= self.summed(self.random) != (want != 0)
            signal, image = np.nonzero(differs) if differs.any() else np.zeros((2, 0), np.int64)
            wrong.append(np.stack([image, self.signals[signal]], axis=1))
        table = np.concatenate(wrong)
        if not len(table):
            return None
        image, signal = table[np.lexsort((table[:, 1], table[:, 0]))[0]].tolist()
        mine = (wanted_signal == signal) & (place == image)
        return self.described(image, signal, list(zip(weight[mine], random[mine], strict=True)))

    def summed(self, values: Array) -> Array:
        """Values [axons, images] added up by signal."""
        if len(self.signals) == len(self.axons):
            return values
        return np.asarray(np.add.reduceat(values, self.first, axis=0, dtype=np.int64))

    def described(self, image: int, signal: int, wanted: list[tuple[int, bool]]) -> str:
        """The sentence about a synapse that differs; ``wanted`` are its weights in the network."""
        prover, neuron = self.prover, int(self.neurons[image])
        mine = (self.axon_signal == signal) & (self.weight[:, image] != 0)
        weight, random = self.weight[mine, image], self.random[mine, image]
        total = int(weight[~random].sum())
        found = [(total, False)] * (total != 0) + [(value, True) for value in weight[random]]
        delay = signal % prover.span - int(prover.chip.timing[neuron])
        return (
            f"{prover.network.label(neuron)} <- {prover.network.source_label(signal // prover.span)}: the weight at delay"
            f" {delay} is {_shown(wanted)} in the network and {_shown(found)} on the chip"
            f" ({prover.spot(self.row, self.slots[image])})"
        )

    def random_synapses(self) -> Array:
        """Rows (source, target, delay, row, axon, slot) of the random weights."""
        axon, image = np.nonzero(self.random)
        target, signal = self.neurons[image], self.axon_signal[axon]
        delay = signal % self.prover.span - self.prover.chip.timing[target]
        row = np.full(len(axon), self.row)
        columns = (signal // self.prover.span, target, delay, row, self.axons[axon], self.slots[image])
        return np.stack(columns, axis=1).astype(np.int64)


def _shown(weights: list[tuple[int, bool]]) -> str:
    """Weights, each with whether it is random, as shown in messages."""
    return " and ".join(f"{int(weight)}{' (stochastic)' if random else ''}" for weight, random in weights) or "none"
