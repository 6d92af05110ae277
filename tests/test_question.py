# SPDX-License-Identifier: GPL-2.0-or-later
"""What one guest says: only the same finding is bad."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kverdict.bisection import Answer
from kverdict.errors import UserError
from kverdict.models import Evaluation, Guest, GuestEnd, Outcome, Splat, SplatKind
from kverdict.question import (
    Question,
    Reference,
    Subject,
    Told,
    answer,
    answer_measured,
    answer_rounds,
    is_exact,
    parse,
    reference_of,
    rounds_of,
    selftests_named,
)
from tests import factories

CASES = ("write.page", "pwrite.page", "pwrite.last-page")
CASE = parse("pwrite.page", CASES)
BOOT = parse("boot", CASES)
BUILD = parse("build", CASES)
CONSOLE = parse("console:f1f1", CASES)
SEEN = Reference(outcomes=(Outcome.FAIL,))


# --- the parser -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("build", (Subject.BUILD, "", None, None)),
        ("boot", (Subject.BOOT, "", None, None)),
        ("write.page", (Subject.CASE, "write.page", None, None)),
        ("kselftest.kvm.x/y", (Subject.CASE, "kselftest.kvm.x/y", None, None)),
        ("console:WARN:at # in f", (Subject.CONSOLE, "WARN:at # in f", None, None)),
        ("bench:write>40000", (Subject.BENCH, "write", 40000.0, None)),
        ("bench:ratio>0.6", (Subject.BENCH, "ratio", 0.6, None)),
        ("bench:memcpy>+5%", (Subject.BENCH, "memcpy", None, 5.0)),
        ("bench:write>+0.5%", (Subject.BENCH, "write", None, 0.5)),
    ],
)
def test_questions(text: str, expected: tuple[Any, ...]) -> None:
    asked = parse(text, CASES)
    assert (asked.subject, asked.about, asked.limit, asked.percent) == expected
    assert asked.text == text


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("pwrite.pag", "did you mean pwrite.page"),
        ("biuld", "did you mean build"),
        ("nothing", "see `./pipeline.py suite`"),
        ("", "there is no case"),
        ("console:", "has no fingerprint"),
        ("console:a\nb", "has no fingerprint"),
        ("bench:write", "is no question about the benchmark"),
        ("bench:read>5", "METRIC is write, memcpy, ratio"),
        ("bench:write>-5", "is no question about the benchmark"),
        ("bench:write>0", "everything is over 0"),
        ("kselftest.kvm", "there is no case"),
        ("kselftest.../x", "there is no case"),
        ("-x", "there is no case"),
    ],
)
def test_no_questions(text: str, said: str) -> None:
    with pytest.raises(UserError, match=r".") as caught:
        parse(text, CASES)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@given(st.text(max_size=60))
def test_any_text_is_a_question_or_an_error_of_one_line(text: str) -> None:
    for asked in (text, f"bench:{text}", f"console:{text}", f"kselftest.{text}"):
        try:
            assert parse(asked, CASES).text == asked
        except UserError as error:
            assert len(str(error).splitlines()) == 1


def test_the_folder_of_a_selftest_may_be_deep() -> None:
    found = [(one.collection, one.test) for one in selftests_named("kselftest.net.mptcp.join.sh/3")]
    assert found == [("net/mptcp/join", "sh"), ("net/mptcp", "join.sh"), ("net", "mptcp.join.sh")]
    assert selftests_named("write.page") == ()


def test_what_a_guest_is_booted_with() -> None:
    assert CASE.guests == ("pwrite.page",)
    assert parse("kselftest.kvm.x/y", ()).guests == ("kselftest.kvm.x",)
    assert BOOT.guests == ()
    assert CONSOLE.guests is None
    seen = guest(splats=(factories.splat(fingerprint="f1f1", during="kselftest.kvm.x/y"),))
    early = guest(splats=(factories.splat(fingerprint="f1f1"),))
    for shown, cases in ((seen, ("kselftest.kvm.x",)), (early, ())):
        narrow = CONSOLE.narrowed(shown)
        assert narrow is not None and narrow.guests == cases
    assert CONSOLE.narrowed(guest()) is None


# --- builds ---------------------------------------------------------------------------------------


def built(**changes: Any) -> Evaluation:
    return factories.evaluation(build=factories.build(**changes), guest=None)


def unbuilt(message: str = "expected ';'", **changes: Any) -> Evaluation:
    error = factories.failed_build().first_error
    assert error is not None
    error = error.model_copy(update={"message": message})
    build = factories.failed_build(**{"first_error": error, **changes})
    return factories.evaluation(build=build, guest=None)


SAME = reference_of(BUILD, unbuilt(), (), unbuilt().build or factories.failed_build())


@pytest.mark.parametrize(
    ("question", "evaluation", "reference", "expected"),
    [
        (BUILD, built(), None, Answer.GOOD),
        (BUILD, unbuilt(), None, Answer.BAD),
        (BUILD, unbuilt(), SAME, Answer.BAD),
        (BUILD, unbuilt("'x' undeclared"), SAME, Answer.SKIP),
        (BUILD, unbuilt(confirmed_clean=False), SAME, Answer.SKIP),
        (BUILD, unbuilt(first_error=None), SAME, Answer.SKIP),
        (CASE, unbuilt(), SEEN, Answer.SKIP),
        (BOOT, unbuilt(), None, Answer.SKIP),
        (CASE, built(), SEEN, None),
    ],
)
def test_a_build(
    question: Question, evaluation: Evaluation, reference: Reference, expected: Answer | None
) -> None:
    told = answer(question, evaluation, None, reference)
    assert (told and told.answer) is expected
    assert told is None or told.final


def test_a_build_error_that_moved_is_the_same() -> None:
    build = unbuilt().build
    assert build is not None and build.first_error is not None
    moved = build.first_error.model_copy(update={"line": 7})
    told = answer(BUILD, unbuilt(first_error=moved), None, SAME)
    assert told is not None and told.answer is Answer.BAD


# --- guests ---------------------------------------------------------------------------------------


def guest(outcome: Outcome = Outcome.PASS, **changes: Any) -> Guest:
    cases = (factories.case("pwrite.page", outcome),)
    return factories.guest(**{"cases": cases, **changes})


def say(question: Question, one: Guest, reference: Reference | None) -> Told:
    told = answer(question, built(), one, reference)
    assert told is not None
    return told


PANIC: dict[str, Any] = {"end": GuestEnd.PANIC, "splats": (factories.panic(fingerprint="dead"),)}
OTHER_PANIC: dict[str, Any] = {
    "end": GuestEnd.PANIC,
    "splats": (factories.panic(fingerprint="gone"),),
}
DIED = Reference(outcomes=(Outcome.CRASH,), ends=(GuestEnd.PANIC,), reports=("dead",))
HUNG = Reference(outcomes=(Outcome.CRASH,), ends=(GuestEnd.SILENCE,))


@pytest.mark.parametrize(
    ("one", "reference", "expected"),
    [
        (guest(Outcome.PASS), SEEN, Answer.GOOD),
        (guest(Outcome.FAIL), SEEN, Answer.BAD),
        (guest(Outcome.FAIL), None, Answer.BAD),
        (guest(Outcome.TIMEOUT), None, Answer.BAD),
        (guest(Outcome.TIMEOUT), SEEN, Answer.SKIP),  # it fails otherwise
        (guest(Outcome.CRASH), SEEN, Answer.SKIP),
        (guest(Outcome.SKIP), SEEN, Answer.SKIP),
        (guest(Outcome.ERROR), SEEN, Answer.WEAK),
        (guest(cases=()), SEEN, Answer.SKIP),  # not planned on this commit
        (guest(Outcome.CRASH, **PANIC), DIED, Answer.BAD),
        (guest(Outcome.CRASH, **OTHER_PANIC), DIED, Answer.SKIP),  # another crash in that case
        (guest(Outcome.CRASH, **PANIC), None, Answer.BAD),
        (guest(Outcome.NOT_RUN, **PANIC), DIED, Answer.SKIP),  # a crash before its turn
        (guest(Outcome.PASS, **PANIC), SEEN, Answer.GOOD),  # a crash after its turn
        (guest(Outcome.NOT_RUN, end=GuestEnd.LOST), SEEN, Answer.WEAK),
        (guest(Outcome.CRASH, end=GuestEnd.LOST), SEEN, Answer.WEAK),
        (guest(Outcome.CRASH, end=GuestEnd.LOST), None, Answer.WEAK),
        (guest(Outcome.NOT_RUN, end=GuestEnd.BOOT_TIMEOUT), SEEN, Answer.WEAK),
        (guest(Outcome.CRASH, end=GuestEnd.SILENCE), HUNG, Answer.BAD),
        (guest(Outcome.CRASH, end=GuestEnd.SILENCE), SEEN, Answer.WEAK),
        (guest(Outcome.FAIL, build_id="ab" * 20), SEEN, Answer.WEAK),  # another kernel ran
        (guest(Outcome.PASS, build_id=None), SEEN, Answer.WEAK),
        (guest(Outcome.FAIL, console_scanned=False), SEEN, Answer.WEAK),
    ],
)
def test_a_case(one: Guest, reference: Reference | None, expected: Answer) -> None:
    assert say(CASE, one, reference).answer is expected


def test_a_subtest() -> None:
    question = parse("kselftest.kvm.x/y", ())
    whole, sub = "kselftest.kvm.x", "kselftest.kvm.x/y"
    for outcomes, expected in (
        ({whole: Outcome.PASS, sub: Outcome.PASS}, Answer.GOOD),
        ({whole: Outcome.FAIL, sub: Outcome.FAIL}, Answer.BAD),
        ({whole: Outcome.FAIL, sub: Outcome.PASS}, Answer.GOOD),
        ({whole: Outcome.PASS}, Answer.SKIP),
        ({whole: Outcome.FAIL}, Answer.SKIP),  # it did not come that far
        ({whole: Outcome.SKIP}, Answer.SKIP),
        ({whole: Outcome.ERROR}, Answer.WEAK),
    ):
        one = factories.guest(cases=factories.cases(outcomes))
        assert say(question, one, None).answer is expected, outcomes


@pytest.mark.parametrize(
    ("one", "reference", "expected"),
    [
        (guest(cases=()), None, Answer.GOOD),
        (guest(cases=(), **PANIC), None, Answer.BAD),
        (guest(cases=(), **PANIC), DIED, Answer.BAD),
        (guest(cases=(), **OTHER_PANIC), DIED, Answer.SKIP),
        (guest(cases=(), end=GuestEnd.BOOT_TIMEOUT), DIED, Answer.WEAK),
        (guest(cases=(), end=GuestEnd.BOOT_TIMEOUT), None, Answer.BAD),
        (guest(cases=(), **PANIC), HUNG, Answer.SKIP),
        (guest(cases=(), end=GuestEnd.LOST), None, Answer.WEAK),
        (guest(cases=(), end=GuestEnd.LOST), DIED, Answer.WEAK),
    ],
)
def test_a_boot(one: Guest, reference: Reference | None, expected: Answer) -> None:
    assert say(BOOT, one, reference).answer is expected


OOPS = factories.splat(kind=SplatKind.OOPS, fingerprint="oops-A")
OTHER_OOPS = factories.splat(kind=SplatKind.OOPS, fingerprint="oops-B")
AFTER = factories.panic(fingerprint="of every oops", title="Fatal exception in interrupt")
WARNED = factories.splat(fingerprint="of every commit")


@pytest.mark.parametrize(
    ("died", "expected"),
    [
        ((OOPS, AFTER), Answer.BAD),
        ((WARNED, OOPS, AFTER), Answer.BAD),
        ((OTHER_OOPS, AFTER), Answer.SKIP),
        ((WARNED, OTHER_OOPS, AFTER), Answer.SKIP),
        ((WARNED, *PANIC["splats"]), Answer.SKIP),
    ],
)
def test_what_came_before_a_death_or_after_it_does_not_make_it_the_same(
    died: tuple[Splat, ...], expected: Answer
) -> None:
    end = guest(cases=(), end=GuestEnd.PANIC, splats=(WARNED, OOPS, AFTER))
    reference = reference_of(BOOT, built(), (end,), factories.build())
    assert reference.reports == ("oops-A",)
    one = guest(cases=(), end=GuestEnd.PANIC, splats=died)
    assert say(BOOT, one, reference).answer is expected


SPLAT = factories.splat(fingerprint="f1f1")
ANOTHER = factories.splat(fingerprint="0000")


@pytest.mark.parametrize(
    ("one", "expected"),
    [
        (guest(splats=(ANOTHER, SPLAT)), Answer.BAD),
        (guest(splats=(SPLAT,), end=GuestEnd.PANIC), Answer.BAD),
        (guest(splats=(SPLAT,), end=GuestEnd.LOST), Answer.BAD),
        (guest(splats=(ANOTHER,)), Answer.GOOD),
        (guest(), Answer.GOOD),
        (guest(**PANIC), Answer.SKIP),
        (guest(end=GuestEnd.LOST), Answer.WEAK),
        (guest(splats=(SPLAT,), console_scanned=False), Answer.WEAK),
    ],
)
def test_a_console(one: Guest, expected: Answer) -> None:
    assert say(CONSOLE, one, None).answer is expected


@pytest.mark.parametrize(
    ("one", "expected", "final"),
    [
        (guest(Outcome.PASS), Answer.GOOD, False),
        (guest(Outcome.FAIL), Answer.GOOD, False),  # it ran to its end, and nothing was printed
        (guest(Outcome.SKIP), Answer.SKIP, True),
        (guest(cases=()), Answer.SKIP, True),
        (guest(Outcome.ERROR), Answer.WEAK, False),
        (guest(Outcome.NOT_RUN), Answer.WEAK, False),
        (guest(Outcome.SKIP, splats=(SPLAT,)), Answer.BAD, False),
    ],
)
def test_a_console_without_the_case_that_prints(one: Guest, expected: Answer, final: bool) -> None:
    seen = factories.splat(fingerprint="f1f1", during="pwrite.page")
    question = CONSOLE.narrowed(guest(splats=(seen,)))
    assert question is not None and question.guests == ("pwrite.page",)
    told = say(question, one, None)
    assert (told.answer, told.final) == (expected, final)


def test_a_kernel_that_does_not_say_which_it_is_answers_nothing() -> None:
    for question in (BOOT, CONSOLE):
        assert say(question, guest(cases=(), build_id=None), None).answer is Answer.WEAK


def test_a_report_without_a_fingerprint_goes_by_its_function() -> None:
    question = parse("console:WARN:kvm_gmem_write_begin", CASES)
    one = guest(splats=(factories.splat(),))
    assert say(question, one, None).answer is Answer.BAD


def test_what_the_bad_end_showed() -> None:
    guests = (
        guest(Outcome.PASS),
        guest(Outcome.FAIL, splats=(ANOTHER,)),
        guest(Outcome.CRASH, **PANIC),
        guest(Outcome.CRASH, end=GuestEnd.LOST),
    )
    build = factories.build()
    assert reference_of(CASE, built(), guests, build) == Reference(
        outcomes=(Outcome.FAIL, Outcome.CRASH), ends=(GuestEnd.PANIC,), reports=("dead",)
    )


# --- benchmarks -----------------------------------------------------------------------------------


def measured(*rounds: int, unit: str = "guest instructions", **changes: Any) -> Guest:
    return guest(bench=(factories.bench("write", *rounds, unit=unit),), **changes)


USUAL = Reference(rounds=(100.0, 101.0, 102.0, 100.0, 101.0), noise=0.02)


@pytest.mark.parametrize(
    ("text", "rounds", "exact", "expected"),
    [
        ("bench:write>+5%", (100, 100, 101, 100, 102), True, Answer.GOOD),
        ("bench:write>+5%", (120, 121, 122, 120, 121), True, Answer.BAD),
        ("bench:write>+5%", (105, 105, 106, 107, 106), True, Answer.WEAK),
        ("bench:write>110", (120, 121, 122, 120, 121), True, Answer.BAD),
        ("bench:write>110", (100, 101, 102, 100, 101), True, Answer.GOOD),
        ("bench:write>+5%", (120, 121, 122, 120, 121), False, Answer.BAD),
        ("bench:write>+5%", (90, 91, 92, 90, 91), False, Answer.GOOD),
        ("bench:write>+5%", (90, 120, 92, 130, 91), False, Answer.WEAK),
        ("bench:write>110", (120, 121, 122, 120, 121), False, Answer.WEAK),  # too few to tell
        ("bench:write>110", (120,) * 10, False, Answer.BAD),
        ("bench:write>110", (100,) * 10, False, Answer.GOOD),
        ("bench:write>+5%", (200,), True, Answer.WEAK),  # one number says nothing
    ],
)
def test_a_benchmark(text: str, rounds: tuple[int, ...], exact: bool, expected: Answer) -> None:
    told = answer_rounds(parse(text, ()), [float(n) for n in rounds], USUAL, exact=exact)
    assert told.answer is expected


@pytest.mark.parametrize(
    ("one", "expected", "final"),
    [
        (measured(1, 2, 3, 4, 5), None, False),
        (measured(1, 2, 3, 4, 5, build_id="ab" * 20), Answer.WEAK, False),  # another kernel
        (guest(bench_note="no benchmark: ENOMEM"), Answer.SKIP, True),
        (measured(1, 2, end=GuestEnd.LOST), Answer.WEAK, False),
        (guest(**PANIC), Answer.SKIP, False),
    ],
)
def test_a_guest_that_measured(one: Guest, expected: Answer | None, final: bool) -> None:
    told = answer_measured(parse("bench:write>5", ()), built(), one)
    assert (told and told.answer) is expected
    assert told is None or told.final is final


def test_a_share_needs_a_good_end() -> None:
    with pytest.raises(UserError, match="no good end here"):
        answer_rounds(parse("bench:write>+5%", ()), [1.0] * 5, Reference(), exact=True)


def test_the_rounds_of_a_guest() -> None:
    one = guest(bench=(factories.bench("write", 50, 60), factories.bench("memcpy", 100, 120)))
    assert rounds_of("write", one) == (50.0, 60.0)
    assert rounds_of("ratio", one) == (0.5, 0.5)
    assert rounds_of("memcpy", guest()) == ()
    assert is_exact(one)
    assert not is_exact(measured(1, unit="ns"))
    assert not is_exact(guest())
