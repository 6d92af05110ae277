# SPDX-License-Identifier: GPL-2.0-or-later
"""What the compiler said of each object of an object tree, also of those built long ago.

An incremental build tells only of what it builds anew.  To compare two commits, the messages of
all their objects have to be known; so they are kept beside the object tree, where what runs in the
sandbox cannot write.
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Iterable
from pathlib import Path

from pydantic import Field

from kverdict.findings.warnings import MOST_DIAGNOSTICS, Step, messages
from kverdict.models import Diagnostic, Frozen
from kverdict.runs import write_atomically

FILE = "messages.json"


class Ledger(Frozen):
    """Warnings by the build's step, "CC virt/kvm/guest_memfd.o"."""

    steps: dict[str, tuple[Diagnostic, ...]] = Field(default_factory=dict)

    @property
    def warnings(self) -> tuple[Diagnostic, ...]:
        """By file and line: several jobs of make print in another order each time."""
        found = {item for said in self.steps.values() for item in said}
        return tuple(
            sorted(found, key=lambda item: (item.file or "", item.line or 0, item.message))
        )


def updated(old: Ledger, lines: Iterable[str], exists: Callable[[str], bool]) -> Ledger:
    """``old`` with what a build's log says of the steps that it took.

    What belonged to a target that does not ``exist`` any more is gone with it.
    """
    new: dict[str, list[Diagnostic]] = {}
    count = 0
    for step, message in messages(lines):
        said = new.setdefault(_name(step), [])
        if message is not None and message.severity == "warning" and count < MOST_DIAGNOSTICS:
            said.append(message)
            count += 1
    kept = {name: said for name, said in old.steps.items() if exists(_target(name))}
    told = {name: tuple(dict.fromkeys(said)) for name, said in new.items()}
    return Ledger(steps={name: said for name, said in {**kept, **told}.items() if said})


def _name(step: Step | None) -> str:
    return f"{step.verb} {posixpath.normpath(step.target)}" if step is not None else ""


def _target(name: str) -> str:
    return name.partition(" ")[2]


def read(obj: Path) -> Ledger | None:
    """Of this object tree; None when nothing is known of what the compiler said."""
    try:
        return Ledger.from_json((obj.parent / FILE).read_bytes())
    except (OSError, ValueError):
        return None


def write(obj: Path, ledger: Ledger) -> None:
    write_atomically(obj.parent / FILE, ledger.to_json())


def forget(obj: Path) -> None:
    (obj.parent / FILE).unlink(missing_ok=True)
