# SPDX-License-Identifier: GPL-2.0-or-later
"""./pipeline.py verify: the pre-merge check of a series."""

from __future__ import annotations

from pathlib import Path

import click

from kverdict import settings as settings_module
from kverdict import verify as workflow
from kverdict.commands.common import (
    ACCELERATOR_OPTION,
    CONFIG_OPTION,
    FRAGMENT_OPTION,
    JOBS_OPTION,
    KSELFTEST_OPTION,
    NO_SANDBOX_OPTION,
    QUIET_OPTION,
    STATUS_HELP,
    show,
)
from kverdict.progress import to_stderr
from kverdict.request import request_of


@click.command(epilog=STATUS_HELP)
@click.argument("series", nargs=-1, required=True)
@click.option("--tree", help="Git repository, unpacked tree, tarball, or debian:7.2.")
@click.option("--base", help="Commit to apply to; otherwise the series says or it is guessed.")
@click.option("-v", "--revision", type=click.IntRange(min=1), help="Revision of the series.")
@FRAGMENT_OPTION
@ACCELERATOR_OPTION
@click.option("--bench-mib", type=click.IntRange(0, 4096), help="MiB to populate; 0: none.")
@JOBS_OPTION
@CONFIG_OPTION
@click.option("--reach", is_flag=True, help="Configure what has the touched files compiled.")
@click.option("--coccicheck", is_flag=True, help="Coccinelle's scripts on touched files: minutes.")
@KSELFTEST_OPTION
@click.option(
    "--kunit",
    metavar="DIR",
    help="Also run KUnit's suites of DIR/.kunitconfig of the tree, e.g. lib/kunit.",
)
@click.option("--test-each", is_flag=True, help="Boot and test every patch, not the last alone.")
@click.option(
    "--repeat",
    type=click.IntRange(1, 100),
    default=1,
    help="Boot each kernel so often with all cases; failing ones run again in any case.",
)
@QUIET_OPTION
@NO_SANDBOX_OPTION
def verify(
    series: tuple[str, ...],
    tree: str | None,
    base: str | None,
    revision: int | None,
    fragments: tuple[str, ...],
    accelerator: str | None,
    bench_mib: int | None,
    jobs: int,
    config: Path | None,
    reach: bool,
    coccicheck: bool,
    kselftests: tuple[str, ...],
    kunit: str | None,
    test_each: bool,
    repeat: int,
    quiet: bool,
    unsafe_no_sandbox: bool,
) -> int:
    """Verify SERIES on a kernel tree.

    SERIES is a message-id, an archive URL, an mbox, a maildir, a folder or list of patch files, or
    a rev range of the tree (v7.2..topic).
    """
    chosen = settings_module.load(config)
    request = request_of(
        chosen,
        series=series,
        tree=tree,
        base=base,
        revision=revision,
        fragments=fragments,
        accelerator=accelerator,
        bench_mib=bench_mib,
        jobs=jobs,
        unsafe_no_sandbox=unsafe_no_sandbox,
        repeat=repeat,
        test_each=test_each,
        reach=reach,
        coccicheck=coccicheck,
        kselftests=kselftests,
        kunit=kunit,
    )
    run = workflow.verify(request, chosen, to_stderr(quiet))
    show(run)
    return run.report.verdict.exit_status
