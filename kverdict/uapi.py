# SPDX-License-Identifier: GPL-2.0-or-later
"""Reads what a kernel tree promises to userspace from include/uapi/linux/kvm.h.

The text is read, never compiled: the header is a stranger's.
"""

from __future__ import annotations

import re

from kverdict.errors import PatchError
from kverdict.models import Frozen

PREFIX = "GUEST_MEMFD_FLAG_"
_COMMENT = re.compile(r"/\*.*?\*/|//[^\n]*", re.DOTALL)
_CONTINUED = re.compile(r"\\\n")
_DEFINE = re.compile(rf"^[ \t]*#[ \t]*define[ \t]+({PREFIX}\w+)[ \t]+(\S.*?)[ \t]*$", re.MULTILINE)
# (1ULL << 2), _BITULL(2), BIT_ULL(2), 4, 0x4
_SHIFT = re.compile(r"1[uUlL]*\s*<<\s*(\d+)")
_BIT = re.compile(r"(?:_BITU?LL|_BITUL|BIT_ULL|BIT)\s*\(\s*(\d+)\s*\)")
_NUMBER = re.compile(r"(0[xX][0-9a-fA-F]+|[1-9]\d*)[uUlL]*")


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
        name, expression = match.groups()
        value = _value(expression)
        if value is None or flags.get(name, value) != value:
            raise PatchError(
                f"include/uapi/linux/kvm.h defines {name} as {expression!r}",
                "the flags are read as one bit each, such as (1ULL << 2)",
            )
        flags[name] = value
    return Facts(flags=dict(sorted(flags.items())))


def _value(expression: str) -> int | None:
    bare = expression
    while bare.startswith("(") and bare.endswith(")"):
        bare = bare[1:-1].strip()
    if match := _SHIFT.fullmatch(bare) or _BIT.fullmatch(bare):
        shift = int(match[1][:3])
        return 1 << shift if shift < 64 else None
    if match := _NUMBER.fullmatch(bare):
        value = int(match[1][:24], 0)
        return value if value < 1 << 64 and value & (value - 1) == 0 else None
    return None
