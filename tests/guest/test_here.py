# SPDX-License-Identifier: GPL-2.0-or-later
"""The suite on the kernel that runs the tests, where that has guest_memfd with mmap."""

from __future__ import annotations

from pathlib import Path

import pytest

from kverdict import uapi
from kverdict.findings.suite import run_here
from kverdict.guest import kvm
from kverdict.guest.case import Skip
from kverdict.models import Outcome

UNPATCHED = {"GUEST_MEMFD_FLAG_MMAP": 1, "GUEST_MEMFD_FLAG_INIT_SHARED": 2}
MERGED = sum(UNPATCHED.values())


def flags_here() -> int:
    try:
        with kvm.Vm() as vm:
            return vm.capability(kvm.CAP_GUEST_MEMFD_FLAGS)
    except (OSError, Skip):
        return 0


def outcomes(facts: uapi.Facts, folder: Path) -> dict[str, Outcome]:
    told = run_here(facts, folder)
    assert told.problems == ()
    return {case.id: case.outcome for case in told.cases}


@pytest.mark.host
@pytest.mark.skipif(flags_here() != MERGED, reason="this kernel has other guest_memfd flags")
def test_an_unpatched_kernel_passes_what_holds_for_it(tmp_path: Path) -> None:
    found = outcomes(uapi.Facts(flags=UNPATCHED), tmp_path)
    bad = {id for id, outcome in found.items() if outcome not in (Outcome.PASS, Outcome.SKIP)}
    assert bad == set()
    assert found["noflag.pwrite.page"] is Outcome.PASS
    assert found["flags.capability-vm"] is Outcome.PASS
    assert found["pwrite.page"] is Outcome.SKIP


@pytest.mark.host
@pytest.mark.skipif(flags_here() != MERGED, reason="this kernel has other guest_memfd flags")
def test_a_patch_that_does_nothing_fails(tmp_path: Path) -> None:
    """The header promises the flag and the kernel knows nothing of it."""
    found = outcomes(uapi.Facts(flags={**UNPATCHED, "GUEST_MEMFD_FLAG_WRITE": 4}), tmp_path)
    assert Outcome.ERROR not in found.values()
    for id in ("flags.capability-vm", "flags.valid", "pwrite.page", "noflag.pwrite.page"):
        assert found[id] is Outcome.FAIL


@pytest.mark.host
@pytest.mark.skipif(flags_here() != MERGED, reason="this kernel has other guest_memfd flags")
def test_an_unpatched_kernel_is_measured_by_memcpy_alone(tmp_path: Path) -> None:
    told = run_here(uapi.Facts(flags=UNPATCHED), tmp_path, bench_mib=1)
    (row,) = told.bench
    assert (row.name, row.unit, row.mib, len(row.rounds)) == ("memcpy", "ns", 1, 5)
    assert 0 < row.minimum <= row.median <= row.maximum
