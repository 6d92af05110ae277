# SPDX-License-Identifier: GPL-2.0-or-later
"""What hostile things leave behind does not outlive their test."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def tmp_path(tmp_path: Path) -> Iterator[Path]:
    """pytest removes it with shutil.rmtree, which deep or locked folders defeat."""
    yield tmp_path
    subprocess.run(["chmod", "-R", "--", "u+rwX", str(tmp_path)], check=False)
    subprocess.run(["rm", "-rf", "--", str(tmp_path)], check=True)
