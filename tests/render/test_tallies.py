# SPDX-License-Identifier: GPL-2.0-or-later
"""How often what was seen, in words; and in which file the rest is."""

from __future__ import annotations

import pytest

from kverdict.judgement import CaseVerdict, JudgedCase, Report, Runs
from kverdict.models import Guest, GuestEnd, Outcome, Splat, TestOutput
from kverdict.render.tallies import consoles, how_often, in_short, printed, tallies
from kverdict.render.view import seen, shown_findings
from tests import answered
from tests import factories as make

PASS, FAIL, SKIP, CRASH = Outcome.PASS, Outcome.FAIL, Outcome.SKIP, Outcome.CRASH
TEST = "kselftest.kvm.guest_memfd_test"


@pytest.mark.parametrize(
    ("patched", "base", "words"),
    [
        ((FAIL, FAIL), (PASS,), "fails 2 of 2, base passes 1 of 1"),
        ((PASS, FAIL, PASS), (PASS,), "passes 2 of 3 and fails 1 of 3, base passes 1 of 1"),
        ((FAIL,), (), "fails 1 of 1, base is not asked"),
        ((SKIP,), (SKIP,), "skipped 1 of 1, base skipped 1 of 1"),
        ((CRASH, Outcome.NOT_RUN), (), "crashes 1 of 2 and does not run 1 of 2, base is not asked"),
        ((Outcome.TIMEOUT,), (Outcome.ERROR,), "times out 1 of 1, base gives no answer 1 of 1"),
    ],
)
def test_how_often(patched: tuple[Outcome, ...], base: tuple[Outcome, ...], words: str) -> None:
    case = JudgedCase(
        id="a",
        title="a",
        source="a",
        verdict=CaseVerdict.PASS,
        base=Runs(outcomes=base),
        patched=Runs(outcomes=patched),
    )
    assert how_often(case) == words


def guest(build_id: str, boot: int, *splats: Splat, **outcomes: Outcome) -> Guest:
    return make.guest(build_id, boot=boot, cases=make.cases(outcomes), splats=splats)


def report() -> Report:
    """The first guest of the patched kernel was lost: the second one counts."""
    warn = make.splat(fingerprint="WARN:f", line=7)
    panic = make.panic(fingerprint="panic:f", line=9)
    lost = guest(make.TIP_ID, 1, panic, a=PASS).model_copy(update={"end": GuestEnd.PANIC})
    return make.report(
        make.before(guest=guest(make.BASE_ID, 1, a=PASS, b=PASS, c=PASS)),
        make.evaluation(
            guest=guest(make.TIP_ID, 2, warn, a=PASS, b=FAIL, c=PASS),
            reruns=(lost, guest(make.TIP_ID, 3, warn, panic, b=FAIL)),
        ),
    )


def test_cases_that_ended_alike_are_one_line_the_worst_first() -> None:
    found = [(one.verdict, one.runs, [case.id for case in one.cases]) for one in tallies(report())]
    assert found == [
        (CaseVerdict.NEW_FAIL, "fails 2 of 2, base passes 1 of 1", ["b"]),
        (CaseVerdict.PASS, "passes 2 of 2, base passes 1 of 1", ["a"]),
        (CaseVerdict.PASS, "passes 1 of 1, base passes 1 of 1", ["c"]),
    ]


def test_each_finding_says_how_often_it_was_seen() -> None:
    shown = {one.finding.key: (one.runs, one.fingerprint) for one in shown_findings(report())}
    assert shown["case:b"] == ("fails 2 of 2, base passes 1 of 1", "")
    assert shown["console:WARN:f"] == ("seen in 2 of 3 boots, base in 0 of 1 boot", "WARN:f")
    assert shown["console:panic:f"] == ("seen in 2 of 3 boots, base in 0 of 1 boot", "panic:f")


def test_a_case_that_fails_on_a_patch_in_between_is_seen_there() -> None:
    first = answered.built(1, guest=make.guest("b1d1" * 10, cases=make.cases({"a": FAIL})))
    patches = (first, answered.booted({"a": PASS}))
    series = make.series(patches=(make.patch(1), make.patch(2)))
    found = answered.report(series, answered.base_with({"a": PASS}), patches)
    (one,) = shown_findings(found)
    assert one.finding.key == "case:a@1"
    assert one.runs == "fails 1 of 1, base passes 1 of 1"


def test_what_a_console_said_on_a_patch_in_between_is_seen_there() -> None:
    warn = make.splat(fingerprint="WARN:f", line=7)
    noisy = make.guest("b1d1" * 10, cases=make.cases({"a": PASS}), splats=(warn,))
    patches = (answered.built(1, guest=noisy), answered.booted({"a": PASS}))
    series = make.series(patches=(make.patch(1), make.patch(2)))
    (one,) = shown_findings(answered.report(series, answered.base_with({"a": PASS}), patches))
    assert one.finding.key == "console:WARN:f@1"
    assert one.runs == "seen in 1 of 1 boot, base in 0 of 1 boot"
    assert one.fingerprint == "WARN:f", "as bisect --for console: takes it"


def test_a_guest_that_did_not_finish_says_how_the_boots_ended() -> None:
    hung = make.guest(None, end=GuestEnd.BOOT_TIMEOUT, cases=make.cases({"a": Outcome.NOT_RUN}))
    lost = make.report(None, make.evaluation(guest=hung, reruns=(hung,)))
    words = {one.finding.kind.value: one.runs for one in shown_findings(lost)}
    assert words["boot"] == ("2 boots: 2 no userspace within the boot limit; base: 1 boot: done")


def test_the_console_of_the_guest_that_counts_comes_first() -> None:
    patched = report().patched_evaluation
    assert [path.rpartition("/")[2] for path in consoles(patched)] == [
        *("console-2.log", "console.log", "console-3.log")
    ]
    assert [(one.splat.fingerprint, one.file, one.boots) for one in seen(patched)] == [
        ("WARN:f", "console-2.log", 2),
        ("panic:f", "console.log", 2),
    ]


def test_what_tests_printed_those_first_that_did_not_pass() -> None:
    def ran(build_id: str, outcome: Outcome, boot: int) -> Guest:
        outputs = tuple(TestOutput(case=id, text=f"{id} {boot}") for id in ("fine", TEST))
        cases = make.cases({"fine": PASS, TEST: outcome})
        return make.guest(build_id, cases=cases, outputs=outputs, boot=boot)

    found = printed(
        make.report(
            make.before(guest=ran(make.BASE_ID, PASS, 1)),
            make.evaluation(guest=ran(make.TIP_ID, FAIL, 2)),
        )
    )
    assert [(one.case, one.kernel, one.boot, one.text) for one in found] == [
        (TEST, "patched", 2, f"{TEST} 2"),
        (TEST, "base", 1, f"{TEST} 1"),
        ("fine", "patched", 2, "fine 2"),
        ("fine", "base", 1, "fine 1"),
    ]
    assert found[0].file == f"evaluations/{'7e57' * 16}/guest-2.json"
    assert in_short(found[0].file) == "evaluations/7e577e577e57*/guest-2.json"
