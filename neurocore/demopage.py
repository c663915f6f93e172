"""The report of the demo: how well it reads digits, digits that it read, and then what the report of any run has."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from neurocore.demo import DemoResult
from neurocore.heatmap import svg_begin, svg_text
from neurocore.page import document, figure, note, table, tiles
from neurocore.power import significant
from neurocore.runpage import run_parts
from neurocore.wording import counted

Array = npt.NDArray[np.int64]

PIXEL, LEVELS = 7, 8
"""Side of a pixel in the picture, and how many shades pixels have."""
BELOW, APART = 20, 16
"""Pixels below a digit, for its name, and between digits."""
ACROSS = 10
"""Digits in a row."""
MOST_WRONG = 20
"""Misread digits that are shown."""


def demo_page(result: DemoResult) -> str:
    """The page, self-contained."""
    chip = result.chip
    right = [
        int(np.argmax(result.is_right & (result.labels == digit)))
        for digit in np.unique(result.labels[result.is_right])
    ]
    wrong = np.flatnonzero(~result.is_right)[:MOST_WRONG].tolist()
    parts = [
        note(
            f"A network that was trained on handwritten digits, compiled to {counted(len(chip.cores), 'core')} of"
            f" {chip.architecture.title} and shown {counted(result.n_images, 'image')} that it never saw, as spikes of their"
            f" pixels: {counted(result.ticks_per_image, 'tick')} an image. Its answer is the digit whose output lines spike most."
        ),
        tiles(_tiles(result)),
        "<h2>Digits</h2>",
        *_digits(
            result,
            right,
            "read",
            "Digits that it read: the first of each kind. The stronger a pixel, the more it spiked.",
        ),
        *_digits(result, wrong, "misread", _about_wrong(result, len(wrong))),
        f"<h3>What each digit was taken for</h3>{table(list(_confusions(result)))}",
        *run_parts(result.run, result.power),
    ]
    return document(f"Handwritten digits on {chip.architecture.title}", parts)


def _tiles(result: DemoResult) -> Iterator[tuple[str, str, str]]:
    wrong = int((~result.is_right).sum())
    yield "accuracy", f"{100 * result.accuracy:.2f} %", f"{wrong:,} of {result.n_images:,} misread"
    if result.power.energy_per_inference_uj is not None:
        yield "energy", f"{significant(result.power.energy_per_inference_uj)} µJ", "per classification"


def _about_wrong(result: DemoResult, shown: int) -> str:
    """What the picture of misread digits shows."""
    n = int((~result.is_right).sum())
    which = "All" if shown == n else f"The first {shown} of {n:,}"
    return f"{which} that it misread: what they are, and what it took them for."


def _digits(result: DemoResult, images: list[int], name: str, caption: str) -> Iterator[str]:
    """Some of the images with their answers; nothing if there are none."""
    if images:
        yield figure(_digits_svg(result, images, name), caption)


def _digits_svg(result: DemoResult, images: list[int], name: str) -> str:
    """Images in rows, below each the digit, and what it was taken for if that is another."""
    rows, columns = (PIXEL * side for side in result.images.shape[1:])
    width = ACROSS * (columns + APART)
    height = -(-len(images) // ACROSS) * (rows + BELOW + APART)
    answers = [_answer(int(result.labels[image]), int(result.found[image])) for image in images]
    lines = [svg_begin(width, height, "plot", name, f"Images of digits that were {name}", ", ".join(answers))]
    for place, (image, answer) in enumerate(zip(images, answers, strict=True)):
        down, along = divmod(place, ACROSS)
        lines.append(f'<g transform="translate({along * (columns + APART) + 1} {down * (rows + BELOW + APART) + 1})">')
        lines.append(f'<rect class="rule" width="{columns}" height="{rows}" fill="none" stroke="#bbbbbb"/>')
        lines += _pixels(result.images[image])
        lines.append(svg_text(columns / 2, rows + 15, answer) + "</g>")
    return "\n".join([*lines, "</svg>"])


def _answer(digit: int, found: int) -> str:
    return str(digit) if digit == found else f"{digit}, not {found}"


def _pixels(image: Array) -> Iterator[str]:
    """The pixels [rows, columns] of an image by how often they spiked, in shades of the text's colour."""
    shades = np.ceil(LEVELS * image / max(int(image.max()), 1)).astype(int)
    for shade in range(1, LEVELS + 1):
        squares = (
            f"M{PIXEL * x} {PIXEL * y}h{PIXEL}v{PIXEL}h-{PIXEL}z" for y, x in np.argwhere(shades == shade).tolist()
        )
        if path := "".join(squares):
            yield f'<path d="{path}" fill="currentColor" fill-opacity="{shade / LEVELS:g}"/>'


def _confusions(result: DemoResult) -> Iterator[tuple[str, ...]]:
    """How many images of each digit, a row, were taken for which, a column."""
    classes = np.unique(np.concatenate([result.labels, result.found])).tolist()
    yield ("is", *(f"read as {found}" for found in classes), "right, %")
    for digit in classes:
        mine = result.labels == digit
        counts = [int((result.found[mine] == found).sum()) for found in classes]
        share = f"{100 * result.is_right[mine].mean():.1f}" if mine.any() else ""
        yield (str(digit), *map(str, counts), share)
