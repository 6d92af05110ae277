# SPDX-License-Identifier: GPL-2.0-or-later
"""./pipeline.py export, and what it takes from a run's folder."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from kverdict import cli
from kverdict.exports.files import Format
from kverdict.exports.folder import look_at, patch_digests
from kverdict.exports.kcidb import patchset_hash
from tests.exports.reports import kinds
from tests.exports.runs import NAME, finished

KINDS = kinds()
ALL = {format.value for format in Format}
Call = Callable[..., int]


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Call:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)

    def run(*args: str | Path) -> int:
        monkeypatch.setattr(sys, "argv", ["pipeline.py", "export", *map(str, args)])
        return int(cli._status())

    return run


def made(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()} & ALL


@pytest.mark.parametrize(
    ("options", "files"),
    [
        ((), ALL),
        (("--all",), ALL),
        (("--junit", "--all"), ALL),
        (("--junit",), {"junit.xml"}),
        (("--kcidb", "--ktap"), {"kcidb.json", "results.ktap"}),
        (("--sarif",), {"warnings.sarif"}),
        (("--github",), {"summary.md"}),
    ],
)
def test_the_files_that_were_asked_for_are_in_the_folder(
    tmp_path: Path,
    call: Call,
    capsys: pytest.CaptureFixture[str],
    options: tuple[str, ...],
    files: set[str],
) -> None:
    folder = finished(tmp_path, KINDS["series"])
    assert call(folder, *options) == 0
    assert made(folder) == files
    said = capsys.readouterr().out.splitlines()
    assert {Path(line).name for line in said} == files


def test_twice_gives_the_same_bytes(tmp_path: Path, call: Call) -> None:
    folder = finished(tmp_path, KINDS["series"])
    contents = []
    for _ in range(2):
        assert call(folder) == 0
        contents.append({name: (folder / name).read_bytes() for name in ALL})
    assert contents[0] == contents[1]


def test_the_job_s_page_is_added_to_only_when_asked(
    tmp_path: Path, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = finished(tmp_path, KINDS["good"])
    page = tmp_path / "step"
    page.write_text("before\n")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(page))
    assert call(folder) == 0
    assert page.read_text() == "before\n"
    assert call(folder, "--github") == 0
    assert page.read_bytes() == b"before\n" + (folder / "summary.md").read_bytes()


def test_times_and_patches_come_from_the_folder(tmp_path: Path, call: Call) -> None:
    report = KINDS["good"]
    folder = finished(tmp_path, report)
    run = look_at(folder, report)
    assert (run.name, run.started) == (NAME, datetime(2026, 11, 22, 23, 53, 56, tzinfo=UTC))
    assert run.patches == tuple(
        hashlib.sha256(mail).hexdigest()
        for mail in (
            b"Subject: [PATCH 1/2] one\n\nFrom here\n---\n",
            b"Subject: [PATCH 2/2] two\n\n>From there\n---\n",
        )
    )
    linked = tmp_path / "seed"
    linked.symlink_to(folder)
    assert look_at(linked, report) == run
    other = tmp_path / "20269999T999999Z-x"
    other.mkdir()
    assert (look_at(other, report).started, look_at(other, report).patches) == (None, ())


def test_no_mailbox_no_patches() -> None:
    assert patch_digests(b"") == ()


def test_kcidb_gets_its_settings_and_the_patches(tmp_path: Path, call: Call) -> None:
    (tmp_path / "pipeline.toml").write_text('[kcidb]\norigin = "our_ci"\ntree = "mainline"\n')
    report = KINDS["series"].model_copy(update={"series": KINDS["series"].series})
    mails = report.series.patches[:2]
    report = report.model_copy(
        update={"series": report.series.model_copy(update={"patches": mails})}
    )
    folder = finished(tmp_path, report)
    assert call(folder, "--kcidb") == 0
    checkout = json.loads((folder / "kcidb.json").read_text())["checkouts"][1]
    assert (checkout["origin"], checkout["tree_name"]) == ("our_ci", "mainline")
    assert checkout["patchset_hash"] == patchset_hash(look_at(folder, report).patches[:1])


@pytest.mark.parametrize("what", ["unfinished", "no report", "no state", "damaged", "nothing"])
def test_only_a_finished_run_can_be_exported(
    tmp_path: Path, call: Call, capsys: pytest.CaptureFixture[str], what: str
) -> None:
    folder = finished(tmp_path, KINDS["good"], done=what != "unfinished")
    if what == "no report":
        (folder / "verdict.json").unlink()
    if what == "damaged":
        (folder / "verdict.json").write_text("{}")
    if what == "no state":
        (folder / "run.json").unlink()
    assert call(tmp_path / "x" if what == "nothing" else folder) == 129
    assert "is not the folder of a finished run" in capsys.readouterr().err
    assert made(folder) == set()
