# SPDX-License-Identifier: GPL-2.0-or-later
"""What test programs printed, as cases: KTAP through the tree's own kunit_parser, in the sandbox.

Nothing on PyPI reads the kernel's dialect (Documentation/dev-tools/ktap.rst) with its nested
plans; tools/testing/kunit does, and is kept true with the kernel.  The base's is asked, so that
a series is not its own judge.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from kverdict.errors import InfraError
from kverdict.findings.suite import KUNIT
from kverdict.models import CaseResult, Outcome, TestOutput
from kverdict.sandbox import Bind, Isolation, Sandbox, python_command
from kverdict.text import printable, shorten

PARSER = ("tools/testing/kunit/kunit_parser.py", "tools/testing/kunit/kunit_printer.py")
_PLACE = Path("/ktap")
_SECONDS = 120.0
_MESSAGE = 2000
_OUTCOMES = {
    "SUCCESS": Outcome.PASS,
    "FAILURE": Outcome.FAIL,
    "SKIPPED": Outcome.SKIP,
    "TEST_CRASHED": Outcome.CRASH,  # began, and has no result
    "NO_TESTS": Outcome.SKIP,
}
_UNREADABLE = "FAILURE_TO_PARSE_TESTS"
_BY_A_LINE = ("SUCCESS", "FAILURE", "SKIPPED")  # the others by what is missing
_EMPTY_PLAN = re.compile(r"^1\.\.0+\b", re.MULTILINE)
_NOT_IN_AN_ID = re.compile(r"[^A-Za-z0-9_.:/-]")
_Row = tuple[str, str, str]  # path, status, message
_Told = tuple[str, list[_Row]]  # what all of it comes to, and each test
_ANSWER = TypeAdapter(dict[str, _Told | None])


def subtests(
    cases: Sequence[CaseResult],
    outputs: Sequence[TestOutput],
    parser: Mapping[str, bytes],
    folder: Path,
    *,
    isolation: Isolation = Isolation.BUBBLEWRAP,
) -> tuple[CaseResult, ...]:
    """``cases``, each followed by what the KTAP that it printed says of its subtests.

    ``parser`` has the two files of PARSER by name; ``folder`` is an empty one to put them in.  The
    case itself keeps what its exit status said, but for KUnit suites, which have none, and for a
    program that did nothing but skip, or planned no test at all: a skip is never a pass.  What
    cannot be read is no subtest of a program, and an error of a suite.
    """
    told = _parsed(outputs, parser, folder, isolation) if outputs else {}
    empty = {output.case for output in outputs if _EMPTY_PLAN.search(output.text)}
    found: list[CaseResult] = []
    for case in cases:
        of_case = told.get(case.id)
        if case.id.startswith(KUNIT):
            found += _suite(case, of_case)
        elif of_case is not None:
            found += [_program(case, of_case, case.id in empty), *_below(case, of_case[1])]
        else:
            found.append(case)
    return _told_apart(found)


def _told_apart(cases: Sequence[CaseResult]) -> tuple[CaseResult, ...]:
    """A second one of an id gets a number, so that none stands for another.

    Not a number that makes the id of a third: that one is to be called the same in every guest.
    """
    taken = {case.id for case in cases}
    seen: dict[str, int] = {}
    found = []
    for case in cases:
        number = seen.get(case.id, 0) + 1
        id = case.id if number == 1 else f"{case.id}-{number}"
        while number > 1 and id in taken:
            number += 1
            id = f"{case.id}-{number}"
        seen[case.id] = number
        taken.add(id)
        found.append(case.model_copy(update={"id": id}))
    return tuple(found)


def _parsed(
    outputs: Sequence[TestOutput],
    parser: Mapping[str, bytes],
    folder: Path,
    isolation: Isolation,
) -> dict[str, _Told | None]:
    for name, content in parser.items():
        (folder / Path(name).name).write_bytes(content)
    folder.chmod(0o755)  # the sandbox's user is nobody whom we know
    place = folder if isolation is Isolation.NONE else _PLACE
    sandbox = Sandbox(binds=(Bind(folder, _PLACE),), python=True, isolation=isolation)
    texts = {output.case: output.text for output in outputs}
    done = sandbox.run(
        python_command("kverdict.ktapworker", str(place)),
        stdin=json.dumps(texts).encode(),
        timeout=_SECONDS,
    )
    try:
        return _ANSWER.validate_json(done.stdout)
    except ValidationError as error:
        last = done.stderr.decode(errors="replace").strip().splitlines()[-1:]
        raise InfraError(
            "the tree's kunit_parser gave no answer", shorten(printable("".join(last)), 200)
        ) from error


def _program(case: CaseResult, told: _Told, empty: bool) -> CaseResult:
    """``empty``: its plan is 1..0; without a plan, kunit_parser has the same word for it."""
    status, rows = told
    if case.outcome is not Outcome.PASS:
        return case
    if status == "NO_TESTS" and empty:
        message = "its plan has no tests"
    elif status == "SKIPPED":
        reasons = "\n".join(dict.fromkeys(message for _, _, message in rows if message))
        message = f"all that it tests was skipped\n{printable(reasons)}"[:_MESSAGE]
    else:
        return case
    return case.model_copy(update={"outcome": Outcome.SKIP, "message": message})


def _suite(case: CaseResult, told: _Told | None) -> list[CaseResult]:
    """A KUnit suite is what its tests come to; without any line it said nothing.

    debugfs puts the suite itself around its tests (lib/kunit/debugfs.c).  One that the guest did
    not read to its end has its outcome already: of its tests those count that have a result.
    """
    ran = case.outcome is Outcome.PASS
    if told is None or told[0] == _UNREADABLE:
        why = "it left no KTAP" if told is None else "kunit_parser cannot read what it left"
        change: dict[str, object] = {"outcome": Outcome.ERROR, "message": why}
        return [case.model_copy(update=change) if ran else case]
    status, rows = told
    message = case.message
    if rows and rows[0][1] == "NO_TESTS":
        # Its configuration left it empty, as without KUNIT_FAULT_TEST; kunit_parser makes "crashed"
        # of the whole, while the kernel's own line on the console says SKIP.
        status, message = "NO_TESTS", "it has no tests under this configuration"
    if rows and all(path.startswith(f"{rows[0][0]}/") for path, _, _ in rows[1:]):
        around = len(rows[0][0]) + 1
        rows = [(path[around:], status, said) for path, status, said in rows[1:]]
    if not ran:
        return [case, *_below(case, [row for row in rows if row[1] in _BY_A_LINE])]
    outcome = _OUTCOMES.get(status, Outcome.ERROR)
    judged = case.model_copy(update={"outcome": outcome, "message": message})
    return [judged, *_below(case, rows)]


def _below(case: CaseResult, rows: Sequence[_Row]) -> list[CaseResult]:
    found = []
    for path, status, message in rows:
        outcome = _OUTCOMES.get(status, Outcome.ERROR)
        found.append(
            case.model_copy(
                update={
                    "id": f"{case.id}/{_NOT_IN_AN_ID.sub('_', path)}"[:200],
                    "title": shorten(printable(path, keep=""), 200),
                    "outcome": outcome,
                    "message": "" if outcome is Outcome.PASS else printable(message)[:_MESSAGE],
                    "seconds": 0.0,
                }
            )
        )
    return found
