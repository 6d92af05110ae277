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
}
_NOT_IN_AN_ID = re.compile(r"[^A-Za-z0-9_.:/-]")
_ANSWER = TypeAdapter(dict[str, list[tuple[str, str, str]] | None])


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
    case itself keeps what its exit status said, but for KUnit suites, which have none.
    """
    if not outputs:
        return tuple(cases)
    told = _parsed(outputs, parser, folder, isolation)
    found: list[CaseResult] = []
    for case in cases:
        rows = told.get(case.id)
        own = [row for row in rows or () if not row[0]]
        found.append(_suite(case, rows) if case.id.startswith("kunit.") else case)
        found += _below(case, [row for row in rows or () if row not in own])
    return tuple(found)


def _parsed(
    outputs: Sequence[TestOutput],
    parser: Mapping[str, bytes],
    folder: Path,
    isolation: Isolation,
) -> dict[str, list[tuple[str, str, str]] | None]:
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


def _suite(case: CaseResult, rows: Sequence[tuple[str, str, str]] | None) -> CaseResult:
    """A KUnit suite is what its first line says; without any it said nothing."""
    outcome = _OUTCOMES.get(rows[0][1], Outcome.ERROR) if rows else Outcome.ERROR
    return case.model_copy(update={"outcome": outcome})


def _below(case: CaseResult, rows: Sequence[tuple[str, str, str]]) -> list[CaseResult]:
    """A second subtest of one name gets a number, so that none stands for another."""
    seen: dict[str, int] = {}
    found = []
    for path, status, message in rows:
        id = f"{case.id}/{_NOT_IN_AN_ID.sub('_', path)}"[:200]
        seen[id] = seen.get(id, 0) + 1
        outcome = _OUTCOMES.get(status, Outcome.ERROR)
        found.append(
            case.model_copy(
                update={
                    "id": id if seen[id] == 1 else f"{id}-{seen[id]}",
                    "title": shorten(printable(path, keep=""), 200),
                    "outcome": outcome,
                    "message": "" if outcome is Outcome.PASS else printable(message)[:_MESSAGE],
                    "seconds": 0.0,
                }
            )
        )
    return found
