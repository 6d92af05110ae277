# SPDX-License-Identifier: GPL-2.0-or-later
"""Asks one commit the question: builds it, boots as many guests as an answer takes."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from kverdict import samples
from kverdict.bisection import Answer, Role, Step
from kverdict.bisectrequest import BisectRequest, CheckRequest
from kverdict.errors import PatchError, UserError
from kverdict.evaluate import Engine, OtherTests
from kverdict.findings.suite import list_cases
from kverdict.line import Line
from kverdict.models import Evaluation, Frozen, Guest
from kverdict.progress import Progress
from kverdict.question import (
    Question,
    Reference,
    Subject,
    Told,
    answer,
    answer_measured,
    answer_rounds,
    is_exact,
    parse,
    rounds_of,
    selftests_named,
    vanished,
)
from kverdict.settings import Settings
from kverdict.stages import selftests
from kverdict.stages.configure import UnknownSymbol
from kverdict.stages.selftests import Named
from kverdict.text import shorten
from kverdict.trees import Tree
from kverdict.verify import engine_of

MOST_WEAK = 3  # guests in which nothing was answered, before the commit is skipped
MOST_BENCHES = 4  # guests that measure, of one commit


class Patience(Frozen):
    """When a commit has been asked often enough: by the guests that answered."""

    good: int = 1  # so many good ones, and no bad one
    bad: int = 1  # so many bad ones
    # At the bad end the rate is wanted: when both were seen, so many are asked in all.
    flaky: int | None = None

    def enough(self, good: int, bad: int, other: int) -> bool:
        if self.flaky is not None and bad and good:
            return good + bad + other >= self.flaky
        return bad >= self.bad or good + other >= self.good


@dataclass(frozen=True)
class _Heard:
    """What one commit said; None where nothing of it could be built."""

    told: Told
    count: dict[Answer, int]
    evaluation: Evaluation | None = None
    rounds: tuple[float, ...] = ()


@dataclass
class Asker:
    """Everything a commit is asked with; it remembers how far each kernel's guests are counted."""

    engine: Engine
    line: Line
    evaluations: Path
    question: Question
    known: dict[str, Evaluation] = field(default_factory=dict)  # by tree
    noted: dict[str, tuple[str, int]] = field(default_factory=dict)  # tree -> (key, guests)
    wait_for: Callable[[str], None] = lambda commit: None  # until it is not built elsewhere

    def ask(
        self,
        role: Role,
        commit: str,
        patience: Patience,
        reference: Reference | None,
        *,
        number: int,
        position: int | None = None,
    ) -> Step:
        """The commit's answer, in guests that it was not asked in before."""
        began = time.monotonic()
        if self.engine.tree.tree_id(commit) in (self.known | self.noted):
            self.engine.progress.say(f"{role.value}: {commit[:12]}")
        try:
            heard = self._heard(self.evaluation_of(commit, role.value), patience, reference)
        except (PatchError, UnknownSymbol) as error:  # its Kconfig does not parse, or lacks one
            heard = _Heard(_cannot_be_tested(error), dict.fromkeys(Answer, 0) | {Answer.SKIP: 1})
        told, count = heard.told, heard.count
        said = told.answer if told.answer is not Answer.WEAK else Answer.SKIP
        build = heard.evaluation.build if heard.evaluation is not None else None
        step = Step(
            number=number,
            role=role,
            commit=commit,
            subject=self.engine.tree.commit(commit).subject,
            answer=said,
            why=told.why,
            good=count[Answer.GOOD],
            bad=count[Answer.BAD],
            other=count[Answer.SKIP],
            weak=count[Answer.WEAK],
            position=position,
            evaluation=heard.evaluation.key if heard.evaluation is not None else "",
            build_id=build.build_id if build is not None else None,
            bzimage_digest=build.bzimage_digest if build is not None else None,
            message=told.message,
            rounds=heard.rounds,
            seconds=round(time.monotonic() - began, 3),
        )
        self.engine.progress.say(f"  {said.value}: {told.why}")
        return step

    def _heard(
        self, evaluation: Evaluation, patience: Patience, reference: Reference | None
    ) -> _Heard:
        rounds: tuple[float, ...] = ()
        told = answer(self.question, evaluation, None, reference)
        count = dict.fromkeys(Answer, 0)
        if told is not None:
            count[told.answer] += 1
        elif self.question.subject is Subject.BENCH:
            evaluation, told, count, rounds = self._measure(evaluation, patience, reference)
        else:
            evaluation, told, count = self._boot(evaluation, patience, reference)
        self.known[evaluation.tree] = evaluation
        return _Heard(told, count, evaluation, rounds)

    def note(self, step: Step) -> None:
        """A step of before a restart: its guests were asked, those of a killed step are not."""
        if not step.evaluation:
            return  # nothing was evaluated: it was replayed, or could not be configured
        tree = self.engine.tree.tree_id(step.commit)
        self.known.pop(tree, None)
        _, guests = self.noted.get(tree, ("", 0))
        self.noted[tree] = (step.evaluation, guests + step.guests)

    def evaluation_of(self, commit: str, describe: str) -> Evaluation:
        """All that is known of a commit, its guests of before among it."""
        tree = self.engine.tree.tree_id(commit)
        if tree in self.known:
            return self.known[tree]
        if tree in self.noted:
            self.known[tree] = self._restored(commit, describe, *self.noted[tree])
            return self.known[tree]
        self.wait_for(commit)
        self.known[tree] = self.engine.evaluate(
            commit, describe, self.line, self.evaluations, strangers=False, boots=0
        )
        return self.known[tree]

    def _restored(self, commit: str, describe: str, key: str, guests: int) -> Evaluation:
        path = self.evaluations / key / "evaluation.json"
        try:
            found = Evaluation.from_json(path.read_bytes())
        except (OSError, ValueError):
            # Damaged: the same guests again, from the store as far as it has them.
            found = self.engine.evaluate(
                commit, describe, self.line, self.evaluations, strangers=False, boots=0
            )
            boots = found.build is not None and found.build.ok
            for _ in range(guests if boots and self.question.subject is not Subject.BUILD else 0):
                found = self._one_more(found)
        kept = guests - (found.guest is not None)
        return found.model_copy(update={"reruns": found.reruns[: max(0, kept)]})

    def _one_more(self, evaluation: Evaluation) -> Evaluation:
        if self.question.subject is Subject.BENCH:
            return self.engine.measure(evaluation, self.line, self.evaluations)
        return self.engine.boot(evaluation, self.line, self.evaluations, cases=self.question.guests)

    def _boot(
        self, evaluation: Evaluation, patience: Patience, reference: Reference | None
    ) -> tuple[Evaluation, Told, dict[Answer, int]]:
        count = dict.fromkeys(Answer, 0)
        first: dict[Answer, Told] = {}
        lost = 0
        while True:
            before, evaluation = evaluation, self._one_more(evaluation)
            guest = _newest(before, evaluation)
            told = answer(self.question, evaluation, guest, reference)
            assert told is not None
            count[told.answer] += 1
            first.setdefault(told.answer, told)
            lost += vanished(guest)
            if told.final:
                return evaluation, told, count
            if count[Answer.WEAK] >= MOST_WEAK:
                return evaluation, self._given_up(first, count, lost, reference), count
            if patience.enough(count[Answer.GOOD], count[Answer.BAD], count[Answer.SKIP]):
                break
        for said in (Answer.BAD, Answer.SKIP, Answer.GOOD):
            if said in first:
                return evaluation, first[said], count
        raise AssertionError("a commit was asked often enough without an answer")

    def _given_up(
        self,
        first: dict[Answer, Told],
        count: dict[Answer, int],
        lost: int,
        reference: Reference | None,
    ) -> Told:
        """Guests that vanish one after the other, and nothing but that: so does a kernel reset."""
        if Answer.BAD in first:
            return first[Answer.BAD]
        only = lost == sum(count.values())
        known = reference is None or (bool(reference.ends) and not reference.reports)
        if self.question.subject is Subject.BOOT and only and known:
            why = f"{first[Answer.WEAK].why}, in {lost} of {lost} guests"
            count[Answer.BAD], count[Answer.WEAK] = count[Answer.WEAK], 0
            return Told(answer=Answer.BAD, why=why)
        return Told(
            answer=Answer.SKIP, why=f"{first[Answer.WEAK].why}, in {count[Answer.WEAK]} guests"
        )

    def _measure(
        self, evaluation: Evaluation, patience: Patience, reference: Reference | None
    ) -> tuple[Evaluation, Told, dict[Answer, int], tuple[float, ...]]:
        """Guests that only measure, until their rounds together tell.

        Without a reference it is the good end, which is one to itself.
        """
        count = dict.fromkeys(Answer, 0)
        kept: list[Guest] = []
        while True:
            before, evaluation = evaluation, self._one_more(evaluation)
            guest = _newest(before, evaluation)
            if (useless := answer_measured(self.question, evaluation, guest)) is not None:
                count[useless.answer] += 1
                if useless.final or sum(count.values()) >= MOST_WEAK:
                    told = useless
                    break
                continue
            kept.append(guest)
            rounds = self._rounds(kept)
            if len(kept) < patience.good:
                continue
            known = reference or Reference(rounds=rounds, noise=samples.noise(rounds))
            told = answer_rounds(self.question, rounds, known, exact=all(map(is_exact, kept)))
            if told.answer is not Answer.WEAK or len(kept) >= MOST_BENCHES:
                count[Answer.SKIP if told.answer is Answer.WEAK else told.answer] += len(kept)
                break
        return evaluation, told, count, self._rounds(kept)

    def _rounds(self, guests: Sequence[Guest]) -> tuple[float, ...]:
        return tuple(value for guest in guests for value in rounds_of(self.question.about, guest))


def _cannot_be_tested(error: PatchError | UnknownSymbol) -> Told:
    why = f"cannot be tested: {shorten(error.problem, 200)}"
    return Told(answer=Answer.SKIP, why=why, final=True)


def question_of(text: str) -> Question:
    return parse(text, [case.id for case in list_cases()])


def asking_engine(
    request: BisectRequest | CheckRequest,
    settings: Settings,
    tree: Tree,
    question: Question,
    commit: str,
    progress: Progress,
) -> Engine:
    """An engine whose guests answer this question, and measure only when that is asked.

    Raises UserError for a selftest that the tree does not have at ``commit``.
    """
    if question.subject is Subject.BENCH and not request.bench_mib:
        raise UserError("there is nothing to measure with 0 MiB", "use --bench-mib 16")
    mib = request.bench_mib if question.subject is Subject.BENCH else 0
    wanted = request.model_copy(update={"bench_mib": mib})
    named = [selftests.parse(text) for text in request.kselftests]
    test = _selftest(question, tree, commit)
    if test is not None and test.id not in {known.id for known in named}:
        named.append(test)
    # Whose parser reads their output is part of a guest's key: nothing is read without them.
    tests = OtherTests(selftests=tuple(named), parser=commit if named else None)
    return engine_of(wanted, settings, tree, progress).testing(tests)


def has_test(question: Question, tree: Tree, commit: str) -> bool:
    """Whether the commit has the selftest that is asked for; of other questions, True."""
    meant = _meant(question)
    return not meant or _there(meant, tree, commit) is not None


def _meant(question: Question) -> tuple[Named, ...]:
    """The selftests that a question may be about; none for one about anything else."""
    return selftests_named(question.about) if question.subject is Subject.CASE else ()


def _there(meant: Sequence[Named], tree: Tree, commit: str) -> Named | None:
    for named in meant:
        if tree.show_file(commit, f"{selftests.HOME}/{named.collection}/Makefile") is not None:
            return named
    return None


def _selftest(question: Question, tree: Tree, commit: str) -> Named | None:
    """The selftest that a case's id means: that of the folder which the tree has."""
    meant = _meant(question)
    found = _there(meant, tree, commit)
    if meant and found is None:
        raise UserError(f"the tree has no selftest {question.about}", "e.g. kselftest.kvm.NAME")
    return found


def _newest(before: Evaluation, after: Evaluation) -> Guest:
    """The guest that came last; a whole boot may have become the evaluation's own."""
    if after.guest is not None and after.guest is not before.guest:
        return after.guest
    return after.reruns[-1]
