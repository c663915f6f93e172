"""Where a live run gets its spikes from and where it sends them: the standard streams, or a socket on this machine."""

from __future__ import annotations

import ipaddress
import os
import socket
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from neurocore.errors import OutputError, UsageError
from neurocore.live import Port

STANDARD = "-"
_FORMS = "give unix:PATH or tcp:127.0.0.1:PORT, or nothing for stdin and stdout"


class StreamPort:
    """A pair of file descriptors."""

    def __init__(self, name: str, incoming: int, outgoing: int) -> None:
        self.name, self._in, self._out = name, incoming, outgoing

    def fileno(self) -> int:
        """The descriptor to wait for."""
        return self._in

    def read(self, size: int) -> bytes:
        """What has come; nothing at the end."""
        return os.read(self._in, size)

    def write(self, data: bytes) -> None:
        """Send at once."""
        view = memoryview(data)
        while view:
            view = view[os.write(self._out, view) :]


class SocketPort:
    """One connection."""

    def __init__(self, name: str, connection: socket.socket) -> None:
        self.name, self._connection = name, connection

    def fileno(self) -> int:
        """The descriptor to wait for."""
        return self._connection.fileno()

    def read(self, size: int) -> bytes:
        """What has come; nothing at the end."""
        return self._connection.recv(size)

    def write(self, data: bytes) -> None:
        """Send at once."""
        self._connection.sendall(data)


@contextmanager
def open_port(address: str, say: Callable[[str], None]) -> Iterator[Port]:
    """The port of an address: ``-`` for stdin and stdout, ``unix:PATH``, or ``tcp:HOST:PORT`` with a host of this machine.

    For a socket, tells ``say`` where it listens, waits for one connection, and listens no more. Raises UsageError for another
    address, OutputError if it cannot be had.
    """
    if address == STANDARD:
        yield StreamPort("stdin", 0, 1)
        return
    listener, name = _listen(address)
    try:
        say(f"listening on {name}")
        connection, _ = listener.accept()
    finally:
        listener.close()
        if address.startswith("unix:"):
            with suppress(OSError):
                os.unlink(address.removeprefix("unix:"))
    with connection:
        if connection.family != socket.AF_UNIX:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        yield SocketPort(name, connection)


def check_address(address: str) -> None:
    """Raise UsageError for an address that :func:`open_port` does not know."""
    if address != STANDARD and not address.startswith("unix:"):
        _host_and_port(address)


def _listen(address: str) -> tuple[socket.socket, str]:
    """A socket that listens, and its full address."""
    try:
        if address.startswith("unix:"):
            return _listen_unix(address.removeprefix("unix:")), address
        host, port = _host_and_port(address)
        listener = socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
        return listener, f"tcp:{host}:{listener.getsockname()[1]}"
    except OSError as error:
        raise OutputError(f"cannot listen on {address}: {error.strerror or error}; choose another address") from error


def _listen_unix(path: str) -> socket.socket:
    """A socket in the file system that only its owner may open; one that nobody listens on any more is replaced."""
    if os.path.lexists(path) and stat.S_ISSOCK(os.lstat(path).st_mode):
        with socket.socket(socket.AF_UNIX) as trial, suppress(ConnectionRefusedError):
            trial.connect(path)
            raise OutputError(f"cannot listen on unix:{path}: another program does; choose another address")
        os.unlink(path)
    listener = socket.socket(socket.AF_UNIX)
    before = os.umask(0o177)
    try:
        listener.bind(path)
        listener.listen(1)
    except BaseException:
        listener.close()
        raise
    finally:
        os.umask(before)
    return listener


def _host_and_port(address: str) -> tuple[str, int]:
    kind, _, rest = address.partition(":")
    host, _, port = rest.rpartition(":")
    if kind != "tcp" or not host or not port.isdecimal() or int(port) > 65535:
        raise UsageError(f"{address!r} is no address of a live run; {_FORMS}")
    host = "127.0.0.1" if host == "localhost" else host.strip("[]")
    try:
        local = ipaddress.ip_address(host).is_loopback
    except ValueError:
        local = False
    if not local:
        raise UsageError(
            f"{address!r} is not on this machine; a live run listens on 127.0.0.1 or ::1 only, since it knows no passwords:"
            " reach it from elsewhere through ssh -L"
        )
    return host, int(port)
