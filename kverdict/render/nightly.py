# SPDX-License-Identifier: GPL-2.0-or-later
"""The index over all nights, and the summary of one as text and as the draft of a mail."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from jinja2.sandbox import SandboxedEnvironment

from kverdict import __version__
from kverdict.drafts import Draft, to_eml
from kverdict.heads import HeadState
from kverdict.nights import Night, Nights, Tonight
from kverdict.render import nights_view as view
from kverdict.render.report import check_page, fill_page, page_environment
from kverdict.render.templates import Folders, fill
from kverdict.runs import write_atomically, write_links
from kverdict.settings import NightlySettings
from kverdict.text import counted

INDEX, INDEX_TEMPLATE, TEXT_TEMPLATE = "index.html", "nightly.html.j2", "nightly.txt.j2"


def publish(
    nights: Nights, tonight: Tonight, settings: NightlySettings, *, templates: Folders
) -> Path:
    """Writes the index, and the draft of tonight's mail when there is something to tell.

    Everything comes from the nights' files: the same files give the same bytes.
    """
    known = nights.all()
    order = [tree.name for tree in settings.trees]
    names = [name for name in order if name in known] + sorted(set(known) - set(order))
    pages = [view.tree_page(known[name], settings, gone=name not in order) for name in names]
    told = tuple(
        night for name in names for night in known[name] if night.night.number == tonight.number
    )
    files: dict[str, str | bytes] = {INDEX: html(pages, templates=templates)}
    if told:
        files |= _mail(tonight, told, settings, templates)
    # What a page links to has to stay from the moment that it can be read.
    write_links(nights.home, view.linked(known.values(), settings.nights))
    for name, content in files.items():
        write_atomically(nights.home / name, content)
    return nights.home / INDEX


def html(pages: list[view.TreePage], *, templates: Folders) -> str:
    """One page that loads nothing and runs nothing; pictures are images within it."""
    content = {"trees": pages, "version": __version__}
    return fill_page(_environment(templates), INDEX_TEMPLATE, content)


def text(tonight: Tonight, told: tuple[Night, ...], *, templates: Folders) -> str:
    """What a night found, at most 78 columns but for words that are longer."""
    rows = [view.told(night) for night in told]
    content = {"tonight": tonight, "rows": rows, "version": __version__}
    return fill(_environment(templates), TEXT_TEMPLATE, content).rstrip("\n") + "\n"


def check_templates(templates: Folders) -> None:
    """Raises UserError that names a template and line that cannot be read."""
    check_page(_environment(templates), "nightly")


def _environment(templates: Folders) -> SandboxedEnvironment:
    """That of the reports, and pictures of benchmarks."""
    ours = page_environment(templates)
    ours.filters["picture"] = _picture
    return ours


def _picture(bench: view.Bench) -> str:
    # Here, since matplotlib takes most of a second, and many a night has nothing to draw.
    from kverdict.render.history import bench_svg
    from kverdict.render.picture import data_url

    return data_url(bench_svg(bench.points, bench.limit))


def subject(tonight: Tonight, told: tuple[Night, ...]) -> str:
    """Whether there is something new, in the first words."""
    new = sum(len(head.new(tonight.number)) for night in told for head in night.heads)
    broken = sum(bool(night.trouble) for night in told) + sum(
        head.state is HeadState.TROUBLE for night in told for head in night.heads
    )
    parts = [counted(new, "new failure") if new else "no new failure"]
    if broken:
        parts.append(f"{broken} could not be tested")
    return f"[nightly] {tonight.began:%Y-%m-%d}: {', '.join(parts)}"


def _mail(
    tonight: Tonight, told: tuple[Night, ...], settings: NightlySettings, templates: Folders
) -> Mapping[str, str | bytes]:
    body = text(tonight, told, templates=templates)
    draft = Draft(subject=subject(tonight, told), body=body, to=settings.to, date=tonight.began)
    return {f"nightly-{tonight.name}.eml": to_eml(draft), f"nightly-{tonight.name}.txt": body}
