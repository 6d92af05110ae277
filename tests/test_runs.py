# SPDX-License-Identifier: GPL-2.0-or-later
from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kverdict.errors import InfraError
from kverdict.progress import Silent
from kverdict.runs import (
    Store,
    abandoned,
    check_usable,
    digest_of,
    finish_run,
    is_running,
    open_run,
    read_state,
    run_states,
    scratch,
    slot,
    slugify,
    sweep,
    write_atomically,
)

HOME = Path(__file__).resolve().parent.parent


def python(script: str, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", script, *arguments], cwd=HOME, stdout=subprocess.PIPE, text=True
    )


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    made = []
    for name in ("build.json", "build.log"):
        path = tmp_path / name
        path.write_text(f"contents of {name}\n")
        made.append(path)
    return made


def test_what_is_added_is_found(tmp_path: Path, files: list[Path]) -> None:
    store = Store(tmp_path / "store")
    assert store.find("builds", "k1") is None
    added = store.add("builds", "k1", files)
    assert store.find("builds", "k1") == added
    assert (added / "build.log").read_text() == "contents of build.log\n"
    assert store.find("builds", "k2") is None
    assert store.find("guests", "k1") is None


def change(entry: Path) -> None:
    (entry / "build.log").write_text("contents of build.lOg\n")


def truncate(entry: Path) -> None:
    os.truncate(entry / "build.log", 5)


def extend(entry: Path) -> None:
    with (entry / "build.log").open("a") as log:
        log.write("more")


def lose(entry: Path) -> None:
    (entry / "build.log").unlink()


def link(entry: Path) -> None:
    (entry / "build.log").rename(entry.parent.parent / "elsewhere")
    (entry / "build.log").symlink_to(entry.parent.parent / "elsewhere")


def folder(entry: Path) -> None:
    (entry / "build.log").unlink()
    (entry / "build.log").mkdir()


def fifo(entry: Path) -> None:
    (entry / "build.log").unlink()
    os.mkfifo(entry / "build.log")


def further_file(entry: Path) -> None:
    (entry / "vmlinux").write_text("from nowhere")


def no_manifest(entry: Path) -> None:
    (entry / "manifest.json").unlink()


def half_a_manifest(entry: Path) -> None:
    os.truncate(entry / "manifest.json", 20)


def garbled_manifest(entry: Path) -> None:
    (entry / "manifest.json").write_bytes(b"\xff\x00" * 50)


def manifest_of_another_file(entry: Path) -> None:
    digest = hashlib.sha256(Path("/etc/hostname").read_bytes()).hexdigest()
    (entry / "manifest.json").write_text(json.dumps({"files": {"/etc/hostname": digest}}))


def manifest_that_climbs(entry: Path) -> None:
    text = (entry / "manifest.json").read_text()
    (entry / "manifest.json").write_text(text.replace("build.log", "../k1/build.log"))


def manifest_is_a_folder(entry: Path) -> None:
    (entry / "manifest.json").unlink()
    (entry / "manifest.json").mkdir()


def entry_is_a_link(entry: Path) -> None:
    entry.rename(entry.parent.parent / "elsewhere")
    entry.symlink_to(entry.parent.parent / "elsewhere")


def entry_is_a_file(entry: Path) -> None:
    shutil.rmtree(entry)
    entry.write_text("")


DAMAGES = [
    *(change, truncate, extend, lose, link, folder, fifo, further_file, no_manifest),
    *(half_a_manifest, garbled_manifest, manifest_of_another_file, manifest_that_climbs),
    *(manifest_is_a_folder, entry_is_a_link, entry_is_a_file),
]


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_a_damaged_entry_counts_as_absent_and_is_replaced(
    tmp_path: Path, files: list[Path], damage: Callable[[Path], None]
) -> None:
    store = Store(tmp_path / "store")
    entry = store.add("builds", "k1", files)
    damage(entry)
    assert store.find("builds", "k1") is None
    assert store.add("builds", "k1", files) == entry
    assert store.find("builds", "k1") == entry
    assert (entry / "build.log").read_text() == "contents of build.log\n"
    assert names(entry.parent) == [".lock", "k1"]


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_damaged_entry_is_not_taken_from_a_run_that_reads_it(
    tmp_path: Path, files: list[Path]
) -> None:
    store = Store(tmp_path / "store")
    entry = store.add("builds", "k1", files)
    extend(entry)
    assert store.find("builds", "k1") is None
    assert names(entry) == ["build.json", "build.log", "manifest.json"]


ADD = """
import sys; from pathlib import Path; from kverdict.runs import Store
store = Store(Path(sys.argv[1])); files = [Path(name) for name in sys.argv[2:]]
for number in range(60):
    entry = store.add("builds", f"k{number}", files)
    assert store.find("builds", f"k{number}") == entry
"""


def test_two_processes_add_the_same_at_once(tmp_path: Path, files: list[Path]) -> None:
    adders = [python(ADD, str(tmp_path / "store"), *map(str, files)) for _ in range(3)]
    for adder in adders:
        adder.communicate()
    assert [adder.returncode for adder in adders] == [0, 0, 0]
    assert len(Store(tmp_path / "store").entries()) == 60
    assert len(names(tmp_path / "store/builds")) == 61


def test_adding_twice_keeps_the_first(tmp_path: Path, files: list[Path]) -> None:
    store = Store(tmp_path / "store")
    first = store.add("builds", "k1", files).stat().st_ino
    assert store.add("builds", "k1", files).stat().st_ino == first
    assert names(tmp_path / "store/builds") == [".lock", "k1"]


def test_a_store_in_use_is_not_unused(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    with store.in_use(), store.in_use(), store.unused() as free:
        assert not free
    with store.unused() as free:
        assert free


def test_an_interrupted_add_leaves_nothing(tmp_path: Path, files: list[Path]) -> None:
    store = Store(tmp_path / "store")
    with pytest.raises(FileNotFoundError):
        store.add("builds", "k1", [*files, tmp_path / "missing"])
    assert names(tmp_path / "store/builds") == []


def test_write_atomically_replaces_and_leaves_no_draft(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    write_atomically(path, "one")
    write_atomically(path, b"two")
    assert path.read_text() == "two"
    assert list(tmp_path.iterdir()) == [path]


def test_keys_are_made_of_content() -> None:
    assert digest_of({"a": 1, "b": 2}) == digest_of({"b": 2, "a": 1})
    assert digest_of("ab", "c") != digest_of("a", "bc")


def test_two_users_of_a_tree_get_two_slots(tmp_path: Path) -> None:
    with slot(tmp_path, "k", Silent()) as one, slot(tmp_path, "k", Silent()) as two:
        assert one.obj != two.obj
    with slot(tmp_path, "k", Silent()) as again:
        assert again == one


def test_slots_run_out_with_a_remedy(tmp_path: Path) -> None:
    from contextlib import ExitStack

    with ExitStack() as stack:
        for _ in range(8):
            stack.enter_context(slot(tmp_path, "k", Silent()))
        with pytest.raises(InfraError, match="wait for one to end"):
            stack.enter_context(slot(tmp_path, "k", Silent()))


def test_a_killed_process_holds_no_slot(tmp_path: Path) -> None:
    script = (
        "import sys, time; from pathlib import Path; from kverdict.runs import slot; "
        "from kverdict.progress import Silent\n"
        f"with slot(Path({str(tmp_path)!r}), 'k', Silent()):\n"
        "    print('held', flush=True); time.sleep(1000)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script], cwd=HOME, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with slot(tmp_path, "k", Silent()) as mine:
            assert mine.obj.parent.name == "k-1"
        os.kill(holder.pid, signal.SIGKILL)
    with slot(tmp_path, "k", Silent()) as mine:
        assert mine.obj.parent.name == "k-0"


def test_an_unfinished_run_goes_on_and_a_finished_one_does_not(tmp_path: Path) -> None:
    asked: dict[str, object] = {"series": ["a.mbx"]}
    with open_run(tmp_path, "a.mbx", asked, "1") as first:
        pass
    with open_run(tmp_path, "a.mbx", asked, "1") as second:
        assert second == first
        finish_run(second)
    with open_run(tmp_path, "a.mbx", asked, "1") as third:
        assert third != first


def test_another_request_or_version_gets_its_own_run(tmp_path: Path) -> None:
    with open_run(tmp_path, "a", {"base": None}, "1") as first:
        pass
    with open_run(tmp_path, "a", {"base": "v7.2"}, "1") as second:
        pass
    with open_run(tmp_path, "a", {"base": None}, "2") as third:
        pass
    assert len({first, second, third}) == 3


def test_a_run_in_use_is_not_shared(tmp_path: Path) -> None:
    with open_run(tmp_path, "a", {}, "1") as first, open_run(tmp_path, "a", {}, "1") as second:
        assert first != second


def test_a_damaged_run_json_is_no_run(tmp_path: Path) -> None:
    with open_run(tmp_path, "a", {}, "1") as folder:
        (folder / "run.json").write_text('{"asked": {}')
    assert read_state(folder) is None
    with open_run(tmp_path, "a", {}, "1") as other:
        assert other != folder


def test_a_scratch_folder_is_gone_after_its_use(tmp_path: Path) -> None:
    with scratch(tmp_path / "new", "results-") as folder:
        (folder / "console.log").write_text("x")
        assert folder.parent == tmp_path / "new"
    assert list((tmp_path / "new").iterdir()) == []


def test_a_scratch_folder_is_gone_after_an_error(tmp_path: Path) -> None:
    with pytest.raises(KeyError), scratch(tmp_path, "am-") as folder:
        (folder / "x").write_text("x")
        raise KeyError
    assert list(tmp_path.iterdir()) == []


HOLD_SCRATCH = """
import sys, time; from pathlib import Path; from kverdict.runs import scratch
with scratch(Path(sys.argv[1]), "am-") as folder:
    (folder / "half").write_text("written")
    print(folder, flush=True); time.sleep(1000)
"""


def test_what_a_killed_process_left_is_swept_and_what_lives_is_not(tmp_path: Path) -> None:
    with python(HOLD_SCRATCH, str(tmp_path)) as lives, python(HOLD_SCRATCH, str(tmp_path)) as dies:
        assert lives.stdout is not None and dies.stdout is not None
        used, left = (Path(p.stdout.readline().strip()) for p in (lives, dies) if p.stdout)
        assert used.is_dir() and left.is_dir()
        assert abandoned(tmp_path, "am-") == ()
        dies.kill()
        dies.wait()
        assert abandoned(tmp_path, "am-", "results-") == (left,)
        with scratch(tmp_path, "am-"):
            assert not left.exists()
        assert (used / "half").read_text() == "written"
        lives.kill()
        lives.wait()
    assert sweep(tmp_path, "am-") == (used,)
    assert list(tmp_path.iterdir()) == []


def test_only_names_that_we_give_are_swept(tmp_path: Path) -> None:
    for name in ("am-notes", "am-abcdefg", "am-abcdefghi", "xam-abcdefgh", "am-ABCDEFGH"):
        (tmp_path / name).mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "am-alinkabc").symlink_to("elsewhere")
    before = sorted(tmp_path.iterdir())
    assert sweep(tmp_path, "am-") == ()
    assert sorted(tmp_path.iterdir()) == before


def test_folders_without_permission_and_very_deep_ones_are_discarded(tmp_path: Path) -> None:
    with scratch(tmp_path, "results-") as folder:
        (folder / "closed" / "inner").mkdir(parents=True)
        (folder / "closed").chmod(0)
        (folder / "link").symlink_to("/etc")
        here = os.open(folder, os.O_RDONLY)
        for _ in range(3000):
            os.mkdir("d", dir_fd=here)
            below = os.open("d", os.O_RDONLY, dir_fd=here)
            os.close(here)
            here = below
        os.close(here)
    assert list(tmp_path.iterdir()) == []
    assert Path("/etc/passwd").exists()


WRITE = """
import sys; from pathlib import Path; from kverdict.runs import write_atomically
for number in range(200):
    write_atomically(Path(sys.argv[1]) / "x.json", f"{number}" * 1000)
"""


def test_processes_that_write_the_same_file_at_once(tmp_path: Path) -> None:
    writers = [python(WRITE, str(tmp_path)) for _ in range(3)]
    for writer in writers:
        writer.communicate()
    assert [writer.returncode for writer in writers] == [0, 0, 0]
    assert (tmp_path / "x.json").read_text() == "199" * 1000
    assert names(tmp_path) == ["x.json"]


def test_the_draft_of_a_killed_process_is_swept_by_the_next_writer(tmp_path: Path) -> None:
    (tmp_path / ".x.json.ab12cd34").write_text("half")
    (tmp_path / ".x.json.mine").write_text("something else")
    assert abandoned(tmp_path) == (tmp_path / ".x.json.ab12cd34",)
    write_atomically(tmp_path / "x.json", "whole")
    assert names(tmp_path) == [".x.json.mine", "x.json"]


def test_a_link_to_a_run_is_no_run(tmp_path: Path) -> None:
    with open_run(tmp_path, "a", {}, "1") as run:
        (tmp_path / "latest").symlink_to(run.name)
        with open_run(tmp_path, "a", {}, "1") as other:
            assert other not in (run, tmp_path / "latest")
            assert is_running(run)
    assert not is_running(run)
    assert [folder for folder, _ in run_states(tmp_path)] == [other, run]


SCRATCH_AND_SWEEP = """
import sys; from pathlib import Path; from kverdict.runs import scratch
for _ in range(200):
    with scratch(Path(sys.argv[1]), "am-") as folder:
        (folder / "x").write_text("x")
        assert (folder / "x").read_text() == "x"
"""


def test_sweeping_never_takes_a_folder_that_was_just_made(tmp_path: Path) -> None:
    racers = [python(SCRATCH_AND_SWEEP, str(tmp_path)) for _ in range(4)]
    assert [racer.wait() for racer in racers] == [0, 0, 0, 0]
    for racer in racers:
        racer.communicate()
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_run_left_half_written_is_gone_when_it_goes_on(tmp_path: Path) -> None:
    with open_run(tmp_path, "a", {}, "1") as run:
        evaluation = run / "evaluations" / "ab12"
        for folder in (evaluation / "results-ab12cd34", run / ".series.ab12cd34"):
            (folder / "deep").mkdir(parents=True)
        for file in (run / ".run.json.ab12cd34", evaluation / ".config.json.ab12cd34"):
            file.write_text("half")
        (evaluation / "config.json").write_text("whole")
    with open_run(tmp_path, "a", {}, "1") as again:
        assert again == run
        assert names(run) == [".lock", "evaluations", "run.json"]
        assert names(evaluation) == ["config.json"]


def test_the_newest_run_is_told_by_its_number_not_by_a_clock_that_went_back(tmp_path: Path) -> None:
    with open_run(tmp_path, "a", {}, "1") as older, open_run(tmp_path, "a", {}, "1") as newer:
        pass
    # As if the clock had been a year ahead when the first one began.
    ahead = older.rename(tmp_path / "20990101T000000Z-a")
    with open_run(tmp_path, "a", {}, "1") as taken:
        assert taken == newer
        with open_run(tmp_path, "a", {}, "1") as other:
            assert other == ahead
            with open_run(tmp_path, "a", {}, "1") as third:
                state = read_state(third)
                assert state is not None
                assert state.number == 3


@pytest.mark.parametrize("what", ["asked", "version", "request_digest"])
def test_a_run_json_that_was_changed_is_not_gone_on_with(tmp_path: Path, what: str) -> None:
    with open_run(tmp_path, "a", {"base": "v7.2"}, "1") as folder:
        state = json.loads((folder / "run.json").read_text())
        state[what] = {"base": "v7.3"} if what == "asked" else "2"
        (folder / "run.json").write_text(json.dumps(state))
    assert read_state(folder) is None


def test_a_folder_that_is_a_file_is_told_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("")
    with pytest.raises(
        InfraError, match=r"the runs folder .*/runs cannot be used: File exists: name"
    ):
        check_usable(tmp_path / "runs", "runs")
    with pytest.raises(InfraError, match=r"the cache folder .* cannot be used: Not a directory"):
        check_usable(tmp_path / "runs" / "below", "cache")
    check_usable(tmp_path / "new" / "one", "runs")
    assert list((tmp_path / "new" / "one").iterdir()) == []


@pytest.mark.parametrize("error", [FileNotFoundError, FileExistsError, BlockingIOError])
def test_an_error_of_the_run_comes_through_its_lock(tmp_path: Path, error: type[OSError]) -> None:
    with pytest.raises(error, match="inside"), open_run(tmp_path, "a", {}, "1"):
        raise error("inside")


@given(st.text())
def test_slugs_are_safe_folder_names(text: str) -> None:
    slug = slugify(text)
    assert 0 < len(slug) <= 48
    assert set(slug) <= set("abcdefghijklmnopqrstuvwxyz0123456789.-")
    assert not slug.startswith((".", "-"))
