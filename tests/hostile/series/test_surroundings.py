# SPDX-License-Identifier: GPL-2.0-or-later
"""git does what the mail says and nothing else, whatever is planted around it.

Each plant is tried twice: plain git falls for it, or the test would prove nothing; ours does not.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from kverdict.am import Mail, apply_mails, split_mboxrd
from kverdict.git import Repository
from kverdict.progress import Silent
from kverdict.trees import Tree, open_tree
from kverdict.worktrees import checkout
from tests.repos import Kernel, git, kernel

HOOKS = (
    *("applypatch-msg", "pre-applypatch", "post-applypatch", "post-checkout", "post-commit"),
    *("pre-commit", "commit-msg", "prepare-commit-msg", "post-rewrite", "post-index-change"),
    *("reference-transaction", "pre-auto-gc", "post-merge"),
)
ID = "/* $Id$ */\nfirst\n"


@dataclass
class Place:
    """A tree, a user's home, and an alarm: the file that exists when something planted ran."""

    home: Path
    linux: Kernel
    monkeypatch: pytest.MonkeyPatch

    @property
    def alarm(self) -> Path:
        return self.home / "alarm"

    @property
    def program(self) -> Path:
        """Says in the alarm that it ran, and passes its input on as a filter has to."""
        path = self.home / "program"
        path.write_text(f"#!/bin/sh\necho ran >> {self.alarm}\ncat 2>/dev/null\n")
        path.chmod(0o755)
        return path

    def hooks(self, folder: Path) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        for name in HOOKS:
            (folder / name).write_text(f"#!/bin/sh\necho {name} >> {self.alarm}\n")
            (folder / name).chmod(0o755)
        return folder

    def configure(self, *words: str) -> None:
        """In the user's own configuration."""
        git(self.home, "config", "--file", str(self.home / ".gitconfig"), *words)

    def attributes(self, line: str) -> str:
        """In the tree; the commit."""
        self.linux.write({".gitattributes": line})
        git(self.linux.path, "add", ".gitattributes")
        git(self.linux.path, "commit", "--quiet", "-m", "attributes")
        return self.linux.sha("HEAD")

    def setenv(self, **variables: str | Path) -> None:
        for name, value in variables.items():
            self.monkeypatch.setenv(name, str(value))


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    linux = kernel(tmp_path / "linux")
    linux.commit("a file with an id", {"mm/id.c": ID})
    return Place(home, linux, monkeypatch)


Plant = Callable[[Place], None]


def hooks_of_the_repository(place: Place) -> None:
    place.hooks(place.linux.path / ".git/hooks")


def hooks_of_the_user(place: Place) -> None:
    place.configure("core.hooksPath", str(place.hooks(place.home / "hooks")))


def hooks_of_a_template(place: Place) -> None:
    place.hooks(place.home / "template/hooks")
    place.setenv(GIT_TEMPLATE_DIR=place.home / "template")


def hooks_by_the_environment(place: Place) -> None:
    place.setenv(
        GIT_CONFIG_COUNT="1",
        GIT_CONFIG_KEY_0="core.hooksPath",
        GIT_CONFIG_VALUE_0=place.hooks(place.home / "hooks"),
    )


def hooks_of_the_system(place: Place) -> None:
    config = place.home / "system"
    config.write_text(f"[core]\n\thooksPath = {place.hooks(place.home / 'hooks')}\n")
    place.setenv(GIT_CONFIG_SYSTEM=config)


def a_filter_that_the_tree_asks_for(place: Place) -> None:
    place.configure("filter.planted.smudge", str(place.program))
    place.configure("filter.planted.clean", str(place.program))
    place.attributes("*.c filter=planted\n")


def a_filter_that_the_user_asks_for(place: Place) -> None:
    place.configure("filter.planted.smudge", str(place.program))
    (place.home / "attributes").write_text("*.c filter=planted\n")
    place.configure("core.attributesFile", str(place.home / "attributes"))


def a_filter_that_the_repository_asks_for(place: Place) -> None:
    git(place.linux.path, "config", "filter.planted.smudge", str(place.program))
    info = place.linux.path / ".git/info"
    info.mkdir(exist_ok=True)
    (info / "attributes").write_text("*.c filter=planted\n")


def a_merge_driver(place: Place) -> None:
    place.configure("merge.planted.driver", f"{place.program} %A %O %B")
    place.attributes("*.c merge=planted\n")


def a_default_merge_driver(place: Place) -> None:
    place.configure("merge.planted.driver", f"{place.program} %A %O %B")
    place.configure("merge.default", "planted")


def a_diff_driver(place: Place) -> None:
    place.configure("diff.planted.textconv", str(place.program))
    place.attributes("*.c diff=planted\n")


def an_external_diff(place: Place) -> None:
    place.setenv(GIT_EXTERNAL_DIFF=place.program)


def a_file_monitor(place: Place) -> None:
    git(place.linux.path, "config", "core.fsmonitor", str(place.program))


def a_signing_program(place: Place) -> None:
    place.configure("commit.gpgSign", "true")
    place.configure("gpg.program", str(place.program))


def a_trace(place: Place) -> None:
    place.setenv(GIT_TRACE=place.alarm)


RUN_SOMETHING = (
    *(hooks_of_the_repository, hooks_of_the_user, hooks_of_a_template, hooks_by_the_environment),
    *(hooks_of_the_system, a_filter_that_the_tree_asks_for, a_filter_that_the_user_asks_for),
    *(a_filter_that_the_repository_asks_for, a_merge_driver, a_default_merge_driver),
    *(a_diff_driver, an_external_diff, a_file_monitor, a_signing_program, a_trace),
)


def mails_for_a_merge(linux: Kernel) -> tuple[str, Sequence[Mail]]:
    """(base, mails): the first applies as it is, the second by a 3-way merge only."""
    old = linux.sha("HEAD")
    linux.replace("mm: one", "mm/util.c", "util 20", "util twenty")
    tip = linux.replace("virt: two", "virt/kvm/guest_memfd.c", "line 10", "line ten")
    data = linux.mails(old, tip, "--full-index")
    git(linux.path, "checkout", "--quiet", "-B", "main", old)
    base = linux.replace("context", "virt/kvm/guest_memfd.c", "line 12", "line twelve")
    return base, split_mboxrd(data)


def plain_git(linux: Kernel, base: str, mails: Sequence[Mail]) -> None:
    """What a user would do by hand, with the environment as it is."""
    whole = linux.path.parent / "whole"
    for folder, words in (
        (linux.path, ("status",)),
        (linux.path, ("worktree", "add", "--detach", str(whole), base)),
        (whole, ("am", "--3way", "--patch-format=mboxrd")),
        (whole, ("show", "--textconv", "--ext-diff")),
        (whole.parent, ("init", "fresh")),
        (whole.parent / "fresh", ("commit", "--allow-empty", "-m", "x")),
    ):
        subprocess.run(
            ["git", "-c", "user.name=x", "-c", "user.email=x@example.org", *words],
            cwd=folder,
            input=b"".join(mail.data for mail in mails),
            capture_output=True,
        )


def ours(tree: Tree, base: str, mails: Sequence[Mail], folder: Path) -> str:
    """All that the pipeline lets git do with a series; gives the tip."""
    result = apply_mails(tree.repo, base, mails)
    assert result.refusal is None
    assert [item.three_way for item in result.landed] == [False, True]
    checkout(tree.repo, base, folder, progress=Silent())
    checkout(tree.repo, result.tip, folder, progress=Silent())
    assert tree.diff(base, result.tip)
    assert tree.describe(result.tip)
    return result.tip


@pytest.mark.parametrize("plant", RUN_SOMETHING, ids=lambda plant: plant.__name__)
def test_nothing_that_is_planted_runs(place: Place, plant: Plant, tmp_path: Path) -> None:
    plant(place)
    base, mails = mails_for_a_merge(place.linux)
    place.alarm.unlink(missing_ok=True)
    ours(open_tree(str(place.linux.path), cache=tmp_path / "cache", progress=Silent()),
         base, mails, tmp_path / "out")  # fmt: skip
    assert not place.alarm.exists(), place.alarm.read_text()
    plain_git(place.linux, base, mails)
    assert place.alarm.exists(), "plain git does not fall for it: this proves nothing"


CHANGE_BYTES = {
    "ident": "*.c ident",
    "line ends": "*.c text eol=crlf",
    "encoding": "*.c working-tree-encoding=UTF-16LE",
}


@pytest.mark.parametrize("line", CHANGE_BYTES.values(), ids=CHANGE_BYTES.keys())
def test_what_is_checked_out_is_what_the_commit_holds(
    place: Place, line: str, tmp_path: Path
) -> None:
    """A tree's attributes could give the compiler other bytes than the reviewer was shown."""
    _, mails = mails_for_a_merge(place.linux)
    base = place.attributes(f"{line}\n")
    tree = open_tree(str(place.linux.path), cache=tmp_path / "cache", progress=Silent())
    tip = ours(tree, base, mails, tmp_path / "out")
    for path in ("mm/id.c", "mm/util.c", "virt/kvm/guest_memfd.c"):
        assert (tmp_path / "out" / path).read_bytes() == tree.show_file(tip, path)
    git(place.linux.path, "worktree", "add", "--quiet", "--detach", str(tmp_path / "by-git"), base)
    assert (tmp_path / "by-git/mm/id.c").read_bytes() != ID.encode()


def test_a_tree_s_attributes_neither_merge_nor_hide(place: Place, tmp_path: Path) -> None:
    """merge=union joins both sides without a conflict; -diff makes every diff "binary"."""
    place.attributes("*.c merge=union -diff\n")
    old = place.linux.sha("HEAD")
    tip = place.linux.replace("virt: one", "virt/kvm/guest_memfd.c", "line 10", "line ten")
    mails = split_mboxrd(place.linux.mails(old, tip, "--full-index", "--text"))
    git(place.linux.path, "checkout", "--quiet", "-B", "main", old)
    base = place.linux.replace("other", "virt/kvm/guest_memfd.c", "line 10", "line X")
    tree = open_tree(str(place.linux.path), cache=tmp_path / "cache", progress=Silent())
    assert apply_mails(tree.repo, base, mails).landed == ()
    assert b"+line X" in tree.diff(old, base)
    whole = tmp_path / "whole"
    git(place.linux.path, "worktree", "add", "--quiet", "--detach", str(whole), base)
    subprocess.run(
        ["git", "-c", "user.name=x", "-c", "user.email=x@example.org", "am", "--3way"],
        cwd=whole, input=mails[0].data, check=True, capture_output=True,
    )  # fmt: skip


def test_a_sparse_checkout_of_the_user_is_not_ours(place: Place, tmp_path: Path) -> None:
    git(place.linux.path, "sparse-checkout", "set", "mm")
    assert not (place.linux.path / "virt").exists()
    base = place.linux.sha("HEAD")
    tree = open_tree(str(place.linux.path), cache=tmp_path / "cache", progress=Silent())
    checkout(tree.repo, base, tmp_path / "out", progress=Silent())
    assert (tmp_path / "out/virt/kvm/guest_memfd.c").is_file()


@pytest.mark.parametrize(
    "name", ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY"]
)
def test_git_s_variables_lead_nowhere(place: Place, name: str, tmp_path: Path) -> None:
    base, mails = mails_for_a_merge(place.linux)
    elsewhere = tmp_path / "elsewhere"
    git(tmp_path, "init", "--quiet", "elsewhere")
    before = {path: path.read_bytes() for path in elsewhere.rglob("*") if path.is_file()}
    place.setenv(**{name: elsewhere / ".git"})
    tree = open_tree(str(place.linux.path), cache=tmp_path / "cache", progress=Silent())
    tip = ours(tree, base, mails, tmp_path / "out")
    with Repository(tree.repo) as repository:
        assert repository.commits_between(base, tip)
    assert before == {path: path.read_bytes() for path in elsewhere.rglob("*") if path.is_file()}
    assert os.environ[name] == str(elsewhere / ".git")
