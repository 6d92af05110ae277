# SPDX-License-Identifier: GPL-2.0-or-later
"""The worker's own rules; whole runs of it are in stages/test_fetch.py."""

from __future__ import annotations

import json
from collections.abc import Callable
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kverdict import b4worker
from tests.archive.recorded import as_mbox, mails_in

SHA1 = "23cfb57717d83813dea85e95ac0e5324c182068d"
SHA256 = "ab" * 32
PATCH_ID = "0270ddd43b1a8128858fcfb43c0b696d39bf7c8e"


def mail(*headers: str, body: str = "") -> EmailMessage:
    text = "\n".join(headers) + "\n\n" + body
    return message_from_bytes(text.encode(), policy=policy.SMTP)


@pytest.mark.parametrize(
    ("line", "base"),
    [
        (f"base-commit: {SHA1}", SHA1),
        (f"base-commit: {SHA1}\r", SHA1),
        (f"base-commit: {SHA256}", SHA256),
        # b4 0.16 reads commits 6, a and f out of these.
        ("base-commit: v6.12", None),
        ("base-commit: tags/next-20260101", None),
        ("the base-commit: for-next", None),
        (f"base-commit: {SHA1[:12]}", None),
        (f"base-commit: {SHA1}0", None),
        (f"> base-commit: {SHA1}", None),
    ],
)
def test_the_base_commit_is_read_strictly(line: str, base: str | None) -> None:
    text = f"words\n{line}\nmore\n"
    assert b4worker.trailing_lines(text)["base_commit"] == base


def test_prerequisites_keep_their_order_and_come_once() -> None:
    other = PATCH_ID[::-1]
    lines = [other, PATCH_ID, other, "not-an-id"]
    text = "\n".join(f"prerequisite-patch-id: {line}" for line in lines)
    assert b4worker.trailing_lines(text)["prerequisite_patch_ids"] == [other, PATCH_ID]


def test_the_change_id_of_a_prerequisite_is_not_the_series_own() -> None:
    text = "prerequisite-change-id: 20260101-x-1:v2\nchange-id: 20260102-y-2\n"
    assert b4worker.trailing_lines(text)["change_id"] == "20260102-y-2"


DATED = "Date: Mon, 5 Jan 2026 11:00:00 +0100"


@pytest.mark.parametrize(
    "date", ["", "now", "Mon, 31 Feb 2026 11:00:00 +0100", "1 Jan 1900 00:00:00 +0000", "\udcff"]
)
def test_bad_dates_are_none(date: str) -> None:
    message = EmailMessage(policy=policy.compat32)
    message["Date"] = date
    assert b4worker.date_of(message) is None


def test_a_date_without_zone_is_utc() -> None:
    found = b4worker.date_of(mail("Date: Mon, 5 Jan 2026 11:00:00 -0000"))
    assert found is not None
    assert found.isoformat() == "2026-01-05T11:00:00+00:00"


@given(st.text(st.characters(codec="utf-8", exclude_characters="\r\n"), max_size=60))
def test_any_date_header_is_mended_or_left(date: str) -> None:
    mails = [mail(DATED), mail(f"Date: {date}")]
    good = b4worker.date_of(mails[1])
    b4worker.mend_dates(mails)
    assert b4worker.date_of(mails[1]) == (good or b4worker.date_of(mails[0]))


@given(st.text())
def test_plain_text_is_one_line_that_json_takes(text: str) -> None:
    line = b4worker.plain(text)
    assert "\n" not in line
    assert not any(ord(char) < 32 or 127 <= ord(char) < 160 for char in line)
    assert json.loads(json.dumps(line).encode()) == line


def diff(number: int) -> str:
    return f"---\ndiff --git a/{number} b/{number}\n--- a/{number}\n+++ b/{number}\n"


def patches(
    *subjects: str, headers: Callable[[int], list[str]] = lambda _: []
) -> list[EmailMessage]:
    return [
        mail(f"Subject: {subject}", *headers(number), body=diff(number))
        for number, subject in enumerate(subjects)
    ]


def subjects_of(mails: list[EmailMessage]) -> list[str]:
    b4worker.number(mails)
    return [str(one["Subject"]) for one in mails]


def test_unnumbered_patches_get_numbers_in_their_order() -> None:
    assert subjects_of(patches("[PATCH] b", "[PATCH] a")) == ["[PATCH 1/2] b", "[PATCH 2/2] a"]


@pytest.mark.parametrize(
    "mails",
    [
        patches("[PATCH] alone"),
        patches("[PATCH 2/2] b", "[PATCH 1/2] a"),
        patches("[PATCH] a", "[PATCH v2] a"),
        patches("[PATCH] a", "[PATCH] a", headers=lambda n: ["References: <x@y>"] * n),
        [*patches("[PATCH] a"), mail("Subject: Re: [PATCH] a", body="good\n")],
    ],
)
def test_numbers_are_left_alone_where_they_mean_something(mails: list[EmailMessage]) -> None:
    before = [str(one["Subject"]) for one in mails]
    assert subjects_of(mails) == before


class Signed:
    """What b4 says of one patch: its statuses, and the attestors they are about."""

    class Attestor:
        def __init__(self, mode: str, errors: list[str]) -> None:
            self.mode, self.errors = mode, errors

    def __init__(self, *found: tuple[str, bool, bool], errors: tuple[str, ...] = ()) -> None:
        self._found = [
            {"status": "signed" if passing else "badsig", "identity": identity, "passing": passing}
            | ({"mismatch": "x@y"} if mismatch else {})
            for identity, passing, mismatch in found
        ]
        self.attestors = [
            self.Attestor(identity.partition("/")[0], list(errors)) for identity, *_ in found
        ]

    def get_attestation_status(self, policy: str, days: int) -> tuple[object, bool, bool]:
        return self._found, True, False


GOOD = ("ed25519/alice@dev.example", True, False)
FOREIGN = ("DKIM/evil.example", True, True)
BAD = ("DKIM/dev.example", False, False)


@pytest.mark.parametrize(
    ("patch", "attested"),
    [
        (Signed(), False),
        (Signed(GOOD), True),
        (Signed(GOOD, BAD), True),
        (Signed(BAD), False),
        (Signed(FOREIGN), False),
        (Signed(GOOD, FOREIGN), False),
    ],
)
def test_one_signature_passes_and_none_is_by_somebody_else(patch: Signed, attested: bool) -> None:
    (answer,) = b4worker.attest([patch], "softfail", 60)
    assert answer["attested"] is attested
    assert len(answer["results"]) == len(patch.attestors)


def test_a_name_server_without_answer_is_not_a_bad_signature() -> None:
    patch = Signed(BAD, errors=("Timeout",))
    assert b4worker.attest([patch], "softfail", 60) == [
        {"attested": False, "results": ["not checked DKIM/dev.example (Timeout)"]}
    ]


def test_signatures_are_not_looked_at_when_off_or_late() -> None:
    patch = Signed(GOOD)
    assert b4worker.attest([patch], "off", 60) == [{"attested": False, "results": []}]
    (late,) = b4worker.attest([patch], "softfail", 0)
    assert late == {"attested": False, "results": ["not checked (over 0 s)"]}


def test_mailboxes_are_written_as_mboxrd(tmp_path: Path) -> None:
    raw = b"Subject: x\nMessage-ID: <x@y>\n\nFrom here\n>From there\nend\n"
    path = tmp_path / "one.mbx"
    path.write_bytes(as_mbox(raw))
    mails = b4worker.mails_from_file(path)
    again = tmp_path / "two.mbx"
    b4worker.write_mboxrd(again, mails)
    assert again.read_bytes() == path.read_bytes()


@pytest.mark.parametrize("given_id", ["", "Message-ID: <<<>>>\n", "Message-ID: <a b@c>\n"])
def test_mails_without_a_usable_id_get_one_from_their_content(
    tmp_path: Path, given_id: str
) -> None:
    (raw,) = (
        one for name, one in mails_in("archive.mbx").items() if name == "prereq-1@dev.example"
    )
    bare = raw.replace(b"Message-ID: <prereq-1@dev.example>\n", given_id.encode())
    path = tmp_path / "one.mbx"
    path.write_bytes(as_mbox(bare, bare.replace(b"eighty", b"ninety")))
    ids = [str(one["Message-ID"]) for one in b4worker.mails_from_file(path)]
    assert len(set(ids)) == 2
    assert all(one.endswith("@kverdict.invalid>") for one in ids)
    assert ids == [str(one["Message-ID"]) for one in b4worker.mails_from_file(path)]


@pytest.mark.parametrize(
    ("told", "numstat", "missing"),
    [
        ("", "1\t0\ta.c\n", False),
        (" 1 file changed, 2 insertions(+)", "2\t0\ta.c\n", False),
        (" 2 files changed, 3 insertions(+), 1 deletion(-)", "2\t1\ta.c\n1\t0\tb.c\n", False),
        # Edited by hand after the diffstat was made, as git am takes it.
        (" 1 file changed, 2 insertions(+)", "3\t1\ta.c\n", False),
        (" 2 files changed, 3 insertions(+)", "3\t0\ta.c\n", True),
        (" 1 file changed, 3 insertions(+)", "2\t0\ta.c\n", True),
        (" 1 file changed, 3 deletions(-)", "0\t2\ta.c\n", True),
        (" 1 file changed, 0 insertions(+), 0 deletions(-)", "-\t-\ta.bin\n", False),
    ],
)
def test_a_diff_with_less_than_its_diffstat_was_cut_off(
    told: str, numstat: str, missing: bool
) -> None:
    body = f"message\n---\n a.c | 2 ++\n{told}\n\ndiff --git a/a.c b/a.c\n"
    assert bool(b4worker.what_is_cut_off(body, numstat)) is missing
