# SPDX-License-Identifier: GPL-2.0-or-later
"""bisection.json, bisect.html and bisect.txt, from the models and the templates alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from kverdict import __version__
from kverdict.bisection import Answer, Bisection, Role
from kverdict.errors import UserError
from kverdict.render.bisectsummary import HTML, JSON, TEXT, WORDS
from kverdict.render.report import check_page, fill_page, page_environment
from kverdict.render.templates import Folders, fill
from kverdict.runs import write_atomically


def render(bisection: Bisection, folder: Path, *, templates: Folders) -> None:
    """Writes the three files into ``folder``, each at once or not at all.

    The same bisection gives the same bytes.
    """
    pages = {
        JSON: bisection.to_json(),
        HTML: html(bisection, templates=templates),
        TEXT: text(bisection, templates=templates),
    }
    for name, content in pages.items():
        write_atomically(folder / name, content)


def render_again(folder: Path, *, templates: Folders) -> Bisection:
    """The pages of a finished bisection from its bisection.json; raises UserError without one."""
    try:
        found = Bisection.from_json((folder / JSON).read_bytes())
    except (OSError, ValueError) as error:
        raise UserError(
            f"{folder} is not the folder of a finished bisection", "see runs/"
        ) from error
    render(found, folder, templates=templates)
    return found


def html(bisection: Bisection, *, templates: Folders) -> str:
    """One page that loads nothing and runs nothing."""
    # Here, since matplotlib takes most of a second, and most commands draw nothing.
    from kverdict.render.picture import data_url, steps_svg

    content = _content(bisection) | {"picture": data_url(steps_svg(bisection))}
    return fill_page(page_environment(templates), "bisect.html.j2", content)


def text(bisection: Bisection, *, templates: Folders) -> str:
    """The same for a mail or a terminal."""
    page = fill(page_environment(templates), "bisect.txt.j2", _content(bisection))
    return page.rstrip("\n") + "\n"


def check_templates(templates: Folders) -> None:
    """Raises UserError that names a template and line that cannot be read."""
    check_page(page_environment(templates), "bisect")


def _content(bisection: Bisection) -> dict[str, Any]:
    return {
        "bisection": bisection,
        "version": __version__,
        "Answer": Answer,
        "Role": Role,
        "words": {proof.name: word for proof, word in WORDS.items()},
    }
