# SPDX-License-Identifier: GPL-2.0-or-later
"""The page that GitHub Actions shows of a job (GitHub's "job summaries"): Markdown of a run.

A stranger's words stand in it, and GitHub makes links, pictures, mentions and HTML of Markdown:
every character that means something to it is escaped, and logs are in fences that they cannot end.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from kverdict.exports.results import plain_detail, plain_line
from kverdict.judgement import Finding, Overall, Proof, Report
from kverdict.render import view
from kverdict.stable import digest
from kverdict.text import counted

FILE = "summary.md"
VARIABLE = "GITHUB_STEP_SUMMARY"
LARGEST = 1 << 20  # bytes that GitHub takes of one step
_MOST_FINDINGS = 50
_MOST_DETAIL = 1000
_SIGNS = {
    Overall.GOOD: ":white_check_mark:",
    Overall.BAD: ":x:",
    Overall.UNTESTABLE: ":grey_question:",
    Overall.TROUBLE: ":warning:",
}
_PROOFS = {Proof.HOLDS: "holds", Proof.FAILS: "**fails**", Proof.OPEN: "not established"}
# CommonMark 2.4: any ASCII punctuation may stand behind a backslash, and means itself then.
_PUNCTUATION = re.compile(r"([\\`*_{}\[\]()#+\-.!|~@:$])")
_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;"}


def summary_markdown(report: Report) -> bytes:
    """The page in UTF-8, of less than LARGEST bytes."""
    return "\n".join((*_head(report), *_findings(report), *_evidence(report), "")).encode()


def append(page: bytes, file: Path) -> None:
    """To what other steps of the job have said; GitHub names the file in VARIABLE."""
    with file.open("ab") as stream:
        stream.write(page)


def escaped(text: str) -> str:
    """One line that Markdown shows as it is."""
    line = _PUNCTUATION.sub(r"\\\1", plain_line(text))
    return "".join(_ENTITIES.get(char, char) for char in line)


def _head(report: Report) -> Iterator[str]:
    verdict = report.verdict
    yield f"## {_SIGNS[verdict.overall]} {verdict.overall.value.upper()}"
    yield ""
    yield escaped(verdict.headline)
    yield ""
    yield f"**{escaped(report.series.subject)}**"
    yield ""
    yield from _table(("", ""), [(fact.name, escaped(fact.text)) for fact in view.facts(report)])
    if shares := view.shares(verdict.counts):
        yield from _table(
            ("Verdict", "Cases"), [(share.verdict.value, str(share.count)) for share in shares]
        )
    yield f"Digest `{digest(report)}`"


def _findings(report: Report) -> Iterator[str]:
    """Those that decide open, advice folded: the worst comes first already."""
    yield "\n### Findings\n"
    found = report.verdict.findings
    if not found:
        yield "None."
    for finding in found[:_MOST_FINDINGS]:
        yield from _finding(finding, len(report.series.patches))
    if len(found) > _MOST_FINDINGS:
        yield f"\n... and {counted(len(found) - _MOST_FINDINGS, 'more finding')}: verdict.json"


def _finding(finding: Finding, total: int) -> Iterator[str]:
    """HTML up to the first empty line, in which Markdown means nothing (CommonMark 4.6)."""
    where = [f"patch {finding.patch}/{total}"] if finding.patch is not None else []
    where += [finding.case] if finding.case is not None else []
    about = f"({', '.join(where)}) " if where else ""
    title = f"<b>{view.word(finding)}</b> {html_text(about + finding.title)}"
    yield f"<details{'' if finding.advice else ' open'}><summary>{title}</summary>"
    yield ""
    yield from _fence(finding.detail)
    yield ""
    yield "</details>"
    yield ""


def html_text(text: str) -> str:
    return "".join(_ENTITIES.get(char, char) for char in plain_line(text))


def _fence(text: str) -> Iterator[str]:
    kept = plain_detail(text, _MOST_DETAIL).strip("\n")
    if kept:
        longest = max((len(run) for run in re.findall(r"`+", kept)), default=0)
        fence = "`" * max(3, longest + 1)
        yield from (fence, kept, fence)


def _evidence(report: Report) -> Iterator[str]:
    yield f"### Evidence: {escaped(view.evidence_line(report))}\n"
    yield from _table(
        ("Proof", "", ""),
        [(item.name, _PROOFS[item.proof], escaped(item.text)) for item in report.verdict.evidence],
    )


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield f"|{'---|' * len(head)}"
    yield from (f"| {' | '.join(row)} |" for row in rows)
    yield ""
