# SPDX-License-Identifier: GPL-2.0-or-later
"""The reader of what the guest wrote; the guest is a stranger's."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kverdict import uapi
from kverdict.errors import UserError
from kverdict.findings.suite import (
    LONGEST_LINE,
    SuiteResults,
    defect_of,
    facts_document,
    list_cases,
    read_results,
    run_here,
)
from kverdict.models import Outcome

HELLO: dict[str, Any] = {
    "event": "hello",
    "version": 1,
    "release": "7.2.12",
    "build_id": "f0fbfcf49819e77a670dd69e19e4f699e933eb78",
    "cmdline": "console=ttyS0",
    "config_digest": "ab" * 32,
    "kvm": True,
    "python": "3.11.2",
}
FIRST, SECOND, THIRD = (case.id for case in list_cases()[:3])
PLAN = {"event": "plan", "cases": [FIRST, SECOND]}
DONE = {"event": "done"}
BENCH = {
    "event": "bench",
    "name": "write",
    "unit": "ns",
    "clock": "CLOCK_MONOTONIC",
    "mib": 16,
    "rounds": [30, 10, 20],
    "median": 20,
    "minimum": 10,
    "maximum": 30,
}


def start(case: str) -> dict[str, Any]:
    return {"event": "start", "case": case}


def end(case: str, outcome: str = "pass", message: str = "") -> dict[str, Any]:
    return {"event": "end", "case": case, "outcome": outcome, "message": message, "seconds": 0.5}


def lines(events: Sequence[object]) -> bytes:
    return b"".join(json.dumps(event).encode() + b"\n" for event in events)


def read(folder: Path, data: bytes, **options: Any) -> SuiteResults:
    (folder / "results.jsonl").write_bytes(data)
    return read_results(folder, **{"cases": [FIRST, SECOND], **options})


def outcomes(told: SuiteResults) -> list[Outcome]:
    return [case.outcome for case in told.cases]


def test_a_whole_run(tmp_path: Path) -> None:
    failed = end(SECOND, "fail", "expected 0, got 1")
    told = read(
        tmp_path, lines([HELLO, PLAN, start(FIRST), end(FIRST), start(SECOND), failed, BENCH, DONE])
    )
    assert told.problems == ()
    assert told.done
    assert (told.release, told.kvm) == ("7.2.12", True)
    assert told.build_id == HELLO["build_id"]
    assert told.config_digest == HELLO["config_digest"]
    assert outcomes(told) == [Outcome.PASS, Outcome.FAIL]
    assert told.cases[1].message == "expected 0, got 1"
    assert told.cases[0].title == list_cases()[0].title
    assert told.cases[0].seconds == 0.5
    assert told.bench[0].rounds == (30, 10, 20)


def test_a_message_keeps_its_columns(tmp_path: Path) -> None:
    told = read(tmp_path, lines([HELLO, PLAN, start(FIRST), end(FIRST, "fail", "a\tb\n\tc\x07")]))
    assert told.cases[0].message == "a       b\n        c\ufffd"


def test_a_word_that_a_case_still_runs_is_no_result(tmp_path: Path) -> None:
    alive = [{"event": "alive", "case": FIRST}] * 3
    told = read(tmp_path, lines([HELLO, PLAN, start(FIRST), *alive]))
    assert told.problems == ()
    assert outcomes(told) == [Outcome.CRASH, Outcome.NOT_RUN]
    events = [HELLO, PLAN, start(FIRST), *alive, end(FIRST), *alive[:1]]
    told = read(tmp_path, lines(events))
    assert told.problems == (f"line 8: a word of {FIRST}, which was not running",)
    assert outcomes(told) == [Outcome.PASS, Outcome.NOT_RUN]


def test_the_case_in_which_the_guest_died_is_a_crash_and_the_rest_did_not_run(
    tmp_path: Path,
) -> None:
    told = read(
        tmp_path,
        lines([HELLO, {"event": "plan", "cases": [FIRST, SECOND, THIRD]}])
        + lines([start(FIRST), end(FIRST), start(SECOND)]),
        cases=[FIRST, SECOND, THIRD],
    )
    assert outcomes(told) == [Outcome.PASS, Outcome.CRASH, Outcome.NOT_RUN]
    assert not told.done


def test_a_line_that_was_being_written_is_not_believed(tmp_path: Path) -> None:
    told = read(tmp_path, lines([HELLO, PLAN, start(FIRST), end(FIRST)])[:-1])
    assert outcomes(told) == [Outcome.CRASH, Outcome.NOT_RUN]
    assert told.problems == ("the last line is cut off",)


def test_no_results_at_all(tmp_path: Path) -> None:
    told = read_results(tmp_path)
    assert set(outcomes(told)) == {Outcome.NOT_RUN}
    assert len(told.cases) == len(list_cases())
    assert told.problems == ("results.jsonl: No such file or directory",)
    assert (told.release, told.build_id, told.kvm) == (None, None, False)


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(lines([HELLO, DONE]))
    folder = tmp_path / "results"
    folder.mkdir()
    (folder / "results.jsonl").symlink_to(secret)
    told = read_results(folder)
    assert told.hello is None
    assert "results.jsonl" in told.problems[0]


def test_a_fifo_does_not_hold_us(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "results.jsonl")
    assert read_results(tmp_path).problems == ("results.jsonl is not a regular file",)


def test_a_folder_in_its_place(tmp_path: Path) -> None:
    (tmp_path / "results.jsonl").mkdir()
    assert read_results(tmp_path).problems == ("results.jsonl is not a regular file",)


def test_no_more_than_the_limit_is_read(tmp_path: Path) -> None:
    good = lines([HELLO, PLAN, start(FIRST), end(FIRST)])
    told = read(tmp_path, good + b"x" * 1000, limit_bytes=len(good))
    assert told.problems == (f"results.jsonl is over {len(good)} bytes; the rest was not read",)
    assert outcomes(told) == [Outcome.PASS, Outcome.NOT_RUN]


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"\xff\xfe",
        b"null",
        b"[]",
        b"{}",
        b'{"event": "end"}',
        b'{"event": "nonsense"}',
        b'{"event": "done", "extra": 1}',
        b"[" * 50_000,
        b'{"event": "done"' + b" " * LONGEST_LINE + b"}",
        json.dumps({**end(FIRST), "seconds": float("nan")}).encode(),
        json.dumps({**end(FIRST), "seconds": -1}).encode(),
        json.dumps({**end(FIRST), "seconds": "1"}).encode(),
        json.dumps({**end(FIRST), "outcome": "not run"}).encode(),
        json.dumps({**end(FIRST), "outcome": "good"}).encode(),
        json.dumps({**end(FIRST), "message": "x" * 4001}).encode(),
        json.dumps(start("../../etc/passwd")).encode(),
        json.dumps(start("Pwrite.Page")).encode(),
        json.dumps({**BENCH, "name": "teleport"}).encode(),
        json.dumps({**BENCH, "rounds": []}).encode(),
        json.dumps({**BENCH, "rounds": [-1]}).encode(),
        json.dumps({**BENCH, "mib": 0}).encode(),
    ],
)
def test_a_line_that_is_no_event_is_a_problem_and_nothing_else(tmp_path: Path, line: bytes) -> None:
    before = [HELLO, PLAN, start(FIRST)]
    told = read(tmp_path, lines(before) + line + b"\n" + lines([end(FIRST)]))
    assert len(told.problems) == 1
    assert told.problems[0].startswith("line 4 is ")
    assert outcomes(told) == [Outcome.PASS, Outcome.NOT_RUN]
    assert told.bench == ()


@pytest.mark.parametrize(
    ("events", "problem"),
    [
        ([start(FIRST), HELLO], "line 1: start before hello"),
        ([HELLO, HELLO], "line 2: a second hello"),
        ([{**HELLO, "version": 2}], "line 1: the suite is of version 2, expected 1"),
        ([HELLO, PLAN, PLAN], "line 3: a second plan"),
        ([HELLO, {"event": "plan", "cases": [FIRST, FIRST]}], "line 2: a plan that names a case"),
        ([HELLO, {"event": "plan", "cases": ["no.such"]}], "a plan with unknown case no.such"),
        ([HELLO, {"event": "plan", "cases": [FIRST]}], "the plan is not what was asked for"),
        ([HELLO, start(FIRST)], f"line 2: start of {FIRST}, which was not planned"),
        ([HELLO, PLAN, end(FIRST)], f"line 3: end of {FIRST}, which was not running"),
        ([HELLO, PLAN, start(FIRST), start(SECOND)], f"line 4: start of {SECOND} out of turn"),
        (
            [HELLO, PLAN, start(FIRST), end(FIRST, "fail"), start(FIRST), end(FIRST)],
            f"line 5: start of {FIRST} out of turn",
        ),
        (
            [HELLO, PLAN, start(FIRST), end(FIRST, "fail"), end(FIRST)],
            f"line 5: end of {FIRST}, which was not running",
        ),
        ([HELLO, PLAN, DONE], "line 3: done, but not every planned case ended"),
        ([HELLO, PLAN, start(FIRST), DONE], f"line 4: done, but {FIRST} did not end"),
        ([HELLO, DONE, BENCH], "line 3: bench after done"),
        ([HELLO, BENCH, BENCH], "line 3: a second benchmark of write"),
    ],
)
def test_events_that_do_not_fit_are_not_believed(
    tmp_path: Path, events: list[object], problem: str
) -> None:
    told = read(tmp_path, lines(events))
    assert any(problem in text for text in told.problems)
    assert Outcome.PASS not in outcomes(told)


def test_a_crowd_of_problems_is_cut_short(tmp_path: Path) -> None:
    assert len(read(tmp_path, b"x\n" * 10_000).problems) == 20


def test_figures_are_made_from_the_rounds_and_not_believed(tmp_path: Path) -> None:
    forged = {**BENCH, "median": 1, "minimum": 1, "maximum": 1}
    (row,) = read(tmp_path, lines([HELLO, forged])).bench
    assert (row.median, row.minimum, row.maximum) == (20, 10, 30)


def test_a_benchmark_that_did_not_run_says_why(tmp_path: Path) -> None:
    told = read(tmp_path, lines([HELLO, {"event": "note", "text": "no benchmark: no KVM"}, DONE]))
    assert told.bench_note == "no benchmark: no KVM"
    assert told.done


def test_control_characters_do_not_pass(tmp_path: Path) -> None:
    nasty = "a\x1b[31m\x00\u202eb\nc"
    told = read(tmp_path, lines([HELLO, PLAN, start(FIRST), end(FIRST, "fail", nasty)]))
    assert told.cases[0].message == "a\ufffd[31m\ufffd\ufffdb\nc"


EVENTS = st.one_of(
    st.sampled_from([HELLO, PLAN, DONE, BENCH]),
    st.builds(start, st.sampled_from([FIRST, SECOND, THIRD, "no.such"])),
    st.builds(
        end,
        st.sampled_from([FIRST, SECOND, THIRD, "no.such"]),
        st.sampled_from(["pass", "fail", "skip", "odd"]),
        st.text(max_size=20),
    ),
)


@given(st.binary(max_size=2000))
def test_any_bytes_are_read_without_an_exception(data: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        told = read(Path(folder), data)
    assert set(outcomes(told)) == {Outcome.NOT_RUN}


@given(st.lists(EVENTS, max_size=20))
def test_a_case_passes_only_when_it_was_planned_began_and_ended_so(events: list[Any]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        told = read(Path(folder), lines(events))
    for case in told.cases:
        if case.outcome is Outcome.PASS:
            began = events.index(start(case.id), events.index(PLAN, events.index(HELLO)))
            ended = [e for e in events[began:] if e["event"] == "end" and e["case"] == case.id]
            assert "pass" in [e["outcome"] for e in ended]


def test_every_case_of_a_defect_is_known_as_such() -> None:
    by_defect = {case.defect.id for case in list_cases() if case.defect is not None}
    assert by_defect == {
        "defect.stale-memory",
        "defect.short-write",
        "defect.torn-page",
        "defect.private-write",
    }
    assert defect_of("pwrite.page") is None
    assert defect_of("defect.stale-memory-and-more.x") is None


def test_the_facts_for_the_guest_hold_the_headers_flags() -> None:
    facts = uapi.Facts(flags={"GUEST_MEMFD_FLAG_WRITE": 8})
    assert facts_document(facts, bench_mib=4, cases=["a.b"]) == {
        "flags": {"GUEST_MEMFD_FLAG_WRITE": 8},
        "bench_mib": 4,
        "bench_rounds": 5,
        "cases": ["a.b"],
    }


def test_cases_run_on_this_kernel(tmp_path: Path) -> None:
    """Without flags there is nothing that any kernel could be asked, so all are skipped."""
    told = run_here(uapi.Facts(flags={}), tmp_path, cases=[FIRST, "race.writers"])
    assert told.problems == ()
    assert [(case.id, case.outcome) for case in told.cases] == [
        (FIRST, Outcome.SKIP),
        ("race.writers", Outcome.SKIP),
    ]
    assert told.release == os.uname().release


def test_a_case_that_does_not_exist_is_the_users_mistake(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"there is no case 'no\.such'"):
        run_here(uapi.Facts(flags={}), tmp_path, cases=["no.such"])
