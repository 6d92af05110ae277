# SPDX-License-Identifier: GPL-2.0-or-later
"""What is asked again, of which kernel, and on which patches in between."""

from __future__ import annotations

from kverdict.confidence import failing_cases, new_at_the_end, vanished_cases, worth_asking
from kverdict.models import Evaluation, Guest, GuestEnd, Outcome
from tests import factories as make

PASS, FAIL, SKIP = Outcome.PASS, Outcome.FAIL, Outcome.SKIP
CRASH, NOT_RUN, ERROR = Outcome.CRASH, Outcome.NOT_RUN, Outcome.ERROR


def base(**outcomes: Outcome) -> Evaluation:
    return make.before(guest=make.guest(make.BASE_ID, cases=make.cases(outcomes)))


def patched(**outcomes: Outcome) -> Evaluation:
    return make.evaluation(guest=guest(**outcomes))


def guest(**outcomes: Outcome) -> Guest:
    return make.guest(cases=make.cases(outcomes))


def again(evaluation: Evaluation, *guests: Guest) -> Evaluation:
    return evaluation.model_copy(update={"reruns": (*evaluation.reruns, *guests)})


def test_what_failed_on_either_kernel_is_asked_again_on_each_that_answered() -> None:
    old = base(a=PASS, b=FAIL, c=SKIP, d=PASS)
    new = patched(a=FAIL, b=PASS, c=FAIL, d=PASS)
    failing = failing_cases((old, new))
    assert failing == {"a", "b", "c"}
    assert worth_asking(old, failing) == ("a", "b")  # c was skipped, and would be again
    assert worth_asking(new, failing) == ("a", "b", "c")


def test_what_was_asked_twice_is_not_asked_a_third_time() -> None:
    new = again(patched(a=FAIL, b=FAIL), guest(a=FAIL))
    assert worth_asking(new, frozenset({"a", "b"})) == ("b",)


def test_a_case_that_never_answered_cannot_be_asked_again() -> None:
    new = patched(a=CRASH, b=NOT_RUN, c=ERROR)
    assert worth_asking(new, frozenset({"a", "b", "c"})) == ("a",)


def test_a_subtest_comes_with_its_whole_test() -> None:
    new = make.evaluation(
        guest=make.guest(cases=make.cases({"kselftest.x.t": FAIL, "kselftest.x.t/one": FAIL}))
    )
    failing = failing_cases((base(), new))
    assert worth_asking(new, failing) == ("kselftest.x.t",)


def test_what_the_base_passes_and_the_series_skips_is_asked_again() -> None:
    """Memory may have been short for a moment; what no guest had cannot be asked."""
    old, new = base(a=PASS, b=PASS, c=SKIP, d=PASS), patched(a=SKIP, b=PASS, c=SKIP)
    gone = make.case("d", SKIP, in_guest=False)
    cases = (*new.guest.cases, gone) if new.guest is not None else ()
    assert new.guest is not None
    new = make.evaluation(guest=new.guest.model_copy(update={"cases": cases}))
    vanished = vanished_cases(old, new)
    assert vanished == {"a"}
    assert worth_asking(new, frozenset(), vanished) == ("a",)
    assert worth_asking(again(new, guest(a=SKIP)), frozenset(), vanished) == ()


def test_a_suite_is_looked_for_with_the_case_that_kunit_ran() -> None:
    old, bad = base(kunit=PASS), {"kunit": PASS, "kunit.new": FAIL}
    last = again(patched(**bad), guest(**{"kunit.new": FAIL}))
    assert new_at_the_end(old, [unbooted(), last]) == ("kunit", "kunit.new")
    old = base(**{"kunit": PASS, "kunit.old": PASS})
    assert new_at_the_end(old, [unbooted(), patched(kunit=PASS)]) == ("kunit", "kunit.old")


def unbooted(**changes: object) -> Evaluation:
    return make.evaluation(guest=None, **changes)


def test_only_what_is_new_is_asked_of_the_patches_in_between() -> None:
    old, last = base(a=PASS, b=FAIL, c=PASS), patched(a=FAIL, b=FAIL, c=PASS)
    assert new_at_the_end(old, [unbooted(), last]) == ("a",)
    assert new_at_the_end(old, [last]) is None, "there is nothing in between"
    fine = patched(a=PASS, b=FAIL, c=PASS)
    assert new_at_the_end(old, [unbooted(), fine]) is None


def test_a_report_on_boot_is_looked_for_by_booting_alone() -> None:
    last = make.evaluation(guest=make.guest(splats=(make.splat(),)))
    assert new_at_the_end(make.before(), [unbooted(), last]) == ()


def test_a_patch_that_does_not_build_is_not_asked() -> None:
    broken = unbooted(build=make.failed_build())
    assert new_at_the_end(base(a=PASS), [broken, patched(a=FAIL)]) is None


def test_what_a_lost_guest_was_running_is_not_answered_and_asked_again() -> None:
    gone = guest(a=CRASH).model_copy(update={"end": GuestEnd.LOST})
    new = again(patched(a=FAIL), gone)
    assert worth_asking(new, frozenset({"a"})) == ("a",)
