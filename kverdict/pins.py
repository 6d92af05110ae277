# SPDX-License-Identifier: GPL-2.0-or-later
"""Which patch brought a message of the compiler: pure, by identity and never by count."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence

from kverdict.findings.alike import Lines, is_on, more_than_known
from kverdict.findings.warnings import identity
from kverdict.models import Diagnostic, Evaluation, Lint, PinnedWarning

_Where = tuple[str, str]  # tool, file
_COMPILER = "compiler"  # models.Diagnostic: of the plain build


def pinned(
    base: Evaluation, patches: Sequence[Evaluation], touched: Sequence[Lines]
) -> tuple[PinnedWarning, ...]:
    """The messages that a patch brought, by patch, file and line; ``touched`` as in ``pin``.

    Each tool is compared with itself, file by file, and with the last commit where it read that
    file: one that was absent there knows nothing about it.  What a tool says where it ran first
    is not new to anybody's knowledge.
    """
    commits = (base, *patches)
    said = [_by_place(commit) for commit in commits]
    looked_at = {file for one in commits if one.lint is not None for file in one.lint.files}
    found: list[PinnedWarning] = []
    for place in sorted({place for one in said for place in one}):
        heard = [
            one.get(place, ()) if _knows(commit, place, looked_at) else None
            for commit, one in zip(commits, said, strict=True)
        ]
        found += pin(heard[0], heard[1:], touched)
    return tuple(sorted(found, key=lambda item: (item.patch, _place(item.diagnostic))))


def _by_place(evaluation: Evaluation) -> Mapping[_Where, Sequence[Diagnostic]]:
    found: dict[_Where, list[Diagnostic]] = defaultdict(list)
    plain = evaluation.build.warnings if evaluation.build is not None else ()
    stricter = evaluation.lint.messages if evaluation.lint is not None else ()
    for message in (*plain, *stricter):
        found[message.tool, message.file or ""].append(message)
    return found


def _knows(evaluation: Evaluation, place: _Where, looked_at: Collection[str]) -> bool:
    """Whether silence there means that there is nothing to say."""
    if evaluation.build is None or not evaluation.build.ok:
        return False
    tool, file = place
    return tool == _COMPILER or (
        evaluation.lint is not None and _was_read(evaluation.lint, tool, file, looked_at)
    )


def _was_read(lint: Lint, tool: str, file: str, looked_at: Collection[str]) -> bool:
    """Of a file that a commit does not have, or does not compile, there is nothing to say.

    ``looked_at`` are the files of all commits; any of them may have brought in another.
    """
    unread = {absent.file for absent in lint.missing if absent.tool == tool}
    if file in looked_at:
        return file not in lint.files or (tool in lint.ran and file not in unread)
    return not lint.files or (tool in lint.ran and not unread)


def pin(
    base: Sequence[Diagnostic] | None,
    patches: Sequence[Sequence[Diagnostic] | None],
    touched: Sequence[Lines],
) -> tuple[PinnedWarning, ...]:
    """The messages that a patch has and the one before does not, by patch, file and line.

    ``patches`` are the messages on 1/N ... N/N, None where nothing is known, as of one that does
    not build: then the next is compared with the last that is known, and what is new there is
    pinned to the patch whose added ``touched`` lines it stands on, else to the one where it shows.
    When ``base`` is not known, the first patch that is takes its place.  A message in a file that
    was renamed is a new one: its file is part of what it says.
    """
    brought: list[PinnedWarning] = []
    last = base
    unknown: list[int] = []
    for number, said in enumerate(patches, start=1):
        if said is None:
            unknown.append(number)
            continue
        for message in _new(last, said, touched[number - 1]) if last is not None else ():
            patch = _whose(message, (*unknown, number), touched)
            brought.append(
                PinnedWarning(
                    diagnostic=message,
                    patch=patch,
                    touched=_on(message, touched[patch - 1]),
                    gone_with=_gone(message, patches, number),
                )
            )
        last, unknown = said, []
    return tuple(brought)


def _new(before: Sequence[Diagnostic], now: Sequence[Diagnostic], lines: Lines) -> list[Diagnostic]:
    known = Counter(map(identity, before))
    found = more_than_known(now, known, identity=identity, on_patch=lambda one: _on(one, lines))
    return sorted(found, key=_place)


def _place(message: Diagnostic) -> tuple[str, int, str]:
    return (message.file or "", message.line or 0, message.message)


def _on(message: Diagnostic, lines: Lines) -> bool:
    return is_on(message.line, lines.get(message.file or "", ()))


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
