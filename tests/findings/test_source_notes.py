# SPDX-License-Identifier: GPL-2.0-or-later
"""What the kernel's checkers print, recorded from 6.12's, 7.2's and Debian 12's spatch 1.1.1."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from kverdict.findings.sources import (
    LONGEST,
    Said,
    Version,
    new_notes,
    read_checkpatch,
    read_kernel_doc,
    read_report,
    versions_of,
)
from kverdict.models import CheckNote

CHECKPATCH = """\
:0: WARNING:TYPO_SPELLING: 'teh' may be misspelled - perhaps 'the'?
:1: WARNING:COMMIT_LOG_LONG_LINE: Prefer a maximum 75 chars per line (possible unwrapped \
commit description?)
virt/kvm/x.c:5: WARNING:FILE_PATH_CHANGES: added, moved or deleted file(s), does MAINTAINERS \
need updating?
virt/kvm/x.c:1: ERROR:OPEN_BRACE: open brace '{' following function definitions go on the next line
virt/kvm/x.c:2: CHECK:SPACING: spaces preferred around that '+' (ctx:VxV)
virt/kvm/x.c:5: ERROR:TRAILING_WHITESPACE: trailing whitespace
"""
KERNEL_DOC_7_2 = """\
Warning: 0/k.c:7 function parameter 'b' not described in 'foo'
Warning: 0/k.c:7 Excess function parameter 'gone' description in 'foo'
Warning: 0/k.c:22 struct member 'r' not described in 'x'
Warning: 0/k.c:24 This comment starts with '/**', but isn't a kernel-doc comment. Refer to \
Documentation/doc-guide/kernel-doc.rst
 * nothing here
Warning: 0/k.c:7 function parameter 'b' not described in 'foo'
"""
KERNEL_DOC_6_12 = """\
0/k.c:8: warning: Function parameter or struct member 'b' not described in 'foo'
0/k.c:25: warning: This comment starts with '/**', but isn't a kernel-doc comment. Refer \
Documentation/doc-guide/kernel-doc.rst
 * nothing here
"""
SPATCH = """\
./0/a/x.c:9:12-15: ERROR: p is NULL but dereferenced.
./0/a/z.h:11:1-2: ERROR: reference preceded by free on line 10
"""
K = Version(0, "k.c")


def test_checkpatch() -> None:
    notes = read_checkpatch(CHECKPATCH, 2, ["virt/kvm/x.c"])
    assert {(note.tool, note.patch) for note in notes} == {("checkpatch", 2)}
    assert [(note.severity, note.file, note.line) for note in notes] == [
        ("warning", None, None),
        ("warning", None, None),
        ("warning", "virt/kvm/x.c", 5),
        ("error", "virt/kvm/x.c", 1),
        ("note", "virt/kvm/x.c", 2),
        ("error", "virt/kvm/x.c", 5),
    ]
    assert notes[-1].message == "TRAILING_WHITESPACE: trailing whitespace"


def test_a_file_that_the_patch_does_not_touch_is_not_named() -> None:
    (note,) = read_checkpatch("/etc/passwd:5: ERROR:CODE_INDENT: bad\n", 1, ["mm/a.c"])
    assert (note.file, note.line) == (None, None)


def test_kernel_doc_of_python() -> None:
    found = read_kernel_doc(KERNEL_DOC_7_2, [K])
    assert found.keys() == {K}
    assert {(said.line, said.severity) for said in found[K]} == {
        *((7, "warning"), (22, "warning"), (24, "warning"))
    }
    assert Said(7, "warning", "function parameter 'b' not described in 'foo'") in found[K]
    assert len(found[K]) == 4  # said twice, it counts once


def test_kernel_doc_of_perl() -> None:
    (said, _) = sorted(read_kernel_doc(KERNEL_DOC_6_12, [K])[K], key=lambda said: said.line)
    text = "Function parameter or struct member 'b' not described in 'foo'"
    assert said == Said(8, "warning", text)


def test_spatch() -> None:
    source, header = Version(0, "a/x.c"), Version(0, "a/z.h")
    found = read_report(SPATCH, [source, header], "null/deref_null.cocci")
    text = "ERROR: p is NULL but dereferenced. (null/deref_null.cocci)"
    assert found[source] == {Said(9, "error", text)}
    (said,) = found[header]
    assert said.identity == "ERROR: reference preceded by free on line (null/deref_null.cocci)"


@given(st.text(), st.sampled_from(["{}", "k.c:7: {}", "Warning: 0/k.c:7 {}", "0/k.c:1:2-3: {}"]))
def test_whatever_is_printed_is_shown_on_one_short_line(text: str, form: str) -> None:
    output = form.format(text)
    notes = read_checkpatch(f"k.c:7: ERROR:X: {text}", 1, ["k.c"])
    said = [*read_kernel_doc(output, [K]).get(K, ()), *read_report(output, [K], "s").get(K, ())]
    for shown in [*(note.message for note in notes), *(one.text for one in said)]:
        assert "\n" not in shown
        assert "\x1b" not in shown
        assert len(shown) <= LONGEST + len(" (s)")


# --- what is new ----------------------------------------------------------------------------------


def note(patch: int, file: str, line: int, message: str) -> CheckNote:
    return CheckNote(
        tool="t", patch=patch, severity="warning", file=file, line=line, message=message
    )


def says(line: int, *texts: str) -> set[Said]:
    return {Said(line, "warning", text) for text in texts}


def test_what_the_base_says_is_not_new_wherever_it_moved() -> None:
    touched = [["a.c"], ["a.c"]]
    versions = versions_of(touched)
    spoken = {
        Version(0, "a.c"): says(3, "old, see line 2"),
        Version(1, "a.c"): says(9, "old, see line 8") | says(4, "new"),
        Version(2, "a.c"): says(19, "old, see line 18") | says(14, "new") | says(1, "newer"),
    }
    assert new_notes("t", touched, versions, spoken, [{}, {}]) == (
        note(1, "a.c", 4, "new"),
        note(2, "a.c", 1, "newer"),
    )


def test_a_second_one_like_the_first_is_new_and_stands_on_the_patch_s_lines() -> None:
    touched = [["a.c"], ["a.c"]]
    output = (
        "0/a.c:10:5-9: WARNING opportunity for min()\n"
        "1/a.c:12:5-9: WARNING opportunity for min()\n"
        "1/a.c:200:5-9: WARNING opportunity for min()\n"
        "2/a.c:12:5-9: WARNING opportunity for min()\n"
        "2/a.c:200:5-9: WARNING opportunity for min()\n"
    )
    versions = versions_of(touched)
    spoken = read_report(output, versions, "misc/minmax.cocci")
    text = "WARNING opportunity for min() (misc/minmax.cocci)"
    last = new_notes("t", touched, versions, spoken, [{}, {}])
    assert last == (note(1, "a.c", 200, text),)
    lines = [{"a.c": (range(12, 14),)}, {"a.c": (range(300, 301),)}]
    assert new_notes("t", touched, versions, spoken, lines) == (note(1, "a.c", 12, text),)


def test_a_patch_that_does_not_touch_the_file_lies_between() -> None:
    touched = [["a.c"], ["b.c"], ["a.c"]]
    spoken = {Version(1, "a.c"): says(4, "new"), Version(3, "a.c"): says(4, "new")}
    assert new_notes("t", touched, versions_of(touched), spoken, [{}] * 3) == (
        note(1, "a.c", 4, "new"),
    )


def test_a_file_under_a_new_name_is_the_same_file() -> None:
    touched = [["a.c"], ["a.c", "b.c"]]
    there = [Version(0, "a.c"), Version(1, "a.c"), Version(2, "b.c")]
    spoken = {
        Version(0, "a.c"): says(3, "old"),
        Version(1, "a.c"): says(3, "old", "new"),
        Version(2, "b.c"): says(3, "old", "new", "newer"),
    }
    assert new_notes("t", touched, there, spoken, [{}, {}]) == (
        note(1, "a.c", 3, "new"),
        note(2, "b.c", 3, "newer"),
    )


def test_two_files_that_become_one() -> None:
    touched = [["a.c", "b.c", "c.c"]]
    there = [Version(0, "a.c"), Version(0, "b.c"), Version(1, "c.c")]
    spoken = {
        Version(0, "a.c"): says(3, "same"),
        Version(0, "b.c"): says(3, "same"),
        Version(1, "c.c"): says(3, "same") | says(9, "same"),
    }
    assert new_notes("t", touched, there, spoken, [{"c.c": (range(1, 20),)}]) == ()


def test_all_of_a_new_file_is_new() -> None:
    spoken = {Version(1, "b.c"): says(3, "one", "two")}
    there = [Version(0, "a.c"), Version(1, "a.c"), Version(1, "b.c")]
    found = new_notes("t", [["a.c", "b.c"]], there, spoken, [{}])
    assert found == (note(1, "b.c", 3, "one"), note(1, "b.c", 3, "two"))
