# SPDX-License-Identifier: GPL-2.0-or-later
"""b4's process has limits that hold, and sees neither the tree nor the folder we stand in."""

from __future__ import annotations

import gzip
import resource
import socket
import threading
from pathlib import Path

import pytest

from kverdict import proc
from kverdict.errors import ExitStatus, InfraError, PatchError
from kverdict.progress import Silent
from kverdict.stages.fetch import ArchiveSettings, fetch
from tests.archive.lore_double import LoreDouble, Reply, lore_double
from tests.archive.recorded import mails_in

ID = "v2-0@dev.example"


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


def ask(archive: LoreDouble, folder: Path, **settings: object) -> None:
    given = {"midmask": archive.midmask, "waits": (), **settings}
    fetch(
        [f"<{ID}>"],
        folder=folder / "series",
        revision=None,
        settings=ArchiveSettings.model_validate(given),
        progress=Silent(),
    )


def largest_child() -> int:
    """Bytes of memory that the largest child of this process so far had."""
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024


def test_a_small_gzip_never_takes_more_memory_than_allowed(tmp_path: Path) -> None:
    """Three megabytes that unpack to three gigabytes."""
    most, before = 512 << 20, largest_child()
    with lore_double([]) as archive:
        archive.always = Reply(200, gzip.compress(bytes(1 << 20)) * 3000)
        with pytest.raises(PatchError, match="is too big") as caught:
            ask(archive, tmp_path, memory=most)
    assert caught.value.status is ExitStatus.SERIES_REFUSED
    assert largest_child() <= max(most, before)
    assert list(tmp_path.iterdir()) == []


def test_an_archive_that_drips_is_given_up(tmp_path: Path) -> None:
    """A byte now and then keeps each single wait short, and would go on for ever."""
    over = threading.Event()

    def drip(server: socket.socket) -> None:
        connection, _ = server.accept()
        with connection:
            connection.recv(65536)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n\x1f\x8b")
            while not over.wait(0.05):
                try:
                    connection.sendall(b"\0")
                except OSError:
                    return

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=drip, args=(server,))
        thread.start()
        host = f"127.0.0.1:{server.getsockname()[1]}"
        settings = ArchiveSettings(midmask=f"http://{host}/lkml/%s", waits=(), timeout=2)
        try:
            with pytest.raises(InfraError, match="within 2 s") as caught:
                fetch(
                    [f"<{ID}>"],
                    folder=tmp_path / "series",
                    revision=None,
                    settings=settings,
                    progress=Silent(),
                )
        finally:
            over.set()
            thread.join()
    assert caught.value.status is ExitStatus.ARCHIVE_UNREACHABLE
    assert list(tmp_path.iterdir()) == []


def test_a_patched_tree_that_we_stand_in_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its .b4-config would lead to another archive, its .keys/ would be believed."""
    tree = tmp_path / "tree"
    (tree / ".git").mkdir(parents=True)
    (tree / ".git/HEAD").write_text("ref: refs/heads/main\n")
    (tree / ".keys").mkdir()
    with lore_double(mails_in("archive.mbx").values()) as good, lore_double([]) as evil:
        (tree / ".git/config").write_text(f"[b4]\n\tmidmask = {evil.midmask}\n")
        (tree / ".b4-config").write_text(f"[b4]\n\tmidmask = {evil.midmask}\n")
        monkeypatch.chdir(tree)
        seen: list[Path | None] = []
        run = proc.run

        def watched(argv: list[str], **options: object) -> proc.Finished:
            cwd = options.get("cwd")
            seen.append(cwd if isinstance(cwd, Path) else None)
            return run(argv, **options)  # type: ignore[arg-type]

        monkeypatch.setattr(proc, "run", watched)
        ask(good, tree / "runs/one")
        assert good.requests
        assert evil.requests == []
    assert [cwd.parent if cwd else None for cwd in seen] == [tree / "runs/one"]
