# SPDX-License-Identifier: GPL-2.0-or-later
"""Plans for files, on a tree of a few lines; a whole kernel's are in tests/e2e."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from kverdict.kconfig.__main__ import configure
from kverdict.kconfig.files import plan_files
from kverdict.kconfig.kbuild import Kbuild
from kverdict.kconfig.protocol import FilePlan

TREE = """
config MODULES
	bool "modules"
	modules

config BUS
	bool "bus"

config DRIVER
	tristate "driver"
	depends on BUS

config AMD
	bool "amd"
	select COMMON

config INTEL
	bool "intel"
	select COMMON

config COMMON
	bool

config QUIRKS
	bool "quirks"
	depends on INTEL

config TINY
	bool "tiny"

config MMU
	def_bool y

config SIZE
	int "size"
	default 3

config BROKEN
	bool

config OLD_DRIVER
	bool "old"
	depends on BROKEN

choice
	prompt "speed"

config SLOW
	bool "slow"

config FAST
	bool "fast"

endchoice
"""
MAKEFILE = """
obj-y			+= always.o
obj-$(CONFIG_DRIVER)	+= driver.o
obj-$(CONFIG_COMMON)	+= common.o
obj-$(CONFIG_OLD_DRIVER) += old.o
obj-$(CONFIG_GONE)	+= gone.o
obj-$(CONFIG_FAST)	+= fast.o
obj-$(CONFIG_if)	+= keyword.o
ifdef CONFIG_DRIVER
obj-$(CONFIG_COMMON)	+= whole.o
whole-$(CONFIG_QUIRKS)	:= quirks.o
endif
ifndef CONFIG_TINY
obj-y			+= big.o
endif
ifndef CONFIG_MMU
obj-y			+= nommu.o
endif
ifeq ($(CONFIG_SIZE),7)
obj-y			+= seven.o
endif
"""


@pytest.fixture
def plan(kconfig: Callable[[str], Any], tmp_path: Path) -> Callable[..., dict[str, FilePlan]]:
    def made(goals: Mapping[str, str], *names: str) -> dict[str, FilePlan]:
        (tmp_path / "Kbuild").write_text(MAKEFILE)
        (tmp_path / "common.c").write_text('#include "part.c"\n')
        kconf = kconfig(TREE)
        configure(kconf, dict(goals))
        before = kconf._config_contents("")
        plans = plan_files(kconf, Kbuild(tmp_path, "x86"), goals, [f"{name}.c" for name in names])
        assert kconf._config_contents("") == before
        return dict(zip(names, plans, strict=True))

    return made


Plans = Callable[..., dict[str, FilePlan]]


def test_what_is_built_needs_nothing(plan: Plans) -> None:
    plans = plan({"BUS": "y", "DRIVER": "y"}, "always", "driver", "big")
    assert plans == {
        "always": FilePlan(path="always.c", condition="y", met=True),
        "driver": FilePlan(path="driver.c", condition="DRIVER", met=True),
        "big": FilePlan(path="big.c", condition="!TINY", met=True),
    }


def test_what_is_not_built_needs_its_symbols_and_theirs(plan: Plans) -> None:
    assert plan({}, "driver")["driver"] == FilePlan(
        path="driver.c",
        condition="DRIVER",
        unmet=("DRIVER",),
        enable=("CONFIG_BUS=y", "CONFIG_DRIVER=y"),
    )


def test_a_module_is_not_in_the_kernel(plan: Plans) -> None:
    goals = {"MODULES": "y", "BUS": "y", "DRIVER": "m"}
    assert plan(goals, "driver")["driver"].met is False


def test_what_one_part_needs_settles_another(plan: Plans) -> None:
    found = plan({}, "quirks")["quirks"]
    assert found.condition == "DRIVER!=n && QUIRKS && COMMON"
    assert found.unmet == ("DRIVER != n", "QUIRKS", "COMMON")
    assert found.enable == ("CONFIG_BUS=y", "CONFIG_DRIVER=y", "CONFIG_INTEL=y", "CONFIG_QUIRKS=y")
    assert found.note == ""


def test_of_equal_ways_one_is_taken_and_told(plan: Plans) -> None:
    found = plan({}, "common")["common"]
    assert found.enable in (("CONFIG_AMD=y",), ("CONFIG_INTEL=y",))
    assert found.note == "AMD or INTEL would do: one was chosen"
    assert plan({"AMD": "y"}, "common")["common"].met


@pytest.mark.parametrize(
    ("goals", "name", "note"),
    [
        ({}, "old", "OLD_DRIVER: Kconfig:41 needs BROKEN (is n)"),
        ({}, "gone", "GONE does not exist here"),
        ({}, "nommu", "no way to meet !MMU was found"),
        ({}, "nowhere", "no Makefile names its object"),
        ({}, "keyword", "not a Kconfig expression"),
        ({"BUS": "n"}, "driver", "DRIVER: Kconfig:9 needs BUS (is n)"),
        ({"SLOW": "y"}, "fast", "it would change SLOW, which the fragments ask for"),
    ],
)
def test_what_cannot_be_had_says_why(
    plan: Plans, goals: dict[str, str], name: str, note: str
) -> None:
    found = plan(goals, name)[name]
    assert (found.met, found.enable, found.note) == (False, (), note)


def test_a_symbol_may_have_to_be_off(plan: Plans) -> None:
    found = plan({}, "big")["big"]
    assert found.met
    assert plan({"TINY": "y"}, "big")["big"].enable == ()  # the fragments ask for it


def test_a_number_and_a_choice(plan: Plans) -> None:
    plans = plan({}, "seven", "fast")
    assert plans["seven"].enable == ("CONFIG_SIZE=7",)
    assert plans["fast"].enable == ("CONFIG_FAST=y",)


def test_a_file_that_another_one_includes(plan: Plans) -> None:
    found = plan({"AMD": "y"}, "part")["part"]
    assert (found.condition, found.met, found.note) == ("COMMON", True, "included by common.c")


@pytest.mark.parametrize(
    "line", ["CONFIG_A=y\nCONFIG_B=y", "CONFIG_A=y\n", 'CONFIG_A="$(x)"', "A=y", "CONFIG_A=maybe"]
)
def test_only_an_assignment_becomes_a_line_of_a_fragment(line: str) -> None:
    with pytest.raises(ValidationError):
        FilePlan(path="a.c", enable=(line,))
