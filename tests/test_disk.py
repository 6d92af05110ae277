# SPDX-License-Identifier: GPL-2.0-or-later
"""A disk that is really full: a tmpfs of a few hundred MB with the cache and the runs on it."""

from __future__ import annotations

import errno
import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from kverdict.disk import DiskFull, disk_full, free_at, is_about_space, require
from kverdict.errors import ExitStatus, InfraError
from tests.fakekernel import HEADER, INIT_SHARED, WRITE, FakeKernel

HOME = Path(__file__).resolve().parent.parent
MIB = 1 << 20
TOLD = re.compile(
    r"^kverdict: the disk is full during [a-z ]+ \(\d+ MiB free\): free (\d+) MiB and start again$",
    re.MULTILINE,
)

# In a mount namespace of its own, so that the mount ends with it whatever happens.
ON_A_SMALL_DISK = """
mount -t tmpfs -o size=$1m tmpfs "$3" && head -c "$2" /dev/zero > "$3/ballast" || exit 77
shift 3
"$@"
status=$?
df --output=used -B1 disk | tail -n 1
rm -f disk/ballast
"$@" > again 2>&1
echo "again $?"
exit $status
"""
COMMAND_LINE = """
from kverdict import cli, evaluate
from kverdict.stages import boot
from tests.fakekernel import FakeBoot
fake = FakeBoot()
boot.boot = lambda bzimage, **options: fake.boot(bzimage, **options)
evaluate.choose_accelerator = fake.choose
cli.main()
"""


@dataclass
class World:
    home: Path
    kernel: FakeKernel
    series: Path

    def verify(self, *, size: int, free: int, tree: str = "linux") -> tuple[int, str, str]:
        """(status, stdout, stderr) on a disk of ``size`` MiB with ``free`` MiB; then with all."""
        rights = [] if os.geteuid() == 0 else ["--map-root-user"]
        done = subprocess.run(
            [
                *("unshare", "--mount", *rights, "sh", "-c", ON_A_SMALL_DISK, "sh"),
                *(str(size), str((size - free) * MIB), str(self.home / "disk")),
                *(sys.executable, "-c", COMMAND_LINE),
                *("verify", "--tree", tree, "--jobs", "2", str(self.series)),
            ],
            cwd=self.home,
            env={**os.environ, "PYTHONPATH": str(HOME)},
            capture_output=True,
            text=True,
        )
        assert "Traceback" not in done.stderr
        return done.returncode, done.stdout, done.stderr

    def said_again(self) -> str:
        return (self.home / "again").read_text()


@pytest.fixture
def world(tmp_path: Path) -> World:
    kernel = FakeKernel.create(tmp_path / "linux")
    change = (HEADER, INIT_SHARED, INIT_SHARED + WRITE)
    series = kernel.series(tmp_path / "patches", change, subject="add write")
    disk = tmp_path / "disk"
    disk.mkdir()
    (tmp_path / "small.config").write_text("CONFIG_KVM_SW_PROTECTED_VM=y\n")
    (tmp_path / "pipeline.toml").write_text(
        f"cache = {json.dumps(str(disk / 'cache'))}\nruns = {json.dumps(str(disk / 'runs'))}\n"
        '[kernel]\nfragments = ["small.config"]\n[guest]\nbench_mib = 0\n'
    )
    return World(tmp_path, kernel, series)


@pytest.mark.host
def test_a_tree_that_does_not_fit_is_told_before_it_is_checked_out(world: World) -> None:
    (world.kernel.repo / "firmware").write_bytes(os.urandom(60 * MIB))
    world.kernel.git("add", "-A")
    world.kernel.git("commit", "-q", "-m", "large")
    status, out, err = world.verify(size=600, free=50)
    assert status == ExitStatus.DISK_FULL, err
    told = TOLD.search(err)
    assert told is not None
    assert int(told[1]) > 60
    assert "checking out" not in err
    used, again = out.split("\n")[:2]
    assert int(used) < 552 * MIB
    assert again == "again 0", world.said_again()


@pytest.mark.host
def test_a_build_that_fills_the_disk_gives_it_back(world: World) -> None:
    makefile = world.kernel.repo / "Makefile"
    rule = "vmlinux: $(OBJECTS)\n"
    fill = f"{rule}\thead -c 400M /dev/zero > filled\n"
    makefile.write_text(makefile.read_text().replace(rule, fill))
    world.kernel.git("commit", "-q", "-a", "-m", "fills the disk")
    status, out, err = world.verify(size=900, free=500)
    assert status == ExitStatus.DISK_FULL, err
    assert TOLD.search(err) is not None
    used = int(out.split("\n")[0])
    assert used < 410 * MIB


@pytest.mark.host
def test_an_import_that_fills_the_disk_gives_it_back(world: World) -> None:
    folder = world.home / "unpacked"
    subprocess.run(["cp", "-r", str(world.kernel.repo), str(folder)], check=True)
    subprocess.run(["rm", "-rf", str(folder / ".git")], check=True)
    (folder / "firmware").write_bytes(os.urandom(60 * MIB))
    status, out, err = world.verify(size=600, free=40, tree="unpacked")
    assert status == ExitStatus.DISK_FULL, err
    assert TOLD.search(err) is not None
    used, again = out.split("\n")[:2]
    assert int(used) < 562 * MIB
    assert again == "again 0", world.said_again()


@pytest.mark.host
def test_no_room_at_all(world: World) -> None:
    status, _, err = world.verify(size=400, free=0)
    assert status == ExitStatus.DISK_FULL, err
    assert len([line for line in err.splitlines() if line.startswith("kverdict:")]) == 1


READ_ONLY = 'mount --bind "$1" "$1" && mount -o remount,ro,bind "$1" || exit 77; shift; exec "$@"'


@pytest.mark.host
@pytest.mark.parametrize("key", ["runs", "cache"])
def test_a_read_only_folder_is_told_before_any_work(world: World, key: str) -> None:
    folder = world.home / "disk" / key
    folder.mkdir()
    rights = [] if os.geteuid() == 0 else ["--map-root-user"]
    done = subprocess.run(
        [
            *("unshare", "--mount", *rights, "sh", "-c", READ_ONLY, "sh", str(folder)),
            *(sys.executable, "-c", COMMAND_LINE, "verify", "--tree", "linux", str(world.series)),
        ],
        cwd=world.home,
        env={**os.environ, "PYTHONPATH": str(HOME)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == ExitStatus.TROUBLE
    assert done.stderr == (
        f"kverdict: the {key} folder {folder} cannot be used: Read-only file system: "
        f'name another: `{key} = "..."` in pipeline.toml\n'
    )


def test_what_is_required_is_told_in_whole_mebibytes(tmp_path: Path) -> None:
    require(tmp_path, 0, "nothing")
    with pytest.raises(DiskFull, match=r"full during the checkout .* free \d{10,} MiB and start"):
        require(tmp_path / "not" / "there", 1 << 60, "the checkout")
    assert free_at(tmp_path / "not" / "there") == free_at(tmp_path)
    assert disk_full("x", MIB + 1, 0).remedy == "free 2 MiB and start again"


def test_a_full_disk_is_recognised_in_whatever_words() -> None:
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert is_about_space(full)
    assert is_about_space(OSError(errno.EDQUOT, "quota"))
    assert is_about_space(InfraError("git failed", detail="fatal: No space left on device"))
    assert is_about_space(InfraError("x", status=ExitStatus.DISK_FULL))
    wrapped = InfraError("it failed")
    wrapped.__cause__ = full
    assert is_about_space(wrapped)
    assert not is_about_space(OSError(errno.EACCES, "no"))
    assert not is_about_space(InfraError("git failed", detail="fatal: bad object"))
