# SPDX-License-Identifier: GPL-2.0-or-later
"""Mails that nobody has sent yet: a Draft, and what it is as an .eml file or a mailbox.

Headers and text come from strangers' mails, from logs and from guests.  What a header may not hold
(RFC 5322, RFC 2047) is escaped, dropped or cut here, once, and ``fit`` tells what was.  The text is
plain and its lines are the author's: ``format=flowed`` (RFC 3676) is not declared, so that no
reader joins the lines of a diff.
"""

from __future__ import annotations

import quopri
import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from email.charset import QP, Charset
from email.header import Header
from email.utils import format_datetime
from typing import NamedTuple

from rich.cells import cell_len

from kverdict.mails import SEPARATOR
from kverdict.models import Frozen
from kverdict.runs import digest_of, slugify
from kverdict.text import counted, one_line, printable, shorten

COLUMNS = 72  # of prose; RFC 5322 2.1.1 says 78, and a quote of a quote has to fit
RECIPIENTS_AT_MOST = 100
REFERENCES_AT_MOST = 50
BODY_AT_MOST = 100_000  # characters; lists hold back what is longer
SUBJECT_AT_MOST = 500  # characters
NAME_AT_MOST = 80  # terminal columns of a display name
LINE_AT_MOST = 998  # bytes of a line without its end, RFC 5322 2.1.1

_CUT = "\n\n[the rest of this text is left out]\n"
_ADDRESS = re.compile(r"(?!-)[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]{1,64}@[A-Za-z0-9.:\[\]_-]{1,255}")
_NAMED = re.compile(r"(?P<name>.*?)\s*<(?P<address>[^<>]*)>", re.DOTALL)
_MESSAGE_ID = re.compile(r"[!-;=?-~]{1,250}@[!-;=?-~]{1,250}")  # printable ASCII but for <>
_ATOMS = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~ -]+")  # a display name without quotes
_ESCAPED_IN_MBOXRD = re.compile(rb"^(?=>*From )", re.MULTILINE)
_DIFF = re.compile(r"diff --git |--- [a/]|@@ -")
_VERBATIM = re.compile(r">|\| |[ \t]|#|-- $|(?:[A-Z][A-Za-z-]*-by|Link|Closes|Fixes|Cc): ")
_ITEM = re.compile(r"(?:[*-]|\d+[.)]) +")


class Draft(Frozen):
    """A mail as its author means it; ids are bare, without ``<>``."""

    subject: str
    body: str  # plain text
    sender: str | None = None  # "Name <address>"; None: git send-email and mutt know who sends
    to: tuple[str, ...] = ()  # "Name <address>" or "address"
    cc: tuple[str, ...] = ()
    in_reply_to: str | None = None
    references: tuple[str, ...] = ()  # the oldest first
    message_id: str | None = None  # None: made of the content
    date: datetime | None = None  # None: whoever sends it sets it
    slug: str = ""  # for a file name; "": from the subject


class Fitted(NamedTuple):
    """A draft that a mail can hold as it is, and what the sender should know about it."""

    draft: Draft
    notes: tuple[str, ...]


def fit(draft: Draft) -> Fitted:
    """Everything that is no header, no address or too much goes, and is told; idempotent."""
    notes: list[str] = []
    sender = None if draft.sender is None else _address(draft.sender, notes)
    to, cc = _recipients(draft.to, draft.cc, notes)
    body = printable(draft.body[: BODY_AT_MOST + 1])  # it grows, and takes its time
    if len(body) > BODY_AT_MOST:
        notes.append(f"the text is cut after {BODY_AT_MOST:,} of {len(draft.body):,} characters")
        body = body[: BODY_AT_MOST - len(_CUT)].rstrip("\n") + _CUT
    subject = one_line(draft.subject[: SUBJECT_AT_MOST + 1])
    if len(subject) > SUBJECT_AT_MOST:
        notes.append(f"the subject is cut after {SUBJECT_AT_MOST} characters")
        subject = subject[:SUBJECT_AT_MOST].rstrip()
    fitted = draft.model_copy(
        update={
            "subject": subject or "(no subject)",
            "body": body.rstrip("\n") + "\n",
            "sender": sender,
            "to": to,
            "cc": cc,
            "in_reply_to": _id(draft.in_reply_to, notes),
            "references": _references(draft.references, notes),
            "message_id": _id(draft.message_id, notes),
        }
    )
    if fitted.message_id is None:
        fitted = fitted.model_copy(update={"message_id": _made_id(fitted)})
    return Fitted(fitted, tuple(notes))


def to_eml(draft: Draft) -> bytes:
    """The mail with its headers encoded, lines ending in LF as git and mutt keep them.

    The same draft gives the same bytes.
    """
    return _bytes(fit(draft).draft)


def to_mbox(drafts: Iterable[Draft]) -> bytes:
    """All of them as one mboxrd, as ``b4`` and ``git am --patch-format=mboxrd`` read it."""
    return b"".join(
        SEPARATOR + _ESCAPED_IN_MBOXRD.sub(b">", to_eml(draft).rstrip(b"\n")) + b"\n\n"
        for draft in drafts
    )


def file_name(number: int, draft: Draft) -> str:
    """ "0001-re-patch-foo.eml", in the order they are meant to be sent, from 1."""
    return f"{number:04}-{slugify(draft.slug or draft.subject)}.eml"


def fold_prose(text: str, columns: int = COLUMNS) -> str:
    """Folds what is prose; a list item is continued under its text.

    Quoted, marked (``| ``) and indented lines, diffs (to the next empty line), trailers, commands
    to a tracker (``#``) and words that are longer stay as they are.
    """
    lines: list[str] = []
    in_diff = False
    for line in printable(text).split("\n"):
        in_diff = bool(line) and (in_diff or _DIFF.match(line) is not None)
        verbatim = in_diff or _VERBATIM.match(line) is not None
        lines += [line] if verbatim else _folded(line, columns)
    return "\n".join(lines)


def _folded(line: str, columns: int) -> list[str]:
    if cell_len(line) <= columns:
        return [line.rstrip()]
    item = _ITEM.match(line)
    mark = item[0] if item else ""
    lines = [mark]
    begun = False
    for word in line[len(mark) :].split():
        joined = f"{lines[-1]} {word}" if begun else lines[-1] + word
        if begun and cell_len(joined) > columns:
            joined = " " * len(mark) + word
            lines.append("")
        lines[-1] = joined
        begun = True
    return lines


# --- what a header may hold ---------------------------------------------------------------------


def parse_address(text: str) -> tuple[str, str] | None:
    """(display name, address), or None when it is none that a mail can be sent to.

    Only ASCII addresses (RFC 5321): one that needs SMTPUTF8 is refused by most lists.
    """
    named = _NAMED.fullmatch(text.strip())
    name, address = (named["name"], named["address"]) if named else ("", text)
    if not _ADDRESS.fullmatch(address.strip()):
        return None
    name = one_line(name)
    if len(name) > 1 and name[0] == name[-1] == '"':
        name = re.sub(r"\\(.)", r"\1", name[1:-1])
    return shorten(name, NAME_AT_MOST), address.strip()


def _address(text: str, notes: list[str]) -> str | None:
    """ "Name <address>" with nothing quoted or encoded yet."""
    parsed = parse_address(text)
    if parsed is None:
        notes.append(f"not an address that can be mailed to, left out: {shorten(text, 60)}")
        return None
    name, address = parsed
    return f"{name} <{address}>" if name else address


def _recipients(
    to: Sequence[str], cc: Sequence[str], notes: list[str]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Each address once, at most so many; To goes before Cc."""
    refused: list[str] = []
    seen: dict[str, None] = {}
    rows: list[list[str]] = [[], []]
    for row, texts in zip(rows, (to, cc), strict=True):
        for text in texts:
            address = _address(text, refused)
            key = (parse_address(address) or ("", ""))[1].lower() if address else ""
            if address is None or key in seen:
                continue
            seen[key] = None
            if len(seen) <= RECIPIENTS_AT_MOST:
                row.append(address)
    notes += refused[:5]
    if refused[5:]:
        notes.append(f"and {counted(len(refused) - 5, 'more such address', 'more such addresses')}")
    if (left := len(seen) - RECIPIENTS_AT_MOST) > 0:
        notes.append(
            f"{counted(left, 'recipient is', 'recipients are')} left out, "
            f"{RECIPIENTS_AT_MOST} are kept: add whom you miss"
        )
    return tuple(rows[0]), tuple(rows[1])


def _id(text: str | None, notes: list[str]) -> str | None:
    if text is None:
        return None
    bare = text.strip().removeprefix("<").removesuffix(">")
    if _MESSAGE_ID.fullmatch(bare):
        return bare
    notes.append(f"not a message-id, left out: {shorten(text, 60)}")
    return None


def _references(ids: Sequence[str], notes: list[str]) -> tuple[str, ...]:
    """In the middle something may go: the first is the thread's root, the last are the parents."""
    kept = tuple(dict.fromkeys(good for text in ids if (good := _id(text, notes)) is not None))
    if len(kept) <= REFERENCES_AT_MOST:
        return kept
    return (kept[0], *kept[1 - REFERENCES_AT_MOST :])


def _made_id(draft: Draft) -> str:
    parsed = parse_address(draft.sender) if draft.sender is not None else None
    host = parsed[1].rpartition("@")[2] if parsed is not None else "kverdict.invalid"
    return f"{digest_of(draft.model_dump(mode='json'))[:32]}.kverdict@{host}"


# --- bytes --------------------------------------------------------------------------------------


def _bytes(draft: Draft) -> bytes:
    body = draft.body.encode()
    encoding = _transfer_encoding(body)
    headers = (
        *_headers(draft),
        "MIME-Version: 1.0",
        "Content-Type: text/plain; charset=utf-8",
        f"Content-Transfer-Encoding: {encoding}",
    )
    head = "".join(f"{header}\n" for header in headers).encode("ascii")
    return head + b"\n" + (quopri.encodestring(body) if encoding == "quoted-printable" else body)


def _headers(draft: Draft) -> Iterator[str]:
    for name, addresses in (("From", (draft.sender,)), ("To", draft.to), ("Cc", draft.cc)):
        if known := [address for address in addresses if address is not None]:
            yield _rows(name, list(_comma_separated(known)))
    yield f"Subject: {_encoded(draft.subject, 'Subject')}"
    if draft.date is not None:
        yield f"Date: {format_datetime(draft.date)}"
    yield f"Message-ID: <{draft.message_id}>"
    if draft.in_reply_to is not None:
        yield f"In-Reply-To: <{draft.in_reply_to}>"
    if draft.references:
        yield _rows("References", [f"<{id}>" for id in draft.references])


def _transfer_encoding(body: bytes) -> str:
    if any(len(line) > LINE_AT_MOST for line in body.split(b"\n")):
        return "quoted-printable"
    return "7bit" if body.isascii() else "8bit"


def _comma_separated(addresses: Sequence[str]) -> Iterator[str]:
    for number, text in enumerate(addresses, start=1):
        shown, address = parse_address(text) or ("", text)
        comma = "," if number < len(addresses) else ""
        yield (f"{_phrase(shown)} <{address}>" if shown else address) + comma


def _rows(name: str, items: Sequence[str]) -> str:
    """Folded between the items (RFC 5322 2.2.3)."""
    rows = [f"{name}: {items[0]}"]
    for item in items[1:]:
        if len(rows[-1]) + 1 + len(item) <= 78:
            rows[-1] += f" {item}"
        else:
            rows.append(f" {item}")
    return "\n".join(rows)


def _phrase(name: str) -> str:
    """A display name: atoms, a quoted string, or encoded words (RFC 2047 5)."""
    if not name.isascii() or "=?" in name:
        # git send-email drops double quotes of one such name and not of another, and then takes
        # the sender for somebody else than the author: "From:" begins the text.
        return _encoded(one_line(name.replace('"', "")), "To")
    if _ATOMS.fullmatch(name):
        return name
    return '"' + re.sub(r'([\\"])', r"\\\1", name) + '"'


def _encoded(text: str, header: str) -> str:
    """Folded; as encoded words when it is not ASCII, or would be taken for one."""
    if text.isascii() and "=?" not in text:
        return Header(text, header_name=header, maxlinelen=78).encode()
    charset = Charset("utf-8")
    charset.header_encoding = QP  # as git send-email writes it: readable where it is ASCII
    return Header(text, charset, header_name=header, maxlinelen=75).encode()
