# SPDX-License-Identifier: GPL-2.0-or-later
"""kverdict.hunks: a line of the patched file is found in the mail's diff, or nowhere."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kverdict.hunks import CONTEXT, CUT, quote

BODY = """Change two files.

--- a/not a diff, there is no second line
---
 a.c | 4 ++--

diff --git a/a.c b/a.c
index 1111111..2222222 100644
--- a/a.c
+++ b/a.c
@@ -1,4 +1,5 @@
 one
-two
+TWO
+two and a half
 three
 four
@@ -20,2 +21,2 @@ static void f(void)
-twenty
--- a dash
+twentyone
++++ b/a.c
diff --git a/new.c b/new.c
new file mode 100644
index 0000000..3333333
--- /dev/null
+++ b/new.c
@@ -0,0 +1 @@
+only
--\x20
2.39.5
"""


@pytest.mark.parametrize(
    ("spot", "lines"),
    [
        (("a.c", 1), ("diff --git a/a.c b/a.c", "@@ -1,4 +1,5 @@", " one")),
        (
            ("a.c", 3),
            (
                "diff --git a/a.c b/a.c",
                "@@ -1,4 +1,5 @@",
                " one",
                "-two",
                "+TWO",
                "+two and a half",
            ),
        ),
        (
            ("a.c", 22),
            (
                "diff --git a/a.c b/a.c",
                "@@ -20,2 +21,2 @@ static void f(void)",
                "-twenty",
                "--- a dash",
                "+twentyone",
                "++++ b/a.c",
            ),
        ),
        (("new.c", 1), ("diff --git a/new.c b/new.c", "@@ -0,0 +1 @@", "+only")),
    ],
)
def test_a_line_is_quoted_with_its_heads(spot: tuple[str, int], lines: tuple[str, ...]) -> None:
    (found,) = quote(BODY, [spot])
    assert found.spot == spot
    assert found.lines == lines


@pytest.mark.parametrize("spot", [("a.c", 6), ("a.c", 20), ("a.c", 23), ("b.c", 1), ("new.c", 2)])
def test_a_line_that_no_hunk_shows_is_not_quoted(spot: tuple[str, int]) -> None:
    assert quote(BODY, [spot]) == ()


def test_nothing_is_quoted_twice_and_the_order_is_the_mail_s() -> None:
    found = quote(BODY, [("new.c", 1), ("a.c", 3), ("a.c", 2), ("a.c", 2)])
    assert [one.spot for one in found] == [("a.c", 2), ("a.c", 3), ("new.c", 1)]
    assert found[1].lines == ("+two and a half",)


def test_a_long_hunk_is_cut_above_the_line() -> None:
    lines = "".join(f"+line {number}\n" for number in range(1, 101))
    (found,) = quote(f"--- /dev/null\n+++ b/x.c\n@@ -0,0 +1,100 @@\n{lines}", [("x.c", 60)])
    assert found.lines[:3] == ("--- /dev/null", "@@ -0,0 +1,100 @@", CUT)
    assert found.lines[3:] == tuple(f"+line {number}" for number in range(60 - CONTEXT, 61))


def test_line_ends_of_windows_and_long_lines() -> None:
    body = f"--- a/x\r\n+++ b/x\r\n@@ -0,0 +1 @@\r\n+{'x' * 5000}\r\n"
    (found,) = quote(body, [("x", 1)])
    assert all(len(line) <= 200 and "\r" not in line for line in found.lines)


LINES = st.lists(st.sampled_from(["a", "b", "", "-- x", "++ y", " z", "@@ -1 +1 @@"]), max_size=30)


@given(old=LINES, new=LINES)
def test_every_added_line_of_git_s_own_diffs_is_found(
    tmp_path_factory: pytest.TempPathFactory, old: list[str], new: list[str]
) -> None:
    folder: Path = tmp_path_factory.mktemp("diff")
    for name, lines in (("old", old), ("new", new)):
        (folder / name).write_text("".join(f"{line}\n" for line in lines))
    done = subprocess.run(
        ["git", "diff", "--no-index", "--src-prefix=a/", "--dst-prefix=b/", "old", "new"],
        cwd=folder,
        capture_output=True,
        text=True,
    )
    added = 0
    for number, line in enumerate(new, start=1):
        for found in quote(done.stdout, [("new", number)]):
            assert found.lines[-1][1:] == line.rstrip()
            added += found.lines[-1].startswith("+")
    lines = done.stdout.split("\n")
    assert added == max(0, sum(line.startswith("+") for line in lines) - 1)


@given(st.text(alphabet="+-@ ,0123456789abdifgt/\n", max_size=400))
def test_any_text_is_read_to_its_end(body: str) -> None:
    for found in quote(body, [("b", 1), ("d", 2)]):
        assert found.lines
