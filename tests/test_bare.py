# SPDX-License-Identifier: GPL-2.0-or-later
"""What a killed git leaves stops nobody, and what a living one holds is not taken from it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from kverdict.bare import in_use, leftovers
from kverdict.git import Repository, create_bare
from kverdict.progress import Silent
from kverdict.trees import Tree, open_tree
from kverdict.worktrees import checkout
from tests.repos import git, kernel

HOME = Path(__file__).resolve().parent.parent


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    linux = kernel(tmp_path / "linux")
    return open_tree(str(linux.path), cache=tmp_path / "cache", progress=Silent())


LOCKS = [
    "index.lock",
    "HEAD.lock",
    "config.lock",
    "shallow.lock",
    "packed-refs.lock",
    "refs/heads/topic.lock",
    "refs/kverdict/tarball/abc.lock",
    "worktrees/src/HEAD.lock",
    "worktrees/src/index.lock",
    "worktrees/src/locked",
    "objects/pack/tmp_pack_abc123",
]


@pytest.mark.parametrize("name", LOCKS)
def test_a_lock_of_a_dead_process_is_taken_over(tree: Tree, tmp_path: Path, name: str) -> None:
    checkout(tree.repo, tree.head, tmp_path / "src", progress=Silent())
    lock = tree.repo / name
    lock.parent.mkdir(parents=True, exist_ok=True)
    lock.touch()
    assert leftovers(tree.repo) == (lock,)
    checkout(tree.repo, tree.head, tmp_path / "src", progress=Silent())
    assert not lock.exists()
    assert leftovers(tree.repo) == ()


def test_a_ref_can_be_written_after_a_kill(tree: Tree) -> None:
    (tree.repo / "packed-refs.lock").touch()
    (tree.repo / "refs/heads").mkdir(parents=True, exist_ok=True)
    (tree.repo / "refs/heads/topic.lock").touch()
    with in_use(tree.repo), Repository(tree.repo) as ours:
        ours.run("update-ref", "refs/heads/topic", tree.head)
        ours.run("pack-refs", "--all")
    assert git(tree.repo, "rev-parse", "refs/heads/topic") == tree.head


def test_what_is_remembered_of_a_worktree_that_is_gone_is_forgotten(
    tree: Tree, tmp_path: Path
) -> None:
    checkout(tree.repo, tree.head, tmp_path / "src", progress=Silent())
    checkout(tree.repo, tree.head, tmp_path / "other", progress=Silent())
    (tmp_path / "src").rename(tmp_path / "moved away")
    assert leftovers(tree.repo) == (tree.repo / "worktrees/src",)
    with in_use(tree.repo):
        assert [path.name for path in (tree.repo / "worktrees").iterdir()] == ["other"]


HOLD = """
import sys, time; from pathlib import Path; from kverdict.bare import in_use
with in_use(Path(sys.argv[1])):
    (Path(sys.argv[1]) / "refs" / "topic.lock").touch()
    print("held", flush=True); time.sleep(1000)
"""


def test_the_lock_of_a_living_process_stays(tree: Tree, tmp_path: Path) -> None:
    lock = tree.repo / "refs/topic.lock"
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tree.repo)], cwd=HOME, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        assert leftovers(tree.repo) == ()
        checkout(tree.repo, tree.head, tmp_path / "src", progress=Silent())
        assert lock.exists()
        holder.kill()
    with in_use(tree.repo):
        assert not lock.exists()


CHECK_OUT = """
import sys; from pathlib import Path
from kverdict.progress import Silent; from kverdict.worktrees import checkout, remove, slight
repo, sha, home = Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3])
for _ in range(6):
    checkout(repo, sha, home / "src", progress=Silent())
    with slight(repo, sha, ["Makefile"], home.parent / "am") as tree:
        tree.run("commit", "--quiet", "--allow-empty", "-m", "ours")
    remove(repo, home / "src")
"""


def test_processes_share_a_repository(tree: Tree, tmp_path: Path) -> None:
    words = [sys.executable, "-c", CHECK_OUT, str(tree.repo), tree.head]
    runs = [
        subprocess.Popen([*words, str(tmp_path / name)], cwd=HOME, stderr=subprocess.PIPE)
        for name in ("one", "two", "three")
    ]
    said = [run.communicate()[1].decode() for run in runs]
    assert [run.returncode for run in runs] == [0, 0, 0], said
    assert leftovers(tree.repo) == ()
    assert not list((tmp_path / "am").iterdir())


def test_processes_that_make_the_same_repository_at_once(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from kverdict.git import create_bare\n"
        "for n in range(5): create_bare(Path(sys.argv[1]) / str(n))"
    )
    words = [sys.executable, "-c", script, str(tmp_path)]
    runs = [subprocess.Popen(words, cwd=HOME) for _ in range(3)]
    assert [run.wait() for run in runs] == [0, 0, 0]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0", "1", "2", "3", "4"]


def test_a_repository_that_was_being_made_by_a_killed_process(tmp_path: Path) -> None:
    (tmp_path / ".x.git.ab12cd34" / "whole").mkdir(parents=True)
    create_bare(tmp_path / "x.git")
    assert [path.name for path in tmp_path.iterdir()] == ["x.git"]
