# SPDX-License-Identifier: GPL-2.0-or-later
"""Why a patch does not apply: which hunk, and what the tree has in its place.

git apply says only the line that the
hunk names; here each hunk's old lines are looked for in the whole file, as git does, and where
they are nowhere the most similar place is shown.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice, zip_longest

from unidiff import PatchedFile, PatchSet, UnidiffParseError

from kverdict.am import Mail, Result
from kverdict.errors import PatchError
from kverdict.git import Repository
from kverdict.text import one_line, printable, shorten
from kverdict.trees import Tree

LINES_SHOWN = 4
SUBJECT_COLUMNS = 72
# unidiff's patterns take the square of a header's length, and int() no more than 4300 digits.
_LONG_HEADER = re.compile(r"^(?:diff --git |Binary files? |@@ ).{500}", re.MULTILINE)
# What is looked at: a patch may name one big file in each of a million diffs.
_MOST_FILES = 200
_MOST_HUNKS = 1000  # of one file
_MOST_MISFITS = 50
_MOST_ALIKE = 100  # a line that a file has more often says nothing about the place


@dataclass(frozen=True)
class Misfit:
    """One place of a patch that does not fit; ``line`` counts from 1, None without a place."""

    path: str
    hunk: str  # "@@ -421,8 +425,11 @@ function", empty when the file itself is the trouble
    line: int | None
    expected: tuple[str, ...]  # lines that the patch counts on
    found: tuple[str, ...]  # lines that the tree has there
    what: str  # the trouble in a few words, without path and hunk

    def one_line(self) -> str:
        place = f"{self.path}, hunk {self.hunk}" if self.hunk else self.path
        return one_line(f"{place}: {self.what}")

    def lines(self) -> tuple[str, ...]:
        return (
            self.one_line(),
            *(f"    the patch expects:   {line}" for line in self.expected),
            *(f"    the tree has there:  {line}" for line in self.found),
        )


def conflict(mails: Sequence[Mail], result: Result, tree: Tree) -> PatchError:
    """Why the first mail that did not land does not apply, in one line and in detail."""
    number = len(result.landed) + 1
    mail = mails[number - 1]
    subject = shorten(mail.subject, SUBJECT_COLUMNS)
    with Repository(tree.repo) as repository:
        found = misfits(mail.text, lambda path: repository.show_file(result.tip, path))
    place = f"{result.base[:12]} ({tree.version_of(result.base)})"
    what = found[0].one_line() if found else _last_words(result.refusal or "")
    others = len(found) - 1
    more = f" (and {others} more place{'s' if others > 1 else ''})" if others > 0 else ""
    return PatchError(
        f"patch {number}/{len(mails)} {subject!r} does not apply to {place}: {what}{more}",
        "give the commit it was made for with --base, or port the patch",
        detail=printable(
            "\n".join(line for misfit in found for line in misfit.lines())
            or (result.refusal or "").strip()
        ),
    )


def _last_words(refusal: str) -> str:
    """git's most telling line: the first error, without the hints."""
    lines = [line.strip() for line in refusal.splitlines() if line.strip()]
    told = [line for line in lines if line.startswith(("error: ", "fatal: "))] or lines
    return re.sub(r"^(error|fatal): ", "", told[0]) if told else "git am gave no reason"


def misfits(diff: str, read: Callable[[str], bytes | None]) -> tuple[Misfit, ...]:
    """The places of ``diff`` that do not fit the tree that ``read`` gives the files of.

    The first _MOST_MISFITS; none when each hunk by itself would fit, or the diff cannot be parsed:
    then only git's own words are left.
    """
    if _LONG_HEADER.search(diff):
        return ()
    try:
        patched = PatchSet(diff)
    except UnidiffParseError:
        return ()
    found = (misfit for file in patched[:_MOST_FILES] for misfit in _misfits_of(file, read))
    return tuple(islice(found, _MOST_MISFITS))


def _misfits_of(file: PatchedFile, read: Callable[[str], bytes | None]) -> Iterator[Misfit]:
    path = file.path if file.is_added_file else file.source_file.removeprefix("a/")
    content = read(path)
    if file.is_added_file:
        if content is not None:
            there = "the patch creates it, but the tree has it already"
            yield Misfit(path, "", None, (), (), there)
        return
    if content is None:
        yield Misfit(path, "", None, (), (), "the tree has no such file")
        return
    # As git counts lines: a form feed, which splitlines() cuts at, is in many files.
    text = content.decode(errors="surrogateescape").removesuffix("\n")
    have = [line.rstrip("\r") for line in text.split("\n")] if content else []
    whole = _framed(have)
    for hunk in file[:_MOST_HUNKS]:
        old = [line.value.rstrip("\r\n") for line in hunk.source_lines()]
        if old and _framed(old) not in whole:
            header = (
                f"@@ -{hunk.source_start},{hunk.source_length}"
                f" +{hunk.target_start},{hunk.target_length} @@ {hunk.section_header}"
            )
            yield _explained(path, header.strip(), old, have, hunk.source_start)


def _explained(
    path: str, header: str, old: Sequence[str], have: Sequence[str], line: int
) -> Misfit:
    place = _most_similar(have, old, line - 1)
    if place is None:
        there = tuple(have[line - 1 : line - 1 + LINES_SHOWN])
        what = "nothing like it is in the file"
        return Misfit(path, header, line, tuple(old[:LINES_SHOWN]), there, what)
    pairs = list(zip_longest(old, have[place : place + len(old)]))
    differing = [k for k, (ours, theirs) in enumerate(pairs) if ours != theirs]
    first, last = differing[0], min(differing[-1] + 1, differing[0] + LINES_SHOWN)
    found = have[place + first : place + last]
    at = place + first + 1
    what = f"line {at} is not what the patch expects" if found else "the file ends before it"
    return Misfit(path, header, at, tuple(old[first:last]), tuple(found), what)


def _framed(lines: Sequence[str]) -> str:
    """Lines as a text in which only whole lines are found."""
    return "\n" + "".join(f"{line}\n" for line in lines)


def _most_similar(have: Sequence[str], old: Sequence[str], near: int) -> int | None:
    """Where ``old`` most likely stands (from 0), None when too little of it is in ``have``.

    Each line votes for the place that it would put the hunk at; a line counts the less the more
    often the file has it (a brace says nothing).  Of equally good places the nearest to ``near``.
    """
    places: dict[str, list[int]] = {}
    for at, line in enumerate(have):
        places.setdefault(line, []).append(at)
    votes: dict[int, float] = {}
    for offset, line in enumerate(old):
        found = places.get(line, ()) if line.strip() else ()
        for at in found if len(found) <= _MOST_ALIKE else ():
            votes[at - offset] = votes.get(at - offset, 0.0) + 1 / len(found)
    best = max(votes, key=lambda start: (votes[start], -abs(start - near)), default=None)
    return max(best, 0) if best is not None and votes[best] >= 0.5 else None
