"""Commands about runs: run, recover, diff, power, traffic."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from neurocore.cli.live import check_kind, parse_pace, run_live
from neurocore.cli.output import (
    Choice,
    check_ending,
    check_file_kind,
    emit,
    keep_inputs,
    progress_bar,
    recording,
    say,
    table,
)
from neurocore.wording import counted, times

if TYPE_CHECKING:
    from neurocore.spikes import Spikes


@click.command()
@click.argument("chip", type=click.Path())
@click.option("--input", "spikes", type=click.Path(), help="Input spikes (.npz or .csv).")
@click.option(
    "--ticks", type=click.IntRange(min=0), help="Ticks of the chip to run; with --live, if given, of the network."
)
@click.option("-o", "--output", type=click.Path(), help="Run file to write.")
@click.option(
    "--threads",
    type=click.IntRange(min=1),
    help="Threads; results do not depend on them. Default: all processors, one for few cores.",
)
@click.option("--seed", type=click.IntRange(min=0, max=2**64 - 1), help="Seed, instead of the chip's own.")
@click.option(
    "--checkpoint", type=click.Path(), metavar="FILE", help="Save the state and all that was recorded, again and again."
)
@click.option("--every", type=click.IntRange(min=1), metavar="N", help="Ticks between checkpoints.")
@click.option("--resume", type=click.Path(), metavar="FILE", help="Go on from a checkpoint, up to tick --ticks.")
@click.option(
    "--probe",
    "probes",
    multiple=True,
    metavar="POPULATION[:membrane]",
    help="Record a population's spikes, and its membranes if asked; may be repeated.",
)
@click.option("--live", is_flag=True, help="Spikes in on stdin, spikes out on stdout as they occur; see docs/live.md.")
@click.option("--listen", metavar="unix:PATH|PORT", help="Live over a local socket instead of stdin and stdout.")
@click.option(
    "--pace",
    metavar="HZ|real",
    callback=parse_pace,
    help="Live at this many ticks of the network a second; 'real': at the chip definition's rate.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object (with --live: on stderr).")
def run(**options: Any) -> None:
    """Emulate a chip file and write what it did.

    While it runs, RUN.h5.part holds what was recorded so far; after an interrupt, recover makes a run file of it. A run that
    was resumed from a checkpoint ends as if it had never been interrupted.
    """
    asked = _Run(**options)
    asked.check()
    if asked.live:
        asked.run_live()
    else:
        asked.record()


@dataclass(frozen=True)
class _Run:
    """The options of ``run``."""

    chip: str
    spikes: str | None
    ticks: int | None
    output: str | None
    threads: int | None
    seed: int | None
    checkpoint: str | None
    every: int | None
    resume: str | None
    probes: tuple[str, ...]
    live: bool
    listen: str | None
    pace: float | str | None
    as_json: bool

    def check(self) -> None:
        """Refuse options that do not go together."""
        recorded = {
            "--input": self.spikes,
            "--checkpoint": self.checkpoint,
            "--every": self.every,
            "--resume": self.resume,
        }
        live = {"--listen": self.listen, "--pace": self.pace}
        check_kind(self.live, recorded, live, ticks=self.ticks, output=self.output, probes=self.probes)
        check_file_kind(self.output, "run file")
        if (self.checkpoint is None) != (self.every is None):
            raise click.UsageError("--checkpoint and --every belong together.")

    def run_live(self) -> None:
        """Run with spikes as they come."""
        names = ("probes", "output", "pace", "listen", "as_json")
        run_live(self.chip, self.ticks, self.threads, self.seed, **{name: getattr(self, name) for name in names})

    def record(self) -> None:
        """Run with spikes from a file, write the run file, and print what was done."""
        from neurocore import container
        from neurocore.checkpoint import run_with_checkpoints
        from neurocore.chipfile import load_chip
        from neurocore.emulator import Emulator
        from neurocore.spikes import Spikes, read

        assert self.ticks is not None
        assert self.output is not None
        keep_inputs(self.output, self.chip, self.spikes, self.resume)
        for path in (self.output, self.checkpoint):
            if path is not None:
                container.check_writable(path)
        given = read(self.spikes) if self.spikes else Spikes.empty()
        emulator = Emulator(load_chip(self.chip), threads=self.threads, seed=self.seed, probes=self.probes)
        with recording(emulator, self.output) as recorder, progress_bar(self.ticks, "emulating") as progress:
            run_with_checkpoints(recorder, given, self.ticks, self.checkpoint, self.every, self.resume, progress)
            result = recorder.finish()
        unseen = len(given) - len(emulator.due(given, 0, self.ticks))
        if unseen:
            say(f"neurocore: {_unused(unseen, given, self.ticks, emulator.chip.dilation if given.is_network else 1)}")
        fields = {**result, "input_spikes_merged": given.n_merged, "input_spikes_unused": unseen}
        emit(fields, self.as_json, table([*result_rows(fields), ("written", self.output)]))


def _unused(unseen: int, given: Spikes, ticks: int, ticks_each: int) -> str:
    """A remark on spikes that come after a run of ``ticks`` of the chip, ``ticks_each`` of which make one of theirs."""
    last, needed = -(-ticks // ticks_each) - 1, (int(given.tick[-1]) + 1) * ticks_each
    after = f"the last tick, {last}" if ticks else "a run of 0 ticks"
    if ticks_each != 1:
        after = f"the last tick of the network, {last}, which takes {ticks_each} of the chip"
    verbs = "comes" if unseen == 1 else "come", "it" if unseen == 1 else "they"
    whole = f"all enter with --ticks {needed}"
    return f"{unseen:,} of {len(given):,} input spikes {verbs[0]} after {after}; {verbs[1]} had no effect ({whole})"


def result_rows(fields: dict[str, Any]) -> list[tuple[str, str]]:
    """What a run did, for people."""
    return [
        (
            "ticks",
            f"{fields['ticks']:,}{' of the chip' * (fields['dilation'] != 1)} in {fields['seconds']:.3f} s:"
            f" {fields['ticks_per_second']:,.0f} ticks/s,"
            f" {times(fields['ticks_per_second'] / 1000)} real time at 1 kHz",
        ),
        *([("network", _network_speed(fields))] if fields["dilation"] != 1 else []),
        ("spikes", f"{fields['spikes']:,} fired, {fields['output_spikes']:,} on output lines{_inner_clock(fields)}"),
        ("synaptic events", f"{fields['synaptic_events']:,}"),
        ("merges", f"{fields['merges']:,}"),
    ]


def _inner_clock(fields: dict[str, Any]) -> str:
    """Of a dilated chip, that what it counts is not what its network would."""
    return "; those within a tick of the network included" if fields["dilation"] != 1 else ""


def _network_speed(fields: dict[str, Any]) -> str:
    """The speed of a dilated chip in ticks of its network, which last several of the chip."""
    speed, dilation = fields["network_ticks_per_second"], fields["dilation"]
    return (
        f"{counted(fields['network_ticks'], 'tick')}, {dilation} of the chip each: {speed:,.0f} ticks/s,"
        f" {times(speed * dilation / 1000)} real time where a tick of the network lasts {dilation} ms,"
        f" {times(speed / 1000)} where it lasts 1 ms"
    )


@click.command()
@click.argument("part", metavar="RUN.h5.part", type=click.Path())
@click.option("-o", "--output", type=click.Path(), required=True, help="Run file to write.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def recover(part: str, output: str, as_json: bool) -> None:
    """Make a run file of what an interrupted run had recorded up to its last flush; the part file stays."""
    from neurocore.recorder import recover

    check_file_kind(output, "run file")
    keep_inputs(output, part)
    fields = recover(part, output).summary()
    say(f"neurocore: {part} is kept; delete it when {output} is all that you need")
    emit(fields, as_json, table([*result_rows(fields), ("written", output)]))


@click.command()
@click.argument("first", type=click.Path())
@click.argument("second", type=click.Path())
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def diff(first: str, second: str, as_json: bool) -> None:
    """Say where two runs differ first: in spikes, membranes or counters. Exit code 5 if they do."""
    from neurocore.compare import first_difference
    from neurocore.errors import MismatchError
    from neurocore.runfile import load_run

    difference = first_difference(load_run(first), load_run(second))
    text = "equal" if difference is None else f"different: {difference}"
    emit({"equal": difference is None, "first_difference": difference}, as_json, text)
    if difference is not None:
        raise click.exceptions.Exit(MismatchError.exit_code)


def power_options(command: Callable[..., None]) -> Callable[..., None]:
    """The options of what says or shows the power of a run."""
    for option in reversed(_POWER_OPTIONS):
        command = option(command)
    return command


_POWER_OPTIONS = (
    click.option("--voltage", type=float, help="Supply in V; default: the chip definition's."),
    click.option(
        "--tick-hz",
        type=click.FloatRange(min=0.001, max=1e9),
        help="Ticks per second of chip time; default: the chip definition's.",
    ),
    click.option(
        "--powered",
        type=Choice(["used", "chip"]),
        default="used",
        show_default=True,
        help="Cores that are powered: those in use, or the whole chip.",
    ),
    click.option("--inferences", type=click.IntRange(min=1), metavar="N", help="Classifications that the run made."),
)


@click.command()
@click.argument("run_file", metavar="RUN", type=click.Path())
@power_options
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def power(
    run_file: str, voltage: float | None, tick_hz: float | None, powered: str, inferences: int | None, as_json: bool
) -> None:
    """Power in milliwatts and energy per event of a run."""
    from neurocore.runfile import load_head

    report = load_head(run_file).power(voltage, tick_hz, powered, inferences)
    emit(report.as_dict(), as_json, str(report))


@click.command()
@click.argument("run_file", metavar="RUN", type=click.Path())
@click.option(
    "--report", type=click.Path(), help="Draw the mesh with its traffic: .html, a page, or .svg, the picture alone."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def traffic(run_file: str, report: str | None, as_json: bool) -> None:
    """Packets, hops and the hottest links of a run."""
    from neurocore import container
    from neurocore.runfile import load_head
    from neurocore.trafficpage import SUFFIXES, traffic_text

    if report is not None:
        check_ending(report, "report", SUFFIXES)
        keep_inputs(report, run_file)
        container.check_writable(report)
    run = load_head(run_file)
    found = run.traffic()
    if report is not None:
        container.write_text(report, traffic_text(run, os.path.splitext(report)[1].lower()))
        say(f"neurocore: {report} is written")
    emit(found.as_dict(), as_json, str(found))
