# SPDX-License-Identifier: GPL-2.0-or-later
from __future__ import annotations

from pathlib import Path

import pytest

from kverdict import ledger
from kverdict.objects import STATE, object_tree
from kverdict.progress import Silent
from kverdict.runs import Slot


class Clock:
    """A wall clock that can be set."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def mine(tmp_path: Path) -> Slot:
    (tmp_path / "obj").mkdir()
    return Slot(src=tmp_path / "src", obj=tmp_path / "obj")


@pytest.fixture
def clock() -> Clock:
    return Clock()


def build(mine: Slot, clock: Clock, *, strangers: bool = False, leave: str = "vmlinux") -> set[str]:
    """Builds a little, and says what lay there before."""
    with object_tree(mine, strangers=strangers, progress=Silent(), clock=clock) as obj:
        before = {path.name for path in obj.iterdir()}
        (obj / ".config").write_text("CONFIG_X=y\n")
        (obj / leave).write_text("")
        (obj / "vmlinux").write_text("")
        ledger.write(obj, ledger.Ledger())
        clock.now += 10
    return before


def test_objects_of_which_nobody_knows_the_warnings_are_worthless(mine: Slot, clock: Clock) -> None:
    build(mine, clock)
    ledger.forget(mine.obj)
    assert "vmlinux" not in build(mine, clock)


def test_a_copy_knows_what_the_compiler_said(mine: Slot, clock: Clock) -> None:
    build(mine, clock)
    with object_tree(mine, strangers=True, progress=Silent(), clock=clock) as obj:
        assert ledger.read(obj) == ledger.Ledger()


def test_objects_of_one_build_serve_the_next(mine: Slot, clock: Clock) -> None:
    build(mine, clock)
    assert "vmlinux" in build(mine, clock)


def test_a_build_that_was_broken_off_serves_for_nothing(mine: Slot, clock: Clock) -> None:
    with (
        pytest.raises(KeyboardInterrupt),
        object_tree(mine, strangers=False, progress=Silent(), clock=clock) as obj,
    ):
        (obj / "vmlinux").write_text("half")
        raise KeyboardInterrupt
    assert "vmlinux" not in build(mine, clock)
    assert "vmlinux" in build(mine, clock)


@pytest.mark.parametrize("strangers", [False, True])
def test_a_clock_that_went_back_makes_objects_worthless(
    mine: Slot, clock: Clock, strangers: bool
) -> None:
    """make would take a file that was changed now for older than what was made of it."""
    build(mine, clock)
    clock.now -= 3600
    assert "vmlinux" not in build(mine, clock, strangers=strangers)


def test_set_back_while_it_was_building_as_well(mine: Slot, clock: Clock) -> None:
    with object_tree(mine, strangers=False, progress=Silent(), clock=clock) as obj:
        (obj / "vmlinux").write_text("")
        clock.now -= 3600
    clock.now += 7200
    assert "vmlinux" not in build(mine, clock)


def test_a_state_that_cannot_be_read_is_none(mine: Slot, clock: Clock) -> None:
    build(mine, clock)
    (mine.obj.parent / STATE).write_text('{"building": fal')
    assert "vmlinux" not in build(mine, clock)


def test_a_stranger_s_build_starts_from_ours_and_leaves_nothing(mine: Slot, clock: Clock) -> None:
    build(mine, clock)
    assert build(mine, clock, strangers=True, leave="planted") >= {"vmlinux", ".config"}
    left = {path.name for path in mine.obj.parent.iterdir()}
    assert left == {"obj", STATE, ledger.FILE}
    assert "planted" not in build(mine, clock, strangers=True)
    assert "planted" not in build(mine, clock)


def test_the_copy_keeps_time_stamps(mine: Slot, clock: Clock) -> None:
    build(mine, clock)
    stamp = (mine.obj / "vmlinux").stat().st_mtime_ns
    with object_tree(mine, strangers=True, progress=Silent(), clock=clock) as obj:
        assert obj != mine.obj
        assert (obj / "vmlinux").stat().st_mtime_ns == stamp
