# SPDX-License-Identifier: GPL-2.0-or-later
"""A short run of the fuzzer over every target, always the same; `make fuzz` is the long one."""

from __future__ import annotations

import platform
import sys
from pathlib import Path

from kverdict.proc import run
from tests.fuzz.seeds import TOP
from tests.fuzz.targets import TARGETS

# As the marker of atheris in pyproject.toml: elsewhere there is no package of it.
HAS_ATHERIS = (sys.platform, platform.machine()) == ("linux", "x86_64") and sys.version_info < (
    3,
    14,
)

if HAS_ATHERIS:

    def test_a_short_run_finds_nothing(tmp_path: Path) -> None:
        script, folder = str(TOP / "scripts/fuzz.py"), str(tmp_path)
        done = run([sys.executable, script, "--all", "--runs", "300", "--folder", folder])
        lines = done.text.splitlines()[1:]
        assert [line.split()[0] for line in lines] == list(TARGETS)
        assert not [line for line in lines if "BROKEN" in line]
        assert done.returncode == 0
