# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs the folder as a program: ``python3 -I -B <this folder> run|bench ...``.

The package is loaded from its own place, not through sys.path: the folder above may hold modules
that must not be seen here.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from pathlib import Path

NAME = "kverdict_guest"


def load() -> None:
    here = Path(__file__).resolve().parent
    spec = importlib.util.spec_from_file_location(
        NAME, here / "__init__.py", submodule_search_locations=[str(here)]
    )
    assert spec is not None and spec.loader is not None
    package = importlib.util.module_from_spec(spec)
    sys.modules[NAME] = package
    spec.loader.exec_module(package)


if __name__ == "__main__":
    load()
    sys.exit(importlib.import_module(f"{NAME}.program").main(sys.argv[1:]))
