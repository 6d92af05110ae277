# SPDX-License-Identifier: GPL-2.0-or-later
"""What a series may touch: decided before git sees it, and held against what git made of it.

Pure functions, no I/O.  ``screen`` reads the mails and refuses what no kernel patch needs and
what could reach beyond the tree; ``check_landed`` compares the commits with what was announced.
git has guards of its own against most of this (verify_path and the symlink checks of its apply.c);
these do not depend on its version or its settings, and they speak for the whole series at once.
"""

from __future__ import annotations

import posixpath
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from email import policy
from email.message import Message
from email.parser import BytesParser
from fnmatch import fnmatchcase

from kverdict.diffs import Change, FileDiff, Kind, Unreadable, read_diffs
from kverdict.errors import ExitStatus, PatchError
from kverdict.text import shorten

PATCH_LIMIT = 8 << 20  # bytes of one mail; mailing lists let far less through
SERIES_LIMIT = 32 << 20  # bytes of all mails
FILES_LIMIT = 10_000  # in the whole series
PATH_LIMIT = 4096  # bytes, as PATH_MAX
NAME_LIMIT = 255  # bytes, as NAME_MAX
DEPTH_LIMIT = 64  # folders; Linux 7.3 has 10 at most

ABSENT, FILE, PROGRAM, SYMLINK, GITLINK = "000000", "100644", "100755", "120000", "160000"

_ENCODINGS = ("", "7bit", "8bit", "binary", "quoted-printable", "base64")
_CHARSETS = ("utf-8", "us-ascii")
_TOOL_FILES = {
    ".gitmodules": "it would bring submodules",
    ".gitconfig": "it is a configuration of git",
    ".b4-config": "it is a configuration of b4",
    ".keys": "it would bring keys that signatures are checked with",
}
# Attributes that only say how a diff is shown, with drivers that are built into git.
_HARMLESS_ATTRIBUTE = re.compile(
    r"diff=(?:bash|cpp|dts|html|markdown|perl|python|rust)|linguist-[\w-]+(?:=\w+)?"
)
_SHORT_NAME = re.compile(r"gi[0-9a-z]{0,4}~[0-9]+")  # what NTFS calls .git, .gitmodules, ...

_BUILD_NAMES = (
    *("[Mm]akefile*", "GNUmakefile", "*.mk", "Kbuild*", "Kconfig*", "localversion*"),
    *("*.sh", "*.pl", "*.py", "*.awk", "*.bc", "*.sed"),
)
_BUILD_FOLDERS = re.compile(
    r"(?:.*/)?scripts/|arch/[^/]+/(?:boot/)?tools/"
    r"|tools/(?:arch|bpf/resolve_btfids|build|include|lib|objtool|scripts)/"
)


# --- before git am --------------------------------------------------------------------------------


@dataclass(frozen=True)
class Announced:
    """What one patch mail says it does to the tree, net: modes by path, before and after.

    A mode is None where the mail leaves it to the tree; ABSENT where there is no file.
    """

    files: tuple[FileDiff, ...]
    modes: Mapping[str, tuple[str | None, str | None]]


def screen(mails: Sequence[bytes]) -> tuple[Announced, ...]:
    """What each mail of a series (an mboxrd's, with its ``From `` line) announces.

    Raises PatchError (SERIES_REFUSED) that names the patch, the file and the reason.
    """
    if sum(map(len, mails)) > SERIES_LIMIT:
        raise refused(f"its mails are over {SERIES_LIMIT >> 20} MiB")
    links: set[str] = set()
    touched = 0
    found = []
    for number, mail in enumerate(mails, start=1):
        try:
            one = _announced(mail)
            links |= {file.path for file in one.files if file.new_mode == SYMLINK}
            touched += len(one.files)
            _check_ways(one, links)
            if touched > FILES_LIMIT:
                raise Unreadable(f"the series touches more than {FILES_LIMIT:,} files")
        except Unreadable as error:
            raise refused(error.why, f"[{number}/{len(mails)}]", error.path) from error
        found.append(one)
    return tuple(found)


def refused(why: str, patch: str = "", path: str = "") -> PatchError:
    name = path if path.isprintable() else repr(path)
    place = " ".join(part for part in (patch, name) if part)
    return PatchError(
        f"the series is refused: {place}{': ' if place else ''}{shorten(why, 300)}",
        "no kernel patch needs that, see docs/series.md",
        status=ExitStatus.SERIES_REFUSED,
    )


def _announced(mail: bytes) -> Announced:
    if len(mail) > PATCH_LIMIT:
        raise Unreadable(f"the mail is over {PATCH_LIMIT >> 20} MiB")
    files = []
    for file in read_diffs(_body(mail)):
        _check_file(file)
        files.append(file)
    return Announced(tuple(files), _net(files))


def _body(mail: bytes) -> str:
    """The text that git mailinfo reads; a mail that two programs could read in two ways is none."""
    # Not its parts: there may be none, and nested ones would exhaust Python's stack.
    parser = BytesParser(policy=policy.compat32)
    message = parser.parsebytes(mail.replace(b"\r\n", b"\n"), headersonly=True)
    for name in ("Content-Type", "Content-Transfer-Encoding"):
        values = message.get_all(name, [])
        if len(values) > 1:
            raise Unreadable(f"the mail has more than one {name}")
        if not all(isinstance(value, str) for value in values):
            raise Unreadable(f"the mail has a {name} that is not ASCII")
    encoding = str(message.get("Content-Transfer-Encoding", "")).strip().lower()
    if encoding not in _ENCODINGS:
        raise Unreadable(f"the mail is encoded as {encoding!r}")
    if message.is_multipart() or message.get_content_type() != "text/plain":
        raise Unreadable(f"the mail is {message.get_content_type()}, not text/plain")
    _check_parameters(message)
    payload = message.get_payload(decode=True)
    assert isinstance(payload, bytes)
    if b"\0" in payload or b"\0" in mail:
        raise Unreadable("the mail has NUL bytes")
    return payload.decode(errors="surrogateescape")


def _check_parameters(message: Message) -> None:
    """format=flowed joins lines, and a charset such as UTF-7 makes other characters of them."""
    if "*" in message.get("Content-Type", ""):
        raise Unreadable("the mail has parameters in pieces or in another charset (RFC 2231)")
    for name, value in message.get_params([])[1:]:
        if name == "charset" and value.lower() not in _CHARSETS:
            raise Unreadable(f"the mail has the charset {value!r}")
        if name == "format" and value.lower() != "fixed":
            raise Unreadable(f"the mail has format={value!r}")


def _net(files: Iterable[FileDiff]) -> dict[str, tuple[str | None, str | None]]:
    """What all the diffs of one mail come to; git writes a change of type as deleted and added."""
    removed: dict[str, str | None] = {}
    written: dict[str, str | None] = {}
    for file in files:
        for path, mode, seen, touches in (
            (file.old_path, file.old_mode, removed, file.kind is not Kind.COPIED),
            (file.new_path, file.new_mode, written, True),
        ):
            if path is not None and touches:
                if path in seen:
                    raise Unreadable("is changed twice in one patch", path)
                seen[path] = mode
    return {
        path: (removed.get(path, ABSENT), written.get(path, ABSENT))
        for path in sorted(removed.keys() | written.keys())
    }


# --- one file -------------------------------------------------------------------------------------


def _check_file(file: FileDiff) -> None:
    for path in sorted(file.paths):
        if why := what_is_wrong_with(path):
            raise Unreadable(why, path)
    for mode in (file.old_mode, file.new_mode):
        if mode == GITLINK:
            raise Unreadable("is a submodule", file.path)
        if mode not in (None, FILE, PROGRAM, SYMLINK):
            raise Unreadable(f"has the mode {mode}, which git does not write", file.path)
    target = "".join(file.added) if file.new_mode == SYMLINK else ""
    if target and (why := what_is_wrong_with_target(file.path, target)):
        raise Unreadable(why, file.path)
    if posixpath.basename(file.path).lower() == ".gitattributes":
        for line in file.added:
            _check_attributes(line, file.path)


def what_is_wrong_with(path: str) -> str | None:
    """Why no patch may touch this path, None when it may."""
    parts = path.split("/")
    if path.startswith("/"):
        return "is an absolute path"
    if any(part in (".", "..") for part in parts):
        return "leads out of the tree" if ".." in parts else "has a . in its path"
    folded = [_folded(part) for part in parts]
    if any(part == ".git" or _SHORT_NAME.fullmatch(part) for part in folded):
        return "leads into a .git"
    for part in folded:
        if part in _TOOL_FILES:
            return _TOOL_FILES[part]
    if any("\ud800" <= char <= "\udfff" for char in path):
        return "is not UTF-8"
    if not path.isprintable():
        return "has control characters or invisible ones in its name"
    if "" in parts:
        return "has an empty part in its path"
    if "\\" in path or '"' in path:
        return "has a backslash or a quote in its name"
    if len(parts) > DEPTH_LIMIT:
        return "is in too many folders"
    encoded = [part.encode() for part in parts]
    if max(map(len, encoded)) > NAME_LIMIT or sum(map(len, encoded)) + len(parts) > PATH_LIMIT:
        return "has a name that is too long"
    return None


def _folded(name: str) -> str:
    """A name as the least careful file system reads it: HFS+ (what is invisible, and case, does
    not count) and NTFS (dots and blanks at the end, and what follows a colon, do not).
    """
    seen = "".join(char for char in name if unicodedata.category(char) != "Cf")
    return unicodedata.normalize("NFKC", seen).casefold().split(":", 1)[0].rstrip(" .") or name


def what_is_wrong_with_target(path: str, target: str) -> str | None:
    """Why no symbolic link at ``path`` may point there, None when it may.

    ``..`` may only stand in front: behind a name that is a link itself it leads elsewhere than
    it seems to.
    """
    parts = [part for part in target.split("/") if part not in ("", ".")]
    ups = next((at for at, part in enumerate(parts) if part != ".."), len(parts))
    place = posixpath.normpath(posixpath.join(posixpath.dirname(path), target))
    if not target or not target.isprintable():
        return f"is a link to {target!r}"
    if target.startswith("/") or place.split("/")[0] == ".." or ".." in parts[ups:]:
        return f"is a link out of the tree, to {target!r}"
    if place != "." and (why := what_is_wrong_with(place)):
        return f"is a link to {target!r}, which {why}"
    return None


def _check_attributes(line: str, path: str) -> None:
    words = line.split()
    if not words or words[0].startswith("#"):
        return
    for word in words[1:]:
        if not _HARMLESS_ATTRIBUTE.fullmatch(word):
            raise Unreadable(
                f"sets {word!r}: attributes make git run filters and change what files hold", path
            )


def _check_ways(one: Announced, links: set[str]) -> None:
    """Nothing is written through a symbolic link that the series itself brings."""
    for path in one.modes:
        parts = path.split("/")
        for depth in range(1, len(parts)):
            if (link := "/".join(parts[:depth])) in links:
                raise Unreadable(f"goes through the link {link} of the series itself", path)


# --- after git am ---------------------------------------------------------------------------------


def check_landed(
    announced: Announced, landed: Sequence[Change], patch: str, *, three_way: bool
) -> None:
    """Raises PatchError unless a commit changes what its mail said, and nothing else.

    A 3-way merge may leave out what the base has already.
    """
    made = {change.path: change for change in landed}
    for path in sorted(made.keys() | announced.modes.keys()):
        change = made.get(path)
        if path not in announced.modes:
            assert change is not None
            raise refused(f"the mail does not name it, its commit {_did(change)}", patch, path)
        old, new = announced.modes[path]
        if change is None:
            if not three_way:
                raise refused(f"the mail {_said(old, new)}, its commit does not", patch, path)
        elif not _fits(old, new, change):
            raise refused(f"the mail {_said(old, new)}, its commit {_did(change)}", patch, path)


def _fits(old: str | None, new: str | None, change: Change) -> bool:
    """Where no change of mode is announced, the tree's own mode counts, but must not change."""
    if not _changes_mode(old, new):
        return change.old_mode == change.new_mode
    return all(
        there == said if said is not None else there != ABSENT
        for said, there in ((old, change.old_mode), (new, change.new_mode))
    )


def _changes_mode(old: str | None, new: str | None) -> bool:
    return ABSENT in (old, new) or (None not in (old, new) and old != new)


def _said(old: str | None, new: str | None) -> str:
    if not _changes_mode(old, new):
        return "changes its content"
    return f"takes it from mode {old or 'any'} to {new or 'any'}"


def _did(change: Change) -> str:
    return _said(change.old_mode, change.new_mode)


def check_change(change: Change, target: str, patch: str) -> None:
    """Raises PatchError for what git lets land; ``target`` is a symbolic link's.

    A mail that only renames a link does not show where it leads.
    """
    if change.new_mode == GITLINK:
        raise refused("is a submodule", patch, change.path)
    if change.new_mode != ABSENT and not change.path.isprintable():
        raise refused("has control characters in its name", patch, change.path)
    if change.new_mode == SYMLINK and (why := what_is_wrong_with_target(change.path, target)):
        raise refused(why, patch, change.path)


# --- what a reader should know --------------------------------------------------------------------


def attention(landed: Sequence[Change]) -> tuple[str, ...]:
    """What is allowed and worth a look: code that runs when the kernel is built, and new modes."""
    found = []
    for change in landed:
        notes = []
        if change.new_mode == SYMLINK:
            notes.append("a symbolic link")
        elif change.new_mode == PROGRAM and change.old_mode != PROGRAM:
            notes.append("becomes executable")
        elif change.old_mode == PROGRAM and change.new_mode == FILE:
            notes.append("is executable no longer")
        if change.new_mode != ABSENT and runs_at_build(change.path):
            notes.append("takes part in the build itself")
        if notes:
            found.append(f"{change.path} ({', '.join(notes)})")
    return tuple(found)


def runs_at_build(path: str) -> bool:
    """Whether a kernel's build reads this file as instructions, by its name."""
    name = posixpath.basename(path)
    return _BUILD_FOLDERS.match(path) is not None or any(
        fnmatchcase(name, pattern) for pattern in _BUILD_NAMES
    )
