# SPDX-License-Identifier: GPL-2.0-or-later
"""Requests and the command lines that ask the same."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
import pytest

from kverdict.bisection import Commit
from kverdict.bisectrequest import (
    BisectRequest,
    bisect_request_of,
    check_request_of,
    command_of,
    commands,
    is_kernel,
)
from kverdict.commands import bisect as command
from kverdict.errors import UserError
from kverdict.settings import Kernel, Settings

SETTINGS = Settings(kernel=Kernel(tree="debian:7.2", fragments=("base", "mine.config")))


def request(**changes: Any) -> BisectRequest:
    asked = {"good": "v7.2", "bad": "topic", "question": "write.page", "tree": None, **changes}
    return bisect_request_of(SETTINGS, **asked)


def test_the_settings_say_what_the_command_line_does_not() -> None:
    plain = request()
    assert (plain.tree, plain.fragments) == ("debian:7.2", ("base", "mine.config"))
    assert (plain.confidence, plain.repeat, plain.ahead) == (0.99, None, 0)
    assert request(tree="linux", fragments=("base", "x")).fragments == ("base", "mine.config", "x")
    with pytest.raises(UserError, match="no kernel tree"):
        bisect_request_of(Settings(), good="a", bad="b", question="build", tree=None)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"confidence": 0.9, "repeat": 7, "first_parent": True},
        {"term_old": "fast", "term_new": "slow", "question": "bench:write>+5%"},
        {"paths": ("mm", "virt/kvm"), "kselftests": ("kvm:guest_memfd_test",)},
        {"unsafe_no_sandbox": True, "fragments": ("more.config",)},
        {"ahead": 2, "replay": "log"},
        {"question": "bench:write>40000000", "bench_mib": 64, "accelerator": "tcg"},
    ],
)
def test_the_command_line_asks_the_same(
    changes: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = request(tree="linux", **changes)
    words = command_of(asked)
    assert words[:2] == ["./pipeline.py", "bisect"]
    with click.Context(command.bisect) as context:
        command.bisect.parse_args(context, words[2:])
        again = dict(context.params)
    again["replay"] = again["replay"] and str(again["replay"])
    paths = (*again.pop("more_paths"), *again.pop("paths"))
    for name in ("config", "quiet", "jobs"):
        again.pop(name)
    assert bisect_request_of(SETTINGS, paths=paths, **again) == asked


def test_three_commands() -> None:
    found = Commit(
        sha="c" * 40,
        parents=("b" * 40, "a" * 40),
        author="A <a@example.org>",
        date=datetime(2026, 1, 1, tzinfo=UTC),
        subject="s",
        message="s",
        paths=(),
    )
    three = commands(request(), (found,))
    assert [words.split()[1] for words in three] == ["check-commit", "check-commit", "bisect"]
    assert three[0].endswith("c" * 12) and three[1].endswith("b" * 12)
    assert len(commands(request(), (found, found))) == 1
    assert len(commands(request(question="bench:write>+5%"), (found,))) == 1


def test_the_tree_of_a_check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert not is_kernel(tmp_path)
    assert check_request_of(SETTINGS, commit="HEAD", question="build").tree == "debian:7.2"
    with pytest.raises(UserError, match="no kernel tree"):
        check_request_of(Settings(), commit="HEAD", question="build")
    for name in (".git", "Makefile", "Kconfig"):
        (tmp_path / name).write_text("")
    assert is_kernel(tmp_path)
    assert check_request_of(SETTINGS, commit="HEAD", question="build").tree == "."
    named = check_request_of(SETTINGS, commit="HEAD", question="build", tree="linux")
    assert named.tree == "linux"
