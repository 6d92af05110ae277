# SPDX-License-Identifier: GPL-2.0-or-later
from __future__ import annotations

import re
from datetime import date, timedelta
from pathlib import Path

import pytest

from kverdict.allowlist import BUILT_IN, MOST_DAYS, Allowlist, load, read
from kverdict.errors import UserError

TODAY = date(2026, 11, 23)
GOOD = """
[[allow]]
pattern = "WARNING: the firmware of \\\\w+ is old"
reason = "about the firmware"
expires = 2026-12-31
link = "https://example.org/1"
"""
LINE = "WARNING: the firmware of x64 is old"


def written(tmp_path: Path, text: str) -> Path:
    file = tmp_path / "allow.toml"
    file.write_text(text)
    return file


def test_an_entry_counts_up_to_its_last_day(tmp_path: Path) -> None:
    (entry,) = read(written(tmp_path, GOOD))
    assert (entry.reason, entry.expires, entry.link) == (
        "about the firmware",
        date(2026, 12, 31),
        "https://example.org/1",
    )
    assert Allowlist((entry,), date(2026, 12, 31)).counts(entry)
    assert not Allowlist((entry,), date(2027, 1, 1)).counts(entry)


def test_an_entry_is_for_the_whole_line_and_no_other(tmp_path: Path) -> None:
    allow = load(written(tmp_path, GOOD), TODAY)
    assert allow.find(LINE) is not None
    assert allow.find(f"{LINE}: oops") is None
    assert allow.find(f"a {LINE}") is None


def test_an_entry_that_counts_wins_over_one_that_has_expired(tmp_path: Path) -> None:
    old = GOOD.replace("2026-12-31", "2025-12-31").replace("about", "was about")
    allow = load(written(tmp_path, old + GOOD), TODAY)
    found = allow.find(LINE)
    assert found is not None
    assert found.reason == "about the firmware"


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        (('reason = "about the firmware"', ""), "entry 1: reason: Field required"),
        (('"about the firmware"', '"  "'), "entry 1: reason: String should have at least 1"),
        (("expires = 2026-12-31", ""), "entry 1: expires: Field required"),
        (("2026-12-31", "2026"), "entry 1: expires: Input should be a valid date"),
        (("2026-12-31", '"soon"'), "entry 1: expires: Input should be a valid date"),
        (("pattern", "patern"), "entry 1: pattern: Field required"),
        (("[[allow]]", "[[allow]]\nwhy = 1"), "entry 1: why: Extra inputs"),
        (("\\\\w+", "("), "entry 1: 'WARNING: the firmware of ( is old' is no pattern"),
        (("[[allow]]", "[[allowed]]"), "only [[allow]] tables belong here"),
        (("[[allow]]", "[allow]"), "only [[allow]] tables belong here"),
        (("[[allow]]", "allow"), "is not TOML"),
    ],
)
def test_an_entry_that_is_not_whole(tmp_path: Path, changed: tuple[str, str], named: str) -> None:
    file = written(tmp_path, GOOD.replace(*changed))
    with pytest.raises(UserError, match=f"^{re.escape(f'{file}')}.*{re.escape(named)}"):
        read(file)


@pytest.mark.parametrize(
    "pattern",
    [
        ".*",
        "",
        "WARNING.*",
        ".*function.*",
        "WARNING: [^,]*, CPU#0.*",
        "BUG: KASAN: slab-use-after-free in .*",
        "INFO: task .* blocked for more than .*",
        "(?:kernel BUG at|x) .*",
        # every report of a subsystem, of a file, of a detector
        "WARNING: .* at kvm_.*",
        "WARNING: .* at kvm_gmem_write.*",
        "WARNING: .* at (?:kvm|gmem)_.*",
        "WARNING: (?:[^ ]+ )?at \\w+_gmem_write\\+.*",
        "WARNING: virt/kvm/.* at .*",
        "WARNING: CPU: .* at virt/kvm/[^ ]+ .*",
        "BUG: KASAN: .* in kvm_.*",
        "UBSAN: .* in virt/.*",
        "WARNING: .* at refcount_warn_saturate.0x.*",
        "WARNING: possible circular locking dependency detected",
        "WARNING: suspicious RCU usage",
        r"rcu: INFO: rcu_\w+ self-detected stall on CPU",
        "BUG: sleeping function called from invalid context at .*",
    ],
)
def test_an_entry_that_would_allow_anything(tmp_path: Path, pattern: str) -> None:
    text = f"{GOOD}[[allow]]\npattern = '{pattern}'\nreason = 'x'\nexpires = 2027-01-01\n"
    with pytest.raises(UserError, match=r"allow\.toml: entry 2: .*(would allow|at least 1 char)"):
        read(written(tmp_path, text))


@pytest.mark.parametrize(
    ("pattern", "line"),
    [
        (
            r"WARNING: virt/kvm/guest_memfd\.c:\d+ at kvm_gmem_write_begin\+.*",
            "WARNING: virt/kvm/guest_memfd.c:519 at kvm_gmem_write_begin+0x9/0x90, CPU#0: a/1",
        ),
        (
            r"WARNING: .* at (?:kvm_gmem_write_begin|kvm_gmem_write_end)\+.*",
            "WARNING: x.c:1 at kvm_gmem_write_end+0x9/0x90, CPU#0: a/1",
        ),
        (r"WARNING: lib/x\.c:22 .*", "WARNING: lib/x.c:22 at f+0x6c/0xa0, CPU#1: python3/51"),
        (
            r"INFO: task khugepaged:\d+ blocked for more than \d+ seconds\.",
            "INFO: task khugepaged:36 blocked for more than 32 seconds.",
        ),
        (r"WARNING: the firmware of .* is old", "WARNING: the firmware of x is old"),
    ],
)
def test_an_entry_that_says_what_it_means(tmp_path: Path, pattern: str, line: str) -> None:
    text = f"[[allow]]\npattern = '{pattern}'\nreason = 'x'\nexpires = 2027-01-01\n"
    assert load(written(tmp_path, text), TODAY).find(line) is not None


def test_an_entry_has_to_be_looked_at_again(tmp_path: Path) -> None:
    last = TODAY + timedelta(days=MOST_DAYS)
    load(written(tmp_path, GOOD.replace("2026-12-31", str(last))), TODAY)
    for later in (last + timedelta(days=1), date.max):
        file = written(tmp_path, GOOD + GOOD.replace("2026-12-31", str(later)))
        with pytest.raises(
            UserError, match=rf"allow\.toml: entry 2: {later} is .*put {last} at most"
        ):
            load(file, TODAY)


def test_the_documented_entry_is_a_real_one(tmp_path: Path) -> None:
    text = (Path(__file__).parents[1] / "docs/boot.md").read_text()
    example = re.search(r"```toml\n(.*?)```", text, re.DOTALL)
    assert example is not None
    allow = load(written(tmp_path, example[1]), TODAY)
    assert allow.find(LINE) is not None


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"none\.toml cannot be read"):
        read(tmp_path / "none.toml")
    (tmp_path / "bytes.toml").write_bytes(b"\xff")
    with pytest.raises(UserError, match=r"bytes\.toml is not TOML"):
        read(tmp_path / "bytes.toml")


def test_our_own_entries_are_well_formed_and_say_where_to_look() -> None:
    entries = read(BUILT_IN)
    assert entries
    assert all(entry.link for entry in entries)
    assert max(entry.expires for entry in entries) <= date.today() + timedelta(days=MOST_DAYS)


@pytest.mark.parametrize(
    "line",
    [
        # arch/x86/kernel/cpu/mtrr/cleanup.c and kernel/workqueue.c in 6.12 and 7.2
        "WARNING: BIOS bug: CPU MTRRs don't cover all of memory, losing 12MB of RAM.",
        "WARNING: BIOS bug: VAR MTRR 3 contains strange UC entry under 1M,"
        " check with your system vendor!",
        "WARNING: Flushing system-wide workqueues will be prohibited in near future.",
    ],
)
def test_the_lines_that_our_own_entries_are_for(line: str) -> None:
    allow = load(None, TODAY)
    assert allow.counts(allow.find(line))
