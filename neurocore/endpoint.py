"""The two ends of a live run: bytes that come in when they come, and bytes that leave at once.

An endpoint is the pair stdin and stdout, or one client of a local socket. The protocol that runs over it is that of
:mod:`neurocore.live`. POSIX only: pipes are waited for with ``select``.
"""

from __future__ import annotations

import os
import select
import socket
import stat
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Protocol

from neurocore.errors import OutputError, UsageError

READ_BYTES = 2**20
"""At most this much is read at once: more than a pipe or a socket holds by default."""

LOOPBACK = "127.0.0.1"


class Endpoint(Protocol):
    """Where spikes come from and go to."""

    @property
    def name(self) -> str:
        """How complaints call the input, as in ``stdin:12``."""

    def read(self, timeout: float | None) -> bytes | None:
        """What has come, waiting at most ``timeout`` seconds (None: for ever); None if nothing did, b"" at the end."""

    def write(self, data: bytes) -> None:
        """Hand over to the reader at once. Raises BrokenPipeError or ConnectionError if it has gone."""


class Stream:
    """An endpoint that reads from a file descriptor and writes with a function."""

    def __init__(self, name: str, descriptor: int, write: Callable[[bytes], object]) -> None:
        self._name = name
        self._write = write
        self._descriptor = descriptor

    @property
    def name(self) -> str:
        """See :class:`Endpoint`."""
        return self._name

    def write(self, data: bytes) -> None:
        """See :class:`Endpoint`."""
        self._write(data)

    def read(self, timeout: float | None) -> bytes | None:
        """See :class:`Endpoint`; a client that broke off has ended its input."""
        ready, _, _ = select.select([self._descriptor], [], [], timeout)
        if not ready:
            return None
        try:
            return os.read(self._descriptor, READ_BYTES)
        except ConnectionResetError:
            return b""


def standard() -> Endpoint:
    """Standard input and output. Raises UsageError if the process was started without input."""
    if sys.stdin is None:
        raise UsageError("standard input is closed; --live reads spikes from it: pipe them in, or use --listen")
    out = sys.stdout.buffer

    def write(data: bytes) -> None:
        out.write(data)
        out.flush()

    return Stream("stdin", sys.stdin.fileno(), write)


@contextmanager
def client(address: str, say: Callable[[str], None]) -> Iterator[Endpoint]:
    """Listen at ``address``, wait for one client and talk to it; nobody else can connect.

    ``address`` is ``unix:PATH``, a port, or ``127.0.0.1:PORT``; port 0 takes a free one. ``say`` is told where. Raises
    UsageError for an address that is not local, OutputError if it cannot be had.
    """
    with _listen(address) as (listener, where):
        say(where)
        connection, _ = listener.accept()
    with connection:
        if connection.family == socket.AF_INET:
            # Spikes are small; waiting to fill a packet would hold them back for tens of milliseconds.
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        yield Stream("client", connection.fileno(), connection.sendall)


@contextmanager
def _listen(address: str) -> Iterator[tuple[socket.socket, str]]:
    """A listening socket, and its address in words; both are gone afterwards."""
    path = address.removeprefix("unix:") if address.startswith("unix:") else None
    port = None if path is not None else parse_port(address)
    family = socket.AF_INET if path is None else socket.AF_UNIX
    with socket.socket(family, socket.SOCK_STREAM) as listener:
        try:
            if path is None:
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                listener.bind((LOOPBACK, port))
                listener.listen(1)
                where = f"{LOOPBACK}:{listener.getsockname()[1]}"
            else:
                _bind_path(listener, path)
                where = f"unix:{path}"
        except OSError as error:
            raise OutputError(f"{address} cannot be listened on: {error.strerror or error}") from error
        try:
            yield listener, where
        finally:
            if path is not None:
                with suppress(FileNotFoundError):
                    os.unlink(path)


def _bind_path(listener: socket.socket, path: str) -> None:
    """Listen on a path, for this user only; replaces a socket that its owner left behind, and nothing else."""
    if _is_abandoned(path):
        os.unlink(path)
    listener.bind(path)
    os.chmod(path, stat.S_IRUSR | stat.S_IWUSR)
    listener.listen(1)


def _is_abandoned(path: str) -> bool:
    if not (os.path.exists(path) and stat.S_ISSOCK(os.stat(path).st_mode)):
        return False
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            return True
    return False


def parse_port(address: str) -> int:
    """The port of ``PORT`` or ``127.0.0.1:PORT``. Raises UsageError for anything else."""
    host, _, text = address.rpartition(":")
    if host not in ("", LOOPBACK, "localhost"):
        raise UsageError(
            f"--listen {address}: host {host!r} is not this machine; use unix:PATH, PORT or {LOOPBACK}:PORT, as the"
            " protocol knows no passwords"
        )
    if not (text.isascii() and text.isdigit() and int(text) < 2**16):
        raise UsageError(
            f"--listen {address}: {text!r} is no port 0..{2**16 - 1}; use unix:PATH, PORT or {LOOPBACK}:PORT"
        )
    return int(text)
