# SPDX-License-Identifier: GPL-2.0-or-later
"""Where this machine lets us make control groups they are real here; else their absence is."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from kverdict import cgroups
from kverdict.cgroups import PREFIX, Group, available, group
from kverdict.proc import run
from tests.processes import alive

V1 = """\
35 31 0:32 / {0}/memory rw,relatime - cgroup cgroup rw,memory
39 31 0:36 / {0}/pids rw,relatime - cgroup cgroup rw,pids
40 31 0:37 / {0}/systemd rw,relatime - cgroup cgroup rw,name=systemd
"""
V2 = "29 23 0:26 / {0} rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n"


def files(monkeypatch: pytest.MonkeyPatch, folder: Path, own: str, mounts: str) -> None:
    (folder / "own").write_text(own)
    (folder / "mounts").write_text(mounts.format(folder))
    monkeypatch.setattr(cgroups, "_SELF", folder / "own")
    monkeypatch.setattr(cgroups, "_MOUNTS", folder / "mounts")


def test_a_group_limits_memory_and_processes_and_is_gone_afterwards() -> None:
    with group(memory=256 << 20, processes=20) as made:
        hungry = run(made.join(["python3", "-c", "bytearray(1 << 30); print('all of it')"]))
        many = run(made.join(["sh", "-c", "for i in $(seq 50); do sleep 9 & done; echo forked"]))
        if "memory" in available():
            assert not hungry.ok
            assert made.out_of_memory()
        if "pids" in available():
            assert "forked" not in many.text
        folders = made.folders
    assert len(folders) == len(cgroups._places())
    assert not any(folder.exists() for folder in folders)


def test_what_still_lives_in_a_group_dies_with_it(tmp_path: Path) -> None:
    if not available():
        pytest.skip("this kernel lets us make no control group")
    with group(memory=256 << 20, processes=20) as made:
        run(made.join(["sh", "-c", f"setsid sleep 600 & echo $! > {tmp_path}/pid"]))
        pid = int((tmp_path / "pid").read_text())
        assert (made.folders[0] / "cgroup.procs").read_text().split() == [str(pid)]
    assert not alive(pid)


def test_with_v1_it_is_a_child_of_our_own_group(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    files(monkeypatch, tmp_path, "8:pids:/\n4:memory:/a/b\n1:name=systemd:/x\n", V1)
    (tmp_path / "memory/a/b").mkdir(parents=True)
    (tmp_path / "pids").mkdir()
    assert [(place.folder, place.controllers) for place in cgroups._places()] == [
        (tmp_path / "memory/a/b", ("memory",)),
        (tmp_path / "pids", ("pids",)),
    ]


def test_with_v2_it_stands_beside_our_own_group(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A group with processes in it gives its children no controllers (cgroup-v2.rst)."""
    files(monkeypatch, tmp_path, "0::/user.slice/app.slice/terminal.scope\n", V2)
    parent = tmp_path / "user.slice/app.slice"
    (parent / "terminal.scope").mkdir(parents=True)
    (parent / "cgroup.subtree_control").write_text("cpu memory pids\n")
    (place,) = cgroups._places()
    assert place == cgroups.Place(parent, ("memory", "pids"))


def test_with_v2_without_controllers_there_is_no_place(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    files(monkeypatch, tmp_path, "0::/session.scope\n", V2)
    (tmp_path / "session.scope").mkdir()
    (tmp_path / "cgroup.subtree_control").write_text("cpu\n")
    assert available() == ()


def test_no_control_groups_at_all(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(cgroups, "_SELF", tmp_path / "missing")
    with group(memory=1, processes=1) as made:
        assert made == Group()
        assert made.join(["echo", "a b"]) == ["echo", "a b"]
        assert not made.out_of_memory()


def test_groups_of_a_killed_run_are_swept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    dead = int(run(["sh", "-c", "echo $$"]).text)
    files(monkeypatch, tmp_path, "8:pids:/\n", V1)
    for pid in (dead, os.getpid()):
        (tmp_path / "pids" / f"{PREFIX}{pid}-1").mkdir(parents=True)
    with group(memory=1, processes=1):
        pass
    assert [path.name for path in (tmp_path / "pids").iterdir() if path.name.endswith("-1")] == [
        f"{PREFIX}{os.getpid()}-1"
    ]
