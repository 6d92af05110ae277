# SPDX-License-Identifier: GPL-2.0-or-later
"""What is remembered between nights."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from kverdict.errors import ExitStatus, InfraError
from kverdict.heads import Bisected, Ended, HeadNight, HeadState
from kverdict.nights import Night, Nights, Tonight, past_of

BEGAN = datetime(2026, 11, 22, 23, 53, tzinfo=UTC)


def night(number: int, tree: str = "mainline", *heads: HeadNight, **changes: object) -> Night:
    tonight = Tonight(number=number, began=BEGAN)
    return Night.model_validate(
        {"night": tonight, "tree": tree, "spec": "/linux", "done": True, "heads": heads} | changes
    )


def head(ref: str, commit: str, *runs: str) -> HeadNight:
    bisected = tuple(
        Bisected(question="x", keys=(), good="g", ended=Ended.PROVEN, text="", run=run)
        for run in runs
    )
    return HeadNight(
        ref=ref, commit=commit, asked="a", state=HeadState.GOOD, headline="", bisected=bisected
    )


@pytest.fixture
def nights(tmp_path: Path) -> Nights:
    (tmp_path / "runs").mkdir()
    return Nights.below(tmp_path / "runs")


def test_history_is_the_files_the_newest_first(nights: Nights) -> None:
    with nights.alone():
        for number in (2, 10, 9):
            nights.write(night(number))
        nights.write(night(10, "linux next"))
    assert [one.night.number for one in nights.of("mainline")] == [10, 9, 2]
    assert sorted(nights.all()) == ["linux next", "mainline"]
    assert (nights.home / "linux-next/0010-20261122.json").is_file()


def test_a_night_that_began_goes_on_until_its_end(nights: Nights) -> None:
    with nights.alone():
        first = nights.begin(BEGAN)
        assert nights.begin(BEGAN + timedelta(days=1)) == first
        nights.write(night(1))
        nights.end()
        second = nights.begin(BEGAN - timedelta(days=1))  # the clock went back
    assert (first.number, second.number) == (1, 2)
    assert second.name == "0002-20261121"


def test_a_night_is_named_in_utc(nights: Nights) -> None:
    with nights.alone():
        east = BEGAN.astimezone(timezone(timedelta(hours=9)))
        assert nights.begin(east).name == "0001-20261122"


@pytest.mark.parametrize("content", ["", "{", '{"number": "x"}', "[]"])
def test_damaged_files_are_passed_over(nights: Nights, content: str) -> None:
    with nights.alone():
        nights.write(night(1))
        (nights.home / "mainline/0002-20261122.json").write_text(content)
        (nights.home / "tonight.json").write_text(content)
        assert [one.night.number for one in nights.of("mainline")] == [1]
        assert nights.begin(BEGAN).number == 2


def test_the_file_of_another_version_is_passed_over(nights: Nights) -> None:
    with nights.alone():
        nights.write(night(1))
        path = nights.home / "mainline/0001-20261122.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | {"colour": "red"}))
        assert nights.of("mainline") == ()


def test_only_one_works_here(nights: Nights) -> None:
    with nights.alone():
        with pytest.raises(InfraError, match="another nightly works in") as caught, nights.alone():
            pass
        assert caught.value.status is ExitStatus.BUSY
    with nights.alone():
        pass


def test_drafts_of_killed_nights_go(nights: Nights) -> None:
    with nights.alone():
        nights.write(night(1))
    left = nights.home / "mainline/.0001-20261122.json.ab12cd34"
    left.touch()
    with nights.alone():
        assert not left.exists()


def test_the_past_of_a_ref(nights: Nights) -> None:
    known = (
        night(3, "m", head("a", "3")),
        night(2, "m", head("b", "2")),
        night(1, "m", head("a", "1")),
    )
    assert [(number, one.commit) for number, one in past_of(known, "a", 3)] == [(1, "1")]
    assert [number for number, _ in past_of(known, "a", 4)] == [3, 1]


def test_the_runs_of_a_night() -> None:
    both = night(1, "m", head("a", "1", "run-2"), head("b", "2", "run-3"), run="run-1")
    assert both.runs == ("run-1", "run-2", "run-3")
    assert night(1).runs == ()
