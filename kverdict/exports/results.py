# SPDX-License-Identifier: GPL-2.0-or-later
"""A report as the list of results that test formats know: passed, failed, skipped, error.

They know four words where a verdict has seven.  What is lost in between must not be read as what
it is not: a failure is the series' alone, our trouble is an error, and whatever says nothing for
or against the series (fails on the base too, flaky, untestable) is skipped with its reason.
docs/exports.md has the table.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import Enum

from kverdict.judgement import (
    CaseVerdict,
    Finding,
    FindingKind,
    JudgedCase,
    Overall,
    Report,
    Runs,
    guests_of,
)
from kverdict.models import Build, GuestEnd, Outcome
from kverdict.render.view import outcomes
from kverdict.text import clip, one_line, printable
from kverdict.verdict import undermined

LONGEST_LINE = 400  # characters of one line of text
LONGEST_DETAIL = 8000  # characters of what stands below it
NOT_COUNTED = "not counted: the run ended in our trouble"
OWN_SUITE = "guest"  # cases that are not of kselftest or KUnit


class Mark(Enum):
    PASS = "pass"
    FAIL = "fail"
    SKIP = "skip"
    ERROR = "error"


@dataclass(frozen=True)
class Result:
    id: str  # of its group's ids
    title: str
    mark: Mark
    word: str  # the verdict that it stands for: "PRE-EXISTING"
    text: str = ""  # one line: why it is no plain pass
    detail: str = ""
    seconds: float | None = None  # measured on the patched kernel
    timed_out: bool = False


@dataclass(frozen=True)
class Group:
    name: str
    results: tuple[Result, ...]


_MARKS = {
    CaseVerdict.PASS: Mark.PASS,
    CaseVerdict.FIXED: Mark.PASS,
    CaseVerdict.NEW_FAIL: Mark.FAIL,
    CaseVerdict.PRE_EXISTING: Mark.SKIP,
    CaseVerdict.FLAKY: Mark.SKIP,
    CaseVerdict.UNTESTABLE: Mark.SKIP,
    CaseVerdict.INFRA: Mark.ERROR,
}
_OF_OVERALL = {
    Overall.GOOD: Mark.PASS,
    Overall.BAD: Mark.FAIL,
    Overall.UNTESTABLE: Mark.SKIP,
    Overall.TROUBLE: Mark.ERROR,
}


def mark_of(verdict: CaseVerdict, *, believed: bool) -> Mark:
    """``believed`` is false where our trouble takes the ground from under all that ran."""
    mark = _MARKS[verdict]
    return Mark.SKIP if mark in (Mark.PASS, Mark.FAIL) and not believed else mark


def results(report: Report) -> tuple[Group, ...]:
    """All of them, by group: the whole verdict, the stages in the order of the work, the cases.

    Something has failed exactly when the series is bad.  Advice is not among them.
    """
    doubt = undermined(report)
    groups = (
        Group("verdict", (_whole(report),)),
        Group("config", tuple(_config(report, doubt))),
        Group("build", tuple(_builds(report, doubt))),
        Group("warnings", tuple(_warnings(report, doubt))),
        Group("boot", tuple(_boots(report, doubt))),
        Group("console", tuple(_console(report, doubt))),
        *_cases(report, doubt),
        Group("patches", tuple(_in_between(report, doubt))),
    )
    return tuple(group for group in groups if group.results)


def plain_line(text: str) -> str:
    """One line without control characters, of bounded length."""
    return one_line(text[: 4 * LONGEST_LINE])[:LONGEST_LINE].rstrip()


def plain_detail(text: str, most: int = LONGEST_DETAIL) -> str:
    """Lines without control characters; of a long text the beginning, and how much is left out."""
    kept, left = clip(text, most)
    shown = printable(kept)
    return f"{shown}\n[{left:,} more characters: verdict.json]" if left else shown


def _whole(report: Report) -> Result:
    verdict = report.verdict
    return Result(
        id="series",
        title=plain_line(report.series.subject),
        mark=_OF_OVERALL[verdict.overall],
        word=verdict.overall.value,
        text="" if verdict.overall is Overall.GOOD else plain_line(verdict.headline),
    )


def _found(report: Report, kind: FindingKind) -> list[Finding]:
    return [one for one in report.verdict.findings if one.kind is kind and not one.advice]


def _of_finding(id: str, finding: Finding, doubt: str | None) -> Result:
    return _result(id, finding.title, finding.verdict, finding.title, finding.detail, doubt)


def _result(
    id: str, title: str, verdict: CaseVerdict, text: str, detail: str, doubt: str | None
) -> Result:
    mark = mark_of(verdict, believed=doubt is None)
    if doubt is not None and _MARKS[verdict] is not mark:
        text = NOT_COUNTED
    return Result(
        id=id,
        title=plain_line(title),
        mark=mark,
        word=verdict.value,
        text=plain_line(text) if verdict is not CaseVerdict.PASS or doubt else "",
        detail=plain_detail(detail),
    )


def _numbered(report: Report, kind: FindingKind, name: str, doubt: str | None) -> Iterator[Result]:
    for number, finding in enumerate(_found(report, kind), start=1):
        yield _of_finding(f"{name}-{number}", finding, doubt)


def _config(report: Report, doubt: str | None) -> Iterator[Result]:
    found = tuple(_numbered(report, FindingKind.CONFIG, "symbol", doubt))
    if report.patched_evaluation.config is not None and not found:
        title = "the required symbols are as asked"
        found = (_result("symbols", title, CaseVerdict.PASS, "", "", doubt),)
    yield from found


def _builds(report: Report, doubt: str | None) -> Iterator[Result]:
    found = _found(report, FindingKind.BUILD)
    total = len(report.patch_evaluations)
    yield _built("base", "the base builds", report.base_evaluation.build, doubt)
    for number, evaluation in enumerate(report.patch_evaluations, start=1):
        own = [finding for finding in found if finding.patch == number]
        id, title = f"patch-{number}", f"patch {number}/{total} builds"
        if own:
            yield _of_finding(id, own[0], doubt)
        else:
            yield _built(id, title, evaluation.build, doubt)
    for number, finding in enumerate((one for one in found if one.patch is None), start=1):
        yield _of_finding(f"series-{number}", finding, doubt)


def _built(id: str, title: str, build: Build | None, doubt: str | None) -> Result:
    """A build that no finding is about: what is broken stood broken before."""
    if build is None:
        return _result(id, title, CaseVerdict.UNTESTABLE, "it was not built", "", doubt)
    if not build.ok:
        return _result(id, title, CaseVerdict.PRE_EXISTING, "it does not build", "", doubt)
    return replace(_result(id, title, CaseVerdict.PASS, "", "", doubt), seconds=build.seconds)


def _warnings(report: Report, doubt: str | None) -> Iterator[Result]:
    found = tuple(_numbered(report, FindingKind.WARNING, "warning", doubt))
    build = report.patched_evaluation.build
    if build is not None and build.ok and not found:
        title = "the compiler has no new warning"
        found = (_result("compiler", title, CaseVerdict.PASS, "", "", doubt),)
    yield from found


def _boots(report: Report, doubt: str | None) -> Iterator[Result]:
    guest = report.patched_evaluation.guest
    if guest is not None and guest.end is GuestEnd.DONE:
        title = "the guest came to its end"
        yield _result("guest", title, CaseVerdict.PASS, "", "", doubt)
    yield from _numbered(report, FindingKind.BOOT, "guest", doubt)


def _console(report: Report, doubt: str | None) -> Iterator[Result]:
    if guests := guests_of(report.patched_evaluation):
        scanned = all(guest.console_scanned for guest in guests)
        verdict = CaseVerdict.PASS if scanned else CaseVerdict.INFRA
        why = "" if scanned else "the console could not be scanned"
        yield _result("scan", "the console was scanned", verdict, why, "", doubt)
    yield from _numbered(report, FindingKind.CONSOLE, "report", doubt)


# --- cases ----------------------------------------------------------------------------------------


def group_of(case: str) -> str:
    """ "kselftest" and "kunit" for what those brought, else our own suite."""
    name, dot, _ = case.partition(".")
    return name if dot and name in ("kselftest", "kunit") else OWN_SUITE


def _cases(report: Report, doubt: str | None) -> Iterator[Group]:
    seconds = _seconds(report)
    names = dict.fromkeys(group_of(case.id) for case in report.verdict.cases)
    for name in names:
        yield Group(
            name,
            tuple(
                _case(case, seconds.get(case.id), doubt)
                for case in report.verdict.cases
                if group_of(case.id) == name
            ),
        )


def _in_between(report: Report, doubt: str | None) -> Iterator[Result]:
    """Cases that fail on a patch and pass at the end: the series' failures, not those of a case."""
    for finding in _found(report, FindingKind.CASE):
        if finding.patch is not None and finding.key != f"case:{finding.case}":
            yield _of_finding(f"patch-{finding.patch}/{finding.case}", finding, doubt)


def _seconds(report: Report) -> dict[str, float]:
    """Of the first boot of the patched kernel that asked the case."""
    found: dict[str, float] = {}
    for guest in guests_of(report.patched_evaluation):
        for case in guest.cases:
            if case.outcome is not Outcome.NOT_RUN:
                found.setdefault(case.id, case.seconds)
    return found


def _case(case: JudgedCase, seconds: float | None, doubt: str | None) -> Result:
    said = case.patched.message or case.base.message
    text = f"base: {outcomes(case.base)}; patched: {outcomes(case.patched)}"
    if said:
        text = f"{text}; {said}"
    made = _result(case.id, case.title, case.verdict, text, said, doubt)
    return replace(
        made,
        id=printable(case.id, keep=""),
        detail=f"{made.detail}\nSource: {plain_line(case.source)}".strip() if made.text else "",
        seconds=seconds,
        timed_out=_timed_out(case.patched),
    )


def _timed_out(runs: Runs) -> bool:
    return Outcome.TIMEOUT in runs.outcomes and Outcome.FAIL not in runs.outcomes
