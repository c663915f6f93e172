"""Sources that share an axon because the network asks for it: their simultaneous spikes count once."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from neurocore.architecture import load_architecture
from neurocore.compiler.check import check
from neurocore.compiler.network import Network
from neurocore.compiler.pipeline import compile_network, compile_with_report, estimate_network
from neurocore.compiler.prove import prove
from neurocore.compiler.reference import Reference
from neurocore.compiler.verify import verify
from neurocore.compiler.yamlnet import load_network
from neurocore.config import ChipConfig, InputMap
from neurocore.emulator import Emulator
from neurocore.errors import InputError, MismatchError
from neurocore.spikes import Spikes

TRUENORTH = load_architecture("truenorth")
COLUMNS = ("line", "core", "axon", "delay")


def run(chip: ChipConfig, spikes: Spikes, ticks: int) -> Spikes:
    return Emulator(chip, threads=1).run(spikes, ticks).spikes


def pooled(n: int, threshold: int = 2, weight: int = 1) -> Network:
    """One neuron that merges n input lines and counts the ticks in which any of them spikes."""
    net = Network("pool")
    source, pool = net.input("image", n), net.population("pool", 1, threshold=threshold)
    net.connect(source, pool, all_to_all=weight, merge="or")
    net.output("out", pool)
    return net


def test_simultaneous_spikes_count_once() -> None:
    chip = compile_network(pooled(3))
    spikes = Spikes.from_lines([0, 0, 0, 4, 4], [0, 1, 2, 0, 2])
    assert run(chip, spikes, 9).tick.tolist() == [5]


def test_the_reference_says_the_same() -> None:
    simulator = Reference(check(pooled(3), TRUENORTH), TRUENORTH)
    fired = [bool(simulator.tick(np.array(lines, np.int64))[0]) for lines in ([0, 1, 2], [], [], [1, 2], [], [])]
    assert fired == [False, False, False, False, True, False]


def test_different_weights_are_different_unions() -> None:
    """Lines 0 and 1 weigh 2, lines 2 and 3 weigh -1; each pair counts once."""
    net = Network("signed")
    source, target = net.input("in", 4), net.population("p", 1, threshold=1, reset_mode="linear")
    net.connect(source, target, [[2], [2], [-1], [-1]], merge="or")
    net.output("out", target)
    flat = check(net, TRUENORTH)
    assert [flat.unions.members(k).tolist() for k in range(2)] == [[2, 3], [0, 1]]
    assert len(run(compile_network(net), Spikes.from_lines([0] * 4, [0, 1, 2, 3]), 5)) == 1


def test_many_more_sources_than_axons_take_one_axon() -> None:
    chip = compile_network(pooled(5000))
    assert (chip.n_axons, chip.n_neurons, chip.latency) == (1, 1, 0)
    rng = np.random.default_rng(2)
    spikes = Spikes.from_lines(rng.integers(0, 200, 90), rng.integers(0, 5000, 90))
    assert verify(pooled(5000), chip, spikes, 200, run).spikes_compared > 20


def test_neurons_that_also_feed_others_are_copied_or_relayed() -> None:
    """600 neurons on three cores share an axon and have targets of their own besides."""
    net = Network("wide")
    source, wide = net.input("in", 200), net.population("wide", 600, threshold=1)
    pool, other = net.population("pool", 1, threshold=1), net.population("other", 600, threshold=1)
    rng = np.random.default_rng(3)
    net.connect(source, wide, edges=[(int(rng.integers(200)), k, 1) for k in range(600)])
    net.connect(wide, pool, all_to_all=1, delay=2, merge="or")
    net.connect(wide, other, one_to_one=1)
    net.output("pool", pool)
    net.output("other", other)
    chip, report = compile_with_report(net)
    assert report.copies + report.relays > 0
    spikes = Spikes.from_lines(rng.integers(0, 40, 60), rng.integers(0, 200, 60))
    verdict = verify(net, chip, spikes, 50, run)
    assert verdict.equal
    assert verdict.spikes_compared > 60


def test_one_source_per_weight_needs_no_union() -> None:
    net = Network("plain")
    source, target = net.input("in", 2), net.population("p", 1)
    net.connect(source, target, [[1], [2]], merge="or")
    assert len(check(net, TRUENORTH).unions) == 0


def test_digest_tells_merged_from_summed() -> None:
    summed = pooled(3)
    summed.projections[0] = replace(summed.projections[0], merge="sum")
    assert check(summed, TRUENORTH).digest() != check(pooled(3), TRUENORTH).digest()
    assert check(pooled(4), TRUENORTH).digest() != check(pooled(3), TRUENORTH).digest()


def _with_map(chip: ChipConfig, **columns: object) -> ChipConfig:
    entry = {name: getattr(chip.input_map, name).copy() for name in COLUMNS}
    return ChipConfig(**{**chip.__dict__, "input_map": InputMap(**{**entry, **columns})})


def test_the_proof_wants_all_members_on_time_and_no_others() -> None:
    chip, flat = compile_network(pooled(3)), check(pooled(3), TRUENORTH)
    late = chip.input_map.delay + np.array([0, 0, 1])
    sentence = r"axon 0 of core 1984 has 3 sources; one was expected or those of a union, on time for it"
    with pytest.raises(MismatchError, match=sentence):
        prove(flat, _with_map(chip, delay=late))
    with pytest.raises(MismatchError, match=sentence):
        prove(flat, _with_map(chip, line=np.array([0, 0, 1])))
    with pytest.raises(MismatchError, match=r"pool\[0\] <- image\[0\]: the weight at delay 1 is none in the network"):
        prove(flat, _with_map(chip, **{name: getattr(chip.input_map, name)[:1].copy() for name in COLUMNS}))


def test_sources_are_never_merged_unasked() -> None:
    net = pooled(2)
    net.projections[0] = replace(net.projections[0], merge="sum")
    chip = compile_network(net)
    with pytest.raises(MismatchError, match=r"axon 0 of core 1984 has 2 sources; one was expected$"):
        prove(check(net, TRUENORTH), _with_map(chip, axon=np.zeros(2, np.int64)))


def test_yaml(tmp_path) -> None:
    text = """network: pool
inputs: {image: {shape: [300]}}
populations: {pool: {shape: [1], neuron: {threshold: 2}}}
projections: [{source: image, target: pool, weights: {all_to_all: 1}, merge: MERGE}]
outputs: {out: {source: pool}}
"""
    path = tmp_path / "pool.yaml"
    path.write_text(text.replace("MERGE", "or"))
    assert check(load_network(path), TRUENORTH).digest() == check(pooled(300), TRUENORTH).digest()
    path.write_text(text.replace("MERGE", "xor"))
    with pytest.raises(InputError, match=r"pool.yaml:4:\d+: projections.0.merge: "):
        load_network(path)


def test_refusals() -> None:
    net = Network("net")
    source, target = net.input("in", 3), net.population("p", 1, threshold=0.5)
    with pytest.raises(InputError, match="'p' <- 'in': merge is 'and'; it must be one of sum, or"):
        net.connect(source, target, all_to_all=1, merge="and")
    net.connect(source, target, all_to_all=0.25, merge="or")
    net.quantise = "fit"
    with pytest.raises(InputError, match=r"projection 'p' <- 'in': sources with one weight are merged \(merge: or\)"):
        compile_network(net)


def test_estimate_counts_shared_axons() -> None:
    assert estimate_network(pooled(400_000)).axons == 1


def test_lines_that_only_unions_read_are_in_use() -> None:
    net = Network("n")
    net.connect(net.input("in", 4), net.population("p", 1), [[1], [1], [1], [0]], merge="or")
    _, report = compile_with_report(net)
    (warning,) = report.warnings
    assert warning.startswith("W-UNUSED network 'n': 1 of 4 input lines reach no neuron, the first is in[3];")
