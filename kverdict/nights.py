# SPDX-License-Identifier: GPL-2.0-or-later
"""What is remembered between nights: one file a night and tree below ``<runs>/nightly/``.

    nightly/<tree>/<number>-<date>.json     a Night; rewritten as it goes on, whole at any moment
    nightly/tonight.json                    the night that has begun and not come to its end

The history is these files.  Nights are told apart by number: a clock may go back.
"""

from __future__ import annotations

import fcntl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from kverdict.errors import ExitStatus, InfraError
from kverdict.heads import HeadNight
from kverdict.models import Frozen
from kverdict.runs import flocked, slugify, sweep, write_atomically

HOME = "nightly"  # in the runs folder
TONIGHT = "tonight.json"


class Tonight(Frozen):
    """A night: one start of `nightly`, or several when it was killed in between."""

    number: int  # from 1
    began: datetime  # UTC

    @property
    def name(self) -> str:
        return f"{self.number:04}-{self.began:%Y%m%d}"


class Night(Frozen):
    """One tree in one night."""

    night: Tonight
    tree: str  # its name in the settings
    spec: str  # its path or URL there
    done: bool  # all its heads were looked at, and what was to be bisected was
    run: str | None = None  # name of the run's folder, None when nothing was evaluated
    heads: tuple[HeadNight, ...] = ()  # that had changed
    trouble: str = ""  # why the tree could not be looked at, one line
    status: int = 0  # exit status of that trouble

    @property
    def runs(self) -> tuple[str, ...]:
        """Names of the run folders that a page about this night links to."""
        bisected = (one.run for head in self.heads for one in head.bisected)
        return tuple(name for name in (self.run, *bisected) if name is not None)


@dataclass(frozen=True)
class Nights:
    """The history of all trees; ``home`` is the folder nightly/ of the runs folder."""

    home: Path

    @classmethod
    def below(cls, runs: Path) -> Nights:
        return cls(runs / HOME)

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Raises InfraError (BUSY) when another nightly works here; a dead one does not."""
        self.home.mkdir(parents=True, exist_ok=True)
        with flocked(self.home / ".lock", fcntl.LOCK_EX | fcntl.LOCK_NB) as ours:
            if not ours:
                raise InfraError(
                    f"another nightly works in {self.home.parent}",
                    "wait for it to end",
                    status=ExitStatus.BUSY,
                )
            for folder in (self.home, *self._folders()):
                sweep(folder)  # drafts of files that killed nights left
            yield

    def begin(self, now: datetime) -> Tonight:
        """The night that was killed before its end, else a new one."""
        try:
            return Tonight.from_json((self.home / TONIGHT).read_bytes())
        except (OSError, ValueError):  # none, or damaged: the next number is as good
            pass
        known = [night.night.number for nights in self.all().values() for night in nights]
        tonight = Tonight(
            number=max(known, default=0) + 1, began=now.astimezone(UTC).replace(microsecond=0)
        )
        write_atomically(self.home / TONIGHT, tonight.to_json())
        return tonight

    def end(self) -> None:
        (self.home / TONIGHT).unlink(missing_ok=True)

    def write(self, night: Night) -> None:
        folder = self.home / slugify(night.tree)
        folder.mkdir(exist_ok=True)
        write_atomically(folder / f"{night.night.name}.json", night.to_json())

    def of(self, tree: str) -> tuple[Night, ...]:
        """The nights of a tree, the newest first; damaged files are passed over."""
        return _read(self.home / slugify(tree))

    def all(self) -> dict[str, tuple[Night, ...]]:
        """By the name of the tree, also of trees that are no longer in the settings."""
        found = (_read(folder) for folder in self._folders())
        return {nights[0].tree: nights for nights in found if nights}

    def _folders(self) -> list[Path]:
        if not self.home.is_dir():
            return []
        return sorted(path for path in self.home.iterdir() if path.is_dir())


def _read(folder: Path) -> tuple[Night, ...]:
    nights = []
    for path in folder.glob("*.json"):
        try:
            nights.append(Night.from_json(path.read_bytes()))
        except (OSError, ValueError):
            continue
    return tuple(sorted(nights, key=lambda night: night.night.number, reverse=True))


def past_of(nights: Sequence[Night], ref: str, before: int) -> tuple[tuple[int, HeadNight], ...]:
    """The heads of a ref in the nights before a number, the newest first."""
    return tuple(
        (night.night.number, head)
        for night in nights
        if night.night.number < before
        for head in night.heads
        if head.ref == ref
    )
