# SPDX-License-Identifier: GPL-2.0-or-later
"""./pipeline.py nightly: what is new at the heads of several trees."""

from __future__ import annotations

from pathlib import Path

import click

from kverdict import nightly as workflow
from kverdict import settings as settings_module
from kverdict.commands.common import (
    CONFIG_OPTION,
    JOBS_OPTION,
    NO_SANDBOX_OPTION,
    QUIET_OPTION,
)
from kverdict.progress import to_stderr
from kverdict.render.nightly import text
from kverdict.text import printable


@click.command(
    epilog="Exit status: 0 nothing new, 1 a new regression, 172 another nightly works here, 128 "
    "and above our trouble with every tree (docs/nightly.md)."
)
@click.argument("settings", required=False, type=click.Path(path_type=Path))
@CONFIG_OPTION
@JOBS_OPTION
@QUIET_OPTION
@NO_SANDBOX_OPTION
def nightly(
    settings: Path | None,
    config: Path | None,
    jobs: int,
    quiet: bool,
    unsafe_no_sandbox: bool,
) -> int:
    """Look at the trees of [nightly]: what changed, what is new, whose it is.

    SETTINGS is the same as --config; by default pipeline.toml of the current folder.  Nothing is
    sent: the summary is a draft beside the index of all nights.
    """
    chosen = settings_module.load(settings or config)
    outcome = workflow.nightly(
        chosen,
        to_stderr(quiet),
        jobs=jobs,
        unsafe_no_sandbox=unsafe_no_sandbox,
    )
    for name in outcome.unchanged:
        click.echo(printable(f"{name}: no change, nothing to do", keep=""))
    if outcome.nights:
        told = text(outcome.tonight, outcome.nights, templates=chosen.template_folders)
        click.echo(told, nl=False)
    click.echo(printable(f"Index: {outcome.page}", keep=""))
    return outcome.status
