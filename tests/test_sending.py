# SPDX-License-Identifier: GPL-2.0-or-later
"""kverdict.sending: a real git send-email to a real SMTP server on loopback."""

from __future__ import annotations

import email
import email.policy
import os
import pty
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from email.message import EmailMessage
from pathlib import Path

import pytest
from click.testing import CliRunner

from kverdict.cli import commands
from kverdict.errors import InfraError, UserError
from kverdict.proc import ToolMissing, converse
from kverdict.reply import draft_replies
from kverdict.runs import run_lock
from kverdict.sending import Outgoing, Sent, State, send
from kverdict.settings import HOME, Settings
from tests import answered
from tests.smtp import Server, smtp_server

pytestmark = pytest.mark.host

EVERYBODY = ("alice@dev.example", "linux-kernel@vger.example")


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with smtp_server() as running:
        yield running


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: Server) -> Path:
    server.received.clear()
    server.refuse = False
    folder = tmp_path / "home"
    folder.mkdir()
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    answered.git_user(
        folder,
        ("sendemail.smtpserver", "127.0.0.1"),
        ("sendemail.smtpserverport", str(server.port)),
        ("sendemail.smtpdomain", "tester.example"),
    )
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def drafted(home: Path) -> Path:
    """A run's folder with a draft to each of two patches."""
    folder = answered.run_folder(home, answered.bad_warning)
    draft_replies(folder, Settings())
    return folder


def yes(mail: Outgoing) -> bool:
    return True


def mail_of(content: bytes) -> EmailMessage:
    mail = email.message_from_bytes(content, policy=email.policy.default)
    assert isinstance(mail, EmailMessage)
    return mail


def test_each_draft_arrives_as_it_was_written(drafted: Path, server: Server) -> None:
    before = [mail_of(path.read_bytes()) for path in sorted((drafted / "reply").iterdir())]
    sent = send(drafted, yes)
    assert [mail.recipients for mail in sent] == [EVERYBODY, EVERYBODY]
    assert len(server.received) == 2
    for got, draft in zip(server.received, before, strict=True):
        assert got.sender == answered.ADDRESS
        assert tuple(got.recipients) == EVERYBODY
        mail = mail_of(got.content)
        for name in ("From", "To", "Cc", "Subject", "Message-ID", "In-Reply-To", "References"):
            assert str(mail[name]) == str(draft[name])
        assert mail["Date"] is not None
        assert mail.get_content().replace("\r\n", "\n") == draft.get_content()


def test_nothing_goes_out_twice(drafted: Path, server: Server) -> None:
    send(drafted, yes)
    with pytest.raises(UserError, match="were sent already"):
        send(drafted, yes)
    # Drafted again in other words, it is still the reply to the same mails.
    other = drafted.parent / "templates" / "reply"
    other.mkdir(parents=True)
    (other / "reproduce.txt.j2").write_text("Other words.\n")
    draft_replies(drafted, Settings(templates=str(other.parent)))
    with pytest.raises(UserError, match="were sent already"):
        send(drafted, yes)
    assert len(server.received) == 2


def test_what_was_declined_can_be_sent_later(drafted: Path, server: Server) -> None:
    asked: list[str] = []

    def only_the_first(mail: Outgoing) -> bool:
        asked.append(mail.path.name)
        return len(asked) == 1

    assert len(send(drafted, only_the_first)) == 1
    assert len(asked) == 2
    assert [mail.path.name for mail in send(drafted, yes)] == [asked[1]]
    assert len(server.received) == 2


def test_it_is_written_down_before_it_goes_out(drafted: Path, server: Server) -> None:
    """The server refuses; nobody can tell whether a mail got out, so it is not tried again."""
    server.refuse = True
    with pytest.raises(InfraError, match="may be out or not"):
        send(drafted, yes)
    (record,) = (drafted / "sent").iterdir()
    told = Sent.from_json(record.read_bytes())
    assert told.state is State.SENDING
    assert told.recipients == EVERYBODY
    server.refuse = False
    with pytest.raises(UserError, match="may have been sent") as caught:
        send(drafted, yes)
    assert str(record) in str(caught.value)
    record.unlink()
    assert len(send(drafted, yes)) == 2


def test_a_damaged_record_counts_as_one(drafted: Path) -> None:
    send(drafted, yes)
    record = sorted((drafted / "sent").iterdir())[0]
    assert Sent.from_json(record.read_bytes()).state is State.SENT
    record.write_bytes(b"{")
    with pytest.raises(UserError, match="may have been sent"):
        send(drafted, yes)


def test_whom_the_user_s_settings_add_is_shown(drafted: Path, home: Path, server: Server) -> None:
    answered.git_user(home, ("sendemail.bcc", "me@tester.example"))
    shown: list[tuple[str, ...]] = []

    def no(mail: Outgoing) -> bool:
        shown.append(mail.recipients)
        return False

    assert send(drafted, no) == ()
    assert shown == [(*EVERYBODY, "me@tester.example")] * 2
    assert server.received == []


def test_settings_in_a_file_that_git_is_told_of(home: Path, server: Server, tmp_path: Path) -> None:
    """GIT_CONFIG_GLOBAL, git(1); other GIT_* of the caller's would name a repository."""
    settings = (home / ".gitconfig").rename(tmp_path / "settings")
    folder = answered.run_folder(home, answered.bad_warning)
    env = {**os.environ, "GIT_CONFIG_GLOBAL": str(settings), "GIT_DIR": str(tmp_path / "none")}
    argv = [sys.executable, str(HOME / "pipeline.py"), "reply", str(folder)]
    drafted = subprocess.run(argv, cwd=home, env=env, capture_output=True, text=True)
    assert drafted.returncode == 0, drafted.stderr
    status, said = talk([*argv, "--send"], [b"y", b"n"], home, env)
    assert status == 0, said
    assert [got.sender for got in server.received] == [answered.ADDRESS]


def test_quoted_and_offered_trailers_copy_nobody(home: Path, server: Server) -> None:
    folder = answered.run_folder(home, answered.good)
    (path,) = draft_replies(folder, Settings()).mails
    text = path.read_text()
    assert "Tested-by: " in text
    path.write_text(text.replace("> Two", "> Cc: x@other.example\n> Two"))
    send(folder, yes)
    assert tuple(server.received[0].recipients) == EVERYBODY


def test_a_sendmail_program_of_the_user_s(drafted: Path, home: Path, tmp_path: Path) -> None:
    program = tmp_path / "sendmail"
    program.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/args\ncat > /dev/null\n')
    program.chmod(0o755)
    (home / ".gitconfig").write_text("")
    answered.git_user(home, ("sendemail.smtpserver", str(program)))
    sent = send(drafted, yes)
    assert [mail.recipients for mail in sent] == [EVERYBODY, EVERYBODY]
    assert (tmp_path / "args").read_text().splitlines() == [f"-i {' '.join(EVERYBODY)}"] * 2


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("Zoë Prüfer", "Zoë Prüfer"),
        ('Zoë "Z" Prüfer', "Zoë Z Prüfer"),
        ("Prüfer, Zoë", '"Prüfer, Zoë"'),
        ('Terry "T" Tester', '"Terry \\"T\\" Tester"'),
    ],
)
def test_names_that_have_to_be_encoded_or_quoted(
    home: Path, server: Server, name: str, shown: str
) -> None:
    file = str(home / ".gitconfig")
    subprocess.run(["git", "config", "--file", file, "user.name", name], check=True)
    folder = answered.run_folder(home, answered.good)
    draft_replies(folder, Settings())
    send(folder, yes)
    mail = mail_of(server.received[0].content)
    assert str(mail["From"]) == f"{shown} <{answered.ADDRESS}>"
    body = mail.get_content()
    assert body.startswith("On Mon, 12 Jan 2026")  # no "From:" line of git's own before it
    assert f"Tested-by: {name} <{answered.ADDRESS}>" in body


def test_settings_that_git_refuses_are_told_before_anything_is_written(
    drafted: Path, home: Path
) -> None:
    answered.git_user(home, ("sendemail.transferencoding", "none-such"))
    with pytest.raises(InfraError, match="git send-email cannot send 0001-"):
        send(drafted, yes)
    assert not (drafted / "sent").exists()


def test_without_drafts_there_is_nothing_to_send(home: Path) -> None:
    with pytest.raises(UserError, match="has no drafts"):
        send(answered.run_folder(home, answered.good), yes)


def test_a_draft_without_its_from(drafted: Path) -> None:
    path = sorted((drafted / "reply").iterdir())[0]
    path.write_text(path.read_text().replace("From: Terry Tester <terry@tester.example>\n", ""))
    with pytest.raises(UserError, match="has no From"):
        send(drafted, yes)


def test_one_at_a_time(drafted: Path) -> None:
    with run_lock(drafted), pytest.raises(UserError, match="somebody works in"):
        send(drafted, yes)


def test_without_git_send_email(
    drafted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A git whose folder of commands is empty."""
    place = tmp_path / "bin"
    place.mkdir()
    for name in ("sh", "setpriv"):
        (place / name).symlink_to(f"/usr/bin/{name}")
    (place / "git").write_text(f"#!/bin/sh\necho {place}\n")
    (place / "git").chmod(0o755)
    monkeypatch.setenv("PATH", str(place))
    with pytest.raises(ToolMissing, match="package git-email"):
        send(drafted, yes)


def test_a_program_that_is_missing() -> None:
    with pytest.raises(ToolMissing, match="no-such-program is not installed"):
        converse(["no-such-program"])


def test_the_command_shows_everything_and_takes_no_for_an_answer(
    drafted: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kverdict.commands.reply._somebody_is_there", lambda: True)
    done = CliRunner().invoke(commands, ["reply", str(drafted), "--send"], input="n\ny\n")
    assert done.exit_code == 0, done.output
    assert done.output.count("Goes to:      linux-kernel@vger.example") == 2
    assert "In-Reply-To:  <v2-1@dev.example>" in done.output
    assert "1 mail sent" in done.output
    assert [mail_of(got.content)["In-Reply-To"] for got in server.received] == [
        "<v2-2@dev.example>"
    ]


# --- the command on a terminal --------------------------------------------------------------------


def talk(
    argv: list[str], answers: list[bytes], cwd: Path, env: dict[str, str] | None = None
) -> tuple[int, str]:
    """Runs a program on a terminal of its own; an answer goes in when a question has come.

    It is the controlling one (setsid(1)), which is where git send-email asks.
    """
    ours, theirs = pty.openpty()
    argv = ["setsid", "--ctty", "--wait", *argv]
    process = subprocess.Popen(argv, stdin=theirs, stdout=theirs, stderr=theirs, cwd=cwd, env=env)
    os.close(theirs)
    said, until = b"", time.monotonic() + 120
    while time.monotonic() < until:
        if select.select([ours], [], [], 0.2)[0]:
            try:
                said += os.read(ours, 65536)
            except OSError:  # the other side is closed
                break
        elif process.poll() is not None:
            break
        if answers and said.count(b"[y/N]: ") > len(said.split(answers[0] + b"\r\n")) - 1:
            os.write(ours, answers.pop(0) + b"\n")
            said += b"\n"
    os.close(ours)
    return process.wait(), said.decode()


def test_the_command_asks_first(drafted: Path, home: Path, server: Server) -> None:
    argv = [sys.executable, str(HOME / "pipeline.py"), "reply", str(drafted), "--send"]
    status, said = talk(argv, [b"y", b"n"], home)
    assert status == 0, said
    assert "Goes to:      alice@dev.example" in said
    assert "Send this to 2 recipients? [y/N]:" in said
    assert "1 mail sent" in said
    assert "To whom should the emails be sent" not in said
    assert [got.recipients for got in server.received] == [list(EVERYBODY)]
