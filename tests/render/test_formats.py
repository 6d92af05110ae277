# SPDX-License-Identifier: GPL-2.0-or-later
from __future__ import annotations

import pytest

from kverdict.models import Outcome
from kverdict.render.formats import amount, bench_ratio, seconds, slug
from kverdict.render.view import BAR, outcomes, shares
from kverdict.text import counted
from kverdict.verdict import Runs
from tests import factories as make


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.123, "0.12 s"),
        (23.44, "23.4 s"),
        (330, "5 min 30 s"),
        (59.97, "1 min 0 s"),
        (3599.7, "1 h 0 min"),
        (7260, "2 h 1 min"),
    ],
)
def test_seconds(value: float, shown: str) -> None:
    assert seconds(value) == shown


def test_amounts_have_their_unit() -> None:
    assert amount(202_430_000, "ns") == "202.43 ms"
    assert amount(37_905_122, "guest instructions") == "37.91 M guest instructions"
    assert amount(4096, "guest instructions") == "4,096 guest instructions"


def test_a_ratio_needs_two_rows_of_one_unit_and_size() -> None:
    write, memcpy = make.bench("write", 46), make.bench("memcpy", 100)
    assert bench_ratio((write, memcpy)) == "0.46"
    assert bench_ratio((write,)) is None
    assert bench_ratio((write, make.bench("memcpy", 0))) is None
    assert bench_ratio((write, make.bench("memcpy", 100, unit="ns"))) is None
    assert bench_ratio((write, make.bench("memcpy", 100, mib=32))) is None


def test_words() -> None:
    assert [counted(number, "patch", "patches") for number in (0, 1, 2)] == [
        "0 patches",
        "1 patch",
        "2 patches",
    ]
    assert slug("NEW-FAIL") == "new-fail"
    assert outcomes(Runs(outcomes=())) == "-"
    assert outcomes(Runs(outcomes=(Outcome.PASS, Outcome.FAIL, Outcome.PASS))) == "2 pass, 1 fail"


def test_the_bar_is_full_and_shows_even_one_in_a_thousand() -> None:
    parts = shares({"PASS": 999, "NEW-FAIL": 1, "FIXED": 0})
    assert [(part.verdict.value, part.count) for part in parts] == [("PASS", 999), ("NEW-FAIL", 1)]
    assert sum(part.width for part in parts) == BAR
    assert [part.start for part in parts] == [0, parts[0].width]
    assert all(part.width >= 8 for part in parts)
    assert shares({"PASS": 0}) == ()
