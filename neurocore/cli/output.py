"""What the commands print, and how: results to stdout, progress and warnings to stderr, JSON as one object."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from itertools import accumulate
from typing import TYPE_CHECKING, Any

import click

from neurocore.errors import NeurocoreError
from neurocore.wording import Spelling, did_you_mean

if TYPE_CHECKING:
    from neurocore.emulator import Emulator
    from neurocore.recorder import Recorder

SCHEMA_VERSION = 1


def emit(fields: Mapping[str, Any], as_json: bool, text: str) -> None:
    """Print a result: one JSON object, or text."""
    if as_json:
        click.echo(json.dumps({"schema_version": SCHEMA_VERSION, **fields}, indent=2, allow_nan=False))
    else:
        click.echo(text)


def say(text: str) -> None:
    """A remark on stderr."""
    click.echo(text, err=True)


def stage(name: str) -> None:
    """Name of the work at hand, shown on a terminal only."""
    if sys.stderr.isatty():
        click.echo(f"  {name} ...", err=True)


@contextmanager
def progress_bar(ticks: int, label: str) -> Iterator[Callable[[int, int], None]]:
    """A progress bar over ticks on stderr if that is a terminal; yields the callback that moves it."""
    if not sys.stderr.isatty():
        yield lambda done, total: None
        return
    with click.progressbar(length=ticks, label=label, file=sys.stderr) as bar:
        yield lambda done, total: bar.update(done - bar.pos)


COMPILE_SHARES = {"quantise": 15, "check": 5, "partition": 25, "route": 15, "place": 20, "assemble": 5, "prove": 15}
"""The part of a compilation that each stage is taken for, in per cent."""


@contextmanager
def compile_bar() -> Iterator[Callable[[str, int, int], None]]:
    """A progress bar over the stages of a compilation; yields the callback that moves it.

    It shows on stderr if that is a terminal and the command does not print JSON.
    """
    context = click.get_current_context(silent=True)
    if not sys.stderr.isatty() or (context is not None and context.params.get("as_json")):
        yield lambda stage, done, total: None
        return
    before = dict(zip(COMPILE_SHARES, accumulate(COMPILE_SHARES.values(), initial=0), strict=False))
    width = max(map(len, COMPILE_SHARES))
    with click.progressbar(length=100, label="compiling".ljust(width), show_eta=False, file=sys.stderr) as bar:

        def move(stage: str, done: int, total: int) -> None:
            bar.label = stage.ljust(width)
            # Stages that are repeated do not move the bar back.
            bar.update(max(before.get(stage, 100) + COMPILE_SHARES.get(stage, 0) * done // max(total, 1) - bar.pos, 0))
            bar.render_progress()

        yield move
        bar.update(100 - bar.pos)


class Choice(click.Choice[str]):
    """A choice of names, of which the nearest is named where a wrong one is given."""

    def get_invalid_choice_message(self, value: Any, ctx: click.Context | None) -> str:
        """The message, which click ends with a full stop."""
        return super().get_invalid_choice_message(value, ctx).removesuffix(".") + did_you_mean(value, self.choices)


@contextmanager
def spelling(spell: Spelling) -> Iterator[None]:
    """What is refused in this context is said in the spelling of the command's user."""
    try:
        yield
    except NeurocoreError as error:
        error.respell(spell)
        raise


OTHER_KINDS = (".csv", ".html", ".json", ".nir", ".npy", ".npz", ".py", ".svg", ".txt", ".yaml", ".yml")
"""What the names of chip and run files, which are HDF5, do not end in: who writes this has mistaken one file for another."""


def check_file_kind(path: str | None, kind: str) -> None:
    """Refuse to write a chip or run file under a name that says it is something else."""
    ending = os.path.splitext(path or "")[1].lower()
    if ending in OTHER_KINDS:
        raise click.UsageError(f"'{path}': a {kind} is written in HDF5; let its name end in .h5, not in {ending}.")


def check_ending(path: str, kind: str, known: tuple[str, ...]) -> None:
    """Refuse a name by whose ending the form of what is written cannot be chosen."""
    if not path.lower().endswith(known):
        raise click.UsageError(f"'{path}': the name of a {kind} ends in {', '.join(known)}.")


def keep_inputs(output: str, *inputs: str | None) -> None:
    """Refuse an output that would replace one of the command's own inputs."""
    for path in inputs:
        if path is not None and os.path.exists(output) and os.path.exists(path) and os.path.samefile(output, path):
            raise click.UsageError(f"'{output}' is read by this command; write the result to another file.")


@contextmanager
def recording(emulator: Emulator, output: str) -> Iterator[Recorder]:
    """A recorder that says what it kept if the run does not end, and where it put what an earlier run had kept."""
    from neurocore.errors import OutputError
    from neurocore.partfile import part_path
    from neurocore.recorder import Recorder

    recorder = Recorder(emulator, output)
    try:
        with recorder:
            yield recorder
    except OutputError:
        raise  # says itself what was kept
    except BaseException:
        if recorder.kept:
            say(f"neurocore: {recorder.hint}")
        raise
    finally:
        if recorder.aside is not None:
            say(f"neurocore: what an earlier run had left in {part_path(output)} is now in {recorder.aside}")


def table(rows: list[tuple[str, str]]) -> str:
    """Two columns, the first padded."""
    width = max(len(name) for name, _ in rows)
    return "\n".join(f"{name:<{width}}  {value}" for name, value in rows)
