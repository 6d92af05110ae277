# SPDX-License-Identifier: GPL-2.0-or-later
"""The files in contrib/ are what the programs that read them take for right."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from kverdict.cli import COMMANDS
from kverdict.errors import ExitStatus
from kverdict.settings import HOME

UNITS = ("kverdict-nightly.service", "kverdict-nightly.timer")


@pytest.mark.host
def test_systemd_finds_nothing_wrong_with_the_units(tmp_path: Path) -> None:
    for name in UNITS:
        # systemd looks whether the program is there.
        text = (HOME / "contrib" / name).read_text().replace("%h/kverdict", str(HOME))
        (tmp_path / name).write_text(text)
    done = subprocess.run(
        ["systemd-analyze", "verify", *(str(tmp_path / name) for name in UNITS)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_the_service_knows_the_statuses_that_are_no_failures() -> None:
    text = (HOME / "contrib/kverdict-nightly.service").read_text()
    assert f"SuccessExitStatus={ExitStatus.BAD:d} {ExitStatus.BUSY:d}\n" in text


def test_the_commands_in_units_and_docs_are_there() -> None:
    unit = (HOME / "contrib/kverdict-nightly.service").read_text()
    docs = (HOME / "docs/nightly.md").read_text()
    named = re.findall(r"pipeline\.py ([a-z][a-z-]*)", unit + docs)
    assert "nightly" in named
    assert set(named) <= set(COMMANDS)
