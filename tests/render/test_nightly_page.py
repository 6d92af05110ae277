# SPDX-License-Identifier: GPL-2.0-or-later
"""The index over all nights and the summary of one, from whole histories."""

from __future__ import annotations

import base64
import re
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from kverdict.heads import (
    Answer,
    Bisected,
    CaseNight,
    Ended,
    Found,
    HeadNight,
    HeadState,
)
from kverdict.judgement import CaseVerdict
from kverdict.nights import Night, Nights, Tonight
from kverdict.render.history import bench_svg
from kverdict.render.nightly import html, publish, subject, text
from kverdict.render.nights_view import linked, tree_page
from kverdict.runs import read_links
from kverdict.settings import HOME, NightlySettings, NightlyTree
from tests import factories

TEMPLATES = HOME / "templates"
BEGAN = datetime(2026, 11, 1, 2, 0, tzinfo=UTC)
SETTINGS = NightlySettings(
    trees=(NightlyTree(name="mainline", tree="/linux", refs=("master",)),), nights=3
)
LETTERS = {"P": Answer.PASS, "F": Answer.FAIL, "s": Answer.SKIP, "~": Answer.FLAKY}


def tonight(number: int) -> Tonight:
    return Tonight(number=number, began=BEGAN + timedelta(days=number))


def head(answers: dict[str, str], state: HeadState = HeadState.GOOD, **changes: Any) -> HeadNight:
    cases = tuple(CaseNight(id=id, answer=LETTERS[sign]) for id, sign in answers.items())
    return HeadNight(
        **{
            "ref": "master",
            "commit": "c0" * 20,
            "asked": "a",
            "state": state,
            "headline": "no new failure: 2 cases passed",
            "cases": cases,
            "accelerator": "tcg",
            "evaluation": "e1" * 32,
            **changes,
        }
    )


def night(number: int, *heads: HeadNight, **changes: Any) -> Night:
    return Night(
        **{
            "night": tonight(number),
            "tree": "mainline",
            "spec": "/linux",
            "done": True,
            "run": f"run-{number}",
            "heads": heads,
            **changes,
        }
    )


def failure(case: str = "write.page", since: int = 2, **changes: Any) -> Found:
    return Found(
        **{
            "key": f"case:{case}",
            "kind": "case",
            "verdict": CaseVerdict.NEW_FAIL,
            "title": "a page is written",
            "detail": "expected 4096, got -1 EINVAL",
            "case": case,
            "since": since,
            "question": case,
            **changes,
        }
    )


CULPRIT = Bisected(
    question="write.page",
    keys=("case:write.page",),
    good="g",
    ended=Ended.PROVEN,
    text="first bad commit: abcdef KVM: break it",
    run="bisect-2",
    culprits=("abcdef" * 6 + "abcd",),
    subject="KVM: break it",
    author="Alice Example <alice@example.org>",
)


def history(*rows: dict[str, str], **changes: Any) -> tuple[Night, ...]:
    """A night for each, the newest first."""
    nights = [night(number, head(row, **changes)) for number, row in enumerate(rows, start=1)]
    return tuple(reversed(nights))


def pages(*trees: Sequence[Night]) -> str:
    made = [tree_page(nights, SETTINGS, gone=False) for nights in trees]
    return html(made, templates=TEMPLATES)


# --- cases over the nights ------------------------------------------------------------------------


def test_cases_that_turn_or_fail_stand_apart_from_those_that_do_not() -> None:
    nights = history(
        {"a.same": "P", "a.turns": "P", "a.fails": "F", "a.skips": "s"},
        {"a.same": "P", "a.turns": "F", "a.fails": "F", "a.skips": "s", "a.new": "P"},
    )
    (track,) = tree_page(nights, SETTINGS, gone=False).tracks
    trends = {trend.case: "".join(cell.sign for cell in trend.cells) for trend in track.turning}
    assert trends == {"a.turns": "PF", "a.fails": "FF"}
    assert dict(track.steady) == {"pass": 2, "skip": 1}
    steady = {
        trend.case: "".join(cell.sign for cell in trend.cells) for trend in track.steady_cases
    }
    assert steady == {"a.same": "PP", "a.skips": "ss", "a.new": " P"}


def test_what_is_flaky_was_seen_both_ways_or_goes_back_and_forth() -> None:
    rows = [
        {"both": "~", "turns": "P", "broke": "P", "mended": "F"},
        {"both": "P", "turns": "F", "broke": "P", "mended": "P"},
        {"both": "~", "turns": "P", "broke": "F", "mended": "P"},
        {"both": "P", "turns": "F", "broke": "F", "mended": "P"},
    ]
    settings = SETTINGS.model_copy(update={"nights": 9})
    (track,) = tree_page(history(*rows), settings, gone=False).tracks
    assert [(item.case, item.nights, item.turns) for item in track.flaky] == [
        ("both", 2, 0),
        ("turns", 0, 3),
    ]


def test_a_night_without_a_kernel_has_no_column() -> None:
    nights = (night(2, head({}, HeadState.BAD)), night(1, head({"a": "P"})))
    (track,) = tree_page(nights, SETTINGS, gone=False).tracks
    assert [len(trend.cells) for trend in track.steady_cases] == [1]
    assert len(track.rows) == 2


# --- whose it is ----------------------------------------------------------------------------------


def test_a_failure_keeps_its_bisection_until_a_good_night() -> None:
    bad: dict[str, Any] = {"state": HeadState.BAD, "found": (failure(),)}
    nights = (
        night(5, head({}, **{**bad, "found": (failure(since=5),)})),
        night(4, head({})),
        night(3, head({}, **bad)),
        night(2, head({}, bisected=(CULPRIT,), **bad)),
        night(1, head({})),
    )
    (track,) = tree_page(nights, SETTINGS, gone=False).tracks
    shown = [[(one.new, one.bisected) for one in row.failures] for row in track.rows]
    assert shown == [[(True, None)], [], [(False, CULPRIT)], [(True, CULPRIT)], []]


def test_the_runs_of_the_newest_nights_are_linked_and_bisections_of_what_they_show() -> None:
    bad: dict[str, Any] = {"state": HeadState.BAD, "found": (failure(),)}
    nights = (
        *(night(number, head({}, **bad)) for number in (6, 5, 4, 3)),
        night(2, head({}, bisected=(CULPRIT,), **bad)),
        night(1, head({})),
    )
    assert set(linked([nights], 3)) == {"run-6", "run-5", "run-4", "bisect-2"}
    page = pages(nights)
    links = set(re.findall(r'href="\.\./([^/"]+)/', page))
    assert links == set(linked([nights], SETTINGS.nights))


def test_each_ref_counts_its_own_nights() -> None:
    nights = [night(number, head({"a": "P"})) for number in range(9, 1, -1)]
    nights.append(night(1, head({"a": "P"}, ref="stable")))
    assert "run-1" in linked([nights], 3)


# --- benchmarks -----------------------------------------------------------------------------------


def measured(*medians: int, unit: str = "guest instructions") -> tuple[Night, ...]:
    return tuple(
        night(
            number,
            head({"a": "P"}, bench=(factories.bench("write", *[m - 9, m, m + 9], unit=unit),)),
        )
        for number, m in reversed(list(enumerate(medians, start=1)))
    )


def test_a_benchmark_is_a_picture_of_its_medians_and_their_band() -> None:
    (track,) = tree_page(measured(1_000_000, 1_100_000), SETTINGS, gone=False).tracks
    (bench,) = track.benches
    assert [(night, row.median) for night, row in bench.points] == [(1, 1_000_000), (2, 1_100_000)]
    assert bench.limit == pytest.approx(1_122_000)  # of the last good night
    picture = bench_svg(bench.points, bench.limit)
    assert picture == bench_svg(bench.points, bench.limit)
    assert ET.fromstring(picture).tag == "{http://www.w3.org/2000/svg}svg"
    assert b"M instructions" in picture
    page = pages(measured(1_000_000, 1_100_000))
    (data,) = re.findall(r'src="data:image/svg\+xml;base64,([^"]+)"', page)
    assert base64.b64decode(data) == picture


def test_other_units_are_other_pictures() -> None:
    nights = (*measured(5_000_000, unit="ns"), *measured(7))
    nights = (nights[0].model_copy(update={"night": tonight(2)}), nights[1])
    (track,) = tree_page(nights, SETTINGS, gone=False).tracks
    assert [bench.points[0][1].unit for bench in track.benches] == ["guest instructions", "ns"]
    assert b">ms<" in bench_svg(track.benches[1].points, None)


# --- the pages ------------------------------------------------------------------------------------


class Shape(HTMLParser):
    """Whether every element is closed by its own end."""

    VOID = frozenset({"meta", "img", "br"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert not any(name.startswith("on") or name == "style" for name, _ in attrs)
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def everything() -> tuple[Night, ...]:
    found = (
        failure(since=3),
        failure("write.flaky", verdict=CaseVerdict.FLAKY),
        failure("write.fixed", verdict=CaseVerdict.FIXED),
        *(failure(f"write.{number}") for number in range(30)),
    )
    bench = (factories.bench("write", 1, 2, 3),)
    return (
        night(4, trouble="https://example.org: git fetch failed: no route", run=None),
        night(3, head({"a": "F"}, HeadState.BAD, found=found, bisected=(CULPRIT,), bench=bench)),
        night(2, head({"a": "~"}, HeadState.TROUBLE, evaluation=None)),
        night(1, head({"a": "P"}, HeadState.FIRST)),
    )


def test_a_page_with_everything_is_well_formed_and_loads_nothing() -> None:
    page = pages(everything())
    shape = Shape()
    shape.feed(page)
    shape.close()
    assert shape.open == []
    assert "default-src &#39;none&#39;" in page or "default-src 'none'" in page
    assert not re.search(r'(?:src|href)="(?!data:|\.\./)', page)
    assert "... and 11 more" in page
    assert page.count("git fetch failed: no route") == 2, "of the newest night also at the top"
    for word in ("chip new", "chip fixed", "chip flaky", "KVM: break it"):
        assert word in page


def test_no_night_yet() -> None:
    assert "No night yet" in html([], templates=TEMPLATES)


def test_a_tree_that_could_never_be_looked_at() -> None:
    page = pages((night(1, trouble="it is missing", run=None),))
    assert "it is missing" in page
    assert "Nothing yet." in page  # of the ref in the settings


def test_the_summary_says_what_is_new_and_what_was_there() -> None:
    told = night(
        3,
        head(
            {},
            HeadState.BAD,
            headline="new failures: 2 cases",
            found=(failure(since=3), failure("write.old", since=2)),
            bisected=(CULPRIT,),
        ),
    )
    lines = text(tonight(3), (told,), templates=TEMPLATES).splitlines()
    assert lines[0] == "Night 3, 2026-11-04 02:00 UTC"
    assert "    NEW  write.page: a page is written" in lines
    assert "        expected 4096, got -1 EINVAL" in lines
    assert "        proven: first bad commit: abcdef KVM: break it" in lines
    assert "    since night 2  write.old: a page is written" in lines


@pytest.mark.parametrize(
    ("nights", "said"),
    [
        ((night(3, head({})),), "no new failure"),
        ((night(3, head({}, HeadState.BAD, found=(failure(since=3),))),), "1 new failure"),
        ((night(3, head({}, HeadState.BAD, found=(failure(since=2),))),), "no new failure"),
        (
            (night(3, trouble="gone"), night(3, head({}, HeadState.TROUBLE))),
            "no new failure, 2 could not be tested",
        ),
    ],
)
def test_the_subject_says_whether_something_is_new(nights: tuple[Night, ...], said: str) -> None:
    assert subject(tonight(3), nights) == f"[nightly] 2026-11-04: {said}"


def test_what_is_published_links_to_what_stays(tmp_path: Path) -> None:
    nights = Nights(tmp_path / "nightly")
    with nights.alone():
        for one in everything():
            nights.write(one)
        gone = night(1, head({"a": "P"})).model_copy(update={"tree": "old tree", "run": "run-0"})
        nights.write(gone)
        page = publish(nights, tonight(4), SETTINGS, templates=TEMPLATES)
    assert page.read_text().count("no longer in the settings") == 1
    links = re.findall(r'href="\.\./([^/"]+)/', page.read_text())
    assert set(links) == read_links(nights.home) == {"run-0", "run-1", "run-2", "run-3", "bisect-2"}
    names = {path.name for path in nights.home.iterdir() if path.is_file()}
    mail = {f"nightly-0004-20261105.{kind}" for kind in ("eml", "txt")}
    assert names == {".lock", "index.html", "links.json", *mail}
