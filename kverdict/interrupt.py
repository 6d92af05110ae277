# SPDX-License-Identifier: GPL-2.0-or-later
"""Signals that end a run: as an exception once, so that everything is cleaned up, and only once.

What holds a guest, a lock, a worktree or a temporary folder lets go of it when the exception
passes.  A second Ctrl-C while that goes on would break it off half-way, so it only gets an answer.
"""

from __future__ import annotations

import os
import signal
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_PATIENCE = b"kverdict: cleaning up: this takes some seconds\n"
_OUTPUTS = (1, 2)


class Interrupted(BaseException):
    """One of SIGNALS came; no Exception, so that nobody takes it for an error of theirs."""


def raise_on_signals() -> None:
    """From now on a signal raises Interrupted; those that are ignored stay so (nohup)."""
    for number in SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _interrupt)


@contextmanager
def undisturbed() -> Iterator[None]:
    """Signals wait until the block ends; for cleaning up, which takes seconds at most."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _interrupt(number: int, frame: FrameType | None) -> None:
    for other in SIGNALS:
        if signal.getsignal(other) is _interrupt:
            signal.signal(other, _ask_for_patience)
    if number == signal.SIGHUP:
        _leave_terminal()
    raise Interrupted


def _ask_for_patience(number: int, frame: FrameType | None) -> None:
    with suppress(OSError):
        os.write(2, _PATIENCE)


def _leave_terminal() -> None:
    """The terminal is gone, and writing to it would fail in the midst of the cleaning up."""
    for output in _OUTPUTS:
        with suppress(OSError):
            if stat.S_ISCHR(os.fstat(output).st_mode):
                nowhere = os.open(os.devnull, os.O_WRONLY)
                os.dup2(nowhere, output)
                os.close(nowhere)
