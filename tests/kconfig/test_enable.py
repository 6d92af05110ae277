# SPDX-License-Identifier: GPL-2.0-or-later
"""From allnoconfig: which assignments are found, and that the tree honours them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from kverdict.kconfig.__main__ import allnoconfig
from kverdict.kconfig.enable import enable, met

Load = Callable[[str], Any]

KVM = """
config EXPERT
	bool "expert"

config VIRTUALIZATION
	bool "virtualization"

config KVM
	bool "kvm"
	depends on VIRTUALIZATION

config KVM_X86
	def_bool KVM_INTEL || KVM_AMD

config KVM_INTEL
	bool "intel"
	depends on KVM

config KVM_AMD
	bool "amd"
	depends on KVM
	select KVM_COMMON

config KVM_COMMON
	bool

config KVM_SW_PROTECTED_VM
	bool "protected"
	depends on EXPERT && KVM_X86

config COMPILE_TEST
	bool "compile test"

config EXOTIC
	bool "exotic"
	depends on MISSING_ARCH || COMPILE_TEST

config EITHER
	bool "either"
	depends on FIRST || SECOND

config FIRST
	bool "first"

config SECOND
	bool "second"

config CHEAP
	bool "cheap"
	depends on EXPERT || FIRST

config EXCLUSIVE
	bool "exclusive"
	depends on !FIRST

config SIZE
	int "size" if FIRST
	default 3

config COUNT
	int "count"
	depends on SECOND
	range 1 9
"""


def solved(tree: Any, **goals: str) -> tuple[dict[str, str], dict[str, str], set[str]]:
    """What was assigned besides the goals, what is undecided, and the goals that are met."""
    allnoconfig(tree)
    done = enable(tree, goals)
    added = {name: value for name, value in done.assigned.items() if name not in goals}
    return added, done.undecided, {name for name in goals if met(tree, name, goals[name])}


def test_a_chain_of_prompts(kconfig: Load) -> None:
    added, _, reached = solved(kconfig(KVM), KVM_AMD="y")
    assert added == {"KVM": "y", "VIRTUALIZATION": "y"}
    assert reached == {"KVM_AMD"}


def test_what_is_already_asked_for_is_not_added(kconfig: Load) -> None:
    added, _, reached = solved(kconfig(KVM), KVM="y", VIRTUALIZATION="y", KVM_AMD="y")
    assert added == {}
    assert reached == {"KVM", "VIRTUALIZATION", "KVM_AMD"}


def test_a_symbol_without_prompt_through_the_one_that_was_asked_for(kconfig: Load) -> None:
    added, undecided, reached = solved(kconfig(KVM), KVM_SW_PROTECTED_VM="y", KVM_AMD="y")
    assert added == {"EXPERT": "y", "KVM": "y", "VIRTUALIZATION": "y"}
    assert undecided == {}
    assert reached == {"KVM_SW_PROTECTED_VM", "KVM_AMD"}


def test_a_symbol_that_is_selected(kconfig: Load) -> None:
    added, _, reached = solved(kconfig(KVM), KVM_COMMON="y")
    assert added == {"KVM": "y", "KVM_AMD": "y", "VIRTUALIZATION": "y"}
    assert reached == {"KVM_COMMON"}


def test_of_two_ways_that_cost_the_same_none_is_taken(kconfig: Load) -> None:
    added, undecided, reached = solved(kconfig(KVM), KVM_X86="y", EITHER="y")
    assert added == {}
    assert undecided == {"KVM_X86": "KVM_AMD or KVM_INTEL", "EITHER": "FIRST or SECOND"}
    assert reached == set()


def test_the_way_that_changes_less_is_taken(kconfig: Load) -> None:
    added, _, reached = solved(kconfig(KVM), CHEAP="y")
    assert added == {"FIRST": "y"}
    assert reached == {"CHEAP"}


def test_compile_test_is_no_way(kconfig: Load) -> None:
    added, _, reached = solved(kconfig(KVM), EXOTIC="y")
    assert (added, reached) == ({}, set())
    added, _, reached = solved(kconfig(KVM), EXOTIC="y", COMPILE_TEST="y")
    assert (added, reached) == ({}, {"EXOTIC", "COMPILE_TEST"})


def test_a_goal_is_not_sacrificed_for_another(kconfig: Load) -> None:
    _, _, reached = solved(kconfig(KVM), EXCLUSIVE="y", FIRST="y")
    assert reached == {"FIRST"}
    _, _, reached = solved(kconfig(KVM), FIRST="n", EITHER="y")
    assert reached == {"FIRST", "EITHER"}  # through SECOND, now the only way


@pytest.mark.parametrize("order", [("CHEAP", "EXCLUSIVE"), ("EXCLUSIVE", "CHEAP")])
def test_goals_that_exclude_each_other_come_to_an_end(
    order: tuple[str, str], kconfig: Load
) -> None:
    """CHEAP adds FIRST=y, which EXCLUSIVE cannot have; no round takes back what another did."""
    added, _, reached = solved(kconfig(KVM), EXPERT="n", **dict.fromkeys(order, "y"))
    assert added == {"FIRST": "y"}
    assert reached == {"EXPERT", "CHEAP"}


def test_off_turns_nothing_on_and_nothing_else_off(kconfig: Load) -> None:
    added, _, reached = solved(kconfig(KVM), KVM_COMMON="n", KVM_AMD="y")
    assert added == {"KVM": "y", "VIRTUALIZATION": "y"}
    assert reached == {"KVM_AMD"}


def test_numbers_get_a_prompt_that_shows(kconfig: Load) -> None:
    tree = kconfig(KVM)
    added, _, reached = solved(tree, SIZE="5", COUNT="7")
    assert added == {"FIRST": "y", "SECOND": "y"}
    assert reached == {"SIZE", "COUNT"}
    assert (tree.syms["SIZE"].str_value, tree.syms["COUNT"].str_value) == ("5", "7")


def test_a_number_out_of_range_is_not_met(kconfig: Load) -> None:
    _, _, reached = solved(kconfig(KVM), COUNT="70")
    assert reached == set()


def test_m_without_modules_is_y(kconfig: Load) -> None:
    tree = kconfig(
        """
config MODULES
	bool "modules"
	modules

config BUS
	tristate "bus"

config DRIVER
	tristate "driver"
	depends on BUS
"""
    )
    added, _, reached = solved(tree, DRIVER="m")
    assert added == {"BUS": "y"}
    assert reached == {"DRIVER"}


def test_a_member_of_a_choice(kconfig: Load) -> None:
    tree = kconfig(
        """
choice
	prompt "preemption"
	default NONE

config NONE
	bool "none"

config FULL
	bool "full"

endchoice

config DEBUG
	bool "debug"
	depends on FULL
"""
    )
    added, _, reached = solved(tree, DEBUG="y")
    assert added == {"FULL": "y"}
    assert reached == {"DEBUG"}


CONDITIONS = """
config MODULES
	bool "modules"
	modules

config A
	tristate "a"

config B
	bool "b"

config LEVEL
	int "level"

config FLAVOUR
	string "flavour"

config QUIET
	def_bool !LOUD && LEVEL = 0

config LOUD
	bool "loud"

config LEADER
	bool "leader"
	select LED

config LED
	bool "led" if B

choice
	prompt "one of"
	default FIRST

config FIRST
	bool "first"

config SECOND
	bool "second"

endchoice

config GOAL
	bool "goal"
	depends on {condition}
"""


@pytest.mark.parametrize(
    ("condition", "added"),
    [
        ("A = y", {"A": "y"}),
        ("y = A", {"A": "y"}),
        ("A != n", {"A": "y"}),  # as m, once there are modules
        ("LEVEL = 5", {"LEVEL": "5"}),
        ('FLAVOUR = "vanilla"', {"FLAVOUR": "vanilla"}),
        ("A = y && B", {"A": "y", "B": "y"}),
        ("A && A = y", {"A": "y"}),
        ("!QUIET", {"LOUD": "y"}),
        ("QUIET = n", {"LOUD": "y"}),
        ("!(QUIET || FIRST)", {"LOUD": "y", "SECOND": "y"}),
        ("!(QUIET && B)", {}),
        ("!FIRST", {"SECOND": "y"}),
        ("LED", {"B": "y", "LED": "y"}),  # its own prompt before a select
        ("A = n", {}),
    ],
)
def test_conditions_that_can_be_met(condition: str, added: dict[str, str], kconfig: Load) -> None:
    tree = kconfig(CONDITIONS.replace("{condition}", condition))
    assert solved(tree, GOAL="y") == (added, {}, {"GOAL"})


@pytest.mark.parametrize(
    "condition", ["NOWHERE", "B && !B", "A = y && A = n", "LEVEL > 3", "LEVEL = 1 && LEVEL = 2"]
)
def test_conditions_that_cannot(condition: str, kconfig: Load) -> None:
    tree = kconfig(CONDITIONS.replace("{condition}", condition))
    added, undecided, reached = solved(tree, GOAL="y")
    assert (added, undecided, reached) == ({}, {}, set())
