# SPDX-License-Identifier: GPL-2.0-or-later
"""The kernel's own tests, run by kselftest's rules; on this host."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from kverdict.findings.suite import read_results
from kverdict.guest import identity, programs
from kverdict.guest.facts import BadFacts, Facts, Program, parse
from kverdict.guest.program import run_all
from kverdict.guest.results import Results
from kverdict.models import Outcome


def program(folder: Path, body: str, limit: float = 20) -> Program:
    path = folder / "files/x/test"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return Program(id="kselftest.x.test", folder=str(folder / "files"), path="x/test", limit=limit)


def place(one: Program) -> Path:
    return Path(one.folder, one.path)


@pytest.fixture(autouse=True)
def nothing_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    yield
    assert list(temporary.iterdir()) == []


@pytest.mark.parametrize(
    ("body", "outcome", "message"),
    [
        ("echo fine", "pass", ""),
        ("echo 'no device'; exit 4", "skip", "no device"),
        ("echo bad; exit 1", "fail", "exit status 1\nbad"),
        ("kill -SEGV $$", "crash", "killed by SIGSEGV\n"),
        ("test -x ./test && pwd > here && test -s here", "pass", ""),
        ("test -f ../lib.sh && . ../lib.sh && from_lib", "pass", ""),
    ],
)
def test_the_exit_status_says_it(tmp_path: Path, body: str, outcome: str, message: str) -> None:
    one = program(tmp_path, body)
    (tmp_path / "files/lib.sh").write_text("from_lib() { true; }\n")
    ended = programs.run(one, 1.0)
    assert (ended.outcome, ended.message) == (outcome, message)
    assert sorted(path.name for path in (tmp_path / "files").rglob("*")) == ["lib.sh", "test", "x"]


def test_a_limit_ends_it_and_its_children(tmp_path: Path) -> None:
    ended = programs.run(program(tmp_path, "echo begun; sleep 1000 & sleep 1000", limit=0.2), 1.0)
    assert ended.outcome == "timeout"
    assert ended.output == "begun\n"


def test_a_child_that_holds_the_pipe_open_is_not_waited_for(tmp_path: Path) -> None:
    ended = programs.run(program(tmp_path, "sleep 1000 & echo done", limit=500), 1.0)
    assert (ended.outcome, ended.output) == ("pass", "done\n")


def test_a_program_that_closed_its_output_is_still_waited_for(tmp_path: Path) -> None:
    body = f"exec >&- 2>&-; sleep 0.3; touch {tmp_path}/here; exit 1"
    assert programs.run(program(tmp_path, body), 1.0).outcome == "fail"
    assert (tmp_path / "here").exists()


def test_a_signal_without_a_name(tmp_path: Path) -> None:
    ended = programs.run(program(tmp_path, "kill -40 $$"), 1.0)
    assert (ended.outcome, ended.message) == ("crash", "killed by signal 40\n")


def test_a_silent_program_says_now_and_then_that_it_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(programs, "ALIVE_SECONDS", 0.1)
    (tmp_path / "results").mkdir()
    results = Results(tmp_path / "results")
    programs.run_all([program(tmp_path, "sleep 1")], 1.0, results)
    lines = (tmp_path / "results/results.jsonl").read_text().splitlines()
    events = [json.loads(line) for line in lines]
    assert events[0]["event"] == "start" and events[-1]["event"] == "end"
    words = events[1:-1]
    assert words and {(one["event"], one["case"]) for one in words} == {
        ("alive", "kselftest.x.test")
    }


@pytest.mark.parametrize(
    ("first", "message"),
    [
        ("#!/nowhere/bash -e", "its interpreter /nowhere/bash is not in this guest"),
        ("#! /nowhere/python3", "its interpreter /nowhere/python3 is not in this guest"),
        ("no program at all", "Exec format error"),
    ],
)
def test_what_cannot_be_started_is_our_trouble(tmp_path: Path, first: str, message: str) -> None:
    one = program(tmp_path, "")
    place(one).write_text(first + "\n")
    ended = programs.run(one, 1.0)
    assert ended.outcome == "error"
    assert ended.message == f"it cannot be started: {message}"


def test_a_program_without_its_loader(tmp_path: Path) -> None:
    """As one of 32 bits: PT_INTERP names what is not there."""
    one = program(tmp_path, "")
    binary = Path("/bin/sh").resolve().read_bytes()
    loader = b"/lib64/ld-linux-x86-64.so.2"
    assert loader in binary
    place(one).write_bytes(binary.replace(loader, loader.replace(b"lib64", b"lib99")))
    message = "it cannot be started: the loader that it was linked for is not in this guest"
    assert programs.run(one, 1.0).message == message


def test_a_program_that_is_not_there(tmp_path: Path) -> None:
    one = program(tmp_path, "")
    place(one).unlink()
    ended = programs.run(one, 1.0)
    assert (ended.outcome, ended.message) == (
        "error",
        "it cannot be started: No such file or directory",
    )


def test_files_that_cannot_be_copied(tmp_path: Path) -> None:
    ended = programs.run(Program("kselftest.x.y", str(tmp_path / "absent"), "y", 1), 1.0)
    assert ended.outcome == "error"
    assert ended.message.startswith("its files cannot be copied: ")


@pytest.mark.parametrize(
    "body", ["exec env no-such-program", "no-such-program", "echo 'no such library'; exit 127"]
)
def test_what_the_guest_lacks_is_our_trouble(tmp_path: Path, body: str) -> None:
    ended = programs.run(program(tmp_path, body), 1.0)
    assert ended.outcome == "error"
    assert "is not in this guest" in ended.message and "no" in ended.message.splitlines()[-1]


def test_output_without_end_takes_no_memory(tmp_path: Path) -> None:
    """The tail, whatever comes: `yes` prints gigabytes in this time."""
    script = (
        "import resource, sys; sys.path.insert(0, sys.argv[1]);"
        "from kverdict.guest import programs; from kverdict.guest.facts import Program;"
        "resource.setrlimit(resource.RLIMIT_AS, (256 << 20,) * 2);"
        "ended = programs.run(Program('x', sys.argv[2], 'x/test', 2.0), 1.0);"
        "print(ended.outcome, len(ended.output))"
    )
    one = program(tmp_path, "exec yes")
    home = str(Path(programs.__file__).resolve().parents[2])
    done = subprocess.run(
        [sys.executable, "-c", script, home, one.folder], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["timeout", str(programs.MOST_OUTPUT)]


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
    assert programs.kunit_suites() == {}
    (tmp_path / "kunit/example").mkdir(parents=True)
    (tmp_path / "kunit/example/results").write_text("ok 1 example\n")
    (tmp_path / "kunit/no suite").mkdir()
    found = programs.kunit_suites()
    assert found == {"kunit.example": tmp_path / "kunit/example"}
    (tmp_path / "results").mkdir()
    suites = {**found, "kunit.gone": tmp_path / "gone"}
    programs.report_kunit(suites, Results(tmp_path / "results"))
    lines = (tmp_path / "results/results.jsonl").read_text().splitlines()
    events = [json.loads(line) for line in lines]
    assert [event.get("outcome") for event in events] == [None, None, "pass", None, "error"]


@pytest.mark.parametrize(("suites", "asked"), [(0, 0), (2, 2), (2, 0)])
def test_that_no_suite_ran_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suites: int, asked: int
) -> None:
    """CONFIG_KUNIT_DEFAULT_ENABLED=n leaves the folders away, and is a line on the console.

    That others ran than those that are asked for tells that this kernel does not have them.
    """
    monkeypatch.setattr(programs, "KUNIT", tmp_path / "kunit")
    monkeypatch.setattr(programs, "mount_debugfs", lambda: None)
    for number in range(suites):
        (tmp_path / f"kunit/{number}").mkdir(parents=True)
        (tmp_path / f"kunit/{number}/results").write_text("ok\n")
    (tmp_path / "results").mkdir()
    results = Results(tmp_path / "results")
    results.put("hello", **identity.hello())
    cases = ("kunit", *(f"kunit.{number}" for number in range(asked)))
    run_all([], Facts(kunit=True, cases=(*cases, "kunit.new")), results)
    results.put("done")
    told = read_results(tmp_path / "results", cases=cases, kunit=True)
    assert told.problems == () and told.done
    outcomes = [Outcome.PASS] * (1 + asked) if suites else [Outcome.ERROR]
    assert [case.outcome for case in told.cases] == outcomes
    assert bool(told.cases[0].message) is not bool(suites)


def test_a_suite_may_have_any_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """net/handshake has "Handshake API tests"; the host takes what it reads for ids."""
    monkeypatch.setattr(programs, "KUNIT", tmp_path / "kunit")
    names = ["Handshake API tests", "Handshake_API_tests", "a\nb", "x" * 250, "ünïcode"]
    for name in names:
        (tmp_path / "kunit" / name).mkdir(parents=True)
        (tmp_path / "kunit" / name / "results").write_text(f"{name}\n")
    suites = programs.kunit_suites()
    assert sorted(folder.name for folder in suites.values()) == sorted(names)
    assert {"kunit.Handshake_API_tests", "kunit.Handshake_API_tests-2"} <= set(suites)
    (tmp_path / "results").mkdir()
    results = Results(tmp_path / "results")
    results.put("hello", **identity.hello())
    results.put("plan", cases=[*suites])
    programs.report_kunit(suites, results)
    results.put("done")
    told = read_results(tmp_path / "results", cases=[*suites], kunit=True)
    assert told.problems == () and told.done
    assert [case.id for case in told.cases] == [*suites]


def test_facts_name_programs() -> None:
    given = {"id": "kselftest.x.y", "folder": "/a", "path": "x/y", "limit": 45}
    expected = Program("kselftest.x.y", "/a", "x/y", 45)
    assert parse({"flags": {}, "programs": [given]}).programs == (expected,)
    for wrong in ({**given, "limit": 0}, {**given, "id": 3}, {"id": "x"}, "x"):
        with pytest.raises(BadFacts):
            parse({"flags": {}, "programs": [wrong]})
