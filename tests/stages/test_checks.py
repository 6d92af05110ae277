# SPDX-License-Identifier: GPL-2.0-or-later
"""The checks of patches' text, in the real sandbox.

The scripts of this tree only stand in for the kernel's, which tests/e2e/test_checks_real.py runs.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import pytest

from kverdict.models import Absent, Applied, AppliedPatch, CheckNote, Checks, SourceKind
from kverdict.progress import Silent
from kverdict.sandbox import Isolation
from kverdict.stages import checks as stage
from kverdict.stages import fetch
from kverdict.stages.apply import apply_series
from kverdict.stages.checks import check
from kverdict.trees import open_tree
from tests import factories
from tests.repos import ALICE, KERNEL, Kernel, git, kernel, mbox

pytestmark = pytest.mark.host

# Complains about each added line with BAD in it, as checkpatch.pl --terse --showfile would.
CHECKPATCH = r"""
my ($root) = map { /^--root=(.+)/ } @ARGV;
die "no tree" unless -d "$root/drivers" and -f "$root/MAINTAINERS";
while (<STDIN>) {
    $file = $1 if m{^\+\+\+ b/(\S+)};
    $line = $1 - 1 if /^@@ -\S+ \+(\d+)/;
    $line++ if /^[+ ]/;
    print "$file:$line: ERROR:BAD_LINE: $1\n" and $found = 1 if /^\+.*BAD (.*)/;
}
exit $found;
"""
# Complains about each line with UNDOCUMENTED in it, as kernel-doc -none would.
KERNEL_DOC = r"""#!/usr/bin/perl
shift @ARGV eq "-none" or die;
while (<>) {
    print STDERR "$ARGV:$.: warning: '$1' not described\n" if /UNDOCUMENTED (\w+)/;
    close ARGV if eof;
}
"""
SEMICOLON = """\
/// Remove unneeded semicolon.
// Options: --no-includes --include-headers

virtual report

@r@
position p;
@@
kfree(...);@p

@script:python depends on report@
p << r.p;
@@
coccilib.report.print_report(p[0], "WARNING: kfree is not wanted here")
"""
SCRIPTS = {
    "scripts/checkpatch.pl": CHECKPATCH,
    "scripts/kernel-doc": KERNEL_DOC,
    "scripts/coccinelle/free/kfree.cocci": SEMICOLON,
    "MAINTAINERS": "all of it\n",
}
NOT_ASKED = Absent(tool="coccicheck", why="not asked for: --coccicheck")
SIGNED = f"\n\nSigned-off-by: {ALICE}\n"


def linux_with(path: Path, scripts: Mapping[str, str]) -> Kernel:
    made = kernel(path)
    made.write({**KERNEL, **scripts})
    for name in scripts:
        (made.path / name).chmod(0o755)
    made.commit("scripts", {})
    return made


@pytest.fixture
def linux(tmp_path: Path) -> Kernel:
    return linux_with(tmp_path / "linux", SCRIPTS)


def checked(
    linux: Kernel,
    base: str,
    *,
    coccicheck: bool = False,
    isolation: Isolation = Isolation.BUBBLEWRAP,
) -> Checks:
    """All commits since ``base``, as a series that Alice mailed."""
    home = linux.path.parent
    tree = open_tree(str(linux.path), cache=home / "cache", progress=Silent())
    series = factories.series(patches=linux.patches(base, tree.head))
    place = mbox(home, linux.mails(base, tree.head))
    try:
        return check(
            series,
            applied(linux, base),
            place,
            tree,
            progress=Silent(),
            isolation=isolation,
            coccicheck=coccicheck,
        )
    finally:
        assert list((tree.repo.parent / "am").iterdir()) == []  # nothing is left behind


def applied(linux: Kernel, base: str) -> Applied:
    shas = git(linux.path, "rev-list", "--reverse", f"{base}..HEAD").split()
    return Applied(
        base=base,
        tip=shas[-1],
        patches=tuple(
            AppliedPatch(
                number=number,
                subject=git(linux.path, "show", "-s", "--format=%s", sha),
                commit=sha,
                three_way=False,
                paths=tuple(
                    git(linux.path, "diff-tree", "-r", "--name-only", "--no-commit-id", sha).split()
                ),
            )
            for number, sha in enumerate(shas, start=1)
        ),
    )


def paths_of(linux: Kernel, sha: str) -> tuple[str, ...]:
    words = ("diff-tree", "-r", "--no-renames", "--name-only", "--no-commit-id", sha)
    return tuple(git(linux.path, *words).split())


def note(tool: str, patch: int, message: str, line: int | None = None, **changes: str) -> CheckNote:
    file = changes.get("file", "mm/util.c" if line else None)
    severity = changes.get("severity", "warning")
    return CheckNote(
        tool=tool, patch=patch, severity=severity, file=file, line=line, message=message
    )


@pytest.mark.parametrize("isolation", Isolation)
def test_each_note_names_its_patch_file_and_line(linux: Kernel, isolation: Isolation) -> None:
    base = linux.sha("HEAD")
    linux.replace(f"mm: one{SIGNED}", "mm/util.c", "util 10", "UNDOCUMENTED a")
    linux.replace(f"mm: two{SIGNED}", "mm/util.c", "util 2", "util 2\nmore\nBAD style")
    linux.replace("mm: three", "mm/util.c", "util 30", "UNDOCUMENTED b")
    assert checked(linux, base, isolation=isolation) == Checks(
        ran=("DCO", "Fixes", "checkpatch", "kernel-doc"),
        missing=(NOT_ASKED,),
        notes=(
            note("kernel-doc", 1, "'a' not described", 10),
            note("checkpatch", 2, "BAD_LINE: style", 4, severity="error"),
            note("DCO", 3, f"no Signed-off-by of its author {ALICE}", severity="error"),
            note("kernel-doc", 3, "'b' not described", 32),
        ),
    )


def test_what_the_base_has_is_not_said(tmp_path: Path) -> None:
    old = {"mm/util.c": f"UNDOCUMENTED a\nBAD style\n{KERNEL['mm/util.c']}"}
    linux = linux_with(tmp_path / "linux", SCRIPTS | old)
    base = linux.sha("HEAD")
    linux.replace(f"mm: one{SIGNED}", "mm/util.c", "UNDOCUMENTED a", "more\nUNDOCUMENTED a")
    git(linux.path, "mv", "mm/util.c", "mm/moved.c")
    linux.commit(f"mm: two{SIGNED}", {})
    assert checked(linux, base).notes == ()


def test_a_series_is_not_its_own_judge(linux: Kernel) -> None:
    base = linux.sha("HEAD")
    silent = {"scripts/checkpatch.pl": "exit 0;\n", "scripts/kernel-doc": "#!/bin/true\n"}
    linux.commit(f"scripts: shut up{SIGNED}", silent)
    linux.commit(f"mm: one{SIGNED}", {"mm/new.c": "BAD style\nUNDOCUMENTED a\n"})
    assert checked(linux, base).notes == (
        note("checkpatch", 2, "BAD_LINE: style", 1, severity="error", file="mm/new.c"),
        note("kernel-doc", 2, "'a' not described", 2, file="mm/new.c"),
    )


def test_a_tree_without_the_scripts(tmp_path: Path) -> None:
    linux = kernel(tmp_path / "linux")
    base = linux.sha("HEAD")
    linux.replace(f"mm: one{SIGNED}", "mm/util.c", "util 10", "BAD UNDOCUMENTED a")
    assert checked(linux, base, coccicheck=True) == Checks(
        ran=("DCO", "Fixes"),
        missing=(
            Absent(tool="checkpatch", why="this tree has no scripts/checkpatch.pl"),
            Absent(tool="kernel-doc", why="this tree has no scripts/kernel-doc"),
            Absent(
                tool="coccicheck", why="this tree has no reporting scripts in scripts/coccinelle"
            ),
        ),
        notes=(),
    )


BROKEN = {
    "dies": (
        "print 'a.c:1: ERROR:X: y'; die qq(no \\e[31mway\\n);\n",
        r"it failed on patch 1: no \\x1b\[31mway",
    ),
    "fails without a word": ("exit 1;\n", "it failed on patch 1: exit status 1"),
    "hangs": ("sleep 60;\n", "time limit of 1 s"),
    "prints without end": ("print 'x' x 1000 while 1;\n", "output over the limit of .*"),
    "prints too much": ("print 'x' x (17 << 20);\n", "it printed more than 16777216 bytes"),
}


@pytest.mark.parametrize("how", BROKEN)
def test_a_script_that_breaks_is_absent_with_its_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    script, why = BROKEN[how]
    if how == "hangs":
        monkeypatch.setattr(stage, "PATCH_SECONDS", 1.0)
    linux = linux_with(tmp_path / "linux", SCRIPTS | {"scripts/checkpatch.pl": script})
    base = linux.sha("HEAD")
    linux.replace(f"mm: one{SIGNED}", "mm/util.c", "util 10", "UNDOCUMENTED a")
    found = checked(linux, base)
    assert found.ran == ("DCO", "Fixes", "kernel-doc")
    absent, coccicheck = found.missing
    assert coccicheck == NOT_ASKED
    assert absent.tool == "checkpatch"
    assert re.fullmatch(why, absent.why)
    assert found.notes == (note("kernel-doc", 1, "'a' not described", 10),)


def test_an_interpreter_that_is_not_installed(tmp_path: Path) -> None:
    script = {"scripts/kernel-doc": "#!/usr/bin/env python99\n"}
    linux = linux_with(tmp_path / "linux", SCRIPTS | script)
    base = linux.sha("HEAD")
    linux.replace(f"mm: one{SIGNED}", "mm/util.c", "util 10", "util ten")
    absent, _ = checked(linux, base).missing
    assert absent.tool == "kernel-doc"
    assert absent.why.startswith("not installed: ")
    assert "python99" in absent.why


def test_a_thousand_notes_are_not_all_kept(linux: Kernel) -> None:
    base = linux.sha("HEAD")
    linux.commit(f"mm: one{SIGNED}", {"mm/new.c": "".join(f"BAD {n}\n" for n in range(1000))})
    notes = checked(linux, base).notes
    assert len(notes) == 201
    assert notes[-1] == note("checkpatch", 1, "and 800 more", severity="note")


def test_who_sent_it(linux: Kernel) -> None:
    base = linux.sha("HEAD")
    bob = {"GIT_AUTHOR_NAME": "Bob", "GIT_AUTHOR_EMAIL": "bob@example.org"}
    by_bob = linux.commit("mm: one\n\nSigned-off-by: Bob <bob@example.org>", {"mm/a.c": "a"}, **bob)
    tree = open_tree(str(linux.path), cache=linux.path.parent / "cache", progress=Silent())
    # As git send-email does it: the author's From goes to the top of the body.
    data = linux.mails(base, by_bob, f"--from={ALICE}")
    series = factories.series(patches=linux.patches(base, by_bob))
    place = mbox(linux.path.parent, data)
    expected = "the last Signed-off-by is Bob <bob@example.org>'s, the mail is from " + ALICE
    found = check(series, applied(linux, base), place, tree, progress=Silent())
    assert found.notes == (note("DCO", 1, expected),)
    in_range = series.model_copy(update={"kind": SourceKind.REV_RANGE})
    assert check(in_range, applied(linux, base), place, tree, progress=Silent()).notes == ()


def test_fixes_of_the_series_itself_and_of_nothing(linux: Kernel) -> None:
    base = linux.sha("HEAD")
    one = linux.replace(f"mm: one{SIGNED}", "mm/util.c", "util 10", "util ten")
    good = f'Fixes: {one[:12]} ("mm: one")\nSigned-off-by: {ALICE}'
    linux.replace(f"mm: two\n\n{good}", "mm/util.c", "util 20", "util twenty")
    bad = f'Fixes: feedfeedfeed ("mm: one")\nSigned-off-by: {ALICE}'
    linux.replace(f"mm: three\n\n{bad}", "mm/util.c", "util 30", "util thirty")
    expected = "Fixes: feedfeedfeed: the tree has no such commit"
    assert checked(linux, base).notes == (note("Fixes", 3, expected, severity="error"),)


def test_fixes_without_history_is_absent(tmp_path: Path) -> None:
    linux = kernel(tmp_path / "linux")
    base = linux.sha("HEAD")
    tags = 'Fixes: feedfeedfeed ("x")\nFixes: beefbeefbeef ("y")'
    body = f"{tags}\nSigned-off-by: {ALICE}"
    linux.replace(f"mm: one\n\n{body}", "mm/util.c", "util 10", "util ten")
    found = checked(linux, base)
    assert found.notes == ()
    assert found.missing[0] == Absent(
        tool="Fixes",
        why="the tree's history begins with the base: 2 commits cannot be looked up",
    )


@pytest.mark.parametrize(
    ("tag", "expected"),
    [
        (
            'commit feedfeedfeed ("mm: x")',
            [
                note(
                    "Fixes",
                    1,
                    'Fixes: commit feedfeedfeed ("mm: x"): '
                    'not written as Fixes: 0123456789ab ("subject")',
                ),
                note(
                    "Fixes",
                    1,
                    "Fixes: feedfeedfeed: the tree has no such commit",
                    severity="error",
                ),
            ],
        ),
        (
            'feedfeedfeed ("mm: x")',  # b4 keeps it, and it is told once
            [
                note(
                    "Fixes", 1, "Fixes: feedfeedfeed: the tree has no such commit", severity="error"
                )
            ],
        ),
    ],
)
def test_a_tag_that_b4_leaves_out_is_read_in_the_mail_as_it_was_posted(
    linux: Kernel, tag: str, expected: list[CheckNote]
) -> None:
    linux.commit("mm: old", {"mm/old.c": "x\n"})  # the tree's history does not begin with the base
    base = linux.sha("HEAD")
    body = f"Why.\n\nFixes: {tag}\nSigned-off-by: {ALICE}"
    posted = linux.replace(f"mm: one\n\n{body}", "mm/util.c", "util 10", "util ten")
    mails = linux.path.parent / "posted.mbx"
    mails.write_bytes(linux.mails(base, posted))
    git(linux.path, "reset", "--quiet", "--hard", base)
    home = linux.path.parent / "series"
    series = fetch.fetch(
        [str(mails)],
        folder=home,
        revision=None,
        settings=fetch.ArchiveSettings(),
        progress=Silent(),
    )
    tree = open_tree(str(linux.path), cache=linux.path.parent / "cache", progress=Silent())
    place = home / series.mbox
    choice = factories.base_choice(sha=base, ref=base)
    done = apply_series(series, place, choice, tree, progress=Silent())
    found = check(
        series, done, place, tree, progress=Silent(), thread=place.with_name(fetch.THREAD)
    )
    assert list(found.notes) == expected


def test_coccicheck_when_asked_for(linux: Kernel) -> None:
    linux.commit("mm: old", {"mm/x.c": "int f(void *p)\n{\n\tkfree(p);\n\treturn 0;\n}\n"})
    base = linux.sha("HEAD")
    linux.commit(
        f"mm: one{SIGNED}",
        {
            "mm/x.c": "int f(void *p)\n{\n\tint a;\n\n\tkfree(p);\n\treturn 0;\n}\n",
            "mm/y.c": "void g(void *p)\n{\n\tkfree(p);\n}\n",
        },
    )
    assert checked(linux, base).notes == ()
    found = checked(linux, base, coccicheck=True)
    assert found.ran == ("DCO", "Fixes", "checkpatch", "kernel-doc", "coccicheck")
    expected = "WARNING: kfree is not wanted here (free/kfree.cocci)"
    assert found.notes == (note("coccicheck", 1, expected, 3, file="mm/y.c"),)


def test_a_semantic_patch_that_fails_is_told(linux: Kernel) -> None:
    linux.commit("broken", {"scripts/coccinelle/bad.cocci": "virtual report\n\n@r@\n"})
    base = linux.sha("HEAD")
    linux.replace(f"mm: one{SIGNED}", "mm/util.c", "util 10", "util ten")
    found = checked(linux, base, coccicheck=True)
    (absent,) = found.missing
    assert absent.tool == "coccicheck bad.cocci"
    assert "coccicheck" in found.ran
