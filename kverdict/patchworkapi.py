# SPDX-License-Identifier: GPL-2.0-or-later
"""Patchwork's REST API, version 1.3 (docs/api/schemas/v1.3/patchwork.yaml of Patchwork).

    GET  /api/1.3/patches/?msgid=ID          the patches of a mail, a page at a time (RFC 8288 Link)
    GET  /api/1.3/patches/ID/checks/?context=C
    POST /api/1.3/patches/ID/checks/         Authorization: Token T; 201

The answers are a server's, not ours: they are limited in size, read strictly, and no token goes to
another host than the one that was named.
"""

from __future__ import annotations

import ipaddress
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import Enum
from typing import TypeVar
from urllib.parse import SplitResult, urljoin, urlsplit

import requests
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError
from requests.auth import AuthBase

from kverdict import __version__
from kverdict.errors import InfraError, KverdictError, UserError
from kverdict.models import Frozen
from kverdict.text import one_line, shorten

API = "api/1.3/"
ATTEMPTS = 5
FIRST_PAUSE = 1.0  # seconds; twice as long before each further attempt
TIMEOUTS = (10.0, 60.0)  # seconds to connect, and without a byte
LARGEST = 4 << 20  # bytes of one answer
MOST_PAGES = 20
MOST_REDIRECTS = 3
_NO_ANSWER = (
    requests.ConnectionError,
    requests.Timeout,
    requests.exceptions.ChunkedEncodingError,  # it ended in the middle
)
_AGAIN = frozenset({502, 503, 504})
_MOVED = frozenset({301, 302, 303, 307, 308})


class State(Enum):
    PENDING = "pending"
    SUCCESS = "success"
    WARNING = "warning"
    FAIL = "fail"


class Check(Frozen):
    """The body of a POST; ``target_url`` None is left out."""

    state: State
    context: str  # a slug
    description: str
    target_url: str | None = None


class _Answer(BaseModel):
    """What of an answer is used; Patchwork adds keys from version to version."""

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)


class _Project(_Answer):
    link_name: str


class KnownPatch(_Answer):
    id: int
    msgid: str  # with its angle brackets
    project: _Project


class _User(_Answer):
    id: int


class PostedCheck(_Answer):
    id: int
    user: _User | None = None
    state: str
    context: str
    description: str | None = None
    target_url: str | None = None

    def is_of(self, check: Check) -> bool:
        return (self.state, self.context, self.description, self.target_url or None) == (
            check.state.value,
            check.context,
            check.description,
            check.target_url,
        )


_T = TypeVar("_T")
_PATCHES = TypeAdapter(list[KnownPatch])
_CHECKS = TypeAdapter(list[PostedCheck])
_CHECK = TypeAdapter(PostedCheck)


class _Token(AuthBase):
    """Given to requests as this, so that a .netrc cannot put another in its place."""

    def __init__(self, token: str | None) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if self._token is not None:
            request.headers["Authorization"] = f"Token {self._token}"
        return request


@dataclass(frozen=True)
class _Reply:
    status: int
    body: bytes
    next: str | None = None


@dataclass
class Patchwork:
    """One server; without a token it can only be asked."""

    url: str
    token: str | None = None
    pause: Callable[[float], None] = time.sleep
    session: requests.Session = field(default_factory=requests.Session)

    def __post_init__(self) -> None:
        self.url = checked_url(self.url, secret=self.token is not None)
        self.session.headers["User-Agent"] = f"kverdict/{__version__}"
        self.session.headers["Accept"] = "application/json"

    def patches_of(self, message_id: str) -> tuple[KnownPatch, ...]:
        """The patches that this mail became, one a project; none when it is not known.

        A server that does not know ``msgid`` ignores it and gives whatever it has.
        """
        found: list[KnownPatch] = []
        place = self._place("patches/", msgid=message_id)
        for body in self._pages(place):
            page: list[KnownPatch] = self._read(_PATCHES, body)
            found += page
        return tuple(patch for patch in found if patch.msgid == f"<{message_id}>")

    def checks_of(self, patch: int, context: str) -> tuple[PostedCheck, ...]:
        """The checks of one context, the oldest first."""
        found: list[PostedCheck] = []
        for body in self._pages(self.checks_url(patch), context=context):
            page: list[PostedCheck] = self._read(_CHECKS, body)
            found += page
        return tuple(check for check in found if check.context == context)

    def checks_url(self, patch: int) -> str:
        return self._place(f"patches/{patch}/checks/")

    def post(self, patch: int, check: Check) -> PostedCheck:
        """A check that stands there already, or came with an answer that got lost, is taken.

        Patchwork shows the newest of each user and context: what was said before that is past.

        Raises UserError where the server refuses it, InfraError where it does not answer.
        """
        body = check.model_dump(mode="json", exclude_none=True)
        for attempt in range(ATTEMPTS):
            newest = {one.user: one for one in self.checks_of(patch, check.context)}
            same = [one for one in newest.values() if one.is_of(check)]
            if same:
                return same[-1]
            reply = self._send("POST", self.checks_url(patch), json=body)
            if reply is not None and reply.status not in _AGAIN:
                if reply.status != 201:
                    raise _refused(self.checks_url(patch), reply)
                return self._read(_CHECK, reply.body)
            self._wait(attempt)
        raise self._silent()

    def _place(self, path: str, **query: str) -> str:
        request = requests.Request("GET", urljoin(self.url, API + path), params=query).prepare()
        assert request.url is not None
        return request.url

    def _pages(self, place: str, **query: str) -> Iterator[bytes]:
        if query:
            place = self._place(urlsplit(place).path.rpartition(API)[2], **query)
        for _ in range(MOST_PAGES):
            reply = self._get(place)
            yield reply.body
            if reply.next is None:
                return
            place = self._ours(place, reply.next)
        raise InfraError(f"{self.url} gives page after page", "is that a Patchwork?")

    def _get(self, place: str) -> _Reply:
        for attempt in range(ATTEMPTS):
            reply = self._follow(place)
            if reply is not None and reply.status not in _AGAIN:
                if reply.status != 200:
                    raise _refused(place, reply)
                return reply
            self._wait(attempt)
        raise self._silent()

    def _follow(self, place: str) -> _Reply | None:
        for _ in range(MOST_REDIRECTS + 1):
            reply = self._send("GET", place)
            if reply is None or reply.status not in _MOVED or reply.next is None:
                return reply
            place = self._ours(place, reply.next)
        raise InfraError(f"{self.url} redirects in circles", "name its address as it is now")

    def _send(self, method: str, place: str, json: dict[str, str] | None = None) -> _Reply | None:
        """One request; None when there was no answer."""
        try:
            with self.session.request(
                method,
                place,
                json=json,
                auth=_Token(self.token),
                timeout=TIMEOUTS,
                allow_redirects=False,
                stream=True,
            ) as answer:
                body = b""
                for piece in answer.iter_content(64 << 10):
                    body += piece
                    if len(body) > LARGEST:
                        raise InfraError(f"{self.url} answers without end", "is that a Patchwork?")
                moved = answer.headers.get("Location") if answer.status_code in _MOVED else None
                following = moved or answer.links.get("next", {}).get("url")
                return _Reply(answer.status_code, body, following)
        except (
            requests.ConnectionError,
            requests.Timeout,
            requests.exceptions.ChunkedEncodingError,
        ):
            return None
        except requests.RequestException as error:
            raise InfraError(f"{self.url} cannot be asked", one_line(str(error))) from error

    def _ours(self, place: str, following: str) -> str:
        """The token, and the question, are for the server that was named."""
        try:
            target = urljoin(place, following)
        except ValueError:
            target = following
        if _origin(target) != _origin(self.url):
            shown = shorten(target, 100)
            raise UserError(f"{self.url} sends us on to {shown}", "name that, if you trust it")
        return target

    def _wait(self, attempt: int) -> None:
        if attempt + 1 < ATTEMPTS:
            self.pause(FIRST_PAUSE * 2**attempt)

    def _silent(self) -> InfraError:
        return InfraError(f"{self.url} does not answer ({ATTEMPTS} attempts)", "try again later")

    def _read(self, form: TypeAdapter[_T], body: bytes) -> _T:
        try:
            return form.validate_json(body)
        except ValidationError as error:
            remedy = "name the address of a Patchwork with REST API 1.3"
            raise InfraError(f"{self.url} does not answer as Patchwork does", remedy) from error


def checked_url(url: str, *, secret: bool) -> str:
    """With a slash at its end; raises UserError for what is none, or would show the token."""
    parts = _split(url)
    if parts is None or parts.username is not None:
        raise UserError(f"{url} is no address of a Patchwork", "e.g. https://patchwork.kernel.org")
    if secret and parts.scheme == "http" and not _is_loopback(parts.hostname or ""):
        raise UserError(f"{url} would carry the token unencrypted", "use https")
    return f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/')}/"


def _split(url: str) -> SplitResult | None:
    """None for what is no http address with a host, and a number for its port."""
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return None
    return parts if usable else None


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _origin(url: str) -> tuple[str, str | None, int | None] | None:
    parts = _split(url)
    if parts is None:
        return None
    return parts.scheme, parts.hostname, parts.port or {"http": 80, "https": 443}[parts.scheme]


def _refused(place: str, reply: _Reply) -> KverdictError:
    """A refusal is final: asking again would change nothing."""
    said = shorten(reply.body.decode(errors="replace"), 200)
    problem = f"{place} answers {reply.status}: {said}"
    if reply.status in (401, 403):
        return UserError(problem, "the token needs the right to create checks in that project")
    if reply.status == 404:
        return UserError(problem, "is that a Patchwork with REST API 1.3?")
    return InfraError(problem, "nothing was posted there")
