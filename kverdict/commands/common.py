# SPDX-License-Identifier: GPL-2.0-or-later
"""What several commands share: options, and how a run is shown."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from kverdict.render.summary import summary
from kverdict.verify import Run

STATUS_HELP = (
    "Exit status: 0 good, 1 bad, 125 cannot be tested here, 128 and above our trouble "
    "(docs/verdicts.md)."
)

CONFIG_OPTION = click.option(
    "--config", type=click.Path(path_type=Path), help="Settings; default pipeline.toml."
)


def show(run: Run) -> None:
    for line in summary(run.report, run.folder, cwd=Path.cwd(), colour=sys.stdout.isatty()):
        click.echo(line)
