# SPDX-License-Identifier: GPL-2.0-or-later
"""Whose a warning is, by identity."""

from __future__ import annotations

from kverdict.git import added_lines
from kverdict.models import Diagnostic
from kverdict.pins import pin


def said(message: str, line: int = 5, file: str = "mm/a.c") -> Diagnostic:
    return Diagnostic(
        severity="warning", file=file, line=line, message=message, flag="-Wx", function="f"
    )


def pinned(*args: object, touched: object = None) -> list[tuple[str, int, bool, int | None]]:
    base, patches = args
    lines = touched or [{} for _ in patches]  # type: ignore[attr-defined]
    found = pin(base, patches, lines)  # type: ignore[arg-type]
    return [(item.diagnostic.message, item.patch, item.touched, item.gone_with) for item in found]


def test_one_warning_swapped_for_another_is_seen() -> None:
    assert pinned([said("old")], [[said("new")]]) == [("new", 1, False, None)]


def test_a_warning_that_moved_is_the_same() -> None:
    assert pinned([said("old", 5)], [[said("old", 50)]]) == []


def test_a_second_one_like_the_first_is_new_and_stands_on_the_patch_s_lines() -> None:
    after = [said("same", 5), said("same", 9)]
    found = pin([said("same", 5)], [after], [{"mm/a.c": (range(9, 10),)}])
    assert [(item.diagnostic.line, item.touched) for item in found] == [(9, True)]
    found = pin([said("same", 5)], [after], [{"mm/a.c": (range(5, 6),)}])
    assert [(item.diagnostic.line, item.touched) for item in found] == [(5, True)]


def test_what_a_later_patch_removes_is_gone_with_it() -> None:
    assert pinned([], [[said("x")], [said("x")], []]) == [("x", 1, False, 3)]


def test_what_goes_and_comes_back_is_told_twice_and_not_called_gone() -> None:
    found = pinned([], [[said("x")], [], [said("x")]])
    assert found == [("x", 1, False, None), ("x", 3, False, None)]


def test_after_a_patch_that_does_not_build_its_lines_tell_whose_it_is() -> None:
    lines = [{}, {"mm/a.c": (range(5, 6),)}, {}]
    assert pinned([], [[], None, [said("x")]], touched=lines) == [("x", 2, True, None)]
    assert pinned([], [[], None, [said("x")]]) == [("x", 3, False, None)]


def test_the_added_lines_of_a_diff() -> None:
    diff = (
        "diff --git a/x b/x\n--- a/x\n+++ b/x\n@@ -1,2 +1 @@\n-+++ b/fooled\n-b\n+c\n"
        "@@ -9,0 +8,3 @@\n++++ b/fooled\n+--- a\n+e\n"
        "diff --git a/y b/y\n--- a/y\n+++ /dev/null\n@@ -1 +0,0 @@\n-z\n"
    )
    assert added_lines(diff) == {"x": (range(1, 2), range(8, 11))}
