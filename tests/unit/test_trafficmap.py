"""The picture of a run's traffic: every core and link once, where it lies, in the colour of its load; and its command."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from boards import board, chain, layers
from neurocore import meshframe, trafficmap
from neurocore.board import Tiling
from neurocore.colourscale import SHADES, Scale
from neurocore.compiler.network import Network
from neurocore.compiler.pipeline import compile_network
from neurocore.emulator import Emulator
from neurocore.result import RunResult
from neurocore.traffic import STEPS
from neurocore.trafficmap import traffic_svg
from neurocore.trafficpage import traffic_page
from random_networks import random_spikes
from small_network import NETWORK, record_run

SVG = "{http://www.w3.org/2000/svg}"


def ran(net: Network, ticks: int = 40, chips: int = 2) -> RunResult:
    chip = compile_network(net, board(chips, chips, 9, 9))
    return Emulator(chip).run(random_spikes(net, 1, ticks), ticks)


@pytest.fixture(scope="module")
def busy() -> RunResult:
    """A run on a board of 2 x 2 chips of 5 x 3 cores, all of which hold some in use."""
    run = ran(layers(3, 28))
    xs, ys = run.chip.core % 10, run.chip.core // 10
    assert len(np.unique(xs // 5 + 2 * (ys // 3))) == 4
    return run


def titled(drawn: ElementTree.Element, kind: str) -> dict[str, ElementTree.Element]:
    """The shapes of a kind that the pointer tells something of, by what it tells up to the colon."""
    found = {}
    for item in drawn.iter(SVG + kind):
        if (title := item.find(SVG + "title")) is not None:
            assert title.text is not None
            place = title.text.split(":")[0]
            assert place not in found
            found[place] = item
    return found


def told(item: ElementTree.Element) -> str:
    title = item.find(SVG + "title")
    assert title is not None
    assert title.text is not None
    return title.text


def box(item: ElementTree.Element) -> tuple[float, float, float, float]:
    """Left, right, upper and lower side."""
    left, top = (float(item.get(name, "")) for name in ("x", "y"))
    return left, left + float(item.get("width", "")), top, top + float(item.get("height", ""))


def outline(item: ElementTree.Element) -> np.ndarray:
    numbers = [float(text) for text in re.findall(r"-?[\d.]+", item.get("d", ""))]
    return np.array(numbers).reshape(-1, 2)


def shade(item: ElementTree.Element) -> int:
    return int(item.get("class", "")[1:])


def test_every_core_in_use_is_drawn_once_with_its_spikes(busy: RunResult) -> None:
    cores = titled(ElementTree.fromstring(traffic_svg(busy)), "rect")
    expected = {
        f"({core % 10}, {core // 10})": int(n) for core, n in zip(busy.chip.core, busy.cores.spikes, strict=True)
    }
    assert {
        place: int(told(item).split(": ")[1].split()[0].replace(",", "")) for place, item in cores.items()
    } == expected
    for place, item in cores.items():
        assert (item.get("class") is None) == (expected[place] == 0)
    fired = sorted((n, shade(cores[place])) for place, n in expected.items() if n)
    assert [step for _, step in fired] == sorted(step for _, step in fired)
    assert fired[-1][1] == SHADES - 1
    # Columns grow to the right, rows upwards.
    left = {place: box(item)[0] for place, item in cores.items()}
    upper = {place: box(item)[2] for place, item in cores.items()}
    for one in cores:
        for other in cores:
            (x, y), (u, v) = (tuple(map(int, re.findall(r"\d+", place))) for place in (one, other))
            assert np.sign(left[one] - left[other]) == np.sign(x - u)
            assert np.sign(upper[one] - upper[other]) == np.sign(v - y)


def test_every_loaded_link_is_drawn_once_on_the_right_of_its_way(busy: RunResult) -> None:
    drawn = ElementTree.fromstring(traffic_svg(busy))
    links, report = titled(drawn, "path"), busy.traffic()
    expected = {}
    for loads, (dx, dy) in zip(report.links, STEPS, strict=True):
        for y, x in np.argwhere(loads).tolist():
            expected[f"({x}, {y}) to ({x + dx}, {y + dy})"] = int(loads[y, x])
    assert {way: int(told(item).split(": ")[1].split()[0].replace(",", "")) for way, item in links.items()} == expected
    order = sorted((n, shade(links[way])) for way, n in expected.items())
    assert [step for _, step in order] == sorted(step for _, step in order)
    pitch = trafficmap._Picture(meshframe.Mesh.of(busy), False)
    for way, item in links.items():
        x, y, u, v = map(int, re.findall(r"\d+", way))
        half = pitch.side / 2
        ends = np.array([[pitch.x(a) + half, pitch.y(b) + half] for a, b in ((x, y), (u, v))])
        along = (ends[1] - ends[0]) / pitch.pitch
        right = np.array([-along[1], along[0]])
        # On the screen, whose y grows downwards, this is what lies to the right of who looks along.
        points = outline(item) - ends[0]
        assert ((points @ along >= -1e-6) & (points @ along <= pitch.pitch + 1e-6)).all()
        assert ((points @ right >= 0.5 - 1e-6) & (points @ right <= half)).all()


def test_the_hottest_link_is_ringed_and_named(busy: RunResult) -> None:
    drawn = ElementTree.fromstring(traffic_svg(busy))
    link, cores = busy.traffic().hottest_links[0], titled(drawn, "rect")
    texts = [item.text for item in drawn.iter(SVG + "text")]
    (x, y), (u, v) = link["from"], link["to"]
    assert any((text or "").startswith(f"hottest link: ({x}, {y}) to ({u}, {v}), ") for text in texts)
    in_head, on_map = drawn.iter(SVG + "circle")
    assert in_head.get("stroke") == on_map.get("stroke")
    picture = trafficmap._Picture(meshframe.Mesh.of(busy), True)
    middle = [(picture.x(x) + picture.x(u)) / 2, (picture.y(y) + picture.y(v)) / 2]
    assert [float(on_map.get(name, "")) - picture.side / 2 for name in ("cx", "cy")] == middle
    ring = titled(drawn, "path")[f"({x}, {y}) to ({u}, {v})"]
    assert shade(ring) == SHADES - 1
    assert cores


def test_edges_of_chips_lie_between_the_cores_of_two(busy: RunResult) -> None:
    drawn = ElementTree.fromstring(traffic_svg(busy))
    edges = [item.get("d", "") for item in drawn.iter(SVG + "path") if item.get("stroke-dasharray")]
    assert len(edges) == 3, "one of columns, one of rows, and one in the key"
    cores = {place: box(item) for place, item in titled(drawn, "rect").items()}
    upright = float(re.findall(r"M(-?[\d.]+) ", edges[0])[0])
    level = float(re.findall(r"M-?[\d.]+ (-?[\d.]+)h", edges[1])[0])
    for place, (left, right, top, bottom) in cores.items():
        x, y = map(int, re.findall(r"\d+", place))
        assert (right < upright) == (x < 5)
        assert (left > upright) == (x >= 5)
        assert (top > level) == (y < 3)
        assert (bottom < level) == (y >= 3)
    alone = traffic_svg(ran(chain(4), chips=1))
    assert "stroke-dasharray" not in alone
    assert "edge of a chip" not in alone


def test_large_meshes_are_drawn_in_blocks(busy: RunResult, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is lost: spikes of all cores, and the packets over all links from block to block."""
    monkeypatch.setattr(meshframe, "MOST_CELLS", 3)
    mesh = meshframe.Mesh.of(busy)
    left, right, low, high = mesh.bounds
    assert mesh.block > 1
    assert max(right - left, high - low) < 3
    assert (mesh.spikes.sum(), mesh.used.sum()) == (busy.cores.spikes.sum(), len(busy.chip.core))
    drawn = ElementTree.fromstring(traffic_svg(busy))
    loads = busy.traffic().links.between_chips(mesh.block, mesh.block)
    packets = [int(told(item).split(": ")[1].split()[0].replace(",", "")) for item in titled(drawn, "path").values()]
    assert sorted(packets) == sorted(int(n) for side in loads for n in side.ravel() if n)
    text = traffic_svg(busy)
    assert f"spikes per tick of {mesh.block} x {mesh.block} cores" in text
    assert "packets per tick from block to block" in text
    assert len(list(drawn.iter(SVG + "circle"))) == 2


def test_blocks_end_where_chips_do_if_they_can() -> None:
    chips = Tiling(256, 256, 64, 64)
    assert [meshframe._block_size(least, chips) for least in (2, 3, 4, 5, 33, 65)] == [2, 4, 4, 8, 64, 65]
    assert meshframe._block_size(2, Tiling(10, 6, 5, 3)) == 2


@pytest.mark.parametrize("ticks", [0, 5])
def test_a_silent_run_is_drawn_without_scales(ticks: int) -> None:
    net = chain(3)
    run = Emulator(compile_network(net, board(1, 1, 4, 2))).run(None, ticks)
    drawn = ElementTree.fromstring(traffic_svg(run))
    texts = [item.text for item in drawn.iter(SVG + "text")]
    for sentence in (
        "no packet crosses a link of the mesh",
        "spikes per tick of a core: none",
        "packets per tick of a link: none",
    ):
        assert sentence in texts
    assert not list(drawn.iter(SVG + "circle"))
    assert len(titled(drawn, "rect")) == 3
    assert not titled(drawn, "path")


def test_nearly_equal_cores_have_one_colour() -> None:
    """A scale spans a decade at least, and says so at its ends."""
    scale = Scale.of(np.array([0.0, 90.0, 95.0, 100.0]), trafficmap.CORES)
    assert (scale.low, scale.high) == (10.0, 100.0)
    assert {scale.step(value) for value in (95.0, 100.0)} == {SHADES - 1}
    wide = Scale.of(np.array([0.1, 100.0]), trafficmap.LINKS)
    assert [wide.step(value) for value in (0.1, 100.0)] == [0, SHADES - 1]
    assert Scale.of(np.zeros(3), trafficmap.LINKS).high == 0


def test_everything_lies_within_the_picture(busy: RunResult) -> None:
    drawn = ElementTree.fromstring(traffic_svg(busy))
    width, height = float(drawn.get("width", "")), float(drawn.get("height", ""))
    shift = re.search(r"translate\((\d+) (\d+)\)", traffic_svg(busy))
    assert shift is not None
    at_x, at_y = map(int, shift.groups())
    for item in drawn.iter(SVG + "text"):
        # Letters are at most 0.6 of their size wide on average.
        size, text = float(item.get("font-size", "")), item.text or ""
        long = 0.6 * size * len(text)
        if item.get("text-anchor") == "start":
            assert float(item.get("x", "")) + at_x + long <= width + at_x
        assert float(item.get("y", "")) + at_y <= height


# ---------------------------------------------------------------- the page and the command


def test_the_page_has_the_picture_and_its_numbers(busy: RunResult) -> None:
    page, report = traffic_page(busy), busy.traffic()
    assert page.count("<svg ") == page.count("<h1>") == 1
    head = "Traffic of layers3 on board"
    assert f"<h1>{head}</h1>" in page
    assert page.count(head) == 2, "the picture leaves its title to the page"
    for link in report.hottest_links:
        assert f'<td>{trafficmap.link_name(link)}</td><td class="number">{link["packets_per_tick"]:.4f}</td>' in page
    busiest = int(np.argmax(busy.cores.spikes))
    first = re.search(r"<h2>Busiest cores</h2>.*?<tr><td>(\(\d+, \d+\))</td>", page, re.DOTALL)
    assert first is not None
    assert first.group(1) == str(busy.chip.architecture.core_xy(int(busy.chip.core[busiest])))
    assert report.board is not None
    crossed = [chip for chip in report.board.chips if chip.crossings_out or chip.cores]
    assert page.split("<h2>Chips</h2>")[1].count("<tr><td>") == len(crossed)


def test_traffic_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command) -> None:
    monkeypatch.chdir(tmp_path)
    record_run(command, NETWORK.replace("small", '"a < b"'))
    plain = command("traffic", "r.h5")
    assert "  hottest link   none: no packet crosses a link of the mesh\n" in plain.out
    drawn = command("traffic", "r.h5", "--report", "t.svg")
    assert (drawn.out, drawn.err) == (plain.out, "neurocore: t.svg is written\n")
    texts = [item.text for item in ElementTree.parse("t.svg").iter(SVG + "text")]
    assert "Traffic of 'a < b' on truenorth, 10 ticks" in texts
    command("traffic", "r.h5", "--report", "t.html", "--json")
    assert "<h1>Traffic of a &lt; b on truenorth</h1>" in Path("t.html").read_text()
    assert (
        "the name of a report ends in .html, .htm, .svg." in command("traffic", "r.h5", "--report", "t.txt", code=2).err
    )
    assert command("traffic", "r.h5", "--report", "nowhere/t.svg", code=6).err
    Path("t.svg").unlink()
    Path("t.svg").symlink_to("r.h5")
    assert "is read by this command" in command("traffic", "r.h5", "--report", "t.svg", code=2).err
