# SPDX-License-Identifier: GPL-2.0-or-later
"""The guest's program as the guest starts it: a folder given to python3."""

from __future__ import annotations

import gzip
import hashlib
import json
import platform
import shutil
import struct
import sys
from pathlib import Path
from typing import Any

import pytest

from kverdict.findings.suite import SUITE_FOLDER
from kverdict.guest.identity import build_id, config_digest
from kverdict.proc import Finished, run


def start(
    tmp_path: Path, facts: object, command: str = "run", suite: Path = SUITE_FOLDER
) -> Finished:
    (tmp_path / "facts.json").write_text(json.dumps(facts))
    argv = [sys.executable, "-I", "-B", str(suite), command]
    argv += ["--facts", str(tmp_path / "facts.json"), "--results", str(tmp_path)]
    return run(argv, timeout=60)


def events(tmp_path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (tmp_path / "results.jsonl").read_text().splitlines()]


def test_a_run_tells_who_what_and_that_it_is_done(tmp_path: Path) -> None:
    done = start(tmp_path, {"flags": {}, "cases": ["content.rewrite", "pwrite.page"]})
    assert (done.returncode, done.error_text) == (0, "")
    hello, plan, *cases, end = events(tmp_path)
    assert (hello["event"], hello["version"]) == ("hello", 1)
    assert hello["release"] == platform.release()
    # In the suite's order, not in the order asked for.
    assert plan == {"event": "plan", "cases": ["pwrite.page", "content.rewrite"]}
    assert [(event["event"], event["case"]) for event in cases] == [
        ("start", "pwrite.page"),
        ("end", "pwrite.page"),
        ("start", "content.rewrite"),
        ("end", "content.rewrite"),
    ]
    assert {event["outcome"] for event in cases if event["event"] == "end"} == {"skip"}
    assert end == {"event": "done"}


def test_the_folder_works_wherever_it_is(tmp_path: Path) -> None:
    """Nothing of kverdict is beside it in the guest, and its name does not matter."""
    suite = tmp_path / "elsewhere"
    shutil.copytree(SUITE_FOLDER, suite, ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "json.py").write_text("raise SystemExit('a module beside the suite was loaded')")
    done = start(tmp_path, {"flags": {}, "cases": []}, suite=suite)
    assert (done.returncode, done.error_text) == (0, "")
    assert events(tmp_path)[-1] == {"event": "done"}


@pytest.mark.parametrize(
    ("facts", "problem"),
    [
        ({"flags": {}, "cases": ["no.such-case"]}, "there is no case no.such-case"),
        ({"flags": {"WRITE": 4}}, "expected GUEST_MEMFD_FLAG_*"),
        ("nonsense", "expected an object"),
    ],
)
def test_bad_facts_are_our_trouble(tmp_path: Path, facts: object, problem: str) -> None:
    done = start(tmp_path, facts)
    assert done.returncode == 2
    assert problem in done.error_text
    assert "Traceback" not in done.error_text
    assert not (tmp_path / "results.jsonl").exists()


def test_results_are_never_written_over(tmp_path: Path) -> None:
    (tmp_path / "results.jsonl").write_text("old\n")
    done = start(tmp_path, {"flags": {}, "cases": []})
    assert done.returncode == 2
    assert "results.jsonl" in done.error_text
    assert (tmp_path / "results.jsonl").read_text() == "old\n"


def test_a_benchmark_that_cannot_run_says_why(tmp_path: Path) -> None:
    done = start(tmp_path, {"flags": {}, "bench_mib": 1}, command="bench")
    assert done.returncode == 0
    assert [event["event"] for event in events(tmp_path)] == ["hello", "note", "done"]
    assert "header lacks MMAP, INIT_SHARED" in events(tmp_path)[1]["text"]


def note(name: bytes, kind: int, data: bytes) -> bytes:
    """An ELF note as elf(5) describes it: name and descriptor are padded to 4 bytes."""
    padded = [part + bytes(-len(part) % 4) for part in (name, data)]
    return struct.pack("=III", len(name), len(data), kind) + b"".join(padded)


def test_the_build_id_is_found_among_other_notes() -> None:
    id = bytes(range(20))
    notes = note(b"Linux\0", 257, b"\x01") + note(b"GNU\0", 3, id) + note(b"Xen\0", 6, b"linux\0")
    assert build_id(notes) == id.hex()
    assert build_id(note(b"Linux\0", 3, id)) is None
    assert build_id(note(b"GNU\0", 5, id)) is None
    assert build_id(notes[:7]) is None
    assert build_id(b"") is None


def test_the_config_digest_is_that_of_the_text() -> None:
    text = b"CONFIG_KVM=y\n"
    assert config_digest(gzip.compress(text)) == hashlib.sha256(text).hexdigest()
    assert config_digest(b"") is None
