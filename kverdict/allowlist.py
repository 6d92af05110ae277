# SPDX-License-Identifier: GPL-2.0-or-later
"""Lines of a console that look like a report of the kernel and are none: who says so, until when.

An entry says why its line is harmless and when that is to be looked at again.  It is compared with
a whole headline and nothing else, never with that of a panic or an oops (findings/console.py), so
that it cannot hide what comes after its line.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, StringConstraints, ValidationError

from kverdict.errors import UserError
from kverdict.models import Frozen

BUILT_IN = Path(__file__).parent / "findings" / "benign.toml"

# Headlines of every kind with names that no kernel has: a pattern that matches one is too wide.
_ANY = (
    "",
    "WARNING: any/where.c:1 at any_function+0x1/0x2, CPU#0: any/1",
    "WARNING: CPU: 0 PID: 1 at any/where.c:1 any_function+0x1/0x2",
    "WARNING: at any_function+0x1/0x2, CPU#0: any/1",
    "WARNING: any message",
    "BUG: KASAN: slab-use-after-free in any_function+0x1/0x2",
    "BUG: any message",
    "kernel BUG at any/where.c:1!",
    "UBSAN: array-index-out-of-bounds in any/where.c:1:1",
    "INFO: task any:1 blocked for more than 30 seconds.",
    "watchdog: BUG: soft lockup - CPU#0 stuck for 22s! [any:1]",
)
_Words = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]


class _Fields(Frozen):
    """One [[allow]] table as it is written."""

    pattern: _Words
    reason: _Words
    expires: date = Field(strict=True)  # else a number would count as seconds since 1970
    link: _Words | None = None


@dataclass(frozen=True)
class Entry:
    """``expires`` is the last day on which it counts."""

    pattern: re.Pattern[str]
    reason: str
    expires: date
    link: str | None = None


@dataclass(frozen=True)
class Allowlist:
    """Entries as they count on the day ``today``."""

    entries: tuple[Entry, ...] = ()
    today: date = date.min

    @property
    def fingerprint(self) -> tuple[str, ...]:
        """What a scan depends on: the entries, and which of them have expired."""
        return tuple(
            f"{entry.pattern.pattern} {entry.reason} {entry.expires} {self.counts(entry)}"
            for entry in self.entries
        )

    def find(self, headline: str) -> Entry | None:
        """The entry for a line, rather one that counts than one that has expired."""
        found = [entry for entry in self.entries if entry.pattern.fullmatch(headline)]
        return next((entry for entry in found if self.counts(entry)), next(iter(found), None))

    def counts(self, entry: Entry | None) -> bool:
        return entry is not None and self.today <= entry.expires


def load(user: Path | None, today: date) -> Allowlist:
    """Our own entries and those of the user's file.  Raises UserError, naming file and entry."""
    own = read(BUILT_IN)
    return Allowlist((*own, *(read(user) if user is not None else ())), today)


def read(file: Path) -> tuple[Entry, ...]:
    """The entries of one file.  Raises UserError, naming file and entry."""
    try:
        document = tomllib.loads(file.read_text())
    except OSError as error:
        raise UserError(f"{file} cannot be read", error.strerror or str(error)) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{file} is not TOML", str(error)) from error
    tables = document.pop("allow", [])
    if document or not isinstance(tables, list):
        raise UserError(f"{file}: only [[allow]] tables belong here", "see docs/boot.md")
    return tuple(_entry(f"{file}: entry {n}", table) for n, table in enumerate(tables, start=1))


def _entry(where: str, table: Any) -> Entry:
    try:
        fields = _Fields.model_validate(table)
        pattern = re.compile(fields.pattern)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        raise UserError(f"{where}: {key}: {first['msg']}", "see docs/boot.md") from error
    except re.error as error:
        raise UserError(f"{where}: {fields.pattern!r} is no pattern", str(error)) from error
    for headline in _ANY:
        if pattern.fullmatch(headline):
            raise UserError(
                f"{where}: {fields.pattern!r} would allow {headline!r} as well",
                "spell out the message or the function that is meant",
            )
    return Entry(pattern, fields.reason, fields.expires, fields.link)
