# SPDX-License-Identifier: GPL-2.0-or-later
"""What the terminal shows at the end."""

from __future__ import annotations

from pathlib import Path

import click
import pytest
from rich.cells import cell_len

from kverdict.guest.suite import CASES
from kverdict.models import Outcome
from kverdict.render.summary import COLUMNS, LINES, summary
from kverdict.verdict import CaseVerdict, Report
from tests import factories as make

FOLDER = Path("runs/20251122T170000Z-gmem-write")


def failing(count: int, message: str = "expected 4096, got -1 EINVAL") -> Report:
    names = [f"case.{number}" for number in range(count)]
    old = {"ok": Outcome.PASS, **dict.fromkeys(names, Outcome.PASS)}
    bad = tuple(make.case(name, Outcome.FAIL, message=message) for name in names)
    bench = (make.bench("write", 9_470_000), make.bench("memcpy", 21_400_000))
    return make.report(
        make.before(guest=make.guest(make.BASE_ID, cases=make.cases(old))),
        make.evaluation(guest=make.guest(cases=(make.case("ok"), *bad), bench=bench)),
    )


@pytest.mark.parametrize("count", range(0, 40))
def test_it_fits_a_screen(count: int) -> None:
    lines = summary(failing(count), FOLDER)
    assert len(lines) <= LINES
    assert max(map(cell_len, lines)) <= COLUMNS
    assert not [line for line in lines if "\n" in line or "\x1b" in line]
    told = sum(line.startswith("NEW-FAIL") for line in lines)
    more = [line for line in lines if line.startswith("... and ")]
    left = int(more[0].split()[2]) if more else 0
    assert told + left == count


def test_where_there_is_little_room_the_worst_have_their_details() -> None:
    most = next(count for count in range(1, 40) if "more" in summary(failing(count), FOLDER)[-3])
    lines = summary(failing(most - 3), FOLDER)
    told = [number for number, line in enumerate(lines) if line.startswith("NEW-FAIL")]
    details = [lines[number + 1].startswith("    ") for number in told]
    assert details == sorted(details, reverse=True) and any(details) and not all(details)


def test_the_verdict_comes_first_and_the_report_last() -> None:
    lines = summary(failing(1), FOLDER)
    assert lines[0] == "BAD: new failure: what case.0 is about"
    assert lines[1] == "KVM: guest_memfd: add generic population via write"
    assert lines[-1] == f"Report: {FOLDER}/report.html"
    shown = "\n".join(lines)
    assert "NEW-FAIL  case.0: what case.0 is about\n    expected 4096, got -1 EINVAL" in shown
    assert "write/memcpy 0.44: 9.47 M / 21.40 M guest instructions, not time" in shown
    assert "1 PASS, 1 NEW-FAIL" in shown


def test_a_path_inside_the_current_folder_is_short_and_any_other_whole() -> None:
    inside = summary(make.report(), Path("/home/alice/runs/one"), cwd=Path("/home/alice"))
    assert inside[-1] == "Report: runs/one/report.html"
    far = Path("/srv") / ("x" * 90)
    assert summary(make.report(), far, cwd=Path("/home/alice"))[-1] == f"Report: {far}/report.html"


def test_colour_adds_nothing_but_colour() -> None:
    plain, coloured = (summary(failing(3), FOLDER, colour=colour) for colour in (False, True))
    assert plain != coloured
    assert tuple(click.unstyle(line) for line in coloured) == plain


def test_a_build_error_shows_its_place() -> None:
    report = make.report(None, make.evaluation(build=make.failed_build(), guest=None))
    shown = "\n".join(summary(report, FOLDER))
    assert "virt/kvm/guest_memfd.c:519: expected ';' before 'return'" in shown


@pytest.mark.parametrize(
    "bad",
    [
        "\x1b[2J",
        "\x1b]8;;https://evil.example\x1b\\kernel.org\x1b]8;;\x1b\\",
        "\x1b]52;c;b3duZWQ=\x07",
        "\x9b2J\x9d0;owned\x9c",
        "a\u202eb\u2066c",
        "one\ntwo\r\nthree\u2028four\u0085five",
        "x" * 100_000,
    ],
)
def test_a_stranger_s_text_acts_on_no_terminal(bad: str) -> None:
    report = make.report(
        None,
        make.evaluation(
            guest=make.guest(
                accelerator_why=bad,
                release=bad,
                cases=(make.case("a", Outcome.FAIL, message=bad, title=bad),),
                splats=(make.splat(title=bad),),
            )
        ),
        series=make.series(subject=bad, author=bad),
        base=make.base_choice(description=bad),
    )
    lines = summary(report, Path(f"runs/{bad[:20]}"))
    assert len(lines) <= LINES
    assert all(line.isprintable() for line in lines)
    assert all(cell_len(line) <= COLUMNS for line in lines)


def test_every_count_fits() -> None:
    report = make.report()
    counts = {verdict.value: 1234 for verdict in CaseVerdict}
    crowded = report.model_copy(
        update={"verdict": report.verdict.model_copy(update={"counts": counts})}
    )
    lines = summary(crowded, FOLDER)
    assert max(map(cell_len, lines)) <= COLUMNS
    assert all(f"1234 {name}" in "\n".join(lines) for name in counts)


def test_the_cases_of_one_defect_are_told_together() -> None:
    names = [case.id for case in CASES if case.id.startswith(("defect.stale-", "defect.short-"))]
    assert len(names) > 8
    bad = tuple(make.case(name, Outcome.FAIL) for name in names)
    old = make.cases(dict.fromkeys(["ok", *names], Outcome.PASS))
    report = make.report(
        make.before(guest=make.guest(make.BASE_ID, cases=old)),
        make.evaluation(guest=make.guest(cases=(make.case("ok"), *bad))),
    )
    told = [line for line in summary(report, FOLDER) if line.startswith("NEW-FAIL")]
    assert len(told) == 2
    assert told[0].startswith("NEW-FAIL  a zero-length write exposes stale kernel memory (")
