"""Pieces of sentences: numbers with their nouns, and the known name that is nearest to a wrong one."""

from __future__ import annotations

import pytest

from neurocore.wording import MOST_COMPARED, acting, counted, did_you_mean


def test_counts() -> None:
    assert [counted(n, "copy") for n in (1, 2)] == ["1 copy", "2 copies"]
    assert [acting(n, "neuron", "sends", "send") for n in (1, 2)] == ["1 neuron sends", "2 neurons send"]
    assert [counted(n, "tick") for n in (0, 1, 2, 1234)] == ["0 ticks", "1 tick", "2 ticks", "1,234 ticks"]


@pytest.mark.parametrize(
    ("wrong", "known", "nearest"),
    [
        ("all_too_all", ["one_to_one", "all_to_all"], "all_to_all"),
        ("HIDDEN", ["input", "hidden", "hidden2"], "hidden"),
        ("hidden", ["Hidden", "hidden1"], "Hidden"),
        ("treshold", ["threshold_mask_bits", "threshold"], "threshold"),
        (7, ["7a", "b"], "7a"),
        ("y", ["x"], None),
        ("anything", [], None),
        ("", ["x"], None),
    ],
)
def test_the_nearest_name(wrong: object, known: list[str], nearest: str | None) -> None:
    assert did_you_mean(wrong, known) == ("" if nearest is None else f"; did you mean {nearest!r}?")


def test_of_very_many_names_the_first_are_compared() -> None:
    known = [f"p{number:06}" for number in range(2 * MOST_COMPARED)]
    assert did_you_mean("q000999", known) == "; did you mean 'p000999'?"
    assert did_you_mean("q001999", known) != "; did you mean 'p001999'?"
