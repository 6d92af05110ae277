# SPDX-License-Identifier: GPL-2.0-or-later
"""A patch that does not apply is told with its hunk and the tree's lines."""

from __future__ import annotations

from collections.abc import Mapping

from hypothesis import given
from hypothesis import strategies as st

from kverdict.conflict import Misfit, misfits

HEAD = "diff --git a/f b/f\n--- a/f\n+++ b/f\n"
NUMBERS = [f"line {n}" for n in range(1, 21)]


def explain(diff: str, files: Mapping[str, list[str]]) -> tuple[Misfit, ...]:
    content = {name: "".join(f"{line}\n" for line in lines) for name, lines in files.items()}
    return misfits(diff, lambda path: content[path].encode() if path in content else None)


def hunk(lines: list[str], start: int, section: str = "") -> str:
    """A hunk that replaces the middle one of three lines."""
    before, middle, after = lines
    return f"@@ -{start},3 +{start},3 @@ {section}\n {before}\n-{middle}\n+new\n {after}\n"


def test_what_fits_is_no_misfit() -> None:
    assert explain(HEAD + hunk(NUMBERS[4:7], 5), {"f": NUMBERS}) == ()
    moved = ["above", *NUMBERS]
    assert explain(HEAD + hunk(NUMBERS[4:7], 5), {"f": moved}) == ()


def test_the_line_that_differs_is_shown() -> None:
    have = [*NUMBERS[:5], "another 6", *NUMBERS[6:]]
    (found,) = explain(HEAD + hunk(NUMBERS[4:7], 5, "int f(void)"), {"f": have})
    assert found == Misfit(
        path="f",
        hunk="@@ -5,3 +5,3 @@ int f(void)",
        line=6,
        expected=("line 6",),
        found=("another 6",),
        what="line 6 is not what the patch expects",
    )
    assert found.lines() == (
        "f, hunk @@ -5,3 +5,3 @@ int f(void): line 6 is not what the patch expects",
        "    the patch expects:   line 6",
        "    the tree has there:  another 6",
    )


def test_the_place_is_found_by_its_rare_lines() -> None:
    """The hunk says line 3; what it means has moved, and braces are everywhere."""
    have = ["}", "", "}", "", "}", "int rare(void)", "changed", "}", "", "}"]
    diff = HEAD + "@@ -3,3 +3,3 @@\n int rare(void)\n-\tbody\n+\tnew\n }\n"
    (found,) = explain(diff, {"f": have})
    assert (found.line, found.expected, found.found) == (7, ("\tbody",), ("changed",))


def test_nothing_alike() -> None:
    (found,) = explain(HEAD + hunk(["a", "b", "c"], 2), {"f": NUMBERS})
    assert found.what == "nothing like it is in the file"
    assert found.expected == ("a", "b", "c")
    assert found.found[0] == "line 2"
    (short,) = explain(HEAD + hunk(["a", "b", "c"], 90), {"f": NUMBERS})
    assert short.found == ()


def test_a_file_that_ends_too_early() -> None:
    (found,) = explain(HEAD + hunk(NUMBERS[4:7], 5), {"f": NUMBERS[:5]})
    assert (found.what, found.expected) == ("the file ends before it", ("line 6", "line 7"))


def test_a_file_that_is_not_there() -> None:
    (found,) = explain(HEAD + hunk(NUMBERS[:3], 1), {})
    assert found.one_line() == "f: the tree has no such file"


def test_a_new_file_that_is_there_already() -> None:
    diff = "diff --git a/n b/n\nnew file mode 100644\n--- /dev/null\n+++ b/n\n@@ -0,0 +1 @@\n+x\n"
    (found,) = explain(diff, {"n": ["x"]})
    assert found.one_line() == "n: the patch creates it, but the tree has it already"
    assert explain(diff, {}) == ()


def test_every_place_is_told() -> None:
    diff = HEAD + hunk(["x", "y", "z"], 1) + hunk(NUMBERS[9:12], 10)
    diff += HEAD.replace("/f", "/g") + hunk(NUMBERS[:3], 1)
    assert [item.path for item in explain(diff, {"f": NUMBERS})] == ["f", "g"]


def test_control_characters_are_shown_not_sent() -> None:
    (found,) = explain(HEAD + hunk(NUMBERS[:3], 1, "\x1b[31mred"), {})
    assert "\x1b" not in found.one_line()


@given(st.text(max_size=400))
def test_any_text_is_survived(text: str) -> None:
    assert isinstance(misfits(text, lambda path: b"a\nb\n"), tuple)


@given(
    st.lists(st.sampled_from(["a", "b", "}", ""]), max_size=8),
    st.lists(st.sampled_from(["a", "b", "}", ""]), min_size=1, max_size=4),
    st.integers(1, 12),
)
def test_a_hunk_fits_exactly_when_its_lines_are_there(
    have: list[str], old: list[str], start: int
) -> None:
    body = "".join(f"-{line}\n" for line in old)
    diff = f"{HEAD}@@ -{start},{len(old)} +{start - 1},0 @@\n{body}"
    fits = any(have[at : at + len(old)] == old for at in range(len(have)))
    assert (explain(diff, {"f": have}) == ()) == fits
