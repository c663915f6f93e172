"""Orders in which a population may be cut: as numbered, and maps in tiles of every shape.

A core of a map [channel, row, column] holds a tile of positions and some of their channels. For a tile of given rows and columns,
the order tile by tile, channel by channel within a tile, has the neurons of any number of channels side by side; cutting it
into the longest runs that fit is as good as the best number of channels. So it is enough to try every (rows, columns), each
with runs that may go on in the next tile and with runs that may not.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from neurocore.compiler.cutter import Cutter

Array = npt.NDArray[Any]

WORK = 1_000_000_000
"""Synapses that the search looks at; in larger networks it first looks at some rows of tiles, then at the best few shapes."""
SHORTLIST = 12
FINALISTS = 4
"""Orders at least that are cut with the codes that their cores really need; as many as FINAL_WORK synapses allow."""
FINAL_WORK = 1_000_000


@dataclass(frozen=True)
class Order:
    """Neurons in the order in which they are cut; runs end at all ``breaks``, of which the last is the number of neurons."""

    neurons: Array
    breaks: Array

    @staticmethod
    def unbroken(neurons: Array) -> Order:
        """An order without breaks."""
        return Order(neurons, np.array([len(neurons)], np.int64))

    def parts(self) -> list[Array]:
        """The neurons between breaks."""
        return np.split(self.neurons, self.breaks[:-1])


def best_orders(cutter: Cutter, number: int, shape: tuple[int, ...], most: int) -> list[Order]:
    """The orders of a population that promise fewest cores, then fewest axons, best first; ``most`` neurons share a core."""
    first = int(cutter.network.offsets()[number])
    size = int(np.prod(shape, dtype=np.int64))
    natural = Order.unbroken(np.arange(first, first + size))
    shapes = tile_shapes(shape, most)
    if not shapes:
        return [natural]
    needs = [(_need(cutter, natural, most, size), natural)]
    if needs[0][0][0] <= -(-size // most):
        return [natural]
    numbers = natural.neurons.reshape(-1, *shape[-2:])
    share = WORK / max(2 * cutter.network.n_synapses * len(shapes), 1)
    if share < 1:
        scored = sorted(shapes, key=lambda tile: _promise(cutter, numbers, tile, share, most))
        shapes = scored[:SHORTLIST]
    enough = needs[0][0][0]
    for tile in shapes:
        for order in _both(tile_order(numbers, *tile)):
            needs.append((_need(cutter, order, most, enough), order))
            enough = min(enough, needs[-1][0][0])
    needs.sort(key=lambda item: item[0])
    synapses = int(cutter.start[first + size] - cutter.start[first])
    return [order for _, order in needs[: max(FINALISTS, FINAL_WORK // max(synapses, 1))]]


def _both(tiles: Order) -> tuple[Order, Order]:
    """Tiles that share no core, which takes fewer axons, and tiles cut one after the other, which may take fewer cores."""
    return tiles, Order.unbroken(tiles.neurons)


def tile_shapes(shape: tuple[int, ...], most: int) -> list[tuple[int, int]]:
    """Rows and columns of every tile of a map of which a core can hold one channel, squares first."""
    if len(shape) < 2 or min(shape[-2:]) < 2:
        return []
    rows, columns = shape[-2:]
    tiles = [(h, w) for h in range(1, rows + 1) for w in range(1, columns + 1) if h * w <= most]
    return sorted(tiles, key=lambda tile: (abs(tile[0] - tile[1]), tile))


def tile_order(numbers: Array, height: int, width: int) -> Order:
    """Numbers [channel, row, column] tile by tile, broken between tiles.

    The channels of a tile follow one another, its pixels within a channel are in order.
    """
    n_channels, rows, columns = numbers.shape
    row, column = (index.reshape(-1) for index in np.indices((rows, columns)))
    tile = row // height * -(-columns // width) + column // width
    pixel = np.argsort(tile, kind="stable")
    size = np.bincount(tile)
    begin = np.cumsum(size) - size
    tile = tile[pixel]
    # Where each tile's pixels go for channel 0; a channel later is as many places later as the tile has pixels.
    place = begin[tile] * n_channels + np.arange(len(pixel)) - begin[tile]
    order = np.empty(numbers.size, np.int64)
    order[place + np.arange(n_channels)[:, None] * size[tile]] = numbers.reshape(n_channels, -1)[:, pixel]
    return Order(order, np.cumsum(size) * n_channels)


def _need(cutter: Cutter, order: Order, most: int, enough: int) -> tuple[int, int]:
    """Cores and axons if every signal took one axon per weight, or as many as the cheapest digit code if that is less."""
    axons = cutter.arch.core.axons
    valued = cutter.runs.count(order.neurons, order.breaks, most, axons, True, enough)
    digits = cutter.digit_axons
    if digits > axons:
        return valued
    cores, signals = cutter.runs.count(order.neurons, order.breaks, most, axons // digits, False, enough)
    return min(valued, (cores, signals * digits))


def _promise(cutter: Cutter, numbers: Array, tile: tuple[int, int], share: float, most: int) -> tuple[float, float]:
    """Cores and axons a neuron, from whole rows of tiles that make up about the given share of a map."""
    rows = numbers.shape[1]
    height = min(rows, max(1, round(rows * share / tile[0])) * tile[0])
    part = numbers[:, :height]
    cores, axons = min(_need(cutter, order, most, part.size) for order in _both(tile_order(part, *tile)))
    return cores / part.size, axons / part.size
