# SPDX-License-Identifier: GPL-2.0-or-later
"""./pipeline.py reply: drafts of the mails that answer a series."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from kverdict import reply as workflow
from kverdict import sending
from kverdict import settings as settings_module
from kverdict.commands.common import CONFIG_OPTION
from kverdict.errors import ExitStatus, UserError
from kverdict.progress import to_stderr
from kverdict.render.letters import Aim
from kverdict.text import counted, printable


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--per-patch", is_flag=True, help="One reply to each patch.")
@click.option("--to-cover", is_flag=True, help="One reply to the cover letter, with everything.")
@click.option("--send", is_flag=True, help="Send the drafts as they stand; asks for each.")
@CONFIG_OPTION
def reply(run: Path, per_patch: bool, to_cover: bool, send: bool, config: Path | None) -> int:
    """Draft the replies to the series of RUN, a finished run's folder.

    They go into RUN/reply and RUN/reply.mbox, to be read, changed and sent by hand; nothing is
    sent without --send, which uses git send-email's configuration.
    """
    if per_patch + to_cover + send > 1:
        raise UserError("--per-patch, --to-cover and --send exclude each other", "name one of them")
    if send and config is not None:
        raise UserError("--send sends the drafts as they stand", "leave out --config")
    if send:
        return _send(run)
    aim = Aim.PER_PATCH if per_patch else Aim.TO_COVER if to_cover else Aim.FINDINGS
    settings = settings_module.load(config)
    drafted = workflow.draft_replies(run, settings, aim=aim, progress=to_stderr())
    for note in drafted.notes:
        click.echo(printable(f"note: {note}", keep=""))
    for path in drafted.mails:
        click.echo(printable(f"Draft: {path}", keep=""))
    return ExitStatus.GOOD


def _send(run: Path) -> int:
    if not _somebody_is_there():
        raise UserError(
            "--send asks for each mail, and nobody is there to answer",
            "run it on a terminal, or send RUN/reply/*.eml yourself",
        )
    sent = sending.send(run, _ask)
    click.echo(f"{counted(len(sent), 'mail')} sent")
    return ExitStatus.GOOD


def _somebody_is_there() -> bool:
    return sys.stdin.isatty()


def _ask(mail: sending.Outgoing) -> bool:
    click.echo()
    for name, text in (
        ("From", mail.sender),
        ("Subject", mail.subject),
        ("In-Reply-To", mail.in_reply_to or "none"),
        ("File", str(mail.path)),
    ):
        click.echo(printable(f"{name + ':':<13} {text}", keep=""))
    for address in mail.recipients:
        click.echo(printable(f"{'Goes to:':<13} {address}", keep=""))
    question = f"Send this to {counted(len(mail.recipients), 'recipient')}?"
    return click.confirm(question, default=False)
