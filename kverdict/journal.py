# SPDX-License-Identifier: GPL-2.0-or-later
"""The journal of a bisection: a file a step, so that a killed one goes on where it was."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from kverdict.bisection import Answer, Role, Step
from kverdict.errors import UserError
from kverdict.gitbisect import read_log
from kverdict.runs import write_atomically

STEPS = "steps"
_LARGEST = 8 << 20  # bytes of a log that is replayed


class Journal:
    """The steps of one run in order; those of before a restart are given out again first."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / STEPS
        self._folder.mkdir(exist_ok=True)
        self._earlier = read_steps(self._folder)
        self._steps: list[Step] = []

    @property
    def steps(self) -> tuple[Step, ...]:
        return tuple(self._steps)

    def step(
        self,
        role: Role,
        commit: str,
        ask: Callable[[int], Step],
        known: Callable[[Step], None] = lambda step: None,
    ) -> Step:
        """The next step: as it was written down, else as ``ask``, given its number, answers.

        ``known`` is told of one that was written down before a restart.  A journal that goes on
        otherwise is not this bisection's any more: its rest is dropped.
        """
        number = len(self._steps) + 1
        step = self._earlier[number - 1] if number <= len(self._earlier) else None
        if step is None or (step.role, step.commit) != (role, commit):
            self._drop(number)
            step = ask(number)
            write_atomically(self._folder / _name(number), step.to_json())
        else:
            known(step)
        self._steps.append(step)
        return step

    def _drop(self, number: int) -> None:
        """Also from the disk, the last first: what is left is whole at every moment."""
        for known in range(len(self._earlier), number - 1, -1):
            (self._folder / _name(known)).unlink(missing_ok=True)
        self._earlier = self._earlier[: number - 1]


def read_steps(folder: Path) -> tuple[Step, ...]:
    """The whole steps of a journal up to the first that is missing or damaged."""
    found: list[Step] = []
    while True:
        try:
            step = Step.from_json((folder / _name(len(found) + 1)).read_bytes())
        except (OSError, ValueError):
            return tuple(found)
        if step.number != len(found) + 1:
            return tuple(found)
        found.append(step)


def read_replay(path: Path, terms: tuple[str, str]) -> dict[str, Answer]:
    """Commit -> answer, from a `git bisect log` or from the folder of a run or its journal.

    Raises UserError when it holds no answer.
    """
    try:
        if path.is_dir():
            home = path if path.name == STEPS else path / STEPS
            steps = [step for step in read_steps(home) if step.role is Role.STEP]
            found = {step.commit: step.answer for step in steps}
        elif path.stat().st_size > _LARGEST:
            raise UserError(f"{path} is over {_LARGEST >> 20} MiB", "name a git bisect log")
        else:
            found = read_log(path.read_bytes().decode(errors="replace"), terms)
    except OSError as error:
        raise UserError(f"{path} cannot be read", error.strerror or str(error)) from error
    if not found:
        raise UserError(f"{path} has no answers", "name a git bisect log, or a run's folder")
    return found


def _name(number: int) -> str:
    return f"{number:04}.json"
