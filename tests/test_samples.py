# SPDX-License-Identifier: GPL-2.0-or-later
"""Statistics: exact where they can be computed by hand, simulated where not."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kverdict import samples
from kverdict.samples import Above


@pytest.mark.parametrize(
    ("bad", "asked", "times", "expected"),
    [
        (10, 10, 1, 0.5 / 11),  # Jeffreys: mean of Beta(0.5, 10.5)
        (10, 10, 2, 0.5 * 1.5 / (11 * 12)),
        (0, 1, 1, 1.5 / 2),
        (5, 10, 0, 1.0),
    ],
)
def test_the_chance_to_miss(bad: int, asked: int, times: int, expected: float) -> None:
    assert samples.missed(bad, asked, times) == pytest.approx(expected)


@given(st.integers(1, 20), st.integers(0, 20), st.floats(0.001, 0.5))
def test_as_many_guests_as_are_needed_and_no_more(bad: int, good: int, error: float) -> None:
    times = samples.repeats_needed(bad, bad + good, error)
    assert samples.missed(bad, bad + good, times) <= error or times == samples.MOST_REPEATS
    assert times == 1 or samples.missed(bad, bad + good, times - 1) > error


@pytest.mark.parametrize(
    ("bad", "asked", "steps", "confidence", "repeats"),
    [
        (10, 10, 7, 0.99, 1),  # never seen to pass
        (5, 10, 1, 0.99, 7),  # 0.5^7 = 0.0078
        (5, 10, 5, 0.99, 9),  # 0.5^9 = 0.00195 <= 0.01 / 5
        (9, 10, 5, 0.99, 3),  # 0.1^3 = 0.001
        (1, 10, 8, 0.99, 64),  # 0.9^64 = 0.00118
        (1, 1000, 8, 0.999, 100),  # and no more
    ],
)
def test_guests_a_step(bad: int, asked: int, steps: int, confidence: float, repeats: int) -> None:
    assert samples.repeats_per_step(bad, asked, steps, confidence) == repeats


def test_with_that_many_a_flaky_commit_is_rarely_taken_for_good() -> None:
    dice = random.Random(7)
    repeats = samples.repeats_per_step(6, 10, 5, 0.99)
    wrong = sum(
        any(all(dice.random() > 0.6 for _ in range(repeats)) for _ in range(5)) for _ in range(2000)
    )
    assert wrong <= 2000 * 0.02


EXACT = (100_000, 100_010, 100_020, 100_005, 100_000)


@pytest.mark.parametrize(
    ("rounds", "limit", "tolerance", "expected"),
    [
        (EXACT, 90_000, 0.001, Above.YES),
        (EXACT, 110_000, 0.001, Above.NO),
        (EXACT, 100_050, 0.001, Above.OPEN),  # within what the count varies by itself
        (EXACT, 90_000, 0.2, Above.OPEN),
        (EXACT[:4], 90_000, 0.001, Above.OPEN),  # too few rounds for any answer
        ((), 1, 0.1, Above.OPEN),
    ],
)
def test_exact_counts(
    rounds: tuple[int, ...], limit: float, tolerance: float, expected: Above
) -> None:
    assert samples.counts_above(rounds, limit, tolerance) is expected


@pytest.mark.parametrize(
    ("rounds", "before", "factor", "expected"),
    [
        ((20, 21, 22, 23, 24), (10, 11, 12, 13, 14), 1.05, Above.YES),
        ((10, 11, 12, 13, 14), (10, 11, 12, 13, 14), 1.5, Above.NO),
        ((10, 11, 12, 13, 14), (10, 11, 12, 13, 14), 1.0, Above.OPEN),
        ((20, 21, 22, 23), (10, 11, 12, 13), 1.0, Above.OPEN),
        ((20, 21, 22, 23, 5), (10, 11, 12, 13, 14), 1.0, Above.OPEN),  # one good round of five
    ],
)
def test_two_samples_of_times(
    rounds: tuple[float, ...], before: tuple[float, ...], factor: float, expected: Above
) -> None:
    assert samples.rises_above(rounds, before, factor) is expected


@pytest.mark.parametrize(
    ("over", "under", "expected"),
    [
        (7, 0, Above.YES),
        (6, 0, Above.OPEN),
        (0, 7, Above.NO),
        (9, 1, Above.OPEN),
        (19, 1, Above.YES),
    ],
)
def test_times_against_a_number(over: int, under: int, expected: Above) -> None:
    """Sign test: 2^-7 = 0.0078 is below the level of 0.01, 2^-6 is not."""
    assert samples.sample_above([2.0] * over + [1.0] * under, 1.5) is expected


def test_noise_is_the_largest_spread_of_one_kernel() -> None:
    assert samples.noise(EXACT) == samples.LEAST_NOISE
    assert samples.noise((100, 110, 120), (1000, 1000, 1000)) == pytest.approx(20 / 110)
    assert samples.noise() == samples.LEAST_NOISE


def test_one_number_is_never_enough() -> None:
    assert samples.counts_above([200.0], 100, 0.001) is Above.OPEN
    assert samples.rises_above([200.0], [100.0], 1.0) is Above.OPEN
    assert samples.sample_above([200.0], 100) is Above.OPEN


def test_for_people() -> None:
    assert samples.describe([3, 1, 2], 0.01) == "median 2 of 3 rounds, 1 to 3, tested at 0.01"
    assert "tested" not in samples.describe([1], None)
    assert math.isclose(samples.middle([1, 9, 2]), 2)
