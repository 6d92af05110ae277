# SPDX-License-Identifier: GPL-2.0-or-later
from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kverdict.kconfig.linux import load


@pytest.fixture
def kconfig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Any]:
    """Parses a text as the top Kconfig file of a tree."""

    def parse(text: str) -> Any:
        (tmp_path / "Kconfig").write_text(text)
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("srctree", str(tmp_path))
        return load()

    return parse
