# SPDX-License-Identifier: GPL-2.0-or-later
"""./pipeline.py doctor: what is wrong with this machine."""

from __future__ import annotations

from pathlib import Path

import click

from kverdict import doctor as examination
from kverdict import settings as settings_module
from kverdict.commands.common import CONFIG_OPTION
from kverdict.errors import ExitStatus
from kverdict.progress import to_stderr
from kverdict.text import printable


@click.command()
@click.option("--fix", is_flag=True, help="Remove what killed runs left, and what is damaged.")
@CONFIG_OPTION
def doctor(fix: bool, config: Path | None) -> int:
    """Look for what is wrong with this machine, the cache and the runs.

    Exit status: 0 when nothing is wrong, 128 otherwise.
    """
    wrong = 0
    for finding in examination.examine(settings_module.load(config), to_stderr()):
        fixed = fix and finding.mend is not None
        if fixed and finding.mend is not None:
            finding.mend()
        mark = "fixed" if fixed else finding.mark.value
        rest = f": --fix would {finding.fix}" if finding.fix and not fixed else ""
        click.echo(printable(f"{mark:<6} {finding.text}{rest}"))
        wrong += finding.mark is examination.Mark.WRONG and not fixed
    return ExitStatus.TROUBLE if wrong else ExitStatus.GOOD
