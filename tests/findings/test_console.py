# SPDX-License-Identifier: GPL-2.0-or-later
"""Recorded consoles (tests/data/consoles/README.md), and lines in the formats of the sources."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kverdict.allowlist import Allowlist, Entry, load
from kverdict.errors import InfraError
from kverdict.findings.console import (
    EXCERPT_LINES,
    announced,
    clean,
    is_kernel_line,
    scan,
    scan_text,
)
from kverdict.models import BenignLine, Splat, SplatKind

CONSOLES = Path(__file__).parents[1] / "data" / "consoles"


def recorded(name: str) -> tuple[Splat, ...]:
    return scan(CONSOLES / f"{name}.log").splats


def console(*texts: str, caller: str = "T7", start: float = 1.0) -> str:
    """Lines as printk writes them, a millisecond apart."""
    return "".join(
        f"[{start + number / 1000:12.6f}][{caller:>6}] {text}\n"
        for number, text in enumerate(texts)
    )


def found(text: str) -> tuple[Splat, ...]:
    return scan_text(text).splats


def only(text: str) -> Splat:
    (splat,) = found(text)
    return splat


# --- recorded -----------------------------------------------------------------------------------

KASAN, OOPS, BUG, WARN = SplatKind.KASAN, SplatKind.OOPS, SplatKind.BUG, SplatKind.WARN
PANIC, UBSAN, LOCKDEP = SplatKind.PANIC, SplatKind.UBSAN, SplatKind.LOCKDEP
LOCKUP, STALL, HUNG = SplatKind.LOCKUP, SplatKind.RCU_STALL, SplatKind.HUNG_TASK


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("clean", []),
        ("hard-lockup", []),  # nothing but silence; the watch's business
        (
            "no-init",
            [
                (
                    PANIC,
                    "Requested init /venv/site-packages/virtme/guest/bin/virtme-ng-init"
                    " failed (error -2).",
                    None,
                )
            ],
        ),
        ("early-kasan", [(KASAN, "wild-memory-access in rcu_is_watching", "rcu_is_watching")]),
        (
            "warnings",
            [
                (WARN, "at drivers/misc/lkdtm/bugs.c:164 in lkdtm_WARNING", "lkdtm_WARNING"),
                (
                    WARN,
                    "at drivers/misc/lkdtm/bugs.c:169 in lkdtm_WARNING_MESSAGE",
                    "lkdtm_WARNING_MESSAGE",
                ),
                # The helpers that warn are not the ones to blame.
                (
                    WARN,
                    "at lib/refcount.c:22 in lkdtm_REFCOUNT_INC_OVERFLOW",
                    "lkdtm_REFCOUNT_INC_OVERFLOW",
                ),
                (
                    UBSAN,
                    "array-index-out-of-bounds at drivers/misc/lkdtm/bugs.c:458",
                    "lkdtm_ARRAY_BOUNDS",
                ),
                (
                    WARN,
                    "at lib/list_debug.c:29 in lkdtm_CORRUPT_LIST_ADD",
                    "lkdtm_CORRUPT_LIST_ADD",
                ),
            ],
        ),
        (
            "null-pointer",
            [
                (KASAN, "null-ptr-deref in lkdtm_EXCEPTION", "lkdtm_EXCEPTION"),
                (OOPS, "kernel NULL pointer dereference in lkdtm_EXCEPTION", "lkdtm_EXCEPTION"),
                (PANIC, "Fatal exception", None),
            ],
        ),
        (
            "bug",
            [
                (BUG, "at drivers/misc/lkdtm/bugs.c:132 in lkdtm_BUG", "lkdtm_BUG"),
                (PANIC, "Fatal exception", None),
            ],
        ),
        (
            "bug-in-hardirq",
            [
                (BUG, "at drivers/misc/lkdtm/bugs.c:139 in bug_in_hardirq", "bug_in_hardirq"),
                (PANIC, "Fatal exception in interrupt", None),
            ],
        ),
        ("panic", [(PANIC, "dumptest", "lkdtm_PANIC")]),
        ("sysrq", [(PANIC, "sysrq triggered crash", "sysrq_handle_crash")]),
        (
            "smashed-stack",
            [(OOPS, "unable to handle page fault", None), (PANIC, "Fatal exception", None)],
        ),
        (
            "spinlock",
            [
                (LOCKDEP, "lock held when returning to user space", "lkdtm_SPINLOCKUP"),
                (BUG, "sleeping function called from invalid context", "__fput"),
                (BUG, "scheduling while atomic", "irqentry_exit"),
                (STALL, "rcu_sched stall", "lkdtm_SPINLOCKUP"),
            ],
        ),
        (
            "soft-lockup",
            [
                (LOCKUP, "soft lockup in python3", "lkdtm_SOFTLOCKUP"),
                (HUNG, "task khugepaged blocked", "__lru_add_drain_all"),
                (STALL, "rcu_sched stall", "lkdtm_SOFTLOCKUP"),
            ],
        ),
        ("hung-task", [(HUNG, "task python3 blocked", "lkdtm_HUNG_TASK")]),
        (
            "symbols",
            [
                (WARN, "in lkdtm_WARNING", "lkdtm_WARNING"),
                (WARN, "in lkdtm_WARNING_MESSAGE", "lkdtm_WARNING_MESSAGE"),
                (WARN, "in lkdtm_REFCOUNT_INC_OVERFLOW", "lkdtm_REFCOUNT_INC_OVERFLOW"),
                (OOPS, "kernel NULL pointer dereference in lkdtm_EXCEPTION", "lkdtm_EXCEPTION"),
                (PANIC, "Fatal exception", None),
            ],
        ),
    ],
)
def test_a_recorded_console(name: str, expected: list[tuple[SplatKind, str, str | None]]) -> None:
    assert [(splat.kind, splat.title, splat.function) for splat in recorded(name)] == expected


def test_a_splat_names_the_case_that_was_running() -> None:
    assert [splat.during for splat in recorded("warnings")] == [
        "provoke.warning",
        "provoke.warning-message",
        "provoke.refcount-inc-overflow",
        "provoke.array-bounds",
        "provoke.corrupt-list-add",
    ]
    assert [splat.during for splat in recorded("early-kasan")] == [None]


def test_the_line_is_that_of_the_headline_in_the_log() -> None:
    log = (CONSOLES / "bug.log").read_text().splitlines()
    assert [log[splat.line - 1].partition("] ")[2] for splat in recorded("bug")] == [
        "kernel BUG at drivers/misc/lkdtm/bugs.c:132!",
        "Kernel panic - not syncing: Fatal exception",
    ]


def test_an_excerpt_begins_with_cut_here_and_has_no_time_stamps() -> None:
    first, second, *_ = recorded("warnings")
    assert first.excerpt.splitlines()[:2] == [
        "------------[ cut here ]------------",
        "WARNING: drivers/misc/lkdtm/bugs.c:164 at lkdtm_WARNING+0xa/0x10, CPU#0: python3/49",
    ]
    assert second.excerpt.splitlines()[1] == "Warning message trigger count: 3"
    assert max(len(splat.excerpt.splitlines()) for splat in recorded("warnings")) == EXCERPT_LINES


def test_a_console_without_a_kernel_s_line_was_not_scanned() -> None:
    with pytest.raises(InfraError, match="holds no line of the kernel"):
        recorded("not-a-kernel")
    with pytest.raises(InfraError, match="cannot be read"):
        scan(CONSOLES / "no-such-file.log")
    with pytest.raises(InfraError):
        scan_text("")


def test_a_log_that_is_no_text_is_still_scanned(tmp_path: Path) -> None:
    log = tmp_path / "console.log"
    log.write_bytes(b"\xff\x00\xfe\n" + console("kernel BUG at mm/x.c:3!").encode() + b"\xff")
    assert [splat.kind for splat in scan(log).splats] == [BUG]


# --- formats that were not recorded --------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "kind", "title"),
    [
        # 6.12 kernel/panic.c
        ("WARNING: CPU: 0 PID: 9 at mm/x.c:3 do_it+0x1/0x20", WARN, "at mm/x.c:3 in do_it"),
        # 7.2 and 7.3 kernel/panic.c, with and without CONFIG_DEBUG_BUGVERBOSE
        ("WARNING: mm/x.c:3 at do_it+0x1/0x20, CPU#1: a/9", WARN, "at mm/x.c:3 in do_it"),
        ("WARNING: at do_it.isra.0+0x1/0x20, CPU#1: a/9", WARN, "in do_it"),
        ("WARNING: something nobody has seen yet", WARN, "something nobody has seen yet"),
        (
            "BUG: unable to handle page fault for address: ffff888",
            OOPS,
            "unable to handle page fault",
        ),
        (
            "Oops: general protection fault, probably for non-canonical address 0xdead: 0000 [#1]",
            OOPS,
            "general protection fault, probably for non-canonical address",
        ),
        ("general protection fault: 0000 [#1] PREEMPT SMP", OOPS, "general protection fault"),
        ("Oops: divide error: 0000 [#1] SMP", OOPS, "divide error"),
        ("traps: PANIC: double fault, error_code: 0x0", OOPS, "double fault"),
        (
            "BUG: TASK stack guard page was hit at ffffc9 (stack is ffffca..ffffcb)",
            OOPS,
            "stack guard page was hit",
        ),
        (
            "BUG: KFENCE: use-after-free read in do_it+0x1/0x9",
            KASAN,
            "KFENCE: use-after-free read in do_it",
        ),
        ("BUG: KCSAN: data-race in do_it / do_that", BUG, "KCSAN: data-race in do_it / do_that"),
        (
            "WARNING: possible circular locking dependency detected",
            LOCKDEP,
            "possible circular locking dependency detected",
        ),
        ("WARNING: inconsistent lock state", LOCKDEP, "inconsistent lock state"),
        ("WARNING: suspicious RCU usage", LOCKDEP, "suspicious RCU usage"),
        ("WARNING: bad unlock balance detected!", LOCKDEP, "bad unlock balance detected"),
        (
            "WARNING: HARDIRQ-safe -> HARDIRQ-unsafe lock order detected",
            LOCKDEP,
            "HARDIRQ-safe -> HARDIRQ-unsafe lock order detected",
        ),
        ("[ BUG: Invalid wait context ]", LOCKDEP, "Invalid wait context"),
        ("watchdog: CPU0: Watchdog detected hard LOCKUP on cpu 1", LOCKUP, "hard lockup"),
        (
            "BUG: workqueue lockup - pool cpus=0 node=0 flags=0x0 nice=0 stuck for 31s!",
            LOCKUP,
            "workqueue lockup",
        ),
        ("rcu: INFO: rcu_preempt detected stalls on CPUs/tasks:", STALL, "rcu_preempt stall"),
        (
            "rcu: INFO: rcu_sched detected expedited stalls on CPUs/tasks: {",
            STALL,
            "rcu_sched stall",
        ),
        (
            "INFO: task kworker/0:1:12 blocked in I/O wait for more than 30 seconds.",
            HUNG,
            "task kworker/0:1 blocked",
        ),
        ("BUG: Bad page state in process a  pfn:00010", BUG, "Bad page state"),
        ("BUG: spinlock bad magic on CPU#0, a/1", BUG, "spinlock bad magic"),
        (
            "BUG kmalloc-64 (Tainted: G    B  ): Poison overwritten",
            BUG,
            "kmalloc-64 (Tainted: G    B  ): Poison overwritten",
        ),
    ],
)
def test_a_headline(line: str, kind: SplatKind, title: str) -> None:
    splat = only(console(line))
    assert (splat.kind, splat.title) == (kind, title)


@pytest.mark.parametrize(
    "line",
    [
        "rcu: INFO: Stall ended before state dump start",
        "INFO: lockdep is turned off.",
        "RETBleed: WARNING: Spectre v2 mitigation leaves CPU vulnerable to RETBleed attacks",
        "lkdtm: Performing direct entry WARNING",
        "---[ end Kernel panic - not syncing: Fatal exception ]---",
        "Oops, wrong door",
        "python3[48]: segfault at 7feac6084400 ip 000000000052ebfc sp 00007fff81abcc90 error 7",
    ],
)
def test_a_line_that_is_no_headline(line: str) -> None:
    assert found(console(line)) == ()


# --- one crash, one splat -------------------------------------------------------------------------


def test_two_cpus_that_print_at_once_are_told_apart() -> None:
    a = console("kernel BUG at mm/a.c:1!", "RIP: 0010:one+0x1/0x2", caller="T1").splitlines()
    b = console("kernel BUG at mm/b.c:2!", "RIP: 0010:two+0x1/0x2", caller="C1").splitlines()
    splats = found("\n".join([a[0], b[0], b[1], a[1]]))
    assert [(splat.title, splat.function) for splat in splats] == [
        ("at mm/a.c:1 in one", "one"),
        ("at mm/b.c:2 in two", "two"),
    ]


def test_an_oops_in_another_task_is_not_swallowed_by_a_lockup_report() -> None:
    text = console("watchdog: BUG: soft lockup - CPU#0 stuck for 22s! [a:1]", caller="C0")
    text += console("BUG: kernel NULL pointer dereference, address: 0", caller="T9")
    assert [splat.kind for splat in found(text)] == [LOCKUP, OOPS]


def test_a_fault_while_an_oops_is_printed_belongs_to_it() -> None:
    text = console(
        "BUG: unable to handle page fault for address: ffff",
        "Oops: Oops: 0002 [#1] SMP",
        "RIP: 0010:culprit+0x1/0x2",
        "BUG: kernel NULL pointer dereference, address: 0",
        "Oops: Oops: 0000 [#2] SMP",
        "RIP: 0010:show_something+0x1/0x2",
        "---[ end trace 0000000000000000 ]---",
    )
    assert only(text).function == "culprit"


def test_a_crash_that_is_met_again_is_one_splat_and_another_one_is_not() -> None:
    def crash(file: str) -> tuple[str, str]:
        return (f"kernel BUG at mm/{file}!", "---[ end trace 0000000000000000 ]---")

    splats = found(console(*crash("a.c:1"), *crash("b.c:1"), *crash("a.c:2")))
    assert [splat.title for splat in splats] == ["at mm/a.c:1", "at mm/b.c:1"]


def test_a_stall_that_is_reported_again_counts_once() -> None:
    lines = [f"watchdog: BUG: soft lockup - CPU#0 stuck for {n}s! [a:1]" for n in (22, 48, 74)]
    text = "".join(console(line, caller="C0", start=n * 26.0) for n, line in enumerate(lines))
    assert only(text).line == 1


def test_a_report_that_was_cut_short_is_a_splat() -> None:
    splat = only(console("fine", "------------[ cut here ]------------", "WARN"))
    assert (splat.kind, splat.title) == (WARN, "a report that was cut short")
    assert splat.excerpt.endswith("\nWARN")


def interleaved(lines: int, own: int = 0) -> str:
    """A splat of one CPU, with lines of another one between its "cut here" and its headline."""
    text = console("------------[ cut here ]------------", *["message"] * own, start=1.0)
    text += console(*(f"e1000: line {n}" for n in range(lines)), caller="C1", start=1.1)
    return text + console(
        "WARNING: mm/x.c:3 at do_it+0x1/0x20, CPU#1: a/9",
        " do_it2+0x1/0x2",
        "---[ end trace 0000000000000000 ]---",
        start=1.3,
    )


@pytest.mark.parametrize("lines", [0, 3, 6, 60])
def test_a_cut_here_belongs_to_its_headline_whatever_another_cpu_prints(lines: int) -> None:
    splat = only(interleaved(lines))
    assert (splat.kind, splat.title) == (WARN, "at mm/x.c:3 in do_it")
    assert splat.excerpt.splitlines()[0] == "------------[ cut here ]------------"
    entry = Entry(re.compile(r"WARNING: mm/x\.c:\d+ at do_it\+.*"), "x", date(2027, 1, 1))
    allow = Allowlist((entry,), date(2026, 11, 23))
    assert scan_text(interleaved(lines), allow=allow).splats == ()


def test_a_cut_here_with_a_long_message_was_not_cut_short() -> None:
    assert only(interleaved(3, own=9)).title == "at mm/x.c:3 in do_it"


def test_a_cut_here_is_cut_short_though_another_one_was_not() -> None:
    cut = console("------------[ cut here ]------------", "message")
    for later in (console(BENIGN, start=60.0), console(BENIGN, caller="C1"), interleaved(3)):
        titles = [splat.title for splat in found(cut + later)]
        assert titles[0] == "a report that was cut short"
        assert len(titles) == 2


# --- stalls that starve the kthread of the grace period -------------------------------------------

SELF = (
    "rcu: INFO: rcu_preempt self-detected stall on CPU",
    "rcu: \t0-....: (20999 ticks this GP) idle=5a2c/1/0x4000000000000000 softirq=3/3 fqs=0",
)
GP_KTHREAD = (
    "rcu: rcu_preempt kthread starved for 21000 jiffies! g-735 f0x0 RCU_GP_WAIT_FQS(5) ->cpu=0",
    "rcu: RCU grace-period kthread stack dump:",
    "task:rcu_preempt     state:R  running task     stack:0     pid:16    flags:0x00004000",
    "Call Trace:",
    " <TASK>",
    " __schedule+0x3ed/0xa90",
    " schedule_timeout+0x88/0x160",
    " rcu_gp_fqs_loop+0x10c/0x5a0",
    " rcu_gp_kthread+0xd6/0x190",
    " </TASK>",
)
LAST_RAN = "rcu: Stack dump where RCU GP kthread last ran:"


def stack(function: str, cpu: int = 0) -> tuple[str, ...]:
    return (
        f"CPU: {cpu} UID: 0 PID: 49 Comm: python3 Not tainted 7.2.0 #1",
        f"RIP: 0010:{function}+0x12/0x40",
        "Call Trace:",
        " <TASK>",
        f" caller_of_{function}+0x12/0x40",
        " do_syscall_64+0x9e/0x1a0",
        " </TASK>",
    )


def nmi(function: str, start: float) -> str:
    return console("NMI backtrace for cpu 1", *stack(function, 1), caller="C1", start=start)


@pytest.mark.parametrize(
    "report",
    [
        console(*SELF, *GP_KTHREAD, *stack("spins"), caller="C0"),
        console(*SELF, *GP_KTHREAD, LAST_RAN, *stack("spins"), caller="C0"),
        # The stalled CPU is not the one where the kthread last ran.
        console(*SELF, *GP_KTHREAD, LAST_RAN, caller="C0")
        + nmi("another", 2.0)
        + console(*stack("spins"), caller="C0", start=3.0),
        console(*SELF, *GP_KTHREAD, LAST_RAN, caller="C0")
        + console("NMI backtrace for cpu 1 skipped: idling at x", caller="C1", start=2.0)
        + console(*stack("spins"), caller="C0", start=3.0),
        console(*SELF, *GP_KTHREAD, LAST_RAN, caller="C0")
        + console(*stack("another", 1)[:1], "RIP: 0033:0x7f", caller="C1", start=2.0)
        + console(*stack("spins"), caller="C0", start=3.0),
        # Another CPU noticed; the stacks come first.
        console("rcu: INFO: rcu_preempt detected stalls on CPUs/tasks:", caller="C0")
        + nmi("spins", 2.0)
        + console(*GP_KTHREAD, LAST_RAN, *stack("another"), caller="C0", start=3.0),
    ],
)
def test_a_stall_is_known_by_what_stalled_not_by_the_kthread_that_it_starved(report: str) -> None:
    splat = only(report)
    assert (splat.function, splat.frames[0]) == ("spins", "spins")
    plain = only(console(*SELF, *stack("spins"), caller="C0"))
    assert splat.fingerprint == plain.fingerprint


# --- what a program prints ------------------------------------------------------------------------


def test_only_printk_s_lines_count() -> None:
    forged = "BUG: KASAN: use-after-free in f+0x1/0x2\nKernel panic - not syncing: forged\n"
    assert found(console("fine") + forged) == ()
    assert found(console("fine") + "<0>" + forged + "[ 1.2][T1] kernel BUG at x:1!\n") == ()


def test_an_unfinished_line_of_a_program_hides_nothing() -> None:
    splat = only("login: " + console("Kernel panic - not syncing: real"))
    assert (splat.kind, splat.title) == (PANIC, "real")


def test_terminal_escapes_are_not_kept() -> None:
    text = console("\x1b[31mWARNING:\x1b[0m evil \x1b]0;title\x07thing\x00\x9b2J")
    splat = only(text)
    assert splat.title == "evil thing2J"
    assert splat.excerpt.isprintable()


def test_the_announcement_of_a_case() -> None:
    line = console("kverdict: start write.page").strip()
    assert announced(line) == "write.page"
    assert announced(console("kverdict: end write.page pass").strip()) is None
    assert announced("kverdict: start write.page") is None
    assert is_kernel_line(line)
    assert not is_kernel_line("kverdict: start write.page")


def test_between_two_cases_no_case_is_named() -> None:
    bug = "kernel BUG at mm/a.c:1!"
    text = console("kverdict: start a.b", "kverdict: end a.b crash", bug)
    assert only(text).during is None


_PIECES = st.sampled_from(
    [
        "[    1.000000][    T1] ",
        "[    9.000000][    C0] ",
        "------------[ cut here ]------------",
        "WARNING: mm/x.c:3 at do_it+0x1/0x20, CPU#1: a/9",
        "BUG: ",
        "Oops: ",
        "Kernel panic - not syncing: ",
        "---[ end trace 0 ]---",
        "</TASK>",
        "RIP: 0010:",
        "\n",
        "\r",
        "\x1b[",
    ]
)


@given(st.lists(_PIECES | st.text(max_size=20), max_size=60).map("".join))
def test_any_text_is_scanned_or_refused(text: str) -> None:
    try:
        splats = found(text)
    except InfraError:
        assert not any(is_kernel_line(line) for line in clean(text).split("\n"))
        return
    for splat in splats:
        assert len(splat.excerpt.splitlines()) <= EXCERPT_LINES
        assert clean(splat.excerpt) == splat.excerpt
        assert "\n" not in splat.title
    assert [splat.line for splat in splats] == sorted(splat.line for splat in splats)


@given(st.text(alphabet=st.characters(blacklist_characters="["), max_size=200))
def test_a_program_s_text_adds_no_splat(text: str) -> None:
    assert found(console("fine") + text) == ()


# --- frames and fingerprints ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "frames"),
    [
        ("null-pointer", "lkdtm_EXCEPTION lkdtm_do_action direct_entry full_proxy_write vfs_write"),
        # Its caller had no frame yet: the unwinder has it as "? lkdtm_do_action".
        ("symbols", "lkdtm_WARNING direct_entry full_proxy_write vfs_write ksys_write"),
        ("sysrq", "sysrq_handle_crash __handle_sysrq write_sysrq_trigger proc_reg_write vfs_write"),
        # Not whom the interrupt interrupted.
        ("bug-in-hardirq", "bug_in_hardirq hrtimer_interrupt __sysvec_apic_timer_interrupt"),
        ("early-kasan", "rcu_is_watching trace_hardirqs_off_finish irqentry_enter"),
        # Neither schedule() nor what waits in it.
        ("hung-task", "lkdtm_HUNG_TASK lkdtm_do_action direct_entry full_proxy_write vfs_write"),
        ("soft-lockup", "lkdtm_SOFTLOCKUP direct_entry full_proxy_write vfs_write ksys_write"),
        ("spinlock", "lkdtm_SPINLOCKUP"),  # no trace, but where the lock was taken
    ],
)
def test_the_frames_of_a_recorded_report(name: str, frames: str) -> None:
    expected = tuple(frames.split())
    assert recorded(name)[0].frames[: len(expected)] == expected


def test_the_frames_end_where_the_kernel_was_entered() -> None:
    last = {splat.frames[-1] for log in sorted(CONSOLES.glob("*.log")) for splat in traced(log)}
    assert last == {
        *("__x64_sys_write", "__x64_sys_close", "exc_page_fault", "khugepaged"),
        *("sysvec_apic_timer_interrupt", "common_interrupt", "lkdtm_SPINLOCKUP"),
    }


def traced(log: Path) -> list[Splat]:
    if log.stem == "not-a-kernel":
        return []
    return [splat for splat in scan(log).splats if splat.frames]


def test_the_functions_of_the_frames_have_no_suffix() -> None:
    text = console(
        "BUG: scheduling while atomic: a/1/0x2",
        " dump_stack_lvl+0x1/0x2",
        " __schedule_bug.cold+0x1/0x2",
        " inner.isra.0+0x1/0x2",
        " outer.constprop.0.isra.0+0x1/0x2",
    )
    assert only(text).frames == ("inner", "outer")


def test_no_more_frames_than_eight() -> None:
    frames = [f" f{n}+0x1/0x2" for n in range(20)]
    assert only(console("BUG: x", *frames)).frames == tuple(f"f{n}" for n in range(8))


def test_a_fingerprint_can_be_read_and_typed() -> None:
    """They are compared with those of older runs: another one is another finding.

    printf 'WARN\\0\\0lkdtm_WARNING\\0direct_entry' | sha256sum
    """
    assert [splat.fingerprint for splat in recorded("symbols")] == [
        "WARN-lkdtm_WARNING-a824b6a4",
        "WARN-lkdtm_WARNING_MESSAGE-428ea2b4",
        "WARN-lkdtm_REFCOUNT_INC_OVERFLOW-4f258dc0",  # by refcount_warn_saturate()
        "oops-lkdtm_EXCEPTION-8f5283b1",
        "panic-Fatal-exception-f76ea0d1",
    ]


def test_two_reports_of_the_recorded_consoles_have_one_fingerprint_only_when_they_are_one() -> None:
    same: dict[str, set[tuple[SplatKind, str | None]]] = {}
    for name in ("warnings", "null-pointer", "bug", "bug-in-hardirq", "panic", "sysrq", "spinlock"):
        for splat in recorded(name):
            same.setdefault(splat.fingerprint, set()).add((splat.kind, splat.function))
    assert {len(splats) for splats in same.values()} == {1}
    assert len(same) == 5 + 2 + 1 + 2 + 1 + 1 + 4 + 1


@st.composite
def _elsewhere(draw: st.DrawFn) -> list[tuple[str, str]]:
    """What another boot, build or caller changes in a recorded console, as substitutions."""
    number = st.integers(1, 99999)
    comm = draw(st.text("abcxyz", min_size=1, max_size=15))
    pid, cpu, line = draw(number), draw(st.integers(0, 15)), draw(number)
    offset, address = draw(st.integers(1, 0xFFFF)), draw(st.integers(1 << 60, (1 << 64) - 1))
    return [
        (r"\+0x[0-9a-f]+/0x[0-9a-f]+", f"+{offset:#x}/{offset + 9:#x}"),
        (r"\b[0-9a-f]{16}\b", f"{address:016x}"),
        (r"\.c:\d+", f".c:{line}"),
        (r"\bpython3([/:])\d+", rf"{comm}\g<1>{pid}"),
        (r"\bpython3\b", comm),
        (r"\bpid([ :]+)\d+", rf"pid\g<1>{pid}"),
        (r"PID: \d+", f"PID: {pid}"),
        (r"CPU(: |#)\d+", rf"CPU\g<1>{cpu}"),
        (r"\]\[( *)T49\]", rf"][\g<1>T{pid}]"),
        (r" (lkdtm_\w+|__fput)\+", draw(st.sampled_from([r" \1+", r" \1.isra.0+"]))),
        (r" (vfs_write|ksys_write|__x64_sys_write)\+", " io_write+"),
    ]


@pytest.mark.parametrize(
    "name",
    ["warnings", "null-pointer", "bug", "bug-in-hardirq", "spinlock", "soft-lockup", "hung-task"],
)
@settings(max_examples=20)
@given(changes=_elsewhere())
def test_the_same_crash_elsewhere_has_the_same_fingerprint(
    name: str, changes: list[tuple[str, str]]
) -> None:
    text = (CONSOLES / f"{name}.log").read_text()
    for old, new in changes:
        text = re.sub(old, new, text)
    expected = [splat.fingerprint for splat in recorded(name)]
    assert [splat.fingerprint for splat in found(text)] == expected


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("direct_entry", "other_entry"),  # who called
        ("lkdtm_EXCEPTION", "lkdtm_OTHER"),  # where
        ("BUG: kernel NULL pointer dereference, address: 0", "kernel BUG at mm/x.c:1!"),  # what
    ],
)
def test_another_crash_has_another_fingerprint(old: str, new: str) -> None:
    text = (CONSOLES / "symbols.log").read_text()
    ours = recorded("symbols")[3].fingerprint
    assert ours in {splat.fingerprint for splat in found(text)}
    assert ours not in {splat.fingerprint for splat in found(text.replace(old, new))}


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("BUG: Bad page state in process a  pfn:00010", "BUG: Bad page map in process a", False),
        ("BUG: KASAN: use-after-free in f+0x1/0x9", "BUG: KASAN: bad-free in f+0x2/0x9", False),
        ("UBSAN: a in mm/x.c:3:1", "UBSAN: a in mm/x.c:4:2", True),
        ("UBSAN: a in mm/x.c:3:1", "UBSAN: a in mm/y.c:3:1", False),
        ("kernel BUG at mm/x.c:3!", "kernel BUG at mm/x.c:9!", True),
        ("kernel BUG at mm/x.c:3!", "kernel BUG at mm/y.c:3!", False),
        ("INFO: task a:1 blocked for more than 9 seconds.", "INFO: task b:2 blocked for more"
         " than 9 seconds.", True),
        ("WARNING: ext4 lost 12 pages at 0xff1", "WARNING: ext4 lost 3 pages at 0x1", True),
        ("WARNING: ext4 lost pages", "WARNING: ext3 lost pages", False),
        ("BUG kmalloc-64 (Tainted: G    B  ): Poison overwritten",
         "BUG kmalloc-64 (Not tainted): Poison overwritten", True),
        ("BUG kmalloc-64 (Not tainted): Poison overwritten",
         "BUG kmalloc-8 (Not tainted): Poison overwritten", False),
        ("watchdog: BUG: soft lockup - CPU#0 stuck for 22s! [a:1]",
         "watchdog: CPU0: Watchdog detected hard LOCKUP on cpu 1", False),
        ("BUG: using smp_processor_id() in preemptible [00000000] code: kworker/0:1/12",
         "BUG: using smp_processor_id() in preemptible [00000001] code: ktest x/7", True),
        ("BUG: using smp_processor_id() in preemptible [00000000] code: a/12",
         "BUG: using __this_cpu_read() in preemptible [00000000] code: a/12", False),
        ("BUG: scheduling in a non-blocking section: kworker/0:1/12/0",
         "BUG: scheduling in a non-blocking section: python3/7/1", True),
        ("BUG: workqueue leaked atomic, lock or RCU: kworker/0:1[12]",
         "BUG: workqueue leaked atomic, lock or RCU: kworker/u8:3[7]", True),
        ("WARNING: a/1 still has locks held!",
         "WARNING: kworker/0:1/2 still has locks held!", True),
        # 6.12 and 7.2
        ("WARNING: CPU: 0 PID: 9 at mm/x.c:3 do_it+0x1/0x20",
         "WARNING: mm/x.c:7 at do_it+0x9/0x30, CPU#1: a/9", True),
    ],
)  # fmt: skip
def test_reports_without_a_trace(one: str, other: str, same: bool) -> None:
    assert (only(console(one)).fingerprint == only(console(other)).fingerprint) == same


# --- who only reports -----------------------------------------------------------------------------


def traced_report(head: str, *functions: str) -> Splat:
    frames = [f" {name}+0x12/0x40" for name in (*functions, "do_syscall_64")]
    return only(console(head, "Call Trace:", " <TASK>", *frames, " </TASK>"))


ATOMIC = "BUG: sleeping function called from invalid context at kernel/locking/x.c:9"
HELD_UP = "INFO: task a:1 blocked for more than 30 seconds."


@pytest.mark.parametrize(
    ("head", "helpers"),
    [
        ("BUG: Bad page state in process a  pfn:00010",
         "dump_stack_lvl bad_page free_page_is_bad_report __free_frozen_pages __folio_put"),
        ("BUG: Bad page state in process a  pfn:00010",
         "bad_page free_unref_folios folios_put_refs"),
        ("BUG: Bad page state in process a  pfn:00010",
         "bad_page check_new_page_bad rmqueue_bulk get_page_from_freelist"
         " __alloc_frozen_pages_noprof alloc_pages_noprof"),
        ("kernel BUG at mm/usercopy.c:102!", "usercopy_abort __check_heap_object"
         " check_heap_object __check_object_size"),
        ("WARNING: mm/maccess.c:234 at __copy_overflow+0x1/0x2, CPU#0: a/9", "__copy_overflow"),
        ("kernel BUG at net/core/skbuff.c:211!", "skb_panic skb_put"),
        ("kernel BUG at net/core/skbuff.c:211!", "skb_panic skb_under_panic skb_push"),
        ("kernel BUG at net/core/skbuff.c:211!", "skb_over_panic skb_put"),
        ("WARNING: lib/debugobjects.c:615 at debug_print_object+0x1/0x2, CPU#0: a/9",
         "debug_print_object __debug_check_no_obj_freed debug_check_no_obj_freed kfree"),
        ("WARNING: lib/debugobjects.c:615 at debug_print_object+0x1/0x2, CPU#0: a/9",
         "debug_print_object debug_object_activate"),
        ("WARNING: kernel/softirq.c:387 at __local_bh_enable_ip+0x1/0x2, CPU#0: a/9",
         "__local_bh_enable_ip _raw_spin_unlock_bh"),
        ("WARNING: held lock freed!", "dump_stack_lvl print_freed_lock_bug"
         " debug_check_no_locks_freed kfree"),
        ("WARNING: held lock freed!", "debug_check_no_locks_freed __kmem_cache_free_bulk"
         " kmem_cache_free"),
        ("WARNING: bad unlock balance detected!", "print_unlock_imbalance_bug __lock_release"
         " lock_release _raw_spin_unlock"),
        ("WARNING: bad unlock balance detected!", "__lock_release lock_release"
         " __mutex_unlock_slowpath mutex_unlock"),
        ("WARNING: bad unlock balance detected!", "lock_release up_read"),
        ("BUG kmalloc-64 (Not tainted): Poison overwritten", "check_bytes_and_report check_object"
         " alloc_debug_processing ___slab_alloc __kmalloc_cache_noprof"),
        ("BUG kmalloc-64 (Not tainted): Object already free", "object_err free_debug_processing"
         " free_to_partial_list __slab_free kfree"),
        ("BUG kmalloc-64 (Not tainted): Invalid object pointer 0x1", "slab_err"
         " free_consistency_checks free_debug_processing kmem_cache_free"),
        ("BUG x (Not tainted): Objects remaining on __kmem_cache_shutdown()", "__slab_err"
         " list_slab_objects __kmem_cache_shutdown kmem_cache_destroy"),
        (HELD_UP, "__schedule schedule rwsem_down_write_slowpath down_write"),
        (HELD_UP, "schedule schedule_timeout ___down_common __down_timeout down_timeout"),
        (HELD_UP, "schedule __down_common __down down"),
        (HELD_UP, "schedule percpu_rwsem_wait __percpu_down_read"),
        (HELD_UP, "schedule percpu_down_write"),
        (HELD_UP, "schedule rt_mutex_schedule rt_mutex_slowlock_block.constprop.0"
         " __rt_mutex_slowlock rt_mutex_slowlock rt_mutex_lock_killable"),
        (HELD_UP, "schedule __ww_mutex_lock.constprop.0 ww_mutex_lock_interruptible"),
        (HELD_UP, "schedule __wait_for_common __flush_work flush_work"),
        (HELD_UP, "schedule __wait_for_common __flush_work flush_delayed_work"),
        (HELD_UP, "schedule __wait_for_common __flush_workqueue drain_workqueue"),
        (HELD_UP, "schedule __wait_for_common __flush_work __cancel_work_sync cancel_work_sync"),
        (HELD_UP, "schedule __flush_work cancel_delayed_work_sync"),
        (HELD_UP, "schedule wait_for_completion_state __wait_rcu_gp synchronize_rcu_normal"
         " synchronize_rcu"),
        (HELD_UP, "schedule wait_for_completion __synchronize_srcu synchronize_srcu"),
        (HELD_UP, "schedule synchronize_rcu_expedited"),
        (ATOMIC, "__might_resched alloc_vmap_area __get_vm_area_node __vmalloc_node_range_noprof"
         " __vmalloc_node_noprof vzalloc_noprof"),
        (ATOMIC, "__might_resched __vmalloc_node_range vmalloc_32_user"),
        (ATOMIC, "__might_resched vfree"),
        (ATOMIC, "__might_resched down_read"),
        ("kernel BUG at lib/string_helpers.c:1040!", "fortify_panic"),
        ("kernel BUG at lib/string_helpers.c:1040!", "__fortify_panic"),
    ],
)  # fmt: skip
def test_what_noticed_it_is_not_to_blame(head: str, helpers: str) -> None:
    one = traced_report(head, *helpers.split(), "culprit", "caller")
    assert (one.function, one.frames) == ("culprit", ("culprit", "caller"))
    other = traced_report(head, *helpers.split(), "another", "caller")
    assert one.fingerprint != other.fingerprint


@pytest.mark.parametrize(
    "name",
    ["download", "down_the_ring", "kfree_skb", "kmemdup_nul", "upload", "update_curr",
     "check_objects", "free_pages_and_caches", "skb_put_frags", "slabinfo_show", "vmalloc_fault",
     "flush_work_items", "cancel_workers", "synchronize_rcuref"],
)  # fmt: skip
def test_a_name_that_only_looks_like_a_helper_s_is_to_blame(name: str) -> None:
    assert traced_report(ATOMIC, "__might_resched", name, "caller").function == name


def warned(file: str, function: str, *frames: str) -> str:
    return console(
        f"WARNING: {file} at {function}+0x1/0x2, CPU#0: a/9",
        f"RIP: 0010:{function}+0x1/0x2",
        "Call Trace:",
        *(f" {name}+0x1/0x2" for name in frames),
        "---[ end trace 0000000000000000 ]---",
    )


def fell(head: str, rip: str, *frames: str) -> str:
    return console(
        head,
        "Oops: Oops: 0000 [#1] SMP",
        f"RIP: 0010:{rip}+0x1/0x2",
        "Call Trace:",
        *(f" {name}+0x1/0x2" for name in frames),
        "---[ end trace 0000000000000000 ]---",
    )


NULL = "BUG: kernel NULL pointer dereference, address: 8"
UAF = "BUG: KASAN: slab-use-after-free in "
OF_ONE_FUNCTION = [
    warned("mm/page_alloc.c:5147", "__alloc_frozen_pages_noprof", "__kvmalloc_node_noprof",
           "f", "g"),
    warned("lib/refcount.c:28", "refcount_warn_saturate", "f", "g"),
    warned("virt/kvm/x.c:5", "f", "g"),
    fell("kernel BUG at lib/list_debug.c:29!", "__list_add_valid_or_report", "f", "g"),
    fell("kernel BUG at mm/usercopy.c:102!", "usercopy_abort", "__check_object_size", "f", "g"),
    fell("kernel BUG at net/core/skbuff.c:212!", "skb_panic", "skb_put.cold", "f", "g"),
    fell("kernel BUG at virt/kvm/x.c:5!", "f", "g"),
    fell(NULL, "f", "g"),
    fell(NULL, "kfree", "f", "g"),
    fell(NULL, "mutex_lock", "f", "g"),
    console(f"{UAF}f+0x1/0x2", "Call Trace:", " f+0x1/0x2", " g+0x1/0x2"),
    console(f"{UAF}mutex_lock+0x1/0x2", "Call Trace:", " mutex_lock+0x1/0x2", " f+0x1/0x2",
            " g+0x1/0x2"),
]  # fmt: skip


def test_what_noticed_it_tells_the_reports_of_one_function_apart() -> None:
    seen = [only(text) for text in OF_ONE_FUNCTION]
    assert {splat.frames for splat in seen} == {("f", "g")}
    assert len({splat.fingerprint for splat in seen}) == len(seen)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (r"\+0x1/0x2", "+0x21/0x9a"),
        (r"\.c:\d+", ".c:7"),
        (r"(?<=[ :])(\w+)\+", r"\1.isra.0+"),
        (r"_noprof\+", "+"),
        (r"CPU#0: a/9", "CPU#3: kworker/1:2/81"),
        (r"\[ +T7\]", "[  T412]"),
        (r"address: 8", "address: 00000000000000f0"),
    ],
)
def test_what_noticed_it_is_the_same_elsewhere(old: str, new: str) -> None:
    for text in (*OF_ONE_FUNCTION, fell(NULL, "__kmalloc_cache_noprof", "f", "g")):
        assert only(re.sub(old, new, text)).fingerprint == only(text).fingerprint


def bad_page(reason: str) -> str:
    return console(
        "BUG: Bad page state in process a  pfn:00010",
        "page: refcount:0 mapcount:-1 mapping:0 index:0x0 pfn:0x10",
        f"page dumped because: {reason}",
        *stack("culprit"),
    )


def frames_of(*functions: str) -> tuple[str, ...]:
    return tuple(f" {name}+0x12/0x40" for name in functions)


def with_history(head: str, *before: str, trace: str = "kfree culprit caller") -> str:
    return console(
        head,
        *before,
        "CPU: 0 UID: 0 PID: 99 Comm: a Not tainted 7.2.0 #1 PREEMPT(full)",
        *("Call Trace:", " <TASK>", *frames_of("dump_stack_lvl", *trace.split()), " </TASK>"),
    )


SLUB = "BUG kmalloc-64 (Not tainted): Object already free"
OF_THE_OBJECT = (
    "Allocated in maker+0x1/0x2 age=1 cpu=0 pid=99",
    *frames_of("__kmalloc_cache_noprof", "maker", "caller"),
    "Freed in freer+0x1/0x2 age=0 cpu=0 pid=99",
    *frames_of("kfree", "freer", "caller"),
    "Slab 0xffffea objects=32 used=1 fp=0xffff flags=0x200",
    "Object 0xffff8881 @offset=64 fp=0xffff",
)
OF_THE_PAGE = (
    "page dumped because: nonzero mapcount",
    "page_owner tracks the page as allocated",
    "page last allocated via order 0, migratetype Unmovable, pid 99, tgid 99 (a), ts 1, free_ts 0",
    *frames_of("post_alloc_hook", "get_page_from_freelist", "maker"),
    "page last free pid 98 tgid 98 stack trace:",
    *frames_of("free_unref_page", "freer"),
    "Modules linked in:",
)


@pytest.mark.parametrize(
    ("head", "history"),
    [(SLUB, OF_THE_OBJECT), ("BUG: Bad page state in process a  pfn:00010", OF_THE_PAGE)],
)
def test_who_had_the_memory_before_is_not_to_blame(head: str, history: tuple[str, ...]) -> None:
    one = only(with_history(head, *history))
    assert (one.function, one.frames) == ("culprit", ("culprit", "caller"))
    other = only(with_history(head, *history, trace="kfree another caller"))
    assert other.fingerprint != one.fingerprint
    elsewhere = (line.replace("maker", "other").replace("freer", "other") for line in history)
    assert only(with_history(head, *elsewhere)).fingerprint == one.fingerprint


def test_a_report_that_shows_no_trace_but_the_object_s_is_known_by_what_it_says() -> None:
    """Since 6.16 SLUB's own trace is that of the WARN() that follows."""
    told, warning = found(
        console(SLUB, *OF_THE_OBJECT)
        + console(
            "------------[ cut here ]------------",
            "WARNING: mm/slub.c:1148 at object_err+0x1/0x2, CPU#0: a/9",
            *("Call Trace:", *frames_of("free_to_partial_list", "kfree", "culprit", "caller")),
            start=1.5,
        )
    )
    assert (told.function, told.frames) == (None, ())
    assert warning.frames == ("culprit", "caller")


def test_kfence_s_own_trace_comes_first() -> None:
    text = console(
        "BUG: KFENCE: use-after-free read in culprit+0x12/0x40",
        *("", *frames_of("culprit"), "", "kfence-#5: 0x1-0x2, size=32", ""),
        *("allocated by task 9 on cpu 0 at 1.0s (0.1s ago):", *frames_of("maker", "caller")),
    )
    assert only(text).frames == ("culprit",)


def test_kasan_s_own_trace_comes_first() -> None:
    text = with_history(
        "BUG: KASAN: slab-use-after-free in culprit+0x12/0x40", trace="culprit caller"
    )
    lines = ("", "Allocated by task 9:", *frames_of("maker"), "", "Freed by task 9:")
    assert only(text + console(*lines, *frames_of("freer"), start=2.0)).frames == (
        "culprit",
        "caller",
    )


def leaked(function: str, task: str = "kworker/0:1[12]") -> str:
    return console(
        f"BUG: workqueue leaked atomic, lock or RCU: {task}",
        f"     preempt=0x00000000 lock=0->1 RCU=0->0 workfn={function}",
        *(f" {name}+0x1/0x2" for name in ("dump_stack_lvl", "process_one_work", "worker_thread")),
    )


def still_held(function: str, task: str = "python3/49") -> str:
    return console(
        f"WARNING: {task} still has locks held!",
        f"1 lock held by {task}:",
        f" #0: ffff888 (&x){{+.+.}}-{{4:4}}, at: {function}+0x12/0x40",
        *(f" {name}+0x1/0x2" for name in ("dump_stack_lvl", "do_exit", "do_group_exit")),
    )


def test_why_a_page_is_bad_tells_two_bugs_apart() -> None:
    one, other = only(bad_page("nonzero _refcount")), only(bad_page("nonzero mapcount"))
    assert (one.title, one.function) == ("Bad page state", "culprit")
    assert one.fingerprint != other.fingerprint


@pytest.mark.parametrize(
    ("report", "title", "tasks"),
    [
        (leaked, "workqueue leaked atomic, lock or RCU in a_fn",
         ("kworker/0:1[12]", "kworker/u8:3[7]", "kworker/0:1H[12]")),
        (still_held, "still has locks held", ("python3/49", "kworker/0:1/12", "a b/7")),
    ],
)  # fmt: skip
def test_what_the_stack_does_not_tell_another_line_does(
    report: Callable[[str, str], str], title: str, tasks: tuple[str, ...]
) -> None:
    seen = [only(report("a_fn", task)) for task in tasks]
    assert {(splat.title, splat.function) for splat in seen} == {(title, "a_fn")}
    assert len({splat.fingerprint for splat in seen}) == 1
    assert only(report("b_fn", tasks[0])).fingerprint != seen[0].fingerprint


def test_an_older_kernel_names_the_work_that_leaked_too() -> None:
    text = leaked("a_fn").replace(
        "preempt=0x00000000 lock=0->1 RCU=0->0 workfn=", "last function: "
    )
    assert only(text).function == "a_fn"


# --- lines that are allowed -----------------------------------------------------------------------

BENIGN = "WARNING: Flushing system-wide workqueues will be prohibited in near future."
ALLOW = load(None, date(2026, 11, 23))


def test_a_line_that_is_allowed_is_no_splat_and_is_told_with_its_reason() -> None:
    text = console("fine", BENIGN, " dump_stack_lvl+0x1/0x2", " f+0x1/0x2", BENIGN, "fine")
    seen = scan_text(text, allow=ALLOW)
    assert seen.splats == ()
    assert seen.benign == (
        BenignLine(
            text=BENIGN, reason="announces a change; no fault happened", expires="2027-11-30"
        ),
    )


def test_a_report_that_is_allowed_is_allowed_with_its_cut_here() -> None:
    text = console("------------[ cut here ]------------", BENIGN, "---[ end trace 0 ]---")
    assert scan_text(text, allow=ALLOW).splats == ()


def test_an_entry_that_has_expired_says_so_in_the_finding() -> None:
    late = Allowlist(ALLOW.entries, date(2027, 12, 1))
    (splat,) = scan_text(console(BENIGN), allow=late).splats
    assert splat.title == (
        "Flushing system-wide workqueues will be prohibited in near future."
        " (it was allowed until 2027-11-30: announces a change; no fault happened)"
    )
    assert splat.fingerprint == only(console(BENIGN)).fingerprint
    assert scan_text(console(BENIGN), allow=late).benign == ()


@pytest.mark.parametrize(
    "crash",
    [
        ("Oops: general protection fault: 0000 [#1]", "RIP: 0010:f+0x1/0x2"),
        ("BUG: kernel NULL pointer dereference, address: 0", "Oops: Oops: 0000 [#1] SMP"),
        ("kernel BUG at mm/x.c:1!", "Oops: invalid opcode: 0000 [#1]"),
        ("Kernel panic - not syncing: x",),
        ("WARNING: mm/x.c:3 at do_it+0x1/0x20, CPU#1: a/9",),
    ],
)
def test_an_allowed_line_hides_no_crash_after_it(crash: tuple[str, ...]) -> None:
    alone = [splat.fingerprint for splat in found(console(*crash))]
    seen = scan_text(console(BENIGN, *crash), allow=ALLOW)
    assert [splat.fingerprint for splat in seen.splats] == alone
    assert len(seen.benign) == 1


def test_nothing_allows_a_crash(tmp_path: Path) -> None:
    file = tmp_path / "allow.toml"
    lines = [
        "Kernel panic - not syncing: mine",
        "kernel BUG at mm/mine.c:1!",
        "Oops: mine: 0000 [#1]",
    ]
    file.write_text(
        "".join(
            f"[[allow]]\npattern = '{re.escape(line)}'\nreason = 'x'\nexpires = 2027-01-01\n"
            for line in lines
        )
    )
    allow = load(file, date(2026, 11, 23))
    for line in lines:
        assert allow.find(line) is not None
        assert len(scan_text(console(line), allow=allow).splats) == 1
