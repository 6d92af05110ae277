# SPDX-License-Identifier: GPL-2.0-or-later
"""From a series to the mail that answers it: verify, then reply, on a tree of a few files."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import answered
from tests.test_verify import ADD_WRITE, BREAK, World, good, world

__all__ = ["good", "world"]  # fixtures

pytestmark = pytest.mark.host


@pytest.fixture
def terry(world: World) -> World:
    """Whose git knows who sends mails."""
    home = world.home / "home"
    home.mkdir()
    answered.git_user(home)
    world.monkeypatch.setenv("HOME", str(home))
    world.monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    return world


def mails(folder: Path) -> list[str]:
    return [path.read_text() for path in sorted((folder / "reply").iterdir())]


def test_a_good_series(terry: World, good: Path) -> None:
    assert terry.verify(good) == 0, terry.err
    (folder,) = terry.runs()
    assert terry("reply", str(folder)) == 0, terry.err
    (mail,) = mails(folder)
    assert "No new failure: 2 cases passed." in mail
    assert "Tested-by: Terry Tester <terry@tester.example>\n" in mail
    assert str(terry.home) not in mail
    report = (folder / "report.txt").read_bytes()
    assert terry("report", str(folder)) == 0
    assert (folder / "report.txt").read_bytes() == report


def test_a_build_error_stands_under_the_line_that_breaks(terry: World) -> None:
    patch = terry.kernel.series(terry.home / "patches", ADD_WRITE, BREAK, subject="break it")
    assert terry.verify(patch) == 1, terry.err
    (folder,) = terry.runs()
    assert terry("reply", str(folder)) == 0, terry.err
    (mail,) = mails(folder)
    lines = mail.split("\n")
    at = next(place for place, line in enumerate(lines) if "return undeclared |" in line)
    assert lines[at].startswith("> +")
    assert lines[at + 2] == "New failure: does not build"
    assert lines[at + 4].startswith("  virt/kvm/guest_memfd.c:")
    assert "Tested-by" not in mail
    assert "no Tested-by (verdict): new failure: does not build" in terry.out


def test_a_template_that_is_none_is_told_before_any_work(terry: World, good: Path) -> None:
    folder = terry.home / "mine"
    folder.mkdir()
    (folder / "report.txt.j2").write_text("{% if %}")
    settings = terry.home / "pipeline.toml"
    settings.write_text(f'templates = "{folder}"\n' + settings.read_text())
    assert terry.verify(good) == 129
    assert "report.txt.j2:1: " in terry.err
    assert terry.runs() == []
    assert terry.fake.calls == []
