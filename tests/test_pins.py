# SPDX-License-Identifier: GPL-2.0-or-later
"""Whose a warning is, by identity."""

from __future__ import annotations

from collections.abc import Sequence

from kverdict.findings.alike import Lines
from kverdict.findings.warnings import messages
from kverdict.git import added_lines
from kverdict.models import Absent, Diagnostic, Evaluation, Lint, PinnedWarning
from kverdict.pins import pin, pinned
from tests import factories as make


def said(message: str, line: int = 5, file: str = "mm/a.c") -> Diagnostic:
    return Diagnostic(
        severity="warning", file=file, line=line, message=message, flag="-Wx", function="f"
    )


Told = list[tuple[str, int, bool, int | None]]


def told(found: Sequence[PinnedWarning]) -> Told:
    return [(item.diagnostic.message, item.patch, item.touched, item.gone_with) for item in found]


def pins(
    base: Sequence[Diagnostic] | None,
    patches: Sequence[Sequence[Diagnostic] | None],
    touched: Sequence[Lines] = (),
) -> Told:
    return told(pin(base, patches, touched or [{} for _ in patches]))


def test_one_warning_swapped_for_another_is_seen() -> None:
    assert pins([said("old")], [[said("new")]]) == [("new", 1, False, None)]


def test_a_warning_that_moved_is_the_same() -> None:
    assert pins([said("old", 5)], [[said("old", 50)]]) == []


def test_an_old_warning_of_an_inlined_function_is_no_patch_s() -> None:
    inlined = """\
In function 'helper',
    inlined from 'f' at x.c:15:2:
x.c:7:9: warning: 'memcpy' is out of the bounds [-Warray-bounds]
x.c: In function 'f':
x.c:6:14: note: 'b' declared here
"""
    added = "x.c: In function 'g':\nx.c:11:27: warning: 'c' is odd [-Wodd]\n"
    before, after = (
        [item for _, item in messages(log.splitlines()) if item is not None]
        for log in (inlined, added + inlined)
    )
    found = pin(before, [after], [{"x.c": (range(11, 12),)}])
    assert [item.diagnostic.line for item in found] == [11]


def test_a_second_one_like_the_first_is_new_and_stands_on_the_patch_s_lines() -> None:
    after = [said("same", 5), said("same", 9)]
    found = pin([said("same", 5)], [after], [{"mm/a.c": (range(9, 10),)}])
    assert [(item.diagnostic.line, item.touched) for item in found] == [(9, True)]
    found = pin([said("same", 5)], [after], [{"mm/a.c": (range(5, 6),)}])
    assert [(item.diagnostic.line, item.touched) for item in found] == [(5, True)]


def test_what_a_later_patch_removes_is_gone_with_it() -> None:
    assert pins([], [[said("x")], [said("x")], []]) == [("x", 1, False, 3)]


def test_what_goes_and_comes_back_is_told_twice_and_not_called_gone() -> None:
    found = pins([], [[said("x")], [], [said("x")]])
    assert found == [("x", 1, False, None), ("x", 3, False, None)]


def test_after_a_patch_that_does_not_build_its_lines_tell_whose_it_is() -> None:
    lines: list[Lines] = [{}, {"mm/a.c": (range(5, 6),)}, {}]
    assert pins([], [[], None, [said("x")]], touched=lines) == [("x", 2, True, None)]
    assert pins([], [[], None, [said("x")]]) == [("x", 3, False, None)]


def test_when_nothing_is_known_of_the_base_only_what_came_later_is_new() -> None:
    assert pins(None, [[said("old")], [said("old"), said("new")]]) == [("new", 2, False, None)]
    assert pins(None, [None, [said("old")]]) == []
    assert pins(None, [None, None]) == []


# --- each tool with itself ------------------------------------------------------------------------

GONE = Absent(tool="W=1", why="make failed")


def by(tool: str, message: str, file: str = "mm/a.c") -> Diagnostic:
    return said(message, file=file).model_copy(update={"tool": tool})


def commit(
    *messages: Diagnostic, missing: tuple[Absent, ...] = (), files: tuple[str, ...] = ("mm/a.c",)
) -> Evaluation:
    """A commit that builds, with what was said of it."""
    absent = {one.tool for one in missing if one.file is None}
    return make.evaluation(
        build=make.build(warnings=tuple(one for one in messages if one.tool == "compiler")),
        lint=Lint(
            files=files,
            ran=tuple(tool for tool in ("W=1", "sparse") if tool not in absent),
            missing=missing,
            messages=tuple(one for one in messages if one.tool != "compiler"),
        ),
    )


def tell(*commits: Evaluation) -> Told:
    """What the commits after the first, the base, brought."""
    return told(pinned(commits[0], commits[1:], [{} for _ in commits[1:]]))


OLD, ROUGH = by("W=1", "old"), by("sparse", "rough")


def test_a_checker_that_was_absent_on_the_base_makes_nothing_new() -> None:
    base = commit(missing=(GONE,))
    assert tell(base, commit(OLD)) == []
    assert tell(base, commit(OLD), commit(OLD, by("W=1", "new"))) == [("new", 2, False, None)]


def test_a_checker_that_was_absent_in_between_is_compared_with_before() -> None:
    lost = commit(missing=(GONE,))
    assert tell(commit(OLD), lost, commit(OLD)) == []
    assert tell(commit(OLD), lost, commit(OLD, by("W=1", "new"))) == [("new", 2, False, None)]
    assert tell(commit(), commit(OLD), lost) == [("old", 1, False, None)], "nobody says it is gone"


def test_each_tool_for_itself() -> None:
    base = commit(ROUGH, missing=(GONE,))
    after = commit(OLD, ROUGH, by("sparse", "rougher"), said("plain"))
    assert tell(base, after) == [("plain", 1, False, None), ("rougher", 1, False, None)]


def test_a_file_that_could_not_be_read_is_the_only_one_that_is_not_compared() -> None:
    files = ("mm/a.c", "mm/b.c")
    base = commit(missing=(Absent(tool="W=1", why="x", file="mm/a.c"),), files=files)
    after = commit(OLD, by("W=1", "new", "mm/b.c"), by("W=1", "other", "mm/h.h"), files=files)
    assert tell(base, after) == [("new", 1, False, None)], "mm/a.c may have brought mm/h.h in"


def test_in_a_file_that_the_base_does_not_have_everything_is_new() -> None:
    for base in (
        commit(files=()),
        commit(files=("mm/b.c",)),
        commit(files=("mm/b.c",), missing=(GONE,)),
        commit(files=("mm/b.c",), missing=(Absent(tool="W=1", why="x", file="mm/b.c"),)),
    ):
        assert tell(base, commit(OLD, files=("mm/a.c", "mm/b.c"))) == [("old", 1, False, None)]


def test_a_commit_that_does_not_build_has_no_say() -> None:
    broken = make.evaluation(build=make.failed_build(), guest=None)
    assert tell(commit(OLD), broken, commit(OLD)) == []
    assert tell(broken, commit(OLD), commit(OLD, said("plain"))) == [("plain", 2, False, None)]


def test_the_added_lines_of_a_diff() -> None:
    diff = (
        "diff --git a/x b/x\n--- a/x\n+++ b/x\n@@ -1,2 +1 @@\n-+++ b/fooled\n-b\n+c\n"
        "@@ -9,0 +8,3 @@\n++++ b/fooled\n+--- a\n+e\n"
        "diff --git a/y b/y\n--- a/y\n+++ /dev/null\n@@ -1 +0,0 @@\n-z\n"
    )
    assert added_lines(diff) == {"x": (range(1, 2), range(8, 11))}
