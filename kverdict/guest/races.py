# SPDX-License-Identifier: GPL-2.0-or-later
"""Several processes on one file at the same time."""

from __future__ import annotations

import os
from functools import partial
from typing import Callable, List, Tuple

from . import system
from .case import Case, answer, case, expect, fail
from .facts import Facts
from .kvm import GuestMemfd, Vm
from .matrix import POPULATE
from .memory import Buffer, describe
from .system import PAGE

PAGES = 16
ROUNDS = 40
WRITERS = 4
PAGE_LOCK = "mm/filemap.c, generic_perform_write(): a page is written under its lock"


def apart(jobs: List[Callable[[], str]]) -> None:
    """Runs each job in a process of its own; what a job returns is what went wrong."""
    children = []
    for job in jobs:
        reader, writer = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.write(writer, job().encode()[:4000])
            os._exit(0)
        os.close(writer)
        children.append((pid, reader))
    for pid, reader in children:
        told = os.read(reader, 4096).decode()
        _, status = os.waitpid(pid, 0)
        if told:
            fail(told)
        expect("exit status of a process of the race", status, 0)


def keep_writing(file: GuestMemfd, fill: int) -> str:
    """Overwrites the file again and again; every call has to write all of it."""
    buffer = Buffer(PAGES, bytes([fill]))
    for turn in range(ROUNDS):
        got = system.pwrite(file.fd, buffer.address, file.size, 0)
        if got != file.size:
            return (
                f"pwrite(fd, buf, {file.size}, 0) number {turn + 1}, while others use the file: "
                f"expected {file.size}, got {answer(got)}"
            )
    return ""


def keep_punching(file: GuestMemfd) -> str:
    for turn in range(2 * ROUNDS):
        got = system.punch_hole(file.fd, 0, file.size)
        if got:
            return f"fallocate(PUNCH_HOLE) number {turn + 1}: expected 0, got {answer(got)}"
    return ""


def expect_uniform(file: GuestMemfd, fills: Tuple[int, ...]) -> None:
    data = file.contents()
    for page in range(PAGES):
        found = data[page * PAGE : (page + 1) * PAGE]
        if found not in [bytes([fill]) * PAGE for fill in fills]:
            names = ", ".join(f"{fill:#04x}" for fill in fills)
            fail(
                f"page {page} after the race: expected one of {names} throughout, "
                f"got {describe(found)}"
            )


@case("race.writers", "overlapping writers: each page is one writer's", PAGE_LOCK, POPULATE)
def writers(facts: Facts) -> None:
    with Vm() as vm:
        file = vm.guest_memfd(facts, POPULATE, PAGES)
        fills = tuple(range(1, WRITERS + 1))
        apart([partial(keep_writing, file, fill) for fill in fills])
        expect_uniform(file, fills)


@case("race.punch-hole", "write against punch hole: pages are new or zero", PAGE_LOCK, POPULATE)
def writer_and_puncher(facts: Facts) -> None:
    with Vm() as vm:
        file = vm.guest_memfd(facts, POPULATE, PAGES)
        apart([partial(keep_writing, file, 0xAA), partial(keep_punching, file)])
        expect_uniform(file, (0, 0xAA))


@case("race.mapping", "write against page faults: pages are new or zero", PAGE_LOCK, POPULATE)
def writer_and_reader(facts: Facts) -> None:
    """A fault must not clear a page that a writer has filled."""
    with Vm() as vm:
        for _ in range(ROUNDS // 4):
            file = vm.guest_memfd(facts, POPULATE, PAGES)
            apart([partial(keep_writing, file, 0xAA), partial(keep_faulting, file)])
            expect_uniform(file, (0xAA,))
            file.close()


def keep_faulting(file: GuestMemfd) -> str:
    for _ in range(ROUNDS):
        with file.map() as view:
            for page in range(PAGES):
                view[page * PAGE]
    return ""


CASES: Tuple[Case, ...] = (writers, writer_and_puncher, writer_and_reader)
