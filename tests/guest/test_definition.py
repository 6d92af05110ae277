# SPDX-License-Identifier: GPL-2.0-or-later
"""What holds for every case, and for the folder that is all that the guest sees."""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path

import pytest

from kverdict.guest import content, defects, flags, matrix, races, vcpu
from kverdict.guest.case import Case
from kverdict.guest.facts import WRITE
from kverdict.guest.suite import CASES

FOLDER = Path(matrix.__file__).parent
SOURCES = sorted(FOLDER.glob("*.py"))
MODULES = [content, defects, flags, matrix, races, vcpu]


def test_ids_are_unique() -> None:
    ids = [case.id for case in CASES]
    assert sorted(set(ids)) == sorted(ids)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_a_case_says_what_it_is(case: Case) -> None:
    assert re.fullmatch(r"[a-z0-9]+(?:[.-][a-z0-9]+)*", case.id)
    assert "." in case.id
    assert 8 <= len(case.title) <= 72
    assert "\n" not in case.title
    assert case.source
    assert case.limit > 0


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__)
def test_no_case_is_forgotten(module: object) -> None:
    defined = {value.id for value in vars(module).values() if isinstance(value, Case)}
    listed = {case.id for case in vars(module)["CASES"]}
    assert defined <= listed
    assert listed <= {case.id for case in CASES}


def test_there_are_four_defects_and_each_has_cases() -> None:
    about = [case.id.rpartition(".")[0] for case in defects.CASES]
    assert set(about) == set(defects.DEFECTS)
    assert len(defects.DEFECTS) == 4


def test_a_kernel_without_the_flag_is_not_asked_about_defects() -> None:
    assert all(WRITE in case.needs for case in defects.CASES)


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_the_suite_is_python_3_9(path: Path) -> None:
    ast.parse(path.read_text(), feature_version=(3, 9))


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_the_suite_needs_nothing_but_the_standard_library(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            for name in node.names:
                assert name.name.partition(".")[0] in sys.stdlib_module_names
        elif isinstance(node, ast.ImportFrom):
            if node.level == 0:
                assert str(node.module).partition(".")[0] in sys.stdlib_module_names
            else:
                assert node.level == 1
                names = [node.module] if node.module else [name.name for name in node.names]
                assert all((FOLDER / f"{name}.py").exists() for name in names)
