# SPDX-License-Identifier: GPL-2.0-or-later
"""The question of a bisection, and what one guest of one commit says to it; pure functions.

Only the same finding is bad: the case that fails as it does at the bad end, the console report
with the same fingerprint, the build error with the same identity.  Whatever else goes wrong is no
answer: another failure is a skip, a guest that was lost is weak and asked again.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from difflib import get_close_matches
from enum import Enum

from kverdict import samples
from kverdict.bisection import Answer
from kverdict.errors import UserError
from kverdict.evidence import identity_evidence
from kverdict.findings.warnings import identity
from kverdict.judgement import BAD_OUTCOMES, FATAL, Proof, died_in, lost, whole_test
from kverdict.models import (
    Build,
    CaseResult,
    Evaluation,
    Frozen,
    Guest,
    GuestEnd,
    Outcome,
    Splat,
)
from kverdict.samples import Above
from kverdict.stages.selftests import Named
from kverdict.text import shorten
from kverdict.verdict import causes, splat_identity

KSELFTEST = "kselftest."
METRICS = ("write", "memcpy", "ratio")
INSTRUCTIONS = "guest instructions"
_BENCH = re.compile(
    r"(?P<metric>[a-z]+)>(?:\+(?P<percent>\d{1,4}(?:\.\d{1,6})?)%|(?P<limit>\d{1,18}(?:\.\d{1,9})?))"
)
_CASE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:/-]{0,159}")
# A guest that ended so may have been ended from outside, or by the load of the machine.
_LOST = (
    GuestEnd.LOST,
    GuestEnd.NOT_STARTED,
    GuestEnd.RESULTS_FULL,
    GuestEnd.CONSOLE_FULL,
)


class Subject(Enum):
    CASE = "case"
    BUILD = "build"
    BOOT = "boot"
    CONSOLE = "console"
    BENCH = "bench"


class Question(Frozen):
    text: str  # as the user gave it
    subject: Subject
    about: str = ""  # id of the case, fingerprint, metric
    limit: float | None = None  # of the metric, in its own unit
    percent: float | None = None  # over what the good end takes
    during: tuple[str, ...] | None = None  # the cases that a console report is seen with; None: all

    @property
    def guests(self) -> tuple[str, ...] | None:
        """The cases that each guest is booted with; None: all of them."""
        if self.subject is Subject.CASE:
            return (whole_test(self.about),)
        return self.during if self.subject is Subject.CONSOLE else ()

    @property
    def by_guests(self) -> bool:
        """Whether guests are counted; a build is certain, and a benchmark has a test of its own."""
        return self.subject not in (Subject.BUILD, Subject.BENCH)

    def narrowed(self, guest: Guest) -> Question | None:
        """The same with only the case that a report came in, or with none; None: not seen."""
        for splat in guest.splats:
            if splat_identity(splat) == self.about:
                during = () if splat.during is None else (whole_test(splat.during),)
                return self.model_copy(update={"during": during})
        return None


class Reference(Frozen):
    """What the bad end showed; nothing else is bad."""

    outcomes: tuple[Outcome, ...] = ()  # of the case, where it failed
    ends: tuple[GuestEnd, ...] = ()  # of the guests that did not come to their end
    reports: tuple[str, ...] = ()  # identities of what those died of
    error: str | None = None  # identity of the build error
    rounds: tuple[float, ...] = ()  # of the good end's benchmark
    noise: float = samples.LEAST_NOISE


class Told(Frozen):
    """What one guest, or one build, says."""

    answer: Answer
    why: str
    final: bool = False  # another guest of this kernel would say the same
    message: str = ""


def parse(text: str, known: Collection[str]) -> Question:
    """``--for``; ``known`` are the ids of the suite's cases.  Raises UserError."""
    kind, colon, rest = text.partition(":")
    if text in (Subject.BUILD.value, Subject.BOOT.value):
        return Question(text=text, subject=Subject(text))
    if colon and kind == Subject.CONSOLE.value:
        if not rest or not rest.isprintable() or len(rest) > 500:
            raise UserError(f"{shorten(text, 80)!r} has no fingerprint", "verdict.json has it")
        return Question(text=text, subject=Subject.CONSOLE, about=rest)
    if colon and kind == Subject.BENCH.value:
        return _bench(text, rest)
    if not _CASE.fullmatch(text) or ".." in text:
        raise _unknown(text, known)
    if text not in known and not (text.startswith(KSELFTEST) and selftests_named(text)):
        raise _unknown(text, known)
    return Question(text=text, subject=Subject.CASE, about=text)


def _bench(text: str, rest: str) -> Question:
    match = _BENCH.fullmatch(rest)
    if match is None or match["metric"] not in METRICS:
        raise UserError(
            f"{shorten(text, 80)!r} is no question about the benchmark",
            f"bench:METRIC>LIMIT, METRIC is {', '.join(METRICS)}, LIMIT a number or +5%",
        )
    limit, percent = match["limit"], match["percent"]
    if limit is not None and not float(limit):
        raise UserError(f"{text!r} has no limit", "everything is over 0")
    return Question(
        text=text,
        subject=Subject.BENCH,
        about=match["metric"],
        limit=None if limit is None else float(limit),
        percent=None if percent is None else float(percent),
    )


def _unknown(text: str, known: Collection[str]) -> UserError:
    close = get_close_matches(text, [*known, "build", "boot"], 3, 0.6)
    return UserError(
        f"there is no case {shorten(text, 80)!r}",
        f"did you mean {' or '.join(close)}?"
        if close
        else "see `./pipeline.py suite`; or build, boot, console:..., bench:... (docs/bisect.md)",
    )


def selftests_named(case: str) -> tuple[Named, ...]:
    """The selftests that kselftest.COLLECTION.TEST[/sub] may mean, the longest collection first.

    A folder's "/" is a "." in the id, and a test's name may have dots as well.
    """
    parts = whole_test(case).removeprefix(KSELFTEST).split(".")
    if not case.startswith(KSELFTEST) or not all(parts):
        return ()
    return tuple(
        Named(collection="/".join(parts[:cut]), test=".".join(parts[cut:]))
        for cut in range(len(parts) - 1, 0, -1)
    )


# --- one answer -----------------------------------------------------------------------------------


def answer(
    question: Question,
    evaluation: Evaluation,
    guest: Guest | None,
    reference: Reference | None,
) -> Told | None:
    """What a build (``guest`` is None) or one of its guests says; None: a guest has to be asked.

    Without a reference whatever fails there is the finding: at the bad end, and for git's own
    loop.  A benchmark is answered by ``answer_rounds``.
    """
    assert evaluation.build is not None
    if guest is None:
        return _of_build(question, evaluation.build, reference)
    if doubt := _doubt(evaluation, evaluation.build, guest):
        return Told(answer=Answer.WEAK, why=doubt)
    if question.subject is Subject.CASE:
        return _of_case(question.about, guest, reference)
    if question.subject is Subject.BOOT:
        return _of_boot(guest, reference)
    return _of_console(question, guest)


def reference_of(
    question: Question, evaluation: Evaluation, guests: Sequence[Guest], build: Build
) -> Reference:
    """What is to be recognised, from the bad end's guests that showed it."""
    if question.subject is Subject.BUILD:
        return Reference(error=_error(build))
    bad = [guest for guest in guests if _is_bad(question, evaluation, guest)]
    outcomes = [
        case.outcome
        for guest in bad
        for case in guest.cases
        if case.id == question.about and case.outcome in BAD_OUTCOMES
    ]
    if question.subject is Subject.BOOT and not bad:
        bad = [guest for guest in guests if vanished(guest)]  # one after the other, nothing else
    dead = [guest for guest in bad if guest.end is not GuestEnd.DONE]
    return Reference(
        outcomes=tuple(dict.fromkeys(outcomes)),
        ends=tuple(dict.fromkeys(guest.end for guest in dead)),
        reports=tuple(dict.fromkeys(id for guest in dead for id in _died_of(guest))),
    )


def _is_bad(question: Question, evaluation: Evaluation, guest: Guest) -> bool:
    told = answer(question, evaluation, guest, None)
    return told is not None and told.answer is Answer.BAD


def _of_build(question: Question, build: Build, reference: Reference | None) -> Told | None:
    error = build.first_error
    said = shorten(error.message, 200) if error is not None else "see build.log"
    if build.ok:
        if question.subject is Subject.BUILD:
            return Told(answer=Answer.GOOD, why="it builds", final=True)
        return None
    if question.subject is not Subject.BUILD:
        return Told(answer=Answer.SKIP, why=f"does not build: {said}", final=True)
    if not build.confirmed_clean:
        why = f"no clean build confirmed that it does not build: {said}"
        return Told(answer=Answer.SKIP, why=why, final=True)
    if reference is not None and reference.error is not None and reference.error != _error(build):
        why = f"does not build for another reason: {said}"
        return Told(answer=Answer.SKIP, why=why, final=True)
    return Told(answer=Answer.BAD, why=f"does not build: {said}", final=True, message=said)


def _error(build: Build) -> str:
    return identity(build.first_error) if build.first_error is not None else ""


def _doubt(evaluation: Evaluation, build: Build, guest: Guest) -> str | None:
    """Why nothing that this guest says can be believed."""
    if not guest.console_scanned:
        return "the console could not be scanned"
    proof = identity_evidence(evaluation.commit[:12], build, guest)
    booted = guest.end is GuestEnd.DONE  # which is an answer as well
    answered = any(case.outcome is not Outcome.NOT_RUN for case in guest.cases) or booted
    if proof.proof is Proof.FAILS or (proof.proof is Proof.OPEN and answered):
        return proof.text
    return None


def _of_case(id: str, guest: Guest, reference: Reference | None) -> Told:
    result = next((case for case in guest.cases if case.id == id), None)
    if result is None:
        whole = next((case for case in guest.cases if case.id == whole_test(id)), None)
        if whole is not None and whole.outcome in (Outcome.PASS, Outcome.SKIP):
            return Told(answer=Answer.SKIP, why=f"{id} is not there", final=True)
        result = whole
        if result is None or result.outcome in BAD_OUTCOMES:
            return Told(answer=Answer.SKIP, why=f"{id} did not come to answer")
    if result.outcome in BAD_OUTCOMES:
        return _of_failure(result, guest, reference)
    if result.outcome is Outcome.PASS:
        return Told(answer=Answer.GOOD, why="passes")
    if result.outcome is Outcome.SKIP:
        why = f"skipped: {shorten(result.message, 160)}"
        return Told(answer=Answer.SKIP, why=why, final=True)
    if result.outcome is Outcome.ERROR:
        why = f"the case is broken: {shorten(result.message, 160)}"
        return Told(answer=Answer.WEAK, why=why)
    return _of_death(guest, None)


def _of_failure(result: CaseResult, guest: Guest, reference: Reference | None) -> Told:
    """A case that failed, by itself or because the guest died in it."""
    word = result.outcome.value
    if died_in(guest) == result.id:
        return _of_death(guest, reference or Reference(ends=(guest.end,)))
    if reference is not None and reference.outcomes and result.outcome not in reference.outcomes:
        known = " or ".join(outcome.value for outcome in reference.outcomes)
        return Told(answer=Answer.SKIP, why=f"fails otherwise: {word}, at the bad end {known}")
    return Told(answer=Answer.BAD, why=f"fails ({word})", message=result.message)


def _of_boot(guest: Guest, reference: Reference | None) -> Told:
    if guest.end is GuestEnd.DONE:
        return Told(answer=Answer.GOOD, why="boots")
    return _of_death(guest, reference or Reference(ends=(guest.end,)))


def _of_death(guest: Guest, reference: Reference | None) -> Told:
    """A guest that did not come to its end; ``reference`` None: its death is not what is asked."""
    splat = _last_words(guest)
    said = f": {shorten(splat.title, 160)}" if splat is not None else ""
    how = f"{guest.end.value}{said}"
    if reference is None:
        crashed = guest.end is GuestEnd.PANIC
        answer = Answer.SKIP if crashed else Answer.WEAK
        return Told(answer=answer, why=f"another crash: {how}" if crashed else how)
    if guest.end not in reference.ends and not vanished(guest):
        answer = Answer.SKIP if guest.end is GuestEnd.PANIC else Answer.WEAK
        return Told(answer=answer, why=f"ends otherwise: {how}")
    if vanished(guest):
        return Told(answer=Answer.WEAK, why=how)
    if reference.reports and guest.splats and not set(_died_of(guest)) & set(reference.reports):
        return Told(answer=Answer.SKIP, why=f"another crash: {how}")
    return Told(answer=Answer.BAD, why=how, message=splat.title if splat is not None else "")


def vanished(guest: Guest) -> bool:
    """Gone without a word: a triple fault, or somebody killed QEMU; one such guest says nothing."""
    return guest.end in _LOST and lost(guest)


def _of_console(question: Question, guest: Guest) -> Told:
    for splat in guest.splats:
        if splat_identity(splat) == question.about:
            during = f" (during {splat.during})" if splat.during else ""
            why = f"{splat.kind.value}: {shorten(splat.title, 160)}{during}"
            return Told(answer=Answer.BAD, why=why, message=splat.title)
    if guest.end is not GuestEnd.DONE:
        return _of_death(guest, None)
    for case in question.during or ():
        result = next((item for item in guest.cases if item.id == case), None)
        if result is None or result.outcome is Outcome.SKIP:
            why = f"{case}, in which it comes, was skipped"
            return Told(answer=Answer.SKIP, why=why, final=True)
        if result.outcome in (Outcome.ERROR, Outcome.NOT_RUN):
            return Told(answer=Answer.WEAK, why=f"{case}, in which it comes, did not run")
    return Told(answer=Answer.GOOD, why="the console does not have it")


def _last_words(guest: Guest) -> Splat | None:
    """The report to name: what led to the panic comes before it."""
    return guest.splats[0] if guest.splats else None


def _died_of(guest: Guest) -> tuple[str, ...]:
    """Identities; a warning that every commit prints is not among them, nor the panic that comes
    after every oops."""
    told = causes(guest.splats)
    fatal = [splat for splat in told if splat.kind in FATAL]
    return tuple(splat_identity(splat) for splat in fatal or told)


# --- benchmarks -----------------------------------------------------------------------------------


def rounds_of(metric: str, guest: Guest) -> tuple[float, ...]:
    """One number a round, in the unit of the benchmark; of "ratio" write over memcpy."""
    rows = {row.name: row.rounds for row in guest.bench}
    if metric != "ratio":
        return tuple(float(value) for value in rows.get(metric, ()))
    pairs = zip(rows.get("write", ()), rows.get("memcpy", ()), strict=False)
    return tuple(write / memcpy for write, memcpy in pairs if memcpy)


def is_exact(guest: Guest) -> bool:
    """Whether instructions were counted, and not time."""
    return bool(guest.bench) and all(row.unit == INSTRUCTIONS for row in guest.bench)


def answer_measured(question: Question, evaluation: Evaluation, guest: Guest) -> Told | None:
    """Why a guest's benchmark counts for nothing; None when its rounds do."""
    assert evaluation.build is not None
    if doubt := _doubt(evaluation, evaluation.build, guest):
        return Told(answer=Answer.WEAK, why=doubt)
    if guest.end is not GuestEnd.DONE:
        return _of_death(guest, None)
    if rounds_of(question.about, guest):
        return None
    note = f": {shorten(guest.bench_note, 160)}" if guest.bench_note else ""
    why = f"nothing was measured for {question.about}{note}"
    return Told(answer=Answer.SKIP, why=why, final=True)


def answer_rounds(
    question: Question, rounds: Sequence[float], reference: Reference, *, exact: bool
) -> Told:
    """All rounds of one kernel against the limit; WEAK: more rounds may tell."""
    if exact:
        above = samples.counts_above(rounds, _limit(question, reference), reference.noise)
    elif question.percent is not None:
        above = samples.rises_above(rounds, reference.rounds, 1 + question.percent / 100)
    else:
        above = samples.sample_above(rounds, _limit(question, reference))
    text = samples.describe(rounds, None if exact else samples.LEVEL)
    if above is Above.OPEN:
        return Told(answer=Answer.WEAK, why=f"undecided: {text}")
    answer = Answer.BAD if above is Above.YES else Answer.GOOD
    return Told(answer=answer, why=f"{above.value} the limit: {text}", message=text)


def _limit(question: Question, reference: Reference) -> float:
    if question.limit is not None:
        return question.limit
    if question.percent is None or not reference.rounds:
        raise UserError(
            f"{question.text} has no limit of its own", "name a number: there is no good end here"
        )
    return samples.middle(reference.rounds) * (1 + question.percent / 100)
