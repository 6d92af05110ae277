# SPDX-License-Identifier: GPL-2.0-or-later
"""Finds the assignments that bring every requested symbol to its value.

Backward chaining over kconfiglib's expressions: a plan is a dict of assignments, ``{}`` when
nothing is to be done, None when there is no way.  AND merges plans, OR takes the cheapest.  Every
round is applied to the real tree and the goals are read back, so that a plan which Kconfig does
not honour is never reported as done; at the end, what no goal needs is dropped again.

Known limit: a relation between two tristates (A >= B) is not solved.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import kconfiglib as kl
from kconfiglib import AND, BOOL, EQUAL, NOT, OR, TRISTATE, UNEQUAL, expr_value, split_expr

TRI = {"n": 0, "m": 1, "y": 2}
# Ways out that satisfy a dependency on paper but change what is being built.
COST = {
    "ALLOW_DEV_COREDUMP": 20,
    "COMPILE_TEST": 100,
    "DEBUG_KERNEL": 3,
    "EXPERT": 10,
    "KUNIT": 20,
    "MODULES": 5,
    "UML": 100,
}
FORBIDDEN = frozenset({"BROKEN"})
DEEPEST = 25  # longest chain of dependencies that is followed
MOST_ROUNDS = 12

Plan = dict[str, str]  # symbol -> value


@dataclass
class Enabled:
    """``assigned`` is what has to be said in all; ``needed_by`` names the goal it is said for."""

    assigned: Plan = field(default_factory=dict)
    needed_by: dict[str, str] = field(default_factory=dict)


def cost(plan: Plan) -> int:
    return sum(COST.get(name, 1) for name in plan)


def merge(one: Plan | None, other: Plan | None) -> Plan | None:
    """Both plans together, None when they contradict each other."""
    if one is None or other is None:
        return None
    both = {**one, **other}
    for name in one.keys() & other.keys():
        if one[name] != other[name]:
            if "n" in (one[name], other[name]) or not {one[name], other[name]} <= TRI.keys():
                return None
            both[name] = "y"  # y also satisfies whoever asked for m
    return both


def cheapest(plans: Iterable[Plan | None]) -> Plan | None:
    return min((plan for plan in plans if plan is not None), key=cost, default=None)


class Planner:
    """Plans for one state of the tree; ``pinned`` are values that nobody may contradict."""

    def __init__(self, kconf: Any, pinned: Mapping[str, str]) -> None:
        self._kconf = kconf
        self._pinned = pinned
        self._known: dict[tuple[str, int], Plan | None] = {}

    def at_least(self, expr: Any, want: int, path: tuple[str, ...] = ()) -> Plan | None:
        """What makes ``expr`` at least ``want`` (0, 1, 2 for n, m, y)."""
        if expr_value(expr) >= want:
            return {}
        if isinstance(expr, kl.Choice):
            return self.at_least(expr.direct_dep, want, path)
        if isinstance(expr, kl.Symbol):
            return self._raise_symbol(expr, want, path)
        operator, *operands = expr
        if operator is AND:
            return self._all(self.at_least(part, want, path) for part in split_expr(expr, AND))
        if operator is OR:
            return cheapest(self.at_least(part, want, path) for part in split_expr(expr, OR))
        if operator is NOT:
            return self.at_most(operands[0], 2 - want, path)
        return self._relation(operator, operands[0], operands[1], path)

    def at_most(self, expr: Any, limit: int, path: tuple[str, ...] = ()) -> Plan | None:
        """What makes ``expr`` at most ``limit``."""
        if expr_value(expr) <= limit:
            return {}
        if isinstance(expr, kl.Choice):
            return None
        if isinstance(expr, kl.Symbol):
            return self._lower_symbol(expr, limit, path)
        operator, *operands = expr
        if operator is AND:
            return cheapest(self.at_most(part, limit, path) for part in split_expr(expr, AND))
        if operator is OR:
            return self._all(self.at_most(part, limit, path) for part in split_expr(expr, OR))
        if operator is NOT:
            return self.at_least(operands[0], 2 - limit, path)
        opposite = {EQUAL: UNEQUAL, UNEQUAL: EQUAL}.get(operator)
        if opposite is None:
            return None
        return self._relation(opposite, operands[0], operands[1], path)

    @staticmethod
    def _all(plans: Iterable[Plan | None]) -> Plan | None:
        merged: Plan | None = {}
        for plan in plans:
            merged = merge(merged, plan)
            if merged is None:
                return None
        return merged

    def _relation(self, operator: int, left: Any, right: Any, path: tuple[str, ...]) -> Plan | None:
        """A=y, A!=n, A="text": one side a symbol, the other a constant."""
        if left.is_constant and not right.is_constant:
            left, right = right, left
        if left.is_constant or not right.is_constant:
            return None
        logical = left.orig_type in (BOOL, TRISTATE)
        if operator is EQUAL and logical and right.name in TRI:
            want = TRI[right.name]
            return self.at_least(left, want, path) if want else self.at_most(left, 0, path)
        if operator is UNEQUAL and logical and right.name == "n":
            return self.at_least(left, 1, path)
        if operator is UNEQUAL and logical and right.name == "y":
            return self.at_most(left, 1, path)
        if operator is EQUAL and not logical and left.visibility:
            return {left.name: right.name}
        return None

    def _raise_symbol(self, symbol: Any, want: int, path: tuple[str, ...]) -> Plan | None:
        if want == 1 and symbol.orig_type is BOOL:
            want = 2
        if symbol.is_constant or not symbol.nodes or symbol.name in FORBIDDEN:
            return None
        if symbol.name in path or len(path) > DEEPEST or self._pinned.get(symbol.name) == "n":
            return None
        key = (symbol.name, want)
        if key not in self._known:
            self._known[key] = None  # a cycle is no way to get anywhere
            path = (*path, symbol.name)
            plans = [self._ways_up(symbol, want, path)]
            if want == 1 and not self._kconf.modules.tri_value:
                # m needs MODULES; y may do without.
                with_modules = self.at_least(self._kconf.modules, 2, path)
                plans = [merge(plan, with_modules) for plan in plans]
                plans.append(self._ways_up(symbol, 2, path))
            self._known[key] = cheapest(plans)
        return self._known[key]

    def _ways_up(self, symbol: Any, want: int, path: tuple[str, ...]) -> Plan | None:
        """By its prompt if it has one that can show, else by a default, a select or an imply."""
        here = {symbol.name: "y" if want == 2 else "m"}
        visible = 1 if symbol.orig_type is BOOL else want  # m is enough to show a bool
        prompts = [node.prompt[1] for node in symbol.nodes if node.prompt]
        by_prompt = cheapest(merge(self.at_least(shown, visible, path), here) for shown in prompts)
        if by_prompt is not None:
            return by_prompt
        defaults = [] if prompts else [(AND, when, value) for value, when in symbol.defaults]
        reverse = (*split_expr(symbol.rev_dep, OR), *split_expr(symbol.weak_rev_dep, OR))
        selects = [(AND, term, symbol.direct_dep) for term in reverse]
        return cheapest(self.at_least(expr, want, path) for expr in (*defaults, *selects))

    def _lower_symbol(self, symbol: Any, limit: int, path: tuple[str, ...]) -> Plan | None:
        if symbol.is_constant or symbol.name in path:
            return None
        if TRI.get(self._pinned.get(symbol.name, "n"), 0) > limit:
            return None
        path = (*path, symbol.name)
        plan = self._all(self.at_most(term, limit, path) for term in split_expr(symbol.rev_dep, OR))
        if plan is None:
            return None
        if symbol.choice:
            others = (other for other in symbol.choice.syms if other is not symbol)
            return cheapest(merge(plan, self._raise_symbol(other, 2, path)) for other in others)
        if any(node.prompt for node in symbol.nodes):
            shown = any(
                node.prompt and self.at_least(node.prompt[1], 1, path) is not None
                for node in symbol.nodes
            )
            return merge(plan, {symbol.name: "nmy"[limit]}) if shown else None
        for value, condition in symbol.defaults:
            if expr_value(condition):
                ways = (self.at_most(condition, limit, path), self.at_most(value, limit, path))
                return merge(plan, cheapest(ways))
        return plan


def met(kconf: Any, name: str, value: str) -> bool:
    """Whether a symbol has what was asked; y also serves who asked for m."""
    symbol = kconf.syms.get(name)
    if symbol is None or not symbol.nodes:
        return False
    if symbol.orig_type not in (BOOL, TRISTATE) or value not in TRI:
        return bool(symbol.str_value == value)
    if value == "n":
        return bool(symbol.tri_value == 0)
    return bool(symbol.tri_value >= TRI[value])


def enable(kconf: Any, goals: Mapping[str, str]) -> Enabled:
    """Assigns the goals and what they need; the tree's symbols have the result afterwards."""
    done = Enabled()
    for name, value in goals.items():
        _assign(kconf, done, name, value, name)
    for _ in range(MOST_ROUNDS):
        unmet = [name for name, value in goals.items() if not met(kconf, name, value)]
        before = dict(done.assigned)
        for name in unmet:
            for other, value in (_plan(kconf, goals, name) or {}).items():
                _assign(kconf, done, other, value, name)
        for name, value in done.assigned.items():  # what was set early may be effective only now
            kconf.syms[name].set_value(value)
        if done.assigned == before:
            break
    _minimise(kconf, goals, done)
    return done


def _plan(kconf: Any, goals: Mapping[str, str], name: str) -> Plan | None:
    symbol, value = kconf.syms.get(name), goals[name]
    if symbol is None or value not in TRI:
        return None
    planner = Planner(kconf, goals)
    if value == "n":
        return planner.at_most(symbol, 0)
    return planner.at_least(symbol, TRI[value])


def _assign(kconf: Any, done: Enabled, name: str, value: str, goal: str) -> None:
    symbol = kconf.syms.get(name)
    if symbol is not None and symbol.nodes and symbol.set_value(value):
        done.assigned[name] = value
        done.needed_by.setdefault(name, goal)


def _minimise(kconf: Any, goals: Mapping[str, str], done: Enabled) -> None:
    """Drops each assignment without which all goals that were reached still hold."""
    reached = [name for name, value in goals.items() if met(kconf, name, value)]
    for name in sorted(done.assigned.keys() - goals.keys()):
        symbol, value = kconf.syms[name], done.assigned[name]
        if symbol.orig_type in (BOOL, TRISTATE):
            symbol.set_value("n")
        else:
            symbol.unset_value()
        if all(met(kconf, goal, goals[goal]) for goal in reached):
            del done.assigned[name]
        else:
            symbol.set_value(value)
