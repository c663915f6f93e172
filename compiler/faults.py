"""Collecting what is wrong with a network, and reading the numbers that users give."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from neurocore.errors import FitError, InputError

Array = npt.NDArray[Any]


class Faults:
    """Collects what is wrong; faults of the input and faults of fitting lead to different exit codes."""

    def __init__(self) -> None:
        self.bad: list[str] = []
        self.misfit: list[str] = []

    def raise_if_any(self) -> None:
        """Raise what was found: InputError if anything is wrong in itself, otherwise FitError."""
        if self.bad:
            raise InputError(self.bad + self.misfit)
        if self.misfit:
            raise FitError(self.misfit)


def whole_numbers(given: Any) -> Array:
    """Numbers or booleans as int64 of the same shape. Raises ValueError that completes 'NAME ...' for anything else."""
    return integers(given).astype(np.int64)


def integers(given: Any) -> Array:
    """As :func:`whole_numbers`, but integers keep their type, so that large arrays are not copied."""
    try:
        values = np.asarray(given)
    except ValueError as error:
        raise ValueError("is ragged; rows must be equally long") from error
    if values.dtype == bool or values.dtype.kind == "i":
        return values.view(np.uint8) if values.dtype == bool else values
    if values.dtype.kind == "u":
        if values.size and values.max() > np.iinfo(np.int64).max:
            raise ValueError(f"holds {values.max()}, which is too large")
        return values.astype(np.int64) if values.dtype.itemsize == 8 else values
    if values.dtype.kind == "f":
        return _from_floats(values)
    if values.size == 0:
        return values.astype(np.int64)
    raise ValueError(
        f"is {given!r}; numbers were expected" if values.ndim == 0 else "holds something other than numbers"
    )


def _from_floats(values: Array) -> Array:
    if not np.isfinite(values).all():
        raise ValueError(f"holds {_first(values, ~np.isfinite(values))}; only finite numbers are allowed")
    fraction, large = values != np.round(values), np.abs(values) > 2**53
    if fraction.any():
        raise ValueError(
            f"holds {_first(values, fraction)}, which is not a whole number; make it one, or ask for 'quantise: fit'"
        )
    if large.any():
        raise ValueError(f"holds {_first(values, large)}, which is too large; whole numbers end at 2^53")
    small = np.abs(values).max(initial=0) <= np.iinfo(np.int32).max
    return values.astype(np.int32 if small else np.int64)


def _first(values: Array, wrong: Array) -> str:
    """The first wrong value, where it is, and how many there are."""
    place = np.argwhere(wrong)[0]
    where = f" at [{', '.join(map(str, place))}]" if values.ndim else ""
    more = f" ({int(wrong.sum())} such values)" if wrong.sum() > 1 else ""
    return f"{values[tuple(place)]:g}{where}{more}"


def whole_numbers_named(name: str, given: Any) -> Array:
    """:func:`whole_numbers` with the name in front of the complaint."""
    try:
        return whole_numbers(given)
    except ValueError as error:
        raise ValueError(f"{name} {error}") from error


def integers_named(name: str, given: Any) -> Array:
    """:func:`integers` with the name in front of the complaint."""
    try:
        return integers(given)
    except ValueError as error:
        raise ValueError(f"{name} {error}") from error
