# SPDX-License-Identifier: GPL-2.0-or-later
"""verdict.json, report.html and report.txt of a run, from the models and the templates alone."""

from __future__ import annotations

import base64
import hashlib
import json
from pathlib import Path
from typing import Any

from jinja2 import FileSystemLoader, StrictUndefined
from jinja2.sandbox import SandboxedEnvironment
from markupsafe import Markup

from kverdict import __version__
from kverdict.render import formats, view
from kverdict.runs import write_atomically
from kverdict.stable import digest
from kverdict.text import clip, counted, fold, one_line, printable, shorten
from kverdict.verdict import CaseVerdict, Overall, Proof, Report

JSON, HTML, TEXT = "verdict.json", "report.html", "report.txt"
STYLE = "report/style.css"
TEXT_COLUMNS = 78


def render(report: Report, folder: Path, *, templates: Path, commands: tuple[str, ...]) -> None:
    """Writes the three files into ``folder``, each at once or not at all.

    ``commands`` lead to the same verdict elsewhere.  The same report gives the same bytes.
    """
    # Everything is rendered before anything is written: no half of a report, whatever fails.
    pages = {
        JSON: report.to_json(),
        HTML: html(report, templates=templates, commands=commands),
        TEXT: text(report, templates=templates, commands=commands),
    }
    for name, content in pages.items():
        write_atomically(folder / name, content)


def html(report: Report, *, templates: Path, commands: tuple[str, ...]) -> str:
    """One page that loads nothing and runs nothing; its own style sheet is allowed by digest."""
    style = (templates / STYLE).read_text()
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    return (
        _environment(templates)
        .get_template("report.html.j2")
        .render(**_content(report, commands), style=Markup(style), style_source=f"sha256-{digest}")
    )


def text(report: Report, *, templates: Path, commands: tuple[str, ...]) -> str:
    """The same for a mail or a terminal, at most 78 columns but for words that are longer."""
    page = _environment(templates).get_template("report.txt.j2")
    return page.render(**_content(report, commands)).rstrip("\n") + "\n"


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
    }


def _environment(templates: Path) -> SandboxedEnvironment:
    """Whatever a template prints is made printable first; in HTML it is escaped as well."""
    environment = SandboxedEnvironment(
        loader=FileSystemLoader(templates),
        autoescape=lambda name: name is not None and name.endswith(".html.j2"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        finalize=_finalize,
    )
    environment.filters.update(
        allowed=view.allowed,
        amount=formats.amount,
        bare_amount=formats.bare_amount,
        boots=view.boots,
        clipped=clipped,
        counted=counted,
        first_line=formats.first_line,
        fold=_fold,
        one_line=one_line,
        outcomes=view.outcomes,
        said=view.said,
        seconds=formats.seconds,
        seen=view.seen,
        shorten=shorten,
        slug=formats.slug,
        word=view.word,
    )
    environment.globals.update(
        CaseVerdict=CaseVerdict, Overall=Overall, Proof=Proof, bench_ratio=formats.bench_ratio
    )
    return environment


def _finalize(value: object) -> object:
    # Markup is what a template or the autoescape made; what was put into it came through here.
    return printable(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def clipped(value: str, most: int, full: str) -> str:
    """The beginning of a long text, with a note about the rest and the file that has it all."""
    kept, left = clip(printable(value), most)
    return f"{kept}\n[{left:,} more characters, see {full}]" if left else kept


def _fold(value: str, indent: int = 0, columns: int = TEXT_COLUMNS) -> str:
    """Folded lines with ``indent`` blanks before each but the first."""
    return ("\n" + " " * indent).join(fold(value, columns - indent))
