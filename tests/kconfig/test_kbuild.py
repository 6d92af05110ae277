# SPDX-License-Identifier: GPL-2.0-or-later
"""Makefiles of a few lines; a whole kernel's against its build is in tests/e2e."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kverdict.kconfig.kbuild import Kbuild

FAKELINUX = Path(__file__).resolve().parent.parent / "fakelinux"


def conditions(tree: Path, makefile: str, *paths: str, **files: str) -> list[str | None]:
    """Of files in mm/, whose Makefile this is; ``files`` are others in it, "_" for "."."""
    (tree / "mm").mkdir(exist_ok=True)
    (tree / "Kbuild").write_text("obj-y += mm/\n")
    (tree / "mm" / "Makefile").write_text(makefile)
    for name, text in files.items():
        (tree / "mm" / name.replace("_", ".")).write_text(text)
    kbuild = Kbuild(tree, "x86")
    return [kbuild.condition(f"mm/{path}") for path in paths]


@pytest.mark.parametrize(
    ("makefile", "condition"),
    [
        ("obj-y += a.o", "y"),
        ("obj-y := b.o \\\n\ta.o # why", "y"),
        ("lib-y += a.o", "y"),
        ("obj-$(CONFIG_A) += a.o", "A"),
        ("obj-$(CONFIG_A)\t+= b.o a.o", "A"),
        ("obj-$(subst m,y,$(CONFIG_A)) += a.o", "A!=n"),
        ("obj-$(subst m, y, $(CONFIG_A)) += b.o\nobj-$(CONFIG_A:m=y) += a.o", "A!=n"),
        ("obj-m += a.o", None),
        ("obj-$(UNKNOWN) += a.o", None),
        ("other-y += a.o", None),
        ("obj-$(CONFIG_A) += a.o\nobj-$(CONFIG_B) += a.o", "(A || B)"),
        ("obj-$(CONFIG_A) += a.o\nobj-y += a.o", "y"),
        ("obj-${CONFIG_A} += b.o a.o", "A"),
        ("obj-${CONFIG_A:m=y} += a.o", "A!=n"),
        ("obj-$(subst m,y,${CONFIG_A}) += a.o", "A!=n"),
        # Objects of objects.
        ("obj-$(CONFIG_A) += whole.o\nwhole-y := a.o", "A"),
        ("obj-$(CONFIG_A) += whole.o\nwhole-objs := b.o a.o", "A"),
        ("obj-$(CONFIG_A) += whole.o\nwhole-$(CONFIG_B) += a.o", "B && A"),
        ("obj-$(CONFIG_A) += one.o\none-y := two.o\ntwo-$(CONFIG_B) := a.o", "B && A"),
        ("obj-y += b.o $(some-y)\nsome-$(CONFIG_A) += a.o", "A"),
        ("obj-y += a.o\na-y := a.o b.o", "y"),
        ("a-y := b.o\nb-y := a.o", None),
        # A second := takes the first away.
        ("obj-y += $(some-y)\nsome-y := a.o\nsome-$(CONFIG_A) := b.o", "A!=y"),
        ("obj-y := a.o\nobj-y := b.o", None),
        ("obj-$(CONFIG_A) := a.o\nobj-$(CONFIG_B) += b.o", "A"),
        ("obj-y := a.o b.o\nobj-y := $(patsubst %.o,%.pi.o,$(obj-y))", "y"),
        ("obj-$(CONFIG_A) := a.o\nobj-$(CONFIG_A) := $(obj-$(CONFIG_A):.o=.pi.o)", "A"),
        ("obj-y := a.o\nobj-y := $(some-obj-y)", None),
        # Conditions of make.
        ("ifdef CONFIG_A\nobj-y += a.o\nendif", "A!=n"),
        ("ifdef CONFIG_A\n\tobj-y += a.o\nendif", "A!=n"),
        ("ifdef ${CONFIG_B}\nendif\nifeq (${CONFIG_A},y)\nobj-y += a.o\nendif", "A=y"),
        ("include $(src)/none\n\tobj-y += a.o", "y"),
        ("b.o: b.c\n\tcc b.c\ninclude $(src)/none\n\tobj-y += a.o", "y"),
        ("-include $(src)/none\n\tobj-y += a.o", "y"),
        ("ifndef CONFIG_A\nobj-y += a.o\nendif\nobj-y += b.o", "A=n"),
        ("ifdef CONFIG_A\nobj-y += b.o\nelse\nobj-y += a.o\nendif", "A=n"),
        ("ifdef CONFIG_A\nendif\nobj-y += a.o", "y"),
        ("ifeq ($(CONFIG_A),y)\nobj-y += a.o\nendif", "A=y"),
        ("ifeq ($(CONFIG_A), y)\nobj-y += b.o\nelse\nobj-$(CONFIG_B) += a.o\nendif", "A!=y && B"),
        ("ifneq ($(CONFIG_A),)\nobj-y += a.o\nendif", "A!=n"),
        ("ifneq ($(CONFIG_A)$(CONFIG_B),)\nobj-y += a.o\nendif", "(A!=n || B!=n)"),
        ("ifeq ($(CONFIG_A)$(CONFIG_B),yy)\nobj-y += a.o\nendif", "A=y && B=y"),
        ("ifneq ($(filter y,$(CONFIG_A) $(CONFIG_B)),)\nobj-y += a.o\nendif", "(A=y || B=y)"),
        ("ifeq ($(CONFIG_N),3)\nobj-y += a.o\nendif", "N=3"),
        ("ifeq ($(BITS),64)\nobj-y += a.o\nendif", "y"),
        ("ifeq ($(BITS),32)\nobj-y += a.o\nendif", None),
        ("ifeq ($(KBUILD_EXTMOD),)\nobj-y += a.o\nendif", "y"),
        (
            "ifeq ($(CONFIG_A),y)\nelse ifeq ($(CONFIG_B),y)\nobj-y += a.o\nelse\nendif",
            "A!=y && B=y",
        ),
        ("ifdef CONFIG_A\nifdef CONFIG_B\nobj-y += a.o\nendif\nendif", "A!=n && B!=n"),
        ("ifeq ($(shell uname),Linux)\nobj-$(CONFIG_A) += a.o\nendif", "A"),
        # Variables.
        ("FILES = b.o a.o\nobj-y += $(FILES)", "y"),
        ("FILES = b.o\nFILES += a.o\nobj-y += $(FILES)", "y"),
        ("FILES = b.o a.o\nobj-y += ${FILES}", "y"),
        ("obj-y += ${some-y}\nsome-${CONFIG_A} += a.o", "A"),
        ("DIR ?= ../mm\nobj-y += $(DIR)/a.o", "y"),
        ("obj-y += $(addprefix ./, b.o a.o)", "y"),
        ("obj-y += $(obj)/a.o", "y"),
        ("obj-y += $(srctree)/mm/a.o", "y"),
        ("X = $(Y)\nY = $(X)\nobj-y += $(X) a.o", "y"),
        # A recipe, a target's variable and a comment are no lists.
        ("a.o: b.c\n\tobj-y += a.o", None),
        ("$(obj)/b.o: obj-y += a.o", None),
        ("# obj-y += a.o", None),
        # Not closed, closed twice.
        ("ifdef CONFIG_A\nobj-y += a.o", "A!=n"),
        ("endif\nelse\nobj-y += a.o", "y"),
    ],
)
def test_a_condition(makefile: str, condition: str | None, tmp_path: Path) -> None:
    assert conditions(tmp_path, f"{makefile}\n", "a.c") == [condition]


def test_kinds_of_source(tmp_path: Path) -> None:
    told = conditions(tmp_path, "obj-y += a.o\n", "a.c", "a.S", "a.rs", "a.h", "a.o", "a")
    assert told == ["y", "y", "y", None, None, None]


def test_folders_pass_their_condition_on(tmp_path: Path) -> None:
    deep = tmp_path / "drivers" / "bus"
    deep.mkdir(parents=True)
    (tmp_path / "Kbuild").write_text("obj-y += drivers/\nobj-$(CONFIG_N) += mm/ gone/\n")
    (deep.parent / "Makefile").write_text("obj-$(CONFIG_BUS) += bus/\nobj-y += core.o\n")
    (deep / "Kbuild").write_text("obj-$(CONFIG_DEV) += dev.o ../deep.o\n")
    (deep / "Makefile").write_text("obj-y += wrong.o\n")
    kbuild = Kbuild(tmp_path, "x86")
    assert kbuild.condition("drivers/core.c") == "y"
    assert kbuild.condition("drivers/bus/dev.c") == "DEV && BUS"
    assert kbuild.condition("drivers/deep.c") == "DEV && BUS"
    assert kbuild.condition("drivers/bus/wrong.c") is None  # a Kbuild file has precedence
    assert kbuild.condition("gone/x.c") is None


def test_the_architecture_s_own_lists(tmp_path: Path) -> None:
    arch = tmp_path / "arch" / "x86"
    (arch / "pci").mkdir(parents=True)
    (arch / "boot").mkdir()
    (tmp_path / "Kbuild").write_text("obj-y += arch/$(SRCARCH)/\n")
    (arch / "Makefile").write_text(
        "drivers-$(CONFIG_PCI) += arch/x86/pci/\nboot := arch/x86/boot\n"
    )
    (arch / "Kbuild").write_text("obj-y += a.o\n")
    (arch / "pci" / "Makefile").write_text("obj-y += bus.o\n")
    (arch / "boot" / "Makefile").write_text("setup-y += main.o\nsetup-$(CONFIG_VIDEO) += v.o\n")
    kbuild = Kbuild(tmp_path, "x86")
    found = [kbuild.condition(f"arch/x86/{path}") for path in ("a.c", "pci/bus.c", "boot/v.c")]
    assert found == ["y", "PCI", "VIDEO"]


def test_includes(tmp_path: Path) -> None:
    own = (
        "KVM ?= ../virt\ninclude $(srctree)/mm/b.mk\ninclude $(src)/c.mk\nobj-$(CONFIG_A) += a.o\n"
    )
    shared = "a-y := $(KVM)/shared.o\n"
    conditions(tmp_path, own, b_mk=shared, c_mk="a-$(CONFIG_C) += c.o\ninclude $(src)/c.mk\n")
    kbuild = Kbuild(tmp_path, "x86")
    assert kbuild.condition("virt/shared.c") == "A"
    assert kbuild.condition("mm/c.c") == "C && A"


@pytest.mark.parametrize(
    ("text", "condition"),
    [
        ('#include "part.c"', "A"),
        ('# include "../mm/part.c"', "A"),
        ('#ifdef CONFIG_B\n# include "part.c"\n#endif', "B=y && A"),
        ('#ifndef CONFIG_B\n#else\n#include "part.c"\n#endif', "B=y && A"),
        ('#ifdef CONFIG_B\n#else\n#include "part.c"\n#endif', "B!=y && A"),
        ('#if IS_ENABLED(CONFIG_B)\n#include "part.c"\n#endif', "B!=n && A"),
        (
            '#if defined(CONFIG_B) && defined(CONFIG_C)\n#include "part.c"\n#endif',
            "B=y && C=y && A",
        ),
        ('#if X > 3\n#include "part.c"\n#endif', "A"),
        ('#ifdef CONFIG_B\n#elif X\n#include "part.c"\n#endif', "B!=y && A"),
        ('#ifdef CONFIG_B\n#endif\n#endif\n#include "part.c"', "A"),
        ('#ifdef MODULE\n#include "part.c"\n#endif', "A"),
    ],
)
def test_a_file_that_another_one_includes(text: str, condition: str, tmp_path: Path) -> None:
    conditions(tmp_path, "obj-$(CONFIG_A) += all.o\n", all_c=f"{text}\n", part_c="")
    kbuild = Kbuild(tmp_path, "x86")
    assert kbuild.condition("mm/part.c") is None
    assert kbuild.included("mm/part.c") == ("mm/all.c", condition)
    assert kbuild.included("mm/other.c") is None


def test_the_kernel_tree_of_a_few_files() -> None:
    kbuild = Kbuild(FAKELINUX, "x86")
    files = ("init/main", "mm/page", "mm/policy", "mm/debug", "mm/driver", "virt/kvm/guest_memfd")
    assert [kbuild.condition(f"{file}.c") for file in files] == [
        "y",
        "y",
        "NUMA",
        "EXPERT!=n && NUMA",
        "BROKEN_DRIVER",
        "y",
    ]


def test_nothing_outside_of_the_tree_is_read(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("obj-y += a.o\n")
    tree = tmp_path / "tree"
    tree.mkdir()
    makefile = f"include ../../secret\ninclude {tmp_path}/secret\ninclude $(src)/link\n"
    (tree / "mm").mkdir()
    (tree / "mm" / "link").symlink_to(tmp_path / "secret")
    assert conditions(tree, makefile, "a.c") == [None]


def test_no_end_of_objects_in_objects(tmp_path: Path) -> None:
    chain = "".join(f"o{n}-y := o{n + 1}.o\n" for n in range(5000))
    assert conditions(tmp_path, f"obj-y += o0.o\n{chain}", "o5.c", "o5000.c") == ["y", None]
    doubled = "".join(
        f"o{n}-$(CONFIG_A{n}) += o{n + 1}.o\no{n}-$(CONFIG_B{n}) += o{n + 1}.o\n" for n in range(25)
    )
    assert conditions(tmp_path, f"obj-y += o0.o\n{doubled}", "o24.c") == [None]
    assert conditions(
        tmp_path,
        "V0 = a.o\n" + "".join(f"V{n + 1} = $(V{n}) $(V{n})\n" for n in range(60)) + "obj-y += b.o",
        "b.c",
    ) == ["y"]


_PIECES = st.sampled_from(
    [
        "obj-y",
        "obj-$(CONFIG_A)",
        " += ",
        " := ",
        "a.o",
        "a-y",
        "\n",
        "\\\n",
        "\t",
        "ifdef CONFIG_A",
        "ifeq (",
        "$(",
        ")",
        ",",
        "else",
        "endif",
        "include ",
        "$(src)/Makefile",
        "${",
        "}",
        "$(addprefix ",
        "../",
        "#",
        "=",
    ]
)


@given(st.lists(_PIECES | st.text(max_size=5), max_size=40).map("".join))
def test_any_makefile_ends(tmp_path_factory: pytest.TempPathFactory, makefile: str) -> None:
    tree = tmp_path_factory.mktemp("any")
    (tree / "mm").mkdir()
    (tree / "Kbuild").write_text("obj-y += mm/\n")
    (tree / "mm" / "Makefile").write_bytes(makefile.encode(errors="surrogatepass"))
    found = Kbuild(tree, "x86").condition("mm/a.c")
    assert found is None or found


REPEATED = (
    *(
        "obj-y += a.o\n",
        "obj-$(CONFIG_A) := a.o\n",
        "obj-y += $(A)\n",
        "A += b\n",
        "obj-$(CONFIG_A)",
    ),
    *("ifdef CONFIG_A\nobj-y += b.o\n", "ifeq ($(CONFIG_A),y)\nelse ", "ifneq ($(filter y,"),
    *("$(CONFIG_A)", "-$(", "$(", "${", "${A", "${A}", "(", "a", "\\\n", "=", " "),
)


@pytest.mark.parametrize("again", REPEATED)
def test_eight_times_the_makefile_takes_about_eight_times_as_long(
    again: str, tmp_path: Path
) -> None:
    def work(size: int) -> float:
        best = 1e9
        for _ in range(2):
            began = time.thread_time()
            conditions(tmp_path, again * (size // len(again)) + "\nobj-y += a.o\n", "a.c")
            best = min(best, time.thread_time() - began)
        return best

    much = work(128 << 10)
    if much > 0.1:
        assert much / work(16 << 10) < 32
