# SPDX-License-Identifier: GPL-2.0-or-later
"""Every rule about pass and fail; the table of docs/verdicts.md is taken from there."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kverdict.errors import ExitStatus
from kverdict.judgement import counts_more
from kverdict.models import (
    CheckNote,
    Checks,
    Diagnostic,
    Evaluation,
    FileReach,
    Guest,
    GuestEnd,
    Outcome,
    PinnedWarning,
    Reach,
    ReachState,
    SplatKind,
)
from kverdict.verdict import (
    CaseVerdict,
    Finding,
    FindingKind,
    Overall,
    Proof,
    Report,
    Runs,
    Verdict,
    changed_with,
    changes_in,
    died_in,
    judge,
    judge_case,
    judge_end,
    survived,
)
from tests import factories as make

PASS, FAIL, SKIP = Outcome.PASS, Outcome.FAIL, Outcome.SKIP
TIMEOUT, CRASH, ERROR, NOT_RUN = Outcome.TIMEOUT, Outcome.CRASH, Outcome.ERROR, Outcome.NOT_RUN


def before(guest: Guest | None = None, **changes: Any) -> Evaluation:
    return make.before(**({"guest": guest} if guest is not None else {}), **changes)


def after(guest: Guest | None = None, **changes: Any) -> Evaluation:
    return make.evaluation(**({"guest": guest} if guest is not None else {}), **changes)


def base_guest(**outcomes: Outcome) -> Guest:
    return make.guest(make.BASE_ID, cases=make.cases(outcomes))


def patched_guest(**outcomes: Outcome) -> Guest:
    return make.guest(cases=make.cases(outcomes))


def judged(old: Evaluation | None = None, new: Evaluation | None = None, **parts: Any) -> Verdict:
    return make.report(old, new, **parts).verdict


def of_case(verdict: Verdict, id: str) -> CaseVerdict:
    return next(case.verdict for case in verdict.cases if case.id == id)


def found(verdict: Verdict, kind: FindingKind) -> list[Finding]:
    return [finding for finding in verdict.findings if finding.kind is kind]


# --- one case -------------------------------------------------------------------------------------


def documented_table() -> dict[tuple[str, str], str]:
    """(base, patched) -> verdict, from the table under "One case" of docs/verdicts.md."""
    page = (Path(__file__).parent.parent / "docs" / "verdicts.md").read_text()
    section = page.split("## One case", 1)[1].split("\n## ", 1)[0]
    rows = [
        [cell.strip(" *") for cell in line.strip("|").split("|")]
        for line in section.splitlines()
        if line.startswith("|")
    ]
    head, _, *rest = rows
    return {
        (base, cells[0]): cell
        for cells in rest
        for base, cell in zip(head[1:], cells[1:], strict=True)
    }


ONE_RUN = {
    "passes": (PASS,),
    "fails": (FAIL,),
    "skipped": (SKIP,),
    "case broken": (ERROR,),
    "not run": (NOT_RUN,),
    "both seen": (PASS, FAIL),
}


@pytest.mark.parametrize("patched", ONE_RUN)
@pytest.mark.parametrize("base", ONE_RUN)
def test_a_case_is_judged_as_the_documentation_says(base: str, patched: str) -> None:
    verdict = judge_case(Runs(outcomes=ONE_RUN[base]), Runs(outcomes=ONE_RUN[patched]))
    assert verdict.value == documented_table()[base, patched]


@pytest.mark.parametrize("bad", [FAIL, TIMEOUT, CRASH])
def test_failing_hanging_and_crashing_are_all_failures(bad: Outcome) -> None:
    good = Runs(outcomes=(PASS,))
    assert judge_case(good, Runs(outcomes=(bad,))) is CaseVerdict.NEW_FAIL
    assert judge_case(Runs(outcomes=(bad,)), good) is CaseVerdict.FIXED


def test_a_case_that_only_one_kernel_planned() -> None:
    verdict = judged(before(base_guest(a=PASS, gone=PASS)), after(patched_guest(a=PASS, new=PASS)))
    assert of_case(verdict, "new") is CaseVerdict.PASS
    assert of_case(verdict, "gone") is CaseVerdict.INFRA
    assert verdict.overall is Overall.TROUBLE


def test_cases_keep_the_suites_order_and_are_counted() -> None:
    verdict = judged(
        before(base_guest(b=PASS, a=PASS, c=SKIP)), after(patched_guest(b=FAIL, a=PASS, c=SKIP))
    )
    assert [case.id for case in verdict.cases] == ["b", "a", "c"]
    assert {name: count for name, count in verdict.counts.items() if count} == {
        "NEW-FAIL": 1,
        "PASS": 1,
        "UNTESTABLE": 1,
    }
    assert set(verdict.counts) == {item.value for item in CaseVerdict}


# --- the whole: good and bad ----------------------------------------------------------------------


def test_everything_passes() -> None:
    verdict = judged()
    assert verdict.overall is Overall.GOOD
    assert verdict.exit_status == 0
    assert verdict.findings == ()
    assert {item.proof for item in verdict.evidence} == {Proof.HOLDS}


@pytest.mark.parametrize("old", [PASS, SKIP])
def test_a_case_that_fails_only_on_the_patched_kernel(old: Outcome) -> None:
    verdict = judged(before(base_guest(a=PASS, b=old)), after(patched_guest(a=PASS, b=FAIL)))
    assert of_case(verdict, "b") is CaseVerdict.NEW_FAIL
    assert verdict.overall is Overall.BAD
    assert verdict.exit_status == 1


def test_a_case_that_fails_on_both() -> None:
    verdict = judged(before(base_guest(a=PASS, b=FAIL)), after(patched_guest(a=PASS, b=FAIL)))
    assert of_case(verdict, "b") is CaseVerdict.PRE_EXISTING
    assert verdict.overall is Overall.GOOD
    assert "1 failed on the base too" in verdict.headline


def test_what_passes_on_the_base_and_is_skipped_on_the_patched_kernel_is_lost() -> None:
    """A patch that breaks KVM's init makes the cases skip for want of /dev/kvm."""
    verdict = judged(before(base_guest(a=PASS, b=PASS)), after(patched_guest(a=SKIP, b=SKIP)))
    assert verdict.overall is Overall.BAD
    assert verdict.counts["NEW-FAIL"] == 2
    assert verdict.headline == "new failures: 2 cases"
    assert verdict.findings[0].detail.startswith("passes on the base and is skipped")


def test_a_kernel_that_is_the_base_s_own_says_nothing_for_the_series() -> None:
    """Nothing of it is compiled; or its make handed out what the base's had left."""
    same = make.evaluation(build=make.build(make.BASE_ID), guest=make.guest(make.BASE_ID))
    verdict = judged(make.before(), same)
    assert verdict.overall is Overall.UNTESTABLE
    assert "nothing of the series is compiled here" in verdict.headline


def test_only_skips_are_no_verdict() -> None:
    verdict = judged(before(base_guest(a=SKIP)), after(patched_guest(a=SKIP)))
    assert verdict.overall is Overall.UNTESTABLE
    assert verdict.exit_status == 125


def test_a_flaky_case_is_told_and_blames_nobody() -> None:
    flaky, good = Runs(outcomes=(PASS, FAIL)), Runs(outcomes=(PASS, PASS))
    assert judge_case(good, flaky) is CaseVerdict.FLAKY
    assert judge_case(flaky, good) is CaseVerdict.FLAKY
    assert judge_case(flaky, Runs(outcomes=(NOT_RUN,))) is CaseVerdict.INFRA


def test_a_broken_case_takes_nothing_back_from_the_failure_of_another() -> None:
    verdict = judged(
        before(base_guest(a=PASS, b=PASS, c=PASS)), after(patched_guest(a=PASS, b=FAIL, c=ERROR))
    )
    assert verdict.overall is Overall.BAD
    assert verdict.headline == "new failure: what b is about"
    verdict = judged(before(base_guest(a=PASS, c=PASS)), after(patched_guest(a=PASS, c=ERROR)))
    assert verdict.overall is Overall.TROUBLE
    assert verdict.headline == "1 case could not answer: c"


def test_a_case_that_did_not_run_although_the_guest_came_to_its_end_is_told() -> None:
    verdict = judged(before(base_guest(a=PASS, b=PASS)), after(patched_guest(a=PASS, b=NOT_RUN)))
    assert [(item.case, item.verdict) for item in verdict.findings] == [("b", CaseVerdict.INFRA)]
    assert verdict.overall is Overall.TROUBLE


def test_the_worst_comes_first_whatever_its_kind() -> None:
    verdict = judged(
        before(make.guest(make.BASE_ID, cases=make.cases({"a": PASS, "b": FAIL, "c": FAIL}))),
        after(
            make.guest(cases=make.cases({"a": FAIL, "b": FAIL, "c": PASS}), splats=(make.splat(),))
        ),
    )
    assert [finding.verdict.value for finding in verdict.findings] == [
        "NEW-FAIL",
        "NEW-FAIL",
        "PRE-EXISTING",
        "FIXED",
    ]
    assert verdict.headline == "2 new failures: 1 console report, 1 case"


# --- console --------------------------------------------------------------------------------------


def test_a_new_splat_is_bad_although_every_case_passes() -> None:
    verdict = judged(None, after(make.guest(splats=(make.splat(),))))
    assert verdict.counts["NEW-FAIL"] == 0
    assert verdict.overall is Overall.BAD


def test_the_same_splat_on_both_is_pre_existing_although_the_patch_moved_its_line() -> None:
    old = make.splat(title="at virt/kvm/guest_memfd.c:500 in kvm_gmem_write_begin")
    new = make.splat(title="at virt/kvm/guest_memfd.c:519 in kvm_gmem_write_begin")
    verdict = judged(
        before(make.guest(make.BASE_ID, splats=(old,))), after(make.guest(splats=(new,)))
    )
    assert found(verdict, FindingKind.CONSOLE)[0].verdict is CaseVerdict.PRE_EXISTING
    assert verdict.overall is Overall.GOOD


def test_without_a_function_lines_and_addresses_do_not_tell_splats_apart() -> None:
    old = make.splat(function=None, title="at mm/x.c:5, pte 0xffff0001")
    new = make.splat(function=None, title="at mm/x.c:9, pte 0xffff0abc")
    other = make.splat(function=None, title="at mm/y.c:9, pte 0xffff0abc")
    guests = [make.guest(make.BASE_ID, splats=(old,)), make.guest(splats=(new, other))]
    verdict = judged(before(guests[0]), after(guests[1]))
    assert [finding.verdict.value for finding in found(verdict, FindingKind.CONSOLE)] == [
        "NEW-FAIL",
        "PRE-EXISTING",
    ]


def test_a_splat_that_the_series_removes_is_fixed() -> None:
    verdict = judged(before(make.guest(make.BASE_ID, splats=(make.splat(),))))
    assert found(verdict, FindingKind.CONSOLE)[0].verdict is CaseVerdict.FIXED
    assert verdict.overall is Overall.GOOD


def test_a_console_that_could_not_be_scanned_is_never_clean() -> None:
    for old, new in (
        (make.guest(make.BASE_ID, console_scanned=False), make.guest()),
        (make.guest(make.BASE_ID), make.guest(console_scanned=False)),
    ):
        verdict = judged(before(old), after(new))
        assert verdict.overall is Overall.TROUBLE
        assert "could not be scanned" in verdict.headline
    noisy = make.guest(make.BASE_ID, splats=(make.splat(),))
    blind = judged(before(noisy), after(make.guest(console_scanned=False)))
    assert blind.findings == ()  # nothing is fixed because it was not seen


# --- build and configuration ----------------------------------------------------------------------


def test_a_patch_that_does_not_build_is_bad_and_names_the_place() -> None:
    verdict = judged(None, make.evaluation(build=make.failed_build(), guest=None))
    assert verdict.overall is Overall.BAD
    assert verdict.findings[0].detail == (
        "virt/kvm/guest_memfd.c:519: expected ';' before 'return'"
    )


def test_a_build_failure_that_no_clean_build_confirmed_is_our_trouble() -> None:
    unconfirmed = make.failed_build(clean=False, confirmed_clean=False)
    assert judged(None, make.evaluation(build=unconfirmed, guest=None)).overall is Overall.TROUBLE


def test_neither_builds() -> None:
    old = make.before(build=make.failed_build(), guest=None)
    new = make.evaluation(build=make.failed_build(), guest=None)
    verdict = judged(old, new)
    assert verdict.findings[0].verdict is CaseVerdict.PRE_EXISTING
    assert verdict.overall is Overall.UNTESTABLE


def test_a_series_that_mends_the_build() -> None:
    broken = make.before(build=make.failed_build(), guest=None)
    verdict = judged(broken)
    assert verdict.overall is Overall.GOOD
    assert found(verdict, FindingKind.BUILD)[0].verdict is CaseVerdict.FIXED
    failing = judged(broken, after(patched_guest(a=PASS, b=FAIL)))
    assert of_case(failing, "b") is CaseVerdict.UNTESTABLE
    assert failing.overall is Overall.UNTESTABLE
    assert "the base does not build" in failing.headline


def test_a_required_symbol_that_only_the_patched_tree_refuses() -> None:
    lost = make.config(asked=(make.symbol("KVM"), make.missing_symbol()))
    verdict = judged(None, make.evaluation(config=lost))
    assert verdict.overall is Overall.BAD
    assert verdict.findings[0].title == "CONFIG_KVM_AMD: asked y, got n"


def test_a_required_symbol_that_no_tree_has_is_no_good() -> None:
    lost = make.config(asked=(make.symbol("KVM"), make.missing_symbol()))
    verdict = judged(make.before(config=lost), make.evaluation(config=lost))
    assert verdict.overall is Overall.UNTESTABLE
    assert "CONFIG_KVM_AMD" in verdict.headline


def test_an_optional_symbol_is_told_and_counts_for_nothing() -> None:
    lost = make.config(asked=(make.symbol("KVM"), make.missing_symbol(required=False)))
    verdict = judged(make.before(config=lost), make.evaluation(config=lost))
    assert verdict.overall is Overall.GOOD
    texts = [item.text for item in verdict.evidence if item.name == "config"]
    assert all("1 of 2 symbols as asked" in text for text in texts)
    assert all("optional and not reached: KVM_AMD" in text for text in texts)


# --- how the guest ended --------------------------------------------------------------------------


def dead(end: GuestEnd, build_id: str | None = make.TIP_ID, **outcomes: Outcome) -> Guest:
    splats = (make.panic(),) if end is GuestEnd.PANIC else ()
    return make.guest(build_id, end=end, cases=make.cases(outcomes), splats=splats)


def dead_at_boot(end: GuestEnd) -> Guest:
    """It never came to userspace, so it told nothing about itself."""
    return dead(end, None, a=NOT_RUN, b=NOT_RUN).model_copy(
        update={"config_digest": None, "release": None, "kvm": False, "boot_seconds": None}
    )


def test_a_panic_at_boot_is_bad_although_no_case_ran() -> None:
    verdict = judged(before(base_guest(a=PASS, b=PASS)), after(dead_at_boot(GuestEnd.PANIC)))
    assert verdict.overall is Overall.BAD
    assert verdict.counts["UNTESTABLE"] == 2
    assert found(verdict, FindingKind.CASE) == []
    assert verdict.findings[0].kind is FindingKind.BOOT
    assert "before the first case" in verdict.findings[0].title


def test_a_panic_in_a_case_is_pinned_to_it() -> None:
    verdict = judged(
        before(base_guest(a=PASS, b=PASS, c=PASS)),
        after(dead(GuestEnd.PANIC, a=PASS, b=CRASH, c=NOT_RUN)),
    )
    assert verdict.overall is Overall.BAD
    assert found(verdict, FindingKind.BOOT)[0].case == "b"
    assert [of_case(verdict, id).value for id in "abc"] == ["PASS", "NEW-FAIL", "UNTESTABLE"]


def test_a_death_counts_although_the_case_failed_on_the_base_too() -> None:
    verdict = judged(
        before(base_guest(a=PASS, b=FAIL)), after(dead(GuestEnd.PANIC, a=PASS, b=CRASH))
    )
    assert of_case(verdict, "b") is CaseVerdict.NEW_FAIL


@pytest.mark.parametrize("end", [GuestEnd.SILENCE, GuestEnd.TIMEOUT, GuestEnd.BOOT_TIMEOUT])
def test_a_guest_that_does_not_finish_where_the_base_did(end: GuestEnd) -> None:
    verdict = judged(before(base_guest(a=PASS, b=PASS)), after(dead_at_boot(end)))
    assert verdict.overall is Overall.BAD
    assert end.value in verdict.headline


@pytest.mark.parametrize(
    "end", [GuestEnd.SILENCE, GuestEnd.TIMEOUT, GuestEnd.LOST, GuestEnd.BOOT_TIMEOUT]
)
def test_two_guests_that_do_not_finish_are_our_trouble(end: GuestEnd) -> None:
    verdict = judged(before(dead_at_boot(end)), after(dead_at_boot(end)))
    assert verdict.overall is Overall.TROUBLE
    assert verdict.counts["INFRA"] == 2
    assert [item.kind for item in verdict.findings] == [FindingKind.BOOT]


def test_a_qemu_that_does_not_start_is_never_the_patchs_failure() -> None:
    verdict = judged(None, after(dead_at_boot(GuestEnd.NOT_STARTED)))
    assert verdict.overall is Overall.TROUBLE


def test_both_panic_in_the_same_place() -> None:
    guests = [
        dead(GuestEnd.PANIC, build_id, a=PASS, b=CRASH, c=NOT_RUN)
        for build_id in (make.BASE_ID, make.TIP_ID)
    ]
    verdict = judged(before(guests[0]), after(guests[1]))
    assert of_case(verdict, "b") is CaseVerdict.PRE_EXISTING
    assert verdict.overall is Overall.UNTESTABLE
    both_at_boot = judged(before(dead_at_boot(GuestEnd.PANIC)), after(dead_at_boot(GuestEnd.PANIC)))
    assert both_at_boot.overall is Overall.UNTESTABLE


def test_the_base_panics_later_so_it_came_through_that_place() -> None:
    old = dead(GuestEnd.PANIC, make.BASE_ID, a=PASS, b=PASS, c=CRASH)
    new = dead(GuestEnd.PANIC, a=PASS, b=CRASH, c=NOT_RUN)
    verdict = judged(before(old), after(new))
    assert found(verdict, FindingKind.BOOT)[0].verdict is CaseVerdict.NEW_FAIL
    assert verdict.overall is Overall.BAD


def test_the_base_panics_earlier_so_there_is_nothing_to_compare_with() -> None:
    old = dead(GuestEnd.PANIC, make.BASE_ID, a=CRASH, b=NOT_RUN)
    for new in (
        dead(GuestEnd.PANIC, a=PASS, b=CRASH),
        patched_guest(a=PASS, b=FAIL),
        make.guest(cases=make.cases({"a": PASS, "b": PASS}), splats=(make.splat(during="b"),)),
    ):
        verdict = judged(before(old), after(new))
        assert verdict.overall is Overall.UNTESTABLE, verdict.headline
        assert "NEW-FAIL" not in {finding.verdict.value for finding in verdict.findings}


def test_two_panics_in_different_places_are_not_the_same() -> None:
    old = dead(GuestEnd.PANIC, make.BASE_ID, a=CRASH, b=NOT_RUN)
    verdict = judged(before(old), after(dead(GuestEnd.PANIC, a=PASS, b=CRASH)))
    assert found(verdict, FindingKind.BOOT)[0].verdict is CaseVerdict.UNTESTABLE
    assert of_case(verdict, "b") is CaseVerdict.UNTESTABLE


def test_a_failure_where_the_base_was_lost_is_our_trouble() -> None:
    old = dead(GuestEnd.LOST, make.BASE_ID, a=PASS, b=NOT_RUN)
    verdict = judged(before(old), after(patched_guest(a=PASS, b=FAIL)))
    assert verdict.overall is Overall.TROUBLE


def test_a_series_that_mends_a_panic_at_boot() -> None:
    verdict = judged(before(dead_at_boot(GuestEnd.PANIC)), after(patched_guest(a=PASS, b=PASS)))
    assert verdict.overall is Overall.GOOD
    assert found(verdict, FindingKind.BOOT)[0].verdict is CaseVerdict.FIXED


def test_a_series_that_mends_a_panic_in_a_case() -> None:
    old = dead(GuestEnd.PANIC, make.BASE_ID, a=PASS, b=CRASH, c=NOT_RUN)
    verdict = judged(before(old), after(patched_guest(a=PASS, b=PASS, c=PASS)))
    assert of_case(verdict, "b") is CaseVerdict.FIXED
    assert of_case(verdict, "c") is CaseVerdict.PASS
    assert verdict.overall is Overall.GOOD


def test_where_a_guest_died_and_what_it_survived() -> None:
    guest = dead(GuestEnd.PANIC, a=CRASH, b=PASS, c=CRASH, d=NOT_RUN)
    assert died_in(guest) == "c"
    assert [survived(guest, place) for place in (None, "a", "b", "c", "d")] == [
        True,
        True,
        True,
        False,
        False,
    ]
    assert died_in(patched_guest(a=CRASH)) is None  # the case crashed, the guest went on
    assert not survived(None, None)
    nothing = make.before(guest=None)
    assert judge_end(nothing, after(guest)) is CaseVerdict.UNTESTABLE


# --- proofs ---------------------------------------------------------------------------------------


def test_a_kernel_that_is_not_the_one_built_proves_nothing() -> None:
    for old, new in (
        (make.guest("dead" * 10), make.guest()),
        (make.guest(make.BASE_ID), make.guest("dead" * 10)),
        (make.guest(make.BASE_ID), make.guest(None)),
    ):
        verdict = judged(before(old), after(new))
        assert verdict.overall is Overall.TROUBLE
        assert "build-id" in verdict.headline


def test_the_running_config_has_to_be_the_one_built() -> None:
    wrong = judged(None, after(make.guest(config_digest="0" * 64)))
    assert wrong.overall is Overall.TROUBLE
    unknown = make.guest(config_digest=None)
    assert judged(None, after(unknown)).overall is Overall.TROUBLE
    failing = unknown.model_copy(update={"splats": (make.splat(),)})
    assert judged(None, after(failing)).overall is Overall.BAD


def test_results_that_were_not_believed_are_no_good() -> None:
    odd = make.guest(problems=("line 7 is no event of the suite",))
    verdict = judged(None, after(odd))
    assert verdict.overall is Overall.TROUBLE
    assert "line 7" in verdict.headline
    assert [item.proof for item in verdict.evidence if item.name == "tests"] == [
        Proof.HOLDS,
        Proof.FAILS,
    ]


def test_a_series_that_was_not_applied_whole_is_not_judged() -> None:
    two = make.series(patches=(make.patch(1), make.patch(2)))
    verdict = judged(series=two)
    assert verdict.overall is Overall.TROUBLE
    assert verdict.headline == "1 of 2 patches applied"
    other = make.evaluation(commit="0" * 40)
    assert judged(None, other).overall is Overall.TROUBLE


def test_our_own_trouble_is_told_as_it_is() -> None:
    for old, new in (
        (make.before(infra="the disk is full", guest=None), None),
        (None, make.evaluation(infra="the disk is full", guest=None)),
    ):
        verdict = judged(old, new)
        assert (verdict.overall, verdict.headline) == (Overall.TROUBLE, "the disk is full")
        assert verdict.exit_status == 128


def test_a_newer_revision_leaves_the_source_open_and_changes_nothing_else() -> None:
    verdict = judged(series=make.series(newest_revision=8))
    source = next(item for item in verdict.evidence if item.name == "source")
    assert source.proof is Proof.OPEN
    assert "v8 exists" in source.text
    assert verdict.overall is Overall.GOOD


# --- where a guest died ---------------------------------------------------------------------------


def without_selftest(guest: Guest) -> Guest:
    """A selftest was asked for that does not build there."""
    test = make.case("kselftest.kvm.new", SKIP, in_guest=False)
    return guest.model_copy(update={"cases": (*guest.cases, test)})


def twice(make_evaluation: Any, guest: Guest) -> Evaluation:
    evaluation: Evaluation = make_evaluation(guest, reruns=(guest,))
    return evaluation


@pytest.mark.parametrize("end", [GuestEnd.PANIC, GuestEnd.SILENCE])
def test_a_selftest_that_no_guest_had_says_nothing_of_where_one_died(end: GuestEnd) -> None:
    cases = {"a": PASS, "b": CRASH, "c": NOT_RUN}
    old, new = dead(end, make.BASE_ID, **cases), dead(end, make.TIP_ID, **cases)
    plain = judged(twice(before, old), twice(after, new))
    verdict = judged(twice(before, without_selftest(old)), twice(after, without_selftest(new)))
    assert verdict.overall is plain.overall is not Overall.BAD
    assert [(one.key, one.verdict) for one in verdict.findings] == [
        (one.key, one.verdict) for one in plain.findings
    ]


def test_a_panic_at_boot_is_bad_also_when_a_selftest_does_not_build() -> None:
    new = without_selftest(dead_at_boot(GuestEnd.PANIC))
    verdict = judged(before(base_guest(a=PASS, b=PASS)), twice(after, new))
    assert verdict.overall is Overall.BAD


@pytest.mark.parametrize(
    ("end", "overall"),
    [(GuestEnd.PANIC, Overall.UNTESTABLE), (GuestEnd.SILENCE, Overall.TROUBLE)],
)
def test_two_guests_that_die_after_their_last_case(end: GuestEnd, overall: Overall) -> None:
    old, new = dead(end, make.BASE_ID, a=PASS, b=PASS), dead(end, a=PASS, b=PASS)
    assert judged(twice(before, old), twice(after, new)).overall is overall
    further = dead(end, make.BASE_ID, a=PASS, b=PASS, c=PASS)
    verdict = judged(twice(before, further), twice(after, dead(end, a=PASS, b=PASS, c=NOT_RUN)))
    assert verdict.overall is Overall.BAD, "the base went on"


@pytest.mark.parametrize("end", [GuestEnd.PANIC, GuestEnd.SILENCE])
def test_an_end_that_the_base_has_now_and_then_blames_nobody(end: GuestEnd) -> None:
    cases = {"a": PASS, "b": CRASH, "c": NOT_RUN}
    old = before(base_guest(a=PASS, b=PASS, c=PASS), reruns=(dead(end, make.BASE_ID, **cases),))
    verdict = judged(old, twice(after, dead(end, make.TIP_ID, **cases)))
    assert verdict.overall is Overall.UNTESTABLE
    assert "now and then" in verdict.headline
    assert of_case(verdict, "b") is CaseVerdict.FLAKY
    assert [one.verdict for one in found(verdict, FindingKind.BOOT)] == [CaseVerdict.FLAKY]


def test_another_end_in_the_same_place_is_not_what_the_base_has_now_and_then() -> None:
    cases = {"a": PASS, "b": CRASH, "c": NOT_RUN}
    lost = dead(GuestEnd.SILENCE, make.BASE_ID, **cases)
    old = before(base_guest(a=PASS, b=PASS, c=PASS), reruns=(lost,))
    verdict = judged(old, twice(after, dead(GuestEnd.PANIC, make.TIP_ID, **cases)))
    assert [one.verdict for one in found(verdict, FindingKind.BOOT)] == [CaseVerdict.NEW_FAIL]


def test_a_guest_lost_in_two_places_is_our_trouble_however_many_subtests_came() -> None:
    some = {"a": PASS, TEST: PASS, f"{TEST}/1": PASS, "b": CRASH}
    first = dead(GuestEnd.SILENCE, make.TIP_ID, **some)
    none = {"a": CRASH, TEST: NOT_RUN, "b": NOT_RUN}
    second = dead(GuestEnd.SILENCE, make.TIP_ID, **none)
    old = before(base_guest(**{"a": PASS, TEST: PASS, f"{TEST}/1": PASS, "b": PASS}))
    verdict = judged(old, after(first, reruns=(second,)))
    assert verdict.overall is Overall.TROUBLE
    asked_less = second.model_copy(update={"every_case": False})
    assert judged(old, after(first, reruns=(asked_less,))).overall is Overall.BAD


# --- whatever comes -------------------------------------------------------------------------------

ANY_OUTCOME = st.sampled_from(list(Outcome))
IDS = ("a", "b", "c")
Change = Mapping[str, object]

# What may be wrong with one evaluation: fields of the evaluation, fields of its guest.
FLAWS: Mapping[str, tuple[Change, Change]] = {
    "our trouble": ({"infra": "the disk is full"}, {}),
    "does not build": ({"build": make.failed_build(), "guest": None}, {}),
    "not booted": ({"guest": None}, {}),
    "symbol missing": ({"config": make.config(asked=(make.missing_symbol(),))}, {}),
    "wrong kernel": ({}, {"build_id": "dead" * 10}),
    "nameless kernel": ({}, {"build_id": None}),
    "wrong config": ({}, {"config_digest": "0" * 64}),
    "unknown config": ({}, {"config_digest": None}),
    "console not scanned": ({}, {"console_scanned": False}),
    "not believed": ({}, {"problems": ("line 7 is no event",)}),
    "splat": ({}, {"splats": (make.splat(),)}),
    "another splat": ({}, {"splats": (make.splat(function="other"), make.panic())}),
    "splat in a case": ({}, {"splats": (make.splat(during="b"),)}),
    **{end.value: ({}, {"end": end}) for end in GuestEnd if end is not GuestEnd.DONE},
}


@st.composite
def evaluations(draw: st.DrawFn, whole: Evaluation) -> Evaluation:
    """A good evaluation with at most two flaws, and any outcomes."""
    outcomes = {id: draw(st.one_of(st.just(PASS), ANY_OUTCOME)) for id in IDS}
    assert whole.guest is not None
    guest = whole.guest.model_copy(update={"cases": make.cases(outcomes)})
    changes: dict[str, object] = {}
    for name in draw(st.lists(st.sampled_from(sorted(FLAWS)), max_size=2, unique=True)):
        of_evaluation, of_guest = FLAWS[name]
        changes |= of_evaluation
        guest = guest.model_copy(update=of_guest)
    return whole.model_copy(update={"guest": guest, **changes})


def reports() -> st.SearchStrategy[Report]:
    return st.builds(make.report, evaluations(make.before()), evaluations(make.evaluation()))


@given(reports())
def test_good_needs_a_kernel_that_was_built_ran_said_so_and_passed(report: Report) -> None:
    if report.verdict.overall is not Overall.GOOD:
        return
    patched = report.patched_evaluation
    assert patched.build is not None
    assert patched.build.ok
    assert patched.guest is not None
    assert patched.guest.end is GuestEnd.DONE
    assert patched.guest.build_id == patched.build.build_id
    assert patched.guest.console_scanned
    assert PASS in {case.outcome for case in patched.guest.cases}
    assert not {ERROR, NOT_RUN} & {case.outcome for case in patched.guest.cases}


@given(reports())
def test_good_has_no_new_failure_and_bad_has_one(report: Report) -> None:
    new = [item for item in report.verdict.findings if item.verdict is CaseVerdict.NEW_FAIL]
    if report.verdict.overall is Overall.GOOD:
        assert not new
    if report.verdict.overall is Overall.BAD:
        assert new


@given(reports())
def test_a_wrong_kernel_and_our_own_trouble_are_never_good_or_bad(report: Report) -> None:
    for item in (report.base_evaluation, report.patched_evaluation):
        if item.infra or (
            item.guest is not None
            and item.build is not None
            and item.guest.build_id not in (None, item.build.build_id)
        ):
            assert report.verdict.overall is Overall.TROUBLE


@given(st.dictionaries(st.sampled_from(IDS), st.sampled_from((ERROR, NOT_RUN)), min_size=1))
def test_no_answer_alone_is_never_bad(mute: dict[str, Outcome]) -> None:
    good = {"z": PASS, **dict.fromkeys(mute, PASS)}
    old = make.guest(make.BASE_ID, cases=make.cases(good))
    new = make.guest(cases=make.cases({**good, **mute}))
    assert judged(before(old), after(new)).overall is Overall.TROUBLE
    assert judged(before(new.model_copy(update={"build_id": make.BASE_ID}))).overall is not (
        Overall.BAD
    )


def test_what_the_base_skips_now_and_then_is_not_lost() -> None:
    skipped = Runs(outcomes=(SKIP, SKIP))
    assert judge_case(Runs(outcomes=(PASS, PASS)), skipped) is CaseVerdict.NEW_FAIL
    assert judge_case(Runs(outcomes=(PASS, SKIP)), skipped) is CaseVerdict.UNTESTABLE


@given(st.lists(ANY_OUTCOME, max_size=4), st.lists(ANY_OUTCOME, max_size=4))
def test_a_skip_is_never_a_pass(old: list[Outcome], new: list[Outcome]) -> None:
    verdict = judge_case(Runs(outcomes=tuple(old)), Runs(outcomes=tuple(new)))
    if PASS not in new:
        assert verdict not in (CaseVerdict.PASS, CaseVerdict.FIXED)


@given(st.lists(ANY_OUTCOME, max_size=4), st.lists(ANY_OUTCOME, max_size=4))
def test_a_new_failure_is_something_that_the_base_did_better(
    old: list[Outcome], new: list[Outcome]
) -> None:
    verdict = judge_case(Runs(outcomes=tuple(old)), Runs(outcomes=tuple(new)))
    bad = {FAIL, TIMEOUT, CRASH}
    if verdict is CaseVerdict.NEW_FAIL:
        assert {PASS, SKIP} & set(old)
        assert not bad & set(old)
        assert (bad | {SKIP}) & set(new)


@given(reports())
def test_every_new_splat_is_a_new_failure_when_the_base_came_to_its_end(report: Report) -> None:
    old, patched = report.base_evaluation.guest, report.patched_evaluation.guest
    if old is None or patched is None or old.end is not GuestEnd.DONE:
        return
    known = {splat.function or splat.title for splat in old.splats}
    unknown = [item for item in patched.splats if (item.function or item.title) not in known]
    told = [
        item
        for item in report.verdict.findings
        if item.kind is FindingKind.CONSOLE and item.verdict is CaseVerdict.NEW_FAIL
    ]
    assert len(told) == len(unknown)


@given(reports())
def test_the_headline_is_one_line_and_the_status_is_the_documented_one(report: Report) -> None:
    verdict = report.verdict
    assert verdict.headline
    assert "\n" not in verdict.headline
    assert (
        verdict.exit_status
        == {
            Overall.GOOD: 0,
            Overall.BAD: 1,
            Overall.UNTESTABLE: 125,
            Overall.TROUBLE: 128,
        }[verdict.overall]
    )
    assert sum(verdict.counts.values()) == len(verdict.cases)


def test_every_exit_status_is_documented_and_no_other() -> None:
    page = (Path(__file__).parent.parent / "docs" / "verdicts.md").read_text()
    section = page.split("## Exit statuses", 1)[1]
    rows = [line.split("|")[1].strip() for line in section.splitlines() if line.startswith("|")]
    assert [int(row) for row in rows[2:]] == sorted(ExitStatus)


# --- whole series ---------------------------------------------------------------------------------


def of_series(old: Evaluation, *patches: Evaluation, **parts: Any) -> Verdict:
    return judge(
        make.series(),
        make.base_choice(),
        make.applied(),
        old,
        patches,
        protection=("bubblewrap 0.8.0",),
        **parts,
    )


def built() -> Evaluation:
    """A patch in between: it was built and not booted."""
    return make.evaluation(guest=None)


def broken() -> Evaluation:
    return make.evaluation(build=make.failed_build(), guest=None)


def test_a_patch_that_breaks_the_build_is_bad_although_a_later_one_repairs_it() -> None:
    verdict = of_series(make.before(), built(), broken(), after())
    (finding,) = found(verdict, FindingKind.BUILD)
    assert (finding.patch, finding.verdict) == (2, CaseVerdict.NEW_FAIL)
    assert "patch 2/3 does not build, 3/3 builds again" in finding.title
    assert verdict.overall is Overall.BAD
    assert verdict.counts["PASS"] > 0, "the rest was judged all the same"


def test_a_build_that_stays_broken_is_told_once() -> None:
    verdict = of_series(make.before(), broken(), broken())
    assert [one.patch for one in found(verdict, FindingKind.BUILD)] == [1]
    assert verdict.overall is Overall.BAD


def test_a_base_that_does_not_build_and_a_patch_that_mends_it() -> None:
    old = make.before(build=make.failed_build(), guest=None)
    verdict = of_series(old, broken(), after())
    assert [(one.verdict, one.patch) for one in found(verdict, FindingKind.BUILD)] == [
        (CaseVerdict.FIXED, 2)
    ]


@pytest.mark.parametrize(
    ("answers", "patch"),
    [
        (["pass", "bad"], 1),
        (["pass", "pass", "bad"], 2),
        (["pass", "bad", "pass", "bad"], 3),
        (["pass", None, "bad"], None),
        (["pass", "bad", None, "bad"], None),
        (["bad", "bad"], None),
        (["skip", "pass", "pass"], 1),
        (["pass", None], None),
        ([None, "bad"], None),
    ],
)
def test_the_patch_from_which_on_the_answer_is_the_last_one(
    answers: list[str | None], patch: int | None
) -> None:
    assert changed_with(answers) == patch


@pytest.mark.parametrize(
    ("answers", "patches"),
    [
        (["pass", "pass"], ()),
        (["pass", "pass", "bad", "pass"], (2, 3)),
        (["pass", None, "bad"], ()),
        (["pass", "bad", "flaky"], (1, 2)),
    ],
)
def test_the_patches_with_which_a_case_changes(
    answers: list[str | None], patches: tuple[int, ...]
) -> None:
    assert changes_in(answers) == patches


def booted(guest: Guest, **changes: Any) -> Evaluation:
    """A patch in between, with --test-each."""
    return make.evaluation(guest=guest, **changes)


FINE = {"a": PASS, "b": PASS}


def test_a_case_that_fails_on_a_patch_in_between_is_its_fault() -> None:
    old = before(base_guest(**FINE))
    verdict = of_series(old, booted(patched_guest(a=PASS, b=FAIL)), after(patched_guest(**FINE)))
    (finding,) = found(verdict, FindingKind.CASE)
    assert (finding.patch, finding.case, finding.verdict) == (1, "b", CaseVerdict.NEW_FAIL)
    assert verdict.overall is Overall.BAD
    assert of_case(verdict, "b") is CaseVerdict.PASS
    flaky = booted(patched_guest(a=PASS, b=FAIL), reruns=(patched_guest(b=PASS),))
    verdict = of_series(old, flaky, after(patched_guest(**FINE)))
    assert [one.verdict for one in found(verdict, FindingKind.CASE)] == [CaseVerdict.FLAKY]
    assert verdict.overall is Overall.GOOD


def test_a_case_that_a_patch_in_between_was_not_asked_is_not_its_fault() -> None:
    """A subtest may be there at the end only, also with --test-each."""
    old = before(base_guest(a=PASS))
    new = after(patched_guest(a=PASS, b=PASS))
    verdict = of_series(old, booted(patched_guest(a=PASS)), new)
    assert found(verdict, FindingKind.CASE) == []
    assert next(case for case in verdict.cases if case.id == "b").each == ()


def test_a_failure_in_between_that_could_not_be_asked_again_is_no_failure() -> None:
    lost = dead(GuestEnd.LOST, a=CRASH).model_copy(update={"every_case": False})
    once = make.evaluation(guest=patched_guest(a=FAIL, b=PASS), reruns=(lost, lost))
    old, new = before(base_guest(a=PASS, b=PASS)), after(patched_guest(a=PASS, b=PASS))
    verdict = of_series(old, once, new)
    assert [one.verdict for one in found(verdict, FindingKind.CASE)] == [CaseVerdict.INFRA]
    assert verdict.overall is Overall.TROUBLE
    assert "1 case could not answer: a" in verdict.headline


def test_a_symbol_is_pinned_to_the_patch_that_takes_it_away() -> None:
    lost = make.config(asked=(make.symbol("KVM"), make.missing_symbol("KVM_AMD")))
    without = make.evaluation(guest=None, config=lost)
    verdict = of_series(make.before(), built(), without, make.evaluation(config=lost))
    (config,) = found(verdict, FindingKind.CONFIG)
    assert (config.verdict, config.patch) == (CaseVerdict.NEW_FAIL, 2)
    verdict = of_series(make.before(), without, without, make.evaluation())
    (config,) = found(verdict, FindingKind.CONFIG)
    assert (config.verdict, config.patch, config.in_between) == (CaseVerdict.NEW_FAIL, 1, True)
    assert verdict.overall is Overall.BAD
    known = of_series(make.before(config=lost), without, make.evaluation())
    assert found(known, FindingKind.CONFIG) == []


def test_a_panic_on_a_patch_in_between_is_its_fault() -> None:
    old = before(base_guest(**FINE))
    verdict = of_series(old, booted(dead_at_boot(GuestEnd.PANIC)), after(patched_guest(**FINE)))
    assert [one.patch for one in found(verdict, FindingKind.BOOT)] == [1]
    assert [one.patch for one in found(verdict, FindingKind.CONSOLE)] == [1]
    assert verdict.overall is Overall.BAD


def test_a_warning_on_a_patch_in_between_is_its_fault() -> None:
    noisy = booted(make.guest(cases=make.cases(FINE), splats=(make.splat(),)))
    quiet = after(patched_guest(**FINE))
    verdict = of_series(before(base_guest(**FINE)), noisy, noisy, quiet)
    assert [one.patch for one in found(verdict, FindingKind.CONSOLE)] == [1], "told once"
    assert verdict.overall is Overall.BAD


@pytest.mark.parametrize(
    "flaw", [{"console_scanned": False}, {"build_id": "0bad" * 10}, {"problems": ("a lie",)}]
)
def test_a_guest_of_a_patch_in_between_needs_its_proofs_too(flaw: dict[str, Any]) -> None:
    doubtful = booted(patched_guest(**FINE).model_copy(update=flaw))
    verdict = of_series(before(base_guest(**FINE)), doubtful, after(patched_guest(**FINE)))
    assert verdict.overall is Overall.TROUBLE


def test_a_base_that_does_not_build_and_a_patch_that_breaks_what_another_mended() -> None:
    old = make.before(build=make.failed_build(), guest=None)
    verdict = of_series(old, built(), broken())
    assert [(one.verdict, one.patch) for one in found(verdict, FindingKind.BUILD)] == [
        (CaseVerdict.NEW_FAIL, 2),
        (CaseVerdict.FIXED, 1),
    ]
    assert verdict.overall is Overall.BAD
    assert any(one.name == "warnings" and one.proof is Proof.OPEN for one in verdict.evidence), (
        "nothing was compared"
    )


TEST = "kselftest.kvm.x"


def test_a_subtest_that_the_series_renames_is_no_trouble() -> None:
    def guest(id: str, **cases: Outcome) -> Guest:
        return make.guest(id, cases=make.cases({TEST: PASS, **cases}))

    verdict = judged(
        before(guest(make.BASE_ID, **{f"{TEST}/old": PASS})),
        after(guest(make.TIP_ID, **{f"{TEST}/new": PASS})),
    )
    assert of_case(verdict, f"{TEST}/old") is CaseVerdict.UNTESTABLE
    assert of_case(verdict, f"{TEST}/new") is CaseVerdict.PASS
    assert verdict.overall is Overall.GOOD
    verdict = judged(
        before(guest(make.BASE_ID)), after(guest(make.TIP_ID, **{f"{TEST}/new": FAIL}))
    )
    assert of_case(verdict, f"{TEST}/new") is CaseVerdict.NEW_FAIL
    assert verdict.overall is Overall.BAD


def boots(make_one: Callable[..., Guest], *each: dict[str, Outcome]) -> dict[str, Any]:
    """One after the other, of the whole test ``TEST`` and its subtests."""
    guest, *reruns = (
        make_one(**{TEST if name == "t" else f"{TEST}/{name}": told for name, told in boot.items()})
        for boot in each
    )
    return {"guest": guest, "reruns": tuple(reruns)}


@pytest.mark.parametrize(
    ("base", "patched", "verdict"),
    [
        # It is printed when the test fails, and never when it passes.
        ([{"t": PASS}], [{"t": FAIL, "new": FAIL}, {"t": PASS}], CaseVerdict.FLAKY),
        ([{"t": PASS}], [{"t": FAIL, "new": FAIL}] * 2, CaseVerdict.NEW_FAIL),
        ([{"t": PASS}], [{"t": FAIL, "new": FAIL}, {"t": CRASH}], CaseVerdict.NEW_FAIL),
        # The base's test fails as well, and with a measured value in its name.
        ([{"t": FAIL, "812ms": FAIL}], [{"t": FAIL, "new": FAIL}] * 2, CaseVerdict.UNTESTABLE),
        ([{"t": FAIL}], [{"t": FAIL, "new": FAIL}] * 2, CaseVerdict.UNTESTABLE),
        (
            [{"t": FAIL, "812ms": FAIL}, {"t": PASS}],
            [{"t": FAIL, "new": FAIL}] * 2,
            CaseVerdict.FLAKY,
        ),
        # Why the base's test fails is known, and it is not this.
        (
            [{"t": FAIL, "old": FAIL}],
            [{"t": FAIL, "old": FAIL, "new": FAIL}] * 2,
            CaseVerdict.NEW_FAIL,
        ),
        # The base's test never came so far.
        ([{"t": TIMEOUT, "1": PASS}], [{"t": FAIL, "new": FAIL}] * 2, CaseVerdict.UNTESTABLE),
        ([{"t": CRASH}], [{"t": FAIL, "new": FAIL}] * 2, CaseVerdict.UNTESTABLE),
    ],
)
def test_a_subtest_that_only_the_patched_kernel_has(
    base: list[dict[str, Outcome]], patched: list[dict[str, Outcome]], verdict: CaseVerdict
) -> None:
    old = make.before(**boots(base_guest, *base))
    new = make.evaluation(**boots(patched_guest, *patched))
    assert of_case(judged(old, new), f"{TEST}/new") is verdict


def test_a_subtest_that_a_crash_left_out_names_no_patch() -> None:
    def asked(**cases: Outcome) -> Evaluation:
        return make.evaluation(**boots(patched_guest, cases, cases))

    old = make.before(**boots(base_guest, {"t": PASS}))
    new = {"t": FAIL, "new": FAIL}
    verdict = of_series(old, asked(t=CRASH), asked(**new))
    case = next(case for case in verdict.cases if case.id == f"{TEST}/new")
    assert (case.verdict, case.patch) == (CaseVerdict.NEW_FAIL, None)
    verdict = of_series(old, asked(t=PASS), asked(**new))
    assert next(case.patch for case in verdict.cases if case.id == f"{TEST}/new") == 2


SUITE = "kunit.x"


@pytest.mark.parametrize("ran", [PASS, ERROR])  # on a kernel without any suite KUnit is an ERROR
def test_a_suite_that_the_series_brings_is_skipped_on_the_base(ran: Outcome) -> None:
    base = make.guest(make.BASE_ID, cases=make.cases({"a": PASS, "kunit": ran}))

    def verdict_of(outcome: Outcome) -> Verdict:
        cases = {"a": PASS, "kunit": PASS, SUITE: outcome, f"{SUITE}/one": outcome}
        return judged(before(base), after(make.guest(make.TIP_ID, cases=make.cases(cases))))

    good, bad = verdict_of(PASS), verdict_of(FAIL)
    assert (of_case(good, SUITE), of_case(good, f"{SUITE}/one")) == (CaseVerdict.PASS,) * 2
    assert good.overall is Overall.GOOD
    assert (of_case(bad, SUITE), of_case(bad, f"{SUITE}/one")) == (CaseVerdict.NEW_FAIL,) * 2
    assert bad.overall is Overall.BAD
    suite = next(case for case in bad.cases if case.id == SUITE)
    assert (suite.base.outcomes, suite.patch) == ((SKIP,), 1)
    assert suite.base.message == "this kernel has no such suite"


def test_a_suite_that_the_series_takes_away_is_lost() -> None:
    cases = {"a": PASS, "kunit": PASS, SUITE: PASS, f"{SUITE}/one": PASS}
    verdict = judged(
        before(make.guest(make.BASE_ID, cases=make.cases(cases))),
        after(make.guest(make.TIP_ID, cases=make.cases({"a": PASS, "kunit": PASS}))),
    )
    assert of_case(verdict, SUITE) is CaseVerdict.NEW_FAIL
    assert of_case(verdict, f"{SUITE}/one") is CaseVerdict.UNTESTABLE


@pytest.mark.parametrize("base", [PASS, ERROR])
def test_kunit_that_was_asked_for_and_ran_nothing_is_never_good(base: Outcome) -> None:
    verdict = judged(
        before(make.guest(make.BASE_ID, cases=make.cases({"a": PASS, "kunit": base}))),
        after(make.guest(make.TIP_ID, cases=make.cases({"a": PASS, "kunit": ERROR}))),
    )
    assert of_case(verdict, "kunit") is CaseVerdict.INFRA
    assert verdict.overall is Overall.TROUBLE
    assert "kunit" in verdict.headline


def test_that_kunit_ran_is_no_pass_of_the_series() -> None:
    cases = {"kunit": PASS, SUITE: SKIP, "a": SKIP}
    verdict = judged(
        before(make.guest(make.BASE_ID, cases=make.cases(cases))),
        after(make.guest(make.TIP_ID, cases=make.cases(cases))),
    )
    assert verdict.overall is Overall.UNTESTABLE


def test_a_patched_kernel_without_kunit_lost_no_suite() -> None:
    """It may be our trouble that nothing was there to read."""
    verdict = judged(
        before(make.guest(make.BASE_ID, cases=make.cases({"a": PASS, "kunit": PASS, SUITE: PASS}))),
        after(make.guest(make.TIP_ID, cases=make.cases({"a": PASS, "kunit": ERROR}))),
    )
    assert of_case(verdict, SUITE) is CaseVerdict.INFRA
    assert verdict.overall is Overall.TROUBLE


def test_the_patch_that_brings_a_failing_suite_is_named() -> None:
    def asked(**cases: Outcome) -> Evaluation:
        guest = patched_guest(**{"kunit": PASS, **cases})
        return make.evaluation(guest=None, reruns=(guest.model_copy(update={"every_case": False}),))

    new = {SUITE: FAIL, f"{SUITE}/one": FAIL}
    verdict = of_series(
        before(base_guest(a=PASS, kunit=PASS)),
        asked(),
        asked(**new),
        twice(after, patched_guest(**{"a": PASS, "kunit": PASS, **new})),
    )
    assert [one.patch for one in found(verdict, FindingKind.CASE)] == [2, 2]


def test_a_whole_test_that_the_base_skips_has_no_subtests_there() -> None:
    new = patched_guest(**{"a": PASS, TEST: PASS, f"{TEST}/one": FAIL})
    verdict = judged(before(base_guest(**{"a": PASS, TEST: SKIP})), twice(after, new))
    assert of_case(verdict, f"{TEST}/one") is CaseVerdict.NEW_FAIL


def test_a_guest_that_never_came_to_kunit_lacks_no_suite() -> None:
    cases = {"kunit": PASS, SUITE: FAIL}
    verdict = judged(
        before(make.guest(make.BASE_ID, cases=make.cases({"kunit": NOT_RUN}))),
        after(make.guest(make.TIP_ID, cases=make.cases(cases))),
    )
    assert of_case(verdict, SUITE) is not CaseVerdict.NEW_FAIL


def test_a_case_is_pinned_by_what_the_patches_in_between_answered() -> None:
    asked = make.evaluation(guest=None, reruns=(patched_guest(a=FAIL),))
    verdict = of_series(
        before(base_guest(a=PASS, b=PASS)), built(), asked, after(patched_guest(a=FAIL, b=PASS))
    )
    case = next(case for case in verdict.cases if case.id == "a")
    assert [runs.outcomes for runs in case.each] == [(), (FAIL,), (FAIL,)]
    assert case.patch is None, "nobody asked the first patch"
    first = make.evaluation(guest=None, reruns=(patched_guest(a=PASS),))
    verdict = of_series(
        before(base_guest(a=PASS, b=PASS)), first, asked, after(patched_guest(a=FAIL, b=PASS))
    )
    assert found(verdict, FindingKind.CASE)[0].patch == 2


def test_both_outcomes_on_one_kernel_are_flaky_and_blame_nobody() -> None:
    new = after(patched_guest(a=PASS, b=FAIL)).model_copy(
        update={"reruns": (patched_guest(b=PASS),)}
    )
    verdict = judged(before(base_guest(a=PASS, b=PASS)), new)
    assert of_case(verdict, "b") is CaseVerdict.FLAKY
    assert verdict.overall is Overall.GOOD
    twice = new.model_copy(update={"reruns": (patched_guest(b=FAIL),)})
    verdict = judged(before(base_guest(a=PASS, b=PASS)), twice)
    assert of_case(verdict, "b") is CaseVerdict.NEW_FAIL
    assert next(case for case in verdict.cases if case.id == "b").patched.outcomes == (FAIL, FAIL)


def test_a_guest_that_was_lost_twice_without_a_word_is_our_trouble() -> None:
    lost = dead_at_boot(GuestEnd.LOST)
    new = after(lost).model_copy(update={"reruns": (lost,)})
    assert judged(before(base_guest(a=PASS, b=PASS)), new).overall is Overall.TROUBLE
    warned = lost.model_copy(update={"splats": (make.splat(),)})
    assert judged(before(base_guest(a=PASS, b=PASS)), after(warned)).overall is Overall.TROUBLE
    crashed = lost.model_copy(update={"splats": (make.splat(kind=SplatKind.OOPS),)})
    assert judged(before(base_guest(a=PASS, b=PASS)), after(crashed)).overall is Overall.BAD


def test_silence_counts_when_it_comes_again_in_the_same_place() -> None:
    old = before(base_guest(a=PASS, b=PASS, c=PASS))
    in_b = dead(GuestEnd.SILENCE, a=PASS, b=CRASH, c=NOT_RUN)
    in_c = dead(GuestEnd.SILENCE, a=PASS, b=PASS, c=CRASH)
    same = judged(old, after(in_b, reruns=(in_b,)))
    assert same.overall is Overall.BAD
    assert of_case(same, "b") is CaseVerdict.NEW_FAIL
    assert next(case for case in same.cases if case.id == "b").patched.outcomes == (CRASH, CRASH)
    elsewhere = judged(old, after(in_b, reruns=(in_c,)))
    assert elsewhere.overall is Overall.TROUBLE
    assert "NEW-FAIL" not in {one.verdict.value for one in elsewhere.findings}


@pytest.mark.parametrize("end", [GuestEnd.LOST, GuestEnd.SILENCE, GuestEnd.TIMEOUT])
def test_a_guest_of_ours_that_was_lost_makes_no_case_flaky(end: GuestEnd) -> None:
    """It was running b: that says nothing of b beside a guest that answered."""
    gone = dead(end, make.BASE_ID, b=CRASH)
    old = before(base_guest(a=PASS, b=PASS), reruns=(gone,))
    new = after(patched_guest(a=PASS, b=FAIL), reruns=(patched_guest(b=FAIL),))
    verdict = judged(old, new)
    assert of_case(verdict, "b") is CaseVerdict.NEW_FAIL
    assert next(case for case in verdict.cases if case.id == "b").base.outcomes == (PASS, NOT_RUN)
    first = judged(before(base_guest(a=PASS, b=PASS), reruns=(dead(end, a=PASS, b=CRASH),)), new)
    assert of_case(first, "b") is CaseVerdict.NEW_FAIL


def test_a_base_that_was_lost_in_a_case_is_not_mended_by_the_series() -> None:
    verdict = judged(
        before(dead(GuestEnd.LOST, make.BASE_ID, a=PASS, b=CRASH)),
        after(patched_guest(a=PASS, b=PASS)),
    )
    assert of_case(verdict, "b") is CaseVerdict.PASS
    assert found(verdict, FindingKind.CASE) == []


def test_a_failure_that_could_not_be_asked_again_is_no_failure_of_the_series() -> None:
    gone = dead(GuestEnd.LOST, b=CRASH)
    new = after(patched_guest(a=PASS, b=FAIL), reruns=(gone, gone))
    verdict = judged(before(base_guest(a=PASS, b=PASS)), new)
    assert of_case(verdict, "b") is CaseVerdict.INFRA
    assert verdict.overall is Overall.TROUBLE


def test_a_guest_that_says_of_what_it_died_counts_more_than_one_that_was_lost() -> None:
    lost, panic = dead_at_boot(GuestEnd.LOST), dead_at_boot(GuestEnd.PANIC)
    assert counts_more(panic, lost)
    assert counts_more(patched_guest(a=PASS), panic)
    assert not counts_more(lost, dead_at_boot(GuestEnd.TIMEOUT))


def test_a_guest_that_dies_between_cases_after_the_base_panicked() -> None:
    old = dead(GuestEnd.PANIC, make.BASE_ID, a=PASS, b=CRASH, c=NOT_RUN)
    new = dead(GuestEnd.PANIC, a=PASS, b=PASS, c=PASS)
    verdict = judged(before(old), after(new))
    assert found(verdict, FindingKind.BOOT)[0].verdict is CaseVerdict.UNTESTABLE


def test_a_panic_that_only_ends_an_oops_is_told_with_it() -> None:
    oops = make.splat(kind=SplatKind.OOPS, title="at f+0x1", function="f")
    fatal = make.panic(title="Fatal exception", function=None)
    other = make.panic(title="made for a test")
    verdict = judged(None, after(make.guest(splats=(oops, fatal, other))))
    titles = [one.title for one in found(verdict, FindingKind.CONSOLE)]
    assert len(titles) == 2
    assert "Fatal exception" not in " ".join(titles)


def test_a_guest_that_came_up_the_second_time_counts_and_claims_no_more() -> None:
    new = after(patched_guest(a=PASS)).model_copy(
        update={"reruns": (dead_at_boot(GuestEnd.BOOT_TIMEOUT),)}
    )
    verdict = judged(before(base_guest(a=PASS)), new)
    assert verdict.overall is Overall.GOOD
    assert all(
        one.proof is Proof.HOLDS for one in verdict.evidence if one.name in ("identity", "tests")
    )


def warning(flag: str = "-Wunused-variable", tool: str = "compiler", **changes: Any) -> Any:
    said = Diagnostic(
        severity="warning",
        file="virt/kvm/guest_memfd.c",
        line=12,
        message="unused variable 'x'",
        flag=flag,
        function="f",
        tool=tool,
    )
    return PinnedWarning(**{"diagnostic": said, "patch": 1, "touched": True, **changes})


def test_a_new_compiler_warning_is_bad_and_pinned() -> None:
    verdict = of_series(make.before(), after(), warnings=(warning(),))
    (finding,) = found(verdict, FindingKind.WARNING)
    assert (finding.patch, finding.advice) == (1, False)
    assert verdict.overall is Overall.BAD


@pytest.mark.parametrize("advice", [warning(tool="W=1"), warning(gone_with=2)])
def test_a_stricter_checker_and_what_a_later_patch_removes_are_advice(advice: Any) -> None:
    verdict = of_series(make.before(), after(), warnings=(advice,))
    assert [one.advice for one in found(verdict, FindingKind.WARNING)] == [True]
    assert verdict.overall is Overall.GOOD


def test_a_remark_of_a_check_is_advice_and_told_after_what_decides() -> None:
    note = CheckNote(
        tool="checkpatch", patch=1, severity="error", file=None, line=None, message="BAD"
    )
    checks = Checks(ran=("checkpatch",), missing=(), notes=(note,))
    verdict = of_series(make.before(), after(), checks=checks)
    assert verdict.overall is Overall.GOOD
    assert next(one for one in verdict.evidence if one.name == "checks").proof is Proof.FAILS
    verdict = of_series(make.before(), broken(), checks=checks)
    assert [one.kind for one in verdict.findings] == [FindingKind.BUILD, FindingKind.CHECK]


def test_every_finding_of_one_verdict_has_a_key_of_its_own() -> None:
    new = make.evaluation(
        guest=make.guest(cases=make.cases({"a": FAIL, "b": FAIL}), splats=(make.splat(),))
    )
    verdict = of_series(before(base_guest(a=PASS, b=PASS)), new, warnings=(warning(),))
    keys = [one.key for one in verdict.findings]
    assert len(set(keys)) == len(keys) == 4
    assert all(keys)


def test_the_base_s_own_kernel_says_nothing_and_the_touched_files_say_why() -> None:
    old = make.before()
    same = make.evaluation(build=old.build, guest=old.guest)
    off = FileReach(
        path="mm/numa.c",
        patches=(1,),
        state=ReachState.NOT_COMPILED,
        condition="NUMA",
        unmet=("NUMA",),
    )
    verdict = of_series(old, same, reach=Reach(files=(off,)))
    assert verdict.overall is Overall.UNTESTABLE
    assert "not mm/numa.c, which needs NUMA" in verdict.headline
    words = FileReach(path="Documentation/x.rst", patches=(1,), state=ReachState.NO_CODE)
    verdict = of_series(old, same, reach=Reach(files=(words,)))
    assert verdict.overall is Overall.UNTESTABLE
    assert "touches no code" in verdict.headline
    verdict = of_series(old, after(), reach=Reach(files=(words,)))
    assert verdict.overall is Overall.UNTESTABLE, "whatever made the kernel another one"
    on = off.model_copy(update={"state": ReachState.COMPILED, "unmet": ()})
    verdict = of_series(old, same, reach=Reach(files=(on,)))
    assert "compiled and the same" in verdict.headline
