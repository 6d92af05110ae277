# SPDX-License-Identifier: GPL-2.0-or-later
"""What the user asked of `bisect` or `check-commit`, and the command line that asks the same."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

from kverdict.bisection import Commit
from kverdict.errors import UserError
from kverdict.models import Frozen
from kverdict.question import Subject
from kverdict.sandbox import Isolation
from kverdict.settings import DEFAULT_FRAGMENTS, Settings


class BisectRequest(Frozen):
    """What the user asked for; the same request goes on with an unfinished run."""

    tree: str
    good: str
    bad: str
    question: str  # "write.page", "build", "boot", "console:FINGERPRINT", "bench:write>+5%"
    fragments: tuple[str, ...]
    accelerator: str
    jobs: int
    bench_mib: int = 16  # of the benchmark that a bench question boots
    confidence: float = 0.99
    repeat: int | None = None  # guests per step; None: as many as the confidence needs
    first_parent: bool = False
    term_old: str = "good"
    term_new: str = "bad"
    paths: tuple[str, ...] = ()
    ahead: int = 0  # commits to build while one is tested
    kselftests: tuple[str, ...] = ()  # COLLECTION:TEST
    replay: str | None = None  # file with answers: a git bisect log, or a run's folder
    unsafe_no_sandbox: bool = False

    @property
    def isolation(self) -> Isolation:
        return Isolation.NONE if self.unsafe_no_sandbox else Isolation.BUBBLEWRAP

    @property
    def terms(self) -> tuple[str, str]:
        return self.term_old, self.term_new


class CheckRequest(Frozen):
    """One commit, by exit status, for `git bisect run`."""

    tree: str
    commit: str
    question: str
    fragments: tuple[str, ...]
    accelerator: str
    jobs: int
    bench_mib: int = 16
    repeat: int = 1
    kselftests: tuple[str, ...] = ()
    unsafe_no_sandbox: bool = False

    @property
    def isolation(self) -> Isolation:
        return Isolation.NONE if self.unsafe_no_sandbox else Isolation.BUBBLEWRAP


def words_of(request: BisectRequest | CheckRequest) -> list[str]:
    """The options of the command line that evaluate a commit in the same way."""
    words = ["--tree", request.tree, "--for", request.question]
    for name in request.fragments:
        if name not in DEFAULT_FRAGMENTS:
            words += ["--fragment", name]
    for test in request.kselftests:
        words += ["--kselftest", test]
    if request.question.startswith(f"{Subject.BENCH.value}:"):
        words += ["--bench-mib", str(request.bench_mib)]
    if request.accelerator != "auto":
        words += ["--accelerator", request.accelerator]
    if request.unsafe_no_sandbox:
        words.append("--unsafe-no-sandbox")
    return words


def command_of(request: BisectRequest) -> list[str]:
    """The words that ask for the same; what a machine decides is left out."""
    words = ["./pipeline.py", "bisect", *words_of(request)]
    plain = BisectRequest.model_fields
    for name in ("confidence", "repeat", "ahead", "replay"):
        if getattr(request, name) != plain[name].default:
            words += [f"--{name}", str(getattr(request, name))]
    if request.terms != ("good", "bad"):
        words += ["--term-old", request.term_old, "--term-new", request.term_new]
    if request.first_parent:
        words.append("--first-parent")
    return [*words, request.good, request.bad, *(("--", *request.paths) if request.paths else ())]


def commands(request: BisectRequest, found: tuple[Commit, ...]) -> tuple[str, ...]:
    """At most three: the culprit, its parent, the whole way."""
    check = ["./pipeline.py", "check-commit", *words_of(request)]
    asked = []
    if len(found) == 1 and "+" not in request.question:
        asked = [found[0].sha[:12], *(sha[:12] for sha in found[0].parents[:1])]
    whole = shlex.join(command_of(request))
    return (*(shlex.join([*check, name]) for name in asked), whole)


def bisect_request_of(
    settings: Settings,
    *,
    good: str,
    bad: str,
    question: str,
    tree: str | None,
    fragments: Sequence[str] = (),
    accelerator: str | None = None,
    bench_mib: int | None = None,
    jobs: int = 1,
    confidence: float = 0.99,
    repeat: int | None = None,
    first_parent: bool = False,
    term_old: str = "good",
    term_new: str = "bad",
    paths: Sequence[str] = (),
    ahead: int = 0,
    kselftests: Sequence[str] = (),
    replay: str | None = None,
    unsafe_no_sandbox: bool = False,
) -> BisectRequest:
    """What the command line says, else what the settings say; raises UserError without a tree."""
    chosen = tree or settings.kernel.tree
    if chosen is None:
        raise UserError("no kernel tree is given", "use --tree")
    return BisectRequest(
        tree=chosen,
        good=good,
        bad=bad,
        question=question,
        fragments=tuple(dict.fromkeys((*settings.kernel.fragments, *fragments))),
        accelerator=accelerator or settings.guest.accelerator,
        jobs=jobs,
        bench_mib=bench_mib or settings.guest.bench_mib,
        confidence=confidence,
        repeat=repeat,
        first_parent=first_parent,
        term_old=term_old,
        term_new=term_new,
        paths=tuple(paths),
        ahead=ahead,
        kselftests=tuple(dict.fromkeys(kselftests)),
        replay=replay,
        unsafe_no_sandbox=unsafe_no_sandbox,
    )


def check_request_of(
    settings: Settings,
    *,
    commit: str,
    question: str,
    tree: str | None = None,
    fragments: Sequence[str] = (),
    accelerator: str | None = None,
    bench_mib: int | None = None,
    jobs: int = 1,
    repeat: int = 1,
    kselftests: Sequence[str] = (),
    unsafe_no_sandbox: bool = False,
) -> CheckRequest:
    """The tree is the one named, else the current folder when it is a kernel, else the settings'.

    Raises UserError when there is none.
    """
    chosen = tree or ("." if is_kernel(Path.cwd()) else settings.kernel.tree)
    if chosen is None:
        raise UserError("this folder is no kernel tree", "use --tree, or start it in one")
    return CheckRequest(
        tree=chosen,
        commit=commit,
        question=question,
        fragments=tuple(dict.fromkeys((*settings.kernel.fragments, *fragments))),
        accelerator=accelerator or settings.guest.accelerator,
        jobs=jobs,
        bench_mib=bench_mib or settings.guest.bench_mib,
        repeat=repeat,
        kselftests=tuple(dict.fromkeys(kselftests)),
        unsafe_no_sandbox=unsafe_no_sandbox,
    )


def is_kernel(folder: Path) -> bool:
    """Whether a git checkout of a kernel begins here."""
    return all((folder / name).exists() for name in (".git", "Makefile", "Kconfig"))
