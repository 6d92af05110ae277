# SPDX-License-Identifier: GPL-2.0-or-later
"""./pipeline.py runs: the folders of earlier runs."""

from __future__ import annotations

from pathlib import Path

import click

from kverdict import gc
from kverdict import settings as settings_module
from kverdict.commands.common import CONFIG_OPTION
from kverdict.errors import ExitStatus
from kverdict.progress import to_stderr
from kverdict.text import printable


@click.group()
def runs() -> None:
    """Look after the folders of earlier runs."""


@runs.command("list")
@CONFIG_OPTION
def list_runs(config: Path | None) -> int:
    """List the runs, the newest first: state, size and folder."""
    for run in gc.run_folders(settings_module.load(config).runs_folder):
        state = "running" if run.running else "finished" if run.finished else "unfinished"
        kept = " (kept)" if run.kept or run.linked or run.shown else ""
        mib = gc.size_of(run.path) >> 20
        click.echo(printable(f"{state:<10} {mib:>6} MiB  {run.path}{kept}"))
    return ExitStatus.GOOD


@runs.command("gc")
@click.option("--keep", type=click.IntRange(0), help="Keep so many of the newest runs.")
@click.option("--older-than", type=click.FloatRange(0), help="Remove runs of so many days.")
@click.option("--cache-limit", type=click.FloatRange(0), help="GiB that the cache may take.")
@click.option("--dry-run", is_flag=True, help="Only say what would be removed.")
@CONFIG_OPTION
def collect_garbage(
    keep: int | None,
    older_than: float | None,
    cache_limit: float | None,
    dry_run: bool,
    config: Path | None,
) -> int:
    """Free space: old runs, and what of the cache was not used for the longest time.

    What is in use, linked to in the runs folder, or has a file `keep`, stays (docs/run-folder.md).
    """
    settings = settings_module.load(config)
    asked = {"runs": keep, "days": older_than, "cache_gib": cache_limit}
    policy = settings.keep.model_copy(
        update={key: value for key, value in asked.items() if value is not None}
    )
    outcome = gc.collect(settings, policy, to_stderr(), dry_run=dry_run)
    for item in outcome.removed:
        click.echo(printable(f"{item.size:>14} bytes  {item.path} ({item.why})"))
    for note in outcome.notes:
        click.echo(note)
    verb = "would be freed" if dry_run else "freed"
    click.echo(f"{outcome.size} bytes {verb} in {len(outcome.removed)} folders")
    return ExitStatus.GOOD
