# SPDX-License-Identifier: GPL-2.0-or-later
from __future__ import annotations

from errno import EFAULT, EINVAL

import pytest

from kverdict.guest.case import Case, Failure, Skip, answer, expect, expect_error, must, one_of
from kverdict.guest.facts import BadFacts, Facts, parse
from kverdict.guest.memory import Buffer, describe, expect_bytes, pattern
from kverdict.guest.system import PAGE


def test_an_answer_is_told_as_the_kernel_tells_it() -> None:
    assert answer(4096) == "4096"
    assert answer(-EINVAL) == "-1 EINVAL (Invalid argument)"
    assert answer(-524) == "-1 errno 524 (Unknown error 524)"  # ENOTSUPP, kernel only


def test_a_failure_names_call_expectation_answer_and_meaning() -> None:
    with pytest.raises(Failure) as failure:
        expect("pwrite(fd, buf, 1, 0)", 1, -EINVAL, "alignment is not checked")
    assert str(failure.value) == (
        "pwrite(fd, buf, 1, 0): expected -1 EINVAL (Invalid argument), got 1: "
        "alignment is not checked"
    )


def test_any_of_several_answers_is_right_and_no_other() -> None:
    either = one_of(PAGE, -EINVAL, why="whole pages or nothing")
    expect("pwrite", PAGE, either)
    expect("pwrite", -EINVAL, either)
    with pytest.raises(
        Failure, match=r"expected 4096 or -1 EINVAL .* \(whole pages or nothing\), got -1 EFAULT"
    ):
        expect("pwrite", -EFAULT, either)


def test_an_error_that_is_expected_may_be_any_but_no_success() -> None:
    expect_error("pwrite", -EFAULT)
    with pytest.raises(Failure, match="expected an error, got 0"):
        expect_error("pwrite", 0)


def test_a_call_that_must_succeed_gives_its_value() -> None:
    assert must("open", 7) == 7
    with pytest.raises(Failure, match="open: expected success, got -1 EFAULT"):
        must("open", -EFAULT)


def test_a_case_is_skipped_when_the_header_lacks_a_flag() -> None:
    ran: list[Facts] = []
    case = Case("a.b", "title", "source", ("MMAP", "WRITE"), ran.append)
    with pytest.raises(Skip, match=r"header does not define GUEST_MEMFD_FLAG_WRITE$"):
        case.run(Facts(flags={"MMAP": 1}))
    assert not ran
    facts = Facts(flags={"MMAP": 1, "WRITE": 1 << 40})
    case.run(facts)
    assert ran == [facts]


def test_facts_come_from_json_with_the_flags_of_the_header() -> None:
    facts = parse({"flags": {"GUEST_MEMFD_FLAG_WRITE": 8}, "cases": ["a.b"], "time_scale": 4.0})
    assert facts.bits(("WRITE",)) == 8
    assert facts.patched
    assert facts.cases == ("a.b",)
    assert not parse({"flags": {"GUEST_MEMFD_FLAG_MMAP": 1}}).patched


@pytest.mark.parametrize(
    "given",
    [
        [],
        {},
        {"flags": {"WRITE": 4}},
        {"flags": {"GUEST_MEMFD_FLAG_WRITE": 0}},
        {"flags": {"GUEST_MEMFD_FLAG_WRITE": 1 << 64}},
        {"flags": {"GUEST_MEMFD_FLAG_WRITE": True}},
        {"flags": {}, "cases": "a.b"},
        {"flags": {}, "time_scale": 0},
        {"flags": {}, "time_scale": "2"},
        {"flags": {}, "bench_mib": -1},
        {"flags": {}, "bench_rounds": 1.5},
        {"flags": {}, "surprise": 1},
    ],
)
def test_facts_that_make_no_sense_are_refused(given: object) -> None:
    with pytest.raises(BadFacts):
        parse(given)


def test_the_pattern_never_repeats_a_word_and_has_no_zero_word() -> None:
    data = pattern(4 * PAGE)
    words = [data[at : at + 8] for at in range(0, len(data), 8)]
    assert len(data) == 4 * PAGE
    assert len(set(words)) == len(words)
    assert bytes(8) not in words
    assert pattern(12) == data[:12]


def test_bytes_that_differ_are_named_by_page_and_offset() -> None:
    expected = bytes(3 * PAGE)
    got = bytearray(expected)
    got[PAGE + 0x10] = 0xAB
    got[2 * PAGE] = 1
    with pytest.raises(
        Failure, match=r"page: 2 of 12288 bytes differ, first at page 1 offset 0x10: .* got ab00"
    ):
        expect_bytes("page", bytes(got), expected)


def test_contents_that_end_early_are_a_failure() -> None:
    with pytest.raises(Failure, match="expected 2 bytes, got 1"):
        expect_bytes("page", b"\0", b"\0\0")


def test_a_torn_page_is_described_by_its_runs() -> None:
    assert describe(b"\x22" * 2048 + bytes(2048)) == "0x22 x 2048, 0x00 x 2048"
    assert describe(pattern(PAGE)).endswith(", ...")


def test_a_buffer_is_page_aligned_and_a_dropped_page_reads_as_zeroes() -> None:
    buffer = Buffer(3)
    assert buffer.address % PAGE == 0
    buffer.drop(1)
    assert buffer.bytes(0, 3 * PAGE) == pattern(PAGE) + bytes(PAGE) + pattern(3 * PAGE)[2 * PAGE :]
