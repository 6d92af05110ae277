# SPDX-License-Identifier: GPL-2.0-or-later
"""What a night finds at one head, and the rules for it: pure, over evaluations and older nights.

Whether a case fails is decided where it is for a series (verdict.judge_commits): base is the last
good head, patched is tonight's.  What is decided here is what is new tonight, since when the rest
has been there, and from which commit on to look for its culprit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from enum import Enum

from kverdict.findings.suite import defect_of
from kverdict.judgement import (
    CaseVerdict,
    Finding,
    FindingKind,
    Overall,
    Runs,
    runs_of,
)
from kverdict.models import BenchRow, Evaluation, Frozen
from kverdict.pins import pinned
from kverdict.render.formats import INSTRUCTIONS
from kverdict.samples import FEWEST_ROUNDS, Above, counts_above, noise, rises_above
from kverdict.verdict import judge_commits

BENCH = "bench"  # beside the kinds of verdict.Finding


class HeadState(Enum):
    GOOD = "good"  # nothing new against the last good head
    FIRST = "first"  # nothing to compare with yet; later nights are compared with it
    BAD = "bad"
    UNTESTABLE = "cannot be tested here"
    TROUBLE = "our trouble"


COMPARED_WITH = (HeadState.GOOD, HeadState.FIRST)
_STATE_OF = {
    Overall.GOOD: HeadState.GOOD,
    Overall.BAD: HeadState.BAD,
    Overall.UNTESTABLE: HeadState.UNTESTABLE,
    Overall.TROUBLE: HeadState.TROUBLE,
}


class Answer(Enum):
    """What a case said of one head, in one word."""

    PASS = "pass"
    FAIL = "fail"
    SKIP = "skip"
    FLAKY = "flaky"  # both were seen on this one kernel
    NONE = "no answer"  # broken, or its turn never came


class CaseNight(Frozen):
    id: str
    answer: Answer


class Found(Frozen):
    """A finding at a head that is not as the last good one."""

    key: str  # the same finding in another night has the same
    kind: str  # of verdict.FindingKind, or "bench"
    verdict: CaseVerdict
    title: str
    detail: str
    case: str | None
    since: int  # number of the night that had it first, after the last good one
    question: str | None  # what `bisect --for` is asked; None: it cannot be


class Ended(Enum):
    """What came of a bisection."""

    PROVEN = "proven"
    CANDIDATES = "not proven"
    REFUSED = "could not be asked"  # the ends do not answer as they have to
    TROUBLE = "our trouble"  # asked again in the next night


class Bisected(Frozen):
    question: str
    keys: tuple[str, ...]  # of the findings that it stands for
    good: str  # commit
    ended: Ended
    text: str  # one line
    run: str | None = None  # name of its folder
    culprits: tuple[str, ...] = ()  # commits
    subject: str = ""  # of the culprit, when there is one
    author: str = ""


class HeadNight(Frozen):
    """One ref of a tree in one night."""

    ref: str
    commit: str
    asked: str  # digest of what was asked: of another one, the same head is evaluated again
    description: str = ""  # git describe
    subject: str = ""
    state: HeadState
    headline: str
    base: str | None = None  # the commit that it was compared with
    evaluation: str | None = None  # key, names the folder below evaluations/ of the run
    accelerator: str | None = None
    cases: tuple[CaseNight, ...] = ()
    bench: tuple[BenchRow, ...] = ()
    found: tuple[Found, ...] = ()
    bisected: tuple[Bisected, ...] = ()

    def failures(self) -> tuple[Found, ...]:
        return tuple(one for one in self.found if one.verdict is CaseVerdict.NEW_FAIL)

    def new(self, night: int) -> tuple[Found, ...]:
        """The failures that the night with this number had first."""
        return tuple(one for one in self.failures() if one.since == night)


Past = Sequence[tuple[int, HeadNight]]  # (number of the night, head) of one ref, the newest first


# --- what was before ------------------------------------------------------------------------------


def last_good(past: Past, there: Callable[[str], bool] = lambda commit: True) -> HeadNight | None:
    """The head that tonight's is compared with; one whose commit is gone is passed over."""
    good = (head for _, head in past if head.state in COMPARED_WITH)
    return next((head for head in good if there(head.commit)), None)


def needs_a_look(past: Past, commit: str, asked: str) -> bool:
    """Whether the newest night did not say already all that there is to say of this head."""
    if not past:
        return True
    _, head = past[0]
    unfinished = head.state is HeadState.TROUBLE or any(
        one.ended is Ended.TROUBLE for one in head.bisected
    )
    return unfinished or (head.commit, head.asked) != (commit, asked)


def since_the_last_good(past: Past) -> list[tuple[int, HeadNight]]:
    """The nights after the last good one, the newest first."""
    after = []
    for number, head in past:
        if head.state in COMPARED_WITH:
            break
        after.append((number, head))
    return after


# --- tonight --------------------------------------------------------------------------------------


class Compared(Frozen):
    """What there is to say of a head, before any bisection."""

    state: HeadState
    headline: str
    found: tuple[Found, ...]


def compare_heads(
    before: Evaluation | None, after: Evaluation, past: Past, *, night: int, slower: float
) -> Compared:
    """``before`` is of the last good head, None when there is none; ``slower`` is relative.

    Without one, a head is held against itself: what fails then is no news, and what takes the
    ground from under a comparison shows all the same.
    """
    base = before if before is not None else after
    overall, headline, _, findings = judge_commits(
        base, after, warnings=pinned(base, (after,), ({},))
    )
    told = [_found(one) for one in findings if not one.advice]
    if overall in (Overall.GOOD, Overall.BAD):
        told += _slower(base, after, slower)
    first = _first_seen(past)
    if overall is Overall.TROUBLE:
        told = []  # nothing is blamed on a commit that our own trouble may explain
    found = tuple(
        one.model_copy(update={"since": first.get(one.key, night)})
        for one in told
        if one.verdict is not CaseVerdict.PASS
    )
    state = _STATE_OF[overall]
    if state is HeadState.GOOD and before is None:
        state, headline = HeadState.FIRST, "nothing to compare with yet"
    worse = [one for one in found if one.kind == BENCH]
    if state is HeadState.GOOD and worse:
        state, headline = HeadState.BAD, f"new failure: {worse[0].title}"
    return Compared(state=state, headline=headline, found=found)


def _found(finding: Finding) -> Found:
    return Found(
        key=finding.key,
        kind=finding.kind.value,
        verdict=finding.verdict,
        title=finding.title,
        detail=finding.detail,
        case=finding.case,
        since=0,
        question=_question(finding),
    )


def _question(finding: Finding) -> str | None:
    """As `bisect --for` takes it; a symbol or a warning is no question there.

    A guest that died in a case is asked for with that case: "boot" boots without any.
    """
    return {
        FindingKind.CASE: finding.case,
        FindingKind.CONSOLE: finding.key,
        FindingKind.BOOT: finding.case or "boot",
        FindingKind.BUILD: "build",
    }.get(finding.kind)


def _first_seen(past: Past) -> dict[str, int]:
    """Which night had a failure first, of those that every night since the last good one may have.

    One that was gone in between counts from its first night on: it may be flaky.
    """
    first: dict[str, int] = {}
    for number, head in since_the_last_good(past):
        first |= {one.key: number for one in head.found if one.verdict is CaseVerdict.NEW_FAIL}
    return first


# --- benchmarks -----------------------------------------------------------------------------------


def _slower(before: Evaluation, after: Evaluation, slower: float) -> Iterator[Found]:
    """Of what both measured in the same way, over at least five rounds each."""
    if before.guest is None or after.guest is None:
        return
    old = {(row.name, row.unit, row.mib): row for row in before.guest.bench}
    for row in after.guest.bench:
        base = old.get((row.name, row.unit, row.mib))
        if base is not None and is_slower(base, row, slower):
            yield Found(
                key=f"bench:{row.name}",
                kind=BENCH,
                verdict=CaseVerdict.NEW_FAIL,
                title=f"{row.name} takes {row.median / base.median - 1:+.1%}",
                detail=_measured(base, row, slower),
                case=None,
                since=0,
                question=f"bench:{row.name}>+{slower * 100:g}%",
            )


def is_slower(before: BenchRow, after: BenchRow, slower: float) -> bool:
    """By more than ``slower`` (relative); what cannot be decided is no regression.

    Counts of instructions are compared as they are, with the noise that both samples show; times
    by the Mann-Whitney U test (kverdict.samples).
    """
    if min(len(before.rounds), len(after.rounds)) < FEWEST_ROUNDS:
        return False
    if after.unit == INSTRUCTIONS:
        limit = before.median * (1 + slower)
        above = counts_above(after.rounds, limit, noise(before.rounds, after.rounds))
    else:
        above = rises_above(after.rounds, before.rounds, 1 + slower)
    return above is Above.YES


def _measured(before: BenchRow, after: BenchRow, slower: float) -> str:
    how = (
        f"instructions, which vary by {noise(before.rounds, after.rounds):.2%} from round to round"
        if after.unit == INSTRUCTIONS
        else "time, by the Mann-Whitney U test"
    )
    return (
        f"median of {len(before.rounds)} rounds {before.median:,}, "
        f"of {len(after.rounds)} rounds now {after.median:,} {after.unit} "
        f"for {after.mib} MiB; limit {slower:+.1%}; {how}"
    )


# --- what to bisect -------------------------------------------------------------------------------


class Ask(Frozen):
    """A bisection that is due."""

    question: str
    keys: tuple[str, ...]
    good: str  # commit


def to_bisect(found: Sequence[Found], past: Past) -> tuple[Ask, ...]:
    """One question for each distinct new failure that no night since the last good one asked.

    Cases of one known defect are one failure, and so are a guest's end, the case that it died in
    and what its console said there.
    """
    asked = {
        one.question
        for _, head in since_the_last_good(past)
        for one in head.bisected
        if one.ended is not Ended.TROUBLE
    }
    ours = [one for one in found if one.verdict is CaseVerdict.NEW_FAIL and one.question]
    ends = {one.case for one in ours if one.kind == FindingKind.BOOT.value}
    groups: dict[str, list[Found]] = {}
    for one in ours:
        groups.setdefault(_failure(one, ends), []).append(one)
    asks = []
    for group in groups.values():
        first = min(group, key=lambda one: one.kind != FindingKind.BOOT.value)
        good = good_end(first, past)
        if first.question is not None and first.question not in asked and good is not None:
            keys = tuple(one.key for one in group)
            asks.append(Ask(question=first.question, keys=keys, good=good))
    return tuple(asks)


def _failure(found: Found, ends: Iterable[str | None]) -> str:
    """A name for what several findings may show."""
    if found.kind in ("boot", "console", "case") and found.case in ends:
        return "boot"
    defect = defect_of(found.case) if found.kind == "case" and found.case else None
    return f"defect:{defect.id}" if defect is not None else found.key


def good_end(found: Found, past: Past) -> str | None:
    """The newest head, not older than the last good one, that answered and did not show it."""
    good = last_good(past)
    for _, head in since_the_last_good(past):
        if found.key not in {one.key for one in head.found} and _answered(head, found):
            return head.commit
    return good.commit if good is not None else None


def _answered(head: HeadNight, found: Found) -> bool:
    if head.state not in (HeadState.BAD, *COMPARED_WITH):
        return False
    if found.kind == "case":
        return any(case.id == found.case and case.answer is Answer.PASS for case in head.cases)
    if found.kind == BENCH:
        return any(found.key == f"bench:{row.name}" for row in head.bench)
    if found.kind == "build":
        return bool(head.cases)
    return bool(head.cases) and all(case.answer is not Answer.NONE for case in head.cases)


# --- what is kept ---------------------------------------------------------------------------------


def answers_of(evaluation: Evaluation) -> tuple[CaseNight, ...]:
    """In the suite's order; empty when nothing was booted."""
    planned = evaluation.guest.cases if evaluation.guest is not None else ()
    return tuple(
        CaseNight(id=case.id, answer=_answer(runs_of(evaluation, case.id))) for case in planned
    )


def _answer(runs: Runs) -> Answer:
    if runs.flaky:
        return Answer.FLAKY
    if runs.bad:
        return Answer.FAIL
    if runs.passed:
        return Answer.PASS
    return Answer.SKIP if runs.skipped else Answer.NONE
