"""The other end of a live run, in the time of a clock of its own."""

from __future__ import annotations


class Script:
    """An endpoint that gives one piece after another, in its own time, and keeps what is written with the input's progress.

    Pieces are bytes, or (time, bytes) for paced runs, in which :meth:`clock` is the time and only waiting makes it pass.
    """

    name = "stdin"

    def __init__(self, *pieces: bytes | tuple[float, bytes]) -> None:
        self.pieces = [piece if isinstance(piece, tuple) else (0.0, piece) for piece in pieces]
        self.now = 0.0
        self.written: list[tuple[int, bytes]] = []
        self.n_read = 0

    def read(self, timeout: float | None) -> bytes | None:
        if not self.pieces:
            return b""
        arrives = self.pieces[0][0]
        if timeout is not None and arrives > self.now + timeout:
            self.now += timeout
            return None
        self.now = max(self.now, arrives)
        self.n_read += 1
        return self.pieces.pop(0)[1]

    def write(self, data: bytes) -> None:
        self.written.append((self.n_read, data))

    def clock(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    @property
    def rows(self) -> list[tuple[int, ...]]:
        text = b"".join(data for _, data in self.written).decode()
        return [tuple(map(int, row.split(","))) for row in text.splitlines()]
