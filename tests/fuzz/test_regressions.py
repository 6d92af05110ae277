# SPDX-License-Identifier: GPL-2.0-or-later
"""What fuzzing found stays mended, and what it begins with is well-formed; needs no atheris."""

from __future__ import annotations

from pathlib import Path

import pytest

from kverdict import am, elf, uapi
from kverdict.findings import console, suite, warnings
from tests.fuzz.targets import TARGETS, Target

FOUND = Path(__file__).parent / "regressions"
INPUTS = sorted(path for path in FOUND.glob("*/*") if path.is_file())


@pytest.mark.parametrize("path", INPUTS, ids=lambda path: f"{path.parent.name}-{path.name}")
def test_an_input_that_broke_a_promise_once(path: Path) -> None:
    TARGETS[path.parent.name].check(path.read_bytes())


@pytest.mark.parametrize("target", TARGETS.values(), ids=list(TARGETS))
def test_the_inputs_that_fuzzing_begins_with(target: Target) -> None:
    for data in (*target.seeds(), *target.words, b"", b"\0", b"\n"):
        target.check(data)


def test_the_first_inputs_get_to_the_depth_of_each_parser(tmp_path: Path) -> None:
    """An input that a parser refuses at its first line would lead the fuzzer nowhere."""
    words = {name: target.seeds()[0].decode(errors="replace") for name, target in TARGETS.items()}
    (tmp_path / "results.jsonl").write_bytes(TARGETS["results"].seeds()[0])
    (tmp_path / "vmlinux").write_bytes(TARGETS["elf"].seeds()[0])
    told = suite.read_results(tmp_path, cases=[case.id for case in suite.list_cases()[:2]])
    assert told.done and not told.problems
    assert elf.build_id(tmp_path / "vmlinux") == bytes(range(20)).hex()
    assert len(am.split_mboxrd(TARGETS["worker"].seeds()[0])) == 3
    assert len(warnings.diagnostics(words["build-log"].splitlines())) >= 9
    assert len(uapi.facts_from_header(words["header"]).flags) == 4
    assert any(console.scan_text(seed.decode()) for seed in TARGETS["console"].seeds())
