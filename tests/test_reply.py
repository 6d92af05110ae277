# SPDX-License-Identifier: GPL-2.0-or-later
"""kverdict.reply: from a run's folder to drafts, with real mails through real b4."""

from __future__ import annotations

import email
import email.policy
import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from kverdict import models as m
from kverdict.cli import commands
from kverdict.errors import ExitStatus, InfraError, KverdictError, UserError
from kverdict.models import BaseHow
from kverdict.policy import ReplySettings
from kverdict.render.letters import Aim
from kverdict.reply import draft_replies
from kverdict.runs import run_lock
from kverdict.settings import Settings
from kverdict.verdict import Report
from tests import answered
from tests import factories as make

GOLDEN = Path(__file__).parent / "data" / "replies"
PATCHES = Path(__file__).parent.parent / "patches"
SETTINGS = Settings()


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "home"
    folder.mkdir()
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    answered.git_user(folder)
    monkeypatch.chdir(folder)
    return folder


def texts(mails: tuple[Path, ...]) -> list[str]:
    return [path.read_text() for path in mails]


# --- golden mails ---------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", answered.KINDS)
def test_the_mails_of_each_kind_of_verdict(home: Path, kind: str) -> None:
    """Read these files: they are what a maintainer gets."""
    folder = answered.run_folder(home, answered.KINDS[kind])
    draft_replies(folder, SETTINGS)
    assert (folder / "reply.mbox").read_text() == (GOLDEN / f"{kind}.mbox").read_text()


def test_advice_as_a_mail(home: Path) -> None:
    folder = answered.run_folder(home, answered.advised)
    draft_replies(folder, Settings(reply=ReplySettings(advice=3)))
    assert (folder / "reply.mbox").read_text() == (GOLDEN / "advice.mbox").read_text()


def test_each_golden_mail_is_one_of_these() -> None:
    assert {path.stem for path in GOLDEN.iterdir()} == {*answered.KINDS, "advice"}


@pytest.mark.parametrize("path", sorted(GOLDEN.iterdir()), ids=lambda path: path.stem)
def test_a_golden_mail_is_read_back_by_python(path: Path) -> None:
    for raw in path.read_bytes().split(b"From mboxrd@z Thu Jan  1 00:00:00 1970\n")[1:]:
        mail = email.message_from_bytes(raw, policy=email.policy.default)
        assert not mail.defects
        assert str(mail["From"]) == "Terry Tester <terry@tester.example>"
        assert str(mail["Subject"]).startswith("Re: [PATCH v2 ")
        assert mail["To"].addresses[0].addr_spec == "alice@dev.example"
        assert mail["Cc"].addresses[0].addr_spec == "linux-kernel@vger.example"
        assert str(mail["References"]).split()[-1] == str(mail["In-Reply-To"])
        assert "Date" not in mail
        assert mail.get_content_type() == "text/plain"
        assert "format" not in dict(mail["Content-Type"].params)


def test_tested_by_is_in_the_good_one_and_in_no_bad_one() -> None:
    offered = {
        path.stem for path in GOLDEN.iterdir() if re.search("^Tested-by:", path.read_text(), re.M)
    }
    assert offered == {"good", "advice"}


# --- the workflow ---------------------------------------------------------------------------------


def test_why_there_is_no_trailer_is_told_to_the_sender_and_not_in_the_mail(home: Path) -> None:
    folder = answered.run_folder(home, answered.good_with_a_skip)
    drafted = draft_replies(folder, SETTINGS)
    note = "no Tested-by (cases): skipped or unanswered: uring.write"
    assert note in drafted.notes
    assert (folder / "reply.notes.txt").read_text().splitlines() == list(drafted.notes)
    assert "Tested-by" not in "".join(texts(drafted.mails))


def test_our_trouble_is_no_answer(home: Path) -> None:
    folder = answered.run_folder(home, answered.infra)
    with pytest.raises(InfraError, match="ended in our trouble") as caught:
        draft_replies(folder, SETTINGS)
    assert "the disk is full" in str(caught.value)
    assert not (folder / "reply").exists()


def test_an_unfinished_run_has_no_reply(home: Path) -> None:
    folder = answered.run_folder(home, answered.good)
    (folder / "verdict.json").unlink()
    with pytest.raises(UserError, match="not the folder of a finished run"):
        draft_replies(folder, SETTINGS)


@pytest.mark.parametrize("key", ["user.name", "user.email"])
def test_who_sends_it_has_to_be_known(home: Path, key: str) -> None:
    (home / ".gitconfig").write_text("")
    section, name = key.split(".")
    other = {"name": "email", "email": "name"}[name]
    (home / ".gitconfig").write_text(f"[{section}]\n{other} = a@b.cd\n")
    folder = answered.run_folder(home, answered.good)
    with pytest.raises(UserError, match=f"git config --global {key}"):
        draft_replies(folder, SETTINGS)


def test_a_line_break_in_the_name_is_no_header(home: Path) -> None:
    (home / ".gitconfig").write_text('[user]\nname = "T\\nBcc: x@y.zz"\nemail = t@tester.example\n')
    folder = answered.run_folder(home, answered.good)
    (path,) = draft_replies(folder, SETTINGS).mails
    mail = email.message_from_bytes(path.read_bytes(), policy=email.policy.default)
    assert "Bcc" not in mail
    assert "\nTested-by: T Bcc: x@y.zz <t@tester.example>\n" in path.read_text()


def test_the_same_run_gives_the_same_bytes(home: Path) -> None:
    folder = answered.run_folder(home, answered.bad_warning)
    first = texts(draft_replies(folder, SETTINGS).mails)
    assert texts(draft_replies(folder, SETTINGS).mails) == first
    assert len(first) == 2


def test_another_aim_replaces_what_was_drafted(home: Path) -> None:
    folder = answered.run_folder(home, answered.bad_warning)
    draft_replies(folder, SETTINGS)
    (path,) = draft_replies(folder, SETTINGS, aim=Aim.TO_COVER).mails
    assert "In-Reply-To: <v2-0@dev.example>" in path.read_text()
    assert list((folder / "reply").iterdir()) == [path]


def test_an_edited_draft_is_not_overwritten(home: Path) -> None:
    folder = answered.run_folder(home, answered.bad_warning)
    first, _ = draft_replies(folder, SETTINGS).mails
    first.write_text(first.read_text() + "\nMany thanks!\n")
    with pytest.raises(UserError, match="was edited"):
        draft_replies(folder, SETTINGS)
    assert "Many thanks!" in first.read_text()
    (folder / "reply").rename(folder / "mine")
    assert len(draft_replies(folder, SETTINGS).mails) == 2


def test_an_edited_mailbox_is_not_overwritten(home: Path) -> None:
    folder = answered.run_folder(home, answered.bad_warning)
    draft_replies(folder, SETTINGS)
    mbox = folder / "reply.mbox"
    ours = mbox.read_bytes()
    draft_replies(folder, SETTINGS)
    mbox.write_bytes(ours + b"Many thanks!\n")
    with pytest.raises(UserError, match=r"reply\.mbox was edited"):
        draft_replies(folder, SETTINGS)
    assert mbox.read_bytes() == ours + b"Many thanks!\n"
    mbox.rename(folder / "mine.mbox")
    draft_replies(folder, SETTINGS)
    assert mbox.read_bytes() == ours


def test_a_removed_draft_is_drafted_again(home: Path) -> None:
    folder = answered.run_folder(home, answered.bad_warning)
    draft_replies(folder, SETTINGS).mails[0].unlink()
    assert len(draft_replies(folder, SETTINGS).mails) == 2


def test_nobody_else_works_in_the_folder(home: Path) -> None:
    folder = answered.run_folder(home, answered.good)
    with run_lock(folder) as ours:
        assert ours
        with pytest.raises(UserError, match="somebody works in"):
            draft_replies(folder, SETTINGS)


def test_a_run_of_before_without_its_thread_says_so(home: Path) -> None:
    folder = answered.run_folder(home, answered.good)
    (folder / "series" / "thread.mbx").unlink()
    with pytest.raises(UserError, match=r"has no thread\.mbx"):
        draft_replies(folder, SETTINGS)


def test_a_thread_of_other_mails_says_so(home: Path) -> None:
    folder = answered.run_folder(home, answered.good)
    thread = folder / "series" / "thread.mbx"
    thread.write_bytes(thread.read_bytes().replace(b"<v2-2@dev.example>", b"<x@dev.example>"))
    with pytest.raises(UserError, match=r"has no mail <v2-2@dev\.example>"):
        draft_replies(folder, SETTINGS)


# --- commands for the reader ----------------------------------------------------------------------


def command_in(path: Path) -> str:
    return next(line.strip() for line in path.read_text().split("\n") if "./pipeline.py" in line)


def test_the_commands_name_no_path_of_this_machine(home: Path) -> None:
    fragment = home / "my.config"
    asked = {"tree": str(home / "src" / "linux"), "fragments": ["base", str(fragment)]}
    folder = answered.run_folder(home, answered.good, asked=asked)
    drafted = draft_replies(folder, SETTINGS)
    assert str(home) not in "".join(texts(drafted.mails))
    assert command_in(drafted.mails[0]) == (
        f"./pipeline.py verify --tree linux --base {make.BASE} --revision 2 "
        "--fragment my.config v2-0@dev.example"
    )
    assert "the commands name the fragment my.config: enclose it" in drafted.notes


def test_a_base_that_the_series_names_is_named_in_full(home: Path) -> None:
    base = make.base_choice(how=BaseHow.BASE_COMMIT, ref="base-commit")
    folder = answered.run_folder(home, lambda series: answered.report(series, base=base))
    assert f"--base {make.BASE} " in command_in(draft_replies(folder, SETTINGS).mails[0])


def test_a_tarball_has_no_commits(home: Path) -> None:
    tarball = home / "linux-7.2.tar.xz"
    tarball.write_bytes(b"")
    folder = answered.run_folder(home, answered.good, asked={"tree": str(tarball)})
    words = command_in(draft_replies(folder, SETTINGS).mails[0])
    assert words.startswith("./pipeline.py verify --tree linux-7.2.tar.xz --base HEAD ")


def test_a_series_that_was_never_mailed(home: Path) -> None:
    mails = PATCHES / "gmem-write-v7-repaired.mbx"
    folder = answered.run_folder(home, answered.good, mails=mails, revision=None)
    drafted = draft_replies(folder, SETTINGS)
    mail = email.message_from_bytes(drafted.mails[0].read_bytes())
    assert mail["In-Reply-To"] is None
    assert mail["References"] is None
    assert any("begins a thread of its own" in note for note in drafted.notes)
    assert command_in(drafted.mails[0]).endswith(" gmem-write-v7-repaired.mbx")


def test_a_range_of_the_user_s_commits(home: Path) -> None:
    def ranged(series: m.Series) -> Report:
        mine = series.model_copy(update={"kind": m.SourceKind.REV_RANGE})
        base = make.base_choice(how=BaseHow.RANGE)
        return answered.report(mine, base=base)

    mails = PATCHES / "gmem-write-v7-repaired.mbx"
    folder = answered.run_folder(
        home, ranged, mails=mails, revision=None, asked={"tree": str(home / "linux")}
    )
    drafted = draft_replies(folder, SETTINGS)
    assert command_in(drafted.mails[0]) == (
        "./pipeline.py verify --tree linux ba5eba5eba5e..720972097209"
    )
    assert "the commands name commits that only you have" in drafted.notes


def test_the_series_as_it_was_posted(home: Path) -> None:
    """One patch without a cover letter: the real mail of the list."""

    def judged(series: m.Series) -> Report:
        return make.report(
            None, make.evaluation(guest=make.guest(splats=(make.splat(),))), series=series
        )

    mails = PATCHES / "gmem-write-v7-as-posted.mbx"
    folder = answered.run_folder(home, judged, mails=mails, revision=None)
    (path,) = draft_replies(folder, SETTINGS).mails
    mail = email.message_from_bytes(path.read_bytes(), policy=email.policy.default)
    assert mail["In-Reply-To"] == "<20251114151828.98165-2-kalyazin@amazon.com>"
    assert mail["Subject"] == ("Re: [PATCH v7] KVM: guest_memfd: add generic population via write")
    assert "> On systems that support shared guest memory, write() is useful, for" in (
        mail.get_content()
    )


# --- the command ----------------------------------------------------------------------------------


def test_the_command_shows_notes_and_drafts(home: Path) -> None:
    folder = answered.run_folder(home, answered.good_with_a_skip)
    done = CliRunner().invoke(commands, ["reply", str(folder), "--per-patch"])
    assert done.exit_code == 0, done.output
    assert "note: no Tested-by (cases): " in done.output
    assert done.output.count("Draft: ") == 2


def test_the_settings_are_used(home: Path) -> None:
    folder = answered.run_folder(home, answered.good_with_a_skip)
    config = home / "my.toml"
    config.write_text('[reply]\ncases = ["pwrite.*"]\n')
    done = CliRunner().invoke(commands, ["reply", str(folder), "--config", str(config)])
    assert "note: Tested-by is offered" in done.output


@pytest.mark.parametrize(
    ("options", "remedy"),
    [
        (["--per-patch", "--to-cover"], "name one of them"),
        (["--send", "--to-cover"], "name one of them"),
        (["--send", "--config", "my.toml"], "leave out --config"),
        (["--send"], "run it on a terminal"),
    ],
)
def test_options_that_make_no_sense(home: Path, options: list[str], remedy: str) -> None:
    """The last one has nobody to ask: the runner's stdin is no terminal."""
    folder = answered.run_folder(home, answered.good)
    (home / "my.toml").write_text("")
    done = CliRunner().invoke(commands, ["reply", str(folder), *options])
    assert isinstance(done.exception, KverdictError)
    assert done.exception.status is ExitStatus.USAGE
    assert remedy in done.exception.remedy
