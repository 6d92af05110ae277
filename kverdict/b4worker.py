# SPDX-License-Identifier: GPL-2.0-or-later
"""One-shot process around b4 0.16 and liblore 0.10, the only module that imports them.

Own process, because b4 keeps its configuration and connection in module globals, calls sys.exit()
inside the library and reads the git configuration of the current folder.  Reads one request as
JSON from stdin, writes one answer as JSON to stdout and files into the current folder; exits with
0 whatever the answer is, unless its own limits end it.  The caller (stages/fetch.py) makes the
environment hermetic and knows what each answer means.  Imports nothing of kverdict, so that it
runs as a file under ``python -I``.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import logging
import os
import re
import resource
import subprocess
import sys
import time
import zlib
from argparse import Namespace
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from email.errors import MessageError
from email.message import EmailMessage
from email.utils import format_datetime, getaddresses, parseaddr, parsedate_to_datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus

import b4
import b4.diff
import b4.mbox
import liblore
import liblore.utils
from requests import ConnectionError, Timeout

SERIES = "series.mbx"
THREAD = "thread.mbx"
COVER = "cover.txt"
RANGE_DIFF = "range-diff.txt"
LOG = "b4.log"

CPU_SECONDS = 120
FILE_LIMIT = 256 << 20
ATTESTATION_SECONDS = 30.0
SEARCH_SECONDS = (5, 60)  # to connect, and for each piece of the answer
STALENESS_DAYS = 30  # b4's own default for how far a signature's time may be from the mail's
YEARS = range(1990, 2100)
HEAD_AT_MOST = 1 << 20  # bytes of a mail in which its Message-ID is looked for
BODY_AT_MOST = 1 << 20  # characters of a mail that a reply may quote from
QUOTED_AT_MOST = 20_000  # characters in which the first paragraph is looked for

_ESCAPED_IN_MBOXRD = re.compile(rb"^(?=>*From )", re.MULTILINE)
_REFERENCE = re.compile(r"<([^<>\s]+)>")
_MESSAGE_ID = re.compile(r"<[^<>\s]+>")
# int() takes no more than 4300 digits; such a diffstat is none.
_DIFFSTAT = re.compile(
    r"^ (?P<files>[0-9]{1,9}) files? changed(?:, (?P<added>[0-9]{1,9}) insertions?\(\+\))?"
    r"(?:, (?P<removed>[0-9]{1,9}) deletions?\(-\))?$",
    re.MULTILINE,
)
_BASE_COMMIT = re.compile(r"^base-commit: ([0-9a-f]{64}|[0-9a-f]{40})\s*$", re.MULTILINE)
_PREREQUISITE = re.compile(r"^prerequisite-patch-id: ([0-9a-f]{40})\s*$", re.MULTILINE)
_CHANGE_ID = re.compile(r"^change-id: (\S+)\s*$", re.MULTILINE)

Answer = dict[str, Any]


class Ended(Exception):
    """The work ended early, with this status and what is known about it."""

    def __init__(self, status: str, detail: str = "", **known: Any) -> None:
        super().__init__(status)
        self.answer: Answer = {"status": status, "detail": plain(detail)[:400], **known}


def printable(text: str) -> str:
    """Without control characters, and without the lone surrogates that no JSON reader takes."""
    return re.sub(r"[\x00-\x1f\x7f-\x9f]+", " ", text.encode("utf-8", "replace").decode())


def plain(text: str) -> str:
    """One line with single blanks."""
    return " ".join(printable(text).split())


def plain_lines(text: str) -> str:
    lines = [printable(line.expandtabs()).rstrip() for line in text.splitlines()]
    return "\n".join(lines).strip("\n") + "\n"


# --- where the mails come from ------------------------------------------------------------------


def thread_from_archive(message_id: str) -> tuple[list[EmailMessage], dict[str, str]]:
    """The thread of a mail, and who wrote each mail around it, also what b4 leaves out.

    Through liblore, because b4's own wrapper gives None for each error.
    """
    raw = ask(lambda: b4.get_lore_node().get_mbox_by_msgid(message_id, nocache=True))
    there = b4.split_and_dedupe_pi_results(raw)
    if not there:
        raise Ended("nonsense", "there is no mail in it")
    mails = readable(there)
    if message_id in map(id_of, there) and message_id not in map(id_of, mails):
        raise Ended("refused", "its subject cannot be read")
    # b4 takes "[PATCH 1/1]" for a lone patch and leaves out the cover letter that it answers.
    first = cover_of(mails, message_id) or message_id
    thread: list[EmailMessage] | None = b4.get_strict_thread(mails, first)
    if not thread:
        raise Ended("nonsense", "the thread it sent does not have that mail")
    return thread, senders_of(mails)


def cover_of(mails: Sequence[EmailMessage], message_id: str) -> str | None:
    """The cover letter that the numbered patch with that id answers."""
    by_id = {id_of(mail): mail for mail in mails}
    patch = by_id.get(message_id)
    parent = b4.LoreMessage.get_clean_msgid(patch, header="In-Reply-To") if patch else None
    if patch is None or parent not in by_id:
        return None
    one, other = (b4.LoreSubject(str(mail.get("Subject", ""))) for mail in (patch, by_id[parent]))
    numbered = not one.counters_inferred and one.counter > 0 and other.counter == 0
    same = (one.revision, one.expected) == (other.revision, other.expected)
    return str(parent) if numbered and same and not (one.reply or other.reply) else None


def ask(request: Any) -> bytes:
    """The archive's answer to one request, or Ended that says whether to try again."""
    try:
        return bytes(request())
    except liblore.RemoteError as error:
        code = error.status_code
        if code == 404:
            raise Ended("not-found") from error
        if code is None or code == 429 or code >= 500:
            words = f"HTTP status {code}" if code else innermost(error)
            raise Ended("unreachable", words) from error
        raise Ended("nonsense", f"HTTP status {code}") from error
    except liblore.LibloreError as error:
        raise Ended("unreachable", str(error)) from error
    except (OSError, EOFError, zlib.error) as error:
        # requests' errors are OSErrors too; gzip.BadGzipFile is what a web page gives.
        raise Ended("nonsense", str(error)) from error


def innermost(error: BaseException) -> str:
    """What the socket said, without the URL and the layers around it."""
    while error.__cause__ is not None or error.__context__ is not None:
        error = error.__cause__ or error.__context__ or error
    return str(error)


def mails_from_file(path: Path) -> list[EmailMessage]:
    """Local mails, completed where b4 is stricter than git am."""
    mails: list[EmailMessage] = []
    for raw in liblore.utils.split_mbox_as_bytes(path.read_bytes()):
        mail = liblore.utils.parse_message(raw)
        if not readable([mail]):
            continue
        if not has_usable_id(mail):
            # git format-patch writes one only when it threads.
            del mail["Message-ID"]
            mail["Message-ID"] = f"<{hashlib.sha256(raw).hexdigest()[:32]}@kverdict.invalid>"
        mails.append(mail)
    number(mails)
    return mails


def drop_unreadable_headers(mail: EmailMessage) -> None:
    """Removes what Python's header parser fails at, b4 with it: then there is no such header.

    It has no error of its own for many of them: 'From: "' ends in an IndexError.
    """
    for name in {name.lower() for name, _ in mail.raw_items()}:
        try:
            mail.get_all(name)
        except (AttributeError, LookupError, TypeError, ValueError, ArithmeticError, MessageError):
            del mail[name]


def readable(mails: Iterable[EmailMessage]) -> list[EmailMessage]:
    """Those that b4 can read, without the headers that nobody can."""
    kept = []
    for mail in mails:
        drop_unreadable_headers(mail)
        if has_readable_subject(mail):
            kept.append(mail)
    return kept


def has_readable_subject(mail: EmailMessage) -> bool:
    """b4 takes "v" and any number of digits for a revision, int() no more than 4300 of them."""
    try:
        b4.LoreSubject(str(mail.get("Subject", "")))
    except ValueError:
        return False
    return True


def has_usable_id(mail: EmailMessage) -> bool:
    # Unparsed: Python's header parser raises IndexError for "<<<>>>".
    raw = [value for name, value in mail.raw_items() if name.lower() == "message-id"]
    return bool(raw) and _MESSAGE_ID.fullmatch(str(raw[0]).strip()) is not None


def number(mails: Sequence[EmailMessage]) -> None:
    """Gives ``[PATCH k/n]`` to unnumbered patches of one mailbox (git format-patch -N).

    b4 takes two unnumbered patches of one author for two revisions of one patch.  A thread is
    left alone: there that is what they are.
    """
    patches = [mail for mail in mails if b4.DIFF_RE.search(b4.LoreMessage.get_payload(mail)[0])]
    subjects = [b4.LoreSubject(mail.get("Subject", "")) for mail in patches]
    threaded = any(mail.get("In-Reply-To") or mail.get("References") for mail in patches)
    revisions = {subject.revision for subject in subjects}
    numbered = any(not subject.counters_inferred for subject in subjects)
    if len(patches) > 1 and len(revisions) == 1 and not threaded and not numbered:
        b4.LoreSeries.renumber_patches(patches)


def mend_dates(mails: Iterable[EmailMessage]) -> None:
    """Replaces missing and impossible dates: b4 would take today's or fail, git am would fail.

    The earliest good date of the thread stands in, else 1990.  Good ones are not touched, since
    signatures cover them.
    """
    mails = list(mails)
    dates = [date_of(mail) for mail in mails]
    stand_in = min(
        (date for date in dates if date), default=datetime(YEARS.start, 1, 1, tzinfo=UTC)
    )
    for mail, date in zip(mails, dates, strict=True):
        if date is None:
            del mail["Date"]
            mail["Date"] = format_datetime(stand_in)


def date_of(mail: EmailMessage) -> datetime | None:
    try:
        date = parsedate_to_datetime(str(mail["Date"]))
        date = date if date.tzinfo else date.replace(tzinfo=UTC)
        return date if date.astimezone(UTC).year in YEARS else None
    except (ValueError, TypeError, OverflowError, IndexError):
        return None


# --- the series in them -------------------------------------------------------------------------


def series_task(request: Answer) -> Answer:
    local = request["mbox"] is not None
    if local:
        mails = mails_from_file(Path(request["mbox"]))
        senders = senders_of(mails)
    else:
        mails, senders = thread_from_archive(request["message_id"])
    write_mboxrd(Path(THREAD), mails)
    mend_dates(mails)
    apart = asides(mails, senders)
    if request["message_id"] in apart and request.get("series_only"):
        raise Ended("aside")
    apart.discard(request["message_id"])  # what was asked for by its id, whatever it answers
    box = b4.LoreMailbox()
    for mail in filter(has_usable_id, mails):
        if id_of(mail) not in apart:
            box.add_message(mail)
    series, revision = pick(box, request["revision"])
    newest = max(box.series)
    if not local:
        newest = max(newest, newest_in_archive(mails))
    check_whole(series, request["max_patches"], sorted(box.series))
    # Before anything is read from the bodies: what a signature does not cover (l=) is cut off.
    attestations = attest(series.patches[1:], request["policy"], ATTESTATION_SECONDS)
    bodies = {id(patch): patch.body for patch in series.patches if patch}
    b4.get_main_config()["attestation-policy"] = "off"  # that was it: b4 need not look again
    ready = series.get_am_ready()  # sys.exit() on Unicode control characters
    patches = [
        describe(patch, mail, bodies[id(patch)], attestation)
        for patch, mail, attestation in zip(series.patches[1:], ready, attestations, strict=True)
    ]
    with Path(SERIES).open("wb") as stream:
        b4.save_git_am_mbox(ready, stream)
    cover = series.patches[0]
    if cover is not None:
        Path(COVER).write_text(plain_lines(bodies[id(cover)]), encoding="utf-8")
    return {
        "status": "ok",
        "revision": revision,
        "newest_revision": newest,
        "message_id": cover.msgid if cover else patches[0]["message_id"],
        "asked_revision": revision_of(box, request["message_id"]),
        "subject": plain(series.subject),
        "author": address(series.fromname, series.fromemail),
        "answers": senders.get(series.patches[1].in_reply_to),
        "patches": patches,
        **trailing_lines("\n".join(bodies[id(p)] for p in series.patches[:2] if p)),
    }


def asides(mails: Sequence[EmailMessage], senders: dict[str, str]) -> set[str]:
    """Message-ids of lone patches, without number or revision, that answer somebody else's mail.

    b4 would count "[PATCH] how about this instead?" into the series that it is an answer to.
    """
    found = set()
    for mail in mails:
        subject = b4.LoreSubject(str(mail.get("Subject", "")))
        lone = subject.counters_inferred and subject.revision_inferred
        parent = b4.LoreMessage.get_clean_msgid(mail, header="In-Reply-To")
        other = senders.get(str(parent), "") not in ("", sender_of(mail))
        if lone and other and not subject.reply:
            found.add(id_of(mail))
    return found


def senders_of(mails: Iterable[EmailMessage]) -> dict[str, str]:
    """The sender of each mail by its message-id."""
    return {id_of(mail): sender_of(mail) for mail in mails}


def id_of(mail: EmailMessage) -> str:
    return str(b4.LoreMessage.get_clean_msgid(mail) or "")


def sender_of(mail: EmailMessage) -> str:
    """The address of its From, in small letters; "" when it has none."""
    return plain(parseaddr(str(mail.get("From", "")))[1]).lower()


def pick(box: Any, revision: int | None) -> tuple[Any, int]:
    """The asked revision, else the highest; b4 itself would take the one with the latest date."""
    if not box.series:
        raise Ended("no-patches")
    seen = sorted(box.series)
    if revision is not None and revision not in seen:
        raise Ended("no-such-revision", revisions=seen)
    wanted = max(seen) if revision is None else revision
    # Trailers come from this thread only: what the rest of the archive says is not this series.
    series = box.get_series(revision=wanted, codereview_trailers=False)
    if series is None:
        raise Ended("no-patches")
    return series, wanted


def newest_in_archive(mails: list[EmailMessage]) -> int:
    """The highest revision that b4's search for newer ones finds; 0 when it cannot say."""
    known = len(mails)
    try:
        found = b4.mbox.get_extra_series(list(mails), direction=1, nocache=True)[known:]
    except (OSError, EOFError, zlib.error, ValueError, LookupError, liblore.LibloreError):
        return 0  # an archive without a search index is still good for the thread
    subjects = [b4.LoreSubject(mail.get("Subject", "")) for mail in readable(found)]
    return max((subject.revision for subject in subjects if not subject.reply), default=0)


def revision_of(box: Any, message_id: str | None) -> int | None:
    """The revision of the very mail that was asked for, None for a reply."""
    mail = box.msgid_map.get(message_id)
    return None if mail is None or mail.reply else int(mail.revision)


def check_whole(series: Any, most: int, revisions: list[int]) -> None:
    """Raises Ended unless there is exactly one mail for each number from 1 to the last."""
    if series.expected > most:
        raise Ended("too-many-patches", expected=series.expected)
    missing = [number for number, patch in enumerate(series.patches) if number and patch is None]
    counters = [patch.counter for patch in series.patches[1:] if patch]
    twice = sorted({number for number in counters if counters.count(number) > 1})
    if twice:
        # b4 would take both into the series and count one patch more.
        raise Ended("ambiguous", numbers=twice, expected=max(counters))
    if missing:
        raise Ended("incomplete", numbers=missing, expected=series.expected, revisions=revisions)


def attest(patches: Sequence[Any], policy: str, seconds: float) -> list[Answer]:
    """Our own rule: one signature passes and none is by somebody else than the From.

    b4's verdict passes unsigned mail, unknown keys and any other domain's DKIM signature.  DKIM
    asks the name server for each mail; when that is slow, the rest counts as not checked.
    """
    until = time.monotonic() + seconds
    found = []
    for patch in patches:
        if policy == "off":
            found.append(unattested())
        elif time.monotonic() >= until:
            found.append(unattested(f"not checked (over {seconds:.0f} s)"))
        else:
            found.append(attestation_of(patch, policy))
    return found


def unattested(*words: str) -> Answer:
    return {"attested": False, "results": [plain(word) for word in words]}


def attestation_of(patch: Any, policy: str) -> Answer:
    try:
        found, _, _ = patch.get_attestation_status(policy, STALENESS_DAYS)
    except (OSError, ValueError, LookupError, AssertionError) as error:  # e.g. no gpg
        return unattested(f"not checked ({error})")
    words = [
        attestation_words(one, attestor)
        for one, attestor in zip(found, patch.attestors, strict=True)
    ]
    passing = any(one["passing"] for one in found)
    mismatch = any("mismatch" in one for one in found)
    return {"attested": passing and not mismatch, "results": words}


def attestation_words(one: Answer, attestor: Any) -> str:
    if not one["passing"] and attestor.mode == "DKIM" and attestor.errors:
        # The key could not be asked for; b4 calls that a bad signature.
        return plain(f"not checked {one['identity']} ({attestor.errors[0]})")
    other = " (not the From)" if "mismatch" in one else ""
    return plain(f"{one['status']} {one['identity']}{other}")


def describe(patch: Any, mail: EmailMessage, body: str, attestation: Answer) -> Answer:
    """One patch as git am will see it: author and subject may come from the mail's body."""
    ready = mail.get_payload(decode=True)
    assert isinstance(ready, bytes)
    check_diff(ready, patch)
    text = ready.decode(errors="replace")
    author = plain(str(mail["From"]))
    subject = plain(b4.LoreSubject(str(mail["Subject"])).subject)
    for there, what in (("@" in author, "From"), (subject, "Subject")):
        if not there:
            known = {"numbers": [patch.counter], "expected": patch.expected}
            raise Ended("damaged", f"it has no {what}", **known)
    before = trailers(body)
    return {
        "number": patch.counter,
        "message_id": plain(patch.msgid),
        "subject": subject,
        "author": author,
        "date": patch.date.isoformat(),
        "patch_id": b4.LoreMessage.get_patch_id(text),
        "blobs": [
            {"old_path": old, "preimage": blob, "new_path": new}
            for old, blob, new, _mode in sorted(b4.LoreMessage.get_indexes(text))
        ],
        "attestation": attestation,
        "trailers_added": [one for one in trailers(text) if one not in before],
    }


def trailers(body: str) -> list[str]:
    message = body.split("\n---\n", 1)[0]
    return [plain(one.as_string()) for one in b4.LoreMessage.find_trailers(message)[0]]


def check_diff(body: bytes, patch: Any) -> None:
    """Raises Ended when git cannot read the diff: cut off, or its lines wrapped by a mailer."""
    done = subprocess.run(["git", "apply", "--numstat"], input=body, capture_output=True)
    if done.returncode:
        words = done.stderr.decode(errors="replace").strip().removeprefix("error: ")
        # git 2.39 dies without a word of a `diff --git` line of a megabyte.
        why = words or f"git apply ended with {done.returncode}"
        raise Ended("damaged", why, numbers=[patch.counter], expected=patch.expected)
    if missing := what_is_cut_off(body.decode(errors="replace"), done.stdout.decode()):
        raise Ended("damaged", missing, numbers=[patch.counter], expected=patch.expected)


def what_is_cut_off(body: str, numstat: str) -> str:
    """Says what is missing when the diff has less than its own diffstat tells, else "".

    A mail that was cut between two hunks or files is a well-formed diff of less.
    """
    told = _DIFFSTAT.search(body.split("\ndiff --git ", 1)[0])
    if told is None:
        return ""
    rows = [line.split("\t") for line in numstat.splitlines()]
    there = (len(rows), *(sum(int(row[at]) for row in rows if row[at] != "-") for at in (0, 1)))
    said = tuple(int(told[name] or 0) for name in ("files", "added", "removed"))
    if all(have >= count for have, count in zip(there, said, strict=True)):
        return ""
    return (
        f"its diffstat tells of {said[0]} files, {said[1]}+ and {said[2]}- lines; "
        f"there are {there[0]}, {there[1]}+ and {there[2]}-"
    )


def trailing_lines(text: str) -> Answer:
    """What git format-patch --base and b4 write below a patch or a cover letter, read strictly.

    b4's own reading takes "base-commit: v6.12" for commit 6.
    """
    base = _BASE_COMMIT.search(text)
    change = _CHANGE_ID.search(text)
    return {
        "base_commit": base[1] if base else None,
        "prerequisite_patch_ids": list(dict.fromkeys(_PREREQUISITE.findall(text))),
        "change_id": plain(change[1]) if change else None,
    }


def address(name: str, host: str) -> str:
    return plain(f"{name} <{host}>")


def write_mboxrd(path: Path, mails: Iterable[EmailMessage]) -> None:
    """mboxrd as public-inbox writes it; Python's own writer escapes one level only."""
    with path.open("wb") as stream:
        for mail in mails:
            body = as_bytes(mail).rstrip(b"\n")
            stream.write(b"From mboxrd@z Thu Jan  1 00:00:00 1970\n")
            stream.write(_ESCAPED_IN_MBOXRD.sub(b">", body) + b"\n\n")


def as_bytes(mail: EmailMessage) -> bytes:
    try:
        return mail.as_bytes(policy=b4.emlpolicy)
    except UnicodeEncodeError:
        # Python decodes a part by a charset that it is not in, and then cannot write it as it was.
        return mail.as_string(policy=b4.emlpolicy).encode(errors="replace")


# --- one patch by its id ------------------------------------------------------------------------


def patch_id_task(request: Answer) -> Answer:
    """The mail in the archive whose diff has that id, in its latest revision, ready for git am."""
    wanted = request["patch_id"]
    raw = ask(lambda: b4.get_lore_node().get_mbox_by_query(f"patchid:{wanted}", nocache=True))
    mails = readable(b4.split_and_dedupe_pi_results(raw))
    mend_dates(mails)
    # The archive's word is not enough: the id is computed again from what it sent.
    found = [
        patch
        for patch in map(b4.LoreMessage, mails)
        if patch.has_diff and not patch.reply and patch.git_patch_id == wanted
    ]
    if not found:
        raise Ended("not-found")
    patch = max(found, key=lambda one: (one.revision, one.date, one.msgid))
    with Path(SERIES).open("wb") as stream:
        b4.save_git_am_mbox([patch.get_am_message(add_trailers=False)], stream)
    return {"status": "ok", "message_id": plain(patch.msgid), "subject": plain(patch.subject)}


# --- what the archive has for a query -------------------------------------------------------------


def search_task(request: Answer) -> Answer:
    """The mails that may be of a series, without their threads; the newest when they are many."""
    if request["mbox"] is not None:
        raw = Path(request["mbox"]).read_bytes()
    else:
        raw = found_in_archive(request["query"])
    mails = readable(b4.split_and_dedupe_pi_results(raw)) if raw else []
    mails = [mail for mail in mails if has_usable_id(mail)]
    mend_dates(mails)
    hits = [hit for hit in map(describe_hit, mails) if hit is not None]
    hits.sort(key=lambda hit: (hit["date"], hit["message_id"]))
    return {"status": "ok", "hits": hits[-request["most"] :]}


def found_in_archive(query: str) -> bytes:
    """The mails themselves as an mboxrd, b"" when there is none.

    liblore's own search sends the form's button for full threads (SearchView.pm of public-inbox
    1.9), which would bring up each old revision that a new one answers.
    """
    base = str(b4.get_main_config()["midmask"]).removesuffix("/%s")
    url = f"{base}/?x=m&q={quote_plus(query)}"
    try:
        with b4.get_requests_session() as session:
            answer = session.post(url, data="x=0", timeout=SEARCH_SECONDS)
    except (ConnectionError, Timeout) as error:
        raise Ended("unreachable", innermost(error)) from error
    except OSError as error:  # as all of requests' errors are
        raise Ended("nonsense", str(error)) from error
    if answer.status_code == 404:
        return b""
    if answer.status_code == 429 or answer.status_code >= 500:
        raise Ended("unreachable", f"HTTP status {answer.status_code}")
    try:
        return gzip.decompress(answer.content)
    except (OSError, EOFError, zlib.error) as error:
        raise Ended("nonsense", str(error)) from error


def describe_hit(mail: EmailMessage) -> Answer | None:
    """What its headers say of a patch or a cover letter; None for any other mail."""
    subject = b4.LoreSubject(str(mail.get("Subject", "")))
    date = date_of(mail)
    if subject.reply or not subject.patch or date is None:
        return None
    answered = b4.LoreMessage.get_clean_msgid(mail, header="References")
    answered = answered or b4.LoreMessage.get_clean_msgid(mail, header="In-Reply-To")
    return {
        "message_id": plain(id_of(mail)),
        "subject": plain(subject.subject),
        "sender": sender_of(mail),
        "revision": subject.revision,
        "date": date.astimezone(UTC).isoformat(),
        "thread": plain(str(answered or id_of(mail))),
    }


# --- two revisions ------------------------------------------------------------------------------


def range_diff_task(request: Answer) -> Answer:
    """What ``b4 diff -m OLD NEW`` prints, in a repository of our own with borrowed objects.

    b4's own command looks for a base in all of the tree's history; only blobs matter here, so any
    commit does.
    """
    # In the current folder: that is what b4 0.16 takes for the top of any repository.
    repository = scratch_repository(Path(), request["objects"], len(request["base"]))
    ranges = []
    try:
        revisions = b4.diff.diff_mboxes(Namespace(ambox=request["boxes"]))
    except ValueError as error:  # a mail without a Message-ID
        raise Ended("refused", str(error)) from error
    for series in revisions:
        first, last = series.make_fake_am_range(gitdir=repository, at_base=request["base"])
        if first is None or last is None:
            raise Ended("refused", last_words())
        ranges.append(f"{first}..{last}")
        # By the first patch's Message-ID, which a sloppy sender uses again for the next revision.
        b4.clear_cache(next(one.msgid for one in series.patches if one), suffix="fakeam")
    status, text = b4.git_run_command(
        repository, ["range-diff", "--no-color", *ranges], logstderr=True
    )
    if status:
        raise Ended("refused", text)
    Path(RANGE_DIFF).write_text(text, encoding="utf-8", errors="replace")
    return {"status": "ok"}


def scratch_repository(path: Path, objects: str, hex_digits: int) -> str:
    """A repository with a worktree, as b4 wants one, whose objects are those of another."""
    form = "sha256" if hex_digits == 64 else "sha1"
    words = ["init", "--quiet", "--template=", f"--object-format={form}", str(path)]
    status, said = b4.git_run_command(None, words, logstderr=True)
    if status:
        raise Ended("refused", said)
    (path / ".git/objects/info/alternates").write_text(f"{objects}\n", encoding="utf-8")
    shallow = Path(objects).parent / "shallow"
    if shallow.is_file():
        (path / ".git/shallow").write_bytes(shallow.read_bytes())
    return str(path.resolve())


# --- replies ------------------------------------------------------------------------------------


def replies_task(request: Answer) -> Answer:
    """What a reply to each of the asked mails of a thread starts from, in their order."""
    wanted = request["message_ids"]
    found: dict[str, Answer] = {}
    for raw in liblore.utils.split_mbox_as_bytes(Path(request["mbox"]).read_bytes()):
        # A thread may be long and its mails huge: only what can be one of them is parsed.
        if any(id.encode() in raw[:HEAD_AT_MOST] for id in wanted):
            mail = liblore.utils.parse_message(raw)
            if readable([mail]) and has_usable_id(mail):
                parent = b4.LoreMessage(mail)
                if parent.msgid in wanted and parent.msgid not in found:
                    found[parent.msgid] = reply_to(parent, mail)
    return {"status": "ok", "parents": [found[id] for id in wanted if id in found]}


def reply_to(parent: Any, mail: EmailMessage) -> Answer:
    """Recipients, subject and thread as b4's own reply code makes them."""
    try:
        reply = parent.make_reply("", mailfrom=("", "nobody@kverdict.invalid"))
    except (ValueError, LookupError, TypeError, AttributeError, MessageError) as error:
        raise Ended("refused", f"no reply to <{parent.msgid}>: {error}") from error
    date = date_of(mail)
    body = parent.body or ""
    return {
        "message_id": parent.msgid,
        "subject": plain(str(reply["Subject"])),
        "to": addresses(reply, "To"),
        "cc": addresses(reply, "Cc"),
        "references": _REFERENCE.findall(str(reply["References"])),
        "author": plain(parent.fromname),
        "date": date.isoformat() if date else None,
        "body": body[:BODY_AT_MOST].encode("utf-8", "replace").decode(),
        "quote": b4.make_quote(body[:QUOTED_AT_MOST]).encode("utf-8", "replace").decode(),
    }


def addresses(mail: EmailMessage, header: str) -> list[str]:
    found = getaddresses([str(value) for value in mail.get_all(header, [])])
    return [address(name, host) if name else plain(host) for name, host in found if host]


# --- the process --------------------------------------------------------------------------------


def limit_ourselves(memory: int) -> None:
    for what, most in (
        (resource.RLIMIT_AS, memory),  # a small gzip unpacks to gigabytes, and b4 reads it whole
        (resource.RLIMIT_CPU, CPU_SECONDS),
        (resource.RLIMIT_FSIZE, FILE_LIMIT),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(what, (most, most))


def set_up_b4(*, network: bool) -> None:
    """b4 reads git's configuration, which the caller has put into the environment."""
    handler = logging.FileHandler(LOG, encoding="utf-8", errors="replace")
    b4.logger.addHandler(handler)
    b4.logger.setLevel(logging.INFO)
    b4.setup_config(Namespace(config=None))
    b4.can_network = network


def answer_to(request: Answer) -> Answer:
    tasks = {
        "series": series_task,
        "patch-id": patch_id_task,
        "search": search_task,
        "range-diff": range_diff_task,
        "replies": replies_task,
    }
    try:
        set_up_b4(network=request["mbox"] is None)
        return tasks[request["task"]](request)
    except Ended as end:
        return end.answer
    except SystemExit as end:
        return {"status": "refused", "detail": plain(last_words())[:400] or f"exit {end.code}"}
    except RecursionError:
        return {"status": "refused", "detail": "its parts are nested too deeply"}
    except MemoryError:
        return {"status": "too-big"}


def last_words() -> str:
    """b4's log from its last ruler on: it logs the reason, then calls sys.exit()."""
    lines = Path(LOG).read_text(encoding="utf-8", errors="replace").splitlines()
    rulers = [number for number, line in enumerate(lines) if line.strip() == "---"]
    return " ".join(" ".join(lines[rulers[-1] + 1 if rulers else 0 :]).split())


def main() -> None:
    request = json.load(sys.stdin)
    limit_ourselves(request["memory"])
    # b4 prints here and there; the answer has stdout for itself.
    with os.fdopen(os.dup(1), "w", encoding="ascii") as stdout:
        os.dup2(2, 1)
        json.dump(answer_to(request), stdout, indent=1, sort_keys=True)


if __name__ == "__main__":
    main()
