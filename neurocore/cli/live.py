"""``run --live``: the port, the pace and the report of a live run."""

from __future__ import annotations

import json
import sys
from contextlib import nullcontext

import click

from neurocore.chipfile import load_chip
from neurocore.cli.output import SCHEMA_VERSION, emit, keep_inputs, say, table
from neurocore.cli.run import recording, result_rows
from neurocore.config import ChipConfig
from neurocore.emulator import Emulator
from neurocore.errors import UsageError
from neurocore.live import LiveReport, LiveRun
from neurocore.ports import STANDARD, check_address, open_port


def run_live(
    chip: str,
    address: str,
    ticks: int | None,
    output: str | None,
    threads: int | None,
    seed: int | None,
    probes: tuple[str, ...],
    pace: str | None,
    late: str | None,
    as_json: bool,
) -> None:
    """Run a chip on a port; the report goes to stderr, or as JSON to stdout."""
    check_address(address)
    if probes and output is None:
        raise click.UsageError("--probe records to a run file; say which with -o.")
    if output is not None:
        keep_inputs(output, chip)
    emulator = Emulator(load_chip(chip), threads=threads, seed=seed, probes=probes)
    hz = _pace(pace, emulator.chip)
    with recording(emulator, output) if output is not None else nullcontext() as recorder:
        with open_port(address, say) as port:
            live = LiveRun(emulator, port, ticks=ticks, pace=hz, late=late, as_json=as_json, recorder=recorder)
            report = live.run()
        fields = {**report.as_dict(), **(recorder.finish() if recorder else {})}
    if not as_json:
        say(
            table(
                [*(result_rows(fields) if recorder else []), *_rows(report), *([("written", output)] if output else [])]
            )
        )
    elif address != STANDARD:
        emit(fields, True, "")
    elif report.ended != "reader":
        # On the stream of spikes the report is one more line.
        sys.stdout.write(json.dumps({"schema_version": SCHEMA_VERSION, **fields}) + "\n")


def _pace(text: str | None, chip: ChipConfig) -> float | None:
    if text is None:
        return None
    if text != "chip":
        try:
            return float(text)
        except ValueError as error:
            raise UsageError(
                f"--pace is {text!r}; ticks per second, or nothing for the chip's rate, was expected"
            ) from error
    energy = chip.architecture.energy
    if energy is None:
        raise UsageError(
            f"the chip definition {chip.architecture.name!r} has no tick rate; give one, as in --pace 1000"
        )
    return energy.default_tick_hz


def _rows(report: LiveReport) -> list[tuple[str, str]]:
    ends = {"ticks": "all ticks were run", "input": "the input ended", "reader": "the reader of the output has gone"}
    rows = [
        ("live", f"{report.ticks:,} ticks, {report.input_spikes:,} spikes in, {report.output_spikes:,} out"),
        ("ended", ends[report.ended]),
    ]
    if report.pace_hz is not None:
        late = f"{report.late_ticks:,} ticks late, by {report.worst_late_ms:.3f} ms at most"
        rows.append(("pace", f"{report.pace_hz:g} Hz; {late}"))
    if report.late_spikes or report.unused_spikes:
        rows.append(
            ("no effect", f"{report.late_spikes:,} came too late, {report.unused_spikes:,} after the last tick")
        )
    return rows
