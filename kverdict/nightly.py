# SPDX-License-Identifier: GPL-2.0-or-later
"""The workflow of a night: trees -> what is new at their heads, whose it is, a page and a draft."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from kverdict import __version__, gc
from kverdict.bisect import BisectRequest, bisect
from kverdict.comparison import check_selftests
from kverdict.confidence import ask_again
from kverdict.errors import ExitStatus, KverdictError, PatchError, UserError
from kverdict.evaluate import Engine, OtherTests
from kverdict.git import Repository
from kverdict.heads import (
    Ask,
    Bisected,
    Ended,
    HeadNight,
    HeadState,
    Past,
    answers_of,
    compare_heads,
    last_good,
    needs_a_look,
    to_bisect,
)
from kverdict.mirror import fetch, tracking
from kverdict.models import Evaluation
from kverdict.nights import HOME, Night, Nights, Tonight, past_of
from kverdict.progress import Progress
from kverdict.render.nightly import check_templates, publish
from kverdict.request import Request, request_of
from kverdict.runs import digest_of, finish_run, open_run, slugify
from kverdict.settings import NightlyTree, Settings
from kverdict.stages import selftests
from kverdict.trees import Tree, open_tree
from kverdict.verify import engine_of
from kverdict.workplace import prepare


@dataclass(frozen=True)
class Outcome:
    """What a night came to; ``nights`` has the trees with something to tell, in their order."""

    tonight: Tonight
    nights: tuple[Night, ...]
    unchanged: tuple[str, ...]  # names of trees
    page: Path
    removed: int = 0  # bytes, by gc

    @property
    def status(self) -> int:
        """1 for a new regression anywhere; trouble only when no tree could be looked at."""
        if any(head.new(self.tonight.number) for night in self.nights for head in night.heads):
            return ExitStatus.BAD
        failed = [status for night in self.nights if (status := _trouble_of(night)) is not None]
        if failed and len(failed) == len(self.nights) + len(self.unchanged):
            return failed[0]
        return ExitStatus.GOOD


def _trouble_of(night: Night) -> int | None:
    """The status of a tree of which nothing at all could be said."""
    if night.trouble:
        return night.status
    if all(head.state is HeadState.TROUBLE for head in night.heads):
        return ExitStatus.TROUBLE
    return None


def nightly(
    settings: Settings,
    progress: Progress,
    *,
    jobs: int,
    unsafe_no_sandbox: bool = False,
    now: datetime | None = None,
) -> Outcome:
    """Every tree of the settings in turn; started again after a kill, it goes on where it was.

    Raises UserError without trees, and InfraError when the folders cannot be used or another
    nightly works there; what goes wrong with one tree is told in its row and stops no other.
    """
    chosen = settings.nightly
    if not chosen.trees:
        raise UserError("there is no tree to look at", "see docs/nightly.md for [[nightly.trees]]")
    prepare(settings)
    check_templates(settings.template_folders)
    nights = Nights.below(settings.runs_folder)
    with nights.alone():
        tonight = nights.begin(now or datetime.now(UTC))
        told = []
        for tree in chosen.trees:
            job = _Job(tree, tonight, nights, settings, progress, jobs, unsafe_no_sandbox)
            told.append(job.night())
        page = publish(nights, tonight, chosen, templates=settings.template_folders)
        nights.end()
        outcome = Outcome(
            tonight=tonight,
            nights=tuple(night for night in told if night is not None),
            unchanged=tuple(
                tree.name for tree, night in zip(chosen.trees, told, strict=True) if night is None
            ),
            page=page,
        )
        if chosen.gc:
            freed = gc.collect(settings, settings.keep, progress, dry_run=False)
            outcome = replace(outcome, removed=freed.size)
    return outcome


@dataclass(frozen=True)
class _Job:
    """One tree in one night."""

    tree: NightlyTree
    tonight: Tonight
    nights: Nights
    settings: Settings
    progress: Progress
    jobs: int
    unsafe_no_sandbox: bool

    def night(self) -> Night | None:
        """What there is to tell; None when nothing has changed."""
        begun = self._begun()
        if begun is not None and begun.done:
            return self._finished(begun)
        self.progress.say(f"{self.tree.name}:")
        try:
            tree = self._opened()
            return self._looked_at(tree)
        except (KverdictError, OSError) as error:
            return self._troubled(error)

    def _begun(self) -> Night | None:
        """What a nightly that was killed had found out already."""
        past = self.nights.of(self.tree.name)
        return past[0] if past and past[0].night.number == self.tonight.number else None

    def _blank(self) -> Night:
        return Night(night=self.tonight, tree=self.tree.name, spec=self.tree.tree, done=False)

    def _finished(self, night: Night) -> Night:
        """Written down for good; the run is finished after, so that a killed one is found again."""
        if not night.done:
            night = night.model_copy(update={"done": True})
            self.nights.write(night)
        if night.run is not None:
            finish_run(self.settings.runs_folder / night.run)
        return night

    def _troubled(self, error: KverdictError | OSError) -> Night:
        status = error.status if isinstance(error, KverdictError) else ExitStatus.TROUBLE
        self.progress.say(f"{self.tree.name}: {error}")
        known = self._begun() or self._blank()
        trouble = {"trouble": str(error), "status": int(max(status, ExitStatus.TROUBLE))}
        return self._finished(known.model_copy(update=trouble))

    # --- the tree -------------------------------------------------------------------------------

    def _opened(self) -> Tree:
        cache, spec = self.settings.cache_folder, self.tree.tree
        if self.tree.fetch:
            seconds = self.settings.nightly.fetch_minutes * 60
            spec = str(
                fetch(spec, self.tree.refs, cache=cache, seconds=seconds, progress=self.progress)
            )
        return open_tree(spec, cache=cache, progress=self.progress)

    def _named(self, ref: str) -> str:
        return tracking(ref) if self.tree.fetch else ref

    # --- its heads ------------------------------------------------------------------------------

    def _looked_at(self, tree: Tree) -> Night | None:
        request = self._request(tree)
        tests = tuple(selftests.parse(text) for text in request.kselftests)
        engine = engine_of(request, self.settings, tree, self.progress)
        engine = engine.testing(OtherTests(selftests=tests))
        asked = digest_of(
            engine.recipe.model_dump(mode="json"), request.kselftests, engine.allow.fingerprint
        )
        heads = {ref: tree.resolve(self._named(ref)) for ref in self.tree.refs}
        due = [ref for ref in heads if needs_a_look(self._past(ref), heads[ref], asked)]
        if not due:
            self.progress.say(f"  no change since {_named(heads)}")
            # A killed nightly may have found something at a head that is back where it was.
            begun = self._begun()
            return self._finished(begun) if begun is not None else None
        words = {"nightly": self.tree.name, "night": self.tonight.name, "tree": self.tree.tree}
        slug = f"{HOME}-{slugify(self.tree.name)}"
        with open_run(self.settings.runs_folder, slug, dict(words), __version__) as folder:
            begun = self._begun()
            night = begun if begun is not None and begun.run == folder.name else self._blank()
            night = night.model_copy(update={"run": folder.name})
            for ref in due:
                if ref not in {head.ref for head in night.heads}:
                    head = self._head(tree, engine, ref, heads[ref], asked, folder)
                    night = night.model_copy(update={"heads": (*night.heads, head)})
                    self.nights.write(night)
            for place in range(len(night.heads)):
                night = self._with_culprits(tree, night, place, request)
            return self._finished(night)

    def _past(self, ref: str) -> Past:
        return past_of(self.nights.of(self.tree.name), ref, before=self.tonight.number)

    def _request(self, tree: Tree) -> Request:
        return request_of(
            self.settings,
            series=(),
            tree=tree.origin,
            fragments=self.tree.fragments,
            bench_mib=self.tree.bench_mib,
            jobs=self.jobs,
            unsafe_no_sandbox=self.unsafe_no_sandbox,
            kselftests=self.tree.kselftests,
        )

    def _head(
        self, tree: Tree, engine: Engine, ref: str, commit: str, asked: str, folder: Path
    ) -> HeadNight:
        """One head against the last good one that the tree still has."""
        past = self._past(ref)
        good = last_good(past, tree.has)
        head = HeadNight(
            ref=ref,
            commit=commit,
            asked=asked,
            description=tree.describe(commit),
            subject=tree.commit(commit).subject,
            state=HeadState.TROUBLE,
            headline="",
            base=good.commit if good is not None and good.commit != commit else None,
        )
        try:
            before, after = self._evaluated(engine, head, folder / "evaluations")
        except PatchError as error:
            return head.model_copy(
                update={"state": HeadState.UNTESTABLE, "headline": error.problem}
            )
        except (KverdictError, OSError) as error:
            self.progress.say(f"  {ref}: {error}")
            return head.model_copy(update={"headline": str(error)})
        slower = self.settings.nightly.slower_percent / 100
        compared = compare_heads(before, after, past, night=self.tonight.number, slower=slower)
        self.progress.say(f"  {ref}: {compared.state.value}: {compared.headline}")
        return head.model_copy(
            update={
                "state": compared.state,
                "headline": compared.headline,
                "found": compared.found,
                "evaluation": after.key,
                "cases": answers_of(after),
                "bench": after.guest.bench if after.guest is not None else (),
                "accelerator": after.guest.accelerator.value if after.guest is not None else None,
            }
        )

    def _evaluated(
        self, engine: Engine, head: HeadNight, evaluations: Path
    ) -> tuple[Evaluation | None, Evaluation]:
        """The last good head and tonight's, each asked as often as for a series."""
        with engine.store.in_use(), engine.line() as line:
            check_selftests(engine, head.commit, line)
            kernels = []
            for name, commit in (("the last good head", head.base), (head.ref, head.commit)):
                if commit is not None:
                    made = engine.evaluate(commit, name, line, evaluations, strangers=False)
                    engine = engine.like(made.guest) if made.guest is not None else engine
                    kernels.append(made)
            *before, after = ask_again(engine, line, evaluations, kernels)
        return before[0] if before else None, after

    # --- whose it is ----------------------------------------------------------------------------

    def _with_culprits(self, tree: Tree, night: Night, place: int, request: Request) -> Night:
        """A bisection for each failure of a head that has none yet; each is written down at once.

        The slot that the head was built in is free again: a bisection works in the same.
        """
        head = night.heads[place]
        most = self.settings.nightly.bisections
        past = tuple(one for one in self._past(head.ref) if tree.has(one[1].commit))
        for ask in to_bisect(head.found, past)[:most]:
            if ask.question not in {one.question for one in head.bisected}:
                told = self._bisected(tree, ask, head, request)
                head = head.model_copy(update={"bisected": (*head.bisected, told)})
                heads = (*night.heads[:place], head, *night.heads[place + 1 :])
                night = night.model_copy(update={"heads": heads})
                self.nights.write(night)
        return night

    def _bisected(self, tree: Tree, ask: Ask, head: HeadNight, request: Request) -> Bisected:
        told = Bisected(
            question=ask.question, keys=ask.keys, good=ask.good, ended=Ended.TROUBLE, text=""
        )
        if not _have_a_common_past(tree, ask.good, head.commit):
            why = f"there is no history between {ask.good[:12]} and {head.commit[:12]}"
            return told.model_copy(update={"ended": Ended.REFUSED, "text": why})
        self.progress.say(f"  bisecting {ask.question}")
        try:
            run = bisect(self._bisect_request(ask, head, request), self.settings, self.progress)
        except (UserError, PatchError) as error:
            return told.model_copy(update={"ended": Ended.REFUSED, "text": str(error)})
        except (KverdictError, OSError) as error:
            return told.model_copy(update={"text": str(error)})
        found = run.bisection
        return told.model_copy(
            update={
                "ended": Ended.PROVEN if found.proven else Ended.CANDIDATES,
                "text": found.headline,
                "run": run.folder.name,
                "culprits": tuple(commit.sha for commit in found.candidates),
                "subject": found.culprit.subject if found.culprit is not None else "",
                "author": found.culprit.author if found.culprit is not None else "",
            }
        )

    def _bisect_request(self, ask: Ask, head: HeadNight, request: Request) -> BisectRequest:
        return BisectRequest(
            tree=request.tree,
            good=ask.good,
            bad=head.commit,
            question=ask.question,
            fragments=request.fragments,
            accelerator=request.accelerator,
            jobs=request.jobs,
            bench_mib=request.bench_mib,
            confidence=self.settings.nightly.confidence,
            kselftests=request.kselftests,
            unsafe_no_sandbox=request.unsafe_no_sandbox,
        )


def _have_a_common_past(tree: Tree, *commits: str) -> bool:
    """An imported tree has none: each version of it is a commit without parents."""
    with Repository(tree.repo) as repository:
        known = all(repository.resolve(commit) for commit in commits)
        return known and repository.run("merge-base", *commits, check=False).ok


def _named(heads: Mapping[str, str]) -> str:
    return ", ".join(f"{ref} {commit[:12]}" for ref, commit in heads.items())
