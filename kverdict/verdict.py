# SPDX-License-Identifier: GPL-2.0-or-later
"""Every rule about pass and fail, in one place: pure functions over evaluations, no I/O.

The rules in one breath: a patch is judged by what changes between base and patched; our trouble
is never its failure; a skip is never a pass; nothing ran is never good; what the base never got to
cannot be compared; a claim without its proof (the wrong kernel ran, the console was not scanned)
is no claim.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from enum import Enum
from typing import Annotated

from kverdict.errors import ExitStatus
from kverdict.models import (
    MEASURED,
    Applied,
    BaseChoice,
    Build,
    CaseResult,
    Checks,
    ConfigProof,
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
    Splat,
    SymbolProof,
    SymbolState,
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
        decided = {outcome in BAD_OUTCOMES for outcome in self._answers}
        return len(decided) > 1

    @property
    def bad(self) -> bool:
        return any(outcome in BAD_OUTCOMES for outcome in self.outcomes)

    @property
    def passed(self) -> bool:
        return Outcome.PASS in self.outcomes

    @property
    def answered(self) -> bool:
        return bool(self._answers)

    @property
    def skipped(self) -> bool:
        return Outcome.SKIP in self.outcomes

    @property
    def _answers(self) -> tuple[Outcome, ...]:
        return tuple(
            outcome
            for outcome in self.outcomes
            if outcome not in NO_ANSWER and outcome is not Outcome.SKIP
        )


class JudgedCase(Frozen):
    id: str
    title: str
    source: str
    verdict: CaseVerdict
    base: Runs
    patched: Runs
    each: tuple[Runs, ...] = ()  # of every patch, as far as it was tested; empty when none was
    patch: int | None = None  # the first whose kernel answers otherwise than the one before


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
    memory: Memory | None = None

    @property
    def patched_evaluation(self) -> Evaluation:
        """Of the whole series."""
        return self.patch_evaluations[-1]


# --- how far a guest came -------------------------------------------------------------------------


def died_in(guest: Guest) -> str | None:
    """The case that the guest died in; None when it died outside of any, or did not die."""
    if guest.end is GuestEnd.DONE:
        return None
    ran = _ran(guest)
    return ran[-1].id if ran and ran[-1].outcome is Outcome.CRASH else None


def survived(guest: Guest | None, place: str | None) -> bool:
    """Whether the guest lived on after the case ``place``, or after booting when that is None."""
    if guest is None:
        return False
    if guest.end is GuestEnd.DONE:
        return True
    ran = {case.id for case in _ran(guest)}
    return bool(ran) if place is None else place in ran and place != died_in(guest)


def _ran(guest: Guest) -> list[CaseResult]:
    return [case for case in guest.cases if case.outcome is not Outcome.NOT_RUN]


def judge_end(base: Guest | None, patched: Guest | None) -> CaseVerdict | None:
    """Whose it is that the patched guest did not come to its end; None when it did.

    A base that came through the same place under the same limits leaves only the patch to differ.
    Two guests that both fell silent, were lost or never came up say more about this machine.
    """
    if patched is None or patched.end is GuestEnd.DONE:
        return None
    if patched.end is GuestEnd.NOT_STARTED:
        return CaseVerdict.INFRA
    if base is None:
        return CaseVerdict.UNTESTABLE
    if survived(base, died_in(patched)):
        return CaseVerdict.NEW_FAIL
    if base.end is not GuestEnd.PANIC:
        return CaseVerdict.INFRA
    same = patched.end is GuestEnd.PANIC and died_in(patched) == died_in(base)
    return CaseVerdict.PRE_EXISTING if same else CaseVerdict.UNTESTABLE


# --- cases ----------------------------------------------------------------------------------------


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
        lost = base.passed and not base.flaky
        return CaseVerdict.NEW_FAIL if lost else CaseVerdict.UNTESTABLE
    return CaseVerdict.INFRA


def _judge_bad(base: Runs) -> CaseVerdict:
    if base.bad:
        return CaseVerdict.PRE_EXISTING
    if base.passed or base.skipped:
        return CaseVerdict.NEW_FAIL
    return CaseVerdict.INFRA if Outcome.ERROR in base.outcomes else CaseVerdict.UNTESTABLE


def judge_cases(base: Guest | None, patched: Guest | None) -> tuple[JudgedCase, ...]:
    """All cases that either kernel planned, in the suite's order."""
    before, after = _by_id(base), _by_id(patched)
    known: dict[str, CaseResult] = {**after, **{k: v for k, v in before.items() if k not in after}}
    end = judge_end(base, patched)
    last = died_in(patched) if patched is not None else None
    judged = []
    for case in known.values():
        ran_before, ran_after = _runs(before.get(case.id)), _runs(after.get(case.id))
        verdict = judge_case(ran_before, ran_after)
        if patched is None:
            # No guest without a kernel: that is told once, by the build.
            verdict = CaseVerdict.UNTESTABLE
        elif end is not None and case.id == last:
            verdict = end
        elif end is not None and not set(ran_after.outcomes) - {Outcome.NOT_RUN}:
            # Its turn never came because the guest was gone: that is told once, by the end.
            verdict = CaseVerdict.INFRA if end is CaseVerdict.INFRA else CaseVerdict.UNTESTABLE
        judged.append(
            JudgedCase(
                id=case.id,
                title=case.title,
                source=case.source,
                verdict=verdict,
                base=ran_before,
                patched=ran_after,
            )
        )
    return tuple(judged)


def _by_id(guest: Guest | None) -> dict[str, CaseResult]:
    return {case.id: case for case in guest.cases} if guest is not None else {}


def _runs(case: CaseResult | None) -> Runs:
    if case is None:
        return Runs(outcomes=())
    return Runs(
        outcomes=(case.outcome,), message="" if case.outcome is Outcome.PASS else case.message
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


def find(base: Evaluation, patched: Evaluation, cases: Sequence[JudgedCase]) -> tuple[Finding, ...]:
    """What a maintainer has to look at, the worst first."""
    found = (
        *_build_findings(base.build, patched.build),
        *_end_findings(base.guest, patched.guest),
        *_console_findings(base.guest, patched.guest),
        *_case_findings(cases, judge_end(base.guest, patched.guest) is not None),
        *_config_findings(base.config, patched.config),
    )
    return tuple(sorted(found, key=lambda finding: WORST_FIRST.index(finding.verdict)))


def _build_findings(base: Build | None, patched: Build | None) -> Iterator[Finding]:
    if patched is None:
        return
    broken_before = base is not None and not base.ok
    if patched.ok:
        if base is not None and broken_before:
            yield Finding(
                kind=FindingKind.BUILD,
                verdict=CaseVerdict.FIXED,
                title="builds; the base does not",
                detail=_first_error(base),
            )
        return
    title = "does not build"
    if broken_before:
        verdict = CaseVerdict.PRE_EXISTING
    elif base is None:
        verdict = CaseVerdict.UNTESTABLE
    elif patched.confirmed_clean:
        verdict = CaseVerdict.NEW_FAIL
    else:
        verdict, title = CaseVerdict.INFRA, "does not build, but no clean build confirmed it"
    yield Finding(
        kind=FindingKind.BUILD, verdict=verdict, title=title, detail=_first_error(patched)
    )


def _first_error(build: Build) -> str:
    error = build.first_error
    if error is None:
        return "see build.log"
    line = f":{error.line}" if error.line is not None else ""
    return f"{error.file}{line}: {error.message}" if error.file else error.message


def _end_findings(base: Guest | None, patched: Guest | None) -> Iterator[Finding]:
    if patched is None:
        return
    verdict = judge_end(base, patched)
    if verdict is not None:
        place = died_in(patched)
        where = (
            f" (in {place})" if place else ", before the first case" if not _ran(patched) else ""
        )
        yield Finding(
            kind=FindingKind.BOOT,
            verdict=verdict,
            title=f"the patched guest did not finish: {patched.end.value}{where}",
            detail="\n".join(patched.console_tail[-8:]),
            case=place,
        )
    elif base is not None and base.end is GuestEnd.PANIC:
        yield Finding(
            kind=FindingKind.BOOT,
            verdict=CaseVerdict.FIXED,
            title="the patched guest came to its end; the base panics",
            detail="\n".join(base.console_tail[-8:]),
            case=died_in(base),
        )


def _console_findings(base: Guest | None, patched: Guest | None) -> Iterator[Finding]:
    if patched is None:
        return
    before = {_identity(splat) for splat in base.splats} if base is not None else set()
    for splat in patched.splats:
        if _identity(splat) in before:
            verdict = CaseVerdict.PRE_EXISTING
        elif survived(base, splat.during):
            verdict = CaseVerdict.NEW_FAIL
        else:
            verdict = CaseVerdict.UNTESTABLE
        yield _splat_finding(splat, verdict)
    if base is not None and patched.end is GuestEnd.DONE and patched.console_scanned:
        after = {_identity(splat) for splat in patched.splats}
        for splat in base.splats:
            if _identity(splat) not in after:
                yield _splat_finding(splat, CaseVerdict.FIXED)


def _splat_finding(splat: Splat, verdict: CaseVerdict) -> Finding:
    during = f" (during {splat.during})" if splat.during else ""
    return Finding(
        kind=FindingKind.CONSOLE,
        verdict=verdict,
        title=f"{splat.kind.value}: {splat.title}{during}",
        detail=splat.excerpt,
        case=splat.during,
    )


_CHANGES = re.compile(r"0x[0-9a-f]+|[0-9]+")


def _identity(splat: Splat) -> tuple[str, str]:
    """The same report on two kernels: its kind and function; a patch moves lines and addresses."""
    return (splat.kind.value, splat.function or _CHANGES.sub("#", splat.title))


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
        )


def _worth_telling(case: JudgedCase, cut_short: bool) -> bool:
    """A plain skip is not, nor a case whose turn never came because the guest was gone."""
    if case.verdict is CaseVerdict.UNTESTABLE:
        return case.patched.bad
    if case.verdict is CaseVerdict.INFRA and cut_short:
        return bool(set(case.patched.outcomes) - {Outcome.NOT_RUN})
    return case.verdict is not CaseVerdict.PASS


def _config_findings(base: ConfigProof | None, patched: ConfigProof | None) -> Iterator[Finding]:
    if patched is None:
        return
    before = {symbol.name for symbol in missed(base, required=True)} if base is not None else set()
    for symbol in missed(patched, required=True):
        if base is None:
            verdict = CaseVerdict.UNTESTABLE
        else:
            known = symbol.name in before
            verdict = CaseVerdict.PRE_EXISTING if known else CaseVerdict.NEW_FAIL
        yield Finding(
            kind=FindingKind.CONFIG,
            verdict=verdict,
            title=f"CONFIG_{symbol.name}: asked {symbol.asked}, got {symbol.got}",
            detail=symbol.why,
        )


def missed(config: ConfigProof, *, required: bool) -> tuple[SymbolProof, ...]:
    """The symbols that are not as asked, either the required or the other ones."""
    return tuple(
        symbol
        for symbol in config.asked
        if symbol.required is required and symbol.state is not SymbolState.AS_ASKED
    )


# --- evidence -------------------------------------------------------------------------------------


def gather_evidence(
    series: Series, base: BaseChoice, applied: Applied, before: Evaluation, after: Evaluation
) -> tuple[Evidence, ...]:
    return (
        _source_evidence(series),
        Evidence(
            name="base",
            proof=Proof.HOLDS,
            text=f"{base.description} ({base.sha[:12]}), {base.how.value}, "
            f"{base.blobs_matched} of {base.blobs_total} preimage blobs match",
        ),
        _apply_evidence(series, applied, before, after),
        *(
            evidence
            for name, evaluation in (("base", before), ("patched", after))
            for evidence in _evaluation_evidence(name, evaluation)
        ),
    )


def _source_evidence(series: Series) -> Evidence:
    newer = series.newest_revision > series.revision
    return Evidence(
        name="source",
        proof=Proof.OPEN if newer else Proof.HOLDS,
        text=f"v{series.revision}, {_count(len(series.patches), 'patch', 'patches')} from "
        f"{series.kind.value}, {series.attestation}"
        + (f"; v{series.newest_revision} exists" if newer else ""),
    )


def _apply_evidence(
    series: Series, applied: Applied, before: Evaluation, after: Evaluation
) -> Evidence:
    """As many commits as patches, and the two commits at their ends are what was evaluated."""
    done, wanted = len(applied.patches), len(series.patches)
    three_way = sum(patch.three_way for patch in applied.patches)
    text = f"{done} of {_count(wanted, 'patch', 'patches')} applied"
    text += f", {three_way} by 3-way merge" if three_way else ""
    if notes := [note for patch in applied.patches for note in patch.attention]:
        text += f"; worth a look: {', '.join(notes[:5])}"
        text += f" and {len(notes) - 5} more" if len(notes) > 5 else ""
    evaluated = (before.commit, after.commit) == (applied.base, applied.tip)
    if not evaluated:
        text += "; what was evaluated is NOT what was applied"
    holds = evaluated and done == wanted > 0
    return Evidence(name="apply", proof=Proof.HOLDS if holds else Proof.FAILS, text=text)


def _count(number: int, one: str, many: str = "") -> str:
    return f"{number} {one if number == 1 else many or one + 's'}"


def _evaluation_evidence(name: str, evaluation: Evaluation) -> Iterator[Evidence]:
    if evaluation.config is not None:
        yield _config_evidence(name, evaluation.config)
    if evaluation.build is not None:
        yield _build_evidence(name, evaluation.build)
    if evaluation.build is not None and evaluation.guest is not None:
        yield identity_evidence(name, evaluation.build, evaluation.guest)
        yield _running_config_evidence(name, evaluation.config, evaluation.guest)
        yield _console_evidence(name, evaluation.guest)
        yield _tests_evidence(name, evaluation.guest)


def _config_evidence(name: str, config: ConfigProof) -> Evidence:
    needed, wanted = missed(config, required=True), missed(config, required=False)
    as_asked = len(config.asked) - len(needed) - len(wanted)
    text = f"{name}: {as_asked} of {_count(len(config.asked), 'symbol')} as asked"
    text += f", {len(config.added)} added as dependencies"
    text += f", {len(config.differing)} differ from make olddefconfig"
    for what, symbols in (("required", needed), ("optional", wanted)):
        if symbols:
            names = ", ".join(sorted(symbol.name for symbol in symbols))
            text += f"; {what} and not reached: {names}"
    proven = not needed and not config.differing
    return Evidence(name="config", proof=Proof.HOLDS if proven else Proof.FAILS, text=text)


def _build_evidence(name: str, build: Build) -> Evidence:
    if build.ok:
        text = f"{name}: built, {_count(len(build.warnings), 'warning')}, build-id {build.build_id}"
        return Evidence(name="build", proof=Proof.HOLDS, text=text)
    how = "a clean build fails too" if build.confirmed_clean else "not confirmed by a clean build"
    return Evidence(name="build", proof=Proof.FAILS, text=f"{name}: does not build ({how})")


def identity_evidence(name: str, build: Build, guest: Guest) -> Evidence:
    """The kernel that ran is the one just built: their build-ids are equal."""
    if guest.build_id is None:
        text = f"{name}: the guest never told its build-id"
        return Evidence(name="identity", proof=Proof.OPEN, text=text)
    if guest.build_id != build.build_id:
        text = f"{name}: ran build-id {guest.build_id}, built {build.build_id}"
        return Evidence(name="identity", proof=Proof.FAILS, text=text)
    text = f"{name}: the running kernel's build-id is the one built, {guest.build_id}"
    return Evidence(name="identity", proof=Proof.HOLDS, text=text)


def _running_config_evidence(name: str, config: ConfigProof | None, guest: Guest) -> Evidence:
    if config is None or guest.config_digest is None:
        text = f"{name}: /proc/config.gz could not be read in the guest"
        return Evidence(name="running config", proof=Proof.OPEN, text=text)
    same = guest.config_digest == config.digest
    text = f"{name}: the guest's /proc/config.gz {'is' if same else 'is NOT'} the .config built"
    return Evidence(name="running config", proof=Proof.HOLDS if same else Proof.FAILS, text=text)


def _console_evidence(name: str, guest: Guest) -> Evidence:
    if not guest.console_scanned:
        text = f"{name}: the console could not be scanned"
        return Evidence(name="console", proof=Proof.FAILS, text=text)
    clean = not guest.splats
    text = f"{name}: scanned, " + ("clean" if clean else _count(len(guest.splats), "splat"))
    return Evidence(name="console", proof=Proof.HOLDS if clean else Proof.FAILS, text=text)


def _tests_evidence(name: str, guest: Guest) -> Evidence:
    ran = _ran(guest)
    complete = guest.end is GuestEnd.DONE and len(ran) == len(guest.cases) and bool(ran)
    complete = complete and not guest.problems
    return Evidence(
        name="tests",
        proof=Proof.HOLDS if complete else Proof.FAILS,
        text=f"{name}: {len(ran)} of {len(guest.cases)} cases ran "
        f"({guest.accelerator.value}, {guest.end.value})"
        + ("" if guest.kvm or not ran else "; /dev/kvm does not answer in the guest")
        + (f"; not believed: {'; '.join(guest.problems[:3])}" if guest.problems else ""),
    )


# --- the whole ------------------------------------------------------------------------------------


def judge(
    series: Series,
    base: BaseChoice,
    applied: Applied,
    before: Evaluation,
    after: Evaluation,
    *,
    protection: Sequence[str],
) -> Verdict:
    """The verdict on a series that was applied and evaluated.

    ``protection`` is what kept its code apart, in words; empty when nothing did.
    """
    cases = judge_cases(before.guest, after.guest)
    findings = find(before, after, cases)
    evidence = (
        *gather_evidence(series, base, applied, before, after),
        _sandbox_evidence(protection),
    )
    counted = Counter(case.verdict for case in cases)
    overall, headline = _overall(before, after, cases, findings, evidence)
    return Verdict(
        schema_version=SCHEMA_VERSION,
        overall=overall,
        exit_status=EXIT_OF[overall],
        headline=headline,
        counts={verdict.value: counted[verdict] for verdict in CaseVerdict},
        cases=cases,
        findings=findings,
        evidence=evidence,
    )


def _sandbox_evidence(protection: Sequence[str]) -> Evidence:
    if protection:
        return Evidence(name="sandbox", proof=Proof.HOLDS, text="; ".join(protection))
    text = (
        "none (--unsafe-no-sandbox): the series' code could do anything here, also to these results"
    )
    return Evidence(name="sandbox", proof=Proof.FAILS, text=text)


def _overall(
    before: Evaluation,
    after: Evaluation,
    cases: Sequence[JudgedCase],
    findings: Sequence[Finding],
    evidence: Sequence[Evidence],
) -> tuple[Overall, str]:
    """Our trouble first: nothing is blamed on a patch that our own trouble may explain.

    One case that could not answer is no such trouble: each runs in a process of its own.  So it
    takes nothing back from another's failure, but there is no GOOD with it.
    """
    if trouble := _trouble(before, after, findings, evidence):
        return Overall.TROUBLE, trouble
    if blamed := [finding for finding in findings if finding.verdict is CaseVerdict.NEW_FAIL]:
        return Overall.BAD, _blame(blamed)
    if mute := [case for case in cases if case.verdict is CaseVerdict.INFRA]:
        return Overall.TROUBLE, f"{_count(len(mute), 'case')} could not answer: {mute[0].id}"
    if reason := _untestable(before, after, cases, findings):
        return Overall.UNTESTABLE, reason
    if unproven := _unproven((before, after), Proof.OPEN):
        return Overall.TROUBLE, unproven
    if after.guest is not None and after.guest.problems:
        return Overall.TROUBLE, f"not all results can be believed: {after.guest.problems[0]}"
    return Overall.GOOD, _praise(cases)


def _trouble(
    before: Evaluation,
    after: Evaluation,
    findings: Sequence[Finding],
    evidence: Sequence[Evidence],
) -> str | None:
    """What takes the ground from under every comparison, None when there is no such thing."""
    for evaluation in (before, after):
        if evaluation.infra is not None:
            return evaluation.infra
        if evaluation.guest is not None and not evaluation.guest.console_scanned:
            return f"{evaluation.describe}: the console could not be scanned"
    for item in evidence:
        if item.name == "apply" and item.proof is Proof.FAILS:
            return item.text
    if unproven := _unproven((before, after), Proof.FAILS):
        return unproven
    for finding in findings:
        whole = finding.kind in (FindingKind.BUILD, FindingKind.BOOT)
        if whole and finding.verdict is CaseVerdict.INFRA:
            return finding.title
        ours = before.guest is not None and before.guest.end not in (GuestEnd.DONE, GuestEnd.PANIC)
        if ours and finding.verdict is CaseVerdict.UNTESTABLE:
            return f"the base guest did not get far enough to compare with: {finding.title}"
    return None


def _unproven(evaluations: Iterable[Evaluation], at_worst: Proof) -> str | None:
    """The first proof about a running kernel that does not hold.

    A guest that ran no case makes no claim that would need one.  Results of a kernel that did not
    say which one it is are as good as those of a wrong one; its .config is only open.
    """
    for evaluation in evaluations:
        build, guest = evaluation.build, evaluation.guest
        if build is None or guest is None:
            continue
        identity = identity_evidence(evaluation.describe, build, guest)
        config = _running_config_evidence(evaluation.describe, evaluation.config, guest)
        fatal = {Proof.FAILS, Proof.OPEN} if _ran(guest) else {Proof.FAILS}
        if identity.proof in fatal:
            return identity.text
        if config.proof is Proof.FAILS or (config.proof is at_worst and _ran(guest)):
            return config.text
    return None


def _untestable(
    before: Evaluation,
    after: Evaluation,
    cases: Sequence[JudgedCase],
    findings: Sequence[Finding],
) -> str | None:
    """Why nothing can be said for the series although nothing speaks against it."""
    broken_before = before.build is not None and not before.build.ok
    for finding in findings:
        known = finding.verdict is CaseVerdict.PRE_EXISTING
        if finding.kind is FindingKind.BUILD and known:
            return "neither the base nor the patched kernel builds"
        if finding.kind is FindingKind.CONFIG and known:
            return f"the configuration cannot be had on this tree: {finding.title}"
        if finding.kind is FindingKind.BOOT and known:
            return f"the base panics in the same place: {finding.title}"
        if finding.verdict is CaseVerdict.UNTESTABLE:
            why = "does not build" if broken_before else "never got that far"
            return f"nothing to compare with, the base {why}: {finding.title}"
    if after.guest is None or not any(
        case.verdict in (CaseVerdict.PASS, CaseVerdict.FIXED) for case in cases
    ):
        return "nothing ran that could speak for or against the series"
    if before.build and after.build and before.build.build_id == after.build.build_id:
        return "nothing of the series is compiled here: the kernel is the base's own"
    return None


_NOUNS = {
    FindingKind.BUILD: ("build failure", ""),
    FindingKind.BOOT: ("guest that did not finish", "guests that did not finish"),
    FindingKind.CONSOLE: ("console report", ""),
    FindingKind.CASE: ("case", ""),
    FindingKind.CONFIG: ("config symbol", ""),
}


def _blame(blamed: Sequence[Finding]) -> str:
    if len(blamed) == 1:
        return f"new failure: {blamed[0].title}"
    kinds = Counter(finding.kind for finding in blamed)
    parts = [_count(kinds[kind], *nouns) for kind, nouns in _NOUNS.items() if kinds[kind]]
    number = f"{len(blamed)} " if len(parts) > 1 else ""
    return f"{number}new failures: {', '.join(parts)}"


def _praise(cases: Sequence[JudgedCase]) -> str:
    count = Counter(case.verdict for case in cases)
    fixed = count[CaseVerdict.FIXED]
    text = f"no new failure: {_count(count[CaseVerdict.PASS] + fixed, 'case')} passed"
    for number, words in (
        (fixed, "of them failed on the base"),
        (count[CaseVerdict.PRE_EXISTING], "failed on the base too"),
        (count[CaseVerdict.FLAKY], "flaky"),
        (count[CaseVerdict.UNTESTABLE], "could not be tested here"),
    ):
        text += f", {number} {words}" if number else ""
    return text
