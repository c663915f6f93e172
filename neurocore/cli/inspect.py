"""What ``inspect`` shows of a chip and of one core."""

from __future__ import annotations

from typing import Any

import numpy as np

from neurocore.architecture import FLOOR_MODES, RESET_MODES
from neurocore.cli.output import table
from neurocore.config import NOWHERE, OUTPUT, ChipConfig, Group
from neurocore.wording import counted

MOST_NAMED = 8
"""Cores that are all named where one is asked for that is not in use."""


def chip_fields(chip: ChipConfig) -> dict[str, Any]:
    """The fields of ``inspect --json``."""
    return {
        "name": chip.name,
        "chip": chip.architecture.name,
        "cores": len(chip.cores),
        "neurons": chip.n_neurons,
        "relays": int((chip.cores.configured & (chip.cores.population < 0)).sum()),
        "axons": chip.n_axons,
        "synapses": chip.n_synapses,
        "inputs": [_group(group) for group in chip.inputs],
        "outputs": [_group(group) for group in chip.outputs],
        "populations": [_group(group) for group in chip.populations],
        "latency_ticks": chip.latency,
        "dilation": chip.dilation,
        "exact": _is_exact(chip),
        "seed": chip.seed,
        "digest": chip.digest(),
        "network_digest": chip.network_digest,
        "notes": dict(chip.notes),
        "core_list": [list(chip.architecture.core_xy(int(core))) for core in chip.cores.core],
    }


def _is_exact(chip: ChipConfig) -> bool | None:
    """Whether the chip's certificate says that it is exactly its network; None if it has none."""
    text = dict(chip.notes).get("certificate")
    return None if text is None else text.startswith("exact: ")


def _group(group: Group) -> dict[str, Any]:
    return {"name": group.name, "shape": list(group.shape), "first_line": group.start}


def _named(groups: tuple[Group, ...]) -> str:
    return ", ".join(f"{group.name} {list(group.shape)}" for group in groups) or "none"


def chip_text(chip: ChipConfig) -> str:
    """A chip in a dozen lines."""
    arch = chip.architecture
    rows = [
        ("network", chip.name),
        ("chip", f"{arch.name} ({arch.title}), {arch.columns} x {arch.rows} cores"),
        ("cores", f"{len(chip.cores):,} configured"),
        ("neurons", f"{chip.n_neurons:,}"),
        ("axons", f"{chip.n_axons:,}"),
        ("synapses", f"{chip.n_synapses:,}"),
        ("inputs", _named(chip.inputs)),
        ("outputs", _named(chip.outputs)),
        ("populations", _named(chip.populations)),
        ("latency", counted(chip.latency, "tick") + " of the chip" * (chip.dilation != 1)),
        *([("dilation", f"{chip.dilation} ticks to one of the network")] if chip.dilation != 1 else []),
        ("seed", str(chip.seed)),
        *chip.notes,
    ]
    return table(rows)


def cores_in_use(chip: ChipConfig, near: tuple[int, int] = (0, 0)) -> str:
    """The cores that are in use, as --core takes them: all of them, or where they lie and the one that is nearest to a place."""
    places = np.array([chip.architecture.core_xy(int(core)) for core in chip.cores.core]).reshape(-1, 2)
    if not len(places):
        return "no core is in use"
    if len(places) <= MOST_NAMED:
        named = " ".join(f"{x},{y}" for x, y in places.tolist())
        return f"in use {'is' if len(places) == 1 else 'are'} {named}"
    (left, low), (right, high) = places.min(axis=0).tolist(), places.max(axis=0).tolist()
    x, y = places[int(np.abs(places - near).sum(axis=1).argmin())].tolist()
    return f"{counted(len(places), 'core')} are in use, X in {left}..{right} and Y in {low}..{high}, the nearest is {x},{y}"


def core_fields(chip: ChipConfig, row: int) -> dict[str, Any]:
    """One core: axons in use and every configured neuron."""
    cores, arch = chip.cores, chip.architecture
    bits = chip.crossbar_bits(row)
    used = np.flatnonzero(cores.configured[row])
    return {
        "core": list(arch.core_xy(int(cores.core[row]))),
        "stream": int(cores.stream[row]),
        "axons": [
            {"axon": int(axon), "type": int(cores.axon_type[row, axon]), "synapses": int(bits[axon].sum())}
            for axon in np.flatnonzero(bits.any(axis=1))
        ],
        "neurons": [_neuron(chip, row, int(slot)) for slot in used],
    }


def _neuron(chip: ChipConfig, row: int, slot: int) -> dict[str, Any]:
    cores = chip.cores
    population = int(cores.population[row, slot])
    return {
        "neuron": slot,
        "population": chip.populations[population].name if population >= 0 else None,
        "index": int(cores.index[row, slot]),
        "weights": cores.weight[row, :, slot].tolist(),
        "leak": int(cores.leak[row, slot]),
        "threshold": int(cores.threshold[row, slot]),
        "reset_mode": RESET_MODES[int(cores.reset_mode[row, slot])],
        "reset": int(cores.reset[row, slot]),
        "floor": int(cores.floor[row, slot]),
        "floor_mode": FLOOR_MODES[int(cores.floor_mode[row, slot])],
        "initial": int(cores.initial[row, slot]),
        "target": _target(chip, row, slot),
        "delay": int(cores.delay[row, slot]),
    }


def _target(chip: ChipConfig, row: int, slot: int) -> str:
    core, axon = int(chip.cores.target_core[row, slot]), int(chip.cores.target_axon[row, slot])
    if core == NOWHERE:
        return "nothing"
    if core == OUTPUT:
        return f"output {axon}"
    x, y = chip.architecture.core_xy(core)
    return f"({x}, {y}) axon {axon}"


def core_text(chip: ChipConfig, row: int) -> str:
    """One core as a table of its neurons."""
    fields = core_fields(chip, row)
    n_synapses = sum(axon["synapses"] for axon in fields["axons"])
    lines = [
        f"core ({fields['core'][0]}, {fields['core'][1]}): {counted(len(fields['axons']), 'axon')},"
        f" {counted(len(fields['neurons']), 'neuron')}, {counted(n_synapses, 'synapse')}",
        f"{'neuron':>6}  {'of':<16} {'weights':<22} {'leak':>5} {'threshold':>9} {'reset':>12} {'V(0)':>6}  target",
    ]
    for item in fields["neurons"]:
        name = f"{item['population']}[{item['index']}]" if item["population"] else "relay"
        reset = f"{item['reset_mode']} {item['reset']}" if item["reset_mode"] == "value" else item["reset_mode"]
        weights = " ".join(str(weight) for weight in item["weights"])
        delay = f" +{item['delay']}" if item["delay"] else ""
        lines.append(
            f"{item['neuron']:>6}  {name:<16} {weights:<22} {item['leak']:>5} {item['threshold']:>9} {reset:>12}"
            f" {item['initial']:>6}  {item['target']}{delay}"
        )
    return "\n".join(lines)
