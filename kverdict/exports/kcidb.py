# SPDX-License-Identifier: GPL-2.0-or-later
"""A submission for KernelCI's database (kcidb-io, schema v5): checkouts, builds, tests, issues.

KCIDB takes what each kernel did, of any number of kernels, and draws the comparison itself: so the
base and each patch are checkouts of their own, a boot and each case of each boot a test.  What our
comparison found is an issue, with an incident for each object that shows it.

Ids are digests of what they stand for: the same run exported again replaces itself, a base that
two runs share is one object, and what is booted again is another.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from jsonschema.exceptions import ValidationError
from kcidb_io.schema import LATEST

from kverdict import __version__
from kverdict.errors import InfraError
from kverdict.exports.folder import RunFolder
from kverdict.exports.results import group_of, plain_detail, plain_line
from kverdict.judgement import (
    BAD_OUTCOMES,
    CaseVerdict,
    Finding,
    FindingKind,
    JudgedCase,
    Report,
    died_in,
    guests_of,
    lost,
)
from kverdict.models import BenchRow, CaseResult, Evaluation, Guest, GuestEnd, Outcome
from kverdict.runs import digest_of
from kverdict.settings import KcidbSettings
from kverdict.stable import digest
from kverdict.stages.kmake import ARCH
from kverdict.text import counted
from kverdict.verdict import splat_identity, undermined

FILE = "kcidb.json"
ISSUE_VERSION = 1
Item = dict[str, Any]

_STATUS = {
    Outcome.PASS: "PASS",
    Outcome.FAIL: "FAIL",
    Outcome.TIMEOUT: "FAIL",
    Outcome.CRASH: "FAIL",
    Outcome.SKIP: "SKIP",
    Outcome.ERROR: "ERROR",
    Outcome.NOT_RUN: "MISS",
}
# Whose an issue is; nobody says whose a flaky case is.
_CULPRITS = {
    CaseVerdict.NEW_FAIL: {"code": True},
    CaseVerdict.PRE_EXISTING: {"code": True},
    CaseVerdict.FIXED: {"code": True},
    CaseVerdict.FLAKY: None,
    CaseVerdict.INFRA: {"harness": True},
}
_SHA1 = re.compile(r"[0-9a-f]{40}")


def kcidb(report: Report, run: RunFolder, settings: KcidbSettings) -> bytes:
    """The submission as JSON.  Raises InfraError when it is not one that kcidb-io takes."""
    submission = _Submission(report, run, settings).all()
    try:
        LATEST.validate(submission)
    except ValidationError as error:
        raise InfraError(
            f"the KCIDB submission is not valid at {plain_line(error.json_path)}: "
            f"{plain_line(error.message)}",
            "please report that; nothing was written",
        ) from error
    return (json.dumps(submission, indent=1, sort_keys=True) + "\n").encode()


def status_of(outcome: Outcome, verdict: CaseVerdict | None, *, believed: bool) -> str:
    """Of one case in one boot; ``verdict`` is None for kernels that no verdict is about.

    ``believed`` is false where our trouble takes the ground from under all that ran.
    """
    status = _STATUS[outcome]
    if status in ("PASS", "FAIL") and not believed:
        return "MISS"
    if status == "FAIL" and verdict is CaseVerdict.INFRA:
        return "ERROR"
    if status == "SKIP" and verdict is CaseVerdict.NEW_FAIL:
        return "FAIL"  # what works on the base and is not even there any more
    return status


def path_of(case: str) -> str:
    """Where a case is in the tree of all tests: "kverdict.write.page", "kselftest.kvm.x.y"."""
    parts = [re.sub(r"[^A-Za-z0-9_-]", "_", part) for part in re.split(r"[./]+", case) if part]
    return ".".join(parts if group_of(case) != "guest" else ["kverdict", *parts])


@dataclass
class _Kernel:
    """A kernel of the report, and what stands for it in the submission."""

    evaluation: Evaluation
    number: int  # of the patch; 0 is the base
    checkout: str
    build: str
    boots: list[tuple[str, Guest]] = field(default_factory=list)
    cases: dict[str, list[tuple[str, Outcome]]] = field(default_factory=dict)


class _Submission:
    def __init__(self, report: Report, run: RunFolder, settings: KcidbSettings) -> None:
        self.report = report
        self.run = run
        self.settings = settings
        self.believed = undermined(report) is None
        self.judged = {case.id: case for case in report.verdict.cases}
        self.total = len(report.patch_evaluations)
        evaluations = (report.base_evaluation, *report.patch_evaluations)
        self.kernels = [self._kernel(item, number) for number, item in enumerate(evaluations)]

    def all(self) -> Item:
        lists = {
            "checkouts": [self._checkout(kernel) for kernel in self.kernels],
            "builds": [self._build(kernel) for kernel in self._built()],
            "tests": [test for kernel in self._built() for test in self._tests(kernel)],
        }
        issues, incidents = [], []
        for finding in self.report.verdict.findings:
            if shown := self._incidents(finding):
                issues.append(self._issue(finding))
                incidents += shown
        lists |= {"issues": issues, "incidents": incidents}
        version = {"major": LATEST.major, "minor": LATEST.minor}
        return {"version": version, **{name: items for name, items in lists.items() if items}}

    def _id(self, *parts: object) -> str:
        return f"{self.settings.origin}:{digest_of(*parts)}"

    def _object(self, id: str, **others: Any) -> Item:
        """Without what is not known: KCIDB has no null."""
        known = {name: value for name, value in others.items() if value not in (None, "")}
        return {"id": id, "origin": self.settings.origin, **known}

    # --- checkouts and builds ---------------------------------------------------------------------

    def _kernel(self, evaluation: Evaluation, number: int) -> _Kernel:
        base = self.report.base.sha
        series = self.report.series.mbox_digest if number else ""
        checkout = self._id("checkout", base, series, number, evaluation.commit)
        build = evaluation.build
        said = build.to_json() if build is not None else evaluation.infra
        return _Kernel(
            evaluation, number, checkout, self._id("build", checkout, evaluation.key, said)
        )

    def _built(self) -> Iterator[_Kernel]:
        for kernel in self.kernels:
            if kernel.evaluation.build is not None or kernel.evaluation.infra is not None:
                yield kernel

    def _checkout(self, kernel: _Kernel) -> Item:
        """The base's source, and the patches on top of it as far as this kernel has them."""
        report, number = self.report, kernel.number
        base, series = report.base, report.series
        mailed = series.message_id if series.message_id and "@" in series.message_id else None
        item = self._object(
            kernel.checkout,
            tree_name=self.settings.tree,
            git_repository_url=self.settings.repository,
            git_commit_hash=base.sha if _SHA1.fullmatch(base.sha) else None,
            git_commit_name=plain_line(base.description),
            message_id=plain_line(mailed) if mailed and number else None,
            comment=self._comment(number),
            valid=True,
            misc={"kverdict": self._about(kernel)},
        )
        patches = self.run.patches
        if len(patches) == len(series.patches):
            item["patchset_hash"] = patchset_hash(patches[:number])
        return item

    def _comment(self, number: int) -> str:
        if not number:
            return "the base of a series"
        done = f" (patches 1 to {number} of {self.total})" if number < self.total else ""
        return plain_line(f"{self.report.series.subject}{done}")

    def _about(self, kernel: _Kernel) -> Item:
        about: Item = {"commit": kernel.evaluation.commit, "version": __version__}
        if kernel.number == self.total:
            verdict = self.report.verdict
            about |= {
                "verdict": verdict.overall.value,
                "headline": plain_line(verdict.headline),
                "digest": digest(self.report),
                "revision": self.report.series.revision,
                "base_chosen_by": self.report.base.how.value,
            }
        return about

    def _build(self, kernel: _Kernel) -> Item:
        evaluation = kernel.evaluation
        build, config = evaluation.build, evaluation.config
        error = build.first_error if build is not None else None
        misc = {
            "build_id": build.build_id if build is not None else None,
            "config_digest": config.digest if config is not None else None,
            "warnings": len(build.warnings) if build is not None else None,
        }
        return self._object(
            kernel.build,
            checkout_id=kernel.checkout,
            comment=plain_line(evaluation.infra or evaluation.describe),
            architecture=ARCH,
            compiler=plain_line(config.compiler) if config is not None else None,
            duration=build.seconds if build is not None else None,
            log_excerpt=plain_detail(f"{error.file or ''}: {error.message}") if error else None,
            status=self._build_status(kernel),
            misc={"kverdict": {name: value for name, value in misc.items() if value is not None}},
        )

    def _build_status(self, kernel: _Kernel) -> str:
        build = kernel.evaluation.build
        if build is None:
            return "MISS"
        if build.ok:
            return "PASS"
        return "FAIL" if build.confirmed_clean and self.believed else "ERROR"

    # --- tests ------------------------------------------------------------------------------------

    def _tests(self, kernel: _Kernel) -> Iterator[Item]:
        for place, guest in enumerate(guests_of(kernel.evaluation)):
            boot = (kernel.build, place, digest_of(guest.to_json()))
            yield self._boot(kernel, guest, self._id("boot", *boot))
            for case in guest.cases:
                yield self._case(kernel, guest, case, self._id("test", *boot, case.id))
            for row in guest.bench:
                yield self._bench(kernel, guest, row, self._id("bench", *boot, row.name))

    def _boot(self, kernel: _Kernel, guest: Guest, id: str) -> Item:
        kernel.boots.append((id, guest))
        return self._object(
            id,
            build_id=kernel.build,
            path="boot",
            environment=_environment(guest),
            comment=plain_line(guest.end.value),
            status=self._boot_status(kernel, guest),
            duration=guest.boot_seconds,
        )

    def _boot_status(self, kernel: _Kernel, guest: Guest) -> str:
        if guest.end is GuestEnd.NOT_STARTED or not self.believed:
            return "MISS"
        if guest.end is GuestEnd.DONE:
            return "PASS"
        for finding in self.report.verdict.findings:
            if finding.kind is FindingKind.BOOT and self._is_about(finding, kernel):
                return "ERROR" if finding.verdict is CaseVerdict.INFRA else "FAIL"
        return "FAIL" if guest.end is GuestEnd.PANIC else "ERROR"

    def _is_about(self, finding: Finding, kernel: _Kernel) -> bool:
        """Whether it is this kernel that has it: a patch in between, or the whole series."""
        return kernel.number == (finding.patch if finding.in_between else self.total)

    def _case(self, kernel: _Kernel, guest: Guest, case: CaseResult, id: str) -> Item:
        judged = self.judged.get(case.id) if kernel.number in (0, self.total) else None
        outcome = _answer(guest, case, judged)
        kernel.cases.setdefault(case.id, []).append((id, outcome))
        known = {"verdict": judged.verdict.value} if judged is not None else {}
        return self._object(
            id,
            build_id=kernel.build,
            path=path_of(case.id),
            environment=_environment(guest),
            comment=plain_line(case.title),
            log_excerpt=plain_detail(case.message) if case.message else None,
            status=self._status(kernel, outcome, judged),
            duration=case.seconds,
            misc={"kverdict": {"case": plain_line(case.id), **known}},
        )

    def _status(self, kernel: _Kernel, outcome: Outcome, judged: JudgedCase | None) -> str:
        verdict = judged.verdict if judged is not None else None
        if verdict is CaseVerdict.NEW_FAIL and kernel.number != self.total:
            verdict = None  # a skip is lost on the patched kernel, not on the base
        return status_of(outcome, verdict, believed=self.believed)

    def _bench(self, kernel: _Kernel, guest: Guest, row: BenchRow, id: str) -> Item:
        return self._object(
            id,
            build_id=kernel.build,
            path=f"kverdict.bench.{re.sub('[^A-Za-z0-9_-]', '_', row.name)}",
            environment=_environment(guest),
            comment=f"populates {row.mib} MiB; median of {counted(len(row.rounds), 'round')}",
            status="DONE" if self.believed else "MISS",
            number={"value": row.median, "unit": plain_line(row.unit)},
        )

    # --- issues -----------------------------------------------------------------------------------

    def _issue_id(self, finding: Finding) -> str:
        series = self.report.series.mbox_digest
        return self._id("issue", self.report.base.sha, series, finding.key, finding.verdict.value)

    def _issue(self, finding: Finding) -> Item:
        return self._object(
            self._issue_id(finding),
            version=ISSUE_VERSION,
            culprit=_CULPRITS[finding.verdict],
            comment=plain_line(f"{finding.verdict.value}: {finding.title}"),
            misc={"kverdict": {"key": plain_line(finding.key), "verdict": finding.verdict.value}},
        )

    def _incidents(self, finding: Finding) -> list[Item]:
        """An incident for each object of base and series that shows the finding, or is free of it.

        Empty for what is no issue: advice, and what could not be tested.
        """
        if finding.advice or finding.verdict not in _CULPRITS or not self.believed:
            return []
        issue = self._issue_id(finding)
        return [
            self._object(
                self._id("incident", issue, target),
                issue_id=issue,
                issue_version=ISSUE_VERSION,
                present=present,
                **{name: target},
            )
            for name, target, present in dict.fromkeys(self._shown_by(finding))
        ]

    def _shown_by(self, finding: Finding) -> Iterator[tuple[str, str, bool]]:
        """Kind and id of each object that could show it, and whether it does."""
        numbers = dict.fromkeys((0, finding.patch or self.total, self.total))
        if finding.kind in (FindingKind.BUILD, FindingKind.WARNING) and finding.patch is not None:
            numbers = dict.fromkeys((0, finding.patch))  # what it builds later is its own finding
        for kernel in (self.kernels[number] for number in numbers):
            there = self._is_there(finding, kernel)
            if finding.kind is FindingKind.CASE:
                yield from _cases_with(kernel, finding, there)
            elif finding.kind in (FindingKind.BOOT, FindingKind.CONSOLE):
                for id, guest in kernel.boots:
                    yield "test_id", id, _shows(guest, finding)
            elif (build := kernel.evaluation.build) is not None:
                present = not build.ok if finding.kind is FindingKind.BUILD else there
                yield "build_id", kernel.build, present

    def _is_there(self, finding: Finding, kernel: _Kernel) -> bool:
        """Whether the verdict says that this kernel has it."""
        if finding.verdict is CaseVerdict.FIXED:
            return kernel.number == 0
        if kernel.number == 0:
            return finding.verdict is CaseVerdict.PRE_EXISTING
        return kernel.number == finding.patch or not finding.in_between


def _answer(guest: Guest, case: CaseResult, judged: JudgedCase | None) -> Outcome:
    """What a lost guest was running has not answered, unless the verdict holds that it has."""
    held = judged is not None and judged.verdict in (
        CaseVerdict.NEW_FAIL,
        CaseVerdict.PRE_EXISTING,
    )
    gone = lost(guest) and died_in(guest) == case.id and not held
    return Outcome.NOT_RUN if gone else case.outcome


def _cases_with(kernel: _Kernel, finding: Finding, there: bool) -> Iterator[tuple[str, str, bool]]:
    """What neither passed nor failed shows it only where the verdict says that it is there."""
    for id, outcome in kernel.cases.get(finding.case or "", ()):
        if outcome in BAD_OUTCOMES or (there and outcome is not Outcome.PASS):
            yield "test_id", id, True
        elif outcome is Outcome.PASS:
            yield "test_id", id, False


def _shows(guest: Guest, finding: Finding) -> bool:
    if finding.kind is FindingKind.BOOT:
        return guest.end is not GuestEnd.DONE
    return any(f"console:{splat_identity(splat)}" == finding.bare_key for splat in guest.splats)


def patchset_hash(digests: Sequence[str]) -> str:
    """As the schema defines it: sha256sum *.patch | cut -c-64 | sha256sum | cut -c-64."""
    text = "".join(f"{digest}\n" for digest in digests)
    return hashlib.sha256(text.encode()).hexdigest() if text else ""


def _environment(guest: Guest) -> Item:
    return {
        "comment": plain_line(f"virtme-ng guest, {guest.accelerator.value}"),
        "misc": {"accelerator": guest.accelerator.value, "kvm": guest.kvm},
    }
