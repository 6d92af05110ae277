# SPDX-License-Identifier: GPL-2.0-or-later
"""The files of each kind of verdict, as they were read and found right."""

from __future__ import annotations

import pytest

from kverdict.exports.files import Format
from tests.exports.golden import FOLDER, files
from tests.exports.reports import kinds

KINDS = kinds()


@pytest.mark.parametrize("kind", KINDS)
def test_golden_files(kind: str) -> None:
    """Changed on purpose: ``python -m tests.exports.golden`` writes them; read the diff."""
    made = files(KINDS[kind])
    assert set(made) == {format.value for format in Format}
    for name, text in made.items():
        assert text == (FOLDER / kind / name).read_text(), f"{kind}/{name}"


def test_there_is_no_golden_file_that_nothing_is_held_against() -> None:
    assert {path.name for path in FOLDER.iterdir()} == set(KINDS)


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_report_gives_the_same_bytes(kind: str) -> None:
    assert files(KINDS[kind]) == files(type(KINDS[kind]).from_json(KINDS[kind].to_json()))
