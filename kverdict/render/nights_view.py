# SPDX-License-Identifier: GPL-2.0-or-later
"""What the index and the summary show of the nights, put side by side; it judges nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from kverdict.heads import (
    COMPARED_WITH,
    Answer,
    Bisected,
    Found,
    HeadNight,
    HeadState,
)
from kverdict.models import BenchRow
from kverdict.nights import Night
from kverdict.settings import NightlySettings

SIGNS = {
    Answer.PASS: "P",
    Answer.FAIL: "F",
    Answer.SKIP: "s",
    Answer.FLAKY: "~",
    Answer.NONE: "?",
    None: " ",  # not planned in that night
}
# Words for CSS classes that style.css has.
_CLASSES = {
    Answer.PASS: "pass",
    Answer.FAIL: "new-fail",
    Answer.SKIP: "untestable",
    Answer.FLAKY: "flaky",
    Answer.NONE: "infra",
    None: "untestable",
}
_STATE_CLASSES = {
    HeadState.GOOD: "good",
    HeadState.FIRST: "good",
    HeadState.BAD: "bad",
    HeadState.UNTESTABLE: "untestable",
    HeadState.TROUBLE: "trouble",
}


@dataclass(frozen=True)
class Failure:
    """A failure with the bisection that was made for it, whichever night that was."""

    found: Found
    new: bool
    bisected: Bisected | None


@dataclass(frozen=True)
class NightRow:
    """One ref in one night."""

    night: Night
    head: HeadNight
    failures: tuple[Failure, ...]
    flaky: tuple[Found, ...]
    fixed: tuple[Found, ...]
    linked: bool  # its runs are kept

    @property
    def state(self) -> str:
        return _STATE_CLASSES[self.head.state]


@dataclass(frozen=True)
class Cell:
    sign: str
    kind: str  # a word for a CSS class
    night: int


@dataclass(frozen=True)
class Trend:
    """A case over the nights, the oldest first."""

    case: str
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class Flaky:
    case: str
    nights: int  # in which it passed and failed on one kernel
    turns: int  # from pass to fail or back, between two nights


@dataclass(frozen=True)
class Bench:
    """A benchmark over the nights, the oldest first; of one accelerator, unit and size."""

    name: str
    accelerator: str
    points: tuple[tuple[int, BenchRow], ...]
    limit: float | None  # of the newest: from here on it is a regression


@dataclass(frozen=True)
class Track:
    """One ref of a tree."""

    ref: str
    rows: tuple[NightRow, ...]  # the newest first
    turning: tuple[Trend, ...]  # cases that did not always say the same, or fail
    steady: tuple[tuple[str, int], ...]  # what the other cases always said, and how many
    steady_cases: tuple[Trend, ...]
    flaky: tuple[Flaky, ...]
    benches: tuple[Bench, ...]


@dataclass(frozen=True)
class TreePage:
    name: str
    spec: str
    gone: bool  # no longer in the settings
    troubles: tuple[Night, ...]  # nights in which it could not be looked at
    tracks: tuple[Track, ...]

    @property
    def unseen(self) -> Night | None:
        """The newest night, when it could not be looked at then."""
        newest = self.newest
        late = self.troubles[:1]
        if not late or (newest is not None and newest.night.night.number > late[0].night.number):
            return None
        return late[0]

    @property
    def newest(self) -> NightRow | None:
        rows = [track.rows[0] for track in self.tracks if track.rows]
        return max(rows, key=lambda row: row.night.night.number, default=None)


@dataclass(frozen=True)
class Told:
    """One tree in the summary of a night."""

    night: Night
    rows: tuple[NightRow, ...]


def linked(trees: Iterable[Sequence[Night]], most: int) -> tuple[str, ...]:
    """The runs that the index links to: of the newest nights of each tree, and of bisections that
    failures of these nights were found in before."""
    found: dict[str, None] = {}
    for nights in trees:
        for row in (row for track in _tracks(nights, most, ()) for row in track.rows):
            if not row.linked:
                continue
            runs = (row.night.run, *(one.bisected.run for one in row.failures if one.bisected))
            found |= dict.fromkeys(run for run in runs if run is not None)
    return tuple(found)


def tree_page(nights: Sequence[Night], settings: NightlySettings, *, gone: bool) -> TreePage:
    """``nights`` of one tree, the newest first."""
    refs = next((tree.refs for tree in settings.trees if tree.name == nights[0].tree), ())
    return TreePage(
        name=nights[0].tree,
        spec=nights[0].spec,
        gone=gone,
        troubles=tuple(night for night in nights if night.trouble),
        tracks=_tracks(nights, settings.nights, refs, slower=settings.slower_percent / 100),
    )


def told(night: Night) -> Told:
    """A night by itself: bisections of earlier ones are in the index."""
    rows = tuple(_row(night, head, {}, linked=True) for head in night.heads)
    return Told(night, rows)


def _tracks(
    nights: Sequence[Night], most: int, refs: Sequence[str], slower: float = 0
) -> tuple[Track, ...]:
    seen = dict.fromkeys((*refs, *(head.ref for night in nights for head in night.heads)))
    return tuple(_track(nights, ref, most, slower) for ref in seen)


def _track(nights: Sequence[Night], ref: str, most: int, slower: float) -> Track:
    """``most`` of the newest nights are kept with their runs, and shown case by case."""
    pairs = [(night, head) for night in nights for head in night.heads if head.ref == ref]
    bisections: dict[str, Bisected] = {}
    rows = []
    for place, (night, head) in reversed(list(enumerate(pairs))):
        if head.state in COMPARED_WITH:
            bisections.clear()  # what fails after this is another failure
        bisections |= {key: one for one in head.bisected for key in one.keys}
        rows.append(_row(night, head, bisections, linked=place < most))
    newest = [(night.night.number, head) for night, head in reversed(pairs[:most]) if head.cases]
    trends = _trends(newest)
    turning = tuple(trend for trend in trends if _turns(trend) or "F" in _said(trend))
    steady = tuple(trend for trend in trends if trend not in turning)
    counts = Counter(_word(trend) for trend in steady)
    return Track(
        ref=ref,
        rows=tuple(reversed(rows)),
        turning=turning,
        steady=tuple(counts.items()),
        steady_cases=steady,
        flaky=_flaky(trends),
        benches=_benches(newest, slower),
    )


def _row(
    night: Night, head: HeadNight, bisections: dict[str, Bisected], *, linked: bool
) -> NightRow:
    known = bisections | {key: one for one in head.bisected for key in one.keys}
    failures = tuple(
        Failure(found, found.since == night.night.number, known.get(found.key))
        for found in head.failures()
    )
    return NightRow(
        night=night,
        head=head,
        failures=failures,
        flaky=tuple(one for one in head.found if one.verdict.value == "FLAKY"),
        fixed=tuple(one for one in head.found if one.verdict.value == "FIXED"),
        linked=linked,
    )


# --- cases ----------------------------------------------------------------------------------------


def _trends(heads: Sequence[tuple[int, HeadNight]]) -> tuple[Trend, ...]:
    """In the suite's order of the newest night; cases that are gone since come last."""
    answers = [(number, {case.id: case.answer for case in head.cases}) for number, head in heads]
    order = dict.fromkeys(id for _, known in reversed(answers) for id in known)
    return tuple(
        Trend(id, tuple(_cell(known.get(id), number) for number, known in answers)) for id in order
    )


def _cell(answer: Answer | None, night: int) -> Cell:
    return Cell(SIGNS[answer], _CLASSES[answer], night)


def _said(trend: Trend) -> list[str]:
    return [cell.sign for cell in trend.cells if cell.sign != SIGNS[None]]


def _turns(trend: Trend) -> bool:
    return len(set(_said(trend))) > 1


def _word(trend: Trend) -> str:
    signs = {sign: answer for answer, sign in SIGNS.items() if answer is not None}
    return signs[_said(trend)[0]].value


def _flaky(trends: Iterable[Trend]) -> tuple[Flaky, ...]:
    """Seen both ways on one kernel, or gone back and forth between nights."""
    found = []
    for trend in trends:
        decided = [sign for sign in _said(trend) if sign in "PF"]
        turns = sum(one != other for one, other in pairwise(decided))
        both = _said(trend).count(SIGNS[Answer.FLAKY])
        if both or turns > 2:
            found.append(Flaky(trend.case, both, turns))
    return tuple(sorted(found, key=lambda one: (-one.nights, -one.turns)))


# --- benchmarks -----------------------------------------------------------------------------------


def _benches(heads: Sequence[tuple[int, HeadNight]], slower: float) -> tuple[Bench, ...]:
    series: dict[tuple[str, str, str, int], list[tuple[int, BenchRow]]] = {}
    good: dict[tuple[str, str, str, int], int] = {}
    for number, head in heads:
        for row in head.bench:
            key = (row.name, head.accelerator or "", row.unit, row.mib)
            series.setdefault(key, []).append((number, row))
            if head.state in COMPARED_WITH:
                good[key] = row.median
    return tuple(
        Bench(
            name=f"{name}, {mib} MiB",
            accelerator=accelerator,
            points=tuple(points),
            limit=good[key] * (1 + slower)
            if (key := (name, accelerator, unit, mib)) in good
            else None,
        )
        for (name, accelerator, unit, mib), points in series.items()
    )
