"""Generated networks for the compiler's property tests: small, and rich in what makes mapping hard."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from neurocore.architecture import Architecture, Range, load_architecture
from neurocore.compiler.network import Network
from neurocore.spikes import Spikes

LONGEST = 50
"""Longest delay of generated networks, in ticks."""


def random_network(arch: Architecture, seed: int, *, random_parts: bool = False, merging: bool = False) -> Network:
    """A network with recurrence, signed and multi-valued weights, all reset modes, delays beyond the chip's, tonic neurons.

    With ``merging`` most projections merge the spikes of sources of one weight.
    """
    rng = np.random.default_rng(seed)
    net = Network(f"random{seed}")
    _add_mixed(net, arch, rng, random_parts, merging)
    return net


def _add_mixed(
    net: Network, arch: Architecture, rng: np.random.Generator, random_parts: bool, merging: bool = False
) -> None:
    """An input, some populations and outputs, and projections between any of them."""
    small = arch.core.neurons < 32
    places: list[Any] = [net.input("in", int(rng.integers(1, 10)))]
    for number in range(rng.integers(1, 4)):
        size = int(rng.integers(1, 12 if small else 60))
        places.append(net.population(f"p{number}", size, **_neuron(rng, size, arch, random_parts)))
    for _ in range(rng.integers(1, 6)):
        source, target = places[rng.integers(0, len(places))], places[rng.integers(1, len(places))]
        shape = (source.size, target.size)
        low, high = -int(rng.integers(1, 5)), int(rng.integers(2, 6))
        weights = rng.integers(low, high, shape) * (rng.random(shape) < rng.choice([0.1, 0.4, 1.0]))
        known = [item for item in net.projections if (item.source, item.target) == (source.name, target.name)]
        stochastic = random_parts and rng.random() < 0.3
        if known and (stochastic or any(item.stochastic for item in known)):
            continue
        delay = int(rng.choice([1, 1, 2, 3, 5, 20, LONGEST, int(rng.integers(1, LONGEST + 1))]))
        merge = "or" if merging and rng.random() < 0.7 else "sum"
        net.connect(source, target, weights, delay=delay, stochastic=bool(stochastic), merge=merge)
    _some_outputs(net, places[1:], rng)


def _some_outputs(net: Network, places: list[Any], rng: np.random.Generator) -> None:
    """Outputs of more than half of the populations."""
    for place in places:
        if rng.random() < 0.6:
            net.output(f"out_{place.name}", place)


def _neuron(rng: np.random.Generator, size: int, arch: Architecture, random_parts: bool) -> dict[str, object]:
    values: dict[str, object] = {
        "threshold": rng.integers(0, 6, size) if rng.random() < 0.3 else int(rng.integers(1, 6)),
        "leak": int(rng.integers(-2, 2)),
        "leak_reversal": bool(rng.random() < 0.2),
        "reset_mode": str(rng.choice(["value", "linear", "none"])),
        "reset": int(rng.integers(-2, 1)),
        "floor": int(rng.integers(0, 10)),
        "floor_mode": str(rng.choice(["saturate", "reset"])),
        "initial": rng.integers(-2, 3, size) if rng.random() < 0.3 else int(rng.integers(-2, 3)),
    }
    if rng.random() < 0.4:
        values.update(leak=0, initial=0)
    if random_parts:
        if rng.random() < 0.5:
            values["threshold_mask_bits"] = int(rng.integers(0, 4))
        if rng.random() < 0.5:
            values.update(leak=int(rng.integers(-9, 10)), leak_stochastic=True)
    return values


# ---------------------------------------------------------------- networks of one kind


def _layers(
    net: Network,
    arch: Architecture,
    rng: np.random.Generator,
    random_parts: bool,
    *,
    lines: tuple[int, int],
    count: tuple[int, int],
    sizes: tuple[int, int],
) -> list[Any]:
    """An input and populations, unconnected; each pair is the least and one more than the most."""
    layers: list[Any] = [net.input("in", int(rng.integers(*lines)))]
    for number in range(rng.integers(*count)):
        size = int(rng.integers(*sizes))
        layers.append(net.population(f"layer{number}", size, **_neuron(rng, size, arch, random_parts)))
    return layers


def feed_forward(arch: Architecture, rng: np.random.Generator, random_parts: bool) -> Network:
    """Layers, each feeding the next and sometimes the one after it."""
    net = Network("feed_forward")
    layers = _layers(net, arch, rng, random_parts, lines=(2, 12), count=(2, 5), sizes=(2, 16))
    for number, target in enumerate(layers[1:]):
        for source in layers[max(0, number - 1) : number + 1]:
            weights = _sparse(rng, source.size, target.size, most=5, values=[-2, -1, 1, 2])
            chance = random_parts and rng.random() < 0.7
            net.connect(source, target, weights, delay=int(rng.integers(1, 9)), stochastic=chance)
    net.output("out", layers[-1])
    return net


def delay_lines(arch: Architecture, rng: np.random.Generator, random_parts: bool) -> Network:
    """Edges that each have a delay of their own, 1 to LONGEST ticks; some are parallel, and some close cycles."""
    net = Network("delay_lines")
    size = int(rng.integers(3, 20))
    source = net.input("in", int(rng.integers(1, 5)))
    p = net.population("p", size, **_neuron(rng, size, arch, random_parts))
    for start in (source, p):
        n = int(rng.integers(2, 3 * size // 2 + 2))
        edges = {
            "source": rng.integers(0, start.size, n),
            "target": rng.permutation(np.arange(n) % size),
            "weight": rng.integers(1, 4, n),
            "delay": rng.integers(1, LONGEST + 1, n),
        }
        net.connect(start, p, edges=edges)
    if rng.random() < 0.6:
        net.output("p", p)
    return net


def wide(arch: Architecture, rng: np.random.Generator, random_parts: bool) -> Network:
    """A few neurons, and a line, that each reach more than 256 others."""
    net = Network("wide")
    n_hubs, n_leaves = int(rng.integers(1, 4)), int(rng.integers(257, 320))
    source = net.input("in", 2)
    noisy = {"threshold_mask_bits": int(rng.integers(1, 3))} if rng.random() < 0.5 else {}
    hubs = net.population("hubs", n_hubs, threshold=int(rng.integers(1, 3)), leak=int(rng.integers(0, 2)), **noisy)
    leaves = net.population(
        "leaves", n_leaves, threshold=int(rng.integers(1, 5)), leak=-int(rng.integers(0, 2)), floor=0
    )
    net.connect(source, hubs, all_to_all=1)
    net.connect(source, leaves, rng.integers(-1, 2, (2, n_leaves)))
    net.connect(hubs, leaves, rng.choice([1, 2], (n_hubs, n_leaves)), delay=int(rng.integers(1, 20)))
    if rng.random() < 0.5:
        net.output("leaves", leaves)
    net.output("hubs", hubs)
    return net


def shared_inputs(arch: Architecture, rng: np.random.Generator, random_parts: bool) -> Network:
    """Populations that all read the same lines and the same neurons, at several delays."""
    net = Network("shared")
    source = net.input("in", int(rng.integers(2, 5)))
    size = int(rng.integers(2, 4))
    first = net.population("first", size, **_neuron(rng, size, arch, random_parts))
    net.connect(source, first, all_to_all=2)
    for number in range(rng.integers(2, 6)):
        size = int(rng.integers(3, 12))
        reader = net.population(f"reader{number}", size, **_neuron(rng, size, arch, random_parts))
        for shared in (source, first):
            weights = rng.choice([-1, 1, 2], (shared.size, size))
            chance = random_parts and rng.random() < 0.7
            net.connect(shared, reader, weights, delay=int(rng.integers(1, 4)), stochastic=chance)
        net.output(f"out{number}", reader)
    return net


def components(arch: Architecture, rng: np.random.Generator, random_parts: bool) -> Network:
    """Two to four networks without any synapse between them."""
    net = Network("components")
    for number in range(rng.integers(2, 5)):
        source, size = net.input(f"in{number}", int(rng.integers(1, 6))), int(rng.integers(2, 10))
        p = net.population(f"p{number}", size, **_neuron(rng, size, arch, random_parts))
        net.connect(source, p, _sparse(rng, source.size, size, most=2, values=[-1, 1, 2]))
        recurrent = _sparse(rng, size, size, most=2, values=[-1, 1])
        chance = random_parts and rng.random() < 0.7
        net.connect(p, p, recurrent, delay=int(rng.integers(1, LONGEST + 1)), stochastic=chance)
        net.output(f"out{number}", p)
    return net


def many_levels(arch: Architecture, rng: np.random.Generator, random_parts: bool) -> Network:
    """Weights of so many values, that differ from neuron to neuron, that sources need codes of several axons."""
    net = Network("many_levels")
    n, size = int(rng.integers(1, 5)), int(rng.integers(2, 10))
    source, p = net.input("in", n), net.population("p", size, **_neuron(rng, size, arch, random_parts))
    net.connect(source, p, rng.integers(-7, 8, (n, size)))
    q = net.population("q", int(rng.integers(2, 5)), threshold=3, reset_mode="linear")
    net.connect(p, q, _sparse(rng, p.size, q.size, most=3, values=list(range(1, 6))))
    net.output("q", q)
    net.output("p", p)
    return net


def late_starts(arch: Architecture, rng: np.random.Generator, random_parts: bool) -> Network:
    """Random neurons that reach several cores through relays, so that what they feed, tonic or not, starts late."""
    net = Network("late_starts")
    source = net.population("source", int(rng.integers(2, 5)), threshold_mask_bits=1, leak=1, threshold=2)
    for number in range(rng.integers(2, 4)):
        size = arch.core.neurons if arch.core.neurons < 32 else 200
        target = net.population(f"t{number}", size, **_quiet(rng))
        net.connect(source, target, rng.choice([1, 2], (source.size, size)))
        net.output(f"out{number}", target)
    return net


def _quiet(rng: np.random.Generator) -> dict[str, object]:
    """A neuron whose membrane may move before its time 0, but for a spike."""
    tonic = {"threshold": int(rng.integers(4, 9)), "leak": 1, "initial": int(rng.integers(1, 4))}
    falling = {"threshold": 3, "leak": -1, "initial": 0, "floor": int(rng.integers(5, 9))}
    resting = {"threshold": 3, "initial": int(rng.integers(-3, 3)), "floor": int(rng.integers(0, 9))}
    values: dict[str, object] = dict([tonic, falling, resting][rng.integers(3)])
    return values | {
        "reset_mode": str(rng.choice(["value", "linear", "none"])),
        "floor_mode": str(rng.choice(["saturate", "reset"])),
        "leak_reversal": bool(rng.random() < 0.3),
        "threshold_mask_bits": int(rng.choice([0, 0, 2])),
    }


def _sparse(rng: np.random.Generator, n: int, size: int, most: int, values: list[int]) -> np.ndarray:
    """Weights [n, size] with at most ``most`` in a column."""
    weights = np.zeros((n, size), np.int64)
    for column in range(size):
        chosen = rng.permutation(n)[: rng.integers(1, most + 1)]
        weights[chosen, column] = rng.choice(values, len(chosen))
    return weights


def mixed(arch: Architecture, rng: np.random.Generator, random_parts: bool) -> Network:
    """Anything."""
    net = Network("mixed")
    _add_mixed(net, arch, rng, random_parts)
    return net


def merging(arch: Architecture, rng: np.random.Generator, random_parts: bool) -> Network:
    """Lines and neurons that share axons by their weights, more of them than a core has; some close cycles."""
    net = Network("merging")
    places = _layers(net, arch, rng, random_parts, lines=(5, 40), count=(1, 4), sizes=(2, 12))
    for number, target in enumerate(places[1:]):
        for source in {places[number].name: places[number], places[-1].name: places[-1]}.values():
            weights = rng.choice([0, 0, 1, 1, -1, 2], (source.size, target.size))
            merge = "or" if rng.random() < 0.8 or source.size > arch.core.axons else "sum"
            net.connect(source, target, weights, delay=int(rng.integers(1, 9)), merge=merge)
    net.output("out", places[-1])
    return net


KINDS: dict[str, Callable[[Architecture, np.random.Generator, bool], Network]] = {
    item.__name__: item
    for item in (mixed, feed_forward, delay_lines, wide, shared_inputs, components, many_levels, late_starts, merging)
}
"""Makers of networks, by name."""


def network_of(kind: str, arch: Architecture, seed: int, *, random_parts: bool = False) -> Network:
    """A network of one of the KINDS."""
    return KINDS[kind](arch, np.random.default_rng(seed), random_parts)


def larger(arch: Architecture, columns: int, rows: int, chips: tuple[int, int] = (1, 1)) -> Architecture:
    """The chip with another mesh, tiled to a board if asked; packets travel over all of it."""
    x, y = columns * chips[0] - 1, rows * chips[1] - 1
    reach = {"dx": {"min": -x, "max": x}, "dy": {"min": -y, "max": y}}
    return Architecture.model_validate(
        arch.model_dump()
        | {
            "mesh": {"columns": columns, "rows": rows},
            "board": {"columns": chips[0], "rows": chips[1]},
            "routing": arch.routing.model_dump() | {"reach": reach},
        }
    )


def random_spikes(net: Network, seed: int, ticks: int) -> Spikes:
    """Input spikes on all lines of a network, now dense, now sparse."""
    rng = np.random.default_rng(seed)
    lines = sum(item.size for item in net.inputs.values())
    n = int(rng.integers(0, 4 * ticks)) if lines else 0
    return Spikes.from_lines(rng.integers(0, ticks, n), rng.integers(0, max(lines, 1), n))


def wide_chip() -> Architecture:
    """The tiny chip with wider cores: a core of it has so few axons that no neuron can gather bursts."""
    tiny = load_architecture("tiny")
    core = tiny.core.model_copy(update={"axons": 31, "neurons": 37, "axon_types": 4})
    neuron = tiny.neuron.model_copy(
        update={
            "threshold": Range(min=0, max=1021),
            "membrane": Range(min=-1801, max=1801),
        }
    )
    mesh = tiny.mesh.model_copy(update={"columns": 5, "rows": 13})
    reach = tiny.routing.reach.model_copy(update={"dy": Range(min=-12, max=12)})
    routing = tiny.routing.model_copy(update={"reach": reach})
    return tiny.model_copy(update={"name": "small", "core": core, "neuron": neuron, "mesh": mesh, "routing": routing})


def wide_network(arch: Architecture, seed: int) -> Network:
    """A network of which some neurons read more than a core has axons for; most are of the kind that can be dilated."""
    rng = np.random.default_rng(seed)
    axons = arch.core.axons
    net = Network(f"wide{seed}")
    places = [net.input("in", int(rng.integers(axons, 3 * axons)))]
    for number in range(rng.integers(1, 4)):
        size = int(rng.integers(1, 2 * axons if rng.random() < 0.3 else 8))
        places.append(net.population(f"p{number}", size, **_quiet_neuron(rng, size, axons)))
    for _ in range(rng.integers(2, 6)):
        source, target = places[rng.integers(0, len(places))], places[rng.integers(1, len(places))]
        shape = (source.size, target.size)
        weights = rng.integers(-int(rng.integers(0, 3)), int(rng.integers(1, 3)) + 1, shape)
        weights = weights * (rng.random(shape) < rng.choice([0.3, 0.7, 1.0]))
        merge = "or" if rng.random() < 0.2 else "sum"
        net.connect(source, target, weights, delay=int(rng.choice([1, 1, 2, 3])), merge=merge)
    _some_outputs(net, places[1:], rng)
    return net


def _quiet_neuron(rng: np.random.Generator, size: int, axons: int) -> dict[str, object]:
    """Parameters that mostly leave a neuron at rest between two ticks."""
    threshold = rng.integers(1, 9, size)
    values: dict[str, object] = {
        "threshold": threshold,
        "leak": int(rng.choice([0, 0, 1, -1, -2])),
        "reset": rng.integers(-2, threshold),
        "floor": int(rng.choice([2, 5, 20])),
        "initial": rng.integers(-2, threshold),
    }
    if rng.random() < 0.2:
        values.update(reset_mode="linear", threshold=threshold + (4 * axons if rng.random() < 0.3 else 0))
    if rng.random() < 0.05:
        values.update(reset_mode="none")
    return values


def counting_network(arch: Architecture, seed: int, *, random_parts: bool = True) -> Network:
    """A network whose widest neurons mostly need to count few spikes, so that lines can tell them; some may be random."""
    rng = np.random.default_rng(seed)
    axons = arch.core.axons
    net = Network(f"counting{seed}")
    places = [net.input("in", int(rng.integers(axons, 4 * axons)))]
    for number in range(rng.integers(1, 4)):
        size = int(rng.integers(1, 2 * axons if rng.random() < 0.3 else 8))
        places.append(net.population(f"p{number}", size, **_counting_neuron(rng, size, random_parts)))
    for number in range(rng.integers(2, 6)):
        source = places[0] if number == 0 else places[rng.integers(0, len(places))]
        target = places[rng.integers(1, len(places))]
        weights = _counted(rng, source.size, target.size)
        delay, merge = int(rng.choice([1, 2, 2, 3])), "or" if rng.random() < 0.2 else "sum"
        net.connect(source, target, weights, delay=delay, merge=merge)
    if random_parts and rng.random() < 0.4:
        last = net.population("drawn", 3, threshold=2)
        net.connect(places[1], last, _sparse(rng, places[1].size, 3, most=4, values=[-9, 7, 12]), stochastic=True)
        net.output("drawn", last)
    _some_outputs(net, places[1:], rng)
    return net


def _counted(rng: np.random.Generator, n: int, size: int) -> np.ndarray:
    """Weights that are mostly of one sign and have few values."""
    values = rng.choice([1, 2, 3, 6], int(rng.integers(1, 3))) * int(rng.choice([1, 1, 1, -1]))
    weights = rng.choice(values, (n, size)) * (rng.random((n, size)) < rng.choice([0.3, 0.7, 1.0]))
    few = rng.random((n, size)) < rng.choice([0.0, 0.02])
    return np.where(few, -weights, weights)


def _counting_neuron(rng: np.random.Generator, size: int, random_parts: bool) -> dict[str, object]:
    """Parameters of neurons that forget most of what they count."""
    values: dict[str, object] = {
        "threshold": rng.integers(1, 7, size),
        "leak": int(rng.choice([0, 0, 1, -1, -5])),
        "floor": int(rng.choice([0, 0, 2])),
        "reset": int(rng.choice([0, 0, 0, 1, -1])),
        "floor_mode": str(rng.choice(["saturate", "saturate", "saturate", "reset"])),
        "leak_reversal": bool(rng.random() < 0.15),
        "leak_stochastic": bool(rng.random() < 0.15 * random_parts),
        "threshold_mask_bits": int(rng.choice([0, 0, 0, 0, 2 * random_parts])),
    }
    if rng.random() < 0.1:
        values["reset_mode"] = str(rng.choice(["linear", "none"]))
    return values
