# SPDX-License-Identifier: GPL-2.0-or-later
"""The files in tests/data/exports; ``python -m tests.exports.golden`` writes them to be looked at.

What every change of the models changes, and no reader of a diff can judge, is replaced: digests,
which are KCIDB's ids, are numbered as they come, and the version has no number.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path

from kverdict import __version__
from kverdict.exports.files import Format
from kverdict.exports.folder import RunFolder
from kverdict.exports.github import summary_markdown
from kverdict.exports.junit import junit
from kverdict.exports.kcidb import kcidb
from kverdict.exports.ktap import ktap
from kverdict.exports.sarif import sarif
from kverdict.judgement import Report
from kverdict.settings import KcidbSettings
from kverdict.stable import digest
from tests.exports.reports import kinds

FOLDER = Path(__file__).parent.parent / "data/exports"
RUN = RunFolder(
    name="20261122T235356Z-gmem-write.mbx", started=datetime(2026, 11, 22, 23, 53, 56, tzinfo=UTC)
)


def files(report: Report) -> dict[str, str]:
    """Each file of the report, with what is said above replaced."""
    made = {
        Format.JUNIT: junit(report, RUN),
        Format.KCIDB: kcidb(report, RUN, KcidbSettings()),
        Format.KTAP: ktap(report),
        Format.SARIF: sarif(report),
        Format.GITHUB: summary_markdown(report),
    }
    return {format.value: _stable(content, report) for format, content in made.items()}


def _stable(content: bytes, report: Report) -> str:
    text = content.decode().replace(digest(report), "DIGEST")
    text = text.replace(f'"version": "{__version__}"', '"version": "VERSION"')
    ids = dict.fromkeys(re.findall(r"kverdict:[0-9a-f]{64}", text))
    for number, id in enumerate(ids, start=1):
        text = text.replace(id, f"kverdict:{number}")
    return text


def main() -> None:
    for name, report in kinds().items():
        for file, text in files(report).items():
            place = FOLDER / name / file
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(text)


if __name__ == "__main__":
    main()
