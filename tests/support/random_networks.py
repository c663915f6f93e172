"""Generated networks for the compiler's property tests: small, and rich in what makes mapping hard."""

from __future__ import annotations

import numpy as np

from neurocore.architecture import Architecture, Range, load_architecture
from neurocore.compiler.network import Network
from neurocore.spikes import Spikes


def random_network(arch: Architecture, seed: int, *, random_parts: bool = False, merging: bool = False) -> Network:
    """A network with recurrence, signed and multi-valued weights, all reset modes, delays beyond the chip's, tonic neurons.

    With ``merging`` most projections merge the spikes of sources of one weight.
    """
    rng = np.random.default_rng(seed)
    small = arch.core.neurons < 32
    net = Network(f"random{seed}")
    places = [net.input("in", int(rng.integers(1, 10)))]
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
        delay = int(rng.choice([1, 1, 2, 3, 5, 20, 50]))
        merge = "or" if merging and rng.random() < 0.7 else "sum"
        net.connect(source, target, weights, delay=delay, stochastic=bool(stochastic), merge=merge)
    for place in places[1:]:
        if rng.random() < 0.6:
            net.output(f"out_{place.name}", place)
    return net


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


def random_spikes(net: Network, seed: int, ticks: int) -> Spikes:
    """Input spikes on all lines of a network, now dense, now sparse."""
    rng = np.random.default_rng(seed)
    lines = sum(item.size for item in net.inputs.values())
    n = int(rng.integers(0, 4 * ticks))
    return Spikes.from_lines(rng.integers(0, ticks, n), rng.integers(0, lines, n))


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
    for place in places[1:]:
        if rng.random() < 0.6:
            net.output(f"out_{place.name}", place)
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
