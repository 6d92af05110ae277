# SPDX-License-Identifier: GPL-2.0-or-later
"""Eight times the input takes about eight times the work, also for the worst of patterns.

Work is the CPU time of this thread: a pattern that backtracks is not seen by counting calls.  The
square would be sixty-four times as much; nothing is compared with a clock's absolute value but
what is too short to be measured.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from kverdict.proc import _LineSplitter
from tests.fuzz.seeds import BETWEEN
from tests.fuzz.targets import TARGETS

SMALL = 16 << 10  # bytes
TIMES = 8
NOISE = 0.1  # CPU seconds
LINE = b"[    1.000000][    T1] "
HUNK = b"--- a/f\n+++ b/f\n@@ -1 +1 @@\n-a\n+b\n"
SAME = b"diff --git a/f b/f\n--- a/f\n+++ b/f\n@@ -1,%d +1,%d @@\n"

# (target, what comes once, what is repeated)
PATTERNS = (
    ("mail", b"", b"From \n"),
    ("mail", b"", b"From x\nSubject: x\n"),
    ("mail", b"", b">"),
    ("mail", b"", b"a@"),
    ("mail", b"From x\nSubject: ", b"["),
    ("mail", b"From x\nSubject: ", b"=?a?q?"),
    ("mail", b"From x\n\nFrom: ", b"a@"),
    ("mail", b"From x\n\n", b"--- a/"),
    ("screen", b"From x\n\n", b"diff --git a/f b/f\n"),
    ("screen", b"From x\n\n", b"diff --git "),
    ("screen", b"From x\nContent-Type: ", b"; a="),
    ("screen", b"From x\n\n", HUNK),
    ("results", b"", b"["),
    ("results", b"", b'{"event":'),
    ("results", b"", b"{}\n"),
    ("results", b'{"event":"note","text":"', b"\\ud800"),
    ("console", b"", b"\x1b["),
    ("console", b"", b"\x1b]"),
    ("console", b"", b"\x1b[0 "),
    ("console", b"", b"[    "),
    ("console", b"", LINE),
    ("console", b"", LINE + b"WARNING: x\n"),
    ("console", b"", LINE + b"------------[ cut here ]------------\n"),
    ("console", LINE + b"BUG: KASAN: ", b" in "),
    ("console", LINE + b"UBSAN: ", b" in a:1"),
    ("console", LINE + b"Oops: ", b"a 0x0"),
    ("build-log", b"", b"WARNING: "),
    ("build-log", b"", b"a:1:"),
    ("build-log", b"", b"/"),
    ("build-log", b"", b"a.o:("),
    ("build-log", b"a:1: error: ", b" [-W"),
    ("build-log", b"ld: ", b"a.o: "),
    ("config", b"", b"CONFIG_A=y\n"),
    ("config", b'CONFIG_A="', b"\\"),
    ("config", b"#", b" "),
    ("config", b"", b"a:1"),
    ("config", b"", b"["),
    ("header", b"", b"/*"),
    ("header", b"", b"/*/"),
    ("header", b"", b"\\\n"),
    ("header", b"#define GUEST_MEMFD_FLAG_A ", b"("),
    ("header", b"#define GUEST_MEMFD_FLAG_A 1", b" "),
    ("conflict", b"", b"diff --git a/f b/f\n"),
    ("conflict", b"", HUNK),
    ("conflict", b"diff --git ", b"://"),
    ("conflict", b"Binary files ", b" and "),
    ("text", b"", b"a "),
    ("text", b"", "\u3042".encode()),
    ("text", b"", "\u0301".encode()),
)


def work(check: Callable[[bytes], object], data: bytes) -> float:
    """CPU seconds, the better of two."""

    def once() -> float:
        began = time.thread_time()
        check(data)
        return time.thread_time() - began

    return min(once(), once())


def assert_linear(check: Callable[[bytes], object], make: Callable[[int], bytes]) -> None:
    much = work(check, make(SMALL * TIMES))
    if much > NOISE:
        assert much / work(check, make(SMALL)) < TIMES * 4


@pytest.mark.parametrize(("name", "once", "again"), PATTERNS)
def test_a_pattern_that_is_repeated(name: str, once: bytes, again: bytes) -> None:
    tail = b"x\n" if name != "conflict" else BETWEEN + b"a\n" * 1000
    assert_linear(TARGETS[name].check, lambda size: once + again * (size // len(again)) + tail)


def test_a_console_of_as_many_callers_as_lines() -> None:
    def forged(size: int) -> bytes:
        return b"".join(b"[    1.000000][  T%d] BUG: x%d\n" % (n, n) for n in range(size // 32))

    assert_linear(TARGETS["console"].check, forged)


def test_a_hunk_of_equal_lines_in_a_file_of_equal_lines() -> None:
    def equal(size: int) -> bytes:
        lines = size // 6
        patch = SAME % (lines, lines) + b" a\n" * (lines - 1) + b"-b\n+c\n"
        return patch + BETWEEN + b"a\n" * (lines * 2)

    assert_linear(TARGETS["conflict"].check, equal)


def test_a_line_that_comes_byte_by_byte() -> None:
    heard: list[str] = []

    def feed(data: bytes) -> None:
        splitter = _LineSplitter(heard.append)
        for at in range(len(data)):
            splitter.feed(data[at : at + 1])

    assert_linear(feed, lambda size: b"a" * size)
