# SPDX-License-Identifier: GPL-2.0-or-later
"""What the diff in a patch mail announces: which files, from which mode to which.

Read as ``git apply -p1`` reads it (its apply.c): hunk headers say how many lines are content, and
everything between two diffs is text.  Stricter than git where git is lenient: names have to agree
wherever a diff repeats them, no header comes twice, and what git would guess at is refused.
unidiff is no help here: it takes ``---`` lines without a diff header, passes quoted names
through as they are, and has no modes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum

NULL = "/dev/null"

_HEADERS = (
    "old mode ",
    "new mode ",
    "deleted file mode ",
    "new file mode ",
    "copy from ",
    "copy to ",
    "rename from ",
    "rename to ",
    "rename old ",  # of git before 1.0; git still reads them
    "rename new ",
    "similarity index ",
    "dissimilarity index ",
    "index ",
)
_START = "diff --git "
_BINARY = ("GIT binary patch", "Binary files ", "Files ")
_HUNK = re.compile(r"@@ -\d{1,9}(?:,(\d{1,9}))? \+\d{1,9}(?:,(\d{1,9}))? @@")
_MORE = re.compile(r"\+|-(?!-)")  # "-- " begins a signature
_INDEX = re.compile(r"[0-9a-f]{4,64}\.\.[0-9a-f]{4,64}(?: ([0-7]+))?")
_MODE = re.compile(r"[0-7]{1,7}")
_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"')
_ESCAPE = re.compile(rb'\\([abtnvfr"\\]|[0-3][0-7]{2})')
_ESCAPES = dict(zip(b'abtnvfr"\\', b'\a\b\t\n\v\f\r"\\', strict=True))


class Kind(Enum):
    """What a diff does to its file."""

    ADDED = "added"
    DELETED = "deleted"
    MODIFIED = "modified"
    RENAMED = "renamed"
    COPIED = "copied"


@dataclass(frozen=True)
class FileDiff:
    """One file's part of a diff.

    The modes are octal as git writes them ("100644"), None where the diff does not say; ``added``
    are the lines that the hunks add, with their line ends.
    """

    kind: Kind
    old_path: str | None  # None when the file is added
    new_path: str | None  # None when it is deleted
    old_mode: str | None
    new_mode: str | None
    added: tuple[str, ...] = field(repr=False)

    @property
    def path(self) -> str:
        """The name to call it by."""
        path = self.new_path or self.old_path
        assert path is not None
        return path

    @property
    def paths(self) -> frozenset[str]:
        """Both names."""
        return frozenset(path for path in (self.old_path, self.new_path) if path is not None)


@dataclass(frozen=True)
class Change:
    """One file that differs between two commits, as git diff-tree --raw says without renames."""

    path: str
    old_mode: str  # "000000" when it was not there
    new_mode: str  # "000000" when it is there no longer
    blob: str  # object id afterwards


class Unreadable(Exception):
    """A diff that git would refuse, or could read otherwise than we do; ``path`` when known."""

    def __init__(self, why: str, path: str = "") -> None:
        super().__init__(why)
        self.why, self.path = why, path


def read_diffs(body: str) -> Iterator[FileDiff]:
    """The files that the body of a patch mail changes, in its order; raises Unreadable."""
    lines = body.removesuffix("\n").split("\n")
    at = 0
    while at < len(lines):
        if lines[at].startswith(_START):
            at, found = _git_diff(lines, at)
            yield found
        elif _is_plain_start(lines, at):
            at, found = _plain_diff(lines, at)
            yield found
        elif _HUNK.match(lines[at]):
            raise Unreadable(f"line {at + 1} of the mail is a hunk that belongs to no file")
        else:
            at += 1


def _is_plain_start(lines: Sequence[str], at: int) -> bool:
    """A diff without ``diff --git``, as diff -u and quilt write it."""
    three = lines[at : at + 3]
    starts = zip(three, ("--- ", "+++ ", "@@ -"), strict=False)
    return len(three) == 3 and all(line.startswith(start) for line, start in starts)


# --- diff --git -----------------------------------------------------------------------------------


def _git_diff(lines: Sequence[str], start: int) -> tuple[int, FileDiff]:
    rest = lines[start][len(_START) :]
    at, told = _headers(lines, start + 1)
    content = None
    if lines[at : at + 1] and lines[at].startswith("--- "):
        if not _is_plain_start(lines, at):
            raise Unreadable("has a --- line without a +++ line and a hunk", rest)
        content = _content_name(lines[at][4:]), _content_name(lines[at + 1][4:])
        at += 2
    kind = _kind(told, rest)
    old, new = _paths(rest, told, content, kind)
    path = old if kind is Kind.DELETED else new
    if lines[at : at + 1] and lines[at].startswith(_BINARY):
        raise Unreadable("is changed by a binary patch", path)
    if content is None and _at_hunk(lines, at):
        raise Unreadable("has a hunk without --- and +++ lines", path)
    if content is None and not set(told) - {"index "}:
        raise Unreadable("is named by a diff that changes nothing", path)
    at, added = _hunks(lines, at, path)
    old_mode, new_mode = _modes(told, kind, path)
    return at, FileDiff(
        kind=kind,
        old_path=None if kind is Kind.ADDED else old,
        new_path=None if kind is Kind.DELETED else new,
        old_mode=old_mode,
        new_mode=new_mode,
        added=added,
    )


def _headers(lines: Sequence[str], at: int) -> tuple[int, dict[str, str]]:
    told: dict[str, str] = {}
    while at < len(lines):
        name = next((name for name in _HEADERS if lines[at].startswith(name)), None)
        if name is None:
            break
        if name in told:
            raise Unreadable(f"line {at + 1} of the mail has {name.strip()!r} a second time")
        told[name] = lines[at][len(name) :]
        at += 1
    return at, told


def _kind(told: dict[str, str], names: str) -> Kind:
    """The one thing that the headers say; more than one is a contradiction."""
    groups = {
        Kind.ADDED: {"new file mode "},
        Kind.DELETED: {"deleted file mode "},
        Kind.RENAMED: {"rename from ", "rename to "},
        Kind.COPIED: {"copy from ", "copy to "},
    }
    said = [kind for kind, headers in groups.items() if headers & set(told)]
    if {"rename old ", "rename new "} & set(told):
        raise Unreadable("has headers of a git before 1.0", names)
    if len(said) > 1:
        raise Unreadable(f"is both {said[0].value} and {said[1].value}", names)
    if said and not groups[said[0]] <= set(told):
        raise Unreadable(f"is {said[0].value}, but only one of its two names is given", names)
    return said[0] if said else Kind.MODIFIED


def _paths(
    rest: str, told: dict[str, str], content: tuple[str, str] | None, kind: Kind
) -> tuple[str, str]:
    """Both names, which have to be the same wherever they stand."""
    moved = None
    if kind in (Kind.RENAMED, Kind.COPIED):
        verb = "rename" if kind is Kind.RENAMED else "copy"
        moved = _unquoted(told[f"{verb} from "]), _unquoted(told[f"{verb} to "])
    a, b = _cut(rest, moved)
    if not (a.startswith("a/") and b.startswith("b/")):
        raise Unreadable("its diff --git line does not have the form a/NAME b/NAME", rest)
    old, new = a[2:], b[2:]
    if moved is None and old != new:
        raise Unreadable("its diff --git line names two files and no rename says why", rest)
    if moved not in (None, (old, new)):
        raise Unreadable("its diff --git line does not have the names of its other lines", rest)
    expected = (NULL if kind is Kind.ADDED else a, NULL if kind is Kind.DELETED else b)
    if content not in (None, expected):
        raise Unreadable("its diff --git line does not have the names of its other lines", rest)
    return old, new


def _cut(rest: str, moved: tuple[str, str] | None) -> tuple[str, str]:
    """The two names of a diff --git line, each plain or quoted.

    Two plain ones, ``a/x b/x b/x``, can be cut at more than one place: it is the one that the
    rename lines say, else the middle.
    """
    if quoted := _QUOTED.match(rest):
        left, right = quoted[0], rest[quoted.end() + 1 :]
    elif rest.endswith('"'):
        left, _, right = rest.partition(' "')
        right = f'"{right}'
    else:
        middle = len(rest) // 2 if moved is None else len(moved[0]) + len("a/")
        left, right = rest[:middle], rest[middle + 1 :]
    if rest != f"{left} {right}":
        raise Unreadable("its diff --git line does not have the names of its other lines", rest)
    return _unquoted(left), _unquoted(right)


def _modes(told: dict[str, str], kind: Kind, path: str) -> tuple[str | None, str | None]:
    known = {name: told[name] for name in told if name.endswith("mode ")}
    index = told.get("index ")
    if index is not None:
        match = _INDEX.fullmatch(index)
        if match is None:
            raise Unreadable("has an index line that is none", path)
        if match[1] is not None:
            known["index "] = match[1]
    if bad := [mode for mode in known.values() if not _MODE.fullmatch(mode)]:
        raise Unreadable(f"has the mode {bad[0]!r}, which is none", path)
    if ("old mode " in known) != ("new mode " in known):
        raise Unreadable("has only one of the two modes of a mode change", path)
    if "index " in known and len(set(known.values())) > 1:
        raise Unreadable("has headers with different modes", path)
    if kind in (Kind.ADDED, Kind.DELETED) and "old mode " in known:
        raise Unreadable(f"is {kind.value} and changes its mode as well", path)
    both = known.get("index ")
    old = known.get("deleted file mode ", known.get("old mode ", both))
    new = known.get("new file mode ", known.get("new mode ", both))
    return (None if kind is Kind.ADDED else old), (None if kind is Kind.DELETED else new)


# --- diffs without a header -----------------------------------------------------------------------


def _plain_diff(lines: Sequence[str], start: int) -> tuple[int, FileDiff]:
    """``--- a/x``, ``+++ b/x``: git takes the shorter name, so one has to begin with the other."""
    old, new = (_plain_name(line[4:]) for line in lines[start : start + 2])
    if old == new == NULL or not (NULL in (old, new) or old.startswith(new)):
        raise Unreadable(f"its --- line names another file ({old})", new)
    path = old if new == NULL else new
    ranges = _HUNK.match(lines[start + 2])
    if ranges is None:
        raise Unreadable("has a hunk header that is none", path)
    at, added = _hunks(lines, start + 2, path)
    if old == NULL or ranges[1] == "0":
        return at, FileDiff(Kind.ADDED, None, path, None, "100644", added)
    if new == NULL or ranges[2] == "0":
        return at, FileDiff(Kind.DELETED, path, None, None, None, added)
    return at, FileDiff(Kind.MODIFIED, path, path, None, None, added)


def _plain_name(text: str) -> str:
    name = text.split("\t", 1)[0].rstrip()
    if name == NULL:
        return name
    prefix, _, path = name.partition("/")
    if name.startswith('"') or " " in name or not re.fullmatch(r"[\w.+~-]+", prefix) or not path:
        raise Unreadable("is named by a diff without diff --git, not in the form a/NAME", name)
    if prefix in (".", ".."):
        raise Unreadable("leads out of the tree", name)
    return path


# --- hunks ----------------------------------------------------------------------------------------


def _at_hunk(lines: Sequence[str], at: int) -> bool:
    return at < len(lines) and lines[at].startswith("@@ -")


def _hunks(lines: Sequence[str], at: int, path: str) -> tuple[int, tuple[str, ...]]:
    """Skips the hunks at ``at``; the counts in their headers say where each one ends."""
    added: list[str] = []
    while _at_hunk(lines, at):
        ranges = _HUNK.match(lines[at])
        if ranges is None:
            raise Unreadable(f"line {at + 1} of the mail is no hunk header", path)
        old, new = (1 if count is None else int(count) for count in ranges.groups())
        at += 1
        while old > 0 or new > 0:
            mark = lines[at][:1] if at < len(lines) else "end"
            if mark not in ("", " ", "+", "-", "\\"):
                raise Unreadable(f"its hunk ends too early, at line {at + 1} of the mail", path)
            old -= mark in ("", " ", "-")
            new -= mark in ("", " ", "+")
            if mark == "+":
                added.append(f"{lines[at][1:]}\n")
            _cut_newline(lines, at, added)
            at += 1
        if old or new:
            raise Unreadable(f"its hunk has more lines than it says, line {at} of the mail", path)
        if at < len(lines) and lines[at].startswith("\\ "):
            at += 1
        if at < len(lines) and _MORE.match(lines[at]):
            # git would pass over it, and who reads the mail would not.
            raise Unreadable(f"its hunk has more lines than it says, line {at + 1}", path)
    return at, tuple(added)


def _cut_newline(lines: Sequence[str], at: int, added: list[str]) -> None:
    r"""Takes the line end back when ``\ No newline at end of file`` follows an added line."""
    if lines[at].startswith("+") and lines[at + 1 : at + 2] and lines[at + 1].startswith("\\ "):
        added[-1] = added[-1].removesuffix("\n")


# --- names ----------------------------------------------------------------------------------------


def _content_name(text: str) -> str:
    """The name on a --- or +++ line; git ends one that has blanks with a tab."""
    if text.startswith('"'):
        return _unquoted(text.removesuffix("\t"))
    return text.split("\t", 1)[0]


def _unquoted(text: str) -> str:
    """A name as git quotes it (quote.c): in double quotes, with C's escapes and octal bytes."""
    if not text.startswith('"'):
        return text
    if not _QUOTED.fullmatch(text):
        raise Unreadable("is a quoted name without an end", text)
    raw = text[1:-1].encode(errors="surrogateescape")
    if b"\\" in _ESCAPE.sub(b"", raw):
        raise Unreadable("is a quoted name with an escape that git does not write", text)
    plain = _ESCAPE.sub(
        lambda found: bytes([_ESCAPES[found[1][0]] if len(found[1]) == 1 else int(found[1], 8)]),
        raw,
    )
    return plain.decode(errors="surrogateescape")
