# SPDX-License-Identifier: GPL-2.0-or-later
"""kverdict.render.templates: a user's folder goes first, file by file, and errors have a place."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from kverdict import settings as settings_module
from kverdict.errors import UserError
from kverdict.parents import Parent
from kverdict.render import bisection as bisect_page
from kverdict.render import nightly as nightly_page
from kverdict.render import reply as reply_page
from kverdict.render import report as report_page
from kverdict.render.letters import Letter
from kverdict.render.report import check_templates, html, text
from kverdict.render.templates import Folders, environment, fill
from kverdict.settings import HOME, TEMPLATES, Settings
from tests import factories as make


def _report_content() -> dict[str, object]:
    return report_page._content(make.report(), ())


def _reply_content() -> dict[str, object]:
    parent = Parent(
        message_id="a@b.c",
        subject="Re: x",
        to=(),
        cc=(),
        references=(),
        author="A",
        date=None,
        body="",
        quote="",
    )
    letter = Letter(parent=parent, patch=None, remarks=(), placed=(), left=0, main=True)
    return reply_page._content(make.report(), letter, (), "", "")


def filled(folder: Path, content: str) -> str:
    (folder / "page.txt.j2").write_text(content)
    return fill(environment(folder, filters={}, names={}), "page.txt.j2", {"numbers": (1, 2)})


def test_a_file_of_the_user_s_replaces_that_file_and_no_other(tmp_path: Path) -> None:
    (tmp_path / "report.txt.j2").write_text("{{ verdict.headline }}\n")
    report = make.report()
    folders = Settings(templates=str(tmp_path)).template_folders
    assert text(report, templates=folders, commands=()) == f"{report.verdict.headline}\n"
    ours = html(report, templates=TEMPLATES, commands=())
    assert html(report, templates=folders, commands=()) == ours


def test_a_style_sheet_of_the_user_s_is_allowed_by_its_own_digest(tmp_path: Path) -> None:
    (tmp_path / "report").mkdir()
    (tmp_path / "report" / "style.css").write_text("p { color: teal }")
    page = html(make.report(), templates=(tmp_path, TEMPLATES), commands=())
    assert "p { color: teal }" in page
    assert page != html(make.report(), templates=TEMPLATES, commands=())


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("one\n{% if %}\n", r"page\.txt\.j2:2: Expected an expression"),
        ("one\n\n{{ nothing }}\n", r"page\.txt\.j2:3: 'nothing' is undefined"),
        ("{{ 1 / 0 }}\n", r"page\.txt\.j2:1: division by zero"),
        ("\n{{ numbers[7].x }}\n", r"page\.txt\.j2:2: .*no element 7"),
        ("\n{{ numbers | nofilter }}\n", r"page\.txt\.j2:2: No filter named 'nofilter'"),
        ("\n{{ ''.__class__ }}\n", r"page\.txt\.j2:2: access to attribute '__class__'"),
        ("{{ 'a' + 1 }}\n", r"page\.txt\.j2:1: "),
        ("{% include 'other.j2' %}\n", r"there is no template other\.j2"),
        ("{% for a in range(1000000) %}{% endfor %}", r"page\.txt\.j2:1: Range too big"),
    ],
)
def test_an_error_names_template_and_line(tmp_path: Path, content: str, said: str) -> None:
    with pytest.raises(UserError, match=said):
        filled(tmp_path, content)


def test_a_broken_template_is_found_before_any_work(tmp_path: Path) -> None:
    check_templates(TEMPLATES)
    (tmp_path / "report.txt.j2").write_text("{% endfor %}")
    with pytest.raises(UserError, match=r"report\.txt\.j2:1"):
        check_templates((tmp_path, TEMPLATES))


@pytest.mark.parametrize(
    ("name", "check"),
    [
        ("reply/tested.txt.j2", reply_page.check_templates),
        ("report/cases.html.j2", report_page.check_templates),
        ("report/style.css", report_page.check_templates),
        ("report/style.css", bisect_page.check_templates),
        ("report/style.css", nightly_page.check_templates),
    ],
)
def test_one_that_is_not_utf_8_is_named(
    tmp_path: Path, name: str, check: Callable[[Folders], None]
) -> None:
    (tmp_path / name).parent.mkdir()
    (tmp_path / name).write_bytes("one\nGrüße\n".encode("latin-1"))
    with pytest.raises(UserError, match=rf"{tmp_path}/{name}:2: it is not UTF-8"):
        check((tmp_path, TEMPLATES))


def test_a_part_that_is_not_utf_8_is_named_where_it_is_included(tmp_path: Path) -> None:
    (tmp_path / "part.txt.j2").write_bytes("Grüße".encode("latin-1"))
    with pytest.raises(UserError, match=r"part\.txt\.j2:1: it is not UTF-8"):
        filled(tmp_path, "{% include 'part.txt.j2' %}")


def test_what_it_prints_is_printable(tmp_path: Path) -> None:
    assert filled(tmp_path, "{{ '\x1b[2J' }}") == "\\x1b[2J"


def test_a_template_that_changes_is_compiled_again(tmp_path: Path) -> None:
    page = tmp_path / "page.txt.j2"
    said = []
    for words in ("one {{ x }}", "two {{ x }}", "{{ y }}", "one {{ x }}"):
        page.write_text(words)
        os.utime(page, ns=(0, 0))
        ours = environment(tmp_path, filters={}, names={"y": "three"})
        said.append(fill(ours, "page.txt.j2", {"x": "!"}))
    assert said == ["one !", "two !", "three", "one !"]


def test_the_setting_is_a_folder(tmp_path: Path) -> None:
    file = tmp_path / "pipeline.toml"
    file.write_text(f'templates = "{tmp_path}"\n')
    assert settings_module.load(file).template_folders == (tmp_path, TEMPLATES)
    assert Settings().template_folders == (TEMPLATES,)
    with pytest.raises(UserError, match="is no folder"):
        _ = Settings(templates=str(tmp_path / "none")).template_folders


@pytest.mark.parametrize(
    ("begin", "content"),
    [
        ("## Replies", _reply_content()),
        ("## Reports", {**_report_content(), "style": "", "style_source": ""}),
    ],
)
def test_every_variable_is_documented(begin: str, content: dict[str, object]) -> None:
    page = (HOME / "docs" / "templates.md").read_text().partition(begin)[2].partition("\n## ")[0]
    told = {
        name
        for row in page.split("\n")
        if row.startswith("| `")
        for name in re.findall(r"`(\w+)`", row.split("|")[1])
    }
    assert told == set(content)
