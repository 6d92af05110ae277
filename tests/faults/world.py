# SPDX-License-Identifier: GPL-2.0-or-later
"""A small world in which a run can be killed, and what must hold of it afterwards."""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from kverdict.settings import HOME
from kverdict.stable import digest, without_measurements
from kverdict.verdict import Report
from tests.fakekernel import GMEM, HEADER, INIT_SHARED, WRITE, FakeKernel
from tests.faults.launcher import Plan
from tests.processes import processes, wait_until

ADD_WRITE = (HEADER, INIT_SHARED, INIT_SHARED + WRITE)
# A warning that the base has and the series keeps: a build that was killed must tell it again.
UNUSED = (GMEM, "{\n\treturn", "{\n\tint forgotten;\n\n\treturn")
A_BLANK = (GMEM, "\tint forgotten;\n\n", "\tint forgotten;\n\n\n")
SERIES = "patches/0001-KVM-add-write.patch"
MESSAGE_ID = "20261122120000.1-1-author@example.org"
KILLED = -signal.SIGKILL
ORPHANS_END = 10.0  # seconds in which what a killed run had started must be gone


def make_template(folder: Path) -> None:
    """A tree in linux/, a series and a fragment."""
    folder.mkdir(parents=True)
    kernel = FakeKernel.create(folder / "linux")
    path, old, new = UNUSED
    file = kernel.repo / path
    assert file.read_text().count(old) == 1
    file.write_text(file.read_text().replace(old, new))
    kernel.git("commit", "-q", "-a", "-m", "a variable that nobody uses")
    kernel.git("tag", "-f", "v7.2-fake")
    made = kernel.series(folder / "patches", ADD_WRITE, A_BLANK, subject="add write")
    assert made == folder / SERIES
    (folder / "small.config").write_text("CONFIG_KVM_SW_PROTECTED_VM=y\n")


def mail_of(template: Path) -> bytes:
    """The template's series as an archive has it: with a message-id."""
    _, mail = (template / SERIES).read_bytes().split(b"\n", 1)  # without "From <commit> ..."
    return f"Message-ID: <{MESSAGE_ID}>\n".encode() + mail


@dataclass
class Server:
    """A process of tests/faults/launcher.py; it has loaded the program once and forks for each."""

    seed: str  # PYTHONHASHSEED
    temporary: Path

    def __post_init__(self) -> None:
        self.temporary.mkdir(parents=True, exist_ok=True)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.launcher"],
            cwd=HOME,
            env={**os.environ, "PYTHONHASHSEED": self.seed, "TMPDIR": str(self.temporary)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(self, plan: Plan) -> int:
        """The exit status, or minus the number of the signal that ended it."""
        pipe_in, pipe_out = self._pipes()
        pipe_in.write(plan.model_dump_json() + "\n")
        pipe_in.flush()
        return int(pipe_out.readline())

    def close(self) -> None:
        for pipe in self._pipes():
            pipe.close()
        assert self._process.wait(timeout=60) == 0

    def _pipes(self) -> tuple[IO[str], IO[str]]:
        assert self._process.stdin is not None and self._process.stdout is not None
        return self._process.stdin, self._process.stdout


@dataclass(frozen=True)
class Event:
    """One line of a trace: what was about to be done."""

    at: float  # seconds since the start
    mark: str  # the same for the same event of another start
    name: str
    about: str

    @classmethod
    def parse(cls, line: str) -> Event:
        at, mark, name, about = line.split("\t")
        return cls(float(at), mark, name, about)


@dataclass
class World:
    """A folder with a tree, a series, a cache, the runs, and the settings that say so."""

    home: Path
    server: Server
    series: str = SERIES
    statuses: list[int] = field(default_factory=list)

    @classmethod
    def like(cls, template: Path, home: Path, server: Server) -> World:
        """A copy of what ``template`` has: the same commits and mails, to the second."""
        shutil.copytree(template, home)
        world = cls(home, server)
        world.write_settings()
        return world

    def write_settings(self, archive: str = "") -> None:
        (self.home / "pipeline.toml").write_text(
            f"cache = {json.dumps(str(self.home / 'cache'))}\n"
            f"runs = {json.dumps(str(self.home / 'runs'))}\n"
            '[kernel]\nfragments = ["small.config"]\n'
            f"[guest]\nbench_mib = 0\n{archive}"
        )

    def verify(
        self,
        kill_at: int | None = None,
        *,
        seconds_later: float = 0,
        known: Collection[str] = (),
        word: str = "",
        backwards: bool = False,
    ) -> int:
        plan = Plan(
            home=str(self.home),
            args=("verify", "--tree", "linux", "--jobs", "2", self.series),
            kill_at=kill_at,
            seconds_later=seconds_later,
            known=tuple(known),
            word=word,
            backwards=backwards,
        )
        before = self.runs()
        goes_on = any(not is_finished(run) for run in before)
        self.statuses.append(self.server.run(plan))
        # One that is unfinished is gone on with; else there is one more, if it came that far.
        assert len(self.runs()) - len(before) in ((0,) if goes_on else (0, 1))
        return self.statuses[-1]

    def kill(self) -> None:
        """Ends the run that is going on, from outside."""
        os.kill(int((self.home / "pid").read_text()), signal.SIGKILL)

    # --- what can be seen of it -------------------------------------------------------------------

    def trace(self) -> list[Event]:
        return [Event.parse(line) for line in (self.home / "trace").read_text().splitlines()]

    def said(self) -> str:
        return (self.home / "stderr").read_text()

    def runs(self) -> list[Path]:
        folder = self.home / "runs"
        return sorted(folder.glob("[!.]*")) if folder.is_dir() else []

    def report(self) -> Report:
        return Report.from_json((self.runs()[-1] / "verdict.json").read_bytes())

    def stable(self) -> str:
        """verdict.json without its measurements, for a readable difference."""
        return json.dumps(without_measurements(self.report()), indent=1, sort_keys=True)

    def digest(self) -> str:
        return digest(self.report())

    def finished_stages(self) -> dict[str, tuple[int, int]]:
        """Inode and time of whatever a killed run has finished; it may not be written again."""
        found = [
            *self.home.glob("cache/stages/builds/*/build.json"),
            *self.home.glob("cache/stages/guests/*/guest.json"),
            *self.home.glob("runs/*/series/series.json"),
        ]
        whole = [path for path in found if not path.parent.name.startswith(".")]
        status = {str(path.relative_to(self.home)): path.stat() for path in whole}
        return {name: (seen.st_ino, seen.st_mtime_ns) for name, seen in status.items()}

    def leftovers(self) -> list[str]:
        """What a run has to take away again, or another one for it; empty when all is well."""
        return [
            *(f"temporary: {path}" for path in self.server.temporary.iterdir()),
            *(f"scratch: {path}" for path in scratch(self.home / "cache")),
            *(f"scratch: {path}" for path in scratch(self.home / "runs")),
            *(f"unfinished: {path}" for path in self.runs() if not is_finished(path)),
            *(f"worktree: {path}" for path in lost_worktrees(self.home / "cache")),
            *(f"lock: {path}" for path in held_locks(self.home)),
            *(f"process: {words}" for words in processes(self.home)),
        ]


def is_finished(run: Path) -> bool:
    state = run / "run.json"
    return state.is_file() and json.loads(state.read_text())["finished"] is True


def scratch(top: Path) -> Iterator[Path]:
    """Files and folders with a name of the moment."""
    for path in top.rglob("*"):
        if {"obj", "src", "ccache"} & set(path.relative_to(top).parts):
            continue
        if re.fullmatch(r"results-[0-9]+\.jsonl", path.name):  # of a second boot, to stay
            continue
        if path.name.startswith((".", "results-", "am-", "tmp")) and path.name != ".lock":
            yield path


def lost_worktrees(cache: Path) -> Iterator[Path]:
    """What repositories remember of worktrees that are gone."""
    for entry in cache.glob("repos/*.git/worktrees/*"):
        place = Path((entry / "gitdir").read_text().strip())
        if not place.is_file() or "slots" not in place.parts:
            yield entry


def held_locks(home: Path) -> Iterator[Path]:
    for path in [*home.rglob("lock"), *home.rglob(".lock"), *home.rglob("*.lock")]:
        if path.is_dir() or {"obj", "src"} & set(path.relative_to(home).parts):
            continue
        with path.open("rb") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield path


def wait_for_orphans(home: Path) -> list[str]:
    """What still runs after a while; a process cannot be killed faster than the kernel does it."""
    wait_until(lambda: not processes(home), ORPHANS_END)
    return processes(home)


STAGES: Sequence[tuple[str, str]] = (
    # The first that occurs in what an event is about; later stages first where paths overlap.
    ("report", ".verdict.json"),
    ("report", ".report."),
    ("guest stored", "stages/guests"),
    ("build stored", "stages/builds"),
    ("boot", "/console.log"),
    ("boot", "/results"),
    ("make", "/build.log"),
    ("make", "bzImage"),
    ("configuration", ".kverdict-"),
    ("configuration", "kverdict.kconfig"),
    ("configuration", "olddefconfig"),
    ("checkout", "checkout"),
    ("apply", "/am-"),
    ("fetch", "/.series"),
    ("fetch", "b4worker"),
    ("start", ".run.json"),
)


def stage_of(event: Event) -> str:
    return next((stage for stage, word in STAGES if word in event.about), "between")


@contextmanager
def serving(seed: str, temporary: Path) -> Iterator[Server]:
    server = Server(seed, temporary)
    try:
        yield server
    finally:
        server.close()
