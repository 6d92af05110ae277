# SPDX-License-Identifier: GPL-2.0-or-later
"""Which of several equal messages a patch brought: one more than before is new, and not all are."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeVar

Lines = Mapping[str, Sequence[range]]  # that a patch adds or changes, of the new side, by file
_Message = TypeVar("_Message")


def is_on(line: int | None, ranges: Iterable[range]) -> bool:
    return line is not None and any(line in added for added in ranges)


def more_than_known(
    now: Iterable[_Message],
    known: Counter[str],
    *,
    identity: Callable[[_Message], str],
    on_patch: Callable[[_Message], bool],
) -> list[_Message]:
    """What ``now`` has oftener than ``known``, in the order in which the identities came.

    Among equal ones those on the patch's lines are the new ones, then the last.
    """
    alike: dict[str, list[_Message]] = defaultdict(list)
    for message in now:
        alike[identity(message)].append(message)
    return [
        message
        for id, messages in alike.items()
        for message in sorted(messages, key=on_patch)[known[id] :]
    ]
