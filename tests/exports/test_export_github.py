# SPDX-License-Identifier: GPL-2.0-or-later
"""summary.md, rendered by a CommonMark parser: what a stranger says makes nothing of it."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

from kverdict.exports.github import LARGEST, append, escaped, summary_markdown
from kverdict.judgement import Report
from kverdict.models import Outcome
from kverdict.text import one_line
from tests import factories as make
from tests.exports.reports import HOSTILE, hostile, kinds, report_of

KINDS = kinds()
_MINE = {
    *("h2", "h3", "p", "strong", "table", "thead", "tbody", "tr", "th", "td"),
    *("code", "pre", "details", "summary", "b"),
}


class Page(HTMLParser):
    def __init__(self, markdown: bytes) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: set[str] = set()
        self.words: list[str] = []
        self.feed(MarkdownIt("commonmark").enable("table").render(markdown.decode()))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def text(self) -> str:
        return one_line("".join(self.words))


@pytest.mark.parametrize("kind", KINDS)
def test_the_page_says_verdict_findings_and_evidence(kind: str) -> None:
    report = KINDS[kind]
    page = Page(summary_markdown(report))
    assert set(page.tags) <= _MINE
    assert report.verdict.overall.value.upper() in page.text
    assert report.verdict.headline in page.text
    assert page.tags.count("details") == len(report.verdict.findings)
    for finding in report.verdict.findings:
        assert one_line(finding.title) in page.text
    for item in report.verdict.evidence:
        assert item.text in page.text


def test_strangers_words_stay_words() -> None:
    content = summary_markdown(hostile())
    page = Page(content)
    assert set(page.tags) <= _MINE
    assert page.attributes <= {"open"}
    assert "alert(1)" in page.text
    text = content.decode()
    assert not {char for char in text if ord(char) < 32} - {"\n", "\t"}
    assert not {"\x7f", "\x85", "\u202e", "\u2028", "\ufffe"} & set(text)


def test_what_is_escaped_reads_as_it_was() -> None:
    line = one_line(HOSTILE)
    page = Page(escaped(HOSTILE).encode())
    assert page.tags == ["p"]
    assert page.text == line
    for start in ("- a", "+ a", "# a", "1. a", "> a", "~~~ a", "=== a", "    a", "| a | b"):
        page = Page(escaped(start).encode())
        assert (page.tags, page.text) == (["p"], start.strip())


def test_github_makes_no_links_mentions_or_formulas_of_it() -> None:
    """Its own extensions look for these in what Markdown leaves as text."""
    said = escaped("http://x.example www.x.example me@x.example @all $x$ :x:")
    for start in ("http:", "www.", "me@", " @", "$x$", ":x:"):
        assert start not in said


def test_a_fence_is_longer_than_any_in_it() -> None:
    detail = "````\n</details><script>x</script>\n```"
    report = report_of(
        make.before(), make.evaluation(guest=make.guest(splats=(make.splat(excerpt=detail),)))
    )
    page = Page(summary_markdown(report))
    assert set(page.tags) <= _MINE
    assert "</details><script>x</script>" in page.text


def _huge() -> Report:
    words = "\U000e0001" * 20_000  # one character becomes ten
    cases = tuple(
        make.case(f"case.{number}", Outcome.FAIL, title=words, message=words)
        for number in range(300)
    )
    old = tuple(make.case(case.id) for case in cases)
    return report_of(
        make.before(guest=make.guest(make.BASE_ID, cases=old)),
        make.evaluation(guest=make.guest(cases=cases)),
        subject=words,
    )


def test_however_much_there_is_to_say_github_takes_it() -> None:
    content = summary_markdown(_huge())
    assert len(content) < LARGEST
    assert "... and 250 more findings" in Page(content).text


def test_it_is_added_to_what_other_steps_said(tmp_path: Path) -> None:
    file = tmp_path / "step_summary"
    append(b"one\n", file)
    append(b"two\n", file)
    assert file.read_bytes() == b"one\ntwo\n"
