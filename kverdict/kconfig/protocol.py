# SPDX-License-Identifier: GPL-2.0-or-later
"""What the configure stage and its child in the sandbox say to each other, as JSON.

The child runs the tree's ``$(shell ...)``: its answer is a stranger's, and what it says of the
configuration is checked against what make does with the result.
"""

from __future__ import annotations

from kverdict.models import Frozen


class Request(Frozen):
    environment: dict[str, str]  # that of conf, as make says
    goals: dict[str, str]  # symbol -> y, m, n, a number or a text; in order of assignment


class SymbolAnswer(Frozen):
    value: str  # "n" for a symbol without a value
    why: str  # empty when it is as asked


class Added(Frozen):
    value: str
    needed_by: str


class Answer(Frozen):
    config: str  # the text of the .config
    symbols: dict[str, SymbolAnswer]  # those of the goals that the tree has
    unknown: dict[str, tuple[str, ...]]  # goals that it does not have -> names like it
    added: dict[str, Added]


class Refusal(Frozen):
    """The tree's Kconfig cannot be parsed by us."""

    error: str


class Reply(Frozen):
    answer: Answer | None = None
    refusal: Refusal | None = None
