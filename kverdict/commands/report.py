# SPDX-License-Identifier: GPL-2.0-or-later
"""./pipeline.py report: a finished run, rendered again."""

from __future__ import annotations

from pathlib import Path

import click

from kverdict import settings as settings_module
from kverdict import verify as workflow
from kverdict.commands.common import CONFIG_OPTION, show, show_bisection
from kverdict.render import bisection, bisectsummary


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@CONFIG_OPTION
def report(run: Path, config: Path | None) -> int:
    """Render the report of RUN, a run's folder, again; nothing is built or booted."""
    settings = settings_module.load(config)
    if (run / bisectsummary.JSON).is_file():
        found = bisection.render_again(run, templates=settings.template_folders)
        show_bisection(found, run)
        return found.exit_status
    again = workflow.render_again(run, settings)
    show(again)
    return again.report.verdict.exit_status
