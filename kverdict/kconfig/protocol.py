# SPDX-License-Identifier: GPL-2.0-or-later
"""What the configure stage and its child in the sandbox say to each other, as JSON.

The child runs the tree's ``$(shell ...)``: its answer is a stranger's, and what it says of the
configuration is checked against what make does with the result.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from kverdict.models import Frozen

# It becomes a line of a fragment.
Assignment = Annotated[
    str, Field(pattern=r"^CONFIG_[A-Za-z0-9_]{1,200}=([ymn]|-?[0-9]{1,20}|0x[0-9a-fA-F]{1,16})$")
]


class Request(Frozen):
    environment: dict[str, str]  # that of conf, as make says
    goals: dict[str, str]  # symbol -> y, m, n, a number or a text; in order of assignment
    files: tuple[str, ...] = ()  # of the tree: what would have them compiled?


class SymbolAnswer(Frozen):
    value: str  # "n" for a symbol without a value
    why: str  # empty when it is as asked


class Added(Frozen):
    value: str
    needed_by: str


class FilePlan(Frozen):
    """What the Makefiles say of a source file, and what would have it compiled."""

    path: str
    condition: str = ""  # a Kconfig expression; "" when no Makefile names the object
    met: bool = False  # whether it holds with the goals
    unmet: tuple[str, ...] = ()  # the parts of it that do not: "NUMA"
    enable: tuple[Assignment, ...] = ()  # beside the goals: "CONFIG_NUMA=y"
    note: str = ""  # why there is no condition, or no way to meet it


class Answer(Frozen):
    config: str  # the text of the .config
    symbols: dict[str, SymbolAnswer]  # those of the goals that the tree has
    unknown: dict[str, tuple[str, ...]]  # goals that it does not have -> names like it
    added: dict[str, Added]
    files: tuple[FilePlan, ...] = ()


class Refusal(Frozen):
    """The tree's Kconfig cannot be parsed by us."""

    error: str


class Reply(Frozen):
    answer: Answer | None = None
    refusal: Refusal | None = None
