# SPDX-License-Identifier: GPL-2.0-or-later
"""Every rule about pass and fail, in one place: pure functions over evaluations, no I/O.

The rules in one breath: a patch is judged by what changes between base and patched; our trouble
is never its failure; a skip is never a pass; nothing ran is never good; a claim without its proof
(the wrong kernel ran, the console was not scanned) is no claim.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import Enum

from kverdict.errors import ExitStatus
from kverdict.models import (
    Applied,
    BaseChoice,
    Build,
    CaseResult,
    ConfigProof,
    Evaluation,
    Frozen,
    Guest,
    GuestEnd,
    Outcome,
    Series,
    Splat,
    SymbolState,
)

SCHEMA_VERSION = 1


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
    message: str = ""

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


class FindingKind(Enum):
    BUILD = "build"
    BOOT = "boot"
    CONSOLE = "console"
    CASE = "case"
    CONFIG = "config"


class Finding(Frozen):
    """Something a maintainer has to look at; ``verdict`` says whose it is."""

    kind: FindingKind
    verdict: CaseVerdict
    title: str
    detail: str
    case: str | None = None


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
    patched_evaluation: Evaluation


# --- cases ----------------------------------------------------------------------------------------


def judge_case(base: Runs, patched: Runs) -> CaseVerdict:
    """The table of docs/verdicts.md, from the most certain knowledge to the least."""
    if patched.flaky or base.flaky:
        return CaseVerdict.FLAKY
    if patched.bad:
        return CaseVerdict.PRE_EXISTING if base.bad else CaseVerdict.NEW_FAIL
    if patched.passed:
        return CaseVerdict.FIXED if base.bad else CaseVerdict.PASS
    if patched.skipped:
        return CaseVerdict.UNTESTABLE
    return CaseVerdict.INFRA


def judge_cases(base: Guest | None, patched: Guest | None) -> tuple[JudgedCase, ...]:
    """All cases that either kernel planned, in the suite's order."""
    before, after = _by_id(base), _by_id(patched)
    known: dict[str, CaseResult] = {**after, **{k: v for k, v in before.items() if k not in after}}
    judged = []
    for case in known.values():
        ran_before, ran_after = _runs(before.get(case.id)), _runs(after.get(case.id))
        judged.append(
            JudgedCase(
                id=case.id,
                title=case.title,
                source=case.source,
                verdict=judge_case(ran_before, ran_after),
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


def find(base: Evaluation, patched: Evaluation, cases: Sequence[JudgedCase]) -> tuple[Finding, ...]:
    """What a maintainer has to look at, the worst first."""
    return (
        *_build_findings(base.build, patched.build),
        *_boot_findings(base.guest, patched.guest),
        *_console_findings(base.guest, patched.guest),
        *_case_findings(cases),
        *_config_findings(base.config, patched.config),
    )


def _build_findings(base: Build | None, patched: Build | None) -> Iterable[Finding]:
    if patched is None or patched.ok:
        return
    broken_before = base is not None and not base.ok
    error = patched.first_error
    place = f"{error.file}:{error.line}: " if error and error.file else ""
    yield Finding(
        kind=FindingKind.BUILD,
        verdict=CaseVerdict.PRE_EXISTING if broken_before else CaseVerdict.NEW_FAIL,
        title="does not build",
        detail=f"{place}{error.message}" if error else "see build.log",
    )


def _boot_findings(base: Guest | None, patched: Guest | None) -> Iterable[Finding]:
    if patched is None or patched.end is GuestEnd.DONE:
        return
    if patched.end is GuestEnd.PANIC:
        verdict = (
            CaseVerdict.PRE_EXISTING
            if base is not None and base.end is GuestEnd.PANIC
            else CaseVerdict.NEW_FAIL
        )
    elif base is not None and base.end is GuestEnd.DONE:
        # The base came through the same session on the same machine: the patch is the difference.
        verdict = CaseVerdict.NEW_FAIL
    else:
        verdict = CaseVerdict.INFRA
    yield Finding(
        kind=FindingKind.BOOT,
        verdict=verdict,
        title=f"the patched guest did not finish: {patched.end.value}",
        detail="\n".join(patched.console_tail[-8:]),
    )


def _console_findings(base: Guest | None, patched: Guest | None) -> Iterable[Finding]:
    if patched is None:
        return
    before = {_identity(splat) for splat in base.splats} if base is not None else set()
    for splat in patched.splats:
        during = f" (during {splat.during})" if splat.during else ""
        yield Finding(
            kind=FindingKind.CONSOLE,
            verdict=(
                CaseVerdict.PRE_EXISTING if _identity(splat) in before else CaseVerdict.NEW_FAIL
            ),
            title=f"{splat.kind.value}: {splat.title}{during}",
            detail=splat.excerpt,
            case=splat.during,
        )


def _identity(splat: Splat) -> tuple[str, str]:
    """The same report on two kernels: its kind and function; titles hold addresses and lines."""
    return (splat.kind.value, splat.function or splat.title)


def _case_findings(cases: Sequence[JudgedCase]) -> Iterable[Finding]:
    shown = (
        CaseVerdict.NEW_FAIL,
        CaseVerdict.FLAKY,
        CaseVerdict.INFRA,
        CaseVerdict.PRE_EXISTING,
        CaseVerdict.FIXED,
    )
    for verdict in shown:
        for case in cases:
            if case.verdict is verdict:
                yield Finding(
                    kind=FindingKind.CASE,
                    verdict=verdict,
                    title=case.title,
                    detail=case.patched.message or case.base.message,
                    case=case.id,
                )


def _config_findings(base: ConfigProof | None, patched: ConfigProof | None) -> Iterable[Finding]:
    if patched is None:
        return
    before = _missed(base)
    for symbol in patched.asked:
        if symbol.name in _missed(patched):
            yield Finding(
                kind=FindingKind.CONFIG,
                verdict=(
                    CaseVerdict.PRE_EXISTING if symbol.name in before else CaseVerdict.NEW_FAIL
                ),
                title=f"CONFIG_{symbol.name}: asked {symbol.asked}, got {symbol.got}",
                detail=symbol.why,
            )


def _missed(config: ConfigProof | None) -> frozenset[str]:
    if config is None:
        return frozenset()
    return frozenset(
        symbol.name
        for symbol in config.asked
        if symbol.required and symbol.state is not SymbolState.AS_ASKED
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
        _apply_evidence(series, applied),
        *(
            evidence
            for name, evaluation in (("base", before), ("patched", after))
            for evidence in _evaluation_evidence(name, evaluation)
        ),
    )


def _source_evidence(series: Series) -> Evidence:
    attested = sum(patch.attestation.attested for patch in series.patches)
    newer = (
        f"; v{series.newest_revision} exists" if series.newest_revision > series.revision else ""
    )
    return Evidence(
        name="source",
        proof=Proof.OPEN if newer else Proof.HOLDS,
        text=f"v{series.revision}, {len(series.patches)} patch(es) from {series.kind.value}, "
        f"{attested} attested{newer}",
    )


def _apply_evidence(series: Series, applied: Applied) -> Evidence:
    three_way = sum(patch.three_way for patch in applied.patches)
    complete = len(applied.patches) == len(series.patches)
    return Evidence(
        name="apply",
        proof=Proof.HOLDS if complete else Proof.FAILS,
        text=f"{len(applied.patches)} of {len(series.patches)} patches applied"
        + (f", {three_way} by 3-way merge" if three_way else ""),
    )


def _evaluation_evidence(name: str, evaluation: Evaluation) -> Iterable[Evidence]:
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
    missed = sorted(_missed(config))
    text = f"{name}: {len(config.asked) - len(missed)} of {len(config.asked)} symbols as asked"
    text += f", {len(config.added)} added as dependencies"
    text += f", {len(config.differing)} differ from make olddefconfig"
    if missed:
        text += f"; not reached: {', '.join(missed)}"
    proven = not missed and not config.differing
    return Evidence(name="config", proof=Proof.HOLDS if proven else Proof.FAILS, text=text)


def _build_evidence(name: str, build: Build) -> Evidence:
    if build.ok:
        text = f"{name}: built, {len(build.warnings)} warning(s), build-id {build.build_id}"
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
    text = f"{name}: scanned, " + ("clean" if clean else f"{len(guest.splats)} splat(s)")
    return Evidence(name="console", proof=Proof.HOLDS if clean else Proof.FAILS, text=text)


def _tests_evidence(name: str, guest: Guest) -> Evidence:
    ran = [case for case in guest.cases if case.outcome is not Outcome.NOT_RUN]
    complete = guest.end is GuestEnd.DONE and len(ran) == len(guest.cases) and bool(ran)
    return Evidence(
        name="tests",
        proof=Proof.HOLDS if complete else Proof.FAILS,
        text=f"{name}: {len(ran)} of {len(guest.cases)} cases ran "
        f"({guest.accelerator.value}, {guest.end.value})",
    )


# --- the whole ------------------------------------------------------------------------------------


def judge(
    series: Series, base: BaseChoice, applied: Applied, before: Evaluation, after: Evaluation
) -> Verdict:
    """The verdict on a series that was applied and evaluated."""
    cases = judge_cases(before.guest, after.guest)
    findings = find(before, after, cases)
    evidence = gather_evidence(series, base, applied, before, after)
    counts = {verdict.value: 0 for verdict in CaseVerdict}
    for case in cases:
        counts[case.verdict.value] += 1
    overall, headline = _overall(before, after, cases, findings, evidence)
    return Verdict(
        schema_version=SCHEMA_VERSION,
        overall=overall,
        exit_status=EXIT_OF[overall],
        headline=headline,
        counts=counts,
        cases=cases,
        findings=findings,
        evidence=evidence,
    )


def _overall(
    before: Evaluation,
    after: Evaluation,
    cases: Sequence[JudgedCase],
    findings: Sequence[Finding],
    evidence: Sequence[Evidence],
) -> tuple[Overall, str]:
    """Our trouble first: nothing is blamed on a patch that our own trouble may explain."""
    trouble = _trouble(before, after, findings) or _unproven(evidence, Proof.FAILS)
    if trouble:
        return Overall.TROUBLE, trouble
    blamed = [finding for finding in findings if finding.verdict is CaseVerdict.NEW_FAIL]
    if blamed:
        return Overall.BAD, _blame(blamed)
    if before.build is not None and not before.build.ok:
        return Overall.UNTESTABLE, "the base does not build"
    if not any(case.verdict in (CaseVerdict.PASS, CaseVerdict.FIXED) for case in cases):
        return Overall.UNTESTABLE, "nothing ran that could speak for or against the series"
    unproven = _unproven(evidence, Proof.OPEN)
    if unproven:
        return Overall.TROUBLE, unproven
    flaky = sum(case.verdict is CaseVerdict.FLAKY for case in cases)
    passed = sum(case.verdict in (CaseVerdict.PASS, CaseVerdict.FIXED) for case in cases)
    return Overall.GOOD, f"no new failure in {passed} cases" + (f", {flaky} flaky" if flaky else "")


def _trouble(before: Evaluation, after: Evaluation, findings: Sequence[Finding]) -> str | None:
    for evaluation in (before, after):
        if evaluation.infra is not None:
            return evaluation.infra
        if evaluation.guest is not None and not evaluation.guest.console_scanned:
            return f"{evaluation.describe}: the console could not be scanned"
    ours = [finding for finding in findings if finding.verdict is CaseVerdict.INFRA]
    if ours:
        return f"{len(ours)} result(s) could not be had: {ours[0].title}"
    return None


def _unproven(evidence: Sequence[Evidence], at_worst: Proof) -> str | None:
    """The first proof about the running kernels that does not hold."""
    for item in evidence:
        if item.name in ("identity", "running config") and (
            item.proof is Proof.FAILS or item.proof is at_worst
        ):
            return item.text
    return None


def _blame(blamed: Sequence[Finding]) -> str:
    kinds = dict.fromkeys(FindingKind, 0)
    for finding in blamed:
        kinds[finding.kind] += 1
    parts = [f"{count} {kind.value}" for kind, count in kinds.items() if count]
    return f"{len(blamed)} new finding(s): {', '.join(parts)}"
