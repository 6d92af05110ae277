# SPDX-License-Identifier: GPL-2.0-or-later
"""What a build read: of the kernel tree of a few files with the real make, and of forged trees."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kverdict.errors import InfraError
from kverdict.progress import Silent
from kverdict.stages import sources
from kverdict.stages.build import build
from kverdict.stages.configure import configure
from kverdict.stages.sources import members, read_sources

FAKELINUX = Path(__file__).resolve().parent.parent / "fakelinux"
ALWAYS = {
    "include/uapi/linux/kvm.h",
    "init/main.c",
    "mm/internal.h",
    "mm/page.c",
    "virt/kvm/guest_memfd.c",
}


def forge(obj: Path, archived: tuple[str, ...], commands: dict[str, str]) -> Path:
    """An object tree with these members of vmlinux.a, and these .cmd files."""
    obj.mkdir()
    table = "".join(f"{path}/\n" for path in archived).encode()
    header = f"{'//':<48}{len(table):<10}`\n".encode()
    (obj / "vmlinux.a").write_bytes(b"!<thin>\n" + header + table)
    for product, text in commands.items():
        place = obj / product
        place.parent.mkdir(parents=True, exist_ok=True)
        place.with_name(f".{place.name}.cmd").write_text(text)
    return obj


@pytest.mark.host
def test_what_a_real_build_read(tmp_path: Path) -> None:
    src, obj = tmp_path / "src", tmp_path / "obj"
    shutil.copytree(FAKELINUX, src)
    obj.mkdir()
    seen = []
    for asked in ("CONFIG_KVM=y\n", "CONFIG_NUMA=y\nCONFIG_MANY_CPUS=y\n", "CONFIG_KVM=y\n"):
        fragment = tmp_path / "a.config"
        fragment.write_text(asked)
        configure(src, obj, [fragment], progress=Silent())
        made = build(src, obj, log=tmp_path / "log", ccache=None, jobs=1, progress=Silent())
        assert made.ok
        seen.append(set(read_sources(obj)))
    # The last time policy.o and its saved command still lie there, and are not linked.
    assert (obj / "mm" / ".policy.o.cmd").is_file()
    assert seen == [ALWAYS, ALWAYS | {"mm/numa.h", "mm/policy.c"}, ALWAYS]


@pytest.mark.host
def test_members_are_those_that_ar_tells(tmp_path: Path) -> None:
    paths = ["a.o", "a-name-that-is-longer-than-sixteen.o", "deep/er/b.o"]
    for path in paths:
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        subprocess.run(
            ["gcc", "-c", "-x", "c", "-", "-o", path],
            cwd=tmp_path,
            input=f"int f{len(path)};",
            text=True,
            check=True,
        )
    for name, flags in (("plain.a", "cDPrST"), ("with-symbols.a", "cDPrsT")):
        subprocess.run(["ar", flags, name, *paths], cwd=tmp_path, check=True)
        told = members((tmp_path / name).read_bytes())
        assert told == tuple(path.encode() for path in paths)
    subprocess.run(["ar", "cr", "thick.a", *paths], cwd=tmp_path, check=True)
    with pytest.raises(InfraError, match="not a thin archive"):
        members((tmp_path / "thick.a").read_bytes())


def test_paths_are_those_of_the_tree(tmp_path: Path) -> None:
    obj = forge(
        tmp_path / "obj",
        ("arch/x86/kvm/../../../virt/kvm/gmem.o",),
        {
            "virt/kvm/gmem.o": (
                "savedcmd_arch/x86/kvm/../../../virt/kvm/gmem.o := gcc -I/src/include "
                "-I /src/arch/x86/kvm -include /src/include/linux/kconfig.h -o gmem.o\n\n"
                "source_gmem.o := /src/arch/x86/kvm/../../../virt/kvm/gmem.c\n\n"
                "deps_gmem.o := \\\n"
                "    $(wildcard include/config/NUMA) \\\n"
                "  /src/arch/x86/kvm/x86.h \\\n"
                "  include/generated/autoconf.h \\\n"
                "  /usr/include/stdio.h \\\n"
                "  /src/../etc/passwd \\\n"
                "  /src/scripts/x.h /src/tools/include/y.h\n"
            )
        },
    )
    assert read_sources(obj) == (
        "arch/x86/kvm/x86.h",
        "include/linux/kconfig.h",
        "virt/kvm/gmem.c",
    )
    assert read_sources(obj, src=Path("/elsewhere")) == ()


def test_only_what_the_kernel_is_made_of_counts(tmp_path: Path) -> None:
    link = "savedcmd_realmode.elf := ld -T realmode.lds arch/x86/realmode/rm/header.o -o x\n"
    obj = forge(
        tmp_path / "obj",
        ("mm/gup.o", "arch/x86/realmode/rmpiggy.o"),
        {
            "mm/gup.o": "deps := /src/mm/gup.c include/generated/table.h\n",
            "include/generated/table.h": "savedcmd := sh gen /src/mm/table.tbl > $@\n",
            "mm/stale.o": "deps := /src/mm/stale.c\n",
            "mm/offsets.s": "deps := /src/mm/offsets.c\n",
            # Taken in by .incbin, which no command tells.
            "arch/x86/realmode/rmpiggy.o": "deps := /src/arch/x86/realmode/rmpiggy.S\n",
            "arch/x86/realmode/rm/realmode.elf": link,
            "arch/x86/realmode/rm/header.o": "deps := /src/arch/x86/realmode/rm/header.S\n",
            "arch/x86/realmode/rm/stale.o": "deps := /src/arch/x86/realmode/rm/stale.S\n",
            # Of a folder from which nothing is linked any more.
            "arch/x86/purgatory/purgatory.ro": "savedcmd := ld arch/x86/purgatory/p.o\n",
            "arch/x86/purgatory/p.o": "deps := /src/arch/x86/purgatory/p.c\n",
            "arch/x86/boot/bzImage": "savedcmd := dd if=arch/x86/boot/setup.bin; cat x >y\n",
            "arch/x86/boot/setup.bin": "savedcmd := objcopy arch/x86/boot/main.o x\n",
            "arch/x86/boot/main.o": "deps := /src/arch/x86/boot/main.c\n",
        },
    )
    assert read_sources(obj) == (
        "arch/x86/boot/main.c",
        "arch/x86/realmode/rm/header.S",
        "arch/x86/realmode/rmpiggy.S",
        "mm/gup.c",
        "mm/offsets.c",
        "mm/table.tbl",
    )


@pytest.mark.parametrize("what", ["link", "folder", "fifo"])
def test_what_is_no_file_is_not_read(what: str, tmp_path: Path) -> None:
    obj = forge(tmp_path / "obj", ("mm/gup.o",), {})
    secret = tmp_path / "secret"
    secret.write_text("deps := /src/secret.c\n")
    command = obj / "mm" / ".gup.o.cmd"
    command.parent.mkdir()
    if what == "link":
        command.symlink_to(secret)
    elif what == "folder":
        command.mkdir()
    else:
        subprocess.run(["mkfifo", command], check=True)
    if what == "folder":
        assert read_sources(obj) == ()
    else:
        with pytest.raises(InfraError, match="was not left as a file"):
            read_sources(obj)


def test_no_link_to_a_folder_is_followed(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / ".gup.o.cmd").write_text("deps := /src/mm/gup.c\n")
    obj = forge(tmp_path / "obj", ("mm/gup.o",), {})
    (obj / "mm").symlink_to(outside)
    assert read_sources(obj) == ()


def test_no_archive_and_no_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(InfraError, match=r"vmlinux\.a was not left"):
        read_sources(tmp_path / "empty")
    obj = forge(tmp_path / "obj", ("a.o",), {"a.o": "x" * 5000})
    for limit, problem in (
        ("CMD_LIMIT", "not a file of at most 4999 bytes"),
        ("LINES_LIMIT", "too big to be a kernel's"),
        ("TOTAL_LIMIT", "too big to be a kernel's"),
    ):
        with monkeypatch.context() as patched:
            patched.setattr(sources, limit, 4999)
            with pytest.raises(InfraError, match=problem):
                read_sources(obj)
    monkeypatch.setattr(sources, "MOST_FILES", 2)
    with pytest.raises(InfraError, match="more than 2 files"):
        read_sources(obj)


_PIECES = st.sampled_from(
    [
        b"!<thin>\n",
        b"//",
        b"/ ",
        b" " * 46,
        b"10        `\n",
        b"a.o/\n",
        b"/src/a.c",
        b"\\\n",
        b"\0",
    ]
)


@given(st.lists(_PIECES | st.binary(max_size=20), max_size=20).map(b"".join))
def test_any_archive_ends(data: bytes) -> None:
    for archive in (data, b"!<thin>\n" + data):
        try:
            told = members(archive)
        except InfraError:
            continue
        assert all(told)


@given(st.lists(_PIECES | st.binary(max_size=20), max_size=20).map(b"".join))
def test_any_command_gives_paths_of_the_tree(
    tmp_path_factory: pytest.TempPathFactory, data: bytes
) -> None:
    obj = forge(tmp_path_factory.mktemp("any") / "obj", ("a.o",), {"a.o": ""})
    (obj / ".a.o.cmd").write_bytes(data)
    for path in read_sources(obj):
        assert path.isprintable()
        assert not path.startswith("/")
        assert ".." not in path.split("/")
