# SPDX-License-Identifier: GPL-2.0-or-later
"""kverdict.policy: each point of it fails on its own, and says why."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from kverdict import models as m
from kverdict import settings as settings_module
from kverdict.errors import UserError
from kverdict.policy import Point, ReplySettings, offer
from kverdict.verdict import Overall, Report
from tests import answered
from tests import factories as make

SERIES = make.series(patches=(make.patch(1), make.patch(2)))
DEFAULT = ReplySettings()


def failed(report: Report, settings: ReplySettings = DEFAULT) -> list[str]:
    return [point.point for point in offer(report, settings).failed]


def with_config(config: m.ConfigProof) -> Report:
    return answered.report(
        SERIES, make.before(config=config), (answered.built(1), answered.booted(config=config))
    )


def missing_optional() -> m.ConfigProof:
    return make.config(asked=(make.symbol("KVM"), make.missing_symbol("SGX", required=False)))


def base_with_a_report() -> Report:
    guest = make.guest(make.BASE_ID, splats=(make.splat(),))
    return answered.report(SERIES, make.before(guest=guest))


def half_built() -> Report:
    return answered.report(SERIES, None, (answered.built(1, build=None), answered.booted()))


def without_sandbox() -> Report:
    return answered.report(SERIES, protection=())


PASSING = {"pwrite.page": m.Outcome.PASS, "pwrite.race": m.Outcome.PASS}
FAILING = {**PASSING, "pwrite.race": m.Outcome.FAIL}


def guest(build_id: str, cases: Mapping[str, m.Outcome]) -> m.Guest:
    return make.guest(build_id, cases=make.cases(cases))


def flaky_on_the_base() -> Report:
    again = guest(make.BASE_ID, PASSING)
    old = make.before(guest=guest(make.BASE_ID, FAILING), reruns=(again,))
    return answered.report(SERIES, old, (answered.built(1), answered.booted(PASSING)))


def flaky_on_both() -> Report:
    """It fails on the base, and once on the patched kernel."""
    last = answered.booted(FAILING, reruns=(guest("b1d2" * 10, PASSING),))
    return answered.report(SERIES, answered.base_with(FAILING), (answered.built(1), last))


def flaky_on_a_patch_in_between() -> Report:
    first = guest("b1d1" * 10, FAILING), (guest("b1d1" * 10, PASSING),)
    patches = (answered.built(1, guest=first[0], reruns=first[1]), answered.booted(PASSING))
    return answered.report(SERIES, answered.base_with(PASSING), patches)


def test_all_points_hold_and_the_trailer_is_offered() -> None:
    made = offer(answered.good(SERIES), DEFAULT)
    assert made.made
    assert [point.point for point in made.points] == ["verdict", *(point.value for point in Point)]


@pytest.mark.parametrize(
    ("report", "points"),
    [
        (answered.good_with_a_skip(SERIES), ["cases"]),
        (answered.good_in_part(SERIES), ["reach"]),
        (answered.pre_existing(SERIES), ["base"]),
        (answered.flaky(SERIES), ["cases"]),
        (flaky_on_the_base(), ["cases"]),
        (flaky_on_both(), ["cases", "base"]),
        (flaky_on_a_patch_in_between(), ["cases"]),
        (answered.untestable(SERIES), ["verdict"]),
        (answered.bad_case(SERIES), ["verdict", "base"]),
        (answered.bad_build(SERIES), ["verdict", "built"]),
        (answered.bad_console(SERIES), ["verdict", "console"]),
        (answered.bad_warning(SERIES), ["verdict"]),
        (answered.infra(SERIES), ["verdict"]),
        (with_config(make.config(differing=("FOO: y -> n",))), ["config"]),
        (with_config(missing_optional()), []),
        (base_with_a_report(), ["base"]),
        (half_built(), ["built"]),
        (without_sandbox(), ["identity"]),
    ],
)
def test_what_fails(report: Report, points: list[str]) -> None:
    assert failed(report) == points


def test_a_report_without_its_evidence_offers_nothing() -> None:
    report = answered.good(SERIES)
    bare = report.verdict.model_copy(update={"evidence": ()})
    assert failed(report.model_copy(update={"verdict": bare})) == [
        "config",
        "identity",
        "console",
        "base",
    ]


def test_a_file_that_is_not_compiled_is_named_and_one_that_is_holds() -> None:
    (point,) = offer(answered.good_in_part(SERIES), DEFAULT).failed
    assert point.why == ("1 of 2 touched source files compiled; not drivers/bar.c (needs BAR)")
    done = m.FileReach(path=answered.FOO, patches=(1,), state=m.ReachState.COMPILED)
    assert failed(answered.report(SERIES, reach=m.Reach(files=(done,)))) == []


@pytest.mark.parametrize("overall", [one for one in Overall if one is not Overall.GOOD])
def test_no_setting_gets_around_the_verdict(overall: Overall) -> None:
    report = answered.good(SERIES)
    other = report.verdict.model_copy(update={"overall": overall})
    nothing = ReplySettings(tested_by=())
    assert failed(report.model_copy(update={"verdict": other}), nothing) == ["verdict"]
    assert failed(report, nothing) == []


def test_a_flaky_case_is_named_and_need_not_be_required() -> None:
    (point,) = offer(answered.flaky(SERIES), DEFAULT).failed
    assert point.why == "flaky: pwrite.race"
    assert failed(answered.flaky(SERIES), ReplySettings(cases=("pwrite.page",))) == []
    assert failed(flaky_on_both(), ReplySettings(cases=("pwrite.page",))) == ["base"]


@pytest.mark.parametrize(
    ("patterns", "holds"),
    [
        (("*",), False),
        (("pwrite.*",), True),
        (("pwrite.page", "uring.*"), False),
        ((), True),
        (("nothing.*",), False),
    ],
)
def test_which_cases_are_required(patterns: tuple[str, ...], holds: bool) -> None:
    settings = ReplySettings(cases=patterns)
    assert offer(answered.good_with_a_skip(SERIES), settings).made is holds


def test_coverage_is_not_measured_and_fails_only_a_limit() -> None:
    assert failed(answered.good(SERIES), ReplySettings(coverage=80)) == ["coverage"]
    (point,) = offer(answered.good(SERIES), ReplySettings(coverage=80)).failed
    assert point.why == "not measured; the limit is 80 %"


@pytest.mark.parametrize("make_report", [answered.good, answered.bad_case, answered.untestable])
def test_fewer_points_never_offer_less(make_report: Callable[[m.Series], Report]) -> None:
    report = make_report(SERIES)
    whole = set(failed(report))
    for point in Point:
        rest = tuple(one for one in Point if one is not point)
        assert set(failed(report, ReplySettings(tested_by=rest))) == whole - {point.value}


def test_the_settings_file(tmp_path: Path) -> None:
    file = tmp_path / "pipeline.toml"
    file.write_text('[reply]\ntested_by = ["built", "console"]\ncases = ["pwrite.*"]\nadvice = 2\n')
    assert settings_module.load(file).reply == ReplySettings(
        tested_by=(Point.BUILT, Point.CONSOLE), cases=("pwrite.*",), advice=2
    )
    file.write_text('[reply]\ntested_by = ["luck"]\n')
    with pytest.raises(UserError, match=r"reply\.tested_by"):
        settings_module.load(file)
