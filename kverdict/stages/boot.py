# SPDX-License-Identifier: GPL-2.0-or-later
"""Boots a kernel under virtme-ng, runs the guest suite in it and says how the guest ended.

Results travel through a folder of our own, never through stdout or the exit status: without udev
in the guest virtme-ng loses the script's output and answers 255 for a script that exited with 0.
virtme-ng has no time limit either, so the guest is watched from outside, with a limit of its own
for each way of getting stuck.
"""

from __future__ import annotations

import json
import shlex
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from enum import Enum
from pathlib import Path
from typing import Self

from kverdict import allowlist
from kverdict.allowlist import Allowlist
from kverdict.errors import InfraError
from kverdict.findings import console as console_findings
from kverdict.findings.console import Scan
from kverdict.findings.suite import read_results
from kverdict.guestroot import PROGRAMS, RESULTS, SUITE, guest_python
from kverdict.models import (
    Accelerator,
    CaseResult,
    Frozen,
    Guest,
    GuestEnd,
    Outcome,
    Splat,
    SplatKind,
)
from kverdict.progress import Progress
from kverdict.sandbox import Isolation
from kverdict.sandbox import folder_use as folder_use
from kverdict.stages.selftests import Selftest
from kverdict.text import printable
from kverdict.virtme import Machine, session

RESULTS_FILE = "results.jsonl"
TAIL_LINES = 40
KUNIT_SECONDS = 300.0  # --timeout of tools/testing/kunit/kunit.py
PROGRAM_GRACE = 5.0  # seconds, to kill a program that does not end and to say so
_TAIL_BYTES = 64 * 1024
_LOOK_EVERY = 0.25  # seconds
_LATE = 5.0  # stream()'s own limit comes after the watch's, which knows more
_FACTS = "facts.json"
_LOG = "guest.log"
# The limits are generous for KVM already; virtme-ng's users saw boots at half the speed under TCG
# (its issue 147), and a loaded machine adds to that.
_TCG_FACTOR = 4.0


class Mode(Enum):
    """What the guest is booted for: a command of the guest program."""

    SUITE = "run"
    BENCH = "bench"  # in a boot of its own: on one CPU, counting instructions under TCG


class Limits(Frozen):
    """What a guest may take, seconds as for KVM; each ends the guest with its own GuestEnd."""

    boot: float = 30  # to the suite's first line -> BOOT_TIMEOUT
    silence: float = 30  # nothing on the console and nothing in the results -> SILENCE
    case: float = 60  # the console talks, but no word in the results -> SILENCE
    whole: float = 300  # -> TIMEOUT
    results_bytes: int = 64 << 20  # in all -> RESULTS_FULL
    results_files: int = 1000  # -> RESULTS_FULL
    console_bytes: int = 16 << 20  # -> CONSOLE_FULL

    def for_others(self, programs: Sequence[float], *, kunit: bool) -> Self:
        """With time for programs of these limits, which the guest keeps, and for KUnit's suites.

        KUnit runs before there is a userspace; kunit.py gives it as long by default.
        """
        suites = KUNIT_SECONDS if kunit else 0.0
        later = sum(limit + PROGRAM_GRACE for limit in programs)
        return self.model_copy(
            update={"boot": self.boot + suites, "whole": self.whole + suites + later}
        )

    def scaled(self, factor: float) -> Self:
        """The times stretched; sizes stay."""
        return self.model_copy(
            update={
                "boot": self.boot * factor,
                "silence": self.silence * factor,
                "case": self.case * factor,
                "whole": self.whole * factor,
            }
        )


def time_factor(accelerator: Accelerator) -> float:
    return _TCG_FACTOR if accelerator is Accelerator.TCG else 1.0


# --- the watch ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Sight:
    """What can be seen of a running guest from outside, ``at`` seconds after its start."""

    at: float
    console_bytes: int = 0
    results_bytes: int = 0  # of results.jsonl alone
    folder_bytes: int = 0  # of all the results
    folder_files: int = 0


@dataclass(frozen=True)
class Watch:
    """What was seen up to now; a value, so that the rules can be tested without a guest."""

    last: Sight = Sight(0)
    console_grew: float = 0
    results_grew: float = 0
    userspace: float | None = None  # when the suite's first line was seen

    def see(self, sight: Sight) -> Watch:
        now = replace(self, last=sight)
        if sight.console_bytes > self.last.console_bytes:
            now = replace(now, console_grew=sight.at)
        if sight.results_bytes > self.last.results_bytes:
            first = sight.at if self.userspace is None else self.userspace
            now = replace(now, results_grew=sight.at, userspace=first)
        return now

    def verdict(self, limits: Limits) -> GuestEnd | None:
        """Why the guest has to be ended now, None to go on."""
        at = self.last.at
        if (
            self.last.folder_bytes > limits.results_bytes
            or self.last.folder_files > limits.results_files
        ):
            return GuestEnd.RESULTS_FULL
        if at > limits.whole:
            return GuestEnd.TIMEOUT
        if self.userspace is None:
            return GuestEnd.BOOT_TIMEOUT if at > limits.boot else None
        if at - max(self.console_grew, self.results_grew) > limits.silence:
            return GuestEnd.SILENCE
        if at - self.results_grew > limits.case:
            return GuestEnd.SILENCE
        return None


class _Eye:
    """Looks at a running guest for proc.stream and remembers why it had to end."""

    def __init__(self, results: Path, limits: Limits) -> None:
        self._results, self._limits = results, limits
        self._began = time.monotonic()
        self._heard = 0
        self.watch = Watch()
        self.end: GuestEnd | None = None
        self.case = "booting"

    def hear(self, line: str) -> None:
        """A line of the console; the suite announces each case there.

        Lines are counted as they come: the log's size lags behind by its buffer.
        """
        self._heard += len(line) + 1
        if case := console_findings.announced(line):
            self.case = case

    def look(self) -> str | None:
        at = time.monotonic() - self._began
        if at - self.watch.last.at < _LOOK_EVERY:
            return None
        self.watch = self.watch.see(self._sight(at))
        self.end = self.watch.verdict(self._limits)
        return self.end.value if self.end is not None else None

    def look_again(self) -> None:
        """After the end: a short guest may have come and gone between two looks."""
        self.watch = self.watch.see(self._sight(time.monotonic() - self._began))

    def _sight(self, at: float) -> Sight:
        total, files = folder_use(self._results, self._limits.results_files)
        return Sight(
            at=at,
            console_bytes=self._heard,
            results_bytes=_size(self._results / RESULTS_FILE),
            folder_bytes=total,
            folder_files=files,
        )


def _size(path: Path) -> int:
    try:
        return path.lstat().st_size
    except OSError:
        return 0


# --- one boot -----------------------------------------------------------------------------------


def boot(
    bzimage: Path,
    *,
    results: Path,
    console: Path,
    suite: Path,
    facts: Mapping[str, object],
    accelerator: Accelerator,
    why: str,
    limits: Limits,
    progress: Progress,
    mode: Mode = Mode.SUITE,
    isolation: Isolation = Isolation.BUBBLEWRAP,
    allow: Allowlist | None = None,
    selftests: Sequence[Selftest] = (),
    kunit: bool = False,
) -> Guest:
    """Boot ``bzimage``, run the suite's ``mode`` in it and read what it reported.

    ``results`` is an empty folder or does not exist; facts.json, results.jsonl and guest.log end
    up in it, the guest's serial console in ``console``.  ``facts`` get time_scale and bench_unit
    added.  In Mode.BENCH without KVM virtual time counts instructions: one nanosecond is one.

    ``allow`` says which lines of the console are no report, by default our own list as of today.
    Whatever the kernel does is told by the Guest.  Raises InfraError for our trouble: a tool is
    missing, QEMU does not start, the results folder cannot be used.
    """
    factor = time_factor(accelerator)
    machine = machine_for(mode, accelerator)
    if mode is Mode.BENCH:
        selftests, kunit = (), False
    asked = _asked(facts)
    ready = [test for test in selftests if test.folder is not None]
    scaled = limits.for_others([test.limit for test in ready], kunit=kunit).scaled(factor)
    _prepare(
        results,
        {
            **facts,
            "time_scale": factor,
            "bench_unit": bench_unit(machine),
            "programs": [_program(number, test) for number, test in enumerate(ready)],
            "kunit": kunit,
            "cases": _those_there(asked, selftests),
        },
    )
    guest = session(
        bzimage,
        _script(mode),
        results=results,
        suite=suite,
        machine=machine,
        kernel_options=kernel_options(scaled),
        file_limit=limits.results_bytes,
        isolation=isolation,
        folders=tuple(test.folder for test in ready if test.folder is not None),
    )
    eye = _Eye(results, scaled)
    title = f"  {'benchmark' if mode is Mode.BENCH else 'guest'} ({accelerator.value})"
    with progress.task(title) as task:

        def look() -> str | None:
            task.update(done=eye.watch.last.at, note=eye.case)
            return eye.look()

        finished = guest.sandbox.stream(
            guest.argv,
            log=console,
            timeout=scaled.whole + _LATE,
            log_limit=limits.console_bytes,
            on_line=eye.hear,
            watch=look,
        )
    eye.look_again()
    told = read_results(
        results,
        cases=() if mode is Mode.BENCH else _those_there(asked, selftests),
        others=[test.info for test in ready],
        kunit=kunit,
    )
    seen, scanned = _scan(console, allow or allowlist.load(None, date.today()))
    tail, userspace = console_tail(console), eye.watch.userspace
    done = told.done and not told.problems
    # A kernel that dies before its first line leaves nothing; QEMU says why it does not start.
    refused = not scanned and bool(tail)
    end = how_it_ended(eye.end, finished.stopped, done, seen.splats, refused)
    if end is GuestEnd.NOT_STARTED:
        last = tail[-1] if tail else "no output"
        raise InfraError("QEMU did not start the guest", last, detail="\n".join(tail))
    return Guest(
        accelerator=accelerator,
        accelerator_why=why,
        end=end,
        seconds=round(finished.seconds, 3),
        boot_seconds=None if userspace is None else round(userspace, 3),
        release=told.release,
        build_id=told.build_id,
        config_digest=told.config_digest,
        kvm=told.kvm,
        cases=(*_noted(told.cases, ready), *_not_there(asked, selftests)),
        outputs=told.outputs,
        bench=told.bench,
        splats=seen.splats,
        benign=seen.benign,
        console_scanned=scanned,
        console_tail=tail,
        bench_note=told.bench_note,
        problems=told.problems,
        every_case=asked is None,
    )


def _program(number: int, test: Selftest) -> dict[str, object]:
    return {
        "id": test.id,
        "folder": str(PROGRAMS / str(number)),
        "path": str(test.program),
        "limit": test.limit,
    }


def _those_there(
    asked: tuple[str, ...] | None, selftests: Sequence[Selftest]
) -> tuple[str, ...] | None:
    """The cases to ask the guest for: a program that could not be built is not among them."""
    absent = {test.id for test in selftests if test.folder is None}
    return None if asked is None else tuple(id for id in asked if id not in absent)


def _not_there(
    asked: tuple[str, ...] | None, selftests: Sequence[Selftest]
) -> tuple[CaseResult, ...]:
    """What does not build on this commit is skipped; where the base has it, that is a loss."""
    return tuple(
        CaseResult(
            id=test.id,
            title=test.info.title,
            source=test.info.source,
            outcome=Outcome.SKIP,
            message=test.why,
            seconds=0.0,
            in_guest=False,
        )
        for test in selftests
        if test.folder is None and (asked is None or test.id in asked)
    )


def _noted(cases: Sequence[CaseResult], tests: Sequence[Selftest]) -> tuple[CaseResult, ...]:
    """A test that does not pass says which of its files could not be had."""
    lacks = {test.id: " ".join(test.made.missing) for test in tests}
    return tuple(
        case.model_copy(
            update={"message": f"{case.message}\nmade without {lacks[case.id]}".lstrip()}
        )
        if lacks.get(case.id) and case.outcome is not Outcome.PASS
        else case
        for case in cases
    )


def machine_for(mode: Mode, accelerator: Accelerator) -> Machine:
    if mode is Mode.SUITE:
        return Machine(accelerator)
    counts = accelerator is Accelerator.TCG
    return Machine(accelerator, cpus=1, count_instructions=counts)


def bench_unit(machine: Machine) -> str:
    return "guest instructions" if machine.count_instructions else "ns"


def kernel_options(limits: Limits) -> tuple[str, ...]:
    """The kernel's own watchdogs bite before ours, so that the console says what hung where.

    Under TCG on a loaded machine a virtual CPU may not run for many seconds; the defaults (RCU
    stall 21 s, soft lockup 20 s) would report the host's load.  A hung task is found when a check
    sees it twice, so up to two periods after it went to sleep (kernel/hung_task.c).
    """
    early = max(1, int(limits.silence / 3))
    return (
        f"sysctl.kernel.hung_task_timeout_secs={early}",
        f"rcupdate.rcu_cpu_stall_timeout={early}",
        f"sysctl.kernel.watchdog_thresh={min(60, max(1, early // 2))}",  # soft lockup at twice
        # The suite announces its cases in the kernel log; by default ten lines in five seconds
        # are let through.
        "printk.devkmsg=on",
    )


def _script(mode: Mode) -> str:
    program = [
        *(str(guest_python()), "-I", "-B", str(SUITE), mode.value),
        *("--facts", str(RESULTS / _FACTS)),
        *("--results", str(RESULTS)),
        "--announce",
    ]
    # Nothing of the program's own output may reach the console: it is the kernel's alone.
    return (
        "mount -t tmpfs -o mode=1777 tmpfs /tmp; "
        f"exec {shlex.join(program)} </dev/null >{RESULTS / _LOG} 2>&1"
    )


def _asked(facts: Mapping[str, object]) -> tuple[str, ...] | None:
    """The cases that facts.json names, None for all of them."""
    cases = facts.get("cases")
    return tuple(str(case) for case in cases) if isinstance(cases, Sequence) else None


def _prepare(results: Path, facts: Mapping[str, object]) -> None:
    try:
        results.mkdir(parents=True, exist_ok=True)
        # The guest is root and may leave set-uid files: nobody else looks in here.
        results.chmod(0o700)
        if any(results.iterdir()):
            raise InfraError(f"{results} is not empty", "older results would be taken for new ones")
        (results / _FACTS).write_text(json.dumps(facts, sort_keys=True) + "\n")
    except OSError as error:
        raise InfraError(f"{results} cannot be used", error.strerror or str(error)) from error


# --- afterwards ---------------------------------------------------------------------------------


def _scan(console: Path, allow: Allowlist) -> tuple[Scan, bool]:
    try:
        return console_findings.scan(console, allow), True
    except InfraError:
        return Scan(splats=(), benign=()), False


def how_it_ended(
    watched: GuestEnd | None,
    stopped: str | None,
    done: bool,
    splats: tuple[Splat, ...],
    refused: bool,
) -> GuestEnd:
    """``watched`` is our watch's reason to end the guest, ``stopped`` that of proc.stream.

    ``refused`` means that something was printed, and none of it by the kernel.  A panic is the
    better explanation of a silence that follows it, but not of a full folder.
    """
    panicked = any(splat.kind is SplatKind.PANIC for splat in splats)
    if watched is GuestEnd.RESULTS_FULL:
        return GuestEnd.RESULTS_FULL
    if panicked:
        return GuestEnd.PANIC
    if watched is not None:
        return watched
    if stopped is not None:
        return GuestEnd.TIMEOUT if stopped.startswith("time limit") else GuestEnd.CONSOLE_FULL
    if done:
        return GuestEnd.DONE
    return GuestEnd.NOT_STARTED if refused else GuestEnd.LOST


def console_tail(console: Path) -> tuple[str, ...]:
    """The last lines, fit for a page or a terminal."""
    try:
        with console.open("rb") as log:
            log.seek(max(0, _size(console) - _TAIL_BYTES))
            text = log.read().decode(errors="backslashreplace")
    except OSError:
        return ()
    shown = printable(console_findings.clean(text))  # no bidirectional marks either
    lines = [line.rstrip() for line in shown.split("\n")]
    return tuple(line for line in lines if line)[-TAIL_LINES:]
