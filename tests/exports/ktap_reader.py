# SPDX-License-Identifier: GPL-2.0-or-later
"""A reader of KTAP that takes only what Documentation/dev-tools/ktap.rst asks for, to the letter.

The kernel's own kunit_parser forgives much; tests/e2e/test_exports_real.py asks that one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

_RESULT = re.compile(r"(ok|not ok) ([1-9][0-9]*) ([^#\n]*[^# \n])(?: # (.*))?")
_DIRECTIVES = ("SKIP", "TODO", "XFAIL", "TIMEOUT", "ERROR")


@dataclass
class Test:
    __test__ = False

    name: str
    status: str  # "ok", "not ok", or the directive
    diagnostic: str
    below: list[Test] = field(default_factory=list)
    said: list[str] = field(default_factory=list)

    def walk(self, above: str = "") -> dict[str, Test]:
        path = f"{above}{self.name}"
        found = {path: self}
        for test in self.below:
            found |= test.walk(f"{path}/")
        return found


def read(text: str) -> dict[str, Test]:
    """All tests by path.  Raises AssertionError for what is not KTAP version 1."""
    assert text.endswith("\n")
    lines = text[:-1].split("\n")
    assert all(line == line.rstrip() and line.isprintable() for line in lines)
    tests, rest = _tests(lines, "")
    assert rest == []
    found: dict[str, Test] = {}
    for test in tests:
        found |= test.walk()
    return found


def _tests(lines: list[str], indent: str) -> tuple[list[Test], list[str]]:
    assert lines[0] == f"{indent}KTAP version 1"
    plan = re.fullmatch(rf"{indent}1\.\.([0-9]+)", lines[1])
    assert plan is not None
    rest, tests = lines[2:], list[Test]()
    while len(tests) < int(plan[1]):
        below: list[Test] = []
        if rest[0].startswith(f"{indent}  KTAP"):
            below, rest = _tests(rest, f"{indent}  ")
        said = []
        while rest[0].startswith(f"{indent}#"):
            said.append(rest.pop(0).strip())
        tests.append(_result(rest.pop(0), indent, len(tests) + 1, below, said))
    return tests, rest


def _result(line: str, indent: str, number: int, below: list[Test], said: list[str]) -> Test:
    assert line.startswith(indent) and line[len(indent)] != " "
    match = _RESULT.fullmatch(line[len(indent) :])
    assert match is not None, line
    assert int(match[2]) == number
    word, _, text = (match[4] or "").partition(" ")
    directive = word if word in _DIRECTIVES else ""
    assert directive not in ("TIMEOUT", "ERROR") or match[1] == "not ok"
    failing = any(test.status not in ("ok", "SKIP") for test in below)
    assert match[1] == "not ok" or not failing, "a failing subtest fails its test"
    return Test(match[3], directive or match[1], text if directive else match[4] or "", below, said)
