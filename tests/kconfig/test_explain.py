# SPDX-License-Identifier: GPL-2.0-or-later
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from kverdict.kconfig.__main__ import allnoconfig
from kverdict.kconfig.explain import explain

TREE = """
config MODULES
	bool "modules"
	modules

config LEADER
	bool "leader"
	select FOLLOWER if MODULES
	select UNSHOWN

config OTHER
	bool "other"
	select FOLLOWER

config FOLLOWER
	bool "follower"

config UNSHOWN
	bool

config NEEDY
	bool "needy"
	depends on LEADER && (MODULES || OTHER)

config STUBBORN
	def_bool y

config HIDDEN
	bool "hidden" if OTHER
	default y

config SIZE
	int "size"
	range 4 8

config TEXT
	string "text" if OTHER

config OLD
	bool
	transitional

config NEW
	bool "new"
	default OLD

config FOREIGN
	bool "foreign"
	depends on ARM

config FOREIGN_TOO
	bool "foreign too"
	depends on ARM || OTHER

choice
	prompt "one of"
	default FIRST

config FIRST
	bool "first"

config SECOND
	bool "second"

endchoice
"""


@pytest.mark.parametrize(
    ("given", "name", "asked", "why"),
    [
        ({"OTHER": "y"}, "FOLLOWER", "n", "selected by OTHER"),
        ({"OTHER": "y", "LEADER": "y"}, "FOLLOWER", "n", "selected by OTHER"),
        (
            {"OTHER": "y", "LEADER": "y", "MODULES": "y"},
            "FOLLOWER",
            "n",
            "selected by LEADER, OTHER",
        ),
        ({}, "UNSHOWN", "y", "it has no prompt; it is selected by LEADER"),
        (
            {},
            "NEEDY",
            "y",
            "Kconfig:21 needs LEADER (is n); "
            "Kconfig:21 needs MODULES || OTHER (MODULES is n, OTHER is n)",
        ),
        ({"OTHER": "y"}, "NEEDY", "y", "Kconfig:21 needs LEADER (is n)"),
        ({}, "STUBBORN", "n", "it has no prompt and follows its default"),
        ({}, "HIDDEN", "n", "its prompt does not show, so its default holds"),
        ({"SIZE": "9"}, "SIZE", "9", "out of range: 4 to 8"),
        ({}, "TEXT", "hello", "Kconfig:36 needs OTHER (is n)"),
        ({"OLD": "y"}, "OLD", "y", "it has a new name: NEW"),
        ({}, "FOREIGN", "y", "Kconfig:47 needs ARM (does not exist here)"),
        (
            {},
            "FOREIGN_TOO",
            "y",
            "Kconfig:51 needs ARM || OTHER (ARM does not exist here, OTHER is n)",
        ),
        ({"FIRST": "y"}, "SECOND", "y", "FIRST is taken in its choice"),
    ],
)
def test_why(
    given: dict[str, str], name: str, asked: str, why: str, kconfig: Callable[[str], Any]
) -> None:
    tree = kconfig(TREE)
    allnoconfig(tree)
    for symbol, value in given.items():
        tree.syms[symbol].set_value(value)
    assert explain(tree, name, asked) == why
