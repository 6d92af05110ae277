# SPDX-License-Identifier: GPL-2.0-or-later
"""Asks again: what was seen once is weak evidence, and which patch brought it is not known yet."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from kverdict.evaluate import Engine
from kverdict.findings.suite import KUNIT, KUNIT_RAN
from kverdict.judgement import (
    BAD_OUTCOMES,
    CaseVerdict,
    FindingKind,
    guests_of,
    lost,
    runs_of,
    whole_test,
)
from kverdict.line import Line
from kverdict.models import Evaluation, Outcome
from kverdict.verdict import find, judge_cases


def ask_again(
    engine: Engine,
    line: Line,
    evaluations: Path,
    kernels: Sequence[Evaluation],
    *,
    vanished: frozenset[str] = frozenset(),
) -> tuple[Evaluation, ...]:
    """What failed on any of these kernels runs once more in a fresh guest, on each that answered.

    So does what ``vanished``: a test may skip for a moment's want of memory.  A guest that is lost
    over it has answered nothing, and is replaced once.
    """
    failing = failing_cases(kernels)
    asked = []
    for evaluation in kernels:
        for _ in range(2):
            cases = worth_asking(evaluation, failing, vanished)
            if not cases:
                break
            number = f"{len(cases)} case" + ("" if len(cases) == 1 else "s")
            engine.progress.say(f"{evaluation.describe}: {number} again, in a fresh guest")
            evaluation = engine.boot(evaluation, line, evaluations, cases)
            if not lost(evaluation.reruns[-1]):
                break
        asked.append(evaluation)
    return tuple(asked)


def failing_cases(kernels: Sequence[Evaluation]) -> frozenset[str]:
    """Those that failed on any of the kernels, in any of its boots."""
    return frozenset(
        case.id
        for evaluation in kernels
        for guest in guests_of(evaluation)
        for case in guest.cases
        if case.outcome in BAD_OUTCOMES
    )


def vanished_cases(before: Evaluation, after: Evaluation) -> frozenset[str]:
    """Those that the base passes and that are skipped in the guest of the whole series."""
    skipped = {
        case.id
        for guest in guests_of(after)
        for case in guest.cases
        if case.in_guest and case.outcome is Outcome.SKIP
    }
    return frozenset(case for case in skipped if runs_of(before, case).passed)


def worth_asking(
    evaluation: Evaluation, failing: frozenset[str], vanished: frozenset[str] = frozenset()
) -> tuple[str, ...]:
    """The failing cases that this kernel has answered once, in the order of the suite.

    A skip says that the feature is not there and would be said again, but where the base has it.
    """
    known = dict.fromkeys(case.id for guest in guests_of(evaluation) for case in guest.cases)

    def once(case: str) -> bool:
        runs = runs_of(evaluation, case)
        failed = case in failing and len(runs.answers) == 1
        return failed or (case in vanished and len(runs.said) == 1)

    asked = (id for id in known if (id in failing or id in vanished) and once(id))
    return tuple(dict.fromkeys(map(whole_test, asked)))


def pin_down(
    engine: Engine,
    line: Line,
    evaluations: Path,
    before: Evaluation,
    patches: Sequence[Evaluation],
) -> tuple[Evaluation, ...]:
    """Boots the patches in between with what is new at the end, so that its patch can be named.

    What fails there is asked again as well: a patch is not named by half of a flaky case.
    """
    cases = new_at_the_end(before, patches)
    if cases is None:
        return tuple(patches)
    between = tuple(
        engine.boot(patch, line, evaluations, cases) if _can_boot(patch) else patch
        for patch in patches[:-1]
    )
    return (*ask_again(engine, line, evaluations, between), patches[-1])


def _can_boot(patch: Evaluation) -> bool:
    """Builds, and was not booted with all cases already."""
    return patch.build is not None and patch.build.ok and patch.guest is None


def new_at_the_end(before: Evaluation, patches: Sequence[Evaluation]) -> tuple[str, ...] | None:
    """The cases to ask on each patch; none to only boot; None when there is nothing to find."""
    if not any(_can_boot(patch) for patch in patches[:-1]):
        return None
    found = find(before, patches, judge_cases(before, patches))
    ours = [
        item
        for item in found
        if item.verdict in (CaseVerdict.NEW_FAIL, CaseVerdict.FLAKY)
        and item.kind in (FindingKind.CASE, FindingKind.CONSOLE, FindingKind.BOOT)
        and item.patch is None
    ]
    if not ours:
        return None
    kernels = (before, *patches)
    known = {case.id for one in kernels for guest in guests_of(one) for case in guest.cases}
    named = dict.fromkeys(item.case for item in ours if item.case in known)
    asked = dict.fromkeys(whole_test(id) for id in named if id is not None)
    # A patch without the suite says so by this case alone.
    ran = [KUNIT_RAN.id] if any(id.startswith(KUNIT) for id in asked) else []
    return tuple(dict.fromkeys([*ran, *asked]))
