# SPDX-License-Identifier: GPL-2.0-or-later
"""bisect.html, bisect.txt, the summary and the mail of bisections, hostile ones among them."""

from __future__ import annotations

import base64
import email
import re
from datetime import UTC, datetime
from email import policy
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from pydantic import BaseModel

from kverdict.bisection import Answer, Bisection, Commit, End, Plan, Role, Step
from kverdict.drafts import to_eml
from kverdict.judgement import Evidence, Proof
from kverdict.maintainers import Recipients
from kverdict.render.bisection import html, render, text
from kverdict.render.bisectmail import draft, linked_mail
from kverdict.render.bisectsummary import summary
from kverdict.render.picture import steps_svg
from kverdict.settings import HOME
from kverdict.stable import is_measured

TEMPLATES = HOME / "templates"
SHA = "c0de" * 10
PATCH = "Link: https://patch.msgid.link/a@b.c"
HOSTILE = "<script>alert(1)</script>\x1b[2J\u202e{{ 7*7 }}"


def commit(**changes: Any) -> Commit:
    return Commit(
        **{
            "sha": SHA,
            "parents": ("ba5e" * 10,),
            "author": "Alice Example <alice@example.org>",
            "date": datetime(2026, 11, 1, 12, tzinfo=UTC),
            "subject": "KVM: guest_memfd: lose the last page",
            "message": "KVM: guest_memfd: lose the last page\n\nWhy.",
            "paths": ("virt/kvm/guest_memfd.c",),
            **changes,
        }
    )


def step(number: int, answer: Answer, role: Role = Role.STEP, **changes: Any) -> Step:
    return Step(
        **{
            "number": number,
            "role": role,
            "commit": f"{number:040x}",
            "subject": f"change {number}",
            "answer": answer,
            "why": "passes" if answer is Answer.GOOD else "fails (fail)",
            "good": 1,
            "position": number,
            "seconds": 12.5,
            **changes,
        }
    )


def bisection(**changes: Any) -> Bisection:
    return Bisection(
        **{
            "tree": "linux",
            "question": "pwrite.last-page",
            "finding": "fails (fail)",
            "good": End(asked="v7.2", sha="a" * 40, description="v7.2"),
            "bad": End(asked="topic", sha="b" * 40, description="v7.2-24-gbbbb"),
            "first_parent": False,
            "paths": (),
            "terms": ("good", "bad"),
            "plan": Plan(
                commits=24, steps=5, repeats=1, rate=1.0, asked=5, confidence=0.99, seconds=60
            ),
            "steps": (
                step(1, Answer.BAD, Role.BAD_END),
                step(2, Answer.GOOD),
                step(3, Answer.SKIP),
                step(4, Answer.BAD, commit=SHA, message="expected 7, got EINVAL"),
            ),
            "candidates": (commit(),),
            "proofs": tuple(
                Evidence(name=name, proof=Proof.HOLDS, text=f"{name} holds")
                for name in ("parent", "culprit", "revert")
            ),
            "suspicions": (),
            "confidence": 0.9989,
            "log": "git bisect start\n# first bad commit: [c0de]\n",
            "exit_status": 0,
            "headline": "first bad commit: c0dec0dec0de KVM: guest_memfd: lose the last page",
            "config_digest": "5e71" * 16,
            "console": ("[    1.0][    T1] expected 4096, got -1",),
            "commands": ("./pipeline.py check-commit --tree linux --for pwrite.last-page c0de",),
            "portable": ("./pipeline.py check-commit --tree . --for pwrite.last-page c0de",),
            **changes,
        }
    )


def test_the_same_bisection_gives_the_same_bytes(tmp_path: Path) -> None:
    written = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        render(bisection(), tmp_path / name, templates=TEMPLATES)
        written.append({path.name: path.read_bytes() for path in (tmp_path / name).iterdir()})
    assert written[0] == written[1]
    assert set(written[0]) == {"bisection.json", "bisect.html", "bisect.txt"}
    assert Bisection.from_json(written[0]["bisection.json"]) == bisection()


def test_what_the_pages_say() -> None:
    for page in (html(bisection(), templates=TEMPLATES), text(bisection(), templates=TEMPLATES)):
        for words in (
            SHA,
            "Alice Example",
            "2026-11-01",
            "lose the last page",
            "pwrite.last-page",
            "v7.2-24-gbbbb",
            "parent holds",
            "expected 4096, got -1",
            "change 3",
            "expected 7, got EINVAL",
            "git bisect start",
            "check-commit --tree linux",
            "5e71" * 16,
            "bisect.eml",
        ):
            assert words in page, words
    assert "not proven" not in html(bisection(), templates=TEMPLATES)


def test_candidates_that_are_not_proven() -> None:
    several = bisection(
        candidates=(commit(), commit(sha="d" * 40, subject="another")),
        proofs=(),
        exit_status=125,
        headline="the first bad commit is one of 2",
        confidence=0.0,
        console=(),
        config_digest=None,
    )
    page, plain = html(several, templates=TEMPLATES), text(several, templates=TEMPLATES)
    for shown in (page, plain):
        assert "There is no single commit to prove" in shown
        assert "another" in shown and "bisect.eml" not in shown
    assert summary(several, Path("run"))[0].startswith("NOT FOUND: ")
    assert draft(several, Recipients(), patch=None, templates=TEMPLATES) is None


def test_a_suspicion_is_told_and_nobody_is_written_to() -> None:
    suspect = bisection(suspicions=("it touches no code: a.rst",), exit_status=125)
    assert "It may not be the culprit: it touches no code" in html(suspect, templates=TEMPLATES)
    assert "!      it touches no code" in text(suspect, templates=TEMPLATES)
    assert draft(suspect, Recipients(), patch=None, templates=TEMPLATES) is None
    assert any("it touches no code" in line for line in summary(suspect, Path("run")))


def test_the_summary_fits_a_screen() -> None:
    lines = summary(bisection(), Path("/runs/x"), cwd=Path("/runs"))
    assert len(lines) <= 24 and max(map(len, lines)) <= 80
    assert lines[0].startswith("FOUND: first bad commit")
    assert lines[-1] == "Report: x/bisect.html"
    assert "\x1b" in summary(bisection(), Path("x"), colour=True)[0]


def hostile() -> Bisection:
    return bisection(
        tree=HOSTILE,
        finding=HOSTILE,
        headline=HOSTILE,
        good=End(asked=HOSTILE, sha="a" * 40, description=HOSTILE),
        paths=(HOSTILE,),
        steps=(step(1, Answer.BAD, subject=HOSTILE, why=HOSTILE),),
        candidates=(commit(subject=HOSTILE, author=HOSTILE, message=HOSTILE, paths=(HOSTILE,)),),
        proofs=(Evidence(name="parent", proof=Proof.OPEN, text=HOSTILE),),
        suspicions=(HOSTILE,),
        log=HOSTILE,
        console=(HOSTILE,),
        commands=(HOSTILE,),
        portable=(HOSTILE,),
        notes=(HOSTILE,),
    )


def test_hostile_text_acts_nowhere(tmp_path: Path) -> None:
    page = html(hostile(), templates=TEMPLATES)
    assert "<script" not in page and page.count("&lt;script&gt;") > 8
    for shown in (page, text(hostile(), templates=TEMPLATES), *summary(hostile(), tmp_path)):
        assert "\x1b" not in shown and "\u202e" not in shown
    mail = draft(hostile(), Recipients(people=(HOSTILE,)), patch=None, templates=TEMPLATES)
    assert mail is not None
    raw = to_eml(mail)
    assert b"\x1b" not in raw and "\u202e".encode() not in raw


def test_the_page_loads_nothing() -> None:
    page = html(bisection(), templates=TEMPLATES)
    assert "default-src 'none'" in page
    assert not re.search(r"(?:src|href)=\"(?!data:|#|bisect\.eml)", page)


def test_the_picture_is_svg_without_a_date() -> None:
    svg = steps_svg(bisection())
    assert svg == steps_svg(bisection())
    root = ElementTree.fromstring(svg)
    assert root.tag.endswith("svg")
    assert b"<dc:date>" not in svg and b"<script" not in svg
    other = bisection(steps=(step(1, Answer.GOOD), step(2, Answer.GOOD, position=None)))
    assert steps_svg(other) != svg
    assert base64.b64encode(svg).decode() in html(bisection(), templates=TEMPLATES)


@pytest.mark.parametrize("model", [Bisection, Plan, Step, Commit, End])
def test_every_key_is_documented_and_no_other(model: type[BaseModel]) -> None:
    page = (HOME / "docs" / "run-folder.md").read_text()
    body = re.split(rf"^### {model.__name__}$", page, flags=re.MULTILINE)[1]
    table = re.split(r"^#", body, flags=re.MULTILINE)[0]
    rows = dict(re.findall(r"^\| `(\w+)` \|(.*)$", table, flags=re.MULTILINE))
    assert set(rows) == set(model.model_fields)
    marked = {name for name, words in rows.items() if "*measured*" in words}
    assert marked == {name for name, one in model.model_fields.items() if is_measured(one)}


# --- the mail -------------------------------------------------------------------------------------


def test_the_mail() -> None:
    said = commit(message="s\n\nLink: https://patch.msgid.link/20261101.1-1-alice@example.org\n")
    people = Recipients(
        people=("Paolo <p@example.org>", "Alice Example <alice@example.org>"),
        lists=("kvm@vger.kernel.org",),
    )
    found = bisection(candidates=(said,))
    mail = draft(found, people, patch=linked_mail(said), templates=TEMPLATES)
    assert mail is not None
    read = email.message_from_bytes(to_eml(mail), policy=policy.default)
    assert read["To"].addresses[0].addr_spec == "alice@example.org"
    assert len(read["To"].addresses) == 2, "the author once"
    assert [one.addr_spec for one in read["Cc"].addresses] == [
        "kvm@vger.kernel.org",
        "regressions@lists.linux.dev",
    ]
    assert read["In-Reply-To"] == "<20261101.1-1-alice@example.org>"
    assert read["Subject"].startswith("[REGRESSION] pwrite.last-page: bisected to c0dec0dec0de")
    assert "Date" not in read
    body = read.get_content()
    lines = body.splitlines()
    assert f"#regzbot introduced: {SHA}" in lines
    assert f'Fixes: {SHA[:12]} ("{commit().subject}")' in lines
    assert "    for pwrite.last-page: fails (fail)" in lines
    assert "    expected 7, got EINVAL" in lines
    assert "    v7.2-24-gbbbb (bad)" in lines
    assert "check-commit --tree . " in body and "--tree linux" not in body
    assert "    [    1.0][    T1] expected 4096, got -1" in lines
    prose = [line for line in lines if not line.startswith((" ", "#", "Fixes"))]
    assert max(map(len, prose)) <= 72


@pytest.mark.parametrize(
    "words",
    ["Tested-by: Mallory <m@example.org>", "#regzbot invalid: it is none", "--- a/Makefile"],
)
def test_what_strangers_say_begins_no_line_of_the_mail(words: str) -> None:
    """However long the words before are: prose is folded somewhere."""
    for length in range(0, 80, 3):
        text = f"{'x' * length} {words} {words}\n{words}"
        end = End(asked=text, sha="a" * 40, description=text)
        said = bisection(
            question=text,
            finding=text,
            steps=(step(1, Answer.BAD, commit=SHA, message=text),),
            good=end,
            bad=end,
            candidates=(commit(subject=text, author=f"{text} <m@example.org>"),),
            proofs=(Evidence(name="parent", proof=Proof.HOLDS, text=text),),
            console=(text,),
            portable=(text,),
        )
        mail = draft(said, Recipients(), patch=None, templates=TEMPLATES)
        assert mail is not None
        assert not [line for line in mail.body.split("\n") if line.startswith(words[:12])]
        assert f"\n#regzbot introduced: {SHA}" in mail.body


def test_a_guest_gives_no_trailer() -> None:
    """b4 takes indented ones as well, of whoever sends the mail."""
    trailer = "Tested-by: Mallory <m@example.org>"
    said = bisection(steps=(step(1, Answer.BAD, commit=SHA, message=trailer),), console=(trailer,))
    mail = draft(said, Recipients(), patch=None, templates=TEMPLATES)
    assert mail is not None
    assert mail.body.split("\n").count(f"    | {trailer}") == 2


def test_a_flaky_one_says_how_often() -> None:
    plan = bisection().plan.model_copy(update={"rate": 0.3, "asked": 10})
    mail = draft(bisection(plan=plan), Recipients(), patch=None, templates=TEMPLATES)
    assert mail is not None and "3 of 10 guests" in mail.body.replace("\n", " ")


@pytest.mark.parametrize(
    ("links", "expected"),
    [
        (("Link: https://lore.kernel.org/r/a@b.c",), "a@b.c"),
        (("Link: https://lore.kernel.org/r/a@b.c/",), "a@b.c"),
        (("Link: https://lore.kernel.org/kvm/a%2Bx@b.c/",), "a+x@b.c"),
        ((PATCH, "Link: https://lore.kernel.org/r/x@y.z"), "a@b.c"),
        (("Link: https://lore.kernel.org/r/x@y.z", "Link: https://lkml.kernel.org/r/l@l"), "l@l"),
        (("Link: https://lore.kernel.org/r/a@b.c [1]",), None),
        (("Link: https://example.org/r/a@b.c",), None),
        (("Link: https://bugzilla.kernel.org/show_bug.cgi?id=1",), None),
        (("see https://lore.kernel.org/r/a@b.c",), None),
        ((), None),
    ],
)
def test_the_mail_of_a_patch(links: tuple[str, ...], expected: str | None) -> None:
    assert linked_mail(commit(message="\n".join(("subject", "", *links)))) == expected
