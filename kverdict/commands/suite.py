# SPDX-License-Identifier: GPL-2.0-or-later
"""./pipeline.py suite: the guest's cases, listed or run here."""

from __future__ import annotations

import tempfile
from pathlib import Path

import click

from kverdict import uapi
from kverdict.errors import ExitStatus, UserError
from kverdict.findings import suite as guest_suite
from kverdict.progress import to_stderr
from kverdict.runs import scratch
from kverdict.text import printable
from kverdict.verdict import BAD_OUTCOMES

# What `suite --here` takes the running kernel for: include/uapi/linux/kvm.h of Linux 6.18 to 7.3.
UPSTREAM_FACTS = uapi.Facts(
    flags={"GUEST_MEMFD_FLAG_MMAP": 1 << 0, "GUEST_MEMFD_FLAG_INIT_SHARED": 1 << 1}
)


@click.command()
@click.argument("cases", nargs=-1)
@click.option("--here", is_flag=True, help="Run them on the running kernel; needs /dev/kvm.")
@click.option(
    "--header",
    type=click.Path(path_type=Path),
    help="include/uapi/linux/kvm.h of the running kernel's source; default: that of Linux 7.2.",
)
def suite(cases: tuple[str, ...], here: bool, header: Path | None) -> int:
    """List the guest's CASES, all by default, or run them here.

    What a case expects follows from the flags that the header defines, never from what the kernel
    answers.
    """
    known = guest_suite.list_cases()
    if unknown := sorted(set(cases) - {case.id for case in known}):
        raise UserError(f"there is no case {unknown[0]!r}", "see `./pipeline.py suite`")
    if not here:
        for case in known:
            if not cases or case.id in cases:
                click.echo(f"{case.id:<36} {case.title}\n{'':<36} {case.source}")
        return ExitStatus.GOOD
    facts = UPSTREAM_FACTS if header is None else uapi.facts_from_header(_read_header(header))
    with scratch(Path(tempfile.gettempdir()), "kverdict-suite-") as results:
        told = guest_suite.run_here(facts, results, cases=cases or None, progress=to_stderr())
    for result in told.cases:
        click.echo(
            f"{result.outcome.value:<8} {result.id:<36} {printable(result.message)}".rstrip()
        )
    bad = any(result.outcome in BAD_OUTCOMES for result in told.cases)
    return ExitStatus.BAD if bad else ExitStatus.GOOD


def _read_header(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError as error:
        raise UserError(f"{path} cannot be read", error.strerror or str(error)) from error
