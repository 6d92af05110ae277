# SPDX-License-Identifier: GPL-2.0-or-later
"""The system calls that strangers' code does not get: what no namespace holds back.

Keyrings belong to whoever started the pipeline (keyrings(7)) and may hold tickets; sockets of some
families are not in the network namespace (AF_VSOCK reaches the hypervisor); and a few calls are
there for debugging the kernel itself.  Everything else is left to the other walls: a build needs
most of what there is.
"""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from kverdict.proc import ToolMissing

REFUSED = (
    *("add_key", "request_key", "keyctl"),
    *("bpf", "perf_event_open", "userfaultfd"),
    *("io_uring_setup", "io_uring_enter", "io_uring_register"),
)
FAMILIES = (socket.AF_UNIX, socket.AF_INET, socket.AF_INET6, socket.AF_NETLINK)
_LAST_FAMILY = 64  # beyond what there is (46 in Linux 7.3)


@contextmanager
def program() -> Iterator[int]:
    """A file descriptor from which bubblewrap reads the filter (``--seccomp``, BPF).

    Raises ToolMissing without libseccomp.
    """
    with os.fdopen(os.memfd_create("kverdict-seccomp"), "w+b") as file:
        _filter().export_bpf(file)
        file.seek(0)
        yield file.fileno()


def _filter() -> Any:
    try:
        import pyseccomp  # finds the library when it is imported
    except (ImportError, RuntimeError) as error:
        raise ToolMissing("libseccomp is not installed", "run `make setup`") from error
    # Other architectures' calls (x32, i386) end the process: nothing here makes any.
    made = pyseccomp.SyscallFilter(pyseccomp.ALLOW)
    for name in REFUSED:
        made.add_rule(pyseccomp.ERRNO(errno.EPERM), name)
    for family in range(_LAST_FAMILY):
        if family not in FAMILIES:
            made.add_rule(
                pyseccomp.ERRNO(errno.EAFNOSUPPORT),
                "socket",
                pyseccomp.Arg(0, pyseccomp.EQ, family),
            )
    return made
