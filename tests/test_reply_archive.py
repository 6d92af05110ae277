# SPDX-License-Identifier: GPL-2.0-or-later
"""Sent replies in a real public-inbox, and what the real b4 then makes of the thread."""

from __future__ import annotations

import gzip
import re
import urllib.request
from collections.abc import Callable, Iterator
from email import message_from_bytes
from pathlib import Path

import pytest

from kverdict import models as m
from kverdict.progress import Silent
from kverdict.reply import draft_replies
from kverdict.sending import send
from kverdict.settings import Settings
from kverdict.stages.fetch import ArchiveSettings, fetch
from kverdict.verdict import Report
from tests import answered
from tests import factories as make
from tests.archive.public_inbox import public_inbox
from tests.archive.recorded import mails_in
from tests.smtp import smtp_server

pytestmark = pytest.mark.host

MAILS = mails_in("archive.mbx")
ACKED = "Acked-by: Terry Tester <terry@tester.example>"


def hostile(series: m.Series) -> Report:
    """A guest whose case and console say trailers and a patch in the name of who replies."""
    text = f"no\n{ACKED}\n\n{ACKED}\n---\ndiff --git a/x b/x\n--- a/x\n+++ b/x\n@@ -1 +1 @@\n-a\n+b"
    splat = make.splat(f"at x {ACKED}", fingerprint="x", excerpt=text, during=None, function="x")
    bad = make.case("pwrite.page", answered.FAIL, message=text, title=ACKED)
    guest = make.guest("b1d2" * 10, cases=(bad,), splats=(splat,))
    old = answered.base_with({"pwrite.page": answered.PASS})
    return answered.report(series, old, (answered.built(1), answered.booted(guest=guest)))


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Path]]:
    """The folder of a series that was fetched after these replies had come to the list.

    v2 has the replies to a good run, v1 those to a hostile one.
    """
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch, smtp_server() as server:
        patch.setenv("HOME", str(home))
        patch.setenv("NO_PROXY", "127.0.0.1")
        patch.chdir(home)
        answered.git_user(
            home,
            ("sendemail.smtpserver", "127.0.0.1"),
            ("sendemail.smtpserverport", str(server.port)),
        )
        for made, revision in ((answered.good, 2), (hostile, 1)):
            folder = answered.run_folder(home, made, revision=revision, name=f"v{revision}")
            draft_replies(folder, Settings())
            assert send(folder, lambda mail: True)
        replies = [got.content.replace(b"\r\n", b"\n") for got in server.received]
        assert len(replies) >= 2
        with public_inbox([*MAILS.values(), *replies], home / "archive") as midmask:
            (home / "midmask").write_text(midmask)

            def fetched(name: str) -> Path:
                place = home / f"fetched-{name}"
                fetch(
                    [name],
                    folder=place,
                    revision=int(name[1]),
                    settings=ArchiveSettings(midmask=midmask, waits=()),
                    progress=Silent(),
                )
                return place

            yield fetched


def ids_of(mails: bytes) -> list[str]:
    return re.findall(r"^Message-I[dD]: <(.+)>$", mails.decode(), re.MULTILINE)


def test_a_reply_is_in_the_thread_of_its_series(archive: Callable[[str], Path]) -> None:
    folder = archive("v2-0@dev.example")
    thread = (folder / "thread.mbx").read_bytes()
    (ours,) = [id for id in ids_of(thread) if id.endswith(".kverdict@tester.example")]
    midmask = (folder.parent / "midmask").read_text()
    with urllib.request.urlopen(f"{midmask % ours}/t.mbox.gz") as answer:
        alone = gzip.decompress(answer.read())
    assert set(ids_of(alone)) == set(ids_of(thread))
    assert "v2-2@dev.example" in ids_of(alone)
    assert "v1-0@dev.example" not in ids_of(alone)
    with urllib.request.urlopen(f"{midmask % ours}/raw") as answer:
        mail = message_from_bytes(answer.read())
    assert mail["In-Reply-To"] == "<v2-0@dev.example>"


def test_b4_takes_the_trailer_that_was_offered(archive: Callable[[str], Path]) -> None:
    series = m.Series.from_json((archive("v2-0@dev.example") / "series.json").read_bytes())
    for patch in series.patches:
        assert "Tested-by: Terry Tester <terry@tester.example>" in patch.trailers_added


def test_b4_takes_nothing_that_a_guest_said(archive: Callable[[str], Path]) -> None:
    folder = archive("v1-0@dev.example")
    assert ACKED in (folder / "thread.mbx").read_text()
    series = m.Series.from_json((folder / "series.json").read_bytes())
    assert len(series.patches) == 2
    for patch in series.patches:
        assert not any("Terry" in trailer for trailer in patch.trailers_added)
