# SPDX-License-Identifier: GPL-2.0-or-later
"""Finds the assignments that bring every requested symbol to its value.

Backward chaining over kconfiglib's expressions: a plan is a set of assignments, an empty one when
nothing is to be done, None when there is no way.  AND merges plans, OR takes the cheapest; of two
that cost the same none is taken, because that choice is the user's.  Every round is applied to the
real tree and the goals are read back, so that a plan which Kconfig does not honour is never
reported as done; at the end, what no goal needs is dropped again.

Nothing is turned on for the sake of a symbol that is to be off: what forces it is explained.
Known limit: a relation between two tristates (A >= B) is not solved.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import kconfiglib as kl
from kconfiglib import (
    AND,
    BOOL,
    EQUAL,
    NOT,
    OR,
    TRISTATE,
    UNEQUAL,
    expr_value,
    split_expr,
)

TRI = {"n": 0, "m": 1, "y": 2}
# They change many other symbols: a way around them is better, if there is one.
COST = {"ALLOW_DEV_COREDUMP": 20, "DEBUG_KERNEL": 3, "EXPERT": 10, "KUNIT": 20, "MODULES": 5}
# They satisfy a dependency on paper, and what is built is not what was meant.
FORBIDDEN = frozenset({"BROKEN", "COMPILE_TEST", "UML"})
DEEPEST = 25  # longest chain of dependencies that is followed
MOST_ROUNDS = 12


@dataclass(frozen=True)
class Plan:
    """Assignments (symbol -> value), and what the user has to decide before they are made."""

    values: Mapping[str, str] = field(default_factory=dict)
    undecided: tuple[str, ...] = ()  # "KVM_AMD or KVM_INTEL"


NOTHING_TO_DO = Plan()


@dataclass
class Enabled:
    """``assigned`` is what has to be said in all; ``needed_by`` names the goal it is said for."""

    assigned: dict[str, str] = field(default_factory=dict)
    needed_by: dict[str, str] = field(default_factory=dict)
    undecided: dict[str, str] = field(default_factory=dict)  # goal -> what has to be decided


def merge(one: Plan | None, other: Plan | None) -> Plan | None:
    """Both plans together, None when they contradict each other."""
    if one is None or other is None:
        return None
    both = {**one.values, **other.values}
    for name in one.values.keys() & other.values.keys():
        values = {one.values[name], other.values[name]}
        if len(values) > 1:
            if "n" in values or not values <= TRI.keys():
                return None
            both[name] = "y"  # y also satisfies whoever asked for m
    return Plan(both, tuple(dict.fromkeys((*one.undecided, *other.undecided))))


def merge_all(plans: Iterable[Plan | None]) -> Plan | None:
    merged: Plan | None = NOTHING_TO_DO
    for plan in plans:
        merged = merge(merged, plan)
        if merged is None:
            return None
    return merged


class Planner:
    """Plans for one state of the tree; ``pinned`` are values that nobody may contradict."""

    def __init__(self, kconf: Any, pinned: Mapping[str, str]) -> None:
        self._kconf = kconf
        self._pinned = pinned
        self._known: dict[tuple[str, int], Plan | None] = {}

    def at_least(self, expr: Any, want: int, path: tuple[str, ...] = ()) -> Plan | None:
        """What makes ``expr`` at least ``want`` (0, 1, 2 for n, m, y)."""
        if expr_value(expr) >= want:
            return NOTHING_TO_DO
        if isinstance(expr, kl.Choice):
            return self.at_least(expr.direct_dep, want, path)
        if isinstance(expr, kl.Symbol):
            return self._raise_symbol(expr, want, path)
        operator, *operands = expr
        if operator is AND:
            return merge_all(self.at_least(part, want, path) for part in split_expr(expr, AND))
        if operator is OR:
            return self._cheapest(self.at_least(part, want, path) for part in split_expr(expr, OR))
        if operator is NOT:
            return self.at_most(operands[0], 2 - want, path)
        return self._relation(operator, operands[0], operands[1], path)

    def at_most(self, expr: Any, limit: int, path: tuple[str, ...] = ()) -> Plan | None:
        """What makes ``expr`` at most ``limit``."""
        if expr_value(expr) <= limit:
            return NOTHING_TO_DO
        if isinstance(expr, kl.Choice):
            return None
        if isinstance(expr, kl.Symbol):
            return self._lower_symbol(expr, limit, path)
        operator, *operands = expr
        if operator is AND:
            return self._cheapest(self.at_most(part, limit, path) for part in split_expr(expr, AND))
        if operator is OR:
            return merge_all(self.at_most(part, limit, path) for part in split_expr(expr, OR))
        if operator is NOT:
            return self.at_least(operands[0], 2 - limit, path)
        opposite = {EQUAL: UNEQUAL, UNEQUAL: EQUAL}.get(operator)
        if opposite is None:
            return None
        return self._relation(opposite, operands[0], operands[1], path)

    def _cheapest(self, plans: Iterable[Plan | None]) -> Plan | None:
        """The cheapest; undecided when another one, not the same in effect, costs as much."""
        ways = sorted((plan for plan in plans if plan is not None), key=self._cost)
        if not ways:
            return None
        best = ways[0]
        rivals = {
            tuple(sorted(self._extra(way).items())): way
            for way in ways
            if self._cost(way) == self._cost(best)
        }
        if len(rivals) == 1:
            return best
        extras = [self._extra(way) for way in rivals.values()]
        common = set.intersection(*(set(extra) for extra in extras))
        named = [" with ".join(sorted(set(extra) - common)) for extra in extras]
        return replace(best, undecided=(*best.undecided, " or ".join(sorted(named))))

    def _extra(self, plan: Plan) -> dict[str, str]:
        """What is not going to be said anyway."""
        return {
            name: value for name, value in plan.values.items() if self._pinned.get(name) != value
        }

    def _cost(self, plan: Plan) -> int:
        return sum(COST.get(name, 1) for name in self._extra(plan))

    def _relation(self, operator: int, left: Any, right: Any, path: tuple[str, ...]) -> Plan | None:
        """A=y, A!=n, A="text": one side a symbol, the other a constant."""
        if not left.nodes:
            left, right = right, left
        if not left.nodes or right.nodes:  # to Kconfig, a bare 5 is a symbol that nobody defines
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
            return Plan({left.name: right.name})
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
            self._known[key] = self._cheapest(plans)
        return self._known[key]

    def _ways_up(self, symbol: Any, want: int, path: tuple[str, ...]) -> Plan | None:
        """By its prompt if it has one that can show, else by a default, a select or an imply."""
        visible = 1 if symbol.orig_type is BOOL else want  # m is enough to show a bool
        by_prompt = self.visible(symbol, visible, path)
        if by_prompt is not None:
            return merge(by_prompt, Plan({symbol.name: "y" if want == 2 else "m"}))
        prompts = any(node.prompt for node in symbol.nodes)
        defaults = [] if prompts else [(AND, when, value) for value, when in symbol.defaults]
        reverse = (*split_expr(symbol.rev_dep, OR), *split_expr(symbol.weak_rev_dep, OR))
        selects = [(AND, term, symbol.direct_dep) for term in reverse]
        return self._cheapest(self.at_least(expr, want, path) for expr in (*defaults, *selects))

    def visible(self, symbol: Any, want: int, path: tuple[str, ...] = ()) -> Plan | None:
        """What makes one of its prompts show, so that it can be set up to ``want``."""
        prompts = [node.prompt[1] for node in symbol.nodes if node.prompt]
        return self._cheapest(self.at_least(shown, want, path) for shown in prompts)

    def _lower_symbol(self, symbol: Any, limit: int, path: tuple[str, ...]) -> Plan | None:
        if symbol.is_constant or symbol.name in path:
            return None
        if TRI.get(self._pinned.get(symbol.name, "n"), 0) > limit:
            return None
        path = (*path, symbol.name)
        terms = split_expr(symbol.rev_dep, OR)
        plan = merge_all(self.at_most(term, limit, path) for term in terms)
        if plan is None:
            return None
        if symbol.choice:
            others = (other for other in symbol.choice.syms if other is not symbol)
            return self._cheapest(
                merge(plan, self._raise_symbol(other, 2, path)) for other in others
            )
        if any(node.prompt for node in symbol.nodes):
            shown = any(
                node.prompt and self.at_least(node.prompt[1], 1, path) is not None
                for node in symbol.nodes
            )
            return merge(plan, Plan({symbol.name: "nmy"[limit]})) if shown else None
        for value, condition in symbol.defaults:
            if expr_value(condition):
                ways = (self.at_most(condition, limit, path), self.at_most(value, limit, path))
                return merge(plan, self._cheapest(ways))
        return plan


def met(kconf: Any, name: str, value: str) -> bool:
    """Whether a symbol has what was asked; y also serves who asked for m."""
    symbol = kconf.syms[name]
    if symbol.orig_type not in (BOOL, TRISTATE) or value not in TRI:
        return bool(symbol.str_value == value)
    if value == "n":
        return bool(symbol.tri_value == 0)
    return bool(symbol.tri_value >= TRI[value])


def enable(kconf: Any, goals: Mapping[str, str]) -> Enabled:
    """Assigns the goals and what they need; the tree's symbols have the result afterwards.

    Every goal must be a symbol that the tree defines.
    """
    done = Enabled()
    for name, value in goals.items():
        _assign(kconf, done, name, value, name)
    for _ in range(MOST_ROUNDS):
        unmet = [name for name, value in goals.items() if not met(kconf, name, value)]
        before = dict(done.assigned)
        done.undecided.clear()
        for name in unmet:
            # What was assigned for one goal is not taken back for another.
            plan = _plan(kconf, {**done.assigned, **goals}, name)
            if plan is not None and plan.undecided:
                done.undecided[name] = "; ".join(plan.undecided)
            elif plan is not None:
                for other, value in plan.values.items():
                    _assign(kconf, done, other, value, name)
        for name, value in done.assigned.items():  # what was set early may be effective only now
            kconf.syms[name].set_value(value)
        if done.assigned == before:
            break
    reached = [name for name, value in goals.items() if met(kconf, name, value)]
    _minimise(kconf, done, goals, lambda: all(met(kconf, name, goals[name]) for name in reached))
    return done


def enable_expression(kconf: Any, expr: Any, held: Mapping[str, str]) -> Enabled:
    """Assigns what makes an expression y, and nothing against ``held``; as far as there is a way.

    Of ways that cost the same one is taken, because any will do here, and told as undecided.
    Whether the expression is y is for the caller to look at: what could not be had stays assigned.
    """
    done = Enabled()
    for _ in range(MOST_ROUNDS):
        planner = Planner(kconf, {**done.assigned, **held})
        plans = [planner.at_least(part, 2) for part in split_expr(expr, AND)]
        known = [plan for plan in plans if plan is not None]
        # What one part needs may settle what another one leaves open.
        settled = [plan for plan in known if not plan.undecided and plan.values]
        before = dict(done.assigned)
        for plan in settled or known:
            for name, value in plan.values.items():
                _assign(kconf, done, name, value, name)
            if plan.undecided:
                done.undecided[plan.undecided[0]] = "; ".join(plan.undecided)
        for name, value in done.assigned.items():
            kconf.syms[name].set_value(value)
        if done.assigned == before:
            break
    if expr_value(expr) == 2:
        _minimise(kconf, done, {}, lambda: bool(expr_value(expr) == 2))
    return done


def _plan(kconf: Any, pinned: Mapping[str, str], name: str) -> Plan | None:
    symbol, value = kconf.syms[name], pinned[name]
    planner = Planner(kconf, pinned)
    if symbol.orig_type not in (BOOL, TRISTATE):
        return planner.visible(symbol, 1)
    if value not in ("m", "y"):
        return None
    return planner.at_least(symbol, TRI[value])


def _assign(kconf: Any, done: Enabled, name: str, value: str, goal: str) -> None:
    if kconf.syms[name].set_value(value):
        done.assigned[name] = value
        done.needed_by.setdefault(name, goal)


def _minimise(kconf: Any, done: Enabled, asked: Collection[str], holds: Callable[[], bool]) -> None:
    """Drops each assignment that was not asked for, and without which what was reached holds."""
    for name in sorted(done.assigned.keys() - asked):
        symbol, value = kconf.syms[name], done.assigned[name]
        if symbol.orig_type in (BOOL, TRISTATE):
            symbol.set_value("n")
        else:
            symbol.unset_value()
        if holds():
            del done.assigned[name]
        else:
            symbol.set_value(value)
