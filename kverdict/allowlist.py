# SPDX-License-Identifier: GPL-2.0-or-later
"""Lines of a console that look like a report of the kernel and are none: who says so, until when.

An entry says why its line is harmless and when that is to be looked at again.  It is compared with
a whole headline and nothing else, never with that of a panic or an oops (findings/console.py), so
that it cannot hide what comes after its line.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import permutations
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, StringConstraints, ValidationError

from kverdict.errors import UserError
from kverdict.models import Frozen

BUILT_IN = Path(__file__).parent / "findings" / "benign.toml"

MOST_DAYS = 400  # that an entry may have before it: it is looked at again about once a year

# Headlines that name nothing, or only who reports: a pattern for one is for every report like it.
_ANY = (
    "",
    "WARNING: any message",
    "WARNING: any/where.c:1 at refcount_warn_saturate+0x1/0x2, CPU#0: any/1",
    "WARNING: any/where.c:1 at __list_add_valid_or_report+0x1/0x2, CPU#0: any/1",
    "BUG: any message",
    "BUG: scheduling while atomic: any/1/0x00000002",
    "BUG: sleeping function called from invalid context at any/where.c:1",
    "BUG: workqueue lockup - pool cpus=0 node=0 flags=0x0 nice=0 stuck for 31s!",
    "INFO: task any:1 blocked for more than 30 seconds.",
    "INFO: trying to register non-static key.",
    "INFO: rcu_preempt detected stalls on CPUs/tasks:",
    "rcu: INFO: rcu_preempt detected stalls on CPUs/tasks:",
    "rcu: INFO: rcu_preempt self-detected stall on CPU",
    "rcu: INFO: rcu_sched self-detected stall on CPU",
    "watchdog: BUG: soft lockup - CPU#0 stuck for 22s! [any:1]",
    "watchdog: CPU0: Watchdog detected hard LOCKUP on cpu 0",
    # kernel/locking/lockdep.c and kernel/rcu/update.c: what it is about comes in the lines below.
    "WARNING: possible circular locking dependency detected",
    "WARNING: possible recursive locking detected",
    "WARNING: possible irq lock inversion dependency detected",
    "WARNING: HARDIRQ-safe -> HARDIRQ-unsafe lock order detected",
    "WARNING: SOFTIRQ-safe -> SOFTIRQ-unsafe lock order detected",
    "WARNING: inconsistent lock state",
    "WARNING: bad unlock balance detected!",
    "WARNING: bad contention detected!",
    "WARNING: held lock freed!",
    "WARNING: Nested lock was not taken",
    "WARNING: lock held when returning to user space!",
    "WARNING: suspicious RCU usage",
    "[ BUG: Invalid wait context ]",
)
# Headlines with a place in them, to be filled with names that no kernel has.
_PLACED = (
    "WARNING: {file}:1 at {function}+0x1/0x2, CPU#0: any/1",
    "WARNING: CPU: 0 PID: 1 at {file}:1 {function}+0x1/0x2",
    "WARNING: at {function}+0x1/0x2, CPU#0: any/1",
    "BUG: KASAN: slab-use-after-free in {function}+0x1/0x2",
    "BUG: KFENCE: use-after-free read in {function}+0x1/0x2",
    "kernel BUG at {file}:1!",
    "UBSAN: array-index-out-of-bounds in {file}:1:1",
)
_FILE, _FUNCTION = "any/where.c", "any_function"
# What a pattern spells out: characters that stand for themselves.
_SPELLED = re.compile(r"(?:[\w/-]|\\[^\w\s])+")
_NAME = re.compile(r"[\w./-]+")
_MOST_NAMES = 16
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
    """Our own entries and those of the user's file.

    Raises UserError, naming file and entry, also for one that would count for over MOST_DAYS.
    """
    entries = read(user) if user is not None else ()
    latest = today + timedelta(days=MOST_DAYS)
    for number, entry in enumerate(entries, start=1):
        if entry.expires > latest:
            raise UserError(
                f"{user}: entry {number}: {entry.expires} is more than {MOST_DAYS} days away",
                f"put {latest} at most, and look at it again then",
            )
    return Allowlist((*read(BUILT_IN), *entries), today)


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
    headline = next(filter(pattern.fullmatch, _too_many(fields.pattern)), None)
    if headline is not None:
        raise UserError(
            f"{where}: {fields.pattern!r} would allow {headline!r} as well",
            "spell out the whole message, or the whole name of the function that is meant",
        )
    return Entry(pattern, fields.reason, fields.expires, fields.link)


def _too_many(pattern: str) -> Iterator[str]:
    """Headlines of reports that nobody can have meant: a pattern that allows one is too wide.

    Beside names of no kind, those that only begin or end as the pattern's own: "kvm_any_function"
    for one that has "kvm_.*", "virt/kvm/any/where.c" for "virt/kvm/.*".
    """
    yield from _ANY
    functions = [_FUNCTION, *(like for name in _names(pattern) for like in _like(name, _FUNCTION))]
    files = [_FILE, *(like for name in _names(pattern) for like in _like(name, _FILE))]
    for headline in _PLACED:
        for function in functions:
            yield headline.format(file=_FILE, function=function)
        for file in files:
            yield headline.format(file=file, function=_FUNCTION)


def _names(pattern: str) -> list[str]:
    """What it spells out, and each two of them together, for an alternative in the middle."""
    spelled = (run.replace("\\", "") for run in _SPELLED.findall(pattern))
    names = list(dict.fromkeys(name for run in spelled for name in _NAME.findall(run)))
    names = names[:_MOST_NAMES]
    return [*names, *(one + other for one, other in permutations(names, 2))]


def _like(name: str, any_name: str) -> tuple[str, ...]:
    return (f"{name}{any_name}", f"{name}_{any_name}", f"{any_name}{name}", f"{any_name}_{name}")
