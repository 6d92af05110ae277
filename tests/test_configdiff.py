# SPDX-License-Identifier: GPL-2.0-or-later
from __future__ import annotations

from kverdict.configdiff import config_changes, declared_in
from kverdict.models import SymbolChange

BEFORE = """#
# Linux/x86 7.2.0 Kernel Configuration
#
CONFIG_CC_VERSION_TEXT="gcc 12"
CONFIG_KVM=y
# CONFIG_EXPERT is not set
# CONFIG_HIDDEN is not set
CONFIG_NR_CPUS=16
CONFIG_OLD=m
"""
AFTER = """CONFIG_CC_VERSION_TEXT="gcc 13"
CONFIG_KVM=y
CONFIG_EXPERT=y
# CONFIG_NEW is not set
# CONFIG_SHOWN is not set
CONFIG_NR_CPUS=32
"""


def test_all_that_is_different_by_name() -> None:
    assert [(one.name, one.before, one.after) for one in config_changes(BEFORE, AFTER)] == [
        ("CC_VERSION_TEXT", "gcc 12", "gcc 13"),
        ("EXPERT", "n", "y"),
        ("HIDDEN", "n", None),
        ("NEW", None, "n"),
        ("NR_CPUS", "16", "32"),
        ("OLD", "m", None),
        ("SHOWN", None, "n"),
    ]
    assert config_changes(BEFORE, BEFORE) == ()


def test_what_only_shows_or_hides_counts_when_the_patch_declares_it() -> None:
    changes = config_changes(BEFORE, AFTER, declared={"NEW", "KVM"})
    assert SymbolChange(name="NEW", before=None, after="n") in changes
    names = {change.name for change in changes}
    assert names == {"CC_VERSION_TEXT", "EXPERT", "NEW", "NR_CPUS", "OLD"}


def test_declarations_in_a_diff() -> None:
    diff = (
        "--- a/mm/Kconfig\n+++ b/mm/Kconfig\n@@ -1,3 +1,4 @@\n config KEPT\n"
        "+config ADDED\n-menuconfig\tREMOVED \n+\tconfig INDENTED\n+\tselect OTHER\n"
    )
    assert declared_in(diff) == {"ADDED", "REMOVED", "INDENTED"}
