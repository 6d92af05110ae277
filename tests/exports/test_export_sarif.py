# SPDX-License-Identifier: GPL-2.0-or-later
"""warnings.sarif, validated by OASIS' schema."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import jsonschema
import pytest

from kverdict import models as m
from kverdict.exports.sarif import inside_tree, sarif
from kverdict.judgement import Report
from tests import factories as make
from tests.exports.reports import GMEM, diagnostic, hostile, kinds, report_of, warning

KINDS = kinds()
SCHEMA = json.loads(
    (Path(__file__).parent.parent / "data/sarif/sarif-schema-2.1.0.json").read_text()
)
VALIDATOR = jsonschema.Draft4Validator(
    SCHEMA, format_checker=jsonschema.Draft4Validator.FORMAT_CHECKER
)


def run_of(report: Report) -> dict[str, Any]:
    log = json.loads(sarif(report))
    VALIDATOR.validate(log)
    (run,) = log["runs"]
    rules = [rule["id"] for rule in run["tool"]["driver"]["rules"]]
    assert len(rules) == len(set(rules))
    assert all(rules[item["ruleIndex"]] == item["ruleId"] for item in run["results"])
    found: dict[str, Any] = run
    return found


def places(run: dict[str, Any]) -> list[tuple[str, int | None]]:
    """Path and line of the results that have a place."""
    found = []
    for item in run["results"]:
        for location in item.get("locations", ()):
            physical = location["physicalLocation"]
            assert physical["artifactLocation"]["uriBaseId"] in run["originalUriBaseIds"]
            line = physical.get("region", {}).get("startLine")
            found.append((physical["artifactLocation"]["uri"], line))
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_it_is_valid_also_when_there_is_nothing_to_say(kind: str) -> None:
    run = run_of(KINDS[kind])
    assert bool(run["results"]) is (kind == "series")
    trouble = kind in ("infra", "wrong-kernel")
    assert run["invocations"][0]["executionSuccessful"] is not trouble


def test_rules_levels_and_places() -> None:
    run = run_of(KINDS["series"])
    assert [(item["ruleId"], item["level"]) for item in run["results"]] == [
        ("build", "error"),
        ("-Wunused-variable", "warning"),
        ("-Wshadow", "note"),  # W=1 is advice
        ("-Wunused-variable", "note"),  # gone with a later patch
        ("checkpatch", "error"),
        ("DCO", "warning"),
    ]
    assert places(run) == [
        (GMEM, 519),
        (GMEM, 530),  # where the whole series has it, not where patch 1 had
        (GMEM, 512),
        (GMEM, 7),
        (GMEM, 600),
        (GMEM, None),  # about the mail: at its first file
    ]


def test_the_fingerprint_is_the_finding_s_key() -> None:
    report = KINDS["series"]
    found = {item["partialFingerprints"]["kverdict/v1"] for item in run_of(report)["results"]}
    kinds = {"build", "warning", "check"}
    keys = {one.key for one in report.verdict.findings if one.key.split(":")[0] in kinds}
    assert found == keys


def test_what_did_not_run_is_told() -> None:
    (invocation,) = run_of(KINDS["series"])["invocations"]
    (told,) = invocation["toolExecutionNotifications"]
    assert told["message"]["text"] == "coccicheck did not run: not asked for"


def test_a_warning_that_moved_out_of_sight_keeps_its_line() -> None:
    report = report_of(
        make.before(), make.evaluation(guest=None), make.evaluation(), warnings=(warning(1),)
    )
    assert places(run_of(report)) == [(GMEM, 512)]
    lint = diagnostic(tool="W=1", line=99)
    moved = make.evaluation(lint=m.Lint(files=(GMEM,), ran=("W=1",), missing=(), messages=(lint,)))
    report = report_of(
        make.before(),
        make.evaluation(guest=None),
        moved,
        warnings=(warning(1, tool="W=1"),),
    )
    assert places(run_of(report)) == [(GMEM, 99)]


@pytest.mark.parametrize(
    ("path", "inside"),
    [
        ("virt/kvm/guest_memfd.c", "virt/kvm/guest_memfd.c"),
        ("arch/x86/kvm/../../../virt/kvm/x.c", "virt/kvm/x.c"),
        ("/usr/include/stdio.h", None),
        ("../../etc/passwd", None),
        ("a/../../b", None),
        ("..", None),
        (".", None),
        ("<stdin>", None),
        ("<command-line>", None),
    ],
)
def test_only_files_of_the_tree_are_places(path: str, inside: str | None) -> None:
    assert inside_tree(path) == inside


def test_strangers_words_are_no_links_placeholders_or_addresses() -> None:
    run = run_of(hostile())
    for item in run["results"]:
        text = item["message"]["text"]
        assert text.isprintable() or set(text) - {"\n", "\t"}
        plain = text.replace("\\\\", "").replace("\\[", "").replace("\\]", "")
        assert not set("[]\\") & set(plain)
        assert not set("{}") & set(text.replace("{{", "").replace("}}", ""))
    for uri, _ in places(run):
        assert urlsplit(uri)[:2] == ("", "")
        assert not unquote(uri).startswith(("/", ".."))
        assert uri.isascii() and uri.isprintable() and " " not in uri
