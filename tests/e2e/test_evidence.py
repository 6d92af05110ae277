# SPDX-License-Identifier: GPL-2.0-or-later
"""Evidence for whole series, on real kernels: whose a finding is, and how sure that is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import PATCHES, Ended, Pipeline
from tests.e2e.history import History

GMEM = "virt/kvm/guest_memfd.c"
CREATE = """\tif (size <= 0 || !PAGE_ALIGNED(size))
\t\treturn -EINVAL;

\treturn __kvm_gmem_create(kvm, size, flags);
"""
INIT = "\tkvm_gmem_fops.owner = module;\n"
NO_BENCHMARK = ("--bench-mib", "0")  # a guest of its own, and no series here is about speed


@pytest.fixture
def history(linux_7_2: tuple[Path, str], tmp_path: Path) -> History:
    repo, head = linux_7_2
    return History.on(repo, head, tmp_path / "history.git")


@pytest.fixture
def series(
    linux_7_2: tuple[Path, str], history: History, tmp_path: Path
) -> Callable[[], list[str]]:
    return lambda: history.series(linux_7_2[1], tmp_path / "patches")


def findings(ended: Ended, kind: str) -> list[dict[str, Any]]:
    return [one for one in ended.verdict["verdict"]["findings"] if one["kind"] == kind]


def evidence(ended: Ended, name: str) -> str:
    return " / ".join(
        item["text"] for item in ended.verdict["verdict"]["evidence"] if item["name"] == name
    )


def test_a_patch_that_breaks_the_build_and_the_next_that_repairs_it(
    history: History, series: Callable[[], list[str]], pipeline: Pipeline
) -> None:
    history.commit("KVM: one", {GMEM: (INIT, INIT + '\tpr_debug("one\\n");\n')})
    history.commit("KVM: two", {GMEM: ('pr_debug("one\\n");', "pr_debug(two);")})
    history.commit("KVM: three", {GMEM: ("pr_debug(two);", 'pr_debug("three\\n");')})
    ended = pipeline.verify(*NO_BENCHMARK, *series())
    assert ended.status == 1, ended.stdout + ended.stderr
    builds = [item["build"]["ok"] for item in ended.verdict["patch_evaluations"]]
    assert builds == [True, False, True]
    (broken,) = findings(ended, "build")
    assert (broken["patch"], broken["verdict"]) == (2, "NEW-FAIL")
    assert "3/3 builds again" in broken["title"]
    assert GMEM in broken["detail"] and "two" in broken["detail"]
    # The rest was evaluated all the same: the whole series ran, and no case speaks against it.
    assert findings(ended, "case") == []
    assert ended.verdict["verdict"]["counts"]["PASS"] > 0
    assert "2 of 3 patches built" in evidence(ended, "build")


def test_a_warning_that_another_one_replaces_is_seen(
    linux_7_2: tuple[Path, str], users_repository: Path, pipeline: Pipeline
) -> None:
    """As many warnings as before, and one of them is new."""
    history = History.on(*linux_7_2, users_repository, "warned")
    base = history.commit("KVM: old", {GMEM: (INIT, "\tint unused_before;\n\n" + INIT)})
    new = {GMEM: ("\tint unused_before;\n", "\tint unused_after;\n")}
    history.commit("KVM: new", new)
    # What only W=1 warns of (scripts/Makefile.warn): advice, and the checker that ran is named.
    first = history.read(GMEM).splitlines(keepends=True)[0]
    history.commit("KVM: W=1", {GMEM: (first, first + "static const int made_for_w1 = 1;\n")})
    ended = pipeline("verify", *NO_BENCHMARK, "--tree", str(history.repo), f"{base}..warned")
    assert ended.status == 1, ended.stdout + ended.stderr
    report = ended.verdict
    old = report["base_evaluation"]["build"]["warnings"]
    new = report["patch_evaluations"][-1]["build"]["warnings"]
    assert len(old) == len(new) == 1
    pinned, stricter = report["warnings"]
    assert pinned["patch"] == 1 and pinned["touched"] and pinned["gone_with"] is None
    said = pinned["diagnostic"]
    assert (said["flag"], said["file"], said["function"]) == (
        "-Wunused-variable",
        GMEM,
        "kvm_gmem_init",
    )
    assert "unused_after" in said["message"]
    assert (stricter["patch"], stricter["diagnostic"]["tool"]) == (2, "W=1")
    assert stricter["diagnostic"]["flag"] == "-Wunused-const-variable="
    told = [(one["patch"], one["advice"]) for one in findings(ended, "warning")]
    assert sorted(told) == [(1, False), (2, True)]
    for evaluation in (report["base_evaluation"], *report["patch_evaluations"]):
        lint = evaluation["lint"]
        assert lint["files"] == [GMEM]
        assert "W=1" in lint["ran"]
        # The sparse of Debian 12 is too old for this kernel, which says so itself.
        assert {*lint["ran"], *(absent["tool"] for absent in lint["missing"])} == {"W=1", "sparse"}


@pytest.fixture(scope="module")
def troubled(
    linux_7_2: tuple[Path, str],
    shared_pipeline: Pipeline,
    tmp_path_factory: pytest.TempPathFactory,
) -> Ended:
    """1/2 warns on boot, with 2/2 a case oopses."""
    repo, head = linux_7_2
    folder = tmp_path_factory.mktemp("troubled")
    history = History.on(repo, head, folder / "history.git")
    history.commit("KVM: warn", {GMEM: (INIT, INIT + '\tWARN(true, "made for a test");\n')})
    history.commit(
        "KVM: oops",
        {
            GMEM: (
                CREATE,
                CREATE.replace("\tif (size", "\tif (!size)\n\t\tsize = *(int *)8;\n\tif (size"),
            )
        },
    )
    return shared_pipeline.verify(*NO_BENCHMARK, *history.series(head, folder / "patches"))


def test_a_warning_on_boot_is_pinned_to_its_patch_and_has_its_line(troubled: Ended) -> None:
    (warn,) = [
        one for one in findings(troubled, "console") if one["key"].startswith("console:WARN")
    ]
    assert (warn["patch"], warn["verdict"], warn["case"]) == (1, "NEW-FAIL", None)
    assert "kvm_gmem_init" in warn["key"]
    assert f"{GMEM}:" in warn["title"]


def test_a_case_that_oopses_is_pinned_to_its_patch(troubled: Ended) -> None:
    (oops,) = [
        one for one in findings(troubled, "console") if one["key"].startswith("console:oops")
    ]
    assert (oops["patch"], oops["verdict"], oops["case"]) == (2, "NEW-FAIL", "flags.size")
    assert f"{GMEM}:" in oops["detail"], "symbolized"
    (case,) = [one for one in findings(troubled, "case") if one["case"] == "flags.size"]
    assert (case["patch"], case["verdict"]) == (2, "NEW-FAIL")
    judged = next(row for row in troubled.verdict["verdict"]["cases"] if row["id"] == "flags.size")
    assert judged["patched"]["outcomes"] == ["crash", "crash"], "asked again in a fresh guest"


# The suite's second mmap() of a boot is refused, and no other; alone, its case makes the first.
MMAP = "static int kvm_gmem_mmap(struct file *file, struct vm_area_struct *vma)\n{\n"
FLAKY = """\tstatic atomic_t calls;

\tif (atomic_inc_return(&calls) == 2)
\t\treturn -EIO;

"""


def test_a_case_that_fails_now_and_then_is_flaky_and_blamed_on_nobody(
    history: History, series: Callable[[], list[str]], pipeline: Pipeline
) -> None:
    history.commit("KVM: flaky", {GMEM: (MMAP, MMAP + FLAKY)})
    ended = pipeline.verify(*NO_BENCHMARK, *series())
    rows = ended.verdict["verdict"]["cases"]
    (flaky,) = [row for row in rows if row["verdict"] == "FLAKY"]
    assert flaky["patched"]["outcomes"] == ["fail", "pass"]
    assert [one["verdict"] for one in findings(ended, "case")] == ["FLAKY"]
    assert ended.status == 0, ended.stdout + ended.stderr


def test_a_series_that_only_touches_documentation_cannot_be_tested(
    history: History, series: Callable[[], list[str]], pipeline: Pipeline
) -> None:
    path = "Documentation/virt/kvm/index.rst"
    first = history.read(path).splitlines(keepends=True)[0]
    history.commit("Documentation: KVM: a word", {path: (first, first + "\n.. A comment.\n")})
    ended = pipeline.verify(*NO_BENCHMARK, *series())
    assert ended.status == 125, ended.stdout + ended.stderr
    assert "touches no code" in ended.verdict["verdict"]["headline"]
    assert [item["state"] for item in ended.verdict["reach"]["files"]] == ["nothing to compile"]


def test_what_a_patch_changes_in_the_configuration_is_shown(
    history: History, series: Callable[[], list[str]], pipeline: Pipeline
) -> None:
    path = "virt/kvm/Kconfig"
    old = "config KVM_GUEST_MEMFD\n"
    made = "config KVM_MADE_FOR_A_TEST\n\tdef_bool y\n\tdepends on KVM_GUEST_MEMFD\n\n"
    history.commit("KVM: a symbol", {path: (old, made + old)})
    ended = pipeline.verify(*NO_BENCHMARK, *series())
    (change,) = ended.verdict["kconfig_changes"]
    assert change == {
        "patch": 1,
        "symbols": [{"name": "KVM_MADE_FOR_A_TEST", "before": None, "after": "y"}],
    }
    assert all("0 differ" in text for text in evidence(ended, "config").split(" / "))


def mails(paths: list[str], revision: int) -> list[str]:
    """The patch files as another revision of the same series."""
    for path in paths:
        text = Path(path).read_text()
        assert text.count("[PATCH") == 1
        Path(path).write_text(text.replace("[PATCH", f"[PATCH v{revision}"))
    return paths


def test_the_next_revision_says_what_became_of_the_findings(
    linux_7_2: tuple[Path, str], tmp_path: Path, pipeline: Pipeline
) -> None:
    """v1 warns on boot and has an unused variable; v2 has lost the one and kept the other."""
    repo, head = linux_7_2
    unused = "\tint unused_in_both;\n\n"
    revisions = {1: unused + INIT + '\tWARN(true, "made for a test");\n', 2: unused + INIT}
    ended = {}
    for revision, text in revisions.items():
        history = History.on(repo, head, tmp_path / f"v{revision}.git")
        history.commit("KVM: a series in two revisions", {GMEM: (INIT, text)})
        paths = history.series(head, tmp_path / f"v{revision}")
        paths = paths if revision == 1 else mails(paths, 2)
        ended[revision] = pipeline.verify(*NO_BENCHMARK, *paths)
        assert ended[revision].status == 1, ended[revision].stdout + ended[revision].stderr
    assert ended[1].verdict["memory"] is None
    memory = ended[2].verdict["memory"]
    assert (memory["revision"], memory["same_base"]) == (1, True)
    since = {one["key"].split(":")[0]: one["since"] for one in memory["findings"]}
    assert since["console"] == "gone"
    assert since["warning"] == "still there"
    bases = {revision: ended[revision].verdict["base_evaluation"] for revision in ended}
    assert bases[1]["guest"] == bases[2]["guest"], "one guest, the same to the millisecond"
    assert ended[2].folder is not None
    diff = (ended[2].folder / "range-diff.txt").read_text()
    assert 'WARN(true, "made for a test");' in diff
    assert "range-diff.txt" in (ended[2].folder / "report.html").read_text()


SELFTESTS = {
    "kvm:guest_memfd_test": "kselftest.kvm.guest_memfd_test",
    "kvm:x86/cpuid_test": "kselftest.kvm.cpuid_test",
    # A program of a Makefile with rules of its own, and a script for a shell.
    "x86:nx_stack_64": "kselftest.x86.nx_stack_64",
    # With subtests, and nothing that a busy machine could spoil.
    "signal:sas": "kselftest.signal.sas",
    "kselftest_harness:harness-selftest.sh": "kselftest.kselftest_harness.harness-selftest.sh",
}


def test_the_trees_own_selftests_run_on_the_bundled_series(shared_pipeline: Pipeline) -> None:
    options = [word for name in SELFTESTS for word in ("--kselftest", name)]
    ended = shared_pipeline.verify(str(PATCHES / "gmem-write-v7-port.mbx"), *options, *NO_BENCHMARK)
    assert ended.status == 1, "the port has its own defects"
    rows = {row["id"]: row for row in ended.verdict["verdict"]["cases"]}
    for id in SELFTESTS.values():
        assert rows[id]["verdict"] == "PASS", rows[id]
        assert rows[id]["base"]["outcomes"] == rows[id]["patched"]["outcomes"] == ["pass"]
    below = [row for id, row in rows.items() if id.startswith("kselftest.signal.sas/")]
    assert {row["verdict"] for row in below} == {"PASS"} and len(below) == 3


EXPECTED = "\tKUNIT_EXPECT_EQ(test, 1 + 1, 2);\n}\n\n/*\n * This is run once before each test"


@pytest.mark.long  # KUnit's symbols are another configuration: another base to build
def test_the_kernels_own_unit_tests_run_in_the_guest(
    history: History, series: Callable[[], list[str]], pipeline: Pipeline
) -> None:
    path = "lib/kunit/kunit-example-test.c"
    history.commit("kunit: a wrong sum", {path: (EXPECTED, EXPECTED.replace("2", "3"))})
    ended = pipeline.verify(*NO_BENCHMARK, *series(), "--kunit", "lib/kunit")
    assert ended.status == 1, ended.stdout + ended.stderr
    rows = {row["id"]: row for row in ended.verdict["verdict"]["cases"]}
    told = {row["case"]: row["patch"] for row in findings(ended, "case")}
    assert told == {"kunit.example": 1, "kunit.example/example_simple_test": 1}
    assert rows["kunit.example/example_simple_test"]["verdict"] == "NEW-FAIL"
    skipped = rows["kunit.example/example_skip_test"]
    assert (skipped["verdict"], {*skipped["base"]["outcomes"]}) == ("UNTESTABLE", {"skip"})
    passed = [id for id, row in rows.items() if row["verdict"] == "PASS"]
    assert "kunit.kunit-resource-test" in passed
    assert rows["kunit.kunit_fault"]["base"]["outcomes"] == ["skip"], "its tests oops on purpose"
    assert any("/example_params_test/" in id for id in passed)


@pytest.mark.long  # each kernel boots twice, and what is enabled makes another base
def test_every_patch_is_tested_and_what_no_one_compiles_is_reached(
    history: History, series: Callable[[], list[str]], pipeline: Pipeline
) -> None:
    """1/3 touches a driver that our configuration leaves out; 3/3 repairs what 2/3 breaks."""
    balloon = "drivers/virtio/virtio_balloon.c"
    line = "#include <linux/page_reporting.h>\n"
    history.commit("virtio_balloon: one", {balloon: (line, line + "static int made __used;\n")})
    broken = MMAP + "\treturn -EIO;\n\n"
    history.commit("KVM: two", {GMEM: (MMAP, broken)})
    history.commit("KVM: three", {GMEM: (broken, MMAP)})
    ended = pipeline.verify(
        *NO_BENCHMARK, "--test-each", "--repeat", "2", "--reach", "--coccicheck", *series()
    )
    assert ended.status == 1, ended.stdout + ended.stderr
    report = ended.verdict
    assert report["reach"]["enabled"] == ["CONFIG_VIRTIO_BALLOON=y"]
    states = {file["path"]: file["state"] for file in report["reach"]["files"]}
    assert states == {balloon: "compiled", GMEM: "compiled"}
    assert "coccicheck" in report["checks"]["ran"]
    told = findings(ended, "case")
    assert {(one["patch"], one["verdict"]) for one in told} == {(2, "NEW-FAIL")}
    assert "noflag.write.page" in {one["case"] for one in told}
    rows = {row["id"]: row for row in report["verdict"]["cases"]}
    each = [runs["outcomes"] for runs in rows["noflag.write.page"]["each"]]
    assert [rows["noflag.write.page"]["base"]["outcomes"], *each] == [
        ["pass"] * 2,
        ["pass"] * 2,
        ["fail"] * 2,
        ["pass"] * 2,
    ]


def test_a_selftest_that_the_tree_does_not_have_is_the_users_mistake(pipeline: Pipeline) -> None:
    ended = pipeline.verify(
        str(PATCHES / "gmem-write-v7-port.mbx"), "--kselftest", "kvm:guest_memfd_tset"
    )
    assert ended.status == 129
    assert "guest_memfd_test" in ended.stderr
    assert ended.folder is None
