# SPDX-License-Identifier: GPL-2.0-or-later
"""What the command line says about a hostile series does nothing to the terminal."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from kverdict import cli
from tests.hostile.canaries import Playground
from tests.hostile.making import HEADER, edit, mails_of, quoted

ESCAPES = "\x1b[2J\x1b]0;owned\x07\x1b]52;c;b3duZWQ=\x07\x1b]8;;https://evil.example\x1b\\x\x9b2J"
SERIES = {
    "a conflict shows the lines of the patch": mails_of(
        edit(HEADER).replace("-a\n", f"-{ESCAPES}\n")
    ),
    "a conflict names the patch": mails_of(edit(HEADER)).replace(
        b"a change", f"{ESCAPES} change".encode()
    ),
    "a refusal names the file": mails_of(quoted("\\033[2J\\033]52;c;b3duZWQ=\\007x")),
    "a refusal by b4 quotes the line": mails_of(edit(HEADER).replace("+b", "+\u202eb\x1b[2J")),
    "a damaged diff": mails_of(f"diff --git a/x b/x\n--- a/x{ESCAPES}\n+++ b/x\n@@ -1 +1 @@\n-a\n"),
}


@pytest.mark.parametrize("series", SERIES.values(), ids=SERIES.keys())
def test_no_control_sequence_reaches_the_terminal(
    series: bytes,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    ground = Playground.create(tmp_path / "ground")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pipeline.toml").write_text(
        f'cache = "{ground.root}/cache"\nruns = "{ground.root}/runs"\n'
    )
    words = ["verify", "--tree", str(ground.kernel.repo), ground.mailbox(series)]
    monkeypatch.setattr(sys, "argv", ["pipeline.py", *words])
    assert cli._status() in (125, 156, 157)
    out, err = capsys.readouterr()
    lines = [*out.split("\n"), *err.split("\n")]
    assert not [line for line in lines if not line.replace("\t", " ").isprintable()]
    assert len([line for line in lines if line.startswith("kverdict: ")]) == 1
