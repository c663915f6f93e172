"""The traffic of a run as a report: the picture alone, or a page with what it shows in numbers."""

from __future__ import annotations

from neurocore.board import BoardReport
from neurocore.page import document, figure, table
from neurocore.result import RunResult
from neurocore.traffic import TrafficReport, link_name
from neurocore.trafficmap import traffic_svg

SUFFIXES = (".html", ".htm", ".svg")
"""What the name of such a report may end in, by which its form is chosen."""
BUSIEST = 20
"""Cores that the page lists."""

READING = (
    "Every square is a core, in the colour of how much its neurons fire. A packet carries the spike of one neuron to the core"
    " that its axon lies in, from core to core over the links of the mesh, along x first and then along y. The hottest link is"
    " where packets would queue up first."
)


def traffic_text(run: RunResult, suffix: str) -> str:
    """The content of a report whose name ends in ``suffix``, one of SUFFIXES."""
    return traffic_svg(run) if suffix == ".svg" else traffic_page(run)


def traffic_page(run: RunResult) -> str:
    """The page, self-contained."""
    return document(f"Traffic of {run.chip.name} on {run.chip.architecture.name}", traffic_parts(run))


def traffic_parts(run: RunResult, heading: str = "h2", most_told: int | None = None) -> list[str]:
    """What a page says of the traffic, under headings of a kind; ``most_told`` is that of :func:`traffic_svg`."""
    report = run.traffic()
    counts = [(name, value) for name, value in report.in_words() if name not in ("hottest link", "then")]
    return [
        figure(traffic_svg(run, titled=False, most_told=most_told), READING),
        table([("ticks", report.span), *counts], head=False),
        *_links(report, heading),
        f"<{heading}>Busiest cores</{heading}>{table(_cores(run, report))}",
        *([] if report.board is None else [f"<{heading}>Chips</{heading}>{table(_chips(report.board))}"]),
    ]


def _links(report: TrafficReport, heading: str) -> list[str]:
    """The hottest links, if there are any."""
    if not (links := report.hottest_links):
        return []
    rows = [(link_name(link), f"{link['packets_per_tick']:.4f}") for link in links]
    return [f"<{heading}>Hottest links</{heading}>{table([('link', 'packets per tick'), *rows])}"]


def _cores(run: RunResult, report: TrafficReport) -> list[tuple[str, ...]]:
    """The cores with most spikes, in that order, and what they did."""
    arch, cores = run.chip.architecture, run.cores
    order = sorted(range(len(run.chip.core)), key=lambda row: (-int(cores.spikes[row]), row))[:BUSIEST]
    rows = []
    for row in order:
        x, y = arch.core_xy(int(run.chip.core[row]))
        spikes = int(cores.spikes[row])
        counts = (spikes, int(cores.delivered[row]), int(cores.input_packets[row]))
        rows.append((f"({x}, {y})", f"{report.per_tick(spikes):.4f}", *(f"{count:,}" for count in counts)))
    return [("core", "spikes per tick", "spikes", "packets received", "of them inputs"), *rows]


def _chips(board: BoardReport) -> list[tuple[str, ...]]:
    """The chips of a board, those that did nothing left out."""
    names = ("cores", "spikes", "packets_sent", "packets_received", "crossings_out", "crossings_in")
    rows = [(str(chip.position), *(f"{getattr(chip, name):,}" for name in names)) for chip in board.chips]
    busy = [row for row in rows if any(cell != "0" for cell in row[1:])]
    return [("chip", *(name.replace("_", " ") for name in names)), *busy]
