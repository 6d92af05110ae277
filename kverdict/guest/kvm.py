# SPDX-License-Identifier: GPL-2.0-or-later
"""/dev/kvm through raw ioctls (include/uapi/linux/kvm.h), no kernel headers needed."""

from __future__ import annotations

import fcntl
import mmap
import os
import struct
from typing import Optional, Sequence

from .case import Skip, answer, fail, must
from .facts import Facts
from .memory import Buffer, address_of
from .system import PAGE, attempt

DEVICE = "/dev/kvm"

CAP_VM_TYPES = 235
CAP_GUEST_MEMFD_FLAGS = 244
X86_DEFAULT_VM = 0
X86_SW_PROTECTED_VM = 1
MEM_GUEST_MEMFD = 1 << 2

CREATE_VM = 0xAE01
CHECK_EXTENSION = 0xAE03
GET_VCPU_MMAP_SIZE = 0xAE04
CREATE_VCPU = 0xAE41
SET_USER_MEMORY_REGION2 = 0x40A0AE49  # _IOW(KVMIO, 0x49, 160 bytes)
RUN = 0xAE80
SET_REGS = 0x4090AE82
GET_SREGS = 0x8138AE83
SET_SREGS = 0x4138AE84
CREATE_GUEST_MEMFD = 0xC040AED4  # _IOWR(KVMIO, 0xd4, 64 bytes)

FILE_PAGES = 8  # of a file, where a case does not say otherwise


def present() -> bool:
    """Whether KVM can make a virtual machine here."""
    try:
        with Vm():
            return True
    except (OSError, Skip):
        return False


class Vm:
    """A virtual machine; ``fd`` is closed with the block."""

    def __init__(self, kind: int = X86_DEFAULT_VM) -> None:
        try:
            self.device = os.open(DEVICE, os.O_RDWR | os.O_CLOEXEC)
        except OSError as error:
            raise Skip(f"{DEVICE}: {error.strerror}") from error
        try:
            self.fd = fcntl.ioctl(self.device, CREATE_VM, kind)
        except OSError:
            os.close(self.device)
            raise

    def __enter__(self) -> Vm:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
        os.close(self.device)

    def close(self) -> None:
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1

    def capability(self, number: int) -> int:
        return attempt(lambda: fcntl.ioctl(self.fd, CHECK_EXTENSION, number))

    def device_capability(self, number: int) -> int:
        return attempt(lambda: fcntl.ioctl(self.device, CHECK_EXTENSION, number))

    def create(self, size: int, bits: int) -> int:
        """KVM_CREATE_GUEST_MEMFD: a file descriptor, or minus the errno."""
        request = bytearray(struct.pack("<QQ48x", size, bits))
        return attempt(lambda: fcntl.ioctl(self.fd, CREATE_GUEST_MEMFD, request, True))

    def guest_memfd(
        self, facts: Facts, flags: Sequence[str], pages: int = FILE_PAGES
    ) -> GuestMemfd:
        """A new file; a flag of the header that the kernel refuses is a failure."""
        bits = facts.bits(flags)
        fd = self.create(pages * PAGE, bits)
        name = flags_text(flags, bits)
        if fd < 0:
            fail(
                f"KVM_CREATE_GUEST_MEMFD({pages * PAGE} bytes, flags {name}): expected a file "
                f"descriptor, got {answer(fd)}",
                "the kernel's header defines these flags and the kernel refuses them",
            )
        return GuestMemfd(fd, pages * PAGE, name)


class GuestMemfd:
    """A guest_memfd file; ``flags`` is the text for messages."""

    def __init__(self, fd: int, size: int, flags: str) -> None:
        self.fd = fd
        self.size = size
        self.flags = flags

    def __str__(self) -> str:
        return f"a guest_memfd of {self.size // PAGE} pages with flags {self.flags}"

    def map(self, length: Optional[int] = None) -> mmap.mmap:
        """A shared mapping from offset 0; needs MMAP, and INIT_SHARED to be touched."""
        try:
            return mmap.mmap(
                self.fd,
                self.size if length is None else length,
                mmap.MAP_SHARED,
                mmap.PROT_READ | mmap.PROT_WRITE,
            )
        except OSError as error:
            fail(f"mmap of {self}: expected success, got {answer(-(error.errno or 0))}")
            raise

    def contents(self) -> bytes:
        with self.map() as view:
            return view[:]

    def close(self) -> None:
        os.close(self.fd)


def flags_text(names: Sequence[str], bits: int) -> str:
    return f"{bits:#x} ({'|'.join(names)})" if names else "0"


def vm_or_skip(kind: int, name: str) -> Vm:
    """A virtual machine of a type that this kernel or machine may not have."""
    try:
        return Vm(kind)
    except OSError as error:
        raise Skip(f"KVM_CREATE_VM of type {name}: {error.strerror}") from error


class Vcpu:
    """One virtual CPU in real mode; ports that the guest writes come back as values."""

    EXIT_IO = 2

    def __init__(self, vm: Vm, memory: mmap.mmap) -> None:
        """``memory`` is what the slots point to; it stays mapped as long as the vCPU is there."""
        self.memory = memory
        self.fd = must("KVM_CREATE_VCPU", attempt(lambda: fcntl.ioctl(vm.fd, CREATE_VCPU, 0)))
        size = must("KVM_GET_VCPU_MMAP_SIZE", fcntl.ioctl(vm.device, GET_VCPU_MMAP_SIZE, 0))
        self.run_page = mmap.mmap(self.fd, size, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE)
        self._start_at_zero()

    def _start_at_zero(self) -> None:
        """CS:IP 0:0 (struct kvm_sregs begins with cs: base, limit, selector)."""
        sregs = bytearray(312)
        fcntl.ioctl(self.fd, GET_SREGS, sregs, True)
        struct.pack_into("<QIH", sregs, 0, 0, 0xFFFF, 0)
        fcntl.ioctl(self.fd, SET_SREGS, bytes(sregs))
        fcntl.ioctl(self.fd, SET_REGS, struct.pack("<16QQQ", *([0] * 16), 0, 2))

    def run_to_output(self) -> int:
        """The byte of the guest's next ``out``; raises Failure when it exits otherwise."""
        got = attempt(lambda: fcntl.ioctl(self.fd, RUN, 0))
        must("KVM_RUN", got)
        (reason,) = struct.unpack_from("<I", self.run_page, 8)
        if reason != self.EXIT_IO:
            fail(f"KVM_RUN: expected exit reason {self.EXIT_IO} (KVM_EXIT_IO), got {reason}")
        (data_offset,) = struct.unpack_from("<Q", self.run_page, 40)
        return int(self.run_page[data_offset])


def set_memory(vm: Vm, file: GuestMemfd) -> mmap.mmap:
    """Slot 0: guest physical 0 up to the file's size, backed by the file.

    Gives the mapping at the slot's userspace_addr, which has to live as long as a vCPU runs: KVM's
    instruction emulator reads guest memory through it.
    """
    view = file.map()
    _set_region(vm, MEM_GUEST_MEMFD, file.size, address_of(view), file.fd)
    return view


def set_anonymous_memory(vm: Vm, memory: Buffer) -> None:
    """Slot 0: guest physical 0 up to the buffer's size, backed by the buffer."""
    _set_region(vm, 0, memory.pages * PAGE, memory.address, 0)


def _set_region(vm: Vm, flags: int, size: int, address: int, fd: int) -> None:
    """struct kvm_userspace_memory_region2"""
    region = struct.pack("<IIQQQQI4x112x", 0, flags, 0, size, address, 0, fd)
    must(
        "KVM_SET_USER_MEMORY_REGION2",
        attempt(lambda: fcntl.ioctl(vm.fd, SET_USER_MEMORY_REGION2, region)),
    )
