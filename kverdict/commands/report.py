# SPDX-License-Identifier: GPL-2.0-or-later
"""./pipeline.py report: a finished run, rendered again."""

from __future__ import annotations

from pathlib import Path

import click

from kverdict import verify as workflow
from kverdict.commands.common import show


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
def report(run: Path) -> int:
    """Render the report of RUN, a run's folder, again; nothing is built or booted."""
    again = workflow.render_again(run)
    show(again)
    return again.report.verdict.exit_status
