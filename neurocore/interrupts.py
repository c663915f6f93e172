"""Interrupts: SIGTERM ends a command as Ctrl-C does, and both end a run between two ticks, never in the middle of one."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Any

_USUAL = (signal.default_int_handler, signal.SIG_DFL)


def _in_main_thread() -> bool:
    """Whether this thread may set what signals do."""
    return threading.current_thread() is threading.main_thread()


@contextmanager
def stopped_by_sigterm() -> Iterator[None]:
    """Within this context SIGTERM raises KeyboardInterrupt, as SIGINT does.

    Outside of the main thread, and if the program handles it in its own way, nothing changes.
    """
    if not _in_main_thread() or signal.getsignal(signal.SIGTERM) != signal.SIG_DFL:
        yield
        return
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def ignore_signals() -> None:
    """Let SIGINT and SIGTERM pass from now on, so that a process that has only to end does so with its own exit code.

    Outside of the main thread nothing changes.
    """
    if _in_main_thread():
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)


class Interrupts:
    """Within this context SIGINT and SIGTERM are held back until :meth:`check`, which raises KeyboardInterrupt.

    A second signal is not held back. Outside of the main thread, and for signals that the program handles in its own way,
    nothing changes.
    """

    def __init__(self) -> None:
        self._pending = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Interrupts:
        if _in_main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                if signal.getsignal(number) in _USUAL:
                    self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        if kind is None:
            self.check()

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self._pending:
            raise KeyboardInterrupt
        self._pending = True

    def check(self) -> None:
        """Raise KeyboardInterrupt if a signal has come."""
        if self._pending:
            raise KeyboardInterrupt
