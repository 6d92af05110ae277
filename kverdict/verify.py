# SPDX-License-Identifier: GPL-2.0-or-later
"""The workflow of a pre-merge check: a series and a tree -> a run folder with its verdict."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from kverdict import allowlist
from kverdict.comparison import compare, kunit_folder, with_kunit
from kverdict.errors import InfraError, UserError
from kverdict.evaluate import Engine, OtherTests, recipe_of
from kverdict.exports.files import export
from kverdict.git import Repository
from kverdict.judgement import Report
from kverdict.kconfig import fragment
from kverdict.memory import recall
from kverdict.models import (
    BaseChoice,
    BaseHow,
    Series,
    SourceKind,
)
from kverdict.progress import Progress
from kverdict.render.report import check_templates, render
from kverdict.request import Request, Wanted, command_of
from kverdict.runs import (
    finish_run,
    read_state,
    write_links,
)
from kverdict.sandbox import protection
from kverdict.settings import Settings, find_fragment
from kverdict.stages import fetch, selftests
from kverdict.stages.apply import apply_series
from kverdict.stages.base import choose_base
from kverdict.stages.boot import Limits
from kverdict.stages.checks import check
from kverdict.trees import Tree, open_tree
from kverdict.workplace import prepare, workplace


@dataclass(frozen=True)
class Run:
    folder: Path
    report: Report


def verify(request: Request, settings: Settings, progress: Progress) -> Run:
    """Fetch, choose a base, apply, evaluate base and series, judge, render.

    Raises UserError, PatchError (125) and InfraError; a run that had not begun to evaluate
    leaves no folder behind, one that had goes on when it is started again.
    """
    tests = selftests.parse_all(request.kselftests)
    suites = None if request.kunit is None else kunit_folder(request.kunit)
    check_templates(settings.template_folders)
    slug = Path(request.series[0]).name
    with workplace(settings, slug, request.model_dump(mode="json")) as folder:
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
            thread=mbox.with_name(fetch.THREAD),
        )
        engine = engine_of(request, settings, tree, progress).testing(
            OtherTests(
                selftests=tests,
                kunit=suites is not None,
                parser=base.sha,
            )
        )
        if suites is not None:
            engine = with_kunit(engine, suites, applied.tip, folder)
        report = compare(request, engine, series, base, applied, checks, folder)
        memory = recall(settings.runs_folder, folder, report, tree, progress)
        report = report.model_copy(update={"memory": memory})
        if memory is not None:
            write_links(folder, (memory.run,))
        commands = reproduce(request, series, base)
        render(report, folder, templates=settings.template_folders, commands=commands)
        _export(report, folder, settings, progress)
        finish_run(folder)
    return Run(folder, report)


def check_wanted(request: Request, settings: Settings, progress: Progress) -> None:
    """Raises what any series would meet: a mistake about folders, tree, fragments or settings."""
    prepare(settings)
    check_templates(settings.template_folders)
    tree = open_tree(request.tree, cache=settings.cache_folder, progress=progress)
    fragment.read(engine_of(request, settings, tree, progress).fragments)


def _export(report: Report, folder: Path, settings: Settings, progress: Progress) -> None:
    """The verdict stands, whether or not other tools can be told of it."""
    try:
        export(report, folder, settings.kcidb)
    except InfraError as error:
        progress.say(f"no files for other tools: {error}")


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


def engine_of(request: Wanted, settings: Settings, tree: Tree, progress: Progress) -> Engine:
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


def reproduce(request: Request, series: Series, base: BaseChoice) -> tuple[str, ...]:
    """The commands that lead to the same verdict elsewhere."""
    named = request.model_copy(
        update={
            "base": None if base.how is BaseHow.RANGE else base.ref,
            "revision": series.revision if series.kind is SourceKind.MESSAGE_ID else None,
        }
    )
    return (shlex.join(command_of(named)),)


def finished_run(folder: Path) -> tuple[Report, Request]:
    """What a finished run found and was asked; raises UserError when it is none."""
    state = read_state(folder)
    try:
        report = Report.from_json((folder / "verdict.json").read_bytes())
        request = Request.model_validate(state.asked if state is not None else None)
    except (OSError, ValueError) as error:
        raise UserError(f"{folder} is not the folder of a finished run", "see runs/") from error
    return report, request


def render_again(folder: Path, settings: Settings) -> Run:
    """The report of a finished run from its verdict.json; raises UserError when there is none."""
    report, request = finished_run(folder)
    commands = reproduce(request, report.series, report.base)
    render(report, folder, templates=settings.template_folders, commands=commands)
    return Run(folder, report)
