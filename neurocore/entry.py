"""Where the command line begins. Its modules are loaded in here, so that an interrupt meanwhile ends it as any later one does."""

from __future__ import annotations

import sys

INTERRUPTED = 130
"""Exit code of what was interrupted."""


def main() -> None:
    """The command ``neurocore``: runs what the command line asks for and exits with its code."""
    try:
        from neurocore.cli import main as run

        run()
    except KeyboardInterrupt:
        from neurocore.interrupts import ignore_signals

        ignore_signals()
        sys.stderr.write("neurocore: interrupted\n")
        sys.exit(INTERRUPTED)
