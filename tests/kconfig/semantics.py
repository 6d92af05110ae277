# SPDX-License-Identifier: GPL-2.0-or-later
"""What scripts/kconfig/conf of Linux 7.2 answers to small Kconfig files: input -> .config.

Those that name a folder are the kernel's own tests (scripts/kconfig/tests), with the results that
are written down there.  tests/e2e/test_kconfig_real.py gives every case to the real conf, so that
no expectation here rests on our own reading.
"""

from __future__ import annotations

from dataclasses import dataclass

MODULES = """
config MODULES
	bool "Enable loadable module support"
	modules
	default y
"""


@dataclass(frozen=True)
class Semantics:
    """``config`` is given to olddefconfig; ``expected`` are the lines that it writes, sorted."""

    name: str
    kconfig: str
    config: str
    expected: str

    @property
    def lines(self) -> list[str]:
        return sorted(self.expected.split("\n")[1:-1])

    def __str__(self) -> str:
        return self.name


def settings(config: str) -> list[str]:
    """The lines of a .config that set a symbol, sorted."""
    return sorted(
        line
        for line in config.splitlines()
        if line.startswith("CONFIG_") or line.endswith(" is not set")
    )


_CONDITIONAL = (
    MODULES
    + """
config FOO
	bool "FOO symbol"

config BAR
	bool "BAR symbol"

config TEST_BASIC
	bool "Test basic conditional dependency"
	depends on FOO if BAR
	default y

config TEST_COMPLEX
	bool "Test complex conditional dependency"
	depends on (FOO && BAR) if (FOO || BAR)
	default y

config BAZ
	tristate "BAZ symbol"

config TEST_OPTIONAL
	tristate "Test simple optional dependency"
	depends on BAZ if BAZ
	default y
"""
)

_CHOICE = """
config WIDE
	bool "more members"

choice
	prompt "a choice"
	default SECOND

config FIRST
	bool "first"

config SECOND
	bool "second"

config THIRD
	bool "third"
	depends on WIDE

endchoice
"""

_RANGES = """
config NARROW
	bool "narrow"

config SIZE
	int "size"
	range 4 8 if NARROW
	range 1 100

config MASK
	hex "mask"
	range 0x10 0xff
"""

CASES = (
    Semantics(
        "conditional_dep/test_config1",
        _CONDITIONAL,
        """
CONFIG_FOO=y
CONFIG_BAR=y
CONFIG_BAZ=m
CONFIG_TEST_OPTIONAL=y
""",
        """
CONFIG_MODULES=y
CONFIG_FOO=y
CONFIG_BAR=y
CONFIG_TEST_BASIC=y
CONFIG_TEST_COMPLEX=y
CONFIG_BAZ=m
CONFIG_TEST_OPTIONAL=m
""",
    ),
    Semantics(
        "conditional_dep/test_config2",
        _CONDITIONAL,
        """
CONFIG_FOO=n
CONFIG_BAR=y
CONFIG_BAZ=y
""",
        """
CONFIG_MODULES=y
# CONFIG_FOO is not set
CONFIG_BAR=y
CONFIG_BAZ=y
CONFIG_TEST_OPTIONAL=y
""",
    ),
    Semantics(
        "conditional_dep/test_config3",
        _CONDITIONAL,
        """
CONFIG_FOO=n
CONFIG_BAR=n
""",
        """
CONFIG_MODULES=y
# CONFIG_FOO is not set
# CONFIG_BAR is not set
CONFIG_TEST_BASIC=y
CONFIG_TEST_COMPLEX=y
# CONFIG_BAZ is not set
CONFIG_TEST_OPTIONAL=y
""",
    ),
    Semantics(
        "transitional",
        MODULES
        + """
config NEW_BOOL
	bool "New bool option"
	default OLD_BOOL

config OLD_BOOL
	bool
	transitional

config NEW_TRISTATE
	tristate "New tristate option"
	default OLD_TRISTATE

config OLD_TRISTATE
	tristate
	transitional

config NEW_STRING
	string "New string option"
	default OLD_STRING

config OLD_STRING
	string
	transitional
	help
		Help is allowed.

config NEW_HEX
	hex "New hex option"
	default OLD_HEX

config OLD_HEX
	hex
	transitional

config NEW_INT_PRECEDENCE
	int "New int option with precedence"
	default OLD_INT_PRECEDENCE

config OLD_INT_PRECEDENCE
	int
	transitional

config NEW_DISABLED
	tristate "Check for setting to disabled"
	default OLD_DISABLED

config OLD_DISABLED
	tristate
	transitional
""",
        """
CONFIG_OLD_BOOL=y
CONFIG_OLD_TRISTATE=m
CONFIG_OLD_STRING="test string"
CONFIG_OLD_HEX=0x1234
CONFIG_NEW_INT_PRECEDENCE=100
CONFIG_OLD_INT_PRECEDENCE=200
# CONFIG_OLD_DISABLED is not set
""",
        """
CONFIG_MODULES=y
CONFIG_NEW_BOOL=y
CONFIG_NEW_TRISTATE=m
CONFIG_NEW_STRING="test string"
CONFIG_NEW_HEX=0x1234
CONFIG_NEW_INT_PRECEDENCE=100
# CONFIG_NEW_DISABLED is not set
""",
    ),
    Semantics(
        "warn_changed_input",
        """
config DEP
	bool "DEP"

config A
	bool "A"
	depends on DEP

config NUM
	int "NUM"
	range 10 20
""",
        """
CONFIG_A=y
CONFIG_NUM=30
""",
        """
# CONFIG_DEP is not set
CONFIG_NUM=20
""",
    ),
    Semantics(
        "choice: the default when nothing is said",
        _CHOICE,
        "\n",
        """
# CONFIG_WIDE is not set
# CONFIG_FIRST is not set
CONFIG_SECOND=y
""",
    ),
    Semantics(
        "choice: n for the default moves on to what was not mentioned",
        _CHOICE,
        """
# CONFIG_SECOND is not set
""",
        """
# CONFIG_WIDE is not set
CONFIG_FIRST=y
# CONFIG_SECOND is not set
""",
    ),
    Semantics(
        "choice: the last y wins",
        _CHOICE,
        """
CONFIG_WIDE=y
CONFIG_THIRD=y
CONFIG_FIRST=y
""",
        """
CONFIG_WIDE=y
CONFIG_FIRST=y
# CONFIG_SECOND is not set
# CONFIG_THIRD is not set
""",
    ),
    Semantics(
        "choice: an invisible y does not count",
        _CHOICE,
        """
CONFIG_THIRD=y
""",
        """
# CONFIG_WIDE is not set
# CONFIG_FIRST is not set
CONFIG_SECOND=y
""",
    ),
    Semantics(
        "choice: all n leaves the one that was said first",
        _CHOICE,
        """
# CONFIG_FIRST is not set
# CONFIG_SECOND is not set
""",
        """
# CONFIG_WIDE is not set
CONFIG_FIRST=y
# CONFIG_SECOND is not set
""",
    ),
    Semantics(
        "choice: a condition on the prompt does not bind the members",
        """
config SHOWN
	bool "shown"

choice
	prompt "hidden" if SHOWN
	default B

config A
	bool "a"

config B
	bool "b"

endchoice
""",
        """
# CONFIG_SHOWN is not set
CONFIG_A=y
""",
        """
# CONFIG_SHOWN is not set
CONFIG_A=y
# CONFIG_B is not set
""",
    ),
    Semantics(
        "range: out of range is the nearest bound, the first range that holds counts",
        _RANGES,
        """
CONFIG_NARROW=y
CONFIG_SIZE=50
CONFIG_MASK=0x3
""",
        """
CONFIG_NARROW=y
CONFIG_SIZE=8
CONFIG_MASK=0x10
""",
    ),
    Semantics(
        "range: without a value 0, put into the range",
        _RANGES,
        """
# CONFIG_NARROW is not set
CONFIG_MASK=0xAB
""",
        """
# CONFIG_NARROW is not set
CONFIG_SIZE=1
CONFIG_MASK=0xAB
""",
    ),
    Semantics(
        "int and hex without a default are 0 in comparisons too",
        """
config ORDER
	int "order"

config MASK
	hex "mask"

config ZERO
	def_bool y
	depends on ORDER = 0 && MASK = 0x0

config NONZERO
	def_bool y
	depends on ORDER != 0
""",
        "\n",
        """
CONFIG_ORDER=0
CONFIG_MASK=0x0
CONFIG_ZERO=y
""",
    ),
    Semantics(
        "imply: a default that the user may refuse, and dependencies may forbid",
        """
config LEADER
	bool "leader"
	imply REFUSED
	imply FOLLOWER
	imply FORBIDDEN
	imply MOOT

config REFUSED
	bool "refused"

config FOLLOWER
	bool "follower"

config FORBIDDEN
	bool "forbidden"
	depends on MISSING

config MISSING
	bool "missing"

config MOOT
	bool
""",
        """
CONFIG_LEADER=y
# CONFIG_REFUSED is not set
""",
        """
CONFIG_LEADER=y
# CONFIG_REFUSED is not set
CONFIG_FOLLOWER=y
# CONFIG_FORBIDDEN is not set
# CONFIG_MISSING is not set
CONFIG_MOOT=y
""",
    ),
    Semantics(
        "imply: y does not lift m",
        MODULES
        + """
config LEADER
	tristate "leader"
	imply FOLLOWER

config FOLLOWER
	tristate "follower"
""",
        """
CONFIG_LEADER=y
CONFIG_FOLLOWER=m
""",
        """
CONFIG_MODULES=y
CONFIG_LEADER=y
CONFIG_FOLLOWER=m
""",
    ),
    Semantics(
        "select: stronger than the user and than dependencies",
        """
config LEADER
	bool "leader"
	select FOLLOWER
	select UNMET

config FOLLOWER
	bool "follower"

config NEEDED
	bool "needed"

config UNMET
	bool "unmet"
	depends on NEEDED
""",
        """
CONFIG_LEADER=y
# CONFIG_FOLLOWER is not set
# CONFIG_NEEDED is not set
""",
        """
CONFIG_LEADER=y
CONFIG_FOLLOWER=y
# CONFIG_NEEDED is not set
CONFIG_UNMET=y
""",
    ),
    Semantics(
        "tristate: without modules m is y",
        """
config MODULES
	bool "modules"
	modules

config DRIVER
	tristate "driver"
""",
        """
# CONFIG_MODULES is not set
CONFIG_DRIVER=m
""",
        """
# CONFIG_MODULES is not set
CONFIG_DRIVER=y
""",
    ),
    Semantics(
        "strings keep their escapes",
        """
config TEXT
	string "text"
	default "unused"
""",
        """
CONFIG_TEXT="say \\"hi\\" \\\\o/"
""",
        """
CONFIG_TEXT="say \\"hi\\" \\\\o/"
""",
    ),
)
