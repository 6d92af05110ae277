# SPDX-License-Identifier: GPL-2.0-or-later
from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kverdict.findings.warnings import (
    diagnose,
    diagnostics,
    first_error,
    identity,
    make_failure,
    messages,
)
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
            "arch/x86/kvm/vmx/vmenter.S:2: Error: no such instruction: `bogus %eax'",
            made("error", "arch/x86/kvm/vmx/vmenter.S", 2, "no such instruction: `bogus %eax'"),
        ),
        (
            "mm/gup.c:4: Warning: value 0x12c truncated to 0x2c",
            made("warning", "mm/gup.c", 4, "value 0x12c truncated to 0x2c"),
        ),
        (
            "u3.S:2: Fatal error: .abort detected.  Abandoning ship.",
            made("error", "u3.S", 2, ".abort detected.  Abandoning ship."),
        ),
        (
            "/tmp/cc7eJmAO.s: Error: end of file inside conditional",
            made("error", None, None, "end of file inside conditional"),
        ),
        (
            "/tmp/ccWfcYEy.s:7: Error: can't open nope for reading: No such file or directory",
            made("error", None, None, "can't open nope for reading: No such file or directory"),
        ),
        (
            "Fatal error: can't create /obj/x.o: No such file or directory",
            made("error", None, None, "can't create /obj/x.o: No such file or directory"),
        ),
        ("t.S:8:  Info: macro invoked from here", None),
        ("i.c: Assembler messages:", None),
        ("ld: a.o: in function `f':", None),
        ("/usr/bin/ld.bfd: ag.o: in function `f':", None),
        (
            "/src/a.c:1: undefined reference to `g'",
            made("error", "a.c", 1, "undefined reference to `g'"),
        ),
        (
            "/src/a.c:1:(.text+0x5): undefined reference to `g'",
            made("error", "a.c", 1, "undefined reference to `g'"),
        ),
        (
            "(.text+0x5): undefined reference to `g'",
            made("error", None, None, "undefined reference to `g'"),
        ),
        (
            "ld: m.c:(.text+0x1c): undefined reference to `g'",
            made("error", "m.c", None, "undefined reference to `g'"),
        ),
        (
            "ld: m.o:(.data.rel+0x0): undefined reference to `q'",
            made("error", "m.o", None, "undefined reference to `q'"),
        ),
        (
            "ld: mg.o:/src/m.c:3: undefined reference to `q'",
            made("error", "m.c", 3, "undefined reference to `q'"),
        ),
        (
            "/src/a.c:1: multiple definition of `f'; a.o:a.c:(.text+0x0): first defined here",
            made(
                "error",
                "a.c",
                1,
                "multiple definition of `f'; a.o:a.c:(.text+0x0): first defined here",
            ),
        ),
        (
            "ld: cannot find nothere.o: No such file or directory",
            made("error", None, None, "cannot find nothere.o: No such file or directory"),
        ),
        ("ld:bad.o:0: syntax error", made("error", "bad.o", 0, "syntax error")),
        (
            "ld: NOTE: This behaviour is deprecated and will be removed in a future version of the "
            "linker",
            None,
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


# --- what a line before says ----------------------------------------------------------------------

# gcc -Wall -O2 of a file where helper() is inlined into mid(), and mid() into f().
INLINED = """\
  CC      drivers/y.o
In function 'helper',
    inlined from 'mid' at y.c:11:2,
    inlined from 'f' at y.c:18:2:
y.c:6:9: warning: 'memcpy' forming offset [4, 15] is out of the bounds [0, 4] of object 'b' \
with type 'char[4]' [-Warray-bounds]
    6 |         memcpy(b, d, n);
      |         ^~~~~~~~~~~~~~~
y.c: In function 'f':
y.c:5:14: note: 'b' declared here
    5 |         char b[4];
      |              ^
"""
# Of the same file with another function before.
BEFORE_IT = """\
y.c: In function 'g':
y.c:14:27: warning: 'memcpy' forming offset [4, 11] is out of the bounds [0, 4] of object 'c' \
with type 'char[4]' [-Warray-bounds]
   14 | int g(int x) { char c[4]; memcpy(c, "abcdefghijkl", 12); use(c); return x; }
      |                           ^~~~~~~~~~~~~~~~~~~~~~~~~~~~~
y.c:14:21: note: 'c' declared here
   14 | int g(int x) { char c[4]; memcpy(c, "abcdefghijkl", 12); use(c); return x; }
      |                     ^
"""
IN_A_HEADER = """\
z.c: In function \u2018u\u2019:
z.c:2:29: warning: \u2018k\u2019 is used uninitialized [-Wuninitialized]
In file included from z.c:1:
In function \u2018chk\u2019,
    inlined from \u2018f\u2019 at z.c:6:2:
inc/h.h:12:20: error: call to \u2018bad\u2019 declared with attribute error: call to bad
"""


def told(log: str) -> list[Diagnostic]:
    return [item for _, item in messages(log.splitlines()) if item is not None]


def test_what_is_inlined_belongs_to_its_own_function() -> None:
    (old,) = told(INLINED)
    assert old.function == "helper"
    step, rest = INLINED.split("\n", 1)
    new, same = told(f"{step}\n{BEFORE_IT}{rest}")
    assert (new.function, identity(same)) == ("g", identity(old))
    assert [item.function for item in told(IN_A_HEADER)] == ["u", "f"]


FORTIFIED = """\
In function 'memcpy',
    inlined from 'copy_it' at ./include/linux/x.h:9:2,
    inlined from 'helper' at drivers/foo.c:80:1{more}
./include/linux/fortify-string.h:571:25: warning: call to '__write_overflow_field' declared with \
attribute warning: detected write beyond size of field [-Wattribute-warning]
"""
INTO_A_CALLER = ",\n    inlined from 'caller' at drivers/foo.c:100:2:"


def test_into_whom_a_function_is_inlined_does_not_matter() -> None:
    (alone,) = told(FORTIFIED.format(more=":"))
    (inlined,) = told(FORTIFIED.format(more=INTO_A_CALLER))
    assert inlined.function == "helper"
    assert identity(inlined) == identity(alone)
    (other,) = told(FORTIFIED.format(more=":").replace("helper", "another"))
    assert identity(other) != identity(alone)
    (compiled,) = told(INLINED[INLINED.index("y.c:6:9") :])
    out_of_line = compiled.model_copy(update={"function": "helper"})
    assert [identity(item) for item in told(INLINED)] == [identity(out_of_line)]


def test_of_headers_only_the_function_that_is_compiled_counts() -> None:
    log = """\
In function 'memcpy',
    inlined from 'copy_it' at include/linux/x.h:9:2:
include/linux/fortify-string.h:571:25: warning: w [-Wx]
"""
    assert [item.function for item in told(log)] == ["copy_it"]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (
            "include/linux/compiler_types.h:560:45: error: call to '__compiletime_assert_812' "
            "declared with attribute error: BUILD_BUG_ON failed: sizeof(struct kvm) != 8",
            ("812", "815"),
        ),
        ("a.c:5:1: warning: unused variable '__UNIQUE_ID_x64_123' [-Wx]", ("_123", "_99")),
        ("a.c:5:1: warning: '__UNIQUE_ID_alias123' defined but not used [-Wx]", ("123", "1000")),
    ],
)
def test_the_counter_of_a_generated_name_does_not_matter(
    before: str, after: tuple[str, str]
) -> None:
    one, other = told(before), told(before.replace(*after))
    assert one != other
    assert list(map(identity, one)) == list(map(identity, other))


def test_a_generated_name_is_another_one_s() -> None:
    log = "a.c:5:1: warning: unused variable '__UNIQUE_ID_x64_123' [-Wx]"
    (one,), (other,) = told(log), told(log.replace("x64", "x32"))
    assert identity(one) != identity(other)


def test_a_clone_is_the_function_that_it_was_made_of() -> None:
    (one,) = told("x.c: In function 'f':\nx.c:1:2: warning: w [-Wx]")
    (clone,) = told("x.c: In function 'f.constprop':\nx.c:1:2: warning: w [-Wx]")
    assert identity(clone) == identity(one)


def test_the_assembler_names_no_function() -> None:
    log = """\
i.c: In function 'f':
i.c:3:6: warning: unused variable 'x' [-Wunused-variable]
i.c: Assembler messages:
i.c:4: Warning: value 0x12c truncated to 0x2c
"""
    assert [item.function for item in told(log)] == ["f", None]


@pytest.mark.parametrize(
    ("log", "file", "line", "function"),
    [
        (
            "ld: a.o: in function `f':\na.c:(.text+0x5): undefined reference to `g'",
            "a.c",
            None,
            "f",
        ),
        ("ld: ag.o: in function `f':\n/src/a.c:1: undefined reference to `g'", "a.c", 1, "f"),
        (
            "ld: vmlinux.o: in function `f':\n(.text+0x5): undefined reference to `g'",
            *("vmlinux.o", None, "f"),
        ),
        (
            "/usr/bin/ld: l.a(a.o): in function `f':\na.c:(.text+0x5): undefined reference to `g'\n"
            "collect2: error: ld returned 1 exit status",
            *("a.c", None, "f"),
        ),
    ],
)
def test_a_symbol_that_is_missing_is_named(
    log: str, file: str, line: int | None, function: str
) -> None:
    found = made("error", file, line, "undefined reference to `g'")
    assert first_error(log.splitlines()) == found.model_copy(update={"function": function})


def test_data_is_in_no_function() -> None:
    log = """\
ld: m.o: in function `f2':
m.c:(.text+0x15): undefined reference to `g'
ld: m.c:(.text+0x1c): undefined reference to `g'
ld: m.o:(.data.rel+0x0): undefined reference to `q'
"""
    assert [item.function for item in told(log)] == ["f2", "f2", None]


def test_the_assembler_s_error_comes_before_make_s() -> None:
    log = """\
  AS      arch/x86/kvm/vmx/vmenter.o
arch/x86/kvm/vmx/vmenter.S: Assembler messages:
arch/x86/kvm/vmx/vmenter.S:2: Error: no such instruction: `bogus %eax'
make[4]: *** [/src/scripts/Makefile.build:430: arch/x86/kvm/vmx/vmenter.o] Error 1
"""
    found = first_error(log.splitlines())
    assert found is not None
    assert (found.file, found.line) == ("arch/x86/kvm/vmx/vmenter.S", 2)


@given(st.text())
def test_any_line_is_survived(line: str) -> None:
    diagnose(line)
    make_failure(line)
