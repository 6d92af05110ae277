# SPDX-License-Identifier: GPL-2.0-or-later
"""Finished runs for b4 review: what is said, where it is found, and b4's own code asking for it."""

from __future__ import annotations

import ast
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kverdict.b4check import (
    CHECK,
    Asked,
    Scope,
    Status,
    asked_in,
    check_file,
    look_up,
    page_of,
    rows_of,
    run_folder,
)
from kverdict.errors import UserError
from kverdict.judgement import CaseVerdict, Finding, FindingKind, Overall, Report
from kverdict.models import Evaluation
from kverdict.render.report import render
from kverdict.runs import finish_run, open_run
from kverdict.settings import HOME
from tests import factories as make
from tests.repos import git, kernel

COVER, FIRST, SECOND = "v1-0@dev.example", "v1-1@dev.example", "v1-2@dev.example"


def series_of_two(**changes: Any) -> Report:
    """A good report of a cover letter and two patches, of which the second was booted."""
    patches = tuple(make.patch(n, message_id=f"v1-{n}@dev.example") for n in (1, 2))
    commits = tuple(
        make.applied().patches[0].model_copy(update={"number": n, "commit": commit})
        for n, commit in ((1, "c0" * 20), (2, make.TIP))
    )
    whole = make.report(
        series=make.series(message_id=COVER, patches=patches),
        applied=make.applied(patches=commits),
    )
    built = make.evaluation(describe="patch 1/2", guest=None)
    return whole.model_copy(
        update={"patch_evaluations": (built, whole.patched_evaluation), **changes}
    )


def judged(report: Report, overall: Overall, *findings: Finding) -> Report:
    verdict = report.verdict.model_copy(update={"overall": overall, "findings": findings})
    return report.model_copy(update={"verdict": verdict})


def finding(verdict: CaseVerdict = CaseVerdict.NEW_FAIL, **changes: Any) -> Finding:
    return Finding(
        **{
            "kind": FindingKind.CASE,
            "verdict": verdict,
            "title": "what pwrite.page is about",
            "detail": "expected 4096, got 0\nand more",
            "case": "pwrite.page",
            **changes,
        }
    )


def statuses(report: Report) -> list[str]:
    """Of the series, of patch 1, of patch 2."""
    return [row.status.value for row in rows_of(report)]


GOOD, BAD, UNTESTABLE = Overall.GOOD, Overall.BAD, Overall.UNTESTABLE


@pytest.mark.parametrize(
    ("overall", "findings", "expected"),
    [
        (GOOD, (), ["pass", "pass", "pass"]),
        (GOOD, (finding(CaseVerdict.PRE_EXISTING, patch=1),), ["pass", "pass", "pass"]),
        (GOOD, (finding(advice=True, patch=1),), ["pass", "pass", "pass"]),
        (GOOD, (finding(CaseVerdict.FLAKY),), ["warn", "pass", "pass"]),
        (GOOD, (finding(CaseVerdict.FLAKY, patch=2),), ["warn", "pass", "warn"]),
        (BAD, (finding(),), ["fail", "pass", "pass"]),
        (BAD, (finding(patch=1),), ["fail", "fail", "pass"]),
        (BAD, (finding(patch=2), finding(advice=True, patch=1)), ["fail", "pass", "fail"]),
        (UNTESTABLE, (), ["warn", "warn", "warn"]),
        (Overall.TROUBLE, (finding(CaseVerdict.INFRA),), []),
        (Overall.TROUBLE, (finding(patch=1),), []),
    ],
)
def test_the_status_of_each_row(
    overall: Overall, findings: tuple[Finding, ...], expected: list[str]
) -> None:
    assert statuses(judged(series_of_two(), overall, *findings)) == expected


def test_a_patch_that_only_an_earlier_one_breaks_is_no_pass() -> None:
    broken: Evaluation = make.evaluation(build=make.failed_build(), guest=None)
    report = judged(
        series_of_two(patch_evaluations=(broken, broken)),
        BAD,
        finding(kind=FindingKind.BUILD, case=None, patch=1),
    )
    assert statuses(report) == ["fail", "fail", "warn"]
    assert rows_of(report)[2].summary == "does not build; no failure is pinned to it"


def test_a_patch_is_told_its_own_findings_only() -> None:
    report = judged(series_of_two(), BAD, finding(patch=1, title="mine"), finding(title="nobody's"))
    series, first, second = rows_of(report)
    assert [detail.description for detail in series.details][:2] == [
        "mine: expected 4096, got 0",
        "nobody's: expected 4096, got 0",
    ]
    assert [detail.description for detail in first.details] == ["mine: expected 4096, got 0"]
    assert first.summary == "builds; 1 new failure"
    assert second.details == ()
    assert second.summary == "builds, booted; no failure is pinned to it"


def test_a_stranger_s_words_cannot_act_and_are_bounded() -> None:
    hostile = finding(title="\x1b[2J\u202eevil\n\n" + "x" * 5000, detail="\x00")
    rows = rows_of(judged(series_of_two(), BAD, *[hostile] * 60))
    shown = check_file(judged(series_of_two(), BAD, hostile))
    assert "\x1b" not in shown
    assert "\u202e" not in shown
    named = [detail for detail in rows[0].details if detail.context == "pwrite.page"]
    assert len(named) == 50
    assert max(len(detail.description) for detail in rows[0].details) <= 160
    assert any(detail.description == "10 more, see report.html" for detail in rows[0].details)


def test_proofs_that_do_not_hold_are_told_and_others_are_not() -> None:
    lost = make.guest(build_id="ab" * 20)
    report = make.report(patched_evaluation=make.evaluation(guest=lost))
    told = rows_of(judged(report, GOOD))[0].details
    assert [(one.status, one.context, one.state) for one in told] == [
        (Status.WARN, "identity", "fails")
    ]
    assert rows_of(series_of_two())[0].details == ()


# --- the look-up ----------------------------------------------------------------------------------


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    return tmp_path / "runs"


def finished(runs: Path, report: Report, name: str = "series", *, finish: bool = True) -> Path:
    """A run's folder as verify leaves it."""
    with open_run(runs, name, {"series": [name], "at": len(list(runs.glob("*")))}, "0") as folder:
        (folder / "series").mkdir(exist_ok=True)
        (folder / "series/series.json").write_text(report.series.to_json())
        render(report, folder, templates=HOME / "templates", commands=("true",))
        if finish:
            finish_run(folder)
    return folder


def found(runs: Path, message_id: str = COVER, scope: Scope = Scope.SERIES) -> list[str]:
    return [row["status"] for row in look_up(scope, Asked(message_id), runs, None)]


def test_what_is_found_by_which_mail(runs: Path) -> None:
    finished(runs, judged(series_of_two(), BAD, finding(patch=2)))
    assert found(runs) == ["fail"]
    assert found(runs, FIRST, Scope.PATCH) == ["pass"]
    assert found(runs, SECOND, Scope.PATCH) == ["fail"]
    assert found(runs, COVER, Scope.PATCH) == []
    assert found(runs, SECOND) == []
    assert found(runs, "v1-1@dev.exampl", Scope.PATCH) == []


def test_the_first_patch_without_a_cover_letter_is_both_in_two_columns(runs: Path) -> None:
    report = series_of_two()
    report = report.model_copy(
        update={"series": report.series.model_copy(update={"message_id": FIRST})}
    )
    finished(runs, report)
    tools = [look_up(scope, Asked(FIRST), runs, None)[0]["tool"] for scope in Scope]
    assert tools == ["kverdict", "kverdict-patch"]


def test_nothing_is_said_without_a_finished_run(runs: Path) -> None:
    assert found(runs) == []
    finished(runs, series_of_two(), finish=False)
    assert found(runs) == []


def test_the_newer_run_wins_also_when_it_says_nothing(runs: Path) -> None:
    finished(runs, series_of_two(), "first")
    finished(runs, judged(series_of_two(), BAD, finding()), "second")
    assert found(runs) == ["fail"]
    finished(runs, judged(series_of_two(), Overall.TROUBLE), "third")
    assert found(runs) == []


def removed(file: Path) -> None:
    file.unlink()


def emptied(file: Path) -> None:
    file.write_bytes(b"")


def cut(file: Path) -> None:
    os.truncate(file, file.stat().st_size // 2)


def forged(file: Path) -> None:
    file.write_bytes(file.read_bytes().replace(b'"fail"', b'"pass"'))


def without_the_id(file: Path) -> None:
    file.write_bytes(file.read_bytes().replace(COVER.encode(), b"v9-0@dev.example"))


def of_another_form(file: Path) -> None:
    rest = f'"rows": 1, "ids": ["{COVER}", "{SECOND}"]}}\n'
    digest = hashlib.sha256(rest.encode()).hexdigest()
    file.write_text(f'{{ "digest": "{digest}",\n{rest}')


def a_folder(file: Path) -> None:
    file.unlink()
    file.mkdir()


@pytest.mark.parametrize(
    "damage",
    [removed, emptied, cut, forged, without_the_id, of_another_form, a_folder],
    ids=lambda it: it.__name__,
)
def test_a_missing_or_damaged_check_json_is_made_up_for(
    runs: Path, damage: Callable[[Path], None]
) -> None:
    folder = finished(runs, judged(series_of_two(), BAD, finding(patch=2)))
    damage(folder / CHECK)
    assert found(runs) == ["fail"]
    assert found(runs, SECOND, Scope.PATCH) == ["fail"]


def test_an_older_run_answers_for_one_of_which_nothing_can_be_read(runs: Path) -> None:
    finished(runs, series_of_two(), "first")
    folder = finished(runs, judged(series_of_two(), BAD, finding()), "second")
    cut(folder / CHECK)
    cut(folder / "verdict.json")
    assert found(runs) == ["pass"]
    (folder / "series/series.json").unlink()
    assert found(runs) == ["pass"]


def test_links_and_strange_files_in_the_runs_folder_are_passed_over(
    runs: Path, tmp_path: Path
) -> None:
    finished(tmp_path / "elsewhere", series_of_two())
    runs.mkdir()
    (runs / "link").symlink_to(next((tmp_path / "elsewhere").iterdir()))
    (runs / "file").write_text(COVER)
    assert found(runs) == []
    assert look_up(Scope.SERIES, Asked(COVER), runs / "file", None) == []


@pytest.mark.parametrize(
    ("mail", "expected"),
    [
        (b"Message-ID: <a@b>\n\nbody", "a@b"),
        (b"Subject: x\r\nmessage-id:\r\n <a@b>\r\n\r\nbody", "a@b"),
        (b"Message-ID: <a@b>\nMessage-ID: <c@d>\n\n", "a@b"),
        (b"Subject: x\n\nMessage-ID: <a@b>\n", None),
        (b"Message-ID: <>\n\n", None),
        (b"Message-ID: <<<>>>\n\n", None),
        (b"", None),
        (b"\x00\xff\xfe", None),
        (b"Message-ID: <\xff@b>\n\n", "\ufffd@b"),
    ],
)
def test_the_message_id_of_a_mail(mail: bytes, expected: str | None) -> None:
    assert asked_in(mail) == ((Asked(expected),) if expected else ())


@pytest.mark.parametrize(
    ("subject", "revision"),
    [("Re: [PATCH 0/2] x", 1), ("Re: [PATCH RFC v3 0/2] x", 3), ("AW: [PATCHv2 0/2] v9", 2)],
)
def test_an_answer_stands_for_what_it_answers_in_its_revision(subject: str, revision: int) -> None:
    """b4 hands over an answer to the cover letter in place of it."""
    mail = f"Message-ID: <r@x>\nSubject: {subject}\nReferences: <a@x>\n <b@x>\nIn-Reply-To: <b@x>"
    assert asked_in(f"{mail}\n\n".encode()) == (
        Asked("r@x"),
        Asked("b@x", revision),
        Asked("a@x", revision),
    )
    assert asked_in(f"{mail}\n\n".replace(subject, "[PATCH v2 0/2] x").encode()) == (Asked("r@x"),)


def test_an_answer_to_one_revision_is_not_given_the_other_s_result(runs: Path) -> None:
    finished(runs, series_of_two())  # v7
    assert look_up(Scope.SERIES, Asked(COVER, 7), runs, None) != []
    assert look_up(Scope.SERIES, Asked(COVER, 8), runs, None) == []


def test_the_page(tmp_path: Path) -> None:
    folder = tmp_path / "2026 run"
    assert page_of(folder, None) == f"file://{tmp_path}/2026%20run/report.html"
    assert page_of(folder, "https://ci.example/{run}/x") == "https://ci.example/2026%20run/x"


def test_a_run_by_path_and_by_name(runs: Path) -> None:
    folder = finished(runs, series_of_two())
    assert run_folder(folder, runs) == folder
    assert run_folder(Path(folder.name), runs) == folder
    with pytest.raises(UserError, match="nothing is not the folder of a run"):
        run_folder(Path("nothing"), runs)


# --- the command, and b4 --------------------------------------------------------------------------


def mail(number: int) -> bytes:
    return (
        f"From: Alice Example <alice@example.org>\nSubject: [PATCH {number}/2] KVM: x\n"
        f"Date: Fri, 14 Nov 2025 15:18:41 +0000\nMessage-ID: <v1-{number}@dev.example>\n\n"
        "what it is about\n"
    ).encode()


def check(*words: str, stdin: bytes, cwd: Path = HOME) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, str(HOME / "pipeline.py"), "b4-check", *words],
        input=stdin,
        cwd=cwd,
        capture_output=True,
    )


@pytest.fixture
def config(runs: Path, tmp_path: Path) -> Path:
    runs.mkdir()
    file = tmp_path / "pipeline.toml"
    file.write_text('runs = "runs"\n[b4]\nurl = "https://ci.example/{run}/report.html"\n')
    return file


def test_the_command_answers_from_anywhere(runs: Path, config: Path, tmp_path: Path) -> None:
    folder = finished(runs, judged(series_of_two(), BAD, finding(patch=2)))
    (tmp_path / "tree").mkdir()
    done = check("series", "--config", str(config), stdin=mail(0), cwd=tmp_path / "tree")
    assert (done.returncode, done.stderr) == (0, b"")
    (row,) = json.loads(done.stdout)
    assert row["tool"] == "kverdict"
    assert row["url"] == f"https://ci.example/{folder.name}/report.html"
    assert json.loads(row["details"])[0]["state"] == "NEW-FAIL"


def test_the_settings_of_the_tree_under_review_are_not_read(tmp_path: Path) -> None:
    """Whoever sends a series could bring a runs folder that calls it good."""
    tree = tmp_path / "tree"
    finished(tree / "runs", series_of_two())
    (tree / "pipeline.toml").write_text('runs = "runs"\n')
    done = check("series", stdin=mail(0), cwd=tree)
    assert (done.returncode, done.stdout) == (0, b"")


@pytest.mark.parametrize(
    ("settings", "stdin"),
    [
        ("", mail(0)),
        ("", b""),
        ("", b"\x00" * 4096),
        ("", b"x" * (2 << 20)),
        ("no = 1", mail(0)),
        ("not TOML", mail(0)),
        ('runs = "pipeline.toml"', mail(0)),
    ],
)
def test_no_result_and_our_own_trouble_are_no_row(
    tmp_path: Path, settings: str, stdin: bytes
) -> None:
    (tmp_path / "pipeline.toml").write_text(settings or 'runs = "empty"')
    done = check("patch", "--config", str(tmp_path / "pipeline.toml"), stdin=stdin)
    assert (done.returncode, done.stdout) == (0, b"")
    assert b"Traceback" not in done.stderr


def test_the_engine_is_not_loaded_for_a_look_up() -> None:
    script = "import sys, kverdict.commands.b4_check; print(sorted(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=HOME, capture_output=True, text=True, check=True
    )
    loaded = set(ast.literal_eval(done.stdout))
    assert loaded & {"git", "jinja2", "scipy", "kverdict.evaluate", "kverdict.verify"} == set()


def b4(repo: Path, *words: str) -> Any:
    """b4's own review code in ``repo``, with nothing of the user's configuration."""
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(repo.parent),
        "XDG_DATA_HOME": str(repo.parent / "data"),
        "XDG_CACHE_HOME": str(repo.parent / "cache"),
        "GIT_CONFIG_NOSYSTEM": "1",
        "LC_ALL": "C.UTF-8",
    }
    done = subprocess.run(
        [sys.executable, str(HOME / "tests/b4review.py"), *words],
        cwd=repo,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture
def repo(tmp_path: Path, config: Path) -> Path:
    """A checkout with the two lines of set-up of docs/b4-review.md."""
    made = kernel(tmp_path / "linux")
    for scope in ("series", "perpatch"):
        command = f"{HOME}/pipeline.py b4-check {scope.removeprefix('per')} --config {config}"
        git(made.path, "config", f"b4.review-{scope}-check-cmd", command)
    return made.path


def test_b4_shows_what_the_run_says(repo: Path, runs: Path, config: Path, tmp_path: Path) -> None:
    box = tmp_path / "thread.mbx"
    box.write_bytes(
        b"".join(b"From x Thu Jan  1 00:00:00 1970\n" + mail(n) + b"\n" for n in range(3))
    )
    nothing = {"series": [], "patches": {FIRST: [], SECOND: []}}
    assert b4(repo, "checks", str(box)) == nothing
    finished(runs, judged(series_of_two(), BAD, finding(patch=2)))
    answer = mail(0).replace(b"Subject: [PATCH", b"Subject: Re: [PATCH v7")
    answer = answer.replace(
        b"Message-ID: <v1-0", b"In-Reply-To: <v1-0@dev.example>\nMessage-ID: <r"
    )
    assert json.loads(check("series", "--config", str(config), stdin=answer).stdout)
    shown = b4(repo, "checks", str(box))
    assert [(row["tool"], row["status"]) for row in shown["series"]] == [("kverdict", "fail")]
    rows = {name: rows[0] for name, rows in shown["patches"].items()}
    assert rows[FIRST]["status"] == "pass"
    assert rows[SECOND]["status"] == "fail"
    assert json.loads(rows[SECOND]["details"]) == [
        {
            "status": "fail",
            "context": "pwrite.page",
            "state": "NEW-FAIL",
            "description": "what pwrite.page is about: expected 4096, got 0",
        }
    ]
    finished(runs, judged(series_of_two(), Overall.TROUBLE), "our trouble")
    assert b4(repo, "checks", str(box)) == nothing
