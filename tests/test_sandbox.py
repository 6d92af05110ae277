# SPDX-License-Identifier: GPL-2.0-or-later
"""Run for real: bubblewrap is one of the packages that `make setup` installs.

As root everything is tried twice: by root, and by another user who starts the very command line
that an ordinary user gets.
"""

from __future__ import annotations

import json
import os
import socket
import stat
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from kverdict import proc, sandbox, seccomp
from kverdict.errors import InfraError
from kverdict.proc import Finished, ToolMissing
from kverdict.sandbox import (
    DISK_IS_FULL,
    OBJ,
    SRC,
    UID,
    Bind,
    Isolation,
    Limits,
    Sandbox,
    default_limits,
    folder_use,
    python_command,
    read_left,
)

pytestmark = pytest.mark.host

ROOT = os.geteuid() == 0
OWNER = UID if ROOT else os.getuid()  # of what a sandbox writes
SOMEBODY = 65534
Inside = Callable[..., Finished]


@pytest.fixture(params=["as started", "by another user"] if ROOT else ["as started"])
def inside(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Inside:
    """Runs a shell script in a sandbox."""

    def ours(script: str, box: Sandbox | None = None) -> Finished:
        return (box or Sandbox()).run(["sh", "-c", script], timeout=60)

    def another_s(script: str, box: Sandbox | None = None) -> Finished:
        become = ["setpriv", f"--reuid={SOMEBODY}", f"--regid={SOMEBODY}", "--clear-groups", "--"]
        with seccomp.program() as calls:
            with monkeypatch.context() as patch:
                patch.setattr(os, "geteuid", lambda: SOMEBODY)
                command = (box or Sandbox()).wrap(["sh", "-c", script], calls)
            return proc.run([*become, *command], timeout=60, pass_fds=(calls,))

    return ours if request.param == "as started" else another_s


def test_the_home_folder_is_not_there(inside: Inside) -> None:
    home = Path.home()
    assert home.is_dir()
    done = inside(f"ls -A {home} && ls -A /home; test -r {home}/.bashrc")
    assert done.returncode != 0
    assert ".bashrc" not in done.text


def test_the_environment_is_made_from_nothing(
    inside: Inside, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET_TOKEN", "hunter2")
    done = inside("env; cat /proc/[0-9]*/environ")
    assert "hunter2" not in done.text
    assert "HOME=/nonexistent" in done.text


def test_nobody_in_there_is_root_or_can_become_it(inside: Inside) -> None:
    done = inside("id -u; id -G; grep -E '^(Cap|NoNewPrivs)' /proc/self/status")
    uid, groups, *status = done.text.splitlines()
    assert uid == groups != "0"
    rights = dict(line.split(":\t") for line in status)
    assert rights.pop("NoNewPrivs") == "1"
    rights.pop("CapBnd", None)  # the most that a set-uid program could get; there are none
    assert {int(value, 16) for value in rights.values()} == {0}


def test_root_s_sandbox_is_a_user_who_owns_nothing() -> None:
    assert Sandbox().run(["id", "-u"], timeout=60).text == f"{OWNER}\n"


def test_no_user_namespace_no_mount_no_device(inside: Inside) -> None:
    for command in (
        "unshare --user true",
        "unshare --mount true",
        "mount -t tmpfs none /tmp",
        "umount /usr",
        "mount -o remount,rw /",
        "mknod /tmp/null c 1 3",
        "chroot /tmp true",
    ):
        assert inside(command).returncode != 0, command


def test_the_kernel_s_knobs_cannot_be_turned(inside: Inside) -> None:
    knobs = ("/proc/sys/kernel/core_pattern", "/proc/sysrq-trigger", "/proc/sys/vm/drop_caches")
    for knob in knobs:
        assert inside(f"echo 1 > {knob}").returncode != 0


def test_no_network_not_even_the_host_s_loopback(inside: Inside) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        script = f"import socket; socket.create_connection(('127.0.0.1', {port}), 5)"
        done = inside(f'/usr/bin/python3 -c "{script}"')
        assert done.returncode != 0
        assert "ConnectionRefusedError" in done.error_text or "Network is" in done.error_text
        socket.create_connection(("127.0.0.1", port), 5).close()  # and from outside it answers


def test_the_system_is_read_only(inside: Inside) -> None:
    for place in ("/usr/x", "/usr/bin/x", "/etc/x", "/x"):
        assert inside(f"echo > {place}").returncode != 0
        assert not Path(place).exists()


def test_no_keyring_and_no_socket_of_another_kind(inside: Inside) -> None:
    """keyctl(2) is 250 on x86-64; a VM's socket family is not in the network namespace."""
    script = (
        "import ctypes, socket; libc = ctypes.CDLL(None, use_errno=True); "
        "print(libc.syscall(250, 11, ctypes.c_int(-3), None, 0), ctypes.get_errno()); "
        "socket.socket(); socket.socket(40, 1)"
    )
    done = inside(f"/usr/bin/python3 -c '{script}'")
    assert done.text.split() == ["-1", "1"]
    assert "Address family not supported" in done.error_text


def test_devices_are_no_place_to_fill_the_memory(inside: Inside) -> None:
    assert inside("echo > /dev/x").returncode != 0
    done = inside("head -c 100000000 /dev/zero > /dev/shm/x; stat -c %s /dev/shm/x")
    assert int(done.text) <= 64 << 20


def test_other_processes_are_not_seen(inside: Inside) -> None:
    pids = inside("ls /proc | grep '^[0-9]'").text.split()
    assert str(os.getpid()) not in pids
    assert len(pids) < 12


def test_only_the_writable_bind_can_be_written(tmp_path: Path) -> None:
    src, obj = tmp_path / "src", tmp_path / "obj"
    src.mkdir()
    obj.mkdir()
    (obj / "older").write_text("")
    box = Sandbox(binds=(Bind(src, SRC), Bind(obj, OBJ, writable=True)), cwd=OBJ)
    script = "echo made > made; echo more > older; echo no > /src/made"
    done = box.run(["sh", "-c", script], timeout=60)
    assert done.returncode != 0
    assert (obj / "made").read_text() == "made\n"
    assert (obj / "older").read_text() == "more\n"
    assert not (src / "made").exists()


def test_a_link_is_not_followed_when_a_folder_changes_hands(tmp_path: Path) -> None:
    obj, other = tmp_path / "obj", tmp_path / "other"
    (obj / "deep").mkdir(parents=True)
    other.write_text("mine")
    (obj / "deep/link").symlink_to(other)
    Sandbox(binds=(Bind(obj, OBJ, writable=True),)).run(["true"], timeout=60)
    assert other.stat().st_uid == os.getuid()
    assert (obj / "deep/link").lstat().st_uid == OWNER


def test_temporary_files_stay_inside(inside: Inside) -> None:
    marker = f"kverdict-test-{os.getpid()}"
    assert inside(f"echo > /tmp/{marker}; ls /tmp").text.split() == [marker]
    assert not Path("/tmp", marker).exists()


def test_kverdict_runs_inside_with_its_packages() -> None:
    script = "import json, sys, kconfiglib; print(json.dumps(sys.path[0]))"
    box = Sandbox(python=True)
    done = box.run(python_command("kverdict.errors"), timeout=60)
    assert done.ok, done.error_text
    executable = python_command("kverdict")[0]
    done = box.run([executable, "-c", script], timeout=60)
    assert json.loads(done.text) is not None, done.error_text


def test_nothing_lives_on_after_the_command(tmp_path: Path) -> None:
    obj = tmp_path / "obj"
    obj.mkdir()
    box = Sandbox(binds=(Bind(obj, OBJ, writable=True),), cwd=OBJ)
    done = box.run(
        ["sh", "-c", "(trap '' TERM; setsid sh -c 'sleep 1; echo > late') & echo > now"], timeout=60
    )
    assert done.ok
    proc.run(["sleep", "2"])
    assert [path.name for path in obj.iterdir()] == ["now"]


# --- limits ---------------------------------------------------------------------------------------


def limited(**limits: int) -> Sandbox:
    return Sandbox(limits=replace(default_limits(), **limits))


def test_a_fork_bomb_ends_at_its_limit(inside: Inside) -> None:
    script = "i=0; while [ $i -lt 500 ]; do sleep 20 & i=$((i+1)); done; echo all"
    done = inside(script, limited(processes=64))
    assert "all" not in done.text
    assert done.returncode != 0


def test_no_process_gets_more_memory_than_its_limit(inside: Inside) -> None:
    script = "/usr/bin/python3 -c 'bytearray(1 << 30)'"
    done = inside(script, limited(address_space=512 << 20))
    assert "MemoryError" in done.error_text


def test_no_file_grows_over_its_limit(inside: Inside) -> None:
    done = inside("yes > /tmp/big; stat -c %s /tmp/big", limited(file_size=1 << 20))
    assert done.text.split()[-1] == str(1 << 20)


def test_the_processor_s_time_is_limited(inside: Inside) -> None:
    assert inside("while :; do :; done", limited(cpu=1)).returncode != 0


def test_there_are_no_core_files(inside: Inside) -> None:
    assert inside("ulimit -c; ulimit -H -c").text.split() == ["0", "0"]


@pytest.mark.parametrize(
    ("limits", "words"),
    [
        (Limits(memory=1 << 30, disk=1 << 20), "bytes on disk"),
        (Limits(memory=1 << 30, files=100), "100 files"),
    ],
)
def test_what_fills_the_disk_is_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limits: Limits, words: str
) -> None:
    monkeypatch.setattr(sandbox, "DISK_LOOK_SECONDS", 0.0)
    obj = tmp_path / "obj"
    obj.mkdir()
    box = Sandbox(binds=(Bind(obj, OBJ, writable=True),), cwd=OBJ, limits=limits)
    script = "i=0; while sleep 0.01; do i=$((i+1)); head -c 65536 /dev/zero > $i; done"
    done = box.stream(["sh", "-c", script], log=tmp_path / "log", timeout=60, log_limit=1 << 20)
    assert done.stopped is not None
    assert words in done.stopped


def test_some_of_the_disk_stays_free(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox, "DISK_RESERVE", 1 << 60)
    obj = tmp_path / "obj"
    obj.mkdir()
    box = Sandbox(binds=(Bind(obj, OBJ, writable=True),))
    done = box.stream(["sleep", "60"], log=tmp_path / "log", timeout=60, log_limit=1 << 20)
    assert done.stopped == DISK_IS_FULL


def test_output_without_end_is_not_kept_in_memory() -> None:
    done = Sandbox().run(["yes"], timeout=60)
    assert done.stopped is not None
    assert "output" in done.stopped
    assert len(done.stdout) <= proc.OUTPUT_LIMIT


# --- what is left on the host ---------------------------------------------------------------------


def test_a_link_that_was_left_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    (tmp_path / "left").symlink_to(tmp_path / "secret")
    with pytest.raises(InfraError, match="left was not left as a file"):
        read_left(tmp_path / "left", 100)


def test_a_fifo_that_was_left_does_not_block(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "left")
    with pytest.raises(InfraError, match="not left as a file"):
        read_left(tmp_path / "left", 100)


def test_a_file_over_the_limit_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "left").write_bytes(b"x" * 101)
    with pytest.raises(InfraError, match="at most 100 bytes"):
        read_left(tmp_path / "left", 100)


def test_what_cannot_be_counted_counts_as_too_much(tmp_path: Path) -> None:
    """A path that is too long for the kernel hides any number of files."""
    here = os.open(tmp_path, os.O_RDONLY)
    for _ in range(30):
        os.mkdir("d" * 200, dir_fd=here)
        below = os.open("d" * 200, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(here)
    assert folder_use(tmp_path, 1000)[1] > 1000
    proc.run(["rm", "-rf", str(tmp_path)], check=True)


# --- without bubblewrap ---------------------------------------------------------------------------


def test_without_bubblewrap_nothing_is_wrapped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(ToolMissing, match="unless --unsafe-no-sandbox is given"):
        Sandbox().wrap(["true"])


def test_without_a_sandbox_places_inside_are_those_outside(tmp_path: Path) -> None:
    obj = tmp_path / "obj"
    obj.mkdir()
    box = Sandbox(
        binds=(Bind(obj, OBJ, writable=True),),
        env={"WHERE": str(OBJ / "x")},
        cwd=OBJ,
        isolation=Isolation.NONE,
    )
    done = box.run(["sh", "-c", f"pwd; echo $WHERE; echo > {OBJ}/made; echo /objects"], timeout=60)
    assert done.text.splitlines() == [str(obj), str(obj / "x"), "/objects"]
    assert stat.S_ISREG((obj / "made").stat().st_mode)


def test_the_report_can_say_what_protects_and_that_nothing_does() -> None:
    assert "bubblewrap" in sandbox.protection(Isolation.BUBBLEWRAP)[0]
    assert sandbox.protection(Isolation.NONE) == ()
