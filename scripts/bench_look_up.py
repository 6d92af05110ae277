#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""How long b4 review waits for `b4-check` with many runs: the best of several times.

The runs are of one report with Message-IDs of their own; every fifth is without its check.json, as
those of before are.

usage: bench_look_up.py [--runs 500] [--times 5]
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HOME = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(HOME))

from kverdict.b4check import CHECK, check_file  # noqa: E402
from kverdict.runs import finish_run, open_run  # noqa: E402
from tests import factories as make  # noqa: E402


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--runs", type=int, default=500)
    parser.add_argument("--times", type=int, default=5)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        home = Path(name)
        (home / "pipeline.toml").write_text('runs = "runs"\n')
        for number in range(asked.runs):
            make_run(home / "runs", number)
        last = asked.runs - asked.runs % 5 - 1
        for what, number in (("found", last), ("found, of before", last - 4), ("not found", -1)):
            took = [look_up(home, f"{number}@bench") for _ in range(asked.times)]
            wall, cpu = min(one[0] for one in took), min(one[1] for one in took)
            print(f"{what:<18} {wall:.2f} s, of the processor {cpu:.2f} s, with {asked.runs} runs")


def make_run(runs: Path, number: int) -> None:
    patches = tuple(make.patch(n, message_id=f"{number}.{n}@bench") for n in range(1, 11))
    report = make.report(series=make.series(message_id=f"{number}@bench", patches=patches))
    with open_run(runs, "bench", {"series": [number]}, "0") as folder:
        (folder / "series").mkdir()
        (folder / "series/series.json").write_text(report.series.to_json())
        (folder / "verdict.json").write_text(report.to_json())
        if number % 5:
            (folder / CHECK).write_text(check_file(report))
        finish_run(folder)


def look_up(home: Path, message_id: str) -> tuple[float, float]:
    """Seconds of the clock, and of the processor."""
    words = ["b4-check", "series", "--config", str(home / "pipeline.toml")]
    before, began = children(), time.monotonic()
    subprocess.run(
        [sys.executable, str(HOME / "pipeline.py"), *words],
        input=f"Message-ID: <{message_id}>\n\n".encode(),
        stdout=subprocess.DEVNULL,
        check=True,
    )
    return time.monotonic() - began, children() - before


def children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main()
