from typing import Any

import numpy as np
import numpy.typing as npt

def draw_word(core_key: int, tick: int, purpose: int, index: int) -> int: ...

class Program:
    tables: dict[str, Any]
    sizes: dict[str, int]
    def __init__(self, tables: dict[str, Any], sizes: dict[str, int]) -> None: ...

class State:
    program: Program
    arrays: dict[str, npt.NDArray[Any]]
    probes: dict[str, Any] | None
    tick: int
    def __init__(
        self, program: Program, arrays: dict[str, npt.NDArray[Any]], probes: dict[str, Any] | None
    ) -> None: ...
    def run(
        self,
        n_ticks: int,
        n_threads: int,
        event_start: npt.NDArray[np.int64],
        event_word: npt.NDArray[np.uint32],
        event_bit: npt.NDArray[np.uint8],
    ) -> None: ...
    def take(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int32]]: ...
