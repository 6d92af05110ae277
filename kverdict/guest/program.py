# SPDX-License-Identifier: GPL-2.0-or-later
"""The guest's command line: ``run`` the cases, or ``bench``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import List, Sequence

from . import bench, identity, programs, runner
from .case import Case
from .facts import BadFacts, Facts, load
from .results import Results
from .suite import CASES

TROUBLE = 2
# A kernel on which cases hang would otherwise take most of their limits' sum to say so.
ENOUGH_HUNG = 2
LITTLE_PATIENCE = 0.05


def main(argv: Sequence[str]) -> int:
    """0 when everything ran, whatever its outcome; 2 for our trouble, with a line on stderr."""
    options = _parser().parse_args(argv)
    try:
        facts = load(options.facts)
        chosen = _chosen(facts)
        results = Results(options.results, announce=options.announce)
        results.put("hello", **identity.hello())
        if options.command == "run":
            run_all(chosen, facts, results)
        else:
            bench.run(facts, results)
        results.put("done")
    except (BadFacts, OSError) as error:
        print(f"guest: {error}", file=sys.stderr)
        return TROUBLE
    return 0


def run_all(cases: Sequence[Case], facts: Facts, results: Results) -> None:
    """KUnit's results are read first: they were made when the kernel came up."""
    if facts.kunit:
        programs.mount_debugfs()
    every = programs.kunit_suites() if facts.kunit else {}
    suites = {id: folder for id, folder in every.items() if _is_asked(id, facts)}
    others = [program for program in facts.programs if _is_asked(program.id, facts)]
    whole = [programs.KUNIT_RAN] if facts.kunit and _is_asked(programs.KUNIT_RAN, facts) else []
    plan = [*whole, *suites, *(case.id for case in cases), *(program.id for program in others)]
    results.put("plan", cases=plan)
    if whole:
        programs.report_whether_kunit_ran(len(every), results)
    programs.report_kunit(suites, results)
    run_cases(cases, facts, results)
    programs.run_all(others, facts.time_scale, results)


def _is_asked(id: str, facts: Facts) -> bool:
    return facts.cases is None or id in facts.cases


def run_cases(cases: Sequence[Case], facts: Facts, results: Results) -> None:
    hung = 0
    for case in cases:
        results.start(case.id)
        result = runner.run(case, facts, 1.0 if hung < ENOUGH_HUNG else LITTLE_PATIENCE)
        hung += result.outcome == runner.TIMEOUT
        results.end(case.id, result.outcome, result.message, result.seconds)


def _chosen(facts: Facts) -> List[Case]:
    """The cases that the facts name, in the suite's order; all of them by default."""
    if facts.cases is None:
        return list(CASES)
    known = {case.id for case in CASES} | {program.id for program in facts.programs}
    known.add(programs.KUNIT_RAN)
    unknown = sorted(id for id in set(facts.cases) - known if not id.startswith("kunit."))
    if unknown:
        raise BadFacts(f"there is no case {', '.join(unknown)}")
    return [case for case in CASES if case.id in facts.cases]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="guest", description="Cases for guest_memfd write().")
    parser.add_argument("command", choices=("run", "bench"))
    parser.add_argument("--facts", type=Path, required=True, help="facts.json of the host")
    parser.add_argument("--results", type=Path, required=True, help="folder for results.jsonl")
    parser.add_argument("--announce", action="store_true", help="name each case in the kernel log")
    return parser
