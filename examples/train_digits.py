"""Train the demo network: handwritten digits on a TrueNorth-style chip.

Usage, from the repository's root (needs ``pip install '.[train]'``, that is scikit-learn)::

    python examples/train_digits.py                  train, write the network, check it: the whole thing
    python examples/train_digits.py --validate       cross-validation only: writes nothing, no test set
    python examples/train_digits.py --check          only simulate the files that are already there

**Data.** ``sklearn.datasets.load_digits``: 1797 images of 8 x 8 pixels with values 0..16, a copy of the
file ``optdigits.tes`` of "Optical Recognition of Handwritten Digits", E. Alpaydin and C. Kaynak, UCI
Machine Learning Repository, 1998, https://doi.org/10.24432/C50P49, licence CC BY 4.0. It comes with
scikit-learn; nothing is downloaded.

**Split.** Before anything else a stratified third (600 images) is set aside by a fixed seed, the test set.
Every choice (sizes, learning rate, encoding, epochs) was made by validation, mostly four-fold, on the other
1197 images. The shipped network is then trained on all 1197 with those choices, and the test set is looked
at once, at the end.

**Network.** Memoryless threshold neurons and weights of -1, 0 and 1. ``n_groups`` independent groups, each
64 pixels -> ``n_hidden`` hidden neurons -> ``10 * n_votes`` voting neurons; the class with most votes over
the ``ticks_per_image`` ticks of an image wins, ties go to the lower class. A neuron has threshold 0, floor
0, reset to 0 and a leak of minus theta: it fires in exactly the ticks in which its weighted input is at
least theta, and whatever is below is forgotten, so that images in a stream never influence each other.
Every theta is at least 1, so that a network without input is silent. No neuron reads more than 128 sources:
a core has 256 axons, and a source used with both signs takes two.

**Training.** Adam on the cross-entropy of the vote counts; weights and thetas are rounded in the forward
pass, and gradients pass the rounding and the firing by straight-through estimates. Images are slightly
turned, scaled and shifted. All accuracies that are printed come from `simulate`, which reads the written
files back and runs the whole stream tick by tick in integers. The seed fixes the result on one machine and
NumPy; on another, floating-point sums in the gradients may round differently and lead to a slightly
different network.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import yaml
from sklearn.datasets import load_digits
from sklearn.model_selection import StratifiedKFold, train_test_split
from threadpoolctl import threadpool_limits

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]
Parameters = dict[str, Floats]

HERE = Path(__file__).resolve().parent / "digits"
SPLIT_SEED = 2024
N_CLASSES = 10
N_PIXELS = 64
N_TEST = 600
PIXEL_MAX = 16
N_LAYERS = 2  # projections between a pixel and a vote, each with a delay of one tick


@dataclass(frozen=True)
class Settings:
    """Sizes and hyper-parameters, chosen by cross-validation on the training set."""

    ticks_per_image: int = 8
    n_groups: int = 8
    n_hidden: int = 96
    n_votes: int = 6
    epochs: int = 150
    batch: int = 64
    learning_rate: float = 0.01
    temperature: float = 20.0  # the logit of a class for which every vote fires in every tick
    spike_cost: float = 0.0003  # price of a hidden spike, per image and tick
    hidden_width: float = 4.0  # half-width of the surrogate derivative, in units of the membrane
    vote_width: float = 6.0
    rotation: float = 8.0  # augmentation: degrees
    scaling: float = 0.05
    shift: float = 0.5  # pixels
    seed: int = 1

    @property
    def n_outputs(self) -> int:
        """Voting neurons of one group."""
        return N_CLASSES * self.n_votes


# --- data and encoding ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Digits:
    """Images [n, 8, 8] with values 0..16 and their labels [n]."""

    images: Floats
    labels: Ints

    def take(self, index: Ints) -> Digits:
        """Return the images at ``index``."""
        return Digits(self.images[index], self.labels[index])


def load_split() -> tuple[Digits, Digits]:
    """Return the training and the held-out test set (1197 and 600 images, stratified, fixed seed)."""
    source = load_digits()
    everything = Digits(source.images.astype(np.float32), source.target.astype(np.int64))
    train, test = train_test_split(
        np.arange(len(everything.labels)),
        test_size=N_TEST,
        stratify=everything.labels,
        random_state=SPLIT_SEED,
    )
    return everything.take(train), everything.take(test)


def pixel_thresholds(ticks_per_image: int) -> Floats:
    """Return the thresholds [tick, pixel]: evenly spaced levels, in bit-reversed order over the ticks.

    Within each square of 2 x 2 pixels the order starts at four different levels (ordered dithering), so that
    every single tick shows a half-tone of the image. ``ticks_per_image`` is a power of two and at least 4.
    """
    n_bits = ticks_per_image.bit_length() - 1
    if ticks_per_image != 1 << n_bits or n_bits < 2:
        raise ValueError(f"ticks_per_image is {ticks_per_image}: it must be a power of two and at least 4")
    reversed_bits = np.array([int(f"{tick:0{n_bits}b}"[::-1], 2) for tick in range(ticks_per_image)])
    levels = PIXEL_MAX * (2 * reversed_bits + 1) / (2 * ticks_per_image)
    row, column = np.divmod(np.arange(N_PIXELS), 8)
    quarter = np.array([[0, 2], [3, 1]])[row % 2, column % 2]
    start = quarter * (ticks_per_image // 4)
    ticks = np.arange(ticks_per_image)[:, np.newaxis]
    return np.asarray(levels[(ticks + start) % ticks_per_image], np.float32)


def encode(images: Floats, ticks_per_image: int) -> npt.NDArray[np.bool_]:
    """Return the spikes [image, tick, pixel]: a pixel fires in the ticks whose threshold it exceeds."""
    flat = images.reshape(len(images), 1, N_PIXELS)
    return np.asarray(flat > pixel_thresholds(ticks_per_image))


def distort(images: Floats, settings: Settings, rng: np.random.Generator) -> Floats:
    """Return the images, each randomly turned, scaled and shifted a little (bilinear, zero outside)."""
    n = len(images)
    angle = np.deg2rad(rng.uniform(-settings.rotation, settings.rotation, (n, 1)))
    scale = 1 + rng.uniform(-settings.scaling, settings.scaling, (2, n, 1))
    shift = rng.uniform(-settings.shift, settings.shift, (2, n, 1))
    y, x = np.divmod(np.arange(N_PIXELS), 8) - np.full((2, 1), 3.5)
    row = (np.cos(angle) * y - np.sin(angle) * x) * scale[0] + shift[0] + 3.5
    column = (np.sin(angle) * y + np.cos(angle) * x) * scale[1] + shift[1] + 3.5
    margin = 4
    padded = np.pad(images, ((0, 0), (margin, margin), (margin, margin)))
    row, column = np.clip(row + margin, 0, 14.99), np.clip(column + margin, 0, 14.99)
    r, c = row.astype(np.int64), column.astype(np.int64)
    down, right = row - r, column - c
    image = np.arange(n)[:, np.newaxis]
    top = padded[image, r, c] * (1 - right) + padded[image, r, c + 1] * right
    bottom = padded[image, r + 1, c] * (1 - right) + padded[image, r + 1, c + 1] * right
    return np.asarray(top * (1 - down) + bottom * down, np.float32).reshape(images.shape)


# --- training ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Activity:
    """One forward pass; margins (input minus theta) and spikes are [group, image * tick, neuron]."""

    hidden_margin: Floats
    hidden: Floats
    vote_margin: Floats
    votes: Floats


def initial_parameters(settings: Settings, rng: np.random.Generator) -> Parameters:
    """Return latent weights and thetas; `ternary` and `whole_theta` make the chip's numbers of them."""
    groups, hidden, outputs = settings.n_groups, settings.n_hidden, settings.n_outputs
    return {
        "w_hidden": rng.normal(0, 0.5, (groups, N_PIXELS, hidden)).astype(np.float32),
        "w_vote": rng.normal(0, 0.5, (groups, hidden, outputs)).astype(np.float32),
        "theta_hidden": np.full((groups, 1, hidden), 2, np.float32),
        "theta_vote": np.full((groups, 1, outputs), 3, np.float32),
    }


def ternary(weight: Floats) -> Floats:
    """Round latent weights to -1, 0 or 1."""
    return np.rint(np.clip(weight, -1, 1))


def whole_theta(theta: Floats) -> Floats:
    """Round latent thetas to whole numbers within 1..255, the range of a leak that silences."""
    return np.rint(np.clip(theta, 1, 255))


def forward(spikes: Floats, parameters: Parameters) -> Activity:
    """Run the rounded network on spikes [image * tick, pixel]; every number is a whole one, hence exact."""
    hidden_margin = spikes @ ternary(parameters["w_hidden"]) - whole_theta(parameters["theta_hidden"])
    hidden = (hidden_margin >= 0).astype(np.float32)
    vote_margin = hidden @ ternary(parameters["w_vote"]) - whole_theta(parameters["theta_vote"])
    return Activity(hidden_margin, hidden, vote_margin, (vote_margin >= 0).astype(np.float32))


def surrogate(margin: Floats, width: float) -> Floats:
    """Return the stand-in for the derivative of firing: a triangle around the firing point."""
    return np.asarray(np.maximum(0, 1 - np.abs(margin + 0.5) / width) / width, np.float32)


def vote_gradient(votes: Floats, labels: Ints, settings: Settings) -> Floats:
    """Return the gradient of the mean cross-entropy for each vote, [1, image * tick, output]."""
    n, ticks = len(labels), settings.ticks_per_image
    scale = np.float32(settings.temperature / (ticks * settings.n_groups * settings.n_votes))
    counts = votes.reshape(settings.n_groups, n, ticks, N_CLASSES, settings.n_votes).sum(axis=(0, 2, 4))
    logits = counts * scale
    probability = np.exp(logits - logits.max(axis=1, keepdims=True))
    probability /= probability.sum(axis=1, keepdims=True)
    probability[np.arange(n), labels] -= 1
    per_class = probability * (scale / n)
    return np.repeat(np.repeat(per_class, ticks, axis=0), settings.n_votes, axis=1)[np.newaxis]


def gradients(spikes: Floats, labels: Ints, parameters: Parameters, settings: Settings) -> Parameters:
    """Return the straight-through gradients of the loss for one batch, spikes [image * tick, pixel]."""
    activity = forward(spikes, parameters)
    at_votes = vote_gradient(activity.votes, labels, settings)
    at_votes = at_votes * surrogate(activity.vote_margin, settings.vote_width)
    at_hidden = at_votes @ ternary(parameters["w_vote"]).transpose(0, 2, 1)
    at_hidden += np.float32(settings.spike_cost / len(spikes))
    at_hidden *= surrogate(activity.hidden_margin, settings.hidden_width)
    return {
        "w_hidden": spikes.T @ at_hidden,
        "w_vote": activity.hidden.transpose(0, 2, 1) @ at_votes,
        "theta_hidden": -at_hidden.sum(axis=1, keepdims=True),
        "theta_vote": -at_votes.sum(axis=1, keepdims=True),
    }


class Adam:
    """Adam with decay rates 0.9 and 0.99; thetas, whose range is wider, learn five times as fast."""

    def __init__(self, parameters: Parameters) -> None:
        self.mean = {name: np.zeros_like(value) for name, value in parameters.items()}
        self.square = {name: np.zeros_like(value) for name, value in parameters.items()}
        self.n_steps = 0

    def step(self, parameters: Parameters, gradient: Parameters, rate: float) -> None:
        """Update the parameters in place."""
        self.n_steps += 1
        for name, value in parameters.items():
            self.mean[name] += 0.1 * (gradient[name] - self.mean[name])
            self.square[name] += 0.01 * (gradient[name] ** 2 - self.square[name])
            mean = self.mean[name] / (1 - 0.9**self.n_steps)
            square = self.square[name] / (1 - 0.99**self.n_steps)
            factor = 5 if name.startswith("theta") else 1
            value -= rate * factor * mean / (np.sqrt(square) + 1e-10)
            if name.startswith("w_"):
                np.clip(value, -1.2, 1.2, out=value)


def batches(n: int, settings: Settings, rng: np.random.Generator) -> Iterator[tuple[float, Ints]]:
    """Yield the learning rate (falling as a cosine) and the image indices of every batch of every epoch."""
    n_batches = n // settings.batch
    total = n_batches * settings.epochs
    for epoch in range(settings.epochs):
        order = rng.permutation(n)
        for i in range(n_batches):
            progress = (epoch * n_batches + i + 1) / total
            rate = settings.learning_rate * 0.5 * (1 + np.cos(np.pi * progress))
            yield float(rate), order[i * settings.batch : (i + 1) * settings.batch]


def train(data: Digits, settings: Settings) -> Parameters:
    """Return the latent parameters of a network trained on ``data``."""
    rng = np.random.default_rng(settings.seed)
    parameters = initial_parameters(settings, rng)
    optimiser = Adam(parameters)
    with threadpool_limits(limits=1):  # the matrices are small, and one thread always sums in the same order
        for rate, index in batches(len(data.labels), settings, rng):
            images = distort(data.images[index], settings, rng)
            spikes = encode(images, settings.ticks_per_image).reshape(-1, N_PIXELS).astype(np.float32)
            gradient = gradients(spikes, data.labels[index], parameters, settings)
            optimiser.step(parameters, gradient, rate)
    return parameters


# --- files ------------------------------------------------------------------------------------------------

NEURON = "threshold: 0, floor: 0, floor_mode: saturate, reset: 0, reset_mode: value"


def network_text(settings: Settings, spike_rate: float) -> str:
    """Return the network's YAML; ``spike_rate`` is the mean of the input, in spikes per tick and line."""
    groups = range(settings.n_groups)
    lines = ["# Written by examples/train_digits.py, see there and README.md.", "network: digits"]
    lines += ["inputs:", "  pixels: {shape: [8, 8]}", "populations:"]
    for name, shape in (("hidden", f"[{settings.n_hidden}]"), ("vote", f"[{N_CLASSES}, {settings.n_votes}]")):
        for g in groups:
            lines += [f"  {name}{g}:", f"    shape: {shape}"]
            lines += [f"    neuron: {{{NEURON}, leak: leak_{name}{g}.npy}}"]
    lines += ["projections:"]
    lines += [f"  - {{source: pixels, target: hidden{g}, weights: w_hidden{g}.npy, delay: 1}}" for g in groups]
    lines += [f"  - {{source: hidden{g}, target: vote{g}, weights: w_vote{g}.npy, delay: 1}}" for g in groups]
    lines += ["outputs:"]
    lines += [f"  class{g}: {{source: vote{g}}}" for g in groups]
    lines += [f"spike_rates: {{pixels: {spike_rate:.4f}}}"]
    return "\n".join(lines) + "\n"


def write_network(directory: Path, parameters: Parameters, settings: Settings, spike_rate: float) -> None:
    """Write ``network.yaml`` and its weights (int8, [source, target]) and leaks (int16, [neuron])."""
    for old in [*directory.glob("w_*.npy"), *directory.glob("leak_*.npy")]:
        old.unlink()
    for g in range(settings.n_groups):
        for name in ("hidden", "vote"):
            weights = ternary(parameters[f"w_{name}"][g]).astype(np.int8)
            theta = whole_theta(parameters[f"theta_{name}"][g, 0]).astype(np.int16)
            np.save(directory / f"w_{name}{g}.npy", weights)
            np.save(directory / f"leak_{name}{g}.npy", -theta)
    (directory / "network.yaml").write_text(network_text(settings, spike_rate))


def write_stream(directory: Path, data: Digits, settings: Settings) -> float:
    """Write ``test.npz`` and ``test_labels.npz`` and return the mean spikes per tick and line.

    ``test.npz`` has ``tick`` (int64) and ``line`` (int32), sorted by tick, then line; image i occupies the
    ticks [i * K, (i + 1) * K). ``test_labels.npz`` has ``labels`` [image], ``ticks_per_image`` (K),
    ``line_class`` [output line] and ``response_delay``: the output spikes of image i are at the network's
    ticks [i * K + response_delay, (i + 1) * K + response_delay).
    """
    spikes = encode(data.images, settings.ticks_per_image).reshape(-1, N_PIXELS)
    tick, line = np.nonzero(spikes)
    np.savez_compressed(directory / "test.npz", tick=tick.astype(np.int64), line=line.astype(np.int32))
    np.savez_compressed(
        directory / "test_labels.npz",
        labels=data.labels.astype(np.int64),
        ticks_per_image=np.int64(settings.ticks_per_image),
        response_delay=np.int64(N_LAYERS),
        line_class=np.tile(np.repeat(np.arange(N_CLASSES), settings.n_votes), settings.n_groups),
    )
    return float(spikes.mean())


def write_all(directory: Path, parameters: Parameters, data: Digits, settings: Settings) -> None:
    """Write the network and, as its test stream, ``data``."""
    rate = write_stream(directory, data, settings)
    write_network(directory, parameters, settings, rate)


# --- the check: integers only, from the files alone -------------------------------------------------------


class Population:
    """Neurons of the written network with integer membranes: the chip's tick for the fields used here."""

    def __init__(self, directory: Path, entry: dict[str, Any]) -> None:
        neuron = dict(entry["neuron"])
        modes = (neuron.pop("reset_mode"), neuron.pop("floor_mode"))
        if modes != ("value", "saturate") or set(neuron) != {"threshold", "floor", "reset", "leak"}:
            raise ValueError(f"neuron {entry['neuron']} has fields that this check does not model")
        self.leak: Ints = np.load(directory / neuron["leak"]).astype(np.int64)
        self.threshold, self.floor, self.reset = neuron["threshold"], neuron["floor"], neuron["reset"]
        self.membrane = np.zeros_like(self.leak)
        if self.leak.shape != (int(np.prod(entry["shape"])),):
            raise ValueError(f"leak of shape {self.leak.shape} for a population of shape {entry['shape']}")

    def step(self, drive: Ints) -> Ints:
        """Advance one tick with the weighted input ``drive`` and return the spikes, 0 or 1 per neuron."""
        self.membrane = self.membrane + drive + self.leak
        fired = self.membrane >= self.threshold
        below = ~fired & (self.membrane < -self.floor)
        self.membrane = np.where(fired, self.reset, np.where(below, -self.floor, self.membrane))
        return np.asarray(fired, np.int64)


@dataclass(frozen=True)
class Simulation:
    """What `simulate` saw: output spikes [tick, line], and the mean rate of each population."""

    outputs: npt.NDArray[np.bool_]
    rates: dict[str, float]


def read_projections(directory: Path, network: dict[str, Any]) -> list[tuple[str, str, Ints]]:
    """Return (source, target, weights) of each projection; checks ternary, fan-in of 128 and delay 1."""
    projections = []
    for entry in network["projections"]:
        weights = np.load(directory / entry["weights"]).astype(np.int64)
        fan_in = int((weights != 0).any(axis=1).sum())
        if entry["delay"] != 1 or np.abs(weights).max() > 1 or fan_in > 128:
            raise ValueError(f"projection {entry}: delay, weights or its fan-in of {fan_in} do not suit a core")
        projections.append((entry["source"], entry["target"], weights))
    return projections


def simulate(directory: Path, n_ticks: int) -> Simulation:
    """Run ``network.yaml`` on ``test.npz`` tick by tick in integers, the whole stream in one go."""
    network = yaml.safe_load((directory / "network.yaml").read_text())
    populations = {name: Population(directory, entry) for name, entry in network["populations"].items()}
    projections = read_projections(directory, network)
    stream = np.load(directory / "test.npz")
    pixels = np.zeros((n_ticks, N_PIXELS), np.int64)
    pixels[stream["tick"], stream["line"]] = 1
    sources = [output["source"] for output in network["outputs"].values()]
    previous = {name: np.zeros_like(population.leak) for name, population in populations.items()}
    previous["pixels"] = np.zeros(N_PIXELS, np.int64)
    totals = dict.fromkeys(populations, 0.0)
    outputs = np.zeros((n_ticks, sum(len(previous[name]) for name in sources)), np.bool_)
    for tick in range(n_ticks):
        drive = {name: np.zeros_like(population.leak) for name, population in populations.items()}
        for source, target, weights in projections:
            drive[target] += previous[source] @ weights
        previous = {name: population.step(drive[name]) for name, population in populations.items()}
        previous["pixels"] = pixels[tick]
        outputs[tick] = np.concatenate([previous[name] for name in sources])
        for name in totals:
            totals[name] += float(previous[name].mean())
    return Simulation(outputs, {name: total / n_ticks for name, total in totals.items()})


def classify(outputs: npt.NDArray[np.bool_], line_class: Ints, ticks: int, delay: int, n_images: int) -> Ints:
    """Return the class of each image: most output spikes in its ticks, ties to the lower class."""
    window = outputs[delay : delay + n_images * ticks]
    per_line = window.reshape(n_images, ticks, -1).sum(axis=1)
    counts = np.stack([per_line[:, line_class == c].sum(axis=1) for c in range(N_CLASSES)], axis=1)
    return np.asarray(counts.argmax(axis=1), np.int64)


def check(directory: Path) -> tuple[float, dict[str, float]]:
    """Simulate the files in ``directory``; return the accuracy and the mean rate of each population."""
    layout = np.load(directory / "test_labels.npz")
    labels, line_class = layout["labels"], layout["line_class"]
    ticks, delay = int(layout["ticks_per_image"]), int(layout["response_delay"])
    simulation = simulate(directory, len(labels) * ticks + delay)
    decided = classify(simulation.outputs, line_class, ticks, delay, len(labels))
    return float((decided == labels).mean()), simulation.rates


# --- the whole thing --------------------------------------------------------------------------------------


def cross_validate(data: Digits, settings: Settings, n_folds: int = 4) -> float:
    """Return the mean accuracy on the part left out, of networks trained on the rest of the training set."""
    folds = StratifiedKFold(n_folds, shuffle=True, random_state=SPLIT_SEED)
    accuracies = []
    for fit, validation in folds.split(data.images, data.labels):
        parameters = train(data.take(fit), settings)
        with tempfile.TemporaryDirectory() as name:
            write_all(Path(name), parameters, data.take(validation), settings)
            accuracy, _ = check(Path(name))
        accuracies.append(accuracy)
        print(
            f"  validation {len(accuracies)} of {n_folds}: {accuracy:.2%} of {len(validation)} images",
            flush=True,
        )
    return float(np.mean(accuracies))


def report(directory: Path) -> None:
    """Print what the check of the written files says."""
    accuracy, rates = check(directory)
    for layer in ("hidden", "vote"):
        mean = np.mean([rate for name, rate in rates.items() if name.startswith(layer)])
        print(f"mean rate of a {layer} neuron: {mean:.3f} spikes per tick")
    print(f"test accuracy (integer spiking network, read back from {directory}): {accuracy:.2%}")


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--validate", action="store_true", help="cross-validation only; no test set")
    parser.add_argument("--check", action="store_true", help="only simulate the files that are there")
    parser.add_argument(
        "-o", "--output", type=Path, default=HERE, help="folder for the files (default: examples/digits)"
    )
    arguments = parser.parse_args()
    if not arguments.check:
        settings, started = Settings(), time.perf_counter()
        training, test = load_split()
        print(f"validation accuracy (integer spiking network): {cross_validate(training, settings):.2%}")
        if arguments.validate:
            return
        arguments.output.mkdir(parents=True, exist_ok=True)
        write_all(arguments.output, train(training, settings), test, settings)
        print(f"trained in {time.perf_counter() - started:.0f} s, validation included")
    report(arguments.output)


if __name__ == "__main__":
    main()
