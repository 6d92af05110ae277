# SPDX-License-Identifier: GPL-2.0-or-later
"""A run that is ended by a signal, or killed: what it started is gone, and it goes on from there.

The command line runs in a process of its own; make, the sandbox, git and b4 are real, and in place
of a guest there is a child that does not want to end.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from kverdict import proc
from kverdict.proc import run, stream
from tests.fakekernel import HEADER, INIT_SHARED, WRITE, FakeKernel
from tests.processes import PATIENCE, processes, wait_until

pytestmark = pytest.mark.host

HOME = Path(__file__).resolve().parent.parent
SAID = "kverdict: interrupted: the same command goes on from here\n"

COMMAND_LINE = """
import sys
from pathlib import Path
from kverdict import cli, evaluate
from kverdict.proc import stream
from kverdict.stages import boot
from tests.fakekernel import FakeBoot

STUBBORN = "trap '' TERM; echo $$ > guest.pid; while :; do sleep 0.1; done"

def stay(guest, facts):
    if Path("hang.guest").exists():
        stream(["sh", "-c", STUBBORN], log=Path("guest.log"), timeout=1000, log_limit=1000)
    return guest

fake = FakeBoot(change=stay)
boot.boot = lambda bzimage, **options: fake.boot(bzimage, **options)
evaluate.choose_accelerator = fake.choose
cli.main()
"""


@dataclass
class World:
    home: Path
    kernel: FakeKernel
    series: str

    @contextmanager
    def verify(self, *, begin: signal.Signals | None = None) -> Iterator[subprocess.Popen[str]]:
        """The command line, started in this folder; ``begin`` is ignored from the start."""
        words = [sys.executable, "-c", COMMAND_LINE]
        if begin is not None:
            words = ["sh", "-c", f"trap '' {begin.name.removeprefix('SIG')}; exec \"$@\"", *words]
            words.insert(3, "sh")
        # A shell starts what is in its background with SIGINT ignored, these tests as well.
        words = ["env", "--default-signal=HUP,INT,TERM", *words]
        with subprocess.Popen(
            [*words, "verify", "--tree", "linux", "--jobs", "2", self.series],
            cwd=self.home,
            env={**os.environ, "PYTHONPATH": str(HOME), "TMPDIR": str(self.home / "tmp")},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        ) as command:
            try:
                yield command
            finally:
                command.kill()

    def goes_on(self) -> None:
        """The same command comes to the verdict, and leaves nothing but its results."""
        folders = self.runs()
        with self.verify() as command:
            said = command.communicate(timeout=300)[1]
        assert command.returncode == 0, said
        if folders:
            assert self.runs() == folders
        assert self.leftovers() == []

    def runs(self) -> list[Path]:
        return sorted((self.home / "runs").iterdir())

    def leftovers(self) -> list[str]:
        """What has to be gone after a run that could clean up."""
        names = ("am-*", "results-*", ".series.*", ".draft.*", ".*.????????")
        found = [path for name in names for path in self.home.glob(f"*/**/{name}")]
        found += [*(self.home / "tmp").iterdir()]
        found += [path for path in self.home.glob("cache/repos/*/worktrees/*") if lost(path)]
        kept = [path for path in found if not {"obj", "src"} & set(path.parts)]
        return sorted(map(str, kept)) + processes(self.home)


def lost(record: Path) -> bool:
    return not Path((record / "gitdir").read_text().strip()).is_file()


def wait_for(what: Path) -> None:
    """Until the file has something in it: a shell makes it first, and then writes."""
    assert wait_until(lambda: what.exists() and what.stat().st_size)


@pytest.fixture
def world(tmp_path: Path) -> World:
    kernel = FakeKernel.create(tmp_path / "linux")
    change = (HEADER, INIT_SHARED, INIT_SHARED + WRITE)
    series = kernel.series(tmp_path / "patches", change, subject="add write")
    (tmp_path / "tmp").mkdir()
    (tmp_path / "small.config").write_text("CONFIG_KVM_SW_PROTECTED_VM=y\n")
    (tmp_path / "pipeline.toml").write_text(
        f"cache = {json.dumps(str(tmp_path / 'cache'))}\n"
        f"runs = {json.dumps(str(tmp_path / 'runs'))}\n"
        '[kernel]\nfragments = ["small.config"]\n[guest]\nbench_mib = 0\n'
    )
    return World(tmp_path, kernel, str(series))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_while_a_guest_runs(world: World, number: signal.Signals) -> None:
    (world.home / "hang.guest").touch()
    with world.verify() as command:
        wait_for(world.home / "guest.pid")
        command.send_signal(number)
        said = command.communicate(timeout=PATIENCE)[1]
    assert command.returncode == 130
    assert said.endswith(SAID)
    assert world.leftovers() == []
    (world.home / "hang.guest").unlink()
    world.goes_on()


def test_further_signals_do_not_break_the_cleaning_up_off(world: World) -> None:
    (world.home / "hang.guest").touch()
    with world.verify() as command:
        wait_for(world.home / "guest.pid")
        for number in (signal.SIGINT, signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
            command.send_signal(number)
            time.sleep(0.3)
        said = command.communicate(timeout=PATIENCE)[1]
    assert command.returncode == 130
    assert "kverdict: cleaning up: this takes some seconds\n" in said
    assert said.endswith(SAID)
    assert "Traceback" not in said
    assert world.leftovers() == []


def test_a_signal_while_make_runs(world: World) -> None:
    makefile = world.kernel.repo / "Makefile"
    whole = makefile.read_text()
    makefile.write_text(whole + "$(shell sleep 1000)\n")
    world.kernel.git("commit", "-q", "-a", "-m", "never ends")
    with world.verify() as command:
        assert wait_until(lambda: any("bwrap" in words for words in processes(world.home)))
        command.send_signal(signal.SIGTERM)
        said = command.communicate(timeout=PATIENCE)[1]
    assert command.returncode == 130
    assert said.endswith(SAID)
    assert world.leftovers() == []


def test_nothing_lives_on_when_we_are_killed(world: World) -> None:
    (world.home / "hang.guest").touch()
    with world.verify() as command:
        wait_for(world.home / "guest.pid")
        command.kill()
        command.wait()
        assert wait_until(lambda: not processes(world.home)), processes(world.home)
    (world.home / "hang.guest").unlink()
    world.goes_on()


def test_two_runs_at_once_on_one_tree(world: World) -> None:
    with world.verify() as one, world.verify() as two:
        said = [command.communicate(timeout=300)[1] for command in (one, two)]
    assert (one.returncode, two.returncode) == (0, 0), said
    assert len(world.runs()) == 2
    assert world.leftovers() == []


def test_a_second_run_does_not_wait_for_one_that_is_stopped(world: World) -> None:
    (world.home / "hang.guest").touch()
    with world.verify() as one:
        wait_for(world.home / "guest.pid")
        one.send_signal(signal.SIGSTOP)
        (world.home / "hang.guest").unlink()
        with world.verify() as two:
            said = two.communicate(timeout=300)[1]
        assert two.returncode == 0, said
        assert "another run uses this tree: working in slot 1" in said
        one.send_signal(signal.SIGCONT)
        one.send_signal(signal.SIGTERM)
        one.communicate(timeout=PATIENCE)
    assert one.returncode == 130
    assert len(world.runs()) == 2
    assert world.leftovers() == []


def test_a_signal_that_is_ignored_from_the_start_stays_so(world: World) -> None:
    (world.home / "hang.guest").touch()
    with world.verify(begin=signal.SIGHUP) as command:
        wait_for(world.home / "guest.pid")
        command.send_signal(signal.SIGHUP)
        time.sleep(1)
        assert command.poll() is None
        command.send_signal(signal.SIGTERM)
        command.communicate(timeout=PATIENCE)
    assert command.returncode == 130
    assert world.leftovers() == []


def test_whoever_reads_our_output_may_go_away() -> None:
    words = f"{sys.executable} pipeline.py suite | head -n 1"
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", words], cwd=HOME, capture_output=True, text=True
    )
    assert done.stderr == ""
    assert done.stdout.count("\n") == 1


KILLED = """
import os, sys, threading, time; from pathlib import Path; from kverdict.proc import run
from kverdict.git import Repository
if sys.argv[1] == "git":
    with Repository(Path(sys.argv[2])) as repository:
        repository.run("-c", "alias.wait=!echo $PPID > pid; exec sleep 1000", "wait")
else:
    run(["sh", "-c", "echo $$ > pid; exec sleep 1000"])
"""


@pytest.mark.parametrize("what", ["run", "git"])
def test_a_child_ends_when_we_are_killed(tmp_path: Path, what: str) -> None:
    subprocess.run(["git", "init", "-q", "."], cwd=tmp_path, check=True)
    words = [sys.executable, "-c", KILLED, what, str(tmp_path)]
    with subprocess.Popen(
        words, cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(HOME)}
    ) as command:
        wait_for(tmp_path / "pid")
        child = Path("/proc", (tmp_path / "pid").read_text().strip())
        assert child.exists()
        command.kill()
    assert wait_until(lambda: not child.exists())


def test_a_stopped_child_is_ended_at_its_time_limit(tmp_path: Path) -> None:
    stopped = ["sh", "-c", f"echo $$ > {tmp_path}/pid; kill -STOP $$; echo never"]
    done = run(stopped, timeout=1)
    assert (done.stopped, done.returncode) == ("time limit of 1 s", -signal.SIGKILL)
    done = stream(stopped, log=tmp_path / "log", timeout=1, log_limit=1000)
    assert (done.stopped, done.returncode) == ("time limit of 1 s", -signal.SIGKILL)
    assert not Path("/proc", (tmp_path / "pid").read_text().strip()).exists()


def test_nothing_is_started_that_could_outlive_us(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(proc.ToolMissing, match="setpriv is not installed"):
        proc.mortal(["true"])
