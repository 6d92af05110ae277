# SPDX-License-Identifier: GPL-2.0-or-later
"""What a search finds, which series a mail belongs to, and what is no part of one."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from kverdict.errors import ExitStatus, KverdictError
from kverdict.progress import Silent
from kverdict.stages.fetch import ArchiveSettings, Hit, fetch, hits_in, offered, search
from tests.archive.lore_double import WEB_PAGE, LoreDouble, lore_double
from tests.archive.public_inbox import public_inbox
from tests.archive.recorded import as_mbox, mails_in

ARCHIVE = mails_in("archive.mbx")
NOWHERE = ArchiveSettings(midmask="http://127.0.0.1:9/lkml/%s", waits=())


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.fixture
def archive() -> Iterator[LoreDouble]:
    with lore_double(ARCHIVE.values()) as double:
        yield double


def settings_for(archive: LoreDouble) -> ArchiveSettings:
    return ArchiveSettings(midmask=archive.midmask, waits=())


def found(*mails: bytes) -> dict[str, Hit]:
    return {hit.message_id: hit for hit in hits_in(as_mbox(*mails), settings=NOWHERE)}


def changed(mail: bytes, **headers: str) -> bytes:
    """The mail with other headers; "" removes one."""
    for name, value in headers.items():
        name = name.replace("_", "-")
        mail = re.sub(rf"(?mi)^{name}: .*\n".encode(), b"", mail, count=1)
        if value:
            mail = f"{name}: {value}\n".encode() + mail
    return mail


# --- hits -----------------------------------------------------------------------------------------


def test_patches_and_cover_letters_are_hits_and_other_mails_are_none() -> None:
    hits = found(*ARCHIVE.values())
    assert set(hits) == {
        "prereq-1@dev.example",
        *(f"v{v}-{n}@dev.example" for v in (1, 2) for n in (0, 1, 2)),
    }
    one = hits["v2-1@dev.example"]
    assert (one.revision, one.sender, one.thread) == (2, "alice@dev.example", "v2-0@dev.example")
    assert {hits[f"v1-{n}@dev.example"].mails_of_one_series for n in (0, 1, 2)} == {
        ("v1-0@dev.example", "alice@dev.example", 1)
    }


def test_mails_without_an_id_a_sender_or_a_date() -> None:
    mail = ARCHIVE["v1-1@dev.example"]
    assert found(changed(mail, Message_ID="")) == {}
    assert found(changed(mail, Message_ID="<<<>>>")) == {}
    (nobody,) = found(changed(mail, From='"')).values()
    assert nobody.sender == ""
    (undated,) = found(changed(mail, Date="the day before")).values()
    assert undated.date.year == 1990
    assert found() == {}


def endless_revision(mail: bytes, **headers: str) -> bytes:
    """More digits than int() takes; in encoded words no line of the mail is long."""
    words = "\n ".join(f"=?us-ascii?q?{'1' * 60}?=" for _ in range(90))
    subject = f"=?us-ascii?q?=5BPATCH_v1?=\n {words}\n =?us-ascii?q?=5D_endless?="
    return changed(mail, Message_ID="<endless@x.example>", Subject=subject, **headers)


def test_a_mail_that_b4_cannot_read_hides_no_other() -> None:
    mail = ARCHIVE["v1-1@dev.example"]
    assert set(found(endless_revision(mail), mail)) == {"v1-1@dev.example"}
    (most,) = found(changed(mail, Subject=f"[PATCH v{'1' * 4300}] foo")).values()
    assert len(str(most.revision)) == 4300


@pytest.mark.host
def test_a_real_public_inbox_searches_by_file_date_and_subject(tmp_path: Path) -> None:
    with public_inbox(ARCHIVE.values(), tmp_path / "archive") as midmask:
        settings = ArchiveSettings(midmask=midmask, waits=())

        def ids(query: str) -> list[str]:
            hits = search(query, settings=settings, progress=Silent())
            return [hit.message_id for hit in hits]

        assert ids("dfn:drivers/foo.c") == ["v1-1@dev.example", "v2-1@dev.example"]
        assert ids("dfn:drivers/foo.c AND d:20260110..") == ["v2-1@dev.example"]
        assert "prereq-1@dev.example" in ids("s:bar")
        for query in ("dfn:no/such.c", "((", "--output=/x", "\x00\n"):
            assert ids(query) == []


def test_an_archive_that_gives_a_web_page(archive: LoreDouble) -> None:
    archive.always = WEB_PAGE
    with pytest.raises(KverdictError) as caught:
        search('s:"foo"', settings=settings_for(archive), progress=Silent())
    assert caught.value.status is ExitStatus.ARCHIVE_NONSENSE


# --- series ---------------------------------------------------------------------------------------


def whose(archive: LoreDouble, mail: bytes) -> tuple[str, int] | None:
    (hit,) = found(mail).values()
    offer = offered(hit, settings=settings_for(archive), progress=Silent())
    if offer is None:
        return None
    assert hit.message_id in offer.message_ids
    return offer.message_id, offer.revision


@pytest.mark.parametrize("revision", [1, 2])
@pytest.mark.parametrize("number", [0, 1, 2])
def test_each_mail_leads_to_its_own_series(archive: LoreDouble, revision: int, number: int) -> None:
    mail = ARCHIVE[f"v{revision}-{number}@dev.example"]
    assert whose(archive, mail) == (f"v{revision}-0@dev.example", revision)


ASIDE = changed(
    ARCHIVE["prereq-1@dev.example"],
    From="Bob <bob@example.org>",
    Message_ID="<aside@x.example>",
    In_Reply_To="<v1-0@dev.example>",
    References="<v1-0@dev.example>",
)


def test_a_lone_patch_in_answer_to_somebody_else_is_no_series_and_none_of_theirs(
    archive: LoreDouble, tmp_path: Path
) -> None:
    archive.mails["aside@x.example"] = ASIDE
    assert whose(archive, ASIDE) is None
    assert whose(archive, ARCHIVE["v1-1@dev.example"]) == ("v1-0@dev.example", 1)
    # Who names it means it.
    named = fetch(
        ["<aside@x.example>"],
        folder=tmp_path / "series",
        revision=None,
        settings=settings_for(archive),
        progress=Silent(),
    )
    assert [patch.message_id for patch in named.patches] == ["aside@x.example"]


def test_neither_is_one_that_only_gives_itself_a_revision(archive: LoreDouble) -> None:
    mail = changed(ASIDE, Subject="[PATCH v7] bar: return eighty")
    archive.mails["aside@x.example"] = mail
    assert whose(archive, mail) is None


def test_an_answer_to_oneself_is_a_series(archive: LoreDouble) -> None:
    """b4 counts the cover letter that it answers to it."""
    mail = changed(ASIDE, From="Alice Dev <alice@dev.example>", Subject="[PATCH v7] bar: eighty")
    archive.mails["aside@x.example"] = mail
    assert whose(archive, mail) == ("v1-0@dev.example", 7)


def test_a_single_numbered_patch_has_its_cover_letter(archive: LoreDouble) -> None:
    """b4 takes it for a lone patch in a discussion and leaves the cover letter out."""
    cover = changed(
        ARCHIVE["v1-0@dev.example"], Subject="[PATCH 0/1] bar", Message_ID="<c-0@x.example>"
    )
    patch = changed(
        ARCHIVE["prereq-1@dev.example"],
        Subject="[PATCH 1/1] bar: return eighty",
        Message_ID="<c-1@x.example>",
        In_Reply_To="<c-0@x.example>",
        References="<c-0@x.example>",
    )
    archive.mails |= {"c-0@x.example": cover, "c-1@x.example": patch}
    assert whose(archive, patch) == ("c-0@x.example", 1)
    assert whose(archive, cover) == ("c-0@x.example", 1)


def test_an_answer_that_b4_cannot_read_is_no_trouble_of_the_series(
    archive: LoreDouble, tmp_path: Path
) -> None:
    one = ARCHIVE["v1-1@dev.example"]
    answer = endless_revision(one, In_Reply_To="<v1-0@dev.example>")
    archive.mails["endless@x.example"] = answer
    assert whose(archive, one) == ("v1-0@dev.example", 1)
    box = tmp_path / "thread.mbx"
    box.write_bytes(as_mbox(*archive.mails.values()))
    for asked in ("<v1-0@dev.example>", str(box)):
        series = fetch(
            [asked],
            folder=tmp_path / "series",
            revision=1,
            settings=settings_for(archive),
            progress=Silent(),
        )
        assert series.message_id == "v1-0@dev.example"
    with pytest.raises(KverdictError, match="its subject cannot be read") as caught:
        fetch(
            ["<endless@x.example>"],
            folder=tmp_path / "series",
            revision=None,
            settings=settings_for(archive),
            progress=Silent(),
        )
    assert caught.value.status is ExitStatus.SERIES_REFUSED


def test_a_hole_is_told_as_for_any_fetch(archive: LoreDouble) -> None:
    del archive.mails["v1-2@dev.example"]
    with pytest.raises(KverdictError) as caught:
        whose(archive, ARCHIVE["v1-1@dev.example"])
    assert caught.value.status is ExitStatus.SERIES_INCOMPLETE
