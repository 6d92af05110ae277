# SPDX-License-Identifier: GPL-2.0-or-later
"""Fetching from real repositories into mirrors of ours."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from kverdict.git import GitFailed, Repository
from kverdict.mirror import fetch, mirror_of, tracking
from kverdict.progress import Silent
from tests.repos import Kernel, git, kernel


def fetched(remote: object, cache: Path, *refs: str, seconds: float = 60) -> Path:
    return fetch(str(remote), refs or ("HEAD",), cache=cache, seconds=seconds, progress=Silent())


def has(mirror: Path, ref: str) -> str | None:
    with Repository(mirror) as ours:
        return ours.resolve(tracking(ref))


@pytest.fixture
def theirs(tmp_path: Path) -> Kernel:
    return kernel(tmp_path / "theirs")


def state(folder: Path) -> dict[str, tuple[bytes, int]]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path): (path.read_bytes(), path.stat().st_mtime_ns) for path in files}


def test_heads_are_followed_and_the_other_repository_is_only_read(
    theirs: Kernel, tmp_path: Path
) -> None:
    git(theirs.path, "branch", "next")
    git(theirs.path, "tag", "-a", "-m", "a tag", "v1")
    for number in range(8):
        sha = theirs.commit(f"change {number}", {"mm/util.c": f"{number}\n"})
        before = state(theirs.path)
        mirror = fetched(theirs.path, tmp_path / "cache", "main", "refs/heads/next", "v1")
        assert state(theirs.path) == before
        assert has(mirror, "main") == sha
        with Repository(mirror) as ours:
            assert ours.resolve("HEAD") == sha
    assert has(mirror, "refs/heads/next") == has(mirror, "v1") == theirs.sha("v1")
    assert len(list((mirror / "objects/pack").glob("*.pack"))) < 8


def test_what_was_thrown_away_there_stays_here(theirs: Kernel, tmp_path: Path) -> None:
    old = theirs.commit("old", {"a": "1\n"})
    mirror = fetched(theirs.path, tmp_path / "cache")
    git(theirs.path, "reset", "--quiet", "--hard", "HEAD~1")
    new = theirs.commit("new", {"a": "2\n"})
    assert fetched(theirs.path, tmp_path / "cache") == mirror
    assert has(mirror, "HEAD") == new
    with Repository(mirror) as ours:
        assert ours.commit(old).subject == "old"


@pytest.mark.parametrize(("old", "new"), [("topic", "topic/v2"), ("topic/v1", "topic")])
def test_a_branch_that_is_a_folder_now(theirs: Kernel, tmp_path: Path, old: str, new: str) -> None:
    git(theirs.path, "checkout", "--quiet", "-b", old)
    gone = theirs.commit("old", {"a": "1\n"})
    fetched(theirs.path, tmp_path / "cache", old, "main")
    git(theirs.path, "checkout", "--quiet", "main")
    git(theirs.path, "branch", "--quiet", "-D", old)
    git(theirs.path, "branch", "--quiet", new)
    mirror = fetched(theirs.path, tmp_path / "cache", new, "main")
    assert has(mirror, new) == theirs.sha("main")
    with Repository(mirror) as ours:
        assert ours.commit(gone).subject == "old"


def test_a_missing_ref_or_repository_is_one_line(theirs: Kernel, tmp_path: Path) -> None:
    with pytest.raises(GitFailed, match="couldn't find remote ref nope"):
        fetched(theirs.path, tmp_path / "cache", "nope")
    with pytest.raises(GitFailed, match="git fetch failed"):
        fetched(tmp_path / "nowhere", tmp_path / "cache")


@pytest.mark.parametrize("remote", ["ext::sh -c touch% {0}", "--upload-pack=touch {0}"])
def test_a_remote_starts_no_program(remote: str, tmp_path: Path) -> None:
    proof = tmp_path / "proof"
    with pytest.raises(GitFailed):
        fetched(remote.format(proof), tmp_path / "cache")
    assert not proof.exists()


def test_a_server_that_never_answers_is_given_up(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        remote = f"git://127.0.0.1:{server.getsockname()[1]}/linux.git"
        with pytest.raises(GitFailed, match="time limit of 1 s"):
            fetched(remote, tmp_path / "cache", seconds=1)


def test_a_killed_fetch_does_not_stop_the_next(theirs: Kernel, tmp_path: Path) -> None:
    mirror = fetched(theirs.path, tmp_path / "cache")
    sha = theirs.commit("more", {"a": "1\n"})
    lock = mirror / "refs/remotes/origin/HEAD.lock"
    lock.parent.mkdir(parents=True, exist_ok=True)
    lock.touch()
    half = mirror / "objects/pack/tmp_pack_ab12cd"
    half.write_text("half")
    fetched(theirs.path, tmp_path / "cache")
    assert has(mirror, "HEAD") == sha
    assert not half.exists()


def test_a_path_is_the_same_however_it_is_named(
    theirs: Kernel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    names = (theirs.path, "theirs", "~/theirs", os.path.relpath(theirs.path))
    assert len({fetched(name, tmp_path / "cache") for name in names}) == 1


def test_mirrors_of_different_remotes_have_different_folders(tmp_path: Path) -> None:
    remotes = ("https://a.example/linux.git", "https://b.example/linux.git", "host:linux", "x/..")
    places = {mirror_of(remote, tmp_path) for remote in remotes}
    assert len(places) == len(remotes)
    assert {place.parent for place in places} == {tmp_path / "repos"}
