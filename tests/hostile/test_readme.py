# SPDX-License-Identifier: GPL-2.0-or-later
"""The tables of tests/hostile/README.md are those of the corpus."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.hostile.mails.letters import LETTERS
from tests.hostile.series.entries import CORPUS

README = Path(__file__).with_name("README.md")
ROWS = {
    "series": [(one.name, one.tries, int(one.status), one.says) for one in CORPUS],
    "mails": [(one.name, one.tries, int(one.status), one.says) for one in LETTERS],
}


def table(name: str) -> str:
    """The table as it has to stand between its marks; for a change: print(table("series"))."""
    lines = ["| name | what it tries | status | words |", "|---|---|---|---|"]
    for row in ROWS[name]:
        cells = (str(cell).replace("|", "\\|").replace("<", "&lt;") for cell in row)
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


@pytest.mark.parametrize("name", ROWS)
def test_the_table_is_the_corpus(name: str) -> None:
    text = README.read_text()
    found = re.search(rf"<!-- {name} -->\n\n(.*?)\n\n<!-- end -->", text, re.DOTALL)
    assert found is not None
    assert found[1] == table(name)


@pytest.mark.parametrize("name", ROWS)
def test_names_are_unique(name: str) -> None:
    names = [row[0] for row in ROWS[name]]
    assert len(names) == len(set(names))
