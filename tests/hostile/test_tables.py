# SPDX-License-Identifier: GPL-2.0-or-later
"""The tables of tests/hostile/README.md are those of the corpus."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.hostile.builds.attacks import CORPUS as ATTACKS
from tests.hostile.builds.test_poison import POISONS
from tests.hostile.guests.programs import ENDS, LOOKS
from tests.hostile.mails.letters import LETTERS
from tests.hostile.results.leavings import CORPUS as LEAVINGS
from tests.hostile.series.entries import CORPUS as SERIES

README = Path(__file__).with_name("README.md")
REFUSED = ("name", "what it tries", "status", "words")
MET = ("name", "what it tries", "what it meets")
TABLES = {
    "series": (REFUSED, *((one.name, one.tries, int(one.status), one.says) for one in SERIES)),
    "mails": (REFUSED, *((one.name, one.tries, int(one.status), one.says) for one in LETTERS)),
    "builds": (
        MET,
        *((one.name, one.tries, one.what_it_meets) for one in ATTACKS),
        *((one.name, one.tries, one.meets) for one in POISONS),
    ),
    "results": (MET, *((one.name, one.tries, one.meets) for one in LEAVINGS)),
    "guests": (MET, *((one.name, one.tries, one.meets) for one in (*LOOKS, *ENDS))),
}


def table(name: str) -> str:
    """The table as it has to stand between its marks; for a change: print(table("series"))."""
    head, *rows = TABLES[name]
    lines = [f"| {' | '.join(map(str, head))} |", f"|{'---|' * len(head)}"]
    for row in rows:
        cells = (str(cell).replace("|", "\\|").replace("<", "&lt;") for cell in row)
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


@pytest.mark.parametrize("name", TABLES)
def test_the_table_is_the_corpus(name: str) -> None:
    text = README.read_text()
    found = re.search(rf"<!-- {name} -->\n\n(.*?)\n\n<!-- end -->", text, re.DOTALL)
    assert found is not None
    assert found[1] == table(name)


@pytest.mark.parametrize("name", TABLES)
def test_names_are_unique(name: str) -> None:
    names = [row[0] for row in TABLES[name]]
    assert len(names) == len(set(names))
