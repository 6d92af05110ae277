# SPDX-License-Identifier: GPL-2.0-or-later
"""The first lines of the kernel's reports against itself: how each begins and ends, what it names.

Without time stamp and caller.  The formats are those of kernel/panic.c, lib/bug.c,
arch/x86/kernel/{traps,dumpstack}.c, arch/x86/mm/fault.c, mm/kasan/report.c, lib/ubsan.c,
kernel/locking/lockdep.c, kernel/hung_task.c, kernel/rcu/tree_stall.h, kernel/watchdog.c and
kernel/sched/core.c in 6.12, 7.2 and 7.3.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from kverdict.models import SplatKind


@dataclass(frozen=True)
class Headline:
    """The first line of a report: ``pattern`` may have the groups what, at and function.

    ``later`` is of another line of the report: function, when the stack is always the same, or
    why, which tells two bugs of one function apart.
    """

    kind: SplatKind
    pattern: re.Pattern[str]
    title: str  # with the groups of the pattern
    end: str = ""  # a line that starts so ends the report; "" when there is none
    everyone: bool = False  # the report is written by several CPUs
    later: re.Pattern[str] | None = None

    @property
    def is_fatal(self) -> bool:
        """Whether it begins an oops."""
        return self.kind in (SplatKind.OOPS, SplatKind.BUG) and self.end == _END_TRACE


def _headline(
    kind: SplatKind,
    pattern: str,
    title: str,
    end: str = "",
    everyone: bool = False,
    later: str | None = None,
) -> Headline:
    told_later = re.compile(later) if later is not None else None
    return Headline(kind, re.compile(pattern), title, end, everyone, told_later)


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
    # All stacks are those of the task's end: where the lock was taken tells.
    _headline(
        SplatKind.LOCKDEP,
        r"WARNING: .*/\d+ (?P<what>still has locks held)!",
        "{what}",
        later=r".* at: (?P<function>[\w.]+)\+0x",
    ),
    _headline(
        SplatKind.LOCKDEP,
        r"WARNING: (?P<what>"
        r"possible (?:circular locking|recursive locking|irq lock inversion).*"
        r"|.*lock order detected|inconsistent lock state|chain_key collision"
        r"|Nested lock was not taken|bad unlock balance detected|bad contention detected"
        r"|held lock freed|lock held when returning to user space"
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
    # All stacks are the workqueue's.
    _headline(
        SplatKind.BUG,
        r"BUG: (?P<what>workqueue leaked [^:]*):.*",
        "{what} in {function}",
        later=r".*\b(?:workfn=|last function: )(?P<function>[\w.]+)",
    ),
    _headline(
        SplatKind.BUG,
        r"BUG: (?P<what>Bad page state)\b.*",
        "{what}",
        later=r"page dumped because: (?P<why>.*)",
    ),
    _headline(
        SplatKind.BUG,
        r"BUG: (?P<what>scheduling while atomic|sleeping function called from invalid context"
        r"|scheduling in a non-blocking section|using \w+\(\) in preemptible"
        r"|assuming \w+(?: \w+)? context|(?:spin|rw)lock [a-z ]+(?= on CPU)|Bad page \w+"
        r"|Bad rss-counter state)\b.*",
        "{what}",
    ),
    _headline(SplatKind.BUG, r"BUG (?P<what>\S+ \([^)]*\): .*)", "{what}"),
    _headline(SplatKind.BUG, r"BUG: (?P<what>.*)", "{what}"),
    _headline(SplatKind.WARN, r"WARNING: (?P<what>.*)", "{what}"),
)
CUT_SHORT = _headline(SplatKind.WARN, "", "a report that was cut short")


def headline_of(text: str) -> tuple[Headline, dict[str, str]] | None:
    """What report a line begins, and the groups of the pattern that are in it."""
    for headline in _HEADLINES:
        if found := headline.pattern.match(text):
            return headline, {k: v for k, v in found.groupdict().items() if v is not None}
    return None
