# SPDX-License-Identifier: GPL-2.0-or-later
"""results.ktap, read by a reader that takes nothing but KTAP version 1."""

from __future__ import annotations

import pytest

from kverdict.exports.ktap import ktap
from kverdict.models import Outcome
from tests.exports.ktap_reader import Test, read
from tests.exports.reports import GOOD, evaluated, hostile, kinds, on_base, report_of

KINDS = kinds()


def tree_of(kind: str) -> dict[str, Test]:
    return read(ktap(KINDS[kind]).decode())


@pytest.mark.parametrize(
    ("kind", "test", "status"),
    [
        ("good", "verdict/series", "ok"),
        ("new-fail", "guest/write.page", "not ok"),
        ("new-fail", "guest/write.slow", "TIMEOUT"),
        ("new-fail", "guest", "not ok"),
        ("pre-existing", "guest/write.page", "SKIP"),
        ("pre-existing", "guest", "ok"),
        ("fixed", "guest/write.page", "ok"),
        ("flaky", "guest/write.race", "SKIP"),
        ("untestable", "guest", "SKIP"),
        ("infra", "guest/write.empty", "ERROR"),
        ("infra", "guest", "ERROR"),
        ("wrong-kernel", "guest", "SKIP"),
        ("wrong-kernel", "verdict", "ERROR"),
        ("series", "kselftest/kselftest.kvm.gmem", "not ok"),
        ("series", "kselftest/kselftest.kvm.gmem/write", "not ok"),
        ("series", "kselftest/kselftest.kvm.gmem/read", "ok"),
        ("series", "build/patch-2", "not ok"),
    ],
)
def test_each_kind_of_verdict(kind: str, test: str, status: str) -> None:
    assert tree_of(kind)[test].status == status


def test_what_is_no_pass_says_why_beside_and_before_it() -> None:
    test = tree_of("pre-existing")["guest/write.page"]
    assert test.diagnostic.startswith("PRE-EXISTING: base: fail; patched: fail; expected 4096")
    assert test.said == [
        "#   what write.page is about",
        "#   expected 4096, got -1 EINVAL (Invalid argument)",
        "#   Source: write(2)",
    ]


def test_a_test_fails_with_its_subtest_and_may_have_no_result_itself() -> None:
    ids = {"kunit.a": Outcome.PASS, "kunit.a/x/y": Outcome.FAIL, "kselftest.k.t/s": Outcome.PASS}
    report = report_of(on_base(GOOD | dict.fromkeys(ids, Outcome.PASS)), evaluated(GOOD | ids))
    tests = read(ktap(report).decode())
    assert [tests[name].status for name in ("kunit", "kunit/kunit.a", "kunit/kunit.a/x")] == [
        "not ok"
    ] * 3
    assert tests["kunit/kunit.a"].diagnostic == ""
    assert tests["kselftest/kselftest.k.t"].status == "ok"


@pytest.mark.parametrize(
    ("own", "below", "status"),
    [
        (Outcome.SKIP, Outcome.PASS, "SKIP"),
        (Outcome.PASS, Outcome.SKIP, "ok"),
        (Outcome.SKIP, Outcome.FAIL, "not ok"),
        (Outcome.FAIL, Outcome.PASS, "not ok"),
    ],
)
def test_the_result_of_a_test_counts_unless_a_subtest_fails(
    own: Outcome, below: Outcome, status: str
) -> None:
    ids = {"kselftest.k.t": own, "kselftest.k.t/s": below}
    # A skip is none of the series' doing where the base has it as well.
    base = {id: one if one is Outcome.SKIP else Outcome.PASS for id, one in ids.items()}
    report = report_of(on_base(GOOD | base), evaluated(GOOD | ids))
    assert read(ktap(report).decode())["kselftest/kselftest.k.t"].status == status


def test_strangers_words_forge_no_line_and_no_directive() -> None:
    text = ktap(hostile()).decode()
    tests = read(text)
    assert "forged" not in {test.name for test in tests.values()}
    assert tests["guest"].status == "not ok"
    assert [test.status for test in tests["guest"].below if "write.page" in test.name] == ["not ok"]
    # kunit_parser takes " # SKIP" anywhere in a result line for the directive.
    failing = [line for line in text.splitlines() if line.lstrip().startswith("not ok")]
    assert failing
    assert not [line for line in failing if " # SKIP" in line]
    for end in ("List of all partitions:", "reboot: System halted"):
        assert end not in text
