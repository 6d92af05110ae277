# SPDX-License-Identifier: GPL-2.0-or-later
"""A small signed Debian archive on the loopback, for the system's real apt."""

from __future__ import annotations

import hashlib
import io
import os
import subprocess
import tarfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from kverdict.debian import Source

SUITE = "stable"
PLAIN = {"PATH": os.environ["PATH"], "LC_ALL": "C"}


@dataclass
class Archive:
    """What is served, and what was asked for."""

    root: Path
    gnupg: Path
    port: int = 0
    requests: list[str] = field(default_factory=list)
    _released: int = 1_763_000_000  # when the latest release was made, as HTTP tells it

    @property
    def sources(self) -> tuple[Source, ...]:
        """With a suite that the archive does not have, as a mirror may lack one."""
        uri = f"http://127.0.0.1:{self.port}/"
        return (Source(uri, (SUITE, "nosuch"), str(self.root / "key.gpg")),)

    def add(self, version: str, files: Mapping[str, str]) -> None:
        """A linux-source package of that version, and the lists with it."""
        series = ".".join(version.split(".")[:2])
        name = f"linux-source-{series}"
        top = self.root / "build" / version
        (top / "DEBIAN").mkdir(parents=True)
        control = (
            f"Package: {name}\nVersion: {version}\nArchitecture: all\n"
            "Maintainer: Nobody <nobody@example.org>\nDescription: test\n"
        )
        (top / "DEBIAN/control").write_text(control)
        (top / "usr/src").mkdir(parents=True)
        with tarfile.open(top / f"usr/src/{name}.tar.xz", "w:xz") as tar:
            for path, text in files.items():
                info = tarfile.TarInfo(f"{name}/{path}")
                info.size = len(text)
                tar.addfile(info, io.BytesIO(text.encode()))
        deb = f"pool/{name}_{version}_all.deb"
        (self.root / "pool").mkdir(exist_ok=True)
        run("dpkg-deb", "--root-owner-group", "--build", str(top), str(self.root / deb))
        content = (self.root / deb).read_bytes()
        lists = self.root / "packages"
        with lists.open("a") as out:
            out.write(
                f"{control}Filename: {deb}\nSize: {len(content)}\n"
                f"SHA256: {hashlib.sha256(content).hexdigest()}\n\n"
            )
        self._sign(lists.read_bytes())

    def _sign(self, packages: bytes) -> None:
        dist = self.root / "dists" / SUITE
        names = [f"main/binary-{arch}/Packages" for arch in ("amd64", "arm64")]
        for name in names:
            (dist / name).parent.mkdir(parents=True, exist_ok=True)
            (dist / name).write_bytes(packages)
        digest = hashlib.sha256(packages).hexdigest()
        release = (
            f"Origin: Test\nSuite: {SUITE}\nCodename: {SUITE}\nComponents: main\n"
            "Architectures: amd64 arm64\nDate: Fri, 14 Nov 2025 15:18:41 UTC\nSHA256:\n"
        ) + "".join(f" {digest} {len(packages)} {name}\n" for name in names)
        (dist / "Release").write_text(release)
        run(
            "gpg", "--batch", "--yes", "--clearsign", "-o", str(dist / "InRelease"),
            str(dist / "Release"), GNUPGHOME=str(self.gnupg),
        )  # fmt: skip
        # HTTP knows seconds only: two releases within one would be the same to apt.
        self._released += 60
        os.utime(dist / "InRelease", (self._released, self._released))


def run(*words: str, **env: str) -> bytes:
    return subprocess.run(words, check=True, capture_output=True, env=PLAIN | env).stdout


@contextmanager
def debian_archive(folder: Path) -> Iterator[Archive]:
    """Serves until the block ends; the signing key is made for it."""
    archive = Archive(folder / "archive", folder / "gnupg")
    archive.root.mkdir()
    archive.gnupg.mkdir(mode=0o700)
    home = {"GNUPGHOME": str(archive.gnupg)}
    run(
        "gpg",
        "--batch",
        "--passphrase",
        "",
        "--quick-gen-key",
        "test@example.org",
        "ed25519",
        **home,
    )
    (archive.root / "key.gpg").write_bytes(run("gpg", "--export", **home))
    for path in (folder, archive.root, archive.root / "key.gpg"):
        path.chmod(0o755)  # apt verifies as its own user
    try:
        with _served(archive):
            yield archive
    finally:
        run("gpgconf", "--kill", "all", **home)


@contextmanager
def _served(archive: Archive) -> Iterator[None]:
    class Handler(SimpleHTTPRequestHandler):
        def log_message(self, *args: Any) -> None:
            archive.requests.append(self.path)

    handler = partial(Handler, directory=str(archive.root))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        archive.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            thread.join()
