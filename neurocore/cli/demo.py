"""The demo command."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from neurocore.cli.output import emit, progress_bar, stage, table
from neurocore.wording import counted

if TYPE_CHECKING:
    from neurocore.demo import DemoResult


REPORT = "neurocore-demo.html"
"""The report's file in the working folder."""
OUTPUT_HELP = (
    f"Folder for the report, the chip and the run file; made if missing. Default: only the report, {REPORT}, here."
)


@click.command()
@click.option("-o", "--output", type=click.Path(), metavar="DIR", help=OUTPUT_HELP)
@click.option("--threads", type=click.IntRange(min=1), help="Threads of the emulation.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def demo(output: str | None, threads: int | None, as_json: bool) -> None:
    """Compile a trained digit classifier to TrueNorth, emulate it on digits it never saw, and measure it."""
    from neurocore import container
    from neurocore.compiler.pipeline import compile_network
    from neurocore.demo import data_folder, run_demo
    from neurocore.demopage import demo_page

    folder = _make_folder(output) if output else None
    report = REPORT if folder is None else str(folder / "report.html")
    container.check_writable(report)
    with data_folder() as data:
        stage("compiling the network")
        chip = compile_network(data / "network.yaml")
        with progress_bar(1, "emulating") as progress:
            result = run_demo(chip, data, progress, threads)
    if folder is not None:
        chip.save(str(folder / "digits.h5"))
        result.run.save(str(folder / "digits_run.h5"))
    container.write_text(report, demo_page(result))
    emit({**result.as_dict(), "report": report}, as_json, _text(result, folder, report))


def _make_folder(path: str) -> Path:
    from neurocore import container
    from neurocore.errors import OutputError

    folder = Path(path)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"folder {path} cannot be made: {error.strerror or error}") from error
    for name in ("digits.h5", "digits_run.h5"):
        container.check_writable(str(folder / name))
    return folder


def _text(result: DemoResult, folder: Path | None, report: str) -> str:
    fields, chip, run = result.as_dict(), result.chip, result.run
    n_network = sum(group.size for group in chip.populations)
    wrong = result.n_images - round(result.accuracy * result.n_images)
    rows = [
        (
            "network",
            f"{counted(len(chip.cores), 'core')} of {chip.architecture.title}: {counted(n_network, 'neuron')},"
            f" {counted(chip.n_neurons - n_network, 'copy')} of them for fan-out, {counted(chip.n_synapses, 'synapse')}",
        ),
        (
            "accuracy",
            f"{100 * result.accuracy:.2f} % of {result.n_images} handwritten digits it never saw ({wrong} wrong)",
        ),
        (
            "spikes",
            f"{run.n_spikes:,} in {counted(run.ticks, 'tick')} of 1 ms, copies included; {fields['mean_hops']:.2f} hops per"
            " packet between cores",
        ),
        (
            "power",
            f"{fields['power_mw']:.3f} mW for the {counted(fields['powered_cores'], 'core')} in use at {result.power.voltage} V"
            f" (model within {100 * result.power.accuracy:g} % of the published whole-chip measurements)",
        ),
        ("energy", f"{fields['energy_per_inference_uj']:.3f} uJ per classification"),
        (
            "speed",
            f"{fields['ticks_per_second']:,.0f} ticks/s, {fields['ticks_per_second'] / 1000:.1f} times real time",
        ),
    ]
    if folder is not None:
        rows.append(("written", f"{folder / 'digits.h5'}, {folder / 'digits_run.h5'}"))
    return table([*rows, ("report", report)])
