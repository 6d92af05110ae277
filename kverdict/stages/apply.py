# SPDX-License-Identifier: GPL-2.0-or-later
"""Applies a series to its base: one commit a patch, made by ``git am``."""

from __future__ import annotations

from collections.abc import Sequence
from email.utils import parseaddr
from pathlib import Path

from kverdict.am import Landed, Mail, apply_mails, landed_of, read_mbox
from kverdict.conflict import conflict
from kverdict.errors import InfraError, PatchError
from kverdict.git import Repository
from kverdict.models import Applied, AppliedPatch, BaseChoice, Series, SourceKind
from kverdict.progress import Progress
from kverdict.screen import attention, refused
from kverdict.trees import Tree


def apply_series(
    series: Series, mbox: Path, base: BaseChoice, tree: Tree, *, progress: Progress
) -> Applied:
    """The series as commits in ``tree.repo``; none has to be checked out for it.

    ``mbox`` is the mboxrd with one mail a patch.  For a rev range the commits are there already.
    Raises PatchError: 125 with the patch, the file and the hunk that does not apply, 156 for a
    patch that touches what no kernel patch needs to, or another file than its mail announces.
    """
    if series.kind is SourceKind.REV_RANGE:
        return _existing(series, base, tree)
    mails = read_mbox(mbox, len(series.patches))
    with progress.task(f"applying {len(mails)} patches"):
        result = apply_mails(tree.repo, base.sha, mails)
    if result.refusal is not None:
        raise conflict(mails, result, tree)
    _check_authors(series, mails, result.landed, tree)
    return _applied(base.sha, result.landed, series, tree)


def _existing(series: Series, base: BaseChoice, tree: Tree) -> Applied:
    assert series.rev_range is not None
    with Repository(tree.repo) as repository:
        shas = repository.commits_between(*series.rev_range)
        merges = [sha for sha in shas if len(repository.commit(sha).parents) != 1]
    if merges:
        raise PatchError(
            f"{series.asked} contains the merge {merges[0][:12]}",
            "give a range without merges: a series is a row of patches",
        )
    if len(shas) != len(series.patches):
        raise InfraError(
            f"{series.asked} is {len(shas)} commits now, it was {len(series.patches)}",
            "fetch the series again",
        )
    landed = landed_of(tree.repo, base.sha, shas, total=len(shas))
    return _applied(base.sha, landed, series, tree)


def _applied(base: str, landed: Sequence[Landed], series: Series, tree: Tree) -> Applied:
    return Applied(
        base=base,
        tip=landed[-1].commit if landed else base,
        patches=tuple(
            AppliedPatch(
                number=patch.number,
                subject=tree.commit(item.commit).subject,
                commit=item.commit,
                three_way=item.three_way,
                paths=tuple(change.path for change in item.changes),
                attention=attention(item.changes),
            )
            for patch, item in zip(series.patches, landed, strict=False)
        ),
    )


def _check_authors(
    series: Series, mails: Sequence[Mail], landed: Sequence[Landed], tree: Tree
) -> None:
    """git takes the author from the mail's From, or from a From line at the top of its body."""
    for patch, mail, item in zip(series.patches, mails, landed, strict=True):
        author = tree.commit(item.commit).author
        if parseaddr(author)[1] not in mail.senders | {parseaddr(patch.author)[1]}:
            raise refused(
                f"became a commit of {author}, not of {patch.author}",
                f"[{patch.number}/{len(mails)}]",
            )
