# SPDX-License-Identifier: GPL-2.0-or-later
"""What changed between two revisions of a series: the range-diff that ``b4 diff`` makes.

b4 rebuilds both series as commits on the blobs that their mails name.  It does so in a scratch
repository that only borrows the tree's objects, so that nothing of ours is written to.  Where it
cannot (blobs that the tree does not have), git compares the commits of the two runs themselves.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path

from pydantic import ValidationError

from kverdict.errors import InfraError
from kverdict.git import Repository
from kverdict.models import Applied, Frozen
from kverdict.progress import Progress
from kverdict.runs import scratch
from kverdict.stages.fetch import MBOX, ArchiveSettings, run_worker
from kverdict.text import clip, one_line, printable
from kverdict.trees import Tree

SECONDS = 120.0
MEMORY = 4 << 30  # bytes of address space: git maps the index of a kernel's pack
MOST = 1 << 20  # characters that are kept

# Git's own limits for mapped packs are made for machines that have nothing else to do.
_CONFIGURATION = {
    "core.packedGitWindowSize": "32m",
    "core.packedGitLimit": "256m",
    "core.hooksPath": "/dev/null",
    "core.attributesFile": "/dev/null",
    "am.threeWay": "false",
    "gc.auto": "0",
}
_IDENTITY = {
    f"GIT_{role}_{part}": value
    for role in ("AUTHOR", "COMMITTER")
    for part, value in (("NAME", "kverdict"), ("EMAIL", "kverdict@localhost"))
}


class _Answer(Frozen):
    status: str
    detail: str = ""


def range_diff(
    boxes: tuple[Path, Path], applied: tuple[Applied, Applied], tree: Tree, *, progress: Progress
) -> tuple[str | None, str]:
    """(range-diff, note) between two series, the older first; None and why when there is none.

    ``boxes`` are their mailboxes as git am gets them.  The note says when the text is git's own,
    of the applied commits, because b4 could not make it.
    """
    with progress.task("comparing with the earlier revision"):
        text, why = _by_b4(boxes, applied[1].base, tree)
        if text is not None:
            return _shown(text), ""
        text, missing = _by_git(applied, tree)
    if text is not None:
        return _shown(text), f"of the applied commits: {why}"
    return None, f"{why}; {missing}"


def _by_b4(boxes: Sequence[Path], base: str, tree: Tree) -> tuple[str | None, str]:
    settings = ArchiveSettings()
    with scratch(Path(tempfile.gettempdir()), "kverdict-mail-") as draft:
        try:
            for number, box in enumerate(boxes):
                (draft / f"{number}-{MBOX}").write_bytes(box.read_bytes())
        except OSError as error:
            return None, f"the mails of a run cannot be read ({error.strerror})"
        request = {
            "task": "range-diff",
            "boxes": [f"{number}-{MBOX}" for number in range(len(boxes))],
            "objects": str(tree.repo / "objects"),
            "base": base,
            "mbox": "",  # nothing of this needs the network
            "memory": MEMORY,
        }
        done = run_worker(
            json.dumps(request).encode(),
            draft,
            settings,
            timeout=SECONDS,
            configuration=_CONFIGURATION,
            variables={**_IDENTITY, "GIT_NO_LAZY_FETCH": "1", "GIT_NO_REPLACE_OBJECTS": "1"},
        )
        if done.stopped is not None:
            return None, f"b4 diff was stopped ({done.stopped})"
        try:
            answer = _Answer.from_json(done.stdout)
        except ValidationError:
            return None, f"b4 diff failed (exit status {done.returncode})"
        if answer.status != "ok":
            return None, one_line(f"b4 diff cannot compare them ({answer.detail})")
        return (draft / "range-diff.txt").read_text(encoding="utf-8", errors="replace"), ""


def _by_git(applied: tuple[Applied, Applied], tree: Tree) -> tuple[str | None, str]:
    with Repository(tree.repo) as repository:
        for one in applied:
            for commit in (one.base, one.tip):
                if repository.resolve(commit) is None:
                    return None, f"commit {commit[:12]} is not in the tree any more"
        ranges = [f"{one.base}..{one.tip}" for one in applied]
        try:
            done = repository.run("range-diff", "--no-color", *ranges, timeout=SECONDS)
        except InfraError as error:
            return None, str(error)
    return done.text, ""


def _shown(text: str) -> str:
    """Printable, bounded, with a line break at its end."""
    kept, left = clip(printable(text), MOST)
    rest = f"\n[{left:,} more characters]" if left else ""
    return kept.rstrip("\n") + rest + "\n"
