# SPDX-License-Identifier: GPL-2.0-or-later
"""Every rule about pass and fail, in one place: pure functions over evaluations, no I/O.

The rules in one breath: a patch is judged by what changes between base and patched; our trouble
is never its failure; a skip is never a pass; nothing ran is never good; what the base never got to
cannot be compared; what was seen both ways on one kernel is flaky; a claim without its proof (the
wrong kernel ran, the console was not scanned) is no claim.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import pairwise

from kverdict.evidence import (
    gather_evidence,
    identity_evidence,
    missed,
    running_config_evidence,
)
from kverdict.findings.suite import KUNIT, KUNIT_RAN
from kverdict.findings.warnings import identity
from kverdict.judgement import (
    BAD_OUTCOMES,
    EXIT_OF,
    NO_ANSWER,
    SCHEMA_VERSION,
    CaseVerdict,
    Evidence,
    Finding,
    FindingKind,
    JudgedCase,
    Overall,
    Proof,
    Report,
    Runs,
    Verdict,
    died_in,
    guests_of,
    lost,
    ran,
    runs_of,
    whole_test,
)
from kverdict.models import (
    Applied,
    BaseChoice,
    Build,
    CaseResult,
    Checks,
    ConfigProof,
    Evaluation,
    Guest,
    GuestEnd,
    Outcome,
    PinnedWarning,
    Reach,
    ReachState,
    Series,
    Splat,
    SplatKind,
    SymbolProof,
)
from kverdict.reach import compiled_anything
from kverdict.text import counted

__all__ = [  # the words and the rules together, for those who read verdicts
    "BAD_OUTCOMES",
    "EXIT_OF",
    "NO_ANSWER",
    "SCHEMA_VERSION",
    "CaseVerdict",
    "Evidence",
    "Finding",
    "FindingKind",
    "JudgedCase",
    "Overall",
    "Proof",
    "Report",
    "Runs",
    "Verdict",
    "changed_with",
    "died_in",
    "find",
    "identity_evidence",
    "judge",
    "judge_case",
    "judge_cases",
    "judge_commits",
    "judge_end",
    "missed",
    "survived",
    "undermined",
]

# --- how far a guest came -------------------------------------------------------------------------


def survived(guest: Guest | None, place: str | None) -> bool:
    """Whether the guest lived on after the case ``place``, or after booting when that is None."""
    if guest is None:
        return False
    if guest.end is GuestEnd.DONE:
        return True
    answered = {case.id for case in ran(guest)}
    return bool(answered) if place is None else place in answered and place != died_in(guest)


def judge_end(before: Evaluation, after: Evaluation) -> CaseVerdict | None:
    """Whose it is that the patched guest did not come to its end; None when it did, at last.

    A base that came through the same place under the same limits leaves only the patch to differ.
    Two guests that both fell silent or never came up say more about this machine; and a guest
    that was lost, asked again, counts only when it was lost in the same way and place.
    """
    patched, base = after.guest, before.guest
    if patched is None or patched.end is GuestEnd.DONE:
        return None
    if patched.end is GuestEnd.NOT_STARTED or _lost_anyhow(after):
        return CaseVerdict.INFRA
    if base is None:
        return CaseVerdict.UNTESTABLE
    alike = any(_ended_alike(guest, patched) for guest in guests_of(before))
    if _came_through(base, patched):
        return CaseVerdict.FLAKY if alike else CaseVerdict.NEW_FAIL
    if base.end is not GuestEnd.PANIC:
        return CaseVerdict.INFRA
    both = alike and patched.end is GuestEnd.PANIC
    return CaseVerdict.PRE_EXISTING if both else CaseVerdict.UNTESTABLE


def _came_through(base: Guest, patched: Guest) -> bool:
    """Whether the base lived on where the patched guest did not."""
    answered = [case.id for case in ran(base)]
    last = last_seen(patched)
    if died_in(patched) is not None or last is None or base.end is GuestEnd.DONE:
        return survived(base, last)
    # Between two cases, or after the last one: only a further case shows that it went on.
    return last in answered[:-1]


def _ended_alike(one: Guest, other: Guest) -> bool:
    """``other`` did not come to its end."""
    how = (other.end, died_in(other), last_seen(other))
    return (one.end, died_in(one), last_seen(one)) == how


def last_seen(guest: Guest) -> str | None:
    """Where a guest was at its end: the case that it died in, else the last one that it answered.

    None when it never came to a case.
    """
    answered = ran(guest)
    return answered[-1].id if answered else None


def _lost_anyhow(evaluation: Evaluation) -> bool:
    """All its boots with all cases were lost: without a word, or each in another place."""
    assert evaluation.guest is not None
    whole = [guest for guest in guests_of(evaluation) if guest.every_case]
    if not all(lost(guest) for guest in whole):
        return False
    places = {(guest.end, last_seen(guest)) for guest in whole}
    return GuestEnd.LOST in {end for end, _ in places} or len(places) > 1


# --- cases ----------------------------------------------------------------------------------------

NO_SUCH_SUITE = Runs(outcomes=(Outcome.SKIP,), message="this kernel has no such suite")


def judge_case(base: Runs, patched: Runs) -> CaseVerdict:
    """The table of docs/verdicts.md; what the patched kernel answered comes first."""
    if patched.answered and (patched.flaky or base.flaky):
        return CaseVerdict.FLAKY
    if patched.bad:
        return _judge_bad(base)
    if patched.passed:
        return CaseVerdict.FIXED if base.bad else CaseVerdict.PASS
    if patched.skipped:
        # What worked on the base and is not even there any more is lost, not untestable.
        lost = base.passed and not base.flaky and not base.skipped
        return CaseVerdict.NEW_FAIL if lost else CaseVerdict.UNTESTABLE
    return CaseVerdict.INFRA


def _judge_bad(base: Runs) -> CaseVerdict:
    if base.bad:
        return CaseVerdict.PRE_EXISTING
    if base.passed or base.skipped:
        return CaseVerdict.NEW_FAIL
    return CaseVerdict.INFRA if Outcome.ERROR in base.outcomes else CaseVerdict.UNTESTABLE


def judge_cases(before: Evaluation, patches: Sequence[Evaluation]) -> tuple[JudgedCase, ...]:
    """All cases that either kernel planned, in the suite's order; the last patch is judged."""
    after = patches[-1]
    planned = (*_planned(after), *_planned(before))
    known = {case.id: case for case in reversed(planned)}
    order = dict.fromkeys(case.id for case in planned)
    end = judge_end(before, after)
    return tuple(_judged(known[id], before, patches, end) for id in order)


def _planned(evaluation: Evaluation) -> tuple[CaseResult, ...]:
    return evaluation.guest.cases if evaluation.guest is not None else ()


def _judged(
    case: CaseResult, before: Evaluation, patches: Sequence[Evaluation], end: CaseVerdict | None
) -> JudgedCase:
    after = patches[-1]
    old, new = _runs_of(before, case.id, base=True), _runs_of(after, case.id)
    verdict = _judge_subtest(case.id, before, after, old, new) or judge_case(old, new)
    if verdict is CaseVerdict.NEW_FAIL and end is None and _never_repeated(new):
        verdict = CaseVerdict.INFRA
    if after.guest is None:
        # No guest without a kernel: that is told once, by the build.
        verdict = CaseVerdict.UNTESTABLE
    elif end is not None and case.id == died_in(after.guest):
        verdict, new = end, runs_of(after, case.id, lost_counts=True)
    elif end is not None and not set(new.outcomes) - {Outcome.NOT_RUN}:
        # Its turn never came because the guest was gone: that is told once, by the end.
        verdict = CaseVerdict.INFRA if end is CaseVerdict.INFRA else CaseVerdict.UNTESTABLE
    each = tuple(_runs_of(patch, case.id) for patch in patches)
    answers = [_answer(runs) for runs in (old, *each)]
    return JudgedCase(
        id=case.id,
        title=case.title,
        source=case.source,
        verdict=verdict,
        base=old,
        patched=new,
        each=each if any(runs.outcomes for runs in each[:-1]) else (),
        patch=changed_with(_with_absence(case.id, before, patches, answers)),
        changes=changes_in(answers),
    )


def _with_absence(
    case: str, before: Evaluation, patches: Sequence[Evaluation], answers: Sequence[str | None]
) -> list[str | None]:
    """That a test ran without this subtest is an answer, too: a new one has its patch."""
    test, kernels = whole_test(case), (before, *patches)
    if test == case:
        return [*answers]
    return [
        "absent" if answer is None and _ends(kernel, test, base=kernel is before) else answer
        for answer, kernel in zip(answers, kernels, strict=True)
    ]


def _never_repeated(runs: Runs) -> bool:
    """It failed once, and whoever asked again lost the guest."""
    return len(runs.said) == 1 and Outcome.NOT_RUN in runs.outcomes


def _runs_of(evaluation: Evaluation, case: str, *, base: bool = False) -> Runs:
    """``runs_of``; a KUnit suite that a kernel does not have was asked for there, and skipped."""
    return NO_SUCH_SUITE if _lacks_suite(evaluation, case, base=base) else runs_of(evaluation, case)


def _lacks_suite(evaluation: Evaluation, case: str, *, base: bool) -> bool:
    """Whether KUnit's turn came there, and it had no suite of this name.

    A base may have none at all, which is an ERROR.  On a patched kernel that says nothing.
    """
    if not case.startswith(KUNIT) or case != whole_test(case) or runs_of(evaluation, case).outcomes:
        return False
    came = {Outcome.PASS, Outcome.ERROR} if base else {Outcome.PASS}
    return bool(came & set(runs_of(evaluation, KUNIT_RAN.id).outcomes))


def _judge_subtest(
    case: str, before: Evaluation, after: Evaluation, old: Runs, new: Runs
) -> CaseVerdict | None:
    """A subtest that only one kernel's test has; None where the table of cases decides.

    A series may rename its subtests, or print measured values in their names: the whole test, a
    case of its own, says whether it passed.  One that is new has nothing that it worked before.
    """
    test = whole_test(case)
    if test == case:
        return None
    if not new.outcomes:
        came = _runs_of(after, test).said
        return CaseVerdict.UNTESTABLE if came else None
    if not old.outcomes and new.bad and not new.flaky and _ends(before, test, base=True):
        return _judge_new_subtest(test, before, after, new)
    return None


def _judge_new_subtest(test: str, before: Evaluation, after: Evaluation, new: Runs) -> CaseVerdict:
    """A subtest that fails, and that the base's test came to its end without."""
    whole = _runs_of(before, test, base=True)
    if whole.bad and not _failures_are_still_there(test, before, after):
        # It may be the same failure by another name.
        return CaseVerdict.FLAKY if whole.flaky else CaseVerdict.UNTESTABLE
    # A test may have another word for what passes, or say nothing of it.
    always = len(new.said) >= _ends(after, test)
    return CaseVerdict.NEW_FAIL if always else CaseVerdict.FLAKY


def _failures_are_still_there(test: str, before: Evaluation, after: Evaluation) -> bool:
    """Whether subtests say why the base's test fails, and the patched kernel's has all of them."""
    failed = {
        case.id
        for guest in guests_of(before)
        for case in guest.cases
        if case.id != test and whole_test(case.id) == test and case.outcome in BAD_OUTCOMES
    }
    there = {case.id for guest in guests_of(after) for case in guest.cases}
    return bool(failed) and failed <= there


def _ends(evaluation: Evaluation, test: str, *, base: bool = False) -> int:
    """How often a whole test came to its end: what it did not say then, it does not have."""
    ended = (Outcome.PASS, Outcome.FAIL, Outcome.SKIP)
    runs = _runs_of(evaluation, test, base=base)
    return sum(outcome in ended for outcome in runs.outcomes)


def _answer(runs: Runs) -> str | None:
    """What a case says on one kernel, in one word; None when it was not asked or did not answer."""
    if runs.flaky:
        return "flaky"
    if runs.bad:
        return "bad"
    if runs.passed:
        return "pass"
    return "skip" if runs.skipped else None


def changed_with(answers: Sequence[str | None]) -> int | None:
    """The patch from which on the answer is the last one; ``answers`` are of base, 1/N ... N/N.

    None when nothing changes, or when the patches before it were not asked.
    """
    last = answers[-1]
    if last is None:
        return None
    for number in range(len(answers) - 1, 0, -1):
        earlier = answers[number - 1]
        if earlier != last:
            return number if earlier is not None else None
    return None


def changes_in(answers: Sequence[str | None]) -> tuple[int, ...]:
    """The patches that answer otherwise than the commit before; ``answers`` as above."""
    return tuple(
        number
        for number, (earlier, answer) in enumerate(pairwise(answers), start=1)
        if earlier is not None and answer is not None and earlier != answer
    )


# --- findings -------------------------------------------------------------------------------------

WORST_FIRST = (
    CaseVerdict.NEW_FAIL,
    CaseVerdict.INFRA,
    CaseVerdict.UNTESTABLE,
    CaseVerdict.FLAKY,
    CaseVerdict.PRE_EXISTING,
    CaseVerdict.FIXED,
    CaseVerdict.PASS,
)


def find(
    before: Evaluation,
    patches: Sequence[Evaluation],
    cases: Sequence[JudgedCase],
    *,
    warnings: Sequence[PinnedWarning] = (),
    checks: Checks | None = None,
) -> tuple[Finding, ...]:
    """What a maintainer has to look at, the worst first; advice comes after what decides."""
    after = patches[-1]
    found = (
        *_build_findings(before.build, [patch.build for patch in patches]),
        *_end_findings(before, patches),
        *_console_findings(before, patches),
        *_case_findings(cases, judge_end(before, after) is not None),
        *_passing_findings(before, patches, cases),
        *_config_findings(before.config, [patch.config for patch in patches]),
        *_warning_findings(warnings),
        *(_check_findings(checks) if checks is not None else ()),
    )
    return tuple(sorted(found, key=lambda one: (one.advice, WORST_FIRST.index(one.verdict))))


def _build_findings(base: Build | None, patches: Sequence[Build | None]) -> Iterator[Finding]:
    """Each patch that breaks the build, and once for the patches on which it stays broken."""
    total, first = len(patches), 1
    earlier: Build | None = base
    if base is not None and not base.ok:
        mends = _mended(patches, 0)
        if mends is None:
            if (last := patches[-1]) is not None:
                yield _build_finding(CaseVerdict.PRE_EXISTING, "does not build", last, None)
            return
        yield _build_finding(CaseVerdict.FIXED, "builds; the base does not", base, mends)
        first, earlier = mends + 1, patches[mends - 1]
    for number, build in enumerate(patches[first - 1 :], start=first):
        if build is not None and not build.ok and (earlier is None or earlier.ok):
            yield _broken_build(build, base, number, _mended(patches, number), total)
        earlier = build


def _mended(patches: Sequence[Build | None], broken: int) -> int | None:
    """The first patch after ``broken`` that builds again."""
    for number, build in enumerate(patches[broken:], start=broken + 1):
        if build is not None and build.ok:
            return number
    return None


def _broken_build(
    build: Build, base: Build | None, number: int, mended: int | None, total: int
) -> Finding:
    title = "does not build" if total == 1 else f"patch {number}/{total} does not build"
    if mended is not None:
        title += f", {mended}/{total} builds again: git bisect stops in between"
    if base is None:
        return _build_finding(CaseVerdict.UNTESTABLE, title, build, None)
    if not build.confirmed_clean:
        title += ", but no clean build confirmed it"
        return _build_finding(CaseVerdict.INFRA, title, build, number)
    return _build_finding(CaseVerdict.NEW_FAIL, title, build, number)


def _build_finding(verdict: CaseVerdict, title: str, build: Build, patch: int | None) -> Finding:
    error = build.first_error
    return Finding(
        kind=FindingKind.BUILD,
        verdict=verdict,
        title=title,
        detail=_first_error(build),
        patch=patch,
        key=f"build:{identity(error) if error is not None else ''}",
    )


def _first_error(build: Build) -> str:
    error = build.first_error
    if error is None:
        return "see build.log"
    line = f":{error.line}" if error.line is not None else ""
    return f"{error.file}{line}: {error.message}" if error.file else error.message


def _end_findings(before: Evaluation, patches: Sequence[Evaluation]) -> Iterator[Finding]:
    patched, base = patches[-1].guest, before.guest
    if patched is None:
        return
    verdict = judge_end(before, patches[-1])
    if verdict is not None:
        place = died_in(patched)
        patch = _first_with(before, patches, lambda guest: _died(guest, patched.end, place))
        yield _end_finding(verdict, "the patched guest", patched, patch)
    elif base is not None and base.end is GuestEnd.PANIC:
        yield Finding(
            kind=FindingKind.BOOT,
            verdict=CaseVerdict.FIXED,
            title="the patched guest came to its end; the base panics",
            detail="\n".join(base.console_tail[-8:]),
            case=died_in(base),
            key=f"boot:panic:{died_in(base) or ''}",
        )


def _end_finding(verdict: CaseVerdict, whose: str, guest: Guest, patch: int | None) -> Finding:
    place = died_in(guest)
    where = f" (in {place})" if place else ", before the first case" if not ran(guest) else ""
    return Finding(
        kind=FindingKind.BOOT,
        verdict=verdict,
        title=f"{whose} did not finish: {guest.end.value}{where}",
        detail="\n".join(guest.console_tail[-8:]),
        case=place,
        patch=patch,
        key=f"boot:{guest.end.name.lower()}:{place or ''}",
    )


def _died(guest: Guest, end: GuestEnd, place: str | None) -> bool:
    return guest.end is end and died_in(guest) == place


def _first_with(
    before: Evaluation, patches: Sequence[Evaluation], shows: Callable[[Guest], bool]
) -> int | None:
    """The patch from which on some guest shows it, as far as guests of the patches are there."""
    answers = [_shown(item, shows) for item in (before, *patches)]
    return changed_with(answers)


def _shown(evaluation: Evaluation, shows: Callable[[Guest], bool]) -> str | None:
    guests = guests_of(evaluation)
    if any(shows(guest) for guest in guests):
        return "there"
    return "not there" if guests else None


def _console_findings(before: Evaluation, patches: Sequence[Evaluation]) -> Iterator[Finding]:
    """Each crash once, whatever the number of boots that showed it."""
    old, new = _reports(before), _reports(patches[-1])
    for id, splat in new.items():
        if id in old:
            verdict = CaseVerdict.PRE_EXISTING
        elif any(survived(guest, splat.during) for guest in guests_of(before)):
            verdict = CaseVerdict.NEW_FAIL
        else:
            verdict = CaseVerdict.UNTESTABLE
        patch = _first_with(before, patches, lambda guest, id=id: id in _reports_of(guest))  # type: ignore[misc]
        yield _splat_finding(splat, verdict, patch)
    after = patches[-1].guest
    if after is not None and after.end is GuestEnd.DONE and after.console_scanned:
        for id, splat in old.items():
            if id not in new and before.guest is not None:
                yield _splat_finding(splat, CaseVerdict.FIXED, None)


def _reports(evaluation: Evaluation) -> dict[str, Splat]:
    """By identity, as they were first seen."""
    found: dict[str, Splat] = {}
    for guest in guests_of(evaluation):
        for splat in causes(guest.splats):
            found.setdefault(splat_identity(splat), splat)
    return found


def _reports_of(guest: Guest) -> set[str]:
    return {splat_identity(splat) for splat in causes(guest.splats)}


def causes(splats: Sequence[Splat]) -> tuple[Splat, ...]:
    """Without the panic that only says that the oops before it was fatal.

    "Fatal exception" (arch/x86/kernel/dumpstack.c, oops_end) is the same after every oops.
    """
    return tuple(
        splat
        for earlier, splat in zip((None, *splats), splats, strict=False)
        if not (
            splat.kind is SplatKind.PANIC
            and _OF_AN_OOPS.search(splat.title)
            and earlier is not None
            and earlier.kind in (SplatKind.OOPS, SplatKind.BUG, SplatKind.KASAN)
        )
    )


_OF_AN_OOPS = re.compile(r"\bFatal exception\b")


def splat_identity(splat: Splat) -> str:
    """The same report on two kernels: a patch moves lines and addresses."""
    about = splat.function or _CHANGES.sub("#", splat.title)
    return splat.fingerprint or f"{splat.kind.value}:{about}"


_CHANGES = re.compile(r"0x[0-9a-f]+|[0-9]+")


def _splat_finding(splat: Splat, verdict: CaseVerdict, patch: int | None) -> Finding:
    during = f" (during {splat.during})" if splat.during else ""
    place = f" [{splat.place}]" if splat.place else ""
    return Finding(
        kind=FindingKind.CONSOLE,
        verdict=verdict,
        title=f"{splat.kind.value}: {splat.title}{place}{during}",
        detail=splat.excerpt,
        case=splat.during,
        patch=patch,
        key=f"console:{splat_identity(splat)}",
    )


def _case_findings(cases: Sequence[JudgedCase], cut_short: bool) -> Iterator[Finding]:
    for case in cases:
        if not _worth_telling(case, cut_short):
            continue
        detail = case.patched.message or case.base.message
        if case.verdict is CaseVerdict.NEW_FAIL and not case.patched.bad:
            detail = f"passes on the base and is skipped on the patched kernel: {detail}"
        yield Finding(
            kind=FindingKind.CASE,
            verdict=case.verdict,
            title=case.title,
            detail=detail,
            case=case.id,
            patch=case.patch,
            key=f"case:{case.id}",
        )


def _worth_telling(case: JudgedCase, cut_short: bool) -> bool:
    """A plain skip is not, nor a case whose turn never came because the guest was gone."""
    if case.verdict is CaseVerdict.UNTESTABLE:
        return case.patched.bad
    if case.verdict is CaseVerdict.INFRA and cut_short:
        return bool(set(case.patched.outcomes) - {Outcome.NOT_RUN})
    return case.verdict is not CaseVerdict.PASS


def _passing_findings(
    before: Evaluation, patches: Sequence[Evaluation], cases: Sequence[JudgedCase]
) -> Iterator[Finding]:
    """What is there on patches in between only, as far as they were booted: git bisect meets it.

    As with a build that a later patch repairs, the series is at fault although its end is fine.
    """
    known = {**_reports(before), **_reports(patches[-1])}
    total = len(patches)
    for number, patch in enumerate(patches[:-1], start=1):
        if patch.guest is None:
            continue
        whose = f"the guest of patch {number}/{total}"
        end = judge_end(before, patch)
        if end is not None and judge_end(before, patches[-1]) is None:
            yield _of_passing(_end_finding(end, whose, patch.guest, number), number, total)
        for id, splat in _reports(patch).items():
            if id not in known and any(
                survived(guest, splat.during) for guest in guests_of(before)
            ):
                known[id] = splat
                finding = _splat_finding(splat, CaseVerdict.NEW_FAIL, number)
                yield _of_passing(finding, number, total)
        for case in cases:
            if passing := _passing_case(case, number, end):
                yield _of_passing(passing, number, total)


def _of_passing(finding: Finding, number: int, total: int) -> Finding:
    return finding.model_copy(
        update={
            "title": f"on patch {number}/{total}, and not at the end: {finding.title}",
            "key": f"{finding.key}@{number}",
        }
    )


def _passing_case(case: JudgedCase, number: int, end: CaseVerdict | None) -> Finding | None:
    """A case that fails on patch ``number``, and on neither the commit before nor at the end."""
    if number not in case.changes:  # nor was it asked there
        return None
    runs = (case.base, *case.each)
    here, earlier = runs[number], runs[number - 1]
    if not here.bad or case.base.bad or case.patched.bad:
        return None
    if end is not None and Outcome.CRASH in here.outcomes:
        return None  # told by the guest's end
    verdict = CaseVerdict.FLAKY if here.flaky or earlier.flaky else CaseVerdict.NEW_FAIL
    if verdict is CaseVerdict.NEW_FAIL and end is None and _never_repeated(here):
        verdict = CaseVerdict.INFRA
    return Finding(
        kind=FindingKind.CASE,
        verdict=verdict,
        title=case.title,
        detail=here.message,
        case=case.id,
        patch=number,
        key=f"case:{case.id}",
    )


def _config_findings(
    base: ConfigProof | None, patches: Sequence[ConfigProof | None]
) -> Iterator[Finding]:
    """Required symbols that cannot be had; once each, with the patch that took it away."""
    lacking = [_lacking(proof) for proof in (base, *patches)]
    known: set[str] = set()
    for name, symbol in (lacking[-1] or {}).items():
        known.add(name)
        if base is None:
            verdict = CaseVerdict.UNTESTABLE
        else:
            pre_existing = name in (lacking[0] or {})
            verdict = CaseVerdict.PRE_EXISTING if pre_existing else CaseVerdict.NEW_FAIL
        answers = [None if of is None else "not had" if name in of else "had" for of in lacking]
        yield _config_finding(symbol, verdict, changed_with(answers))
    for number, of in enumerate(lacking[1:-1], start=1):
        for name, symbol in (of or {}).items():
            if lacking[0] is not None and name not in known and name not in lacking[0]:
                known.add(name)
                finding = _config_finding(symbol, CaseVerdict.NEW_FAIL, number)
                yield _of_passing(finding, number, len(patches))


def _lacking(proof: ConfigProof | None) -> dict[str, SymbolProof] | None:
    if proof is None:
        return None
    return {symbol.name: symbol for symbol in missed(proof, required=True)}


def _config_finding(symbol: SymbolProof, verdict: CaseVerdict, patch: int | None) -> Finding:
    return Finding(
        kind=FindingKind.CONFIG,
        verdict=verdict,
        title=f"CONFIG_{symbol.name}: asked {symbol.asked}, got {symbol.got}",
        detail=symbol.why,
        patch=patch,
        key=f"config:{symbol.name}",
    )


def _warning_findings(warnings: Sequence[PinnedWarning]) -> Iterator[Finding]:
    """A warning of the plain build that stays is the series' fault; the rest is worth a look."""
    for item in warnings:
        said, gone = item.diagnostic, item.gone_with
        place = f"{said.file}:{said.line}: " if said.file and said.line else ""
        where = ", on a line of the patch" if item.touched else ""
        yield Finding(
            kind=FindingKind.WARNING,
            verdict=CaseVerdict.NEW_FAIL,
            title=f"new {said.flag or 'warning'} ({said.tool}){where}"
            + (f", gone with patch {gone}" if gone is not None else ""),
            detail=f"{place}{said.message}" + (f" (in {said.function})" if said.function else ""),
            patch=item.patch,
            advice=said.tool != "compiler" or gone is not None,
            key=f"warning:{identity(said)}",
        )


def _check_findings(checks: Checks) -> Iterator[Finding]:
    for note in checks.notes:
        place = f"{note.file}:{note.line}" if note.file and note.line else note.file or ""
        yield Finding(
            kind=FindingKind.CHECK,
            verdict=CaseVerdict.NEW_FAIL,
            title=f"{note.tool} ({note.severity}){': ' if place else ''}{place}",
            detail=note.message,
            patch=note.patch,
            advice=True,
            key=f"check:{note.tool}:{note.file or ''}:{note.message}",
        )


# --- the whole ------------------------------------------------------------------------------------


def judge(
    series: Series,
    base: BaseChoice,
    applied: Applied,
    before: Evaluation,
    patches: Sequence[Evaluation],
    *,
    protection: Sequence[str],
    warnings: Sequence[PinnedWarning] = (),
    reach: Reach | None = None,
    checks: Checks | None = None,
) -> Verdict:
    """The verdict on a series that was applied and evaluated, patch by patch.

    ``protection`` is what kept its code apart, in words; empty when nothing did.
    """
    cases = judge_cases(before, patches)
    findings = find(before, patches, cases, warnings=warnings, checks=checks)
    evidence = gather_evidence(
        series,
        base,
        applied,
        before,
        patches,
        protection=protection,
        warnings=warnings,
        reach=reach,
        checks=checks,
    )
    found = Counter(case.verdict for case in cases)
    overall, headline = _overall(before, patches, cases, findings, evidence, reach)
    return Verdict(
        schema_version=SCHEMA_VERSION,
        overall=overall,
        exit_status=EXIT_OF[overall],
        headline=headline,
        counts={verdict.value: found[verdict] for verdict in CaseVerdict},
        cases=cases,
        findings=findings,
        evidence=evidence,
    )


def judge_commits(
    before: Evaluation, after: Evaluation, *, warnings: Sequence[PinnedWarning] = ()
) -> tuple[Overall, str, tuple[JudgedCase, ...], tuple[Finding, ...]]:
    """Two commits of one tree by the rules of a series: verdict, headline, cases and findings.

    A commit whose kernel is that of the one before, to the bit, is as good as that; a series of
    which nothing is compiled says nothing for itself.
    """
    cases = judge_cases(before, (after,))
    findings = find(before, (after,), cases, warnings=warnings)
    overall, headline = _overall(before, (after,), cases, findings, (), None, alike_is_good=True)
    return overall, headline, cases, findings


def _overall(
    before: Evaluation,
    patches: Sequence[Evaluation],
    cases: Sequence[JudgedCase],
    findings: Sequence[Finding],
    evidence: Sequence[Evidence],
    reach: Reach | None,
    *,
    alike_is_good: bool = False,
) -> tuple[Overall, str]:
    """Our trouble first: nothing is blamed on a patch that our own trouble may explain.

    One case that could not answer is no such trouble: each runs in a process of its own.  So it
    takes nothing back from another's failure, but there is no GOOD with it.
    """
    after = patches[-1]
    if trouble := _trouble(before, patches, findings, evidence):
        return Overall.TROUBLE, trouble
    if blamed := [
        one for one in findings if one.verdict is CaseVerdict.NEW_FAIL and not one.advice
    ]:
        return Overall.BAD, _blame(blamed)
    if mute := _mute(cases, findings):
        return Overall.TROUBLE, f"{counted(len(mute), 'case')} could not answer: {mute[0]}"
    if reason := _incomparable(before, findings):
        return Overall.UNTESTABLE, reason
    if not alike_is_good and _nothing_compiled(before, after, reach):
        return Overall.UNTESTABLE, _same_kernel(reach)
    passed = any(case.verdict in (CaseVerdict.PASS, CaseVerdict.FIXED) for case in _asking(cases))
    if after.guest is None or not passed:
        return Overall.UNTESTABLE, "nothing ran that could speak for or against the series"
    if unproven := _unproven((before, *patches), Proof.OPEN):
        return Overall.TROUBLE, unproven
    for patch in patches:
        if patch.guest is not None and patch.guest.problems:
            return Overall.TROUBLE, f"not all results can be believed: {patch.guest.problems[0]}"
    return Overall.GOOD, _praise(cases)


def _asking(cases: Sequence[JudgedCase]) -> list[JudgedCase]:
    """Without the case that KUnit ran at all: it asks nothing of the series."""
    return [case for case in cases if case.id != KUNIT_RAN.id]


def _mute(cases: Sequence[JudgedCase], findings: Sequence[Finding]) -> list[str]:
    """Cases without an answer, on the whole series' kernel or on one in between."""
    ids = [case.id for case in cases if case.verdict is CaseVerdict.INFRA]
    between = [
        one.case
        for one in findings
        if one.kind is FindingKind.CASE and one.in_between and one.verdict is CaseVerdict.INFRA
    ]
    return list(dict.fromkeys([*ids, *(id for id in between if id is not None)]))


def _trouble(
    before: Evaluation,
    patches: Sequence[Evaluation],
    findings: Sequence[Finding],
    evidence: Sequence[Evidence],
) -> str | None:
    """What takes the ground from under every comparison, None when there is no such thing."""
    for evaluation in (before, *patches):
        if evaluation.infra is not None:
            return evaluation.infra
        if not all(guest.console_scanned for guest in guests_of(evaluation)):
            return f"{evaluation.describe}: the console could not be scanned"
    for item in evidence:
        if item.name == "apply" and item.proof is Proof.FAILS:
            return item.text
    if unproven := _unproven((before, *patches), Proof.FAILS):
        return unproven
    for finding in findings:
        whole = finding.kind in (FindingKind.BUILD, FindingKind.BOOT)
        if whole and finding.verdict is CaseVerdict.INFRA:
            return finding.title
        ours = before.guest is not None and before.guest.end not in (GuestEnd.DONE, GuestEnd.PANIC)
        if ours and finding.verdict is CaseVerdict.UNTESTABLE:
            return f"the base guest did not get far enough to compare with: {finding.title}"
    return None


def undermined(report: Report) -> str | None:
    """Why nothing that ran counts; None also when our trouble is with single cases alone."""
    verdict = report.verdict
    return _trouble(
        report.base_evaluation, report.patch_evaluations, verdict.findings, verdict.evidence
    )


def _unproven(evaluations: Iterable[Evaluation], at_worst: Proof) -> str | None:
    """The first proof about a running kernel that does not hold.

    A guest that ran no case makes no claim that would need one.  Results of a kernel that did not
    say which one it is are as good as those of a wrong one; its .config is only open.
    """
    for evaluation in evaluations:
        for guest in guests_of(evaluation) if evaluation.build is not None else ():
            if text := _unproven_guest(evaluation, guest, at_worst):
                return text
    return None


def _unproven_guest(evaluation: Evaluation, guest: Guest, at_worst: Proof) -> str | None:
    assert evaluation.build is not None
    ident = identity_evidence(evaluation.describe, evaluation.build, guest)
    config = running_config_evidence(evaluation.describe, evaluation.config, guest)
    fatal = {Proof.FAILS, Proof.OPEN} if ran(guest) else {Proof.FAILS}
    if ident.proof in fatal:
        return ident.text
    if config.proof is Proof.FAILS or (config.proof is at_worst and ran(guest)):
        return config.text
    return None


def _incomparable(before: Evaluation, findings: Sequence[Finding]) -> str | None:
    """Why nothing can be said although nothing speaks against the patched kernel."""
    broken_before = before.build is not None and not before.build.ok
    for finding in findings:
        known = finding.verdict is CaseVerdict.PRE_EXISTING
        if finding.kind is FindingKind.BUILD and known:
            return "neither the base nor the patched kernel builds"
        if finding.kind is FindingKind.CONFIG and known:
            return f"the configuration cannot be had on this tree: {finding.title}"
        if finding.kind is FindingKind.BOOT and not finding.in_between:
            if known:
                return f"the base panics in the same place: {finding.title}"
            if finding.verdict is CaseVerdict.FLAKY:
                return f"the base panics in the same place now and then: {finding.title}"
        if finding.verdict is CaseVerdict.UNTESTABLE and not finding.advice:
            why = "does not build" if broken_before else "never got that far"
            return f"nothing to compare with, the base {why}: {finding.title}"
    return None


def _nothing_compiled(before: Evaluation, after: Evaluation, reach: Reach | None) -> bool:
    """Whether both kernels are the same to the bit, or no touched file is in either."""
    if before.build and after.build and before.build.build_id == after.build.build_id:
        return True
    return reach is not None and not compiled_anything(reach)


def _same_kernel(reach: Reach | None) -> str:
    """The patched kernel is the base's to the bit; why, as far as the touched files tell."""
    code = [item for item in reach.files if item.state is not ReachState.NO_CODE] if reach else []
    off = [item for item in code if item.state is ReachState.NOT_COMPILED]
    if reach is not None and not compiled_anything(reach) and not code:
        return "nothing of the series is compiled: it touches no code"
    if off and len(off) == len(code):
        item = off[0]
        why = f", which needs {', '.join(item.unmet)}" if item.unmet else ""
        return f"nothing of the series is compiled here: not {item.path}{why}"
    if off or not code:
        return "nothing of the series is compiled here: the kernel is the base's own"
    return "what the series touches is compiled and the same: the kernel is the base's own"


_NOUNS = {
    FindingKind.BUILD: ("build failure", ""),
    FindingKind.BOOT: ("guest that did not finish", "guests that did not finish"),
    FindingKind.CONSOLE: ("console report", ""),
    FindingKind.CASE: ("case", ""),
    FindingKind.CONFIG: ("config symbol", ""),
    FindingKind.WARNING: ("compiler warning", ""),
    FindingKind.CHECK: ("remark of a check", "remarks of checks"),
}


def _blame(blamed: Sequence[Finding]) -> str:
    if len(blamed) == 1:
        return f"new failure: {blamed[0].title}"
    kinds = Counter(finding.kind for finding in blamed)
    parts = [counted(kinds[kind], *nouns) for kind, nouns in _NOUNS.items() if kinds[kind]]
    number = f"{len(blamed)} " if len(parts) > 1 else ""
    return f"{number}new failures: {', '.join(parts)}"


def _praise(cases: Sequence[JudgedCase]) -> str:
    count = Counter(case.verdict for case in _asking(cases))
    fixed = count[CaseVerdict.FIXED]
    text = f"no new failure: {counted(count[CaseVerdict.PASS] + fixed, 'case')} passed"
    for number, words in (
        (fixed, "of them failed on the base"),
        (count[CaseVerdict.PRE_EXISTING], "failed on the base too"),
        (count[CaseVerdict.FLAKY], "flaky"),
        (count[CaseVerdict.UNTESTABLE], "could not be tested here"),
    ):
        text += f", {number} {words}" if number else ""
    return text
