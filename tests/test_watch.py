# SPDX-License-Identifier: GPL-2.0-or-later
"""A standing watch on a real public-inbox; only the boot of the verified kernels is a double."""

from __future__ import annotations

import fcntl
import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from email.message import Message
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from kverdict import cli, evaluate
from kverdict import settings as settings_module
from kverdict import watch as workflow
from kverdict.errors import ExitStatus, InfraError, KverdictError, PatchError, UserError
from kverdict.interrupt import Interrupted
from kverdict.models import Guest
from kverdict.proc import CommandFailed
from kverdict.progress import Progress, Silent
from kverdict.request import Request
from kverdict.settings import Settings
from kverdict.stages import boot, fetch
from kverdict.verify import Run, check_wanted, verify
from kverdict.watch import Options, Watch
from kverdict.watchstate import Entry, Memory, State, load, save
from tests.archive.lore_double import WEB_PAGE, LoreDouble, lore_double
from tests.archive.public_inbox import deliver, public_inbox
from tests.archive.recorded import message_id
from tests.fakekernel import GMEM, HEADER, INIT_SHARED, WRITE, FakeBoot, FakeKernel

pytestmark = pytest.mark.host

QUERY = 's:"KVM"'
LIST = "linux-kernel@vger.example"
ADD_WRITE = (HEADER, INIT_SHARED, INIT_SHARED + WRITE)
COMMENT = (GMEM, "return GUEST_MEMFD_FLAG_MMAP |", "return 0 | GUEST_MEMFD_FLAG_MMAP |")


class World:
    """Tree, cache, runs, settings, the double of the boot, and mails to be posted."""

    def __init__(self, home: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
        self.home, self.monkeypatch, self.capsys = home, monkeypatch, capsys
        self.kernel = FakeKernel.create(home / "linux")
        self.fake = FakeBoot()
        self.runs_folder = home / "runs"
        self.out = self.err = ""

    def configure(self, midmask: str, more: str = "") -> None:
        (self.home / "pipeline.toml").write_text(
            f"cache = {json.dumps(str(self.home / 'cache'))}\n"
            f"runs = {json.dumps(str(self.runs_folder))}\n"
            f"[archive]\nmidmask = {json.dumps(midmask)}\nwaits = []\n"
            '[kernel]\nfragments = ["small.config"]\n'
            "[guest]\nbench_mib = 0\n"
            f"[watch]\nqueries = [{json.dumps(QUERY)}]\n"
            f"tree = {json.dumps(str(self.kernel.repo))}\n{more}"
        )

    def __call__(self, *words: str) -> int:
        self.monkeypatch.setattr(sys, "argv", ["pipeline.py", *words])
        status = cli._status()
        self.out, self.err = self.capsys.readouterr()
        assert "Traceback" not in self.err
        return int(status)

    def watch(self, *words: str) -> int:
        return self("watch", "--once", *words)

    def by_hand(self, clock: Callable[[], datetime], **changes: Any) -> tuple[Watch, list[str]]:
        """A watch as the command makes it, at a time of the test's choice; and what it tells."""
        options = replace(
            Options(queries=(QUERY,), tree=None, jobs=1, interval=60, daily_limit=10), **changes
        )
        told: list[str] = []
        chosen = settings_module.load(None)
        return Watch(options, chosen, Silent(), told.append, clock), told

    @property
    def entries(self) -> list[Entry]:
        return load(self.runs_folder).of(*State)

    def states(self) -> dict[str, str]:
        """The entries by subject and revision."""
        return {f"{one.subject} v{one.revision}": one.state.value for one in self.entries}

    def runs(self) -> list[Path]:
        return sorted(path.parent for path in self.runs_folder.glob("*/run.json"))

    def post(
        self, subject: str, *changes: tuple[str, str, str], revision: int = 1, answers: str = ""
    ) -> list[bytes]:
        """A cover letter and a patch a change, as git format-patch threads them."""
        kernel = self.kernel
        for number, (path, old, new) in enumerate(changes, start=1):
            file = kernel.repo / path
            assert file.read_text().count(old) == 1
            file.write_text(file.read_text().replace(old, new))
            kernel.git("commit", "-q", "-a", "-s", "-m", f"KVM: {subject}, part {number}")
        words = ["--cover-letter", "--thread=shallow", f"--to={LIST}", f"-v{revision}"]
        if answers:
            words.append(f"--in-reply-to={answers}")
        count = len(changes)
        folder = self.home / f"posted-{subject}-{revision}".replace(" ", "-")
        kernel.git("format-patch", "-q", *words, f"-{count}", "-o", str(folder))
        kernel.git("reset", "-q", "--hard", f"HEAD~{count}")
        mails = [file.read_bytes() for file in sorted(folder.glob("*.patch"))]
        mails[0] = mails[0].replace(b"*** SUBJECT HERE ***", f"KVM: {subject}".encode())
        # git makes it of the time in seconds: two series posted within one would have the same.
        own = f"<{folder.name}.".encode()
        return [re.sub(rb"<cover\.", own, re.sub(rb"\AFrom .*\n", b"", mail)) for mail in mails]


@pytest.fixture
def world(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> World:
    made = World(tmp_path, monkeypatch, capsys)
    fake = made.fake
    monkeypatch.setattr(boot, "boot", lambda bzimage, **options: fake.boot(bzimage, **options))
    monkeypatch.setattr(evaluate, "choose_accelerator", fake.choose)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".gitconfig").write_text("[user]\nname = Rita\nemail = rita@example.org\n")
    (tmp_path / "small.config").write_text("CONFIG_KVM_SW_PROTECTED_VM=y\n")
    return made


def mail(subject: str, body: str, *, sender: str = "Bob <bob@example.org>", **more: str) -> bytes:
    made = Message()
    made["From"], made["To"], made["Subject"] = sender, LIST, subject
    made["Date"] = "Fri, 27 Nov 2026 12:00:00 +0000"
    for name, value in more.items():
        made[name.replace("_", "-")] = value
    made.set_payload(body)
    return made.as_bytes()


def body_of(raw: bytes) -> str:
    return str(message_from_bytes(raw).get_payload())


@contextmanager
def archive_of(world: World, mails: list[bytes]) -> Iterator[Path]:
    folder = world.home / "archive"
    with public_inbox(mails, folder) as midmask:
        world.configure(midmask)
        yield folder


@contextmanager
def double_of(world: World, mails: list[bytes], more: str = "") -> Iterator[LoreDouble]:
    with lore_double(mails) as archive:
        world.configure(archive.midmask, more)
        yield archive


# --- a real public-inbox --------------------------------------------------------------------------


def test_what_is_new_in_an_archive_is_verified_once(world: World) -> None:
    first = world.post("add write", ADD_WRITE, COMMENT)
    cover = message_id(first[0])
    talk = mail("KVM: what shall we do?", "talk", Message_ID="<talk@x.example>")
    reply = mail(
        "Re: [PATCH v1 1/2] KVM: add write, part 1",
        "> " + body_of(first[1]).replace("\n", "\n> "),
        Message_ID="<reply@x.example>",
        In_Reply_To=f"<{message_id(first[1])}>",
    )
    aside = mail(
        "[PATCH] KVM: how about this instead?",
        body_of(first[1]),
        Message_ID="<aside@x.example>",
        In_Reply_To=f"<{cover}>",
    )
    with archive_of(world, [*first, talk, reply, aside]) as archive:
        assert world.watch() == 0, world.err
        assert world.states() == {"KVM: add write v1": "done"}
        (entry,) = world.entries
        assert (entry.message_id, entry.verdict, entry.trouble) == (cover, "good", "")
        (run,) = world.runs()
        assert entry.run == run.name
        assert world.out == f"{'good':<22} v1 KVM: add write: {run.name}\n".replace(" " * 19, " ")
        for name in entry.drafts:
            draft = message_from_bytes((run / name).read_bytes())
            assert draft["In-Reply-To"] == f"<{cover}>"
        assert len(entry.drafts) == 1
        boots = len(world.fake.calls)

        assert world.watch() == 0, world.err
        assert (world.out, len(world.runs()), len(world.fake.calls)) == ("", 1, boots)

        # A newer revision is a new series, also in the same thread.
        deliver(world.post("add write", ADD_WRITE, revision=2, answers=cover), archive)
        assert world.watch() == 0, world.err
        assert world.states() == {"KVM: add write v1": "done", "KVM: add write v2": "done"}
        assert len(world.runs()) == 2
        memory = json.loads((world.runs()[-1] / "verdict.json").read_text())["memory"]
        assert memory["revision"] == 1

        assert world("watch", "--list") == 0
        assert [line.split()[:2] for line in world.out.splitlines()] == [
            ["good", "v1"],
            ["good", "v2"],
        ]


def test_trouble_with_one_series_does_not_stop_the_others(world: World) -> None:
    good = world.post("add write", ADD_WRITE)
    hole = world.post("a hole", COMMENT, ADD_WRITE)[1:2]
    stale = world.post("stale", COMMENT)
    stale[1] = stale[1].replace(b"-\treturn GUEST", b"-\treturn NO_GUEST")
    stale[1] = re.sub(rb"^index .*$", b"index 1234567..7654321 100644", stale[1], flags=re.M)
    hostile = [
        mail("[PATCH 1/9999] KVM: endless", "x", Message_ID="<many@x.example>"),
        mail("[PATCH] KVM: \x1b[2J\u202eno diff".encode().decode("latin-1"), "no diff here"),
        mail("[PATCH] KVM: odd", "x", Message_ID="<--output=/tmp/x@$(id)>"),
        mail("[PATCH] KVM: nobody", "x", sender='"', Message_ID="<nobody@x.example>"),
        mail("[PATCH v99999999999999999999] KVM: big", "x", Message_ID="<big@x.example>"),
    ]
    with archive_of(world, [*hostile, *stale, *hole, *good]):
        assert world.watch() == 0, world.err
        states = world.states()
        assert states.pop("KVM: add write v1") == "done"
        assert states.pop("KVM: stale v1") == "given up"
        assert states.pop("KVM: a hole, part 1 v1") == "waiting for its mails"
        assert "is incomplete: missing [2/2]" in world.out
        assert set(states.values()) <= {"given up", "waiting for its mails"}
        assert not set(world.out + world.err) & {"\x1b", "\u202e"}
        assert len(world.runs()) == 1
        assert world.watch() == 0, world.err
        assert len(world.runs()) == 1
        assert {"KVM: stale v1": "given up"}.items() <= world.states().items()


def test_mails_that_no_archive_should_have(world: World) -> None:
    """public-inbox itself refuses HTML; another archive may not."""
    good = world.post("add write", ADD_WRITE)
    hostile = [
        mail("[PATCH v2] KVM: <b>bold</b>", "<html>", Content_Type="text/html", Message_ID="<h@x>"),
        mail("[PATCH] KVM: bytes", "x", Message_ID="<\x01\x7f@x>"),
        mail("[PATCH] KVM: nested", "x", Message_ID="<n@x>", Content_Type="multipart/mixed; " * 50),
        mail("[PATCH 0/0] KVM: none", "x", Message_ID="<none@x>"),
        mail("[PATCH] KVM: loop", "x", Message_ID="<loop@x>", In_Reply_To="<loop@x>"),
    ]
    with double_of(world, [*hostile, *good]):
        assert world.watch() == 0, world.err
        assert world.states()["KVM: add write v1"] == "done"
        assert len(world.runs()) == 1
        assert "\x7f" not in world.out + world.err


def test_a_local_lei_finds_the_mails(world: World) -> None:
    with archive_of(world, world.post("add write", ADD_WRITE)) as archive:
        subprocess.run(
            ["lei", "add-external", str(archive / "inbox")], check=True, capture_output=True
        )
        try:
            query = f"s:write d:20.years.ago.. dfn:{HEADER}"
            assert world.watch("--lei", query) == 0, world.err
            assert world.states() == {"KVM: add write v1": "done"}
            assert world.watch("--lei", "dfn:no/such/file.c") == 0, world.err
        finally:
            subprocess.run(["lei", "daemon-kill"], check=True, capture_output=True)


def test_without_lei_it_is_named(world: World) -> None:
    with double_of(world, []):
        world.monkeypatch.setenv("PATH", str(world.home))
        assert world.watch("--lei") == ExitStatus.TOOL_MISSING
        assert "lei" in world.err


# --- restarts -------------------------------------------------------------------------------------


class Killed(BaseException):
    """Nothing that the program foresees."""


def stopping(how: type[BaseException]) -> Callable[[Guest, Mapping[str, Any]], Guest]:
    def stop(guest: Guest, facts: Mapping[str, Any]) -> Guest:
        raise how

    return stop


def going_on(guest: Guest, facts: Mapping[str, Any]) -> Guest:
    return guest


def test_an_interrupted_watch_goes_on_where_it_was(world: World) -> None:
    with double_of(world, world.post("add write", ADD_WRITE)):
        world.fake.change = stopping(Interrupted)
        assert world.watch() == ExitStatus.INTERRUPTED
        (entry,) = world.entries
        assert (entry.state, entry.tries) == (State.BEGUN, 0)
        (run,) = world.runs()
        world.fake.change = going_on
        assert world.watch() == 0, world.err
        assert world.states() == {"KVM: add write v1": "done"}
        assert world.runs() == [run]
        assert load(world.runs_folder).begun_on(datetime.now(UTC)) == 1


def test_a_killed_watch_goes_on_and_gives_up_what_always_kills_it(world: World) -> None:
    with double_of(world, world.post("add write", ADD_WRITE)):
        world.fake.change = stopping(Killed)
        for tries in range(1, 6):
            with pytest.raises(Killed):
                world.watch()
            assert [(one.state, one.tries) for one in world.entries] == [(State.BEGUN, tries)]
        assert len(world.runs()) == 1
        assert world.watch() == 0
        assert "ended 5 times without a verdict" in world.out
        assert world.states() == {"KVM: add write v1": "given up"}


@pytest.mark.parametrize("tries", [1, 5])
def test_killed_after_the_verdict_it_is_not_verified_again(world: World, tries: int) -> None:
    with double_of(world, world.post("add write", ADD_WRITE)):
        world.fake.change = stopping(Killed)
        with pytest.raises(Killed):
            world.watch()
        (begun,) = load(world.runs_folder).of(State.BEGUN)
        world.fake.change = going_on
        assert world.watch() == 0, world.err
        (run,) = world.runs()
        boots = len(world.fake.calls)
        save(world.runs_folder, Memory().put(begun.with_(tries=tries)))
        assert world.watch() == 0, world.err
        assert world.states() == {"KVM: add write v1": "done"}
        assert (world.runs(), len(world.fake.calls)) == ([run], boots)


def test_replies_are_drafted_when_what_kept_them_is_mended(world: World) -> None:
    with double_of(world, world.post("add write", ADD_WRITE)):
        (world.home / ".gitconfig").unlink()
        assert world.watch() == 0, world.err
        assert "no reply was drafted: git does not know your user.name" in world.out
        (entry,) = world.entries
        assert (entry.state, entry.verdict, entry.drafts) == (State.VERIFIED, "good", ())
        (world.home / ".gitconfig").write_text("[user]\nname = Rita\nemail = rita@example.org\n")
        assert world.watch() == 0, world.err
        (entry,) = world.entries
        assert (entry.state, len(entry.drafts), entry.trouble) == (State.DONE, 1, "")
        assert len(world.runs()) == 1


def test_a_run_that_was_removed_before_its_reply_is_done(world: World) -> None:
    with double_of(world, world.post("add write", ADD_WRITE)):
        (world.home / ".gitconfig").unlink()
        assert world.watch() == 0, world.err
        (run,) = world.runs()
        run.rename(world.home / "elsewhere")
        assert world.watch() == 0, world.err
        assert world.states() == {"KVM: add write v1": "done"}


def test_a_verdict_of_our_trouble_has_no_reply(world: World) -> None:
    world.fake.change = lambda guest, facts: guest.model_copy(update={"build_id": "ab" * 20})
    with double_of(world, world.post("add write", ADD_WRITE)):
        assert world.watch() == 0, world.err
        (entry,) = world.entries
        assert (entry.state, entry.verdict, entry.drafts) == (State.DONE, "our trouble", ())


# --- limits and locks -----------------------------------------------------------------------------


def test_a_day_begins_no_more_than_its_limit(world: World) -> None:
    mails = [*world.post("add write", ADD_WRITE), *world.post("comment", COMMENT)]
    now = datetime(2026, 11, 27, 23, 0, tzinfo=UTC)
    with double_of(world, mails):
        for _ in range(2):
            watch, told = world.by_hand(lambda: now, daily_limit=1)
            watch.once()
            assert sorted(world.states().values()) == ["done", "queued"]
        later, told = world.by_hand(lambda: now + timedelta(hours=2), daily_limit=1)
        later.once()
        assert sorted(world.states().values()) == ["done", "done"]
        assert len(told) == 1
        assert len(world.runs()) == 2


def test_two_watches_on_one_runs_folder_do_not_meet(world: World) -> None:
    with double_of(world, world.post("add write", ADD_WRITE)):
        world.runs_folder.mkdir()
        with (world.runs_folder / ".watch.lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            assert world.watch() == ExitStatus.TROUBLE
        assert world.err.splitlines() == [
            f"kverdict: another watch works on {world.runs_folder}: let it, or name another runs "
            "folder"
        ]
        assert world.runs() == []
        assert world.watch() == 0, world.err


# --- the archive is down --------------------------------------------------------------------------


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def test_an_archive_that_is_down_is_said_and_asked_again(world: World) -> None:
    world.configure(f"http://127.0.0.1:{closed_port()}/lkml/%s", "interval = 7\n")
    assert world.watch() == ExitStatus.ARCHIVE_UNREACHABLE
    assert "cannot be reached" in world.err
    slept: list[float] = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        if len(slept) == 2:
            raise Interrupted

    world.monkeypatch.setattr(workflow, "time", SimpleNamespace(sleep=sleep))
    assert world("watch") == ExitStatus.INTERRUPTED
    assert slept == [7, 7]
    assert world.err.count("again in 7 s") == 2


def test_a_web_page_instead_of_mails_is_the_archive_s_trouble(world: World) -> None:
    with double_of(world, world.post("add write", ADD_WRITE)) as archive:
        archive.always = WEB_PAGE
        assert world.watch() == ExitStatus.ARCHIVE_NONSENSE
        assert world.states() == {}
        archive.always = None
        assert world.watch() == 0, world.err
        assert world.states() == {"KVM: add write v1": "done"}


def test_an_archive_that_goes_down_in_between_loses_nothing(world: World) -> None:
    mails = [*world.post("add write", ADD_WRITE), *world.post("comment", COMMENT)]
    with double_of(world, mails) as archive:
        reply = archive.reply
        asked: list[str] = []

        def failing(method: str, target: str) -> Any:
            asked.append(target)
            return WEB_PAGE if "comment" in target or len(asked) > 4 else reply(method, target)

        archive.reply = failing  # type: ignore[method-assign]
        assert world.watch() == ExitStatus.ARCHIVE_NONSENSE
        archive.reply = reply  # type: ignore[method-assign]
        assert world.watch() == 0, world.err
        assert sorted(world.states().values()) == ["done", "done"]
        assert len(world.runs()) == 2


def test_mails_that_come_late_fill_the_hole(world: World) -> None:
    mails = world.post("add write", ADD_WRITE, COMMENT)
    with double_of(world, mails[:2]) as archive:
        assert world.watch() == 0, world.err
        assert list(world.states().values()) == ["waiting for its mails"]
        # Also when the newcomer is the first of them by date.
        late = mails[2].replace(b"Date: ", b"Date: Mon, 2 Nov 2026 00:00:00 +0000\nX-Date: ", 1)
        archive.mails[message_id(late)] = late
        assert world.watch() == 0, world.err
        assert world.states() == {"KVM: add write v1": "done"}


def test_a_hole_is_given_up_after_a_day(world: World) -> None:
    now = datetime(2026, 11, 27, 12, 0, tzinfo=UTC)
    with double_of(world, world.post("add write", ADD_WRITE, COMMENT)[:2]) as archive:
        world.by_hand(lambda: now)[0].once()
        assert list(world.states().values()) == ["waiting for its mails"]
        watch, told = world.by_hand(lambda: now + timedelta(days=1))
        watch.once()
        assert list(world.states().values()) == ["given up"]
        assert "incomplete" in told[0]
        archive.requests.clear()
        watch.once()
        assert [line for line in archive.requests if line.startswith("GET")] == []


def test_a_hole_is_given_up_also_when_no_query_finds_it_any_more(world: World) -> None:
    now = datetime(2026, 11, 27, 12, 0, tzinfo=UTC)
    with double_of(world, world.post("add write", ADD_WRITE, COMMENT)[:2]) as archive:
        world.by_hand(lambda: now)[0].once()
        archive.mails.clear()
        watch, told = world.by_hand(lambda: now + timedelta(days=1))
        watch.once()
        assert list(world.states().values()) == ["given up"]
        assert "incomplete" in told[0]


def test_the_trouble_of_a_stray_mail_takes_nothing_from_its_neighbours(world: World) -> None:
    mails = world.post("add write", ADD_WRITE)
    cover = message_id(mails[0])
    stray = mail(
        "[PATCH v1 2/9999] KVM: stray",
        "no diff",
        sender=message_from_bytes(mails[0])["From"],
        Message_ID="<stray@x.example>",
        In_Reply_To=f"<{cover}>",
        References=f"<{cover}>",
    ).replace(b"27 Nov 2026", b"27 Nov 2037")
    now = datetime(2026, 11, 27, 12, 0, tzinfo=UTC)
    offered = fetch.offered

    def lost(hit: fetch.Hit, **options: Any) -> fetch.Offer | None:
        if hit.message_id == "stray@x.example":
            raise UserError("no mail", status=ExitStatus.SERIES_NOT_FOUND)
        return offered(hit, **options)

    world.monkeypatch.setattr(fetch, "offered", lost)
    with double_of(world, [*mails, stray]):
        world.by_hand(lambda: now)[0].once()
        assert world.states() == {
            "KVM: add write v1": "done",
            "KVM: stray v1": "waiting for its mails",
        }
        world.by_hand(lambda: now + timedelta(days=1))[0].once()
        assert world.states() == {"KVM: add write v1": "done", "KVM: stray v1": "given up"}


@pytest.mark.parametrize(
    "error",
    [
        InfraError("the b4 process failed"),
        PatchError("'KVM' is too big to be read", status=ExitStatus.SERIES_REFUSED),
        CommandFailed("lei failed (exit status 1)"),
    ],
)
def test_a_query_that_fails_is_asked_again_in_the_next_round(
    world: World, error: KverdictError
) -> None:
    now = datetime(2026, 11, 27, 12, 0, tzinfo=UTC)
    search = fetch.search
    rounds: list[float] = []

    def fail(query: str, **options: Any) -> tuple[fetch.Hit, ...]:
        if not rounds:
            raise error
        return search(query, **options)

    def sleep(seconds: float) -> None:
        rounds.append(seconds)
        if len(rounds) == 2:
            raise Interrupted

    world.monkeypatch.setattr(fetch, "search", fail)
    world.monkeypatch.setattr(workflow, "time", SimpleNamespace(sleep=sleep))
    with double_of(world, world.post("add write", ADD_WRITE)), pytest.raises(Interrupted):
        world.by_hand(lambda: now)[0].forever()
    assert world.states() == {"KVM: add write v1": "done"}


# --- mistakes -------------------------------------------------------------------------------------


def test_a_mistake_of_the_user_is_no_verdict_on_a_series(world: World) -> None:
    with double_of(world, world.post("add write", ADD_WRITE)):
        assert world.watch("--tree", str(world.home / "nowhere")) == ExitStatus.BAD_TREE
        (entry,) = world.entries
        assert (entry.state, entry.tries) == (State.BEGUN, 0)
        assert "nowhere is missing" in entry.trouble
        assert world.watch() == 0, world.err
        assert world.states() == {"KVM: add write v1": "done"}


def test_a_series_that_takes_a_symbol_away_stops_no_other(world: World) -> None:
    symbol = "config KVM_SW_PROTECTED_VM\n"
    mails = [
        *world.post("rename", ("Kconfig", symbol, symbol.replace("SW_", "SOFT_"))),
        *world.post("add write", ADD_WRITE),
    ]
    with double_of(world, mails):
        assert world.watch() == 0, world.err
        assert world.states() == {"KVM: rename v1": "given up", "KVM: add write v1": "done"}
        assert "leaves no CONFIG_KVM_SW_PROTECTED_VM, which small.config:1 asks for" in world.out


def test_what_looks_like_a_mistake_is_tried_five_times_and_stops_no_other(world: World) -> None:
    """Each base is another: that one lacks a symbol says nothing of the others."""

    def odd(request: Request, settings: Settings, progress: Progress) -> Run:
        if "odd" in request.series[0]:
            raise UserError("small.config:1: this kernel has no CONFIG_KVM_SW_PROTECTED_VM")
        return verify(request, settings, progress)

    world.monkeypatch.setattr(
        workflow, "workflow", SimpleNamespace(verify=odd, check_wanted=check_wanted)
    )
    with double_of(world, [*world.post("odd", COMMENT), *world.post("add write", ADD_WRITE)]):
        for tries in range(1, 6):
            assert world.watch() == 0, world.err
            assert world.states() == {"KVM: odd v1": "begun", "KVM: add write v1": "done"}
            assert [one.tries for one in world.entries if one.state is State.BEGUN] == [tries]
        assert world.watch() == 0, world.err
        assert world.states() == {"KVM: odd v1": "given up", "KVM: add write v1": "done"}


def test_a_fragment_that_is_gone_ends_the_watch(world: World) -> None:
    with double_of(world, world.post("add write", ADD_WRITE)):
        (world.home / "small.config").unlink()
        assert world.watch() == ExitStatus.USAGE
        assert "there is no Kconfig fragment 'small.config'" in world.err
        assert [(one.state, one.tries) for one in world.entries] == [(State.BEGUN, 0)]


def test_without_a_query_or_a_tree_nothing_is_asked(world: World) -> None:
    with double_of(world, []) as archive:
        text = (world.home / "pipeline.toml").read_text()
        (world.home / "pipeline.toml").write_text(text.partition("[watch]")[0])
        assert world.watch() == ExitStatus.USAGE
        assert "nothing to watch for: give a query, or set [watch] queries" in world.err
        assert world.watch(QUERY) == ExitStatus.USAGE
        assert "no kernel tree is given" in world.err
        assert archive.requests == []


@pytest.mark.parametrize("name", ["report.txt.j2", "reply/tested.txt.j2"])
def test_with_a_template_that_is_none_nothing_is_asked(world: World, name: str) -> None:
    file = world.home / "mine" / name
    file.parent.mkdir(parents=True)
    file.write_text("{% if %}")
    settings = world.home / "pipeline.toml"
    with double_of(world, []) as archive:
        settings.write_text(f'templates = "{world.home / "mine"}"\n' + settings.read_text())
        assert world.watch() == ExitStatus.USAGE
        assert f"{name}:1: " in world.err
        assert archive.requests == []


def test_our_trouble_with_one_series_is_tried_again_and_stops_no_other(world: World) -> None:
    mails = [*world.post("add write", ADD_WRITE), *world.post("comment", COMMENT)]

    def break_once(guest: Guest, facts: Mapping[str, Any]) -> Guest:
        world.fake.change = going_on
        raise InfraError("QEMU is tired", "wake it")

    world.fake.change = break_once
    with double_of(world, mails):
        assert world.watch() == 0, world.err
        assert "QEMU is tired" in world.out
        assert sorted(world.states().values()) == ["begun", "done"]
        assert world.watch() == 0, world.err
        assert sorted(world.states().values()) == ["done", "done"]
        assert len(world.runs()) == 2


def test_a_full_disk_ends_the_round(world: World) -> None:
    mails = [*world.post("add write", ADD_WRITE), *world.post("comment", COMMENT)]

    def full(guest: Guest, facts: Mapping[str, Any]) -> Guest:
        raise OSError(28, os.strerror(28))

    world.fake.change = full
    with double_of(world, mails):
        assert world.watch() == ExitStatus.DISK_FULL
        assert sorted(world.states().values()) == ["begun", "queued"]
        world.fake.change = going_on
        assert world.watch() == 0, world.err
        assert sorted(world.states().values()) == ["done", "done"]


def test_a_damaged_state_is_refused_and_finished_runs_are_known_without_it(world: World) -> None:
    with double_of(world, world.post("add write", ADD_WRITE)):
        assert world.watch() == 0, world.err
        state = world.runs_folder / "watch.json"
        os.truncate(state, state.stat().st_size // 2)
        assert world.watch() == ExitStatus.USAGE
        assert "watch.json is damaged: remove it" in world.err
        state.unlink()
        boots = len(world.fake.calls)
        assert world.watch("-j", str(len(os.sched_getaffinity(0)))) == 0, world.err
        assert (len(world.runs()), len(world.fake.calls)) == (1, boots)


def test_the_state_of_another_version_is_refused(tmp_path: Path) -> None:
    (tmp_path / "watch.json").write_text(Memory(version=2).to_json())
    with pytest.raises(UserError, match="is of another version"):
        load(tmp_path)
    (tmp_path / "watch.json").unlink()
    assert load(tmp_path) == Memory()
