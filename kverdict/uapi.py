# SPDX-License-Identifier: GPL-2.0-or-later
"""Reads what a kernel tree promises to userspace from include/uapi/linux/kvm.h.

The text is read, never compiled: the header is a stranger's.
"""

from __future__ import annotations

import re

from kverdict.errors import PatchError
from kverdict.models import Frozen
from kverdict.text import shorten

PREFIX = "GUEST_MEMFD_FLAG_"
# One without an end goes to the end: to look for each end anew would take the square of the size.
_COMMENT = re.compile(r"/\*.*?(?:\*/|\Z)|//[^\n]*", re.DOTALL)
_CONTINUED = re.compile(r"\\\n")
_DEFINE = re.compile(rf"^[ \t]*#[ \t]*define[ \t]+({PREFIX}\w+)[ \t]+(\S.*)$", re.MULTILINE)
_LONGEST = 100  # characters of an expression
# (1ULL << 2), _BITULL(2), BIT_ULL(2), 4, 0x4; a zero in front would make a number octal
_SHIFT = re.compile(r"1[uUlL]*\s*<<\s*(0|[1-9][0-9]?)")
_BIT = re.compile(r"(?:_BITU?LL|_BITUL|BIT_ULL|BIT)\s*\(\s*(0|[1-9][0-9]?)\s*\)")
_NUMBER = re.compile(r"(0[xX][0-9a-fA-F]+|[1-9][0-9]*)[uUlL]*")


class Facts(Frozen):
    """``flags``: each GUEST_MEMFD_FLAG_* that the header defines, with its value."""

    flags: dict[str, int]


def facts_from_header(text: str) -> Facts:
    """The flags of a kvm.h; none of them in a kernel that has no guest_memfd flags.

    Raises PatchError when one is defined with a value that is no single 64-bit bit.
    """
    plain = _CONTINUED.sub(" ", _COMMENT.sub(" ", text))
    flags: dict[str, int] = {}
    for match in _DEFINE.finditer(plain):
        name, expression = match[1], match[2].rstrip()
        value = _value(expression) if len(expression) <= _LONGEST else None
        if value is None or flags.get(name, value) != value:
            raise PatchError(
                f"include/uapi/linux/kvm.h defines {shorten(name, 80)} as "
                f"{shorten(expression, 80)!r}",
                "the flags are read as one bit each, such as (1ULL << 2)",
            )
        flags[name] = value
    return Facts(flags=dict(sorted(flags.items())))


def _value(expression: str) -> int | None:
    bare = expression
    while bare.startswith("(") and bare.endswith(")"):
        bare = bare[1:-1].strip()
    if match := _SHIFT.fullmatch(bare) or _BIT.fullmatch(bare):
        shift = int(match[1])
        return 1 << shift if shift < 64 else None
    if match := _NUMBER.fullmatch(bare):
        value = int(match[1], 0)
        return value if value < 1 << 64 and value.bit_count() == 1 else None
    return None
