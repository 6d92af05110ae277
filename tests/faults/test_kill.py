# SPDX-License-Identifier: GPL-2.0-or-later
"""SIGKILL at any moment, then the same command: the same verdict, nothing redone, nothing left.

The product has no hooks for this: tests/faults/launcher.py ends the process at its Nth event.
Here runs are killed again and again on their way; `make faults` kills one run at each event.
"""

from __future__ import annotations

from collections import Counter

import pytest

from tests.faults.world import KILLED, World, stage_of, wait_for_orphans

pytestmark = pytest.mark.host

STEP = 7  # new events that each restart comes to before it is killed
IN_EVERY_RUN = {
    "start",
    "fetch",
    "apply",
    "checkout",
    "configuration",
    "make",
    "build stored",
    "boot",
    "guest stored",
    "report",
}


def check(world: World, undisturbed: World) -> None:
    assert world.stable() == undisturbed.stable()
    assert world.digest() == undisturbed.digest()
    assert wait_for_orphans(world.home) == []
    assert world.leftovers() == []
    assert {status for status in world.statuses if status != KILLED} == {0}


def test_an_undisturbed_run_leaves_nothing(undisturbed: World) -> None:
    assert undisturbed.leftovers() == []
    assert {stage_of(event) for event in undisturbed.trace()} >= IN_EVERY_RUN


def test_killed_again_and_again_it_ends_in_the_same_verdict(
    world: World, undisturbed: World
) -> None:
    places: Counter[str] = Counter()
    known: set[str] = set()
    finished = world.finished_stages()
    while world.verify(kill_at=STEP, known=known) == KILLED:
        places[stage_of(world.trace()[-1])] += 1
        known |= {event.mark for event in world.trace()}
        assert finished.items() <= world.finished_stages().items()
        finished = world.finished_stages()
    assert finished.items() <= world.finished_stages().items()
    assert world.statuses[-1] == 0, world.said()
    assert sum(places.values()) >= 60, places
    assert places.keys() >= IN_EVERY_RUN, places
    check(world, undisturbed)
