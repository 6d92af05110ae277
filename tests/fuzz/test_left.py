# SPDX-License-Identifier: GPL-2.0-or-later
"""What a build or a guest leaves in the place of a file: whatever a file system can hold.

The consoles and build logs are not among it: those are written by us, from a pipe.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from kverdict.errors import InfraError
from kverdict.evaluate import _keep_results
from kverdict.sandbox import read_left

LIMIT = 1000


def a_folder(path: Path) -> None:
    path.mkdir()


def a_fifo(path: Path) -> None:
    os.mkfifo(path)


def a_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))


def a_link(path: Path) -> None:
    path.with_name("secret").write_text("of the host")
    path.symlink_to("secret")


def a_link_to_itself(path: Path) -> None:
    path.symlink_to(path.name)


def a_sparse_giant(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(1 << 40)


def a_file_in_a_folder_that_is_a_file(path: Path) -> None:
    path.parent.rmdir()
    path.parent.write_text("")


def nothing(path: Path) -> None:
    pass


@pytest.mark.parametrize(
    "leave",
    [
        a_folder,
        a_fifo,
        a_socket,
        a_link,
        a_link_to_itself,
        a_sparse_giant,
        a_file_in_a_folder_that_is_a_file,
        nothing,
    ],
)
def test_what_is_no_small_file_is_refused_and_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, leave: Callable[[Path], None]
) -> None:
    (tmp_path / "left").mkdir()
    monkeypatch.chdir(tmp_path)  # a socket's path has 108 bytes at most
    left = Path("left/results.jsonl")
    leave(left)
    with pytest.raises(InfraError, match="results"):
        read_left(left, LIMIT)
    _keep_results(left.parent, tmp_path / "kept", LIMIT)
    assert not (tmp_path / "kept").exists()


def test_a_small_file_is_read_and_kept(tmp_path: Path) -> None:
    (tmp_path / "results.jsonl").write_bytes(b"x" * LIMIT)
    assert read_left(tmp_path / "results.jsonl", LIMIT) == b"x" * LIMIT
    _keep_results(tmp_path, tmp_path / "kept", LIMIT)
    assert (tmp_path / "kept").read_bytes() == b"x" * LIMIT


def test_no_handle_is_left_open(tmp_path: Path) -> None:
    (tmp_path / "left").mkdir()
    before = open_handles()
    for _ in range(20):
        with pytest.raises(InfraError):
            read_left(tmp_path / "left", LIMIT)
    assert open_handles() == before


def open_handles() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())
