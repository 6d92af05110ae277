# SPDX-License-Identifier: GPL-2.0-or-later
"""Repositories are read as they are, whatever surrounds the process."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import kverdict
from kverdict.diffs import Change
from kverdict.errors import ExitStatus
from kverdict.git import GitFailed, NotARepository, Repository, create_bare, failure_of
from kverdict.proc import Finished, ToolMissing
from tests.repos import ALICE, DATE, Kernel, git, kernel

PACKAGE = Path(kverdict.__file__).parent


@pytest.fixture
def tree(tmp_path: Path) -> Kernel:
    return kernel(tmp_path / "linux")


@pytest.fixture
def opened(tree: Kernel) -> Iterator[Repository]:
    with Repository(tree.path) as repository:
        yield repository


def test_revisions_become_full_shas(tree: Kernel, opened: Repository) -> None:
    first = tree.sha("HEAD")
    git(tree.path, "tag", "-a", "-m", "a tag", "v7.2.12")
    second = tree.commit("second", {"a": "1\n"})
    assert opened.resolve("HEAD") == second
    assert opened.resolve("main~1") == first
    assert opened.resolve("v7.2.12") == first  # an annotated tag leads to its commit
    assert opened.resolve(first[:12]) == first


@pytest.mark.parametrize("rev", ["nope", "", "HEAD:Makefile", "HEAD~9", "-h", "main..main", "\n"])
def test_what_is_no_commit_resolves_to_none(opened: Repository, rev: str) -> None:
    assert opened.resolve(rev) is None


def test_a_revision_is_never_an_option(tmp_path: Path, opened: Repository) -> None:
    assert opened.resolve(f"--output={tmp_path / 'made'}") is None
    assert opened.resolve("--git-dir") is None
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize("sha", ["HEAD", "--output=x", "", "v7.2", "a" * 39])
def test_commands_on_commits_take_full_shas_only(opened: Repository, sha: str) -> None:
    for question in (opened.commit, lambda s: opened.show_file(s, "Makefile")):
        with pytest.raises(ValueError, match="not a full sha"):
            question(sha)


ASK = """
import sys
from pathlib import Path
from kverdict.git import Repository
with Repository(Path(sys.argv[1])) as repository:
    head = repository.resolve("HEAD")
    print(repository.commit(head).subject, repository.common_dir)
    print(repository.run("status", "--porcelain").text)
"""


def test_git_variables_of_the_caller_do_not_reach_git(tree: Kernel, tmp_path: Path) -> None:
    other = kernel(tmp_path / "other", {"Makefile": "no kernel\n"})
    variables = {
        "GIT_DIR": str(other.path / ".git"),
        "GIT_WORK_TREE": str(other.path),
        "GIT_INDEX_FILE": str(tmp_path / "no-index"),
        "GIT_OBJECT_DIRECTORY": str(tmp_path / "no-objects"),
        "GIT_COMMON_DIR": str(other.path / ".git"),
        "GIT_CONFIG_COUNT": "nonsense",
    }
    said = subprocess.run(
        [sys.executable, "-c", ASK, str(tree.path)],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(PACKAGE.parent), **variables},
        capture_output=True,
        text=True,
        check=True,
    )
    assert said.stdout.split("\n") == [f"Linux 7.2.12 {tree.path / '.git'}", "", ""]


def test_configuration_of_the_user_does_not_reach_git(
    tree: Kernel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = tmp_path / ".gitconfig"
    settings.write_text("[user]\n\tname = Mallory\n[core]\n\tabbrev = nonsense\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(settings))
    with Repository(tree.path) as repository:
        assert repository.run("config", "user.name", check=False).text == ""
        assert repository.resolve("HEAD") == tree.sha("HEAD")


def test_hooks_do_not_run(tree: Kernel, tmp_path: Path) -> None:
    hook = tree.path / ".git/hooks/reference-transaction"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(f"#!/bin/sh\ntouch {tmp_path / 'ran'}\n")
    hook.chmod(0o755)
    with Repository(tree.path) as repository:
        repository.run("update-ref", "refs/heads/other", tree.sha("HEAD"))
    assert not (tmp_path / "ran").exists()
    git(tree.path, "update-ref", "refs/heads/another", "HEAD")
    assert (tmp_path / "ran").exists()  # the hook itself would work


def test_a_commit_as_it_is(tree: Kernel, opened: Repository) -> None:
    sha = tree.commit("subject\n\nbody", {"a": "1\n"})
    found = opened.commit(sha)
    assert (found.sha, found.subject, found.author) == (sha, "subject", ALICE)
    assert found.parents == (tree.sha("HEAD~1"),)
    assert found.tree == git(tree.path, "rev-parse", "HEAD^{tree}")
    assert found.authored.isoformat() == DATE


def test_no_child_outlives_the_repository(tree: Kernel) -> None:
    before = _children()
    with Repository(tree.path) as repository:
        repository.commit(tree.sha("HEAD"))
        assert _children() - before, "GitPython keeps cat-file running: the test looks at it"
    assert _children() == before


def _children() -> set[str]:
    tasks = Path("/proc/self/task").iterdir()
    return {pid for task in tasks for pid in (task / "children").read_text().split()}


def test_files_at_a_commit(tree: Kernel, opened: Repository) -> None:
    odd = "Documentation/a b ü.rst"
    first = tree.sha("HEAD")
    (tree.path / "link").symlink_to("Makefile")
    sha = tree.commit("odd", {odd: "text\n", "empty": ""})
    assert opened.show_file(sha, odd) == b"text\n"
    assert opened.show_file(sha, "empty") == b""
    assert opened.show_file(sha, "link") == b"Makefile"
    assert opened.show_file(first, odd) is None
    assert opened.show_file(sha, "virt") is None  # a folder
    assert opened.show_file(sha, ":(glob)*") is None


def test_blob_ids_in_order(tree: Kernel, opened: Repository) -> None:
    sha = tree.sha("HEAD")
    makefile = git(tree.path, "rev-parse", "HEAD:Makefile")
    places = [(sha, "nope"), (sha, "Makefile"), (sha, "two\nlines"), (sha, "a b")]
    assert opened.blob_ids(places) == (None, makefile, None, None)
    assert opened.blob_ids([]) == ()


def test_what_differs_between_commits(tree: Kernel, opened: Repository) -> None:
    base = tree.sha("HEAD")
    git(tree.path, "mv", "mm/util.c", "mm/helpers.c")
    tip = tree.commit("two changes", {"Kconfig": "changed\n"})
    assert opened.changed_paths(base, tip) == ("Kconfig", "mm/helpers.c", "mm/util.c")
    assert opened.changed_paths(base, base) == ()
    assert b"-mainmenu" in opened.diff(base, tip)
    blob = git(tree.path, "rev-parse", f"{base}:mm/util.c")
    assert opened.changes(base, tip) == (
        Change("Kconfig", "100644", "100644", git(tree.path, "rev-parse", f"{tip}:Kconfig")),
        Change("mm/helpers.c", "000000", "100644", blob),
        Change("mm/util.c", "100644", "000000", "0" * 40),
    )


def test_commits_between_oldest_first(tree: Kernel, opened: Repository) -> None:
    base = tree.sha("HEAD")
    shas = tuple(tree.commit(f"commit {n}", {"n": f"{n}\n"}) for n in range(3))
    assert opened.commits_between(base, shas[-1]) == shas


def test_refs_and_names_that_look_alike(tree: Kernel, opened: Repository) -> None:
    first = tree.sha("HEAD")
    git(tree.path, "tag", "-a", "-m", "a tag", "v7.2.12")
    git(tree.path, "tag", "blob", git(tree.path, "rev-parse", "HEAD:Makefile"))
    assert opened.refs() == (("main", first), ("v7.2.12", first))
    assert opened.close_refs("v7.2.11~3") == ("v7.2.12",)
    assert opened.close_refs("entirely-different") == ()


def test_describe(tree: Kernel, opened: Repository) -> None:
    head = tree.sha("HEAD")
    assert opened.describe(head) is None
    git(tree.path, "tag", "-a", "-m", "a tag", "v7.2.12")
    assert opened.describe(head) == "v7.2.12"


def test_a_time_limit_ends_git_and_its_children(tree: Kernel, opened: Repository) -> None:
    done = opened.run("-c", "alias.nap=!sleep 600 & wait", "nap", timeout=0.5, check=False)
    assert done.stopped is not None and "time limit" in done.stopped
    assert not done.ok


def test_failures_are_one_line(tree: Kernel, opened: Repository) -> None:
    with pytest.raises(GitFailed, match=r"^git read-tree failed: .*deadbeef") as caught:
        opened.run("read-tree", "deadbeef" * 5)
    assert "\n" not in str(caught.value)


def test_a_damaged_object_is_named(tree: Kernel) -> None:
    head = tree.sha("HEAD")
    place = tree.path / ".git/objects" / head[:2] / head[2:]
    place.chmod(0o644)
    place.write_bytes(b"garbage")
    with Repository(tree.path) as repository, pytest.raises(GitFailed, match=head[:12]):
        repository.commit(head)


def test_a_full_disk_has_its_own_status() -> None:
    words = b"error: unable to write file x\nfatal: write error: No space left on device\n"
    error = failure_of(Finished(("git", "add"), 128, b"", words, 0.0))
    assert error.status is ExitStatus.DISK_FULL
    assert error.problem == "git add failed: write error: No space left on device"


def test_without_git(tree: Kernel, opened: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(ToolMissing, match="git is not installed"):
        opened.resolve("HEAD")


def test_no_repository(tmp_path: Path, tree: Kernel) -> None:
    for place in (tmp_path, tmp_path / "missing", tree.path / "virt"):
        with pytest.raises(NotARepository, match="is not a git repository"):
            Repository(place)
    with Repository(tree.path / "virt", search_parents=True) as repository:
        assert repository.worktree == tree.path


@pytest.mark.filterwarnings("error")
def test_a_dollar_in_a_path_is_a_dollar(tmp_path: Path) -> None:
    tree = kernel(tmp_path / "a $HOME b")
    with Repository(tree.path) as repository:
        assert repository.resolve("HEAD") == tree.sha("HEAD")


def test_two_make_the_same_bare_repository(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "ours.git"
    barrier = threading.Barrier(4)

    def make() -> None:
        barrier.wait()
        create_bare(path)

    with ThreadPoolExecutor(4) as pool:
        for future in [pool.submit(make) for _ in range(4)]:
            future.result()
    assert list(path.parent.iterdir()) == [path]
    with Repository(path) as repository:
        assert repository.worktree is None
        assert repository.run("rev-parse", "--is-bare-repository").text == "true\n"
