# SPDX-License-Identifier: GPL-2.0-or-later
"""How often a case ended how, what its program printed, and in which files a boot's words are."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass

from kverdict.judgement import CaseVerdict, JudgedCase, Report, Runs, guests_of
from kverdict.models import Evaluation, Guest, Outcome
from kverdict.runs import boot_file
from kverdict.verdict import WORST_FIRST

CONSOLE = "console.log"
_KEY = re.compile(r"([0-9a-f]{12})[0-9a-f]{52}")


@dataclass(frozen=True)
class Tally:
    """The cases of one verdict that ended equally often in the same way."""

    verdict: CaseVerdict
    runs: str
    cases: tuple[JudgedCase, ...]


@dataclass(frozen=True)
class Printed:
    """What a test printed in one boot, and the file that has all of it."""

    kernel: str
    boot: int
    case: str
    text: str
    file: str


_VERBS = {
    Outcome.PASS: "passes",
    Outcome.FAIL: "fails",
    Outcome.SKIP: "skipped",
    Outcome.TIMEOUT: "times out",
    Outcome.CRASH: "crashes",
    Outcome.ERROR: "gives no answer",
    Outcome.NOT_RUN: "does not run",
}


def how_often(case: JudgedCase) -> str:
    """ "fails 2 of 2, base passes 1 of 1", "fails 1 of 2 and passes 1 of 2, base is not asked"."""
    return f"{_share(case.patched)}, base {_share(case.base)}"


def _share(runs: Runs) -> str:
    found = Counter(runs.outcomes)
    parts = [f"{_VERBS[one]} {number} of {found.total()}" for one, number in found.items()]
    return " and ".join(parts) or "is not asked"


def tallies(report: Report) -> tuple[Tally, ...]:
    """All cases by verdict, the worst first, and by how often they ended how."""
    found: dict[tuple[CaseVerdict, str], list[JudgedCase]] = {}
    for verdict in WORST_FIRST:
        for case in report.verdict.cases:
            if case.verdict is verdict:
                found.setdefault((verdict, how_often(case)), []).append(case)
    return tuple(Tally(verdict, runs, tuple(some)) for (verdict, runs), some in found.items())


def printed(report: Report) -> tuple[Printed, ...]:
    """What selftests and KUnit's suites printed, first of those that did not pass."""
    kernels = (("patched", report.patched_evaluation), ("base", report.base_evaluation))
    found = [
        Printed(
            kernel=kernel,
            boot=guest.boot,
            case=output.case,
            text=output.text,
            file=_file(evaluation, "guest.json", guest),
        )
        for kernel, evaluation in kernels
        for guest in guests_of(evaluation)
        for output in guest.outputs
    ]
    fine = {case.id for case in report.verdict.cases if case.verdict is CaseVerdict.PASS}
    return tuple(sorted(found, key=lambda one: one.case in fine))


def consoles(evaluation: Evaluation) -> tuple[str, ...]:
    """The console of each boot, the one that counts first, as a file of the run's folder."""
    return tuple(_file(evaluation, CONSOLE, guest) for guest in guests_of(evaluation))


def in_short(path: str) -> str:
    """A path with the key of an evaluation, for a shell and for people: "evaluations/7e57...*/"."""
    return _KEY.sub(r"\1*", path)


def _file(evaluation: Evaluation, name: str, guest: Guest) -> str:
    return f"evaluations/{evaluation.key}/{boot_file(name, guest.boot)}"
