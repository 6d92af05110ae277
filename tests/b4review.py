# SPDX-License-Identifier: GPL-2.0-or-later
"""b4's own review code, run in the current checkout; prints JSON.  Started as a process by tests.

checks MBOX     what `b4 review` shows of each mail: its configured commands, its runner
branch MBOX     makes the review branch of the series that FETCH_HEAD has applied
open            takes in what lies in .git/b4-review; prints the tracking data after it
"""

from __future__ import annotations

import json
import subprocess
import sys
from argparse import Namespace
from typing import Any

import b4
import b4.review
import liblore.utils
from b4.review import _review, checks

BRANCH = "b4/review/test"


def mails(path: str) -> list[Any]:
    with open(path, "rb") as stream:  # noqa: PTH123
        return list(liblore.utils.split_mbox(stream.read()))


def top() -> str:
    return str(b4.git_get_toplevel())


def run_checks(path: str) -> Any:
    """As CheckRunnerMixin of review_tui/_common.py does."""
    per_patch, series = checks.load_check_cmds()
    named = [(b4.LoreMessage.get_clean_msgid(mail), mail) for mail in mails(path)]
    patches = [one for one in named if b4.LoreSubject(one[1]["Subject"]).counter > 0]
    return {
        "series": checks.run_series_checks(named[0], series, top()),
        "patches": checks.run_perpatch_checks(patches, per_patch, top()),
    }


def make_branch(path: str) -> Any:
    box = b4.LoreMailbox()
    for mail in mails(path):
        box.add_message(mail)
    series = box.get_series(codereview_trailers=False)
    base = subprocess.check_output(["git", "merge-base", "HEAD", "FETCH_HEAD"], text=True).strip()
    _review.create_review_branch(top(), BRANCH, base, series, "https://x/", "https://x/%s")
    return {}


def tracked() -> Any:
    return _review.load_tracking(top(), BRANCH)[1]


def open_series() -> Any:
    cover, tracking = _review.load_tracking(top(), BRANCH)
    first = tracking["series"]["first-patch-commit"]
    shas = subprocess.check_output(
        ["git", "rev-list", "--reverse", f"{first}~1..{BRANCH}~1"], text=True
    ).split()
    taken = _review._integrate_agent_reviews(
        top(), cover, tracking, shas, tracking["patches"], branch=BRANCH
    )
    return {"taken": taken, **_review.load_tracking(top(), BRANCH)[1]}


def main() -> None:
    b4.setup_config(Namespace(config=None))
    tasks: dict[str, Any] = {
        "checks": run_checks,
        "branch": make_branch,
        "open": open_series,
        "tracking": tracked,
    }
    print(json.dumps(tasks[sys.argv[1]](*sys.argv[2:])))


if __name__ == "__main__":
    main()
