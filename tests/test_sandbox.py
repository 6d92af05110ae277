# SPDX-License-Identifier: GPL-2.0-or-later
"""Run for real: bubblewrap is one of the packages that `make setup` installs."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path

import pytest

from kverdict.proc import Finished, ToolMissing, run
from kverdict.sandbox import OBJ, SRC, Bind, Sandbox, python_command

pytestmark = pytest.mark.host


def inside(script: str, box: Sandbox | None = None) -> Finished:
    return run((box or Sandbox()).wrap(["sh", "-c", script]), timeout=60)


def test_the_home_folder_is_not_there() -> None:
    home = Path.home()
    assert home.is_dir()
    done = inside(f"ls -A {home} && ls -A /home; test -r {home}/.bashrc")
    assert done.returncode != 0
    assert ".bashrc" not in done.text


def test_the_environment_is_made_from_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_TOKEN", "hunter2")
    assert "hunter2" not in inside("env").text


def test_no_network_not_even_the_host_s_loopback() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        script = f"import socket; socket.create_connection(('127.0.0.1', {port}), 5)"
        done = run(Sandbox().wrap(["/usr/bin/python3", "-c", script]), timeout=60)
        assert done.returncode != 0
        assert "ConnectionRefusedError" in done.error_text or "Network is" in done.error_text
        socket.create_connection(("127.0.0.1", port), 5).close()  # and from outside it answers


def test_the_system_is_read_only() -> None:
    for place in ("/usr/x", "/usr/bin/x", "/etc/x", "/x"):
        assert inside(f"echo > {place}").returncode != 0
        assert not Path(place).exists()


def test_other_processes_are_not_seen() -> None:
    pids = inside("ls /proc | grep '^[0-9]'").text.split()
    assert str(os.getpid()) not in pids
    assert len(pids) < 10


def test_only_the_writable_bind_can_be_written(tmp_path: Path) -> None:
    src, obj = tmp_path / "src", tmp_path / "obj"
    src.mkdir()
    obj.mkdir()
    box = Sandbox(binds=(Bind(src, SRC), Bind(obj, OBJ, writable=True)), cwd=OBJ)
    done = inside("echo made > made; echo no > /src/made", box)
    assert done.returncode != 0
    assert (obj / "made").read_text() == "made\n"
    assert not (src / "made").exists()


def test_temporary_files_stay_inside(tmp_path: Path) -> None:
    marker = f"kverdict-test-{os.getpid()}"
    assert inside(f"echo > /tmp/{marker}; ls /tmp").text.split() == [marker]
    assert not Path("/tmp", marker).exists()


def test_kverdict_runs_inside_with_its_packages() -> None:
    script = "import json, sys, kconfiglib; print(json.dumps(sys.path[0]))"
    box = Sandbox(python=True)
    done = run(box.wrap([*python_command("kverdict.errors")]), timeout=60)
    assert done.ok, done.error_text
    executable = python_command("kverdict")[0]
    done = run(box.wrap([executable, "-c", script]), timeout=60)
    assert json.loads(done.text) is not None, done.error_text


def test_without_bubblewrap_nothing_is_wrapped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(ToolMissing, match="nothing of the tree is run outside the sandbox"):
        Sandbox().wrap(["true"])
