# SPDX-License-Identifier: GPL-2.0-or-later
"""Sends the drafts of a run's folder with ``git send-email``, each at most once.

Whom a mail would go to is asked of git send-email itself (``--dry-run``): the user's configuration
may add recipients.  What is sent is written down before, with fsync(2): after a crash a mail may
be one that was not sent, and never one that is sent twice.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from email import message_from_bytes
from email.policy import compat32, default
from enum import Enum
from pathlib import Path

from kverdict import proc
from kverdict.errors import InfraError, UserError
from kverdict.models import Frozen
from kverdict.reply import drafts_in
from kverdict.runs import digest_of, file_digest, run_lock, write_atomically
from kverdict.text import one_line

FOLDER = "sent"

# What --dry-run says: to a server, and to a sendmail program.
_TO_SERVER = re.compile(r"^RCPT TO:<(.+)>$", re.MULTILINE)
_TO_PROGRAM = re.compile(r"^Sendmail: .* -i (.+)$", re.MULTILINE)
# The drafts name everybody themselves; quoted trailers name nobody.
_OPTIONS = (
    "--no-format-patch",
    "--no-annotate",
    "--no-thread",
    "--no-chain-reply-to",
    "--suppress-cc=self",
    "--suppress-cc=author",
    "--suppress-cc=body",
    "--confirm=never",
)


class State(Enum):
    SENDING = "sending"  # or our process ended while it was
    SENT = "sent"


class Sent(Frozen):
    """One file of sent/: a mail that went out, or may have."""

    state: State
    file: str
    digest: str  # of the mail
    message_id: str
    in_reply_to: str
    recipients: tuple[str, ...]


@dataclass(frozen=True)
class Outgoing:
    """A draft as it stands on disk, with everybody who would get it."""

    path: Path
    sender: str
    subject: str
    message_id: str
    in_reply_to: str
    recipients: tuple[str, ...]


def send(folder: Path, ask: Callable[[Outgoing], bool]) -> tuple[Outgoing, ...]:
    """Sends each draft for which ``ask`` says so; gives those that went out.

    Raises UserError when one was sent before, or may have been, or nothing is there; ToolMissing;
    InfraError when git send-email fails.
    """
    _require_git_send_email()
    with run_lock(folder) as ours:
        if not ours:
            raise UserError(f"somebody works in {folder}", "wait for the end of it")
        waiting = [_outgoing(path) for path in drafts_in(folder)]
        if not waiting:
            raise UserError(f"{folder} has no drafts", "make them without --send, and read them")
        new = [mail for mail in waiting if not _sent_before(folder, mail)]
        if not new:
            raise UserError(f"the drafts of {folder} were sent already", f"see {folder / FOLDER}")
        return tuple(mail for mail in new if ask(mail) and _send(folder, mail))


def _require_git_send_email() -> None:
    where = proc.run(["git", "--exec-path"], check=True).text.strip()
    if not any(shutil.which("git-send-email", path=path) for path in (where, os.environ["PATH"])):
        raise proc.ToolMissing(
            "git send-email is not installed", "on Debian it is the package git-email"
        )


def _outgoing(path: Path) -> Outgoing:
    """The mail in a file, and what git send-email would do with it under the user's settings."""
    mail = message_from_bytes(path.read_bytes(), policy=default)
    sender = _unfolded(mail["From"] or "")
    if not sender:
        raise UserError(f"{path} has no From", "write one into it, or draft it again")
    done = proc.run(
        [*_command(sender, path), "--dry-run"],
        env={**os.environ, "LC_ALL": "C"},
        timeout=120,
    )
    if not done.ok:
        raise InfraError(
            f"git send-email cannot send {path.name}: {_last_line(done)}",
            "set it up as git-send-email(1) says",
            detail=done.error_text,
        )
    return Outgoing(
        path=path,
        sender=one_line(sender),
        subject=one_line(str(mail["Subject"] or "")),
        message_id=one_line(str(mail["Message-ID"] or "")),
        in_reply_to=one_line(str(mail["In-Reply-To"] or "")),
        recipients=_recipients(done.text, path),
    )


def _recipients(told: str, path: Path) -> tuple[str, ...]:
    program = _TO_PROGRAM.search(told)
    found = program[1].split() if program is not None else _TO_SERVER.findall(told)
    if not found:
        raise InfraError(
            f"git send-email does not tell to whom {path.name} would go", "send it by hand"
        )
    return tuple(dict.fromkeys(one_line(address) for address in found))


def _last_line(done: proc.Finished) -> str:
    return one_line((done.error_text.strip() or done.text.strip() or "no output").splitlines()[-1])


def _command(sender: str, path: Path) -> list[str]:
    """With the To of the draft, as it is encoded there: else git send-email asks for one."""
    to = message_from_bytes(path.read_bytes(), policy=compat32)["To"]
    named = [f"--from={sender}", *([f"--to={_unfolded(to)}"] if to else [])]
    # To git send-email "--" means that commits follow.
    return ["git", "send-email", *_OPTIONS, *named, str(path.absolute())]


def _unfolded(header: str) -> str:
    return " ".join(str(header).split())


def _record(folder: Path, mail: Outgoing) -> Path:
    """Named by what is answered: another wording of the same reply is no other mail."""
    key = digest_of(mail.in_reply_to or mail.subject)[:16]
    return folder / FOLDER / f"{key}.json"


def _sent_before(folder: Path, mail: Outgoing) -> bool:
    """Raises UserError when nobody can tell: then the user has to look."""
    record = _record(folder, mail)
    if not record.exists():
        return False
    try:
        state = Sent.from_json(record.read_bytes()).state
    except (OSError, ValueError):
        state = State.SENDING
    if state is State.SENDING:
        raise UserError(
            f"{mail.path.name} may have been sent: an earlier attempt did not come to its end",
            f"look for {mail.message_id} in your mail; if it is not there, remove {record}",
        )
    return True


def _send(folder: Path, mail: Outgoing) -> bool:
    record = _record(folder, mail)
    record.parent.mkdir(exist_ok=True)
    sent = Sent(
        state=State.SENDING,
        file=mail.path.name,
        digest=file_digest(mail.path),
        message_id=mail.message_id,
        in_reply_to=mail.in_reply_to,
        recipients=mail.recipients,
    )
    _write_down(record, sent)
    status = proc.converse(_command(mail.sender, mail.path))
    if status != 0:
        raise InfraError(
            f"git send-email ended with {status}: {mail.path.name} may be out or not",
            f"look for {mail.message_id} in your mail; if it is not there, remove {record}",
        )
    _write_down(record, sent.model_copy(update={"state": State.SENT}))
    return True


def _write_down(path: Path, sent: Sent) -> None:
    """Also the name of the file is on the disk when this returns (fsync(2))."""
    write_atomically(path, sent.to_json())
    for folder in (path.parent, path.parent.parent):
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
