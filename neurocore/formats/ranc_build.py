"""From a RANC network to a chip of the ``ranc`` definition and its input spikes.

Output lines are those of the output bus. A packet that the input addresses straight to the bus cannot be an input spike of
a core, for the bus is none; so a core is put at the bus' position whose axon l drives a pass-through neuron on an output
line of its own, in a second output named PASSED. It fires in the tick i of ``packets[i]``, whatever the packet's field,
and is shown on line i of ``output.txt``. Where the lines so addressed outnumber the neurons of a core, more such cores
stand in rows added north of RANC's grid. Networks without such packets get none of this.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from neurocore.architecture import Architecture
from neurocore.config import NOWHERE, OUTPUT, ChipConfig, Cores, Group, blank_arrays, pack_crossbar
from neurocore.formats.ranc_config import INT_MAX, INT_MIN, LOWEST, Complaints, RancConfig, Report
from neurocore.formats.ranc_model import CoreBlock, RancModel, check_memory
from neurocore.spikes import Spikes
from neurocore.wording import acting, counted

Array = npt.NDArray[Any]

BUS = "output_bus"
"""Name of the output that holds the lines of the bus."""

PASSED = "packets_to_output_bus"
"""Name of the output with the packets that the input addressed straight to the bus, as many lines as the bus has."""

NEURONS = "neurons"
"""Name of the population of all neurons that were given, by core number, then neuron."""

GRID_NOTE, BUS_NOTE = "RANC grid", "RANC output bus"
"""Notes of a chip that say where RANC had what: ``columns x rows`` and ``x, y``."""


def build_chip(model: RancModel, report: Report, source: str) -> tuple[ChipConfig, Spikes]:
    """The chip and its input spikes (tick, core, axon). ``source`` names the file in complaints.

    Raises InputError that lists destinations outside the grid, or beyond the axons or output lines.
    """
    wrong = Complaints(source)
    inputs = _Inputs.of(model, report, wrong)
    wrong.raise_if_any()
    blocks = _placed_blocks(model, report)
    lowest = sum(int((block.neurons["negative_threshold"] == INT_MIN).sum()) for block in blocks.values())
    model.cores.clear()
    numbers = sorted({*blocks, *inputs.cores, *inputs.passing})
    check_memory(model.config, len(numbers))
    arch = model.config.architecture(inputs.more_rows)
    arrays = blank_arrays(arch, len(numbers))
    arrays["core"][:] = arrays["stream"][:] = numbers
    lost = 0
    for row, number in enumerate(numbers):
        if number in blocks:
            lost += _fill(arrays, row, blocks.pop(number), model, wrong)
        for line, slot in inputs.passing.get(number, ()):
            _pass(arrays, row, line, slot, model.bus[2])
    wrong.raise_if_any()
    _remark_on_chip(model, report, lost, lowest)
    return _chip(model, arch, arrays, bool(inputs.passing)), inputs.spikes


def _chip(model: RancModel, arch: Architecture, arrays: dict[str, Array], passes: bool) -> ChipConfig:
    real = arrays["population"] >= 0
    arrays["index"][real] = np.arange(int(real.sum()))
    lines = model.bus[2]
    return ChipConfig(
        arch,
        Cores(**arrays),
        outputs=(Group(BUS, (lines,)), *((Group(PASSED, (lines,), lines),) if passes else ())),
        populations=(Group(NEURONS, (int(real.sum()),)),),
        name=model.name,
        notes=(
            (GRID_NOTE, f"{model.config.columns} x {model.config.rows}"),
            (BUS_NOTE, f"{model.bus[0]}, {model.bus[1]}"),
        ),
    ).validate()


def _placed_blocks(model: RancModel, report: Report) -> dict[int, CoreBlock]:
    """The given cores by number; one at the position of the bus is left out, as RANC does."""
    blocks = {block.x + block.y * model.config.columns: block for block in model.cores}
    if blocks.pop(model.bus[0] + model.bus[1] * model.config.columns, None) is not None:
        report.note("replaced_cores", 1, f"the core at {model.bus[:2]} is replaced by the output bus, as in RANC")
    return blocks


def _remark_on_chip(model: RancModel, report: Report, lost: int, lowest: int) -> None:
    report.note(
        "lost_neurons",
        lost,
        f"{acting(lost, 'neuron', 'sends', 'send')} with delay field {model.config.last_field}, the last, which RANC loses: their"
        " spikes go nowhere",
    )
    report.note(
        "lowest_thresholds",
        lowest,
        f"{counted(lowest, 'negative threshold')} of {INT_MIN} {'is' if lowest == 1 else 'are'} taken as {LOWEST}",
    )
    rows = report.counts.pop("connection_rows_without_neuron", 0)
    report.note(
        "connection_rows_without_neuron", rows, f"{rows} rows of connections with a 1 have no neuron and are ignored"
    )


def _fill(arrays: dict[str, Array], row: int, block: CoreBlock, model: RancModel, wrong: Complaints) -> int:
    """Write a given core into a row of the arrays; returns how many of its neurons lose their spikes."""
    n, given = block.n, block.neurons
    arrays["crossbar"][row] = block.crossbar
    arrays["axon_type"][row] = block.axon_type
    arrays["weight"][row, :, :n] = block.weights.T
    arrays["configured"][row, :n] = True
    arrays["population"][row, :n] = 0
    for name, source in (
        ("leak", "leak"),
        ("threshold", "positive_threshold"),
        ("reset", "reset_potential"),
        ("reset_mode", "reset_mode"),
        ("initial", "current_potential"),
    ):
        arrays[name][row, :n] = given[source]
    arrays["floor"][row, :n] = np.minimum(-given["negative_threshold"].astype(np.int64), INT_MAX)
    target, delay = _targets(block, model, wrong)
    arrays["target_core"][row, :n] = target
    arrays["target_axon"][row, :n] = np.where(target == NOWHERE, 0, given["destination_axon"])
    arrays["delay"][row, :n] = delay
    return int((target == NOWHERE).sum())


def _targets(block: CoreBlock, model: RancModel, wrong: Complaints) -> tuple[Array, Array]:
    """Target core and delay [n] of a core's neurons."""
    config, (bus_x, bus_y, lines) = model.config, model.bus
    x = block.x + block.offset[:, 0].astype(np.int64)
    y = block.y + block.offset[:, 1].astype(np.int64)
    axon, tick = block.neurons["destination_axon"], block.neurons["destination_tick"]
    to_bus = (x == bus_x) & (y == bus_y)
    outside = (x < 0) | (x >= config.columns) | (y < 0) | (y >= config.rows)
    beyond = (axon < 0) | (axon >= np.where(to_bus, lines, config.axons))
    for number in np.flatnonzero(outside):
        found = f"leads to ({x[number]}, {y[number]}), outside the grid of {config.columns} x {config.rows}"
        wrong.add(f"{block.where}.neurons[{number}].destination_core_offset", found)
    for number in np.flatnonzero(beyond & ~outside):
        what = f"the output bus has lines 0..{lines - 1}" if to_bus[number] else f"axons are 0..{config.axons - 1}"
        wrong.add(f"{block.where}.neurons[{number}].destination_axon", f"is {axon[number]}; {what}")
    lost = ~to_bus & (tick == config.last_field)
    target = np.where(to_bus, OUTPUT, np.where(lost, NOWHERE, x + y * config.columns))
    return target.astype(np.int32), np.where(target >= 0, tick + 1, 0).astype(np.uint8)


def _pass(arrays: dict[str, Array], row: int, line: int, slot: int, lines: int) -> None:
    """A neuron that fires whenever axon ``line`` is active, on line ``line`` of the second output."""
    bits = np.zeros(arrays["threshold"].shape[1], bool)
    bits[slot] = True
    arrays["crossbar"][row, line] |= pack_crossbar(bits)
    arrays["weight"][row, 0, slot] = 1
    arrays["threshold"][row, slot] = 1
    arrays["target_core"][row, slot] = OUTPUT
    arrays["target_axon"][row, slot] = lines + line
    arrays["configured"][row, slot] = True


@dataclass(frozen=True)
class _Inputs:
    """Input spikes; the cores they go to; for each pass-through core its (line, neuron) pairs; rows to be added."""

    spikes: Spikes
    cores: set[int]
    passing: dict[int, list[tuple[int, int]]]
    more_rows: int

    @staticmethod
    def of(model: RancModel, report: Report, wrong: Complaints) -> _Inputs:
        config, packets, (bus_x, bus_y, lines) = model.config, model.packets, model.bus
        direct = (packets.x == bus_x) & (packets.y == bus_y)
        for number in np.flatnonzero(direct & (packets.axon >= lines)):
            found = f"is {packets.axon[number]}; the output bus has lines 0..{lines - 1}"
            wrong.add(f"packets[{packets.index[number]}]: destination_axon", found)
        lost = ~direct & (packets.tick_field == config.last_field)
        core = packets.x + packets.y * config.columns
        passed = np.unique(packets.axon[direct])
        homes = np.array(list(_pass_cores(config, model.bus, len(passed))), np.int64)
        if len(passed):
            core[direct] = homes[np.searchsorted(passed, packets.axon[direct]) // config.core_neurons]
        tick = packets.index + np.where(direct, 0, packets.tick_field)
        spikes = Spikes.from_axons(tick[~lost], core[~lost], packets.axon[~lost])
        _remark_on_packets(report, config, int(lost.sum()), int(direct.sum()), spikes.n_merged)
        passing: dict[int, list[tuple[int, int]]] = {}
        for place, line in enumerate(passed.tolist()):
            passing.setdefault(int(homes[place // config.core_neurons]), []).append((line, place % config.core_neurons))
        more = max(len(homes) - 1, 0)
        return _Inputs(spikes, set(np.unique(core[~lost]).tolist()), passing, -(-more // config.columns))


def _pass_cores(config: RancConfig, bus: tuple[int, int, int], n_lines: int) -> Iterator[int]:
    """Numbers of the cores that hold so many pass-through neurons: the bus' position, then rows beyond the grid."""
    for number in range(-(-n_lines // config.core_neurons)):
        yield bus[0] + bus[1] * config.columns if number == 0 else config.columns * config.rows + number - 1


def _remark_on_packets(report: Report, config: RancConfig, lost: int, direct: int, merged: int) -> None:
    field = config.last_field
    report.note(
        "lost_packets",
        lost,
        f"{acting(lost, 'input packet', 'has', 'have')} delay field {field}, the last, which RANC loses: left out",
    )
    report.note(
        "bus_packets",
        direct,
        f"{acting(direct, 'input packet', 'goes', 'go')} straight to the output bus, to appear in the output {PASSED!r} in the"
        " tick of the index",
    )
    report.note(
        "merged_packets",
        merged,
        f"{acting(merged, 'input packet', 'reaches', 'reach')} an axon in the same tick as another: merged",
    )
