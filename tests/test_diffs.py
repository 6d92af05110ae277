# SPDX-License-Identifier: GPL-2.0-or-later
"""What a diff announces is what git does with it; what git would guess at is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kverdict.diffs import FileDiff, Kind, Unreadable, read_diffs
from tests.repos import Kernel, git, kernel

EDIT = "@@ -1 +1 @@\n-a\n+b\n"
PLAIN = f"diff --git a/x.c b/x.c\nindex 1234567..89abcde 100644\n--- a/x.c\n+++ b/x.c\n{EDIT}"


def read(text: str) -> list[tuple[str, str | None, str | None, str | None, str | None]]:
    return [
        (file.kind.value, file.old_path, file.new_path, file.old_mode, file.new_mode)
        for file in read_diffs(text)
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (PLAIN, ("modified", "x.c", "x.c", "100644", "100644")),
        (
            "diff --git a/x b/x\nold mode 100644\nnew mode 100755\n",
            ("modified", "x", "x", "100644", "100755"),
        ),
        (
            "diff --git a/empty b/empty\nnew file mode 100644\nindex 0000000..e69de29\n",
            ("added", None, "empty", None, "100644"),
        ),
        (
            "diff --git a/x b/x\ndeleted file mode 100755\nindex 123..456\n"
            "--- a/x\n+++ /dev/null\n@@ -1 +0,0 @@\n-a\n".replace("123..456", "1234567..0000000"),
            ("deleted", "x", None, "100755", None),
        ),
        (
            "diff --git a/old dir/x b/new dir/x\nsimilarity index 100%\n"
            "rename from old dir/x\nrename to new dir/x\n",
            ("renamed", "old dir/x", "new dir/x", None, None),
        ),
        (
            "diff --git a/x b/y\nsimilarity index 90%\ncopy from x\ncopy to y\n"
            f"index 1234567..89abcde 100644\n--- a/x\n+++ b/y\n{EDIT}",
            ("copied", "x", "y", "100644", "100644"),
        ),
        (
            f"diff --git a/a b/a b b/a b/a b\n--- a/a b/a b\t\n+++ b/a b/a b\t\n{EDIT}",
            ("modified", "a b/a b", "a b/a b", None, None),
        ),
        (
            'diff --git "a/t\\303\\244st\\tx" "b/t\\303\\244st\\tx"\n'
            "old mode 100644\nnew mode 100755\n",
            ("modified", "täst\tx", "täst\tx", "100644", "100755"),
        ),
        (
            'diff --git a/plain "b/qu\\"oted"\nsimilarity index 100%\n'
            'rename from plain\nrename to "qu\\"oted"\n',
            ("renamed", "plain", 'qu"oted', None, None),
        ),
        (
            f"Index: x\n===\n--- a/x\n+++ b/x\t2025-01-01\n{EDIT}",
            ("modified", "x", "x", None, None),
        ),
        (f"--- a/x~fix\n+++ a/x\n{EDIT}", ("modified", "x", "x", None, None)),
        ("--- /dev/null\n+++ b/x\n@@ -0,0 +1 @@\n+a\n", ("added", None, "x", None, "100644")),
        ("--- a/x\n+++ /dev/null\n@@ -1 +0,0 @@\n-a\n", ("deleted", "x", None, None, None)),
    ],
)
def test_a_diff_says_what_it_does(text: str, expected: tuple[str | None, ...]) -> None:
    assert read(text) == [expected]


def test_words_around_a_diff_are_words() -> None:
    text = (
        "mm: a change\n\n    diff --git a/indented b/indented\n    --- a/indented\n"
        "Binary files are fine.\n-- \n--- not a diff\n---\n"
        f" x.c | 2 +-\n\n{PLAIN}-- \n2.39.5\n\n> diff --git a/quoted b/quoted\n"
    )
    assert [file.path for file in read_diffs(text)] == ["x.c"]


def test_lines_within_a_hunk_are_content_whatever_they_look_like() -> None:
    content = f"diff --git a/../up b/../up\n--- a/.git/config\n+++ b/.git/config\n{EDIT}-- \n"
    lines = content.splitlines()
    added = "".join(f"+{line}\n" for line in lines)
    text = (
        "diff --git a/fix.patch b/fix.patch\nnew file mode 100644\n--- /dev/null\n+++ b/fix.patch\n"
        f"@@ -0,0 +1,{len(lines)} @@\n{added}\\ No newline at end of file\n{PLAIN}"
    )
    first, second = read_diffs(text)
    assert (first.path, second.path) == ("fix.patch", "x.c")
    assert "".join(first.added) == content.removesuffix("\n")


def test_removed_lines_that_look_like_a_header() -> None:
    """A removed line ``-- a/x`` is written as ``--- a/x``."""
    text = (
        "diff --git a/x b/x\n--- a/x\n+++ b/x\n@@ -1,3 +1,3 @@\n"
        f"--- a/y\n+++ b/y\n \n@@ -9 +9 @@\n-a\n+b\n{PLAIN}"
    ).replace("-1,3 +1,3", "-1,2 +1,2")
    assert [file.path for file in read_diffs(text)] == ["x", "x.c"]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (PLAIN.replace("+++ b/x.c", "+++ b/y.c"), "names of its other lines"),
        (PLAIN.replace("diff --git a/x.c b/x.c", "diff --git a/x.c b/y.c"), "names two files"),
        (PLAIN.replace("diff --git a/x.c", "diff --git c/x.c"), "form a/NAME b/NAME"),
        (
            PLAIN.replace("diff --git a/x.c b/x.c", "diff --git a/x.cb/x.c"),
            "names of its other lines",
        ),
        (PLAIN.replace("--- a/x.c", "--- /dev/null"), "names of its other lines"),
        (PLAIN.replace("index", "new file mode 100644\nindex"), "names of its other lines"),
        (PLAIN.replace("--- a/x.c\n+++ b/x.c\n", ""), "without --- and"),
        (PLAIN.replace("+++ b/x.c\n", ""), "without a [+][+][+] line"),
        (PLAIN.replace(EDIT, "words\n"), "without a [+][+][+] line and a hunk"),
        (PLAIN.replace("@@ -1 +1 @@", "@@ -1,3 +1,3 @@"), "ends too early"),
        (PLAIN.replace("@@ -1 +1 @@", "@@ -1 +1,0 @@"), "more lines than it says"),
        (PLAIN.replace("@@ -1 +1 @@", "@@ -0,0 +1 @@").replace("-a\n+b", "+b\n-a"), "more lines"),
        (PLAIN.replace("@@ -1 +1 @@", "@@ -1 +1"), "no hunk header"),
        (PLAIN.replace("index 1234567..89abcde 100644", "index 1..2"), "index line"),
        (PLAIN.replace("100644", "100644\nold mode 100755\nnew mode 100644"), "different modes"),
        (PLAIN.replace("100644", "100644\nold mode 100644"), "only one of the two modes"),
        (PLAIN.replace("100644", "100644\nindex 1234567..89abcde"), "a second time"),
        ("diff --git a/x b/x\n", "changes nothing"),
        ("diff --git a/x b/x\nindex 1234567..89abcde\n", "changes nothing"),
        ("diff --git a/x b/x\nnew mode 10644x\nold mode 1\n", "which is none"),
        ("diff --git a/x b/x\nnew file mode 100644\ndeleted file mode 100644\n", "both added and"),
        ("diff --git a/x b/y\nrename from x\n", "only one of its two names"),
        ("diff --git a/x b/y\nrename from z\nrename to y\n", "names of its other lines"),
        ("diff --git a/x b/y\nrename from x\nrename to y\ncopy from x\ncopy to y\n", "both"),
        ("diff --git a/x b/y\nrename old x\nrename new y\n", "before 1.0"),
        ('diff --git "a/x b/x\nold mode 1\nnew mode 2\n', "without an end"),
        ('diff --git "a/\\q" "b/\\q"\nold mode 1\nnew mode 2\n', "escape"),
        ("diff --git a/x b/x\nnew file mode 100644\nGIT binary patch\nliteral 1\n", "binary"),
        ("diff --git a/x b/x\nBinary files a/x and b/x differ\n", "binary"),
        (f"Words.\n{EDIT}", "belongs to no file"),
        (f"--- a/x\n+++ b/y\n{EDIT}", "another file"),
        (f"--- x\n+++ x\n{EDIT}", "without diff --git"),
        (f"--- ../x\n+++ ../x\n{EDIT}", "leads out"),
        (f"--- /etc/x\n+++ /etc/x\n{EDIT}", "without diff --git"),
        (f"--- a/x y\n+++ b/x y\n{EDIT}", "without diff --git"),
        (f"--- /dev/null\n+++ /dev/null\n{EDIT}", "another file"),
    ],
)
def test_what_can_be_read_in_two_ways_is_refused(text: str, why: str) -> None:
    with pytest.raises(Unreadable, match=why):
        read(text)


# --- git's own diffs ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> Kernel:
    """A commit that does everything a diff has words for."""
    made = kernel(tmp_path_factory.mktemp("history") / "linux")
    long = "".join(f"line {n}\n" for n in range(30))
    names = ("move me", "copy.c", "mode.sh", "gone.c", "swap a", "swap b", "type", "täst", 'q"uote')
    made.commit("before", {name: f"{name}\n{long}" for name in names})
    (made.path / "moved").mkdir()
    git(made.path, "mv", "move me", "moved/here and there")
    (made.path / "mode.sh").chmod(0o755)
    (made.path / "gone.c").unlink()
    (made.path / "type").unlink()
    (made.path / "type").symlink_to("mm/util.c")
    (made.path / "swap a").rename(made.path / "swap")
    (made.path / "swap b").rename(made.path / "swap a")
    (made.path / "swap").rename(made.path / "swap b")
    made.commit(
        "after",
        {
            "copied.c": f"copy.c\n{long}more\n",
            "empty": "",
            "no newline": "no newline",
            "tab\tname": "tab\n",
            "täst": "other\n",
            'q"uote': f'q"uote\n{long}more',
            "0001.patch": PLAIN,
            "mm/util.c": "rewritten\n",
        },
    )
    return made


OPTIONS = {
    "as it is": (),
    "full ids": ("--full-index",),
    "copies": ("-C", "--find-copies-harder"),
    "no renames": ("--no-renames",),
    "broken pairs": ("-B", "-M"),
    "no context": ("-U0",),
    "much context": ("-U100",),
    "minimal": ("--patience", "--ignore-space-at-eol"),
}


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS.keys())
@pytest.mark.parametrize("quote", ["true", "false"])
def test_what_git_writes_is_read_as_git_reads_it(
    history: Kernel, options: tuple[str, ...], quote: str
) -> None:
    """git's --raw of the same commit says what each diff does."""
    config = ("-c", f"core.quotePath={quote}")
    text = git(history.path, *config, "show", "--format=%B%n---", "--stat", "-p", *options) + "\n"
    pairing = [option for option in options if not option.startswith("-U")]  # -U shows the diff
    raw = git(history.path, "show", "--format=", "--raw", "-z", "--abbrev=40", *pairing)
    assert sorted(map(shown, read_diffs(text))) == sorted(rows(raw))


def rows(raw: str) -> list[tuple[str, ...]]:
    """(status, old mode, new mode, names...) of git's --raw -z."""
    fields = iter(raw.rstrip("\0").split("\0"))
    found = []
    for head in fields:
        old, new, _, _, status = head.removeprefix(":").split(" ")
        names = [next(fields) for _ in range(2 if status[0] in "RC" else 1)]
        if status[0] == "T":  # written as one file deleted and another one added
            found += [("D", old, "000000", *names), ("A", "000000", new, *names)]
        elif status == "R100" or status == "C100":
            found.append((status[0], "", "", *names))
        else:
            found.append((status[0], old, new, *names))
    return found


def shown(file: FileDiff) -> tuple[str, ...]:
    letters = {
        Kind.ADDED: "A",
        Kind.DELETED: "D",
        Kind.MODIFIED: "M",
        Kind.RENAMED: "R",
        Kind.COPIED: "C",
    }
    old = file.old_mode or ("000000" if file.kind is Kind.ADDED else "")
    new = file.new_mode or ("000000" if file.kind is Kind.DELETED else "")
    names = [name for name in (file.old_path, file.new_path) if name is not None]
    return (letters[file.kind], old, new, *dict.fromkeys(names))


LINES = st.sampled_from(
    [*PLAIN.splitlines(), *EDIT.splitlines(), "", " a", "-- ", "rename from x.c", "\\ No newline"]
)


@given(st.lists(LINES | st.text(), max_size=30))
def test_any_text_is_read_or_refused(lines: list[str]) -> None:
    try:
        found = list(read_diffs("\n".join(lines)))
    except Unreadable as error:
        assert error.why
    else:
        assert all(file.path for file in found)


def test_a_huge_header_takes_no_time() -> None:
    """Twice the same name could be cut in as many ways as it has blanks."""
    name = " " * 2_000_000
    with pytest.raises(Unreadable):
        read(f"diff --git a/{name} b/{name}x\nold mode 100644\nnew mode 100755\n" + '"' * 1_000_000)
