# SPDX-License-Identifier: GPL-2.0-or-later
"""When a commit was asked often enough, and which engine answers which question."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from kverdict.asking import Patience, asking_engine, question_of
from kverdict.bisectrequest import CheckRequest
from kverdict.errors import UserError
from kverdict.evaluate import Engine
from kverdict.hunt import LOOKS, STEADY
from kverdict.progress import Silent
from kverdict.settings import Settings
from kverdict.trees import open_tree
from tests.repos import KERNEL, kernel

END = Patience(good=LOOKS, bad=STEADY, flaky=LOOKS)


@pytest.mark.parametrize(
    ("patience", "good", "bad", "other", "enough"),
    [
        (Patience(), 0, 0, 0, False),
        (Patience(), 1, 0, 0, True),
        (Patience(), 0, 1, 0, True),
        (Patience(good=3), 2, 0, 0, False),
        (Patience(good=3), 2, 0, 1, True),  # another failure takes a turn as well
        (Patience(good=3), 0, 1, 0, True),
        (END, 0, STEADY - 1, 0, False),
        (END, 0, STEADY, 0, True),
        (END, LOOKS - 1, 0, 0, False),
        (END, LOOKS, 0, 0, True),
        (END, 1, STEADY, 0, False),  # both were seen: the rate is wanted
        (END, 5, 5, 0, True),
    ],
)
def test_often_enough(patience: Patience, good: int, bad: int, other: int, enough: bool) -> None:
    assert patience.enough(good, bad, other) is enough


def engine(tmp_path: Path, question: str, **changes: Any) -> Engine:
    home = "tools/testing/selftests/net"
    files = {**KERNEL, f"{home}/Makefile": "x\n", f"{home}/mptcp/Makefile": "x\n"}
    made = kernel(tmp_path / "linux", files)
    tree = open_tree(str(made.path), cache=tmp_path / "cache", progress=Silent())
    request = CheckRequest(
        **{
            "tree": str(made.path),
            "commit": "HEAD",
            "question": question,
            "fragments": ("base",),
            "accelerator": "tcg",
            "jobs": 1,
            **changes,
        }
    )
    settings = Settings(cache=str(tmp_path / "cache"))
    return asking_engine(request, settings, tree, question_of(question), tree.head, Silent())


@pytest.mark.host
def test_it_measures_only_when_that_is_asked(tmp_path: Path) -> None:
    assert engine(tmp_path / "a", "write.page").recipe.bench_mib == 0
    assert engine(tmp_path / "b", "bench:write>5", bench_mib=32).recipe.bench_mib == 32
    with pytest.raises(UserError, match="nothing to measure with 0 MiB"):
        engine(tmp_path / "c", "bench:write>5", bench_mib=0)


@pytest.mark.host
@pytest.mark.parametrize(
    ("case", "more", "expected"),
    [
        ("kselftest.net.mptcp.join.sh/3", (), [("net/mptcp", "join.sh")]),
        ("kselftest.net.tls", (), [("net", "tls")]),
        ("kselftest.net.tls", ("net:tls",), [("net", "tls")]),
        ("write.page", ("net:tls",), [("net", "tls")]),
        ("write.page", (), []),
    ],
)
def test_the_selftest_that_a_case_means(
    tmp_path: Path, case: str, more: tuple[str, ...], expected: list[tuple[str, str]]
) -> None:
    tests = engine(tmp_path, case, kselftests=more).tests.selftests
    assert [(one.collection, one.test) for one in tests] == expected


@pytest.mark.host
def test_a_selftest_that_the_tree_does_not_have(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no selftest kselftest\.sound\.pcm"):
        engine(tmp_path, "kselftest.sound.pcm")
