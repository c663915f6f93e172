"""Commands about chips: chips, compile, inspect, verify."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import click

from neurocore.cli.output import emit, keep_inputs, progress_bar, say, stage, table

if TYPE_CHECKING:
    from neurocore.compiler.pipeline import CompileReport
    from neurocore.config import ChipConfig
    from neurocore.spikes import Spikes


@click.command()
@click.argument("name", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def chips(name: str | None, as_json: bool) -> None:
    """List the chip definitions, or print the one called NAME (or in the file NAME)."""
    from neurocore.architecture import chip_names, chip_text, load_architecture

    if name is None:
        known = [load_architecture(item) for item in chip_names()]
        rows = [
            (
                arch.name,
                f"{arch.title}: {arch.columns} x {arch.rows} cores of {arch.core.axons} axons x"
                f" {arch.core.neurons} neurons",
            )
            for arch in known
        ]
        emit({"chips": [{"name": arch.name, "title": arch.title} for arch in known]}, as_json, table(rows))
        return
    arch = load_architecture(name)
    text = chip_text(name) if name in chip_names() else _read(name)
    emit({"chip": arch.model_dump(mode="json")}, as_json, text.rstrip())


def _read(path: str) -> str:
    with open(path, encoding="utf-8") as file:
        return file.read()


@click.command("compile")
@click.argument("network", type=click.Path())
@click.option("-o", "--output", type=click.Path(), help="Chip file to write.")
@click.option("--chip", default="truenorth", show_default=True, help="Chip definition: a name or a YAML file.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Seed of the placement.")
@click.option("--estimate", is_flag=True, help="Only say what the network would need; write nothing.")
@click.option("--report", type=click.Path(), help="Write the text form of every stage to this file.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def compile_command(
    network: str, output: str | None, chip: str, seed: int, estimate: bool, report: str | None, as_json: bool
) -> None:
    """Compile NETWORK (YAML) to a chip file."""
    from neurocore import container
    from neurocore.compiler.pipeline import compile_with_report, estimate_network

    if estimate:
        result = estimate_network(network, chip)
        emit(result.as_dict(), as_json, _compile_text(result, None))
        return
    if output is None:
        raise click.UsageError("Missing option '-o' / '--output' (or ask for an --estimate).")
    keep_inputs(output, network)
    if report is not None and os.path.abspath(report) == os.path.abspath(output):
        raise click.UsageError("The chip file and the report cannot be one file.")
    container.check_writable(output)
    if report is not None:
        container.check_writable(report)
    configured, result = compile_with_report(network, chip, seed=seed, progress=stage)
    stage("save")
    with result.timed("save"):
        configured.save(output)
    if report is not None:
        with container.atomic_path(report) as path, open(path, "w", encoding="utf-8") as file:
            file.write("\n\n".join(dump() for dump in result.dumps.values()) + "\n")
    for warning in result.warnings:
        say(f"neurocore: {warning}")
    emit(result.as_dict(), as_json, _compile_text(result, output))


def _compile_text(report: CompileReport, output: str | None) -> str:
    total = sum(report.seconds.values())
    rows = [
        ("cores", f"{report.cores:,} (at least {report.cores_lower_bound:,}; {report.binds} bind)"),
        ("neurons", f"{report.neurons:,}, of which {report.copies:,} copies and {report.relays:,} relays for fan-out"),
        ("axons", f"{report.axons:,}"),
        (
            "fill",
            f"as many neurons as {report.cores_by_neurons:,} cores have, as many axons as {report.cores_by_axons:,}",
        ),
        ("latency", f"{report.latency} ticks"),
        ("packets", f"{report.packets_per_tick:,.1f} per tick expected, inputs included"),
        *([("basis", "shapes and a few sampled neurons")] if report.basis == "shapes" else []),
        *([("mean hops", f"{report.mean_hops:.2f}")] if output is not None else []),
        ("time", f"{total:.2f} s (" + ", ".join(f"{name} {value:.2f}" for name, value in report.seconds.items()) + ")"),
    ]
    if output is not None:
        rows += [("check", "proved: the chip is the network, spike for spike"), ("written", output)]
    return table(rows)


@click.command()
@click.argument("chip", type=click.Path())
@click.option("--core", metavar="X,Y", help="Show one core.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def inspect(chip: str, core: str | None, as_json: bool) -> None:
    """Say what a chip file holds."""
    from neurocore.chipfile import load_chip
    from neurocore.cli.inspect import chip_fields, chip_text, core_fields, core_text

    configured = load_chip(chip)
    if core is None:
        fields: dict[str, Any] = chip_fields(configured)
        emit(fields, as_json, chip_text(configured))
        return
    row = _core_row(configured, core)
    emit(core_fields(configured, row), as_json, core_text(configured, row))


def _core_row(chip: ChipConfig, text: str) -> int:
    arch = chip.architecture
    try:
        x, y = (int(part) for part in text.split(","))
    except ValueError:
        raise click.BadParameter(f"{text!r} is not of the form X,Y", param_hint="'--core'") from None
    if not (0 <= x < arch.columns and 0 <= y < arch.rows):
        raise click.BadParameter(
            f"core ({x}, {y}) is outside the {arch.columns} x {arch.rows} cores of {arch.name!r}", param_hint="'--core'"
        )
    row = int(chip.row_of()[arch.core_id(x, y)])
    if row < 0:
        raise click.BadParameter(f"core ({x}, {y}) is not configured", param_hint="'--core'")
    return row


@click.command()
@click.argument("network", type=click.Path())
@click.argument("chip", type=click.Path())
@click.option("--input", "spikes", type=click.Path(), help="Input spikes (.npz or .csv).")
@click.option("--ticks", type=click.IntRange(min=0), required=True, help="Ticks of the network to compare.")
@click.option("--threads", type=click.IntRange(min=1), help="Threads of the emulation.")
@click.option("--seed", type=click.IntRange(min=0), help="Seed of the random draws, instead of the chip's own.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def verify(
    network: str, chip: str, spikes: str | None, ticks: int, threads: int | None, seed: int | None, as_json: bool
) -> None:
    """Run NETWORK itself and CHIP on the same input and compare every output spike."""
    from neurocore.chipfile import load_chip
    from neurocore.compiler.verify import verify as compare
    from neurocore.compiler.yamlnet import load_network
    from neurocore.emulator import Emulator
    from neurocore.errors import MismatchError
    from neurocore.spikes import Spikes, read

    def run(chip: ChipConfig, spikes: Spikes, ticks: int) -> Spikes:
        emulator = Emulator(chip, threads=threads, seed=seed)
        with progress_bar(ticks, "emulating") as progress:
            return emulator.run(spikes, ticks, progress=progress).spikes

    if spikes is None:
        say("neurocore: without --input only what the network does by itself is compared")
    abstract, configured = load_network(network), load_chip(chip)
    verdict = compare(abstract, configured, read(spikes) if spikes else Spikes.empty(), ticks, run, seed)
    if verdict.equal:
        text = f"equal: {verdict.spikes_compared:,} output spikes in {ticks:,} ticks, latency {verdict.latency}"
    else:
        place = verdict.first_difference or {}
        side = "network only" if place.get("network") else "chip only"
        text = f"different: first at tick {place.get('tick')}, output line {place.get('line')} ({place.get('neuron')}): {side}"
    emit(verdict.as_dict(), as_json, text)
    if not verdict.equal:
        for problem in verdict.cause:
            say(f"neurocore: {problem}")
        raise click.exceptions.Exit(MismatchError.exit_code)
