# SPDX-License-Identifier: GPL-2.0-or-later
"""Whole runs of the stage: each of them starts the real worker with the real b4."""

from __future__ import annotations

import base64
import gzip
import re
import socket
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from email import message_from_bytes
from email.utils import format_datetime
from pathlib import Path

import patatt
import pytest
from nacl.encoding import Base64Encoder
from nacl.signing import SigningKey

from kverdict.errors import ExitStatus, KverdictError
from kverdict.models import Series, SourceKind
from kverdict.progress import Silent
from kverdict.stages.fetch import (
    ArchiveSettings,
    AttestationPolicy,
    fetch,
    fetch_mailbox,
    fetched,
    search_patch_id,
)
from tests.archive.lore_double import WEB_PAGE, LoreDouble, Reply, lore_double
from tests.archive.recorded import DATA, as_mbox, mails_in

PREREQUISITE = "0270ddd43b1a8128858fcfb43c0b696d39bf7c8e"
ARCHIVE = mails_in("archive.mbx")
NOWHERE = ArchiveSettings(midmask="http://127.0.0.1:9/lkml/%s", waits=())


class Heard(Silent):
    """Keeps what was said."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, line: str) -> None:
        self.lines.append(line)


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.fixture
def archive() -> Iterator[LoreDouble]:
    with lore_double(ARCHIVE.values()) as double:
        yield double


def settings_for(archive: LoreDouble, **more: object) -> ArchiveSettings:
    return ArchiveSettings.model_validate({"midmask": archive.midmask, "waits": (), **more})


def take(
    asked: str | Sequence[str],
    folder: Path,
    settings: ArchiveSettings = NOWHERE,
    *,
    revision: int | None = None,
    heard: Heard | None = None,
) -> Series:
    words = [asked] if isinstance(asked, str) else list(asked)
    return fetch(
        words,
        folder=folder / "series",
        revision=revision,
        settings=settings,
        progress=heard or Heard(),
    )


@contextmanager
def trouble(status: ExitStatus, folder: Path, *words: str) -> Iterator[None]:
    """The error has this exit status and names these words, and nothing is left in ``folder``."""
    before = sorted(folder.iterdir())
    with pytest.raises(KverdictError) as caught:
        yield
    assert caught.value.status is status
    assert all(word in str(caught.value) for word in words), str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.remedy
    assert sorted(folder.iterdir()) == before


def saved(folder: Path, *names: str, change: Callable[[bytes], bytes] = bytes) -> str:
    """A mailbox file with these mails of the recorded archive."""
    path = folder / "saved.mbx"
    path.write_bytes(as_mbox(*(change(ARCHIVE[name]) for name in names)))
    return str(path)


V2 = ("v2-0@dev.example", "v2-1@dev.example", "v2-2@dev.example")


# --- a series from the archive ------------------------------------------------------------------


@pytest.fixture(scope="module")
def taken(tmp_path_factory: pytest.TempPathFactory) -> tuple[Series, Path]:
    """v2 as fetched once, with its folder."""
    folder = tmp_path_factory.mktemp("taken")
    with pytest.MonkeyPatch.context() as patch, lore_double(ARCHIVE.values()) as double:
        patch.setenv("NO_PROXY", "127.0.0.1")
        series = take("<v2-0@dev.example>", folder, settings_for(double))
    return series, folder / "series"


def test_a_series_by_message_id(taken: tuple[Series, Path]) -> None:
    series, _ = taken
    assert (series.kind, series.revision, series.newest_revision) == (SourceKind.MESSAGE_ID, 2, 2)
    assert series.message_id == "v2-0@dev.example"
    assert series.subject == "foo, bar: fix initial values"
    assert series.author == "Alice Dev <alice@dev.example>"
    assert series.base_commit == "23cfb57717d83813dea85e95ac0e5324c182068d"
    assert series.prerequisite_patch_ids == (PREREQUISITE,)
    assert series.change_id == "20260105-foo-bar-1234567890ab"
    assert series.cover is not None
    assert "Changes in v2: twenty-two, baz.c is new.\n" in series.cover
    first, second = series.patches
    assert (first.number, first.message_id) == (1, "v2-1@dev.example")
    assert first.subject == "foo: fix the second value"
    assert first.date.isoformat() == "2026-01-12T10:00:00+01:00"
    assert [(blob.old_path, blob.preimage) for blob in second.blobs] == [
        ("drivers/bar.c", "58d270d"),
        ("drivers/baz.c", "0000000"),
    ]
    assert not first.attestation.attested


def test_trailers_are_collected_from_the_thread(taken: tuple[Series, Path]) -> None:
    first, second = taken[0].patches
    assert first.trailers_added == (
        "Reviewed-by: Rita Viewer <rita@rev.example>",
        "Tested-by: Tim Tester <tim@test.example>",
    )
    # Eve's mail has an Acked-by in Rita's name.
    assert second.trailers_added == ("Tested-by: Tim Tester <tim@test.example>",)


def test_git_am_takes_the_mailbox(taken: tuple[Series, Path], tmp_path: Path) -> None:
    mbox = (taken[1] / "series.mbx").read_bytes()
    split = tmp_path / "split"
    split.mkdir()
    count = subprocess.run(
        ["git", "mailsplit", "--mboxrd", f"-o{split}"], input=mbox, capture_output=True, check=True
    ).stdout
    assert count == b"2\n"
    subprocess.run(
        ["git", "mailinfo", str(tmp_path / "message"), str(tmp_path / "diff")],
        input=(split / "0001").read_bytes(),
        stdout=subprocess.DEVNULL,
        check=True,
    )
    assert (tmp_path / "message").read_text() == (
        "It was two.\n"
        "From now on it is twenty-two.\n\n"
        "Signed-off-by: Alice Dev <alice@dev.example>\n"
        "Reviewed-by: Rita Viewer <rita@rev.example>\n"
        "Tested-by: Tim Tester <tim@test.example>\n"
    )


def test_the_folder_holds_the_series_and_nothing_beside(
    archive: LoreDouble, tmp_path: Path
) -> None:
    (tmp_path / "series").mkdir()
    (tmp_path / "series" / "old").touch()
    first = take("v2-0@dev.example", tmp_path, settings_for(archive))
    again = take("v2-0@dev.example", tmp_path, settings_for(archive))
    assert again == first
    assert [path.name for path in tmp_path.iterdir()] == ["series"]
    assert sorted(path.name for path in (tmp_path / "series").iterdir()) == [
        "cover.txt",
        "manifest.json",
        "series.json",
        "series.mbx",
        "thread.mbx",
    ]
    assert fetched(tmp_path / "series") == first


def test_the_thread_is_kept_with_the_replies(taken: tuple[Series, Path]) -> None:
    thread = (taken[1] / "thread.mbx").read_bytes()
    assert thread.count(b"\n>From now on") == 1
    assert [name for name in ARCHIVE if f"<{name}>\n".encode() in thread] == [
        *V2,
        "r1@rev.example",
        "t1@test.example",
        "e1@evil.example",
    ]


def test_an_older_revision_is_taken_as_asked_and_the_newer_one_is_named(
    archive: LoreDouble, tmp_path: Path
) -> None:
    heard = Heard()
    series = take("v1-0@dev.example", tmp_path, settings_for(archive), heard=heard)
    assert (series.revision, series.newest_revision) == (1, 2)
    assert [patch.message_id for patch in series.patches] == [
        "v1-1@dev.example",
        "v1-2@dev.example",
    ]
    assert heard.lines == ["taking v1, although there is a v2"]


def in_one_thread(mail: bytes) -> bytes:
    """v2 sent as a reply to v1, which the documentation of the kernel discourages."""
    return mail.replace(
        b"Message-ID: <v2-0@", b"In-Reply-To: <v1-0@dev.example>\nMessage-ID: <v2-0@"
    )


def test_the_newest_revision_of_a_thread_is_taken_and_said(tmp_path: Path) -> None:
    heard = Heard()
    with lore_double(map(in_one_thread, ARCHIVE.values())) as archive:
        series = take("v1-1@dev.example", tmp_path, settings_for(archive), heard=heard)
        assert series.revision == 2
        assert heard.lines == ["taking v2 of the thread; v1-1@dev.example belongs to v1"]
        series = take("v2-1@dev.example", tmp_path, settings_for(archive), revision=1)
        assert (series.revision, series.newest_revision) == (1, 2)


def test_an_archive_without_search_still_gives_the_thread(
    archive: LoreDouble, tmp_path: Path
) -> None:
    original = archive.reply

    def no_search(method: str, target: str) -> Reply:
        return Reply(500) if method == "POST" else original(method, target)

    archive.reply = no_search  # type: ignore[method-assign]
    series = take("v1-0@dev.example", tmp_path, settings_for(archive))
    assert series.newest_revision == 1


def test_the_host_of_a_url_is_never_asked(archive: LoreDouble, tmp_path: Path) -> None:
    heard = Heard()
    with lore_double(()) as other:
        url = f"http://127.0.0.1:{other.port}/kvm/v2-1@dev.example/T/#u"
        series = take(url, tmp_path, settings_for(archive), heard=heard)
        assert other.requests == []
    assert series.revision == 2
    assert heard.lines == [
        f"only the message-id is taken from the URL; asking 127.0.0.1:{archive.port}"
    ]


def test_a_configuration_around_the_folder_is_not_read(
    archive: LoreDouble, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # With this value every command of b4 ends in a ValueError.
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "mine"))
    monkeypatch.setenv("HOME", str(tmp_path / "mine"))
    for where in ("mine/.gitconfig", "mine/git/config", "tree/.git/config"):
        path = tmp_path / where
        path.parent.mkdir(parents=True)
        path.write_text('[b4]\n\tlistid-preference = "none"\n')
    tree = tmp_path / "tree"
    (tree / ".git" / "config").unlink()
    subprocess.run(["git", "init", "-q", str(tree)], check=True)
    config = ["git", "-C", str(tree), "config", "b4.listid-preference", "none"]
    subprocess.run(config, check=True)
    assert take("v2-0@dev.example", tree, settings_for(archive)).revision == 2
    assert [path.name for path in (tmp_path / "mine").iterdir()] == [".gitconfig", "git"]


# --- when the archive does not give one ---------------------------------------------------------


def test_an_unknown_message_id(archive: LoreDouble, tmp_path: Path) -> None:
    with trouble(ExitStatus.SERIES_NOT_FOUND, tmp_path, "nobody@dev.example", "127.0.0.1"):
        take("nobody@dev.example", tmp_path, settings_for(archive))


@pytest.mark.parametrize("status", [429, 503])
def test_an_overloaded_archive(archive: LoreDouble, tmp_path: Path, status: int) -> None:
    archive.always = Reply(status)
    with trouble(ExitStatus.ARCHIVE_UNREACHABLE, tmp_path, "127.0.0.1", f"HTTP status {status}"):
        take("v2-0@dev.example", tmp_path, settings_for(archive))


def test_a_closed_port(tmp_path: Path) -> None:
    with trouble(ExitStatus.ARCHIVE_UNREACHABLE, tmp_path, "127.0.0.1:9", "Connection refused"):
        take("v2-0@dev.example", tmp_path, NOWHERE)


def test_an_archive_that_comes_back_is_asked_again(archive: LoreDouble, tmp_path: Path) -> None:
    archive.forced = [Reply(503), Reply(429)]
    heard = Heard()
    settings = settings_for(archive, waits=(0, 0))
    assert take("v2-0@dev.example", tmp_path, settings, heard=heard).revision == 2
    host = f"127.0.0.1:{archive.port}"
    assert heard.lines == [
        f"{host} cannot be reached (HTTP status 503); again in 0 s",
        f"{host} cannot be reached (HTTP status 429); again in 0 s",
    ]


def test_an_archive_that_never_answers(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        host = f"127.0.0.1:{silent.getsockname()[1]}"
        settings = ArchiveSettings(midmask=f"http://{host}/lkml/%s", timeout=1, waits=(0, 0))
        with trouble(ExitStatus.ARCHIVE_UNREACHABLE, tmp_path, host, "within 1 s"):
            take("v2-0@dev.example", tmp_path, settings)


NONSENSE = {
    "a page for browsers": (WEB_PAGE, "Not a gzipped file"),
    "a page for browsers, compressed": (Reply(200, gzip.compress(WEB_PAGE.body)), "no mail"),
    "cut off": (Reply(200, gzip.compress(as_mbox(*ARCHIVE.values()))[:-400]), "ended before"),
    "empty": (Reply(200), "no mail"),
    "refusal": (Reply(403), "HTTP status 403"),
    "another thread": (
        Reply(200, gzip.compress(as_mbox(ARCHIVE["chat-1@rev.example"]))),
        "does not have that mail",
    ),
}


@pytest.mark.parametrize("name", NONSENSE)
def test_an_answer_that_is_no_thread(archive: LoreDouble, tmp_path: Path, name: str) -> None:
    archive.always, words = NONSENSE[name]
    with trouble(ExitStatus.ARCHIVE_NONSENSE, tmp_path, "127.0.0.1", words):
        take("v2-0@dev.example", tmp_path, settings_for(archive))


def test_a_thread_that_unpacks_to_more_than_fits(archive: LoreDouble, tmp_path: Path) -> None:
    archive.always = Reply(200, gzip.compress(bytes(1 << 20)) * 400)
    with trouble(ExitStatus.SERIES_REFUSED, tmp_path, "too big"):
        take("v2-0@dev.example", tmp_path, settings_for(archive, memory=512 << 20))


# --- when the thread does not have one ----------------------------------------------------------


def test_a_thread_without_patches(archive: LoreDouble, tmp_path: Path) -> None:
    with trouble(ExitStatus.NO_PATCHES, tmp_path, "chat-1@rev.example"):
        take("chat-1@rev.example", tmp_path, settings_for(archive))


def test_a_missing_patch_is_named(tmp_path: Path) -> None:
    path = saved(tmp_path, "v2-0@dev.example", "v2-2@dev.example", "v1-1@dev.example")
    with trouble(ExitStatus.SERIES_INCOMPLETE, tmp_path, "missing [1/2]", "v1, v2"):
        take(path, tmp_path)


def test_an_unknown_revision_names_those_seen(tmp_path: Path) -> None:
    path = saved(tmp_path, *V2, "v1-1@dev.example")
    with trouble(ExitStatus.NO_SUCH_REVISION, tmp_path, "v7", "seen: v1, v2"):
        take(path, tmp_path, revision=7)


def test_two_mails_with_one_number(tmp_path: Path) -> None:
    path = saved(tmp_path, *V2)
    twin = ARCHIVE["v2-2@dev.example"].replace(b"<v2-2@", b"<v2-2-resent@")
    with Path(path).open("ab") as stream:
        stream.write(as_mbox(twin))
    with trouble(ExitStatus.BAD_MAILBOX, tmp_path, "more than one [2/2]"):
        take(path, tmp_path)


def test_hidden_directional_characters(tmp_path: Path) -> None:
    path = saved(
        tmp_path, *V2, change=lambda mail: mail.replace(b"+int foo", "+int \u202efoo".encode())
    )
    with trouble(ExitStatus.SERIES_REFUSED, tmp_path, "b4", "RIGHT-TO-LEFT OVERRIDE"):
        take(path, tmp_path)


def test_parts_nested_without_end(tmp_path: Path) -> None:
    marks = [f"-{depth}-" for depth in range(300)]
    path = tmp_path / "nested.eml"
    path.write_text(
        "Subject: [PATCH] x\n"
        + "".join(f"Content-Type: multipart/mixed; boundary={mark}\n\n--{mark}\n" for mark in marks)
    )
    with trouble(ExitStatus.SERIES_REFUSED, tmp_path, "nested too deeply"):
        take(str(path), tmp_path)


def test_a_series_that_claims_thousands_of_patches(tmp_path: Path) -> None:
    path = saved(tmp_path, *V2, change=lambda mail: mail.replace(b"/2] ", b"/9999] "))
    with trouble(ExitStatus.SERIES_REFUSED, tmp_path, "9999 patches", "200"):
        take(path, tmp_path)


def test_a_diff_whose_lines_were_wrapped(tmp_path: Path) -> None:
    path = saved(
        tmp_path, *V2, change=lambda mail: mail.replace(b"foo_3(void) {", b"foo_3(void)\n{")
    )
    with trouble(ExitStatus.BAD_MAILBOX, tmp_path, "[1/2] is damaged", "corrupt patch at line"):
        take(path, tmp_path)


# --- signatures ---------------------------------------------------------------------------------

SIGNED = DATA / "signed.mbx"
KEYS = NOWHERE.model_copy(update={"keyring": DATA / "keyring"})
HARDFAIL = {"attestation": AttestationPolicy.HARDFAIL}


def test_a_good_signature(tmp_path: Path) -> None:
    settings = KEYS.model_copy(update=HARDFAIL)
    (patch,) = take(str(SIGNED), tmp_path, settings).patches
    assert patch.attestation.attested
    assert patch.attestation.results == ("signed ed25519/alice@dev.example",)


def test_a_changed_mail_is_not_attested(tmp_path: Path) -> None:
    path = tmp_path / "changed.mbx"
    path.write_bytes(SIGNED.read_bytes().replace(b"return 80;", b"return 81;"))
    (patch,) = take(str(path), tmp_path, KEYS).patches
    assert not patch.attestation.attested
    assert patch.attestation.results == ("badsig ed25519/alice@dev.example",)


def test_a_signature_of_somebody_else_is_not_attested(tmp_path: Path) -> None:
    path = tmp_path / "forwarded.mbx"
    signed = SIGNED.read_bytes()
    # patatt signs for the identity in i=, whoever the mail says that it is from.
    path.write_bytes(
        signed.replace(b"From: Alice Dev <alice@dev.example>", b"From: E <e@x.example>")
    )
    (patch,) = take(str(path), tmp_path, KEYS).patches
    assert not patch.attestation.attested


def signed_by(secret: bytes, mail: bytes) -> bytes:
    """The mail, sent and signed now; patatt's signature has its time, and b4 compares the two."""
    today = b"Date: " + format_datetime(datetime.now(UTC)).encode()
    message = patatt.PatattMessage(re.sub(rb"^Date: .*", today, mail, flags=re.MULTILINE))
    message.sign("ed25519", base64.b64encode(secret), "alice@dev.example", None)
    return bytes(message.as_bytes())


def test_a_series_with_one_unsigned_patch_is_not_attested(tmp_path: Path) -> None:
    """Whoever can add a patch to a thread must not borrow the others' signatures."""
    secret = bytes(range(32))
    keyring = tmp_path / "keyring"
    key = keyring / "ed25519/dev.example/alice/default"
    key.parent.mkdir(parents=True)
    key.write_bytes(SigningKey(secret).verify_key.encode(Base64Encoder))
    settings = NOWHERE.model_copy(update={"keyring": keyring})
    one, two = (ARCHIVE[name] for name in V2[1:])
    for mails, said in (
        ((signed_by(secret, one), signed_by(secret, two)), "attested"),
        ((signed_by(secret, one), two), "not attested: [2/2]"),
        ((one, two), "not attested: [1/2] [2/2]"),
    ):
        path = tmp_path / "mixed.mbx"
        path.write_bytes(as_mbox(*mails))
        assert take(str(path), tmp_path, settings).attestation == said


def test_hardfail_wants_a_key_where_b4_does_not(tmp_path: Path) -> None:
    settings = NOWHERE.model_copy(update=HARDFAIL)
    with trouble(ExitStatus.SERIES_REFUSED, tmp_path, "no good signature", "[1/1]"):
        take(str(SIGNED), tmp_path, settings)
    with trouble(ExitStatus.SERIES_REFUSED, tmp_path, "no good signature", "[1/2] [2/2]"):
        take(str(DATA / "archive.mbx"), tmp_path, settings, revision=2)


def test_a_bad_signature_is_refused_by_hardfail(tmp_path: Path) -> None:
    path = tmp_path / "changed.mbx"
    path.write_bytes(SIGNED.read_bytes().replace(b"return 80;", b"return 81;"))
    with trouble(ExitStatus.SERIES_REFUSED, tmp_path, "hardfail"):
        take(str(path), tmp_path, KEYS.model_copy(update=HARDFAIL))


# --- mails on disk ------------------------------------------------------------------------------


def same_patches(series: Series) -> bool:
    """Whether these are the two patches of v2, whatever form they came in."""
    return [patch.subject for patch in series.patches] == [
        "foo: fix the second value",
        "bar: fix the third value",
    ] and series.base_commit == "23cfb57717d83813dea85e95ac0e5324c182068d"


def test_an_mbox(tmp_path: Path) -> None:
    series = take(saved(tmp_path, *V2, "r1@rev.example"), tmp_path)
    assert same_patches(series)
    assert series.kind is SourceKind.MBOX
    assert series.patches[0].trailers_added == ("Reviewed-by: Rita Viewer <rita@rev.example>",)


def test_a_maildir(tmp_path: Path) -> None:
    for sub in ("cur", "new", "tmp"):
        (tmp_path / "mail" / sub).mkdir(parents=True)
    for number, name in enumerate(V2):
        where = "new" if number == 1 else "cur"
        (tmp_path / "mail" / where / f"{9 - number}.host").write_bytes(ARCHIVE[name])
    series = take(str(tmp_path / "mail"), tmp_path)
    assert same_patches(series)
    assert series.kind is SourceKind.MAILDIR
    message = (tmp_path / "series" / "series.mbx").read_bytes()
    assert b"\n>From now on it is twenty-two.\n" in message


def test_patch_files_with_or_without_a_separator(tmp_path: Path) -> None:
    folder = tmp_path / "outgoing"
    folder.mkdir()
    for name, separator in zip(
        V2, (b"", b"From 1234 Mon Sep 17 00:00:00 2001\n", b""), strict=True
    ):
        (folder / f"{name[:4]}.patch").write_bytes(separator + ARCHIVE[name])
    (folder / "README").write_text("not a patch")
    as_folder = take(str(folder), tmp_path)
    assert same_patches(as_folder)
    assert as_folder.kind is SourceKind.PATCH_FILES
    files = sorted(str(path) for path in folder.glob("*.patch"))
    assert take(files, tmp_path).patches == as_folder.patches


def test_one_eml(tmp_path: Path) -> None:
    path = tmp_path / "mail.eml"
    path.write_bytes(ARCHIVE["prereq-1@dev.example"])
    series = take(str(path), tmp_path)
    assert [patch.patch_id for patch in series.patches] == [PREREQUISITE]
    assert series.cover is None


def test_unnumbered_patches_without_message_ids_keep_their_order(tmp_path: Path) -> None:
    """git format-patch -N; b4 by itself takes them for two revisions and applies the second."""

    def bare(name: str) -> bytes:
        mail = re.sub(rb"(?m)^(Message-ID|In-Reply-To|References):.*\n", b"", ARCHIVE[name])
        return re.sub(rb"\[PATCH v2 ./2\]", b"[PATCH]", mail)

    mails = as_mbox(bare("v2-1@dev.example"), bare("v2-2@dev.example"))
    ends = ("1" * 40, "2" * 40)
    series = fetch_mailbox(
        mails,
        kind=SourceKind.REV_RANGE,
        asked="base..topic",
        folder=tmp_path / "series",
        revision=None,
        settings=NOWHERE,
        progress=Silent(),
        rev_range=ends,
    )
    assert [(patch.number, patch.subject) for patch in series.patches] == [
        (1, "foo: fix the second value"),
        (2, "bar: fix the third value"),
    ]
    assert (series.revision, series.rev_range) == (1, ends)
    assert len({patch.message_id for patch in series.patches}) == 2


@pytest.mark.parametrize(
    "date", ["", "Date: yesterday\n", "Date: Mon, 99 Jan 2026 10:00:00 +9900\n"]
)
def test_a_bad_date_is_replaced_by_the_earliest_of_the_thread(tmp_path: Path, date: str) -> None:
    def change(mail: bytes) -> bytes:
        if b"v2-2@" not in mail.partition(b"\n")[0]:
            return mail
        return re.sub(rb"(?m)^Date:.*\n", date.encode(), mail, count=1)

    series = take(saved(tmp_path, *V2, change=change), tmp_path)
    assert series.patches[1].date.isoformat() == "2026-01-12T09:59:00+01:00"
    mail = (tmp_path / "series" / "series.mbx").read_bytes().split(b"\nFrom git@z")[1]
    assert str(message_from_bytes(mail.partition(b"\n")[2])["Date"]).startswith(
        "Mon, 12 Jan 2026 09:59"
    )


def test_no_date_at_all(tmp_path: Path) -> None:
    path = saved(tmp_path, *V2, change=lambda mail: re.sub(rb"(?m)^Date:.*\n", b"", mail))
    assert {patch.date.isoformat() for patch in take(path, tmp_path).patches} == {
        "1990-01-01T00:00:00+00:00"
    }


@pytest.mark.parametrize(
    ("header", "instead", "what"),
    [("From", "", "no From"), ("Subject", "Subject: [PATCH v2 1/2]\n", "no Subject")],
)
def test_a_mail_without_author_or_title(
    tmp_path: Path, header: str, instead: str, what: str
) -> None:
    line = re.compile(rf"(?m)^{header}:.*\n".encode())
    path = saved(tmp_path, *V2[1:2], change=lambda mail: line.sub(instead.encode(), mail))
    with Path(path).open("ab") as stream:
        stream.write(as_mbox(ARCHIVE[V2[2]]))
    with trouble(ExitStatus.BAD_MAILBOX, tmp_path, what):
        take(path, tmp_path)


def test_a_keyring_that_is_not_there(tmp_path: Path) -> None:
    with trouble(ExitStatus.USAGE, tmp_path, "keyring", "nowhere"):
        take(str(SIGNED), tmp_path, NOWHERE.model_copy(update={"keyring": tmp_path / "nowhere"}))


def test_control_characters_do_not_reach_the_fields(tmp_path: Path) -> None:
    evil = b"Subject: [PATCH v2 1/2] foo: \x1b[31mred\x07"
    path = saved(
        tmp_path,
        *V2,
        change=lambda mail: mail.replace(b"Subject: [PATCH v2 1/2] foo:", evil).replace(
            b"Two values", b"\x1b]0;Two values"
        ),
    )
    series = take(path, tmp_path)
    assert series.cover is not None
    assert series.patches[0].subject == "foo: [31mred fix the second value"
    assert all(char.isprintable() or char == "\n" for char in series.cover)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty"),
        (b"<html><body>no</body></html>", "web page"),
        (gzip.compress(b"x", mtime=0), "compressed"),
        (b"From x\n\0\0\0", "binary"),
        (b"diff --git a/x b/x\n", "bare diff"),
        (b"Dear all,\n", "not a mailbox"),
    ],
)
def test_a_file_that_is_no_mailbox(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "file.mbx"
    path.write_bytes(content)
    with trouble(ExitStatus.BAD_MAILBOX, tmp_path, "file.mbx", words):
        take(str(path), tmp_path)


def test_a_mailbox_that_was_cut_off(tmp_path: Path) -> None:
    path = Path(saved(tmp_path, *V2))
    path.write_bytes(path.read_bytes()[:-60])
    with trouble(ExitStatus.BAD_MAILBOX, tmp_path, "[2/2]", "damaged"):
        take(str(path), tmp_path)


def test_a_range_is_for_the_caller(tmp_path: Path) -> None:
    with trouble(ExitStatus.USAGE, tmp_path, "v7.2..topic", "tree"):
        take("v7.2..topic", tmp_path)


# --- prerequisites ------------------------------------------------------------------------------


def test_a_patch_is_found_by_its_patch_id(archive: LoreDouble) -> None:
    found = search_patch_id(PREREQUISITE, settings=settings_for(archive))
    assert found is not None
    assert (found.message_id, found.subject) == ("prereq-1@dev.example", "bar: return eighty")
    again = subprocess.run(
        ["git", "patch-id", "--stable"], input=found.mbox, capture_output=True, check=True
    )
    assert again.stdout.decode().startswith(PREREQUISITE)


def test_an_archive_that_sends_another_patch_is_not_believed(archive: LoreDouble) -> None:
    archive.always = Reply(200, gzip.compress(as_mbox(ARCHIVE["v1-1@dev.example"])))
    assert search_patch_id(PREREQUISITE, settings=settings_for(archive)) is None


def test_an_unknown_patch_id(archive: LoreDouble) -> None:
    assert search_patch_id("0" * 40, settings=settings_for(archive)) is None


def test_a_search_that_cannot_be_made(tmp_path: Path) -> None:
    with trouble(ExitStatus.ARCHIVE_UNREACHABLE, tmp_path, "127.0.0.1:9"):
        search_patch_id(PREREQUISITE, settings=NOWHERE)
    with trouble(ExitStatus.USAGE, tmp_path, "patch-id"):
        search_patch_id("x OR s:linux", settings=NOWHERE)
