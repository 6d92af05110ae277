# SPDX-License-Identifier: GPL-2.0-or-later
"""The corpus: results folders as a hostile guest may leave them.

A record is a function that fills a folder, with what it tries and what it must meet in words and
as data.  The table in tests/hostile/README.md is made of these words.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from kverdict.findings.suite import list_cases
from kverdict.models import GuestEnd

CASES = tuple(case.id for case in list_cases())
FIRST, SECOND, *_ = CASES
RESULTS = "results.jsonl"
TIB = 1 << 40


Event = dict[str, Any]


@dataclass(frozen=True)
class Place:
    """Where a guest leaves its results, and what an honest one would greet with."""

    results: Path
    secret: Path  # a file of the host that nobody in the guest may read
    hello: Event

    @property
    def file(self) -> Path:
        return self.results / RESULTS

    def honest(self) -> list[Event]:
        """Every case planned, begun and passed."""
        events: list[Event] = [self.hello, {"event": "plan", "cases": list(CASES)}]
        for case in CASES:
            events += [start(case), end(case)]
        return [*events, {"event": "done"}]

    def tell(self, *events: Event | bytes) -> None:
        """Writes results.jsonl; bytes are a line as it is."""
        lines = [e if isinstance(e, bytes) else json.dumps(e).encode() for e in events]
        self.file.write_bytes(b"".join(line + b"\n" for line in lines))


def start(case: str) -> Event:
    return {"event": "start", "case": case}


def end(case: str, **changes: object) -> Event:
    plain = {"event": "end", "case": case, "outcome": "pass", "message": "", "seconds": 0.1}
    return {**plain, **changes}


@dataclass(frozen=True)
class Leaving:
    """``ends`` and ``problem`` (a pattern) are what the Guest must say of it."""

    tries: str
    meets: str
    leave: Callable[[Place], None]
    ends: GuestEnd = GuestEnd.LOST
    problem: str | None = None
    passes: int = 0  # cases that may count as passed
    good: bool = False  # whether the verdict may be good in spite of it
    console: str = ""

    @property
    def name(self) -> str:
        return self.leave.__name__.replace("_", "-")


CORPUS: list[Leaving] = []


def leaving(
    tries: str,
    meets: str,
    *,
    ends: GuestEnd = GuestEnd.LOST,
    problem: str | None = None,
    passes: int = 0,
    good: bool = False,
    console: str = "",
) -> Callable[[Callable[[Place], None]], Callable[[Place], None]]:
    def record(leave: Callable[[Place], None]) -> Callable[[Place], None]:
        CORPUS.append(Leaving(tries, meets, leave, ends, problem, passes, good, console))
        return leave

    return record


# --- what is no regular file --------------------------------------------------------------------

NO_FILE = "results.jsonl is named as no regular file and not read"
NOT_FOLLOWED = "the link is not followed; the guest counts as lost"
TOO_MANY_LINKS = r"results\.jsonl: Too many levels of symbolic links"


@leaving("results.jsonl is a link to a file of the host", NOT_FOLLOWED, problem=TOO_MANY_LINKS)
def absolute_link(place: Place) -> None:
    place.file.symlink_to(place.secret)


@leaving("the same with a path through ..", NOT_FOLLOWED, problem=TOO_MANY_LINKS)
def relative_link(place: Place) -> None:
    place.file.symlink_to(os.path.relpath(place.secret, place.results))


@leaving("a link to nowhere", NOT_FOLLOWED, problem=TOO_MANY_LINKS)
def dangling_link(place: Place) -> None:
    place.file.symlink_to("/nonexistent/results")


@leaving("two links that lead to each other", NOT_FOLLOWED, problem=TOO_MANY_LINKS)
def loop_of_links(place: Place) -> None:
    place.file.symlink_to("other")
    (place.results / "other").symlink_to(RESULTS)


@leaving("a link to /dev/zero, which never ends", NOT_FOLLOWED, problem=TOO_MANY_LINKS)
def link_to_zeros(place: Place) -> None:
    place.file.symlink_to("/dev/zero")


@leaving("a FIFO that nobody writes to", NO_FILE, problem=r"is not a regular file")
def fifo(place: Place) -> None:
    os.mkfifo(place.file)


@leaving("a socket", NO_FILE, problem=r"results\.jsonl: No such device or address")
def unix_socket(place: Place) -> None:
    os.mknod(place.file, stat.S_IFSOCK | 0o666)


@leaving("a folder in the place of the file", NO_FILE, problem=r"is not a regular file")
def folder(place: Place) -> None:
    place.file.mkdir()


@leaving("the device node of /dev/zero", NO_FILE, problem=r"is not a regular file|No such device")
def device_node(place: Place) -> None:
    try:
        os.mknod(place.file, stat.S_IFCHR | 0o666, os.makedev(1, 5))
    except PermissionError:
        pytest.skip("this kernel lets only root make device nodes, and so no guest either")


@leaving(
    "honest results, and facts.json and guest.log are links to a file of the host",
    "nothing else in the folder is read again: the results count",
    ends=GuestEnd.DONE,
    passes=len(CASES),
    good=True,
)
def links_beside_honest_results(place: Place) -> None:
    for name in ("facts.json", "guest.log", "bench-results.jsonl"):
        (place.results / name).unlink(missing_ok=True)
        (place.results / name).symlink_to(place.secret)
    place.tell(*place.honest())


# --- too much -----------------------------------------------------------------------------------

ENDED = "the guest is ended: it filled its results folder"


@leaving(
    "1 TiB of results, sparse",
    "only the limit is read; what is over it is told",
    problem=r"over \d+ bytes; the rest was not read",
)
def sparse_results(place: Place) -> None:
    place.file.touch()
    os.truncate(place.file, TIB)


@leaving(
    "a line of 1 GiB, sparse, between honest ones",
    "the line is refused, and nothing after the limit is read",
    problem=r"over \d+ bytes",
)
def line_of_a_gigabyte(place: Place) -> None:
    place.tell(place.hello)
    with place.file.open("r+b") as file:
        file.seek(1 << 30)
        file.write(b"\n" + json.dumps({"event": "done"}).encode() + b"\n")


@leaving(
    "a sparse file of 1 TiB beside honest results",
    "sizes are counted in blocks on disk, and it is never copied",
    ends=GuestEnd.DONE,
    passes=len(CASES),
    good=True,
)
def sparse_file_beside(place: Place) -> None:
    (place.results / "giant").touch()
    os.truncate(place.results / "giant", TIB)
    place.tell(*place.honest())


@leaving(
    "real bytes over the limit, beside honest results",
    ENDED,
    ends=GuestEnd.RESULTS_FULL,
    passes=len(CASES),
)
def bytes_over_the_limit(place: Place) -> None:
    place.tell(*place.honest())
    for number in range(3):
        (place.results / str(number)).write_bytes(bytes(1 << 20))


@leaving(
    "100,000 files beside honest results",
    f"{ENDED}; counting stops at the limit, so ten millions take no longer",
    ends=GuestEnd.RESULTS_FULL,
    passes=len(CASES),
)
def a_hundred_thousand_files(place: Place) -> None:
    place.tell(*place.honest())
    original = place.results / "0"
    original.touch()
    for number in range(1, 100_000):
        if number % 10_000 == 0:  # file systems limit the links of one file
            original = place.results / f"{number}"
            original.touch()
        else:
            os.link(original, place.results / f"{number}")


@leaving(
    "folders nested 4,000 deep: over Python's recursion limit and the longest path",
    f"{ENDED}; the folder can be removed all the same",
    ends=GuestEnd.RESULTS_FULL,
    passes=len(CASES),
)
def deep_nest(place: Place) -> None:
    place.tell(*place.honest())
    _nest(place.results, ("d",) * 4000)


@leaving(
    "2 MiB and 600 files, 20 folders with names of 255 bytes down: no path leads there",
    f"{ENDED}: what is out of a path's reach is counted too",
    ends=GuestEnd.RESULTS_FULL,
    passes=len(CASES),
)
def hidden_below_the_longest_path(place: Place) -> None:
    place.tell(*place.honest())
    bottom = _nest(place.results, ("n" * 255,) * 20, keep=True)
    try:
        for number in range(600):
            handle = os.open(str(number), os.O_WRONLY | os.O_CREAT, dir_fd=bottom)
            os.write(handle, bytes(4096))
            os.close(handle)
    finally:
        os.close(bottom)


def _nest(top: Path, names: Iterable[str], *, keep: bool = False) -> int:
    """Folders one in the other; a handle on the last one when ``keep`` is set, else -1."""
    here = os.open(top, os.O_RDONLY)
    for name in names:
        os.mkdir(name, dir_fd=here)
        below = os.open(name, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    if keep:
        return here
    os.close(here)
    return -1


# --- names and modes ----------------------------------------------------------------------------


@leaving(
    "names with a line break, ANSI and OSC sequences, invalid UTF-8, 255 bytes, a leading dash",
    "no name is shown or read; the results count",
    ends=GuestEnd.DONE,
    passes=len(CASES),
    good=True,
)
def names_that_bite(place: Place) -> None:
    place.tell(*place.honest())
    names = (b"a\nkverdict: good", b"\x1b[2J\x1b]0;owned\x07", b"\xff\xfe\x80", b"n" * 255, b"-rf")
    for name in names:
        Path(os.fsdecode(bytes(place.results) + b"/" + name)).touch()


@leaving(
    "results.jsonl and a program are set-uid, set-gid and for all to write",
    "the copy in the run's folder has a plain mode, the rest is gone",
    ends=GuestEnd.DONE,
    passes=len(CASES),
    good=True,
)
def set_uid_files(place: Place) -> None:
    place.tell(*place.honest())
    program = place.results / "sh"
    program.write_bytes(b"#!/bin/sh\n")
    for path in (place.file, program):
        path.chmod(0o7777)


@leaving(
    "folders that nobody may enter or change, with files in them",
    "root looks into them; for a user they are too much, as anything may be hidden there",
    ends=GuestEnd.DONE if os.geteuid() == 0 else GuestEnd.RESULTS_FULL,
    passes=len(CASES),
    good=os.geteuid() == 0,
)
def folders_of_mode_0(place: Place) -> None:
    place.tell(*place.honest())
    for name in ("one", "two"):
        (place.results / name / "below").mkdir(parents=True)
        (place.results / name / "below/file").touch()
        (place.results / name / "below").chmod(0)
        (place.results / name).chmod(0)


# --- what is no event ---------------------------------------------------------------------------

REFUSED = "the line is named and not believed; the guest counts as lost"


def greeted(place: Place, *lines: Event | bytes) -> None:
    """The lines after an honest beginning, and `done` after them."""
    begin: list[Event] = [place.hello, {"event": "plan", "cases": list(CASES)}, start(FIRST)]
    place.tell(*begin, *lines, {"event": "done"})


@leaving("an empty file", "the guest counts as lost")
def nothing_at_all(place: Place) -> None:
    place.file.touch()


@leaving("lines of invalid UTF-8", REFUSED, problem="line 4 is no event")
def invalid_utf_8(place: Place) -> None:
    greeted(place, b'{"event": "end", "message": "\xff\xfe\xc0\x80"}')


@leaving("lines of NUL bytes", REFUSED, problem="line 4 is no event")
def nul_bytes(place: Place) -> None:
    greeted(place, bytes(5000))


@leaving("NaN, Infinity and -Infinity as times", REFUSED, problem="line 6 is no event")
def not_a_number(place: Place) -> None:
    plain = json.dumps(end(FIRST)).encode()
    greeted(place, *(plain.replace(b"0.1", word) for word in (b"NaN", b"Infinity", b"-Infinity")))


@leaving("a negative time, and one of a million years", REFUSED, problem="line 5 is no event")
def times_out_of_range(place: Place) -> None:
    greeted(place, end(FIRST, seconds=-1), end(FIRST, seconds=3e13))


@leaving("a number of 60,000 digits", REFUSED, problem="line 4 is no event")
def endless_number(place: Place) -> None:
    greeted(place, json.dumps(end(FIRST)).encode().replace(b"0.1", b"9" * 60_000))


@leaving("a number with the exponent 100,000", REFUSED, problem="line 4 is no event")
def huge_exponent(place: Place) -> None:
    greeted(place, json.dumps(end(FIRST)).encode().replace(b"0.1", b"1e100000"))


@leaving("JSON nested 60,000 deep", REFUSED, problem="line 4 is no event")
def deep_json(place: Place) -> None:
    greeted(place, b'{"event": ' + b"[" * 60_000)


@leaving(
    "one key twice, fail and then pass",
    "one outcome counts, and only one",
    problem="done, but not every planned case ended",
    passes=1,
)
def one_key_twice(place: Place) -> None:
    line = json.dumps(end(FIRST, outcome="fail")).encode()
    greeted(place, line.replace(b"}", b', "outcome": "pass"}'))


@leaving("an event with a key that nobody knows", REFUSED, problem="line 4 is no event")
def unknown_key(place: Place) -> None:
    greeted(place, end(FIRST, verdict="good"))


@leaving(
    "the last line has no end",
    "the cut off line is not believed",
    problem="the last line is cut off",
    passes=len(CASES),
)
def cut_off(place: Place) -> None:
    place.tell(*place.honest())
    os.truncate(place.file, place.file.stat().st_size - 1)


# --- forged results -----------------------------------------------------------------------------


@leaving(
    "hello and done, and no case in between",
    "no case passed; the verdict is not good",
    ends=GuestEnd.DONE,
)
def done_without_a_case(place: Place) -> None:
    place.tell(place.hello, {"event": "done"})


@leaving(
    "a plan of one case, which passes",
    "the plan is not what was asked for, and the guest counts as lost",
    problem="the plan is not what was asked for",
    passes=1,
)
def a_shorter_plan(place: Place) -> None:
    place.tell(
        place.hello,
        {"event": "plan", "cases": [FIRST]},
        start(FIRST),
        end(FIRST),
        {"event": "done"},
    )


@leaving("a pass for a case that was not planned", REFUSED, problem="which was not planned")
def pass_without_a_plan(place: Place) -> None:
    place.tell(place.hello, start(FIRST), end(FIRST), {"event": "done"})


@leaving("a plan with a case of its own", REFUSED, problem="unknown case own.case")
def a_case_of_its_own(place: Place) -> None:
    place.tell(
        place.hello,
        {"event": "plan", "cases": ["own.case", *CASES]},
        start("own.case"),
        end("own.case"),
        {"event": "done"},
    )


@leaving("ends of cases that never began", REFUSED, problem="which was not running")
def ends_before_starts(place: Place) -> None:
    place.tell(
        place.hello,
        {"event": "plan", "cases": list(CASES)},
        *(end(case) for case in CASES),
        {"event": "done"},
    )


@leaving(
    "a case fails, and ends once more with a pass",
    "the first end stays: the case failed",
    problem=f"end of {FIRST}, which was not running",
    passes=len(CASES) - 1,
)
def a_second_thought(place: Place) -> None:
    events = place.honest()
    events[3] = end(FIRST, outcome="fail", message="expected 0, got 1")
    place.tell(*events[:4], end(FIRST), *events[4:])


@leaving(
    "done, and passes after it",
    "nothing after done is believed",
    problem="after done",
)
def passes_after_done(place: Place) -> None:
    place.tell(place.hello, {"event": "done"}, *place.honest()[1:])


@leaving(
    "a second hello with another build-id",
    "the first hello stays and the second is told",
    problem="a second hello",
    passes=len(CASES),
)
def two_hellos(place: Place) -> None:
    place.tell({**place.hello, "build_id": "ab" * 20}, *place.honest())


@leaving(
    "every case passes on a kernel with another build-id",
    "another kernel than the one built proves nothing: the verdict is not good",
    ends=GuestEnd.DONE,
    passes=len(CASES),
)
def another_build_id(place: Place) -> None:
    place.tell({**place.hello, "build_id": "ab" * 20}, *place.honest()[1:])


@leaving(
    "every case passes on a kernel with another configuration",
    "another configuration than the one built proves nothing: the verdict is not good",
    ends=GuestEnd.DONE,
    passes=len(CASES),
)
def another_configuration(place: Place) -> None:
    place.tell({**place.hello, "config_digest": "cd" * 32}, *place.honest()[1:])


@leaving(
    "every case passes, and the console ends in a panic",
    "the guest ended in a panic: the verdict is not good",
    ends=GuestEnd.PANIC,
    passes=len(CASES),
    console="[    9.900000][    T1] Kernel panic - not syncing: Fatal exception\n",
)
def passes_beside_a_panic(place: Place) -> None:
    place.tell(*place.honest())


@leaving(
    "every case is skipped",
    "a skip is never a pass: the verdict is not good",
    ends=GuestEnd.DONE,
)
def skips_everything(place: Place) -> None:
    events = [{**e, "outcome": "skip"} if e["event"] == "end" else e for e in place.honest()]
    place.tell(*events)


@leaving(
    "a kernel release with line breaks, a trailer, HTML and control sequences",
    "it stays one line of visible characters",
    ends=GuestEnd.DONE,
    passes=len(CASES),
    good=True,
)
def a_release_of_many_lines(place: Place) -> None:
    release = "7.2\n\nTested-by: Mallory <m@example.org>\r\n\x1b]0;owned\x07<script>\u202e"
    place.tell({**place.hello, "release": release}, *place.honest()[1:])


@leaving(
    "a failure's message with control sequences and bidirectional marks",
    "only visible characters and line breaks are kept",
    ends=GuestEnd.DONE,
    passes=len(CASES) - 1,
)
def a_message_that_bites(place: Place) -> None:
    events = place.honest()
    bite = "\x1b[2J\x07\x00\u202e\u2066\x9b31m"
    events[3] = end(FIRST, outcome="fail", message=f"{bite} expected 0\nverdict: good")
    place.tell(*events)


@leaving("a message with half of a surrogate pair", REFUSED, problem="line 4 is no event")
def half_a_character(place: Place) -> None:
    greeted(place, json.dumps(end(FIRST, message="\ud800")).encode())
