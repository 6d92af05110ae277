# SPDX-License-Identifier: GPL-2.0-or-later
"""What is in the memory after a write(), seen through a mapping."""

from __future__ import annotations

import os
from errno import EFAULT
from pathlib import Path
from typing import Tuple

from . import system
from .calls import through_child
from .case import Case, Skip, case, expect, fail, must, one_of
from .facts import Facts
from .kvm import FILE_PAGES, GuestMemfd, Vm
from .matrix import POPULATE
from .memory import Buffer, address_of, expect_bytes, pattern
from .system import PAGE

WRITE_2 = "write(2): the bytes of the buffer are in the file"
COHERENT = "mmap(2), MAP_SHARED: the mapping and the file are the same memory"
PUNCH = "fallocate(2), FALLOC_FL_PUNCH_HOLE: reads as zeroes; virt/kvm/guest_memfd.c"
ALLOCATE = "virt/kvm/guest_memfd.c, kvm_gmem_allocate(): cleared at the first use, not before"
NO_DEADLOCK = "mm/filemap.c, generic_perform_write(): the source may be the page that is written"
EITHER_FAULT = "the pages before the fault, or nothing"


def put(file: GuestMemfd, data: bytes, page: int = 0) -> None:
    """pwrite() of whole pages from a resident, page-aligned buffer."""
    buffer = Buffer(len(data) // PAGE, data)
    expect(
        f"pwrite(fd, buf, {len(data)}, {page * PAGE}) on {file}",
        system.pwrite(file.fd, buffer.address, len(data), page * PAGE),
        len(data),
    )


@case("content.fresh", "a fresh file reads as zeroes", COHERENT, POPULATE)
def fresh(facts: Facts) -> None:
    with Vm() as vm:
        file = vm.guest_memfd(facts, POPULATE)
        expect_bytes(f"contents of {file}", file.contents(), bytes(file.size))


@case("content.write-then-map", "a mapping made after the write shows it", WRITE_2, POPULATE)
def write_then_map(facts: Facts) -> None:
    with Vm() as vm:
        file = vm.guest_memfd(facts, POPULATE)
        data = pattern(file.size)
        put(file, data)
        expect_bytes(
            f"contents of {file}",
            file.contents(),
            data,
            "zeroes instead: the pages were not marked up to date and were cleared at the fault",
        )


@case("content.existing-map", "a mapping that is in use sees the write", COHERENT, POPULATE)
def existing_map(facts: Facts) -> None:
    with Vm() as vm:
        file = vm.guest_memfd(facts, POPULATE)
        view = file.map()
        expect_bytes("the mapping before", view[:], bytes(file.size))
        data = pattern(file.size)
        put(file, data)
        expect_bytes("the mapping after the write, not mapped again", view[:], data)


@case("content.store-sticks", "a store after the write stays", COHERENT, POPULATE)
def store_sticks(facts: Facts) -> None:
    with Vm() as vm:
        file = vm.guest_memfd(facts, POPULATE)
        data = pattern(file.size)
        put(file, data)
        with file.map() as view:
            view[100:104] = b"kvm!"
        expect_bytes(f"contents of {file}", file.contents(), data[:100] + b"kvm!" + data[104:])


@case("content.rewrite", "a second write replaces the first", WRITE_2, POPULATE)
def rewrite(facts: Facts) -> None:
    with Vm() as vm:
        file = vm.guest_memfd(facts, POPULATE)
        put(file, pattern(file.size))
        data = pattern(file.size, seed=0x7777)
        put(file, data)
        expect_bytes(f"contents of {file}", file.contents(), data)


@case("content.over-store", "a write replaces what was stored", WRITE_2, POPULATE)
def over_store(facts: Facts) -> None:
    with Vm() as vm:
        file = vm.guest_memfd(facts, POPULATE)
        view = file.map()
        view[:] = b"\x33" * file.size
        put(file, pattern(2 * PAGE), page=3)
        expected = b"\x33" * 3 * PAGE + pattern(2 * PAGE) + b"\x33" * 3 * PAGE
        expect_bytes(f"contents of {file}", view[:], expected)


@case("content.one-page", "a write of one page leaves its neighbours", WRITE_2, POPULATE)
def one_page(facts: Facts) -> None:
    with Vm() as vm:
        file = vm.guest_memfd(facts, POPULATE)
        put(file, pattern(PAGE), page=5)
        expected = bytes(5 * PAGE) + pattern(PAGE) + bytes(2 * PAGE)
        expect_bytes(f"contents of {file}", file.contents(), expected)


@case("content.punch-hole", "a punched hole reads as zeroes, can be rewritten", PUNCH, POPULATE)
def punch_hole(facts: Facts) -> None:
    with Vm() as vm:
        file = vm.guest_memfd(facts, POPULATE)
        view, data = file.map(), pattern(file.size)
        put(file, data)
        must("fallocate(PUNCH_HOLE) of page 2", system.punch_hole(file.fd, 2 * PAGE, PAGE))
        holed = data[: 2 * PAGE] + bytes(PAGE) + data[3 * PAGE :]
        expect_bytes("the mapping after the hole", view[:], holed)
        put(file, b"\x44" * PAGE, page=2)
        expected = data[: 2 * PAGE] + b"\x44" * PAGE + data[3 * PAGE :]
        expect_bytes("the mapping after the hole was written", view[:], expected)


@case("content.punch-unread", "a hole that nobody looked at is written", PUNCH, POPULATE)
def punch_unread(facts: Facts) -> None:
    with Vm() as vm:
        file = vm.guest_memfd(facts, POPULATE)
        put(file, pattern(file.size))
        must("fallocate(PUNCH_HOLE) of the file", system.punch_hole(file.fd, 0, file.size))
        data = pattern(file.size, seed=0x1234)
        put(file, data)
        expect_bytes(f"contents of {file}", file.contents(), data)


@case("content.allocated", "pages that fallocate() made are written", ALLOCATE, POPULATE)
def allocated(facts: Facts) -> None:
    with Vm() as vm:
        file = vm.guest_memfd(facts, POPULATE)
        must("fallocate", system.fallocate(file.fd, system.FALLOC_FL_KEEP_SIZE, 0, file.size))
        put(file, pattern(4 * PAGE))
        expected = pattern(4 * PAGE) + bytes(4 * PAGE)
        expect_bytes(f"contents of {file}", file.contents(), expected)


@case("content.unaligned-source", "unaligned source that is resident", WRITE_2, POPULATE)
def unaligned_source(facts: Facts) -> None:
    with Vm() as vm:
        file = vm.guest_memfd(facts, POPULATE)
        buffer = Buffer(FILE_PAGES + 1)
        expect(
            f"pwrite(fd, buf + 48, {file.size}, 0) on {file}",
            system.pwrite(file.fd, buffer.address + 48, file.size, 0),
            file.size,
        )
        expect_bytes(f"contents of {file}", file.contents(), buffer.bytes(48, file.size))


@case("content.lazy-source", "aligned source that is not resident", WRITE_2, POPULATE)
def lazy_source(facts: Facts) -> None:
    with Vm() as vm:
        file = vm.guest_memfd(facts, POPULATE)
        file.map()[:] = b"\x11" * file.size
        buffer = Buffer(FILE_PAGES)
        buffer.drop(1, FILE_PAGES - 1)
        expect(
            f"pwrite(fd, buf, {file.size}, 0) on {file}",
            system.pwrite(file.fd, buffer.address, file.size, 0),
            file.size,
        )
        expect_bytes(f"contents of {file}", file.contents(), buffer.bytes(0, file.size))


@case("content.faulting-source", "aligned source, second page faults", "write(2)", POPULATE)
def faulting_source(facts: Facts) -> None:
    with Vm() as vm:
        for old in (b"\0", b"\x11"):
            file = vm.guest_memfd(facts, POPULATE)
            if old != b"\0":
                put(file, old * file.size)
            buffer = Buffer(2, b"\x22")
            buffer.forbid(1)
            what = f"pwrite(fd, buf, {2 * PAGE}, 0) with buf's second page PROT_NONE on {file}"
            got = system.pwrite(file.fd, buffer.address, 2 * PAGE, 0)
            expect(what, got, one_of(PAGE, -EFAULT, why=EITHER_FAULT))
            view = file.contents()
            first = b"\x22" if got == PAGE else old
            expect_bytes(f"page 0 after {what}", view[:PAGE], first * PAGE)
            expect_bytes(f"page 1 after {what}", view[PAGE : 2 * PAGE], old * PAGE)


@case("content.own-page", "the source is the page that is written", NO_DEADLOCK, POPULATE)
def own_page(facts: Facts) -> None:
    with Vm() as vm:
        for touched in (False, True):
            file = vm.guest_memfd(facts, POPULATE)
            view = file.map()
            if touched:
                view[:] = pattern(file.size)
            before = view[:] if touched else bytes(file.size)
            expect(
                f"pwrite(fd, own mapping, {file.size}, 0) on {file}",
                system.pwrite(file.fd, address_of(view), file.size, 0),
                file.size,
            )
            expect_bytes("the mapping after it was written to itself", view[:], before)


@case("content.neighbour", "the source is another page of the file", NO_DEADLOCK, POPULATE)
def neighbour(facts: Facts) -> None:
    with Vm() as vm:
        file = vm.guest_memfd(facts, POPULATE)
        view = file.map()
        put(file, pattern(PAGE))
        expect(
            f"pwrite(fd, own mapping of page 0, {PAGE}, {PAGE}) on {file}",
            system.pwrite(file.fd, address_of(view), PAGE, PAGE),
            PAGE,
        )
        expect_bytes("the mapping", view[: 2 * PAGE], 2 * pattern(PAGE))


@case("content.page-by-page", "every page is written twice, one at a time", WRITE_2, POPULATE)
def page_by_page(facts: Facts) -> None:
    """A page whose lock or reference is not given back hangs or leaks here."""
    with Vm() as vm:
        file = vm.guest_memfd(facts, POPULATE)
        for fill in (b"\x55", b"\x66"):
            for page in reversed(range(FILE_PAGES)):
                put(file, fill * PAGE, page=page)
            expect_bytes(f"contents of {file}", file.contents(), fill * file.size)
        must("fallocate(PUNCH_HOLE) of the file", system.punch_hole(file.fd, 0, file.size))
        expect_bytes("contents after the hole", file.contents(), bytes(file.size))


@case("content.no-leak", "pages that were written go back when punched", PUNCH, POPULATE, limit=40)
def no_leak(facts: Facts) -> None:
    pages, rounds = 4096, 12
    with Vm() as vm:
        file = vm.guest_memfd(facts, POPULATE, pages)
        data = b"\x55" * file.size
        put(file, data)
        must("fallocate(PUNCH_HOLE) of the file", system.punch_hole(file.fd, 0, file.size))
        before = available_memory()
        for _ in range(rounds):
            put(file, data)
            must("fallocate(PUNCH_HOLE) of the file", system.punch_hole(file.fd, 0, file.size))
        lost = before - available_memory()
        if lost > rounds * file.size // 2:
            fail(
                f"memory (MemAvailable) after {file} was written and punched {rounds} times: "
                f"expected as before, got {lost >> 20} MiB less",
                "the pages are not given back: a reference is kept",
            )


def available_memory() -> int:
    """In bytes (proc_meminfo(5))."""
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) << 10
    raise Skip("/proc/meminfo has no MemAvailable")


@case("content.child", "the parent sees what a child wrote", "fork(2)", POPULATE)
def child(facts: Facts) -> None:
    with Vm() as vm:
        file = vm.guest_memfd(facts, POPULATE)
        call = through_child(file.size)
        expect(f"{call.text} on {file}", call.run(file), file.size)
        expect_bytes(f"contents of {file}", file.contents(), pattern(file.size))


@case("content.vm-closed", "the file outlives the VM's descriptor", "close(2)", POPULATE)
def vm_closed(facts: Facts) -> None:
    with Vm() as vm:
        file = vm.guest_memfd(facts, POPULATE)
        vm.close()
        put(file, pattern(file.size))
        expect_bytes(f"contents of {file}", file.contents(), pattern(file.size))


@case("content.size", "a write changes neither st_size nor st_blocks", "stat(2)", POPULATE)
def size(facts: Facts) -> None:
    with Vm() as vm:
        file = vm.guest_memfd(facts, POPULATE)
        put(file, pattern(file.size))
        found = os.fstat(file.fd)
        expect("st_size after the file was written", found.st_size, file.size)


CASES: Tuple[Case, ...] = (
    fresh,
    write_then_map,
    existing_map,
    store_sticks,
    rewrite,
    over_store,
    one_page,
    punch_hole,
    punch_unread,
    allocated,
    unaligned_source,
    lazy_source,
    faulting_source,
    own_page,
    neighbour,
    page_by_page,
    no_leak,
    child,
    vm_closed,
    size,
)
