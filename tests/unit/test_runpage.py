"""The report of a run: every section says what the run holds, and the command refuses what it cannot do."""

from __future__ import annotations

import re
from dataclasses import replace
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

import neurocore as nc
from boards import board, chain, layers
from neurocore import rasterplot
from neurocore.chart import Span, round_numbers
from neurocore.errors import UsageError
from neurocore.meshframe import Mesh
from neurocore.power import significant
from neurocore.rasterplot import Band, Raster
from neurocore.ratemap import RateMap
from neurocore.result import RunResult
from neurocore.runpage import run_page
from neurocore.spikes import Spikes
from neurocore.timeplot import MOST_BINS, MOST_POINTS, Series, Trace, activity_span, activity_svg, membranes_svg
from random_networks import random_spikes
from small_network import record_run

SVG = "{http://www.w3.org/2000/svg}"
EVIL = "<script>alert('x')</script>"


def network(name: str = "two") -> nc.Network:
    net = nc.Network(name)
    x = net.input("x", 8)
    a = net.population("a", (2, 6), threshold=2, floor=0)
    b = net.population("b", 5, threshold=1, floor=0)
    rng = np.random.default_rng(2)
    net.connect(x, a, rng.integers(0, 2, (8, 12)))
    net.connect(a, b, rng.integers(0, 2, (12, 5)))
    net.output("first", a)
    net.output("second", b)
    return net


def ran(net: nc.Network, ticks: int = 60, probes: tuple[str, ...] = ("a:membrane", "b")) -> RunResult:
    chip = nc.compile(net)
    return nc.Emulator(chip, probes=list(probes)).run(random_spikes(net, 1, ticks), ticks)


@pytest.fixture(scope="module")
def run() -> RunResult:
    return ran(network())


def page(run: RunResult) -> str:
    return run_page(run, None if run.chip.architecture.energy is None else run.power())


def section(text: str, title: str) -> str:
    """A section of the page, up to the next."""
    found = re.search(rf"<h2>{re.escape(title)}</h2>(.*?)(?=<h2>|</body>)", text, re.DOTALL)
    assert found is not None, title
    return found.group(1)


def cells(text: str) -> list[list[str]]:
    """The rows of all tables in a text."""
    rows = re.findall(r"<tr>(.*?)</tr>", text)
    return [[unescape(cell) for cell in re.findall(r"<t[dh][^>]*>(.*?)</t[dh]>", row)] for row in rows]


def pictures(text: str) -> list[ElementTree.Element]:
    return [ElementTree.fromstring(found) for found in re.findall(r"<svg .*?</svg>", text, re.DOTALL)]


def described(picture: ElementTree.Element) -> str:
    found = picture.find(SVG + "desc")
    assert found is not None
    return found.text or ""


# ---------------------------------------------------------------- sections


def test_sections_come_in_this_order(run: RunResult) -> None:
    heads = re.findall(r"<h2>(.*?)</h2>", page(run))
    assert heads == [
        "What ran", "In numbers", "Spikes", "Activity over time", "Membranes", "Firing by core", "Populations",
        "Power and energy", "Traffic",
    ]  # fmt: skip


def test_what_ran(run: RunResult) -> None:
    facts = dict(cells(section(page(run), "What ran")))
    assert facts["network"] == f"two (digest {run.chip.network_digest[:16]})"
    assert facts["chip"] == "IBM TrueNorth (truenorth): 64 x 64 cores of 256 axons x 256 neurons"
    assert facts["cores"] == f"{len(run.chip.core)} in use of 4,096"
    copies = int((run.chip.population >= 0).sum()) - 17
    assert copies > 1
    assert facts["neurons"] == f"{17 + copies} configured: 17 of the network, {copies} copies"
    assert (facts["inputs"], facts["outputs"]) == ("8 lines: x (8)", "17 lines: first (2 x 6), second (5)")
    assert facts["ticks"] == "60 ticks: 0..59"
    assert facts["seed"] == str(run.seed)
    assert "board" not in facts


def test_numbers_are_those_of_the_run(run: RunResult) -> None:
    text, fields = section(page(run), "In numbers"), run.summary()
    shown = dict(re.findall(r"<dt>(.*?)</dt><dd>(.*?)</dd>", text))
    for name in ("spikes", "synaptic events", "output spikes"):
        assert shown[name] == f"{fields[name.replace(' ', '_')]:,}"
    neurons = int((run.chip.population >= -1).sum())
    assert shown["mean rate"] == f"{significant(run.n_spikes / neurons / 60 * 1000, 3)} Hz"
    assert shown["power"] == f"{significant(run.power().total_mw)} mW"
    assert shown["emulated at"] == f"{run.ticks_per_second:,.0f} ticks/s"
    rows = dict(cells(text))
    assert rows["merges"].startswith(f"{fields['merges']:,} at axons, {fields['output_merges']:,} on")
    assert rows["input packets"] == f"{fields['input_packets']:,}"


def test_a_speed_that_was_not_recorded_is_left_out(run: RunResult) -> None:
    assert "emulated at" not in page(replace(run, seconds=0.0))


def test_every_spike_has_its_mark(run: RunResult) -> None:
    """In the rasters of the outputs and of both probes: as many marks as spikes, in the row of the line, at the tick."""
    drawn = pictures(section(page(run), "Spikes"))
    assert len(drawn) == 3
    bands = [[(run.spikes, 0, 12), (run.spikes, 12, 5)], *([(probe.spikes, 0, 12)] for probe in run.probes.values())]
    for picture, expected in zip(drawn, bands, strict=True):
        groups = [item for item in picture.iter(SVG + "g") if "scale(" in item.get("transform", "")]
        for group, (spikes, start, size) in zip(groups, expected, strict=True):
            marks = re.findall(r"M(\d+) (\d+)\.5h", "".join(path.get("d", "") for path in group))
            mine = (spikes.line >= start) & (spikes.line < start + size)
            lines = zip(spikes.tick[mine].tolist(), (spikes.line[mine] - start).tolist(), strict=True)
            assert sorted((int(x), int(y)) for x, y in marks) == sorted(lines)
    assert sum(len(spikes) for (spikes, *_), *_ in bands) > 100
    assert described(drawn[0]) == f"{len(run.spikes)} spikes of 17 output lines in ticks 0..59; every mark is a spike."


def test_activity_is_that_of_outputs_and_probes(run: RunResult) -> None:
    (picture,) = pictures(section(page(run), "Activity over time"))
    told = described(picture)
    for name, spikes in (
        ("output lines", run.spikes),
        ("a", run.probes["a:membrane"].spikes),
        ("b", run.probes["b"].spikes),
    ):
        counts = np.bincount(spikes.tick, minlength=60)
        assert f"{name}: {len(spikes):,} spikes, at most {counts.max()} per tick, in tick {counts.argmax()}." in told


def test_membranes_of_probes_are_drawn(run: RunResult) -> None:
    (picture,) = pictures(section(page(run), "Membranes"))
    probe = run.probes["a:membrane"]
    shown = re.findall(r"a\[(\d+)\]: from (-?\d+) to (-?\d+), (\d+) spike", described(picture))
    counts = np.bincount(probe.spikes.line, minlength=12)
    assert len(shown) == 6
    for neuron, low, high, spikes in shown:
        membrane = probe.membranes[:, int(neuron)]
        assert (int(low), int(high), int(spikes)) == (membrane.min(), membrane.max(), counts[int(neuron)])
    assert sorted(int(item[3]) for item in shown) == sorted(counts.tolist())[-6:]
    assert "the 6 of its 12 recorded neurons that fire or move most" in page(run)


def test_rates_by_core_and_population(run: RunResult) -> None:
    text = page(run)
    (picture,) = pictures(section(text, "Firing by core"))
    told = {
        (item.find(SVG + "title").text or "").split(":")[0]: item.find(SVG + "title").text  # type: ignore[union-attr]
        for item in picture.iter(SVG + "path")
        if item.find(SVG + "title") is not None
    }
    assert len(told) == len(run.chip.core)
    for core, row in zip(run.chip.core.tolist(), range(len(run.chip.core)), strict=True):
        neurons, spikes = int((run.chip.population[row] >= -1).sum()), int(run.cores.spikes[row])
        place = f"({core % 64}, {core // 64})"
        assert (
            told[place] == f"{place}: {spikes} spikes of {neurons} neurons, {spikes / neurons / 60 * 1000:.3g} Hz each"
        )
    rows = {row[0]: row for row in cells(section(text, "Populations"))}
    activity, power = run.activity(), run.power()
    for number, name in enumerate("ab"):
        spikes, neurons = activity.population_spikes[number], activity.population_neurons[number]
        assert rows[name][2:4] == [f"{neurons:,}", f"{spikes:,}"]
        assert rows[name][4] == significant(spikes / neurons / 60 * 1000, 3)
        assert rows[name][5:] == [
            f"{activity.population_synaptic_events[number]:,}",
            significant(float(power.per_population.total_mw[number])),
        ]
    assert rows["unused neurons"][6] == significant(float(power.per_population.total_mw[-1]))
    assert sum(float(row[6]) for row in list(rows.values())[1:]) == pytest.approx(power.total_mw, rel=1e-3)


def test_page_is_named_as_one(run: RunResult, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"'.*r\.pdf': the name of a report ends in \.html or \.htm"):
        run.report(str(tmp_path / "r.pdf"))
    assert not list(tmp_path.iterdir())


def test_dilated_runs_say_whose_ticks_and_membranes_they_show() -> None:
    net = nc.Network("wide", fan_in="dilate")
    image = net.input("image", 300)
    net.connect(image, net.population("sum", 2, threshold=20, floor=50), np.ones((300, 2), int))
    net.output("out", "sum")
    emulator = nc.Emulator(nc.compile(net), probes=["sum:membrane"])
    assert emulator.chip.dilation > 1
    text = page(emulator.run(np.ones((3, 300), bool)))
    assert f"{emulator.chip.dilation} of its ticks make one of the network" in section(text, "In numbers")
    assert "stand above the network" in section(text, "Membranes")


@pytest.mark.parametrize("options", [{}, {"voltage": 0.9, "tick_hz": 250.0, "powered": "chip", "inferences": 4}])
def test_power_is_that_of_the_model(run: RunResult, tmp_path: Path, options: dict[str, object]) -> None:
    path = tmp_path / "r.html"
    assert run.report(str(path), **options) == str(path)  # type: ignore[arg-type]
    text, power = section(path.read_text("utf-8"), "Power and energy"), run.power(**options)  # type: ignore[arg-type]
    (picture,) = pictures(text)
    words = [item.text or "" for item in picture.iter(SVG + "text")]
    for name, value in power.parts().items():
        assert words[words.index(name) + 1] == f"{significant(value)} mW, {100 * value / power.total_mw:.1f} %"
    assert words[words.index("total") + 1] == f"{significant(power.total_mw)} mW"
    widths = [float(item.get("width", "")) for item in picture.iter(SVG + "rect")][::2]
    assert np.allclose(widths, [460 * value / power.total_mw for value in power.parts().values()], atol=0.01)
    rows = dict(cells(text))
    assert rows["energy per spike"] == f"{significant(power.energy_per_spike_pj or 0)} pJ"
    assert rows["energy per synaptic event"] == f"{significant(power.energy_per_synaptic_event_pj or 0)} pJ"
    assert rows["supply"] == f"{power.voltage:g} V"
    assert rows["powered"].startswith(f"{power.powered_cores:,} core")
    assert ("energy per inference" in rows) == ("inferences" in options)
    assert power.accuracy_statement in unescape(text)
    for source in power.sources:
        assert source in unescape(text)


def test_traffic_is_that_of_the_run(run: RunResult) -> None:
    text = section(page(run), "Traffic")
    rows = dict(row for row in cells(text) if len(row) == 2)
    for name, value in run.traffic().in_words():
        if name not in ("hottest link", "then"):
            assert rows[name] == value
    assert len(pictures(text)) == 1


# ---------------------------------------------------------------- runs of all kinds


def test_a_board_of_chips() -> None:
    net = layers(3, 28)
    run = nc.Emulator(nc.compile(net, chip=board(2, 2, 9, 9))).run(random_spikes(net, 1, 40), 40)
    text = page(run)
    assert dict(cells(section(text, "What ran")))["board"] == "2 x 2 chips of 5 x 3 cores"
    assert "the chip definition &#x27;board&#x27; has no energy constants" in section(text, "Power and energy")
    assert " per tick</dd>" in section(text, "In numbers")
    assert cells(section(text, "Populations"))[0][4] == "mean rate, per tick"
    assert section(text, "Firing by core").count("stroke-dasharray") == 3, "two edges, and one in the key"
    with pytest.raises(nc.InputError, match="has no energy constants"):
        run.report("never.html", voltage=0.8)


def test_power_by_chip_of_a_board() -> None:
    run = nc.Emulator(nc.compile(network(), chip="ns16e")).run(None, 5)
    power = run.power(powered="chip")
    rows = cells(run_page(run, power).split("<h3>Chips, without I/O</h3>")[1].split("</table>")[0])[1:]
    assert [row[0] for row in rows] == [f"({x}, {y})" for y in range(4) for x in range(4)]
    assert [row[2] for row in rows] == [significant(float(mw)) for mw in power.per_chip.total_mw]


@pytest.mark.parametrize("ticks", [0, 7])
def test_a_silent_run(ticks: int) -> None:
    run = nc.Emulator(nc.compile(network()), probes=["a:membrane"]).run(None, ticks)
    text = page(run)
    spikes = section(text, "Spikes")
    assert not pictures(spikes)
    assert ("the run has no ticks." in spikes) == (ticks == 0)
    assert ("No spike of 17 output lines." in spikes) == (ticks == 7)
    assert ("<h2>Membranes</h2>" in text) == (ticks == 7)
    assert re.search(r"No neuron of the \d+ cores? in use fired\.", section(text, "Firing by core"))
    assert "no packet crosses a link of the mesh" in section(text, "Traffic")


def test_what_was_not_recorded_is_said() -> None:
    net = nc.Network("unseen")
    net.connect(net.input("x", 2), net.population("p", 3), all_to_all=1)
    run = nc.Emulator(nc.compile(net)).run([(0, 0), (5, 1)], 20)
    assert run.n_spikes > 0
    text = page(run)
    assert "the chip has no output lines, and the run had no probes" in section(text, "Spikes")
    assert not pictures(section(text, "Activity over time"))
    assert "<h2>Membranes</h2>" not in text
    assert dict(cells(section(text, "What ran")))["outputs"] == "none by name"


def test_names_are_text_everywhere(tmp_path: Path) -> None:
    net = nc.Network(EVIL)
    x = net.input(f"in{EVIL}", 2)
    a = net.population(f"p{EVIL}", 3)
    net.connect(x, a, all_to_all=1)
    net.output(f"out{EVIL}", a)
    run = nc.Emulator(nc.compile(net), probes=[f"p{EVIL}:membrane"]).run([(0, 0), (3, 1)], 10)
    run.save(str(tmp_path / "r.h5"))
    text = page(nc.load_run(str(tmp_path / "r.h5")))
    assert "<script" not in text.lower()
    assert f"Run of {EVIL} on" in unescape(text)
    for kind in ("in", "p", "out"):
        assert f"{kind}{EVIL}" in unescape(text)


class Checker(HTMLParser):
    """Nothing is loaded, every tag that opens closes, and no name is given twice."""

    VOID = ("meta",)

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.names: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        assert not {"src", "href", "onload", "onclick", "xlink:href"} & given.keys()
        assert tag not in ("script", "link", "img", "iframe")
        self.names += [str(given["id"])] if "id" in given else []
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in self.VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_is_whole_and_loads_nothing(run: RunResult) -> None:
    text = page(run)
    checker = Checker()
    checker.feed(text)
    assert not checker.open
    assert len(set(checker.names)) == len(checker.names)
    for picture in pictures(text):
        assert picture.get("role") == "img"
        for name in (picture.get("aria-labelledby") or "").split():
            assert name in checker.names
        assert described(picture)
    assert "url(http" not in text
    assert "@import" not in text
    assert "prefers-color-scheme: dark" in text
    assert "@media print" in text


def test_equal_runs_give_equal_pages(tmp_path: Path, run: RunResult) -> None:
    again = replace(ran(network()), seconds=run.seconds, threads=run.threads)
    assert page(again) == page(run)
    run.save(str(tmp_path / "r.h5"))
    assert page(nc.load_run(str(tmp_path / "r.h5"))) == page(run)


# ---------------------------------------------------------------- long and wide runs


def test_cells_hold_every_spike_and_say_what_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rasterplot, "MOST_COLUMNS", 10)
    monkeypatch.setattr(rasterplot, "MOST_ROWS", 5)
    rng = np.random.default_rng(1)
    spikes = Spikes.from_lines(rng.integers(100, 203, 400), rng.integers(0, 23, 400))
    raster = Raster.of(spikes, [Band("p", 0, 14), Band("q", 14, 9)], 100, 103, "neuron")
    assert (raster.span.each, raster.span.columns, raster.lines_each) == (11, 10, 5)
    assert [cells.shape for cells in raster.cells] == [(3, 10), (2, 10)]
    for tick, line in ((100, 0), (110, 4), (111, 5), (202, 22)):
        inside = (spikes.tick - 100) // 11 == (tick - 100) // 11
        band, first = (0, 0) if line < 14 else (1, 14)
        row = (line - first) // 5
        mine = (
            inside
            & (spikes.line >= first + 5 * row)
            & (spikes.line < min(first + 5 * row + 5, 14 if band == 0 else 23))
        )
        assert raster.cells[band][row, (tick - 100) // 11] == mine.sum()
    assert sum(int(cells.sum()) for cells in raster.cells) == len(spikes)
    most = max(int(cells.max()) for cells in raster.cells)
    assert (
        f"a cell stands for 11 ticks of 5 neurons, and the stronger its colour, the more spikes, up to {most}"
        in raster.summary()
    )
    lows = [low for low, _, _ in raster.shades]
    highs = [high for _, high, _ in raster.shades]
    assert lows[0] == 1
    assert lows[1:] == [high + 1 for high in highs[:-1]]
    assert highs[-1] == most


def test_long_runs_have_a_close_up() -> None:
    spikes = Spikes.from_lines(np.arange(700, 9000, 7), np.arange(700, 9000, 7) % 5)
    raster = Raster.of(spikes, [Band("p", 0, 5)], 0, 9000, "neuron")
    close = raster.close_up()
    assert close is not None
    assert (close.span.first, close.span.ticks, close.span.each) == (700, rasterplot.CLOSE_UP, 1)
    assert int(close.cells[0].sum()) == len(spikes.window(700, 700 + rasterplot.CLOSE_UP))
    sparse = Raster.of(Spikes.from_lines([5, 4000], [0, 1]), [Band("p", 0, 5)], 0, 9000, "neuron")
    assert (
        sparse.summary()
        == "2 spikes of 5 neurons in ticks 0..8,999; every mark is a spike, in cells of 15 ticks of 1 neuron."
    )
    assert Raster.of(spikes.window(0, 800), [Band("p", 0, 5)], 0, 900, "neuron").close_up() is None


def test_a_picture_of_noise_stays_small() -> None:
    rng = np.random.default_rng(1)
    tick, line = np.nonzero(rng.random((1800, 480)) < 0.1)
    raster = Raster.of(Spikes.from_lines(tick, line), [Band("p", 0, 480)], 0, 1800, "neuron")
    assert len(rasterplot.raster_svg(raster, "r", "tick")) < 1_000_000


def test_bins_of_unequal_length_give_means() -> None:
    span = Span.of(5, 2 * MOST_BINS + 1, MOST_BINS)
    assert (span.each, span.columns, span.lengths.sum()) == (3, 267, 801)
    assert span.lengths[-1] == 3
    assert Span.of(0, 10, 4).lengths.tolist() == [3, 3, 3, 1]
    assert [round(edge, 6) for edge in Span.of(0, 10, 4).edges()] == [110, 338, 566, 794, 870]
    text = activity_svg([Series("s", np.array([9, 9, 9, 9]))], Span.of(0, 10, 4), "s", "tick")
    assert "at most 4 per tick, in tick 9." in text
    assert activity_span(0, MOST_BINS).each == 1


def test_no_peak_of_a_long_membrane_is_lost() -> None:
    membrane = np.zeros(10 * MOST_POINTS, np.int32)
    membrane[1234], membrane[4321] = 90, -30
    text = membranes_svg([Trace("m", membrane, np.array([1235]))], 0, "m", "tick")
    assert "m: from -30 to 90, 1 spike." in text
    ys = [float(y) for y in re.findall(r"[ML][\d.]+ (-?[\d.]+)", text.split("fill-opacity")[0].rsplit('d="', 1)[1])]
    assert (min(ys), max(ys)) == (26.0, 100.0)


def test_the_range_of_long_membranes_is_said() -> None:
    run = ran(network(), 2 * MOST_POINTS + 1)
    assert "at the end of each tick, as the range of every 3 ticks; marks above are spikes." in page(run)


def test_round_numbers() -> None:
    assert round_numbers(0, 10, 5) == [0, 2, 4, 6, 8, 10]
    assert round_numbers(-30, 90, 3) == [0, 50]
    assert round_numbers(3, 3, 4) == []


def test_large_maps_are_drawn_by_colour(monkeypatch: pytest.MonkeyPatch) -> None:
    run = nc.Emulator(nc.compile(chain(6), chip=board(2, 2, 9, 9))).run(random_spikes(chain(6), 1, 30), 30)
    mesh = Mesh.of(run)
    told = RateMap(mesh, None).svg()
    monkeypatch.setattr("neurocore.ratemap.MOST_TOLD", 2)
    plain = RateMap(mesh, None).svg()
    squares = [re.findall(r"M\d+ \d+h\d+v\d+h-\d+z", text.split("</pattern>")[1]) for text in (told, plain)]
    assert sorted(squares[0]) == sorted(squares[1])
    assert len(plain) < len(told)


# ---------------------------------------------------------------- the command


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command) -> Path:
    """A folder with a run file, as the working directory."""
    monkeypatch.chdir(tmp_path)
    record_run(command)
    return tmp_path


def test_report(files: Path, command) -> None:
    shown = command("report", "r.h5", "-o", "r.html")
    assert shown.out.splitlines()[-1] == "written  r.html"
    run = nc.load_run("r.h5")
    assert Path("r.html").read_text("utf-8") == run_page(run, run.power())
    found = command(
        "report", "r.h5", "-o", "r.html", "--voltage", "0.9", "--tick-hz", "100", "--powered", "chip", "--json"
    )
    power = run.power(0.9, 100.0, "chip")
    assert found.json["schema_version"] == 1
    assert found.json["report"] == "r.html"
    assert found.json["total_mw"] == power.total_mw
    assert found.json["spikes"] == run.n_spikes
    assert found.json["max_link_packets_per_tick"] == run.traffic().max_link_packets_per_tick
    assert Path("r.html").read_text("utf-8") == run_page(run, power)


def test_report_refuses(files: Path, command) -> None:
    before = sorted(path.name for path in files.iterdir())
    assert "nowhere" in command("report", "r.h5", "-o", "nowhere/r.html", code=6).err
    assert "nowhere" in command("report", "not_there.h5", "-o", "nowhere/r.html", code=6).err, "the output comes first"
    assert "c.h5" in command("report", "c.h5", "-o", "r.html", code=3).err
    assert "net.yaml" in command("report", "net.yaml", "-o", "r.html", code=3).err
    assert "the name of a report ends in .html, .htm." in command("report", "r.h5", "-o", "r.pdf", code=2).err
    assert "voltage is 9 V" in command("report", "r.h5", "-o", "r.html", "--voltage", "9", code=2).err
    command("report", "r.h5", code=2)
    assert sorted(path.name for path in files.iterdir()) == before
    Path("same.html").symlink_to("r.h5")
    assert "is read by this command" in command("report", "r.h5", "-o", "same.html", code=2).err
    with pytest.raises(nc.OutputError, match="nowhere"):
        nc.load_run("r.h5").report("nowhere/r.html")


def test_the_report_of_the_demo(folder: Path, command) -> None:
    shown = command("demo", "--json").json
    text = Path(shown["report"]).read_text("utf-8")
    wrong = round((1 - shown["accuracy"]) * shown["n_images"])
    assert f"<dd>{100 * shown['accuracy']:.2f} %</dd>" in text
    assert f"{wrong} of {shown['n_images']} misread" in text
    table = cells(text.split("What each digit was taken for")[1].split("</table>")[0])[1:]
    counts = np.array([[int(cell) for cell in row[1:-1]] for row in table])
    assert counts.sum() == shown["n_images"]
    assert counts.trace() == shown["n_images"] - wrong
    digits = section(text, "Digits")
    read, misread = (described(picture).split(", ") for picture in pictures(digits))
    assert read == [str(digit) for digit in range(10)]
    assert len([answer for answer in misread if answer.startswith("not ")]) == wrong
    assert f"<dd>{significant(shown['power_mw'])} mW</dd>" in text
    assert "<h2>Traffic</h2>" in text
