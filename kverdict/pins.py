# SPDX-License-Identifier: GPL-2.0-or-later
"""Which patch brought a message of the compiler: pure, by identity and never by count."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

from kverdict.findings.warnings import identity
from kverdict.models import Diagnostic, PinnedWarning

Lines = Mapping[str, Sequence[range]]  # of the new side, by file


def pin(
    base: Sequence[Diagnostic],
    patches: Sequence[Sequence[Diagnostic] | None],
    touched: Sequence[Lines],
) -> tuple[PinnedWarning, ...]:
    """The messages that a patch has and the one before does not, by patch, file and line.

    ``patches`` are the messages of all objects of 1/N ... N/N, None for one that does not build:
    then the next that builds is compared with the last that did, and what is new there is pinned
    to the patch whose added ``touched`` lines it stands on, else to the one that built again.  A
    message in a file that was renamed is a new one: its file is part of what it says.
    """
    pinned: list[PinnedWarning] = []
    last = list(base)
    unbuilt: list[int] = []
    for number, said in enumerate(patches, start=1):
        if said is None:
            unbuilt.append(number)
            continue
        for message in _new(last, said, touched[number - 1]):
            patch = _whose(message, (*unbuilt, number), touched)
            pinned.append(
                PinnedWarning(
                    diagnostic=message,
                    patch=patch,
                    touched=_on(message, touched[patch - 1]),
                    gone_with=_gone(message, patches, number),
                )
            )
        last, unbuilt = list(said), []
    return tuple(pinned)


def _new(before: Sequence[Diagnostic], now: Sequence[Diagnostic], lines: Lines) -> list[Diagnostic]:
    """Among equal ones those on the patch's lines are the new ones, then the last."""
    known = Counter(map(identity, before))
    alike: dict[str, list[Diagnostic]] = defaultdict(list)
    for message in now:
        alike[identity(message)].append(message)
    found = []
    for id, messages in alike.items():
        old_first = sorted(messages, key=lambda message: _on(message, lines))
        found += old_first[known[id] :]
    return sorted(found, key=_place)


def _place(message: Diagnostic) -> tuple[str, int, str]:
    return (message.file or "", message.line or 0, message.message)


def _on(message: Diagnostic, lines: Lines) -> bool:
    ranges = lines.get(message.file or "", ())
    return message.line is not None and any(message.line in added for added in ranges)


def _whose(message: Diagnostic, candidates: Sequence[int], touched: Sequence[Lines]) -> int:
    """The lines of a patch that does not build may have moved since: the last one counts first."""
    for number in reversed(candidates):
        if _on(message, touched[number - 1]):
            return number
    return candidates[-1]


def _gone(
    message: Diagnostic, patches: Sequence[Sequence[Diagnostic] | None], since: int
) -> int | None:
    """The first patch from which on no build has it any more; None when the last one has it."""
    id = identity(message)
    gone: int | None = None
    for number, said in enumerate(patches[since:], start=since + 1):
        if said is None:
            continue
        if id in map(identity, said):
            gone = None
        elif gone is None:
            gone = number
    return gone
