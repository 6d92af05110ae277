# SPDX-License-Identifier: GPL-2.0-or-later
"""SARIF 2.1.0 (OASIS): new warnings, what does not build, and what checks say, with their places.

Code scanning of forges shows these beside the diff.  A rule is a compiler's flag or a tool.
"""

from __future__ import annotations

import json
import posixpath
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from kverdict import __version__
from kverdict.exports.results import plain_detail, plain_line
from kverdict.findings.warnings import identity
from kverdict.judgement import CaseVerdict, FindingKind, Overall, Report
from kverdict.models import Absent, Diagnostic, PinnedWarning
from kverdict.stable import digest
from kverdict.text import printable

FILE = "warnings.sarif"
SCHEMA = (
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
)
ROOT = "SRCROOT"
FINGERPRINT = "kverdict/v1"
_LONGEST_ID = 200
_LEVELS = {"error": "error", "warning": "warning", "note": "note"}
Item = dict[str, Any]


def sarif(report: Report) -> bytes:
    """The log as JSON; places are relative to the top of the tree."""
    found = [*_build_errors(report), *_warnings(report), *_notes(report)]
    rules = list(dict.fromkeys(item["ruleId"] for item in found))
    run = {
        "tool": {
            "driver": {
                "name": "kverdict",
                "version": __version__,
                "rules": [{"id": id, "shortDescription": {"text": _escaped(id)}} for id in rules],
            }
        },
        "originalUriBaseIds": {ROOT: {"description": {"text": "the top of the kernel tree"}}},
        "invocations": [_invocation(report)],
        "results": [{**item, "ruleIndex": rules.index(item["ruleId"])} for item in found],
        "properties": {
            "verdict": report.verdict.overall.value,
            "base": report.applied.base,
            "tip": report.applied.tip,
            "digest": digest(report),
        },
    }
    log = {"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}
    return (json.dumps(log, indent=1, sort_keys=True) + "\n").encode()


def _invocation(report: Report) -> Item:
    """What did not run is told: that a tool says nothing must not pass for its silence."""
    missing: list[Absent] = []
    if report.checks is not None:
        missing += report.checks.missing
    if (lint := report.patched_evaluation.lint) is not None:
        missing += lint.missing
    return {
        "executionSuccessful": report.verdict.overall is not Overall.TROUBLE,
        "toolExecutionNotifications": [
            {"level": "note", "message": _message(f"{item.tool} did not run: {item.why}")}
            for item in missing
        ],
    }


def _build_errors(report: Report) -> Iterator[Item]:
    for finding in report.verdict.findings:
        if finding.kind is FindingKind.BUILD and finding.verdict is CaseVerdict.NEW_FAIL:
            number = finding.patch or len(report.patch_evaluations)
            build = report.patch_evaluations[number - 1].build
            error = build.first_error if build is not None else None
            file, line = (error.file, error.line) if error is not None else (None, None)
            said = _Said("build", "error", finding.detail, file, line)
            yield _result(report, said, finding.key, number)


def _warnings(report: Report) -> Iterator[Item]:
    for item in report.warnings:
        about = item.diagnostic
        key = f"warning:{identity(about)}"
        text = about.message + (f" (in {about.function})" if about.function else "")
        if item.gone_with is not None:
            text += f"; gone with patch {item.gone_with}"
        level = "note" if _is_advice(report, key, item.patch) else "warning"
        line = _line_at_the_end(report, item)
        said = _Said(about.flag or about.tool, level, text, about.file, line)
        yield _result(report, said, key, item.patch)


def _line_at_the_end(report: Report, item: PinnedWarning) -> int | None:
    """Later patches move lines: the place is that of the whole series where it still warns."""
    if item.patch == len(report.patch_evaluations) or item.gone_with is not None:
        return item.diagnostic.line
    last, wanted = report.patched_evaluation, identity(item.diagnostic)
    known: list[Diagnostic] = list(last.build.warnings) if last.build is not None else []
    known += last.lint.messages if last.lint is not None else ()
    lines = [said.line for said in known if identity(said) == wanted]
    return lines[0] if lines else item.diagnostic.line


def _notes(report: Report) -> Iterator[Item]:
    for note in report.checks.notes if report.checks is not None else ():
        key = f"check:{note.tool}:{note.file or ''}:{note.message}"
        level = _LEVELS.get(note.severity, "note")
        said = _Said(note.tool, level, note.message, note.file, note.line)
        yield _result(report, said, key, note.patch)


def _is_advice(report: Report, key: str, patch: int) -> bool:
    """As the verdict has it, which is where that is decided."""
    found = [one for one in report.verdict.findings if one.key == key and one.patch == patch]
    return all(one.advice for one in found)


@dataclass(frozen=True)
class _Said:
    rule: str
    level: str
    text: str
    file: str | None
    line: int | None


def _result(report: Report, said: _Said, key: str, patch: int) -> Item:
    item: Item = {
        "ruleId": printable(said.rule, keep="")[:_LONGEST_ID],
        "level": said.level,
        "message": _message(f"patch {patch}/{len(report.patch_evaluations)}: {said.text}"),
        "partialFingerprints": {FINGERPRINT: plain_line(key)},
        "properties": {"advice": _is_advice(report, key, patch)},
    }
    place = inside_tree(said.file) if said.file is not None else _first_path(report, patch)
    if place is not None:
        region = {"region": {"startLine": said.line}} if said.file and said.line else {}
        artifact = {"uri": quote(place), "uriBaseId": ROOT}
        item["locations"] = [{"physicalLocation": {"artifactLocation": artifact, **region}}]
    return item


def _first_path(report: Report, patch: int) -> str | None:
    """What is about a mail is shown at the first file that it touches: forges want a place."""
    for commit in report.applied.patches:
        if commit.number == patch and commit.paths:
            return inside_tree(commit.paths[0])
    return None


def inside_tree(path: str) -> str | None:
    """A path as it goes into a URI reference, or None for what is not a file of the tree."""
    normal = posixpath.normpath(path)
    outside = normal.startswith(("/", "../")) or normal in (".", "..") or path.startswith("<")
    return None if outside else normal.encode("utf-8", "replace").decode()


def _message(text: str) -> Item:
    return {"text": _escaped(plain_detail(text))}


def _escaped(text: str) -> str:
    """SARIF 3.11.5 and 3.11.6: braces are placeholders and brackets are links otherwise."""
    for plain, escaped in (("\\", "\\\\"), ("[", "\\["), ("]", "\\]"), ("{", "{{"), ("}", "}}")):
        text = text.replace(plain, escaped)
    return text
