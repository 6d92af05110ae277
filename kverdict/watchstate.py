# SPDX-License-Identifier: GPL-2.0-or-later
"""What `watch` knows: which mails it has seen, which series it has verified, what is next.

One file in the runs folder, written whole after every step, so that a watch that is killed goes on
where it was.  A series has one entry for good: that is what keeps it from being verified twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from enum import Enum
from pathlib import Path
from typing import Any

from pydantic import Field

from kverdict.errors import UserError
from kverdict.models import Frozen
from kverdict.runs import write_atomically
from kverdict.stages.fetch import Hit, Offer

STATE = "watch.json"
VERSION = 1
LARGEST = 256 << 20  # bytes
HOLE_DAYS = 1  # how long a series may take to get whole
TRIES = 5  # of one series, before it is given up
KEPT_DAYS = 30  # for which a mail is remembered that no query finds any more


class State(Enum):
    """How far a series has come."""

    WAITING = "waiting for its mails"
    QUEUED = "queued"
    BEGUN = "begun"
    VERIFIED = "verified"  # replies are not drafted yet
    DONE = "done"
    FAILED = "given up"


OPEN = (State.BEGUN, State.QUEUED)  # in the order of their turn


class Entry(Frozen):
    """A series, and what became of it."""

    message_id: str  # of the cover letter, else of the first patch; of any mail while WAITING
    revision: int
    subject: str
    author: str
    state: State
    found: datetime
    tries: int = 0  # how often it was begun
    request: dict[str, Any] | None = None  # of the run that was begun, to go on with it
    run: str | None = None  # name of its folder
    verdict: str | None = None
    trouble: str = ""  # why it is where it is, in one line
    drafts: tuple[str, ...] = ()  # files of the run's folder
    mails: tuple[str, ...] = ()  # those that were there while it was not whole

    @property
    def key(self) -> str:
        """Also where a sender gives the next revision the Message-IDs of the last one."""
        return f"{self.message_id} v{self.revision}"

    def with_(self, **changes: Any) -> Entry:
        return self.model_copy(update=changes)


class Seen(Frozen):
    """A mail that need not be asked for again."""

    series: str  # key of its entry; "" when it is of none
    last: datetime  # when a query found it


class Memory(Frozen):
    """watch.json."""

    version: int = VERSION
    entries: dict[str, Entry] = Field(default_factory=dict)  # by key
    seen: dict[str, Seen] = Field(default_factory=dict)  # by message-id
    begun: tuple[datetime, ...] = ()  # verifications of the last days

    def put(self, entry: Entry) -> Memory:
        return self.model_copy(update={"entries": {**self.entries, entry.key: entry}})

    def drop(self, key: str) -> Memory:
        left = {name: entry for name, entry in self.entries.items() if name != key}
        return self.model_copy(update={"entries": left})

    def mark(self, message_ids: Iterable[str], series: str, now: datetime) -> Memory:
        news = {id: Seen(series=series, last=now) for id in message_ids}
        return self.model_copy(update={"seen": {**self.seen, **news}})

    def count(self, now: datetime) -> Memory:
        """One more verification is begun."""
        kept = [when for when in self.begun if now - when < timedelta(days=2)]
        return self.model_copy(update={"begun": (*kept, now)})

    def begun_on(self, now: datetime) -> int:
        """How many were begun on the same day (UTC)."""
        day = now.astimezone(UTC).date()
        return sum(when.astimezone(UTC).date() == day for when in self.begun)

    def next(self) -> Entry | None:
        """What was begun goes on first, then the series that has waited longest."""
        waiting = [entry for entry in self.entries.values() if entry.state in OPEN]
        return min(
            waiting,
            key=lambda entry: (OPEN.index(entry.state), entry.found, entry.revision, entry.key),
            default=None,
        )

    def without(self, keys: Iterable[str]) -> Memory:
        left = set(self.entries) - set(keys)
        return self.model_copy(update={"entries": {key: self.entries[key] for key in left}})

    def of(self, *states: State) -> list[Entry]:
        """The entries in those states, in the order that they were found."""
        found = [entry for entry in self.entries.values() if entry.state in states]
        return sorted(found, key=lambda entry: (entry.found, entry.key))


# --- rules ----------------------------------------------------------------------------------------


def unknown(memory: Memory, hits: Iterable[Hit]) -> list[Hit]:
    """The hits that nothing is known of yet."""
    return [hit for hit in hits if hit.message_id not in memory.seen]


def renewed(memory: Memory, hits: Iterable[Hit], now: datetime) -> Memory:
    """Mails that the queries still find are remembered on, others for some weeks."""
    found = {hit.message_id for hit in hits}
    seen = {
        id: mail.model_copy(update={"last": now}) if id in found else mail
        for id, mail in memory.seen.items()
        if id in found or now - mail.last < timedelta(days=KEPT_DAYS)
    }
    return memory.model_copy(update={"seen": seen})


def with_offer(memory: Memory, offer: Offer, group: Sequence[Hit], now: datetime) -> Memory:
    """The series of some hits stands in line, unless it is known; they are not asked for again."""
    entry = Entry(
        message_id=offer.message_id,
        revision=offer.revision,
        subject=offer.subject,
        author=offer.author,
        state=State.QUEUED,
        found=group[0].date,
    )
    waited = waiting_for(memory, group)
    if waited is not None:
        memory = memory.drop(waited.key)
    if entry.key not in memory.entries:
        memory = memory.put(entry)
    return memory.mark(offer.message_ids, entry.key, now)


def with_trouble(
    memory: Memory, group: Sequence[Hit], trouble: str, *, may_pass: bool, now: datetime
) -> Memory:
    """A series that cannot be had: one entry for all of its mails; a hole may be filled yet.

    The first of the group is the mail that was asked for.
    """
    hit = group[0]
    fresh = Entry(
        message_id=hit.message_id,
        revision=hit.revision,
        subject=hit.subject,
        author=hit.sender,
        state=State.WAITING,
        found=now,
    )
    ids = tuple(one.message_id for one in group)
    entry = waiting_for(memory, group) or memory.entries.get(fresh.key, fresh)
    if entry.state is not State.WAITING:
        return memory.mark(ids, entry.key, now)  # what became of it stands
    waits = may_pass and now - entry.found < timedelta(days=HOLE_DAYS)
    entry = entry.with_(trouble=trouble, mails=ids)
    return memory.put(entry) if waits else without_hope(memory, entry, now)


def overdue(memory: Memory, now: datetime) -> list[Entry]:
    """Those that did not get whole in time, also where no query finds their mails any more."""
    limit = timedelta(days=HOLE_DAYS)
    return [entry for entry in memory.of(State.WAITING) if now - entry.found >= limit]


def without_hope(memory: Memory, entry: Entry, now: datetime) -> Memory:
    """The series is given up, and its mails are not asked for again."""
    memory = memory.put(entry.with_(state=State.FAILED))
    return memory.mark(entry.mails, entry.key, now)


def waiting_for(memory: Memory, group: Iterable[Hit]) -> Entry | None:
    """The entry that was made for one of these mails when its series was not whole."""
    ids = {hit.message_id for hit in group}
    return next((one for one in memory.of(State.WAITING) if ids & set(one.mails)), None)


def groups(hits: Iterable[Hit]) -> list[list[Hit]]:
    """The hits by series as far as headers tell, in the order of their first mails."""
    found: dict[tuple[str, str, int], list[Hit]] = {}
    for hit in hits:
        found.setdefault(hit.mails_of_one_series, []).append(hit)
    return list(found.values())


# --- its file -------------------------------------------------------------------------------------


def load(runs: Path) -> Memory:
    """Raises UserError when the file is not ours: to begin anew would verify everything again."""
    file = runs / STATE
    try:
        if file.stat().st_size > LARGEST:
            raise ValueError("it is too large")
        memory = Memory.from_json(file.read_bytes())
    except FileNotFoundError:
        return Memory()
    except (OSError, ValueError) as error:
        raise UserError(
            f"{file} is damaged", "remove it: series with a finished run are known all the same"
        ) from error
    if memory.version != VERSION:
        raise UserError(f"{file} is of another version", "use that version, or remove it")
    return memory


def save(runs: Path, memory: Memory) -> None:
    write_atomically(runs / STATE, memory.to_json())
