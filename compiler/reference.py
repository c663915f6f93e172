"""The reference simulator: runs the integer network itself, tick by tick, knowing nothing of cores and axons.

What it computes is what the compiled chip must reproduce, shifted by the latency. It shares only the arithmetic of a single
neuron (:mod:`neurocore.neuron`) with the engines. Random draws are a matter of the chip (which core a neuron sits in, which
axon a synapse uses), so for a network with random parts the chip's own places are given as ``places``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse

from neurocore import draws, neuron
from neurocore.architecture import Architecture
from neurocore.compiler.check import IntegerNetwork
from neurocore.compiler.prove import Decoded
from neurocore.config import ChipConfig

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Places:
    """Where the chip draws random numbers: key and slot of each neuron, its start shift, and each random synapse's axon."""

    key: Array
    slot: Array
    shift: Array
    axon: Array

    @staticmethod
    def of(network: IntegerNetwork, chip: ChipConfig, decoded: Decoded, seed: int) -> Places:
        """The places that a decoded chip has given a network's neurons and random synapses."""
        keys = draws.core_keys(seed, chip.cores.stream)
        row, slot = decoded.image[:, 0], decoded.image[:, 1]
        axon = np.full(network.n_synapses, -1, np.int64)
        mine = (decoded.row == row[decoded.target]) & (decoded.slot == slot[decoded.target])
        have = np.stack([decoded.target, decoded.source, decoded.delay])[:, mine]
        order = np.lexsort((have[2], have[1], have[0]))
        # Synapses of the network are sorted by (target, source, delay) and random ones occur once.
        axon[network.stochastic] = decoded.axon[mine][order]
        return Places(keys[row], slot, chip.timing, axon)

    def among(self, network: IntegerNetwork, larger: IntegerNetwork) -> Places:
        """The same for a network that has these neurons first and others, which draw nothing, after them."""
        axon = np.full(larger.n_synapses, -1, np.int64)
        axon[larger.stochastic] = self.axon[network.stochastic]
        return replace(self, axon=axon)


class Reference:
    """The network in its initial state; :meth:`tick` runs one tick. Delays of 0, as of rewritten networks, close no cycle."""

    def __init__(self, network: IntegerNetwork, arch: Architecture, places: Places | None = None) -> None:
        self.network, self.arch, self.places = network, arch, places
        self.membrane = network.neuron["initial"].astype(np.int32)
        self.now = 0
        self.history: dict[int, Array] = {}
        self.random = np.flatnonzero(network.stochastic)
        self.delays = np.unique(network.delay)
        n_sources = network.n_inputs + network.n_neurons + len(network.unions)
        target = network.target
        self.matrices = {}
        for delay in self.delays:
            edge = np.flatnonzero((network.delay == delay) & ~network.stochastic)
            columns = (network.weight[edge], (network.source[edge], target[edge]))
            self.matrices[int(delay)] = sparse.csr_array(columns, shape=(n_sources, network.n_neurons), dtype=np.int64)

    def tick(self, lines: Array) -> npt.NDArray[np.bool_]:
        """Run one tick in which the given input lines spike; returns who fired [N]."""
        total = np.zeros(self.network.n_neurons, np.int64)
        for delay in self.matrices.keys() - {0}:
            total += self._arriving(delay)
        total += self._random_steps()
        leak, random = self._leak(), self._threshold()
        membrane, fired = self._after(total, leak, random)
        if 0 in self.matrices:
            membrane, fired = self._settled(total, leak, random, lines, fired)
        self.membrane, self.history[self.now] = membrane, self._spiking(lines, fired)
        self.history.pop(self.now - int(self.delays.max(initial=0)), None)
        self.now += 1
        return fired

    def _arriving(self, delay: int) -> Array:
        """Sum [N] of the plain weights of the spikes that arrive after some delay."""
        sources = self.history.get(self.now - delay)
        if sources is None or not len(sources):
            return np.zeros(self.network.n_neurons, np.int64)
        return np.asarray(self.matrices[delay][sources].sum(axis=0))

    def _after(self, total: Array, leak: Array, random: Array) -> tuple[Array, npt.NDArray[np.bool_]]:
        """Membranes after the tick, and who fires, if so much arrives."""
        values = self.network.neuron
        membrane = (self.membrane + total).astype(np.int32)
        membrane = neuron.leaked(membrane, leak, values["leak_reversal"] != 0, self.arch.rules)
        names = ("threshold", "floor", "reset", "reset_mode", "floor_mode")
        parameters = {name: values[name] for name in names}
        return neuron.fired_and_reset(membrane, **parameters, random=random, architecture=self.arch)

    def _settled(
        self, total: Array, leak: Array, random: Array, lines: Array, fired: npt.NDArray[np.bool_]
    ) -> tuple[Array, npt.NDArray[np.bool_]]:
        """:meth:`_after`, delays of 0 included: spikes go on until nothing changes, which no cycle of them prevents."""
        while True:
            self.history[self.now] = self._spiking(lines, fired)
            before = fired
            membrane, fired = self._after(total + self._arriving(0), leak, random)
            if np.array_equal(before, fired):
                return membrane, fired

    def _spiking(self, lines: Array, fired: npt.NDArray[np.bool_]) -> Array:
        """Sources that spike: lines, neurons, and unions with one of them."""
        net = self.network
        spiking = np.concatenate([lines, net.n_inputs + np.flatnonzero(fired)]).astype(np.int64)
        return np.concatenate([spiking, net.unions.first + net.unions.active(spiking)])

    def _keys(self, neurons: Array, purpose: int | Array) -> Array:
        """Tick keys of the given neurons at their own chip tick."""
        assert self.places is not None, "a network with random parts needs its places"
        key, shift = self.places.key[neurons], self.places.shift[neurons]
        result = np.zeros(len(neurons), np.uint64)
        wanted = np.broadcast_to(np.asarray(purpose), len(neurons))
        for late in np.unique(shift):
            mine = shift == late
            result[mine] = draws.tick_keys(key[mine], self.now + int(late), wanted[mine])
        return result

    def _random_steps(self) -> Array:
        """Sum [N] of the steps of random synapses whose source's spike arrives now."""
        net, total = self.network, np.zeros(self.network.n_neurons, np.int64)
        if not len(self.random) or self.places is None:
            return total
        active = np.zeros(len(self.random), bool)
        for delay in np.unique(net.delay[self.random]):
            sources = self.history.get(self.now - int(delay), np.zeros(0, np.int64))
            active |= (net.delay[self.random] == delay) & np.isin(net.source[self.random], sources)
        edge = self.random[active]
        target = net.target_of(edge)
        keys = self._keys(target, draws.SYNAPSE + self.places.axon[edge])
        rho = draws.small_draws(keys, self.places.slot[target], self.arch.neuron.random_bits)
        np.add.at(total, target, neuron.chance(net.weight[edge], rho))
        return total

    def _leak(self) -> npt.NDArray[np.int32]:
        values = self.network.neuron
        leak: npt.NDArray[np.int32] = values["leak"].astype(np.int32)
        random = np.flatnonzero((values["leak_stochastic"] != 0) & (leak != 0))
        if len(random) and self.places is not None:
            rho = draws.small_draws(
                self._keys(random, draws.LEAK), self.places.slot[random], self.arch.neuron.random_bits
            )
            leak[random] = neuron.chance(leak[random], rho)
        return leak

    def _threshold(self) -> npt.NDArray[np.int32]:
        bits = self.network.neuron["threshold_mask_bits"]
        eta = np.zeros(len(bits), np.int32)
        random = np.flatnonzero(bits)
        if len(random) and self.places is not None:
            eta[random] = draws.wide_draws(self._keys(random, draws.THRESHOLD), self.places.slot[random], bits[random])
        return eta
