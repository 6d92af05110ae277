# SPDX-License-Identifier: GPL-2.0-or-later
"""What the kernel reported against itself on its console: panics, oopses, warnings, stalls.

Only lines that printk wrote count: they carry a time stamp and a caller (CONFIG_PRINTK_TIME and
CONFIG_PRINTK_CALLER, which the configuration asks for), so that what a program prints on the
console forges nothing.  The caller also tells apart the reports of two CPUs that print at once.

The formats are those of kernel/panic.c, lib/bug.c, arch/x86/kernel/{traps,dumpstack}.c,
arch/x86/mm/fault.c, mm/kasan/report.c, lib/ubsan.c, kernel/locking/lockdep.c, kernel/hung_task.c,
kernel/rcu/tree_stall.h, kernel/watchdog.c and kernel/sched/core.c in 6.12, 7.2 and 7.3.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from kverdict.errors import InfraError
from kverdict.models import Splat, SplatKind
from kverdict.sandbox import SRC

EXCERPT_LINES = 40
# A report without an end marker is over when its context stays silent for this long (seconds of
# the guest's clock) or has printed this much.
_REPORT_GAP = 5.0
_REPORT_LINES = 400
_OPEN_REPORTS = 16  # of as many contexts at once; a kernel that forges callers has no end of them
_LONGEST_LINE = 2000  # characters; printk's records have 1024 (LOG_LINE_MAX)
# What is kept of one and the same report, and of different ones: a console has no other bound.
_MOST_ALIKE = 10
_MOST_SPLATS = 1000
_CUT_HERE_REACH = 6  # kernel lines between "cut here" and its headline: WARN()'s own message

# "[    1.234567][    T1] " anywhere in a line: a program may have left its line unfinished.
_PREFIX = re.compile(r"\[ {0,4}(?P<time>\d+\.\d{6})\]\[ {0,5}(?P<caller>[TC]\d+)\] ?")
# A title (ESC ]) that is not ended in its line is none: it would swallow what the kernel says next.
_ANSI = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b\n]*(?:\x07|\x1b\\)|[@-Z\\-_])")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")

_CUT_HERE = "[ cut here ]"
_FRAME = re.compile(r"^ (?P<function>[\w.]+)\+0x[0-9a-f]+/0x[0-9a-f]+")
# Segment 0x10 is the kernel's code (arch/x86/include/asm/segment.h); 0x33 would be a program's.
_RIP = re.compile(r"^RIP: 0010:(?P<function>[\w.]+)\+0x")
_LOCK_AT = re.compile(r"\bat: (?P<function>[\w.]+)\+0x")
_SUFFIX = re.compile(r"\.(?:isra|constprop|part|cold|llvm)\b.*")
_MARKER = re.compile(r"^kverdict: (?P<what>start|end) (?P<case>[\w./:-]{1,120})(?: \w+)?$")

# Functions that report or wait for others: the one to name is their caller.
_REPORTERS = re.compile(
    r"""^(?:
      dump_stack(?:_lvl)? | show_stack | show_regs | v?panic | __warn | warn_slowpath_fmt
    | __might_(?:sleep|resched|fault) | __schedule_bug | __cant_(?:sleep|migrate)
    | check_preemption_disabled | debug_smp_processor_id
    | (?:__)?u?kasan_.* | print_(?:report|address_description).* | __asan_.*
    | __?ubsan_.* | ubsan_.* | handle_overflow | lockdep_.* | print_.*bug.* | check_.*lock.*
    | __lock_acquire | lock_(?:acquire|release).* | mark_lock.* | validate_chain
    | check_(?:flags|noncircular|prev_add|prevs_add|deadlock|irq_usage)
    | refcount_warn_saturate | __?fortify_panic | __fortify_report
    | __list_(?:add|del_entry)_valid.* | check_panic_on_warn
    | __schedule | schedule.* | preempt_schedule.* | io_schedule.* | __?cond_resched.*
    | __mutex_lock.* | mutex_lock.* | __?down.* | rwsem_down_.* | _?raw_spin_lock.*
    | wait_for_.*complet.* | (?:__|do_)wait_for_common | __wait_on_bit.* | out_of_line_wait.*
    )$""",
    re.VERBOSE,
)


@dataclass(frozen=True)
class _Headline:
    """The first line of a report: ``pattern`` may have the groups what, at and function."""

    kind: SplatKind
    pattern: re.Pattern[str]
    title: str  # with the groups of the pattern
    end: str = ""  # a line that starts so ends the report; "" when there is none
    everyone: bool = False  # the report is written by several CPUs


def _headline(
    kind: SplatKind, pattern: str, title: str, end: str = "", everyone: bool = False
) -> _Headline:
    return _Headline(kind, re.compile(pattern), title, end, everyone)


_END_TRACE = "---[ end trace"
_RULE = "=========="
_FUNCTION = r"(?P<function>[\w.]+)\+0x[0-9a-f]+/0x[0-9a-f]+"
# In this order: the first that matches names the report.
_HEADLINES = (
    _headline(
        SplatKind.PANIC,
        r"Kernel panic - not syncing: (?P<what>.*)",
        "{what}",
        "---[ end Kernel panic",
        everyone=True,
    ),
    _headline(
        SplatKind.KASAN,
        rf"BUG: KASAN: (?P<what>.*?)(?: in {_FUNCTION}.*)?$",
        "{what} in {function}",
        _RULE,
    ),
    _headline(
        SplatKind.KASAN,  # the other two that find bad memory accesses
        rf"BUG: (?P<tool>KFENCE|KMSAN): (?P<what>.*?)(?: in {_FUNCTION}.*)?$",
        "{tool}: {what} in {function}",
        _RULE,
    ),
    _headline(
        SplatKind.LOCKUP,
        r"(?:watchdog: )?BUG: soft lockup - CPU#\d+ stuck for \d+s! \[(?P<what>[^\]]*?)(?::\d+)?\]",
        "soft lockup in {what}",
        everyone=True,
    ),
    _headline(
        SplatKind.LOCKUP,
        r"(?:watchdog: )?(?:CPU\d+: )?Watchdog detected hard LOCKUP on cpu \d+",
        "hard lockup",
        everyone=True,
    ),
    _headline(SplatKind.LOCKUP, r"BUG: workqueue lockup - pool", "workqueue lockup"),
    _headline(
        SplatKind.RCU_STALL,
        r"(?:rcu: )?INFO: (?P<what>\w+) (?:self-)?detected (?:expedited )?stalls?\b(?! ended)",
        "{what} stall",
        everyone=True,
    ),
    _headline(
        SplatKind.HUNG_TASK,
        r"INFO: task (?P<what>.{1,16}):\d+ blocked(?P<io> in I/O wait)? for more than \d+ seconds",
        "task {what} blocked",
    ),
    _headline(
        SplatKind.UBSAN,
        r"UBSAN: (?P<what>.*) in (?P<at>\S+:\d+):\d+",
        "{what} at {at}",
        _END_TRACE,
    ),
    _headline(
        SplatKind.LOCKDEP,
        r"WARNING: (?P<what>"
        r"possible (?:circular locking|recursive locking|irq lock inversion).*"
        r"|.*lock order detected|inconsistent lock state|chain_key collision"
        r"|Nested lock was not taken|bad unlock balance detected|bad contention detected"
        r"|held lock freed|.*still has locks held|lock held when returning to user space"
        r"|suspicious RCU usage)!?$",
        "{what}",
    ),
    _headline(SplatKind.LOCKDEP, r"\[ BUG: (?P<what>Invalid wait context) \]", "{what}"),
    _headline(SplatKind.LOCKDEP, r"INFO: (?P<what>trying to register non-static key)", "{what}"),
    _headline(SplatKind.LOCKDEP, r"BUG: (?P<what>MAX_\w+ too low)!", "{what}"),
    # 6.12: "WARNING: CPU: 0 PID: 9 at mm/x.c:3 f+0x1/0x2"
    # 7.2:  "WARNING: mm/x.c:3 at f+0x1/0x2, CPU#0: comm/9"
    _headline(
        SplatKind.WARN,
        rf"WARNING: (?:CPU: \d+ PID: \d+ )?(?:at )?(?P<at>[^\s:]+:\d+) (?:at )?{_FUNCTION}",
        "at {at} in {function}",
        _END_TRACE,
    ),
    _headline(
        SplatKind.WARN,
        rf"WARNING: (?:CPU: \d+ PID: \d+ )?at {_FUNCTION}",
        "in {function}",
        _END_TRACE,
    ),
    _headline(
        SplatKind.OOPS,
        r"BUG: (?P<what>kernel NULL pointer dereference|unable to handle[^,:]*?)"
        r"(?: for address|, address| at)\b.*",
        "{what} in {function}",
        _END_TRACE,
    ),
    _headline(
        SplatKind.OOPS,
        r"BUG: (?P<what>.*stack guard page was hit) at\b.*",
        "stack guard page was hit in {function}",
        _END_TRACE,
    ),
    _headline(
        SplatKind.OOPS,
        r"(?:traps: )?PANIC: (?P<what>double fault)",
        "{what} in {function}",
        _END_TRACE,
    ),
    _headline(
        SplatKind.OOPS,
        r"(?P<what>Unable to handle kernel .*) at virtual",
        "{what} in {function}",
        _END_TRACE,
    ),
    _headline(
        SplatKind.OOPS,
        r"(?:Oops: )?(?P<what>[A-Za-z][\w ,'/-]*?)(?: 0x[0-9a-f]+)?: [0-9a-f]{4} \[#\d+\]",
        "{what} in {function}",
        _END_TRACE,
    ),
    _headline(
        SplatKind.OOPS, r"(?P<what>Internal error: .*) \[#\d+\]", "{what} in {function}", _END_TRACE
    ),
    _headline(
        SplatKind.BUG, r"kernel BUG at (?P<at>\S+:\d+)!", "at {at} in {function}", _END_TRACE
    ),
    _headline(SplatKind.BUG, r"kernel BUG at .*", "in {function}", _END_TRACE),
    _headline(
        SplatKind.BUG,
        r"BUG: (?P<what>scheduling while atomic|sleeping function called from invalid context"
        r"|assuming \w+(?: \w+)? context|(?:spin|rw)lock [a-z ]+(?= on CPU)|Bad page \w+"
        r"|Bad rss-counter state)\b.*",
        "{what}",
    ),
    _headline(SplatKind.BUG, r"BUG (?P<what>\S+ \([^)]*\): .*)", "{what}"),
    _headline(SplatKind.BUG, r"BUG: (?P<what>.*)", "{what}"),
    _headline(SplatKind.WARN, r"WARNING: (?P<what>.*)", "{what}"),
)
_CUT_SHORT = _headline(SplatKind.WARN, "", "a report that was cut short")


@dataclass(frozen=True)
class Allowed:
    """A line that looks like a report and is none; ``reason`` says why it may be ignored."""

    pattern: re.Pattern[str]
    reason: str


ALLOWED = (
    Allowed(
        re.compile(
            r"WARNING: (?:kernel not compiled with MITIGATION_|.* mitigation |CPU does not)"
        ),
        "arch/x86/kernel/cpu/bugs.c says what the configuration leaves out; no fault happened",
    ),
    Allowed(
        re.compile(r"WARNING: BIOS bug: CPU MTRRs don't cover all of memory"),
        "arch/x86/kernel/cpu/mtrr/cleanup.c about the firmware, not about the kernel",
    ),
    Allowed(
        re.compile(r"WARNING: Flushing system-wide workqueues will be prohibited"),
        "kernel/workqueue.c announces a change; no fault happened",
    ),
)


@dataclass(frozen=True)
class KernelLine:
    number: int  # of the log, from 1
    time: float  # seconds of the guest's clock
    caller: str  # "T1" a task, "C0" a CPU outside of any task
    text: str


@dataclass
class _Report:
    """A report that is being read."""

    headline: _Headline
    title: dict[str, str]
    first: KernelLine  # the headline's own line
    during: str | None
    lines: list[KernelLine] = field(default_factory=list)

    def is_over(self, line: KernelLine) -> bool:
        last = self.lines[-1]
        return line.time - last.time > _REPORT_GAP or len(self.lines) >= _REPORT_LINES

    def ends_with(self, line: KernelLine) -> bool:
        if self.headline.end:
            return line.text.startswith(self.headline.end)
        return line.caller == self.first.caller and line.text.strip() == "</TASK>"


def scan(log: Path) -> tuple[Splat, ...]:
    """The reports on a console, in order, one a crash.

    Of one and the same report the first few, in all the first _MOST_SPLATS.

    Raises InfraError when the log cannot be read or holds no kernel line at all: such a console
    was not scanned, which is another thing than clean.
    """
    try:
        text = log.read_bytes().decode(errors="backslashreplace")
    except OSError as error:
        raise InfraError(f"{log} cannot be read", error.strerror or str(error)) from error
    return scan_text(text, str(log))


def scan_text(text: str, name: str = "the console") -> tuple[Splat, ...]:
    lines = tuple(kernel_lines(text))
    if not lines:
        raise InfraError(
            f"{name} holds no line of the kernel",
            "the kernel printed nothing, or lacks CONFIG_PRINTK_TIME or CONFIG_PRINTK_CALLER",
        )
    return _without_repeats(_splat(report) for report in _reports(lines))


def clean(text: str) -> str:
    """``text`` without terminal escapes and control characters; line ends and tabs stay."""
    return _CONTROL.sub("", _ANSI.sub("", text.replace("\r\n", "\n")))


def is_kernel_line(line: str) -> bool:
    """Whether printk wrote it."""
    return _PREFIX.search(line) is not None


def announced(line: str) -> str | None:
    """The id of the case that a console line says has begun (guest suite, --announce)."""
    prefix = _PREFIX.search(line)
    marker = _MARKER.match(line[prefix.end() :].strip()) if prefix else None
    return marker["case"] if marker and marker["what"] == "start" else None


def kernel_lines(text: str) -> Iterator[KernelLine]:
    """The lines that printk wrote, without their prefix."""
    for number, line in enumerate(clean(text).split("\n"), start=1):
        if prefix := _PREFIX.search(line):
            said = line[prefix.end() :][:_LONGEST_LINE].rstrip()
            yield KernelLine(number, float(prefix["time"]), prefix["caller"], said)


# --- reports ------------------------------------------------------------------------------------


def _reports(lines: Sequence[KernelLine]) -> list[_Report]:
    """Every report with its lines, in the order of their headlines."""
    done: list[_Report] = []
    open_reports: list[_Report] = []
    running: str | None = None
    for index, line in enumerate(lines):
        if marker := _MARKER.match(line.text):
            running = marker["case"] if marker["what"] == "start" else None
            continue
        open_reports = [r for r in open_reports if not r.is_over(line)]
        own = next((r for r in open_reports if r.first.caller == line.caller), None)
        found = _match(line)
        if found is not None and (own is None or not _goes_on(own.headline, found[0])):
            open_reports = [r for r in open_reports if r is not own]
            report = _Report(*found, line, running, _back_to_cut(lines, index))
            done.append(report)
            open_reports = [*open_reports, report][-_OPEN_REPORTS:]
            continue
        owner = own or next((r for r in open_reports if r.headline.everyone), None)
        if owner is not None:
            owner.lines.append(line)
            if owner.ends_with(line):
                open_reports.remove(owner)
    return sorted([*done, *_cut_short(lines, done)], key=lambda report: report.first.number)


def _goes_on(headline: _Headline, next_one: _Headline) -> bool:
    """Whether a second headline of one context belongs to the crash that it is reporting.

    "BUG: unable to handle ...", "kernel BUG at ..." and "PANIC: double fault" go on with "Oops:";
    a fault while an oops is being printed has that oops for its cause.
    """
    return (
        next_one.kind is SplatKind.OOPS
        and headline.kind in (SplatKind.OOPS, SplatKind.BUG)
        and headline.end == _END_TRACE
    )


def _cut_short(lines: Sequence[KernelLine], reports: Sequence[_Report]) -> Iterator[_Report]:
    """A "cut here" whose report never came: the kernel died on the way."""
    covered = {line.number for report in reports for line in report.lines}
    for index, line in enumerate(lines):
        if _CUT_HERE in line.text and line.number not in covered:
            after = lines[index : index + EXCERPT_LINES]
            same = [other for other in after if other.caller == line.caller]
            yield _Report(_CUT_SHORT, {}, line, None, same)


def _match(line: KernelLine) -> tuple[_Headline, dict[str, str]] | None:
    for headline in _HEADLINES:
        if found := headline.pattern.match(line.text):
            if any(allowed.pattern.match(line.text) for allowed in ALLOWED):
                return None
            return headline, {k: v for k, v in found.groupdict().items() if v is not None}
    return None


def _back_to_cut(lines: Sequence[KernelLine], index: int) -> list[KernelLine]:
    """The headline, with what the same context wrote since a "cut here" shortly before."""
    head = lines[index]
    before = lines[max(0, index - _CUT_HERE_REACH) : index]
    for at in range(len(before) - 1, -1, -1):
        if before[at].caller == head.caller and _CUT_HERE in before[at].text:
            return [*(line for line in before[at:] if line.caller == head.caller), head]
    return [head]


def _splat(report: _Report) -> Splat:
    function = report.title.get("function") or _function(report)
    if function is not None and _REPORTERS.match(function):
        function = _first_frame(report.lines) or function
    name = _SUFFIX.sub("", function) if function is not None else None
    words = {"what": "", "at": "?", "tool": "", **report.title, "function": name or "?"}
    # UBSAN gets the compiler's full path; the tree is at /src in every build.
    words["at"] = words["at"].removeprefix(f"{SRC}/")
    excerpt = [line.text for line in report.lines[:EXCERPT_LINES]]
    return Splat(
        kind=report.headline.kind,
        title=report.headline.title.format_map(words).removesuffix(" in ?"),
        function=name,
        line=report.first.number,
        excerpt="\n".join(excerpt),
        during=report.during,
    )


def _function(report: _Report) -> str | None:
    """Where it happened: the instruction pointer, the lock's place, or the first caller."""
    for pattern in (_RIP, _LOCK_AT):
        for line in report.lines:
            if found := pattern.search(line.text):
                return found["function"]
    return _first_frame(report.lines)


def _first_frame(lines: Sequence[KernelLine]) -> str | None:
    """The first stack frame that does not merely report; "? " frames are left-overs."""
    for line in lines:
        if (found := _FRAME.match(line.text)) and not _REPORTERS.match(found["function"]):
            return found["function"]
    return None


def _without_repeats(splats: Iterable[Splat]) -> tuple[Splat, ...]:
    """A lockup, a stall or a hung task is reported again and again: the first one stays."""
    repeating = {SplatKind.LOCKUP, SplatKind.RCU_STALL, SplatKind.HUNG_TASK}
    kept: list[Splat] = []
    seen: Counter[tuple[SplatKind, str, str | None]] = Counter()
    for splat in splats:
        same = (splat.kind, splat.title, splat.function)
        if seen[same] < (1 if splat.kind in repeating else _MOST_ALIKE):
            kept.append(splat)
        seen[same] += 1
        if len(kept) >= _MOST_SPLATS:
            break
    return tuple(kept)
