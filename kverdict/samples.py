# SPDX-License-Identifier: GPL-2.0-or-later
"""What can be said from few samples: how often to ask a flaky case, and whether a number rose.

Pure functions.  Never is one number held against another: rounds of a benchmark are two samples,
or exact counts with a tolerance that was measured.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from enum import Enum

MOST_REPEATS = 100
LEVEL = 0.01  # of each test; both directions are asked, so that "no" is an answer too
FEWEST_ROUNDS = 5
# What an instruction count may differ by although nothing did: timer interrupts land elsewhere.
LEAST_NOISE = 0.001


class Above(Enum):
    """Whether a sample lies above a limit."""

    YES = "above"
    NO = "not above"
    OPEN = "undecided"


# --- how often to ask -----------------------------------------------------------------------------


def missed(bad: int, asked: int, times: int) -> float:
    """The probability that a bad commit passes ``times`` guests, when ``bad`` of ``asked`` failed.

    (1 - p)^times over what is known of p: a Beta distribution from Jeffreys' prior, so that ten
    failures of ten do not stand for certainty.
    """
    known_bad, known_good = bad + 0.5, asked - bad + 0.5
    return math.exp(_log_beta(known_bad, known_good + times) - _log_beta(known_bad, known_good))


def _log_beta(a: float, b: float) -> float:
    return math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)


def repeats_needed(bad: int, asked: int, error: float) -> int:
    """Guests that have to pass before ``missed`` is at most ``error``; MOST_REPEATS at most."""
    for times in range(1, MOST_REPEATS):
        if missed(bad, asked, times) <= error:
            return times
    return MOST_REPEATS


def repeats_per_step(bad: int, asked: int, steps: int, confidence: float) -> int:
    """Guests of each of ``steps`` steps, so that all of them together err at most 1 - confidence.

    With the rate that was seen: (1 - rate)^repeats <= (1 - confidence) / steps.  A finding that
    never failed to show is asked for once.  What is not known of the rate is made up for by the
    proof: whenever a bad commit is taken for a good one, the parent of what is found is bad, and
    that one is asked as often as ``repeats_needed`` says.
    """
    if bad == asked:
        return 1
    error = (1 - confidence) / max(1, steps)
    return min(MOST_REPEATS, max(1, math.ceil(math.log(error) / math.log(1 - bad / asked))))


# --- benchmarks -----------------------------------------------------------------------------------


def noise(*samples: Sequence[float]) -> float:
    """The largest relative spread within one of the samples: what a count varies by from itself."""
    spreads = [(max(one) - min(one)) / statistics.median(one) for one in samples if one]
    return max([LEAST_NOISE, *spreads])


def middle(rounds: Sequence[float]) -> float:
    return statistics.median(rounds)


def describe(rounds: Sequence[float], level: float | None) -> str:
    """For people; ``level`` of the test that was used, None for exact counts."""
    text = f"median {statistics.median(rounds):,.6g} of {len(rounds)} rounds"
    spread = f", {min(rounds):,.6g} to {max(rounds):,.6g}"
    return text + spread + (f", tested at {level:g}" if level is not None else "")


def counts_above(rounds: Sequence[float], limit: float, tolerance: float) -> Above:
    """Exact counts against a limit; what lies within ``tolerance`` (relative) of it is open."""
    if len(rounds) < FEWEST_ROUNDS:
        return Above.OPEN
    count = statistics.median(rounds)
    if abs(count - limit) <= tolerance * limit:
        return Above.OPEN
    return Above.YES if count > limit else Above.NO


def sample_above(rounds: Sequence[float], limit: float) -> Above:
    """Times against a fixed limit: the one-sided binomial (sign) test at LEVEL, both ways."""
    from scipy import stats  # a second, and only benchmarks in time need it

    over = sum(value > limit for value in rounds)
    if len(rounds) < FEWEST_ROUNDS:
        return Above.OPEN
    for answer, count in ((Above.YES, over), (Above.NO, len(rounds) - over)):
        if stats.binomtest(count, len(rounds), 0.5, alternative="greater").pvalue < LEVEL:
            return answer
    return Above.OPEN


def rises_above(rounds: Sequence[float], before: Sequence[float], factor: float) -> Above:
    """Times against another sample's, scaled: the Mann-Whitney U test at LEVEL, both ways."""
    from scipy import stats

    if min(len(rounds), len(before)) < FEWEST_ROUNDS:
        return Above.OPEN
    scaled = [value * factor for value in before]
    for answer, way in ((Above.YES, "greater"), (Above.NO, "less")):
        if stats.mannwhitneyu(rounds, scaled, alternative=way).pvalue < LEVEL:
            return answer
    return Above.OPEN
