# SPDX-License-Identifier: GPL-2.0-or-later
"""./pipeline.py watch: what is new in the archive, verified as it comes."""

from __future__ import annotations

from pathlib import Path

import click

from kverdict import settings as settings_module
from kverdict.commands.common import (
    CONFIG_OPTION,
    JOBS_OPTION,
    QUIET_OPTION,
)
from kverdict.errors import ExitStatus
from kverdict.progress import to_stderr
from kverdict.text import printable
from kverdict.watch import Options, Watch, line_of
from kverdict.watchstate import State, load


@click.command()
@click.argument("queries", nargs=-1, metavar="[QUERY]...")
@click.option("--tree", help="As of verify; default: that of [watch], else of [kernel].")
@click.option("--once", is_flag=True, help="One round, e.g. for cron.")
@click.option("--lei", is_flag=True, help="Find mails with the local `lei q`.")
@click.option("--interval", type=click.FloatRange(min=1), help="Seconds between two rounds.")
@click.option("--daily-limit", type=click.IntRange(min=1), help="Series that a day may begin.")
@JOBS_OPTION
@click.option("--list", "listed", is_flag=True, help="Only list what it knows, and end.")
@QUIET_OPTION
@CONFIG_OPTION
def watch(
    queries: tuple[str, ...],
    tree: str | None,
    once: bool,
    lei: bool,
    interval: float | None,
    daily_limit: int | None,
    jobs: int,
    listed: bool,
    quiet: bool,
    config: Path | None,
) -> int:
    """Verify what is new in the mail archive, each series once; never sends.

    Replies are drafted into the run's folder.

    QUERY is in the language of public-inbox's search, e.g. 'dfn:virt/kvm/guest_memfd.c AND
    d:2.days.ago..'; by default those of [watch] in pipeline.toml (docs/watch.md).
    """
    chosen = settings_module.load(config)
    if listed:
        for entry in load(chosen.runs_folder).of(*State):
            click.echo(printable(line_of(entry), keep=""))
        return ExitStatus.GOOD
    options = Options(
        queries=queries or chosen.watch.queries,
        tree=tree,
        jobs=jobs,
        interval=interval or chosen.watch.interval,
        daily_limit=daily_limit or chosen.watch.daily_limit,
        lei=lei,
    )
    work = Watch(options, chosen, to_stderr(quiet), _tell)
    if once:
        work.once()
    else:
        work.forever()
    return ExitStatus.GOOD


def _tell(line: str) -> None:
    click.echo(printable(line, keep=""))
