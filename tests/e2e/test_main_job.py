# SPDX-License-Identifier: GPL-2.0-or-later
"""The main job on real kernels, as a user starts it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.conftest import PATCHES, Ended, Pipeline
from tests.e2e.history import History

GMEM = "virt/kvm/guest_memfd.c"
HEADER = "include/uapi/linux/kvm.h"
HOST_HEADER = "include/linux/kvm_host.h"
INIT_SHARED = "#define GUEST_MEMFD_FLAG_INIT_SHARED\t(1ULL << 1)\n"
IN_INIT = "kvm_gmem_fops.owner = module;\n"  # of kvm_gmem_init(), once at boot


@pytest.fixture(scope="module")
def port(shared_pipeline: Pipeline) -> Ended:
    return shared_pipeline.verify(str(PATCHES / "gmem-write-v7-port.mbx"))


@pytest.fixture(scope="module")
def repaired(shared_pipeline: Pipeline) -> Ended:
    return shared_pipeline.verify(str(PATCHES / "gmem-write-v7-repaired.mbx"))


def evidence(ended: Ended, name: str) -> list[str]:
    rows = ended.verdict["verdict"]["evidence"]
    return [row["proof"] for row in rows if row["name"] == name]


def test_the_port_has_the_four_defects_and_nothing_else(port: Ended) -> None:
    assert port.status == 1, port.stderr
    assert {case.rsplit(".", 1)[0] for case in port.failing()} == {
        "defect.stale-memory",
        "defect.short-write",
        "defect.torn-page",
        "defect.private-write",
    }
    assert all(port.verdict_of(case) == "NEW-FAIL" for case in port.failing())


def test_every_claim_about_the_port_has_its_proof(port: Ended) -> None:
    for name in ("base", "apply", "config", "build", "identity", "running config", "console"):
        assert set(evidence(port, name)) == {"holds"}, name
    report = port.verdict
    assert report["base"]["blobs_total"] == 4
    assert report["base"]["blobs_matched"] > 0  # all 4 on 7.2.12; a later 7.2.y may differ in some
    before, after = report["base_evaluation"], report["patch_evaluations"][-1]
    assert before["build"]["build_id"] != after["build"]["build_id"]
    assert after["guest"]["build_id"] == after["build"]["build_id"]
    assert after["config"]["differing"] == []


def test_the_benchmark_was_measured(port: Ended) -> None:
    guest = port.verdict["patch_evaluations"][-1]["guest"]
    rows = {row["name"]: row for row in guest["bench"]}
    assert set(rows) == {"write", "memcpy"}
    assert all(len(row["rounds"]) >= 5 and row["minimum"] > 0 for row in rows.values())
    if guest["accelerator"] == "tcg":
        assert {row["unit"] for row in rows.values()} == {"guest instructions"}


def test_the_summary_fits_a_screen(port: Ended) -> None:
    lines = port.stdout.splitlines()
    assert len(lines) <= 24
    assert max(map(len, lines)) <= 80


def test_the_same_again_builds_and_boots_nothing(port: Ended, shared_pipeline: Pipeline) -> None:
    again = shared_pipeline.verify(str(PATCHES / "gmem-write-v7-port.mbx"))
    assert again.status == port.status
    assert again.folder != port.folder
    assert again.verdict == port.verdict
    assert again.stderr.count("built before") == 2
    assert again.stderr.count("tested before") == 3, "and the failing cases once more"


def test_the_repaired_series_passes_everything(repaired: Ended) -> None:
    assert repaired.status == 0, repaired.stdout + repaired.stderr
    assert repaired.failing() == set()
    assert len(repaired.verdict["applied"]["patches"]) == 2


def test_both_series_were_asked_the_same_questions(port: Ended, repaired: Ended) -> None:
    def ids(ended: Ended) -> list[str]:
        return [row["id"] for row in ended.verdict["verdict"]["cases"]]

    assert ids(port) == ids(repaired)


def test_as_posted_explains_its_conflict_and_leaves_nothing(pipeline: Pipeline) -> None:
    ended = pipeline.verify(str(PATCHES / "gmem-write-v7-as-posted.mbx"))
    assert ended.status == 125
    assert ended.folder is None
    assert list(pipeline.runs.iterdir()) == []
    assert "patch 1/1" in ended.stderr
    assert GMEM in ended.stderr
    assert "@@ -516,6 +567,7 @@" in ended.stderr
    assert "Traceback" not in ended.stderr


# --- series made for the test ---------------------------------------------------------------------


MakeSeries = Callable[[str, dict[str, tuple[str, str]]], list[str]]


@pytest.fixture
def make_series(linux_7_2: tuple[Path, str], tmp_path: Path) -> MakeSeries:
    repo, head = linux_7_2

    def make(subject: str, changes: dict[str, tuple[str, str]]) -> list[str]:
        history = History.on(repo, head, tmp_path / "history.git")
        history.commit(subject, changes)
        return history.series(head, tmp_path / "patches")

    return make


def test_a_series_that_defines_the_flag_and_does_nothing_fails(
    pipeline: Pipeline, make_series: MakeSeries
) -> None:
    patches = make_series(
        "KVM: guest_memfd: promise write and do nothing",
        {HEADER: (INIT_SHARED, INIT_SHARED + "#define GUEST_MEMFD_FLAG_WRITE\t(1ULL << 2)\n")},
    )
    ended = pipeline.verify("--bench-mib", "0", *patches)
    assert ended.status == 1, ended.stdout + ended.stderr
    assert len(ended.failing()) > 20


def test_a_build_error_is_named_with_file_and_line(
    pipeline: Pipeline, make_series: MakeSeries
) -> None:
    broken = "static bool kvm_gmem_supports_mmap(struct inode *inode)\n{\n"
    patches = make_series(
        "KVM: guest_memfd: forget a semicolon", {GMEM: (broken, broken + "\tint forgotten\n")}
    )
    ended = pipeline.verify("--bench-mib", "0", *patches)
    assert ended.status == 1, ended.stderr
    build = ended.verdict["patch_evaluations"][-1]["build"]
    assert build["confirmed_clean"]
    assert build["first_error"]["file"] == GMEM
    assert build["first_error"]["line"] is not None
    assert f"{GMEM}:{build['first_error']['line']}" in ended.stdout


def test_a_kernel_that_panics_at_boot(pipeline: Pipeline, make_series: MakeSeries) -> None:
    patches = make_series(
        "KVM: guest_memfd: panic at init",
        {GMEM: (IN_INIT, 'panic("kverdict test");\n\t' + IN_INIT)},
    )
    ended = pipeline.verify("--bench-mib", "0", *patches)
    assert ended.status == 1, ended.stdout + ended.stderr
    guest = ended.verdict["patch_evaluations"][-1]["guest"]
    assert guest["end"] == "panic"
    assert any("kverdict test" in splat["title"] for splat in guest["splats"])


def test_a_warning_on_the_console_counts_although_all_cases_pass(
    pipeline: Pipeline, make_series: MakeSeries
) -> None:
    patches = make_series(
        "KVM: guest_memfd: warn at init", {GMEM: (IN_INIT, "WARN_ON(1);\n\t" + IN_INIT)}
    )
    ended = pipeline.verify("--bench-mib", "0", *patches)
    assert ended.status == 1, ended.stdout + ended.stderr
    assert ended.verdict["verdict"]["counts"]["NEW-FAIL"] == 0
    splats = ended.verdict["patch_evaluations"][-1]["guest"]["splats"]
    assert [splat["kind"] for splat in splats] == ["WARN"]
    assert splats[0]["function"] == "kvm_gmem_init"


def test_a_rev_range_of_the_user_s_tree_and_the_tree_stays_as_it_was(
    pipeline: Pipeline, linux_7_2: tuple[Path, str], users_repository: Path
) -> None:
    repo, head = linux_7_2
    history = History.on(repo, head, users_repository, "commented")
    declaration = "static struct vfsmount *kvm_gmem_mnt;\n"
    history.commit(
        "KVM: guest_memfd: a harmless comment", {GMEM: (declaration, "/* One. */\n" + declaration)}
    )

    def state() -> dict[str, bytes]:
        files = (path for path in history.repo.rglob("*") if path.is_file())
        return {str(path): path.read_bytes() for path in files}

    before = state()
    ended = pipeline(
        "verify", "--tree", str(history.repo), "--bench-mib", "0", f"{head}..commented"
    )
    assert ended.status == 0, ended.stdout + ended.stderr
    assert ended.verdict["base"]["how"] == "rev range"
    assert ended.verdict["verdict"]["counts"]["UNTESTABLE"] > 0  # no write() there
    assert state() == before
