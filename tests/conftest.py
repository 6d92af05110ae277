# SPDX-License-Identifier: GPL-2.0-or-later
"""For all tests: a skip is a failure unless it is about this machine's kernel.

A tool that a test needs is installed by `make test`; a test that skips itself for want of one
would be green on a machine where nothing was tried.
"""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, settings

# How fast an example runs says more about the machine than about the code; in CI the same
# examples each time, elsewhere new ones.
settings.register_profile(
    "kverdict",
    deadline=None,
    derandomize="CI" in os.environ,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("kverdict")

ABOUT_THE_MACHINE = "this kernel "


class SkipGate:
    """Collects skips; those that are not about the machine fail the session."""

    def __init__(self) -> None:
        self.refused: list[str] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self._look(report.nodeid, report)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        self._look(report.nodeid, report)

    def _look(self, name: str, report: pytest.TestReport | pytest.CollectReport) -> None:
        if not report.skipped or hasattr(report, "wasxfail"):
            return
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        if not reason.removeprefix("Skipped: ").startswith(ABOUT_THE_MACHINE):
            self.refused.append(f"{name}: {reason}")

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if self.refused and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        for line in self.refused:
            terminalreporter.write_line(f"SKIPPED, which is a failure here: {line}", red=True)


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(SkipGate(), "skip-gate")
