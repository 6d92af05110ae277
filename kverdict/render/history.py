# SPDX-License-Identifier: GPL-2.0-or-later
"""Pictures of benchmarks over the nights as SVG; the same numbers give the same bytes."""

from __future__ import annotations

import io
from collections.abc import Sequence

from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from kverdict.models import BenchRow
from kverdict.render.formats import INSTRUCTIONS
from kverdict.render.picture import reproducible

# Legible on a white page and on a dark one.
_INK, _LINE, _BAND = "#7d8590", "#0969da", "#58a6ff"
_SCALE = 1e6


def bench_svg(points: Sequence[tuple[int, BenchRow]], limit: float | None) -> bytes:
    """Medians by night, with the band from the smallest to the largest round of each.

    ``points`` are (number of the night, what was measured), the oldest first, all of one name,
    unit and size.  From ``limit`` on, in the same unit, it would be a regression.
    """
    nights = [night for night, _ in points]
    rows = [row for _, row in points]
    unit = "M instructions" if rows[0].unit == INSTRUCTIONS else "ms"
    low = [row.minimum / _SCALE for row in rows]
    high = [row.maximum / _SCALE for row in rows]
    with reproducible():
        figure = Figure(figsize=(9, 2.4))
        FigureCanvasSVG(figure)
        axes = figure.add_subplot()
        axes.fill_between(nights, low, high, color=_BAND, alpha=0.35, linewidth=0)
        axes.vlines(nights, low, high, color=_BAND, linewidth=1)
        axes.plot(nights, [row.median / _SCALE for row in rows], "o-", color=_LINE, markersize=3)
        if limit is not None:
            axes.axhline(limit / _SCALE, color=_INK, linewidth=0.8, linestyle="--")
        axes.set_xlabel("night", color=_INK)
        axes.set_ylabel(unit, color=_INK)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.tick_params(colors=_INK)
        for spine in axes.spines.values():
            spine.set_color(_INK)
        file = io.BytesIO()
        figure.savefig(
            file, format="svg", metadata={"Date": None}, bbox_inches="tight", transparent=True
        )
    return file.getvalue()
