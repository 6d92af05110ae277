# SPDX-License-Identifier: GPL-2.0-or-later
"""The kernel's own tests, run by kselftest's rules; on this host."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from kverdict.guest import programs
from kverdict.guest.facts import BadFacts, Program, parse
from kverdict.guest.results import Results


def program(folder: Path, body: str, limit: float = 20) -> Program:
    path = folder / "test"
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return Program(id="kselftest.x.test", folder=str(folder), path=str(path), limit=limit)


@pytest.mark.parametrize(
    ("body", "outcome", "message"),
    [
        ("echo fine", "pass", ""),
        ("echo 'no device'; exit 4", "skip", "no device"),
        ("echo bad; exit 1", "fail", "exit status 1\nbad"),
        ("kill -SEGV $$", "crash", "killed by SIGSEGV\n"),
        ("pwd > here; test -s here", "pass", ""),
    ],
)
def test_the_exit_status_says_it(tmp_path: Path, body: str, outcome: str, message: str) -> None:
    ended = programs.run(program(tmp_path, body), 1.0)
    assert (ended.outcome, ended.message) == (outcome, message)


def test_a_limit_ends_it_and_its_children(tmp_path: Path) -> None:
    ended = programs.run(program(tmp_path, "echo begun; sleep 1000 & sleep 1000", limit=0.2), 1.0)
    assert ended.outcome == "timeout"
    assert ended.output == "begun\n"


def test_what_cannot_be_started_is_our_trouble(tmp_path: Path) -> None:
    absent = Program("kselftest.x.y", str(tmp_path), str(tmp_path / "absent"), 1)
    assert programs.run(absent, 1.0).outcome == "error"


def test_the_end_of_a_long_output_counts(tmp_path: Path) -> None:
    ended = programs.run(program(tmp_path, "yes | head -c 300000; echo last"), 1.0)
    assert len(ended.output) == programs.MOST_OUTPUT
    assert ended.output.endswith("last\n")


def test_output_comes_in_pieces_between_start_and_end(tmp_path: Path) -> None:
    (tmp_path / "results").mkdir()
    results = Results(tmp_path / "results")
    programs.run_all([program(tmp_path, "yes | head -c 20000")], 1.0, results)
    lines = (tmp_path / "results/results.jsonl").read_text().splitlines()
    events = [json.loads(line) for line in lines]
    assert [event["event"] for event in events] == ["start", *["output"] * 3, "end"]
    assert sum(len(event.get("text", "")) for event in events) == 20000


def test_kunit_s_results_are_read_from_debugfs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(programs, "KUNIT", tmp_path / "kunit")
    assert programs.kunit_suites() == []
    (tmp_path / "kunit/example").mkdir(parents=True)
    (tmp_path / "kunit/example/results").write_text("ok 1 example\n")
    assert programs.kunit_suites() == ["example"]
    (tmp_path / "results").mkdir()
    programs.report_kunit(["kunit.example", "kunit.gone"], Results(tmp_path / "results"))
    lines = (tmp_path / "results/results.jsonl").read_text().splitlines()
    events = [json.loads(line) for line in lines]
    assert [event.get("outcome") for event in events] == [None, None, "pass", None, "error"]


def test_facts_name_programs() -> None:
    given = {"id": "kselftest.x.y", "folder": "/a", "path": "/a/y", "limit": 45}
    expected = Program("kselftest.x.y", "/a", "/a/y", 45)
    assert parse({"flags": {}, "programs": [given]}).programs == (expected,)
    for wrong in ({**given, "limit": 0}, {**given, "id": 3}, {"id": "x"}, "x"):
        with pytest.raises(BadFacts):
            parse({"flags": {}, "programs": [wrong]})
