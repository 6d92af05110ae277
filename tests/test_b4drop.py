# SPDX-License-Identifier: GPL-2.0-or-later
"""A run's findings in b4 review's drop folder, taken in by b4's own code."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from kverdict import cli, models
from kverdict.b4drop import IDENTITY, Remark, drop, remarks_on, review_of
from kverdict.errors import UserError
from kverdict.judgement import CaseVerdict, FindingKind, Overall, Report
from kverdict.request import request_of
from kverdict.runs import finish_run, open_run, write_atomically
from kverdict.settings import Settings
from tests import factories as make
from tests.repos import Kernel, git, kernel
from tests.test_b4check import b4, finding, judged

GMEM = "virt/kvm/guest_memfd.c"
BRANCH = "b4/review/test"
ASKED = request_of(Settings(), series=["x"], tree="debian:7.2").model_dump(mode="json")
PAGE = "file:///runs/one/report.html"


def warning(line: int = 12, patch: int = 1, **changes: Any) -> models.PinnedWarning:
    said = models.Diagnostic(
        severity="warning",
        file=GMEM,
        line=line,
        message="unused variable 'x'",
        flag="-Wunused-variable",
    )
    return models.PinnedWarning(**{"diagnostic": said, "patch": patch, "touched": True, **changes})


class Setting:
    """A checkout with a review branch that b4 made of two patches, and a run of the same series."""

    def __init__(self, home: Path) -> None:
        self.kernel: Kernel = kernel(home / "linux")
        path = self.kernel.path
        base = self.kernel.sha("HEAD")
        git(path, "checkout", "--quiet", "-b", "series")
        self.kernel.replace("KVM: first", GMEM, "line 12", "int x;\nline 12")
        tip = self.kernel.replace("KVM: second", GMEM, "line 30", "line thirty")
        self.mails = self.kernel.mails(base, tip, "--thread=shallow", "--cover-letter")
        self.box = home / "series.mbx"
        self.box.write_bytes(self.mails)
        git(path, "checkout", "--quiet", "main")
        git(path, "config", "user.name", "Rita Reviewer")
        git(path, "config", "user.email", "rita@example.org")
        git(path, "fetch", "--quiet", ".", "series")
        b4(path, "branch", str(self.box))
        git(path, "checkout", "--quiet", "main")
        self.run = self._run(home / "runs", base, tip)

    def _run(self, runs: Path, base: str, tip: str) -> Path:
        tracking = b4(self.kernel.path, "tracking")
        ids = [patch["header-info"]["msgid"] for patch in tracking["patches"]]
        patches = tuple(make.patch(n, message_id=id) for n, id in enumerate(ids, start=1))
        commits = tuple(
            make.applied().patches[0].model_copy(update={"number": n, "commit": tip})
            for n in (1, 2)
        )
        self.report = make.report(
            series=make.series(patches=patches),
            applied=make.applied(patches=commits, base=base, tip=tip),
        )
        after = self.report.patched_evaluation
        self.report = judged(
            self.report.model_copy(update={"patch_evaluations": (after, after)}), Overall.GOOD
        )
        with open_run(runs, "series", ASKED, "0") as folder:
            (folder / "series").mkdir()
            mails = self.mails.split(b"From mboxrd@z Thu Jan  1 00:00:00 1970\n")[2:]
            start = b"From mboxrd@z Thu Jan  1 00:00:00 1970\n"
            (folder / "series/series.mbx").write_bytes(b"".join(start + one for one in mails))
            finish_run(folder)
        return folder

    def drop(self, report: Report) -> Path:
        return drop(report, self.run, self.kernel.path, PAGE)

    def open(self) -> Any:
        git(self.kernel.path, "checkout", "--quiet", BRANCH)
        return b4(self.kernel.path, "open")


@pytest.fixture
def setting(tmp_path: Path) -> Setting:
    return Setting(tmp_path)


def reviews(tracking: Any, number: int) -> Any:
    return tracking["patches"][number - 1].get("reviews", {}).get("kverdict@localhost", {})


def test_b4_takes_the_findings_in_below_their_lines(setting: Setting) -> None:
    report = judged(
        setting.report.model_copy(update={"warnings": (warning(), warning(30, patch=2))}),
        Overall.BAD,
        finding(patch=2),
        finding(title="of no patch"),
    )
    folder = setting.drop(report)
    assert folder.parent == setting.kernel.path / ".git/b4-review"
    assert (folder / "identity.txt").read_text() == f"{IDENTITY}\n"
    tracking = setting.open()
    assert tracking["taken"] is True
    assert not folder.exists()
    (comment,) = reviews(tracking, 1)["comments"]
    assert (comment["path"], comment["line"]) == (f"b/{GMEM}", 12)
    assert comment["text"] == "compiler: -Wunused-variable: unused variable 'x'"
    assert comment["content"] == "+int x;"
    assert "note" not in reviews(tracking, 1)
    (comment,) = reviews(tracking, 2)["comments"]
    assert comment["line"] == 30
    assert reviews(tracking, 2)["note"].startswith("NEW-FAIL: pwrite.page: what pwrite.page is")
    note = tracking["series"]["reviews"]["kverdict@localhost"]["note"]
    assert note.splitlines()[0].startswith("BAD: ")
    assert "of no patch" in note
    assert note.splitlines()[-1] == f"Report of {setting.run.name}: {PAGE}"


def test_what_b4_has_is_not_given_again(setting: Setting) -> None:
    setting.drop(setting.report)
    setting.drop(setting.report)  # not taken in yet: replaced
    assert setting.open()["taken"] is True
    with pytest.raises(UserError, match=f"b4 has taken in {setting.run.name} already"):
        setting.drop(setting.report)


def test_comments_of_another_that_wait_there_are_kept(setting: Setting) -> None:
    folder = setting.drop(setting.report)
    (folder / "identity.txt").write_text("Agent <agent@example.org>\n")
    with pytest.raises(UserError, match=r"comments by Agent <agent@example\.org> wait in"):
        setting.drop(setting.report)
    assert (folder / "identity.txt").read_text() == "Agent <agent@example.org>\n"
    assert setting.open()["taken"] is True
    assert setting.drop(setting.report).is_dir()


def test_a_linked_worktree_and_a_bare_repository_are_refused(
    setting: Setting, tmp_path: Path
) -> None:
    git(setting.kernel.path, "worktree", "add", "--quiet", str(tmp_path / "linked"), "series")
    with pytest.raises(UserError, match="is a linked worktree, where b4 looks for no comments"):
        drop(setting.report, setting.run, tmp_path / "linked", PAGE)
    git(tmp_path, "clone", "--quiet", "--bare", str(setting.kernel.path), "bare.git")
    with pytest.raises(UserError, match="is a bare repository: b4 review needs a checkout"):
        drop(setting.report, setting.run, tmp_path / "bare.git", PAGE)


def test_a_series_that_is_not_under_review(setting: Setting) -> None:
    other = setting.report.series.model_copy(update={"patches": (make.patch(),)})
    with pytest.raises(UserError, match="check it out first: b4 review track"):
        setting.drop(setting.report.model_copy(update={"series": other}))


def test_branches_that_only_look_like_reviews_are_passed_over(setting: Setting) -> None:
    path = setting.kernel.path
    for name, text in (("a", "no marker"), ("b", "--- b4-review-tracking ---\n{"), ("c", "[]")):
        git(path, "checkout", "--quiet", "-b", f"b4/review/{name}", "main")
        marker = "--- b4-review-tracking ---\n" if name == "c" else ""
        git(path, "commit", "--quiet", "--allow-empty", "-m", f"x\n\n{marker}{text}")
    assert setting.drop(setting.report).is_dir()


def test_our_trouble_says_nothing(setting: Setting) -> None:
    with pytest.raises(UserError, match="says nothing about the series"):
        setting.drop(judged(setting.report, Overall.TROUBLE))


def test_the_command(
    setting: Setting, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_atomically(setting.run / "verdict.json", setting.report.to_json())
    words = ["b4-check", "drop", str(setting.run), "--repo", str(setting.kernel.path)]
    monkeypatch.setattr(sys, "argv", ["pipeline.py", *words])
    assert cli._status() == 0
    assert ".git/b4-review/" in capsys.readouterr().out
    assert setting.open()["taken"] is True


# --- what is said, and its form -------------------------------------------------------------------


def with_notes(**changes: Any) -> Report:
    note = models.CheckNote(
        tool="checkpatch", patch=1, severity="warning", file=GMEM, line=3, message="long line"
    )
    return make.report(
        warnings=(warning(gone_with=2),),
        checks=models.Checks(ran=("checkpatch",), missing=(), notes=(note,)),
        **changes,
    )


def test_lines_are_given_when_they_are_the_mail_s_own() -> None:
    assert list(remarks_on(with_notes(), 1)) == [
        Remark("compiler: -Wunused-variable: unused variable 'x', gone with patch 2", GMEM, 12),
        Remark("checkpatch: warning: long line", GMEM, 3),
    ]
    assert list(remarks_on(with_notes(), 2)) == []


@pytest.mark.parametrize(
    "changes",
    [
        {"base": make.base_choice(blobs_matched=3)},
        {
            "applied": make.applied(
                patches=(make.applied().patches[0].model_copy(update={"three_way": True}),)
            )
        },
    ],
    ids=["other preimages", "3-way"],
)
def test_where_git_may_have_moved_a_hunk_the_line_is_words(changes: dict[str, Any]) -> None:
    first, second = remarks_on(with_notes(**changes), 1)
    assert (first.path, second.path) == (None, None)
    assert second.text == f"{GMEM}:3: checkpatch: warning: long line"


def test_the_error_of_a_build_is_told_with_its_line() -> None:
    report = make.report(patched_evaluation=make.evaluation(build=make.failed_build(), guest=None))
    (remark,) = remarks_on(report, 1)
    assert remark == Remark("compiler: error: expected ';' before 'return'", GMEM, 519)
    assert FindingKind.BUILD in {one.kind for one in report.verdict.findings}


DIFF = """\
what it is about

> diff --git a/quoted b/quoted
---
 f.c | 2 +-
diff --git a/f.c b/f.c
index 1..2 100644
--- a/f.c
+++ b/f.c
@@ -1,3 +1,4 @@ int f(void)
 one
-two
+zwei
+drei
 three
-- 
2.39.5
"""


def test_the_form_of_a_review() -> None:
    remarks = [
        Remark("at the third", "f.c", 3),
        Remark("> not a quotation", "f.c", 4),
        Remark("elsewhere", "f.c", 40),
        Remark("of no line"),
    ]
    assert review_of(DIFF, remarks) == (
        "f.c:40: elsewhere\nof no line\n\n"
        "> diff --git a/f.c b/f.c\n> index 1..2 100644\n> --- a/f.c\n> +++ b/f.c\n"
        "> @@ -1,3 +1,4 @@ int f(void)\n>  one\n> -two\n> +zwei\n> +drei\n\nat the third\n\n"
        ">  three\n\n > not a quotation\n\n> -- \n> 2.39.5\n> \n"
    )


def test_without_a_line_there_is_no_diff() -> None:
    assert review_of(DIFF, [Remark("of no line")]) == "of no line\n"
    assert review_of("no diff", [Remark("x", "f.c", 1)]) == "f.c:1: x\n"


@pytest.mark.parametrize("sign", ["\x0c", "\u2028", "\x1c", "\x85", "\r"])
def test_a_patch_cannot_speak_in_our_name(sign: str) -> None:
    """b4 splits where Python does: what stands after the sign would be an unquoted line."""
    told = review_of(
        DIFF.replace("+zwei", f"+zwei{sign}kverdict: all is well"), [Remark("x", "f.c", 3)]
    )
    assert [line for line in told.splitlines() if line and not line.startswith(">")] == ["x"]


def test_bytes_that_are_no_text_and_endless_remarks() -> None:
    told = review_of(DIFF.replace("zwei", "\udcff"), [Remark("\x1b[2J" + "y" * 9000, "f.c", 3)])
    told.encode()
    assert "\x1b" not in told
    assert max(map(len, told.splitlines())) <= 2000
    many = review_of(DIFF, [Remark(f"remark {n}") for n in range(150)])
    assert many.splitlines()[-1] == "50 more, see the report"


def test_case_findings_go_to_the_note() -> None:
    flaky = finding(CaseVerdict.FLAKY, patch=1, detail="")
    report = judged(make.report(), Overall.GOOD, flaky, finding(patch=None))
    assert list(remarks_on(report, 1)) == [Remark("FLAKY: pwrite.page: what pwrite.page is about")]
