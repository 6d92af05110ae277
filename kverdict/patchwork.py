# SPDX-License-Identifier: GPL-2.0-or-later
"""Checks for Patchwork: what a run says of each patch, and posting it, each once.

Patchwork has no checks of a series, so its result stands on each patch, with what is that patch's
own before it.  A run that ended in our trouble says nothing of the series, so nothing is posted:
"pending" would stand there until somebody runs it again, and perhaps nobody does.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote, urlsplit

from kverdict.errors import UserError
from kverdict.judgement import CaseVerdict, Finding, FindingKind, Overall, Report
from kverdict.models import Frozen
from kverdict.patchworkapi import Check, Patchwork, State
from kverdict.progress import Progress
from kverdict.runs import write_atomically
from kverdict.settings import PatchworkSettings
from kverdict.text import counted, one_line, printable

FILE = "patchwork.json"
LONGEST_DESCRIPTION = 255
LONGEST_URL = 200  # of target_url, says Patchwork's schema
LARGEST_TOKEN = 1024
_STATES = {
    Overall.GOOD: State.SUCCESS,
    Overall.BAD: State.FAIL,
    Overall.UNTESTABLE: State.WARNING,
}


class PatchCheck(Frozen):
    """A check, and the mail whose patch it is for."""

    number: int  # of the patch
    message_id: str
    check: Check


class Planned(Frozen):
    """A check with the place that it goes to."""

    item: PatchCheck
    url: str  # that is posted to
    patch: int  # Patchwork's id
    posted: bool  # by an earlier call already


class Posting(Frozen):
    """One check that Patchwork has."""

    url: str
    check: Check
    id: int  # Patchwork's, of the check


class Postings(Frozen):
    """patchwork.json."""

    posted: tuple[Posting, ...] = ()


# --- what is said ---------------------------------------------------------------------------------


def checks_of(report: Report, run: str, settings: PatchworkSettings) -> tuple[PatchCheck, ...]:
    """One for each patch, none when the run ended in our trouble.

    Raises UserError when the patches were not mailed, or the link to the run would be none.
    """
    state = _STATES.get(report.verdict.overall)
    if state is None:
        return ()
    target = _target(settings.target_url, run)
    return tuple(
        PatchCheck(
            number=patch.number,
            message_id=_mailed(patch.message_id),
            check=Check(
                state=state,
                context=settings.context,
                description=description(report, patch.number),
                target_url=target,
            ),
        )
        for patch in report.series.patches
    )


def description(report: Report, number: int) -> str:
    """One line of at most 255 characters: what is this patch's own, then the whole."""
    total = len(report.series.patches)
    whole = f"{report.verdict.overall.value}: {report.verdict.headline}"
    own = _own(report.verdict.findings, number) if total > 1 else ""
    line = one_line(f"this patch: {own}; series {whole}" if own else whole)
    if len(line) <= LONGEST_DESCRIPTION:
        return line
    return line[: LONGEST_DESCRIPTION - 3].rstrip() + "..."


_NOUNS = {
    FindingKind.BUILD: ("does not build", "does not build"),
    FindingKind.BOOT: ("a guest does not come to its end", "guests do not come to their end"),
    FindingKind.CONSOLE: ("console report", "console reports"),
    FindingKind.CASE: ("failing case", "failing cases"),
    FindingKind.CONFIG: ("config symbol", "config symbols"),
    FindingKind.WARNING: ("new warning", "new warnings"),
}


def _own(findings: Sequence[Finding], number: int) -> str:
    """What is pinned to this patch and is new, by kind; advice last."""
    ours = [one for one in findings if one.patch == number]
    new = [one for one in ours if one.verdict is CaseVerdict.NEW_FAIL]
    parts = []
    for kind, nouns in _NOUNS.items():
        count = sum(one.kind is kind and not one.advice for one in new)
        if count and kind in (FindingKind.BUILD, FindingKind.BOOT):
            parts.append(nouns[0])
        elif count:
            parts.append(counted(count, *nouns))
    if advice := sum(one.advice for one in ours):
        parts.append(counted(advice, "remark"))
    return ", ".join(parts)


def _mailed(message_id: str) -> str:
    if not re.fullmatch(r"[!-;=?-~]{1,250}", message_id) or "@" not in message_id:
        raise UserError("these patches were not mailed", "Patchwork knows patches by message-id")
    return message_id


def _target(template: str | None, run: str) -> str | None:
    if template is None:
        return None
    url = template.replace("{run}", quote(run, safe=""))
    try:
        usable = urlsplit(url).scheme in ("http", "https")
    except ValueError:  # e.g. of a "[" without its end
        usable = False
    if not usable or not re.fullmatch(r"[!-~]+", url):
        raise UserError(f"patchwork.target_url makes no address: {printable(url)}", "https://...")
    if len(url) > LONGEST_URL:
        raise UserError(f"{url} is longer than {LONGEST_URL} characters", "shorten target_url")
    return url


# --- where it goes --------------------------------------------------------------------------------


def plan(
    checks: Sequence[PatchCheck], server: Patchwork, project: str | None, done: Postings
) -> tuple[Planned, ...]:
    """Asks for every patch before any check is posted.  Raises UserError for one not known."""
    planned = []
    for item in checks:
        patch = _id_of(item, server, project)
        url = server.checks_url(patch)
        known = any((one.url, one.check) == (url, item.check) for one in done.posted)
        planned.append(Planned(item=item, url=url, patch=patch, posted=known))
    return tuple(planned)


def _id_of(item: PatchCheck, server: Patchwork, project: str | None) -> int:
    found = [
        patch
        for patch in server.patches_of(item.message_id)
        if project is None or patch.project.link_name == project
    ]
    if not found:
        where = f" in {project}" if project is not None else ""
        raise UserError(
            f"{server.url} has no patch <{item.message_id}>{where}",
            "it may come later, or go to another project or server",
        )
    if len(found) > 1:
        names = ", ".join(sorted(printable(patch.project.link_name, "") for patch in found))
        raise UserError(
            f"<{item.message_id}> is in several projects: {names}",
            'name one: `project = "..."` of [patchwork] in pipeline.toml',
        )
    return found[0].id


def post(
    planned: Sequence[Planned], server: Patchwork, folder: Path, progress: Progress
) -> tuple[Posting, ...]:
    """Posts what is not posted yet; each is written down as soon as Patchwork has it.

    Killed before that, the next call finds it on the server.
    """
    new = []
    for item in planned:
        if item.posted:
            continue
        progress.say(f"posting to {item.url}")
        answer = server.post(item.patch, item.item.check)
        posting = Posting(url=item.url, check=item.item.check, id=answer.id)
        new.append(posting)
        done = read_postings(folder)
        record = Postings(posted=(*done.posted, posting))
        write_atomically(folder / FILE, record.to_json())
    return tuple(new)


def read_postings(folder: Path) -> Postings:
    """What was posted of this run; raises UserError when that cannot be told."""
    try:
        return Postings.from_json((folder / FILE).read_bytes())
    except FileNotFoundError:
        return Postings()
    except (OSError, ValueError) as error:
        remedy = "look on Patchwork what is posted, and remove the file"
        raise UserError(f"{folder / FILE} cannot be read", remedy) from error


def read_token(path: Path) -> str:
    """Raises UserError for a file that others may read, or that holds no token."""
    try:
        with path.open("rb") as stream:
            status = os.fstat(stream.fileno())
            content = stream.read(LARGEST_TOKEN + 1)
    except OSError as error:
        raise UserError(f"{path} cannot be read", error.strerror or str(error)) from error
    if stat.S_IMODE(status.st_mode) & 0o077 or status.st_uid not in (0, os.geteuid()):
        raise UserError(f"{path} can be read by others", f"chmod 600 {path}, and make a new token")
    token = content.decode("ascii", "replace").strip()
    if len(content) > LARGEST_TOKEN or not re.fullmatch(r"[!-~]+", token):
        raise UserError(f"{path} holds no token", "it is the one line of your Patchwork profile")
    return token
