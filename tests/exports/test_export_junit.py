# SPDX-License-Identifier: GPL-2.0-or-later
"""junit.xml, read back by junitparser and by a plain XML parser."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest
from junitparser import Error, Failure, JUnitXml, Skipped

from kverdict.exports.folder import RunFolder
from kverdict.exports.junit import junit
from kverdict.judgement import Overall
from tests.exports.golden import RUN
from tests.exports.reports import hostile, kinds

KINDS = kinds()
TYPES = {Failure: "failures", Error: "errors", Skipped: "skipped"}


@pytest.mark.parametrize("kind", KINDS)
def test_read_back_it_says_what_the_verdict_says(kind: str) -> None:
    report = KINDS[kind]
    document = JUnitXml.fromstring(junit(report, RUN))
    cases = [case for suite in document for case in suite]
    counts = {
        name: sum(any(isinstance(one, kind) for one in case.result) for case in cases)
        for kind, name in TYPES.items()
    }
    assert counts == {name: getattr(document, name) for name in counts}
    assert document.tests == len(cases)
    assert (document.failures > 0) is (report.verdict.overall is Overall.BAD)
    if report.verdict.overall is Overall.TROUBLE:
        assert document.errors > 0
    names = {(case.classname, case.name) for case in cases}
    assert len(names) == len(cases), "each has a name of its own"
    shown = {case.id for case in report.verdict.cases}
    assert shown <= {case.name for case in cases}


def test_the_message_says_verdict_counts_and_words() -> None:
    document = JUnitXml.fromstring(junit(KINDS["flaky"], RUN))
    (case,) = [case for suite in document for case in suite if case.name == "write.race"]
    (said,) = case.result
    assert (said.type, said.message) == (
        "FLAKY",
        "FLAKY: base: pass; patched: 1 fail, 1 pass; "
        "expected 4096, got -1 EINVAL (Invalid argument)",
    )


def test_the_time_is_that_of_the_folder_or_none() -> None:
    suites = list(JUnitXml.fromstring(junit(KINDS["good"], RUN)))
    assert {suite.timestamp for suite in suites} == {"2026-11-22T23:53:56"}
    suites = list(JUnitXml.fromstring(junit(KINDS["good"], RunFolder("seed"))))
    assert {suite.timestamp for suite in suites} == {None}


def test_strangers_words_stay_words() -> None:
    content = junit(hostile(), RunFolder("x\x1b\n"))
    root = ET.fromstring(content)
    assert {item.tag for item in root.iter()} == {
        "testsuites",
        "testsuite",
        "properties",
        "property",
        "testcase",
        "failure",
    }
    text = content.decode()
    assert not {char for char in text if ord(char) < 32} - {"\n", "\t"}
    assert not {"\x7f", "\x85", "\u202e", "\u2028", "\ufffe"} & set(text)
    assert r"\x00\x01\x08\x0b\x0c\x1b[31m" in "".join(root.itertext())
