# SPDX-License-Identifier: GPL-2.0-or-later
"""The rules of the watch and of how a guest ended; tests/e2e/test_boot_real.py boots guests."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kverdict.errors import InfraError
from kverdict.guest import programs
from kverdict.models import Accelerator, GuestEnd, Outcome, Splat, SplatKind
from kverdict.progress import Silent
from kverdict.stages import boot, selftests
from kverdict.stages.boot import Limits, Mode, Sight, Watch, how_it_ended
from kverdict.stages.selftests import Made, Selftest
from tests import factories

LIMITS = Limits(
    boot=10, silence=20, case=30, whole=100, results_bytes=1000, results_files=10, console_bytes=500
)


def seen(*sights: Sight) -> Watch:
    watch = Watch()
    for sight in sights:
        watch = watch.see(sight)
    return watch


def talking(seconds: Iterable[int], **same: int) -> list[Sight]:
    """A console that grows at each of ``seconds``."""
    return [Sight(at=at, console_bytes=100 * at, **same) for at in seconds]


# --- the watch ----------------------------------------------------------------------------------


def test_a_boot_that_comes_to_the_suite_in_time_goes_on() -> None:
    watch = seen(Sight(9), Sight(10, results_bytes=1))
    assert watch.userspace == 10
    assert watch.verdict(LIMITS) is None


def test_a_boot_that_talks_but_never_comes_to_the_suite() -> None:
    assert seen(*talking(range(1, 11))).verdict(LIMITS) is None
    assert seen(*talking(range(1, 12))).verdict(LIMITS) is GuestEnd.BOOT_TIMEOUT


def test_a_silent_guest() -> None:
    began = Sight(1, console_bytes=5, results_bytes=5)
    assert seen(began, Sight(21, 5, 5)).verdict(LIMITS) is None
    assert seen(began, Sight(21.5, 5, 5)).verdict(LIMITS) is GuestEnd.SILENCE


def test_a_line_on_the_console_ends_the_silence() -> None:
    watch = seen(Sight(1, 5, 5), Sight(20, 6, 5), Sight(31, 6, 5))
    assert watch.verdict(LIMITS) is None


def test_a_case_that_only_the_console_hears_of() -> None:
    assert seen(*talking(range(1, 32), results_bytes=5)).verdict(LIMITS) is None
    assert seen(*talking(range(1, 33), results_bytes=5)).verdict(LIMITS) is GuestEnd.SILENCE


def test_a_guest_that_keeps_reporting_still_has_to_end() -> None:
    sights = [Sight(at, console_bytes=at, results_bytes=at) for at in range(1, 102)]
    assert seen(*sights[:100]).verdict(LIMITS) is None
    assert seen(*sights).verdict(LIMITS) is GuestEnd.TIMEOUT


@pytest.mark.parametrize("use", [{"folder_bytes": 1001}, {"folder_files": 11}])
def test_a_full_results_folder_comes_before_everything_else(use: dict[str, int]) -> None:
    assert seen(Sight(1, **use)).verdict(LIMITS) is GuestEnd.RESULTS_FULL
    assert seen(Sight(200, **use)).verdict(LIMITS) is GuestEnd.RESULTS_FULL


def test_limits_are_stretched_in_time_and_not_in_size() -> None:
    scaled = LIMITS.scaled(4)
    assert (scaled.boot, scaled.silence, scaled.case, scaled.whole) == (40, 80, 120, 400)
    assert (scaled.results_bytes, scaled.console_bytes) == (1000, 500)


def test_programs_and_suites_have_their_time_in_the_whole() -> None:
    limits = LIMITS.for_others([45, 120], kunit=False)
    assert limits.whole >= 100 + 45 + 120
    assert (limits.boot, limits.silence, limits.case) == (10, 20, 30)
    suites = LIMITS.for_others([], kunit=True)
    assert (suites.boot, suites.whole) == (310, 400), "KUnit runs before userspace"
    assert LIMITS.for_others([], kunit=False) == LIMITS


def test_a_program_s_limit_is_reached_before_the_watch_s() -> None:
    """The console says nothing; the guest says each ALIVE_SECONDS that the program runs."""
    limits = LIMITS.for_others([120], kunit=False)
    words = [Sight(1 + programs.ALIVE_SECONDS * n, 5, 5 + n) for n in range(25)]
    last = words[-1].at
    assert last > 120 and all(
        seen(*words[: n + 1]).verdict(limits) is None for n in range(len(words))
    )
    dead = Sight(last + limits.silence + 1, 5, words[-1].results_bytes)
    assert seen(*words, dead).verdict(limits) is GuestEnd.SILENCE


def test_a_program_and_what_it_lacks() -> None:
    named = selftests.parse("net/made:x86/a.sh")
    made = Made(why="", limit=7, files=("net/made/a.sh",), missing=("tool", "gone.txt"))
    test = Selftest(named, made, Path("/somewhere"))
    assert boot._program(3, test) == {
        "id": "kselftest.net.made.a.sh",
        "folder": "/selftests/3",
        "path": "net/made/a.sh",
        "limit": 7.0,
    }
    cases = [factories.case(test.id, Outcome.FAIL, message="exit status 1"), factories.case("a")]
    failed, other = boot._noted(cases, [test])
    assert failed.message == "exit status 1\nmade without tool gone.txt"
    assert other == cases[1]
    passed = factories.case(test.id)
    assert boot._noted([passed], [test]) == (passed,)


@given(st.floats(1, 1e4))
def test_the_kernel_s_own_watchdogs_bite_before_ours(silence: float) -> None:
    options = dict(o.split("=") for o in boot.kernel_options(Limits(silence=silence)))
    hung = int(options["sysctl.kernel.hung_task_timeout_secs"])
    stall = int(options["rcupdate.rcu_cpu_stall_timeout"])
    soft = 2 * int(options["sysctl.kernel.watchdog_thresh"])
    assert min(hung, stall, soft) >= 1
    if silence >= 6:
        assert 2 * hung < silence
        assert max(stall, soft) < silence


# --- the results folder -------------------------------------------------------------------------


def test_folder_use_counts_what_is_on_disk(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x" * 8192)
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "b").write_bytes(b"x" * 4096)
    total, files = boot.folder_use(tmp_path, 100)
    assert files == 3
    assert total >= 12288


def test_folder_use_follows_no_link_and_survives_odd_files(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "big").write_bytes(b"x" * 1_000_000)
    inside = tmp_path / "inside"
    inside.mkdir()
    (inside / "link").symlink_to(outside)
    (inside / "loop").symlink_to(inside)
    (inside / "file").symlink_to(outside / "big")
    os.mkfifo(inside / "fifo")
    assert boot.folder_use(inside, 100) == (0, 4)


def test_folder_use_does_not_count_for_ever(tmp_path: Path) -> None:
    for number in range(30):
        (tmp_path / str(number)).touch()
    assert boot.folder_use(tmp_path, 10)[1] == 11


def test_folder_use_of_a_folder_that_is_gone(tmp_path: Path) -> None:
    assert boot.folder_use(tmp_path / "gone", 10) == (0, 0)


# --- how it ended -------------------------------------------------------------------------------

PANICKED = (Splat(kind=SplatKind.PANIC, title="x", function=None, line=1, excerpt=""),)
WARNED = (Splat(kind=SplatKind.WARN, title="x", function=None, line=1, excerpt=""),)


@pytest.mark.parametrize(
    ("watched", "stopped", "done", "splats", "refused", "end"),
    [
        (None, None, True, (), False, GuestEnd.DONE),
        (None, None, True, WARNED, False, GuestEnd.DONE),
        (None, None, True, PANICKED, False, GuestEnd.PANIC),  # on the way to power-off
        (None, None, False, PANICKED, False, GuestEnd.PANIC),
        (None, None, False, (), False, GuestEnd.LOST),
        (None, None, False, (), True, GuestEnd.NOT_STARTED),
        (GuestEnd.SILENCE, "x", False, (), False, GuestEnd.SILENCE),
        (GuestEnd.SILENCE, "x", True, (), False, GuestEnd.SILENCE),  # does not power off
        (GuestEnd.SILENCE, "x", False, PANICKED, False, GuestEnd.PANIC),
        (GuestEnd.BOOT_TIMEOUT, "x", False, (), True, GuestEnd.BOOT_TIMEOUT),
        (GuestEnd.RESULTS_FULL, "x", False, PANICKED, False, GuestEnd.RESULTS_FULL),
        (None, "time limit of 9 s", False, (), False, GuestEnd.TIMEOUT),
        (None, "output over the limit of 9 bytes", False, (), False, GuestEnd.CONSOLE_FULL),
    ],
)
def test_how_it_ended(
    watched: GuestEnd | None,
    stopped: str | None,
    done: bool,
    splats: tuple[Splat, ...],
    refused: bool,
    end: GuestEnd,
) -> None:
    assert how_it_ended(watched, stopped, done, splats, refused) is end


def test_the_tail_is_the_end_of_the_log_without_escapes(tmp_path: Path) -> None:
    log = tmp_path / "console.log"
    log.write_bytes(b"".join(b"line %d\r\n" % n for n in range(99)) + b"\x1b[31mlast\x1b[0m \n\n")
    tail = boot.console_tail(log)
    assert tail[-2:] == ("line 98", "last")
    assert len(tail) == boot.TAIL_LINES
    assert boot.console_tail(tmp_path / "gone") == ()


# --- what is started ----------------------------------------------------------------------------


def test_the_benchmark_counts_instructions_only_under_tcg() -> None:
    emulated = boot.machine_for(Mode.BENCH, Accelerator.TCG)
    real = boot.machine_for(Mode.BENCH, Accelerator.KVM)
    assert (emulated.cpus, boot.bench_unit(emulated)) == (1, "guest instructions")
    assert (real.cpus, boot.bench_unit(real)) == (1, "ns")
    assert boot.machine_for(Mode.SUITE, Accelerator.TCG).cpus == 2


def test_older_results_are_never_read(tmp_path: Path) -> None:
    (tmp_path / "results.jsonl").write_text("{}\n")
    with pytest.raises(InfraError, match="not empty"):
        boot.boot(
            tmp_path / "bzImage",
            results=tmp_path,
            console=tmp_path / "console.log",
            suite=tmp_path,
            facts={},
            accelerator=Accelerator.TCG,
            why="",
            limits=Limits(),
            progress=Silent(),
        )
