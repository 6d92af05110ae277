# SPDX-License-Identifier: GPL-2.0-or-later
"""Which commit a series is applied to, with the evidence.

A commit that the user names is taken or refused, never replaced by another.  Without one: the
``base-commit:`` that the series itself names, with its prerequisites (git-format-patch(1), "BASE
TREE INFORMATION"), then the commits of the named refs whose files are the ones that the diffs
were made from: each ``index`` line of a diff has the id of the blob before it.

A candidate counts only when git am really applies the series to it; that costs a second.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from kverdict.am import Mail, Result, apply_mails, read_mbox, split_mboxrd
from kverdict.conflict import conflict
from kverdict.errors import PatchError
from kverdict.git import Repository
from kverdict.models import (
    BaseAttempt,
    BaseChoice,
    BaseHow,
    Patch,
    Prerequisite,
    Series,
    SourceKind,
)
from kverdict.progress import Progress
from kverdict.screen import refused, screen
from kverdict.trees import Tree

GUESS_DAYS = 90  # how long before the mail its base may have been committed
GUESS_COMMITS = 2000  # of one ref that touch the files of the series
GUESS_TRIES = 3  # how many guesses git am is run on
PREREQUISITES = 200  # that a series may name: each may be asked for in the archive
PREREQUISITE_COMMITS = 500  # how far back prerequisites are looked for in a base

FindPrerequisite = Callable[[str], bytes | None]


@dataclass(frozen=True)
class _Candidate:
    how: BaseHow
    ref: str
    sha: str


@dataclass(frozen=True)
class _Probe:
    """What came of one candidate: where the series starts (after prerequisites), and whether."""

    candidate: _Candidate
    start: str
    prerequisites: tuple[Prerequisite, ...]
    missing: tuple[str, ...]  # prerequisites that are nowhere
    result: Result | None  # None when it was not tried for want of a prerequisite

    @property
    def applies(self) -> bool:
        return self.result is not None and self.result.refusal is None


def choose_base(
    series: Series,
    mbox: Path,
    tree: Tree,
    *,
    user_base: str | None,
    guess_refs: Sequence[str],
    progress: Progress,
    find_prerequisite: FindPrerequisite | None,
) -> BaseChoice:
    """The base of a series, every candidate that was looked at, and why it was taken or not.

    ``find_prerequisite`` gives the patch mail (an mboxrd of one) for a stable patch-id.  Refs in
    ``guess_refs`` that the tree does not have are passed over; none at all means HEAD.  Raises
    UserError for an unknown ``user_base`` and PatchError (125) when nothing applies, with the
    conflict on the best candidate.
    """
    if series.kind is SourceKind.REV_RANGE:
        return _range(series, tree)
    if len(series.prerequisite_patch_ids) > PREREQUISITES:
        raise refused(f"it names more than {PREREQUISITES} prerequisites")
    mails = read_mbox(mbox, len(series.patches))
    with Repository(tree.repo) as repository, progress.task("choosing a base") as task:
        screen([mail.data for mail in mails])  # a refusal is told also where no base can be had
        chooser = _Chooser(series, mails, tree, repository, find_prerequisite)
        for candidate in _candidates(chooser, user_base, guess_refs):
            task.update(note=f"trying {candidate.ref}")
            probe = chooser.probe(candidate)
            if probe.applies:
                return chooser.choice(probe)
    raise chooser.refusal()


def _candidates(
    chooser: _Chooser, user_base: str | None, guess_refs: Sequence[str]
) -> Iterator[_Candidate]:
    """In the order of trust; each is made only when those before it did not apply."""
    tree, named = chooser.tree, chooser.series.base_commit
    if user_base is not None:
        if named is not None:
            chooser.note_unused(named, "not tried: --base was given")
        yield _Candidate(BaseHow.USER, user_base, tree.resolve(user_base))
        return
    if named is not None and tree.has(named):
        yield _Candidate(BaseHow.BASE_COMMIT, named, named)
    elif named is not None:
        chooser.note_unused(named, "the tree does not have it; git fetch may bring it")
    yield from chooser.guesses(guess_refs)


class _Chooser:
    """Tries candidates and keeps the record of it."""

    def __init__(
        self,
        series: Series,
        mails: Sequence[Mail],
        tree: Tree,
        repository: Repository,
        find_prerequisite: FindPrerequisite | None,
    ) -> None:
        self.series, self.mails, self.tree = series, mails, tree
        self._repository = repository
        self._find = find_prerequisite
        self._preimages = preimages(series.patches)
        self._attempts: list[BaseAttempt] = []
        self._failed: list[_Probe] = []

    def probe(self, candidate: _Candidate) -> _Probe:
        start, done, missing = self._with_prerequisites(candidate)
        result = None
        if not missing or candidate.how is BaseHow.USER:
            result = apply_mails(self.tree.repo, start, self.mails)
        probe = _Probe(candidate, start, done, missing, result)
        self._attempts.append(
            BaseAttempt(
                how=candidate.how,
                ref=candidate.ref,
                sha=candidate.sha,
                blobs_matched=self.matched([start])[0],
                blobs_total=len(self._preimages),
                applies=None if result is None else probe.applies,
                note=_note(probe),
            )
        )
        if not probe.applies:
            self._failed.append(probe)
        return probe

    def note_unused(self, sha: str, note: str) -> None:
        """Records the series' own base-commit when it is not tried."""
        there = sha if self.tree.has(sha) else None
        self._attempts.append(
            BaseAttempt(
                how=BaseHow.BASE_COMMIT,
                ref=sha,
                sha=there,
                blobs_matched=self.matched([sha])[0] if there else 0,
                blobs_total=len(self._preimages),
                applies=None,
                note=note,
            )
        )

    def choice(self, probe: _Probe) -> BaseChoice:
        taken = self._attempts[-1]
        return BaseChoice(
            how=probe.candidate.how,
            sha=probe.start,
            ref=probe.candidate.ref,
            description=self.tree.describe(probe.candidate.sha),
            blobs_matched=taken.blobs_matched,
            blobs_total=taken.blobs_total,
            attempts=tuple(self._attempts),
            prerequisites=probe.prerequisites,
        )

    def refusal(self) -> PatchError:
        """Why nothing applies, told about the candidate that came closest."""
        tried = [probe for probe in self._failed if probe.result is not None]
        if not tried:
            return self._nothing_tried()
        scores = self.matched([probe.start for probe in tried])
        best = max(zip(tried, scores, strict=True), key=lambda pair: pair[1])[0]
        assert best.result is not None
        error = conflict(self.mails, best.result, self.tree)
        record = [f"{a.how.value} {a.ref}: {a.note}" for a in self._attempts]
        return PatchError(
            error.problem, error.remedy, detail="\n".join([error.detail, "", "tried:", *record])
        )

    def _nothing_tried(self) -> PatchError:
        missing = [patch_id for probe in self._failed for patch_id in probe.missing]
        if missing:
            return PatchError(
                f"the series needs the patch {missing[0]}, which is neither in its base "
                "nor in the archive",
                "apply the prerequisites to a branch of yours and give that with --base",
            )
        return PatchError(
            "no commit is there to apply the series to", "give one with --base REVISION"
        )

    def matched(self, shas: Sequence[str]) -> list[int]:
        """For each commit, how many of the preimage blobs it has."""
        places = [(sha, path) for sha in shas for path in self._preimages]
        found = iter(self._repository.blob_ids(places))
        return [
            sum((next(found) or "").startswith(blob) for blob in self._preimages.values())
            for _ in shas
        ]

    # --- guessing -------------------------------------------------------------------------------

    def guesses(self, refs: Sequence[str]) -> Iterator[_Candidate]:
        """The commits with the most matching blobs; of equal ones that of the first ref, newest."""
        found: dict[str, str] = {}
        for ref in refs or ("HEAD",):
            tip = self.tree.find(ref)
            for sha in self._commits_of(tip) if tip else ():
                found.setdefault(sha, ref)
        tried = {attempt.sha for attempt in self._attempts}
        shas = [sha for sha in found if sha not in tried]
        order = sorted(zip(self.matched(shas), shas, strict=True), key=lambda pair: -pair[0])
        for _, sha in order[:GUESS_TRIES]:
            yield _Candidate(BaseHow.GUESS, found[sha], sha)

    def _commits_of(self, tip: str) -> list[str]:
        """The ref's tip, what it was when the mail was sent, and the states before that.

        The blobs change only at commits that touch the paths, so those and their parents are
        all the states there are.
        """
        sent = self.series.patches[0].date
        until = (sent + timedelta(days=1)).isoformat()
        since = (sent - timedelta(days=GUESS_DAYS)).isoformat()
        walk = ("rev-list", "--first-parent", f"--until={until}")
        then = self._repository.run(*walk, "--max-count=1", tip).text.split()
        if not then or not self._preimages:
            return list(dict.fromkeys([tip, *then]))
        paths = ("--", *self._preimages)
        limits = (f"--since={since}", f"--max-count={GUESS_COMMITS}", "--parents")
        touching = self._repository.run(*walk, *limits, then[0], *paths)
        return list(dict.fromkeys([tip, *then, *touching.text.split()]))

    # --- prerequisites --------------------------------------------------------------------------

    def _with_prerequisites(
        self, candidate: _Candidate
    ) -> tuple[str, tuple[Prerequisite, ...], tuple[str, ...]]:
        """(commit to start from, what became of each prerequisite, those that are nowhere)."""
        wanted = self.series.prerequisite_patch_ids
        if not wanted:
            return candidate.sha, (), ()
        mails = {patch_id: self._prerequisite(patch_id) for patch_id in wanted}
        paths = {path for mail in mails.values() if mail for path in mail.paths}
        there = self._patch_ids(candidate.sha, sorted(paths | set(self._preimages)))
        start, done, missing = candidate.sha, [], []
        for patch_id in wanted:
            mail = mails[patch_id]
            state = "in base"
            if patch_id not in there:
                result = self._apply_prerequisite(patch_id, start, mail) if mail else None
                if mail is None or result is None or result.refusal is not None:
                    missing.append(patch_id)
                    state = "does not apply" if mail else "not found"
                else:
                    start, state = result.tip, f"applied from <{mail.message_id}>"
            done.append(Prerequisite(patch_id=patch_id, state=state))
        return start, tuple(done), tuple(missing)

    def _apply_prerequisite(self, patch_id: str, start: str, mail: Mail) -> Result:
        try:
            return apply_mails(self.tree.repo, start, [mail])
        except PatchError as error:
            raise PatchError(
                f"its prerequisite {patch_id[:12]}: {error.problem}",
                error.remedy,
                status=error.status,
            ) from error

    def _prerequisite(self, patch_id: str) -> Mail | None:
        """The mail for a patch-id; the id is computed again, for the archive may be wrong."""
        data = self._find(patch_id) if self._find is not None else None
        mails = split_mboxrd(data) if data else ()
        if len(mails) != 1:
            return None
        text = mails[0].text.encode(errors="surrogateescape")
        ids = self._repository.run("patch-id", "--stable", stdin=text).text.split()
        return mails[0] if ids[:1] == [patch_id] else None

    def _patch_ids(self, base: str, paths: Sequence[str]) -> set[str]:
        """Stable patch-ids of the commits before ``base`` that touch the paths.

        Without merges, which have none, and without root commits, whose diff is a whole kernel.
        """
        log = self._repository.run(
            *("log", "-p", "--no-color", "--no-ext-diff", "--no-textconv", "--full-diff"),
            *("--min-parents=1", "--max-parents=1", f"--max-count={PREREQUISITE_COMMITS}"),
            *(base, "--", *paths),
        )
        ids = self._repository.run("patch-id", "--stable", stdin=log.stdout).text.splitlines()
        return {line.split()[0] for line in ids if line}


def preimages(patches: Sequence[Patch]) -> dict[str, str]:
    """Path -> abbreviated blob id that the series expects there, of files that it does not create.

    Only the first patch that touches a path speaks of the base; later ones see its result.
    """
    expected: dict[str, str] = {}
    seen: set[str] = set()
    for change in (change for patch in patches for change in patch.blobs):
        if change.old_path not in seen and set(change.preimage) != {"0"}:
            expected[change.old_path] = change.preimage
        seen |= {change.old_path, change.new_path}
    return expected


def _note(probe: _Probe) -> str:
    if probe.result is None:
        return f"prerequisite {probe.missing[0][:12]} is missing"
    if probe.result.refusal is not None:
        return f"patch {len(probe.result.landed) + 1} does not apply"
    merged = [str(n) for n, item in enumerate(probe.result.landed, start=1) if item.three_way]
    how = f"applies, patch {', '.join(merged)} by a 3-way merge" if merged else "applies"
    return how + (f", without prerequisite {probe.missing[0][:12]}" if probe.missing else "")


def _range(series: Series, tree: Tree) -> BaseChoice:
    assert series.rev_range is not None
    base = series.rev_range[0]
    expected = preimages(series.patches)
    with Repository(tree.repo) as repository:
        found = repository.blob_ids([(base, path) for path in expected])
    matched = sum((a or "").startswith(b) for a, b in zip(found, expected.values(), strict=True))
    attempt = BaseAttempt(
        how=BaseHow.RANGE,
        ref=series.asked,
        sha=base,
        blobs_matched=matched,
        blobs_total=len(expected),
        applies=True,
        note="the range begins there",
    )
    return BaseChoice(
        how=BaseHow.RANGE,
        sha=base,
        ref=series.asked,
        description=tree.describe(base),
        blobs_matched=matched,
        blobs_total=len(expected),
        attempts=(attempt,),
    )
