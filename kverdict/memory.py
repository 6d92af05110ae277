# SPDX-License-Identifier: GPL-2.0-or-later
"""A series beside its earlier revision: which findings are gone, still there, new.

What one of the two runs could not have seen is neither gone nor new: a case that was skipped, a
check that is not installed, a file that did not compile.  ``unseen`` has the rules for that, and
it is asked in both directions.

A finding that only patches in between have is the same on another of them, and at the end of the
series: patches move, and what one of them broke may stay.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from kverdict.findings.warnings import identity
from kverdict.judgement import (
    SCHEMA_VERSION,
    CaseVerdict,
    Finding,
    FindingKind,
    Report,
    Runs,
    guests_of,
)
from kverdict.models import (
    Build,
    Diagnostic,
    Evaluation,
    GuestEnd,
    Memory,
    Remembered,
    Series,
    Since,
    SymbolState,
)
from kverdict.progress import Progress
from kverdict.runs import run_states, write_atomically
from kverdict.stages.rangediff import range_diff
from kverdict.trees import Tree
from kverdict.verdict import splat_identity, survived

RANGE_DIFF = "range-diff.txt"
RUNS_AT_MOST = 500  # the newest; gc keeps far fewer
_LARGEST = {"series": 8 << 20, "verdict": 64 << 20}  # bytes of a file that is read

# The series' own; what the base has too, and our trouble, is not remembered.
_OURS = frozenset({CaseVerdict.NEW_FAIL, CaseVerdict.FLAKY})
_OF_THE_BASE = frozenset({CaseVerdict.PRE_EXISTING, CaseVerdict.FIXED})


# --- the earlier run ------------------------------------------------------------------------------


def recall(
    runs_folder: Path, folder: Path, report: Report, tree: Tree, progress: Progress
) -> Memory | None:
    """What the run in ``folder`` has to say about the revision before; None without such a run.

    Writes range-diff.txt into ``folder`` when there is one.
    """
    found = earlier_run(runs_folder, report.series, besides=folder)
    if found is None:
        return None
    home, earlier = found
    memory = remember(earlier, report, home.name)
    progress.say(f"v{memory.revision} was verified before: {home.name}")
    boxes = (home / "series" / earlier.series.mbox, folder / "series" / report.series.mbox)
    text, why = range_diff(boxes, (earlier.applied, report.applied), tree, progress=progress)
    if text is None:
        return memory.model_copy(update={"note": why})
    write_atomically(folder / RANGE_DIFF, text)
    return memory.model_copy(update={"range_diff": RANGE_DIFF, "note": why})


def earlier_run(runs_folder: Path, series: Series, *, besides: Path) -> tuple[Path, Report] | None:
    """The newest finished run of the highest revision below this one's, and its report.

    Runs whose files are damaged, or of another version's form, are passed over; the run in the
    folder ``besides`` is not looked at.  Reads the series of each run and few verdicts.
    """
    candidates = []
    for folder, state in run_states(runs_folder)[:RUNS_AT_MOST]:
        if not state.finished or folder.resolve() == besides.resolve():
            continue
        if (known := _series_in(folder)) is not None and is_earlier(known, series):
            candidates.append((known.revision, folder, known))
    candidates.sort(key=lambda one: one[0], reverse=True)  # stable: the newest stays first
    for _, folder, known in candidates:
        report = _report_in(folder)
        if report is not None and report.series == known:
            return folder, report
    return None


def is_earlier(one: Series, series: Series) -> bool:
    """Whether ``one`` is an earlier revision of ``series``: by change-id when both have one."""
    if one.revision >= series.revision:
        return False
    if one.change_id is not None and series.change_id is not None:
        return one.change_id == series.change_id
    return (_plain(one.subject), _plain(one.author)) == (
        _plain(series.subject),
        _plain(series.author),
    )


def _plain(text: str) -> str:
    """Without prefixes in brackets, case, blanks and a full stop at the end."""
    while text.lstrip().startswith("[") and "]" in text:
        text = text.partition("]")[2]
    return " ".join(text.casefold().split()).rstrip(".")


def _series_in(folder: Path) -> Series | None:
    try:
        return Series.from_json(_read(folder / "series" / "series.json", _LARGEST["series"]))
    except (OSError, ValueError):
        return None


def _report_in(folder: Path) -> Report | None:
    try:
        report = Report.from_json(_read(folder / "verdict.json", _LARGEST["verdict"]))
    except (OSError, ValueError):
        return None
    return report if report.verdict.schema_version == SCHEMA_VERSION else None


def _read(path: Path, most: int) -> bytes:
    """Raises ValueError for a file that is too large to be ours."""
    if path.stat().st_size > most:
        raise ValueError(f"{path} is over {most} bytes")
    return path.read_bytes()


# --- what became of the findings ------------------------------------------------------------------


def remember(earlier: Report, now: Report, run: str) -> Memory:
    """The findings of the series, then and now, by their keys; ``run`` names the earlier folder."""
    return Memory(
        run=run,
        revision=earlier.series.revision,
        headline=earlier.verdict.headline,
        findings=tuple(_compared(earlier, now)),
        same_base=earlier.base_evaluation.tree == now.base_evaluation.tree,
    )


def _compared(earlier: Report, now: Report) -> Iterator[Remembered]:
    then, today = _by_key(earlier), _by_key(now)
    for key, finding in then.items():
        if finding.verdict in _OURS:
            yield _since(finding, today.get(key), earlier, now)
    for key, finding in today.items():
        before = then.get(key)
        if finding.verdict not in _OURS or (before is not None and before.verdict in _OURS):
            continue
        why = "" if _was_seen(finding, before) else unseen(finding, now, earlier)
        since = Since.NOT_LOOKED if why else Since.NEW
        yield _remembered(since, finding, finding.verdict, f"then: {why}" if why else "")


def _was_seen(finding: Finding, before: Finding | None) -> bool:
    """What was the base's then, and is the series' now, was seen: it is new.

    Any other answer at the end of the series tells nothing of the patches in between.
    """
    if before is None:
        return False
    return not finding.in_between or before.verdict in _OF_THE_BASE


def _since(finding: Finding, today: Finding | None, earlier: Report, now: Report) -> Remembered:
    """What became of a finding of the earlier revision."""
    if today is not None and today.verdict not in (CaseVerdict.FIXED, CaseVerdict.INFRA):
        # Also when the base has it by now: it is not gone.
        return _remembered(Since.STILL, today, today.verdict, _moved(finding, today))
    why = unseen(finding, earlier, now)
    if today is not None and today.verdict is CaseVerdict.INFRA:
        why = why or "it gave no answer"
    verdict = today.verdict if today is not None else finding.verdict
    if why:
        return _remembered(Since.NOT_LOOKED, finding, verdict, f"now: {why}")
    return _remembered(Since.GONE, finding, verdict)


def _moved(finding: Finding, today: Finding) -> str:
    """Where it was then, when it came to the end of the series or left it."""
    if finding.in_between == today.in_between:
        return ""
    if finding.in_between:
        return f"then: on patch {finding.patch}, and not at the end"
    return "then: at the end of the series"


def _remembered(since: Since, finding: Finding, verdict: CaseVerdict, why: str = "") -> Remembered:
    return Remembered(
        since=since,
        key=finding.key or _by_title(finding),
        title=finding.title,
        verdict=verdict.value,
        why=why,
    )


def _by_key(report: Report) -> dict[str, Finding]:
    """One finding under each key, wherever in the series: one of its own first, then the worst."""
    found: dict[str, Finding] = {}
    for finding in sorted(report.verdict.findings, key=lambda one: one.verdict not in _OURS):
        found.setdefault(finding.bare_key or _by_title(finding), finding)
    return found


def _by_title(finding: Finding) -> str:
    return f"{finding.kind.value}:{finding.title}"


# --- whether it could have been seen --------------------------------------------------------------


def unseen(finding: Finding, source: Report, other: Report) -> str:
    """Why ``other`` could not have had the finding of ``source``; empty when it could have."""
    match finding.kind:
        case FindingKind.BUILD:
            return _build_unseen(other)
        case FindingKind.BOOT | FindingKind.CONSOLE | FindingKind.CASE:
            if finding.in_between:
                return _passing_unseen(finding, source, other)
            return _guest_unseen(finding, source, other, len(other.patch_evaluations))
        case FindingKind.CONFIG:
            return _symbol_unseen(finding, other)
        case FindingKind.WARNING:
            return _warning_unseen(finding, source, other)
        case FindingKind.CHECK:
            return _check_unseen(finding, other)


def _build_unseen(other: Report) -> str:
    """An error hides those that make would have come to after it."""
    for evaluation in other.patch_evaluations:
        if trouble := _not_built(evaluation):
            return trouble
    return ""


def _not_built(evaluation: Evaluation) -> str:
    build: Build | None = evaluation.build
    if build is None:
        return f"{evaluation.describe} was not built"
    return "" if build.ok else f"{evaluation.describe} does not build"


def _passing_unseen(finding: Finding, source: Report, other: Report) -> str:
    """Any patch may have it, the last one too: each has to be looked at.

    So a series of one patch, which has none in between, was looked at when its end was.  A patch
    that skipped the case says nothing, as long as another answered: the feature comes later.
    """
    runs = [
        _runs(other, finding.case or "", number)
        for number in range(1, len(other.patch_evaluations) + 1)
    ]
    one_answered = any(answers.answered for answers in runs)
    for number, evaluation in enumerate(other.patch_evaluations, start=1):
        answers = runs[number - 1]
        if _shows(finding, evaluation, answers):
            return f"{evaluation.describe} has it, but not as a finding of its own"
        if one_answered and _only_skipped(evaluation, answers):
            continue
        if evaluation.guest is None:
            return _not_built(evaluation) or f"{evaluation.describe} was not booted with all cases"
        if why := _guest_unseen(finding, source, other, number):
            return f"{evaluation.describe}: {why}"
    return ""


def _shows(finding: Finding, evaluation: Evaluation, answers: Runs) -> bool:
    """Whether a patch has it all the same: the base did as well, or was never asked."""
    if finding.kind is FindingKind.CASE:
        return answers.bad
    return any(
        f"console:{splat_identity(splat)}" == finding.bare_key
        for guest in guests_of(evaluation)
        for splat in guest.splats
    )


def _only_skipped(evaluation: Evaluation, answers: Runs) -> bool:
    scanned = all(guest.console_scanned for guest in guests_of(evaluation))
    return scanned and answers.skipped and not answers.answered


def _guest_unseen(finding: Finding, source: Report, other: Report, number: int) -> str:
    """Why the guests of patch ``number`` could not have shown it."""
    evaluation = other.patch_evaluations[number - 1]
    answers = _runs(other, finding.case or "", number)
    if finding.kind is FindingKind.CASE:
        return _case_unseen(finding, source, evaluation, answers)
    if finding.kind is FindingKind.BOOT:
        return _end_unseen(finding, evaluation)
    return _console_unseen(finding, evaluation, answers, alike=_same_questions(source, other))


def _end_unseen(finding: Finding, evaluation: Evaluation) -> str:
    if evaluation.guest is None:
        return "no kernel was booted"
    return "" if survived(evaluation.guest, finding.case) else "the guest did not come that far"


def _console_unseen(finding: Finding, evaluation: Evaluation, answers: Runs, *, alike: bool) -> str:
    guests = guests_of(evaluation)
    if not guests:
        return "no kernel was booted"
    if not all(guest.console_scanned for guest in guests):
        return "a console could not be scanned"
    if not alike:
        return "it was configured otherwise"
    if finding.case is not None:
        if not answers.answered:
            return f"{finding.case} did not run"
    elif guests[0].end is not GuestEnd.DONE:
        return "the guest did not come to its end"
    return "" if survived(guests[0], finding.case) else f"the guest did not survive {finding.case}"


def _case_unseen(finding: Finding, source: Report, evaluation: Evaluation, runs: Runs) -> str:
    if evaluation.guest is None:
        return "no kernel was booted"
    if not runs.outcomes:
        return "the case was not planned"
    if not runs.answered:
        return "the case was skipped" if runs.skipped else "the case gave no answer"
    patch = finding.patch if finding.in_between else None
    asked = len(_runs(source, finding.case or "", patch).answers)
    if finding.verdict is CaseVerdict.FLAKY and len(runs.answers) < asked:
        return f"flaky, and asked {len(runs.answers)} times instead of {asked}"
    return ""


def _runs(report: Report, case: str, number: int | None = None) -> Runs:
    """What a case answered on the kernel of patch ``number``, without one on the whole series'."""
    judged = next((judged for judged in report.verdict.cases if judged.id == case), None)
    if judged is None:
        return Runs(outcomes=())
    if number is None or number == len(report.patch_evaluations):
        return judged.patched
    return judged.each[number - 1] if judged.each else Runs(outcomes=())


def _symbol_unseen(finding: Finding, other: Report) -> str:
    config = other.patched_evaluation.config
    if config is None:
        return "no kernel was configured"
    name = finding.bare_key.partition(":")[2]
    required = {item.name: item.state for item in config.asked if item.required}
    if name not in required:
        return "the symbol was not asked for"
    # A finding that is not there although the symbol is missing was put down to something else.
    return "" if required[name] is SymbolState.AS_ASKED else "the symbol is not as asked"


def _warning_unseen(finding: Finding, source: Report, other: Report) -> str:
    message = _diagnostic(finding, source)
    if message is None or message.tool == "compiler":
        return _compiler_unseen(source, other, whole=_comes_and_goes(finding, source))
    return _lint_unseen(message, source, other)


def _diagnostic(finding: Finding, report: Report) -> Diagnostic | None:
    key = finding.key.partition(":")[2]
    found = (item.diagnostic for item in report.warnings if identity(item.diagnostic) == key)
    return next(found, None)


def _comes_and_goes(finding: Finding, report: Report) -> bool:
    """Whether only some patches in the middle have the warning."""
    key = finding.key.partition(":")[2]
    return any(
        item.gone_with is not None and identity(item.diagnostic) == key for item in report.warnings
    )


def _compiler_unseen(source: Report, other: Report, *, whole: bool) -> str:
    for evaluation in other.patch_evaluations if whole else other.patch_evaluations[-1:]:
        if trouble := _not_built(evaluation):
            return trouble
    return _otherwise_built(source, other)


def _lint_unseen(message: Diagnostic, source: Report, other: Report) -> str:
    lint = other.patched_evaluation.lint
    if lint is None or message.tool not in lint.ran:
        return f"{message.tool} did not run"
    if message.file not in lint.files:
        return f"{message.tool} did not look at {message.file}"
    return _otherwise_built(source, other)


def _otherwise_built(source: Report, other: Report) -> str:
    """Another compiler, or other symbols, warn otherwise."""
    one, two = source.patched_evaluation.config, other.patched_evaluation.config
    if one is not None and two is not None and one.compiler != two.compiler:
        return f"built with {two.compiler}"
    return "" if _same_questions(source, other) else "it was configured otherwise"


def _same_questions(one: Report, two: Report) -> bool:
    """Whether both configurations were made from the same wishes."""
    asked = [
        {(item.name, item.asked) for item in config.asked} if config is not None else None
        for config in (one.patched_evaluation.config, two.patched_evaluation.config)
    ]
    return asked[0] == asked[1]


def _check_unseen(finding: Finding, other: Report) -> str:
    tool = finding.key.split(":")[1] if finding.key.count(":") > 1 else "the check"
    if other.checks is None or tool not in other.checks.ran:
        return f"{tool} did not run"
    return ""
