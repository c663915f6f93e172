"""``run --live``: spikes in and out while the chip runs. Stdout carries spikes, so that all else goes to stderr."""

from __future__ import annotations

import json
import math
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

import click

from neurocore.cli.output import SCHEMA_VERSION, keep_inputs, recording, say

if TYPE_CHECKING:
    from neurocore.config import ChipConfig
    from neurocore.endpoint import Endpoint
    from neurocore.live import LiveReport


MIN_HZ, MAX_HZ = 0.001, 1e9
"""The rates that ``power --tick-hz`` takes too."""


def parse_pace(context: click.Context, option: click.Parameter, text: str | None) -> float | str | None:
    """Read ``--pace``: a tick rate in Hz, or ``real`` for the chip definition's."""
    if text is None or text == "real":
        return text
    try:
        tick_hz = float(text)
    except ValueError:
        tick_hz = math.nan
    if not MIN_HZ <= tick_hz <= MAX_HZ:
        raise click.BadParameter(
            f"'{text}' is neither 'real' nor a rate of {MIN_HZ:g}..{MAX_HZ:g} Hz.", context, option
        )
    return tick_hz


def check_kind(
    live: bool,
    recorded_only: dict[str, Any],
    live_only: dict[str, Any],
    *,
    ticks: int | None,
    output: str | None,
    probes: tuple[str, ...],
) -> None:
    """Refuse options, given by name with their values, of the other kind of run, and a run without what it needs."""
    wrong = [name for name, value in (recorded_only if live else live_only).items() if value is not None]
    if wrong and live:
        raise click.UsageError(
            f"--live does not take {', '.join(wrong)}: a live run begins at tick 0 and takes the spikes that come. Save them to a"
            " file and run that with --input."
        )
    if wrong:
        raise click.UsageError(f"{', '.join(wrong)}: only together with --live.")
    if live and probes and output is None:
        raise click.UsageError("--probe: what a live run's probes see stands in its run file only; give --output too.")
    for name, value in (("--ticks", ticks), ("--output", output)):
        if value is None and not live:
            raise click.UsageError(f"Missing option '{name}'.")


def run_live(
    chip: str,
    ticks: int | None,
    threads: int | None,
    seed: int | None,
    *,
    probes: tuple[str, ...],
    output: str | None,
    pace: float | str | None,
    listen: str | None,
    as_json: bool,
) -> None:
    """Run a chip file over stdin and stdout or a socket, summarise on stderr, and write the run file if one is asked for."""
    from neurocore.chipfile import load_chip
    from neurocore.emulator import Emulator
    from neurocore.live import LiveRun

    if output is not None:
        keep_inputs(output, chip)
    emulator = Emulator(load_chip(chip), threads=threads, seed=seed, probes=probes)
    tick_hz = _tick_hz(emulator.chip) if pace == "real" else pace
    assert not isinstance(tick_hz, str)
    with nullcontext() if output is None else recording(emulator, output) as recorder:
        with _endpoint(listen) as endpoint:
            live = LiveRun(emulator, endpoint, ticks=ticks, tick_hz=tick_hz, recorder=recorder)
            try:
                live.run()
            finally:
                _summarise(live.report, as_json)
        if recorder is not None:
            recorder.finish()
    if live.report.ended == "reader gone" and listen is None:
        raise BrokenPipeError


def _endpoint(listen: str | None) -> AbstractContextManager[Endpoint]:
    from neurocore.endpoint import client, standard

    if listen is None:
        return nullcontext(standard())
    return client(listen, lambda where: say(f"neurocore: listening on {where}"))


def _tick_hz(chip: ChipConfig) -> float:
    """Ticks of the network a second when the chip's own come at the rate of its definition."""
    energy = chip.architecture.energy
    if energy is None:
        raise click.UsageError(
            f"--pace real: chip definition '{chip.architecture.name}' gives no tick rate; give a number of Hz."
        )
    return energy.default_tick_hz / chip.dilation


def _summarise(report: LiveReport, as_json: bool) -> None:
    if not as_json:
        say(f"neurocore: {report}")
    elif report.ended != "error":  # the error itself becomes the object then
        say(json.dumps({"schema_version": SCHEMA_VERSION, **report.as_dict()}, allow_nan=False))
