# SPDX-License-Identifier: GPL-2.0-or-later
"""What the child answers; tests/stages/test_configure.py runs it in the sandbox."""

from __future__ import annotations

import errno
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kverdict.kconfig import environ, linux
from kverdict.kconfig.__main__ import configure, reply
from kverdict.kconfig.protocol import Added, Refusal, Reply, Request, SymbolAnswer
from tests.kconfig.semantics import settings

TREE = """
mainmenu "Linux/x86 7.2.0 Kernel Configuration"

config BUS
	bool "bus"

config DRIVER
	bool "driver"
	depends on BUS

config DRIVER_QUIRKS
	bool "quirks"
	default y

config EITHER
	bool "either"
	depends on DRIVER || DRIVER_QUIRKS

config SIZE
	int "size"
	default 3

choice
	prompt "speed"
	default FAST

config SLOW
	bool "slow"

config FAST
	bool "fast"

endchoice
"""


def test_an_answer(kconfig: Callable[[str], Any]) -> None:
    answer = configure(kconfig(TREE), {"DRIVER": "y", "SIZE": "4", "DRIVERS": "y", "ZZZ": "y"})
    assert settings(answer.config) == [
        "# CONFIG_DRIVER_QUIRKS is not set",
        "# CONFIG_EITHER is not set",
        "# CONFIG_SLOW is not set",
        "CONFIG_BUS=y",
        "CONFIG_DRIVER=y",
        "CONFIG_FAST=y",
        "CONFIG_SIZE=4",
    ]
    assert answer.config.splitlines()[:4] == [
        "#",
        "# Automatically generated file; DO NOT EDIT.",
        "# Linux/x86 7.2.0 Kernel Configuration",
        "#",
    ]
    assert answer.symbols == {
        "DRIVER": SymbolAnswer(value="y", why=""),
        "SIZE": SymbolAnswer(value="4", why=""),
    }
    assert answer.unknown == {"DRIVERS": ("DRIVER",), "ZZZ": ()}
    assert answer.added == {"BUS": Added(value="y", needed_by="DRIVER")}


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (IndexError("odd"), "odd"),
        (RecursionError("deep"), "deep"),
        (FileNotFoundError(2, "gone"), "[Errno 2] gone"),
        (AssertionError(), "AssertionError"),
    ],
)
def test_whatever_kconfiglib_stumbles_over_is_a_refusal(
    error: Exception, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stumble() -> None:
        raise error

    monkeypatch.setattr(linux, "load", stumble)
    refused = Reply(refusal=Refusal(error=told))
    assert reply(Request(environment={}, goals={})) == refused


@pytest.mark.parametrize(
    "error", [MemoryError(), OSError(errno.EAGAIN, "fork"), OSError(errno.ENOSPC, "full")]
)
def test_what_the_machine_does_not_give_is_not_the_tree_s_fault(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        raise error

    monkeypatch.setattr(linux, "load", fail)
    with pytest.raises(type(error)):
        reply(Request(environment={}, goals={}))


def test_what_has_to_be_decided_is_the_reason(kconfig: Callable[[str], Any]) -> None:
    tree = kconfig(TREE.replace("depends on BUS\n", ""))
    answer = configure(tree, {"EITHER": "y"})
    assert answer.symbols["EITHER"] == SymbolAnswer(
        value="n", why="ask for one of these as well: DRIVER or DRIVER_QUIRKS"
    )


@given(st.dictionaries(st.from_regex(r"[A-Za-z_]\w{0,8}", fullmatch=True), st.text(max_size=9)))
def test_the_environment_is_read_as_env_wrote_it(variables: dict[str, str]) -> None:
    plain = {
        name: value.replace("\0", "")
        for name, value in variables.items()
        if name.isascii() and not name.startswith("MAKE") and name != "MFLAGS"
    }
    written = "".join(f"{name}={value}\0" for name, value in plain.items())
    assert environ.parse(written.encode(errors="ignore")) == {
        name: value.encode(errors="ignore").decode() for name, value in plain.items()
    }


def test_what_is_no_variable_is_left_out() -> None:
    odd = b"A=1\0=2\0B-C=3\0noise\0D=\xff\0BASH_FUNC_f%%=() { :; }\0MAKEFLAGS=w\0E=a=b\nc\0"
    assert environ.parse(odd) == {"A": "1", "E": "a=b\nc"}
