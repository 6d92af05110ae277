# SPDX-License-Identifier: GPL-2.0-or-later
"""Kconfig fragments: which symbol is asked to have which value, where, and by whom."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from kverdict.errors import UserError
from kverdict.models import Frozen

# confdata.c: conf_read_simple(): "CONFIG_X=value" and "# CONFIG_X is not set".
_ASSIGNMENT = re.compile(r"CONFIG_(?P<name>[A-Za-z0-9_]+)=(?P<value>.*)")
_NOT_SET = re.compile(r"# CONFIG_(?P<name>[A-Za-z0-9_]+) is not set")
_OPTIONAL = re.compile(r"#\s*optional:\s*\S.*")
_VALUE = re.compile(r'y|m|n|-?\d+|0[xX][0-9a-fA-F]+|"(?:[^"\\]|\\.)*"')


class Goal(Frozen):
    """One requested symbol; ``value`` is without quotes."""

    name: str  # without CONFIG_
    value: str
    file: str  # name of the fragment
    line: int
    optional: bool  # a tree that does not have it is fine


def parse(text: str, file: str) -> tuple[Goal, ...]:
    """The goals of one fragment, in order.

    ``# optional: why`` before an assignment holds for the lines up to the next blank one.  Raises
    UserError with file and line for anything that is neither an assignment nor a comment.
    """
    goals = []
    optional = False
    for number, line in enumerate(text.splitlines(), 1):
        stripped = line.strip()
        if not stripped:
            optional = False
        elif match := _NOT_SET.fullmatch(stripped):
            goals.append(_goal(match["name"], "n", file, number, optional))
        elif stripped.startswith("#"):
            optional = optional or _OPTIONAL.fullmatch(stripped) is not None
        elif (match := _ASSIGNMENT.fullmatch(stripped)) and _VALUE.fullmatch(match["value"]):
            value = match["value"]
            if value.startswith('"'):
                value = re.sub(r"\\(.)", r"\1", value[1:-1])
            goals.append(_goal(match["name"], value, file, number, optional))
        else:
            raise UserError(
                f"{file}:{number}: {stripped[:60]!r} is no Kconfig assignment",
                'write CONFIG_NAME=y, CONFIG_NAME="text" or # CONFIG_NAME is not set',
            )
    return tuple(goals)


def _goal(name: str, value: str, file: str, line: int, optional: bool) -> Goal:
    return Goal(name=name, value=value, file=file, line=line, optional=optional)


def read(paths: Iterable[Path]) -> tuple[Goal, ...]:
    """All goals of some fragments; the last one for a symbol wins and takes its place."""
    goals: dict[str, Goal] = {}
    for path in paths:
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(f"{path.name} cannot be read as a fragment", str(error)) from error
        for goal in parse(text, path.name):
            goals.pop(goal.name, None)
            goals[goal.name] = goal
    return tuple(goals.values())


def as_config(goals: Iterable[Goal]) -> str:
    """The goals as a file for KCONFIG_ALLCONFIG."""
    return "".join(f"{_line(goal)}\n" for goal in goals)


def _line(goal: Goal) -> str:
    if goal.value == "n":
        return f"# CONFIG_{goal.name} is not set"
    if re.fullmatch(r"y|m|-?\d+|0[xX][0-9a-fA-F]+", goal.value):
        return f"CONFIG_{goal.name}={goal.value}"
    escaped = re.sub(r'(["\\])', r"\\\1", goal.value)
    return f'CONFIG_{goal.name}="{escaped}"'
