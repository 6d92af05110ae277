# SPDX-License-Identifier: GPL-2.0-or-later
"""What is fuzzed: a function a parser that takes any bytes and fails only when a promise is broken.

A KverdictError is a promise kept; any other exception, a hang or memory without bound is a crash.
scripts/fuzz.py drives these with atheris, test_regressions.py replays what was found.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch

import b4
from pydantic import ValidationError
from rich.cells import cell_len

from kverdict import am, b4worker, conflict, elf, mails, screen, text, uapi
from kverdict.errors import InfraError, KverdictError, PatchError, UserError
from kverdict.findings import console, suite, warnings
from kverdict.kconfig import environ, fragment
from kverdict.kconfig.protocol import Reply
from kverdict.proc import Finished, _LineSplitter
from kverdict.stages import configure
from tests.fuzz import seeds

# b4's find_trailers() takes the cube of a line's length; what ends that is the worker's CPU limit.
_LONGEST_FOR_B4 = 300
_MEMORY = Path("/dev/shm") if Path("/dev/shm").is_dir() else None  # a disk takes 10 ms for each
_FINGERPRINT = re.compile(r"[A-Za-z0-9_.-]{8,60}")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


@dataclass(frozen=True)
class Target:
    """``words`` are pieces of the format: whole lines for a text, fields for a binary file."""

    name: str
    check: Callable[[bytes], None]
    seeds: Callable[[], list[bytes]]
    words: tuple[bytes, ...]
    lines: bool = True  # the format is made of lines
    longest: int = 16 << 10  # bytes of an input


def _no_control(words: str) -> None:
    assert not _CONTROL.search(words), f"control characters in {words!r}"
    words.encode()  # no lone surrogates


def _decoded(data: bytes) -> str:
    return data.decode(errors="backslashreplace")


# --- mail ---------------------------------------------------------------------------------------


def check_mail(data: bytes) -> None:
    word = data[:500].decode(errors="surrogateescape")
    with suppress(UserError):
        found = mails.message_id_of(word)
        assert mails.message_id_of(found) == found
    try:
        box = mails.one_mailbox(data, "mail")
    except UserError:
        box = data
    else:
        assert box.startswith(b"From ")
        assert mails.one_mailbox(box, "mail") == box
    parts = am.split_mboxrd(box)
    whole = b"".join(part.data for part in parts)
    assert box.endswith(whole)
    assert not re.search(rb"^From ", box.removesuffix(whole), re.MULTILINE)
    for part in parts[:20]:
        assert len(part.subject.splitlines()) <= 1
        assert isinstance(part.message_id, str)
        assert isinstance(part.text, str)
        assert list(part.paths) == sorted(set(part.paths))


def check_screen(data: bytes) -> None:
    """A series before git sees it; all paths that are let through stay in the tree."""
    parts = [part.data for part in am.split_mboxrd(data)]
    try:
        announced = screen.screen(parts)
    except PatchError as error:
        _no_control(str(error))
        return
    for path in (path for one in announced for path in one.modes):
        assert not path.startswith("/") and ".." not in path.split("/")
        assert ".git" not in path.lower().split("/")
        _no_control(path)


def check_worker(data: bytes) -> None:
    """What the worker does with a mailbox, up to where git and gpg would be asked."""
    words = data.decode(errors="replace")
    b4worker.trailing_lines(words)
    b4worker.what_is_cut_off(words, "1\t2\tfile\n-\t-\tpicture\n")
    _no_control(b4worker.plain(words))
    _no_control(b4worker.plain_lines(words))
    if max(map(len, words.split("\n"))) > _LONGEST_FOR_B4:
        return
    b4worker.trailers(words)
    # b4 is not in a process of its own here: no network, no git, no configuration of the user's.
    main = {**b4.DEFAULT_CONFIG, "attestation-policy": "off", "attestation-check-dkim": "no"}
    plainly: dict[str, Any] = {"can_network": False, "MAIN_CONFIG": main, "USER_CONFIG": {}}
    plainly["git_run_command"] = lambda *_, **__: (1, b"")
    with (
        TemporaryDirectory(dir=_MEMORY) as folder,
        patch.multiple(b4, **plainly),
        suppress(b4worker.Ended, SystemExit, RecursionError),
    ):
        _read_as_series(Path(folder), data)


def _read_as_series(folder: Path, data: bytes) -> None:
    box, written = folder / "in.mbx", folder / "out.mbx"
    box.write_bytes(data)
    read = b4worker.mails_from_file(box)
    b4worker.mend_dates(read)
    assert all(b4worker.date_of(mail) for mail in read)
    b4worker.write_mboxrd(written, read)
    assert len(am.split_mboxrd(written.read_bytes())) == len(read)
    threads = b4.LoreMailbox()
    for mail in filter(b4worker.has_usable_id, read):
        threads.add_message(mail)
    series, _ = b4worker.pick(threads, None)
    b4worker.check_whole(series, 100, sorted(threads.series))
    b4worker.attest(series.patches[1:], "off", 1)
    for one in filter(None, series.patches):
        _no_control(b4worker.plain(one.msgid))
        b4worker.plain_lines(one.body)
        _no_control(b4worker.address(one.fromname, one.fromemail))
        _no_control(b4worker.plain(one.subject))


# --- what a guest, a build and a tree leave -----------------------------------------------------


def check_results(data: bytes) -> None:
    with TemporaryDirectory(dir=_MEMORY) as folder:
        Path(folder, "results.jsonl").write_bytes(data)
        told = suite.read_results(Path(folder))
    json.loads(told.model_dump_json())
    assert len(told.problems) <= suite.MOST_PROBLEMS + 1
    assert len(told.cases) == len(suite.list_cases())
    for case in told.cases:
        assert math.isfinite(case.seconds)
        _no_control(case.message)
    for problem in (*told.problems, told.bench_note, told.release or ""):
        _no_control(problem)
        assert len(problem) <= 8192


def check_console(data: bytes) -> None:
    words = _decoded(data)
    cleaned = console.clean(words)
    _no_control(cleaned)
    assert console.clean(cleaned) == cleaned
    for line in words.split("\n"):
        if case := console.announced(line):
            _no_control(case)
    try:
        splats = console.scan_text(words).splats
    except InfraError:
        assert not list(console.kernel_lines(words))
        return
    for splat in splats:
        json.loads(splat.to_json())
        _no_control(splat.title + splat.excerpt)
        assert "\n" not in splat.title
        assert _FINGERPRINT.fullmatch(splat.fingerprint)
        assert len(splat.frames) <= 8
        assert 1 <= splat.line <= words.count("\n") + 1


def check_build_log(data: bytes) -> None:
    lines = _decoded(data).splitlines()
    found = warnings.diagnostics(lines)
    assert len(set(found)) == len(found)
    for one in found:
        json.loads(one.to_json())
        assert one.severity in ("error", "warning")
    first = warnings.first_error(lines)
    assert first is None or first.severity == "error"


def check_config(data: bytes) -> None:
    words = _decoded(data)
    with suppress(UserError):
        goals = fragment.parse(words, "fuzz.config")
        again = fragment.parse(fragment.as_config(goals), "fuzz.config")
        assert [(one.name, one.value) for one in again] == [(one.name, one.value) for one in goals]
    values = configure.read_config(words)
    assert configure.compare(words, words) == ()
    assert all("\n" not in value for value in values.values())
    assert all(name.isidentifier() for name in environ.parse(data))
    with suppress(ValidationError):
        Reply.from_json(data)
    done = Finished(("make",), 2, b"", data, 1.0)
    assert isinstance(configure._make_failed(done), KverdictError)


def check_elf(data: bytes) -> None:
    with TemporaryDirectory(dir=_MEMORY) as folder:
        path = Path(folder, "vmlinux")
        path.write_bytes(data)
        found = elf.build_id(path)
    assert found is None or re.fullmatch(r"[0-9a-f]{2,128}", found)


def check_header(data: bytes) -> None:
    try:
        flags = uapi.facts_from_header(_decoded(data)).flags
    except PatchError as error:
        assert len(str(error)) < 500
        return
    assert all(bit.bit_count() == 1 and bit < 1 << 64 for bit in flags.values())


def check_conflict(data: bytes) -> None:
    diff, _, file = data.partition(seeds.BETWEEN)
    found = conflict.misfits(diff.decode(errors="surrogateescape"), lambda path: file or None)
    for misfit in found:
        assert len(misfit.expected) <= conflict.LINES_SHOWN
        assert len(misfit.found) <= conflict.LINES_SHOWN
        _no_control(misfit.one_line())
    conflict._last_words(_decoded(data))


def check_lines(data: bytes) -> None:
    """The first bytes say how long the pieces are in which the rest comes."""
    sizes, stream = data[:8] or b"\1", data[8:]
    heard: list[str] = []
    splitter = _LineSplitter(heard.append)
    at = turn = 0
    while at < len(stream):
        size = 1 + sizes[turn % len(sizes)]
        splitter.feed(stream[at : at + size])
        at, turn = at + size, turn + 1
    splitter.flush()
    whole = stream.removesuffix(b"\n").split(b"\n") if stream else []
    assert heard == [_decoded(line).rstrip("\r") for line in whole]


def check_text(data: bytes) -> None:
    words = data.decode(errors="surrogateescape")
    shown = text.printable(words)
    _no_control(shown)
    assert text.printable(shown) == shown
    assert "\n" not in text.one_line(words)
    for columns in (10, 72):
        assert cell_len(text.shorten(words, columns)) <= columns
        assert all(cell_len(line) <= columns for line in text.fold(words, columns))


TARGETS = {
    target.name: target
    for target in (
        Target("mail", check_mail, seeds.mails, seeds.MAIL),
        Target("screen", check_screen, seeds.mails, seeds.MAIL + seeds.DIFF),
        Target("worker", check_worker, seeds.small_series, seeds.MAIL + seeds.DIFF),
        Target("results", check_results, seeds.results, tuple(seeds.results()[0].splitlines())),
        Target("console", check_console, seeds.consoles, seeds.CONSOLE),
        Target("build-log", check_build_log, seeds.build_logs, seeds.BUILD_LOG),
        Target("config", check_config, seeds.configs, seeds.CONFIG),
        Target("elf", check_elf, seeds.elf_files, (b"\x7fELF\x02\x01", b"GNU\0"), lines=False),
        Target("header", check_header, seeds.headers, seeds.HEADER),
        Target("conflict", check_conflict, seeds.conflicts, (*seeds.DIFF, seeds.BETWEEN)),
        Target("lines", check_lines, lambda: [b"\7\1" * 4 + b"a\r\nb\n\nc\xff"], (b"\r", b"\xc3")),
        Target(
            "text",
            check_text,
            lambda: ["a\x1b[1mb\u202ec \u3042\u0301 \U0001f600\n  d".encode()],
            ("\u3042".encode(), "\u0301".encode(), b"\x1b", "\u202e".encode(), b"\t", b" " * 30),
            longest=2 << 10,
        ),
    )
}
