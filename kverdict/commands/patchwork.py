# SPDX-License-Identifier: GPL-2.0-or-later
"""./pipeline.py patchwork: the checks of a finished run, shown or posted."""

from __future__ import annotations

import json
from pathlib import Path

import click

from kverdict import patchwork as posting
from kverdict import settings as settings_module
from kverdict.commands.common import CONFIG_OPTION
from kverdict.errors import ExitStatus, UserError
from kverdict.exports.folder import finished_report
from kverdict.patchworkapi import Patchwork
from kverdict.progress import to_stderr
from kverdict.runs import run_lock
from kverdict.settings import PatchworkSettings
from kverdict.text import counted, printable


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--patchwork", "url", metavar="URL", help="Server; default: that of the settings.")
@click.option("--token-file", type=click.Path(path_type=Path), help="File with your API token.")
@click.option("--post", is_flag=True, help="Post them; otherwise they are only shown.")
@CONFIG_OPTION
def patchwork(
    run: Path, url: str | None, token_file: Path | None, post: bool, config: Path | None
) -> int:
    """Show the checks of RUN, a run's folder, for Patchwork, or post them.

    Without --post the server is only asked for the patches' numbers, and what would be posted is
    shown. A run that ended in our trouble has no checks (docs/exports.md). Exit status: 0.
    """
    settings = settings_module.load(config).patchwork
    server_url = url or settings.url
    if server_url is None:
        raise UserError("no Patchwork is named", "use --patchwork URL")
    report = finished_report(run)
    checks = posting.checks_of(report, run.resolve().name, settings)
    if not checks:
        click.echo(f"nothing to post: {printable(report.verdict.headline, keep='')}")
        return ExitStatus.GOOD
    server = Patchwork(server_url, token=_token(settings, token_file) if post else None)
    with run_lock(run) as ours:
        if not ours:
            raise UserError(f"{run} is being worked on", "wait for that to end")
        _show_or_post(checks, server, settings, run, post)
    return ExitStatus.GOOD


def _token(settings: PatchworkSettings, asked: Path | None) -> str:
    path = asked or settings.token_path
    if path is None:
        raise UserError("no token is given", "use --token-file, a file that only you can read")
    return posting.read_token(path)


def _show_or_post(
    checks: tuple[posting.PatchCheck, ...],
    server: Patchwork,
    settings: PatchworkSettings,
    run: Path,
    post: bool,
) -> None:
    progress = to_stderr()
    with progress.task(f"asking {server.url} for {counted(len(checks), 'patch', 'patches')}"):
        planned = posting.plan(checks, server, settings.project, posting.read_postings(run))
    for item in planned:
        body = item.item.check.model_dump(mode="json", exclude_none=True)
        done = "posted before" if item.posted else "POST"
        click.echo(f"{done} {printable(item.url, keep='')}")
        click.echo(f"  {json.dumps(body, sort_keys=True)}")
    if post:
        new = posting.post(planned, server, run, progress)
        click.echo(f"{counted(len(new), 'check')} posted")
    else:
        click.echo("dry run: nothing was posted; --post does")
