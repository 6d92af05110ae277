# SPDX-License-Identifier: GPL-2.0-or-later
"""The workflow of a standing watch: what is new in an archive is verified, each series once.

A round asks the archive, looks up the series of each new mail, and verifies what stands in line,
one after the other, as far as the day's limit goes.  Nothing is ever sent: replies are drafted
into the run's folder.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from kverdict import proc
from kverdict import verify as workflow
from kverdict.errors import ExitStatus, InfraError, KverdictError, PatchError, UserError
from kverdict.interrupt import Interrupted
from kverdict.judgement import Overall
from kverdict.progress import Progress
from kverdict.render import reply, report
from kverdict.reply import draft_replies
from kverdict.request import Request, request_of
from kverdict.runs import check_usable, flocked, run_states
from kverdict.settings import Settings
from kverdict.stages import fetch
from kverdict.text import one_line
from kverdict.verify import Run, finished_run
from kverdict.watchstate import (
    TRIES,
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

LOCK = ".watch.lock"
LEI_SECONDS = 300

# The archive's trouble, not the series': all others would meet it, too.
ARCHIVE = (ExitStatus.ARCHIVE_UNREACHABLE, ExitStatus.ARCHIVE_NONSENSE)
# What the user named wrongly is about the series; any other mistake would meet all of them.
ABOUT_THE_SERIES = (
    ExitStatus.SERIES_NOT_FOUND,
    ExitStatus.NO_PATCHES,
    ExitStatus.NO_SUCH_REVISION,
    ExitStatus.BAD_MAILBOX,
)
MET_BY_ALL = (ExitStatus.DISK_FULL, ExitStatus.TOOL_MISSING)
MAY_PASS = (ExitStatus.SERIES_INCOMPLETE, ExitStatus.SERIES_NOT_FOUND)
NOT_A_SERIES = (ExitStatus.NO_PATCHES,)


@dataclass(frozen=True)
class Options:
    """What is watched, and how."""

    queries: tuple[str, ...]
    tree: str | None
    jobs: int
    interval: float  # seconds between two rounds
    daily_limit: int
    lei: bool = False  # `lei q` finds the mails; the archive has their threads all the same


class _ArchiveTrouble(Exception):
    """The round ends here; ``error`` says why."""

    def __init__(self, error: KverdictError) -> None:
        super().__init__(str(error))
        self.error = error


def now_utc() -> datetime:
    return datetime.now(UTC)


@dataclass
class Watch:
    """One watch on one runs folder; ``tell`` gets a line for each series that came to an end."""

    options: Options
    settings: Settings
    progress: Progress
    tell: Callable[[str], None]
    clock: Callable[[], datetime] = now_utc

    # --- rounds -----------------------------------------------------------------------------------

    def once(self) -> None:
        """One round; raises InfraError when the archive could not be asked."""
        with self._alone():
            trouble = self._round()
        if trouble is not None:
            raise trouble

    def forever(self) -> None:
        """Round after round until it is interrupted."""
        with self._alone():
            while True:
                trouble = self._round()
                wait = self.options.interval
                if trouble is not None:
                    self.progress.say(f"{trouble.problem}; again in {wait:.0f} s")
                time.sleep(wait)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """No other watch works on the runs folder meanwhile; raises InfraError when one does."""
        check_usable(self.runs, "runs")
        with flocked(self.runs / LOCK, fcntl.LOCK_EX | fcntl.LOCK_NB) as ours:
            if not ours:
                raise InfraError(
                    f"another watch works on {self.runs}", "let it, or name another runs folder"
                )
            self._check()
            yield

    def _check(self) -> None:
        """The user's mistakes are told before the archive is asked."""
        if not self.options.queries:
            raise UserError("nothing to watch for", "give a query, or set [watch] queries")
        self._request("x@example.org", 1)
        folders = self.settings.template_folders
        report.check_templates(folders)
        reply.check_templates(folders)

    def _round(self) -> KverdictError | None:
        memory = load(self.runs)
        stopped: KverdictError | None = None
        try:
            memory = self._look_for_new(memory)
        except _ArchiveTrouble as trouble:
            # What was queued before, and was begun, may be in the archive's reach again.
            stopped = trouble.error
            memory = load(self.runs)
        memory = self._draft_what_is_left(memory)
        try:
            self._work(memory)
        except _ArchiveTrouble as trouble:
            stopped = stopped or trouble.error
        return stopped

    # --- what is new ------------------------------------------------------------------------------

    def _look_for_new(self, memory: Memory) -> Memory:
        hits = self._hits()
        now = self.clock()
        memory = renewed(memory, hits, now)
        for group in groups(unknown(memory, hits)):
            memory = self._look_at(memory, group)
            save(self.runs, memory)
        for entry in overdue(memory, now):
            self._say(entry.subject, entry.revision, entry.trouble)
            memory = without_hope(memory, entry, now)
        save(self.runs, memory)
        return memory

    def _hits(self) -> list[fetch.Hit]:
        """Of all queries, each mail once, the oldest first."""
        found: dict[str, fetch.Hit] = {}
        for query in self.options.queries:
            try:
                hits = self._ask(query)
            except (InfraError, PatchError) as error:
                if error.status in MET_BY_ALL:
                    raise
                # Of the query, or of a mail that it found: the next round may have another answer.
                raise _ArchiveTrouble(error) from error
            for hit in hits:
                found.setdefault(hit.message_id, hit)
        return sorted(found.values(), key=lambda hit: (hit.date, hit.message_id))

    def _ask(self, query: str) -> tuple[fetch.Hit, ...]:
        archive = self.settings.archive
        if not self.options.lei:
            return fetch.search(query, settings=archive, progress=self.progress)
        with self.progress.task(f"lei q {query}"):
            return fetch.hits_in(found_by_lei(query), settings=archive)

    def _look_at(self, memory: Memory, group: Sequence[fetch.Hit]) -> Memory:
        """The series of some mails that seem to have been sent together."""
        for hit in group:
            if hit.message_id in memory.seen:
                continue  # another mail of the group has brought its series
            now = self.clock()
            try:
                with _archive():
                    archive = self.settings.archive
                    offer = fetch.offered(hit, settings=archive, progress=self.progress)
            except KverdictError as error:
                if error.status in NOT_A_SERIES:
                    memory = memory.mark([hit.message_id], "", now)
                    continue
                self._say(hit.subject, hit.revision, str(error))
                may_pass = error.status in MAY_PASS
                line = one_line(str(error))
                left = unknown(memory, group)  # this one and those after it
                return with_trouble(memory, left, line, may_pass=may_pass, now=now)
            if offer is None:
                memory = memory.mark([hit.message_id], "", now)
                continue
            self.progress.say(f"new: v{offer.revision} {one_line(offer.subject)}")
            memory = with_offer(memory, offer, group, now)
        return memory

    # --- what stands in line ----------------------------------------------------------------------

    def _work(self, memory: Memory) -> None:
        tried: set[str] = set()
        while (entry := memory.without(tried).next()) is not None:
            tried.add(entry.key)
            fresh = entry.state is State.QUEUED
            if fresh and memory.begun_on(self.clock()) >= self.options.daily_limit:
                left = len(memory.of(State.QUEUED))
                self.progress.say(
                    f"{self.options.daily_limit} series were begun today: {left} wait"
                )
                return
            memory = self._verify(memory, entry)

    def _verify(self, memory: Memory, entry: Entry) -> Memory:
        """One series to its verdict; what stops it is written down."""
        request = self._request_of(entry)
        if (known := self._finished(request)) is not None:
            return self._verified(memory, entry, known)
        if entry.tries >= TRIES:
            return self._give_up(memory, entry, f"it ended {TRIES} times without a verdict")
        if entry.state is State.QUEUED:
            memory = memory.count(self.clock())
        begun = entry.with_(
            state=State.BEGUN, tries=entry.tries + 1, request=request.model_dump(mode="json")
        )
        memory = memory.put(begun)
        save(self.runs, memory)
        try:
            run = workflow.verify(request, self.settings, self.progress)
        except (KeyboardInterrupt, Interrupted):
            save(self.runs, memory.put(begun.with_(tries=entry.tries)))  # no fault of the series
            raise
        except KverdictError as error:
            return self._stopped(memory, begun, request, error)
        return self._verified(memory, begun, run)

    def _stopped(
        self, memory: Memory, entry: Entry, request: Request, error: KverdictError
    ) -> Memory:
        """Whose trouble it is decides whether it goes on, and whether the others do."""
        line = one_line(str(error))
        if isinstance(error, PatchError) or error.status in ABOUT_THE_SERIES:
            return self._give_up(memory, entry, line)
        again = entry.with_(trouble=line)
        common = self._met_by_all(request, error)
        if error.status in ARCHIVE:
            again = again.with_(tries=entry.tries - 1)
        elif common is not None and isinstance(error, UserError):
            # The mended settings make another request.
            again = again.with_(tries=entry.tries - 1, request=None)
        memory = memory.put(again)
        save(self.runs, memory)
        if error.status in ARCHIVE:
            raise _ArchiveTrouble(error)
        if common is not None:
            raise common
        self._say(entry.subject, entry.revision, line)
        return memory

    def _met_by_all(self, request: Request, error: KverdictError) -> KverdictError | None:
        """The trouble that the other series would meet, too; None when it is of this one."""
        if error.status in MET_BY_ALL:
            return error
        if not isinstance(error, UserError):
            return None
        try:
            workflow.check_wanted(request, self.settings, self.progress)
        except KverdictError as common:
            return common
        return None

    def _give_up(self, memory: Memory, entry: Entry, why: str) -> Memory:
        memory = memory.put(entry.with_(state=State.FAILED, trouble=why))
        save(self.runs, memory)
        self._say(entry.subject, entry.revision, why)
        return memory

    def _verified(self, memory: Memory, entry: Entry, run: Run) -> Memory:
        verdict = run.report.verdict.overall.value
        done = entry.with_(
            state=State.VERIFIED, run=run.folder.name, verdict=verdict, trouble="", request=None
        )
        memory = memory.put(done)
        save(self.runs, memory)
        self.tell(line_of(done))
        return self._draft(memory, done, run)

    def _say(self, subject: str, revision: int, trouble: str) -> None:
        self.tell(f"{'trouble':<22} v{revision} {one_line(subject)}: {one_line(trouble)}")

    # --- replies ----------------------------------------------------------------------------------

    def _draft_what_is_left(self, memory: Memory) -> Memory:
        """Replies to what was verified before a watch was killed, or the user's mistake mended."""
        for entry in memory.of(State.VERIFIED):
            folder = self.runs / (entry.run or "")
            try:
                run = Run(folder, finished_run(folder)[0])
            except UserError:  # removed meanwhile
                memory = memory.put(entry.with_(state=State.DONE))
                save(self.runs, memory)
                continue
            memory = self._draft(memory, entry, run)
        return memory

    def _draft(self, memory: Memory, entry: Entry, run: Run) -> Memory:
        """What keeps it from being drafted may be mended: it is tried again in the next round."""
        try:
            trouble = run.report.verdict.overall is Overall.TROUBLE  # nothing to answer with
            mails = () if trouble else draft_replies(run.folder, self.settings).mails
        except KverdictError as error:
            self._say(entry.subject, entry.revision, f"no reply was drafted: {error}")
            memory = memory.put(entry.with_(trouble=one_line(str(error))))
        else:
            names = tuple(str(mail.relative_to(run.folder)) for mail in mails)
            memory = memory.put(entry.with_(state=State.DONE, trouble="", drafts=names))
        save(self.runs, memory)
        return memory

    # --- its run ----------------------------------------------------------------------------------

    def _request_of(self, entry: Entry) -> Request:
        """The one that was begun, so that the same run goes on, whatever the settings are now."""
        if entry.request is not None:
            try:
                return Request.model_validate(entry.request)
            except ValueError:
                pass  # of another version
        return self._request(entry.message_id, entry.revision)

    def _request(self, message_id: str, revision: int) -> Request:
        return request_of(
            self.settings,
            series=(f"<{message_id}>",),
            tree=self.options.tree or self.settings.watch.tree,
            revision=revision,
            jobs=self.options.jobs,
        )

    def _finished(self, request: Request) -> Run | None:
        """A run of the same that came to its verdict before that could be written down here."""
        asked = request.model_dump(mode="json")
        for folder, state in run_states(self.runs):
            if state.finished and state.asked == asked:
                try:
                    return Run(folder, finished_run(folder)[0])
                except UserError:
                    continue
        return None

    @property
    def runs(self) -> Path:
        return self.settings.runs_folder


@contextmanager
def _archive() -> Iterator[None]:
    try:
        yield
    except KverdictError as error:
        if error.status in ARCHIVE:
            raise _ArchiveTrouble(error) from error
        raise


def found_by_lei(query: str) -> bytes:
    """What `lei q` finds in the user's own stores and externals, as an mboxrd (lei-q(1))."""
    # Its daemon is the user's: it needs to know where they keep what.
    names = ("XDG_RUNTIME_DIR", "XDG_CONFIG_HOME", "XDG_DATA_HOME")
    more = {name: os.environ[name] for name in names if name in os.environ}
    done = proc.run(
        # As words of a command line it would be a phrase where it has blanks.
        ["lei", "q", "--no-save", "-f", "mboxrd", "--stdin"],
        stdin=query.encode(),
        env=proc.plain_environment(**more),
        timeout=LEI_SECONDS,
    )
    if not done.ok:
        raise proc.failure_of(done)
    return done.stdout


def line_of(entry: Entry) -> str:
    """One line for a series: how far it is, what it is, where to read on or why not."""
    word = entry.verdict if entry.verdict is not None else entry.state.value
    rest = entry.trouble or entry.run or entry.message_id
    return one_line(f"{word:<22} v{entry.revision} {entry.subject}: {rest}")
