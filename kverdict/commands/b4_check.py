# SPDX-License-Identifier: GPL-2.0-or-later
"""./pipeline.py b4-check: finished runs, for b4 review."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click

from kverdict import settings as settings_module
from kverdict.b4check import (
    HEADER_LARGEST,
    Scope,
    asked_in,
    look_up,
    page_of,
    run_folder,
)
from kverdict.commands.common import CONFIG_OPTION
from kverdict.errors import ExitStatus, KverdictError
from kverdict.text import printable


@click.group()
def b4_check() -> None:
    """Answer b4 review's checks from finished runs (docs/b4-review.md)."""


@b4_check.command("series")
@CONFIG_OPTION
def series(config: Path | None) -> int:
    """Say what is known of the series whose cover letter, or first patch, is on stdin.

    For b4.review-series-check-cmd.  JSON, or nothing while there is no verdict.
    """
    return _answer(Scope.SERIES, config)


@b4_check.command("patch")
@CONFIG_OPTION
def patch(config: Path | None) -> int:
    """Say what is known of the patch on stdin: only what that patch brings.

    For b4.review-perpatch-check-cmd.  JSON, or nothing while there is no verdict.
    """
    return _answer(Scope.PATCH, config)


@b4_check.command("drop")
@click.argument("run", type=click.Path(path_type=Path))
@click.option(
    "--repo",
    type=click.Path(path_type=Path),
    default=Path(),
    help="The checkout that b4 review works in; default: the current folder.",
)
@CONFIG_OPTION
def drop(run: Path, repo: Path, config: Path | None) -> int:
    """Leave the findings of RUN for b4 review, as comments below the lines they are about."""
    from kverdict import b4drop, verify  # the look-ups do without

    chosen = settings_module.load(config)
    folder = run_folder(run, chosen.runs_folder)
    report, _ = verify.finished_run(folder)
    left = b4drop.drop(report, folder, repo, page_of(folder, chosen.b4.url))
    click.echo(f"b4 review takes it in when it opens the series: {printable(str(left), keep='')}")
    return ExitStatus.GOOD


def _answer(scope: Scope, config: Path | None) -> int:
    """Our trouble is no row: b4 would show it as the series' failure, for 180 days."""
    try:
        chosen, home = _settings(config)
        asked = asked_in(sys.stdin.buffer.read(HEADER_LARGEST))
        runs = home / chosen.runs_folder
        found = (look_up(scope, one, runs, chosen.b4.url) for one in asked)
        rows = next(filter(None, found), None)
    except (KverdictError, OSError) as error:
        click.echo(f"kverdict: {printable(str(error), keep='')}", err=True)
        return ExitStatus.GOOD
    if rows:
        click.echo(json.dumps(rows))
    return ExitStatus.GOOD


def _settings(config: Path | None) -> tuple[settings_module.Settings, Path]:
    """The settings, and the folder that a relative one is meant from.

    b4 starts us in the tree under review: a pipeline.toml or a runs folder there is a stranger's.
    """
    file = config or settings_module.HOME / settings_module.SETTINGS_FILE
    if config is None and not file.exists():
        return settings_module.Settings(), settings_module.HOME
    return settings_module.load(file), file.absolute().parent
