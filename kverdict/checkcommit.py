# SPDX-License-Identifier: GPL-2.0-or-later
"""One commit, by exit status: for whoever prefers git's own loop, `git bisect run`."""

from __future__ import annotations

from kverdict.asking import Asker, Patience, asking_engine, has_test, question_of
from kverdict.bisection import Answer, Role, Step
from kverdict.bisectrequest import CheckRequest
from kverdict.comparison import check_room
from kverdict.errors import UserError
from kverdict.progress import Progress
from kverdict.runs import scratch
from kverdict.settings import Settings
from kverdict.trees import open_tree
from kverdict.workplace import prepare


def check_commit(request: CheckRequest, settings: Settings, progress: Progress) -> Step:
    """What one commit says, without ends to compare with: whatever fails there is bad.

    It has no run's folder: git's own loop is the journal.
    """
    question = question_of(request.question)
    if question.percent is not None:
        raise UserError(f"{question.text} needs a good end", "name a number: bench:write>40000000")
    prepare(settings)
    tree = open_tree(request.tree, cache=settings.cache_folder, progress=progress)
    commit = tree.resolve(request.commit)
    if not has_test(question, tree, commit):
        why = f"it does not have {question.about}"
        subject = tree.commit(commit).subject
        return Step(
            number=1, role=Role.STEP, commit=commit, subject=subject, answer=Answer.SKIP, why=why
        )
    engine = asking_engine(request, settings, tree, question, commit, progress)
    with (
        engine.store.in_use(),
        scratch(settings.cache_folder, ".check.") as folder,
        engine.line() as line,
    ):
        check_room(engine, (commit,))
        asker = Asker(engine, line, folder, question)
        return asker.ask(Role.STEP, commit, Patience(good=request.repeat), None, number=1)
