# SPDX-License-Identifier: GPL-2.0-or-later
"""What the real decode_stacktrace.sh answered for a recorded console is replayed by a script that
runs in the real sandbox (tests/data/consoles/README.md)."""

from __future__ import annotations

from pathlib import Path

import pytest

from kverdict.findings.console import scan
from kverdict.models import Splat, SplatKind
from kverdict.progress import Silent
from kverdict.stages import symbols
from kverdict.stages.symbols import SCRIPT, Symbolized, read_answers, symbolize

pytestmark = pytest.mark.host

CONSOLES = Path(__file__).parents[1] / "data" / "consoles"
SPLATS = scan(CONSOLES / "symbols.log").splats
# "-R" in quotes is how a script is known that can decode the very address.
REPLAY = """
if [[ $1 != "-R" || ! -f $2 || $3 != /src ]]; then exit 7; fi
while read -r line; do
    answer=$line
    while IFS=$'\\t' read -r asked decoded; do
        [[ $asked == "$line" ]] && answer=$decoded
    done < /src/decoded
    echo "$answer"
done
"""


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A tree with the replaying script."""
    src = tmp_path / "src"
    (src / "scripts").mkdir(parents=True)
    (src / "decoded").write_bytes((CONSOLES / "symbols.decoded").read_bytes())
    (src / SCRIPT).write_text(REPLAY)
    return src


def symbolized(src: Path, splats: tuple[Splat, ...] = SPLATS) -> Symbolized:
    vmlinux = src.parent / "vmlinux"
    vmlinux.write_bytes(b"\x7fELF")
    return symbolize(splats, src, vmlinux, progress=Silent())


def test_the_place_is_that_of_the_function_to_blame(tree: Path) -> None:
    told = symbolized(tree)
    assert told.why is None
    assert [(splat.function, splat.place) for splat in told.splats] == [
        ("lkdtm_WARNING", "drivers/misc/lkdtm/bugs.c:164"),  # the line of its WARN_ON()
        ("lkdtm_WARNING_MESSAGE", "drivers/misc/lkdtm/bugs.c:169"),
        # neither lib/refcount.c, which noticed, nor the helper that is inlined from refcount.h
        ("lkdtm_REFCOUNT_INC_OVERFLOW", "drivers/misc/lkdtm/refcount.c:37"),
        ("lkdtm_EXCEPTION", "drivers/misc/lkdtm/bugs.c:174"),
        (None, None),
    ]


def test_the_excerpt_has_files_and_lines(tree: Path) -> None:
    before, after = (one[2].excerpt.splitlines() for one in (SPLATS, symbolized(tree).splats))
    assert len(before) == len(after)
    changed = [new for old, new in zip(before, after, strict=True) if old != new]
    assert changed[:4] == [
        "WARNING: at refcount_warn_saturate (lib/refcount.c:22), CPU#1: python3/53",
        "RIP: 0010:refcount_warn_saturate (lib/refcount.c:22)",
        " lkdtm_REFCOUNT_INC_OVERFLOW (include/linux/refcount.h:291 include/linux/refcount.h:366"
        " include/linux/refcount.h:383 drivers/misc/lkdtm/refcount.c:37)",
        " lkdtm_do_action (drivers/misc/lkdtm/core.c:164)",
    ]
    # A file that is made by the build is in no tree.
    assert " x64_sys_call+0xa15/0xa30" in after


def test_what_is_compared_stays(tree: Path) -> None:
    for old, new in zip(SPLATS, symbolized(tree).splats, strict=True):
        assert new.model_copy(update={"place": None, "excerpt": old.excerpt}) == old


def test_a_script_that_knows_only_exact_addresses_is_not_asked_for_them(tree: Path) -> None:
    (tree / SCRIPT).write_text(REPLAY.replace('$1 != "-R" || ! -f $2 || $3', "! -f $1 || $2"))
    assert symbolized(tree).splats[0].place == "drivers/misc/lkdtm/bugs.c:164"


@pytest.mark.parametrize(
    ("script", "why"),
    [
        ("cat", "found no line: vmlinux has no line tables"),
        ('while read -r a; do echo "${a%+*} (??:?)"; done', "vmlinux has no line tables"),
        ("exit 3", "failed with exit status 3"),
        ("exec 2>&1; no-such-program", "failed with exit status 127"),
        ("for i in {1..99}; do echo 'lkdtm_WARNING (a.c:1) (b.c:2'; done", "no line tables"),
    ],
)
def test_a_script_that_does_not_do_it(tree: Path, script: str, why: str) -> None:
    (tree / SCRIPT).write_text(script)
    told = symbolized(tree)
    assert told.splats == SPLATS
    assert told.why is not None
    assert why in told.why


def test_a_tree_without_the_script(tree: Path) -> None:
    (tree / SCRIPT).unlink()
    assert symbolized(tree) == Symbolized(
        SPLATS,
        "scripts/decode_stacktrace.sh of the tree: decode_stacktrace.sh was not left as a file"
        " (No such file or directory)",
    )


def test_without_a_vmlinux(tree: Path) -> None:
    told = symbolize(SPLATS, tree, tree / "vmlinux", progress=Silent())
    assert told == Symbolized(SPLATS, "there is no vmlinux to look in")


def test_a_script_that_never_ends_is_ended(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(symbols, "_SECONDS", 1.0)
    (tree / SCRIPT).write_text("read -r a; echo 'lkdtm_WARNING (a.c:1)'; sleep 1000")
    told = symbolized(tree)
    assert told.why is not None
    assert "was ended: time limit" in told.why
    # What it said before is not lost.
    assert [splat.place for splat in told.splats] == ["a.c:1", None, None, None, None]


def test_no_more_addresses_are_asked_for_than_time_allows(tree: Path) -> None:
    lines = "\n".join(f" f{n}+0x2/0x4" for n in range(40))
    many = tuple(
        Splat(kind=SplatKind.BUG, title="", function=None, line=1, excerpt=lines.replace("f", name))
        for name in ("a", "b", "c", "d", "e", "g")
    )
    (tree / SCRIPT).write_text('n=0; while read -r a; do echo "${a%+*} (a.c:$((++n)))"; done')
    told = symbolized(tree, many)
    assert told.why == "only the first 200 of 240 addresses were looked up"
    assert told.splats[4].excerpt.endswith(" e39 (a.c:200)")
    assert told.splats[5] == many[5]


def test_reports_without_a_function_start_nothing(tmp_path: Path) -> None:
    none = (SPLATS[-1],)
    assert symbolize(none, tmp_path / "no", tmp_path / "no", progress=Silent()) == Symbolized(none)


@pytest.mark.parametrize(
    "line",
    [
        " ? left_over+0x1/0x2",
        " of_a_module+0x1/0x2 [kvm]",
        " $(touch,/tmp/x)+0x1/0x2",
        " a[$(id)]+0x1/0x2",
        "0x7fff0000+0x1/0x2",
        " f+0x1[$(id)]/0x2",
    ],
)
def test_what_is_no_function_of_vmlinux_is_not_asked_for(tmp_path: Path, line: str) -> None:
    splat = Splat(kind=SplatKind.BUG, title="", function=None, line=1, excerpt=line)
    told = symbolize((splat,), tmp_path / "no", tmp_path / "no", progress=Silent())
    assert told == Symbolized((splat,))


def test_only_places_in_the_tree_are_believed() -> None:
    asked = [f"f{n}+0x1/0x2" for n in range(7)]
    output = "\n".join(
        [
            "f0 (mm/a.c:1 (discriminator 3) mm/b.h:22)",
            "f1 (??:?)",
            "f1 (mm/a.c:1)",  # not the function that was asked for
            "f3 (/etc/passwd:1 mm/<b>.c:1 mm/c.c:0 mm/d.c:7) ",
            "f4 (mm/\u202ea.c:1)",
            "f5+0x1/0x2",
        ]
    )
    assert read_answers(asked, output) == {
        "f0+0x1/0x2": ("mm/a.c:1", "mm/b.h:22"),
        "f3+0x1/0x2": ("mm/d.c:7",),
    }
