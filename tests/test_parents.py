# SPDX-License-Identifier: GPL-2.0-or-later
"""kverdict.parents: hostile mails, read by the real b4 in its own process."""

from __future__ import annotations

import email
import email.policy
from pathlib import Path

import pytest

from kverdict.drafts import RECIPIENTS_AT_MOST, Draft, fit, to_eml
from kverdict.errors import InfraError
from kverdict.parents import Parent, read_parents
from kverdict.stages.fetch import ArchiveSettings
from tests.archive.recorded import as_mbox, mails_in

ID = "hostile@dev.example"
PLAIN = b"""\
From: Alice <alice@dev.example>
To: list@vger.example
Date: Mon, 12 Jan 2026 10:00:00 +0100
Subject: [PATCH] foo: bar
Message-ID: <hostile@dev.example>
"""


def parent_of(folder: Path, mail: bytes, **settings: object) -> Parent:
    (folder / "thread.mbx").write_bytes(as_mbox(*mails_in("archive.mbx").values(), mail))
    archive = ArchiveSettings().model_copy(update=settings)
    return read_parents(folder, [ID], archive)[ID]


def reply_to(parent: Parent) -> Draft:
    return Draft(
        subject=parent.subject,
        body=parent.quote,
        sender="T <t@tester.example>",
        to=parent.to,
        cc=parent.cc,
        in_reply_to=parent.message_id,
        references=parent.references,
    )


def headers_of(parent: Parent) -> dict[str, str]:
    mail = email.message_from_bytes(to_eml(reply_to(parent)), policy=email.policy.default)
    assert not mail.defects
    assert set(mail.keys()) <= {
        "From", "To", "Cc", "Subject", "Message-ID", "In-Reply-To", "References",
        "MIME-Version", "Content-Type", "Content-Transfer-Encoding",
    }  # fmt: skip
    return {name: str(value) for name, value in mail.items()}


def test_a_plain_reply(tmp_path: Path) -> None:
    found = parent_of(tmp_path, PLAIN + b"References: <a@b.c>\n <d@e.f>\n\nText.\n")
    assert found.to == ("Alice <alice@dev.example>",)
    assert found.cc == ("list@vger.example",)
    assert found.references == ("a@b.c", "d@e.f", ID)
    assert found.subject == "Re: [PATCH] foo: bar"
    assert found.quote == "> Text."


def test_a_reply_goes_where_reply_to_says(tmp_path: Path) -> None:
    found = parent_of(tmp_path, b"Reply-To: Bob <bob@dev.example>\n" + PLAIN + b"\nText.\n")
    assert found.to == ("Bob <bob@dev.example>",)


@pytest.mark.parametrize(
    "line",
    [
        b"Subject: [PATCH] x =?utf-8?q?=0D=0ABcc=3A_evil=40example.org?=",
        b"Subject: =?utf-8?b?W1BBVENIXSB4CkJjYzogZXZpbEBleGFtcGxlLm9yZwoKYm9keQ==?=",
        b"From: =?utf-8?q?A=0ABcc=3A_evil=40example.org?= <a@dev.example>",
        b'From: "A\x0bBcc: evil@example.org" <a@dev.example>',
        b"To: =?utf-8?q?x=0D=0ABcc=3A?= <a@dev.example>, <b@dev.example\x00>",
        b'Cc: undisclosed-recipients:;, <>, @, a@b@c, "x" <y',
        b"Subject: \x1b[2J\x07 [PATCH] x",
        b'From: "',
        b"Subject: =?unknown-8bit?q?=FF=FE?= [PATCH] x",
        b"From: =?x-no-such-charset?q?=FF?= <a@dev.example>",
        b"Date: never",
        b"References: <<<>>> <a b> <\xff@x>",
    ],
)
def test_hostile_headers(tmp_path: Path, line: bytes) -> None:
    name = line.partition(b":")[0]
    head = b"".join(one + b"\n" for one in PLAIN.splitlines() if not one.startswith(name + b":"))
    found = parent_of(tmp_path, head + line + b"\n\nText.\n")
    headers = headers_of(found)
    mail = email.message_from_bytes(to_eml(reply_to(found)), policy=email.policy.default)
    recipients = [
        one.addr_spec for name in ("To", "Cc") if name in mail for one in mail[name].addresses
    ]
    assert set(recipients) <= {"alice@dev.example", "a@dev.example", "list@vger.example"}
    assert headers["In-Reply-To"] == f"<{ID}>"
    for value in headers.values():
        assert value.isprintable()


def test_html_is_not_quoted(tmp_path: Path) -> None:
    mail = PLAIN + b"Content-Type: text/html\n\n<b onclick=x>bold</b>\n"
    assert "<b" not in parent_of(tmp_path, mail).quote


@pytest.mark.parametrize("charset", [b"x-unknown", b"utf-7", b"iso-2022-jp-2004", b'"', b"utf-16"])
def test_unknown_charsets(tmp_path: Path, charset: bytes) -> None:
    mail = PLAIN + b"Content-Type: text/plain; charset=" + charset + b"\n\nGr\xfc\xdfe \xff\n"
    found = parent_of(tmp_path, mail)
    assert found.quote.startswith("> ")
    headers_of(found)


def test_ten_thousand_recipients(tmp_path: Path) -> None:
    many = b",\n ".join(b"P%d <p%d@dev.example>" % (number, number) for number in range(10_000))
    found = parent_of(tmp_path, b"Cc: " + many + b"\n" + PLAIN + b"\nText.\n")
    assert len(found.cc) == 10_001
    fitted = fit(reply_to(found))
    assert len(fitted.draft.to) + len(fitted.draft.cc) == RECIPIENTS_AT_MOST
    assert any("recipients are left out" in note for note in fitted.notes)


def test_fifty_megabytes(tmp_path: Path) -> None:
    """b4 needs a multiple of it; what is kept of it is a piece."""
    mail = PLAIN + b"\nText.\n\n" + b"A line of a very long mail, which never ends.\n" * 1_100_000
    found = parent_of(tmp_path, mail)
    assert len(found.body) <= 1 << 20
    assert found.quote.startswith("> Text.")


def test_a_mail_that_is_too_big_for_the_limit(tmp_path: Path) -> None:
    mail = PLAIN + b"\n" + b"x" * (40 << 20)
    with pytest.raises(InfraError, match="b4 cannot"):
        parent_of(tmp_path, mail, memory=160 << 20)


def test_a_second_mail_with_the_same_id_changes_nothing(tmp_path: Path) -> None:
    other = PLAIN.replace(b"alice", b"mallory") + b"\nOther.\n"
    (tmp_path / "thread.mbx").write_bytes(as_mbox(PLAIN + b"\nText.\n", other))
    found = read_parents(tmp_path, [ID], ArchiveSettings())[ID]
    assert found.to == ("Alice <alice@dev.example>",)
