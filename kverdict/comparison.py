# SPDX-License-Identifier: GPL-2.0-or-later
"""A series that was applied, against its base: what is evaluated, and what is made of it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import suppress
from itertools import pairwise
from pathlib import Path

from kverdict.confidence import ask_again, pin_down, vanished_cases
from kverdict.configdiff import config_changes, declared_in
from kverdict.disk import (
    build_need,
    require,
)
from kverdict.errors import PatchError, UserError
from kverdict.evaluate import Engine
from kverdict.git import Repository
from kverdict.judgement import Report
from kverdict.kconfig import fragment
from kverdict.line import Line
from kverdict.models import (
    Applied,
    BaseChoice,
    Checks,
    Evaluation,
    KconfigChange,
    PinnedWarning,
    Prerequisite,
    Reach,
    Series,
    SourceKind,
)
from kverdict.pins import pinned
from kverdict.reach import enabled_by, files_to_plan, reach, reach_fragment
from kverdict.request import Request
from kverdict.runs import (
    write_atomically,
)
from kverdict.stages.configure import UnknownSymbol
from kverdict.trees import Tree
from kverdict.verdict import judge

REACH_FRAGMENT = "reach.config"
KUNIT_FRAGMENT = "kunit.config"
# Results are read from debugfs, suite by suite; the console is for what goes wrong.  The last two
# are y by default, but we begin with allnoconfig: without them suites are there and never run.
KUNIT = """# optional: what --kunit asks for, from the patched tree
CONFIG_KUNIT=y
CONFIG_DEBUG_FS=y
CONFIG_KUNIT_DEBUGFS=y
CONFIG_KUNIT_DEFAULT_ENABLED=y
CONFIG_KUNIT_AUTORUN_ENABLED=y
"""
_FOLDER = re.compile(r"\w[\w.+-]*(?:/[\w.+-]+)*", re.ASCII)


def compare(
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
        with engine.line() as line:
            check_selftests(engine, applied.tip, line)
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
    check_room(engine, (base.sha, applied.tip))
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
    gone = vanished_cases(before, patches[-1])
    before, *asked = ask_again(engine, line, evaluations, (before, *patches), vanished=gone)
    return before, pin_down(engine, line, evaluations, before, asked)


def check_selftests(engine: Engine, tip: str, line: Line) -> None:
    """A test that the patched tree does not have is a slip of the pen, told before any build."""
    for named in engine.tests.selftests:
        test = engine.selftest(tip, named, line)
        if test.folder is None and not test.made.known:
            raise UserError(f"{named.collection}:{named.test}: {test.why}", test.made.others)


def kunit_folder(text: str) -> str:
    """The folder of --kunit, as git names it; raises UserError for what can be none in a tree."""
    folder = text.rstrip("/").removesuffix("/.kunitconfig")
    if not _FOLDER.fullmatch(folder) or ".." in folder:
        raise UserError(f"{text!r} names no folder of a tree", "e.g. --kunit lib/kunit")
    return folder


def with_kunit(engine: Engine, directory: str, tip: str, folder: Path) -> Engine:
    """An engine that configures the suites of a folder of the tree, as kunit.py does."""
    path = f"{directory}/.kunitconfig"
    content = engine.tree.show_file(tip, path)
    if content is None:
        raise UserError(f"the tree has no {path}", "name a folder with a .kunitconfig: lib/kunit")
    file = folder / KUNIT_FRAGMENT
    write_atomically(file, kunit_fragment(content.decode(errors="replace")))
    return engine.adding(file, first=True)


def kunit_fragment(kunitconfig: str) -> str:
    """A .kunitconfig as a fragment, all of it optional: the base may lack what the series adds.

    A blank line would end what is optional; what --kunit cannot do without stays, and what is no
    assignment is none to Kconfig either.
    """
    ours = {goal.name for goal in fragment.parse(KUNIT, KUNIT_FRAGMENT)}
    kept: dict[str, str] = {}
    for line in kunitconfig.splitlines():
        with suppress(UserError):
            for goal in fragment.parse(line, KUNIT_FRAGMENT):
                kept[goal.name] = f"{line.strip()}\n"
    return KUNIT + "".join(line for name, line in kept.items() if name not in ours)


def _reaching(engine: Engine, applied: Applied, folder: Path) -> tuple[Engine, tuple[str, ...]]:
    """An engine whose configuration has compiled what the series touches, and what that takes."""
    with engine.line() as line:
        files = files_to_plan(applied.patches, _gone(engine, applied))
        try:
            plans = engine.plan(applied.tip, line, files)
        except UnknownSymbol:
            return engine, ()  # the base's configuration tells whose mistake that is
    text = reach_fragment(plans)
    if not text:
        return engine, ()
    file = folder / REACH_FRAGMENT
    write_atomically(file, text)
    return engine.adding(file), enabled_by(plans)


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
    found = []
    for patch in applied.patches:
        describe = f"patch {patch.number}/{total}"
        try:
            evaluation = engine.evaluate(
                patch.commit,
                describe,
                line,
                evaluations,
                strangers=series.kind is not SourceKind.REV_RANGE,
                boots=request.repeat if request.test_each or patch.number == total else 0,
                lint=_touched_sources(applied),
            )
        except UnknownSymbol as error:
            raise PatchError(  # the base, which was configured before, has it
                f"{describe} leaves no {error.symbol}, which {error.place} asks for",
                "write `# optional: why` above it there, or name a fragment of your own",
            ) from error
        found.append(evaluation)
    return tuple(found)


def _touched_sources(applied: Applied) -> tuple[str, ...]:
    """C files and headers that the series touches: stricter checkers see them on every commit."""
    paths = {path for patch in applied.patches for path in patch.paths}
    return tuple(sorted(path for path in paths if path.endswith((".c", ".h"))))


def _pinned(
    tree: Tree, applied: Applied, before: Evaluation, patches: Sequence[Evaluation]
) -> tuple[PinnedWarning, ...]:
    with Repository(tree.repo) as repository:
        touched = [repository.added_lines(patch.commit) for patch in applied.patches]
    return pinned(before, patches, touched)


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


def check_room(engine: Engine, commits: Sequence[str]) -> None:
    """Before anything is built; the checkout sees to its own."""
    missing = [commit for commit in commits if not engine.is_built(commit)]
    if missing:
        with Repository(engine.tree.repo) as repository:
            content, _ = repository.size(missing[0])
        require(engine.cache, build_need(content), "the build")


def _from_archive(base: BaseChoice) -> tuple[Prerequisite, ...]:
    """Prerequisites that were mailed, too: such a base is not the user's own commit."""
    return tuple(item for item in base.prerequisites if item.state.startswith("applied"))
