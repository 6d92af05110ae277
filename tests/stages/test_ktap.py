# SPDX-License-Identifier: GPL-2.0-or-later
"""What programs and KUnit suites printed, read by the kernel's own parser, in the real sandbox."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from kverdict.errors import InfraError
from kverdict.findings.suite import read_results
from kverdict.guest import identity, programs
from kverdict.guest.results import Results
from kverdict.models import CaseResult, Outcome, TestOutput
from kverdict.sandbox import Isolation
from kverdict.stages import ktap
from tests import factories

pytestmark = pytest.mark.host

DATA = Path(__file__).resolve().parents[1] / "data/kunit"
PARSER = {name: (DATA / Path(name).name).read_bytes() for name in ktap.PARSER}
PASS, FAIL, SKIP, CRASH = Outcome.PASS, Outcome.FAIL, Outcome.SKIP, Outcome.CRASH
ERROR, NOT_RUN = Outcome.ERROR, Outcome.NOT_RUN


def suite(tests: str, last: str = "ok 1 made") -> str:
    """As lib/kunit/debugfs.c prints it."""
    count = sum(line.startswith(("ok", "not ok")) for line in tests.splitlines())
    inner = "\n".join(f"    {line}" for line in tests.splitlines())
    head = f"KTAP version 1\n1..1\n    KTAP version 1\n    # Subtest: made\n    1..{count}\n"
    return f"{head}{inner}\n{last}\n"


def read(
    folder: Path,
    cases: Sequence[CaseResult],
    texts: Sequence[str],
    isolation: Isolation = Isolation.BUBBLEWRAP,
) -> tuple[CaseResult, ...]:
    outputs = [TestOutput(case=case.id, text=text) for case, text in zip(cases, texts, strict=True)]
    return ktap.subtests(cases, outputs, PARSER, folder, isolation=isolation)


def one(
    folder: Path, id: str, text: str, outcome: Outcome = PASS, message: str = ""
) -> list[tuple[str, Outcome]]:
    case = factories.case(id, outcome, message=message)
    return [(found.id, found.outcome) for found in read(folder, [case], [text])]


@pytest.mark.parametrize("isolation", Isolation)
def test_each_case_is_followed_by_its_own_subtests(tmp_path: Path, isolation: Isolation) -> None:
    cases = [factories.case(f"kselftest.x.{name}") for name in ("a", "b", "c")]
    texts = ["TAP version 13\n1..2\nok 1 one\nnot ok 2 two\n", "no KTAP\n", "1..1\nok 1 headless\n"]
    found = read(tmp_path, cases, texts, isolation)
    assert [(case.id, case.outcome) for case in found] == [
        ("kselftest.x.a", PASS),
        ("kselftest.x.a/one", PASS),
        ("kselftest.x.a/two", FAIL),
        ("kselftest.x.b", PASS),
        ("kselftest.x.c", PASS),
    ]


def test_without_outputs_nothing_is_started(tmp_path: Path) -> None:
    cases = (factories.case("a"),)
    assert ktap.subtests(cases, (), {}, tmp_path) == cases
    assert list(tmp_path.iterdir()) == []


def test_a_suite_that_left_nothing_at_all_is_no_pass(tmp_path: Path) -> None:
    """Its file in debugfs was empty, and no other case printed anything."""
    cases = [factories.case("kunit"), factories.case("kunit.made"), factories.case("kselftest.x.a")]
    found = ktap.subtests(cases, (), {}, tmp_path)
    assert [case.outcome for case in found] == [PASS, ERROR, PASS]
    assert found[1].message == "it left no KTAP"


@pytest.mark.parametrize(
    ("results", "program", "below"),
    [
        # ksft_test_result_skip() and ..._xfail() of kselftest.h have no name.
        ("ok 1 # SKIP no huge pages\nok 2 two", PASS, [("1", SKIP), ("two", PASS)]),
        ("ok 1 # SKIP no huge pages\nok 2 # SKIP", SKIP, [("1", SKIP), ("2", SKIP)]),
        ("ok 1 # XFAIL known\nok 2 two", PASS, [("1", SKIP), ("two", PASS)]),
        ("ok 1 a # XFAIL known\nnot ok 2 b # XFAIL known", SKIP, [("a", SKIP), ("b", SKIP)]),
        ("not ok 1 # error no memory\nok 2 two", PASS, [("1", FAIL), ("two", PASS)]),
        ("not ok 1 a # SKIP no\nok 2 - b # skip no", SKIP, [("a", SKIP), ("b", SKIP)]),
        ("ok 1 a", PASS, [("a", PASS)]),
        ("ok 1\nnot ok 2", PASS, [("1", PASS), ("2", FAIL)]),
        ("ok 1 a\nok 2 a", PASS, [("a", PASS), ("a-2", PASS)]),
        (
            "ok 1 a\nok 2 a\nnot ok 3 a-2\nok 4 a",
            PASS,
            [("a", PASS), ("a-3", PASS), ("a-2", FAIL), ("a-4", PASS)],
        ),
        ("ok 1 a b (c)", PASS, [("a_b__c_", PASS)]),
    ],
)
def test_no_skip_is_a_pass_and_none_is_lost(
    tmp_path: Path, results: str, program: Outcome, below: list[tuple[str, Outcome]]
) -> None:
    text = f"TAP version 13\n1..{len(results.splitlines())}\n{results}\n"
    expected = [(f"kselftest.x.t/{name}", outcome) for name, outcome in below]
    assert one(tmp_path, "kselftest.x.t", text) == [("kselftest.x.t", program), *expected]


def test_a_skip_keeps_its_reason(tmp_path: Path) -> None:
    text = "TAP version 13\n1..2\nok 1 # SKIP no huge pages\n# looked\nok 2 b # XFAIL later\n"
    program, first, second = read(tmp_path, [factories.case("kselftest.x.t")], [text])
    assert "no huge pages" in first.message
    assert second.message.splitlines() == ["# looked", "# XFAIL expected to fail: later"]
    assert "all that it tests was skipped" in program.message
    assert "no huge pages" in program.message


def test_a_failure_says_what_came_before_it(tmp_path: Path) -> None:
    text = "TAP version 13\n1..1\n# mmap: EINVAL\nnot ok 1 map # error 22\n"
    _, found = read(tmp_path, [factories.case("kselftest.x.t", FAIL)], [text])
    assert found.message.splitlines() == ["# mmap: EINVAL", "# result: error 22"]


def test_the_exit_status_of_a_program_stays(tmp_path: Path) -> None:
    text = "TAP version 13\n1..3\nok 1 one\n"
    assert one(tmp_path, "kselftest.x.t", text, FAIL) == [
        ("kselftest.x.t", FAIL),
        ("kselftest.x.t/one", PASS),
    ]
    skipped = "TAP version 13\n1..1\nok 1 one # SKIP no\n"
    assert one(tmp_path, "kselftest.x.t", skipped, CRASH)[0] == ("kselftest.x.t", CRASH)


@pytest.mark.parametrize(
    ("text", "outcome"),
    [
        ("TAP version 13\n1..0\n", SKIP),
        ("TAP version 13\n# looks\n1..0 # SKIP no such hardware\n", SKIP),
        ("TAP version 13\nlooks without results\n", PASS),
        ("TAP version 13\n1..2\nok 1 a\n    1..0\nok 2 b\n", PASS),
        ("TAP version 13\n1..01\nok 1 a\n", PASS),
    ],
)
def test_a_program_that_plans_nothing_does_not_pass(
    tmp_path: Path, text: str, outcome: Outcome
) -> None:
    assert one(tmp_path, "kselftest.x.t", text)[0] == ("kselftest.x.t", outcome)
    assert one(tmp_path, "kselftest.x.t", text, FAIL)[0] == ("kselftest.x.t", FAIL)


@pytest.mark.parametrize(
    ("text", "outcome", "below"),
    [
        (suite("ok 1 a\nok 2 b"), PASS, [("a", PASS), ("b", PASS)]),
        (suite("ok 1 a\nok 2 b # SKIP no"), PASS, [("a", PASS), ("b", SKIP)]),
        # kunit_suite_has_succeeded() is true, and debugfs says a plain ok.
        (suite("ok 1 a # SKIP no\nok 2 b # SKIP no"), SKIP, [("a", SKIP), ("b", SKIP)]),
        (suite("ok 1 a\nnot ok 2 b", "not ok 1 made"), FAIL, [("a", PASS), ("b", FAIL)]),
        (suite("ok 1 a", "not ok 1 made"), FAIL, [("a", PASS)]),
        ("", ERROR, []),
        ("[  1.0] no KTAP\n", ERROR, []),
    ],
)
def test_a_suite_is_what_its_tests_come_to(
    tmp_path: Path, text: str, outcome: Outcome, below: list[tuple[str, Outcome]]
) -> None:
    expected = [(f"kunit.made/{name}", result) for name, result in below]
    assert one(tmp_path, "kunit.made", text) == [("kunit.made", outcome), *expected]


def test_the_suites_of_a_real_guest(tmp_path: Path) -> None:
    """`--kunit lib/kunit` on Linux 7.2.13; kunit_fault has tests with KUNIT_FAULT_TEST only."""
    texts = json.loads((DATA / "lib-kunit-7.2.13.json").read_text())
    found = {
        case.id: case
        for case in read(tmp_path, [factories.case(id) for id in texts], [*texts.values()])
    }
    suites = {id: found[id].outcome for id in texts}
    assert suites == {**dict.fromkeys(texts, PASS), "kunit.kunit_fault": SKIP}
    assert "no tests" in found["kunit.kunit_fault"].message
    lines = "".join(texts.values()).splitlines()
    results = [line for line in lines if line.startswith("  ") and line.split()[0] == "ok"]
    assert len(found) == len(texts) + len(results)
    skipped = [case for id, case in found.items() if case.outcome is SKIP and id not in texts]
    assert [case.id.removeprefix("kunit.example/example_") for case in skipped] == [
        "skip_test",
        "mark_skipped_test",
        "params_test/example_value_3",
        "params_test/example_value_0",
    ]
    reasons = [case.message.rpartition("# SKIP ")[2] for case in skipped]
    assert reasons[:2] == ["this test should be skipped"] * 2
    # To kunit_parser what stands before the first parameter's result is the whole test's.
    assert reasons[2:] == ["", "unsupported param value 0"]


@pytest.mark.parametrize("outcome", [CRASH, NOT_RUN, ERROR])
def test_a_suite_that_was_not_read_to_its_end_does_not_pass(
    tmp_path: Path, outcome: Outcome
) -> None:
    assert one(tmp_path, "kunit.made", suite("ok 1 a"), outcome)[0] == ("kunit.made", outcome)
    (folder := tmp_path / "other").mkdir()
    assert one(folder, "kunit.made", "", outcome) == [("kunit.made", outcome)]


def test_a_suite_that_is_too_long_is_never_a_pass(tmp_path: Path) -> None:
    """The end of its results alone is a test that passed, with a "KTAP version" of its own."""
    said = "\n".join(f"    # bad: EXPECTATION FAILED at made.c:{n}, 0 == 1" for n in range(9000))
    passed = "    KTAP version 1\n    # Subtest: many\n    ok 1 first\n    ok 2 second\nok 3 many"
    text = suite(f"ok 1 good\nnot ok 2 bad\n{said}\n{passed}", "not ok 1 made")
    end = text[-programs.MOST_OUTPUT :]
    (tmp_path / "end").mkdir()
    assert "not ok 2 bad" not in end
    assert one(tmp_path / "end", "kunit.made", end)[0] == ("kunit.made", PASS)
    (tmp_path / "debugfs").mkdir()
    (tmp_path / "debugfs/results").write_text(text)
    (tmp_path / "told").mkdir()
    results = Results(tmp_path / "told")
    results.put("hello", **identity.hello())
    results.put("plan", cases=["kunit.made"])
    programs.report_kunit({"kunit.made": tmp_path / "debugfs"}, results)
    results.put("done")
    told = read_results(tmp_path / "told", cases=["kunit.made"], kunit=True)
    assert told.problems == ()
    (tmp_path / "parser").mkdir()
    found = ktap.subtests(told.cases, told.outputs, PARSER, tmp_path / "parser")
    assert [(case.id, case.outcome) for case in found] == [
        ("kunit.made", ERROR),
        ("kunit.made/good", PASS),
        ("kunit.made/bad", FAIL),
    ]
    assert found[0].message == "its results are over 262144 bytes, and were cut"


def test_what_a_cut_leaves_without_a_result_has_not_crashed(tmp_path: Path) -> None:
    inner = "    KTAP version 1\n    # Subtest: many\n    ok 1 first"
    text = suite(f"not ok 1 bad\n{inner}\nok 2 many").removesuffix("    ok 2 many\nok 1 made\n")
    assert one(tmp_path, "kunit.made", text, ERROR) == [
        ("kunit.made", ERROR),
        ("kunit.made/bad", FAIL),
        ("kunit.made/many/first", PASS),
    ]


def test_parameters_are_a_level_of_their_own(tmp_path: Path) -> None:
    inner = "    KTAP version 1\n    # Subtest: many\n    ok 1 first value\n    not ok 2 second"
    text = suite(f"{inner}\nnot ok 1 many\nok 2 b", "not ok 1 made")
    assert one(tmp_path, "kunit.made", text) == [
        ("kunit.made", FAIL),
        ("kunit.made/many", FAIL),
        ("kunit.made/many/first_value", PASS),
        ("kunit.made/many/second", FAIL),
        ("kunit.made/b", PASS),
    ]


def test_a_parser_that_gives_no_answer_is_our_trouble(tmp_path: Path) -> None:
    broken = {**PARSER, ktap.PARSER[0]: b"raise SystemError('made for a test')\n"}
    outputs = [TestOutput(case="a", text="TAP version 13\n")]
    with pytest.raises(InfraError, match="made for a test"):
        ktap.subtests([factories.case("a")], outputs, broken, tmp_path)


UNREADABLE = {
    "a number of 5000 digits": f"TAP version 13\n1..1\nok {'1' * 5000} x\n",
    "a plan of 5000 digits": f"TAP version 13\n1..{'1' * 5000}\nok 1 x\n",
    "a plan without end": f"TAP version 13\n1..{1 << 31}\nok 1 x\n",
    "a plan behind a prefix": f"[1.5] TAP version 13\n[1.5] 1..{1 << 31}\n[1.5] ok 1 x\n",
    "many plans": "TAP version 13\n"
    + "  KTAP version 1\n  # Subtest: a\n  1..4000\nok 1 a\n" * 4000,
    "no end of nesting": "KTAP version 1\n" * 2000,
}


def test_what_cannot_be_read_of_one_case_leaves_the_others(tmp_path: Path) -> None:
    programs = [factories.case(f"kselftest.x.{n}", FAIL) for n in range(len(UNREADABLE))]
    suites = [factories.case(f"kunit.{n}") for n in range(len(UNREADABLE))]
    good = factories.case("kunit.made")
    texts = [*UNREADABLE.values(), *UNREADABLE.values(), suite("ok 1 a")]
    found = read(tmp_path, [*programs, *suites, good], texts)
    assert [(case.id, case.outcome) for case in found] == [
        *((case.id, FAIL) for case in programs),
        *((case.id, ERROR) for case in suites),
        ("kunit.made", PASS),
        ("kunit.made/a", PASS),
    ]
    reasons = {case.message for case in found[len(programs) : -2]}
    assert reasons == {"kunit_parser cannot read what it left"}


def test_a_line_of_blanks_takes_no_time(tmp_path: Path) -> None:
    blanks = " " * (256 << 10)
    text = f"{blanks}x\nTAP version 13\n1..2\n{blanks}x\nok 1 {blanks}a # SKIP no\nok 2 b\n"
    assert one(tmp_path, "kselftest.x.t", text) == [
        ("kselftest.x.t", PASS),
        ("kselftest.x.t/a", SKIP),
        ("kselftest.x.t/b", PASS),
    ]


def test_what_a_parser_prints_is_no_answer(tmp_path: Path) -> None:
    name = ktap.PARSER[0]
    loud = {**PARSER, name: PARSER[name] + b"\nprint('{\"a\": null}', flush=True)\n"}
    outputs = [TestOutput(case="a", text="TAP version 13\n1..1\nok 1 b\n")]
    found = ktap.subtests([factories.case("a")], outputs, loud, tmp_path)
    assert [case.id for case in found] == ["a", "a/b"]
