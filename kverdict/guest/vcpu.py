# SPDX-License-Identifier: GPL-2.0-or-later
"""A virtual CPU runs from the memory and reads it: what write() is for."""

from __future__ import annotations

import platform
from typing import Tuple

from . import system
from .case import Case, Failure, Skip, case, expect, fail
from .content import put
from .facts import INIT_SHARED, MMAP, Facts
from .kvm import GuestMemfd, Vcpu, Vm, set_anonymous_memory, set_memory
from .matrix import POPULATE
from .memory import Buffer
from .system import PAGE

DATA = PAGE  # guest physical address of the byte that the program reads
# Real mode: mov al, [DATA]; out 0x10, al; jmp to the start.
PROGRAM = b"\xa0" + DATA.to_bytes(2, "little") + b"\xe6\x10" + b"\xeb\xf9"
INITIAL_IMAGE = 'commit message: "population of the initial image"'


def page(start: bytes) -> bytes:
    return start + bytes(PAGE - len(start))


IMAGE = page(PROGRAM) + page(b"\xcd")


def started(vm: Vm, file: GuestMemfd) -> Vcpu:
    """A vCPU at the start of the file's memory; skips where not even the control runs."""
    if platform.machine() != "x86_64":
        raise Skip("the guest program is for x86")
    check_control()
    memory = set_memory(vm, file)
    return Vcpu(vm, memory)


def check_control() -> None:
    """The same program from anonymous memory: some hypervisors run no real mode guest."""
    memory = Buffer(len(IMAGE) // PAGE, IMAGE)
    with Vm() as vm:
        set_anonymous_memory(vm, memory)
        try:
            expect_output(Vcpu(vm, memory.map), 0xCD)
        except Failure as failure:
            raise Skip(f"no vCPU runs here, not even from anonymous memory: {failure}") from None


def expect_output(cpu: Vcpu, byte: int, meaning: str = "") -> None:
    got = cpu.run_to_output()
    if got != byte:
        fail(f"the vCPU read {got:#04x} from guest memory, expected {byte:#04x}", meaning)


@case("vcpu.stored", "a vCPU runs code that was stored", "mmap(2)", (MMAP, INIT_SHARED))
def stored(facts: Facts) -> None:
    with Vm() as vm:
        file = vm.guest_memfd(facts, (MMAP, INIT_SHARED))
        file.map()[: 2 * PAGE] = IMAGE
        expect_output(started(vm, file), 0xCD, "the byte was stored through a mapping")


@case("vcpu.written", "a vCPU runs code that was written", INITIAL_IMAGE, POPULATE)
def written(facts: Facts) -> None:
    with Vm() as vm:
        file = vm.guest_memfd(facts, POPULATE)
        put(file, IMAGE)
        cpu = started(vm, file)
        expect_output(cpu, 0xCD, "the byte was written before the vCPU ran")
        put(file, page(b"\xee"), page=1)
        expect_output(cpu, 0xEE, "the byte was written while the guest had the page mapped")


@case("vcpu.hole", "a vCPU sees a hole and what is written into it", INITIAL_IMAGE, POPULATE)
def hole(facts: Facts) -> None:
    with Vm() as vm:
        file = vm.guest_memfd(facts, POPULATE)
        put(file, IMAGE)
        cpu = started(vm, file)
        expect_output(cpu, 0xCD, "the byte was written before the vCPU ran")
        expect("fallocate(PUNCH_HOLE) of page 1", system.punch_hole(file.fd, DATA, PAGE), 0)
        put(file, page(b"\x77"), page=1)
        expect_output(cpu, 0x77, "the byte was written into a hole that the guest had mapped")


CASES: Tuple[Case, ...] = (stored, written, hole)
