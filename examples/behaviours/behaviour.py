"""Neurons that behave as a real one does, compiled to a chip and stimulated.

>>> cell = Cell("tonic_spiking")
>>> cell.respond(stimuli()["tonic_spiking"].current()).spikes["cell"]

A behaviour is two pieces of data: a network ``NAME.yaml`` of one to three neurons, of which ``cell`` is the one to look at, and
an entry of ``stimuli.yaml``. Every network has the same two inputs, so that any stimulus can be given to any of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

import neurocore as nc
from neurocore.yamlfile import describe, read_yaml

FOLDER = Path(__file__).resolve().parent
CELL = "cell"
"""The population, of one neuron, that shows the behaviour; the others serve it."""

Array = npt.NDArray[Any]
Tick = Annotated[int, Field(strict=True, ge=0)]
Level = Annotated[int, Field(strict=True)]


class Segment(BaseModel):
    """Input in the ticks ``start`` <= t < ``until``: a level, or a ramp from one level to another."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    start: Tick = Field(alias="from")
    until: Tick
    level: Level | tuple[Level, Level]

    def levels(self) -> Array:
        """The input in each tick of the segment."""
        first, last = self.level if isinstance(self.level, tuple) else (self.level, self.level)
        return np.rint(np.linspace(first, last, self.until - self.start)).astype(np.int64)


class Stimulus(BaseModel):
    """The input of a picture: excitation positive, inhibition negative."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    title: str
    ticks: Tick
    input: list[Segment]

    def current(self) -> Array:
        """The input [ticks], in lines per tick."""
        current = np.zeros(self.ticks, np.int64)
        for segment in self.input:
            current[segment.start : segment.until] += segment.levels()
        return current


@dataclass(frozen=True)
class Response:
    """What the neurons did: the input [ticks], and by population the membrane [ticks] and the ticks of the spikes.

    Membranes are those at the end of each tick: in the tick of a spike, already reset.
    """

    current: Array
    membranes: Mapping[str, Array]
    spikes: Mapping[str, Array]

    @property
    def fired(self) -> Array:
        """The ticks in which the cell fired."""
        return self.spikes[CELL]

    @property
    def membrane(self) -> Array:
        """The membrane of the cell."""
        return self.membranes[CELL]


class Cell:
    """A network on an emulated chip; every response begins at rest.

    ``network`` is the name of a behaviour, or a network like those; ``engine`` is ``compiled`` or ``oracle``.
    """

    def __init__(self, network: str | nc.Network, *, engine: str = "compiled") -> None:
        self.network = load(network) if isinstance(network, str) else network
        self.chip = nc.compile(self.network, chip="truenorth")
        self.emulator = nc.Emulator(
            self.chip, engine=engine, probes=[f"{name}:membrane" for name in self.network.populations]
        )

    def respond(self, current: npt.ArrayLike) -> Response:
        """Stimulate from rest with the input [ticks], in lines per tick. Raises InputError if there are too few lines."""
        current = np.asarray(current, np.int64)
        self.emulator.reset()
        run = self.emulator.run(self.input_spikes(current), ticks=len(current))
        seen = {name: run.probes[f"{name}:membrane"].in_network_time() for name in self.network.populations}
        membranes = {name: probe.membranes[:, 0] for name, probe in seen.items()}
        return Response(current, membranes, {name: probe.spikes.tick for name, probe in seen.items()})

    def input_spikes(self, current: Array) -> nc.Spikes:
        """The spikes of an input [ticks]: in each tick the first |input| lines of ``excite`` or of ``inhibit``."""
        lines = {group.name: group for group in self.chip.inputs}
        ticks, places = [], []
        for name, wanted in (("excite", np.maximum(current, 0)), ("inhibit", np.maximum(-current, 0))):
            group = lines[name]
            if wanted.max(initial=0) > group.size:
                raise nc.InputError(f"an input of {wanted.max()} needs as many lines; {name!r} has {group.size}")
            tick, line = np.nonzero(np.arange(group.size) < wanted[:, None])
            ticks.append(tick)
            places.append(group.start + line)
        return nc.Spikes.from_lines(np.concatenate(ticks), np.concatenate(places))

    def threshold(self, population: str) -> int:
        """The threshold of a population."""
        return int(self.network.populations[population].neuron["threshold"])


def load(name: str) -> nc.Network:
    """The network of a behaviour."""
    return nc.load_network(FOLDER / f"{name}.yaml")


def stimuli() -> dict[str, Stimulus]:
    """The stimulus of every behaviour, in the order of the gallery. Raises InputError for faults in stimuli.yaml."""
    document = read_yaml(FOLDER / "stimuli.yaml")
    try:
        return TypeAdapter(dict[str, Stimulus]).validate_python(document.data)
    except ValidationError as error:
        raise nc.InputError(describe(error.errors(), document)) from error
