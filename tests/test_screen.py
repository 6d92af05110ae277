# SPDX-License-Identifier: GPL-2.0-or-later
"""What a series may touch, and what its commits are held against; the whole way is tried in
tests/hostile/series.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kverdict import screen as rules
from kverdict.diffs import Change
from kverdict.errors import ExitStatus, PatchError
from kverdict.screen import (
    Announced,
    attention,
    check_change,
    check_landed,
    runs_at_build,
    screen,
    what_is_wrong_with,
    what_is_wrong_with_target,
)
from tests.repos import mail

EDIT = "@@ -1 +1 @@\n-a\n+b\n"


def edit(path: str) -> str:
    return f"diff --git a/{path} b/{path}\n--- a/{path}\n+++ b/{path}\n{EDIT}"


def new(path: str, mode: str = "100644", content: str = "x") -> str:
    return (
        f"diff --git a/{path} b/{path}\nnew file mode {mode}\n--- /dev/null\n+++ b/{path}\n"
        f"@@ -0,0 +1 @@\n+{content}\n\\ No newline at end of file\n"
    )


def series(*diffs: str) -> list[bytes]:
    return [mail(f"mm: {n}", f"Why.\n---\n{diff}") for n, diff in enumerate(diffs, start=1)]


def refusal(mails: Sequence[bytes]) -> str:
    with pytest.raises(PatchError) as caught:
        screen(mails)
    assert caught.value.status is ExitStatus.SERIES_REFUSED
    assert caught.value.problem.isprintable()
    return caught.value.problem


# --- names ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path",
    [
        "Makefile",
        "arch/x86/kvm/svm/sev.c",
        "Documentation/devicetree/bindings/arm/ti,omap.yaml",
        "tools/testing/selftests/a name with blanks.c",
        "drivers/...c",
        ".gitignore",
        ".mailmap",
        "gitk/digit.c",
        "Documentation/translations/zh_CN/täst.rst",
        "scripts/package/~x",
        "arch/arm/boot/dts/a:b@c+d=e#f.dts",
    ],
)
def test_names_that_kernels_have(path: str) -> None:
    assert what_is_wrong_with(path) is None


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("/etc/passwd", "absolute"),
        ("../up", "out of the tree"),
        ("a/../../up", "out of the tree"),
        ("a/./b", "has a ."),
        ("a//b", "empty part"),
        ("a/", "empty part"),
        (".git/config", "into a .git"),
        ("sub/.GIT/hooks/x", "into a .git"),
        ("sub/.git", "into a .git"),
        (".git./config", "into a .git"),
        (".git /config", "into a .git"),
        (".git . ./config", "into a .git"),
        (".git::$INDEX_ALLOCATION/config", "into a .git"),
        ("git~1/config", "into a .git"),
        ("GIT~2/config", "into a .git"),
        ("gitmod~1", "into a .git"),
        (".g\u200cit/config", "into a .git"),
        (".\ufeffgit/config", "into a .git"),
        (".gi\u202et/config", "into a .git"),
        (".\uff47it/config", "into a .git"),
        (".gitmodules", "submodules"),
        ("sub/.GitModules", "submodules"),
        (".gitconfig", "configuration of git"),
        (".b4-config", "configuration of b4"),
        (".keys/ed25519/x", "keys"),
        ("a\tb", "control characters"),
        ("a\nb", "control characters"),
        ("\x1b[2Jx", "control characters"),
        ("a\u202eb", "control characters"),
        ("a\x85b", "control characters"),
        ("a\udcffb", "not UTF-8"),
        ("a\\..\\b", "backslash"),
        ('a"b', "quote"),
        ("x" * 256, "too long"),
        ("ä" * 128, "too long"),
        ("/".join(["x" * 200] * 21), "too long"),
        ("x/" * 64 + "x", "too many folders"),
    ],
)
def test_names_that_no_patch_may_touch(path: str, why: str) -> None:
    assert why in (what_is_wrong_with(path) or "")


@pytest.mark.parametrize(
    "target", ["../Makefile", "x", "../.././Kconfig", "..dots", "../a//b", "."]
)
def test_links_within_the_tree(target: str) -> None:
    assert what_is_wrong_with_target("a/b/link", target) is None


@pytest.mark.parametrize(
    "target",
    [
        "/etc/passwd",
        "../../..",
        "../../../x",
        "x/../../../../y",
        "../x/../../y",  # x may be a link that leads to the top
        "../../.git/config",
        "",
        "a\nb",
        "\x1b[2J",
    ],
)
def test_links_out_of_the_tree(target: str) -> None:
    assert "link" in (what_is_wrong_with_target("a/b/link", target) or "")


# --- mails ----------------------------------------------------------------------------------------


def test_a_refusal_names_the_patch_the_file_and_the_reason() -> None:
    assert refusal(series(edit("mm/util.c"), edit(".git/config"))) == (
        "the series is refused: [2/2] .git/config: leads into a .git"
    )


@pytest.mark.parametrize(
    ("diff", "why"),
    [
        (new("x", "160000"), "x: is a submodule"),
        (new("x", "100666"), "x: has the mode 100666"),
        (new("x", "104755"), "x: has the mode 104755"),
        (new("x", "040000"), "x: has the mode 040000"),
        (f"diff --git a/x b/x\nold mode 100644\nnew mode 160000\n{''}", "x: is a submodule"),
        (new("x", "120000", "/etc/shadow"), "x: is a link out of the tree, to '/etc/shadow'"),
        (new("x", "120000", ".git/config"), "x: is a link to '.git/config'"),
        (new("l", "120000", "mm") + new("l/x"), "l/x: goes through the link l"),
        (edit("x") + edit("x"), "x: is changed twice"),
        (new(".gitattributes", content="*.c filter=x"), "sets 'filter=x'"),
        (new(".gitattributes", content="*.c -diff"), "sets '-diff'"),
        (new("mm/.gitattributes", content="* text ident"), "sets 'text'"),
        (new(".gitattributes", content="*.c diff=mine"), "sets 'diff=mine'"),
        (new(".gitattributes", content="[attr]x filter=y"), "sets 'filter=y'"),
    ],
)
def test_what_no_patch_may_bring(diff: str, why: str) -> None:
    assert why in refusal(series(diff))


def test_a_link_of_an_earlier_patch_is_remembered() -> None:
    said = refusal(series(new("l", "120000", "mm"), edit("mm/util.c"), edit("l/util.c")))
    assert said.endswith("[3/3] l/util.c: goes through the link l of the series itself")


@pytest.mark.parametrize(
    "line", ["*.dts diff=dts", "*.[ch] diff=cpp", "# * filter=x", "", "*.rs diff=rust"]
)
def test_the_attributes_that_kernels_have(line: str) -> None:
    screen(series(new(".gitattributes", content=line)))


@pytest.mark.parametrize(
    ("headers", "why"),
    [
        (["Content-Type: multipart/mixed; boundary=x"], "multipart/mixed, not text/plain"),
        (["Content-Type: text/html"], "text/html, not text/plain"),
        (["Content-Type: text/plain; charset=utf-7"], "charset 'utf-7'"),
        (["Content-Type: text/plain; format=flowed"], "format='flowed'"),
        (["Content-Type: text/plain", "Content-Type: text/html"], "more than one Content-Type"),
        (["Content-Transfer-Encoding: x-uuencode"], "encoded as 'x-uuencode'"),
    ],
)
def test_a_mail_that_two_programs_read_in_two_ways(headers: list[str], why: str) -> None:
    assert why in refusal([mail("x", f"Why.\n---\n{edit('x')}", headers=headers)])


WORDS = st.sampled_from(
    [
        *(
            "text/plain",
            "multipart/mixed",
            "text/plain; ",
            "charset*=utf-8'en'x",
            "charset=",
            "*0*",
        ),
        *(
            '"',
            ";",
            "=",
            "base64",
            "quoted-printable",
            "boundary=x",
            "format",
            "--x",
            "\n ",
            "\n\n",
        ),
        *edit("x").splitlines(),
    ]
)


@given(st.lists(WORDS | st.text(max_size=9)), st.lists(WORDS), st.binary() | WORDS.map(str.encode))
def test_any_mail_is_taken_or_refused(kind: list[str], encoding: list[str], body: bytes) -> None:
    head = f"Content-Type: {''.join(kind)}\nContent-Transfer-Encoding: {''.join(encoding)}\n\n"
    try:
        (found,) = screen([b"From x\n" + head.encode(errors="replace") + body])
    except PatchError as error:
        assert error.status is ExitStatus.SERIES_REFUSED
    else:
        assert set(found.modes) <= {path for file in found.files for path in file.paths}


def test_nul_bytes() -> None:
    assert "[1/1]: the mail has NUL bytes" in refusal(series(edit("x") + "\0"))


def test_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    mails = series(edit("x"), edit("y"))
    assert len(screen(mails)) == 2
    with monkeypatch.context() as patch:
        patch.setattr(rules, "PATCH_LIMIT", len(mails[0]) - 1)
        assert "[1/2]: the mail is over" in refusal(mails)
    with monkeypatch.context() as patch:
        patch.setattr(rules, "SERIES_LIMIT", len(mails[0]) * 2 - 1)
        assert "its mails are over" in refusal(mails)
    with monkeypatch.context() as patch:
        patch.setattr(rules, "FILES_LIMIT", 1)
        assert "[2/2]: the series touches more than 1 files" in refusal(mails)


def test_the_limits_are_those_of_the_documentation() -> None:
    assert (rules.PATCH_LIMIT, rules.SERIES_LIMIT, rules.FILES_LIMIT) == (8 << 20, 32 << 20, 10_000)


def test_a_mail_without_a_diff_announces_nothing() -> None:
    assert screen([mail("no diff", "Only words.")]) == (Announced((), {}),)


# --- what landed ----------------------------------------------------------------------------------

ANNOUNCED = {
    "edit": (edit("x"), ("100644", "100644")),
    "add": (new("x"), ("000000", "100644")),
    "program": (new("x", "100755"), ("000000", "100755")),
    "mode": ("diff --git a/x b/x\nold mode 100644\nnew mode 100755\n", ("100644", "100755")),
    "delete": (
        "diff --git a/x b/x\ndeleted file mode 100644\n--- a/x\n+++ /dev/null\n@@ -1 +0,0 @@\n-a\n",
        ("100644", "000000"),
    ),
}
MODES = ["000000", "100644", "100755", "120000"]


@pytest.mark.parametrize("what", ANNOUNCED)
def test_only_what_was_announced_may_land(what: str) -> None:
    diff, expected = ANNOUNCED[what]
    (announced,) = screen(series(diff))
    check_landed(announced, [Change("x", *expected, "ab")], "[1/1]", three_way=False)
    for old in MODES:
        for after in MODES:
            same_mode = what == "edit" and old == after
            if (old, after) == expected or same_mode:
                continue
            with pytest.raises(PatchError, match=re.escape("[1/1] x: the mail ")) as caught:
                change = Change("x", old, after, "ab")
                check_landed(announced, [change], "[1/1]", three_way=True)
            assert caught.value.status is ExitStatus.SERIES_REFUSED


def test_another_file_than_the_announced_one() -> None:
    (announced,) = screen(series(edit("x")))
    made = [Change(name, "100644", "100644", "ab") for name in ("x", "y")]
    with pytest.raises(PatchError, match=r"y: the mail does not name it, its commit changes its"):
        check_landed(announced, made, "[1/1]", three_way=True)


def test_only_a_3way_merge_may_find_something_done_already() -> None:
    (announced,) = screen(series(edit("x") + edit("y")))
    made = [Change("x", "100644", "100644", "ab")]
    check_landed(announced, made, "[1/1]", three_way=True)
    with pytest.raises(PatchError, match="y: the mail changes its content, its commit does not"):
        check_landed(announced, made, "[1/1]", three_way=False)


def test_a_rename_takes_one_name_and_gives_another() -> None:
    (announced,) = screen(series("diff --git a/x b/y\nrename from x\nrename to y\n"))
    gone, came = Change("x", "100755", "000000", "00"), Change("y", "000000", "100755", "ab")
    check_landed(announced, [gone, came], "[1/1]", three_way=False)
    with pytest.raises(PatchError, match="x: "):
        check_landed(announced, [came], "[1/1]", three_way=False)


@pytest.mark.parametrize(
    ("change", "target", "why"),
    [
        (Change("x", "000000", "160000", "ab"), "", "is a submodule"),
        (Change("x\x1b", "000000", "100644", "ab"), "", "control characters"),
        (Change("x", "000000", "120000", "ab"), "../x", "is a link out of the tree"),
    ],
)
def test_what_may_not_land_even_if_announced(change: Change, target: str, why: str) -> None:
    with pytest.raises(PatchError, match=why):
        check_change(change, target, "[1/1]")


def test_what_may_land() -> None:
    check_change(Change("a/x", "000000", "120000", "ab"), "../b", "[1/1]")
    check_change(Change("x\x1b", "100644", "000000", "00"), "", "[1/1]")


# --- worth a look ---------------------------------------------------------------------------------


def test_modes_and_what_takes_part_in_the_build_are_worth_a_look() -> None:
    assert attention(
        [
            Change("mm/util.c", "100644", "100644", "ab"),
            Change("mm/Makefile", "100644", "100644", "ab"),
            Change("mm/gone.sh", "100755", "000000", "00"),
            Change("run.sh", "100644", "100755", "ab"),
            Change("stop.c", "100755", "100644", "ab"),
            Change("link", "000000", "120000", "ab"),
        ]
    ) == (
        "mm/Makefile (takes part in the build itself)",
        "run.sh (becomes executable, takes part in the build itself)",
        "stop.c (is executable no longer)",
        "link (a symbolic link)",
    )


@pytest.mark.parametrize(
    "path",
    [
        "Makefile",
        "GNUmakefile",
        "makefile",
        "arch/x86/Makefile.um",
        "virt/kvm/Makefile.kvm",
        "Kbuild",
        "mm/Kconfig.debug",
        "localversion-x",
        "scripts/basic/fixdep.c",
        "tools/objtool/check.c",
        "arch/x86/tools/relocs.c",
        "arch/x86/boot/tools/build.c",
        "kernel/gen_kheaders.sh",
        "lib/build_OID_registry.pl",
        "tools/testing/selftests/lib.mk",
    ],
)
def test_what_takes_part_in_the_build(path: str) -> None:
    assert runs_at_build(path)


@pytest.mark.parametrize(
    "path", ["mm/util.c", "tools/testing/selftests/kvm/x.c", "Documentation/kbuild/kbuild.rst"]
)
def test_what_does_not(path: str) -> None:
    assert not runs_at_build(path)
