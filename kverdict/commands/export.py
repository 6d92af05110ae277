# SPDX-License-Identifier: GPL-2.0-or-later
"""./pipeline.py export: a finished run in the formats of other tools."""

from __future__ import annotations

import os
from pathlib import Path

import click

from kverdict import settings as settings_module
from kverdict.commands.common import CONFIG_OPTION
from kverdict.errors import ExitStatus
from kverdict.exports import files, github
from kverdict.exports.files import Format
from kverdict.exports.folder import finished_report
from kverdict.text import printable


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--junit", is_flag=True, help="junit.xml, for forges and CI servers.")
@click.option("--kcidb", is_flag=True, help="kcidb.json, a submission to KernelCI's database.")
@click.option("--ktap", is_flag=True, help="results.ktap, the kernel's test format.")
@click.option("--sarif", is_flag=True, help="warnings.sarif, for code scanning.")
@click.option(
    "--github",
    "to_github",
    is_flag=True,
    help=f"summary.md; also appended to ${github.VARIABLE} when that is set.",
)
@click.option("--all", "everything", is_flag=True, help="All five files; the default.")
@CONFIG_OPTION
def export(
    run: Path,
    junit: bool,
    kcidb: bool,
    ktap: bool,
    sarif: bool,
    to_github: bool,
    everything: bool,
    config: Path | None,
) -> int:
    """Write the results of RUN, a run's folder, in the formats of other tools.

    The files are in RUN (docs/exports.md). Nothing is built, booted or sent. Exit status: 0.
    """
    settings = settings_module.load(config)
    report = finished_report(run)
    asked = {
        Format.JUNIT: junit,
        Format.KCIDB: kcidb,
        Format.KTAP: ktap,
        Format.SARIF: sarif,
        Format.GITHUB: to_github,
    }
    chosen = [format for format, wanted in asked.items() if wanted]
    formats = chosen if chosen and not everything else list(Format)
    for path in files.export(report, run, settings.kcidb, formats).values():
        click.echo(printable(str(path), keep=""))
    if to_github and (page := os.environ.get(github.VARIABLE)):
        github.append((run / github.FILE).read_bytes(), Path(page))
    return ExitStatus.GOOD
