# SPDX-License-Identifier: GPL-2.0-or-later
"""The files that a run leaves for other tools, all of them or some."""

from __future__ import annotations

from collections.abc import Callable, Collection
from enum import Enum
from pathlib import Path

from kverdict.exports import folder as run_folder
from kverdict.exports import github, junit, kcidb, ktap, sarif
from kverdict.judgement import Report
from kverdict.runs import write_atomically
from kverdict.settings import KcidbSettings


class Format(Enum):
    """A format, and the name of its file in the run's folder."""

    JUNIT = junit.FILE
    KCIDB = kcidb.FILE
    KTAP = ktap.FILE
    SARIF = sarif.FILE
    GITHUB = github.FILE


def export(
    report: Report,
    folder: Path,
    settings: KcidbSettings,
    formats: Collection[Format] = tuple(Format),
) -> dict[Format, Path]:
    """Writes the files into the run's ``folder`` and says where they are.

    All are made before any is written.  Raises InfraError when one would not be valid.
    """
    run = run_folder.look_at(folder, report)
    makers: dict[Format, Callable[[], bytes]] = {
        Format.JUNIT: lambda: junit.junit(report, run),
        Format.KCIDB: lambda: kcidb.kcidb(report, run, settings),
        Format.KTAP: lambda: ktap.ktap(report),
        Format.SARIF: lambda: sarif.sarif(report),
        Format.GITHUB: lambda: github.summary_markdown(report),
    }
    made = {format: make() for format, make in makers.items() if format in formats}
    for format, content in made.items():
        write_atomically(folder / format.value, content)
    return {format: folder / format.value for format in made}
