# SPDX-License-Identifier: GPL-2.0-or-later
"""check-commit by exit status, alone and under the real `git bisect run`."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from kverdict.settings import HOME
from tests.bisectworld import CASE, BisectWorld

pytestmark = pytest.mark.host


@pytest.fixture
def world(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> BisectWorld:
    return BisectWorld.create(tmp_path, monkeypatch, capsys)


def check(world: BisectWorld, question: str, *options: str) -> int:
    words = ("--tree", "linux", "--for", question)
    return world("check-commit", *words, "--config", str(world.home / "pipeline.toml"), *options)


def test_a_commit_by_exit_status(world: BisectWorld) -> None:
    history = world.history
    good = history.document("good")
    text = (history.kernel.repo / "init/main.c").read_text()
    broken = history.commit("broken", {"init/main.c": text + "int x = undeclared;\n"})
    history.commit("mended", {"init/main.c": text})
    skipped = history.fault("skip")
    history.mend("skip")
    bad = history.fault("case")
    for commit, status, said in (
        (good, 0, "good: "),
        (bad, 1, "fails (fail)"),
        (skipped, 125, "skipped"),
        (broken, 125, "does not build"),
        ("v9", 161, ""),
    ):
        assert check(world, CASE, commit) == status, world.err
        assert said in world.out
    assert check(world, CASE) == 1, "HEAD by default"
    assert check(world, "build", broken) == 1
    assert check(world, "kselftest.kvm.guest_memfd_test", good) == 125, "git's loop goes on"
    assert "does not have kselftest.kvm.guest_memfd_test" in world.out
    assert check(world, "build", good) == 0
    assert world.runs == [], "it needs no run's folder"
    assert not list((world.home / "cache").glob(".check.*"))


def test_flaky_and_lost(world: BisectWorld) -> None:
    world.history.fault("case")
    world.kernels.flaky = lambda turn: turn == 3
    assert check(world, CASE, "--repeat", "2") == 0
    world.kernels.turns.clear()
    assert check(world, CASE, "--repeat", "9") == 1
    world.history.harmless()
    world.kernels.lost = 100
    assert check(world, CASE) == 125


def test_a_benchmark_needs_a_number(world: BisectWorld) -> None:
    world.history.fault("slow")
    assert check(world, "bench:write>120000") == 1
    assert check(world, "bench:write>200000") == 0
    assert check(world, "bench:write>+5%") == 129
    assert "needs a good end" in world.err


def test_the_tree_is_the_current_folder_when_it_is_a_kernel(world: BisectWorld) -> None:
    world.history.fault("case")
    config = ("--config", str(world.home / "pipeline.toml"))
    assert world("check-commit", "--for", CASE, *config) == 129
    assert "this folder is no kernel tree" in world.err
    world.monkeypatch.chdir(world.history.kernel.repo)
    (world.home / "pipeline.toml").write_text(
        (world.home / "pipeline.toml").read_text().replace("small", str(world.home / "small"))
    )
    assert world("check-commit", "--for", CASE, *config) == 1, world.err


def test_git_bisect_run(world: BisectWorld) -> None:
    """The real one, in the user's own checkout; 1000 means that no boot kills the process."""
    history, repo = world.history, world.history.kernel.repo
    history.harmless(3)
    history.broken("init")
    culprit = history.fault("case")
    history.harmless(3)
    settings = world.home / "pipeline.toml"
    settings.write_text(settings.read_text().replace('"small', f'"{world.home}/small'))
    script = world.home / "check"
    script.write_text(
        f"#!/bin/sh\nexec {sys.executable} -m tests.bisectchild 1000 "
        f'check-commit --config {settings} -q "$@"\n'
    )
    script.chmod(0o755)
    subprocess.run(["git", "bisect", "start", "HEAD", "v7.2-fake"], cwd=repo, check=True)
    done = subprocess.run(
        ["git", "bisect", "run", str(script), "--for", CASE],
        cwd=repo,
        env={**os.environ, "PYTHONPATH": str(HOME)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert f"{culprit} is the first bad commit" in done.stdout
    (repo / "boots").unlink()
    # Our own trouble ends git's loop.
    subprocess.run(["git", "bisect", "reset"], cwd=repo, check=False)
    subprocess.run(["git", "bisect", "start", "master", "v7.2-fake"], cwd=repo, check=True)
    done = subprocess.run(
        ["git", "bisect", "run", str(script), "--for", "nothing"],
        cwd=repo,
        env={**os.environ, "PYTHONPATH": str(HOME)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode and "exit code 129" in done.stderr
