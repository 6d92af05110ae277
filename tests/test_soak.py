# SPDX-License-Identifier: GPL-2.0-or-later
"""Verifications in a row leave nothing behind, and the count would notice if they did."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import IO
from unittest import mock

import pytest

from kverdict import verify
from kverdict.progress import Silent
from kverdict.request import Request
from kverdict.settings import Settings
from scripts.soak import Step, fake_world, growth, soak, table

pytestmark = pytest.mark.host

RUNS = 6
World = tuple[Settings, Request]


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    (tmp_path / "tmp").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    with mock.patch.object(tempfile, "tempdir", str(tmp_path / "tmp")), ExitStack() as stack:
        yield fake_world(tmp_path, stack)


def steps_of(world: World, count: int, leak: list[IO[str]] | None = None) -> list[Step]:
    chosen, request = world

    def once() -> verify.Run:
        if leak is not None:
            leak.append(Path(tempfile.mkdtemp(), "left").open("w"))  # noqa: SIM115
        return verify.verify(request, chosen, Silent())

    return list(soak(once, chosen.cache_folder, chosen.runs_folder, count))


def test_nothing_grows_but_the_run_folders(world: World) -> None:
    steps = steps_of(world, RUNS)
    assert growth(steps) == {}
    assert [step.census.run_folders for step in steps] == list(range(1, RUNS + 1))
    assert len({(step.exit_status, step.digest) for step in steps}) == 1
    assert len(list(table(steps))) == RUNS + 1


def test_what_is_left_open_or_lying_about_is_noticed(world: World) -> None:
    leak: list[IO[str]] = []
    steps = steps_of(world, 3, leak)
    for left in leak:
        left.close()
    assert set(growth(steps)) == {"files_open", "temporary"}
