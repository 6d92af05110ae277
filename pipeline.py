#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The front door: ./pipeline.py verify|suite|report|doctor ..."""

from __future__ import annotations

import os
import sys
from pathlib import Path

VENV_PYTHON = Path(__file__).resolve().parent / ".venv/bin/python"

if __name__ == "__main__":
    if VENV_PYTHON.exists() and Path(sys.prefix) != VENV_PYTHON.parent.parent:
        os.execv(VENV_PYTHON, [str(VENV_PYTHON), *sys.argv])
    try:
        from kverdict.cli import main
    except ModuleNotFoundError as missing:
        print(f"kverdict: {missing.name} is not installed: run `make setup` first", file=sys.stderr)
        raise SystemExit(128) from None
    main()
