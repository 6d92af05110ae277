# SPDX-License-Identifier: GPL-2.0-or-later
"""The same questions as to the double, to a real public-inbox."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from kverdict.errors import ExitStatus, KverdictError
from kverdict.progress import Silent
from kverdict.stages.fetch import ArchiveSettings, fetch, search_patch_id
from tests.archive.lore_double import lore_double
from tests.archive.public_inbox import public_inbox
from tests.archive.recorded import mails_in

pytestmark = pytest.mark.host

PREREQUISITE = "0270ddd43b1a8128858fcfb43c0b696d39bf7c8e"
MAILS = tuple(mails_in("archive.mbx").values())


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ArchiveSettings]:
    with (
        pytest.MonkeyPatch.context() as patch,
        public_inbox(MAILS, tmp_path_factory.mktemp("public-inbox")) as midmask,
    ):
        patch.setenv("NO_PROXY", "127.0.0.1")
        yield ArchiveSettings(midmask=midmask, waits=())


@pytest.mark.parametrize("name", ["v1-1@dev.example", "v2-0@dev.example"])
def test_the_double_gives_what_public_inbox_gives(
    settings: ArchiveSettings, tmp_path: Path, name: str
) -> None:
    real = fetch(
        [name], folder=tmp_path / "real", revision=None, settings=settings, progress=Silent()
    )
    with lore_double(MAILS) as archive:
        double = fetch(
            [name],
            folder=tmp_path / "double",
            revision=None,
            settings=settings.model_copy(update={"midmask": archive.midmask}),
            progress=Silent(),
        )
    assert real.newest_revision == 2
    assert real == double


def test_an_unknown_message_id(settings: ArchiveSettings, tmp_path: Path) -> None:
    with pytest.raises(KverdictError) as caught:
        fetch(
            ["nobody@dev.example"],
            folder=tmp_path / "series",
            revision=None,
            settings=settings,
            progress=Silent(),
        )
    assert caught.value.status is ExitStatus.SERIES_NOT_FOUND


def test_patches_are_found_by_patch_id(settings: ArchiveSettings) -> None:
    found = search_patch_id(PREREQUISITE, settings=settings)
    assert found is not None
    assert found.message_id == "prereq-1@dev.example"
    assert search_patch_id("0" * 40, settings=settings) is None
