#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Coverage-guided fuzzing of everything that reads strangers' bytes: `make fuzz`.

A target is a parser and its promises (tests/fuzz/targets.py).  Inputs begin as real files and are
changed by lines, numbers and bytes, so that they get beyond the first line of a format.  What
breaks a promise, hangs or grows without bound is kept in build/fuzz/TARGET/, and so is the corpus
from which the next run goes on.

usage: fuzz.py TARGET...|--all [--runs N | --seconds S] [--folder DIR] [--seed N]
"""

from __future__ import annotations

import argparse
import os
import random
import re
import sys
import time
from collections.abc import Iterable
from functools import partial
from pathlib import Path

import atheris

HOME = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(HOME))

# Only what is imported in here is seen by the fuzzer: our parsers, and those that they trust.
with atheris.instrument_imports(include=["kverdict", "unidiff", "email"]):
    from tests.fuzz.targets import TARGETS, Target

HANG_SECONDS = 10
MEMORY_MB = 2048
# Where parsers break: signs, widths, Python's limit of 4300 digits, digits of another script.
NUMBERS = (
    *(b"0", b"-1", b"007", b"65535", b"4294967296", b"18446744073709551616", b"1e400", b"NaN"),
    *(b"9" * 5000, "\u0663".encode()),
)
PIECES = (b"\0", b"\xff", b"\xed\xa0\x80", b"\\ud800", b"\x1b[", b"\r", b"[" * 999, b"(" * 999)
_KEPT = "where inputs and logs are kept from run to run (build/fuzz)"
_NUMBER = re.compile(rb"\d+")
_STATUS = re.compile(r"#(\d+)\t.*cov: (\d+) ft: (\d+)")


# --- one target ---------------------------------------------------------------------------------


def run_one(target: Target, asked: argparse.Namespace) -> None:
    """Ends the process: with 0 when nothing was found, else with libFuzzer's status."""
    folder = asked.folder / target.name
    corpus, seeds = folder / "corpus", folder / "seeds"
    for place in (corpus, seeds):
        place.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(target.seeds()):
        (seeds / f"{number:03}").write_bytes(seed)
    options = {
        "runs": asked.runs or -1,
        "max_total_time": 0 if asked.runs else asked.seconds,
        "seed": asked.seed,
        "timeout": HANG_SECONDS,
        "rss_limit_mb": MEMORY_MB,
        "max_len": target.longest,
        "artifact_prefix": f"{folder}/",
    }
    argv = [sys.argv[0], *(f"-{name}={value}" for name, value in options.items())]
    atheris.Setup(
        [*argv, str(corpus), str(seeds)],
        target.check,
        custom_mutator=partial(mutated, target),
    )
    atheris.Fuzz()


def mutated(target: Target, data: bytes, most: int, seed: int) -> bytes:
    """Another input: bytes changed by libFuzzer, or lines, numbers and words by us."""
    chance = random.Random(seed)
    for _ in range(chance.choice((1, 1, 2, 4))):
        if chance.random() < 0.4:
            data = bytes(atheris.Mutate(data, most))
        elif target.lines and chance.random() < 0.6:
            data = _other_lines(data, target.words, chance)
        else:
            data = _other_piece(data, target, chance)
        data = data[:most]
    return data


def _other_lines(data: bytes, words: tuple[bytes, ...], chance: random.Random) -> bytes:
    lines = data.split(b"\n")
    at, other = chance.randrange(len(lines)), chance.randrange(len(lines))
    match chance.randrange(6):
        case 0:
            lines.insert(at, chance.choice(words))
        case 1:
            lines[at] = chance.choice(words)
        case 2:
            del lines[at]
        case 3:
            lines[at], lines[other] = lines[other], lines[at]
        case 4:
            lines[at:at] = [lines[other]] * chance.choice((1, 2, 50))
        case _:
            lines[at] += lines[other]
    return b"\n".join(lines)


def _other_piece(data: bytes, target: Target, chance: random.Random) -> bytes:
    numbers = list(_NUMBER.finditer(data)) if target.lines else []
    if numbers and chance.random() < 0.5:
        number = chance.choice(numbers)
        return data[: number.start()] + chance.choice(NUMBERS) + data[number.end() :]
    at = chance.randrange(len(data) + 1)
    if not target.lines:
        width = chance.choice((1, 2, 4, 8))
        value = chance.choice((0, 1, 0x7F, (1 << 8 * width) - 1, 1 << (8 * width - 1)))
        return data[:at] + (value % (1 << 8 * width)).to_bytes(width, "little") + data[at + width :]
    return data[:at] + chance.choice((*PIECES, *target.words)) + data[at:]


# --- several ------------------------------------------------------------------------------------


def run_several(names: Iterable[str], asked: argparse.Namespace) -> int:
    """A process for each target; prints a table and gives the number of those that broke."""
    print(f"{'target':10} {'inputs':>9} {'edges':>6} {'features':>8} {'seconds':>7}", flush=True)
    return sum(not _whole(TARGETS[name], asked) for name in names)


def _whole(target: Target, asked: argparse.Namespace) -> bool:
    log = asked.folder / target.name / "log"
    log.parent.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    child = os.fork()  # not started anew: to instrument takes longer than a short run
    if child == 0:
        with log.open("wb") as out:
            os.dup2(out.fileno(), 1)
            os.dup2(out.fileno(), 2)
        run_one(target, asked)
        raise AssertionError("libFuzzer does not come back: it keeps what it found as it exits")
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    seen = _STATUS.findall(log.read_text(errors="replace")) or [("0", "0", "0")]
    print(
        "{:10} {:>9} {:>6} {:>8} {:7.0f}{}".format(
            target.name,
            *seen[-1],
            time.monotonic() - began,
            f"  BROKEN: {log}" if status else "",
        ),
        flush=True,
    )
    return status == 0


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=", ".join(TARGETS))
    parser.add_argument("--all", action="store_true", help="one target after the other")
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--runs", type=int, help="number of inputs")
    length.add_argument("--seconds", type=int, default=60, help="default: %(default)s")
    parser.add_argument("--folder", type=Path, default=HOME / "build" / "fuzz", help=_KEPT)
    parser.add_argument("--seed", type=int, default=1, help="of the random numbers; 0: any")
    asked = parser.parse_args()
    names = list(TARGETS) if asked.all else asked.targets
    if not names or not set(names) <= set(TARGETS):
        parser.error(f"name targets ({', '.join(TARGETS)}) or give --all")
    if len(names) > 1:
        return run_several(names, asked)
    run_one(TARGETS[names[0]], asked)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
