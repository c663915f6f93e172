"""A RANC network as its files say it, before it becomes a chip: what all RANC readers produce and the builder takes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from neurocore.errors import InputError
from neurocore.formats.ranc_config import RancConfig

Array = npt.NDArray[Any]

MAX_CHIP_BYTES = 2**32
"""A network whose chip would take more memory than this is refused (a core of 256 x 256 takes about 30 kB)."""

PARAMETERS = ("leak", "positive_threshold", "negative_threshold", "reset_potential", "current_potential", "reset_mode")
"""Whole numbers of a neuron that become parameters; the others say where its spikes go."""

DESTINATION = ("destination_axon", "destination_tick")


@dataclass(frozen=True)
class CoreBlock:
    """One core as given: A axons, n of N neurons, G weights per neuron.

    ``where`` names it in complaints. ``axon_type`` is [A] uint8, ``crossbar`` [A, ceil(N / 64)] uint64 as in
    :class:`neurocore.config.Cores`, ``weights`` [n, G] int32, ``offset`` [n, 2] int32 (dx, dy); ``neurons`` maps the names
    of PARAMETERS and DESTINATION to arrays [n] int32.
    """

    where: str
    x: int
    y: int
    axon_type: Array
    crossbar: Array
    weights: Array
    offset: Array
    neurons: dict[str, Array]

    @property
    def n(self) -> int:
        """Neurons that are given."""
        return len(self.weights)


@dataclass(frozen=True)
class Packets:
    """Input packets: entry k stands in ``packets[index[k]]`` and goes to an axon of core (x, y); arrays [n] int64."""

    index: Array
    x: Array
    y: Array
    axon: Array
    tick_field: Array

    @staticmethod
    def from_rows(rows: npt.ArrayLike) -> Packets:
        """Rows (index, x, y, axon, field)."""
        table = np.asarray(rows, np.int64).reshape(-1, 5)
        return Packets(*(np.ascontiguousarray(column) for column in table.T))

    def __len__(self) -> int:
        return len(self.index)


@dataclass(frozen=True)
class RancModel:
    """A network: sizes, the output bus (x, y, number of lines), cores in the order given, input packets.

    The builder empties ``cores`` as it goes, so that they and the chip are not both held whole.
    """

    name: str
    config: RancConfig
    bus: tuple[int, int, int]
    cores: list[CoreBlock]
    packets: Packets


def check_memory(config: RancConfig, n_cores: int) -> None:
    """Raise InputError if a chip of so many cores would take more than MAX_CHIP_BYTES."""
    words = -(-config.neurons // 64)
    size = config.axons * (8 * words + 1) + config.neurons * (5 * config.weights + 45)
    if n_cores * size > MAX_CHIP_BYTES:
        raise InputError(
            f"{n_cores:,} cores of {config.axons:,} axons and {config.neurons:,} neurons take"
            f" {n_cores * size / 2**30:.1f} GiB; at most {MAX_CHIP_BYTES / 2**30:.0f} GiB are allowed: split the network"
        )
