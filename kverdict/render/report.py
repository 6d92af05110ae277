# SPDX-License-Identifier: GPL-2.0-or-later
"""verdict.json, report.html and report.txt of a run, from the models and the templates alone."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2.sandbox import SandboxedEnvironment
from markupsafe import Markup

from kverdict import __version__
from kverdict.b4check import CHECK, check_file
from kverdict.render import formats, tallies, view
from kverdict.render.templates import Folders, check_syntax, environment, fill, source
from kverdict.runs import write_atomically
from kverdict.stable import digest
from kverdict.text import clip, counted, fold, one_line, printable, shorten
from kverdict.verdict import CaseVerdict, Overall, Proof, Report

JSON, HTML, TEXT = "verdict.json", "report.html", "report.txt"
STYLE = "report/style.css"  # of every page
TEXT_COLUMNS = 78


def render(report: Report, folder: Path, *, templates: Folders, commands: tuple[str, ...]) -> None:
    """Writes the three files into ``folder``, each at once or not at all, and b4's look-up beside.

    ``commands`` lead to the same verdict elsewhere.  The same report gives the same bytes.
    """
    # Everything is rendered before anything is written: no half of a report, whatever fails.
    pages = {
        JSON: report.to_json(),
        HTML: html(report, templates=templates, commands=commands),
        TEXT: text(report, templates=templates, commands=commands),
        CHECK: check_file(report),
    }
    for name, content in pages.items():
        write_atomically(folder / name, content)


def html(report: Report, *, templates: Folders, commands: tuple[str, ...]) -> str:
    """One page that loads nothing and runs nothing."""
    return fill_page(page_environment(templates), "report.html.j2", _content(report, commands))


def text(report: Report, *, templates: Folders, commands: tuple[str, ...]) -> str:
    """The same for a mail or a terminal, at most 78 columns but for words that are longer."""
    page = fill(page_environment(templates), "report.txt.j2", _content(report, commands))
    return page.rstrip("\n") + "\n"


def check_templates(templates: Folders) -> None:
    """Raises UserError that names a template and line that cannot be read."""
    check_page(page_environment(templates), "report")


def check_page(ours: SandboxedEnvironment, name: str) -> None:
    """The templates that ``name`` begins, and the style sheet of every page."""
    check_syntax(ours, name)
    source(ours, STYLE)


def fill_page(ours: SandboxedEnvironment, name: str, content: Mapping[str, object]) -> str:
    """A page of HTML; its style sheet stands in it, and its policy allows that one by digest."""
    style = source(ours, STYLE)
    sha256 = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    sheet = {"style": Markup(style), "style_source": f"sha256-{sha256}"}
    return fill(ours, name, {**content, **sheet})


def schema() -> str:
    """docs/verdict.schema.json: the JSON schema of verdict.json."""
    dialect = {"$schema": "https://json-schema.org/draft/2020-12/schema"}
    return json.dumps({**dialect, **Report.model_json_schema()}, indent=1) + "\n"


def _content(report: Report, commands: tuple[str, ...]) -> dict[str, Any]:
    return {
        "report": report,
        "verdict": report.verdict,
        "commands": commands,
        "digest": digest(report),
        "version": __version__,
        "facts": view.facts(report),
        "shares": view.shares(report.verdict.counts),
        "bunches": view.bunches(report),
        "groups": view.groups(report),
        "sides": view.sides(report),
        "symbols": view.symbols(report),
        "bench": view.bench_lines(report),
        "counts_instructions": view.counts_instructions(report),
        "patches": view.patch_lines(report),
        "evidence": view.evidence_line(report),
        "matrix": view.matrix(report),
        "alike": view.answering_alike(report),
        "lint_missing": view.lint_missing(report),
        "tallies": tallies.tallies(report),
        "printed": tallies.printed(report),
        "consoles": tallies.consoles,
        "in_short": tallies.in_short,
    }


def page_environment(templates: Folders) -> SandboxedEnvironment:
    """With the filters and names that pages and texts are written with."""
    return environment(
        templates,
        filters={
            "allowed": view.allowed,
            "amount": formats.amount,
            "bare_amount": formats.bare_amount,
            "boots": view.boots,
            "clipped": clipped,
            "counted": counted,
            "first_line": formats.first_line,
            "fold": _fold,
            "one_line": one_line,
            "outcomes": view.outcomes,
            "said": view.said,
            "seconds": formats.seconds,
            "seen": view.seen,
            "shorten": shorten,
            "slug": formats.slug,
            "word": view.word,
        },
        names={
            "CaseVerdict": CaseVerdict,
            "Overall": Overall,
            "Proof": Proof,
            "bench_ratio": formats.bench_ratio,
        },
    )


def clipped(value: str, most: int, full: str) -> str:
    """The beginning of a long text, with a note about the rest and the file that has it all."""
    kept, left = clip(printable(value), most)
    return f"{kept}\n[{left:,} more characters, see {full}]" if left else kept


def _fold(value: str, indent: int = 0, columns: int = TEXT_COLUMNS) -> str:
    """Folded lines with ``indent`` blanks before each but the first."""
    return ("\n" + " " * indent).join(fold(value, columns - indent))
