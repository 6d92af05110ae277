# SPDX-License-Identifier: GPL-2.0-or-later
"""kcidb.json, validated by kcidb-io, and whole in itself."""

from __future__ import annotations

import hashlib
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from kcidb_io.schema import LATEST

from kverdict.errors import InfraError
from kverdict.exports.folder import RunFolder
from kverdict.exports.kcidb import kcidb, patchset_hash, path_of, status_of
from kverdict.judgement import CaseVerdict, Report
from kverdict.models import GuestEnd, Outcome
from kverdict.settings import KcidbSettings
from tests import factories as make
from tests.exports.golden import RUN
from tests.exports.reports import GOOD, evaluated, hostile, kinds, on_base, report_of

KINDS = kinds()


def submission(report: Report, run: RunFolder = RUN, **settings: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(kcidb(report, run, KcidbSettings(**settings)))
    return found


def statuses(data: dict[str, Any], path: str) -> list[str]:
    """Of all tests with that path: base first, each boot after the other."""
    return [test["status"] for test in data["tests"] if test["path"] == path]


@pytest.mark.parametrize("kind", [*KINDS, "hostile"])
def test_it_is_valid_and_every_reference_leads_somewhere(kind: str) -> None:
    data = submission(KINDS[kind] if kind in KINDS else hostile())
    LATEST.validate(data)
    assert LATEST.is_compatible_exactly(data)
    objects = [item for name, items in data.items() if name != "version" for item in items]
    ids = [item["id"] for item in objects]
    assert len(ids) == len(set(ids))
    references = ("checkout_id", "build_id", "test_id", "issue_id")
    named = {item[key] for item in objects for key in references if key in item}
    assert named <= set(ids)
    assert {item["issue_id"] for item in data.get("incidents", ())} == {
        item["id"] for item in data.get("issues", ())
    }


@pytest.mark.parametrize(
    ("kind", "path", "expected"),
    [
        ("good", "kverdict.write.page", ["PASS", "PASS"]),
        ("new-fail", "kverdict.write.page", ["PASS", "FAIL"]),  # skipped: it is lost
        ("new-fail", "kverdict.write.slow", ["PASS", "FAIL"]),
        ("pre-existing", "kverdict.write.page", ["FAIL", "FAIL"]),
        ("fixed", "kverdict.write.page", ["FAIL", "PASS"]),
        ("flaky", "kverdict.write.race", ["PASS", "FAIL", "PASS"]),
        ("untestable", "kverdict.write.page", ["SKIP", "SKIP"]),
        ("infra", "kverdict.write.empty", ["PASS", "ERROR"]),
        ("wrong-kernel", "kverdict.write.page", ["MISS", "MISS"]),
        ("wrong-kernel", "boot", ["MISS", "MISS"]),
        ("panic", "boot", ["PASS", "FAIL"]),
        ("panic", "kverdict.write.page", ["PASS", "MISS"]),
        ("passing", "kverdict.write.page", ["PASS", "FAIL", "PASS"]),
        ("lost", "kverdict.write.empty", ["PASS", "PASS", "MISS"]),
        ("lost", "boot", ["PASS", "PASS", "ERROR"]),
        ("series", "kselftest.kvm.gmem.write", ["PASS", "FAIL"]),
        ("series", "kverdict.bench.write", ["DONE"]),
    ],
)
def test_each_kind_of_verdict(kind: str, path: str, expected: list[str]) -> None:
    assert statuses(submission(KINDS[kind]), path) == expected


@pytest.mark.parametrize("outcome", list(Outcome))
def test_our_trouble_and_a_skip_are_what_they_are(outcome: Outcome) -> None:
    doubted = status_of(outcome, CaseVerdict.NEW_FAIL, believed=False)
    assert doubted in ("MISS", "ERROR", "SKIP", "FAIL") and doubted != "PASS"
    assert status_of(outcome, CaseVerdict.INFRA, believed=True) != "FAIL"
    for verdict in (None, *CaseVerdict):
        said = status_of(outcome, verdict, believed=True)
        assert (said == "PASS") is (outcome is Outcome.PASS)


@pytest.mark.parametrize(
    ("kind", "verdict", "culprit", "present"),
    [
        ("new-fail", "NEW-FAIL", {"code": True}, [False, True]),
        ("pre-existing", "PRE-EXISTING", {"code": True}, [True, True]),
        ("fixed", "FIXED", {"code": True}, [True, False]),
        ("flaky", "FLAKY", None, [False, True, False]),
        ("infra", "INFRA", {"harness": True}, [False, True]),
    ],
)
def test_what_the_comparison_found_is_an_issue(
    kind: str, verdict: str, culprit: dict[str, bool] | None, present: list[bool]
) -> None:
    data = submission(KINDS[kind])
    issue = data["issues"][0]
    assert issue["misc"]["kverdict"]["verdict"] == verdict
    assert issue.get("culprit") == culprit
    shown = [item for item in data["incidents"] if item["issue_id"] == issue["id"]]
    assert [item["present"] for item in shown] == present


@pytest.mark.parametrize("kind", ["good", "untestable", "wrong-kernel"])
def test_nothing_found_is_no_issue(kind: str) -> None:
    assert "issues" not in submission(KINDS[kind])


def test_a_build_failure_and_a_warning_belong_to_the_patch_that_brought_them() -> None:
    data = submission(KINDS["series"])
    builds = {item["id"]: item["comment"] for item in data["builds"]}
    assert [item["status"] for item in data["builds"]] == ["PASS", "PASS", "FAIL", "PASS"]
    about = {item["id"]: item["comment"] for item in data["issues"]}
    shown = [
        (about[item["issue_id"]].split(" ")[1], builds[item["build_id"]])
        for item in data["incidents"]
        if item["present"] and "build_id" in item
    ]
    assert shown == [("patch", "patch 2/3"), ("new", "patch 1/3")]


def test_a_report_on_the_console_is_shown_by_the_boot_that_had_it() -> None:
    splat = make.splat()
    again = make.guest(splats=(splat,), cases=())
    report = report_of(make.before(), make.evaluation(reruns=(again,)))
    data = submission(report)
    assert [item["present"] for item in data["incidents"]] == [False, False, True]


def test_what_only_a_patch_in_between_has_is_shown_by_that_one() -> None:
    data = submission(KINDS["passing"])
    boots = {test["id"] for test in data["tests"] if test["path"] == "boot"}
    shown = [(item["test_id"] in boots, item["present"]) for item in data["incidents"]]
    assert shown[:3] == [(True, False), (True, True), (True, False)]
    assert shown[3:] == [(False, False), (False, True), (False, False)]


def test_a_patch_in_between_that_panics() -> None:
    dead = make.guest(
        "b1d2" * 10,
        end=GuestEnd.PANIC,
        cases=make.cases({"write.page": Outcome.CRASH}),
        splats=(make.panic(during="write.page"),),
    )
    between = make.evaluation(build=make.build("b1d2" * 10), guest=dead)
    data = submission(report_of(on_base(GOOD), between, evaluated(GOOD)))
    assert statuses(data, "boot") == ["PASS", "FAIL", "PASS"]
    silent = between.model_copy(
        update={"guest": dead.model_copy(update={"end": GuestEnd.SILENCE, "splats": ()})}
    )
    data = submission(report_of(on_base(GOOD), silent, evaluated(GOOD)))
    assert statuses(data, "boot") == ["PASS", "FAIL", "PASS"]  # the base came through


@pytest.mark.parametrize(
    ("end", "expected"),
    [
        (GuestEnd.DONE, "PASS"),
        (GuestEnd.PANIC, "FAIL"),
        (GuestEnd.SILENCE, "FAIL"),  # the base came through
        (GuestEnd.LOST, "MISS"),
        (GuestEnd.NOT_STARTED, "MISS"),
    ],
)
def test_how_a_boot_ended(end: GuestEnd, expected: str) -> None:
    guest = make.guest(end=end, cases=make.cases({"write.page": Outcome.NOT_RUN}))
    report = report_of(on_base(GOOD), make.evaluation(guest=guest))
    assert statuses(submission(report), "boot")[1] == expected


def test_a_base_that_falls_silent_is_not_the_code_s_fault() -> None:
    old = make.guest(make.BASE_ID, end=GuestEnd.SILENCE)
    report = report_of(make.before(guest=old), evaluated(GOOD))
    assert statuses(submission(report), "boot") == ["ERROR", "PASS"]


def test_builds_that_did_not_come_about() -> None:
    unsure = make.failed_build(confirmed_clean=False)
    data = submission(report_of(make.before(), make.evaluation(build=unsure, guest=None)))
    assert [item["status"] for item in data["builds"]] == ["PASS", "ERROR"]
    full = {"build": None, "guest": None, "config": None}
    report = report_of(make.before(**full, infra="the disk is full"), make.evaluation(**full))
    data = submission(report)
    assert [(item["status"], item["comment"]) for item in data["builds"]] == [
        ("MISS", "the disk is full")
    ]
    assert "tests" not in data


def test_the_patchset_hash_is_the_one_of_the_schema_s_shell_command(tmp_path: Path) -> None:
    for name, content in (("0001.patch", b"one\n"), ("0002.patch", b"two\n")):
        (tmp_path / name).write_bytes(content)
    command = "sha256sum *.patch | cut -c-64 | sha256sum | cut -c-64"
    done = subprocess.run(["sh", "-c", command], cwd=tmp_path, capture_output=True, check=True)
    digests = [hashlib.sha256(content).hexdigest() for content in (b"one\n", b"two\n")]
    assert patchset_hash(digests) == done.stdout.decode().strip()
    assert patchset_hash([]) == ""


def test_each_patch_is_a_checkout_of_so_many_patches() -> None:
    digests = tuple(f"{number}" * 64 for number in "abc")
    data = submission(KINDS["series"], RunFolder("x", patches=digests))
    hashes = [item["patchset_hash"] for item in data["checkouts"]]
    assert hashes == ["", *(patchset_hash(digests[:count]) for count in (1, 2, 3))]
    fewer = submission(KINDS["series"], RunFolder("x", patches=digests[:2]))
    assert not any("patchset_hash" in item for item in fewer["checkouts"])


def test_who_tests_what_is_the_users_to_say() -> None:
    repository = "https://git.kernel.org/pub/scm/linux/kernel/git/torvalds/linux.git"
    data = submission(KINDS["good"], origin="our_ci", tree="mainline", repository=repository)
    assert {item["origin"] for item in data["checkouts"]} == {"our_ci"}
    assert data["tests"][0]["id"].startswith("our_ci:")
    assert [(item["tree_name"], item["git_repository_url"]) for item in data["checkouts"]] == [
        ("mainline", repository)
    ] * 2


def test_ids_say_when_it_is_the_same_object() -> None:
    """A base that two series share, from the cache, is one; booted again it is another."""
    base = on_base(GOOD)
    one = submission(report_of(base, evaluated(GOOD)))
    other = submission(report_of(base, evaluated(GOOD), mbox_digest="07e2" * 16))
    assert one["tests"][0]["id"] == other["tests"][0]["id"]
    assert one["tests"][-1]["id"] != other["tests"][-1]["id"]
    assert base.guest is not None
    later = base.model_copy(update={"guest": base.guest.model_copy(update={"seconds": 62.0})})
    again = submission(report_of(later, evaluated(GOOD)))
    assert again["builds"][0]["id"] == one["builds"][0]["id"]
    assert again["tests"][0]["id"] != one["tests"][0]["id"]


@pytest.mark.parametrize(
    ("case", "path"),
    [
        ("write.page", "kverdict.write.page"),
        ("kselftest.kvm.x/sub test/1", "kselftest.kvm.x.sub_test.1"),
        ("kunit.suite", "kunit.suite"),
        ("kunit..//:é", "kunit.__"),
        ("/", "kverdict"),
    ],
)
def test_paths(case: str, path: str) -> None:
    assert path_of(case) == path


def test_what_does_not_validate_is_our_trouble(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = KcidbSettings.model_construct(origin="Not Allowed", tree=None, repository=None)
    with pytest.raises(InfraError, match=r"not valid at \$\.\w+\[0\]\.\w+: 'Not Allowed"):
        kcidb(KINDS["good"], RUN, settings)
