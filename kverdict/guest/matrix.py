# SPDX-License-Identifier: GPL-2.0-or-later
"""The matrix: one call, and what it answers on three kinds of file.

``flag``    a file with GUEST_MEMFD_FLAG_WRITE (and MMAP, INIT_SHARED, to see its contents)
``noflag``  a file without it, on a kernel whose header defines it
``before``  any file of a kernel whose header does not define it

A row makes two cases: ``<id>`` for the first, ``noflag.<id>`` for the other two; which of these
applies is decided by the header (facts.py).  After each call the file must hold what the answer
says: that many bytes of the source, and zeroes elsewhere.  What v7 does wrong is not a row here
but a case in defects.py.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from errno import (
    EFAULT,
    EINVAL,
    ENODEV,
    ENXIO,
    EOPNOTSUPP,
    ESPIPE,
    EXDEV,
)
from typing import Iterator, Sequence, Tuple

from . import calls, system
from .calls import Call
from .case import Case, Expected, expect, one_of
from .facts import INIT_SHARED, MMAP, WRITE, Facts
from .kvm import FILE_PAGES, GuestMemfd, Vm
from .memory import expect_bytes, pattern
from .system import PAGE

POPULATE = (MMAP, INIT_SHARED, WRITE)
WITHOUT_WRITE: Tuple[Tuple[str, ...], ...] = ((), (MMAP,), (MMAP, INIT_SHARED))
SIZE = FILE_PAGES * PAGE

ALIGNED = 'commit message: "Only PAGE_ALIGNED offset and len are allowed"'
SELFTEST = "guest_memfd_test.c (v7 2/2): test_write_supported, test_write_not_supported"
NO_READ = 'commit message: read() "is not supported"; guest_memfd_test.c: test_file_read'
VFS = "fs/read_write.c, vfs_write()"

WHOLE_PAGES = "the whole pages of it, or nothing because len is not PAGE_ALIGNED"
UP_TO_END = "up to the end of the file, or nothing because it does not fit"
AT_POSITION_OR_END = "at the position (guest_memfd cannot grow), or EINVAL for the end of file"
NOTHING_TO_DO = "nothing to write, or the error that a write of a page would get"


@dataclass(frozen=True)
class Row:
    id: str
    title: str
    source: str
    call: Call
    flag: Expected
    noflag: Expected
    before: Expected

    def cases(self) -> Tuple[Case, Case]:
        return (
            Case(self.id, self.title, self.source, POPULATE, self._with_flag),
            Case(
                f"noflag.{self.id}",
                f"no flag: {self.title}",
                self.source,
                (MMAP,),  # before it, ordinary VMs had no guest_memfd
                self._without,
            ),
        )

    def _with_flag(self, facts: Facts) -> None:
        with Vm() as vm:
            self.check(vm.guest_memfd(facts, POPULATE), self.flag, True)

    def _without(self, facts: Facts) -> None:
        expected = self.expected_without(facts)
        with Vm() as vm:
            for flags in WITHOUT_WRITE:
                if not facts.missing(flags):
                    self.check(vm.guest_memfd(facts, flags), expected, INIT_SHARED in flags)

    def expected_without(self, facts: Facts) -> Expected:
        return self.noflag if facts.patched else self.before

    def check(self, file: GuestMemfd, expected: Expected, visible: bool) -> None:
        """Raises Failure; the contents are looked at where they are ``visible``."""
        got = self.call.run(file)
        expect(f"{self.call.text} on {file}", got, expected)
        if visible:
            self._check_contents(file, got)

    def _check_contents(self, file: GuestMemfd, got: int) -> None:
        data = b""
        if self.call.offset is not None and got > 0:
            data = bytes(self.call.offset) + pattern(got)
        expect_bytes(
            f"contents after {self.call.text} on {file}",
            file.contents(),
            data + bytes(file.size - len(data)),
            "the file does not hold what the answer says",
        )


def page_write(id: str, title: str, source: str, call: Call, before: int) -> Row:
    """A call that writes one whole page."""
    return Row(id, title, source, call, PAGE, -ENODEV, before)


def unaligned(id: str, title: str, call: Call) -> Row:
    return Row(id, title, f"{ALIGNED}; {SELFTEST}", call, -EINVAL, -ENODEV, -ESPIPE)


def alike(id: str, title: str, source: str, call: Call, answer: Expected) -> Row:
    """A call whose answer the series does not change."""
    return Row(id, title, source, call, answer, answer, answer)


def flagged(id: str, title: str, flags: int, text: str, expected: Expected) -> Row:
    """pwritev2() of a page with RWF_* flags that do not refuse it by themselves."""
    return Row(id, title, "pwritev2(2)", calls.pwritev2(flags, text), expected, -ENODEV, -ESPIPE)


def refused(id: str, title: str, flags: int, text: str, error: int) -> Row:
    """pwritev2() with RWF_* flags that the VFS refuses before the file is asked."""
    source = "pwritev2(2); include/linux/fs.h, kiocb_set_rw_flags()"
    return Row(id, title, source, calls.pwritev2(flags, text), -error, -error, -ESPIPE)


WRITES: Sequence[Row] = (
    page_write("write.page", "write() of one page", "write(2)", calls.write(PAGE), -EINVAL),
    Row(
        "write.pages-in-turn",
        "write() goes on where the write() before it ended",
        "write(2)",
        calls.write_twice(2 * PAGE),
        4 * PAGE,
        -ENODEV,
        -EINVAL,
    ),
    page_write("pwrite.page", "pwrite() of one page", SELFTEST, calls.pwrite(PAGE, 0), -ESPIPE),
    page_write(
        "pwrite.last-page",
        "pwrite() of the last page",
        "pwrite(2)",
        calls.pwrite(PAGE, SIZE - PAGE),
        -ESPIPE,
    ),
    Row(
        "pwrite.whole-file",
        "pwrite() of the whole file",
        "pwrite(2)",
        calls.pwrite(SIZE, 0),
        SIZE,
        -ENODEV,
        -ESPIPE,
    ),
    Row(
        "pwrite.at-eof",
        "pwrite() at the end of the file",
        SELFTEST,
        calls.pwrite(PAGE, SIZE),
        -EINVAL,
        -ENODEV,
        -ESPIPE,
    ),
    Row(
        "pwrite.past-eof",
        "pwrite() beyond the end of the file",
        SELFTEST,
        calls.pwrite(PAGE, SIZE + PAGE),
        -EINVAL,
        -ENODEV,
        -ESPIPE,
    ),
    Row(
        "pwrite.across-eof",
        "pwrite() that begins in the file and ends beyond it",
        'write(2): "fewer than count bytes"; ' + SELFTEST,
        calls.pwrite(2 * PAGE, SIZE - PAGE),
        one_of(PAGE, -EINVAL, why=UP_TO_END),
        -ENODEV,
        -ESPIPE,
    ),
    unaligned("pwrite.one-byte", "pwrite() of one byte", calls.pwrite(1, 0)),
    unaligned("pwrite.part-of-page", "pwrite() of part of a page", calls.pwrite(100, 0)),
    unaligned("pwrite.unaligned-offset", "pwrite() at an unaligned offset", calls.pwrite(PAGE, 1)),
    Row(
        "pwrite.page-and-more",
        "pwrite() of a page and a part",
        ALIGNED,
        calls.pwrite(PAGE + 100, 0),
        one_of(PAGE, -EINVAL, why=WHOLE_PAGES),
        -ENODEV,
        -ESPIPE,
    ),
    Row(
        "pwrite.negative-offset",
        "pwrite() at a negative offset",
        "pwrite(2), ERRORS",
        calls.pwrite(PAGE, -1),
        -EINVAL,
        -EINVAL,
        -EINVAL,
    ),
    Row(
        "pwrite.offset-overflow",
        "pwrite() whose end overflows the offset",
        f"{VFS}, rw_verify_area()",
        calls.pwrite(PAGE, 2**63 - PAGE),
        -EINVAL,
        -EINVAL,
        -ESPIPE,
    ),
    Row(
        "pwrite.empty-unaligned",
        "pwrite() of nothing at an unaligned offset",
        "write(2) on a count of zero",
        calls.pwrite(0, 1),
        one_of(0, -EINVAL, why=NOTHING_TO_DO),
        one_of(-ENODEV, 0, why=NOTHING_TO_DO),
        -ESPIPE,
    ),
    Row(
        "pwrite.empty-past-eof",
        "pwrite() of nothing beyond the end of the file",
        "write(2) on a count of zero",
        calls.pwrite(0, SIZE + PAGE),
        one_of(0, -EINVAL, why=NOTHING_TO_DO),
        one_of(-ENODEV, 0, why=NOTHING_TO_DO),
        -ESPIPE,
    ),
    Row(
        "pwrite.null",
        "pwrite() from NULL",
        "write(2), EFAULT",
        calls.pwrite_from(PAGE, 0, 0),
        -EFAULT,
        -ENODEV,
        -ESPIPE,
    ),
    Row(
        "pwrite.null-past-eof",
        "pwrite() from NULL at the end of the file",
        "write(2), ERRORS: no order among them",
        calls.pwrite_from(PAGE, 0, SIZE),
        one_of(-EINVAL, -EFAULT),
        -ENODEV,
        -ESPIPE,
    ),
    Row(
        "pwrite.null-part-of-page",
        "pwrite() of part of a page from NULL",
        "write(2), ERRORS: no order among them",
        calls.pwrite_from(100, 0, 0),
        one_of(-EINVAL, -EFAULT),
        -ENODEV,
        -ESPIPE,
    ),
    Row(
        "pwrite.count-2-63",
        "pwrite() of 2^63 bytes",
        f"{VFS}, access_ok() and rw_verify_area()",
        calls.pwrite_from(1 << 63, PAGE, 0),
        one_of(-EFAULT, -EINVAL),
        one_of(-EFAULT, -EINVAL),
        -ESPIPE,
    ),
    Row(
        "pwrite.over-2-gib",
        "pwrite() of more than 2 GiB ends at the end of the file",
        "write(2), NOTES: at most 0x7ffff000 bytes, a multiple of the page",
        calls.pwrite_huge((1 << 31) + PAGE),
        one_of(SIZE, -EINVAL, why=UP_TO_END),
        -ENODEV,
        -ESPIPE,
    ),
)

VECTORS: Sequence[Row] = (
    page_write("writev.page", "writev() of one page", "writev(2)", calls.writev([PAGE]), -EINVAL),
    Row(
        "writev.pieces",
        "writev() of two pages in three pieces",
        "writev(2)",
        calls.writev([PAGE // 2, PAGE, PAGE // 2]),
        2 * PAGE,
        -ENODEV,
        -EINVAL,
    ),
    Row(
        "writev.empty",
        "writev() of nothing",
        "fs/read_write.c, vfs_writev(): a total of 0 returns 0",
        calls.writev([0, 0]),
        0,
        0,
        -EINVAL,
    ),
    page_write(
        "pwritev.page", "pwritev() of one page", "pwritev(2)", calls.pwritev([PAGE], 0), -ESPIPE
    ),
    Row(
        "pwritev.empty",
        "pwritev() of nothing",
        "fs/read_write.c, vfs_writev(): a total of 0 returns 0",
        calls.pwritev([0, 0], 0),
        0,
        0,
        -ESPIPE,
    ),
    page_write(
        "pwritev2.at-position",
        "pwritev2() at the file position",
        "pwritev2(2): an offset of -1",
        calls.pwritev2(0, "0", offset=-1),
        -EINVAL,
    ),
    flagged("pwritev2.hipri", "pwritev2() with RWF_HIPRI", system.RWF_HIPRI, "RWF_HIPRI", PAGE),
    flagged("pwritev2.dsync", "pwritev2() with RWF_DSYNC", system.RWF_DSYNC, "RWF_DSYNC", PAGE),
    flagged("pwritev2.sync", "pwritev2() with RWF_SYNC", system.RWF_SYNC, "RWF_SYNC", PAGE),
    flagged(
        "pwritev2.append",
        "pwritev2() with RWF_APPEND (as is)",
        system.RWF_APPEND,
        "RWF_APPEND",
        one_of(PAGE, -EINVAL, why=AT_POSITION_OR_END),
    ),
    flagged(
        "pwritev2.noappend",
        "pwritev2() with RWF_NOAPPEND",
        system.RWF_NOAPPEND,
        "RWF_NOAPPEND",
        PAGE,
    ),
    flagged(
        "pwritev2.nosignal",
        "pwritev2() with RWF_NOSIGNAL",
        system.RWF_NOSIGNAL,
        "RWF_NOSIGNAL",
        PAGE,
    ),
    refused(
        "pwritev2.nowait",
        "pwritev2() with RWF_NOWAIT: not announced (FMODE_NOWAIT)",
        system.RWF_NOWAIT,
        "RWF_NOWAIT",
        EOPNOTSUPP,
    ),
    refused(
        "pwritev2.atomic",
        "pwritev2() with RWF_ATOMIC: not announced",
        system.RWF_ATOMIC,
        "RWF_ATOMIC",
        EOPNOTSUPP,
    ),
    refused(
        "pwritev2.dontcache",
        "pwritev2() with RWF_DONTCACHE: not announced",
        system.RWF_DONTCACHE,
        "RWF_DONTCACHE",
        EOPNOTSUPP,
    ),
    refused(
        "pwritev2.unknown",
        "pwritev2() with a flag that does not exist",
        1 << 30,
        "1 << 30",
        EOPNOTSUPP,
    ),
    refused(
        "pwritev2.append-and-noappend",
        "pwritev2() with flags that contradict each other",
        system.RWF_APPEND | system.RWF_NOAPPEND,
        "RWF_APPEND|RWF_NOAPPEND",
        EINVAL,
    ),
)

OTHER_WAYS: Sequence[Row] = (
    Row(
        "aio.page",
        "AIO write of one page",
        "io_submit(2)",
        calls.aio_pwrite(PAGE),
        PAGE,
        -ENODEV,
        -EINVAL,
    ),
    Row(
        "aio.part-of-page",
        "AIO write of part of a page",
        ALIGNED,
        calls.aio_pwrite(100),
        -EINVAL,
        -ENODEV,
        -EINVAL,
    ),
    Row(
        "uring.page",
        "io_uring write of one page",
        "io_uring_enter(2), IORING_OP_WRITE",
        calls.uring_write(PAGE),
        PAGE,
        -ENODEV,
        -EINVAL,
    ),
    Row(
        "uring.part-of-page",
        "io_uring write of part of a page",
        ALIGNED,
        calls.uring_write(100),
        -EINVAL,
        -ENODEV,
        -EINVAL,
    ),
    Row(
        "status.append",
        "pwrite() after O_APPEND was set (as is)",
        "fcntl(2), F_SETFL; pwrite(2), BUGS",
        calls.with_status_flag(os.O_APPEND, "O_APPEND"),
        one_of(PAGE, -EINVAL, why=AT_POSITION_OR_END),
        -ENODEV,
        -ESPIPE,
    ),
    page_write(
        "process.child",
        "a forked child writes",
        "fork(2): the child inherits open file descriptions",
        calls.through_child(PAGE),
        -ESPIPE,
    ),
    alike(
        "status.direct",
        "O_DIRECT is refused",
        "fcntl(2), F_SETFL; fs/fcntl.c, setfl()",
        calls.set_status_flag(os.O_DIRECT, "O_DIRECT"),
        -EINVAL,
    ),
    alike(
        "process.reopen",
        "the file cannot be opened again through /proc",
        "open(2), ENXIO; guest_memfd has no path",
        calls.reopen(),
        -ENXIO,
    ),
    alike(
        "splice.sendfile-to",
        "sendfile() to the file",
        "sendfile(2), EINVAL",
        calls.sendfile_to(),
        -EINVAL,
    ),
    alike("splice.to", "splice() from a pipe", "splice(2), EINVAL", calls.splice_to(), -EINVAL),
    alike(
        "splice.copy-file-range-to",
        "copy_file_range() from another file",
        "copy_file_range(2), EXDEV",
        calls.copy_file_range_to(),
        -EXDEV,
    ),
    alike(
        "splice.copy-file-range-inside",
        "copy_file_range() inside the file",
        "copy_file_range(2), EINVAL",
        calls.copy_file_range_inside(),
        -EINVAL,
    ),
    alike(
        "size.ftruncate",
        "the size cannot be changed",
        "ftruncate(2), EINVAL; virt/kvm/guest_memfd.c, kvm_gmem_setattr()",
        calls.ftruncate(SIZE + PAGE),
        -EINVAL,
    ),
    alike("size.fsync", "fsync() is refused", "fsync(2), EINVAL", calls.fsync(), -EINVAL),
)

READS: Sequence[Row] = (
    alike("read.read", "read() is refused", NO_READ, calls.read(), -EINVAL),
    alike("read.pread", "pread() is refused", NO_READ, calls.pread(), -ESPIPE),
    alike("read.preadv", "preadv() is refused", NO_READ, calls.preadv(), -ESPIPE),
    alike("read.sendfile", "sendfile() from the file", NO_READ, calls.sendfile_from(0), -ESPIPE),
    alike(
        "read.sendfile-position",
        "sendfile() from the file's position",
        NO_READ,
        calls.sendfile_from(None),
        -EINVAL,
    ),
    alike("read.splice", "splice() to a pipe", NO_READ, calls.splice_from(), -EINVAL),
)


def seek(id: str, title: str, call: Call, got: Expected) -> Row:
    """lseek() works on every file once the series is in, with or without the flag (as is)."""
    return Row(id, title, "lseek(2)", call, got, got, -ESPIPE)


SEEKS: Sequence[Row] = (
    seek("lseek.set", "lseek() to the start", calls.lseek("SEEK_SET", 0, os.SEEK_SET), 0),
    seek("lseek.end", "lseek() to the end", calls.lseek("SEEK_END", 0, os.SEEK_END), SIZE),
    seek("lseek.data", "lseek() to data", calls.lseek("SEEK_DATA", 0, os.SEEK_DATA), 0),
    seek("lseek.hole", "lseek() to a hole", calls.lseek("SEEK_HOLE", 0, os.SEEK_HOLE), SIZE),
    seek(
        "lseek.data-at-eof",
        "lseek() to data at the end of the file",
        calls.lseek("SEEK_DATA", SIZE, os.SEEK_DATA),
        -ENXIO,
    ),
    seek(
        "lseek.negative",
        "lseek() before the start",
        calls.lseek("SEEK_SET", -1, os.SEEK_SET),
        -EINVAL,
    ),
    seek(
        "lseek.past-eof",
        "lseek() beyond the end",
        calls.lseek("SEEK_SET", SIZE + PAGE, os.SEEK_SET),
        SIZE + PAGE,
    ),
)

ROWS: Sequence[Row] = (*WRITES, *VECTORS, *OTHER_WAYS, *READS, *SEEKS)


def cases() -> Iterator[Case]:
    """The cases with the flag first: they are what the series is about."""
    pairs = [row.cases() for row in ROWS]
    for with_flag, _ in pairs:
        yield with_flag
    for _, without in pairs:
        yield without


CASES: Tuple[Case, ...] = tuple(cases())
