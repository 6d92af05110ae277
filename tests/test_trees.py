# SPDX-License-Identifier: GPL-2.0-or-later
"""Whatever names a kernel becomes commits of ours, and nothing of the user's changes."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest

from kverdict.errors import ExitStatus, UserError
from kverdict.progress import Silent
from kverdict.trees import Tree, open_tree
from kverdict.worktrees import checkout
from tests.repos import KERNEL, Kernel, git, kernel


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def opened(spec: Path | str, cache: Path) -> Tree:
    return open_tree(str(spec), cache=cache, progress=Silent())


def unpacked(folder: Path) -> Path:
    """A kernel without git, with a .gitignore that ends like Debian's."""
    folder.mkdir()
    Kernel(folder).write({**KERNEL, ".gitignore": "*.o\n/*\n", "scripts/run": "#!/bin/sh\n"})
    (folder / "scripts/run").chmod(0o755)
    (folder / "link").symlink_to("Makefile")
    return folder


def tarball(path: Path, folder: Path, mode: str = "w:xz", top: str = "linux-7.2.12") -> Path:
    with tarfile.open(path, mode) as tar:  # type: ignore[call-overload]
        for entry in sorted(folder.rglob("*")):
            tar.add(entry, f"{top}/{entry.relative_to(folder)}", recursive=False)
    return path


# --- git trees ----------------------------------------------------------------------------------


def test_a_checkout(tmp_path: Path, cache: Path) -> None:
    linux = kernel(tmp_path / "linux")
    before = {path: path.stat().st_mtime_ns for path in linux.path.rglob("*")}
    tree = opened(linux.path, cache)
    assert (tree.head, tree.version) == (linux.sha("HEAD"), "7.2.12")
    assert tree.note == "uncommitted changes are not part of what is tested"
    assert tree.repo.is_relative_to(cache)
    assert tree.refs() == (("HEAD", tree.head), ("main", tree.head))
    assert tree.describe(tree.head) == "7.2.12"
    assert {path: path.stat().st_mtime_ns for path in linux.path.rglob("*")} == before
    assert opened(linux.path, cache) == tree


@pytest.mark.parametrize("kind", ["bare", "worktree", "inside", "git folder", "user's link"])
def test_other_shapes_of_a_repository(tmp_path: Path, cache: Path, kind: str) -> None:
    linux = kernel(tmp_path / "linux")
    place = tmp_path / "place"
    if kind == "bare":
        git(tmp_path, "clone", "--quiet", "--bare", str(linux.path), str(place))
    elif kind == "worktree":
        git(linux.path, "worktree", "add", "--quiet", "--detach", str(place))
        Kernel(place).commit("only here", {"here": "1\n"})
    elif kind == "inside":
        place = linux.path / "virt/kvm"
    elif kind == "git folder":
        place = linux.path / ".git"
    else:
        place.symlink_to(linux.path)
    tree = opened(place, cache)
    assert tree.head == git(place, "rev-parse", "HEAD")
    checkout(tree.repo, tree.head, tmp_path / "wt", progress=Silent())
    assert (tmp_path / "wt/Makefile").read_text() == KERNEL["Makefile"]


def test_worktrees_of_one_repository_share_ours(tmp_path: Path, cache: Path) -> None:
    linux = kernel(tmp_path / "linux")
    git(linux.path, "worktree", "add", "--quiet", "--detach", str(tmp_path / "other"))
    assert opened(tmp_path / "other", cache).repo == opened(linux.path, cache).repo


def test_a_shallow_clone(tmp_path: Path, cache: Path) -> None:
    linux = kernel(tmp_path / "linux")
    linux.commit("two", {"two": "2\n"})
    url = f"file://{linux.path}"
    git(tmp_path, "clone", "--quiet", "--depth=1", "--no-local", url, "shallow")
    tree = opened(tmp_path / "shallow", cache)
    assert "shallow clone" in tree.note
    assert tree.commit(tree.head).subject == "two"
    with pytest.raises(UserError, match="no commit called 'HEAD~1'"):
        tree.resolve("HEAD~1")
    git(tmp_path / "shallow", "fetch", "--quiet", "--unshallow")
    deep = opened(tmp_path / "shallow", cache)
    assert deep.resolve("HEAD~1") == linux.sha("HEAD~1")
    assert deep.commit(deep.head).parents == (linux.sha("HEAD~1"),)
    assert "shallow" not in deep.note


def test_a_repository_that_borrows_objects_itself(tmp_path: Path, cache: Path) -> None:
    linux = kernel(tmp_path / "linux")
    git(tmp_path, "clone", "--quiet", "--shared", str(linux.path), "borrower")
    tree = opened(tmp_path / "borrower", cache)
    assert tree.show_file(tree.head, "Makefile") == KERNEL["Makefile"].encode()


def test_an_odd_path(tmp_path: Path, cache: Path) -> None:
    linux = kernel(tmp_path / 'a "quoted" $HOME: ü')
    tree = opened(linux.path, cache)
    assert tree.show_file(tree.head, "Makefile") == KERNEL["Makefile"].encode()


def test_a_sha256_repository(tmp_path: Path, cache: Path) -> None:
    git(tmp_path, "init", "--quiet", "--object-format=sha256", "linux")
    sha = Kernel(tmp_path / "linux").commit("one", KERNEL)
    tree = opened(tmp_path / "linux", cache)
    assert len(sha) == 64
    assert tree.resolve("HEAD") == sha
    assert tree.diff_paths(sha, sha) == ()


def test_an_unknown_revision_names_its_neighbours(tmp_path: Path, cache: Path) -> None:
    linux = kernel(tmp_path / "linux")
    git(linux.path, "tag", "v7.2-rc1")
    git(linux.path, "tag", "v7.2-rc2")
    with pytest.raises(UserError) as caught:
        opened(linux.path, cache).resolve("v7.2-rc3")
    assert caught.value.status is ExitStatus.UNKNOWN_REVISION
    assert caught.value.remedy == "did you mean v7.2-rc2 or v7.2-rc1?"


def test_a_repository_without_a_commit(tmp_path: Path, cache: Path) -> None:
    git(tmp_path, "init", "--quiet", "linux")
    assert refusal(tmp_path / "linux", cache) == f"{tmp_path / 'linux'} has no commit yet"


@pytest.mark.parametrize("missing", ["Makefile", "Kconfig"])
def test_a_repository_of_something_else(tmp_path: Path, cache: Path, missing: str) -> None:
    files = {name: text for name, text in KERNEL.items() if name != missing}
    linux = kernel(tmp_path / "linux", files)
    assert "is not a Linux kernel tree at" in refusal(linux.path, cache)


def test_a_makefile_of_something_else(tmp_path: Path, cache: Path) -> None:
    linux = kernel(tmp_path / "other", {"Makefile": "all:\n", "Kconfig": "\n"})
    assert "is not a Linux kernel tree at" in refusal(linux.path, cache)


@pytest.mark.parametrize(
    ("sublevel", "extra", "version"),
    [("0", "-rc3", "7.2.0-rc3"), ("", "", "7.2"), ("12", "", "7.2.12")],
)
def test_the_version_is_the_makefiles(
    tmp_path: Path, cache: Path, sublevel: str, extra: str, version: str
) -> None:
    makefile = f"VERSION = 7\nPATCHLEVEL = 2\nSUBLEVEL = {sublevel}\nEXTRAVERSION = {extra}\n"
    linux = kernel(tmp_path / "linux", {**KERNEL, "Makefile": makefile + "VERSION = 9\n"})
    assert opened(linux.path, cache).version == version


def refusal(spec: Path | str, cache: Path) -> str:
    with pytest.raises(UserError) as caught:
        opened(spec, cache)
    assert caught.value.status is ExitStatus.BAD_TREE
    return caught.value.problem


# --- folders ------------------------------------------------------------------------------------


def test_a_folder_is_imported_whole(tmp_path: Path, cache: Path) -> None:
    folder = unpacked(tmp_path / "linux-7.2.12")
    before = {path: path.lstat().st_mtime_ns for path in folder.rglob("*")}
    tree = opened(folder, cache)
    assert tree.version == "7.2.12"
    assert tree.note == "imported from a folder, without history"
    checkout(tree.repo, tree.head, tmp_path / "wt", progress=Silent())
    assert names(tmp_path / "wt") == names(folder)
    assert (tmp_path / "wt/link").readlink() == Path("Makefile")
    assert (tmp_path / "wt/scripts/run").stat().st_mode & 0o111
    assert not (tmp_path / "wt/Makefile").stat().st_mode & 0o111
    assert {path: path.lstat().st_mtime_ns for path in folder.rglob("*")} == before


def names(folder: Path) -> list[str]:
    found = [path.relative_to(folder) for path in folder.rglob("*") if not path.is_dir()]
    return sorted(str(path) for path in found if path.name != ".git")


def test_a_folder_is_read_again_when_it_changed(tmp_path: Path, cache: Path) -> None:
    folder = unpacked(tmp_path / "linux")
    first = opened(folder, cache)
    assert opened(folder, cache).head == first.head
    (folder / "mm/util.c").unlink()
    (folder / "mm/new.c").write_text("new\n")
    second = opened(folder, cache)
    assert second.diff_paths(first.head, second.head) == ("mm/new.c", "mm/util.c")


def test_the_same_content_is_the_same_commit(tmp_path: Path, cache: Path) -> None:
    folder = unpacked(tmp_path / "one")
    archive = tarball(tmp_path / "linux.tar.gz", folder, "w:gz")
    first = opened(folder, cache)
    assert opened(unpacked(tmp_path / "two"), cache).head == first.head
    assert opened(archive, tmp_path / "cache2").head == first.head


def test_no_attribute_changes_the_bytes(tmp_path: Path, cache: Path) -> None:
    folder = unpacked(tmp_path / "linux")
    Kernel(folder).write({".gitattributes": "* text=auto eol=lf ident\n", "dos": "a\r\n$Id$\r\n"})
    (folder / "dos").write_bytes(b"a\r\n$Id$\r\n")
    tree = opened(folder, cache)
    assert tree.show_file(tree.head, "dos") == b"a\r\n$Id$\r\n"
    checkout(tree.repo, tree.head, tmp_path / "wt", progress=Silent())
    assert (tmp_path / "wt/dos").read_bytes() == b"a\r\n$Id$\r\n"


def test_a_kernel_below_another_repository(tmp_path: Path, cache: Path) -> None:
    home = kernel(tmp_path / "home", {"notes": "mine\n"})
    folder = unpacked(home.path / "linux")
    assert opened(folder, cache).version == "7.2.12"
    assert git(home.path, "ls-files") == "notes"


def test_a_folder_that_was_built_in(tmp_path: Path, cache: Path) -> None:
    folder = unpacked(tmp_path / "linux")
    (folder / ".config").touch()
    assert "has been built in: it has .config" in refusal(folder, cache)


@pytest.mark.parametrize("make", ["missing", "file", "folder"])
def test_what_is_no_tree(tmp_path: Path, cache: Path, make: str) -> None:
    place = tmp_path / "place"
    if make == "file":
        place.write_text("text\n")
    elif make == "folder":
        place.mkdir()
    assert refusal(place, cache).startswith(f"{place} is ")


def test_an_imported_tree_has_no_other_revision(tmp_path: Path, cache: Path) -> None:
    tree = opened(unpacked(tmp_path / "linux"), cache)
    assert tree.resolve(tree.head) == tree.head
    with pytest.raises(UserError, match="imported without history") as caught:
        tree.resolve("v7.2")
    assert caught.value.status is ExitStatus.UNKNOWN_REVISION


# --- tarballs -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("suffix", "mode"), [("", "w"), (".gz", "w:gz"), (".xz", "w:xz")])
@pytest.mark.parametrize("top", ["linux-7.2.12", "."])
def test_a_tarball(tmp_path: Path, cache: Path, suffix: str, mode: str, top: str) -> None:
    folder = unpacked(tmp_path / "linux")
    tree = opened(tarball(tmp_path / f"linux.tar{suffix}", folder, mode, top), cache)
    assert tree.version == "7.2.12"
    checkout(tree.repo, tree.head, tmp_path / "wt", progress=Silent())
    assert names(tmp_path / "wt") == names(folder)
    assert (tmp_path / "wt/scripts/run").stat().st_mode & 0o111


def test_hard_links_and_odd_names_in_a_tarball(tmp_path: Path, cache: Path) -> None:
    archive = tmp_path / "linux.tar"
    odd = 'a "b" \\ ü\nc'
    with tarfile.open(archive, "w") as tar:
        for name, text in {**KERNEL, odd: "odd\n"}.items():
            add(tar, f"linux/{name}", text.encode())
        link = tarfile.TarInfo("linux/hard")
        link.type, link.linkname = tarfile.LNKTYPE, "linux/Makefile"
        tar.addfile(link)
    tree = opened(archive, cache)
    assert tree.show_file(tree.head, "hard") == KERNEL["Makefile"].encode()
    checkout(tree.repo, tree.head, tmp_path / "wt", progress=Silent())
    assert (tmp_path / "wt" / odd).read_text() == "odd\n"


def add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    tar.addfile(info, io.BytesIO(content))


@pytest.mark.parametrize(
    "name", ["/etc/passwd", "linux/../../x", "linux/.git/hooks/post-checkout", "linux/.GIT/config"]
)
def test_no_member_reaches_outside(tmp_path: Path, cache: Path, name: str) -> None:
    archive = tmp_path / "linux.tar"
    with tarfile.open(archive, "w") as tar:
        add(tar, "linux/Makefile", KERNEL["Makefile"].encode())
        add(tar, name, b"mine\n")
    assert "is no name for a file in a tree" in refusal(archive, cache)


def test_a_device_in_a_tarball(tmp_path: Path, cache: Path) -> None:
    archive = tmp_path / "linux.tar"
    with tarfile.open(archive, "w") as tar:
        fifo = tarfile.TarInfo("linux/fifo")
        fifo.type = tarfile.FIFOTYPE
        tar.addfile(fifo)
    assert "neither a file, a folder nor a link" in refusal(archive, cache)


@pytest.mark.parametrize("suffix", ["tar", "tar.gz", "tar.xz", "tar.bz2"])
@pytest.mark.parametrize("kept", [0.1, 0.5])
def test_a_cut_off_tarball_leaves_nothing(
    tmp_path: Path, cache: Path, suffix: str, kept: float
) -> None:
    mode = {"tar": "w", "tar.gz": "w:gz", "tar.xz": "w:xz", "tar.bz2": "w:bz2"}[suffix]
    archive = tarball(tmp_path / f"linux.{suffix}", unpacked(tmp_path / "linux"), mode)
    whole = archive.read_bytes()
    archive.write_bytes(whole[: int(len(whole) * kept)])
    assert "is damaged" in refusal(archive, cache)
    repo = cache / "repos/imported.git"
    assert git(repo, "for-each-ref") == ""
    archive.write_bytes(whole)
    assert opened(archive, cache).version == "7.2.12"
    assert not list(repo.glob("objects/pack/tmp_*"))
    assert not list(repo.glob("fast_import_crash_*"))


def test_a_tarball_cut_off_between_two_files(tmp_path: Path, cache: Path) -> None:
    """Python's tarfile takes it for a whole one."""
    archive = tmp_path / "linux.tar"
    with tarfile.open(archive, "w") as tar:
        for name, text in KERNEL.items():
            add(tar, f"linux/{name}", text.encode())
        end = tar.offset
    archive.write_bytes(archive.read_bytes()[:end])
    with tarfile.open(archive) as tar:
        assert len(tar.getmembers()) == len(KERNEL)
    assert "it ends too early" in refusal(archive, cache)


def test_an_archive_of_something_else(tmp_path: Path, cache: Path) -> None:
    (tmp_path / "x.tar.gz").write_bytes(b"no archive")
    assert "is damaged" in refusal(tmp_path / "x.tar.gz", cache)
    archive = tmp_path / "other.tar"
    with tarfile.open(archive, "w") as tar:
        add(tar, "other/README", b"no kernel\n")
    assert "is not a Linux kernel tree" in refusal(archive, cache)
