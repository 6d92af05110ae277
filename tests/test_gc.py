# SPDX-License-Identifier: GPL-2.0-or-later
"""What is freed, what is never touched, and that it is said."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from kverdict.errors import InfraError
from kverdict.gc import (
    CacheFolder,
    Outcome,
    RunFolder,
    Why,
    collect,
    judge_runs,
    run_folders,
    size_of,
    surplus,
)
from kverdict.progress import Silent
from kverdict.runs import Store, finish_run, open_run, slot, write_links
from kverdict.settings import Keep, Settings

HOME = Path(__file__).resolve().parent.parent
DAY = 86400.0


def a_run(
    name: str,
    *,
    finished: bool = True,
    running: bool = False,
    linked: bool = False,
    kept: bool = False,
    days: float = 1,
) -> RunFolder:
    return RunFolder(Path(name), finished, running, linked, kept, days)


def test_the_newest_runs_stay() -> None:
    judged = judge_runs([a_run("c"), a_run("b"), a_run("a")], Keep(runs=2))
    assert [why for _, why in judged] == [Why.AMONG_NEWEST, Why.AMONG_NEWEST, Why.SURPLUS]


def test_old_runs_go_though_they_are_among_the_newest() -> None:
    judged = judge_runs([a_run("b"), a_run("a", days=91)], Keep(runs=2, days=90))
    assert [why for _, why in judged] == [Why.AMONG_NEWEST, Why.OLD]


def test_an_unfinished_run_goes_only_when_it_is_old() -> None:
    runs = [a_run("c"), a_run("b", finished=False), a_run("a", finished=False, days=91)]
    assert [why for _, why in judge_runs(runs, Keep(runs=0))] == [Why.SURPLUS, Why.YOUNG, Why.OLD]


@pytest.mark.parametrize("finished", [True, False])
def test_what_is_in_use_linked_or_kept_stays_however_old(finished: bool) -> None:
    runs = [
        a_run("c", running=True, days=999, finished=finished),
        a_run("b", linked=True, days=999, finished=finished),
        a_run("a", kept=True, days=999, finished=finished),
    ]
    judged = judge_runs(runs, Keep(runs=0, days=0))
    assert [why for _, why in judged] == [Why.RUNNING, Why.LINKED, Why.KEPT]


def linking(name: str, *links: str, days: float = 1) -> RunFolder:
    return replace(a_run(name, days=days), links=frozenset(links))


def test_what_a_page_that_stays_links_to_stays_with_all_that_it_links_to() -> None:
    runs = [
        linking("v7", "v6"),
        linking("v6", "v5", days=999),
        linking("v5", "gone", days=999),
        linking("other", "its", days=999),
        linking("its", days=999),
    ]
    judged = [why for _, why in judge_runs(runs, Keep(runs=1))]
    assert judged == [Why.AMONG_NEWEST, Why.SHOWN, Why.SHOWN, Why.OLD, Why.OLD]


def test_what_is_linked_to_does_not_count_among_the_newest() -> None:
    runs = [linking("c"), linking("b"), linking("a", "c")]
    kept = [why for _, why in judge_runs([replace(runs[0], shown=True), *runs[1:]], Keep(runs=2))]
    assert kept == [Why.SHOWN, Why.AMONG_NEWEST, Why.AMONG_NEWEST]
    assert [why for _, why in judge_runs(runs, Keep(runs=2))][2] is Why.SURPLUS


def test_the_longest_unused_of_the_cache_goes_first_and_no_more_than_needed() -> None:
    cache = [CacheFolder(Path(name), 10, used) for name, used in (("a", 3), ("b", 1), ("c", 2))]
    assert [item.path.name for item in surplus(cache, 100, 85)] == ["b", "c"]
    assert surplus(cache, 100, 100) == []
    assert len(surplus(cache, 100, 0)) == 3


def aged(path: Path, days: float) -> None:
    then = path.stat().st_mtime - days * DAY
    os.utime(path, (then, then))


def finished_run(runs: Path, name: str, days: float = 0) -> Path:
    with open_run(runs, name, {"name": name}, "1") as folder:
        (folder / "report.txt").write_text("x" * 10000)
        finish_run(folder)
    aged(folder / "run.json", days)
    return folder


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(runs=str(tmp_path / "runs"), cache=str(tmp_path / "cache"))


def gone(outcome: Outcome) -> set[Path]:
    return {item.path for item in outcome.removed}


def test_old_runs_are_removed_and_their_bytes_told(settings: Settings) -> None:
    runs = settings.runs_folder
    old, new = finished_run(runs, "old", 100), finished_run(runs, "new")
    size = size_of(old)
    would = collect(settings, Keep(), Silent(), dry_run=True)
    assert old.exists()
    outcome = collect(settings, Keep(), Silent(), dry_run=False)
    assert gone(outcome) == gone(would) == {old}
    assert outcome.size == would.size == size
    assert size >= 10000
    assert list(runs.iterdir()) == [new]


def test_linked_and_kept_runs_stay(settings: Settings, tmp_path: Path) -> None:
    runs = settings.runs_folder
    linked, kept, other = (finished_run(runs, name, 100) for name in ("a", "b", "c"))
    (runs / "latest").symlink_to(linked.name)
    (kept / "keep").touch()
    assert gone(collect(settings, Keep(), Silent(), dry_run=False)) == {other}
    assert linked.exists()
    assert kept.exists()


def test_runs_that_the_nights_index_links_to_stay(settings: Settings) -> None:
    runs = settings.runs_folder
    night, bisection, other = (finished_run(runs, name, 100) for name in ("n", "b", "o"))
    (runs / "nightly").mkdir()
    write_links(runs / "nightly", (night.name, bisection.name))
    assert gone(collect(settings, Keep(), Silent(), dry_run=False)) == {other}
    (runs / "nightly/links.json").write_text("half")
    with pytest.raises(InfraError, match=r"links\.json is damaged"):
        collect(settings, Keep(), Silent(), dry_run=False)
    (runs / "nightly/links.json").unlink()
    assert gone(collect(settings, Keep(), Silent(), dry_run=False)) == {night, bisection}
    assert (runs / "nightly").is_dir()


HOLD = """
import sys, time; from pathlib import Path; from kverdict.runs import Store, open_run, slot
from kverdict.progress import Silent
runs, cache = Path(sys.argv[1]), Path(sys.argv[2])
with open_run(runs, "a", {"name": "held"}, "1") as folder, Store(cache / "stages").in_use(), \\
     slot(cache / "slots", "k", Silent()) as mine:
    (mine.obj / "vmlinux").write_text("x" * 10000)
    print(folder, flush=True); time.sleep(1000)
"""


def test_a_running_run_keeps_all_that_it_uses(settings: Settings, tmp_path: Path) -> None:
    file = tmp_path / "build.json"
    file.write_text("{}")
    entry = Store(settings.cache_folder / "stages").add("builds", "ab", [file])
    words = [sys.executable, "-c", HOLD, str(settings.runs_folder), str(settings.cache_folder)]
    nothing = Keep(runs=0, days=0, cache_gib=0)
    with subprocess.Popen(words, cwd=HOME, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        folder = Path(holder.stdout.readline().strip())
        aged(folder / "run.json", 999)
        (run,) = run_folders(settings.runs_folder)
        assert run.running
        outcome = collect(settings, nothing, Silent(), dry_run=False)
        assert outcome.removed == ()
        assert outcome.notes[0] == "a run is at work: its stages stay"
        assert folder.exists()
        assert entry.exists()
        assert (settings.cache_folder / "slots/k-0/obj/vmlinux").exists()
        holder.kill()
    outcome = collect(settings, nothing, Silent(), dry_run=False)
    assert gone(outcome) == {folder, entry, settings.cache_folder / "slots/k-0"}
    assert not folder.exists()
    assert not entry.exists()
    with slot(settings.cache_folder / "slots", "k", Silent()) as mine:
        assert mine.obj.parent.name == "k-0"
        assert list(mine.obj.iterdir()) == []


def test_of_the_cache_the_last_used_stays(settings: Settings, tmp_path: Path) -> None:
    store = Store(settings.cache_folder / "stages")
    file = tmp_path / "vmlinux"
    file.write_bytes(os.urandom(1 << 20))
    entries = [store.add("builds", name, [file]) for name in ("aa", "bb", "cc")]
    for days, entry in zip((1, 2, 3), entries, strict=True):
        aged(entry, days)
    assert store.find("builds", "cc") == entries[2]  # used just now
    limit = (size_of(settings.cache_folder) - (1 << 19)) / (1 << 30)
    outcome = collect(settings, Keep(cache_gib=limit), Silent(), dry_run=False)
    assert gone(outcome) == {entries[1]}
    assert not entries[1].exists()
    assert store.find("builds", "aa") == entries[0]
    assert store.find("builds", "cc") == entries[2]


def test_nothing_there_is_nothing_to_do(settings: Settings) -> None:
    assert collect(settings, Keep(), Silent(), dry_run=False) == Outcome((), ())


def test_links_are_not_followed_when_sizes_are_added_up(tmp_path: Path) -> None:
    (tmp_path / "big").write_bytes(b"x" * 100_000)
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "link").symlink_to(tmp_path / "big")
    (tmp_path / "a" / "up").symlink_to(tmp_path)
    assert size_of(tmp_path / "a") < 50_000
