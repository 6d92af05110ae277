# SPDX-License-Identifier: GPL-2.0-or-later
"""JUnit XML, which forges and CI servers show (the schema of Ant's, as junitparser has it).

A series is one document: a testsuite a group, a testcase a result.  ``failures`` is not 0 exactly
when the series is bad, ``errors`` when our trouble stood in the way.
"""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO

from junitparser import Error, Failure, JUnitXml, Skipped, TestCase, TestSuite

from kverdict.exports.folder import RunFolder
from kverdict.exports.results import Group, Mark, Result, plain_line, results
from kverdict.judgement import Report
from kverdict.stable import digest

FILE = "junit.xml"
_KINDS: dict[Mark, type[Failure] | type[Error] | type[Skipped]] = {
    Mark.FAIL: Failure,
    Mark.ERROR: Error,
    Mark.SKIP: Skipped,
}


def junit(report: Report, run: RunFolder) -> bytes:
    """The document, in UTF-8.  No character of it is one that XML 1.0 forbids."""
    document = JUnitXml("kverdict")
    groups = results(report)
    for group in groups:
        properties = _properties(report, run) if group is groups[0] else ()
        document.add_testsuite(_suite(group, run, properties))
    document.update_statistics()
    stream = BytesIO()
    document.write(stream, pretty=True)
    return stream.getvalue()


def _suite(group: Group, run: RunFolder, properties: Sequence[tuple[str, str]]) -> TestSuite:
    suite = TestSuite(f"kverdict.{group.name}")
    if run.started is not None:
        suite.timestamp = run.started.strftime("%Y-%m-%dT%H:%M:%S")
    for name, value in properties:
        suite.add_property(name, plain_line(value))
    suite.add_testcases([_case(group, result) for result in group.results])
    return suite


def _properties(report: Report, run: RunFolder) -> tuple[tuple[str, str], ...]:
    series = report.series
    return (
        ("run", run.name),
        ("verdict", report.verdict.overall.value),
        ("series", series.message_id or series.asked),
        ("revision", str(series.revision)),
        ("base", report.applied.base),
        ("tip", report.applied.tip),
        ("digest", digest(report)),
    )


def _case(group: Group, result: Result) -> TestCase:
    case = TestCase(result.id, f"kverdict.{group.name}", result.seconds)
    kind = _KINDS.get(result.mark)
    if kind is not None:
        said = kind(f"{result.word}: {result.text}", result.word)
        said.text = "\n".join(line for line in (result.title, result.detail) if line)
        case.result = said
    elif result.text:
        case.system_out = f"{result.word}: {result.text}"
    return case
