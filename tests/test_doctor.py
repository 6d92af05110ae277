# SPDX-License-Identifier: GPL-2.0-or-later
"""What is wrong is found, said in a line and mended; what is in use is left alone."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from kverdict import __version__, doctor
from kverdict.doctor import Finding, Mark
from kverdict.git import create_bare
from kverdict.runs import Store, open_run, scratch
from kverdict.settings import HOME, Settings

ASKED: dict[str, object] = {
    "series": ["a b.mbx"],
    "tree": "linux",
    "fragments": ["base", "virtme", "kvm", "gcov"],
    "accelerator": "auto",
    "bench_mib": 16,
    "jobs": 2,
}


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    kept = Settings(runs=str(tmp_path / "runs"), cache=str(tmp_path / "cache"))
    kept.runs_folder.mkdir()
    kept.cache_folder.mkdir()
    return kept


def about(settings: Settings) -> list[Finding]:
    """All findings about folders and leftovers; those about the machine have tests of their own."""
    found = [
        *doctor.stages(Store(settings.cache_folder / "stages")),
        *doctor.leftovers(settings.cache_folder),
        *doctor.runs(settings.runs_folder),
    ]
    return [finding for finding in found if finding.mark is not Mark.GOOD]


def draft_of_a_stage(settings: Settings) -> Path:
    return settings.cache_folder / "stages/builds/.draft.ab12cd34/whole"


def slight_worktree(settings: Settings) -> Path:
    return settings.cache_folder / "repos/am/am-ab12cd34/tree"


def copy_of_objects(settings: Settings) -> Path:
    return settings.cache_folder / "slots/k-0/objects-ab12cd34/obj"


def package(settings: Settings) -> Path:
    return settings.cache_folder / "debian/deb-ab12cd34/unpacked"


def half_a_repository(settings: Settings) -> Path:
    return settings.cache_folder / "repos/.linux.git.ab12cd34/whole"


def bin_of_gc(settings: Settings) -> Path:
    return settings.runs_folder / ".gc.ab12cd34/run"


def results_of_a_guest(settings: Settings) -> Path:
    with open_run(settings.runs_folder, "a", ASKED, "1") as run:
        return run / "evaluations/ab/results-ab12cd34/deep"


def run_without_anything(settings: Settings) -> Path:
    return settings.runs_folder / "20260101T000000Z-a"


LEFT = [
    *(draft_of_a_stage, slight_worktree, copy_of_objects, package, half_a_repository, bin_of_gc),
    *(results_of_a_guest, run_without_anything),
]


@pytest.mark.parametrize("make", LEFT, ids=lambda make: make.__name__)
def test_what_a_killed_run_left_is_found_and_removed(
    settings: Settings, make: Callable[[Settings], Path]
) -> None:
    left = make(settings)
    left.mkdir(parents=True)
    (finding,) = [found for found in about(settings) if found.mark is Mark.WRONG]
    assert finding.text.startswith("left by a killed run: ")
    assert str(left).startswith(finding.text.removeprefix("left by a killed run: "))
    assert finding.fix == "remove it"
    assert finding.mend is not None
    finding.mend()
    assert not left.exists()
    assert [found for found in about(settings) if found.mark is Mark.WRONG] == []


def test_what_is_in_use_is_not_left(settings: Settings) -> None:
    with (
        scratch(settings.cache_folder / "repos/am", "am-"),
        open_run(settings.runs_folder, "a", ASKED, "1") as run,
        scratch(run, "results-"),
    ):
        assert about(settings) == []


def test_git_s_locks_and_forgotten_worktrees(settings: Settings) -> None:
    repo = settings.cache_folder / "repos/linux.git"
    create_bare(repo)
    (repo / "HEAD.lock").touch()
    (repo / "worktrees/src").mkdir(parents=True)
    (repo / "worktrees/src/gitdir").write_text("/nowhere/.git\n")
    lines = [finding.text for finding in about(settings)]
    assert lines == [
        f"left by a killed run: {repo}/HEAD.lock",
        f"left by a killed run: {repo}/worktrees/src",
    ]
    for finding in about(settings):
        assert finding.mend is not None
        finding.mend()
    assert about(settings) == []


@pytest.mark.parametrize("kind", ["changed", "a link", "a file"])
def test_a_damaged_stage_is_found_and_removed(
    settings: Settings, tmp_path: Path, kind: str
) -> None:
    store = Store(settings.cache_folder / "stages")
    (tmp_path / "build.json").write_text("{}")
    whole = store.add("builds", "aa", [tmp_path / "build.json"])
    entry = store.add("builds", "bb", [tmp_path / "build.json"])
    if kind == "changed":
        os.truncate(entry / "build.json", 1)
    else:
        shutil.rmtree(entry)
        if kind == "a link":
            entry.symlink_to(whole)
        else:
            entry.touch()
    (finding,) = about(settings)
    assert finding.text == f"cache: {entry} is not what was stored"
    assert finding.mend is not None
    with store.in_use():
        finding.mend()
        assert os.path.lexists(entry)
    finding.mend()
    assert not os.path.lexists(entry)
    assert store.find("builds", "aa") == whole


def test_an_unfinished_run_is_no_trouble_and_its_command_is_told(settings: Settings) -> None:
    with open_run(settings.runs_folder, "a", ASKED, __version__) as run:
        pass
    (finding,) = about(settings)
    assert finding == Finding(
        Mark.NOTE,
        f"unfinished: {run}: goes on with the same command: "
        "./pipeline.py verify --tree linux 'a b.mbx'",
    )


def test_an_unfinished_run_of_another_version_is_not_gone_on_with(settings: Settings) -> None:
    with open_run(settings.runs_folder, "a", ASKED, "0.0.9") as run:
        pass
    (finding,) = about(settings)
    expected = f"unfinished: {run}: no command goes on with it: it is version 0.0.9's"
    assert finding == Finding(Mark.NOTE, expected)


def test_a_damaged_run_json_is_left_to_people(settings: Settings) -> None:
    with open_run(settings.runs_folder, "a", ASKED, "1") as run:
        pass
    os.truncate(run / "run.json", 10)
    (finding,) = about(settings)
    assert finding.mark is Mark.WRONG
    assert finding.mend is None
    assert "run.json is damaged" in finding.text
    assert run.exists()


def test_no_room_is_wrong(tmp_path: Path) -> None:
    assert doctor.room(tmp_path, "cache", 1).mark is Mark.GOOD
    assert doctor.room(tmp_path, "cache", 1 << 60).mark is Mark.WRONG


def test_a_folder_that_cannot_be_used_is_wrong(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    finding = doctor.usable_folder(tmp_path / "file", "runs")
    assert finding.mark is Mark.WRONG
    assert "cannot be used" in finding.text


def test_without_tools_nothing_works(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    assert {finding.mark for finding in doctor.tools()} == {Mark.WRONG}
    assert doctor.sandbox().mark is Mark.WRONG


def test_the_folder_of_the_nights_is_no_run_and_their_runs_go_on(tmp_path: Path) -> None:
    asked: dict[str, object] = {"nightly": "mainline", "night": "0001-20261122", "tree": "/linux"}
    with open_run(tmp_path, "nightly-mainline", asked, __version__) as run:
        pass
    (tmp_path / "nightly/mainline").mkdir(parents=True)
    (left := tmp_path / "nightly/mainline/.0001-20261122.json.ab12cd34").touch()
    texts = {finding.text: finding for finding in doctor.runs(tmp_path)}
    assert set(texts) == {
        f"unfinished: {run}: goes on with the same command: ./pipeline.py nightly",
        f"left by a killed run: {left}",
    }
    mend = texts[f"left by a killed run: {left}"].mend
    assert mend is not None
    mend()
    assert not left.exists()


def test_what_is_optional_is_a_note_with_what_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "SYSTEM_PATH", "/nowhere")
    found = {finding.text: finding.mark for finding in doctor.optional_tools()}
    assert set(found.values()) == {Mark.NOTE}
    assert "spatch is not installed: no coccicheck (Debian's coccinelle)" in found


@pytest.mark.host
def test_optional_tools_say_their_version() -> None:
    found = [finding for finding in doctor.optional_tools() if finding.mark is Mark.GOOD]
    assert len(found) == len(doctor.OPTIONAL)
    for finding in found:
        assert re.search(r": .*\d+\.\d+", finding.text)


def pipeline(home: Path, *words: str) -> subprocess.CompletedProcess[str]:
    (home / "pipeline.toml").write_text(f'cache = "{home}/cache"\nruns = "{home}/runs"\n')
    return subprocess.run(
        ["./pipeline.py", *words, "--config", str(home / "pipeline.toml")],
        cwd=HOME,
        env={**os.environ, "TMPDIR": str(home / "tmp")},
        capture_output=True,
        text=True,
    )


@pytest.mark.host
def test_from_the_command_line(tmp_path: Path) -> None:
    (tmp_path / "tmp/kverdict-probe-ab12cd34").mkdir(parents=True)
    (tmp_path / "cache/repos/am/am-ab12cd34").mkdir(parents=True)
    first = pipeline(tmp_path, "doctor")
    assert first.returncode == 128
    assert "WRONG  left by a killed run" in first.stdout
    assert first.stdout.count(": --fix would remove it\n") == 2
    assert "ok     sandbox: a program runs in it\n" in first.stdout
    second = pipeline(tmp_path, "doctor", "--fix")
    assert second.returncode == 0, second.stdout
    assert second.stdout.count("fixed  left by a killed run") == 2
    third = pipeline(tmp_path, "doctor")
    assert third.returncode == 0
    assert "WRONG" not in third.stdout
    assert list((tmp_path / "tmp").iterdir()) == []


@pytest.mark.host
def test_runs_from_the_command_line(tmp_path: Path) -> None:
    assert pipeline(tmp_path, "runs", "list").stdout == ""
    with open_run(tmp_path / "runs", "a", ASKED, "1") as run:
        listed = pipeline(tmp_path, "runs", "list").stdout
        assert listed.split() == ["running", "0", "MiB", str(run)]
        kept = pipeline(tmp_path, "runs", "gc", "--older-than", "0")
        assert kept.stdout == "0 bytes freed in 0 folders\n"
    assert pipeline(tmp_path, "runs", "list").stdout.startswith("unfinished ")
    would = pipeline(tmp_path, "runs", "gc", "--older-than", "0", "--dry-run")
    assert would.stdout.endswith(" bytes would be freed in 1 folders\n")
    assert run.exists()
    done = pipeline(tmp_path, "runs", "gc", "--older-than", "0")
    assert f"bytes  {run} (too old)\n" in done.stdout
    assert not run.exists()
