# SPDX-License-Identifier: GPL-2.0-or-later
"""One launcher for all kill tests, and one undisturbed run to compare with."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.world import Server, World, make_template, serving


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("template") / "home"
    make_template(folder)
    return folder


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving("1", tmp_path_factory.mktemp("kill") / "tmp") as server:
        yield server


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, template: Path) -> Iterator[World]:
    """The run to compare with, by a process that hashes and lists in another order."""
    top = tmp_path_factory.mktemp("undisturbed")
    with serving("2", top / "tmp") as server:
        world = World.like(template, top / "home", server)
        assert world.verify(backwards=True) == 0, world.said()
        yield world


@pytest.fixture
def world(tmp_path: Path, template: Path, server: Server) -> World:
    return World.like(template, tmp_path / "home", server)
