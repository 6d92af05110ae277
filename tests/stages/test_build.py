# SPDX-License-Identifier: GPL-2.0-or-later
"""The build stage on a kernel tree of a few files, with the real make, compiler and sandbox."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from kverdict import elf
from kverdict.errors import ExitStatus, InfraError
from kverdict.models import Build
from kverdict.progress import Silent
from kverdict.runs import file_digest
from kverdict.stages import build as stage
from kverdict.stages.build import BZIMAGE, VMLINUX, build

pytestmark = pytest.mark.host

FAKELINUX = Path(__file__).resolve().parent.parent / "fakelinux"
GMEM = "virt/kvm/guest_memfd.c"


@pytest.fixture
def src(tmp_path: Path) -> Path:
    return Path(shutil.copytree(FAKELINUX, tmp_path / "src"))


@pytest.fixture
def obj(tmp_path: Path) -> Path:
    folder = tmp_path / "obj"
    folder.mkdir()
    (folder / ".config").write_text("CONFIG_KVM=y\n")
    return folder


def make(src: Path, obj: Path, limit: float = 60) -> Build:
    log = obj.parent / "build.log"
    return build(src, obj, log=log, ccache=None, jobs=2, progress=Silent(), limit=limit)


def edit(src: Path, old: str, new: str) -> None:
    path = src / GMEM
    text = path.read_text()
    assert text.count(old) == 1
    path.write_text(text.replace(old, new))


def test_a_build_tells_what_it_made(src: Path, obj: Path) -> None:
    made = make(src, obj)
    assert made.ok
    assert made.clean
    assert made.first_error is None
    assert made.build_id == elf.build_id(obj / VMLINUX)
    assert made.bzimage_digest == file_digest(obj / BZIMAGE)
    assert "  LD      vmlinux" in (obj.parent / "build.log").read_text()


def test_the_same_source_gives_the_same_vmlinux_elsewhere(src: Path, tmp_path: Path) -> None:
    ids = set()
    for name in ("one", "another"):
        home = tmp_path / name
        shutil.copytree(src, home / "src")
        (home / "obj").mkdir(parents=True)
        (home / "obj/.config").write_text("CONFIG_KVM=y\n")
        ids.add(make(home / "src", home / "obj").build_id)
    assert len(ids) == 1


def test_a_second_build_is_incremental(src: Path, obj: Path) -> None:
    first = make(src, obj)
    second = make(src, obj)
    assert not second.clean
    assert second.build_id == first.build_id
    assert "  CC" not in (obj.parent / "build.log").read_text()


def test_the_first_error_has_file_and_line(src: Path, obj: Path) -> None:
    edit(src, "return GUEST_MEMFD_FLAG_MMAP |", "return undeclared |")
    made = make(src, obj)
    assert not made.ok
    assert made.confirmed_clean
    assert made.first_error is not None
    assert (made.first_error.file, made.first_error.line) == (GMEM, 8)
    assert "undeclared" in made.first_error.message


def test_warnings_are_data(src: Path, obj: Path) -> None:
    edit(src, "{\n\treturn", "{\n\tint unused;\n\n\treturn")
    made = make(src, obj)
    assert made.ok
    assert [(item.file, item.line, item.flag) for item in made.warnings] == [
        (GMEM, 8, "-Wunused-variable")
    ]


def test_a_failure_of_an_incremental_build_is_confirmed(src: Path, obj: Path) -> None:
    make(src, obj)
    edit(src, "return GUEST_MEMFD_FLAG_MMAP |", "return undeclared |")
    made = make(src, obj)
    assert made.confirmed_clean
    assert (obj.parent / "build.log.incremental").is_file()
    assert not (obj / VMLINUX).exists()


def test_a_stale_object_tree_is_not_the_patch_s_failure(src: Path, obj: Path) -> None:
    make(src, obj)
    (obj / "init/main.o").write_text("garbage that is newer than its source\n")
    (obj / VMLINUX).unlink()
    (obj / "kernel").mkdir()
    made = make(src, obj)
    assert made.ok
    assert made.clean
    assert (obj.parent / "build.log.incremental").is_file()


def test_a_time_limit_is_our_trouble(src: Path, obj: Path) -> None:
    makefile = src / "Makefile"
    makefile.write_text(makefile.read_text().replace("@cp $< $@", "@sleep 1000"))
    with pytest.raises(InfraError, match="the build was ended: time limit of 1 s"):
        make(src, obj, limit=1.0)


def test_a_full_disk_is_our_trouble_with_the_room_needed(src: Path, obj: Path) -> None:
    # What gcc prints when write(2) answers ENOSPC.
    report = "x.c:1:1: fatal error: error writing to /tmp/a.s: No space left on device"
    makefile = src / "Makefile"
    makefile.write_text(makefile.read_text().replace("@cp $< $@", f"@echo '{report}'; false"))
    with pytest.raises(InfraError, match="free 4096 MiB and start again") as caught:
        make(src, obj)
    assert caught.value.status is ExitStatus.DISK_FULL


def test_a_killed_compiler_is_our_trouble(src: Path, obj: Path) -> None:
    report = "gcc: fatal error: Killed signal terminated program cc1"
    makefile = src / "Makefile"
    makefile.write_text(makefile.read_text().replace("@cp $< $@", f"@echo '{report}'; false"))
    with pytest.raises(InfraError, match="the compiler was killed"):
        make(src, obj)


def test_make_that_succeeds_without_a_kernel_is_not_believed(src: Path, obj: Path) -> None:
    makefile = src / "Makefile"
    makefile.write_text(makefile.read_text().replace("@cp $< $@", "@true"))
    with pytest.raises(InfraError, match="without arch/x86/boot/bzImage"):
        make(src, obj)


def test_a_link_left_as_bzimage_is_not_followed(src: Path, obj: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("not for the report\n")
    makefile = src / "Makefile"
    makefile.write_text(makefile.read_text().replace("@cp $< $@", f"@ln -s {secret} $@"))
    with pytest.raises(InfraError, match="without arch/x86/boot/bzImage"):
        make(src, obj)


def test_a_vmlinux_without_a_build_id_cannot_prove_anything(src: Path, obj: Path) -> None:
    makefile = src / "Makefile"
    makefile.write_text(makefile.read_text().replace("--build-id=sha1", "--build-id=none"))
    with pytest.raises(InfraError, match="vmlinux has no build-id"):
        make(src, obj)


def test_steps_are_counted_for_the_progress_line() -> None:
    class Recorder:
        def __init__(self) -> None:
            self.notes: list[str] = []

        def update(
            self, done: float | None = None, total: float | None = None, note: str = ""
        ) -> None:
            self.notes.append(note)

    task = Recorder()
    count = stage._StepCounter(task)
    for line in ("make: Entering", "  CC      mm/gup.o", "  CC [M]  fs/x.o", "x.c:1: warning: w"):
        count(line)
    assert task.notes == ["1 steps, CC mm/gup.o", "2 steps, CC fs/x.o"]
