# SPDX-License-Identifier: GPL-2.0-or-later
from __future__ import annotations

import sys

import pytest

from kverdict.progress import Lines, Silent, Terminal, to_stderr


def test_silence(capsys: pytest.CaptureFixture[str]) -> None:
    shown = Silent()
    shown.say("hello")
    with shown.task("work") as task:
        task.update(done=1, total=2, note="half")
    assert capsys.readouterr() == ("", "")


def test_lines_say_when_a_step_ends(capsys: pytest.CaptureFixture[str]) -> None:
    shown = Lines()
    shown.say("[not markup]")
    with shown.task("work") as task:
        task.update(note="too early to be said")
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("[not markup]\nwork: ")
    assert "too early" not in err


def test_lines_speak_up_during_a_long_step(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Lines, "EVERY_SECONDS", 0.0)
    with Lines().task("work") as task:
        task.update(done=1, total=4, note="first")
    assert "work: 25% first\n" in capsys.readouterr().err


def test_a_terminal_shows_the_step_s_time(capsys: pytest.CaptureFixture[str]) -> None:
    shown = Terminal()
    with shown.task("work [x]") as task:
        task.update(done=1, total=2, note="[y]")
    shown.say("said")
    err = capsys.readouterr().err
    assert "work [x]: 0." in err
    assert err.endswith("said\n")


HOSTILE = "\x1b[2J\x1b]52;c;b3duZWQ=\x07\x9b2J\u202egnp\u2028forged\r\nkverdict: good :bug: [b]"


@pytest.mark.parametrize("kind", [Lines, Terminal])
def test_what_is_quoted_acts_on_no_terminal(
    kind: type[Lines | Terminal],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A tree's make and a guest choose the words of notes, a Makefile the kernel's version."""
    monkeypatch.setattr(Lines, "EVERY_SECONDS", 0.0)
    monkeypatch.setenv("TERM", "dumb")  # rich's own sequences are not the question
    shown = kind()
    shown.say(HOSTILE)
    with shown.task(HOSTILE) as task:
        task.update(done=1, total=2, note=HOSTILE)
    err = capsys.readouterr().err
    assert "\\x1b[2J" in err
    assert ":bug:" in err and "[b]" in err
    assert not [line for line in err.split("\n") if not line.isprintable()]
    assert not [line for line in err.split("\n") if line.startswith("kverdict:")]


def test_the_output_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(to_stderr(quiet=True), Silent)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert isinstance(to_stderr(), Terminal)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: False)
    assert isinstance(to_stderr(), Lines)
