# SPDX-License-Identifier: GPL-2.0-or-later
"""What finished runs have to say to b4 review's external checks (b4/review/checks.py, b4 0.16).

b4 starts the check once for each mail and waits, so it is a look-up and nothing else.  Each run
leaves a small check.json for it, because a verdict.json has megabytes; where that is missing or
damaged the same is made of the verdict.json.  b4 keeps a row for 180 days: while there is nothing
to say of a series, nothing is said.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from email import message_from_bytes
from enum import Enum
from pathlib import Path
from urllib.parse import quote

from kverdict.errors import UserError
from kverdict.judgement import (
    SCHEMA_VERSION,
    CaseVerdict,
    Evidence,
    Finding,
    Overall,
    Proof,
    Report,
)
from kverdict.models import Evaluation, Frozen, Patch
from kverdict.runs import read_state
from kverdict.text import counted, shorten

CHECK = "check.json"
VERDICT, SERIES = "verdict.json", "series/series.json"
PAGE = "report.html"
HEADER_LARGEST = 1 << 20  # bytes of a mail that are looked at

_LARGEST = {CHECK: 4 << 20, SERIES: 8 << 20, VERDICT: 64 << 20}  # bytes of a file that is read
_DETAILS = 50  # findings that one row names
_COLUMNS = 160
_ANSWER = re.compile(r"\s*(re|aw|fwd):", re.IGNORECASE)  # as b4's LoreSubject
_REVISION = re.compile(r"\[[^\]]{0,80}?v([0-9]{1,4})\b", re.IGNORECASE)
_ID = re.compile(r"<([^<>\s]{1,300})>")
_LONGEST_SUBJECT, _LONGEST_REFERENCES = 400, 8000  # characters
_ANSWERED = 5  # mails that one answers, the nearest
_SUMMARY = 100


class Scope(Enum):
    """Which of b4's two commands asks."""

    SERIES = "series"  # b4.review-series-check-cmd: the cover letter, or the first patch
    PATCH = "patch"  # b4.review-perpatch-check-cmd: each patch


# One column each in b4's matrix: of a series without a cover letter the first patch gets both, and
# b4 keeps one row for a mail and a tool.
TOOLS = {Scope.SERIES: "kverdict", Scope.PATCH: "kverdict-patch"}


class Status(Enum):
    PASS = "pass"
    WARN = "warn"
    FAIL = "fail"


class Detail(Frozen):
    """A line below a row; the names are b4's."""

    status: Status
    context: str
    state: str
    description: str


class Row(Frozen):
    """What is said of one mail to one of the commands."""

    message_id: str
    scope: Scope
    status: Status
    summary: str
    details: tuple[Detail, ...]


class _Rows(Frozen):
    """check.json; a run that says nothing of its mails still stands for them."""

    revision: int
    message_ids: tuple[str, ...]
    rows: tuple[Row, ...]


# --- what a run has to say ------------------------------------------------------------------------


def rows_of(report: Report) -> tuple[Row, ...]:
    """A row for the series and one for each patch; none when our trouble decided."""
    if report.verdict.overall is Overall.TROUBLE:
        return ()
    patches = tuple(
        _patch_row(report, patch, evaluation)
        for patch, evaluation in zip(report.series.patches, report.patch_evaluations, strict=False)
    )
    message_id = report.series.message_id
    return patches if message_id is None else (_series_row(report, message_id), *patches)


def _series_row(report: Report, message_id: str) -> Row:
    verdict = report.verdict
    flaky = any(finding.verdict is CaseVerdict.FLAKY for finding in verdict.findings)
    status = {Overall.GOOD: Status.PASS, Overall.BAD: Status.FAIL}.get(verdict.overall, Status.WARN)
    if flaky and status is Status.PASS:
        status = Status.WARN
    cases = ", ".join(f"{count} {word}" for word, count in verdict.counts.items() if count)
    summary = f"{verdict.headline}; {cases}" if cases else verdict.headline
    unproven = [one for one in verdict.evidence if one.proof is not Proof.HOLDS]
    return Row(
        message_id=message_id,
        scope=Scope.SERIES,
        status=status,
        summary=shorten(summary, _SUMMARY),
        details=(*_details(verdict.findings), *map(_proof, unproven)),
    )


def _patch_row(report: Report, patch: Patch, evaluation: Evaluation) -> Row:
    own = tuple(one for one in report.verdict.findings if one.patch == patch.number)
    statuses = {_status(finding) for finding in own if not finding.advice}
    untested = report.verdict.overall is Overall.UNTESTABLE
    if Status.FAIL in statuses:
        status = Status.FAIL
    elif Status.WARN in statuses or not _builds(evaluation) or untested:
        status = Status.WARN
    else:
        status = Status.PASS
    return Row(
        message_id=patch.message_id,
        scope=Scope.PATCH,
        status=status,
        summary=shorten(_patch_summary(own, evaluation), _SUMMARY),
        details=_details(own),
    )


def _patch_summary(own: Sequence[Finding], evaluation: Evaluation) -> str:
    """What was done with this patch, and how much came of it; never more than that."""
    booted = ", booted" if evaluation.guest is not None else ""
    done = f"builds{booted}" if _builds(evaluation) else "does not build"
    failures = sum(_status(one) is Status.FAIL for one in own)
    advice = sum(one.advice for one in own)
    parts = (
        counted(failures, "new failure") if failures else "no failure is pinned to it",
        f"{advice} of advice" if advice else "",
    )
    return f"{done}; " + ", ".join(part for part in parts if part)


def _builds(evaluation: Evaluation) -> bool:
    return evaluation.build is not None and evaluation.build.ok


def _status(finding: Finding) -> Status:
    """What the series is not to blame for, or need not care for, is no failure."""
    if finding.verdict is CaseVerdict.NEW_FAIL:
        return Status.WARN if finding.advice else Status.FAIL
    if finding.verdict in (CaseVerdict.FIXED, CaseVerdict.PASS, CaseVerdict.PRE_EXISTING):
        return Status.PASS
    return Status.WARN


def _details(findings: Sequence[Finding]) -> tuple[Detail, ...]:
    kept = tuple(map(_detail, findings[:_DETAILS]))
    left = findings[_DETAILS:]
    if not left:
        return kept
    more = f"{len(left)} more, see {PAGE}"
    return (*kept, Detail(status=Status.WARN, context="", state="", description=more))


def _detail(finding: Finding) -> Detail:
    said = finding.detail.strip().split("\n", 1)[0]
    return Detail(
        status=_status(finding),
        context=finding.case or finding.kind.value,
        state="ADVICE" if finding.advice else finding.verdict.value,
        description=shorten(f"{finding.title}: {said}" if said else finding.title, _COLUMNS),
    )


def _proof(evidence: Evidence) -> Detail:
    return Detail(
        status=Status.WARN,
        context=evidence.name,
        state=evidence.proof.value,
        description=shorten(evidence.text, _COLUMNS),
    )


# --- check.json -----------------------------------------------------------------------------------


def check_file(report: Report) -> str:
    """The content of check.json: its first line has the digest of all the others."""
    rest = _all_of(report).to_json().removeprefix("{\n")
    return f'{{ "digest": "{hashlib.sha256(rest.encode()).hexdigest()}",\n{rest}'


def _all_of(report: Report) -> _Rows:
    series = report.series
    ids = (series.message_id, *(patch.message_id for patch in series.patches))
    known = tuple(dict.fromkeys(id for id in ids if id is not None))
    return _Rows(revision=series.revision, message_ids=known, rows=rows_of(report))


def _whole(content: bytes) -> bool:
    """Whether a check.json is as it was written."""
    first, _, rest = content.partition(b"\n")
    return first == f'{{ "digest": "{hashlib.sha256(rest).hexdigest()}",'.encode()


def _rows_in(folder: Path) -> _Rows | None:
    """The rows of a run, from what can be read of it; None when nothing can."""
    content = _read(folder, CHECK)
    if content is not None and _whole(content):
        with suppress(ValueError):  # of another version's form
            return _Rows.from_json(b"{" + content.partition(b"\n")[2])
    try:
        report = Report.from_json(_read(folder, VERDICT) or b"")
    except ValueError:
        return None
    return _all_of(report) if report.verdict.schema_version == SCHEMA_VERSION else None


def _read(folder: Path, name: str) -> bytes | None:
    try:
        if (folder / name).stat().st_size > _LARGEST[name]:
            return None
        return (folder / name).read_bytes()
    except OSError:
        return None


# --- the look-up ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Asked:
    """The mail that b4 asks about, or one that it answers; ``revision`` when it is an answer."""

    message_id: str
    revision: int | None = None


def asked_in(mail: bytes) -> tuple[Asked, ...]:
    """What an RFC 5322 mail may stand for: itself, or the nearest mails that it answers.

    b4 0.16 takes the last mail of the thread with "0/N" in its subject for the cover letter, also
    an answer to it.  A mail that is no answer only stands for itself.
    """
    head = mail[:HEADER_LARGEST].replace(b"\r\n", b"\n").partition(b"\n\n")[0]
    message = message_from_bytes(head + b"\n\n")
    own = " ".join(str(message.get("Message-ID", "")).split()).strip("<> ")
    subject = str(message.get("Subject", ""))[:_LONGEST_SUBJECT]
    asked = [Asked(own)] if own else []
    if _ANSWER.match(subject):
        named = _REVISION.search(subject)
        revision = int(named[1]) if named is not None else 1
        words = " ".join(str(message.get(name, "")) for name in ("References", "In-Reply-To"))
        ids = dict.fromkeys(reversed(_ID.findall(words[-_LONGEST_REFERENCES:])))
        asked += [Asked(id, revision) for id in list(ids)[:_ANSWERED]]
    return tuple(asked)


def look_up(scope: Scope, asked: Asked, runs: Path, url: str | None) -> list[dict[str, str]]:
    """The answer for b4: one row of the newest finished run with that mail, or none.

    ``url`` leads to a run's page, with {run} for the name of its folder; None: a file URL.
    """
    for folder in _runs_with(asked.message_id, runs):
        known = _rows_in(folder)
        if known is None:
            continue  # damaged: an older run may know
        if asked.revision not in (None, known.revision):
            return []
        return [
            _answer(row, folder, url)
            for row in known.rows
            if row.scope is scope and row.message_id == asked.message_id
        ]
    return []


def _runs_with(message_id: str, runs: Path) -> list[Path]:
    """Finished runs that a mail takes part in, the newest first."""
    # As pydantic writes it; most runs are told from it without being parsed.
    needle = json.dumps(message_id, ensure_ascii=False).encode(errors="replace")
    found = []
    for folder in _folders(runs):
        content = _read(folder, CHECK)
        if content is None or not _whole(content):
            content = _read(folder, SERIES) or b""
        if needle in content:
            state = read_state(folder)
            if state is not None and state.finished:
                found.append((state.number, folder.name, folder))
    return [folder for _, _, folder in sorted(found, reverse=True)]


def _folders(runs: Path) -> Iterator[Path]:
    try:
        yield from (path for path in runs.iterdir() if not path.is_symlink())
    except (FileNotFoundError, NotADirectoryError):
        return


def _answer(row: Row, folder: Path, url: str | None) -> dict[str, str]:
    """The five strings that b4 reads; the details are JSON within the JSON."""
    details = [detail.model_dump(mode="json") for detail in row.details]
    return {
        "tool": TOOLS[row.scope],
        "status": row.status.value,
        "summary": row.summary,
        "url": page_of(folder, url),
        "details": json.dumps(details) if details else "",
    }


def page_of(folder: Path, url: str | None) -> str:
    """Where a reader finds the report of a run."""
    if url is None:
        return (folder.absolute() / PAGE).as_uri()
    return url.replace("{run}", quote(folder.name))


def run_folder(named: Path, runs: Path) -> Path:
    """A run's folder by its path, or by its name in the runs folder; raises UserError."""
    for folder in (named, runs / named):
        if read_state(folder) is not None:
            return folder
    raise UserError(f"{named} is not the folder of a run", "see `./pipeline.py runs list`")
