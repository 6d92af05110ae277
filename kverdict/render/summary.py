# SPDX-License-Identifier: GPL-2.0-or-later
"""What the terminal shows at the end of a run: one screen, then where to read on."""

from __future__ import annotations

from pathlib import Path

import click

from kverdict.render.formats import bare_amount, bench_ratio
from kverdict.render.report import HTML
from kverdict.render.view import ADVICE, Bunch, bunches, evidence_line, facts, shares
from kverdict.stable import digest
from kverdict.text import counted, printable, shorten
from kverdict.verdict import CaseVerdict, FindingKind, Overall, Report

COLUMNS = 80
LINES = 24
_NAME = 12  # width of the first column
_TAIL = 2  # an empty line and the report's path

_OF_SERIES = ("Patches", "Since")
_OVERALL_COLOUR = {
    Overall.GOOD: "green",
    Overall.BAD: "red",
    Overall.UNTESTABLE: "cyan",
    Overall.TROUBLE: "yellow",
}
_CASE_COLOUR = {
    CaseVerdict.PASS: "green",
    CaseVerdict.NEW_FAIL: "red",
    CaseVerdict.PRE_EXISTING: "yellow",
    CaseVerdict.FIXED: "blue",
    CaseVerdict.FLAKY: "magenta",
    CaseVerdict.UNTESTABLE: "cyan",
    CaseVerdict.INFRA: "yellow",
}


def summary(
    report: Report, folder: Path, *, cwd: Path | None = None, colour: bool = False
) -> tuple[str, ...]:
    """At most 24 lines of 80 columns; only a path may be longer, because it must not be cut.

    ``folder`` is shown relative to ``cwd`` when it is inside.
    """
    top = (*_verdict_lines(report, colour), "", *_fact_lines(report, colour))
    room = LINES - len(top) - _TAIL
    findings = _finding_lines(bunches(report), room - 1, colour)
    return (*top, *(("", *findings) if findings else ()), "", *_where(folder, cwd))


def _style(text: str, colour: bool, name: str) -> str:
    return click.style(text, fg=name, bold=True) if colour else text


def _verdict_lines(report: Report, colour: bool) -> tuple[str, ...]:
    verdict = report.verdict
    word = verdict.overall.value.upper()
    room = COLUMNS - len(word) - 2
    return (
        f"{_style(word, colour, _OVERALL_COLOUR[verdict.overall])}: "
        f"{shorten(verdict.headline, room)}",
        shorten(report.series.subject, COLUMNS),
    )


def _fact_lines(report: Report, colour: bool) -> tuple[str, ...]:
    known = {fact.name: fact.text for fact in facts(report)}
    lines = [
        _named("Series", f"{known['Series']}, {known['Author']}"),
        _named("Signatures", known["Signatures"]),
        _named("Base", f"{known['Base']}, {report.base.how.value}"),
    ]
    lines += [_named(name, known[name]) for name in known if name.split()[0] in _OF_SERIES]
    if kernel := ", ".join(known[name] for name in ("Kernel", "Compiler") if name in known):
        lines.append(_named("Kernel", kernel))
    if "Accelerator" in known:
        lines.append(_named("Accelerator", known["Accelerator"]))
    lines.extend(_count_lines(report, colour))
    if bench := _bench(report):
        lines.append(_named("Benchmark", bench))
    return (
        *lines,
        _named("Evidence", evidence_line(report)),
        _named("Digest", digest(report)),
    )


def _count_lines(report: Report, colour: bool) -> tuple[str, ...]:
    """The counts, on a second line when all seven are there."""
    parts = shares(report.verdict.counts)
    rows = [parts] if len(parts) < 6 else [parts[:4], parts[4:]]
    return tuple(
        f"{'Cases' if number == 0 else '':<{_NAME}} "
        + ", ".join(
            _style(f"{part.count} {part.verdict.value}", colour, _CASE_COLOUR[part.verdict])
            for part in row
        )
        for number, row in enumerate(rows)
        if row
    )


def _named(name: str, text: str) -> str:
    return f"{name:<{_NAME}} {shorten(text, COLUMNS - _NAME - 1)}"


def _bench(report: Report) -> str | None:
    guest = report.patched_evaluation.guest
    ratio = bench_ratio(guest.bench) if guest is not None else None
    if guest is None or ratio is None:
        return None
    rows = {row.name: row for row in guest.bench}
    unit = rows["write"].unit
    write, memcpy = (bare_amount(rows[name].median, unit) for name in ("write", "memcpy"))
    what = "" if unit == "ns" else f" {unit}, not time"
    return f"write/memcpy {ratio}: {write} / {memcpy}{what}"


def _finding_lines(found: tuple[Bunch, ...], room: int, colour: bool) -> tuple[str, ...]:
    """Two lines for each bunch, as far as there is room for the worst; else those that fit."""
    blocks = [_bunch(bunch, colour) for bunch in found]
    spare = room - len(blocks)
    lines: list[str] = []
    for block in blocks:
        whole = len(block) - 1 <= spare
        spare -= len(block) - 1 if whole else 0
        lines += block if whole else block[:1]
    if len(lines) <= room:
        return tuple(lines)
    firsts = [block[0] for block in blocks]
    left = sum(len(bunch.findings) for bunch in found[room - 1 :])
    return (*firsts[: room - 1], f"... and {left} more, see {HTML}")


def _bunch(bunch: Bunch, colour: bool) -> tuple[str, ...]:
    """Verdict and what it is about, then the first line of what was said."""
    finding = bunch.findings[0].finding
    case = finding.kind is FindingKind.CASE and finding.case is not None
    about = f"{finding.case}: {finding.title}" if case else finding.title
    if bunch.defect:
        about = f"{bunch.defect} ({counted(len(bunch.findings), 'case')})"
    word = bunch.word
    shade = "cyan" if word == ADVICE else _CASE_COLOUR[bunch.verdict]
    first = f"{_style(word, colour, shade)}  {shorten(about, COLUMNS - len(word) - 2)}"
    # The first line of a console report is its frame; its title is told already.
    if finding.kind is FindingKind.CONSOLE or not finding.detail.strip():
        return (first,)
    lines = finding.detail.strip().split("\n")
    said = lines[-1] if finding.kind is FindingKind.BOOT else lines[0]  # the console's last words
    return (first, f"    {shorten(said, COLUMNS - 4)}")


def _where(folder: Path, cwd: Path | None) -> tuple[str, ...]:
    page = folder / HTML
    shown = page.relative_to(cwd) if cwd is not None and page.is_relative_to(cwd) else page
    return (f"Report: {printable(str(shown), keep='')}",)
