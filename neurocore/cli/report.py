"""The command that writes the report of a run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from neurocore.cli.output import check_ending, emit, keep_inputs, table
from neurocore.cli.run import power_options

if TYPE_CHECKING:
    from neurocore.power import PowerReport
    from neurocore.result import RunResult


@click.command()
@click.argument("run_file", metavar="RUN", type=click.Path())
@click.option("-o", "--output", type=click.Path(), required=True, help="Page to write: .html.")
@power_options
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def report(run_file: str, output: str, as_json: bool, **power: Any) -> None:
    """Write all that a run shows as one HTML page: numbers, spikes, firing by core, power, traffic."""
    from neurocore import container
    from neurocore.result import power_of
    from neurocore.runfile import load_run
    from neurocore.runpage import ENDINGS, run_page

    check_ending(output, "report", ENDINGS)
    keep_inputs(output, run_file)
    container.check_writable(output)
    run = load_run(run_file)
    found = power_of(run, **power)
    container.write_text(output, run_page(run, found))
    emit(_fields(run, found, output), as_json, table(_rows(run, found, output)))


def _fields(run: RunResult, power: PowerReport | None, output: str) -> dict[str, Any]:
    """The fields of ``report --json``."""
    traffic = run.traffic()
    return {
        "report": output,
        "network": run.chip.name,
        "chip": run.chip.architecture.name,
        "seed": run.seed,
        "cores": int(run.in_use.sum()),
        **run.summary(),
        "total_mw": None if power is None else power.total_mw,
        "energy_per_spike_pj": None if power is None else power.energy_per_spike_pj,
        "energy_per_synaptic_event_pj": None if power is None else power.energy_per_synaptic_event_pj,
        "mean_hops": traffic.mean_hops,
        "max_link_packets_per_tick": traffic.max_link_packets_per_tick,
    }


def _rows(run: RunResult, power: PowerReport | None, output: str) -> list[tuple[str, str]]:
    """What was written, for people."""
    from neurocore.power import significant
    from neurocore.wording import counted

    drawn = "" if power is None else f", {significant(power.total_mw)} mW at {power.voltage:g} V"
    shown = f"{run.chip.name}: {counted(run.n_spikes, 'spike')} in {counted(run.ticks, 'tick')}{drawn}"
    return [("run", shown), ("written", output)]
