# SPDX-License-Identifier: GPL-2.0-or-later
"""Talking to Patchwork: refusals are final, silence is not, and the token goes nowhere else."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
import requests

from kverdict import patchworkapi
from kverdict.errors import InfraError, KverdictError, UserError
from kverdict.patchworkapi import ATTEMPTS, Check, Patchwork, State, checked_url
from tests.archive.patchwork_double import TOKEN, PatchworkDouble, Reply, serving

MAIL = "20251114151828.98165-1-alice@example.org"
CHECK = Check(state=State.FAIL, context="kverdict", description="bad: new failure")
AWAY = (("Location", "http://elsewhere.example/api/1.3/patches/"),)


@pytest.fixture
def double() -> Iterator[PatchworkDouble]:
    with serving(PatchworkDouble(patches=[(11, MAIL, "kvm")])) as double:
        yield double


@pytest.fixture
def pauses() -> list[float]:
    return []


def server(double: PatchworkDouble, pauses: list[float], token: str | None = TOKEN) -> Patchwork:
    return Patchwork(double.url, token, pause=pauses.append)


def test_a_check_is_created(double: PatchworkDouble, pauses: list[float]) -> None:
    answer = server(double, pauses).post(11, CHECK)
    assert answer.is_of(CHECK)
    assert [(id, check["state"], check["context"]) for id, check in double.posted()] == [
        (11, "fail", "kverdict")
    ]
    assert {headers["Authorization"] for _, _, headers, _ in double.requests} == {f"Token {TOKEN}"}
    body = json.loads(double.requests[-1][3])
    assert body == {"context": "kverdict", "description": "bad: new failure", "state": "fail"}
    assert pauses == []


def test_the_patch_of_a_mail_is_found(double: PatchworkDouble, pauses: list[float]) -> None:
    double.patches.append((12, "other@example.org", "kvm"))
    (found,) = server(double, pauses, token=None).patches_of(MAIL)
    assert (found.id, found.msgid, found.project.link_name) == (11, f"<{MAIL}>", "kvm")
    assert server(double, pauses).patches_of("nobody@example.org") == ()
    assert "Authorization" not in double.requests[0][2]


def test_a_message_id_is_one_parameter_whatever_it_holds(
    double: PatchworkDouble, pauses: list[float]
) -> None:
    strange = "a+b&page=2#x%41=/?@example.org"
    double.patches.append((13, strange, "kvm"))
    (found,) = server(double, pauses).patches_of(strange)
    assert found.id == 13


def test_a_server_that_does_not_know_the_filter(
    double: PatchworkDouble, pauses: list[float]
) -> None:
    """It gives page after page of all there is; only the mail's own patch is taken."""
    double.knows_msgid = False
    double.patches = [(id, f"{id}@example.org", "kvm") for id in range(7)] + double.patches
    (found,) = server(double, pauses).patches_of(MAIL)
    assert found.id == 11
    assert len(double.requests) == 4


def test_pages_without_end_are_not_read_for_ever(
    double: PatchworkDouble, pauses: list[float]
) -> None:
    double.knows_msgid = False
    double.patches = [(id, f"{id}@example.org", "kvm") for id in range(100)]
    with pytest.raises(InfraError, match="page after page"):
        server(double, pauses).patches_of(MAIL)


@pytest.mark.parametrize("status", [502, 503, 504])
def test_a_server_that_is_away_for_a_moment_is_asked_again(
    double: PatchworkDouble, pauses: list[float], status: int
) -> None:
    double.forced = {"POST": [Reply(status), Reply(status)], "GET": [Reply(status)]}
    server(double, pauses).post(11, CHECK)
    assert len(double.posted()) == 1
    assert double.methods().count("POST") == 3
    assert pauses == [1.0, 1.0, 2.0]


def test_one_that_stays_away_is_given_up(double: PatchworkDouble, pauses: list[float]) -> None:
    double.forced = {"GET": [Reply(502)] * 20}
    with pytest.raises(InfraError, match=f"does not answer \\({ATTEMPTS} attempts\\)"):
        server(double, pauses).patches_of(MAIL)
    assert (len(double.requests), pauses) == (ATTEMPTS, [1.0, 2.0, 4.0, 8.0])
    double.forced = {"POST": [Reply(504)] * 20}
    with pytest.raises(InfraError, match="does not answer"):
        server(double, pauses).post(11, CHECK)
    assert double.methods().count("POST") == ATTEMPTS


def test_a_server_that_is_not_there(double: PatchworkDouble, pauses: list[float]) -> None:
    nobody = Patchwork("http://127.0.0.1:9", None, pause=pauses.append)
    with pytest.raises(InfraError, match="does not answer"):
        nobody.patches_of(MAIL)
    assert len(pauses) == ATTEMPTS - 1


def test_an_answer_that_gets_lost_makes_no_second_check(
    double: PatchworkDouble, pauses: list[float]
) -> None:
    double.lost = 1
    answer = server(double, pauses).post(11, CHECK)
    assert [check["id"] for _, check in double.posted()] == [answer.id]
    assert double.methods().count("POST") == 1


def test_what_is_there_already_is_not_posted_again(
    double: PatchworkDouble, pauses: list[float]
) -> None:
    double.per_page = 1
    server(double, pauses).post(11, CHECK)
    other = CHECK.model_copy(update={"state": State.SUCCESS})
    last = server(double, pauses).post(11, other)
    assert server(double, pauses).post(11, other).id == last.id
    assert len(double.posted()) == 2


def test_what_a_later_check_has_replaced_is_posted_again(
    double: PatchworkDouble, pauses: list[float]
) -> None:
    other = CHECK.model_copy(update={"state": State.SUCCESS})
    for check in (CHECK, other, CHECK):
        server(double, pauses).post(11, check)
    states = [check["state"] for _, check in double.posted()]
    assert states == [CHECK.state.value, "success", CHECK.state.value]


def test_the_check_of_another_user_replaces_none(
    double: PatchworkDouble, pauses: list[float]
) -> None:
    first = server(double, pauses).post(11, CHECK)
    (check,) = double.checks[11]
    theirs = {**check, "id": 5000, "state": "success", "user": {"id": 4, "username": "other"}}
    double.checks[11].append(theirs)
    assert server(double, pauses).post(11, CHECK).id == first.id


@pytest.mark.parametrize(
    ("status", "kind", "words"),
    [
        (400, InfraError, "answers 400.*nothing was posted"),
        (401, UserError, "answers 401.*the token needs the right"),
        (403, UserError, "answers 403.*the token needs the right"),
        (404, UserError, "answers 404.*is that a Patchwork"),
        (409, InfraError, "answers 409"),
        (500, InfraError, "answers 500"),
    ],
)
def test_a_refusal_is_final(
    double: PatchworkDouble,
    pauses: list[float],
    status: int,
    kind: type[KverdictError],
    words: str,
) -> None:
    double.forced = {"POST": [Reply(status, {"detail": "no\x1b[31m"})]}
    with pytest.raises(kind, match=words) as caught:
        server(double, pauses).post(11, CHECK)
    assert str(caught.value).isprintable()
    assert TOKEN not in str(caught.value)
    assert (double.methods().count("POST"), pauses) == (1, [])


def test_the_double_refuses_what_patchwork_refuses(
    double: PatchworkDouble, pauses: list[float]
) -> None:
    """Else it would prove nothing: each field of a check is held against the schema."""
    place = f"{double.url}/api/1.3/patches/11/checks/"

    def post(token: str | None = TOKEN, **body: Any) -> int:
        headers = {} if token is None else {"Authorization": f"Token {token}"}
        return requests.post(place, json=body, headers=headers, timeout=60).status_code

    good = {"state": "fail", "context": "kverdict"}
    assert post(**good) == 201
    assert post(token=None, **good) == 401
    assert post(token="wrong", **good) == 401
    assert post(context="kverdict") == 400
    assert post(**{**good, "state": "FAIL"}) == 400
    assert post(**{**good, "context": "two words"}) == 400
    assert post(**good, target_url="ftp://x") == 400
    assert post(**good, target_url=f"https://{'x' * 200}") == 400
    assert post(**good, colour="red") == 400
    double.may_post = False
    assert post(**good) == 403
    with pytest.raises(UserError, match="404"):
        server(double, pauses).post(99, CHECK)


# --- whom the token is for ------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_no_redirect_takes_the_token_to_another_host(
    double: PatchworkDouble, pauses: list[float], method: str, status: int
) -> None:
    double.forced = {method: [Reply(status, headers=AWAY)]}
    with pytest.raises(KverdictError, match=r"elsewhere\.example|answers 3"):
        server(double, pauses).post(11, CHECK)
    assert double.posted() == []


def test_neither_does_a_next_page(double: PatchworkDouble, pauses: list[float]) -> None:
    link = ("Link", '<http://elsewhere.example/?page=2>; rel="next"')
    double.forced = {"GET": [Reply(200, [], (link,))]}
    with pytest.raises(UserError, match=r"sends us on to http://elsewhere\.example"):
        server(double, pauses).patches_of(MAIL)
    for nonsense in ("http://[", "http://x:y/", "http://127.0.0.1:1/", "file:///etc/passwd"):
        double.forced = {"GET": [Reply(200, [], (("Link", f'<{nonsense}>; rel="next"'),))]}
        with pytest.raises(UserError, match="sends us on to"):
            server(double, pauses).patches_of(MAIL)


def test_on_the_same_server_a_redirect_is_followed_but_not_in_circles(
    double: PatchworkDouble, pauses: list[float]
) -> None:
    moved = Reply(301, headers=(("Location", f"/api/1.3/patches/?msgid={MAIL}"),))
    double.forced = {"GET": [moved]}
    assert len(server(double, pauses).patches_of(MAIL)) == 1
    double.forced = {"GET": [moved] * 10}
    with pytest.raises(InfraError, match="in circles"):
        server(double, pauses).patches_of(MAIL)
    double.forced = {"GET": [Reply(301)]}
    with pytest.raises(InfraError, match="answers 301"):
        server(double, pauses).patches_of(MAIL)


def test_a_netrc_puts_no_other_secret_in_its_place(
    double: PatchworkDouble,
    pauses: list[float],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login me password secret\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    server(double, pauses).post(11, CHECK)
    server(double, pauses, token=None).patches_of(MAIL)
    given = {headers.get("Authorization") for _, _, headers, _ in double.requests}
    assert given == {f"Token {TOKEN}", None}


@pytest.mark.parametrize(
    ("url", "secret", "checked"),
    [
        ("https://patchwork.kernel.org", True, "https://patchwork.kernel.org/"),
        ("https://x.example/pw//", True, "https://x.example/pw/"),
        ("http://x.example", False, "http://x.example/"),
        ("http://localhost:8000/", True, "http://localhost:8000/"),
        ("http://[::1]:8000/", True, "http://[::1]:8000/"),
    ],
)
def test_addresses(url: str, secret: bool, checked: str) -> None:
    assert checked_url(url, secret=secret) == checked


@pytest.mark.parametrize(
    "url",
    [
        "",
        "patchwork.kernel.org",
        "ftp://x",
        "https://",
        "https://me:pw@x",
        "https://x:y",
        "http://[",
    ],
)
def test_what_is_no_address(url: str) -> None:
    with pytest.raises(UserError, match="is no address of a Patchwork"):
        checked_url(url, secret=False)


def test_a_token_is_not_sent_for_all_to_read() -> None:
    with pytest.raises(UserError, match="unencrypted: use https"):
        Patchwork("http://patchwork.example", TOKEN)


# --- what is no Patchwork -------------------------------------------------------------------------


@pytest.mark.parametrize("body", [{"detail": "x"}, [{"id": "1"}], "text", None, [[]]])
def test_another_kind_of_answer(double: PatchworkDouble, pauses: list[float], body: object) -> None:
    double.forced = {"GET": [Reply(200, body)]}
    with pytest.raises(InfraError, match="does not answer as Patchwork does"):
        server(double, pauses).patches_of(MAIL)


def test_an_answer_without_end(
    double: PatchworkDouble, pauses: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patchworkapi, "LARGEST", 1000)
    double.forced = {"GET": [Reply(200, ["x" * 2000])]}
    with pytest.raises(InfraError, match="answers without end"):
        server(double, pauses).patches_of(MAIL)


def test_what_is_not_even_http(pauses: list[float]) -> None:
    class Nonsense(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.wfile.write(b"SSH-2.0-OpenSSH_9.2\r\n\r\n")

    with pytest.raises(InfraError):
        _ask_once(Nonsense, pauses)


def _ask_once(handler: type[BaseHTTPRequestHandler], pauses: list[float]) -> None:
    with HTTPServer(("127.0.0.1", 0), handler) as listening:
        thread = threading.Thread(target=listening.serve_forever, args=(0.01,))
        thread.start()
        try:
            url = f"http://127.0.0.1:{listening.server_address[1]}"
            Patchwork(url, None, pause=pauses.append).patches_of(MAIL)
        finally:
            listening.shutdown()
            thread.join()
