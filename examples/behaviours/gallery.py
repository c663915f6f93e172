"""Draw the gallery of behaviours: input, membranes and spikes of each.

    python examples/behaviours/gallery.py -o pictures               all of them, and an overview
    python examples/behaviours/gallery.py resonator -o pictures     one

Needs matplotlib: pip install 'neurocore[plot]'.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from behaviour import CELL, Cell, Response, stimuli

try:
    import matplotlib
    from matplotlib.figure import Figure
except ImportError:
    sys.exit("the pictures need matplotlib: pip install 'neurocore[plot]'")

INPUT, INHIBITION, MEMBRANE, HELPER, LIMIT = "#2a7f62", "#b23a48", "#1f3b73", "#9aa5b8", "#c98a00"
STYLE = {
    "font.size": 8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "svg.hashsalt": "neurocore",
    "svg.fonttype": "none",
}


def draw(name: str, folder: Path, kind: str = "svg") -> Path:
    """Draw one behaviour to ``folder/NAME.KIND``; kind is svg or png."""
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(6.4, 3.6), layout="constrained")
        axes = figure.subplots(3, 1, sharex=True, height_ratios=[1, 3, 1])
        _panels(axes, name, labels=True)
        figure.suptitle(stimuli()[name].title, fontweight="bold")
        return _save(figure, folder / f"{name}.{kind}")


def draw_all(names: Sequence[str], folder: Path, kind: str = "svg") -> Path:
    """Draw the behaviours side by side to ``folder/overview.KIND``."""
    columns = min(4, len(names))
    rows = -(-len(names) // columns)
    with matplotlib.rc_context({**STYLE, "font.size": 6}):
        figure = Figure(figsize=(3 * columns, 1.9 * rows), layout="constrained")
        for place, part in zip(range(len(names)), figure.subfigures(rows, columns, squeeze=False).flat, strict=False):
            axes = part.subplots(3, 1, sharex=True, height_ratios=[1, 3, 0.8])
            _panels(axes, names[place], labels=False)
            part.suptitle(f"{chr(65 + place)}  {stimuli()[names[place]].title}", fontsize=8)
        return _save(figure, folder / f"overview.{kind}")


def _panels(axes: Any, name: str, labels: bool) -> None:
    cell = Cell(name)
    response = cell.respond(stimuli()[name].current())
    drive, membrane, spikes = axes
    _draw_input(drive, response)
    _draw_membrane(membrane, response, cell.threshold(CELL))
    populations = list(reversed(response.spikes))
    for row, population in enumerate(populations):
        spikes.vlines(response.spikes[population], row + 0.1, row + 0.9, color=_colour(population), linewidth=0.8)
    spikes.set_ylim(0, len(populations))
    spikes.set_yticks([row + 0.5 for row in range(len(populations))], populations if labels else [])
    spikes.set_xlim(0, len(response.current))
    if labels:
        drive.set_ylabel("input")
        membrane.set_ylabel("membrane")
        spikes.set_ylabel("spikes")
        spikes.set_xlabel("tick (1 ms)")


def _draw_input(axes: Any, response: Response) -> None:
    ticks = range(len(response.current))
    for sign, colour in ((1, INPUT), (-1, INHIBITION)):
        part = [max(sign * int(level), 0) * sign for level in response.current]
        axes.fill_between(ticks, part, step="post", color=colour, linewidth=0)
    axes.axhline(0, color="black", linewidth=0.4)


def _draw_membrane(axes: Any, response: Response, threshold: int) -> None:
    axes.axhline(threshold, color=LIMIT, linewidth=0.8, linestyle="--")
    axes.axhline(0, color="black", linewidth=0.3)
    axes.step(range(len(response.membrane)), response.membrane, where="post", color=MEMBRANE, linewidth=0.9)
    # The membrane is that at the end of a tick, already reset; the line shows that it had reached the threshold.
    axes.vlines(response.fired, response.membrane[response.fired], threshold, color=MEMBRANE, linewidth=0.5, alpha=0.5)


def _colour(population: str) -> str:
    return MEMBRANE if population == CELL else HELPER


def _save(figure: Figure, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110, metadata={"Date": None} if path.suffix == ".svg" else None)
    return path


@click.command()
@click.argument("names", nargs=-1, type=click.Choice(list(stimuli())), metavar="[NAME]...")
@click.option(
    "-o", "--output", type=click.Path(path_type=Path, file_okay=False), required=True, help="Folder for the pictures."
)
@click.option("--format", "kind", type=click.Choice(["svg", "png"]), default="svg", show_default=True)
def main(names: tuple[str, ...], output: Path, kind: str) -> None:
    """Draw behaviours; all of them and an overview if none is named."""
    for name in names or stimuli():
        click.echo(draw(name, output, kind))
    if not names:
        click.echo(draw_all(list(stimuli()), output, kind))


if __name__ == "__main__":
    main()
