"""compile --quantise, --sample and --report, and import nir, as a user calls them; the counts of the report are the chip's."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

from neurocore.chipfile import load_chip
from neurocore.compiler.meshmap import mesh_map
from neurocore.compiler.network import Network
from neurocore.compiler.pipeline import compile_with_report, estimate_network
from neurocore.compiler.report import CoreUse
from neurocore.compiler.reporttext import report_text
from neurocore.traffic import link_loads
from nir_files import maps

NETWORK = """\
network: example
quantise: {weight_bits: 4}
inputs:
  pixels: {shape: [6]}
populations:
  hidden: {shape: [4], neuron: {threshold: 1.5, leak: -0.05, reset_mode: linear, floor: 1.5}}
  out: {shape: [2], neuron: {threshold: 2}}
projections:
  - {source: pixels, target: hidden, weights: w.npy}
  - {source: hidden, target: out, weights: {all_to_all: 1}, delay: 2}
  - {source: hidden, target: hidden, edges: [[0, 1, -0.25], [1, 0, 0.5, 3]]}
outputs:
  class: {source: out}
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "net.yaml").write_text(
        NETWORK.replace("[[0, 1, -0.25], [1, 0, 0.5, 3]]", "[[0, 1, -0.25], [1, 0, 0.5]]")
    )
    np.save(tmp_path / "w.npy", np.random.default_rng(1).normal(0.3, 0.5, (6, 4)))
    (tmp_path / "in.csv").write_text("tick,line\n" + "".join(f"{t},{t * k % 6}\n" for t in range(60) for k in (1, 5)))
    return tmp_path


def test_a_network_that_asks_for_it_is_quantised(folder: Path, command) -> None:
    fields = command("compile", "net.yaml", "-o", "c.h5", "--sample", "in.csv", "--report", "r.json", "--json").json
    loss = {item["name"]: item for item in fields["quantisation"]["populations"]}
    assert set(loss) == {"hidden"}, "out is whole"
    assert 0 < loss["hidden"]["weight_error"] < 0.1
    assert fields["quantisation"]["method"] == "weight_bits=4"
    assert any("W-QUANTISED" in warning for warning in fields["warnings"])
    assert [item["name"] for item in fields["effect"]["populations"]] == ["hidden", "out"]
    written = json.loads((folder / "r.json").read_text())
    assert written["populations"] == fields["populations"]
    assert len(written["core_list"]) == fields["cores"]
    checked = command("verify", "net.yaml", "c.h5", "--input", "in.csv", "--ticks", "70", "--json").json
    assert checked["equal"]
    assert checked["spikes_compared"] > 5


def test_the_option_goes_before_the_file_and_verify_remembers_it(folder: Path, command) -> None:
    fields = command("compile", "net.yaml", "-o", "c.h5", "--quantise", "levels=3", "--json").json
    assert fields["quantisation"]["method"] == "levels=3"
    assert fields["quantisation"]["populations"][0]["levels"] <= 3
    assert command("verify", "net.yaml", "c.h5", "--input", "in.csv", "--ticks", "70", "--json").json["equal"]
    estimate = command("compile", "net.yaml", "--estimate", "--quantise", "fit", "--json").json
    assert estimate["quantisation"]["method"] == "fit"


def test_without_it_the_refusal_names_it(folder: Path, command) -> None:
    (folder / "net.yaml").write_text((folder / "net.yaml").read_text().replace("quantise: {weight_bits: 4}\n", ""))
    err = command("compile", "net.yaml", "-o", "c.h5", code=3).err
    assert (
        "population 'hidden': threshold is 1.5, which is not a whole number; make it one or, for weights and parameters of"
        " neurons, use --quantise fit" in err
    )


@pytest.mark.parametrize("method", ["{weight_bits: 12}", "coarsely", "{levels: 2, fit: 3}"])
def test_methods_are_checked_where_they_stand(folder: Path, command, method: str) -> None:
    (folder / "net.yaml").write_text((folder / "net.yaml").read_text().replace("{weight_bits: 4}", method))
    err = command("compile", "net.yaml", "-o", "c.h5", code=3).err
    assert "net.yaml:2:" in err
    assert "quantise: " in err


def test_the_text_report(folder: Path, command) -> None:
    fields = command("compile", "net.yaml", "-o", "c.h5", "--sample", "in.csv", "--report", "r.txt", "--json").json
    text = (folder / "r.txt").read_text()
    heads = (
        "compilation",
        "populations",
        "cores",
        "quantisation: weight_bits=4",
        "effect on the sample input, 75 ticks",
    )
    for head in (
        *heads,
        "network example: 6 neurons",
        "partition: 1 core",
        "routing: 1 core",
        "placement of 1 core",
    ):
        assert f"\n{head}" in f"\n{text}", head
    table = text.split("populations\n")[1].split("\n\n")[0].splitlines()
    hidden = next(line for line in table if line.split()[0] == "hidden")
    assert hidden.split()[1:4] == ["4", str(fields["quantisation"]["populations"][0]["kept"]), "1"]
    assert hidden.rstrip().endswith("%")
    assert next(line for line in table if line.split()[0] == "out").rstrip().endswith("exact")


def test_importing_a_graph_is_compiling_it(tmp_path: Path, command) -> None:
    path = maps(tmp_path / "a.nir", "SumPool2d")
    compiled = command("compile", path, "-o", str(tmp_path / "c.h5"), "--json").json
    imported = command(
        "import", "nir", path, "-o", str(tmp_path / "i.h5"), "--spikes", str(tmp_path / "s.npz"), "--json"
    ).json
    assert (tmp_path / "c.h5").read_bytes() == (tmp_path / "i.h5").read_bytes()
    assert imported["quantisation"] == compiled["quantisation"]
    assert imported["latency_ticks"] == compiled["latency_ticks"]
    assert (tmp_path / "s.npz").exists()
    err = command("import", "nir", path, path, "-o", str(tmp_path / "i.h5"), code=2).err
    assert "Give one GRAPH.nir." in err


def layered(**first: int) -> Network:
    """Wide fan-out, so that there are copies and relays, and two populations in one core."""
    rng = np.random.default_rng(0)
    net = Network("layered")
    x = net.input("x", 40)
    one = net.population("first", 60, threshold=3, **first)
    second = net.population("second", 700, threshold=2)
    third = net.population("third", 5, threshold=2)
    net.connect(x, one, rng.integers(0, 2, (40, 60)))
    net.connect(one, second, rng.integers(0, 2, (60, 700)))
    net.connect(second, third, edges=[(k, k % 5, 1) for k in range(0, 700, 7)])
    net.output("third", third)
    net.output("first", one)
    return net


def test_the_counts_are_those_of_the_chip() -> None:
    chip, report = compile_with_report(layered())
    assert report.use is not None
    use = {item.name: item for item in report.use.populations}
    assert sum(item.copies for item in use.values()) == report.copies
    assert sum(item.relays for item in use.values()) == report.relays
    assert use["first"].copies + use["first"].relays > 100
    assert use["third"].copies + use["third"].relays == 0
    assert sum(core.axons for core in report.use.cores) == report.axons
    assert sum(core.neurons for core in report.use.cores) == 765
    assert sum(core.copies + core.relays for core in report.use.cores) == report.copies + report.relays
    assert sum(report.use.limits.values()) == report.cores == len(chip.cores)


def test_the_busiest_link_is_that_of_the_expected_packets() -> None:
    chip, report = compile_with_report(layered())
    assert report.use is not None
    cores, arch = chip.cores, chip.architecture
    row, slot = np.nonzero(cores.target_core >= 0)
    packets = np.full(len(row), 50)
    loads = link_loads(cores.core[row], cores.target_core[row, slot], packets, arch.columns, arch.rows)
    # Every neuron, copy and relay is expected to spike at the default rate of 0.05 a tick.
    most = max(int(side.max()) for side in loads) / 1000
    assert report.use.mesh.busiest_link_packets_per_tick == pytest.approx(most, rel=1e-4)
    assert report.use.mesh.chip_crossings_per_tick == 0
    assert re.search(rf"busiest link +{re.escape(report.use.mesh.busiest_link)}, \d", report_text(report, ".txt"))
    (x, y), (x1, y1) = (map(int, place.strip("()").split(", ")) for place in report.use.mesh.busiest_link.split(" to "))
    side = ((1, 0), (-1, 0), (0, 1), (0, -1)).index((x1 - x, y1 - y))
    assert loads[side][y, x] / 1000 == pytest.approx(most)


def test_a_single_core_has_no_busiest_link() -> None:
    net = Network("one")
    net.connect(net.input("x", 2), net.population("p", 2), all_to_all=1)
    _, report = compile_with_report(net)
    assert report.use is not None
    assert (report.use.mesh.busiest_link, report.use.mesh.busiest_link_packets_per_tick) == ("", 0)
    text = report_text(report, ".txt")
    assert re.search(r"\n  busiest link +none: no packet is expected to cross a link of the mesh\n", text)


def test_fill_and_hops_are_those_of_the_chip() -> None:
    # Neurons that draw random numbers cannot be copied, so relays carry their spikes.
    chip, report = compile_with_report(layered(threshold_mask_bits=1))
    use, cores, arch = report.use, chip.cores, chip.architecture
    assert use is not None
    assert (use.network, use.chip, use.n_cores) == ("layered", "truenorth", 4096)
    for number, item in enumerate(use.populations):
        rows = np.flatnonzero((cores.population == number).any(axis=1))
        assert item.neuron_fill == pytest.approx(cores.configured[rows].mean(), abs=1e-4)
        assert item.axon_fill == pytest.approx(cores.crossbar[rows].any(axis=2).mean(), abs=1e-4)
    row, slot = np.nonzero(cores.target_core >= 0)
    target = cores.target_core[row, slot]
    (y0, x0), (y1, x1) = np.divmod(cores.core[row], arch.columns), np.divmod(target, arch.columns)
    hops = np.sort(np.abs(x0 - x1) + np.abs(y0 - y1))
    # All neurons are expected to spike equally often.
    wanted = [int(hops[int(np.ceil(share * len(hops))) - 1]) for share in (0.5, 0.9, 1.0)]
    assert [use.mesh.hops_of_half, use.mesh.hops_of_nine_tenths, use.mesh.most_hops] == wanted
    assert use.mesh.mean_hops == pytest.approx(hops.mean())
    relaying = [core for core in use.cores if core.relays]
    assert {name for core in relaying for name in core.relays_of} == {"first"}
    assert use.relay_cores == sum(not core.populations for core in relaying)


class Tables(HTMLParser):
    """The cells of every table of a page, its lists, titles and numbers of its map, and tags that are open."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.items: list[str] = []
        self.titles: list[str] = []
        self.labels: list[str] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag != "meta":
            self.open.append(tag)
        if tag == "tr":
            self.rows.append([])

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] in ("td", "th"):
            self.rows[-1].append(data)
        elif self.open and self.open[-1] == "li":
            self.items.append(data)
        elif self.open and self.open[-1] == "text":
            self.labels.append(data)
        elif self.open and self.open[-2:] == ["rect", "title"]:
            self.titles.append(data)


def test_the_page_has_all_tables_and_a_map(folder: Path, command) -> None:
    """Names are escaped, every tag is closed, every core is on the map."""
    text = (folder / "net.yaml").read_text()
    (folder / "net.yaml").write_text(text.replace("network: example", "network: a <b> & c"))
    fields = command("compile", "net.yaml", "-o", "c.h5", "--report", "r.html", "--json").json
    page = Tables()
    page.feed((folder / "r.html").read_text())
    assert page.open == []
    known = {row[0]: row for row in page.rows if row}
    assert known["network"][1] == "a <b> & c"
    assert known["chip"][1].startswith("truenorth, 1 of 4,096 cores used")
    assert known["hidden"][1] == "4"
    assert known["time"][1].split(": ")[1].count("%") == len(fields["seconds"])
    assert len(page.titles) == fields["cores"] == 1
    assert (
        page.titles[0].endswith("hidden, out; 6 neurons, 0 copies, 0 relays, 14 axons")
        or "hidden, out; 6 " in page.titles[0]
    )


def test_the_page_lists_losses_and_warnings(folder: Path, command) -> None:
    """Each is an item that wraps; in preformatted text long ones would run out of the page. Losses are said once."""
    text = (folder / "net.yaml").read_text()
    (folder / "net.yaml").write_text(text.replace("{shape: [6]}", "{shape: [6]}\n  idle: {shape: [2]}"))
    fields = command("compile", "net.yaml", "-o", "c.h5", "--sample", "in.csv", "--report", "r.html", "--json").json
    text = (folder / "r.html").read_text()
    page = Tables()
    page.feed(text)
    assert "<pre>" not in text
    losses, unused = fields["warnings"]
    assert (losses.split()[0], unused.split()[0]) == ("W-QUANTISED", "W-UNUSED")
    assert [item for item in page.items if item in fields["warnings"]] == [unused]
    assert any(item.startswith("hidden: weights ") for item in page.items)
    assert any(item.startswith("out: ") and "spikes before" in item for item in page.items)


SVG = "{http://www.w3.org/2000/svg}"


def core_at(x: int, y: int) -> CoreUse:
    return CoreUse(x, y, 1, 0, 0, 1, ("p",), "none", ())


@pytest.mark.parametrize(
    ("corners", "rows", "columns"),
    [
        (((3, 7), (3, 7)), ["7"], ["3"]),
        (((0, 9), (2, 12)), ["10", "12"], ["0", "2"]),
        (((0, 0), (63, 63)), [str(n) for n in range(0, 64, 5)], [str(n) for n in range(0, 64, 5)]),
        (((100, 40), (355, 60)), ["40", "45", "50", "55", "60"], [str(n) for n in range(100, 356, 5)]),
    ],
)
def test_the_map_has_axes(corners: Any, rows: list[str], columns: list[str]) -> None:
    """Round numbers of columns and of rows, each beside its cores; rows grow upwards."""
    drawn = ElementTree.fromstring(mesh_map(tuple(core_at(*corner) for corner in corners)))
    texts = [(item.get("text-anchor"), item.text, item) for item in drawn.iter(SVG + "text")]
    assert [text for anchor, text, _ in texts if anchor == "end"] == rows
    named = [text for _, text, _ in texts if text in ("column (x)", "row (y)")]
    assert named == ["column (x)", "row (y)"]
    assert [text for anchor, text, _ in texts if anchor == "middle" and text != "row (y)"] == columns
    for square, (x, y) in zip(drawn.iter(SVG + "rect"), corners, strict=True):
        size = float(square.get("width", "")) + 1
        for anchor, axis, value in (("end", "y", y), ("middle", "x", x)):
            at = [float(item.get(axis, "")) for kind, text, item in texts if (kind, text) == (anchor, str(value))]
            begin = float(square.get(axis, ""))
            assert all(begin <= place <= begin + size + 4 for place in at)


def test_the_title_of_a_single_row_is_not_cut_off() -> None:
    turned = re.search(r"translate\(\S+ (\S+)\) rotate", mesh_map((core_at(7, 3),)))
    assert turned is not None
    assert float(turned.group(1)) >= 20


def test_the_largest_map_fits_a_screen() -> None:
    drawn = ElementTree.fromstring(mesh_map((core_at(0, 0), core_at(63, 63))))
    assert (int(drawn.get("width", "")), int(drawn.get("height", ""))) <= (700, 700)


def test_the_map_has_a_text_alternative() -> None:
    cores = (core_at(0, 0), core_at(0, 1), CoreUse(1, 0, 0, 0, 3, 1, (), "none", ("p",)))
    told = ElementTree.fromstring(mesh_map(cores)).find(SVG + "desc")
    assert told is not None
    assert told.text == "2 cores with room left, 1 core of relays alone"


@pytest.mark.parametrize("name", ["r.foo", "r", "r.html.bak"])
def test_a_report_of_no_known_kind_is_refused(folder: Path, command, name: str) -> None:
    """Before any work, and nothing is written."""
    refused = command("compile", "net.yaml", "-o", "c.h5", "--report", name, code=2)
    assert f"'{name}': the name of a report ends in .html, .htm, .json, .txt." in refused.err
    assert not (folder / "c.h5").exists()
    assert not (folder / name).exists()


def test_options_that_would_do_nothing(folder: Path, command) -> None:
    """--ticks without a sample, and what an estimate neither measures nor writes."""
    for rest in (("-o", "c.h5"), ("--estimate",)):
        refused = command("compile", "net.yaml", *rest, "--ticks", "5", code=2)
        assert "--ticks is how long the --sample runs" in refused.err
    refused = command("compile", "net.yaml", "--estimate", "--sample", "in.csv", code=2)
    assert "An --estimate measures nothing; leave out --sample." in refused.err
    for option, name in (("-o", "c.h5"), ("--report", "r.html")):
        assert "an --estimate writes nothing" in command("compile", "net.yaml", "--estimate", option, name).err
        assert not (folder / name).exists()
    assert "an --estimate writes nothing" not in command("compile", "net.yaml", "--estimate").err


def test_one_of_a_kind_is_singular(folder: Path, cli) -> None:
    (folder / "one.yaml").write_text(
        "network: one\ninputs:\n  x: {shape: [1]}\npopulations:\n  a: {shape: [1]}\n  b: {shape: [300]}\n"
        "projections:\n  - {source: x, target: a, weights: {all_to_all: 1}}\n"
        "  - {source: a, target: b, weights: {all_to_all: 1}}\noutputs:\n  b: {source: b}\n"
    )
    (folder / "one.csv").write_text("tick,line\n0,0\n")
    said = [
        cli("compile", "one.yaml", "-o", "one.h5").out,
        cli("inspect", "one.h5").out,
        cli("verify", "one.yaml", "one.h5", "--ticks", "1").out,
        cli("run", "one.h5", "--input", "one.csv", "--ticks", "1", "-o", "r.h5").out,
        cli("power", "r.h5").out,
        cli("traffic", "r.h5").out,
        str(load_chip("one.h5")),
    ]
    assert not re.search(
        r"(?<![\d.,])1 (ticks|threads|cores|neurons|synapses|inputs|outputs|spikes|hops)\b", "\n".join(said)
    )
    assert "in 1 tick, latency" in said[2]
    assert ", 1 input, 300 outputs, " in said[-1]


@pytest.mark.parametrize(
    ("rates", "said", "unrated"),
    [
        ({}, "0.05 spikes per tick of all", ["x", "first", "second", "third"]),
        (
            {"x": 0.2, "first": 0.1},
            "the network's spike_rates and 0.05 spikes per tick of 'second', 'third', for which spike_rates has none",
            ["second", "third"],
        ),
        ({"x": 0.2, "first": 0.1, "second": 0.1, "third": 0.0}, "the network's spike_rates", []),
    ],
)
def test_the_rates_that_packets_are_expected_at_are_said(
    rates: dict[str, float], said: str, unrated: list[str]
) -> None:
    net = layered()
    net.spike_rates.update(rates)
    _, report = compile_with_report(net)
    assert report.rates_text == said
    fields = report.as_dict()
    assert (fields["assumed_rate"], fields["assumed_rate_of"]) == (0.05, unrated)
    assert f"a tick expected, inputs included, at {said}\n" in report_text(report, ".txt")
    assert estimate_network(net).rates_text == said


def test_compile_prints_the_rates(folder: Path, cli) -> None:
    said = cli("compile", "net.yaml", "-o", "c.h5").out
    assert "per tick expected, inputs included, at 0.05 spikes per tick of all\n" in said
