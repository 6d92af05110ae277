# SPDX-License-Identifier: GPL-2.0-or-later
"""How make is called on a kernel tree: always in the sandbox, always the same way.

Configure and build share this, because Kconfig asks the compiler that the build then uses.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from kverdict.sandbox import CCACHE, OBJ, SRC, Bind, Isolation, Sandbox

ARCH = "x86_64"
# Whatever the clock and the machine say, the same source gives the same vmlinux
# (Documentation/kbuild/reproducible-builds.rst).  The date is that of Linux 0.01.
_REPRODUCIBLE = {
    "KBUILD_BUILD_TIMESTAMP": "Tue Sep 17 12:00:00 UTC 1991",
    "KBUILD_BUILD_USER": "kverdict",
    "KBUILD_BUILD_HOST": "kverdict",
    "KBUILD_BUILD_VERSION": "1",
}


def has_ccache() -> bool:
    return shutil.which("ccache") is not None


def make_command(
    targets: Sequence[str], *, jobs: int = 1, variables: Sequence[str] = ()
) -> list[str]:
    """The argv of make inside ``make_sandbox``; ``variables`` are NAME=VALUE words."""
    compiler = "ccache gcc" if has_ccache() else "gcc"
    return [
        "make",
        *("-C", str(SRC)),
        f"O={OBJ}",
        f"-j{jobs}",
        "--output-sync=target",  # what a step says follows its name, with several jobs too
        f"ARCH={ARCH}",
        f"CC={compiler}",
        "LOCALVERSION=",
        *variables,
        *targets,
    ]


@dataclass(frozen=True)
class Ccache:
    """ccache's folder; ``readonly`` for a stranger's commit, whose make could plant objects in it
    that the next build would take for its own."""

    folder: Path
    readonly: bool = False


def make_sandbox(
    src: Path,
    obj: Path,
    ccache: Ccache | None = None,
    *,
    env: Mapping[str, str] | None = None,
    python: bool = False,
    isolation: Isolation = Isolation.BUBBLEWRAP,
) -> Sandbox:
    """The worktree read-only at /src, the object tree at /obj, and ccache's folder if there is one.

    ``env`` is added to the environment; ``python`` lets kverdict itself run inside.
    """
    binds = [Bind(src, SRC), Bind(obj, OBJ, writable=True)]
    env = {**_REPRODUCIBLE, **(env or {})}
    if ccache is not None:
        binds.append(Bind(ccache.folder, CCACHE, writable=not ccache.readonly))
        env |= _ccache_environment(ccache)
    else:
        env["CCACHE_DISABLE"] = "1"
    return Sandbox(binds=tuple(binds), env=env, cwd=OBJ, python=python, isolation=isolation)


def _ccache_environment(ccache: Ccache) -> dict[str, str]:
    # __DATE__ and __TIME__ are fixed above as far as the kernel uses them.
    env = {"CCACHE_DIR": str(CCACHE), "CCACHE_SLOPPINESS": "time_macros"}
    if ccache.readonly:
        env |= {"CCACHE_READONLY": "1", "CCACHE_NOSTATS": "1", "CCACHE_TEMPDIR": "/tmp"}
    return env
