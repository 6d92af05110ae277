# SPDX-License-Identifier: GPL-2.0-or-later
"""System calls that answer like the kernel does: a value, or minus the errno."""

from __future__ import annotations

import ctypes
import errno
import os
from typing import Any, Callable, Sequence, Tuple

PAGE = os.sysconf("SC_PAGE_SIZE")

FALLOC_FL_KEEP_SIZE = 1
FALLOC_FL_PUNCH_HOLE = 2

# include/uapi/linux/fs.h
RWF_HIPRI = 0x01
RWF_DSYNC = 0x02
RWF_SYNC = 0x04
RWF_NOWAIT = 0x08
RWF_APPEND = 0x10
RWF_NOAPPEND = 0x20
RWF_ATOMIC = 0x40
RWF_DONTCACHE = 0x80
RWF_NOSIGNAL = 0x100

_LIBC = ctypes.CDLL(None, use_errno=True)


class _IoVec(ctypes.Structure):
    _fields_ = [("base", ctypes.c_void_p), ("length", ctypes.c_size_t)]


def attempt(call: Callable[[], Any]) -> int:
    """What ``call`` returns, or minus the errno that it raises; None counts as 0."""
    try:
        got = call()
    except OSError as error:
        return -(error.errno or errno.EIO)
    if got is None:
        return 0
    return len(got) if isinstance(got, bytes) else int(got)


def write(fd: int, address: int, count: int) -> int:
    return _long("write", _int(fd), _pointer(address), _size(count))


def pwrite(fd: int, address: int, count: int, offset: int) -> int:
    return _long("pwrite64", _int(fd), _pointer(address), _size(count), _offset(offset))


def writev(fd: int, parts: Sequence[Tuple[int, int]]) -> int:
    """``parts`` are (address, length) pairs."""
    return _long("writev", _int(fd), _vector(parts), _int(len(parts)))


def pwritev(fd: int, parts: Sequence[Tuple[int, int]], offset: int) -> int:
    return _long("pwritev64", _int(fd), _vector(parts), _int(len(parts)), _offset(offset))


def pwritev2(fd: int, parts: Sequence[Tuple[int, int]], offset: int, flags: int) -> int:
    return _long(
        "pwritev64v2", _int(fd), _vector(parts), _int(len(parts)), _offset(offset), _int(flags)
    )


def splice(source: int, target: int, count: int) -> int:
    return _long("splice", _int(source), None, _int(target), None, _size(count), _int(0))


def fallocate(fd: int, mode: int, offset: int, length: int) -> int:
    return _short("fallocate64", _int(fd), _int(mode), _offset(offset), _offset(length))


def punch_hole(fd: int, offset: int, length: int) -> int:
    return fallocate(fd, FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE, offset, length)


def mprotect(address: int, length: int, protection: int) -> int:
    return _short("mprotect", _pointer(address), _size(length), _int(protection))


def mincore(address: int, pages: int) -> Tuple[bool, ...]:
    """Which pages of a mapping the page cache holds; raises OSError."""
    vector = (ctypes.c_ubyte * pages)()
    got = _short("mincore", _pointer(address), _size(pages * PAGE), vector)
    if got < 0:
        raise OSError(-got, os.strerror(-got))
    return tuple(bool(byte & 1) for byte in vector)


def raw(number: int, *args: Any) -> int:
    """syscall(2); plain numbers are passed as longs."""
    return _long("syscall", ctypes.c_long(number), *(_raw(arg) for arg in args))


def _raw(arg: Any) -> Any:
    return ctypes.c_long(arg) if isinstance(arg, int) else arg


def _long(name: str, *args: Any) -> int:
    return _call(name, ctypes.c_long, args)


def _short(name: str, *args: Any) -> int:
    return _call(name, ctypes.c_int, args)


def _call(name: str, result: Any, args: Sequence[Any]) -> int:
    function = getattr(_LIBC, name)
    function.restype = result
    ctypes.set_errno(0)
    got = int(function(*args))
    return got if got != -1 else -ctypes.get_errno()


def _vector(parts: Sequence[Tuple[int, int]]) -> Any:
    return (_IoVec * max(len(parts), 1))(*(_IoVec(base, length) for base, length in parts))


_int = ctypes.c_int
_size = ctypes.c_size_t
_offset = ctypes.c_int64
_pointer = ctypes.c_void_p
