# SPDX-License-Identifier: GPL-2.0-or-later
"""What --kunit names, and the fragment that comes of it."""

from __future__ import annotations

import pytest

from kverdict.comparison import kunit_folder, kunit_fragment
from kverdict.errors import UserError
from kverdict.kconfig.fragment import parse

OURS = {
    "KUNIT",
    "DEBUG_FS",
    "KUNIT_DEBUGFS",
    "KUNIT_DEFAULT_ENABLED",
    "KUNIT_AUTORUN_ENABLED",
}


@pytest.mark.parametrize(
    ("text", "folder"),
    [
        ("lib/kunit", "lib/kunit"),
        ("lib/kunit/", "lib/kunit"),
        ("fs/ext4/.kunitconfig", "fs/ext4"),
        ("rust", "rust"),
    ],
)
def test_the_folder_of_a_kunitconfig(text: str, folder: str) -> None:
    assert kunit_folder(text) == folder


@pytest.mark.parametrize(
    "text", ["../../etc", "lib/../..", "/etc", "", "/", "a//b", "-x", "a b", "lib\n", ":(top)lib"]
)
def test_what_can_be_no_folder_of_a_tree(text: str) -> None:
    with pytest.raises(UserError, match="names no folder of a tree"):
        kunit_folder(text)


def test_all_of_it_is_optional_whatever_stands_between() -> None:
    text = "CONFIG_KUNIT=y\n\n# the new one\nCONFIG_NEW_KUNIT_TEST=y\n\n# CONFIG_OLD is not set\n"
    goals = {goal.name: goal for goal in parse(kunit_fragment(text), "kunit.config")}
    assert set(goals) == {*OURS, "NEW_KUNIT_TEST", "OLD"}
    assert all(goal.optional for goal in goals.values())
    assert (goals["NEW_KUNIT_TEST"].value, goals["OLD"].value) == ("y", "n")


@pytest.mark.parametrize(
    "text",
    [
        "CONFIG_KUNIT=m\n# CONFIG_KUNIT_DEBUGFS is not set\n",  # what --kunit is about
        "CONFIG_X\nCONFIG_Y = y\nno assignment\n# CONFIG_Z is  not set\n# optional:\n",
        "\r\n# \n",
    ],
)
def test_what_cannot_hold_is_left_out(text: str) -> None:
    goals = parse(kunit_fragment(text), "kunit.config")
    assert {(goal.name, goal.value) for goal in goals} == {(name, "y") for name in OURS}


def test_the_last_of_two_values_holds_as_for_kconfig() -> None:
    goals = {
        goal.name: goal.value
        for goal in parse(kunit_fragment("CONFIG_A=y\nCONFIG_A=m\n"), "kunit.config")
    }
    assert goals["A"] == "m"
