# SPDX-License-Identifier: GPL-2.0-or-later
"""What the host knows of the kernel's source; it decides which expectations apply.

Never the kernel's own answers: a patch that silently does nothing would choose the expectations
of an unpatched kernel and pass.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Dict, Mapping, Optional, Sequence, Tuple

PREFIX = "GUEST_MEMFD_FLAG_"
MMAP, INIT_SHARED, WRITE = "MMAP", "INIT_SHARED", "WRITE"


class BadFacts(ValueError):
    """facts.json is not what the host writes."""


@dataclass(frozen=True)
class Program:
    """A test of the kernel's tree: a program below a folder, its limit in seconds."""

    id: str
    folder: str
    path: str  # below the folder
    limit: float


@dataclass(frozen=True)
class Facts:
    """facts.json.

    ``flags`` are the GUEST_MEMFD_FLAG_* of the tree's include/uapi/linux/kvm.h, by name without
    the prefix; ``time_scale`` stretches every time limit (an emulated guest is slower).
    ``cases`` names those of the suite, of the programs and of KUnit that are to run, None all.
    """

    flags: Mapping[str, int] = field(default_factory=dict)
    bench_mib: int = 0
    bench_unit: str = "ns"
    bench_rounds: int = 5
    time_scale: float = 1.0
    cases: Optional[Tuple[str, ...]] = None
    programs: Tuple[Program, ...] = ()
    kunit: bool = False

    def missing(self, names: Sequence[str]) -> Tuple[str, ...]:
        return tuple(name for name in names if name not in self.flags)

    def bits(self, names: Sequence[str]) -> int:
        bits = 0
        for name in names:
            bits |= self.flags[name]
        return bits

    @property
    def patched(self) -> bool:
        return WRITE in self.flags


def load(path: Path) -> Facts:
    """Raises BadFacts, and OSError when the file cannot be read."""
    try:
        return parse(json.loads(path.read_text()))
    except ValueError as error:
        raise BadFacts(f"{path}: {error}") from error


def parse(given: Any) -> Facts:
    known = set(Facts.__dataclass_fields__)
    if not isinstance(given, dict) or not set(given) <= known:
        raise BadFacts(f"expected an object with keys among {sorted(known)}")
    values: Dict[str, Any] = dict(given)
    values["flags"] = _flags(given.get("flags"))
    cases = given.get("cases")
    if cases is not None:
        if not isinstance(cases, list) or not all(isinstance(case, str) for case in cases):
            raise BadFacts("cases: expected null or a list of ids")
        values["cases"] = tuple(cases)
    values["programs"] = tuple(_program(one) for one in given.get("programs", ()))
    facts = Facts(**values)
    for name in ("bench_mib", "bench_rounds"):
        if type(values.get(name, 0)) is not int or values.get(name, 0) < 0:
            raise BadFacts(f"{name}: expected a number of 0 or more")
    if not isinstance(facts.time_scale, (int, float)) or not 0 < facts.time_scale < 1e6:
        raise BadFacts("time_scale: expected a positive number")
    if not isinstance(facts.bench_unit, str):
        raise BadFacts("bench_unit: expected a string")
    return facts


def _program(given: Any) -> Program:
    if not isinstance(given, dict) or set(given) != set(Program.__dataclass_fields__):
        raise BadFacts("programs: expected objects with id, folder, path and limit")
    program = Program(**given)
    if not isinstance(program.limit, (int, float)) or not 0 < program.limit < 1e6:
        raise BadFacts("programs: limit: expected a positive number")
    if not all(isinstance(text, str) for text in (program.id, program.folder, program.path)):
        raise BadFacts("programs: expected texts")
    return program


def _flags(given: Any) -> Dict[str, int]:
    if not isinstance(given, dict):
        raise BadFacts("flags: expected an object")
    flags = {}
    for name, bits in given.items():
        if not name.startswith(PREFIX) or type(bits) is not int or not 0 < bits < 1 << 64:
            raise BadFacts(f"flags: {name}: expected {PREFIX}* with a 64-bit value")
        flags[name[len(PREFIX) :]] = bits
    return flags
