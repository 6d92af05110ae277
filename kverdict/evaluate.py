# SPDX-License-Identifier: GPL-2.0-or-later
"""The engine: (commit, recipe) -> Evaluation.

Configure, build, boot and test one commit with one recipe.  Every stage's result is kept under a
key made of content alone (tree id, fragments, toolchain, guest suite, ...), so that the same
question is never answered twice: v3 of a series reuses v2's base, a second run reuses the first.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from kverdict import uapi
from kverdict.accelerator import Choice, choose_accelerator
from kverdict.allowlist import Allowlist
from kverdict.errors import InfraError, UserError
from kverdict.findings.suite import facts_document
from kverdict.judgement import counts_more
from kverdict.kconfig.protocol import FilePlan
from kverdict.line import Line
from kverdict.models import (
    Build,
    ConfigProof,
    Evaluation,
    Frozen,
    Guest,
    GuestEnd,
    Lint,
    Recipe,
)
from kverdict.objects import SCRATCH, object_tree
from kverdict.proc import run
from kverdict.progress import Progress
from kverdict.runs import (
    MANIFEST,
    RESULTS,
    Slot,
    Store,
    boot_file,
    digest_of,
    file_digest,
    scratch,
    slot,
    write_atomically,
)
from kverdict.sandbox import SRC, Isolation, read_left
from kverdict.stages import boot as booting
from kverdict.stages import build as building
from kverdict.stages import configure, ktap, selftests
from kverdict.stages.kmake import ARCH, Ccache, has_ccache
from kverdict.stages.lint import lint, lint_tools
from kverdict.stages.selftests import Selftest
from kverdict.stages.sources import read_sources
from kverdict.stages.symbols import symbolize
from kverdict.trees import Tree
from kverdict.worktrees import checkout

# Our own code that a stored result depends on: what a changed program would say is not known.
CONFIG_AND_BUILD = (
    "kconfig/*.py",
    "objects.py",
    "sandbox.py",
    "seccomp.py",
    "stages/kmake.py",
    "stages/configure.py",
    "stages/build.py",
    "stages/sources.py",
    "findings/warnings.py",
)
LINT = ("stages/lint.py",)
BOOT_AND_TEST = (
    "stages/boot.py",
    "stages/symbols.py",
    "stages/ktap.py",
    "ktapworker.py",
    "findings/console.py",
    "findings/headlines.py",
    "findings/suite.py",
    "accelerator.py",
    "allowlist.py",
    "guestroot.py",
    "sandbox.py",
    "seccomp.py",
    "virtme.py",
)

KVM_HEADER = "include/uapi/linux/kvm.h"
WRITE_FLAG = "GUEST_MEMFD_FLAG_WRITE"
PACKAGE = Path(__file__).resolve().parent
SUITE_FOLDER = PACKAGE / "guest"
PRODUCTS = (building.BZIMAGE.name, building.VMLINUX.name)
GUEST_FILES = (
    "guest.json",
    "console.log",
    "results.jsonl",
    "bench-console.log",
    "bench-results.jsonl",
)
CONFIG, SOURCES, MADE = "config", "sources.json", "made.json"
# A guest that was lost or fell silent may have been ours to lose: such a result is not kept.
CONCLUSIVE = (GuestEnd.DONE, GuestEnd.PANIC)


def recipe_of(
    fragments: Sequence[Path],
    accelerator: str,
    bench_mib: int,
    isolation: Isolation = Isolation.BUBBLEWRAP,
) -> Recipe:
    """Raises ToolMissing for a compiler, QEMU or busybox that is not there, before any work."""
    return Recipe(
        arch=ARCH,
        fragments=_digests(fragments),
        toolchain=_versions(("gcc", "--version"), ("ld", "--version")),
        suite=_code("guest/**/*.py"),
        host=(
            _versions(("qemu-system-x86_64", "--version"), ("busybox",)),
            f"kvm={os.access('/dev/kvm', os.R_OK | os.W_OK)}",
        ),
        code=(_code(*CONFIG_AND_BUILD), _code(*BOOT_AND_TEST)),
        accelerator=accelerator,
        bench_mib=bench_mib,
        isolation=isolation.value,
    )


def _digests(fragments: Sequence[Path]) -> tuple[tuple[str, str], ...]:
    return tuple((path.name, file_digest(path)) for path in fragments)


def _code(*patterns: str) -> str:
    """Digest of files of this package."""
    files = sorted({path for pattern in patterns for path in PACKAGE.glob(pattern)})
    return digest_of([(str(path.relative_to(PACKAGE)), file_digest(path)) for path in files])


def _versions(*commands: Sequence[str]) -> str:
    """The first line that each tool says of itself, in one string."""
    said = (run(list(command), check=True).text for command in commands)
    return "; ".join(text.splitlines()[0] for text in said)


@dataclass(frozen=True)
class Built:
    """A commit that went through configure and build; ``folder`` has bzImage and vmlinux."""

    key: str
    config: ConfigProof
    build: Build
    folder: Path

    @property
    def config_text(self) -> str:
        """The whole .config."""
        return (self.folder / CONFIG).read_text(errors="replace")

    @property
    def sources(self) -> frozenset[str]:
        """The files of the tree that this kernel was made of; empty when it does not build."""
        path = self.folder / SOURCES
        return frozenset(json.loads(path.read_text())) if path.is_file() else frozenset()


class _Plans(Frozen):
    plans: tuple[FilePlan, ...]


@dataclass(frozen=True)
class _Job:
    """A commit that is to be built; ``before`` are the strangers' trees it comes after."""

    commit: str
    tree: str
    before: tuple[str, ...]
    strangers: bool


@dataclass(frozen=True)
class OtherTests:
    """Of the kernel's tree: selftests, KUnit's suites, and whose kunit_parser reads both."""

    selftests: tuple[selftests.Named, ...] = ()
    kunit: bool = False
    parser: str | None = None  # a commit of the user's own


@dataclass(frozen=True)
class _Session:
    """One boot of one kernel; ``cases`` None means all of them."""

    bzimage: Path
    facts: uapi.Facts
    folder: Path
    number: int
    cases: tuple[str, ...] | None
    tests: tuple[Selftest, ...]


@dataclass(frozen=True)
class Engine:
    tree: Tree
    recipe: Recipe
    fragments: tuple[Path, ...]
    cache: Path
    jobs: int
    limits: booting.Limits
    progress: Progress
    protection: tuple[str, ...] = ()  # what keeps strangers' code apart here, in words
    choice: Choice | None = None  # the accelerator, once it is known; None: as the recipe says
    tests: OtherTests = field(default_factory=lambda: OtherTests())
    allow: Allowlist = field(default_factory=Allowlist)  # lines of a console that are no report

    def like(self, guest: Guest) -> Engine:
        """An engine that boots on the accelerator of ``guest``: only like is compared with like.

        A patched kernel that does not come up on the base's accelerator is a finding, no reason to
        try another.
        """
        choice = Choice(accelerator=guest.accelerator, why=guest.accelerator_why)
        return replace(self, choice=choice)

    def testing(self, tests: OtherTests) -> Engine:
        """An engine whose guests run these besides the suite."""
        return replace(self, tests=tests)

    def adding(self, fragment: Path, *, first: bool = False) -> Engine:
        """An engine that configures one more fragment; the last one has the last word."""
        fragments = (fragment, *self.fragments) if first else (*self.fragments, fragment)
        recipe = self.recipe.model_copy(update={"fragments": _digests(fragments)})
        return replace(self, fragments=fragments, recipe=recipe)

    @property
    def store(self) -> Store:
        return Store(self.cache / "stages")

    @contextmanager
    def slot(self) -> Iterator[Slot]:
        """A worktree and object tree for this tree and recipe, ours alone until the block ends."""
        name = digest_of(str(self.tree.repo), self.recipe.fragments, self.recipe.toolchain)[:16]
        with slot(self.cache / "slots", name, self.progress) as mine:
            yield mine

    @contextmanager
    def line(self) -> Iterator[Line]:
        """A slot, and the copy of its object tree that strangers' commits are built in."""
        with self.slot() as mine, Line(mine, self.progress) as line:
            yield line

    @property
    def isolation(self) -> Isolation:
        return Isolation(self.recipe.isolation)

    def evaluate(
        self,
        commit: str,
        describe: str,
        line: Line,
        evaluations: Path,
        *,
        strangers: bool = True,
        boots: int = 1,
        lint: tuple[str, ...] = (),
    ) -> Evaluation:
        """All that the recipe says about ``commit``; logs go to ``evaluations``/<key>/.

        ``strangers`` says that the commit is not the user's: what its build leaves behind is used
        for nothing but the commits that follow it in ``line``.  ``boots`` are the boots with all
        cases; ``lint`` the touched files that stricter checkers look at.  Raises InfraError for
        our trouble and PatchError when the tree's Kconfig does not parse.
        """
        job = self._job(commit, line, strangers)
        key = digest_of(job.tree, job.before, self.recipe.model_dump(mode="json"))
        folder = evaluations / key
        folder.mkdir(parents=True, exist_ok=True)
        self.progress.say(f"{describe}: {commit[:12]}")
        built = self._built(job, line, folder)
        linted = self._lint(job, built, line, folder, lint) if built.build.ok and lint else None
        if strangers:
            line.passed(job.tree)
        evaluation = Evaluation(
            key=key,
            built=built.key,
            commit=commit,
            tree=job.tree,
            describe=describe,
            config=built.config,
            build=built.build,
            guest=None,
            lint=linted,
        )
        if built.build.ok:
            evaluation = self._booted(evaluation, line, evaluations, boots)
        return _written(evaluation, folder)

    def _booted(
        self, evaluation: Evaluation, line: Line, evaluations: Path, boots: int
    ) -> Evaluation:
        """A guest that did not come to its end is weak evidence: asked once more, afresh."""
        for _ in range(boots):
            evaluation = self.boot(evaluation, line, evaluations)
        if evaluation.guest is not None and evaluation.guest.end is not GuestEnd.DONE:
            self.progress.say("  the guest did not come to its end: once more, in a fresh one")
            evaluation = self.boot(evaluation, line, evaluations)
        return evaluation

    def boot(
        self,
        evaluation: Evaluation,
        line: Line,
        evaluations: Path,
        cases: tuple[str, ...] | None = None,
    ) -> Evaluation:
        """The same kernel in one more guest of its own, with all cases or with some.

        The evaluation's guest is the first boot with all cases that came to its end, else the one
        that says most of why it did not.
        """
        built = self.built(evaluation)
        folder = evaluations / evaluation.key
        number = _next_boot(evaluation)
        first = evaluation.guest
        counts = cases is None and (first is None or not _done(first))  # may be the one
        bench_mib = self.recipe.bench_mib if counts else 0
        guest = self._guest(built, evaluation.commit, line, folder, number, cases, bench_mib)
        if counts and (first is None or counts_more(guest, first)):
            lost = () if first is None else (first,)
            changes = {"guest": guest, "reruns": (*evaluation.reruns, *lost)}
        else:
            changes = {"reruns": (*evaluation.reruns, guest)}
        return _written(evaluation.model_copy(update=changes), folder)

    def measure(self, evaluation: Evaluation, line: Line, evaluations: Path) -> Evaluation:
        """The same kernel in one more guest that runs the benchmark and no case: a rerun."""
        folder = evaluations / evaluation.key
        guest = self._guest(
            self.built(evaluation),
            evaluation.commit,
            line,
            folder,
            _next_boot(evaluation),
            (),
            self.recipe.bench_mib,
            booting.Mode.BENCH,
        )
        reruns = (*evaluation.reruns, guest)
        return _written(evaluation.model_copy(update={"reruns": reruns}), folder)

    # --- configure and build ----------------------------------------------------------------------

    def build(self, commit: str, line: Line, folder: Path, *, strangers: bool = True) -> Built:
        """The first half of an evaluation; logs and the config go to ``folder``."""
        return self._built(self._job(commit, line, strangers), line, folder)

    def _job(self, commit: str, line: Line, strangers: bool) -> _Job:
        tree = self.tree.tree_id(commit)
        return _Job(commit, tree, line.before if strangers else (), strangers)

    def _built(self, job: _Job, line: Line, folder: Path) -> Built:
        key = self._build_key(job.tree, job.before)
        found = self._found(key)
        if found is None:
            with self._objects(job, line) as obj:
                self._build(job, line.slot.src, obj, folder, key)
            line.made(key, copy=job.strangers)
            found = self._found(key)
            if found is None:
                raise InfraError("a build that was just stored is gone", "start again")
        else:
            self.progress.say("  configured and built before")
            _copy(found.folder, folder)
        return found

    def _found(self, key: str) -> Built | None:
        stored = self.store.find("builds", key)
        if stored is None:
            return None
        return Built(
            key=key,
            config=ConfigProof.from_json((stored / "config.json").read_bytes()),
            build=Build.from_json((stored / "build.json").read_bytes()),
            folder=stored,
        )

    def _build_key(self, tree: str, before: tuple[str, ...]) -> str:
        return digest_of(
            self.recipe.code[0],
            tree,
            before,
            self.recipe.arch,
            self.recipe.fragments,
            self.recipe.toolchain,
            self.recipe.isolation,
        )

    def built(self, evaluation: Evaluation) -> Built:
        """What is kept of a commit that was evaluated."""
        found = self._found(evaluation.built)
        if found is None:
            raise InfraError("a kernel that was just built is gone", "start again")
        return found

    def is_built(self, commit: str) -> bool:
        """Whether a commit of the user's own was built before."""
        return self._found(self._build_key(self.tree.tree_id(commit), ())) is not None

    @contextmanager
    def _objects(self, job: _Job, line: Line) -> Iterator[Path]:
        """The object tree to build ``job`` in, its source checked out."""
        checkout(self.tree.repo, job.commit, line.slot.src, progress=self.progress)
        if job.strangers:
            yield line.copy()
        else:
            with object_tree(line.slot, strangers=False, progress=self.progress) as obj:
                yield obj

    def _build(self, job: _Job, src: Path, obj: Path, folder: Path, key: str) -> None:
        if _digests(self.fragments) != self.recipe.fragments:
            raise UserError("a Kconfig fragment was changed during the run", "start again")
        config = configure.configure(
            src, obj, self.fragments, progress=self.progress, isolation=self.isolation
        )
        write_atomically(folder / "config.json", config.to_json())
        write_atomically(folder / CONFIG, read_left(obj / ".config", configure.CONFIG_LIMIT))
        result = self._make(src, obj, folder / "build.log", job.strangers)
        write_atomically(folder / "build.json", result.to_json())
        files = [folder / name for name in ("config.json", CONFIG, "build.log", "build.json")]
        if result.ok:
            sources = json.dumps(read_sources(obj, src=self._inside(src)), indent=0) + "\n"
            write_atomically(folder / SOURCES, sources)
            files += [folder / SOURCES, obj / building.BZIMAGE, obj / building.VMLINUX]
        self.store.add("builds", key, files)

    def _inside(self, src: Path) -> Path:
        """The worktree as the build names it."""
        return src if self.isolation is Isolation.NONE else SRC

    def _make(self, src: Path, obj: Path, log: Path, strangers: bool) -> Build:
        return building.build(
            src,
            obj,
            log=log,
            ccache=self._ccache(strangers),
            jobs=self.jobs,
            progress=self.progress,
            isolation=self.isolation,
        )

    # --- stricter checkers ------------------------------------------------------------------------

    def _lint(
        self, job: _Job, built: Built, line: Line, folder: Path, files: tuple[str, ...]
    ) -> Lint:
        """Of a build that was made before, the object tree is made again first: mostly nothing."""
        compiled = tuple(sorted(set(files) & built.sources))
        key = digest_of(self.recipe.code[0], _code(*LINT), built.key, compiled, lint_tools())
        stored = self.store.find("lints", key)
        if stored is not None:
            _copy(stored, folder)
            return Lint.from_json((stored / "lint.json").read_bytes())
        with self._objects(job, line) as obj:
            if not line.holds(built.key, copy=job.strangers):
                config = read_left(built.folder / CONFIG, configure.CONFIG_LIMIT)
                write_atomically(obj / ".config", config)
                self._make(line.slot.src, obj, folder / "lint-build.log", job.strangers)
                line.made(built.key, copy=job.strangers)
            result = lint(
                line.slot.src,
                obj,
                compiled,
                sources=built.sources,
                known=built.build.warnings,
                log=folder / "lint.log",
                ccache=self._ccache(job.strangers),
                jobs=self.jobs,
                progress=self.progress,
                isolation=self.isolation,
            )
        write_atomically(folder / "lint.json", result.to_json())
        self.store.add("lints", key, [folder / "lint.json"])
        return result

    def _ccache(self, strangers: bool) -> Ccache | None:
        if not has_ccache():
            return None
        folder = self.cache / "ccache"
        folder.mkdir(exist_ok=True)
        return Ccache(folder, readonly=strangers)

    def plan(self, commit: str, line: Line, files: Sequence[str]) -> tuple[FilePlan, ...]:
        """What would have ``files`` of a commit compiled, from the fragments' configuration."""
        key = digest_of(self._build_key(self.tree.tree_id(commit), ()), tuple(files))
        stored = self.store.find("plans", key)
        if stored is not None:
            return _Plans.from_json((stored / "plans.json").read_bytes()).plans
        checkout(self.tree.repo, commit, line.slot.src, progress=self.progress)
        with scratch(line.slot.obj.parent, SCRATCH) as folder:
            obj = folder / "obj"
            obj.mkdir()
            found = configure.plan(
                line.slot.src,
                obj,
                self.fragments,
                files,
                progress=self.progress,
                isolation=self.isolation,
            )
            write_atomically(folder / "plans.json", _Plans(plans=found).to_json())
            self.store.add("plans", key, [folder / "plans.json"])
        return found

    # --- boot and test ----------------------------------------------------------------------------

    def _guest(
        self,
        built: Built,
        commit: str,
        line: Line,
        folder: Path,
        number: int,
        cases: tuple[str, ...] | None,
        bench_mib: int,
        mode: booting.Mode = booting.Mode.SUITE,
    ) -> Guest:
        """Boot ``number`` (from 1) of this kernel."""
        facts = self._facts(commit)
        tests = tuple(self.selftest(commit, named, line) for named in self.tests.selftests)
        key = digest_of(
            self.recipe.code[1],
            self.recipe.host,
            self.recipe.isolation,
            built.build.bzimage_digest,
            self.recipe.suite,
            self.choice.accelerator.value if self.choice else self.recipe.accelerator,
            bench_mib,
            self.limits.model_dump(mode="json"),
            facts.model_dump(mode="json"),
            number,
            cases,
            self.allow.fingerprint,
            [(test.id, test.made, test.folder and test.folder.name) for test in tests],
            self.tests.kunit,
            self.tests.parser,
            *((mode.value,) if mode is booting.Mode.BENCH else ()),
        )
        stored = self.store.find("guests", key)
        if stored is not None:
            self.progress.say("  booted and tested before")
            _copy(stored, folder)
            guest = Guest.from_json((stored / boot_file("guest.json", number)).read_bytes())
            return guest.model_copy(update={"boot": number})
        session = _Session(
            built.folder / building.BZIMAGE.name, facts, folder, number, cases, tests
        )
        guest = self._symbolized(self._boot(session, bench_mib, mode), commit, built, line)
        guest = self._with_subtests(guest, folder).model_copy(update={"boot": number})
        write_atomically(folder / boot_file("guest.json", number), guest.to_json())
        if guest.end in CONCLUSIVE:
            names = (boot_file(name, number) for name in GUEST_FILES)
            kept = [path for name in names if (path := folder / name).is_file()]
            self.store.add("guests", key, kept)
        return guest

    def selftest(self, commit: str, named: selftests.Named, line: Line) -> Selftest:
        """A test of the commit's own tree, built; it needs no kernel, only its source."""
        key = digest_of(
            _code("stages/selftests.py", "stages/kmake.py", "sandbox.py"),
            self.tree.tree_id(commit),
            self.recipe.toolchain,
            self.recipe.isolation,
            named,
        )
        stored = self.store.find("selftests", key)
        if stored is None:
            checkout(self.tree.repo, commit, line.slot.src, progress=self.progress)
            with scratch(line.slot.obj.parent, SCRATCH) as home:
                obj, into = home / "obj", home / "into"
                obj.mkdir()
                into.mkdir()
                made = selftests.build(
                    line.slot.src,
                    obj,
                    named,
                    into,
                    jobs=self.jobs,
                    progress=self.progress,
                    isolation=self.isolation,
                )
                write_atomically(into / MADE, made.to_json())
                files = [into / MADE, *(into / str(n) for n in range(len(made.files)))]
                stored = self.store.add("selftests", key, files)
        made = selftests.Made.from_json((stored / MADE).read_bytes())
        return Selftest(named, made, None if made.why else stored)

    def _with_subtests(self, guest: Guest, folder: Path) -> Guest:
        """What the programs printed as KTAP, read by the kunit_parser of the user's own tree."""
        if not guest.outputs:
            cases = ktap.subtests(guest.cases, (), {}, folder)
            return guest.model_copy(update={"cases": cases})
        owner = self.tests.parser or self.tree.head
        files = {name: self.tree.show_file(owner, name) for name in ktap.PARSER}
        parser = {name: content for name, content in files.items() if content is not None}
        if len(parser) < len(files):
            raise UserError(f"this tree has no {ktap.PARSER[0]}", "--kselftest needs Linux 5.3")
        with scratch(folder, RESULTS) as home:
            cases = ktap.subtests(
                guest.cases, guest.outputs, parser, home, isolation=self.isolation
            )
        return guest.model_copy(update={"cases": cases})

    def _symbolized(self, guest: Guest, commit: str, built: Built, line: Line) -> Guest:
        """With files and lines in its reports, by the script of the commit that ran."""
        if not guest.splats:
            return guest
        checkout(self.tree.repo, commit, line.slot.src, progress=self.progress)
        vmlinux = built.folder / building.VMLINUX.name
        found = symbolize(
            guest.splats, line.slot.src, vmlinux, isolation=self.isolation, progress=self.progress
        )
        return guest.model_copy(update={"splats": found.splats, "symbols_note": found.why or ""})

    def _facts(self, commit: str) -> uapi.Facts:
        """What the applied tree defines; it decides which expectations apply in the guest."""
        header = self.tree.show_file(commit, KVM_HEADER) or b""
        return uapi.facts_from_header(header.decode(errors="replace"))

    def _boot(self, session: _Session, bench_mib: int, mode: booting.Mode) -> Guest:
        choice = self.choice or choose_accelerator(
            self.recipe.accelerator, session.bzimage, self.progress, self.isolation
        )
        if mode is booting.Mode.BENCH:
            return self._session(session, choice, mode, bench_mib)
        guest = self._session(session, choice, booting.Mode.SUITE, 0)
        if guest.end is not GuestEnd.DONE or not bench_mib:
            return guest
        if WRITE_FLAG not in session.facts.flags:
            return guest.model_copy(update={"bench_note": "no write() on this kernel"})
        # A boot of its own: under TCG it counts instructions, which the suite must not wait for.
        measured = self._session(session, choice, booting.Mode.BENCH, bench_mib)
        return guest.model_copy(
            update={
                "bench": measured.bench,
                "splats": (*guest.splats, *measured.splats),
                "bench_note": measured.bench_note
                or ("" if measured.end is GuestEnd.DONE else f"no benchmark: {measured.end.value}"),
            }
        )

    def _session(
        self, session: _Session, choice: Choice, mode: booting.Mode, bench_mib: int
    ) -> Guest:
        """One boot; its console and results stay in the folder, by the mode's name and number."""
        prefix = "" if mode is booting.Mode.SUITE else "bench-"
        folder, number = session.folder, session.number
        with scratch(folder, RESULTS) as home:
            results = home / "results"  # given to the sandbox's user; the lock stays ours
            results.mkdir()
            try:
                return booting.boot(
                    session.bzimage,
                    results=results,
                    console=folder / boot_file(f"{prefix}console.log", number),
                    suite=SUITE_FOLDER,
                    facts=facts_document(session.facts, bench_mib=bench_mib, cases=session.cases),
                    accelerator=choice.accelerator,
                    why=choice.why,
                    limits=self.limits,
                    progress=self.progress,
                    mode=mode,
                    isolation=self.isolation,
                    allow=self.allow,
                    selftests=_ready(session.tests, home),
                    kunit=self.tests.kunit,
                )
            finally:
                kept = folder / boot_file(f"{prefix}results.jsonl", number)
                _keep_results(results, kept, self.limits.results_bytes)


def _ready(tests: Sequence[Selftest], home: Path) -> tuple[Selftest, ...]:
    """With folders that the guest can run programs from; the store keeps no modes."""
    ready = []
    for number, test in enumerate(tests):
        if test.folder is not None:
            folder = home / str(number)
            folder.mkdir()
            for stored, name in enumerate(test.made.files):
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(test.folder / str(stored), folder / name)
                (folder / name).chmod(0o755)
            test = replace(test, folder=folder)
        ready.append(test)
    return tuple(ready)


def _done(guest: Guest) -> bool:
    return guest.end is GuestEnd.DONE


def _next_boot(evaluation: Evaluation) -> int:
    return len(evaluation.reruns) + (evaluation.guest is not None) + 1


def _written(evaluation: Evaluation, folder: Path) -> Evaluation:
    write_atomically(folder / "evaluation.json", evaluation.to_json())
    return evaluation


def _keep_results(results: Path, kept: Path, limit: int) -> None:
    """Copies what the guest reported; that it is missing or no file was told by boot()."""
    with suppress(InfraError):
        write_atomically(kept, read_left(results / booting.RESULTS_FILE, limit))


def _copy(stored: Path, folder: Path) -> None:
    """The small files of a finished stage, for whoever reads the run's folder."""
    for path in sorted(stored.iterdir()):
        if path.name not in (*PRODUCTS, MANIFEST):
            shutil.copyfile(path, folder / path.name)
