# SPDX-License-Identifier: GPL-2.0-or-later
"""Numbers as people read them."""

from __future__ import annotations

import re

from kverdict.models import BenchRow

INSTRUCTIONS = "guest instructions"


def seconds(value: float) -> str:
    """0.12 -> "0.12 s", 23.4 -> "23.4 s", 330 -> "5 min 30 s", 7260 -> "2 h 1 min"."""
    if value < 10:
        return f"{value:.2f} s"
    whole = round(value)
    if whole < 60:
        return f"{value:.1f} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def amount(value: int, unit: str) -> str:
    """What a benchmark counted, never without its unit."""
    if unit == "ns":
        return f"{value / 1e6:,.2f} ms"
    if value >= 1_000_000:
        return f"{value / 1e6:,.2f} M {unit}"
    return f"{value:,} {unit}"


def bare_amount(value: int, unit: str) -> str:
    """The same where the unit stands behind several numbers; a time keeps its own."""
    return amount(value, unit).removesuffix(f" {unit}")


def bench_ratio(rows: tuple[BenchRow, ...]) -> str | None:
    """Median of write over median of memcpy; None when they cannot be compared."""
    named = {row.name: row for row in rows}
    write, memcpy = named.get("write"), named.get("memcpy")
    if write is None or memcpy is None or not memcpy.median:
        return None
    if (write.unit, write.mib) != (memcpy.unit, memcpy.mib):
        return None
    return f"{write.median / memcpy.median:.2f}"


def slug(text: str) -> str:
    """A word for a CSS class or an anchor: "NEW-FAIL" -> "new-fail"."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def first_line(text: str) -> str:
    return text.strip().split("\n", 1)[0]
