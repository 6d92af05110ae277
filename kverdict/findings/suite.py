# SPDX-License-Identifier: GPL-2.0-or-later
"""The guest suite seen from the host: its cases, its results, and running it on this kernel.

What the guest writes is hostile input: the kernel under test is a stranger's and can write what
it likes into the results folder.  So it is opened without following links, is limited in size,
is parsed strictly, and what does not fit is named as a problem and not believed.
"""

from __future__ import annotations

import json
import os
import re
import stat
import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Annotated, Literal

from pydantic import ConfigDict, Field, StringConstraints, TypeAdapter, ValidationError

from kverdict import uapi
from kverdict.errors import InfraError, UserError
from kverdict.guest.defects import DEFECTS
from kverdict.guest.programs import KUNIT_RAN as KUNIT_CASE
from kverdict.guest.results import FILE_NAME, LONGEST_MESSAGE, LONGEST_PIECE, VERSION
from kverdict.guest.suite import CASES
from kverdict.models import BenchRow, CaseResult, Frozen, Outcome, TestOutput
from kverdict.proc import Finished, failure_of, stream
from kverdict.progress import Progress, Silent

SUITE_FOLDER = Path(__file__).resolve().parent.parent / "guest"
LIMIT_BYTES = 8 << 20
LONGEST_LINE = 64 << 10
MOST_PROBLEMS = 20
KUNIT = "kunit."  # ids of KUnit's suites begin so
_LOG_LIMIT = 4 << 20


# --- the cases ----------------------------------------------------------------------------------


class Defect(Frozen):
    """A defect that was found in v7 of the series; its cases are ``<id>.*``."""

    id: str
    title: str


class CaseInfo(Frozen):
    """A case as people see it; ``needs`` are GUEST_MEMFD_FLAG_* names without the prefix."""

    id: str
    title: str
    source: str
    needs: tuple[str, ...]
    defect: Defect | None


# Asked with every --kunit: that nothing ran is no reason to be content (guest/programs.py).
KUNIT_RAN = CaseInfo(
    id=KUNIT_CASE,
    title="the kernel runs KUnit's suites when it comes up",
    source="KUnit",
    needs=(),
    defect=None,
)


@cache
def list_cases() -> tuple[CaseInfo, ...]:
    """All cases in the order in which they run."""
    return tuple(
        CaseInfo(
            id=case.id,
            title=case.title,
            source=case.source,
            needs=case.needs,
            defect=defect_of(case.id),
        )
        for case in CASES
    )


def defect_of(case_id: str) -> Defect | None:
    """Which known defect a case is about, so that a report can count defects and not cases."""
    for id, title in DEFECTS.items():
        if case_id.startswith(f"{id}."):
            return Defect(id=id, title=title)
    return None


# --- what the guest wrote -----------------------------------------------------------------------

LONGEST_ID = 160
_ID = re.compile(rf"^[a-z0-9][A-Za-z0-9_.:/-]{{0,{LONGEST_ID - 1}}}$")
_Id = Annotated[str, StringConstraints(pattern=_ID.pattern)]
_Digest = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{2,128}$")]
_Line = Annotated[str, StringConstraints(max_length=8192)]
_Count = Annotated[int, Field(ge=0, lt=1 << 63)]


class _Event(Frozen):
    model_config = ConfigDict(strict=True)


class Hello(_Event):
    """The first line: which kernel runs the suite."""

    event: Literal["hello"]
    version: int
    release: _Line
    build_id: _Digest | None
    cmdline: _Line
    config_digest: _Digest | None
    kvm: bool
    python: _Line


class _Plan(_Event):
    event: Literal["plan"]
    cases: list[_Id] = Field(max_length=10000)


class _Start(_Event):
    event: Literal["start"]
    case: _Id


class _Alive(_Event):
    event: Literal["alive"]
    case: _Id


class _Output(_Event):
    event: Literal["output"]
    case: _Id
    text: str = Field(max_length=LONGEST_PIECE)


class _End(_Event):
    event: Literal["end"]
    case: _Id
    outcome: Literal["pass", "fail", "skip", "timeout", "crash", "error"]
    message: str = Field(max_length=LONGEST_MESSAGE)
    seconds: float = Field(ge=0, le=1e6)


class _Bench(_Event):
    event: Literal["bench"]
    name: Literal["write", "memcpy"]
    unit: _Line
    clock: _Line
    mib: Annotated[int, Field(gt=0, le=1 << 20)]
    rounds: list[_Count] = Field(min_length=1, max_length=1000)
    median: _Count
    minimum: _Count
    maximum: _Count


class _Note(_Event):
    event: Literal["note"]
    text: _Line


class _Done(_Event):
    event: Literal["done"]


_AnyEvent = Hello | _Plan | _Start | _Alive | _Output | _End | _Bench | _Note | _Done
_EVENTS: TypeAdapter[_AnyEvent] = TypeAdapter(Annotated[_AnyEvent, Field(discriminator="event")])


class SuiteResults(Frozen):
    """What one run of the guest program reported.

    ``cases`` holds every case that was asked for, in the suite's order: one that began and did not
    end is a CRASH, one that did not begin is NOT_RUN.  ``problems`` says what was not believed.
    """

    hello: Hello | None
    cases: tuple[CaseResult, ...]
    bench: tuple[BenchRow, ...]
    bench_note: str
    done: bool
    problems: tuple[str, ...]
    outputs: tuple[TestOutput, ...] = ()

    @property
    def release(self) -> str | None:
        return self.hello.release if self.hello else None

    @property
    def build_id(self) -> str | None:
        return self.hello.build_id if self.hello else None

    @property
    def config_digest(self) -> str | None:
        return self.hello.config_digest if self.hello else None

    @property
    def kvm(self) -> bool:
        return self.hello is not None and self.hello.kvm


def read_results(
    folder: Path,
    *,
    cases: Sequence[str] | None = None,
    others: Sequence[CaseInfo] = (),
    kunit: bool = False,
    limit_bytes: int = LIMIT_BYTES,
) -> SuiteResults:
    """``folder``/results.jsonl as far as it can be believed; never raises for what is in it.

    ``cases`` are the ids that were asked for; all of the suite's by default.  ``others`` are the
    programs that can be asked for besides, and with ``kunit`` suites have any name.
    """
    data, problems = _read(folder / FILE_NAME, limit_bytes)
    reader = _Reader(problems=problems, known=(*list_cases(), *others), kunit=kunit)
    for number, line in enumerate(_lines(data, reader), 1):
        reader.take(number, line)
    return reader.results(cases)


def _read(path: Path, limit: int) -> tuple[bytes, list[str]]:
    try:
        # Without O_NONBLOCK a FIFO in its place would hold us here for ever.
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        return b"", [f"{path.name}: {error.strerror}"]
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        return b"", [f"{path.name} is not a regular file"]
    with os.fdopen(fd, "rb") as file:
        data = file.read(limit + 1)
    if len(data) > limit:
        return data[:limit], [f"{path.name} is over {limit} bytes; the rest was not read"]
    return data, []


def _lines(data: bytes, reader: _Reader) -> list[bytes]:
    *lines, rest = data.split(b"\n")
    if rest:
        reader.problem("the last line is cut off")
    return lines


@dataclass
class _Reader:
    """Takes events in order and keeps what fits together."""

    problems: list[str]
    known: tuple[CaseInfo, ...]
    kunit: bool
    hello: Hello | None = None
    planned: list[str] | None = None
    running: str | None = None
    ended: dict[str, _End] = field(default_factory=dict)
    outputs: dict[str, str] = field(default_factory=dict)
    bench: dict[str, BenchRow] = field(default_factory=dict)
    note: str = ""
    done: bool = False

    def problem(self, text: str) -> None:
        if len(self.problems) < MOST_PROBLEMS:
            self.problems.append(text)

    def take(self, number: int, line: bytes) -> None:
        if len(line) > LONGEST_LINE:
            self.problem(f"line {number} is over {LONGEST_LINE} bytes")
            return
        try:
            event = _EVENTS.validate_json(line)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            self.problem(f"line {number} is no event of the suite: {_plain(first['msg'])[:200]}")
            return
        wrong = self._accept(event)
        if wrong:
            self.problem(f"line {number}: {wrong}")

    def _accept(self, event: _AnyEvent) -> str | None:
        """Why the event does not fit what came before, None when it does."""
        if self.done:
            return f"{event.event} after done"
        if self.hello is None and not isinstance(event, Hello):
            return f"{event.event} before hello"
        match event:
            case Hello():
                return self._greet(event)
            case _Plan():
                return self._plan(event)
            case _Start():
                return self._start(event)
            case _Alive():
                return self._alive(event)
            case _Output():
                return self._output(event)
            case _End():
                return self._end(event)
            case _Bench():
                return self._bench(event)
            case _Note():
                self.note = _plain(event.text)
            case _Done():
                return self._done()
        return None

    def _greet(self, event: Hello) -> str | None:
        if self.hello is not None:
            return "a second hello"
        if event.version != VERSION:
            return f"the suite is of version {event.version}, expected {VERSION}"
        self.hello = event.model_copy(
            update={
                name: _plain(getattr(event, name)).replace("\n", "\ufffd")
                for name in ("release", "cmdline", "python")
            }
        )
        return None

    def _plan(self, event: _Plan) -> str | None:
        if self.planned is not None:
            return "a second plan"
        if len(set(event.cases)) != len(event.cases):
            return "a plan that names a case twice"
        unknown = set(event.cases) - {case.id for case in self.known}
        if unknown := {id for id in unknown if not (self.kunit and of_kunit(id))}:
            return f"a plan with unknown case {min(unknown)}"
        self.planned = event.cases
        return None

    def _start(self, event: _Start) -> str | None:
        if event.case not in (self.planned or ()):
            return f"start of {event.case}, which was not planned"
        if self.running is not None or event.case in self.ended:
            return f"start of {event.case} out of turn"
        self.running = event.case
        return None

    def _alive(self, event: _Alive) -> str | None:
        if event.case != self.running:
            return f"a word of {event.case}, which was not running"
        return None

    def _output(self, event: _Output) -> str | None:
        if event.case != self.running:
            return f"output of {event.case}, which was not running"
        self.outputs[event.case] = self.outputs.get(event.case, "") + event.text
        return None

    def _end(self, event: _End) -> str | None:
        if event.case != self.running:
            return f"end of {event.case}, which was not running"
        self.running = None
        self.ended[event.case] = event
        return None

    def _bench(self, event: _Bench) -> str | None:
        if event.name in self.bench:
            return f"a second benchmark of {event.name}"
        self.bench[event.name] = BenchRow(
            name=event.name,
            unit=_plain(event.unit),
            mib=event.mib,
            rounds=tuple(event.rounds),
            median=round(statistics.median(event.rounds)),
            minimum=min(event.rounds),
            maximum=max(event.rounds),
        )
        return None

    def _done(self) -> str | None:
        if self.running is not None:
            return f"done, but {self.running} did not end"
        if self.planned is not None and set(self.planned) != set(self.ended):
            return "done, but not every planned case ended"
        self.done = True
        return None

    def results(self, asked: Sequence[str] | None) -> SuiteResults:
        suites = [_suite(id) for id in self.planned or () if id.startswith(KUNIT)]
        every = (*((KUNIT_RAN,) if self.kunit else ()), *suites, *self.known)
        chosen = [case for case in every if asked is None or case.id in asked]
        if self.planned is not None and set(self.planned) != {case.id for case in chosen}:
            self.problem("the plan is not what was asked for")
        return SuiteResults(
            hello=self.hello,
            cases=tuple(self._result(case) for case in chosen),
            bench=tuple(self.bench.values()),
            bench_note=self.note,
            done=self.done,
            problems=tuple(self.problems),
            outputs=tuple(TestOutput(case=id, text=text) for id, text in self.outputs.items()),
        )

    def _result(self, case: CaseInfo) -> CaseResult:
        outcome, message, seconds = Outcome.NOT_RUN, "the guest was gone before its turn", 0.0
        if case.id in self.ended:
            end = self.ended[case.id]
            outcome, message, seconds = Outcome(end.outcome), _plain(end.message), end.seconds
        elif case.id == self.running:
            outcome, message = Outcome.CRASH, "the guest ended while this case was running"
        return CaseResult(
            id=case.id,
            title=case.title,
            source=case.source,
            outcome=outcome,
            message=message,
            seconds=seconds,
        )


def is_id(text: str) -> bool:
    """Whether a plan may name it: one name that is none, and no case of the guest is believed."""
    return _ID.fullmatch(text) is not None


def of_kunit(id: str) -> bool:
    return id == KUNIT_RAN.id or id.startswith(KUNIT)


def _suite(id: str) -> CaseInfo:
    name = id.removeprefix(KUNIT)
    return CaseInfo(id=id, title=f"KUnit suite {name}", source="KUnit", needs=(), defect=None)


def _plain(text: str) -> str:
    """Without control characters, bidirectional marks and lone surrogates; lines stay lines."""
    text = text.expandtabs()
    return "".join(char if char.isprintable() or char == "\n" else "\ufffd" for char in text)


# --- running it on this kernel ------------------------------------------------------------------


def facts_document(
    facts: uapi.Facts,
    *,
    bench_mib: int = 0,
    bench_rounds: int = 5,
    cases: Sequence[str] | None = None,
) -> dict[str, object]:
    """facts.json but for time_scale and bench_unit, which depend on where the suite runs."""
    return {
        "flags": dict(facts.flags),
        "bench_mib": bench_mib,
        "bench_rounds": bench_rounds,
        "cases": None if cases is None else list(cases),
    }


def run_here(
    facts: uapi.Facts,
    results: Path,
    *,
    cases: Sequence[str] | None = None,
    bench_mib: int = 0,
    timeout: float = 900,
    progress: Progress | None = None,
) -> SuiteResults:
    """Run cases on the kernel that runs now; ``results`` must be an empty folder.

    facts.json, results.jsonl and guest.log end up in it.  With ``bench_mib`` the benchmark runs
    instead of the cases.  Raises UserError for an unknown case and InfraError when the program
    does not come to its end.
    """
    known = {case.id for case in CASES}
    if unknown := sorted(set(cases or ()) - known):
        raise UserError(f"there is no case {unknown[0]!r}", "see `./pipeline.py suite`")
    document = facts_document(facts, bench_mib=bench_mib, cases=cases)
    (results / "facts.json").write_text(json.dumps(document))
    mode = "bench" if bench_mib else "run"
    finished = _run_program(mode, results, timeout, progress or Silent())
    told = read_results(results, cases=cases)
    if not told.done:
        raise _did_not_end(finished, results / "guest.log")
    return told


def _run_program(mode: str, results: Path, timeout: float, progress: Progress) -> Finished:
    argv = [sys.executable, "-I", "-B", str(SUITE_FOLDER), mode]
    argv += ["--facts", str(results / "facts.json"), "--results", str(results)]
    with progress.task("guest suite on this kernel") as task:

        def watch() -> None:
            told = read_results(results)
            ended = [case for case in told.cases if case.outcome is not Outcome.NOT_RUN]
            task.update(done=len(ended), total=len(told.cases), note=ended[-1].id if ended else "")

        return stream(
            argv, log=results / "guest.log", timeout=timeout, log_limit=_LOG_LIMIT, watch=watch
        )


def _did_not_end(finished: Finished, log: Path) -> InfraError:
    error = failure_of(finished)
    words = log.read_text(errors="backslashreplace").strip()
    return InfraError(
        "the guest suite did not come to its end", error.problem, detail=words[-4000:]
    )
