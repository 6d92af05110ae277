# SPDX-License-Identifier: GPL-2.0-or-later
"""The workflow of a pre-merge check: a series and a tree -> a run folder with its verdict."""

from __future__ import annotations

import shlex
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

from kverdict import __version__, allowlist
from kverdict.confidence import ask_again, pin_down
from kverdict.configdiff import config_changes, declared_in
from kverdict.disk import (
    DISK_NEEDED,
    NEARLY_FULL,
    DiskFull,
    build_need,
    disk_full,
    free_at,
    is_about_space,
    require,
)
from kverdict.errors import InfraError, PatchError, UserError
from kverdict.evaluate import Engine, OtherTests, recipe_of
from kverdict.git import Repository
from kverdict.interrupt import undisturbed
from kverdict.judgement import Report
from kverdict.line import Line
from kverdict.memory import recall
from kverdict.models import (
    Applied,
    BaseChoice,
    BaseHow,
    Checks,
    Diagnostic,
    Evaluation,
    Frozen,
    KconfigChange,
    PinnedWarning,
    Prerequisite,
    Reach,
    Series,
    SourceKind,
)
from kverdict.pins import pin
from kverdict.progress import Progress
from kverdict.reach import enabled_by, files_to_plan, reach, reach_fragment
from kverdict.render.report import render
from kverdict.runs import (
    TEMPORARY,
    check_usable,
    discard,
    finish_run,
    open_run,
    read_state,
    scratch_homes,
    sweep,
    write_atomically,
)
from kverdict.sandbox import Isolation, protection
from kverdict.settings import DEFAULT_FRAGMENTS, HOME, Settings, find_fragment
from kverdict.stages import fetch, selftests
from kverdict.stages.apply import apply_series
from kverdict.stages.base import choose_base
from kverdict.stages.boot import Limits
from kverdict.stages.checks import check
from kverdict.trees import Tree, open_tree
from kverdict.verdict import judge

TEMPLATES = HOME / "templates"
REACH_FRAGMENT = "reach.config"
KUNIT_FRAGMENT = "kunit.config"
# Results are read from debugfs, suite by suite; the console is for what goes wrong.
KUNIT = """# optional: what --kunit asks for, from the patched tree
CONFIG_KUNIT=y
CONFIG_DEBUG_FS=y
CONFIG_KUNIT_DEBUGFS=y
"""


class Request(Frozen):
    """What the user asked for; the same request goes on with an unfinished run."""

    series: tuple[str, ...]
    tree: str
    base: str | None = None
    revision: int | None = None
    fragments: tuple[str, ...]
    accelerator: str
    bench_mib: int
    jobs: int
    unsafe_no_sandbox: bool = False
    repeat: int = 1  # boots of each kernel with all cases
    test_each: bool = False
    reach: bool = False  # also configure what has the touched files compiled
    coccicheck: bool = False
    kselftests: tuple[str, ...] = ()  # COLLECTION:TEST
    kunit: str | None = None  # folder of the tree with a .kunitconfig

    @property
    def isolation(self) -> Isolation:
        return Isolation.NONE if self.unsafe_no_sandbox else Isolation.BUBBLEWRAP


@dataclass(frozen=True)
class Run:
    folder: Path
    report: Report


def request_of(
    settings: Settings,
    *,
    series: Sequence[str],
    tree: str | None,
    base: str | None = None,
    revision: int | None = None,
    fragments: Sequence[str] = (),
    accelerator: str | None = None,
    bench_mib: int | None = None,
    jobs: int = 1,
    unsafe_no_sandbox: bool = False,
    repeat: int = 1,
    test_each: bool = False,
    reach: bool = False,
    coccicheck: bool = False,
    kselftests: Sequence[str] = (),
    kunit: str | None = None,
) -> Request:
    """What the command line says, else what the settings say."""
    chosen = tree or settings.kernel.tree
    if chosen is None:
        raise UserError("no kernel tree is given", "use --tree, e.g. --tree debian:7.2")
    return Request(
        series=tuple(series),
        tree=chosen,
        base=base,
        revision=revision,
        fragments=tuple(dict.fromkeys((*settings.kernel.fragments, *fragments))),
        accelerator=accelerator or settings.guest.accelerator,
        bench_mib=settings.guest.bench_mib if bench_mib is None else bench_mib,
        jobs=jobs,
        unsafe_no_sandbox=unsafe_no_sandbox,
        repeat=repeat,
        test_each=test_each,
        reach=reach,
        coccicheck=coccicheck,
        kselftests=tuple(dict.fromkeys(kselftests)),
        kunit=kunit,
    )


def verify(request: Request, settings: Settings, progress: Progress) -> Run:
    """Fetch, choose a base, apply, evaluate base and series, judge, render.

    Raises UserError, PatchError (125) and InfraError; a run that had not begun to evaluate
    leaves no folder behind, one that had goes on when it is started again.
    """
    for key, folder in (("runs", settings.runs_folder), ("cache", settings.cache_folder)):
        check_usable(folder, key)
        require(folder, 0, "a run")
    _sweep(settings)
    asked = request.model_dump(mode="json")
    slug = Path(request.series[0]).name
    with (
        open_run(settings.runs_folder, slug, asked, __version__) as folder,
        _nothing_left_behind(folder, settings.cache_folder),
    ):
        if request.unsafe_no_sandbox:
            progress.say("no sandbox: the series' code runs with all your rights")
        tree = open_tree(request.tree, cache=settings.cache_folder, progress=progress)
        progress.say(f"tree: Linux {tree.version}" + (f" ({tree.note})" if tree.note else ""))
        series = _series(request, settings, tree, folder, progress)
        base = _base(request, settings, series, tree, folder, progress)
        progress.say(
            f"base: {base.description}, {base.how.value}, "
            f"{base.blobs_matched} of {base.blobs_total} blobs match"
        )
        applied = apply_series(
            series, folder / "series" / series.mbox, base, tree, progress=progress
        )
        mbox = folder / "series" / series.mbox
        checks = check(
            series,
            applied,
            mbox,
            tree,
            progress=progress,
            isolation=request.isolation,
            coccicheck=request.coccicheck,
        )
        engine = engine_of(request, settings, tree, progress).testing(
            OtherTests(
                selftests=tuple(selftests.parse(text) for text in request.kselftests),
                kunit=request.kunit is not None,
                parser=base.sha,
            )
        )
        if request.kunit is not None:
            engine = _with_kunit(engine, request.kunit, applied.tip, folder)
        report = _evaluate(request, engine, series, base, applied, checks, folder)
        memory = recall(settings.runs_folder, folder, report, tree, progress)
        report = report.model_copy(update={"memory": memory})
        render(report, folder, templates=TEMPLATES, commands=reproduce(request, series, base))
        finish_run(folder)
    return Run(folder, report)


def _sweep(settings: Settings) -> None:
    """What killed runs left goes, also where this run will not come to."""
    for home in (settings.runs_folder, *scratch_homes(settings.cache_folder)):
        sweep(home)
    sweep(Path(tempfile.gettempdir()), *TEMPORARY)


@contextmanager
def _nothing_left_behind(folder: Path, cache: Path) -> Iterator[None]:
    """A run goes on later only when it has begun to evaluate and was stopped by our trouble.

    Tools tell of a full disk in many words, or not at all; whatever failed on one failed for it.
    """
    try:
        yield
    except (UserError, PatchError):
        discard(folder)
        raise
    except DiskFull:
        raise
    except (InfraError, OSError) as error:
        free = min(free_at(folder), free_at(cache))
        if free < NEARLY_FULL or is_about_space(error):
            raise disk_full("a run", DISK_NEEDED, free) from error
        if isinstance(error, InfraError):
            raise
        raise _told(error) from error
    finally:
        if not any(path.is_file() for path in (folder / "evaluations").rglob("*")):
            with undisturbed():
                discard(folder)


def _told(error: OSError) -> InfraError:
    return InfraError(
        f"{error.filename or 'a file'}: {error.strerror or error}",
        "mend that and start again: the run goes on where it was",
    )


def _series(
    request: Request, settings: Settings, tree: Tree, folder: Path, progress: Progress
) -> Series:
    """The series of this run; one that was fetched before a restart is not fetched again."""
    home = folder / "series"
    if (series := fetch.fetched(home)) is not None:
        return series
    archive = settings.archive
    if fetch.classify(request.series) is SourceKind.REV_RANGE:
        return _series_of_range(request.series[0], tree, home, archive, progress)
    return fetch.fetch(
        request.series,
        folder=home,
        revision=request.revision,
        settings=archive,
        progress=progress,
    )


def _series_of_range(
    asked: str, tree: Tree, folder: Path, archive: fetch.ArchiveSettings, progress: Progress
) -> Series:
    """``BASE..TIP`` of the tree, as the mails that git format-patch would send."""
    first, last = (tree.resolve(rev or "HEAD") for rev in asked.split("..", 1))
    with Repository(tree.repo) as repository:
        mails = repository.run(
            "format-patch",
            "--stdout",
            "--pretty=mboxrd",
            "--no-signature",
            "--end-of-options",
            f"{first}..{last}",
        ).stdout
    if not mails:
        raise UserError(f"{asked} has no commit", "name the older commit first: BASE..TIP")
    return fetch.fetch_mailbox(
        mails,
        kind=SourceKind.REV_RANGE,
        asked=asked,
        folder=folder,
        revision=None,
        settings=archive,
        progress=progress,
        rev_range=(first, last),
    )


def _base(
    request: Request,
    settings: Settings,
    series: Series,
    tree: Tree,
    folder: Path,
    progress: Progress,
) -> BaseChoice:
    archive = settings.archive

    def find(patch_id: str) -> bytes | None:
        found = fetch.search_patch_id(patch_id, settings=archive, progress=progress)
        return found.mbox if found is not None else None

    return choose_base(
        series,
        folder / "series" / series.mbox,
        tree,
        user_base=request.base,
        guess_refs=settings.kernel.guess_refs,
        progress=progress,
        find_prerequisite=find,
    )


def engine_of(request: Request, settings: Settings, tree: Tree, progress: Progress) -> Engine:
    fragments = tuple(find_fragment(name) for name in request.fragments)
    return Engine(
        tree=tree,
        recipe=recipe_of(fragments, request.accelerator, request.bench_mib, request.isolation),
        fragments=fragments,
        cache=settings.cache_folder,
        jobs=request.jobs,
        limits=Limits(),
        progress=progress,
        protection=protection(request.isolation),
        allow=allowlist.load(settings.allow_file, datetime.now(UTC).date()),
    )


def _evaluate(
    request: Request,
    engine: Engine,
    series: Series,
    base: BaseChoice,
    applied: Applied,
    checks: Checks,
    folder: Path,
) -> Report:
    evaluations = folder / "evaluations"
    with engine.store.in_use():
        _check_selftests(engine, applied.tip)
        engine, enabled = _reaching(engine, applied, folder) if request.reach else (engine, ())
        with engine.line() as line:
            before, patches = _compared(request, engine, series, base, applied, line, evaluations)
            found = _reach(engine, applied, before, patches[-1], line, enabled)
    warnings = _pinned(engine.tree, applied, before, patches)
    return Report(
        verdict=judge(
            series,
            base,
            applied,
            before,
            patches,
            protection=engine.protection,
            warnings=warnings,
            reach=found,
            checks=checks,
        ),
        series=series,
        base=base,
        applied=applied,
        base_evaluation=before,
        patch_evaluations=patches,
        warnings=warnings,
        kconfig_changes=_kconfig_changes(engine, applied, before, patches),
        reach=found,
        checks=checks,
    )


def _compared(
    request: Request,
    engine: Engine,
    series: Series,
    base: BaseChoice,
    applied: Applied,
    line: Line,
    evaluations: Path,
) -> tuple[Evaluation, tuple[Evaluation, ...]]:
    """Base and patches, asked as often as it takes to say whose a failure is."""
    _check_room(engine, (base.sha, applied.tip))
    before = engine.evaluate(
        base.sha,
        "base",
        line,
        evaluations,
        strangers=bool(_from_archive(base)),
        boots=request.repeat,
        lint=_touched_sources(applied),
    )
    if before.guest is not None:
        engine = engine.like(before.guest)
    patches = _evaluate_patches(request, engine, series, applied, line, evaluations)
    before, after = ask_again(engine, line, evaluations, before, patches[-1])
    return before, pin_down(engine, line, evaluations, before, (*patches[:-1], after))


def _check_selftests(engine: Engine, tip: str) -> None:
    """A test that the patched tree does not have is a slip of the pen, told before any build."""
    if not engine.tests.selftests:
        return
    with engine.line() as line:
        for named in engine.tests.selftests:
            test = engine.selftest(tip, named, line)
            if test.folder is None and not test.made.known:
                raise UserError(f"{named.collection}:{named.test}: {test.why}", test.made.others)


def _with_kunit(engine: Engine, directory: str, tip: str, folder: Path) -> Engine:
    """An engine that configures the suites of a folder of the tree, as kunit.py does."""
    path = f"{directory.strip('/') or 'lib/kunit'}/.kunitconfig"
    content = engine.tree.show_file(tip, path)
    if content is None:
        raise UserError(f"the tree has no {path}", "name a folder with a .kunitconfig: lib/kunit")
    fragment = folder / KUNIT_FRAGMENT
    write_atomically(fragment, KUNIT + content.decode(errors="replace"))
    return engine.adding(fragment)


def _reaching(engine: Engine, applied: Applied, folder: Path) -> tuple[Engine, tuple[str, ...]]:
    """An engine whose configuration has compiled what the series touches, and what that takes."""
    with engine.line() as line:
        files = files_to_plan(applied.patches, _gone(engine, applied))
        plans = engine.plan(applied.tip, line, files)
    text = reach_fragment(plans)
    if not text:
        return engine, ()
    fragment = folder / REACH_FRAGMENT
    write_atomically(fragment, text)
    return engine.adding(fragment), enabled_by(plans)


def _reach(
    engine: Engine,
    applied: Applied,
    before: Evaluation,
    after: Evaluation,
    line: Line,
    enabled: Sequence[str],
) -> Reach | None:
    """Which touched files this build read; None when there is no build to ask."""
    if after.build is None or not after.build.ok:
        return None
    gone = _gone(engine, applied)
    sources = engine.built(after).sources
    missing = [path for path in files_to_plan(applied.patches, gone) if path not in sources]
    return reach(
        applied.patches,
        sources,
        engine.plan(applied.tip, line, missing) if missing else (),
        gone=gone,
        base_sources=engine.built(before).sources,
        enabled=enabled,
    )


def _gone(engine: Engine, applied: Applied) -> tuple[str, ...]:
    """Touched paths that the whole series leaves no file at."""
    paths = sorted({path for patch in applied.patches for path in patch.paths})
    with Repository(engine.tree.repo) as repository:
        blobs = repository.blob_ids([(applied.tip, path) for path in paths])
    return tuple(path for path, blob in zip(paths, blobs, strict=True) if blob is None)


def _evaluate_patches(
    request: Request,
    engine: Engine,
    series: Series,
    applied: Applied,
    line: Line,
    evaluations: Path,
) -> tuple[Evaluation, ...]:
    """Each patch is built on top of the one before; the last one boots, or each."""
    total = len(applied.patches)
    return tuple(
        engine.evaluate(
            patch.commit,
            f"patch {patch.number}/{total}",
            line,
            evaluations,
            strangers=series.kind is not SourceKind.REV_RANGE,
            boots=request.repeat if request.test_each or patch.number == total else 0,
            lint=_touched_sources(applied),
        )
        for patch in applied.patches
    )


def _touched_sources(applied: Applied) -> tuple[str, ...]:
    """The C files that the series touches; stricter checkers look at them on every commit."""
    paths = {path for patch in applied.patches for path in patch.paths}
    return tuple(sorted(path for path in paths if path.endswith(".c")))


def _pinned(
    tree: Tree, applied: Applied, before: Evaluation, patches: Sequence[Evaluation]
) -> tuple[PinnedWarning, ...]:
    with Repository(tree.repo) as repository:
        touched = [repository.added_lines(patch.commit) for patch in applied.patches]
    base = messages_of(before)
    if base is None:
        return ()  # nothing is known of the base: nothing can be called new
    return pin(base, [messages_of(patch) for patch in patches], touched)


def messages_of(evaluation: Evaluation) -> tuple[Diagnostic, ...] | None:
    """All that compiler and stricter checkers say; None for a commit that does not build."""
    if evaluation.build is None or not evaluation.build.ok:
        return None
    lint = evaluation.lint.messages if evaluation.lint is not None else ()
    return (*evaluation.build.warnings, *lint)


def _kconfig_changes(
    engine: Engine, applied: Applied, before: Evaluation, patches: Sequence[Evaluation]
) -> tuple[KconfigChange, ...]:
    """Of each patch against the commit before; both configurations come from the fragments."""
    texts = [engine.built(evaluation).config_text for evaluation in (before, *patches)]
    commits = (applied.base, *(patch.commit for patch in applied.patches))
    changes = []
    for number, (old, new) in enumerate(pairwise(texts), start=1):
        diff = engine.tree.diff(commits[number - 1], commits[number]).decode(errors="replace")
        symbols = config_changes(old, new, declared=declared_in(diff))
        if symbols:
            changes.append(KconfigChange(patch=number, symbols=symbols))
    return tuple(changes)


def _check_room(engine: Engine, commits: Sequence[str]) -> None:
    """Before anything is built; the checkout sees to its own."""
    missing = [commit for commit in commits if not engine.is_built(commit)]
    if missing:
        with Repository(engine.tree.repo) as repository:
            content, _ = repository.size(missing[0])
        require(engine.cache, build_need(content), "the build")


def _from_archive(base: BaseChoice) -> tuple[Prerequisite, ...]:
    """Prerequisites that were mailed, too: such a base is not the user's own commit."""
    return tuple(item for item in base.prerequisites if item.state.startswith("applied"))


def reproduce(request: Request, series: Series, base: BaseChoice) -> tuple[str, ...]:
    """The commands that lead to the same verdict elsewhere."""
    named = request.model_copy(
        update={
            "base": None if base.how is BaseHow.RANGE else base.ref,
            "revision": series.revision if series.kind is SourceKind.MESSAGE_ID else None,
        }
    )
    return (shlex.join(command_of(named)),)


def command_of(request: Request) -> list[str]:
    """The words of the command line that ask for the same; what a machine decides is left out."""
    words = ["./pipeline.py", "verify", "--tree", request.tree]
    if request.base is not None:
        words += ["--base", request.base]
    if request.revision is not None:
        words += ["--revision", str(request.revision)]
    if request.unsafe_no_sandbox:
        words.append("--unsafe-no-sandbox")
    if request.repeat > 1:
        words += ["--repeat", str(request.repeat)]
    if request.test_each:
        words.append("--test-each")
    if request.reach:
        words.append("--reach")
    if request.coccicheck:
        words.append("--coccicheck")
    for test in request.kselftests:
        words += ["--kselftest", test]
    if request.kunit is not None:
        words += ["--kunit", request.kunit]
    for name in request.fragments:
        if name not in DEFAULT_FRAGMENTS:
            words += ["--fragment", name]
    return [*words, *request.series]


def render_again(folder: Path) -> Run:
    """The report of a finished run from its verdict.json; raises UserError when there is none."""
    state = read_state(folder)
    try:
        report = Report.from_json((folder / "verdict.json").read_bytes())
        request = Request.model_validate(state.asked if state is not None else None)
    except (OSError, ValueError) as error:
        raise UserError(f"{folder} is not the folder of a finished run", "see runs/") from error
    commands = reproduce(request, report.series, report.base)
    render(report, folder, templates=TEMPLATES, commands=commands)
    return Run(folder, report)
