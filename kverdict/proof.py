# SPDX-License-Identifier: GPL-2.0-or-later
"""Whether the commit that was found is the culprit: its parent, itself, and the end without it."""

from __future__ import annotations

from kverdict import samples
from kverdict.asking import Asker
from kverdict.bisection import Answer, Commit, Role, Step
from kverdict.culprit import suspicions, without
from kverdict.hunt import Hunt
from kverdict.judgement import Evidence, Proof, guests_of
from kverdict.models import Evaluation, Frozen, Guest
from kverdict.question import Subject, answer, is_exact
from kverdict.text import counted

CONSOLE_LINES = 40


class Proven(Frozen):
    """What came of it; empty where there is no single commit to prove."""

    proofs: tuple[Evidence, ...] = ()
    suspicions: tuple[str, ...] = ()
    confidence: float = 0.0
    config_digest: str | None = None
    console: tuple[str, ...] = ()

    @property
    def holds(self) -> bool:
        """Parent and culprit have to answer again; a revert may not apply."""
        found = {item.name: item.proof for item in self.proofs}
        return (
            found.get("parent") is Proof.HOLDS
            and found.get("culprit") is Proof.HOLDS
            and found.get("revert") is not Proof.FAILS
            and not self.suspicions
        )


def prove(hunt: Hunt, commit: Commit) -> Proven:
    """Asks again, in fresh guests, as often as the confidence needs."""
    often = _often(hunt)
    parents = [hunt.ask(Role.PARENT, sha, often) for sha in _parents(hunt, commit)]
    again = hunt.ask(Role.CULPRIT, commit.sha, often)
    evaluation = hunt.asker.evaluation_of(commit.sha, Role.CULPRIT.value)
    return Proven(
        proofs=(_of_parents(hunt, parents), _of_culprit(again), _revert(hunt, commit, often)),
        suspicions=suspicions(
            commit, again, parents, _sources(hunt.asker, commit), hunt.asker.question
        ),
        confidence=_confidence(hunt, parents),
        config_digest=evaluation.config.digest if evaluation.config is not None else None,
        console=_console(hunt, evaluation),
    )


def _parents(hunt: Hunt, commit: Commit) -> tuple[str, ...]:
    """Those to ask.

    Along first parents a merge stands for all that it brings; of others, the sides that were
    merged before the good end was made are not in question.
    """
    parents = commit.parents[:1] if hunt.session.range.first_parent else commit.parents
    if len(parents) < 2:
        return parents
    good = hunt.session.range.good
    return tuple(sha for sha in parents if sha == good or not hunt.session.is_known_good(sha))


def _often(hunt: Hunt) -> int:
    """Guests in which a bad commit shows itself with the wanted confidence."""
    if not hunt.asker.question.by_guests:
        return 1
    error = 1 - hunt.plan.confidence
    return max(hunt.plan.repeats, samples.repeats_needed(hunt.bad, hunt.asked, error))


def _confidence(hunt: Hunt, parents: list[Step]) -> float:
    """That no bad commit passed for a good one, as far as chance can have it.

    Had one, the commit found would have a bad parent: so what counts are that one's guests.
    """
    subject = hunt.asker.question.subject
    if not parents or any(step.answer is not Answer.GOOD for step in parents):
        return 0.0
    if subject is Subject.BUILD:
        return 1.0
    if subject is Subject.BENCH:
        exact = all(map(is_exact, hunt.guests(parents[0].commit)))
        return 1.0 if exact else 1.0 - samples.LEVEL
    fewest = min(step.good for step in parents)
    return round(1.0 - samples.missed(hunt.bad, hunt.asked, fewest), 6)


def _of_parents(hunt: Hunt, steps: list[Step]) -> Evidence:
    if not steps:
        return Evidence(name="parent", proof=Proof.OPEN, text="its parents were not asked")
    worst = min(steps, key=lambda step: (Answer.BAD, Answer.SKIP, Answer.GOOD).index(step.answer))
    proof = {Answer.GOOD: Proof.HOLDS, Answer.BAD: Proof.FAILS}.get(worst.answer, Proof.OPEN)
    words = {
        Proof.HOLDS: f"is {worst.answer.value} again",
        Proof.FAILS: "shows it as well: the culprit is older; ask more often with --repeat",
        Proof.OPEN: "cannot be asked",
    }
    text = f"its parent {worst.commit[:12]} {words[proof]}: {_said(worst)}"
    reached, wanted = _confidence(hunt, steps), hunt.plan.confidence
    if proof is Proof.HOLDS and reached < wanted and hunt.asker.question.by_guests:
        proof = Proof.OPEN
        text += f"; that gives a confidence of {reached:g}, and {wanted:g} is wanted"
    return Evidence(name="parent", proof=proof, text=text)


def _of_culprit(step: Step) -> Evidence:
    proof = {Answer.BAD: Proof.HOLDS, Answer.GOOD: Proof.FAILS}.get(step.answer, Proof.OPEN)
    words = {
        Proof.HOLDS: "it is bad again",
        Proof.FAILS: "it does not show it again",
        Proof.OPEN: "it cannot be asked again",
    }
    return Evidence(name="culprit", proof=proof, text=f"{words[proof]}: {_said(step)}")


def _revert(hunt: Hunt, commit: Commit, often: int) -> Evidence:
    if len(commit.parents) != 1:
        why = "a merge is not reverted by itself" if commit.parents else "it has no parent"
        return Evidence(name="revert", proof=Proof.OPEN, text=why)
    tip = hunt.session.range.bad
    made = without(hunt.asker.engine.tree.repo, tip, commit.sha)
    if made is None:
        why = f"reverting it on the bad end {tip[:12]} conflicts"
        return Evidence(name="revert", proof=Proof.OPEN, text=why)
    step = hunt.ask(Role.REVERT, made, often)
    proof = {Answer.GOOD: Proof.HOLDS, Answer.BAD: Proof.FAILS}.get(step.answer, Proof.OPEN)
    words = {
        Proof.HOLDS: "makes it good",
        Proof.FAILS: "does not make it good",
        Proof.OPEN: "leaves what cannot be asked",
    }
    text = f"reverting it on the bad end {tip[:12]} {words[proof]}: {_said(step)}"
    return Evidence(name="revert", proof=proof, text=text)


def _said(step: Step) -> str:
    return f"{step.why} ({counted(step.guests, 'guest')})" if step.guests > 1 else step.why


def _sources(asker: Asker, commit: Commit) -> frozenset[str]:
    """What the builds of the commit and its parents have read."""
    found: set[str] = set()
    for sha in (commit.sha, *commit.parents):
        tree = asker.engine.tree.tree_id(sha)
        if tree in asker.known or tree in asker.noted:
            found |= asker.engine.built(asker.evaluation_of(sha, "recalled")).sources
    return frozenset(found)


def _console(hunt: Hunt, evaluation: Evaluation) -> tuple[str, ...]:
    """Of the first guest that showed it: the report, else what the case said, then the tail."""
    for guest in guests_of(evaluation):
        told = answer_of(hunt, evaluation, guest)
        if told is Answer.BAD:
            splats = guest.splats
            if splats:
                return tuple(splats[0].excerpt.splitlines()[:CONSOLE_LINES])
            return guest.console_tail[-CONSOLE_LINES:]
    return ()


def answer_of(hunt: Hunt, evaluation: Evaluation, guest: Guest) -> Answer | None:
    if not hunt.asker.question.by_guests:
        return None
    told = answer(hunt.asker.question, evaluation, guest, hunt.reference)
    return told.answer if told is not None else None
