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
_OPTIONAL = re.compile(r"#\s*optional:(?P<why>.*)")
# Looks like "is not set" and is a mere comment to conf.
_ALMOST_NOT_SET = re.compile(r"#\s*CONFIG_\w+\s+is\s+not\s+set", re.IGNORECASE)
_VALUE = re.compile(r'y|m|n|-?\d+|0[xX][0-9a-fA-F]+|"(?:[^"\\]|\\.)*"')


class Goal(Frozen):
    """One requested symbol; ``value`` is without quotes."""

    name: str  # without CONFIG_
    value: str
    quoted: bool  # it is a text, even if it looks like a number
    file: str  # name of the fragment
    line: int
    optional: bool  # a tree that does not have it is fine


def parse(text: str, file: str) -> tuple[Goal, ...]:
    """The goals of one fragment, in order.

    ``# optional: why`` before an assignment holds for the lines up to the next blank one.  Raises
    UserError with file and line for anything that is neither an assignment nor a comment, and for
    a symbol that is asked to have two values.
    """
    goals: dict[str, Goal] = {}
    optional = False
    for number, line in enumerate(text.split("\n"), 1):
        stripped = line.strip()
        if not stripped:
            optional = False
        elif stripped.startswith("#") and not _NOT_SET.fullmatch(stripped):
            optional = _comment(stripped, file, number) or optional
        else:
            goal = _assignment(stripped, file, number, optional)
            earlier = goals.setdefault(goal.name, goal)
            if earlier.value != goal.value:
                raise UserError(
                    f"{file}:{number}: CONFIG_{goal.name} is asked to be {goal.value!r} here and "
                    f"{earlier.value!r} in line {earlier.line}",
                    "remove one of them",
                )
    return tuple(goals.values())


def _comment(line: str, file: str, number: int) -> bool:
    """Whether it makes optional what follows."""
    if _ALMOST_NOT_SET.fullmatch(line):
        raise UserError(
            f"{file}:{number}: {line[:60]!r} is a mere comment to Kconfig",
            "write # CONFIG_NAME is not set",
        )
    match = _OPTIONAL.fullmatch(line)
    if match and not match["why"].strip():
        raise UserError(f"{file}:{number}: optional for no reason", "write # optional: why")
    return match is not None


def _assignment(line: str, file: str, number: int, optional: bool) -> Goal:
    match = _NOT_SET.fullmatch(line) or _ASSIGNMENT.fullmatch(line)
    value = match.groupdict().get("value", "n") if match else ""
    if match is None or not _VALUE.fullmatch(value):
        raise UserError(
            f"{file}:{number}: {line[:60]!r} is no Kconfig assignment",
            'write CONFIG_NAME=y, CONFIG_NAME="text" or # CONFIG_NAME is not set',
        )
    quoted = value.startswith('"')
    return Goal(
        name=match["name"],
        value=re.sub(r"\\(.)", r"\1", value[1:-1]) if quoted else value,
        quoted=quoted,
        file=file,
        line=number,
        optional=optional,
    )


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
    if goal.quoted:
        escaped = re.sub(r'(["\\])', r"\\\1", goal.value)
        return f'CONFIG_{goal.name}="{escaped}"'
    if goal.value == "n":
        return f"# CONFIG_{goal.name} is not set"
    return f"CONFIG_{goal.name}={goal.value}"
