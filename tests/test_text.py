# SPDX-License-Identifier: GPL-2.0-or-later
"""Strangers' text on its way to a terminal or a page."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from kverdict.text import clip, fold, one_line, printable, shorten

ANY_TEXT = st.text(st.characters(), max_size=200)  # lone surrogates too


@pytest.mark.parametrize(
    ("hostile", "shown"),
    [
        ("\x1b[2J\x1b]0;title\x07", r"\x1b[2J\x1b]0;title\x07"),
        ("a\rb", r"a\x0db"),
        ("\x9b31m", r"\x9b31m"),
        ("user\u202egnp.exe", r"user\u202egnp.exe"),
        ("\u2066x\u2069\u200b\ufeff", r"\u2066x\u2069\u200b\ufeff"),
        ("a\u2028b", r"a\u2028b"),
        ("\ud800", r"\ud800"),
        ("\U000e0041", r"\U000e0041"),
        ("tab\tline\r\nend\n", "tab\tline\nend\n"),
        ("Jörg Müller 山田 ✓", "Jörg Müller 山田 ✓"),
    ],
)
def test_what_acts_is_written_out_and_the_rest_stays(hostile: str, shown: str) -> None:
    assert printable(hostile) == shown


@given(ANY_TEXT)
def test_nothing_that_acts_is_left(text: str) -> None:
    shown = printable(text)
    assert {unicodedata.category(char) for char in shown} & {"Cf", "Cs", "Zl", "Zp"} == set()
    assert {char for char in shown if unicodedata.category(char) == "Cc"} <= {"\n", "\t"}
    assert printable(shown) == shown
    shown.encode()


def test_one_line_is_one_line() -> None:
    assert one_line(" Subject\r\n\tgoes   on \n") == "Subject goes on"


def test_clip_says_how_much_is_missing() -> None:
    assert clip("abcdef", 4) == ("abcd", 2)
    assert clip("abc", 4) == ("abc", 0)


@given(ANY_TEXT, st.integers(4, 90))
def test_shortened_text_fits(text: str, columns: int) -> None:
    line = shorten(text, columns)
    assert cell_len(line) <= columns
    assert "\n" not in line
    if cell_len(one_line(text)) <= columns:
        assert line == one_line(text)
    else:
        assert line.endswith("...")


@given(ANY_TEXT, st.integers(4, 90))
def test_folded_text_fits_and_loses_nothing_but_blanks(text: str, columns: int) -> None:
    lines = fold(text, columns)
    assert all(cell_len(line) <= columns for line in lines)
    assert "".join("".join(lines).split()) == "".join(printable(text).split())


def test_folding_keeps_what_has_no_width() -> None:
    assert fold("\u0301 a \U0001f3fb", 9) == ["\u0301 a \U0001f3fb"]


def test_folding_breaks_at_blanks_and_keeps_indents() -> None:
    assert fold("one two three\n  four five six", 9) == [
        "one two",
        "three",
        "  four",
        "  five",
        "  six",
    ]
    assert fold("山田太郎山田", 6) == ["山田太", "郎山田"]
