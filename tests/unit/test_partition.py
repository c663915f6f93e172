"""How well neurons are packed into cores: tiles against brute force, groups of shuffled networks, bounds and estimates."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from neurocore.architecture import Architecture, load_architecture
from neurocore.compiler import fit
from neurocore.compiler.check import check
from neurocore.compiler.cutter import Cutter
from neurocore.compiler.divide import make_room
from neurocore.compiler.estimate import count_synapses
from neurocore.compiler.groups import by_chains
from neurocore.compiler.network import Conv2d, Network
from neurocore.compiler.partition import Partition, partition
from neurocore.compiler.pipeline import MOST_ROUTED, compile_with_report, estimate_network
from neurocore.compiler.tiles import tile_order, tile_shapes
from neurocore.compiler.verify import verify
from neurocore.emulator import Emulator
from neurocore.spikes import Spikes

BENCH = Path(__file__).resolve().parents[2] / "tools" / "bench_compile.py"


def convolution(seed: int) -> Network:
    rng = np.random.default_rng(seed)
    groups, side = int(rng.choice([1, 2])), int(rng.integers(2, 4))
    net = Network("conv")
    image = net.input("image", (2, *rng.integers(5, 9, 2)))
    stride = int(rng.integers(1, 3))
    rows, columns = ((size - side) // stride + 1 for size in image.shape[1:])
    features = net.population("features", (4, rows, columns), threshold=3)
    kernel = rng.integers(-1, 2, (4, 2 // groups, side, side))
    net.connect(image, features, conv2d=Conv2d(kernel, stride=stride, groups=groups))
    return net


def fewest_cores(cutter: Cutter, shape: tuple[int, ...], arch: Architecture) -> int:
    """By brute force: one core for every tile of rows, columns and channels, of all shapes whose tiles fit."""
    channels, rows, columns = shape
    number = np.arange(channels * rows * columns).reshape(shape)
    best = number.size
    for height in range(1, rows + 1):
        for width in range(1, columns + 1):
            for depth in range(1, channels + 1):
                if height * width * depth > arch.core.neurons:
                    break
                tiles = [
                    number[c : c + depth, y : y + height, x : x + width].reshape(-1)
                    for c in range(0, channels, depth)
                    for y in range(0, rows, height)
                    for x in range(0, columns, width)
                ]
                if len(tiles) < best and all(cutter.need(tile)[0] <= arch.core.axons for tile in tiles):
                    best = len(tiles)
    return best


@pytest.mark.parametrize("seed", range(12))
def test_no_tile_is_better(seed: int) -> None:
    """The search over tile shapes with greedy cuts needs no more cores than the best of all tiles."""
    axons, neurons = [(40, 48), (37, 19), (64, 50), (53, 70)][seed % 4]
    arch = load_architecture("truenorth")
    arch = arch.model_copy(update={"core": arch.core.model_copy(update={"axons": axons, "neurons": neurons})})
    net = convolution(seed)
    cutter = Cutter(check(net, arch), arch)
    shape = net.populations["features"].shape
    found = len(partition(cutter.network, arch, {}, cutter).members)
    assert found <= fewest_cores(cutter, shape, arch)


def test_tiles_are_orders() -> None:
    """Every order has every neuron once; a tile's channels follow one another."""
    number = np.arange(3 * 4 * 5).reshape(3, 4, 5)
    for height, width in tile_shapes(number.shape, 12):
        assert height * width <= 12
        order = tile_order(number, height, width)
        assert sorted(order.neurons.tolist()) == list(range(60))
        assert len(order.breaks) == -(-4 // height) * -(-5 // width)
        part = order.neurons[: 3 * height * width].reshape(3, height, width)
        np.testing.assert_array_equal(part, number[:, :height, :width])


def shuffled_ring(n: int, reach: int) -> Network:
    """Neurons that read their neighbours on a ring, renumbered at random."""
    new = np.random.default_rng(1).permutation(n)
    step = np.concatenate([np.arange(-reach, 0), np.arange(1, reach + 1)])
    target = np.repeat(np.arange(n), len(step))
    source = (target + np.tile(step, n)) % n
    net = Network("ring")
    ring = net.population("ring", n, threshold=3)
    edges = {"source": new[source], "target": new[target], "weight": np.ones(len(source), np.int8)}
    net.connect(ring, ring, edges=edges)
    return net


def test_shuffled_neighbours_are_found_again() -> None:
    """2,000 neurons: as numbered, dozens of cores; by their wiring, little more than neurons and fan-out need."""
    report = compile_with_report(shuffled_ring(2000, 4))[1]
    assert report.cores <= 11
    assert report.relays == 0
    assert report.cores_lower_bound == report.least_cores == 8


def test_groups_are_the_same_every_time() -> None:
    first, second = (compile_with_report(shuffled_ring(1500, 4))[1].dumps["partition"]() for _ in range(2))
    assert first == second


def test_the_report_bounds_the_cores() -> None:
    """Sources bound the cores where they outnumber the neurons."""
    net = Network("wide")
    x = net.input("x", 1000)
    p = net.population("p", 100)
    net.connect(x, p, edges={"source": np.arange(1000), "target": np.arange(1000) // 10, "weight": np.ones(1000)})
    report = compile_with_report(net)[1]
    assert (report.least_cores, report.cores_lower_bound) == (1, 4)
    assert report.cores_by_axons == 4
    assert report.binds == "axons"
    assert report.packets_per_tick == pytest.approx(50)


def scattered_groups(n_groups: int, size: int, fan_in: int) -> Network:
    """Groups of neurons that read some of ``size`` sources of their own each, all numbered at random."""
    rng = np.random.default_rng(5)
    n = n_groups * size
    reads = np.argsort(rng.random((n, size)), axis=1)[:, :fan_in] + np.repeat(np.arange(n_groups), size)[:, None] * size
    net = Network("scattered")
    target = np.repeat(rng.permutation(n), fan_in)
    edges = {"source": rng.permutation(n)[reads.ravel()], "target": target, "weight": np.ones(n * fan_in, np.int64)}
    here = net.population("p", n, threshold=9)
    net.connect(net.input("x", n), here, edges=edges)
    net.output("y", here)
    return net


def test_scattered_groups_too_many_to_anneal_are_found(
    truenorth: Architecture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sources and neurons numbered at random: chains of readers find the groups, each of which fills a core."""
    network = check(scattered_groups(32, 256, 64), truenorth)
    monkeypatch.setattr("neurocore.compiler.partition.MOST_COUNTS", 1_000_000)
    monkeypatch.setattr("neurocore.compiler.regroup.find_groups", None)
    assert [len(core) for core in partition(network, truenorth, {}).members] == [256] * 32


def loose_groups(n_groups: int, size: int, density: float, *, tied: float = 1.0, in_degree: bool = False) -> Network:
    """Groups of neurons that read one another, all numbered at random.

    Of every neuron, or of those that are ``tied``, one of another group reads it too; with ``in_degree`` it reads that one.
    """
    rng = np.random.default_rng(7)
    n = n_groups * size
    inside = np.flatnonzero(rng.random(n * size) < density)
    source, target = inside // size, inside // size**2 * size + inside % size
    away = rng.integers(size, n, n)
    new = rng.permutation(n)
    one = np.flatnonzero(rng.random(n) < tied)
    other = (one // size * size + away[one]) % n
    ties = (other, one) if in_degree else (one, other)
    edges = {
        "source": new[np.concatenate([source, ties[0]])],
        "target": new[np.concatenate([target, ties[1]])],
        "weight": np.ones(len(inside) + len(one), np.int64),
    }
    net = Network("loose")
    here = net.population("p", n, threshold=60)
    net.connect(here, here, edges=edges)
    return net


@pytest.mark.parametrize("most_counts", [1_000_000, 200_000_000], ids=["chains", "annealed"])
@pytest.mark.parametrize(("size", "density"), [(112, 1.0), (112, 0.5), (100, 0.5)])
def test_groups_with_a_synapse_elsewhere_stay_together(
    size: int, density: float, most_counts: int, truenorth: Architecture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every neuron reads another group as well: that takes axons of its core, but draws no neuron out of its group."""
    monkeypatch.setattr("neurocore.compiler.partition.MOST_COUNTS", most_counts)
    network = check(loose_groups(40, size, density), truenorth)
    assert partition(network, truenorth, {}).n_cores <= 41


@pytest.mark.parametrize("in_degree", [False, True])
def test_groups_larger_than_a_core_are_cut_with_room_for_copies(in_degree: bool, truenorth: Architecture) -> None:
    """Half-dense groups of 200: as many neurons as axons allow leave no room for copies, four cores of 50 do."""
    net = loose_groups(12, 200, 0.5, in_degree=in_degree)
    network = check(net, truenorth)
    assert partition(network, truenorth, {}).n_cores <= 50
    report = compile_with_report(net)[1]
    assert report.cores <= 50
    assert report.relays == 0


def test_groups_of_many_sizes_are_cut_where_they_end(truenorth: Architecture, monkeypatch: pytest.MonkeyPatch) -> None:
    """Groups, of which a core holds one and a part of another: that part would need a copy of every neuron of its group."""
    monkeypatch.setattr("neurocore.compiler.partition.MOST_COUNTS", 1_000_000)
    net = loose_groups(60, 112, 1.0, tied=0.25)
    cutter = Cutter(check(net, truenorth), truenorth)
    assert partition(cutter.network, truenorth, {}, cutter).n_cores <= 60
    report = compile_with_report(net)[1]
    assert report.cores <= 60
    assert report.relays == 0


def test_only_cores_without_room_for_copies_are_divided(truenorth: Architecture) -> None:
    """Two groups fill a core and few of the cores are over: the others stay as they are, and the chip is proved."""
    report = compile_with_report(loose_groups(40, 60, 1.0))[1]
    assert report.copies > 2000
    assert (report.relays, report.latency) == (0, 0)
    assert 20 <= report.cores <= 24


def test_division_makes_room(truenorth: Architecture) -> None:
    """Every neuron is in one core as before, and those of divided cores have room for a target for each core that reads them."""
    network = check(recurrent(2000, 29), truenorth)
    cutter = Cutter(network, truenorth)
    cores = np.split(np.arange(2000), np.arange(8, 2000, 8))
    divided = make_room(cutter, cores, {0})
    assert divided is not None
    assert len(cores) < len(divided) <= 1.25 * len(cores)
    np.testing.assert_array_equal(np.sort(np.concatenate(divided)), np.arange(2000))
    assert all(set(part.tolist()) <= set(range(part.min() // 8 * 8, part.min() // 8 * 8 + 8)) for part in divided)
    core_of = Partition(tuple(divided), ("",) * len(divided)).core_of(2000)
    wanted = np.bincount(network.output_neuron, minlength=2000)
    for core in range(len(divided)):
        mine = core_of[network.target_of(np.arange(network.n_synapses))] == core
        read = np.unique(np.stack([network.source[mine], network.weight[mine]]), axis=1)[0] - network.n_inputs
        np.add.at(wanted, read[read >= 0], 1)
    assert all(np.maximum(wanted[part], 1).sum() <= truenorth.core.neurons for part in divided)


def test_division_gives_up_where_most_cores_lack_room(truenorth: Architecture) -> None:
    network = check(recurrent(600, 20), truenorth)
    assert make_room(Cutter(network, truenorth), np.split(np.arange(600), 20), {0}) is None
    assert len(make_room(Cutter(network, truenorth), np.split(np.arange(600), 20), {}) or []) == 20


def test_chains_find_no_groups_in_random_wiring() -> None:
    """So that large networks without structure are refused without a long search."""
    net = np.sort(np.random.default_rng(1).integers(0, 20_000, (20_000, 30)), axis=1)
    assert by_chains(np.arange(20_001) * 30, net.ravel()) is None
    assert by_chains(np.arange(20_001) * 30, (net % 50 + np.arange(20_000)[:, None] // 400 * 50).ravel()) is not None


# ---------------------------------------------------------------- estimates


def dense_layers(n: int, size: int) -> Network:
    rng = np.random.default_rng(1)
    net = Network("layers")
    last = net.input("x", size)
    for number in range(n):
        here = net.population(f"p{number}", size, threshold=9)
        net.connect(last, here, (rng.random((size, size)) < 0.5).astype(np.int8))
        last = here
    net.output("y", last)
    return net


def strided(side: int) -> Network:
    rng = np.random.default_rng(1)
    net = Network("maps")
    image = net.input("image", (4, side, side))
    maps = net.population("maps", (16, side // 2, side // 2), threshold=3)
    net.connect(image, maps, conv2d=Conv2d(rng.integers(-1, 2, (16, 4, 3, 3)), stride=2, padding=1))
    net.output("maps", maps)
    return net


@pytest.mark.parametrize("net", [dense_layers(8, 240), strided(64)], ids=["dense", "convolution"])
def test_estimates_from_shapes_are_close(net: Network) -> None:
    assert count_synapses(net) > MOST_ROUTED
    estimate, (_, report) = estimate_network(net), compile_with_report(net)
    assert estimate.basis == "shapes"
    assert estimate.cores == pytest.approx(report.cores, rel=0.15)
    assert estimate.axons == pytest.approx(report.axons, rel=0.25)
    assert estimate.latency == report.latency
    assert estimate.cores_lower_bound == report.cores_lower_bound
    assert estimate.packets_per_tick == pytest.approx(report.packets_per_tick, rel=0.2)


def test_estimates_expand_no_synapses() -> None:
    """Ten billion synapses by shape: nothing of that size is made."""
    net = Network("huge")
    x, p = net.input("x", 200), net.population("p", 50_000_000)
    net.connect(x, p, all_to_all=1)
    report = estimate_network(net)
    assert report.basis == "shapes"
    assert report.cores == -(-50_000_000 // 256)
    assert report.warnings[0].startswith("W-CAP network 'huge': about 195,313 cores are needed; 'truenorth' has 4,096")


def recurrent(n: int, fan_in: int) -> Network:
    """Random wiring whose shortest cycles, of one tick, leave no time for relays."""
    rng = np.random.default_rng(3)
    net = Network("recurrent")
    here = net.population("p", n, threshold=9)
    source = np.concatenate([rng.choice(n, fan_in, replace=False) for _ in range(n)])
    edges = {"source": source, "target": np.repeat(np.arange(n), fan_in), "weight": rng.integers(1, 3, len(source))}
    net.connect(net.input("x", n), here, one_to_one=9)
    net.connect(here, here, edges=edges)
    net.output("y", here)
    return net


@pytest.mark.parametrize(
    ("net", "within"),
    [(loose_groups(20, 112, 1.0), 0.05), (loose_groups(40, 60, 1.0), 0.1), (recurrent(700, 29), 0.1)],
    ids=["groups of 112", "groups of 60", "random"],
)
def test_estimates_of_recurrent_networks_are_close(net: Network, within: float) -> None:
    assert count_synapses(net) <= MOST_ROUTED
    estimate, (_, report) = estimate_network(net), compile_with_report(net)
    assert estimate.cores == pytest.approx(report.cores, rel=within)
    assert estimate.axons == pytest.approx(report.axons, rel=within)
    assert (estimate.relays, estimate.latency) == (report.relays, report.latency) == (0, 0)


def test_cores_cut_anew_spike_as_the_network_does() -> None:
    """Eight neurons a core by axons, of which some cores have no room for their copies: few more cores are needed."""
    net = recurrent(700, 29)
    chip, report = compile_with_report(net)
    assert report.cores <= 1.05 * 700 / 8
    rng = np.random.default_rng(1)
    spikes = Spikes.from_lines(rng.integers(0, 60, 2000), rng.integers(0, 700, 2000))
    verdict = verify(net, chip, spikes, 60, lambda *run: Emulator(run[0]).run(*run[1:]).spikes)
    assert verdict.equal
    assert verdict.spikes_compared > 2000


@pytest.mark.parametrize(("n", "fan_in"), [(600, 20), (900, 30)])
def test_estimates_pass_over_divisions_without_room_for_copies(
    n: int, fan_in: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An estimate finds what halving the neurons of a core again and again finds, with fewer partitions.

    So it is where neurons cannot be cut anew with room for their copies.
    """
    monkeypatch.setattr(fit, "can_recut", lambda cutter, populations: False)
    monkeypatch.setattr("neurocore.compiler.partition.recut", lambda cutter, runs, populations: None)
    tried: list[dict[int, int]] = []

    def count(*arguments: Any) -> Partition:
        tried.append(dict(arguments[2]))
        return partition(*arguments)

    monkeypatch.setattr(fit, "partition", count)
    found, jumps = estimate_network(recurrent(n, fan_in)).as_dict(), len(tried)
    monkeypatch.setattr(fit, "first_with_room", lambda cutter, parts, number, limit: limit)
    halved = estimate_network(recurrent(n, fan_in)).as_dict()
    assert {**found, "seconds": 0} == {**halved, "seconds": 0}
    assert found["copies"] > n
    assert tried[jumps - 1] == tried[-1]
    assert jumps <= 3
    assert len(tried) - jumps > 4


# ---------------------------------------------------------------- size


def measured(case: str) -> dict[str, float]:
    """The report of compiling a network of the benchmark in a process of its own."""
    answer = subprocess.run([sys.executable, str(BENCH), "--child", case], capture_output=True, text=True, check=True)
    result: dict[str, float] = json.loads(answer.stdout.splitlines()[-1])
    return result


@pytest.mark.slow
@pytest.mark.parametrize("case", ["ten_million", "ten_million_edges"])
def test_memory_of_ten_million_synapses(case: str) -> None:
    """11 bytes a synapse are kept; what comes on top is per core."""
    report = measured(case)
    assert report["cores"] == report["cores_lower_bound"] == 320
    assert report["peak_gb"] < 0.8


@pytest.mark.slow
def test_ten_million_synapses_numbered_at_random_compile() -> None:
    """The order given takes tens of thousands of cores; the groups are found, and the chip is proved."""
    report = measured("ten_million_scattered")
    assert report["cores"] == report["cores_lower_bound"] == 320
    assert report["peak_gb"] < 3


@pytest.mark.slow
@pytest.mark.parametrize(("case", "most"), [("plane", 128), ("smallworld", 105)])
def test_sparse_networks_of_16384_neurons(case: str, most: int) -> None:
    report = measured(case)
    assert report["cores"] <= most
    assert report["relays"] == 0
