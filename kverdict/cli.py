# SPDX-License-Identifier: GPL-2.0-or-later
"""The command line: finds the command, and makes of its end an exit status."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from importlib import import_module
from typing import NoReturn

import click

from kverdict import __version__
from kverdict.disk import is_about_space
from kverdict.errors import ExitStatus, KverdictError
from kverdict.interrupt import Interrupted, raise_on_signals
from kverdict.text import printable

# Each command is a module of kverdict.commands, and loaded when it is asked for: b4 waits for
# `b4-check`, and nothing of the engine is needed for a look-up.
COMMANDS = {
    "verify": "Verify SERIES on a kernel tree.",
    "bisect": "Find the first commit between GOOD and BAD that is bad, and prove it.",
    "check-commit": "Say whether COMMIT, by default the tree's HEAD, is bad.",
    "nightly": "Look at the trees of [nightly]: what changed, what is new, whose it is.",
    "report": "Render the report of RUN, a run's folder, again; nothing is built or booted.",
    "export": "Write the results of RUN, a run's folder, in the formats of other tools.",
    "patchwork": "Show the checks of RUN, a run's folder, for Patchwork, or post them.",
    "reply": "Draft the replies to the series of RUN, a finished run's folder.",
    "b4-check": "Answer b4 review's checks from finished runs (docs/b4-review.md).",
    "watch": "Verify what is new in the mail archive, each series once; never sends.",
    "doctor": "Look for what is wrong with this machine, the cache and the runs.",
    "runs": "Look after the folders of earlier runs.",
    "suite": "List the guest's CASES, all by default, or run them here.",
}


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
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        return ExitStatus.USAGE
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


class _Commands(click.Group):
    """A group whose commands are imported one at a time."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        name = cmd_name.replace("-", "_")
        found = getattr(import_module(f"kverdict.commands.{name}"), name)
        assert isinstance(found, click.Command)
        return found

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Without importing them; each text is the first line of the command's own help."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(
    cls=_Commands,
    epilog="Exit status: 0 good, 1 bad, 125 cannot be tested here, 128 and above our trouble "
    "(docs/verdicts.md).",
)
@click.version_option(__version__, prog_name="kverdict")
def commands() -> None:
    """Build, boot and judge a Linux kernel patch series, with evidence."""
