# SPDX-License-Identifier: GPL-2.0-or-later
"""Linux AIO without libaio: io_setup(2), io_submit(2), io_getevents(2)."""

from __future__ import annotations

import ctypes
import errno
import platform
import struct

from . import system
from .case import Skip, must, optional

# arch/x86/entry/syscalls/syscall_64.tbl, include/uapi/asm-generic/unistd.h: setup, destroy,
# getevents, submit.
NUMBERS = {"x86_64": (206, 207, 208, 209), "aarch64": (0, 1, 4, 2)}
IOCB_CMD_PWRITE = 1


def pwrite(fd: int, address: int, count: int, offset: int) -> int:
    """The answer of io_submit when it refuses, else the result of the event."""
    machine = platform.machine()
    if machine not in NUMBERS:
        raise Skip(f"no system call numbers for AIO on {machine}")
    setup, destroy, getevents, submit = NUMBERS[machine]
    context = ctypes.c_ulong(0)
    optional("io_setup", system.raw(setup, 1, ctypes.byref(context)), (-errno.ENOSYS,))
    # struct iocb of include/uapi/linux/aio_abi.h, little endian.
    block = ctypes.create_string_buffer(
        struct.pack(
            "<QIiHhIQQqQII", 0, 0, 0, IOCB_CMD_PWRITE, 0, fd, address, count, offset, 0, 0, 0
        )
    )
    blocks = (ctypes.c_void_p * 1)(ctypes.addressof(block))
    submitted = system.raw(submit, context.value, 1, blocks)
    if submitted < 0:
        result = submitted
    else:
        event = ctypes.create_string_buffer(32)
        must("io_getevents", system.raw(getevents, context.value, 1, 1, event, None))
        result = struct.unpack("<QQqq", event.raw)[2]
    system.raw(destroy, context.value)
    return int(result)
