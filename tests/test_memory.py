# SPDX-License-Identifier: GPL-2.0-or-later
"""What a run remembers of the revision before, and what it does not claim to know."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from kverdict import models as m
from kverdict.findings.warnings import identity
from kverdict.memory import earlier_run, is_earlier, remember
from kverdict.models import Since
from kverdict.runs import RunState, digest_of
from kverdict.verdict import CaseVerdict, Finding, FindingKind, Report, judge
from tests import answered
from tests import factories as make

PASS, FAIL, SKIP = m.Outcome.PASS, m.Outcome.FAIL, m.Outcome.SKIP
NOT_RUN, ERROR = m.Outcome.NOT_RUN, m.Outcome.ERROR
GONE, STILL, NEW, NOT_LOOKED = Since.GONE, Since.STILL, Since.NEW, Since.NOT_LOOKED


def told(earlier: Report, now: Report) -> dict[str, tuple[Since, str]]:
    """What became of each finding, by its key."""
    memory = remember(earlier, now, "earlier")
    return {item.key: (item.since, item.why) for item in memory.findings}


def with_finding(report: Report, *findings: Finding, **changes: Any) -> Report:
    """A report with these findings and no others."""
    verdict = report.verdict.model_copy(update={"findings": findings})
    return report.model_copy(update={"verdict": verdict, **changes})


# --- cases ----------------------------------------------------------------------------------------


def ran(*patched: m.Outcome, base: m.Outcome = PASS) -> Report:
    """A report on one case: its answers on the patched kernel, one a boot, and on the base."""
    guests = [
        make.guest(cases=(make.case("pwrite.page", outcome), make.case("other")))
        for outcome in patched
    ]
    return make.report(
        make.before(
            guest=make.guest(
                make.BASE_ID, cases=(make.case("pwrite.page", base), make.case("other"))
            )
        ),
        make.evaluation(guest=guests[0], reruns=tuple(guests[1:])),
    )


CASE = "case:pwrite.page"


@pytest.mark.parametrize(
    ("then", "now", "since"),
    [
        (ran(FAIL), ran(PASS), GONE),
        (ran(FAIL), ran(FAIL), STILL),
        (ran(FAIL), ran(FAIL, base=FAIL), STILL),  # the base has it by now
        (ran(FAIL), ran(PASS, base=FAIL), GONE),  # FIXED
        (ran(FAIL), ran(FAIL, PASS), STILL),
        (ran(FAIL), ran(SKIP, base=SKIP), NOT_LOOKED),
        (ran(FAIL), ran(NOT_RUN), NOT_LOOKED),
        (ran(FAIL), ran(ERROR), NOT_LOOKED),
        (ran(PASS), ran(FAIL), NEW),
        (ran(FAIL, base=FAIL), ran(FAIL), NEW),  # it was the base's then
        (ran(SKIP, base=SKIP), ran(FAIL), NOT_LOOKED),
        (ran(FAIL, PASS), ran(PASS), NOT_LOOKED),
        (ran(FAIL, PASS), ran(PASS, PASS), GONE),
        (ran(PASS), ran(FAIL, PASS), NOT_LOOKED),
        (ran(PASS, PASS), ran(PASS, FAIL), NEW),
    ],
)
def test_what_became_of_a_case(then: Report, now: Report, since: Since) -> None:
    found, why = told(then, now)[CASE]
    assert found is since
    assert bool(why) == (since is NOT_LOOKED)


def test_what_neither_revision_is_blamed_for_is_not_remembered() -> None:
    assert told(ran(PASS), ran(PASS)) == {}
    assert told(ran(FAIL, base=FAIL), ran(FAIL, base=FAIL)) == {}
    assert told(ran(ERROR), ran(ERROR)) == {}


def test_a_kernel_that_was_not_booted_makes_nothing_gone_and_says_so() -> None:
    now = make.report(None, make.evaluation(build=make.failed_build(), guest=None))
    found = told(ran(FAIL), now)
    assert found[CASE] == (NOT_LOOKED, "now: no kernel was booted")
    build = next(key for key in found if key.startswith("build:"))
    assert found[build] == (NEW, "")


# --- patches in between ---------------------------------------------------------------------------

NOTE = "f00"  # fingerprint of what a console says


def boot(outcome: m.Outcome, *again: m.Outcome, **changes: Any) -> m.Evaluation:
    """A patch whose guest answers pwrite.page so, and once more in each rerun."""
    guests = [
        make.guest(cases=(make.case("pwrite.page", one), make.case("other")), **changes)
        for one in (outcome, *again)
    ]
    return make.evaluation(guest=guests[0], reruns=tuple(guests[1:]))


BUILT = make.evaluation(guest=None)
SAID = boot(PASS, splats=(make.splat(fingerprint=NOTE),))
DIES = make.evaluation(
    guest=make.guest(
        cases=make.cases({"pwrite.page": m.Outcome.CRASH, "other": NOT_RUN}),
        end=m.GuestEnd.PANIC,
    )
)


def of(*patches: m.Evaluation, base: m.Outcome = PASS) -> Report:
    """A report on a series of these patches, each booted as far as it has a guest."""
    total = len(patches)
    named = tuple(
        patch.model_copy(update={"describe": f"patch {number}/{total}"})
        for number, patch in enumerate(patches, start=1)
    )
    cases = (make.case("pwrite.page", base), make.case("other"))
    report = make.report(make.before(guest=make.guest(make.BASE_ID, cases=cases)), named[-1])
    verdict = judge(
        report.series, report.base, report.applied, report.base_evaluation, named, protection=()
    )
    return report.model_copy(update={"verdict": verdict, "patch_evaluations": named})


GOOD, BAD = boot(PASS), boot(FAIL, FAIL)
UNBOOTED = "patch 1/2 was not booted with all cases"


@pytest.mark.parametrize(
    ("bad", "key"),
    [
        (BAD, f"{CASE}@1"),
        (SAID, f"console:{NOTE}@1"),
        (DIES, "boot:panic:pwrite.page@1"),
    ],
)
def test_a_patch_in_between_is_looked_at_when_it_is_booted(bad: m.Evaluation, key: str) -> None:
    on_one, fine, only_end = of(bad, GOOD), of(GOOD, GOOD), of(BUILT, GOOD)
    assert told(on_one, fine) == {key: (GONE, "")}
    assert told(fine, on_one) == {key: (NEW, "")}
    assert told(on_one, on_one) == {key: (STILL, "")}
    assert told(on_one, only_end) == {key: (NOT_LOOKED, f"now: {UNBOOTED}")}
    assert told(only_end, on_one) == {key: (NOT_LOOKED, f"then: {UNBOOTED}")}
    unbuilt = of(make.evaluation(build=make.failed_build(), guest=None), GOOD)
    assert told(on_one, unbuilt)[key] == (NOT_LOOKED, "now: patch 1/2 does not build")


@pytest.mark.parametrize(
    ("bad", "key"),
    [(BAD, CASE), (SAID, f"console:{NOTE}"), (DIES, "boot:panic:pwrite.page")],
)
def test_a_finding_that_moves_to_another_patch_is_still_there(bad: m.Evaluation, key: str) -> None:
    assert told(of(bad, GOOD), of(GOOD, bad, GOOD)) == {f"{key}@2": (STILL, "")}
    assert told(of(GOOD, bad, GOOD), of(bad, GOOD)) == {f"{key}@1": (STILL, "")}


def test_a_finding_that_moves_to_the_end_or_from_it_is_still_there_and_says_so() -> None:
    on_one, at_the_end = of(BAD, GOOD), of(GOOD, BAD)
    (item,) = remember(on_one, at_the_end, "earlier").findings
    assert (item.since, item.key) == (STILL, CASE)
    assert item.why == "then: on patch 1, and not at the end"
    assert "not at the end" not in item.title
    (item,) = remember(at_the_end, on_one, "earlier").findings
    assert (item.since, item.key) == (STILL, f"{CASE}@1")
    assert item.why == "then: at the end of the series"
    assert item.title.startswith("on patch 1/2, and not at the end: ")
    assert told(at_the_end, of(BUILT, GOOD)) == {CASE: (GONE, "")}, "its end was looked at"


def test_a_series_of_one_patch_has_none_in_between_that_nobody_looked_at() -> None:
    assert told(of(BAD, GOOD), of(GOOD)) == {f"{CASE}@1": (GONE, "")}
    assert told(of(GOOD), of(BAD, GOOD)) == {f"{CASE}@1": (NEW, "")}
    assert told(of(BAD, GOOD), of(BUILT))[f"{CASE}@1"][0] is NOT_LOOKED


@pytest.mark.parametrize(
    ("patches", "since", "why"),
    [
        ((boot(SKIP), GOOD, GOOD), GONE, ""),  # the feature comes with the second
        ((boot(SKIP), GOOD), GONE, ""),
        ((boot(NOT_RUN), GOOD), NOT_LOOKED, "now: patch 1/2: the case gave no answer"),
        ((GOOD, BUILT, GOOD), NOT_LOOKED, "now: patch 2/3 was not booted with all cases"),
        ((DIES, GOOD), NOT_LOOKED, "now: patch 1/2 has it, but not as a finding of its own"),
    ],
)
def test_every_patch_has_to_be_looked_at(
    patches: tuple[m.Evaluation, ...], since: Since, why: str
) -> None:
    assert told(of(BAD, GOOD), of(*patches))[f"{CASE}@1"] == (since, why)


def test_what_the_base_has_by_now_is_not_gone_from_a_patch_in_between() -> None:
    why = "patch 1/2 has it, but not as a finding of its own"
    now = of(BAD, GOOD, base=FAIL)
    assert told(of(BAD, GOOD), now) == {f"{CASE}@1": (NOT_LOOKED, f"now: {why}")}
    assert told(now, of(BAD, GOOD)) == {f"{CASE}@1": (NEW, "")}  # it was the base's then


def test_no_answer_at_the_end_tells_nothing_of_the_patches_in_between() -> None:
    then = of(BUILT, boot(ERROR))
    assert told(then, of(BAD, GOOD)) == {f"{CASE}@1": (NOT_LOOKED, f"then: {UNBOOTED}")}


def test_flaky_on_a_patch_in_between_is_gone_when_each_patch_was_asked_as_often() -> None:
    flaky = of(boot(FAIL, PASS), GOOD)
    why = "now: patch 1/2: flaky, and asked 1 times instead of 2"
    assert told(flaky, of(GOOD, GOOD)) == {f"{CASE}@1": (NOT_LOOKED, why)}
    twice = boot(PASS, PASS)
    assert told(flaky, of(twice, twice)) == {f"{CASE}@1": (GONE, "")}


def test_a_console_of_a_patch_in_between_has_to_be_scanned() -> None:
    blind = of(boot(PASS, console_scanned=False), GOOD)
    why = "now: patch 1/2: a console could not be scanned"
    assert told(of(SAID, GOOD), blind) == {f"console:{NOTE}@1": (NOT_LOOKED, why)}


# --- builds ---------------------------------------------------------------------------------------


def broken(message: str = "expected ';' before 'return'") -> Report:
    error = m.Diagnostic(severity="error", file="a.c", line=5, message=message)
    return make.report(
        None, make.evaluation(build=make.failed_build(first_error=error), guest=None)
    )


def test_an_error_is_gone_when_every_patch_builds_and_not_when_another_hides_it() -> None:
    (key,) = told(broken(), broken())
    assert told(broken(), broken()) == {key: (STILL, "")}
    assert told(broken(), make.report()) == {key: (GONE, "")}
    other = told(broken(), broken("no such thing"))
    assert other.pop(key) == (NOT_LOOKED, "now: patch 1/1 does not build")
    assert list(other.values()) == [(NOT_LOOKED, "then: patch 1/1 does not build")]
    unbuilt = make.report(None, make.evaluation(build=None, guest=None))
    assert told(broken(), unbuilt)[key] == (NOT_LOOKED, "now: patch 1/1 was not built")


# --- the console ----------------------------------------------------------------------------------


def splat(during: str | None = None) -> Report:
    guest = make.guest(splats=(make.splat(during=during, fingerprint="f00"),))
    return make.report(None, make.evaluation(guest=guest))


def quiet(**changes: Any) -> Report:
    return make.report(None, make.evaluation(guest=make.guest(**changes)))


def test_a_report_of_the_kernel_is_gone_when_the_guest_came_past_the_place() -> None:
    key = "console:f00"
    assert told(splat(), splat()) == {key: (STILL, "")}
    assert told(splat(), make.report()) == {key: (GONE, "")}
    assert told(make.report(), splat()) == {key: (NEW, "")}
    assert told(splat("pwrite.page"), make.report()) == {key: (GONE, "")}
    skipped = quiet(cases=make.cases({"pwrite.page": SKIP, "pwrite.last-page": PASS}))
    assert told(splat("pwrite.page"), skipped)[key] == (NOT_LOOKED, "now: pwrite.page did not run")
    assert told(splat(), skipped)[key] == (GONE, "")
    blind = quiet(console_scanned=False)
    assert told(splat(), blind)[key] == (NOT_LOOKED, "now: a console could not be scanned")
    lost = quiet(end=m.GuestEnd.LOST)
    assert told(splat(), lost)[key] == (NOT_LOOKED, "now: the guest did not come to its end")
    unbooted = make.report(None, make.evaluation(guest=None))
    assert told(splat(), unbooted)[key] == (NOT_LOOKED, "now: no kernel was booted")


def test_a_kernel_that_was_configured_otherwise_is_silent_for_other_reasons() -> None:
    """Without KASAN no report of KASAN."""
    config = make.config(asked=(make.symbol("KVM"), make.symbol("KASAN", asked="n", got="n")))
    now = make.report(None, make.evaluation(config=config))
    assert told(splat(), now)["console:f00"] == (NOT_LOOKED, "now: it was configured otherwise")


# --- warnings and checks --------------------------------------------------------------------------

LINTS = ("W=1", "sparse")


def warned(
    *tools: str,
    ran: tuple[str, ...] = LINTS,
    files: tuple[str, ...] = ("a.c",),
    compiler: str = "gcc",
) -> Report:
    """A report with one new warning of each tool, all of a.c."""
    messages = [
        m.Diagnostic(severity="warning", file="a.c", line=3, message="unused", tool=tool)
        for tool in tools
    ]
    lint = m.Lint(files=files, ran=ran, missing=(), messages=())
    report = make.report(None, make.evaluation(lint=lint, config=make.config(compiler=compiler)))
    findings = [
        Finding(
            kind=FindingKind.WARNING,
            verdict=CaseVerdict.NEW_FAIL,
            title="new warning",
            detail="unused",
            advice=message.tool != "compiler",
            key=f"warning:{identity(message)}",
        )
        for message in messages
    ]
    pinned = tuple(m.PinnedWarning(diagnostic=one, patch=1, touched=True) for one in messages)
    return with_finding(report, *findings, warnings=pinned)


def since_of(then: Report, now: Report) -> list[tuple[Since, str]]:
    return list(told(then, now).values())


def test_a_warning_is_gone_when_its_tool_looked_at_its_file() -> None:
    for tool in ("compiler", *LINTS):
        assert since_of(warned(tool), warned()) == [(GONE, "")]
        assert since_of(warned(), warned(tool)) == [(NEW, "")]
        assert since_of(warned(tool), warned(tool)) == [(STILL, "")]
    assert since_of(warned("W=1"), warned(ran=("sparse",))) == [
        (NOT_LOOKED, "now: W=1 did not run")
    ]
    assert since_of(warned(ran=("W=1",)), warned("sparse")) == [
        (NOT_LOOKED, "then: sparse did not run")
    ]
    assert since_of(warned("W=1"), warned(files=("b.c",))) == [
        (NOT_LOOKED, "now: W=1 did not look at a.c")
    ]
    for tool in ("compiler", "W=1"):
        assert since_of(warned(tool), warned(compiler="clang")) == [
            (NOT_LOOKED, "now: built with clang")
        ]
    assert since_of(warned("compiler"), broken())[0] == (
        NOT_LOOKED,
        "now: patch 1/1 does not build",
    )


def checked(*tools: str, ran: tuple[str, ...] = ("checkpatch", "DCO")) -> Report:
    findings = [
        Finding(
            kind=FindingKind.CHECK,
            verdict=CaseVerdict.NEW_FAIL,
            title=f"{tool} (warning)",
            detail="line too long: 101",
            advice=True,
            key=f"check:{tool}:a.c:line too long: 101",
        )
        for tool in tools
    ]
    checks = m.Checks(ran=ran, missing=(), notes=())
    return with_finding(make.report(), *findings, checks=checks)


def test_a_remark_is_gone_when_its_check_ran() -> None:
    assert since_of(checked("checkpatch"), checked()) == [(GONE, "")]
    assert since_of(checked(), checked("DCO")) == [(NEW, "")]
    assert since_of(checked("DCO"), checked("DCO")) == [(STILL, "")]
    blind = checked(ran=("DCO",))
    assert since_of(checked("checkpatch"), blind) == [(NOT_LOOKED, "now: checkpatch did not run")]
    assert since_of(blind, checked("checkpatch")) == [(NOT_LOOKED, "then: checkpatch did not run")]


# --- symbols and the guest's end ------------------------------------------------------------------


def test_a_symbol_is_gone_from_the_findings_when_it_is_asked_for_and_had() -> None:
    lost = make.report(
        None, make.evaluation(config=make.config(asked=(make.missing_symbol("KVM_AMD"),)))
    )
    key = "config:KVM_AMD"
    had = make.report(None, make.evaluation(config=make.config(asked=(make.symbol("KVM_AMD"),))))
    assert told(lost, had)[key] == (GONE, "")
    assert told(had, lost)[key] == (NEW, "")
    unasked = make.report(None, make.evaluation(config=make.config(asked=(make.symbol("KVM"),))))
    assert told(lost, unasked)[key] == (NOT_LOOKED, "now: the symbol was not asked for")


def test_a_symbol_that_a_patch_in_between_has_not_is_gone_when_it_is_asked_for_and_had() -> None:
    lost = make.evaluation(guest=None, config=make.config(asked=(make.missing_symbol("KVM_AMD"),)))
    had = make.evaluation(config=make.config(asked=(make.symbol("KVM_AMD"),)))
    series = make.series(patches=(make.patch(1), make.patch(2)))
    earlier = answered.report(series, make.before(), (lost, had))
    now = answered.report(series, make.before(), (had, had))
    assert told(earlier, now)["config:KVM_AMD@1"] == (GONE, "")


def test_the_end_of_a_guest_is_gone_when_it_lives_on() -> None:
    dies = make.cases({"pwrite.page": m.Outcome.CRASH, "pwrite.last-page": NOT_RUN})
    panic = quiet(end=m.GuestEnd.PANIC, cases=dies)
    key = "boot:panic:pwrite.page"
    assert told(panic, panic)[key] == (STILL, "")
    assert told(panic, make.report())[key] == (GONE, "")
    early = quiet(end=m.GuestEnd.PANIC, cases=make.cases({"pwrite.page": NOT_RUN}))
    assert told(panic, early)[key] == (NOT_LOOKED, "now: the guest did not come that far")


# --- which run ------------------------------------------------------------------------------------


def test_an_earlier_revision_is_known_by_its_change_id_or_by_subject_and_author() -> None:
    v2 = make.series(revision=2)
    assert is_earlier(make.series(revision=1), v2)
    assert is_earlier(make.series(revision=1, subject=f"[RFC]  {v2.subject.upper()}."), v2)
    assert not is_earlier(make.series(revision=2), v2)
    assert not is_earlier(make.series(revision=3), v2)
    assert not is_earlier(make.series(revision=1, subject="another"), v2)
    assert not is_earlier(make.series(revision=1, author="Bob <bob@example.org>"), v2)
    named = v2.model_copy(update={"change_id": "20260101-gmem-1"})
    renamed = make.series(revision=1, subject="another", change_id="20260101-gmem-1")
    assert is_earlier(renamed, named)
    assert not is_earlier(make.series(revision=1, change_id="20260101-other-1"), named)
    assert is_earlier(make.series(revision=1), named)  # it had none yet


def run(
    runs: Path, number: int, revision: int, *, finished: bool = True, verdict: str | None = None
) -> Path:
    folder = runs / f"run-{number}"
    (folder / "series").mkdir(parents=True)
    series = make.series(revision=revision)
    asked: dict[str, object] = {"series": [f"v{revision}"], "number": number}
    state = RunState(
        asked=asked,
        request_digest=digest_of(asked, "1"),
        version="1",
        finished=finished,
        number=number,
    )
    (folder / "run.json").write_text(state.to_json())
    (folder / "series" / "series.json").write_text(series.to_json())
    text = make.report(series=series).to_json() if verdict is None else verdict
    (folder / "verdict.json").write_text(text)
    return folder


def test_it_is_the_newest_finished_run_of_the_highest_lower_revision(tmp_path: Path) -> None:
    now = make.series(revision=3)
    assert earlier_run(tmp_path, now, besides=tmp_path / "run-9") is None
    run(tmp_path, 1, 2)
    chosen = run(tmp_path, 2, 2)
    run(tmp_path, 3, 1)
    run(tmp_path, 4, 2, finished=False)
    run(tmp_path, 5, 3)
    run(tmp_path, 6, 4)
    found = earlier_run(tmp_path, now, besides=tmp_path / "run-5")
    assert found is not None
    assert (found[0], found[1].series.revision) == (chosen, 2)
    assert earlier_run(tmp_path, now, besides=chosen) is not None
    assert earlier_run(tmp_path, make.series(revision=1), besides=tmp_path / "run-3") is None


@pytest.mark.parametrize("damage", ["", "{}", "nonsense", "\x00"])
def test_a_damaged_verdict_is_passed_over(tmp_path: Path, damage: str) -> None:
    good = run(tmp_path, 1, 1)
    run(tmp_path, 2, 1, verdict=damage)
    found = earlier_run(tmp_path, make.series(revision=2), besides=tmp_path / "run-3")
    assert found is not None
    assert found[0] == good


def test_other_forms_and_other_series_are_passed_over(tmp_path: Path) -> None:
    report = make.report(series=make.series(revision=1))
    other = report.verdict.model_copy(update={"schema_version": 1})
    old_form = report.model_copy(update={"verdict": other}).to_json()
    run(tmp_path, 1, 1, verdict=old_form)
    run(tmp_path, 2, 1, verdict=make.report(series=make.series(revision=2)).to_json())
    damaged = run(tmp_path, 3, 1)
    (damaged / "series" / "series.json").unlink()
    assert earlier_run(tmp_path, make.series(revision=2), besides=tmp_path / "run-4") is None


def test_the_same_base_is_the_same_content(tmp_path: Path) -> None:
    now = make.report()
    assert remember(make.report(), now, "one").same_base
    moved = make.report(make.before(tree="0" * 40))
    memory = remember(moved, now, "one")
    assert (memory.run, memory.same_base, memory.revision) == ("one", False, 7)
    assert memory.headline == moved.verdict.headline
