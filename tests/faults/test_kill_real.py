# SPDX-License-Identifier: GPL-2.0-or-later
"""The main job on a real kernel, killed from outside at one point after the other of its progress.

Each start goes on where the one before was killed, and is killed soon after it has come further.
"""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from kverdict.settings import HOME, Settings
from kverdict.stable import digest, without_measurements
from kverdict.verdict import Report
from scripts.soak import forget
from tests.e2e.conftest import PATCHES, TREE, Pipeline
from tests.faults.world import lost_worktrees, scratch, wait_for_orphans

pytestmark = [pytest.mark.e2e, pytest.mark.long]

SERIES = str(PATCHES / "gmem-write-v7-port.mbx")
LOOK_EVERY = 0.002  # seconds
LONGEST = 1200.0  # seconds without the point: something hangs


@dataclass(frozen=True)
class Point:
    """A moment of one start, which can be seen from outside.

    ``said`` (a pattern) is on its stderr, and ``files`` at ``place`` (*/... in the runs folder,
    others in the cache) were written since it began (unless ``new`` is off: the start before may
    have come so far) and have ``size`` bytes.  It lives on for ``later`` seconds.
    """

    stage: str
    said: str = ""
    place: str = ""
    size: int = 0
    files: int = 1
    new: bool = True
    later: float = 0


def _points() -> Iterator[Point]:
    """Many early ones, which cost little: every start has to come to its point again."""
    yield Point("start", place="*/run.json")  # first: a later start does not write it again
    yield from (Point("start", later=tenths / 10) for tenths in range(1, 9))
    yield from (Point("tree", later=seconds) for seconds in (1.0, 1.5, 2.0))
    yield Point("fetch", said="tree: ")
    request = "*/.series.*/request.mbx"
    yield from (Point("fetch", place=request, later=later) for later in (0.0, 0.3))
    yield Point("fetch", place="*/series/series.json", new=False)
    yield from (Point("base", place="repos/am/am-*", later=later) for later in (0.0, 0.2))
    yield from (Point("apply", said="base: ", later=later) for later in (0.0, 0.2))
    yield Point("checkout", said="patch 1/1: ", later=0.5)
    yield Point("configuration", said="checking out.*\n", later=1.0)
    log = "*/evaluations/*/build.log"
    yield from (Point("make", place=log, size=size) for size in (1, 1500))
    console = "*/evaluations/*/console.log"
    yield from (Point("boot", place=console, size=size) for size in (1, 8192))
    yield Point("suite", place="*/evaluations/*/results-*/**/results.jsonl", size=4096)
    yield Point("benchmark", place="*/evaluations/*/bench-console.log", size=1)
    yield Point("guest stored", place="*/evaluations/*/evaluation.json", files=2)
    yield Point("report", said="patch 1/1.*tested before")


POINTS = tuple(_points())


@dataclass
class Killed:
    """A command that is started again and again."""

    pipeline: Pipeline
    cache: Path

    def start(self, point: Point | None) -> int:
        """Runs it up to the point, or to its end; the exit status, or minus the signal."""
        settings = self.pipeline.home / "pipeline.toml"
        settings.write_text(f"runs = {json.dumps(str(self.pipeline.runs))}\n")
        self.began = time.time()
        with self.stderr.open("wb") as stderr:
            process = subprocess.Popen(
                [sys.executable, str(HOME / "pipeline.py"), "verify", "--tree", TREE, SERIES],
                cwd=self.pipeline.home,
                stdout=subprocess.DEVNULL,
                stderr=stderr,
            )
            if point is not None:
                self._wait_for(point, process)
                process.send_signal(signal.SIGKILL)
            return process.wait()

    @property
    def stderr(self) -> Path:
        return self.pipeline.home / "stderr"

    def _wait_for(self, point: Point, process: subprocess.Popen[bytes]) -> None:
        until = time.monotonic() + LONGEST
        while process.poll() is None and not self._reached(point):
            assert time.monotonic() < until, point
            time.sleep(LOOK_EVERY)
        time.sleep(point.later)

    def _reached(self, point: Point) -> bool:
        if not re.search(point.said, self.stderr.read_text(errors="replace"), re.DOTALL):
            return False
        top = self.pipeline.runs if point.place.startswith("*/") else self.cache
        if not point.place:
            return True
        found = sum(self._is_there(path, point) for path in top.glob(point.place))
        return found >= point.files

    def _is_there(self, path: Path, point: Point) -> bool:
        try:
            status = path.stat()
        except FileNotFoundError:
            return False
        late_enough = status.st_mtime >= self.began or not point.new
        return late_enough and status.st_size >= point.size


def test_killed_at_every_stage_it_ends_in_the_verdict_of_an_undisturbed_run(
    tmp_path: Path,
) -> None:
    cache = Settings().cache_folder
    (tmp_path / "quiet").mkdir()
    quiet = Pipeline(tmp_path / "quiet").verify(SERIES)
    assert quiet.folder is not None, quiet.stderr
    reference = Report.from_json((quiet.folder / "verdict.json").read_bytes())
    build = reference.patched_evaluation.build
    assert build is not None and build.build_id is not None
    assert forget(cache, build.build_id) > 0

    known = set(lost_worktrees(cache))  # the tests' own sources are worktrees as well
    (tmp_path / "killed").mkdir()
    killed = Killed(Pipeline(tmp_path / "killed"), cache)
    for point in POINTS:
        began = time.monotonic()
        assert killed.start(point) == -signal.SIGKILL, (point, killed.stderr.read_text())
        print(f"{point.stage}: {time.monotonic() - began:.1f} s", file=sys.stderr)
    assert killed.start(None) == quiet.status
    (folder,) = killed.pipeline.runs.glob("*")
    report = Report.from_json((folder / "verdict.json").read_bytes())
    assert without_measurements(report) == without_measurements(reference)
    assert digest(report) == digest(reference)
    assert wait_for_orphans(tmp_path) == []
    assert list(scratch(killed.pipeline.runs)) == []
    assert set(lost_worktrees(cache)) <= known
    assert len(POINTS) >= 30
