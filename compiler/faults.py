"""Collecting what is wrong with a network, and reading the numbers that users give."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse

from neurocore.errors import FitError, InputError
from neurocore.wording import did_you_mean, is_whole, setting, shown
from neurocore.yamlfile import Document

Array = npt.NDArray[Any]


class Faults:
    """Collects what is wrong; faults of the input and faults of fitting lead to different exit codes.

    ``document`` is the file that the network was read from, if it was: what is wrong in itself is said with its place there.
    """

    def __init__(self, document: Document | None = None) -> None:
        self.document = document
        self.bad: list[tuple[tuple[int, int], str]] = []
        self.misfit: list[str] = []

    def add(self, text: str, *location: str | int) -> None:
        """Something that is wrong in itself, and where the file has it: the innermost part of ``location`` that there is."""
        if self.document is None:
            self.bad.append(((0, 0), text))
        else:
            self.bad.append((self.document.place(location), f"{self.document.where(location)}: {text}"))

    def add_misfit(self, text: str, *location: str | int) -> None:
        """Something that the chip cannot represent; the sentence begins with its code, so that its place comes last."""
        self.misfit.append(text if self.document is None else f"{text} ({self.document.where(location)})")

    def raise_if_any(self) -> None:
        """Raise what was found: InputError, in file order, if anything is wrong in itself, otherwise FitError."""
        if self.bad:
            raise InputError([text for _, text in sorted(self.bad, key=lambda item: item[0])] + self.misfit)
        if self.misfit:
            raise FitError(self.misfit)


def whole_numbers(given: Any) -> Array:
    """Numbers or booleans as int64 of the same shape. Raises ValueError that completes 'NAME ...' for anything else."""
    return integers(given).astype(np.int64)


def integers(given: Any) -> Array:
    """As :func:`whole_numbers`, but integers keep their type, so that large arrays are not copied."""
    values = as_array(given)
    if values.dtype == bool or values.dtype.kind == "i":
        return values.view(np.uint8) if values.dtype == bool else values
    if values.dtype.kind == "u":
        if values.size and values.max() > np.iinfo(np.int64).max:
            raise ValueError(f"{_first(values, values == values.max())}, which is too large; integers end at 2^63 - 1")
        return values.astype(np.int64) if values.dtype.itemsize == 8 else values
    if values.dtype.kind == "f":
        return _from_floats(values)
    if values.size == 0:
        return values.astype(np.int64)
    if values.dtype == object and all(is_whole(item) or isinstance(item, bool | np.bool_) for item in values.flat):
        limit = np.iinfo(np.int64).max
        large = np.array([abs(item) > limit for item in values.flat], bool).reshape(values.shape)
        if large.any():
            raise ValueError(f"{_first(values, large)}, which is too large; integers end at 2^63 - 1")
        return values.astype(np.int64)
    raise no_numbers(given, values)


def no_numbers(given: Any, values: Array) -> ValueError:
    """That ``values``, the array of what a user gave, are no numbers; it completes 'NAME ...'."""
    if values.ndim == 0:
        return ValueError(f"is {shown(given)}; numbers were expected")
    if values.dtype != object:
        return ValueError(f"holds something other than numbers, values of type {values.dtype}")
    wrong = np.array([not (is_whole(item) or isinstance(item, bool | float | np.floating)) for item in values.flat])
    place = np.unravel_index(int(wrong.argmax()), values.shape)
    return ValueError(f"holds {shown(values[place])} at {[int(index) for index in place]}; int or float was expected")


def as_array(given: Any) -> Array:
    """What a user gives as an array. Raises ValueError that completes 'NAME ...' for what is none, or has holes."""
    if np.ma.is_masked(given):
        raise ValueError("holds masked values, which stand for none; fill them (0 is no synapse)")
    if sparse.issparse(given):
        raise ValueError(
            "is a sparse matrix; give an array, as its toarray() makes, or edges: row, col and data of its tocoo() are their"
            " source, target and weight"
        )
    try:
        values = np.asarray(given)
    except Exception as error:
        # What makes an array of an object is its own code, which may raise anything.
        if isinstance(error, ValueError) and "inhomogeneous" in str(error):
            raise ValueError("is ragged; rows must be equally long") from error
        raise ValueError(
            f"is {shown(given)}, of which NumPy makes no array ({error}); give an array of numbers"
        ) from error
    if values.dtype == object and _has_floats(values):
        return values.astype(np.float64)
    return values


def _has_floats(values: Array) -> bool:
    """Whether an array of objects holds numbers alone, some of them floats."""
    floats = [isinstance(item, float | np.floating) for item in values.flat]
    return any(floats) and all(is_float or is_whole(item) for is_float, item in zip(floats, values.flat, strict=True))


def _from_floats(values: Array) -> Array:
    # Limits are beyond what the narrowest type of floats holds.
    values = values.astype(np.float32) if values.dtype.itemsize < 4 else values
    if not np.isfinite(values).all():
        raise ValueError(f"{_first(values, ~np.isfinite(values))}; only finite numbers are allowed")
    fraction, large = values != np.round(values), np.abs(values) > 2**53
    if fraction.any():
        raise ValueError(
            f"{_first(values, fraction)}, which is not a whole number; make it one or, for weights and parameters of neurons, use"
            f" {setting('quantise', 'fit')}"
        )
    if large.any():
        raise ValueError(f"{_first(values, large)}, which is too large; whole numbers with a decimal point end at 2^53")
    small = np.abs(values).max(initial=0) <= np.iinfo(np.int32).max
    return values.astype(np.int32 if small else np.int64)


def _first(values: Array, wrong: Array) -> str:
    """'is 7', or 'holds 7 at [1, 2]' with the first wrong value, and how many there are."""
    place = np.argwhere(wrong)
    first = tuple(place[0].tolist())
    value = shown(values[first]) if values.dtype == object else str(values[first])
    if not values.ndim:
        return f"is {value}"
    more = f" ({len(place):,} such values)" if len(place) > 1 else ""
    return f"holds {value} at {list(first)}{more}"


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


def mode_numbers(given: Any, names: tuple[str, ...]) -> Array:
    """Names of modes as their numbers, of the same shape. Raises ValueError that completes 'NAME ...' for other names."""
    values = as_array(given)
    if values.dtype.kind not in "US" or not np.isin(values, names).all():
        wrong = [item for item in values.reshape(-1).tolist() if not isinstance(item, str) or item not in names]
        first = wrong[0] if wrong else given
        raise ValueError(f"is {shown(first)}; it must be one of {', '.join(names)}{did_you_mean(first, names)}")
    result = np.zeros(values.shape, np.int64)
    for number, name in enumerate(names):
        result[values == name] = number
    return result
