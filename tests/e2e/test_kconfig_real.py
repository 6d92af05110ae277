# SPDX-License-Identifier: GPL-2.0-or-later
"""Ours against the kernel's own scripts/kconfig/conf, on whole trees: no symbol may differ."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from kverdict.models import ConfigProof, SymbolState
from kverdict.proc import run
from kverdict.progress import Silent
from kverdict.settings import DEFAULT_FRAGMENTS, find_fragment
from kverdict.stages.configure import configure
from kverdict.stages.kmake import make_command, make_sandbox
from tests.kconfig.semantics import CASES, settings

VERSIONS = ("6.12", "7.2", "7.3")
DEFAULT = tuple(find_fragment(name) for name in DEFAULT_FRAGMENTS)
CHECKED = tuple(find_fragment(name) for name in (*DEFAULT_FRAGMENTS, "debug", "kasan"))

Source = Callable[[str], Path]
Configured = tuple[ConfigProof, Path]  # and the object tree


@pytest.fixture(scope="module")
def configured(
    kernel_source: Source, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], Configured]:
    """The default fragments on a version, in an object tree of its own; made once."""
    made: dict[str, Configured] = {}

    def give(version: str) -> Configured:
        if version not in made:
            obj = tmp_path_factory.mktemp(f"obj-{version}")
            proof = configure(kernel_source(version), obj, DEFAULT, progress=Silent())
            made[version] = (proof, obj)
        return made[version]

    return give


def conf(src: Path, obj: Path, target: str, given: str | None = None) -> list[str]:
    """What the kernel itself makes of an input; as ``settings`` gives it."""
    env = {"KCONFIG_CONFIG": "theirs"}
    if given is not None:
        (obj / "given").write_text(given)
        env["KCONFIG_ALLCONFIG"] = "given"
    sandbox = make_sandbox(src, obj, env=env)
    run(sandbox.wrap(make_command((target,))), timeout=600, check=True)
    return settings((obj / "theirs").read_text())


def assignments(proof: ConfigProof, fragments: Sequence[Path]) -> str:
    """The fragments as they are, and what was added to them."""
    added = "".join(f"CONFIG_{symbol.name}={symbol.value}\n" for symbol in proof.added)
    return added + "".join(path.read_text() for path in fragments)


@pytest.mark.parametrize("version", VERSIONS)
def test_the_default_fragments_are_honoured(
    version: str, configured: Callable[[str], Configured]
) -> None:
    proof, _ = configured(version)
    assert proof.differing == ()
    assert proof.notes == ()
    assert proof.added == ()  # what they need is in them, with its reason
    assert proof.kernel_version.startswith(version)
    assert [item for item in proof.asked if item.required and item.why] == []
    assert {item.state for item in proof.asked if item.required} == {SymbolState.AS_ASKED}


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("fragments", [DEFAULT, CHECKED, ()], ids=["default", "checked", "none"])
def test_conf_makes_the_same_of_the_assignments(
    version: str, fragments: tuple[Path, ...], kernel_source: Source, tmp_path: Path
) -> None:
    """Stronger than a fixed point of olddefconfig, which keeps a wrong default that is legal."""
    src = kernel_source(version)
    proof = configure(src, tmp_path, fragments, progress=Silent())
    ours = settings((tmp_path / ".config").read_text())
    assert proof.differing == ()
    assert conf(src, tmp_path, "allnoconfig", assignments(proof, fragments)) == ours


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(
    "input_file",
    [
        "arch/x86/configs/x86_64_defconfig",
        "kernel/configs/tiny.config",
        "arch/x86/configs/tiny.config",
        "kernel/configs/kvm_guest.config",
        "kernel/configs/hardening.config",
    ],
)
def test_conf_agrees_on_what_the_tree_brings_along(
    version: str, input_file: str, kernel_source: Source, tmp_path: Path
) -> None:
    src = kernel_source(version)
    fragment = tmp_path / "from-the-tree.config"
    fragment.write_text(known_to_conf(src, tmp_path, (src / input_file).read_text()))
    proof = configure(src, tmp_path, [fragment], progress=Silent())
    assert proof.differing == ()
    ours = settings((tmp_path / ".config").read_text())
    assert conf(src, tmp_path, "allnoconfig", assignments(proof, [fragment])) == ours


@pytest.mark.parametrize("seed", [1, 2])
def test_conf_agrees_on_half_of_a_random_configuration(
    seed: int, kernel_source: Source, tmp_path: Path
) -> None:
    src = kernel_source("7.2")
    sandbox = make_sandbox(src, tmp_path, env={"KCONFIG_SEED": str(seed)})
    run(sandbox.wrap(make_command(("randconfig",))), timeout=600, check=True)
    half = settings((tmp_path / ".config").read_text())[seed % 2 :: 2]
    fragment = tmp_path / "half.config"
    fragment.write_text("\n".join(half))
    proof = configure(src, tmp_path, [fragment], progress=Silent())
    assert proof.differing == ()


def test_a_second_time_nothing_is_written(
    configured: Callable[[str], Configured], kernel_source: Source
) -> None:
    proof, obj = configured("7.2")
    before = (obj / ".config").stat().st_mtime_ns
    again = configure(kernel_source("7.2"), obj, DEFAULT, progress=Silent())
    assert again == proof
    assert (obj / ".config").stat().st_mtime_ns == before


@pytest.mark.parametrize("version", ["7.2", "7.3"])
def test_the_small_cases_are_what_conf_says(
    version: str, configured: Callable[[str], Configured], kernel_source: Source
) -> None:
    """tests/kconfig/semantics.py holds its expectations against the real conf here."""
    _, obj = configured(version)
    sandbox = make_sandbox(kernel_source(version), obj, env={"srctree": "/obj/small"})
    answers = {}
    for case in CASES:
        shutil.rmtree(obj / "small", ignore_errors=True)
        (obj / "small").mkdir()
        (obj / "small/Kconfig").write_text(case.kconfig)
        (obj / "small/.config").write_text(case.config)
        script = "cd small && exec ../scripts/kconfig/conf --olddefconfig Kconfig"
        run(sandbox.wrap(["sh", "-c", script]), timeout=60, check=True)
        answers[case.name] = settings((obj / "small/.config").read_text())
    assert answers == {case.name: case.lines for case in CASES}


def known_to_conf(src: Path, obj: Path, text: str) -> str:
    """Without the symbols that this tree does not have for x86, which conf only warns of."""
    (obj / "theirs").write_text(text)
    env = {"KCONFIG_CONFIG": "theirs", "KCONFIG_WARN_UNKNOWN_SYMBOLS": "1"}
    sandbox = make_sandbox(src, obj, env=env)
    done = run(sandbox.wrap(make_command(("olddefconfig",))), timeout=600, check=True)
    said = done.error_text + done.text
    unknown = {line.rsplit(" ", 1)[1] for line in said.splitlines() if "unknown symbol: " in line}
    return "\n".join(
        line
        for line in text.splitlines()
        if line.removeprefix("# ").removeprefix("CONFIG_").split("=")[0].split(" ")[0]
        not in unknown
    )
