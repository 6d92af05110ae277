# SPDX-License-Identifier: GPL-2.0-or-later
"""The part of Patchwork's REST API 1.3 that checks need, on loopback.

It is as strict as docs/api/schemas/v1.3/patchwork.yaml and patchwork/api/check.py of Patchwork are:

    GET  /api/1.3/patches/?msgid=ID                 200, a page and a Link header
    GET  /api/1.3/patches/<id>/checks/?context=C    200; 404 for a patch that is not there
    POST /api/1.3/patches/<id>/checks/              201; 400, 401, 403, 404, 415

Paths without the slash at their end are redirected, as Django does.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

TOKEN = "0123456789abcdef0123456789abcdef01234567"
POLL_SECONDS = 0.01
_STATES = ("pending", "success", "warning", "fail")
_FIELDS = {"state", "target_url", "context", "description"}
_SLUG = re.compile(r"[-a-zA-Z0-9_]{1,255}")


@dataclass(frozen=True)
class Reply:
    status: int
    body: object = None
    headers: tuple[tuple[str, str], ...] = ()
    drop: bool = False  # close the connection without a word, after what was asked is done


@dataclass
class PatchworkDouble:
    """``patches`` are (id, message-id, project); ``forced`` replies are given first, by method."""

    patches: list[tuple[int, str, str]] = field(default_factory=list)
    checks: dict[int, list[dict[str, Any]]] = field(default_factory=dict)
    forced: dict[str, list[Reply]] = field(default_factory=dict)
    lost: int = 0  # so many answers to a POST get lost after it was done
    may_post: bool = True
    knows_msgid: bool = True  # else the filter is ignored, and all patches are given
    per_page: int = 2
    requests: list[tuple[str, str, dict[str, str], bytes]] = field(default_factory=list)
    port: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def posted(self) -> list[tuple[int, dict[str, Any]]]:
        return [(patch, check) for patch, checks in self.checks.items() for check in checks]

    def methods(self) -> list[str]:
        return [request[0] for request in self.requests]

    def reply(self, method: str, target: str, headers: dict[str, str], body: bytes) -> Reply:
        self.requests.append((method, target, headers, body))
        if self.forced.get(method):
            return self.forced[method].pop(0)
        url = urlsplit(target)
        if not url.path.endswith("/"):
            return Reply(301, headers=(("Location", f"{url.path}/?{url.query}"),))
        token = headers.get("Authorization")
        if token is not None and token != f"Token {TOKEN}":
            return Reply(401, {"detail": "Invalid token."})
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        if url.path == "/api/1.3/patches/" and method == "GET":
            return self._page(url.path, query, self._patches(query))
        match = re.fullmatch(r"/api/1\.3/patches/([0-9]+)/checks/", url.path)
        if match is None or int(match[1]) not in {id for id, _, _ in self.patches}:
            return Reply(404, {"detail": "Not found."})
        checks = self.checks.setdefault(int(match[1]), [])
        if method == "GET":
            wanted = query.get("context")
            found = [one for one in checks if wanted in (None, one["context"])]
            return self._page(url.path, query, found)
        return self._create(checks, headers, body)

    def _patches(self, query: dict[str, str]) -> list[dict[str, Any]]:
        assert "<" not in query.get("msgid", ""), "the filter adds the brackets itself"
        return [
            {
                "id": id,
                "msgid": f"<{message_id}>",
                "name": "[v7,1/1] a patch",
                "project": {"id": 7, "name": "A project", "link_name": project},
                "check": "pending",
            }
            for id, message_id, project in self.patches
            if not self.knows_msgid or query.get("msgid") in (None, message_id)
        ]

    def _page(self, path: str, query: dict[str, str], found: list[dict[str, Any]]) -> Reply:
        page = int(query.get("page", 1))
        shown = found[(page - 1) * self.per_page : page * self.per_page]
        if not shown and page > 1:
            return Reply(404, {"detail": "Invalid page."})
        links: tuple[tuple[str, str], ...] = ()
        if page * self.per_page < len(found):
            following = urlencode({**query, "page": page + 1})
            links = (("Link", f'<{self.url}{path}?{following}>; rel="next"'),)
        return Reply(200, shown, links)

    def _create(self, checks: list[dict[str, Any]], headers: dict[str, str], body: bytes) -> Reply:
        if "Authorization" not in headers:
            return Reply(401, {"detail": "Authentication credentials were not provided."})
        if not self.may_post:
            return Reply(403, {"detail": "You do not have permission to perform this action."})
        if headers.get("Content-Type") != "application/json":
            return Reply(415, {"detail": "Unsupported media type in request."})
        given = json.loads(body)
        if wrong := _wrong(given):
            return Reply(400, wrong)
        check = {
            "id": 1000 + sum(map(len, self.checks.values())),
            "user": {"id": 3, "username": "bot"},
            "target_url": None,
            "description": None,
            **given,
        }
        checks.append(check)
        if self.lost:
            self.lost -= 1
            return Reply(201, drop=True)
        return Reply(201, check)


def _wrong(given: dict[str, Any]) -> dict[str, list[str]]:
    """What Django REST framework says of a check that is none."""
    wrong = {name: ["Unknown field."] for name in set(given) - _FIELDS}
    if given.get("state") not in _STATES:
        wrong["state"] = ["A check must have a state."]
    if not _SLUG.fullmatch(given.get("context", "default")):
        wrong["context"] = ["Enter a valid 'slug'."]
    target = given.get("target_url")
    if target is not None and not re.fullmatch(r"https?://[!-~]{1,192}", target):
        wrong["target_url"] = ["Enter a valid URL."]
    if not isinstance(given.get("description", ""), str):
        wrong["description"] = ["Not a valid string."]
    return wrong


@contextmanager
def serving(double: PatchworkDouble) -> Iterator[PatchworkDouble]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer()

        def do_POST(self) -> None:
            self._answer()

        def _answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            reply = double.reply(self.command, self.path, dict(self.headers), body)
            if reply.drop:
                self.close_connection = True
                return
            content = json.dumps(reply.body).encode()
            self.send_response(reply.status)
            for name, value in (
                ("Content-Type", "application/json"),
                ("Content-Length", str(len(content))),
                *reply.headers,
            ):
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    double.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, args=(POLL_SECONDS,))
    thread.start()
    try:
        yield double
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
