# SPDX-License-Identifier: GPL-2.0-or-later
"""What two .config files differ in, when a patch changes Kconfig; pure, and without kconfiglib."""

from __future__ import annotations

import re
from collections.abc import Collection

from kverdict.models import SymbolChange
from kverdict.stages.configure import read_config

_DECLARED = re.compile(r"^[+-][ \t]*(?:menu)?config[ \t]+(\w+)[ \t]*$", re.MULTILINE)


def config_changes(
    before: str, after: str, *, declared: Collection[str] | None = None
) -> tuple[SymbolChange, ...]:
    """The symbols with another value in ``after``, by name, from the texts of two .config files.

    "n" is what is said to be not set, None what is not mentioned.  A symbol that goes from one to
    the other is off on both sides: it only began or ceased to show.  With ``declared``, from
    declared_in(), such a one counts only when it is among them.
    """
    old, new = read_config(before), read_config(after)
    changes = (
        SymbolChange(name=name, before=old.get(name), after=new.get(name))
        for name in sorted(old.keys() | new.keys())
        if old.get(name) != new.get(name)
    )
    return tuple(
        change
        for change in changes
        if declared is None or change.name in declared or not _off(change)
    )


def _off(change: SymbolChange) -> bool:
    return {change.before, change.after} == {None, "n"}


def declared_in(diff: str) -> frozenset[str]:
    """Symbols whose declaration a diff adds or removes: ``+config NAME``."""
    return frozenset(_DECLARED.findall(diff))
