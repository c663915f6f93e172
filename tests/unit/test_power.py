"""The power model on constants that make exact sums: 1 V reference supply, round energies."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurocore.errors import UsageError
from neurocore.power import UNUSED, Activity, EnergyModel, PowerReport, PowerShares, estimate_power

MODEL = EnergyModel(
    reference_voltage=1.0,
    default_voltage=1.0,
    min_voltage=0.5,
    max_voltage=2.0,
    leakage_mw=0.5,
    leakage_exponent=3.0,
    neuron_update_pj=10.0,
    synaptic_event_pj=2.0,
    spike_pj=4.0,
    hop_pj=3.0,
    io_packet_pj=50.0,
    crossing_pj=800.0,
    accuracy=0.08,
    sources=("a paper",),
)

ACTIVITY = Activity(
    ticks=100,
    powered_cores_used=2,
    powered_cores_chip=15,
    neurons_per_core=11,
    synaptic_events=5000,
    spikes=400,
    hops=900,
    io_packets=60,
    io_hops=70,
    chip_crossings=8,
    core=np.array([3, 7]),
    core_synaptic_events=np.array([2000, 3000]),
    core_spikes=np.array([400, 0]),
    core_hops=np.array([900, 0]),
    population_names=("hidden", "digit"),
    population_neurons=np.array([12, 4]),
    population_spikes=np.array([150, 250]),
    population_synaptic_events=np.array([5000, 0]),
    population_hops=np.array([400, 500]),
    inferences=10,
)

JSON_FIELDS = {
    "total_mw",
    "leakage_mw",
    "neuron_mw",
    "synapse_mw",
    "routing_mw",
    "io_mw",
    "energy_per_spike_pj",
    "energy_per_synaptic_event_pj",
    "gsops",
    "gsops_per_watt",
    "voltage",
    "tick_hz",
    "powered_cores",
}
PARTS = ("leakage_mw", "neuron_mw", "synapse_mw", "routing_mw", "io_mw")


def dynamic_parts(report: PowerReport) -> dict[str, float]:
    return {name: getattr(report, name) for name in PARTS[1:]}


def test_each_part_is_count_times_energy() -> None:
    report = estimate_power(MODEL, ACTIVITY)
    per_second = 1000 / 100 * 1e-9
    assert report.leakage_mw == pytest.approx(2 * 0.5)
    assert report.neuron_mw == pytest.approx(2 * 11 * 10 * 1000 * 1e-9)
    assert report.synapse_mw == pytest.approx(5000 * 2 * per_second)
    assert report.routing_mw == pytest.approx((400 * 4 + 900 * 3) * per_second)
    assert report.crossing_mw == pytest.approx(8 * 800 * per_second)
    assert report.io_mw == pytest.approx((60 * 50 + 70 * 3 + 8 * 800) * per_second)
    assert report.total_mw == pytest.approx(sum(getattr(report, name) for name in PARTS))


def test_energies_are_total_energy_by_count() -> None:
    report = estimate_power(MODEL, ACTIVITY)
    energy_pj = report.total_mw * 1e9 * 0.1
    assert report.energy_per_spike_pj == pytest.approx(energy_pj / 400)
    assert report.energy_per_synaptic_event_pj == pytest.approx(energy_pj / 5000)
    assert report.energy_per_tick_nj == pytest.approx(energy_pj / 100 / 1e3)
    assert report.energy_per_inference_uj == pytest.approx(energy_pj / 10 / 1e6)
    assert report.gsops == pytest.approx(5000 / 0.1 / 1e9)
    assert report.gsops_per_watt == pytest.approx(report.gsops / (report.total_mw / 1e3))


def test_dynamic_power_goes_with_the_square_of_the_supply_and_leakage_with_its_power() -> None:
    activity = replace(ACTIVITY, chip_crossings=0)
    low, high = estimate_power(MODEL, activity), estimate_power(MODEL, activity, voltage=2.0)
    assert high.leakage_mw == pytest.approx(8 * low.leakage_mw)
    assert dynamic_parts(high) == pytest.approx({name: 4 * mw for name, mw in dynamic_parts(low).items()})


def test_chip_crossings_belong_to_the_io_supply() -> None:
    low, high = estimate_power(MODEL, ACTIVITY), estimate_power(MODEL, ACTIVITY, voltage=2.0)
    assert high.crossing_mw == low.crossing_mw > 0


def test_dynamic_power_goes_with_the_tick_rate_and_leakage_does_not() -> None:
    slow, fast = estimate_power(MODEL, ACTIVITY), estimate_power(MODEL, ACTIVITY, tick_hz=5000)
    assert fast.leakage_mw == slow.leakage_mw
    assert dynamic_parts(fast) == pytest.approx({name: 5 * mw for name, mw in dynamic_parts(slow).items()})
    assert fast.gsops == pytest.approx(5 * slow.gsops)


def test_whole_chip_pays_leakage_and_updates_of_every_core() -> None:
    used, chip = estimate_power(MODEL, ACTIVITY), estimate_power(MODEL, ACTIVITY, powered="chip")
    assert (used.powered_cores, used.idle_cores) == (2, 0)
    assert (chip.powered_cores, chip.idle_cores) == (15, 13)
    assert chip.total_mw == pytest.approx(used.total_mw + 13 * chip.idle_core_mw)
    assert chip.idle_core_mw == pytest.approx(0.5 + 11 * 10 * 1000 * 1e-9)
    assert chip.synapse_mw == used.synapse_mw


@pytest.mark.parametrize("powered", ["used", "chip"])
def test_cores_and_populations_add_up(powered: str) -> None:
    report = estimate_power(MODEL, ACTIVITY, powered=powered, voltage=0.7, tick_hz=300)
    without_io = pytest.approx(report.total_mw - report.io_mw)
    assert report.per_core.total_mw.sum() + report.idle_cores * report.idle_core_mw == without_io
    assert report.per_population.total_mw.sum() == without_io
    assert report.population == ("hidden", "digit", UNUSED)
    for name in PARTS[:-1]:
        assert getattr(report.per_population, name).sum() == pytest.approx(getattr(report, name))


def test_per_core_energies_are_undefined_where_nothing_was_counted() -> None:
    first, second = estimate_power(MODEL, ACTIVITY).as_dict()["per_core"]
    assert (first["core"], second["core"]) == (3, 7)
    assert first["energy_per_spike_pj"] == pytest.approx(first["total_mw"] * 1e9 * 0.1 / 400)
    assert second["energy_per_spike_pj"] is None
    assert second["energy_per_synaptic_event_pj"] == pytest.approx(second["total_mw"] * 1e9 * 0.1 / 3000)
    assert second["energy_per_inference_uj"] == pytest.approx(second["total_mw"] * 1e3 * 0.1 / 10)


@pytest.mark.parametrize("ticks", [0, 100])
def test_zero_counts_give_none(ticks: int) -> None:
    activity = Activity(
        ticks=ticks,
        powered_cores_used=2,
        powered_cores_chip=15,
        neurons_per_core=11,
        synaptic_events=0,
        spikes=0,
        hops=0,
    )
    report = estimate_power(MODEL, activity)
    assert report.energy_per_spike_pj is None
    assert report.energy_per_synaptic_event_pj is None
    assert report.energy_per_inference_uj is None
    assert report.gsops == 0
    assert report.total_mw == pytest.approx(2 * (0.5 + 11 * 10 * 1000 * 1e-9))
    assert (report.energy_per_tick_nj is None, report.gsops_per_watt is None) == (ticks == 0, ticks == 0)
    assert report.as_dict()["per_core"] == report.as_dict()["per_population"] == []


def test_json_has_the_fields_that_scripts_read() -> None:
    fields = estimate_power(MODEL, ACTIVITY).as_dict()
    assert set(fields) >= JSON_FIELDS
    assert json.loads(json.dumps(fields, allow_nan=False)) == fields
    assert fields["powered"] == "used"
    assert fields["sources"] == ["a paper"]
    assert [row["population"] for row in fields["per_population"]] == ["hidden", "digit", UNUSED]


def test_shares_are_read_only() -> None:
    shares: PowerShares = estimate_power(MODEL, ACTIVITY).per_core
    with pytest.raises(ValueError, match="read-only"):
        shares.total_mw[0] = 0


def test_report_prints_breakdown_scope_and_accuracy() -> None:
    report = estimate_power(MODEL, replace(ACTIVITY, inferences=None), powered="chip")
    assert str(report) == "\n".join(
        [
            "Power at 1 V, 1000 Hz tick (powered: whole chip, 15 cores)",
            "  leakage                          7.500 mW   100.0 %",
            "  neuron updates                0.001650 mW     0.0 %",
            "  synaptic events              0.0001000 mW     0.0 %",
            "  routing                     0.00004300 mW     0.0 %",
            "  I/O                         0.00009610 mW     0.0 %",
            "  total                            7.502 mW   100.0 %",
            "  energy per tick                  7,502 nJ",
            "  energy per spike             1,875,472 pJ",
            "  energy per synaptic event      150,038 pJ",
            "  energy per inference              none",
            "  synaptic events             0.00005000 GSOPS",
            "  efficiency                    0.006665 GSOPS/W",
            "The model is within ±8 % of the published measurements,"
            " which are of a whole chip with every core running.",
        ]
    )


def test_report_names_the_used_cores() -> None:
    one = estimate_power(MODEL, replace(ACTIVITY, powered_cores_used=1))
    assert str(one).startswith("Power at 1 V, 1000 Hz tick (powered: used cores, 1 core)\n")


VOLTAGE = "voltage is {} V; the energy model covers 0.5 V to 2 V: choose a supply within that range"
TICK = "tick rate is {} Hz; it must be finite and above 0: give another, or none for the chip's 1000 Hz"
POWERED = (
    "powered is 'all'; it must be 'used' or 'chip':"
    " choose 'used' for the cores that hold a configured neuron, 'chip' for all cores"
)


@pytest.mark.parametrize(
    ("arguments", "problems"),
    [
        ({"voltage": 0.49}, [VOLTAGE.format("0.49")]),
        ({"voltage": 2.1}, [VOLTAGE.format("2.1")]),
        ({"voltage": float("nan")}, [VOLTAGE.format("nan")]),
        ({"tick_hz": 0}, [TICK.format("0")]),
        ({"tick_hz": -1.5}, [TICK.format("-1.5")]),
        ({"tick_hz": float("inf")}, [TICK.format("inf")]),
        ({"tick_hz": float("nan")}, [TICK.format("nan")]),
        ({"powered": "all"}, [POWERED]),
        (
            {"voltage": 3, "tick_hz": 0, "powered": "all"},
            [VOLTAGE.format("3"), TICK.format("0"), POWERED],
        ),
    ],
)
def test_arguments_out_of_range(arguments: dict[str, Any], problems: list[str]) -> None:
    with pytest.raises(UsageError) as caught:
        estimate_power(MODEL, ACTIVITY, **arguments)
    assert list(caught.value.problems) == problems


@pytest.mark.parametrize("voltage", [0.5, 2.0])
def test_ends_of_the_supply_range_are_allowed(voltage: float) -> None:
    assert estimate_power(MODEL, ACTIVITY, voltage=voltage).voltage == voltage


@given(
    ticks=st.integers(1, 10**6),
    events=st.integers(0, 10**12),
    spikes=st.integers(0, 10**9),
    voltage=st.floats(0.5, 2.0),
    tick_hz=st.floats(1.0, 1e5),
)
def test_total_is_the_sum_and_energies_follow_from_it(
    ticks: int, events: int, spikes: int, voltage: float, tick_hz: float
) -> None:
    activity = replace(ACTIVITY, ticks=ticks, synaptic_events=events, spikes=spikes)
    report = estimate_power(MODEL, activity, voltage=voltage, tick_hz=tick_hz)
    assert report.total_mw == pytest.approx(sum(getattr(report, name) for name in PARTS))
    energy_pj = report.total_mw * 1e9 * ticks / tick_hz
    for count, per in ((spikes, report.energy_per_spike_pj), (events, report.energy_per_synaptic_event_pj)):
        assert (per is None) if count == 0 else per == pytest.approx(energy_pj / count)
