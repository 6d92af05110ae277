# SPDX-License-Identifier: GPL-2.0-or-later
"""The child that reads KTAP with the kernel's own kunit_parser, in the sandbox.

On stdin {name: text}, on stdout {name: [[path, status, message], ...] or null}: a test and each of
its subtests, outer before inner, with the statuses of kunit_parser; null where there is no KTAP at
all.  argv[1] is the folder with kunit_parser.py and kunit_printer.py.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
from collections.abc import Iterator
from typing import Any

MOST_TESTS = 5000
_MESSAGE_LINES = 20


def main() -> None:
    sys.path.insert(0, sys.argv[1])
    channel = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # the parser is the tree's: only the answer may come out there
    parser = importlib.import_module("kunit_parser")
    printer = importlib.import_module("kunit_printer").Printer(print=False)
    texts: dict[str, str] = json.load(sys.stdin)
    with channel:
        json.dump({name: read(parser, printer, text) for name, text in texts.items()}, channel)


def read(parser: Any, printer: Any, text: str) -> list[list[str]] | None:
    try:
        test = parser.parse_run_tests(text.splitlines(), printer)
    except RecursionError:
        return [["", "FAILURE_TO_PARSE_TESTS", "nested too deeply"]]
    if test.status.name == "FAILURE_TO_PARSE_TESTS":
        return None
    return [[*row] for row, _ in zip(walk(test.subtests, ()), range(MOST_TESTS), strict=False)]


def walk(tests: list[Any], above: tuple[str, ...]) -> Iterator[tuple[str, str, str]]:
    for test in tests:
        path = (*above, str(test.name))
        said = [*test.log[-_MESSAGE_LINES:]]
        if test.counts.errors and not test.subtests:
            said.append("the plan and the results do not agree")
        yield "/".join(path), test.status.name, "\n".join(said)
        yield from walk(test.subtests, path)


if __name__ == "__main__":
    main()
