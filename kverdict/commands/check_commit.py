# SPDX-License-Identifier: GPL-2.0-or-later
"""./pipeline.py check-commit: one commit by exit status, for git bisect run."""

from __future__ import annotations

from pathlib import Path

import click

from kverdict import checkcommit as workflow
from kverdict import settings as settings_module
from kverdict.bisection import Answer
from kverdict.bisectrequest import check_request_of
from kverdict.commands.common import (
    ACCELERATOR_OPTION,
    CONFIG_OPTION,
    FRAGMENT_OPTION,
    JOBS_OPTION,
    KSELFTEST_OPTION,
    NO_SANDBOX_OPTION,
    QUIET_OPTION,
)
from kverdict.errors import ExitStatus
from kverdict.progress import to_stderr
from kverdict.text import printable

STATUS_HELP = (
    "Exit status: 0 good, 1 bad, 125 cannot be asked, 128 and above our trouble, which ends "
    "git bisect run (docs/verdicts.md)."
)
_STATUS = {Answer.GOOD: ExitStatus.GOOD, Answer.BAD: ExitStatus.BAD}


@click.command("check-commit", epilog=STATUS_HELP)
@click.argument("commit", default="HEAD")
@click.option("--for", "question", required=True, metavar="QUESTION", help="What to look for.")
@click.option("--tree", help="Git repository; default: the current folder when it is a kernel.")
@FRAGMENT_OPTION
@ACCELERATOR_OPTION
@click.option("--bench-mib", type=click.IntRange(1, 4096), help="MiB that bench: populates.")
@JOBS_OPTION
@click.option("--repeat", type=click.IntRange(1, 100), default=1, help="Guests that have to pass.")
@KSELFTEST_OPTION
@CONFIG_OPTION
@QUIET_OPTION
@NO_SANDBOX_OPTION
def check_commit(
    commit: str,
    question: str,
    tree: str | None,
    fragments: tuple[str, ...],
    accelerator: str | None,
    bench_mib: int | None,
    jobs: int,
    repeat: int,
    kselftests: tuple[str, ...],
    config: Path | None,
    quiet: bool,
    unsafe_no_sandbox: bool,
) -> int:
    """Say whether COMMIT, by default the tree's HEAD, is bad.

    QUESTION is as for bisect. There are no ends to compare with: whatever fails there is bad.
    """
    chosen = settings_module.load(config)
    request = check_request_of(
        chosen,
        commit=commit,
        question=question,
        tree=tree,
        fragments=fragments,
        accelerator=accelerator,
        bench_mib=bench_mib,
        jobs=jobs,
        repeat=repeat,
        kselftests=kselftests,
        unsafe_no_sandbox=unsafe_no_sandbox,
    )
    step = workflow.check_commit(request, chosen, to_stderr(quiet))
    click.echo(printable(f"{step.answer.value}: {step.commit[:12]}: {step.why}", keep=""))
    return _STATUS.get(step.answer, ExitStatus.UNTESTABLE)
