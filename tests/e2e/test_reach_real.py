# SPDX-License-Identifier: GPL-2.0-or-later
"""What the Makefiles are read to say, against what a build of a whole kernel did."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from kverdict.evaluate import SOURCES
from kverdict.kconfig.protocol import FilePlan
from kverdict.progress import Silent
from kverdict.reach import reach_fragment
from kverdict.settings import DEFAULT_FRAGMENTS, find_fragment
from kverdict.stages.configure import configure, plan, read_config

DEFAULT = tuple(find_fragment(name) for name in DEFAULT_FRAGMENTS)
# Folders of the source with code of this architecture's kernel.
CODE = (
    *("arch/x86", "block", "crypto", "drivers/virtio", "fs", "init", "io_uring", "kernel"),
    *("lib", "mm", "net", "security", "virt"),
)
# From nothing: few symbols, many, one without a prompt, one that only another one selects.
FROM_NOTHING = {
    "fs/9p/acl.c": "9P_FS_POSIX_ACL",
    "virt/kvm/guest_memfd.c": "KVM_GUEST_MEMFD",
    "arch/x86/kvm/svm/sev.c": "KVM_AMD_SEV",
    "drivers/usb/storage/alauda.c": "USB_STORAGE_ALAUDA",
    "kernel/bpf/cgroup.c": "CGROUP_BPF",
    "net/ipv4/udp.c": "INET",
}


@pytest.fixture(scope="module")
def source(kernel_source: Callable[[str], Path]) -> Path:
    return kernel_source("7.2")


def plans_of(
    source: Path, obj: Path, fragments: tuple[Path, ...], files: list[str]
) -> dict[str, FilePlan]:
    return {one.path: one for one in plan(source, obj, fragments, files, progress=Silent())}


def test_the_makefiles_say_what_the_build_compiles(
    source: Path, base_kernel: Path, tmp_path: Path
) -> None:
    built = set(json.loads((base_kernel.parent / SOURCES).read_text()))
    assert {"virt/kvm/guest_memfd.c", "arch/x86/boot/main.c", "include/linux/kvm_host.h"} <= built
    assert "mm/nommu.c" not in built
    files = sorted(
        str(path.relative_to(source))
        for folder in CODE
        for suffix in ("*.c", "*.S")
        for path in (source / folder).rglob(suffix)
    )
    plans = plans_of(source, tmp_path, DEFAULT, files)
    known = {path: one for path, one in plans.items() if one.condition}
    assert [path for path, one in known.items() if one.met and path not in built] == []
    assert [path for path, one in known.items() if not one.met and path in built] == []
    right = [path for path, one in known.items() if one.met]
    assert len(right) > 850
    # Without a rule: programs that the build runs, linker scripts, what other folders include.
    assert len(built & set(files) - known.keys()) < 40


def test_plans_from_nothing_are_honoured_by_conf(source: Path, tmp_path: Path) -> None:
    nothing = tmp_path / "nothing.config"
    nothing.write_text("")
    obj = tmp_path / "obj"
    obj.mkdir()
    plans = plans_of(source, obj, (nothing,), list(FROM_NOTHING))
    assert [path for path, one in plans.items() if one.met or not one.enable] == []
    reach = tmp_path / "reach.config"
    reach.write_text(reach_fragment(plans.values()))
    proof = configure(source, obj, [reach], progress=Silent())
    assert proof.differing == ()
    assert proof.added == ()
    values = read_config((obj / ".config").read_text())
    assert {name: values.get(name) for name in FROM_NOTHING.values()} == dict.fromkeys(
        FROM_NOTHING.values(), "y"
    )
    again = plans_of(source, obj, (reach,), list(FROM_NOTHING))
    assert [path for path, one in again.items() if not one.met] == []
