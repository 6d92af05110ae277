# SPDX-License-Identifier: GPL-2.0-or-later
"""Why a symbol does not have the value that was asked for, in one line."""

from __future__ import annotations

from typing import Any

import kconfiglib as kl
from kconfiglib import AND, BOOL, OR, TRISTATE, expr_items, expr_str, expr_value, split_expr

TRI = {"n": 0, "m": 1, "y": 2}
MOST_PARTS = 4


def explain(kconf: Any, name: str, asked: str) -> str:
    """The select that forces it, the condition that forbids it with file and line, or the range."""
    symbol = kconf.syms[name]
    if symbol.transitional:
        heirs = sorted(_heirs(kconf, symbol))
        return f"it has a new name: {', '.join(heirs)}" if heirs else "it has no effect any more"
    if symbol.orig_type not in (BOOL, TRISTATE) or asked not in TRI:
        return _value(symbol, asked)
    if symbol.tri_value > TRI[asked]:
        return _forced_up(symbol)
    return _kept_down(symbol, TRI[asked])


def _heirs(kconf: Any, symbol: Any) -> set[str]:
    """Those that take their default from a transitional symbol."""
    return {
        heir.name
        for heir in kconf.unique_defined_syms
        if any(symbol in expr_items(value) for value, _ in heir.defaults)
    }


def _value(symbol: Any, asked: str) -> str:
    for low, high, condition in symbol.ranges:
        if expr_value(condition):
            return f"out of range: {low.str_value} to {high.str_value}"
    if not symbol.visibility:
        return _kept_down(symbol, 2) or "it cannot be set: its prompt does not show"
    return f"{asked!r} is no {kl.TYPE_TO_STR[symbol.type]}"


def _forced_up(symbol: Any) -> str:
    selects = [part for part in split_expr(symbol.rev_dep, OR) if expr_value(part)]
    if selects:
        return "selected by " + ", ".join(_selector(part) for part in selects[:MOST_PARTS])
    if symbol.choice:
        return "the choice it belongs to has no other member that can be taken"
    if not any(node.prompt for node in symbol.nodes):
        return "it has no prompt and follows its default"
    return "its prompt does not show, so its default holds"


def _selector(part: Any) -> str:
    """``select X if Y`` in A is the expression A && Y: the first symbol selects."""
    first = split_expr(part, AND)[0]
    return str(first.name) if isinstance(first, kl.Symbol) else str(expr_str(first))


def _kept_down(symbol: Any, want: int) -> str:
    unmet = []
    for node in symbol.nodes:
        condition = node.prompt[1] if node.prompt else symbol.direct_dep
        for part in split_expr(condition, AND):
            if expr_value(part) < want:
                unmet.append(f"{node.filename}:{node.linenr} needs {_with_values(part)}")
    if unmet:
        return "; ".join(dict.fromkeys(unmet[:MOST_PARTS]))
    if not any(node.prompt for node in symbol.nodes):
        selectors = [_selector(part) for part in split_expr(symbol.rev_dep, OR)]
        named = [name for name in selectors if name not in ("n", "y")]
        return "it has no prompt" + (
            f"; it is selected by {', '.join(named[:MOST_PARTS])}" if named else ""
        )
    if symbol.choice:
        taken = symbol.choice.selection
        return f"{taken.name if taken else 'nothing'} is taken in its choice"
    return "another request holds it down"


def _with_values(part: Any) -> str:
    """ "EXPERT (is n)"; of a longer condition each symbol's value."""
    symbols = [item for item in expr_items(part) if isinstance(item, kl.Symbol)]
    values = sorted(
        f"{item.name} {_is(item)}" for item in dict.fromkeys(symbols) if not item.is_constant
    )
    if isinstance(part, kl.Symbol):
        return f"{part.name} ({_is(part)})"
    return f"{expr_str(part)} ({', '.join(values[:MOST_PARTS])})"


def _is(symbol: Any) -> str:
    """To kconfiglib, a symbol that the tree only mentions has its own name as its value."""
    return f"is {symbol.str_value or 'unset'}" if symbol.nodes else "does not exist here"
