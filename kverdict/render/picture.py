# SPDX-License-Identifier: GPL-2.0-or-later
"""Pictures of bisections as SVG; the same input gives the same bytes."""

from __future__ import annotations

import base64
import io
from contextlib import AbstractContextManager

from matplotlib import rc_context
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from kverdict.bisection import Answer, Bisection, Role

# Told apart by form as well as by colour.
_MARKS = {
    Answer.GOOD: ("o", "#1a7f37"),
    Answer.BAD: ("X", "#cf222e"),
    Answer.SKIP: ("_", "#9a6700"),
}


def reproducible() -> AbstractContextManager[None]:
    """The same ids each time, and text as text."""
    return rc_context({"svg.hashsalt": "kverdict", "svg.fonttype": "none"})


def steps_svg(bisection: Bisection) -> bytes:
    """Commits from the good end to the bad one, left to right; steps from top to bottom."""
    last = bisection.plan.commits - 1
    rows = [(-1, 0, Answer.GOOD), (last, 0, Answer.BAD)]
    asked = [step for step in bisection.steps if step.role is Role.STEP]
    rows += [
        (step.position, number, step.answer)
        for number, step in enumerate(asked, start=1)
        if step.position is not None
    ]
    with reproducible():
        figure = Figure(figsize=(9, 1.2 + 0.22 * len(asked)))
        FigureCanvasSVG(figure)
        axes = figure.add_subplot()
        for answer, (form, colour) in _MARKS.items():
            some = [(x, y) for x, y, said in rows if said is answer]
            axes.scatter(
                [x for x, _ in some], [y for _, y in some],
                marker=form, color=colour, label=answer.value, s=42,
            )  # fmt: skip
        found = {commit.sha for commit in bisection.candidates}
        for x in sorted({
            step.position
            for step in bisection.steps
            if step.commit in found and step.position is not None
        }):  # fmt: skip
            axes.axvline(x, color="#0969da", linewidth=0.8, zorder=0)
        axes.invert_yaxis()
        axes.set_xlabel(f"commits, the oldest left ({bisection.plan.commits:,})")
        axes.set_ylabel("step")
        axes.yaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(visible=True, axis="y", linewidth=0.3)
        axes.legend(loc="upper center", ncols=3, frameon=False, bbox_to_anchor=(0.5, 1.3))
        file = io.BytesIO()
        figure.savefig(file, format="svg", bbox_inches="tight", metadata={"Date": None})
    return file.getvalue()


def data_url(svg: bytes) -> str:
    """For <img>: as a document of its own its styles do not need the page's leave."""
    return f"data:image/svg+xml;base64,{base64.b64encode(svg).decode()}"
