# SPDX-License-Identifier: GPL-2.0-or-later
"""A run's findings for b4 review, as another reviewer's comments below the lines they are about.

b4 0.16 reads them from ``.git/b4-review/<tip of the review branch>/`` when it opens a series
(b4/review/_review.py, _integrate_agent_reviews): identity.txt, series.txt and NNNN.txt, a note and
then the quoted diff with comments between its lines.  What it took in stands in the tracking
commit, and the folder is gone.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kverdict.am import read_mbox
from kverdict.errors import UserError
from kverdict.git import Repository
from kverdict.hunks import Spot, places
from kverdict.judgement import Finding, FindingKind, Overall, Report
from kverdict.runs import remove, scratch
from kverdict.text import clip, one_line, printable

ADDRESS = "kverdict@localhost"
IDENTITY = f"kverdict <{ADDRESS}>"

_DROPS = "b4-review"
_BRANCHES = "b4/review/"
_MARKER = "--- b4-review-tracking ---"
_MOST = 100  # remarks on one patch
_LONGEST = 2000  # characters of one
_BY_LINE = frozenset({FindingKind.WARNING, FindingKind.CHECK, FindingKind.BUILD})


@dataclass(frozen=True)
class Remark:
    """What is said of a patch; where, when that is a line of the file as the patch leaves it."""

    text: str
    path: str | None = None
    line: int | None = None


@dataclass(frozen=True)
class _Branch:
    """A branch of b4 review: its tip, and what b4 wrote down there."""

    name: str
    tip: str
    tracking: Mapping[str, Any]

    @property
    def message_ids(self) -> list[str]:
        """Of its patches, in order."""
        return [_message_id(patch) for patch in _list(self.tracking, "patches")]


def drop(report: Report, folder: Path, repo: Path, page: str) -> Path:
    """Writes the findings of the run in ``folder`` for the review branch of its series in ``repo``.

    ``page`` leads to the report.  Returns the folder that b4 will take in.  Raises UserError when
    there is no such branch, when b4 has that run already, when another reviewer's comments wait
    there, and for a linked worktree.
    """
    if report.verdict.overall is Overall.TROUBLE:
        raise UserError(
            f"{folder.name} says nothing about the series", "our trouble decided: run it again"
        )
    with Repository(repo) as repository:
        home = _git_folder(repository, repo)
        branch = _review_branch(repository, report, repo)
    if folder.name in _earlier_note(branch):
        raise UserError(f"b4 has taken in {folder.name} already", f"see {branch.name}")
    files = _files(report, folder, branch.message_ids, page)
    target = home / _DROPS / branch.tip
    _check_ours(target, branch)
    with scratch(home / _DROPS, ".drop.") as draft:
        whole = draft / "whole"
        whole.mkdir()
        for name, text in files.items():
            (whole / name).write_text(text, encoding="utf-8", errors="replace")
        remove(target)
        whole.rename(target)
    return target


def _git_folder(repository: Repository, repo: Path) -> Path:
    """Where b4 looks: ``.git`` in the top folder of the checkout, which has to be a folder."""
    if repository.worktree is None:
        raise UserError(f"{repo} is a bare repository", "b4 review needs a checkout")
    home = repository.worktree / ".git"
    if not home.is_dir():
        raise UserError(
            f"{repo} is a linked worktree, where b4 looks for no comments", "name the main worktree"
        )
    return home


def _check_ours(target: Path, branch: _Branch) -> None:
    """b4 has one folder for all who comment; what waits there is lost when it is replaced."""
    try:
        with (target / "identity.txt").open("rb") as stream:
            content = stream.read(_LONGEST)
    except (FileNotFoundError, NotADirectoryError):
        return  # b4 takes nothing from there
    except OSError as error:
        raise UserError(f"{target} cannot be read", error.strerror or "remove it") from error
    whose = content.decode(errors="replace").strip()
    if whose != IDENTITY:
        raise UserError(
            f"comments by {printable(whose)} wait in {target}",
            f"let b4 take them in first: open {branch.name} in b4 review tui",
        )


# --- the review branch ----------------------------------------------------------------------------


def _review_branch(repository: Repository, report: Report, repo: Path) -> _Branch:
    """The branch whose patches are those of the report, by message-id."""
    wanted = [patch.message_id for patch in report.series.patches]
    for name, tip in repository.refs():
        if not name.startswith(_BRANCHES):
            continue
        message = repository.run("show", "--no-patch", "--format=%B", tip).text
        tracking = _tracking(message)
        if tracking is not None:
            branch = _Branch(name, tip, tracking)
            if branch.message_ids == wanted:
                return branch
    raise UserError(
        f"{repo} has no review branch of {report.series.subject!r}",
        f"check it out first: b4 review track {report.series.message_id}, then b4 review tui",
    )


def _tracking(message: str) -> Mapping[str, Any] | None:
    """The JSON of a tracking commit; None for any other commit."""
    _, marker, rest = message.partition(_MARKER)
    lines = [line for line in rest.splitlines() if not line.startswith("#")]
    try:
        found = json.loads("\n".join(lines)) if marker else None
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def _list(tracking: Mapping[str, Any], key: str) -> list[Mapping[str, Any]]:
    found = tracking.get(key)
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def _message_id(patch: Mapping[str, Any]) -> str:
    header = patch.get("header-info")
    return str(header.get("msgid", "")) if isinstance(header, dict) else ""


def _earlier_note(branch: _Branch) -> str:
    """What b4 has from us of the whole series."""
    place: object = branch.tracking
    for key in ("series", "reviews", ADDRESS, "note"):
        place = place.get(key) if isinstance(place, dict) else None
    return str(place or "")


# --- what is said ---------------------------------------------------------------------------------


def _files(report: Report, folder: Path, message_ids: Sequence[str], page: str) -> dict[str, str]:
    mails = read_mbox(folder / "series" / report.series.mbox, len(message_ids))
    files = {"identity.txt": f"{IDENTITY}\n", "series.txt": _series_note(report, folder, page)}
    for number, mail in enumerate(mails, start=1):
        remarks = list(remarks_on(report, number))
        if remarks:
            files[f"{number:04}.txt"] = review_of(mail.text, remarks)
    return files


def _series_note(report: Report, folder: Path, page: str) -> str:
    verdict = report.verdict
    cases = ", ".join(f"{count} {word}" for word, count in verdict.counts.items() if count)
    unpinned = [one for one in verdict.findings if one.patch is None]
    lines = [
        f"{verdict.overall.value.upper()}: {verdict.headline}",
        f"Base: {report.base.description}, {report.base.how.value}",
        *([f"Cases: {cases}"] if cases else []),
        *(_said(finding) for finding in unpinned[:_MOST]),
        f"Report of {folder.name}: {page}",
    ]
    return "".join(f"{_plain(line)}\n" for line in lines)


def remarks_on(report: Report, number: int) -> Iterator[Remark]:
    """What the run has to say of one patch; a line is given when it is the mail's own for sure."""
    exact = _lines_are_those_of_the_mail(report, number)
    for path, line, text in _placed(report, number):
        where = f"{path}:{line}: " if path and line else ""
        if exact and path and line:
            yield Remark(text, path, line)
        else:
            yield Remark(where + text)
    for finding in report.verdict.findings:
        if finding.patch == number and finding.kind not in _BY_LINE:
            yield Remark(_said(finding))


def _lines_are_those_of_the_mail(report: Report, number: int) -> bool:
    """On other preimages git am moves hunks, and a line number is another line in the mail."""
    base, applied = report.base, report.applied.patches
    same = 0 < base.blobs_total == base.blobs_matched
    return same and not any(patch.three_way for patch in applied[:number])


def _placed(report: Report, number: int) -> Iterator[tuple[str | None, int | None, str]]:
    for item in report.warnings:
        if item.patch == number:
            said = item.diagnostic
            gone = f", gone with patch {item.gone_with}" if item.gone_with is not None else ""
            yield (
                said.file,
                said.line,
                f"{said.tool}: {said.flag or 'warning'}: {said.message}{gone}",
            )
    if report.checks is not None:
        for note in report.checks.notes:
            if note.patch == number:
                yield note.file, note.line, f"{note.tool}: {note.severity}: {note.message}"
    broken = any(
        one.kind is FindingKind.BUILD and one.patch == number for one in report.verdict.findings
    )
    build = report.patch_evaluations[number - 1].build if broken else None
    if build is not None and build.first_error is not None:
        error = build.first_error
        yield error.file, error.line, f"{error.tool}: {error.severity}: {error.message}"


def _said(finding: Finding) -> str:
    word = "ADVICE" if finding.advice else finding.verdict.value
    about = f"{finding.case}: {finding.title}" if finding.case else finding.title
    first = finding.detail.strip().split("\n", 1)[0]
    return f"{word}: {about}" + (f": {first}" if first else "")


# --- the form that b4 reads -----------------------------------------------------------------------


def review_of(body: str, remarks: Sequence[Remark]) -> str:
    """NNNN.txt: what has no line in the diff of a mail's ``body``, then the diff with the rest."""
    comments: dict[Spot, list[str]] = defaultdict(list)
    for remark in remarks[:_MOST]:
        if remark.path is not None and remark.line is not None:
            comments[remark.path, remark.line].append(_plain(remark.text))
    lines, placed = _commented(body, comments)
    notes = [
        _plain(f"{path}:{line}: {text}")
        for (path, line), texts in comments.items()
        for text in texts
        if (path, line) not in placed
    ]
    notes += [_plain(one.text) for one in remarks[:_MOST] if one.path is None]
    if remarks[_MOST:]:
        notes.append(f"{len(remarks[_MOST:])} more, see the report")
    between = [""] if notes and placed else []
    return "".join(f"{line}\n" for line in (*notes, *between, *(lines if placed else ())))


def _commented(
    body: str, comments: Mapping[Spot, Sequence[str]]
) -> tuple[list[str], frozenset[Spot]]:
    """The quoted diff with the comments below their lines, and which found their line."""
    lines = body.replace("\r\n", "\n").split("\n")
    known = places(lines)
    under = {known[spot]: texts for spot, texts in comments.items() if spot in known}
    heads = (at for at, line in enumerate(lines) if line.startswith("diff --git "))
    quoted: list[str] = []
    for at, line in enumerate(lines[(first := next(heads, len(lines))) :], start=first):
        quoted.append(_quoted(line))
        if at in under:
            quoted += ["", *under[at], ""]
    return quoted, frozenset(spot for spot in comments if spot in known)


def _quoted(line: str) -> str:
    # b4 splits at form feeds and U+2028 as well: what follows would be taken for our words.
    return "> " + printable(line, keep="\t")


def _plain(text: str) -> str:
    """One line that b4 cannot take for a quotation."""
    kept, _ = clip(one_line(text), _LONGEST)
    return f" {kept}" if kept.startswith(">") else kept
