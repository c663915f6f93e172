"""Relays: trees of rows that bring a neuron's spikes to more axons than it has targets, and the cores that hold them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from neurocore.architecture import Architecture


@dataclass(frozen=True)
class Delivery:
    """Something that a neuron must reach: an axon of a core ``after`` ticks, or an output line (core -1) likewise."""

    core: int
    axon: int
    after: int


@dataclass
class Row:
    """A relay row: an axon and, for each of its neurons, a target and a delay.

    ``tapped`` rows hang on an axon that the core has anyway: their relays read it beside the neurons that it is for.
    """

    source: int
    home: int
    targets: list[tuple[Any, int]] = field(default_factory=list)
    core: int = -1
    axon: int = -1
    tapped: bool = False


def shown(target: Delivery | Row, delay: int) -> str:
    """A target as dumps show it."""
    if isinstance(target, Row):
        return f"relay {target.core}.{target.axon}+{delay}"
    return f"output {target.axon}" if target.core < 0 else f"{target.core}.{target.axon}+{delay}"


class Planner:
    """Turns the deliveries of a neuron into direct targets and relay rows."""

    def __init__(self, arch: Architecture) -> None:
        self.longest, self.width = arch.routing.delay.max, arch.core.neurons
        self.rows: list[Row] = []

    def is_near(self, item: Delivery, spent: int = 0) -> bool:
        """Whether one leg reaches the target, ``spent`` ticks being used up."""
        return item.after == spent if item.core < 0 else item.after - spent <= self.longest

    def copies(self, source: int, home: int, items: list[Delivery]) -> list[tuple[Delivery | Row, int]]:
        """One exit per near target, and one for all far ones."""
        exits: list[tuple[Delivery | Row, int]] = [(item, item.after) for item in items if self.is_near(item)]
        far = [item for item in items if not self.is_near(item)]
        return exits + ([self.plan(source, home, far)] if far else [])

    def tap(self, source: int, lead: Delivery, items: list[Delivery]) -> tuple[Delivery | Row, int]:
        """The exit to ``lead``, whose axon also feeds relays to all the other items."""
        row = Row(source, lead.core, core=lead.core, axon=lead.axon, tapped=True)
        self.rows.append(row)
        others = [item for item in items if item != lead]
        row.targets = [self.plan(source, lead.core, [item], lead.after) for item in others]
        return lead, lead.after

    def plan(self, source: int, home: int, items: list[Delivery], spent: int = 0) -> tuple[Delivery | Row, int]:
        """The single exit from which all the items are reached, ``spent`` ticks being used up."""
        chain: list[tuple[Row, int]] = []
        end: tuple[Delivery | Row, int] | None = None
        while items:
            if len(items) == 1 and self.is_near(items[0], spent):
                end = items[0], items[0].after - spent
                break
            row = Row(source, home)
            self.rows.append(row)
            leg, groups, items = self.divide(items, spent)
            spent += leg
            row.targets = [self.plan(source, home, group, spent) for group in groups]
            chain.append((row, leg))
        for row, leg in reversed(chain):
            if end is not None:
                row.targets.append(end)
            end = row, leg
        assert end is not None, "something must be reached"
        return end

    def divide(self, items: list[Delivery], spent: int) -> tuple[int, list[list[Delivery]], list[Delivery]]:
        """The way to the next relay row, in ticks, the groups that its relays serve, and what hangs on one further relay."""
        leg = min(self.longest, *(item.after - spent - (item.core >= 0) for item in items))
        far = [item for item in items if not self.is_near(item, spent + leg)]
        if len(items) - len(far) + bool(far) > self.width:
            leg, far = 1, []
            size = -(-len(items) // self.width)
            groups = [items[k : k + size] for k in range(0, len(items), size)]
        else:
            groups = [[item] for item in items if self.is_near(item, spent + leg)]
        assert leg >= 1, "the shifts leave time for the relays"
        return leg, groups, far


def house(rows: list[Row], used: list[int], axons: list[int], arch: Architecture) -> int:
    """Give every relay row a core: that of its source, that of a target, one with other relays, or a new one.

    Returns the number of cores. ``used`` and ``axons`` are the neurons and axons taken per core.
    """
    relay_cores: list[int] = []

    def fits(core: int, size: int) -> bool:
        return used[core] + size <= arch.core.neurons and axons[core] < arch.core.axons

    for row in sorted(rows, key=lambda item: (not item.tapped, -len(item.targets))):
        size = len(row.targets)
        if row.tapped:
            used[row.core] += size
            continue
        targets = [target.core for target, _ in row.targets if isinstance(target, Delivery) and target.core >= 0]
        wanted = [row.home, *dict.fromkeys(targets), *relay_cores]
        core = next((core for core in wanted if fits(core, size)), None)
        if core is None:
            core = len(used)
            used.append(0)
            axons.append(0)
            relay_cores.append(core)
        row.core, row.axon = core, axons[core]
        used[core] += size
        axons[core] += 1
    return len(used)
