# SPDX-License-Identifier: GPL-2.0-or-later
"""The rules of a night: what is new, since when, and what is bisected from where."""

from __future__ import annotations

from typing import Any

import pytest

from kverdict.heads import (
    Answer,
    Bisected,
    CaseNight,
    Ended,
    Found,
    HeadNight,
    HeadState,
    answers_of,
    compare_heads,
    good_end,
    is_slower,
    last_good,
    needs_a_look,
    to_bisect,
)
from kverdict.judgement import CaseVerdict
from kverdict.models import Diagnostic, Evaluation, GuestEnd, Outcome
from tests import factories

PAGE = "pwrite.page"


def head(commit: str, state: HeadState = HeadState.GOOD, **changes: Any) -> HeadNight:
    return HeadNight(
        **{
            "ref": "master",
            "commit": commit,
            "asked": "a",
            "state": state,
            "headline": "",
            **changes,
        }
    )


def failed(case: str = PAGE, **changes: Any) -> Found:
    return Found(
        **{
            "key": f"case:{case}",
            "kind": "case",
            "verdict": CaseVerdict.NEW_FAIL,
            "title": "it fails",
            "detail": "",
            "case": case,
            "since": 3,
            "question": case,
            **changes,
        }
    )


def bisected(question: str, ended: Ended = Ended.PROVEN) -> Bisected:
    return Bisected(question=question, keys=(), good="g", ended=ended, text="")


def answered(case: str, answer: Answer = Answer.PASS) -> tuple[CaseNight, ...]:
    return (CaseNight(id=case, answer=answer),)


# --- what was before ------------------------------------------------------------------------------


def test_the_newest_good_night_is_what_is_compared_with() -> None:
    past = [
        (4, head("d", HeadState.TROUBLE)),
        (3, head("c", HeadState.BAD)),
        (2, head("b")),
        (1, head("a", HeadState.FIRST)),
    ]
    assert last_good(past) == past[2][1]
    assert last_good(past, lambda commit: commit != "b") == past[3][1]
    assert last_good(past[:2]) is None


@pytest.mark.parametrize(
    ("newest", "due"),
    [
        (head("a"), False),
        (head("a", HeadState.BAD), False),
        (head("a", HeadState.UNTESTABLE), False),
        (head("a", HeadState.TROUBLE), True),
        (head("a", HeadState.BAD, bisected=(bisected(PAGE, Ended.TROUBLE),)), True),
        (head("a", HeadState.BAD, bisected=(bisected(PAGE, Ended.REFUSED),)), False),
        (head("b"), True),
        (head("a", asked="b"), True),
    ],
)
def test_what_was_said_already_is_not_asked_again(newest: HeadNight, due: bool) -> None:
    assert needs_a_look([(2, newest), (1, head("a"))], "a", "a") is due
    assert needs_a_look([], "a", "a")


# --- tonight --------------------------------------------------------------------------------------


def evaluated(page: Outcome, **changes: Any) -> Evaluation:
    cases = factories.cases({PAGE: page, "pwrite.last-page": Outcome.PASS})
    return factories.evaluation(guest=factories.guest(cases=cases, **changes))


def before(page: Outcome = Outcome.PASS, **changes: Any) -> Evaluation:
    cases = factories.cases({PAGE: page, "pwrite.last-page": Outcome.PASS})
    guest = factories.guest(factories.BASE_ID, cases=cases, **changes)
    return factories.before(guest=guest)


def test_what_fails_in_the_first_night_is_no_news() -> None:
    compared = compare_heads(None, evaluated(Outcome.FAIL), [], night=1, slower=0.02)
    assert compared.state is HeadState.FIRST
    assert [found.verdict for found in compared.found] == [CaseVerdict.PRE_EXISTING]


def test_a_first_kernel_that_does_not_build_is_nothing_to_compare_with() -> None:
    broken = factories.evaluation(build=factories.failed_build(), guest=None)
    compared = compare_heads(None, broken, [], night=1, slower=0.02)
    assert compared.state is HeadState.UNTESTABLE


def test_the_same_kernel_as_the_last_good_one_is_as_good() -> None:
    old = before()
    compared = compare_heads(old, old, [], night=2, slower=0.02)
    assert compared.state is HeadState.GOOD


def test_a_failure_that_the_last_good_head_does_not_have_is_new() -> None:
    compared = compare_heads(before(), evaluated(Outcome.FAIL), [], night=7, slower=0.02)
    assert compared.state is HeadState.BAD
    (found,) = compared.found
    assert (found.key, found.since, found.question) == (f"case:{PAGE}", 7, PAGE)


def test_a_failure_that_was_there_last_night_is_told_with_its_first_night() -> None:
    past = [
        (6, head("c", HeadState.BAD, found=(failed(since=5),))),
        (5, head("b", HeadState.BAD, found=(failed(since=5),))),
        (4, head("a")),
        (3, head("0", HeadState.BAD, found=(failed(since=3),))),
    ]
    compared = compare_heads(before(), evaluated(Outcome.FAIL), past, night=7, slower=0.02)
    assert [found.since for found in compared.found] == [5]


def test_nothing_is_blamed_when_it_was_our_trouble() -> None:
    lost = evaluated(Outcome.FAIL, console_scanned=False)
    compared = compare_heads(before(), lost, [], night=2, slower=0.02)
    assert compared.state is HeadState.TROUBLE
    assert compared.found == ()


def test_a_new_warning_is_told_and_cannot_be_bisected() -> None:
    said = Diagnostic(severity="warning", file="a.c", line=3, message="unused", flag="-Wunused")
    after = evaluated(Outcome.PASS).model_copy(update={"build": factories.build(warnings=(said,))})
    compared = compare_heads(before(), after, [], night=2, slower=0.02)
    assert compared.state is HeadState.BAD
    assert [(found.kind, found.question) for found in compared.found] == [("warning", None)]
    assert to_bisect(compared.found, [(1, head("a"))]) == ()


def test_a_build_a_panic_and_a_report_have_questions_of_their_own() -> None:
    broken = factories.evaluation(build=factories.failed_build(), guest=None)
    compared = compare_heads(before(), broken, [], night=2, slower=0.02)
    assert [found.question for found in compared.found if found.kind == "build"] == ["build"]
    splat = factories.splat(fingerprint="ab12")
    warned = evaluated(Outcome.PASS, splats=(splat,))
    compared = compare_heads(before(), warned, [], night=2, slower=0.02)
    assert [found.question for found in compared.found] == ["console:ab12"]
    cases = factories.cases({PAGE: Outcome.CRASH, "pwrite.last-page": Outcome.NOT_RUN})
    splats = (factories.panic(during=PAGE),)
    guest = factories.guest(cases=cases, end=GuestEnd.PANIC, splats=splats)
    dead = factories.evaluation(guest=guest)
    compared = compare_heads(before(), dead, [], night=2, slower=0.02)
    assert {found.kind for found in compared.found} == {"boot", "case", "console"}
    (ask,) = to_bisect(compared.found, [(1, head("a"))])
    assert (ask.question, len(ask.keys)) == (PAGE, 3)
    early = factories.evaluation(guest=factories.guest(end=GuestEnd.BOOT_TIMEOUT, cases=()))
    compared = compare_heads(before(), early, [], night=2, slower=0.02)
    assert [found.question for found in compared.found] == ["boot"]


# --- benchmarks -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("unit", "old", "new", "slower"),
    [
        ("guest instructions", (1000, 1000, 1001, 1000, 1000), (1050,) * 5, True),
        ("guest instructions", (1000,) * 5, (1015,) * 5, False),  # within the limit
        ("guest instructions", (1000,) * 5, (1021, 1021, 1020, 1021, 1021), False),  # undecided
        ("guest instructions", (1000, 1300, 1000, 1000, 1000), (1200,) * 5, False),  # noisy
        ("guest instructions", (1000,) * 4, (2000,) * 5, False),  # too few rounds
        ("guest instructions", (1000,) * 5, (900,) * 5, False),  # faster
        ("ns", (100, 101, 102, 103, 104), (120, 121, 122, 123, 124), True),
        ("ns", (100, 101, 102, 103, 200), (103, 102, 101, 100, 120), False),
    ],
)
def test_when_a_benchmark_is_a_regression(
    unit: str, old: tuple[int, ...], new: tuple[int, ...], slower: bool
) -> None:
    before, after = (factories.bench("write", *rounds, unit=unit) for rounds in (old, new))
    assert is_slower(before, after, 0.02) is slower


def test_a_slower_benchmark_makes_a_night_bad_and_can_be_bisected() -> None:
    old = before(bench=(factories.bench("write", *[1000] * 5),))
    new = evaluated(Outcome.PASS, bench=(factories.bench("write", *[1100] * 5),))
    compared = compare_heads(old, new, [], night=2, slower=0.025)
    assert compared.state is HeadState.BAD
    assert compared.headline == "new failure: write takes +10.0%"
    assert [found.question for found in compared.found] == ["bench:write>+2.5%"]


def test_another_size_or_unit_is_not_compared() -> None:
    old = before(bench=(factories.bench("write", *[1000] * 5, mib=8),))
    new = evaluated(Outcome.PASS, bench=(factories.bench("write", *[9000] * 5),))
    assert compare_heads(old, new, [], night=2, slower=0.02).state is HeadState.GOOD


# --- what to bisect -------------------------------------------------------------------------------

GOOD = [(2, head("g", cases=answered(PAGE)))]


def test_each_distinct_failure_is_one_question() -> None:
    asks = to_bisect((failed("a.x"), failed("a.y")), GOOD)
    assert [(ask.question, ask.good) for ask in asks] == [("a.x", "g"), ("a.y", "g")]


def test_cases_of_one_known_defect_are_one_failure() -> None:
    found = [failed(f"defect.short-write.{number}") for number in range(3)]
    (ask,) = to_bisect((*found, failed("defect.torn-page.1")), GOOD)[:1]
    assert ask.question == "defect.short-write.0"
    assert ask.keys == tuple(one.key for one in found)


def test_the_end_of_a_guest_is_one_failure_with_what_led_to_it() -> None:
    died = failed(kind="boot", key="boot:panic:x", case="x", question="boot")
    said = failed(kind="console", key="console:ab", case="x", question="console:ab")
    (first, second) = to_bisect((said, failed("x"), died, failed("y")), GOOD)
    assert (first.question, len(first.keys)) == ("boot", 3)
    assert second.question == "y"


def test_what_is_no_new_failure_is_not_bisected() -> None:
    for verdict in CaseVerdict:
        asks = to_bisect((failed(verdict=verdict),), GOOD)
        assert bool(asks) is (verdict is CaseVerdict.NEW_FAIL)
    assert to_bisect((failed(),), []) == (), "there is no good end"


@pytest.mark.parametrize("ended", list(Ended))
def test_a_question_is_asked_once_and_again_only_after_our_trouble(ended: Ended) -> None:
    bad = head("b", HeadState.BAD, found=(failed(),), bisected=(bisected(PAGE, ended),))
    assert bool(to_bisect((failed(),), [(3, bad), *GOOD])) is (ended is Ended.TROUBLE)
    # After a good night the same is another failure.
    assert to_bisect((failed(),), [(4, head("c", cases=answered(PAGE))), (3, bad), *GOOD])


@pytest.mark.parametrize(
    ("found", "newer", "good"),
    [
        (failed(), head("n", HeadState.BAD, cases=answered(PAGE)), "n"),
        (failed(), head("n", HeadState.BAD, cases=answered(PAGE, Answer.FLAKY)), "g"),
        (failed(), head("n", HeadState.BAD, cases=answered(PAGE), found=(failed(),)), "g"),
        (failed(), head("n", HeadState.TROUBLE, cases=answered(PAGE)), "g"),
        (failed(), head("n", HeadState.BAD), "g"),
        (failed(key="build:x", kind="build"), head("n", HeadState.BAD, cases=answered("a")), "n"),
        (failed(key="build:x", kind="build"), head("n", HeadState.BAD), "g"),
        (
            failed(key="console:x", kind="console"),
            head("n", HeadState.BAD, cases=answered("a", Answer.NONE)),
            "g",
        ),
        (
            failed(key="console:x", kind="console"),
            head("n", HeadState.BAD, cases=answered("a")),
            "n",
        ),
        (failed(key="bench:write", kind="bench"), head("n", HeadState.BAD), "g"),
        (
            failed(key="bench:write", kind="bench"),
            head("n", HeadState.BAD, bench=(factories.bench("write", 1),)),
            "n",
        ),
    ],
)
def test_the_good_end_is_the_newest_head_without_it(
    found: Found, newer: HeadNight, good: str
) -> None:
    assert good_end(found, [(3, newer), *GOOD]) == good


# --- what is kept ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("outcomes", "answer"),
    [
        ((Outcome.PASS,), Answer.PASS),
        ((Outcome.FAIL,), Answer.FAIL),
        ((Outcome.TIMEOUT, Outcome.CRASH), Answer.FAIL),
        ((Outcome.FAIL, Outcome.PASS), Answer.FLAKY),
        ((Outcome.SKIP,), Answer.SKIP),
        ((Outcome.ERROR,), Answer.NONE),
        ((Outcome.NOT_RUN,), Answer.NONE),
    ],
)
def test_a_case_has_one_word_for_all_its_boots(
    outcomes: tuple[Outcome, ...], answer: Answer
) -> None:
    guests = [factories.guest(cases=factories.cases({PAGE: outcome})) for outcome in outcomes]
    evaluation = factories.evaluation(guest=guests[0], reruns=tuple(guests[1:]))
    assert answers_of(evaluation) == (CaseNight(id=PAGE, answer=answer),)


def test_a_kernel_that_never_booted_has_no_answers() -> None:
    assert answers_of(factories.evaluation(guest=None)) == ()
