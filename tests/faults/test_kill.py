# SPDX-License-Identifier: GPL-2.0-or-later
"""SIGKILL at any moment, then the same command: the same verdict, nothing redone, nothing left.

The product has no hooks for this: tests/faults/launcher.py ends the process at its Nth event.
Here runs are killed again and again on their way; `make faults` kills one run at each event.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from tests.archive.lore_double import Reply, lore_double
from tests.faults.world import KILLED, MESSAGE_ID, World, mail_of, stage_of, wait_for_orphans

pytestmark = pytest.mark.host

STEP = 9  # new events that each restart comes to before it is killed
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

# Children, and how a command line of theirs is known.
CHILDREN = {
    "b4": "b4worker.py",
    "git worktree": " worktree add ",
    "git am": " am --quiet ",
    "git checkout": " checkout --progress ",
    "Kconfig": "kverdict.kconfig",
    "olddefconfig": " olddefconfig",
    "make": " bzImage",
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
    check(world, undisturbed)


@pytest.mark.parametrize("stage", sorted(IN_EVERY_RUN))
def test_killed_in_each_stage(world: World, undisturbed: World, stage: str) -> None:
    """At its first event; what is killed at every ninth may pass a short stage by."""
    stages = [stage_of(event) for event in undisturbed.trace()]
    assert world.verify(kill_at=stages.index(stage) + 1, known=set()) == KILLED
    assert world.verify() == 0, world.said()
    check(world, undisturbed)


@pytest.mark.parametrize("child", CHILDREN)
def test_killed_while_a_child_works(world: World, undisturbed: World, child: str) -> None:
    word, events = CHILDREN[child], undisturbed.trace()
    starts = [index for index, event in enumerate(events) if word in event.about]
    # The last of its kind: for the patched kernel, when the base is done.
    took = events[starts[-1] + 1].at - events[starts[-1]].at
    assert world.verify(kill_at=len(starts), word=word, seconds_later=took / 3) == KILLED
    assert word in world.trace()[-1].about
    finished = world.finished_stages()
    assert world.verify() == 0, world.said()
    assert finished.items() <= world.finished_stages().items()
    check(world, undisturbed)


def test_killed_while_the_archive_answers(
    world: World, template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with lore_double([mail_of(template)]) as archive:
        settings = f'[archive]\nmidmask = "{archive.midmask}"\n'
        quiet = World.like(template, tmp_path / "quiet", world.server)
        for place in (quiet, world):
            place.series = MESSAGE_ID
            place.write_settings(settings)
        assert quiet.verify() == 0, quiet.said()
        requests, answer = len(archive.requests), archive.reply
        for last in range(1, requests + 1):
            archive.requests.clear()

            def reply(method: str, target: str, last: int = last) -> Reply:
                if len(archive.requests) + 1 == last:
                    world.kill()
                return answer(method, target)

            monkeypatch.setattr(archive, "reply", reply)
            assert world.verify() == KILLED
        monkeypatch.setattr(archive, "reply", answer)
        assert world.verify() == 0, world.said()
    check(world, quiet)
