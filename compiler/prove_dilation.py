"""Translation validation of time dilation: a network in chip ticks does in K ticks what another does in one.

Given are the two networks and, for every neuron of the slow one, the *phase*: the chip tick in which its tick 0 takes effect.
Everything else is derived from the dilated network itself, without any code of the pass that made it: which of its neurons are
clocks, which gather partial sums, what each adds up in a frame of K ticks, and when. The proof then follows the membrane of
every neuron through a frame, as an interval. It must lie between floor and threshold except when the network tests one of them.

If all of it agrees, neuron v of the network fires at tick t exactly when the dilated one fires at t K + phase(v), by induction
over ticks: V(t) plus a constant offset is the membrane between frames, and everything that arrives in a frame is the network's
own sum. Membranes stay between -floor and threshold - 1 from tick to tick, on both sides, and never meet a clamp.

A neuron that its reset may leave above its threshold has its membrane in a *sum* beside it, which may fire at any time, and lets
through the spike of one tick a frame. Such membranes may rise without bound if their input never ends, on the dilated chip as in
the network, which then meets its clamp: the proof says for how many ticks that cannot be.

Here the networks are compared as a whole; :mod:`neurocore.compiler.prove_frame` follows the neurons one by one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from neurocore.architecture import Architecture
from neurocore.compiler.check import NEURON_ARRAYS, IntegerNetwork
from neurocore.compiler.prove_added import frame_faults
from neurocore.compiler.prove_frame import CLOCK, PARTIAL, SUM, FrameProof, Known
from neurocore.errors import MismatchError
from neurocore.wording import counted

Array = npt.NDArray[Any]

MAX_LISTED = 12


@dataclass(frozen=True)
class Claim:
    """What is claimed of a dilated network: ``factor`` K, ``phase`` [N] of the network's neurons, ``latency`` of its outputs."""

    network: IntegerNetwork
    factor: int
    phase: Array
    latency: int


def prove_dilation(network: IntegerNetwork, claim: Claim, arch: Architecture) -> int | None:
    """Check the claim. Raises MismatchError that lists what differs.

    Returns None if the claim holds for ever, or the ticks for which it holds whatever the input. Beyond them it still does as
    long as no membrane has come nearer the clamp than it could until then.
    """
    return _Prover(network, claim, arch).run()


class _Prover:
    def __init__(self, network: IntegerNetwork, claim: Claim, arch: Architecture) -> None:
        self.net, self.slow, self.arch = network, claim.network, arch
        self.factor, self.phase, self.latency = claim.factor, claim.phase, claim.latency
        self.n, self.n_inputs = network.n_neurons, network.n_inputs
        self.problems: list[str] = []

    def run(self) -> int | None:
        self.compare_frames()
        self.stop_if_failed()
        fires, (kind, first), bounds = self.fire_ticks(), self.sort_added(), self.compare_bounds()
        self.stop_if_failed()
        known = Known(self.net, self.slow, self.arch, self.factor, self.phase, fires, kind, first, *bounds)
        proof = FrameProof(known)
        for v, highest in enumerate(self.kind_read(kind).tolist()):
            problem = proof.check(v, highest)
            if problem is not None:
                self.fail(f"{self.net.label(v)}: {problem}")
                break
        self.stop_if_failed()
        return proof.horizon

    def kind_read(self, kind: Array) -> Array:
        """The highest kind [N] of added neurons that each neuron of the network reads; CLOCK if it reads none."""
        number, target = self.slow.source - self.n_inputs - self.n, self.slow.target
        mine = np.flatnonzero((number >= 0) & (number < len(kind)) & (target < self.n))
        kinds = np.full(self.n, CLOCK)
        np.maximum.at(kinds, target[mine], kind[number[mine]])
        return kinds

    def fail(self, text: str) -> None:
        self.problems.append(f"dilated network: {text}")

    def stop_if_failed(self) -> None:
        if self.problems:
            raise MismatchError(self.problems[:MAX_LISTED])

    # ---------------------------------------------------------------- the frame around both networks

    def compare_frames(self) -> None:
        """Inputs, outputs, populations and unions are those of the network; neurons only come in addition."""
        net, slow = self.net, self.slow
        for fault in frame_faults(net, slow):
            self.fail(fault)
        if self.factor < 1 or len(self.phase) != self.n or (self.n and self.phase.min() < 0):
            self.fail("it does not say when each neuron takes its first step")
        elif (self.phase[net.output_neuron] != self.latency).any():
            self.fail(f"its outputs are not all {counted(self.latency, 'tick')} late")
        values = net.neuron
        random = (values["leak_stochastic"] != 0) & (values["leak"] != 0) | (values["threshold_mask_bits"] != 0)
        if random.any() or net.stochastic.any() or slow.stochastic.any():
            self.fail("random numbers are drawn in every tick of the chip, not of the network")

    def fire_ticks(self) -> Array:
        """Chip tick of the spike that a source of the dilated network sends in the network's tick 0; -1 for added neurons."""
        slow = self.slow
        fires = np.full(self.n_inputs + slow.n_neurons + len(slow.unions), -1, np.int64)
        fires[: self.n_inputs] = 0
        fires[self.n_inputs : self.n_inputs + self.n] = self.phase
        for union in range(len(slow.unions)):
            ticks = fires[slow.unions.members(union)]
            if (ticks != ticks[0]).any() or ticks[0] < 0:
                self.fail(f"the members of {slow.source_label(slow.unions.first + union)} do not fire together")
            fires[slow.unions.first + union] = ticks[0]
        return fires

    def sort_added(self) -> tuple[Array, Array]:
        """Kind of every added neuron, and the first spike of those that are clocks.

        Each is a clock, which reads nothing, a sum, which is never reset, or a partial; they behave as such.

        A clock fires in chip tick ``first`` and every K ticks from then on. A partial that gets a sum S > 0 in one tick fires in
        that tick and the S - 1 next; if S < 0 it does nothing. A sum keeps what it gets, down to its floor.
        """
        slow, n = self.slow, self.n
        part = {name: slow.neuron[name][n:] for name in NEURON_ARRAYS}
        reads = np.diff(slow.start)[n:] > 0
        kind = np.where(reads, np.where(part["reset_mode"] == 2, SUM, PARTIAL), CLOCK)
        plain = (part["threshold_mask_bits"] == 0) & (part["leak_stochastic"] == 0) & (part["leak_reversal"] == 0)
        first = self.factor - 1 - part["initial"]
        clock = (
            (part["threshold"] == self.factor) & (part["leak"] == 1) & (part["reset"] == 0) & (part["reset_mode"] == 0)
        )
        clock &= (first >= 0) & (part["initial"] > -part["floor"]) & (part["initial"] >= self.arch.neuron.membrane.min)
        partial = (part["threshold"] == 1) & (part["leak"] == 0) & (part["initial"] == 0) & (part["reset_mode"] == 1)
        partial &= (part["floor"] == 0) & (part["floor_mode"] == 1)
        total = (part["leak"] == 0) & (part["floor_mode"] == 1)
        wrong = ~(plain & np.choose(kind, (clock, partial, total)))
        for place in np.flatnonzero(wrong)[:3]:
            name = ("clock", "partial sum", "sum")[kind[place]]
            self.fail(f"{slow.label(n + int(place))} is no {name}: its parameters are others")
        return kind, first

    def compare_bounds(self) -> tuple[npt.NDArray[np.bool_], Array, Array]:
        """Which neurons rest, the top of their membranes and how fast these may grow, as in :class:`Known`.

        Membranes of the network stay between -floor and ``top`` from tick to tick, far from any clamp.

        That is threshold - 1, or, of neurons whose reset may leave them above it, as far as they get in the first tick.
        """
        values, target = self.net.neuron, self.net.target
        gain = np.bincount(target, np.maximum(self.net.weight, 0), self.n).astype(np.int64) + np.maximum(
            values["leak"], 0
        )
        loss = np.bincount(target, np.maximum(-self.net.weight, 0), self.n).astype(np.int64) + np.maximum(
            -values["leak"], 0
        )
        low, high = -values["floor"], values["threshold"] - 1
        by_value = (values["reset_mode"] == 0) & (values["reset"] >= low) & (values["reset"] <= high)
        linear = (values["reset_mode"] == 1) & (gain <= values["threshold"])
        rests = (by_value | linear) & (values["initial"] <= high)
        top = np.maximum(high, values["initial"])
        # What a reset does not take away again.
        growth = np.where(rests, 0, np.maximum(gain - np.where(values["reset_mode"] == 1, high + 1, 0), 0))
        known = rests | (values["reset_mode"] != 0)
        plain = (values["leak_reversal"] == 0) | (values["leak"] == 0)
        good = known & plain & (values["initial"] >= low) & (values["floor_mode"] == 1)
        limits = self.arch.neuron.membrane
        good &= (top + gain <= limits.max) & (low - loss >= limits.min)
        for place in np.flatnonzero(~good)[:3]:
            self.fail(f"{self.net.label(int(place))} may do something between two ticks of the network")
        return rests, top, growth
