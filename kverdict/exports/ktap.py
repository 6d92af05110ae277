# SPDX-License-Identifier: GPL-2.0-or-later
"""KTAP, version 1 (Documentation/dev-tools/ktap.rst), nested by group, test and subtest.

What reads it may know no directive but SKIP, as the kernel's kunit_parser does: so whatever is no
failure of the series is "ok ... # SKIP", and our trouble "not ok ... # ERROR", as ktap.rst wants.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from kverdict.exports.results import Group, Mark, Result, results
from kverdict.judgement import Report
from kverdict.text import one_line

FILE = "results.ktap"
INDENT = "  "
_NAME = 200
_WORST_FIRST = (Mark.FAIL, Mark.ERROR, Mark.PASS, Mark.SKIP)
# kunit_parser stops reading where a line has one of these.
_ENDS = re.compile(r"(List of all partitions|Kernel panic - not syncing|reboot: System halted)(:?)")


@dataclass
class _Node:
    """A test, and the subtests that go by its name."""

    name: str
    result: Result | None = None
    below: dict[str, _Node] = field(default_factory=dict)

    @property
    def mark(self) -> Mark:
        """A test with a failing subtest fails as well; else its own result counts, if it has one.

        One without is skipped when all of it is.
        """
        marks = [node.mark for node in self.below.values()]
        if self.result is not None:
            if not {Mark.FAIL, Mark.ERROR} & set(marks):
                return self.result.mark
            marks.append(self.result.mark)
        return min(marks, key=_WORST_FIRST.index)


def ktap(report: Report) -> bytes:
    """The text, in UTF-8."""
    groups = [_tree(group) for group in results(report)]
    return "".join(f"{line}\n" for line in _lines(groups)).encode()


def _tree(group: Group) -> _Node:
    """A subtest "kselftest.kvm.x/y" is below "kselftest.kvm.x", also where that has no result."""
    root = _Node(group.name)
    for result in group.results:
        node = root
        for part in filter(None, result.id.split("/")):
            node = node.below.setdefault(part, _Node(part))
        node.result = result
    return root


def _lines(nodes: Sequence[_Node]) -> Iterator[str]:
    yield "KTAP version 1"
    yield f"1..{len(nodes)}"
    for number, node in enumerate(nodes, start=1):
        if node.below:
            yield from (INDENT + line for line in _lines(tuple(node.below.values())))
        if node.result is not None:
            yield from _said(node.result)
        yield _result_line(number, node)


def _said(result: Result) -> Iterator[str]:
    """Diagnostic lines; the blanks keep "Subtest:" and the like from being taken for KTAP."""
    if result.text:
        for line in (result.title, *result.detail.split("\n")):
            if line.strip():
                yield f"#   {_harmless(line)}"


def _result_line(number: int, node: _Node) -> str:
    mark, own = node.mark, node.result
    line = f"{'ok' if mark in (Mark.PASS, Mark.SKIP) else 'not ok'} {number} {_name(node.name)}"
    timed_out = own is not None and own.mark is Mark.FAIL and own.timed_out
    directive = {Mark.SKIP: "SKIP", Mark.ERROR: "ERROR"}.get(mark, "TIMEOUT" if timed_out else "")
    said = f"{own.word}: {own.text}" if own is not None and own.text else ""
    if own is not None and own.mark is not mark:
        said = ""  # it is its subtests' mark, which have told why
    # kunit_parser takes the last " # SKIP" of a line for the directive, a stranger's too.
    rest = _harmless(f"{directive} {said}").replace("#", "\\#")
    return f"{line} # {rest}" if rest else line


def _name(text: str) -> str:
    """ktap.rst: any words, without "#"; a leading "- " would be taken for the separator."""
    return _harmless(text).replace("#", "_").lstrip("- ")[:_NAME].rstrip() or "_"


def _harmless(text: str) -> str:
    return _ENDS.sub(lambda match: match[1].replace(" ", "_") + match[2], one_line(text))
