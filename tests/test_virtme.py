# SPDX-License-Identifier: GPL-2.0-or-later
from __future__ import annotations

from pathlib import Path

import pytest

from kverdict.models import Accelerator
from kverdict.virtme import Machine, Session, session


def boot_of(machine: Machine) -> Session:
    return session(
        Path("/k/bzImage"),
        "echo 'a b'; exit 3",
        results=Path("/r"),
        suite=Path("/s"),
        machine=machine,
        kernel_options=("quiet=a b",),
        file_limit=1000,
    )


def argv(machine: Machine) -> list[str]:
    """The whole command line, sandbox and all."""
    booted = boot_of(machine)
    return booted.sandbox.wrap(booted.argv)


def qemu_options(machine: Machine) -> list[str]:
    return [w.removeprefix("--qemu-opt=") for w in argv(machine) if w.startswith("--qemu-opt=")]


@pytest.mark.host
@pytest.mark.parametrize("accelerator", list(Accelerator))
def test_the_accelerator_is_named_and_never_left_to_virtme_ng(accelerator: Accelerator) -> None:
    """virtme-ng's own accel=kvm:tcg would fall back without a word."""
    machine = Machine(accelerator)
    assert "--disable-kvm" in argv(machine)
    options = qemu_options(machine)
    assert options[options.index("-accel") + 1] == accelerator.value


@pytest.mark.host
def test_counting_instructions_needs_one_thread_and_no_string_moves() -> None:
    options = qemu_options(Machine(Accelerator.TCG, cpus=1, count_instructions=True))
    assert options == [
        *("-accel", "tcg,thread=single"),
        *("-icount", "shift=0,sleep=off"),
        *("-cpu", "max,erms=off,fsrm=off"),
    ]


@pytest.mark.host
def test_only_a_guest_on_kvm_gets_the_device() -> None:
    assert "/dev/kvm" in argv(Machine(Accelerator.KVM))
    assert "/dev/kvm" not in argv(Machine(Accelerator.TCG))


@pytest.mark.host
def test_script_and_options_are_one_argument_each() -> None:
    words = argv(Machine(Accelerator.TCG))
    assert words[words.index("--script-sh") + 1] == "echo 'a b'; exit 3"
    assert "quiet=a b" in words
    assert "--fsize=1000" in words


@pytest.mark.host
def test_only_the_results_are_writable() -> None:
    words = argv(Machine(Accelerator.TCG))
    writable = [words[at + 2] for at, word in enumerate(words) if word == "--bind"]
    assert writable == ["/results"]
