# SPDX-License-Identifier: GPL-2.0-or-later
from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

from kverdict.guest import runner
from kverdict.guest.case import Case, Failure, Skip
from kverdict.guest.facts import Facts
from tests.processes import alive, wait_until


def run(body: Callable[[Facts], None], limit: float = 20, scale: float = 1) -> runner.Result:
    case = Case("a.b", "title", "source", (), body, limit)
    return runner.run(case, Facts(time_scale=scale))


def test_a_body_that_returns_passes() -> None:
    result = run(lambda facts: None)
    assert (result.outcome, result.message) == (runner.PASS, "")


def test_a_failure_is_told_word_by_word() -> None:
    def body(facts: Facts) -> None:
        raise Failure("expected 1, got 2\nthe second line")

    result = run(body)
    assert (result.outcome, result.message) == (
        runner.FAIL,
        "expected 1, got 2\nthe second line",
    )


def test_a_very_long_failure_is_cut() -> None:
    def body(facts: Facts) -> None:
        raise Failure("\u00e9" * 100_000)

    result = run(body)
    assert (result.outcome, result.message) == (runner.FAIL, "\u00e9" * 4000)


def test_a_skip_is_not_a_pass() -> None:
    def body(facts: Facts) -> None:
        raise Skip("no such device")

    assert run(body).outcome == runner.SKIP


def test_a_broken_body_is_our_error_and_not_the_kernels_failure() -> None:
    def body(facts: Facts) -> None:
        raise ZeroDivisionError("by zero")

    result = run(body)
    assert result.outcome == runner.ERROR
    assert "ZeroDivisionError: by zero" in result.message
    assert "test_runner.py" in result.message


def test_a_body_that_is_killed_is_a_crash_that_names_the_signal() -> None:
    result = run(lambda facts: os.kill(os.getpid(), signal.SIGKILL))
    assert result.outcome == runner.CRASH
    assert "SIGKILL" in result.message


def test_a_signal_that_has_no_name_has_its_number() -> None:
    result = run(lambda facts: os.kill(os.getpid(), 40))
    assert (result.outcome, result.message) == (
        runner.CRASH,
        "the case's process was killed by signal 40",
    )


def test_a_body_that_leaves_without_a_word_is_a_crash() -> None:
    assert run(lambda facts: os._exit(3)).outcome == runner.CRASH


def test_a_body_that_hangs_is_ended_at_its_limit() -> None:
    result = run(lambda facts: time.sleep(600), limit=0.1, scale=2)
    assert result.outcome == runner.TIMEOUT
    assert "no end within 0.2 s" in result.message


def test_with_little_patience_a_case_gets_part_of_its_limit() -> None:
    case = Case("a.b", "title", "source", (), lambda facts: time.sleep(600), 1)
    result = runner.run(case, Facts(), patience=0.125)
    assert (result.outcome, "no end within 0.125 s" in result.message) == (runner.TIMEOUT, True)


def test_the_case_runs_in_a_process_of_its_own() -> None:
    here: list[int] = []

    def body(facts: Facts) -> None:
        here.append(os.getpid())
        raise Failure(str(os.getpid()))

    result = run(body)
    assert not here
    assert int(result.message) != os.getpid()


def test_children_of_a_case_end_with_it(tmp_path: Path) -> None:
    told = tmp_path / "pid"

    def body(facts: Facts) -> None:
        pid = os.fork()
        if pid == 0:
            time.sleep(600)
            os._exit(0)
        told.write_text(str(pid))

    assert run(body).outcome == runner.PASS
    assert wait_until(lambda: not alive(int(told.read_text())))
