# SPDX-License-Identifier: GPL-2.0-or-later
"""What the compiler said of objects that were not built anew."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from kverdict import ledger
from kverdict.findings.warnings import identity, messages, step_of
from kverdict.ledger import Ledger, updated

A = """\
  CC      mm/a.o
/src/mm/a.c: In function 'f':
/src/mm/a.c:3:6: warning: unused variable 'x' [-Wunused-variable]
"""
B = """\
  CC      arch/x86/kvm/../../../virt/kvm/b.o
/src/virt/kvm/b.c:7:1: warning: 'g' defined but not used [-Wunused-function]
  LD      vmlinux.o
vmlinux.o: warning: objtool: f+0x8: return with modified stack frame
"""


def everything(target: str) -> bool:
    return True


def said(book: Ledger) -> list[tuple[str | None, int | None, str | None]]:
    return [(item.file, item.line, item.function) for item in book.warnings]


def test_a_warning_stays_when_only_another_file_is_built() -> None:
    book = updated(Ledger(), (A + B).splitlines(), everything)
    again = updated(book, B.splitlines(), everything)
    assert (
        said(again)
        == said(book)
        == [
            ("mm/a.c", 3, "f"),
            ("virt/kvm/b.c", 7, None),
            ("vmlinux.o", None, None),
        ]
    )


def test_an_object_that_is_built_anew_replaces_what_was_said() -> None:
    book = updated(Ledger(), (A + B).splitlines(), everything)
    quiet = updated(book, ["  CC      mm/a.o"], everything)
    assert ("mm/a.c", 3, "f") not in said(quiet)
    other = updated(book, A.replace("'x'", "'y'").splitlines(), everything)
    assert [item.message for item in other.warnings if item.file == "mm/a.c"] == [
        "unused variable 'y'"
    ]


def test_an_object_that_is_gone_takes_its_warnings_along() -> None:
    book = updated(Ledger(), (A + B).splitlines(), everything)
    assert ("mm/a.c", 3, "f") not in said(updated(book, [], lambda target: target != "mm/a.o"))


def test_it_is_kept_beside_the_object_tree(tmp_path: Path) -> None:
    obj = tmp_path / "obj"
    obj.mkdir()
    assert ledger.read(obj) is None
    book = updated(Ledger(), A.splitlines(), everything)
    ledger.write(obj, book)
    assert ledger.read(obj) == book
    assert list(obj.iterdir()) == []
    (tmp_path / ledger.FILE).write_text("{")
    assert ledger.read(obj) is None
    ledger.forget(obj)
    ledger.forget(obj)


def test_identities() -> None:
    (x,) = (item for _, item in messages(A.splitlines()) if item is not None)
    assert identity(x) == "compiler:-Wunused-variable:mm/a.c:f:unused variable 'x'"
    assert identity(x.model_copy(update={"line": 99})) == identity(x)
    for change in ({"file": "mm/b.c"}, {"function": "g"}, {"flag": "-Wother"}, {"tool": "W=1"}):
        assert identity(x.model_copy(update=change)) != identity(x)
    frame = x.model_copy(update={"message": "the frame size of 1032 bytes is larger than 1024"})
    larger = x.model_copy(update={"message": "the frame size of 1048 bytes is larger than 1024"})
    assert identity(frame) == identity(larger)
    clone = x.model_copy(update={"message": "'f.isra.0' is odd"})
    assert identity(clone) == identity(x.model_copy(update={"message": "'f.isra.7' is odd"}))


def test_kernel_doc_of_7_x() -> None:
    line = "Warning: /src/mm/a.c:12 function parameter 'x' not described in 'f'"
    (found,) = (item for _, item in messages([line]) if item is not None)
    assert (found.severity, found.file, found.line) == ("warning", "mm/a.c", 12)


@given(st.lists(st.text()))
def test_any_log_is_read(lines: list[str]) -> None:
    book = updated(Ledger(), lines, everything)
    assert all(item.severity == "warning" for item in book.warnings)
    assert all(step_of(line) is None or line.startswith("  ") for line in lines)
