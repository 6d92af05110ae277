# SPDX-License-Identifier: GPL-2.0-or-later
"""What several commands share: options, and how a run is shown."""

from __future__ import annotations

import os
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
FRAGMENT_OPTION = click.option(
    "--fragment", "fragments", multiple=True, help="Further Kconfig fragment."
)
ACCELERATOR_OPTION = click.option("--accelerator", type=click.Choice(["auto", "kvm", "tcg"]))
JOBS_OPTION = click.option(
    *("-j", "--jobs"),
    type=click.IntRange(min=1),
    default=lambda: len(os.sched_getaffinity(0)),
    help="Jobs of make; default: all cores.",
)
KSELFTEST_OPTION = click.option(
    "--kselftest",
    "kselftests",
    multiple=True,
    metavar="COLLECTION:TEST",
    help="Also run a selftest of the tree, e.g. kvm:guest_memfd_test.",
)
QUIET_OPTION = click.option("-q", "--quiet", is_flag=True, help="No progress.")
NO_SANDBOX_OPTION = click.option(
    "--unsafe-no-sandbox",
    is_flag=True,
    help="Run the tree's and the series' code with all your rights; the report says so.",
)


def show(run: Run) -> None:
    from kverdict.render.summary import summary  # commands that only want an option do without

    for line in summary(run.report, run.folder, cwd=Path.cwd(), colour=sys.stdout.isatty()):
        click.echo(line)


def show_bisection(found: Bisection, folder: Path) -> None:
    from kverdict.render.bisectsummary import summary

    for line in summary(found, folder, cwd=Path.cwd(), colour=sys.stdout.isatty()):
        click.echo(line)
