# SPDX-License-Identifier: GPL-2.0-or-later
"""`make faults`: one run killed at each of its events, each in a world of its own.

Every run is killed at the event, started again, killed there once more, and goes on to its end.
`python -m tests.faults.everywhere 5` takes every fifth event only.  A line a failure, and a table
of how many events each stage has; exit status 1 when one failed.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.faults.world import (
    KILLED,
    World,
    make_template,
    serving,
    stage_of,
    wait_for_orphans,
)


def trouble(world: World, expected: str, number: int) -> str | None:
    """What is wrong after a run that was killed twice at its event ``number``, else None."""
    killed = 0
    finished = world.finished_stages()
    while world.verify(kill_at=number if killed < 2 else None) == KILLED:
        killed += 1
        now = world.finished_stages()
        if not finished.items() <= now.items():
            return f"redone: {dict(finished.items() - now.items())}"
        finished = now
    if world.statuses[-1] != 0:
        return f"exit status {world.statuses[-1]}: {world.said().splitlines()[-1:]}"
    if not finished.items() <= world.finished_stages().items():
        return "a finished stage was done again"
    if world.stable() != expected:
        return "another verdict"
    left = [*wait_for_orphans(world.home), *world.leftovers()]
    return f"left: {left}" if left else None


def part(top: Path, expected: str, numbers: Sequence[int]) -> tuple[Counter[str], list[str]]:
    """The points of one worker: how many kills there were by stage, and what went wrong."""
    kills: Counter[str] = Counter()
    failures: list[str] = []
    with serving("random", top / "tmp") as server:
        for number in numbers:
            world = World.like(top.parent / "template", top / f"home-{number}", server)
            wrong = trouble(world, expected, number)
            kills["kills"] += world.statuses.count(KILLED)
            kills["starts"] += len(world.statuses)
            if wrong is not None:
                failures.append(f"event {number}: {wrong}")
                print(failures[-1], file=sys.stderr, flush=True)
            shutil.rmtree(world.home)
    return kills, failures


def main(step: int) -> int:
    began = time.monotonic()
    workers = len(os.sched_getaffinity(0))
    with tempfile.TemporaryDirectory(prefix="faults-") as name:
        top = Path(name)
        make_template(top / "template")
        with serving("0", top / "tmp") as server:
            quiet = World.like(top / "template", top / "quiet", server)
            assert quiet.verify() == 0, quiet.said()
            expected, events = quiet.stable(), quiet.trace()
        print(f"{len(events)} events, {workers} at a time", file=sys.stderr, flush=True)
        numbers = range(1, len(events) + 1, step)
        folders = [top / f"worker-{worker}" for worker in range(workers)]
        with ThreadPoolExecutor(workers) as pool:
            done = pool.map(
                lambda worker: part(folders[worker], expected, numbers[worker::workers]),
                range(workers),
            )
            results = list(done)
    total: Counter[str] = Counter()
    for kills, _ in results:
        total += kills
    failures = [failure for _, found in results for failure in found]
    for stage, count in Counter(map(stage_of, events)).most_common():
        print(f"{count:>5} {stage}")
    print(
        f"{len(numbers)} points, {total['kills']} kills, {total['starts']} starts, "
        f"{len(failures)} failures, {time.monotonic() - began:.0f} s"
    )
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 1))
