"""Benchmarks: how fast the engine runs the published recurrent workload, and how well the placer places."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from neurocore.cli.output import SCHEMA_VERSION, check_file_kind, emit, say, stage, table
from neurocore.wording import counted

if TYPE_CHECKING:
    from neurocore.recurrent import Workload

RATE_TOLERANCE = 0.02
"""A measured rate further than this from the one asked for is remarked upon."""
MAX_RATE = 200
"""Hz up to which the network is stable at any number of synapses."""


@click.group()
def bench() -> None:
    """Measure the engine and the placer."""


def _numbers(kind: type, name: str) -> Callable[[click.Context, click.Parameter, str | None], tuple[Any, ...] | None]:
    """A callback that reads numbers separated by commas."""

    def read(context: click.Context, parameter: click.Parameter, text: str | None) -> tuple[Any, ...] | None:
        try:
            return None if text is None else tuple(sorted({kind(part) for part in text.split(",")}))
        except ValueError:
            raise click.BadParameter(f"{name} separated by commas were expected, not {text!r}") from None

    return read


@bench.command()
@click.option("--rate", type=click.FloatRange(0, MAX_RATE), default=20.0, show_default=True, help="Mean rate in Hz.")
@click.option("--synapses", type=click.IntRange(min=0), default=128, show_default=True, help="Synapses per axon.")
@click.option("--cores", type=click.IntRange(min=1), default=4096, show_default=True)
@click.option(
    "--ticks", type=click.IntRange(min=1), default=200, show_default=True, help="Ticks of each of seven windows."
)
@click.option("--threads", type=click.IntRange(min=1), help="Threads; default: all processors, one for few cores.")
@click.option("--deterministic", is_flag=True, help="A fixed leak instead of a stochastic one.")
@click.option("--heterogeneous", is_flag=True, help="Every neuron with its own weights, leak and threshold.")
@click.option("--stochastic-threshold", is_flag=True, help="A random threshold too.")
@click.option(
    "--active-share",
    type=click.FloatRange(0, 1, min_open=True),
    default=1.0,
    show_default=True,
    help="Share of the cores that take part; in the others nothing happens.",
)
@click.option("--seed", type=click.IntRange(min=0), default=1, show_default=True)
@click.option("--chip", default="truenorth", show_default=True, help="Chip definition.")
@click.option("-o", "--output", type=click.Path(), help="Run file to write: the measured windows.")
@click.option("--save-chip", type=click.Path(), help="Write the chip file too.")
@click.option("--grid", is_flag=True, help="Sweep rates and synapses; --rate and --synapses do not count.")
@click.option(
    "--rates",
    metavar="R,R,…",
    callback=_numbers(float, "rates in Hz"),
    help="Rates of the sweep.  [default: 0..200 Hz]",
)
@click.option(
    "--synapse-counts",
    metavar="K,K,…",
    callback=_numbers(int, "whole numbers"),
    help="Synapses of the sweep.  [default: 0..all]",
)
@click.option(
    "--grid-output",
    metavar="STEM",
    default="recurrent-grid",
    show_default=True,
    help="The sweep writes STEM.csv, STEM.json and STEM.svg.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def recurrent(
    rate: float,
    synapses: int,
    cores: int,
    ticks: int,
    threads: int | None,
    deterministic: bool,
    heterogeneous: bool,
    stochastic_threshold: bool,
    active_share: float,
    seed: int,
    chip: str,
    output: str | None,
    save_chip: str | None,
    grid: bool,
    rates: tuple[float, ...] | None,
    synapse_counts: tuple[int, ...] | None,
    grid_output: str,
    as_json: bool,
) -> None:
    """Emulate the recurrent network of the chip's own publications (Merolla et al., Science 2014, S7).

    After a warm-up seven windows are measured; the speed is their median. Load time and memory are those of a fresh process
    that loads the chip's file.
    """
    from neurocore.recurrent import Workload

    workload = Workload(
        cores, rate, synapses, not deterministic, heterogeneous, stochastic_threshold, active_share, seed
    )
    if not grid:
        if rates is not None or synapse_counts is not None:
            raise click.UsageError("--rates and --synapse-counts belong to --grid.")
        _measure_one(chip, workload, ticks, threads, output, save_chip, as_json)
    elif rates is not None and max(rates) > MAX_RATE:
        raise click.UsageError(f"a rate of {max(rates):g} Hz was asked for; the network is stable up to {MAX_RATE} Hz.")
    elif output is not None or save_chip is not None:
        raise click.UsageError("--grid runs many networks; -o and --save-chip go with a single one.")
    else:
        _measure_grid(chip, workload, rates, synapse_counts, ticks, threads, grid_output, as_json)


def _measure_one(
    chip_name: str,
    workload: Workload,
    ticks: int,
    threads: int | None,
    output: str | None,
    save_chip: str | None,
    as_json: bool,
) -> None:
    from neurocore import container
    from neurocore.bandwidth import copy_bandwidth
    from neurocore.benchmark import Window, join_windows, measure_load, run_windows, summarise
    from neurocore.recurrent import build_chip

    for path, kind in ((output, "run file"), (save_chip, "chip file")):
        if path is not None:
            check_file_kind(path, kind)
            container.check_writable(path)
    stage("building and calibrating")
    chip = build_chip(chip_name, workload)
    if save_chip is not None:
        chip.save(save_chip)
    stage("measuring")
    runs = run_windows(chip, ticks, threads)
    if output is not None:
        join_windows(runs).save(output)
    windows, bandwidth = [Window.of(run) for run in runs], copy_bandwidth(runs[0].threads)
    result = {**summarise(chip.architecture, workload, windows, bandwidth), **measure_load(chip)}
    _remark_on_rate(result)
    emit(result, as_json, table(_described(result)))


def _remark_on_rate(result: dict[str, Any]) -> None:
    asked, found = result["asked_rate_hz"], result["rate_hz"]
    if abs(found - asked) > RATE_TOLERANCE * asked:
        say(f"neurocore: the measured rate, {found:.4g} Hz, is more than 2 % from the {asked:g} Hz asked for")


def _described(result: dict[str, Any]) -> list[tuple[str, str]]:
    """Rows of the table that people read."""
    return [
        (
            "network",
            f"{result['active_cores']:,} of {result['cores']:,} cores active, {result['rate_hz']:.2f} Hz measured,"
            f" {result['synapses_per_axon']:.1f} synapses per axon",
        ),
        ("variant", result["variant"]),
        (
            "speed",
            f"{result['ticks_per_second']:,.1f} ticks/s on {counted(result['threads'], 'thread')} (median of"
            f" {result['windows']} windows), {result['real_time_factor']:.3f} times real time",
        ),
        ("synapses", f"{result['sops_per_second'] / 1e9:.3f} G synaptic operations/s"),
        ("memory", f"{result['bytes_per_tick'] / 1e6:.2f} MB touched per tick, {_served(result)}"),
        (
            "load",
            f"{result['load_seconds']:.2f} s to the first tick, {result['peak_rss_mb']:.0f} MB, in a fresh process",
        ),
    ]


def _served(result: dict[str, Any]) -> str:
    """Where what a tick touches comes from: caches, or memory and how much of its bandwidth."""
    data, cache = result["working_set_bytes"], result["cache_bytes"]
    if cache is not None and data <= cache:
        return f"of {data / 1e6:.2f} MB in all, which fit the cache of {cache / 1e6:.1f} MB"
    share, bandwidth = result["bandwidth_share"], result["copy_bandwidth_bytes_per_second"]
    more = ", as caches serve a part of it" if share > 1 else ""
    return f"{100 * share:.0f} % of the measured copy bandwidth of {bandwidth / 1e9:.1f} GB/s (read + written){more}"


def _measure_grid(
    chip_name: str,
    workload: Workload,
    rates: tuple[float, ...] | None,
    synapse_counts: tuple[int, ...] | None,
    ticks: int,
    threads: int | None,
    stem: str,
    as_json: bool,
) -> None:
    from neurocore import container
    from neurocore.architecture import load_architecture
    from neurocore.benchmark import GRID_RATES, grid_synapses, sweep

    arch = load_architecture(chip_name)
    rates = rates or GRID_RATES
    synapse_counts = synapse_counts or grid_synapses(arch)
    for suffix in ("csv", "json", "svg"):
        container.check_writable(f"{stem}.{suffix}")
    points: list[dict[str, Any]] = []
    for point in sweep(arch, workload, rates, synapse_counts, ticks, threads, progress=stage):
        points.append({"asked_synapses": synapse_counts[len(points) // len(rates)], **point})
        _remark_on_rate(point)
    slowest = min(points, key=lambda point: point["ticks_per_second"])
    result = {"points": points, "slowest": slowest, "table": f"{stem}.csv", "heat_map": f"{stem}.svg"}
    shown = _write_grid(stem, result, rates, synapse_counts)
    emit(result, as_json, shown)


def _write_grid(stem: str, result: dict[str, Any], rates: tuple[float, ...], synapse_counts: tuple[int, ...]) -> str:
    """Write table and heat map of a sweep; returns the text for a terminal."""
    from neurocore import container
    from neurocore.heatmap import svg_map, text_map

    points, slowest = result["points"], result["slowest"]
    with container.atomic_path(f"{stem}.csv") as path, open(path, "w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, fieldnames=list(points[0]))
        writer.writeheader()
        writer.writerows(points)
    with container.atomic_path(f"{stem}.json") as path, open(path, "w", encoding="utf-8") as stream:
        json.dump({"schema_version": SCHEMA_VERSION, **result}, stream, indent=2)
    speeds = {(float(p["asked_synapses"]), p["asked_rate_hz"]): p["ticks_per_second"] for p in points}
    columns = [float(number) for number in synapse_counts]
    drawn = svg_map(
        columns,
        rates,
        speeds,
        title=f"Ticks per second, {counted(slowest['cores'], 'core')}, {counted(slowest['threads'], 'thread')}",
        column_title="synapses per axon",
        row_title="rate (Hz)",
        value_title="ticks per second",
    )
    with container.atomic_path(f"{stem}.svg") as path, open(path, "w", encoding="utf-8") as stream:
        stream.write(drawn)
    return (
        text_map(columns, rates, speeds, "Hz \\ syn.", "ticks per second")
        + f"\n\nslowest: {slowest['asked_rate_hz']:g} Hz, {slowest['asked_synapses']} synapses per axon,"
        f" {slowest['ticks_per_second']:,.1f} ticks/s, {slowest['real_time_factor']:.3f} times real time"
        f"\nwritten: {stem}.csv, {stem}.json, {stem}.svg"
    )


@bench.command()
@click.option("--rate", type=click.FloatRange(0, MAX_RATE), default=20.0, show_default=True, help="Mean rate in Hz.")
@click.option("--synapses", type=click.IntRange(min=0), default=128, show_default=True, help="Synapses per axon.")
@click.option("--cores", type=click.IntRange(min=1), default=1, show_default=True)
@click.option("--ticks", type=click.IntRange(min=1), default=1_000_000, show_default=True)
@click.option("--seed", type=click.IntRange(min=0), default=1, show_default=True)
@click.option("--chip", default="truenorth", show_default=True, help="Chip definition.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def small(rate: float, synapses: int, cores: int, ticks: int, seed: int, chip: str, as_json: bool) -> None:
    """Emulate one core for long on one thread: ticks per second of a run, and the time of one step call."""
    from neurocore.benchmark import measure_small
    from neurocore.recurrent import Workload

    result = measure_small(chip, Workload(cores, rate, synapses, seed=seed), ticks)
    rows = [
        ("network", f"{counted(cores, 'core')}, {result['rate_hz']:.2f} Hz measured"),
        ("run", f"{counted(ticks, 'tick')} in {result['seconds']:.3f} s: {result['ticks_per_second']:,.0f} ticks/s"),
        ("step", f"{result['step_microseconds']:.1f} µs a call, over {result['steps']:,} calls"),
    ]
    emit(result, as_json, table(rows))


@bench.command("place")
@click.argument("graph", type=click.Path())
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def bench_place(graph: str, seed: int, as_json: bool) -> None:
    """Place the core graph of an .npz file (n_cores, source, target, spikes_per_tick, mesh)."""
    from neurocore.compiler.bench_place import place_graph

    result = place_graph(graph, seed)
    rows = [(name.replace("_", " "), f"{value:.4g}") for name, value in result.items()]
    emit(result, as_json, table(rows))
