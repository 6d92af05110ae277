# SPDX-License-Identifier: GPL-2.0-or-later
from __future__ import annotations

import mailbox
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kverdict.errors import ExitStatus, UserError
from kverdict.mails import classify, message_id_of, one_mailbox, read_mails, what_is_wrong
from kverdict.models import SourceKind


@pytest.mark.parametrize(
    ("word", "kind"),
    [
        ("20251114151828.98165-2-kalyazin@amazon.com", SourceKind.MESSAGE_ID),
        ("<20251114151828.98165-2-kalyazin@amazon.com>", SourceKind.MESSAGE_ID),
        ("https://lore.kernel.org/all/x@y/", SourceKind.MESSAGE_ID),
        ("a..b@host", SourceKind.MESSAGE_ID),
        ("v7.2..topic", SourceKind.REV_RANGE),
        ("v7.2...topic", SourceKind.REV_RANGE),
        ("origin/master..", SourceKind.REV_RANGE),
        ("@{upstream}..HEAD", SourceKind.REV_RANGE),
        ("@..topic", SourceKind.REV_RANGE),
    ],
)
def test_words_that_name_nothing_on_disk(
    word: str, kind: SourceKind, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert classify([word]) is kind


def test_things_on_disk(tmp_path: Path) -> None:
    files = ("a.mbx", "b.patch", "c.eml", "d@host", "e..f")
    for name in files:
        (tmp_path / name).write_text("x")
    (tmp_path / "maildir" / "cur").mkdir(parents=True)
    (tmp_path / "maildir" / "new").mkdir()
    (tmp_path / "outgoing").mkdir()
    names = (*files, "maildir", "outgoing")
    kinds = {name: classify([str(tmp_path / name)]) for name in names}
    assert kinds == {
        "a.mbx": SourceKind.MBOX,
        "b.patch": SourceKind.PATCH_FILES,
        "c.eml": SourceKind.PATCH_FILES,
        "d@host": SourceKind.MBOX,
        "e..f": SourceKind.MBOX,
        "maildir": SourceKind.MAILDIR,
        "outgoing": SourceKind.PATCH_FILES,
    }
    several = [str(tmp_path / name) for name in ("b.patch", "c.eml")]
    assert classify(several) is SourceKind.PATCH_FILES


@pytest.mark.parametrize(
    "words", [[], ["nowhere.mbx"], ["a" * 5000], ["nul\0"], ["x@y", "z@y"], ["/dev/null"]]
)
def test_words_that_name_nothing(words: list[str]) -> None:
    with pytest.raises(UserError) as caught:
        classify(words)
    assert caught.value.status is ExitStatus.USAGE
    assert caught.value.remedy


@pytest.mark.parametrize(
    ("word", "found"),
    [
        ("x@y", "x@y"),
        ("<x@y>", "x@y"),
        ("id:x@y", "x@y"),
        ("rfc822msgid:x@y", "x@y"),
        ("https://lore.kernel.org/all/20251114151828.98165-2-k@amazon.com/", None),
        ("https://lore.kernel.org/kvm/20251114151828.98165-2-k@amazon.com/T/#u", None),
        ("https://lore.kernel.org/r/20251114151828.98165-2-k%40amazon.com", None),
        ("https://patch.msgid.link/20251114151828.98165-2-k@amazon.com", None),
        ("https://patchwork.example/project/kvm/patch/20251114151828.98165-2-k@amazon.com/", None),
        ("https://lore.kernel.org/all/20251114151828.98165-2-k@amazon.com/?q=a@b", None),
        ("https://lore.kernel.org/all/a%2Fb@host/raw", "a/b@host"),
    ],
)
def test_message_ids_in_their_forms(word: str, found: str | None) -> None:
    assert message_id_of(word) == (found or "20251114151828.98165-2-k@amazon.com")


@pytest.mark.parametrize(
    "word",
    [
        *("", "x", "@", "x@", "@y", "<>", "a@b@c", "x y@z", "x@y z", "x@y\nz", "x@y/../z"),
        *("--output=/x@y", "https://host/all/", "https://[/x@y", "\N{BULLET}@y", "x@" + "y" * 101),
    ],
)
def test_what_is_not_a_message_id(word: str) -> None:
    with pytest.raises(UserError, match="is not a message-id"):
        message_id_of(word)


# RFC 5322 3.2.3: what an atom may hold, without the characters that a URL has for itself.
ATOM = st.text(st.sampled_from("abcXYZ0189!$&'*+=^_`{|}~."), min_size=1, max_size=60)


@given(ATOM, ATOM.filter(lambda text: text.isalnum()))
def test_a_message_id_is_the_same_alone_and_in_a_url(left: str, right: str) -> None:
    name = f"{left}@{right}"
    assert message_id_of(f"<{name}>") == name
    assert message_id_of(f"https://lore.kernel.org/kvm/{name}/T/#u") == name


@given(st.text(max_size=80))
def test_a_message_id_never_holds_what_a_shell_or_header_takes_for_its_own(word: str) -> None:
    try:
        found = message_id_of(word)
    except UserError:
        return
    assert found.count("@") == 1
    assert not found.startswith("-")
    assert found.isascii()
    assert found.isprintable()
    assert not set(found) & set(' <>"\\')


@given(
    st.lists(
        st.text(st.characters(codec="ascii", exclude_categories=["C"]), max_size=30).map(
            lambda line: line.replace("x", "From ")
        ),
        max_size=8,
    )
)
def test_a_single_mail_survives_the_escaping(lines: list[str]) -> None:
    mail = "\n".join(["Subject: x", "", *lines, "end", ""]).encode()
    mbox = one_mailbox(mail, "x.eml")
    assert mbox.count(b"\nFrom ") == 0
    assert undone(mbox) == mail


def test_git_reads_a_single_mail_back_as_it_was(tmp_path: Path) -> None:
    mail = b"Subject: x\n\nFrom here\n>From there\n>>From 12:00:00 2001\nend\n"
    subprocess.run(
        ["git", "mailsplit", "--mboxrd", f"-o{tmp_path}"],
        input=one_mailbox(mail, "x.eml"),
        stdout=subprocess.DEVNULL,
        check=True,
    )
    (path,) = tmp_path.iterdir()
    assert path.read_bytes().partition(b"\n")[2].rstrip() == mail.rstrip()


def undone(mbox: bytes) -> bytes:
    """The one mail of an mboxrd, by the definition: each ``>From`` loses one ``>``."""
    first, _, rest = mbox.partition(b"\n")
    assert first.startswith(b"From ")
    lines = rest.removesuffix(b"\n").split(b"\n")
    return b"\n".join(
        line[1:] if line.startswith(b">") and line.lstrip(b">").startswith(b"From ") else line
        for line in lines
    )


def test_a_mailbox_of_many_is_taken_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "many.mbx"
    box = mailbox.mbox(path)
    for number in (1, 2):
        box.add(f"Subject: {number}\n\nbody\n")
    box.close()
    content = read_mails(SourceKind.MBOX, [str(path)])
    assert content.startswith(b"From ")
    assert content.count(b"\nFrom ") == 1


def test_patch_files_come_in_the_order_named_and_folders_by_name(tmp_path: Path) -> None:
    for name in ("0002-b.patch", "0001-a.patch", "notes.txt"):
        (tmp_path / name).write_text(f"Subject: {name}\n\n")
    by_name = read_mails(SourceKind.PATCH_FILES, [str(tmp_path)])
    assert by_name.index(b"0001-a") < by_name.index(b"0002-b")
    assert b"notes" not in by_name
    named = read_mails(
        SourceKind.PATCH_FILES, [str(tmp_path / "0002-b.patch"), str(tmp_path / "0001-a.patch")]
    )
    assert named.index(b"0002-b") < named.index(b"0001-a")


def test_folders_without_mails(tmp_path: Path) -> None:
    (tmp_path / "cur").mkdir()
    (tmp_path / "new").mkdir()
    for kind, words in ((SourceKind.MAILDIR, "no mails"), (SourceKind.PATCH_FILES, "no patches")):
        with pytest.raises(UserError, match=words) as caught:
            read_mails(kind, [str(tmp_path)])
        assert caught.value.status is ExitStatus.BAD_MAILBOX


def test_a_mailbox_over_the_limit(tmp_path: Path) -> None:
    path = tmp_path / "big.mbx"
    with path.open("wb") as stream:
        stream.truncate(65 << 20)
    with pytest.raises(UserError, match="over 64 MiB"):
        read_mails(SourceKind.MBOX, [str(path)])


@given(st.binary(max_size=200))
def test_any_bytes_get_an_answer(content: bytes) -> None:
    problem = what_is_wrong(content)
    assert problem is None or all(problem)
