# SPDX-License-Identifier: GPL-2.0-or-later
"""./pipeline.py bisect: the first bad commit, proven."""

from __future__ import annotations

from pathlib import Path

import click

from kverdict import bisect as workflow
from kverdict import settings as settings_module
from kverdict.bisectrequest import bisect_request_of
from kverdict.commands.common import (
    ACCELERATOR_OPTION,
    CONFIG_OPTION,
    FRAGMENT_OPTION,
    JOBS_OPTION,
    KSELFTEST_OPTION,
    NO_SANDBOX_OPTION,
    QUIET_OPTION,
    show_bisection,
)
from kverdict.progress import to_stderr

STATUS_HELP = (
    "Exit status: 0 found and proven, 125 candidates or nothing proven, 129 the ends do not "
    "answer as they have to, 128 and above our trouble (docs/verdicts.md)."
)


@click.command(epilog=STATUS_HELP)
@click.argument("good")
@click.argument("bad")
@click.argument("paths", nargs=-1)
@click.option("--for", "question", required=True, metavar="QUESTION", help="What to look for.")
@click.option("--tree", help="Git repository with both commits.")
@FRAGMENT_OPTION
@ACCELERATOR_OPTION
@click.option("--bench-mib", type=click.IntRange(1, 4096), help="MiB that bench: populates.")
@JOBS_OPTION
@click.option(
    "--confidence",
    type=click.FloatRange(0.5, 1, min_open=True, max_open=True),
    default=0.99,
    show_default=True,
    help="That no bad commit passes for a good one.",
)
@click.option("--repeat", type=click.IntRange(1, 100), help="Guests a step; default: as needed.")
@click.option("--first-parent", is_flag=True, help="Follow only the first parent of merges.")
@click.option("--term-old", default="good", show_default=True, help="Another word for good.")
@click.option("--term-new", default="bad", show_default=True, help="Another word for bad.")
@click.option("--paths", "more_paths", multiple=True, help="Only commits that touch it.")
@click.option("--ahead", type=click.IntRange(0, 2), default=0, help="Commits to build ahead.")
@KSELFTEST_OPTION
@click.option(
    "--replay",
    type=click.Path(path_type=Path),
    help="Answers of before: a git bisect log, or a run's folder.",
)
@CONFIG_OPTION
@QUIET_OPTION
@NO_SANDBOX_OPTION
def bisect(
    good: str,
    bad: str,
    paths: tuple[str, ...],
    question: str,
    tree: str | None,
    fragments: tuple[str, ...],
    accelerator: str | None,
    bench_mib: int | None,
    jobs: int,
    confidence: float,
    repeat: int | None,
    first_parent: bool,
    term_old: str,
    term_new: str,
    more_paths: tuple[str, ...],
    ahead: int,
    kselftests: tuple[str, ...],
    replay: Path | None,
    config: Path | None,
    quiet: bool,
    unsafe_no_sandbox: bool,
) -> int:
    """Find the first commit between GOOD and BAD that is bad, and prove it.

    QUESTION is a case of the suite, kselftest.COLLECTION.TEST, build, boot,
    console:FINGERPRINT or bench:METRIC>LIMIT (docs/bisect.md). Only commits that touch PATHS,
    which stand behind --, are asked.
    """
    chosen = settings_module.load(config)
    request = bisect_request_of(
        chosen,
        good=good,
        bad=bad,
        question=question,
        tree=tree,
        fragments=fragments,
        accelerator=accelerator,
        bench_mib=bench_mib,
        jobs=jobs,
        confidence=confidence,
        repeat=repeat,
        first_parent=first_parent,
        term_old=term_old,
        term_new=term_new,
        paths=(*more_paths, *paths),
        ahead=ahead,
        kselftests=kselftests,
        replay=None if replay is None else str(replay),
        unsafe_no_sandbox=unsafe_no_sandbox,
    )
    run = workflow.bisect(request, chosen, to_stderr(quiet))
    show_bisection(run.bisection, run.folder)
    return run.bisection.exit_status
