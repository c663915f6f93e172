"""The recurrent benchmark: its network, its rates, and the commands that measure it."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from neurocore import benchmark
from neurocore.architecture import load_architecture
from neurocore.bandwidth import bytes_per_tick, copy_bandwidth, largest_cache, working_set
from neurocore.chipfile import load_chip
from neurocore.cli.bench import _served
from neurocore.compare import first_difference
from neurocore.config import NOWHERE
from neurocore.emulator import Emulator
from neurocore.errors import UsageError
from neurocore.heatmap import svg_map, text_map
from neurocore.recurrent import Workload, build_chip, recurrent_chip, wire
from neurocore.runfile import load_run

TRUENORTH, TINY = load_architecture("truenorth"), load_architecture("tiny")
VARIANTS = {
    "stochastic": {},
    "deterministic": {"stochastic": False},
    "heterogeneous": {"heterogeneous": True},
    "stochastic threshold": {"stochastic_threshold": True},
    "all fixed but the threshold": {"stochastic": False, "stochastic_threshold": True, "heterogeneous": True},
}


def measured_rate(chip, ticks: int) -> float:
    emulator = Emulator(chip, threads=1)
    emulator.run(None, benchmark.WARM_UP)
    run = emulator.run(None, ticks)
    return 1000 * run.n_spikes / (ticks * chip.n_neurons)


@pytest.mark.parametrize("synapses", [0, 1, 31, 32, 100, 128, 255, 256])
def test_every_axon_reaches_exactly_k_neurons(synapses: int) -> None:
    cores = wire(TRUENORTH, Workload(3, 20, synapses))
    assert set(np.bitwise_count(cores.crossbar).sum(axis=2).ravel()) == {synapses}


@pytest.mark.parametrize("synapses", range(12))
def test_padding_of_a_row_stays_empty(synapses: int) -> None:
    chip = build_chip(TINY, Workload(4, 0, synapses))
    assert all((chip.crossbar_bits(row).sum(axis=1) == synapses).all() for row in range(4))
    assert chip.n_synapses == 4 * TINY.core.axons * synapses


@pytest.mark.parametrize("synapses", [16, 64, 200])
def test_positions_of_synapses_are_uniform(synapses: int) -> None:
    chip = build_chip(TRUENORTH, Workload(40, 0, synapses))
    rows = np.concatenate([chip.crossbar_bits(row)[::2] for row in range(40)])
    share = synapses / TRUENORTH.core.neurons
    deviation = (rows.sum(axis=0) - share * len(rows)) / np.sqrt(len(rows) * share * (1 - share))
    assert abs(deviation).max() < 4.5
    assert deviation.std() == pytest.approx(1, abs=0.2)


def test_excitatory_and_inhibitory_twins_cancel() -> None:
    chip = build_chip(TRUENORTH, Workload(2, 20, 77, heterogeneous=True))
    for row in range(2):
        weights = chip.cores.weight[row][chip.cores.axon_type[row]].astype(int)
        received = np.where(chip.crossbar_bits(row), weights, 0)
        assert (received.sum(axis=0) == 0).all()
        assert (received != 0).sum() == 77 * TRUENORTH.core.axons


@pytest.mark.parametrize("share", [1.0, 0.3])
def test_every_axon_is_driven_exactly_once(share: float) -> None:
    workload = Workload(20, 20, 8, active_share=share)
    cores = wire(TRUENORTH, workload)
    axon = cores.target_core.astype(int) * TRUENORTH.core.axons + cores.target_axon
    assert sorted(axon.ravel()) == list(range(20 * TRUENORTH.core.axons))
    active = np.isin(cores.core, workload.active_rows())
    assert (np.isin(cores.target_core, workload.active_rows()) == active[:, None]).all()


def test_more_axons_than_neurons() -> None:
    cores = wire(TINY, Workload(15, 20, 5))
    axon = cores.target_core.astype(int) * TINY.core.axons + cores.target_axon
    assert (cores.target_core != NOWHERE).all()
    assert len(np.unique(axon)) == axon.size


def test_delays_and_destinations_are_uniform() -> None:
    cores = wire(TRUENORTH, Workload(64, 20, 8))
    for values, expected in ((cores.delay - 1, 15), (cores.target_core, 64)):
        counts = np.bincount(values.ravel(), minlength=expected)
        mean = values.size / expected
        assert len(counts) == expected
        assert abs(counts - mean).max() < 4.5 * np.sqrt(mean)


def test_the_same_seed_gives_the_same_chip() -> None:
    one, same, other = (build_chip(TRUENORTH, Workload(4, 50, 64, heterogeneous=True, seed=seed)) for seed in (7, 7, 8))
    assert one.digest() == same.digest()
    assert one.digest() != other.digest()


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize(("rate", "synapses"), [(5, 0), (20, 128), (100, 64), (200, 128)])
def test_rate_is_within_two_percent(variant: str, rate: float, synapses: int) -> None:
    chip = build_chip(TRUENORTH, Workload(64, rate, synapses, **VARIANTS[variant]))
    assert measured_rate(chip, 1400) == pytest.approx(rate, rel=0.02)


@pytest.mark.slow
@pytest.mark.parametrize("rate", [20, 100, 200])
def test_rate_with_full_rows(rate: float) -> None:
    """All neurons of a core receive the same input and fluctuate together, so a longer mean is needed."""
    chip = build_chip(TRUENORTH, Workload(128, rate, TRUENORTH.core.neurons))
    assert measured_rate(chip, 3000) == pytest.approx(rate, rel=0.02)


@pytest.mark.parametrize("rate", [40, 100])
def test_rate_on_the_tiny_chip(rate: float) -> None:
    chip = build_chip(TINY, Workload(15, rate, 4, stochastic=False))
    assert measured_rate(chip, 3000) == pytest.approx(rate, rel=0.02)


@pytest.mark.parametrize("stochastic", [True, False])
def test_rate_zero_works_without_a_spike(stochastic: bool) -> None:
    emulator = Emulator(build_chip(TRUENORTH, Workload(2, 0, 128, stochastic=stochastic)), threads=1)
    before = emulator.run(None, 100).membranes
    run = emulator.run(None, 1000)
    assert run.n_spikes == 0
    assert (run.membranes < before).all()


def test_neurons_do_not_fire_in_step() -> None:
    emulator = Emulator(build_chip(TRUENORTH, Workload(16, 50, 64)), threads=1)
    emulator.run(None, benchmark.WARM_UP)
    spikes = np.array([emulator.run(None, 1).n_spikes for _ in range(60)])
    assert spikes.std() < 0.35 * spikes.mean()  # 4.4 if all fired in the same tick of a period of 20


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize(("chip", "cores", "synapses", "rate"), [("truenorth", 2, 100, 100), ("tiny", 6, 4, 60)])
def test_engines_agree(variant: str, chip: str, cores: int, synapses: int, rate: float) -> None:
    config = build_chip(chip, Workload(cores, rate, synapses, **VARIANTS[variant]))
    first, second = (Emulator(config, threads=1, engine=engine).run(None, 120) for engine in ("compiled", "oracle"))
    assert first_difference(first, second) is None
    assert first.n_spikes > 0


def test_neurons_are_alike_or_each_its_own() -> None:
    alike, own = (build_chip(TRUENORTH, Workload(2, 20, 64, heterogeneous=kind)).cores for kind in (False, True))
    for name in ("threshold", "leak"):
        assert len(np.unique(getattr(alike, name))) == 1
        assert len(np.unique(getattr(own, name))) > 10
    assert (alike.weight == alike.weight[:1, :, :1]).all()
    assert len(np.unique(own.weight[0], axis=1).T) == 9


def test_idle_cores_stay_idle() -> None:
    workload = Workload(40, 50, 64, active_share=0.1)
    run = Emulator(build_chip(TRUENORTH, workload), threads=1).run(None, 300)
    busy = np.isin(np.arange(40), workload.active_rows())
    assert busy.sum() == 4
    assert (run.cores.spikes[busy] > 0).all()
    assert run.cores.spikes[~busy].sum() == run.cores.active_axons[~busy].sum() == 0
    assert (run.membranes[~busy] == 0).all()


@pytest.mark.parametrize(
    ("workload", "message"),
    [
        (Workload(5000, 20, 1), "5000 cores were asked for; 'truenorth' has 4096"),
        (Workload(1, 20, 257), "257 synapses per axon were asked for; a core of 'truenorth' has 256 neurons"),
        (Workload(1, 1001, 1), "a rate of 1001 Hz was asked for"),
        (Workload(1, 20, 1, active_share=0), "the active share is 0"),
    ],
)
def test_limits(workload: Workload, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        build_chip(TRUENORTH, workload)


def test_chips_without_random_numbers() -> None:
    with pytest.raises(UsageError, match="'ranc' has no stochastic leak; ask for the deterministic variant"):
        recurrent_chip("ranc", 2, 20, 4)
    with pytest.raises(UsageError, match="'ranc' has no stochastic threshold"):
        build_chip("ranc", Workload(2, 20, 4, stochastic=False, stochastic_threshold=True))


def test_summary_is_of_the_measured_windows() -> None:
    workload = Workload(8, 100, 32)
    windows = benchmark.run_windows(build_chip(TRUENORTH, workload), 40, 1)
    joined = benchmark.join_windows(windows)
    fields = benchmark.summarise(TRUENORTH, workload, [benchmark.Window.of(run) for run in windows], 1e10)
    assert (joined.first_tick, joined.ticks) == (benchmark.WARM_UP, 7 * 40)
    assert fields["rate_hz"] == pytest.approx(1000 * joined.n_spikes / (280 * 8 * TRUENORTH.core.neurons))
    assert fields["synapses_per_axon"] == 32
    assert fields["ticks_per_second"] == sorted(window.ticks_per_second for window in windows)[3]
    assert fields["sops_per_second"] == pytest.approx(
        fields["ticks_per_second"] * joined.cores.synaptic_events.sum() / 280
    )
    assert fields["bandwidth_share"] == pytest.approx(fields["bytes_per_tick"] * fields["ticks_per_second"] / 1e10)


def test_bytes_per_tick_grow_with_what_happens() -> None:
    quiet = bytes_per_tick(TRUENORTH, 10, 0, 0)
    assert quiet >= 10 * TRUENORTH.core.neurons  # at least a byte of every membrane
    assert bytes_per_tick(TRUENORTH, 20, 0, 0) == 2 * quiet
    assert bytes_per_tick(TRUENORTH, 10, 100, 0) - quiet >= 100 * TRUENORTH.core.neurons / 8
    assert bytes_per_tick(TRUENORTH, 10, 0, 100) - quiet >= 100 * 8


def test_what_a_tick_touches_may_fit_the_cache(tmp_path: Path) -> None:
    """Then there is no share of a memory's bandwidth, which may be above 1, to speak of."""
    assert largest_cache(str(tmp_path)) is None
    for number, text in enumerate(("32K\n", "2M\n", "512\n", "unknown\n")):
        (tmp_path / f"index{number}").mkdir()
        (tmp_path / f"index{number}" / "size").write_text(text)
    assert largest_cache(str(tmp_path)) == 2 << 20
    # Crossbars alone are 8 KB a core.
    assert 8192 * 100 < working_set(TRUENORTH, 100) == 100 * working_set(TRUENORTH, 1) < 2 * 8192 * 100
    fields = {"working_set_bytes": 3_000_000, "bandwidth_share": 1.164, "copy_bandwidth_bytes_per_second": 24e9}
    assert _served({**fields, "cache_bytes": 4_000_000}) == "of 3.00 MB in all, which fit the cache of 4.0 MB"
    share = "116 % of the measured copy bandwidth of 24.0 GB/s (read + written), as caches serve a part of it"
    assert _served({**fields, "cache_bytes": None}) == share
    assert _served({**fields, "cache_bytes": 2_000_000}) == share
    less = _served({**fields, "cache_bytes": None, "bandwidth_share": 0.5})
    assert less == "50 % of the measured copy bandwidth of 24.0 GB/s (read + written)"


def test_copy_bandwidth_is_plausible() -> None:
    assert 1e8 < copy_bandwidth() < 1e13


def test_peak_memory_leaves_out_the_starting_process() -> None:
    chip = build_chip(TRUENORTH, Workload(1, 0, 0))
    ballast = np.ones(600_000_000, np.uint8)
    fields = benchmark.measure_load(chip)
    assert fields["peak_rss_mb"] < ballast.nbytes / 1e6


def test_command(command, tmp_path: Path) -> None:
    run, chip = str(tmp_path / "r.h5"), str(tmp_path / "c.h5")
    fields = command(
        "bench",
        "recurrent",
        "--cores",
        "8",
        "--ticks",
        "200",
        "--synapses",
        "64",
        "-o",
        run,
        "--save-chip",
        chip,
        "--json",
    ).json
    contract = "cores rate_hz synapses_per_axon threads ticks_per_second real_time_factor sops_per_second"
    assert {*contract.split(), "peak_rss_mb", "load_seconds"} <= fields.keys()
    assert fields["rate_hz"] == pytest.approx(20, rel=0.02)
    assert fields["synapses_per_axon"] == 64
    recorded = load_run(run)
    assert (recorded.first_tick, recorded.ticks) == (benchmark.WARM_UP, 1400)
    assert load_chip(chip).digest() == recorded.chip.digest


def test_grid_command(command, tmp_path: Path) -> None:
    stem = str(tmp_path / "grid")
    grid = ("--grid", "--rates", "0,50", "--synapse-counts", "0,64,256", "--grid-output", stem)
    out = command("bench", "recurrent", "--cores", "4", "--ticks", "50", *grid).out
    written = json.loads((tmp_path / "grid.json").read_text())
    assert [(p["asked_synapses"], p["asked_rate_hz"]) for p in written["points"]] == [
        (k, r) for k in (0, 64, 256) for r in (0, 50)
    ]
    speeds = [point["ticks_per_second"] for point in written["points"]]
    assert written["slowest"]["ticks_per_second"] == min(speeds)
    assert f"slowest: {written['slowest']['asked_rate_hz']:g} Hz" in out
    assert len((tmp_path / "grid.csv").read_text().splitlines()) == 7
    assert ElementTree.parse(tmp_path / "grid.svg").getroot().tag.endswith("svg")


def test_grid_and_single_options_do_not_mix(command) -> None:
    command("bench", "recurrent", "--grid", "-o", "x.h5", code=2)
    command("bench", "recurrent", "--rates", "1,2", code=2)
    assert "stable up to 200 Hz" in command("bench", "recurrent", "--grid", "--rates", "20,300", code=2).err
    assert "separated by commas" in command("bench", "recurrent", "--grid", "--rates", "a,b", code=2).err


def test_sweep_measures_every_point_in_rounds() -> None:
    said: list[str] = []
    workload = Workload(4, 0, 0, stochastic=False)
    points = list(benchmark.sweep(TRUENORTH, workload, (20, 50), (0, 64), 30, 1, progress=said.append))
    assert [(point["asked_rate_hz"], point["windows"]) for point in points] == [(20, 7), (50, 7)] * 2
    assert said[::4] == [f"round {number} of 7: 20 Hz, 0 synapses per axon" for number in range(1, 8)]
    alone = benchmark.run_windows(build_chip(TRUENORTH, replace(workload, rate_hz=50, synapses=64)), 30, 1)
    assert points[3]["rate_hz"] == pytest.approx(benchmark.Window.of(alone[0]).spikes / (30 * 4 * 256) * 1000)


def test_small_command(command) -> None:
    fields = command("bench", "small", "--ticks", "2000", "--json").json
    assert (fields["cores"], fields["ticks"]) == (1, 2000)
    assert fields["step_microseconds"] > 0
    assert fields["ticks_per_second"] == pytest.approx(2000 / fields["seconds"])


def test_heat_map_shows_every_number() -> None:
    values = {(0.0, 1.0): 5.0, (0.0, 2.0): 50.0, (10.0, 1.0): 1500.0, (10.0, 2.0): 12_345.0}
    text = text_map([0.0, 10.0], [1.0, 2.0], values, "corner", "v")
    drawn = svg_map([0.0, 10.0], [1.0, 2.0], values, title="a < b", column_title="c", row_title="r", value_title="v")
    for shown in ("5", "50", "1.5k", "12.3k"):
        assert shown in text
        assert f">{shown}</text>" in drawn
    assert "#440154" in drawn  # the lowest and
    assert "#fde725" in drawn  # the highest
    assert "12.3k██" in text
    assert text.endswith("v; shades: blank 5, ░ ▒ ▓ between, █ 12.3k (logarithmic)")


def test_heat_map_has_a_colour_bar() -> None:
    """Its numbers stand where a cell of that value has the bar's colour: on a logarithmic scale, the largest at the top."""
    values = {(0.0, float(row)): 10.0**row for row in range(1, 5)}
    drawn = ElementTree.fromstring(
        svg_map([0.0], [1.0, 2.0, 3.0, 4.0], values, title="t" * 60, column_title="c", row_title="r", value_title="v")
    )
    svg = "{http://www.w3.org/2000/svg}"
    assert [stop.get("stop-color") for stop in drawn.iter(f"{svg}stop")] == ["#440154", "#21908c", "#fde725"]
    bar = next(item for item in drawn.iter(f"{svg}rect") if item.get("fill") == "url(#colours)")
    top, length = float(bar.get("y", "")), float(bar.get("height", ""))
    numbers = {
        item.text: float(item.get("y", "")) - 4
        for item in drawn.iter(f"{svg}text")
        if float(item.get("x", "")) > float(bar.get("x", ""))
    }
    decades = {"10k": 0, "1k": 1 / 3, "100": 2 / 3, "10": 1}
    assert {text: (numbers[text] - top) / length for text in decades} == pytest.approx(decades, abs=0.01)
    places = sorted(numbers.values())
    assert min(after - before for before, after in itertools.pairwise(places)) > 10
    assert float(drawn.get("width", "")) > 60 * 8  # the title is not cut off


def test_heat_map_of_equal_values() -> None:
    """All are the highest, and the bar has one number."""
    drawn = svg_map([0.0], [1.0], {(0.0, 1.0): 7.0}, title="t", column_title="c", row_title="r", value_title="v")
    assert drawn.count(">7</text>") == 2
    ElementTree.fromstring(drawn)
