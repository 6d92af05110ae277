# SPDX-License-Identifier: GPL-2.0-or-later
"""Shows that work goes on: on a terminal a live line with a bar, elsewhere a line a step.

Stages get a Progress and know nothing of terminals; tests pass ``Silent()``.  Titles, notes and
lines may quote a mail, a tree's make or a guest: what cannot be seen is shown as an escape.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bars

from kverdict.text import printable


class Task(Protocol):
    def update(self, done: float | None = None, total: float | None = None, note: str = "") -> None:
        """``done`` of ``total`` in any unit; ``note`` is one short line."""


class Progress(Protocol):
    def task(self, title: str) -> _TaskContext:
        """A context manager that gives a Task."""

    def say(self, line: str) -> None:
        """One line that stays."""


class _TaskContext(Protocol):
    def __enter__(self) -> Task: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool | None: ...


class _NoTask:
    def update(self, done: float | None = None, total: float | None = None, note: str = "") -> None:
        pass


class Silent:
    """For tests and for callers that want no output."""

    @contextmanager
    def task(self, title: str) -> Iterator[Task]:
        yield _NoTask()

    def say(self, line: str) -> None:
        pass


class Lines:
    """For logs: a line when a step begins and ends, and one every half minute between."""

    EVERY_SECONDS = 30.0

    def __init__(self) -> None:
        self._console = Console(
            file=sys.stderr, highlight=False, soft_wrap=True, markup=False, emoji=False
        )

    def say(self, line: str) -> None:
        self._console.print(printable(line, keep=""))

    @contextmanager
    def task(self, title: str) -> Iterator[Task]:
        began = time.monotonic()
        yield _LineTask(self, title, began)
        self.say(f"{title}: {time.monotonic() - began:.1f} s")


class _LineTask:
    def __init__(self, lines: Lines, title: str, began: float) -> None:
        self._lines, self._title, self._last = lines, title, began

    def update(self, done: float | None = None, total: float | None = None, note: str = "") -> None:
        now = time.monotonic()
        if now - self._last >= Lines.EVERY_SECONDS:
            self._last = now
            part = f" {done / total:.0%}" if done is not None and total else ""
            self._lines.say(f"{self._title}:{part} {note}".rstrip())


class Terminal:
    """A live bar that is replaced by the step's time when it ends."""

    def __init__(self) -> None:
        self._console = Console(stderr=True, highlight=False, markup=False, emoji=False)

    def say(self, line: str) -> None:
        self._console.print(printable(line, keep=""))

    @contextmanager
    def task(self, title: str) -> Iterator[Task]:
        began = time.monotonic()
        with Bars(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[note]}", markup=False),
            TimeElapsedColumn(),
            console=self._console,
            transient=True,
        ) as bars:
            yield _BarTask(bars, title)
        self.say(f"{title}: {time.monotonic() - began:.1f} s")


class _BarTask:
    def __init__(self, bars: Bars, title: str) -> None:
        self._bars = bars
        self._id = bars.add_task(printable(title, keep=""), total=None, note="")

    def update(self, done: float | None = None, total: float | None = None, note: str = "") -> None:
        self._bars.update(self._id, completed=done, total=total, note=printable(note, keep="")[:60])


def to_stderr(quiet: bool = False) -> Progress:
    if quiet:
        return Silent()
    return Terminal() if sys.stderr.isatty() else Lines()
