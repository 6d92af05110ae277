# SPDX-License-Identifier: GPL-2.0-or-later
"""What two runs must agree on: every field but the marked ones, by the schema's own marks."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kverdict.models import GuestEnd, Outcome
from kverdict.render.report import html, schema, text
from kverdict.render.summary import summary
from kverdict.settings import HOME, TEMPLATES
from kverdict.stable import digest, without_measurements
from kverdict.verdict import Report
from tests import factories as make

Place = tuple[str | int, ...]


def full_report() -> Report:
    """Every model of verdict.json has an instance in it."""
    outcomes = {"pwrite.page": Outcome.PASS, "pwrite.empty": Outcome.FAIL}
    guest = make.guest(
        cases=make.cases(outcomes),
        bench=(make.bench("write", 1, 2, 3), make.bench("memcpy", 4, 5, 6)),
        splats=(make.splat(during="pwrite.page"),),
        problems=("a line was no JSON",),
        end=GuestEnd.DONE,
    )
    return make.report(
        make.before(build=make.failed_build(warnings=(make.failed_build().first_error,))),
        make.evaluation(guest=guest, config=make.config(asked=(make.missing_symbol(),))),
        series=make.series(cover="why", prerequisite_patch_ids=("1234" * 10,)),
    )


def leaves(value: Any, at: Place = ()) -> Iterator[tuple[Place, Any]]:
    children: Iterator[tuple[str | int, Any]]
    if isinstance(value, dict):
        children = iter(value.items())
    elif isinstance(value, list):
        children = iter(enumerate(value))
    else:
        yield at, value
        return
    for key, child in children:
        yield from leaves(child, (*at, key))


def marked(at: Place) -> bool:
    """Whether docs/verdict.schema.json marks a field on the way to ``at``."""
    published = json.loads(schema())
    here: dict[str, Any] = published
    for key in at:
        here = _resolved(here, published)
        here = here["items"] if isinstance(key, int) else _child(here, key)
        if here.get("measured"):
            return True
    return False


def _child(here: dict[str, Any], key: str) -> dict[str, Any]:
    found: dict[str, Any] = here.get("properties", {}).get(key) or here["additionalProperties"]
    return found


def _resolved(here: dict[str, Any], published: dict[str, Any]) -> dict[str, Any]:
    for choice in here.get("anyOf", ()):
        if choice.get("type") != "null":
            here = choice
    name = here.get("$ref", "").rpartition("/")[2]
    return published["$defs"][name] if name else here


def test_the_leaves_that_are_left_are_exactly_those_that_the_schema_does_not_mark() -> None:
    report = full_report()
    everything = [at for at, _ in leaves(json.loads(report.to_json()))]
    kept = [at for at, _ in leaves(without_measurements(report))]
    expected = [at for at in everything if not marked(at)]
    assert kept == expected
    assert len(expected) < len(everything)


def test_a_measurement_does_not_change_the_digest_and_anything_else_does() -> None:
    report = full_report()
    document = json.loads(report.to_json())
    numbers = [(at, old) for at, old in leaves(document) if type(old) in (int, float)]
    assert {marked(at) for at, _ in numbers} == {True, False}
    for at, old in numbers:
        place = document
        for key in at[:-1]:
            place = place[key]
        place[at[-1]] = old + 1
        changed = Report.model_validate_json(json.dumps(document))
        assert (digest(changed) == digest(report)) is marked(at), at
        place[at[-1]] = old


@pytest.mark.parametrize("field", ["outcome", "id", "title"])
def test_what_a_case_answered_is_no_measurement(field: str) -> None:
    report = full_report()
    document = json.loads(report.to_json())
    case = document["patch_evaluations"][-1]["guest"]["cases"][0]
    case[field] = "fail" if field == "outcome" else "other"
    assert digest(Report.model_validate_json(json.dumps(document))) != digest(report)


def test_the_digest_can_be_computed_from_verdict_json_as_the_page_says() -> None:
    report = full_report()
    text = json.dumps([without_measurements(report)], sort_keys=True, separators=(",", ":"))
    assert digest(report) == hashlib.sha256(text.encode("ascii")).hexdigest()
    assert digest(Report.from_json(report.to_json())) == digest(report)


def test_it_is_shown_wherever_a_run_is_shown() -> None:
    report = full_report()
    for shown in (
        "\n".join(summary(report, Path("runs/one"))),
        text(report, templates=TEMPLATES, commands=()),
        html(report, templates=TEMPLATES, commands=()),
    ):
        assert digest(report) in shown


def test_the_order_of_sets_and_dicts_in_memory_does_not_matter() -> None:
    program = (
        "from kverdict.stable import digest; from tests.test_stable import full_report; "
        "print(digest(full_report()))"
    )
    said = {
        subprocess.run(
            [sys.executable, "-c", program],
            cwd=HOME,
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        for seed in ("0", "1", "4242")
    }
    assert said == {digest(full_report())}
