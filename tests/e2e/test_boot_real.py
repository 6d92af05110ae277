# SPDX-License-Identifier: GPL-2.0-or-later
"""Real guests: the suite, and little programs in its place that misbehave as a kernel might."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from kverdict.errors import InfraError
from kverdict.findings.suite import SUITE_FOLDER, list_cases
from kverdict.models import Accelerator, Guest, GuestEnd, Outcome, SplatKind
from kverdict.progress import Silent
from kverdict.settings import HOME
from kverdict.stages.boot import Limits, Mode, boot

FIRST, SECOND, *_ = (case.id for case in list_cases())
FLAGS = {"GUEST_MEMFD_FLAG_MMAP": 1, "GUEST_MEMFD_FLAG_INIT_SHARED": 2}  # 7.2's kvm.h
# The beginning of every program here: what the suite would report first.
PRELUDE = f"""
import json, os, time
out = os.open("/results/results.jsonl", os.O_WRONLY | os.O_CREAT)
def put(**event):
    os.write(out, json.dumps(event).encode() + b"\\n")
def log(text):
    with open("/dev/kmsg", "w") as kmsg:
        kmsg.write(text + "\\n")
def start(case):
    log("kverdict: start " + case)
    put(event="start", case=case)
put(event="hello", version=1, release=os.uname().release, build_id=None, cmdline="",
    config_digest=None, kvm=False, python="")
put(event="plan", cases=[{FIRST!r}, {SECOND!r}])
"""


@dataclass(frozen=True)
class Boots:
    """Boots the base kernel with a program in the suite's place."""

    bzimage: Path
    folder: Path

    @property
    def results(self) -> Path:
        return self.folder / "results"

    @property
    def console(self) -> Path:
        return self.folder / "console.log"

    def program(self, body: str) -> Path:
        suite = self.folder / "program"
        suite.mkdir()
        (suite / "__main__.py").write_text(PRELUDE + body)
        return suite

    def __call__(
        self,
        suite: Path,
        *,
        limits: Limits | None = None,
        mode: Mode = Mode.SUITE,
        cases: tuple[str, ...] = (FIRST, SECOND),
        bench_mib: int = 0,
    ) -> Guest:
        return boot(
            self.bzimage,
            results=self.results,
            console=self.console,
            suite=suite,
            facts={"flags": FLAGS, "cases": list(cases), "bench_mib": bench_mib},
            accelerator=Accelerator.TCG,
            why="the tests are for every machine",
            limits=limits or Limits(),
            progress=Silent(),
            mode=mode,
        )


@pytest.fixture
def boots(base_kernel: Path, tmp_path: Path) -> Boots:
    return Boots(base_kernel, tmp_path)


def test_the_suite_runs_and_the_guest_powers_off(boots: Boots) -> None:
    cases = ("noflag.read.read", "noflag.lseek.end", "pwrite.page")
    guest = boots(SUITE_FOLDER, cases=cases)
    assert guest.end is GuestEnd.DONE
    assert {case.id: case.outcome for case in guest.cases} == {
        "noflag.read.read": Outcome.PASS,
        "noflag.lseek.end": Outcome.PASS,
        "pwrite.page": Outcome.SKIP,  # no GUEST_MEMFD_FLAG_WRITE in this header
    }
    assert (guest.splats, guest.console_scanned, guest.problems) == ((), True, ())
    assert guest.kvm, "kvm_amd comes up on the SVM that TCG emulates"
    assert guest.release is not None
    assert guest.release.startswith("7.2")
    assert guest.build_id is not None
    assert len(guest.build_id) == 40
    assert guest.boot_seconds is not None
    assert "Linux version 7.2" in boots.console.read_text().splitlines()[0]


def test_a_panic_in_a_case(boots: Boots) -> None:
    guest = boots(boots.program(f'start({SECOND!r}); open("/proc/sysrq-trigger", "w").write("c")'))
    assert guest.end is GuestEnd.PANIC
    assert {case.id: case.outcome for case in guest.cases} == {
        FIRST: Outcome.NOT_RUN,
        SECOND: Outcome.CRASH,
    }
    (splat,) = guest.splats
    assert (splat.kind, splat.during) == (SplatKind.PANIC, SECOND)
    assert splat.title == "sysrq triggered crash"
    assert any("Kernel panic - not syncing" in line for line in guest.console_tail)


def test_a_guest_that_falls_silent(boots: Boots) -> None:
    guest = boots(
        boots.program(f'start({FIRST!r}); log("that was all"); time.sleep(1e6)'),
        limits=Limits(silence=2),
    )
    assert guest.end is GuestEnd.SILENCE
    assert guest.cases[0].outcome is Outcome.CRASH
    assert any(line.endswith("that was all") for line in guest.console_tail[-3:])


def test_a_case_that_never_ends_but_keeps_printing(boots: Boots) -> None:
    guest = boots(
        boots.program(
            f"start({FIRST!r})\nwhile True:\n    log('still here')\n    time.sleep(0.5)\n"
        ),
        limits=Limits(silence=10, case=3),
    )
    assert guest.end is GuestEnd.SILENCE
    assert any(line.endswith("still here") for line in guest.console_tail[-3:])


@pytest.mark.parametrize(
    "body",
    [
        # One file stops at the limit of QEMU's own files, so it takes several.
        "for n in range(100):\n"
        "    with open(f'/results/{n}', 'wb') as f:\n"
        "        try:\n"
        "            while True: f.write(bytes(1 << 20))\n"
        "        except OSError: pass\n",
        "n = 0\nwhile True:\n    n += 1\n    open(f'/results/{n}', 'w').close()\n",
    ],
    ids=["bytes", "files"],
)
def test_a_guest_that_fills_its_results(boots: Boots, body: str) -> None:
    limits = Limits(results_bytes=4 << 20, results_files=500)
    guest = boots(boots.program(body), limits=limits)
    assert guest.end is GuestEnd.RESULTS_FULL
    sizes = [path.lstat().st_size for path in boots.results.iterdir()]
    assert max(sizes) <= limits.results_bytes
    assert sum(sizes) < 64 * limits.results_bytes


def test_a_guest_that_prints_without_end(boots: Boots) -> None:
    guest = boots(
        boots.program("while True:\n    log('x' * 900)\n"), limits=Limits(console_bytes=1 << 20)
    )
    assert guest.end is GuestEnd.CONSOLE_FULL
    assert boots.console.stat().st_size == 1 << 20
    assert guest.console_scanned


def test_a_program_that_ends_without_a_word(boots: Boots) -> None:
    guest = boots(boots.program("raise SystemExit(0)"))
    assert guest.end is GuestEnd.LOST
    assert [case.outcome for case in guest.cases] == [Outcome.NOT_RUN, Outcome.NOT_RUN]


def test_what_is_not_a_kernel_is_our_trouble(tmp_path: Path) -> None:
    (tmp_path / "bzImage").write_text("not a kernel\n")
    boots = Boots(tmp_path / "bzImage", tmp_path)
    with pytest.raises(InfraError, match="did not start the guest: qemu: invalid kernel header"):
        boots(SUITE_FOLDER)


def test_a_kernel_that_never_says_a_word(boots: Boots, tmp_path: Path) -> None:
    """Its first instruction in protected mode jumps to itself."""
    image = bytearray(boots.bzimage.read_bytes())
    setup_sectors = image[0x1F1]  # Documentation/arch/x86/boot.rst, setup_sects
    entry = (setup_sectors + 1) * 512
    image[entry : entry + 2] = b"\xeb\xfe"
    (tmp_path / "damaged").write_bytes(image)
    guest = Boots(tmp_path / "damaged", tmp_path)(SUITE_FOLDER, limits=Limits(boot=3))
    assert guest.end is GuestEnd.BOOT_TIMEOUT
    assert not guest.console_scanned
    assert guest.boot_seconds is None


def test_the_guest_sees_nothing_of_the_host_s_files_and_network(boots: Boots) -> None:
    boots(
        boots.program(
            "found = {'root': os.listdir('/'), 'net': os.listdir('/sys/class/net'),"
            f" 'here': os.path.exists({str(Path(__file__))!r})}}\n"
            "for place in ('/', '/usr', '/kverdict/guest', '/etc'):\n"
            "    try: open(place + '/x', 'w'); found[place] = 'written'\n"
            "    except OSError: pass\n"
            "json.dump(found, open('/results/found', 'w'))\n"
        )
    )
    found = json.loads((boots.results / "found").read_text())
    assert set(found) == {"root", "net", "here"}
    assert set(found["net"]) <= {"lo"}
    assert "home" not in found["root"]
    assert not found["here"]


def test_the_benchmark_counts_instructions(boots: Boots) -> None:
    guest = boots(SUITE_FOLDER, mode=Mode.BENCH, bench_mib=4)
    (row,) = guest.bench  # this kernel has no write()
    assert (guest.end, row.name, row.unit, row.mib) == (
        GuestEnd.DONE,
        "memcpy",
        "guest instructions",
        4,
    )
    # Time on a busy machine would be far from this.
    assert (row.maximum - row.minimum) / row.median < 0.05


_DRIVER = """
import json, sys
from pathlib import Path
from kverdict.models import Accelerator
from kverdict.progress import Silent
from kverdict.stages.boot import Limits, boot
bzimage, folder, suite = map(Path, sys.argv[1:])
boot(bzimage, results=folder / "results", console=folder / "console.log", suite=suite,
     facts={"flags": {}}, accelerator=Accelerator.TCG, why="", limits=Limits(), progress=Silent())
"""


def test_ctrl_c_leaves_no_process(boots: Boots) -> None:
    suite = boots.program("time.sleep(1e6)")
    argv = [sys.executable, "-c", _DRIVER, *map(str, (boots.bzimage, boots.folder, suite))]
    with subprocess.Popen(argv, cwd=HOME, stderr=subprocess.PIPE) as driver:
        _until(lambda: (boots.results / "results.jsonl").is_file(), 120)
        assert list(_users_of(boots.results)), "the search finds the running guest"
        driver.send_signal(signal.SIGINT)
        driver.communicate(timeout=60)
    assert driver.returncode != 0
    assert list(_users_of(boots.results)) == []


def _until(condition: Callable[[], bool], seconds: float) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "it never happened"
        time.sleep(0.1)


def _users_of(folder: Path) -> Iterator[str]:
    """Processes in whose mount namespace ``folder`` is bound."""
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            mounts = (process / "mountinfo").read_text().splitlines()
            if any(str(folder) in line.split()[3] for line in mounts):
                yield (process / "cmdline").read_bytes().replace(b"\0", b" ").decode()
