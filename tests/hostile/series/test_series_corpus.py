# SPDX-License-Identifier: GPL-2.0-or-later
"""Each hostile series goes the real way (b4's process, git, the run's folder) and is refused."""

from __future__ import annotations

import pytest

from kverdict.errors import KverdictError
from kverdict.text import printable
from tests.hostile.canaries import Playground
from tests.hostile.making import Hostile
from tests.hostile.series.entries import CORPUS


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Playground:
    return Playground.create(tmp_path_factory.mktemp("hostile"))


@pytest.mark.parametrize("entry", CORPUS, ids=lambda entry: entry.name)
def test_a_hostile_series_is_refused_and_nothing_is_touched(
    ground: Playground, entry: Hostile, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(ground.root / "home"))
    before = ground.state()
    with pytest.raises(KverdictError) as caught:
        ground.verify(entry.mails)
    assert "\n" not in str(caught.value)
    told = printable(str(caught.value))  # as the command line shows it
    assert caught.value.remedy
    assert (caught.value.status, entry.says in told) == (entry.status, True), told
    assert ground.state() == before
