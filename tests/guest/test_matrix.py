# SPDX-License-Identifier: GPL-2.0-or-later
"""The matrix against a kernel file that is no guest_memfd.

A memfd takes every write: any length, any offset, also beyond its end.  To the matrix it is a
kernel on which the series checks nothing, so it has to be caught.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from kverdict.guest.case import Failure
from kverdict.guest.facts import Facts
from kverdict.guest.kvm import FILE_PAGES, GuestMemfd
from kverdict.guest.matrix import ROWS, Row
from kverdict.guest.system import PAGE

SIZE = FILE_PAGES * PAGE
BY_ID = {row.id: row for row in ROWS}

RIGHT_ON_A_MEMFD = [
    "write.page",
    "write.pages-in-turn",
    "pwrite.page",
    "pwrite.last-page",
    "pwrite.whole-file",
    "pwrite.null",
    "pwrite.negative-offset",
    "writev.pieces",
    "pwritev.page",
    "pwritev2.at-position",
    "aio.page",
    "process.child",
    "lseek.end",
]
CAUGHT_ON_A_MEMFD = [
    "pwrite.at-eof",
    "pwrite.past-eof",
    "pwrite.across-eof",
    "pwrite.one-byte",
    "pwrite.part-of-page",
    "pwrite.unaligned-offset",
    "pwrite.page-and-more",
    "aio.part-of-page",
    "read.read",
    "read.pread",
    "size.ftruncate",
    "process.reopen",
    "splice.to",
]


@pytest.fixture
def memfd() -> Iterator[GuestMemfd]:
    fd = os.memfd_create("no guest_memfd")
    os.ftruncate(fd, SIZE)
    yield GuestMemfd(fd, SIZE, "0")
    os.close(fd)


@pytest.mark.parametrize("id", RIGHT_ON_A_MEMFD)
def test_a_row_accepts_what_is_right(id: str, memfd: GuestMemfd) -> None:
    row = BY_ID[id]
    row.check(memfd, row.flag, True)


@pytest.mark.parametrize("id", CAUGHT_ON_A_MEMFD)
def test_a_row_catches_a_file_that_takes_everything(id: str, memfd: GuestMemfd) -> None:
    row = BY_ID[id]
    with pytest.raises(Failure, match=r"expected .*, got"):
        row.check(memfd, row.flag, True)


@pytest.mark.parametrize("id", ["pwrite.page", "write.page", "pwrite.one-byte", "aio.page"])
def test_a_flag_that_is_not_looked_at_is_caught(id: str, memfd: GuestMemfd) -> None:
    row = BY_ID[id]
    with pytest.raises(Failure, match=r"expected -1 ENODEV \(No such device\), got"):
        row.check(memfd, row.noflag, False)


@pytest.mark.parametrize("id", ["pwrite.page", "write.page", "pwritev2.hipri", "lseek.set"])
def test_a_kernel_whose_header_has_no_flag_must_not_write(id: str, memfd: GuestMemfd) -> None:
    row = BY_ID[id]
    with pytest.raises(Failure):
        row.check(memfd, row.before, False)


def test_contents_that_do_not_match_the_answer_are_caught(memfd: GuestMemfd) -> None:
    os.pwrite(memfd.fd, b"\x01", SIZE - 1)
    row = BY_ID["pwrite.page"]
    with pytest.raises(Failure, match=r"first at page 7 offset 0xfff: .*does not hold"):
        row.check(memfd, row.flag, True)


def test_the_header_decides_what_a_file_without_the_flag_answers() -> None:
    row = BY_ID["pwrite.page"]
    patched = Facts(flags={"MMAP": 1, "INIT_SHARED": 2, "WRITE": 4})
    before = Facts(flags={"MMAP": 1, "INIT_SHARED": 2})
    assert row.expected_without(patched) == row.noflag
    assert row.expected_without(before) == row.before
    assert row.noflag != row.before


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.id)
def test_each_row_makes_a_case_for_each_kind_of_file(row: Row) -> None:
    with_flag, without = row.cases()
    assert (with_flag.id, without.id) == (row.id, f"noflag.{row.id}")
    assert "WRITE" in with_flag.needs
    assert "WRITE" not in without.needs
