# SPDX-License-Identifier: GPL-2.0-or-later
"""What the guest gets of this host; tests/hostile/guests looks at it from inside."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from kverdict.guestroot import ROOT, guest_python, guest_root
from kverdict.proc import ToolMissing, run
from kverdict.sandbox import Sandbox

pytestmark = pytest.mark.host


def inside(*argv: str) -> str:
    """The output of a command in a sandbox that has the guest's root."""
    root = guest_root()
    box = Sandbox(binds=root.binds, folders=root.folders, links=root.links)
    done = box.run(list(argv), timeout=60)
    assert done.ok, done.error_text
    return done.text


def test_there_is_a_shell_python_and_libraries() -> None:
    programs = inside("find", f"{ROOT}/usr/bin", "-type", "f").split()
    python = run(
        [str(guest_python()), "-c", "import sys, os; print(os.path.realpath(sys.executable))"]
    )
    assert {Path(name).name for name in programs} == {
        "bash",
        "busybox",
        "readlink",
        Path(python.text.strip()).name,
    }
    assert inside("ls", f"{ROOT}/etc", f"{ROOT}/root").split() == [
        f"{ROOT}/etc:",
        f"{ROOT}/root:",
    ]


def test_every_file_outside_python_s_library_is_a_program_or_a_shared_library() -> None:
    library = {bind.inside for bind in guest_root().binds if bind.host.is_dir()}
    files = [bind.inside for bind in guest_root().binds if bind.inside not in library]
    assert len(library) == 1
    assert all(".so" in path.name for path in files if path.parent.name != "bin")


def test_shell_tests_find_their_usual_tools_and_no_half_of_others() -> None:
    links = inside("find", f"{ROOT}/usr/bin", "-type", "l", "-printf", "%f %l\\n").splitlines()
    found = dict(link.split(" ", 1) for link in links)
    tools = {"awk", "cat", "dd", "env", "grep", "kill", "mktemp", "ps", "sed", "seq", "sleep"}
    tools |= {"dmesg", "find", "head", "stat", "tail", "timeout", "tr", "uname", "unshare", "wc"}
    assert tools <= set(found)
    assert all(found[name].endswith("/busybox") for name in tools)
    assert not {"ip", "ping", "tc", "perl", "modprobe", "wget", "nc", "reboot", "init"} & set(found)


def test_without_bash_there_is_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for tool in ("python3", "ldd", "setpriv", "busybox"):
        (tmp_path / tool).symlink_to(f"/usr/bin/{tool}")
    monkeypatch.setenv("PATH", str(tmp_path))
    root = guest_root()
    assert not {"bash", "readlink"} & {bind.inside.name for bind in root.binds}
    assert (ROOT / "usr/bin/readlink", "/usr/bin/busybox") in [
        (link, str(Path(to).resolve())) for link, to in root.links
    ]


def test_libraries_that_libc_opens_by_itself_are_there() -> None:
    names = {bind.inside.name: bind.inside.parent for bind in guest_root().binds}
    assert names["libgcc_s.so.1"] == names["libc.so.6"]


def test_python_finds_its_library_and_its_libraries_there() -> None:
    """chroot(2) needs root's rights, which nobody has inside; the loader takes a path as well."""
    loader = next(bind.inside for bind in guest_root().binds if "ld-linux" in bind.inside.name)
    libraries = {
        str(bind.inside.parent) for bind in guest_root().binds if ".so" in bind.inside.name
    }
    python = next(bind.inside for bind in guest_root().binds if "python" in bind.inside.name)
    said = inside(
        "env", f"PYTHONHOME={ROOT}/usr", str(loader), "--library-path", ":".join(sorted(libraries)),
        f"{ROOT}/usr/bin/{Path(os.path.realpath(guest_python())).name}", "-c",
        "import ctypes, hashlib, json, mmap, os, zlib; print(os.__file__)",
    )  # fmt: skip
    assert said.startswith(str(ROOT))
    assert python.is_relative_to(ROOT)


def test_without_busybox_it_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for tool in ("python3", "ldd", "setpriv"):
        (tmp_path / tool).symlink_to(f"/usr/bin/{tool}")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ToolMissing, match="busybox"):
        guest_root()
