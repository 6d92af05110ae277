# SPDX-License-Identifier: GPL-2.0-or-later
"""The part of public-inbox that b4 0.16 and liblore 0.10 use, on loopback.

Three requests make up the whole contract (measured against public-inbox 1.9.0, which
tests/stages/test_fetch_public_inbox.py asks the same things):

    GET  /<list>/<message-id>/t.mbox.gz   the thread, a gzipped mboxrd; 404 when unknown
    HEAD /<message-id>/                   redirects to the list that has it; 404
    POST /<list>/?x=m[&t=1]&q=<query>     a search, a gzipped mboxrd; 404 without a result
"""

from __future__ import annotations

import gzip
import re
import subprocess
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote_plus, urlsplit

from tests.archive.recorded import as_mbox, message_id

LIST = "lkml"
POLL_SECONDS = 0.01  # how soon the server notices that it is to end


@dataclass(frozen=True)
class Reply:
    """One HTTP answer."""

    status: int = 200
    body: bytes = b""
    content_type: str = "text/plain"


NOT_FOUND = Reply(404)
WEB_PAGE = Reply(200, b"<!doctype html><title>Making sure you are not a bot!</title>", "text/html")


@dataclass
class LoreDouble:
    """Mails by message-id; ``forced`` replies are given first, ``always`` instead of any other."""

    mails: dict[str, bytes]
    forced: list[Reply] = field(default_factory=list)
    always: Reply | None = None
    requests: list[str] = field(default_factory=list)
    port: int = 0

    @property
    def midmask(self) -> str:
        return f"http://127.0.0.1:{self.port}/{LIST}/%s"

    def reply(self, method: str, target: str) -> Reply:
        self.requests.append(f"{method} {target}")
        if self.forced:
            return self.forced.pop(0)
        if self.always is not None:
            return self.always
        url = urlsplit(target)
        parts = [unquote_plus(part) for part in url.path.strip("/").split("/")]
        if method == "POST" and parts == [LIST]:
            query = parse_qs(url.query)
            return _mailbox(self._search(query["q"][0], threads=query.get("t") == ["1"]))
        if method == "GET" and parts[0] == LIST and parts[2:] == ["t.mbox.gz"]:
            return _mailbox(self._thread(parts[1]) if parts[1] in self.mails else {})
        return NOT_FOUND

    def _thread(self, start: str) -> dict[str, bytes]:
        """All mails that are connected to one by References and In-Reply-To."""
        wanted = {start}
        while True:
            related = {
                name: {name, *_references(message_from_bytes(raw))}
                for name, raw in self.mails.items()
            }
            more = set().union(*(ids for ids in related.values() if ids & wanted)) | wanted
            if more == wanted:
                return {name: raw for name, raw in self.mails.items() if name in wanted}
            wanted = more

    def _search(self, query: str, *, threads: bool) -> dict[str, bytes]:
        found = {name: raw for name, raw in self.mails.items() if _matches(query, raw)}
        if not threads:
            return found
        return {name: raw for hit in found for name, raw in self._thread(hit).items()}


def _references(mail: Message) -> list[str]:
    return re.findall(r"<([^>]+)>", f"{mail['References'] or ''} {mail['In-Reply-To'] or ''}")


def _matches(query: str, raw: bytes) -> bool:
    """The three forms of query that b4 makes; their d: limits are not looked at."""
    if wanted := re.findall(r"patchid:([0-9a-f]{40})", query):
        done = subprocess.run(["git", "patch-id", "--stable"], input=raw, capture_output=True)
        return done.stdout[:40].decode() in wanted
    if quoted := re.search(r'nq:"([^"]*)"', query):
        return quoted[1].encode() in raw
    subject, sender = re.search(r's:"([^"]*)"', query), re.search(r'f:"([^"]*)"', query)
    mail = message_from_bytes(raw)
    return (
        subject is not None
        and subject[1] in str(mail["Subject"])
        and (sender is None or sender[1] in str(mail["From"]))
    )


def _mailbox(mails: dict[str, bytes]) -> Reply:
    if not mails:
        return NOT_FOUND
    return Reply(200, gzip.compress(as_mbox(*mails.values())), "application/gzip")


@contextmanager
def lore_double(mails: Iterable[bytes]) -> Iterator[LoreDouble]:
    double = LoreDouble({message_id(mail): mail for mail in mails})

    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            reply = double.reply(self.command, self.path)
            self.send_response(reply.status)
            self.send_header("Content-Type", reply.content_type)
            self.send_header("Content-Length", str(len(reply.body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(reply.body)

        do_GET = do_HEAD = do_POST = _answer  # noqa: N815

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        double.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, args=(POLL_SECONDS,))
        thread.start()
        try:
            yield double
        finally:
            server.shutdown()
            thread.join()
