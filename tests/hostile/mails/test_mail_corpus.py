# SPDX-License-Identifier: GPL-2.0-or-later
"""Each hostile mail goes through b4's own process and is refused, or is harmless when taken."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from kverdict.errors import ExitStatus, KverdictError
from kverdict.models import Series
from kverdict.text import printable
from tests.archive.lore_double import lore_double
from tests.hostile.canaries import Playground
from tests.hostile.mails.letters import ID, LETTERS, Letter


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Playground:
    return Playground.create(tmp_path_factory.mktemp("hostile-mails"))


def run(ground: Playground, entry: Letter) -> Series:
    """What a run begins with, the archive's double in the place of the real one."""
    with ExitStack() as stack:
        archive = stack.enter_context(lore_double([]))
        archive.always = entry.answer
        if entry.mail:
            asked = ground.mailbox(entry.mail.replace(b"{base}", ground.head.encode()))
        else:
            asked = entry.asked or f"<{ID}>"
        return ground.prepare(
            asked, midmask=archive.midmask, timeout=entry.seconds, memory=entry.memory
        )


@pytest.mark.parametrize("entry", LETTERS, ids=lambda entry: entry.name)
def test_a_hostile_mail_is_refused_or_harmless(
    ground: Playground, entry: Letter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(ground.root / "home"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    before = ground.state()
    if entry.status is ExitStatus.GOOD:
        series = run(ground, entry)
        kept = list(texts(series.model_dump(mode="json")))
        assert all(text.isprintable() for text in kept), kept
        assert any(entry.says in text for text in kept), kept
    else:
        with pytest.raises(KverdictError) as caught:
            run(ground, entry)
        told = printable(str(caught.value))  # as the command line shows it
        assert (caught.value.status, entry.says in told) == (entry.status, True), told
        assert "\n" not in told
        assert caught.value.remedy
    assert ground.state() == before


def texts(value: Any) -> Iterator[str]:
    """Every text in a tree of JSON; that of a cover letter line by line."""
    if isinstance(value, str):
        yield from value.splitlines()
    elif isinstance(value, dict):
        for part in value.values():
            yield from texts(part)
    elif isinstance(value, list):
        for part in value:
            yield from texts(part)
