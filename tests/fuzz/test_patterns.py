# SPDX-License-Identifier: GPL-2.0-or-later
"""No pattern of the package has a repetition in a repetition, which can take exponential time.

Neighbours that can match the same text take a power of its length; test_growth.py looks for that.
"""

from __future__ import annotations

import ast
import importlib
import pkgutil
import re
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from re import _constants, _parser  # type: ignore[attr-defined]

import pytest

import kverdict
from tests.fuzz.seeds import TOP

# Each repetition inside begins with a character that cannot end the one before it.
DELIMITED = {
    r"linux-source-(\d+(?:\.\d+)+)",
    r"^(\s*\[[^\]]*\])+\s*",
    r"(?P<collection>[A-Za-z0-9_][\w.-]*(?:/[\w.-]+)*):(?P<test>[A-Za-z0-9_][\w.+-]*(?:/[\w.+-]+)*)",
    r"[\w.+=@,:~-]+(?:/[\w.+=@,:~-]+)*",
    r"\w[\w.+-]*(?:/[\w.+-]+)*",
}
MANY = 1000


def in_modules() -> Iterator[str]:
    for module in pkgutil.walk_packages(kverdict.__path__, "kverdict."):
        if not module.name.endswith("__main__"):
            yield from _in(vars(importlib.import_module(module.name)).values())


def _in(values: object) -> Iterator[str]:
    """Patterns in module constants: alone, in tuples and in the fields of data classes."""
    for value in values:  # type: ignore[attr-defined]
        if isinstance(value, re.Pattern):
            text = value.pattern
            yield text.decode("latin-1") if isinstance(text, bytes) else text
        elif isinstance(value, tuple):
            yield from _in(value)
        elif is_dataclass(value) and not isinstance(value, type):
            yield from _in(getattr(value, one.name) for one in fields(value))


def in_calls() -> Iterator[str]:
    """Patterns that stand in a call, re.sub("...", ...)."""
    for path in sorted((TOP / "kverdict").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
                continue
            of_re = isinstance(node.func.value, ast.Name) and node.func.value.id == "re"
            if of_re and node.args and isinstance(node.args[0], ast.Constant):
                text = node.args[0].value
                if isinstance(text, str | bytes):
                    yield text.decode("latin-1") if isinstance(text, bytes) else text


def nested(tokens: object, inside: bool = False) -> bool:
    """Whether a parsed pattern has an endless repetition in another one."""
    if isinstance(tokens, _parser.SubPattern):
        return any(nested(token, inside) for token in tokens)
    if isinstance(tokens, tuple) and len(tokens) == 2 and tokens[0] in _REPEATS:
        least_most_what = tokens[1]
        endless = least_most_what[1] >= MANY
        return (endless and inside) or nested(least_most_what[2], inside or endless)
    if isinstance(tokens, tuple | list):
        return any(nested(token, inside) for token in tokens)
    return False


_REPEATS = (_constants.MAX_REPEAT, _constants.MIN_REPEAT)


@pytest.mark.parametrize("pattern", sorted({*in_modules(), *in_calls()} - DELIMITED))
def test_no_repetition_in_a_repetition(pattern: str) -> None:
    flags = re.VERBOSE if "\n" in pattern.strip() else re.NOFLAG
    assert not nested(_parser.parse(pattern, flags))


@pytest.mark.parametrize("pattern", [r"(a+)+b", r"(?:x|y*)*", r"((?:ab)+?c)*"])
def test_the_search_finds_them(pattern: str) -> None:
    assert nested(_parser.parse(pattern))


def test_the_exceptions_are_still_there() -> None:
    assert {*in_modules(), *in_calls()} >= DELIMITED
