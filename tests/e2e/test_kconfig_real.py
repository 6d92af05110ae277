# SPDX-License-Identifier: GPL-2.0-or-later
"""Ours against the kernel's own scripts/kconfig/conf, on whole trees: no symbol may differ."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from kverdict.models import ConfigProof, SymbolState
from kverdict.proc import Finished
from kverdict.progress import Silent
from kverdict.sandbox import give
from kverdict.settings import DEFAULT_FRAGMENTS, find_fragment
from kverdict.stages.configure import configure
from kverdict.stages.kmake import make_command, make_sandbox
from tests.kconfig.semantics import CASES, settings

# Each takes a source package of its own.
OLD, NEW = (pytest.param(version, marks=pytest.mark.long) for version in ("6.12", "7.3"))
VERSIONS = (OLD, "7.2", NEW)
DEFAULT = tuple(find_fragment(name) for name in DEFAULT_FRAGMENTS)
CHECKED = tuple(find_fragment(name) for name in (*DEFAULT_FRAGMENTS, "debug", "kasan"))


@dataclass(frozen=True)
class Tree:
    """A version's source and an object tree of our own, in which conf is built once."""

    src: Path
    obj: Path

    def configure(self, fragments: Sequence[Path]) -> ConfigProof:
        return configure(self.src, self.obj, fragments, progress=Silent())

    def ours(self) -> list[str]:
        return settings((self.obj / ".config").read_text())

    def theirs(self, given: str) -> list[str]:
        """What the kernel itself makes of assignments, from allnoconfig."""
        (self.obj / "given").write_text(given)
        self.conf("allnoconfig", KCONFIG_ALLCONFIG="given")
        return settings((self.obj / "theirs").read_text())

    def conf(self, target: str, **env: str) -> Finished:
        sandbox = make_sandbox(self.src, self.obj, env={"KCONFIG_CONFIG": "theirs", **env})
        done = sandbox.run(make_command((target,)), timeout=600)
        assert done.ok, done.error_text
        return done

    def known(self, text: str) -> str:
        """Without the symbols that this tree does not have for x86, of which conf only warns."""
        (self.obj / "theirs").write_text(text)
        done = self.conf("olddefconfig", KCONFIG_WARN_UNKNOWN_SYMBOLS="1")
        warnings = [line for line in done.error_text.splitlines() if "unknown symbol: " in line]
        unknown = {line.rsplit(" ", 1)[1] for line in warnings}
        return "\n".join(line for line in text.splitlines() if symbol_of(line) not in unknown)


def symbol_of(line: str) -> str:
    return line.removeprefix("# ").removeprefix("CONFIG_").partition("=")[0].partition(" ")[0]


def assignments(proof: ConfigProof, fragments: Sequence[Path]) -> str:
    """The fragments as they are, and what was added to them."""
    added = "".join(f"CONFIG_{symbol.name}={symbol.value}\n" for symbol in proof.added)
    return added + "".join(path.read_text() for path in fragments)


@pytest.fixture(scope="module")
def trees(
    kernel_source: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], Tree]:
    made: dict[str, Tree] = {}

    def give(version: str) -> Tree:
        if version not in made:
            made[version] = Tree(kernel_source(version), tmp_path_factory.mktemp(f"obj-{version}"))
        return made[version]

    return give


@pytest.mark.parametrize("version", VERSIONS)
def test_the_default_fragments_are_honoured(version: str, trees: Callable[[str], Tree]) -> None:
    tree = trees(version)
    proof = tree.configure(DEFAULT)
    assert proof.differing == ()
    assert proof.notes == ()
    assert proof.added == ()  # what they need is in them, with its reason
    assert proof.kernel_version.startswith(version)
    assert [item for item in proof.asked if item.required and item.why] == []
    assert {item.state for item in proof.asked if item.required} == {SymbolState.AS_ASKED}
    # Stronger than that olddefconfig agrees: conf computes it all from the same assignments.
    assert tree.theirs(assignments(proof, DEFAULT)) == tree.ours()


@pytest.mark.parametrize("version", VERSIONS)
def test_conf_makes_the_same_of_the_checking_fragments(
    version: str, trees: Callable[[str], Tree]
) -> None:
    tree = trees(version)
    proof = tree.configure(CHECKED)
    assert proof.differing == ()
    assert tree.theirs(assignments(proof, CHECKED)) == tree.ours()


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(
    "input_file", ["arch/x86/configs/x86_64_defconfig", "kernel/configs/tiny.config"]
)
def test_conf_agrees_on_what_the_tree_brings_along(
    version: str, input_file: str, trees: Callable[[str], Tree], tmp_path: Path
) -> None:
    tree = trees(version)
    fragment = tmp_path / "from-the-tree.config"
    fragment.write_text(tree.known((tree.src / input_file).read_text()))
    proof = tree.configure([fragment])
    assert proof.differing == ()
    assert tree.theirs(assignments(proof, [fragment])) == tree.ours()


@pytest.mark.parametrize("seed", ["1", "2"])
def test_conf_agrees_on_half_of_a_random_configuration(
    seed: str, trees: Callable[[str], Tree], tmp_path: Path
) -> None:
    tree = trees("7.2")
    tree.conf("randconfig", KCONFIG_SEED=seed)
    fragment = tmp_path / "half.config"
    fragment.write_text("\n".join(settings((tree.obj / "theirs").read_text())[::2]))
    assert tree.configure([fragment]).differing == ()


def test_a_second_time_nothing_is_written(trees: Callable[[str], Tree]) -> None:
    tree = trees("7.2")
    proof = tree.configure(DEFAULT)
    before = (tree.obj / ".config").stat()
    assert tree.configure(DEFAULT) == proof
    after = (tree.obj / ".config").stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


@pytest.mark.parametrize("version", ["7.2", NEW])
def test_the_small_cases_are_what_conf_says(version: str, trees: Callable[[str], Tree]) -> None:
    """tests/kconfig/semantics.py holds its expectations against the real conf here."""
    tree = trees(version)
    tree.conf("allnoconfig")  # builds conf where this test runs alone
    small = tree.obj / "small"
    sandbox = make_sandbox(tree.src, tree.obj, env={"srctree": "/obj/small"})
    script = "cd small && exec ../scripts/kconfig/conf --olddefconfig Kconfig"
    answers = {}
    for case in CASES:
        shutil.rmtree(small, ignore_errors=True)
        small.mkdir()
        (small / "Kconfig").write_text(case.kconfig)
        (small / ".config").write_text(case.config)
        give(small)
        done = sandbox.run(["sh", "-c", script], timeout=60)
        assert done.ok, done.error_text
        answers[case.name] = settings((small / ".config").read_text())
    assert answers == {case.name: case.lines for case in CASES}
