# SPDX-License-Identifier: GPL-2.0-or-later
"""The promises of fuzzing's targets for inputs that are made of their formats' own words."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kverdict import am, b4worker, mails
from kverdict.findings import console, suite, warnings
from kverdict.proc import _LineSplitter
from tests.fuzz import seeds
from tests.fuzz.targets import TARGETS, Target

NUMBERS = (b"0", b"-1", b"9" * 5000, b"1e400000", b"NaN", b"-Infinity", "\u0663".encode())
ODD = (b"\xff", b"\xed\xa0\x80", b"\\ud800", b"\x1b[0m", b"\x1b]0;", b"\0", b"\r", b"(" * 500)
BODY = st.lists(
    st.sampled_from((b"From me", b">From me", b">>From x", b"text", b"", b"From", b"--")),
    max_size=8,
).map(b"\n".join)


def mixed(target: Target) -> st.SearchStrategy[bytes]:
    """Lines of the format, whole and cut, with odd bytes and numbers between."""
    word = st.sampled_from((*target.words, *NUMBERS, *ODD))
    piece = st.one_of(word, st.binary(max_size=20), st.tuples(word, word).map(b"".join))
    separator = st.sampled_from((b"\n", b"\n", b"\r\n", b" ", b""))
    return st.lists(st.tuples(piece, separator).map(b"".join), max_size=30).map(b"".join)


@pytest.mark.parametrize("target", TARGETS.values(), ids=list(TARGETS))
@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_any_mixture_of_a_format_s_words(target: Target, data: st.DataObject) -> None:
    target.check(data.draw(mixed(target)))


@given(st.lists(BODY, max_size=5))
def test_mails_come_out_of_a_mailbox_as_they_went_in(bodies: list[bytes]) -> None:
    heads = [b"Subject: %d\n\n" % number for number in range(len(bodies))]
    whole = [head + body for head, body in zip(heads, bodies, strict=True)]
    box = b"".join(mails.one_mailbox(mail, "mail") for mail in whole)
    parts = [part.data.removeprefix(mails.SEPARATOR) for part in am.split_mboxrd(box)]
    unescaped = [re.sub(rb"^>(>*From )", rb"\1", part, flags=re.MULTILINE) for part in parts]
    assert [part.rstrip(b"\n") for part in unescaped] == [mail.rstrip(b"\n") for mail in whole]


@given(st.lists(BODY, max_size=4))
def test_the_worker_writes_the_mails_that_it_read(
    tmp_path_factory: pytest.TempPathFactory, bodies: list[bytes]
) -> None:
    folder = tmp_path_factory.mktemp("box")
    head = b"Subject: x\nMessage-ID: <1@example.com>\n\n"
    (folder / "in").write_bytes(b"".join(mails.one_mailbox(head + body, "mail") for body in bodies))
    read = b4worker.mails_from_file(folder / "in")
    b4worker.write_mboxrd(folder / "out", read)
    again = b4worker.mails_from_file(folder / "out")
    assert [mail.get_payload() for mail in again] == [mail.get_payload() for mail in read]
    assert len(again) == len(bodies)


@given(st.binary(max_size=400), st.lists(st.integers(1, 40), min_size=1))
def test_lines_do_not_depend_on_how_the_stream_was_cut(stream: bytes, sizes: list[int]) -> None:
    whole: list[str] = []
    cut: list[str] = []
    one, other = _LineSplitter(whole.append), _LineSplitter(cut.append)
    one.feed(stream)
    at = 0
    while at < len(stream):
        size = sizes[at % len(sizes)]
        other.feed(stream[at : at + size])
        at += size
    one.flush()
    other.flush()
    assert cut == whole


def test_a_line_without_an_end_is_passed_on_in_pieces() -> None:
    heard: list[str] = []
    splitter = _LineSplitter(heard.append)
    for _ in range(64):
        splitter.feed(b"a" * 65536)
    splitter.flush()
    assert sum(map(len, heard)) == 64 * 65536
    assert max(map(len, heard)) <= 2 * _LineSplitter.LONGEST


# --- bounds -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "line",
    [
        b"[" * 100_000,
        b'{"event":' * 20_000,
        b'{"event":"end","case":"a","outcome":"pass","message":"","seconds":NaN}',
        b'{"event":"end","case":"a","outcome":"pass","message":"","seconds":1e400000}',
        b'{"event":"hello","version":' + b"9" * 60_000 + b"}",
        b'{"event":"note","text":"\\ud800"}',
        b'{"event":"note","text":"\xed\xa0\x80"}',
        b'{"event":"note","event":"done","text":"x","text":"y"}',
        b'{"event":"note","text":"' + b"x" * 70_000 + b'"}',
    ],
    ids=lambda line: line[:60].decode(errors="replace"),
)
def test_a_line_of_results_that_is_not_believed(tmp_path: Path, line: bytes) -> None:
    hello = seeds.results()[0].split(b"\n")[0]
    (tmp_path / "results.jsonl").write_bytes(hello + b"\n" + line + b"\n")
    told = suite.read_results(tmp_path)
    assert told.hello is not None
    (problem,) = told.problems
    assert problem.startswith(("line 2 is no event of the suite: ", "line 2 is over "))
    assert (told.bench_note, told.done, told.bench) == ("", False, ())


def test_a_sparse_giant_is_read_up_to_the_limit(tmp_path: Path) -> None:
    with (tmp_path / "results.jsonl").open("wb") as file:
        file.truncate(1 << 40)
    told = suite.read_results(tmp_path)
    assert f"over {suite.LIMIT_BYTES} bytes" in told.problems[0]
    assert not told.done


def test_a_console_of_one_endless_line(tmp_path: Path) -> None:
    """stream() keeps 16 MiB; a kernel's line may stand anywhere in it."""
    log = tmp_path / "console.log"
    log.write_bytes(b"a" * (8 << 20) + b"[    1.000000][    T1] BUG: x" + b"y" * (8 << 20))
    (splat,) = console.scan(log).splats
    assert len(splat.title) < 3000
    assert len(splat.excerpt) < 3000


def test_a_kernel_that_reports_without_end_is_cut_short() -> None:
    line = "[    {}.000000][    T1] BUG: x{}\n"
    same = "".join(line.format(n, "") for n in range(2000))
    other = "".join(line.format(n, n) for n in range(2000))
    assert len(console.scan_text(same).splats) == 1
    assert len(console.scan_text(other).splats) == 1000
    new = console.scan_text(same + "[    1.000000][    T2] BUG: new").splats
    assert [splat.title for splat in new] == ["x", "new"]


def test_an_escape_sequence_without_an_end_hides_no_line_of_the_kernel() -> None:
    text = "\x1b]0;\n[    1.000000][    T1] BUG: x\n\x07\n"
    assert [splat.title for splat in console.scan_text(text).splats] == ["x"]


def test_a_build_log_without_end_is_cut_short() -> None:
    found = warnings.diagnostics(f"f.c:{n}: error: x" for n in range(20_000))
    assert len(found) == warnings.MOST_DIAGNOSTICS
    (one,) = warnings.diagnostics([f"f.c:1: error: {'x' * (1 << 20)}"])
    assert len(one.message) == warnings.LONGEST_MESSAGE


def test_a_build_log_of_one_endless_line(tmp_path: Path) -> None:
    log = tmp_path / "build.log"
    log.write_bytes(b"f.c:1: error: x\n" + b"\xff" * (4 << 20))
    lines = list(warnings.read_log(log))
    assert lines[0] == "f.c:1: error: x"
    assert max(map(len, lines)) <= 64 << 10
    assert sum(map(len, lines[1:])) == 4 * (4 << 20)
