"""Benchmarks: how fast the engine runs the published recurrent workload, and how well the placer places."""

from __future__ import annotations

import click

from neurocore.cli.output import emit, table


@click.group()
def bench() -> None:
    """Measure the engine and the placer."""


@bench.command()
@click.option("--rate", type=click.FloatRange(min=1, max=200), default=20.0, show_default=True, help="Mean rate in Hz.")
@click.option("--synapses", type=click.IntRange(min=0), default=128, show_default=True, help="Synapses per axon.")
@click.option("--cores", type=click.IntRange(min=1), default=4096, show_default=True)
@click.option(
    "--ticks", type=click.IntRange(min=1), default=200, show_default=True, help="Ticks of each of seven windows."
)
@click.option("--threads", type=click.IntRange(min=1), help="Threads; default: all processors.")
@click.option("--deterministic", is_flag=True, help="A fixed leak instead of a stochastic one.")
@click.option("--seed", type=click.IntRange(min=0), default=1, show_default=True)
@click.option("--save-chip", type=click.Path(), help="Write the chip file too.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def recurrent(
    rate: float,
    synapses: int,
    cores: int,
    ticks: int,
    threads: int | None,
    deterministic: bool,
    seed: int,
    save_chip: str | None,
    as_json: bool,
) -> None:
    """Emulate the recurrent network of the chip's own publications (Merolla et al., Science 2014, S7)."""
    if not 1 <= rate <= 200:
        raise click.BadParameter("a rate in 1..200 Hz was expected", param_hint="'--rate'")
    from neurocore import container
    from neurocore.recurrent import measure, measure_load, recurrent_chip

    if save_chip is not None:
        container.check_writable(save_chip)
    chip = recurrent_chip("truenorth", cores, rate, synapses, stochastic=not deterministic, seed=seed)
    if save_chip is not None:
        chip.save(save_chip)
    result = {**measure(chip, ticks, threads), **measure_load(chip)}
    rows = [
        (
            "network",
            f"{cores:,} cores, {result['rate_hz']:.2f} Hz measured, {result['synapses_per_axon']:.1f} synapses per axon",
        ),
        (
            "speed",
            f"{result['ticks_per_second']:,.1f} ticks/s on {result['threads']} threads (median of"
            f" {result['windows']} windows), {result['real_time_factor']:.3f} times real time",
        ),
        ("synapses", f"{result['sops_per_second'] / 1e9:.3f} G synaptic events/s"),
        (
            "load",
            f"{result['load_seconds']:.2f} s to the first tick, {result['peak_rss_mb']:.0f} MB, in a fresh process",
        ),
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
