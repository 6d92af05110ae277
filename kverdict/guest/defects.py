# SPDX-License-Identifier: GPL-2.0-or-later
"""Four things that v7 of the series does wrong.

They were found by reading generic_perform_write() (mm/filemap.c), which v7 uses directly as
.write_iter, and seen on Linux 7.2 with v7 ported to it.  Each is against a man page or against
the series' own commit message, and each expectation leaves room for any sane repair.

A case's id is that of its defect, a dot, and a word of its own.
"""

from __future__ import annotations

import mmap
import os
from errno import EFAULT, EINVAL
from functools import partial
from typing import Dict, Sequence, Tuple

from . import system
from .case import Case, Skip, case, expect, expect_error, fail, must, one_of
from .facts import INIT_SHARED, MMAP, WRITE, Facts
from .kvm import FILE_PAGES, GuestMemfd, Vm, flags_text
from .matrix import ALIGNED, POPULATE
from .memory import Buffer, address_of, describe, expect_bytes
from .system import PAGE

STALE = "defect.stale-memory"
SHORT = "defect.short-write"
TORN = "defect.torn-page"
PRIVATE = "defect.private-write"

DEFECTS: Dict[str, str] = {
    STALE: "a zero-length write exposes stale kernel memory",
    SHORT: "a write ends inside a page and cannot be resumed",
    TORN: "a faulting source leaves a page half written",
    PRIVATE: "private memory can be written",
}

ZERO_COUNT = "write(2): a count of zero returns 0 and has no other effect"
RESUME = f"{ALIGNED}; write(2): after a partial write the caller writes the rest"
ATOMIC_PAGE = "write(2), EFAULT: what was not counted was not written"
SHARED_ONLY = 'commit message: "write() will only be allowed to populate shared pages"'

OLD, NEW = b"\x11", b"\x22"


# --- zero length --------------------------------------------------------------------------------


@case(f"{STALE}.pwrite", "pwrite() of nothing returns 0", ZERO_COUNT, POPULATE)
def empty_pwrite(facts: Facts) -> None:
    with Vm() as vm:
        file = vm.guest_memfd(facts, POPULATE)
        buffer = Buffer(1)
        expect(
            f"pwrite(fd, buf, 0, 0) on {file}",
            system.pwrite(file.fd, buffer.address, 0, 0),
            0,
            "generic_perform_write() takes the 0 bytes that it copied for a fault",
        )


@case(f"{STALE}.write", "write() of nothing returns 0", ZERO_COUNT, POPULATE)
def empty_write(facts: Facts) -> None:
    with Vm() as vm:
        file = vm.guest_memfd(facts, POPULATE)
        buffer = Buffer(1)
        expect(f"write(fd, buf, 0) on {file}", system.write(file.fd, buffer.address, 0), 0)


@case(f"{STALE}.at-eof", "pwrite() of nothing at the end of the file", ZERO_COUNT, POPULATE)
def empty_at_eof(facts: Facts) -> None:
    with Vm() as vm:
        file = vm.guest_memfd(facts, POPULATE)
        buffer = Buffer(1)
        expect(
            f"pwrite(fd, buf, 0, {file.size}) on {file}",
            system.pwrite(file.fd, buffer.address, 0, file.size),
            one_of(0, -EINVAL, why="nothing to write, or the error of a write that does not fit"),
            "the buffer is readable; a page beyond the end of the file was looked up for it",
        )


@case(f"{STALE}.no-page", "pwrite() of nothing allocates no page", ZERO_COUNT, POPULATE)
def empty_allocates_nothing(facts: Facts) -> None:
    with Vm() as vm:
        file = vm.guest_memfd(facts, POPULATE)
        view, buffer = file.map(), Buffer(1)
        if any(system.mincore(address_of(view), FILE_PAGES)):
            raise Skip("mincore(2) does not tell what the page cache of guest_memfd holds")
        for page in range(FILE_PAGES):
            system.pwrite(file.fd, buffer.address, 0, page * PAGE)
        cached = sum(system.mincore(address_of(view), FILE_PAGES))
        if cached:
            fail(
                f"after pwrite(fd, buf, 0, ...) on each page of {file}: expected 0 pages in the "
                f"page cache (mincore), got {cached}",
                "they are marked up to date, and nothing of them was cleared",
            )


@case(
    f"{STALE}.contents",
    "memory that pwrite() of nothing went over reads as zeroes",
    "guest_memfd memory is cleared before its first use; " + ZERO_COUNT,
    POPULATE,
    limit=40,
)
def empty_exposes_nothing(facts: Facts) -> None:
    pages = 2048
    secret = b"\x5a"
    freed = Buffer(4 * pages, secret)
    freed.map.resize(PAGE)
    with Vm() as vm:
        file = vm.guest_memfd(facts, POPULATE, pages)
        buffer = Buffer(1)
        for page in range(pages):
            system.pwrite(file.fd, buffer.address, 0, page * PAGE)
        data = file.contents()
    zero, secret_page = bytes(PAGE), secret * PAGE
    found = [data[at : at + PAGE] for at in range(0, len(data), PAGE)]
    stale = [page for page in found if page != zero]
    if stale:
        known = sum(page == secret_page for page in stale)
        fail(
            f"after pwrite(fd, buf, 0, ...) on each page of {file}: expected zeroes, got "
            f"{len(stale)} pages with other contents, {known} of them what this process had in "
            "memory that it gave back",
            "whatever the kernel or another process left in these pages can be read",
        )


# --- short writes -------------------------------------------------------------------------------


def write_all(file: GuestMemfd, buffer: Buffer, start: int, length: int) -> None:
    """pwrite() in a loop, as write(2) tells callers to, with the whole rest each time."""
    done = 0
    while done < length:
        what = f"pwrite(fd, buf + {start + done}, {length - done}, {done}) on {file}"
        got = system.pwrite(file.fd, buffer.address + start + done, length - done, done)
        resumed = f", resumed after {done} bytes" if done else ""
        must(what + resumed, got, "the source is readable; the rest cannot be written any more")
        if got == 0 or got % PAGE:
            fail(
                f"{what}: expected a count of whole pages, got {got}",
                "the next pwrite() would be at an unaligned offset, which is refused: "
                "the write cannot be resumed",
            )
        done += got


def check_unaligned_source(facts: Facts, start: int, dropped: Sequence[int], old: bytes) -> None:
    """A file is written from ``start`` bytes into a buffer, of which some pages are not resident.

    ``old`` fills the file before; without it the file is fresh.
    """
    with Vm() as vm:
        file = vm.guest_memfd(facts, POPULATE)
        if old:
            file.map()[:] = old * file.size
        buffer = Buffer(FILE_PAGES + 1)
        for page in dropped:
            buffer.drop(page)
        write_all(file, buffer, start, file.size)
        expect_bytes(
            f"contents of {file} after the write", file.contents(), buffer.bytes(start, file.size)
        )


@case(f"{SHORT}.lazy-source", "unaligned source that is not resident", RESUME, POPULATE)
def lazy_source(facts: Facts) -> None:
    check_unaligned_source(facts, 48, range(FILE_PAGES + 1), b"")


@case(f"{SHORT}.lazy-rest", "unaligned source, all but its first page lazy", RESUME, POPULATE)
def lazy_rest(facts: Facts) -> None:
    check_unaligned_source(facts, 48, range(1, FILE_PAGES + 1), b"")


@case(f"{SHORT}.every-other", "unaligned source, every other page lazy", RESUME, POPULATE)
def lazy_every_other(facts: Facts) -> None:
    check_unaligned_source(facts, 2048, range(1, FILE_PAGES + 1, 2), b"")


@case(f"{SHORT}.rewrite", "rewriting from an unaligned, lazy source", RESUME, POPULATE)
def lazy_rewrite(facts: Facts) -> None:
    check_unaligned_source(facts, 48, range(1, FILE_PAGES + 1), OLD)


@case(f"{SHORT}.heap", "source from the heap that was never touched", RESUME, POPULATE)
def heap_source(facts: Facts) -> None:
    """Large calloc() memory is lazy and begins a few bytes into a page."""
    length = 2 << 20
    with Vm() as vm:
        file = vm.guest_memfd(facts, POPULATE, length // PAGE)
        data = bytes(length)
        what = f"os.pwrite(fd, bytes({length}), 0) on {file}"
        got = system.attempt(partial(os.pwrite, file.fd, data, 0))
        must(what, got)
        if got == 0 or got % PAGE:
            fail(f"{what}: expected a count of whole pages, got {got}", "it cannot be resumed")


@case(f"{SHORT}.position", "the file position after a short write()", RESUME, POPULATE)
def position_after_short_write(facts: Facts) -> None:
    with Vm() as vm:
        file = vm.guest_memfd(facts, POPULATE)
        buffer = Buffer(3)
        buffer.drop(1, 2)
        what = f"write(fd, buf + 48, {2 * PAGE}) from a lazy source on {file}"
        got = must(what, system.write(file.fd, buffer.address + 48, 2 * PAGE))
        aligned = Buffer(1)
        expect(
            f"write(fd, buf, {PAGE}) after {what} returned {got}",
            system.write(file.fd, aligned.address, PAGE),
            PAGE,
            "the file position is inside a page, where every write is refused",
        )


@case(f"{SHORT}.vector", "pwritev() with a lazy second piece in the page", RESUME, POPULATE)
def lazy_vector(facts: Facts) -> None:
    half = PAGE // 2
    with Vm() as vm:
        file = vm.guest_memfd(facts, POPULATE)
        buffer = Buffer(2)
        buffer.drop(1)
        parts = [(buffer.address, half), (buffer.address + PAGE, half)]
        what = f"pwritev(fd, [{half}, {half}], 0) with the second piece not resident on {file}"
        expect(what, system.pwritev(file.fd, parts, 0), PAGE, "both pieces are readable")
        expect_bytes(
            f"page 0 after {what}",
            file.contents()[:PAGE],
            buffer.bytes(0, half) + buffer.bytes(PAGE, half),
        )


# --- torn pages ---------------------------------------------------------------------------------


def check_torn(facts: Facts, source_pages: int, old: bytes) -> None:
    """Writes from half a page into a buffer whose last page faults for good.

    The last page of the write is half readable, the ones before it wholly.
    """
    count = source_pages * PAGE
    with Vm() as vm:
        file = vm.guest_memfd(facts, POPULATE)
        view = file.map()
        if old:
            view[:] = old * file.size
        buffer = Buffer(source_pages + 1, NEW)
        buffer.forbid(source_pages)
        what = (
            f"pwrite(fd, buf + {PAGE // 2}, {count}, 0) on {file}, "
            f"the source faulting {PAGE // 2} bytes before its end"
        )
        got = system.pwrite(file.fd, buffer.address + PAGE // 2, count, 0)
        expect_pages(view, what, source_pages, old or b"\0")
        whole = [page * PAGE for page in range(1, source_pages)]
        expect(what, got, one_of(-EFAULT, *whole, why="a count of whole pages, or nothing"))
        for page in range(max(got, 0) // PAGE):
            expect_bytes(f"page {page} after {what}", page_of(view, page), NEW * PAGE)


def expect_pages(view: mmap.mmap, what: str, pages: int, old: bytes) -> None:
    for page in range(pages):
        data = page_of(view, page)
        if data not in (old * PAGE, NEW * PAGE):
            fail(
                f"page {page} after {what}: expected all old ({old[0]:#04x}) or all new "
                f"({NEW[0]:#04x}), got {describe(data)}",
                "the page is half written",
            )


def page_of(view: mmap.mmap, page: int) -> bytes:
    return view[page * PAGE : (page + 1) * PAGE]


@case(f"{TORN}.fresh", "a fresh page after a fault inside it", ATOMIC_PAGE, POPULATE)
def torn_fresh(facts: Facts) -> None:
    check_torn(facts, 1, b"")


@case(f"{TORN}.populated", "a populated page after a fault inside it", ATOMIC_PAGE, POPULATE)
def torn_populated(facts: Facts) -> None:
    check_torn(facts, 1, OLD)


@case(f"{TORN}.second-fresh", "a fault inside the second fresh page", ATOMIC_PAGE, POPULATE)
def torn_second_fresh(facts: Facts) -> None:
    check_torn(facts, 2, b"")


@case(f"{TORN}.second-populated", "a fault inside the second old page", ATOMIC_PAGE, POPULATE)
def torn_second_populated(facts: Facts) -> None:
    check_torn(facts, 2, OLD)


# --- private memory -----------------------------------------------------------------------------


def check_private(facts: Facts, flags: Sequence[str]) -> None:
    """Memory without INIT_SHARED is private: either no such file, or no write to it."""
    bits = facts.bits(flags)
    with Vm() as vm:
        fd = vm.create(FILE_PAGES * PAGE, bits)
        if fd == -EINVAL:
            return
        what = f"KVM_CREATE_GUEST_MEMFD with flags {flags_text(flags, bits)}"
        must(what, fd)
        buffer = Buffer(1)
        got = system.pwrite(fd, buffer.address, PAGE, 0)
        expect_error(
            f"{what} succeeded and pwrite(fd, buf, {PAGE}, 0) on it",
            got,
            "without INIT_SHARED the memory is private; refusing the flags or the write is right",
        )


@case(f"{PRIVATE}.flag-alone", "WRITE without INIT_SHARED", SHARED_ONLY, (WRITE, INIT_SHARED))
def private_flag_alone(facts: Facts) -> None:
    check_private(facts, (WRITE,))


@case(f"{PRIVATE}.mmap", "WRITE and MMAP without INIT_SHARED", SHARED_ONLY, POPULATE)
def private_mmap(facts: Facts) -> None:
    check_private(facts, (MMAP, WRITE))


CASES: Tuple[Case, ...] = (
    empty_pwrite,
    empty_write,
    empty_at_eof,
    empty_allocates_nothing,
    empty_exposes_nothing,
    lazy_source,
    lazy_rest,
    lazy_every_other,
    lazy_rewrite,
    heap_source,
    position_after_short_write,
    lazy_vector,
    torn_fresh,
    torn_populated,
    torn_second_fresh,
    torn_second_populated,
    private_flag_alone,
    private_mmap,
)
