# SPDX-License-Identifier: GPL-2.0-or-later
"""W=1 and sparse on a kernel tree of a few files: real make, compiler, sparse and sandbox.

Its Makefile only stands in for kbuild's W=1 and C=2; tests/e2e has the real one.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest

from kverdict.models import Absent, Build, Diagnostic, Lint
from kverdict.progress import Silent
from kverdict.stages import lint as stage
from kverdict.stages.build import build
from kverdict.stages.lint import SPARSE, W1, lint, lint_tools
from kverdict.stages.sources import read_sources

pytestmark = pytest.mark.host

FAKELINUX = Path(__file__).resolve().parent.parent / "fakelinux"
PAGE, POLICY, GMEM = "mm/page.c", "mm/policy.c", "virt/kvm/guest_memfd.c"
INTERNAL, NUMA_H, KVM_H = "mm/internal.h", "mm/numa.h", "include/uapi/linux/kvm.h"
UNUSED = "\nint odd(int unused);\nint odd(int unused)\n{\n\treturn 1;\n}\n"  # for W=1 only
SIGNS = "\nstatic inline int lower(unsigned int a, int b)\n{\n\treturn a < b;\n}\n"
NOT_STATIC = "\nint alone = 1;\n"  # for sparse only
BEYOND_SPARSE = "\n#ifdef __CHECKER__\nint x = ;\n#endif\n"


@pytest.fixture
def src(tmp_path: Path) -> Path:
    return Path(shutil.copytree(FAKELINUX, tmp_path / "src"))


@pytest.fixture
def obj(tmp_path: Path) -> Path:
    folder = tmp_path / "obj"
    folder.mkdir()
    (folder / ".config").write_text("CONFIG_NUMA=y\n")
    return folder


def add(src: Path, path: str, text: str) -> None:
    place = src / path
    place.write_text(place.read_text() + text)


def made(src: Path, obj: Path) -> Build:
    log = obj.parent / "build.log"
    done = build(src, obj, log=log, ccache=None, jobs=2, progress=Silent(), limit=60)
    assert done.ok
    return done


def linted(src: Path, obj: Path, *files: str, known: Sequence[Diagnostic] = ()) -> Lint:
    before = sorted(path.name for path in obj.parent.iterdir())
    done = lint(
        src,
        obj,
        files,
        sources=frozenset(read_sources(obj)),
        known=known,
        log=obj.parent / "lint.log",
        ccache=None,
        jobs=2,
        progress=Silent(),
    )
    left = {path.name for path in obj.parent.iterdir()} - set(before)
    assert left <= {"lint.log", "lint.log.sparse"}
    return done


def told(found: Lint) -> list[tuple[str, str | None, str | None]]:
    return [(one.tool, one.file, one.flag or one.message.split(".")[0]) for one in found.messages]


def test_each_says_what_the_plain_build_does_not(src: Path, obj: Path) -> None:
    add(src, PAGE, UNUSED + NOT_STATIC)
    built = made(src, obj)
    assert built.warnings == ()
    found = linted(src, obj, PAGE, GMEM)
    assert (found.files, found.ran, found.missing) == ((PAGE, GMEM), (W1, SPARSE), ())
    assert told(found) == [
        (W1, PAGE, "-Wunused-parameter"),
        (SPARSE, PAGE, "symbol 'alone' was not declared"),
    ]
    assert found.messages[0].function == "odd"
    # The object tree that the next commit is built on is as it was.
    assert (obj / ".config").read_text() == "CONFIG_NUMA=y\n"
    assert "Wextra" not in (obj / "mm/.page.o.cmd").read_text()


def test_what_the_plain_build_said_is_not_repeated(src: Path, obj: Path) -> None:
    add(src, PAGE, "\nint f(void);\nint f(void)\n{\n\tint idle;\n\treturn 1;\n}\n")
    built = made(src, obj)
    assert [one.flag for one in built.warnings] == ["-Wunused-variable"]
    assert linted(src, obj, PAGE, known=built.warnings).messages == ()
    assert told(linted(src, obj, PAGE)) == [(W1, PAGE, "-Wunused-variable")]


def test_only_what_this_kernel_is_made_of_is_looked_at(src: Path, obj: Path) -> None:
    made(src, obj)
    nothing = Lint(files=(), ran=(), missing=(), messages=())
    assert linted(src, obj, "mm/debug.c", "mm/driver.c", "mm/gone.c", "mm/Makefile") == nothing
    # An object of a configuration before is still there, and not asked about.
    (obj / ".config").write_text("")
    made(src, obj)
    assert (obj / "mm/policy.o").is_file()
    assert linted(src, obj, POLICY) == nothing


def test_warnings_are_no_errors_whatever_the_configuration_says(src: Path, obj: Path) -> None:
    (obj / ".config").write_text("CONFIG_NUMA=y\nCONFIG_WERROR=y\nCONFIG_KVM_WERROR=y\n")
    add(src, PAGE, UNUSED)
    made(src, obj)
    found = linted(src, obj, PAGE, GMEM)
    assert (found.ran, found.missing) == ((W1, SPARSE), ())
    assert told(found) == [(W1, PAGE, "-Wunused-parameter")]


def test_a_file_that_w1_fails_on_does_not_take_the_others_along(src: Path, obj: Path) -> None:
    add(src, PAGE, UNUSED)
    add(src, POLICY, UNUSED.replace("odd", "odder"))
    made(src, obj)
    add(src, PAGE, '\n#error "only now"\n')
    found = linted(src, obj, PAGE, INTERNAL, POLICY)
    assert found.ran == (W1, SPARSE)
    assert told(found) == [(W1, POLICY, "-Wunused-parameter")]
    line = len((src / PAGE).read_text().splitlines())
    why = f'make failed: {PAGE}:{line}: #error "only now"'
    assert [one for one in found.missing if one.tool == W1] == [
        Absent(tool=W1, why=f"on {file}: {why}", file=file) for file in (INTERNAL, PAGE)
    ]


def test_when_all_of_them_fail_the_checker_did_not_run(src: Path, obj: Path) -> None:
    made(src, obj)
    add(src, PAGE, '\n#error "only now"\n')
    found = linted(src, obj, PAGE)
    assert found.ran == ()
    assert [(one.tool, one.file) for one in found.missing] == [(W1, None), (SPARSE, None)]
    assert all('#error "only now"' in one.why for one in found.missing)


def test_a_make_that_fails_for_everything_says_why(src: Path, obj: Path) -> None:
    made(src, obj)
    (src / "Makefile").write_text("all:\nnonsense\n")
    found = linted(src, obj, PAGE)
    assert found.messages == ()
    assert [(one.tool, one.file) for one in found.missing] == [(W1, None), (SPARSE, None)]
    assert all(one.why.startswith("make failed: Makefile:2: missing sep") for one in found.missing)


def test_a_file_that_sparse_cannot_read_is_told(src: Path, obj: Path) -> None:
    add(src, PAGE, BEYOND_SPARSE)
    add(src, POLICY, NOT_STATIC)
    made(src, obj)
    found = linted(src, obj, PAGE, POLICY)
    assert found.ran == (W1, SPARSE)
    assert told(found) == [(SPARSE, POLICY, "symbol 'alone' was not declared")]
    (absent,) = found.missing
    assert (absent.tool, absent.file) == (SPARSE, PAGE)
    assert absent.why.startswith(f"on {PAGE}: cannot read this kernel: {PAGE}:10: ")
    (alone,) = linted(src, obj, PAGE).missing
    assert (alone.tool, alone.file) == (SPARSE, None)
    assert alone.why.startswith(f"cannot read this kernel: {PAGE}:10: ")


def test_a_kernel_that_does_not_take_this_sparse(src: Path, obj: Path) -> None:
    made(src, obj)
    makefile = src / "Makefile"
    makefile.write_text(makefile.read_text().replace("ifneq ($(C),)", "ifneq ($(C),$(C))"))
    found = linted(src, obj, PAGE)
    assert found.ran == (W1,)
    assert found.missing == (Absent(tool=SPARSE, why=f"the kernel does not take {lint_tools()}"),)


def test_sparse_counts_only_where_the_sandbox_sees_it(
    src: Path, obj: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made(src, obj)
    own = obj.parent / "bin"
    own.mkdir()
    (own / SPARSE).write_text("#!/bin/sh\n")
    (own / SPARSE).chmod(0o755)
    monkeypatch.setenv("PATH", str(own), prepend=":")
    system = obj.parent / "system"
    system.mkdir()
    monkeypatch.setattr(stage, "SYSTEM_PATH", str(system))
    assert lint_tools() == ""
    assert linted(src, obj, PAGE).missing == (Absent(tool=SPARSE, why="not installed"),)


def test_a_header_is_looked_at_in_the_nearest_file_that_includes_it(src: Path, obj: Path) -> None:
    add(src, INTERNAL, SIGNS)
    add(src, KVM_H, SIGNS)
    add(src, PAGE, UNUSED + NOT_STATIC)  # not touched: what is said of it does not count
    made(src, obj)
    found = linted(src, obj, INTERNAL, NUMA_H, KVM_H)
    assert (found.files, found.ran, found.missing) == (
        (KVM_H, INTERNAL, NUMA_H),
        (W1, SPARSE),
        (),
    )
    assert told(found) == [(W1, KVM_H, "-Wsign-compare"), (W1, INTERNAL, "-Wsign-compare")]
    log = (obj.parent / "lint.log").read_text()
    # make works on several at a time: which it names first is chance
    assert {line.split()[1] for line in log.splitlines() if line.startswith("  CC ")} == {
        *("init/main.o", "mm/page.o", "mm/policy.o")
    }


def test_a_header_that_two_touched_files_include_is_told_once(src: Path, obj: Path) -> None:
    add(src, KVM_H, SIGNS)
    made(src, obj)
    found = linted(src, obj, KVM_H, GMEM, "init/main.c")
    assert found.files == (KVM_H, "init/main.c", GMEM)
    assert told(found) == [(W1, KVM_H, "-Wsign-compare")]


def test_one_that_takes_too_long_is_ended(
    src: Path, obj: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made(src, obj)
    monkeypatch.setattr(stage, "_SECONDS", 0.5)
    add(src, "Makefile", "\n$(shell sleep 60)\n")
    found = linted(src, obj, PAGE)
    assert [(one.tool, one.why) for one in found.missing] == [
        (W1, "ended: time limit of 0 s"),
        (SPARSE, "ended: time limit of 0 s"),
    ]
