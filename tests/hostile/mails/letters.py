# SPDX-License-Identifier: GPL-2.0-or-later
"""The corpus of hostile mails and archive answers: what each tries, and what must become of it."""

from __future__ import annotations

import base64
import gzip
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

from kverdict.errors import ExitStatus
from tests.archive.lore_double import WEB_PAGE, Reply
from tests.archive.recorded import as_mbox
from tests.hostile.making import edit, mails_of, new

ID = "1.hostile@example.org"
DIFF = new("virt/kvm/new.c", "int x;")


@dataclass(frozen=True)
class Letter:
    """A mail, or an archive's answer, that a run begins with.

    ``says`` stands in the error's line; with the status GOOD the mail is taken, and ``says`` is
    how its text is kept.
    """

    name: str
    tries: str
    says: str
    status: ExitStatus = ExitStatus.SERIES_REFUSED
    mail: bytes = b""  # in a file
    answer: Reply | None = None  # from the archive, to everything that is asked
    asked: str = ""  # a series by name, when it is neither
    seconds: float = 120  # that reading may take
    memory: int = 1 << 30  # bytes that reading may take


def letter(
    *, headers: Sequence[str] = (), body: str | bytes = f"Why.\n---\n{DIFF}", **named: str
) -> bytes:
    """One mail with a patch; ``named`` replaces From, Subject, Date, Message_ID."""
    head = {
        "From": "Mallory <mallory@example.org>",
        "Date": "Fri, 14 Nov 2025 15:18:41 +0000",
        "Message-ID": f"<{ID}>",
        "Subject": "[PATCH] KVM: a change",
        **{name.replace("_", "-"): value for name, value in named.items()},
    }
    lines = [*(f"{name}: {value}" for name, value in head.items()), *headers, "", ""]
    text = "\n".join(lines).encode(errors="surrogateescape")
    return text + (body if isinstance(body, bytes) else body.encode())


def word(text: str) -> str:
    """An encoded word (RFC 2047), in which a header can hold anything."""
    return f"=?utf-8?b?{base64.b64encode(text.encode()).decode()}?="


def answered(*mails: bytes) -> Reply:
    return Reply(200, gzip.compress(as_mbox(*mails)), "application/gzip")


INJECTION = (
    Letter(
        "subject-with-line-break",
        "adds a header to every mail that quotes the subject",
        "KVM: a Bcc: victim@example.org",
        ExitStatus.GOOD,
        letter(Subject=word("[PATCH] KVM: a\nBcc: victim@example.org")),
    ),
    Letter(
        "author-with-line-break",
        "the same in the author's name",
        "[1/1] is damaged (it has no From)",
        ExitStatus.BAD_MAILBOX,
        letter(From=word("Mallory\nBcc: victim@example.org") + " <mallory@example.org>"),
    ),
    Letter(
        "message-id-with-line-break",
        "the same in a message-id, which a reply would refer to",
        "@kverdict.invalid",
        ExitStatus.GOOD,
        letter(Message_ID=f"<a@example.org>\n\tBcc: <{ID}>"),
    ),
    Letter(
        "message-id-of-brackets",
        "a message-id that Python's header parser fails at",
        "@kverdict.invalid",
        ExitStatus.GOOD,
        letter(Message_ID="<<<>>>"),
    ),
    Letter(
        "subject-with-escapes",
        "repaints the terminal, sets its title and its clipboard",
        "]52;c;b3duZWQ= end",
        ExitStatus.GOOD,
        letter(Subject=word("[PATCH] KVM: \x1b[2J\x1b]0;owned\x07\x1b]52;c;b3duZWQ=\x07 end")),
    ),
    Letter(
        "subject-with-c1",
        "the same with 8-bit control characters, which UTF-8 hides",
        "KVM: 2J 0;owned end",
        ExitStatus.GOOD,
        letter(Subject=word("[PATCH] KVM: \x9b2J\x9d0;owned\x9c end")),
    ),
    Letter(
        "subject-with-raw-escapes",
        "escapes that are not even encoded",
        "KVM: [31mred",
        ExitStatus.GOOD,
        letter(Subject="[PATCH] KVM: \x1b[31mred"),
    ),
    Letter(
        "author-with-a-link",
        "a terminal link (OSC 8) to somewhere else than it shows",
        "[1/1]: became a commit of",
        mail=letter(
            From=word("\x1b]8;;https://evil.example\x07kernel.org\x1b]8;;\x07")
            + " <mallory@example.org>"
        ),
    ),
    Letter(
        "script-in-subject",
        "runs in the browser of who reads the report",
        "<script>alert(1)</script>",
        ExitStatus.GOOD,
        letter(Subject="[PATCH] <script>alert(1)</script>"),
    ),
    Letter(
        "template-in-subject",
        "runs in the program that writes the report",
        "{{ ''.__class__.__mro__ }}{% include '/etc/passwd' %}",
        ExitStatus.GOOD,
        letter(Subject="[PATCH] {{ ''.__class__.__mro__ }}{% include '/etc/passwd' %}"),
    ),
    Letter(
        "trailer-with-escapes",
        "puts control characters into the list of trailers",
        "KVM: a change",
        ExitStatus.GOOD,
        letter(body=f"Why.\n\nReviewed-by: \x1b[2JRita <rita@example.org>\n---\n{DIFF}"),
    ),
    Letter(
        "bidi-in-the-diff",
        "code that reads otherwise than it compiles (CVE-2021-42574)",
        "RIGHT-TO-LEFT OVERRIDE",
        mail=letter(body=f"Why.\n---\n{DIFF.replace('int x;', chr(0x202E) + 'int x;')}"),
    ),
)

FORMS = (
    Letter(
        "html-only",
        "a patch in HTML, where a reader sees other text than a program",
        "there is no patch in",
        ExitStatus.NO_PATCHES,
        letter(headers=["Content-Type: text/html"], body=f"<pre>{DIFF}</pre>"),
    ),
    Letter(
        "alternative",
        "two parts with a patch each: the reader's program shows one, git takes another",
        "KVM: a change",
        ExitStatus.GOOD,
        letter(
            headers=["MIME-Version: 1.0", "Content-Type: multipart/alternative; boundary=x"],
            body=f"--x\nContent-Type: text/plain\n\nWhy.\n---\n{DIFF}\n--x\n"
            f"Content-Type: text/html\n\n<pre>{edit('.git/config')}</pre>\n--x--\n",
        ),
    ),
    Letter(
        "attachment-outside",
        "an attachment whose name is a path of the host",
        "there is no patch in",
        ExitStatus.NO_PATCHES,
        letter(
            headers=["MIME-Version: 1.0", "Content-Type: multipart/mixed; boundary=x"],
            body="--x\nContent-Type: text/x-patch; name=../../canary\n"
            "Content-Disposition: attachment; filename=../../canary\n\nowned\n--x--\n",
        ),
    ),
    Letter(
        "external-body",
        "a part that is to be read from a file of the host",
        "KVM: a change",
        ExitStatus.GOOD,
        letter(
            headers=[
                "MIME-Version: 1.0",
                "Content-Type: message/external-body; access-type=local-file; name=/etc/passwd",
            ],
            body=f"Content-Type: text/plain\n\n{DIFF}",
        ),
    ),
    Letter(
        "utf-7",
        "ASCII that turns into other ASCII",
        "[1/1] is damaged",
        ExitStatus.BAD_MAILBOX,
        letter(
            headers=["Content-Type: text/plain; charset=utf-7"],
            body=f"Why.\n---\n{edit('+AC4ALg-/canary')}",
        ),
    ),
    Letter(
        "unknown-charset",
        "a charset that no program has",
        "KVM: a change",
        ExitStatus.GOOD,
        letter(headers=["Content-Type: text/plain; charset=x-hostile"]),
    ),
    Letter(
        "base64-of-nul",
        "NUL bytes behind base64",
        "the mail has NUL bytes",
        mail=letter(
            headers=["Content-Type: text/plain", "Content-Transfer-Encoding: base64"],
            body=base64.encodebytes(f"Why.\n---\n{DIFF}".replace("int x;", "int x;\0").encode()),
        ),
    ),
    Letter(
        "base64-of-escape",
        "a name that leads out, behind base64",
        "../canary: leads out of the tree",
        mail=letter(
            headers=["Content-Type: text/plain", "Content-Transfer-Encoding: base64"],
            body=base64.encodebytes(f"Why.\n---\n{edit('../canary')}".encode()),
        ),
    ),
    Letter(
        "quoted-printable",
        "the same behind quoted-printable, the dots and the slash as well",
        "../canary: leads out of the tree",
        mail=letter(
            headers=["Content-Type: text/plain", "Content-Transfer-Encoding: quoted-printable"],
            body=f"Why.\n---\n{edit('=2E=2E=2Fcanary')}",
        ),
    ),
    Letter(
        "two-encodings",
        "two encodings, of which each program believes another one",
        "there is no patch in",
        ExitStatus.NO_PATCHES,
        letter(
            headers=["Content-Transfer-Encoding: 7bit", "Content-Transfer-Encoding: base64"],
            body=base64.encodebytes(f"Why.\n---\n{edit('../canary')}".encode()),
        ),
    ),
    Letter(
        "nested-parts",
        "300 parts, one in the other",
        "nested too deeply",
        mail=b"Subject: [PATCH] x\n"
        + b"".join(
            b"Content-Type: multipart/mixed; boundary=-%d-\n\n--%d-\n" % (n, n) for n in range(300)
        ).replace(b"--", b"---"),
    ),
    Letter(
        "mail-in-a-mail",
        "a line that begins a mail of its own in some mailbox formats, with a patch behind it",
        "[1/1] .git/config: leads into a .git",
        mail=letter(
            body=f"Why.\n---\n{DIFF}\n>From mboxrd@z Thu Jan  1 00:00:00 1970\n"
            f"Subject: [PATCH] more\n\n{edit('.git/config')}"
        ),
    ),
    Letter(
        "two-mails-with-one-number",
        "a second mail that claims to be the same patch",
        "more than one [1/1]",
        ExitStatus.BAD_MAILBOX,
        mails_of(DIFF) + mails_of(edit("init/main.c")).replace(b"1.hostile", b"2.hostile"),
    ),
    Letter(
        "author-in-the-body",
        "an author in the body who is not the sender: git credits her, so the report names her",
        "Rita <rita@example.org>",
        ExitStatus.GOOD,
        letter(body=f"From: Rita <rita@example.org>\n\nWhy.\n---\n{DIFF}"),
    ),
    Letter(
        "scissors",
        "a scissors line, at which git am could throw away the message above it",
        "KVM: a change",
        ExitStatus.GOOD,
        letter(body=f"Why.\n\n-- >8 --\nSubject: KVM: another\n\nNo.\n---\n{DIFF}"),
    ),
)

SIZES = (
    Letter(
        "huge-subject",
        "a subject of a hundred kilobytes",
        "xxx",
        ExitStatus.GOOD,
        letter(Subject="[PATCH] " + "x" * (100_000)),
    ),
    Letter(
        "many-patches",
        "says to be one of ten thousand",
        "9999 patches: the limit is 200",
        mail=letter(Subject="[PATCH 1/9999] KVM: a change"),
    ),
    Letter(
        "many-references",
        "a hundred thousand references",
        "could not be read within 3 s",
        mail=letter(References="\n ".join(f"<{n}@example.org>" for n in range(100_000))),
        seconds=3,
    ),
    Letter(
        "year-99999",
        "a date that no clock can show",
        "KVM: a change",
        ExitStatus.GOOD,
        letter(Date="Fri, 14 Nov 99999 15:18:41 +9999"),
    ),
    Letter(
        "many-prerequisites",
        "three hundred prerequisites, each to be asked from the archive",
        "it names more than 200 prerequisites",
        mail=letter(
            body=f"Why.\n---\n{DIFF}\nbase-commit: {{base}}\n"
            + "".join(f"prerequisite-patch-id: {n:040x}\n" for n in range(300))
        ),
    ),
    Letter(
        "gigabytes-in-a-gzip",
        "three megabytes that unpack to three gigabytes",
        "is too big",
        answer=Reply(200, gzip.compress(bytes(1 << 20)) * 3000, "application/gzip"),
        memory=512 << 20,
    ),
    Letter(
        "mails-without-end",
        "a hundred thousand empty mails",
        "there is no mail in it",
        ExitStatus.ARCHIVE_NONSENSE,
        answer=Reply(
            200,
            gzip.compress(b"From mboxrd@z Thu Jan  1 00:00:00 1970\n\n\n" * 100_000, 1),
        ),
    ),
)

ARCHIVES = (
    Letter(
        "web-page",
        "a page for browsers in the place of a mailbox",
        "Not a gzipped file",
        ExitStatus.ARCHIVE_NONSENSE,
        answer=WEB_PAGE,
    ),
    Letter(
        "another-thread",
        "another thread than the one that was asked for",
        "does not have that mail",
        ExitStatus.ARCHIVE_NONSENSE,
        answer=answered(letter(Message_ID="<other@example.org>")),
    ),
    Letter(
        "half-an-answer",
        "a mailbox that ends in the middle of a patch",
        "ended before",
        ExitStatus.ARCHIVE_NONSENSE,
        answer=Reply(200, answered(letter()).body[:-20]),
    ),
    Letter(
        "archive-injection",
        "an archive that plants a patch of its own in the thread",
        "more than one [1/1]",
        answer=answered(
            letter(), letter(Message_ID="<2.hostile@example.org>", headers=[f"In-Reply-To: <{ID}>"])
        ),
    ),
    Letter(
        "option-as-message-id",
        "a message-id that a program could take for an option",
        "is not a message-id",
        ExitStatus.USAGE,
        asked="<--upload-pack=touch@example.org>",
    ),
    Letter(
        "path-as-message-id",
        "a message-id that leads to another page of the archive",
        "is not a message-id",
        ExitStatus.USAGE,
        asked="<../../../etc/passwd@example.org/..>",
    ),
    Letter(
        "other-host",
        "a URL of another archive, which is asked nothing",
        "127.0.0.1",
        ExitStatus.SERIES_NOT_FOUND,
        answer=Reply(404),
        asked=f"https://evil.example/{ID}/",
    ),
)

LETTERS = tuple(chain(INJECTION, FORMS, SIZES, ARCHIVES))
