# SPDX-License-Identifier: GPL-2.0-or-later
"""Calls on a fresh guest_memfd file that the matrix (matrix.py) expects answers from.

A Call's source is always ``pattern()`` from its start, so that the file's contents can be checked
against the answer.
"""

from __future__ import annotations

import fcntl
import mmap
import os
from dataclasses import dataclass
from typing import Callable, List, Optional, Sequence, Tuple

from . import kernel_aio, system, uring
from .case import must
from .kvm import GuestMemfd
from .memory import Buffer, address_of, pattern
from .system import PAGE, attempt


@dataclass(frozen=True)
class Call:
    """``offset`` is where in the file the written bytes begin; None for a call that writes none."""

    text: str
    run: Callable[[GuestMemfd], int]
    offset: Optional[int] = 0


def source(count: int) -> Buffer:
    return Buffer(max((count + PAGE - 1) // PAGE, 1))


def write(count: int) -> Call:
    def run(file: GuestMemfd) -> int:
        buffer = source(count)
        return system.write(file.fd, buffer.address, count)

    return Call(f"write(fd, buf, {count})", run)


def write_twice(count: int) -> Call:
    """The second write() goes on where the first one ended."""

    def run(file: GuestMemfd) -> int:
        buffer = Buffer(2 * count // PAGE)
        first = system.write(file.fd, buffer.address, count)
        if first < 0:
            return first
        second = system.write(file.fd, buffer.address + first, count)
        return second if second < 0 else first + second

    return Call(f"write(fd, buf, {count}) twice, sum", run)


def pwrite(count: int, offset: int) -> Call:
    return Call(
        f"pwrite(fd, buf, {count}, {_position(offset)})",
        lambda file: _pwrite(file, count, offset),
        offset,
    )


def pwrite_from(count: int, address: int, offset: int) -> Call:
    """From an address that is not a buffer of ours, such as NULL."""
    return Call(
        f"pwrite(fd, {'NULL' if not address else hex(address)}, {_position(count)}, "
        f"{_position(offset)})",
        lambda file: system.pwrite(file.fd, address, count, offset),
        offset,
    )


def pwrite_huge(count: int) -> Call:
    """From readable memory of that size, which the kernel fills with the zero page."""

    def run(file: GuestMemfd) -> int:
        reserved = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | getattr(mmap, "MAP_NORESERVE", 0x4000)
        memory = mmap.mmap(-1, count, reserved, mmap.PROT_READ | mmap.PROT_WRITE)
        memory[: file.size] = pattern(file.size)
        return system.pwrite(file.fd, address_of(memory), count, 0)

    return Call(f"pwrite(fd, buf, {_position(count)}, 0)", run)


def writev(counts: Sequence[int]) -> Call:
    def run(file: GuestMemfd) -> int:
        buffer = source(sum(counts))
        return system.writev(file.fd, _parts(buffer, counts))

    return Call(f"writev(fd, {_lengths(counts)})", run)


def pwritev(counts: Sequence[int], offset: int) -> Call:
    def run(file: GuestMemfd) -> int:
        buffer = source(sum(counts))
        return system.pwritev(file.fd, _parts(buffer, counts), offset)

    return Call(f"pwritev(fd, {_lengths(counts)}, {offset})", run, offset)


def pwritev2(flags: int, text: str, offset: int = 0) -> Call:
    """One page; an ``offset`` of -1 is the file position (pwritev2(2))."""

    def run(file: GuestMemfd) -> int:
        buffer = source(PAGE)
        return system.pwritev2(file.fd, _parts(buffer, [PAGE]), offset, flags)

    return Call(f"pwritev2(fd, {_lengths([PAGE])}, {offset}, {text})", run, max(offset, 0))


def read() -> Call:
    return Call("read(fd, buf, 64)", lambda file: attempt(lambda: os.read(file.fd, 64)))


def pread() -> Call:
    return Call("pread(fd, buf, 64, 0)", lambda file: attempt(lambda: os.pread(file.fd, 64, 0)))


def preadv() -> Call:
    return Call(
        "preadv(fd, buf of 64, 0)",
        lambda file: attempt(lambda: os.preadv(file.fd, [bytearray(64)], 0)),
    )


def lseek(text: str, offset: int, whence: int) -> Call:
    return Call(
        f"lseek(fd, {_position(offset)}, {text})",
        lambda file: attempt(lambda: os.lseek(file.fd, offset, whence)),
        offset=None,
    )


def sendfile_to() -> Call:
    def run(file: GuestMemfd) -> int:
        data = _memfd()
        return attempt(lambda: os.sendfile(file.fd, data, 0, PAGE))

    return Call(f"sendfile(fd, memfd, 0, {PAGE})", run)


def sendfile_from(offset: Optional[int]) -> Call:
    def run(file: GuestMemfd) -> int:
        target = os.open(os.devnull, os.O_WRONLY)
        return attempt(lambda: os.sendfile(target, file.fd, offset, PAGE))

    return Call(f"sendfile(devnull, fd, {'NULL' if offset is None else offset}, {PAGE})", run)


def splice_to() -> Call:
    def run(file: GuestMemfd) -> int:
        reader, writer = os.pipe()
        must("write to a pipe", attempt(lambda: os.write(writer, pattern(PAGE))))
        return system.splice(reader, file.fd, PAGE)

    return Call(f"splice(pipe, fd, {PAGE})", run)


def splice_from() -> Call:
    def run(file: GuestMemfd) -> int:
        _reader, writer = os.pipe()
        return system.splice(file.fd, writer, PAGE)

    return Call(f"splice(fd, pipe, {PAGE})", run)


def copy_file_range_to() -> Call:
    return Call(
        f"copy_file_range(memfd, 0, fd, 0, {PAGE})",
        lambda file: attempt(lambda: os.copy_file_range(_memfd(), file.fd, PAGE, 0, 0)),
    )


def copy_file_range_inside() -> Call:
    return Call(
        f"copy_file_range(fd, 0, fd, {PAGE}, {PAGE})",
        lambda file: attempt(lambda: os.copy_file_range(file.fd, file.fd, PAGE, 0, PAGE)),
    )


def ftruncate(size: int) -> Call:
    return Call(f"ftruncate(fd, {size})", lambda file: attempt(lambda: os.ftruncate(file.fd, size)))


def fsync() -> Call:
    return Call("fsync(fd)", lambda file: attempt(lambda: os.fsync(file.fd)))


def aio_pwrite(count: int) -> Call:
    """io_submit's own error or the result of its event (io_submit(2))."""

    def run(file: GuestMemfd) -> int:
        buffer = source(count)
        return kernel_aio.pwrite(file.fd, buffer.address, count, 0)

    return Call(f"io_submit(IOCB_CMD_PWRITE of {count} at 0)", run)


def uring_write(count: int) -> Call:
    def run(file: GuestMemfd) -> int:
        buffer = source(count)
        return uring.write(file.fd, buffer.address, count, 0)

    return Call(f"io_uring IORING_OP_WRITE of {count} at 0", run)


def with_status_flag(flag: int, text: str) -> Call:
    """F_SETFL, and a pwrite() of a page when the kernel took the flag."""

    def run(file: GuestMemfd) -> int:
        set_flag = attempt(lambda: fcntl.fcntl(file.fd, fcntl.F_SETFL, flag))
        return set_flag if set_flag < 0 else _pwrite(file, PAGE, 0)

    return Call(f"fcntl(fd, F_SETFL, {text}), pwrite(fd, buf, {PAGE}, 0)", run)


def set_status_flag(flag: int, text: str) -> Call:
    return Call(
        f"fcntl(fd, F_SETFL, {text})",
        lambda file: attempt(lambda: fcntl.fcntl(file.fd, fcntl.F_SETFL, flag)),
    )


def reopen() -> Call:
    return Call(
        'open("/proc/self/fd/<fd>", O_RDWR)',
        lambda file: attempt(lambda: os.open(f"/proc/self/fd/{file.fd}", os.O_RDWR)),
    )


def through_child(count: int) -> Call:
    """The answer that a forked child gets."""

    def run(file: GuestMemfd) -> int:
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            os.write(writer, str(_pwrite(file, count, 0)).encode())
            os._exit(0)
        os.waitpid(child, 0)
        return int(os.read(reader, 32))

    return Call(f"in a forked child: pwrite(fd, buf, {count}, 0)", run)


def _pwrite(file: GuestMemfd, count: int, offset: int) -> int:
    buffer = source(count)  # by name: it is unmapped with its last reference
    return system.pwrite(file.fd, buffer.address, count, offset)


def _parts(buffer: Buffer, counts: Sequence[int]) -> List[Tuple[int, int]]:
    """Consecutive pieces of the buffer."""
    address = buffer.address
    parts = []
    for count in counts:
        parts.append((address, count))
        address += count
    return parts


def _memfd() -> int:
    fd = os.memfd_create("source", os.MFD_CLOEXEC)
    os.write(fd, pattern(PAGE))
    return fd


def _lengths(counts: Sequence[int]) -> str:
    return f"[{', '.join(str(count) for count in counts)}]"


def _position(value: int) -> str:
    """Large numbers as people know them."""
    for shift in (63, 31):
        if abs(value - (1 << shift)) <= 1 << 20:
            rest = value - (1 << shift)
            return f"2^{shift}" + (f"{rest:+d}" if rest else "")
    return str(value)
