# SPDX-License-Identifier: GPL-2.0-or-later
"""Which flags the kernel announces and takes: its header and its answers have to agree."""

from __future__ import annotations

from errno import EINVAL
from typing import Tuple

from . import kvm, system
from .case import Case, Skip, case, expect, fail, must
from .facts import INIT_SHARED, MMAP, WRITE, Facts
from .kvm import FILE_PAGES, Vm, flags_text, vm_or_skip
from .memory import Buffer
from .system import PAGE

SIZE = FILE_PAGES * PAGE
CAP = "Documentation/virt/kvm/api.rst, KVM_CAP_GUEST_MEMFD_FLAGS; kvm_gmem_get_supported_flags()"
SELFTEST = "guest_memfd_test.c: test_guest_memfd_flags"
SIZES = "guest_memfd_test.c: test_create_guest_memfd_invalid_sizes"
KNOWN = (MMAP, INIT_SHARED, WRITE)


def check_capability(facts: Facts, where: str, got: int) -> None:
    """All flags of the header that this suite knows, and none that the header does not define."""
    must(f"KVM_CHECK_EXTENSION(KVM_CAP_GUEST_MEMFD_FLAGS) on {where}", got)
    names = [name for name in KNOWN if name in facts.flags]
    wanted, defined = facts.bits(names), facts.bits(tuple(facts.flags))
    if got & wanted != wanted or got & ~defined:
        fail(
            f"KVM_CHECK_EXTENSION(KVM_CAP_GUEST_MEMFD_FLAGS) on {where}: expected "
            f"{flags_text(names, wanted)}, got {got:#x}",
            "the header and the kernel do not agree about the flags",
        )


@case("flags.capability-vm", "the VM announces the header's flags", CAP, (MMAP, INIT_SHARED))
def capability_vm(facts: Facts) -> None:
    with Vm() as vm:
        check_capability(facts, "a VM", vm.capability(kvm.CAP_GUEST_MEMFD_FLAGS))


@case("flags.capability-kvm", "/dev/kvm announces the header's flags", CAP, (MMAP, INIT_SHARED))
def capability_kvm(facts: Facts) -> None:
    with Vm() as vm:
        check_capability(facts, "/dev/kvm", vm.device_capability(kvm.CAP_GUEST_MEMFD_FLAGS))


@case("flags.valid", "each useful combination of flags is taken", SELFTEST, (MMAP,))
def valid(facts: Facts) -> None:
    combinations = [(), (MMAP,), (INIT_SHARED,), (MMAP, INIT_SHARED)]
    combinations += [(INIT_SHARED, WRITE), (MMAP, INIT_SHARED, WRITE)]
    with Vm() as vm:
        for flags in combinations:
            if not facts.missing(flags):
                vm.guest_memfd(facts, flags).close()


@case("flags.invalid", "each bit that the header does not define is refused", SELFTEST, (MMAP,))
def invalid(facts: Facts) -> None:
    defined = facts.bits(tuple(facts.flags))
    with Vm() as vm:
        for bit in range(64):
            flag = 1 << bit
            if flag & defined:
                continue
            for flags in (flag, flag | defined):
                expect(
                    f"KVM_CREATE_GUEST_MEMFD({SIZE} bytes, flags {flags:#x})",
                    vm.create(SIZE, flags),
                    -EINVAL,
                    f"the header does not define bit {bit}",
                )


@case("flags.size", "a size of zero or of part of a page is refused", SIZES, (MMAP,))
def size(facts: Facts) -> None:
    with Vm() as vm:
        for bits in sorted({0, facts.bits([name for name in KNOWN if name in facts.flags])}):
            for length in (0, 1, PAGE // 2, PAGE - 1, PAGE + 1, (1 << 64) - PAGE):
                expect(
                    f"KVM_CREATE_GUEST_MEMFD({length} bytes, flags {bits:#x})",
                    vm.create(length, bits),
                    -EINVAL,
                )


@case(
    "flags.write-without-mmap",
    "WRITE and INIT_SHARED without MMAP: the file is written",
    "commit message: write() needs no user page tables",
    (INIT_SHARED, WRITE),
)
def write_without_mmap(facts: Facts) -> None:
    with Vm() as vm:
        file = vm.guest_memfd(facts, (INIT_SHARED, WRITE))
        buffer = Buffer(FILE_PAGES)
        for _ in range(2):
            expect(
                f"pwrite(fd, buf, {SIZE}, 0) on {file}",
                system.pwrite(file.fd, buffer.address, SIZE, 0),
                SIZE,
            )


@case(
    "flags.protected-vm",
    "a VM with private memory neither announces nor takes WRITE",
    "kvm_gmem_get_supported_flags(): WRITE comes with INIT_SHARED, which such VMs do not have",
    (MMAP, INIT_SHARED),
)
def protected_vm(facts: Facts) -> None:
    with vm_or_skip(kvm.X86_SW_PROTECTED_VM, "KVM_X86_SW_PROTECTED_VM") as vm:
        got = must("KVM_CHECK_EXTENSION", vm.capability(kvm.CAP_GUEST_MEMFD_FLAGS))
        if got & facts.bits([INIT_SHARED]):
            raise Skip("memory of such a VM can be shared from the start here")
        expect(
            "KVM_CHECK_EXTENSION(KVM_CAP_GUEST_MEMFD_FLAGS) on a KVM_X86_SW_PROTECTED_VM",
            got,
            facts.bits([MMAP]),
        )
        for flags in ((WRITE,), (MMAP, WRITE), (MMAP, INIT_SHARED, WRITE)):
            if facts.missing(flags):
                continue
            bits = facts.bits(flags)
            fd = vm.create(SIZE, bits)
            expect(
                f"KVM_CREATE_GUEST_MEMFD(flags {flags_text(flags, bits)}) on such a VM",
                fd,
                -EINVAL,
                "the VM does not announce the flag",
            )


CASES: Tuple[Case, ...] = (
    capability_vm,
    capability_kvm,
    valid,
    invalid,
    size,
    write_without_mmap,
    protected_vm,
)
