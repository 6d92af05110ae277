# SPDX-License-Identifier: GPL-2.0-or-later
"""Which of the four words of test formats a verdict becomes, and what never happens."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kverdict.exports import ktap, results
from kverdict.exports.folder import RunFolder
from kverdict.exports.kcidb import kcidb
from kverdict.exports.results import Mark, mark_of
from kverdict.judgement import CaseVerdict, Overall, Report
from kverdict.models import GuestEnd, Outcome
from kverdict.settings import KcidbSettings
from tests import factories as make
from tests.exports import ktap_reader
from tests.exports.reports import kinds, on_base, report_of

KINDS = kinds()


def marks(report: Report) -> dict[str, Mark]:
    found = results.results(report)
    return {f"{group.name}/{item.id}": item.mark for group in found for item in group.results}


@pytest.mark.parametrize(
    ("verdict", "believed", "doubted"),
    [
        (CaseVerdict.PASS, Mark.PASS, Mark.SKIP),
        (CaseVerdict.FIXED, Mark.PASS, Mark.SKIP),
        (CaseVerdict.NEW_FAIL, Mark.FAIL, Mark.SKIP),
        (CaseVerdict.PRE_EXISTING, Mark.SKIP, Mark.SKIP),
        (CaseVerdict.FLAKY, Mark.SKIP, Mark.SKIP),
        (CaseVerdict.UNTESTABLE, Mark.SKIP, Mark.SKIP),
        (CaseVerdict.INFRA, Mark.ERROR, Mark.ERROR),
    ],
)
def test_the_table_of_the_documentation(
    verdict: CaseVerdict, believed: Mark, doubted: Mark
) -> None:
    assert mark_of(verdict, believed=True) is believed
    assert mark_of(verdict, believed=False) is doubted


@pytest.mark.parametrize(
    ("kind", "case", "mark"),
    [
        ("good", "guest/write.page", Mark.PASS),
        ("new-fail", "guest/write.page", Mark.FAIL),  # skipped, and passes on the base
        ("new-fail", "guest/write.slow", Mark.FAIL),
        ("pre-existing", "guest/write.page", Mark.SKIP),
        ("fixed", "guest/write.page", Mark.PASS),
        ("flaky", "guest/write.race", Mark.SKIP),
        ("untestable", "verdict/series", Mark.SKIP),
        ("infra", "guest/write.empty", Mark.ERROR),
        ("infra", "guest/write.page", Mark.PASS),
        ("wrong-kernel", "verdict/series", Mark.ERROR),
        ("wrong-kernel", "guest/write.page", Mark.SKIP),
        ("panic", "boot/guest-1", Mark.FAIL),
        ("panic", "guest/write.page", Mark.SKIP),
        ("passing", "guest/write.page", Mark.PASS),
        ("passing", "patches/patch-1/write.page", Mark.FAIL),
        ("passing", "console/report-1", Mark.FAIL),
        ("passing", "console/scan", Mark.PASS),
        ("passing", "boot/guest", Mark.PASS),
        ("lost", "guest/write.empty", Mark.PASS),
        ("series", "build/patch-1", Mark.PASS),
        ("series", "build/patch-2", Mark.FAIL),
        ("series", "warnings/warning-1", Mark.FAIL),
        ("series", "console/report-1", Mark.FAIL),
        ("series", "kselftest/kselftest.kvm.gmem/write", Mark.FAIL),
    ],
)
def test_each_kind_of_verdict(kind: str, case: str, mark: Mark) -> None:
    assert marks(KINDS[kind])[case] is mark


def test_advice_is_no_result() -> None:
    assert [name for name in marks(KINDS["series"]) if name.startswith("warnings/")] == [
        "warnings/warning-1"
    ]


def test_what_was_not_built_is_not_blamed() -> None:
    broken, good = make.failed_build(), make.evaluation(guest=None)
    neither = report_of(
        make.before(build=broken, guest=None), make.evaluation(build=broken, guest=None)
    )
    assert marks(neither)["build/base"] is Mark.SKIP
    assert marks(neither)["build/patch-1"] is Mark.SKIP
    assert marks(neither)["build/series-1"] is Mark.SKIP
    later = report_of(
        make.before(),
        make.evaluation(build=broken, guest=None),
        good.model_copy(update={"build": broken}),
    )
    assert marks(later)["build/patch-1"] is Mark.FAIL
    assert marks(later)["build/patch-2"] is Mark.SKIP
    nothing = report_of(
        make.before(build=None, guest=None, config=None, infra="the disk is full"),
        make.evaluation(build=None, guest=None, config=None),
    )
    assert set(marks(nothing).values()) == {Mark.ERROR, Mark.SKIP}


def test_a_console_that_was_not_scanned_is_our_trouble() -> None:
    report = report_of(make.before(), make.evaluation(guest=make.guest(console_scanned=False)))
    assert marks(report)["console/scan"] is Mark.ERROR


def test_a_symbol_that_cannot_be_had_is_a_failure_of_its_own() -> None:
    config = make.config(asked=(make.symbol("KVM"), make.missing_symbol("KVM_AMD")))
    report = report_of(make.before(), make.evaluation(config=config))
    assert marks(report)["config/symbol-1"] is Mark.FAIL


# --- over whatever a run may hold -----------------------------------------------------------------

_OUTCOMES = st.sampled_from(list(Outcome))
_IDS = ("write.page", "kselftest.kvm.x", "kselftest.kvm.x/sub", "kunit.suite/a/b")


@st.composite
def some_report(draw: st.DrawFn) -> Report:
    def boot(build_id: str) -> dict[str, object]:
        outcomes = {id: draw(_OUTCOMES) for id in _IDS if draw(st.booleans())}
        ends = draw(st.sampled_from([GuestEnd.DONE] * 3 + list(GuestEnd)))
        shown = draw(st.sampled_from([build_id, build_id, None, "0bad" * 10]))
        return {"guest": make.guest(shown, cases=make.cases(outcomes), end=ends)}

    build = draw(st.sampled_from([make.build(), make.build(), make.failed_build()]))
    after = boot(make.TIP_ID) if build.ok else {"guest": None}
    before = on_base({}).model_copy(update=boot(make.BASE_ID))
    last = make.evaluation(**(after | {"build": build}))
    if draw(st.booleans()):
        return report_of(before, last)
    return report_of(before, make.evaluation(**boot(make.TIP_ID)), last)


@given(some_report())
def test_something_fails_exactly_when_the_series_is_bad(report: Report) -> None:
    found = marks(report)
    assert (Mark.FAIL in found.values()) is (report.verdict.overall is Overall.BAD)
    if report.verdict.overall is Overall.TROUBLE:
        assert found["verdict/series"] is Mark.ERROR
    if report.verdict.overall is Overall.GOOD:
        assert set(found.values()) <= {Mark.PASS, Mark.SKIP}
    if Mark.ERROR in found.values():
        assert report.verdict.overall in (Overall.TROUBLE, Overall.BAD)


@given(some_report())
def test_a_skip_is_never_a_pass_and_our_trouble_never_a_failure(report: Report) -> None:
    found = marks(report)
    for case in report.verdict.cases:
        mark = found[f"{results.group_of(case.id)}/{case.id}"]
        if mark is Mark.PASS:
            assert Outcome.PASS in case.patched.outcomes
        if case.verdict is CaseVerdict.INFRA:
            assert mark is Mark.ERROR


@given(some_report())
def test_every_format_takes_whatever_a_run_may_hold(report: Report) -> None:
    tests = ktap_reader.read(ktap.ktap(report).decode())
    words = {Mark.PASS: "ok", Mark.SKIP: "SKIP", Mark.ERROR: "ERROR"}
    for name, mark in marks(report).items():
        below = [test for path, test in tests.items() if path.startswith(f"{name}/")]
        if not below and mark is not Mark.FAIL:
            assert tests[name].status == words[mark]
    kcidb(report, RunFolder("x"), KcidbSettings())
