"""Stages of the compiler on small networks: their text forms, and the facts that they promise."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from neurocore.compiler.network import Conv2d, Network
from neurocore.compiler.pipeline import compile_network, compile_with_report, estimate_network
from neurocore.compiler.verify import verify
from neurocore.config import ChipConfig
from neurocore.emulator import Emulator
from neurocore.spikes import Spikes


def run(chip: ChipConfig, spikes: Spikes, ticks: int) -> Spikes:
    return Emulator(chip).run(spikes, ticks).spikes


def small() -> Network:
    """Fan-out by copies and by a relay row, a long delay, a weight that needs two axons, a tonic pacemaker."""
    net = Network("small")
    x = net.input("x", 3)
    noisy = net.population("noisy", 2, threshold=2, threshold_mask_bits=1)
    sums = net.population("sums", (2, 2), threshold=3, reset_mode="linear")
    pace = net.population("pace", 1, threshold=5, leak=1)
    net.connect(x, noisy, [[1, 0], [1, 1], [0, 1]])
    net.connect(noisy, sums, [[1, 2, 3, -1], [2, 1, -2, 1]], delay=2)
    net.connect(pace, sums, all_to_all=1, delay=20)
    net.connect(sums, sums, one_to_one=-1)
    net.output("sums", sums)
    net.output("pace", pace)
    return net


def test_stage_dumps(golden: Callable[[str, str], None]) -> None:
    _, report = compile_with_report(small(), "tiny")
    for stage in ("network", "partition", "routing"):
        golden(f"small.{stage}.txt", report.dumps[stage]())


def test_same_input_same_bytes(tmp_path) -> None:
    for name in ("a", "b"):
        compile_network(small(), "tiny", seed=3).save(str(tmp_path / name))
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_placement_seed_changes_no_spike() -> None:
    spikes = Spikes.from_lines(np.arange(60) % 40, np.arange(60) % 3)
    first, second = (compile_network(small(), "tiny", seed=seed) for seed in (1, 2))
    assert run(first, spikes, 80) == run(second, spikes, 80)


def test_a_board_gives_the_same_spikes() -> None:
    """One chip or a board of sixteen: placement and chip edges change no spike."""
    spikes = Spikes.from_lines(np.arange(60) % 40, np.arange(60) % 3)
    first, second = (compile_network(small(), name) for name in ("truenorth", "ns16e"))
    assert run(first, spikes, 80) == run(second, spikes, 80)


def test_estimate_agrees_with_the_compilation() -> None:
    estimate, (_, report) = estimate_network(small(), "tiny"), compile_with_report(small(), "tiny")
    for name in ("cores", "neurons", "axons", "copies", "relays", "latency"):
        assert getattr(estimate, name) == getattr(report, name), name


@pytest.mark.parametrize(("stride", "padding", "groups"), [(1, 0, 1), (2, 1, 1), (1, 1, 2), ((2, 1), (0, 1), 2)])
def test_convolution(stride, padding, groups) -> None:
    """Unrolled synapses equal a cross-correlation computed directly."""
    rng = np.random.default_rng(1)
    image = rng.integers(0, 2, (4, 7, 6))
    kernel = rng.integers(-2, 3, (6, 4 // groups, 3, 3))
    s, p = np.broadcast_to(stride, 2), np.broadcast_to(padding, 2)
    padded = np.pad(image, ((0, 0), (p[0], p[0]), (p[1], p[1])))
    rows, columns = ((padded.shape[k + 1] - 3) // s[k] + 1 for k in range(2))
    expected = np.zeros((6, rows, columns), np.int64)
    for out in range(6):
        first = out // (6 // groups) * (4 // groups)
        for row in range(rows):
            for column in range(columns):
                window = padded[
                    first : first + 4 // groups, row * s[0] : row * s[0] + 3, column * s[1] : column * s[1] + 3
                ]
                expected[out, row, column] = (window * kernel[out]).sum()
    net = Network("conv")
    source = net.input("image", (4, 7, 6))
    features = net.population("features", (6, rows, columns), threshold=1000)
    net.connect(source, features, conv2d=Conv2d(kernel, stride, padding, groups))
    chip = compile_network(net)
    emulator = Emulator(chip, probes=["features:membrane"])
    lines = np.flatnonzero(image)
    result = emulator.run(Spikes.from_lines(np.zeros(len(lines)), lines), 2)
    np.testing.assert_array_equal(result.probes["features:membrane"].membranes[1], expected.ravel())


def test_large_population_is_divided() -> None:
    """A thousand neurons of local receptive fields on several cores, equal to the network."""
    rng = np.random.default_rng(1)
    net = Network("large")
    x, p = net.input("x", 1000), net.population("p", 1000, threshold=2)
    weights = np.zeros((1000, 1000), np.int64)
    for step, weight in ((0, 2), (1, -1), (2, 1)):
        weights[np.arange(1000), (np.arange(1000) + step) % 1000] = weight
    net.connect(x, p, weights)
    net.output("p", p)
    chip, report = compile_with_report(net)
    assert 4 <= report.cores <= 12
    spikes = Spikes.from_lines(rng.integers(0, 30, 3000), rng.integers(0, 1000, 3000))
    assert verify(net, chip, spikes, 30, run).equal


def test_populations_share_a_core() -> None:
    net = Network("many")
    x = net.input("x", 4)
    for number in range(20):
        population = net.population(f"p{number}", 5, threshold=number % 3 + 1)
        net.connect(x, population, np.full((4, 5), number % 4 - 1))
        net.output(f"o{number}", population)
    assert compile_with_report(net)[1].cores == 1


def test_recurrent_population_of_a_full_core() -> None:
    """256 neurons, all to all at delay 1: one core, no relay, no copy."""
    net = Network("full")
    p = net.population("p", 256, threshold=3, leak=1)
    net.connect(p, p, all_to_all=1)
    _, report = compile_with_report(net)
    assert (report.cores, report.copies, report.relays) == (1, 0, 0)


def test_random_recurrent_neurons_may_be_outputs() -> None:
    """They cannot be copied and their loop leaves no time for a relay row: relays tap the axon that the loop uses."""
    net = Network("competition")
    x = net.input("x", 20)
    e = net.population("e", 20, threshold=6, leak=5, leak_stochastic=True, reset_mode="linear")
    i = net.population("i", 5, threshold=2, threshold_mask_bits=2)
    net.connect(x, e, one_to_one=2)
    net.connect(e, i, all_to_all=1)
    net.connect(i, e, all_to_all=-1)
    net.connect(e, e, one_to_one=2, delay=3)
    net.output("e", e)
    net.output("i", i)
    chip, report = compile_with_report(net)
    assert (report.cores, report.copies) == (1, 0)
    rng = np.random.default_rng(0)
    spikes = Spikes.from_lines(rng.integers(0, 200, 800), rng.integers(0, 20, 800))
    verdict = verify(net, chip, spikes, 200, run)
    assert verdict.equal
    assert verdict.spikes_compared > 50


def test_maps_are_cut_into_the_best_tiles() -> None:
    """A convolution of which a core holds all channels of two positions, not few channels of many."""
    rng = np.random.default_rng(1)
    net = Network("maps")
    image, features = net.input("image", (8, 13, 13)), net.population("features", (16, 6, 6), threshold=3)
    net.connect(image, features, conv2d=Conv2d(rng.integers(-1, 2, (16, 8, 3, 3)), stride=2))
    net.output("features", features)
    assert compile_with_report(net)[1].cores <= 18


def test_the_longest_delay() -> None:
    """A chain of four thousand relays."""
    net = Network("far")
    p, q = net.population("p", 1, threshold=2, leak=1), net.population("q", 1)
    net.connect(p, q, one_to_one=1, delay=65_535)
    net.output("q", q)
    chip, report = compile_with_report(net)
    assert report.relays == -(-65_535 // 15) - 1
    ticks = 65_600
    spikes = Emulator(chip).run(None, ticks).spikes
    assert spikes.tick.tolist() == list(range(1 + 65_535, ticks, 2))
