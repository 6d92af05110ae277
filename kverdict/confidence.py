# SPDX-License-Identifier: GPL-2.0-or-later
"""Asks again: what was seen once is weak evidence, and which patch brought it is not known yet."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from kverdict.evaluate import Engine
from kverdict.judgement import (
    BAD_OUTCOMES,
    NO_ANSWER,
    CaseVerdict,
    FindingKind,
    guests_of,
    whole_test,
)
from kverdict.line import Line
from kverdict.models import Evaluation, Outcome
from kverdict.verdict import find, judge_cases


def ask_again(
    engine: Engine, line: Line, evaluations: Path, before: Evaluation, after: Evaluation
) -> tuple[Evaluation, Evaluation]:
    """What failed on either kernel runs once more in a fresh guest, on each that answered."""
    failing = failing_cases(before, after)
    asked = []
    for evaluation in (before, after):
        cases = worth_asking(evaluation, failing)
        if cases:
            number = f"{len(cases)} case" + ("" if len(cases) == 1 else "s")
            engine.progress.say(f"{evaluation.describe}: {number} again, in a fresh guest")
            evaluation = engine.boot(evaluation, line, evaluations, cases)
        asked.append(evaluation)
    return asked[0], asked[1]


def failing_cases(before: Evaluation, after: Evaluation) -> frozenset[str]:
    """Those that failed on either kernel, in any of its boots."""
    return frozenset(
        case.id
        for evaluation in (before, after)
        for guest in guests_of(evaluation)
        for case in guest.cases
        if case.outcome in BAD_OUTCOMES
    )


def worth_asking(evaluation: Evaluation, failing: frozenset[str]) -> tuple[str, ...]:
    """The failing cases that this kernel has answered once, in the order of the suite.

    A skip says that the feature is not there: it would be said again.
    """
    answered: dict[str, int] = {}
    for guest in guests_of(evaluation):
        for case in guest.cases:
            if case.outcome not in NO_ANSWER and case.outcome is not Outcome.SKIP:
                answered[case.id] = answered.get(case.id, 0) + 1
    once = (id for id, times in answered.items() if times == 1 and id in failing)
    return tuple(dict.fromkeys(whole_test(id) for id in once))


def pin_down(
    engine: Engine,
    line: Line,
    evaluations: Path,
    before: Evaluation,
    patches: Sequence[Evaluation],
) -> tuple[Evaluation, ...]:
    """Boots the patches in between with what is new at the end, so that its patch can be named."""
    cases = new_at_the_end(before, patches)
    if cases is None:
        return tuple(patches)
    between = [
        engine.boot(patch, line, evaluations, cases) if _can_boot(patch) else patch
        for patch in patches[:-1]
    ]
    return (*between, patches[-1])


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
    known = {case.id for patch in patches for guest in guests_of(patch) for case in guest.cases}
    named = dict.fromkeys(item.case for item in ours if item.case in known)
    return tuple(dict.fromkeys(whole_test(id) for id in named if id is not None))
