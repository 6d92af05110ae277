# SPDX-License-Identifier: GPL-2.0-or-later
"""The engine: (commit, recipe) -> Evaluation.

Configure, build, boot and test one commit with one recipe.  Every stage's result is kept under a
key made of content alone (tree id, fragments, toolchain, guest suite, ...), so that the same
question is never answered twice: v3 of a series reuses v2's base, a second run reuses the first.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from kverdict import uapi
from kverdict.accelerator import Choice, choose_accelerator
from kverdict.errors import InfraError, UserError
from kverdict.findings.suite import facts_document
from kverdict.models import (
    Build,
    ConfigProof,
    Evaluation,
    Guest,
    GuestEnd,
    Recipe,
)
from kverdict.objects import object_tree
from kverdict.proc import run
from kverdict.progress import Progress
from kverdict.runs import (
    MANIFEST,
    RESULTS,
    Slot,
    Store,
    digest_of,
    file_digest,
    scratch,
    slot,
    write_atomically,
)
from kverdict.sandbox import Isolation, read_left
from kverdict.stages import boot, configure
from kverdict.stages import build as building
from kverdict.stages.kmake import ARCH, Ccache, has_ccache
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
    "findings/warnings.py",
)
BOOT_AND_TEST = (
    "stages/boot.py",
    "findings/console.py",
    "findings/suite.py",
    "accelerator.py",
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

    config: ConfigProof
    build: Build
    folder: Path


@dataclass(frozen=True)
class Engine:
    tree: Tree
    recipe: Recipe
    fragments: tuple[Path, ...]
    cache: Path
    jobs: int
    limits: boot.Limits
    progress: Progress
    protection: tuple[str, ...] = ()  # what keeps strangers' code apart here, in words
    choice: Choice | None = None  # the accelerator, once it is known; None: as the recipe says

    def like(self, guest: Guest) -> Engine:
        """An engine that boots on the accelerator of ``guest``: only like is compared with like.

        A patched kernel that does not come up on the base's accelerator is a finding, no reason to
        try another.
        """
        choice = Choice(accelerator=guest.accelerator, why=guest.accelerator_why)
        return replace(self, choice=choice)

    @property
    def store(self) -> Store:
        return Store(self.cache / "stages")

    @contextmanager
    def slot(self) -> Iterator[Slot]:
        """A worktree and object tree for this tree and recipe, ours alone until the block ends."""
        name = digest_of(str(self.tree.repo), self.recipe.fragments, self.recipe.toolchain)[:16]
        with slot(self.cache / "slots", name, self.progress) as mine:
            yield mine

    @property
    def isolation(self) -> Isolation:
        return Isolation(self.recipe.isolation)

    def evaluate(
        self, commit: str, describe: str, mine: Slot, evaluations: Path, *, strangers: bool = True
    ) -> Evaluation:
        """All that the recipe says about ``commit``; logs go to ``evaluations``/<key>/.

        ``strangers`` says that the commit is not the user's: what its build leaves behind is used
        for nothing else.  Raises InfraError for our trouble and PatchError when the tree's Kconfig
        does not parse.
        """
        tree_id = self.tree.tree_id(commit)
        key = digest_of(tree_id, self.recipe.model_dump(mode="json"))
        folder = evaluations / key
        folder.mkdir(parents=True, exist_ok=True)
        self.progress.say(f"{describe}: {commit[:12]}")
        built = self.build(commit, mine, folder, strangers=strangers)
        guest = self._guest(built, commit, folder) if built.build.ok else None
        evaluation = Evaluation(
            key=key,
            commit=commit,
            tree=tree_id,
            describe=describe,
            config=built.config,
            build=built.build,
            guest=guest,
        )
        write_atomically(folder / "evaluation.json", evaluation.to_json())
        return evaluation

    # --- configure and build ----------------------------------------------------------------------

    def build(self, commit: str, mine: Slot, folder: Path, *, strangers: bool = True) -> Built:
        """The first half of an evaluation; logs and the config go to ``folder``."""
        key = self._build_key(commit)
        stored = self.store.find("builds", key)
        if stored is None:
            stored = self._build(commit, mine, folder, key, strangers)
        else:
            self.progress.say("  configured and built before")
            _copy(stored, folder)
        return Built(
            config=ConfigProof.from_json((stored / "config.json").read_bytes()),
            build=Build.from_json((stored / "build.json").read_bytes()),
            folder=stored,
        )

    def _build_key(self, commit: str) -> str:
        return digest_of(
            self.recipe.code[0],
            self.tree.tree_id(commit),
            self.recipe.arch,
            self.recipe.fragments,
            self.recipe.toolchain,
            self.recipe.isolation,
        )

    def built_folder(self, commit: str) -> Path | None:
        """Where bzImage and vmlinux of a commit are that was evaluated before."""
        return self.store.find("builds", self._build_key(commit))

    def _build(self, commit: str, mine: Slot, folder: Path, key: str, strangers: bool) -> Path:
        if _digests(self.fragments) != self.recipe.fragments:
            raise UserError("a Kconfig fragment was changed during the run", "start again")
        checkout(self.tree.repo, commit, mine.src, progress=self.progress)
        with object_tree(mine, strangers=strangers, progress=self.progress) as obj:
            config = configure.configure(
                mine.src, obj, self.fragments, progress=self.progress, isolation=self.isolation
            )
            write_atomically(folder / "config.json", config.to_json())
            write_atomically(folder / "config", read_left(obj / ".config", configure.CONFIG_LIMIT))
            result = building.build(
                mine.src,
                obj,
                log=folder / "build.log",
                ccache=self._ccache(strangers),
                jobs=self.jobs,
                progress=self.progress,
                isolation=self.isolation,
            )
            write_atomically(folder / "build.json", result.to_json())
            files = [folder / name for name in ("config.json", "config", "build.log", "build.json")]
            if result.ok:
                files += [obj / building.BZIMAGE, obj / building.VMLINUX]
            return self.store.add("builds", key, files)

    def _ccache(self, strangers: bool) -> Ccache | None:
        if not has_ccache():
            return None
        folder = self.cache / "ccache"
        folder.mkdir(exist_ok=True)
        return Ccache(folder, readonly=strangers)

    # --- boot and test ----------------------------------------------------------------------------

    def _guest(self, built: Built, commit: str, folder: Path) -> Guest:
        facts = self._facts(commit)
        key = digest_of(
            self.recipe.code[1],
            self.recipe.host,
            self.recipe.isolation,
            built.build.bzimage_digest,
            self.recipe.suite,
            self.choice.accelerator.value if self.choice else self.recipe.accelerator,
            self.recipe.bench_mib,
            self.limits.model_dump(mode="json"),
            facts.model_dump(mode="json"),
        )
        stored = self.store.find("guests", key)
        if stored is not None:
            self.progress.say("  booted and tested before")
            _copy(stored, folder)
            return Guest.from_json((stored / "guest.json").read_bytes())
        guest = self._boot(built.folder / building.BZIMAGE.name, facts, folder)
        write_atomically(folder / "guest.json", guest.to_json())
        if guest.end in CONCLUSIVE:
            kept = [path for name in GUEST_FILES if (path := folder / name).is_file()]
            self.store.add("guests", key, kept)
        return guest

    def _facts(self, commit: str) -> uapi.Facts:
        """What the applied tree defines; it decides which expectations apply in the guest."""
        header = self.tree.show_file(commit, KVM_HEADER) or b""
        return uapi.facts_from_header(header.decode(errors="replace"))

    def _boot(self, bzimage: Path, facts: uapi.Facts, folder: Path) -> Guest:
        choice = self.choice or choose_accelerator(
            self.recipe.accelerator, bzimage, self.progress, self.isolation
        )
        guest = self._session(bzimage, facts, folder, choice, boot.Mode.SUITE)
        if guest.end is GuestEnd.LOST:
            # No word on the console either: weak evidence, it may have been killed from outside.
            self.progress.say("  the guest was lost without a word: once more")
            guest = self._session(bzimage, facts, folder, choice, boot.Mode.SUITE)
        if guest.end is not GuestEnd.DONE or not self.recipe.bench_mib:
            return guest
        if WRITE_FLAG not in facts.flags:
            return guest.model_copy(update={"bench_note": "no write() on this kernel"})
        # A boot of its own: under TCG it counts instructions, which the suite must not wait for.
        measured = self._session(bzimage, facts, folder, choice, boot.Mode.BENCH)
        return guest.model_copy(
            update={
                "bench": measured.bench,
                "splats": (*guest.splats, *measured.splats),
                "bench_note": measured.bench_note
                or ("" if measured.end is GuestEnd.DONE else f"no benchmark: {measured.end.value}"),
            }
        )

    def _session(
        self,
        bzimage: Path,
        facts: uapi.Facts,
        folder: Path,
        choice: Choice,
        mode: boot.Mode,
    ) -> Guest:
        """One boot; its console and results stay in ``folder``, by the mode's name."""
        prefix = "" if mode is boot.Mode.SUITE else "bench-"
        with scratch(folder, RESULTS) as home:
            results = home / "results"  # given to the sandbox's user; the lock stays ours
            results.mkdir()
            try:
                return boot.boot(
                    bzimage,
                    results=results,
                    console=folder / f"{prefix}console.log",
                    suite=SUITE_FOLDER,
                    facts=facts_document(facts, bench_mib=self.recipe.bench_mib),
                    accelerator=choice.accelerator,
                    why=choice.why,
                    limits=self.limits,
                    progress=self.progress,
                    mode=mode,
                    isolation=self.isolation,
                )
            finally:
                _keep_results(results, folder / f"{prefix}results.jsonl", self.limits.results_bytes)


def _keep_results(results: Path, kept: Path, limit: int) -> None:
    """Copies what the guest reported; that it is missing or no file was told by boot()."""
    with suppress(InfraError):
        write_atomically(kept, read_left(results / boot.RESULTS_FILE, limit))


def _copy(stored: Path, folder: Path) -> None:
    """The small files of a finished stage, for whoever reads the run's folder."""
    for path in sorted(stored.iterdir()):
        if path.name not in (*PRODUCTS, MANIFEST):
            shutil.copyfile(path, folder / path.name)
