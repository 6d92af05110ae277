# SPDX-License-Identifier: GPL-2.0-or-later
"""One IORING_OP_WRITE through raw io_uring (include/uapi/linux/io_uring.h)."""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
import struct

from . import system
from .case import must, optional

SETUP, ENTER = 425, 426  # the same on every architecture
OP_WRITE = 23
ENTER_GETEVENTS = 1
OFF_SQ_RING, OFF_CQ_RING, OFF_SQES = 0, 0x8000000, 0x10000000
ABSENT = (-errno.ENOSYS, -errno.EPERM)  # not built in, or kernel.io_uring_disabled


def write(fd: int, address: int, count: int, offset: int) -> int:
    """The completion's result."""
    parameters = bytearray(120)
    view = (ctypes.c_char * len(parameters)).from_buffer(parameters)
    ring = optional("io_uring_setup", system.raw(SETUP, 1, view), ABSENT)
    assert ring is not None
    sq_entries, cq_entries = struct.unpack_from("<II", parameters, 0)
    # struct io_sqring_offsets at 40: head, tail, ring_mask, ring_entries, flags, dropped, array;
    # struct io_cqring_offsets at 80: head, tail, ring_mask, ring_entries, overflow, cqes.
    sq_tail, sq_array = (struct.unpack_from("<I", parameters, at)[0] for at in (44, 64))
    cq_tail, cqes = (struct.unpack_from("<I", parameters, at)[0] for at in (84, 100))
    submission = _map(ring, sq_array + 4 * sq_entries, OFF_SQ_RING)
    completion = _map(ring, cqes + 16 * cq_entries, OFF_CQ_RING)
    entries = _map(ring, 64 * sq_entries, OFF_SQES)
    struct.pack_into("<BBHiQQI", entries, 0, OP_WRITE, 0, 0, fd, offset, address, count)
    struct.pack_into("<I", submission, sq_array, 0)
    struct.pack_into("<I", submission, sq_tail, 1)
    must("io_uring_enter", system.raw(ENTER, ring, 1, 1, ENTER_GETEVENTS, None, 0))
    assert struct.unpack_from("<I", completion, cq_tail)[0] == 1
    (result,) = struct.unpack_from("<i", completion, cqes + 8)
    os.close(ring)
    return int(result)


def _map(ring: int, length: int, offset: int) -> mmap.mmap:
    return mmap.mmap(ring, length, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE, offset=offset)
