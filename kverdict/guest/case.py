# SPDX-License-Identifier: GPL-2.0-or-later
"""What a case is: an id, a title, where its expectation comes from, and a body."""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass
from typing import Callable, Optional, Sequence, Tuple, Union

from .facts import Facts

LIMIT_SECONDS = 20.0


class Failure(Exception):
    """The kernel did something else than what the case's source says."""


class Skip(Exception):
    """What the case needs is not there."""


@dataclass(frozen=True)
class Case:
    """``needs`` names GUEST_MEMFD_FLAG_* that the header must define, else the case is skipped.

    ``body`` returns when all is well and raises Failure or Skip; anything else that it raises is
    the case's own fault.  ``limit`` is in seconds, before Facts.time_scale.
    """

    id: str
    title: str
    source: str
    needs: Tuple[str, ...]
    body: Callable[[Facts], None]
    limit: float = LIMIT_SECONDS

    def run(self, facts: Facts) -> None:
        missing = facts.missing(self.needs)
        if missing:
            names = ", ".join(f"GUEST_MEMFD_FLAG_{name}" for name in missing)
            raise Skip(f"this kernel's header does not define {names}")
        self.body(facts)


def case(
    id: str, title: str, source: str, needs: Sequence[str] = (), limit: float = LIMIT_SECONDS
) -> Callable[[Callable[[Facts], None]], Case]:
    """Turns a function into a Case; the module's CASES lists it."""

    def make(body: Callable[[Facts], None]) -> Case:
        return Case(id, title, source, tuple(needs), body, limit)

    return make


@dataclass(frozen=True)
class OneOf:
    """Several answers that are all right; ``why`` says what makes them so."""

    values: Tuple[int, ...]
    why: str = ""


Expected = Union[int, OneOf]


def one_of(*values: int, why: str = "") -> OneOf:
    return OneOf(values, why)


def answer(value: int) -> str:
    """4096 -> "4096", -22 -> "-1 EINVAL (Invalid argument)"."""
    if value >= 0:
        return str(value)
    name = errno.errorcode.get(-value, f"errno {-value}")
    return f"-1 {name} ({os.strerror(-value)})"


def expect(what: str, got: int, expected: Expected, meaning: str = "") -> None:
    """Raises Failure with the call, what was expected, what came, and what that means."""
    wanted = expected if isinstance(expected, OneOf) else OneOf((expected,))
    if got in wanted.values:
        return
    text = " or ".join(answer(value) for value in wanted.values)
    because = f" ({wanted.why})" if wanted.why else ""
    fail(f"{what}: expected {text}{because}, got {answer(got)}", meaning)


def expect_error(what: str, got: int, meaning: str = "") -> None:
    if got >= 0:
        fail(f"{what}: expected an error, got {answer(got)}", meaning)


def fail(problem: str, meaning: str = "") -> None:
    raise Failure(f"{problem}: {meaning}" if meaning else problem)


def must(what: str, got: int, meaning: str = "") -> int:
    """A call that has to succeed; gives its value."""
    if got < 0:
        fail(f"{what}: expected success, got {answer(got)}", meaning)
    return got


def optional(what: str, got: int, absent: Sequence[int]) -> Optional[int]:
    """A call that needs a facility of the kernel: skips where the kernel says it has none."""
    if got in absent:
        raise Skip(f"{what}: {answer(got)}")
    return must(what, got)
