"""The errors that users meet, each with the exit code of the command line.

Every error is one clear sentence or a list of them: subject, value found, limit, way out. Code that checks collects all
that is wrong and raises once. ``assert`` is kept for what only a fault of our own can break.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable


class NeurocoreError(Exception):
    """What neurocore refuses to do, and why.

    ``problems`` holds one sentence per fault found; ``str()`` of the error joins them by line.
    """

    exit_code = 1

    def __init__(self, problems: str | Iterable[str]) -> None:
        self.problems: tuple[str, ...] = (problems,) if isinstance(problems, str) else tuple(problems)
        super().__init__("\n".join(self.problems))

    def respell(self, spelling: Callable[[str], str]) -> None:
        """Give all sentences another spelling (:data:`neurocore.wording.Spelling`)."""
        self.problems = tuple(map(spelling, self.problems))
        self.args = ("\n".join(self.problems),)


class UsageError(NeurocoreError):
    """An argument that no file could make right (exit code 2)."""

    exit_code = 2


class InputError(NeurocoreError, ValueError):
    """A file, array or value that cannot be read or is out of range (exit code 3)."""

    exit_code = 3


class FitError(NeurocoreError):
    """A network that does not fit the chip (exit code 4); every problem starts with its code, as in ``E-FANIN``."""

    exit_code = 4


class MismatchError(NeurocoreError):
    """Two things that should be equal are not (exit code 5)."""

    exit_code = 5


class OutputError(NeurocoreError):
    """Something that cannot be written (exit code 6)."""

    exit_code = 6
