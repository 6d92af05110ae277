# SPDX-License-Identifier: GPL-2.0-or-later
from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.kconfig.semantics import CASES, Semantics, settings

Load = Callable[[str], Any]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_same_as_conf(case: Semantics, kconfig: Load, tmp_path: Path) -> None:
    tree = kconfig(case.kconfig)
    (tmp_path / "input").write_text(case.config)
    tree.load_config(str(tmp_path / "input"))
    tree.write_config(str(tmp_path / "output"))
    assert settings((tmp_path / "output").read_text()) == case.lines


def test_what_is_written_is_read_back_the_same(kconfig: Load, tmp_path: Path) -> None:
    for case in CASES:
        tree = kconfig(case.kconfig)
        (tmp_path / "input").write_text("\n".join(case.lines))
        tree.load_config(str(tmp_path / "input"))
        tree.write_config(str(tmp_path / "output"))
        assert settings((tmp_path / "output").read_text()) == case.lines, case
