# SPDX-License-Identifier: GPL-2.0-or-later
"""Real kernels: one source package, one base build, shared by all e2e tests and between runs.

The cache is the user's (settings.cache_folder): `make demo` and `make test` build the base once
between them.  Every test has its own runs folder.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from kverdict.progress import Silent
from kverdict.request import request_of
from kverdict.settings import HOME, Settings
from kverdict.stages.build import BZIMAGE
from kverdict.trees import open_tree
from kverdict.verify import engine_of
from kverdict.worktrees import checkout
from tests.bisectworld import CLOSED

TREE = "debian:7.2"
PATCHES = HOME / "patches"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.e2e)


@dataclass(frozen=True)
class Ended:
    """How ./pipeline.py ended."""

    status: int
    stdout: str
    stderr: str
    folder: Path | None  # of the run, when one is left

    @property
    def verdict(self) -> dict[str, Any]:
        assert self.folder is not None, self.stderr
        report: dict[str, Any] = json.loads((self.folder / "verdict.json").read_text())
        return report

    def verdict_of(self, case: str) -> str:
        cases = self.verdict["verdict"]["cases"]
        return str(next(row["verdict"] for row in cases if row["id"] == case))

    def failing(self) -> set[str]:
        """Ids of the cases that are neither PASS nor FIXED."""
        cases = self.verdict["verdict"]["cases"]
        return {row["id"] for row in cases if row["verdict"] not in ("PASS", "FIXED")}


@dataclass(frozen=True)
class Pipeline:
    """./pipeline.py as a user starts it, with a runs folder of its own."""

    home: Path

    @property
    def runs(self) -> Path:
        return self.home / "runs"

    def __call__(self, *args: str) -> Ended:
        settings = self.home / "pipeline.toml"
        settings.write_text(
            f'runs = {json.dumps(str(self.runs))}\n[archive]\nmidmask = "{CLOSED}"\n'
        )
        before = self._folders()
        done = subprocess.run(
            [sys.executable, str(HOME / "pipeline.py"), *args],
            cwd=self.home,
            capture_output=True,
            text=True,
            check=False,
        )
        new = sorted(self._folders() - before)
        return Ended(done.returncode, done.stdout, done.stderr, new[-1] if new else None)

    def verify(self, *args: str) -> Ended:
        return self("verify", "--tree", TREE, *args)

    def _folders(self) -> set[Path]:
        return set(self.runs.iterdir()) if self.runs.is_dir() else set()


@pytest.fixture
def pipeline(tmp_path: Path) -> Pipeline:
    return Pipeline(tmp_path)


@pytest.fixture(scope="module")
def shared_pipeline(tmp_path_factory: pytest.TempPathFactory) -> Pipeline:
    return Pipeline(tmp_path_factory.mktemp("shared"))


@pytest.fixture(scope="session")
def cache() -> Path:
    return Settings().cache_folder


@pytest.fixture(scope="session")
def linux_7_2(cache: Path) -> tuple[Path, str]:
    """Our repository with the tree that all these tests work on, and its one commit."""
    tree = open_tree(TREE, cache=cache, progress=Silent())
    return tree.repo, tree.head


@pytest.fixture(scope="session")
def users_repository(cache: Path) -> Path:
    """Where the histories are that a test gives as a tree; each test has a branch of its own.

    One for all, and in the same place in each session: a repository has a slot of its own, and
    the base is built in each slot once.
    """
    repo = cache / "test-repos/linux.git"
    shutil.rmtree(repo, ignore_errors=True)
    repo.parent.mkdir(exist_ok=True)
    return repo


@pytest.fixture(scope="session")
def base_kernel(cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bzImage of the tree as it is, with the default fragments."""
    settings = Settings()
    tree = open_tree(TREE, cache=cache, progress=Silent())
    jobs = len(os.sched_getaffinity(0))
    request = request_of(settings, series=["none"], tree=TREE, jobs=jobs)
    engine = engine_of(request, settings, tree, Silent())
    with engine.line() as line:
        built = engine.build(tree.head, line, tmp_path_factory.mktemp("base"), strangers=False)
    assert built.build.ok
    return built.folder / BZIMAGE.name


@pytest.fixture(scope="session")
def kernel_source(cache: Path) -> Callable[[str], Path]:
    """A folder with the source of a version ("6.12", "7.2", "7.3"); not to be written to."""

    def source(version: str) -> Path:
        tree = open_tree(f"debian:{version}", cache=cache, progress=Silent())
        folder = cache / "test-sources" / f"linux-{version}"
        checkout(tree.repo, tree.head, folder, progress=Silent())
        return folder

    return source
