# SPDX-License-Identifier: GPL-2.0-or-later
"""The rules of what is known, what is next, and what is forgotten."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kverdict.stages.fetch import Hit, Offer
from kverdict.watchstate import (
    Entry,
    Memory,
    State,
    groups,
    load,
    overdue,
    renewed,
    save,
    unknown,
    with_offer,
    with_trouble,
    without_hope,
)

NOW = datetime(2026, 11, 27, 12, 0, tzinfo=UTC)
DAY = timedelta(days=1)


def hit(name: str, **changes: Any) -> Hit:
    return Hit(
        **{
            "message_id": f"{name}@x",
            "subject": name,
            "sender": "alice@example.org",
            "revision": 1,
            "date": NOW,
            "thread": "0@x",
            **changes,
        }
    )


def offer(*names: str, revision: int = 1) -> Offer:
    ids = frozenset(f"{name}@x" for name in names)
    return Offer(f"{names[0]}@x", revision, "KVM: x", "Alice <alice@example.org>", ids)


def entry(name: str, state: State = State.QUEUED, **changes: Any) -> Entry:
    return Entry(
        **{
            "message_id": f"{name}@x",
            "revision": 1,
            "subject": name,
            "author": "Alice <alice@example.org>",
            "state": state,
            "found": NOW,
            **changes,
        }
    )


def memory_of(*entries: Entry) -> Memory:
    memory = Memory()
    for one in entries:
        memory = memory.put(one)
    return memory


def test_mails_that_were_sent_together_are_one_group() -> None:
    hits = [hit("0"), hit("1"), hit("b", sender="bob@example.org"), hit("v2", revision=2)]
    assert [[one.subject for one in group] for group in groups(hits)] == [["0", "1"], ["b"], ["v2"]]


def test_an_offer_stands_in_line_once_and_its_mails_are_known() -> None:
    memory = with_offer(Memory(), offer("0", "1", "2"), [hit("1")], NOW)
    assert [one.state for one in memory.of(*State)] == [State.QUEUED]
    assert unknown(memory, [hit("0"), hit("1"), hit("2"), hit("3")]) == [hit("3")]
    done = memory.put(memory.of(State.QUEUED)[0].with_(state=State.DONE))
    again = with_offer(done, offer("0", "1", "2", "late"), [hit("late")], NOW)
    assert [one.state for one in again.of(*State)] == [State.DONE]
    assert unknown(again, [hit("late")]) == []


def test_two_revisions_with_one_message_id_are_two_series() -> None:
    memory = with_offer(Memory(), offer("0", "1"), [hit("1")], NOW)
    memory = with_offer(memory, offer("0", "1", revision=2), [hit("1", revision=2)], NOW)
    assert [one.key for one in memory.of(State.QUEUED)] == ["0@x v1", "0@x v2"]


@pytest.mark.parametrize(
    ("may_pass", "later", "expected", "asked_again"),
    [
        (True, timedelta(), State.WAITING, True),
        (True, DAY - timedelta(seconds=1), State.WAITING, True),
        (True, DAY, State.FAILED, False),
        (False, timedelta(), State.FAILED, False),
    ],
)
def test_a_hole_is_waited_for_and_other_trouble_is_not(
    may_pass: bool, later: timedelta, expected: State, asked_again: bool
) -> None:
    group = [hit("1"), hit("2")]
    memory = with_trouble(Memory(), group, "a hole", may_pass=may_pass, now=NOW)
    if later:
        # One more mail has come, and is the first of them now.
        group = [hit("0"), *group]
        memory = with_trouble(memory, group, "a hole", may_pass=may_pass, now=NOW + later)
    (found,) = memory.of(*State)
    assert (found.state, found.trouble) == (expected, "a hole")
    assert (unknown(memory, group) == group) is asked_again


def test_a_hole_that_no_query_finds_any_more_is_given_up_as_well() -> None:
    memory = with_trouble(Memory(), [hit("1"), hit("2")], "a hole", may_pass=True, now=NOW)
    assert overdue(memory, NOW + DAY - timedelta(seconds=1)) == []
    (late,) = overdue(memory, NOW + DAY)
    memory = without_hope(memory, late, NOW + DAY)
    assert [(one.state, one.trouble) for one in memory.of(*State)] == [(State.FAILED, "a hole")]
    assert unknown(memory, [hit("1"), hit("2")]) == []
    assert overdue(memory, NOW + DAY) == []


@pytest.mark.parametrize("state", [one for one in State if one is not State.WAITING])
@pytest.mark.parametrize("may_pass", [False, True])
def test_trouble_takes_nothing_from_what_is_known(state: State, may_pass: bool) -> None:
    known = entry("1", state)
    memory = with_trouble(memory_of(known), [hit("1")], "gone", may_pass=may_pass, now=NOW)
    assert memory.of(*State) == [known]
    assert unknown(memory, [hit("1")]) == []


def test_a_series_that_became_whole_takes_the_place_of_what_waited() -> None:
    memory = with_trouble(Memory(), [hit("1")], "a hole", may_pass=True, now=NOW)
    memory = with_offer(memory, offer("0", "1", "2"), [hit("0"), hit("1")], NOW)
    assert [(one.message_id, one.state) for one in memory.of(*State)] == [("0@x", State.QUEUED)]


def test_what_was_begun_goes_first_then_the_oldest() -> None:
    memory = memory_of(
        entry("young"),
        entry("old", found=NOW - DAY),
        entry("begun", State.BEGUN),
        entry("done", State.DONE),
        entry("waits", State.WAITING),
        entry("failed", State.FAILED),
        entry("verified", State.VERIFIED),
    )
    order = []
    while (one := memory.next()) is not None:
        order.append(one.subject)
        memory = memory.put(one.with_(state=State.DONE))
    assert order == ["begun", "old", "young"]


def test_the_first_revision_goes_before_the_second_of_the_same_time() -> None:
    memory = memory_of(entry("a", revision=2), entry("b", revision=1))
    assert memory.next() == entry("b", revision=1)


def test_a_day_is_a_day_in_utc() -> None:
    memory = Memory()
    for hours in (-13, -12, 0, 11, 12):
        memory = memory.count(NOW + timedelta(hours=hours))
    assert memory.begun_on(NOW) == 3
    assert memory.begun_on(NOW + DAY) == 1
    assert memory.count(NOW + 3 * DAY).begun == (NOW + 3 * DAY,)


def test_a_mail_is_remembered_as_long_as_it_is_found_and_some_weeks_more() -> None:
    memory = Memory().mark(["a@x", "b@x"], "", NOW)
    later = NOW + timedelta(days=29)
    memory = renewed(memory, [hit("a")], later)
    assert set(memory.seen) == {"a@x", "b@x"}
    memory = renewed(memory, [], NOW + timedelta(days=31))
    assert set(memory.seen) == {"a@x"}


@given(st.text(), st.text(), st.sampled_from(State))
def test_the_file_reads_back(subject: str, trouble: str, state: State) -> None:
    """Whatever a mail was called, but for what no JSON has."""
    made = entry("a", state, subject=subject, trouble=trouble, request={"series": [subject]})
    memory = memory_of(made).mark(["a@x"], made.key, NOW).count(NOW)
    try:
        text = memory.to_json()
    except ValueError:
        assert any("\ud800" <= char <= "\udfff" for char in subject + trouble)
        return
    assert Memory.from_json(text) == memory


def test_the_file(tmp_path: Path) -> None:
    memory = memory_of(entry("a")).mark(["a@x"], "a@x v1", NOW)
    save(tmp_path, memory)
    assert load(tmp_path) == memory
