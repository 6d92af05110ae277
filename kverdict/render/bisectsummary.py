# SPDX-License-Identifier: GPL-2.0-or-later
"""What the terminal shows at the end of a bisection; without the pictures, which take a second."""

from __future__ import annotations

from pathlib import Path

import click

from kverdict.bisection import Answer, Bisection, Role
from kverdict.judgement import Proof
from kverdict.text import printable, shorten

JSON, HTML, TEXT = "bisection.json", "bisect.html", "bisect.txt"
WORDS = {Proof.HOLDS: "holds", Proof.FAILS: "FAILS", Proof.OPEN: "open"}
_COLUMNS = 80


def summary(
    bisection: Bisection, folder: Path, *, cwd: Path | None = None, colour: bool = False
) -> tuple[str, ...]:
    """What the terminal shows at the end."""
    word = "FOUND" if bisection.proven else "NOT PROVEN" if bisection.culprit else "NOT FOUND"
    shade = "green" if bisection.proven else "yellow"
    shown = click.style(word, fg=shade, bold=True) if colour else word
    lines = [f"{shown}: {shorten(bisection.headline, _COLUMNS - len(word) - 2)}"]
    if culprit := bisection.culprit:
        lines += ["", _row("Author", f"{culprit.author}, {culprit.date:%Y-%m-%d}")]
        lines.append(_row("Fixes", culprit.fixes.removeprefix("Fixes: ")))
    else:
        lines += ["", *(_row(item.sha[:12], item.subject) for item in bisection.candidates[:10])]
    lines.append(_row("Finding", bisection.finding))
    steps = [step for step in bisection.steps if step.role is Role.STEP]
    skipped = sum(step.answer is Answer.SKIP for step in steps)
    lines.append(
        _row("Steps", f"{len(steps)} of {bisection.plan.commits} commits, {skipped} skipped")
    )
    lines += [
        _row(item.name.capitalize(), f"{WORDS[item.proof]}: {item.text}")
        for item in bisection.proofs
    ]
    lines += [_row("Suspicion", item) for item in bisection.suspicions]
    if bisection.confidence:
        lines.append(_row("Confidence", f"{bisection.confidence:.6g}"))
    page = folder / HTML
    where = page.relative_to(cwd) if cwd is not None and page.is_relative_to(cwd) else page
    return (*lines, "", f"Report: {printable(str(where), keep='')}")


def _row(name: str, text: str) -> str:
    return f"{name:<12} {shorten(text, _COLUMNS - 13)}"
