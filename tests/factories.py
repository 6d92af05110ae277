# SPDX-License-Identifier: GPL-2.0-or-later
"""Whole models for tests: each function gives a plain good one, keywords replace its fields."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from kverdict import bisection as b
from kverdict import models as m
from kverdict.verdict import Report, judge

BASE, TIP = "ba5e" * 10, "7109" * 10
BASE_ID, TIP_ID = "b1d0" * 10, "b1d1" * 10
CONFIG = "c0f1" * 16


def patch(number: int = 1, **changes: Any) -> m.Patch:
    return m.Patch(
        **{
            "number": number,
            "message_id": f"20251114151828.98165-{number}-alice@example.org",
            "subject": "KVM: guest_memfd: add generic population via write",
            "author": "Alice Example <alice@example.org>",
            "date": datetime(2025, 11, 14, 15, 18, 41, tzinfo=UTC),
            "patch_id": "9a7c" * 10,
            "blobs": (
                m.BlobChange(
                    old_path="virt/kvm/guest_memfd.c",
                    preimage="ffadc5ee8e04",
                    new_path="virt/kvm/guest_memfd.c",
                ),
            ),
            "attestation": m.Attestation(attested=False),
            **changes,
        }
    )


def attested(good: bool) -> m.Attestation:
    return m.Attestation(attested=good, results=("signed ed25519/alice@example.org",) * good)


def series(**changes: Any) -> m.Series:
    return m.Series(
        **{
            "kind": m.SourceKind.MBOX,
            "asked": "gmem-write.mbx",
            "message_id": "20251114151828.98165-1-alice@example.org",
            "subject": "KVM: guest_memfd: add generic population via write",
            "author": "Alice Example <alice@example.org>",
            "revision": 7,
            "newest_revision": 7,
            "cover": None,
            "base_commit": None,
            "prerequisite_patch_ids": (),
            "change_id": None,
            "patches": (patch(),),
            "mbox": "series.mbx",
            "mbox_digest": "5e71" * 16,
            **changes,
        }
    )


def base_choice(**changes: Any) -> m.BaseChoice:
    return m.BaseChoice(
        **{
            "how": m.BaseHow.GUESS,
            "sha": BASE,
            "ref": "HEAD",
            "description": "7.2.12",
            "blobs_matched": 4,
            "blobs_total": 4,
            "attempts": (
                m.BaseAttempt(
                    how=m.BaseHow.GUESS,
                    ref="HEAD",
                    sha=BASE,
                    blobs_matched=4,
                    blobs_total=4,
                    applies=True,
                    note="chosen",
                ),
            ),
            **changes,
        }
    )


def applied(**changes: Any) -> m.Applied:
    return m.Applied(
        **{
            "base": BASE,
            "tip": TIP,
            "patches": (
                m.AppliedPatch(
                    number=1,
                    subject="KVM: guest_memfd: add generic population via write",
                    commit=TIP,
                    three_way=False,
                    paths=("include/uapi/linux/kvm.h", "virt/kvm/guest_memfd.c"),
                ),
            ),
            **changes,
        }
    )


def symbol(name: str = "KVM_AMD", **changes: Any) -> m.SymbolProof:
    return m.SymbolProof(
        **{
            "name": name,
            "asked": "y",
            "got": "y",
            "state": m.SymbolState.AS_ASKED,
            "fragment": "kvm.config",
            "required": True,
            **changes,
        }
    )


def missing_symbol(name: str = "KVM_AMD", **changes: Any) -> m.SymbolProof:
    return symbol(
        name,
        **{
            "got": "n",
            "state": m.SymbolState.DIFFERS,
            "why": "depends on CPU_SUP_AMD, which is n",
            **changes,
        },
    )


def config(**changes: Any) -> m.ConfigProof:
    return m.ConfigProof(
        **{
            "digest": CONFIG,
            "kernel_version": "7.2.12",
            "compiler": "gcc (Debian 12.2.0-14) 12.2.0",
            "asked": (symbol("KVM"), symbol("KVM_AMD")),
            "added": (m.AddedSymbol(name="VIRTUALIZATION", value="y", needed_by="KVM"),),
            "differing": (),
            **changes,
        }
    )


def build(build_id: str = TIP_ID, **changes: Any) -> m.Build:
    return m.Build(
        **{
            "ok": True,
            "seconds": 23.4,
            "clean": False,
            "confirmed_clean": False,
            "build_id": build_id,
            "bzimage_digest": "b21e" * 16,
            "first_error": None,
            "warnings": (),
            **changes,
        }
    )


def failed_build(**changes: Any) -> m.Build:
    error = m.Diagnostic(
        severity="error",
        file="virt/kvm/guest_memfd.c",
        line=519,
        message="expected ';' before 'return'",
    )
    return build(
        **{
            "ok": False,
            "clean": True,
            "confirmed_clean": True,
            "build_id": None,
            "bzimage_digest": None,
            "first_error": error,
            **changes,
        }
    )


def case(id: str, outcome: m.Outcome = m.Outcome.PASS, **changes: Any) -> m.CaseResult:
    said = {
        m.Outcome.PASS: "",
        m.Outcome.SKIP: "this kernel's header does not define GUEST_MEMFD_FLAG_WRITE",
        m.Outcome.NOT_RUN: "the guest was gone before its turn",
    }
    return m.CaseResult(
        **{
            "id": id,
            "title": f"what {id} is about",
            "source": "write(2)",
            "outcome": outcome,
            "message": said.get(outcome, "expected 4096, got -1 EINVAL (Invalid argument)"),
            "seconds": 0.1,
            **changes,
        }
    )


def cases(outcomes: Mapping[str, m.Outcome]) -> tuple[m.CaseResult, ...]:
    return tuple(case(id, outcome) for id, outcome in outcomes.items())


def splat(
    title: str = "at virt/kvm/guest_memfd.c:519 in kvm_gmem_write_begin", **changes: Any
) -> m.Splat:
    return m.Splat(
        **{
            "kind": m.SplatKind.WARN,
            "title": title,
            "function": "kvm_gmem_write_begin",
            "line": 812,
            "excerpt": "------------[ cut here ]------------\nWARNING: virt/kvm/guest_memfd.c:519",
            **changes,
        }
    )


def panic(**changes: Any) -> m.Splat:
    title = "Kernel panic - not syncing: Fatal exception"
    return splat(**{"title": title, "kind": m.SplatKind.PANIC, "function": None, **changes})


def bench(name: str, *rounds: int, **changes: Any) -> m.BenchRow:
    ordered = sorted(rounds)
    return m.BenchRow(
        **{
            "name": name,
            "unit": "guest instructions",
            "mib": 16,
            "rounds": rounds,
            "median": ordered[len(ordered) // 2],
            "minimum": ordered[0],
            "maximum": ordered[-1],
            **changes,
        }
    )


def guest(build_id: str | None = TIP_ID, **changes: Any) -> m.Guest:
    return m.Guest(
        **{
            "accelerator": m.Accelerator.TCG,
            "accelerator_why": "a guest does not boot with KVM: failed to set MSR 0x10a",
            "end": m.GuestEnd.DONE,
            "seconds": 61.2,
            "boot_seconds": 2.6,
            "release": "7.2.12-kverdict",
            "build_id": build_id,
            "config_digest": CONFIG,
            "kvm": True,
            "cases": cases({"pwrite.page": m.Outcome.PASS, "pwrite.last-page": m.Outcome.PASS}),
            "bench": (),
            "splats": (),
            "console_scanned": True,
            "console_tail": ("[   61.1][    T1] reboot: Power down",),
            **changes,
        }
    )


def evaluation(**changes: Any) -> m.Evaluation:
    return m.Evaluation(
        **{
            "key": "7e57" * 16,
            "built": "b01d" * 16,
            "commit": TIP,
            "tree": "71ee" * 10,
            "describe": "patch 1/1",
            "config": config(),
            "build": build(),
            "guest": guest(),
            **changes,
        }
    )


def before(**changes: Any) -> m.Evaluation:
    """The base's evaluation."""
    return evaluation(
        **{
            "key": "ba5e" * 16,
            "commit": BASE,
            "describe": "base",
            "build": build(BASE_ID),
            "guest": guest(BASE_ID),
            **changes,
        }
    )


def report(
    base_evaluation: m.Evaluation | None = None,
    patched_evaluation: m.Evaluation | None = None,
    **changes: Any,
) -> Report:
    parts: dict[str, Any] = {
        "series": series(),
        "base": base_choice(),
        "applied": applied(),
        **changes,
    }
    old, new = base_evaluation or before(), patched_evaluation or evaluation()
    return Report(
        verdict=judge(
            parts["series"],
            parts["base"],
            parts["applied"],
            old,
            (new,),
            protection=("bubblewrap 0.8.0", "no network"),
        ),
        base_evaluation=old,
        patch_evaluations=(new,),
        **parts,
    )


def bisection(culprit: str, subject: str = "KVM: break it", **changes: Any) -> b.Bisection:
    """One that found its culprit and proved it."""
    end = b.End(asked="HEAD", sha=culprit, description="v7.2")
    return b.Bisection(
        **{
            "tree": "linux",
            "question": "write.page",
            "finding": "write.page fails",
            "good": end,
            "bad": end,
            "first_parent": False,
            "paths": (),
            "terms": ("good", "bad"),
            "plan": b.Plan(
                commits=1, steps=0, repeats=1, rate=1.0, asked=3, confidence=0.99, seconds=1.0
            ),
            "steps": (),
            "candidates": (
                b.Commit(
                    sha=culprit,
                    parents=(BASE,),
                    author="Alice Example <alice@example.org>",
                    date=datetime(2025, 11, 14, 15, 18, 41, tzinfo=UTC),
                    subject=subject,
                    message=f"{subject}\n",
                    paths=("virt/kvm/guest_memfd.c",),
                ),
            ),
            "proofs": (),
            "suspicions": (),
            "confidence": 0.999,
            "log": "",
            "exit_status": 0,
            "headline": "the first bad commit is found and proven",
            **changes,
        }
    )
