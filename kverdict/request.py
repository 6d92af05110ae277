# SPDX-License-Identifier: GPL-2.0-or-later
"""What the user asked of `verify`, and the command line that asks the same."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from kverdict.errors import UserError
from kverdict.models import Frozen
from kverdict.sandbox import Isolation
from kverdict.settings import DEFAULT_FRAGMENTS, Settings


class Wanted(Protocol):
    """What a request says about how commits are evaluated, whatever it asks of them."""

    @property
    def fragments(self) -> tuple[str, ...]: ...

    @property
    def accelerator(self) -> str: ...

    @property
    def bench_mib(self) -> int: ...

    @property
    def jobs(self) -> int: ...

    @property
    def isolation(self) -> Isolation: ...


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
