# SPDX-License-Identifier: GPL-2.0-or-later
"""Kconfig as Linux speaks it today, on top of stock kconfiglib 14.1.0.

kconfiglib was last released in 2020.  This module adds the syntax and the value rules that
scripts/kconfig gained since then, by subclassing; every deviation names the C function that it
follows (scripts/kconfig of Linux 7.2).  docs/config.md lists what changed when.
"""

from __future__ import annotations

import re
from typing import Any, cast

import kconfiglib as kl
from kconfiglib import AND, BOOL, EQUAL, HEX, INT, NOT, OR, STRING, TRISTATE, expr_value

# Attributes that stand alone on a line: `modules` since 5.13 (6dd85ff178cd), `transitional` since
# 6.18 (f9afce4f32e9).
_BARE_ATTRIBUTE = re.compile(r"\s*(transitional|modules)\s*(?:#.*)?$")
_NO_VALUE = {INT: "0", HEX: "0x0", STRING: ""}
_BASE = {INT: 10, HEX: 16}


class LinuxSymbol(kl.Symbol):
    """A symbol with the value rules of symbol.c: sym_calc_value()."""

    _cached_vis: int | None
    _cached_tri_val: int | None
    _cached_str_val: str | None
    _write_to_conf: bool

    def __init__(self) -> None:
        super().__init__()
        self.transitional = False

    @property
    def visibility(self) -> int:
        """symbol.c: sym_calc_visibility(); a transitional symbol always takes user values."""
        if self.transitional:
            self._cached_vis = 2
        return int(super().visibility)

    @property
    def tri_value(self) -> int:
        """symbol.c: sym_calc_value(), S_BOOLEAN and S_TRISTATE."""
        if self._cached_tri_val is not None or self.orig_type not in (BOOL, TRISTATE):
            return int(super().tri_value)
        if self.choice:
            value, written = self._value_in_choice()
        else:
            value, written = self._value_outside_choices()
        self._write_to_conf = written and not self.transitional
        self._cached_tri_val = value
        return value

    def _value_in_choice(self) -> tuple[int, bool]:
        visible = self.visibility
        selected = visible != 0 and self.choice.selection is self
        value, written = self._selected_up(2 if selected else 0)
        return value, written or visible != 0

    def _value_outside_choices(self) -> tuple[int, bool]:
        value = 0
        visible = self.visibility
        written = visible != 0
        if visible and self.user_value is not None:
            value = min(self.user_value, visible)
        else:
            for default, condition in self.defaults:
                if depends := expr_value(condition):
                    value = min(expr_value(default), depends)
                    written = written or value != 0
                    break
            # `imply` no longer forces y and is bound by the dependencies of the implied symbol.
            if implied := self._promote(expr_value(self.weak_rev_dep)):
                value = min(max(value, implied), self._promote(expr_value(self.direct_dep)))
                written = True
        value, forced = self._selected_up(value)
        return value, written or forced

    def _selected_up(self, value: int) -> tuple[int, bool]:
        selected = self._promote(expr_value(self.rev_dep))
        if selected:
            if self._promote(expr_value(self.direct_dep)) < selected:
                self._warn_select_unsatisfied_deps()
            value = max(value, selected)
        return self._promote(value), selected != 0

    @property
    def str_value(self) -> str:
        """symbol.c: sym_calc_value(), S_INT, S_HEX and S_STRING; without a default 0, 0x0, ""."""
        if self._cached_str_val is not None or self.orig_type not in _NO_VALUE:
            return str(super().str_value)
        value = _NO_VALUE[self.orig_type]
        visible = self.visibility
        written = visible != 0
        if visible and self.user_value is not None:
            value = self.user_value
        else:
            for default, condition in self.defaults:
                if expr_value(condition):
                    value = default.str_value
                    written = True
                    break
        self._write_to_conf = written and not self.transitional
        self._cached_str_val = self._clamped(value)
        return str(self._cached_str_val)

    def _clamped(self, value: str) -> str:
        """symbol.c: sym_validate_range(): out of range means the nearest bound, as spelled."""
        base = _BASE.get(self.orig_type)
        if base is None:
            return value
        for low, high, condition in self.ranges:
            if expr_value(condition):
                number = _strtoll(value, base)
                if number < _strtoll(low.str_value, base):
                    return str(low.str_value)
                if number > _strtoll(high.str_value, base):
                    return str(high.str_value)
                break
        return value

    def _promote(self, value: int) -> int:
        """m means y to a bool."""
        return 2 if value == 1 and self.type is BOOL else value

    def _assignable(self) -> tuple[int, ...]:
        """symbol.c: sym_tristate_within_range()."""
        if self.orig_type not in (BOOL, TRISTATE) or not self.visibility:
            return ()
        if self.choice:
            return (2,)
        low = self._promote(expr_value(self.rev_dep))
        allowed = (0, 2) if self.type is BOOL else (0, 1, 2)
        return tuple(value for value in allowed if low <= value <= max(low, self.visibility))

    def set_value(self, value: object) -> bool:
        """confdata.c: the member assigned last stands first in its choice's list."""
        if self.choice:
            self.choice.touch(self)
        done = bool(super().set_value(value))
        if done and self.choice:
            self.choice._rec_invalidate()  # an explicit n counts as well
        return done

    def _rec_invalidate_if_has_prompt(self) -> None:
        if self.transitional:
            self._rec_invalidate()
        else:
            super()._rec_invalidate_if_has_prompt()


class LinuxChoice(kl.Choice):
    """A choice of Linux 6.11 and later: no modes, no names, always exactly one member."""

    def __init__(self) -> None:
        super().__init__()
        self.priority: list[LinuxSymbol] = []  # members, last assigned first

    def touch(self, symbol: LinuxSymbol) -> None:
        if symbol in self.priority:
            self.priority.remove(symbol)
        self.priority.insert(0, symbol)

    @property
    def tri_value(self) -> int:
        """A condition on the prompt does not bind the members, since 6.11."""
        _ = self.visibility  # marks the cache as live, see kl.Symbol._rec_invalidate()
        return int(expr_value(self.direct_dep))

    def _selection(self) -> LinuxSymbol | None:
        """symbol.c: sym_calc_choice()."""
        visible = [symbol for symbol in self.syms if symbol.visibility]
        ranked = [
            symbol
            for symbol in self.priority
            if symbol.visibility and symbol.user_value is not None
        ]
        for symbol in ranked:
            if symbol.user_value == 2:
                return symbol
        default: LinuxSymbol | None = self._selection_from_defaults()
        if default is not None and default.user_value != 0:
            return default
        for symbol in visible:
            if symbol.user_value is None:
                return cast(LinuxSymbol, symbol)
        return ranked[-1] if ranked else None


class LinuxKconfig(kl.Kconfig):
    """A tree's Kconfig files; like kl.Kconfig otherwise."""

    _reuse_tokens: bool

    def _tokenize(self, s: str) -> Any:
        """lexer.l: "transitional" and "modules" are words of their own."""
        if match := _BARE_ATTRIBUTE.match(s):
            self._line = s
            return (match[1], None)
        return super()._tokenize(s)

    def _parse_props(self, node: Any) -> None:
        """parser.y: config_option."""
        depends = self.y
        while True:
            # Returns at a line that it does not know and keeps its tokens; begins by setting
            # node.dep to y, hence the dependencies found so far are put back each time.
            super()._parse_props(node)
            depends = node.dep = self._make_and(depends, node.dep)
            line = self._tokens[0] if self._reuse_tokens else None
            if line == "transitional":
                node.item.transitional = True
            elif line == "modules":
                self.modules = node.item
            else:
                return
            self._reuse_tokens = False

    def _expect_expr_and_eol(self) -> Any:
        """menu.c: menu_add_dep(): `depends on X if Y` is X || (Y = n), since 7.0 (76df6815dab7)."""
        if self._tokens[0] is not kl._T_DEPENDS:
            return super()._expect_expr_and_eol()
        expression = self._parse_expr(True)
        condition = self._parse_cond()
        return expression if condition is self.y else (OR, expression, self._is_n(condition))

    def _is_n(self, expression: Any) -> Any:
        """expr.c: expr_trans_compare(expr, E_EQUAL, &symbol_no); not the same as !expr for m."""
        if expression.__class__ is not tuple:
            return (EQUAL, expression, self.n)
        if expression[0] in (AND, OR):
            dual = OR if expression[0] is AND else AND
            return (dual, self._is_n(expression[1]), self._is_n(expression[2]))
        if expression[0] is NOT:
            # expr_trans_compare() makes !x = n into x != n, and x != n is x as a condition.
            return (NOT, self._is_n(expression[1]))
        return (NOT, expression)


def _strtoll(text: str, base: int) -> int:
    try:
        return int(text, base)
    except ValueError:
        return 0


def load(root: str = "Kconfig") -> LinuxKconfig:
    """Parses the tree that the environment (srctree, ARCH, ...) names.

    kconfiglib looks the classes up by their names whenever it makes or tests an item, so they are
    rebound here; this process does nothing else.  Raises kl.KconfigError and OSError.
    """
    kl.Symbol, kl.Choice = LinuxSymbol, LinuxChoice
    kl._SYMBOL_CHOICE = frozenset((LinuxSymbol, LinuxChoice))
    return LinuxKconfig(root, warn=True, warn_to_stderr=False)
