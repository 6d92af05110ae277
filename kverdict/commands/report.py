# SPDX-License-Identifier: GPL-2.0-or-later
"""./pipeline.py report: a finished run, rendered again."""

from __future__ import annotations

from pathlib import Path

import click

from kverdict import settings as settings_module
from kverdict import verify as workflow
from kverdict.commands.common import CONFIG_OPTION, show


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@CONFIG_OPTION
def report(run: Path, config: Path | None) -> int:
    """Render the report of RUN, a run's folder, again; nothing is built or booted."""
    again = workflow.render_again(run, settings_module.load(config))
    show(again)
    return again.report.verdict.exit_status
