# SPDX-License-Identifier: GPL-2.0-or-later
from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

import pytest

from kverdict.proc import CommandFailed, ToolMissing, plain_environment, run, stream
from tests.processes import alive


def test_run_keeps_both_outputs_and_the_status() -> None:
    done = run(["sh", "-c", "echo out; echo err >&2; exit 3"])
    assert (done.text, done.error_text, done.returncode) == ("out\n", "err\n", 3)
    assert not done.ok


def test_run_feeds_stdin() -> None:
    assert run(["cat"], stdin=b"\x00\xff").stdout == b"\x00\xff"


def test_a_missing_program_is_named_with_a_remedy() -> None:
    with pytest.raises(ToolMissing, match="no-such-program is not installed: run `make setup`"):
        run(["no-such-program"])


def test_check_raises_with_the_last_words() -> None:
    with pytest.raises(CommandFailed, match=r"sh failed \(exit status 2\): it broke"):
        run(["sh", "-c", "echo start >&2; echo it broke >&2; exit 2"], check=True)


def test_a_time_limit_ends_the_whole_group(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    done = run(["sh", "-c", f"sleep 1000 & echo $! > {pid_file}; wait"], timeout=1)
    assert done.stopped == "time limit of 1 s"
    assert not alive(int(pid_file.read_text()))


def test_a_process_that_ignores_sigterm_is_killed(tmp_path: Path) -> None:
    script = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(1000)"
    done = run([sys.executable, "-c", script], timeout=1)
    assert done.returncode == -signal.SIGKILL


def test_git_variables_do_not_reach_a_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_DIR", "/nowhere")
    assert "GIT_DIR" not in plain_environment()
    assert "GIT_DIR" not in run(["env"]).text


def test_stream_merges_logs_and_passes_lines_on(tmp_path: Path) -> None:
    lines: list[str] = []
    log = tmp_path / "log"
    done = stream(
        ["sh", "-c", "printf 'one\\ntwo\\r\\n\\377'; echo three >&2"],
        log=log,
        timeout=10,
        log_limit=1000,
        on_line=lines.append,
    )
    assert done.ok
    assert lines == ["one", "two", "\\xffthree"]
    assert log.read_bytes() == b"one\ntwo\r\n\xffthree\n"


def test_stream_ends_what_prints_endlessly(tmp_path: Path) -> None:
    log = tmp_path / "log"
    done = stream(["yes"], log=log, timeout=60, log_limit=100_000)
    assert done.stopped == "output over the limit of 100000 bytes"
    assert log.stat().st_size == 100_000


def test_stream_asks_the_watcher_while_nothing_is_printed(tmp_path: Path) -> None:
    asked: list[float] = []

    def watch() -> str | None:
        asked.append(time.monotonic())
        return "enough" if len(asked) == 3 else None

    done = stream(["sleep", "1000"], log=tmp_path / "log", timeout=60, log_limit=10, watch=watch)
    assert done.stopped == "enough"


def test_stream_does_not_wait_for_a_grandchild_that_holds_the_pipe(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    done = stream(
        ["sh", "-c", f"sleep 1000 & echo $! > {pid_file}; echo done"],
        log=tmp_path / "log",
        timeout=500,
        log_limit=1000,
    )
    assert done.ok
    assert not alive(int(pid_file.read_text()))


def test_a_line_without_an_end_is_passed_on_in_pieces(tmp_path: Path) -> None:
    lines: list[str] = []
    done = stream(
        ["sh", "-c", "head -c 300000 /dev/zero | tr '\\0' x"],
        log=tmp_path / "log",
        timeout=60,
        log_limit=1 << 20,
        on_line=lines.append,
    )
    assert done.ok
    assert len(lines) > 1
    assert "".join(lines) == "x" * 300_000


def test_an_exception_in_the_caller_leaves_no_process(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"

    def give_up(line: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stream(
            ["sh", "-c", f"echo $$ > {pid_file}; echo ready; sleep 1000"],
            log=tmp_path / "log",
            timeout=60,
            log_limit=1000,
            on_line=give_up,
        )
    assert not alive(int(pid_file.read_text()))
    assert os.listdir(tmp_path)  # noqa: PTH208 - the log stays for whoever looks
