# SPDX-License-Identifier: GPL-2.0-or-later
from __future__ import annotations

from pathlib import Path

import pytest

from kverdict.accelerator import choose_accelerator, judge_probe
from kverdict.models import Accelerator
from kverdict.proc import Finished
from kverdict.progress import Silent


def ended(stopped: str | None = None) -> Finished:
    return Finished(("vng",), 255, b"", b"", 1.0, stopped)


def test_a_guest_that_came_up_and_has_kvm_itself() -> None:
    assert judge_probe(ended(), "", alive=True, nested=True) is None


def test_a_guest_without_kvm_of_its_own_is_no_use() -> None:
    trouble = judge_probe(ended(), "", alive=True, nested=False)
    assert trouble is not None
    assert "nested" in trouble


def test_qemu_s_error_is_the_reason() -> None:
    # What QEMU 7.2 said on a host whose /dev/kvm opens.
    console = (
        "qemu-system-x86_64: error: failed to set MSR 0x10a to 0x69\n"
        "qemu-system-x86_64: ../../target/i386/kvm/kvm.c:3183: kvm_buf_set_msrs: Assertion "
        "`ret == cpu->kvm_msr_buf->nmsrs' failed.\n"
    )
    assert (
        judge_probe(ended(), console, alive=False, nested=False)
        == "qemu-system-x86_64: error: failed to set MSR 0x10a to 0x69"
    )


def test_a_guest_that_hangs_in_the_firmware() -> None:
    trouble = judge_probe(ended("no word from the kernel within 8 s"), "", False, False)
    assert trouble == "a probe guest did not come up (no word from the kernel within 8 s)"


def test_tcg_asked_for_needs_no_probe(tmp_path: Path) -> None:
    choice = choose_accelerator("tcg", tmp_path / "no-such-kernel", Silent())
    assert (choice.accelerator, choice.why) == (Accelerator.TCG, "asked for")


@pytest.mark.host
def test_what_is_not_a_kernel_never_proves_kvm(tmp_path: Path) -> None:
    """On a machine without KVM there is nothing to boot; with it, this file does not."""
    (tmp_path / "bzImage").write_text("not a kernel\n")
    choice = choose_accelerator("auto", tmp_path / "bzImage", Silent())
    assert choice.accelerator is Accelerator.TCG
    assert choice.why.startswith("no KVM: ")
