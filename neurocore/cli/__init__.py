"""The command line. Heavy imports happen inside commands, so that ``--help`` answers at once."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

import click

from neurocore import __version__
from neurocore.cli.bench import bench
from neurocore.cli.chip import chips, compile_command, inspect, verify
from neurocore.cli.demo import demo
from neurocore.cli.formats import convert_command, export_command, import_command
from neurocore.cli.output import SCHEMA_VERSION
from neurocore.cli.report import report
from neurocore.cli.run import diff, power, recover, run, traffic
from neurocore.entry import INTERRUPTED
from neurocore.errors import NeurocoreError, OutputError
from neurocore.interrupts import ignore_signals, stopped_by_sigterm
from neurocore.wording import as_yaml


class _ReaderGoneError(Exception):
    """A broken pipe under a name that click does not know: it makes exit code 1, an internal error, of a BrokenPipeError."""


@contextmanager
def _naming_broken_pipes() -> Iterator[None]:
    try:
        yield
    except BrokenPipeError as error:
        raise _ReaderGoneError from error


class _Commands(click.Group):
    """A group of commands that leaves broken pipes to :func:`main`, those of its options too (``--help``)."""

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        with _naming_broken_pipes():
            return super().make_context(info_name, args, parent, **extra)

    def invoke(self, ctx: click.Context) -> Any:
        with _naming_broken_pipes():
            return super().invoke(ctx)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="neurocore")
@click.option("--debug", is_flag=True, help="Show a traceback with an error. May stand anywhere on the line.")
def cli(debug: bool) -> None:
    """Compile spiking networks to TrueNorth-style chips, emulate them, and read their power and traffic.

    Results go to stdout, progress and remarks to stderr. Exit codes: 0 done, 1 internal error, 2 usage, 3 bad input,
    4 the network does not fit the chip, 5 a difference was found, 6 output cannot be written, 130 interrupted.
    """


_COMMANDS = (
    chips,
    compile_command,
    import_command,
    export_command,
    inspect,
    run,
    recover,
    diff,
    power,
    traffic,
    report,
    verify,
)

for _command in (*_COMMANDS, convert_command, bench, demo):
    cli.add_command(_command)


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point: runs a command and exits with its code.

    Ctrl-C and SIGTERM end every command alike. A process of its own (no ``arguments``) no longer heeds them once all is done.
    """
    try:
        with _deaf_afterwards() if arguments is None else nullcontext(), stopped_by_sigterm():
            _run(list(sys.argv[1:] if arguments is None else arguments))
    except (KeyboardInterrupt, click.Abort):
        click.echo("neurocore: interrupted", err=True)
        sys.exit(INTERRUPTED)


@contextmanager
def _deaf_afterwards() -> Iterator[None]:
    """Signals that come when this context is left, in whatever way, change nothing: all that remains is to say so and end."""
    try:
        yield
    finally:
        ignore_signals()


def _run(given: list[str]) -> None:
    """Runs a command and exits with its code; an interrupt is left to :func:`main`."""
    debug = "--debug" in given
    try:
        code = cli.main([item for item in given if item != "--debug"], prog_name="neurocore", standalone_mode=False)
        sys.stdout.flush()
        sys.exit(code if isinstance(code, int) else 0)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        sys.exit(2)
    except click.ClickException as error:
        if debug:
            raise
        error.show()
        _fail(given, error.exit_code, [error.format_message()])
    except click.Abort:
        raise  # what click makes of an interrupt
    except (BrokenPipeError, _ReaderGoneError):
        # The reader of our output has gone, which is no fault; Python would complain once more at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except OSError as error:
        if debug:
            raise
        # Files are handled where they are opened; what is left is stdout itself.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        _report([f"the output cannot be written: {error.strerror or error}"])
        sys.exit(OutputError.exit_code)
    except NeurocoreError as error:
        if debug:
            raise
        error.respell(as_yaml)
        _report(error.problems)
        _fail(given, error.exit_code, error.problems)
    except Exception as error:  # the last resort: one sentence instead of a traceback
        if debug:
            raise
        text = (
            f"internal error: {type(error).__name__}: {error}; run with --debug for the traceback and please report it"
        )
        _report([text])
        _fail(given, 1, [text])


def _report(problems: Sequence[str]) -> None:
    for problem in problems:
        click.echo(f"neurocore: {problem}", err=True)


def _fail(arguments: Sequence[str], code: int, problems: Sequence[str]) -> None:
    """Exit; a caller that asked for JSON gets the error as an object too."""
    if "--json" in arguments:
        import json

        error: dict[str, Any] = {"exit_code": code, "problems": list(problems)}
        live = "--live" in arguments  # stdout carries spikes then
        text = json.dumps({"schema_version": SCHEMA_VERSION, "error": error}, indent=None if live else 2)
        click.echo(text, err=live)
    sys.exit(code)
