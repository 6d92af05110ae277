# SPDX-License-Identifier: GPL-2.0-or-later
"""The workflow of a bisection: two commits and a question -> the first bad commit, proven."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from kverdict.ahead import Ahead
from kverdict.asking import Asker, asking_engine, question_of
from kverdict.bisection import Bisection, Commit, End
from kverdict.bisectrequest import BisectRequest, commands
from kverdict.comparison import check_room
from kverdict.culprit import describe, patch_id
from kverdict.drafts import fit, to_eml
from kverdict.errors import ExitStatus, KverdictError, UserError
from kverdict.gitbisect import Range, Session, check_terms
from kverdict.hunt import begin, plan_lines
from kverdict.journal import Journal, read_replay
from kverdict.maintainers import maintainers_of
from kverdict.progress import Progress
from kverdict.proof import Proven, prove
from kverdict.render.bisection import check_templates, render
from kverdict.render.bisectmail import FILE, draft, linked_mail
from kverdict.runs import finish_run, scratch, write_atomically
from kverdict.settings import Settings
from kverdict.stages.fetch import search_patch_id
from kverdict.trees import DEBIAN, Tree, open_tree
from kverdict.workplace import workplace

__all__ = ["BisectRequest", "BisectRun", "bisect"]

MOST_CANDIDATES = 50  # that are described


@dataclass(frozen=True)
class BisectRun:
    folder: Path
    bisection: Bisection


def bisect(request: BisectRequest, settings: Settings, progress: Progress) -> BisectRun:
    """Ask the ends, bisect, prove the culprit, render.

    Raises UserError when the ends do not answer as they have to, and InfraError; a run that was
    stopped goes on when it is started again.
    """
    question = question_of(request.question)
    check_terms(*request.terms)
    if request.repeat is not None and not question.by_guests:
        raise UserError(
            f"--repeat has no meaning for {question.text}",
            "a build is certain, and a benchmark is measured until its rounds tell",
        )
    templates = settings.template_folders
    check_templates(templates)
    replay = None if request.replay is None else Path(request.replay)
    answers = {} if replay is None else read_replay(replay, request.terms)
    slug = f"bisect-{request.question}"
    with workplace(settings, slug, request.model_dump(mode="json")) as folder:
        tree = open_tree(request.tree, cache=settings.cache_folder, progress=progress)
        good, bad = _end(tree, request.good), _end(tree, request.bad)
        progress.say(
            f"{request.term_old}: {good.description}; {request.term_new}: {bad.description}"
        )
        engine = asking_engine(request, settings, tree, question, bad.sha, progress)
        chosen = Range(bad.sha, good.sha, request.terms, request.first_parent, request.paths)
        with (
            engine.store.in_use(),
            scratch(folder, ".git.") as home,
            Ahead(engine, folder, progress) as ahead,
            engine.line() as line,
        ):
            session = Session.start(tree.repo, home / "git", chosen)
            check_room(engine, (good.sha, bad.sha))
            asker = Asker(engine, line, folder / "evaluations", question, wait_for=ahead.wait_for)
            journal = Journal(folder)
            hunt = begin(asker, journal, session, request.confidence, request.repeat)
            for text in plan_lines(hunt):
                progress.say(text)
            hunt.search(ahead, request.ahead, answers)
            candidates = session.candidates
            found = tuple(describe(tree.repo, sha) for sha in candidates[:MOST_CANDIDATES])
            proven = prove(hunt, found[0]) if len(candidates) == 1 else Proven()
            log = session.log
        bisection = Bisection(
            tree=request.tree,
            question=request.question,
            finding=hunt.finding,
            good=good,
            bad=bad,
            first_parent=request.first_parent,
            paths=request.paths,
            terms=request.terms,
            plan=hunt.plan,
            steps=journal.steps,
            candidates=found,
            proofs=proven.proofs,
            suspicions=proven.suspicions,
            confidence=proven.confidence,
            log=log,
            exit_status=_status(found, proven),
            headline=_headline(found, len(candidates), proven, request.term_new),
            config_digest=proven.config_digest,
            console=proven.console,
            commands=commands(request, found),
            portable=commands(_portable(request, good, bad), found),
        )
        bisection = _with_mail(bisection, request, tree, folder, settings, progress)
        render(bisection, folder, templates=templates)
        finish_run(folder)
    return BisectRun(folder, bisection)


def _with_mail(
    bisection: Bisection,
    request: BisectRequest,
    tree: Tree,
    folder: Path,
    settings: Settings,
    progress: Progress,
) -> Bisection:
    """Drafts bisect.eml when there is somebody to tell; nothing is sent."""
    if bisection.culprit is None or not bisection.proven:
        return bisection
    with progress.task("who maintains it"):
        recipients = maintainers_of(tree.repo, bisection.culprit.sha, isolation=request.isolation)
    patch, note = _patch_mail(bisection.culprit, tree, settings, progress)
    mail = draft(bisection, recipients, patch=patch, templates=settings.template_folders)
    assert mail is not None
    fitted = fit(mail)
    write_atomically(folder / FILE, to_eml(fitted.draft))
    notes = (*filter(None, (recipients.note, note)), *fitted.notes)
    return bisection.model_copy(update={"notes": notes})


def _patch_mail(
    culprit: Commit, tree: Tree, settings: Settings, progress: Progress
) -> tuple[str | None, str]:
    """The mail to answer: by the commit's Link:, else the archive's with its patch-id; a note."""
    if (linked := linked_mail(culprit)) is not None:
        return linked, ""
    id = patch_id(tree.repo, culprit.sha)
    if id is None:
        return None, ""
    # One attempt: a draft that answers no mail is one as well.
    once = settings.archive.model_copy(update={"waits": ()})
    try:
        found = search_patch_id(id, settings=once, progress=progress)
    except KverdictError as error:
        return None, f"the mail is an answer to none: {error}"
    return (found.message_id, "") if found is not None else (None, "the archive has no such patch")


def _portable(request: BisectRequest, good: End, bad: End) -> BisectRequest:
    """With nothing of this machine in it: a checkout is ".", a fragment its file's name."""
    return request.model_copy(
        update={
            "tree": request.tree if request.tree.startswith(DEBIAN) else ".",
            "good": good.sha[:12],
            "bad": bad.sha[:12],
            "fragments": tuple(Path(name).name for name in request.fragments),
            "replay": None,
        }
    )


def _end(tree: Tree, rev: str) -> End:
    sha = tree.resolve(rev)
    return End(asked=rev, sha=sha, description=tree.describe(sha))


def _status(found: tuple[Commit, ...], proven: Proven) -> ExitStatus:
    return ExitStatus.GOOD if len(found) == 1 and proven.holds else ExitStatus.UNTESTABLE


def _headline(found: tuple[Commit, ...], number: int, proven: Proven, term: str) -> str:
    if number > 1:
        return f"the first {term} commit is one of {number}: those before it could not be asked"
    if not found:
        return f"no commit of these paths is {term}: the first {term} one touches none of them"
    commit = found[0]
    name = f"{commit.sha[:12]} {commit.subject}"
    if proven.suspicions:
        return f"first {term} commit, suspect: {name}: {proven.suspicions[0]}"
    if not proven.holds:
        return f"first {term} commit, not proven: {name}"
    return f"first {term} commit: {name}"
