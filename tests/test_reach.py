# SPDX-License-Identifier: GPL-2.0-or-later
from __future__ import annotations

import pytest

from kverdict.kconfig import fragment
from kverdict.kconfig.protocol import FilePlan
from kverdict.models import AppliedPatch, FileReach, Reach, ReachState
from kverdict.reach import compiled_anything, enabled_by, files_to_plan, reach, reach_fragment

SOURCES = ("include/linux/mm.h", "mm/gup.c", "mm/internal.h")
NUMA = FilePlan(
    path="mm/numa.c",
    condition="NUMA && SMP",
    unmet=("NUMA",),
    enable=("CONFIG_ACPI=y", "CONFIG_NUMA=y"),
)


def patch(number: int, *paths: str) -> AppliedPatch:
    return AppliedPatch(
        number=number, subject="x", commit=f"{number}" * 40, three_way=False, paths=paths
    )


def state_of(path: str) -> tuple[ReachState, str]:
    (item,) = reach([patch(1, path)], SOURCES).files
    return item.state, item.note


def test_each_file_with_the_patches_that_touch_it() -> None:
    patches = [patch(1, "mm/gup.c", "mm/numa.c"), patch(2, "mm/gup.c"), patch(3, "MAINTAINERS")]
    found = reach(patches, SOURCES, [NUMA], enabled=["CONFIG_X=y"])
    assert found == Reach(
        files=(
            FileReach(path="MAINTAINERS", patches=(3,), state=ReachState.NO_CODE),
            FileReach(path="mm/gup.c", patches=(1, 2), state=ReachState.COMPILED),
            FileReach(
                path="mm/numa.c",
                patches=(1,),
                state=ReachState.NOT_COMPILED,
                condition="NUMA && SMP",
                unmet=("NUMA",),
                enable=("CONFIG_ACPI=y", "CONFIG_NUMA=y"),
            ),
        ),
        enabled=("CONFIG_X=y",),
    )


@pytest.mark.parametrize(
    ("path", "state", "note"),
    [
        ("mm/gup.c", ReachState.COMPILED, ""),
        ("mm/internal.h", ReachState.COMPILED, ""),
        ("mm/slab.h", ReachState.NOT_COMPILED, "nothing that is compiled includes it"),
        ("mm/slub.c", ReachState.NOT_COMPILED, ""),
        ("rust/kernel/lib.rs", ReachState.NOT_COMPILED, ""),
        ("samples/kprobes/kprobe_example.c", ReachState.NOT_COMPILED, ""),
        ("arch/arm64/kvm/arm.c", ReachState.NOT_COMPILED, "arm64 only"),
        ("arch/arm64/include/asm/kvm.h", ReachState.NOT_COMPILED, "arm64 only"),
        ("arch/x86/kvm/svm/sev.h", ReachState.NOT_COMPILED, "nothing that is compiled includes it"),
        ("mm/Makefile", ReachState.NO_CODE, "says what is built"),
        ("lib/Kconfig.debug", ReachState.NO_CODE, "says what is built"),
        ("scripts/mod/modpost.c", ReachState.NO_CODE, "says what is built"),
        ("tools/testing/selftests/kvm/guest_memfd_test.c", ReachState.NO_CODE, ""),
        ("tools/testing/selftests/kvm/Makefile", ReachState.NO_CODE, ""),
        ("Documentation/mm/index.rst", ReachState.NO_CODE, ""),
        ("Documentation/example.c", ReachState.NO_CODE, ""),
        ("MAINTAINERS", ReachState.NO_CODE, ""),
    ],
)
def test_what_counts_as_what(path: str, state: ReachState, note: str) -> None:
    assert state_of(path) == (state, note)


def test_a_file_that_is_removed() -> None:
    patches = [patch(1, "mm/old.c", "mm/older.c")]
    gone = ("mm/old.c", "mm/older.c")
    found = reach(patches, SOURCES, gone=gone, base_sources=("mm/old.c",))
    assert [(item.state, item.note) for item in found.files] == [
        (ReachState.COMPILED, "removed; the base's build reads it"),
        (ReachState.NO_CODE, "removed"),
    ]


def test_what_the_makefiles_say_and_the_build_did_not_do() -> None:
    plan = FilePlan(path="mm/rt.c", condition="y", met=True, note="included by mm/all.c")
    (item,) = reach([patch(1, "mm/rt.c")], SOURCES, [plan]).files
    assert item.note.startswith("included by mm/all.c; the Makefiles have it built")


@pytest.mark.parametrize(
    ("paths", "anything"),
    [
        (("MAINTAINERS", "Documentation/x.rst"), False),
        (("tools/perf/perf.c", "tools/perf/Makefile"), False),
        (("mm/slub.c", "mm/Makefile.c", "arch/arm64/Makefile", "arch/arm64/Kconfig"), False),
        (("arch/x86/Makefile",), True),
        (("arch/Kconfig",), True),
        (("MAINTAINERS", "mm/gup.c"), True),
        (("mm/internal.h",), True),
        (("mm/Makefile",), True),
        (("virt/kvm/Makefile.kvm",), True),
        (("init/Kconfig",), True),
        (("scripts/link-vmlinux.sh",), True),
    ],
)
def test_whether_a_series_can_change_the_kernel(paths: tuple[str, ...], anything: bool) -> None:
    assert compiled_anything(reach([patch(1, *paths)], SOURCES)) is anything


def test_what_is_asked_of_the_makefiles() -> None:
    patches = [
        patch(1, "mm/slub.c", "mm/slab.h", "arch/x86/entry/entry.S", "tools/x.c"),
        patch(2, "mm/slub.c", "mm/old.c", "MAINTAINERS"),
    ]
    assert files_to_plan(patches, gone=["mm/old.c"]) == ("arch/x86/entry/entry.S", "mm/slub.c")


def test_the_fragment_has_a_reason_for_each_line() -> None:
    other = FilePlan(
        path="mm/policy.c",
        condition="NUMA && !TINY",
        enable=("CONFIG_NUMA=y", "CONFIG_NODES=8", "CONFIG_TINY=n"),
    )
    plans = [other, NUMA, FilePlan(path="mm/gup.c", condition="y", met=True)]
    text = reach_fragment(plans)
    assert text == (
        "# What --reach adds, so that the files that the series touches are compiled.\n"
        "\n"
        "# optional: for mm/numa.c, which needs NUMA && SMP\n"
        "CONFIG_ACPI=y\n"
        "CONFIG_NUMA=y\n"
        "\n"
        "# optional: for mm/policy.c, which needs NUMA && !TINY\n"
        "CONFIG_NODES=8\n"
        "# CONFIG_TINY is not set\n"
    )
    goals = fragment.parse(text, "reach.config")
    assert [(goal.name, goal.value, goal.optional) for goal in goals] == [
        ("ACPI", "y", True),
        ("NUMA", "y", True),
        ("NODES", "8", True),
        ("TINY", "n", True),
    ]
    assert enabled_by(plans) == (
        "CONFIG_ACPI=y",
        "CONFIG_NODES=8",
        "CONFIG_NUMA=y",
        "CONFIG_TINY=n",
    )


def test_plans_that_contradict_each_other() -> None:
    plans = [
        FilePlan(path="a.c", enable=("CONFIG_A=m", "CONFIG_B=n")),
        FilePlan(path="b.c", enable=("CONFIG_A=y", "CONFIG_B=y")),
    ]
    assert enabled_by(plans) == ("CONFIG_A=y", "CONFIG_B=n")
    fragment.parse(reach_fragment(plans), "reach.config")


def test_a_hostile_name_stays_in_its_comment() -> None:
    plan = FilePlan(path="mm/x\nCONFIG_EVIL=y\x1b.c", enable=("CONFIG_A=y",))
    goals = fragment.parse(reach_fragment([plan]), "reach.config")
    assert [goal.name for goal in goals] == ["A"]


def test_nothing_to_add_is_no_fragment() -> None:
    assert reach_fragment([FilePlan(path="mm/gup.c", met=True)]) == ""
    assert enabled_by([]) == ()
