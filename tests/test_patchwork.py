# SPDX-License-Identifier: GPL-2.0-or-later
"""./pipeline.py patchwork against a double of Patchwork's API: what is shown, posted, recorded."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from kverdict import cli
from kverdict import patchwork as posting
from kverdict.errors import UserError
from kverdict.judgement import Report
from kverdict.models import Outcome
from kverdict.patchwork import LONGEST_DESCRIPTION, checks_of, description
from kverdict.patchworkapi import State
from kverdict.runs import run_lock
from kverdict.settings import PatchworkSettings
from tests import factories as make
from tests.archive.patchwork_double import TOKEN, PatchworkDouble, serving
from tests.exports.reports import GOOD, evaluated, hostile, kinds, on_base, report_of
from tests.exports.runs import finished

KINDS = kinds()
SERIES = KINDS["series"]
RUN = "20261122T235356Z-gmem-write.mbx"


# --- what is said ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "state"),
    [
        ("good", State.SUCCESS),
        ("new-fail", State.FAIL),
        ("pre-existing", State.SUCCESS),
        ("fixed", State.SUCCESS),
        ("flaky", State.SUCCESS),
        ("untestable", State.WARNING),
        ("infra", None),
        ("wrong-kernel", None),
        ("panic", State.FAIL),
        ("series", State.FAIL),
        ("passing", State.FAIL),
        ("lost", State.SUCCESS),
    ],
)
def test_the_state_of_each_kind_of_verdict(kind: str, state: State | None) -> None:
    checks = checks_of(KINDS[kind], RUN, PatchworkSettings())
    patches = len(KINDS[kind].series.patches)
    assert [item.check.state for item in checks] == ([state] * patches if state else [])


def test_a_patch_has_its_own_findings_before_those_of_the_series() -> None:
    whole = f"bad: {SERIES.verdict.headline}"
    assert [description(SERIES, number) for number in (1, 2, 3)] == [
        f"this patch: 1 new warning, 1 remark; series {whole}",
        f"this patch: does not build, 1 remark; series {whole}",
        f"this patch: 2 remarks; series {whole}",
    ]
    assert description(KINDS["good"], 1) == "good: no new failure: 2 cases passed"


def test_a_pinned_case_is_told_with_its_patch() -> None:
    fail = evaluated(GOOD | {"write.page": Outcome.FAIL})
    report = report_of(on_base(GOOD), evaluated(GOOD), fail)
    assert description(report, 2).startswith("this patch: 1 failing case; series bad: ")
    assert description(report, 1).startswith("bad: ")


def test_hostile_words_make_one_line_of_bounded_length() -> None:
    report = hostile()
    headline = report.verdict.model_copy(update={"headline": "x\ny\x1b[31m\u202e" * 200})
    (check,) = checks_of(report.model_copy(update={"verdict": headline}), RUN, PatchworkSettings())
    said = check.check.description
    assert said.isprintable()
    assert len(said) == LONGEST_DESCRIPTION
    assert said.endswith("...")


def test_the_link_names_the_run() -> None:
    settings = PatchworkSettings(
        target_url="https://ci.example/{run}/report.html", context="our-ci"
    )
    (item,) = checks_of(KINDS["good"], "a b/é", settings)
    assert item.check.target_url == "https://ci.example/a%20b%2F%C3%A9/report.html"
    assert item.check.context == "our-ci"


@pytest.mark.parametrize(
    "url", ["ftp://x/{run}", "{run}", f"https://{'x' * 200}", "https://a b", "https://[{run}"]
)
def test_a_link_that_patchwork_would_refuse(url: str) -> None:
    with pytest.raises(UserError):
        checks_of(KINDS["good"], RUN, PatchworkSettings(target_url=url))


@pytest.mark.parametrize("message_id", ["", "x", "a@b>\r\nX: y", "a b@c"])
def test_what_was_not_mailed_has_no_place_there(message_id: str) -> None:
    series = make.series(patches=(make.patch(message_id=message_id),))
    report = KINDS["good"].model_copy(update={"series": series})
    with pytest.raises(UserError, match="were not mailed"):
        checks_of(report, RUN, PatchworkSettings())


# --- from the command line ------------------------------------------------------------------------


@dataclass
class World:
    home: Path
    double: PatchworkDouble
    capsys: pytest.CaptureFixture[str]
    monkeypatch: pytest.MonkeyPatch
    out: str = ""
    err: str = ""

    @property
    def token(self) -> Path:
        return self.home / "token"

    def run(self, report: Report = SERIES) -> Path:
        for patch in report.series.patches:
            self.double.patches.append((patch.number + 10, patch.message_id, "kvm"))
        return finished(self.home / "runs", report)

    def __call__(self, *args: str | Path) -> int:
        self.monkeypatch.setattr(sys, "argv", ["pipeline.py", "patchwork", *map(str, args)])
        status = int(cli._status())
        self.out, self.err = self.capsys.readouterr()
        assert TOKEN not in self.out + self.err
        return status

    def post(self, run: Path, *args: str | Path) -> int:
        named = ("--patchwork", self.double.url, "--token-file", self.token)
        return self(run, *named, "--post", *args)

    def recorded(self, run: Path) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = json.loads((run / "patchwork.json").read_text())["posted"]
        return rows


@pytest.fixture
def world(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[World]:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    (tmp_path / "token").chmod(0o600)
    with serving(PatchworkDouble()) as double:
        yield World(tmp_path, double, capsys, monkeypatch)


def test_a_dry_run_shows_all_that_would_be_posted_and_posts_nothing(world: World) -> None:
    run = world.run()
    assert world(run, "--patchwork", world.double.url) == 0
    shown = [json.loads(line) for line in world.out.splitlines() if line.startswith("  {")]
    assert [body["description"] for body in shown] == [
        description(SERIES, number) for number in (1, 2, 3)
    ]
    assert world.out.count(f"POST {world.double.url}/api/1.3/patches/1") == 3
    assert "dry run: nothing was posted" in world.out
    assert set(world.double.methods()) == {"GET"}
    assert not any("Authorization" in headers for _, _, headers, _ in world.double.requests)
    assert not (run / "patchwork.json").exists()


def test_what_was_shown_is_what_is_posted_once(world: World) -> None:
    run = world.run()
    assert world(run, "--patchwork", world.double.url) == 0
    shown = [json.loads(line) for line in world.out.splitlines() if line.startswith("  {")]
    assert world.post(run) == 0, world.err
    assert "3 checks posted" in world.out
    posts = [json.loads(body) for method, _, _, body in world.double.requests if method == "POST"]
    assert posts == shown
    assert [patch for patch, _ in world.double.posted()] == [11, 12, 13]
    rows = world.recorded(run)
    assert [row["id"] for row in rows] == [check["id"] for _, check in world.double.posted()]
    assert world.post(run) == 0
    assert "0 checks posted" in world.out and world.out.count("posted before") == 3
    assert len(world.double.posted()) == 3
    assert world.recorded(run) == rows


def test_killed_between_the_server_and_the_record_it_is_found_there(world: World) -> None:
    run = world.run(KINDS["good"])
    assert world.post(run) == 0
    rows = world.recorded(run)
    (run / "patchwork.json").unlink()
    assert world.post(run) == 0
    assert len(world.double.posted()) == 1
    assert world.recorded(run) == rows


def test_what_was_posted_before_a_refusal_is_recorded(world: World) -> None:
    run = world.run()
    create = world.double._create

    def tired(*args: Any) -> Any:
        world.double.may_post = not world.double.posted()
        return create(*args)

    world.monkeypatch.setattr(world.double, "_create", tired)
    assert world.post(run) == 129
    assert "the token needs the right to create checks" in world.err
    assert len(world.recorded(run)) == len(world.double.posted()) == 1


def test_all_patches_are_looked_for_before_any_is_judged(world: World) -> None:
    run = world.run()
    world.double.patches.pop()
    assert world.post(run) == 129
    assert "has no patch <20251114151828.98165-3-alice@example.org>" in world.err
    assert world.double.posted() == []


def test_a_mail_in_two_projects_needs_one_to_be_named(world: World) -> None:
    run = world.run(KINDS["good"])
    world.double.patches.append((99, world.double.patches[0][1], "linux-mm"))
    assert world.post(run) == 129
    assert "is in several projects: kvm, linux-mm" in world.err
    (world.home / "pipeline.toml").write_text('[patchwork]\nproject = "linux-mm"\n')
    assert world.post(run) == 0
    assert [patch for patch, _ in world.double.posted()] == [99]
    (world.home / "pipeline.toml").write_text('[patchwork]\nproject = "bpf"\n')
    assert world.post(run) == 129
    assert "in bpf" in world.err


def test_the_settings_say_where_and_as_whom(world: World) -> None:
    run = world.run(KINDS["good"])
    (world.home / "pipeline.toml").write_text(
        f'[patchwork]\nurl = "{world.double.url}"\ntoken_file = "{world.token}"\n'
        'context = "our-ci"\ntarget_url = "https://ci.example/{run}"\n'
    )
    assert world(run, "--post") == 0, world.err
    ((_, check),) = world.double.posted()
    assert (check["context"], check["target_url"]) == ("our-ci", f"https://ci.example/{run.name}")


@pytest.mark.parametrize("kind", ["infra", "wrong-kernel"])
def test_our_trouble_is_not_posted(world: World, kind: str) -> None:
    assert world.post(world.run(KINDS[kind])) == 0
    assert world.out.startswith(f"nothing to post: {KINDS[kind].verdict.headline}")
    assert world.double.requests == []


def test_whoever_works_on_the_run_is_waited_for(world: World) -> None:
    run = world.run()
    with run_lock(run) as ours:
        assert ours
        assert world.post(run) == 129
    assert "is being worked on" in world.err
    assert world.double.requests == []


def test_a_record_that_cannot_be_read_posts_nothing(world: World) -> None:
    run = world.run()
    (run / "patchwork.json").write_text("{")
    assert world.post(run) == 129
    assert "look on Patchwork what is posted" in world.err
    assert world.double.posted() == []


def test_a_server_and_a_token_have_to_be_named(world: World) -> None:
    run = world.run()
    assert world(run) == 129
    assert "no Patchwork is named: use --patchwork URL" in world.err
    assert world(run, "--patchwork", world.double.url, "--post") == 129
    assert "no token is given: use --token-file" in world.err
    assert world(world.home / "nowhere", "--patchwork", world.double.url) == 129
    assert "is not the folder of a finished run" in world.err


@pytest.mark.parametrize(
    ("mode", "content", "words"),
    [
        (0o644, TOKEN, "can be read by others: chmod 600"),
        (0o620, TOKEN, "can be read by others: chmod 600"),
        (0o600, "", "holds no token"),
        (0o600, "two words", "holds no token"),
        (0o600, f"{TOKEN}\r\nX-Header: y", "holds no token"),
        (0o600, "é", "holds no token"),
        (0o600, "x" * 2000, "holds no token"),
    ],
)
def test_a_token_is_yours_alone_and_is_one(
    world: World, mode: int, content: str, words: str
) -> None:
    run = world.run()
    world.token.write_text(content)
    world.token.chmod(mode)
    assert world.post(run) == 129
    assert words in world.err
    assert world.double.requests == []


def test_a_token_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot be read: No such file"):
        posting.read_token(tmp_path / "none")
    with pytest.raises(UserError, match="cannot be read: Is a directory"):
        posting.read_token(tmp_path)
