# SPDX-License-Identifier: GPL-2.0-or-later
from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kverdict.errors import InfraError
from kverdict.progress import Silent
from kverdict.runs import (
    Store,
    abandoned,
    digest_of,
    finish_run,
    open_run,
    read_state,
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


@pytest.mark.parametrize("damage", ["changed", "truncated", "gone", "no manifest", "bad manifest"])
def test_a_damaged_entry_counts_as_absent(tmp_path: Path, files: list[Path], damage: str) -> None:
    store = Store(tmp_path / "store")
    added = store.add("builds", "k1", files)
    log = added / "build.log"
    if damage == "changed":
        log.write_text("contents of build.lOg\n")
    elif damage == "truncated":
        log.write_bytes(log.read_bytes()[:-1])
    elif damage == "gone":
        log.unlink()
    elif damage == "no manifest":
        (added / "manifest.json").unlink()
    else:
        (added / "manifest.json").write_text('{"files": ')
    assert store.find("builds", "k1") is None
    assert not added.exists()
    assert store.find("builds", "k1") is None
    assert store.add("builds", "k1", files) == added
    assert store.find("builds", "k1") == added


def test_adding_twice_keeps_the_first(tmp_path: Path, files: list[Path]) -> None:
    store = Store(tmp_path / "store")
    store.add("builds", "k1", files)
    store.add("builds", "k1", files)
    assert [path.name for path in (tmp_path / "store/builds").iterdir()] == ["k1"]


def test_an_interrupted_add_leaves_nothing(tmp_path: Path, files: list[Path]) -> None:
    store = Store(tmp_path / "store")
    with pytest.raises(FileNotFoundError):
        store.add("builds", "k1", [*files, tmp_path / "missing"])
    assert list((tmp_path / "store/builds").iterdir()) == []


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
    (tmp_path / "am-afileabc").write_text("a file")
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


@given(st.text())
def test_slugs_are_safe_folder_names(text: str) -> None:
    slug = slugify(text)
    assert 0 < len(slug) <= 48
    assert set(slug) <= set("abcdefghijklmnopqrstuvwxyz0123456789.-")
    assert not slug.startswith((".", "-"))
