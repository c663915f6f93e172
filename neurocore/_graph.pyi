import numpy as np
import numpy.typing as npt

Int32 = npt.NDArray[np.int32]
Int64 = npt.NDArray[np.int64]
UInt16 = npt.NDArray[np.uint16]
UInt8 = npt.NDArray[np.uint8]

def count_rows(target: Int32, first: int, count: Int64) -> None: ...
def fill_rows(
    target: Int32,
    source: Int32,
    weight: Int32,
    delay: UInt16,
    chance: int,
    first_target: int,
    first_source: int,
    free_place: Int64,
    sources: Int32,
    weights: Int32,
    delays: UInt16,
    chances: UInt8,
) -> None: ...
def sort_rows(start: Int64, source: Int32, weight: Int32, delay: UInt16, chance: UInt8) -> int: ...
def sum_repeated(
    start: Int64, source: Int32, weight: Int32, delay: UInt16, chance: UInt8, largest: int
) -> tuple[tuple[int, int, int] | None, tuple[int, int, int] | None]: ...
def count_weights(start: Int64, weight: Int32, chance: UInt8, begin: int, end: int, most: int) -> Int64: ...
def distinct(values: Int64) -> tuple[Int64, Int64]: ...

class Runs:
    def __init__(
        self, start: Int64, source: Int32, weight: Int32, delay: UInt16, chance: UInt8, limit: int
    ) -> None: ...
    def longest(self, order: Int64, begin: int, most: int, limit: int, by_weight: bool) -> tuple[int, int]: ...
    def count(
        self, order: Int64, breaks: Int64, most: int, limit: int, by_weight: bool, enough: int
    ) -> tuple[int, int]: ...

def house_rows(
    row_start: Int64,
    target_core: Int64,
    home: Int64,
    order: Int64,
    used: Int64,
    axons: Int64,
    n_cores: int,
    most_neurons: int,
    most_axons: int,
    core_of: Int64,
    axon_of: Int64,
) -> int: ...
def choose_types(start: Int64, neuron: Int64, key: Int64, spare: Int64, n_types: int, kind: Int64) -> None: ...
def regroup(
    start: Int64,
    net: Int32,
    reader_start: Int64,
    reader: Int32,
    driver: Int32,
    exits: Int64,
    core: Int32,
    count: UInt16,
    load: Int64,
    limits: Int64,
    surprise: Int64,
    random_state: npt.NDArray[np.uint64],
    n_moves: int,
    temperature: int,
    penalty: int,
) -> int: ...
def cut_order(
    start: Int64,
    net: Int32,
    order: Int64,
    wanted: Int64,
    price: Int64,
    limits: Int64,
    core_price: int,
    core: Int32,
) -> int: ...
def match(
    start: Int64,
    neighbour: Int32,
    weight: npt.NDArray[np.float64],
    size: Int64,
    order: Int64,
    largest: int,
    least: float,
    partner: Int64,
) -> int: ...
