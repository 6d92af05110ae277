# SPDX-License-Identifier: GPL-2.0-or-later
"""Packages through the real apt, from a signed archive on the loopback."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from kverdict.debian import (
    Candidate,
    Opened,
    Source,
    candidates_in,
    open_package,
    signed_by,
    sources_text,
    stanzas,
    system_sources,
)
from kverdict.errors import ExitStatus, InfraError, UserError
from kverdict.git import Repository
from kverdict.progress import Silent
from kverdict.trees import open_tree
from tests.archive.debian_archive import Archive, debian_archive
from tests.repos import KERNEL

KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[Archive]:
    with debian_archive(tmp_path) as made:
        yield made


def opened(asked: str, archive: Archive, cache: Path) -> Opened:
    return open_package(asked, cache=cache, progress=Silent(), sources=archive.sources)


def debs(archive: Archive) -> list[str]:
    return [path for path in archive.requests if path.endswith(".deb")]


@pytest.mark.host
def test_a_package_is_downloaded_once(archive: Archive, tmp_path: Path) -> None:
    archive.add("7.2.9-1", KERNEL)
    archive.add("7.2.12-1~bpo13+1", {**KERNEL, "new": "new\n"})
    archive.add("6.12.117-1", KERNEL)
    first = opened("7.2", archive, tmp_path / "cache")
    assert first.note == "Debian's linux-source-7.2 7.2.12-1~bpo13+1"
    with Repository(first.repo) as repository:
        assert repository.show_file(first.commit, "new") == b"new\n"
        assert repository.show_file(first.commit, "Makefile") == KERNEL["Makefile"].encode()
    assert opened("latest", archive, tmp_path / "cache") == first
    assert opened("7.2.12", archive, tmp_path / "cache") == first
    assert len(debs(archive)) == 1
    older = opened("7.2.9-1", archive, tmp_path / "cache")
    assert older.commit != first.commit
    asked = len(archive.requests)
    assert opened("7.2.9-1", archive, tmp_path / "cache") == older
    assert len(archive.requests) == asked
    left = {path.name for path in (tmp_path / "cache/debian").iterdir()}
    assert left == {"cache", "imports", "kverdict.lock", "lists", "parts"}


@pytest.mark.host
def test_a_newer_version_is_taken_when_it_comes(archive: Archive, tmp_path: Path) -> None:
    archive.add("7.2.9-1", KERNEL)
    opened("7.2", archive, tmp_path / "cache")
    archive.add("7.2.10-1", KERNEL)
    assert opened("7.2", archive, tmp_path / "cache").note.endswith("7.2.10-1")
    assert opened("7.2.9", archive, tmp_path / "cache").note.endswith("7.2.9-1")


@pytest.mark.host
def test_without_the_archive_an_earlier_import_serves(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    with debian_archive(tmp_path) as archive:
        archive.add("7.2.9-1", KERNEL)
        archive.add("7.2.8-1", KERNEL)
        first = opened("7.2.8", archive, cache)
    again = opened("7.2.8", archive, cache)
    assert again.commit == first.commit
    assert "could not be asked" in again.note
    newest = opened("7.2", archive, cache)  # the lists still name 7.2.9, but nobody sends it
    assert newest.commit == first.commit
    assert "7.2.8-1" in newest.note and "imported earlier" in newest.note
    with pytest.raises(InfraError, match="apt-get download failed"):
        opened("7.2.9", archive, cache)
    with pytest.raises(InfraError, match="cannot be reached"):
        opened("7.2", archive, tmp_path / "other cache")


@pytest.mark.host
def test_a_package_with_another_hash_is_refused(archive: Archive, tmp_path: Path) -> None:
    archive.add("7.2.9-1", KERNEL)
    (deb,) = (archive.root / "pool").iterdir()
    content = bytearray(deb.read_bytes())
    content[-1] ^= 1
    deb.write_bytes(content)
    with pytest.raises(InfraError, match="apt-get download failed"):
        opened("7.2", archive, tmp_path / "cache")


@pytest.mark.host
def test_an_unsigned_list_is_refused(archive: Archive, tmp_path: Path) -> None:
    archive.add("7.2.9-1", KERNEL)
    signed = archive.root / "dists/stable/InRelease"
    signed.write_text(signed.read_text().replace("Origin: Test", "Origin: Evil"))
    with pytest.raises((InfraError, UserError)):
        opened("7.2", archive, tmp_path / "cache")
    assert debs(archive) == []


@pytest.mark.host
def test_no_such_version_names_those_that_are(archive: Archive, tmp_path: Path) -> None:
    archive.add("7.2.9-1", KERNEL)
    archive.add("6.12.1-1", KERNEL)
    with pytest.raises(UserError) as caught:
        opened("9.9", archive, tmp_path / "cache")
    assert caught.value.status is ExitStatus.BAD_TREE
    assert caught.value.remedy == "the archive has 6.12, 7.2"


@pytest.mark.host
def test_the_systems_own_archive() -> None:
    first = system_sources()[0]
    assert first.uri.startswith(("http://", "https://", "file:", "cdrom:", "mirror"))
    assert {"sid", "forky", "trixie-backports"} < set(first.suites)


@pytest.mark.parametrize("asked", ["", "7.2; id", "../7.2", "-o", "7.2 7.3", "linux", "newest"])
def test_what_is_no_version(asked: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such linux-source package"):
        open_tree(f"debian:{asked}", cache=tmp_path / "cache", progress=Silent())
    assert not (tmp_path / "cache").exists()


def test_without_apt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(UserError) as caught:
        open_tree("debian:7.2", cache=tmp_path / "cache", progress=Silent())
    assert caught.value.status is ExitStatus.TOOL_MISSING
    assert "tarball" in caught.value.remedy


@pytest.mark.parametrize(
    ("asked", "meant"),
    [("7.2", True), ("7.2.12", True), ("7.2.12-1~bpo13+1", True), ("latest", True)]
    + [(other, False) for other in ("7", "7.2.1", "7.3", "2.12", "7.2.12-1")],
)
def test_which_version_is_meant(asked: str, meant: bool) -> None:
    assert Candidate("linux-source-7.2", "7.2.12-1~bpo13+1", "d").answers(asked) is meant


def test_packages_of_other_kinds_are_passed_over() -> None:
    text = (
        "Package: linux-source-7.2\nVersion: 7.2.12-1\nDescription: a\n b\n .\n c\nSHA256: aa\n\n"
        "Package: linux-source\nVersion: 7.2.12-1\nSHA256: bb\n\n"
        "Package: linux-source-7.2-dbg\nVersion: 1\nSHA256: cc\n\n"
        "Package: linux-source-6.12\nVersion: 6.12.1-1\n"
    )
    assert list(candidates_in(text)) == [Candidate("linux-source-7.2", "7.2.12-1", "aa")]


STANZAS = f"""\
# a comment
Types: deb
URIs: http://archive.example.org/debian
Suites: bookworm
Signed-By: {KEYRING}

# another

Types: deb
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 abcd
 -----END PGP PUBLIC KEY BLOCK-----
Components: main
"""
LIST = f"""\
# deb http://old.example.org/debian x main
deb [arch=amd64 signed-by={KEYRING}] http://archive.example.org/debian bookworm main
deb http://other.example.org/debian bookworm main
"""


def test_stanzas_of_a_sources_file() -> None:
    first, second = stanzas(STANZAS)
    assert first["Suites"] == "bookworm"
    assert second["Components"] == "main"
    assert second["Signed-By"].splitlines()[1:] == [
        " -----BEGIN PGP PUBLIC KEY BLOCK-----",
        " .",
        " abcd",
        " -----END PGP PUBLIC KEY BLOCK-----",
    ]


def test_the_key_of_an_entry(tmp_path: Path) -> None:
    (tmp_path / "x.sources").write_text(STANZAS)
    (tmp_path / "x.list").write_text(LIST)
    assert signed_by(f"{tmp_path}/x.sources:1") == KEYRING
    assert "abcd" in signed_by(f"{tmp_path}/x.sources:2")
    assert signed_by(f"{tmp_path}/x.list:2") == KEYRING
    assert signed_by(f"{tmp_path}/x.list:3") == ""
    for place in ("x.list:9", "x.sources:3", "missing.list:1", "x.list:"):
        with pytest.raises(InfraError, match="cannot be read"):
            signed_by(f"{tmp_path}/{place}")


def test_a_sources_file_of_ours() -> None:
    text = sources_text([Source("http://a.example.org/", ("one", "two"), "\n key\n .")])
    assert text == (
        "Types: deb\nURIs: http://a.example.org/\nSuites: one\nComponents: main\n"
        "Signed-By: \n key\n .\n\n"
        "Types: deb\nURIs: http://a.example.org/\nSuites: two\nComponents: main\n"
        "Signed-By: \n key\n .\n\n"
    )
    assert [stanza["Suites"] for stanza in stanzas(text)] == ["one", "two"]
