# SPDX-License-Identifier: GPL-2.0-or-later
"""The child that reads KTAP, with the parser of tests/data/kunit."""

from __future__ import annotations

import importlib.util
import io
import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kverdict import ktapworker

DATA = Path(__file__).resolve().parent / "data/kunit"


def module(name: str) -> Any:
    spec = importlib.util.spec_from_file_location(name, DATA / f"{name}.py")
    assert spec is not None and spec.loader is not None
    loaded = importlib.util.module_from_spec(spec)
    sys.modules[name] = loaded  # the parser imports the printer, and its dataclasses themselves
    spec.loader.exec_module(loaded)
    return loaded


PRINTER = module("kunit_printer").Printer(print=False)
PARSER = module("kunit_parser")


def read(text: str) -> tuple[str, list[tuple[str, str, str]]] | None:
    return ktapworker.read(PARSER, PRINTER, text)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("ok 1 name", ["ok 1 name"]),
        ("    not ok 2 - a name", ["    not ok 2 a name"]),
        ("ok 3", ["ok 3 3"]),
        ("ok 3 # SKIP", ["# SKIP no reason given", "ok 3 3 # SKIP no reason given"]),
        ("ok 3 # SKIP not here", ["# SKIP not here", "ok 3 3 # SKIP not here"]),
        ("ok 3 - # SKIP not here", ["# SKIP not here", "ok 3 3 # SKIP not here"]),
        (
            "  ok 3 a # XFAIL later",
            ["  # XFAIL expected to fail: later", "  ok 3 a # SKIP expected to fail: later"],
        ),
        ("not ok 4 a # TIMEOUT 45 seconds", ["# result: TIMEOUT 45 seconds", "not ok 4 a"]),
        ("not ok 4 a # exit=1", ["# result: exit=1", "not ok 4 a"]),
        ("ok 5 channel #3", ["ok 5 channel #3"]),
        ("# ok 1 name", ["# ok 1 name"]),
        ("1..3", ["1..3"]),
        ("", [""]),
    ],
)
def test_what_kunit_parser_would_lose(line: str, expected: list[str]) -> None:
    assert list(ktapworker.prepared(line)) == expected


def test_a_result_behind_what_was_printed_without_an_end_of_line() -> None:
    text = (
        "TAP version 13\n1..4\nok 1 one\nDiff too high: 25 ns..not ok 2 ITIMER_VIRTUAL\n"
        "we saw not ok 2 before\n# and not ok 3 here\n  indented ok 3 x\nok 3 three\nx ok 4\n"
    )
    answer = read(text)
    assert answer is not None
    assert [(name, status) for name, status, _ in answer[1]] == [
        ("one", "SUCCESS"),
        ("ITIMER_VIRTUAL", "FAILURE"),
        ("three", "SUCCESS"),
        ("4", "SUCCESS"),
    ]
    assert answer[1][1][2] == "# Diff too high: 25 ns.."


@given(st.text(alphabet="ok nt#-1 aSKIPX\t", max_size=40))
def test_a_prepared_line_stays_what_it_is(line: str) -> None:
    once = list(ktapworker.prepared(line))
    assert 1 <= len(once) <= 2
    assert all("\n" not in one for one in once)
    if once != [line]:
        assert once[-1].split()[:1] == line.split()[:1]


def test_paths_and_statuses_outer_before_inner() -> None:
    text = (DATA.parent / "kunit/example.results").read_text()
    answer = read(text)
    assert answer is not None
    status, rows = answer
    assert status == "SUCCESS"
    paths = {path: result for path, result, _ in rows}
    assert rows[0][:2] == ("example", "SUCCESS")
    assert paths["example/example_simple_test"] == "SUCCESS"
    assert paths["example/example_skip_test"] == "SKIPPED"
    assert paths["example/example_params_test/example value 3"] == "SUCCESS"
    (why,) = [said for path, _, said in rows if path == "example/example_skip_test"]
    assert "this test should be skipped" in why


def test_a_promised_result_that_is_not_there_is_no_row() -> None:
    answer = read("TAP version 13\n1..3\nok 1 a\n")
    assert answer == ("TEST_CRASHED", [("a", "SUCCESS", "")])


def test_a_suite_without_a_name_has_its_number() -> None:
    answer = read("KTAP version 1\n1..1\n    KTAP version 1\n    1..1\n    ok 1 a\nok 1\n")
    assert answer is not None
    assert [path for path, _, _ in answer[1]] == ["1", "1/a"]


@pytest.mark.parametrize("text", ["", "nothing of the kind\n", "ok 1 without a header\n"])
def test_no_ktap_is_no_answer(text: str) -> None:
    assert read(text) is None


def test_nesting_that_python_cannot_follow() -> None:
    text = "".join(" " * depth + "KTAP version 1\n" for depth in range(3000))
    assert read(text) == ("FAILURE_TO_PARSE_TESTS", [])


def test_a_parser_of_before_6_15_is_not_told_where_to_print() -> None:
    class Old:
        @staticmethod
        def parse_run_tests(lines: list[str]) -> Any:
            return PARSER.parse_run_tests(lines, PRINTER)

    assert ktapworker._printer(Old) is None
    assert ktapworker.read(Old, None, "TAP version 13\n1..1\nok 1 a\n") == (
        "SUCCESS",
        [("a", "SUCCESS", "")],
    )


def test_what_the_parser_prints_stays_off_the_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer, noise = tmp_path / "answer", tmp_path / "noise"
    saved = os.dup(1), os.dup(2)
    monkeypatch.setattr(sys, "argv", ["ktapworker", str(DATA)])
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr(
        sys, "stdin", io.StringIO(json.dumps({"a": "TAP version 13\n1..1\nok 1 b\n"}))
    )
    try:
        with answer.open("wb") as out, noise.open("wb") as error:
            os.dup2(out.fileno(), 1)
            os.dup2(error.fileno(), 2)
            ktapworker.main()
            os.write(1, b"printed by the parser\n")
    finally:
        for fd, number in zip(saved, (1, 2), strict=True):
            os.dup2(fd, number)
            os.close(fd)
    assert json.loads(answer.read_text()) == {"a": ["SUCCESS", [["b", "SUCCESS", ""]]]}
    assert noise.read_text() == "printed by the parser\n"
