# SPDX-License-Identifier: GPL-2.0-or-later
"""kverdict.drafts: what is written is what Python's email and mailbox read again."""

from __future__ import annotations

import email
import email.policy
from datetime import UTC, datetime
from email.message import EmailMessage

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kverdict.drafts import (
    BODY_AT_MOST,
    RECIPIENTS_AT_MOST,
    Draft,
    file_name,
    fit,
    fold_prose,
    parse_address,
    to_eml,
    to_mbox,
)

PLAIN = Draft(
    subject="Re: [PATCH v7 0/2] KVM: guest_memfd: write()",
    body="On Friday, Ada wrote:\n> hello\n\nFine.\n",
    sender="Test Er <tester@example.org>",
    to=("Ada Author <ada@example.com>",),
    cc=("kvm@vger.example", '"List, The" <list@example.net>'),
    in_reply_to="v7-0@example.com",
    references=("v7-0@example.com",),
    message_id="fixed@example.org",
)


def parsed(draft: Draft) -> EmailMessage:
    mail = email.message_from_bytes(to_eml(draft), policy=email.policy.default)
    assert isinstance(mail, EmailMessage)
    assert not mail.defects
    return mail


def test_the_bytes_of_a_plain_mail() -> None:
    assert to_eml(PLAIN) == (
        b"From: Test Er <tester@example.org>\n"
        b"To: Ada Author <ada@example.com>\n"
        b'Cc: kvm@vger.example, "List, The" <list@example.net>\n'
        b"Subject: Re: [PATCH v7 0/2] KVM: guest_memfd: write()\n"
        b"Message-ID: <fixed@example.org>\n"
        b"In-Reply-To: <v7-0@example.com>\n"
        b"References: <v7-0@example.com>\n"
        b"MIME-Version: 1.0\n"
        b"Content-Type: text/plain; charset=utf-8\n"
        b"Content-Transfer-Encoding: 7bit\n"
        b"\n"
        b"On Friday, Ada wrote:\n> hello\n\nFine.\n"
    )


def test_a_date_only_when_it_is_given() -> None:
    assert "Date" not in parsed(PLAIN)
    dated = PLAIN.model_copy(update={"date": datetime(2026, 7, 1, 12, tzinfo=UTC)})
    assert parsed(dated)["Date"] == "Wed, 01 Jul 2026 12:00:00 +0000"


def test_the_message_id_is_made_of_the_content() -> None:
    draft = PLAIN.model_copy(update={"message_id": None})
    other = draft.model_copy(update={"body": "Not fine.\n"})
    assert to_eml(draft) == to_eml(draft)
    assert parsed(draft)["Message-ID"] != parsed(other)["Message-ID"]
    assert str(parsed(draft)["Message-ID"]).endswith(".kverdict@example.org>")


@pytest.mark.parametrize(
    ("body", "encoding"),
    [("plain\n", "7bit"), ("größe\n", "8bit"), ("x" * 2000 + "\n", "quoted-printable")],
)
def test_transfer_encodings(body: str, encoding: str) -> None:
    mail = parsed(PLAIN.model_copy(update={"body": body}))
    assert mail["Content-Transfer-Encoding"] == encoding
    assert mail.get_content() == body


def test_names_and_subjects_that_are_not_ascii() -> None:
    draft = PLAIN.model_copy(
        update={"subject": "Re: größe " * 12, "sender": "Zoë Ünal <zoe@example.org>"}
    )
    assert to_eml(draft).partition(b"\n\n")[0].isascii()
    assert parsed(draft)["Subject"] == ("Re: größe " * 12).strip()
    assert parsed(draft)["From"] == "Zoë Ünal <zoe@example.org>"


def test_a_name_in_encoded_words_has_no_double_quotes() -> None:
    draft = PLAIN.model_copy(update={"sender": '"Zoë \\"Z\\" Ünal" <zoe@example.org>'})
    assert parsed(draft)["From"] == "Zoë Z Ünal <zoe@example.org>"


def test_headers_cannot_be_smuggled_in() -> None:
    draft = PLAIN.model_copy(
        update={
            "subject": "x\r\nBcc: evil@example.org\n\nbody =?utf-8?q?=0ABcc:_e@example.org?=",
            "sender": "Evil\nBcc: e@example.org <e@example.org>",
            "to": ("a\r\nBcc: evil <ada@example.com>", "x@example.com\nBcc: evil@example.org"),
            "in_reply_to": "a@b>\nBcc: <evil@example.org",
        }
    )
    mail = parsed(draft)
    assert set(mail.keys()) == {
        "From", "To", "Cc", "Subject", "Message-ID", "References",
        "MIME-Version", "Content-Type", "Content-Transfer-Encoding",
    }  # fmt: skip
    assert [item.addr_spec for item in mail["To"].addresses] == ["ada@example.com"]
    assert "=?utf-8?q?=0ABcc:_e@example.org?=" in mail["Subject"]
    notes = fit(draft).notes
    assert any(note.startswith("not an address") for note in notes)
    assert any(note.startswith("not a message-id") for note in notes)


def test_ten_thousand_recipients_are_cut_and_the_sender_is_told() -> None:
    many = tuple(f"Person {number} <p{number}@example.org>" for number in range(10_000))
    fitted = fit(PLAIN.model_copy(update={"cc": (*many, *many)}))
    assert len(fitted.draft.to) + len(fitted.draft.cc) == RECIPIENTS_AT_MOST
    assert fitted.draft.to == PLAIN.to
    assert fitted.notes == ("9,901 recipients are left out, 100 are kept: add whom you miss",)


def test_each_address_once() -> None:
    fitted = fit(PLAIN.model_copy(update={"cc": ("ADA@example.com", "b@example.org") * 2}))
    assert fitted.draft.cc == ("b@example.org",)
    assert fitted.notes == ()


def test_a_huge_text_is_cut_and_says_so() -> None:
    fitted = fit(PLAIN.model_copy(update={"body": "line of text\n" * 4_000_000}))
    assert len(fitted.draft.body) <= BODY_AT_MOST
    assert fitted.draft.body.endswith("[the rest of this text is left out]\n")
    assert fitted.notes == ("the text is cut after 100,000 of 52,000,000 characters",)


def test_control_characters_and_surrogates_are_written_out() -> None:
    mail = parsed(PLAIN.model_copy(update={"body": "a\x1b[2Jb \udcff \u202e\n", "subject": "\x07"}))
    assert mail.get_content() == "a\\x1b[2Jb \\udcff \\u202e\n"
    assert mail["Subject"] == "\\x07"


def test_a_mailbox_is_mboxrd() -> None:
    body = "From here\n>From there\n"
    first = PLAIN.model_copy(update={"body": body})
    content = to_mbox([first, PLAIN])
    assert content.count(b"\nFrom mboxrd@z ") == 1
    assert b"\n>From here\n>>From there\n\nFrom mboxrd@z " in content


def test_file_names_are_plain() -> None:
    hostile = PLAIN.model_copy(update={"slug": "../../Etc/\npasswd"})
    assert file_name(1, hostile) == "0001-etc-passwd.eml"
    assert file_name(12, PLAIN) == "0012-re-patch-v7-0-2-kvm-guest-memfd-write.eml"


def test_prose_is_folded() -> None:
    words = "word " * 20
    first, rest = "word " * 13 + "word", ("word " * 6).strip()
    assert fold_prose(f"{words}\n* {words}").split("\n") == [first, rest, f"* {first}", f"  {rest}"]


@pytest.mark.parametrize(
    "line",
    [
        "> " + "quoted " * 20,
        "| " + "console " * 20,
        "    " + "console " * 20,
        "Tested-by: " + "Name " * 20,
        "#regzbot introduced: " + "f" * 80,
        "https://example.org/" + "x" * 90,
        "diff --git a/x b/x\n+" + "added " * 20 + "\n " + "context " * 20,
    ],
)
def test_what_is_no_prose_stays(line: str) -> None:
    assert fold_prose(line) == line


@pytest.mark.parametrize(
    ("text", "parsed_as"),
    [
        ("a@b.c", ("", "a@b.c")),
        ("<a@b.c>", ("", "a@b.c")),
        ('"Last, \\"F\\"" <a@b.c>', ('Last, "F"', "a@b.c")),
        ("-oProxy@b.c", None),
        ("undisclosed-recipients:;", None),
        ("ü@example.org", None),
        ("a@b.c, d@e.f", None),
    ],
)
def test_addresses(text: str, parsed_as: tuple[str, str] | None) -> None:
    assert parse_address(text) == parsed_as


TEXT = st.text(max_size=120)


@given(subject=TEXT, body=TEXT, name=TEXT, id=TEXT)
def test_whatever_it_is_made_of_it_is_one_mail(subject: str, body: str, name: str, id: str) -> None:
    draft = Draft(
        subject=subject,
        body=body,
        sender=f"{name} <a@example.org>",
        to=(f"{name} <b@example.org>",),
        in_reply_to=id,
        references=(id,),
    )
    fitted = fit(draft)
    mail = parsed(draft)
    assert mail["Subject"] == fitted.draft.subject
    assert len(mail["To"].addresses) <= 1
    assert mail.get_content() == fitted.draft.body
    for line in to_eml(draft).partition(b"\n\n")[0].split(b"\n"):
        assert line.isascii() and b"\r" not in line
