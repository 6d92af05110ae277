# SPDX-License-Identifier: GPL-2.0-or-later
"""When a reply may offer ``Tested-by:``: pure rules over what a run shows, each with its reason.

The trailer stays in a commit for ever and has a person's name, so each point has to be shown; what
was not looked at is not shown.  Which points are required is the user's (``[reply]`` in
pipeline.toml); that the verdict is GOOD always is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import Enum
from fnmatch import fnmatchcase
from types import MappingProxyType

from pydantic import Field

from kverdict.judgement import CaseVerdict, Evidence, Overall, Proof, Report, Runs
from kverdict.models import Frozen, GuestEnd

_NAMED = 5


class Point(Enum):
    """What can be required; docs/replies.md has the meanings."""

    BUILT = "built"
    REACH = "reach"
    CONFIG = "config"
    IDENTITY = "identity"
    CONSOLE = "console"
    CASES = "cases"
    BASE = "base"
    COVERAGE = "coverage"


class ReplySettings(Frozen):
    """``[reply]`` of pipeline.toml."""

    tested_by: tuple[Point, ...] = tuple(Point)  # required for Tested-by
    cases: tuple[str, ...] = ("*",)  # of the suite, with * and ?: neither skipped nor flaky
    coverage: float | None = Field(None, ge=0, le=100)  # per cent of added lines, at least
    advice: int = Field(0, ge=0, le=50)  # remarks that are advice in one mail, at most


class Held(Frozen):
    """Whether one point holds, and what of the run says so."""

    point: str
    holds: bool
    why: str


class Offer(Frozen):
    """Whether the trailer is offered: when all points hold."""

    points: tuple[Held, ...]

    @property
    def made(self) -> bool:
        return all(point.holds for point in self.points)

    @property
    def failed(self) -> tuple[Held, ...]:
        return tuple(point for point in self.points if not point.holds)


def offer(report: Report, settings: ReplySettings) -> Offer:
    """The verdict, and each point that is required."""
    overall = report.verdict.overall
    verdict = Held(point="verdict", holds=overall is Overall.GOOD, why=report.verdict.headline)
    points = (_RULES[point](report, settings) for point in dict.fromkeys(settings.tested_by))
    return Offer(points=(verdict, *points))


def _built(report: Report, settings: ReplySettings) -> Held:
    builds = [item.build for item in report.patch_evaluations]
    total = len(report.series.patches)
    good = sum(build is not None and build.ok for build in builds)
    return _held(Point.BUILT, good == total > 0, f"{good} of {total} patches built")


def _reach(report: Report, settings: ReplySettings) -> Held:
    """Every touched source file is compiled; a run whose build was not asked claims nothing."""
    lines = _evidence(report, "reach")
    if not lines:
        return _held(Point.REACH, True, "which files are compiled was not looked at")
    return _all_hold(Point.REACH, lines, 1, "reach")


def _config(report: Report, settings: ReplySettings) -> Held:
    """Every required symbol as asked on both kernels, and the same read back in the guests."""
    return _by_evidence(Point.CONFIG, report, {"config": 2, "running config": 2})


def _identity(report: Report, settings: ReplySettings) -> Held:
    """The kernels that ran are those built, and the series' code could not have said so itself."""
    return _by_evidence(Point.IDENTITY, report, {"identity": 2, "sandbox": 1})


def _console(report: Report, settings: ReplySettings) -> Held:
    lines = [item for item in _evidence(report, "console") if item.text.startswith("patched: ")]
    return _all_hold(Point.CONSOLE, lines, 1, "console")


def _cases(report: Report, settings: ReplySettings) -> Held:
    """No required case was skipped, gave no answer or is flaky.

    A flaky one was seen to fail, and nobody knows that the series has no part in it.  A pattern
    that names no case is a mistake.
    """
    unmet, flaky = [], []
    shaky = {one.case for one in report.verdict.findings if one.verdict is CaseVerdict.FLAKY}
    for pattern in settings.cases:
        named = [case for case in report.verdict.cases if fnmatchcase(case.id, pattern)]
        if not named:
            return _held(Point.CASES, False, f"no case is named {pattern}")
        unmet += [case.id for case in named if not _answered(case.patched)]
        flaky += [case.id for case in named if case.id in shaky]
    why = [
        f"{what}: {_some(ids)}"
        for what, ids in (("skipped or unanswered", unmet), ("flaky", flaky))
        if ids
    ]
    return _held(Point.CASES, not why, "; ".join(why) or "no required case was skipped or is flaky")


def _some(ids: list[str]) -> str:
    """The first of them, each once, and how many more there are."""
    once = list(dict.fromkeys(ids))
    more = f" and {len(once) - _NAMED} more" if len(once) > _NAMED else ""
    return ", ".join(once[:_NAMED]) + more


def _answered(runs: Runs) -> bool:
    return runs.answered and not runs.skipped


def _base(report: Report, settings: ReplySettings) -> Held:
    """The base builds, its guest came to its end, and nothing failed there that still fails."""
    base = report.base_evaluation
    if base.build is None or not base.build.ok:
        return _held(Point.BASE, False, "the base does not build")
    if base.guest is None or base.guest.end is not GuestEnd.DONE:
        return _held(Point.BASE, False, "the base's guest did not come to its end")
    lines = [item for item in _evidence(report, "console") if item.text.startswith("base: ")]
    if not (console := _all_hold(Point.BASE, lines, 1, "console")).holds:
        return console
    old = [
        finding.case or finding.title
        for finding in report.verdict.findings
        if finding.verdict is CaseVerdict.PRE_EXISTING
    ]
    flaky = [case for case in report.verdict.cases if case.verdict is CaseVerdict.FLAKY]
    old += [case.id for case in flaky if case.base.bad and case.patched.bad]
    if old:
        return _held(Point.BASE, False, f"fails on the base too: {_some(old)}")
    return _held(Point.BASE, True, "the base builds, runs to its end and is clean")


def _coverage(report: Report, settings: ReplySettings) -> Held:
    if settings.coverage is None:
        return _held(Point.COVERAGE, True, "not measured, and no limit is set")
    return _held(Point.COVERAGE, False, f"not measured; the limit is {settings.coverage:g} %")


_RULES: Mapping[Point, Callable[[Report, ReplySettings], Held]] = MappingProxyType(
    {
        Point.BUILT: _built,
        Point.REACH: _reach,
        Point.CONFIG: _config,
        Point.IDENTITY: _identity,
        Point.CONSOLE: _console,
        Point.CASES: _cases,
        Point.BASE: _base,
        Point.COVERAGE: _coverage,
    }
)


def _held(point: Point, holds: bool, why: str) -> Held:
    return Held(point=point.value, holds=holds, why=why)


def _evidence(report: Report, name: str) -> list[Evidence]:
    return [item for item in report.verdict.evidence if item.name == name]


def _by_evidence(point: Point, report: Report, wanted: Mapping[str, int]) -> Held:
    """At least so many lines of each name are there, and all of them hold."""
    for name, number in wanted.items():
        held = _all_hold(point, _evidence(report, name), number, name)
        if not held.holds:
            return held
    return _held(point, True, f"{', '.join(wanted)} hold")


def _all_hold(point: Point, lines: list[Evidence], number: int, name: str) -> Held:
    if bad := [item for item in lines if item.proof is not Proof.HOLDS]:
        what = "" if name == point.value else f"{name}: "
        return _held(point, False, f"{what}{bad[0].text}")
    if len(lines) < number:
        return _held(point, False, f"{name}: not shown for both kernels")
    return _held(point, True, f"{name} holds")
