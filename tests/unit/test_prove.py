"""What the proof says of chips that are not the network, sentence by sentence."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from corruptions import with_array
from neurocore.architecture import Architecture, Range
from neurocore.compiler.check import IntegerNetwork, check
from neurocore.compiler.idling import idled
from neurocore.compiler.network import Network
from neurocore.compiler.pipeline import compile_network
from neurocore.compiler.prove import prove
from neurocore.config import OUTPUT, ChipConfig, InputMap, pack_crossbar
from neurocore.errors import FitError, MismatchError


def noisy_pair(**neuron: object) -> Network:
    """Random neurons that reach two full cores of tiny through relays, so that these start a tick late."""
    net = Network("late")
    source = net.population("source", 4, threshold_mask_bits=1)
    targets = [net.population(f"t{k}", 11, **neuron) for k in range(2)]
    for target in targets:
        net.connect(source, target, np.ones((4, 11), np.int64))
    net.output("t0", targets[0])
    return net


def simple() -> Network:
    """Two lines, two neurons that read them, one that reads those at delay 2."""
    net = Network("simple")
    x, p, q = net.input("x", 2), net.population("p", 2, threshold=2), net.population("q", 1, initial=-1)
    net.connect(x, p, [[1, 2], [-1, 1]])
    net.connect(p, q, [[1], [1]], delay=2)
    net.output("q", q)
    return net


@pytest.fixture
def good(tiny: Architecture) -> tuple[IntegerNetwork, ChipConfig]:
    net = simple()
    return check(net, tiny), compile_network(net, tiny)


def refusal(flat: IntegerNetwork, chip: ChipConfig) -> list[str]:
    with pytest.raises(MismatchError) as error:
        prove(flat, chip.validate())
    return list(error.value.problems)


def at(chip: ChipConfig, population: str, index: int = 0) -> tuple[int, int]:
    """Row and slot of a neuron."""
    number = [group.name for group in chip.populations].index(population)
    row, slot = np.argwhere((chip.cores.population == number) & (chip.cores.index == index))[0]
    return int(row), int(slot)


def put(chip: ChipConfig, field: str, place: tuple[int, ...], value: int) -> ChipConfig:
    array = getattr(chip.cores, field).copy()
    array[place] = value
    return with_array(chip, field, array)


def spot(chip: ChipConfig, row: int, slot: int) -> str:
    return f"core {chip.architecture.core_xy(int(chip.cores.core[row]))} neuron {slot}"


def test_a_parameter(good: tuple[IntegerNetwork, ChipConfig]) -> None:
    flat, chip = good
    place = at(chip, "p", 1)
    assert refusal(flat, put(chip, "threshold", place, 3)) == [
        f"p[1]: threshold is 2 in the network and 3 on the chip ({spot(chip, *place)})"
    ]


def test_a_start_value(good: tuple[IntegerNetwork, ChipConfig]) -> None:
    flat, chip = good
    assert refusal(flat, put(chip, "initial", at(chip, "q"), 0)) == [
        "q[0]: V(0) is -1 in the network, but its image on the chip starts at 0 and idles 0 ticks"
    ]


def test_a_delay(good: tuple[IntegerNetwork, ChipConfig]) -> None:
    flat, chip = good
    place = at(chip, "q")
    assert refusal(flat, put(chip, "delay", at(chip, "p"), 3)) == [
        f"q[0] <- p[0]: the weight at delay 2 is 1 in the network and none on the chip ({spot(chip, *place)})"
    ]


def test_a_weight(good: tuple[IntegerNetwork, ChipConfig]) -> None:
    flat, chip = good
    row, slot = at(chip, "q")
    (axon,) = np.flatnonzero(chip.crossbar_bits(row)[:, slot])[:1]
    kind = int(chip.cores.axon_type[row, axon])
    assert refusal(flat, put(chip, "weight", (row, kind, slot), 5))[0] == (
        f"q[0] <- p[0]: the weight at delay 2 is 1 in the network and 5 on the chip ({spot(chip, row, slot)})"
    )
    assert refusal(flat, put(chip, "weight_stochastic", (row, kind, slot), 1))[0] == (
        f"q[0] <- p[0]: the weight at delay 2 is 1 in the network and 1 (stochastic) on the chip ({spot(chip, row, slot)})"
    )


def test_two_sources_of_an_axon(good: tuple[IntegerNetwork, ChipConfig]) -> None:
    flat, chip = good
    axon = int(chip.cores.target_axon[at(chip, "p", 0)])
    core = int(chip.cores.target_core[at(chip, "p", 0)])
    assert refusal(flat, put(chip, "target_axon", at(chip, "p", 1), axon)) == [
        f"axon {axon} of core {core} has 2 sources; one was expected"
    ]


def test_a_target_that_is_not_configured(good: tuple[IntegerNetwork, ChipConfig]) -> None:
    flat, chip = good
    place = at(chip, "p", 1)
    free = next(core for core in range(15) if core not in chip.cores.core)
    if abs(free % 5 - int(chip.cores.core[place[0]]) % 5) > 4:
        pytest.skip("no free core in reach")
    assert refusal(flat, put(chip, "target_core", place, free)) == [
        f"{spot(chip, *place)} sends to a core that is not configured"
    ]


def test_a_missing_neuron(good: tuple[IntegerNetwork, ChipConfig]) -> None:
    flat, chip = good
    assert "p[1] is not on the chip" in refusal(flat, put(chip, "index", at(chip, "p", 1), 0))


def test_outputs(good: tuple[IntegerNetwork, ChipConfig]) -> None:
    flat, chip = good
    assert refusal(flat, replace(chip, latency=2)) == [
        "output line 0 should show q[0] 2 ticks late; it shows q[0] 0 ticks late"
    ]
    lost = put(chip, "target_core", at(chip, "q"), -1)
    assert refusal(flat, lost) == ["output line 0 is driven by 0 neurons; one was expected"]
    swapped = put(put(lost, "target_core", at(chip, "p", 0), OUTPUT), "target_axon", at(chip, "p", 0), 0)
    assert "output line 0 should show q[0] 0 ticks late; it shows p[0] 0 ticks late" in refusal(flat, swapped)


def test_outputs_that_are_swapped(tiny: Architecture) -> None:
    """Two lines change places: each is driven once, in time, by the wrong neuron."""
    net = Network("two")
    net.output("p", net.population("p", 2, threshold=3, leak=1))
    flat, chip = check(net, tiny), compile_network(net, tiny)
    first, second = at(chip, "p", 0), at(chip, "p", 1)
    swapped = put(put(chip, "target_axon", first, 1), "target_axon", second, 0)
    assert refusal(flat, swapped) == [
        f"output line {line} should show p[{line}] 0 ticks late; it shows p[{1 - line}] 0 ticks late" for line in (1, 0)
    ]


def test_a_latency_without_outputs(tiny: Architecture) -> None:
    net = Network("mute")
    net.connect(net.input("x", 1), net.population("p", 1), [[1]])
    chip = compile_network(net, tiny)
    assert refusal(check(net, tiny), replace(chip, latency=3)) == ["the chip has no outputs that could be 3 ticks late"]


def test_relays(tiny: Architecture) -> None:
    """A relay that reads a second axon, or does not fire at once, is none."""
    net = noisy_pair()
    flat, chip = check(net, tiny), compile_network(net, tiny)
    row, slot = (int(part) for part in np.argwhere(chip.cores.configured & (chip.cores.population < 0))[0])
    sentence = f"{spot(chip, row, slot)} is a relay but does not just repeat one axon"
    for field, value in (("threshold", 2), ("leak", -1), ("initial", -1), ("reset", 1), ("threshold_mask_bits", 1)):
        assert refusal(flat, put(chip, field, (row, slot), value)) == [sentence], field
    bits = np.stack([chip.crossbar_bits(number) for number in range(len(chip.cores))])
    bits[row, int(np.argmin(bits[row, :, slot])), slot] = True
    assert refusal(flat, with_array(chip, "crossbar", pack_crossbar(bits))) == [sentence]


def test_the_certificate(good: tuple[IntegerNetwork, ChipConfig]) -> None:
    flat, chip = good
    assert refusal(flat, replace(chip, network_digest="f" * 64)) == [
        f"the chip says that it was made from network {'f' * 16}; this is {flat.digest()[:16]}"
    ]
    prove(flat, replace(chip, network_digest=""))


def test_cores_that_draw_the_same_numbers(tiny: Architecture) -> None:
    """Their neurons would be correlated, which those of the network are not."""
    net = Network("noise")
    for name in "ab":
        net.population(name, 11, threshold=3, leak=2, leak_stochastic=True)
    flat, chip = check(net, tiny), compile_network(net, tiny)
    assert len(chip.cores) == 2
    x, y = tiny.core_xy(int(chip.cores.core[0]))
    assert refusal(flat, with_array(chip, "stream", np.array([7, 7], np.uint64))) == [
        f"2 cores, the first being core ({x}, {y}), draw the same random numbers: their stream is 7; each needs one of its own"
    ]
    prove(flat, with_array(chip, "stream", np.array([7, 8], np.uint64)))


def test_random_neurons_have_one_image(tiny: Architecture) -> None:
    """A copy of a neuron that turns out to be random would draw numbers of its own."""
    net = noisy_pair()
    net.populations["source"].neuron["threshold_mask_bits"] = 0
    chip = compile_network(net, tiny)
    assert (chip.cores.population == 0).sum() > 4
    flat = check(noisy_pair(), tiny)
    sourced = chip.cores.population == 0
    mask = np.where(sourced, 1, chip.cores.threshold_mask_bits).astype(np.uint8)
    noisy = replace(with_array(chip, "threshold_mask_bits", mask), network_digest="")
    assert "source[0] draws random numbers and has 2 images that would differ" in refusal(flat, noisy)


def test_random_weights_do_not_add_up(tiny: Architecture) -> None:
    """Steps of weights 1 and 2 are not those of a weight 3, though they come from the same source."""

    def network(*weights: int) -> Network:
        net = Network("steps")
        net.connect(net.input("x", 2), net.population("p", 1), [[weights[0]], [weights[1]]], stochastic=True)
        return net

    chip = compile_network(network(1, 2), tiny)
    both = replace(chip, input_map=replace(chip.input_map, line=np.zeros(2, np.int64)), network_digest="")
    row, slot = at(chip, "p")
    assert refusal(check(network(3, 0), tiny), both) == [
        "p[0] <- x[0]: the weight at delay 1 is 3 (stochastic) in the network and 1 (stochastic) and 2 (stochastic) on the chip"
        f" ({spot(chip, row, slot)})"
    ]


def test_relays_above_their_floor(tiny: Architecture) -> None:
    """Where floors may be negative, a relay below one is moved without any input."""
    floors = Range(min=-5, max=tiny.neuron.floor.max)
    arch = tiny.model_copy(update={"neuron": tiny.neuron.model_copy(update={"floor": floors})})
    flat, chip = check(noisy_pair(), arch), compile_network(noisy_pair(), arch)
    row, slot = (int(part) for part in np.argwhere(chip.cores.configured & (chip.cores.population < 0))[0])
    assert refusal(flat, put(chip, "floor", (row, slot), -1)) == [
        f"{spot(chip, row, slot)} is a relay but does not just repeat one axon"
    ]


DRIFTS = {"threshold": 9, "floor": 0, "floor_mode": "reset", "reset_mode": "linear", "threshold_mask_bits": 3}
"""Below its floor of 0 such a neuron is moved by the random part of the floor alone."""


def test_a_late_neuron_whose_floor_is_random(tiny: Architecture) -> None:
    """Once compiled and proved, and wrong from the first tick: without the random part the floor moves it by 0."""
    message = "E-START population 't0': t0[0] must start 1 tick late"
    with pytest.raises(FitError, match=message.replace("[", r"\[").replace("]", r"\]")):
        compile_network(noisy_pair(initial=-3, **DRIFTS), tiny)
    chip = compile_network(noisy_pair(initial=0, **DRIFTS), tiny)
    flat = check(noisy_pair(initial=-3, **DRIFTS), tiny)
    late = (chip.cores.population > 0).nonzero()
    initial = chip.cores.initial.copy()
    initial[late] = -3
    assert refusal(flat, replace(with_array(chip, "initial", initial), network_digest="")) == [
        f"{name}: V(0) is -3 in the network, but its image on the chip starts at -3 and idles 1 tick"
        for name in _first_images(flat, chip)
    ]


def _first_images(flat: IntegerNetwork, chip: ChipConfig) -> list[str]:
    """Names of the first three late neurons, in the order of the chip."""
    row, slot = (chip.cores.population > 0).nonzero()
    neuron = flat.offsets()[chip.cores.population[row, slot]] + chip.cores.index[row, slot]
    return [flat.label(int(item)) for item in neuron[:3]]


@pytest.mark.parametrize("late", [1, 5, 6, 1000, 2**31 - 1])
def test_long_waits_are_cut_short(tiny: Architecture, late: int) -> None:
    """A falling neuron that is reset at its floor comes round every six ticks, a rising one fires."""
    flat = check(noisy_pair(threshold=9, leak=-1, floor=5, floor_mode="reset"), tiny)
    values = {name: column[4:5] for name, column in flat.neuron.items()}
    membrane, disturbed = idled(np.array([0]), np.array([late]), values, tiny)
    assert (int(membrane[0]), bool(disturbed[0])) == (-(late % 6), False)
    values["leak"] = np.array([1])
    _, disturbed = idled(np.array([0]), np.array([late]), values, tiny)
    assert bool(disturbed[0]) == (late >= 9)


def _any(rng: np.random.Generator, names: list[str]) -> str:
    return str(rng.choice(names))


def plain_idling(start: int, late: int, values: dict[str, np.ndarray], arch: Architecture) -> int:
    membrane = np.array([start])
    for _ in range(late):
        membrane, _ = idled(membrane, np.array([1]), values, arch)
    return int(membrane[0])


@pytest.mark.parametrize("seed", range(20))
def test_skipped_ticks_change_nothing(tiny: Architecture, seed: int) -> None:
    """One wait of many ticks is many waits of one."""
    rng = np.random.default_rng(seed)
    net = Network("idle")
    net.population(
        "p",
        1,
        threshold=200,
        leak=int(rng.integers(-9, 3)),
        leak_reversal=bool(rng.random() < 0.3),
        floor=int(rng.integers(0, 30)),
        floor_mode=_any(rng, ["saturate", "reset"]),
        reset_mode=_any(rng, ["value", "linear", "none"]),
        reset=int(rng.integers(-20, 20)),
    )
    values = check(net, tiny).neuron
    start, late = int(rng.integers(-50, 50)), int(rng.integers(1, 300))
    membrane, disturbed = idled(np.array([start]), np.array([late]), values, tiny)
    assert disturbed[0] or int(membrane[0]) == plain_idling(start, late, values, tiny)


def test_a_shared_line_that_comes_twice(good: tuple[IntegerNetwork, ChipConfig]) -> None:
    """A second entry of a line for an axon would merge with the first."""
    flat, chip = good
    columns = {name: getattr(chip.input_map, name) for name in ("line", "core", "axon", "delay")}
    twice = InputMap(*(np.append(values, values[0]) for values in columns.values()))
    axon, core = int(columns["axon"][0]), int(columns["core"][0])
    assert refusal(flat, replace(chip, input_map=twice)) == [
        f"axon {axon} of core {core} has 2 sources; one was expected"
    ]
