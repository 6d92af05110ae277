# SPDX-License-Identifier: GPL-2.0-or-later
"""What the kernel reported against itself on its console: panics, oopses, warnings, stalls.

Only lines that printk wrote count: they carry a time stamp and a caller (CONFIG_PRINTK_TIME and
CONFIG_PRINTK_CALLER, which the configuration asks for), so that what a program prints on the
console forges nothing.  The caller also tells apart the reports of two CPUs that print at once.
"""

from __future__ import annotations

import hashlib
import re
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import takewhile
from pathlib import Path

from kverdict.allowlist import Allowlist, Entry
from kverdict.errors import InfraError
from kverdict.findings.headlines import CUT_SHORT, Headline, headline_of
from kverdict.models import BenignLine, Splat, SplatKind
from kverdict.sandbox import SRC

EXCERPT_LINES = 40
# A report without an end marker is over when its context stays silent for this long (seconds of
# the guest's clock) or has printed this much.
_REPORT_GAP = 5.0
_REPORT_LINES = 400
_OPEN_REPORTS = 16  # of as many contexts at once; a kernel that forges callers has no end of them
_LONGEST_LINE = 2000  # characters; printk's records have 1024 (LOG_LINE_MAX)
# What is kept of different reports: a console has no other bound.
_MOST_SPLATS = 1000
_MOST_BENIGN = 100
_MOST_FRAMES = 8
# NIPA compares five frames, syzkaller the first.  One is too few: the innermost function of two
# bugs is often the same helper.  The second tells them apart; from the third on they are callers
# that vary, read() or io_uring, and each one more may be inlined by a patch or be left out by the
# unwinder.  Where a detector looked at a loop, even the second depends on the moment.
_TELLING_FRAMES = 2
_TELLING_FRAMES_OF_A_LOOP = 1
# Lines of one context from "cut here" to its headline: WARN()'s own message is between them.
_CUT_HERE_REACH = 6

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
    | __lock_release | debug_check_no_locks_\w+ | (?:spin|rwlock)_(?:bug|dump)
    | preempt_count_(?:add|sub) | _?_?local_bh_(?:en|dis)able\w*
    | refcount_warn_saturate | (?:__)?fortify_panic | __fortify_report
    | __list_(?:add|del_entry)_valid.* | check_panic_on_warn
    | usercopy_abort | (?:__)?check_(?:heap_object|object_size) | check_stack_object
    | __copy_overflow
    | skb_(?:over_|under_)?panic | p?skb_put | skb_(?:push|pull)
    | debug_print_object | (?:__)?debug_check_no_obj_freed | debug_object_\w+

      # The page allocator, as far as it looks at pages.
    | bad_page | free_page_is_bad\w* | free_tail_page_prepare | check_new_pages?(?:_bad)?
    | (?:__)?free_pages_prepare | free_unref_\w+ | (?:__)?free_frozen_page\w*
    | (?:__)?free_one_page | free_pcppages_bulk | _{0,3}free_pages(?:_ok|_exact)?
    | __folio_put | folios_put_refs | release_pages
    | prep_new_page | post_alloc_hook | (?:__)?rmqueue\w* | get_page_from_freelist
    | (?:__)?alloc_(?:frozen_)?pages\w* | (?:vma_)?(?:__)?folio_alloc\w*

      # SLUB, and what it does before it looks at objects.
    | (?:__)?slab_(?:bug|err) | object_err | slab_(?:fix|pad_check) | print_trailer
    | check_(?:bytes_and_report|pad_bytes|object|slab|slab_allocation|valid_pointer)
    | restore_bytes | on_freelist | warn_free_bad_obj | list_slab_objects | validate_slab\w*
    | (?:alloc|free)_(?:debug_processing|consistency_checks)
    | alloc_single_from_\w+ | alloc_from_\w*slab | get_(?:from_)?(?:any_)?partial\w*
    | free_to_p(?:artial_list|cs) | new_slab | allocate_slab | __pcs_replace_\w+
    | (?:__)?refill_(?:sheaf|objects)\w*
    | _{0,3}slab_alloc\w* | __slab_free | (?:do_)?slab_free\w* | cache_from_obj
    | kmem_cache_(?:alloc|free|destroy)\w* | __kmem_cache_(?:alloc_bulk|free_bulk|shutdown)
    | _{0,3}kmalloc\w* | (?:__)?kvmalloc\w* | krealloc\w* | kv?free | kv?free_sensitive

      # vmalloc.
    | (?:__)?v[mz]alloc(?:_(?:node|range|array|user|huge|32))*(?:_noprof)?
    | __vmalloc_area_node | vm_area_alloc_pages | __get_vm_area_node | alloc_vmap_area | vfree

      # Locks, and what waits.
    | __schedule | schedule.* | preempt_schedule.* | io_schedule.* | (?:__)?cond_resched.*
    | _{0,2}(?:ww_|rt_)?mutex_(?:try|un|slow|slowun)?lock.* | rt_mutex_schedule
    | _{0,3}down(?:_(?:read|write|common|interruptible|killable|trylock|timeout)\w*)?
    | (?:__)?percpu_(?:down|up)_(?:read|write)\w* | percpu_rwsem_wait | rwsem_down_.*
    | (?:__)?up(?:_(?:read|write)\w*)?
    | (?:__)?(?:rt|rwbase)_(?:spin|read|write)_(?:try|un)?lock.* | rtlock_(?:slow)?lock.*
    | _?raw_(?:spin|read|write)_(?:try|un)?lock.* | do_raw_(?:spin|read|write)_(?:try|un)?lock
    | (?:native_)?queued_(?:spin|read|write)_lock_slowpath
    | wait_for_.*complet.* | (?:__|do_)wait_for_common | __wait_on_bit.* | out_of_line_wait.*
    | (?:__|start_)?flush_(?:delayed_|rcu_)?work(?:queue)? | drain_workqueue
    | (?:__)?cancel_(?:delayed_)?work(?:_sync)?
    | (?:__)?synchronize_s?rcu(?:_\w+)? | __wait_rcu_gp
    )$""",
    re.VERBOSE,
)


# Who called, and how the kernel was entered: it is the same for nearly all that happens.
_ENTRY = re.compile(
    r"""^(?:
      entry_\w+ | asm_\w+ | do_syscall_64 | x64_sys_call | do_(?:fast_syscall|int80)_\w+
    | ret_from_fork\w* | kthread | worker_thread | process_(?:one_work|scheduled_works)
    | start_kernel | start_secondary | (?:common|secondary)_startup_64\w* | x86_64_start_\w+
    | rest_init
    )$""",
    re.VERBOSE,
)
_TRACE_END = re.compile(r"^ ?(?:</(?:TASK|IRQ|NMI)>|RIP: |(?:Allocated|Freed) by task|---\[ end )")
# Who had the memory before, each with a stack: SLUB and page_owner tell it before the report's own
# trace, KFENCE after it.
_HISTORY = re.compile(
    r"^(?:(?:[Aa]llocated|[Ff]reed) (?:in|by task) |page last (?:allocated|free) )"
)
# An RCU stall also shows the kthread of the grace period when that was starved, and the CPU where
# it last ran (kernel/rcu/tree_stall.h): neither is what stalled.
_GP_KTHREAD = re.compile(r"^(?:rcu: )?RCU grace-period kthread stack dump:")
_GP_KTHREAD_CPU = re.compile(r"^(?:rcu: )?Stack dump where RCU GP kthread last ran:")
_STACK_OF_A_CPU = re.compile(r"^CPU: \d+ (?:UID|PID): ")
_IDLE_CPU = re.compile(r"^NMI backtrace for cpu \d+ skipped")
_NUMBER = re.compile(
    r"0x[0-9a-fA-F]+|(?<![\w-])[0-9a-f]{8,16}(?!\w)|(?:CPU|cpu) ?#?\d+|(?<![\w-])\d+"
)
_TAINT = re.compile(r" ?\((?:Not tainted|Tainted: [^)]*)\)")
_FINGERPRINT_WORDS = 50  # characters
_LOOPS = frozenset({SplatKind.LOCKUP, SplatKind.RCU_STALL})
# Of these reports ``what`` is the task that had to wait ...
_WHAT_IS_A_TASK = frozenset({SplatKind.HUNG_TASK, SplatKind.LOCKUP})
# ... or what a wild pointer happened to hit, or which flavour of RCU noticed.
_WHAT_IS_A_SAMPLE = frozenset({SplatKind.OOPS, SplatKind.RCU_STALL})

_NO_ENTRIES = Allowlist()


@dataclass(frozen=True)
class Scan:
    """What a console showed: reports, and lines that only look like one."""

    splats: tuple[Splat, ...]
    benign: tuple[BenignLine, ...]


@dataclass(frozen=True)
class KernelLine:
    number: int  # of the log, from 1
    time: float  # seconds of the guest's clock
    caller: str  # "T1" a task, "C0" a CPU outside of any task
    text: str


@dataclass
class _Report:
    """A report that is being read."""

    headline: Headline
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
        if line.caller != self.first.caller or line.text.strip() != "</TASK>":
            return False
        return line not in _beside_the_stall(self.lines)


def scan(log: Path, allow: Allowlist = _NO_ENTRIES) -> Scan:
    """The reports on a console, in order, one a fingerprint, in all the first _MOST_SPLATS.

    The same log and the same allowlist, which holds the day, always give the same.

    Raises InfraError when the log cannot be read or holds no kernel line at all: such a console
    was not scanned, which is another thing than clean.
    """
    try:
        text = log.read_bytes().decode(errors="backslashreplace")
    except OSError as error:
        raise InfraError(f"{log} cannot be read", error.strerror or str(error)) from error
    return scan_text(text, str(log), allow)


def scan_text(text: str, name: str = "the console", allow: Allowlist = _NO_ENTRIES) -> Scan:
    lines = tuple(kernel_lines(text))
    if not lines:
        raise InfraError(
            f"{name} holds no line of the kernel",
            "the kernel printed nothing, or lacks CONFIG_PRINTK_TIME or CONFIG_PRINTK_CALLER",
        )
    reports = [(report, _entry(report, allow)) for report in _reports(lines)]
    return Scan(
        splats=_without_repeats(
            _splat(report, entry) for report, entry in reports if not allow.counts(entry)
        ),
        benign=_benign((report, entry) for report, entry in reports if allow.counts(entry)),
    )


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
    recent: dict[str, deque[KernelLine]] = {}  # of each context: another may print in between
    for line in lines:
        before = recent.setdefault(line.caller, deque(maxlen=_CUT_HERE_REACH + 1))
        before.append(line)
        if marker := _MARKER.match(line.text):
            running = marker["case"] if marker["what"] == "start" else None
            continue
        open_reports = [r for r in open_reports if not r.is_over(line)]
        own = next((r for r in open_reports if r.first.caller == line.caller), None)
        found = headline_of(line.text)
        if found is not None and (own is None or not _goes_on(own.headline, found[0])):
            open_reports = [r for r in open_reports if r is not own]
            report = _Report(*found, line, running, _back_to_cut([*before]))
            done.append(report)
            open_reports = [*open_reports, report][-_OPEN_REPORTS:]
            continue
        owner = own or next((r for r in open_reports if r.headline.everyone), None)
        if owner is not None:
            owner.lines.append(line)
            if owner.ends_with(line):
                open_reports.remove(owner)
    for report in done:
        report.title |= _told_later(report)
    return sorted([*done, *_cut_short(lines, done)], key=lambda report: report.first.number)


def _goes_on(headline: Headline, next_one: Headline) -> bool:
    """Whether a second headline of one context belongs to the crash that it is reporting.

    "BUG: unable to handle ...", "kernel BUG at ..." and "PANIC: double fault" go on with "Oops:";
    a fault while an oops is being printed has that oops for its cause.
    """
    return next_one.kind is SplatKind.OOPS and headline.is_fatal


def _told_later(report: _Report) -> dict[str, str]:
    """What the first line that matches ``later`` says."""
    if (pattern := report.headline.later) is None:
        return {}
    own = (line for line in report.lines if line.caller == report.first.caller)
    told = (found.groupdict() for line in own if (found := pattern.match(line.text)))
    return next(told, {})


def _cut_short(lines: Sequence[KernelLine], reports: Sequence[_Report]) -> Iterator[_Report]:
    """A "cut here" whose report never came: the kernel died on the way."""
    covered = {line.number for report in reports for line in report.lines}
    contexts: dict[str, list[KernelLine]] = {}
    for line in lines:
        contexts.setdefault(line.caller, []).append(line)
    for own in contexts.values():
        for index, line in enumerate(own):
            if _CUT_HERE not in line.text or line.number in covered:
                continue
            after = own[index : index + EXCERPT_LINES]
            same = [other for other in after if other.time - line.time <= _REPORT_GAP]
            if not _has_a_headline(same[1:]):
                yield _Report(CUT_SHORT, {}, line, None, same)


def _has_a_headline(after: Iterable[KernelLine]) -> bool:
    """Whether the report of a "cut here" came, before the next one."""
    own = takewhile(lambda line: _CUT_HERE not in line.text, after)
    return any(headline_of(line.text) is not None for line in own)


def _back_to_cut(own: Sequence[KernelLine]) -> list[KernelLine]:
    """The headline, the last of ``own``, with what its context wrote since a "cut here" shortly
    before."""
    head = own[-1]
    near = [line for line in own if head.time - line.time <= _REPORT_GAP]
    for at in range(len(near) - 2, -1, -1):
        if _CUT_HERE in near[at].text:
            return near[at:]
    return [head]


def _entry(report: _Report, allow: Allowlist) -> Entry | None:
    """The entry for a report's headline; nothing allows what ends the machine."""
    if report.headline.kind is SplatKind.PANIC or report.headline.is_fatal:
        return None
    return allow.find(report.first.text)


def _benign(allowed: Iterable[tuple[_Report, Entry | None]]) -> tuple[BenignLine, ...]:
    """Each line once, the first _MOST_BENIGN."""
    found: dict[str, BenignLine] = {}
    for report, entry in allowed:
        text = report.first.text
        if entry is not None and text not in found and len(found) < _MOST_BENIGN:
            expires = entry.expires.isoformat()
            found[text] = BenignLine(text=text, reason=entry.reason, expires=expires)
    return tuple(found.values())


def _splat(report: _Report, expired: Entry | None = None) -> Splat:
    name = _function(report)
    words = {"what": "", "at": "?", "tool": "", **report.title, "function": name or "?"}
    # UBSAN gets the compiler's full path; the tree is at /src in every build.
    words["at"] = words["at"].removeprefix(f"{SRC}/")
    title = report.headline.title.format_map(words).removesuffix(" in ?")
    if expired is not None:
        title += f" (it was allowed until {expired.expires}: {expired.reason})"
    excerpt = [line.text for line in report.lines[:EXCERPT_LINES]]
    frames = _frames(report, name)
    return Splat(
        kind=report.headline.kind,
        title=title,
        function=name,
        line=report.first.number,
        excerpt="\n".join(excerpt),
        during=report.during,
        frames=frames,
        fingerprint=_fingerprint(report, frames),
    )


def _function(report: _Report) -> str | None:
    """Where it happened: what the headline names, the instruction pointer, the lock's place, or
    the first frame; its caller when all it does is to report."""
    lines = _telling_lines(report)
    name = _named(report, lines)
    if name is None or _REPORTERS.match(name):
        return _first_frame(lines) or name
    return name


def _named(report: _Report, lines: Sequence[KernelLine]) -> str | None:
    """What the headline names, the instruction pointer, or the lock's place."""
    named = report.title.get("function") or _named_after(lines)
    return plain_name(named) if named is not None else None


def _telling_lines(report: _Report) -> list[KernelLine]:
    """Without the stacks that are shown beside the one of a stall; where the kthread of the grace
    period last ran when there is no other."""
    if report.headline.kind is not SplatKind.RCU_STALL:
        return report.lines
    beside = _beside_the_stall(report.lines)
    rest = [line for line in report.lines if line not in beside]
    if _trace(rest):
        return rest
    return [line for line in report.lines if beside.get(line) is not _GP_KTHREAD]


def _beside_the_stall(lines: Sequence[KernelLine]) -> dict[KernelLine, re.Pattern[str]]:
    """The lines of each such stack, with what introduced it.

    The kthread's is printed by the CPU that reports; the other one by the CPU itself, in an NMI.
    """
    found: dict[KernelLine, re.Pattern[str]] = {}
    block: re.Pattern[str] | None = None
    caller, stacks = "", 0
    for line in lines:
        if begun := next((p for p in (_GP_KTHREAD, _GP_KTHREAD_CPU) if p.match(line.text)), None):
            block, caller, stacks = begun, line.caller, 0
        if block is None or (block is _GP_KTHREAD and line.caller != caller):
            continue
        stacks += bool(_STACK_OF_A_CPU.match(line.text))
        if stacks > 1:  # the one before had no trace, its CPU ran a program
            block = None
            continue
        found[line] = block
        if line.text.strip() == "</TASK>" or _IDLE_CPU.match(line.text):
            block = None
    return found


def _named_after(lines: Sequence[KernelLine]) -> str | None:
    for pattern in (_RIP, _LOCK_AT):
        for line in lines:
            if found := pattern.search(line.text):
                return found["function"]
    return None


def _first_frame(lines: Sequence[KernelLine]) -> str | None:
    """The first stack frame that does not merely report; "? " frames are left-overs."""
    own = _without_histories(lines)
    frames = (plain_name(found["function"]) for line in own if (found := _FRAME.match(line.text)))
    return next((name for name in frames if not _REPORTERS.match(name)), None)


def plain_name(function: str) -> str:
    """Without what the compiler appends to a copy of it (.isra.0, .constprop.0, .cold)."""
    return _SUFFIX.sub("", function)


def _frames(report: _Report, function: str | None) -> tuple[str, ...]:
    """The functions of the trace, the innermost first, at most _MOST_FRAMES.

    The headline's function comes first: what is above it on the stack only reports.
    """
    lines = _telling_lines(report)
    own = [line for line in lines if line.caller == report.first.caller]
    trace = _trace(own) or _trace(lines)
    plain = [name for name in map(plain_name, trace) if not _REPORTERS.match(name)]
    told = report.title.get("function")
    if function is not None and (told or not plain):
        plain = plain[plain.index(function) :] if function in plain else [function, *plain]
    inner = [name for name in plain if not _ENTRY.match(name)] or plain
    return tuple(inner[:_MOST_FRAMES])


def _trace(lines: Sequence[KernelLine]) -> list[str]:
    """The first stack trace; "? " frames are left-overs.

    It ends where the kernel was entered, also by an interrupt or a fault in the kernel itself: whom
    that interrupted does not matter.
    """
    at: list[str] = []
    frames: list[str] = []
    for line in _without_histories(lines):
        if found := _FRAME.match(line.text):
            frames.append(found["function"])
        elif not frames and not at and (found := _RIP.match(line.text)):
            at.append(found["function"])
        elif frames and _TRACE_END.match(line.text):
            break
    return [*at, *frames]


def _without_histories(lines: Iterable[KernelLine]) -> Iterator[KernelLine]:
    """Without the frames of those who had the memory before: they are not to blame."""
    history = False
    for line in lines:
        if not line.text.startswith(" "):
            history = _HISTORY.match(line.text) is not None
        elif history:
            continue
        yield line


def _fingerprint(report: _Report, frames: tuple[str, ...]) -> str:
    """Kind, innermost function, digest of what is compared: "WARN-kvm_gmem_fault-1f6bc0e9".

    Compared are the kind, the innermost functions, what noticed it where that was a helper, and
    what was said where that tells two bugs of one function apart; without a trace the title
    without its numbers.  Nothing in it has to be quoted for a shell, a path or a URL.
    """
    kind, what = report.headline.kind, _without_numbers(report.title.get("what", ""))
    if "why" in report.title:
        what = f"{what}: {_without_numbers(report.title['why'])}"
    if kind in _WHAT_IS_A_TASK or (frames and kind in _WHAT_IS_A_SAMPLE):
        what = ""
    if not frames and "at" in report.title:
        what = f"{what} {report.title['at'].rpartition(':')[0]}".strip()
    depth = _TELLING_FRAMES_OF_A_LOOP if kind in _LOOPS else _TELLING_FRAMES
    noticed = _noticed_by(report, frames)
    told = (kind.value, what, *(frames[:depth] or (report.headline.title,)), *noticed)
    digest = hashlib.sha256("\0".join(told).encode(errors="backslashreplace")).hexdigest()
    shown = f"{kind.value} {frames[0] if frames else what}"
    words = "-".join(re.findall(r"[A-Za-z0-9_.]+", shown))[:_FINGERPRINT_WORDS]
    return f"{words}-{digest[:8]}"


def _noticed_by(report: _Report, frames: tuple[str, ...]) -> tuple[str, ...]:
    """The helper that warned or fell, when the fingerprint names its caller: bugs that different
    helpers notice in one function are different ones.

    Its file where the kernel says it, for the compiler inlines helpers into each other.
    """
    if "function" not in report.title and not report.headline.is_fatal:
        return ()  # what is at RIP need not have to do with it
    name = _named(report, _telling_lines(report))
    if name is None or name in frames[:1] or not _REPORTERS.match(name):
        return ()
    file = report.title.get("at", "").rpartition(":")[0].removeprefix(f"{SRC}/")
    return (file or name.removesuffix("_noprof"),)


def _without_numbers(text: str) -> str:
    """Without addresses, numbers of CPUs and processes, taint flags; "ext4" and "x-64" stay."""
    return _NUMBER.sub("#", _TAINT.sub("", text))


def _without_repeats(splats: Iterable[Splat]) -> tuple[Splat, ...]:
    """The first of each fingerprint: a lockup, a WARN() in a loop are reported again and again."""
    kept: dict[str, Splat] = {}
    for splat in splats:
        kept.setdefault(splat.fingerprint, splat)
        if len(kept) >= _MOST_SPLATS:
            break
    return tuple(kept.values())
