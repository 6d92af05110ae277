# SPDX-License-Identifier: GPL-2.0-or-later
"""The folder of a finished run with a given report, as `verify` leaves it."""

from __future__ import annotations

from pathlib import Path

from kverdict.judgement import Report
from kverdict.runs import RunState, digest_of

NAME = "20261122T235356Z-gmem-write.mbx"
MAILS = (
    b"From mboxrd@z Thu Jan  1 00:00:00 1970\nSubject: [PATCH 1/2] one\n\n>From here\n---\n"
    b"From mboxrd@z Thu Jan  1 00:00:00 1970\nSubject: [PATCH 2/2] two\n\n>>From there\n---\n"
)


def finished(home: Path, report: Report, *, done: bool = True) -> Path:
    asked: dict[str, object] = {"series": ["x.mbx"]}
    folder = home / NAME
    (folder / "series").mkdir(parents=True)
    (folder / "series" / report.series.mbox).write_bytes(MAILS)
    (folder / "verdict.json").write_text(report.to_json())
    state = RunState(
        asked=asked, request_digest=digest_of(asked, "0.1.0"), version="0.1.0", finished=done
    )
    (folder / "run.json").write_text(state.to_json())
    return folder
