# SPDX-License-Identifier: GPL-2.0-or-later
"""What a user may name as a series, and how mails on disk become one mailbox.

Every local form (mbox, maildir, patch files) is turned into one mboxrd, the format that
public-inbox serves and ``git am --patch-format=mboxrd`` reads (mbox(5), git-mailsplit(1)), so that
what comes after does not depend on how the mails were kept.
"""

from __future__ import annotations

import re
import stat
from collections.abc import Iterable, Sequence
from pathlib import Path
from urllib.parse import unquote, urlsplit

from kverdict.errors import ExitStatus, UserError
from kverdict.models import SourceKind

SIZE_LIMIT = 64 << 20  # b4 needs about nine times the size in memory
PATCH_SUFFIXES = (".patch", ".eml")
SEPARATOR = b"From mboxrd@z Thu Jan  1 00:00:00 1970\n"

# RFC 5322 atoms and what real message-ids have beside them; never a blank, a bracket or a control
# character, and no leading dash, which a program could take for an option.
_MESSAGE_ID = re.compile(
    r"(?!-)[A-Za-z0-9!#$%&'*+/=?^_`{|}~.:\[\]-]{1,200}@[A-Za-z0-9.:\[\]_-]{1,100}"
)
_HEADER_LINE = re.compile(rb"[!-9;-~]+:")  # RFC 5322 2.2: printable ASCII except the colon
_ESCAPED_IN_MBOXRD = re.compile(rb"^(?=>*From )", re.MULTILINE)
_BARE_DIFF = re.compile(rb"(diff --git |--- \S|Index: )")
_MARKUP = re.compile(rb"\s*<(!doctype|html|\?xml|head|body)", re.IGNORECASE)


def classify(asked: Sequence[str]) -> SourceKind:
    """What kind of thing was named; looks at names and at what kind of file they are, no more.

    Something that exists on disk is taken as that; ``<...>`` is always a message-id.  A word with
    ``..`` is a range of commits unless it has the form of a message-id.  Raises UserError.
    """
    if not asked:
        raise UserError("no series is named", "give a message-id, a mailbox, patches or A..B")
    if len(asked) > 1:
        for name in asked:
            if not _is_file(name):
                raise UserError(f"{name} is not a file", "several arguments are patch files")
        return SourceKind.PATCH_FILES
    (word,) = asked
    if word.startswith("<") or "://" in word:
        return SourceKind.MESSAGE_ID
    mode = _mode(word)
    if mode is not None:
        return _kind_on_disk(Path(word), mode)
    if ".." in word and not _looks_like_message_id(word):
        return SourceKind.REV_RANGE
    if "@" in word:
        return SourceKind.MESSAGE_ID
    raise UserError(
        f"{word}: no such file", "a series is a message-id, a mailbox, patches or a range A..B"
    )


def _looks_like_message_id(word: str) -> bool:
    # @{upstream} and a lone @ are git's (gitrevisions(7)), not a mail host.
    ends = word.split("..")
    return "@{" not in word and "@" in word and "@" not in ends


def _kind_on_disk(path: Path, mode: int) -> SourceKind:
    if stat.S_ISDIR(mode):
        if (path / "cur").is_dir() and (path / "new").is_dir():
            return SourceKind.MAILDIR
        return SourceKind.PATCH_FILES
    if not stat.S_ISREG(mode):
        raise UserError(f"{path} is neither a file nor a folder", "name a mailbox or patch files")
    return SourceKind.PATCH_FILES if path.suffix in PATCH_SUFFIXES else SourceKind.MBOX


def _mode(name: str) -> int | None:
    try:
        return Path(name).stat().st_mode
    except (OSError, ValueError):  # also a name that is too long or has a NUL
        return None


def _is_file(name: str) -> bool:
    mode = _mode(name)
    return mode is not None and stat.S_ISREG(mode)


# --- message-ids --------------------------------------------------------------------------------


def message_id_of(word: str) -> str:
    """The bare message-id in a message-id, ``<message-id>`` or URL of any archive or patchwork.

    Only the id is taken from a URL: which server is asked is a setting, never the argument's.
    Raises UserError.
    """
    found = _from_url(word) if "://" in word else word.strip()
    found = re.sub(r"^(?:rfc822msgid|id|mid):", "", found.strip("<>"))
    if not _MESSAGE_ID.fullmatch(found):
        raise UserError(
            f"{word!r} is not a message-id",
            "it has the form name@host, with or without <>, or is a URL with one in its path",
        )
    return found


def _from_url(url: str) -> str:
    try:
        parts = urlsplit(url).path.split("/")
    except ValueError:  # "http://[": not a URL after all
        return ""
    return next((word for part in parts if "@" in (word := unquote(part))), "")


# --- mails on disk ------------------------------------------------------------------------------


def read_mails(kind: SourceKind, asked: Sequence[str]) -> bytes:
    """All mails of an mbox, a maildir or patch files as one mboxrd, in the order they are named.

    In a folder that is the order of the file names.  Raises UserError with BAD_MAILBOX.
    """
    if kind is SourceKind.MAILDIR:
        files = _maildir_files(Path(asked[0]))
        return _joined(_one_mail(_read(file)) for file in files)
    paths = [file for name in asked for file in _patch_files(Path(name))]
    return _joined(_mailbox(_read(path), path) for path in paths)


def one_mailbox(content: bytes, name: str) -> bytes:
    """``content`` as an mboxrd when it is a mailbox or a single mail; ``name`` is for the error."""
    return _joined([_mailbox(content, Path(name))])


def _joined(mails: Iterable[bytes]) -> bytes:
    whole = bytearray()
    for mail in mails:
        whole += mail if mail.endswith(b"\n") else mail + b"\n"
        if len(whole) > SIZE_LIMIT:
            raise _bad(f"the mails are over {SIZE_LIMIT >> 20} MiB", "name fewer of them")
    return bytes(whole)


def _maildir_files(folder: Path) -> list[Path]:
    files = sorted(
        (file for sub in ("cur", "new") for file in (folder / sub).iterdir() if file.is_file()),
        key=lambda file: file.name,
    )
    if not files:
        raise _bad(f"the maildir {folder} has no mails", "name one that has")
    return files


def _patch_files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    files = sorted(file for file in path.iterdir() if file.suffix in PATCH_SUFFIXES)
    if not files:
        raise _bad(
            f"the folder {path} has no patches ({', '.join(PATCH_SUFFIXES)})",
            "make them with git format-patch",
        )
    return files


def _read(path: Path) -> bytes:
    try:
        if path.stat().st_size > SIZE_LIMIT:
            raise _bad(f"{path} is over {SIZE_LIMIT >> 20} MiB", "cut the thread out of it")
        return path.read_bytes()
    except OSError as error:
        raise _bad(f"{path} cannot be read ({error.strerror})", "check the path") from error


def _mailbox(content: bytes, path: Path) -> bytes:
    problem = what_is_wrong(content)
    if problem is not None:
        raise _bad(f"{path} {problem[0]}", problem[1])
    return content if content.startswith(b"From ") else _one_mail(content)


def _one_mail(content: bytes) -> bytes:
    """A mail that came without a separator line, as public-inbox would write it."""
    return SEPARATOR + _ESCAPED_IN_MBOXRD.sub(b">", content.rstrip(b"\n")) + b"\n\n"


def what_is_wrong(content: bytes) -> tuple[str, str] | None:
    """Why this is no mailbox and no mail, with a remedy; None when it looks like one."""
    head = content[:4096]
    if not head.strip():
        return "is empty", "save the mails again"
    if head.startswith(b"\x1f\x8b"):
        return "is compressed", "unpack it with gunzip first"
    if b"\0" in head:
        return "is a binary file", "name a mailbox or patch files"
    if _MARKUP.match(head):
        return "is a web page", "save the thread's mbox (t.mbox.gz, unpacked) instead"
    if _BARE_DIFF.match(head):
        return "is a bare diff without author and message", "use git format-patch"
    if not (head.startswith(b"From ") or _HEADER_LINE.match(head)):
        return "is not a mailbox", "name a mailbox or patch files"
    return None


def _bad(problem: str, remedy: str) -> UserError:
    return UserError(problem, remedy, status=ExitStatus.BAD_MAILBOX)
