# SPDX-License-Identifier: GPL-2.0-or-later
"""What the templates show, put side by side; it judges nothing, verdict.py has done that."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from kverdict.findings.suite import defect_of
from kverdict.judgement import guests_of
from kverdict.models import (
    Absent,
    AppliedPatch,
    BenchRow,
    BenignLine,
    Build,
    ConfigProof,
    Evaluation,
    Patch,
    Since,
    Splat,
    SymbolProof,
    SymbolState,
)
from kverdict.render.formats import INSTRUCTIONS
from kverdict.render.tallies import CONSOLE, how_often
from kverdict.runs import boot_file
from kverdict.text import counted
from kverdict.verdict import (
    WORST_FIRST,
    CaseVerdict,
    Finding,
    FindingKind,
    JudgedCase,
    Proof,
    Report,
    Runs,
    splat_identity,
)

_OF_RUNNING = (FindingKind.CASE, FindingKind.CONSOLE, FindingKind.BOOT)
_NAMED = 3
ADVICE = "ADVICE"
BAR = 1000  # width of the bar of counts, in its own units


@dataclass(frozen=True)
class Fact:
    """One line of "what was tested on what"; ``mono`` marks what is code."""

    name: str
    text: str
    mono: bool = False


@dataclass(frozen=True)
class Share:
    """The part of the bar of counts that one verdict takes."""

    verdict: CaseVerdict
    count: int
    start: int
    width: int


@dataclass(frozen=True)
class Shown:
    """A finding with where its expectation comes from, and how often it was seen."""

    finding: Finding
    source: str
    runs: str = ""  # "fails 2 of 2, base passes 1 of 1"
    fingerprint: str = ""  # of a report on the console


@dataclass(frozen=True)
class Bunch:
    """Findings of one defect that the suite knows by name, or a single one without a name."""

    defect: str
    findings: tuple[Shown, ...]

    @property
    def verdict(self) -> CaseVerdict:
        return self.findings[0].finding.verdict

    @property
    def advice(self) -> bool:
        return self.findings[0].finding.advice

    @property
    def word(self) -> str:
        return word(self.findings[0].finding)


@dataclass(frozen=True)
class Group:
    """The cases of one verdict."""

    verdict: CaseVerdict
    cases: tuple[JudgedCase, ...]


@dataclass(frozen=True)
class SymbolRow:
    """A symbol on both kernels; ``base`` is None when only the patched one was configured."""

    proof: SymbolProof
    base: str | None
    as_asked: bool  # on both


@dataclass(frozen=True)
class Side:
    """The base or the patched kernel."""

    name: str
    evaluation: Evaluation


@dataclass(frozen=True)
class BenchLine:
    kernel: str
    row: BenchRow


@dataclass(frozen=True)
class PatchLine:
    """A patch, and what came with it; ``builds`` is None when that was not tried."""

    mail: Patch
    commit: AppliedPatch | None
    builds: bool | None
    error: str
    brings: tuple[str, ...]


@dataclass(frozen=True)
class Cell:
    """What a case answered on one kernel; ``turns`` where it is not what the one before said."""

    text: str
    kind: str  # a word for a CSS class
    turns: bool


@dataclass(frozen=True)
class MatrixRow:
    """A case on the base and on each patch."""

    case: JudgedCase
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class Seen:
    """A report of the kernel against itself, how many of the boots had it, and where it stands."""

    splat: Splat
    boots: int
    file: str  # "console-2.log"


@dataclass(frozen=True)
class Allowed:
    """Lines of the console that one entry of the allowlist covers; ``line`` is the first."""

    line: BenignLine
    count: int


def shares(counts: dict[str, int]) -> tuple[Share, ...]:
    """The bar of counts, the good ones first; every count that is not 0 can be seen."""
    present = [(v, counts.get(v.value, 0)) for v in reversed(WORST_FIRST) if counts.get(v.value)]
    total = sum(count for _, count in present)
    found, start = [], 0
    for place, (verdict, count) in enumerate(present):
        left = len(present) - place - 1
        width = max(8, round(BAR * count / total))
        width = BAR - start if not left else min(width, BAR - start - 8 * left)
        found.append(Share(verdict, count, start, width))
        start += width
    return tuple(found)


def groups(report: Report) -> tuple[Group, ...]:
    """The matrix by verdict, the worst first, each in the suite's order."""
    found = (
        Group(verdict, tuple(case for case in report.verdict.cases if case.verdict is verdict))
        for verdict in WORST_FIRST
    )
    return tuple(group for group in found if group.cases)


def shown_findings(report: Report) -> tuple[Shown, ...]:
    """Findings in the verdict's order, those about a case with the case's source."""
    cases = {case.id: case for case in report.verdict.cases}
    return tuple(_shown(report, finding, cases) for finding in report.verdict.findings)


def _shown(report: Report, finding: Finding, cases: Mapping[str, JudgedCase]) -> Shown:
    case = cases.get(finding.case or "")
    if finding.kind is FindingKind.CASE and case is not None:
        _, answered = answered_on(finding, case)
        return Shown(finding, case.source, how_often(case.model_copy(update={"patched": answered})))
    patched, base = _seen_on(report, finding), report.base_evaluation
    if finding.kind is FindingKind.CONSOLE:
        id = finding.bare_key.removeprefix("console:")
        runs = f"seen in {_boots_with(patched, id)}, base in {_boots_with(base, id)}"
        return Shown(finding, "", runs, id)
    if finding.kind is FindingKind.BOOT:
        return Shown(finding, "", f"{boots(patched)}; base: {boots(base)}")
    return Shown(finding, "")


def _seen_on(report: Report, finding: Finding) -> Evaluation:
    if finding.in_between and finding.patch is not None:
        return report.patch_evaluations[finding.patch - 1]
    return report.patched_evaluation


def _boots_with(evaluation: Evaluation, id: str) -> str:
    guests = guests_of(evaluation)
    number = sum(any(splat_identity(one) == id for one in guest.splats) for guest in guests)
    return f"{number} of {counted(len(guests), 'boot')}"


def bunches(report: Report) -> tuple[Bunch, ...]:
    """Findings in the verdict's order; neighbours that show the same defect are together."""
    found: list[Bunch] = []
    for shown in shown_findings(report):
        defect = _defect_of(shown.finding)
        last = found[-1] if found else None
        if (
            last is not None
            and defect
            and (last.defect, last.verdict)
            == (
                defect,
                shown.finding.verdict,
            )
        ):
            found[-1] = Bunch(defect, (*last.findings, shown))
        else:
            found.append(Bunch(defect, (shown,)))
    return tuple(found)


def _defect_of(finding: Finding) -> str:
    defect = defect_of(finding.case) if finding.kind is FindingKind.CASE and finding.case else None
    return defect.title if defect is not None else ""


def outcomes(runs: Runs) -> str:
    """ "pass", "2 pass, 1 fail", or a dash for a case that was never planned."""
    names = [outcome.value for outcome in runs.outcomes]
    if not names:
        return "-"
    if len(names) == 1:
        return names[0]
    return ", ".join(f"{names.count(name)} {name}" for name in dict.fromkeys(names))


def answered_on(finding: Finding, case: JudgedCase) -> tuple[str, Runs]:
    """Which kernel shows a finding about a case, and what the case answered there.

    What a patch in between shows, and the end does not, is no answer of the patched kernel.
    """
    number = finding.patch
    if number is not None and finding.in_between and finding.bare_key == f"case:{case.id}":
        return f"patch {number}'s kernel", case.each[number - 1]
    return "patched kernel", case.patched


def said(case: JudgedCase) -> str:
    """What the matrix shows beside a case: the patched kernel's message, else the base's."""
    return case.patched.message or ("" if case.base.skipped else case.base.message)


def symbols(report: Report) -> tuple[SymbolRow, ...]:
    """Requested symbols on both kernels, those that are not as asked first."""
    patched = report.patched_evaluation.config or report.base_evaluation.config
    base = _by_name(report.base_evaluation.config)
    rows = []
    for proof in patched.asked if patched is not None else ():
        old = base.get(proof.name)
        good = all(item.state is SymbolState.AS_ASKED for item in (proof, old) if item is not None)
        rows.append(SymbolRow(proof, old.got if old is not None else None, good))
    return tuple(sorted(rows, key=lambda row: row.as_asked))


def _by_name(config: ConfigProof | None) -> dict[str, SymbolProof]:
    return {proof.name: proof for proof in config.asked} if config is not None else {}


def sides(report: Report) -> tuple[Side, Side]:
    return Side("base", report.base_evaluation), Side("patched", report.patched_evaluation)


def bench_lines(report: Report) -> tuple[BenchLine, ...]:
    return tuple(
        BenchLine(side.name, row)
        for side in sides(report)
        if side.evaluation.guest is not None
        for row in side.evaluation.guest.bench
    )


def counts_instructions(report: Report) -> bool:
    return any(line.row.unit == INSTRUCTIONS for line in bench_lines(report))


def patch_lines(report: Report) -> tuple[PatchLine, ...]:
    commits = {commit.number: commit for commit in report.applied.patches}
    builds = {number: item.build for number, item in enumerate(report.patch_evaluations, start=1)}
    return tuple(
        _patch_line(report, mail, commits.get(mail.number), builds.get(mail.number))
        for mail in report.series.patches
    )


def _patch_line(
    report: Report, mail: Patch, commit: AppliedPatch | None, build: Build | None
) -> PatchLine:
    error = build.first_error if build is not None else None
    place = f"{error.file}:{error.line}: " if error is not None and error.file else ""
    return PatchLine(
        mail=mail,
        commit=commit,
        builds=None if build is None else build.ok,
        error=f"{place}{error.message}" if error is not None else "",
        brings=tuple(_brings(report, mail.number)),
    )


def _brings(report: Report, patch: int) -> Iterator[str]:
    """What a patch brought, by kind, in words."""
    warnings = [item for item in report.warnings if item.patch == patch]
    plain = sum(item.diagnostic.tool == "compiler" for item in warnings)
    notes = report.checks.notes if report.checks is not None else ()
    symbols = [change for change in report.kconfig_changes if change.patch == patch]
    for number, words in (
        (plain, ("new compiler warning",)),
        (
            len(warnings) - plain,
            ("new message of a stricter checker", "new messages of stricter checkers"),
        ),
        (sum(note.patch == patch for note in notes), ("remark of a check", "remarks of checks")),
        (sum(len(change.symbols) for change in symbols), ("changed symbol",)),
    ):
        if number:
            yield counted(number, *words)
    ours = [one for one in report.verdict.findings if one.patch == patch]
    for verdict in WORST_FIRST:
        named = [
            one.case or one.title
            for one in ours
            if one.kind in _OF_RUNNING and one.verdict is verdict
        ]
        if named:
            rest = f" and {len(named) - _NAMED} more" if len(named) > _NAMED else ""
            yield f"{len(named)} {verdict.value}: {', '.join(named[:_NAMED])}{rest}"


def matrix(report: Report) -> tuple[MatrixRow, ...]:
    """The cases that were asked on patches in between and do not answer alike everywhere."""
    rows = []
    for case in report.verdict.cases:
        runs = (case.base, *case.each)
        if case.each and len({frozenset(one.outcomes) for one in runs if one.outcomes}) > 1:
            cells = tuple(_cell(one, place in case.changes) for place, one in enumerate(runs))
            rows.append(MatrixRow(case, cells))
    return tuple(rows)


def _cell(runs: Runs, turns: bool) -> Cell:
    kinds = (
        (CaseVerdict.FLAKY, runs.flaky),
        (CaseVerdict.NEW_FAIL, runs.bad),
        (CaseVerdict.PASS, runs.passed),
    )
    kind = next((verdict for verdict, holds in kinds if holds), CaseVerdict.UNTESTABLE)
    return Cell(outcomes(runs), kind.value, turns)


def answering_alike(report: Report) -> int:
    """How many cases were asked on patches in between and answered the same everywhere."""
    return sum(bool(case.each) for case in report.verdict.cases) - len(matrix(report))


def seen(evaluation: Evaluation) -> tuple[Seen, ...]:
    """Each report once, whatever the number of boots that had it, as it was first seen."""
    first: dict[str, tuple[Splat, str]] = {}
    boots: Counter[str] = Counter()
    for guest in guests_of(evaluation):
        found = {splat_identity(splat): splat for splat in reversed(guest.splats)}
        boots.update(found.keys())
        for id, splat in sorted(found.items(), key=lambda item: item[1].line):
            first.setdefault(id, (splat, boot_file(CONSOLE, guest.boot)))
    return tuple(Seen(splat, boots[id], file) for id, (splat, file) in first.items())


def allowed(evaluation: Evaluation) -> tuple[Allowed, ...]:
    """What of the console the allowlist covers, by entry."""
    lines = [line for guest in guests_of(evaluation) for line in guest.benign]
    first: dict[tuple[str, str], BenignLine] = {}
    for line in lines:
        first.setdefault((line.reason, line.expires), line)
    entries = [(line.reason, line.expires) for line in lines]
    return tuple(Allowed(line, entries.count(entry)) for entry, line in first.items())


def boots(evaluation: Evaluation) -> str:
    """ "1 boot: done", "3 boots: 2 done, 1 panic"."""
    ends = Counter(guest.end.value for guest in guests_of(evaluation))
    total = ends.total()
    told = ", ".join(f"{count} {end}" if total > 1 else end for end, count in ends.items())
    return f"{counted(total, 'boot')}: {told}" if total else "none"


def lint_missing(report: Report) -> tuple[Absent, ...]:
    """What did not run, on the patched kernel first; the same for the same reason only once."""
    commits = (report.patched_evaluation, report.base_evaluation, *report.patch_evaluations[:-1])
    found: dict[tuple[str, str], Absent] = {}
    for evaluation in commits:
        for absent in evaluation.lint.missing if evaluation.lint is not None else ():
            why = absent.why
            if evaluation is not report.patched_evaluation:
                why = f"{evaluation.describe}: {why}"
            told = absent.model_copy(update={"why": why})
            found.setdefault((absent.tool, absent.why), told)
    return tuple(found.values())


def facts(report: Report) -> tuple[Fact, ...]:
    """What was tested on what, for the first glance."""
    series, base = report.series, report.base
    number = len(series.patches)
    newer = (
        f"; v{series.newest_revision} exists" if series.newest_revision > series.revision else ""
    )
    lines = [
        Fact(
            "Series",
            f"v{series.revision}, {counted(number, 'patch', 'patches')} "
            f"from {series.kind.value}{newer}",
        ),
        Fact("Author", series.author),
        Fact("Signatures", series.attestation),
        Fact("Message-ID", series.message_id or "none", mono=True),
        Fact("Base", f"{base.description}, {base.sha[:12]}"),
        Fact(
            "Chosen by",
            f"{base.how.value} ({base.ref}), {base.blobs_matched} of {base.blobs_total} "
            "preimage blobs match",
        ),
    ]
    if len(report.patch_evaluations) > 1:
        lines.append(Fact("Patches", patches_line(report)))
    if report.memory is not None:
        lines.append(Fact(f"Since v{report.memory.revision}", since_line(report)))
    return (*lines, *_kernel_facts(report))


def _kernel_facts(report: Report) -> tuple[Fact, ...]:
    patched, base = report.patched_evaluation, report.base_evaluation
    guest, config = patched.guest or base.guest, patched.config or base.config
    lines = []
    if guest is not None and guest.release is not None:
        lines.append(Fact("Kernel", f"Linux {guest.release}"))
    elif config is not None:
        lines.append(Fact("Kernel", f"Linux {config.kernel_version}"))
    if config is not None:
        lines.append(Fact("Compiler", config.compiler))
    if guest is not None:
        why = f": {guest.accelerator_why}" if guest.accelerator_why else ""
        lines.append(Fact("Accelerator", f"{guest.accelerator.value}{why}"))
    return tuple(lines)


def word(finding: Finding) -> str:
    """What a finding is called: its verdict, or that it is no more than advice."""
    return ADVICE if finding.advice else finding.verdict.value


def patches_line(report: Report) -> str:
    """Of a series of several patches, whether each builds: "2/3 does not build"."""
    builds = [item.build for item in report.patch_evaluations]
    total, tried = len(builds), [build for build in builds if build is not None]
    broken = [
        f"{number}/{total}"
        for number, build in enumerate(builds, start=1)
        if build is not None and not build.ok
    ]
    if broken:
        more = f" and {len(broken) - _NAMED} more" if len(broken) > _NAMED else ""
        named = ", ".join(broken[:_NAMED]) + more
        text = f"{named} {'does' if len(broken) == 1 else 'do'} not build"
    elif len(tried) == total:
        return f"all {total} build, each on top of the one before"
    else:
        text = f"{len(tried)} of {total} build"
    return text if len(tried) == total else f"{text}, {total - len(tried)} not built"


def since_line(report: Report) -> str:
    """ "2 gone, 1 still there" since the revision that was verified before."""
    if report.memory is None:
        return ""
    states = [item.since for item in report.memory.findings]
    counts = [f"{states.count(state)} {state.value}" for state in Since if state in states]
    return ", ".join(counts) or "no findings then or now"


def evidence_line(report: Report) -> str:
    """How many of the claims are proven, and which are not."""
    evidence = report.verdict.evidence
    holding = sum(item.proof is Proof.HOLDS for item in evidence)
    text = f"{holding} of {counted(len(evidence), 'proof')} hold"
    missing = dict.fromkeys(item.name for item in evidence if item.proof is not Proof.HOLDS)
    return text + (f", not: {', '.join(missing)}" if missing else "")
