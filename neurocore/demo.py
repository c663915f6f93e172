"""The demo: handwritten digits on an emulated TrueNorth chip, from the trained network to milliwatts.

The network and the held-out test images come with the package; ``examples/digits`` holds the script that trained it.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from neurocore.config import ChipConfig, Group
from neurocore.emulator import Emulator
from neurocore.power import PowerReport
from neurocore.result import RunResult
from neurocore.spikes import Spikes, read
from neurocore.traffic import TrafficReport

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Labels:
    """What the demo knows of its test images.

    ``labels`` [n] are the classes; ``response_delay`` is the ticks by which the network's answer lags behind its input;
    ``line_class`` [output lines] is the class that each output line votes for.
    """

    labels: Array
    ticks_per_image: int
    response_delay: int
    line_class: Array

    @property
    def n_ticks(self) -> int:
        """Network ticks until the last image is answered."""
        return len(self.labels) * self.ticks_per_image + self.response_delay


@dataclass(frozen=True)
class DemoResult:
    """Everything that the demo measured.

    ``labels`` [n] are the digits, ``found`` [n] what they were taken for, ``images`` [n, rows, columns] the spikes of every
    pixel, in ``ticks_per_image`` ticks.
    """

    chip: ChipConfig
    run: RunResult
    labels: Array
    found: Array
    images: Array
    ticks_per_image: int
    power: PowerReport
    traffic: TrafficReport

    @property
    def n_images(self) -> int:
        """Images that were shown."""
        return len(self.labels)

    @property
    def is_right(self) -> npt.NDArray[np.bool_]:
        """Which images [n] were taken for what they are."""
        return np.asarray(self.found == self.labels)

    @property
    def accuracy(self) -> float:
        """The share of these, 0..1."""
        return float(self.is_right.mean())

    def as_dict(self) -> dict[str, Any]:
        """The fields of ``demo --json``."""
        power = self.power.as_dict()
        return {
            "accuracy": self.accuracy,
            "n_images": self.n_images,
            "ticks": self.run.ticks,
            "spikes": self.run.n_spikes,
            "cores": len(self.chip.cores),
            "power_mw": power["total_mw"],
            "powered_cores": power["powered_cores"],
            "energy_per_inference_uj": power["energy_per_inference_uj"],
            "mean_hops": self.traffic.mean_hops,
            "ticks_per_second": round(self.run.ticks_per_second, 1),
        }


def data_folder() -> AbstractContextManager[Path]:
    """The folder with the demo's network, spikes and labels, as a real path while the context is open."""
    return resources.as_file(resources.files("neurocore.digits"))


def read_labels(path: Path) -> Labels:
    """Labels written by the training script."""
    with np.load(path, allow_pickle=False) as content:
        return Labels(
            content["labels"],
            int(content["ticks_per_image"]),
            int(content["response_delay"]),
            content["line_class"],
        )


def classify(spikes: Spikes, labels: Labels, latency: int) -> Array:
    """The class [n] with most output spikes in the answer time of each image; the lowest of several equals."""
    tick = spikes.tick - latency - labels.response_delay
    image = tick // labels.ticks_per_image
    inside = (tick >= 0) & (image < len(labels.labels))
    n_classes = int(labels.line_class.max()) + 1
    votes = np.zeros((len(labels.labels), n_classes), np.int64)
    np.add.at(votes, (image[inside], labels.line_class[spikes.line[inside]]), 1)
    return np.asarray(np.argmax(votes, axis=1))


def images_of(spikes: Spikes, labels: Labels, pixels: Group) -> Array:
    """Spikes of every pixel [n, rows, columns] while each image was shown."""
    cell = spikes.tick // labels.ticks_per_image * pixels.size + spikes.line - pixels.start
    counts = np.bincount(cell, minlength=len(labels.labels) * pixels.size)
    return counts.reshape(len(labels.labels), *pixels.shape)


def run_demo(
    chip: ChipConfig,
    folder: Path,
    progress: Callable[[int, int], None] | None = None,
    threads: int | None = None,
) -> DemoResult:
    """Emulate the compiled demo network on all test images and measure it."""
    labels = read_labels(folder / "test_labels.npz")
    spikes = read(folder / "test.npz")
    run = Emulator(chip, threads=threads).run(spikes, labels.n_ticks + chip.latency, progress=progress)
    return DemoResult(
        chip=chip,
        run=run,
        labels=labels.labels,
        found=classify(run.spikes, labels, chip.latency),
        images=images_of(spikes, labels, chip.inputs[0]),
        ticks_per_image=labels.ticks_per_image,
        power=run.power(inferences=len(labels.labels)),
        traffic=run.traffic(),
    )
