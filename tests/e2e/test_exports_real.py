# SPDX-License-Identifier: GPL-2.0-or-later
"""results.ktap through the kernel's own kunit_parser, and the files of a real run."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest
from junitparser import JUnitXml
from kcidb_io.schema import LATEST

from kverdict.exports.ktap import ktap
from kverdict.judgement import Overall
from kverdict.ktapworker import MOST_TESTS
from kverdict.models import CaseResult, Outcome, TestOutput
from kverdict.stages.ktap import PARSER, subtests
from tests import factories as make
from tests.e2e.conftest import PATCHES, Pipeline
from tests.exports import ktap_reader
from tests.exports.reports import hostile, kinds

REPORTS = {**kinds(), "hostile": hostile()}
OUTCOMES = {
    "ok": Outcome.PASS,
    "not ok": Outcome.FAIL,
    "SKIP": Outcome.SKIP,
    # The parser knows no directive but SKIP.
    "TIMEOUT": Outcome.FAIL,
    "ERROR": Outcome.FAIL,
}


@pytest.fixture(scope="module")
def parser(linux_7_2: tuple[Path, str]) -> dict[str, bytes]:
    repo, head = linux_7_2
    return {
        path: subprocess.run(
            ["git", "-C", str(repo), "cat-file", "blob", f"{head}:{path}"],
            capture_output=True,
            check=True,
        ).stdout
        for path in PARSER
    }


def read_by_the_kernel(text: str, parser: dict[str, bytes], folder: Path) -> tuple[CaseResult, ...]:
    case = make.case("x", Outcome.PASS)
    output = TestOutput(case="x", text=text)
    # The case itself comes first, then a row for each test.
    return subtests([case], [output], parser, folder)


@pytest.mark.parametrize("kind", REPORTS)
def test_the_kernel_s_parser_reads_what_we_write(
    kind: str, parser: dict[str, bytes], tmp_path: Path
) -> None:
    report = REPORTS[kind]
    text = ktap(report).decode()
    ours = ktap_reader.read(text)
    rows = read_by_the_kernel(text, parser, tmp_path)[1:]
    theirs = {case.title: case.outcome for case in rows}
    assert len(ours) == len(rows) < MOST_TESTS
    if kind != "hostile":  # whose names are cut for the report
        assert theirs == {path: OUTCOMES[test.status] for path, test in ours.items()}
    bad = any(outcome in (Outcome.FAIL, Outcome.CRASH) for outcome in theirs.values())
    assert bad is (report.verdict.overall in (Overall.BAD, Overall.TROUBLE))


def test_the_files_of_a_real_run(shared_pipeline: Pipeline) -> None:
    ended = shared_pipeline.verify(str(PATCHES / "gmem-write-v7-port.mbx"))
    assert ended.status == 1 and ended.folder is not None, ended.stderr
    assert JUnitXml.fromfile(os.fspath(ended.folder / "junit.xml")).failures == 19  # and the whole
    data = json.loads((ended.folder / "kcidb.json").read_text())
    LATEST.validate(data)
    assert [len(item["patchset_hash"]) for item in data["checkouts"]] == [0, 64]
    tests = ktap_reader.read((ended.folder / "results.ktap").read_text())
    failing = {path for path, test in tests.items() if test.status == "not ok" and not test.below}
    assert failing == {"verdict/series"} | {f"guest/{case}" for case in _new(ended.verdict)}


def _new(report: dict[str, dict[str, list[dict[str, str]]]]) -> set[str]:
    return {row["id"] for row in report["verdict"]["cases"] if row["verdict"] == "NEW-FAIL"}
