# SPDX-License-Identifier: GPL-2.0-or-later
"""Commands and options, nothing else."""

from __future__ import annotations

import os
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

import click

from kverdict import __version__, gc, uapi
from kverdict import doctor as examination
from kverdict import settings as settings_module
from kverdict import verify as workflow
from kverdict.disk import is_about_space
from kverdict.errors import ExitStatus, KverdictError, UserError
from kverdict.findings import suite as guest_suite
from kverdict.interrupt import Interrupted, raise_on_signals
from kverdict.progress import to_stderr
from kverdict.render.summary import summary
from kverdict.request import request_of
from kverdict.runs import scratch
from kverdict.text import printable
from kverdict.verdict import BAD_OUTCOMES

STATUS_HELP = (
    "Exit status: 0 good, 1 bad, 125 cannot be tested here, 128 and above our trouble "
    "(docs/verdicts.md)."
)

# What `suite --here` takes the running kernel for: include/uapi/linux/kvm.h of Linux 6.18 to 7.3.
UPSTREAM_FACTS = uapi.Facts(
    flags={"GUEST_MEMFD_FLAG_MMAP": 1 << 0, "GUEST_MEMFD_FLAG_INIT_SHARED": 1 << 1}
)


def main() -> NoReturn:
    """Runs a command and ends the process with its exit status."""
    raise_on_signals()
    sys.exit(_status())


def _status() -> int:
    try:
        result = commands.main(standalone_mode=False)
        return int(result) if isinstance(result, int) else ExitStatus.GOOD
    except KverdictError as error:
        _complain(str(error), error.detail)
        return error.status
    except click.ClickException as error:
        _complain(f"{error.format_message()}: see --help")
        return ExitStatus.USAGE
    except (KeyboardInterrupt, Interrupted, click.exceptions.Abort):
        _complain("interrupted: the same command goes on from here")
        return ExitStatus.INTERRUPTED
    except BrokenPipeError:  # whoever read our output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitStatus.TROUBLE
    except OSError as error:
        _complain(f"{error.filename or 'a file'}: {error.strerror or error}")
        return ExitStatus.DISK_FULL if is_about_space(error) else ExitStatus.TROUBLE


def _complain(problem: str, detail: str = "") -> None:
    with suppress(OSError):  # stderr may be gone
        click.echo(f"kverdict: {printable(problem, keep='')}", err=True)
        for line in detail.splitlines()[:40]:
            click.echo(f"  {printable(line)}", err=True)


@click.group(epilog=STATUS_HELP)
@click.version_option(__version__, prog_name="kverdict")
def commands() -> None:
    """Build, boot and judge a Linux kernel patch series, with evidence."""


@commands.command(epilog=STATUS_HELP)
@click.argument("series", nargs=-1, required=True)
@click.option("--tree", help="Git repository, unpacked tree, tarball, or debian:7.2.")
@click.option("--base", help="Commit to apply to; otherwise the series says or it is guessed.")
@click.option("-v", "--revision", type=click.IntRange(min=1), help="Revision of the series.")
@click.option("--fragment", "fragments", multiple=True, help="Further Kconfig fragment.")
@click.option("--accelerator", type=click.Choice(["auto", "kvm", "tcg"]))
@click.option("--bench-mib", type=click.IntRange(0, 4096), help="MiB to populate; 0: none.")
@click.option("-j", "--jobs", type=click.IntRange(min=1), help="Jobs of make; default: all cores.")
@click.option("--config", type=click.Path(path_type=Path), help="Settings; default pipeline.toml.")
@click.option("--reach", is_flag=True, help="Configure what has the touched files compiled.")
@click.option("--coccicheck", is_flag=True, help="Coccinelle's scripts on touched files: minutes.")
@click.option(
    "--kselftest",
    "kselftests",
    multiple=True,
    metavar="COLLECTION:TEST",
    help="Also run a selftest of the tree, e.g. kvm:guest_memfd_test.",
)
@click.option(
    "--kunit",
    metavar="DIR",
    help="Also run KUnit's suites of DIR/.kunitconfig of the tree, e.g. lib/kunit.",
)
@click.option("--test-each", is_flag=True, help="Boot and test every patch, not the last alone.")
@click.option(
    "--repeat",
    type=click.IntRange(1, 100),
    default=1,
    help="Boot each kernel so often with all cases; failing ones run again in any case.",
)
@click.option("-q", "--quiet", is_flag=True, help="No progress.")
@click.option(
    "--unsafe-no-sandbox",
    is_flag=True,
    help="Run the series' code with all your rights; the report says so.",
)
def verify(
    series: tuple[str, ...],
    tree: str | None,
    base: str | None,
    revision: int | None,
    fragments: tuple[str, ...],
    accelerator: str | None,
    bench_mib: int | None,
    jobs: int | None,
    config: Path | None,
    reach: bool,
    coccicheck: bool,
    kselftests: tuple[str, ...],
    kunit: str | None,
    test_each: bool,
    repeat: int,
    quiet: bool,
    unsafe_no_sandbox: bool,
) -> int:
    """Verify SERIES on a kernel tree.

    SERIES is a message-id, an archive URL, an mbox, a maildir, a folder or list of patch files, or
    a rev range of the tree (v7.2..topic).
    """
    chosen = settings_module.load(config)
    request = request_of(
        chosen,
        series=series,
        tree=tree,
        base=base,
        revision=revision,
        fragments=fragments,
        accelerator=accelerator,
        bench_mib=bench_mib,
        jobs=jobs or len(os.sched_getaffinity(0)),
        unsafe_no_sandbox=unsafe_no_sandbox,
        repeat=repeat,
        test_each=test_each,
        reach=reach,
        coccicheck=coccicheck,
        kselftests=kselftests,
        kunit=kunit,
    )
    run = workflow.verify(request, chosen, to_stderr(quiet))
    _show(run)
    return run.report.verdict.exit_status


def _show(run: workflow.Run) -> None:
    for line in summary(run.report, run.folder, cwd=Path.cwd(), colour=sys.stdout.isatty()):
        click.echo(line)


@commands.command()
@click.argument("run", type=click.Path(path_type=Path))
def report(run: Path) -> int:
    """Render the report of RUN, a run's folder, again; nothing is built or booted."""
    again = workflow.render_again(run)
    _show(again)
    return again.report.verdict.exit_status


@commands.command()
@click.option("--fix", is_flag=True, help="Remove what killed runs left, and what is damaged.")
@click.option("--config", type=click.Path(path_type=Path), help="Settings; default pipeline.toml.")
def doctor(fix: bool, config: Path | None) -> int:
    """Look for what is wrong with this machine, the cache and the runs.

    Exit status: 0 when nothing is wrong, 128 otherwise.
    """
    wrong = 0
    for finding in examination.examine(settings_module.load(config), to_stderr()):
        fixed = fix and finding.mend is not None
        if fixed and finding.mend is not None:
            finding.mend()
        mark = "fixed" if fixed else finding.mark.value
        rest = f": --fix would {finding.fix}" if finding.fix and not fixed else ""
        click.echo(printable(f"{mark:<6} {finding.text}{rest}"))
        wrong += finding.mark is examination.Mark.WRONG and not fixed
    return ExitStatus.TROUBLE if wrong else ExitStatus.GOOD


@commands.group()
def runs() -> None:
    """Look after the folders of earlier runs."""


@runs.command("list")
@click.option("--config", type=click.Path(path_type=Path), help="Settings; default pipeline.toml.")
def list_runs(config: Path | None) -> int:
    """List the runs, the newest first: state, size and folder."""
    for run in gc.run_folders(settings_module.load(config).runs_folder):
        state = "running" if run.running else "finished" if run.finished else "unfinished"
        kept = " (kept)" if run.kept or run.linked else ""
        mib = gc.size_of(run.path) >> 20
        click.echo(printable(f"{state:<10} {mib:>6} MiB  {run.path}{kept}"))
    return ExitStatus.GOOD


@runs.command("gc")
@click.option("--keep", type=click.IntRange(0), help="Keep so many of the newest runs.")
@click.option("--older-than", type=click.FloatRange(0), help="Remove runs of so many days.")
@click.option("--cache-limit", type=click.FloatRange(0), help="GiB that the cache may take.")
@click.option("--dry-run", is_flag=True, help="Only say what would be removed.")
@click.option("--config", type=click.Path(path_type=Path), help="Settings; default pipeline.toml.")
def collect_garbage(
    keep: int | None,
    older_than: float | None,
    cache_limit: float | None,
    dry_run: bool,
    config: Path | None,
) -> int:
    """Free space: old runs, and what of the cache was not used for the longest time.

    What is in use, linked to in the runs folder, or has a file `keep`, stays (docs/run-folder.md).
    """
    settings = settings_module.load(config)
    asked = {"runs": keep, "days": older_than, "cache_gib": cache_limit}
    policy = settings.keep.model_copy(
        update={key: value for key, value in asked.items() if value is not None}
    )
    outcome = gc.collect(settings, policy, to_stderr(), dry_run=dry_run)
    for item in outcome.removed:
        click.echo(printable(f"{item.size:>14} bytes  {item.path} ({item.why})"))
    for note in outcome.notes:
        click.echo(note)
    verb = "would be freed" if dry_run else "freed"
    click.echo(f"{outcome.size} bytes {verb} in {len(outcome.removed)} folders")
    return ExitStatus.GOOD


@commands.command()
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
