# SPDX-License-Identifier: GPL-2.0-or-later
from __future__ import annotations

import subprocess
import sys

import click
import pytest

from kverdict import cli
from kverdict.settings import HOME


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_the_list_of_commands_says_what_each_says_of_itself(name: str) -> None:
    with click.Context(cli.commands) as context:
        command = cli.commands.get_command(context, name)
    assert command is not None
    assert command.help is not None
    assert command.help.splitlines()[0] == cli.COMMANDS[name]


def test_every_module_of_a_command_is_listed() -> None:
    modules = {path.stem for path in (HOME / "kverdict/commands").glob("*.py")}
    assert modules - {"__init__", "common"} == {name.replace("-", "_") for name in cli.COMMANDS}


def test_what_is_not_asked_for_is_not_loaded() -> None:
    """b4 and editors wait for a look-up; the engine takes half a second to import."""
    script = "import sys, kverdict.cli; print('kverdict.evaluate' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=HOME, capture_output=True, text=True, check=True
    )
    assert done.stdout == "False\n"


def test_no_command_at_all_shows_the_help(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["pipeline.py"])
    assert cli._status() == 129
    assert "Commands:" in capsys.readouterr().err
