# SPDX-License-Identifier: GPL-2.0-or-later
"""The workflow of a reply: a finished run -> drafts of mails in its folder; it sends nothing."""

from __future__ import annotations

import hashlib
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from kverdict import policy
from kverdict.drafts import Draft, file_name, fit, to_eml, to_mbox
from kverdict.errors import InfraError, UserError
from kverdict.git import user_identity
from kverdict.judgement import Overall, Report
from kverdict.models import BaseHow, Frozen, SourceKind
from kverdict.parents import Parent, read_parents
from kverdict.progress import Progress, Silent
from kverdict.render.letters import Aim, letters
from kverdict.render.reply import draft
from kverdict.request import Request, command_of
from kverdict.runs import file_digest, remove, run_lock, scratch, write_atomically
from kverdict.settings import HOME, Settings
from kverdict.text import counted, one_line
from kverdict.trees import DEBIAN
from kverdict.verify import finished_run

FOLDER = "reply"
MBOX = "reply.mbox"
NOTES = "reply.notes.txt"
DIGESTS = "reply.json"


@dataclass(frozen=True)
class Drafted:
    """The mails in ``reply/`` of a run's folder, and what their sender should know."""

    mails: tuple[Path, ...]
    notes: tuple[str, ...]


class _Digests(Frozen):
    """reply.json: what was written, to tell whether somebody edited it."""

    written: tuple[str, ...]  # SHA-256 of each draft and mailbox, also of those before


def draft_replies(
    folder: Path,
    settings: Settings,
    *,
    aim: Aim = Aim.FINDINGS,
    place: Path | None = None,
    progress: Progress | None = None,
) -> Drafted:
    """Writes reply/NNNN-*.eml, reply.mbox and reply.notes.txt into a finished run's folder.

    ``place`` is where git is asked who the user is; the current folder by default.  Raises
    UserError, also when drafts were edited that would be overwritten, and InfraError for a run that
    ended in our trouble: there is nothing to tell about the series.
    """
    report, request = finished_run(folder)
    if report.verdict.overall is Overall.TROUBLE:
        raise InfraError(
            f"{folder} ended in our trouble ({one_line(report.verdict.headline)}): "
            "that is no answer to the series",
            "verify it again",
        )
    name, address = user_identity(place or Path.cwd())
    with (progress or Silent()).task("reading the thread"):
        parents = read_parents(folder / "series", _ids(report), settings.archive)
    offer = policy.offer(report, settings.reply)
    reader = for_reader(request, report, parents)
    trailer = f"Tested-by: {one_line(name)} <{address}>" if offer.made else ""
    drafts = [
        draft(
            report,
            letter,
            templates=settings.template_folders,
            commands=reader.commands,
            sender=f"{name} <{address}>",
            trailer=trailer if letter.main or aim is Aim.PER_PATCH else "",
            note=reader.says,
        )
        for letter in letters(report, parents, aim=aim, advice=settings.reply.advice)
    ]
    notes = (*_policy_notes(offer), *_notes(report, parents, drafts), *reader.notes)
    with run_lock(folder) as ours:
        if not ours:
            raise UserError(f"somebody works in {folder}", "wait for the end of it")
        mails = _write(folder, drafts, notes)
    return Drafted(mails, notes)


def _ids(report: Report) -> list[str]:
    cover = report.series.message_id
    ids = [patch.message_id for patch in report.series.patches]
    return [*([cover] if cover is not None else []), *ids]


# --- what the reader can do ---------------------------------------------------------------------


@dataclass(frozen=True)
class Reader:
    """How somebody else comes to the same verdict; ``notes`` are for the sender."""

    commands: tuple[str, ...]
    says: str  # what the commands need, for the mail
    notes: tuple[str, ...]


def for_reader(request: Request, report: Report, parents: Mapping[str, Parent]) -> Reader:
    """The commands without any path of this machine."""
    notes = []
    named, says = _tree_for_reader(request, report)
    series = report.series
    cover = parents.get(series.message_id or "")
    if cover is not None and cover.posted:
        named |= {"series": (cover.message_id,), "revision": series.revision}
        if series.kind is not SourceKind.MESSAGE_ID:
            notes.append(f"the commands name the archive's mails; these are from {series.asked}")
    elif series.kind is SourceKind.REV_RANGE:
        named |= {"series": (f"{report.applied.base[:12]}..{report.applied.tip[:12]}",)}
        notes.append("the commands name commits that only you have")
    else:
        named |= {"series": tuple(Path(asked).name for asked in request.series)}
        notes.append("the commands name a mailbox that only you have")
    for fragment in request.fragments:
        if not (HOME / "kconfigs" / f"{fragment}.config").is_file():
            notes.append(f"the commands name the fragment {Path(fragment).name}: enclose it")
    named["fragments"] = tuple(Path(fragment).name for fragment in request.fragments)
    command = command_of(request.model_copy(update=named))
    return Reader((shlex.join(command),), says, tuple(notes))


def _tree_for_reader(request: Request, report: Report) -> tuple[dict[str, object], str]:
    base, tree = report.base, request.tree
    if base.how is BaseHow.RANGE:
        ref = None
    elif base.how is BaseHow.BASE_COMMIT:
        ref = base.sha
    else:
        ref = base.ref
    if tree.startswith(DEBIAN):
        return {"base": ref}, ""
    path = Path(tree).expanduser()
    unpacked = (path / "Kconfig").is_file() and not (path / ".git").exists()
    if path.is_file() or unpacked:
        return {"base": ref, "tree": path.name}, f"and {path.name}"
    needed = report.applied.tip if base.how is BaseHow.RANGE else base.sha
    says = f"and a git tree of Linux that has {needed[:12]}"
    return {"base": None if ref is None else base.sha, "tree": "linux"}, says


# --- notes for the sender -----------------------------------------------------------------------


def _policy_notes(offer: policy.Offer) -> Iterator[str]:
    if offer.made:
        yield "Tested-by is offered: " + ", ".join(point.point for point in offer.points)
    # Where the verdict speaks against it, the rest is beside the point.
    for point in offer.failed[:1] if not offer.points[0].holds else offer.failed:
        yield f"no Tested-by ({point.point}): {one_line(point.why)}"


def _notes(report: Report, parents: Mapping[str, Parent], drafts: Sequence[Draft]) -> Iterator[str]:
    series = report.series
    if series.newest_revision > series.revision:
        yield f"this is about v{series.revision}, and v{series.newest_revision} exists"
    if unposted := sum(not parent.posted for parent in parents.values()):
        yield (
            f"{counted(unposted, 'mail')} of the series had no Message-ID: "
            "a reply to it begins a thread of its own"
        )
    for number, one in enumerate(drafts, start=1):
        for note in fit(one).notes:
            yield f"{file_name(number, one)}: {note}"


# --- files --------------------------------------------------------------------------------------


def drafts_in(folder: Path) -> tuple[Path, ...]:
    """The mails that stand in a run's folder, in order; also edited ones."""
    return tuple(sorted((folder / FOLDER).glob("*.eml")))


def _written(folder: Path) -> frozenset[str]:
    try:
        return frozenset(_Digests.from_json((folder / DIGESTS).read_bytes()).written)
    except (OSError, ValueError):
        return frozenset()


def _unedited(folder: Path) -> frozenset[str]:
    """The digests of what is there; raises UserError when somebody put work into it."""
    written = _written(folder)
    drafts = frozenset(file_digest(path) for path in drafts_in(folder))
    if drafts - written:
        raise UserError(
            f"{folder / FOLDER} was edited", "send it with --send, or move it away to draft again"
        )
    mbox = folder / MBOX
    whole = frozenset({file_digest(mbox)} if mbox.is_file() else ())
    if whole - written:
        raise UserError(f"{mbox} was edited", "send it by hand, or move it away to draft again")
    return drafts | whole


def _write(folder: Path, drafts: Sequence[Draft], notes: Sequence[str]) -> tuple[Path, ...]:
    """All files anew; those of before go, unless somebody put work into them."""
    there = _unedited(folder)
    mbox = to_mbox(drafts)
    with scratch(folder, f".{FOLDER}.") as place:
        fresh = place / "fresh"
        fresh.mkdir(mode=0o755)
        for number, one in enumerate(drafts, start=1):
            (fresh / file_name(number, one)).write_bytes(to_eml(one))
        known = there | {file_digest(path) for path in fresh.iterdir()}
        known |= {hashlib.sha256(mbox).hexdigest()}
        # First: killed in between, no draft of ours is taken for an edited one.
        write_atomically(folder / DIGESTS, _Digests(written=tuple(sorted(known))).to_json())
        if (folder / FOLDER).is_dir():
            (folder / FOLDER).rename(place / "before")
        fresh.rename(folder / FOLDER)
    write_atomically(folder / MBOX, mbox)
    if notes:
        write_atomically(folder / NOTES, "".join(f"{note}\n" for note in notes))
    else:
        remove(folder / NOTES)
    return drafts_in(folder)
