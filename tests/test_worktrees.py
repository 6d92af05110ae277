# SPDX-License-Identifier: GPL-2.0-or-later
"""A worktree is exactly its commit, whatever was done to it before."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from kverdict.errors import InfraError
from kverdict.git import GitFailed
from kverdict.progress import Silent
from kverdict.trees import Tree, open_tree
from kverdict.worktrees import checkout, remove, slight
from tests.repos import KERNEL, Kernel, git, kernel

HOME = Path(__file__).resolve().parent.parent


@pytest.fixture
def linux(tmp_path: Path) -> Kernel:
    return kernel(tmp_path / "linux")


@pytest.fixture
def tree(linux: Kernel, tmp_path: Path) -> Tree:
    return open_tree(str(linux.path), cache=tmp_path / "cache", progress=Silent())


def files(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): path.read_text()
        for path in folder.rglob("*")
        if path.is_file() and path.name != ".git"
    }


def test_only_what_differs_is_written(linux: Kernel, tree: Tree, tmp_path: Path) -> None:
    one = linux.sha("HEAD")
    two = linux.commit("two", {"mm/util.c": "changed\n", "mm/new.c": "new\n"})
    folder = tmp_path / "deep" / "wt"
    checkout(tree.repo, one, folder, progress=Silent())
    assert files(folder) == KERNEL
    before = {name: (folder / name).stat().st_mtime_ns for name in KERNEL}
    checkout(tree.repo, two, folder, progress=Silent())
    assert files(folder) == {**KERNEL, "mm/util.c": "changed\n", "mm/new.c": "new\n"}
    after = {name: (folder / name).stat().st_mtime_ns for name in KERNEL}
    assert {name for name in KERNEL if before[name] != after[name]} == {"mm/util.c"}


def test_what_was_left_in_it_is_gone(linux: Kernel, tree: Tree, tmp_path: Path) -> None:
    (linux.path / ".gitignore").write_text("*.o\n")
    sha = linux.commit("ignore", {})
    folder = tmp_path / "wt"
    checkout(tree.repo, sha, folder, progress=Silent())
    (folder / "Makefile").write_text("changed\n")
    (folder / "Kconfig").unlink()
    (folder / "mm/util.o").write_text("ignored\n")
    (folder / "stray").mkdir()
    (folder / "stray/file").write_text("untracked\n")
    git(folder, "add", "stray")
    (Path(git(folder, "rev-parse", "--absolute-git-dir")) / "index.lock").touch()
    checkout(tree.repo, sha, folder, progress=Silent())
    assert files(folder) == {**KERNEL, ".gitignore": "*.o\n"}
    assert git(folder, "status", "--porcelain", "--ignored") == ""


def test_the_user_sees_nothing_of_it(linux: Kernel, tree: Tree, tmp_path: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in linux.path.rglob("*")}
    checkout(tree.repo, tree.head, tmp_path / "wt", progress=Silent())
    git(tmp_path / "wt", "commit", "--quiet", "--allow-empty", "-m", "ours")
    assert {path: path.stat().st_mtime_ns for path in linux.path.rglob("*")} == before
    assert git(linux.path, "worktree", "list").count("\n") == 0


def test_a_locked_and_dirty_checkout_is_no_obstacle(
    linux: Kernel, tree: Tree, tmp_path: Path
) -> None:
    (linux.path / ".git/index.lock").touch()
    linux.write({"Makefile": "dirty\n"})
    checkout(tree.repo, tree.head, tmp_path / "wt", progress=Silent())
    assert files(tmp_path / "wt") == KERNEL


@pytest.mark.parametrize("kind", ["folder", "file", "other worktree", "link"])
def test_what_is_not_ours_is_left_alone(
    linux: Kernel, tree: Tree, tmp_path: Path, kind: str
) -> None:
    folder, elsewhere = tmp_path / "wt", tmp_path / "elsewhere"
    if kind == "folder":
        folder.mkdir()
        (folder / "precious").write_text("mine\n")
    elif kind == "file":
        folder.write_text("mine\n")
    elif kind == "link":
        elsewhere.mkdir()
        folder.symlink_to(elsewhere)
    else:
        git(linux.path, "worktree", "add", "--quiet", "--detach", str(folder))
    with pytest.raises(InfraError, match="is in the way"):
        checkout(tree.repo, tree.head, folder, progress=Silent())
    assert folder.exists()
    assert kind != "folder" or (folder / "precious").read_text() == "mine\n"


def test_a_worktree_that_was_deleted_is_made_again(tree: Tree, tmp_path: Path) -> None:
    folder = tmp_path / "wt"
    checkout(tree.repo, tree.head, folder, progress=Silent())
    for path in sorted(folder.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    folder.rmdir()
    checkout(tree.repo, tree.head, folder, progress=Silent())
    assert files(folder) == KERNEL


def empty_index(folder: Path, record: Path) -> None:
    (record / "index").write_bytes(b"")


def garbled_index(folder: Path, record: Path) -> None:
    (record / "index").write_bytes(b"DIRC" + b"\xff" * 400)


def empty_head(folder: Path, record: Path) -> None:
    (record / "HEAD").write_text("")


def forgotten(folder: Path, record: Path) -> None:
    shutil.rmtree(record)


def half_removed(folder: Path, record: Path) -> None:
    shutil.rmtree(record)
    (folder / "Makefile").unlink()


@pytest.mark.parametrize(
    "damage", [empty_index, garbled_index, empty_head, forgotten, half_removed]
)
def test_a_damaged_worktree_of_ours_is_made_anew(
    tree: Tree, tmp_path: Path, damage: Callable[[Path, Path], None]
) -> None:
    folder = tmp_path / "wt"
    checkout(tree.repo, tree.head, folder, progress=Silent())
    damage(folder, tree.repo / "worktrees/wt")
    checkout(tree.repo, tree.head, folder, progress=Silent())
    assert files(folder) == KERNEL
    assert git(folder, "status", "--porcelain") == ""
    assert git(folder, "rev-parse", "HEAD") == tree.head


HOLD_SLIGHT = """
import sys, time; from pathlib import Path; from kverdict.worktrees import slight
with slight(Path(sys.argv[1]), sys.argv[2], ["Makefile"], Path(sys.argv[3])):
    print("held", flush=True); time.sleep(1000)
"""


def test_a_slight_worktree_of_a_killed_process_is_swept(tree: Tree, tmp_path: Path) -> None:
    words = [sys.executable, "-c", HOLD_SLIGHT, str(tree.repo), tree.head, str(tmp_path / "am")]
    with subprocess.Popen(words, cwd=HOME, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        holder.kill()
    assert len(list((tmp_path / "am").iterdir())) == 1
    with slight(tree.repo, tree.head, [], tmp_path / "am"):
        assert len(list((tmp_path / "am").iterdir())) == 1
        assert len(list((tree.repo / "worktrees").iterdir())) == 1
    assert list((tmp_path / "am").iterdir()) == []


def test_removed_means_forgotten(tree: Tree, tmp_path: Path) -> None:
    folder = tmp_path / "wt"
    checkout(tree.repo, tree.head, folder, progress=Silent())
    remove(tree.repo, folder)
    assert not folder.exists()
    assert not list((tree.repo / "worktrees").glob("*"))
    remove(tree.repo, folder)


def test_a_commit_that_is_not_there(tree: Tree, tmp_path: Path) -> None:
    with pytest.raises(GitFailed):
        checkout(tree.repo, "dead" * 10, tmp_path / "wt", progress=Silent())


def test_a_slight_worktree_holds_the_named_files_only(tree: Tree, tmp_path: Path) -> None:
    with slight(tree.repo, tree.head, ["mm/util.c", "not/there"], tmp_path / "am") as worktree:
        folder = worktree.worktree
        assert folder is not None
        assert files(folder) == {"mm/util.c": KERNEL["mm/util.c"]}
        assert git(folder, "ls-files").splitlines() == sorted(KERNEL)
    assert not list((tmp_path / "am").iterdir())
    assert not list((tree.repo / "worktrees").glob("*"))


def test_a_slight_worktree_is_gone_after_an_error(tree: Tree, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), slight(tree.repo, tree.head, [], tmp_path / "am"):
        raise KeyboardInterrupt
    assert not list((tmp_path / "am").iterdir())
    assert not list((tree.repo / "worktrees").glob("*"))
