# SPDX-License-Identifier: GPL-2.0-or-later
"""The commits of one run, built one after the other as git bisect would meet them.

Strangers' commits share one copy of the slot's object tree, which is gone after.  So a later one
is built upon what an earlier one's make left there, and its result is only known to be that of
its source *after those commits*: they are part of its key.
"""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from kverdict.objects import object_tree
from kverdict.progress import Progress
from kverdict.runs import Slot


class Line:
    """The slot that is worked in, and which strangers' trees were built in the copy so far."""

    def __init__(self, slot: Slot, progress: Progress) -> None:
        self.slot = slot
        self._progress = progress
        self._stack = ExitStack()
        self._copy: Path | None = None
        self._trees: tuple[str, ...] = ()
        self._made: dict[bool, str] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.close()

    @property
    def before(self) -> tuple[str, ...]:
        """Ids of the strangers' trees that came before, in order."""
        return self._trees

    def passed(self, tree: str) -> None:
        """A stranger's tree was built, or found to have been built, in its turn."""
        self._trees = (*self._trees, tree)

    def holds(self, build: str, *, copy: bool) -> bool:
        """Whether the last build in the copy, or in the slot's own object tree, was this one."""
        return self._made.get(copy) == build

    def made(self, build: str, *, copy: bool) -> None:
        """The key of a build that has just come to its end there."""
        self._made[copy] = build

    def copy(self) -> Path:
        """The copy of the object tree, made when it is first needed."""
        if self._copy is None:
            context = object_tree(self.slot, strangers=True, progress=self._progress)
            self._copy = self._stack.enter_context(context)
        return self._copy
