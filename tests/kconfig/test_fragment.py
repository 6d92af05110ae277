# SPDX-License-Identifier: GPL-2.0-or-later
from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kverdict.errors import UserError
from kverdict.kconfig.fragment import Goal, as_config, parse, read
from kverdict.settings import HOME

NAMES = st.from_regex(r"[A-Z0-9_]{1,12}", fullmatch=True)
# What a line of a text file can hold; conf reads lines, and so do we.
TEXTS = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=20)
BARE = st.one_of(
    st.sampled_from(["y", "m", "n"]),
    st.integers(-(2**40), 2**40).map(str),
    st.integers(0, 2**64).map(hex),
)
LINES = st.lists(
    st.tuples(NAMES, st.one_of(BARE.map(lambda v: (v, False)), TEXTS.map(lambda v: (v, True)))),
    unique_by=lambda line: line[0],
)


def one(line: str) -> Goal:
    (goal,) = parse(line + "\n", "f.config")
    return goal


@given(LINES)
def test_what_is_written_is_read_back(lines: list[tuple[str, tuple[str, bool]]]) -> None:
    goals = tuple(
        Goal(name=name, value=value, quoted=quoted, file="f", line=number, optional=False)
        for number, (name, (value, quoted)) in enumerate(lines, 1)
    )
    assert parse(as_config(goals), "f") == goals


@given(st.text())
def test_any_text_is_goals_or_a_user_error_with_its_line(text: str) -> None:
    try:
        goals = parse(text, "f.config")
    except UserError as error:
        assert str(error).startswith("f.config:")
    else:
        assert len({goal.name for goal in goals}) == len(goals)


@pytest.mark.parametrize(
    ("line", "name", "value"),
    [
        ("CONFIG_KVM=y", "KVM", "y"),
        ("CONFIG_KVM=m  ", "KVM", "m"),
        ("CONFIG_9P_FS=y\r", "9P_FS", "y"),
        ("# CONFIG_KVM is not set", "KVM", "n"),
        ("CONFIG_KVM=n", "KVM", "n"),
        ("CONFIG_NR_CPUS=16", "NR_CPUS", "16"),
        ("CONFIG_LEVEL=-5", "LEVEL", "-5"),
        ("CONFIG_PHYSICAL_START=0x1000000", "PHYSICAL_START", "0x1000000"),
        (r'CONFIG_CMDLINE="a=\"b c\" \\"', "CMDLINE", r'a="b c" ' + "\\"),
        ('CONFIG_LOCALVERSION=""', "LOCALVERSION", ""),
    ],
)
def test_assignments(line: str, name: str, value: str) -> None:
    goal = one(line)
    assert (goal.name, goal.value) == (name, value)


@pytest.mark.parametrize(
    "line",
    [
        "KVM=y",
        "CONFIG_KVM",
        "CONFIG_KVM=",
        "CONFIG_KVM = y",
        "CONFIG_KVM=yes",
        "CONFIG_KVM=y # for the guest",
        "CONFIG_KVM-AMD=y",
        'CONFIG_CMDLINE="open',
        'CONFIG_CMDLINE="a" b',
        "#CONFIG_KVM is not set",
        "# CONFIG_KVM is  not set",
        "# CONFIG_KVM is NOT set",
        "# optional:",
        "obj-y += kvm.o",
    ],
)
def test_a_malformed_line_is_named(line: str) -> None:
    with pytest.raises(UserError, match=r"^f\.config:3: "):
        parse(f"# a reason\nCONFIG_A=y\n{line}\n", "f.config")


def test_two_values_for_one_symbol_are_a_mistake() -> None:
    with pytest.raises(UserError, match=r"f\.config:3: .*KVM.*'n'.*'y' in line 1"):
        parse("CONFIG_KVM=y\n\n# CONFIG_KVM is not set\n", "f.config")
    assert len(parse("CONFIG_KVM=y\nCONFIG_KVM=y\n", "f.config")) == 1


def test_optional_holds_up_to_the_next_blank_line() -> None:
    goals = parse(
        "CONFIG_A=y\n# optional: new in 7.3\nCONFIG_B=y\n# more\nCONFIG_C=y\n\nCONFIG_D=y\n", "f"
    )
    assert {goal.name: goal.optional for goal in goals} == {
        "A": False,
        "B": True,
        "C": True,
        "D": False,
    }


def test_the_later_fragment_wins(tmp_path: Path) -> None:
    (tmp_path / "a.config").write_text("CONFIG_X=y\nCONFIG_Y=y\n")
    (tmp_path / "b.config").write_text("# CONFIG_X is not set\n")
    goals = read([tmp_path / "a.config", tmp_path / "b.config"])
    assert [(goal.name, goal.value, goal.file, goal.line) for goal in goals] == [
        ("Y", "y", "a.config", 2),
        ("X", "n", "b.config", 1),
    ]


@pytest.mark.parametrize("content", [None, b"CONFIG_X=\xff\n"])
def test_a_file_that_cannot_be_read(content: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / "odd.config"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match=r"odd\.config cannot be read"):
        read([path])


@pytest.mark.parametrize("path", sorted((HOME / "kconfigs").glob("*.config")), ids=lambda p: p.stem)
def test_every_group_of_our_fragments_has_its_reason(path: Path) -> None:
    assert read([path])
    for group in path.read_text().strip().split("\n\n"):
        assert group.startswith("# ") and not group.startswith("# CONFIG_"), group
