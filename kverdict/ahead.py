# SPDX-License-Identifier: GPL-2.0-or-later
"""Builds the commits that may be asked for next, in a slot of their own, while one is tested."""

from __future__ import annotations

import queue
import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Self

from kverdict.errors import KverdictError
from kverdict.evaluate import Engine
from kverdict.line import Line
from kverdict.progress import Progress, Silent
from kverdict.runs import scratch

BUILDS = ".builds."


class Ahead:
    """A thread that builds; what goes wrong there is told when the commit's turn comes.

    It is a daemon: when the process ends, or is interrupted, the kernel ends its children
    (proc.mortal), and the slot's objects are known to be broken off.
    """

    def __init__(self, engine: Engine, folder: Path, progress: Progress) -> None:
        self._engine = replace(engine, progress=Silent())
        self._folder, self._progress = folder, progress
        self._queue: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._done: dict[str, threading.Event] = {}
        self._wanted: frozenset[str] = frozenset()
        self._building: str | None = None
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._lock:
            self._wanted = frozenset()
        self._queue.put(None)
        if self._thread is not None and kind is None:
            self._thread.join()

    def build(self, commits: Sequence[str]) -> None:
        """From now on these; what is no longer wanted, and has not begun, is not built."""
        with self._lock:
            self._wanted = frozenset(commits)
        for commit in commits:
            if commit not in self._done and not self._engine.is_built(commit):
                self._done[commit] = threading.Event()
                self._queue.put(commit)
        if self._thread is None and self._done:
            self._thread = threading.Thread(target=self._work, daemon=True)
            self._thread.start()

    def wait_for(self, commit: str) -> None:
        """Until a commit that is being built here is built; one that has not begun is given up."""
        with self._lock:
            self._wanted -= {commit}
            building = self._building == commit
        if building:
            with self._progress.task("  waiting for the build ahead"):
                self._done[commit].wait()

    def _work(self) -> None:
        with suppress(KverdictError, OSError):  # no slot, no room: nothing is built ahead
            self._work_off()

    def _work_off(self) -> None:
        with self._engine.line() as line, scratch(self._folder, BUILDS) as folder:
            while (commit := self._queue.get()) is not None:
                with self._lock:
                    self._building = commit if commit in self._wanted else None
                if self._building is not None:
                    self._build(commit, line, folder)

    def _build(self, commit: str, line: Line, folder: Path) -> None:
        try:
            self._engine.build(commit, line, folder, strangers=False)
        except (KverdictError, OSError):
            pass  # its turn comes, and it will be told then
        finally:
            with self._lock:
                self._building = None
            self._done[commit].set()
