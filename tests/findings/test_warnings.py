# SPDX-License-Identifier: GPL-2.0-or-later
from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kverdict.findings.warnings import diagnose, diagnostics, first_error, make_failure
from kverdict.models import Diagnostic


def made(
    severity: str, file: str | None, line: int | None, message: str, flag: str | None = None
) -> Diagnostic:
    return Diagnostic(severity=severity, file=file, line=line, message=message, flag=flag)


# Lines as gcc 12.2, binutils 2.40, GNU make 4.3 and the tools of Linux 7.2 print them.
@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (
            "arch/x86/kvm/../../../virt/kvm/guest_memfd.c:12:9: error: "
            "implicit declaration of function 'foo' "
            "[-Werror=implicit-function-declaration]",
            made(
                "error",
                "virt/kvm/guest_memfd.c",
                12,
                "implicit declaration of function 'foo'",
                "-Werror=implicit-function-declaration",
            ),
        ),
        (
            "/src/mm/gup.c:7:6: warning: unused variable 'x' [-Wunused-variable]",
            made("warning", "mm/gup.c", 7, "unused variable 'x'", "-Wunused-variable"),
        ),
        (
            "kernel/fork.c:1:10: fatal error: nothere.h: No such file or directory",
            made("error", "kernel/fork.c", 1, "nothere.h: No such file or directory"),
        ),
        (
            "vmlinux.o: warning: objtool: foo+0x1c: unreachable instruction",
            made("warning", "vmlinux.o", None, "objtool: foo+0x1c: unreachable instruction"),
        ),
        (
            'ERROR: modpost: "filemap_remove_folio" [arch/x86/kvm/kvm.ko] undefined!',
            made(
                "error",
                None,
                None,
                'modpost: "filemap_remove_folio" [arch/x86/kvm/kvm.ko] undefined!',
            ),
        ),
        (
            "ld: virt/kvm/guest_memfd.o: in function `kvm_gmem_write_begin': "
            "undefined reference to `missing'",
            made("error", "virt/kvm/guest_memfd.o", None, "undefined reference to `missing'"),
        ),
        (
            "guest_memfd.c:(.text+0x10): undefined reference to `missing'",
            made("error", "guest_memfd.c", None, "undefined reference to `missing'"),
        ),
        (
            "init/Kconfig:20:warning: ignoring unsupported character",
            made("warning", "init/Kconfig", 20, "ignoring unsupported character"),
        ),
        (
            "/src/virt/kvm/Makefile.kvm:6: *** missing separator.  Stop.",
            made("error", "virt/kvm/Makefile.kvm", 6, "missing separator"),
        ),
        (
            "gcc: fatal error: Killed signal terminated program cc1",
            made("error", None, None, "Killed signal terminated program cc1"),
        ),
        ("  CC      virt/kvm/error.o", None),
        ("make[2]: Entering directory '/obj'", None),
        ("  error: in the middle of a sentence", None),
    ],
)
def test_lines_of_real_tools(line: str, expected: Diagnostic | None) -> None:
    assert diagnose(line) == expected


def test_make_itself_is_the_last_resort() -> None:
    line = "make[4]: *** [/src/scripts/Makefile.build:289: virt/kvm/x.o] Error 1"
    assert diagnose(line) is None
    assert make_failure(line) == made(
        "error", "scripts/Makefile.build", 289, "make virt/kvm/x.o: Error 1"
    )
    assert first_error(["  CC  x.o", line]) == make_failure(line)
    compiler = "x.c:1:2: error: expected ';'"
    assert first_error([line, compiler]) == diagnose(compiler)


def test_a_target_that_does_not_exist() -> None:
    line = "make[3]: *** No rule to make target 'x.o', needed by 'built-in.a'.  Stop."
    found = make_failure(line)
    assert found is not None
    assert found.message.startswith("make: No rule to make target 'x.o'")


def test_warnings_are_no_errors_and_come_once() -> None:
    line = "x.c:1:2: warning: w [-Wx]"
    assert first_error([line]) is None
    assert len(diagnostics([line, "noise", line])) == 1


@given(st.text())
def test_any_line_is_survived(line: str) -> None:
    diagnose(line)
    make_failure(line)
