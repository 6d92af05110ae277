# SPDX-License-Identifier: GPL-2.0-or-later
"""Which mails answer a series and what each tells: pure, over a report and the mails it is about.

A finding that is pinned to a patch goes to that patch, and under the very line when the mail's
diff shows it; everything else goes to the cover letter, or the first patch where there is none.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum

from kverdict.findings.suite import defect_of
from kverdict.findings.warnings import identity
from kverdict.hunks import Spot, quote
from kverdict.judgement import CaseVerdict, Finding, FindingKind, Overall, Report, guests_of
from kverdict.models import BaseHow
from kverdict.parents import Parent
from kverdict.render.view import answered_on, outcomes
from kverdict.verdict import splat_identity

REMARKS_AT_MOST = 20  # in one mail


class Aim(Enum):
    """To which mails of the series replies go."""

    FINDINGS = "one to each patch with findings, or one to the cover letter"
    PER_PATCH = "one to each patch"
    TO_COVER = "one to the cover letter"


@dataclass(frozen=True)
class Remark:
    """A finding as a mail tells it; ``also`` are cases that show the same defect."""

    finding: Finding
    source: str = ""  # where the case's expectation comes from
    kernel: str = ""  # that shows it: "patched kernel", or "patch 1's kernel"
    patched: str = ""  # what the case answered there: "2 fail"
    base: str = ""
    defect: str = ""
    also: tuple[str, ...] = ()


@dataclass(frozen=True)
class Placed:
    """Remarks under the line of the diff that they are about."""

    quote: tuple[str, ...]  # lines of the mail, without "> "
    remarks: tuple[Remark, ...]


@dataclass(frozen=True)
class Letter:
    """A reply that is to be written."""

    parent: Parent
    patch: int | None  # the patch that it is about; None: the whole series
    remarks: tuple[Remark, ...]  # those without a line
    placed: tuple[Placed, ...]
    left: int  # findings that are not told
    main: bool  # tells of what is not the series', too


def letters(
    report: Report, parents: Mapping[str, Parent], *, aim: Aim, advice: int = 0
) -> tuple[Letter, ...]:
    """The replies in the series' order; ``advice`` is how much advice one of them may have."""
    ids = {patch.number: patch.message_id for patch in report.series.patches}
    last = max(ids)
    cover = report.series.message_id or ids[min(ids)]
    numbers = {id: number for number, id in ids.items()}
    told: dict[str, list[Finding]] = defaultdict(list)
    for finding in report.verdict.findings:
        if _is_told(finding, advice):
            told[_addressee(finding, ids, cover, last, aim)].append(finding)
    if aim is Aim.PER_PATCH:
        wanted = list(ids.values())
    elif aim is Aim.TO_COVER or report.verdict.overall is not Overall.BAD:
        wanted = [cover]
    else:
        wanted = []
    order = [id for id in dict.fromkeys((cover, *ids.values())) if id in wanted or id in told]
    about = {id: numbers.get(id) if id != cover or last == 1 else None for id in order}
    return tuple(
        _letter(report, parents[id], about[id], told[id], advice, main=id == order[0])
        for id in order
    )


def _is_told(finding: Finding, advice: int) -> bool:
    return finding.verdict is CaseVerdict.NEW_FAIL and (not finding.advice or advice > 0)


def _addressee(finding: Finding, ids: Mapping[int, str], cover: str, last: int, aim: Aim) -> str:
    if aim is Aim.TO_COVER:
        return cover
    if finding.patch is not None:
        return ids[finding.patch]
    return cover if aim is Aim.FINDINGS else ids[last]


def _letter(
    report: Report,
    parent: Parent,
    patch: int | None,
    findings: Iterable[Finding],
    advice: int,
    *,
    main: bool,
) -> Letter:
    found = list(findings)
    serious = [finding for finding in found if not finding.advice][:REMARKS_AT_MOST]
    hints = [finding for finding in found if finding.advice][:advice]
    spots = _spots(report, [*serious, *hints], parent.message_id)
    quotes = quote(parent.body, spots.values())
    shown = {one.spot for one in quotes}
    at: dict[Spot, list[Finding]] = defaultdict(list)
    rest = []
    for number, finding in enumerate((*serious, *hints)):
        spot = spots.get(number)
        if spot is not None and spot in shown:
            at[spot].append(finding)
        else:
            rest.append(finding)
    return Letter(
        parent=parent,
        patch=patch,
        remarks=tuple(_remarks(report, rest)),
        placed=tuple(Placed(one.lines, tuple(_remarks(report, at[one.spot]))) for one in quotes),
        left=len(found) - len(serious) - len(hints),
        main=main,
    )


# --- where a finding stands ---------------------------------------------------------------------


def _exact(report: Report) -> bool:
    """Whether the hunks of the patch mails have the lines of the files that were built.

    On a base that is not the author's git moves hunks, and the mail's numbers are others.
    """
    base = report.base
    same = base.how is BaseHow.RANGE or 0 < base.blobs_total == base.blobs_matched
    return same and not any(patch.three_way for patch in report.applied.patches)


def _spots(report: Report, findings: list[Finding], mail: str) -> dict[int, Spot]:
    """(path, line) as the finding's own patch leaves the file, by the finding's place.

    Only of the patch that ``mail`` has: in the diff of another one the number is another line's.
    """
    if not _exact(report):
        return {}
    numbers = {patch.number for patch in report.series.patches if patch.message_id == mail}
    free = defaultdict(list)
    for key, spot in _known(report):
        free[key].append(spot)
    found = {}
    for number, finding in enumerate(findings):
        if finding.patch not in numbers:
            continue
        if alike := free[finding.patch, finding.key]:
            # Equal messages on several lines come in one order on both sides.
            found[number] = alike.pop(0) if len(alike) > 1 else alike[0]
    return found


def _known(report: Report) -> Iterator[tuple[tuple[int | None, str], Spot]]:
    for item in report.warnings:
        said = item.diagnostic
        if said.file and said.line:
            yield (item.patch, f"warning:{identity(said)}"), (said.file, said.line)
    for note in report.checks.notes if report.checks is not None else ():
        if note.file and note.line:
            key = f"check:{note.tool}:{note.file}:{note.message}"
            yield (note.patch, key), (note.file, note.line)
    for number, evaluation in enumerate(report.patch_evaluations, start=1):
        error = evaluation.build.first_error if evaluation.build is not None else None
        if error is not None and error.file and error.line:
            yield (number, f"build:{identity(error)}"), (error.file, error.line)
    # A report's place is one of the last kernel: its patch is the last one, or the numbers differ.
    last = len(report.patch_evaluations)
    for guest in guests_of(report.patched_evaluation):
        for splat in guest.splats:
            path, _, line = (splat.place or "").rpartition(":")
            if path and re.fullmatch(r"[0-9]{1,9}", line):
                yield (last, f"console:{splat_identity(splat)}"), (path, int(line))


# --- what is told of it -------------------------------------------------------------------------


def _remarks(report: Report, findings: list[Finding]) -> Iterator[Remark]:
    """One for each finding; cases that show one defect of the suite's list together."""
    cases = {case.id: case for case in report.verdict.cases}
    by_defect: dict[str, list[Finding]] = defaultdict(list)
    for finding in findings:
        by_defect[_defect(finding)].append(finding)
    for finding in findings:
        defect = _defect(finding)
        if defect and finding is not by_defect[defect][0]:
            continue
        case = cases.get(finding.case or "") if finding.kind is FindingKind.CASE else None
        kernel, runs = answered_on(finding, case) if case is not None else ("", None)
        yield Remark(
            finding=finding,
            source=case.source if case is not None else "",
            kernel=kernel,
            patched=outcomes(runs) if runs is not None else "",
            base=outcomes(case.base) if case is not None else "",
            defect=defect,
            also=tuple(one.case or "" for one in by_defect[defect][1:]) if defect else (),
        )


def _defect(finding: Finding) -> str:
    defect = defect_of(finding.case) if finding.kind is FindingKind.CASE and finding.case else None
    return defect.title if defect is not None else ""
