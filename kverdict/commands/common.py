# SPDX-License-Identifier: GPL-2.0-or-later
"""What several commands share: options, and how a run is shown."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from kverdict.bisection import Bisection
    from kverdict.verify import Run

STATUS_HELP = (
    "Exit status: 0 good, 1 bad, 125 cannot be tested here, 128 and above our trouble "
    "(docs/verdicts.md)."
)

CONFIG_OPTION = click.option(
    "--config", type=click.Path(path_type=Path), help="Settings; default pipeline.toml."
)


def show(run: Run) -> None:
    from kverdict.render.summary import summary  # commands that only want an option do without

    for line in summary(run.report, run.folder, cwd=Path.cwd(), colour=sys.stdout.isatty()):
        click.echo(line)


def show_bisection(found: Bisection, folder: Path) -> None:
    from kverdict.render.bisectsummary import summary

    for line in summary(found, folder, cwd=Path.cwd(), colour=sys.stdout.isatty()):
        click.echo(line)
