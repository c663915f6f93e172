"""The report of a compilation as a user reads it: ``compile --report`` with .json, .html, or .txt and the dump of every stage."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from neurocore.compiler.report import ChipUse, CoreUse, MeshUse, PopulationUse
from neurocore.wording import counted

if TYPE_CHECKING:
    from neurocore.compiler.compilereport import CompileReport

SCHEMA_VERSION = 1

REPORT_SUFFIXES = (".html", ".htm", ".json", ".txt")
"""What the name of a report may end in, by which its form is chosen."""

Rows = list[tuple[str, ...]]

POPULATION_HEAD = (
    "population", "neurons", "synapses", "cores", "copies", "relays", "axons", "axons/signal", "neuron fill", "axon fill",
    "full of", "codes", "late", "loss",
)  # fmt: skip
POPULATION_KEY = (
    "copies and relays bring its spikes to more axons than it has neurons; full of: what most of its cores are;",
    "codes: how its weights are made of axons, and in how many cores; late: ticks after the network's that its neurons run;",
    "loss: that of its weights by quantisation",
)
CORE_HEAD = ("core", "neurons", "copies", "relays", "axons", "full of", "holds")


def report_text(report: CompileReport, suffix: str) -> str:
    """The content of a report file whose name ends in ``suffix``, one of REPORT_SUFFIXES."""
    assert report.use is not None, "a chip was compiled"
    if suffix == ".json":
        cores = report.use.as_dict()["cores"]
        fields = {"schema_version": SCHEMA_VERSION, **report.as_dict(), "core_list": cores}
        return json.dumps(fields, indent=2) + "\n"
    if suffix in (".html", ".htm"):
        from neurocore.compiler.reportpage import page

        return page(report, report.use)
    parts = [
        "compilation\n" + aligned([(f"  {name}", value) for name, value in overview(report, report.use)]),
        "\n".join(
            ["populations", aligned(_indented(population_rows(report.use))), *(f"  {line}" for line in POPULATION_KEY)]
        ),
        "cores\n" + aligned(_indented(core_rows(report.use))),
    ]
    return "\n\n".join([*parts, *losses(report), *(dump() for dump in report.dumps.values())]) + "\n"


def losses(report: CompileReport) -> list[str]:
    """What lies between the chip and the network as it was given, and what its user should know."""
    parts = [] if report.quantisation is None else [str(report.quantisation)]
    parts += [] if report.effect is None else [str(report.effect)]
    parts += [f"declared: {text}" for text in report.declared]
    warnings = report.warnings_but("W-QUANTISED", "W-APPROXIMATE")
    return parts + ["warnings\n" + "\n".join(f"  {text}" for text in warnings)] * bool(warnings)


def overview(report: CompileReport, use: ChipUse) -> list[tuple[str, str]]:
    """The whole in a few lines, as (name, value)."""
    mesh = use.mesh
    limits = ", ".join(f"{count:,} of {name}" for name, count in use.limits.items() if name != "none")
    cores = f"{report.cores:,} of {counted(use.n_cores, 'core')} used, at least {report.cores_lower_bound:,} needed"
    hops = f"{mesh.hops_of_half} or fewer for half of the packets, {mesh.hops_of_nine_tenths} for nine in ten"
    stations = f"{report.stations:,}, where a packet cannot go far enough or a link is dead"
    return [
        ("network", use.network),
        ("chip", f"{use.chip}, {cores}; {report.binds} bind"),
        (
            "full cores",
            f"{limits or 'none'}; with room {use.limits.get('none', 0):,}; of all these {use.relay_cores:,} with relays alone",
        ),
        ("neurons", report.neurons_text),
        ("axons", f"{report.axons:,}"),
        ("fill", report.fill_text),
        *([("placement", report.kept_text)] if report.kept_text else []),
        *([("relays on the way", stations)] if report.stations else []),
        ("latency", counted(report.latency, "tick") + " of the chip" * (report.dilation != 1)),
        *([("dilation", f"{report.dilation} ticks to one of the network")] if report.dilation != 1 else []),
        *([("fan-in", report.fan_in)] if report.fan_in else []),
        *(("approximate", text) for text in report.approximations),
        ("hops", f"{mesh.mean_hops:.2f} on average, {hops}, {mesh.most_hops} at most"),
        ("packets", f"{report.packets_per_tick:,.1f} a tick expected, inputs included, at {report.rates_text}"),
        ("busiest link", _busiest_link(mesh)),
        ("chip crossings", f"{mesh.chip_crossings_per_tick:.3f} a tick expected"),
        ("time", spent(report.seconds)),
    ]


def _busiest_link(mesh: MeshUse) -> str:
    if not mesh.busiest_link:
        return "none: no packet is expected to cross a link of the mesh"
    return f"{mesh.busiest_link}, {mesh.busiest_link_packets_per_tick:.3f} packets a tick expected"


def spent(seconds: dict[str, float]) -> str:
    """How the time was spent, the longest stage first."""
    total = sum(seconds.values())
    stages = sorted(seconds.items(), key=lambda item: -item[1])
    return f"{total:.2f} s: " + ", ".join(
        f"{name} {value:.2f} s ({value / (total or 1):.0%})" for name, value in stages
    )


def population_rows(use: ChipUse) -> Rows:
    """Heads and one row a population."""
    return [POPULATION_HEAD, *(_population(item) for item in use.populations)]


def _population(item: PopulationUse) -> tuple[str, ...]:
    numbers = (item.neurons, item.synapses, item.cores, item.copies, item.relays, item.axons)
    late = str(item.shift[0]) if item.shift[0] == item.shift[1] else f"{item.shift[0]}..{item.shift[1]}"
    return (
        item.name,
        *(f"{n:,}" for n in numbers),
        f"{item.axons_per_signal:.2f}",
        f"{item.neuron_fill:.0%}",
        f"{item.axon_fill:.0%}",
        item.limit,
        ", ".join(f"{name} x{count}" for name, count in item.codes.items()),
        late,
        "exact" if item.loss is None else f"{item.loss:.2%}",
    )


def core_rows(use: ChipUse) -> Rows:
    """Heads and one row a core."""
    return [CORE_HEAD, *(_core(item) for item in use.cores)]


def _core(item: CoreUse) -> tuple[str, ...]:
    numbers = (item.neurons, item.copies, item.relays, item.axons)
    return (f"({item.x}, {item.y})", *map(str, numbers), item.limit, held(item))


def held(item: CoreUse) -> str:
    """What a core holds, in words."""
    relays = [f"relays of {', '.join(item.relays_of)}"] if item.relays_of else []
    return "; ".join([*([", ".join(item.populations)] if item.populations else []), *relays])


def _indented(rows: Rows) -> Rows:
    return [(f"  {row[0]}", *row[1:]) for row in rows]


def aligned(rows: Rows) -> str:
    """Columns padded to the width of their widest cell."""
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )
