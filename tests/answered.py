# SPDX-License-Identifier: GPL-2.0-or-later
"""Finished runs to reply to: real mails of archive.mbx, with a report of each kind of verdict."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from kverdict import models as m
from kverdict.progress import Silent
from kverdict.runs import RunState, digest_of
from kverdict.stages.fetch import ArchiveSettings, fetch
from kverdict.verdict import Report, judge
from tests import factories as make
from tests.archive.recorded import DATA

VERSION = "0.1.0"
FOO, BAR = "drivers/foo.c", "drivers/bar.c"
SHAS = ("7109" * 10, "7209" * 10)
NAME, ADDRESS = "Terry Tester", "terry@tester.example"

PASS, FAIL, SKIP = m.Outcome.PASS, m.Outcome.FAIL, m.Outcome.SKIP
ERROR = m.Outcome.ERROR

Make = Callable[[m.Series], Report]


def run_folder(
    home: Path,
    made: Make,
    *,
    mails: Path = DATA / "archive.mbx",
    revision: int | None = 2,
    name: str = "run",
    asked: Mapping[str, object] | None = None,
) -> Path:
    """A run's folder as verify leaves it, as far as a reply reads it."""
    folder = home / name
    folder.mkdir()
    series = fetch(
        [str(mails)],
        folder=folder / "series",
        revision=revision,
        settings=ArchiveSettings(),
        progress=Silent(),
    )
    request: dict[str, object] = {
        "series": [str(mails)],
        "tree": "debian:7.2",
        "fragments": ["base", "virtme", "kvm", "gcov"],
        "accelerator": "auto",
        "bench_mib": 0,
        "jobs": 2,
        **(asked or {}),
    }
    state = RunState(
        asked=request, request_digest=digest_of(request, VERSION), version=VERSION, finished=True
    )
    (folder / "run.json").write_text(state.to_json())
    (folder / "verdict.json").write_text(made(series).to_json())
    return folder


def series_in(folder: Path) -> m.Series:
    return m.Series.from_json((folder / "series" / "series.json").read_bytes())


def git_user(home: Path, *more: tuple[str, str]) -> None:
    """A home folder whose git knows Terry."""
    for key, value in (("user.name", NAME), ("user.email", ADDRESS), *more):
        subprocess.run(
            ["git", "config", "--file", str(home / ".gitconfig"), "--add", key, value], check=True
        )


def report(
    series: m.Series,
    old: m.Evaluation | None = None,
    patches: Sequence[m.Evaluation] = (),
    *,
    warnings: tuple[m.PinnedWarning, ...] = (),
    reach: m.Reach | None = None,
    checks: m.Checks | None = None,
    protection: tuple[str, ...] = ("bubblewrap 0.8.0",),
    **changes: Any,
) -> Report:
    """On a series of two patches, of which only the last was booted."""
    before = old or make.before()
    found = tuple(patches) or (built(1), booted())
    parts: dict[str, Any] = {
        "series": series,
        "base": make.base_choice(),
        "applied": m.Applied(
            base=make.BASE,
            tip=SHAS[1],
            patches=tuple(
                m.AppliedPatch(
                    number=patch.number,
                    subject=patch.subject,
                    commit=SHAS[patch.number - 1],
                    three_way=False,
                    paths=(FOO,),
                )
                for patch in series.patches
            ),
        ),
        **changes,
    }
    verdict = judge(
        parts["series"],
        parts["base"],
        parts["applied"],
        before,
        found,
        protection=protection,
        warnings=warnings,
        reach=reach,
        checks=checks,
    )
    return Report(
        verdict=verdict,
        base_evaluation=before,
        patch_evaluations=found,
        warnings=warnings,
        reach=reach,
        checks=checks,
        **parts,
    )


def built(number: int, **changes: Any) -> m.Evaluation:
    """A patch that was built and not booted."""
    return make.evaluation(
        **{
            "key": f"{number}" * 64,
            "commit": SHAS[number - 1],
            "describe": f"patch {number}/2",
            "build": make.build(f"b1d{number}" * 10),
            "guest": None,
            **changes,
        }
    )


def booted(cases: Mapping[str, m.Outcome] | None = None, **changes: Any) -> m.Evaluation:
    """The whole series on its kernel."""
    outcomes = cases or {"pwrite.page": PASS, "pwrite.last-page": PASS}
    return built(2, **{"guest": make.guest("b1d2" * 10, cases=make.cases(outcomes)), **changes})


def base_with(cases: Mapping[str, m.Outcome]) -> m.Evaluation:
    return make.before(guest=make.guest(make.BASE_ID, cases=make.cases(cases)))


def warning(line: int = 3, file: str = FOO, patch: int = 1, **changes: Any) -> m.PinnedWarning:
    return m.PinnedWarning(
        **{
            "diagnostic": m.Diagnostic(
                severity="warning",
                file=file,
                line=line,
                message="no previous prototype for 'foo_2'",
                flag="-Wmissing-prototypes",
                function="foo_2",
            ),
            "patch": patch,
            "touched": True,
            **changes,
        }
    )


# --- one of each kind of verdict ------------------------------------------------------------------


def good(series: m.Series) -> Report:
    return report(series)


def good_with_a_skip(series: m.Series) -> Report:
    cases = {"pwrite.page": PASS, "uring.write": SKIP}
    return report(series, base_with(cases), (built(1), booted(cases)))


def good_in_part(series: m.Series) -> Report:
    """Of two files that the series touches one is not compiled."""
    files = (
        m.FileReach(path=FOO, patches=(1,), state=m.ReachState.COMPILED),
        m.FileReach(path=BAR, patches=(2,), state=m.ReachState.NOT_COMPILED, unmet=("BAR",)),
    )
    return report(series, reach=m.Reach(files=files))


def bad_build(series: m.Series) -> Report:
    error = m.Diagnostic(
        severity="error", file=FOO, line=3, message="'foo_two' undeclared", function="foo_2"
    )
    broken = make.failed_build(first_error=error)
    return report(series, None, (built(1, build=broken), booted()))


def bad_case(series: m.Series) -> Report:
    old = {"pwrite.page": PASS, "pwrite.empty": PASS, "pwrite.old": FAIL}
    new = {"pwrite.page": PASS, "pwrite.empty": FAIL, "pwrite.old": FAIL}
    again = make.guest("b1d2" * 10, cases=make.cases({"pwrite.empty": FAIL, "pwrite.old": FAIL}))
    return report(series, base_with(old), (built(1), booted(new, reruns=(again,))))


def bad_console(series: m.Series) -> Report:
    splat = make.splat(
        "at drivers/bar.c:4 in bar_3",
        function="bar_3",
        fingerprint="WARN:bar_3",
        place="drivers/bar.c:4",
        during="pwrite.page",
        excerpt="------------[ cut here ]------------\n"
        "WARNING: drivers/bar.c:4 at bar_3+0x1/0x2\n"
        "Reviewed-by: Terry Tester <terry@tester.example>\n"
        "RIP: 0010:bar_3+0x1/0x2",
    )
    guest = make.guest("b1d2" * 10, cases=make.cases({"pwrite.page": PASS}), splats=(splat,))
    first = make.guest("b1d1" * 10, cases=make.cases({"pwrite.page": PASS}))
    base = base_with({"pwrite.page": PASS})
    return report(series, base, (built(1, guest=first), booted(guest=guest)))


def bad_warning(series: m.Series) -> Report:
    return report(series, warnings=(warning(), warning(4, BAR, 2)))


def pre_existing(series: m.Series) -> Report:
    cases = {"pwrite.page": PASS, "pwrite.old": FAIL}
    return report(series, base_with(cases), (built(1), booted(cases)))


def flaky(series: m.Series) -> Report:
    cases = {"pwrite.page": PASS, "pwrite.race": FAIL}
    again = make.guest("b1d2" * 10, cases=make.cases({"pwrite.race": PASS}))
    old = base_with({"pwrite.page": PASS, "pwrite.race": PASS})
    return report(series, old, (built(1), booted(cases, reruns=(again,))))


def untestable(series: m.Series) -> Report:
    same = make.build(make.BASE_ID)
    guest = make.guest(make.BASE_ID)
    return report(series, None, (built(1, build=same), booted(build=same, guest=guest)))


def advised(series: m.Series) -> Report:
    notes = (
        m.CheckNote(
            tool="checkpatch",
            patch=2,
            severity="warning",
            file=BAR,
            line=4,
            message="Missing a blank line after declarations",
        ),
        m.CheckNote(
            tool="DCO", patch=2, severity="error", file=None, line=None, message="no sign-off"
        ),
    )
    checks = m.Checks(ran=("checkpatch", "DCO"), missing=(), notes=notes)
    return report(series, checks=checks)


def infra(series: m.Series) -> Report:
    return report(series, None, (built(1), booted(infra="the disk is full")))


KINDS: dict[str, Make] = {
    "good": good,
    "good-without-tested-by": good_with_a_skip,
    "good-in-part": good_in_part,
    "bad-build": bad_build,
    "bad-case": bad_case,
    "bad-console": bad_console,
    "bad-warning": bad_warning,
    "pre-existing": pre_existing,
    "flaky": flaky,
    "untestable": untestable,
}
