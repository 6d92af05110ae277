# SPDX-License-Identifier: GPL-2.0-or-later
"""Where a line of the patched file stands in the diff of a patch mail, and what to quote for it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

CONTEXT = 8  # lines of the diff before the one that a remark stands under
LONGEST = 200  # characters of a quoted line
CUT = "[...]"

_HUNK = re.compile(r"@@ -\d{1,9}(?:,(\d{1,9}))? \+(\d{1,9})(?:,(\d{1,9}))? @@")

Spot = tuple[str, int]  # (path, line of the file as the patch leaves it, from 1)


@dataclass(frozen=True)
class Quoted:
    """A piece of a mail's diff whose last line is the one asked for; without "> "."""

    spot: Spot
    lines: tuple[str, ...]


@dataclass(frozen=True)
class _Line:
    """A line of the new side: where it stands in the body, and the heads above it."""

    at: int
    file_head: int
    hunk_head: int


def quote(body: str, spots: Iterable[Spot]) -> tuple[Quoted, ...]:
    """A quote for each spot that the diff shows, in the mail's order; what is quoted is not again.

    A spot that no hunk shows has none: the line stands elsewhere in the file.
    """
    lines = body.replace("\r\n", "\n").split("\n")
    known = dict(_new_side(lines))
    found = sorted((known[spot].at, spot) for spot in set(spots) if spot in known)
    quoted: list[Quoted] = []
    last = _Line(-1, -1, -1)
    for _, spot in found:
        line = known[spot]
        heads = [lines[line.file_head]] if line.file_head != last.file_head else []
        if line.hunk_head != last.hunk_head:
            heads.append(lines[line.hunk_head])
        free = max(line.hunk_head, last.at) + 1
        first = max(free, line.at - CONTEXT)
        cut = [CUT] if first > free else []
        text = [*heads, *cut, *lines[first : line.at + 1]]
        quoted.append(Quoted(spot, tuple(one[:LONGEST].rstrip() for one in text)))
        last = line
    return tuple(quoted)


def places(lines: list[str]) -> dict[Spot, int]:
    """Where each line of the new side stands in the lines of a mail's body."""
    return {spot: line.at for spot, line in _new_side(lines)}


def _new_side(lines: list[str]) -> Iterator[tuple[Spot, _Line]]:
    """Every line that is there after the patch; hunks are as long as their heads say."""
    at = head = 0
    path: str | None = None
    while at < len(lines):
        line = lines[at]
        if line.startswith("diff --git "):
            head, path = at, None
        elif line.startswith("--- ") and at + 1 < len(lines) and lines[at + 1].startswith("+++ "):
            head = head if lines[head].startswith("diff --git ") and path is None else at
            path = _path(lines[at + 1])
            at += 1
        elif (hunk := _HUNK.match(line)) and path is not None:
            start = at
            old, number, new = (int(word or 1) for word in hunk.groups())
            end = number + new
            while at + 1 < len(lines) and (old > 0 or number < end):
                at += 1
                mark = lines[at][:1]
                if mark in ("+", " ", ""):  # some mailers strip the blank of an empty line
                    yield (path, number), _Line(at, head, start)
                    number += 1
                old -= mark in ("-", " ", "")
        at += 1


def _path(line: str) -> str | None:
    """Of "+++ b/path"; None for /dev/null and for names that git quotes."""
    name = line.removeprefix("+++ ").partition("\t")[0]
    return name[2:] if name[1:2] == "/" and not name.startswith("/") else None
