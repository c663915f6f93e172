from typing import Any

import numpy as np
import numpy.typing as npt

LOW_PLANES: int
HIGH_PLANES: int
NEAR_PLANES: int

def paths() -> dict[str, bool]: ...
def draw_word(core_key: int, tick: int, purpose: int, index: int) -> int: ...
def needed_threads(n: int, elapsed: float, waited: float) -> int: ...
def slice_planes(values: npt.NDArray[np.int32], out: npt.NDArray[np.uint64]) -> None: ...

class Program:
    tables: dict[str, Any]
    sizes: dict[str, int]
    def __init__(self, tables: dict[str, Any], sizes: dict[str, int]) -> None: ...

class State:
    program: Program
    arrays: dict[str, npt.NDArray[Any]]
    probes: dict[str, Any] | None
    tick: int
    working: int
    def __init__(
        self,
        program: Program,
        arrays: dict[str, npt.NDArray[Any]],
        probes: dict[str, Any] | None,
        path: str,
        n_threads: int,
    ) -> None: ...
    def run(
        self,
        n_ticks: int,
        tick: npt.NDArray[np.int64],
        row: npt.NDArray[np.int64],
        axon: npt.NDArray[np.int64],
    ) -> None: ...
    def take(self) -> tuple[npt.NDArray[Any], ...] | None: ...
    def total(self) -> None: ...
    def membranes(self, neurons: int) -> npt.NDArray[np.int32]: ...
    def set_membranes(self, values: npt.NDArray[np.int32]) -> None: ...
    def pending(self, first: int, counts: npt.NDArray[np.int64]) -> None: ...
