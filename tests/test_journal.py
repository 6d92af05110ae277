# SPDX-License-Identifier: GPL-2.0-or-later
"""The journal: what was written is given out again, in order, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from kverdict.bisection import Answer, Role, Step
from kverdict.errors import UserError
from kverdict.journal import Journal, read_replay, read_steps

SHAS = tuple(letter * 40 for letter in "abcd")


def answering(role: Role, commit: str, answer: Answer = Answer.GOOD) -> Step:
    return Step(number=1, role=role, commit=commit, subject="s", answer=answer, why="passes")


class Asked:
    def __init__(self) -> None:
        self.commits: list[str] = []

    def __call__(self, journal: Journal, role: Role, commit: str) -> Step:
        def ask(number: int) -> Step:
            self.commits.append(commit)
            return answering(role, commit).model_copy(update={"number": number})

        return journal.step(role, commit, ask)


@pytest.fixture
def written(tmp_path: Path) -> Path:
    journal, asked = Journal(tmp_path), Asked()
    asked(journal, Role.BAD_END, SHAS[0])
    asked(journal, Role.STEP, SHAS[1])
    asked(journal, Role.STEP, SHAS[2])
    assert [step.number for step in journal.steps] == [1, 2, 3]
    return tmp_path


def test_what_was_written_is_not_asked_again(written: Path) -> None:
    journal, asked = Journal(written), Asked()
    known: list[Step] = []
    for role, commit in zip((Role.BAD_END, Role.STEP, Role.STEP), SHAS, strict=False):
        journal.step(role, commit, lambda number: answering(role, commit), known.append)  # noqa: B023
    asked(journal, Role.STEP, SHAS[3])
    assert asked.commits == [SHAS[3]]
    assert [step.commit for step in known] == list(SHAS[:3])
    assert len(read_steps(written / "steps")) == 4


def test_a_journal_of_another_way_is_dropped_from_there(written: Path) -> None:
    journal, asked = Journal(written), Asked()
    asked(journal, Role.BAD_END, SHAS[0])
    asked(journal, Role.STEP, SHAS[3])
    asked(journal, Role.STEP, SHAS[2])
    assert asked.commits == [SHAS[3], SHAS[2]]


def test_what_was_dropped_does_not_come_back(written: Path) -> None:
    Asked()(Journal(written), Role.BAD_END, SHAS[3])  # and killed
    assert [step.commit for step in read_steps(written / "steps")] == [SHAS[3]]


@pytest.mark.parametrize("damage", ["", "{", '{"number": 2}', "\0"])
def test_damage_ends_what_is_believed(written: Path, damage: str) -> None:
    (written / "steps/0002.json").write_text(damage)
    assert [step.number for step in read_steps(written / "steps")] == [1]
    journal, asked = Journal(written), Asked()
    for role, commit in zip((Role.BAD_END, Role.STEP, Role.STEP), SHAS, strict=False):
        asked(journal, role, commit)
    assert asked.commits == [SHAS[1], SHAS[2]]


def test_a_file_under_another_number_is_no_step(written: Path) -> None:
    (written / "steps/0003.json").rename(written / "steps/0002.json")
    assert len(read_steps(written / "steps")) == 1


def test_replays(written: Path, tmp_path: Path) -> None:
    answers = dict.fromkeys(SHAS[1:3], Answer.GOOD)
    assert read_replay(written, ("good", "bad")) == answers
    assert read_replay(written / "steps", ("good", "bad")) == answers
    log = tmp_path / "log"
    log.write_text(f"git bisect bad {SHAS[0]}\n")
    assert read_replay(log, ("good", "bad")) == {SHAS[0]: Answer.BAD}
    for content, said in ((b"", "has no answers"), (b"\xff\xfe\0", "has no answers")):
        log.write_bytes(content)
        with pytest.raises(UserError, match=said):
            read_replay(log, ("good", "bad"))
    with log.open("wb") as file:
        file.truncate(9 << 20)
    with pytest.raises(UserError, match="over 8 MiB"):
        read_replay(log, ("good", "bad"))
    with pytest.raises(UserError, match="cannot be read"):
        read_replay(tmp_path / "nothing", ("good", "bad"))
