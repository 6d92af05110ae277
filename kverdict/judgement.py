# SPDX-License-Identifier: GPL-2.0-or-later
"""What a verdict is made of: the words of docs/verdicts.md as values.  verdict.py has the rules."""

from __future__ import annotations

from enum import Enum
from typing import Annotated

from kverdict.errors import ExitStatus
from kverdict.models import (
    MEASURED,
    Applied,
    BaseChoice,
    CaseResult,
    Checks,
    Evaluation,
    Frozen,
    Guest,
    GuestEnd,
    KconfigChange,
    Memory,
    Outcome,
    PinnedWarning,
    Reach,
    Series,
    SplatKind,
)

SCHEMA_VERSION = 2


class CaseVerdict(Enum):
    """One case on base and patched together (docs/verdicts.md has the table)."""

    PASS = "PASS"
    NEW_FAIL = "NEW-FAIL"
    PRE_EXISTING = "PRE-EXISTING"
    FIXED = "FIXED"
    FLAKY = "FLAKY"
    UNTESTABLE = "UNTESTABLE"
    INFRA = "INFRA"


class Overall(Enum):
    GOOD = "good"
    BAD = "bad"
    UNTESTABLE = "cannot be tested here"
    TROUBLE = "our trouble"


EXIT_OF = {
    Overall.GOOD: ExitStatus.GOOD,
    Overall.BAD: ExitStatus.BAD,
    Overall.UNTESTABLE: ExitStatus.UNTESTABLE,
    Overall.TROUBLE: ExitStatus.TROUBLE,
}

BAD_OUTCOMES = frozenset({Outcome.FAIL, Outcome.TIMEOUT, Outcome.CRASH})
NO_ANSWER = frozenset({Outcome.ERROR, Outcome.NOT_RUN})


class Runs(Frozen):
    """How often a case ended how on one kernel, and what it said when it did not pass."""

    outcomes: tuple[Outcome, ...]  # one a run, in order; empty when the case was never planned
    message: Annotated[str, MEASURED] = ""

    @property
    def flaky(self) -> bool:
        decided = {outcome in BAD_OUTCOMES for outcome in self.answers}
        return len(decided) > 1

    @property
    def bad(self) -> bool:
        return any(outcome in BAD_OUTCOMES for outcome in self.outcomes)

    @property
    def passed(self) -> bool:
        return Outcome.PASS in self.outcomes

    @property
    def answered(self) -> bool:
        return bool(self.answers)

    @property
    def skipped(self) -> bool:
        return Outcome.SKIP in self.outcomes

    @property
    def said(self) -> tuple[Outcome, ...]:
        """In which runs its turn came and it could answer; a skip says something as well."""
        return tuple(outcome for outcome in self.outcomes if outcome not in NO_ANSWER)

    @property
    def answers(self) -> tuple[Outcome, ...]:
        """What was more than a skip."""
        return tuple(outcome for outcome in self.said if outcome is not Outcome.SKIP)


class JudgedCase(Frozen):
    id: str
    title: str
    source: str
    verdict: CaseVerdict
    base: Runs
    patched: Runs
    each: tuple[Runs, ...] = ()  # of every patch, as far as it was tested; empty when none was
    patch: int | None = None  # the one from which on the answer is that of the whole series
    changes: tuple[int, ...] = ()  # patches whose kernel answers otherwise than the one before


class FindingKind(Enum):
    BUILD = "build"
    BOOT = "boot"
    CONSOLE = "console"
    CASE = "case"
    CONFIG = "config"
    WARNING = "warning"
    CHECK = "check"


class Finding(Frozen):
    """Something a maintainer has to look at; ``verdict`` says whose it is."""

    kind: FindingKind
    verdict: CaseVerdict
    title: str
    detail: Annotated[str, MEASURED]
    case: str | None = None
    patch: int | None = None  # number of the patch that brought it, when that is known
    advice: bool = False  # worth a look, and no reason for BAD: what checkpatch or W=1 says
    key: str = ""  # the same finding in another run or revision has the same

    @property
    def in_between(self) -> bool:
        """Whether it is on its patch and not at the end of the series: "console:WARN:f@2"."""
        return self.patch is not None and self.key.endswith(f"@{self.patch}")

    @property
    def bare_key(self) -> str:
        """The key that it would have at the end of the series."""
        return self.key.removesuffix(f"@{self.patch}") if self.in_between else self.key


class Proof(Enum):
    HOLDS = "holds"
    FAILS = "fails"
    OPEN = "not established"


class Evidence(Frozen):
    """One line of the evidence that the report shows, and that a reply may quote."""

    name: str  # "source", "base", "apply", "config", "identity", "build", "console", "tests"
    proof: Proof
    text: str


class Verdict(Frozen):
    schema_version: int
    overall: Overall
    exit_status: int
    headline: str
    counts: dict[str, int]  # CaseVerdict value -> number of cases
    cases: tuple[JudgedCase, ...]
    findings: tuple[Finding, ...]
    evidence: tuple[Evidence, ...]


class Report(Frozen):
    """verdict.json: the verdict and everything it was made from."""

    verdict: Verdict
    series: Series
    base: BaseChoice
    applied: Applied
    base_evaluation: Evaluation
    patch_evaluations: tuple[Evaluation, ...]  # of 1/N ... N/N; never empty
    warnings: tuple[PinnedWarning, ...] = ()
    kconfig_changes: tuple[KconfigChange, ...] = ()
    reach: Reach | None = None
    checks: Checks | None = None
    memory: Annotated[Memory | None, MEASURED] = None  # it depends on what was verified before

    @property
    def patched_evaluation(self) -> Evaluation:
        """Of the whole series."""
        return self.patch_evaluations[-1]


def guests_of(evaluation: Evaluation) -> tuple[Guest, ...]:
    """All boots of one kernel, the one that counts first."""
    first = () if evaluation.guest is None else (evaluation.guest,)
    return (*first, *evaluation.reruns)


def ran(guest: Guest) -> list[CaseResult]:
    """The cases whose turn came."""
    return [case for case in guest.cases if case.in_guest and case.outcome is not Outcome.NOT_RUN]


FATAL = frozenset({SplatKind.PANIC, SplatKind.OOPS, SplatKind.BUG, SplatKind.LOCKUP})


def died_in(guest: Guest) -> str | None:
    """The case that the guest died in; None when it died outside of any, or did not die."""
    if guest.end is GuestEnd.DONE:
        return None
    answered = ran(guest)
    return answered[-1].id if answered and answered[-1].outcome is Outcome.CRASH else None


def lost(guest: Guest) -> bool:
    """It did not come to its end, and nothing on the console says that its kernel died.

    Such a guest may have been ours to lose: it is asked again, and what it seems to say of the
    case that was running counts for nothing beside another answer.
    """
    told = any(splat.kind in FATAL for splat in guest.splats)
    return guest.end not in (GuestEnd.DONE, GuestEnd.PANIC) and not told


def counts_more(one: Guest, other: Guest) -> bool:
    """Whether ``one`` says more about its kernel: it came to its end, or died and said of what."""
    return _weight(one) > _weight(other)


def _weight(guest: Guest) -> int:
    return 0 if lost(guest) else 2 if guest.end is GuestEnd.DONE else 1


def whole_test(case: str) -> str:
    """What has to run for a case to run: a subtest "kselftest.kvm.x/y" comes with its test."""
    return case.partition("/")[0]


def runs_of(evaluation: Evaluation, case: str, *, lost_counts: bool = False) -> Runs:
    """What a case answered in each boot that it was planned for.

    That a lost guest was running it is no answer, unless ``lost_counts``.
    """
    results = [
        _without_answer(result)
        if lost(guest) and not lost_counts and died_in(guest) == case
        else result
        for guest in guests_of(evaluation)
        for result in guest.cases
        if result.id == case
    ]
    said = [result for result in results if result.outcome in BAD_OUTCOMES] or [
        result for result in results if result.outcome is not Outcome.PASS
    ]
    return Runs(
        outcomes=tuple(result.outcome for result in results),
        message=said[0].message if said else "",
    )


def _without_answer(result: CaseResult) -> CaseResult:
    return result.model_copy(
        update={"outcome": Outcome.NOT_RUN, "message": "the guest was lost during it"}
    )
