"""Dilated ticks that are longer than their bursts, so that cycles have time for the relays on them."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from neurocore.architecture import Architecture, Grid, Range, Reach
from neurocore.compiler.compilereport import CompileReport
from neurocore.compiler.network import Network
from neurocore.compiler.pipeline import compile_with_report, estimate_network
from neurocore.compiler.slack import MOST_SLACK, NoTimeError, next_slack
from neurocore.compiler.verify import verify
from neurocore.config import ChipConfig
from neurocore.emulator import Emulator
from neurocore.errors import FitError
from neurocore.spikes import Spikes
from random_networks import larger, random_spikes, wide_chip, wide_network


def row(columns: int, reach: int) -> Architecture:
    """Five rows of wide cores, whose packets travel ``reach`` cores in either direction."""
    wide, near = wide_chip(), Range(min=-reach, max=reach)
    routing = wide.routing.model_copy(update={"reach": Reach(dx=near, dy=near)})
    return wide.model_copy(update={"mesh": Grid(columns=columns, rows=5), "routing": routing})


def loop(reset_mode: str = "value") -> Network:
    """Neurons that read more lines than a core has axons, and each other by way of two more."""
    rng = np.random.default_rng(1)
    net = Network("loop")
    lines, wide = (
        net.input("in", 50),
        net.population("wide", 3, threshold=4 if reset_mode == "value" else 2, floor=9, reset_mode=reset_mode),
    )
    back = net.population("back", 2, threshold=1)
    net.connect(lines, wide, rng.choice([-1, 1, 1], (50, 3)))
    net.connect(wide, back, [[1, 0], [0, 1], [1, 0]])
    net.connect(back, wide, [[1, 1, -1], [-1, 1, 1]])
    net.output("wide", wide)
    return net


def compiled_apart(
    net: Network, arch: Architecture, far: str, x: int, path: Path
) -> tuple[ChipConfig, CompileReport, CompileReport]:
    """A chip on which the cores that hold a population ``far`` lie in column x, and the reports before and after that."""
    _, report = compile_with_report(net, arch, fan_in="dilate")
    assert report.placement is not None
    held = re.findall(r"core: (\d+).*holds: (.*)}", report.placement(False))
    at = {int(core): (x if far in text else 0) + int(core) // 3 for core, text in held if "relays" not in text}
    lines = [f"  - {{core: {core}, at: [{column}, {core % 3}]}}" for core, column in at.items()]
    path.write_text("\n".join(["rest: place", "cores:", *lines]))
    chip, again = compile_with_report(net, arch, fan_in="dilate", placement=path)
    return chip, report, again


def assert_equal(net: Network, chip: ChipConfig, spikes: Spikes, ticks: int) -> None:
    """The chip is proved, and gives the network's spikes."""
    verdict = verify(net, chip, spikes, ticks, lambda *run: Emulator(run[0]).run(*run[1:]).spikes)
    assert verdict.equal, verdict
    assert not verdict.cause
    assert verdict.spikes_compared > 10


def test_cycles_of_the_network_get_time_for_relays_on_far_ways(tmp_path: Path) -> None:
    net = loop()
    chip, near, apart = compiled_apart(net, row(60, 2), "back", 56, tmp_path / "places.yaml")
    assert (near.dilation_slack, near.stations) == (0, 0)
    assert apart.dilation_slack > 0
    assert chip.dilation == apart.dilation == near.dilation + apart.dilation_slack
    assert apart.as_dict()["dilation_slack"] == apart.dilation_slack
    assert apart.warnings[0] == (
        f"W-DILATED a tick of the network takes {apart.dilation} ticks of the chip, {apart.dilation_slack} of them for relays"
        " on its cycles"
    )
    assert_equal(net, chip, random_spikes(net, 3, 40), 40)


def test_resets_of_counted_neurons_get_time_as_well(tmp_path: Path) -> None:
    net = loop("linear")
    chip, near, apart = compiled_apart(net, row(20, 2), "wide.reset", 18, tmp_path / "places.yaml")
    assert near.dilation_slack == 0
    assert apart.dilation_slack > 0
    ticks = min(40, apart.exact_ticks or 40)
    assert_equal(net, chip, random_spikes(net, 3, ticks), ticks)


def test_cycles_get_time_for_the_relays_of_their_fan_out() -> None:
    """Neurons with more targets than a core has room for copies."""
    arch = larger(wide_chip(), 16, 16)
    net = wide_network(arch, 113)
    chip, report = compile_with_report(net, arch, fan_in="dilate")
    assert report.dilation_slack == estimate_network(net, arch, fan_in="dilate").dilation_slack == 4
    assert report.warnings[-1].endswith(f"takes {chip.dilation} ticks of the chip, 4 of them for relays on its cycles")
    tick, line = np.nonzero(np.random.default_rng(1).random((20, chip.n_inputs)) < 0.6)
    assert_equal(net, chip, Spikes.from_lines(tick, line), 20)


def test_what_a_longer_tick_leads_to_is_said() -> None:
    arch = wide_chip()
    with pytest.raises(FitError) as caught:
        compile_with_report(wide_network(arch, 113), arch, fan_in="dilate")
    assert re.search(
        r"^E-CYCLE 'p0' -> .* has 4 ticks less delay than its relays need: .* or give its neurons fewer targets; with 20 ticks of"
        r" the chip to one of the network instead of 16, E-CAP network 'wide113' needs 128 cores; 'small' has 65 \(63 over\)",
        str(caught.value),
    )


def test_ticks_are_lengthened_up_to_a_limit(tmp_path: Path) -> None:
    with pytest.raises(FitError) as caught:
        compiled_apart(loop(), row(160, 2), "back", 156, tmp_path / "places.yaml")
    assert re.search(
        r"^E-REACH the spikes of \S+ need \d+ more ticks .* on the cycle '.*', which leaves \d+ too few\. .*; without the"
        rf" given placement all cores find their places; a tick of the network would have to be more than {MOST_SLACK}"
        r" ticks of the chip longer than its bursts, which is the limit$",
        str(caught.value),
    )
    assert not isinstance(caught.value, NoTimeError)


def test_steps_grow() -> None:
    """What is missing is added at once, and no less than half of what was not enough."""
    error = NoTimeError("E-CYCLE", 3)
    assert [next_slack(slack, error) for slack in (0, 3, 8, 20)] == [3, 6, 12, 30]
    assert next_slack(MOST_SLACK - 3, error) == MOST_SLACK
    with pytest.raises(FitError, match=f"more than {MOST_SLACK} ticks of the chip longer"):
        next_slack(MOST_SLACK - 2, error)
