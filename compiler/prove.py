"""Translation validation: a finished chip is the network it came from, spike for spike.

Everything is derived from the chip itself, without any code of the passes that made it. Every axon is walked back through relays
to the input line or neuron that drives it; from that the network's synapses are rebuilt and compared, and with them parameters,
start values and outputs. If all of it agrees, neuron v of the network fires at tick t exactly when its image on the chip
fires at t + tau(v), for all inputs and all t (by induction over ticks; the six conditions are those of the project's design).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from neurocore.compiler.arrivals import arrival_problems
from neurocore.compiler.check import NEURON_ARRAYS, IntegerNetwork, random_neurons
from neurocore.compiler.coresynapses import CoreSynapses, spot
from neurocore.compiler.defects import Defects
from neurocore.compiler.idling import idled
from neurocore.config import OUTPUT, ChipConfig
from neurocore.errors import MismatchError
from neurocore.wording import counted

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


def prove(
    network: IntegerNetwork,
    chip: ChipConfig,
    defects: Defects | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Decoded:
    """Check that the chip does what the network says, and that it needs nothing that is among the ``defects``.

    ``progress(done, total)`` is called for every core. Raises MismatchError that lists what differs.
    """
    return _Prover(network, chip, defects or Defects(), progress or (lambda done, total: None)).run()


class _Prover:
    def __init__(
        self, network: IntegerNetwork, chip: ChipConfig, defects: Defects, progress: Callable[[int, int], None]
    ) -> None:
        self.network, self.chip, self.cores = network, chip, chip.cores
        self.defects, self.progress = defects, progress
        self.rows = chip.row_of()
        self.shape = self.cores.configured.shape
        self.n_axons = chip.architecture.core.axons
        self.problems: list[str] = []

    def run(self) -> Decoded:
        chip, network = self.chip, self.network
        if (chip.inputs, chip.outputs, chip.populations) != (network.inputs, network.outputs, network.populations):
            self.fail("the chip's inputs, outputs or populations are not those of the network")
        if len(chip.timing) != network.n_neurons or chip.timing.min(initial=0) < 0:
            self.fail("the chip does not say when each neuron starts")
        if chip.dilation != 1:
            self.fail(f"{chip.dilation} ticks of the chip make one of the network, where 1 was expected")
        self.stop_if_failed()
        self.which = self.neurons()
        self.relay = self.cores.configured & (self.cores.population < 0)
        self.scan_crossbars()
        self.check_relays()
        self.problems += arrival_problems(self.chip, self.used, self.defects)
        self.stop_if_failed()
        self.axon_source, self.axon_delay = self.resolve_axons()
        self.stop_if_failed()
        decoded = self.compare_synapses()
        self.compare_neurons()
        self.check_outputs()
        self.problems += origin_problems(network, chip)
        self.stop_if_failed()
        return decoded

    def fail(self, text: str) -> None:
        self.problems.append(text)

    def stop_if_failed(self) -> None:
        if self.problems:
            hidden = len(self.problems) - MAX_LISTED
            more = [f"and {hidden} more differences"] if hidden > 0 else []
            raise MismatchError(self.problems[:MAX_LISTED] + more)

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
            self.fail(f"{spot(self.chip, *np.argwhere(bad)[0])} has index {int(index[bad][0])}, beyond its population")
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
            self.fail(f"{spot(self.chip, row[place], slot[place])} is a relay but does not just repeat one axon")

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
            self.fail(
                f"{spot(self.chip, row[to_row < 0][0], slot[to_row < 0][0])} sends to a core that is not configured"
            )
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
            self.progress(row + 1, len(self.cores))
            core = CoreSynapses(network, self.chip, row, self.which[row], self.used[row], signal[row], self.span)
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
                    f" network and {int(have[place])} on the chip ({spot(self.chip, row[place], slot[place])})"
                )
        self.check_starts(row, slot, neuron)
        self.check_draws(row, neuron)

    def check_draws(self, row: Array, neuron: Array) -> None:
        """Random neurons have one image each, and no two cores draw the same numbers for theirs."""
        random = random_neurons(self.network)
        images = np.bincount(neuron, minlength=self.network.n_neurons)
        for twice in np.flatnonzero(random & (images > 1))[:3]:
            self.fail(
                f"{self.network.label(int(twice))} draws random numbers and has {images[twice]} images that would differ"
            )
        drawing = np.unique(row[random[neuron]])
        stream, first, count = np.unique(self.cores.stream[drawing], return_index=True, return_counts=True)
        for shared in np.flatnonzero(count > 1)[:3]:
            place = self.chip.architecture.core_xy(int(self.cores.core[drawing[first[shared]]]))
            self.fail(
                f"{count[shared]} cores, the first being core {place}, draw the same random numbers: their stream is"
                f" {int(stream[shared])}; each needs one of its own"
            )

    def check_starts(self, row: Array, slot: Array, neuron: Array) -> None:
        """Idle every image for its start shift; it must not fire, and must end at V(0)."""
        shift, start = self.chip.timing[neuron], self.cores.initial[row, slot]
        wanted = self.network.neuron["initial"][neuron]
        bad = start != wanted
        late = np.flatnonzero(shift > 0)
        values = {name: part[neuron[late]] for name, part in self.network.neuron.items()}
        membrane, disturbed = idled(start[late], shift[late], values, self.chip.architecture)
        bad[late] = disturbed | (membrane != wanted[late])
        for place in np.flatnonzero(bad)[:3]:
            self.fail(
                f"{self.network.label(int(neuron[place]))}: V(0) is {int(wanted[place])} in the network, but its image"
                f" on the chip starts at {int(start[place])} and idles {counted(int(shift[place]), 'tick')}"
            )

    def check_outputs(self) -> None:
        """Every output line is driven by the right neuron, T ticks late, and by nothing else."""
        cores, network = self.cores, self.network
        row, slot = np.nonzero(cores.configured & (cores.target_core == OUTPUT))
        line = cores.target_axon[row, slot]
        n_lines = len(network.output_neuron)
        if not n_lines and self.chip.latency:
            self.fail(f"the chip has no outputs that could be {counted(self.chip.latency, 'tick')} late")
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
            shown = network.source_label(int(source[place])) if source[place] >= 0 else "nothing"
            self.fail(
                f"output line {int(line[place])} should show {network.source_label(int(wanted[place]))}"
                f" {counted(self.chip.latency, 'tick')} late; it shows {shown} {counted(int(late[place]), 'tick')} late"
            )


def origin_problems(network: IntegerNetwork, chip: ChipConfig) -> list[str]:
    """What a chip says it was made from, if that is another network; a chip may also say nothing."""
    claimed, digest = chip.network_digest, network.digest()
    if claimed in ("", digest):
        return []
    return [f"the chip says that it was made from network {claimed[:16]}; this is {digest[:16]}"]
