# SPDX-License-Identifier: GPL-2.0-or-later
"""The environment in which make runs scripts/kconfig/conf, asked from make itself.

A list kept by hand always lacks the newest variable (PAHOLE_VERSION, RUSTC_VERSION_TEXT, ...).
The name of the extra target ends in "config", so the top Makefile takes its config-build path and
exports what conf gets.  Works on 6.12, 7.2 and 7.3.
"""

from __future__ import annotations

EVAL = "kverdictconfig: ; @env -0"
TARGET = "kverdictconfig"
# What would make a make that the Kconfig files start believe that it is a child of ours.
_MAKE_S_OWN = frozenset({"MAKEFLAGS", "MFLAGS", "MAKELEVEL", "MAKEOVERRIDES", "MAKE_TERMOUT"})


def parse(output: bytes) -> dict[str, str]:
    """The variables of ``env -0``; what has no name or no valid text is left out."""
    variables = {}
    for entry in output.split(b"\0"):
        name, separator, value = entry.partition(b"=")
        try:
            key, text = name.decode("ascii"), value.decode()
        except UnicodeDecodeError:
            continue
        if separator and key.isidentifier() and key not in _MAKE_S_OWN:
            variables[key] = text
    return variables
