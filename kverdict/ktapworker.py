# SPDX-License-Identifier: GPL-2.0-or-later
"""The child that reads KTAP with the kernel's own kunit_parser, in the sandbox.

On stdin {name: text}, on stdout {name: [status, [[path, status, message], ...]] or null}: what all
of it comes to, then each test, outer before inner, with the statuses of kunit_parser; null where
there is no KTAP at all, and FAILURE_TO_PARSE_TESTS where the parser cannot read it.  argv[1] is the
folder with kunit_parser.py and kunit_printer.py.
"""

from __future__ import annotations

import importlib
import inspect
import json
import os
import re
import sys
from collections.abc import Iterable, Iterator
from typing import Any

MOST_TESTS = 5000
_MESSAGE_LINES = 20
_LONGEST = 500  # characters of a line: kunit_parser takes their square for a line of blanks
_DEEPEST = 100  # blanks before it, which mean nothing to kunit_parser
_KNOWN = "TAP version 13\n1..1\nok 1 known\n"
_PLAN = re.compile(r"^\s*1\.\.([0-9]+)")
_HEADER = re.compile(r"K?TAP version [0-9]+$")
# "ok 2 - name # SKIP reason", Documentation/dev-tools/ktap.rst. kselftest.h gives its message
# where the specification has the reason, and no name: ksft_test_result_skip(), ..._xfail().
_RESULT = re.compile(
    r"^(?P<indent>\s*)(?P<result>ok|not ok) (?P<number>[0-9]+)(?: - | )?(?P<name>[^#]*?)"
    r"(?:(?:^|(?<= )| )# (?P<directive>\S+) ?(?P<reason>.*))?$"
)
# "Diff too high: 2548333867 ns..not ok 2 ITIMER_VIRTUAL", timers/posix_timers.c
_AFTER_TEXT = re.compile(r"^(?P<text>[^#\s].*?)(?P<result>(?:not )?ok (?P<number>[0-9]+)(?: .*)?)$")
_NO_PASS = {"SKIP": "", "XFAIL": "expected to fail: "}
_Read = tuple[str, list[tuple[str, str, str]]]


def main() -> None:
    sys.path.insert(0, sys.argv[1])
    channel = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # the parser is the tree's: only the answer may come out there
    parser = importlib.import_module("kunit_parser")
    printer = _printer(parser)
    texts: dict[str, str] = json.load(sys.stdin)
    _rows(parser, printer, _KNOWN)  # a parser that cannot read this fits no text: no answer then
    with channel:
        json.dump({name: read(parser, printer, text) for name, text in texts.items()}, channel)


def _printer(parser: Any) -> Any:
    """Since Linux 6.15 it is told where to print; before it prints to stdout."""
    if len(inspect.signature(parser.parse_run_tests).parameters) < 2:
        return None
    return importlib.import_module("kunit_printer").Printer(print=False)


def read(parser: Any, printer: Any, text: str) -> _Read | None:
    """One text that cannot be read says nothing of the others."""
    try:
        return _rows(parser, printer, text)
    except Exception:  # noqa: BLE001 - a stranger's text in the tree's parser: it may raise any
        return "FAILURE_TO_PARSE_TESTS", []


def _rows(parser: Any, printer: Any, text: str) -> _Read | None:
    lines = [line for one in apart(unindented(text.splitlines())) for line in prepared(one)]
    check_plans(lines)
    test = parser.parse_run_tests(lines, *([] if printer is None else [printer]))
    if test.status.name == "FAILURE_TO_PARSE_TESTS":
        return None
    rows = [row for row, _ in zip(walk(test.subtests, ()), range(MOST_TESTS), strict=False)]
    return test.status.name, rows


def unindented(lines: Iterable[str]) -> Iterator[str]:
    """Without what stands before the first header: kunit_parser cuts as much off all that follow.

    It is so to the parser as before, and here a line begins where it does there.
    """
    cut = None
    for line in lines:
        header = _HEADER.search(line.rstrip()) if cut is None else None
        if header is not None:
            word = "KTAP version" if header[0].startswith("K") else "TAP version"
            cut = line.index(word)
        yield line[cut or 0 :]


def check_plans(lines: list[str]) -> None:
    """Raises ValueError when more is promised than could be: the parser makes a test of each."""
    promised = sum(int(match[1]) for match in map(_PLAN.match, lines) if match is not None)
    if promised > len(lines) + MOST_TESTS:
        raise ValueError("the plans promise more results than there are lines")


def apart(lines: Iterable[str]) -> Iterator[str]:
    """The lines, a result apart from what a program printed before it without an end of line.

    Only when it is the next one by its number: a text may speak of other results.
    """
    last = 0
    for line in lines:
        result, after = _RESULT.match(line), _AFTER_TEXT.match(line)
        if result is not None:
            last = last if result["indent"] else int(result["number"])
        elif after is not None and int(after["number"]) == last + 1:
            last += 1
            yield f"# {after['text']}"
            line = after["result"]
        yield line


def prepared(line: str) -> Iterator[str]:
    """A result with what kunit_parser loses of it: its number for a missing name, its reason.

    It knows no directive but SKIP, and takes an expected failure for a pass; that one is no pass
    and no failure, and is skipped here.
    """
    match = _RESULT.match(line)
    if match is None:
        rest = line.lstrip()
        yield line[: len(line) - len(rest)][:_DEEPEST] + rest[:_LONGEST]
        return
    directive = (match["directive"] or "")[:_LONGEST]
    reason = (match["reason"] or "").strip()[:_LONGEST]
    name = match["name"].strip()[:_LONGEST] or match["number"]
    indent = match["indent"][:_DEEPEST]
    head = f"{indent}{match['result']} {match['number']} {name}"
    if directive.upper() in _NO_PASS:
        why = _NO_PASS[directive.upper()] + (reason or "no reason given")
        yield f"{indent}# {directive.upper()} {why}"
        yield f"{head} # SKIP {why}"
        return
    if directive:
        yield f"{indent}# result: {directive} {reason}".rstrip()
    yield head


def walk(tests: list[Any], above: tuple[str, ...]) -> Iterator[tuple[str, str, str]]:
    """Without those that a plan promises and that have no result: they have no name either."""
    for number, test in enumerate(tests, 1):
        if not test.name and not test.subtests:
            continue
        path = (*above, str(test.name or number))
        said = [*test.log[-_MESSAGE_LINES:]]
        if test.counts.errors and not test.subtests:
            said.append("the plan and the results do not agree")
        yield "/".join(path), test.status.name, "\n".join(said)
        yield from walk(test.subtests, path)


if __name__ == "__main__":
    main()
