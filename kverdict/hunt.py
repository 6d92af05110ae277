# SPDX-License-Identifier: GPL-2.0-or-later
"""The way from two ends to the first bad commit: the ends first, then a plan, then step by step."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from dataclasses import dataclass, replace

from kverdict import samples
from kverdict.ahead import Ahead
from kverdict.asking import Asker, Patience
from kverdict.bisection import Answer, Plan, Role, Step
from kverdict.errors import UserError
from kverdict.gitbisect import Session
from kverdict.journal import Journal
from kverdict.judgement import guests_of
from kverdict.models import Guest
from kverdict.question import INSTRUCTIONS, Reference, Subject, is_exact, reference_of
from kverdict.render.formats import seconds
from kverdict.text import counted

LOOKS = 10  # guests of the bad end, while the finding does not show, or not always
STEADY = 5  # guests that all show it: it is taken for steady
WIDE_LOOKS = 3  # guests of the bad end where each runs the whole suite
BENCHES = 2  # guests that measure, of each end: the noise is known from them


@dataclass(frozen=True)
class Hunt:
    """What the ends have told, and whom to ask further."""

    asker: Asker
    journal: Journal
    session: Session
    reference: Reference
    finding: str
    plan: Plan
    bad: int  # of ``asked`` guests of the bad end
    asked: int

    def ask(self, role: Role, commit: str, good: int, position: int | None = None) -> Step:
        """A step of the journal, in guests that are new to the commit."""
        return self.journal.step(
            role,
            commit,
            lambda number: self.asker.ask(
                role,
                commit,
                Patience(good=good),
                self.reference,
                number=number,
                position=position,
            ),
            self.asker.note,
        )

    def search(self, ahead: Ahead, most_ahead: int, known: Mapping[str, Answer]) -> None:
        """Until git has found, or has nothing left to ask; ``known`` are replayed answers."""
        place = {sha: number for number, sha in enumerate(self.session.order)}
        progress, done = self.asker.engine.progress, 0
        while (commit := self.session.next) is not None:
            progress.say(f"step {done + 1}, about {self.plan.steps} in all:")
            if commit in known:
                step = self.journal.step(
                    Role.STEP,
                    commit,
                    lambda number, commit=commit: self._replayed(  # type: ignore[misc]
                        number, commit, known[commit], place.get(commit)
                    ),
                )
            else:
                if most_ahead:
                    ahead.build(self.session.likely(commit, most_ahead))
                step = self.ask(Role.STEP, commit, self.plan.repeats, place.get(commit))
            if not self.session.tell(commit, step.answer):
                break
            done += 1

    def _replayed(self, number: int, commit: str, answer: Answer, position: int | None) -> Step:
        return Step(
            number=number,
            role=Role.STEP,
            commit=commit,
            subject=self.asker.engine.tree.commit(commit).subject,
            answer=answer,
            why="replayed",
            position=position,
        )

    def guests(self, commit: str) -> tuple[Guest, ...]:
        return guests_of(self.asker.evaluation_of(commit, "recalled"))


def begin(
    asker: Asker, journal: Journal, session: Session, confidence: float, repeat: int | None
) -> Hunt:
    """Asks both ends.

    Raises UserError unless the bad end shows the finding and the good end does not.
    """
    wanted = _Wanted(confidence, repeat, len(session.order), session.steps)
    if asker.question.subject is Subject.BENCH:
        return _begin_bench(asker, journal, session, wanted)
    bad = _bad_end(asker, journal, session.range.bad)
    evaluation = asker.evaluation_of(session.range.bad, Role.BAD_END.value)
    assert evaluation.build is not None
    guests = guests_of(evaluation)
    if guests:
        asker.engine = asker.engine.like(guests[0])
    reference = reference_of(asker.question, evaluation, guests, evaluation.build)
    plan = wanted.plan(bad.bad, bad.good + bad.bad)
    about = f"{asker.question.about} " if asker.question.subject is Subject.CASE else ""
    hunt = Hunt(
        asker, journal, session, reference, about + bad.why, plan, bad.bad, bad.good + bad.bad
    )
    good = hunt.ask(Role.GOOD_END, session.range.good, plan.repeats)
    _check_good(good, session)
    return _timed(hunt)


@dataclass(frozen=True)
class _Wanted:
    confidence: float
    repeat: int | None
    commits: int
    steps: int

    def plan(self, bad: int, asked: int) -> Plan:
        """``bad`` of ``asked`` guests of the bad end showed it."""
        repeats = samples.repeats_per_step(bad, asked, self.steps, self.confidence)
        return Plan(
            commits=self.commits,
            steps=self.steps,
            repeats=self.repeat or repeats,
            rate=bad / asked,
            asked=asked,
            confidence=self.confidence,
            seconds=0.0,
        )


def _bad_end(asker: Asker, journal: Journal, commit: str) -> Step:
    def ask(patience: Patience) -> Step:
        return journal.step(
            Role.BAD_END,
            commit,
            lambda number: asker.ask(Role.BAD_END, commit, patience, None, number=number),
            asker.note,
        )

    looks = Patience(good=LOOKS, bad=STEADY, flaky=LOOKS)
    if asker.question.guests is not None:
        return _shown(ask(looks))
    # The whole suite takes minutes.  Where the one case that the report came in, or a boot without
    # cases, brings it as well, that is what is asked.
    wide = _shown(ask(Patience(good=WIDE_LOOKS)))
    question = asker.question
    guests = guests_of(asker.evaluation_of(commit, Role.BAD_END.value))
    asker.question = next(filter(None, map(question.narrowed, guests)), question)
    narrow = ask(looks)
    if narrow.answer is Answer.BAD:
        return narrow
    asker.question = question
    again = ask(Patience(good=WIDE_LOOKS, bad=WIDE_LOOKS - 1))
    counts = {"good": wide.good + again.good, "bad": wide.bad + again.bad}
    return wide.model_copy(update=counts)


def _shown(step: Step) -> Step:
    if step.answer is Answer.BAD:
        return step
    raise UserError(
        f"the bad end {step.commit[:12]} does not show it: {step.why}{_times(step)}",
        "name a commit and a question that belong together",
    )


def _check_good(step: Step, session: Session) -> None:
    if step.answer is Answer.BAD:
        raise UserError(
            f"the good end {step.commit[:12]} shows it as well: {step.why}{_times(step)}",
            "name an older commit as good",
        )
    if step.answer is not Answer.GOOD:
        raise UserError(
            f"the good end {step.commit[:12]} cannot be asked: {step.why}{_times(step)}",
            "name one on which it can pass",
        )


def _times(step: Step) -> str:
    return f" ({counted(step.guests, 'guest')})" if step.guests > 1 else ""


def _begin_bench(asker: Asker, journal: Journal, session: Session, wanted: _Wanted) -> Hunt:
    """The good end first: it says what is usual, and how much that varies."""

    def ask(role: Role, commit: str, reference: Reference | None) -> Step:
        patience = Patience(good=BENCHES)
        return journal.step(
            role,
            commit,
            lambda number: asker.ask(role, commit, patience, reference, number=number),
            asker.note,
        )

    good = ask(Role.GOOD_END, session.range.good, None)
    _check_good(good, session)
    asker.engine = asker.engine.like(_first_guest(asker, session.range.good))
    known = Reference(rounds=good.rounds, noise=samples.noise(good.rounds))
    bad = _shown(ask(Role.BAD_END, session.range.bad, known))
    reference = Reference(rounds=good.rounds, noise=samples.noise(good.rounds, bad.rounds))
    exact = is_exact(_first_guest(asker, session.range.bad))
    unit = INSTRUCTIONS if exact and asker.question.about != "ratio" else ""
    finding = f"{asker.question.about} {bad.why}{f' {unit}' if unit else ''}"
    plan = wanted.plan(1, 1).model_copy(update={"repeats": 1, "asked": bad.guests})
    return _timed(Hunt(asker, journal, session, reference, finding, plan, 1, 1))


def _first_guest(asker: Asker, commit: str) -> Guest:
    return guests_of(asker.evaluation_of(commit, "recalled"))[0]


def _timed(hunt: Hunt) -> Hunt:
    """With the time that the steps will take, from what the ends took."""
    builds, boots = [], []
    for commit in (hunt.session.range.good, hunt.session.range.bad):
        evaluation = hunt.asker.evaluation_of(commit, "recalled")
        if evaluation.build is not None:
            builds.append(evaluation.build.seconds)
        boots += [guest.seconds for guest in guests_of(evaluation)]
    boot = statistics.mean(boots) if boots else 0.0
    each = min(builds, default=0.0) + boot * hunt.plan.repeats
    plan = hunt.plan.model_copy(update={"seconds": round(each * hunt.plan.steps, 3)})
    return replace(hunt, plan=plan)


def plan_lines(hunt: Hunt) -> tuple[str, ...]:
    """What is about to be done, for people."""
    plan = hunt.plan
    lines = [
        f"looked for: {hunt.finding}",
        f"plan: {counted(plan.commits, 'commit')}, about {counted(plan.steps, 'step')}, "
        f"about {seconds(plan.seconds)}",
    ]
    if hunt.asker.question.by_guests:
        lines.append(
            f"the bad end shows it in {round(plan.rate * plan.asked)} of "
            f"{counted(plan.asked, 'guest')}: {counted(plan.repeats, 'guest')} a step "
            f"for a confidence of {plan.confidence:g}"
        )
    return tuple(lines)
