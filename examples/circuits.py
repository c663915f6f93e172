"""Twenty different small circuits of spiking neurons, packed together into one core of a TrueNorth chip.

Every circuit comes with a rule: what it should do, written as ordinary arithmetic on its input. Run this file to compile all of
them as one network, emulate the chip on random input and compare every output line with its rule:

    python examples/circuits.py
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

import neurocore as nc
from neurocore.compiler.network import Population

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Circuit:
    """A circuit: its input lines, how it is built (returns the population that is its output), and its rule.

    The rule maps input spikes [tick, line] to output spikes [tick, neuron].
    """

    name: str
    n_inputs: int
    build: Callable[[nc.Network, str], Population]
    rule: Callable[[Array], Array]


def gate(net: nc.Network, name: str, size: int, need: int = 1, **neuron: Any) -> Population:
    """Neurons without memory: each fires in exactly the ticks in which its input adds up to ``need`` or more."""
    return net.population(name, size, threshold=1, leak=1 - need, floor=0, **neuron)


def late(x: Array, ticks: int) -> Array:
    """The same spikes so many ticks later."""
    return np.concatenate([np.zeros((ticks, *x.shape[1:]), x.dtype), x])[: len(x)]


def logic(weights: list[int], need: int) -> Callable[[nc.Network, str], Population]:
    """One gate over all input lines."""

    def build(net: nc.Network, name: str) -> Population:
        out = gate(net, f"{name}.out", 1, need)
        net.connect(name, out, [[weight] for weight in weights])
        return out

    return build


def taps(weights: dict[int, int], need: int) -> Callable[[nc.Network, str], Population]:
    """One gate that sees its input line at several delays."""

    def build(net: nc.Network, name: str) -> Population:
        out = gate(net, f"{name}.out", 1, need)
        for delay, weight in weights.items():
            net.connect(name, out, all_to_all=weight, delay=delay)
        return out

    return build


def build_xor(net: nc.Network, name: str) -> Population:
    """One or the other, in two stages."""
    one = gate(net, f"{name}.one", 2)
    out = gate(net, f"{name}.out", 1)
    net.connect(name, one, [[1, -1], [-1, 1]])
    net.connect(one, out, all_to_all=1)
    return out


def build_adder(net: nc.Network, name: str) -> Population:
    """Sum and carry of two lines."""
    some, both = gate(net, f"{name}.some", 1), gate(net, f"{name}.both", 1, 2)
    out = gate(net, f"{name}.out", 2)
    net.connect(name, some, all_to_all=1)
    net.connect(name, both, all_to_all=1)
    net.connect(some, out, [[1, 0]])
    net.connect(both, out, [[-1, 1]])
    return out


def build_multiplexer(net: nc.Network, name: str) -> Population:
    """Lines: select, a, b."""
    first, second = gate(net, f"{name}.first", 1, 2), gate(net, f"{name}.second", 1)
    out = gate(net, f"{name}.out", 1)
    net.connect(name, first, [[1], [1], [0]])
    net.connect(name, second, [[-1], [0], [1]])
    net.connect(first, out, all_to_all=1)
    net.connect(second, out, all_to_all=1)
    return out


def build_latch(net: nc.Network, name: str) -> Population:
    """Lines: set, reset. Fires in every tick while it is set."""
    out = gate(net, f"{name}.out", 1)
    net.connect(name, out, [[1], [-2]])
    net.connect(out, out, all_to_all=1)
    return out


def latch_rule(x: Array) -> Array:
    """On after set, until reset."""
    out = np.zeros((len(x), 1), bool)
    for t in range(len(x) - 1):
        out[t + 1] = int(x[t, 0]) - 2 * int(x[t, 1]) + int(out[t, 0]) >= 1
    return out


def build_parity(net: nc.Network, name: str) -> Population:
    """Keeps two parities, of the even and of the odd ticks, as its loop takes two ticks."""
    change, out = gate(net, f"{name}.change", 2), gate(net, f"{name}.out", 1)
    net.connect(name, change, [[1, -1]])
    net.connect(out, change, [[-1, 1]])
    net.connect(change, out, all_to_all=1)
    return out


def parity_rule(x: Array) -> Array:
    """The answer changes with every spike."""
    out = np.zeros((len(x), 1), bool)
    for t in range(len(x) - 2):
        out[t + 2] = out[t] ^ x[t]
    return out


def build_ring(net: nc.Network, name: str) -> Population:
    """Three neurons that pass one spike round."""
    out = gate(net, f"{name}.out", 3, initial=[1, 0, 0])
    net.connect(out, out, edges=[(0, 1, 1), (1, 2, 1), (2, 0, 1)], delay=2)
    return out


def ring_rule(x: Array) -> Array:
    """Each fires once in six ticks."""
    return np.arange(len(x))[:, None] % 6 == np.array([0, 2, 4])


def build_pacemaker(net: nc.Network, name: str) -> Population:
    """Fires by itself, by its leak."""
    return net.population(f"{name}.out", 1, threshold=7, leak=1)


def pacemaker_rule(x: Array) -> Array:
    """Once in seven ticks."""
    return np.arange(len(x))[:, None] % 7 == 6


def build_counter(net: nc.Network, name: str) -> Population:
    """Three binary digits, each fires when it overflows into the next."""
    out = net.population(f"{name}.out", 3, threshold=2)
    net.connect(name, out, [[1, 0, 0]])
    net.connect(out, out, edges=[(0, 1, 1), (1, 2, 1)])
    return out


def overflow(x: Array, count: int) -> Array:
    """Every ``count``-th spike of every line."""
    return x & (np.cumsum(x, axis=0) % count == 0)


def counter_rule(x: Array) -> Array:
    """Every second, fourth and eighth spike."""
    return np.concatenate([late(overflow(x, 2**digit), digit) for digit in (1, 2, 3)], axis=1)


def build_contest(net: nc.Network, name: str) -> Population:
    """Three neurons, each of which holds down the others while it fires."""
    out = gate(net, f"{name}.out", 3)
    net.connect(name, out, one_to_one=1)
    net.connect(out, out, (np.eye(3, dtype=int) - 1).tolist())
    return out


def contest_rule(x: Array) -> Array:
    """Nobody fires after another one did."""
    out = np.zeros((len(x), 3), bool)
    for t in range(len(x) - 1):
        others = out[t].sum() - out[t]
        out[t + 1] = x[t] & (others == 0)
    return out


def build_direction(net: nc.Network, name: str) -> Population:
    """Fires when line 1 follows line 0 three ticks later."""
    out = gate(net, f"{name}.out", 1, 2)
    net.connect(name, out, edges=[(0, 0, 1, 4), (1, 0, 1, 1)])
    return out


def build_limiter(net: nc.Network, name: str) -> Population:
    """Passes a spike and then none for three ticks."""
    out = gate(net, f"{name}.out", 1)
    net.connect(name, out, all_to_all=1)
    net.connect(out, out, edges=[(0, 0, -1, delay) for delay in (1, 2, 3)])
    return out


def limiter_rule(x: Array) -> Array:
    """At most one spike in four ticks."""
    out = np.zeros((len(x), 1), bool)
    for t in range(len(x) - 1):
        out[t + 1] = x[t] & ~out[max(0, t - 2) : t + 1].any(axis=0)
    return out


def build_leaky(net: nc.Network, name: str) -> Population:
    """Two spikes close together make it fire."""
    out = net.population(f"{name}.out", 1, threshold=5, leak=-1, floor=0)
    net.connect(name, out, all_to_all=3)
    return out


def leaky_rule(x: Array) -> Array:
    """A sum that decays by one a tick."""
    out, membrane = np.zeros((len(x), 1), bool), 0
    for t in range(1, len(x)):
        membrane = max(0, membrane + 3 * int(x[t - 1, 0]) - 1)
        out[t] = membrane >= 5
        membrane = 0 if out[t, 0] else membrane
    return out


def build_difference(net: nc.Network, name: str) -> Population:
    """Fires once for every three spikes by which line 0 gets ahead of line 1."""
    out = net.population(f"{name}.out", 1, threshold=3, reset_mode="linear", floor=0)
    net.connect(name, out, [[1], [-1]])
    return out


def difference_rule(x: Array) -> Array:
    """A sum that never falls below zero."""
    out, membrane = np.zeros((len(x), 1), bool), 0
    for t in range(1, len(x)):
        membrane = max(0, membrane + int(x[t - 1, 0]) - int(x[t - 1, 1]))
        out[t] = membrane >= 3
        membrane -= 3 * int(out[t, 0])
    return out


def either(columns: list[Array]) -> Array:
    """Any of several."""
    return np.logical_or.reduce(columns)


CIRCUITS = (
    Circuit("and", 2, logic([1, 1], 2), lambda x: late(x.all(axis=1, keepdims=True), 1)),
    # Without a clock nothing fires when nothing comes in: line 0 is the clock.
    Circuit("not", 2, logic([1, -1], 1), lambda x: late(x[:, :1] & ~x[:, 1:], 1)),
    Circuit("xor", 2, build_xor, lambda x: late(x[:, :1] ^ x[:, 1:], 2)),
    Circuit("majority", 5, logic([1] * 5, 3), lambda x: late(x.sum(axis=1, keepdims=True) >= 3, 1)),
    Circuit("adder", 2, build_adder, lambda x: late(np.stack([x[:, 0] ^ x[:, 1], x[:, 0] & x[:, 1]], axis=1), 2)),
    Circuit("multiplexer", 3, build_multiplexer, lambda x: late(np.where(x[:, :1], x[:, 1:2], x[:, 2:]), 2)),
    Circuit("latch", 2, build_latch, latch_rule),
    Circuit("parity", 1, build_parity, parity_rule),
    Circuit("ring", 0, build_ring, ring_rule),
    Circuit("pacemaker", 0, build_pacemaker, pacemaker_rule),
    Circuit("counter", 1, build_counter, counter_rule),
    Circuit("contest", 3, build_contest, contest_rule),
    Circuit("direction", 2, build_direction, lambda x: late(x[:, :1], 4) & late(x[:, 1:], 1)),
    Circuit("delay", 1, taps({40: 1}, 1), lambda x: late(x, 40)),
    Circuit("burst", 1, taps({1: 1, 2: 1, 3: 1, 4: 1}, 1), lambda x: either([late(x, k) for k in (1, 2, 3, 4)])),
    Circuit("onset", 1, taps({1: 1, 2: -1}, 1), lambda x: late(x, 1) & ~late(x, 2)),
    Circuit("pattern", 1, taps({3: 1, 2: -1, 1: 1}, 2), lambda x: late(x, 3) & ~late(x, 2) & late(x, 1)),
    Circuit("limiter", 1, build_limiter, limiter_rule),
    Circuit("leaky", 1, build_leaky, leaky_rule),
    Circuit("difference", 2, build_difference, difference_rule),
)


def network() -> nc.Network:
    """All circuits side by side; each has an input (if it reads any) and an output of its name."""
    net = nc.Network("circuits")
    for circuit in CIRCUITS:
        if circuit.n_inputs:
            net.input(circuit.name, circuit.n_inputs)
        net.output(circuit.name, circuit.build(net, circuit.name))
    return net


def stimulus(ticks: int, seed: int = 0) -> Array:
    """Random input spikes [tick, line] of all circuits, one circuit after the other."""
    rng = np.random.default_rng(seed)
    return rng.random((ticks, sum(circuit.n_inputs for circuit in CIRCUITS))) < 0.4


def expected(given: Array) -> dict[str, Array]:
    """What each circuit should answer [tick, neuron]."""
    answers, line = {}, 0
    for circuit in CIRCUITS:
        answers[circuit.name] = circuit.rule(given[:, line : line + circuit.n_inputs])
        line += circuit.n_inputs
    return answers


def measured(chip: nc.ChipConfig, given: Array) -> dict[str, Array]:
    """What the emulated chip answers, the latency taken off."""
    tick, line = np.nonzero(given)
    run = nc.Emulator(chip).run(nc.Spikes.from_lines(tick, line), len(given) + chip.latency)
    table = np.zeros((len(given) + chip.latency, chip.n_outputs), bool)
    table[run.spikes.tick, run.spikes.line] = True
    return {group.name: table[chip.latency :, group.start : group.start + group.size] for group in chip.outputs}


def main() -> None:
    """Compile, run, compare."""
    chip = nc.compile(network())
    given = stimulus(1000)
    answers, wanted = measured(chip, given), expected(given)
    print(f"{len(CIRCUITS)} circuits on {len(chip.cores)} core(s), latency {chip.latency} ticks")
    for name, right in wanted.items():
        same = np.array_equal(answers[name], right)
        print(f"  {name:12} {int(right.sum()):5} spikes  {'as its rule says' if same else 'WRONG'}")


if __name__ == "__main__":
    main()
