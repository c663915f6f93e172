"""Runs one network in one of the simulators that compare_speed.py compares; a process of its own, with the simulator's Python.

    peer_simulators.py {brian2|nest|sanafe} NETWORK.npz TICKS FOLDER

Builds the network, prints one JSON line {"build_seconds"}, then for every line on stdin simulates TICKS ticks on one thread
and prints {"seconds", "spikes", "ticks"}. The network is arrays: ``source``, ``target``, ``weight``, ``delay`` per synapse;
``threshold``, ``leak``, ``chance`` (of a step of ``leak``; 1 if it is certain), ``initial`` per neuron; ``linear`` (reset by
subtraction, no floor) or reset to 0 with a floor at 0; ``neurons_per_core``. Needs NumPy and the simulator, not neurocore.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

Network = dict[str, Any]
Runner = Callable[[], tuple[float, float]]
"""Simulates the ticks; returns seconds and spikes."""


def build_brian2(network: Network, ticks: int, folder: str) -> Runner:
    """C++ standalone mode, one thread, 32-bit membranes; the binary is compiled once, and starts anew for every run."""
    import brian2 as b2

    b2.set_device("cpp_standalone", directory=folder, build_on_run=False)
    b2.prefs.core.default_float_dtype = np.float32
    b2.defaultclock.dt = 1 * b2.ms
    linear = bool(network["linear"])
    model = "v : 1\ntheta : 1 (constant)\nleak : 1 (constant)\nchance : 1 (constant)"
    reset = "v -= theta" if linear else "v = 0"
    group = b2.NeuronGroup(len(network["threshold"]), model, threshold="v >= theta", reset=reset)
    step = "leak" if (network["chance"] == 1).all() else "leak * int(rand() < chance)"
    group.run_regularly(f"v = v + {step}" if linear else f"v = clip(v + {step}, 0, inf)", when="groups")
    every = []
    for delay in np.unique(network["delay"]):  # A pathway per delay: no delay is stored per synapse.
        chosen = network["delay"] == delay
        synapses = b2.Synapses(group, group, "w : 1", on_pre="v_post += w", delay=(float(delay) - 1) * b2.ms)
        synapses.connect(i=network["source"][chosen], j=network["target"][chosen])
        synapses.w = network["weight"][chosen]
        every.append(synapses)
    for name, key in (("theta", "threshold"), ("leak", "leak"), ("chance", "chance"), ("v", "initial")):
        setattr(group, name, network[key])
    monitor = b2.SpikeMonitor(group, record=False)
    running = b2.Network(group, monitor, *every)
    # Leak, threshold, reset, then what spikes brought: a delay of d ticks is one of d - 1 here.
    running.schedule = ["start", "groups", "thresholds", "resets", "synapses", "end"]
    running.run(ticks * b2.ms)
    b2.device.build(directory=folder, compile=True, run=False, debug=False)

    def run() -> tuple[float, float]:
        b2.device.run(directory=folder, with_output=False, run_args=[])
        return float(b2.device._last_run_time), float(monitor.num_spikes)

    return run


def build_nest(network: Network, ticks: int, folder: str) -> Runner:
    """``iaf_psc_delta`` without decay, one thread, steps of 1 ms.

    NEST resets to a value only, so a linear reset loses the part of the membrane above threshold. A stochastic leak is a noise
    generator with the same mean and variance a tick, Gaussian instead of 0 or 1.
    """
    import nest

    nest.ResetKernel()
    nest.SetKernelStatus({"resolution": 1.0, "local_num_threads": 1, "print_time": False})
    chance, leak = network["chance"], network["leak"].astype(float)
    fixed = {
        "C_m": 1.0,
        "tau_m": 1e9,
        "E_L": 0.0,
        "V_reset": 0.0,
        "t_ref": 0.0,
        "V_min": -1e6 if network["linear"] else 0.0,
    }
    certain = (chance == 1).all()
    neurons = nest.Create("iaf_psc_delta", len(leak), params={**fixed, "V_th": float(network["threshold"][0])})
    neurons.set(V_th=network["threshold"].astype(float), V_m=network["initial"].astype(float))
    if certain:
        neurons.set(I_e=leak)
    else:
        p = float(chance[0])
        noise = nest.Create("noise_generator", params={"mean": p, "std": (p * (1 - p)) ** 0.5, "dt": 1.0})
        nest.Connect(noise, neurons)
    ids = np.array(neurons.tolist())
    nest.Connect(
        ids[network["source"]],
        ids[network["target"]],
        "one_to_one",
        {"weight": network["weight"].astype(float), "delay": network["delay"].astype(float)},
    )
    nest.Prepare()

    def run() -> tuple[float, float]:
        begun = time.perf_counter()
        nest.Run(float(ticks))
        seconds = time.perf_counter() - begun
        return seconds, float(nest.GetKernelStatus("local_spike_counter"))  # of this call of Run

    return run


SANAFE_DELAYS = 6
SANAFE_ARCHITECTURE = """
architecture:
  name: mesh
  attributes: {{topology: mesh, width: {width}, height: {height}, link_buffer_size: 1, sync_model: fixed, latency_sync: 0.0}}
  tile:
    - name: tile[0..{last}]
      attributes: {{energy_north_hop: 0.0, latency_north_hop: 0.0, energy_east_hop: 0.0, latency_east_hop: 0.0,
        energy_south_hop: 0.0, latency_south_hop: 0.0, energy_west_hop: 0.0, latency_west_hop: 0.0}}
      core:
        - name: core
          attributes: {{buffer_position: dendrite, buffer_inside_unit: false, max_neurons_supported: {neurons}}}
          axon_in: [{{name: in, attributes: {{energy_message_in: 0.0, latency_message_in: 0.0}}}}]
          synapse: [{{name: synapses, attributes: {{model: current_based, energy_process_spike: 0.0,
            latency_process_spike: 0.0}}}}]
          dendrite: [{{name: dendrites, attributes: {{model: accumulator_with_delay, energy_update: 0.0,
            latency_update: 0.0}}}}]
          soma: [{{name: soma, attributes: {{model: leaky_integrate_fire, energy_access_neuron: 0.0,
            latency_access_neuron: 0.0, energy_update_neuron: 0.0, latency_update_neuron: 0.0, energy_spike_out: 0.0,
            latency_spike_out: 0.0}}}}]
          axon_out: [{{name: out, attributes: {{energy_message_out: 0.0, latency_message_out: 0.0}}}}]
"""


def build_sanafe(network: Network, ticks: int, folder: str) -> Runner:
    """Somas ``leaky_integrate_fire`` without decay, the simple timing model, one thread, no traces.

    It knows delays of 2 to 7 ticks (0 to 5 of its own), into which the network's are folded, and cannot be given membranes to
    start from, so that the neurons begin in step; the work of a mean tick is the same.
    Raises ValueError for a stochastic leak, for which there is no neuron model.
    """
    import sanafe

    if not (network["chance"] == 1).all():
        raise ValueError("SANA-FE has no stochastic leak")
    per_core, n = int(network["neurons_per_core"]), len(network["threshold"])
    cores = n // per_core
    path = os.path.join(folder, "architecture.yaml")
    with open(path, "w", encoding="utf-8") as stream:
        stream.write(SANAFE_ARCHITECTURE.format(width=cores, height=1, last=cores - 1, neurons=per_core))
    arch = sanafe.load_arch(path)
    net = sanafe.Network()
    units = {"soma_hw_name": "soma", "default_synapse_hw_name": "synapses", "default_dendrite_hw_name": "dendrites"}
    reset = {"reset_mode": "soft"} if network["linear"] else {"reset_mode": "hard", "reset": 0.0}
    floor = (
        {} if network["linear"] else {"reverse_threshold": 0.0, "reverse_reset": 0.0, "reverse_reset_mode": "saturate"}
    )
    common = {"leak_decay": 1.0, "force_update": True, **reset, **floor}
    group = net.create_neuron_group("n", n, common, **units)
    for index, neuron in enumerate(group):
        # It fires above the threshold, not at it; all values here are whole.
        own = {"bias": float(network["leak"][index]), "threshold": float(network["threshold"][index]) - 0.5}
        # A dendrite that is not updated keeps what is delayed.
        neuron.set_attributes(model_attributes=own, dendrite_attributes={"force_update": True})
        neuron.map_to_core(arch.tiles[index // per_core].cores[0])
    attributes = {"weight": network["weight"].astype(float), "delay": network["delay"].astype(int) % SANAFE_DELAYS}
    pairs = np.stack([network["source"], network["target"]], axis=1)
    group.connect_neurons_sparse(group, {key: list(values) for key, values in attributes.items()}, pairs.tolist())
    chip = sanafe.SpikingChip(arch)
    chip.load(net)

    def run() -> tuple[float, float]:
        begun = time.perf_counter()
        result = chip.sim(ticks, timing_model="simple", processing_threads=1, scheduler_threads=0)
        return time.perf_counter() - begun, float(result["neurons_fired"])

    return run


BUILDERS = {"brian2": build_brian2, "nest": build_nest, "sanafe": build_sanafe}


def main() -> None:
    name, path, ticks, folder = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]
    # Simulators print on stdout what they like; the answers keep the real one.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    with np.load(path) as file:
        network = {key: file[key] for key in file.files}
    begun = time.perf_counter()
    run = BUILDERS[name](network, ticks, folder)
    print(json.dumps({"build_seconds": time.perf_counter() - begun}), file=answers, flush=True)
    for _ in sys.stdin:
        seconds, spikes = run()
        print(json.dumps({"seconds": seconds, "spikes": spikes, "ticks": ticks}), file=answers, flush=True)


if __name__ == "__main__":
    main()
