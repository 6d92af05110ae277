# SPDX-License-Identifier: GPL-2.0-or-later
"""Which assignments would have a file compiled: the Makefiles' condition, given to the planner."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import kconfiglib as kl
from kconfiglib import AND, BOOL, expr_str, expr_value, split_expr
from pydantic import ValidationError

from kverdict.kconfig.enable import Enabled, enable_expression, met
from kverdict.kconfig.explain import explain
from kverdict.kconfig.kbuild import Kbuild
from kverdict.kconfig.protocol import FilePlan

_COMPARED = re.compile(r"\b(\w+)(!?=)([ny])\b")
MOST_PLANNED = 300  # files; each takes some milliseconds, a hard one half a second
MOST_LOST = 3


def plan_files(
    kconf: Any, kbuild: Kbuild, held: Mapping[str, str], files: Sequence[str]
) -> tuple[FilePlan, ...]:
    """A plan for each file by itself, beside the values that ``held`` asks for.

    ``kconf`` has the configuration to start from, and has it again afterwards.
    """
    plans = []
    planned = 0
    for path in files:
        found = _look_up(kconf, kbuild, path)
        if found.unmet and planned < MOST_PLANNED:
            planned += 1
            found = _planned(kconf, held, found)
        plans.append(found)
    return tuple(plans)


def _look_up(kconf: Any, kbuild: Kbuild, path: str) -> FilePlan:
    condition, note = kbuild.condition(path), ""
    if condition is None:
        included = kbuild.included(path)
        if included is None:
            return FilePlan(path=path, note="no Makefile names its object")
        condition, note = included[1], f"included by {included[0]}"
    condition = _readable(kconf, condition)
    try:
        expr = parse(kconf, condition)
    except kl.KconfigError:
        return FilePlan(path=path, condition=condition, note="not a Kconfig expression")
    unmet = [part for part in split_expr(expr, AND) if expr_value(part) < 2]
    return FilePlan(
        path=path,
        condition=condition,
        met=not unmet,
        unmet=tuple(_named(part) for part in unmet),
        note=note,
    )


def parse(kconf: Any, text: str) -> Any:
    """As kconfiglib's Kconfig.eval_string() does it; raises KconfigError."""
    kconf.filename = None
    kconf._tokens = kconf._tokenize("if " + text)
    kconf._line = text
    kconf._tokens_i = 1
    return kconf._expect_expr_and_eol()


def _readable(kconf: Any, condition: str) -> str:
    """X for X!=n and !X for X=n, where X cannot be m."""

    def shorter(found: re.Match[str]) -> str:
        symbol = kconf.syms.get(found[1])
        if symbol is None or symbol.orig_type is not BOOL:
            return found[0]
        return found[1] if (found[2] == "=") == (found[3] == "y") else f"!{found[1]}"

    return _COMPARED.sub(shorter, condition)


def _named(part: Any) -> str:
    return str(part.name) if isinstance(part, kl.Symbol) else str(expr_str(part))


def _planned(kconf: Any, held: Mapping[str, str], found: FilePlan) -> FilePlan:
    expr = parse(kconf, found.condition)
    had = [name for name, value in held.items() if met(kconf, name, value)]
    with _tried(kconf):
        done = enable_expression(kconf, expr, held)
        note = _why_not(kconf, expr, done)
        lost = [name for name in had if not met(kconf, name, held[name])]
    if not note and lost:
        note = f"it would change {', '.join(lost[:MOST_LOST])}, which the fragments ask for"
    notes = [found.note, note or _chosen(done)]
    found = found.model_copy(update={"note": "; ".join(filter(None, notes))})
    if note:
        return found
    lines = tuple(f"CONFIG_{name}={value}" for name, value in sorted(done.assigned.items()))
    try:
        return FilePlan.model_validate({**found.model_dump(), "enable": lines})
    except ValidationError:  # a text as a value
        return found.model_copy(update={"note": f"it takes {', '.join(lines)}"})


def _chosen(done: Enabled) -> str:
    ways = "; ".join(done.undecided.values())
    return f"{ways} would do: one was chosen" if ways else ""


def _why_not(kconf: Any, expr: Any, done: Enabled) -> str:
    """ "" when the expression holds."""
    if expr_value(expr) == 2:
        return ""
    for part in split_expr(expr, AND):
        if expr_value(part) < 2:
            if not isinstance(part, kl.Symbol):
                return f"no way to meet {expr_str(part)} was found"
            if not part.nodes:
                return f"{part.name} does not exist here"
            return f"{part.name}: {explain(kconf, part.name, 'y')}"
    return ""


@contextmanager
def _tried(kconf: Any) -> Iterator[None]:
    """Takes back what is assigned in the block."""
    symbols = [(symbol, symbol.user_value) for symbol in kconf.unique_defined_syms]
    order = [(choice, list(choice.priority)) for choice in kconf.unique_choices]
    try:
        yield
    finally:
        for symbol, value in symbols:
            if symbol.user_value != value:
                symbol.unset_value() if value is None else symbol.set_value(value)
        for choice, priority in order:
            if choice.priority != priority:
                choice.priority = priority
                choice._rec_invalidate()
