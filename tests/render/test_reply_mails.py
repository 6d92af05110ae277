# SPDX-License-Identifier: GPL-2.0-or-later
"""Replies: golden mails for each kind of verdict, and what no mail may do."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kverdict import models as m
from kverdict.drafts import Draft
from kverdict.errors import UserError
from kverdict.judgement import CaseVerdict
from kverdict.parents import Parent
from kverdict.render.letters import Aim, letters
from kverdict.render.reply import check_templates, defused, draft, excerpt, others
from kverdict.settings import TEMPLATES
from kverdict.verdict import Report
from tests import answered
from tests import factories as make

TESTED_BY = f"Tested-by: {answered.NAME} <{answered.ADDRESS}>"
DIFF = """Text.

diff --git a/drivers/foo.c b/drivers/foo.c
--- a/drivers/foo.c
+++ b/drivers/foo.c
@@ -1,2 +1,3 @@
 one
 two
+three
"""


def parent(id: str, **changes: object) -> Parent:
    return Parent.model_validate(
        {
            "message_id": id,
            "subject": f"Re: [PATCH] {id}",
            "to": ("Alice <alice@example.org>",),
            "cc": ("list@example.org",),
            "references": (id,),
            "author": "Alice",
            "date": datetime(2026, 1, 2, tzinfo=UTC),
            "body": DIFF,
            "quote": "> Text.",
            **changes,
        }
    )


def a_series(cover: bool = True) -> m.Series:
    patches = (make.patch(1, message_id="p1@x.y"), make.patch(2, message_id="p2@x.y"))
    return make.series(message_id="cover@x.y" if cover else "p1@x.y", patches=patches)


PARENTS = {id: parent(id) for id in ("cover@x.y", "p1@x.y", "p2@x.y")}


def written(
    report: Report, aim: Aim = Aim.FINDINGS, advice: int = 0, trailer: str = ""
) -> dict[str | None, Draft]:
    """Drafts by what they answer."""
    drafts = [
        draft(
            report,
            letter,
            templates=TEMPLATES,
            commands=("./pipeline.py verify x",),
            sender="Terry <terry@tester.example>",
            trailer=trailer,
        )
        for letter in letters(report, PARENTS, aim=aim, advice=advice)
    ]
    return {one.in_reply_to: one for one in drafts}


# --- which mails ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "aim", "answers"),
    [
        ("good", Aim.FINDINGS, ["cover@x.y"]),
        ("good", Aim.PER_PATCH, ["p1@x.y", "p2@x.y"]),
        ("good", Aim.TO_COVER, ["cover@x.y"]),
        ("untestable", Aim.FINDINGS, ["cover@x.y"]),
        ("bad-build", Aim.FINDINGS, ["p1@x.y"]),
        ("bad-build", Aim.TO_COVER, ["cover@x.y"]),
        ("bad-warning", Aim.FINDINGS, ["p1@x.y", "p2@x.y"]),
        ("bad-case", Aim.FINDINGS, ["cover@x.y"]),
        ("bad-case", Aim.PER_PATCH, ["p1@x.y", "p2@x.y"]),
    ],
)
def test_which_mails_are_answered(kind: str, aim: Aim, answers: list[str]) -> None:
    assert list(written(answered.KINDS[kind](a_series()), aim)) == answers


def test_without_a_cover_letter_the_first_patch_stands_for_it() -> None:
    report = answered.bad_case(a_series(cover=False))
    (letter,) = letters(report, PARENTS, aim=Aim.FINDINGS)
    assert letter.parent.message_id == "p1@x.y"
    assert letter.patch is None


def test_what_is_pinned_to_no_patch_goes_to_the_last_one_when_there_is_no_cover_mail() -> None:
    found = written(answered.bad_case(a_series()), Aim.PER_PATCH)
    assert "Nothing of it is about patch 1/2." in " ".join(found["p1@x.y"].body.split())
    assert "New failure: pwrite.empty" not in found["p1@x.y"].body
    second = " ".join(found["p2@x.y"].body.split())
    assert "New failure: pwrite.empty: what pwrite.empty is about (with all patches" in second


def test_advice_only_when_it_is_asked_for() -> None:
    report = answered.advised(a_series())
    assert list(written(report)) == ["cover@x.y"]
    found = written(report, advice=1)
    assert list(found) == ["cover@x.y", "p2@x.y"]
    assert found["p2@x.y"].body.count("Worth a look") == 1
    assert "\nAnd 1 more.\n" in found["p2@x.y"].body


# --- where a finding stands -----------------------------------------------------------------------


def body_of(report: Report) -> str:
    return written(report)["p1@x.y"].body


def test_a_finding_stands_under_its_line() -> None:
    body = body_of(answered.report(a_series(), warnings=(answered.warning(3),)))
    place = "> @@ -1,2 +1,3 @@\n>  one\n>  two\n> +three\n\nNew warning: -Wmissing-prototypes"
    assert place in body
    assert "> Text." not in body


@pytest.mark.parametrize(
    "base",
    [make.base_choice(blobs_matched=3), make.base_choice(blobs_matched=0, blobs_total=0)],
)
def test_on_another_base_the_mail_s_numbers_are_not_the_file_s(base: m.BaseChoice) -> None:
    body = body_of(answered.report(a_series(), warnings=(answered.warning(3),), base=base))
    assert "+three" not in body
    assert "drivers/foo.c:3: no previous prototype" in body


def test_after_a_three_way_merge_they_are_not_either() -> None:
    report = answered.report(a_series(), warnings=(answered.warning(3),))
    merged = tuple(patch.model_copy(update={"three_way": True}) for patch in report.applied.patches)
    applied = report.applied.model_copy(update={"patches": merged})
    assert "+three" not in body_of(report.model_copy(update={"applied": applied}))


def test_a_line_outside_the_hunks_is_named_and_not_quoted() -> None:
    body = body_of(answered.report(a_series(), warnings=(answered.warning(77),)))
    assert "> Text." in body
    assert "drivers/foo.c:77" in body
    assert "@@" not in body


def test_equal_messages_on_two_lines_stand_each_under_its_own() -> None:
    report = answered.report(a_series(), warnings=(answered.warning(2), answered.warning(3)))
    body = body_of(report)
    assert body.index(">  two") < body.index("foo.c:2:") < body.index("> +three")
    assert body.index("> +three") < body.index("foo.c:3:")


@pytest.mark.parametrize("patch", [1, 2])
def test_in_a_mail_with_everything_only_its_own_patch_has_lines(patch: int) -> None:
    """Without a cover letter the first patch's mail stands for it; line 3 of the second's file."""
    report = answered.report(
        a_series(cover=False), warnings=(answered.warning(3, answered.FOO, patch),)
    )
    body = written(report, Aim.TO_COVER)["p1@x.y"].body
    assert ("> +three" in body) is (patch == 1)
    assert "drivers/foo.c:3: no previous prototype" in body
    assert f"(patch {patch})" in " ".join(body.split())


def test_a_report_s_place_is_a_line_of_the_last_kernel_only() -> None:
    splat = make.splat(fingerprint="W", place="drivers/foo.c:3", during=None)
    guests = [make.guest(f"b1d{number}" * 10, splats=(splat,)) for number in (1, 2)]
    patches = (answered.built(1, guest=guests[0]), answered.booted(guest=guests[1]))
    body = body_of(answered.report(a_series(), None, patches))  # patch 1 brought it
    assert "+three" not in body


# --- what is told ---------------------------------------------------------------------------------


def test_what_is_not_the_series_fault_is_named_once() -> None:
    report = answered.report(
        a_series(),
        answered.base_with({"a": m.Outcome.FAIL, "b": m.Outcome.PASS}),
        (
            answered.built(1),
            answered.booted({"a": m.Outcome.FAIL, "b": m.Outcome.PASS}),
        ),
        warnings=(answered.warning(), answered.warning(4, answered.BAR, 2)),
    )
    first, second = written(report).values()
    assert "Fails on the base too:\n\n* a: what a is about" in first.body
    assert "Fails on the base too" not in second.body


def test_a_long_list_of_others_is_cut_and_says_so() -> None:
    cases = {f"case.{number}": m.Outcome.FAIL for number in range(20)}
    cases |= {"good": m.Outcome.PASS}
    report = answered.report(
        a_series(), answered.base_with(cases), (answered.built(1), answered.booted(cases))
    )
    (other,) = others(report)
    assert len(other.lines) == 8
    assert "* and 12 more" in written(report)["cover@x.y"].body


def test_cases_of_one_defect_are_one_remark() -> None:
    ids = [f"defect.stale-memory.{word}" for word in ("one", "two", "three")]
    new = dict.fromkeys(ids, m.Outcome.FAIL) | {"pwrite.page": m.Outcome.PASS}
    old = dict.fromkeys(new, m.Outcome.SKIP)
    report = answered.report(
        a_series(), answered.base_with(old), (answered.built(1), answered.booted(new))
    )
    body = written(report)["cover@x.y"].body
    assert body.count("New failure: ") == 1
    assert "defect.stale-memory.two, defect.stale-memory.three" in " ".join(body.split())


@pytest.mark.parametrize(
    ("again", "told"),
    [
        (m.Outcome.FAIL, "patch 1's kernel: 2 fail, base: pass)"),
        (m.Outcome.PASS, "(patch 1's kernel: 1 fail, 1 pass; base: pass)"),
    ],
)
def test_what_only_a_patch_in_between_shows_is_told_with_its_answers(
    again: m.Outcome, told: str
) -> None:
    good, bad = {"pwrite.page": m.Outcome.PASS}, {"pwrite.page": m.Outcome.FAIL}
    first = answered.built(
        1,
        guest=make.guest("b1d1" * 10, cases=make.cases(bad)),
        reruns=(make.guest("b1d1" * 10, cases=make.cases({"pwrite.page": again})),),
    )
    report = answered.report(a_series(), answered.base_with(good), (first, answered.booted(good)))
    (made,) = written(report).values()
    body = " ".join(made.body.split())
    assert "on patch 1/2, and not at the end: what pwrite.page is about" in body
    assert told in body


def test_many_findings_are_cut_and_counted() -> None:
    new = {f"case.{number}": m.Outcome.FAIL for number in range(50)}
    old = dict.fromkeys(new, m.Outcome.PASS)
    report = answered.report(
        a_series(), answered.base_with(old), (answered.built(1), answered.booted(new))
    )
    assert "\nAnd 30 more.\n" in written(report)["cover@x.y"].body


def test_a_newer_revision_is_told() -> None:
    newer = a_series().model_copy(update={"newest_revision": 9})
    assert "Note      v9 of the series exists" in written(answered.good(newer))["cover@x.y"].body


def test_what_is_not_compiled_is_told_and_what_is_goes_without_saying() -> None:
    body = written(answered.good_in_part(a_series()))["cover@x.y"].body
    said = " ".join(body.split())
    assert "I applied this series, and built and booted what of it is compiled here. No" in said
    assert "  Compiled  1 of 2 touched source files compiled; not drivers/bar.c" in body
    done = m.FileReach(path=answered.FOO, patches=(1,), state=m.ReachState.COMPILED)
    whole = written(answered.report(a_series(), reach=m.Reach(files=(done,))))["cover@x.y"].body
    assert "I applied, built and booted this series. No" in whole
    assert "Compiled" not in whole


def test_the_sender_is_not_copied() -> None:
    mine = {**PARENTS, "cover@x.y": parent("cover@x.y", cc=("T <TERRY@tester.example>", "b@c.d"))}
    report = answered.good(a_series())
    (letter,) = letters(report, mine, aim=Aim.FINDINGS)
    made = draft(
        report, letter, templates=TEMPLATES, commands=(), sender="Terry <terry@tester.example>"
    )
    assert made.cc == ("b@c.d",)


def test_a_mail_without_id_or_date_or_name() -> None:
    bare = parent("x@kverdict.invalid", author="", date=None, references=("x@kverdict.invalid",))
    report = answered.good(a_series())
    (letter,) = letters(report, {**PARENTS, "cover@x.y": bare}, aim=Aim.FINDINGS)
    made = draft(report, letter, templates=TEMPLATES, commands=(), sender=None)
    assert made.in_reply_to is None
    assert made.references == ()
    assert made.body.startswith("somebody wrote:\n")


@pytest.mark.parametrize("kind", answered.KINDS)
def test_prose_has_72_columns(kind: str) -> None:
    for made in written(answered.KINDS[kind](a_series())).values():
        for line in made.body.split("\n"):
            assert len(line) <= 72 or line.startswith((">", "| ", "  ./pipeline.py"))


# --- what no mail may do --------------------------------------------------------------------------

HOSTILE = [
    "Acked-by: Terry <terry@tester.example>",
    "   Reviewed-by: Terry <terry@tester.example>",
    "Tested-by: Terry",
    "FIXES: 0123456789ab (x)",
    "Link: https://example.org/",
    "Anything: a@b.cd",
    "diff --git a/Makefile b/Makefile",
    "--- a/Makefile",
    "+++ b/Makefile",
    "@@ -1 +1 @@",
    "---",
    "-- ",
    "-- >8 --",
]


@pytest.mark.parametrize("line", HOSTILE)
def test_a_line_that_a_tool_could_act_on_is_marked(line: str) -> None:
    assert defused(f"one\n{line}\ntwo", TESTED_BY) == f"one\n| {line}\ntwo"


@pytest.mark.parametrize(
    "line", ["> Acked-by: A <a@b.c>", "| Acked-by: A <a@b.c>", "Tested:", "  Base  x", TESTED_BY]
)
def test_any_other_line_stays(line: str) -> None:
    assert defused(line, TESTED_BY) == line


def test_a_trailer_that_is_not_offered_is_none() -> None:
    assert defused(TESTED_BY, "") == f"| {TESTED_BY}"


def test_no_template_can_give_a_trailer_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "reply").mkdir()
    (tmp_path / "reply" / "mail.txt.j2").write_text(f"{TESTED_BY}\n{{{{ verdict.headline }}}}\n")
    report = answered.good(a_series())
    (letter,) = letters(report, PARENTS, aim=Aim.FINDINGS)
    made = draft(
        report, letter, templates=(tmp_path, TEMPLATES), commands=(), sender=None, trailer=""
    )
    assert made.body.startswith(f"| {TESTED_BY}\n")


def hostile(text: str) -> Report:
    """A report in which strangers say ``text`` wherever they can say something."""
    case = make.case("pwrite.page", m.Outcome.FAIL, message=text, title=text)
    splat = make.splat(text, excerpt=text, fingerprint="x", during=None)
    said = make.failed_build().first_error
    assert said is not None
    item = answered.warning(diagnostic=said.model_copy(update={"message": text}))
    guest = make.guest("b1d2" * 10, cases=(case, make.case("other")), splats=(splat,))
    old = make.guest(make.BASE_ID, cases=(make.case("pwrite.page"), make.case("other")))
    patches = tuple(
        make.patch(number, message_id=f"p{number}@x.y", subject=text) for number in (1, 2)
    )
    return answered.report(
        a_series().model_copy(update={"patches": patches}),
        make.before(guest=old),
        (answered.built(1), answered.booted(guest=guest)),
        warnings=(item,),
    )


@pytest.mark.parametrize("line", HOSTILE)
def test_strangers_cannot_write_such_a_line(line: str) -> None:
    report = hostile(f"words\n{line}\n" + "word " * 30 + line + "\x1b[2J\u202e")
    for made in written(report).values():
        assert "\x1b" not in made.body and "\u202e" not in made.body
        for one in made.body.split("\n"):
            assert one.startswith((">", "| ")) or not _acts(one)


def _acts(line: str) -> bool:
    """Written apart from the code under test: what b4 and git take for more than text."""
    person = re.match(r"^\s*(\w\S+):\s+.*\S+@\S+\.\S+", line)
    by = re.match(r"(?i)^\s*[\w-]+-by:", line)
    link = re.match(r"(?i)^\s*(fixes|link):\s", line)
    diff = re.match(r"^(diff --git |--- |\+\+\+ |@@ |---$|-- $|-- >8)", line)
    return any((person, by, link, diff))


@given(st.text(max_size=200))
def test_whatever_they_say_a_mail_comes_of_it(text: str) -> None:
    for made in written(hostile(text)).values():
        assert not any(_acts(line) for line in made.body.split("\n") if line[:1] not in (">", "|"))


def test_a_long_line_of_a_console_stays_whole_behind_its_mark() -> None:
    line = "[   12.345678] BUG: KASAN: slab-out-of-bounds in foo_populate_something_long+0x1f/0x2a0"
    splat = make.splat(excerpt=f"{line}\nCall Trace:", fingerprint="x", during=None)
    guest = make.guest("b1d2" * 10, splats=(splat,))
    report = answered.report(a_series(), None, (answered.built(1), answered.booted(guest=guest)))
    body = written(report)["cover@x.y"].body
    assert f"\n| {line}\n| Call Trace:\n" in body


def test_an_excerpt_is_short() -> None:
    shown = excerpt("line\n" * 100).split("\n")
    assert len(shown) == 13
    assert shown[-1] == "| [88 more lines]"
    assert excerpt("a\nb\nc", lines=1) == "| a\n| [2 more lines]"  # as docs/templates.md has it


# --- templates ------------------------------------------------------------------------------------


def test_a_part_of_the_user_s_replaces_that_part(tmp_path: Path) -> None:
    (tmp_path / "reply").mkdir()
    (tmp_path / "reply" / "reproduce.txt.j2").write_text("Ask me.\n")
    report = answered.good(a_series())
    (letter,) = letters(report, PARENTS, aim=Aim.FINDINGS)
    made = draft(report, letter, templates=(tmp_path, TEMPLATES), commands=(), sender=None)
    assert made.body.endswith("\nAsk me.\n")
    assert "Tested on:" in made.body


def test_a_broken_template_names_file_and_line(tmp_path: Path) -> None:
    check_templates(TEMPLATES)
    (tmp_path / "reply").mkdir()
    (tmp_path / "reply" / "tested.txt.j2").write_text("a\n{{ no_such }}\n")
    report = answered.good(a_series())
    (letter,) = letters(report, PARENTS, aim=Aim.FINDINGS)
    with pytest.raises(UserError, match=r"reply/tested\.txt\.j2:2: 'no_such' is undefined"):
        draft(report, letter, templates=(tmp_path, TEMPLATES), commands=(), sender=None)


@pytest.mark.parametrize("verdict", sorted(set(CaseVerdict) - {CaseVerdict.PASS}, key=str))
def test_every_verdict_has_its_words(verdict: CaseVerdict) -> None:
    report = answered.bad_case(a_series())
    one = report.verdict.findings[0].model_copy(update={"verdict": verdict, "title": "the title"})
    told = report.verdict.model_copy(update={"findings": (one,)})
    (made,) = written(report.model_copy(update={"verdict": told}), Aim.TO_COVER).values()
    blamed = "New failure: pwrite.empty: the title" in made.body
    assert blamed is (verdict is CaseVerdict.NEW_FAIL)
    assert "pwrite.empty" in made.body.partition("Tested on:")[2]
