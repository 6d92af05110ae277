# SPDX-License-Identifier: GPL-2.0-or-later
"""Nights that are killed, and two at once: real processes, only the boot is a double."""

from __future__ import annotations

import json
import os
import shutil
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from kverdict.errors import ExitStatus
from kverdict.gc import run_folders
from kverdict.nights import Night, Nights
from tests.bisectworld import CLOSED
from tests.fakekernel import GMEM, FakeKernel
from tests.faults.launcher import Plan
from tests.faults.world import KILLED, Event, Server, serving
from tests.processes import wait_until

pytestmark = pytest.mark.host

TREES = ("alpha", "beta")
NEW_EVENTS = 31  # that each start is left to do before it is killed
WAIT = 120.0  # seconds for another process to come to a point


def settings(home: Path) -> str:
    trees = "".join(
        f'[[nightly.trees]]\nname = "{name}"\ntree = {json.dumps(str(home / name))}\n'
        f"fetch = {json.dumps(name == 'beta')}\n"
        for name in TREES
    )
    return (
        f"cache = {json.dumps(str(home / 'cache'))}\nruns = {json.dumps(str(home / 'runs'))}\n"
        '[kernel]\nfragments = ["small.config"]\n[guest]\nbench_mib = 0\n'
        f'[archive]\nmidmask = "{CLOSED}"\n'
        f"[nightly]\n{trees}"
    )


def make_world(home: Path) -> Path:
    home.mkdir()
    for name in TREES:
        FakeKernel.create(home / name)
    (home / "small.config").write_text("CONFIG_KVM_SW_PROTECTED_VM=y\n")
    (home / "pipeline.toml").write_text(settings(home))
    return home


def change(home: Path) -> None:
    """Harmless, in both trees."""
    for name in TREES:
        kernel = FakeKernel(home / name)
        file = kernel.repo / GMEM
        file.write_text(file.read_text().replace("\treturn GUEST", "\t/* more */\n\treturn GUEST"))
        kernel.git("commit", "-q", "-a", "-m", "a comment")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with serving("1", tmp_path / "tmp") as server:
        yield server


def nightly(server: Server, home: Path, **plan: object) -> int:
    return server.run(
        Plan.model_validate({"home": str(home), "args": ("nightly", "-j", "2"), **plan})
    )


def told(home: Path) -> list[tuple[str, int, str, list[tuple[str, str]]]]:
    """What must be the same however often a night was killed."""
    nights = Nights.below(home / "runs").all()
    return [
        (
            night.tree,
            night.night.number,
            night.trouble,
            [(head.commit, head.state.value) for head in night.heads],
        )
        for name in TREES
        for night in nights[name]
    ]


def newest(home: Path, tree: str) -> Night:
    return Nights.below(home / "runs").of(tree)[0]


def marks(home: Path) -> set[str]:
    return {Event.parse(line).mark for line in (home / "trace").read_text().splitlines()}


def test_a_night_killed_again_and_again_tells_the_same(server: Server, tmp_path: Path) -> None:
    home = make_world(tmp_path / "world")
    assert nightly(server, home) == 0, (home / "stderr").read_text()
    change(home)
    shutil.copytree(home, undisturbed := tmp_path / "undisturbed", symlinks=True)
    known: set[str] = set()
    kills = 0
    while (status := nightly(server, home, kill_at=NEW_EVENTS, known=tuple(known))) == KILLED:
        known |= marks(home)
        kills += 1
    assert status == 0, (home / "stderr").read_text()
    assert kills > 10

    (undisturbed / "pipeline.toml").write_text(settings(undisturbed))
    assert nightly(server, undisturbed) == 0
    assert told(home) == told(undisturbed)
    assert len(list((home / "runs/nightly").glob("*.eml"))) == 2
    assert not (home / "runs/nightly/tonight.json").exists()
    assert all(run.finished for run in run_folders(home / "runs"))
    assert {newest(home, tree).run for tree in TREES} <= {
        run.path.name for run in run_folders(home / "runs")
    }
    left = [path for path in (home / "runs/nightly").rglob(".*") if path.name != ".lock"]
    assert left == []


def test_the_second_of_two_says_so_in_one_line(server: Server, tmp_path: Path) -> None:
    home = make_world(tmp_path / "world")
    other = tmp_path / "other"  # its own folder to be started in, the same settings
    other.mkdir()
    for name in ("pipeline.toml", "small.config"):
        shutil.copy(home / name, other)
    statuses: list[int] = []
    with serving("2", tmp_path / "tmp2") as second:
        first = threading.Thread(target=lambda: statuses.append(nightly(server, home)))
        first.start()
        assert wait_until(lambda: (home / "runs/nightly/tonight.json").exists(), WAIT)
        pid = int((home / "pid").read_text())
        os.kill(pid, signal.SIGSTOP)
        try:
            assert nightly(second, other) == ExitStatus.BUSY
        finally:
            os.kill(pid, signal.SIGCONT)
        first.join(timeout=WAIT)
    assert statuses == [0]
    lines = (other / "stderr").read_text().splitlines()
    assert lines == [f"kverdict: another nightly works in {home / 'runs'}: wait for it to end"]
