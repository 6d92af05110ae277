# SPDX-License-Identifier: GPL-2.0-or-later
from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from kverdict.errors import UserError
from kverdict.settings import DEFAULT_FRAGMENTS, HOME, Settings, find_fragment, load


@pytest.fixture(autouse=True)
def _empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_without_a_file_everything_has_a_default() -> None:
    assert load(None) == Settings()
    assert load(None).runs_folder == HOME / "runs"


def test_the_file_of_the_current_folder_is_taken(tmp_path: Path) -> None:
    (tmp_path / "pipeline.toml").write_text('[kernel]\ntree = "debian:7.2"\n')
    assert load(None).kernel.tree == "debian:7.2"


def test_the_cache_follows_xdg(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "c"))
    assert Settings().cache_folder == tmp_path / "c/kverdict"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert Settings().cache_folder == Path.home() / ".cache/kverdict"
    assert Settings(cache=str(tmp_path)).cache_folder == tmp_path


def test_the_token_is_looked_for_in_the_home_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings.model_validate({"patchwork": {"token_file": "~/token"}}).patchwork
    assert settings.token_path == Path.home() / "token"
    assert Settings().patchwork.token_path is None
    monkeypatch.setenv("HOME", "")
    with pytest.raises(UserError, match=r"'patchwork\.token_file'"):
        _ = settings.token_path


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("[guest]\nacelerator = 'kvm'\n", "guest.acelerator"),
        ("[guest]\naccelerator = 'fast'\n", "guest.accelerator"),
        ("[guest]\nbench_mib = -1\n", "guest.bench_mib"),
        ("[archive]\nmidmask = 'lore'\n", "archive.midmask"),
        ("[console]\nallow = ['a']\n", "console.allow"),
        ("[kcidb]\norigin = 'Our CI'\n", "kcidb.origin"),
        ("[kcidb]\nrepository = 'git://x'\n", "kcidb.repository"),
        ("[patchwork]\ncontext = 'two words'\n", "patchwork.context"),
        ("runs = 3\n", "runs"),
        ("runs = \n", "is not TOML"),
    ],
)
def test_a_mistake_in_the_file_is_named(tmp_path: Path, text: str, named: str) -> None:
    file = tmp_path / "my.toml"
    file.write_text(text)
    with pytest.raises(UserError, match=re.escape(named)) as caught:
        load(file)
    assert "my.toml" in str(caught.value)
    assert caught.value.status == 129


def test_a_file_that_is_named_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no\.toml cannot be read: No such file"):
        load(tmp_path / "no.toml")


def test_fragments_by_name_and_by_path(tmp_path: Path) -> None:
    for name in DEFAULT_FRAGMENTS:
        assert find_fragment(name) == HOME / f"kconfigs/{name}.config"
    mine = tmp_path / "mine.config"
    mine.write_text("CONFIG_NET=y\n")
    assert find_fragment("mine.config") == mine
    with pytest.raises(UserError, match=r"no Kconfig fragment 'kwm': name a file or one of .*kvm"):
        find_fragment("kwm")


def test_the_documented_settings_are_the_real_ones() -> None:
    text = (HOME / "docs/settings.md").read_text()
    example = re.search(r"```toml\n(.*?)```", text, re.DOTALL)
    assert example is not None
    documented = tomllib.loads(example[1])
    Settings.model_validate(documented)
    assert documented["kernel"]["fragments"] == list(Settings().kernel.fragments)
    assert documented["archive"]["midmask"] == Settings().archive.midmask
    assert documented["guest"] == Settings().guest.model_dump()


@pytest.mark.parametrize("home", ["", "relative"])
def test_without_a_home_folder_the_cache_has_to_be_named(
    monkeypatch: pytest.MonkeyPatch, home: str
) -> None:
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", home)
    with pytest.raises(UserError, match="there is no home folder to put 'cache' in: set HOME, or"):
        _ = Settings().cache_folder
    assert Settings(cache="/some/folder").cache_folder == Path("/some/folder")
    monkeypatch.setenv("XDG_CACHE_HOME", "/xdg")
    assert Settings().cache_folder == Path("/xdg/kverdict")


def test_a_relative_xdg_cache_home_is_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/alice")
    monkeypatch.setenv("XDG_CACHE_HOME", "cache")
    assert Settings().cache_folder == Path("/home/alice/.cache/kverdict")


def test_the_home_of_a_user_that_does_not_exist() -> None:
    with pytest.raises(UserError, match="there is no home folder to put 'runs' in"):
        _ = Settings(runs="~no-such-user/runs").runs_folder


def test_the_file_of_allowed_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/alice")
    assert Settings().allow_file is None
    mine = Settings.model_validate({"console": {"allow": "~/allow.toml"}})
    assert mine.allow_file == Path("/home/alice/allow.toml")


TREE = '[[nightly.trees]]\nname = "a b"\ntree = "/linux"\n'


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (TREE + 'refs = ["-x"]', "'-x' is no name of a ref"),
        (TREE + 'refs = ["a b"]', "'a b' is no name of a ref"),
        (TREE + "refs = []", "nightly.trees.0.refs"),
        (TREE + 'fetch = true\nrefs = ["master~1"]', "'master~1' cannot be fetched"),
        (TREE + 'fetch = true\nrefs = ["a:b"]', "'a:b' cannot be fetched"),
        (TREE + 'fetch = true\nrefs = ["*"]', "'*' cannot be fetched"),
        (TREE + TREE.replace("a b", "A  B"), "two trees would have the folder 'a-b': rename one"),
        (TREE + "colour = 1", "nightly.trees.0.colour"),
        ("[nightly]\nconfidence = 1.0", "nightly.confidence"),
    ],
)
def test_mistakes_in_the_nights_settings_are_told(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "p.toml").write_text(text)
    with pytest.raises(UserError, match=re.escape(said)):
        load(tmp_path / "p.toml")


def test_trees_of_the_nights(tmp_path: Path) -> None:
    fetched = 'fetch = true\nrefs = ["master", "refs/heads/x-1.y", "v7.2-rc1", "master"]'
    (tmp_path / "p.toml").write_text(TREE + fetched)
    (tree,) = load(tmp_path / "p.toml").nightly.trees
    assert tree.refs == ("master", "refs/heads/x-1.y", "v7.2-rc1")
    (tmp_path / "p.toml").write_text(TREE + 'refs = ["HEAD~1", "v7.2^{}"]')
    assert load(tmp_path / "p.toml").nightly.trees[0].refs == ("HEAD~1", "v7.2^{}")
