# SPDX-License-Identifier: GPL-2.0-or-later
"""Hostile programs in real guests: what they see, how they end, what is left on the host."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from kverdict.models import Accelerator, Guest, GuestEnd, Outcome
from kverdict.progress import Silent
from kverdict.runs import discard
from kverdict.stages.boot import Limits, boot
from tests.hostile.builds.host import users_of
from tests.hostile.guests.programs import CASES, ENDS, LOOKS, PRELUDE, End, Look, looks_program

pytestmark = pytest.mark.e2e

SECRET = "the host's secret: 7c1e55d0"


@dataclass(frozen=True)
class Stand:
    """A folder of the host with a secret beside the results."""

    home: Path
    bzimage: Path

    @classmethod
    def create(cls, home: Path, bzimage: Path) -> Stand:
        (home / "secret").write_text(SECRET)
        (home / "secret").chmod(0o666)  # only the guest's walls are in the way
        return cls(home, bzimage)

    @property
    def results(self) -> Path:
        return self.home / "results"

    @property
    def console(self) -> Path:
        return self.home / "console.log"

    def __call__(self, program: str, **limits: float) -> Guest:
        suite = self.home / "suite"
        suite.mkdir()
        (suite / "__main__.py").write_text(program)
        asked = Limits.model_validate(limits)
        return boot(
            self.bzimage,
            results=self.results,
            console=self.console,
            suite=suite,
            facts={"flags": {}, "cases": list(CASES), "bench_mib": 0},
            accelerator=Accelerator.TCG,
            why="the tests are for every machine",
            limits=asked,
            progress=Silent(),
        )

    def check(self, guest: Guest, limits: Limits) -> None:
        """What holds for every guest, whatever it did."""
        assert list(users_of(self.results)) == [], "no process is left"
        assert (self.home / "secret").read_text() == SECRET
        told = guest.model_dump_json()
        assert SECRET not in told
        shown = "".join((*guest.console_tail, *guest.problems, guest.release or ""))
        assert not [char for char in shown if not char.isprintable() and char != "\t"]
        assert self.console.stat().st_size <= limits.console_bytes
        self._nothing_with_rights_is_left(limits)
        discard(self.results)
        assert not self.results.exists()

    def _nothing_with_rights_is_left(self, limits: Limits) -> None:
        # A set-uid file of a user's own: nobody else comes near it.
        assert self.results.stat().st_mode & 0o077 == 0
        used = 0
        for path, status in _below(self.results):
            assert not stat.S_ISBLK(status.st_mode), f"{path} is a disk"
            assert not stat.S_ISCHR(status.st_mode), f"{path} is a device"
            if stat.S_ISREG(status.st_mode):
                used += status.st_blocks * 512
                assert status.st_size <= limits.results_bytes, f"{path} is over the limit"
                rooted = status.st_uid == 0 and status.st_mode & (stat.S_ISUID | stat.S_ISGID)
                assert not rooted, f"whoever runs {path} is root"
        # It is looked at four times a second: what a guest writes in between comes on top.
        assert used < 64 * limits.results_bytes


def _below(folder: Path) -> Iterator[tuple[Path, os.stat_result]]:
    """Everything in ``folder`` down to a depth that a path can name."""
    for place, folders, files in os.walk(folder):
        for name in (*folders, *files):
            path = Path(place, name)
            yield path, path.lstat()
        if place.count("/") > 500:
            folders.clear()


@pytest.fixture(scope="module")
def seen(
    base_kernel: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Stand, Guest, dict[str, Any]]:
    """One boot for all of LOOKS: where it was, how it ended, what each of them found."""
    stand = Stand.create(tmp_path_factory.mktemp("looks"), base_kernel)
    guest = stand(looks_program(str(stand.home)))
    found: dict[str, Any] = json.loads((stand.results / "found.json").read_text())
    return stand, guest, found


@pytest.mark.parametrize("look", LOOKS, ids=lambda look: look.name)
def test_what_a_guest_finds(seen: tuple[Stand, Guest, dict[str, Any]], look: Look) -> None:
    found = seen[2][look.name]
    assert look.holds(found), json.dumps(found, indent=1)


def test_a_guest_that_looked_everywhere_leaves_nothing(
    seen: tuple[Stand, Guest, dict[str, Any]],
) -> None:
    """Runs after the looks: the results are gone in the end."""
    stand, guest, _ = seen
    assert guest.end is GuestEnd.LOST
    assert guest.problems == ("results.jsonl: Too many levels of symbolic links",)
    assert {case.outcome for case in guest.cases} == {Outcome.NOT_RUN}
    stand.check(guest, Limits())


@pytest.mark.parametrize("end", ENDS, ids=lambda end: end.name)
def test_how_a_hostile_guest_ends(base_kernel: Path, tmp_path: Path, end: End) -> None:
    stand = Stand.create(tmp_path, base_kernel)
    guest = stand(PRELUDE + end.program, **end.limits)
    assert guest.end in end.ends, (guest.end, guest.console_tail[-5:], guest.problems)
    assert sum(case.outcome is Outcome.PASS for case in guest.cases) == end.passes
    stand.check(guest, Limits.model_validate(end.limits))
