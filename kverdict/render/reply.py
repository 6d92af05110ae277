# SPDX-License-Identifier: GPL-2.0-or-later
"""Replies to a series: letters and templates -> drafts.

What strangers wrote stands in these mails, and other tools read them: a line of a console that
says "Reviewed-by: ..." must not become a trailer, and a diff in it no patch.  ``defused`` sees to
that, whatever a template does.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from email.utils import format_datetime
from typing import Any

from jinja2.sandbox import SandboxedEnvironment

from kverdict import __version__
from kverdict.drafts import COLUMNS, Draft, fold_prose, parse_address
from kverdict.judgement import (
    CaseVerdict,
    Evidence,
    Finding,
    FindingKind,
    Overall,
    Proof,
    Report,
)
from kverdict.parents import MADE_UP
from kverdict.render import view
from kverdict.render.letters import Letter
from kverdict.render.report import clipped
from kverdict.render.templates import Folders, check_syntax, environment, fill
from kverdict.text import counted, fold, one_line, printable, shorten

PAGE = "reply/mail.txt.j2"
OTHERS_AT_MOST = 8  # of each kind of what is not the series'
EXCERPT_AT_MOST = 12  # lines of a log
MARK = "| "  # before a line of a log

# As b4 reads a follow-up (LoreMessage.find_trailers): any "Word: value", indented or not.
_TRAILER = re.compile(r"\s*(\w\S*?):\s+(\S.*)?")
_NONPERSON = frozenset(
    {"fixes", "link", "buglink", "closes", "cc", "obsoleted-by", "change-id", "base-commit"}
)
_ADDRESS = re.compile(r"\S+@\S+\.\S+")
_DIFF = re.compile(r"diff --git |--- |\+\+\+ |@@ |GIT binary patch|---?$|-- $|[-\s]*(8<|>8)")


@dataclass(frozen=True)
class Row:
    """One line of what was tested on what."""

    name: str
    text: str


@dataclass(frozen=True)
class Other:
    """What the series is not blamed for, of one kind."""

    about: str
    lines: tuple[str, ...]
    left: int


def draft(
    report: Report,
    letter: Letter,
    *,
    templates: Folders,
    commands: tuple[str, ...],
    sender: str | None,
    trailer: str = "",
    note: str = "",
) -> Draft:
    """The reply to one mail.

    ``sender`` is "Name <address>"; ``trailer`` the Tested-by that is offered, "" for none; ``note``
    says what the commands need.  Raises UserError for a template that cannot be filled.
    """
    parent = letter.parent
    body = fill(_environment(templates), PAGE, _content(report, letter, commands, trailer, note))
    return Draft(
        subject=parent.subject,
        body=defused(fold_prose(_tidy(body)), trailer),
        sender=sender,
        to=parent.to,
        cc=tuple(text for text in parent.cc if _bare(text) != _bare(sender or "")),
        in_reply_to=parent.message_id if parent.posted else None,
        references=tuple(id for id in parent.references if not id.endswith(MADE_UP)),
        slug=parent.subject,
    )


def _bare(text: str) -> str:
    """The address alone, of text that is none the text."""
    parsed = parse_address(text)
    return parsed[1].lower() if parsed is not None else text


def check_templates(templates: Folders) -> None:
    """Raises UserError that names a template and line that cannot be read."""
    check_syntax(_environment(templates), "reply")


def defused(body: str, trailer: str = "") -> str:
    """Every line that a tool could take for a trailer, a diff or scissors is marked as text.

    Quoted lines are none of that; ``trailer`` is the one that is meant.
    """
    return "\n".join(
        MARK + line if line != trailer and _is_live(line) else line for line in body.split("\n")
    )


def _is_live(line: str) -> bool:
    if line.startswith((">", MARK)):
        return False
    if _DIFF.match(line):
        return True
    found = _TRAILER.match(line)
    if found is None:
        return False
    name, value = found[1].lower(), found[2] or ""
    person = name.endswith("-by") or _ADDRESS.search(value) is not None
    return person or name in _NONPERSON


def _tidy(body: str) -> str:
    """Without blanks at the ends of lines, or more than one empty line."""
    text = "\n".join(line.rstrip() for line in body.split("\n"))
    return re.sub(r"\n{3,}", "\n\n", text).strip("\n") + "\n"


def _environment(templates: Folders) -> SandboxedEnvironment:
    return environment(
        templates,
        filters={
            "clipped": clipped,
            "counted": counted,
            "excerpt": excerpt,
            "fold": _fold,
            "one_line": one_line,
            "quoted": quoted,
            "sentence": sentence,
            "shorten": shorten,
        },
        names={"CaseVerdict": CaseVerdict, "FindingKind": FindingKind, "Overall": Overall},
    )


def _content(
    report: Report, letter: Letter, commands: tuple[str, ...], trailer: str, note: str
) -> dict[str, Any]:
    return {
        "report": report,
        "verdict": report.verdict,
        "series": report.series,
        "letter": letter,
        "parent": letter.parent,
        "attribution": attribution(letter),
        "tested": tested(report),
        "others": others(report) if letter.main else (),
        "commands": commands,
        "note": note,
        "trailer": trailer,
        "version": __version__,
    }


# --- pieces -------------------------------------------------------------------------------------


def attribution(letter: Letter) -> str:
    parent = letter.parent
    name = shorten(parent.author, COLUMNS) or "somebody"
    when = f"On {format_datetime(parent.date)}, " if parent.date is not None else ""
    return f"{when}{name} wrote:"


def quoted(text: str) -> str:
    """Each line with "> "; one that is empty with ">"."""
    return "\n".join(f"> {line}".rstrip() for line in printable(text).split("\n"))


def sentence(text: str) -> str:
    """Beginning with a capital letter, without a full stop of its own."""
    return text[:1].upper() + text[1:].removesuffix(".")


def excerpt(text: str, lines: int = EXCERPT_AT_MOST) -> str:
    """The first lines of a log, each marked; nothing in it is prose or a trailer of the mail."""
    log = printable(text).expandtabs().strip("\n").split("\n")
    shown = [MARK + line[:200].rstrip() for line in log[:lines]]
    if log[lines:]:
        shown.append(f"{MARK}[{counted(len(log) - lines, 'more line')}]")
    return "\n".join(shown)


def _fold(value: str, indent: int = 0, columns: int = COLUMNS) -> str:
    """Folded lines with ``indent`` blanks before each but the first."""
    return ("\n" + " " * indent).join(fold(value, columns - indent))


def tested(report: Report) -> tuple[Row, ...]:
    """What was tested on what, with its proofs; nothing that the run does not show."""
    facts = {fact.name: fact.text for fact in view.facts(report)}
    base, series = report.base, report.series
    evidence = report.verdict.evidence
    rows = [
        Row("Series", _series_row(report)),
        Row(
            "Base",
            f"{base.description} ({base.sha[:12]}), {base.how.value}, "
            f"{base.blobs_matched} of {base.blobs_total} preimage blobs match",
        ),
    ]
    if series.newest_revision > series.revision:
        rows.append(Row("Note", f"v{series.newest_revision} of the series exists"))
    rows.extend(_proofs("Config", evidence, ("config", "running config")))
    rows.extend(
        Row("Compiled", item.text)
        for item in evidence
        if item.name == "reach" and item.proof is not Proof.HOLDS
    )
    if kernel := ", ".join(facts[name] for name in ("Kernel", "Compiler") if name in facts):
        rows.append(Row("Kernel", kernel))
    rows.extend(_proofs("Identity", evidence, ("identity",)))
    if "Accelerator" in facts:
        rows.append(Row("Guest", facts["Accelerator"]))
    rows.extend(_proofs("Console", evidence, ("console",)))
    if shares := view.shares(report.verdict.counts):
        rows.append(Row("Cases", ", ".join(f"{one.count} {one.verdict.value}" for one in shares)))
    return tuple(rows)


def _series_row(report: Report) -> str:
    total = len(report.series.patches)
    text = f"v{report.series.revision}, {counted(total, 'patch', 'patches')}"
    if total > 1:
        return f"{text}, {view.patches_line(report)}"
    build = report.patched_evaluation.build
    return text if build is None else f"{text}, {'builds' if build.ok else 'does not build'}"


def _proofs(name: str, evidence: tuple[Evidence, ...], names: tuple[str, ...]) -> Iterator[Row]:
    """Of the patched kernel, without its ids: they say nothing on another machine."""
    found = [item for item in evidence if item.name in names and item.text.startswith("patched: ")]
    if found:
        yield Row(name, "; ".join(_claim(item) for item in found))


def _claim(item: Evidence) -> str:
    text = re.sub(r",? [0-9a-f]{40,}", "", item.text.removeprefix("patched: "))
    return text if item.proof is Proof.HOLDS else f"{text} ({item.proof.value})"


_ABOUT = {
    CaseVerdict.PRE_EXISTING: "Fails on the base too",
    CaseVerdict.FLAKY: "Flaky: both outcomes on one kernel",
    CaseVerdict.UNTESTABLE: "Fails where the base has nothing to compare with",
    CaseVerdict.INFRA: "Could not answer here, which is not the series' fault",
    CaseVerdict.FIXED: "Fails on the base and is fixed by the series",
}


def others(report: Report) -> tuple[Other, ...]:
    """What is not the series' fault, by kind."""
    found = []
    for verdict, about in _ABOUT.items():
        alike = [
            one for one in report.verdict.findings if one.verdict is verdict and not one.advice
        ]
        if alike:
            lines = tuple(_other(report, one) for one in alike[:OTHERS_AT_MOST])
            found.append(Other(about, lines, len(alike) - len(lines)))
    return tuple(found)


def _other(report: Report, finding: Finding) -> str:
    case = next((one for one in report.verdict.cases if one.id == finding.case), None)
    if finding.kind is not FindingKind.CASE or case is None:
        return shorten(finding.title, 200)
    kernel, runs = view.answered_on(finding, case)
    answers = f"{kernel}: {view.outcomes(runs)}; base: {view.outcomes(case.base)}"
    return shorten(f"{case.id}: {finding.title} ({answers})", 200)
