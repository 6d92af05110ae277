# SPDX-License-Identifier: GPL-2.0-or-later
"""Mirrors: bare repositories of ours that are fetched into, so that nobody else's is written to.

Nothing that was fetched ever goes: linux-next throws its history away each day, and the commits of
earlier nights have to stay where they can be bisected.
"""

from __future__ import annotations

import fcntl
import hashlib
import re
from collections.abc import Sequence
from pathlib import Path

from kverdict.bare import in_use
from kverdict.git import Repository, create_bare
from kverdict.progress import Progress
from kverdict.runs import flocked

_LOCAL = re.compile(r"(?!.*://)(?![^/]*:)")  # git-fetch(1): neither a URL nor host:path


def mirror_of(remote: str, cache: Path) -> Path:
    """Where the mirror of a remote is, whether it was made already or not."""
    name = re.sub(r"[^A-Za-z0-9._-]", "_", remote.rstrip("/").rpartition("/")[2])[:48]
    digest = hashlib.sha256(remote.encode(errors="surrogateescape")).hexdigest()[:12]
    return cache.absolute() / "repos" / f"mirror-{name.removesuffix('.git')}-{digest}.git"


def tracking(ref: str) -> str:
    """The mirror's own name for a ref of the remote."""
    short = ref.removeprefix("refs/").removeprefix("heads/")
    return f"refs/remotes/origin/{short}"


def fetch(
    remote: str, refs: Sequence[str], *, cache: Path, seconds: float, progress: Progress
) -> Path:
    """The mirror of ``remote`` with its ``refs`` as they are now; its HEAD is the first of them.

    Raises GitFailed: no such repository or ref, no network, or it takes longer than ``seconds``.
    """
    remote = str(Path(remote).expanduser().absolute()) if _LOCAL.match(remote) else remote
    mirror = mirror_of(remote, cache)
    if not mirror.is_dir():
        mirror.parent.mkdir(parents=True, exist_ok=True)
        create_bare(mirror)
    with (
        flocked(mirror.with_suffix(".lock"), fcntl.LOCK_EX),
        in_use(mirror),
        Repository(mirror) as ours,
    ):
        refspecs = [f"+{ref}:{tracking(ref)}" for ref in refs]
        _make_way(ours, [tracking(ref) for ref in refs])
        with progress.task(f"fetching {remote}") as task:
            ours.fetch(remote, refspecs, task=task, timeout=seconds)
        first = ours.resolve(tracking(refs[0]))
        if first is not None and first != ours.resolve("HEAD"):
            ours.run("update-ref", "--no-deref", "HEAD", first)
            # A pack for each night would make every look-up slower; nothing is pruned here.
            ours.run("repack", "--geometric=2", "-d", "-q", timeout=seconds)
    return mirror


def _make_way(ours: Repository, wanted: Sequence[str]) -> None:
    """A branch "topic" of before is in the way of "topic/v2" now; its commits stay in the packs."""
    known = ours.run("for-each-ref", "--format=%(refname)", "refs/remotes/origin/").text.split()
    for old in set(known) - set(wanted):
        if any(new.startswith(f"{old}/") or old.startswith(f"{new}/") for new in wanted):
            ours.run("update-ref", "--no-deref", "-d", old)
