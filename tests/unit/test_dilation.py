"""Time dilation: neurons that read more than a core has axons for, a tick at the price of many."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import neurocore as nc
from neurocore.architecture import Range, load_architecture
from neurocore.compiler.certificate import prove_chip
from neurocore.compiler.check import check
from neurocore.compiler.defects import Defects
from neurocore.compiler.network import Network
from neurocore.compiler.pipeline import compile_network, compile_with_report, estimate_network
from neurocore.compiler.reference import Reference
from neurocore.compiler.verify import verify
from neurocore.compiler.yamlnet import load_network
from neurocore.config import ChipConfig
from neurocore.emulator import Emulator
from neurocore.errors import FitError, InputError, MismatchError
from neurocore.partfile import part_path
from neurocore.recorder import Recorder, recover
from neurocore.spikes import Spikes
from random_networks import random_spikes, wide_chip, wide_network

TRUENORTH = load_architecture("truenorth")


def run(chip: ChipConfig, spikes: Spikes, ticks: int) -> Spikes:
    return Emulator(chip, threads=1).run(spikes, ticks).spikes


def dense(n_in: int = 400, n_out: int = 6, seed: int = 1, **neuron: object) -> Network:
    """Signed weights from more lines than a core has axons."""
    net = Network("dense")
    source, target = (
        net.input("image", n_in),
        net.population("hidden", n_out, **{"threshold": 5, "floor": 20, **neuron}),
    )
    net.connect(source, target, np.random.default_rng(seed).choice([-1, 1], (n_in, n_out)))
    net.output("out", target)
    return net


def spikes_for(net: Network, ticks: int, rate: float, seed: int = 1) -> Spikes:
    rng = np.random.default_rng(seed)
    tick, line = np.nonzero(rng.random((ticks, sum(item.size for item in net.inputs.values()))) < rate)
    return Spikes.from_lines(tick, line)


def replayed(net: Network, ticks: int = 40, rate: float = 0.3) -> ChipConfig:
    """Compile, prove and replay a network; its chip."""
    chip = compile_network(net, fan_in="dilate")
    verdict = verify(net, chip, spikes_for(net, ticks, rate), ticks, run)
    assert verdict.equal, verdict
    assert verdict.spikes_compared > 10
    assert verdict.dilation == chip.dilation
    return chip


def test_dense_signed_layer() -> None:
    """400 lines make 4 parts of 100; a burst lasts as long as the most weights of one sign in a part."""
    net = dense()
    weights = np.asarray(net.projections[0].weights).reshape(4, 100, 6)
    longest = max((weights == sign).sum(axis=1).max() for sign in (-1, 1))
    assert replayed(net).dilation == longest + 2


def test_a_network_that_fits_is_not_dilated() -> None:
    net = dense(100)
    plain, asked = compile_network(net), compile_network(net, fan_in="dilate")
    assert (asked.dilation, asked.digest()) == (1, plain.digest())


@pytest.mark.parametrize("leak", [-2, 1])
def test_leaks_act_once_a_tick(leak: int) -> None:
    replayed(dense(leak=leak))


def test_leak_of_a_neuron_that_reads_as_many_signals_as_there_are_axons() -> None:
    """The clock of its leak is one signal too many, so that its sum is gathered as well."""
    net = dense()
    full = net.population("full", 1, threshold=30, leak=-1, floor=9)
    net.connect("image", full, edges=[(k, 0, 1) for k in range(256)])
    net.output("full", full)
    chip = replayed(net)
    assert "full.partial" in [group.name for group in chip.populations]


def test_floor_by_default_and_thresholds_near_the_limit() -> None:
    """With the largest floor the threshold must be raised, with the largest threshold the floor lowered."""
    replayed(dense(floor=None))
    tall = dense(threshold=262_143, floor=100, initial=262_100, reset=262_050)
    replayed(tall, rate=0.5)


@pytest.mark.parametrize("mode", ["value", "linear", "none"])
@pytest.mark.parametrize("leak", [0, 1])
def test_a_neuron_that_reads_nothing_beside_others_that_read_too_much(mode: str, leak: int) -> None:
    net = dense(reset_mode=mode, threshold=[5, 6, 7, 8, 9, 3], leak=leak)
    np.asarray(net.projections[0].weights)[:, 2] = 0
    replayed(net)


def test_linear_reset_that_never_leaves_the_neuron_above_threshold_is_not_counted() -> None:
    chip = replayed(dense(reset_mode="linear", threshold=250, initial=240, leak=20), ticks=60)
    assert "hidden.sum" not in [group.name for group in chip.populations]


@pytest.mark.parametrize("mode", ["linear", "none"])
def test_neurons_whose_reset_leaves_them_above_threshold_are_counted(mode: str) -> None:
    """The layer fits without a count; its reset would make it fire in every tick of the chip."""
    net = dense(reset_mode=["linear"] * 5 + ["none"] if mode == "none" else mode, threshold=8, initial=11, leak=1)
    narrow = net.population("narrow", 3, threshold=3, reset_mode=mode, floor=4)
    net.connect("hidden", narrow, np.random.default_rng(2).integers(-3, 5, (6, 3)))
    net.connect(narrow, "hidden", np.random.default_rng(3).integers(-1, 2, (3, 6)))
    net.connect(narrow, narrow, [[-3, 0, 1], [0, 0, 0], [2, 0, -3]])
    net.output("narrow", narrow)
    chip = replayed(net)
    names = {group.name for group in chip.populations}
    assert {"hidden.sum", "hidden.lift", "narrow.sum"} <= names
    assert ("narrow.reset" in names) == (mode == "linear")


def test_exactness_is_bounded_where_membranes_may_rise_without_end() -> None:
    """Driven by all that excites it, a membrane meets the clamp of a small chip; until then both do the same."""
    chip_definition = wide_chip()
    net = Network("rising")
    source, target = net.input("in", 60), net.population("p", 1, threshold=3, reset_mode="linear", floor=9)
    net.connect(source, target, [[1]] * 40 + [[-1]] * 20)
    net.output("out", target)
    chip, report = compile_with_report(net, chip_definition, fan_in="dilate")
    # A tick adds 40, takes 3; bursts may lift the membrane by 40 and add 40 before the clamp of 1,801.
    assert report.exact_ticks == (1801 - 40 - 40 - 2) // 37 + 1
    assert f"for {report.exact_ticks} ticks of the network whatever the input" in dict(chip.notes)["certificate"]
    assert report.warnings[-1].startswith(f"W-HORIZON exact for {report.exact_ticks} ticks")
    ticks = report.exact_ticks + 600
    tick, line = np.divmod(np.arange(report.exact_ticks * 40), 40)
    rise = Spikes.from_lines(tick, line)
    assert verify(net, chip, rise, ticks, run).equal
    assert compile_with_report(dense(), fan_in="dilate")[1].exact_ticks is None


def test_layers_delays_recurrence_and_merged_spikes() -> None:
    rng = np.random.default_rng(5)
    net = dense(300, 12)
    wide, last = (
        net.population("wide", 300, threshold=2, floor=3),
        net.population("last", 4, threshold=4, floor=6, leak=-1),
    )
    net.connect("hidden", wide, rng.integers(-1, 2, (12, 300)), delay=3)
    net.connect(wide, last, rng.choice([-1, 1, 2], (300, 4)))
    net.connect(last, "hidden", rng.integers(-1, 2, (4, 12)))
    net.connect(last, last, rng.integers(-1, 2, (4, 4)), delay=2)
    net.connect(wide, last, all_to_all=3, merge="or")
    net.output("last", last)
    replayed(net, ticks=40)


def test_files_and_reports_carry_the_dilation(tmp_path) -> None:
    chip, report = compile_with_report(dense(), fan_in="dilate")
    chip.save(tmp_path / "chip.h5")
    loaded = nc.load(tmp_path / "chip.h5")
    assert (loaded.dilation, loaded.digest()) == (chip.dilation, chip.digest())
    assert report.as_dict()["dilation"] == chip.dilation > 1
    assert report.warnings == [f"W-DILATED a tick of the network takes {chip.dilation} ticks of the chip"]
    assert f"; {chip.dilation} ticks of the chip to one of the network" in dict(chip.notes)["certificate"]
    assert estimate_network(dense(), fan_in="dilate").dilation == chip.dilation
    assert replace(chip, dilation=chip.dilation + 1).digest() != chip.digest()
    with pytest.raises(InputError, match="dilation 0 is outside 1"):
        replace(chip, dilation=0).validate()


def test_runs_in_parts_steps_and_records_agree(tmp_path) -> None:
    net = dense()
    chip = compile_network(net, fan_in="dilate")
    spikes, ticks = spikes_for(net, 6, 0.1), 6 * chip.dilation + chip.latency
    whole = Emulator(chip).run(spikes, ticks)
    raster = np.zeros((6, 400), bool)
    raster[spikes.tick, spikes.line] = True
    assert Emulator(chip).run(raster).spikes == whole.spikes.window(0, 6 * chip.dilation)
    parts = Emulator(chip)
    first, second = parts.run(spikes, 3 * chip.dilation + 1), parts.run(None, ticks - 3 * chip.dilation - 1)
    assert [*first.spikes.tick, *second.spikes.tick] == whole.spikes.tick.tolist()
    stepped = Emulator(chip)
    seen = []
    for tick in range(ticks):
        lines = spikes.line[spikes.tick * chip.dilation == tick]
        seen += [(tick, line) for line in stepped.step(lines.tolist()).tolist()]
    assert seen == list(zip(whole.spikes.tick.tolist(), whole.spikes.line.tolist(), strict=True))
    Emulator(chip).record(tmp_path / "run.h5", spikes, ticks)
    assert nc.load_run(tmp_path / "run.h5").spikes == whole.spikes


def test_input_between_two_ticks_of_the_network_is_refused() -> None:
    chip = compile_network(dense(), fan_in="dilate")
    emulator = Emulator(chip)
    emulator.step([1])
    k = chip.dilation
    with pytest.raises(
        InputError, match=f"an input spike in chip tick 1: a tick of the network is {k} ticks .* next is {k}$"
    ):
        emulator.step([1])
    with pytest.raises(
        InputError, match="an input spike at tick 0, chip tick 0, is in the past; the emulator stands at tick 1"
    ):
        emulator.run([(0, 1)], 5)
    with pytest.raises(InputError, match=f"an input spike is at tick {2**61}, {k} times as many of the chip"):
        emulator.run([(2**61, 1)], 5)


def test_probes_in_network_time(tmp_path) -> None:
    net = dense()
    chip = compile_network(net, fan_in="dilate")
    spikes = spikes_for(net, 10, 0.1)
    emulator = Emulator(chip, probes=["hidden:membrane"])
    emulator.record(tmp_path / "run.h5", spikes, 10 * chip.dilation + chip.latency)
    probe = nc.load_run(tmp_path / "run.h5").probes["hidden:membrane"].in_network_time()
    simulator = Reference(check(net, TRUENORTH), TRUENORTH)
    fired = [simulator.tick(spikes.line[spikes.tick == now]) for now in range(10)]
    assert list(zip(probe.spikes.tick.tolist(), probe.spikes.line.tolist(), strict=True)) == [
        (tick, neuron) for tick in range(10) for neuron in np.flatnonzero(fired[tick]).tolist()
    ]
    assert len(probe.membranes) == 10


def test_recorded_steps(tmp_path) -> None:
    """Steps that are recorded, and recovered from what is on the disk, are the run; input comes in first ticks only."""
    net = dense()
    chip = compile_network(net, fan_in="dilate")
    k, spikes, path = chip.dilation, spikes_for(net, 10, 0.3), str(tmp_path / "run.h5")
    expected = Emulator(chip, probes=["hidden:spikes"]).run(spikes, 10 * k)
    with Recorder(Emulator(chip, probes=["hidden:spikes"]), path) as recorder:
        for now in range(10 * k):
            recorder.step(spikes.line[spikes.tick * k == now])
        recorder.flush()
        recover(part_path(path), str(tmp_path / "kept.h5"))
        recorder.step()
        with pytest.raises(InputError, match=f"an input spike in chip tick {10 * k + 1}: a tick of the network is {k}"):
            recorder.step([1])
    kept = nc.load_run(tmp_path / "kept.h5")
    assert kept.spikes == expected.spikes
    assert len(kept.spikes) > 3
    found, wanted = (run.probes["hidden:spikes"] for run in (kept, expected))
    assert found.dilation == k
    assert found.in_network_time().spikes == wanted.in_network_time().spikes


def test_command_line(tmp_path, command) -> None:
    np.save(tmp_path / "w.npy", np.asarray(dense().projections[0].weights))
    (tmp_path / "net.yaml").write_text(
        "network: dense\ninputs: {image: {shape: [400]}}\npopulations: {hidden: {shape: [6], neuron: {threshold: 5}}}\n"
        "projections: [{source: image, target: hidden, weights: w.npy}]\noutputs: {out: {source: hidden}}\nfan_in: dilate\n"
    )
    assert load_network(tmp_path / "net.yaml").fan_in == "dilate"
    spikes = spikes_for(dense(), 10, 0.1)
    np.savez(tmp_path / "in.npz", tick=spikes.tick, line=spikes.line)
    path = {name: str(tmp_path / name) for name in ("net.yaml", "chip.h5", "in.npz", "run.h5")}

    def output(*words: str, code: int = 0) -> str:
        found = command(*words, code=code)
        return found.out + found.err

    text = output("compile", path["net.yaml"], "-o", path["chip.h5"])
    chip = nc.load(path["chip.h5"])
    assert f"{chip.dilation} ticks to one of the network" in text
    assert f"{chip.dilation} ticks to one of the network" in output("inspect", path["chip.h5"])
    assert f'"dilation": {chip.dilation}' in output("inspect", path["chip.h5"], "--json")
    verdict = output("verify", path["net.yaml"], path["chip.h5"], "--input", path["in.npz"], "--ticks", "10")
    assert verdict.startswith("equal:")
    assert f", {chip.dilation} ticks of the chip each" in verdict
    text = output(
        "run", path["chip.h5"], "--input", path["in.npz"], "--ticks", str(9 * chip.dilation), "-o", path["run.h5"]
    )
    assert f"{(spikes.tick == 9).sum()} of {len(spikes)} input spikes come after the last tick" in text
    assert f"9 ticks, {chip.dilation} of the chip each: " in text
    assert f"times real time where a tick of the network lasts {chip.dilation} ms, " in text
    text = output("power", path["run.h5"])
    assert f", 1000 Hz tick, {1000 / chip.dilation:.4g} Hz tick of the network (powered" in text
    assert "  energy per network tick " in text
    text = output("compile", path["net.yaml"], "--estimate", "--fan-in", "refuse", code=FitError.exit_code)
    assert f"use --fan-in dilate: exact, 1 tick becomes {chip.dilation}" in text


def test_speed_and_power_are_said_by_ticks_of_the_network_too() -> None:
    """Beside those by ticks of the chip; where these are the same, only JSON has both."""
    dilated, plain = compile_network(dense(), fan_in="dilate"), compile_network(dense(n_in=40))
    for chip in (dilated, plain):
        result, factor = Emulator(chip).run(None, 5 * chip.dilation + chip.dilation // 2), chip.dilation
        summary, power = result.summary(), result.power().as_dict()
        assert (summary["dilation"], summary["network_ticks"]) == (factor, 5)
        assert summary["network_ticks_per_second"] == pytest.approx(summary["ticks_per_second"] / factor, abs=0.1)
        assert (power["tick_hz"], power["dilation"]) == (1000, factor)
        assert power["network_tick_hz"] == pytest.approx(1000 / factor)
        assert power["energy_per_network_tick_nj"] == pytest.approx(factor * power["energy_per_tick_nj"])
        assert power["total_mw"] == pytest.approx(power["energy_per_network_tick_nj"] * power["network_tick_hz"] * 1e-6)
        said = str(result.power())
        assert ("energy per network tick" in said, "tick of the network" in said) == (factor != 1,) * 2


def test_places_are_kept_and_defects_avoided(tmp_path) -> None:
    net = dense()
    flat = check(net, TRUENORTH)
    chip, report = compile_with_report(net, fan_in="dilate")
    given = tmp_path / "places.yaml"
    given.write_text(report.placement(False))
    for source in (chip, given):
        again, kept = compile_with_report(net, fan_in="dilate", seed=1, placement=source)
        assert kept.cores_kept == report.cores
        assert (again.cores.core == chip.cores.core).all()
    x, y = TRUENORTH.core_xy(int(chip.cores.core[0]))
    broken = Defects(cores=np.array([[x, y]]), axons=np.array([[x + 1, y, 0]]))
    around, avoided = compile_with_report(net, fan_in="dilate", defects=broken, placement=chip)
    assert avoided.cores_kept == report.cores - 1
    prove_chip(flat, around, defects=broken)
    with pytest.raises(MismatchError, match=rf"^core \({x}, {y}\) is dead, but configured"):
        prove_chip(flat, chip, defects=broken)
    verdict = verify(net, around, spikes_for(net, 20, 0.3), 20, run)
    assert verdict.equal
    assert not verdict.cause


@pytest.mark.parametrize("seed", [43, 44])
def test_relays_on_far_ways(seed: int) -> None:
    """Bursts and clocks stay in step when packets travel two cores only; the second network merges spikes besides."""
    wide, near = wide_chip(), Range(min=-2, max=2)
    reach = wide.routing.reach.model_copy(update={"dx": near, "dy": near})
    arch = wide.model_copy(update={"routing": wide.routing.model_copy(update={"reach": reach})})
    net = wide_network(arch, seed)
    chip, report = compile_with_report(net, arch, fan_in="dilate")
    assert report.stations > 0
    assert report.latency == chip.latency
    assert any(item.merge == "or" for item in net.projections) == (seed == 44)
    ticks = min(25, report.exact_ticks or 25)
    verdict = verify(net, chip, random_spikes(net, seed, ticks), ticks, run)
    assert verdict.equal
    assert not verdict.cause
    assert verdict.spikes_compared > 20


def test_proof_refuses_chips_of_other_times() -> None:
    net = dense()
    chip, flat = compile_network(net, fan_in="dilate"), check(net, TRUENORTH)
    prove_chip(flat, chip)
    for wrong in (
        replace(chip, dilation=chip.dilation + 1),
        replace(chip, dilation=1),
        replace(chip, latency=chip.latency + 1),
        replace(chip, timing=chip.timing + 1),
        replace(chip, timing=chip.timing[:-1]),
    ):
        with pytest.raises(MismatchError):
            prove_chip(flat, wrong)
    k = chip.dilation
    with pytest.raises(MismatchError, match=f"^{k - 1} ticks of the chip make one of the network, which needs {k}$"):
        prove_chip(flat, replace(chip, dilation=k - 1))
    with pytest.raises(MismatchError, match="which needs no dilation"):
        prove_chip(check(dense(100), TRUENORTH), chip)


@pytest.mark.parametrize(
    ("neuron", "sentence"),
    [
        (
            {"reset_mode": ["none"] * 3 + ["value"] * 3},
            r"has reset_mode value, and others of its population have linear or none",
        ),
        (
            {"reset_mode": "linear", "threshold": 0},
            "has reset_mode linear and threshold 0, so that its reset does nothing",
        ),
        ({"leak": 1, "leak_reversal": True}, r"has a leak that depends on the membrane \(leak_reversal\)"),
        ({"threshold_mask_bits": 1}, "draws random numbers, and would draw them in every tick of the chip"),
        ({"floor_mode": "reset"}, "has floor_mode reset, whose result may lie below the floor again; use saturate"),
        ({"reset": 7}, r"is reset to 7, outside -20\.\.4 \(floor to threshold\), where it would not stay"),
        ({"initial": -21}, r"starts at -21, outside -20\.\.4 \(floor to threshold\), where it would not stay"),
        (
            {"threshold": 262_143, "floor": None},
            r"has the floor 262143; to gather its input needs \d+ more, and 'truenorth'",
        ),
    ],
)
def test_refusals(neuron: dict[str, object], sentence: str) -> None:
    with pytest.raises(FitError, match=rf"^E-DILATE population 'hidden': hidden\[\d\] .*{sentence}"):
        compile_network(dense(**neuron), fan_in="dilate")


def test_more_bursts_than_axons() -> None:
    weights = np.random.default_rng(1).choice([-1, 1], (20_000, 1))
    net = Network("huge")
    net.connect(net.input("image", 20_000), net.population("hidden", 1), weights)
    with pytest.raises(
        FitError, match="E-DILATE population 'hidden' does not fit even if dilated: E-FANIN population 'hidden'"
    ):
        compile_network(net, fan_in="dilate")


def test_unknown_treatment() -> None:
    with pytest.raises(
        InputError, match="network 'dense': fan_in is 'fold'; it must be one of refuse, dilate, thermometer, carry"
    ):
        compile_network(dense(), fan_in="fold")


def test_maps_share_cores() -> None:
    """The channels of a pixel read the same, so that their partials share cores; one by one they would need hundreds."""
    net = Network("map")
    source, target = net.input("image", (32, 6, 6)), net.population("map", (16, 4, 4), threshold=6, leak=-1)
    net.connect(source, target, conv2d={"kernel": np.random.default_rng(1).choice([-1, 1], (16, 32, 3, 3))})
    net.output("out", target)
    _, report = compile_with_report(net, fan_in="dilate")
    assert report.use is not None
    cores = {item.name: item.cores for item in report.use.populations}
    assert cores["map.partial"] <= 3 * 16
