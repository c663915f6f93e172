"""``run --live``: spikes in and out while the chip runs. Stdout carries spikes, so that all else goes to stderr."""

from __future__ import annotations

import json
import math
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

import click

from neurocore.cli.output import SCHEMA_VERSION, say

if TYPE_CHECKING:
    from neurocore.architecture import Architecture
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


def refuse(live: bool, options: dict[str, Any], *, ticks: int | None) -> None:
    """Refuse options of the other kind of run, and a recorded run without what it needs.

    ``options`` holds every option that only one of the kinds takes, by name, with its value.
    """
    given = {name for name, value in options.items() if value not in (None, ())}
    of_live = {"--listen", "--pace"}
    wrong = sorted(given - of_live if live else given & of_live)
    if wrong and live:
        raise click.UsageError(
            f"--live does not take {', '.join(wrong)}: a live run keeps no record. Save the spikes that go in to a file and run"
            " that with --input."
        )
    if wrong:
        raise click.UsageError(f"{', '.join(wrong)}: only together with --live.")
    for name, value in (("--ticks", ticks), ("--output", options["--output"])):
        if value is None and not live:
            raise click.UsageError(f"Missing option '{name}'.")


def run_live(
    chip: str,
    *,
    ticks: int | None,
    threads: int | None,
    seed: int | None,
    pace: float | str | None,
    listen: str | None,
    as_json: bool,
) -> None:
    """Run a chip file over stdin and stdout, or over a socket, and summarise on stderr."""
    from neurocore.chipfile import load_chip
    from neurocore.emulator import Emulator
    from neurocore.live import LiveRun

    emulator = Emulator(load_chip(chip), threads=threads, seed=seed)
    tick_hz = _tick_hz(emulator.chip.architecture) if pace == "real" else pace
    assert not isinstance(tick_hz, str)
    with _endpoint(listen) as endpoint:
        live = LiveRun(emulator, endpoint, ticks=ticks, tick_hz=tick_hz)
        try:
            live.run()
        finally:
            _summarise(live.report, as_json)
    if live.report.ended == "reader gone" and listen is None:
        raise BrokenPipeError


def _endpoint(listen: str | None) -> AbstractContextManager[Endpoint]:
    from neurocore.endpoint import client, standard

    if listen is None:
        return nullcontext(standard())
    return client(listen, lambda where: say(f"neurocore: listening on {where}"))


def _tick_hz(arch: Architecture) -> float:
    if arch.energy is None:
        raise click.UsageError(f"--pace real: chip definition '{arch.name}' gives no tick rate; give a number of Hz.")
    return arch.energy.default_tick_hz


def _summarise(report: LiveReport, as_json: bool) -> None:
    if not as_json:
        say(f"neurocore: {report}")
    elif report.ended != "error":  # the error itself becomes the object then
        say(json.dumps({"schema_version": SCHEMA_VERSION, **report.as_dict()}, allow_nan=False))
