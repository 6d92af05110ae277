# SPDX-License-Identifier: GPL-2.0-or-later
"""A series, complete and ready for git am, from an archive or from mails on disk.

b4 does the assembling (revisions, completeness, trailers, attestation), always in a process of its
own (kverdict/b4worker.py); local mails go the same way, without the network.  Its exit status and
its verdicts are not used: what is complete, which revision was meant and what is attested is
decided by rules that are written down here and in docs/series.md.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from pathlib import Path
from types import MappingProxyType
from urllib.parse import urlsplit

from pydantic import ValidationError, field_validator

from kverdict import proc
from kverdict.errors import ExitStatus, InfraError, KverdictError, PatchError, UserError
from kverdict.mails import classify as classify
from kverdict.mails import message_id_of, one_mailbox, read_mails
from kverdict.models import Frozen, Patch, Series, SourceKind
from kverdict.progress import Progress, Silent
from kverdict.runs import file_digest, intact, scratch, seal

SERIES = "series.json"
MBOX = "series.mbx"
THREAD = "thread.mbx"
COVER = "cover.txt"

_WORKER = Path(__file__).resolve().parent.parent / "b4worker.py"
_REQUEST = "request.mbx"
HITS_AT_MOST = 2000
# How to reach the network is the user's setting, as for any other program.
_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")
_NETWORK_ENVIRONMENT = (
    *_PROXIES,
    *(name.lower() for name in _PROXIES),
    "REQUESTS_CA_BUNDLE",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
)


class AttestationPolicy(Enum):
    """What is done with signatures on the mails (patatt's and DKIM)."""

    OFF = "off"  # not looked at
    SOFTFAIL = "softfail"  # looked at and reported
    HARDFAIL = "hardfail"  # every patch must be attested, or the series is refused


class ArchiveSettings(Frozen):
    """Where mails come from and how far to go for them; times in seconds."""

    midmask: str = "https://lore.kernel.org/all/%s"  # as b4.midmask: %s is the message-id
    timeout: float = 120  # for one attempt as a whole
    request_timeout: float = 30  # for one answer of the archive
    waits: tuple[float, ...] = (2, 10, 30)  # before each further attempt
    keyring: Path | None = None  # a folder of public keys as patatt keeps them
    attestation: AttestationPolicy = AttestationPolicy.SOFTFAIL
    max_patches: int = 200
    memory: int = 1 << 30  # bytes that b4 may use

    @field_validator("midmask")
    @classmethod
    def _is_a_mask(cls, mask: str) -> str:
        url = urlsplit(mask)
        if url.scheme not in ("http", "https") or not url.hostname or not mask.endswith("/%s"):
            raise ValueError("has the form https://host/list/%s")
        return mask

    @property
    def host(self) -> str:
        return urlsplit(self.midmask).netloc


class _Status(Enum):
    """How one run of the worker ended; each but OK has its own error."""

    OK = "ok"
    NOT_FOUND = "not-found"
    UNREACHABLE = "unreachable"
    NONSENSE = "nonsense"
    NO_PATCHES = "no-patches"
    NO_SUCH_REVISION = "no-such-revision"
    INCOMPLETE = "incomplete"
    AMBIGUOUS = "ambiguous"
    TOO_MANY_PATCHES = "too-many-patches"
    DAMAGED = "damaged"
    REFUSED = "refused"
    TOO_BIG = "too-big"
    TOO_SLOW = "too-slow"
    ASIDE = "aside"


class Hit(Frozen):
    """A patch or cover letter that a search found, by its headers."""

    message_id: str
    subject: str  # without the prefix
    sender: str  # address
    revision: int
    date: datetime
    thread: str  # message-id of the mail that its thread began with

    @property
    def mails_of_one_series(self) -> tuple[str, str, int]:
        """Equal for the mails that are sent together."""
        return self.thread, self.sender, self.revision


class _Answer(Frozen):
    """The worker's JSON; which fields are there depends on the status."""

    status: _Status
    detail: str = ""
    numbers: tuple[int, ...] = ()  # of the patches that the trouble is about
    expected: int = 0  # how many patches the series should have
    revisions: tuple[int, ...] = ()  # those seen
    revision: int = 0
    newest_revision: int = 0
    asked_revision: int | None = None  # of the very mail that was asked for
    message_id: str = ""
    subject: str = ""
    author: str = ""
    base_commit: str | None = None
    prerequisite_patch_ids: tuple[str, ...] = ()
    change_id: str | None = None
    patches: tuple[Patch, ...] = ()
    answers: str | None = None  # address of whoever wrote what the first patch is an answer to
    hits: tuple[Hit, ...] = ()


@dataclass(frozen=True)
class FoundPatch:
    """One patch mail that the archive has for a patch-id; ``mbox`` is an mboxrd for git am."""

    message_id: str
    subject: str
    mbox: bytes


# --- what other modules call --------------------------------------------------------------------


def fetch(
    asked: Sequence[str],
    *,
    folder: Path,
    revision: int | None,
    settings: ArchiveSettings,
    progress: Progress,
) -> Series:
    """The series that ``asked`` names, as series.json in ``folder``, with its mails beside it.

    ``folder`` appears whole and sealed (runs.intact) or not at all; one from before is replaced.
    Without ``revision`` the highest in the thread is taken.  A range of commits needs the tree and
    is the caller's: give the output of git format-patch to ``fetch_mailbox``.

    Raises UserError, PatchError or InfraError, each kind of trouble with its own exit status.
    """
    kind = classify(asked)
    if kind is SourceKind.REV_RANGE:
        raise UserError(f"{asked[0]} is a range of commits", "name the tree that has them")
    name = " ".join(asked)
    if kind is SourceKind.MESSAGE_ID:
        message_id = message_id_of(name)
        if "://" in name and urlsplit(name).netloc != settings.host:
            progress.say(f"only the message-id is taken from the URL; asking {settings.host}")
        wanted = _Wanted(kind, name, message_id, revision, settings)
        return _into(folder, wanted, None, progress)
    return _into(
        folder, _Wanted(kind, name, None, revision, settings), read_mails(kind, asked), progress
    )


def fetch_mailbox(
    mails: bytes,
    *,
    kind: SourceKind,
    asked: str,
    folder: Path,
    revision: int | None,
    settings: ArchiveSettings,
    progress: Progress,
    rev_range: tuple[str, str] | None = None,
) -> Series:
    """Like ``fetch`` for a mailbox in memory, e.g. the output of ``git format-patch --stdout``.

    ``rev_range`` is (base sha, tip sha) and is passed on into the Series.
    """
    wanted = _Wanted(kind, asked, None, revision, settings, rev_range)
    return _into(folder, wanted, one_mailbox(mails, asked), progress)


def fetched(folder: Path) -> Series | None:
    """What ``fetch`` left in ``folder``, None when nothing did or it is not as it was."""
    if folder.is_symlink() or not intact(folder):
        return None
    try:
        return Series.from_json((folder / SERIES).read_bytes())
    except (OSError, ValidationError):
        return None


def search_patch_id(
    patch_id: str, *, settings: ArchiveSettings, progress: Progress | None = None
) -> FoundPatch | None:
    """The archive's mail with that stable patch-id (40 hex digits), in its latest revision.

    The id is computed again from the mail.  None when the archive has no such patch; raises
    InfraError when it cannot be asked.
    """
    if len(patch_id) != 40 or not set(patch_id) <= set("0123456789abcdef"):
        raise UserError(f"{patch_id!r} is not a patch-id", "it has 40 lower-case hex digits")
    wanted = _Wanted(SourceKind.MESSAGE_ID, patch_id, None, None, settings)
    with scratch(Path(tempfile.gettempdir()), "kverdict-mail-") as draft:
        request = {"task": "patch-id", "patch_id": patch_id, "mbox": None}
        answer = _from_archive(request, wanted, draft, progress or Silent())
        if answer.status is _Status.NOT_FOUND:
            return None
        if answer.status is not _Status.OK:
            raise _trouble(answer, wanted)
        return FoundPatch(answer.message_id, answer.subject, (draft / MBOX).read_bytes())


def search(query: str, *, settings: ArchiveSettings, progress: Progress) -> tuple[Hit, ...]:
    """The patches and cover letters that the archive has for a query, the oldest first.

    The query is in the language of public-inbox's search, which takes what it cannot read for a
    query without results.  Raises InfraError when the archive cannot be asked.
    """
    return _search({"mbox": None, "query": query}, query, settings, progress, b"")


def hits_in(mbox: bytes, *, settings: ArchiveSettings) -> tuple[Hit, ...]:
    """The same for mails that were found otherwise, as an mboxrd."""
    return _search({"mbox": _REQUEST}, "the mailbox", settings, Silent(), mbox)


def _search(
    request: Mapping[str, object],
    name: str,
    settings: ArchiveSettings,
    progress: Progress,
    mbox: bytes,
) -> tuple[Hit, ...]:
    wanted = _Wanted(SourceKind.MESSAGE_ID, name, None, None, settings)
    whole = {"task": "search", "most": HITS_AT_MOST, **request}
    with scratch(Path(tempfile.gettempdir()), "kverdict-mail-") as draft:
        if request["mbox"] is None:
            answer = _from_archive(whole, wanted, draft, progress)
        else:
            (draft / _REQUEST).write_bytes(mbox)
            answer = _ask_worker(whole, draft, settings)
    if answer.status is not _Status.OK:
        raise _trouble(answer, wanted)
    return answer.hits


@dataclass(frozen=True)
class Offer:
    """The series that a mail of an archive is part of; ``message_ids`` has all its mails."""

    message_id: str  # of the cover letter, else of the first patch
    revision: int
    subject: str
    author: str
    message_ids: frozenset[str]


def offered(hit: Hit, *, settings: ArchiveSettings, progress: Progress) -> Offer | None:
    """The whole series of a mail, as ``fetch`` would take it; nothing is kept.

    None when the mail is no part of one: a patch in answer to somebody else's mail, or one that the
    thread has otherwise.  Raises what ``fetch`` raises.
    """
    message_id = message_id_of(f"<{hit.message_id}>")
    wanted = _Wanted(SourceKind.MESSAGE_ID, message_id, message_id, hit.revision, settings)
    request = {**_series_request(wanted, None), "policy": "off", "series_only": True}
    with scratch(Path(tempfile.gettempdir()), "kverdict-mail-") as draft:
        answer = _from_archive(request, wanted, draft, progress)
    if answer.status is _Status.ASIDE:
        return None
    if answer.status is not _Status.OK:
        raise _trouble(answer, wanted)
    mails = {answer.message_id, *(patch.message_id for patch in answer.patches)}
    alone = len(answer.patches) == 1 and answer.answers not in (None, hit.sender)
    if hit.message_id not in mails or alone:
        return None
    return Offer(
        answer.message_id, answer.revision, answer.subject, answer.author, frozenset(mails)
    )


# --- one series ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Wanted:
    """What is looked for: ``name`` as the user gave it, ``message_id`` when it is in an archive."""

    kind: SourceKind
    name: str
    message_id: str | None
    revision: int | None
    settings: ArchiveSettings
    rev_range: tuple[str, str] | None = None


def _series_request(wanted: _Wanted, mails: bytes | None) -> dict[str, object]:
    return {
        "task": "series",
        "message_id": wanted.message_id,
        "mbox": None if mails is None else _REQUEST,
        "revision": wanted.revision,
        "policy": wanted.settings.attestation.value,
        "max_patches": wanted.settings.max_patches,
    }


def _into(folder: Path, wanted: _Wanted, mails: bytes | None, progress: Progress) -> Series:
    """``mails`` is None when the archive has them."""
    request = _series_request(wanted, mails)
    with scratch(folder.parent.resolve(), f".{folder.name}.") as draft:
        if mails is None:
            answer = _from_archive(request, wanted, draft, progress)
        else:
            (draft / _REQUEST).write_bytes(mails)
            with progress.task("reading the series"):
                answer = _ask_worker(request, draft, wanted.settings)
        if answer.status is not _Status.OK:
            raise _trouble(answer, wanted)
        series = _series(answer, wanted, draft)
        _say_what_was_chosen(answer, wanted, progress)
        (draft / SERIES).write_text(series.to_json())
        _publish(draft, folder)
    return series


def _series(answer: _Answer, wanted: _Wanted, draft: Path) -> Series:
    unattested = [patch.number for patch in answer.patches if not patch.attestation.attested]
    if wanted.settings.attestation is AttestationPolicy.HARDFAIL and unattested:
        # b4's own hardfail lets unsigned mail and unknown keys pass.
        raise PatchError(
            f"{wanted.name}: no good signature by its author on {_named(unattested, answer)}",
            "the attestation policy is hardfail",
            status=ExitStatus.SERIES_REFUSED,
        )
    cover = draft / COVER
    return Series(
        kind=wanted.kind,
        asked=wanted.name,
        message_id=answer.message_id,
        subject=answer.subject,
        author=answer.author,
        revision=answer.revision,
        newest_revision=answer.newest_revision,
        cover=cover.read_text(encoding="utf-8") if cover.exists() else None,
        base_commit=answer.base_commit,
        prerequisite_patch_ids=answer.prerequisite_patch_ids,
        change_id=answer.change_id,
        patches=answer.patches,
        mbox=MBOX,
        mbox_digest=file_digest(draft / MBOX),
        rev_range=wanted.rev_range,
    )


def _say_what_was_chosen(answer: _Answer, wanted: _Wanted, progress: Progress) -> None:
    taken, newest, named = answer.revision, answer.newest_revision, answer.asked_revision
    if named is not None and named != taken:
        progress.say(f"taking v{taken} of the thread; {wanted.message_id} belongs to v{named}")
    if newest > taken:
        progress.say(f"taking v{taken}, although there is a v{newest}")


def _trouble(answer: _Answer, wanted: _Wanted) -> KverdictError:
    """The error for an answer: one line that names the thing, a remedy, its own exit status."""
    name, detail, host = wanted.name, answer.detail, wanted.settings.host
    local = wanted.message_id is None and wanted.kind is not SourceKind.MESSAGE_ID
    which = _named(answer.numbers, answer)
    seen = ", ".join(f"v{number}" for number in answer.revisions)
    match answer.status:
        case _Status.NOT_FOUND:
            return UserError(
                f"{host} has no mail {name}",
                "check the message-id; a fresh mail may need some minutes to get there",
                status=ExitStatus.SERIES_NOT_FOUND,
            )
        case _Status.UNREACHABLE:
            return InfraError(
                f"{host} cannot be reached ({detail})",
                "try again later, or name a saved mailbox",
                status=ExitStatus.ARCHIVE_UNREACHABLE,
            )
        case _Status.NONSENSE:
            return InfraError(
                f"{host} gave no mailbox for {name} ({detail})",
                "it may want a browser; save the thread's mbox there and name the file",
                status=ExitStatus.ARCHIVE_NONSENSE,
            )
        case _Status.NO_PATCHES:
            return UserError(
                f"there is no patch in {name}",
                "name a mail of the series itself",
                status=ExitStatus.NO_PATCHES,
            )
        case _Status.NO_SUCH_REVISION:
            return UserError(
                f"{name} has no v{wanted.revision}",
                f"seen: {seen}",
                status=ExitStatus.NO_SUCH_REVISION,
            )
        case _Status.INCOMPLETE:
            return PatchError(
                f"{name} is incomplete: missing {which}",
                "wait until the archive has them"
                + (
                    f", or take another revision (seen: {seen})"
                    if len(answer.revisions) > 1
                    else ""
                ),
                status=ExitStatus.SERIES_INCOMPLETE,
            )
        case _Status.AMBIGUOUS:
            return PatchError(
                f"{name} has more than one {which}",
                "name a mailbox with one series only",
                status=ExitStatus.BAD_MAILBOX if local else ExitStatus.SERIES_REFUSED,
            )
        case _Status.DAMAGED:
            return PatchError(
                f"{name}: {which} is damaged ({detail})",
                "it was cut off, or a mail program changed it; get the mail again",
                status=ExitStatus.BAD_MAILBOX if local else ExitStatus.SERIES_REFUSED,
            )
        case _Status.TOO_MANY_PATCHES:
            most = wanted.settings.max_patches
            return PatchError(
                f"{name} says that it has {answer.expected} patches",
                f"the limit is {most}",
                status=ExitStatus.SERIES_REFUSED,
            )
        case _Status.REFUSED:
            return PatchError(
                f"b4 refuses {name}", detail or "no reason given", status=ExitStatus.SERIES_REFUSED
            )
        case _Status.TOO_BIG:
            return PatchError(
                f"{name} is too big to be read",
                "cut the series out of the thread and name the mailbox",
                status=ExitStatus.SERIES_REFUSED,
            )
        case _Status.TOO_SLOW:
            limit = f"within {wanted.settings.timeout:.0f} s"
            if local:
                return PatchError(
                    f"{name} could not be read {limit}",
                    "cut the series out of it",
                    status=ExitStatus.SERIES_REFUSED,
                )
            return InfraError(
                f"{host} did not send {name} {limit}",
                "try again later, or name a saved mailbox",
                status=ExitStatus.ARCHIVE_UNREACHABLE,
            )
        case _Status.OK | _Status.ASIDE:
            raise AssertionError("no trouble")


def _named(numbers: Sequence[int], answer: _Answer) -> str:
    """The numbers as they stand in subjects; only the first ones when they are many."""
    total = answer.expected or len(answer.patches)
    words = [f"[{number}/{total}]" for number in numbers[:10]]
    return " ".join(words) + (f" and {len(numbers) - 10} more" if len(numbers) > 10 else "")


# --- the worker ---------------------------------------------------------------------------------


def _from_archive(
    request: Mapping[str, object], wanted: _Wanted, draft: Path, progress: Progress
) -> _Answer:
    """Asks until the archive answers or the attempts are used up."""
    settings = wanted.settings
    with progress.task(f"fetching {wanted.name}"):
        for wait in settings.waits:
            answer = _ask_worker(request, draft, settings)
            if answer.status is not _Status.UNREACHABLE:
                return answer
            progress.say(
                f"{settings.host} cannot be reached ({answer.detail}); again in {wait:.0f} s"
            )
            time.sleep(wait)
        return _ask_worker(request, draft, settings)


def _ask_worker(request: Mapping[str, object], draft: Path, settings: ArchiveSettings) -> _Answer:
    stdin = json.dumps({**request, "memory": settings.memory}).encode()
    done = run_worker(stdin, draft, settings, timeout=settings.timeout)
    if done.stopped is not None or done.returncode == -signal.SIGXCPU:
        return _Answer(status=_Status.TOO_SLOW)
    if done.returncode != 0:
        raise _worker_failed(done)
    try:
        return _Answer.from_json(done.stdout)
    except ValidationError as error:
        raise _worker_failed(done) from error


def run_worker(
    request: bytes,
    draft: Path,
    settings: ArchiveSettings,
    *,
    timeout: float,
    configuration: Mapping[str, str] = MappingProxyType({}),
    variables: Mapping[str, str] = MappingProxyType({}),
) -> proc.Finished:
    """One run of b4worker.py in ``draft``; ``configuration`` is git's, beside what b4 needs."""
    if shutil.which("git") is None:
        raise proc.ToolMissing("git is not installed", "run `make setup`")
    return proc.run(
        [sys.executable, "-I", "-X", "utf8", str(_WORKER)],
        cwd=draft,
        env=_environment(draft, settings, configuration) | dict(variables),
        stdin=request,
        timeout=timeout,
    )


def _worker_failed(done: proc.Finished) -> InfraError:
    last = (done.error_text.strip() or "no output").splitlines()[-1]
    return InfraError(
        f"the b4 process failed (exit status {done.returncode}): {last}",
        "please report this mail",
        detail=done.error_text,
    )


def _environment(draft: Path, settings: ArchiveSettings, more: Mapping[str, str]) -> dict[str, str]:
    """Nothing of the user's or any tree's git and b4 configuration; no files outside ``draft``.

    A .b4-config or .keys/ of a tree that a series was applied to could redirect b4 and bring its
    own trusted keys.
    """
    url = urlsplit(settings.midmask)
    configuration = {
        "b4.midmask": settings.midmask,
        "b4.attestation-policy": settings.attestation.value,
        "b4.attestation-checkmarks": "simple",
        "b4.keyringsrc": str(_keyring(settings) or draft / "no-keys"),
        f"liblore.{url.scheme}://{url.netloc}.requesttimeout": f"5,{settings.request_timeout}",
        **more,
    }
    pairs = {
        name: word
        for number, (key, value) in enumerate(configuration.items())
        for name, word in (
            (f"GIT_CONFIG_KEY_{number}", key),
            (f"GIT_CONFIG_VALUE_{number}", value),
        )
    }
    return proc.plain_environment(
        **{name: os.environ[name] for name in _NETWORK_ENVIRONMENT if name in os.environ},
        **pairs,
        GIT_CONFIG_COUNT=str(len(configuration)),
        GIT_CONFIG_GLOBAL=os.devnull,
        GIT_CONFIG_NOSYSTEM="1",
        GIT_CEILING_DIRECTORIES=str(draft.parent),
        GIT_TERMINAL_PROMPT="0",
        NETRC=os.devnull,
        TMPDIR=str(draft),  # it goes with the draft, also when this process was killed meanwhile
        XDG_CACHE_HOME=str(draft / "cache"),
        XDG_DATA_HOME=str(draft / "data"),
        XDG_CONFIG_HOME=str(draft / "config"),
    )


def _keyring(settings: ArchiveSettings) -> Path | None:
    if settings.keyring is None:
        return None
    folder = settings.keyring.expanduser().absolute()
    if not folder.is_dir():
        raise UserError(f"the keyring {folder} is no folder", "name one as patatt keeps them")
    return folder


# --- its folder ---------------------------------------------------------------------------------


def _publish(draft: Path, folder: Path) -> None:
    """Moves the results into ``folder`` in one step; what was there before goes."""
    whole = draft / "whole"
    whole.mkdir()
    for name in (SERIES, MBOX, THREAD, COVER):
        if (draft / name).exists():
            (draft / name).rename(whole / name)
    seal(whole)
    if os.path.lexists(folder):
        folder.rename(draft / "before")
    whole.rename(folder)
